CREATE SCHEMA app;
CREATE TABLE app.users (id int PRIMARY KEY);
INSERT INTO app.users SELECT generate_series(1, 10);

-- NOT VALID: with rows that break it, and without
CREATE TABLE app.orders (id int PRIMARY KEY, user_id int);
INSERT INTO app.orders VALUES (1, 1), (2, 99), (3, 98), (4, NULL);
ALTER TABLE app.orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES app.users NOT VALID; -- finds: The foreign key orders_user of app.orders is NOT VALID, and 2 rows break it
CREATE TABLE app.bills (id int PRIMARY KEY, user_id int);
INSERT INTO app.bills VALUES (1, 1);
ALTER TABLE app.bills ADD CONSTRAINT bills_user FOREIGN KEY (user_id) REFERENCES app.users ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED NOT VALID; -- finds: The foreign key bills_user of app.bills is NOT VALID

-- the referencing side is off: what it let in breaks the key, which is called valid
CREATE TABLE app.notes (id int PRIMARY KEY, user_id int CONSTRAINT notes_user REFERENCES app.users); -- finds: The foreign key notes_user of app.notes is off on the referencing side (app.notes), and 1 row breaks it
ALTER TABLE app.notes DISABLE TRIGGER ALL;
INSERT INTO app.notes VALUES (1, 1), (2, 77);
-- the triggers are back, the row has stayed: the key is as enforced as it can say
CREATE TABLE app.mended (id int PRIMARY KEY, user_id int REFERENCES app.users);
ALTER TABLE app.mended DISABLE TRIGGER ALL;
INSERT INTO app.mended VALUES (2, 77);
ALTER TABLE app.mended ENABLE TRIGGER ALL;

-- the referenced side is off, for every key that points there
CREATE TABLE app.teams (id int PRIMARY KEY);
CREATE TABLE app.players (id int PRIMARY KEY, team int CONSTRAINT players_team REFERENCES app.teams ON DELETE CASCADE); -- finds: The foreign key players_team of app.players is off on the referenced side (app.teams)
CREATE TABLE app.coaches (id int PRIMARY KEY, team int);
INSERT INTO app.coaches VALUES (1, 5);
ALTER TABLE app.coaches ADD CONSTRAINT coaches_team FOREIGN KEY (team) REFERENCES app.teams NOT VALID; -- finds: The foreign key coaches_team of app.coaches is NOT VALID and off on the referenced side (app.teams), and 1 row breaks it
ALTER TABLE app.teams DISABLE TRIGGER ALL;

-- a reference to itself: both sides are one table
CREATE TABLE app.nodes (id int PRIMARY KEY, parent int CONSTRAINT nodes_parent REFERENCES app.nodes); -- finds: The foreign key nodes_parent of app.nodes is off on the referencing side (app.nodes) and the referenced side (app.nodes)
ALTER TABLE app.nodes DISABLE TRIGGER ALL;

-- R is off in an ordinary session, A is on
CREATE TABLE app.replicas (id int PRIMARY KEY, user_id int CONSTRAINT replicas_user REFERENCES app.users); -- finds: The foreign key replicas_user of app.replicas is off on the referencing side (app.replicas)
CREATE TABLE app.always (id int PRIMARY KEY, user_id int CONSTRAINT always_user REFERENCES app.users);
DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT tgrelid::regclass AS "table", tgname, tgrelid = 'app.always'::regclass AS always FROM pg_trigger
             WHERE tgisinternal AND tgrelid IN ('app.replicas'::regclass, 'app.always'::regclass) LOOP
        EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', t."table", CASE WHEN t.always THEN 'ALWAYS' ELSE 'REPLICA' END, t.tgname);
    END LOOP;
END $$;

-- one partition of the referencing side, one of the referenced side: the key of the whole is off there
CREATE TABLE app.events (id int, user_id int CONSTRAINT events_user REFERENCES app.users) PARTITION BY RANGE (id); -- finds: The foreign key events_user of app.events is off on the referencing side (app.events_2), and 1 row breaks it
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM (10) TO (20);
ALTER TABLE app.events_2 DISABLE TRIGGER ALL;
INSERT INTO app.events VALUES (1, 1), (11, 77);
CREATE TABLE app.accounts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE app.accounts_1 PARTITION OF app.accounts FOR VALUES FROM (0) TO (10);
CREATE TABLE app.accounts_2 PARTITION OF app.accounts FOR VALUES FROM (10) TO (20);
CREATE TABLE app.logins (id int PRIMARY KEY, account int CONSTRAINT logins_account REFERENCES app.accounts); -- finds: The foreign key logins_account of app.logins is off on the referenced side (app.accounts_1)
ALTER TABLE app.accounts_1 DISABLE TRIGGER ALL;

-- quoted names, a composite key under MATCH FULL
CREATE TABLE app."Halls" ("The Hall" int, "%s" int, PRIMARY KEY ("The Hall", "%s"));
CREATE TABLE app."Seat ""x""" (id int PRIMARY KEY, "The Hall" int, "%s" int);
INSERT INTO app."Seat ""x""" VALUES (1, 1, NULL), (2, NULL, NULL);
ALTER TABLE app."Seat ""x""" ADD CONSTRAINT "Seat's hall" FOREIGN KEY ("The Hall", "%s") REFERENCES app."Halls" MATCH FULL NOT VALID; -- finds: The foreign key "Seat's hall" of app."Seat ""x""" is NOT VALID, and 1 row breaks it

-- neighbours: they hold
CREATE TABLE app.plain (id int PRIMARY KEY, user_id int REFERENCES app.users);
CREATE TABLE app.deferred (id int PRIMARY KEY, user_id int REFERENCES app.users DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE app.validated (id int PRIMARY KEY, user_id int);
ALTER TABLE app.validated ADD CONSTRAINT validated_user FOREIGN KEY (user_id) REFERENCES app.users NOT VALID;
ALTER TABLE app.validated VALIDATE CONSTRAINT validated_user;
CREATE TABLE app.parts (id int, user_id int REFERENCES app.users) PARTITION BY RANGE (id);
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE app.owns_trigger (id int PRIMARY KEY, user_id int REFERENCES app.users);
CREATE FUNCTION app.noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noop BEFORE INSERT ON app.owns_trigger FOR EACH ROW EXECUTE FUNCTION app.noop();
ALTER TABLE app.owns_trigger DISABLE TRIGGER USER;
CREATE TABLE app.free (id int PRIMARY KEY, user_id int);
CREATE TABLE app.tree (id int PRIMARY KEY, parent int REFERENCES app.tree ON DELETE CASCADE);
CREATE TABLE app.rooms ("The Hall" int, "%s" int, FOREIGN KEY ("The Hall", "%s") REFERENCES app."Halls" MATCH FULL);
