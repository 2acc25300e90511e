-- The collations of indexes, each once, with the version that was recorded for them and the one the library has now (System
-- Information Functions, Collation Object Functions). That of the database's own is recorded from 15 on.
SELECT l.oid::int8, n.nspname AS schema, l.collname AS name,
       /* 15+ */ CASE l.oid WHEN 100 THEN (SELECT d.datcollversion FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
       ELSE l.collversion END /* else */ l.collversion /* end */ AS recorded,
       /* 15+ */ CASE l.oid WHEN 100 -- of which pg_collation_actual_version knows nothing on 15
            THEN (SELECT pg_catalog.pg_database_collation_actual_version(d.oid) FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
       ELSE pg_catalog.pg_collation_actual_version(l.oid) END /* else */ pg_catalog.pg_collation_actual_version(l.oid) /* end */ AS actual
FROM pg_catalog.pg_collation AS l
JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace
WHERE l.oid IN (SELECT pg_catalog.unnest(i.indcollation) FROM pg_catalog.pg_index AS i)
