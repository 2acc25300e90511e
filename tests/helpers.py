"""What several tests do: audit a database with a piece of configuration."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Hashable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeVar

import psycopg
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from auditor.audit import Audit, Auditor, to_json
from auditor.catalog.model import Statement
from auditor.config import merged
from auditor.connection import Target


def audit(dsn: str, config: str = "", statements: tuple[Statement, ...] = (), **options: Any) -> Audit:
    """An audit of `dsn`; `options` are those of `[audit]`. Nobody else writes there, unless a test says so with `settle`."""
    settings = merged(tomllib.loads(config), {"settle": 0, **options})
    limits = settings.audit
    target = Target(dsn, statement_timeout=limits.statement_timeout, lock_timeout=limits.lock_timeout)
    return Auditor(settings, target, statements).run()


def titles(result: Audit) -> list[str]:
    """The titles of all findings, sorted."""
    return sorted(finding.title for finding in result.findings)


def content(result: Audit) -> str:
    """All that a report says about the database, without when it was read."""
    data = to_json(result)

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if k not in ("seconds", "snapshot", "seen_again")}
        return [timeless(v) for v in value] if isinstance(value, list | tuple) else value

    return json.dumps(timeless({name: data[name] for name in ("summary", "findings", "coverage")}), indent=1)


Made = TypeVar("Made", bound=Hashable)


def drawn(strategy: SearchStrategy[Made], size: int, first: int) -> list[Made]:
    """`size` different random values; the seeds from `first` on make the same again."""
    found: dict[Made, None] = {}
    for number in itertools.count():
        if len(found) >= size:
            break

        @seed(first + number)
        @settings(
            max_examples=max(size - len(found), 20),
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def collect(made: Made) -> None:
            found[made] = None

        collect()
    return list(found)[:size]


_logins = itertools.count(1)


def login(dsn: str, *grants: str, options: str = "") -> str:
    """The DSN of a new role that may log in, for the database of `dsn`; `{role}` in a grant stands for its name.

    Roles are not dropped: the server goes with the tests.
    """
    role = f"login_{os.getpid()}_{next(_logins)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET password_encryption = 'scram-sha-256'")
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'a secret' {options}".encode())
        for grant in grants:
            connection.execute(grant.replace("{role}", role).encode())
    return psycopg.conninfo.make_conninfo(dsn, user=role, password="a secret")


def run_auditor(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> CompletedProcess[str]:
    """The command as a user runs it, in a directory of its own."""
    return subprocess.run(
        [sys.executable, "-m", "auditor", *arguments],
        cwd=cwd,
        env=plain_environment(environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def plain_environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would connect the auditor somewhere else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, **(more or {})}
