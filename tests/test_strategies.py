"""Every strategy returns what the textbook one returns, on random schemas, rows and statistics; the estimates choose well;
what turns out worse than estimated is cut short.

AUDITOR_EXAMPLES sets how many random schemas there are: a few hundred take minutes.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count, groupby
from typing import Any
from unittest import mock

import psycopg
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from auditor.audit import open_catalog
from auditor.catalog.model import Catalog
from auditor.connection import Session, Target
from auditor.probe import Answer, Duplicates, Key, Probe, Unmatched, strategies
from auditor.probe.choice import (
    GAPS,
    IN_ORDER,
    MERGE,
    ONE_HASH,
    ONE_PASS,
    PROBES,
    TEXTBOOK,
    WALK,
    Choice,
    Facts,
    Together,
    feasible,
)
from auditor.probe.strategies import answers, measured
from auditor.probe.textbook import Samples, ask
from auditor.text import ident, literal
from tests.conftest import Make

RANDOM = settings(
    max_examples=int(os.environ.get("AUDITOR_EXAMPLES", "25")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
Value = int | str | None
LIMITS = {"smallint": 2**15, "int": 2**31, "bigint": 2**63}


def same(answer: Answer) -> tuple[Any, ...]:
    """What two strategies must agree on."""
    said = answer.evidence
    return answer.count, answer.groups, answer.examined, said.violations, said.where, said.sql, said.sample


@dataclass(frozen=True)
class Reference:
    """One column of the child, and the parent it points to."""

    name: str
    type: str
    parent_type: str
    keys: tuple[Value, ...]  # of the parent
    values: tuple[Value, ...]  # of the child, row by row
    unique: str  # how the parent's keys are kept apart: PRIMARY KEY, UNIQUE, or nothing
    index: str  # of the child: nothing, plain, descending, or without NULLs
    where: str | None
    referenced_where: str | None
    only: bool
    parent_kind: str  # plain, partitioned, inherited
    strays: tuple[Value, ...]  # keys in an inheritance child of the parent


@dataclass(frozen=True)
class Schema:
    """A table with several references, and what its statistics are."""

    references: tuple[Reference, ...]
    kind: str
    statistics: str  # none, right, stale, wrong


def as_uuid(number: int) -> str:
    return str(uuid.UUID(int=number % 2**128))


@st.composite
def references(draw: st.DrawFn, number: int, rows: int) -> Reference:
    family = draw(st.sampled_from(["integer", "integer", "uuid", "uuid", "text"]))
    near = draw(st.sampled_from([0, 0, -3, 2**15 - 6, -(2**15)]))
    numbers = st.integers(near, near + 5)
    values: st.SearchStrategy[Value]
    if family == "integer":
        own, other = draw(st.sampled_from(sorted(LIMITS))), draw(st.sampled_from(sorted(LIMITS)))

        def within(limit: int) -> st.SearchStrategy[Value]:
            ends = st.sampled_from([-limit, -limit + 1, limit - 1, limit - 2])
            return st.one_of(numbers, numbers, numbers, ends).map(lambda n: max(-limit, min(n, limit - 1)))

        values, keys = within(LIMITS[own]), within(LIMITS[other])
    elif family == "uuid":
        own = other = "uuid"
        values = keys = st.one_of(numbers, st.just(2**128 - 1)).map(as_uuid)
    else:
        own, other = draw(
            st.sampled_from([("text", "text"), ("varchar(9)", "text"), ('text COLLATE "C"', "varchar(9)")])
        )
        values = keys = st.sampled_from(["", "a", "A", "it's", "a,b", '{"', "b\\s", "NULL", "é"])
    unique = draw(st.sampled_from(["PRIMARY KEY", "PRIMARY KEY", "UNIQUE", ""]))
    parents = draw(st.lists(keys if unique == "PRIMARY KEY" else st.none() | keys, max_size=8, unique=bool(unique)))
    name = draw(st.sampled_from(["k", "The Key", "%s", "key", "step", "low"])) + str(number)
    return Reference(
        name,
        own,
        other,
        tuple(parents),
        tuple(draw(st.lists(st.one_of(values, values, values, st.none()), min_size=rows, max_size=rows))),
        unique,
        draw(st.sampled_from(["plain", "plain", "plain", "DESC", "IS NOT NULL", "NULLS FIRST", ""])),
        draw(st.sampled_from([None, None, None, None, "n % 2 = 0"])),
        draw(st.sampled_from([None, None, None, "live"])),
        draw(st.booleans()),
        draw(st.sampled_from(["plain", "plain", "partitioned", "inherited"])),
        tuple(draw(st.lists(keys, max_size=2))),
    )


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    rows = draw(st.sampled_from([20, 8, 3, 1, 0]))
    made = tuple(draw(references(number, rows)) for number in range(draw(st.integers(1, 3))))
    return Schema(
        made,
        draw(st.sampled_from(["plain", "plain", "plain", "partitioned", "inherited"])),
        draw(st.sampled_from(["none", "right", "stale", "wrong"])),
    )


def sql(value: Value) -> str:
    return "NULL" if value is None else literal(value) if isinstance(value, str) else f"'{value}'"


def table(name: str, columns: str, kind: str, key: str) -> list[str]:
    """A table, with partitions or an inheritance child of the name `<name>_0`."""
    by = f" PARTITION BY HASH ({key})" if kind == "partitioned" else ""
    more = []
    if kind == "partitioned":
        more = [
            f"CREATE TABLE {name}_{n} PARTITION OF {name} FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in (0, 1)
        ]
    elif kind == "inherited":
        more = [f"CREATE TABLE {name}_0 () INHERITS ({name})"]
    return [f"CREATE TABLE {name} ({columns}){by}", *more]


def inserted(name: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield f"INSERT INTO {name} VALUES " + ", ".join("(" + ", ".join(row) + ")" for row in rows)


def statements(schema: Schema, name: str) -> Iterator[str]:
    """The SQL that makes the schema, with its rows."""
    yield f"CREATE SCHEMA {name}"
    child = f"{name}.child"
    columns = ", ".join(f"{ident(r.name)} {r.type}" for r in schema.references)
    yield from table(child, f"n int, {columns}", schema.kind, "n")
    for number, reference in enumerate(schema.references):
        parent = f"{name}.p{number}"
        made = f"id {reference.parent_type} {reference.unique}, live bool"
        yield from table(parent, made, reference.parent_kind, "id")
        yield from inserted(parent, [(sql(key), f"{sql(key)}::text ~ '[0-4a]$'") for key in reference.keys])
        if reference.parent_kind == "inherited":
            yield from inserted(f"{parent}_0", [(sql(key), "true") for key in reference.strays])
        if reference.index:
            tail = f" WHERE {ident(reference.name)} IS NOT NULL" if reference.index == "IS NOT NULL" else ""
            way = reference.index if reference.index in ("DESC", "NULLS FIRST") else ""
            yield f"CREATE INDEX ON {child} ({ident(reference.name)} {way}){tail}"
        if schema.statistics == "wrong":
            yield f"ALTER TABLE {child} ALTER {ident(reference.name)} SET (n_distinct = 1)"
    if schema.statistics == "stale":
        yield f"ANALYZE {child}"
    values = zip(*(reference.values for reference in schema.references), strict=True)
    rows = [(str(number), *map(sql, row)) for number, row in enumerate(values)]
    yield from inserted(child, rows)
    if schema.kind == "inherited":
        yield from inserted(f"{child}_0", rows[::3])
    if schema.statistics in ("right", "wrong"):
        yield f"VACUUM (ANALYZE) {child}"
        yield from (f"VACUUM (ANALYZE) {name}.p{number}" for number in range(len(schema.references)))
    elif schema.statistics == "stale":  # and dead rows besides
        yield f"DELETE FROM {child} WHERE n % 4 = 3"


class Bench:
    """One database for many small schemas, each dropped afterwards."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.writer = psycopg.connect(dsn, autocommit=True)
        self.session = Session(Target(dsn))
        self.numbers = count(1)

    @contextmanager
    def schema(self, schema: Schema) -> Iterator[str]:
        name = f"s{next(self.numbers)}"
        try:
            self.execute(*statements(schema, name))
            yield name
        finally:
            self.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    def execute(self, *texts: str) -> None:
        for joined, some in groupby(texts, key=lambda text: not text.startswith("VACUUM")):
            for text in ["; ".join(some)] if joined else some:
                self.writer.execute(text.encode())

    def catalog(self) -> Catalog:
        return open_catalog(self.session)

    def close(self) -> None:
        self.session.close()
        self.writer.close()


@pytest.fixture
def bench(database: Make) -> Iterator[Bench]:
    made = Bench(database())
    yield made
    made.close()


def forced(strategy: str, bound: int) -> Any:
    """A chooser that begins with this strategy wherever it is feasible, whatever it costs."""

    def choose(facts: Facts, questions: Sequence[Probe]) -> Together:
        orders = []
        for question in questions:
            assert isinstance(question, Unmatched)
            able = [choice for choice in feasible(facts, question) if choice.strategy == strategy]
            orders.append((*(replace(choice, bound=bound) for choice in able), Choice(TEXTBOOK, 0.0)))
        return Together(tuple(orders), True)

    return choose


FORCED = (WALK, GAPS, ONE_PASS, MERGE, PROBES, TEXTBOOK)
WHOLE_LINE = Schema(
    (
        Reference("k", "bigint", "bigint", (-(2**63), 2**63 - 1), (0, -(2**63), 2**63 - 1, None), "PRIMARY KEY", "plain", None, None, True, "plain", ()),
        Reference("l", "bigint", "smallint", (), (0, -(2**63), 2**63 - 1, None), "UNIQUE", "plain", None, None, True, "plain", ()),
        Reference("m", "int", "bigint", (None,), (1, 2**31 - 1, -(2**31), None), "UNIQUE", "DESC", None, None, True, "plain", ()),
    ),
    "plain",
    "none",
)  # fmt: skip


@RANDOM
@given(
    schema=schemas(),
    limits=st.sampled_from([None, None, (1, 1, 1), (2, 3, 2), (5, 2, 4)]),
    bound=st.sampled_from([0, 1, 3, 1000]),
)
@example(schema=WHOLE_LINE, limits=None, bound=1000)
def test_every_strategy_answers_as_the_textbook_does(
    bench: Bench, schema: Schema, limits: tuple[int, int, int] | None, bound: int
) -> None:
    """Counts, groups, rows examined, sample, predicate: with the limits as they are, and with ones that cut it short."""
    with bench.schema(schema) as name, ExitStack() as patched:
        if limits:
            missing, gaps, members = limits
            patched.enter_context(
                mock.patch.multiple(strategies, _MOST_MISSING=missing, _MOST_GAPS=gaps, _STEPS=(1, 2), _MOST_HITS=gaps)
            )
            patched.enter_context(mock.patch("auditor.probe.choice.MOST_MEMBERS", members))
        catalog = bench.catalog()
        child = catalog.by_name[name, "child"]
        questions = [
            Unmatched(
                child,
                (reference.name,),
                catalog.by_name[name, f"p{number}"],
                ("id",),
                where=reference.where,
                referenced_where=reference.referenced_where,
                only=reference.only,
            )
            for number, reference in enumerate(schema.references)
        ]
        with bench.session.transaction() as fetch:
            expected = [same(ask(question, fetch, Samples())) for question in questions]
        for strategy in FORCED:
            with bench.session.transaction() as fetch:
                facts = measured(catalog, questions, fetch)
                found = dict(answers(facts, questions, fetch, Samples(), forced(strategy, bound)))
            for number, answer in found.items():
                event(f"{answer.evidence.strategy}, {'orphans' if answer.count else 'clean'}")
                assert same(answer) == expected[number], strategy
            assert len(found) == len(questions)
        with bench.session.transaction() as fetch:
            chosen = dict(answers(measured(catalog, questions, fetch), questions, fetch, Samples()))
        assert [same(chosen[number]) for number in range(len(questions))] == expected


# --- keys held twice ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """A table of two columns with rows, and which index it has."""

    types: tuple[str, str]
    rows: tuple[tuple[Value, Value], ...]
    keys: tuple[int, ...]
    index: str
    where: str | None
    nulls_equal: bool
    kind: str


@st.composite
def held(draw: st.DrawFn) -> Held:
    types = draw(st.tuples(st.sampled_from(["int", "text", "numeric"]), st.sampled_from(["int", "varchar(5)", "date"])))
    values: dict[str, list[Value]] = {
        "int": [1, 2, 3, None],
        "text": ["a", "A", "", None],
        "numeric": ["1", "1.0", "NaN", None],
        "varchar(5)": ["a", "b", None],
        "date": ["2026-01-01", "infinity", None],
    }
    row = st.tuples(*(st.sampled_from(values[name]) for name in types))
    return Held(
        types,
        tuple(draw(st.lists(row, max_size=25))),
        draw(st.sampled_from([(0,), (1,), (0, 1), (1, 0)])),
        draw(st.sampled_from(["", "a", "b", "a, b", "b, a", "lower(a::text)"])),
        draw(st.sampled_from([None, None, "n > 3"])),
        draw(st.booleans()),
        draw(st.sampled_from(["plain", "plain", "partitioned", "inherited"])),
    )


@RANDOM
@given(held=held(), vacuumed=st.booleans())
def test_repeated_keys_are_the_textbooks(bench: Bench, held: Held, vacuumed: bool) -> None:
    name = f"d{next(bench.numbers)}"
    try:
        bench.execute(f"CREATE SCHEMA {name}")
        bench.execute(*table(f"{name}.t", f"n int, a {held.types[0]}, b {held.types[1]}", held.kind, "n"))
        bench.execute(*inserted(f"{name}.t", [(str(n), sql(a), sql(b)) for n, (a, b) in enumerate(held.rows)]))
        if held.index:
            bench.execute(f"CREATE INDEX ON {name}.t ({held.index})")
        if vacuumed:
            bench.execute(f"VACUUM (ANALYZE) {name}.t")
        catalog = bench.catalog()
        columns = tuple(Key("ab"[number], "ab"[number]) for number in held.keys)
        question = Duplicates(catalog.by_name[name, "t"], columns, held.where, held.nulls_equal)
        with bench.session.transaction() as fetch:
            expected = same(ask(question, fetch, Samples()))
            for strategy in (IN_ORDER, ONE_HASH, TEXTBOOK):
                chosen = Together(((Choice(strategy, 0.0),),), False)
                ((_, answer),) = answers(Facts(catalog), [question], fetch, Samples(), lambda *_, c=chosen: c)
                assert same(answer) == expected
                assert answer.evidence.strategy == strategy
    finally:
        bench.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
