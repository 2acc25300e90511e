"""Whether rows that offend in one snapshot still do in later ones. Who writes a row, and what it needs, in two transactions
leaves it offending for a moment, in flight: that is no defect.

The rows are found by where they lie, without reading the table again. What is fine by then was in flight. What is gone was
deleted, or changed and may offend as before: where nothing else is left the question is read again as a whole, and rows
that offended both times are told by their key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from auditor.probe import Ahead, Answer, Cycles, Duplicates, Matching, Pairs, Place, Probe, Unmatched, referenced_name
from auditor.probe.places import among, version
from auditor.probe.sql import Condition, Rows, fragment, joins, key_expression, raw, text_of
from auditor.probe.textbook import Fetch, Samples, counted, given_out, reduced

LOOKS = 10  # at rows, each in a snapshot of its own, until they count
CAREFUL = 4  # times as many, once any of them was in flight
READINGS = 4  # of a whole question, while its rows are gone each time


@dataclass
class Doubt:
    """An answer whose rows are looked at again. `places` are those that have offended in each snapshot so far, `gone` those
    of which that is not known any more.

    Without rows that were counted it is what is not there that offends: there is nothing but to read again.
    """

    probe: Probe
    answer: Answer
    since: float  # from when on the rows are known to offend, in time.monotonic()'s seconds
    due: float = 0.0  # when to look next
    failures: int = 0
    moved: bool = False  # whether any row was in flight, or may have been
    in_flight: int = 0
    places: tuple[Place, ...] = ()
    gone: tuple[Place, ...] = ()
    looks: int = 0
    readings: int = 1
    first: float = 0.0  # when the first look was

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
            return self.readings > 1
        if self.unplaced:
            left = self.places or self.gone
            return bool(left) and self._keyed and self.readings >= (READINGS if self.moved else 2)
        times = CAREFUL if self.moved else 1
        slow = self.looks > 1 and now - self.first >= 2 * times * settle
        return self.looks >= LOOKS * times or slow

    def look(self, now: float, fetch: Fetch) -> None:
        """Looks at the rows again, in the snapshot of this transaction."""
        there, fine = look(self.probe, self.places, fetch)
        self.first = self.first or now
        self.looks += 1
        self.moved = self.moved or len(there) < len(self.places)
        self.gone = (*self.gone, *(place for place in self.places if place not in there and place not in fine))
        self.places = tuple(place for place in self.places if place in there)

    def read(self, answer: Answer, now: float) -> None:
        """Takes the answer of another reading."""
        before, self.answer = self.answer, answer
        offended = {place.row for place in (*self.places, *self.gone)} if before.whole else set()
        self.readings += 1
        self.gone, self.places = (), answer.places
        if not before.count:
            self.since = now
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


def look(question: Probe, places: Iterable[Place], fetch: Fetch) -> tuple[set[Place], set[Place]]:
    """Of these rows those that certainly offend, and those that certainly do not; of the others nothing is known."""
    asked = {place.version: place for place in places}
    assert isinstance(question, Unmatched | Pairs | Matching | Duplicates | Cycles | Ahead)
    rows = Rows(question.table, only=question.only if isinstance(question, Matching) else True)
    near = among(rows, asked.values())
    fine: set[str] = set()
    if isinstance(question, Duplicates):
        # A version of a row has its key for ever.
        keys = [key_expression(rows, key, heap=question.heap) for key in question.keys]
        sharing = rows.select(sa.literal_column(version(rows)), sa.func.count().over(partition_by=keys))
        found = fetch(text_of(sharing.where(near, *([raw(question.where)] if question.where else []))))
        there = {where or "" for where, held in found if int(held or 0) > 1}
        if len(found) == len(asked):
            fine = asked.keys() - there
    elif isinstance(question, Cycles):
        there = set().union(*_rings(question, asked.values(), fetch))
    else:
        if isinstance(question, Ahead):
            offending = raw(question.to_come(fragment(rows.column(question.column)), given_out(question, fetch)[-1]))
        else:
            offending = counted(question).offending
        there = _versions(rows, sa.and_(near, offending), fetch)
        if len(there) < len(asked):
            fine = _versions(rows, near, fetch) - there
    return {asked[where] for where in there}, {asked[where] for where in fine}


def _rings(question: Cycles, places: Iterable[Place], fetch: Fetch) -> set[frozenset[str]]:
    """The cycles that these rows, all of them once on cycles, still form."""
    places = tuple(places)
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


def _versions(rows: Rows, condition: Condition, fetch: Fetch) -> set[str]:
    return {where or "" for (where,) in fetch(text_of(rows.select(sa.literal_column(version(rows))).where(condition)))}
