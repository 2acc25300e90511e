-- What the server would make us wait for when it deparses expressions and definitions: it locks the relations they speak of.
-- Sequences: their last value is read under ROW EXCLUSIVE. With the tables whose rules, and the functions (14+) whose body,
-- name a locked one.
WITH locked AS (
    SELECT DISTINCT l.relation AS oid
    FROM pg_catalog.pg_locks AS l
    JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
    WHERE l.locktype = 'relation' AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
      AND (l.mode = 'AccessExclusiveLock'
           OR c.relkind = 'S' AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock')))
SELECT oid::int8 FROM locked
UNION
SELECT r.ev_class::int8
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid IN (SELECT oid FROM locked)
UNION
SELECT d.objid::int8
FROM pg_catalog.pg_depend AS d
WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid IN (SELECT oid FROM locked)
ORDER BY 1
