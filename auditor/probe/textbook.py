"""The textbook strategy of every question: the query a DBA would write by hand. The oracle of every other strategy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import sqlalchemy as sa

from auditor.catalog.model import Table
from auditor.check import Evidence
from auditor.probe import (
    Ahead,
    Answer,
    Constants,
    Cycles,
    Duplicates,
    Matching,
    Pairs,
    Place,
    Planned,
    Probe,
    Relation,
    UnansweredError,
    Unmatched,
    Values,
)
from auditor.probe.places import MOST, among, in_order, placed
from auditor.probe.samples import Samples as Samples
from auditor.probe.sql import (
    Condition,
    Rows,
    folded,
    fragment,
    key_expression,
    partner,
    raw,
    referencing,
    shown,
    text_of,
    unindexed,
    upsert,
)

Fetch = Callable[[str], list[tuple[str | None, ...]]]

SAMPLE_ROWS = 10
WITHHELD = "(withheld)"


@singledispatch
def ask(question: Probe, fetch: Fetch, samples: Samples) -> Answer:
    """The answer of the rows, in the transaction `fetch` runs in. Counts are exact; the sample is read only after a failure."""
    raise TypeError(f"no strategy for {type(question).__name__}")


@dataclass(frozen=True, slots=True)
class Counted:
    """A question that each row answers for itself: the rows, how those it is about are counted, and which of them offend.

    `names` are the columns whose values are counted apart, `compared` those that it compares.
    """

    rows: Rows
    considered: sa.Select[Any]
    offending: Condition
    names: tuple[str, ...]
    compared: tuple[str, ...]


def counted(question: Unmatched | Pairs | Matching) -> Counted:
    """The textbook's query of such a question, in parts."""
    if isinstance(question, Matching):
        rows = Rows(question.table, only=question.only)
        considered, offending = rows.select(sa.func.count()), raw(question.where)
        if question.among:
            considered, offending = considered.where(raw(question.among)), sa.and_(raw(question.among), offending)
        return Counted(rows, considered, offending, (), question.columns)
    rows = Rows(question.table, only=True)
    if isinstance(question, Unmatched):
        condition = unmatched(question, rows)
    else:
        condition = partner(question, rows)
        if question.unless:
            condition = sa.and_(condition, sa.not_(partner(replace(question, referenced_where=question.unless), rows)))
    considered = rows.select(sa.func.count())
    if question.where:
        considered = considered.where(raw(question.where))
    return Counted(rows, considered, within(question, condition), question.columns, question.columns)


@ask.register(Unmatched)
@ask.register(Pairs)
@ask.register(Matching)
def _(question: Unmatched | Pairs | Matching, fetch: Fetch, samples: Samples) -> Answer:
    parts = counted(question)
    count = parts.rows.select(sa.func.count()).where(parts.offending)
    said = fetch(text_of(sa.select(parts.considered.scalar_subquery(), count.scalar_subquery())))[0]
    examined, offending = map(_number, said)
    names, compared = parts.names, parts.compared
    return completed(parts.rows, parts.offending, offending, examined, names, compared, fetch, samples)


def unmatched(question: Unmatched, rows: Rows) -> Condition:
    """Which of `rows` point somewhere, and at nothing there."""
    return sa.and_(referencing(question, rows), sa.not_(partner(question, rows)))


@ask.register
def _(question: Cycles, fetch: Fetch, samples: Samples) -> Answer:
    rows = Rows(question.table, only=True)
    offending = raw(question.on_cycle())
    every = rows.select(sa.func.count())
    examined, count = fetch(text_of(sa.select(every.scalar_subquery(), every.where(offending).scalar_subquery())))[0]
    cycles = _number(fetch(text_of(every.where(raw(question.first_of_each()))))[0][0]) if _number(count) else 0
    names = _of_cycles(question)
    return _evidence(rows, offending, _number(count), _number(examined), cycles, names, names, fetch, samples)


def _of_cycles(question: Cycles) -> tuple[str, ...]:
    """The columns that a sample shows."""
    return tuple(dict.fromkeys((*question.referenced_columns, *question.columns)))


def within(question: Relation, condition: Condition) -> Condition:
    """The condition, for those rows only that the question is about."""
    return sa.and_(raw(question.where), condition) if question.where else condition


@ask.register
def _(question: Duplicates, fetch: Fetch, samples: Samples) -> Answer:
    if not question.heap:
        return repeated_keys(question, fetch, samples)
    _use_indexes(fetch, on=False)
    answer = repeated_keys(question, fetch, samples)
    _use_indexes(fetch, on=True)
    return answer


def _use_indexes(fetch: Fetch, *, on: bool) -> None:
    """Whether the planner may read by indexes, until the transaction ends (documentation: Query Planning, enable_*)."""
    ways = ("indexscan", "indexonlyscan", "bitmapscan")
    calls = (f"pg_catalog.set_config('enable_{way}', '{'on' if on else 'off'}', true)" for way in ways)
    fetch(f"SELECT {', '.join(calls)}")


def repeated_keys(
    question: Duplicates, fetch: Fetch, samples: Samples, sooner: Callable[[Rows], Condition] | None = None
) -> Answer:
    """The answer; `sooner` makes a condition for the sample that holds for the same rows, and is read sooner."""
    rows = Rows(question.table, only=True)
    inner = Rows(question.table, only=True, alias="same" if question.table.name != "same" else "other")
    keys = [key_expression(inner, key, heap=question.heap) for key in question.keys]
    conditions = [raw(unindexed(question.where) if question.heap else question.where)] if question.where else []
    if not question.nulls_equal:
        conditions += [key.is_not(None) for key in keys]
    grouped = inner.select(sa.func.count().label("n")).where(*conditions).group_by(*keys)
    touched = None
    if question.touching:
        touched = sa.func.bool_or(raw(unindexed(question.touching) if question.heap else question.touching))
        grouped = grouped.having(touched)
    held = grouped.subquery("held")
    repeated = held.c.n > 1
    count, groups, examined = fetch(
        text_of(
            sa.select(
                sa.func.coalesce(sa.func.sum(held.c.n).filter(repeated), sa.text("0")),
                sa.func.count().filter(repeated),
                sa.func.coalesce(sa.func.sum(held.c.n), sa.text("0")),
            )
        )
    )[0]
    # Rows are named by where they lie: comparing the keys themselves would look up an operator by name.
    counted = (
        inner.select(
            inner.column("tableoid").label("tableoid"),
            inner.column("ctid").label("ctid"),
            sa.func.count().over(partition_by=keys).label("n"),
            *(() if touched is None else (touched.over(partition_by=keys).label("touched"),)),
        )
        .where(*conditions)
        .subquery("counted")
    )
    offending = sa.tuple_(rows.column("tableoid"), rows.column("ctid")).in_(
        sa.select(counted.c.tableoid, counted.c.ctid).where(
            counted.c.n > sa.text("1"), *(() if touched is None else (counted.c.touched,))
        )
    )
    named, columns = _shown(question)
    by = sooner(rows) if sooner else None
    order = [key_expression(rows, key, heap=question.heap) for key in question.keys]
    return _evidence(
        rows,
        offending,
        _number(count),
        _number(examined),
        _number(groups),
        named,
        columns,
        fetch,
        samples,
        by,
        order=order,
    )


def _shown(question: Duplicates) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of the key that a sample has anyway, and all that are columns."""
    columns = tuple(key.column for key in question.keys if key.column is not None)
    references = {c for fk in question.table.foreign_keys for c in fk.columns}
    return tuple(c for c in columns if c in references), columns


@ask.register
def _(question: Values, fetch: Fetch, samples: Samples) -> Answer:
    rows = Rows(question.table, only=True)
    column = rows.column(question.column)
    text, many = shown(rows, (question.column,))[0], sa.func.count()
    counted = rows.select(text, many).where(column.is_not(None)).group_by(column).order_by(many.desc(), text)
    statement = text_of(counted.limit(sa.literal_column(str(question.most + 1))))
    values = tuple((value or "", _number(count)) for value, count in fetch(statement))
    examined = _number(fetch(text_of(rows.select(sa.func.count())))[0][0])
    evidence = Evidence(None, rows_examined=examined, sql=statement, strategy="textbook")
    return Answer(sum(count for _, count in values), examined, evidence, len(values), values)


@ask.register
def _(question: Planned, fetch: Fetch, samples: Samples) -> Answer:
    statement = upsert(question)
    fetch("SAVEPOINT refusable")
    state = refusal(fetch, f"EXPLAIN {statement}")
    if state == "42501":
        # Privileges on the table are looked at after planning, those on schemas and functions before. No index has a system
        # column: where that is what the server says next, it had found one for the question.
        hopeless = replace(question, targets=(*question.targets, "ctid"))
        state = "" if refusal(fetch, f"EXPLAIN {upsert(hopeless)}") == "42P10" else state
    if state not in ("", "42P10"):
        raise UnansweredError(f"the server does not plan {statement} (SQLSTATE {state})")
    return Answer(int(not state), 0, Evidence(None, sql=f"EXPLAIN {statement};", strategy="explain"))


@ask.register
def _(question: Ahead, fetch: Fetch, samples: Samples) -> Answer:
    last, called, upcoming = given_out(question, fetch)
    values: list[tuple[str, int]] = [("last", last), ("called", called), ("next", upcoming)]
    rows = Rows(question.table, only=True)
    column = rows.column(question.column)
    offending = raw(question.to_come(fragment(column), upcoming))
    many, names = _number(fetch(text_of(rows.select(sa.func.count()).where(offending)))[0][0]), (question.column,)
    if many:
        values += _ends(question, rows, offending, fetch)
    answer = _evidence(rows, offending, many, many, 0, names, names, fetch, samples)
    # An index tells the rows that are ahead without the others.
    return replace(answer, values=tuple(values), evidence=replace(answer.evidence, rows_examined=None))


_ENDS = ("first", "furthest")


def _ends(question: Ahead, rows: Rows, offending: Condition, fetch: Fetch) -> list[tuple[str, int]]:
    """The first and the furthest of the values of these rows."""
    column = rows.column(question.column)
    found = fetch(text_of(rows.select(sa.func.min(column), sa.func.max(column)).where(offending)))[0]
    order = _ENDS if question.sequence.increment > 0 else _ENDS[::-1]
    return [(name, _number(value)) for name, value in zip(order, found, strict=True)]


def given_out(question: Ahead, fetch: Fetch) -> tuple[int, int, int]:
    """The sequence's last value, whether that was given out, and the next one; as of now, not of the snapshot."""
    held, called = fetch(f"SELECT last_value, is_called FROM {question.sequence.sql}")[0]
    last, given = int(held or 0), int(called == "t")
    return last, given, last + question.sequence.increment * given


@ask.register
def _(question: Constants, fetch: Fetch, samples: Samples) -> Answer:
    fetch("SAVEPOINT refusable")
    size, many = 64, len(question.conditions)
    said = [each for first in range(0, many, size) for each in _folded(question, fetch, first, min(first + size, many))]
    return Answer(0, 0, Evidence(None, strategy="explain"), values=tuple((each, 1) for each in said))


def _folded(question: Constants, fetch: Fetch, first: int, last: int) -> list[str]:
    """What these conditions come to. One that is refused takes those beside it along: they are asked by halves."""
    plan: list[tuple[str | None, ...]] = []
    state = refusal(fetch, f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {folded(question, first, last)}", plan)
    if not state:
        top = json.loads(plan[0][0] or "")[0]["Plan"]
        rows = top["Plans"] if top["Node Type"] == "Append" else [top]
        known = {"true": "true", "false": "false", "NULL::boolean": "null"}
        return [known.get(row["Output"][0], "") for row in rows]
    if last - first == 1:
        return [state]
    middle = (first + last) // 2
    return [*_folded(question, fetch, first, middle), *_folded(question, fetch, middle, last)]


def refusal(fetch: Fetch, statement: str, found: list[tuple[str | None, ...]] | None = None) -> str:
    """The SQLSTATE with which the server refuses a statement for what it says; empty when it does not. `found` takes what it answers.

    Takes the transaction back to SAVEPOINT refusable, which has to be there.
    """
    try:
        rows = fetch(statement)
    except Exception as error:  # of the driver, which this module does not know
        state = str(getattr(error, "sqlstate", None) or "")
        if state[:2] not in ("0A", "22", "42", "55") or state == "55P03":
            raise
        fetch("ROLLBACK TO SAVEPOINT refusable")
        return state
    if found is not None:
        found += rows
    return ""


def _number(text: str | None) -> int:
    return int(text or 0)


def completed(
    rows: Rows,
    offending: Condition,
    count: int,
    examined: int,
    names: tuple[str, ...],
    compared: tuple[str, ...],
    fetch: Fetch,
    samples: Samples,
    sooner: Condition | None = None,
    groups: int | None = None,
) -> Answer:
    """The whole answer, of which the counts are known. `sooner` holds for the same rows in this snapshot, and is read sooner."""
    places: tuple[Place, ...] = ()
    if count:
        held = offending if sooner is None else sooner
        places = placed(rows, held, fetch, samples.unread)
        if len(places) == count and rows.table.readable:
            held = sooner = among(rows, places)
        if groups is None and names:
            distinct = rows.select(*(rows.column(name) for name in names)).where(held).distinct().subquery("keys")
            groups = _number(fetch(text_of(sa.select(sa.func.count()).select_from(distinct)))[0][0])
    return _evidence(
        rows, offending, count, examined, groups or 0, names, compared, fetch, samples, sooner, places=places
    )


def _evidence(
    rows: Rows,
    offending: Condition,
    count: int,
    examined: int,
    groups: int,
    names: tuple[str, ...],
    compared: tuple[str, ...],
    fetch: Fetch,
    samples: Samples,
    sooner: Condition | None = None,
    *,
    places: tuple[Place, ...] = (),
    order: Sequence[sa.ColumnElement[Any]] = (),
) -> Answer:
    """The answer; `places` are known, or read. `order` is another than that of the sample, in which some of many are taken."""
    held = offending if sooner is None else sooner
    if count and not places:
        places = placed(rows, held, fetch, samples.unread, order if count > MOST else ())
    if places and rows.table.readable and (len(places) == count or not order):
        held = among(rows, places)  # its first rows are the first of all
    sample: tuple[dict[str, str | None], ...] = ()
    if count and samples.policy != "none":
        sample = _sample(
            rows,
            held,
            names if samples.policy == "keys" else compared,
            fetch,
            samples,
        )
    evidence = Evidence(
        violations=count,
        rows_examined=examined,
        where=rows.predicate(offending) if count else None,
        sql=text_of(rows.select(sa.text("*")).where(offending)),
        sample=sample,
        strategy="textbook",
    )
    return Answer(count, examined, evidence, groups, places=places)


def reduced(
    question: Probe, answer: Answer, places: tuple[Place, ...], groups: int, fetch: Fetch, samples: Samples
) -> Answer:
    """The answer, of some of its rows alone, which are in the snapshot of this transaction; of cycles it is told how many."""
    rows = Rows(question.table, only=question.only if isinstance(question, Matching) else True)
    near, values = among(rows, places), answer.values
    names: tuple[str, ...]
    apart: list[sa.ColumnElement[Any]] = []
    if isinstance(question, Duplicates):
        names, compared = _shown(question)
        apart = [key_expression(rows, key, heap=question.heap) for key in question.keys]
    elif isinstance(question, Ahead):
        names = compared = (question.column,)
        values = (*(pair for pair in values if pair[0] not in _ENDS), *_ends(question, rows, near, fetch))
    elif isinstance(question, Cycles):
        names = compared = _of_cycles(question)
    elif isinstance(question, Unmatched | Pairs | Matching):
        parts = counted(question)
        names, compared = parts.names, parts.compared
        apart = [rows.column(name) for name in names]
    else:
        raise TypeError(f"rows of {type(question).__name__} have no place")
    if apart:
        each = rows.select(sa.func.count()).where(near).group_by(*apart).subquery("keys")
        groups = _number(fetch(text_of(sa.select(sa.func.count()).select_from(each)))[0][0])
    sample: tuple[dict[str, str | None], ...] = ()
    if samples.policy != "none":
        sample = _sample(rows, near, names if samples.policy == "keys" else compared, fetch, samples)
    evidence = replace(answer.evidence, violations=len(places), sample=sample)
    return replace(answer, count=len(places), groups=groups, values=values, places=places, evidence=evidence)


def _sample(
    rows: Rows, offending: Condition, names: tuple[str, ...], fetch: Fetch, samples: Samples
) -> tuple[dict[str, str | None], ...]:
    table: Table = rows.table
    columns = tuple(dict.fromkeys((*(table.row_key or ("ctid",)), *names)))
    read = tuple(name for name in columns if not samples.denied(name))
    if not read:
        return ()
    found = fetch(
        text_of(
            rows.select(*shown(rows, read))
            .where(offending)
            .order_by(*in_order(rows))
            .limit(sa.literal_column(str(SAMPLE_ROWS)))
        )
    )
    return tuple({name: WITHHELD if name not in read else row[read.index(name)] for name in columns} for row in found)
