-- depth: full
-- NOT NULL that is called valid, over NULLs: the catalog is changed by hand, and changed back.
CREATE TABLE broken (id int PRIMARY KEY, a int NOT NULL, b text NOT NULL, c int NOT NULL); -- finds: 2 rows of public.broken hold NULL in a, which the server calls impossible: it is NOT NULL
-- finds: 1 row of public.broken holds NULL in b, which the server calls impossible: it is NOT NULL
CREATE TABLE keyless (id int NOT NULL, n int); -- finds: 1 row of public.keyless holds NULL in id, which the server calls impossible: it is NOT NULL
CREATE TABLE keyed (id int PRIMARY KEY, n int); -- finds: 1 row of public.keyed holds NULL in id, which the server calls impossible: it is NOT NULL
CREATE TABLE parts (id int NOT NULL, n int NOT NULL, m int) PARTITION BY LIST (id); -- finds: 1 row of public.parts holds NULL in n, which the server calls impossible: it is NOT NULL
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); -- finds: 1 row of public.parts_1 holds NULL in m, which the server calls impossible: it is NOT NULL
ALTER TABLE parts_1 ALTER m SET NOT NULL;

-- neighbours: NOT NULL that holds, a composite value of nothing but NULLs
CREATE TABLE fine (id int PRIMARY KEY, n int NOT NULL, m int);
INSERT INTO fine VALUES (1, 1, NULL);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE composite (p pair NOT NULL);
INSERT INTO composite VALUES (ROW(NULL, NULL));
CREATE TABLE no_pair (p pair NOT NULL); -- finds: 1 row of public.no_pair holds NULL in p, which the server calls impossible: it is NOT NULL

CREATE TABLE changed AS SELECT attrelid, attnum FROM pg_attribute
WHERE attnotnull AND attnum > 0 AND attrelid::regclass::text IN ('broken', 'keyless', 'keyed', 'parts', 'parts_1', 'no_pair');
UPDATE pg_attribute AS a SET attnotnull = false FROM changed AS c WHERE (c.attrelid, c.attnum) = (a.attrelid, a.attnum);
INSERT INTO broken VALUES (1, NULL, 'x', 1), (2, NULL, 'y', 1), (3, 3, NULL, 1), (4, 4, '', 1);
INSERT INTO keyless VALUES (NULL, 1), (1, NULL);
INSERT INTO no_pair VALUES (NULL), (ROW(NULL, NULL));
INSERT INTO keyed VALUES (NULL, 1), (2, NULL);
INSERT INTO parts VALUES (1, NULL, 1), (1, 1, NULL);
UPDATE pg_attribute AS a SET attnotnull = true FROM changed AS c WHERE (c.attrelid, c.attnum) = (a.attrelid, a.attnum);
DROP TABLE changed;
