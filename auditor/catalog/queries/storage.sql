-- Where the rows of each table lie: its file, and that of its TOAST table (System Catalogs, pg_class). A column that was
-- changed, and changed back, has another row in pg_attribute: which transactions wrote these is part of a definition.
SELECT c.oid::int8 AS "table", c.relfilenode::int8 AS main, coalesce(t.relfilenode, 0)::int8 AS toast, a.stamp
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_class AS t ON t.oid = c.reltoastrelid
LEFT JOIN (SELECT attrelid, pg_catalog.sum(xmin::text::int8)::int8 AS stamp FROM pg_catalog.pg_attribute
           WHERE attrelid >= 16384 GROUP BY attrelid) AS a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid >= 16384
