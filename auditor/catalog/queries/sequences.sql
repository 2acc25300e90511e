-- Sequences and the column each belongs to: pg_depend deptype i for identity, a for serial and OWNED BY.
SELECT s.seqrelid::int8 AS oid, n.nspname AS schema, c.relname AS name, pg_catalog.format_type(s.seqtypid, NULL) AS type,
       s.seqincrement::text AS increment, s.seqmin::text AS minimum, s.seqmax::text AS maximum, s.seqcycle AS cycles,
       CASE WHEN pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') AND s.seqrelid <> ALL ('{/* locked */}')
            THEN pg_catalog.pg_sequence_last_value(s.seqrelid)::text END AS last_value,
       d.refobjid::int8 AS owner_table, a.attname AS owner_column, coalesce(d.deptype::text, '') AS link
FROM pg_catalog.pg_sequence AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid AND c.relpersistence <> 't'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend AS d
       ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.seqrelid AND d.objsubid = 0
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE s.seqrelid >= 16384
ORDER BY n.nspname, c.relname
