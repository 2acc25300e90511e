-- The server and the login. Control data and roles: System Information Functions; Predefined Roles. What is dangerous is so of the role that has
-- logged in, whichever is preset for it: a function may SET ROLE NONE.
WITH acting AS ( -- functions of the server and its extensions that may do more than compute: some run what a text says
    SELECT p.oid, p.proname
    FROM pg_catalog.pg_proc AS p
    WHERE (p.provolatile = 'v' OR p.proname ~ '_to_xml')
      AND (p.oid < 16384 OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'))
)
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
           (1, l.rolsuper, 'superuser'), (2, l.rolreplication, 'replication'), (3, l.rolcreaterole, 'createrole')) AS m (n, holds, why)
           WHERE m.holds ORDER BY m.n)
       || ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_roles AS g
           WHERE g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
             AND NOT l.rolsuper AND pg_catalog.pg_has_role(l.oid, g.oid, 'MEMBER') ORDER BY 1)
       || ARRAY(SELECT 'a member of ' || g.rolname FROM pg_catalog.pg_roles AS g
           WHERE (g.rolsuper OR g.rolreplication OR g.rolcreaterole) AND g.oid <> l.oid
             AND NOT l.rolsuper AND pg_catalog.pg_has_role(l.oid, g.oid, 'MEMBER') ORDER BY 1) AS dangerous,
       ARRAY(SELECT a.proname::text FROM acting AS a
             UNION SELECT o.oprname::text FROM pg_catalog.pg_operator AS o JOIN acting AS a ON a.oid = o.oprcode) AS acting,
       pg_catalog.pg_current_snapshot()::text AS snapshot
FROM pg_catalog.pg_roles AS r, pg_catalog.pg_roles AS l
WHERE r.rolname = current_user AND l.rolname = session_user
