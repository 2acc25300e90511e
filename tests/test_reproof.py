"""Foreign keys re-proved: on random schemas with random rows the auditor counts what was planted, and PostgreSQL's own validation agrees.

AUDITOR_REPROOF_SCHEMAS and AUDITOR_REPROOF_SEED choose how many schemas, and which; the run's are printed at its end.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import strategies as st

from auditor.text import ident
from tests.conftest import Make
from tests.helpers import audit, drawn

SCHEMAS = int(os.environ.get("AUDITOR_REPROOF_SCHEMAS", "1000"))
SEED = int(os.environ.get("AUDITOR_REPROOF_SEED", "0")) or secrets.randbits(32)

# --- types, and which of their values are equal ----------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """The types of a referenced and of a referencing column, and their values in classes: those of one class are equal.

    A class is what each side may write for it; nothing where a side cannot.
    """

    referenced: str
    referencing: str
    classes: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    opclass: str = ""  # of the unique index
    partitions: bool = True  # whether a table can be partitioned by such a column


def same(referenced: str, referencing: str, *values: str) -> Kind:
    """Every value on both sides, written alike."""
    return Kind(referenced, referencing, tuple(((value,), (value,)) for value in values))


def classes(*sides: str) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """`a|A = a|A ` as the two sides of a class; `-` stands for no value."""
    found = []
    for text in sides:
        one, _, other = text.partition(" = ")
        found.append(tuple(() if side == "-" else tuple(side.split("|")) for side in (one, other)))
    return tuple((one, other) for one, other in found)


WORDS = ("a", "A", "", "it's %s", "é")
LETTERS = ("a|A = a|A", "b = b|B", "c = C")
KINDS = (
    same("int", "int", "0", "1", "2"),
    same("int", "bigint", "0", "1", "2"),
    same("bigint", "smallint", "0", "1", "2"),
    Kind("numeric", "int", classes("0|0.0 = 0", "1.00 = 1", "1.5 = -", "NaN = -", "- = 2")),
    Kind("numeric", "numeric(6,2)", classes("0 = 0.00", "1 = 1|1.00", "NaN = NaN")),
    Kind("float8", "int", classes("0|-0 = 0", "1 = 1", "0.5 = -")),
    Kind("float8", "real", classes("0.5 = 0.5", "0.1 = -", "- = 0.1", "NaN = NaN")),
    Kind("float8", "numeric", classes("0.1 = 0.1|0.10", "1 = 1")),
    Kind("oid", "int", classes("1 = 1", "4294967295 = -1")),
    same("text", "text", *WORDS),
    same("text", "varchar(10)", *WORDS),
    same("varchar(10)", "varchar", *WORDS),
    same('text COLLATE "C"', 'text COLLATE "POSIX"', *WORDS),
    same("text", 'varchar COLLATE "C"', *WORDS),
    same('text COLLATE "C"', "text", *WORDS),
    same("text", "name", *WORDS),
    same("name", "text", *WORDS),
    Kind("varchar", "char(4)", classes("a = a|a ", "a  = -", " = |  ", "- = b")),
    Kind("text", "char(4)", classes("a = a|a ", "a  = -", " = |  ", "- = b")),
    Kind("char(4)", "text", classes("a|a  = a|a |a      ", "b = b", " =  ", "- =  a")),
    Kind("char(4)", "varchar", classes("a|a  = a|a |a      ", "b = b")),
    Kind("char(4)", "char(9)", classes("a|a  = a|a      ", "b = b", "- = 123456789")),
    Kind("kinds.padded", "text", classes("a|a  = a|a |a      ", "b = b")),
    same("kinds.mood", "kinds.mood", "sad", "ok", "glad"),
    same("kinds.positive", "int", "0", "1", "2"),
    same("int", "kinds.even", "0", "2", "4"),
    same("kinds.even", "kinds.positive", "0", "2", "4"),
    same("kinds.label", "kinds.label", *WORDS),
    same("int[]", "int[]", "{1,2}", "{2,1}", "{}", "{NULL}", "{{1,2}}"),
    same("kinds.list", "int[]", "{1,2}", "{2,1}", "{}", "{NULL}"),
    Kind("text[]", "text[]", classes("{a} = {a}", "{A} = {A}", "{} = {}")),
    Kind('text[] COLLATE "C"', "text[]", classes("{a} = {a}", "{A} = {A}", "{} = {}")),
    Kind("date", "timestamp", classes("2024-01-01 = 2024-01-01 00:00", "2024-01-02 = -", "- = 2024-01-02 12:00")),
    Kind("timestamp", "date", classes("2024-01-01 00:00 = 2024-01-01", "2024-01-02 12:00 = -", "infinity = infinity")),
    Kind("interval", "interval", classes("1 day|24:00 = 24:00|1 day", "1 month = 30 days", "1 = 00:00:01")),
    Kind("interval", "time", classes("1:00 = 01:00", "- = 02:00")),
    same("bool", "bool", "f", "t"),
    same("uuid", "uuid", "00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    Kind("bytea", "bytea", classes("\\x61 = a", "\\x00 = \\000")),
    Kind("jsonb", "jsonb", classes('{"a":1,"b":2} = {"b": 2, "a": 1}', "1 = 1.0", "null = null")),
    Kind("inet", "cidr", classes("10.0.0.0/8 = 10.0.0.0/8", "10.0.0.1 = 10.0.0.1/32")),
    Kind("int4range", "int4range", classes("[1,2) = [1,1]|(0,2)", "empty = [1,1)|empty", "(,) = (,)")),
    Kind("kinds.pair", "kinds.pair", classes("(1,a) = (1,a)", "(1,b) = (1,b)", "(2,a) = (2,a)"), partitions=False),
    Kind("int", "int", classes("1980|1989 = 1985|1981", "1990 = 1999", "- = 2001|2009"), "kinds.tens", False),
)
NONDETERMINISTIC = (
    Kind("kinds.anycase", "kinds.anycase", classes(*LETTERS)),
    Kind("text COLLATE kinds.nocase", "varchar COLLATE kinds.nocase", classes(*LETTERS)),
    Kind("text[] COLLATE kinds.nocase", "text[] COLLATE kinds.nocase", classes("{a}|{A} = {a}|{A}", "{b} = {B}")),
)
# Before 18 a foreign key may compare columns of which only one has such a collation: the referenced side's decides.
ONE_SIDED = (
    Kind("text COLLATE kinds.nocase", "text", classes(*LETTERS)),
    same("text", "text COLLATE kinds.nocase", "a", "A", "b"),
    Kind("text[] COLLATE kinds.nocase", "text[]", classes("{a}|{A} = {a}|{A}", "{b} = {B}")),
    same("text[]", "text[] COLLATE kinds.nocase", "{a}", "{A}", "{b}"),
)
CITEXT = (
    Kind("kinds.citext", "kinds.citext", classes(*LETTERS)),
    same("text", "kinds.citext", "a", "A", "b"),
)
# Under WITHOUT OVERLAPS equality is that of a GiST operator class; without btree_gist ranges alone have one.
RANGES = (
    Kind("int4range", "int4range", classes("[1,2) = [1,1]|(0,2)", "[2,3) = [2,3)", "- = (,)")),
    same("numrange", "numrange", "[1,2)", "[1,2]", "empty"),
    same("datemultirange", "datemultirange", "{}", "{[2024-01-01,2024-01-02)}"),
)
GIST = (same("int", "int", "0", "1", "2"), same("text", 'text COLLATE "C"', "a", "A", "b"))

PREPARED = """
CREATE SCHEMA kinds;
CREATE TYPE kinds.mood AS ENUM ('sad', 'ok', 'glad');
CREATE DOMAIN kinds.positive AS int CHECK (VALUE >= 0);
CREATE DOMAIN kinds.even AS kinds.positive CHECK (VALUE % 2 = 0);
CREATE DOMAIN kinds.label AS varchar(10) COLLATE "C";
CREATE DOMAIN kinds.padded AS char(4);
CREATE DOMAIN kinds.list AS int[];
CREATE DOMAIN kinds.days AS daterange;
CREATE TYPE kinds.pair AS (n int, t text);
CREATE FUNCTION kinds.tens(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10 - $2 / 10';
CREATE FUNCTION kinds.same_ten(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10 = $2 / 10';
CREATE FUNCTION kinds.less_ten(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 10 < $2 / 10';
CREATE OPERATOR kinds.~= (LEFTARG = int, RIGHTARG = int, FUNCTION = kinds.same_ten, COMMUTATOR = OPERATOR(kinds.~=));
CREATE OPERATOR kinds.~< (LEFTARG = int, RIGHTARG = int, FUNCTION = kinds.less_ten);
CREATE OPERATOR CLASS kinds.tens FOR TYPE int USING btree
    AS OPERATOR 1 kinds.~<, OPERATOR 3 kinds.~=, FUNCTION 1 kinds.tens(int, int);
-- Whether the statements go through, or rows break the foreign key.
CREATE FUNCTION kinds.holds(statements text[]) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE statement text;
BEGIN
    FOREACH statement IN ARRAY statements LOOP EXECUTE statement; END LOOP;
    RETURN true;
EXCEPTION WHEN foreign_key_violation THEN
    RETURN false;
END $$;
"""

# --- periods ---------------------------------------------------------------------------------------------------------

LAST = 6  # bounds are 0 to LAST
Bounds = tuple[int | None, int | None, str]  # None: without end


@dataclass(frozen=True)
class PeriodType:
    """The types of the two PERIOD columns, whether there is anything between two neighbours, whether it holds several ranges."""

    referenced: str
    referencing: str
    dense: bool = False
    multi: bool = False

    def text(self, ranges: tuple[Bounds, ...]) -> str:
        def bound(value: int | None) -> str:
            days = "date" in self.referenced or "days" in self.referenced
            return "" if value is None else str(date(2024, 2, 26) + timedelta(value)) if days else str(value)

        texts = [f"{kind[0]}{bound(low)},{bound(high)}{kind[1]}" for low, high, kind in ranges]
        return "{" + ",".join(texts) + "}" if self.multi else texts[0] if texts else "empty"

    def points(self, ranges: tuple[Bounds, ...]) -> frozenset[int]:
        """The period as the points it holds: bounds are even ones, what lies between two bounds the odd one between."""
        return frozenset(
            point
            for low, high, kind in ranges
            for point in range(-2, 2 * LAST + 3, 1 if self.dense else 2)
            if (low is None or point > 2 * low or (point == 2 * low and kind[0] == "["))
            and (high is None or point < 2 * high or (point == 2 * high and kind[1] == "]"))
        )


PERIODS = (
    PeriodType("int4range", "int4range"),
    PeriodType("daterange", "daterange"),
    PeriodType("numrange", "numrange", dense=True),
    PeriodType("int4multirange", "int4multirange", multi=True),
    PeriodType("nummultirange", "nummultirange", dense=True, multi=True),
    PeriodType("kinds.days", "daterange"),
    PeriodType("daterange", "kinds.days"),
)


@st.composite
def ranges(draw: st.DrawFn, kind: PeriodType) -> tuple[Bounds, ...]:
    """The bounds of a period, of several ranges where it may have them; there need not be anything between them."""
    found: list[Bounds] = []
    for _ in range(draw(st.integers(1, 2)) if kind.multi else 1):
        low, size = draw(st.integers(0, LAST)), draw(st.integers(0, 4))
        ends = draw(st.sampled_from(["[)", "[)", "[)", "[]", "(]", "()", "<", ">"]))
        if ends == "<":
            found.append((None, low, "()"))
        elif ends == ">":
            found.append((low, None, "[)"))
        else:
            found.append((low, min(low + size, LAST), ends))
    return tuple(found)


# --- schemas ---------------------------------------------------------------------------------------------------------

Key = tuple[tuple[int, int] | None, ...]  # of each column the class of its value and how it is written, or NULL


@dataclass(frozen=True)
class Row:
    """One side of a row: a key, and its period where there is one."""

    key: Key
    period: tuple[Bounds, ...] | None = None


@dataclass(frozen=True)
class Side:
    """How a table is made; `by` is the column a partitioned one is partitioned by, and `bound` a value of it."""

    layout: str
    how: str = ""
    by: int = 0
    bound: str = ""


@dataclass(frozen=True)
class Schema:
    """A foreign key between two tables, or of one to itself, and all their rows."""

    kinds: tuple[Kind, ...]
    period: PeriodType | None
    match: str
    state: str
    deferrable: str
    unique: str
    order: tuple[int, ...]  # of the columns in the unique index
    names: tuple[str, ...]
    tables: tuple[str, str]
    referenced: Side
    referencing: Side
    itself: bool
    parents: tuple[Row, ...]
    rows: tuple[Row, ...]
    strays: tuple[Row, ...]  # of tables beside the two: they are no parents, and no orphans

    def classes(self, row: Row) -> tuple[int | None, ...]:
        return tuple(None if value is None else value[0] for value in row.key)

    def breaks(self, row: Row) -> bool:
        """What PostgreSQL's documentation says (CREATE TABLE: REFERENCES, MATCH and PERIOD), row by row."""
        key = self.classes(row)
        nulls = [*(value is None for value in key), *([row.period is None] if self.period else [])]
        if all(nulls) or (any(nulls) and self.match == "SIMPLE"):
            return False
        matching = [parent for parent in self.parents if self.classes(parent) == key]
        if any(nulls) or self.period is None:
            return any(nulls) or not matching
        covered: set[int] = set()
        for parent in matching:
            covered |= self.period.points(parent.period or ())
        wanted = self.period.points(row.period or ())
        return not wanted or not wanted <= covered

    @property
    def broken(self) -> int:
        return sum(self.breaks(row) for row in self.rows)


NAMES = ("a", "b", "The Id", "%s", 'é"ü', "select", "line\nbreak", "parent", "referencing", "$1", "x" * 63)
TABLES = (("users", "orders"), ("referenced", "parent"), ("parent", "child"), ('Ta"ble', "%s"))
PARTITIONED = ("partitioned", "nested", "attached", "branch")
LAYOUTS = ("plain", "dropped", "inherited", "heir", "partition", *PARTITIONED)


@st.composite
def schemas(draw: st.DrawFn, kinds: list[Kind], gist: list[Kind], version: int) -> Schema:
    period = draw(st.sampled_from(PERIODS)) if version >= 18 and draw(st.integers(0, 4)) == 0 else None
    width = draw(st.integers(1, 2 if period else 3))
    chosen = tuple(draw(st.sampled_from(gist if period else kinds)) for _ in range(width))
    custom = any(kind.opclass for kind in chosen)
    unique = "INDEX" if custom else draw(st.sampled_from(["PRIMARY KEY", "UNIQUE"] + ["INDEX"] * (not period)))
    itself = draw(st.integers(0, 7)) == 0

    def side(number: int) -> Side:
        """The referenced table (0) must be partitioned by a column of its key, under the key's operator."""
        layout = draw(st.sampled_from(LAYOUTS))
        by = draw(st.integers(0, width - 1))
        values = [value for pair in chosen[by].classes for value in pair[number]]
        if layout in PARTITIONED:
            if (custom and number == 0) or not chosen[by].partitions:
                return Side("plain")
            return Side(layout, draw(st.sampled_from(["HASH", "LIST", "RANGE"])), by, draw(st.sampled_from(values)))
        return Side(layout)

    def row(number: int, *, nulls: bool, like: Row | None = None) -> Row:
        """A row, or one that equals another as far as its side can write it."""
        key: list[tuple[int, int] | None] = []
        for kind, value in zip(chosen, like.key if like else (None,) * width, strict=True):
            written = [(n, m) for n, pair in enumerate(kind.classes) for m in range(len(pair[number]))]
            if value is not None:
                written = [(n, m) for n, m in written if n == value[0]] or written
            null = nulls and draw(st.integers(0, 5)) == 0
            key.append(None if null else draw(st.sampled_from(written)))
        spans = None
        if period and not (nulls and draw(st.integers(0, 5)) == 0):
            spans = () if number and draw(st.integers(0, 9)) == 0 else draw(ranges(period))
        return Row(tuple(key), spans)

    referenced = side(0)
    referencing = referenced if itself else side(1)
    match = draw(st.sampled_from(["SIMPLE", "FULL"]))
    partitioned = referencing.layout in PARTITIONED
    states = ["replica", "replica", "disabled"] + ["not valid"] * (version >= 18 or not partitioned)
    made = Schema(
        chosen,
        period,
        match,
        draw(st.sampled_from(states + ["not enforced"] * (version >= 18))),
        draw(st.sampled_from(["", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"])),
        unique,
        tuple(draw(st.permutations(range(width)))),
        tuple(draw(st.permutations(NAMES))[: 2 * width + 2]),
        draw(st.sampled_from(TABLES)),
        referenced,
        referencing,
        itself,
        (),
        (),
        tuple(row(0, nulls=False) for _ in range(draw(st.integers(0, 2)))),
    )
    parents: list[Row] = []
    for _ in range(draw(st.integers(0, 5))):
        parent = row(0, nulls=unique != "PRIMARY KEY")
        if period and parent.period is not None and not period.points(parent.period):
            continue  # refused: WITHOUT OVERLAPS takes no empty range
        if not any(conflicts(made, parent, other) for other in parents):
            parents.append(parent)
    rows = [row(1, nulls=True, like=draw(st.sampled_from([None, *parents]))) for _ in range(draw(st.integers(1, 6)))]
    if itself and unique == "PRIMARY KEY":
        rows = rows[: len(parents)]
    return with_rows(made, parents, rows, whole=draw(st.booleans()))


def conflicts(schema: Schema, one: Row, other: Row) -> bool:
    """Whether the unique index takes only one of the two."""
    key = schema.classes(one)
    if None in key or key != schema.classes(other):
        return False
    if schema.period is None:
        return True
    return bool(schema.period.points(one.period or ()) & schema.period.points(other.period or ()))


def with_rows(schema: Schema, parents: list[Row], rows: list[Row], *, whole: bool) -> Schema:
    made = replace(schema, parents=tuple(parents), rows=tuple(rows))
    return replace(made, rows=tuple(row for row in rows if not made.breaks(row))) if whole else made


# --- as SQL ----------------------------------------------------------------------------------------------------------


def quoted(text: str | None) -> str:
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


Columns = list[tuple[str, str]]


class Script:
    """The statements that make a schema; the foreign key is added, or dropped and added again, by statements of its own."""

    def __init__(self, made: Schema, schema: str) -> None:
        width = len(made.kinds)
        self.made = made
        self.schema = schema
        self.theirs, self.mine = list(made.names[:width]), list(made.names[width : 2 * width])
        if made.period:
            self.theirs.append(made.names[2 * width])
            self.mine.append(made.names[2 * width + 1])
        self.referenced, self.referencing = (self.name(table) for table in made.tables)
        if made.itself:
            self.referencing = self.referenced
        named = (", ".join(names) for names in (self.key(self.mine), self.key(self.theirs)))
        mine, theirs = named
        self.declared = (
            f"ADD CONSTRAINT points FOREIGN KEY ({mine}) REFERENCES {self.referenced} ({theirs})"
            f" MATCH {made.match}{made.deferrable}"
        )
        self.alter = f"ALTER TABLE {self.referencing}"

    def __str__(self) -> str:
        return "".join(f"{statement};\n" for statement in [*self.statements(), *self.proof(18)])

    @property
    def size(self) -> int:
        """How many rows the referencing table has."""
        return max(len(self.made.rows), len(self.made.parents) if self.made.itself else 0)

    @property
    def read(self) -> str:
        """The referencing table, as PostgreSQL's own check reads it."""
        return ("" if self.made.referencing.layout in PARTITIONED else "ONLY ") + self.referencing

    def name(self, table: str) -> str:
        return f"{self.schema}.{ident(table)}"

    def key(self, names: list[str]) -> list[str]:
        last = [f"PERIOD {ident(names[-1])}"] if self.made.period else []
        return [*(ident(name) for name in names[: len(self.made.kinds)]), *last]

    def columns(self, number: int) -> Columns:
        names = (self.theirs, self.mine)[number]
        types = [(kind.referenced, kind.referencing)[number] for kind in self.made.kinds]
        if self.made.period:
            types.append((self.made.period.referenced, self.made.period.referencing)[number])
        return list(zip(names, types, strict=True))

    def table(self, table: str, side: Side, columns: Columns) -> tuple[list[str], str | None]:
        """The statements, and the table for rows that are beside the point."""
        name = self.name(table)
        listed = [f"{ident(column)} {kind}" for column, kind in [("id", "int"), ("part", "int"), *columns]]
        create = f"CREATE TABLE {name} ({', '.join(listed)})"
        first, second, third = (self.name(f"{table}_{n}") for n in (1, 2, 3))
        if side.layout == "inherited":
            return [create, f"CREATE TABLE {first} () INHERITS ({name})"], first
        if side.layout == "heir":
            return [f"CREATE TABLE {first} ({', '.join(listed)})", f"CREATE TABLE {name} () INHERITS ({first})"], first
        if side.layout == "partition":
            return [
                f"CREATE TABLE {first} ({', '.join(listed)}) PARTITION BY LIST (part)",
                f"CREATE TABLE {name} PARTITION OF {first} FOR VALUES IN (0)",
                f"CREATE TABLE {second} PARTITION OF {first} DEFAULT",
            ], second
        if side.layout == "plain":
            return [create], None
        if side.layout == "dropped":
            return [create.replace("(", "(gone int, ", 1), f"ALTER TABLE {name} DROP COLUMN gone"], None
        bounds = {
            "HASH": ("FOR VALUES WITH (MODULUS 2, REMAINDER 0)", "FOR VALUES WITH (MODULUS 2, REMAINDER 1)"),
            "LIST": (f"FOR VALUES IN ({quoted(side.bound)})", "DEFAULT"),
            "RANGE": (f"FOR VALUES FROM ({quoted(side.bound)}) TO (MAXVALUE)", "DEFAULT"),
        }[side.how]
        by = ident(columns[side.by][0])
        if side.layout == "branch":
            return [
                f"CREATE TABLE {first} ({', '.join(listed)}) PARTITION BY LIST (part)",
                f"CREATE TABLE {name} PARTITION OF {first} FOR VALUES IN (0) PARTITION BY HASH ({by})",
                f"CREATE TABLE {second} PARTITION OF {first} DEFAULT",
                f"CREATE TABLE {third} PARTITION OF {name} FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
            ], second
        statements = [
            f"{create} PARTITION BY {side.how} ({by})",
            f"CREATE TABLE {first} PARTITION OF {name} {bounds[0]}",
        ]
        if side.layout == "nested":
            statements += [
                f"CREATE TABLE {second} PARTITION OF {name} {bounds[1]} PARTITION BY HASH ({by})",
                f"CREATE TABLE {third} PARTITION OF {second} FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
            ]
        elif side.layout == "attached":
            statements += [
                f"CREATE TABLE {second} (gone int, {', '.join(reversed(listed))})",
                f"ALTER TABLE {second} DROP COLUMN gone",
            ]
            if table == self.made.tables[1] and self.made.state in ("replica", "disabled"):
                statements.append(f"ALTER TABLE {second} {self.declared}")  # becomes part of that of the whole
            statements.append(f"ALTER TABLE {name} ATTACH PARTITION {second} {bounds[1]}")
        else:
            statements.append(f"CREATE TABLE {second} PARTITION OF {name} {bounds[1]}")
        return statements, None

    def values(self, row: Row | None, number: int) -> list[str]:
        if row is None:
            return ["NULL"] * len(self.columns(number))
        found = []
        for kind, value in zip(self.made.kinds, row.key, strict=True):
            written = None if value is None else kind.classes[value[0]][number]
            # A stray is drawn for the referenced side; on the other side its class may have no value.
            found.append(quoted(written[value[1] % len(written)] if written and value else None))
        if self.made.period:
            found.append(quoted(None if row.period is None else self.made.period.text(row.period)))
        return found

    def insert(self, table: str | None, part: int, names: list[str], rows: list[list[str]]) -> list[str]:
        if table is None or not rows:
            return []
        lines = [f"({number}, {part}, {', '.join(row)})" for number, row in enumerate(rows, 1)]
        columns = ", ".join(["id", "part", *map(ident, names)])
        return [f"INSERT INTO {table} ({columns}) VALUES {', '.join(lines)}"]

    def unique(self) -> str:
        made = self.made
        parts = [ident(self.theirs[n]) for n in made.order]
        if made.unique == "INDEX":
            keys = ", ".join(f"{part} {made.kinds[n].opclass}" for part, n in zip(parts, made.order, strict=True))
            return f"CREATE UNIQUE INDEX ON {self.referenced} ({keys})"
        if made.period:
            parts.append(f"{ident(self.theirs[-1])} WITHOUT OVERLAPS")
        return f"ALTER TABLE {self.referenced} ADD {made.unique} ({', '.join(parts)})"

    def statements(self) -> list[str]:
        made = self.made
        both = [*self.columns(0), *self.columns(1)] if made.itself else self.columns(0)
        create, beside = self.table(made.tables[0], made.referenced, both)
        found = [f"CREATE SCHEMA {self.schema}", *create, self.unique()]
        load: list[str] = []
        parents = [self.values(row, 0) for row in made.parents]
        rows = [self.values(row, 1) for row in made.rows]
        strays = [(self.values(row, 0), self.values(row, 1)) for row in made.strays]
        if made.itself:
            size = max(len(parents), len(rows))
            parents += [self.values(None, 0)] * (size - len(parents))
            rows += [self.values(None, 1)] * (size - len(rows))
            names = [*self.theirs, *self.mine]
            load += self.insert(self.referenced, 0, names, [a + b for a, b in zip(parents, rows, strict=True)])
            load += self.insert(beside, 1, names, [a + b for a, b in strays])
        else:
            load += self.insert(self.referenced, 0, self.theirs, parents)
            load += self.insert(beside, 1, self.theirs, [one for one, _ in strays])
            create, beside = self.table(made.tables[1], made.referencing, self.columns(1))
            found += create
            load += self.insert(self.referencing, 0, self.mine, rows)
            load += self.insert(beside, 1, self.mine, [other for _, other in strays])
        add = f"{self.alter} {self.declared}"
        if made.state == "not valid":
            return [*found, *load, f"{add} NOT VALID"]
        if made.state == "not enforced":
            return [*found, *load, f"{add} NOT ENFORCED"]
        if made.state == "disabled":
            # It reaches the partitions from 15 on.
            parts = {"nested": 3, "branch": 3, "partitioned": 2, "attached": 2}.get(made.referencing.layout, 0)
            table = made.tables[0 if made.itself else 1]
            tables = [self.referencing, *(self.name(f"{table}_{number + 1}") for number in range(parts))]
            off, on = ([f"ALTER TABLE {name} {verb} TRIGGER ALL" for name in tables] for verb in ("DISABLE", "ENABLE"))
            return [*found, add, *off, *load, *on]
        return [*found, add, "SET session_replication_role = replica", *load, "RESET session_replication_role"]

    def proof(self, version: int) -> list[str]:
        """What makes the server look at every row.

        Of a PERIOD key VALIDATE and ENFORCED take an overlap for coverage: only a key that is added whole looks (18.4).
        """
        again = f"{self.alter} DROP CONSTRAINT points, {self.declared}"
        if self.made.period or (version < 18 and self.made.referencing.layout in PARTITIONED):
            return [again]
        return [f"{again} NOT VALID", f"{self.alter} VALIDATE CONSTRAINT points"]


# --- the proof -------------------------------------------------------------------------------------------------------


def available(connection: psycopg.Connection[Any], version: int) -> tuple[list[Kind], list[Kind]]:
    """The kinds of ordinary columns and of those beside a PERIOD, with what this server was built with."""
    kinds, gist = list(KINDS), list(RANGES)
    extensions = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    if "citext" in extensions:
        connection.execute("CREATE EXTENSION citext SCHEMA kinds")
        kinds += CITEXT
    if "btree_gist" in extensions:
        connection.execute("CREATE EXTENSION btree_gist SCHEMA kinds")
        gist += GIST
    try:
        connection.execute(
            "CREATE COLLATION kinds.nocase (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false)"
        )
        connection.execute("CREATE DOMAIN kinds.anycase AS text COLLATE kinds.nocase")
        kinds += NONDETERMINISTIC + (ONE_SIDED if version < 18 else ())
    except psycopg.errors.FeatureNotSupported:
        pass  # built without ICU
    return kinds, gist


def counted(connection: psycopg.Connection[Any], table: str, where: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}".encode()).fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.proof
def test_random_foreign_keys(database: Make, version: int, record_property: Callable[[str, object], None]) -> None:
    started = time.monotonic()
    dsn = database(PREPARED)
    with psycopg.connect(dsn, autocommit=True) as connection:
        made = drawn(schemas(*available(connection, version), version), SCHEMAS, SEED)
        scripts = {f"s{number}": Script(one, f"s{number}") for number, one in enumerate(made)}
        for script in scripts.values():
            try:
                connection.execute(";\n".join(script.statements()).encode())
            except psycopg.Error as error:
                error.add_note(f"seed {SEED}\n{script}")
                raise
        result = audit(dsn, depth="full", select=["references/orphan-rows"])
        assert result.summary.not_checked == 0
        asked = Counter(entry.object.schema for entry in result.coverage)
        assert asked == Counter(scripts.keys())
        examined = {entry.object.schema: entry.rows_examined for entry in result.coverage}
        found = {finding.object.schema: finding for finding in result.findings}
        assert len(found) == len(result.findings)
        for schema, script in scripts.items():
            broken, finding = script.made.broken, found.get(schema)
            told = finding.evidence.violations if finding and finding.evidence else 0
            (vouched,) = connection.execute("SELECT kinds.holds(%s)", [script.proof(version)]).fetchone() or ()
            assert (told, vouched) == (broken, not broken), f"seed {SEED}\n{script}"
            assert examined[schema] == script.size, f"seed {SEED}\n{script}"
            if finding and finding.evidence and finding.evidence.where:
                assert counted(connection, script.read, finding.evidence.where) == broken, f"seed {SEED}\n{script}"
    assert len(made) == SCHEMAS
    whole = sum(not one.broken for one in made)
    assert SCHEMAS < 20 or SCHEMAS / 5 < whole < SCHEMAS * 4 / 5
    record_property(
        "summary",
        f"foreign keys re-proved: {len(made)} random schemas, {whole} whole, {len(made) - whole} with"
        f" {sum(one.broken for one in made)} planted orphans, seed {SEED}, {time.monotonic() - started:.1f} s",
    )
