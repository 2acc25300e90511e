CREATE TABLE slots (id int PRIMARY KEY, a int NOT NULL, b text, UNIQUE (a, b)); -- finds: 2 rows of public.slots share 1 value of (a, b) with NULL in b: the unique constraint slots_a_b_key lets them in
INSERT INTO slots VALUES (1, 1, NULL), (2, 1, NULL);
-- neighbours: NULLS NOT DISTINCT, of the key or of another index over a part of it
CREATE TABLE a (id int PRIMARY KEY, a int NOT NULL, b text, UNIQUE NULLS NOT DISTINCT (a, b));
INSERT INTO a VALUES (1, 1, NULL), (2, 2, NULL);
CREATE TABLE b (id int PRIMARY KEY, a int, b text, c int, UNIQUE (a, b, c));
CREATE UNIQUE INDEX ON b (b, a) NULLS NOT DISTINCT;
