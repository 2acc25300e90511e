-- depth: full
-- PERIOD: the periods of the parents that match cover that of the row, one of them or several together
CREATE SCHEMA app;
CREATE TABLE app.leases (id int4range, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS));
INSERT INTO app.leases VALUES
    ('[1,2)', '[2024-01-01,2024-02-01)'), ('[1,2)', '[2024-02-01,2024-03-01)'), ('[1,2)', '[2024-03-02,)'), ('[2,3)', '(,)');
CREATE TABLE app.terms (n int PRIMARY KEY, id int4range, during daterange);
INSERT INTO app.terms VALUES
    (1, '[1,2)', '[2024-01-10,2024-01-20)'), (2, '[1,2)', '[2024-01-10,2024-02-10)'), (3, '[2,3)', '(,)'), (4, NULL, '(,)'),
    (5, '[1,2)', '[2024-02-10,2024-03-10)'), (6, '[1,2)', '(,2024-01-10)'), (7, '[3,4)', '[2024-01-01,2024-01-02)'),
    (8, '[1,2)', '[2025-01-01,)'), (9, '[1,2)', NULL);
ALTER TABLE app.terms ADD CONSTRAINT terms_lease FOREIGN KEY (id, PERIOD during) REFERENCES app.leases (id, PERIOD during) NOT VALID; -- finds: 3 rows of app.terms are not covered by rows of app.leases
-- no parent covers an empty period; of quoted names, validated, loaded under the replica role
CREATE TABLE app."Halls" ("The Hall" int4range, "%s" daterange, UNIQUE ("The Hall", "%s" WITHOUT OVERLAPS));
CREATE TABLE app."Shows" (id int PRIMARY KEY, "%s" daterange NOT NULL, "The Hall" int4range, FOREIGN KEY ("The Hall", PERIOD "%s") REFERENCES app."Halls" ("The Hall", PERIOD "%s")); -- finds: 1 row of app."Shows" is not covered by rows of app."Halls"
INSERT INTO app."Halls" VALUES ('[1,2)', '(,)'), (NULL, '(,)');
SET session_replication_role = replica;
INSERT INTO app."Shows" VALUES (1, '[2024-01-01,2024-01-03)', '[1,2)'), (2, 'empty', '[1,2)'), (3, '(,)', NULL);
RESET session_replication_role;
-- validated, and yet broken: one parent overlaps, and none covers the rest
CREATE TABLE app.visits (n int PRIMARY KEY, id int4range, during daterange);
INSERT INTO app.visits VALUES (1, '[1,2)', '[2023-12-31,2024-01-10)'), (2, '[1,2)', '[2024-01-31,2024-02-02)');
ALTER TABLE app.visits ADD CONSTRAINT visits_lease FOREIGN KEY (id, PERIOD during) REFERENCES app.leases (id, PERIOD during) NOT VALID; -- finds: 1 row of app.visits is not covered by rows of app.leases
DO $$ BEGIN ALTER TABLE app.visits VALIDATE CONSTRAINT visits_lease; EXCEPTION WHEN foreign_key_violation THEN END $$; -- may fail one day
-- MATCH FULL; several ranges in one; a domain over a range; partitioned on both sides
CREATE DOMAIN app.days AS datemultirange;
CREATE TABLE app.rotas (id int4range, days app.days, PRIMARY KEY (id, days WITHOUT OVERLAPS)) PARTITION BY LIST (id);
CREATE TABLE app.rotas_1 PARTITION OF app.rotas FOR VALUES IN ('[1,2)');
CREATE TABLE app.rotas_2 PARTITION OF app.rotas DEFAULT;
INSERT INTO app.rotas VALUES ('[1,2)', '{[2024-01-01,2024-01-05),[2024-01-10,2024-01-15)}'), ('[1,2)', '{[2024-01-05,2024-01-10)}'), ('[2,3)', '{[2024-01-01,2024-01-02)}');
CREATE TABLE app.shifts (n int, id int4range, days datemultirange) PARTITION BY HASH (n);
CREATE TABLE app.shifts_1 PARTITION OF app.shifts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.shifts_2 PARTITION OF app.shifts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO app.shifts VALUES
    (1, '[1,2)', '{[2024-01-02,2024-01-12)}'), (2, '[1,2)', '{[2024-01-01,2024-01-02),[2024-01-14,2024-01-16)}'), (3, NULL, '{[2024-01-01,2024-01-02)}'), (4, NULL, NULL);
ALTER TABLE app.shifts ADD CONSTRAINT shifts_rota FOREIGN KEY (id, PERIOD days) REFERENCES app.rotas (id, PERIOD days) MATCH FULL NOT VALID; -- finds: 2 rows of app.shifts are not covered by rows of app.rotas

-- NOT ENFORCED: with orphans, and without
CREATE TABLE app.users (id int PRIMARY KEY);
INSERT INTO app.users VALUES (1);
CREATE TABLE app.orders (id int PRIMARY KEY, user_id int REFERENCES app.users NOT ENFORCED); -- finds: 2 rows of app.orders point to 2 rows of app.users that do not exist
INSERT INTO app.orders VALUES (1, 1), (2, 8), (3, 9), (4, NULL);
CREATE TABLE app.bills (id int PRIMARY KEY, user_id int REFERENCES app.users NOT ENFORCED);
INSERT INTO app.bills VALUES (1, 1);

-- neighbours: covered, by themselves too; NULL on either side
CREATE TABLE app.stays (id int4range, during daterange, of int4range, PRIMARY KEY (id, during WITHOUT OVERLAPS), FOREIGN KEY (of, PERIOD during) REFERENCES app.stays (id, PERIOD during));
SET session_replication_role = replica;
INSERT INTO app.stays VALUES ('[1,2)', '[2024-01-01,2024-01-05)', NULL), ('[2,3)', '[2024-01-01,2024-01-02)', '[1,2)'), ('[3,4)', '(,)', '[3,4)');
RESET session_replication_role;
