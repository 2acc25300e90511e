CREATE SCHEMA app;
CREATE TABLE app.users (id int PRIMARY KEY);
INSERT INTO app.users SELECT generate_series(1, 30);

-- the name says so
CREATE TABLE app.user_settings (id int PRIMARY KEY, user_id int REFERENCES app.users, theme text); -- finds: Nothing keeps app.user_settings at one row per row of app.users: user_id is not unique, though all 25 rows differ
INSERT INTO app.user_settings SELECT n, n, 'dark' FROM generate_series(1, 25) AS n;
CREATE TABLE app.profiles (id int PRIMARY KEY, owner int REFERENCES app.users, deleted_at timestamptz); -- finds: Nothing keeps app.profiles at one row per row of app.users: owner is not unique, though all 20 rows differ
INSERT INTO app.profiles SELECT n, n FROM generate_series(1, 20) AS n;
INSERT INTO app.profiles VALUES (90, NULL), (91, NULL);

-- a trigger of the parent writes it
CREATE TABLE app.wallets (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, holder int REFERENCES app.users, opened_by int REFERENCES app.users); -- finds: Nothing keeps app.wallets at one row per row of app.users: holder is not unique, though all 30 rows differ
INSERT INTO app.wallets (holder) SELECT id FROM app.users;
CREATE FUNCTION app.open_wallet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO app.wallets (holder) VALUES (NEW.id); INSERT INTO app.user_log (user_id) VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER open_wallet AFTER INSERT ON app.users FOR EACH ROW EXECUTE FUNCTION app.open_wallet();

-- an upsert relies on it: any number of rows
CREATE TABLE app.quotas (id int PRIMARY KEY, user_id int REFERENCES app.users, bytes int); -- finds: Nothing keeps app.quotas at one row per row of app.users: user_id is not unique, though all 2 rows differ
INSERT INTO app.quotas VALUES (1, 1, 1), (2, 2, 1);
CREATE FUNCTION app.grow(int, int) RETURNS void LANGUAGE sql AS 'INSERT INTO app.quotas (id, user_id, bytes) VALUES (DEFAULT, $1, $2) ON CONFLICT (user_id) DO UPDATE SET bytes = EXCLUDED.bytes';

-- the configuration says it
CREATE TABLE app.vaults (id int PRIMARY KEY, user_id int NOT NULL, box int); -- finds: Nothing keeps app.vaults at one row per row of app.users: user_id is not unique, though all 30 rows differ
INSERT INTO app.vaults SELECT n, n FROM generate_series(1, 30) AS n;
-- config: [[companion]]
-- config: of = "app.users"
-- config: in = "app.vaults(user_id)"
-- config: exactly_one = true
-- config: [[reference]]
-- config: from = "app.vaults(user_id)"
-- config: to = "app.users(id)"

-- neighbours: unique already, over all rows or live ones
CREATE TABLE app.user_preferences (id int PRIMARY KEY, user_id int UNIQUE REFERENCES app.users);
INSERT INTO app.user_preferences SELECT n, n FROM generate_series(1, 25) AS n;
CREATE TABLE app.user_details (id int PRIMARY KEY, user_id int REFERENCES app.users, deleted_at timestamptz);
CREATE UNIQUE INDEX ON app.user_details (user_id) WHERE deleted_at IS NULL;
INSERT INTO app.user_details SELECT n, n FROM generate_series(1, 25) AS n;
-- too few rows; rows that share a value; nobody means it; a log; another reference beside it; of something else
CREATE TABLE app.user_configs (id int PRIMARY KEY, user_id int REFERENCES app.users);
INSERT INTO app.user_configs SELECT n, n FROM generate_series(1, 19) AS n;
CREATE TABLE app.user_infos (id int PRIMARY KEY, user_id int REFERENCES app.users);
INSERT INTO app.user_infos SELECT n, 1 + n % 25 FROM generate_series(1, 26) AS n;
CREATE TABLE app.orders (id int PRIMARY KEY, user_id int REFERENCES app.users);
INSERT INTO app.orders SELECT n, n FROM generate_series(1, 30) AS n;
CREATE TABLE app.user_log (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, user_id int REFERENCES app.users);
INSERT INTO app.user_log (user_id) SELECT id FROM app.users;
CREATE TABLE app.order_summaries (id int PRIMARY KEY, order_id int REFERENCES app.orders, user_id int REFERENCES app.users);
INSERT INTO app.order_summaries SELECT n, n, n FROM generate_series(1, 25) AS n;
CREATE TABLE app.order_details (id int PRIMARY KEY, user_id int REFERENCES app.users);
INSERT INTO app.order_details SELECT n, n FROM generate_series(1, 25) AS n;
