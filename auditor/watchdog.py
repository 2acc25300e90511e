"""Gives way: whoever waits for a lock that a query of the audit holds waits a fraction of a second for it, not for its end.

A SELECT keeps nobody from reading or writing, but ALTER TABLE has to wait for it, and every later query of the table waits
for ALTER TABLE (documentation: Explicit Locking, Table-Level Locks). So a connection of its own asks the server who waits
for whom, and cancels the query in the way.

It is also who notices that the server answers nobody: a look, unlike a query of the audit, is over in a moment.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from auditor.connection import Fetch, Session, SilentError, Target
from auditor.errors import CannotConnectError, SilentServerError

if TYPE_CHECKING:
    from auditor.gauge import Gauge

EVERY = 0.2  # seconds between two looks
_AGAIN = 10.0  # seconds until the next attempt to connect
# Seconds that a look may take. It reads memory alone and waits for no lock, and a server that is merely busy ends it then:
# no answer GRACE seconds later is none to anybody.
_LOOK = 5.0
_PATIENCE = 1.0  # seconds that the end of a run waits for a look: on a silent network it would last for ever


@contextmanager
def watching(
    target: Target,
    sessions: Callable[[], Iterable[Session]],
    *,
    after: float = EVERY,
    blind: Callable[[str], object] = lambda _: None,
    gauge: Gauge | None = None,
) -> Iterator[None]:
    """While the context lasts, each of `sessions` that others wait for gives way (`Session.give_way`); `gauge` looks too.

    The first look is `after` seconds from now: what ends sooner takes no second connection. Where none is to be had `blind`
    hears why, and a later look tries again. When the server answers nobody any more, the sessions are lost (`Session.lose`).
    """
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(target, sessions, after, blind, ended, gauge), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_PATIENCE)


def _watch(
    target: Target,
    sessions: Callable[[], Iterable[Session]],
    after: float,
    blind: Callable[[str], object],
    ended: threading.Event,
    gauge: Gauge | None,
) -> None:
    own: Session | None = None
    mute = math.inf  # since when no look was answered, on a connection that had worked
    wait = after
    while not ended.wait(wait):
        wait = EVERY
        watched = list(sessions())
        if not watched:  # who reads comes first, where connections are few
            if own is not None:
                own.close()
            continue
        try:
            if own is None or not own.alive:
                own = Session(replace(target, statement_timeout=_LOOK))
            with own.transaction() as fetch:
                for session in _in_the_way(fetch, watched):
                    session.give_way()
                if gauge is not None:
                    gauge.look(fetch, {session.pid for session in watched})
            mute = math.inf
        except psycopg.Error as error:  # its own session ended, or was cancelled: the next look has another
            if own is not None:
                if isinstance(error, SilentError):
                    mute = own.heard
                    if not own.pooled:  # of a pooler's the look may have waited for a connection to the server
                        _lose(watched, mute)
                own.close()
        except CannotConnectError as error:
            if mute < math.inf and isinstance(error, SilentServerError):
                _lose(sessions(), mute)
            blind(str(error))
            wait = _AGAIN
            if gauge is not None:
                gauge.blind()
    if own is not None:
        own.close()


def _lose(sessions: Iterable[Session], since: float) -> None:
    for session in sessions:
        session.lose(since)


def _in_the_way(fetch: Fetch, sessions: list[Session]) -> list[Session]:
    """Those of the sessions that somebody else's wait for a lock depends on."""
    by_pid = {session.pid: session for session in sessions}
    ours = ", ".join(map(str, by_pid))
    blocking = fetch(
        "SELECT DISTINCT b.pid FROM pg_catalog.pg_locks AS l, pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) AS b (pid)"
        f" WHERE NOT l.granted AND l.pid NOT IN ({ours}) AND b.pid IN ({ours})"
    )
    return [by_pid[int(str(pid))] for (pid,) in blocking]
