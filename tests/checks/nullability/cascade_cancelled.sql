CREATE SCHEMA app;
CREATE TABLE app.users (id int PRIMARY KEY, deleted_at timestamptz);
INSERT INTO app.users SELECT generate_series(1, 9);
CREATE TABLE app.graves (id int);
CREATE FUNCTION app.soft() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO app.graves VALUES (OLD.id); RETURN NULL; END';
CREATE FUNCTION app.new() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION app.old() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE FUNCTION app.maybe() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF OLD.id > 5 THEN return(null); END IF; IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; RETURN NEW; END';
CREATE FUNCTION app.fine() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN /* RETURN NULL */ IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; -- return null
RAISE NOTICE 'return null'; RETURN NEW; END$$;
CREATE FUNCTION app.deep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF pg_trigger_depth() > 1 THEN RETURN OLD; END IF; RETURN NULL; END';

-- the row is noted elsewhere and stays: user 1 went, and two notes stayed
CREATE TABLE app.notes (id int PRIMARY KEY, user_id int CONSTRAINT notes_user REFERENCES app.users ON DELETE CASCADE, deleted_at timestamptz);
CREATE TRIGGER soft BEFORE DELETE ON app.notes FOR EACH ROW EXECUTE FUNCTION app.soft(); -- finds: 2 rows of app.notes were left without 1 row of app.users: the trigger soft of app.notes cancels ON DELETE CASCADE
INSERT INTO app.notes VALUES (1, 1), (2, 1), (3, 2), (4, NULL);
DELETE FROM app.users WHERE id = 1;
-- nothing was deleted yet: NEW in a DELETE; NULL now and then, fired always; hostile names; composite
CREATE TABLE app.sessions (id int PRIMARY KEY, user_id int CONSTRAINT sessions_user REFERENCES app.users ON DELETE CASCADE);
CREATE TRIGGER "Tri g" BEFORE INSERT OR DELETE ON app.sessions FOR EACH ROW EXECUTE FUNCTION app.new(); -- finds: ON DELETE CASCADE of sessions_user may be cancelled: the trigger "Tri g" of app.sessions stands in the way
INSERT INTO app.sessions VALUES (1, 2);
CREATE TABLE app."P""p" ("A a" int, "%s" int, PRIMARY KEY ("A a", "%s"));
CREATE TABLE app."C FOR EACH ROW 'c" (id int, "x y" int, z int, CONSTRAINT "The Key" FOREIGN KEY ("x y", z) REFERENCES app."P""p" ON DELETE CASCADE);
CREATE TRIGGER "a ""FOR EACH ROW EXECUTE FUNCTION " BEFORE DELETE ON app."C FOR EACH ROW 'c" FOR EACH ROW EXECUTE FUNCTION app.maybe('FOR EACH ROW EXECUTE FUNCTION '); -- finds: ON DELETE CASCADE of "The Key" may be cancelled: the trigger "a ""FOR EACH ROW EXECUTE FUNCTION " of app."C FOR EACH ROW 'c" stands in the way
ALTER TABLE app."C FOR EACH ROW 'c" ENABLE ALWAYS TRIGGER "a ""FOR EACH ROW EXECUTE FUNCTION ";
-- SET NULL, and re-keying, are updates; one that names the column
CREATE TABLE app.tasks (id int PRIMARY KEY, user_id int CONSTRAINT tasks_user REFERENCES app.users ON DELETE SET NULL, other int);
CREATE TRIGGER keep BEFORE UPDATE OF user_id ON app.tasks FOR EACH ROW EXECUTE FUNCTION app.old(); -- finds: 1 row of app.tasks was left without 1 row of app.users: the trigger keep of app.tasks cancels ON DELETE SET NULL
INSERT INTO app.tasks VALUES (1, 9), (2, 8);
COMMIT; -- of a row written in the same transaction every update is checked
DELETE FROM app.users WHERE id = 9;
CREATE TABLE app.tags (id int PRIMARY KEY, user_id int CONSTRAINT tags_user REFERENCES app.users ON UPDATE CASCADE);
CREATE TRIGGER keep BEFORE UPDATE ON app.tags FOR EACH ROW EXECUTE FUNCTION app.maybe(); -- finds: ON UPDATE CASCADE of tags_user may be cancelled: the trigger keep of app.tags stands in the way
-- a rule that does something of the same kind instead; one that does nothing, and makes the deletion of any user fail
CREATE TABLE app.users_2 (id int PRIMARY KEY);
CREATE TABLE app.bills_2 (id int PRIMARY KEY, user_id int CONSTRAINT bills_2_user REFERENCES app.users_2 ON DELETE CASCADE);
CREATE RULE nothing AS ON DELETE TO app.bills_2 DO INSTEAD NOTHING; -- finds: ON DELETE CASCADE of bills_2_user may be cancelled: the rule nothing of app.bills_2 stands in the way
CREATE TABLE app.bills (id int PRIMARY KEY, user_id int CONSTRAINT bills_user REFERENCES app.users ON DELETE CASCADE);
CREATE RULE "Keep it" AS ON DELETE TO app.bills DO INSTEAD DELETE FROM app.graves; -- finds: 1 row of app.bills was left without 1 row of app.users: the rule "Keep it" of app.bills cancels ON DELETE CASCADE
INSERT INTO app.bills VALUES (1, 7), (2, 6);
DELETE FROM app.users WHERE id = 7;
-- partitioned: the trigger of the whole, and one of a partition
CREATE TABLE app.events (id int, user_id int CONSTRAINT events_user REFERENCES app.users ON DELETE CASCADE) PARTITION BY RANGE (id);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
CREATE TRIGGER part BEFORE DELETE ON app.events_1 FOR EACH ROW EXECUTE FUNCTION app.maybe(); -- finds: ON DELETE CASCADE of events_user may be cancelled: the trigger part of app.events_1 stands in the way
CREATE TABLE app.stays (id int, user_id int CONSTRAINT stays_user REFERENCES app.users ON DELETE CASCADE) PARTITION BY RANGE (id);
CREATE TABLE app.stays_1 PARTITION OF app.stays FOR VALUES FROM (0) TO (10);
CREATE TRIGGER whole BEFORE DELETE ON app.stays FOR EACH ROW EXECUTE FUNCTION app.maybe(); -- finds: ON DELETE CASCADE of stays_user may be cancelled: the trigger whole of app.stays stands in the way

-- neighbours: returns the row; comments and texts; AFTER; disabled; for each statement; INSERT only; columns that are not set; NO ACTION; it stands aside; ALSO
CREATE TABLE app.n1 (id int PRIMARY KEY, user_id int REFERENCES app.users ON DELETE CASCADE ON UPDATE CASCADE, other int);
CREATE TRIGGER a BEFORE DELETE OR UPDATE ON app.n1 FOR EACH ROW EXECUTE FUNCTION app.fine();
CREATE TRIGGER b AFTER DELETE OR UPDATE ON app.n1 FOR EACH ROW EXECUTE FUNCTION app.soft();
CREATE TRIGGER c BEFORE DELETE OR UPDATE ON app.n1 FOR EACH ROW EXECUTE FUNCTION app.soft();
ALTER TABLE app.n1 DISABLE TRIGGER c;
CREATE TRIGGER d BEFORE DELETE ON app.n1 FOR EACH STATEMENT EXECUTE FUNCTION app.soft();
CREATE TRIGGER e BEFORE INSERT ON app.n1 FOR EACH ROW EXECUTE FUNCTION app.maybe();
CREATE TRIGGER f BEFORE UPDATE OF other ON app.n1 FOR EACH ROW EXECUTE FUNCTION app.maybe();
CREATE TRIGGER g BEFORE DELETE ON app.n1 FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION app.soft();
CREATE TRIGGER h BEFORE DELETE ON app.n1 FOR EACH ROW EXECUTE FUNCTION app.deep();
CREATE TRIGGER i BEFORE UPDATE ON app.n1 FOR EACH ROW EXECUTE FUNCTION app.new();
CREATE TRIGGER j BEFORE UPDATE ON app.n1 FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE k AS ON DELETE TO app.n1 DO ALSO NOTHING;
CREATE RULE l AS ON INSERT TO app.n1 DO INSTEAD NOTHING;
CREATE TABLE app.n2 (id int PRIMARY KEY, user_id int REFERENCES app.users ON DELETE RESTRICT);
CREATE TRIGGER a BEFORE DELETE OR UPDATE ON app.n2 FOR EACH ROW EXECUTE FUNCTION app.soft();
CREATE TABLE app.n3 (id int PRIMARY KEY, user_id int REFERENCES app.users ON DELETE CASCADE);
CREATE TRIGGER a BEFORE UPDATE ON app.n3 FOR EACH ROW EXECUTE FUNCTION app.soft();
CREATE RULE b AS ON DELETE TO app.n3 DO INSTEAD NOTHING;
ALTER TABLE app.n3 DISABLE RULE b;
CREATE TABLE app.n4 (id int PRIMARY KEY, user_id int REFERENCES app.users ON DELETE SET NULL);
CREATE TRIGGER a BEFORE DELETE ON app.n4 FOR EACH ROW EXECUTE FUNCTION app.soft();
