"""Parts of an earlier run taken over: what an interrupted run was answered, or what is proven to be unchanged since.

An answer is taken over, never a finding: the check judges it again, by today's catalog. That a table is unchanged is never
concluded from counters, which reach the server's statistics late or not at all, but from one of two facts. Either the
snapshot is the same: no transaction has ended since. Or the write-ahead log says so: no block of the table stands in its
summaries from before the earlier run to now, no transaction that was running before it began was still running when the
table was read, and the table's file is the same (documentation: WAL Summarization Information Functions).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from auditor.catalog.model import Catalog, Table
from auditor.check import Evidence
from auditor.connection import Fetch, Session, Target
from auditor.content import folder
from auditor.errors import CannotConnectError
from auditor.probe import (
    Ahead,
    Answer,
    Constants,
    Duplicates,
    Matching,
    Planned,
    Probe,
    Relation,
    Values,
    referenced_name,
)
from auditor.text import plural

if TYPE_CHECKING:
    from auditor.probe.samples import Samples
    from auditor.statements import Token

_SUMMARIES = 170000  # the first version that summarises its write-ahead log
_EVERY = 0.5  # seconds between two looks at how far the summaries reach
_LATE = 35.0  # seconds within which a summary follows the checkpoint it ends at (source: walsummarizer.c)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the server stood when a run began, as far as its login could see, and which auditor read.

    Transactions whose id is `next_xid` or later have written nothing before `lsn`, and all answers of the run are younger
    than `lsn`. `statistics_reset` moves when the server crashes, and loses what it had not made durable; `started`, when the
    server was, moves too where files are put in the place of others, or its programs and libraries are.
    """

    run: str
    at: str
    auditor: str
    place: str | None
    server_version: str
    started: str | None
    timeline: str | None
    statistics_reset: str | None
    lsn: str | None
    next_xid: int | None


@dataclass(frozen=True, slots=True)
class Given:
    """What the rows answered to a question, whose name stands for its text and for the definition of its tables.

    `run` read it, at `at`. It holds in `snapshot`, and what was written before the mark of the run `mark` is in it.
    """

    question: str
    run: str
    at: str
    mark: str
    snapshot: str
    count: int
    examined: int
    groups: int
    values: tuple[tuple[str, int], ...]
    evidence: Evidence

    @property
    def answer(self) -> Answer:
        """As the question's own."""
        return Answer(self.count, self.examined, self.evidence, self.groups, self.values)


@dataclass(frozen=True, slots=True)
class Known:
    """The answers of an earlier run `run`, begun at `at`, and the marks they refer to."""

    run: str
    at: str
    answers: tuple[Given, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Of the server, before a run reads anything. See Mark."""

    started: str | None = None
    timeline: str | None = None
    statistics_reset: str | None = None
    lsn: str | None = None
    next_xid: int | None = None


def position(session: Session) -> Position:
    """Where the server stands. What the login may not see, or the server cannot tell, is None."""
    try:
        with session.transaction() as fetch:
            started, timeline, reset, lsn, snapshot = fetch(
                "SELECT pg_catalog.pg_postmaster_start_time()::pg_catalog.text, CASE WHEN pg_catalog.pg_is_in_recovery() THEN (SELECT pg_catalog.format('%s/%s', c.timeline_id,"
                " r.min_recovery_end_timeline) FROM pg_catalog.pg_control_checkpoint() AS c, pg_catalog.pg_control_recovery() AS r)"
                " ELSE pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) END,"
                " (SELECT stats_reset::pg_catalog.text FROM pg_catalog.pg_stat_archiver),"
                " CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text END,"
                " pg_catalog.pg_current_snapshot()::pg_catalog.text"
            )[0]
            return Position(started, timeline, reset, lsn, _next_xid(fetch, str(snapshot)))
    except psycopg.Error:
        return Position()


def _next_xid(fetch: Fetch, snapshot: str) -> int:
    """The transaction id that is given out next, which asking does not take: age() counts from it (source: xid.c, xid_age).

    `snapshot`, taken before, gives the upper half of it. The server looks once in a transaction (source: varsup.c).
    """
    age = fetch("SELECT pg_catalog.age('3'::pg_catalog.xid)")[0][0]
    xmax = int(snapshot.split(":")[1])
    return xmax + (3 + int(age or 0) - xmax) % 2**32


def mark(position: Position, catalog: Catalog, run: str, at: str) -> Mark:
    """The mark of the run that begins with this position and this catalog."""
    server = catalog.server
    place = f"{server.system_identifier} at {server.host}:{server.port}/{server.database}"
    return Mark(
        run,
        at,
        sources(),
        place if server.system_identifier else None,
        server.version,
        position.started,
        position.timeline,
        position.statistics_reset,
        position.lsn,
        position.next_xid,
    )


@cache
def sources() -> str:
    """A name for the auditor itself: another one after any change of its own text."""
    package = Path(__file__).parent
    found = {*package.rglob("*.py"), *package.rglob("*.sql"), *folder("checks").glob("*/*.py")}
    said = hashlib.sha256()
    for path in sorted(found):
        said.update(path.name.encode() + b"\0" + path.read_bytes())
    return said.hexdigest()[:16]


@dataclass
class Questions:
    """Names of questions: the same exactly where question, samples and the tables' definitions and files are."""

    catalog: Catalog
    samples: Samples
    _names: dict[Probe, str] = field(default_factory=dict)
    _tables: dict[int, str] = field(default_factory=dict)

    def name(self, probe: Probe) -> str:
        """The question's name, which is the same in the next run."""
        if probe not in self._names:
            self._names[probe] = self._made(probe)
        return self._names[probe]

    def _made(self, probe: Probe) -> str:
        said = [self._plain(self.samples), sorted(self.catalog.changed_collations.items()), self._plain(probe)]
        if isinstance(probe, Relation):
            said.append(probe.equality)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Table):
            return self._table(value)
        if is_dataclass(value) and not isinstance(value, type):
            varying = ("last_value", "readable", "locked")  # of a sequence
            named = {f.name: self._plain(getattr(value, f.name)) for f in fields(value) if f.name not in varying}
            return [type(value).__name__, named]
        return [self._plain(one) for one in value] if isinstance(value, tuple | list) else value

    def _table(self, table: Table) -> str:
        """What an answer may depend on of its definition, and of those of its partitions and children."""
        if table.oid not in self._tables:
            columns = [
                (c.number, c.name, c.type, c.type_oid, c.base_oid, c.collation, c.deterministic, c.not_null)
                for c in table.columns
            ]
            computed = [(c.number, c.generated, c.default) for c in table.columns if c.generated]
            labels = [self._labels(c.base_oid) for c in table.columns]
            said = [table.oid, table.schema, table.name, table.kind, table.persistence, columns, computed, labels]
            said += [
                self.catalog.storage.get(table.oid),
                sorted({c for key in table.foreign_keys for c in key.columns}),
            ]
            said += [
                self._table(self.catalog.tables[child]) if child in self.catalog.tables else child
                for child in sorted(table.children)
            ]
            self._tables[table.oid] = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        return self._tables[table.oid]

    def _labels(self, oid: int) -> tuple[str, ...]:
        kind = self.catalog.types.get(oid)
        return kind.labels if kind is not None else ()

    def given(self, probe: Probe, answer: object, now: Mark) -> Given | None:
        """An answer to be kept; None where it costs nothing, where it consists of values of rows, or is none."""
        if isinstance(probe, Planned | Constants | Values) or not isinstance(answer, Answer):
            return None
        if answer.evidence.snapshot is None:
            return None
        return Given(
            self.name(probe),
            now.run,
            now.at,
            now.run,
            answer.evidence.snapshot,
            answer.count,
            answer.examined,
            answer.groups,
            answer.values,
            answer.evidence,
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """An answer that was not asked for again: what is kept of it now, and what the report says of it."""

    given: Given
    detail: str


class Earlier:
    """What is taken over of an earlier run. `taken` counts how often."""

    def __init__(self, known: Known, questions: Questions) -> None:
        """`questions` are those of the run that takes over."""
        self.known, self.questions = known, questions
        self.taken = 0
        self._answers = {given.question: given for given in known.answers}
        self._marks = {mark.run: mark for mark in known.marks}

    def answer(self, probe: Probe) -> Taken | None:
        """The answer that stands for the one the rows would give."""
        raise NotImplementedError

    def notes(self, asked: int) -> tuple[str, ...]:
        """What is to be said of it in the report; `asked` is the number of all questions."""
        raise NotImplementedError

    def marks(self, answers: Iterable[Given]) -> tuple[Mark, ...]:
        """The marks that these answers refer to, beside the one of the run itself."""
        return tuple(self._marks[run] for run in sorted({given.mark for given in answers} & self._marks.keys()))

    def _given(self, probe: Probe) -> Given | None:
        if isinstance(probe, Planned | Constants | Values):
            return None
        return self._answers.get(self.questions.name(probe))

    @property
    def _said(self) -> str:
        return f"run {self.known.run[:8]} of {self.known.at}"


class Resumed(Earlier):
    """Takes over all that an interrupted run was answered, as long as the tables are defined as they were."""

    def answer(self, probe: Probe) -> Taken | None:
        """What the earlier run was told, however much was written since."""
        given = self._given(probe)
        if given is None:
            return None
        self.taken += 1
        return Taken(given, f"read by run {given.run[:8]} at {given.at}")

    def notes(self, asked: int) -> tuple[str, ...]:
        """That it goes on where another has ended."""
        return (
            f"this run goes on where {self._said} has ended: {self.taken:,} of {plural(asked, 'question')}"
            f" {'was' if self.taken == 1 else 'were'} answered then, and not asked again",
        )


class Since(Earlier):
    """Takes over what is proven to be unchanged since an earlier run."""

    def __init__(self, known: Known, questions: Questions, now: Mark) -> None:
        """`now` is the mark of the run that takes over."""
        super().__init__(known, questions)
        self._now = now
        self._snapshot = questions.catalog.server.snapshot
        self._ways: set[str] = set()
        self._why = ""  # the summaries prove nothing
        self._changed: dict[str, frozenset[int]] = {}  # files with blocks in the summaries, by the mark they begin at
        self._hierarchies = 0  # the file of pg_inherits
        self._unseen: frozenset[int] = frozenset()  # tables with children that are not in the catalog

    def prove(
        self, target: Target, costs: Mapping[Probe, float], most: float, waiting: Callable[[], None] = lambda: None
    ) -> None:
        """Reads the summaries of the write-ahead log, if they can prove anything. `costs` are the questions, and the seconds
        that reading takes; if it pays, waits at most `most` seconds for the summaries to come up to now."""
        saved = 0.0
        marks: dict[str, Mark] = {}
        for probe, seconds in costs.items():
            given = self._given(probe)
            if given is not None and not self._same_snapshot(probe, given):
                why = self._obstacle(probe, given)
                if why:
                    self._why = self._why or why
                else:
                    marks[given.mark] = self._marks[given.mark]
                    saved += seconds
        if not marks:
            return
        try:
            with Session(target) as session:
                self._why = self._summarised(session, list(marks.values()), min(saved, most), waiting)
        except (psycopg.Error, CannotConnectError):
            self._why = "the summaries of the write-ahead log could not be read"

    def answer(self, probe: Probe) -> Taken | None:
        """What the earlier run was told, if the rows would say the same now."""
        given = self._given(probe)
        if given is None:
            return None
        if self._same_snapshot(probe, given):
            self._ways.add("no transaction has ended in between")
        elif self._not_written(probe, given):
            self._ways.add("its write-ahead log names no block of theirs")
        else:
            return None
        self.taken += 1
        before = "" if given.run == self.known.run else f", as read by run {given.run[:8]} at {given.at}"
        # From now on what is written after this run began is what counts, if all that was begun before has ended.
        xmin = int(self._snapshot.split(":")[0])
        if self._now.next_xid is not None and xmin >= self._now.next_xid:
            given = replace(given, mark=self._now.run, snapshot=self._snapshot)
        return Taken(given, f"unchanged since {self._said}{before}")

    def notes(self, asked: int) -> tuple[str, ...]:
        """How much was not asked again and how that is known, or why all was."""
        if not self.taken:
            written = "what questions have in common with that run's is on tables that were written since"
            none = written if self._changed else "no question is one of that run's, on the same tables"
            why = self._differs(self.known.run) or self._why or none
            return (f"nothing is proven unchanged since {self._said}, and all was read: {why}",)
        return (
            f"unchanged since {self._said}, as the server shows ({' and '.join(sorted(self._ways))}): {self.taken:,} of"
            f" {plural(asked, 'question')} {'was' if self.taken == 1 else 'were'} not asked again",
        )

    def _differs(self, run: str) -> str:
        """Why the servers of two marks, or their auditors, cannot be compared at all; empty when they can."""
        then, now = self._marks.get(run), self._now
        if then is None:
            return "that run read no rows"
        if then.auditor != now.auditor:
            return "another version of the auditor has read it"
        if then.place is None or now.place is None:
            return "the login may not see which cluster it is (pg_control_system)"
        if then.place != now.place:
            return "it was another server, or another way to it"
        if then.server_version != now.server_version:
            return f"the server was {then.server_version} then"
        if then.started is None or then.started != now.started:
            return "the server was started again since"
        if then.timeline is None or then.timeline != now.timeline:
            return "the server's timeline is another, or is not known"
        if then.statistics_reset is None or then.statistics_reset != now.statistics_reset:
            return "the server has crashed since, or its statistics were reset"
        return ""

    def _same_snapshot(self, probe: Probe, given: Given) -> bool:
        """Whether no transaction has ended between that answer and now. A standby does not list those underway."""
        xmin, xmax, _ = self._snapshot.split(":")
        server = self.questions.catalog.server
        return (
            given.snapshot == self._snapshot
            and not (server.is_standby and xmin != xmax)
            and not self._differs(given.mark)
            and timeless(probe, self.questions.catalog)
            and all(leaf.kind in "rp" for leaf in self._tables(probe))
        )

    def _obstacle(self, probe: Probe, given: Given) -> str:
        """Why the write-ahead log cannot tell whether this answer would be the same now; empty when it can."""
        catalog, then = self.questions.catalog, self._marks.get(given.mark)
        if why := self._differs(given.mark):
            return why
        assert then is not None
        if catalog.server.version_num < _SUMMARIES:
            return "transactions have ended since, and a server before 17 does not summarise its write-ahead log"
        if then.lsn is None or then.next_xid is None or self._now.lsn is None:
            return "transactions have ended since, and on a standby nothing else is asked"
        if int(given.snapshot.split(":")[0]) < then.next_xid:
            return "a transaction that had begun before that run was still open when the tables were read"
        if not (timeless(probe, catalog) and _plain(probe)):
            return "conditions and types are not the server's own, or ask for the time"
        if any(table.persistence != "p" or table.kind not in "rp" for table in self._tables(probe)):
            return "unlogged and foreign tables do not stand in the write-ahead log"
        return ""

    def _not_written(self, probe: Probe, given: Given) -> bool:
        """Whether no block that the answer rests on was written since."""
        changed = self._changed.get(given.mark)
        if changed is None or self._obstacle(probe, given):
            return False
        tables = list(self._tables(probe))
        storage = self.questions.catalog.storage
        if any(table.kind == "r" and table.oid not in storage for table in tables):
            return False
        if changed & {file for table in tables for file in storage.get(table.oid, ())[:2]}:
            return False
        return not reads_children(probe) or (
            self._hierarchies not in changed and not self._unseen & {table.oid for table in tables}
        )

    def _tables(self, probe: Probe) -> Iterator[Table]:
        """Every table whose rows may be read for the answer: partitions and inheritance children too."""
        todo = [table for table, _ in probe.reads()]
        seen = set()
        while todo:
            table = todo.pop()
            if table.oid not in seen:
                seen.add(table.oid)
                yield table
                todo += (
                    self.questions.catalog.tables[child]
                    for child in table.children
                    if child in self.questions.catalog.tables
                )

    def _summarised(self, session: Session, marks: Sequence[Mark], most: float, waiting: Callable[[], None]) -> str:
        """Learns which files were written since each mark; why it cannot, if it cannot."""
        with session.transaction() as fetch:
            on, now, snapshot = fetch(
                "SELECT pg_catalog.current_setting('summarize_wal'), pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text,"
                " pg_catalog.pg_current_snapshot()::pg_catalog.text"
            )[0]
            next_xid = _next_xid(fetch, str(snapshot))
        if on != "on":
            return "transactions have ended since, and summarize_wal is off"
        end = _told(session, _number(now), next_xid, most, waiting)
        if end is None:
            return "transactions have ended since, and the summaries of the write-ahead log reach as far as the last checkpoint only"
        with session.transaction() as fetch:
            timeline = str(int(str(self._now.timeline), 16))
            files = fetch(
                "SELECT start_lsn::pg_catalog.text, end_lsn::pg_catalog.text FROM pg_catalog.pg_available_wal_summaries()"
                f" WHERE tli = {timeline}"
            )
            files.sort(key=lambda file: (_number(file[0]), _number(file[1])))
            for mark in marks:
                chain = _chain(files, _number(mark.lsn), end)
                if chain is not None and _number(mark.lsn) <= _number(now):
                    self._changed[mark.run] = _written(fetch, timeline, chain)
            inherited = fetch(
                "SELECT pg_catalog.pg_relation_filenode('pg_catalog.pg_inherits'::pg_catalog.regclass)::pg_catalog.text, NULL"
                " UNION ALL SELECT i.inhparent::pg_catalog.text, i.inhrelid::pg_catalog.text FROM pg_catalog.pg_inherits AS i"
                " JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'"
            )
        self._hierarchies = next(int(first or 0) for first, child in inherited if child is None)
        tables = self.questions.catalog.tables
        self._unseen = frozenset(
            int(parent or 0) for parent, child in inherited if child is not None and int(child) not in tables
        )
        return "" if self._changed else "summaries of the write-ahead log since then are missing"


def _number(lsn: str | None) -> int:
    high, _, low = str(lsn).partition("/")
    return int(high, 16) << 32 | int(low, 16)


def _told(session: Session, now: int, next_xid: int, most: float, waiting: Callable[[], None]) -> int | None:
    """Up to where summaries have to reach, and do, to tell of every block of a table that was written up to `now`.

    That is `now`; or the last checkpoint, if no transaction was underway there and none has begun since (`next_xid`):
    nothing but a transaction writes rows. None: they do not reach so far. Summaries end at checkpoints; waits for the next
    one, if its time comes within `most` seconds.
    """
    deadline = time.monotonic() + most
    while True:
        with session.transaction() as fetch:
            reached, redo, idle, due = fetch(
                "SELECT (SELECT max(end_lsn)::pg_catalog.text FROM pg_catalog.pg_available_wal_summaries()),"
                " c.redo_lsn::pg_catalog.text, CASE WHEN c.oldest_active_xid::pg_catalog.text ="
                " pg_catalog.split_part(c.next_xid, ':', 2) THEN pg_catalog.split_part(c.next_xid, ':', 2) END,"
                " EXTRACT(epoch FROM c.checkpoint_time - pg_catalog.clock_timestamp())::pg_catalog.int8"
                " + EXTRACT(epoch FROM pg_catalog.current_setting('checkpoint_timeout')::pg_catalog.interval)::pg_catalog.int8"
                " FROM pg_catalog.pg_control_checkpoint() AS c"
            )[0]
        end = _number(reached) if reached is not None else 0
        if end >= now:
            return now
        still = idle is not None and int(idle) == next_xid % 2**32
        if still and end >= _number(redo):
            return _number(redo)
        left = deadline - time.monotonic()
        # The checkpoint is there, and its summary follows; else it is to come first.
        soon = still or _number(redo) >= now or max(float(due or 0), 0) + _LATE <= left
        if left <= 0 or not soon:
            return None
        waiting()
        time.sleep(min(_EVERY, left))


def _chain(files: Sequence[tuple[str | None, ...]], start: int, end: int) -> list[tuple[str, str]] | None:
    """The summaries that together cover all from `start` to `end`; None where one is missing."""
    chain: list[tuple[str, str]] = []
    reached = start
    for first, last in files:
        if _number(first) <= reached < _number(last) and reached < end:
            chain.append((str(first), str(last)))
            reached = _number(last)
    return chain if reached >= end else None


def _written(fetch: Fetch, timeline: str, chain: Sequence[tuple[str, str]]) -> frozenset[int]:
    """The files of this database with blocks in these summaries: of the tables themselves, not of their maps."""
    if not chain:
        return frozenset()
    ends = ", ".join(f"('{first}'::pg_catalog.pg_lsn, '{last}'::pg_catalog.pg_lsn)" for first, last in chain)
    rows = fetch(
        f"SELECT DISTINCT b.relfilenode::pg_catalog.text FROM (VALUES {ends}) AS s (first, last),"
        f" LATERAL pg_catalog.pg_wal_summary_contents({timeline}, s.first, s.last) AS b WHERE b.relforknumber = 0"
        " AND b.reldatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
    )
    return frozenset(int(file or 0) for (file,) in rows)


# --- what an answer depends on -----------------------------------------------------------------------------------------

_WHEN_AND_WHO = (
    *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_catalog"),
    *("current_role", "current_schema", "current_user", "session_user", "system_user", "user"),
)
_MOMENTS = (
    "now",
    "today",
    "tomorrow",
    "yesterday",
)  # as text of a date (documentation: Date/Time Types, Special Values)
_COUNTING = ("num_nulls", "num_nonnulls")


def timeless(probe: Probe, catalog: Catalog) -> bool:
    """Whether the answer follows from the rows of the tables that the question names: no condition of it reads another
    table, asks for the time, or runs a function that may. A sequence gives out values that belong to no snapshot."""
    from auditor.arbiter import without_enums
    from auditor.statements import Scanner

    if isinstance(probe, Ahead):
        return False
    names = {name for table, _ in probe.reads() for name in (table.name, referenced_name(table))}
    return all(_computes(without_enums(Scanner(text).tokens, catalog), names) for text in _texts(probe) if text)


def _computes(tokens: Sequence[Token], tables: set[str]) -> bool:
    """Whether an expression over `tables` only computes and compares, and always the same."""
    from auditor.arbiter import HARMLESS

    def harmless(function: Token) -> bool:
        return function.kind == "word" and function.value in (*HARMLESS, *_COUNTING)

    for number, token in enumerate(tokens):
        before = tokens[number - 1] if number else None
        after, further = (*tokens[number + 1 : number + 3], None, None)[:2]
        if token.kind in ("parameter", "other") or token.says("select", "operator", *_WHEN_AND_WHO):
            return False
        if token.kind == "string" and any(moment in token.value.lower() for moment in _MOMENTS):
            return False
        if token.marks("."):
            called = further is not None and further.marks("(")
            own = before is not None and before.names and before.value in tables and not called
            counts = before is not None and before.says("pg_catalog") and after is not None and after.says(*_COUNTING)
            if not (own or counts):
                return False
        elif token.names and after is not None and after.marks("(") and not harmless(token):
            return False
    return True


def _texts(probe: Probe) -> Iterator[str | None]:
    """The SQL that the question brings along."""
    if isinstance(probe, Relation):
        yield from (probe.where, probe.referenced_where, probe.unless)
    elif isinstance(probe, Duplicates):
        yield from (probe.where, probe.touching)
        yield from (key.expression for key in probe.keys if key.column is None)
    elif isinstance(probe, Matching):
        yield from (probe.where, probe.among)


def _plain(probe: Probe) -> bool:
    """Whether it compares by what comes with the server, which no statement changes: no code of others, no collation
    that may call two different texts the same, no column that is computed when it is read."""
    from auditor.statements import Scanner

    if any(column.generated == "v" for table, _ in probe.reads() for column in table.columns):
        return False
    named = {token.value for text in _texts(probe) if text for token in Scanner(text).tokens if token.names}
    compared = [(table, column.name) for table, _ in probe.reads() for column in table.columns if column.name in named]
    if isinstance(probe, Relation):
        if any(schema != "pg_catalog" for schema, _ in probe.equality):
            return False
        compared += ((probe.table, name) for name in probe.columns)
        compared += ((probe.referenced, name) for name in probe.referenced_columns)
    elif isinstance(probe, Duplicates):
        if any(key.collation is not None and key.collation[0] != "pg_catalog" for key in probe.keys):
            return False
        compared += ((probe.table, key.column) for key in probe.keys if key.column is not None)
    columns = [table.by_name[name] for table, name in compared]
    return all(column.deterministic and (column.base_oid < 16384 or column.category == "E") for column in columns)


def reads_children(probe: Probe) -> bool:
    """Whether the answer depends on which tables are partitions or inheritance children of those it names."""
    return (isinstance(probe, Matching | Relation) and not probe.only) or any(t.kind == "p" for t, _ in probe.reads())
