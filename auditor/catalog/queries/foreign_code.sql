-- Functions that planning a query of a table runs, or planning an INSERT into it, and that belong neither to a superuser nor to the role that
-- has logged in, whichever is preset for it (a function may SET ROLE NONE); for a login under which that would be dangerous only. The planner
-- evaluates immutable functions in the expressions and predicates of indexes, in extended statistics, CHECKs, partition keys and generated columns (source: plancat.c, relcache.c); INSERT has defaults, too.
-- Reading a column calls them where its type has a cast of theirs, which the search for an operator may take (documentation: Type Conversion,
-- Operators), or a CHECK of a domain.
WITH RECURSIVE theirs AS (
    SELECT p.oid, n.nspname AS schema, p.proname AS function, o.rolname AS owner
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_roles AS o ON o.oid = p.proowner AND NOT o.rolsuper AND o.rolname <> session_user
    WHERE p.oid >= 16384
      AND EXISTS (SELECT FROM pg_catalog.pg_roles AS l WHERE l.rolname = session_user
                  AND (l.rolsuper OR l.rolreplication OR l.rolcreaterole
                       OR EXISTS (SELECT FROM pg_catalog.pg_roles AS g
                                  WHERE (g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
                                         OR g.rolsuper OR g.rolreplication OR g.rolcreaterole)
                                    AND pg_catalog.pg_has_role(l.oid, g.oid, 'MEMBER'))))
), used (class, object, function) AS ( -- what is made of them: operators, casts, domains by their CHECKs, types of these, and where they stand
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, t.oid, t.oid FROM theirs AS t
    UNION
    SELECT n.class, n.object, u.function
    FROM used AS u, LATERAL (
        SELECT d.classid AS class, d.objid AS object
        FROM pg_catalog.pg_depend AS d
        WHERE d.refclassid = u.class AND d.refobjid = u.object AND d.objsubid = 0
          AND u.class IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)
          AND d.classid IN ('pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_cast'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass,
                            'pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, 'pg_catalog.pg_attrdef'::pg_catalog.regclass)
        UNION ALL
        SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.contypid
        FROM pg_catalog.pg_constraint AS c
        WHERE u.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND c.oid = u.object AND c.contypid <> 0
        UNION ALL
        SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid
        FROM pg_catalog.pg_cast AS c, pg_catalog.unnest(ARRAY[c.castsource, c.casttarget]) AS t (oid)
        WHERE u.class = 'pg_catalog.pg_cast'::pg_catalog.regclass AND c.oid = u.object AND t.oid >= 16384
        UNION ALL -- a column of a composite type makes the type what its own type is
        SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.reltype
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.reltype <> 0
        WHERE u.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND a.atttypid = u.object AND a.attnum > 0
        /* 15+ */ /* else */ UNION ALL -- what a generated column depends on, the column does itself
        SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, f.oid
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.objid AND a.attnum = d.objsubid AND a.attgenerated <> ''
        JOIN pg_catalog.pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = u.class AND d.refobjid = u.object
          AND u.class IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
        /* end */) AS n
), held (relation, inserting, function) AS (
    SELECT coalesce(i.indrelid, u.object), false, u.function
    FROM used AS u
    LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = u.object
    WHERE u.class = 'pg_catalog.pg_class'::pg_catalog.regclass
    UNION SELECT a.attrelid, false, u.function FROM used AS u
    JOIN pg_catalog.pg_attribute AS a ON u.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND a.atttypid = u.object AND a.attnum > 0
    UNION SELECT s.stxrelid, false, u.function FROM used AS u
    JOIN pg_catalog.pg_statistic_ext AS s ON u.class = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND s.oid = u.object
    UNION SELECT c.conrelid, false, u.function FROM used AS u
    JOIN pg_catalog.pg_constraint AS c ON u.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND c.oid = u.object AND c.conrelid <> 0
    UNION SELECT d.adrelid, a.attgenerated = '', u.function FROM used AS u
    JOIN pg_catalog.pg_attrdef AS d ON u.class = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.oid = u.object
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
)
SELECT h.relation::int8 AS "table", t.schema, t.function, t.owner, h.inserting
FROM held AS h
JOIN theirs AS t ON t.oid = h.function
ORDER BY 1, 2, 3
