-- Installed extensions, the relations that are theirs, and the schema of the C function by which pg_stat_statements tells what was
-- executed: its view has an owner, who could have it run anything.
SELECT e.extname AS name, e.extversion AS version, p.schema AS recorder, p.nested,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname))
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_class AS c ON c.oid = d.objid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
          AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e') AS relations
FROM pg_catalog.pg_extension AS e
LEFT JOIN LATERAL (
    SELECT n.nspname AS schema, coalesce('toplevel' = ANY (p.proargnames), false) AS nested
    FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang AND l.lanname = 'c'
    WHERE e.extname = 'pg_stat_statements' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
      AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e' AND p.proname = 'pg_stat_statements') AS p ON true
ORDER BY e.extname
