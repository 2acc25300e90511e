CREATE SCHEMA app;
CREATE TABLE app.users (id int PRIMARY KEY, email text UNIQUE, code int UNIQUE);

-- the same twice; three times, one of them NOT VALID
CREATE TABLE app.orders (id int PRIMARY KEY, user_id int);
ALTER TABLE app.orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES app.users; -- finds: The foreign keys orders_user and orders_user_again of app.orders both check (user_id)
ALTER TABLE app.orders ADD CONSTRAINT orders_user_again FOREIGN KEY (user_id) REFERENCES app.users;
CREATE TABLE app.bills (id int PRIMARY KEY, user_id int);
ALTER TABLE app.bills ADD CONSTRAINT a FOREIGN KEY (user_id) REFERENCES app.users NOT VALID; -- finds: The foreign keys b, c and a of app.bills all check (user_id)
ALTER TABLE app.bills ADD CONSTRAINT b FOREIGN KEY (user_id) REFERENCES app.users;
ALTER TABLE app.bills ADD CONSTRAINT c FOREIGN KEY (user_id) REFERENCES app.users ON DELETE RESTRICT;

-- contradicting; composite in another order; hostile names
CREATE TABLE app.notes (id int PRIMARY KEY, user_id int);
ALTER TABLE app.notes ADD CONSTRAINT notes_cascade FOREIGN KEY (user_id) REFERENCES app.users ON DELETE CASCADE; -- finds: The foreign keys notes_cascade and notes_null of app.notes contradict each other: ON DELETE CASCADE (notes_cascade) and SET NULL (notes_null)
ALTER TABLE app.notes ADD CONSTRAINT notes_null FOREIGN KEY (user_id) REFERENCES app.users ON DELETE SET NULL;
CREATE TABLE app."P""p" ("A a" int, "%s" int, PRIMARY KEY ("A a", "%s"));
CREATE TABLE app."C'c" ("x y" int, z int);
ALTER TABLE app."C'c" ADD CONSTRAINT "One %s" FOREIGN KEY ("x y", z) REFERENCES app."P""p" ("A a", "%s"); -- finds: The foreign keys "One %s" and two of app."C'c" contradict each other: ON UPDATE NO ACTION ("One %s") and CASCADE (two)
ALTER TABLE app."C'c" ADD CONSTRAINT two FOREIGN KEY (z, "x y") REFERENCES app."P""p" ("%s", "A a") ON UPDATE CASCADE;
-- a partition's own key beside that of the whole; and the whole has two
CREATE TABLE app.events (id int, user_id int) PARTITION BY RANGE (id);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
ALTER TABLE app.events ADD CONSTRAINT events_user FOREIGN KEY (user_id) REFERENCES app.users;
ALTER TABLE app.events_1 ADD CONSTRAINT events_1_own FOREIGN KEY (user_id) REFERENCES app.users ON DELETE CASCADE; -- finds: The foreign keys events_user and events_1_own of app.events_1 contradict each other: ON DELETE NO ACTION (events_user) and CASCADE (events_1_own)
CREATE TABLE app.visits (id int, user_id int) PARTITION BY RANGE (id);
ALTER TABLE app.visits ADD CONSTRAINT visits_user FOREIGN KEY (user_id) REFERENCES app.users; -- finds: The foreign keys visits_user and visits_user_again of app.visits both check (user_id)
ALTER TABLE app.visits ADD CONSTRAINT visits_user_again FOREIGN KEY (user_id) REFERENCES app.users;
CREATE TABLE app.visits_1 PARTITION OF app.visits FOR VALUES FROM (0) TO (10);

-- neighbours: other parent columns, another parent, other columns, one contained in another; inherited structure; a partition's one key
CREATE TABLE app.people (id int PRIMARY KEY, code int UNIQUE);
CREATE TABLE app.mixed (id int PRIMARY KEY, user_id int REFERENCES app.users, inviter_id int REFERENCES app.users, code int);
ALTER TABLE app.mixed ADD FOREIGN KEY (code) REFERENCES app.users (code);
ALTER TABLE app.mixed ADD FOREIGN KEY (code) REFERENCES app.users (id);
ALTER TABLE app.mixed ADD FOREIGN KEY (code) REFERENCES app.people (code);
CREATE TABLE app.tenants (id int PRIMARY KEY);
CREATE TABLE app.projects (tenant_id int REFERENCES app.tenants, id int UNIQUE, PRIMARY KEY (tenant_id, id));
CREATE TABLE app.tasks (tenant_id int REFERENCES app.tenants, project_id int REFERENCES app.projects (id), FOREIGN KEY (tenant_id, project_id) REFERENCES app.projects);
CREATE TABLE app.pairs (a int, b int, FOREIGN KEY (a, b) REFERENCES app.projects, FOREIGN KEY (b, a) REFERENCES app.projects);
CREATE TABLE app.more (user_id int REFERENCES app.users) INHERITS (app.mixed);
CREATE TABLE app.parts (id int, user_id int REFERENCES app.users) PARTITION BY RANGE (id);
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE app.parts_2 (id int, user_id int REFERENCES app.users);
ALTER TABLE app.parts ATTACH PARTITION app.parts_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE app.parts_3 PARTITION OF app.parts FOR VALUES FROM (20) TO (30);
