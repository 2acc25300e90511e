-- Sequences and the column each belongs to: pg_depend deptype i for identity, a for serial and OWNED BY. A DEFAULT that
-- draws from one depends on it, whoever owns it. Unlogged ones (15+) cannot be read in recovery.
SELECT s.seqrelid::int8 AS oid, n.nspname AS schema, c.relname AS name, pg_catalog.format_type(s.seqtypid, NULL) AS type,
       s.seqstart::text AS start, s.seqincrement::text AS increment, s.seqmin::text AS minimum, s.seqmax::text AS maximum,
       s.seqcycle AS cycles, c.relpersistence AS persistence,
       CASE WHEN pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') AND s.seqrelid <> ALL ('{/* locked */}')
                 AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
            THEN pg_catalog.pg_sequence_last_value(s.seqrelid)::text END AS last_value,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT') AS readable,
       s.seqrelid = ANY ('{/* locked */}') AS locked,
       d.refobjid::int8 AS owner_table, a.attname AS owner_column, coalesce(d.deptype::text, '') AS link, f.drawn
FROM pg_catalog.pg_sequence AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid AND c.relpersistence <> 't'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend AS d
       ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.seqrelid AND d.objsubid = 0
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
LEFT JOIN (SELECT e.refobjid AS sequence, pg_catalog.json_agg(pg_catalog.json_build_array(b.attrelid::int8, b.attname)) AS drawn
           FROM pg_catalog.pg_depend AS e
           JOIN pg_catalog.pg_attrdef AS v ON v.oid = e.objid
           JOIN pg_catalog.pg_attribute AS b ON b.attrelid = v.adrelid AND b.attnum = v.adnum
           WHERE e.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
             AND e.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.refobjsubid = 0
           GROUP BY 1) AS f ON f.sequence = s.seqrelid
WHERE s.seqrelid >= 16384
ORDER BY n.nspname, c.relname
