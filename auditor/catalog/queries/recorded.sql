-- Statements of this database that pg_stat_statements has recorded and that say ON CONFLICT, and those whose text it hides.
-- Constants stand as $1 (documentation: pg_stat_statements).
SELECT nullif(s.query, '<insufficient privilege>') AS text, /* nested */ AS nested
FROM /* recorder */(true) AS s
WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND (s.query IS NULL OR s.query = '<insufficient privilege>' OR s.query ~* '\mon\s+conflict\M')
ORDER BY 1, 2
