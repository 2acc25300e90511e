-- depth: full
CREATE TABLE plans (id int PRIMARY KEY, n int CONSTRAINT positive CHECK (n > 0) NOT ENFORCED); -- finds: 2 rows of public.plans break the CHECK positive, which is NOT ENFORCED
INSERT INTO plans VALUES (1, -1), (2, 0), (3, 1), (4, NULL);
-- called valid: the function's answer has changed
CREATE TABLE limits (value int);
INSERT INTO limits VALUES (5);
CREATE FUNCTION fits(n int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT n <= (SELECT max(value) FROM public.limits)';
CREATE TABLE orders (id int PRIMARY KEY, n int CONSTRAINT fits CHECK (fits(n))); -- finds: 1 row of public.orders breaks the CHECK fits, which the server calls valid
INSERT INTO orders VALUES (1, 4), (2, 2);
UPDATE limits SET value = 3;
CREATE DOMAIN quota AS int CONSTRAINT quota_fits CHECK (fits(VALUE));
CREATE TABLE tenants (id int PRIMARY KEY, quota quota); -- finds: 1 row of public.tenants holds a value in quota that the CHECK quota_fits of the domain public.quota forbids
INSERT INTO tenants VALUES (1, 3), (2, 1);
UPDATE limits SET value = 2;
CREATE TABLE booths (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL, CONSTRAINT even CHECK (twice > 0));
INSERT INTO booths (n) VALUES (1), (NULL);

-- neighbours
CREATE TABLE good (id int PRIMARY KEY, n int CHECK (n > 0), m int CONSTRAINT free CHECK (m > 0) NOT ENFORCED);
INSERT INTO good VALUES (1, 1, 1), (2, NULL, NULL);
CREATE TABLE parts (id int, n int CHECK (n > 0)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
INSERT INTO parts VALUES (1, 1);
