"""What deleting a row does, foretold and then done: on random schemas with random rows `explain` says what DELETE does.

AUDITOR_DELETION_SCHEMAS and AUDITOR_REPROOF_SEED choose how many schemas, and which; the run's are printed at its end.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from hypothesis import strategies as st

from auditor.audit import open_catalog
from auditor.catalog.model import Catalog
from auditor.connection import Session, Target
from auditor.deletion import Deletion, explain
from tests.conftest import Make
from tests.helpers import drawn

SCHEMAS = int(os.environ.get("AUDITOR_DELETION_SCHEMAS", "200"))
SEED = int(os.environ.get("AUDITOR_REPROOF_SEED", "0")) or secrets.randbits(32)
TOGETHER = 25  # schemas in one database

ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
VALUES = st.sampled_from((None, 0, 0, 1, 1, 2, 2, 3))


@dataclass(frozen=True)
class Key:
    """A foreign key, from columns of a table to columns of another, or of the same."""

    columns: tuple[str, ...]
    referenced: int
    referenced_columns: tuple[str, ...]
    clauses: str
    state: str  # of its triggers, or of the key


@dataclass(frozen=True)
class Made:
    """A table: its columns, what they may not hold, its keys and its rows. a, b, c point somewhere; u and (v, w) are keys."""

    layout: str  # plain, partitioned, nested, inherited
    types: tuple[tuple[str, str], ...]
    checks: tuple[str, ...]
    keys: tuple[Key, ...]
    rows: tuple[tuple[int | None, ...], ...]
    indexed: bool


COLUMNS = ("a", "b", "c", "u", "v", "w")
CHECKS = (
    "CHECK (a IS NOT NULL OR b IS NOT NULL)",
    "CHECK (a > 0)",
    "CHECK (coalesce(b, 0) <> 2)",
    "CHECK (NOT (b IS NULL AND u IS NULL))",
    "CHECK (c IS NOT NULL)",
)


@st.composite
def schemas(draw: st.DrawFn, version: int) -> tuple[Made, ...]:
    number = draw(st.integers(2, 6))
    return tuple(draw(tables(number, version)) for _ in range(number))


@st.composite
def tables(draw: st.DrawFn, number: int, version: int) -> Made:
    types = []
    for column in COLUMNS:
        kind = draw(st.sampled_from(("int",) * 24 + ("int NOT NULL", "filled", "small")))
        default = draw(st.sampled_from(("", "", " DEFAULT 1", " DEFAULT 2", " DEFAULT 9")))
        types.append((column, kind.replace(" NOT NULL", "") + default + (" NOT NULL" if "NOT NULL" in kind else "")))
    keys = tuple(draw(st.lists(foreign_keys(number, version), min_size=1, max_size=4)))
    checks = tuple(draw(st.lists(st.sampled_from(CHECKS), max_size=1))) if draw(st.integers(0, 3)) == 0 else ()
    if version >= 15 and draw(st.integers(0, 12)) == 0:
        checks += ("UNIQUE NULLS NOT DISTINCT (c)",)
    if draw(st.integers(0, 12)) == 0:
        checks += ("UNIQUE (a, b)",)
    layout = draw(st.sampled_from(("plain",) * 8 + ("partitioned", "nested", "inherited")))
    if layout in ("partitioned", "nested"):
        checks = tuple(check for check in checks if not check.startswith("UNIQUE"))
    rows = tuple(draw(st.lists(st.tuples(*[VALUES] * len(COLUMNS)), min_size=2, max_size=8)))
    return Made(layout, tuple(types), checks, keys, rows, draw(st.booleans()))


@st.composite
def foreign_keys(draw: st.DrawFn, number: int, version: int) -> Key:
    size = draw(st.sampled_from((1, 1, 1, 2)))
    pairs = (("a", "b"), ("b", "c"), ("v", "w"), ("b", "a"))
    columns = draw(st.sampled_from(pairs if size == 2 else (("a",), ("a",), ("b",), ("b",), ("c",), ("u",))))
    theirs = ("v", "w") if size == 2 else (draw(st.sampled_from(("id", "id", "id", "u"))),)
    on_delete = draw(st.sampled_from((*ACTIONS, "CASCADE", "CASCADE", "CASCADE", "SET NULL", "SET DEFAULT")))
    if version >= 15 and on_delete.startswith("SET") and size == 2 and draw(st.booleans()):
        on_delete += f" ({draw(st.sampled_from(columns))})"
    clauses = draw(st.sampled_from(("", "", "MATCH FULL "))) if size == 2 else ""
    clauses += f"ON DELETE {on_delete} ON UPDATE {draw(st.sampled_from(ACTIONS))}"
    clauses += draw(st.sampled_from(("", "", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED")))
    states = ["", "", "", "", "", "", "disabled", *(["not enforced"] if version >= 18 else [])]
    return Key(columns, draw(st.integers(0, number - 1)), theirs, clauses, draw(st.sampled_from(states)))


@dataclass
class Script:
    """A schema as SQL. Columns that partitions are told apart by have no nulls and no duplicates among them."""

    made: tuple[Made, ...]
    schema: str
    refused: list[str] = field(default_factory=list)

    def load(self, connection: psycopg.Connection[Any]) -> None:
        def run(text: str) -> None:
            try:
                connection.execute(text.encode())
            except psycopg.Error:
                self.refused.append(text)

        run(f"CREATE SCHEMA {self.schema}")
        connection.execute(f"SET search_path = {self.schema}, kinds".encode())
        for number, table in enumerate(self.made):
            columns = ", ".join(f"{name} {kind}" for name, kind in table.types)
            whole = f"CREATE TABLE t{number} (rid serial, id int PRIMARY KEY, {columns}"
            unique = "" if table.layout in ("partitioned", "nested") else ", UNIQUE (u), UNIQUE (v, w)"
            checks = "".join(f", {check}" for check in table.checks)
            by = {"partitioned": " PARTITION BY LIST (id)", "nested": " PARTITION BY RANGE (id)"}.get(table.layout, "")
            run(f"{whole}{unique}{checks}){by}")
            if table.layout == "partitioned":
                run(f"CREATE TABLE t{number}_1 PARTITION OF t{number} FOR VALUES IN (0, 2)")
                run(f"CREATE TABLE t{number}_2 PARTITION OF t{number} DEFAULT")
            elif table.layout == "nested":
                run(
                    f"CREATE TABLE t{number}_1 PARTITION OF t{number} FOR VALUES FROM (0) TO (2) PARTITION BY LIST (id)"
                )
                run(f"CREATE TABLE t{number}_2 PARTITION OF t{number} FOR VALUES FROM (2) TO (9)")
                run(f"CREATE TABLE t{number}_3 PARTITION OF t{number}_1 DEFAULT")
            elif table.layout == "inherited":
                run(f"CREATE TABLE t{number}_1 () INHERITS (t{number})")
        for number, table in enumerate(self.made):
            for place, key in enumerate(table.keys):
                state = " NOT ENFORCED" if key.state == "not enforced" else ""
                run(
                    f"ALTER TABLE t{number} ADD CONSTRAINT k{place} FOREIGN KEY ({', '.join(key.columns)})"
                    f" REFERENCES t{key.referenced} ({', '.join(key.referenced_columns)}) {key.clauses}{state}"
                )
            if table.indexed:
                run(f"CREATE INDEX ON t{number} (a)")
                run(f"CREATE INDEX ON t{number} (b)")
        run("SET session_replication_role = replica")
        for number, table in enumerate(self.made):
            for place, row in enumerate(table.rows):
                into = f"t{number}_1" if table.layout == "inherited" and place > 3 else f"t{number}"
                values = ", ".join("NULL" if value is None else str(value) for value in (place % 6, *row))
                run(f"INSERT INTO {into} (id, {', '.join(COLUMNS)}) VALUES ({values})")
        run("RESET session_replication_role")
        for number, table in enumerate(self.made):
            if any(key.state == "disabled" for key in table.keys):
                run(f"ALTER TABLE t{number} DISABLE TRIGGER ALL")

    def __str__(self) -> str:
        return "\n".join((f"CREATE SCHEMA {self.schema}", *map(str, self.made)))


Rows = dict[tuple[int, int], tuple[Any, ...]]


def contents(connection: psycopg.Connection[Any], script: Script) -> Rows:
    """Every row by its table and its number."""
    found: Rows = {}
    for number in range(len(script.made)):
        text = f"SELECT rid, {', '.join(COLUMNS)} FROM {script.schema}.t{number}"
        for rid, *values in connection.execute(text.encode()):
            found[number, rid] = tuple(values)
    return found


@dataclass
class Truth:
    """What DELETE did: the SQLSTATE it failed with, or how many rows went, and how many have another value in a column."""

    sqlstate: str
    deleted: Counter[int]
    changed: Counter[tuple[int, str, str]]


def done(connection: psycopg.Connection[Any], script: Script, statement: str) -> Truth:
    before = contents(connection, script)
    deleted: Counter[int] = Counter()
    changed: Counter[tuple[int, str, str]] = Counter()
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            after = contents(connection, script)
    except psycopg.Error as error:
        return Truth(error.sqlstate or "", deleted, changed)
    for place, values in before.items():
        if place not in after:
            deleted[place[0]] += 1
            continue
        for name, old, new in zip(COLUMNS, values, after[place], strict=True):
            if old != new:
                changed[place[0], name, "null" if new is None else "default"] += 1
    return Truth("", deleted, changed)


def foretold(made: Deletion, catalog: Catalog, script: Script) -> tuple[Counter[int], Counter[tuple[int, str, str]]]:
    """The same counts, as they were said before."""

    def number(oid: int) -> int:
        return int(catalog.tables[oid].name[1:].partition("_")[0])

    deleted: Counter[int] = Counter()
    changed: Counter[tuple[int, str, str]] = Counter()
    for oid, count in made.deleted.items():
        deleted[number(oid)] += count
    for oid, columns in made.changed.items():
        for (name, kind), count in columns.items():
            changed[number(oid), name, kind] += count
    return deleted, changed


PREPARED = """
CREATE SCHEMA kinds;
CREATE DOMAIN kinds.filled AS int NOT NULL;
CREATE DOMAIN kinds.small AS int CHECK (VALUE IS NOT NULL AND VALUE < 9);
"""


def test_random_deletions(database: Make, version: int, record_property: Callable[[str, object], None]) -> None:
    started = time.monotonic()
    made = drawn(schemas(version), SCHEMAS, SEED)
    verdicts: Counter[str] = Counter()
    total = 0
    for first in range(0, len(made), TOGETHER):
        dsn = database(PREPARED)
        with psycopg.connect(dsn, autocommit=True) as connection:
            scripts = [Script(one, f"s{first + place}") for place, one in enumerate(made[first : first + TOGETHER])]
            for script in scripts:
                script.load(connection)
            with Session(Target(dsn)) as session:
                catalog = open_catalog(session)
                for script in scripts:
                    for table in range(len(script.made)):
                        for key in range(3):
                            relation = catalog.by_name.get((script.schema, f"t{table}"))
                            if relation is None:
                                continue
                            place = f"seed {SEED}, {script.schema}.t{table} id {key}\n{script}"
                            truth = done(connection, script, f"DELETE FROM {relation.sql} WHERE id = {key}")
                            rows = connection.execute(
                                f"SELECT 1 FROM {relation.sql} WHERE id = {key}".encode()
                            ).fetchall()
                            if not rows:
                                continue
                            said = explain(session, catalog, relation, f"r.id = {key}", "this id")
                            assert (said.unsure, said.stopped) == ((), ""), place
                            states = {refused.sqlstate for refused in said.refused}
                            assert bool(truth.sqlstate) is bool(states), (truth, said.refused, place)
                            if truth.sqlstate:
                                assert truth.sqlstate in states, (truth, said.refused, place)
                            else:
                                assert foretold(said, catalog, script) == (truth.deleted, truth.changed), (said, place)
                            verdicts[
                                "refused"
                                if truth.sqlstate
                                else "cascaded"
                                if len(truth.deleted) > 1 or truth.changed or truth.deleted.total() > 1
                                else "alone"
                            ] += 1
                            total += 1
    record_property(
        "summary",
        f"deletions foretold: {total} rows of {len(made)} random schemas: {dict(verdicts)}, seed {SEED},"
        f" {time.monotonic() - started:.1f} s",
    )
