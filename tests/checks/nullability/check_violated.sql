CREATE SCHEMA app;

-- incident 3: dropped, filled, added again NOT VALID; NULL satisfies a CHECK
CREATE TABLE app.storage (id int PRIMARY KEY, access_level text);
INSERT INTO app.storage VALUES (1, 'read'), (2, 'READ'), (3, 'owner'), (4, NULL);
ALTER TABLE app.storage ADD CONSTRAINT valid_access_level CHECK (access_level IN ('read', 'write')) NOT VALID; -- finds: 2 rows of app.storage break the CHECK valid_access_level and cannot be updated any more

-- several columns, quoted names, no key; the whole row
CREATE TABLE app."Terms" ("The From" date, "%s" date);
INSERT INTO app."Terms" VALUES ('2025-01-02', '2025-01-01'), ('2025-01-01', '2025-01-02'), (NULL, '2025-01-01');
ALTER TABLE app."Terms" ADD CONSTRAINT "it's %s" CHECK ("The From" < "%s" AND 'a''b"' <> '%s') NOT VALID; -- finds: 1 row of app."Terms" breaks the CHECK "it's %s" and cannot be updated any more
ALTER TABLE app."Terms" ADD CONSTRAINT whole CHECK ("Terms".* IS DISTINCT FROM ROW('2025-01-01'::date, '2025-01-02'::date)) NOT VALID; -- finds: 1 row of app."Terms" breaks the CHECK whole and cannot be updated any more

-- partitioned: once for the whole; a partition's own CHECK is its own
CREATE TABLE app.events (id int, size int) PARTITION BY RANGE (id);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM (10) TO (20);
INSERT INTO app.events VALUES (1, -1), (2, 1), (11, -1);
ALTER TABLE app.events ADD CONSTRAINT events_size CHECK (size > 0) NOT VALID; -- finds: 2 rows of app.events break the CHECK events_size and cannot be updated any more
ALTER TABLE app.events_1 ADD CONSTRAINT small CHECK (id <> 2) NOT VALID; -- finds: 1 row of app.events_1 breaks the CHECK small and cannot be updated any more

-- inheritance: each table's rows under its own CHECK; NO INHERIT asks the parent's only
CREATE TABLE app.animals (id int PRIMARY KEY, legs int);
CREATE TABLE app.birds () INHERITS (app.animals); -- finds: 2 rows of app.birds break the CHECK legs_known and cannot be updated any more
INSERT INTO app.animals VALUES (1, 0), (2, 4);
INSERT INTO app.birds VALUES (3, 0), (4, -1), (5, 2);
ALTER TABLE app.animals ADD CONSTRAINT legs_known CHECK (legs > 0) NOT VALID; -- finds: 1 row of app.animals breaks the CHECK legs_known and cannot be updated any more
ALTER TABLE app.animals ADD CONSTRAINT no_negative CHECK (legs >= 0) NO INHERIT NOT VALID;

-- domains, over domains, in arrays; VALUE inside strings and names is none
CREATE DOMAIN app.qty AS int;
CREATE DOMAIN app.small_qty AS app.qty;
CREATE TABLE app.lines (id int PRIMARY KEY, n app.qty, small app.small_qty, many app.small_qty[]); -- finds: 2 rows of app.lines hold a value in n that the CHECK positive of the domain app.qty forbids
INSERT INTO app.lines VALUES (1, -1, 5, '{1,-2}'), (2, 0, -3, NULL), (3, 1, NULL, '{}'), (4, NULL, 50, '{60,NULL}');
ALTER DOMAIN app.qty ADD CONSTRAINT positive CHECK (VALUE > 0 AND 'VALUE' <> 'it''s VALUE') NOT VALID;
-- the domain over it: finds the same in its columns -- finds: 1 row of app.lines holds a value in small that the CHECK positive of the domain app.qty forbids
-- and in the elements of arrays -- finds: 1 row of app.lines holds a value in many that the CHECK positive of the domain app.qty forbids
ALTER DOMAIN app.small_qty ADD CONSTRAINT small CHECK (VALUE < 10) NOT VALID; -- finds: 1 row of app.lines holds a value in small that the CHECK small of the domain app.small_qty forbids
-- arrays of the narrower one -- finds: 1 row of app.lines holds a value in many that the CHECK small of the domain app.small_qty forbids
CREATE TABLE app.parts (id int, n app.qty) PARTITION BY RANGE (id); -- finds: 1 row of app.parts holds a value in n that the CHECK positive of the domain app.qty forbids
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
ALTER DOMAIN app.qty DROP CONSTRAINT positive;
INSERT INTO app.parts VALUES (1, -1), (2, 1);
ALTER DOMAIN app.qty ADD CONSTRAINT positive CHECK (VALUE > 0 AND 'VALUE' <> 'it''s VALUE') NOT VALID;

-- neighbours: true, NULL, validated, dropped; one that NULL alone can break and does not
CREATE TABLE app.filled (id int PRIMARY KEY, n int);
INSERT INTO app.filled VALUES (1, 1);
ALTER TABLE app.filled ADD CONSTRAINT filled_n CHECK (n IS NOT NULL) NOT VALID;
CREATE TABLE app.either (id int PRIMARY KEY, a text, b text);
INSERT INTO app.either VALUES (1, NULL, 'x'), (2, 'x', NULL), (3, NULL, NULL);
ALTER TABLE app.either ADD CONSTRAINT not_both CHECK (a IS NULL OR b IS NULL) NOT VALID;
CREATE TABLE app.clean_parts (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE app.clean_parts_1 PARTITION OF app.clean_parts FOR VALUES FROM (0) TO (10);
INSERT INTO app.clean_parts VALUES (1, 1), (2, NULL);
ALTER TABLE app.clean_parts ADD CONSTRAINT clean_n CHECK (n > 0) NOT VALID;
CREATE DOMAIN app.grade AS text;
CREATE TABLE app.reports (id int PRIMARY KEY, grade app.grade, grades app.grade[]);
INSERT INTO app.reports VALUES (1, 'a', '{a,b}'), (2, NULL, NULL), (3, 'b', '{NULL}');
ALTER DOMAIN app.grade ADD CONSTRAINT short CHECK (pg_catalog.length(VALUE) = 1) NOT VALID;
CREATE TABLE app.good (id int PRIMARY KEY, n int);
INSERT INTO app.good VALUES (1, 1), (2, NULL);
ALTER TABLE app.good ADD CONSTRAINT good_n CHECK (n > 0) NOT VALID;
CREATE TABLE app.valid (id int PRIMARY KEY, n int CHECK (n > 0));
INSERT INTO app.valid VALUES (1, 1);
CREATE TABLE app.inverse (id int PRIMARY KEY, a int, b int);
INSERT INTO app.inverse VALUES (1, NULL, 5), (2, 1, NULL);
ALTER TABLE app.inverse ADD CONSTRAINT ordered CHECK (a < b) NOT VALID;
CREATE DOMAIN app.email AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE app.users (id int PRIMARY KEY, email app.email);
INSERT INTO app.users VALUES (1, 'a@example.com'), (2, NULL);
CREATE TABLE app.free (id int PRIMARY KEY, n int);
INSERT INTO app.free VALUES (1, -1);
ALTER TABLE app.free ADD CONSTRAINT free_n CHECK (n > 0) NOT VALID;
ALTER TABLE app.free DROP CONSTRAINT free_n;
-- called valid, and read at depth full only
CREATE TABLE app.limits (value int);
INSERT INTO app.limits VALUES (5);
CREATE FUNCTION app.fits(n int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT n <= (SELECT max(value) FROM app.limits)';
CREATE TABLE app.orders (id int PRIMARY KEY, n int CONSTRAINT fits CHECK (app.fits(n)));
INSERT INTO app.orders VALUES (1, 4);
UPDATE app.limits SET value = 3;
