-- Installed extensions, and the relations that are theirs.
SELECT e.extname AS name, e.extversion AS version,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname))
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_class AS c ON c.oid = d.objid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
          AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e') AS relations
FROM pg_catalog.pg_extension AS e
ORDER BY e.extname
