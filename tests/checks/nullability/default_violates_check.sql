-- CHECKs of a column, of several columns, and one that is not valid
CREATE TABLE jobs (id int PRIMARY KEY, state text DEFAULT 'new' CHECK (state IN ('open', 'done'))); -- finds: The DEFAULT of public.jobs.state fails the CHECK jobs_state_check: 'new'::text
CREATE TABLE spans (first int NOT NULL DEFAULT 5, last int DEFAULT 3, CONSTRAINT forwards CHECK (first < last)); -- finds: The DEFAULTs of public.spans.first and public.spans.last together fail the CHECK forwards: 5 and 3
CREATE TABLE prices (cents int DEFAULT -1);
ALTER TABLE prices ADD CONSTRAINT positive CHECK (cents >= 0) NOT VALID; -- finds: The DEFAULT of public.prices.cents fails the CHECK positive: '-1'::integer
CREATE TABLE tags (label text DEFAULT lower('ABC'), CONSTRAINT loud CHECK (label = upper(label))); -- finds: The DEFAULT of public.tags.label fails the CHECK loud: lower('ABC'::text)

-- lengths and ranges
CREATE TABLE codes (
    code varchar(3) DEFAULT 'abcd', -- finds: The DEFAULT of public.codes.code does not fit into character varying(3): 'abcd'::character varying
    pair char(2) DEFAULT 'abc', -- finds: The DEFAULT of public.codes.pair does not fit into character(2): 'abc'::bpchar
    flags bit(3) DEFAULT B'11', -- finds: The DEFAULT of public.codes.flags does not fit into bit(3): '11'::"bit"
    mask bit varying(1) DEFAULT B'11', -- finds: The DEFAULT of public.codes.mask does not fit into bit varying(1): '11'::"bit"
    rate numeric(3, 1) DEFAULT 100, -- finds: The DEFAULT of public.codes.rate does not fit into numeric(3,1): 100
    small smallint DEFAULT 40000, -- finds: The DEFAULT of public.codes.small does not fit into smallint: 40000
    whole int DEFAULT 3000000000); -- finds: The DEFAULT of public.codes.whole does not fit into integer: '3000000000'::bigint

-- domains: their CHECK, their length, their own default
CREATE DOMAIN short AS varchar(3) DEFAULT 'abcdef';
CREATE DOMAIN known AS text CHECK (VALUE <> 'none');
CREATE DOMAIN known_too AS known DEFAULT 'none';
CREATE TABLE typed (
    a short, -- finds: The DEFAULT of public.typed.a does not fit into character varying(3): 'abcdef'::character varying
    b known DEFAULT 'none', -- finds: The DEFAULT of public.typed.b fails the CHECK known_check of the domain public.known: 'none'::text
    c known_too); -- finds: The DEFAULT of public.typed.c fails the CHECK known_check of the domain public.known: 'none'::text

-- foreign keys, with a key of two columns, one of another type
CREATE TABLE kinds (id bigint, lang text, PRIMARY KEY (id, lang));
INSERT INTO kinds VALUES (1, 'de'), (2, 'en');
CREATE TABLE rooms (id int PRIMARY KEY);
INSERT INTO rooms VALUES (1);
CREATE TABLE beds (room int DEFAULT 9 REFERENCES rooms); -- finds: The DEFAULT of public.beds.room is no row of public.rooms: 9
CREATE TABLE words (kind int DEFAULT 1, lang text DEFAULT 'en', CONSTRAINT of_kind FOREIGN KEY (kind, lang) REFERENCES kinds); -- finds: The DEFAULTs of public.words.kind and public.words.lang together are no row of public.kinds: 1 and 'en'::text

-- a trigger sees the row after its types have
CREATE FUNCTION put_right() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := 1; NEW.room := 1; RETURN NEW; END';
CREATE TABLE mended (n int DEFAULT 0 CHECK (n > 0), room int DEFAULT 9 REFERENCES rooms,
    w varchar(1) DEFAULT 'ab'); -- finds: The DEFAULT of public.mended.w does not fit into character varying(1): 'ab'::character varying
CREATE TRIGGER mend BEFORE INSERT ON mended FOR EACH ROW EXECUTE FUNCTION put_right();
CREATE TABLE watched (n int DEFAULT 0 CHECK (n > 0)); -- finds: The DEFAULT of public.watched.n fails the CHECK watched_n_check: 0
CREATE TRIGGER a AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION put_right();
CREATE TRIGGER s BEFORE INSERT ON watched FOR EACH STATEMENT EXECUTE FUNCTION put_right();
CREATE TRIGGER u BEFORE UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION put_right();
CREATE TRIGGER d BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION put_right();
ALTER TABLE watched DISABLE TRIGGER d;
CREATE TABLE ruled (n int DEFAULT 0 CHECK (n > 0));
CREATE RULE r AS ON INSERT TO ruled DO INSTEAD NOTHING;
CREATE TABLE followed (n int DEFAULT 0 CHECK (n > 0)); -- finds: The DEFAULT of public.followed.n fails the CHECK followed_n_check: 0
CREATE RULE r AS ON INSERT TO followed DO ALSO NOTHING;
CREATE RULE u AS ON UPDATE TO followed DO INSTEAD NOTHING;
CREATE RULE o AS ON INSERT TO followed DO INSTEAD NOTHING;
ALTER TABLE followed DISABLE RULE o;

-- partitions and inheritance: once, but a default of its own is its own
CREATE TABLE parts (n int, m int DEFAULT 0 CHECK (m > 0), w varchar(1) DEFAULT 'ab') PARTITION BY LIST (n); -- finds: The DEFAULT of public.parts.m fails the CHECK parts_m_check: 0
-- finds: The DEFAULT of public.parts.w does not fit into character varying(1): 'ab'::character varying
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE mended_parts (n int, m int DEFAULT 0 CHECK (m > 0)) PARTITION BY LIST (n);
CREATE TABLE mended_parts_1 PARTITION OF mended_parts FOR VALUES IN (1);
CREATE TRIGGER mend BEFORE INSERT ON mended_parts_1 FOR EACH ROW EXECUTE FUNCTION put_right();
CREATE TABLE base (m int DEFAULT 1 CHECK (m > 0), w varchar(1) DEFAULT 'ab'); -- finds: The DEFAULT of public.base.w does not fit into character varying(1): 'ab'::character varying
CREATE TABLE heir () INHERITS (base);
CREATE TABLE other_heir (m int DEFAULT 0) INHERITS (base); -- finds: The DEFAULT of public.other_heir.m fails the CHECK base_m_check: 0
CREATE TABLE strict_heir (CHECK (m > 1)) INHERITS (base); -- finds: The DEFAULT of public.strict_heir.m fails the CHECK strict_heir_m_check: 1
CREATE TABLE base_too (m int DEFAULT 0 CHECK (m > 0)); -- finds: The DEFAULT of public.base_too.m fails the CHECK base_too_m_check: 0
CREATE TABLE heir_too () INHERITS (base_too);
CREATE TRIGGER mend BEFORE INSERT ON heir_too FOR EACH ROW EXECUTE FUNCTION put_right();

-- neighbours
CREATE FUNCTION mine(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE FUNCTION long() RETURNS varchar LANGUAGE sql IMMUTABLE AS $$SELECT 'abcdef'::varchar$$;
CREATE DOMAIN odd AS int CHECK (mine(VALUE) > 5);
CREATE TABLE unread (v varchar(3) DEFAULT long(), w odd DEFAULT 0);
CREATE TABLE never (n int DEFAULT 0, CHECK (false));
CREATE TABLE parts_2 (n int, m int DEFAULT 1 CHECK (m > 0)) PARTITION BY LIST (n);
CREATE TABLE parts_2_1 PARTITION OF parts_2 (m DEFAULT 0) FOR VALUES IN (1);
CREATE TYPE twice AS (a int, b int);
CREATE TABLE whole (p twice DEFAULT ROW(1, 2) CHECK ((p).a > 5));
CREATE TABLE fine (
    a text DEFAULT 'open' CHECK (a IN ('open', 'done')),
    b timestamptz DEFAULT now() CHECK (b < '2000-01-01'),
    c timestamptz DEFAULT CURRENT_TIMESTAMP CHECK (c < '2000-01-01'),
    d serial CHECK (d > 5),
    e int GENERATED ALWAYS AS IDENTITY CHECK (e > 5),
    f int GENERATED ALWAYS AS (0) STORED CHECK (f > 5),
    g int CHECK (g > 5),
    h int DEFAULT NULL CHECK (h > 5),
    i known_too DEFAULT NULL,
    j int DEFAULT mine(0) CHECK (j > 5),
    k int DEFAULT 0 CHECK (mine(k) > 5),
    l mood DEFAULT 'sad' CHECK (l <> 'sad'),
    m int DEFAULT 0,
    n int,
    CHECK (m > 5 OR n IS NULL),
    CHECK (m < n),
    o varchar(3) DEFAULT 'a    ',
    p varchar(9) DEFAULT 'abcdefghi',
    q numeric(3, 1) DEFAULT 99.9,
    r smallint DEFAULT 32767,
    s text DEFAULT 'none'
);
CREATE TABLE nobody (id int PRIMARY KEY);
CREATE TABLE pointing (
    a int DEFAULT 1 REFERENCES rooms,
    b int DEFAULT 9 REFERENCES nobody,
    c int DEFAULT mine(9) REFERENCES rooms,
    d int DEFAULT random()::int + 9 REFERENCES rooms,
    e bigint, f text DEFAULT 'fr', FOREIGN KEY (e, f) REFERENCES kinds
);
CREATE TABLE loose (room int DEFAULT 9 REFERENCES rooms);
ALTER TABLE loose DISABLE TRIGGER ALL;
