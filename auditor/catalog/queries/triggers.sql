-- Triggers of users, and those internal ones of foreign keys that are not in their ordinary state O. tgtype bits: Catalog header pg_trigger.h, also read by
-- information_schema.triggers (1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate, 64 instead).
SELECT t.oid::int8, t.tgname AS name, t.tgrelid::int8 AS "table", t.tgfoid::int8 AS function, t.tgenabled AS enabled,
       t.tgisinternal AND t.tgconstraint <> 0 AS internal, t.tgconstraint::int8 AS "constraint", t.tgparentid::int8 AS parent, t.tgtype AS type,
       t.tgattr::int2[] AS columns, t.tgqual IS NOT NULL AS condition,
       -- RI_FKey_check_ins and RI_FKey_check_upd guard the referencing side, the others act for the referenced one (pg_proc.dat)
       t.tgfoid IN (1644, 1645) AS checks,
       CASE WHEN (t.tgisinternal AND t.tgconstraint <> 0) OR t.tgrelid = ANY ('{/* locked */}') THEN '' ELSE pg_catalog.pg_get_triggerdef(t.oid) END AS definition
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid AND c.relpersistence <> 't'
-- A partition's copy of a trigger counts as internal on 13 and 14.
WHERE NOT t.tgisinternal OR (t.tgconstraint <> 0 AND t.tgenabled <> 'O') OR (t.tgconstraint = 0 AND t.tgparentid <> 0)
ORDER BY t.tgrelid, t.tgname
