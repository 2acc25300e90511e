CREATE SCHEMA app;
-- a constraint, in a schema other than public; two rows are deleted, one of them NULL in the key
CREATE TABLE app.connections (
    id int PRIMARY KEY, org_id int NOT NULL, platform text NOT NULL, account_id text, deleted_at timestamptz,
    CONSTRAINT connections_account UNIQUE (org_id, platform, account_id) -- finds: 2 deleted rows of app.connections hold their (org_id, platform, account_id): the same values cannot be inserted again
);
INSERT INTO app.connections VALUES (1, 1, 'x', 'a', NULL), (2, 1, 'x', 'b', now()), (3, 2, 'x', 'b', now()), (4, 2, 'x', NULL, now());

-- an index; nothing is deleted yet
CREATE TABLE app.mailboxes (id int PRIMARY KEY, address text NOT NULL, is_deleted boolean NOT NULL DEFAULT false);
CREATE UNIQUE INDEX mailboxes_address ON app.mailboxes (lower(address)); -- finds: Deleted rows of app.mailboxes will hold their lower(address): the same values could not be inserted again
INSERT INTO app.mailboxes VALUES (1, 'a@example.com'), (2, 'b@example.com');

-- a partial index whose predicate does not speak of deletion: only its rows hold a key
CREATE TABLE app.domains (id int PRIMARY KEY, name text NOT NULL, verified boolean NOT NULL, deleted_at timestamptz);
CREATE UNIQUE INDEX domains_verified ON app.domains (name) WHERE verified; -- finds: 1 deleted row of app.domains holds its name: the same values cannot be inserted again
INSERT INTO app.domains VALUES (1, 'a', true, now()), (2, 'b', false, now()), (3, 'c', true, NULL);

-- a foreign key rests on the key; a slug is chosen by a person, and wanted again
CREATE TABLE app.teams (id int PRIMARY KEY, slug text NOT NULL CONSTRAINT teams_slug UNIQUE, deleted_at timestamptz); -- finds: 1 deleted row of app.teams holds its slug: the same values cannot be inserted again
CREATE TABLE app.team_pages (id int PRIMARY KEY, team_slug text REFERENCES app.teams (slug));
INSERT INTO app.teams VALUES (1, 'red', now()), (2, 'blue', NULL);

-- one row per user, by a unique foreign key: the user cannot get a new one
CREATE TABLE app.users (id uuid PRIMARY KEY);
CREATE TABLE app.badges (id int PRIMARY KEY, user_id uuid NOT NULL UNIQUE REFERENCES app.users, deleted_at timestamptz); -- finds: 1 deleted row of app.badges holds its user_id: the same values cannot be inserted again
INSERT INTO app.users VALUES ('00000000-0000-0000-0000-000000000001');
INSERT INTO app.badges VALUES (1, '00000000-0000-0000-0000-000000000001', now());

-- declared in the configuration, quoted names
CREATE TABLE app."Odd ""One""" ("The Id" int PRIMARY KEY, "a b" text UNIQUE, state text); -- finds: 1 deleted row of app."Odd ""One""" holds its "a b": the same values cannot be inserted again
INSERT INTO app."Odd ""One""" VALUES (1, 'x', 'gone'), (2, 'y', 'here'), (3, NULL, 'gone');
-- config: [soft_delete]
-- config: reuse_unwanted = ["app.usernames"]
-- config: [soft_delete.tables]
-- config: "app.\"Odd \"\"One\"\"\"" = { state = "= 'gone'" }

-- neighbours: the index leaves deleted rows out, in several spellings
CREATE TABLE app.webhooks (id int PRIMARY KEY, url text NOT NULL, deleted_at timestamptz);
CREATE UNIQUE INDEX ON app.webhooks (url) WHERE deleted_at IS NULL;
INSERT INTO app.webhooks VALUES (1, 'a', now()), (2, 'a', now()), (3, 'a', NULL);
CREATE TABLE app.flags (id int PRIMARY KEY, name text NOT NULL, is_deleted boolean NOT NULL);
CREATE UNIQUE INDEX ON app.flags (name) WHERE NOT is_deleted;
INSERT INTO app.flags VALUES (1, 'a', true);
-- the mark is part of the key, or of one of its expressions
CREATE TABLE app.labels (id int PRIMARY KEY, name text NOT NULL, deleted_at timestamptz, UNIQUE (name, deleted_at));
INSERT INTO app.labels VALUES (1, 'a', now());
CREATE TABLE app.marks (id int PRIMARY KEY, name text NOT NULL, deleted_at timestamptz);
CREATE UNIQUE INDEX ON app.marks (name, COALESCE(deleted_at, 'infinity'));
INSERT INTO app.marks VALUES (1, 'a', now());
-- made up for each row: a uuid, a sequence, a token, a hash, its own id
CREATE TABLE app.invitations (
    id int PRIMARY KEY, public_id uuid NOT NULL UNIQUE, number bigserial UNIQUE, access_token text UNIQUE,
    body_hash text UNIQUE, invitation_id text UNIQUE, key text UNIQUE DEFAULT gen_random_uuid()::text, deleted_at timestamptz
);
INSERT INTO app.invitations VALUES (1, '00000000-0000-0000-0000-000000000001', 1, 't', 'h', 'i', 'k', now());
-- deleted names are not given to anybody else, on purpose
CREATE TABLE app.usernames (id int PRIMARY KEY, name text NOT NULL UNIQUE, deleted_at timestamptz);
INSERT INTO app.usernames VALUES (1, 'root', now());
-- not unique; no soft delete; a time that is set in every row marks nothing
CREATE TABLE app.notes (id int PRIMARY KEY, title text, deleted_at timestamptz);
CREATE INDEX ON app.notes (title);
INSERT INTO app.notes VALUES (1, 'a', now());
CREATE TABLE app.tags (id int PRIMARY KEY, name text UNIQUE);
CREATE TABLE app.removals (id int PRIMARY KEY, name text UNIQUE, deleted_at timestamptz NOT NULL);
INSERT INTO app.removals VALUES (1, 'a', now());
