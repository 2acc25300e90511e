"""Unique indexes that are invalid or wrong, keys that let duplicates in: what is being built, fixes that go one way, others' code."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from auditor.audit import Audit
from auditor.check import Finding, Severity
from auditor.text import qualified
from tests.conftest import Make
from tests.helpers import audit, login, titles
from tests.test_uniqueness import Case, run, state

CASES = Path(__file__).parent / "checks" / "uniqueness"
INVALID = ["uniqueness/invalid-unique-index"]
VIOLATED = ["uniqueness/unique-violated"]
LOOPHOLE = ["uniqueness/null-loophole"]
CASING = ["uniqueness/case-duplicates"]
NO_KEY = ["uniqueness/no-unique-key"]


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def invalidate(*indexes: str, ready: bool = False) -> str:
    names = ", ".join(f"'{name}'::regclass" for name in indexes)
    return f"UPDATE pg_index SET indisvalid = false, indisready = {ready} WHERE indexrelid IN ({names})"


# --- invalid indexes -------------------------------------------------------------------------------------------------


def enforced(dsn: str, finding: Finding) -> bool:
    name = finding.object.name
    query = (
        "SELECT coalesce(bool_and(i.indisunique AND i.indisvalid AND i.indisready AND i.indislive), false) FROM pg_index AS i"
        " JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE (n.nspname, c.relname) = (%s, %s)"
    )
    with psycopg.connect(dsn) as connection:
        return bool((connection.execute(query.encode(), (finding.object.schema, name)).fetchone() or (False,))[0])


def test_an_invalid_index_is_built_again_or_dropped(database: Make) -> None:
    path = CASES / "invalid_unique_index.sql"
    first = Case(path, database)
    findings = [f for f in first.audit().findings if f.check in INVALID]
    assert len(findings) == 8
    for number, finding in enumerate(findings):
        assert [fix.recommended for fix in finding.fixes] == [True, False]
        assert all(fix.locks for fix in finding.fixes)
        assert not enforced(first.dsn, finding)
        for position, fix in enumerate(finding.fixes):
            case = first if (number, position) == (0, 0) else Case(path, database)
            before = state(case.dsn)
            run(case.dsn, *fix.sql)
            left = {f.fingerprint for f in case.audit().findings if f.check in INVALID}
            assert left == {f.fingerprint for f in findings} - {finding.fingerprint}, fix.title
            assert enforced(case.dsn, finding) is (position == 0), fix.title
            broken = finding.severity is Severity.ERROR and finding.object.table != "events"
            if position == 1 and broken:  # what a statement that fails leaves behind is what there was
                with pytest.raises(psycopg.errors.UniqueViolation):
                    run(case.dsn, *fix.rollback)
                again = {f.fingerprint for f in case.audit().findings if f.check in INVALID}
                assert again == {f.fingerprint for f in findings}
            else:
                run(case.dsn, *fix.rollback)
                assert state(case.dsn)[0] == before[0], fix.title
            if position == 1 and finding.object.table in ("events", "logs", "runs"):
                again = {f.fingerprint for f in case.audit().findings if f.check in INVALID}
                assert again == {f.fingerprint for f in findings}


def test_what_is_said_of_each_state(database: Make) -> None:
    result = Case(CASES / "invalid_unique_index.sql", database).audit()
    said = {f.object.name: f.message for f in result.findings if f.check in INVALID}
    assert "Building it failed early" in said["keys_name"]
    assert "Building it failed late" in said["mails_address"]
    assert "did not come to its end" in said["drops_a"]
    assert "ON ONLY" in said["events_key"]
    severities = {f.object.name: f.severity for f in result.findings if f.check in INVALID}
    assert severities["keys_name"] is Severity.ERROR
    assert severities["mails_address"] is Severity.WARNING
    fixes = {f.object.name: f.fixes[0].sql for f in result.findings if f.check in INVALID}
    assert fixes["mails_address"] == ("REINDEX INDEX CONCURRENTLY app.mails_address;",)
    assert fixes["logs_pkey"][-1] == "ALTER TABLE app.logs ADD CONSTRAINT logs_pkey PRIMARY KEY (site, id);"
    assert fixes["drops_a"][-2] == "DROP INDEX CONCURRENTLY app.drops_a;"


def test_an_invalid_index_of_a_declared_key_is_one_defect(database: Make) -> None:
    for rows in ("(1, 'a')", "(1, 'a'), (2, 'a')"):
        dsn = database(
            "CREATE TABLE mails (id int PRIMARY KEY, address text); CREATE UNIQUE INDEX one ON mails ((lower(address)))",
            invalidate("one"),
            f"INSERT INTO mails VALUES {rows}",
        )
        config = '[[unique]]\ntable = "mails"\ncolumns = ["LOWER(address)"]'
        (finding,) = audit(dsn, config, select=["uniqueness"]).findings
        assert finding.check in INVALID
        (declared,) = audit(dsn, config, select=["uniqueness/live-duplicates"]).findings
        assert "The unique index one is invalid" in declared.message


def test_an_invalid_index_of_fewer_rows_or_other_columns_is_another_defect(database: Make) -> None:
    dsn = database(
        "CREATE TABLE mails (id int PRIMARY KEY, address text, used boolean);"
        "CREATE UNIQUE INDEX one ON mails (address) WHERE used; CREATE UNIQUE INDEX two ON mails (address, used)",
        invalidate("one", "two"),
    )
    result = audit(dsn, '[[unique]]\ntable = "mails"\ncolumns = ["address"]', select=["uniqueness"])
    assert sorted(f.check for f in result.findings) == [*INVALID, *INVALID, "uniqueness/live-duplicates"]


def test_depth_catalog_and_a_login_without_select_know_of_it(database: Make) -> None:
    case = Case(CASES / "invalid_unique_index.sql", database)
    whole = {f.fingerprint for f in case.audit().findings if f.check in INVALID}
    shallow = [f for f in case.audit(depth="catalog").findings if f.check in INVALID]
    assert {f.fingerprint for f in shallow} == whole
    assert {f.severity for f in shallow} == {Severity.WARNING}
    assert not any("stand in its way" in f.title for f in shallow)
    result = audit(login(case.dsn, "GRANT USAGE ON SCHEMA app TO {role}"), select=INVALID)
    assert {f.fingerprint for f in result.findings} == whole
    assert {e.reason for e in result.coverage if e.outcome == "not_checked"} == {"permission"}


@contextmanager
def waiting(dsn: str, held: str, statement: str) -> Iterator[None]:
    """`statement` waits for the transaction of another session that has run `held`."""
    with psycopg.connect(dsn) as holder, psycopg.connect(dsn, autocommit=True) as builder:
        holder.execute(held.encode())
        thread = threading.Thread(target=lambda: builder.execute(statement.encode()))
        thread.start()
        try:
            pid = builder.info.backend_pid
            until = time.monotonic() + 20
            while value(dsn, f"SELECT cardinality(pg_blocking_pids({pid}))") == 0:
                assert time.monotonic() < until
                time.sleep(0.05)
            yield
        finally:
            holder.rollback()
            thread.join()


BUILT = "CREATE TABLE t (id int PRIMARY KEY, a int); CREATE UNIQUE INDEX old ON t (a); INSERT INTO t VALUES (1, 1)"


@pytest.mark.parametrize(
    ("held", "statement"),
    [
        ("INSERT INTO t VALUES (2, 2)", "CREATE UNIQUE INDEX CONCURRENTLY new ON t ((a % 5))"),
        ("INSERT INTO t VALUES (2, 2)", "DROP INDEX CONCURRENTLY old"),
        ("INSERT INTO t VALUES (2, 2)", "REINDEX INDEX CONCURRENTLY old"),
    ],
)
def test_what_is_being_built_or_dropped_is_not_reported(held: str, statement: str, database: Make) -> None:
    dsn = database(BUILT, "CREATE TABLE other (a int, b int); CREATE UNIQUE INDEX broken ON other (a)")
    run(dsn, invalidate("broken"))
    lesser = login(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    with waiting(dsn, held, statement):
        assert value(dsn, "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = 't'::regclass") == 1
        for each in (dsn, lesser):
            assert [f.object.name for f in audit(each, select=INVALID).findings] == ["broken"]


def test_an_index_that_nobody_builds_any_more_is_reported(database: Make) -> None:
    dsn = database(BUILT)
    run(dsn, "DROP INDEX old; INSERT INTO t VALUES (2, 1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(dsn, "CREATE UNIQUE INDEX CONCURRENTLY new ON t (a)")
    assert titles(audit(dsn, select=INVALID)) == [
        "The unique index new of public.t is invalid, and 2 rows share 1 value of a"
    ]


# --- violated indexes ------------------------------------------------------------------------------------------------


def violations(result: Audit) -> dict[str, Finding]:
    return {f.object.name: f for f in result.findings if f.check in VIOLATED}


def test_a_violated_index_is_cleared_and_built_again(database: Make) -> None:
    path = CASES / "unique_violated.sql"
    names = sorted(violations(Case(path, database).audit(depth="full")))
    assert len(names) == 5
    for name in names:
        case = Case(path, database)
        finding = violations(case.audit(depth="full"))[name]
        (fix,) = finding.fixes
        assert fix.recommended
        assert finding.evidence is not None
        table = qualified(finding.object.schema, finding.object.table)
        held = f"SELECT count(*) FROM {table}"
        before = value(case.dsn, held)
        run(case.dsn, *fix.sql)
        (copy,) = re.findall(r"^CREATE TABLE (\S+_duplicates\d*) AS", "\n".join(fix.sql), re.MULTILINE)
        copied = value(case.dsn, f"SELECT count(*) FROM {copy}")
        groups = int(finding.title.split(" share ")[1].split()[0])
        assert copied == (finding.evidence.violations or 0) - groups, name
        assert value(case.dsn, held) == int(str(before)) - int(str(copied)), name
        assert name not in violations(case.audit(depth="full"))
        assert value(case.dsn, "SHOW enable_seqscan") == "on"


def test_the_table_is_read_where_the_index_would_hide_its_rows(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id int, a int NOT NULL, filler text); CREATE UNIQUE INDEX one ON t (a) WHERE a >= 0;"
        "INSERT INTO t SELECT n, n, repeat('x', 300) FROM generate_series(1, 20000) AS n",
        invalidate("one"),
        "INSERT INTO t VALUES (20001, 7, 'x')",
        "UPDATE pg_index SET indisvalid = true, indisready = true WHERE indexrelid = 'one'::regclass",
    )
    run(dsn, "VACUUM ANALYZE t")
    plain = "SELECT count(*) FROM (SELECT a FROM t WHERE a >= 0 GROUP BY a HAVING count(*) > 1) AS q"
    with psycopg.connect(dsn) as connection:
        connection.execute("SET enable_seqscan = off")
        assert connection.execute(plain.encode()).fetchone() == (0,)  # the server, by its index
    (finding,) = violations(audit(dsn, depth="full", select=VIOLATED)).values()
    assert finding.evidence is not None
    assert finding.evidence.violations == 2
    with psycopg.connect(dsn) as connection:
        for setting in ("enable_seqscan", "enable_sort", "enable_hashagg"):
            connection.execute(f"SET {setting} = off".encode())
        found = connection.execute(f"SELECT id FROM t WHERE {finding.evidence.where} ORDER BY id".encode()).fetchall()
    assert found == [(7,), (20001,)]


def test_depth_data_reads_no_index_that_is_called_valid(database: Make) -> None:
    case = Case(CASES / "unique_violated.sql", database)
    assert not violations(case.audit(depth="data"))


def test_a_violated_key_of_fewer_columns_is_one_defect(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int NOT NULL); CREATE UNIQUE INDEX twin ON t (id);"
        "CREATE UNIQUE INDEX wider ON t (id, a); CREATE UNIQUE INDEX nullable ON t (a);"
        "CREATE UNIQUE INDEX both_of ON t (a, b); CREATE UNIQUE INDEX part ON t (b) WHERE b > 5",
        "UPDATE pg_index SET indisready = false WHERE indrelid = 't'::regclass",
        "INSERT INTO t VALUES (1, 1, 1), (1, 1, 1), (2, 2, 6), (3, NULL, 6)",
        "UPDATE pg_index SET indisready = true WHERE indrelid = 't'::regclass",
    )
    assert set(violations(audit(dsn, depth="full"))) == {"t_pkey", "nullable", "both_of", "part"}


def test_collations_and_equality_are_those_of_the_index(database: Make) -> None:
    dsn = database()
    try:
        run(dsn, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("the embedded PostgreSQL 18 has no ICU")
    run(
        dsn,
        "CREATE TABLE names (id int PRIMARY KEY, name text NOT NULL, tag text COLLATE ci);"
        "CREATE UNIQUE INDEX plain ON names (name); CREATE UNIQUE INDEX folded ON names (name COLLATE ci);"
        'CREATE UNIQUE INDEX exact ON names (tag COLLATE "C")',
        "UPDATE pg_index SET indisready = false WHERE indexrelid = 'folded'::regclass",
        "INSERT INTO names VALUES (1, 'a', 'x'), (2, 'A', 'X'), (3, 'b', 'y')",
        "UPDATE pg_index SET indisready = true WHERE indexrelid = 'folded'::regclass",
    )
    assert titles(audit(dsn, depth="full", select=VIOLATED)) == [
        "2 rows of public.names share 1 value of name, which the valid unique index folded forbids"
    ]


def not_checked(result: Audit) -> dict[str, str]:
    return {e.object.name: e.detail for e in result.coverage if e.outcome == "not_checked"}


def test_what_the_rows_cannot_be_asked_is_said(database: Make) -> None:
    dsn = database(
        "CREATE FUNCTION spy(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';"
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text, slug text, r int4range, EXCLUDE USING gist (r WITH &&));"
        "CREATE UNIQUE INDEX called ON t (spy(a), b); CREATE UNIQUE INDEX held ON t (a, b) WHERE spy(a) = 'x';"
        "CREATE UNIQUE INDEX slug ON t (slug) WHERE spy(a) = 'x'",
        "CREATE TYPE pair AS (x int, y int); CREATE TABLE p (id int PRIMARY KEY, pair pair);"
        "CREATE UNIQUE INDEX image ON p (pair record_image_ops); CREATE UNIQUE INDEX plain ON p (pair)",
        "CREATE OR REPLACE FUNCTION spy(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION USING ERRCODE = ''XX123''; END'",
    )
    said = "its keys or its predicate call functions that are not run"
    assert not_checked(audit(dsn, depth="full", select=VIOLATED)) == {
        "called": said,
        "held": said,
        "slug": said,
        "image": "it compares by an operator class with an equality of its own",
    }
    assert not_checked(audit(dsn, select=LOOPHOLE)) == {"called": said, "held": said}
    assert list(not_checked(audit(dsn, select=CASING)).values()) == [
        "the predicate of its index calls functions that are not run"
    ]
    run(dsn, invalidate("called", "held"))
    result = audit(dsn, select=INVALID)
    assert {f.object.name for f in result.findings} == {"called", "held"}
    assert set(not_checked(result)) == {"called", "held"}


def test_keys_without_overlaps_are_left_out(database: Make, version: int) -> None:
    if version < 18:
        pytest.skip("WITHOUT OVERLAPS is of 18")
    dsn = database(
        "CREATE TABLE t (id int4range, span daterange, note int4range, PRIMARY KEY (id, span WITHOUT OVERLAPS),"
        " UNIQUE (note, span WITHOUT OVERLAPS))"
    )
    assert set(not_checked(audit(dsn, depth="full", select=["uniqueness"])).values()) == {
        "it is an exclusion constraint: whether values overlap is not counted"
    }
    assert audit(dsn, depth="full", select=["uniqueness"]).findings == ()
    run(dsn, invalidate("t_note_span_key"))
    assert audit(dsn, select=["uniqueness"]).findings == ()


# --- NULL, capitals, no key ------------------------------------------------------------------------------------------


def test_an_index_without_nulls_being_equal_is_not_enough_and_invalid_ones_are_none(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int, c int);"
        "CREATE UNIQUE INDEX one ON t (a, b); CREATE UNIQUE INDEX two ON t (a, c);"
        "CREATE UNIQUE INDEX one_filled ON t (a, coalesce(b, 0)); CREATE UNIQUE INDEX mail ON t (lower(c::text))",
        "CREATE TABLE u (id int PRIMARY KEY, slug text UNIQUE); CREATE UNIQUE INDEX folded ON u (lower(slug))",
        "CREATE TABLE k (id int NOT NULL, x int NOT NULL); CREATE UNIQUE INDEX key ON k (id)",
        invalidate("two", "one_filled", "folded", "key"),
        "INSERT INTO t VALUES (1, 1, NULL, NULL), (2, 1, NULL, NULL)",
        "INSERT INTO u VALUES (1, 'a'), (2, 'A')",
    )
    assert [f.object.name for f in audit(dsn, select=LOOPHOLE).findings] == ["one"]
    assert len(audit(dsn, select=CASING).findings) == 1
    (keyless,) = audit(dsn, select=NO_KEY).findings
    assert keyless.object.table == "k"
    assert any(
        caveat.startswith("Writing the table anew builds the invalid key too") for caveat in keyless.fixes[0].caveats
    )


def test_the_order_and_severity_of_what_is_done_about_null(database: Make, version: int) -> None:
    dsn = database(
        "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int, CONSTRAINT one UNIQUE (a, b) INCLUDE (id));"
        "INSERT INTO t VALUES (1, 1, NULL), (2, 1, NULL)"
    )
    (finding,) = audit(dsn, select=LOOPHOLE).findings
    assert (finding.severity, finding.confidence) == ("warning", "suspected")
    config = '[[unique]]\ntable = "t"\ncolumns = ["b", "a"]'
    (declared,) = audit(dsn, config, select=["uniqueness"]).findings
    assert (declared.severity, declared.confidence, declared.check) == ("error", "proven", LOOPHOLE[0])
    coalesced = "CREATE UNIQUE INDEX CONCURRENTLY one_filled ON public.t (a, COALESCE(b, 0), (b IS NULL));"
    assert finding.fixes[-1].sql[-1] == coalesced
    if version >= 15:
        assert finding.fixes[0].sql[-3:] == (
            "CREATE UNIQUE INDEX CONCURRENTLY one_nulls ON public.t (a, b) INCLUDE (id) NULLS NOT DISTINCT;",
            "ALTER TABLE public.t DROP CONSTRAINT one;",
            "ALTER TABLE public.t ADD CONSTRAINT one_nulls UNIQUE USING INDEX one_nulls;",
        )
    else:
        assert len(finding.fixes) == 1


@pytest.mark.parametrize(
    ("type_", "constant"),
    [
        ("numeric", "0"),
        ("boolean", "false"),
        ("varchar(3)", "''"),
        ("uuid", "'00000000-0000-0000-0000-000000000000'"),
        ("date", "'epoch'"),
        ("timestamptz", "'epoch'"),
        ("timestamp", "'epoch'"),
        ("time", None),
        ("jsonb", None),
    ],
)
def test_null_has_a_value_of_its_type(type_: str, constant: str | None, database: Make) -> None:
    dsn = database(
        f"CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b {type_}, UNIQUE (a, b));"
        "INSERT INTO t VALUES (1, 1, NULL), (2, 1, NULL)"
    )
    (finding,) = audit(dsn, select=LOOPHOLE).findings
    *cleared, build = finding.fixes[-1].sql
    if constant is None:
        assert (
            f"/* REPLACE with a constant of the type {'time without time zone' if type_ == 'time' else type_} */"
            in build
        )
        return
    assert f"COALESCE(b, {constant}), (b IS NULL)" in build
    run(dsn, *cleared, build, f"INSERT INTO t VALUES (3, 1, {constant})")  # the constant is not taken for NULL
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(dsn, "INSERT INTO t VALUES (4, 1, NULL)")
    assert titles(audit(dsn, select=LOOPHOLE)) == []


def test_keys_that_have_no_such_hole_are_not_asked_about(database: Make, version: int) -> None:
    distinct = "UNIQUE NULLS NOT DISTINCT (a, c)," if version >= 15 else ""
    dsn = database(
        f"CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, b int, c int, {distinct} UNIQUE (a, b));"
        "CREATE UNIQUE INDEX filled ON t (a, b, c) WHERE a IS NOT NULL AND b IS NOT NULL AND c IS NOT NULL"
    )
    assert [e.object.name for e in audit(dsn, select=LOOPHOLE).coverage] == ["t_a_b_key"]


def test_how_many_rows_tell_that_null_means_none(database: Make) -> None:
    table = "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int, UNIQUE (a, b));"
    few = f"{table} INSERT INTO t SELECT n, n / 2, NULL FROM generate_series(1, 19) AS n"
    many = f"{table} INSERT INTO t SELECT n, n / 2, NULL FROM generate_series(1, 20) AS n"
    half = f"{table} INSERT INTO t SELECT n, CASE WHEN n <= 10 THEN n / 10 ELSE n END, NULL FROM generate_series(1, 18) AS n"
    half += "; INSERT INTO t VALUES (19, 0, NULL), (20, 50, NULL)"
    assert [len(audit(database(script), select=LOOPHOLE).findings) for script in (few, many, half)] == [1, 0, 1]


def test_types_that_do_not_tell_case_apart(database: Make) -> None:
    dsn = database()
    try:
        run(dsn, "CREATE EXTENSION citext")
        run(dsn, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("the embedded PostgreSQL 18 has neither citext nor ICU")
    run(
        dsn,
        "CREATE TABLE a (id int PRIMARY KEY, email citext UNIQUE); INSERT INTO a VALUES (1, 'a'), (2, ' A');"
        "CREATE TABLE b (id int PRIMARY KEY, email text COLLATE ci UNIQUE); INSERT INTO b VALUES (1, 'a'), (2, ' A');"
        "CREATE DOMAIN mail AS text;"
        "CREATE TABLE c (id int PRIMARY KEY, email mail UNIQUE); INSERT INTO c VALUES (1, 'a'), (2, 'A')",
    )
    assert titles(audit(dsn, select=CASING)) == [
        "2 rows of public.c share 1 value of email but for capitals and blanks around it"
    ]


def test_folding_is_the_columns_own(database: Make) -> None:
    """Under "C" only ASCII letters have a small one."""
    dsn = database(
        'CREATE TABLE a (id int PRIMARY KEY, slug text COLLATE "C" UNIQUE, name text);'
        "INSERT INTO a VALUES (1, 'É'), (2, 'é'), (3, 'E'), (4, 'e')"
    )
    (finding,) = audit(dsn, select=CASING).findings
    assert finding.evidence is not None
    assert finding.evidence.violations == 2
    assert (finding.severity, finding.confidence) == ("warning", "suspected")
    run(dsn, *finding.fixes[0].sql)
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(dsn, "INSERT INTO a VALUES (9, 'e ')")


def test_a_partitioned_table_gets_a_key(database: Make) -> None:
    dsn = database(
        "CREATE TABLE p (a int, id int) PARTITION BY LIST (a); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);"
        "INSERT INTO p VALUES (1, 1), (1, 1)"
    )
    (finding,) = audit(dsn, select=NO_KEY).findings
    (fix,) = finding.fixes
    filled = [sql.replace("/* REPLACE with the columns of its partition key */", "a") for sql in fix.sql]
    assert filled == [
        "ALTER TABLE public.p ADD COLUMN row_id bigserial, ADD CONSTRAINT p_pkey PRIMARY KEY (row_id, a);"
    ]
    run(dsn, *filled)
    assert titles(audit(dsn, select=NO_KEY)) == []
    assert value(dsn, "SELECT count(DISTINCT row_id) FROM p") == 2
    run(dsn, *fix.rollback)
    assert titles(audit(dsn, select=NO_KEY)) == [finding.title]


def test_what_inherits_and_what_is_unlogged_is_left_out(database: Make) -> None:
    dsn = database(
        "CREATE TABLE base (id int PRIMARY KEY); CREATE TABLE child () INHERITS (base); CREATE UNLOGGED TABLE scratch (id int);"
        "CREATE TABLE bare (id int)"
    )
    result = audit(dsn, select=NO_KEY)
    assert [f.object.table for f in result.findings] == ["bare"]
    assert sorted(e.object.table for e in result.coverage) == ["bare", "base"]


def test_a_parent_of_others_gets_a_key_with_a_default(database: Make) -> None:
    dsn = database("CREATE TABLE base (a int); CREATE TABLE child () INHERITS (base); INSERT INTO child VALUES (1)")
    (finding,) = audit(dsn, select=NO_KEY).findings
    (fix,) = finding.fixes
    run(dsn, *fix.sql, "INSERT INTO child VALUES (2)")
    assert value(dsn, "SELECT count(DISTINCT id) FROM base") == 2


def test_the_index_that_lacks_least_is_made_the_key(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (a int, b int, c int NOT NULL, UNIQUE (a, b)); CREATE UNIQUE INDEX near ON t (b, c);"
        "CREATE UNIQUE INDEX part ON t (c) WHERE a > 0"
    )
    (finding,) = audit(dsn, select=NO_KEY).findings
    assert [fix.title for fix in finding.fixes] == [
        "Make b NOT NULL: (b, c) is a key then",
        "Add the column id as the primary key",
    ]
    assert "The unique index near over (b, c) is none: of rows with NULL in b it admits any number." in finding.message
