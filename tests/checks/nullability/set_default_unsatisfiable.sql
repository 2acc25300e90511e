CREATE TABLE teams (id int PRIMARY KEY);
INSERT INTO teams SELECT generate_series(1, 4);

-- no default, and no NULL
CREATE TABLE people (id int PRIMARY KEY, team int NOT NULL REFERENCES teams ON DELETE SET DEFAULT); -- finds: 2 of 4 rows of public.teams cannot be deleted: public.people.team has no default and is NOT NULL, but ON DELETE SET DEFAULT
INSERT INTO people VALUES (1, 1), (2, 1), (3, 2);
CREATE TABLE fans (id int PRIMARY KEY, team int NOT NULL REFERENCES teams ON UPDATE SET DEFAULT); -- finds: Rows of public.teams cannot be re-keyed once referenced: public.fans.team has no default and is NOT NULL, but ON UPDATE SET DEFAULT
CREATE TABLE members (team int REFERENCES teams ON DELETE SET DEFAULT ON UPDATE SET DEFAULT, person int, PRIMARY KEY (team, person)); -- finds: 1 of 4 rows of public.teams cannot be deleted or re-keyed: public.members.team has no default and is part of the primary key, but ON DELETE SET DEFAULT and ON UPDATE SET DEFAULT
INSERT INTO members VALUES (3, 1);
CREATE DOMAIN filled AS int NOT NULL;
CREATE TABLE coaches (team filled REFERENCES teams ON DELETE SET DEFAULT); -- finds: Rows of public.teams cannot be deleted once referenced: public.coaches.team has no default and is of the domain public.filled, which is NOT NULL, but ON DELETE SET DEFAULT
CREATE TABLE bids (team int DEFAULT NULL REFERENCES teams ON DELETE SET DEFAULT, CONSTRAINT told CHECK (team IS NOT NULL)); -- finds: Rows of public.teams cannot be deleted once referenced: public.bids.team has no default and is under the CHECK told, which forbids NULL, but ON DELETE SET DEFAULT

-- a default that is not there
CREATE TABLE jobs (team int DEFAULT 9 REFERENCES teams ON DELETE SET DEFAULT); -- finds: 1 of 4 rows of public.teams cannot be deleted: the default of public.jobs.team, 9, is no row of public.teams, but ON DELETE SET DEFAULT
INSERT INTO jobs VALUES (1), (NULL);
CREATE TABLE tasks (team int NOT NULL DEFAULT 9 REFERENCES teams ON DELETE SET DEFAULT DEFERRABLE INITIALLY DEFERRED); -- finds: Rows of public.teams cannot be deleted once referenced: the default of public.tasks.team, 9, is no row of public.teams, but ON DELETE SET DEFAULT
CREATE DOMAIN ninth AS bigint DEFAULT 9;
CREATE TABLE typed (team ninth REFERENCES teams ON DELETE SET DEFAULT); -- finds: Rows of public.teams cannot be deleted once referenced: the default of public.typed.team, 9, is no row of public.teams, but ON DELETE SET DEFAULT

-- keys of two columns
CREATE TABLE places (town text, street text, PRIMARY KEY (town, street));
INSERT INTO places VALUES ('A', 'x'), ('B', 'y');
CREATE TABLE shops (town text DEFAULT 'A', street text DEFAULT 'y', CONSTRAINT at FOREIGN KEY (town, street) REFERENCES places ON DELETE SET DEFAULT); -- finds: Rows of public.places cannot be deleted once referenced: the defaults of public.shops.town and public.shops.street, 'A'::text and 'y'::text, are no row of public.places, but ON DELETE SET DEFAULT
CREATE TABLE halls (town text DEFAULT 'A', street text, CONSTRAINT at FOREIGN KEY (town, street) REFERENCES places MATCH FULL ON DELETE SET DEFAULT); -- finds: 1 of 2 rows of public.places cannot be deleted: public.halls.street has no default and is set to NULL beside columns that are not, which MATCH FULL forbids, but ON DELETE SET DEFAULT
INSERT INTO halls VALUES ('A', 'x');

-- a row that points to itself can be deleted; partitions are one table
CREATE TABLE nodes (id int PRIMARY KEY, parent int NOT NULL DEFAULT 0 REFERENCES nodes ON DELETE SET DEFAULT); -- finds: 1 of 3 rows of public.nodes cannot be deleted: the default of public.nodes.parent, 0, is no row of public.nodes, but ON DELETE SET DEFAULT
INSERT INTO nodes VALUES (1, 1), (2, 1), (3, 3);
CREATE TABLE parts (n int, team int NOT NULL REFERENCES teams ON DELETE SET DEFAULT) PARTITION BY LIST (n); -- finds: 1 of 4 rows of public.teams cannot be deleted: public.parts.team has no default and is NOT NULL, but ON DELETE SET DEFAULT
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
INSERT INTO parts VALUES (1, 4);

-- neighbours
CREATE FUNCTION mine() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 9';
CREATE TABLE nobody (id int PRIMARY KEY);
CREATE TABLE fine (
    a int DEFAULT 1 REFERENCES teams ON DELETE SET DEFAULT,
    b int REFERENCES teams ON DELETE SET DEFAULT,
    c int NOT NULL DEFAULT 1 REFERENCES teams ON DELETE SET DEFAULT,
    d int DEFAULT mine() REFERENCES teams ON DELETE SET DEFAULT,
    e int DEFAULT random()::int + 9 REFERENCES teams ON DELETE SET DEFAULT,
    f int NOT NULL DEFAULT 9 REFERENCES teams ON DELETE CASCADE,
    g int DEFAULT 9 REFERENCES nobody ON DELETE SET DEFAULT,
    h text DEFAULT 'A', i text, FOREIGN KEY (h, i) REFERENCES places ON DELETE SET DEFAULT,
    j text DEFAULT 'B', k text DEFAULT 'y', FOREIGN KEY (j, k) REFERENCES places ON DELETE SET DEFAULT,
    l text, m text, FOREIGN KEY (l, m) REFERENCES places MATCH FULL ON DELETE SET DEFAULT,
    n int NOT NULL REFERENCES teams
);
CREATE TABLE silent (id int PRIMARY KEY);
INSERT INTO silent VALUES (1);
CREATE TABLE loose (a int NOT NULL REFERENCES silent ON DELETE SET DEFAULT);
ALTER TABLE silent DISABLE TRIGGER ALL;
CREATE TABLE looser (a int DEFAULT 9 REFERENCES teams ON DELETE SET DEFAULT);
ALTER TABLE looser DISABLE TRIGGER ALL;
