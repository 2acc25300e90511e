-- Constraints but foreign keys, of tables and of domains (conrelid = 0). A validated NOT NULL (18) says what attnotnull says.
SELECT c.oid::int8, c.conname AS name, c.contype AS type, c.conrelid::int8 AS "table", c.contypid::int8 AS domain,
       coalesce(c.conkey, '{}') AS columns, c.convalidated AS validated,
       /* 18+ */ c.conenforced /* else */ true /* end */ AS enforced,
       c.condeferrable AS deferrable, c.condeferred AS deferred, c.conparentid::int8 AS parent, c.connoinherit AS no_inherit,
       c.coninhcount AS inherited,
       c.conindid::int8 AS index,
       CASE WHEN c.contype = 'c' AND c.conrelid <> ALL ('{/* locked */}') THEN pg_catalog.pg_get_expr(c.conbin, c.conrelid) END AS expression,
       CASE WHEN c.contype IN ('c', 'x') AND c.conrelid <> ALL ('{/* locked */}') THEN pg_catalog.pg_get_constraintdef(c.oid) ELSE '' END AS definition
FROM pg_catalog.pg_constraint AS c
WHERE c.contype IN ('p', 'u', 'c', 'x', 'n') AND c.oid >= 16384 AND NOT (c.contype = 'n' AND c.conrelid <> 0 AND c.convalidated)
ORDER BY c.conrelid, c.conname
