-- What decides how an audit gets on with the server: connections that the login may have, presets of the login and the
-- database (pg_db_role_setting), encryption, what a standby does with long queries, how late it is. Of views that not everybody may read only the rows shown.
SELECT (SELECT r.rolconnlimit FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user) AS limit,
       (SELECT s.ssl FROM pg_catalog.pg_stat_ssl AS s WHERE s.pid = pg_catalog.pg_backend_pid()) AS encrypted,
       pg_catalog.inet_server_addr() IS NULL AS local,
       ARRAY(SELECT pg_catalog.split_part(c, '=', 1)
             FROM pg_catalog.pg_db_role_setting AS s
             LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
             LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
             CROSS JOIN pg_catalog.unnest(s.setconfig) AS c
             WHERE (d.datname IS NULL OR d.datname = pg_catalog.current_database()) AND (r.rolname IS NULL OR r.rolname = session_user)
             ORDER BY 1) AS presets,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.current_setting('max_standby_streaming_delay') END AS delay,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.current_setting('hot_standby_feedback') END AS feedback,
       CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) END AS lag,
       EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relrowsecurity) AS policed,
       pg_catalog.current_setting('data_checksums') = 'on' AS checksums,
       pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'USAGE') AS stats
