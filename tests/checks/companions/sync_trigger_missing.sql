-- depth: catalog
CREATE SCHEMA app;
CREATE FUNCTION app.sync_vault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN INSERT INTO app.absent_vault VALUES (NEW.id); END IF;
    RETURN NULL;
END $$;

-- configured and not there
CREATE TABLE app.absent (id int PRIMARY KEY); -- finds: app.absent has no trigger trigger_sync_vault, which should keep app.absent_vault in step
CREATE TABLE app.absent_vault (id int REFERENCES app.absent ON DELETE CASCADE);
-- config: [[companion]]
-- config: of = "app.absent"
-- config: in = "app.absent_vault(id)"
-- config: trigger = "trigger_sync_vault"

-- configured and disabled
CREATE TABLE app.disabled (id int PRIMARY KEY);
CREATE TABLE app.disabled_vault (id int REFERENCES app.disabled ON DELETE CASCADE);
CREATE TRIGGER sync AFTER INSERT OR UPDATE OR DELETE ON app.disabled FOR EACH ROW EXECUTE FUNCTION app.sync_vault(); -- finds: The trigger sync of app.disabled, which keeps app.disabled_vault in step, is disabled
ALTER TABLE app.disabled DISABLE TRIGGER sync;
-- config: [[companion]]
-- config: of = "app.disabled"
-- config: in = "app.disabled_vault(id)"
-- config: trigger = "sync"

-- configured, for replicas only
CREATE TABLE app.replica (id int PRIMARY KEY);
CREATE TABLE app.replica_vault (id int REFERENCES app.replica ON DELETE CASCADE);
CREATE TRIGGER "Sync ""it""" AFTER INSERT OR UPDATE OR DELETE ON app.replica FOR EACH ROW EXECUTE FUNCTION app.sync_vault(); -- finds: The trigger "Sync ""it""" of app.replica, which keeps app.replica_vault in step, is enabled for replicas only
ALTER TABLE app.replica ENABLE REPLICA TRIGGER "Sync ""it""";
-- config: [[companion]]
-- config: of = "app.replica"
-- config: in = "app.replica_vault(id)"
-- config: trigger = 'Sync "it"'

-- configured: states have to agree, and no foreign key removes the companion
CREATE TABLE app.few (id int PRIMARY KEY, revoked_at timestamptz);
CREATE TABLE app.few_vault (few_id int, deleted_at timestamptz);
CREATE TRIGGER sync AFTER INSERT ON app.few FOR EACH ROW EXECUTE FUNCTION app.sync_vault(); -- finds: The trigger sync of app.few, which keeps app.few_vault in step, does not fire on UPDATE or DELETE
-- config: [[companion]]
-- config: of = "app.few"
-- config: in = "app.few_vault(few_id)"
-- config: trigger = "sync"
-- config: same_state = ["revoked_at IS NULL = deleted_at IS NULL"]

-- configured: a foreign key that does not cascade refuses the deletion
CREATE TABLE app.refused (id int PRIMARY KEY);
CREATE TABLE app.refused_vault (refused_id int REFERENCES app.refused);
CREATE TRIGGER sync AFTER INSERT OR UPDATE ON app.refused FOR EACH ROW EXECUTE FUNCTION app.sync_vault(); -- finds: The trigger sync of app.refused, which keeps app.refused_vault in step, does not fire on DELETE
-- config: [[companion]]
-- config: of = "app.refused"
-- config: in = "app.refused_vault(refused_id)"
-- config: trigger = "sync"

-- configured: UPDATE OF leaves out a column that has to agree
CREATE TABLE app.narrow (id int PRIMARY KEY, name text, revoked_at timestamptz, is_active boolean);
CREATE TABLE app.narrow_vault (narrow_id int REFERENCES app.narrow ON DELETE CASCADE, deleted_at timestamptz);
CREATE TRIGGER sync AFTER INSERT OR UPDATE OF name, is_active ON app.narrow FOR EACH ROW EXECUTE FUNCTION app.sync_vault(); -- finds: The trigger sync of app.narrow, which keeps app.narrow_vault in step, does not fire on UPDATE OF revoked_at
-- config: [[companion]]
-- config: of = "app.narrow"
-- config: in = "app.narrow_vault(narrow_id)"
-- config: trigger = "sync"
-- config: same_state = ["is_active AND revoked_at IS NULL = deleted_at IS NULL"]

-- configured: a statement-level trigger that sees no rows
CREATE TABLE app.blind (id int PRIMARY KEY);
CREATE TABLE app.blind_vault (blind_id int REFERENCES app.blind ON DELETE CASCADE);
CREATE TRIGGER sync AFTER INSERT ON app.blind FOR EACH STATEMENT EXECUTE FUNCTION app.sync_vault(); -- finds: The trigger sync of app.blind fires once per statement and sees no rows: it cannot keep app.blind_vault in step
-- config: [[companion]]
-- config: of = "app.blind"
-- config: in = "app.blind_vault(blind_id)"
-- config: trigger = "sync"

-- inferred: the trigger's function writes to the companion
CREATE TABLE app.users (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE app.logins (user_id int PRIMARY KEY REFERENCES app.users, deleted_at timestamptz);
CREATE FUNCTION app.sync_login() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.logins VALUES (NEW.id, NEW.deleted_at) ON CONFLICT (user_id) DO UPDATE SET deleted_at = EXCLUDED.deleted_at;
    RETURN NULL;
END $$;
CREATE TRIGGER sync_login AFTER INSERT ON app.users FOR EACH ROW EXECUTE FUNCTION app.sync_login(); -- finds: The trigger sync_login of app.users, which keeps app.logins in step, does not fire on UPDATE

-- inferred: the function is left, its trigger is not
CREATE TABLE app.devices (device int PRIMARY KEY);
CREATE TABLE app.device_keys (device_id int PRIMARY KEY REFERENCES app.devices);
CREATE FUNCTION app.sync_key() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO app.device_keys VALUES (NEW.device); RETURN NULL; END'; -- finds: No trigger calls app.sync_key(), which would keep app.device_keys in step with app.devices

-- neighbours
-- configured, whole, in one
CREATE TABLE app.whole (id int PRIMARY KEY, revoked_at timestamptz);
CREATE TABLE app.whole_vault (whole_id int, deleted_at timestamptz);
CREATE TRIGGER sync AFTER INSERT OR UPDATE OF revoked_at OR DELETE ON app.whole FOR EACH ROW EXECUTE FUNCTION app.sync_vault();
ALTER TABLE app.whole ENABLE ALWAYS TRIGGER sync;
-- config: [[companion]]
-- config: of = "app.whole"
-- config: in = "app.whole_vault(whole_id)"
-- config: trigger = "sync"
-- config: same_state = ["revoked_at IS NULL = deleted_at IS NULL"]
-- configured, the events divided among three, one of them for statements with transition tables
CREATE TABLE app.parted (id int PRIMARY KEY, revoked_at timestamptz);
CREATE TABLE app.parted_vault (parted_id int, deleted_at timestamptz);
CREATE FUNCTION app.sync_parted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE app.parted_vault SET deleted_at = now(); RETURN OLD; END';
CREATE TRIGGER sync AFTER INSERT ON app.parted REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION app.sync_vault();
CREATE TRIGGER change AFTER UPDATE ON app.parted FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.sync_parted();
CREATE TRIGGER remove BEFORE DELETE ON app.parted FOR EACH ROW EXECUTE FUNCTION app.sync_parted();
-- config: [[companion]]
-- config: of = "app.parted"
-- config: in = "app.parted_vault(parted_id)"
-- config: trigger = "sync"
-- config: same_state = ["revoked_at IS NULL = deleted_at IS NULL"]
-- configured without states: INSERT is enough where the foreign key cascades
CREATE TABLE app.simple (id int PRIMARY KEY);
CREATE TABLE app.simple_vault (simple_id int REFERENCES app.simple ON DELETE CASCADE);
CREATE TRIGGER sync AFTER INSERT ON app.simple FOR EACH ROW EXECUTE FUNCTION app.sync_vault();
-- config: [[companion]]
-- config: of = "app.simple"
-- config: in = "app.simple_vault(simple_id)"
-- config: trigger = "sync"
-- configured on the other side, which keeps the pair together from there
CREATE TABLE app.inverse (id int PRIMARY KEY);
CREATE TABLE app.inverse_vault (inverse_id int);
CREATE TRIGGER sync AFTER INSERT OR DELETE ON app.inverse_vault FOR EACH ROW EXECUTE FUNCTION app.sync_vault();
-- config: [[companion]]
-- config: of = "app.inverse"
-- config: in = "app.inverse_vault(inverse_id)"
-- config: trigger = "sync"
-- inferred: a trigger that only touches the companion when the row changes; the application creates it
CREATE TABLE app.touched (id int PRIMARY KEY);
CREATE TABLE app.touched_extra (touched_id int PRIMARY KEY REFERENCES app.touched, at timestamptz);
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE app.touched_extra SET at = now() WHERE touched_id = NEW.id; RETURN NULL; END';
CREATE TRIGGER touch AFTER UPDATE ON app.touched FOR EACH ROW EXECUTE FUNCTION app.touch();
-- inferred: INSERT only, and the function is written for nothing else
CREATE TABLE app.teams (id int PRIMARY KEY, deleted_at timestamptz);
CREATE TABLE app.quotas (team_id int PRIMARY KEY REFERENCES app.teams, deleted_at timestamptz);
CREATE FUNCTION app.add_quota() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO app.quotas VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER add_quota AFTER INSERT ON app.teams FOR EACH ROW EXECUTE FUNCTION app.add_quota();
-- inferred companions without any trigger
CREATE TABLE app.badges (user_id int PRIMARY KEY REFERENCES app.users);
-- a disabled trigger that has nothing to do with a pair (foundations/trigger-disabled)
CREATE FUNCTION app.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''INSERT INTO app.badges''; RETURN NULL; END';
CREATE TRIGGER nothing AFTER INSERT ON app.users FOR EACH ROW EXECUTE FUNCTION app.nothing();
ALTER TABLE app.users DISABLE TRIGGER nothing;
