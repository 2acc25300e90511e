-- Functions and procedures of the users with their text; a body in standard SQL (14+) is deparsed.
SELECT p.oid::int8, n.nspname AS schema, p.proname AS name, pg_catalog.pg_get_function_identity_arguments(p.oid) AS arguments,
       l.lanname AS language, p.prokind AS kind, pg_catalog.format_type(p.prorettype, NULL) AS returns,
       CASE WHEN l.lanname NOT IN ('sql', 'plpgsql') THEN ''
            ELSE /* 14+ */ coalesce(CASE WHEN p.oid <> ALL ('{/* locked */}') THEN pg_catalog.pg_get_function_sqlbody(p.oid) END, p.prosrc) /* else */ p.prosrc /* end */ END AS body,
       l.lanname NOT IN ('sql', 'plpgsql') AND p.prosrc ~* '\mon\s+conflict\M' AS says_conflict,
       p.oid = ANY ('{/* locked */}') AS locked,
       (SELECT pg_catalog.substr(s, 13) FROM pg_catalog.unnest(p.proconfig) AS s
        WHERE pg_catalog.starts_with(s, 'search_path=')) AS search_path
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY n.nspname, p.proname, 4
