CREATE SCHEMA app;
CREATE TABLE app.credentials (id int PRIMARY KEY);
INSERT INTO app.credentials SELECT generate_series(1, 30);

-- configured: exactly one, and nothing enforces it; 3 and 4 are held more than once, a NULL belongs to nobody
CREATE TABLE app.vault (id int PRIMARY KEY, credential_id int REFERENCES app.credentials, created_at timestamptz); -- finds: app.vault holds 5 rows for 2 values of credential_id, where one each is due
INSERT INTO app.vault SELECT n, n FROM generate_series(1, 10) AS n;
INSERT INTO app.vault VALUES (20, 3, now()), (21, 4, NULL), (22, 4, now()), (23, NULL, NULL), (24, NULL, NULL);
-- config: [[companion]]
-- config: of = "app.credentials"
-- config: in = "app.vault(credential_id)"
-- config: exactly_one = true

-- configured: of several only those in force count
CREATE TABLE app.tokens (id int, credential_id int, revoked_at timestamptz, is_active boolean); -- finds: app.tokens holds 2 live rows for 1 value of credential_id, where one each is due
INSERT INTO app.tokens VALUES (1, 1, NULL, true), (2, 1, now(), true), (3, 1, NULL, false), (4, 2, NULL, true), (5, 2, NULL, true), (6, 3, now(), true), (7, 3, now(), true);
-- config: [[companion]]
-- config: of = "app.credentials"
-- config: in = "app.tokens(credential_id)"
-- config: exactly_one = true

-- configured over a composite key and quoted names
CREATE TABLE app."Places" (site int, room int, PRIMARY KEY (site, room));
CREATE TABLE app."Plan ""B""" (room int, "The Site" int); -- finds: app."Plan ""B""" holds 2 rows for 1 value of ("The Site", room), where one each is due
INSERT INTO app."Plan ""B""" VALUES (1, 1), (1, 2), (2, 1), (2, 1), (3, NULL), (3, NULL);
-- config: [[companion]]
-- config: of = 'app."Places"'
-- config: in = 'app."Plan ""B"""("The Site", room)'
-- config: exactly_one = true

-- inferred: a function upserts by a column that nothing makes unique
CREATE TABLE app.quotas (id serial PRIMARY KEY, credential_id int NOT NULL REFERENCES app.credentials, n int); -- finds: app.quotas holds 4 rows for 2 values of credential_id, where one each is due
INSERT INTO app.quotas (credential_id) VALUES (1), (1), (2), (2), (3);
CREATE PROCEDURE app.raise(c int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO "app"."quotas" (credential_id, n) VALUES (c, 1) ON CONFLICT (credential_id) DO UPDATE SET n = quotas.n + 1;
END $$;

-- neighbours
-- several are allowed
CREATE TABLE app.scopes (id int PRIMARY KEY, credential_id int REFERENCES app.credentials);
INSERT INTO app.scopes VALUES (1, 1), (2, 1);
-- config: [[companion]]
-- config: of = "app.credentials"
-- config: in = "app.scopes(credential_id)"
-- a unique index keeps one among those not deleted
CREATE TABLE app.certificates (id int PRIMARY KEY, credential_id int REFERENCES app.credentials, deleted_at timestamptz);
CREATE UNIQUE INDEX ON app.certificates (credential_id) WHERE deleted_at IS NULL;
INSERT INTO app.certificates VALUES (1, 1, now()), (2, 1, now()), (3, 1, NULL);
-- config: [[companion]]
-- config: of = "app.credentials"
-- config: in = "app.certificates(credential_id)"
-- config: exactly_one = true
-- an upsert by another key
CREATE TABLE app.uses (id int PRIMARY KEY, credential_id int REFERENCES app.credentials, day date, UNIQUE (credential_id, day));
INSERT INTO app.uses VALUES (1, 1, '2026-01-01'), (2, 1, '2026-01-02');
CREATE FUNCTION app.use(c int) RETURNS void LANGUAGE sql AS 'INSERT INTO app.uses VALUES (9, c, CURRENT_DATE) ON CONFLICT (credential_id, day) DO NOTHING';
-- a foreign key that has many rows by nature
CREATE TABLE app.calls (id int PRIMARY KEY, credential_id int REFERENCES app.credentials);
INSERT INTO app.calls SELECT n, 1 + n % 3 FROM generate_series(1, 50) AS n;
-- single, and the index says so
CREATE TABLE app.limits (credential_id int PRIMARY KEY REFERENCES app.credentials);
INSERT INTO app.limits VALUES (1), (2);
