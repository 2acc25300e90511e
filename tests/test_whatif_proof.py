"""`auditor whatif` on random tables, rows and definitions: its verdict is what happens when the statement is executed, in a
transaction that is rolled back, and its count is that of rows judged one by one.

AUDITOR_WHATIF_DEFINITIONS and AUDITOR_WHATIF_SEED choose how many definitions, and which; the run's are printed at its end.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from auditor.audit import Audit
from auditor.config import Settings
from auditor.connection import Target
from auditor.definition import parse
from auditor.text import literal
from auditor.whatif import Trial
from tests.conftest import Make

DEFINITIONS = int(os.environ.get("AUDITOR_WHATIF_DEFINITIONS", "150"))
SEED = int(os.environ.get("AUDITOR_WHATIF_SEED", "20261121")) or secrets.randbits(32)  # 0: another one each time
EACH = 6  # definitions over the same rows

# A row: v is different in each; a int, b text, c timestamptz, d numeric as it is written, e an enum.
Row = tuple[int, int | None, str | None, str | None, str | None, str | None]
Value = Any
Truth = bool | None


@dataclass(frozen=True)
class Expression:
    """An expression, what it is for a row, and the SQLSTATE with which a unique index over it is refused for good."""

    sql: str
    value: Callable[[Row], Value]
    state: str = ""


def number(text: str | None) -> float | None:
    return None if text is None else float(text)


def lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def cased(row: Row) -> Value:
    small = row[1] is not None and not 2 <= row[1] <= 3
    return lower(row[2]) if row[3] is None and small else None if row[1] is None else str(row[1])


EXPRESSIONS = (
    Expression("v", lambda r: r[0]),
    Expression("a", lambda r: r[1]),
    Expression("b", lambda r: r[2]),
    Expression("a DESC NULLS LAST", lambda r: r[1]),
    Expression('b COLLATE "C"', lambda r: r[2]),
    Expression('b COLLATE pg_catalog."C" text_pattern_ops ASC', lambda r: r[2]),
    Expression("c", lambda r: r[3]),
    Expression("d", lambda r: number(r[4])),
    Expression("e", lambda r: r[5]),
    Expression("lower(b)", lambda r: lower(r[2])),
    Expression("pg_catalog.lower(b) text_pattern_ops", lambda r: lower(r[2])),
    Expression("(a % 2)", lambda r: None if r[1] is None else r[1] % 2),
    Expression("((a))", lambda r: r[1]),
    Expression("(child.a)", lambda r: r[1]),
    Expression("coalesce(b, 'none')", lambda r: r[2] or ("none" if r[2] is None else r[2])),
    Expression("(coalesce(a, -1) + 1)", lambda r: -1 if r[1] is None else r[1]),
    Expression("(a IS NULL)", lambda r: r[1] is None),
    Expression("((1))", lambda r: 1),
    Expression("((true))", lambda r: True),
    Expression("(NULL::int)", lambda r: None),
    Expression("(d::text)", lambda r: r[4]),
    Expression("CAST(a AS text)", lambda r: r[1]),
    Expression("(b || 'z')", lambda r: r[2]),
    Expression("(c AT TIME ZONE 'UTC')", lambda r: r[3]),
    Expression("(e = 'ok'::kinds.mood)", lambda r: None if r[5] is None else r[5] == "ok"),
    Expression("(CASE WHEN a > 1 THEN 'many' END)", lambda r: "many" if r[1] is not None and r[1] > 1 else None),
    Expression("(CASE WHEN c IS NULL AND NOT a BETWEEN 2 AND 3 THEN lower(b) ELSE a::text END)", cased),
    Expression("coalesce(b, d::text)", lambda r: r[4] if r[2] is None else r[2]),
    Expression("(coalesce(c, now()))", lambda r: None, "42P17"),
    Expression("(CASE WHEN a > 1 THEN c::date END)", lambda r: None, "42P17"),
    Expression("(ROW(a, b))", lambda r: None, "42P16"),
    Expression("(b || a)", lambda r: None, "42P17"),
    Expression("date_trunc('day', c)", lambda r: None, "42P17"),
    Expression("(c::date)", lambda r: None, "42P17"),
    Expression("(a + extract(year from now())::int)", lambda r: None, "42P17"),
    Expression("to_char(c, 'YYYY')", lambda r: None, "42P17"),
    Expression("j", lambda r: None, "42704"),
)


def compare(value: Value, holds: Callable[[Value], bool]) -> Truth:
    return None if value is None else holds(value)


def either(*truths: Truth) -> Truth:
    return True if True in truths else None if None in truths else False


def both(*truths: Truth) -> Truth:
    return False if False in truths else None if None in truths else True


def deleted(row: Row) -> Truth:
    between = compare(row[1], lambda a: 1 <= a <= 3)
    return both(row[3] is None, compare(row[5], lambda e: e == "ok"), between)


CONDITIONS = (
    Expression("c IS NULL", lambda r: r[3] is None),
    Expression("a > 1", lambda r: compare(r[1], lambda a: a > 1)),
    Expression("child.a <> 1", lambda r: compare(r[1], lambda a: a != 1)),
    Expression("a > 1 OR b = 'x'", lambda r: either(compare(r[1], lambda a: a > 1), compare(r[2], lambda b: b == "x"))),
    Expression("b <> 'x' AND a IS NOT NULL", lambda r: both(compare(r[2], lambda b: b != "x"), r[1] is not None)),
    Expression("e = 'ok'::kinds.mood", lambda r: compare(r[5], lambda e: e == "ok")),
    Expression("a IN (1, 2)", lambda r: compare(r[1], lambda a: a in (1, 2))),
    Expression("b ~~ 'x%'", lambda r: compare(r[2], lambda b: b.startswith("x"))),
    Expression("lower(b) = b", lambda r: compare(r[2], lambda b: b == b.lower())),
    Expression("d = 1.00", lambda r: compare(number(r[4]), lambda d: d == 1)),
    Expression("NOT (a BETWEEN 0 AND 1)", lambda r: compare(r[1], lambda a: not 0 <= a <= 1)),
    Expression("c IS NULL AND e = 'ok'::kinds.mood AND a BETWEEN 1 AND 3", deleted),
    Expression("NOT (c IS NOT NULL OR a = 1)", lambda r: both(r[3] is None, compare(r[1], lambda a: a != 1))),
    Expression("true", lambda r: True),
    Expression("a = 1 OR c < now()", lambda r: either(compare(r[1], lambda a: a == 1), compare(r[3], bool)), "42P17"),
    Expression("c < now()", lambda r: compare(r[3], lambda c: True), "42P17"),
    Expression("c::date > current_date", lambda r: compare(r[3], lambda c: False), "42P17"),
)

# --- worlds ----------------------------------------------------------------------------------------------------------

LAYOUTS = ("plain", "plain", "plain", "inherited", "partitioned", "by list")


@dataclass(frozen=True)
class World:
    """The rows of a table `child`, those of a table that inherits from it, and those of a table `parent`."""

    layout: str
    rows: tuple[Row, ...]
    heirs: tuple[Row, ...]
    parents: tuple[int, ...]

    def script(self, schema: str, version: int) -> list[str]:
        columns = "v int NOT NULL, a int, b text, c timestamptz, d numeric, e kinds.mood, j json"
        by = {"partitioned": " PARTITION BY RANGE (v)", "by list": " PARTITION BY LIST (a)"}.get(self.layout, "")
        made = [f"CREATE SCHEMA {schema}", f"SET search_path = {schema}"]
        made.append(f"CREATE TABLE child ({columns}){by}")
        if self.layout == "partitioned":
            made.append("CREATE TABLE child_1 PARTITION OF child FOR VALUES FROM (MINVALUE) TO (3)")
            made.append("CREATE TABLE child_2 PARTITION OF child FOR VALUES FROM (3) TO (MAXVALUE)")
        if self.layout == "by list":
            made.append("CREATE TABLE child_1 PARTITION OF child FOR VALUES IN (0, 1, NULL)")
            made.append("CREATE TABLE child_2 PARTITION OF child DEFAULT")
        if self.layout == "inherited":
            made.append("CREATE TABLE heir (more int) INHERITS (child)")
        made.append("CREATE TABLE parent (id int PRIMARY KEY, t text UNIQUE, n numeric UNIQUE, k int, late int)")
        made.append("CREATE UNIQUE INDEX composite ON parent (t, k)")
        made.append("CREATE UNIQUE INDEX partial ON parent (k) WHERE k > 0")
        made.append("ALTER TABLE parent ADD UNIQUE (late) DEFERRABLE")
        made += [f"INSERT INTO parent VALUES ({n}, '{chr(120 + n)}', {n}.0, {n}, {n})" for n in self.parents]
        made += [insert("child", row) for row in self.rows]
        made += [insert("heir", row) for row in self.heirs]
        made.append("CREATE UNIQUE INDEX single ON child (v)" if self.layout != "by list" else "SELECT 1")
        if not self.partitions:
            made.append("CREATE UNIQUE INDEX half ON child (v) WHERE v > 0")
            made.append("CREATE UNIQUE INDEX descending ON child (v DESC)")
            made.append("ALTER TABLE child ADD CONSTRAINT old_key FOREIGN KEY (a) REFERENCES parent NOT VALID")
            made.append("CREATE INDEX lookup ON child (a)")
        made.append("ALTER TABLE child ADD CONSTRAINT old_check CHECK (a > 1) NOT VALID")
        made.append("ALTER TABLE child ADD CONSTRAINT true_check CHECK (v > 0)")
        if version >= 18:
            made.append("ALTER TABLE child ADD CONSTRAINT old_null NOT NULL d NOT VALID")
        return made

    @property
    def partitions(self) -> bool:
        return self.layout in ("partitioned", "by list")


def insert(table: str, row: Row) -> str:
    values = ", ".join("NULL" if value is None else literal(str(value)) for value in row)
    return f"INSERT INTO {table} (v, a, b, c, d, e) VALUES ({values})"


@dataclass(frozen=True)
class Case:
    """A statement over a world. `breaking` counts the rows in its way, one number for each finding, where rows alone matter."""

    statement: str
    breaking: tuple[int, ...]
    later: bool = False  # the rows break what only VALIDATE would look at


def repeated(keys: list[Callable[[Row], Value]], rows: list[Row], *, nulls: bool = False) -> int:
    values = [tuple(key(row) for key in keys) for row in rows]
    counts = Counter(value for value in values if nulls or None not in value)
    return sum(count for count in counts.values() if count > 1)


@st.composite
def rows(draw: st.DrawFn, start: int, most: int) -> tuple[Row, ...]:
    found = []
    for v in range(start, start + draw(st.integers(most // 3, most))):
        null = draw(st.sampled_from([0, 0, 1, 4]))

        def one(*values: Value, null: int = null) -> Value:
            return draw(st.sampled_from(values + (None,) * null))

        day = one("2024-01-01", "2024-01-02")
        found.append((v, one(*range(4)), one("x", "X", "y", "", "é"), day, one("1", "1.0", "2"), one("sad", "ok")))
    return tuple(found)


@st.composite
def worlds(draw: st.DrawFn, version: int) -> tuple[World, tuple[Case, ...]]:
    layout = draw(st.sampled_from(LAYOUTS))
    heirs = draw(rows(100, 4)) if layout == "inherited" else ()
    parents = tuple(sorted(draw(st.sets(st.integers(0, 3), min_size=1))))
    world = World(layout, draw(rows(1, draw(st.sampled_from([2, 6, 9, 12])))), heirs, parents)
    return world, tuple(draw(cases(world, version)) for _ in range(EACH))


@st.composite
def cases(draw: st.DrawFn, world: World, version: int) -> Case:
    kind = draw(
        st.sampled_from(("index", "index", "index", "unique", "primary", "foreign", "foreign", "check", "null", "old"))
    )
    own, everything = list(world.rows), [*world.rows, *world.heirs]

    def some(*words: str, of: int = 4) -> str:
        return draw(st.sampled_from(("",) * of + words))

    def named() -> str:
        name = draw(st.sampled_from(("", "", "", "fresh", "fresh", "fresh", "old_check", "single")))
        return f"CONSTRAINT {name} " if name else ""

    only = some("ONLY ", of=5)
    alter = f"ALTER TABLE {only}{{schema}}.child "
    if kind == "index":
        refused = draw(st.sampled_from((False, False, False, True)))
        fitting = [one for one in EXPRESSIONS if refused or not one.state]
        keys = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=draw(st.sampled_from((1, 1, 2, 3)))))
        keys += [EXPRESSIONS[0 if world.layout == "partitioned" else 1]] if world.partitions and some("v") else []
        where = draw(st.sampled_from((None, *(one for one in CONDITIONS if refused or not one.state))))
        nulls = some(" NULLS NOT DISTINCT", " NULLS DISTINCT") if version >= 15 else ""
        include = some(" INCLUDE (e)", " INCLUDE (c, d)")
        name = draw(st.sampled_from(("", "", "fresh ", "fresh ", '"Fresh %s" ', "IF NOT EXISTS single ", "parent ")))
        method = some("USING btree ", "USING hash ", of=9)
        statement = (
            f"CREATE UNIQUE INDEX {name}ON {only}{{schema}}.child {method}({', '.join(key.sql for key in keys)}){include}{nulls}"
            f"{some(' WITH (fillfactor = 70)')}{f' WHERE {where.sql}' if where else ''}"
        )
        counted = [row for row in own if where is None or where.value(row)]
        return Case(statement, (repeated([k.value for k in keys], counted, nulls=" NOT " in nulls),))
    if kind in ("unique", "primary"):
        names = draw(st.lists(st.sampled_from("vvabde" if kind == "primary" else "vabcde"), min_size=1, max_size=3))
        positions = ["vabcde".index(name) for name in names]
        using = draw(st.sampled_from(("", "", "", "single", "half", "descending", "lookup")))
        nulls = some(" NULLS NOT DISTINCT") if kind == "unique" and version >= 15 and not using else ""
        word = "UNIQUE" if kind == "unique" else "PRIMARY KEY"
        if using and not world.partitions:
            return Case(f"{alter}ADD {named()}{word} USING INDEX {using}", ())
        values = [EXPRESSIONS_BY[name] for name in names]
        missing = [sum(row[position] is None for row in everything) for position in sorted({p for p in positions if p})]
        late = some(" DEFERRABLE", " INITIALLY DEFERRED", " NOT VALID", of=6)
        statement = f"{alter}ADD {named()}{word}{nulls} ({', '.join(names)}){some(' INCLUDE (c)')}{late}"
        found = [repeated(values, own, nulls=bool(nulls)), *(missing if kind == "primary" else [])]
        return Case(statement, tuple(found))
    if kind == "foreign":
        columns, referenced = draw(st.sampled_from(REFERENCES))
        match = some(" MATCH FULL", " MATCH SIMPLE", of=2)
        actions = some(" ON DELETE CASCADE", " ON DELETE SET NULL ON UPDATE CASCADE", " ON UPDATE SET DEFAULT")
        late = some(" NOT VALID", " DEFERRABLE INITIALLY DEFERRED")
        statement = (
            f"{alter}ADD {named()}FOREIGN KEY ({', '.join(columns)}) REFERENCES {{schema}}.parent{referenced}"
            f"{match}{actions}{late}"
        )
        return Case(statement, (orphans(world, columns, full="FULL" in match),), later="NOT VALID" in late)
    if kind == "check":
        condition = draw(st.sampled_from(CONDITIONS))
        inherit = some(" NO INHERIT")
        late = some(" NOT VALID", " NOT ENFORCED" if version >= 18 else "")
        counted = own if inherit else everything
        broken = sum(condition.value(row) is False for row in counted)
        statement = f"{alter}ADD {named()}CHECK ({condition.sql}){inherit}{late}"
        return Case(statement, (broken,), later="NOT" in late)
    if kind == "null":
        name = draw(st.sampled_from("vabce"))
        broken = sum(row["vabcde".index(name)] is None for row in (own if only else everything))
        if version >= 18 and draw(st.booleans()):
            late = some(" NOT VALID", of=2)
            inherit = some(" NO INHERIT")
            if inherit:
                broken = sum(row["vabcde".index(name)] is None for row in own)
            return Case(f"{alter}ADD {named()}NOT NULL {name}{inherit}{late}", (broken,), later=bool(late))
        return Case(f"{alter}ALTER {some('COLUMN ')}{name} SET NOT NULL", (broken,))
    old = draw(st.sampled_from(("old_check", "true_check", "old_key", "old_null")))
    if old == "old_key" and not world.partitions:
        return Case(f"{alter}VALIDATE CONSTRAINT old_key", (orphans(world, ("a",), full=False),))
    if old == "old_null" and version >= 18:
        return Case(f"{alter}VALIDATE CONSTRAINT old_null", (sum(row[4] is None for row in everything),))
    if old == "true_check":
        return Case(f"{alter}VALIDATE CONSTRAINT true_check", ())
    broken = sum(compare(row[1], lambda a: a > 1) is False for row in everything)
    return Case(f"{alter}VALIDATE CONSTRAINT old_check", (broken,))


EXPRESSIONS_BY: dict[str, Callable[[Row], Value]] = {e.sql: e.value for e in EXPRESSIONS if e.sql in "vabcde"}
REFERENCES = (
    (("a",), ""),
    (("a",), " (id)"),
    (("a",), " (n)"),
    (("b",), " (t)"),
    (("b", "a"), " (t, k)"),
    (("a", "b"), " (k, t)"),
    (("d",), " (n)"),
    (("d",), " (id)"),
    (("b",), " (id)"),
    (("a",), " (t)"),
    (("a",), " (k)"),
    (("a",), " (late)"),
    (("a", "b"), " (id)"),
    (("e",), " (t)"),
)


def orphans(world: World, columns: tuple[str, ...], *, full: bool) -> int:
    """Rows that a foreign key to the table `parent` refuses: all its columns say the same number."""
    there: dict[str, set[Any]] = {
        "a": set(world.parents),
        "b": {chr(120 + n) for n in world.parents},
        "d": {float(n) for n in world.parents},
    }
    found = 0
    for row in world.rows:
        values: list[Any] = [number(row[4]) if name == "d" else row["vabcde".index(name)] for name in columns]
        if None in values:
            found += full and any(value is not None for value in values)
            continue
        if set(columns) == {"a", "b"}:
            pairs = {(n, chr(120 + n)) for n in world.parents}
            found += (values[columns.index("a")], values[columns.index("b")]) not in pairs
        elif columns[0] in there:
            found += values[0] not in there[columns[0]]
    return int(found)


# --- the proof -------------------------------------------------------------------------------------------------------


def drawn(strategy: st.SearchStrategy[Any], size: int) -> list[Any]:
    """Different examples, few of each seed: within one, an example is often the one before with a little changed."""
    found: dict[Any, None] = {}
    for number in count():
        if len(found) >= size:
            break

        @seed(SEED + number)
        @settings(
            max_examples=5,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def collect(made: Any) -> None:
            found[made] = None

        collect()
    return list(found)[:size]


def tried(dsn: str, statement: str) -> Audit:
    return Trial(Settings.model_validate({"audit": {"settle": 0}}), Target(dsn), definition=parse(statement)).run()


def executed(connection: psycopg.Connection[Any], statement: str) -> str:
    """The SQLSTATE with which the server refuses a statement; empty when it does not. Nothing of it stays."""
    connection.execute("BEGIN")
    try:
        connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?"
    finally:
        connection.execute("ROLLBACK")
    return ""


@pytest.mark.proof
def test_random_definitions(database: Make, version: int, record_property: Callable[[str, object], None]) -> None:
    started = time.monotonic()
    dsn = database("CREATE SCHEMA kinds; CREATE TYPE kinds.mood AS ENUM ('sad', 'ok')")
    outcomes: Counter[str] = Counter()
    asked, different = 0, set[str]()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for place, (world, statements) in enumerate(drawn(worlds(version), -(-DEFINITIONS // EACH))):
            schema = f"w{place}"
            connection.execute(";\n".join(world.script(schema, version)).encode())
            for case in statements:
                statement = case.statement.replace("{schema}", schema)
                told = f"seed {SEED}: {statement}\n{world}"
                state = executed(connection, statement)
                result = tried(dsn, statement)
                asked += 1
                different.add(case.statement)
                said = " ".join(f"{finding.title} {finding.message}" for finding in result.findings)
                left = [f"{entry.detail} {entry.reason}" for entry in result.coverage if entry.outcome == "not_checked"]
                assert result.exit_code("error", allow_incomplete=False) == (1 if state else 0), (
                    f"{state}: {said} {left}\n{told}"
                )
                assert not state or state in said, f"{state}: {said}\n{told}"
                outcomes[state or "holds"] += 1
                if state[:2] in ("23", "") and not re.search(
                    "IF NOT EXISTS|USING INDEX|already|do nothing|enforces nothing", said + statement
                ):
                    counts = [f.evidence.violations for f in result.findings if f.evidence and f.evidence.violations]
                    assert sorted(counts) == sorted(n for n in case.breaking if n), f"{said}\n{told}"
                    for finding in result.findings:
                        if finding.evidence and finding.evidence.violations:
                            found = connection.execute((finding.evidence.sql or "").encode()).fetchall()
                            assert len(found) == finding.evidence.violations, told
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())
    assert asked < 100 or (outcomes["holds"] > asked / 10 and outcomes["23505"] and outcomes["23503"]), outcomes
    said = ", ".join(f"{state} {count}" for state, count in sorted(outcomes.items()))
    record_property(
        "summary",
        f"whatif proved: {asked} random definitions ({said}), {len(different)} different, seed {SEED}, {time.monotonic() - started:.1f} s",
    )
