"""The strategies beside the textbook one: each returns what that returns, sooner, or gives up and says nothing.

All work within one transaction, hence one snapshot: what one query tells of the parent's keys holds in the next. Each finds
a condition over the child's columns that, in this snapshot, holds for the orphans and for no other row; the report shows
the textbook condition, which holds for them in any.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import sqlalchemy as sa

from auditor.catalog.model import Catalog
from auditor.probe import Answer, Duplicates, Probe, Unmatched, referenced_name
from auditor.probe.choice import (
    GAPS,
    IN_ORDER,
    INTEGERS,
    MERGE,
    ONE_HASH,
    ONE_PASS,
    PROBES,
    TEXTBOOK,
    TEXTS,
    UUID,
    WALK,
    Choice,
    Facts,
    Together,
    distinct_parents,
    kind_of,
    most_members,
    together,
)
from auditor.probe.sql import Condition, Rows, raw, text_of
from auditor.probe.textbook import Fetch, Samples, ask, completed, refusal, repeated_keys, unmatched, within
from auditor.text import ident, literal

_STEPS = (100, 1_000, 10_000)  # values of a walk between two looks at its bound; the last one repeats
_MOST_MISSING = 10_000  # values or gaps that are kept; with more the textbook strategy is as good
_MOST_GAPS = 10_000
_MOST_BYTES = 8 * 2**20  # of constants in one query
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class _GivenUpError(Exception):
    """The strategy met its bound; the next one follows."""


Range = tuple[int, int]


@dataclass(slots=True)
class _Unit:
    """Questions about one table, answered in one transaction; what was learnt of a parent is kept for the next."""

    facts: Facts
    fetch: Fetch
    samples: Samples
    gaps: dict[tuple[Any, ...], tuple[Range, ...] | None] = field(default_factory=dict)
    members: dict[tuple[Any, ...], str | None] = field(default_factory=dict)
    constants: int = 0  # bytes of constants in the one pass
    bits: int = 0  # bytes of bitmaps in it


@dataclass(slots=True)
class _Begun:
    """A question underway: the strategy that did not give up, the condition it found (None: no row), and its seconds.

    `sooner` holds for the same rows and is read in less time, or is refused by the server.
    """

    question: Unmatched
    choice: Choice
    condition: Condition | None
    seconds: float
    sooner: Condition | None = None
    count: int = 0


def measured(catalog: Catalog, probes: Sequence[Probe], fetch: Fetch) -> Facts:
    """The facts with the sizes that the tables of these questions have now."""
    known = Facts(catalog)
    chosen = (probe for probe in probes if isinstance(probe, Unmatched | Duplicates))
    leaves = {leaf.oid for probe in chosen for table, _ in probe.reads() for leaf in known.leaves(table, only=False)}
    if not leaves:
        return known
    sizes = fetch(
        "SELECT oid, pg_catalog.pg_relation_size(oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8"
        f" FROM pg_catalog.unnest('{{{','.join(map(str, sorted(leaves)))}}}'::pg_catalog.oid[]) AS oid"
    )
    return Facts(catalog, {int(oid or 0): int(pages or 0) for oid, pages in sizes})


def answers(
    facts: Facts,
    probes: Sequence[Probe],
    fetch: Fetch,
    samples: Samples,
    choose: Callable[[Facts, Sequence[Probe]], Together] = together,
    slices: int | None = None,
) -> Iterator[tuple[int, Answer]]:
    """The number of each question and its answer. The questions are about one table; `fetch` runs in one transaction.

    `choose` orders the strategies, as `choice.together` does. A pass over a table reads at most `slices` pages at once. Raises what `fetch` raises; what was answered by then stands.
    """
    chosen = choose(facts, probes)
    unit = _Unit(facts, fetch, samples)
    begun: dict[int, _Begun] = {}
    for n, (question, choices) in enumerate(zip(probes, chosen.orders, strict=True)):
        if isinstance(question, Unmatched) and chosen.counted_once:
            begun[n] = _begin(unit, question, choices)
            continue
        started = time.monotonic()
        choice = choices[0]
        answer = _repeated(question, choice, fetch, samples) if isinstance(question, Duplicates) else None
        if answer is None:
            answer = ask(question, fetch, samples)
        yield n, _told(answer, choice.strategy, choices[0], time.monotonic() - started)
    if not begun:
        return
    started = time.monotonic()
    examined = _pass(unit, list(begun.values()), slices)
    shared = (time.monotonic() - started) / len(begun)
    for (n, one), rows in zip(begun.items(), examined, strict=True):
        started = time.monotonic()
        answer = _finish(unit, one, rows)
        seconds = one.seconds + shared + time.monotonic() - started
        yield n, _told(answer, one.choice.strategy, chosen.orders[n][0], seconds)


def _told(answer: Answer, strategy: str, estimated: Choice, seconds: float) -> Answer:
    """The answer with how it was come by; the estimate is that of the strategy that was begun with."""
    evidence = replace(
        answer.evidence,
        strategy=strategy if answer.evidence.strategy == TEXTBOOK else answer.evidence.strategy,
        seconds=round(seconds, 4),
        estimated_seconds=round(estimated.seconds, 4),
    )
    return replace(answer, evidence=evidence)


def _begin(unit: _Unit, question: Unmatched, choices: Sequence[Choice]) -> _Begun:
    """All of a strategy but the reading of the child that it can share with others; the first that does not give up."""
    started = time.monotonic()
    for choice in choices:
        try:
            condition: Condition | None
            sooner = None
            if choice.strategy == WALK:
                condition = _walk(unit, question, choice.bound)
            elif choice.strategy == GAPS:
                condition = _gap_probes(unit, question)
            elif choice.strategy == ONE_PASS:
                condition = _constants(unit, question)
                sooner = _bitmap(unit, question)
            else:
                condition = unmatched(question, Rows(question.table, only=True))
            return _Begun(question, choice, condition, time.monotonic() - started, sooner)
        except _GivenUpError:
            continue
    raise AssertionError(f"no strategy is left for {question}")


def _pass(unit: _Unit, begun: list[_Begun], slices: int | None) -> list[int]:
    """How many rows each question is about. Counts on the way what the constants tell, all in one reading of the table."""
    rows = Rows(begun[0].question.table, only=True)
    total = sa.func.count()
    considered = dict.fromkeys(one.question.where for one in begun)
    wheres = [total.filter(raw(where)) if where else total for where in considered]
    by_constants = [one for one in begun if one.choice.strategy == ONE_PASS]
    sure = [_offending(one) for one in by_constants]
    soon = [
        old if one.sooner is None else within(one.question, one.sooner)
        for one, old in zip(by_constants, sure, strict=True)
    ]
    whole, sooner = (rows.select(*wheres, *map(total.filter, broken)) for broken in (sure, soon))
    unrefused = any(one.sooner is not None for one in by_constants)
    if unrefused:
        unit.fetch("SAVEPOINT refusable")
    found = [0] * (len(wheres) + len(sure))
    for part in _slices(unit, rows, slices):
        read: list[tuple[str | None, ...]] = []
        unrefused = unrefused and not refusal(unit.fetch, _cut(sooner, part), read)
        if not unrefused:  # a value lies beyond the bitmap
            read = unit.fetch(_cut(whole, part))
        found = [sum_ + int(value or 0) for sum_, value in zip(found, read[0], strict=True)]
    counts = found[len(wheres) :]
    for one, orphans in zip(by_constants, counts, strict=True):
        one.count = orphans
    examined = dict(zip(considered, found, strict=False))
    return [examined[one.question.where] for one in begun]


def _cut(statement: sa.Select[Any], part: Condition | None) -> str:
    return text_of(statement if part is None else statement.where(part))


def _slices(unit: _Unit, rows: Rows, pages: int | None) -> Iterator[Condition | None]:
    """Conditions that cut a table into pieces of so many pages: read as such by a TID range scan (release notes of 14)."""
    held = unit.facts.measured.get(rows.table.oid, 0)
    if not pages or held <= pages or rows.table.kind != "r" or unit.facts.catalog.server.major < 14:
        yield None
        return
    place = f"{ident(rows.clause.name)}.ctid"
    starts = range(0, held, pages)
    for start in starts:
        below = f" AND {place} < '({start + pages},0)'::pg_catalog.tid" if start != starts[-1] else ""
        yield sa.literal_column(f"{place} >= '({start},0)'::pg_catalog.tid{below}", sa.Boolean())


def _offending(one: _Begun) -> Condition:
    assert one.condition is not None
    return within(one.question, one.condition)


# What the server's planner must do without, so that it reads as the strategy says.
_WITHOUT = {PROBES: ("hashjoin", "mergejoin"), MERGE: ("hashjoin", "nestloop", "sort")}


def _finish(unit: _Unit, one: _Begun, examined: int) -> Answer:
    """The rest of the answer: the count where the pass did not tell it, and what is read of the offending rows only."""
    rows = Rows(one.question.table, only=True)
    whole = within(one.question, unmatched(one.question, rows))
    constant = one.choice.strategy in (WALK, GAPS, ONE_PASS)
    without = _WITHOUT.get(one.choice.strategy, ())
    with _planner(unit.fetch, *without):
        if one.condition is not None and one.choice.strategy != ONE_PASS:
            counting = text_of(rows.select(sa.func.count()).where(_offending(one)))
            if not without or _as_meant(unit.fetch, counting):
                one.count = int(unit.fetch(counting)[0][0] or 0)
            else:
                one.choice, without = replace(one.choice, strategy=TEXTBOOK), ()
                _plan_with(unit.fetch, _WITHOUT[PROBES] + _WITHOUT[MERGE], on=True)
                one.count = int(unit.fetch(counting)[0][0] or 0)
        sooner = _offending(one) if constant and one.count else None
        groups = None
        if one.count and kind_of(one.question) in (INTEGERS, UUID):
            groups, sooner = _values(unit, one, rows, sooner)
    names = one.question.columns
    return completed(rows, whole, one.count, examined, names, names, unit.fetch, unit.samples, sooner, groups)


def _values(unit: _Unit, one: _Begun, rows: Rows, sooner: Condition | None) -> tuple[int, Condition | None]:
    """How many different values the orphans have, and the orphans as the rows with these values, where they are not many."""
    key, base = _column(one.question, rows.clause.name), _base(one.question)
    offending = _offending(one) if sooner is None else sooner
    distinct = text_of(rows.select(sa.literal_column(f"{key}::{base} AS value")).where(offending).distinct())
    groups, values = unit.fetch(
        f"SELECT pg_catalog.count(*), pg_catalog.array_agg(q.value) FILTER (WHERE q.number <= {_MOST_MISSING})::pg_catalog.text"
        f" FROM (SELECT d.value, pg_catalog.row_number() OVER () AS number FROM ({distinct}) AS d) AS q"
    )[0]
    if int(groups or 0) <= _MOST_MISSING:
        held = sa.literal_column(f"{key} = ANY ({literal(values or '{}')}::{base}[])", sa.Boolean())
        sooner = within(one.question, held)
    return int(groups or 0), sooner


def _plan_with(fetch: Fetch, names: Sequence[str], *, on: bool) -> None:
    value = "on" if on else "off"
    calls = (f"pg_catalog.set_config('enable_{name}', '{value}', true)" for name in names)
    fetch(f"SELECT {', '.join(calls)}")


@contextmanager
def _planner(fetch: Fetch, *without: str) -> Iterator[None]:
    """Takes ways of reading from the server's planner; all are on in the pinned transaction. An error of the server ends that."""
    if not without:
        yield
        return
    _plan_with(fetch, without, on=False)
    try:
        yield
    except _GivenUpError:
        _plan_with(fetch, without, on=True)
        raise
    _plan_with(fetch, without, on=True)


def _as_meant(fetch: Fetch, statement: str) -> bool:
    """Whether the server would read by indexes where the strategy needs it: an index may exist and yet not be usable, as
    after CREATE INDEX in a table with broken HOT chains (source: README.HOT)."""
    (top,) = json.loads("".join(row[0] or "" for row in fetch(f"EXPLAIN (FORMAT JSON, COSTS OFF) {statement}")))

    def fine(node: dict[str, Any], repeated: bool) -> bool:
        kind = node["Node Type"]
        parts = node.get("Plans", [])
        if kind in ("Sort", "Incremental Sort") and parts[0]["Node Type"] != "CTE Scan":
            return False
        if repeated and kind in ("Seq Scan", "Bitmap Heap Scan"):
            return False
        again = kind in ("Nested Loop", "Recursive Union")
        return all(fine(part, repeated or (again and number > 0)) for number, part in enumerate(parts))

    return fine(top["Plan"], False)


def _column(question: Unmatched, alias: str) -> str:
    return f"{ident(alias)}.{ident(question.columns[0])}"


def _base(question: Unmatched, *, of_parent: bool = False) -> str:
    kind = kind_of(question) or {}
    column = (
        question.referenced.by_name[question.referenced_columns[0]]
        if of_parent
        else question.table.by_name[question.columns[0]]
    )
    return kind[column.base_oid]


def _parents(question: Unmatched) -> tuple[str, str]:
    """FROM and WHERE of the rows that may be referenced, and the key as SQL there."""
    alias = referenced_name(question.table)
    key = f"{alias}.{ident(question.referenced_columns[0])}"
    only = "ONLY " if question.only and question.referenced.only else ""
    extra = f" AND ({question.referenced_where})" if question.referenced_where else ""
    return f"FROM {only}{question.referenced.sql} AS {alias} WHERE {key} IS NOT NULL{extra}", key


def _parent(question: Unmatched) -> tuple[Any, ...]:
    return question.referenced.oid, question.referenced_columns, question.referenced_where, question.only


# --- distinct walk --------------------------------------------------------------------------------------------------


def _walk(unit: _Unit, question: Unmatched, bound: int) -> Condition | None:
    """From each value of the child's index to the next larger one; those without parent.

    Integers and uuid only: the order of text is the operating system's, and changes under an index when that is upgraded.
    """
    child, parents = ident("c"), _parents(question)
    key, base = _column(question, "c"), _base(question)
    source = f"FROM ONLY {question.table.sql} AS {child}"
    missing: list[str] = []
    last: str | None = None
    walked = 0
    with _planner(unit.fetch, "seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):
        for number in count():
            step = _STEPS[min(number, len(_STEPS) - 1)]
            after = f"> {literal(last)}::{base}" if last is not None else "IS NOT NULL"
            statement = (
                f"WITH RECURSIVE walk (key, step) AS ((SELECT {key}, 1 {source} WHERE {key} {after} ORDER BY {key} LIMIT 1)"
                f" UNION ALL SELECT n.key, walk.step + 1 FROM walk, LATERAL (SELECT {key} AS key {source}"
                f" WHERE {key} > walk.key ORDER BY {key} LIMIT 1) AS n WHERE walk.step < {step})"
                " SELECT (SELECT pg_catalog.count(*) FROM walk),"
                " (SELECT pg_catalog.format('%s', w.key) FROM walk AS w ORDER BY w.step DESC LIMIT 1),"
                f" (SELECT pg_catalog.array_agg(w.key::{base})::pg_catalog.text FROM walk AS w"
                f" WHERE NOT EXISTS (SELECT 1 {parents[0]} AND {parents[1]} = w.key))"
            )
            if not number and not _as_meant(unit.fetch, statement):
                raise _GivenUpError
            stepped, last, orphans = unit.fetch(statement)[0]
            walked += int(stepped or 0)
            missing += (orphans or "{}").strip("{}").split(",") if orphans else []
            if len(missing) > _MOST_MISSING:
                raise _GivenUpError
            if int(stepped or 0) < step:
                break
            if walked > bound:
                raise _GivenUpError
    if not missing:
        return None
    own = _column(question, question.table.name)
    return sa.literal_column(f"{own} = ANY ('{{{','.join(missing)}}}'::{base}[])", sa.Boolean())


# --- gaps between integers ------------------------------------------------------------------------------------------


def _gaps(unit: _Unit, question: Unmatched) -> tuple[Range, ...]:
    """Every integer that is no key of the parent, as closed ranges in order."""
    place = _parent(question)
    if place not in unit.gaps:
        unit.gaps[place] = _read_gaps(unit, question)
    ranges = unit.gaps[place]
    if ranges is None:
        raise _GivenUpError
    return ranges


def _read_gaps(unit: _Unit, question: Unmatched) -> tuple[Range, ...] | None:
    parents, key = _parents(question)
    if not question.referenced_where:
        # Two looks into the index tell whether the keys can be dense at all.
        ends = unit.fetch(f"SELECT pg_catalog.min({key}), pg_catalog.max({key}) {parents}")[0]
        span = int(ends[1] or 0) - int(ends[0] or 0)
        if span > 4 * unit.facts.size(question.referenced, question.only).rows + 1_000_000:
            return None
    # 64 keys to a word, a bit for each that is there: no sort of the keys, and no belief in what an index says of them. The
    # planner takes word for as many values as keys, and sorts, unless it comes out of a subquery, of whose columns it knows
    # nothing; OFFSET keeps that apart, and '0', which needs no cast, leaves it to parallel workers.
    wide = f"{key}::pg_catalog.int8"
    each = f"SELECT {wide} >> 6 AS word, '1'::pg_catalog.int8 << ({wide} & 63)::pg_catalog.int4 AS bit {parents} OFFSET '0'"
    words = f"SELECT k.word, pg_catalog.bit_or(k.bit) AS bits FROM ({each}) AS k GROUP BY 1"
    beside = "pg_catalog.lag(w.word) OVER o AS before, pg_catalog.lead(w.word) OVER o AS after"
    statement = (
        f"SELECT q.word, q.bits, q.before, q.after FROM (SELECT w.word, w.bits, {beside} FROM ({words}) AS w"
        f" WINDOW o AS (ORDER BY w.word)) AS q WHERE q.bits <> -1 OR (q.before = q.word - 1) IS NOT TRUE OR q.after IS NULL"
        f" LIMIT {_MOST_GAPS + 1}"
    )
    found = [tuple(None if value is None else int(value) for value in row) for row in unit.fetch(statement)]
    gaps: list[Range] = []

    def missing(low: int, high: int) -> None:
        low, high = max(low, _LOWEST), min(high, _HIGHEST)
        if gaps and gaps[-1][1] == low - 1:
            low = gaps.pop()[0]
        if low <= high:
            gaps.append((low, high))

    for word, bits, before, after in sorted(found):
        assert word is not None
        assert bits is not None
        start = word << 6
        if before != word - 1:
            missing(_LOWEST if before is None else (before + 1) << 6, start - 1)
        for at, bit in enumerate(reversed(f"{bits & 2**64 - 1:064b}")):
            if bit == "0":
                missing(start + at, start + at)
        if after is None:
            missing(start + 64, _HIGHEST)
    if not found:
        return ((_LOWEST, _HIGHEST),)
    return tuple(gaps) if max(len(found), len(gaps)) <= _MOST_GAPS else None


def _within(column: str, ranges: Sequence[Range]) -> str:
    """SQL: the column lies in one of the ranges."""
    said = []
    for low, high in ranges:
        ends = [f"{column} >= '{low}'::pg_catalog.int8"] if low > _LOWEST else []
        ends += [f"{column} <= '{high}'::pg_catalog.int8"] if high < _HIGHEST else []
        said.append(f"({' AND '.join(ends)})" if ends else f"{column} IS NOT NULL")
    return f"({' OR '.join(said)})" if said else "false"


_MOST_HITS = 100  # gaps with orphans in them, each a condition of its own


def _gap_probes(unit: _Unit, question: Unmatched) -> Condition | None:
    """One look into the child's index for each gap between the parent's keys."""
    gaps = _gaps(unit, question)
    lows, highs = (",".join(str(gap[end]) for gap in gaps) for end in (0, 1))
    key = _column(question, "c")
    statement = (
        f"SELECT g.low, g.high FROM ROWS FROM (pg_catalog.unnest('{{{lows}}}'::pg_catalog.int8[]),"
        f" pg_catalog.unnest('{{{highs}}}'::pg_catalog.int8[])) AS g (low, high)"
        f" WHERE (SELECT true FROM ONLY {question.table.sql} AS c WHERE {key} >= g.low AND {key} <= g.high LIMIT 1)"
        f" LIMIT {_MOST_HITS + 1}"
    )
    with _planner(unit.fetch, "seqscan", "bitmapscan", "sort"):
        if not _as_meant(unit.fetch, statement):
            raise _GivenUpError
        hits = [(int(low or 0), int(high or 0)) for low, high in unit.fetch(statement)]
    if len(hits) > _MOST_HITS:
        raise _GivenUpError
    return sa.literal_column(_within(_column(question, question.table.name), hits), sa.Boolean()) if hits else None


# --- constants in one pass ------------------------------------------------------------------------------------------


def _constants(unit: _Unit, question: Unmatched) -> Condition:
    """The parent's keys as constants: the ends and the values missing between them, or all of them."""
    column = _column(question, question.table.name)
    most = most_members(unit.facts)
    text = None
    if kind_of(question) is INTEGERS and distinct_parents(unit.facts, question):
        with suppress(_GivenUpError):
            text = _outside(_gaps(unit, question), column, min(most, _MOST_MISSING))
    if text is None:
        members = _members(unit, question, most)
        # A hash from 14 on, either way; written so, it is one there already.
        text = f"({column} = ANY ({literal(members)}::{_base(question, of_parent=True)}[])) IS NOT TRUE AND {column} IS NOT NULL"
    unit.constants += len(text)
    if unit.constants > _MOST_BYTES:
        raise _GivenUpError
    return sa.literal_column(f"({text})", sa.Boolean())


def _bitmap(unit: _Unit, question: Unmatched) -> Condition | None:
    """The same as the constants in less time: a bit for each integer from before the first key to beyond the last, set where
    there is no key. A value further off the server refuses (documentation: Binary String Functions and Operators, get_bit).
    """
    gaps = unit.gaps.get(_parent(question)) or ()
    if len(gaps) < 2 or gaps[0][0] > _LOWEST or gaps[-1][1] < _HIGHEST:
        return None
    first, last = gaps[0][1] + 1, gaps[-1][0] - 1
    margin = max(1024, (last - first) >> 3)  # rows that were the first or the last are not far off
    start, end = 0 if 0 <= first <= margin else first - margin, last + margin
    if end - start > min(max(unit.facts.size(question.table).rows, _FEW_BITS), _MOST_BITS):
        return None
    held = bytearray((end - start) // 8 + 1)
    for low, high in gaps:
        _set_bits(held, max(low - start, 0), min(high - start, len(held) * 8 - 1))
    place = f"{_column(question, question.table.name)}::pg_catalog.int8" + (
        f" - '{start}'::pg_catalog.int8" if start else ""
    )
    if unit.facts.catalog.server.major < 14:
        place = f"({place})::pg_catalog.int4"
    text = f"pg_catalog.get_bit('\\x{held.hex()}'::pg_catalog.bytea, {place}) = 1"
    unit.bits += len(text)
    return sa.literal_column(f"({text})", sa.Boolean()) if unit.bits <= _MOST_BYTES else None


_FEW_BITS, _MOST_BITS = 65_536, 8 * 2**20  # of a bitmap that is made for a small table, or at all


def _set_bits(held: bytearray, first: int, last: int) -> None:
    """Sets these bits and all between them; the first of a byte is its lowest."""
    while first <= last and first % 8:
        held[first // 8] |= 1 << first % 8
        first += 1
    whole = max((last + 1 - first) // 8, 0)
    held[first // 8 : first // 8 + whole] = b"\xff" * whole
    for bit in range(first + whole * 8, last + 1):
        held[bit // 8] |= 1 << bit % 8


def _outside(gaps: Sequence[Range], column: str, most: int) -> str | None:
    ends = [gap for gap in gaps if gap[0] == _LOWEST or gap[1] == _HIGHEST]
    inner = [gap for gap in gaps if gap not in ends]
    if sum(high - low + 1 for low, high in inner) <= most:
        values = [str(value) for low, high in inner for value in range(low, high + 1)]
        listed = f" OR {column} = ANY ('{{{','.join(values)}}}'::pg_catalog.int8[])" if values else ""
        return _within(column, ends) + listed
    return _within(column, gaps) if len(inner) <= _FEW_RANGES else None


_FEW_RANGES = 8  # conditions a row is compared with in less time than a look into a hash takes


def _members(unit: _Unit, question: Unmatched, most: int) -> str:
    """All keys of the parent as the text of an array."""
    place = _parent(question)
    if place not in unit.members:
        unit.members[place] = _read_members(unit, question, most)
    members = unit.members[place]
    if members is None:
        raise _GivenUpError
    return members


def _read_members(unit: _Unit, question: Unmatched, most: int) -> str | None:
    parents, key = _parents(question)
    some = f"(SELECT {key}::{_base(question, of_parent=True)} AS key {parents} LIMIT {most + 1}) AS q"
    size = "coalesce(pg_catalog.sum(pg_catalog.octet_length(q.key)), 0)" if kind_of(question) is TEXTS else "0"
    held, length = unit.fetch(f"SELECT pg_catalog.count(*), {size} FROM {some}")[0]
    if int(held or 0) > most or int(length or 0) > _MOST_BYTES:
        return None
    return unit.fetch(f"SELECT pg_catalog.array_agg(q.key)::pg_catalog.text FROM {some}")[0][0] or "{}"


# --- keys held twice ------------------------------------------------------------------------------------------------


def _repeated(question: Duplicates, choice: Choice, fetch: Fetch, samples: Samples) -> Answer | None:
    """The textbook query, read in the order of an index or with a hash instead of a sort; None where it is best as it is."""
    without = {IN_ORDER: ("seqscan", "bitmapscan", "sort", "hashagg"), ONE_HASH: ("sort",)}.get(choice.strategy)
    if without is None:
        return None
    with _planner(fetch, *without):
        return repeated_keys(question, fetch, samples, _again(question))


def _again(question: Duplicates) -> Callable[[Rows], Condition] | None:
    """The rows that hold a repeated key, by the key itself: a hash instead of the textbook's sort of all rows.

    Where `=` is certain to be the equality that GROUP BY groups by: columns of the server's own types.
    """
    columns = [question.table.by_name[key.column] for key in question.keys if key.column is not None]
    built_in = all(column.base_oid < 16384 for column in columns) and len(columns) == len(question.keys)
    if not built_in or question.nulls_equal or question.touching or any(key.collation for key in question.keys):
        return None

    def sooner(rows: Rows) -> Condition:
        inner = Rows(question.table, only=True, alias="same" if question.table.name != "same" else "other")
        conditions = [raw(question.where)] if question.where else []
        names = [column.name for column in columns]
        repeated = (
            inner.select(*map(inner.column, names))
            .where(*conditions, *(inner.column(name).is_not(None) for name in names))
            .group_by(*map(inner.column, names))
            .having(sa.func.count() > sa.text("1"))
        )
        return sa.and_(*conditions, sa.tuple_(*map(rows.column, names)).in_(repeated))

    return sooner
