-- Types that columns can have; a domain names the type it is over. typdefault is as it was deparsed when the default was made.
SELECT t.oid::int8, n.nspname AS schema, t.typname AS name, t.typtype AS kind, t.typcategory AS category,
       t.typbasetype::int8 AS base,
       CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END AS under,
       CASE t.typcategory WHEN 'A' THEN t.typelem::int8 ELSE 0 END AS element, t.typnotnull AS not_null, t.typcollation <> 0 AS collatable, coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault) AS "default",
       CASE t.typtype WHEN 'e' THEN ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) END AS labels
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typtype IN ('b', 'd', 'e', 'r', 'm')
