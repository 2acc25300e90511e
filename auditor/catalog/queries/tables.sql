-- Relations of the users: oids below 16384 belong to initdb (System Catalogs, pg_class); no temporary ones. Of those of an
-- extension only what foreign keys reference, and marked so.
SELECT c.oid::int8, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relpersistence AS persistence,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner, c.relispartition AS is_partition,
       CASE WHEN c.relhassubclass OR c.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid)
            THEN ARRAY(SELECT i.inhparent::int8 FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno)
            END AS parents,
       c.reltuples AS rows, c.relpages AS pages, c.relallvisible AS all_visible,
       c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AS row_security,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS schema_usable,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
       t.description AS comment, c.oid = ANY ('{/* locked */}') AS locked, d.objid IS NOT NULL AS of_extension,
       -- 8: INSERT goes through it (documentation: CREATE VIEW, Updatable Views)
       CASE WHEN c.relkind = 'v' AND c.oid <> ALL ('{/* locked */}') AND pg_catalog.pg_relation_is_updatable(c.oid, false) & 8 = 8
            THEN pg_catalog.pg_get_viewdef(c.oid) END AS definition
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_description AS t
       ON t.objoid = c.oid AND t.objsubid = 0 AND t.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_depend AS d
       ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND (d.objid IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.contype = 'f' AND k.confrelid = c.oid))
ORDER BY n.nspname, c.relname
