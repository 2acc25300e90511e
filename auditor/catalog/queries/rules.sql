-- Rewrite rules on tables and views; the ones that make views are left out.
SELECT r.rulename AS name, r.ev_class::int8 AS "table", r.ev_type AS event, r.is_instead AS instead, r.ev_enabled AS enabled,
       CASE WHEN r.ev_class = ANY ('{/* locked */}') THEN '' ELSE pg_catalog.pg_get_ruledef(r.oid) END AS definition
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class AND c.relkind IN ('r', 'p', 'v') AND c.relpersistence <> 't'
WHERE r.ev_class >= 16384 AND r.ev_type <> '1'
ORDER BY r.ev_class, r.rulename
