-- The server and the login. Control data and roles: System Information Functions; Predefined Roles.
SELECT pg_catalog.current_database() AS database,
       current_user AS "user",
       session_user AS login,
       pg_catalog.current_setting('server_version') AS version,
       pg_catalog.current_setting('server_version_num')::int AS version_num,
       pg_catalog.current_setting('server_encoding') AS encoding,
       pg_catalog.pg_is_in_recovery() AS is_standby,
       r.rolsuper AS superuser,
       r.rolsuper OR r.rolbypassrls AS bypass_rls,
       ARRAY(SELECT m.why FROM (VALUES
           (1, r.rolsuper, 'superuser'), (2, r.rolreplication, 'replication'), (3, r.rolcreaterole, 'createrole')) AS m (n, holds, why)
           WHERE m.holds ORDER BY m.n)
       || ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_roles AS g
           WHERE g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
             AND NOT r.rolsuper AND pg_catalog.pg_has_role(g.oid, 'MEMBER') ORDER BY 1) AS dangerous,
       pg_catalog.pg_current_snapshot()::text AS snapshot
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = current_user
