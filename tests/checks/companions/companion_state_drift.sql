CREATE SCHEMA app;

-- configured: 2 are in force with a deleted row in the vault, 1 is revoked and lives on there
CREATE TABLE app.credentials (id int PRIMARY KEY, revoked_at timestamptz, deleted_at timestamptz);
CREATE TABLE app.vault (id int PRIMARY KEY, credential_id int REFERENCES app.credentials, revoked_at int, deleted_at timestamptz); -- finds: 2 rows of app.credentials contradict their rows in app.vault: (revoked_at IS NULL) here, not (deleted_at IS NULL) there
INSERT INTO app.credentials SELECT n, CASE WHEN n IN (5, 6) THEN now() END FROM generate_series(1, 10) AS n;
INSERT INTO app.vault SELECT n, n, 1, CASE WHEN n IN (1, 2, 6) THEN now() END FROM generate_series(1, 9) AS n; -- finds: 1 row of app.credentials contradicts its row in app.vault: not (revoked_at IS NULL) here, (deleted_at IS NULL) there
-- neighbours: 10 has no row there (missing_companion); 9 had one before, deleted, and has one in force
INSERT INTO app.vault VALUES (19, 9, 1, now());
-- config: [[companion]]
-- config: of = "app.credentials"
-- config: in = "app.vault(credential_id)"
-- config: same_state = ["revoked_at IS NULL = deleted_at IS NULL"]

-- configured: conditions with an = of their own; quoted names, composite key; NULL holds for none; a row replaced by a newer one counts no more
CREATE TABLE app."Left" (a int, "B c" int, status text, PRIMARY KEY (a, "B c"));
CREATE TABLE app."Right" (x int, y int, "is on" boolean, deleted_at timestamptz);
INSERT INTO app."Left" VALUES (1, 1, 'open'), (1, 2, NULL), (1, 3, 'shut'), (1, 4, 'open'), (1, 5, 'shut'), (1, 6, 'open'), (1, 7, NULL);
INSERT INTO app."Right" VALUES (1, 7, true); -- finds: 1 row of app."Left" contradicts its row in app."Right": not (status = 'open') here, ("is on") there
INSERT INTO app."Right" VALUES (1, 1, true), (1, 2, NULL), (1, 3, false), (1, 4, NULL), (1, 5, false); -- finds: 1 row of app."Left" contradicts its row in app."Right": (status = 'open') here, not ("is on") there
INSERT INTO app."Right" VALUES (1, 5, true, now());
-- config: [[companion]]
-- config: of = 'app."Left"(a, "B c")'
-- config: in = 'app."Right"(x, y)'
-- config: same_state = ["(status = 'open') = \"is on\""]

-- inferred: columns of both tables say whether a row is in force
CREATE TABLE app.users (id int PRIMARY KEY, is_active boolean NOT NULL, deleted_at timestamptz);
CREATE TABLE app.logins (user_id int PRIMARY KEY REFERENCES app.users, is_deleted boolean NOT NULL DEFAULT false);
INSERT INTO app.users SELECT n, n <> 4, CASE WHEN n IN (1, 2, 3) THEN now() END FROM generate_series(1, 30) AS n;
INSERT INTO app.logins SELECT n, n IN (1, 10) FROM generate_series(1, 29) AS n; -- finds: 1 row of app.users is live (is_active, deleted_at), but its row in app.logins is not (is_deleted)
-- finds: 3 rows of app.users are not live (is_active, deleted_at), but their rows in app.logins are (is_deleted)

-- neighbours
-- agreeing, both sides
CREATE TABLE app.clean (id int PRIMARY KEY, user_id int NOT NULL UNIQUE REFERENCES app.users, deleted_at timestamptz);
INSERT INTO app.clean SELECT n, n, CASE WHEN n < 5 THEN now() END FROM generate_series(1, 30) AS n;
-- nothing says whether a row is in force
CREATE TABLE app.avatars (user_id int PRIMARY KEY REFERENCES app.users);
INSERT INTO app.avatars SELECT generate_series(1, 30);
CREATE TABLE app.plain (id int PRIMARY KEY);
CREATE TABLE app.plain_extra (plain_id int PRIMARY KEY REFERENCES app.plain, deleted_at timestamptz);
INSERT INTO app.plain VALUES (1);
INSERT INTO app.plain_extra VALUES (1, now());
-- many rows per row: no companion
CREATE TABLE app.posts (id int PRIMARY KEY, user_id int REFERENCES app.users, deleted_at timestamptz);
INSERT INTO app.posts VALUES (1, 1, NULL), (2, 10, now());
-- rows that a trigger adds for each row, with a life of their own
CREATE TABLE app.teams (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE app.invitations (id serial PRIMARY KEY, team_id int REFERENCES app.teams, deleted_at timestamptz);
CREATE FUNCTION app.invite() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO app.invitations (team_id) VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER invite AFTER INSERT ON app.teams FOR EACH ROW EXECUTE FUNCTION app.invite();
INSERT INTO app.teams VALUES (1, NULL), (2, now());
-- configured, agreeing, with several rows of which one is in force
CREATE TABLE app.keys (id int PRIMARY KEY, revoked_at timestamptz);
CREATE TABLE app.key_versions (id int PRIMARY KEY, key_id int REFERENCES app.keys, revoked_at timestamptz);
INSERT INTO app.keys VALUES (1, NULL), (2, now());
INSERT INTO app.key_versions VALUES (1, 1, now()), (2, 1, NULL), (3, 2, now()), (4, 2, now());
-- config: [[companion]]
-- config: of = "app.keys"
-- config: in = "app.key_versions(key_id)"
-- config: same_state = ["revoked_at IS NULL = revoked_at IS NULL"]
