"""Connections as libpq makes them, and the pinned read-only transaction that every query of an audit runs in."""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import generators, pq, waiting
from psycopg.abc import RV, PQGen
from psycopg.adapt import AdaptersMap, Buffer, Loader

from auditor.errors import CannotConnectError, ConfigError, SilentServerError, UsageError
from auditor.text import literal, one_line

logging.getLogger("psycopg").addHandler(logging.NullHandler())  # what it has to say about a lost connection, we say
if TYPE_CHECKING:
    from auditor.config import Settings

Row = tuple[str | None, ...]
Fetch = Callable[[str], list[Row]]

OLDEST = 130000
GRACE = 10.0  # seconds after the statement timeout until a server that says nothing is taken for lost
_LAST_WORD = 5.0  # seconds that the server has to react to a cancel of a session that is to end
# A network that drops everything is noticed within a minute; one that holds its peace is, too, by `_Patient`.
_KEEPALIVES = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
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
    "debug_parallel_query": "off",
    "force_parallel_mode": "off",
    "jit": "off",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "gin_fuzzy_search_limit": "0",
    "client_min_messages": "error",
    "exit_on_error": "off",
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


# What holds between transactions too, and in one that was aborted: set only where the session is ours alone. A server that hears
# nothing of us any more ends it after a minute, as we do.
_OF_THE_SESSION = {
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": _PINNED["idle_in_transaction_session_timeout"],
    "tcp_keepalives_idle": _KEEPALIVES["keepalives_idle"],
    "tcp_keepalives_interval": _KEEPALIVES["keepalives_interval"],
    "tcp_keepalives_count": _KEEPALIVES["keepalives_count"],
    "tcp_user_timeout": _KEEPALIVES["tcp_user_timeout"],
}


# Limits that the server may have preset; lifted first, before they end the transaction that lifts them.
_LIMITS = ("transaction_timeout", "idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout")


class _Text(Loader):
    """Every value as the text the server sent; a byte that is no UTF-8 survives as a lone surrogate."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "surrogateescape")


class SilentError(psycopg.OperationalError):
    """The server has not said anything for longer than any statement may take, or answers nobody else either; the
    connection is closed."""


class _Patient(psycopg.Connection[Any]):
    """Waits for an answer as long as a statement may take, and a little more.

    The server itself ends a statement at its timeout, but where the network goes silent nobody hears of it, and where
    something on the way goes on acknowledging what is sent the kernel does not notice either.
    """

    limit = math.inf  # seconds without a word of the server
    # The rest in time.monotonic()'s seconds.
    ends = math.inf  # no answer is waited for after that
    heard = 0.0  # the server's last word
    mute = math.inf  # since when the server answers nobody, once somebody has noticed; see `Session.lose`
    left_behind: pq.abc.PGcancelConn | None = None  # cancels what was asked and not answered, if that still runs

    def wait(self, gen: PQGen[RV], *args: Any, **options: Any) -> RV:
        return super().wait(self._bounded(gen), *args, **options)

    def _bounded(self, gen: PQGen[RV]) -> PQGen[RV]:
        """The same as `gen`, which psycopg resumes with nothing ready several times a second."""
        asked = time.monotonic()
        try:
            state = next(gen)
            while True:
                ready = yield state
                now = time.monotonic()
                if ready & waiting.Ready.R:
                    self.heard, self.mute = now, math.inf
                since = min(max(asked, self.heard), self.mute)
                if not ready and now >= min(since + self.limit, self.ends, self.mute):
                    if psycopg.capabilities.has_cancel_safe():
                        self.left_behind = self.pgconn.cancel_conn()
                    self.close()
                    raise SilentError(f"the server did not answer for {now - since:.0f} s")
                state = gen.send(ready)
        except StopIteration as done:
            answer: RV = done.value
            return answer

    def _try_cancel(self, *, timeout: float = _LAST_WORD) -> None:
        """What psycopg does first when its waiting is interrupted; without an answer to that none is waited for."""
        try:
            self.cancel_safe(timeout=min(timeout, _LAST_WORD))
        except psycopg.Error:
            self.ends = 0


class _OneStatement(psycopg.Cursor[Row]):
    """Sends every query by the extended protocol, which refuses a text of more than one statement: a condition of the
    configuration cannot end the transaction it runs in (documentation: Message Flow, Extended Query)."""

    def _execute_send(self, query: Any, *, force_extended: bool = False, binary: bool | None = None) -> None:
        super()._execute_send(query, force_extended=True, binary=binary)


class _AsText:
    """An adaptation context in which no type has a loader of its own."""

    connection = None

    def __init__(self) -> None:
        self.adapters = AdaptersMap()
        self.adapters.register_loader(0, _Text)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and under which limits. `statement_timeout` and `lock_timeout` are in seconds.

    At the pace `fast` a query gets the parallel workers and the memory that the server's own configuration gives: hashes
    that are cut into pieces of a cache's size are done sooner than large ones. At other paces it gets no worker, and more
    memory rather than files.
    """

    conninfo: str = field(default="", repr=False)  # may hold a password
    overrides: dict[str, str] = field(default_factory=dict, repr=False)
    statement_timeout: float = 600.0
    lock_timeout: float = 2.0
    allow_role: bool = False
    pace: str = "normal"

    def parameters(self) -> dict[str, Any]:
        """The connection parameters. Raises UsageError for a DSN that libpq cannot parse; the DSN is not repeated."""
        if misread(self.conninfo):
            raise UsageError(f"the DSN does not parse: {ESCAPES}")
        try:
            parsed = psycopg.conninfo.conninfo_to_dict(self.conninfo, **self.overrides)
        except psycopg.ProgrammingError:
            raise UsageError(
                "the DSN does not parse: expected postgresql://user@host:port/database or 'host=... dbname=...'"
            ) from None
        parsed.setdefault("fallback_application_name", "auditor")
        if "PGCONNECT_TIMEOUT" not in os.environ:
            parsed.setdefault("connect_timeout", "10")
        for name, value in _KEEPALIVES.items():
            parsed.setdefault(name, value)
        # Before any setting of the database or the role: what is sent to the server below must mean the same to it.
        parsed["client_encoding"] = "UTF8"
        return parsed


ESCAPES = "an @, : or / in its password has to be written %40, %3A or %2F"


def misread(conninfo: str) -> bool:
    """Whether libpq would take a part of the password for a host, a port or a database, and name it in its error.

    libpq ends the credentials of a URI at the first @ or / (documentation: Connection URIs).
    """
    scheme, separator, rest = conninfo.partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        return False
    credentials = re.match(r"[^@/]*@", rest)
    return "@" in rest[credentials.end() if credentials else 0 :].partition("?")[0]


def configured(
    settings: Settings, dsn: str = "", overrides: dict[str, str] | None = None, *, allow_role: bool = False
) -> Target:
    """Where and how the settings say to connect; `dsn`, where one is given, instead of their `[database] url`.

    Raises ConfigError for a password in the file, UsageError for a DSN that does not parse.
    """
    if not dsn and settings.database.url:
        dsn = settings.database.url
        if "password" in Target(dsn).parameters():
            raise ConfigError("[database] url holds a password; keep it in PGPASSWORD, .pgpass or a service file")
    options = settings.audit
    return Target(dsn, overrides or {}, options.statement_timeout, options.lock_timeout, allow_role, options.pace)


def services() -> set[str]:
    """The services that may be named here (documentation: The Connection Service File)."""
    own = os.environ.get("PGSERVICEFILE") or "~/.pg_service.conf"
    system = os.environ.get("PGSYSCONFDIR")
    found: set[str] = set()
    for file in (Path(own).expanduser(), *((Path(system) / "pg_service.conf",) if system else ())):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found |= {line.strip()[1:-1] for line in lines if line.strip().startswith("[") and line.strip().endswith("]")}
    return found


class Session:
    """One connection. Not shared between threads, but for `cancel` and `give_way`."""

    def __init__(self, target: Target) -> None:
        """Connects. Raises CannotConnectError with one line of the server's or libpq's words, never with a password."""
        self.target = target
        self.cancelled = False
        self.asked = time.monotonic()  # when the last query was sent
        self.pid = 0  # of the server's process
        self.importing = False  # while a transaction begins with a snapshot that another session has exported
        self.gave_way = threading.Event()  # set while a transaction is to end because others wait for its locks
        self.farewell = ("", "")  # SQLSTATE and words with which the server ended the session while nothing was asked
        self._ending = threading.Lock()
        parameters = target.parameters()
        try:
            self._connection = _Patient.connect(
                psycopg.conninfo.make_conninfo("", **parameters),
                autocommit=True,
                prepare_threshold=None,
                context=_AsText(),
            )
        except psycopg.Error as error:
            why = _why(error, parameters)
            raise (SilentServerError if isinstance(error, psycopg.errors.ConnectionTimeout) else CannotConnectError)(
                why
            ) from None
        self._connection.heard = time.monotonic()
        self._connection.add_notice_handler(self._take_leave)
        if target.statement_timeout:
            self._connection.limit = target.statement_timeout + GRACE
        info = self._connection.info
        self.host, self.port = info.host or "", info.port
        self._backend_pid = info.backend_pid
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
            raise CannotConnectError(f"the server ended the session: {self.farewell[1] or _primary(error)}") from None
        except BaseException:
            self.close()
            raise

    def _take_leave(self, notice: psycopg.errors.Diagnostic) -> None:
        # What comes while no query is under way is a notice to libpq; the next query says only that the connection is lost.
        if notice.severity_nonlocalized == "FATAL":
            self.farewell = (notice.sqlstate or "", one_line(notice.message_primary or ""))

    def _pin(self) -> str:
        # What is pinned below is not known yet, but names have to mean what they say.
        limits = [name for name in _LIMITS if name != "transaction_timeout" or self.version_num >= 170000]
        first = [*(f"SET LOCAL {name} = 0" for name in limits), "SET LOCAL search_path = ''", self._encoding]
        with self._within(
            "; ".join(["BEGIN READ ONLY", *first, "SET LOCAL standard_conforming_strings = on"])
        ) as fetch:
            settings = self._settings(fetch)
            if not self.pooled:
                wanted = ", ".join(f"({literal(name)}, {literal(value)})" for name, value in _OF_THE_SESSION.items())
                fetch(
                    "SELECT pg_catalog.set_config(s.name, w.value, false) FROM pg_catalog.pg_settings AS s"
                    f" JOIN (VALUES {wanted}) AS w (name, value) ON w.name = s.name WHERE s.context = 'user'"
                )
                fetch("COMMIT")
            return settings

    @property
    def _encoding(self) -> str:
        # A database in SQL_ASCII holds bytes of any encoding, and refuses to send what is no UTF-8 as such.
        server = self._connection.info.parameter_status("server_encoding")
        return f"SET LOCAL client_encoding = {'SQL_ASCII' if server == 'SQL_ASCII' else 'UTF8'}"

    def _settings(self, fetch: Fetch) -> str:
        role, login, pid = fetch("SELECT current_user, session_user, pg_catalog.pg_backend_pid()")[0]
        self.pid = int(str(pid))
        if role != login and not self.target.allow_role:
            raise CannotConnectError(
                f"the login {one_line(str(login))} acts as {one_line(str(role))}: a role is preset for it "
                "(ALTER ROLE ... SET role); connect as a login without one, or pass --allow-role"
            )
        names = ", ".join(literal(name) for name in _PINNED)
        # What a database or a role has preset is not the server's own.
        own = (
            " WHEN name IN ('max_parallel_workers_per_gather', 'work_mem', 'hash_mem_multiplier') THEN CASE WHEN source IN"
            " ('default', 'environment variable', 'configuration file', 'command line', 'global') THEN setting ELSE boot_val END"
        )
        known = fetch(
            f"SELECT name, CASE WHEN name LIKE 'enable\\_%' THEN boot_val{own if self.target.pace == 'fast' else ''} END"
            " FROM pg_catalog.pg_settings"
            f" WHERE (name LIKE 'enable\\_%' OR name IN ({names})) AND context = 'user'"
            # refused by servers on other systems (documentation: client_connection_check_interval)
            " AND (name <> 'client_connection_check_interval' OR pg_catalog.version() LIKE '%linux%')"
            " OR name = 'lc_messages' AND pg_catalog.current_setting('is_superuser') = 'on' ORDER BY name"
        )
        values = {str(name): boot if boot is not None else _PINNED[str(name)] for name, boot in known}
        values["statement_timeout"] = _milliseconds(self.target.statement_timeout)
        values["lock_timeout"] = _milliseconds(self.target.lock_timeout)
        del values["client_encoding"]
        order = [name for name in _LIMITS if name in values] + [name for name in values if name not in _LIMITS]
        # Behind a pooler another client may leave a role to us, as any other setting.
        acting = f"SET LOCAL role = {literal('none' if role == login else str(role))}"
        settings = [self._encoding, acting, *(f"SET LOCAL {name} = {literal(values[name])}" for name in order)]
        return "; ".join(["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", *settings])

    def _query(self, text: str) -> list[Row]:
        if self.cancelled or self.gave_way.is_set():
            raise psycopg.errors.QueryCanceled("the session was cancelled")
        self.asked = time.monotonic()
        with _OneStatement(self._connection) as cursor:
            cursor.execute(text.encode("utf-8", "surrogateescape"))
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def _within(self, begin: str) -> Iterator[Fetch]:
        interrupted = False
        try:
            self._connection.execute(begin.encode())
            yield self._query
        except KeyboardInterrupt:
            interrupted = True  # perhaps in the middle of a query; no error may come in its place
            raise
        finally:
            if not self._connection.closed and self._connection.info.transaction_status != pq.TransactionStatus.IDLE:
                try:
                    self._connection.execute(b"ROLLBACK")
                except psycopg.OperationalError:
                    if self.alive and not interrupted:  # else the transaction ended with the session
                        raise

    @contextmanager
    def transaction(self, snapshot: str = "") -> Iterator[Fetch]:
        """The pinned transaction; yields the function that runs one query in it. It always ends with ROLLBACK.

        It sees `snapshot`, which another session has exported, or one of its own. Raises psycopg.Error as the server sends it.
        """
        with self._ending:  # a cancel that is on its way is for what was before
            self.gave_way.clear()
        begin, self.importing = self._begin, bool(snapshot)
        if self.importing:  # before anything else is asked (documentation: SET TRANSACTION)
            begin = begin.replace(";", f"; SET TRANSACTION SNAPSHOT {literal(snapshot)};", 1)
        with self._within(begin) as fetch:
            self.importing = False
            if self.pooled:
                self.pid = int(str(fetch("SELECT pg_catalog.pg_backend_pid()")[0][0]))
            yield fetch

    @property
    def pooled(self) -> bool:
        """Whether a pooler stands in between, which lends another of the server's processes to each transaction."""
        return self.pid != self._backend_pid

    @property
    def alive(self) -> bool:
        """Whether the connection can still be used."""
        return not (self._connection.closed or self._connection.broken)

    @property
    def heard(self) -> float:
        """When the server last said something, in time.monotonic()'s seconds."""
        return self._connection.heard

    def lose(self, since: float) -> None:
        """Waits for no answer any more: the server has answered nobody since then. Not where this session has heard of it
        a moment ago. Safe from another thread."""
        if time.monotonic() - self.heard >= GRACE:
            self._connection.mute = since

    def cancel(self) -> None:
        """Asks the server to stop what this session runs; safe from another thread."""
        self.end()
        self._cancel()

    def end(self) -> None:
        """Asks nothing more, and waits some seconds at most for what is asked; safe from another thread."""
        if not self.cancelled:
            self._connection.ends = time.monotonic() + _LAST_WORD
        self.cancelled = True
        self.gave_way.set()

    def give_way(self) -> None:
        """Ends the transaction that is open, if one is, with what it runs; the session goes on with the next. Safe from
        another thread."""
        with self._ending:
            if self._connection.info.transaction_status != pq.TransactionStatus.IDLE:
                self.gave_way.set()
                self._cancel()

    def _cancel(self) -> None:
        try:
            self._connection.cancel_safe(timeout=_LAST_WORD)
        except psycopg.Error:
            self._connection.ends = 0  # closed by the thread that waits: under its hands nobody else may

    def cancel_left_behind(self) -> None:
        """Cancels what the server has not answered by the time that this session was closed for it, if it still runs. The
        server may not have noticed yet that nobody waits for it."""
        left, self._connection.left_behind = self._connection.left_behind, None
        if left is not None:
            with suppress(psycopg.Error):
                left.start()
                waiting.wait_conn(generators.cancel(left), interval=0.1, timeout=_LAST_WORD)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _milliseconds(seconds: float) -> str:
    """As the server's settings take it; 0 alone is no limit."""
    return str(math.ceil(seconds * 1000))


def _primary(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error) or type(error).__name__
    return one_line(text.strip().splitlines()[0] if text.strip() else type(error).__name__)


# libpq and psycopg begin a line for each server they tried; a name in it may hold line breaks of its own.
_ATTEMPT = re.compile(r"\n(?=connection to server |- host: |Multiple connection attempts failed)")


def _why(error: psycopg.Error, parameters: dict[str, Any]) -> str:
    """One line for a connection that failed: the last attempt's reason, without what may be secret."""
    attempts = [said.strip() for said in _ATTEMPT.split(str(error)) if said.strip()] or [type(error).__name__]
    text = next((said for said in attempts if "FATAL" in said), attempts[0])
    password = parameters.get("password")
    if password and not any(str(password) in str(v) for k, v in parameters.items() if k != "password"):
        text = text.replace(str(password), "***")
    text = text.removeprefix("connection failed: ").removeprefix("connection is bad: ")
    return one_line(re.sub(r"\n\s*", "; ", text))  # libpq's hints stand on lines of their own


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


def reason_of(error: psycopg.Error, session: Session) -> tuple[str, str]:
    """Why the session's last query failed: one of the contract's reasons, and our own words for the reader.

    The server's words are not repeated: they may carry row values. A statement timeout and a cancel have the same
    SQLSTATE; our own clock tells them apart.
    """
    state = error.sqlstate
    if session.cancelled:
        return "cancelled", "the audit was interrupted"
    if session.gave_way.is_set() and state in ("57014", None):
        return "lock", "others waited for its locks"
    if state == "57014":
        limit = session.target.statement_timeout
        if not limit or time.monotonic() - session.asked < limit * 0.95:
            return "cancelled", "somebody cancelled the query on the server"
        return "timeout", f"statement timeout of {limit:g} s"
    state = state or session.farewell[0] or None
    if state is None:
        silent = isinstance(error, SilentError)
        return "lost_connection", str(error) if silent else "the connection to the server was lost"
    if state == "53400":  # (documentation: temp_file_limit)
        return "budget", "the login's temp_file_limit is used up (SQLSTATE 53400)"
    if session.importing and state in ("22023", "42704"):
        return "lost_connection", "the session that held the snapshot of the whole audit was lost"
    if state in ("42P01", "42703", "3F000"):
        return "unsupported", f"the table changed after the catalog was read (SQLSTATE {state})"
    for prefix, reason in _REASONS:
        if state.startswith(prefix):
            return reason, f"SQLSTATE {state}"
    return "unsupported", f"SQLSTATE {state}"
