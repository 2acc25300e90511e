-- Constraints being validated right now. VALIDATE CONSTRAINT holds SHARE UPDATE EXCLUSIVE on the referencing table (ALTER TABLE). The text of
-- another login's query is shown to pg_read_all_stats only (The Cumulative Statistics System, Viewing Statistics): then, of all that takes
-- this lock, VACUUM, ANALYZE and CREATE INDEX are told by their progress, and the rest may be a validation: constraints is NULL.
-- CREATE INDEX and REINDEX CONCURRENTLY hold it on the table to their end, and whose progress it is every login may see; DROP INDEX
-- CONCURRENTLY reports none, and holds it on the index too (source: indexcmds.c, DefineIndex; index.c, index_drop).
SELECT l.relation::int8 AS "table",
       CASE WHEN a.visible THEN ARRAY(
           SELECT m[1] FROM pg_catalog.regexp_matches(a.query, 'VALIDATE\s+CONSTRAINT\s+("(?:[^"]|"")+"|[^\s";,]+)', 'gi') AS m) END AS constraints,
       l.pid IN (SELECT p.pid FROM pg_catalog.pg_stat_progress_create_index AS p)
           OR EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indexrelid = l.relation) AS building
FROM pg_catalog.pg_locks AS l
LEFT JOIN (SELECT s.pid, s.query, s.query <> '<insufficient privilege>' AS visible FROM pg_catalog.pg_stat_activity AS s) AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND l.pid NOT IN (SELECT p.pid FROM pg_catalog.pg_stat_progress_vacuum AS p)
  AND l.pid NOT IN (SELECT p.pid FROM pg_catalog.pg_stat_progress_analyze AS p)
