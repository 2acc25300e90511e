-- The collations of indexes, each once.
SELECT l.oid::int8, n.nspname AS schema, l.collname AS name
FROM pg_catalog.pg_collation AS l
JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace
WHERE l.oid IN (SELECT pg_catalog.unnest(i.indcollation) FROM pg_catalog.pg_index AS i)
