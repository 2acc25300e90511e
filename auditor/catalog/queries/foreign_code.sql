-- Functions that planning a query of a table runs, or planning an INSERT into it, and that belong neither to a superuser nor to this login; for
-- a login under which that would be dangerous only. The planner evaluates immutable functions in the expressions and predicates of indexes,
-- in extended statistics, CHECKs, partition keys and generated columns (source: plancat.c, relcache.c); INSERT has defaults, too.
WITH RECURSIVE reached (relation, inserting, class, object) AS (
    SELECT i.indrelid, false, 'pg_catalog.pg_class'::pg_catalog.regclass::oid, i.indexrelid
    FROM pg_catalog.pg_index AS i WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
    UNION ALL SELECT s.stxrelid, false, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid FROM pg_catalog.pg_statistic_ext AS s
    UNION ALL SELECT c.conrelid, false, 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid
    FROM pg_catalog.pg_constraint AS c WHERE c.contype = 'c' AND c.conrelid <> 0
    UNION ALL SELECT d.adrelid, a.attgenerated = '', 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid
    FROM pg_catalog.pg_attrdef AS d JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    UNION ALL SELECT p.partrelid, false, 'pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid FROM pg_catalog.pg_partitioned_table AS p
    /* 15+ */ /* else */ -- what a generated column depends on, the column does itself
    UNION ALL SELECT d.objid, false, d.refclassid, d.refobjid
    FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.objid AND a.attnum = d.objsubid AND a.attgenerated <> ''
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid >= 16384
      AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
    /* end */
    UNION
    SELECT r.relation, r.inserting, n.class, n.object
    FROM reached AS r, LATERAL (
        SELECT d.refclassid AS class, d.refobjid AS object
        FROM pg_catalog.pg_depend AS d
        WHERE d.classid = r.class AND d.objid = r.object AND d.objsubid = 0 AND d.refobjid >= 16384
          AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass,
                               'pg_catalog.pg_type'::pg_catalog.regclass)
        UNION ALL -- the CHECKs of a domain
        SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid
        FROM pg_catalog.pg_constraint AS c WHERE r.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND c.contypid = r.object) AS n
    WHERE r.class <> 'pg_catalog.pg_proc'::pg_catalog.regclass
)
SELECT DISTINCT r.relation::int8 AS "table", n.nspname AS schema, p.proname AS function,
       pg_catalog.pg_get_userbyid(p.proowner) AS owner, r.inserting
FROM reached AS r
JOIN pg_catalog.pg_proc AS p ON r.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = r.object
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_roles AS o ON o.oid = p.proowner AND NOT o.rolsuper AND o.rolname <> current_user
WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS l WHERE l.rolname = current_user
              AND (l.rolsuper OR l.rolreplication OR l.rolcreaterole
                   OR EXISTS (SELECT FROM pg_catalog.pg_roles AS g
                              WHERE g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
                                AND pg_catalog.pg_has_role(l.oid, g.oid, 'MEMBER'))))
ORDER BY 1, 2, 3
