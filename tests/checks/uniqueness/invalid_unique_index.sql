CREATE SCHEMA app;
-- failed early: duplicates get in
CREATE TABLE app.keys (id int PRIMARY KEY, org int, name text);
CREATE UNIQUE INDEX keys_name ON app.keys (org, lower(name)) WHERE org > 0; -- finds: The unique index keys_name of app.keys is invalid, and 3 rows share 1 value of (org, lower(name))
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'app.keys_name'::regclass;
INSERT INTO app.keys VALUES (1, 1, 'a'), (2, 1, 'A'), (3, 1, 'a'), (4, 0, 'a'), (5, 0, 'a'), (6, 2, 'a'), (7, 2, NULL), (8, NULL, 'a'), (9, NULL, 'a');
-- failed late, nothing stands in its way; declared by the configuration too, which is one defect
CREATE TABLE app.mails (id int PRIMARY KEY, address text);
CREATE UNIQUE INDEX mails_address ON app.mails (address); -- finds: The unique index mails_address of app.mails is invalid: nothing vouches that address is unique (no duplicates stand in its way)
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.mails_address'::regclass;
INSERT INTO app.mails VALUES (1, 'a'), (2, NULL), (3, NULL);
-- config: [[unique]]
-- config: table = "app.mails"
-- config: columns = ["address"]
-- being dropped, and that came to no end
CREATE TABLE app.drops (id int PRIMARY KEY, a int);
CREATE UNIQUE INDEX drops_a ON app.drops (a); -- finds: The unique index drops_a of app.drops is invalid, and 2 rows share 1 value of a
UPDATE pg_index SET indisvalid = false, indisready = false, indislive = false WHERE indexrelid = 'app.drops_a'::regclass;
INSERT INTO app.drops VALUES (1, 1), (2, 1);
-- ON ONLY a partitioned table: an index, a constraint, a primary key; one partition has its part
CREATE TABLE app.events (id int, site int NOT NULL) PARTITION BY LIST (site);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES IN (1);
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES IN (2);
CREATE UNIQUE INDEX events_key ON ONLY app.events (site, id); -- finds: The unique index events_key of app.events is invalid, and 2 rows share 1 value of (site, id)
CREATE UNIQUE INDEX events_1_key ON app.events_1 (site, id);
ALTER INDEX app.events_key ATTACH PARTITION app.events_1_key;
INSERT INTO app.events VALUES (1, 1), (2, 1), (1, 2), (1, 2);
CREATE TABLE app.logs (id int NOT NULL, site int NOT NULL) PARTITION BY LIST (site);
CREATE TABLE app.logs_1 PARTITION OF app.logs FOR VALUES IN (1);
ALTER TABLE ONLY app.logs ADD CONSTRAINT logs_pkey PRIMARY KEY (site, id); -- finds: The unique constraint logs_pkey of app.logs is invalid: nothing vouches that (site, id) is unique (no duplicates stand in its way)
INSERT INTO app.logs VALUES (1, 1);
CREATE TABLE app.runs (id int, site int NOT NULL) PARTITION BY LIST (site);
CREATE TABLE app.runs_1 PARTITION OF app.runs FOR VALUES IN (1);
ALTER TABLE ONLY app.runs ADD CONSTRAINT runs_key UNIQUE (site, id); -- finds: The unique constraint runs_key of app.runs is invalid: nothing vouches that (site, id) is unique (no duplicates stand in its way)
-- a partition's own
CREATE TABLE app.parts (id int NOT NULL, site int, PRIMARY KEY (id, site)) PARTITION BY LIST (site);
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES IN (1);
CREATE UNIQUE INDEX parts_1_id ON app.parts_1 (id); -- finds: The unique index parts_1_id of app.parts_1 is invalid, and 2 rows share 1 value of id
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'app.parts_1_id'::regclass;
ALTER TABLE app.parts DROP CONSTRAINT parts_pkey;
INSERT INTO app.parts VALUES (1, 1), (1, 1);
-- a valid one that is not enough: under another predicate, over more columns
CREATE TABLE app.more (id int PRIMARY KEY, a int, b int, UNIQUE (a, b));
CREATE UNIQUE INDEX more_a ON app.more (a); -- finds: The unique index more_a of app.more is invalid, and 2 rows share 1 value of a
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'app.more_a'::regclass;
CREATE UNIQUE INDEX ON app.more (a) WHERE b > 5;
INSERT INTO app.more VALUES (1, 1, 1), (2, 1, 2);

-- neighbours: valid; not unique; what a failed REINDEX leaves, beside the one that is valid; over a part of its columns
CREATE TABLE app.fine (id int PRIMARY KEY, a int UNIQUE, b int);
CREATE INDEX fine_b ON app.fine (b);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.fine_b'::regclass;
CREATE UNIQUE INDEX fine_ccnew ON app.fine (a);
CREATE UNIQUE INDEX fine_more ON app.fine (b, a) WHERE b > 0;
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid IN ('app.fine_ccnew'::regclass, 'app.fine_more'::regclass);
CREATE TABLE app.whole (id int, site int, PRIMARY KEY (site, id)) PARTITION BY LIST (site);
CREATE TABLE app.whole_1 PARTITION OF app.whole FOR VALUES IN (1);
CREATE UNIQUE INDEX ON app.whole (id, site);
CREATE TABLE app.ranges (id int PRIMARY KEY, span int4range, EXCLUDE USING gist (span WITH &&));
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.ranges_span_excl'::regclass;
