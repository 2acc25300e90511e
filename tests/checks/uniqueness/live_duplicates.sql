-- incident 1: the partial unique index was dropped; could it be restored?
CREATE TABLE project_credentials ( -- finds: UNIQUE (project_id, credential_type, COALESCE(network, 'default')) cannot be created on public.project_credentials today: 5 rows share 2 values
    id int PRIMARY KEY, project_id int, credential_type text, network text, is_active boolean NOT NULL DEFAULT true, revoked_at timestamptz
);
INSERT INTO project_credentials VALUES
    (1, 1, 'key', NULL), (2, 1, 'key', 'default'), (3, 1, 'key', NULL), (4, 2, 'key', 'x'), (5, 2, 'key', 'x'),
    (6, 3, 'key', NULL), (7, 4, NULL, NULL), (8, 4, NULL, NULL);
INSERT INTO project_credentials VALUES (9, 3, 'key', NULL, false, NULL), (10, 3, 'key', NULL, true, now());
-- config: [[unique]]
-- config: table = "project_credentials"
-- config: columns = ["project_id", "credential_type", "COALESCE(network, 'default')"]
-- config: where = "is_active AND revoked_at IS NULL"

-- its sister keeps the index
CREATE TABLE project_variables (id int PRIMARY KEY, project_id int, name text, network text, is_active boolean NOT NULL DEFAULT true, revoked_at timestamptz);
CREATE UNIQUE INDEX ON project_variables (project_id, name, COALESCE(network, 'default')) WHERE is_active AND revoked_at IS NULL;
-- config: [[unique]]
-- config: table = "project_variables"
-- config: columns = ["project_id", "name", "coalesce(network, 'default')"]
-- config: where = "revoked_at IS NULL AND is_active"

-- deleted rows do not count, and the finding says so of live ones
CREATE TABLE people (id int PRIMARY KEY, email text, deleted_at timestamptz); -- finds: UNIQUE email cannot be created on public.people today: 2 rows share 1 value
INSERT INTO people VALUES (1, 'a', NULL), (2, 'a', NULL), (3, 'b', NULL), (4, 'b', now()), (5, NULL, NULL), (6, NULL, NULL);
-- config: [[unique]]
-- config: table = "people"
-- config: columns = ["email"]

-- nothing prevents the first
CREATE TABLE shelves (id int PRIMARY KEY, code text, deleted_at timestamptz); -- finds: No unique index keeps code of public.shelves apart (no duplicates stand in the way of one)
INSERT INTO shelves VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'a', now());
-- config: [[unique]]
-- config: table = "shelves"
-- config: columns = ["code"]

-- an index over more than the key, or among fewer rows, is not enough
CREATE TABLE boxes (id int PRIMARY KEY, code text, shelf int, sealed boolean, UNIQUE (code, shelf)); -- finds: UNIQUE code cannot be created on public.boxes today: 2 rows share 1 value
CREATE UNIQUE INDEX ON boxes (code) WHERE sealed;
INSERT INTO boxes VALUES (1, 'a', 1, false), (2, 'a', 2, true);
-- config: [[unique]]
-- config: table = "boxes"
-- config: columns = ["code"]

-- two keys over the same column, under two conditions
CREATE TABLE "Odd ""One""" (id int PRIMARY KEY, "a %s" text, kind text); -- finds: UNIQUE "a %s" cannot be created on public."Odd ""One""" today: 2 rows share 1 value
INSERT INTO "Odd ""One""" VALUES (1, 'x', 'p'), (2, 'x', 'p'), (3, 'x', 'q'), (4, 'y', 'q'); -- finds: No unique index keeps "a %s" of public."Odd ""One""" apart (no duplicates stand in the way of one)
-- config: [[unique]]
-- config: table = '"Odd ""One"""'
-- config: columns = ["a %s"]
-- config: where = "kind = 'p'"
-- config: [[unique]]
-- config: table = '"Odd ""One"""'
-- config: columns = ["a %s"]
-- config: where = "kind = 'q'"

-- neighbours: an index over a part of the key; the other way round; an expression the server has to recognise
CREATE TABLE keepers (id int PRIMARY KEY, a int UNIQUE, b int, c varchar(10));
CREATE UNIQUE INDEX ON keepers (c, b) INCLUDE (a);
CREATE UNIQUE INDEX ON keepers (lower(c), b) WHERE c IN ('x', 'y');
-- config: [[unique]]
-- config: table = "keepers"
-- config: columns = ["a", "b"]
-- config: [[unique]]
-- config: table = "keepers"
-- config: columns = ["b", "c"]
-- config: where = "a > 0"
-- config: [[unique]]
-- config: table = "keepers"
-- config: columns = ["b", "lower(c::text)"]
-- config: where = "c IN ('x', 'y') AND a > 1"
