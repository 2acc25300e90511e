-- The internal triggers by which foreign keys act, in the order in which they fire: by name (Overview of Trigger Behavior). A
-- partition has its own, of a constraint that repeats the one declared: root. The functions are those of ri_triggers.c, by oid
-- (pg_proc.dat): 1645 checks a changed referencing row, 1646 to 1655 act for a referenced row.
WITH RECURSIVE declared(oid, root) AS (
    SELECT c.oid, c.oid FROM pg_catalog.pg_constraint AS c WHERE c.contype = 'f' AND c.conparentid = 0
    UNION ALL
    SELECT c.oid, d.root FROM pg_catalog.pg_constraint AS c JOIN declared AS d ON c.conparentid = d.oid)
SELECT t.tgrelid::int8, d.root::int8, t.tgfoid::int8, t.tgdeferrable AND t.tginitdeferred, t.tgenabled IN ('O', 'A')
FROM pg_catalog.pg_trigger AS t
JOIN declared AS d ON d.oid = t.tgconstraint
WHERE t.tgisinternal AND t.tgfoid BETWEEN 1645 AND 1655
ORDER BY t.tgrelid, t.tgname COLLATE "C"
