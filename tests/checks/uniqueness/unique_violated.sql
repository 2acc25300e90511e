-- depth: full
CREATE TYPE kind AS ENUM ('a', 'b');
-- rows come in while the index is not looked at, and it is called valid again
CREATE TABLE people (id int CONSTRAINT people_pkey PRIMARY KEY, badge text CONSTRAINT people_badge UNIQUE, tag text COLLATE "C", kind kind); -- finds: 4 rows of public.people share 2 values of id, which the valid unique constraint people_pkey forbids
-- the constraint -- finds: 3 rows of public.people share 1 value of badge, which the valid unique constraint people_badge forbids
CREATE UNIQUE INDEX people_tag ON people (lower(tag)) WHERE kind = 'a'; -- finds: 2 rows of public.people share 1 value of lower(tag), which the valid unique index people_tag forbids
CREATE UNIQUE INDEX people_like ON people (tag text_pattern_ops, kind) WHERE kind = 'b' AND id > 50; -- finds: 3 rows of public.people share 1 value of (tag, kind), which the valid unique index people_like forbids
INSERT INTO people SELECT n, 'p' || n, 'l' || n, 'b' FROM generate_series(1, 50) AS n;
UPDATE pg_index SET indisready = false WHERE indrelid = 'people'::regclass;
INSERT INTO people VALUES (60, 'x', 'm', 'a'), (61, 'x', 'M', 'a'), (62, 'x', 'm', 'b'), (63, 'y', NULL, 'a'), (63, 'Y', NULL, 'b'), (64, NULL, NULL, 'a'), (65, NULL, NULL, 'a'),
    (66, 'q', 'm', 'b'), (67, 'r', 'm', 'b'), (68, 's', 'M', 'b'), (50, NULL, 'z', 'b');
UPDATE pg_index SET indisready = true WHERE indrelid = 'people'::regclass;

-- each partition has its own index; inheritance children have none of the parent's
CREATE TABLE events (id int, site int, PRIMARY KEY (site, id)) PARTITION BY LIST (site);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1); -- finds: 2 rows of public.events_1 share 1 value of (site, id), which the valid unique constraint events_1_pkey forbids
CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2);
UPDATE pg_index SET indisready = false WHERE indexrelid = 'events_1_pkey'::regclass;
INSERT INTO events VALUES (1, 1), (1, 1), (2, 1), (1, 2);
UPDATE pg_index SET indisready = true WHERE indexrelid = 'events_1_pkey'::regclass;
CREATE TABLE animals (id int PRIMARY KEY);
CREATE TABLE birds (name text) INHERITS (animals);
INSERT INTO animals VALUES (1);
INSERT INTO birds VALUES (1), (1);

-- neighbours: sound ones; deferrable; one that is invalid; one that holds all columns of a sound one
CREATE TABLE sound (id int PRIMARY KEY, a int UNIQUE DEFERRABLE, b int, UNIQUE (id, b));
INSERT INTO sound VALUES (1, 1), (2, NULL), (3, NULL);
CREATE UNIQUE INDEX sound_b ON sound (b) WHERE b > 0;
CREATE TABLE open (id int PRIMARY KEY, a int);
CREATE UNIQUE INDEX open_a ON open (a);
UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = 'open_a'::regclass;
INSERT INTO open VALUES (1, 1), (2, 1);
