CREATE TABLE teams (id int PRIMARY KEY);
INSERT INTO teams VALUES (1);
CREATE TABLE people (team int REFERENCES teams ON DELETE SET DEFAULT); -- finds: 1 of 1 row of public.teams cannot be deleted: public.people.team has no default and is NOT NULL, but ON DELETE SET DEFAULT
INSERT INTO people VALUES (1), (NULL);
ALTER TABLE people ADD CONSTRAINT told NOT NULL team NOT VALID;

-- neighbours
CREATE TABLE told_only (team int NOT NULL REFERENCES teams ON DELETE SET DEFAULT NOT ENFORCED, other int DEFAULT 9 REFERENCES teams ON DELETE SET DEFAULT NOT ENFORCED);
