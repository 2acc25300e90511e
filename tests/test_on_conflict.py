"""ON CONFLICT: what PostgreSQL accepts and refuses, and that the auditor says the same before it runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from auditor.arbiter import Arbiter, infer, uses
from auditor.audit import Audit, open_catalog
from auditor.catalog.model import Catalog, Statement
from auditor.connection import Session, Target
from auditor.errors import UsageError
from auditor.probe import Planned, UnansweredError
from auditor.probe.textbook import Samples, ask
from auditor.statements import LARGEST, Upsert, read, read_files, writes
from tests.conftest import MAJOR, Make
from tests.helpers import audit, login, titles

pytestmark = pytest.mark.core

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
    stranger = login(dsn)
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
    # no privilege on the table is needed
    with Session(Target(stranger)) as session, session.transaction() as fetch:
        for targets, predicate, served in [
            (("b",), None, 0),
            (("c",), "deleted_at IS NULL", 1),
            (("c",), "deleted_at IS NOT NULL", 0),
            (("lower(c)", "a"), None, 1),
            (("upper(c)", "a"), None, 0),
        ]:
            assert ask(Planned(pairs, targets, predicate), fetch, Samples()).count == served
        with pytest.raises(UnansweredError, match="42501"):
            ask(Planned(h, ("hidden.f(a)",)), fetch, Samples())


# --- relations that are no plain table --------------------------------------------------------------------------------

RELATIONS = """
CREATE TABLE t (a int UNIQUE, b int, c text, d timestamptz);
CREATE UNIQUE INDEX t_c ON t (c) WHERE d IS NULL;
CREATE TABLE child () INHERITS (t);
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (a int, b int) SERVER nowhere;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE VIEW renamed AS SELECT a AS x, b AS a, c, d, lower(c) AS low FROM t WHERE a > 0;
CREATE VIEW "over" AS SELECT x AS "Y", c AS "a b", d FROM renamed;
CREATE VIEW stood_in AS SELECT a, c FROM t;
CREATE TRIGGER i INSTEAD OF INSERT ON stood_in FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE VIEW counted AS SELECT a, count(*) AS n FROM t GROUP BY a;
CREATE VIEW ruled AS SELECT a FROM t;
CREATE RULE r AS ON INSERT TO ruled DO INSTEAD INSERT INTO t (a) VALUES (new.a);
CREATE VIEW unruled AS SELECT a FROM t;
CREATE RULE r AS ON UPDATE TO unruled DO INSTEAD NOTHING;
CREATE TABLE updates (a int UNIQUE); CREATE RULE r AS ON UPDATE TO updates DO INSTEAD NOTHING;
CREATE TABLE disabled (a int UNIQUE); CREATE RULE r AS ON UPDATE TO disabled DO INSTEAD NOTHING; ALTER TABLE disabled DISABLE RULE r;
CREATE TABLE copied (a int UNIQUE); CREATE RULE r AS ON INSERT TO copied DO ALSO INSERT INTO t (b) VALUES (1) ON CONFLICT (a) DO NOTHING;
CREATE TABLE uncopied (a int UNIQUE); CREATE RULE r AS ON INSERT TO uncopied DO ALSO INSERT INTO t (b) VALUES (1); ALTER TABLE uncopied DISABLE RULE r;
CREATE TABLE swallowed (a int, "do" int); CREATE RULE r AS ON INSERT TO swallowed DO INSTEAD NOTHING;
CREATE TABLE a_few (a int, "do" int); CREATE RULE r AS ON INSERT TO a_few WHERE (new."do" > 1) DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW kept AS SELECT a FROM t; CREATE UNIQUE INDEX ON kept (a);
"""
BEHIND = [
    ("child VALUES (1) ON CONFLICT (a) DO NOTHING", "42P10"),
    ("far VALUES (1) ON CONFLICT (a) DO NOTHING", "42P10"),
    ("far VALUES (1) ON CONFLICT DO UPDATE SET a = 1", "42601"),
    ("far VALUES (1) ON CONFLICT ON CONSTRAINT far_key DO NOTHING", "42704"),
    ("renamed (x) VALUES (1) ON CONFLICT (x) DO NOTHING", ""),
    ("renamed (x) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1", "42P10"),
    ("renamed (x) VALUES (1) ON CONFLICT (c) DO NOTHING", "42P10"),
    ("renamed (x) VALUES (1) ON CONFLICT (c) WHERE d IS NULL AND a::text <> 'x' DO NOTHING", ""),
    ("renamed (x) VALUES (1) ON CONFLICT DO NOTHING", ""),
    ("renamed (x) VALUES (1) ON CONFLICT ON CONSTRAINT t_a_key DO NOTHING", "42704"),
    ('"over" ("Y") VALUES (1) ON CONFLICT ("Y") DO NOTHING', ""),
    ('"over" ("Y") VALUES (1) ON CONFLICT ("a b") DO NOTHING', "42P10"),
    ('"over" ("Y") VALUES (1) ON CONFLICT ("a b") WHERE d IS NULL DO NOTHING', ""),
    ("stood_in (a) VALUES (1) ON CONFLICT (a) DO NOTHING", "42P10"),
    ("stood_in (a) VALUES (1) ON CONFLICT DO NOTHING", ""),
    ("ruled (a) VALUES (1) ON CONFLICT (a) DO NOTHING", "0A000"),
    ("unruled (a) VALUES (1) ON CONFLICT (a) DO NOTHING", ""),
    ("updates VALUES (1) ON CONFLICT (a) DO NOTHING", "0A000"),
    ("disabled VALUES (1) ON CONFLICT DO NOTHING", "0A000"),
    ("disabled VALUES (1) ON CONFLICT ON CONSTRAINT no DO NOTHING", "42704"),
    ("disabled VALUES (1) ON CONFLICT DO UPDATE SET a = 1", "42601"),
    ("copied VALUES (1) ON CONFLICT (a) DO NOTHING", "0A000"),
    ("uncopied VALUES (1) ON CONFLICT (a) DO NOTHING", ""),
    ("swallowed VALUES (1) ON CONFLICT (a) DO NOTHING", ""),
    ("a_few VALUES (1) ON CONFLICT (a) DO NOTHING", "42P10"),
    # a name that only the table below has, or an expression of the view: not judged
    ("renamed (x) VALUES (1) ON CONFLICT (b) DO NOTHING", "42703"),
    ("renamed (x) VALUES (1) ON CONFLICT (low) DO NOTHING", "42P10"),
    ("counted (a) VALUES (1) ON CONFLICT (a) DO NOTHING", "55000"),
    ("kept VALUES (1) ON CONFLICT (a) DO NOTHING", "42809"),
]
NOT_JUDGED = 4  # the last of them


def test_views_rules_and_foreign_tables(database: Make) -> None:
    dsn = database(RELATIONS)
    handed = tuple(Statement(f"{n}.sql", 1, f"INSERT INTO {text}") for n, (text, _) in enumerate(BEHIND))
    found = [use for use in uses(replace(catalog_of(dsn), statements=handed)) if use.statement]
    with psycopg.connect(dsn) as connection:
        for use, (text, expected) in zip(found, BEHIND, strict=True):
            assert sqlstate(connection, f"INSERT INTO {text}") == expected, text
            if (text, expected) in BEHIND[-NOT_JUDGED:]:
                assert use.problem, text
                continue
            assert use.table is not None, text
            arbiter = infer(use.table, use.upsert)
            assert (arbiter.sqlstate, arbiter.unsure) == (expected, False), text


def found_in(dsn: str, *statements: Statement, **options: object) -> Audit:
    return audit(dsn, "", statements, select=["uniqueness/on-conflict-without-arbiter"], **options)


def unjudged(result: Audit) -> list[tuple[str, str]]:
    return [(entry.object.name, entry.detail) for entry in result.coverage if entry.outcome == "not_checked"]


def test_rules_are_searched(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (a int, b int UNIQUE); CREATE TABLE log (a int); CREATE VIEW v AS SELECT 1 AS a;"
        "CREATE RULE wrong AS ON INSERT TO log DO ALSO INSERT INTO t VALUES (new.a) ON CONFLICT (a) DO NOTHING;"
        "CREATE RULE right_one AS ON DELETE TO log DO ALSO INSERT INTO t VALUES (old.a) ON CONFLICT (b) DO NOTHING;"
        'CREATE RULE "a ""view" AS ON INSERT TO v DO INSTEAD INSERT INTO t VALUES (new.a) ON CONFLICT (a) DO NOTHING;'
    )
    result = found_in(dsn)
    assert titles(result) == [
        'An upsert of the rule "a ""view" of public.v fails: no unique index of public.t serves ON CONFLICT (a)',
        "An upsert of the rule wrong of public.log fails: no unique index of public.t serves ON CONFLICT (a)",
    ]
    assert {finding.object.name for finding in result.findings} == {
        "the rule wrong of public.log",
        'the rule "a ""view" of public.v',
    }
    assert all("An upsert of the rule" in finding.message for finding in result.findings)


def test_through_a_view(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (a int, b int UNIQUE); INSERT INTO t VALUES (1, 1), (1, 2); CREATE VIEW v AS SELECT a AS x, b AS y FROM t;"
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO v VALUES (1) ON CONFLICT (x) DO NOTHING; END';"
        "CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO v VALUES (1) ON CONFLICT (y) DO NOTHING; END';"
    )
    (finding,) = found_in(dsn).findings
    assert finding.title == (
        "public.f() fails: no unique index of public.t serves ON CONFLICT (a); 2 rows of public.t share 1 value"
    )
    assert "inserts into public.t through the view public.v with" in finding.message


def test_bodies_in_standard_sql(database: Make, version: int) -> None:
    if version < 14:
        pytest.skip("for PostgreSQL 14 and later")
    dsn = database(
        "CREATE TABLE t (a int, b int UNIQUE, c text);"
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1) ON CONFLICT (b) DO NOTHING;"
        " INSERT INTO t VALUES (1) ON CONFLICT (b, (lower(c))) WHERE c = 'x' DO NOTHING; END"
    )
    assert titles(found_in(dsn)) == [
        "public.f() fails: no unique index of public.t serves ON CONFLICT (b, lower(c)) WHERE (c = 'x'::text)"
    ]


def test_another_language_is_named(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (a int); CREATE LANGUAGE odd HANDLER plpgsql_call_handler;"
        "CREATE FUNCTION f() RETURNS void LANGUAGE odd AS 'execute(\"INSERT INTO t ON  Conflict (a) DO NOTHING\")';"
        "CREATE FUNCTION g() RETURNS void LANGUAGE odd AS 'execute(\"INSERT INTO t\")';"
    )
    assert unjudged(found_in(dsn)) == [("f()", "its text says ON CONFLICT, and its language is odd")]


def test_a_table_that_is_guessed_is_a_suspicion(database: Make) -> None:
    dsn = database(
        "CREATE SCHEMA a; CREATE TABLE a.t (x int); CREATE TABLE t (x int); CREATE TABLE alone (x int);"
        "CREATE FUNCTION sure() RETURNS void LANGUAGE sql SET search_path = a AS 'INSERT INTO t VALUES (1) ON CONFLICT (x) DO NOTHING';"
    )
    texts = ("t", "public.t", "alone")
    handed = [Statement(f"{t}.sql", 1, f"INSERT INTO {t} VALUES (1) ON CONFLICT (x) DO NOTHING") for t in texts]
    result = found_in(dsn, *handed)
    assert {f.object.name: (f.severity.value, f.confidence.value) for f in result.findings} == {
        "sure()": ("error", "proven"),
        "t.sql": ("warning", "suspected"),
        "public.t.sql": ("error", "proven"),
        "alone.sql": ("error", "proven"),
    }
    assert sum("Several tables are called t" in f.message for f in result.findings) == 1


# --- texts ---------------------------------------------------------------------------------------------------------------

INSERTS = "INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING"
DYNAMIC, PLACEHOLDER = "it is put together at run time", "it holds a placeholder, or is no plain SQL"
NO_ACTION = "neither DO NOTHING nor DO UPDATE follows"
BODIES = [
    (f"EXECUTE '{INSERTS}'", "t", ("a",), ""),
    ("EXECUTE 'INSERT INTO t VALUES ($1) ' || 'ON CONFLICT (a)' || ' DO NOTHING' USING x", "t", ("a",), ""),
    ("FOR r IN EXECUTE E'INSERT INTO t\\n VALUES (1) ON CONFLICT (a) DO NOTHING RETURNING *' LOOP", "t", ("a",), ""),
    (
        "EXECUTE format('INSERT INTO %I VALUES (%L) ON CONFLICT (%I, b) DO NOTHING', 'T', x, 'c d')",
        "T",
        ('"c d"', "b"),
        "",
    ),
    (
        "EXECUTE format('INSERT INTO t VALUES (%2$L, %1$L, %%) ON CONFLICT (%3$s) DO NOTHING', x, y, 'a')",
        "t",
        ("a",),
        "",
    ),
    ("EXECUTE 'INSERT INTO t VALUES (' || quote_literal(f(x, y)) || ') ON CONFLICT (a) DO NOTHING'", "t", ("a",), ""),
    ("EXECUTE 'INSERT INTO t (' || quote_ident(x) || ') VALUES (1) ON CONFLICT (a) DO NOTHING'", "t", ("a",), ""),
    (
        "EXECUTE format('INSERT INTO %2$s VALUES (1) ON CONFLICT (%s) DO NOTHING', 'x', 't', 'a')",
        "t",
        ("a",),
        "",
    ),
    # of what is known at run time only
    ("EXECUTE 'INSERT INTO ' || quote_ident(x) || ' VALUES (1) ON CONFLICT (a) DO NOTHING'", "", ("a",), DYNAMIC),
    ("EXECUTE format('INSERT INTO t VALUES (1) ON CONFLICT (%I) DO NOTHING', x)", "t", (), DYNAMIC),
    ("EXECUTE format('INSERT INTO t VALUES (%s) ON CONFLICT (a) DO NOTHING', x)", "", (), DYNAMIC),
    ("EXECUTE format('INSERT INTO t VALUES (%-10s) ON CONFLICT (a) DO NOTHING', 'x')", "", (), DYNAMIC),
    ("EXECUTE format('INSERT INTO t VALUES (%s) ON CONFLICT (a) DO NOTHING')", "", (), DYNAMIC),
    ("EXECUTE format(x || 'ON CONFLICT (a) DO NOTHING', 'INSERT INTO t VALUES (1)')", "", (), DYNAMIC),
    ("EXECUTE 'INSERT INTO t VALUES (' || (quote_literal(x) || ') ON CONFLICT (a) DO NOTHING')", "", (), DYNAMIC),
    ("EXECUTE quote_literal(x) + (y) || 'INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING'", "", (), DYNAMIC),
    ("EXECUTE 'INSERT INTO t VALUES (' || x || ') ON CONFLICT (a) DO NOTHING'", "", (), DYNAMIC),
    (f"q := '{INSERTS}'; EXECUTE q", "", (), DYNAMIC),
    # broken off, or of another dialect
    ("INSERT INTO t VALUES (1) ON CONFLICT", "t", (), NO_ACTION),
    ("INSERT INTO t VALUES (1) ON CONFLICT (a", "t", (), NO_ACTION),
    ("INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE b DO", "t", (), NO_ACTION),
    ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO REPLACE", "t", (), NO_ACTION),
    ("INSERT INTO `t` VALUES (1) ON CONFLICT (a) DO NOTHING", "", ("a",), PLACEHOLDER),
    ("INSERT INTO {{ t }} VALUES (1) ON CONFLICT (a) DO NOTHING", "", ("a",), PLACEHOLDER),
    ("INSERT INTO t VALUES (1) ON CONFLICT (${key}) DO NOTHING", "t", (), PLACEHOLDER),
    ("INSERT INTO t VALUES (1) ON CONFLICT (:key) DO NOTHING", "t", (), PLACEHOLDER),
    ("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1", "t", (), "ON DUPLICATE KEY is no SQL of PostgreSQL"),
]


@pytest.mark.parametrize(("text", "table", "targets", "obscure"), BODIES, ids=[text[:70] for text, *_ in BODIES])
def test_what_a_body_says(text: str, table: str, targets: tuple[str, ...], obscure: str) -> None:
    (found,) = read(f"BEGIN\n{text}; END").upserts
    assert (found.table, found.targets, found.obscure, found.line) == (table, targets, obscure, 2)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t SELECT 1 FROM x JOIN conflict ON conflict.a = x.a",
        "INSERT INTO t SELECT 1 FROM x JOIN y ON conflict (a)",
        f"RAISE NOTICE '{INSERTS}'",
        f"-- {INSERTS}",
        "EXECUTE 'INSERT INTO t VALUES (1)'",
        "GRANT EXECUTE ON FUNCTION f TO x",
    ],
)
def test_what_is_no_upsert(text: str) -> None:
    assert read(f"BEGIN {text}; END").upserts == ()


SCRIPTS = [
    (f"DO $$BEGIN {INSERTS}; END$$;", [""]),
    (f"DO LANGUAGE plpgsql $$BEGIN {INSERTS}; END$$;", [""]),
    (f"CREATE FUNCTION f() RETURNS void LANGUAGE 'SQL' AS '{INSERTS}';", [""]),
    (f"CREATE FUNCTION f() RETURNS void AS $x$ {INSERTS} $x$ LANGUAGE sql; SELECT 1", [""]),
    (
        f"CREATE FUNCTION f() RETURNS void LANGUAGE plpython3u AS $$execute('{INSERTS}')$$;",
        ["its language is plpython3u"],
    ),
    (f"DO $$ {INSERTS} $$ LANGUAGE plperl;", ["its language is plperl"]),
    (f"SELECT 1; DO $$BEGIN {INSERTS}; END$$; CREATE FUNCTION g() RETURNS int LANGUAGE plperl AS $$1$$;", [""]),
    (f"DO $$BEGIN {INSERTS}; RAISE 'x$$;", ["", "a quote or comment is never closed"]),
    (f"INSERT INTO notes VALUES ($$ {INSERTS} $$);", []),
    (f"\\set x 1\n\\i other.sql\n\\copy t from 'x'\n{INSERTS} \\g\n{INSERTS};", ["", ""]),
    ("INSERT INTO t VALUES (:'x', :y) ON CONFLICT (a) DO NOTHING;", [""]),
    (f"COPY t FROM STDIN;\n{INSERTS};\n\\.\n{INSERTS};", [""]),
    (f"PREPARE p AS {INSERTS}; EXECUTE p('ON CONFLICT');", [""]),
]


@pytest.mark.parametrize(("text", "expected"), SCRIPTS, ids=[text[:70] for text, _ in SCRIPTS])
def test_what_a_script_says(text: str, expected: list[str]) -> None:
    assert [found.obscure for found in read(text, script=True).upserts] == expected


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TEMP TABLE IF NOT EXISTS t (a int);",
        "CREATE LOCAL TEMPORARY TABLE t AS SELECT 1 AS a;",
        "CREATE TABLE pg_temp.t (a int);",
        "SELECT 1 AS a INTO TEMP t;",
        "SELECT 1 AS a INTO TEMPORARY TABLE t;",
    ],
)
def test_temporary_tables(made: str) -> None:
    assert read(f"{made} INSERT INTO t VALUES (1)").temporary == {"t"}
    assert read("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").temporary == frozenset()


def test_strings_in_strings_come_to_an_end() -> None:
    text = INSERTS
    for number in range(3000):
        text = f"EXECUTE $a{number}${text}$a{number}$;"
        if number == 6:
            assert [found.targets for found in read(text).upserts] == [("a",)]
    assert [found.obscure for found in read(text).upserts] == [DYNAMIC]


# --- files -----------------------------------------------------------------------------------------------------------------


def test_files_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.sql").write_text("SELECT 'ä'", encoding="utf-8")
    (tmp_path / "B.SQL").write_bytes("SELECT 'ä'".encode("latin-1"))
    (tmp_path / "deep" / "c.sql").write_text("SELECT 'ä'", encoding="utf-16")
    (tmp_path / "deep" / "binary.sql").write_bytes(b"SELECT \0 ON CONFLICT")
    (tmp_path / "folder.sql").mkdir()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone.sql").symlink_to(tmp_path / "nothing.sql")
    (tmp_path / "self.sql").symlink_to(tmp_path / "self.sql")
    (tmp_path / "notes.txt").write_text(INSERTS)
    os.mkfifo(tmp_path / "pipe.sql")
    with (tmp_path / "huge.sql").open("wb") as huge:
        huge.truncate(LARGEST + 1)
    found = {Path(one.source).name: one for one in read_files([tmp_path])}
    assert {name: one.text for name, one in found.items() if not one.problem} == {
        name: "SELECT 'ä'" for name in ("a.sql", "B.SQL", "c.sql")
    }
    problems = {name: one.problem for name, one in found.items() if one.problem}
    assert problems.keys() == {"binary.sql", "gone.sql", "self.sql", "huge.sql"}
    assert problems["binary.sql"] == "the file is no text"
    assert problems["huge.sql"] == "the file is larger than 16 MiB"
    assert problems["gone.sql"] == "the file cannot be read: No such file or directory"
    for name in ("gone.sql", "nothing.sql"):
        with pytest.raises(UsageError, match="No such file"):
            read_files([tmp_path / name])


def test_a_file_that_cannot_be_judged_is_named(database: Make, tmp_path: Path) -> None:
    dsn = database("CREATE TABLE t (a int, n text); CREATE UNIQUE INDEX ON t (a) WHERE n = '\u00f6'")
    (tmp_path / "binary.sql").write_bytes(b"\0")
    (tmp_path / "old.sql").write_bytes(f"{INSERTS[:-11]} WHERE n > 'ä' DO NOTHING".encode("latin-1"))
    (tmp_path / "open.sql").write_text(f"{INSERTS}; SELECT 'x")
    result = found_in(dsn, *read_files([tmp_path]))
    assert titles(result) == [
        "An upsert of old.sql fails: no unique index of public.t serves ON CONFLICT (a) WHERE n > 'ä'",
        "An upsert of open.sql fails: no unique index of public.t serves ON CONFLICT (a)",
    ]
    assert unjudged(result) == [
        ("binary.sql", "the file is no text"),
        ("open.sql", "a quote or comment of line 1 is never closed: what follows it was not read"),
    ]


# --- what the server has recorded ----------------------------------------------------------------------------------------

RECORDED = """
CREATE TABLE t (a int, b int, c int UNIQUE);
CREATE UNIQUE INDEX ON t (b) WHERE a = 1;
CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE b = 7 DO NOTHING';
"""


def recorded(text: str, *, nested: bool | None = False) -> Statement:
    return Statement("pg_stat_statements", 1, text, recorded=True, nested=nested)


@pytest.mark.parametrize(
    ("text", "nested", "expected"),
    [
        ("INSERT INTO t VALUES ($1) ON CONFLICT (a, b) DO NOTHING", False, "failed"),
        ("/* app */ WITH x AS (SELECT $1) INSERT INTO t SELECT * FROM x ON CONFLICT (a, b) DO NOTHING", None, "failed"),
        ("INSERT INTO t VALUES ($1) ON CONFLICT (c) DO NOTHING", False, "passed"),
        ("INSERT INTO t VALUES ($1) ON CONFLICT (b) WHERE a = $2 DO NOTHING", False, "not_checked"),
        ("INSERT INTO t VALUES ($1) ON CONFLICT (c) WHERE a = $2 DO NOTHING", False, "passed"),
        ("INSERT INTO t VALUES ($1) ON CONFLICT (a", False, "not_checked"),
        # what the function says, or a file; a client's beside a function's
        ("INSERT INTO t VALUES ($1) ON CONFLICT (a) WHERE b = $2 DO NOTHING", True, None),
        ("INSERT INTO t VALUES ($1) ON CONFLICT (a) WHERE b = $2 DO NOTHING", None, None),
        ("INSERT INTO t VALUES ($1) ON CONFLICT (a) WHERE b = $2 DO NOTHING", False, "failed"),
        ("INSERT INTO t VALUES ($1) ON CONFLICT (b, a) DO NOTHING", False, None),
        ("INSERT INTO t VALUES ($1) ON CONFLICT (b, a) DO UPDATE SET a = $2", True, "failed"),
        # no insert, and a table that is gone
        ("CREATE RULE r AS ON INSERT TO x DO ALSO INSERT INTO t VALUES (1) ON CONFLICT (a, b) DO NOTHING", False, None),
        ("EXPLAIN INSERT INTO t VALUES (1) ON CONFLICT (a, b) DO NOTHING", False, None),
        ("INSERT INTO gone VALUES ($1) ON CONFLICT (a) DO NOTHING", False, None),
        ("no text at all, but ON CONFLICT", False, None),
    ],
)
def test_recorded_statements(text: str, nested: bool | None, expected: str | None, database: Make) -> None:
    file = Statement("app.sql", 1, "INSERT INTO t VALUES (1) ON CONFLICT (b, a) DO NOTHING")
    result = found_in(database(RECORDED), file, recorded(text, nested=nested))
    outcomes = [entry.outcome for entry in result.coverage if entry.object.name == "pg_stat_statements"]
    assert outcomes == ([expected] if expected else [])


def test_what_is_said_of_a_recorded_statement(database: Make) -> None:
    text = "INSERT INTO t SELECT 'a secret' ON CONFLICT (a, b) DO NOTHING"
    result = found_in(database(RECORDED), recorded(text), recorded(f"{text} RETURNING 1"), depth="catalog")
    (finding,) = [finding for finding in result.findings if finding.object.name == "pg_stat_statements"]
    assert finding.title == (
        "An upsert that pg_stat_statements has recorded fails: no unique index of public.t serves ON CONFLICT (a, b)"
    )
    assert finding.message.startswith(
        "An upsert that pg_stat_statements has recorded inserts into public.t with ON CON"
    )
    assert "a secret" not in repr(finding)


@pytest.mark.parametrize("schema", ["public", 'a "%s" schema'])
def test_pg_stat_statements(schema: str, database: Make, version: int) -> None:
    if not MAJOR:
        pytest.skip("the embedded PostgreSQL 18 has no pg_stat_statements")
    name = '"' + schema.replace('"', '""') + '"'
    extension = f"CREATE SCHEMA IF NOT EXISTS {name}; CREATE EXTENSION pg_stat_statements SCHEMA {name};"
    dsn, other = database(extension), database("CREATE TABLE t (a int, b int UNIQUE)")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("INSERT INTO t VALUES (1, 2) ON CONFLICT (b) DO NOTHING")
    body = "BEGIN INSERT INTO t (a, b) VALUES (8, 8) ON CONFLICT (a, b) DO NOTHING; EXECUTE x; END"
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in (
            f"SELECT {name}.pg_stat_statements_reset()",  # it forgets what is over 5,000, as other tests have left
            "CREATE TABLE t (a int UNIQUE, b int, c text)",
            "CREATE UNIQUE INDEX t_b ON t (b) WHERE c = 'x'",
            "CREATE UNIQUE INDEX t_ab ON t (a, b)",
            f"CREATE FUNCTION f(x text) RETURNS void LANGUAGE plpgsql AS $$ {body} $$",
            "INSERT INTO t VALUES (1, 1, 'a secret') ON CONFLICT (a) DO UPDATE SET c = 'a secret'",
            "INSERT INTO t VALUES (2, 2, 'a secret') ON CONFLICT (b) WHERE c = 'x' DO NOTHING",
            "SELECT f('INSERT INTO t VALUES (9) ON CONFLICT (b, a) DO NOTHING')",
            "CREATE TEMP TABLE own (a int UNIQUE)",
            "INSERT INTO own VALUES (1) ON CONFLICT (a) DO NOTHING",
            "ALTER TABLE t DROP CONSTRAINT t_a_key",
            "DROP INDEX t_ab",
        ):
            connection.execute(statement.encode())
    result = found_in(dsn)
    assert titles(result) == [
        "An upsert that pg_stat_statements has recorded fails: no unique index of public.t serves ON CONFLICT (a)",
        "An upsert that pg_stat_statements has recorded fails: no unique index of public.t serves ON CONFLICT (b, a)",
        "public.f() fails: no unique index of public.t serves ON CONFLICT (a, b)",
    ]
    (left,) = unjudged(result)
    assert left[1].startswith("whether an index fits ON CONFLICT (b) WHERE c = $")
    assert "a secret" not in repr(result)
    # whose texts are hidden; who may not read it at all
    told = {}
    usage = f"GRANT USAGE ON SCHEMA {name} TO {{role}}"
    for grants in ((usage,), (usage, "GRANT pg_read_all_stats TO {role}"), ()):
        reader = found_in(login(dsn, *grants))
        told[grants] = (len(reader.findings), [note for note in reader.notes if "pg_stat_statements" in note])
    hidden, read_all, refused = told.values()
    assert hidden[0] == 1
    assert "from this login: pg_read_all_stats shows them" in hidden[1][0]
    assert read_all == (3, [])
    if schema == "public":
        assert (refused[0], "from this login" in refused[1][0]) == (1, True)
    else:
        assert refused[0] == 1
        assert "could not be read (SQLSTATE 42501)" in refused[1][0]


def test_an_extension_of_that_name_whose_function_is_no_c_is_not_called(database: Make) -> None:
    """Only a superuser writes functions in C: one in another language may be anybody's."""
    dsn = database(
        "CREATE FUNCTION pg_stat_statements(boolean) RETURNS TABLE (dbid oid, query text) LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''called''; END';"
        "SET allow_system_table_mods = on;"
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)"
        " VALUES (99999, 'pg_stat_statements', 10, 2200, true, '1.8');"
        "INSERT INTO pg_depend VALUES ('pg_proc'::regclass, 'pg_stat_statements(boolean)'::regprocedure, 0,"
        " 'pg_extension'::regclass, 99999, 0, 'e')"
    )
    catalog = catalog_of(dsn)
    assert catalog.extensions["pg_stat_statements"] == "1.8"
    assert (catalog.statements, catalog.unrecorded) == ((), "")


def test_what_begins_as_an_insert() -> None:
    assert writes(INSERTS)
    assert writes(f"-- a comment\n/* another */ with x AS (SELECT 1) {INSERTS}")
    assert not any(writes(text) for text in ("", "DO $$ insert $$", "(insert)", "EXPLAIN INSERT", '"insert"'))
