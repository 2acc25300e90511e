CREATE TYPE state AS ENUM ('on', 'off');
CREATE TABLE users (id int PRIMARY KEY, email text CONSTRAINT users_email UNIQUE); -- finds: 5 rows of public.users share 2 values of email but for capitals and blanks around it
INSERT INTO users VALUES (1, 'Ann@example.com'), (2, 'ann@example.com'), (3, ' ann@example.com '), (4, 'BOB'), (5, 'bob'), (6, 'eve'), (7, NULL);
-- the other columns of the index stay part of the key, the narrowest index decides
CREATE TABLE "Members" (id int PRIMARY KEY, tenant int NOT NULL, "loginName" varchar(20), e_mail char(10), UNIQUE (tenant, "loginName"), UNIQUE (id, tenant, "loginName")); -- finds: 2 rows of public."Members" share 1 value of "loginName" within tenant but for capitals and blanks around it
CREATE UNIQUE INDEX ON "Members" (e_mail); -- finds: 2 rows of public."Members" share 1 value of e_mail but for capitals and blanks around it
INSERT INTO "Members" VALUES (1, 1, 'ann', 'a'), (2, 1, 'Ann', 'A'), (3, 2, 'bob', 'c'), (4, 3, 'Bob', 'd');
-- rows of the predicate, and not deleted; the column of deleted rows is no scope
CREATE TABLE pages (id int PRIMARY KEY, slug text, state state, deleted_at timestamptz);
CREATE UNIQUE INDEX ON pages (slug, deleted_at) WHERE state = 'on'; -- finds: 2 rows of public.pages share 1 value of slug but for capitals and blanks around it
INSERT INTO pages VALUES (1, 'a', 'on'), (2, 'A', 'on'), (3, 'b', 'on'), (4, 'B', 'off'), (5, 'c', 'on'), (7, 'd', 'off'), (8, 'D', 'off');
INSERT INTO pages VALUES (6, 'C', 'on', now());
-- the rows tell: 20 of them, none twice
CREATE TABLE logins (id int PRIMARY KEY, user_name text); -- finds: 2 rows of public.logins share 1 value of user_name but for capitals and blanks around it
INSERT INTO logins SELECT n, 'u' || n FROM generate_series(1, 19) AS n;
INSERT INTO logins VALUES (20, 'U1');
-- within the tenant, where one is configured
CREATE TABLE shops (id int PRIMARY KEY, org int, handle text); -- finds: 2 rows of public.shops share 1 value of handle within org but for capitals and blanks around it
INSERT INTO shops SELECT n, n % 2, 'h' || n / 2 FROM generate_series(2, 21) AS n;
INSERT INTO shops VALUES (90, 0, 'H3');
-- config: [tenant.tables]
-- config: shops = "org"
-- the configuration says it: any number of rows
CREATE TABLE forms (id int PRIMARY KEY, slug text); -- finds: 2 rows of public.forms share 1 value of slug but for capitals and blanks around it
INSERT INTO forms VALUES (1, 'a'), (2, 'A');
-- config: [[unique]]
-- config: table = "forms"
-- config: columns = ["slug"]
-- an index over lower() that does not cover it: of other rows, in a wider scope
CREATE TABLE tags (id int PRIMARY KEY, owner int, slug text UNIQUE, hidden boolean); -- finds: 2 rows of public.tags share 1 value of slug but for capitals and blanks around it
CREATE UNIQUE INDEX ON tags (lower(slug)) WHERE hidden;
CREATE UNIQUE INDEX ON tags (lower(slug), owner);
INSERT INTO tags VALUES (1, 1, 'a', false), (2, 2, 'A', false);
-- partitions: once, of the whole
CREATE TABLE boards (site int NOT NULL, slug text NOT NULL, PRIMARY KEY (site, slug)) PARTITION BY LIST (site); -- finds: 2 rows of public.boards share 1 value of slug within site but for capitals and blanks around it
CREATE TABLE boards_1 PARTITION OF boards FOR VALUES IN (1);
CREATE TABLE boards_2 PARTITION OF boards FOR VALUES IN (2);
INSERT INTO boards VALUES (1, 'a'), (1, 'A'), (2, 'a'), (2, 'b');

-- neighbours: indexes over lower() and upper(), of the scope or a part of it
CREATE TABLE c3 (id int PRIMARY KEY, email text UNIQUE, login text NOT NULL, tenant int NOT NULL, UNIQUE (tenant, login));
CREATE UNIQUE INDEX ON c3 (lower(email)) WHERE email IS NOT NULL;
CREATE UNIQUE INDEX ON c3 (upper(login));
INSERT INTO c3 VALUES (1, 'a', 'x', 1), (2, ' A', ' X', 1);
-- a reference; no such name; no text; a column that is no key; few rows; nothing equal
CREATE TABLE r1 (id int PRIMARY KEY, slug text UNIQUE REFERENCES c3 (email));
INSERT INTO r1 VALUES (1, 'a'), (2, ' A');
CREATE TABLE r2 (id int PRIMARY KEY, name text UNIQUE, email_template text UNIQUE, title text UNIQUE, slug "char" UNIQUE);
INSERT INTO r2 VALUES (1, 'a', 'a', 'a', 'a'), (2, 'A', 'A', 'A', 'A');
CREATE TABLE r3 (id int PRIMARY KEY, email text);
INSERT INTO r3 SELECT n, 'a' || n FROM generate_series(1, 30) AS n;
INSERT INTO r3 VALUES (31, 'a1'), (32, 'A1');
CREATE TABLE r4 (id int PRIMARY KEY, email text);
INSERT INTO r4 SELECT n, 'a' || n FROM generate_series(1, 18) AS n;
INSERT INTO r4 VALUES (31, 'A1');
CREATE TABLE r5 (id int PRIMARY KEY, email text UNIQUE);
INSERT INTO r5 VALUES (1, 'a'), (2, 'b'), (3, 'a b'), (4, 'ab'), (5, NULL), (6, NULL);
