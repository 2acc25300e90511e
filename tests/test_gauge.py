"""While others are busy, or a standby is behind, the audit waits, or ends, and says so."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg import pq

from auditor.audit import Audit, Auditor, open_catalog
from auditor.config import merged
from auditor.connection import Session, Target
from auditor.errors import ConfigError
from auditor.gauge import Gauge, Limits
from auditor.probe.textbook import Samples
from auditor.run import Progress, Runner
from tests.conftest import Make
from tests.helpers import audit, login, titles
from tests.test_run import GATED, ORPHANS, READ, TABLES, WAITS, consistent, held, orphan, outcomes, reference

ALL = [orphan("gate"), orphan("larger"), orphan("largest")]


@contextmanager
def busy(dsn: str, number: int) -> Iterator[Callable[[], None]]:
    """So many other sessions that run a statement, which the function that is given ends."""
    application = "busy with something"
    sleep = b"SELECT pg_sleep(60)"
    with psycopg.connect(dsn, autocommit=True) as admin, ThreadPoolExecutor(max(number, 1)) as pool:

        def work() -> None:
            connecting = psycopg.connect(dsn, autocommit=True, application_name=application)
            with connecting as connection, suppress(psycopg.errors.QueryCanceled):
                connection.execute(sleep)

        def end() -> None:
            admin.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (application,)
            )

        for _ in range(number):
            pool.submit(work)
        active = "SELECT FROM pg_stat_activity WHERE application_name = %s AND state = 'active' AND query LIKE %s"
        while admin.execute(active, (application, "SELECT pg_sleep%")).rowcount < number:
            time.sleep(0.02)
        try:
            yield end
        finally:
            end()


def settings(**options: Any) -> Any:
    return merged({"reference": [{"from": "gate(target)", "to": "targets(id)"}]}, {"select": ORPHANS, **options})


class Watched:
    """An audit that tells when it waits."""

    def __init__(self, dsn: str, **options: Any) -> None:
        self.waits = threading.Event()
        self.seen: list[Progress] = []
        self.auditor = Auditor(settings(**options), Target(dsn), report=self.told)

    def told(self, progress: Progress) -> None:
        self.seen.append(progress)
        if progress.held:
            self.waits.set()

    def run(self, pool: ThreadPoolExecutor) -> Future[Audit]:
        return pool.submit(self.auditor.run)


def test_nothing_begins_above_the_greatest_load(database: Make) -> None:
    dsn = database(TABLES)
    watched = Watched(dsn, max_load=1, jobs=2)
    with busy(dsn, 3) as end, ThreadPoolExecutor(1) as pool:
        running = watched.run(pool)
        assert watched.waits.wait(20)
        assert not running.done()
        end()
        result = consistent(running.result(30))
    assert titles(result) == [orphan("gate")]
    waiting = [progress for progress in watched.seen if progress.held]
    assert {(progress.done, progress.held) for progress in waiting[:1]} == {(0, "3 active backends, --max-load 1")}
    assert result.notes[0].startswith("the audit waited 1 time, ")
    assert result.notes[0].endswith(" s in all: up to 3 active backends of others (--max-load 1)")


def test_as_many_as_may_be_active_are_no_reason_to_wait(database: Make) -> None:
    dsn = database(TABLES)
    with busy(dsn, 2):
        result = consistent(audit(dsn, GATED, select=ORPHANS, max_load=2, critical_load=2, max_lag="1s"))
    assert titles(result) == ALL
    assert not [note for note in result.notes if "load" in note or "lag" in note]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is up as soon as the audit waits."""
    watch = Runner._watch

    def watched(self: Runner, threads: list[threading.Thread], progress: Callable[[], Progress]) -> None:
        def told() -> Progress:
            state = progress()
            if state.held:
                self.deadline = 0.0
            return state

        watch(self, threads, told)

    monkeypatch.setattr(Runner, "_watch", watched)


@pytest.mark.usefixtures("short")
def test_the_time_budget_ends_the_waiting_too(database: Make) -> None:
    dsn = database(TABLES)
    with busy(dsn, 1):
        result = consistent(audit(dsn, GATED, select=ORPHANS, max_load=0))
    assert set(outcomes(result).values()) == {("not_checked", "budget")}
    assert {entry.detail for entry in result.coverage} == {"the time budget was used up"}
    assert "up to 1 active backend of others (--max-load 0)" in result.notes[0]


def test_above_the_critical_load_the_audit_ends(database: Make) -> None:
    dsn = database(TABLES)
    config = reference("gate") + reference("larger", WAITS) + reference("largest")
    with held(dsn, config, critical_load=2) as (gate, running):
        gate.waiting()
        with busy(dsn, 3):
            result = consistent(running.result(30))
    assert titles(result) == [orphan("gate")]
    assert outcomes(result) == {
        "gate": ("failed", None),
        "larger": ("not_checked", "budget"),
        "largest": ("not_checked", "budget"),
    }
    details = {entry.detail for entry in result.coverage if entry.outcome == "not_checked"}
    assert details == {"the server was too busy: 3 active backends, --critical-load 2"}


@pytest.mark.usefixtures("short")
def test_what_a_login_is_not_shown_is_counted_and_said(database: Make) -> None:
    """Another role's session counts while it is in a transaction; idle it does not."""
    dsn = database(TABLES)
    reader, shown = (login(dsn, READ, *more) for more in ((), ("GRANT pg_read_all_stats TO {role}",)))
    hidden = "this login is not shown what "
    with psycopg.connect(dsn) as other:
        idle = consistent(audit(reader, GATED, select=ORPHANS, max_load=0))
        assert titles(idle) == ALL
        assert [note for note in idle.notes if note.startswith(hidden)]
        with busy(dsn, 1):
            for name in (reader, shown):
                result = audit(name, GATED, select=ORPHANS, max_load=0)
                assert result.summary.not_checked == 3
                assert bool([note for note in result.notes if note.startswith(hidden)]) is (name is reader)
        other.execute("SELECT 1")


def test_without_a_connection_for_looking_the_audit_goes_on_and_says_so(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads has the only one."""
    monkeypatch.setattr("auditor.gauge._FIRST", 1e9)
    dsn = database(TABLES)
    limited = login(dsn, READ, options="CONNECTION LIMIT 1")
    result = consistent(Auditor(settings(jobs=1, max_load=5, time_budget="60s"), Target(limited)).run())
    assert titles(result) == [orphan("gate")]
    assert "no connection was left to look at the server's load with: its limits were not kept to" in result.notes


def test_gentle_rests_longer_while_others_are_active(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = database(TABLES)
    target = Target(dsn, pace="gentle")
    with Session(target) as session:
        runner = Runner(target, 1, Samples(), open_catalog(session))
        assert runner.gauge is not None

        def rest() -> float:
            assert runner.gauge is not None
            monkeypatch.setattr(runner.gauge, "_busy", 0.0)
            with session.transaction() as fetch:
                runner.gauge.look(fetch, {session.pid})
            return runner._rest(1.0)

        with psycopg.connect(dsn):  # connected, and not at work
            assert rest() == 1
        with busy(dsn, 1):
            assert rest() == 19
        assert not runner.gauge.notes()


class Standby:
    """What a standby says to its primary, said by hand (documentation: Streaming Replication Protocol)."""

    def __init__(self, dsn: str) -> None:
        made = psycopg.conninfo.make_conninfo(dsn, replication="database", application_name="standby")
        self.connection = pq.PGconn.connect(made.encode())
        assert self.connection.status == pq.ConnStatus.OK, self.connection.error_message
        start = self.connection.exec_(b"IDENTIFY_SYSTEM").get_value(0, 2)
        assert start is not None
        started = self.connection.exec_(b"START_REPLICATION PHYSICAL " + start)
        assert started.status == pq.ExecStatus.COPY_BOTH, self.connection.error_message

    def replies(self, received: str, replayed: str) -> None:
        """Takes what was sent, and says what it has."""
        self.connection.consume_input()
        while self.connection.get_copy_data(1)[0] > 0:
            pass
        write, apply = (struct.unpack("!q", number(text))[0] for text in (received, replayed))
        self.connection.put_copy_data(struct.pack("!cqqqqb", b"r", write, write, apply, 0, 0))
        self.connection.flush()


def number(position: str) -> bytes:
    high, low = (int(part, 16) for part in position.split("/"))
    return struct.pack("!II", high, low)


def test_a_standby_that_falls_behind_is_waited_for(database: Make) -> None:
    dsn = database(TABLES)
    watched = Watched(dsn, max_lag="0.5s")
    standby = Standby(dsn)
    with psycopg.connect(dsn, autocommit=True) as primary, ThreadPoolExecutor(1) as pool:

        def written() -> str:
            primary.execute("INSERT INTO targets SELECT max(id) + 1 FROM targets")
            (position,) = primary.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone() or ("",)
            return str(position)

        def lag() -> float:
            with Session(Target(dsn)) as session, session.transaction() as fetch:
                return Gauge(Limits(lag=1.0))._lag(fetch)

        assert lag() == 0
        first = written()
        end = time.monotonic() + 20
        while lag() <= 0.5:  # it has replayed up to the first position, and stays there
            assert time.monotonic() < end, "the server saw no lag"
            standby.replies(written(), first)
            time.sleep(0.1)
        running = watched.run(pool)
        while not watched.waits.wait(0.1):
            standby.replies(written(), first)
            assert time.monotonic() < end, "the audit did not wait"
        standby.connection.finish()  # a standby that is gone is not behind
        result = consistent(running.result(30))
    assert titles(result) == [orphan("gate")]
    assert "replication up to " in result.notes[0]
    assert result.notes[0].endswith(" s behind (--max-lag 0.5 s)")
    assert " s behind, --max-lag 0.5 s" in next(p.held for p in watched.seen if p.held)


def test_a_hidden_lag_is_said(database: Make) -> None:
    dsn = database(TABLES)
    standby = Standby(dsn)
    result = consistent(audit(login(dsn, READ), GATED, select=ORPHANS, max_lag="1s"))
    standby.connection.finish()
    assert [note for note in result.notes if note.startswith("this login is not shown the lag of 1 standby: ")]


def test_limits_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="critical_load: 2 is lower than max_load, 5"):
        merged({}, {"max_load": 5, "critical_load": 2})
    with pytest.raises(ConfigError, match="max_load"):
        merged({}, {"max_load": -1})
