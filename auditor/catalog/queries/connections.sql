-- How many connections the server has left for ordinary logins. Of others' sessions some logins see no kind, see Gauge.
SELECT pg_catalog.current_setting('max_connections')::int - pg_catalog.current_setting('superuser_reserved_connections')::int
           /* 16+ */ - pg_catalog.current_setting('reserved_connections')::int /* else */ /* end */
           - (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a
              WHERE a.backend_type = 'client backend'
                 OR a.backend_type IS NULL AND a.datid IS NOT NULL AND a.usesysid IS NOT NULL)::int AS free
