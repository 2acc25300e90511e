"""Whether rows that offend in one snapshot still do in later ones. Who writes a row, and what it needs, in two transactions
leaves it offending for a moment, in flight: that is no defect.

The rows are found by where they lie, or by their key once they were changed, without reading the table again. What is fine
by then, or deleted, was in flight. Of what is gone and has no key nothing is known: where nothing else is left the question
is read again as a whole.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import sqlalchemy as sa

from auditor.probe import Ahead, Answer, Cycles, Duplicates, Matching, Pairs, Place, Probe, Unmatched, referenced_name
from auditor.probe.places import among, now, version
from auditor.probe.sql import Rows, fragment, joins, key_expression, raw, text_of
from auditor.probe.textbook import Fetch, Samples, counted, given_out, reduced

LOOKS = 10  # at rows, each in a snapshot of its own, until they count
CAREFUL = 4  # times as many, once somebody has been seen to work on them
READINGS = 4  # of a whole question, while its rows are gone each time


@dataclass
class Doubt:
    """An answer whose rows are looked at again. `places` are those that have offended in each snapshot so far, `gone` those
    of which that is not known any more.

    Without rows that were counted it is what is not there that offends: there is nothing but to read again, as often as rows
    are looked at.
    """

    probe: Probe
    answer: Answer
    since: float  # from when on the rows are known to offend, in time.monotonic()'s seconds
    due: float = 0.0  # when to look next
    failures: int = 0
    moved: bool = False  # whether any of the rows was in flight, or changed
    in_flight: int = 0
    places: tuple[Place, ...] = ()
    gone: tuple[Place, ...] = ()
    looks: int = 0
    readings: int = 1
    first: float = 0.0  # when the first look was, or the first other reading where nothing was counted

    def __post_init__(self) -> None:
        self.places = self.answer.places

    @property
    def nothing(self) -> bool:
        """Whether no row is left that may offend still, where some did."""
        did = self.answer.count or self.in_flight
        return bool(did) and self.answer.whole and not self.places and not self.gone

    @property
    def unplaced(self) -> bool:
        """Whether there are no rows to look at: the question has to be read again."""
        return not self.places or not all(place.version for place in self.places)

    @property
    def _keyed(self) -> bool:
        return self.answer.whole and all(place.row for place in self.answer.places)

    def certain(self, now: float, settle: float) -> bool:
        """Whether the rows that are left offended often enough, `settle` seconds being what that takes."""
        if not self.answer.count:
            return self.readings > LOOKS or (self.readings > 2 and now - self.first >= 2 * settle)
        if self.unplaced:
            left = self.places or self.gone
            return bool(left) and self._keyed and self.readings >= (READINGS if self.moved else 2)
        times = CAREFUL if self.moved else 1
        slow = self.looks > 1 and now - self.first >= 2 * times * settle
        return self.looks >= LOOKS * times or slow

    def look(self, now: float, fetch: Fetch) -> None:
        """Looks at the rows again, in the snapshot of this transaction."""
        there, unknown, _ = look(self.probe, self.places, fetch)
        self.first = self.first or now
        self.looks += 1
        self.moved = self.moved or there != set(self.places)
        self.gone = (*self.gone, *unknown)
        self.places = tuple(there)

    def read(self, answer: Answer, now: float) -> None:
        """Takes the answer of another reading."""
        before, self.answer = self.answer, answer
        offended = {place.row for place in (*self.places, *self.gone)} if before.whole else set()
        self.readings += 1
        self.gone, self.places = (), answer.places
        if not before.count:
            self.since, self.first = (now, 0.0) if answer.count else (self.since, self.first or now)
        elif "" not in offended and offended and self._keyed:
            self.places = tuple(place for place in answer.places if place.row in offended)
            self.moved = self.moved or len(self.places) < len(offended)
        else:
            self.moved, self.looks, self.first, self.since = True, 0, 0.0, now
        if len(self.places) < before.count:
            self.in_flight = max(self.in_flight, before.count - len(self.places))

    def cleared(self) -> Answer:
        """The answer where nothing is left."""
        in_flight = max(self.in_flight, self.answer.count)
        said = replace(self.answer.evidence, violations=0, where=None, sample=(), in_flight=in_flight)
        return replace(self.answer, count=0, groups=0, places=(), evidence=said)

    def told(self, snapshot: str | None, fetch: Fetch | None, samples: Samples) -> Answer:
        """The answer, once it is certain; of the rows that are left only, where others were in flight and `fetch` may ask."""
        answer = self.answer
        if fetch and answer.whole and 0 < len(self.places) < answer.count and not self.unplaced:
            groups = len(_rings(self.probe, self.places, fetch)) if isinstance(self.probe, Cycles) else 0
            answer = reduced(self.probe, answer, self.places, groups, fetch, samples)
        in_flight = max(self.in_flight, self.answer.count - answer.count)
        return replace(answer, evidence=replace(answer.evidence, seen_again=snapshot, in_flight=in_flight))


def look(question: Probe, places: Collection[Place], fetch: Fetch) -> tuple[set[Place], set[Place], set[Place]]:
    """Of these rows those that offend, as they are now; those of which that is not known; and those that do not, as they were."""
    rows = Rows(question.table, only=question.only if isinstance(question, Matching) else True)
    current, unknown = set(places), set[Place]()
    there = _offending(question, rows, current, fetch)
    if len(there) < len(current):
        current, unknown = now(rows, places, fetch)
        if current - set(places):
            there = _offending(question, rows, current, fetch)
    left = {place for place in current if place.version in there}
    if unknown and isinstance(question, Duplicates | Cycles):  # it takes the others to tell
        unknown |= {place for place in current if place not in left}
    known = {place.row or place.version for place in (*left, *unknown)}
    return left, unknown, {place for place in places if (place.row or place.version) not in known}


def _offending(question: Probe, rows: Rows, places: Collection[Place], fetch: Fetch) -> set[str]:
    """The versions, of these, that certainly offend."""
    if not places:
        return set()
    near = among(rows, places)
    if isinstance(question, Cycles):
        return set().union(*_rings(question, places, fetch))
    if isinstance(question, Duplicates):
        # A version of a row has its key for ever.
        keys = [key_expression(rows, key, heap=question.heap) for key in question.keys]
        sharing = rows.select(sa.literal_column(version(rows)), sa.func.count().over(partition_by=keys))
        found = fetch(text_of(sharing.where(near, *([raw(question.where)] if question.where else []))))
        return {where or "" for where, held in found if int(held or 0) > 1}
    if isinstance(question, Ahead):
        offending = raw(question.to_come(fragment(rows.column(question.column)), given_out(question, fetch)[-1]))
    else:
        assert isinstance(question, Unmatched | Pairs | Matching)
        offending = counted(question).offending
    found = fetch(text_of(rows.select(sa.literal_column(version(rows))).where(near, offending)))
    return {where or "" for (where,) in found}


def _rings(question: Cycles, places: Collection[Place], fetch: Fetch) -> set[frozenset[str]]:
    """The cycles that these rows, all of them once on cycles, still form."""
    rows, above = (Rows(question.table, only=True, alias=name) for name in (None, referenced_name(question.table)))
    pairs = rows.select(sa.literal_column(version(rows)), sa.literal_column(version(above))).select_from(above.clause)
    if above.only:
        pairs = pairs.with_hint(above.clause, "ONLY", "postgresql")
    conditions = (among(rows, places), among(above, places), *joins(question, rows, above))
    parent = {own: theirs for own, theirs in fetch(text_of(pairs.where(*conditions))) if own and theirs}
    found = set()
    for start in parent:
        way = [start]
        while (beyond := parent.get(way[-1])) is not None and beyond not in way:
            way.append(beyond)
        if beyond is not None:
            found.add(frozenset(way[way.index(beyond) :]))
    return found
