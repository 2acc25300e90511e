CREATE SCHEMA app;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';

CREATE TABLE app.orders (id int PRIMARY KEY, total int);
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.orders DISABLE TRIGGER touch; -- finds: The trigger touch of app.orders is disabled
CREATE TRIGGER "It's ""%s""" AFTER UPDATE OF total ON app.orders FOR EACH ROW WHEN (NEW.total > 0) EXECUTE FUNCTION app.touch('a', E'b\nc');
ALTER TABLE app.orders ENABLE REPLICA TRIGGER "It's ""%s"""; -- finds: The trigger "It's ""%s""" of app.orders is set to ENABLE REPLICA: it fires under the replica role only
CREATE CONSTRAINT TRIGGER balance AFTER INSERT ON app.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.orders DISABLE TRIGGER balance; -- finds: The trigger balance of app.orders is disabled

-- a partitioned table's trigger and its copies: once for the whole
CREATE TABLE app.events (id int) PARTITION BY RANGE (id);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE app.events_2a PARTITION OF app.events_2 FOR VALUES FROM (10) TO (15);
CREATE TRIGGER whole AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.events DISABLE TRIGGER whole; -- finds: The trigger whole of app.events is disabled
-- one copy alone
CREATE TRIGGER part AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.events_1 DISABLE TRIGGER part; -- finds: The trigger part of app.events_1 is disabled

-- neighbours: they fire, or are no triggers of users
CREATE TABLE app.users (id int PRIMARY KEY);
CREATE TRIGGER touch BEFORE INSERT ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER always AFTER INSERT ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.users ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER statement AFTER DELETE ON app.events FOR EACH STATEMENT EXECUTE FUNCTION app.touch();
CREATE TABLE app.notes (id int PRIMARY KEY, user_id int REFERENCES app.users);
ALTER TABLE app.notes DISABLE TRIGGER ALL;
CREATE TABLE app.again (id int PRIMARY KEY);
CREATE TRIGGER touch BEFORE INSERT ON app.again FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.again DISABLE TRIGGER USER;
ALTER TABLE app.again ENABLE TRIGGER USER;
