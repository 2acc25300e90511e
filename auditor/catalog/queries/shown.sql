-- What information_schema shows this login, beside what pg_constraint holds. information_schema lists constraints only of
-- tables the login owns or may change (The Information Schema, table_constraints): SELECT alone shows none.
SELECT k.kind, k.held, coalesce(s.shown, 0) AS shown
FROM (SELECT CASE c.contype WHEN 'f' THEN 'FOREIGN KEY' WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' END AS kind,
             count(*) AS held
      FROM pg_catalog.pg_constraint AS c
      JOIN pg_catalog.pg_class AS r ON r.oid = c.conrelid AND r.relpersistence <> 't'
      WHERE c.contype IN ('f', 'p', 'u') AND c.conrelid >= 16384
      GROUP BY 1) AS k
LEFT JOIN (SELECT t.constraint_type AS kind, count(*) AS shown
           FROM information_schema.table_constraints AS t
           WHERE t.table_schema NOT IN ('pg_catalog', 'information_schema')
           GROUP BY 1) AS s ON s.kind::text = k.kind
ORDER BY 1
