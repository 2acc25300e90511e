CREATE SCHEMA app;
-- config: [soft_delete]
-- config: columns = { deleted_at = "IS NOT NULL", is_gone = "IS TRUE" }
-- config: history = ["app.statements"]
CREATE TABLE app.users (id int PRIMARY KEY, deleted_at timestamptz);
INSERT INTO app.users VALUES (1, NULL), (2, now()), (3, now());

-- soft-deleted itself: one row is, two are live; another style on each side
CREATE TABLE app.notes (id int PRIMARY KEY, user_id int CONSTRAINT notes_user REFERENCES app.users, is_gone boolean); -- finds: 2 live rows of app.notes belong to 2 deleted rows of app.users
INSERT INTO app.notes VALUES (1, 1, false), (2, 2, false), (3, 3, NULL), (4, 3, true), (5, NULL, false);
-- no mark of its own: with a cascade, and without
CREATE TABLE app.sessions (id int PRIMARY KEY, user_id int REFERENCES app.users ON DELETE CASCADE); -- finds: 1 row of app.sessions belongs to 1 deleted row of app.users
INSERT INTO app.sessions VALUES (1, 1), (2, 2);
CREATE TABLE app.orders (id int PRIMARY KEY, user_id int REFERENCES app.users); -- finds: 2 rows of app.orders belong to 1 deleted row of app.users
INSERT INTO app.orders VALUES (1, 1), (2, 2), (3, 2);
-- declared twice, and named in the configuration besides: told once
CREATE TABLE app.visits (id int PRIMARY KEY, user_id int CONSTRAINT a REFERENCES app.users CONSTRAINT b REFERENCES app.users ON DELETE CASCADE); -- finds: 1 row of app.visits belongs to 1 deleted row of app.users
INSERT INTO app.visits VALUES (1, 1), (2, 2);
-- config: [[reference]]
-- config: from = "app.visits(user_id)"
-- config: to = "app.users(id)"
-- composite, hostile names, no key, partitioned
CREATE TABLE app."P""p" ("A a" int, "%s" text, deleted_at date, PRIMARY KEY ("A a", "%s"));
INSERT INTO app."P""p" VALUES (1, 'x', '2024-01-01'), (2, 'x', NULL);
CREATE TABLE app."C'c" (id int, "x y" int, z text, deleted_at date, FOREIGN KEY ("x y", z) REFERENCES app."P""p") PARTITION BY RANGE (id); -- finds: 2 live rows of app."C'c" belong to 1 deleted row of app."P""p"
CREATE TABLE app.c_1 PARTITION OF app."C'c" FOR VALUES FROM (0) TO (10);
CREATE TABLE app.c_2 PARTITION OF app."C'c" FOR VALUES FROM (10) TO (20);
INSERT INTO app."C'c" VALUES (1, 1, 'x'), (11, 1, 'x'), (12, 1, NULL), (13, 2, 'x');
-- declared in the configuration, to columns that are no key: a live parent excuses; and only where `where` holds
CREATE TABLE app.pages (id int PRIMARY KEY, slug text, deleted_at timestamptz);
INSERT INTO app.pages VALUES (1, 'a', now()), (2, 'a', NULL), (3, 'b', now());
CREATE TABLE app.links (id int PRIMARY KEY, page text, kind text, deleted_at timestamptz); -- finds: 1 live row of app.links belongs to 1 deleted row of app.pages
INSERT INTO app.links VALUES (1, 'a', 'page'), (2, 'b', 'page'), (3, 'b', 'file');
-- config: [[reference]]
-- config: from = "app.links(page)"
-- config: to = "app.pages(slug)"
-- config: where = "kind = 'page'"
-- inferred, and a parent in the same table
CREATE TABLE app.teams (id bigint PRIMARY KEY, parent_id bigint REFERENCES app.teams, deleted_at timestamptz); -- finds: 1 live row of app.teams belongs to 1 deleted row of app.teams
INSERT INTO app.teams SELECT n, nullif(1, n), CASE WHEN n = 3 THEN now() END FROM generate_series(1, 20) AS n;
UPDATE app.teams SET parent_id = 3 WHERE id = 20;
CREATE TABLE app.badges (id bigint PRIMARY KEY, team_id bigint, deleted_at timestamptz); -- finds: 1 live row of app.badges belongs to 1 deleted row of app.teams
INSERT INTO app.badges SELECT n, n FROM generate_series(1, 20) AS n;

-- neighbours: history by configuration and by name, who did it, all live, all deleted, most refute it
CREATE TABLE app.statements (id int PRIMARY KEY, user_id int REFERENCES app.users);
INSERT INTO app.statements VALUES (1, 2);
CREATE TABLE app.user_audits (id int PRIMARY KEY, user_id int REFERENCES app.users, deleted_at timestamptz);
INSERT INTO app.user_audits VALUES (1, 2);
CREATE TABLE app.documents (id int PRIMARY KEY, created_by int REFERENCES app.users, "authorId" int REFERENCES app.users, deleted_at timestamptz);
INSERT INTO app.documents VALUES (1, 2, 2);
CREATE TABLE app.fine (id int PRIMARY KEY, user_id int REFERENCES app.users, deleted_at timestamptz);
INSERT INTO app.fine VALUES (1, 1, NULL), (2, 2, now());
CREATE TABLE app.strangers (id bigint PRIMARY KEY, team_id bigint, deleted_at timestamptz);
INSERT INTO app.strangers SELECT n, n + 10 FROM generate_series(1, 20) AS n;
INSERT INTO app.strangers VALUES (21, 3);
-- companions: their states are compared elsewhere
CREATE TABLE app.profiles (user_id int PRIMARY KEY REFERENCES app.users, deleted_at timestamptz);
INSERT INTO app.profiles VALUES (1), (2);
