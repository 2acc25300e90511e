CREATE TABLE users (id int PRIMARY KEY);
INSERT INTO users VALUES (1);
CREATE TABLE orders (id int PRIMARY KEY, user_id int CONSTRAINT orders_user REFERENCES users ON DELETE CASCADE NOT ENFORCED); -- finds: The foreign key orders_user of public.orders is NOT ENFORCED, and 1 row breaks it
INSERT INTO orders VALUES (1, 1), (2, 9), (3, NULL);
CREATE TABLE bills (id int PRIMARY KEY, user_id int CONSTRAINT bills_user REFERENCES users NOT ENFORCED); -- finds: The foreign key bills_user of public.bills is NOT ENFORCED
INSERT INTO bills VALUES (1, 1);

-- NOT VALID keys of partitioned tables exist from 18 on; one of a partition's own is a key of its own
CREATE TABLE events (id int, user_id int) PARTITION BY RANGE (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
INSERT INTO events VALUES (1, 9), (2, 8);
ALTER TABLE events ADD CONSTRAINT events_user FOREIGN KEY (user_id) REFERENCES users NOT VALID; -- finds: The foreign key events_user of public.events is NOT VALID, and 2 rows break it
CREATE TABLE visits (id int, user_id int) PARTITION BY RANGE (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20);
ALTER TABLE visits_2 ADD CONSTRAINT visits_user FOREIGN KEY (user_id) REFERENCES users NOT VALID; -- finds: The foreign key visits_user of public.visits_2 is NOT VALID
CREATE TABLE stays (id int, user_id int CONSTRAINT stays_user REFERENCES users NOT ENFORCED) PARTITION BY RANGE (id); -- finds: The foreign key stays_user of public.stays is NOT ENFORCED
CREATE TABLE stays_1 PARTITION OF stays FOR VALUES FROM (0) TO (10);
-- PERIOD keys: a row must be covered, by several parents if need be
CREATE TABLE leases (id int4range, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS));
CREATE TABLE terms (id int4range, during daterange, CONSTRAINT terms_lease FOREIGN KEY (id, PERIOD during) REFERENCES leases (id, PERIOD during)); -- finds: The foreign key terms_lease of public.terms is off on the referencing side (public.terms), and 1 row breaks it
ALTER TABLE terms DISABLE TRIGGER ALL;
INSERT INTO leases VALUES ('[1,2)', '[2024-01-01,2024-02-01)'), ('[1,2)', '[2024-02-01,2024-03-01)');
INSERT INTO terms VALUES ('[1,2)', '[2024-01-10,2024-02-10)'), ('[1,2)', '[2024-02-10,2024-03-02)');
CREATE TABLE offers (id int4range, during daterange, CONSTRAINT offers_lease FOREIGN KEY (id, PERIOD during) REFERENCES leases (id, PERIOD during) NOT ENFORCED); -- finds: The foreign key offers_lease of public.offers is NOT ENFORCED
INSERT INTO offers VALUES ('[1,2)', '[2024-01-10,2024-02-10)');
CREATE TABLE bids (id int4range, during daterange);
ALTER TABLE bids ADD CONSTRAINT bids_lease FOREIGN KEY (id, PERIOD during) REFERENCES leases (id, PERIOD during) NOT VALID; -- finds: The foreign key bids_lease of public.bids is NOT VALID

-- neighbours
CREATE TABLE plain (id int PRIMARY KEY, user_id int REFERENCES users);
CREATE TABLE again (id int PRIMARY KEY, user_id int CONSTRAINT again_user REFERENCES users NOT ENFORCED);
ALTER TABLE again ALTER CONSTRAINT again_user ENFORCED;
CREATE TABLE parts (id int, user_id int) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
ALTER TABLE parts ADD CONSTRAINT parts_user FOREIGN KEY (user_id) REFERENCES users NOT VALID;
ALTER TABLE parts VALIDATE CONSTRAINT parts_user;
CREATE TABLE good_terms (id int4range, during daterange, FOREIGN KEY (id, PERIOD during) REFERENCES leases (id, PERIOD during));
