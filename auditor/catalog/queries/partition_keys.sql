-- The columns that say into which partition a row belongs; 0, an expression, stands for any (System Catalogs, pg_partitioned_table).
SELECT p.partrelid::int8, a.attname
FROM pg_catalog.pg_partitioned_table AS p
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::int2[])
UNION
SELECT p.partrelid::int8, NULL FROM pg_catalog.pg_partitioned_table AS p WHERE 0 = ANY (p.partattrs::int2[])
