-- A role that can read and nothing else, as in README. PostgreSQL 14 and later; run as a superuser.
CREATE ROLE auditor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 5;
ALTER ROLE auditor SET default_transaction_read_only = on;
ALTER ROLE auditor SET temp_file_limit = '5GB';
GRANT pg_read_all_data TO auditor;
