-- Indexes. indkey is 0-based and ends with the INCLUDE columns; an expression is 0 there (System Catalogs, pg_index).
-- Ordered: a btree whose first key has its NULLs where ORDER BY has them, last ascending or first descending (indoption 0, 3).
SELECT i.indexrelid::int8 AS oid, x.relname AS name, i.indrelid::int8 AS "table",
       i.indisunique AS unique, i.indisprimary AS primary, i.indisexclusion AS exclusion, i.indimmediate AS immediate,
       i.indisvalid AS valid, i.indisready AS ready, i.indislive AS live,
       /* 15+ */ i.indnullsnotdistinct /* else */ false /* end */ AS nulls_not_distinct,
       i.indnkeyatts AS key_count, i.indkey::int2[] AS keys,
       CASE WHEN i.indexprs IS NOT NULL THEN ARRAY(
           SELECT CASE WHEN i.indrelid = ANY ('{/* locked */}') THEN ''
                       WHEN i.indkey[k] = 0 THEN pg_catalog.pg_get_indexdef(i.indexrelid, k + 1, false) END
           FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k ORDER BY k) END AS expressions,
       i.indclass::oid[]::int8[] AS opclasses, i.indcollation::oid[]::int8[] AS collations,
       CASE WHEN i.indpred IS NULL OR i.indrelid <> ALL ('{/* locked */}') THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) ELSE '' END AS predicate,
       coalesce(k.oid::int8, 0) AS "constraint",
       CASE WHEN x.relispartition
            THEN (SELECT h.inhparent::int8 FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = x.oid) ELSE 0 END AS parent,
       x.relam = 403 AND i.indoption[0] IN (0, 3) AS ordered, m.amname AS method
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid AND x.relpersistence <> 't'
JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid AND c.relkind IN ('r', 'p', 'm')
LEFT JOIN pg_catalog.pg_constraint AS k
       ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = i.indrelid
WHERE i.indrelid >= 16384
ORDER BY i.indrelid, x.relname
