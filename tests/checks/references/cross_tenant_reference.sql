CREATE SCHEMA app;
CREATE TABLE app.orgs (id int PRIMARY KEY);
INSERT INTO app.orgs VALUES (1), (2);
-- config: [tenant]
-- config: columns = ["org_id"]
-- config: tables = { "app.shared" = "", 'app."Gue""st"' = "The %s", "app.hosts" = "landlord" }
CREATE TABLE app.projects (id int PRIMARY KEY, org_id int NOT NULL REFERENCES app.orgs);
INSERT INTO app.projects VALUES (1, 1), (2, 2);

-- two rows differ; one has no tenant, one no project
CREATE TABLE app.tasks (id int PRIMARY KEY, org_id int REFERENCES app.orgs, project_id int CONSTRAINT tasks_project REFERENCES app.projects MATCH FULL ON DELETE SET NULL); -- finds: 2 rows of app.tasks point to rows of app.projects of another org_id
INSERT INTO app.tasks VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, NULL, 1), (5, 1, NULL);
-- the reference cannot be NULL; the parent may belong to nobody, so no composite key
CREATE TABLE app.labels (id int PRIMARY KEY, org_id int);
INSERT INTO app.labels VALUES (1, 1), (2, NULL);
CREATE TABLE app.uses (id int PRIMARY KEY, org_id int NOT NULL, label_id int NOT NULL REFERENCES app.labels ON DELETE CASCADE); -- finds: 1 row of app.uses points to a row of app.labels of another org_id
INSERT INTO app.uses VALUES (1, 1, 1), (2, 2, 1), (3, 2, 2);
-- columns of different names, hostile ones, composite, no key, partitioned
CREATE TABLE app.hosts (a int, b text, landlord bigint NOT NULL, PRIMARY KEY (a, b));
INSERT INTO app.hosts VALUES (1, 'x', 1);
CREATE TABLE app."Gue""st" (id int, "A a" int, "b'b" text, "The %s" int, FOREIGN KEY ("A a", "b'b") REFERENCES app.hosts) PARTITION BY RANGE (id); -- finds: 2 rows of app."Gue""st" point to rows of app.hosts of another "The %s"
CREATE TABLE app.guest_1 PARTITION OF app."Gue""st" FOR VALUES FROM (0) TO (10);
CREATE TABLE app.guest_2 PARTITION OF app."Gue""st" FOR VALUES FROM (10) TO (20);
INSERT INTO app."Gue""st" VALUES (1, 1, 'x', 1), (2, 1, 'x', 2), (11, 1, 'x', 3), (12, 1, NULL, 3);
-- declared in the configuration only
CREATE TABLE app.files (id int PRIMARY KEY, org_id int, project int, kind text); -- finds: 1 row of app.files points to a row of app.projects of another org_id
INSERT INTO app.files VALUES (1, 1, 1, 'p'), (2, 1, 2, 'p'), (3, 1, 2, 'q');
-- config: [[reference]]
-- config: from = "app.files(project)"
-- config: to = "app.projects(id)"
-- config: where = "kind = 'p'"
-- inferred tenant: three tables carry it, 1 of 40 rows differs
CREATE TABLE app.sites (id int PRIMARY KEY, tenant_id int NOT NULL);
INSERT INTO app.sites SELECT n, n % 3 FROM generate_series(1, 40) AS n;
CREATE TABLE app.pages (id int PRIMARY KEY, tenant_id int NOT NULL, site_id int REFERENCES app.sites); -- finds: 1 row of app.pages points to a row of app.sites of another tenant_id
INSERT INTO app.pages SELECT n, CASE n WHEN 40 THEN 9 ELSE n % 3 END, n FROM generate_series(1, 40) AS n;
CREATE TABLE app.links (id int PRIMARY KEY, tenant_id int NOT NULL, page_id int REFERENCES app.pages);

-- neighbours: all agree; a key that contains the tenant; the tenant itself; a table without one; shared on purpose
CREATE TABLE app.notes (id int PRIMARY KEY, org_id int, project_id int REFERENCES app.projects);
INSERT INTO app.notes VALUES (1, 1, 1), (2, 2, 2);
CREATE TABLE app.boards (org_id int, id int, PRIMARY KEY (org_id, id));
INSERT INTO app.boards VALUES (1, 1);
CREATE TABLE app.cards (id int PRIMARY KEY, org_id int, board_id int, FOREIGN KEY (org_id, board_id) REFERENCES app.boards);
INSERT INTO app.cards VALUES (1, 1, 1);
CREATE TABLE app.branches (id int PRIMARY KEY, org_id int);
INSERT INTO app.branches VALUES (1, 7), (2, 7);
CREATE TABLE app.offices (id int PRIMARY KEY, org_id int REFERENCES app.branches, next_branch_id int REFERENCES app.branches);
INSERT INTO app.offices VALUES (1, 1, 2);
CREATE TABLE app.shared (id int PRIMARY KEY, org_id int, project_id int REFERENCES app.projects);
INSERT INTO app.shared VALUES (1, 1, 2);
CREATE TABLE app.loose (id int PRIMARY KEY, project_id int REFERENCES app.projects);
INSERT INTO app.loose VALUES (1, 2);
CREATE TABLE app.visits (id int PRIMARY KEY, tenant_id int NOT NULL, site_id int REFERENCES app.sites);
INSERT INTO app.visits SELECT n, n % 2, n FROM generate_series(1, 40) AS n;
CREATE TABLE app.few_visits (id int PRIMARY KEY, tenant_id int NOT NULL, site_id int REFERENCES app.sites);
INSERT INTO app.few_visits SELECT n, 9, n FROM generate_series(1, 1) AS n;
-- called alike, but two tables carry it; a reference to different tables; another name
CREATE TABLE app.shops (id int PRIMARY KEY, company_id int);
CREATE TABLE app.sales (id int PRIMARY KEY, company_id int, shop_id int REFERENCES app.shops);
INSERT INTO app.shops SELECT n, 1 FROM generate_series(1, 40) AS n;
INSERT INTO app.sales SELECT n, CASE n WHEN 40 THEN 9 ELSE 1 END, n FROM generate_series(1, 40) AS n;
CREATE TABLE app.ledgers (id int PRIMARY KEY);
CREATE TABLE app.logins (id int PRIMARY KEY);
INSERT INTO app.ledgers SELECT generate_series(1, 40);
INSERT INTO app.logins SELECT generate_series(1, 40);
CREATE TABLE app.entries (id int PRIMARY KEY, account_id int REFERENCES app.ledgers, buyer_id int, bill_account_id int);
CREATE TABLE app.marks (id int PRIMARY KEY, account_id int REFERENCES app.logins, entry_id int REFERENCES app.entries, buyer_id int, bill_account_id int);
CREATE TABLE app.remarks (id int PRIMARY KEY, account_id int REFERENCES app.logins, buyer_id int, bill_account_id int);
INSERT INTO app.entries SELECT n, 1, 1, 1 FROM generate_series(1, 40) AS n;
INSERT INTO app.marks SELECT n, CASE n WHEN 40 THEN 2 ELSE 1 END, n, CASE n WHEN 40 THEN 2 ELSE 1 END, CASE n WHEN 40 THEN 2 ELSE 1 END FROM generate_series(1, 40) AS n;
