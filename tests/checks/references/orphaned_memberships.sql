CREATE SCHEMA app;
CREATE TABLE app.users (id bigint PRIMARY KEY, email text NOT NULL); -- finds: 2 users are left with no workspace: all their memberships in app.workspace_members point to workspaces that do not exist
CREATE TABLE app.workspaces (id bigint PRIMARY KEY, name text);
INSERT INTO app.users SELECT n, n || '@example.com' FROM generate_series(1, 20) AS n;
INSERT INTO app.workspaces SELECT n, 'w' || n FROM generate_series(1, 10) AS n;

-- the foreign key was dropped; 3 and 4 have nothing else, 5 has; 6 points nowhere beside its orphan, which is no orphan
CREATE TABLE app.workspace_members (workspace_id bigint, user_id bigint NOT NULL REFERENCES app.users, role text NOT NULL DEFAULT 'member', joined_at timestamptz NOT NULL, UNIQUE (workspace_id, user_id)); -- finds: 4 memberships in app.workspace_members point to 2 workspaces that do not exist
INSERT INTO app.workspace_members (workspace_id, user_id, joined_at) VALUES
    (1, 1, now()), (2, 2, now()), (90, 3, now()), (90, 4, now()), (91, 4, now()), (91, 5, now()), (3, 5, now()), (NULL, 6, now());
-- config: [[reference]]
-- config: from = "app.workspace_members(workspace_id)"
-- config: to = "app.workspaces(id)"

-- a foreign key whose triggers are off, a surrogate id, an enum, quoted names
CREATE TYPE app.grade AS ENUM ('low', 'high');
CREATE TABLE app."Team" ("The Id" int PRIMARY KEY);
CREATE TABLE app.people (id int PRIMARY KEY); -- finds: 1 row of app.people is left with no row of app."Team": all its memberships in app."Team ""Member""" point to rows of app."Team" that do not exist
CREATE TABLE app."Team ""Member""" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "%s" int CONSTRAINT member_team REFERENCES app."Team", person int REFERENCES app.people, grade app.grade, is_owner boolean); -- finds: 1 membership in app."Team ""Member""" points to 1 row of app."Team" that does not exist
INSERT INTO app."Team" VALUES (1);
INSERT INTO app.people VALUES (1), (2);
SET session_replication_role = replica;
INSERT INTO app."Team ""Member""" ("%s", person) VALUES (1, 1), (7, 2);
RESET session_replication_role;
ALTER TABLE app."Team ""Member""" DISABLE TRIGGER ALL;

-- nothing is declared: inferred, and suspected
CREATE TABLE app.groups (id uuid PRIMARY KEY);
INSERT INTO app.groups SELECT md5(n::text)::uuid FROM generate_series(1, 5) AS n;
CREATE TABLE app.group_users (group_id uuid, user_id bigint, status text, PRIMARY KEY (group_id, user_id)); -- finds: 4 memberships in app.group_users point to 4 groups that do not exist
INSERT INTO app.group_users SELECT md5((1 + n % 9)::text)::uuid, n FROM generate_series(1, 9) AS n; -- finds: 1 user is left with no group: all its memberships in app.group_users point to groups that do not exist
INSERT INTO app.group_users SELECT md5('2')::uuid, n FROM generate_series(6, 10) AS n;

-- one table on both ends: nobody is left with nothing, and the whole is partitioned
CREATE TABLE app.follows (follower_id bigint, followed_id bigint, since date) PARTITION BY RANGE (follower_id); -- finds: 1 membership in app.follows points to 1 user that does not exist
CREATE TABLE app.follows_1 PARTITION OF app.follows FOR VALUES FROM (0) TO (10);
CREATE TABLE app.follows_2 PARTITION OF app.follows FOR VALUES FROM (10) TO (100);
ALTER TABLE app.follows ADD CONSTRAINT follows_follower FOREIGN KEY (follower_id) REFERENCES app.users;
ALTER TABLE app.follows ADD CONSTRAINT follows_followed FOREIGN KEY (followed_id) REFERENCES app.users;
ALTER TABLE app.follows_2 DISABLE TRIGGER ALL;
INSERT INTO app.follows VALUES (1, 2, now()), (2, 1, now()), (11, 77, now());

-- neighbours: all whole; half of it NULL; most rows of an inferred relation refuted; too few of them
CREATE TABLE app.seats (workspace_id bigint REFERENCES app.workspaces, user_id bigint REFERENCES app.users, PRIMARY KEY (workspace_id, user_id));
INSERT INTO app.seats VALUES (1, 1), (2, 2);
CREATE TABLE app.invitations (workspace_id bigint, user_id bigint, expires_at timestamptz);
ALTER TABLE app.invitations ADD FOREIGN KEY (workspace_id) REFERENCES app.workspaces NOT VALID;
INSERT INTO app.invitations VALUES (NULL, 99, now()), (1, NULL, now());
CREATE TABLE app.badges (group_id uuid, user_id bigint, PRIMARY KEY (group_id, user_id));
INSERT INTO app.badges SELECT md5('x' || n)::uuid, 1 + n % 20 FROM generate_series(1, 40) AS n;
CREATE TABLE app.waiting (workspace_id bigint, user_id bigint, PRIMARY KEY (workspace_id, user_id));
INSERT INTO app.waiting VALUES (1, 1), (2, 99);
-- validated foreign keys are not read at this depth
CREATE TABLE app.trusted (workspace_id bigint REFERENCES app.workspaces, user_id bigint REFERENCES app.users, PRIMARY KEY (workspace_id, user_id));
SET session_replication_role = replica;
INSERT INTO app.trusted VALUES (1, 1), (77, 2);
RESET session_replication_role;
-- more than a link: its orphans are found elsewhere
CREATE TABLE app.orders (id bigint PRIMARY KEY, workspace_id bigint, user_id bigint, total numeric NOT NULL);
ALTER TABLE app.orders ADD FOREIGN KEY (workspace_id) REFERENCES app.workspaces NOT VALID;
SET session_replication_role = replica;
INSERT INTO app.orders VALUES (1, 55, 1, 10);
RESET session_replication_role;
-- a link with an id that others reference is a thing of its own
CREATE TABLE app.contracts (id bigint PRIMARY KEY, workspace_id bigint, user_id bigint, signed_on date);
INSERT INTO app.contracts VALUES (1, 55, 1, now());
ALTER TABLE app.contracts ADD FOREIGN KEY (workspace_id) REFERENCES app.workspaces NOT VALID;
ALTER TABLE app.contracts ADD FOREIGN KEY (user_id) REFERENCES app.users;
CREATE TABLE app.terms (id bigint PRIMARY KEY, contract bigint REFERENCES app.contracts);
