CREATE TABLE orders (id int PRIMARY KEY, note text, total int); -- finds: 2 rows of public.orders hold NULL in total and cannot be updated any more: it is NOT NULL, NOT VALID
INSERT INTO orders VALUES (1, 'a', NULL), (2, NULL, NULL), (3, NULL, 3);
ALTER TABLE orders ADD CONSTRAINT "total is known" NOT NULL total NOT VALID;
CREATE TABLE lines (id int, "order" int, n int); -- finds: 1 row of public.lines holds NULL in "order" and cannot be updated any more: it is NOT NULL, NOT VALID
-- finds: 1 row of public.lines holds NULL in n and cannot be updated any more: it is NOT NULL, NOT VALID
INSERT INTO lines VALUES (1, NULL, 1), (2, 2, NULL), (3, 3, 3);
ALTER TABLE lines ADD CONSTRAINT a NOT NULL "order" NOT VALID, ADD CONSTRAINT b NOT NULL n NOT VALID, ADD CONSTRAINT c NOT NULL id NOT VALID;
CREATE TABLE parts (id int, n int, m int) PARTITION BY LIST (id); -- finds: 1 row of public.parts holds NULL in n and cannot be updated any more: it is NOT NULL, NOT VALID
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); -- finds: 1 row of public.parts_1 holds NULL in m and cannot be updated any more: it is NOT NULL, NOT VALID
INSERT INTO parts VALUES (1, NULL, 1), (1, 1, NULL);
ALTER TABLE parts ADD CONSTRAINT a NOT NULL n NOT VALID;
ALTER TABLE parts_1 ADD CONSTRAINT b NOT NULL m NOT VALID;

-- neighbours: not valid and no NULL, valid
CREATE TABLE fine (id int PRIMARY KEY, n int, m int NOT NULL, o int);
INSERT INTO fine VALUES (1, 1, 1, NULL);
ALTER TABLE fine ADD CONSTRAINT a NOT NULL n NOT VALID;
