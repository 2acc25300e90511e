CREATE SCHEMA app;
CREATE TABLE app.logs (at timestamptz, line text); -- finds: app.logs has no key: nothing tells one of its rows from another
-- what is none: partial, over expressions, invalid, not unique; a name that is taken
CREATE TABLE app.almost (id int NOT NULL, row_id int, name text NOT NULL); -- finds: app.almost has no key: nothing tells one of its rows from another
CREATE UNIQUE INDEX ON app.almost (id) WHERE name <> '';
CREATE UNIQUE INDEX ON app.almost (lower(name));
CREATE INDEX ON app.almost (id);
CREATE UNIQUE INDEX almost_name ON app.almost (name);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.almost_name'::regclass;
-- columns that may be NULL: of two such indexes the one with fewer of them
CREATE TABLE app.accounts (a int, b int, c int NOT NULL, UNIQUE (a, b)); -- finds: app.accounts has no key: nothing tells one of its rows from another
CREATE UNIQUE INDEX accounts_near ON app.accounts (b, c);
INSERT INTO app.accounts VALUES (1, 1, 1), (1, 2, 1);
-- a partitioned table, once; one whose partitions are not all keyed
CREATE TABLE app.events (id int, site int) PARTITION BY LIST (site); -- finds: app.events has no key: nothing tells one of its rows from another
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES IN (1);
CREATE TABLE app.mixed (id int, site int) PARTITION BY LIST (site); -- finds: app.mixed has no key: nothing tells one of its rows from another
CREATE TABLE app.mixed_1 PARTITION OF app.mixed (PRIMARY KEY (id)) FOR VALUES IN (1);
CREATE TABLE app.mixed_2 PARTITION OF app.mixed FOR VALUES IN (2);
CREATE TABLE app.empty (id int, site int) PARTITION BY LIST (site); -- finds: app.empty has no key: nothing tells one of its rows from another
-- the parent of others, once
CREATE TABLE app.animals (name text); -- finds: app.animals has no key: nothing tells one of its rows from another
CREATE TABLE app.birds (wings int) INHERITS (app.animals);
-- no copy of another: it declares something, it stands in another schema, the other has no key either
CREATE TABLE app.users (id int PRIMARY KEY, name text);
CREATE TABLE app.people (id int, name text NOT NULL); -- finds: app.people has no key: nothing tells one of its rows from another
CREATE TABLE app.guests (id int, name text DEFAULT 'x'); -- finds: app.guests has no key: nothing tells one of its rows from another
CREATE TABLE app.staff (id int, name text); -- finds: app.staff has no key: nothing tells one of its rows from another
CREATE INDEX ON app.staff (name);
CREATE TABLE public.users (id int, name text); -- finds: public.users has no key: nothing tells one of its rows from another
CREATE TABLE app.copies (at timestamptz, line text); -- finds: app.copies has no key: nothing tells one of its rows from another
CREATE TABLE "Odd ""%s""" (); -- finds: public."Odd ""%s""" has no key: nothing tells one of its rows from another

-- neighbours: a primary key; a unique one without NULLs, deferrable too; NOT NULL by a domain
CREATE TABLE app.a (id int PRIMARY KEY DEFERRABLE);
CREATE TABLE app.b (x int NOT NULL, y int NOT NULL);
CREATE UNIQUE INDEX ON app.b (y, x);
CREATE TABLE app.c (x int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED, z int);
CREATE DOMAIN app.filled AS int NOT NULL;
CREATE TABLE app.d (x app.filled UNIQUE, w int);
-- partitions with keys of their own, on two levels
CREATE TABLE app.tree (id int, site int) PARTITION BY LIST (site);
CREATE TABLE app.tree_1 PARTITION OF app.tree (PRIMARY KEY (id)) FOR VALUES IN (1);
CREATE TABLE app.tree_2 PARTITION OF app.tree FOR VALUES IN (2) PARTITION BY RANGE (id);
CREATE TABLE app.tree_2_1 PARTITION OF app.tree_2 (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (9);
-- views; unlogged; a copy of rows of another table
CREATE VIEW app.seen AS SELECT * FROM app.logs;
CREATE MATERIALIZED VIEW app.kept AS SELECT * FROM app.logs;
CREATE UNLOGGED TABLE app.staging (line text, n int);
CREATE TABLE app.users_duplicates AS SELECT name, id FROM app.users;
-- a primary key that is invalid is another check's
CREATE TABLE app.late (id int NOT NULL, site int NOT NULL) PARTITION BY LIST (site);
CREATE TABLE app.late_1 PARTITION OF app.late FOR VALUES IN (1);
ALTER TABLE ONLY app.late ADD PRIMARY KEY (site, id);
