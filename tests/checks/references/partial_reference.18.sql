CREATE TABLE seats (hall int, seat int, PRIMARY KEY (hall, seat));
INSERT INTO seats VALUES (1, 1);
CREATE TABLE tickets (id int PRIMARY KEY, hall int, seat int);
INSERT INTO tickets VALUES (1, 1, NULL);
-- NOT VALID on a partitioned table
CREATE TABLE visits (id int, hall int, seat int) PARTITION BY RANGE (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
INSERT INTO visits VALUES (1, 1, NULL);
ALTER TABLE visits ADD FOREIGN KEY (hall, seat) REFERENCES seats NOT VALID; -- finds: 1 row of public.visits points to public.seats with a NULL among (hall, seat), and is not checked

-- neighbour: a key that is NOT ENFORCED checks no row at all
ALTER TABLE tickets ADD FOREIGN KEY (hall, seat) REFERENCES seats NOT ENFORCED;
