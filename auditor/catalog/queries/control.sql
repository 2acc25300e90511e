-- The cluster's own name: the same in all its databases and standbys (System Information Functions, Control Data Functions).
SELECT s.system_identifier::text AS system_identifier FROM pg_catalog.pg_control_system() AS s
