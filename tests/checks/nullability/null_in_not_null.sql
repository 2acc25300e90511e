-- A NULL passes by a domain where it comes from a subquery without row (documentation: CREATE DOMAIN, Notes).
CREATE DOMAIN filled AS int NOT NULL;
CREATE DOMAIN filled_too AS filled;
CREATE TABLE readings (id int PRIMARY KEY, value filled, unit filled_too, label text); -- finds: 2 rows of public.readings hold NULL in value, of the domain public.filled, which is NOT NULL
INSERT INTO readings VALUES (1, (SELECT value FROM readings WHERE false), 1, NULL), (2, (SELECT value FROM readings WHERE false), 1, 'b'), (3, 3, 3, NULL);
CREATE TABLE alone ("the value" filled_too); -- finds: 1 row of public.alone holds NULL in "the value", of the domain public.filled_too, which is NOT NULL
INSERT INTO alone VALUES ((SELECT "the value" FROM alone WHERE false)), (1);
CREATE TABLE kept (id int PRIMARY KEY, value filled, n int) PARTITION BY RANGE (id); -- finds: 1 row of public.kept holds NULL in value, of the domain public.filled, which is NOT NULL
CREATE TABLE kept_1 PARTITION OF kept FOR VALUES FROM (0) TO (10);
INSERT INTO kept VALUES (1, (SELECT value FROM readings WHERE false));
CREATE TABLE heirs (more int) INHERITS (readings); -- finds: 1 row of public.heirs holds NULL in value, of the domain public.filled, which is NOT NULL
INSERT INTO heirs VALUES (1, (SELECT value FROM readings WHERE false), 1);

-- neighbours: no NULL, a domain that admits it, values inside an array
CREATE DOMAIN free AS int;
CREATE TABLE fine (id int PRIMARY KEY, a filled, b free, c filled[]);
INSERT INTO fine VALUES (1, 1, NULL, NULL);
