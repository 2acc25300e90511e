-- config: [[reference]]
-- config: from = "app.carts(session_id)"
-- config: to = "app.sessions(id)"
-- config: [[reference]]
-- config: from = "app.hits(page)"
-- config: to = "app.pages(id)"
-- config: [[reference]]
-- config: from = "app.remarks(subject)"
-- config: type_column = "kind"
-- config: targets = { Cache = "app.cached(id)" }
-- config: [[companion]]
-- config: of = "app.credentials(id)"
-- config: in = "app.vault(credential_id)"
-- config: [[reference]]
-- config: from = "app.staging_lines(parent)"
-- config: to = "app.staging(id)"
CREATE SCHEMA app;

-- referenced, as the configuration says
CREATE UNLOGGED TABLE app.sessions (id int PRIMARY KEY); -- finds: A crash empties the unlogged app.sessions, whose rows app.carts needs
CREATE TABLE app.carts (id int PRIMARY KEY, session_id int);
CREATE UNLOGGED TABLE app.cached (id int PRIMARY KEY); -- finds: A crash empties the unlogged app.cached, whose rows app.remarks needs
CREATE TABLE app.remarks (id int PRIMARY KEY, subject int, kind text);
-- a companion
CREATE TABLE app.credentials (id int PRIMARY KEY);
CREATE UNLOGGED TABLE app.vault (credential_id int PRIMARY KEY); -- finds: A crash empties the unlogged app.vault, whose rows app.credentials needs
-- referenced, as nobody said
CREATE UNLOGGED TABLE app.accounts (id int PRIMARY KEY); -- finds: A crash empties the unlogged app.accounts, whose rows app.payments needs
CREATE TABLE app.payments (id int PRIMARY KEY, account_id int);
INSERT INTO app.accounts SELECT generate_series(1, 40);
INSERT INTO app.payments SELECT n, n FROM generate_series(1, 40) AS n;
ANALYZE;
-- a partition of a logged table that a foreign key references, one that none references
CREATE TABLE app.parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE app.parts_0 PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
CREATE UNLOGGED TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM (10) TO (20); -- finds: A crash empties app.parts_1, an unlogged partition of the logged app.parts, whose rows app.uses needs
CREATE TABLE app.uses (id int PRIMARY KEY, part int REFERENCES app.parts);
CREATE TABLE app.lone (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE UNLOGGED TABLE app.lone_1 PARTITION OF app.lone FOR VALUES FROM (0) TO (10); -- finds: A crash empties app.lone_1, an unlogged partition of the logged app.lone
-- referencing: by a foreign key (one table after another, the last of them logged), by the configuration
CREATE TABLE app.users (id int PRIMARY KEY);
CREATE UNLOGGED TABLE app.presence (user_id int PRIMARY KEY REFERENCES app.users); -- finds: A crash empties the unlogged app.presence, whose rows belong to those of app.users
CREATE UNLOGGED TABLE app.rooms (id int PRIMARY KEY);
CREATE UNLOGGED TABLE app.seats (id int PRIMARY KEY, room int REFERENCES app.rooms, user_id int REFERENCES app.users); -- finds: A crash empties the unlogged app.seats, whose rows belong to those of app.users
CREATE TABLE app.pages (id int PRIMARY KEY);
CREATE UNLOGGED TABLE app.hits (page int); -- finds: A crash empties the unlogged app.hits, whose rows belong to those of app.pages

-- neighbours: tied to nothing that survives
CREATE UNLOGGED TABLE app.staging (id serial PRIMARY KEY, line text);
CREATE UNLOGGED TABLE app.staging_lines (id int REFERENCES app.staging, parent int);
CREATE UNLOGGED TABLE app.tree (id int PRIMARY KEY, parent_id int REFERENCES app.tree);
CREATE UNLOGGED TABLE app.bank_branches (id int PRIMARY KEY); -- guessed from its last word only
CREATE TABLE app.tellers (id int PRIMARY KEY, branch_id int);
CREATE UNLOGGED TABLE app.scratch (id int PRIMARY KEY, user_id int);
CREATE TABLE app.logged (id int PRIMARY KEY, user_id int REFERENCES app.users);
