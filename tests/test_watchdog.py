"""Nobody waits long for the auditor: what others wait for is given up, and asked again later."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import auditor.run
from auditor.audit import Auditor, open_catalog
from auditor.config import merged
from auditor.connection import Session, Target
from auditor.probe.textbook import Samples
from auditor.snapshot import Age
from tests.conftest import Make
from tests.helpers import audit, login, titles
from tests.test_run import GATED, ORPHANS, TABLES, consistent, held, nothing_left, orphan, outcomes, reference

# Reads for far longer than the test would wait: about a second for a million.
SLOW = "(SELECT count(*) FROM pg_catalog.generate_series(1, 400000000)) > id"


def probing(connection: psycopg.Connection[tuple[object, ...]], table: str) -> None:
    """Waits until a query of the audit has been reading the table for a while."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if connection.execute(
            "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE relation = %s::regclass"
            " AND application_name = 'auditor' AND state = 'active' AND query_start < now() - interval '0.3 s'",
            (table,),
        ).rowcount:
            return
        time.sleep(0.02)
    raise AssertionError(f"no probe reads {table}")


def test_a_queued_alter_table_and_the_readers_behind_it_wait_less_than_a_second(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor.run, "_WAYS", (0.5, 0.5))
    dsn = database(TABLES)
    waits: list[float] = []
    done = threading.Event()

    def reader() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not done.wait(0.02):
                started = time.monotonic()
                connection.execute("SELECT count(*) FROM gate")
                waits.append(time.monotonic() - started)

    altered: list[float] = []
    with ThreadPoolExecutor(4) as pool, psycopg.connect(dsn, autocommit=True) as other:
        running = pool.submit(audit, dsn, reference("gate", SLOW) + reference("larger"), select=ORPHANS, jobs=1)
        for _ in range(2):
            pool.submit(reader)
        other.execute("SET lock_timeout = '5s'")
        try:
            for number in range(3):
                probing(other, "gate")
                started = time.monotonic()
                other.execute(f"ALTER TABLE gate ADD COLUMN c{number} int".encode())
                altered.append(time.monotonic() - started)
            result = consistent(running.result(30))
        finally:
            done.set()
        nothing_left(other)
    assert len(waits) > 50
    assert max(waits) < 1
    assert max(altered) < 1
    assert outcomes(result) == {"gate": ("not_checked", "lock"), "larger": ("failed", None)}
    (left_out,) = [entry for entry in result.coverage if entry.outcome == "not_checked"]
    assert left_out.detail == "others waited for its locks, 3 times"
    assert (
        "queries were given up 3 times, and asked again, because others waited for their locks: public.gate (3)"
        in result.notes
    )


@pytest.mark.parametrize("pace", ["gentle", "normal", "fast"])
def test_what_gave_way_is_asked_again(database: Make, pace: str) -> None:
    dsn = database(TABLES)
    with held(dsn, pace=pace) as (gate, running), psycopg.connect(dsn) as other:
        first = gate.waiting()
        started = time.monotonic()
        other.execute("LOCK TABLE gate IN ACCESS EXCLUSIVE MODE")
        assert time.monotonic() - started < 1
        other.rollback()
        again = gate.waiting()
        assert again == first  # the session goes on
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == [orphan("gate"), orphan("larger"), orphan("largest")]
    assert [note for note in result.notes if "public.gate (1)" in note]


def test_a_rest_is_ended_for_others(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gentle pace rests with its transaction open."""
    dsn = database(TABLES)
    target = Target(dsn)
    with Session(target) as session:
        runner = auditor.run.Runner(target, 1, Samples(), open_catalog(session))
        with session.transaction() as fetch, psycopg.connect(dsn) as other, ThreadPoolExecutor(1) as pool:
            monkeypatch.setattr(auditor.run, "_LONGEST_REST", 30)
            rested = runner._rested(fetch, session, Age(0, 0))
            work = "SELECT count(*) FROM public.gate, pg_catalog.generate_series(1, 5000000)"
            waiting = pool.submit(rested, work)
            while not other.execute("SELECT 1 FROM pg_locks WHERE relation = 'gate'::regclass").fetchone():
                time.sleep(0.01)
            session.give_way()
            with pytest.raises(psycopg.errors.QueryCanceled):
                waiting.result(5)


@pytest.mark.once
def test_no_rest_is_longer_than_a_transaction_may_be_idle(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would end the session after a minute."""
    monkeypatch.setattr(auditor.run, "_LONGEST_IDLE", 0.0)
    target = Target(database())
    with Session(target) as session:
        runner = auditor.run.Runner(target, 1, Samples(), open_catalog(session))
        with session.transaction() as fetch:
            started = time.monotonic()
            runner._rested(fetch, session, Age(0, 0))("SELECT pg_catalog.pg_sleep(2)")
            assert time.monotonic() - started < 3.8


def test_who_waits_for_something_else_is_left_alone(database: Make) -> None:
    dsn = database(TABLES, "CREATE TABLE elsewhere (id int)")
    with held(dsn, GATED) as (gate, running), psycopg.connect(dsn) as one, psycopg.connect(dsn) as two:
        gate.waiting()
        one.execute("LOCK TABLE elsewhere")
        two.execute("SET lock_timeout = 1000")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            two.execute("LOCK TABLE elsewhere")
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == [orphan("gate"), orphan("larger"), orphan("largest")]
    assert not [note for note in result.notes if "given up" in note]


def test_no_second_connection_is_no_reason_not_to_audit(database: Make) -> None:
    dsn = database(TABLES)
    limited = login(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", options="CONNECTION LIMIT 1")
    settings = merged({}, {"select": ORPHANS, "jobs": 1})
    result = consistent(Auditor(settings, Target(limited)).run())
    assert result.run.status == "complete"


def test_reading_the_catalog_gives_way_too(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.audit._UNWATCHED", 0.05)
    dsn = database(TABLES)
    begun = threading.Event()
    times: list[int] = []

    def meanwhile() -> None:
        if not begun.is_set():
            begun.set()
            time.sleep(0.7)  # as a large catalog would take
        times.append(1)

    with Session(Target(dsn)) as session, psycopg.connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(open_catalog, session, meanwhile=meanwhile)
        begun.wait(5)
        started = time.monotonic()
        other.execute("LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE")
        assert time.monotonic() - started < 1
        other.rollback()
        catalog = reading.result(20)
    assert {table.name for table in catalog.tables.values()} == {"gate", "larger", "largest", "targets"}
