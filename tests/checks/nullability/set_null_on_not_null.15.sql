CREATE TABLE places (site int, room int, PRIMARY KEY (site, room));
INSERT INTO places VALUES (1, 1), (1, 2);
-- only room is set to NULL: the column that cannot be NULL is left alone
CREATE TABLE desks (id int PRIMARY KEY, site int NOT NULL, room int, FOREIGN KEY (site, room) REFERENCES places ON DELETE SET NULL (room));
INSERT INTO desks VALUES (1, 1, 1);
CREATE TABLE lamps (id int PRIMARY KEY, site int, room int NOT NULL, FOREIGN KEY (site, room) REFERENCES places ON DELETE SET NULL (room)); -- finds: 1 of 2 rows of public.places cannot be deleted: public.lamps.room is NOT NULL, but ON DELETE SET NULL
INSERT INTO lamps VALUES (1, 1, 2);
CREATE TABLE chairs (id int PRIMARY KEY, site int, room int, FOREIGN KEY (site, room) REFERENCES places MATCH FULL ON DELETE SET NULL (room)); -- finds: Rows of public.places cannot be deleted once referenced: public.chairs.room is set to NULL alone, which MATCH FULL forbids, but ON DELETE SET NULL
CREATE TABLE keys (id int PRIMARY KEY, site int);
CREATE TABLE sites (id int PRIMARY KEY);
CREATE TABLE single (id int PRIMARY KEY, site int REFERENCES sites ON DELETE SET NULL, UNIQUE NULLS NOT DISTINCT (site)); -- finds: Rows of public.sites cannot be deleted once referenced: public.single.site is unique with NULLS NOT DISTINCT, so that one row at most can be NULL, but ON DELETE SET NULL
-- one action can be done, the other cannot: the list is for ON DELETE alone
CREATE TABLE stalls (id int PRIMARY KEY, site int NOT NULL, room int, FOREIGN KEY (site, room) REFERENCES places ON DELETE SET NULL (room) ON UPDATE SET NULL); -- finds: Rows of public.places cannot be re-keyed once referenced: public.stalls.site is NOT NULL, but ON UPDATE SET NULL
