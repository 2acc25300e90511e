"""How old a snapshot of ours may become: VACUUM removes no row that it may still see (documentation: Routine Vacuuming).

In a REPEATABLE READ transaction the first query takes it, and it lasts until the transaction ends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from auditor.connection import Fetch, Row, Session, Target
from auditor.errors import CannotConnectError

_SLACK = 0.05  # part of the limit by which a query's own timeout may be longer than what is left


class TooOldError(Exception):
    """The transaction has lasted as long as it may."""


@contextmanager
def exported(target: Target) -> Iterator[str]:
    """A snapshot for the transactions of several sessions, held by a session of its own (documentation: Snapshot
    Synchronization Functions). Raises CannotConnectError where there is none to be had."""
    with Session(target) as session, ExitStack() as held:
        try:
            fetch = held.enter_context(session.transaction())
            fetch("SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true)")
            found = str(fetch("SELECT pg_catalog.pg_export_snapshot()")[0][0])
        except psycopg.Error as error:
            said = f"SQLSTATE {error.sqlstate}" if error.sqlstate else "the connection was lost"
            raise CannotConnectError(f"no snapshot for the whole audit is to be had: {said}") from None
        try:
            yield found
        finally:
            session.close()  # which ends the transaction, whether or not the server is still there


class Age:
    """The age of one transaction's snapshot."""

    def __init__(self, limit: float, timeout: float) -> None:
        """`limit` and `timeout`, the statement timeout that the transaction begins with, are in seconds; 0 is none."""
        self._limit = limit or math.inf
        self._timeout = timeout or math.inf
        self._began = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds."""
        return self._limit - (time.monotonic() - self._began)

    @property
    def over(self) -> bool:
        """Whether a query that the server has ended now was ended for its snapshot's age."""
        return self._limit < math.inf and self.left <= self._limit * _SLACK

    def kept(self, fetch: Fetch) -> Fetch:
        """`fetch`, which no query makes older than the limit. Raises TooOldError where one would begin too late."""

        def within(text: str) -> list[Row]:
            left = self.left
            if left <= 0:
                raise TooOldError
            if left < self._timeout - self._limit * _SLACK:
                self._timeout = left
                fetch(f"SELECT pg_catalog.set_config('statement_timeout', '{math.ceil(left * 1000)}', true)")
            return fetch(text)

        return fetch if self._limit == math.inf else within


def shorter(timeout: float, limit: float) -> float:
    """The statement timeout for a transaction whose snapshot may become so old; 0 is none."""
    return min(timeout or math.inf, limit) if limit else timeout
