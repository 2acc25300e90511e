CREATE TABLE teams (id int PRIMARY KEY);
INSERT INTO teams SELECT generate_series(1, 4);
CREATE TABLE people (id int PRIMARY KEY, home_team_id int NOT NULL REFERENCES teams ON DELETE SET NULL); -- finds: 2 of 4 rows of public.teams cannot be deleted: public.people.home_team_id is NOT NULL, but ON DELETE SET NULL
INSERT INTO people VALUES (1, 1), (2, 1), (3, 2);
CREATE TABLE fans (id int PRIMARY KEY, team int NOT NULL REFERENCES teams ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED); -- finds: Rows of public.teams cannot be re-keyed once referenced: public.fans.team is NOT NULL, but ON UPDATE SET NULL
CREATE TABLE members (team int REFERENCES teams ON DELETE SET NULL, person int, PRIMARY KEY (team, person)); -- finds: 1 of 4 rows of public.teams cannot be deleted: public.members.team is part of the primary key, but ON DELETE SET NULL
INSERT INTO members VALUES (3, 1);

-- a domain over a NOT NULL domain, a domain with CHECK, and a CHECK of the table
CREATE DOMAIN filled AS int NOT NULL;
CREATE DOMAIN team_ref AS filled;
CREATE TABLE coaches (id int PRIMARY KEY, team team_ref REFERENCES teams ON DELETE SET NULL); -- finds: Rows of public.teams cannot be deleted once referenced: public.coaches.team is of the domain public.team_ref, which is NOT NULL, but ON DELETE SET NULL
CREATE TABLE bids (id int PRIMARY KEY, team int REFERENCES teams ON DELETE SET NULL, CONSTRAINT told CHECK (team IS NOT NULL AND id > 0)); -- finds: Rows of public.teams cannot be deleted once referenced: public.bids.team is under the CHECK told, which forbids NULL, but ON DELETE SET NULL

-- a row that points to itself can be deleted
CREATE TABLE nodes (id int PRIMARY KEY, parent int NOT NULL REFERENCES nodes ON DELETE SET NULL); -- finds: 1 of 3 rows of public.nodes cannot be deleted: public.nodes.parent is NOT NULL, but ON DELETE SET NULL
INSERT INTO nodes VALUES (1, 1), (2, 1), (3, 3);

-- neighbours
CREATE TABLE guests (id int PRIMARY KEY, team int REFERENCES teams ON DELETE SET NULL);
CREATE TABLE strict (id int PRIMARY KEY, team int NOT NULL REFERENCES teams ON DELETE CASCADE);
CREATE TABLE either (id int PRIMARY KEY, team int REFERENCES teams ON DELETE SET NULL, label text, CHECK (team IS NOT NULL OR label IS NOT NULL));
CREATE TABLE plain (id int PRIMARY KEY, team int NOT NULL REFERENCES teams);

-- CHECKs that are false once the columns are NULL, and others that may hold
CREATE TABLE posts (id int PRIMARY KEY, team int REFERENCES teams ON DELETE SET NULL, label text, CONSTRAINT told CHECK (NOT (team IS NULL OR label = 'none'))); -- finds: Rows of public.teams cannot be deleted once referenced: public.posts.team is under the CHECK told, which forbids NULL, but ON DELETE SET NULL
CREATE TABLE votes (id int PRIMARY KEY, team int REFERENCES teams ON DELETE SET NULL, size int NOT NULL, CONSTRAINT counted CHECK (num_nonnulls(team, size) = 2)); -- finds: Rows of public.teams cannot be deleted once referenced: public.votes.team is under the CHECK counted, which forbids NULL, but ON DELETE SET NULL
CREATE TABLE cups (id int PRIMARY KEY, team int REFERENCES teams ON DELETE SET NULL, CONSTRAINT told CHECK (coalesce(team, 0) <> 0 AND team IS DISTINCT FROM NULL)); -- finds: Rows of public.teams cannot be deleted once referenced: public.cups.team is under the CHECK told, which forbids NULL, but ON DELETE SET NULL
CREATE DOMAIN some_ref AS int CHECK (VALUE IS NOT NULL OR VALUE > 7 AND VALUE IS NOT NULL);
CREATE TABLE flags (id int PRIMARY KEY, team some_ref REFERENCES teams ON DELETE SET NULL); -- finds: Rows of public.teams cannot be deleted once referenced: public.flags.team is of the domain public.some_ref, whose CHECK forbids NULL, but ON DELETE SET NULL
CREATE TABLE halls (site int, room int, PRIMARY KEY (site, room));
CREATE TABLE shows (id int PRIMARY KEY, site int, room int, FOREIGN KEY (site, room) REFERENCES halls ON DELETE SET NULL, CONSTRAINT somewhere CHECK (site IS NOT NULL OR room IS NOT NULL)); -- finds: Rows of public.halls cannot be deleted once referenced: public.shows.site is under the CHECK somewhere, which forbids NULL in all of (room, site), but ON DELETE SET NULL
CREATE TABLE plays (id int PRIMARY KEY, site int, room int, FOREIGN KEY (site, room) REFERENCES halls ON DELETE SET NULL, label text, CHECK ((site IS NULL) = (room IS NULL)), CHECK (CASE WHEN label IS NULL THEN site IS NULL ELSE site > 0 END), CHECK (coalesce(site, room, length(label)) > 0), CHECK (site > 0), CHECK (num_nulls(site, label) < 2));

-- another key of the table that is all or none; and one that is set whole
CREATE TABLE zones (site int, room int, PRIMARY KEY (site, room));
CREATE TABLE spots (id int PRIMARY KEY, site int REFERENCES teams ON DELETE SET NULL, room int, CONSTRAINT whole FOREIGN KEY (site, room) REFERENCES zones MATCH FULL); -- finds: Rows of public.teams cannot be deleted once referenced: public.spots.site is set to NULL alone, which MATCH FULL of whole forbids, but ON DELETE SET NULL
CREATE TABLE nooks (id int PRIMARY KEY, site int, room int, FOREIGN KEY (site, room) REFERENCES zones MATCH FULL ON DELETE SET NULL);

-- what one partition adds; inheritance children are not of the key
CREATE TABLE trips (id int, team int REFERENCES teams ON DELETE SET NULL) PARTITION BY LIST (id);
CREATE TABLE trips_1 PARTITION OF trips FOR VALUES IN (1);
CREATE TABLE trips_2 PARTITION OF trips (team NOT NULL) FOR VALUES IN (2); -- finds: 1 of 4 rows of public.teams cannot be deleted: public.trips_2.team is NOT NULL, but ON DELETE SET NULL
INSERT INTO trips VALUES (1, 1), (2, 3);
CREATE TABLE tours (id int PRIMARY KEY, team int NOT NULL REFERENCES teams ON DELETE SET NULL); -- finds: Rows of public.teams cannot be deleted once referenced: public.tours.team is NOT NULL, but ON DELETE SET NULL
CREATE TABLE far_tours () INHERITS (tours);
INSERT INTO far_tours VALUES (1, 1);

-- switched off: nothing is set, and nothing refuses
CREATE TABLE clubs (id int PRIMARY KEY);
CREATE TABLE fees (id int PRIMARY KEY, club int NOT NULL REFERENCES clubs ON DELETE SET NULL);
ALTER TABLE clubs DISABLE TRIGGER ALL;
