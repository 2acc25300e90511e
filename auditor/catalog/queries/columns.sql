-- One row per column, as an array: the largest result, which names of keys would double. `read._column` takes it apart.
-- NOT NULL may be NOT VALID on 18: pg_attribute.attnotnull is set, and the 'n' row of pg_constraint is not validated.
SELECT pg_catalog.json_build_array(
           a.attrelid::int8, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid::int8,
           a.attnotnull, /* 18+ */ n.conrelid IS NULL /* else */ true /* end */,
           CASE WHEN d.adrelid <> ALL ('{/* locked */}') THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END, a.attidentity, a.attgenerated,
           CASE WHEN l.oid <> 100 THEN cn.nspname END, CASE WHEN l.oid <> 100 THEN l.collname END,
           coalesce(l.collisdeterministic, true),
           pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'), t.description)
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't'
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation AND a.attcollation <> 100
LEFT JOIN pg_catalog.pg_namespace AS cn ON cn.oid = l.collnamespace
LEFT JOIN pg_catalog.pg_description AS t
       ON t.objoid = a.attrelid AND t.objsubid = a.attnum AND t.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
/* 18+ */
LEFT JOIN pg_catalog.pg_constraint AS n
       ON n.contype = 'n' AND n.conrelid = a.attrelid AND n.conkey[1] = a.attnum AND NOT n.convalidated
/* else */ /* end */
WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
