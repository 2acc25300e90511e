"""Questions that each row answers for itself, read slice by slice: each slice in a transaction, hence a snapshot, of its own.

A slice is a range of pages, read as such from 14 on (release notes of 14: TID range scans), and before that a range of
keys of an index. What the slices count is added up; which rows offend is looked at again at the end. A row that an UPDATE
moves from one page to another meanwhile may be met twice, or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from auditor.catalog.model import Column, Table
from auditor.check import Evidence
from auditor.probe import Answer, Matching, Pairs, Probe, Unmatched
from auditor.probe.choice import INTEGERS, UUID, Facts, ordered_index
from auditor.probe.sql import Condition, text_of
from auditor.probe.textbook import Counted, Fetch, Samples, completed, counted
from auditor.text import ident, literal

_PAGES = 4_096  # of the first slice: 32 MiB
_ROWS = 200_000  # of the first slice, where it is a range of keys
_TIMES = 4.0  # how much longer, or shorter, the next slice is at most
_MOST_KEPT = 10_000  # offending rows of a question whose places are kept
_TID_RANGES = 14


Sliceable = Unmatched | Pairs | Matching


def sliced(facts: Facts, questions: Sequence[Probe]) -> Sliced | None:
    """The questions, all about one table, to be read in slices; None where they are of another kind, or nothing cuts the table."""
    table = questions[0].table
    additive = tuple(question for question in questions if isinstance(question, Unmatched | Pairs | Matching))
    if len(additive) < len(questions) or table.kind not in ("r", "p"):
        return None
    if facts.catalog.server.major >= _TID_RANGES:
        return Sliced(facts, additive) if _plain(facts, table) else None
    column = None if table.children else _key(table, additive)
    return Sliced(facts, additive, column) if column is not None else None


def _plain(facts: Facts, table: Table) -> bool:
    """Whether all that a query over the table reads lies on pages here, and none of it in a foreign table."""
    found = [facts.catalog.tables[child] for child in table.children if child in facts.catalog.tables]
    return all(child.kind in ("r", "p") and _plain(facts, child) for child in found)


def _key(table: Table, questions: Sequence[Probe]) -> Column | None:
    """A column by whose index the table can be cut: of integers or uuid, whose order is the same everywhere."""
    read = [columns for question in questions for of, columns in question.reads() if of.oid == table.oid]
    for index in (*(index for index in table.indexes if index.primary), *table.indexes):
        column = table.by_name.get(index.keys[0].column or "")
        if column is None or not (column.base_oid in INTEGERS or column.base_oid in UUID):
            continue
        allowed = table.readable or column.readable or any(names and column.name in names for names in read)
        if allowed and ordered_index(table, column.name) is not None:
            return column
    return None


@dataclass(slots=True)
class _Sum:
    """What the slices said of one question so far."""

    parts: Counted
    count: int = 0
    examined: int = 0
    places: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Sliced:
    """A table that is being read. `key` cuts it; without one its pages do.

    `begin` and `read` answer for the slice that is next, `add` takes the answers and goes on to the one after it; once
    `done`, `finish` makes the whole ones.
    """

    facts: Facts
    questions: tuple[Sliceable, ...]
    key: Column | None = None
    done: bool = False
    slices: int = 0
    seconds: float = 0.0
    span: float = 0.0  # seconds from the beginning of the first slice to the end of the last
    rough: bool = False  # keys were counted of the rows that are kept only
    moving: bool = False  # something became visible between the first snapshot and the last
    _first: str | None = None  # the snapshot of the first slice
    _began: float = 0.0
    _seen: int = 0  # slices when somebody last asked for progress

    def __post_init__(self) -> None:
        self.table = self.questions[0].table
        self._sums = {question: _Sum(counted(question)) for question in self.questions}
        self._step = _ROWS if self.key else _PAGES
        self._page, self._pages = 0, -1  # where the next slice begins, and how many there are; -1: not known yet
        self._from: str | None = None  # the key after which it begins
        self._nulls = False  # only NULLs are left
        self._until: str | None = None  # where the slice at hand ends: nothing for the last one

    def begin(self, fetch: Fetch) -> None:
        """Finds out where the slice that is next ends; to be called first in its transaction."""
        self._began = self._began or time.monotonic()
        if self.key is None:
            if self._pages < 0:
                self._pages = self._measured(fetch)
            end = min(self._page + self._step, self._pages)
            self._until = str(end) if self._page < self._pages else None
            return
        name, table = ident(self.key.name), self.table
        after = (
            f" WHERE {name} > {self._literal(self._from)}" if self._from is not None else f" WHERE {name} IS NOT NULL"
        )
        statement = f"SELECT {name} FROM ONLY {table.sql}{after} ORDER BY {name} OFFSET {self._step - 1} LIMIT 1"
        found = [] if self._nulls else fetch(statement)
        self._until = found[0][0] if found else None

    def _measured(self, fetch: Fetch) -> int:
        leaves = {leaf.oid for question in self.questions for leaf in self.facts.leaves(self.table, _only(question))}
        pages = fetch(
            "SELECT pg_catalog.max(pg_catalog.pg_relation_size(oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8)"
            f" FROM pg_catalog.unnest('{{{','.join(map(str, sorted(leaves)))}}}'::pg_catalog.oid[]) AS oid"
        )[0][0]
        return int(pages or 0)

    def read(self, question: Probe, fetch: Fetch) -> Answer:
        """What the slice says of a question: counts, and as `values` the places of rows that offend."""
        sum_ = self._sum(question)
        rows, offending, here = sum_.parts.rows, sum_.parts.offending, self._here(sum_.parts.rows.clause.name)
        count = rows.select(sa.func.count()).where(offending, here)
        considered = sum_.parts.considered.where(here)
        said = fetch(text_of(sa.select(considered.scalar_subquery(), count.scalar_subquery())))[0]
        examined, found = (int(value or 0) for value in said)
        places: list[tuple[str, int]] = []
        if found and (room := _MOST_KEPT - len(sum_.places)) > 0:
            place: sa.ColumnElement[str] = sa.literal_column(f"{ident(rows.clause.name)}.ctid::pg_catalog.text")
            some = rows.select(place).where(offending, here).limit(sa.literal_column(str(room)))
            places = [(row[0] or "", 1) for row in fetch(text_of(some))]
        return Answer(found, examined, Evidence(found), values=tuple(places))

    def _sum(self, question: Probe) -> _Sum:
        assert isinstance(question, Unmatched | Pairs | Matching)
        return self._sums[question]

    def drop(self, question: Probe) -> None:
        """Leaves a question out from here on."""
        self.questions = tuple(one for one in self.questions if one != question)

    def _here(self, alias: str) -> Condition:
        """Which rows the slice at hand is of. The last one has no end: what was added meanwhile is in it."""
        if self.key is None:
            place = f"{ident(alias)}.ctid"
            ends = [f"{place} >= '({self._page},0)'::pg_catalog.tid"]
            if self._until is not None:
                ends.append(f"{place} < '({self._until},0)'::pg_catalog.tid")
        else:
            place = f"{ident(alias)}.{ident(self.key.name)}"
            ends = [f"{place} > {self._literal(self._from)}"] if self._from is not None else []
            ends += [f"{place} <= {self._literal(self._until)}"] if self._until is not None else []
            ends = [f"{place} IS NULL"] if self._nulls else ends or [f"{place} IS NOT NULL"]
        return sa.literal_column(" AND ".join(ends), sa.Boolean())

    def _literal(self, value: str | None) -> str:
        assert self.key is not None
        return f"{literal(value or '')}::{(INTEGERS | UUID)[self.key.base_oid]}"

    def add(self, answers: Iterable[tuple[Probe, Answer]], seconds: float, aim: float) -> None:
        """Takes what the slice said, and how long it took; the next one is made to last about `aim` seconds."""
        for question, answer in answers:
            sum_ = self._sum(question)
            sum_.count += answer.count
            sum_.examined += answer.examined
            sum_.places += (place for place, _ in answer.values)
            self._first = self._first or answer.evidence.snapshot
        self.slices += 1
        self.seconds += seconds
        self.span = time.monotonic() - self._began
        self._scale(aim / seconds if seconds else _TIMES)
        if self.key is None:
            self.done = self._until is None
            self._page = int(self._until or 0)
        elif self._until is None and not self._nulls:
            self._nulls = True
        else:
            self.done = self._until is None
            self._from = self._until

    def _scale(self, factor: float) -> None:
        self._step = max(1, int(self._step * min(max(factor, 1 / _TIMES), _TIMES)))

    def progressed(self) -> bool:
        """Whether a slice was read since this was last asked."""
        before, self._seen = self._seen, self.slices
        return self.slices > before

    def shorten(self) -> bool:
        """Makes the next slice a smaller one, after one that took too long; False where it is as small as can be."""
        if self._step == 1 or self._nulls:
            return False
        self._scale(0)
        if self.key is None and self._page >= self._pages:
            self._pages = -1  # much has been added since it was measured
        return True

    def finish(self, question: Probe, fetch: Fetch, samples: Samples, *, whole: bool = True) -> Answer:
        """The answer to a question: its sample as it is now, and how many keys its rows have.

        With more offending rows than are kept `whole` counts the keys of all of them, in one reading; without it those of
        the rows that are kept are counted.
        """
        sum_ = self._sum(question)
        parts, many = sum_.parts, sum_.count > len(sum_.places)
        rows, names = parts.rows, parts.names
        sooner, groups = None, 0
        if sum_.count:
            places = ",".join(f'"{place}"' for place in sum_.places)
            kept = f"{ident(rows.clause.name)}.ctid = ANY ('{{{places}}}'::pg_catalog.tid[])"
            sooner = sa.and_(sa.literal_column(kept, sa.Boolean()), parts.offending)
            held = parts.offending if whole and many else sooner
            if names:
                self.rough = self.rough or (many and not whole)
                keys = rows.select(*map(rows.column, names)).where(held).distinct().subquery("keys")
                # Whoever mended them meanwhile, there were some.
                groups = max(int(fetch(text_of(sa.select(sa.func.count()).select_from(keys)))[0][0] or 0), 1)
        answer = completed(
            rows, parts.offending, sum_.count, sum_.examined, names, parts.compared, fetch, samples, sooner, groups
        )
        strategy = f"textbook in {self.slices} slices" if self.slices > 1 else "textbook"
        evidence = replace(answer.evidence, strategy=strategy, seconds=round(self.seconds / len(self._sums), 4))
        return replace(answer, evidence=evidence)

    def spanned(self, answer: Answer, estimated: float) -> Answer:
        """The answer with the first and the last of the snapshots it was read in, and with the seconds that were planned."""
        last = answer.evidence.snapshot
        moving = self._first not in (None, last)
        self.moving = self.moving or moving
        span = f"{self._first}..{last}" if moving else last
        return replace(answer, evidence=replace(answer.evidence, snapshot=span, estimated_seconds=round(estimated, 4)))


def _only(question: Sliceable) -> bool:
    return question.only if isinstance(question, Matching) else True
