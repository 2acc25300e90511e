"""Probes in, answers out: on several connections, one probe a transaction; what failed has its reason."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import psycopg

from auditor.catalog.model import Table
from auditor.connection import Session, Target, reason_of
from auditor.errors import CannotConnectError
from auditor.plan import Task
from auditor.probe import Answer, UnansweredError
from auditor.probe.textbook import Samples, ask
from auditor.text import literal

TRIES = 3  # of a probe that a standby's recovery, or a lost connection, took away
_PATIENCE = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds between attempts to reach a server that went away


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer: one of the contract's reasons, and words for the reader."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is. Costs are in pages; `reading` names the tables being read now."""

    done: int
    total: int
    cost_done: int
    cost_total: int
    reading: tuple[str, ...]
    seconds: float


def _moment(tables: list[Table]) -> str:
    """Asks for the snapshot, and what the names of the tables stand for: locked since they were read, they cannot move.

    to_regclass knows no U&"..." (documentation: System Information Functions).
    """
    plain = (".".join('"' + part.replace('"', '""') + '"' for part in (table.schema, table.name)) for table in tables)
    names = (f"pg_catalog.to_regclass({literal(name)})::pg_catalog.oid::pg_catalog.text" for name in plain)
    return f"SELECT {', '.join(('pg_catalog.pg_current_snapshot()::pg_catalog.text', *names))}"


@dataclass
class Runner:
    """Answers tasks on up to `jobs` connections. `stop` may be called from a signal handler or another thread."""

    target: Target
    jobs: int
    samples: Samples
    report: Callable[[Progress], None] = lambda _: None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sessions: set[Session] = field(default_factory=set)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _unreachable: str = ""

    def stop(self) -> None:
        """Cancels what runs on the server and takes nothing new; answers that are in stay."""
        self._stopped.set()
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.cancel()

    @property
    def stopped(self) -> bool:
        """Whether the run was interrupted."""
        return self._stopped.is_set()

    def run(self, tasks: list[Task]) -> list[Answer | Failure]:
        """One answer or failure per task, in order. A KeyboardInterrupt stops the run and is not raised on."""
        results: list[Answer | Failure | None] = [None] * len(tasks)
        queue = list(range(len(tasks)))
        queue.reverse()
        reading: dict[int, str] = {}
        failed: list[BaseException] = []
        working = min(self.jobs, len(tasks))

        def take(given_back: int | None = None) -> int | None:
            """The next task, or None for a worker that is to end: there is none left, or others can reach the server."""
            nonlocal working
            with self._lock:
                if given_back is not None:
                    del reading[given_back]
                    if working > 1 and not self.stopped:
                        queue.append(given_back)
                        self._unreachable = ""
                    elif not self.stopped:
                        results[given_back] = Failure("lost_connection", self._unreachable)
                if self.stopped or not queue or (given_back is not None and working > 1):
                    working -= 1
                    return None
                number = queue.pop()
                reading[number] = tasks[number].probe.table.sql
                return number

        def work() -> None:
            session: Session | None = None
            number = None
            try:
                number = take()
                while number is not None:
                    answer, session = self._answer(tasks[number], session)
                    if answer is None:
                        number = take(number)
                        continue
                    with self._lock:
                        results[number] = answer
                        del reading[number]
                    number = take()
            except BaseException as error:  # raised again in the caller's thread
                failed.append(error)
                self._stopped.set()
            finally:
                self._release(session)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(working)]
        started = time.monotonic()

        def progress() -> Progress:
            with self._lock:
                done = [n for n, result in enumerate(results) if result is not None]
                names = tuple(reading.values())
            cost, total = sum(tasks[n].cost for n in done), sum(task.cost for task in tasks)
            return Progress(len(done), len(tasks), cost, total, names, time.monotonic() - started)

        while True:
            try:
                self._watch(threads, progress)
                break
            except KeyboardInterrupt:
                self.stop()
            except BaseException:
                self.stop()
                raise
        if failed:
            raise failed[0]
        left = Failure("cancelled", "the audit was interrupted")
        return [result if result is not None else left for result in results]

    def _watch(self, threads: list[threading.Thread], progress: Callable[[], Progress]) -> None:
        """Starts the threads, unless they run already, and waits for their end."""
        for thread in threads:
            if thread.ident is None and not self.stopped:
                thread.start()
        while alive := [thread for thread in threads if thread.is_alive()]:
            alive[0].join(0.1)
            if self.stopped:
                self.stop()  # again: a query may have begun after the last cancel
            self.report(progress())

    def _answer(self, task: Task, session: Session | None) -> tuple[Answer | Failure | None, Session | None]:
        """The answer or why there is none, and the session to go on with; no answer where no session is to be had."""
        failure = Failure("cancelled", "the audit was interrupted")
        for attempt in range(TRIES):
            if session is None or not session.alive:
                self._release(session)
                session = self._connect()
            if session is None:
                return None, None
            started = time.monotonic()
            tables = list(dict.fromkeys(table for table, _ in task.probe.reads()))
            try:
                with session.transaction() as fetch:
                    answer = ask(task.probe, fetch, self.samples)
                    snapshot, *oids = fetch(_moment(tables))[0]
                if oids != [str(table.oid) for table in tables]:
                    return Failure(
                        "unsupported", "another table has taken the name of one that was planned for"
                    ), session
                evidence = replace(answer.evidence, snapshot=snapshot, seconds=round(time.monotonic() - started, 4))
                return replace(answer, evidence=evidence), session
            except UnansweredError as error:
                return Failure("unsupported", str(error)), session
            except psycopg.Error as error:
                failure = Failure(*reason_of(error, session))
            if self.stopped or failure.reason not in ("standby_conflict", "lost_connection"):
                return failure, session
            self._stopped.wait(0.2 * (attempt + 1))
        return failure, session

    def _connect(self) -> Session | None:
        """A new session, or None when the server stays away; then nobody waits for it again in this run."""
        for patience in (*_PATIENCE, None):
            if self.stopped or self._unreachable:
                return None
            try:
                session = Session(self.target)
            except CannotConnectError as error:
                if patience is None:
                    self._unreachable = str(error)
                    return None
                self._stopped.wait(patience * random.uniform(0.8, 1.2))
            else:
                with self._lock:
                    self._sessions.add(session)
                return session
        return None

    def _release(self, session: Session | None) -> None:
        if session is not None:
            with self._lock:
                self._sessions.discard(session)
            session.close()
