-- depth: full
-- NOT NULL that is called valid, over NULLs: the catalog is changed by hand.
CREATE TABLE broken (id int PRIMARY KEY, a int, b text, c int NOT NULL); -- finds: 2 rows of public.broken hold NULL in a, which the server calls impossible: it is NOT NULL
-- finds: 1 row of public.broken holds NULL in b, which the server calls impossible: it is NOT NULL
INSERT INTO broken VALUES (1, NULL, 'x', 1), (2, NULL, 'y', 1), (3, 3, NULL, 1), (4, 4, '', 1);
CREATE TABLE keyless (id int, n int); -- finds: 1 row of public.keyless holds NULL in id, which the server calls impossible: it is NOT NULL
INSERT INTO keyless VALUES (NULL, 1), (1, NULL);
CREATE TABLE keyed (id int PRIMARY KEY, n int); -- finds: 1 row of public.keyed holds NULL in id, which the server calls impossible: it is NOT NULL
UPDATE pg_attribute SET attnotnull = false WHERE attrelid = 'keyed'::regclass AND attname = 'id';
INSERT INTO keyed VALUES (NULL, 1), (2, NULL);
CREATE TABLE parts (id int NOT NULL, n int, m int) PARTITION BY LIST (id); -- finds: 1 row of public.parts holds NULL in n, which the server calls impossible: it is NOT NULL
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); -- finds: 1 row of public.parts_1 holds NULL in m, which the server calls impossible: it is NOT NULL
INSERT INTO parts VALUES (1, NULL, 1), (1, 1, NULL);

-- neighbours: NOT NULL that holds, a composite value of nothing but NULLs
CREATE TABLE fine (id int PRIMARY KEY, n int NOT NULL, m int);
INSERT INTO fine VALUES (1, 1, NULL);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE composite (p pair NOT NULL);
INSERT INTO composite VALUES (ROW(NULL, NULL));

UPDATE pg_attribute SET attnotnull = true
WHERE (attrelid::regclass::text, attname) IN (('broken', 'a'), ('broken', 'b'), ('keyless', 'id'), ('keyed', 'id'), ('parts', 'n'), ('parts_1', 'n'), ('parts_1', 'm'));
