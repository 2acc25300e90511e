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

from auditor.audit import Audit, open_catalog
from auditor.catalog.model import Catalog
from auditor.config import Settings
from auditor.connection import Session, Target
from auditor.plan import Task
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
from auditor.run import Runner
from auditor.text import ident, literal
from tests.conftest import Make
from tests.helpers import audit

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


@pytest.mark.proof
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


@pytest.mark.proof
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


# --- the choice -----------------------------------------------------------------------------------------------------

# A commit that is not flushed leaves its rows not visible to all for VACUUM: no index answers for them.
LARGE = """
SET synchronous_commit = on;
CREATE FUNCTION key(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS 'SELECT md5(n::text)::uuid';
CREATE TABLE users (id int PRIMARY KEY);
CREATE TABLE roles (id uuid PRIMARY KEY);
CREATE TABLE teams (id uuid PRIMARY KEY);
INSERT INTO users SELECT n FROM generate_series(1, 2000) AS n WHERE n NOT IN (500, 700);
INSERT INTO roles SELECT key(n) FROM generate_series(1, 20) AS n;
INSERT INTO teams SELECT key(n) FROM generate_series(1, 60000) AS n;
CREATE TABLE members (id int PRIMARY KEY, user_id int, invited_by int, role_id uuid, former_role uuid, team_id uuid);
INSERT INTO members SELECT n, n % 499 + 1, n % 498 + 1, key(n % 20 + 1), key(n % 20 + 1), key(n % 60000 + 1)
FROM generate_series(1, 100000) AS n;
CREATE INDEX ON members (user_id);
CREATE INDEX ON members (role_id);
CREATE INDEX ON members (team_id);
CREATE TABLE visits (id int PRIMARY KEY, member_id int);
INSERT INTO visits SELECT n, n * 1000 FROM generate_series(1, 100) AS n;
"""
ORPHANS = """
UPDATE members SET user_id = 500, invited_by = 700, role_id = key(-1), former_role = key(-1), team_id = key(-2) WHERE id = 7;
UPDATE members SET user_id = -5 WHERE id = 8;
UPDATE visits SET member_id = 0 WHERE id = 9;
"""
TARGETS = {
    ("members", "user_id"): "users",
    ("members", "invited_by"): "users",
    ("members", "role_id"): "roles",
    ("members", "former_role"): "roles",
    ("members", "team_id"): "teams",
    ("visits", "member_id"): "members",
}
VACUUM = ("VACUUM ANALYZE",)


def answered(dsn: str, *columns: str) -> tuple[dict[str, Answer], list[str]]:
    """The answers by column, each compared with the textbook's, and the queries that were sent for them."""
    sent: list[str] = []
    found = {}
    with Session(Target(dsn)) as session:
        catalog = open_catalog(session)
        by_table: dict[str, list[Probe]] = {}
        for (name, column), parent in TARGETS.items():
            if not columns or column in columns:
                child, target = catalog.by_name["public", name], catalog.by_name["public", parent]
                by_table.setdefault(name, []).append(Unmatched(child, (column,), target, ("id",)))
        for questions in by_table.values():
            with session.transaction() as fetch:

                def recorded(text: str) -> Any:
                    sent.append(text)
                    return fetch(text)

                facts = measured(catalog, questions, recorded)
                for number, answer in answers(facts, questions, recorded, Samples()):
                    question = questions[number]
                    assert isinstance(question, Unmatched)
                    assert same(answer) == same(ask(question, fetch, Samples()))
                    found[question.columns[0]] = answer
    return found, sent


def strategies_of(found: dict[str, Answer]) -> dict[str, str | None]:
    return {column: answer.evidence.strategy for column, answer in found.items()}


@pytest.mark.parametrize("broken", [False, True])
def test_statistics_choose(database: Make, version: int, broken: bool) -> None:
    """Each relation in the way that suits it; what shares a pass is read in one."""
    dsn = database(LARGE, ORPHANS if broken else "", *VACUUM)
    found, sent = answered(dsn)
    constants = ONE_PASS if version >= 14 else TEXTBOOK
    assert strategies_of(found) == {
        "user_id": GAPS,
        "invited_by": ONE_PASS,
        "role_id": WALK,
        "former_role": constants,
        "team_id": MERGE,
        "member_id": PROBES,
    }
    assert {answer.count for answer in found.values()} == ({1, 2} if broken else {0})
    passes = [
        text
        for text in sent
        if "FILTER (WHERE" in text and "FROM ONLY public.members" in text and "row_number" not in text
    ]
    assert len(passes) == 1
    assert passes[0].count("FILTER") == (2 if version >= 14 else 1)


def test_tables_that_were_never_analysed_are_measured(database: Make) -> None:
    """After a restore nothing has statistics: pages of today stand in for them."""
    found, _ = answered(database(LARGE), "user_id", "role_id", "member_id")
    assert strategies_of(found) == {"user_id": GAPS, "role_id": WALK, "member_id": PROBES}


def test_a_walk_longer_than_estimated_is_cut_short(database: Make) -> None:
    """Statistics that lie about the number of values cost a bounded walk, and no wrong answer."""
    lies = "ALTER TABLE members ALTER team_id SET (n_distinct = 3); UPDATE members SET team_id = key(-3) WHERE id = 50;"
    found, sent = answered(database(LARGE, lies, *VACUUM), "team_id")
    walked = [text for text in sent if text.startswith("WITH RECURSIVE")]
    assert 0 < len(walked) <= 4
    assert found["team_id"].evidence.strategy != WALK
    assert found["team_id"].count == 1


@pytest.mark.parametrize(
    ("first", "value", "refused"),
    [
        (1, 499, False),
        (1, 2_500, False),
        (1, -5, True),
        (1, 2**62, True),
        (3_000_000_000, 499, False),
        (3_000_000_000, -5, False),  # there are bits before the first key where that is not close to 0
        (3_000_000_000, -(2**63) - 3_000_000_000, True),
        (-(2**62), 2_500, False),
        (-(2**62), 900_000, True),
    ],
)
def test_values_beyond_the_bitmap_are_counted(first: int, value: int, refused: bool, database: Make) -> None:
    """A bit for each key and each integer near them; what lies further off is told by the constants, in a second pass."""
    moved = f"""
        ALTER TABLE users ALTER id TYPE bigint; ALTER TABLE members ALTER invited_by TYPE bigint;
        UPDATE users SET id = id - 1 + {first}; UPDATE members SET invited_by = invited_by - 1 + {first};
        UPDATE members SET invited_by = {first + value} WHERE id IN (7, 99999)
    """
    found, sent = answered(database(LARGE, moved, *VACUUM), "invited_by")
    assert found["invited_by"].count == 2
    assert found["invited_by"].evidence.strategy == ONE_PASS
    passes = [text for text in sent if "FILTER (WHERE" in text and "row_number" not in text]
    assert ["get_bit" in text for text in passes] == [True, False][: 1 + refused]


def test_keys_are_counted_by_parallel_workers_without_a_sort(database: Make) -> None:
    dsn = database(LARGE, *VACUUM)
    (counting,) = {text for text in answered(dsn, "user_id")[1] if "bit_or" in text}
    free = "; ".join(
        f"SET {name} = 0" for name in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size")
    )
    with psycopg.connect(dsn) as connection:
        connection.execute(free.encode())
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN (COSTS OFF) {counting}".encode()))
    counted = plan[plan.index("Partial HashAggregate") :]
    assert "Parallel Seq Scan on users" in counted or "Parallel Index Only Scan" in counted
    assert "Sort" not in counted


def test_gaps_that_are_too_many_are_given_up(database: Make) -> None:
    """Keys with a hole beside each: dense enough to be tried, too many gaps to be probed one by one."""
    holes = "TRUNCATE users; INSERT INTO users SELECT 2 * n FROM generate_series(1, 30000) AS n;"
    moved = "UPDATE members SET user_id = 2 * (id % 30000 + 1);"
    found, _ = answered(database(LARGE, holes, moved, *VACUUM), "user_id")
    assert found["user_id"].count == 0
    assert found["user_id"].evidence.strategy not in (GAPS, None)


def test_an_index_that_is_invalid_is_not_walked(database: Make) -> None:
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indrelid = 'members'::regclass AND NOT indisprimary"
    found, _ = answered(database(LARGE, *VACUUM, invalid), "role_id")
    assert found["role_id"].evidence.strategy not in (WALK, MERGE)


def test_estimate_and_actual_stand_in_the_report(database: Make) -> None:
    dsn = database(LARGE, "ALTER TABLE members ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;", *VACUUM)
    result = audit(dsn, select=["references/orphan-rows"])
    (entry,) = (entry for entry in result.coverage if entry.strategy)
    assert entry.strategy == GAPS
    assert (entry.seconds or 0) > 0
    assert (entry.estimated_seconds or 0) > 0
    assert entry.rows_examined == 100_000


# --- paces, and what goes wrong -------------------------------------------------------------------------------------


def test_fast_takes_what_the_server_gives(database: Make) -> None:
    """What the configuration of the server says, not what the owner of the database has preset."""
    dsn = database()

    def taken(pace: str) -> list[str | None]:
        with Session(Target(dsn, pace=pace)) as session, session.transaction() as fetch:
            return [fetch(f"SHOW {name}")[0][0] for name in ("max_parallel_workers_per_gather", "work_mem")]

    assert (taken("fast"), taken("normal"), taken("gentle")) == (["2", "4MB"], ["0", "64MB"], ["0", "64MB"])
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting in ("max_parallel_workers_per_gather = 64", "work_mem = '1GB'"):
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET {setting}'.encode())
    assert (taken("fast"), taken("normal")) == (["2", "4MB"], ["0", "64MB"])


@pytest.mark.parametrize("pace", ["gentle", "fast"])
def test_every_pace_finds_the_same(database: Make, pace: str) -> None:
    keys = "".join(
        f"ALTER TABLE {table} ADD CONSTRAINT {column} FOREIGN KEY ({column}) REFERENCES {parent} NOT VALID;"
        for (table, column), parent in TARGETS.items()
    )
    dsn = database(LARGE, ORPHANS, keys, *VACUUM)
    plain = audit(dsn, select=["references/orphan-rows"])
    with mock.patch("auditor.run.SLICE", 100), mock.patch("auditor.run._LONGEST_REST", 0.01):
        paced = audit(dsn, select=["references/orphan-rows"], pace=pace)

    def said(result: Audit) -> list[Any]:
        found = [
            (f.fingerprint, f.message, f.evidence and (f.evidence.violations, f.evidence.sample))
            for f in result.findings
        ]
        return [found, sorted((c.object.name, c.outcome, c.rows_examined) for c in result.coverage)]

    assert len(plain.findings) == len(TARGETS)
    assert said(paced) == said(plain)


def test_gentle_reads_on_one_connection() -> None:
    options = type(Settings().audit)
    assert [options(pace=pace).connections for pace in ("gentle", "normal", "fast")] == [1, 2, 2]
    assert options(pace="gentle", jobs=3).connections == 3


def test_a_parent_that_went_away_takes_only_its_own_relation(database: Make) -> None:
    dsn = database(LARGE, ORPHANS, *VACUUM)
    with Session(Target(dsn)) as session:
        catalog = open_catalog(session)
    child = catalog.by_name["public", "members"]
    columns = ("user_id", "role_id", "team_id")
    tasks = [
        Task(
            Unmatched(child, (column,), catalog.by_name["public", TARGETS["members", column]], ("id",)),
            (),
            Choice(WALK, 1.0),
        )
        for column in columns
    ]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE roles")
    results = Runner(Target(dsn), 2, Samples(), catalog).run(tasks)
    assert [result.count if isinstance(result, Answer) else result.reason for result in results] == [
        2,
        "unsupported",
        1,
    ]


def test_a_locked_parent_takes_only_its_own_relation(database: Make) -> None:
    dsn = database(LARGE, ORPHANS, *VACUUM)
    target = Target(dsn, lock_timeout=0.2)
    with Session(target) as session:
        catalog = open_catalog(session)
    child = catalog.by_name["public", "members"]
    tasks = [
        Task(
            Unmatched(child, (column,), catalog.by_name["public", TARGETS["members", column]], ("id",)),
            (),
            Choice(WALK, 1.0),
        )
        for column in ("user_id", "role_id")
    ]
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE roles IN ACCESS EXCLUSIVE MODE")
        results = Runner(target, 1, Samples(), catalog).run(tasks)
    assert [result.count if isinstance(result, Answer) else result.reason for result in results] == [2, "lock"]
