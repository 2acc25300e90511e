"""Probes in, answers out: on several connections, one probe a transaction; what failed has its reason."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import psycopg

from auditor.connection import Session, Target, reason_of
from auditor.errors import CannotConnectError
from auditor.plan import Task
from auditor.probe import Answer
from auditor.probe.textbook import Samples, ask

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
        started = time.monotonic()
        total = sum(task.cost for task in tasks)
        failed: list[BaseException] = []

        def work() -> None:
            session: Session | None = None
            try:
                while not self.stopped:
                    with self._lock:
                        if not queue:
                            return
                        number = queue.pop()
                        reading[number] = tasks[number].probe.table.sql
                    results[number], session = self._answer(tasks[number], session)
                    with self._lock:
                        reading.pop(number, None)
            except BaseException as error:  # raised again in the caller's thread
                failed.append(error)
                self._stopped.set()
            finally:
                self._release(session)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self.jobs, len(tasks)))]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            try:
                for thread in threads:
                    thread.join(0.1)
                with self._lock:
                    done = [n for n, result in enumerate(results) if result is not None]
                    names = tuple(reading.values())
                self.report(
                    Progress(
                        len(done),
                        len(tasks),
                        sum(tasks[n].cost for n in done),
                        total,
                        names,
                        time.monotonic() - started,
                    )
                )
            except KeyboardInterrupt:
                self.stop()
        if failed:
            raise failed[0]
        left = Failure("cancelled", "the audit was interrupted")
        return [result if result is not None else left for result in results]

    def _answer(self, task: Task, session: Session | None) -> tuple[Answer | Failure, Session | None]:
        failure = Failure("cancelled", "the audit was interrupted")
        for attempt in range(TRIES):
            if session is None or not session.alive:
                self._release(session)
                session = self._connect()
            if session is None:
                return Failure("lost_connection", self._unreachable), None
            started = time.monotonic()
            try:
                with session.transaction() as fetch:
                    answer = ask(task.probe, fetch, self.samples)
                    snapshot = fetch("SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text")[0][0]
                evidence = replace(answer.evidence, snapshot=snapshot, seconds=round(time.monotonic() - started, 4))
                return replace(answer, evidence=evidence), session
            except psycopg.Error as error:
                failure = Failure(*reason_of(error, session, started))
            if self.stopped or failure.reason not in ("standby_conflict", "lost_connection"):
                return failure, session
            time.sleep(0.2 * (attempt + 1))
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
