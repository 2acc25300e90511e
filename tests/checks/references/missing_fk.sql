CREATE SCHEMA app;
CREATE SCHEMA other;
CREATE TABLE app.workspaces (id bigint PRIMARY KEY);
INSERT INTO app.workspaces SELECT generate_series(1, 100);
CREATE TABLE app.groups (id uuid PRIMARY KEY);
INSERT INTO app.groups SELECT md5(n::text)::uuid FROM generate_series(1, 20) AS n;
CREATE TABLE app.companies (id int PRIMARY KEY);
INSERT INTO app.companies SELECT generate_series(1, 50);

-- called after one table, of its key's type, all rows there; a wider integer, a prefix, camel case, another schema
CREATE TABLE app.projects (id bigint PRIMARY KEY, workspace_id int NOT NULL); -- finds: No foreign key declares app.projects.workspace_id, and all of 40 rows point to rows of app.workspaces
INSERT INTO app.projects SELECT n, n FROM generate_series(1, 40) AS n;
CREATE TABLE other."People" (id int PRIMARY KEY, "primaryWorkspaceId" bigint); -- finds: No foreign key declares other."People"."primaryWorkspaceId", and all of 10 rows point to rows of app.workspaces
INSERT INTO other."People" SELECT n, CASE WHEN n <= 10 THEN n END FROM generate_series(1, 60) AS n;
CREATE TABLE app.letters (id int PRIMARY KEY, group_uuid uuid) PARTITION BY RANGE (id); -- finds: No foreign key declares app.letters.group_uuid, and all of 12 rows point to rows of app.groups
CREATE TABLE app.letters_1 PARTITION OF app.letters FOR VALUES FROM (0) TO (6);
CREATE TABLE app.letters_2 PARTITION OF app.letters FOR VALUES FROM (6) TO (60);
INSERT INTO app.letters SELECT n, md5(n::text)::uuid FROM generate_series(1, 12) AS n;

-- with orphans: few of integers, up to half of uuids
CREATE TABLE app.tasks (id int PRIMARY KEY, company_id int NOT NULL); -- finds: 2 of 40 rows of app.tasks point to 1 row of app.companies that does not exist, and no foreign key declares company_id
INSERT INTO app.tasks SELECT n, CASE WHEN n > 38 THEN 777 ELSE n END FROM generate_series(1, 40) AS n;
CREATE TABLE app.posts (id int PRIMARY KEY, group_id uuid); -- finds: 5 of 15 rows of app.posts point to 5 rows of app.groups that do not exist, and no foreign key declares group_id
INSERT INTO app.posts SELECT n, CASE WHEN n <= 15 THEN md5((n + 10)::text)::uuid END FROM generate_series(1, 30) AS n;

-- who did it, another row of the table, two columns of a key; what its comment says
CREATE TABLE app.users (id int PRIMARY KEY, site int, nr int, UNIQUE (site, nr));
INSERT INTO app.users SELECT n, n % 3, n FROM generate_series(1, 50) AS n;
CREATE TABLE app.notes (id int PRIMARY KEY, created_by int NOT NULL, parent_id int); -- finds: No foreign key declares app.notes.created_by, and all of 40 rows point to rows of app.users
INSERT INTO app.notes SELECT n, n, n - 1 + (n = 1)::int FROM generate_series(1, 40) AS n; -- finds: No foreign key declares app.notes.parent_id, and all of 39 rows point to rows of app.notes
CREATE TABLE app.boxes (site int NOT NULL, nr int NOT NULL, PRIMARY KEY (site, nr));
INSERT INTO app.boxes SELECT n % 3, n FROM generate_series(1, 50) AS n;
CREATE TABLE app.labels (id int PRIMARY KEY, site int, box_nr int); -- finds: No foreign key declares app.labels (site, box_nr), and all of 30 rows point to rows of app.boxes
INSERT INTO app.labels SELECT n, n % 3, CASE WHEN n <= 30 THEN n END FROM generate_series(1, 40) AS n;
CREATE TABLE app.odd (id int PRIMARY KEY, whom uuid); -- finds: No foreign key declares app.odd.whom, and all of 12 rows point to rows of app.groups
COMMENT ON COLUMN app.odd.whom IS 'references app.groups (id)';
INSERT INTO app.odd SELECT n, md5(n::text)::uuid FROM generate_series(1, 12) AS n;

-- neighbours: declared, or told by the configuration
CREATE TABLE app.declared (id int PRIMARY KEY, workspace_id bigint REFERENCES app.workspaces, company_id int);
INSERT INTO app.declared SELECT n, n, n FROM generate_series(1, 40) AS n;
-- config: [[reference]]
-- config: from = "app.declared(company_id)"
-- config: to = "app.companies(id)"
-- polymorphic
CREATE TABLE app.comments (id int PRIMARY KEY, company_type text, company_id int);
INSERT INTO app.comments SELECT n, 'Company', n FROM generate_series(1, 40) AS n;
-- other systems' ids, even where tables are called so
CREATE TABLE app.sessions (id int PRIMARY KEY);
CREATE TABLE app.traces (id int PRIMARY KEY);
CREATE TABLE app.stripes (id int PRIMARY KEY);
INSERT INTO app.sessions SELECT generate_series(1, 50);
INSERT INTO app.traces SELECT generate_series(1, 50);
INSERT INTO app.stripes SELECT generate_series(1, 50);
CREATE TABLE app.hits (id int PRIMARY KEY, session_id int, trace_id int, stripe_id int, external_company_id int, github_company_id int, provider_company_id int);
INSERT INTO app.hits SELECT n, n, n, n, n, n, n FROM generate_series(1, 40) AS n;
-- too many orphans to be a reference; too few rows; too few rows that point anywhere; no row
CREATE TABLE app.imports (id int PRIMARY KEY, company_id int NOT NULL);
INSERT INTO app.imports SELECT n, n + 20 FROM generate_series(1, 40) AS n;
CREATE TABLE app.keys (id int PRIMARY KEY, group_id uuid);
INSERT INTO app.keys SELECT n, md5((n + 15)::text)::uuid FROM generate_series(1, 15) AS n;
CREATE TABLE app.few (id int PRIMARY KEY, company_id int NOT NULL);
INSERT INTO app.few SELECT n, n FROM generate_series(1, 9) AS n;
CREATE TABLE app.sparse (id int PRIMARY KEY, company_id int);
INSERT INTO app.sparse SELECT n, CASE WHEN n < 10 THEN n END FROM generate_series(1, 40) AS n;
CREATE TABLE app.empty (id int PRIMARY KEY, company_id int);
-- of another type than the key; a key of text; a name that says nothing; the table's own key
CREATE TABLE app.typed (id int PRIMARY KEY, company_id text, group_id int, workspace_id numeric);
INSERT INTO app.typed SELECT n, n, n, n FROM generate_series(1, 40) AS n;
CREATE TABLE app.countries (code_id text PRIMARY KEY);
INSERT INTO app.countries SELECT n::text FROM generate_series(1, 50) AS n;
CREATE TABLE app.towns (town_id int PRIMARY KEY, country_id text, company int, parent_id int, company_code int);
INSERT INTO app.towns SELECT n, n, n, n, n FROM generate_series(1, 40) AS n;
-- two tables answer to the name; the one of that whole name has another key
CREATE TABLE app.account (id int PRIMARY KEY);
CREATE TABLE app.accounts (id int PRIMARY KEY);
INSERT INTO app.account SELECT generate_series(1, 50);
INSERT INTO app.accounts SELECT generate_series(1, 50);
CREATE TABLE app.sub_companies (id uuid PRIMARY KEY);
CREATE TABLE app.ambiguous (id int PRIMARY KEY, account_id int, sub_company_id int);
INSERT INTO app.ambiguous SELECT n, n, n FROM generate_series(1, 40) AS n;
-- names that only hint, where numbers tell nothing
CREATE TABLE app.hints (id int PRIMARY KEY, comp_id int, town int);
INSERT INTO app.hints SELECT n, n, n FROM generate_series(1, 40) AS n;
-- what keeps what is gone
CREATE TABLE app.company_history (id int PRIMARY KEY, company_id int);
INSERT INTO app.company_history SELECT n, n FROM generate_series(1, 40) AS n;
-- views and generated columns
CREATE VIEW app.seen AS SELECT id, company_id AS workspace_id FROM app.declared;
CREATE TABLE app.computed (id int PRIMARY KEY, company_id int GENERATED ALWAYS AS (id) STORED);
INSERT INTO app.computed SELECT n FROM generate_series(1, 40) AS n;
