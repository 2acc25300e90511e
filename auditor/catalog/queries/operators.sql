-- The operators that foreign keys compare with (pg_constraint.conpfeqop), each once, and the types they take.
SELECT o.oid::int8, n.nspname AS schema, o.oprname AS name, o.oprleft::int8 AS "left", o.oprright::int8 AS "right"
FROM pg_catalog.pg_operator AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
WHERE o.oid IN (SELECT pg_catalog.unnest(c.conpfeqop) FROM pg_catalog.pg_constraint AS c WHERE c.contype = 'f')
