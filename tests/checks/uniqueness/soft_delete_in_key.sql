-- live duplicates are there
CREATE TABLE members (id int PRIMARY KEY, org int, email text, deleted_at timestamptz, CONSTRAINT members_key UNIQUE (org, email, deleted_at)); -- finds: 4 live rows of public.members share 2 values of (org, email): deleted_at is part of the unique key, and NULL
INSERT INTO members VALUES (1, 1, 'a', NULL), (2, 1, 'a', NULL), (3, 2, 'b', NULL), (4, 2, 'b', NULL), (5, 1, 'a', now()), (6, 3, NULL, NULL), (7, 3, NULL, NULL);
-- none yet
CREATE TABLE seats (id int PRIMARY KEY, number int, deleted_on date);
CREATE UNIQUE INDEX seats_key ON seats (deleted_on, number); -- finds: Live rows of public.seats may share their number: deleted_on is part of the unique key, and NULL
INSERT INTO seats VALUES (1, 1, NULL), (2, 2, NULL), (3, 2, '2024-01-01'), (4, NULL, NULL), (5, NULL, NULL);
-- an expression beside it; only rows of the predicate count
CREATE TABLE names (id int PRIMARY KEY, name text, shown boolean, deleted_at timestamptz);
CREATE UNIQUE INDEX names_key ON names (lower(name), deleted_at) WHERE shown; -- finds: 2 live rows of public.names share 1 value of lower(name): deleted_at is part of the unique key, and NULL
INSERT INTO names VALUES (1, 'a', true, NULL), (2, 'A', true, NULL), (3, 'b', false, NULL), (4, 'B', false, NULL);

-- neighbours: a second index keeps live rows apart, over the same columns or fewer
CREATE TABLE rooms (id int PRIMARY KEY, site int, number int, deleted_at timestamptz, UNIQUE (site, number, deleted_at));
CREATE UNIQUE INDEX ON rooms (number, site) WHERE deleted_at IS NULL;
INSERT INTO rooms VALUES (1, 1, 1, NULL), (2, 1, 2, NULL), (3, 1, 1, now());
CREATE TABLE doors (id int PRIMARY KEY, code text UNIQUE, deleted_at timestamptz, UNIQUE (code, id, deleted_at));
-- the mark cannot be NULL: a boolean, a time far away; a nullable boolean is no moment
CREATE TABLE plans (id int PRIMARY KEY, name text, is_deleted boolean NOT NULL, UNIQUE (name, is_deleted));
CREATE TABLE rates (id int PRIMARY KEY, name text, deleted_at timestamptz NOT NULL DEFAULT 'infinity', UNIQUE (name, deleted_at));
CREATE TABLE costs (id int PRIMARY KEY, name text, deleted boolean, UNIQUE (name, deleted));
-- nothing but the mark; the mark in the primary key; an index that is not unique
CREATE TABLE purges (id int PRIMARY KEY, deleted_at timestamptz UNIQUE);
CREATE TABLE slots (id int, deleted_at timestamptz, PRIMARY KEY (id, deleted_at));
CREATE TABLE lists (id int PRIMARY KEY, name text, deleted_at timestamptz);
CREATE INDEX ON lists (name, deleted_at);
INSERT INTO lists VALUES (1, 'a', NULL), (2, 'a', NULL);
