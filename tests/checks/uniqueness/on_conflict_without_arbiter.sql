CREATE SCHEMA vlt;
CREATE TABLE credentials (id int PRIMARY KEY);
INSERT INTO credentials SELECT generate_series(1, 10);
-- incident 2: a primary key on id, a foreign key on credential_id, a unique constraint on vault_id
CREATE TABLE vlt.storage (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, credential_id int NOT NULL REFERENCES credentials, vault_id int UNIQUE, kind text, deleted_at timestamptz);
INSERT INTO vlt.storage (credential_id, vault_id, kind) VALUES (1, 1, 'a'), (1, 2, 'a'), (2, 3, 'b'), (2, 4, 'b'), (2, 5, 'c'), (3, 6, NULL);
CREATE UNIQUE INDEX storage_kind ON vlt.storage (kind, vault_id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX storage_lower ON vlt.storage (lower(kind), id);
CREATE TABLE vlt.later (a int UNIQUE DEFERRABLE, b int UNIQUE, CHECK (a > 0));

CREATE FUNCTION vlt.put(int) RETURNS void LANGUAGE plpgsql AS $$ -- finds: vlt.put() fails: no unique index of vlt.storage serves ON CONFLICT (credential_id); 5 rows of vlt.storage share 2 values
BEGIN
    INSERT INTO vlt.storage (credential_id, vault_id) VALUES ($1, 9) ON CONFLICT (vault_id) DO NOTHING;
    -- ON CONFLICT (nothing) DO NOTHING
    INSERT INTO vlt.storage AS s (credential_id, vault_id) VALUES ($1, 9)
    ON CONFLICT (credential_id) DO UPDATE SET vault_id = EXCLUDED.vault_id WHERE s.id > 0;
    INSERT INTO vlt.storage (credential_id, vault_id) VALUES ($1, 9) ON CONFLICT (credential_id) DO NOTHING;
END $$;
CREATE PROCEDURE vlt."Put ""It"""() LANGUAGE plpgsql AS $$ -- finds: vlt."Put ""It"""() fails: no unique index of vlt.storage serves ON CONFLICT (kind, credential_id) WHERE deleted_at IS NULL; 4 rows of vlt.storage share 2 values
BEGIN
    EXECUTE 'INSERT INTO storage (kind) VALUES (''x'') ON CONFLICT (kind, credential_id) WHERE deleted_at IS NULL DO NOTHING';
END $$;
CREATE FUNCTION by_kind() RETURNS void LANGUAGE sql AS 'INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT (kind, vault_id) DO NOTHING'; -- finds: public.by_kind() fails: no unique index of vlt.storage serves ON CONFLICT (kind, vault_id)
CREATE FUNCTION by_upper() RETURNS void LANGUAGE sql AS 'INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT (upper(kind), id) DO NOTHING'; -- finds: public.by_upper() fails: no unique index of vlt.storage serves ON CONFLICT (upper(kind), id)
CREATE FUNCTION by_index() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT ON CONSTRAINT storage_lower DO NOTHING; END'; -- finds: public.by_index() fails: vlt.storage has no constraint storage_lower, which ON CONFLICT ON CONSTRAINT storage_lower names
CREATE FUNCTION by_check() RETURNS void LANGUAGE sql AS 'INSERT INTO vlt.later VALUES (1) ON CONFLICT ON CONSTRAINT later_a_check DO NOTHING'; -- finds: public.by_check() fails: the constraint later_a_check of vlt.later cannot serve ON CONFLICT ON CONSTRAINT later_a_check
CREATE FUNCTION deferred() RETURNS void LANGUAGE sql AS 'INSERT INTO vlt.later VALUES (1) ON CONFLICT (a) DO NOTHING'; -- finds: public.deferred() fails: ON CONFLICT (a) meets a deferrable constraint of vlt.later
CREATE FUNCTION whatever() RETURNS void LANGUAGE sql AS 'INSERT INTO vlt.later VALUES (1) ON CONFLICT DO NOTHING'; -- finds: public.whatever() fails: ON CONFLICT DO NOTHING meets a deferrable constraint of vlt.later
CREATE FUNCTION untold() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO vlt.later VALUES (1) ON CONFLICT DO UPDATE SET b = 1; END'; -- finds: public.untold() fails: ON CONFLICT DO UPDATE needs a target
CREATE FUNCTION dynamic() RETURNS void LANGUAGE plpgsql AS $$ -- finds: public.dynamic() fails: no unique index of vlt.storage serves ON CONFLICT (kind); 4 rows of vlt.storage share 2 values
BEGIN
    EXECUTE format('INSERT INTO %I.storage (kind) VALUES (%L) ', 'vlt', 'x') || 'ON CONFLICT (kind) DO NOTHING';
END $$;
-- a rule, a view, and a table with a rule
CREATE TABLE leaving (id int);
CREATE RULE put AS ON DELETE TO leaving DO ALSO INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT (credential_id) DO NOTHING; -- finds: An upsert of the rule put of public.leaving fails: no unique index of vlt.storage serves ON CONFLICT (credential_id); 5 rows of vlt.storage share 2 values
CREATE VIEW vlt.vaults AS SELECT id AS number, vault_id AS vault, kind AS id FROM vlt.storage;
CREATE FUNCTION through() RETURNS void LANGUAGE sql AS 'INSERT INTO vlt.vaults (vault) VALUES (1) ON CONFLICT (id) DO NOTHING'; -- finds: public.through() fails: no unique index of vlt.storage serves ON CONFLICT (kind); 4 rows of vlt.storage share 2 values
CREATE TABLE vlt.ruled (a int UNIQUE);
CREATE RULE kept AS ON UPDATE TO vlt.ruled DO INSTEAD NOTHING;
CREATE FUNCTION beside() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO vlt.ruled VALUES (1) ON CONFLICT (a) DO NOTHING; END'; -- finds: public.beside() fails: ON CONFLICT (a) is not supported beside the rules of vlt.ruled

-- SQL handed over
-- handed over: -- a file of the application
-- handed over: \set ON_ERROR_STOP 1
-- handed over: INSERT INTO vlt.storage (vault_id) VALUES ($1) ON CONFLICT (vault_id) DO NOTHING;
-- handed over: INSERT INTO vlt.storage (kind) VALUES (:'x') ON CONFLICT (kind) DO NOTHING; -- finds: An upsert of queries.sql fails: no unique index of vlt.storage serves ON CONFLICT (kind); 4 rows of vlt.storage share 2 values

-- neighbours: order, predicate, expression, constraint, none at all; the server recognises another spelling
CREATE FUNCTION well() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT (vault_id, kind) WHERE deleted_at IS NULL AND id > 1 DO NOTHING;
    INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT (id, LOWER( kind )) DO NOTHING;
    INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT (id, lower(kind::text)) DO NOTHING;
    INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT ON CONSTRAINT storage_pkey DO UPDATE SET kind = 'x';
    INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT DO NOTHING;
    INSERT INTO vlt.later VALUES (1, 1) ON CONFLICT (b) DO NOTHING;
    INSERT INTO vlt.vaults (vault) VALUES (1) ON CONFLICT (vault) DO UPDATE SET id = 'x';
    EXECUTE format('INSERT INTO vlt.storage (kind) VALUES (%L) ON CONFLICT (vault_id) DO NOTHING', now());
    RAISE NOTICE 'INSERT INTO vlt.storage VALUES (1) ON CONFLICT (kind) DO NOTHING';
END $$;
CREATE RULE get AS ON UPDATE TO leaving DO ALSO INSERT INTO vlt.storage (vault_id) VALUES (1) ON CONFLICT (vault_id) DO NOTHING;
-- a temporary table of its own; its own search_path; a join on a table called conflict
CREATE FUNCTION apart() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE storage (a int UNIQUE);
    INSERT INTO storage VALUES (1) ON CONFLICT (a) DO NOTHING;
END $$;
CREATE SCHEMA near;
CREATE TABLE near.storage (kind text PRIMARY KEY);
CREATE TABLE storage_of (kind text);
CREATE FUNCTION vlt.near() RETURNS void LANGUAGE plpgsql SET search_path = near, vlt AS $$
BEGIN
    INSERT INTO storage (kind) SELECT c.kind FROM storage_of c JOIN storage conflict ON conflict.kind = c.kind ON CONFLICT (kind) DO NOTHING;
END $$;
