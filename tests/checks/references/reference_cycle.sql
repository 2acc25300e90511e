CREATE SCHEMA app;
-- 1 and 2 are a cycle, 3 is its own parent, 4 hangs below the first cycle; 10 to 12 are a tree
CREATE TABLE app.folders (id int PRIMARY KEY, parent_id int CONSTRAINT folders_parent REFERENCES app.folders); -- finds: 3 rows of app.folders are their own ancestors: (parent_id) runs in 2 circles
INSERT INTO app.folders VALUES (1, NULL), (2, 1), (3, 3), (4, 2), (10, NULL), (11, 10), (12, 11);
UPDATE app.folders SET parent_id = 2 WHERE id = 1;
-- a row that points to itself is a root here; 3 and 4 are none
CREATE TABLE app.people (id int PRIMARY KEY, manager int NOT NULL REFERENCES app.people); -- finds: 2 rows of app.people are their own ancestors: (manager) runs in 1 circle
INSERT INTO app.people VALUES (1, 1), (2, 1), (3, 3), (4, 3);
UPDATE app.people SET manager = 4 WHERE id = 3;
-- config: [[reference]]
-- config: from = "app.people(manager)"
-- config: to = "app.people(id)"
-- config: self_is_root = true
-- composite, hostile names, partitioned
CREATE TABLE app."No""de" (tenant int, "The %s" int, "parent of" int, PRIMARY KEY (tenant, "The %s"), FOREIGN KEY (tenant, "parent of") REFERENCES app."No""de") PARTITION BY HASH (tenant); -- finds: 3 rows of app."No""de" are their own ancestors: (tenant, "parent of") runs in 1 circle
CREATE TABLE app.node_0 PARTITION OF app."No""de" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.node_1 PARTITION OF app."No""de" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO app."No""de" VALUES (1, 1, 2), (1, 2, 3), (1, 3, 1), (2, 1, NULL), (2, 2, 1), (2, 3, 2);
-- declared in the configuration only, for some of the rows; an inheritance child's rows are not the table's
CREATE TABLE app.terms (id int PRIMARY KEY, broader int, kind text); -- finds: 2 rows of app.terms are their own ancestors: (broader) runs in 1 circle
CREATE TABLE app.old_terms () INHERITS (app.terms);
INSERT INTO app.terms VALUES (1, 2, 'x'), (2, 1, 'x'), (3, 4, 'y'), (4, 3, 'y'), (5, 1, 'x'), (6, 99, 'x');
INSERT INTO app.old_terms VALUES (7, 8, 'x'), (8, 7, 'x');
-- config: [[reference]]
-- config: from = "app.terms(broader)"
-- config: to = "app.terms(id)"
-- config: where = "kind = 'x'"
-- inferred, and suspected
CREATE TABLE app.categories (id bigint PRIMARY KEY, parent_category_id bigint); -- finds: 2 rows of app.categories are their own ancestors: (parent_category_id) runs in 1 circle
INSERT INTO app.categories SELECT n, nullif(n / 2, 0) FROM generate_series(1, 40) AS n;
UPDATE app.categories SET parent_category_id = 2 WHERE id = 1;
UPDATE app.categories SET parent_category_id = 1 WHERE id = 2;
-- not called after a parent, but few rows run in circles
CREATE TABLE app.tasks (id int PRIMARY KEY, blocked_by int REFERENCES app.tasks); -- finds: 2 rows of app.tasks are their own ancestors: (blocked_by) runs in 1 circle
INSERT INTO app.tasks VALUES (1, NULL), (2, NULL), (3, 1), (4, 1), (5, 2), (6, NULL);
UPDATE app.tasks SET blocked_by = 2 WHERE id = 1;
UPDATE app.tasks SET blocked_by = 1 WHERE id = 2;

-- neighbours: a tree; couples; a reference to a table of the same name; an inferred one that most rows refute
CREATE TABLE app.trees (id int PRIMARY KEY, parent_id int REFERENCES app.trees);
INSERT INTO app.trees VALUES (1, NULL), (2, 1), (3, 2);
CREATE TABLE app.persons (id int PRIMARY KEY, spouse_id int REFERENCES app.persons);
INSERT INTO app.persons VALUES (1, NULL), (2, NULL), (3, NULL);
UPDATE app.persons SET spouse_id = 3 - id WHERE id < 3;
CREATE SCHEMA other;
CREATE TABLE other.trees (id int PRIMARY KEY, parent_id int REFERENCES app.trees);
INSERT INTO other.trees VALUES (1, 1);
CREATE TABLE app.labels (id bigint PRIMARY KEY, parent_label_id bigint);
INSERT INTO app.labels SELECT n, 1000 + n FROM generate_series(1, 40) AS n;
UPDATE app.labels SET parent_label_id = 2 WHERE id = 1;
UPDATE app.labels SET parent_label_id = 1 WHERE id = 2;
-- not a key: a row might have several parents
CREATE TABLE app.versions (id int PRIMARY KEY, code text, parent_code text);
INSERT INTO app.versions VALUES (1, 'a', 'b'), (2, 'b', 'a');
-- config: [[reference]]
-- config: from = "app.versions(parent_code)"
-- config: to = "app.versions(code)"
