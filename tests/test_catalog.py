"""The catalog reader: every fact that a check may rest on, as the server holds it, under names that nobody expects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import Any

import psycopg
import pytest

from auditor.audit import open_catalog
from auditor.catalog.model import Catalog, Column, Constraint, ForeignKey, Function, Index, RiTrigger, Table, Trigger
from auditor.catalog.read import _OPTIONAL, _QUERIES, read_catalog
from auditor.connection import Fetch, Row, Session, Target
from auditor.text import ident, literal, qualified
from tests.conftest import Make
from tests.helpers import audit, login
from tests.reports import HOSTILE

pytestmark = pytest.mark.core

Connection = psycopg.Connection[tuple[Any, ...]]


def catalog_of(dsn: str, **options: Any) -> Catalog:
    with Session(Target(dsn, **options)) as session:
        return open_catalog(session)


def named(things: tuple[Any, ...]) -> dict[str, Any]:
    return {thing.name: thing for thing in things}


class Read:
    """A catalog, and its things by name in the schema public."""

    def __init__(self, dsn: str) -> None:
        self.whole = catalog_of(dsn)

    def table(self, name: str) -> Table:
        return self.whole.by_name["public", name]

    def column(self, table: str, name: str) -> Column:
        return self.table(table).by_name[name]

    def key(self, table: str, name: str) -> ForeignKey:
        found: ForeignKey = named(self.table(table).foreign_keys)[name]
        return found

    def index(self, table: str, name: str) -> Index:
        found: Index = named(self.table(table).indexes)[name]
        return found

    def constraint(self, table: str, name: str) -> Constraint:
        found: Constraint = named(self.table(table).constraints)[name]
        return found

    def trigger(self, table: str, name: str) -> Trigger:
        found: Trigger = named(self.table(table).triggers)[name]
        return found

    def function(self, name: str) -> Function:
        (found,) = [f for f in self.whole.functions.values() if f.name == name]
        return found

    def names(self, *oids: int) -> list[str]:
        return sorted(self.whole.tables[oid].name for oid in oids)


# --- how it is read ------------------------------------------------------------------------------------------------


def test_the_number_of_queries_does_not_depend_on_the_database(database: Make) -> None:
    def asked(dsn: str) -> list[str]:
        texts: list[str] = []

        def counted(fetch: Fetch) -> Fetch:
            def ask(text: str) -> list[Row]:
                texts.append(text)
                return fetch(text)

            return ask

        with Session(Target(dsn)) as session, session.transaction() as fetch:
            read_catalog(counted(fetch), major=session.version_num // 10000, host="", port=0)
        return texts

    many = """
        CREATE TABLE t{n} (id serial PRIMARY KEY, a int DEFAULT {n}, b text UNIQUE, CHECK (a > 0));
        CREATE INDEX ON t{n} (lower(b)) WHERE a > 1;
        ALTER TABLE t{n} ADD FOREIGN KEY (a) REFERENCES t{n};
        CREATE FUNCTION f{n}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER t BEFORE INSERT ON t{n} FOR EACH ROW EXECUTE FUNCTION f{n}();
        CREATE DOMAIN d{n} AS int CHECK (VALUE > 0);
    """
    empty, full = database(), database("".join(many.replace("{n}", str(n)) for n in range(60)))
    assert asked(full) == asked(empty)
    assert len(asked(full)) == len(_QUERIES) + len(_OPTIONAL)  # a savepoint before each that may be refused
    assert len(catalog_of(full).tables) == 60


def test_every_query_is_asked() -> None:
    folder = files("auditor.catalog").joinpath("queries")
    others = ("locked", "recorded", "doctor", "actions", "partition_keys")  # each asked where it is needed
    assert {path.name for path in folder.iterdir()} == {f"{name}.sql" for name in (*_QUERIES, *others)}


THINGS = """
    CREATE TYPE mood AS ENUM ('ok');
    CREATE DOMAIN qty AS int DEFAULT 3 CHECK (VALUE > 0);
    CREATE TABLE base (id serial PRIMARY KEY, n qty, state mood, d text DEFAULT 'x', UNIQUE (n));
    CREATE TABLE things (id int PRIMARY KEY, base int REFERENCES base ON DELETE CASCADE, e int, CHECK (e > 0),
        EXCLUDE USING gist (int4range(id, e) WITH &&));
    CREATE UNIQUE INDEX ON things (lower(e::text)) WHERE e > 1;
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER noted BEFORE UPDATE OF e ON things FOR EACH ROW WHEN (NEW.e > 1) EXECUTE FUNCTION noted();
    CREATE RULE nothing AS ON DELETE TO things DO INSTEAD NOTHING;
    ALTER TABLE things ENABLE ROW LEVEL SECURITY;
    ANALYZE;
"""
MOMENTS = (4, 10, 14)  # before constraints, triggers and tables are asked for
GONE = (
    "DROP TABLE things",
    "DROP TABLE base CASCADE",
    "DROP FUNCTION noted CASCADE",
    "DROP DOMAIN qty CASCADE",
    "ALTER TABLE things DROP COLUMN e CASCADE",
    "DROP SCHEMA public CASCADE",
)


@contextmanager
def interrupted(session: Session, moment: int, change: Callable[[], None]) -> Iterator[None]:
    """Within it, `change` is made before the query of that number that the session sends."""
    whole, asked = session.transaction, 0

    @contextmanager
    def transaction(snapshot: str) -> Iterator[Fetch]:
        def ask(text: str) -> list[Row]:
            nonlocal asked
            asked += 1
            if asked == moment:
                change()
            return fetch(text)

        with whole(snapshot) as fetch:
            yield ask

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "transaction", transaction)
        yield


@pytest.mark.parametrize("change", GONE)
def test_what_goes_away_meanwhile_breaks_nothing(change: str, database: Make) -> None:
    """The rows of the catalog are those of one snapshot, but definitions are deparsed from what is there now."""
    template = psycopg.conninfo.conninfo_to_dict(database(THINGS))["dbname"]
    for moment in MOMENTS:
        dsn = database(TEMPLATE=str(template))
        with psycopg.connect(dsn, autocommit=True) as other, Session(Target(dsn, lock_timeout=20)) as session:
            other.execute("SET lock_timeout = 50")

            def change_it(other: Connection = other) -> None:
                with suppress(psycopg.errors.LockNotAvailable):  # the reader was there first
                    other.execute(change.encode())

            with interrupted(session, moment, change_it):
                catalog = open_catalog(session)
        assert {table.name for table in catalog.tables.values()} <= {"base", "things"}


def test_all_of_it_is_of_one_moment(database: Make) -> None:
    dsn = database("CREATE TABLE one (id int PRIMARY KEY)")
    with psycopg.connect(dsn, autocommit=True) as other, Session(Target(dsn)) as session:
        asked = 0

        with session.transaction() as fetch:

            def ask(text: str) -> list[Row]:
                nonlocal asked
                asked += 1
                answer = fetch(text)
                other.execute(f"CREATE TABLE later_{asked} (id int PRIMARY KEY REFERENCES one)".encode())
                return answer

            catalog = read_catalog(ask, major=session.version_num // 10000, host="h", port=1)
    assert [table.name for table in catalog.tables.values()] == ["one"]
    assert catalog.foreign_keys == ()
    assert asked > 15


def test_what_an_administrator_took_from_everybody_is_done_without(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); ANALYZE t; GRANT SELECT ON t TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC",
        "REVOKE SELECT ON pg_catalog.pg_stats FROM PUBLIC",
        "REVOKE SELECT ON information_schema.table_constraints FROM PUBLIC",
        "REVOKE SELECT ON pg_catalog.pg_stat_activity FROM PUBLIC",
    )
    lesser, usual = Read(login(dsn)), Read(dsn)
    assert (lesser.whole.server.system_identifier, lesser.whole.shown, lesser.whole.validating) == (None, {}, {})
    assert not lesser.whole.statistics
    assert (lesser.whole.server.free_connections, lesser.whole.server.readers(3)) == (None, 3)
    assert usual.whole.server.system_identifier is not None
    assert usual.whole.statistics == {(usual.table("t").oid, "id"): (-1, 0)}
    assert usual.whole.shown == {"PRIMARY KEY": (1, 1)}


# --- foreign keys ----------------------------------------------------------------------------------------------------


def test_foreign_keys(database: Make, version: int) -> None:
    found = Read(
        database("""
        CREATE SCHEMA other;
        CREATE TABLE other.parents (x int, y bigint, PRIMARY KEY (y, x), z text UNIQUE);
        CREATE UNIQUE INDEX by_index ON other.parents (x);
        CREATE TABLE children (
            a bigint, b int, c text, d numeric,
            CONSTRAINT simple FOREIGN KEY (b, a) REFERENCES other.parents (x, y),
            CONSTRAINT whole FOREIGN KEY (a, b) REFERENCES other.parents MATCH FULL ON DELETE RESTRICT ON UPDATE CASCADE,
            CONSTRAINT setting FOREIGN KEY (c) REFERENCES other.parents (z) ON DELETE SET NULL ON UPDATE SET DEFAULT
                DEFERRABLE,
            CONSTRAINT late FOREIGN KEY (b) REFERENCES other.parents (x) ON DELETE SET DEFAULT ON UPDATE SET NULL
                DEFERRABLE INITIALLY DEFERRED
        );
        ALTER TABLE children ADD CONSTRAINT unread FOREIGN KEY (b) REFERENCES other.parents (x) ON UPDATE RESTRICT NOT VALID;
    """)
    )
    simple, whole, setting, late, unread = (
        found.key("children", name) for name in ("simple", "whole", "setting", "late", "unread")
    )
    parents = found.whole.by_name["other", "parents"]
    assert {key.referenced for key in found.table("children").foreign_keys} == {parents.oid}
    assert (simple.columns, simple.referenced_columns) == (("b", "a"), ("x", "y"))
    assert (whole.columns, whole.referenced_columns) == (("a", "b"), ("y", "x"))
    assert (simple.on_delete, simple.on_update, simple.match) == ("a", "a", "s")
    assert (whole.on_delete, whole.on_update, whole.match) == ("r", "c", "f")
    assert (setting.on_delete, setting.on_update) == ("n", "d")
    assert (late.on_delete, late.on_update) == ("d", "n")
    assert [(k.deferrable, k.deferred) for k in (simple, setting, late)] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert [(k.validated, k.enforced, k.fires, k.vouched) for k in (simple, unread)] == [
        (True, True, True, True),
        (False, True, True, False),
    ]
    assert simple.operators == (("pg_catalog", "="),) * 2
    assert unread.definition == "FOREIGN KEY (b) REFERENCES other.parents(x) ON UPDATE RESTRICT NOT VALID"
    assert {key.delete_set_columns for key in found.table("children").foreign_keys} == {()}
    by_oid = {index.oid: index for index in parents.indexes}
    assert (by_oid[late.index].name, by_oid[late.index].constraint) == ("by_index", 0)
    assert by_oid[whole.index].primary
    assert len(found.whole.foreign_keys) == 5
    assert [key.name for _, key in found.whole.referenced_by[parents.oid]] == [
        key.name for key in found.table("children").foreign_keys
    ]


def test_the_operator_of_a_foreign_key_is_the_constraints_own(database: Make) -> None:
    """bigint = int is another operator than int = int, and a type of a user has its own, in its schema."""
    script = """
        CREATE SCHEMA types;
        CREATE TYPE types.word;
        CREATE FUNCTION types.word_in(cstring) RETURNS types.word LANGUAGE internal IMMUTABLE STRICT AS 'textin';
        CREATE FUNCTION types.word_out(types.word) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
        CREATE TYPE types.word (INPUT = types.word_in, OUTPUT = types.word_out, LIKE = text);
    """
    functions = {"lt": "<", "le": "<=", "eq": "=", "ge": ">=", "gt": ">"}
    for name, sign in functions.items():
        internal = {"lt": "text_lt", "le": "text_le", "eq": "texteq", "ge": "text_ge", "gt": "text_gt"}[name]
        script += (
            f"CREATE FUNCTION types.{name}(types.word, types.word) RETURNS bool LANGUAGE internal IMMUTABLE STRICT"
            f" AS '{internal}'; CREATE OPERATOR types.{sign} (LEFTARG = types.word, RIGHTARG = types.word,"
            f" FUNCTION = types.{name});"
        )
    script += """
        CREATE FUNCTION types.cmp(types.word, types.word) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'bttextcmp';
        CREATE OPERATOR CLASS types.word_ops DEFAULT FOR TYPE types.word USING btree AS
            OPERATOR 1 types.<, OPERATOR 2 types.<=, OPERATOR 3 types.=, OPERATOR 4 types.>=, OPERATOR 5 types.>,
            FUNCTION 1 types.cmp(types.word, types.word);
        CREATE TABLE words (w types.word PRIMARY KEY);
        CREATE TABLE said (id int PRIMARY KEY, w types.word, CONSTRAINT said_word FOREIGN KEY (w) REFERENCES words);
    """
    found = Read(database(script))
    assert found.key("said", "said_word").operators == (("types", "="),)
    (key,) = found.index("words", "words_pkey").keys
    assert (key.opclass, key.default_opclass, key.equality) == (("types", "word_ops"), True, ("types", "="))
    assert found.column("said", "w").type == "types.word"


def test_the_columns_that_set_null_sets(database: Make, version: int) -> None:
    if version < 15:
        pytest.skip("for PostgreSQL 15 and later")
    found = Read(
        database("""
        CREATE TABLE parents (x int, y int, z int, PRIMARY KEY (x, y, z));
        CREATE TABLE children (a int, b int, c int,
            CONSTRAINT several FOREIGN KEY (a, b, c) REFERENCES parents ON DELETE SET NULL (c, a),
            CONSTRAINT unsaid FOREIGN KEY (a, b, c) REFERENCES parents ON DELETE SET NULL,
            CONSTRAINT given FOREIGN KEY (a, b, c) REFERENCES parents ON DELETE SET DEFAULT (b));
    """)
    )
    assert found.key("children", "several").delete_set_columns == ("c", "a")
    assert found.key("children", "unsaid").delete_set_columns == ()
    assert (found.key("children", "given").on_delete, found.key("children", "given").delete_set_columns) == (
        "d",
        ("b",),
    )


def test_constraints_that_are_not_enforced(database: Make, version: int) -> None:
    if version < 18:
        pytest.skip("for PostgreSQL 18 and later")
    found = Read(
        database("""
        CREATE TABLE parents (id int4range, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS));
        CREATE TABLE targets (id int PRIMARY KEY);
        CREATE TABLE children (id int4range, during daterange, t int, n int CONSTRAINT positive CHECK (n > 0) NOT ENFORCED,
            CONSTRAINT off FOREIGN KEY (t) REFERENCES targets NOT ENFORCED,
            CONSTRAINT period FOREIGN KEY (id, PERIOD during) REFERENCES parents (id, PERIOD during));
    """)
    )
    off, period = found.key("children", "off"), found.key("children", "period")
    assert (off.enforced, off.validated, off.vouched, off.period) == (False, False, False, False)
    assert (period.enforced, period.validated, period.period) == (True, True, True)
    assert found.constraint("children", "positive").enforced is False
    assert found.constraint("children", "positive").validated is False
    assert found.index("parents", "parents_pkey").exclusion


PARTITIONED = """
    CREATE TABLE targets (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE targets_1 PARTITION OF targets FOR VALUES FROM (0) TO (10);
    CREATE TABLE targets_2 PARTITION OF targets FOR VALUES FROM (10) TO (20);
    CREATE TABLE events (id int, target int, CONSTRAINT of_all FOREIGN KEY (target) REFERENCES targets)
        PARTITION BY RANGE (id);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (id);
    CREATE TABLE events_2_1 PARTITION OF events_2 FOR VALUES FROM (10) TO (20);
    ALTER TABLE events_2_1 ADD CONSTRAINT of_one FOREIGN KEY (id) REFERENCES targets;
    CREATE UNIQUE INDEX events_key ON events (id, target);
"""


def test_clones_of_foreign_keys_are_left_out(database: Make) -> None:
    dsn = database(PARTITIONED)
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT count(*), count(*) FILTER (WHERE conparentid = 0) FROM pg_constraint WHERE contype = 'f'").fetchone()  # fmt: skip
    assert rows is not None
    assert (rows[0] > 5, rows[1]) == (True, 2)
    found = Read(dsn)
    assert [(table.name, key.name, parent.name) for table, key, parent in found.whole.foreign_keys] == [
        ("events", "of_all", "targets"),
        ("events_2_1", "of_one", "targets"),
    ]
    assert {key.parent for _, key, _ in found.whole.foreign_keys} == {0}


@pytest.mark.parametrize(
    ("table", "side"),
    [("events_1", "referencing"), ("events_2_1", "referencing"), ("targets_2", "referenced")],
)
def test_triggers_of_clones_belong_to_the_key_they_repeat(table: str, side: str, database: Make) -> None:
    found = Read(database(PARTITIONED, f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
    key = found.key("events", "of_all")
    sides = {"referencing": key.referencing_triggers, "referenced": key.referenced_triggers}
    assert {t.table for t in sides.pop(side)} == {found.table(table).oid}
    assert not key.fires
    assert list(sides.values()) == [()]


def test_states_of_the_triggers_of_a_foreign_key(database: Make) -> None:
    dsn = database("""
        CREATE TABLE parents (id int PRIMARY KEY);
        CREATE TABLE children (p int CONSTRAINT one REFERENCES parents, q int CONSTRAINT two REFERENCES parents);
    """)
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT t.tgrelid::regclass::text, t.tgname, c.conname FROM pg_trigger AS t"
            " JOIN pg_constraint AS c ON c.oid = t.tgconstraint ORDER BY t.oid"
        ).fetchall()
        triggers: dict[tuple[str, str], list[str]] = {}
        for table, name, constraint in rows:
            triggers.setdefault((table, constraint), []).append(name)
        assert {key: len(names) for key, names in triggers.items()} == {
            (table, constraint): 2 for table in ("parents", "children") for constraint in ("one", "two")
        }

        def turn(table: str, constraint: str, state: str) -> str:
            name = triggers[table, constraint][0]
            connection.execute(f"ALTER TABLE {table} {state} TRIGGER {ident(name)}".encode())
            return name

        disabled = turn("children", "one", "DISABLE")
        replica = turn("parents", "one", "ENABLE REPLICA")
        always = turn("children", "two", "ENABLE ALWAYS")
    found = Read(dsn)
    one, two = found.key("children", "one"), found.key("children", "two")
    children, parents = found.table("children").oid, found.table("parents").oid
    assert one.referencing_triggers == (RiTrigger(disabled, children, "D"),)
    assert one.referenced_triggers == (RiTrigger(replica, parents, "R"),)
    assert two.referencing_triggers == (RiTrigger(always, children, "A"),)
    assert (one.fires, one.validated, one.vouched, two.fires, two.vouched) == (False, True, False, True, True)
    assert found.table("children").triggers == ()


# --- indexes and constraints -----------------------------------------------------------------------------------------


def test_indexes(database: Make) -> None:
    dsn = database("""
        CREATE COLLATION "und-x" (PROVIDER = libc, LOCALE = 'C');
        CREATE TABLE t (id int PRIMARY KEY, a text, b text COLLATE "und-x", c int, r int4range,
            CONSTRAINT late UNIQUE (c) DEFERRABLE, CONSTRAINT apart EXCLUDE USING gist (r WITH &&) WHERE (c > 1));
        CREATE UNIQUE INDEX wide ON t (c, a) INCLUDE (id, b);
        CREATE UNIQUE INDEX computed ON t (lower(a), c, (c + 1)) WHERE a IS NOT NULL AND c > 0;
        CREATE INDEX plain ON t (a text_pattern_ops, b COLLATE "C" DESC);
        CREATE UNIQUE INDEX classes ON t (a text_pattern_ops, b);
        CREATE TABLE copies (n int);
        INSERT INTO copies VALUES (1), (1);
    """)
    with psycopg.connect(dsn, autocommit=True) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY copies_n ON copies (n)")
    found = Read(dsn)
    primary, late, apart = (found.index("t", name) for name in ("t_pkey", "late", "apart"))
    assert (primary.primary, primary.unique, primary.immediate, primary.enforces) == (True, True, True, True)
    assert (late.immediate, late.unique, late.exclusion) == (False, True, False)
    assert (apart.exclusion, apart.unique, apart.predicate) == (True, False, "(c > 1)")
    for index in (primary, late, apart):
        assert index.constraint == found.constraint("t", index.name).oid
        assert found.constraint("t", index.name).index == index.oid
    wide, computed = found.index("t", "wide"), found.index("t", "computed")
    assert (wide.columns, wide.include, wide.constraint) == (("c", "a"), ("id", "b"), 0)
    assert [(key.column, key.expression) for key in computed.keys] == [
        (None, "lower(a)"),
        ("c", "c"),
        (None, "((c + 1))"),
    ]
    assert (computed.columns, computed.predicate) == (None, "((a IS NOT NULL) AND (c > 0))")
    pattern, collated = found.index("t", "classes").keys
    assert (pattern.opclass, pattern.default_opclass) == (("pg_catalog", "text_pattern_ops"), False)
    assert (collated.default_opclass, collated.collation) == (True, ("public", "und-x"))
    assert collated.equality == ("pg_catalog", "=")
    assert (found.index("t", "plain").unique, found.index("t", "plain").columns) == (False, ("a", "b"))
    broken = found.index("copies", "copies_n")
    assert (broken.unique, broken.valid, broken.ready, broken.live, broken.enforces) == (True, False, False, True, False)  # fmt: skip
    assert found.table("t").keys == (("id",),)
    assert found.table("t").row_key == ("id",)


def test_nulls_not_distinct(database: Make, version: int) -> None:
    nulls = "NULLS NOT DISTINCT" if version >= 15 else ""
    found = Read(
        database(f"CREATE TABLE t (a int, b int, CONSTRAINT one UNIQUE {nulls} (a), CONSTRAINT two UNIQUE (b))")
    )
    assert found.index("t", "one").nulls_not_distinct is (version >= 15)
    assert found.index("t", "two").nulls_not_distinct is False
    assert found.table("t").keys == ((("a",),) if version >= 15 else ())


def test_indexes_of_partitions(database: Make) -> None:
    found = Read(database(PARTITIONED, "CREATE UNIQUE INDEX alone ON ONLY events (target, id)"))
    whole, alone = found.index("events", "events_key"), found.index("events", "alone")
    assert (whole.valid, alone.valid, alone.enforces) == (True, False, False)
    assert {i.parent for i in found.table("events_1").indexes} == {whole.oid}
    (middle,) = found.table("events_2").indexes
    (leaf,) = found.table("events_2_1").indexes
    assert (middle.parent, leaf.parent, whole.parent) == (whole.oid, middle.oid, 0)


def test_checks(database: Make) -> None:
    found = Read(
        database("""
        CREATE TABLE parents (a int, b text, CONSTRAINT whole CHECK (a > 0 AND b <> 'it''s "x"'),
            CONSTRAINT own CHECK (a < 9) NO INHERIT);
        CREATE TABLE children () INHERITS (parents);
        ALTER TABLE parents ADD CONSTRAINT unread CHECK (a <> 5) NOT VALID;
    """)
    )
    whole, own, unread = (found.constraint("parents", name) for name in ("whole", "own", "unread"))
    assert (whole.type, whole.columns, whole.validated, whole.enforced) == ("c", ("a", "b"), True, True)
    assert whole.expression == "((a > 0) AND (b <> 'it''s \"x\"'::text))"
    assert (own.no_inherit, whole.no_inherit) == (True, False)
    assert (unread.validated, unread.definition) == (False, "CHECK ((a <> 5)) NOT VALID")
    inherited = named(found.table("children").constraints)
    assert {name: c.inherited for name, c in inherited.items()} == {"whole": 1, "unread": 1}
    assert whole.inherited == 0


# --- columns and types -----------------------------------------------------------------------------------------------


def test_columns(database: Make, version: int) -> None:
    kind = "VIRTUAL" if version >= 18 else "STORED"
    found = Read(
        database(f"""
        CREATE TABLE t (gone int, i int GENERATED ALWAYS AS IDENTITY, j int GENERATED BY DEFAULT AS IDENTITY,
            g int GENERATED ALWAYS AS (length(x)) STORED, v int GENERATED ALWAYS AS (2) {kind},
            x varchar(10) DEFAULT upper('a') NOT NULL, s serial, y text COLLATE "C", n numeric(10,2)[], k uuid);
        ALTER TABLE t DROP COLUMN gone;
        COMMENT ON COLUMN t.x IS 'line
break';
        COMMENT ON TABLE t IS 'a table';
        INSERT INTO t (x, y) SELECT 'a' || n % 4, CASE WHEN n % 2 = 0 THEN 'y' END FROM generate_series(1, 100) AS n;
        ANALYZE t;
    """)
    )
    table = found.table("t")
    assert [c.name for c in table.columns] == ["i", "j", "g", "v", "x", "s", "y", "n", "k"]
    assert [c.number for c in table.columns] == list(range(2, 11))
    assert [(found.column("t", n).identity, found.column("t", n).generated) for n in "ijgvx"] == [
        ("a", ""),
        ("d", ""),
        ("", "s"),
        ("", "v" if version >= 18 else "s"),
        ("", ""),
    ]
    x, y = found.column("t", "x"), found.column("t", "y")
    assert (x.type, x.category, x.not_null, x.not_null_validated, x.default) == (
        "character varying(10)",
        "S",
        True,
        True,
        "upper('a'::text)",
    )
    assert (x.comment, table.comment) == ("line\nbreak", "a table")
    assert (x.takes_null, x.may_hold_null, y.takes_null, y.may_hold_null) == (False, False, True, True)
    assert (y.collation, x.collation, y.deterministic) == (("pg_catalog", "C"), None, True)
    assert found.whole.statistics[table.oid, "x"] == (4, 0)
    assert found.whole.statistics[table.oid, "y"][1] == 0.5
    assert found.column("t", "s").default == "nextval('public.t_s_seq'::regclass)"
    assert (found.column("t", "n").type, found.column("t", "n").category) == ("numeric(10,2)[]", "A")
    assert (found.column("t", "k").type, found.column("t", "k").category) == ("uuid", "U")
    assert (table.rows, table.pages) == (100, 1)


def test_not_null_that_is_not_valid(database: Make, version: int) -> None:
    if version < 18:
        pytest.skip("for PostgreSQL 18 and later")
    found = Read(
        database("""
        CREATE TABLE t (a int, b int NOT NULL);
        INSERT INTO t VALUES (NULL, 1);
        ALTER TABLE t ADD CONSTRAINT later NOT NULL a NOT VALID;
    """)
    )
    a, b = found.column("t", "a"), found.column("t", "b")
    assert (a.not_null, a.not_null_validated, a.takes_null, a.may_hold_null) == (True, False, False, True)
    assert (b.not_null, b.not_null_validated, b.takes_null, b.may_hold_null) == (True, True, False, False)
    assert (found.constraint("t", "later").type, found.constraint("t", "later").columns) == ("n", ("a",))


def test_a_collation_that_is_not_deterministic(database: Make) -> None:
    dsn = database("CREATE TABLE t (a text)")
    with psycopg.connect(dsn, autocommit=True) as connection:
        try:
            connection.execute("CREATE COLLATION ci (PROVIDER = icu, LOCALE = 'und', DETERMINISTIC = false)")
        except psycopg.errors.FeatureNotSupported:
            expected: tuple[bool, Any] = (True, None)  # a server without ICU has none such
        else:
            expected = (False, ("public", "ci"))
            connection.execute("ALTER TABLE t ALTER COLUMN a TYPE text COLLATE ci")
    column = Read(dsn).column("t", "a")
    assert (column.deterministic, column.collation) == expected


def test_domains_down_to_their_base(database: Make) -> None:
    found = Read(
        database("""
        CREATE SCHEMA kinds;
        CREATE DOMAIN kinds.one AS varchar(20) NOT NULL DEFAULT 'one' CONSTRAINT short CHECK (length(VALUE) < 9);
        CREATE DOMAIN kinds.two AS kinds.one CONSTRAINT low CHECK (VALUE = lower(VALUE));
        CREATE DOMAIN kinds.three AS kinds.two DEFAULT 'three';
        CREATE DOMAIN kinds.many AS kinds.two[];
        CREATE DOMAIN kinds.free AS int;
        ALTER DOMAIN kinds.free ADD CONSTRAINT later CHECK (VALUE > 0) NOT VALID;
        CREATE TABLE t (a kinds.three, b kinds.many, c kinds.free, d kinds.one[], e varchar(20));
    """)
    )
    columns = found.table("t").by_name
    three, many, free = (found.whole.types[columns[name].type_oid] for name in "abc")
    base = columns["e"].type_oid
    assert (three.schema, three.name, three.kind, three.category) == ("kinds", "three", "d", "S")
    assert (three.base, columns["a"].base_oid, columns["e"].base_oid) == (base, base, base)
    assert (three.not_null, three.not_null_validated, columns["a"].domain_not_null, columns["a"].not_null) == (
        True,
        True,
        True,
        False,
    )
    assert (columns["a"].takes_null, columns["a"].may_hold_null) == (False, False)
    assert [c.name for c in three.checks] == ["low", "short"]
    assert {c.expression for c in three.checks} == {
        "((VALUE)::text = lower((VALUE)::text))",
        "(length((VALUE)::text) < 9)",
    }
    assert "three" in (three.default or "")
    assert found.whole.types[many.element].name == "two"
    assert (many.not_null, many.checks, columns["b"].domain_not_null) == (False, (), False)
    assert found.whole.types[found.whole.types[columns["d"].type_oid].element].name == "one"
    assert [(c.name, c.validated, c.domain, c.table) for c in free.checks] == [("later", False, free.oid, 0)]


# --- trees -----------------------------------------------------------------------------------------------------------


def test_partitions_and_inheritance(database: Make) -> None:
    found = Read(
        database(
            PARTITIONED,
            """
            CREATE TABLE animals (legs int);
            CREATE TABLE swimmers (fins int);
            CREATE TABLE frogs () INHERITS (swimmers, animals);
            CREATE TABLE tree_frogs (height int) INHERITS (frogs);
            CREATE TABLE was_child () INHERITS (animals);
            ALTER TABLE was_child NO INHERIT animals;
            ALTER TABLE events DETACH PARTITION events_1;
            """,
        )
    )
    parts = {name: found.table(name) for name in ("events", "events_1", "events_2", "events_2_1", "frogs", "was_child")}
    assert {name: (t.kind, t.is_partition, t.only) for name, t in parts.items()} == {
        "events": ("p", False, False),
        "events_1": ("r", False, True),
        "events_2": ("p", True, False),
        "events_2_1": ("r", True, True),
        "frogs": ("r", False, True),
        "was_child": ("r", False, True),
    }
    assert found.names(*parts["events"].children) == ["events_2"]
    assert found.names(*parts["events_2"].parents) == ["events"]
    assert found.names(*parts["events_2"].children) == ["events_2_1"]
    assert [found.whole.tables[oid].name for oid in parts["frogs"].parents] == ["swimmers", "animals"]
    assert found.names(*parts["frogs"].children) == ["tree_frogs"]
    assert (parts["was_child"].parents, found.names(*found.table("animals").children)) == ((), ["frogs"])
    assert {t.name for t in found.whole.base_tables()} == {
        "events", "events_1", "targets", "animals", "swimmers", "frogs", "tree_frogs", "was_child",
    }  # fmt: skip


def test_which_relations_there_are(database: Make, version: int) -> None:
    dsn = database("""
        CREATE TABLE kept (id int PRIMARY KEY, big text);
        CREATE UNLOGGED TABLE unlogged (id int);
        CREATE VIEW seen AS SELECT id FROM kept;
        CREATE MATERIALIZED VIEW stored AS SELECT id FROM kept;
        CREATE FOREIGN DATA WRAPPER nothing;
        CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
        CREATE FOREIGN TABLE far (id int) SERVER nowhere;
        CREATE TYPE pair AS (a int, b int);
        CREATE TABLE owned (id serial PRIMARY KEY, parent int REFERENCES kept);
        CREATE FUNCTION owned() RETURNS int LANGUAGE sql AS 'SELECT 1';
        ALTER EXTENSION plpgsql ADD TABLE owned;
        ALTER EXTENSION plpgsql ADD FUNCTION owned();
    """)
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("CREATE TEMPORARY TABLE hidden (id serial PRIMARY KEY, n int CHECK (n > 0))")
        other.execute("CREATE TEMPORARY TABLE pointing (id int REFERENCES hidden)")
        found = Read(dsn)
    assert {table.name: (table.kind, table.persistence) for table in found.whole.tables.values()} == {
        "kept": ("r", "p"),
        "unlogged": ("r", "u"),
        "seen": ("v", "p"),
        "stored": ("m", "p"),
        "far": ("f", "p"),
    }
    assert [t.name for t in found.whole.tables.values() if t.holds_rows] == ["kept", "unlogged"]
    assert found.whole.functions == {}
    assert found.whole.foreign_keys == ()
    assert list(found.whole.extensions) == ["plpgsql"]
    assert "hidden_id_seq" not in {s.name for s in found.whole.sequences.values()}


# --- triggers, rules, functions, sequences -----------------------------------------------------------------------------


def test_triggers(database: Make) -> None:
    found = Read(
        database("""
        CREATE TABLE t (a int, b int);
        CREATE VIEW v AS SELECT a FROM t;
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER rows BEFORE INSERT OR UPDATE OF b, a OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f();
        CREATE TRIGGER tells AFTER UPDATE ON t FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a) EXECUTE FUNCTION f();
        CREATE TRIGGER emptied AFTER TRUNCATE ON t EXECUTE FUNCTION f();
        CREATE CONSTRAINT TRIGGER late AFTER DELETE ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION f();
        CREATE TRIGGER through INSTEAD OF DELETE ON v FOR EACH ROW EXECUTE FUNCTION f();
        ALTER TABLE t DISABLE TRIGGER rows;
        ALTER TABLE t ENABLE REPLICA TRIGGER tells;
        ALTER TABLE t ENABLE ALWAYS TRIGGER emptied;
        CREATE RULE nothing AS ON UPDATE TO t DO INSTEAD NOTHING;
        CREATE TABLE parts (a int) PARTITION BY RANGE (a);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
        CREATE TRIGGER copied AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION f();
    """)
    )
    rows, tells, emptied, late = (found.trigger("t", name) for name in ("rows", "tells", "emptied", "late"))
    assert (rows.timing, rows.events, rows.row, rows.columns) == (
        "before",
        ("insert", "delete", "update"),
        True,
        ("b", "a"),
    )
    assert [(t.enabled, t.fires) for t in (rows, tells, emptied, late)] == [
        ("D", False),
        ("R", False),
        ("A", True),
        ("O", True),
    ]
    assert [(t.timing, t.events, t.row, t.condition) for t in (tells, emptied, late)] == [
        ("after", ("update",), True, True),
        ("after", ("truncate",), False, False),
        ("after", ("delete",), True, False),
    ]
    assert found.trigger("v", "through").timing == "instead"
    assert {t.function for t in found.table("t").triggers} == {found.function("f").oid}
    assert "WHEN ((old.a IS DISTINCT FROM new.a))" in tells.definition
    assert found.trigger("parts_1", "copied").parent == found.trigger("parts", "copied").oid
    (rule,) = found.table("t").rules
    assert (rule.name, rule.event, rule.instead, rule.enabled) == ("nothing", "update", True, "O")
    assert rule.definition.startswith("CREATE RULE nothing AS")
    assert found.whole.by_name["public", "v"].rules == ()


def test_functions(database: Make, version: int) -> None:
    body = "BEGIN ATOMIC SELECT 1; END" if version >= 14 else "LANGUAGE sql AS 'SELECT 1'"
    found = Read(
        database(f"""
        CREATE FUNCTION one(a int, OUT b text) LANGUAGE plpgsql SET search_path = app, "odd one" AS
            $$ BEGIN b := 'it''s'; END $$;
        CREATE FUNCTION standard() RETURNS int {body};
        CREATE PROCEDURE done(INOUT x int) LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION inner_one(text) RETURNS int LANGUAGE internal AS 'textlen';
        CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
    """)
    )
    one, standard, done, internal = (found.function(name) for name in ("one", "standard", "done", "inner_one"))
    assert (one.arguments, one.language, one.kind, one.returns) == ("a integer, OUT b text", "plpgsql", "f", "text")
    assert "b := 'it''s'" in one.body
    assert (one.search_path, standard.search_path) == ('app, "odd one"', None)
    assert "SELECT 1" in standard.body
    assert done.kind == "p"
    assert (internal.language, internal.body) == ("internal", "")
    assert len(found.whole.functions) == 4


def test_sequences_and_their_owners(database: Make) -> None:
    dsn = database("""
        CREATE SEQUENCE bare;
        CREATE SEQUENCE given AS smallint INCREMENT -2 MINVALUE -100 MAXVALUE -1 CYCLE;
        CREATE TABLE t (i int GENERATED ALWAYS AS IDENTITY, s bigserial, b int DEFAULT nextval('bare'), g int);
        ALTER SEQUENCE given OWNED BY t.g;
        INSERT INTO t (g) VALUES (nextval('given')), (nextval('given'));
        CREATE SEQUENCE huge MAXVALUE 9223372036854775807 START 9223372036854775807;
        SELECT nextval('huge');
        CREATE SEQUENCE unused;
    """)
    found = Read(dsn)
    table = found.table("t").oid
    by_name = {s.name: s for s in found.whole.sequences.values()}
    assert {n: (s.owner, s.link) for n, s in by_name.items()} == {
        "t_i_seq": ((table, "i"), "i"),
        "t_s_seq": ((table, "s"), "a"),
        "given": ((table, "g"), "a"),
        "bare": (None, ""),
        "huge": (None, ""),
        "unused": (None, ""),
    }
    given = by_name["given"]
    assert (given.type, given.increment, given.minimum, given.maximum, given.cycles, given.last_value) == (
        "smallint",
        -2,
        -100,
        -1,
        True,
        -3,
    )
    assert {n: by_name[n].last_value for n in ("bare", "huge", "unused")} == {
        "bare": 2,
        "huge": 9223372036854775807,
        "unused": None,
    }
    assert {s.last_value for s in Read(login(dsn)).whole.sequences.values()} == {None}


# --- what the login may see -------------------------------------------------------------------------------------------


def test_row_security_is_as_it_applies_to_the_login(database: Make) -> None:
    dsn = database("""
        CREATE TABLE off (id int);
        CREATE TABLE policed (id int);
        CREATE TABLE forced (id int);
        CREATE POLICY p ON off USING (true);
        ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
        ALTER TABLE forced ENABLE ROW LEVEL SECURITY;
        ALTER TABLE forced FORCE ROW LEVEL SECURITY;
    """)

    def applies(dsn: str) -> dict[str, bool]:
        return {table.name: table.row_security for table in catalog_of(dsn).tables.values()}

    nowhere = dict.fromkeys(("forced", "off", "policed"), False)
    assert applies(dsn) == nowhere
    assert applies(login(dsn, options="BYPASSRLS")) == nowhere
    assert applies(login(dsn)) == {**nowhere, "forced": True, "policed": True}
    owner = login(dsn, "ALTER TABLE policed OWNER TO {role}", "ALTER TABLE forced OWNER TO {role}")
    assert applies(owner) == {**nowhere, "forced": True}


def test_privileges_of_the_login(database: Make) -> None:
    dsn = database("""
        CREATE SCHEMA closed;
        CREATE TABLE closed.t (id int);
        GRANT SELECT ON closed.t TO PUBLIC;
        CREATE TABLE partly (a int, b int);
        CREATE TABLE hidden (a int);
        CREATE TABLE whole (a int);
        GRANT SELECT ON whole TO PUBLIC;
    """)
    found = Read(login(dsn, "GRANT SELECT (b) ON partly TO {role}"))
    closed = found.whole.by_name["closed", "t"]
    assert (closed.schema_usable, closed.readable) == (False, False)
    assert {n: found.table(n).readable for n in ("partly", "hidden", "whole")} == {
        "partly": False,
        "hidden": False,
        "whole": True,
    }
    assert [c.readable for c in found.table("partly").columns] == [False, True]
    assert {found.table(n).schema_usable for n in ("partly", "hidden", "whole")} == {True}
    member = Read(login(dsn, f"GRANT {found.whole.server.user} TO {{role}}"))
    assert [c.readable for c in member.table("partly").columns] == [False, True]


def test_the_server_and_the_login(database: Make, version: int) -> None:
    dsn = database()
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    server = catalog_of(dsn).server
    assert (server.database, server.user, server.major, server.encoding) == (
        parts["dbname"],
        parts["user"],
        version,
        "UTF8",
    )
    assert (server.superuser, server.bypass_rls, server.dangerous, server.is_standby) == (
        True,
        True,
        ("superuser", "replication", "createrole"),
        False,
    )
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    assert row == (server.system_identifier,)
    ordinary = catalog_of(login(dsn)).server
    assert (ordinary.superuser, ordinary.bypass_rls, ordinary.dangerous) == (False, False, ())
    risky = login(dsn, "GRANT pg_read_server_files TO {role}", options="REPLICATION CREATEROLE BYPASSRLS")
    assert catalog_of(risky).server.dangerous == ("replication", "createrole", "pg_read_server_files")
    assert catalog_of(risky).server.bypass_rls


def test_information_schema_shows_an_ordinary_role_less_and_the_report_says_so(database: Make) -> None:
    dsn = database("""
        CREATE TABLE parents (id int PRIMARY KEY, code text UNIQUE);
        CREATE TABLE children (id int PRIMARY KEY, p int REFERENCES parents, q text REFERENCES parents (code));
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
    """)
    held = {"FOREIGN KEY": 2, "PRIMARY KEY": 2, "UNIQUE": 1}
    ordinary = login(dsn)
    owner = login(dsn, "ALTER TABLE children OWNER TO {role}")
    assert catalog_of(dsn).shown == {kind: (count, count) for kind, count in held.items()}
    assert catalog_of(ordinary).shown == {kind: (0, count) for kind, count in held.items()}
    assert catalog_of(owner).shown == {"FOREIGN KEY": (2, 2), "PRIMARY KEY": (1, 2), "UNIQUE": (0, 1)}
    assert len(catalog_of(ordinary).foreign_keys) == 2
    said = [[note for note in audit(dsn).notes if "information_schema" in note] for dsn in (dsn, ordinary, owner)]
    assert said[0] == []
    counts = "0 of 2 foreign key constraints, 0 of 2 primary key constraints, 0 of 1 unique constraints"
    assert [counts in note and "judges by pg_constraint" in note for note in said[1]] == [True]
    assert ["only 1 of 2 primary key constraints, 0 of 1 unique constraints" in note for note in said[2]] == [True]


# --- what another session keeps locked --------------------------------------------------------------------------------


def test_what_is_locked_comes_without_its_definitions(database: Make) -> None:
    dsn = database(
        THINGS,
        "CREATE TABLE free (id serial PRIMARY KEY, n int CHECK (n > 1), base int REFERENCES base)",
        "SELECT nextval('free_id_seq'), nextval('base_id_seq')",
    )
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        other.execute("ALTER SEQUENCE base_id_seq RESTART")
        found = Read(psycopg.conninfo.make_conninfo(dsn, options="-c lock_timeout=300"))
    assert {t.name: t.locked for t in found.whole.tables.values()} == {"base": False, "free": False, "things": True}
    assert {c.expression for c in found.table("things").constraints if c.type == "c"} == {None}
    assert found.trigger("things", "noted").definition == ""
    assert [r.definition for r in found.table("things").rules] == [""]
    assert {s.name: s.last_value for s in found.whole.sequences.values()} == {"base_id_seq": None, "free_id_seq": 1}
    assert [c.expression for c in found.table("free").constraints if c.type == "c"] == ["(n > 1)"]
    assert found.column("base", "d").default == "'x'::text"
    assert found.table("things").by_name.keys() == {"id", "base", "e"}


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_come_as_they_are_and_definitions_can_be_run(database: Make) -> None:
    """A schema of every hostile name, in which everything has that name; then each definition makes its object again."""
    script = []
    for name in HOSTILE:
        own, table = ident(name), qualified(name, name)
        script.append(f"""
            CREATE SCHEMA {own};
            CREATE DOMAIN {qualified(name, "d" + name[:20])} AS int CONSTRAINT {own} CHECK (VALUE > 0);
            CREATE TABLE {table} ({own} int PRIMARY KEY, "n" text DEFAULT {literal(name)}, d {qualified(name, "d" + name[:20])},
                CONSTRAINT {own} CHECK ({own} > 0 AND "n" <> {literal(name)}),
                CONSTRAINT {ident("f" + name[:20])} FOREIGN KEY ({own}) REFERENCES {table});
            CREATE UNIQUE INDEX {ident("i" + name[:20])} ON {table} (lower("n"), {own}) WHERE "n" <> {literal(name)};
            CREATE FUNCTION {table}({own} int) RETURNS text LANGUAGE sql SET search_path = {own} AS {literal("SELECT " + literal(name))};
            CREATE FUNCTION {qualified(name, "t")}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER {own} BEFORE UPDATE OF {own} ON {table} FOR EACH ROW EXECUTE FUNCTION {qualified(name, "t")}();
            CREATE RULE {own} AS ON DELETE TO {table} DO INSTEAD NOTHING;
            CREATE SEQUENCE {qualified(name, "s" + name[:20])} OWNED BY {table}.{own};
            COMMENT ON TABLE {table} IS {literal(name)};
        """)
    dsn = database(*script)
    catalog = catalog_of(dsn)
    assert set(catalog.by_name) == {(name, name) for name in HOSTILE}
    statements: list[str] = []
    for name in HOSTILE:
        found = catalog.by_name[name, name]
        assert [c.name for c in found.columns] == [name, "n", "d"]
        assert (found.primary_key, found.comment) == ((name,), name)
        (key,) = found.foreign_keys
        assert (key.name, key.columns, key.referenced) == ("f" + name[:20], (name,), found.oid)
        (check,) = [c for c in found.constraints if c.type == "c"]
        assert (check.name, check.columns) == (name, (name, "n"))
        index = named(found.indexes)["i" + name[:20]]
        assert [k.column for k in index.keys] == [None, name]
        (trigger,) = found.triggers
        assert (trigger.name, trigger.columns) == (name, (name,))
        (rule,) = found.rules
        assert rule.name == name
        kind = catalog.types[found.by_name["d"].type_oid]
        assert (kind.schema, kind.name, [c.name for c in kind.checks]) == (name, "d" + name[:20], [name])
        (function,) = [f for f in catalog.functions.values() if (f.schema, f.name) == (name, name)]
        assert function.body == "SELECT " + literal(name)
        (sequence,) = [s for s in catalog.sequences.values() if s.schema == name]
        assert (sequence.name, sequence.owner) == ("s" + name[:20], (found.oid, name))
        statements += [
            f"ALTER TABLE {found.sql} DROP CONSTRAINT {ident(name)}, ADD CONSTRAINT {ident(name)} {check.definition}",
            f"ALTER TABLE {found.sql} DROP CONSTRAINT {ident(key.name)}, ADD CONSTRAINT {ident(key.name)} {key.definition}",
            f"DROP TRIGGER {ident(name)} ON {found.sql}",
            trigger.definition,
            f"DROP RULE {ident(name)} ON {found.sql}",
            rule.definition,
            f"SELECT * FROM {found.sql} WHERE {index.predicate} AND {check.expression} AND {index.keys[0].expression} = ''",
            f"ALTER TABLE {found.sql} ALTER COLUMN n SET DEFAULT {found.by_name['n'].default}",
        ]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET search_path = ''")
        for statement in statements:
            connection.execute(statement.encode())
    again = catalog_of(dsn)
    assert [(i.predicate, i.keys) for t in again.tables.values() for i in t.indexes] == [
        (i.predicate, i.keys) for t in catalog.tables.values() for i in t.indexes
    ]
