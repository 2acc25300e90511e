"""The checks of foundations: what they say comes true, their fixes work and can be taken back, few privileges, locks, damage."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from auditor.audit import Audit, open_catalog
from auditor.bodies import fields, malformed, writes
from auditor.check import Confidence, Finding, Severity
from auditor.connection import Session, Target
from auditor.ddl import regclass
from auditor.probe import Ahead
from auditor.probe.textbook import Samples, ask
from auditor.report import FORMATS, Options, render
from tests.conftest import Make, embedded
from tests.helpers import audit, login, titles
from tests.test_references import Case, about

CASES = Path(__file__).parent / "checks" / "foundations"
FILES = [path for path in sorted(CASES.glob("*.sql")) if path.stem not in ("trigger_disabled", "checksum_failures")]
BEHIND = ["foundations/sequence-behind"]
EXHAUSTION = ["foundations/sequence-exhaustion"]
COLLATION = ["foundations/collation-changed"]
UNLOGGED = ["foundations/unlogged-table"]
BROKEN = ["foundations/function-broken"]


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def ask_one(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def state(dsn: str) -> list[tuple[object, ...]]:
    """Every sequence, column, trigger and relation of the database, as far as a fix may change it."""
    queries = (
        "SELECT s.*, p.last_value, c.relpersistence FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = seqrelid"
        " JOIN pg_namespace AS n ON n.oid = relnamespace JOIN pg_sequences AS p ON (schemaname, sequencename) = (nspname, relname)"
        " ORDER BY seqrelid",
        "SELECT attrelid, attname, atttypid FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p')"
        " WHERE attrelid >= 16384 AND attnum > 0 ORDER BY 1, attnum",
        "SELECT oid, relpersistence FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'S') ORDER BY 1",
        "SELECT tgrelid, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
    )
    with psycopg.connect(dsn) as connection:
        return [row for query in queries for row in connection.execute(query.encode()).fetchall()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_fix_ends_its_finding_and_its_rollback_brings_it_back(path: Path, database: Make, version: int) -> None:
    since = int(path.stem.partition(".")[2] or 0)
    if version < since:
        pytest.skip(f"for PostgreSQL {since} and later")
    case = Case(path)
    dsn = database(case.text)
    found = case.audit(dsn).findings
    whole = state(dsn)
    final = []
    for finding in found:
        assert [fix.recommended for fix in finding.fixes] == [True] + [False] * (len(finding.fixes) - 1)
        for fix in finding.fixes:
            assert all(statement.endswith(";") and "\n" not in statement for statement in (*fix.sql, *fix.rollback))
            assert bool(fix.locks) == bool(fix.sql)
            assert fix.sql or fix.caveats
            if not fix.rollback:
                final += [(finding, fix)] if fix.sql else []
                continue
            run(dsn, *fix.sql)
            assert about(case.audit(dsn), finding) == [], (finding.title, fix.title)
            run(dsn, *fix.rollback)
            assert state(dsn) == whole, (finding.title, fix.title)
    assert titles(case.audit(dsn)) == sorted(finding.title for finding in found)
    for finding, fix in final:  # nothing takes these back, and they say so
        assert any("taken back" in caveat or "takes it back" in caveat for caveat in fix.caveats)
        run(dsn, *fix.sql)
        assert about(case.audit(dsn), finding) == []


# --- sequences -------------------------------------------------------------------------------------------------------


def test_an_insert_fails_as_is_said_and_succeeds_after_the_fix(database: Make) -> None:
    case = Case(CASES / "sequence_behind.sql")
    dsn = database(case.text)
    found = case.audit(dsn).findings
    errors = {finding.object.table: finding for finding in found if finding.severity is Severity.ERROR}
    others = {finding.object.table for finding in found if finding.severity is Severity.WARNING}
    assert others == {"log", "partly", "tenant_rows", "drawn", "system_rows"}
    for table, finding in errors.items():
        with psycopg.connect(dsn, autocommit=True) as connection:
            after = re.search(r"taken comes (at once|after ([\d,]+) more)", finding.message)
            assert after is not None, finding.message
            for _ in range(int((after[2] or "0").replace(",", ""))):
                connection.execute(f"INSERT INTO app.{table} DEFAULT VALUES".encode())
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute(f"INSERT INTO app.{table} DEFAULT VALUES".encode())
            for statement in finding.fixes[0].sql:
                connection.execute(statement.encode())
            for _ in range(2):
                if table != "events":  # the last of its partitions ends at 20
                    connection.execute(f"INSERT INTO app.{table} DEFAULT VALUES".encode())
    assert errors["users"].fixes[0].sql == (
        "SELECT pg_catalog.setval('app.users_id_seq', GREATEST((SELECT pg_catalog.max(id) FROM app.users),"
        " (SELECT last_value FROM app.users_id_seq)));",
    )
    assert set(errors) & {"within", "users", "always", "set_to", "debits", "shards", "dogs", "keyed", "derived"} == set(
        errors
    ) - {
        "orders",
        "events",
    }


def test_numbers_of_another_kind_are_no_error_and_setval_would_use_the_sequence_up(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id bigserial PRIMARY KEY); INSERT INTO t VALUES (1000001)",
        "CREATE TABLE u (id bigserial PRIMARY KEY); INSERT INTO u VALUES (1000002)",
        "CREATE TABLE v (id bigserial PRIMARY KEY); INSERT INTO v VALUES (1000002)",
        "ALTER SEQUENCE v_id_seq MAXVALUE 1000002",
    )
    found = {finding.object.table: finding for finding in audit(dsn, select=BEHIND).findings}
    assert [found[name].severity for name in "tuv"] == [Severity.ERROR, Severity.WARNING, Severity.WARNING]
    assert "first that is taken comes after 1,000,000 more values" in found["t"].message
    assert [len(found[name].fixes) for name in "tuv"] == [1, 2, 1]
    assert [found[name].fixes[0].sql != () for name in "tuv"] == [True, False, False]


def test_rows_drawn_while_the_audit_runs_are_never_ahead(database: Make) -> None:
    dsn = database("CREATE TABLE t (id serial PRIMARY KEY)")
    drawn = "INSERT INTO t SELECT FROM generate_series(1, 10)"
    with Session(Target(dsn)) as session:
        catalog = open_catalog(session)
        (table,) = catalog.tables.values()
        (sequence,) = catalog.sequences.values()
        question = Ahead(table, "id", sequence)
        run(dsn, drawn)  # the catalog says that the sequence is unused
        with session.transaction() as fetch:
            assert ask(question, fetch, Samples()).count == 0
        with session.transaction() as fetch:
            fetch("SELECT 1")
            run(dsn, drawn)  # after the snapshot: the rows are not seen, the sequence is
            answer = ask(question, fetch, Samples())
            assert (answer.count, dict(answer.values)["last"]) == (0, 20)

        # between reading the sequence and the rows
        with session.transaction() as fetch:

            def meanwhile(text: str) -> list[tuple[str | None, ...]]:
                rows = fetch(text)
                if "last_value" in text:
                    run(dsn, drawn)
                return rows

            assert ask(question, meanwhile, Samples()).count == 0


def test_an_index_makes_the_question_cheap(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id serial PRIMARY KEY, other serial)",
        "INSERT INTO t SELECT FROM generate_series(1, 20000)",
        "INSERT INTO t (id, other) VALUES (30000, 30000)",
        "ANALYZE",
    )
    found = {f.object.columns[0]: f.evidence for f in audit(dsn, select=BEHIND).findings}
    assert found["id"] is not None
    assert found["other"] is not None
    assert (found["id"].strategy, found["other"].strategy) == ("index range", "textbook")
    assert found["id"].estimated_seconds is not None
    assert found["other"].estimated_seconds is not None
    assert found["id"].estimated_seconds < found["other"].estimated_seconds / 10
    plan = ask_one(dsn, f"EXPLAIN (FORMAT TEXT) SELECT FROM ONLY public.t WHERE {found['id'].where}")
    assert "Index" in str(plan)


def test_a_login_that_may_not_read_a_sequence_says_so(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t VALUES (1)",
        "CREATE TABLE u (id smallserial PRIMARY KEY); SELECT setval('u_id_seq', 32767)",
        "CREATE SCHEMA hidden; CREATE SEQUENCE hidden.s; CREATE TABLE v (id int DEFAULT nextval('hidden.s'))",
    )
    read = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    few = login(dsn, read, "GRANT USAGE ON SEQUENCE u_id_seq TO {role}", "GRANT ALL ON SEQUENCE hidden.s TO {role}")

    def reasons(result: Audit) -> dict[str, str | None]:
        return {entry.object.name: entry.reason for entry in result.coverage}

    result = audit(few, select=BEHIND)
    assert reasons(result) == dict.fromkeys(("t_id_seq", "u_id_seq", "s"), "permission")
    assert "no SELECT on the sequence public.t_id_seq" in {entry.detail for entry in result.coverage}
    assert result.findings == ()
    result = audit(few, select=EXHAUSTION)
    assert reasons(result) == {"t_id_seq": "permission", "u_id_seq": None, "s": "permission"}
    assert [finding.object.name for finding in result.findings] == ["u_id_seq"]
    run(dsn, f"GRANT SELECT ON SEQUENCE t_id_seq, u_id_seq TO {psycopg.conninfo.conninfo_to_dict(few)['user']}")
    assert reasons(audit(few, select=BEHIND)) == {"t_id_seq": None, "u_id_seq": None, "s": "permission"}


def test_a_sequence_that_is_locked_is_not_called_unused(database: Make) -> None:
    dsn = database("CREATE TABLE t (id smallserial PRIMARY KEY)")
    with psycopg.connect(dsn) as other:
        other.execute("ALTER SEQUENCE t_id_seq INCREMENT 2")
        result = audit(dsn, select=EXHAUSTION, lock_timeout=0.2)
    assert [(entry.object.name, entry.reason) for entry in result.coverage] == [("t_id_seq", "lock")]


@pytest.mark.parametrize(
    ("last", "severity"), [(800, None), (801, Severity.WARNING), (950, Severity.WARNING), (951, Severity.ERROR)]
)
def test_a_fifth_and_a_twentieth(database: Make, last: int, severity: Severity | None) -> None:
    dsn = database(
        f"CREATE SEQUENCE s MAXVALUE 1000; SELECT setval('s', {last})",
        f"CREATE SEQUENCE t INCREMENT -1 MINVALUE -1000; SELECT setval('t', {-last})",
    )
    found = audit(dsn, select=EXHAUSTION).findings
    assert [finding.severity for finding in found] == ([severity] * 2 if severity else [])


def test_what_comes_after_the_last_value_is_what_is_said(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id smallserial); SELECT setval('t_id_seq', 32767)",
        "CREATE SEQUENCE s; CREATE TABLE u (id smallint DEFAULT nextval('s')); SELECT setval('s', 32767)",
    )
    for finding in audit(dsn, select=EXHAUSTION).findings:
        with pytest.raises(psycopg.Error) as failed:
            run(dsn, f"INSERT INTO {finding.object.table} DEFAULT VALUES")
        assert f"From now on {'nextval' if finding.object.table == 't' else 'an INSERT'} fails" in finding.message
        assert f"SQLSTATE {failed.value.sqlstate}" in finding.message
        run(dsn, *finding.fixes[0].sql, f"INSERT INTO {finding.object.table} DEFAULT VALUES")


def test_what_references_the_column_is_widened_with_it(database: Make) -> None:
    case = Case(CASES / "sequence_exhaustion.sql")
    found = {finding.object.table: finding for finding in case.audit(database(case.text)).findings}
    assert {(o.table, o.columns) for o in found["users"].related} == {
        ("profiles", ("user_id",)),
        ("pictures", ("owner",)),
        ("composite", ("user_id",)),
    }
    assert found["narrow"].fixes[0].sql == ("ALTER TABLE app.narrow ALTER COLUMN id TYPE bigint;",)
    assert found["users"].fixes[0].sql == (
        "ALTER TABLE app.users ALTER COLUMN id TYPE bigint;",
        "ALTER TABLE app.composite ALTER COLUMN user_id TYPE bigint;",
        "ALTER TABLE app.profiles ALTER COLUMN user_id TYPE bigint;",
        "ALTER TABLE app.pictures ALTER COLUMN owner TYPE bigint;",
        "ALTER SEQUENCE app.users_id_seq AS bigint MINVALUE 1 MAXVALUE 9223372036854775807;",
    )
    assert "app.profiles.user_id (integer)" in found["users"].message


def test_of_inherited_columns_and_domains_the_fix_says_what_can_be_done(database: Make) -> None:
    dsn = database(
        "CREATE TABLE base (id smallserial PRIMARY KEY); CREATE TABLE derived () INHERITS (base)",
        "SELECT setval('base_id_seq', 32767)",
        "CREATE DOMAIN key AS smallint; CREATE SEQUENCE s; CREATE TABLE t (id key DEFAULT nextval('s'))",
        "SELECT setval('s', 32767)",
    )
    found = {finding.object.name: finding for finding in audit(dsn, select=EXHAUSTION).findings}
    run(dsn, *found["base_id_seq"].fixes[0].sql)
    assert [f.object.name for f in audit(dsn, select=EXHAUSTION).findings] == ["s"]
    assert (found["s"].fixes[0].sql, "public.t.id (public.key)" in found["s"].fixes[0].caveats[0]) == ((), True)


@pytest.mark.parametrize("name", ['a"b', "it's", "back\\slash", "line\nbreak", "\u202edib", "%s", "Plain", "select"])
def test_a_sequence_is_named_as_a_literal(database: Make, name: str) -> None:
    dsn = database()
    quoted = '"' + name.replace('"', '""') + '"'
    run(dsn, f"CREATE SCHEMA {quoted}", f"CREATE SEQUENCE {quoted}.{quoted}")
    said = regclass(name, name)
    assert said.isprintable()
    assert ask_one(dsn, f"SELECT pg_catalog.setval({said}, 7)") == 7


# --- collations ------------------------------------------------------------------------------------------------------


def test_the_databases_own_collation(database: Make, version: int) -> None:
    if version < 15:
        pytest.skip("no version is recorded before 15")
    own = (
        {"LOCALE_PROVIDER": "builtin", "BUILTIN_LOCALE": "C.UTF-8"}
        if version >= 17
        else {"LOCALE_PROVIDER": "icu", "ICU_LOCALE": "und"}
    )
    dsn = database(
        "CREATE TABLE t (id int PRIMARY KEY, name text)",
        TEMPLATE="template0",
        ENCODING="UTF8",
        COLLATION_VERSION="0",
        **own,
    )
    assert titles(audit(dsn, select=COLLATION)) == []
    run(dsn, "CREATE INDEX by_name ON t (name)")
    (finding,) = audit(dsn, select=COLLATION).findings
    assert (finding.severity, "the database's own collation" in finding.title) == (Severity.WARNING, True)
    run(dsn, "ALTER TABLE t ADD UNIQUE (name)")
    (finding,) = audit(dsn, select=COLLATION).findings
    assert (finding.severity, [o.name for o in finding.related]) == (Severity.ERROR, ["by_name", "t_name_key"])
    assert "1 unique index among them is then no guard" in finding.message
    assert "recorded version 0" in finding.message
    assert "REFRESH COLLATION VERSION" in finding.fixes[0].sql[-1]
    run(dsn, *finding.fixes[0].sql)
    assert titles(audit(dsn, select=COLLATION)) == []


def test_the_indexes_of_a_collation(database: Make) -> None:
    case = Case(CASES / "collation_changed.sql")
    found = {finding.object.name: finding for finding in case.audit(database(case.text)).findings}
    assert {o.name for o in found["old"].related} == {
        "users_email_key",
        "by_name",
        "by_lower",
        "events_1_name_idx",
        "ranges_name_excl",
    }
    assert (found["old"].severity, found["plain"].severity) == (Severity.ERROR, Severity.WARNING)
    assert "REINDEX INDEX app.ranges_name_excl;" in found["old"].fixes[0].sql
    assert "REINDEX INDEX CONCURRENTLY app.by_lower;" in found["old"].fixes[0].sql
    assert found["plain"].fixes[0].sql == (
        "REINDEX INDEX CONCURRENTLY app.by_plain;",
        "ALTER COLLATION app.plain REFRESH VERSION;",
    )


# --- checksums -------------------------------------------------------------------------------------------------------


@pytest.mark.embedded
def test_a_damaged_page_is_told_of() -> None:
    select = ["foundations/checksum-failures"]
    with embedded() as dsn:
        run(dsn, "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 10000)", "CHECKPOINT")
        # No page of a copy made file by file was read yet: what is on disk is what will be read.
        run(dsn, "CREATE DATABASE damaged TEMPLATE postgres STRATEGY file_copy")
        copy = psycopg.conninfo.make_conninfo(dsn, dbname="damaged")
        assert titles(audit(copy, select=select)) == []
        folder = ask_one(dsn, "SHOW data_directory")
        file = Path(str(folder)) / str(ask_one(copy, "SELECT pg_relation_filepath('t')"))
        with file.open("r+b") as page:
            page.seek(8192 + 4000)
            page.write(b"\xff" * 64)
        for _ in range(2):
            with pytest.raises(psycopg.errors.DataCorrupted):
                run(copy, "SELECT count(*) FROM t")
        result = audit(copy, select=select)
        (finding,) = result.findings
        assert (finding.severity, finding.title) == (
            Severity.ERROR,
            "2 times a page of the database damaged failed its checksum",
        )
        assert "the last time at 20" in finding.message
        assert [entry.outcome for entry in result.coverage] == ["failed", "passed"]
        for name in FORMATS:  # a finding about a database has neither schema nor table
            said = render(result, name, Options(verbose=True))
            assert name == "prometheus" or "damaged" in said, name
        assert audit(dsn, select=select).findings == ()
        run(copy, *finding.fixes[1].sql)
        assert audit(copy, select=select).findings == ()


def test_a_cluster_without_checksums_has_nothing_to_tell(database: Make) -> None:
    dsn = database()
    result = audit(dsn, select=["foundations/checksum-failures"])
    on = ask_one(dsn, "SHOW data_checksums") == "on"
    assert [entry.outcome for entry in result.coverage] == (["passed", "passed"] if on else [])
    few = login(dsn)
    run(dsn, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    result = audit(few, select=["foundations/checksum-failures"])
    assert [(entry.outcome, entry.reason) for entry in result.coverage] == [("not_checked", "permission")]


# --- unlogged --------------------------------------------------------------------------------------------------------


def test_who_needs_the_rows_decides_how_bad_it_is(database: Make) -> None:
    case = Case(CASES / "unlogged_table.sql")
    dsn = database(case.text)
    result = case.audit(dsn)
    by_table = {finding.object.table: finding for finding in result.findings}
    errors = {name for name, finding in by_table.items() if finding.severity is Severity.ERROR}
    assert errors == {"sessions", "cached", "vault", "parts_1"}
    suspected = {name for name, finding in by_table.items() if finding.confidence is Confidence.SUSPECTED}
    assert suspected == {"accounts"}
    assert {o.table for o in by_table["seats"].related} == {"users"}
    assert by_table["seats"].fixes[0].sql == (
        "ALTER TABLE app.rooms SET LOGGED;",
        "ALTER TABLE app.seats SET LOGGED;",
    )
    passed = {entry.object.table for entry in result.coverage if entry.outcome == "passed"}
    assert passed == {"staging", "staging_lines", "tree", "rooms", "scratch", "bank_branches"}


def test_a_partitioned_table_that_is_called_unlogged(database: Make, version: int) -> None:
    if version >= 18:
        pytest.skip("refused from 18 on")
    dsn = database("""
        CREATE TABLE users (id int PRIMARY KEY);
        CREATE UNLOGGED TABLE whole (id int REFERENCES users) PARTITION BY RANGE (id);
        CREATE UNLOGGED TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10);
        CREATE TABLE logged PARTITION OF whole FOR VALUES FROM (10) TO (20);
    """)
    said = "A crash empties the unlogged public.part, whose rows belong to those of public.users"
    assert titles(audit(dsn, select=UNLOGGED)) == [said]


def test_the_server_refuses_what_the_catalog_cannot_say(database: Make) -> None:
    dsn = database("CREATE UNLOGGED TABLE u (id int PRIMARY KEY); CREATE TABLE l (u int)")
    with pytest.raises(psycopg.errors.InvalidTableDefinition):
        run(dsn, "ALTER TABLE l ADD FOREIGN KEY (u) REFERENCES u")


@pytest.mark.embedded
def test_a_crash_does_what_is_said() -> None:
    with embedded() as dsn:
        run(
            dsn,
            "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)",
            "CREATE UNLOGGED TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)",
            "CREATE TABLE uses (part int REFERENCES parts)",
            "INSERT INTO parts VALUES (1); INSERT INTO uses VALUES (1)",
            "CREATE TABLE orders (id serial PRIMARY KEY); ALTER SEQUENCE orders_id_seq SET UNLOGGED",
            "INSERT INTO orders DEFAULT VALUES; INSERT INTO orders DEFAULT VALUES",
        )
        assert len(audit(dsn, select=UNLOGGED).findings) == 2
        with psycopg.connect(dsn) as connection:  # the server takes the death of one of its processes for a crash
            os.kill(connection.info.backend_pid, signal.SIGKILL)
        for _ in range(300):
            with suppress(psycopg.OperationalError):
                if ask_one(dsn, "SELECT count(*) FROM parts_1") == 0:
                    break
            time.sleep(0.2)
        assert ask_one(dsn, "SELECT count(*) FROM uses WHERE part NOT IN (SELECT id FROM parts)") == 1
        with pytest.raises(psycopg.errors.UniqueViolation):
            run(dsn, "INSERT INTO orders DEFAULT VALUES")
        assert {finding.object.table for finding in audit(dsn, select=BEHIND).findings} == {"orders"}


# --- functions -------------------------------------------------------------------------------------------------------

# What fires the trigger, or calls the function, of each finding.
FIRED = {
    "total": "INSERT INTO app.orders VALUES (1, 1)",
    "pair": "DELETE FROM app.orders",
    "log": "INSERT INTO app.orders VALUES (1, 1)",
    "log_all": "INSERT INTO app.orders VALUES (1, 1)",
    "log_column": "UPDATE app.orders SET id = 2",
    "touch": "UPDATE app.tags SET id = 2",
    "sql": "INSERT INTO app.tags VALUES (1)",
}


def test_each_function_fails_as_is_said(database: Make) -> None:
    case = Case(CASES / "function_broken.sql")
    dsn = database(case.text)
    found = {finding.object.name.partition("(")[0]: finding for finding in case.audit(dsn).findings}
    assert {name for name, f in found.items() if f.severity is Severity.WARNING} == {
        *("dead", "unclosed", "empty", "parens", "closed", "endless", "end_if"),
    }
    assert "created_at" not in found["log"].message
    with psycopg.connect(dsn) as connection:
        connection.execute("SET search_path = app")
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO app.orders VALUES (9, 1); INSERT INTO app.tags VALUES (9, 'x')")
        connection.execute("SET session_replication_role = origin")
        connection.execute("ALTER TABLE app.orders DISABLE TRIGGER USER; ALTER TABLE app.tags DISABLE TRIGGER USER")
        connection.commit()
        for name, finding in found.items():
            for trigger in (o for o in finding.related if o.table != "recent"):  # a view's is always on
                connection.execute(f"ALTER TABLE app.{trigger.table} ENABLE TRIGGER {trigger.name}".encode())
            statement = FIRED.get(name, f"SELECT app.{name}()")
            if name != "dead":  # which nothing reaches, as it says
                with pytest.raises(psycopg.Error) as failed:
                    connection.execute(statement.encode())
                assert f"SQLSTATE {failed.value.sqlstate}" in finding.message, (name, failed.value)
            connection.rollback()
        # and the neighbours run
        for neighbour in ("labelled", "option", "escaped"):
            connection.execute(f"SELECT app.{neighbour}()".encode())


def test_a_body_is_read_as_the_server_reads_it() -> None:
    assert [(f.row, f.name, f.line) for f in fields('BEGIN\n x := NEW."A b" + old.c; RETURN NEW;')] == [
        ("new", "A b", 2),
        ("old", "c", 2),
    ]
    for other in (
        "SELECT 1 INTO new; x := new.a;",
        "SELECT 1, 2 INTO a, new; x := new.a;",
        "SELECT 1, 2, 3 INTO a, new, b; x := new.a;",
        "new := x; y := new.a;",
        "FOR new IN SELECT 1 LOOP x := new.a;",
        "DECLARE new record; BEGIN x := new.a;",
        "x := (SELECT new.a FROM t AS new);",
        "x := (SELECT new.a FROM t new);",
        "UPDATE t SET a = 1 RETURNING new.a, old.b INTO x;",
        "x := (WITH new AS (SELECT 1 AS a) SELECT new.a FROM s.t);",
    ):
        assert fields(other) == (), other
    kept = "f(OLD, NEW); IF NEW IS DISTINCT FROM OLD AND x IS DISTINCT FROM NEW THEN RETURN OLD; END IF; a := NEW.*; b := new.c;"
    assert [f.name for f in fields(kept)] == ["c"]
    assert [f.name for f in fields("x IS DISTINCT FROM new.a; extract(epoch FROM new.b);")] == ["a"]

    def said(text: str) -> list[tuple[str | None, str, tuple[str, ...]]]:
        return [(w.schema, w.table, w.columns) for w in writes(text)]

    assert said("INSERT INTO a.b (c, d[1], e.f) VALUES (g, h)") == [("a", "b", ("c", "d", "e"))]
    assert said("INSERT INTO b VALUES (g); INSERT INTO b (SELECT c); INSERT INTO b AS x (y) TABLE z") == [
        (None, "b", ()),
        (None, "b", ()),
        (None, "b", ("y",)),
    ]
    assert said("UPDATE ONLY a.b x SET c = d, (e, f) = (SELECT g, h), i.j = k WHERE l = m") == [
        ("a", "b", ("c", "e", "f", "i"))
    ]
    assert said("WITH w AS (UPDATE b SET c = 1 RETURNING d) SELECT e, f = 1") == [(None, "b", ("c",))]
    assert said("SELECT FOR UPDATE; ON CONFLICT DO UPDATE SET a = 1; MERGE WHEN MATCHED THEN UPDATE SET b = 2") == []
    assert said("DELETE FROM ONLY a.b WHERE c = 1; DELETE FROM x.y.z") == [("a", "b", ())]
    assert malformed("BEGIN PERFORM '\\'; END") == ""
    assert malformed("DECLARE a int; BEGIN NULL; END;") == ""


def test_an_extensions_table_is_not_called_missing(database: Make) -> None:
    dsn = database("CREATE SCHEMA ext; CREATE TABLE ext.jobs (id int); CREATE TABLE t (id int)")
    run(
        dsn,
        "ALTER EXTENSION plpgsql ADD TABLE ext.jobs",
        "CREATE TABLE ext.more (id smallserial); SELECT setval('ext.more_id_seq', 32767)",
        "ALTER EXTENSION plpgsql ADD TABLE ext.more",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO ext.jobs (gone) VALUES (1); RETURN NEW; END'",
        "CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    )
    assert titles(audit(dsn, select=[*BROKEN, *EXHAUSTION])) == []
    run(dsn, "ALTER EXTENSION plpgsql DROP TABLE ext.jobs")
    assert titles(audit(dsn, select=BROKEN)) == [
        "The trigger function public.f() names gone, a column that ext.jobs does not have"
    ]


def of(result: Audit, name: str) -> Finding:
    return next(finding for finding in result.findings if finding.object.name.startswith(name))


def test_a_partitioned_tables_trigger_is_named_once(database: Make) -> None:
    dsn = database("""
        CREATE TABLE t (id int) PARTITION BY RANGE (id);
        CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.gone := 1; RETURN NULL; END';
        CREATE TRIGGER f AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
    """)
    finding = of(audit(dsn, select=BROKEN), "f")
    assert finding.title.endswith("names NEW.gone, a column that public.t does not have")
    assert [o.table for o in finding.related] == ["t"]
    assert finding.fixes[1].sql == ("ALTER TABLE public.t DISABLE TRIGGER f;",)
    run(dsn, *finding.fixes[1].sql)
    assert audit(dsn, select=BROKEN).findings == ()
    run(dsn, *finding.fixes[1].rollback)
    assert titles(audit(dsn, select=BROKEN)) == [finding.title]
