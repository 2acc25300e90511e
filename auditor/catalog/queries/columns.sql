-- Columns. A privilege on the whole table is one on each: only without it they are asked one by one.
-- NOT NULL may be NOT VALID on 18: pg_attribute.attnotnull is set, and the 'n' row of pg_constraint is not validated.
SELECT a.attrelid::int8 AS "table", a.attnum AS number, a.attname AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.atttypid::int8 AS type_oid,
       a.attnotnull AS not_null, /* 18+ */ n.conrelid IS NULL /* else */ true /* end */ AS not_null_validated,
       CASE WHEN d.adrelid <> ALL ('{/* locked */}') THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS "default",
       a.attidentity AS identity, a.attgenerated AS generated,
       CASE WHEN l.oid <> 100 THEN cn.nspname END AS collation_schema, CASE WHEN l.oid <> 100 THEN l.collname END AS collation,
       coalesce(l.collisdeterministic, true) AS deterministic,
       c.readable OR pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable, t.description AS comment
FROM pg_catalog.pg_attribute AS a
JOIN (SELECT r.oid, pg_catalog.has_table_privilege(r.oid, 'SELECT') AS readable
      FROM pg_catalog.pg_class AS r
      WHERE r.relkind IN ('r', 'p', 'f', 'v', 'm') AND r.relpersistence <> 't' AND r.oid >= 16384
      OFFSET 0) AS c ON c.oid = a.attrelid -- OFFSET: once per relation, not per column
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
