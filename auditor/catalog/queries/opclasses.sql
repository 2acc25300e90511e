-- Operator classes, and the operator by which a unique index of each calls two values the same: strategy 3 of a B-tree.
SELECT o.oid::int8, n.nspname AS schema, o.opcname AS name, o.opcdefault AS "default",
       en.nspname AS operator_schema, e.oprname AS operator
FROM pg_catalog.pg_opclass AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.opcnamespace
LEFT JOIN pg_catalog.pg_amop AS q ON q.amopfamily = o.opcfamily AND q.amopstrategy = 3 AND q.amopmethod = 403 -- btree
      AND q.amoplefttype = o.opcintype AND q.amoprighttype = o.opcintype
LEFT JOIN pg_catalog.pg_operator AS e ON e.oid = q.amopopr
LEFT JOIN pg_catalog.pg_namespace AS en ON en.oid = e.oprnamespace
