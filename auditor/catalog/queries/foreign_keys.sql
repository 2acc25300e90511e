-- Foreign keys, clones on partitions too (conparentid <> 0): their triggers belong to the constraint they repeat.
SELECT c.oid::int8, c.conname AS name, c.conrelid::int8 AS "table", c.conkey AS columns,
       c.confrelid::int8 AS referenced, c.confkey AS referenced_columns,
       c.confdeltype AS on_delete, c.confupdtype AS on_update, c.confmatchtype AS match,
       /* 15+ */ c.confdelsetcols /* else */ NULL::int2[] /* end */ AS delete_set_columns,
       c.conpfeqop::int8[] AS operators,
       c.convalidated AS validated,
       /* 18+ */ c.conenforced /* else */ true /* end */ AS enforced,
       c.condeferrable AS deferrable, c.condeferred AS deferred, c.conparentid::int8 AS parent,
       /* 18+ */ c.conperiod /* else */ false /* end */ AS period,
       c.conindid::int8 AS index, pg_catalog.pg_get_constraintdef(c.oid) AS definition
FROM pg_catalog.pg_constraint AS c
JOIN pg_catalog.pg_class AS r ON r.oid = c.conrelid AND r.relpersistence <> 't'
WHERE c.contype = 'f'
ORDER BY c.conrelid, c.conname
