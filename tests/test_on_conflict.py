"""ON CONFLICT: what PostgreSQL accepts and refuses, and that the auditor says the same before it runs."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.arbiter import Arbiter, infer
from auditor.audit import open_catalog
from auditor.catalog.model import Catalog
from auditor.connection import Session, Target
from auditor.probe import Planned, UnansweredError
from auditor.probe.textbook import Samples, ask
from auditor.statements import Upsert, read
from tests.conftest import Make
from tests.helpers import login

Connection = psycopg.Connection[tuple[object, ...]]


def catalog_of(dsn: str) -> Catalog:
    with Session(Target(dsn)) as session:
        return open_catalog(session)


def upsert_of(statement: str) -> Upsert:
    (found,) = read(statement).upserts
    return found


def own(dsn: str, statement: str) -> Arbiter:
    catalog = catalog_of(dsn)
    upsert = upsert_of(statement)
    return infer(catalog.by_name["public", upsert.table], upsert)


def sqlstate(connection: Connection, statement: str) -> str:
    """What the server says to a statement that is run and taken back; empty when it runs."""
    try:
        connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?"
    finally:
        connection.rollback()
    return ""


# --- each fact as the server tells it, beside what the auditor says ---------------------------------------------------

TABLES = """
CREATE TABLE pairs (a int, b int, c text, deleted_at timestamptz, PRIMARY KEY (a));
CREATE UNIQUE INDEX pairs_bc ON pairs (b, c) INCLUDE (deleted_at);
CREATE UNIQUE INDEX pairs_live ON pairs (c) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX pairs_lower ON pairs (lower(c), a);
CREATE INDEX pairs_b ON pairs (b);
CREATE TABLE late (a int CONSTRAINT late_a UNIQUE DEFERRABLE, b int CONSTRAINT late_b UNIQUE);
CREATE TABLE apart (a int, b int UNIQUE, during int4range, CONSTRAINT apart_excl EXCLUDE USING gist (during WITH &&),
                    CONSTRAINT apart_check CHECK (a > 0), CONSTRAINT apart_fk FOREIGN KEY (b) REFERENCES pairs);
CREATE TABLE sorted (a text COLLATE "C", b text);
CREATE UNIQUE INDEX sorted_a ON sorted (a);
CREATE UNIQUE INDEX sorted_b ON sorted (b COLLATE "C" text_pattern_ops);
CREATE TABLE parts (a int, b int, UNIQUE (a, b)) PARTITION BY LIST (a);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE half (a int, b int) PARTITION BY LIST (a);
CREATE TABLE half_1 PARTITION OF half FOR VALUES IN (1);
CREATE UNIQUE INDEX half_a ON ONLY half (a);
CREATE TABLE copies (a int, b int);
INSERT INTO copies VALUES (1, 1), (1, 2);
"""

FACTS = [
    # the order of the columns is irrelevant, and so is naming one twice
    ("pairs (a, b, c) VALUES (1, 1, 'x') ON CONFLICT (c, b) DO NOTHING", ""),
    ("pairs (a) VALUES (1) ON CONFLICT (a, a) DO NOTHING", ""),
    ("pairs (a) VALUES (1) ON CONFLICT ((a)) DO NOTHING", ""),
    # INCLUDE columns are not part of the target; a part of a key is no key, nor is more than a key
    ("pairs (a, b, c) VALUES (1, 1, 'x') ON CONFLICT (b, c, deleted_at) DO NOTHING", "42P10"),
    ("pairs (a, b) VALUES (1, 1) ON CONFLICT (b) DO NOTHING", "42P10"),
    ("pairs (a, b) VALUES (1, 1) ON CONFLICT (a, b) DO NOTHING", "42P10"),
    # a partial index serves only a statement that says its predicate, or more than it
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (c) DO NOTHING", "42P10"),
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (c) WHERE deleted_at IS NULL DO NOTHING", ""),
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (c) WHERE a > 1 AND (deleted_at  is null) DO NOTHING", ""),
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (c) WHERE a > 1 OR deleted_at IS NULL DO NOTHING", "42P10"),
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (a) WHERE a > 1 DO NOTHING", ""),
    # an expression index serves the same expression only
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (a, lower(c)) DO NOTHING", ""),
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (LOWER (c), a) DO NOTHING", ""),
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (upper(c), a) DO NOTHING", "42P10"),
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (lower(c)) DO NOTHING", "42P10"),
    ("pairs (a, c) VALUES (1, 'x') ON CONFLICT (c, a) DO NOTHING", "42P10"),
    # a cast to its own type is the column itself
    ("pairs (a, b, c) VALUES (1, 1, 'x') ON CONFLICT (b, (c::text)) DO NOTHING", ""),
    # ON CONSTRAINT names a constraint, not an index, and one with an index behind it
    ("pairs (a) VALUES (1) ON CONFLICT ON CONSTRAINT pairs_pkey DO UPDATE SET b = 1", ""),
    ("pairs (a) VALUES (1) ON CONFLICT ON CONSTRAINT pairs_bc DO NOTHING", "42704"),
    ("pairs (a) VALUES (1) ON CONFLICT ON CONSTRAINT nothing DO NOTHING", "42704"),
    ("apart (a) VALUES (1) ON CONFLICT ON CONSTRAINT apart_check DO NOTHING", "42809"),
    ("apart (a) VALUES (1) ON CONFLICT ON CONSTRAINT apart_fk DO NOTHING", "42809"),
    # an exclusion constraint serves only DO NOTHING, by name or without a target
    ("apart (during) VALUES ('[1,2]') ON CONFLICT ON CONSTRAINT apart_excl DO NOTHING", ""),
    ("apart (during) VALUES ('[1,2]') ON CONFLICT ON CONSTRAINT apart_excl DO UPDATE SET a = 1", "42809"),
    ("apart (during) VALUES ('[1,2]') ON CONFLICT (during) DO NOTHING", "42P10"),
    ("apart (during) VALUES ('[1,2]') ON CONFLICT DO NOTHING", ""),
    # a deferrable constraint passes EXPLAIN and fails at execution, also where no target is named
    ("late VALUES (1, 1) ON CONFLICT (a) DO NOTHING", "55000"),
    ("late VALUES (1, 1) ON CONFLICT ON CONSTRAINT late_a DO NOTHING", "55000"),
    ("late VALUES (1, 1) ON CONFLICT DO NOTHING", "55000"),
    ("late VALUES (1, 1) ON CONFLICT (b) DO NOTHING", ""),
    # DO UPDATE asks for a target
    ("pairs (a) VALUES (1) ON CONFLICT DO UPDATE SET b = 1", "42601"),
    ("copies VALUES (1, 1) ON CONFLICT DO NOTHING", ""),
    # collation and operator class, where the target names them
    ("sorted (a) VALUES ('x') ON CONFLICT (a) DO NOTHING", ""),
    ("sorted (a) VALUES ('x') ON CONFLICT (a COLLATE \"C\") DO NOTHING", ""),
    ("sorted (a) VALUES ('x') ON CONFLICT (a COLLATE \"POSIX\") DO NOTHING", "42P10"),
    ("sorted (a) VALUES ('x') ON CONFLICT (a text_ops) DO NOTHING", ""),
    ("sorted (a) VALUES ('x') ON CONFLICT (a varchar_ops) DO NOTHING", ""),
    ("sorted (b) VALUES ('x') ON CONFLICT (b) DO NOTHING", ""),
    ("sorted (b) VALUES ('x') ON CONFLICT (b COLLATE pg_catalog.\"C\" text_pattern_ops) DO NOTHING", ""),
    ("sorted (b) VALUES ('x') ON CONFLICT (b text_ops) DO NOTHING", "42P10"),
    ("sorted (a) VALUES ('x') ON CONFLICT (a DESC) DO NOTHING", "42P10"),
    ("sorted (a) VALUES ('x') ON CONFLICT (a NULLS FIRST) DO NOTHING", "42P10"),
    # partitioned tables: an index ON ONLY is invalid and serves nothing
    ("parts VALUES (1, 1) ON CONFLICT (b, a) DO NOTHING", ""),
    ("half VALUES (1, 1) ON CONFLICT (a) DO NOTHING", "42P10"),
    # an invalid index is no arbiter, even one that failed over duplicates
    ("copies VALUES (2, 1) ON CONFLICT (a) DO NOTHING", "42P10"),
]


def invalid_index(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY copies_a ON copies (a)")


def test_the_auditor_says_of_each_statement_what_the_server_says(database: Make, version: int) -> None:
    dsn = database(TABLES)
    invalid_index(dsn)
    catalog = catalog_of(dsn)
    with psycopg.connect(dsn) as connection, Session(Target(dsn)) as session:
        for text, expected in FACTS:
            statement = f"INSERT INTO {text}"
            assert sqlstate(connection, statement) == expected, statement
            upsert = upsert_of(statement)
            table = catalog.by_name["public", upsert.table]
            arbiter = infer(table, upsert)
            if arbiter.unsure:
                with session.transaction() as fetch:
                    answer = ask(Planned(table, upsert.targets, upsert.predicate), fetch, Samples())
                assert answer.count == (expected == ""), statement
            else:
                assert arbiter.sqlstate == expected, statement


def test_which_of_these_the_catalog_decides_alone(database: Make) -> None:
    dsn = database(TABLES)
    invalid_index(dsn)
    catalog = catalog_of(dsn)
    upserts = [upsert_of(f"INSERT INTO {text}") for text, _ in FACTS]
    unsure = [u.targets for u in upserts if infer(catalog.by_name["public", u.table], u).unsure]
    assert unsure == [
        ("c",),  # WHERE ... OR ...
        ("upper(c)", "a"),
        ("b", "(c::text)"),
        ('a COLLATE "POSIX"',),
        ("a varchar_ops",),
        ("b text_ops",),
    ]


def test_a_deferrable_constraint_passes_explain(database: Make) -> None:
    with psycopg.connect(database(TABLES)) as connection:
        assert sqlstate(connection, "EXPLAIN INSERT INTO late VALUES (1, 1) ON CONFLICT (a) DO NOTHING") == ""


def test_preparing_succeeds_and_planning_fails(database: Make) -> None:
    with psycopg.connect(database(TABLES)) as connection:
        connection.execute("PREPARE p AS INSERT INTO pairs (b) VALUES ($1) ON CONFLICT (b) DO NOTHING")
        with pytest.raises(psycopg.errors.InvalidColumnReference):
            connection.execute("EXPLAIN EXECUTE p(1)")


def test_a_role_that_may_only_read_is_told_the_same(database: Make) -> None:
    hidden = "CREATE SCHEMA hidden; CREATE FUNCTION hidden.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
    dsn = database(TABLES, hidden, "CREATE TABLE h (a int); CREATE UNIQUE INDEX ON h (hidden.f(a));")
    reader = login(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    with Session(Target(reader)) as session:
        catalog = open_catalog(session)
        pairs, h = catalog.by_name["public", "pairs"], catalog.by_name["public", "h"]

        def counted(question: Planned) -> int:
            with session.transaction() as fetch:
                return ask(question, fetch, Samples()).count

        assert counted(Planned(pairs, ("b",))) == 0
        assert counted(Planned(pairs, ("c",), "deleted_at IS NULL")) == 1
        assert counted(Planned(pairs, ("lower(c)", "a"))) == 1
        # no USAGE on the schema of a function: refused before planning, which says nothing about indexes
        with pytest.raises(UnansweredError, match="42501"):
            counted(Planned(h, ("hidden.f(a)",)))


# --- the inference against the planner, on random tables -------------------------------------------------------------

COLUMNS = ("a", "b", "c", "d")  # int, text, varchar, boolean
KEYS = st.sampled_from(
    [*COLUMNS, "lower(b)", "lower(c)", "COALESCE(b, 'x')", "coalesce(c, 'x')", "(a + 1)", "(b || c)", "(a::bigint)"]
)
SPELLINGS = {
    "a": ["a", "(a)", '"a"', "A", "(a::int)"],
    "b": ["b", "((b))", "(b::text)", 'b COLLATE "C"', "b text_ops", 'b COLLATE "default"', "b varchar_ops"],
    "c": ["c", "(c::varchar)", "c text_ops"],
    "d": ["d", "(d = true)"],
    "lower(b)": ["lower(b)", "LOWER( b )", "(lower(b))", "pg_catalog.lower(b)", "lower(b::text)", "lower(c)"],
    "lower(c)": ["lower(c)", "lower((c)::text)", "upper(c)"],
    "COALESCE(b, 'x')": ["coalesce(b,'x')", "COALESCE(b, 'x'::text)", "COALESCE(b, 'y')", "COALESCE(b, E'\\x78')"],
    "coalesce(c, 'x')": ["COALESCE(c, 'x')", "COALESCE(c, 'x'::text)", "COALESCE(c, 'x'::varchar)"],
    "(a + 1)": ["(a+1)", "((a + 1))", "(1 + a)", "(a + (2 - 1))", "(a +1)"],
    "(b || c)": ["(b || c)", "(b||c::text)", "(c || b)"],
    "(a::bigint)": ["(a::bigint)", "(a::int8)", "(CAST(a AS bigint))", "int8(a)"],
}
CONDITIONS = st.sampled_from(
    [
        *("a IS NULL", "b IS NULL", "d", "NOT d", "d IS TRUE", "b = 'x'", "c = 'x'", "b <> 'y'", "a > 1", "a > 0"),
        *("a IS NULL OR b IS NULL", "a IN (1, 2)", "a = 1", "d = true", "a BETWEEN 1 AND 5", "true", "1 = 1"),
        *("(a IS NULL OR true)", "COALESCE(d, true)", "lower(b) = 'x'", "b IS NOT NULL"),
    ]
)
SAID = {
    "b = 'x'": ["b='x'", "b = 'x'::text", "'x' = b"],
    "b <> 'y'": ["b != 'y'"],
    "d": ["d = true", "(d)", "d IS TRUE"],
}
PREDICATES = st.none() | st.lists(CONDITIONS, min_size=1, max_size=3).map(" AND ".join)


@st.composite
def a_case(draw: st.DrawFn) -> tuple[list[str], str, str]:
    """The indexes of a table, and the target list and predicate of a statement that may or may not fit one of them."""
    indexes = []
    keys: list[list[str]] = []
    predicates: list[str | None] = []
    for number in range(draw(st.integers(1, 4))):
        held = draw(st.lists(KEYS, min_size=1, max_size=3, unique=True))
        predicate = draw(PREDICATES)
        unique = draw(st.sampled_from(["UNIQUE ", "UNIQUE ", "UNIQUE ", ""]))
        include = draw(st.sampled_from(["", "", " INCLUDE (d)"]))
        where = f" WHERE {predicate}" if predicate else ""
        indexes.append(f"CREATE {unique}INDEX i{number} ON t ({', '.join(held)}){include}{where}")
        keys.append(held)
        predicates.append(predicate)
    if draw(st.booleans()):
        indexes.append("ALTER TABLE t ADD CONSTRAINT late UNIQUE (a, b) DEFERRABLE")
    chosen = draw(st.integers(0, len(keys) - 1))
    wanted = list(keys[chosen]) if draw(st.integers(0, 4)) else draw(st.lists(KEYS, min_size=1, max_size=3))
    targets = [draw(st.sampled_from([key, *SPELLINGS[key]])) for key in draw(st.permutations(wanted))]
    said = predicates[chosen] if draw(st.integers(0, 4)) else draw(PREDICATES)
    if said is not None:
        parts = [draw(st.sampled_from([part, part, *SAID.get(part, [])])) for part in said.split(" AND ")]
        if "BETWEEN" not in said:
            parts = list(draw(st.permutations(parts)))
        parts += draw(st.sampled_from([[], [], ["a > 7"]]))
        said = " AND ".join(parts)
    return indexes, ", ".join(targets), f" WHERE {said}" if said else ""


def test_the_inference_agrees_with_the_planner(database: Make) -> None:
    dsn = database("CREATE TABLE t (a int, b text, c varchar(20), d boolean)")
    seen = {"served": 0, "refused": 0, "unsure": 0}
    with psycopg.connect(dsn, autocommit=True) as connection, Session(Target(dsn)) as session:

        @settings(
            max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
        )
        @given(a_case())
        def agree(case: tuple[list[str], str, str]) -> None:
            indexes, targets, where = case
            connection.execute("DROP TABLE t; CREATE TABLE t (a int, b text, c varchar(20), d boolean)")
            for index in indexes:
                connection.execute(index.encode())
            statement = f"INSERT INTO t DEFAULT VALUES ON CONFLICT ({targets}){where} DO NOTHING"
            upsert = upsert_of(statement)
            table = open_catalog(session).by_name["public", "t"]
            arbiter = infer(table, upsert)
            try:
                connection.execute(f"EXPLAIN {statement}".encode())
                planned = True
            except psycopg.errors.InvalidColumnReference:
                planned = False
            with session.transaction() as fetch:
                assert ask(Planned(table, upsert.targets, upsert.predicate), fetch, Samples()).count == planned
            if arbiter.unsure:
                seen["unsure"] += 1
            elif planned:
                seen["served"] += 1
                assert arbiter.sqlstate in ("", "55000")
                assert arbiter.indexes
            else:
                seen["refused"] += 1
                assert arbiter.sqlstate == "42P10"

        agree()
    # It decides most cases alone, although these are chosen to be hard.
    assert min(seen.values()) > 50, seen
