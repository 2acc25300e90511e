CREATE SCHEMA app;
CREATE SCHEMA vlt;

-- configured: 5 in force have none; 2 of them are younger than the grace period, and one is of unknown age
CREATE TABLE app.project_credentials (id int PRIMARY KEY, is_active boolean NOT NULL DEFAULT true, revoked_at timestamptz, created_at timestamptz DEFAULT now() - interval '1 day'); -- finds: 3 of 11 rows of app.project_credentials that need a row in vlt.credential_vault_storage have none
CREATE TABLE vlt.credential_vault_storage (id int PRIMARY KEY, credential_id int NOT NULL REFERENCES app.project_credentials, vault_id text NOT NULL UNIQUE, deleted_at timestamptz);
INSERT INTO app.project_credentials (id) SELECT generate_series(1, 10);
INSERT INTO app.project_credentials VALUES (11, true, NULL, now()), (12, true, NULL, now() - interval '4 minutes'), (13, true, NULL, NULL);
-- neighbours: revoked and inactive rows need none; the row of 7 is there, though deleted (companion_state_drift)
INSERT INTO app.project_credentials VALUES (20, true, now(), now() - interval '1 day'), (21, false, NULL, now() - interval '1 day');
INSERT INTO vlt.credential_vault_storage SELECT n, n, 'vault-' || n, CASE WHEN n = 7 THEN now() END FROM generate_series(1, 8) AS n;
-- config: [[companion]]
-- config: of = "app.project_credentials"
-- config: where = "is_active AND revoked_at IS NULL"
-- config: in = "vlt.credential_vault_storage(credential_id)"
-- config: grace = "10 minutes"
-- config: created_at = "created_at"

-- configured over a composite key, quoted names, no foreign key: rows that are marked as deleted need none
CREATE TABLE app."Odd ""Table""" ("The Site" int, "%s" int, deleted_at timestamptz, PRIMARY KEY ("The Site", "%s")); -- finds: 1 of 3 rows of app."Odd ""Table""" that need a row in app."select" has none
CREATE TABLE app."select" ("%s" int NOT NULL, "a b" int NOT NULL, PRIMARY KEY ("a b", "%s"));
INSERT INTO app."Odd ""Table""" VALUES (1, 1, NULL), (1, 2, NULL), (2, 1, NULL), (3, 3, now());
INSERT INTO app."select" VALUES (1, 1), (1, 2);
-- config: [[companion]]
-- config: of = 'app."Odd ""Table"""("The Site", "%s")'
-- config: in = 'app."select"("a b", "%s")'

-- configured the other way round: the row names its companion, and NULL names none
CREATE TABLE app.secrets (id int PRIMARY KEY);
CREATE TABLE app.keys (id int PRIMARY KEY, secret_id int REFERENCES app.secrets); -- finds: 2 rows of app.keys that need a row in app.secrets name none: app.keys.secret_id is NULL
INSERT INTO app.secrets VALUES (1), (2);
INSERT INTO app.keys VALUES (1, 1), (2, 2), (3, NULL), (4, NULL);
-- config: [[companion]]
-- config: of = "app.keys(secret_id)"
-- config: in = "app.secrets(id)"

-- inferred from a unique foreign key: 98 of 100 have theirs
CREATE TABLE app.users (id int PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now() - interval '1 day'); -- finds: 2 rows of app.users have no row in app.profiles, while 98 have theirs
CREATE TABLE app.profiles (id int PRIMARY KEY, user_id int NOT NULL UNIQUE REFERENCES app.users);
INSERT INTO app.users SELECT generate_series(1, 100);
INSERT INTO app.profiles SELECT n, n FROM generate_series(1, 98) AS n;
-- neighbour: a user of this moment, whose profile may be on its way
INSERT INTO app.users VALUES (101, now());
-- neighbour: 40 % of the users have one; it is optional
CREATE TABLE app.avatars (user_id int PRIMARY KEY REFERENCES app.users);
INSERT INTO app.avatars SELECT generate_series(1, 40);
-- neighbour: every user of 100 has one
CREATE TABLE app.settings (user_id int PRIMARY KEY REFERENCES app.users);
INSERT INTO app.settings SELECT generate_series(1, 101);
-- neighbour: one row among those not deleted; all have one, some had another before
CREATE TABLE app.sessions (id int PRIMARY KEY, user_id int NOT NULL REFERENCES app.users, deleted_at timestamptz);
CREATE UNIQUE INDEX ON app.sessions (user_id) WHERE deleted_at IS NULL;
INSERT INTO app.sessions SELECT n, n FROM generate_series(1, 100) AS n;
INSERT INTO app.sessions SELECT n + 200, n, now() FROM generate_series(1, 50) AS n;
-- neighbour: unique for some rows only, which says nothing about the others
CREATE TABLE app.emails (id int PRIMARY KEY, user_id int NOT NULL REFERENCES app.users, is_primary boolean NOT NULL);
CREATE UNIQUE INDEX ON app.emails (user_id) WHERE is_primary;
INSERT INTO app.emails SELECT n, n, true FROM generate_series(1, 97) AS n;

-- inferred from an upsert: nothing makes the key unique, but a function relies on it (incident 2)
CREATE TABLE app.devices (id int PRIMARY KEY, revoked_at timestamptz); -- finds: 1 row of app.devices has no row in vlt.device_keys, while 39 have theirs
CREATE TABLE vlt.device_keys (id serial PRIMARY KEY, device_id int NOT NULL REFERENCES app.devices, key text);
INSERT INTO app.devices SELECT n, CASE WHEN n > 40 THEN now() END FROM generate_series(1, 60) AS n;
INSERT INTO vlt.device_keys (device_id) SELECT generate_series(1, 39);
CREATE FUNCTION vlt.put(device int, secret text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- not this one: INSERT INTO app.devices (id) VALUES (1) ON CONFLICT (id) DO NOTHING;
    INSERT INTO device_keys AS k (device_id, key) VALUES (device, secret || '; ON CONFLICT (key)')
    ON CONFLICT (device_id) DO UPDATE SET key = EXCLUDED.key;
END $$;

-- inferred from a trigger that writes a row for every new row, through a function that it calls
CREATE TABLE app.teams (id int PRIMARY KEY); -- finds: 1 row of app.teams has no row in app.quotas, while 29 have theirs
CREATE TABLE app.quotas (id serial PRIMARY KEY, team_id int NOT NULL REFERENCES app.teams);
CREATE FUNCTION app.add_quota(team int) RETURNS void LANGUAGE sql AS 'INSERT INTO app.quotas (team_id) VALUES (team)';
CREATE FUNCTION app.on_team() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM app.add_quota(NEW.id); RETURN NULL; END';
INSERT INTO app.teams VALUES (0);
CREATE TRIGGER on_team AFTER INSERT ON app.teams FOR EACH ROW EXECUTE FUNCTION app.on_team();
INSERT INTO app.teams SELECT generate_series(1, 29);
-- neighbour: what a trigger keeps about the past is no companion
CREATE TABLE app.orders (id int PRIMARY KEY);
CREATE TABLE app.order_history (id serial PRIMARY KEY, order_id int NOT NULL REFERENCES app.orders);
CREATE FUNCTION app.remember() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO app.order_history (order_id) VALUES (NEW.id); RETURN NULL; END';
INSERT INTO app.orders VALUES (0);
CREATE TRIGGER remember AFTER INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.remember();
INSERT INTO app.orders SELECT generate_series(1, 29);

-- neighbours: subtypes divide the rows of a table among them
CREATE TABLE app.animals (id int PRIMARY KEY);
CREATE TABLE app.dogs (id int PRIMARY KEY REFERENCES app.animals);
CREATE TABLE app.cats (id int PRIMARY KEY REFERENCES app.animals);
INSERT INTO app.animals SELECT generate_series(1, 100);
INSERT INTO app.dogs SELECT generate_series(1, 97);
INSERT INTO app.cats SELECT generate_series(98, 100);
CREATE TABLE app.vehicles (id int PRIMARY KEY, kind text NOT NULL, UNIQUE (id, kind));
CREATE TABLE app.cars (id int, kind text NOT NULL CHECK (kind = 'car'), PRIMARY KEY (id, kind), FOREIGN KEY (id, kind) REFERENCES app.vehicles (id, kind));
INSERT INTO app.vehicles SELECT n, CASE WHEN n <= 98 THEN 'car' ELSE 'van' END FROM generate_series(1, 100) AS n;
INSERT INTO app.cars SELECT n, 'car' FROM generate_series(1, 98) AS n;
-- neighbour: 10 rows tell nothing
CREATE TABLE app.kinds (id int PRIMARY KEY);
CREATE TABLE app.kind_labels (kind_id int PRIMARY KEY REFERENCES app.kinds);
INSERT INTO app.kinds SELECT generate_series(1, 10);
INSERT INTO app.kind_labels SELECT generate_series(1, 9);
-- neighbour: an optional self-reference
CREATE TABLE app.nodes (id int PRIMARY KEY, next_id int UNIQUE REFERENCES app.nodes);
INSERT INTO app.nodes VALUES (100, NULL);
INSERT INTO app.nodes SELECT n, n + 1 FROM generate_series(99, 1, -1) AS n;
-- neighbour: partitioned on both sides and whole
CREATE TABLE app.accounts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE app.accounts_1 PARTITION OF app.accounts FOR VALUES FROM (0) TO (50);
CREATE TABLE app.accounts_2 PARTITION OF app.accounts FOR VALUES FROM (50) TO (200);
CREATE TABLE app.balances (account_id int PRIMARY KEY REFERENCES app.accounts) PARTITION BY RANGE (account_id);
CREATE TABLE app.balances_1 PARTITION OF app.balances FOR VALUES FROM (0) TO (100);
CREATE TABLE app.balances_2 PARTITION OF app.balances FOR VALUES FROM (100) TO (200);
INSERT INTO app.accounts SELECT generate_series(1, 120);
INSERT INTO app.balances SELECT generate_series(1, 120);

-- inferred, and which rows need one is learned from the rows: by two of the states that an order may be in
CREATE TABLE app.carts (id int PRIMARY KEY, status text NOT NULL); -- finds: 2 rows of app.carts have no row in app.invoices, while 78 have theirs
CREATE TABLE app.invoices (id int PRIMARY KEY, cart_id int NOT NULL UNIQUE REFERENCES app.carts);
INSERT INTO app.carts SELECT n, CASE WHEN n <= 40 THEN 'paid' WHEN n <= 80 THEN 'it''s shipped' WHEN n <= 200 THEN 'draft' ELSE 'rare' END FROM generate_series(1, 210) AS n;
INSERT INTO app.invoices SELECT n, n FROM generate_series(1, 210) AS n WHERE n NOT IN (7, 70) AND (n <= 90 OR n > 205);
-- by a time, among rows that are not deleted; an enum that tells nothing
CREATE TYPE app.plan AS ENUM ('free', 'pro');
CREATE TABLE app.members (id int PRIMARY KEY, "Verified_At" timestamptz, state app.plan, deleted_at timestamptz); -- finds: 1 row of app.members has no row in app.badges, while 29 have theirs
CREATE TABLE app.badges (member_id int PRIMARY KEY REFERENCES app.members);
INSERT INTO app.members SELECT n, CASE WHEN n <= 35 THEN now() END, CASE WHEN n % 2 = 0 THEN 'free' ELSE 'pro' END::app.plan, CASE WHEN n > 30 AND n <= 35 THEN now() END FROM generate_series(1, 90) AS n;
INSERT INTO app.badges SELECT n FROM generate_series(2, 40) AS n WHERE n NOT BETWEEN 31 AND 35;
-- neighbours: the state sets rows apart and all of them have theirs; no state does; too few rows; more than half of the others have one
CREATE TABLE app.trips (id int PRIMARY KEY, status text);
CREATE TABLE app.tickets (trip_id int PRIMARY KEY REFERENCES app.trips);
INSERT INTO app.trips SELECT n, CASE WHEN n <= 40 THEN 'booked' ELSE 'idea' END FROM generate_series(1, 100) AS n;
INSERT INTO app.tickets SELECT generate_series(1, 40);
CREATE TABLE app.guests (id int PRIMARY KEY, status text, is_verified boolean);
CREATE TABLE app.photos (guest_id int PRIMARY KEY REFERENCES app.guests);
INSERT INTO app.guests SELECT n, CASE n % 2 WHEN 0 THEN 'here' ELSE 'gone' END, n % 3 = 0 FROM generate_series(1, 300) AS n;
INSERT INTO app.photos SELECT generate_series(1, 120);
CREATE TABLE app.trials (id int PRIMARY KEY, status text);
CREATE TABLE app.trial_reports (trial_id int PRIMARY KEY REFERENCES app.trials);
INSERT INTO app.trials SELECT n, CASE WHEN n <= 19 THEN 'done' ELSE 'open' END FROM generate_series(1, 100) AS n;
INSERT INTO app.trial_reports SELECT generate_series(2, 40);
CREATE TABLE app.visits (id int PRIMARY KEY, status text);
CREATE TABLE app.visit_notes (visit_id int PRIMARY KEY REFERENCES app.visits);
INSERT INTO app.visits SELECT n, CASE WHEN n <= 50 THEN 'done' ELSE 'open' END FROM generate_series(1, 100) AS n;
INSERT INTO app.visit_notes SELECT generate_series(2, 76);
