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

-- a status that may be 'deleted', by a CHECK, an enum, a domain or the rows; the column may be NULL
CREATE TABLE app.sites (id int PRIMARY KEY, host varchar(50) NOT NULL UNIQUE, status varchar(10) NOT NULL CHECK (status IN ('active', 'deleted'))); -- finds: 2 deleted rows of app.sites hold their host: the same values cannot be inserted again
INSERT INTO app.sites VALUES (1, 'a', 'active'), (2, 'b', 'deleted'), (3, 'c', 'deleted');
CREATE TYPE app.phase AS ENUM ('creating', 'running', 'DELETED');
CREATE TABLE app.servers (id int PRIMARY KEY, name text NOT NULL UNIQUE, "serverState" app.phase); -- finds: 1 deleted row of app.servers holds its name: the same values cannot be inserted again
INSERT INTO app.servers VALUES (1, 'a', 'running'), (2, 'b', 'DELETED'), (3, 'c', NULL);
CREATE DOMAIN app.standing AS text CHECK (VALUE IN ('open', 'soft-deleted') OR VALUE IS NULL);
CREATE TABLE app.rooms (id int PRIMARY KEY, label text UNIQUE, state app.standing); -- finds: 1 deleted row of app.rooms holds its label: the same values cannot be inserted again
INSERT INTO app.rooms VALUES (1, 'a', 'open'), (2, 'b', 'soft-deleted'), (3, NULL, 'soft-deleted'), (4, 'c', NULL);
CREATE TABLE app.shops (id int PRIMARY KEY, "a %s" text NOT NULL UNIQUE, status text); -- finds: 1 deleted row of app.shops holds its "a %s": the same values cannot be inserted again
INSERT INTO app.shops VALUES (1, 'a', 'open'), (2, 'b', 'deleted'), (3, 'c', NULL);
-- revoked, by a flag and a time together
CREATE TABLE app.grants (id int PRIMARY KEY, name text NOT NULL UNIQUE, is_active boolean NOT NULL, revoked_at timestamptz); -- finds: 2 revoked rows of app.grants hold their name: the same values cannot be inserted again
INSERT INTO app.grants VALUES (1, 'a', true, NULL), (2, 'b', false, NULL), (3, 'c', true, now());

-- neighbours: no row is deleted; the mark is in the index, in either form; the word is not among those listed, or excluded
CREATE TABLE app.sites2 (id int PRIMARY KEY, host text NOT NULL UNIQUE, status text NOT NULL CHECK (status IN ('active', 'deleted')));
INSERT INTO app.sites2 VALUES (1, 'a', 'active');
CREATE TABLE app.sites3 (id int PRIMARY KEY, host text NOT NULL, status text NOT NULL CHECK (status IN ('active', 'deleted')), UNIQUE (host, status));
CREATE UNIQUE INDEX ON app.sites3 (host) WHERE status <> 'deleted';
INSERT INTO app.sites3 VALUES (1, 'a', 'deleted');
CREATE TABLE app.sites4 (id int PRIMARY KEY, host text NOT NULL UNIQUE, status text NOT NULL CHECK (status <> 'deleted'));
CREATE TABLE app.sites5 (id int PRIMARY KEY, host text NOT NULL UNIQUE, status text NOT NULL CHECK (status IN ('active', 'archived', 'cancelled')));
INSERT INTO app.sites4 VALUES (1, 'a', 'gone');
INSERT INTO app.sites5 VALUES (1, 'a', 'archived'), (2, 'b', 'cancelled');
CREATE TABLE app.grants2 (id int PRIMARY KEY, name text NOT NULL, is_active boolean NOT NULL, revoked_at timestamptz);
CREATE UNIQUE INDEX ON app.grants2 (name) WHERE is_active;
INSERT INTO app.grants2 VALUES (1, 'a', false, now()), (2, 'b', true, now());
-- a flag or a revocation alone is no deletion; a user who may not log in keeps the name
CREATE TABLE app.people (id int PRIMARY KEY, name text NOT NULL UNIQUE, is_active boolean NOT NULL);
CREATE TABLE app.consents (id int PRIMARY KEY, name text NOT NULL UNIQUE, revoked_at timestamptz);
INSERT INTO app.people VALUES (1, 'a', false);
INSERT INTO app.consents VALUES (1, 'a', now());
-- what happened to a file, a status of something else, a log; words that are many are no status
CREATE TABLE app.changed_files (id int PRIMARY KEY, path text NOT NULL UNIQUE, status text CHECK (status IN ('added', 'modified', 'deleted')));
INSERT INTO app.changed_files VALUES (1, 'a', 'deleted');
CREATE TABLE app.mirrors (id int PRIMARY KEY, url text NOT NULL UNIQUE, remote_status text CHECK (remote_status IN ('there', 'deleted')));
INSERT INTO app.mirrors VALUES (1, 'a', 'deleted');
CREATE TABLE app.site_events (id int PRIMARY KEY, name text NOT NULL UNIQUE, status text CHECK (status IN ('open', 'deleted')));
INSERT INTO app.site_events VALUES (1, 'a', 'deleted');
CREATE TABLE app.moods (id int PRIMARY KEY, name text NOT NULL UNIQUE, status text);
INSERT INTO app.moods SELECT n, n::text, 'mood ' || n FROM generate_series(1, 60) AS n;
INSERT INTO app.moods VALUES (61, '61', 'deleted');
-- the configuration says that nothing is deleted here, or something else is
CREATE TABLE app.sites6 (id int PRIMARY KEY, host text NOT NULL UNIQUE, status text NOT NULL CHECK (status IN ('active', 'deleted')), is_active boolean, revoked_at timestamptz);
INSERT INTO app.sites6 VALUES (1, 'a', 'deleted');
-- config: "app.sites6" = {}

-- random by its rows: a key and a code that hold nothing but long random texts, with a prefix or without
CREATE TABLE app.links (id int PRIMARY KEY, share_key text UNIQUE, code text NOT NULL UNIQUE, deleted_at timestamptz);
INSERT INTO app.links SELECT n, CASE WHEN n % 2 = 0 THEN 'sk_live_' || md5(n::text) END, substr(translate(encode(sha256(n::text::bytea), 'base64'), E'\n', ''), 1, 22), now()
    FROM generate_series(1, 60) AS n;
-- neighbours the other way round: keys and codes that people choose, or that name something outside; digests of what comes again
CREATE TABLE app.flagged (id int PRIMARY KEY, key text NOT NULL UNIQUE, deleted_at timestamptz); -- finds: 30 deleted rows of app.flagged hold their key: the same values cannot be inserted again
INSERT INTO app.flagged SELECT n, 'feature-' || n || '-rollout-2024', now() FROM generate_series(1, 30) AS n;
CREATE TABLE app.parts (id int PRIMARY KEY, code text NOT NULL UNIQUE, deleted_at timestamptz); -- finds: 30 deleted rows of app.parts hold their code: the same values cannot be inserted again
INSERT INTO app.parts SELECT n, 'A' || n || 'B2C', now() FROM generate_series(1, 30) AS n;
CREATE TABLE app.few (id int PRIMARY KEY, key text NOT NULL UNIQUE, deleted_at timestamptz); -- finds: 19 deleted rows of app.few hold their key: the same values cannot be inserted again
INSERT INTO app.few SELECT n, md5(n::text), now() FROM generate_series(1, 19) AS n;
CREATE TABLE app.accounts (id int PRIMARY KEY, external_id text NOT NULL UNIQUE, deleted_at timestamptz); -- finds: 30 deleted rows of app.accounts hold their external_id: the same values cannot be inserted again
INSERT INTO app.accounts SELECT n, md5(n::text), now() FROM generate_series(1, 30) AS n;
CREATE TABLE app.contacts (id int PRIMARY KEY, email_hash text NOT NULL UNIQUE, deleted_at timestamptz); -- finds: 1 deleted row of app.contacts holds its email_hash: the same values cannot be inserted again
INSERT INTO app.contacts VALUES (1, md5('a'), now());
CREATE TABLE app.pages (id int PRIMARY KEY, slug text NOT NULL UNIQUE, email text UNIQUE, deleted_at timestamptz); -- finds: 30 deleted rows of app.pages hold their slug: the same values cannot be inserted again
INSERT INTO app.pages SELECT n, md5(n::text), 'u' || n || '@example.com', now() FROM generate_series(1, 30) AS n; -- finds: 30 deleted rows of app.pages hold their email: the same values cannot be inserted again
-- by default, type and name
CREATE DOMAIN app.ids AS uuid;
CREATE TABLE app.made (id int PRIMARY KEY, a text UNIQUE DEFAULT md5(random()::text), b app.ids UNIQUE, file_hash text UNIQUE, key_prefix text UNIQUE, nonce text UNIQUE, deleted_at timestamptz);
INSERT INTO app.made VALUES (1, 'a', gen_random_uuid(), 'b', 'c', 'd', now());
