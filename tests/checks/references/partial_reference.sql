CREATE SCHEMA app;
CREATE TABLE app.seats (hall int, seat int, PRIMARY KEY (hall, seat));
INSERT INTO app.seats VALUES (1, 1), (1, 2), (99, 1);

-- two rows are half NULL, either way; one points nowhere, one is whole
CREATE TABLE app.tickets (id int PRIMARY KEY, hall int, seat int, CONSTRAINT tickets_seat FOREIGN KEY (hall, seat) REFERENCES app.seats); -- finds: 2 rows of app.tickets point to app.seats with a NULL among (hall, seat), and are not checked
INSERT INTO app.tickets VALUES (1, 1, 1), (2, 99, NULL), (3, NULL, 2), (4, NULL, NULL);
-- a NOT NULL column that means nothing else; NOT VALID
CREATE TABLE app.passes (id int PRIMARY KEY, hall int NOT NULL, seat int); -- finds: 1 row of app.passes points to app.seats with a NULL among (hall, seat), and is not checked
INSERT INTO app.passes VALUES (1, 1, 1), (2, 1, NULL);
ALTER TABLE app.passes ADD FOREIGN KEY (hall, seat) REFERENCES app.seats NOT VALID;
-- and the other way round: the first may be NULL, the second not
CREATE TABLE app.stubs (id int PRIMARY KEY, hall int, seat int NOT NULL, FOREIGN KEY (hall, seat) REFERENCES app.seats); -- finds: 1 row of app.stubs points to app.seats with a NULL among (hall, seat), and is not checked
INSERT INTO app.stubs VALUES (1, 1, 1), (2, NULL, 1);
-- the tenant has a meaning of its own: without a project there is no reference, without a tenant there is half of one
CREATE TABLE app.tenants (id int PRIMARY KEY);
CREATE TABLE app.projects (tenant_id int REFERENCES app.tenants, id int, PRIMARY KEY (tenant_id, id));
INSERT INTO app.tenants VALUES (1);
INSERT INTO app.projects VALUES (1, 1);
CREATE TABLE app.tasks (id int PRIMARY KEY, tenant_id int REFERENCES app.tenants, project_id int, FOREIGN KEY (tenant_id, project_id) REFERENCES app.projects); -- finds: 1 row of app.tasks points to app.projects with a NULL among (tenant_id, project_id), and is not checked
INSERT INTO app.tasks VALUES (1, 1, 1), (2, 1, NULL), (3, NULL, 1), (4, NULL, NULL);
-- a key to the same table beside it gives a column no other meaning
CREATE TABLE app.aisles (id int UNIQUE, hall int, PRIMARY KEY (hall, id));
CREATE TABLE app.rows (id int PRIMARY KEY, hall int, aisle int REFERENCES app.aisles (id), FOREIGN KEY (hall, aisle) REFERENCES app.aisles); -- finds: 1 row of app.rows points to app.aisles with a NULL among (hall, aisle), and is not checked
INSERT INTO app.aisles VALUES (5, 1);
INSERT INTO app.rows VALUES (1, NULL, 5);
-- hostile names; three columns; partitioned: one finding for the whole
CREATE TABLE app."Od%d ""Hall" ("A a" int, "b""b" text, "%s" date, PRIMARY KEY ("A a", "b""b", "%s"));
INSERT INTO app."Od%d ""Hall" VALUES (1, 'x', '2024-01-01');
CREATE TABLE app."Tick'et" ("The Id" int PRIMARY KEY, "A a" int, "b""b" text, "%s" date, FOREIGN KEY ("A a", "b""b", "%s") REFERENCES app."Od%d ""Hall"); -- finds: 2 rows of app."Tick'et" point to app."Od%d ""Hall" with a NULL among ("A a", "b""b", "%s"), and are not checked
INSERT INTO app."Tick'et" VALUES (1, 1, NULL, NULL), (2, NULL, 'x', '2024-01-01'), (3, NULL, NULL, NULL);
CREATE TABLE app.visits (id int, hall int, seat int, FOREIGN KEY (hall, seat) REFERENCES app.seats) PARTITION BY RANGE (id); -- finds: 2 rows of app.visits point to app.seats with a NULL among (hall, seat), and are not checked
CREATE TABLE app.visits_1 PARTITION OF app.visits FOR VALUES FROM (0) TO (10);
CREATE TABLE app.visits_2 PARTITION OF app.visits FOR VALUES FROM (10) TO (20);
INSERT INTO app.visits VALUES (1, 1, NULL), (11, 1, NULL), (12, 1, 1);
-- rows of an inheritance child are no rows of the key
CREATE TABLE app.stays (id int PRIMARY KEY, hall int, seat int, FOREIGN KEY (hall, seat) REFERENCES app.seats); -- finds: 1 row of app.stays points to app.seats with a NULL among (hall, seat), and is not checked
CREATE TABLE app.long_stays () INHERITS (app.stays);
INSERT INTO app.stays VALUES (1, 1, NULL);
INSERT INTO app.long_stays VALUES (2, 1, NULL);

-- neighbours: MATCH FULL; NOT NULL; a tenant that is also the primary key's; one column; a CHECK that holds
CREATE TABLE app.full_tickets (id int PRIMARY KEY, hall int, seat int, FOREIGN KEY (hall, seat) REFERENCES app.seats MATCH FULL);
INSERT INTO app.full_tickets VALUES (1, 1, 1), (2, NULL, NULL);
CREATE TABLE app.strict_tickets (id int PRIMARY KEY, hall int NOT NULL, seat int NOT NULL, FOREIGN KEY (hall, seat) REFERENCES app.seats);
CREATE TABLE app.steps (tenant_id int, id int, project_id int, PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, project_id) REFERENCES app.projects);
INSERT INTO app.steps VALUES (1, 1, 1), (1, 2, NULL);
CREATE TABLE app.halls (id int PRIMARY KEY, parent int REFERENCES app.halls);
INSERT INTO app.halls VALUES (1, NULL), (2, 1);
CREATE TABLE app.checked_tickets (id int PRIMARY KEY, hall int, seat int, CHECK ((hall IS NULL) = (seat IS NULL)), FOREIGN KEY (hall, seat) REFERENCES app.seats);
INSERT INTO app.checked_tickets VALUES (1, 1, 1), (2, NULL, NULL);
-- MATCH FULL that is NOT VALID: its half rows are orphans; each column has a meaning of its own
CREATE TABLE app.loaded_tickets (id int PRIMARY KEY, hall int, seat int);
INSERT INTO app.loaded_tickets VALUES (1, 1, NULL);
ALTER TABLE app.loaded_tickets ADD FOREIGN KEY (hall, seat) REFERENCES app.seats MATCH FULL NOT VALID;
CREATE TABLE app.variants (id int PRIMARY KEY);
CREATE TABLE app.offers (tenant int, variant int, PRIMARY KEY (tenant, variant));
CREATE TABLE app.lines (id int PRIMARY KEY, tenant int REFERENCES app.tenants, variant int REFERENCES app.variants, FOREIGN KEY (tenant, variant) REFERENCES app.offers);
INSERT INTO app.lines VALUES (1, 1, NULL);
-- the configuration calls it the tenant
-- config: [tenant]
-- config: columns = ["org"]
CREATE TABLE app.boards (org int, id int, PRIMARY KEY (org, id));
INSERT INTO app.boards VALUES (1, 1);
CREATE TABLE app.cards (id int PRIMARY KEY, org int, board int, FOREIGN KEY (org, board) REFERENCES app.boards);
INSERT INTO app.cards VALUES (1, 1, 1), (2, 1, NULL);
