-- Indexes. indkey is 0-based and ends with the INCLUDE columns; an expression is 0 there (System Catalogs, pg_index).
-- Ordered: a btree whose first key lies in its type's own order, NULLs where ORDER BY has them (indoption 0 or 3).
SELECT i.indexrelid::int8 AS oid, x.relname AS name, i.indrelid::int8 AS "table",
       i.indisunique AS unique, i.indisprimary AS primary, i.indisexclusion AS exclusion, i.indimmediate AS immediate,
       i.indisvalid AS valid, i.indisready AS ready, i.indislive AS live,
       /* 15+ */ i.indnullsnotdistinct /* else */ false /* end */ AS nulls_not_distinct,
       i.indnkeyatts AS key_count, i.indkey::int2[] AS keys,
       x.relam = 403 AND i.indoption[0] IN (0, 3)
           AND (SELECT o.opcdefault FROM pg_catalog.pg_opclass AS o WHERE o.oid = i.indclass[0]) AS ordered,
       CASE WHEN i.indexprs IS NOT NULL THEN ARRAY(
           SELECT CASE WHEN i.indrelid = ANY ('{/* locked */}') THEN ''
                       WHEN i.indkey[k] = 0 THEN pg_catalog.pg_get_indexdef(i.indexrelid, k + 1, false) END
           FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k ORDER BY k) END AS expressions,
       CASE WHEN i.indisunique THEN (
           SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, o.opcname, o.opcdefault, ln.nspname, l.collname, en.nspname, e.oprname) ORDER BY k)
           FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k
           JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[k]
           JOIN pg_catalog.pg_namespace AS n ON n.oid = o.opcnamespace
           LEFT JOIN pg_catalog.pg_amop AS q ON q.amopfamily = o.opcfamily AND q.amopstrategy = 3 AND q.amopmethod = 403 -- btree
                 AND q.amoplefttype = o.opcintype AND q.amoprighttype = o.opcintype
           LEFT JOIN pg_catalog.pg_operator AS e ON e.oid = q.amopopr
           LEFT JOIN pg_catalog.pg_namespace AS en ON en.oid = e.oprnamespace
           LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = i.indcollation[k]
           LEFT JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace) END AS classes,
       CASE WHEN i.indpred IS NULL OR i.indrelid <> ALL ('{/* locked */}') THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) ELSE '' END AS predicate,
       coalesce((SELECT c.oid::int8 FROM pg_catalog.pg_constraint AS c
                 WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x') AND c.conrelid = i.indrelid), 0) AS "constraint",
       CASE WHEN x.relispartition
            THEN (SELECT h.inhparent::int8 FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = x.oid) ELSE 0 END AS parent,
       CASE WHEN i.indrelid <> ALL ('{/* locked */}') THEN pg_catalog.pg_get_indexdef(i.indexrelid) ELSE '' END AS definition
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid AND x.relpersistence <> 't'
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid AND c.relkind IN ('r', 'p', 'm')
WHERE i.indrelid >= 16384
ORDER BY i.indrelid, x.relname
