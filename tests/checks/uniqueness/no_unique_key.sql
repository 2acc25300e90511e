CREATE SCHEMA app;
CREATE TABLE app.logs (at timestamptz, line text); -- finds: app.logs has no key: nothing tells one of its rows from another
-- what is none: partial, over expressions, not unique; a name that is taken
CREATE TABLE app.almost (id int NOT NULL, row_id int, name text NOT NULL); -- finds: app.almost has no key: nothing tells one of its rows from another
CREATE UNIQUE INDEX ON app.almost (id) WHERE name <> '';
CREATE UNIQUE INDEX ON app.almost (lower(name));
CREATE INDEX ON app.almost (id);
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
-- no copy of another: it declares something, stands in another schema, has another name, another column, another type
CREATE TABLE app.users (id int PRIMARY KEY, name text);
CREATE TABLE app.users_one (id int, name text NOT NULL); -- finds: app.users_one has no key: nothing tells one of its rows from another
CREATE TABLE app.users_two (id int, name text DEFAULT 'x'); -- finds: app.users_two has no key: nothing tells one of its rows from another
CREATE TABLE app.users_three (id int, name text); -- finds: app.users_three has no key: nothing tells one of its rows from another
CREATE INDEX ON app.users_three (name);
CREATE TABLE public.users_four (id int, name text); -- finds: public.users_four has no key: nothing tells one of its rows from another
CREATE TABLE app.guests_five (id int, name text); -- finds: app.guests_five has no key: nothing tells one of its rows from another
CREATE TABLE app.users_six (id int, name text, more text); -- finds: app.users_six has no key: nothing tells one of its rows from another
CREATE TABLE app.users_seven (id text, name text); -- finds: app.users_seven has no key: nothing tells one of its rows from another
CREATE TABLE app.users_eight (id int, name text CHECK (name <> '')); -- finds: app.users_eight has no key: nothing tells one of its rows from another
CREATE TABLE app.users_nine (id int REFERENCES app.users); -- finds: app.users_nine has no key: nothing tells one of its rows from another
CREATE TABLE app.users_ten (id int) PARTITION BY LIST (id); -- finds: app.users_ten has no key: nothing tells one of its rows from another
CREATE TABLE app.us (id int, name text); -- finds: app.us has no key: nothing tells one of its rows from another
CREATE TABLE app.user_eleven (id int, name text); -- finds: app.user_eleven has no key: nothing tells one of its rows from another
CREATE TABLE app.users_twelve (name text); -- finds: app.users_twelve has no key: nothing tells one of its rows from another
CREATE TABLE app.users_twelve_children (more text) INHERITS (app.users_twelve);
CREATE TABLE app.users_thirteen (name text); -- finds: app.users_thirteen has no key: nothing tells one of its rows from another
CREATE FUNCTION app.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing AFTER INSERT ON app.users_thirteen FOR EACH ROW EXECUTE FUNCTION app.nothing();
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
CREATE TABLE app.users_duplicates2 AS SELECT id, name, id AS stays FROM app.users;
CREATE TABLE app.users_moved AS SELECT 1 AS other, 2 AS another; -- finds: app.users_moved has no key: nothing tells one of its rows from another
CREATE TABLE app.users_states AS SELECT id FROM app.users;
CREATE TABLE app.a_name_of_a_table_that_is_so_long_that_the_name_of_a_copy_is_cut (id app.filled PRIMARY KEY, name text);
CREATE TABLE app.a_name_of_a_table_that_is_so_long_that_the_name_of__duplicates AS
    SELECT id::int, name FROM app.a_name_of_a_table_that_is_so_long_that_the_name_of_a_copy_is_cut;
-- a primary key that is invalid is another check's
CREATE TABLE app.late (id int NOT NULL, site int NOT NULL) PARTITION BY LIST (site);
CREATE TABLE app.late_1 PARTITION OF app.late FOR VALUES IN (1);
ALTER TABLE ONLY app.late ADD PRIMARY KEY (site, id);
