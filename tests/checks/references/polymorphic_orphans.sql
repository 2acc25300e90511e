CREATE SCHEMA app;
CREATE TABLE app.posts (id int PRIMARY KEY);
CREATE TABLE app.users (id bigint PRIMARY KEY);
INSERT INTO app.posts SELECT generate_series(1, 20);
INSERT INTO app.users SELECT generate_series(1, 30);

-- configured: 20 is a user and no post; a type that no target names, and none at all
CREATE TABLE app.comments (id int PRIMARY KEY, subject_type text, subject_id int); -- finds: 2 rows of app.comments point to 1 row of app.posts that does not exist (subject_type 'Post')
INSERT INTO app.comments VALUES (1, 'Post', 1), (2, 'Post', 25), (3, 'Post', 25), (4, 'User', 25), (5, 'Post', NULL), (6, NULL, NULL);
INSERT INTO app.comments VALUES (7, 'User', 31); -- finds: 1 row of app.comments points to 1 row of app.users that does not exist (subject_type 'User')
INSERT INTO app.comments VALUES (8, 'Widget', 1), (9, NULL, 1), (10, 'post', 1); -- finds: 3 rows of app.comments have no known type beside their subject_id
-- config: [[reference]]
-- config: from = "app.comments(subject_id)"
-- config: type_column = "subject_type"
-- config: targets = { Post = "app.posts(id)", User = "app.users(id)" }
-- hostile names and types; a log that is configured is read; some of the rows
CREATE TYPE app.what AS ENUM ('it''s', 'A\B', 'other');
CREATE TABLE app."Lo""g" ("The Id" int PRIMARY KEY, "%s" app.what, "b b" int, live boolean); -- finds: 1 row of app."Lo""g" points to 1 row of app.posts that does not exist ("%s" 'it''s')
INSERT INTO app."Lo""g" VALUES (1, 'it''s', 99, true), (2, 'it''s', 98, false), (3, 'other', 1, false);
INSERT INTO app."Lo""g" VALUES (4, 'A\B', 77, true), (5, 'A\B', 7, true); -- finds: 1 row of app."Lo""g" points to 1 row of app.users that does not exist ("%s" E'A\\B')
-- config: [[reference]]
-- config: from = 'app."Lo""g"("b b")'
-- config: type_column = '%s'
-- config: where = "live"
-- config: targets = { "it's" = "app.posts(id)", 'A\B' = "app.users(id)" }

-- inferred: names of classes and of tables; one of 40 is an orphan, 2 are of a type that names nothing
CREATE TABLE app.taggings (id int PRIMARY KEY, taggable_id int NOT NULL, taggable_type varchar(40) NOT NULL); -- finds: 1 row of app.taggings points to 1 row of app.posts that does not exist (taggable_type 'App::Post')
INSERT INTO app.taggings SELECT n, 1 + n % 20, 'App::Post' FROM generate_series(1, 39) AS n;
INSERT INTO app.taggings VALUES (40, 400, 'App::Post');
INSERT INTO app.taggings SELECT 50 + n, 1 + n, 'users' FROM generate_series(1, 20) AS n;
INSERT INTO app.taggings VALUES (80, 1, 'Robot'), (81, 2, 'Robot'); -- finds: 2 rows of app.taggings have no known type beside their taggable_id

CREATE TABLE app.service_accounts (id bigint PRIMARY KEY);
INSERT INTO app.service_accounts SELECT generate_series(1, 29);
CREATE TABLE app.pins (id int PRIMARY KEY, "ownerId" bigint, "ownerClass" text); -- finds: 1 row of app.pins points to 1 row of app.service_accounts that does not exist ("ownerClass" E'App\\Models\\ServiceAccount')
INSERT INTO app.pins SELECT n, n, 'App\Models\ServiceAccount' FROM generate_series(1, 30) AS n;

-- neighbours: whole; a log; types that name no table; too few rows; refuted; under a foreign key; ids of another type; too many types
CREATE TABLE app.likes (id int PRIMARY KEY, "likeableId" bigint, "likeableType" text);
INSERT INTO app.likes SELECT n, 1 + n % 20, CASE n % 2 WHEN 0 THEN 'post' ELSE 'App\Models\User' END FROM generate_series(1, 40) AS n;
CREATE TABLE app.audit_log (id int PRIMARY KEY, subject_type text, subject_id int);
INSERT INTO app.audit_log SELECT n, 'Post', n FROM generate_series(1, 40) AS n;
INSERT INTO app.audit_log SELECT n, 'Post', 1 FROM generate_series(41, 2000) AS n;
CREATE TABLE app.documents (id int PRIMARY KEY, document_type text, document_id int);
INSERT INTO app.documents SELECT n, CASE n % 3 WHEN 0 THEN 'user' ELSE 'passport' END, n FROM generate_series(1, 90) AS n;
CREATE TABLE app.few (id int PRIMARY KEY, owner_type text, owner_id int);
INSERT INTO app.few VALUES (1, 'Post', 1), (2, 'Post', 99), (3, 'Widget', 1);
CREATE TABLE app.refuted (id int PRIMARY KEY, owner_type text, owner_id int);
INSERT INTO app.refuted SELECT n, 'Post', 10 + n FROM generate_series(1, 40) AS n;
CREATE TABLE app.declared (id int PRIMARY KEY, post_kind text, post_id int REFERENCES app.posts);
INSERT INTO app.declared SELECT n, CASE n WHEN 1 THEN 'robot' ELSE 'user' END, 20 FROM generate_series(1, 20) AS n;
CREATE TABLE app.texts (id int PRIMARY KEY, owner_type text, owner_id text);
INSERT INTO app.texts SELECT n, 'Post', 'x' || n FROM generate_series(1, 20) AS n;
CREATE TABLE app.codes (id int PRIMARY KEY, owner_type text, owner_id int);
INSERT INTO app.codes SELECT n, CASE WHEN n < 90 THEN 'Post' ELSE 'p' || n END, CASE WHEN n < 5 THEN 99 ELSE 1 END FROM generate_series(1, 150) AS n;
-- two tables answer to the name
CREATE SCHEMA one;
CREATE SCHEMA two;
CREATE TABLE one.songs (id int PRIMARY KEY);
CREATE TABLE two.songs (id int PRIMARY KEY);
INSERT INTO one.songs SELECT generate_series(1, 19);
INSERT INTO two.songs SELECT generate_series(1, 19);
CREATE TABLE app.ratings (id int PRIMARY KEY, owner_type text, owner_id int);
INSERT INTO app.ratings SELECT n, 'Song', n FROM generate_series(1, 20) AS n;
