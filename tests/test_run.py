"""The run as a whole when things go wrong in the middle of it: what is done stays, what is not is listed with its reason.

A probe is held where a test wants it by an advisory lock: its condition waits for the lock that the test has.
"""

from __future__ import annotations

import os
import re
import signal
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from auditor.audit import Audit, Auditor, open_catalog
from auditor.catalog.infer import complete
from auditor.check import Depth
from auditor.config import Settings
from auditor.connection import Fetch, Session, Target
from auditor.doctor import examine
from auditor.plan import plan
from auditor.probe import Answer, Failure
from auditor.probe.textbook import Samples
from auditor.registry import load
from auditor.run import TRIES, Runner
from tests.conftest import Make, embedded
from tests.helpers import audit, content, login, titles

Connection = psycopg.Connection[tuple[Any, ...]]

ORPHANS = ["references/orphan-rows"]
# `gate` is the smallest: it is asked first. The others take more pages, and each holds one orphan.
TABLES = """
    CREATE TABLE targets (id int PRIMARY KEY, note text);
    INSERT INTO targets SELECT n, repeat('x', 200) FROM generate_series(1, 300) AS n;
    CREATE TABLE gate (id int PRIMARY KEY, target int);
    INSERT INTO gate VALUES (1, 1), (2, -1);
    CREATE TABLE larger (id int PRIMARY KEY, target int, filler text);
    INSERT INTO larger SELECT n, n, repeat('x', 1000) FROM generate_series(0, 100) AS n;
    CREATE TABLE largest (id int PRIMARY KEY, target int, filler text);
    INSERT INTO largest SELECT n, n, repeat('x', 1000) FROM generate_series(0, 200) AS n;
    ANALYZE;
"""
WAITS = "(SELECT pg_catalog.pg_advisory_xact_lock_shared(7) IS NOT NULL)"


def reference(table: str, where: str = "true", column: str = "target") -> str:
    return f'[[reference]]\nfrom = "{table}({column})"\nto = "targets(id)"\nwhere = "{where}"\n'


GATED = reference("gate", WAITS) + reference("larger") + reference("largest")


def orphan(table: str) -> str:
    return f"1 row of public.{table} points to 1 row of public.targets that does not exist"


def outcomes(result: Audit) -> dict[str, tuple[str, str | None]]:
    """What became of each table, and why."""
    return {entry.object.table: (entry.outcome, entry.reason) for entry in result.coverage}


def consistent(result: Audit) -> Audit:
    """The result, whose summary counts what it holds and whose status says whether anything was left."""
    severities = Counter(finding.severity.value for finding in result.open_findings)
    counted, left = result.summary, sum(entry.outcome == "not_checked" for entry in result.coverage)
    assert (counted.error, counted.warning, counted.info) == tuple(severities[s] for s in ("error", "warning", "info"))
    assert counted.suppressed == len(result.findings) - len(result.open_findings)
    assert counted.not_checked == left
    examined = [entry.rows_examined or 0 for entry in result.coverage]
    # A shared question is asked once, and of the questions about one object the coverage has the largest.
    assert max(examined, default=0) <= counted.rows_examined <= max(examined, default=0) * counted.probes
    assert result.run.status == ("incomplete" if left else "complete")
    assert all(bool(entry.reason) is (entry.outcome == "not_checked") for entry in result.coverage)
    code = 1 if severities["error"] else 4 if left else 0
    assert result.exit_code("error", allow_incomplete=False) == code
    assert result.exit_code("never", allow_incomplete=False) == (4 if left else 0)
    assert result.exit_code("never", allow_incomplete=True) == 0
    return result


class Gate:
    """Another session that keeps probes waiting."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.do("SELECT pg_advisory_lock(7)")

    def do(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    def waiting(self, after: int = 0) -> int:
        """The process of the server that waits at the gate, another than `after`; waits for it."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = self.connection.execute(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted AND pid <> %s"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                (after,),
            ).fetchone()
            if found is not None:
                return int(found[0])
            time.sleep(0.01)
        raise AssertionError("no probe came to the gate")

    def open(self) -> None:
        self.do("SELECT pg_advisory_unlock_all()")


@contextmanager
def held(dsn: str, config: str = GATED, *, through: str = "", **options: Any) -> Iterator[tuple[Gate, Future[Audit]]]:
    """An audit whose first probe waits at the gate, which is opened at the end if it was not before.

    `through` is another way to the same database, for the audit alone. It leaves nothing behind on the server, whatever
    becomes of it.
    """
    chosen = {"select": ORPHANS, "jobs": 1, "lock_timeout": 60.0, **options}
    with psycopg.connect(dsn, autocommit=True) as connection:
        gate = Gate(connection)
        with ThreadPoolExecutor(1) as pool:
            try:
                yield gate, pool.submit(audit, through or dsn, config, **chosen)
            finally:
                if not connection.closed:
                    gate.open()
        if not connection.closed:
            nothing_left(connection)


def nothing_left(connection: Connection) -> None:
    """Waits until the database has no session of an audit; a session that its client has closed ends a moment later."""
    ours = (
        "SELECT state, query FROM pg_stat_activity WHERE application_name = 'auditor' AND datname = current_database()"
    )
    end = time.monotonic() + 10
    while left := connection.execute(ours.encode()).fetchall():
        assert time.monotonic() < end, f"left behind: {left}"
        time.sleep(0.02)


# --- a session, or the server, goes away ---------------------------------------------------------------------------


def test_a_probe_whose_session_is_terminated_is_answered_on_another(database: Make) -> None:
    with held(database(TABLES), samples="none") as (gate, running):
        first = gate.waiting()
        gate.do(f"SELECT pg_terminate_backend({first})")
        assert gate.waiting(after=first) != first
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == [orphan("gate"), orphan("larger"), orphan("largest")]
    assert result.run.status == "complete"
    assert (result.summary.probes, result.summary.not_checked) == (3, 0)


def test_a_probe_that_loses_every_session_is_not_checked_and_the_rest_is(database: Make) -> None:
    with held(database(TABLES)) as (gate, running):
        pid = 0
        for _ in range(TRIES):
            pid = gate.waiting(after=pid)
            gate.do(f"SELECT pg_terminate_backend({pid})")
        result = consistent(running.result(30))
    assert outcomes(result)["gate"] == ("not_checked", "lost_connection")
    assert titles(result) == [orphan("larger"), orphan("largest")]
    assert (result.summary.probes, result.summary.not_checked) == (3, 1)


def test_a_query_that_somebody_cancels_is_no_timeout(database: Make) -> None:
    with held(database(TABLES)) as (gate, running):
        gate.do(f"SELECT pg_cancel_backend({gate.waiting()})")
        result = consistent(running.result(30))
    (left,) = [entry for entry in result.coverage if entry.outcome == "not_checked"]
    assert (left.object.table, left.reason, left.detail) == (
        "gate",
        "cancelled",
        "somebody cancelled the query on the server",
    )
    assert titles(result) == [orphan("larger"), orphan("largest")]


def test_a_server_that_crashes_comes_back_and_then_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    config = reference("gate") + reference("larger", WAITS) + reference("largest", WAITS) + reference("huge")
    with embedded() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(TABLES.encode())
            connection.execute("CREATE TABLE huge AS SELECT * FROM largest, generate_series(1, 2) AS n")
            connection.execute("VACUUM ANALYZE huge")
            connection.execute("ALTER SYSTEM SET fsync = off")  # or recovery begins with syncing every file
            connection.execute("SELECT pg_reload_conf()")
            (postmaster,) = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone() or ("",)
        with held(dsn) as (gate, running):
            os.kill(gate.waiting(), signal.SIGKILL)  # the server ends all its sessions and recovers
            crashed = consistent(running.result(60))
            gate.connection.close()
        assert titles(crashed) == [orphan("gate"), orphan("larger"), orphan("largest")]
        assert crashed.run.status == "complete"
        monkeypatch.setattr("auditor.run._PATIENCE", (0.2, 0.2))
        with held(dsn, config, jobs=2) as (gate, running):
            gate.waiting(after=gate.waiting())
            os.kill(int(str(postmaster).split()[0]), signal.SIGINT)  # a fast shutdown
            gone = consistent(running.result(60))
            gate.connection.close()
    assert titles(gone) == [orphan("gate")]
    assert outcomes(gone) == {
        "gate": ("failed", None),
        **{table: ("not_checked", "lost_connection") for table in ("larger", "largest", "huge")},
    }
    assert {entry.detail != "" for entry in gone.coverage if entry.reason} == {True}


# --- limits --------------------------------------------------------------------------------------------------------


def test_a_statement_timeout_ends_its_probe_only(database: Make) -> None:
    config = reference("gate", "(SELECT pg_catalog.pg_sleep(30) IS NOT NULL)") + reference("larger")
    result = consistent(audit(database(TABLES), config, select=ORPHANS, jobs=1, statement_timeout=0.5))
    assert titles(result) == [orphan("larger")]
    (left,) = [entry for entry in result.coverage if entry.outcome == "not_checked"]
    assert (left.object.table, left.reason, left.detail) == ("gate", "timeout", "statement timeout of 0.5 s")


def test_a_table_locked_after_the_catalog_was_read_is_not_waited_for(database: Make) -> None:
    dsn = database(TABLES)
    with held(dsn, lock_timeout=1.0) as (gate, running), psycopg.connect(dsn) as other:
        gate.waiting()
        other.execute("LOCK TABLE larger IN ACCESS EXCLUSIVE MODE")
        gate.open()
        started = time.monotonic()
        result = consistent(running.result(30))
        assert time.monotonic() - started < 10
    assert outcomes(result) == {
        "gate": ("failed", None),
        "larger": ("not_checked", "lock"),
        "largest": ("failed", None),
    }
    assert titles(result) == [orphan("gate"), orphan("largest")]


def test_a_table_locked_before_is_not_waited_for_again_and_again(database: Make) -> None:
    dsn = database(TABLES, "ALTER TABLE larger ADD FOREIGN KEY (target) REFERENCES targets NOT VALID")
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE larger IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        result = consistent(audit(dsn, GATED, select=ORPHANS, lock_timeout=0.5))
        assert time.monotonic() - started < 5
    assert titles(result) == [orphan("gate"), orphan("largest")]
    assert {entry.reason for entry in result.coverage if entry.object.table == "larger"} == {"lock"}


def test_what_the_audit_gave_up_on_did_not_hold_up_others(database: Make) -> None:
    """While it waits for a lock, its request stands in the queue: for as long as the lock timeout, and no longer."""
    dsn = database(TABLES)
    with held(dsn, reference("gate", WAITS) + reference("larger"), lock_timeout=0.5) as (gate, running):
        result = consistent(running.result(30))  # an advisory lock is a lock, too
        assert gate.connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,)
    assert outcomes(result) == {"gate": ("not_checked", "lock"), "larger": ("failed", None)}


# --- the database changes under the run ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DROP TABLE larger", "unsupported"),
        ("ALTER TABLE larger DROP COLUMN target", "unsupported"),
        ("ALTER TABLE larger RENAME TO renamed", "unsupported"),
        ("ALTER TABLE larger RENAME COLUMN target TO renamed", "unsupported"),
        ("CREATE SCHEMA other; ALTER TABLE larger SET SCHEMA other", "unsupported"),
        ("ALTER TABLE larger ALTER COLUMN target TYPE text", "unsupported"),
        ("ALTER TABLE larger RENAME TO renamed; CREATE TABLE larger (LIKE renamed)", "unsupported"),
    ],
)
def test_what_changes_between_planning_and_asking_is_not_checked(change: str, reason: str, database: Make) -> None:
    with held(database(TABLES)) as (gate, running):
        gate.waiting()
        gate.do(change)
        gate.open()
        result = consistent(running.result(30))
    assert outcomes(result) == {
        "gate": ("failed", None),
        "larger": ("not_checked", reason),
        "largest": ("failed", None),
    }
    assert titles(result) == [orphan("gate"), orphan("largest")]


@pytest.mark.parametrize(
    "change",
    [
        "REVOKE SELECT ON larger FROM PUBLIC",
        "ALTER TABLE larger ENABLE ROW LEVEL SECURITY",
    ],
)
def test_what_is_taken_away_between_planning_and_asking_is_not_checked(change: str, database: Make) -> None:
    dsn = database(TABLES, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
    with held(login(dsn)) as (gate, running), psycopg.connect(dsn, autocommit=True) as owner:
        gate.waiting()
        owner.execute(change.encode())
        gate.open()
        result = consistent(running.result(30))
    assert outcomes(result)["larger"] == ("not_checked", "permission")
    assert titles(result) == [orphan("gate"), orphan("largest")]


# --- what the login may read -----------------------------------------------------------------------------------------

HIDDEN = """
    CREATE TABLE parents (id int PRIMARY KEY);
    INSERT INTO parents VALUES (1), (2), (3);
    CREATE TABLE children (id int PRIMARY KEY, parent int, secret text);
    INSERT INTO children VALUES (1, 1), (2, 2), (3, 9);
    ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents NOT VALID;
    CREATE POLICY few ON parents USING (id = 1);
    CREATE POLICY few ON children USING (id <> 3);
"""
READ = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
FOUND = "1 row of public.children points to 1 row of public.parents that does not exist"


def judged(dsn: str) -> tuple[list[str], set[str | None]]:
    result = consistent(audit(dsn, select=ORPHANS))
    return titles(result), {entry.reason for entry in result.coverage}


@pytest.mark.parametrize("table", ["parents", "children"])
def test_row_security_that_applies_to_the_login_is_not_checked(table: str, database: Make) -> None:
    dsn = database(HIDDEN, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    assert judged(login(dsn, READ)) == ([], {"row_security"})
    result = audit(login(dsn, READ), select=ORPHANS)
    assert f"row security hides rows of public.{table} from" in result.coverage[0].detail


def test_row_security_that_does_not_apply_to_the_login_hides_nothing(database: Make) -> None:
    on = "ALTER TABLE parents ENABLE ROW LEVEL SECURITY; ALTER TABLE children ENABLE ROW LEVEL SECURITY;"
    owned = ("ALTER TABLE parents OWNER TO {role}", "ALTER TABLE children OWNER TO {role}")
    usual = database(HIDDEN, on)
    assert judged(usual) == ([FOUND], {None})
    assert judged(login(usual, READ, options="BYPASSRLS")) == ([FOUND], {None})
    assert judged(login(database(HIDDEN), READ)) == ([FOUND], {None})  # policies alone do nothing
    owner = login(usual, *owned)
    assert judged(owner) == ([FOUND], {None})
    with psycopg.connect(usual, autocommit=True) as connection:
        connection.execute("ALTER TABLE children FORCE ROW LEVEL SECURITY")
    assert judged(owner) == ([], {"row_security"})
    assert judged(usual) == ([FOUND], {None})


def test_columns_that_the_question_reads_are_enough(database: Make) -> None:
    dsn = database(HIDDEN)
    enough = login(dsn, "GRANT SELECT (id, parent) ON children TO {role}", "GRANT SELECT (id) ON parents TO {role}")
    assert judged(enough) == ([FOUND], {None})
    keyless = login(dsn, "GRANT SELECT (parent) ON children TO {role}", "GRANT SELECT (id) ON parents TO {role}")
    assert judged(keyless) == ([], {"permission"})  # the sample names rows by their key
    assert judged(login(dsn, "GRANT SELECT ON children TO {role}")) == ([], {"permission"})
    assert judged(login(dsn, "GRANT SELECT ON parents TO {role}")) == ([], {"permission"})


def test_a_condition_may_name_any_column(database: Make) -> None:
    dsn = database(HIDDEN)
    granted = login(dsn, "GRANT SELECT (id, parent) ON children TO {role}", "GRANT SELECT (id) ON parents TO {role}")
    config = '[[reference]]\nfrom = "children(parent)"\nto = "parents(id)"\nwhere = "secret IS NULL"'
    result = consistent(audit(granted, config, select=ORPHANS))
    assert sorted((e.outcome, e.object.kind) for e in result.coverage) == [
        ("failed", "constraint"),
        ("not_checked", "column"),
    ]
    assert titles(result) == [FOUND]


def test_a_schema_without_usage_is_not_read(database: Make) -> None:
    dsn = database(
        "CREATE SCHEMA app; SET search_path = app;" + HIDDEN, "GRANT SELECT ON ALL TABLES IN SCHEMA app TO PUBLIC"
    )
    stranger = login(dsn)
    assert judged(stranger) == ([], {"permission"})
    (left,) = audit(stranger, select=ORPHANS).coverage
    assert left.detail == "no USAGE on the schema of app.children"
    assert judged(login(dsn, "GRANT USAGE ON SCHEMA app TO {role}")) == ([FOUND.replace("public.", "app.")], {None})


def test_without_rows_what_the_catalog_tells_is_still_told(database: Make) -> None:
    """All checks, for a login that may connect and nothing else: no rows, no findings about rows, no failure."""
    dsn = database(HIDDEN, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    blind = consistent(audit(login(dsn), depth="full"))
    assert titles(blind) == ["The foreign key children_parent_fkey of public.children is NOT VALID"]
    assert (blind.findings[0].severity.value, blind.findings[0].evidence) == ("warning", None)
    assert {entry.reason for entry in blind.coverage if entry.outcome == "not_checked"} == {"permission"}
    assert blind.summary.probes == blind.summary.rows_examined == 0


# --- several connections ---------------------------------------------------------------------------------------------


def test_the_number_of_connections_changes_nothing(database: Make) -> None:
    script = """
        CREATE TABLE p{n} (id int PRIMARY KEY, deleted_at timestamptz, name text UNIQUE);
        INSERT INTO p{n} SELECT i, CASE WHEN i % 3 = 0 THEN now() END, i::text FROM generate_series(1, 20 * {n}) AS i;
        CREATE TABLE c{n} (id int PRIMARY KEY, parent int NOT NULL);
        INSERT INTO c{n} SELECT i, i FROM generate_series(1, 21 * {n}) AS i;
        ALTER TABLE c{n} ADD FOREIGN KEY (parent) REFERENCES p{n} ON DELETE SET NULL NOT VALID;
    """
    dsn = database("".join(script.replace("{n}", str(n)) for n in range(1, 9)) + "ANALYZE;")
    alone, together, many = (consistent(audit(dsn, depth="full", jobs=jobs)) for jobs in (1, 4, 64))
    assert content(alone) == content(together) == content(many)
    assert {finding.check for finding in alone.findings} >= {
        "references/orphan-rows",
        "references/fk-not-enforced",
        "nullability/set-null-on-not-null",
        "uniqueness/soft-delete-blocks-reuse",
    }
    assert alone.summary.probes > 20


def test_no_more_connections_than_asked_for(database: Make) -> None:
    config = "".join(reference(table, WAITS) for table in ("gate", "larger", "largest"))
    with held(database(TABLES), config, jobs=2) as (gate, running):
        gate.waiting(after=gate.waiting())
        time.sleep(0.3)
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'auditor'"
        assert gate.connection.execute(count).fetchone() == (3,)  # and one that watches who waits for them
        gate.open()
        assert len(consistent(running.result(30)).findings) == 3


def test_a_tenth_of_the_connections_left_is_read_on_and_no_more(database: Make) -> None:
    dsn = database(TABLES)
    config = "".join(reference(table, WAITS) for table in ("gate", "larger", "largest"))
    reader = login(dsn, READ)  # it is not told what kind of session others have
    three = Settings.model_validate({"audit": {"jobs": 3}})

    def free(name: str) -> int:
        with Session(Target(name)) as session:
            return open_catalog(session).server.free_connections or 0

    with ExitStack() as others:
        others.enter_context(psycopg.connect(dsn))
        assert free(reader) == free(dsn) > 30
        for _ in range(free(dsn) - 25):
            others.enter_context(psycopg.connect(dsn))
        with held(dsn, config, through=reader, jobs=3) as (gate, running):
            gate.waiting(after=gate.waiting())
            time.sleep(0.3)
            count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'auditor'"
            assert gate.connection.execute(count).fetchone() == (3,)  # and one that watches who waits for them
            gate.open()
            result = consistent(running.result(30))
        assert len(result.findings) == 3
        few = r"2 connections read instead of 3: no more than a tenth of the 2\d that the server had left"
        assert [note for note in result.notes if re.fullmatch(few, note)]
        assert [advice.level for advice in examine(three, Target(reader)) if "on 2 instead of 3" in advice.text] == [
            "note"
        ]
    assert not [note for note in audit(dsn, config, select=ORPHANS, jobs=3).notes if "a tenth" in note]


def test_a_server_with_too_few_connections_left_gets_by_with_those(database: Make) -> None:
    dsn = database(TABLES)
    few = login(dsn, READ, options="CONNECTION LIMIT 1")
    result = consistent(audit(few, GATED, select=ORPHANS, jobs=3))
    assert titles(result) == [orphan("gate"), orphan("larger"), orphan("largest")]
    assert result.run.status == "complete"


# --- one snapshot for all --------------------------------------------------------------------------------------------


def test_one_snapshot_for_the_whole_audit(database: Make) -> None:
    """What is written meanwhile is not seen; what is no more, and was not to be, is not reported."""
    config = reference("gate", WAITS) + reference("larger") + reference("largest")
    for consistent_, larger in ((False, 2), (True, 1)):
        with held(database(TABLES), config, consistent=consistent_) as (gate, running):
            gate.waiting()
            gate.do("INSERT INTO larger (id, target) VALUES (-7, -7)")
            gate.do("DELETE FROM largest WHERE target NOT IN (SELECT id FROM targets)")
            gate.open()
            result = consistent(running.result(30))
        found = {finding.object.table: finding.evidence for finding in result.findings}
        assert found.keys() == {"gate", "larger"}
        assert (found["larger"] and found["larger"].violations) == larger
        assert result.run.status == "complete"
        snapshots = {evidence.snapshot for evidence in found.values() if evidence}
        assert len(snapshots) == (1 if consistent_ else 2)
        (told,) = [note for note in result.notes if "all was read in one snapshot" in note] or ("",)
        assert bool(told) is consistent_


def test_a_snapshot_that_is_too_old_ends_the_audit(database: Make) -> None:
    config = reference("gate", WAITS) + reference("larger")
    with held(database(TABLES), config, consistent=True, max_snapshot=1.0) as (_, running):
        result = consistent(running.result(30))
    assert outcomes(result)["larger"] == ("not_checked", "timeout")
    details = {entry.detail for entry in result.coverage if entry.outcome == "not_checked"}
    assert details == {"the snapshot of the whole audit was as old as it may be: 1 s (--max-snapshot)"}


def test_a_snapshot_that_is_lost_ends_the_audit(database: Make) -> None:
    config = reference("gate", WAITS) + reference("larger") + reference("largest")
    with held(database(TABLES), config, consistent=True) as (gate, running):
        gate.waiting()
        gate.do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_export_snapshot%' AND pid <> pg_backend_pid()"
        )
        gate.open()
        result = consistent(running.result(30))
    assert outcomes(result)["gate"] == ("failed", None)
    assert outcomes(result)["larger"] == outcomes(result)["largest"] == ("not_checked", "lost_connection")
    details = {entry.detail for entry in result.coverage if entry.outcome == "not_checked"}
    assert details == {"the session that held the snapshot of the whole audit was lost"}


# --- the time is used up -----------------------------------------------------------------------------------------------


def test_a_time_budget_ends_the_run_and_keeps_what_is_done(database: Make) -> None:
    config = reference("gate") + reference("larger", WAITS) + reference("largest")
    started = time.monotonic()
    with held(database(TABLES), config, time_budget="3s") as (_, running):
        result = consistent(running.result(20))
    assert 3 <= time.monotonic() - started < 15
    assert titles(result) == [orphan("gate")]
    left = [(entry.reason, entry.detail) for entry in result.coverage if entry.outcome == "not_checked"]
    assert left == [("budget", "the time budget was used up")] * 2


def test_a_budget_that_is_enough_changes_nothing(database: Make) -> None:
    result = consistent(audit(database(TABLES), GATED, select=ORPHANS, time_budget="5min"))
    assert len(result.findings) == 3


# --- stopped ---------------------------------------------------------------------------------------------------------


def test_a_stop_keeps_what_is_done_and_asks_nothing_new(database: Make) -> None:
    config = reference("gate") + reference("larger", WAITS) + reference("largest")
    dsn = database(TABLES)
    settings = Settings.model_validate(tomllib.loads(config))
    target = Target(dsn, lock_timeout=60)
    with Session(target) as session:
        catalog = complete(open_catalog(session), settings)
    tasks = plan(catalog, [check for check in load() if check.id in ORPHANS], Depth.DATA).tasks
    runner = Runner(target, 1, Samples(), catalog)
    with psycopg.connect(dsn, autocommit=True) as connection, ThreadPoolExecutor(1) as pool:
        gate = Gate(connection)
        running = pool.submit(runner.run, tasks)
        gate.waiting()
        runner.stop()
        results = running.result(10)  # while the gate is closed: the server's query was cancelled
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,)
    assert runner.stopped
    assert isinstance(results[0], Answer)
    assert results[0].count == 1
    left = Failure("cancelled", "the audit was interrupted")
    assert results[1:] == [left, left]


def test_an_interrupt_ends_the_run_and_what_answers_would_have_asked(database: Make) -> None:
    """Orphaned memberships lead to a further question, who is left with nothing: it is not asked any more."""
    dsn = database("""
        CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE teams (id int PRIMARY KEY);
        INSERT INTO users VALUES (1), (2);
        CREATE TABLE members (user_id int REFERENCES users, team_id int, PRIMARY KEY (user_id, team_id));
        INSERT INTO members VALUES (1, 9);
        ALTER TABLE members ADD CONSTRAINT members_team FOREIGN KEY (team_id) REFERENCES teams NOT VALID;
    """)
    settings = Settings.model_validate({"audit": {"select": ["references/orphaned-memberships"], "jobs": 1}})
    whole = consistent(Auditor(settings, Target(dsn)).run())
    assert len(whole.findings) == 2

    def interrupt(progress: Any) -> None:
        if progress.done:
            raise KeyboardInterrupt

    auditor = Auditor(settings, Target(dsn), report=interrupt)
    result = consistent(auditor.run())
    assert auditor.interrupted
    assert len(result.findings) == 1
    asked = [(entry.outcome, entry.reason) for entry in result.coverage if entry.outcome != "skipped"]
    assert sorted(asked) == [("failed", None), ("not_checked", "cancelled")]


# --- the audited database notices nothing ----------------------------------------------------------------------------

EVERYTHING = """
    CREATE TABLE teams (id serial PRIMARY KEY, name text, deleted_at timestamptz, UNIQUE (name));
    INSERT INTO teams (name, deleted_at) SELECT n::text, CASE WHEN n % 5 = 0 THEN now() END FROM generate_series(1, 50) AS n;
    CREATE TABLE vaults (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, team_id int NOT NULL REFERENCES teams, key text);
    INSERT INTO vaults (team_id, key) SELECT n, lower(n::text) FROM generate_series(1, 48) AS n;
    CREATE UNIQUE INDEX vaults_key ON vaults (lower(key)) WHERE key <> '';
    CREATE TABLE members (id serial PRIMARY KEY, team_id int NOT NULL, size int);
    INSERT INTO members (team_id, size) SELECT n, n - 10 FROM generate_series(1, 60) AS n;
    ALTER TABLE members ADD FOREIGN KEY (team_id) REFERENCES teams ON DELETE SET NULL NOT VALID;
    ALTER TABLE members ADD CHECK (size > 0) NOT VALID;
    CREATE FUNCTION put(text) RETURNS void LANGUAGE sql AS
        $$ INSERT INTO vaults (team_id, key) VALUES (1, $1) ON CONFLICT (lower(key)) WHERE key > 'a' DO NOTHING $$;
    CREATE FUNCTION put_again(text) RETURNS void LANGUAGE sql AS
        $$ INSERT INTO vaults (team_id, key) VALUES (1, $1) ON CONFLICT (lower(key)) WHERE key <> '' DO NOTHING $$;
    CREATE PROCEDURE upsert(int) LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO members (team_id) VALUES ($1) ON CONFLICT (team_id) DO UPDATE SET size = 1; END $$;
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE TRIGGER note BEFORE INSERT ON teams FOR EACH ROW EXECUTE FUNCTION note();
    ALTER TABLE teams DISABLE TRIGGER note;
    CREATE VIEW view_of_teams AS SELECT * FROM teams;
    ANALYZE;
"""
SETTINGS = """
[[companion]]
of = "teams"
in = "vaults(team_id)"
exactly_one = true
[[reference]]
from = "vaults(id)"
to = "members(id)"
[[unique]]
table = "members"
columns = ["size"]
"""


def next_xid(connection: Connection) -> int:
    """The transaction id that the next writer gets; asking for it takes none (documentation: pg_current_snapshot)."""
    found = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
    assert found is not None
    return int(found[0])


def state(connection: Connection) -> list[list[tuple[Any, ...]]]:
    """All rows with where they lie, who wrote them and who locked them, and all sequences."""
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
    queries = [f"SELECT ctid, xmin, xmax, * FROM {name} ORDER BY ctid" for (name,) in connection.execute(tables)]
    queries.append("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")
    return [connection.execute(text.encode()).fetchall() for text in queries]


def test_an_audit_takes_no_transaction_id_and_changes_no_row(database: Make) -> None:
    dsn = database(EVERYTHING)
    with psycopg.connect(dsn, autocommit=True) as connection:
        before, at = state(connection), next_xid(connection)
        assert len(before) == 4
        connection.execute("BEGIN; UPDATE teams SET name = name WHERE id = 1; ROLLBACK")
        assert next_xid(connection) > at, "a write that is taken back would be seen"
        before = state(connection)
        taken = []
        for _ in range(5):  # the server's own workers may take some
            at = next_xid(connection)
            result = audit(dsn, SETTINGS, depth="full", jobs=2)
            taken.append(next_xid(connection) - at)
            if not taken[-1]:
                break
        assert 0 in taken
        assert state(connection) == before
    assert len({finding.check for finding in result.findings}) >= 6
    assert result.summary.probes > 10


def test_locks_are_those_of_reading(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are held until the transaction ends: asked for as its last query, they are all it took.

    EXPLAIN takes the lock of the INSERT that it plans, and reading a sequence's last value takes ROW EXCLUSIVE on the
    sequence: neither keeps any reader or writer waiting (documentation: Explicit Locking).
    """
    dsn = database(EVERYTHING)
    taken: set[tuple[str, str, str]] = set()
    whole: Callable[[Session], Any] = Session.transaction

    @contextmanager
    def watched(self: Session, *snapshot: str) -> Iterator[Fetch]:
        with whole(self, *snapshot) as fetch:
            yield fetch
            locks = fetch(
                "SELECT l.locktype, c.relname, l.mode FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_class AS c"
                " ON c.oid = l.relation WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype <> 'virtualxid'"
            )
            taken.update((str(kind), str(name), str(mode)) for kind, name, mode in locks)

    monkeypatch.setattr(Session, "transaction", watched)
    result = consistent(audit(dsn, SETTINGS, depth="full"))
    assert len({finding.check for finding in result.findings}) >= 6
    names = {name for _, name, _ in taken}
    assert {"teams", "vaults", "members", "teams_pkey", "vaults_key"} <= names
    assert {kind for kind, _, _ in taken} == {"relation"}
    assert {mode for *_, mode in taken} == {"AccessShareLock", "RowExclusiveLock"}
    writing = {name for _, name, mode in taken if mode == "RowExclusiveLock"}
    assert writing == {"teams_id_seq", "vaults_id_seq", "members_id_seq", "vaults", "vaults_pkey", "vaults_key"}


def test_writers_do_not_wait_for_a_probe(database: Make) -> None:
    """While a probe is at work, all but what needs the table for itself goes on: rows, VACUUM, ANALYZE, constraints."""
    with held(database(TABLES)) as (gate, running):
        waiting = gate.waiting()
        held_by = (
            "SELECT array_agg(DISTINCT relation::regclass::text) FROM pg_locks WHERE pid = %s AND locktype = 'relation'"
        )
        (names,) = gate.connection.execute(held_by, (waiting,)).fetchone() or ([],)
        assert "gate" in names
        gate.do("SET lock_timeout = 100")
        for statement in (
            "INSERT INTO gate VALUES (3, 3)",
            "UPDATE gate SET target = 4 WHERE id = 1",
            "SELECT * FROM gate FOR UPDATE",
            "DELETE FROM gate WHERE id = 1",
            "DELETE FROM targets WHERE id = 300",
            "VACUUM gate",
            "ANALYZE gate",
            "CREATE INDEX ON gate (target)",
        ):
            gate.do(statement)
        gate.open()
        result = consistent(running.result(30))
    # What was written meanwhile is not in the probe's snapshot: the row that pointed nowhere, and no other.
    assert titles(result) == [orphan("gate"), orphan("larger"), orphan("largest")]
