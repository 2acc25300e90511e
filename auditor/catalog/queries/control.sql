-- The cluster's own name: the same in all its databases and standbys (System Information Functions, Control Data Functions).
-- Pages that failed their checksum, in this database and in what all databases share; NULL where there are no checksums
-- (The Cumulative Statistics System, pg_stat_database).
SELECT s.system_identifier::text AS system_identifier,
       pg_catalog.pg_stat_get_db_checksum_failures(d.oid) AS failures, pg_catalog.pg_stat_get_db_checksum_failures(0) AS shared_failures,
       pg_catalog.pg_stat_get_db_checksum_last_failure(d.oid)::text AS last_failure,
       pg_catalog.pg_stat_get_db_checksum_last_failure(0)::text AS last_shared_failure
FROM pg_catalog.pg_control_system() AS s
CROSS JOIN pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
