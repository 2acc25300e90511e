CREATE SCHEMA app;
SET check_function_bodies = off;
CREATE TABLE app.orders (id int PRIMARY KEY, amount int, updated_at timestamptz);
CREATE TABLE app.audit (id serial PRIMARY KEY, what text, "When" timestamptz);
CREATE SCHEMA other;
CREATE TABLE other.audit (touched int);
CREATE TABLE app.tags (id int PRIMARY KEY, tag text);
CREATE VIEW app.recent AS SELECT * FROM app.orders;

-- a column that was renamed
CREATE FUNCTION app.total() RETURNS trigger LANGUAGE plpgsql AS $$
-- new.nothing in a comment, 'new.nothing' in a string
DECLARE said text := 'NEW.nothing';
BEGIN
    NEW.updated_at := now();
    IF NEW.total > 0 AND NEW IS DISTINCT FROM OLD THEN RETURN NEW; END IF;
    RETURN NULL;
END $$; -- finds: The trigger function app.total() names NEW.total, a column that app.orders does not have
CREATE TRIGGER total BEFORE INSERT OR UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.total();
-- none of its tables has it; a view's trigger
CREATE FUNCTION app.pair() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('x', (CASE WHEN OLD."Gone" IS NULL THEN 'a' ELSE 'b' END));
    RETURN OLD;
END; $$; -- finds: The trigger function app.pair() names OLD."Gone", a column that app.orders or app.recent does not have
CREATE TRIGGER pair BEFORE DELETE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.pair();
CREATE TRIGGER pair INSTEAD OF DELETE ON app.recent FOR EACH ROW EXECUTE FUNCTION app.pair();
-- tables and columns that statements name
CREATE FUNCTION app.log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.audit_log (what, created_at) VALUES ('x', now());
    RETURN NULL;
END $$; -- finds: The trigger function app.log() names app.audit_log, a table that does not exist
CREATE TRIGGER log AFTER INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.log();
CREATE FUNCTION app.log_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM ONLY app."No ""such""" WHERE id = 1;
    RETURN NULL;
END $$; -- finds: The trigger function app.log_all() names app."No ""such""", a table that does not exist
CREATE TRIGGER log_all AFTER INSERT ON app.orders FOR EACH STATEMENT EXECUTE FUNCTION app.log_all();
CREATE FUNCTION app.log_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit AS a (what, happened) SELECT 'x', now();
    RETURN NULL;
END $$; -- finds: The trigger function app.log_column() names happened, a column that audit does not have
CREATE TRIGGER log_column AFTER UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.log_column();
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE app.audit AS a SET what = coalesce(NEW.tag, missing_is_an_expression), ("When", touched) = (now(), 1) WHERE a.id = 1;
    RETURN NULL;
END $$; -- finds: The trigger function app.touch() names touched, a column that app.audit does not have
CREATE TRIGGER touch AFTER UPDATE ON app.tags FOR EACH ROW EXECUTE FUNCTION app.touch();
-- it looks at TG_OP, and the trigger does not fire on everything
CREATE FUNCTION app.dead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN RAISE NOTICE '%', OLD.former; END IF;
    RETURN NEW;
END $$; -- finds: The trigger function app.dead() names OLD.former, a column that app.tags does not have
CREATE TRIGGER dead BEFORE INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.dead();
-- no PL/pgSQL
CREATE FUNCTION app.unclosed() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'x; END $$; -- finds: The function app.unclosed() does not compile: a quote or comment that begins in line 1 never ends
CREATE FUNCTION app.sql() RETURNS trigger LANGUAGE plpgsql AS $$ INSERT INTO app.audit DEFAULT VALUES; $$; -- finds: The function app.sql() does not compile: its body begins with neither DECLARE nor BEGIN
CREATE TRIGGER sql AFTER INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.sql();
CREATE FUNCTION app.empty() RETURNS void LANGUAGE plpgsql AS ''; -- finds: The function app.empty() does not compile: its body is empty
CREATE FUNCTION app.parens() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM (1 + (2); END $$; -- finds: The function app.parens() does not compile: the parentheses do not match in line 1
CREATE FUNCTION app.closed() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM 1); END $$; -- finds: The function app.closed() does not compile: the parentheses do not match in line 1
CREATE FUNCTION app.endless() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; $$; -- finds: The function app.endless() does not compile: its last block has no END
CREATE FUNCTION app.end_if() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF true THEN PERFORM 1; END IF; $$; -- finds: The function app.end_if() does not compile: its last block has no END

-- neighbours: bodies that compile
CREATE FUNCTION app.labelled() RETURNS void LANGUAGE plpgsql AS $$ <<main>> DECLARE a int; BEGIN PERFORM '('; END main; $$;
CREATE FUNCTION app.option() RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN PERFORM ')' /* ( */; END$$;
CREATE FUNCTION app.escaped() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM E'\'('; END $$;
SET standard_conforming_strings = off;
CREATE FUNCTION app.old_strings() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM ')\')'; END $$;
SET standard_conforming_strings = on;
CREATE FUNCTION app.other() RETURNS int LANGUAGE sql AS 'SELECT gone FROM app.gone';
-- neighbours: what is named is there, or may be
CREATE TABLE app.made (id int);
CREATE FUNCTION app.fine() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE other app.orders;
BEGIN
    INSERT INTO app.audit (what, "When") VALUES (NEW.tag, now()) ON CONFLICT (id) DO UPDATE SET nothing = 1;
    INSERT INTO app.recent (SELECT gone FROM app.gone);
    INSERT INTO scratch (a) VALUES (1);
    INSERT INTO made_by_another (a) VALUES (1);
    UPDATE app.tags SET tag = 'x' FROM app.audit WHERE id = NEW.ctid AND what = 'gone' AND NEW.tableoid > 0;
    UPDATE tags t SET tag = other.gone RETURNING id = 3;
    DELETE FROM pg_temp.something;
    EXECUTE 'INSERT INTO app.gone (NEW.gone) VALUES (1)';
    PERFORM app.new.gone, to_jsonb(NEW), new.gone(1) FROM new.relation;
    RETURN NEW;
END $$;
CREATE TRIGGER fine BEFORE INSERT OR UPDATE ON app.tags FOR EACH ROW EXECUTE FUNCTION app.fine();
CREATE FUNCTION app.creates() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE app.daily (id int); END $$;
CREATE FUNCTION app.created() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.daily VALUES (1); RETURN NULL; END $$;
CREATE TRIGGER created AFTER INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.created();
CREATE FUNCTION app.caught() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.gone := 1; RETURN NEW; EXCEPTION WHEN undefined_column THEN RETURN NEW; END $$;
CREATE TRIGGER caught BEFORE INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.caught();
CREATE FUNCTION app.looks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF to_regclass('app.gone') IS NOT NULL THEN DELETE FROM app.gone; END IF; RETURN NEW; END $$;
CREATE TRIGGER looks BEFORE INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.looks();
CREATE FUNCTION app.two_ways() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM E'\' || new.gone || \''; RETURN NEW; END $$;
CREATE TRIGGER two_ways BEFORE INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.two_ways();
CREATE FUNCTION app.branches() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_TABLE_NAME = 'former' THEN NEW.gone := 1; END IF; RETURN NEW; END $$;
CREATE TRIGGER branches BEFORE INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.branches();
CREATE FUNCTION app.another_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT 1 AS gone INTO NEW;
    RAISE NOTICE '%', NEW.gone;
    RETURN OLD;
END $$;
CREATE TRIGGER another_row BEFORE UPDATE ON app.tags FOR EACH ROW EXECUTE FUNCTION app.another_row();
CREATE FUNCTION app.alias() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM old.gone FROM (SELECT 1 AS gone) AS old; RETURN NEW; END $$;
CREATE TRIGGER alias BEFORE INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.alias();
CREATE FUNCTION app.shared() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_LEVEL = 'ROW' THEN NEW.tag := NEW.amount; END IF; RETURN NEW; END $$;
CREATE TRIGGER shared BEFORE INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.shared();
CREATE TRIGGER shared BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.shared();
CREATE FUNCTION app.statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_LEVEL = 'ROW' THEN RAISE NOTICE '%', NEW.gone; END IF; RETURN NULL; END $$;
CREATE TRIGGER statement AFTER INSERT ON app.tags FOR EACH STATEMENT EXECUTE FUNCTION app.statement();
CREATE FUNCTION app.off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW.gone; END $$;
CREATE TRIGGER off BEFORE INSERT ON app.tags FOR EACH ROW EXECUTE FUNCTION app.off();
ALTER TABLE app.tags DISABLE TRIGGER off;
CREATE FUNCTION app.unused() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW.gone; END $$;
