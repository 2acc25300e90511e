"""Probes in, answers out: on several connections, the relations of one table or one other probe a transaction; what
failed has its reason."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import psycopg

from auditor.catalog.model import Catalog, Table
from auditor.catalog.read import read_foreign_code
from auditor.check import Finding, Severity
from auditor.connection import Fetch, Row, Session, Target, reason_of
from auditor.errors import CannotConnectError
from auditor.gauge import Gauge, Limits
from auditor.plan import Task, hindrance, units
from auditor.probe import Answer, Failure, Matching, UnansweredError
from auditor.probe.again import LOOKS, READINGS, Doubt
from auditor.probe.choice import TEXTBOOK, Facts
from auditor.probe.slices import Sliceable, Sliced, sliced
from auditor.probe.strategies import answers, measured
from auditor.probe.textbook import Samples, ask
from auditor.snapshot import Age, TooOldError, shorter
from auditor.text import literal, plural
from auditor.watchdog import watching

TRIES = 3  # of a probe that a standby's recovery, or a lost connection, took away
SLICE = 16_384  # pages that the pace `gentle` reads between two rests: 128 MiB
_LONGEST_REST = 60.0
_LONGEST_IDLE = 45.0  # of it with a transaction open, which the server would end after a minute
_GIVEN = 19  # seconds that the pace `gentle` rests for each it reads while others are active; 1 while nobody is
_PATIENCE = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between attempts to reach a server that went away
_ALONE = 3  # attempts of one worker while another has its connection: there may be no more than that
_FRESH = 0.1  # seconds for which it is taken for known whose code planning would run
_LAST = 0.5  # seconds beside looking at rows that a run may take on once it has been stopped
_WAYS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before what gave way to others is asked again


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is. Costs are in seconds of one backend, about; `reading` names the tables being read now, `waiting`
    those that are asked again because others waited for them, `held` why nothing new begins now."""

    done: int
    total: int
    cost_done: float
    cost_total: float
    reading: tuple[str, ...]
    seconds: float
    waiting: tuple[str, ...] = ()
    held: str = ""


_NOT_ITS_OWN = ("cancelled", "standby_conflict", "lost_connection")  # reasons that do not lie in the question
_INTERRUPTED = Failure("cancelled", "the audit was interrupted")
_SPENT = Failure("budget", "the time budget was used up")
_REPLACED = Failure("unsupported", "another table has taken the name of one that was planned for")
_LONG = 0.25  # of the longest life of a snapshot: what is estimated to last longer is read in slices from the start
_AIM = {"gentle": 1 / 12, "normal": 1 / 2, "fast": 1 / 2}  # of it: how long a slice is to last, at each pace


def _moment(tables: list[Table]) -> str:
    """Asks for the snapshot, and what the names of the tables stand for: locked since they were read, they cannot move.

    to_regclass knows no U&"..." (documentation: System Information Functions).
    """
    plain = (".".join('"' + part.replace('"', '""') + '"' for part in (table.schema, table.name)) for table in tables)
    names = (f"pg_catalog.to_regclass({literal(name)})::pg_catalog.oid::pg_catalog.text" for name in plain)
    return f"SELECT {', '.join(('pg_catalog.pg_current_snapshot()::pg_catalog.text', *names))}"


@dataclass
class Runner:
    """Answers tasks on up to `jobs` connections. `stop` may be called from a signal handler or another thread.

    `ways` counts, by table, how often a query was given up because others waited for its locks. At `deadline`, in
    time.monotonic()'s seconds, the run stops by itself, and `left` says so. While `gauge` says so nothing new begins. No
    snapshot becomes older than `max_snapshot` seconds (0: any age); `in_slices` is what took several for that. Rows that
    offend are looked at again for `settle` seconds (None: never), less where no transaction has ended since `read_at`, when
    the catalog had been read.
    """

    target: Target
    jobs: int
    samples: Samples
    catalog: Catalog
    report: Callable[[Progress], None] = lambda _: None
    deadline: float = math.inf
    settle: float | None = None
    read_at: float = math.inf
    left: Failure = _INTERRUPTED  # why what was not asked was not, once the run has stopped
    gauge: Gauge | None = None
    max_snapshot: float = 0.0
    snapshot: str = ""  # an exported one, in which all is read but what is looked at again
    spent: Failure = _SPENT  # why it stops at the deadline
    trusted: Collection[str] = ()  # owners whose code may run under a dangerous login
    _by_now: Catalog | None = None  # with the code that planning would run, as it was known at
    _known: float = -math.inf
    in_slices: list[Sliced] = field(default_factory=list)
    _begun: dict[int, Sliced] = field(default_factory=dict)  # by the number of a task
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sessions: set[Session] = field(default_factory=set)
    _silent: list[Session] = field(default_factory=list)  # closed; what they asked may still run on the server
    _stopped: threading.Event = field(default_factory=threading.Event)
    _unreachable: str = ""
    ways: Counter[str] = field(default_factory=Counter)
    unwatched: list[str] = field(default_factory=list)  # why nobody watched, for a time, who waits for the queries

    def __post_init__(self) -> None:
        if self.gauge is None and self._gentle:
            self.gauge = Gauge(Limits())

    def stop(self) -> None:
        """Cancels what runs on the server and takes nothing new; answers that are in stay."""
        self._stopped.set()
        sessions = self._open()
        for session in sessions:
            session.end()
        for session in sessions:  # on a silent network each takes seconds
            session.cancel()

    @property
    def stopped(self) -> bool:
        """Whether the run was interrupted."""
        return self._stopped.is_set()

    def run(self, tasks: list[Task]) -> list[Answer | Failure]:
        """One answer or failure per task, in order. A KeyboardInterrupt stops the run and is not raised on."""
        results: list[Answer | Failure | None] = [None] * len(tasks)
        numbers = {task.probe: number for number, task in enumerate(tasks)}
        # The cheapest first; what is asked together costs what it costs together.
        queue = [[numbers[probe] for probe in unit] for unit in units(task.probe for task in tasks)]
        queue.sort(key=lambda unit: -sum(tasks[number].cost for number in unit))
        reading: dict[int, str] = {}
        times: Counter[int] = Counter()
        failed: list[BaseException] = []
        in_doubt: list[dict[int, Doubt]] = []  # of each worker
        working = min(self.jobs, len(queue))

        later: list[tuple[float, list[int]]] = []  # units that gave way to others, and when they are asked again

        def take(given_back: list[int] | None = None, *, gave_way: bool = False) -> list[int] | None:
            """The next unit, or None for a worker that is to end: there is none left, or others can reach the server."""
            nonlocal working
            lost = bool(given_back) and not gave_way
            with self._lock:
                reading.pop(threading.get_ident(), None)
                if given_back and gave_way:
                    postpone(given_back)
                elif given_back and (working > 1 or not self._unreachable) and not self.stopped:
                    queue.append(given_back)
                elif given_back and not self.stopped:
                    for number in given_back:
                        results[number] = Failure("lost_connection", self._unreachable)
            while True:
                with self._lock:
                    due = [entry for entry in later if entry[0] <= time.monotonic()]
                    for entry in due:
                        later.remove(entry)
                        queue.insert(0, entry[1])
                    if self.stopped or not (queue or later) or (lost and working > 1):
                        working -= 1
                        return None
                    if queue:
                        unit = queue.pop()
                        reading[threading.get_ident()] = tasks[unit[0]].probe.table.sql
                        return unit
                    pause = min(when for when, _ in later) - time.monotonic()
                self._stopped.wait(max(pause, 0))

        def postpone(unit: list[int]) -> None:
            table = tasks[unit[0]].probe.table.sql
            self.ways[table] += 1
            begun = self._begun.get(unit[0])
            times[unit[0]] = 1 if begun is not None and begun.progressed() else times[unit[0]] + 1
            if times[unit[0]] <= len(_WAYS):
                later.append((time.monotonic() + _WAYS[times[unit[0]] - 1], unit))
                return
            for number in unit:
                results[number] = Failure("lock", f"others waited for its locks, {times[unit[0]]} times")

        def decide(number: int, result: Answer | Failure) -> None:
            with self._lock:
                results[number] = result

        def work() -> None:
            session: Session | None = None
            doubts: dict[int, Doubt] = {}  # looked at again all at once, before what takes longer than that
            in_doubt.append(doubts)
            try:
                unit = take()
                while unit is not None:
                    if doubts and self._pressing(doubts, sum(tasks[number].cost for number in unit)):
                        session = self._settled(tasks, doubts, session, decide)
                    found: dict[int, Answer | Failure] = {}
                    began = time.monotonic()
                    session = self._unit(tasks, unit, self._held(session), found, self.snapshot)
                    left = [number for number in unit if number not in found]
                    for number, answer in list(found.items()):
                        if isinstance(answer, Answer) and self._doubtful(tasks[number], answer):
                            doubts[number] = self._doubt(tasks[number], answer, began)
                            del found[number]
                    with self._lock:
                        for number, answer in found.items():
                            results[number] = answer
                    unit = take(left, gave_way=session is not None)
                session = self._settled(tasks, doubts, session, decide)
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
                waiting = tuple(tasks[unit[0]].probe.table.sql for _, unit in later)
            cost, total = sum(tasks[n].cost for n in done), sum(task.cost for task in tasks)
            held = self.gauge.waiting if self.gauge else ""
            return Progress(len(done), len(tasks), cost, total, names, time.monotonic() - started, waiting, held)

        while True:
            try:
                with watching(self.target, self._open, blind=self.unwatched.append, gauge=self.gauge):
                    self._watch(threads, progress)
                break
            except KeyboardInterrupt:
                self.stop()
            except BaseException:
                self.stop()
                raise
        if failed:
            raise failed[0]
        if self.stopped:
            self._last_looks({number: doubt for each in in_doubt for number, doubt in each.items()}, decide)
        return [self.left if result is None or result == _INTERRUPTED else result for result in results]

    def _open(self) -> list[Session]:
        with self._lock:
            return list(self._sessions)

    def _watch(self, threads: list[threading.Thread], progress: Callable[[], Progress]) -> None:
        """Starts the threads, unless they run already, and waits for their end."""
        for thread in threads:
            if thread.ident is None and not self.stopped:
                thread.start()
        while alive := [thread for thread in threads if thread.is_alive()]:
            alive[0].join(0.1)
            if not self.stopped and time.monotonic() >= self.deadline:
                self.left = self.spent
                self.stop()
            if not self.stopped and self.gauge and self.gauge.ended:
                self.left = Failure("budget", f"the server was too busy: {self.gauge.ended}")
                self.stop()
            if self.stopped:
                self.stop()  # again: a query may have begun after the last cancel
            self.report(progress())

    def _unit(
        self,
        tasks: list[Task],
        unit: list[int],
        session: Session | None,
        found: dict[int, Answer | Failure],
        snapshot: str = "",
    ) -> Session | None:
        """Fills in an answer or a reason for each task of a unit; returns the session to go on with.

        Where the unit fails for a reason of its own, each task left is asked alone and the textbook way. None: no session
        is to be had, and tasks may be left.
        """
        if self.catalog.server.dangerous:
            session = self._safe(tasks, unit, session, found)
            unit = [number for number in unit if number not in found]
            if session is None or not unit:
                return session
        strategies = {tasks[number].choice.strategy for number in unit}

        def together(fetch: Fetch, left: list[int]) -> Iterator[tuple[int, Answer]]:
            probes = [tasks[number].probe for number in left]
            facts = measured(self.catalog, probes, fetch)
            for position, answer in answers(facts, probes, fetch, self.samples, slices=SLICE if self._gentle else None):
                yield left[position], answer

        def alone(fetch: Fetch, left: list[int]) -> Iterator[tuple[int, Answer]]:
            for number in left:
                started = time.monotonic()
                answer = ask(tasks[number].probe, fetch, self.samples)
                seconds = round(time.monotonic() - started, 4)
                yield number, replace(answer, evidence=replace(answer.evidence, seconds=seconds))

        rests = 1 + _GIVEN if self._gentle else 1
        long = sum(tasks[number].cost for number in unit) * rests > self.max_snapshot * _LONG
        if self.max_snapshot and (unit[0] in self._begun or long) and self._cut(tasks, unit):
            return self._in_slices(tasks, unit, session, found)
        failure, session = self._asked(tasks, unit, session, found, together, snapshot=snapshot)
        left = [number for number in unit if number not in found]
        if failure == self._old and self._cut(tasks, left):
            return self._in_slices(tasks, left, session, found)
        own = failure is not None and failure != self._old and failure.reason not in _NOT_ITS_OWN
        if session is not None and session.gave_way.is_set() and not self.stopped:
            return session
        if own and (len(unit) > 1 or strategies != {TEXTBOOK}):
            for number in unit:
                if number not in found and session is not None and not self.stopped:
                    refused, session = self._asked(tasks, [number], session, found, alone, snapshot=snapshot)
                    if session is not None and session.gave_way.is_set():
                        return session
                    if refused is not None and session is not None:
                        found[number] = refused
        if failure is not None and session is not None:
            for number in unit:
                found.setdefault(number, failure)
        return session

    @property
    def _old(self) -> Failure:
        said = f"it was not read before its snapshot was as old as --max-snapshot lets it be, {self.max_snapshot:g} s"
        return Failure("timeout", said)

    def _cut(self, tasks: list[Task], unit: list[int]) -> Sliced | None:
        """The unit to be read in slices, with what of it was read by now; None where it cannot be."""
        made = self._begun.get(unit[0]) or sliced(Facts(self.catalog), [tasks[number].probe for number in unit])
        if made is not None:
            self._begun |= dict.fromkeys(unit, made)
        return made

    def _in_slices(
        self, tasks: list[Task], unit: list[int], session: Session | None, found: dict[int, Answer | Failure]
    ) -> Session | None:
        """As `_unit`, each slice in a transaction of its own. What was read stays when one gives way to others, or its
        session is lost."""
        reading = self._begun[unit[0]]
        parts: dict[int, Answer | Failure] = {}

        def slice_(fetch: Fetch, left: list[int]) -> Iterator[tuple[int, Answer]]:
            parts.clear()
            reading.begin(fetch)
            for number in (number for number in unit if number not in found):
                yield number, reading.read(tasks[number].probe, fetch)

        while not reading.done and (left := [number for number in unit if number not in found]):
            session = self._safe(tasks, left, self._held(session), found)
            for number in left:
                if number in found:
                    reading.drop(tasks[number].probe)
            if not (left := [number for number in left if number not in found]):
                break
            started = time.monotonic()
            parts.clear()
            failure, session = self._asked(tasks, left, session, parts, slice_, rested=False)
            said = {number: answer for number, answer in parts.items() if isinstance(answer, Answer)}
            if session is None or (session.gave_way.is_set() and not self.stopped):
                return session
            if failure is None and len(said) == len(left):
                seconds = time.monotonic() - started
                answered = [(tasks[number].probe, answer) for number, answer in said.items()]
                reading.add(answered, seconds, self.max_snapshot * _AIM[self.target.pace])
                if self._gentle and not reading.done:
                    self._stopped.wait(self._rest(seconds))
            elif failure is not None and (failure.reason in _NOT_ITS_OWN or self.stopped):
                return self._given_up(left, failure, session, found)
            elif failure is not None and failure == self._old:
                if not reading.shorten():
                    return self._given_up(left, failure, session, found)
            else:  # of one question: the others are read on without it
                number = next((number for number in left if number not in said), left[0])
                found[number] = failure or _REPLACED
                reading.drop(tasks[number].probe)
        for whole in (True, False):
            left = [number for number in unit if number not in found]
            failure = None
            if not left:
                break

            def finish(fetch: Fetch, left: list[int], whole: bool = whole) -> Iterator[tuple[int, Answer]]:
                for number in left:
                    yield number, reading.finish(tasks[number].probe, fetch, self.samples, whole=whole)

            parts.clear()
            failure, session = self._asked(tasks, left, session, parts, finish)
            for number, answer in parts.items():
                estimated = tasks[number].choice.seconds
                found[number] = reading.spanned(answer, estimated) if isinstance(answer, Answer) else answer
            if failure != self._old:
                break
        read = any(isinstance(found.get(number), Answer) for number in unit)
        if read and reading.slices > 1 and reading not in self.in_slices:
            self.in_slices.append(reading)
        if session is None or failure is None or (session.gave_way.is_set() and not self.stopped):
            return session
        return self._given_up(unit, failure, session, found)

    @staticmethod
    def _given_up(
        numbers: list[int], failure: Failure, session: Session, found: dict[int, Answer | Failure]
    ) -> Session:
        for number in numbers:
            found.setdefault(number, failure)
        return session

    def _held(self, session: Session | None) -> Session | None:
        """The session to go on with, once the load allows it; where connections are few, it has one before the gauge has."""
        if self.gauge is not None:
            session = session or self._connect()
            if session is not None:
                self.gauge.wait(self._stopped)
                if self.stopped:  # meanwhile: nothing begins
                    session.cancel()
        return session

    def _asked(
        self,
        tasks: list[Task],
        numbers: list[int],
        session: Session | None,
        found: dict[int, Answer | Failure],
        read: Callable[[Fetch, list[int]], Iterator[tuple[int, Answer]]],
        *,
        rested: bool = True,
        snapshot: str = "",
    ) -> tuple[Failure | None, Session | None]:
        """Fills in answers, in one transaction. Why some are left, and the session to go on with, None where there is none."""
        failure = _INTERRUPTED
        for attempt in range(TRIES):
            session = self._usable(session)
            if session is None:
                return failure, None
            age = Age(self.max_snapshot, session.target.statement_timeout)
            try:
                with session.transaction(snapshot) as unrested:
                    fetch = age.kept(unrested)
                    fetch = self._rested(fetch, session, age) if self._gentle and rested else fetch
                    for number, answer in read(fetch, [number for number in numbers if number not in found]):
                        tables = list(dict.fromkeys(table for table, _ in tasks[number].probe.reads()))
                        seen, *oids = unrested(_moment(tables))[0]
                        if oids == [str(table.oid) for table in tables]:
                            found[number] = replace(answer, evidence=replace(answer.evidence, snapshot=seen))
                        else:
                            found[number] = _REPLACED
                return None, session
            except UnansweredError as error:
                return Failure("unsupported", str(error)), session
            except TooOldError:
                return self._old, session
            except psycopg.Error as error:
                failure = Failure(*reason_of(error, session))
                if session.importing and session.alive and not self.stopped:
                    self.left = failure  # nobody will see that snapshot any more
                    self._stopped.set()
                if error.sqlstate == "57014" and age.over and not session.gave_way.is_set():
                    failure = self._old
            if self.stopped or failure.reason not in ("standby_conflict", "lost_connection"):
                return failure, session
            self._stopped.wait(0.2 * (attempt + 1))
        return failure, session

    def _doubtful(self, task: Task, answer: Answer) -> bool:
        """Whether the answer makes a finding, or leads to one, by rows that may be in flight."""
        probe = task.probe
        # What slices counted may be gone by the time that the last of them was read.
        offended = bool(answer.places) or (answer.count > 0 and isinstance(probe, Sliceable))
        for _, asked in task.asks if self.settle is not None else ():
            said = asked.verdict(answer)
            if isinstance(said, Finding):
                counted = offended and (said.evidence is None or said.evidence is answer.evidence)
                known = asked.unread is not None and asked.unread.severity is Severity.ERROR
                absent = not answer.count and isinstance(probe, Matching) and said.severity is Severity.ERROR
                if counted or (absent and not known):
                    return True
            elif said is not None and isinstance(probe, Matching):
                if asked.whole and not answer.count:
                    return True  # rows that it finds may be as they should be; that there is none leads to more
            elif said is not None and offended:
                return True
        return False

    def _doubt(self, task: Task, answer: Answer, began: float) -> Doubt:
        quiet = not self.catalog.server.is_standby and answer.evidence.snapshot == self.catalog.server.snapshot
        return Doubt(task.probe, answer, min(began, self.read_at) if quiet else began)

    def _pressing(self, doubts: dict[int, Doubt], cost: float) -> bool:
        """Whether rows are to be looked at before something of this cost begins."""
        settle = self.settle or 0.0
        return cost > settle or time.monotonic() - min(doubt.since for doubt in doubts.values()) > 10 * settle

    def _settled(
        self,
        tasks: list[Task],
        doubts: dict[int, Doubt],
        session: Session | None,
        decide: Callable[[int, Answer | Failure], None],
    ) -> Session | None:
        """Looks at rows again until it is known of each answer whether it stands; returns the session to go on with."""
        pause = (self.settle or 0.0) / LOOKS
        while doubts and not self.stopped:
            now = time.monotonic()
            for number, doubt in [(n, each) for n, each in doubts.items() if each.due <= now]:
                decided, session = self._again(tasks, number, doubt, session)
                if decided is not None:
                    decide(number, decided)
                    del doubts[number]
                elif doubt.due <= now:
                    doubt.due = time.monotonic() + pause
            if doubts:
                self._stopped.wait(max(min(doubt.due for doubt in doubts.values()) - time.monotonic(), 0))
        return session

    def _safe(
        self, tasks: list[Task], numbers: list[int], session: Session | None, found: dict[int, Answer | Failure]
    ) -> Session | None:
        """Leaves out what planning would run other people's code for by now, where that is dangerous: their owners may have been at
        it since the catalog was read. What they do between this and the question nobody can see."""
        if not self.catalog.server.dangerous:
            return session
        failure = _INTERRUPTED
        for _ in range(TRIES):
            session = self._usable(session)
            if session is None:
                return None
            if self._by_now is not None and time.monotonic() - self._known < _FRESH:
                break
            asked = time.monotonic()
            try:
                with session.transaction() as fetch:
                    code = read_foreign_code(fetch, major=self.catalog.server.major, trusted=self.trusted)
            except psycopg.Error as error:
                failure = Failure(*reason_of(error, session))
            else:
                self._by_now, self._known = replace(self.catalog, foreign_code=code), asked
                break
        else:
            found.update(dict.fromkeys((number for number in numbers if number not in found), failure))
            return session
        for number in numbers:
            if (why := hindrance(tasks[number].probe, self._by_now)) is not None:
                found.setdefault(number, Failure(*why))
        return session

    def _again(
        self, tasks: list[Task], number: int, doubt: Doubt, session: Session | None
    ) -> tuple[Answer | Failure | None, Session | None]:
        """One look at the rows, or another reading where there are none to look at; the result, if that decides."""
        now = time.monotonic()
        session = self._usable(session)
        if session is None:
            if self._unreachable and not self.stopped:
                return self._unsure(doubt, "lost_connection", self._unreachable), None
            return self._hindered(doubt, "lost_connection", "no connection was to be had"), None
        unsafe: dict[int, Answer | Failure] = {}
        session = self._safe(tasks, [number], session, unsafe)
        if isinstance(left := unsafe.get(number), Failure):
            return self._unsure(doubt, left.reason, left.detail), session
        if session is None:
            return self._hindered(doubt, "lost_connection", "no connection was to be had"), None
        try:
            age = Age(self.max_snapshot, session.target.statement_timeout)
            with session.transaction() as unrested:
                decided = self._looked(doubt, self._rested(unrested, session, age) if self._gentle else unrested)
            if decided is not None or doubt.due > now or not doubt.unplaced:
                return decided, session
        except psycopg.Error as error:
            return self._hindered(doubt, *reason_of(error, session)), session
        if doubt.gone and doubt.certain(now, self.settle or 0.0):
            return doubt.told(doubt.answer.evidence.snapshot, None, self.samples), session
        if doubt.answer.count and doubt.readings >= READINGS:
            said = f"its rows were in flight each of {READINGS} times, and have no key to tell whether one was there each time"
            return self._unsure(doubt, "unsupported", said), session
        doubt.due = doubt.since + (self.settle or 0.0) * doubt.readings / (1 if doubt.answer.count else LOOKS)
        if doubt.due > now:
            return None, session
        if number in self._begun and self._begun[number].done:
            del self._begun[number]  # from the first slice on
        found: dict[int, Answer | Failure] = {}
        session = self._unit(tasks, [number], session, found)
        answer = found.get(number)
        if answer is None:
            return self._hindered(doubt, "lock", "others waited for its locks"), session
        if isinstance(answer, Failure):
            return self._unsure(doubt, answer.reason, answer.detail), session
        absent = not doubt.answer.count
        if absent and not self._doubtful(tasks[number], answer):
            return answer, session  # what was missing has come meanwhile
        doubt.read(answer, now)
        if doubt.nothing or not (answer.count or absent):
            return doubt.cleared(), session
        if doubt.unplaced and doubt.certain(now, self.settle or 0.0):
            return doubt.told(answer.evidence.snapshot, None, self.samples), session
        return None, session

    def _looked(self, doubt: Doubt, fetch: Fetch) -> Answer | None:
        """One look, in a transaction of its own; the answer, if that decides. When to look next may come of it."""
        settle, now = self.settle or 0.0, time.monotonic()
        snapshot = fetch("SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text")[0][0]
        if snapshot == doubt.answer.evidence.snapshot and not self.catalog.server.is_standby:
            # No transaction has ended in between: the rows are as they were.
            doubt.due = doubt.since + settle
            return doubt.told(snapshot, fetch, self.samples) if doubt.due <= now else None
        if doubt.unplaced:
            return None
        doubt.look(now, fetch)
        if doubt.places and doubt.certain(now, settle):
            return doubt.told(snapshot, fetch, self.samples)
        return doubt.cleared() if doubt.nothing else None

    def _last_looks(self, doubts: dict[int, Doubt], decide: Callable[[int, Answer | Failure], None]) -> None:
        """After the run has been stopped: what it found is worth a moment, on a connection of its own, and no longer."""
        settle = self.settle or 0.0
        end = time.monotonic() + 2 * settle + _LAST

        def looks() -> None:
            with suppress(psycopg.Error, CannotConnectError), Session(self.target) as session:
                while doubts and time.monotonic() < end:
                    for number, doubt in list(doubts.items()):
                        if doubt.due > time.monotonic():
                            continue
                        with session.transaction() as fetch:
                            decided = self._looked(doubt, fetch)
                        if decided is not None:
                            del doubts[number]
                            decide(number, decided)
                    time.sleep(settle / LOOKS)

        thread = threading.Thread(target=looks, daemon=True)
        if doubts:
            thread.start()
            with suppress(KeyboardInterrupt):
                thread.join(end - time.monotonic())

    def _hindered(self, doubt: Doubt, reason: str, detail: str) -> Failure | None:
        """What hinders for the moment is tried again."""
        doubt.failures += 1
        if self.stopped:
            return None
        if reason not in ("standby_conflict", "lost_connection", "lock") or doubt.failures > len(_WAYS):
            return self._unsure(doubt, reason, detail)
        doubt.due = time.monotonic() + _WAYS[doubt.failures - 1] / 2
        return None

    def _unsure(self, doubt: Doubt, reason: str, detail: str) -> Failure:
        rows = plural(doubt.answer.count, "row")
        return Failure(
            reason, f"{rows} offended, which could not be confirmed: {detail}" if doubt.answer.count else detail
        )

    @property
    def _own_target(self) -> Target:
        return replace(self.target, statement_timeout=shorter(self.target.statement_timeout, self.max_snapshot))

    @property
    def _gentle(self) -> bool:
        return self.target.pace == "gentle"

    def _rested(self, fetch: Fetch, session: Session, age: Age) -> Fetch:
        """Rests after each query, and no longer once the session is to end. No rest takes the time that a snapshot has."""

        def rested(text: str) -> list[Row]:
            started = time.monotonic()
            rows = fetch(text)
            rest = min(self._rest(time.monotonic() - started), _LONGEST_IDLE, max(age.left / 4, 0))
            session.gave_way.wait(rest)
            return rows

        return rested

    def _rest(self, seconds: float) -> float:
        """How long to rest after so many seconds of reading."""
        times = _GIVEN if self.gauge is not None and self.gauge.busy else 1
        return min(times * seconds, _LONGEST_REST)

    def _usable(self, session: Session | None) -> Session | None:
        """The session while it can be used, or a new one, if there is one to be had."""
        if session is not None and session.alive:
            return session
        self._release(session)
        return self._connect()

    def _connect(self) -> Session | None:
        """A new session, or None when the server stays away; then nobody waits for it again in this run. None, too, where
        others have a session and there seems to be no other."""
        began = time.monotonic()
        for attempt, patience in enumerate((*_PATIENCE, None), 1):
            if self.stopped or self._unreachable:
                return None
            try:
                session = Session(self._own_target)
            except CannotConnectError as error:
                if attempt >= _ALONE and self._open():
                    return None
                # Without an answer an attempt is a wait of its own.
                if patience is None or time.monotonic() - began > sum(_PATIENCE):
                    self._unreachable = str(error)
                    return None
                self._stopped.wait(patience * random.uniform(0.8, 1.2))
            else:
                with self._lock:
                    self._sessions.add(session)
                    self._unreachable = ""
                    silent, self._silent = self._silent, []
                for lost in silent:
                    lost.cancel_left_behind()
                return session
        return None

    def _release(self, session: Session | None) -> None:
        if session is not None:
            with self._lock:
                self._sessions.discard(session)
                self._silent.append(session)
            session.close()
