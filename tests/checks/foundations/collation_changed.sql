-- A version may be given to a collation that is made (CREATE COLLATION, VERSION): one that the library has never had.
CREATE SCHEMA app;
CREATE FUNCTION app.make(name text, options text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE format('CREATE COLLATION app.%I (provider = builtin, locale = ''C.UTF-8''%s)', name, options);
    ELSE
        EXECUTE format('CREATE COLLATION app.%I (provider = icu, locale = ''und''%s)', name, options);
    END IF;
END $$;
SELECT app.make('old', ', version = ''0'''); -- finds: 5 indexes are in the order of another version of the collation app.old
SELECT app.make('plain', ', version = ''0'''); -- finds: 1 index is in the order of another version of the collation app.plain
SELECT app.make('unused', ', version = ''0''');
SELECT app.make('bytewise', ', version = ''0''');
SELECT app.make('current', '');

CREATE TABLE app.users (id int PRIMARY KEY, email text COLLATE app.old UNIQUE, name text COLLATE app.old, plain text COLLATE app.plain);
CREATE INDEX by_name ON app.users (id, name DESC);
CREATE INDEX by_lower ON app.users (lower(name COLLATE app.old)) WHERE id > 0;
CREATE INDEX by_plain ON app.users (plain);
-- a partitioned table's indexes are its partitions'
CREATE TABLE app.events (id int, name text COLLATE app.old) PARTITION BY RANGE (id);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
CREATE INDEX ON app.events (name);
CREATE TABLE app.ranges (name text COLLATE app.old, EXCLUDE USING btree (name WITH =));

-- neighbours
CREATE TABLE app.fine (a text COLLATE app.current UNIQUE, b text COLLATE "C" UNIQUE, c text UNIQUE, d text COLLATE app.unused, e int UNIQUE);
CREATE TABLE app.bytes (a text COLLATE app.bytewise, b text COLLATE app.bytewise);
CREATE INDEX ON app.bytes USING hash (a);
CREATE INDEX ON app.bytes (b text_pattern_ops);
CREATE INDEX ON app.bytes (b COLLATE "C");
