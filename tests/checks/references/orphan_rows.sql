-- depth: full
CREATE SCHEMA app;
CREATE TABLE app.users (id int PRIMARY KEY);
INSERT INTO app.users SELECT generate_series(1, 10);

CREATE TABLE app.orders (id int PRIMARY KEY, user_id int);
INSERT INTO app.orders VALUES (1, 1), (2, 2), (3, 99), (4, 99), (5, 98), (6, NULL);
ALTER TABLE app.orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES app.users NOT VALID; -- finds: 3 rows of app.orders point to 2 rows of app.users that do not exist

-- validated, and yet broken: loaded under the replica role
CREATE TABLE app.notes (id int PRIMARY KEY, user_id int REFERENCES app.users); -- finds: 1 row of app.notes points to 1 row of app.users that does not exist
SET session_replication_role = replica;
INSERT INTO app.notes VALUES (1, 1), (2, 77);
RESET session_replication_role;
-- configured too, it is one relation all the same
-- config: [[reference]]
-- config: from = "app.notes(user_id)"
-- config: to = "app.users(id)"

-- composite keys: MATCH FULL counts a half NULL, MATCH SIMPLE does not
CREATE TABLE app.seats (hall int, seat int, PRIMARY KEY (hall, seat));
INSERT INTO app.seats VALUES (1, 1), (1, 2);
CREATE TABLE app.full_tickets (id int PRIMARY KEY, hall int, seat int);
INSERT INTO app.full_tickets VALUES (1, 1, 1), (2, 1, NULL), (3, NULL, NULL), (4, 2, 2);
ALTER TABLE app.full_tickets ADD CONSTRAINT full_seat FOREIGN KEY (hall, seat) REFERENCES app.seats MATCH FULL NOT VALID; -- finds: 2 rows of app.full_tickets point to 2 rows of app.seats that do not exist
CREATE TABLE app.simple_tickets (id int PRIMARY KEY, hall int, seat int);
INSERT INTO app.simple_tickets VALUES (1, 1, 1), (2, 9, NULL), (3, NULL, NULL);
ALTER TABLE app.simple_tickets ADD CONSTRAINT simple_seat FOREIGN KEY (hall, seat) REFERENCES app.seats NOT VALID;

-- an inheritance child does not stand in for a missing parent
CREATE TABLE app.vip_users () INHERITS (app.users);
INSERT INTO app.vip_users VALUES (500);
CREATE TABLE app.lounges (id int PRIMARY KEY, user_id int);
INSERT INTO app.lounges VALUES (1, 500);
ALTER TABLE app.lounges ADD CONSTRAINT lounges_user FOREIGN KEY (user_id) REFERENCES app.users NOT VALID; -- finds: 1 row of app.lounges points to 1 row of app.users that does not exist

-- partitioned on both sides: one finding for the whole, none for the clones
CREATE TABLE app.accounts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE app.accounts_1 PARTITION OF app.accounts FOR VALUES FROM (0) TO (100);
CREATE TABLE app.accounts_2 PARTITION OF app.accounts FOR VALUES FROM (100) TO (200);
INSERT INTO app.accounts VALUES (1), (150);
CREATE TABLE app.events (id int, account_id int REFERENCES app.accounts) PARTITION BY RANGE (id); -- finds: 1 row of app.events points to 1 row of app.accounts that does not exist
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM (10) TO (20);
SET session_replication_role = replica;
INSERT INTO app.events VALUES (1, 1), (2, 150), (11, 151);
RESET session_replication_role;

-- clean neighbours: validated and whole; quoted names; a reference to itself
CREATE TABLE app."Odd ""Name""" ("The Id" int PRIMARY KEY, "%s" int REFERENCES app."Odd ""Name""");
INSERT INTO app."Odd ""Name""" VALUES (1, NULL), (2, 1), (3, 3);
CREATE TABLE app.clean (id int PRIMARY KEY, user_id int REFERENCES app.users);
INSERT INTO app.clean VALUES (1, 1), (2, NULL);

-- declared in the configuration only
CREATE TABLE app.visits (id int PRIMARY KEY, visitor int, kind text); -- finds: 1 row of app.visits points to 1 row of app.users that does not exist
INSERT INTO app.visits VALUES (1, 1, 'user'), (2, 400, 'user'), (3, 401, 'robot');
-- config: [[reference]]
-- config: from = "app.visits(visitor)"
-- config: to = "app.users(id)"
-- config: where = "kind = 'user'"

-- what the operator of the key compares, not what the columns' types would: text by its blanks, char(n) without
CREATE TABLE app.codes (code varchar(10) UNIQUE);
INSERT INTO app.codes VALUES ('a'), ('b ');
CREATE TABLE app.padded (id int PRIMARY KEY, code char(4) REFERENCES app.codes (code)); -- finds: 1 row of app.padded points to 1 row of app.codes that does not exist
CREATE TABLE app.signs (sign char(4) PRIMARY KEY);
INSERT INTO app.signs VALUES ('a');
CREATE TABLE app.unpadded (id int PRIMARY KEY, sign text REFERENCES app.signs); -- finds: 1 row of app.unpadded points to 1 row of app.signs that does not exist
SET session_replication_role = replica;
INSERT INTO app.padded VALUES (1, 'a'), (2, 'b');
INSERT INTO app.unpadded VALUES (1, 'a'), (2, 'a  '), (3, 'a         '), (4, ' a');
RESET session_replication_role;
CREATE FUNCTION app.tens(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10 - $2 / 10';
CREATE FUNCTION app.same_ten(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10 = $2 / 10';
CREATE FUNCTION app.less_ten(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10 < $2 / 10';
CREATE OPERATOR app.~= (LEFTARG = int, RIGHTARG = int, FUNCTION = app.same_ten, COMMUTATOR = OPERATOR(app.~=));
CREATE OPERATOR app.~< (LEFTARG = int, RIGHTARG = int, FUNCTION = app.less_ten);
CREATE OPERATOR CLASS app.tens FOR TYPE int USING btree AS OPERATOR 1 app.~<, OPERATOR 3 app.~=, FUNCTION 1 app.tens(int, int);
CREATE TABLE app.decades (year int);
CREATE UNIQUE INDEX ON app.decades (year app.tens);
INSERT INTO app.decades VALUES (1980), (2005);
CREATE TABLE app.films (id int PRIMARY KEY, year int REFERENCES app.decades (year)); -- finds: 2 rows of app.films point to 2 rows of app.decades that do not exist
SET session_replication_role = replica;
INSERT INTO app.films VALUES (1, 1989), (2, 2001), (3, 1990), (4, 1979);
RESET session_replication_role;

-- a parent that belongs to an extension is a parent all the same, and its own references are not judged
CREATE TABLE app.regions (id int PRIMARY KEY, part_of int);
CREATE TABLE app.cities (id int PRIMARY KEY, region_id int REFERENCES app.regions); -- finds: 1 row of app.cities points to 1 row of app.regions that does not exist
INSERT INTO app.regions VALUES (1, 7);
ALTER TABLE app.regions ADD CONSTRAINT regions_region FOREIGN KEY (part_of) REFERENCES app.regions NOT VALID;
ALTER EXTENSION plpgsql ADD TABLE app.regions;
SET session_replication_role = replica;
INSERT INTO app.cities VALUES (1, 1), (2, 2);
RESET session_replication_role;

-- a reference to itself, to a unique key, of one partition, over several levels; rows of an heir are not its own
CREATE TABLE app.folders (id int PRIMARY KEY, path text, inside text); -- finds: 2 rows of app.folders point to 1 row of app.folders that does not exist
CREATE UNIQUE INDEX ON app.folders (path);
ALTER TABLE app.folders ADD CONSTRAINT folders_inside FOREIGN KEY (inside) REFERENCES app.folders (path) DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE app.days (day int, user_id int) PARTITION BY LIST (day);
CREATE TABLE app.days_1 PARTITION OF app.days FOR VALUES IN (1);
CREATE TABLE app.days_2 PARTITION OF app.days FOR VALUES IN (2);
ALTER TABLE app.days_2 ADD CONSTRAINT days_user FOREIGN KEY (user_id) REFERENCES app.users; -- finds: 1 row of app.days_2 points to 1 row of app.users that does not exist
CREATE TABLE app.clicks (id int, user_id int REFERENCES app.users) PARTITION BY RANGE (id); -- finds: 2 rows of app.clicks point to 1 row of app.users that does not exist
CREATE TABLE app.clicks_1 PARTITION OF app.clicks FOR VALUES FROM (0) TO (10) PARTITION BY HASH (user_id);
CREATE TABLE app.clicks_2 PARTITION OF app.clicks_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE app.clicks_3 (user_id int, id int CHECK (id >= 10 AND id < 20), FOREIGN KEY (user_id) REFERENCES app.users);
ALTER TABLE app.clicks ATTACH PARTITION app.clicks_3 FOR VALUES FROM (10) TO (20);
CREATE TABLE app.pets (id int PRIMARY KEY, user_id int REFERENCES app.users); -- finds: 1 row of app.pets points to 1 row of app.users that does not exist
CREATE TABLE app.dogs () INHERITS (app.pets);
SET session_replication_role = replica;
INSERT INTO app.folders VALUES (1, '/', NULL), (2, '/a', '/'), (3, '/b/c', '/b'), (4, '/b/d', '/b'), (5, NULL, '/a');
INSERT INTO app.days VALUES (1, 70), (2, 71), (2, 1);
INSERT INTO app.clicks VALUES (1, 1), (2, 72), (11, 72), (12, NULL);
INSERT INTO app.pets VALUES (1, 73);
INSERT INTO app.dogs VALUES (2, 74);
RESET session_replication_role;
-- declared twice: the rows are told once
CREATE TABLE app.doubled (id int PRIMARY KEY, user_id int REFERENCES app.users CONSTRAINT again REFERENCES app.users ON DELETE RESTRICT); -- finds: 1 row of app.doubled points to 1 row of app.users that does not exist
ALTER TABLE app.doubled DISABLE TRIGGER ALL;
INSERT INTO app.doubled VALUES (1, 1), (2, 999);
