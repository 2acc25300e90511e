"""An audit through PgBouncer in transaction mode: each transaction may run in another process of the server.

These tests need the program pgbouncer; `make pooler` runs them.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from auditor.config import Settings
from auditor.connection import Session, Target
from auditor.doctor import examine
from auditor.errors import CannotConnectError
from tests.conftest import Make
from tests.helpers import audit, content, login, titles
from tests.test_cli import BIG, ORPHANS, SCHEMA, SLOW, started, wait_until
from tests.test_connection import BROKEN, CONFIG, EVIL, hostile_settings
from tests.test_faults import SECOND, network, soon_noticed
from tests.test_run import TABLES, Connection, consistent, held, orphan, outcomes

pytestmark = pytest.mark.pooler

ALL = [orphan("gate"), orphan("larger"), orphan("largest")]
Pool = Callable[..., str]


@contextmanager
def pgbouncer(dsn: str, mode: str, size: int) -> Iterator[str]:
    """The way to the database through a pooler that has `size` connections to it."""
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    with psycopg.connect(dsn) as connection:
        host, port = connection.info.host, connection.info.port
    with socket.create_server(("127.0.0.1", 0)) as free:
        listening = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="auditor-test-") as folder:
        os.chmod(folder, 0o755)
        users, settings = Path(folder) / "users", Path(folder) / "pgbouncer.ini"
        users.write_text(f'"{parts["user"]}" "{parts.get("password", "")}"\n')
        settings.write_text(
            f"[databases]\n{parts['dbname']} = host={host} port={port}\n[pgbouncer]\npool_mode = {mode}\n"
            f"default_pool_size = {size}\nlisten_addr = 127.0.0.1\nlisten_port = {listening}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\nclient_login_timeout = 5\n"
        )
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program, "these tests need pgbouncer: apt-get install pgbouncer"
        user = Path(host).owner() if host.startswith("/") else "nobody"  # who may open the socket
        other = ("-u", user) if os.getuid() == 0 else ()  # it refuses to run as root
        running = subprocess.Popen(
            [program, "-q", *other, str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        through = psycopg.conninfo.make_conninfo(
            dsn, host="127.0.0.1", port=str(listening), application_name="pooled", sslmode="disable"
        )
        try:
            end = time.monotonic() + 20
            while True:
                try:
                    psycopg.connect(through).close()
                    break
                except psycopg.OperationalError:
                    assert running.poll() is None
                    assert time.monotonic() < end
                    time.sleep(0.02)
            yield through
        finally:
            running.terminate()
            running.wait(20)


@pytest.fixture
def pool() -> Iterator[Pool]:
    """A function that puts a pooler before a database, and returns the way through it."""
    with ExitStack() as ending:
        yield lambda dsn, mode="transaction", size=3: ending.enter_context(pgbouncer(dsn, mode, size))


def at_work(connection: Connection) -> list[Any]:
    """What the pooler's connections are at, but for nothing."""
    found = connection.execute(
        "SELECT state, query FROM pg_stat_activity WHERE application_name = 'pooled' AND state <> 'idle'"
        " AND datname = current_database()"
    )
    return found.fetchall()


def settings(connection: Connection) -> dict[Any, Any]:
    return dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())


def test_findings_are_the_same_and_nothing_is_set_for_others(database: Make, pool: Pool) -> None:
    dsn = database(BROKEN)
    through = pool(dsn, size=1)
    with psycopg.connect(through, autocommit=True, prepare_threshold=None) as other:
        before = settings(other)
        pid = other.execute("SELECT pg_backend_pid()").fetchone()
        usual = audit(dsn, CONFIG, depth="full", samples="full")
        assert content(audit(through, CONFIG, depth="full", samples="full", jobs=2)) == content(usual)
        assert len(usual.findings) >= 3
        assert other.execute("SELECT pg_backend_pid()").fetchone() == pid  # the process that the audit ran in
        assert settings(other) == before
    with psycopg.connect(dsn, autocommit=True) as direct:
        assert at_work(direct) == []


def test_what_another_client_leaves_behind_changes_nothing(database: Make, pool: Pool, version: int) -> None:
    """The next client of a pooler's connection finds it as the last one has left it: a role too."""
    dsn = database(EVIL, BROKEN, "CREATE TABLE private (id int PRIMARY KEY)")
    few = str(psycopg.conninfo.conninfo_to_dict(login(dsn))["user"])
    usual = audit(dsn, CONFIG, depth="full", samples="full")
    through = pool(dsn, size=1)
    with psycopg.connect(through, autocommit=True, prepare_threshold=None) as other, Session(Target(through)) as ours:
        for name, value in hostile_settings(version).items():
            if name != "client_encoding":  # the pooler itself gives each client its own
                other.execute(f"SET {name} = {value}".encode())
        assert content(audit(through, CONFIG, depth="full", samples="full", jobs=2)) == content(usual)
        with ours.transaction() as fetch:
            (me,) = fetch("SELECT current_user")
        other.execute(f"SET role = {few}".encode())
        with ours.transaction() as fetch:
            assert fetch("SELECT current_user") == [me]
            assert fetch("SELECT id FROM public.private") == []
        with pytest.raises(CannotConnectError, match=f"acts as {few}"):
            Session(Target(through))
        other.execute("RESET ALL; RESET role")


def test_a_process_that_is_terminated_behind_the_pooler_is_followed_by_another(database: Make, pool: Pool) -> None:
    dsn = database(TABLES)
    with held(dsn, through=pool(dsn)) as (gate, running):
        first = gate.waiting()
        gate.do(f"SELECT pg_terminate_backend({first})")
        gate.waiting(after=first)
        gate.open()
        result = consistent(running.result(30))
        assert at_work(gate.connection) == []
    assert titles(result) == ALL
    assert result.run.status == "complete"


def test_others_are_given_way_to_through_a_pooler(database: Make, pool: Pool) -> None:
    dsn = database(TABLES)
    with held(dsn, through=pool(dsn)) as (gate, running), psycopg.connect(dsn) as other:
        gate.waiting()
        started_at = time.monotonic()
        other.execute("LOCK TABLE gate IN ACCESS EXCLUSIVE MODE")
        assert time.monotonic() - started_at < 1
        other.rollback()
        gate.waiting()
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == ALL
    assert [note for note in result.notes if "public.gate (1)" in note]


def test_who_watches_takes_nobody_for_lost_while_the_pool_is_empty(
    database: Make, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon_noticed(monkeypatch)
    monkeypatch.setattr("auditor.watchdog._LOOK", 0.2)
    dsn = database(TABLES)
    through = pool(dsn, size=2)
    with (
        held(dsn, through=through) as (gate, running),
        psycopg.connect(through, autocommit=True, prepare_threshold=None) as other,
    ):
        first = gate.waiting()
        time.sleep(1)
        other.execute("BEGIN")
        time.sleep(2)
        asked = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted"
        assert gate.connection.execute(asked).fetchall() == [(first,)]
        other.execute("ROLLBACK")
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == ALL


def test_a_network_to_the_pooler_that_goes_silent_is_noticed(
    database: Make, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who watches may have waited for a connection of the pooler's; that it cannot connect any more decides."""
    soon_noticed(monkeypatch)
    dsn = database(TABLES)
    with (
        network(pool(dsn)) as way,
        held(dsn, SECOND, through=way.through) as (gate, running),
        closing(way),
    ):
        gate.waiting()
        time.sleep(1)
        way.silence()
        result = consistent(running.result(30))
    assert outcomes(result)["larger"] == ("not_checked", "lost_connection")


def test_a_pool_of_one_is_enough_for_several_jobs(database: Make, pool: Pool) -> None:
    dsn = database(TABLES)
    with held(dsn, through=pool(dsn, size=1), jobs=3) as (gate, running):
        gate.waiting()
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == ALL
    assert result.run.status == "complete"


def test_a_killed_auditor_leaves_no_query_behind_the_pooler(
    database: Make, version: int, pool: Pool, tmp_path: Path
) -> None:
    """The pooler closes its connection too; before 14 the server does not look whether anybody is there."""
    timeout = "10min" if version >= 14 else "3s"
    dsn = database(SCHEMA, BIG)
    (tmp_path / "auditor.toml").write_text(SLOW)
    with (
        psycopg.connect(dsn, autocommit=True) as watching,
        started(pool(dsn), tmp_path, *ORPHANS, "--statement-timeout", timeout) as auditor,
    ):
        wait_until(watching, "pg_sleep(0.3)", there=True, seconds=30)
        auditor.kill()
        auditor.communicate(timeout=30)
        wait_until(watching, "pg_sleep(0.3)", there=False, seconds=15)
        assert at_work(watching) == []


def test_the_doctor_knows_a_pooler_and_what_follows(database: Make, pool: Pool) -> None:
    dsn = database(TABLES)
    through = pool(dsn)
    (advice,) = [advice for advice in examine(Settings(), Target(through)) if "pooler" in advice.text]
    assert advice.level == "note"
    assert "another process to each transaction" in advice.text
    assert "may have to wait for a connection of the pooler's" in advice.text
    assert not [advice for advice in examine(Settings(), Target(dsn)) if "pooler" in advice.text]


def test_a_pooler_that_pools_statements_is_refused(database: Make, pool: Pool) -> None:
    with pytest.raises(CannotConnectError) as refused:
        Session(Target(pool(database(TABLES), mode="statement")))
    assert "transaction blocks not allowed in statement pooling mode" in str(refused.value)
    assert "\n" not in str(refused.value)
