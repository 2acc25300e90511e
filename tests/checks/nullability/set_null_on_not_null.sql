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
