"""Connections as libpq makes them, and the pinned read-only transaction that every query of an audit runs in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import AdaptersMap, Buffer, Loader

from auditor.errors import CannotConnectError, UsageError
from auditor.text import literal, one_line

Row = tuple[str | None, ...]
Fetch = Callable[[str], list[Row]]

OLDEST = 130000
# What a probe may take of the server. Nothing here is inherited: whoever owns the database may have preset any of it.
_PINNED = {
    "search_path": "",
    "row_security": "off",
    "constraint_exclusion": "off",
    "restrict_nonsystem_relation_kind": "view,foreign-table",
    "idle_in_transaction_session_timeout": "60s",
    "transaction_timeout": "0",
    "client_connection_check_interval": "5s",
    "work_mem": "64MB",
    "hash_mem_multiplier": "2",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "client_min_messages": "error",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "default_text_search_config": "pg_catalog.simple",
    "lc_messages": "C",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "array_nulls": "on",
    "plan_cache_mode": "auto",
    "quote_all_identifiers": "off",
    "synchronize_seqscans": "on",
    "default_transaction_deferrable": "off",
}


class _Text(Loader):
    """Every value as the text the server sent; a byte that is no UTF-8 survives as a lone surrogate."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "surrogateescape")


class _AsText:
    """An adaptation context in which no type has a loader of its own."""

    connection = None

    def __init__(self) -> None:
        self.adapters = AdaptersMap()
        self.adapters.register_loader(0, _Text)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and under which limits. `statement_timeout` and `lock_timeout` are in seconds."""

    conninfo: str = ""
    overrides: dict[str, str] = field(default_factory=dict)
    statement_timeout: float = 600.0
    lock_timeout: float = 2.0
    allow_role: bool = False

    def parameters(self) -> dict[str, Any]:
        """The connection parameters. Raises UsageError for a DSN that libpq cannot parse; the DSN is not repeated."""
        try:
            parsed = psycopg.conninfo.conninfo_to_dict(self.conninfo, **self.overrides)
        except psycopg.ProgrammingError:
            raise UsageError(
                "the DSN does not parse: expected postgresql://user@host:port/database or 'host=... dbname=...'"
            ) from None
        parsed.setdefault("fallback_application_name", "auditor")
        if "PGCONNECT_TIMEOUT" not in os.environ:
            parsed.setdefault("connect_timeout", "10")
        return parsed


class Session:
    """One connection. Not shared between threads, but for `cancel`."""

    def __init__(self, target: Target) -> None:
        """Connects. Raises CannotConnectError with one line of the server's or libpq's words, never with a password."""
        self.target = target
        self.cancelled = False
        parameters = target.parameters()
        try:
            self._connection = psycopg.connect(
                psycopg.conninfo.make_conninfo("", **parameters),
                autocommit=True,
                prepare_threshold=None,
                context=_AsText(),
            )
        except psycopg.Error as error:
            raise CannotConnectError(_why(error, parameters)) from None
        info = self._connection.info
        self.host, self.port = info.host or "", info.port
        self.version_num = info.server_version
        if self.version_num < OLDEST:
            self.close()
            raise CannotConnectError(
                f"the server is PostgreSQL {self.version_num // 10000}; the auditor knows 13 and later"
            )
        try:
            self._begin = self._pin()
        except psycopg.Error as error:
            self.close()
            raise CannotConnectError(f"the server ended the session: {_primary(error)}") from None

    def _pin(self) -> str:
        role, login = self._query("SELECT current_user::text, session_user::text")[0]
        if role != login and not self.target.allow_role:
            raise CannotConnectError(
                f"the login {one_line(str(login))} acts as {one_line(str(role))}: a role is preset for it "
                "(ALTER ROLE ... SET role); connect as a login without one, or pass --allow-role"
            )
        names = ", ".join(literal(name) for name in _PINNED)
        known = self._query(
            "SELECT name, CASE WHEN name LIKE 'enable\\_%' THEN boot_val END FROM pg_catalog.pg_settings"
            f" WHERE (name LIKE 'enable\\_%' OR name IN ({names})) AND context = 'user'"
            # refused by servers on other systems (documentation: client_connection_check_interval)
            " AND (name <> 'client_connection_check_interval' OR pg_catalog.version() LIKE '%linux%')"
            " OR name = 'lc_messages' AND pg_catalog.current_setting('is_superuser') = 'on' ORDER BY name"
        )
        timeouts = {
            "statement_timeout": f"{int(self.target.statement_timeout * 1000)}",
            "lock_timeout": f"{int(self.target.lock_timeout * 1000)}",
        }
        values = {str(name): boot if boot is not None else _PINNED[str(name)] for name, boot in known}
        settings = [f"SET LOCAL {name} = {literal(value)}" for name, value in {**values, **timeouts}.items()]
        return "; ".join(["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", *settings])

    def _query(self, text: str) -> list[Row]:
        cursor = self._connection.execute(text.encode("utf-8", "surrogateescape"))
        return cursor.fetchall() if cursor.description else []

    @contextmanager
    def transaction(self) -> Iterator[Fetch]:
        """The pinned transaction; yields the function that runs one query in it. It always ends with ROLLBACK.

        Raises psycopg.Error as the server sends it.
        """
        self._connection.execute(self._begin.encode())
        try:
            yield self._query
        finally:
            if not self._connection.closed and self._connection.info.transaction_status != pq.TransactionStatus.IDLE:
                self._connection.execute(b"ROLLBACK")

    @property
    def alive(self) -> bool:
        """Whether the connection can still be used."""
        return not (self._connection.closed or self._connection.broken)

    def cancel(self) -> None:
        """Asks the server to stop what this session runs; safe from another thread."""
        self.cancelled = True
        try:
            self._connection.cancel_safe(timeout=5)
        except psycopg.Error:
            self._connection.close()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _primary(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error) or type(error).__name__
    return one_line(text.strip().splitlines()[0] if text.strip() else type(error).__name__)


def _why(error: psycopg.Error, parameters: dict[str, Any]) -> str:
    """One line for a connection that failed: the last attempt's reason, without what may be secret."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = lines[0]
    for line in lines:
        if "FATAL" in line:
            text = line
            break
    password = parameters.get("password")
    if password:
        text = text.replace(str(password), "***")
    return one_line(text.removeprefix("connection failed: "))


# SQLSTATE classes (documentation: Appendix A) and what they mean for a probe: the contract's reason.
_REASONS = (
    ("42501", "permission"),
    ("55P03", "lock"),
    ("40", "standby_conflict"),
    ("25P0", "timeout"),
    ("57014", "timeout"),
    ("57P05", "lost_connection"),
    ("57P", "lost_connection"),
    ("08", "lost_connection"),
    ("53", "budget"),
    ("54", "budget"),
)


def reason_of(error: psycopg.Error, session: Session | None, started: float) -> tuple[str, str]:
    """Why a probe could not be answered: one of the contract's reasons, and our own words for the reader.

    The server's words are not repeated: they may carry row values.
    """
    state = error.sqlstate
    if state == "57014":
        if session is not None and session.cancelled:
            return "cancelled", "the audit was interrupted"
        limit = session.target.statement_timeout if session is not None else 0
        if limit and time.monotonic() - started < limit * 0.95:
            return "cancelled", "somebody cancelled the query on the server"
        return "timeout", f"statement timeout of {limit:g} s"
    if state is None:
        return "lost_connection", "the connection to the server was lost"
    if state in ("42P01", "42703", "3F000", "42704", "42883", "42804"):
        return "unsupported", f"the table changed after the catalog was read (SQLSTATE {state})"
    for prefix, reason in _REASONS:
        if state.startswith(prefix):
            return reason, f"SQLSTATE {state}"
    return "unsupported", f"SQLSTATE {state}"
