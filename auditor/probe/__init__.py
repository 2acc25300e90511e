"""The questions that rows can answer: a small closed set. What to ask stands here; how to read is the strategies' business.

Predicates are SQL text over the unqualified columns of one table, fully qualified otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from auditor.catalog.model import ForeignKey, Reference, Sequence, Table
from auditor.catalog.sequences import RANGES
from auditor.check import Evidence
from auditor.text import ident, qualified

Operator = tuple[str, str]
# None: a predicate is read, which may name any column; no column: no row is read, and no privilege on the table needed.
Reads = Iterator[tuple[Table, tuple[str, ...] | None]]


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of `table`, and the rows of `referenced` that they match.

    `operators` compare referenced with referencing columns, in that order, as pg_constraint.conpfeqop does; empty: the
    equality of a unique index over the referenced columns, or `=`; `casts` are the types they take the two as, where those
    are not their own. In a `period` relation the last column is a range that the referenced ones must cover together,
    and its operator says which of them are looked at. `only` leaves inheritance children of `referenced`
    out, as foreign keys do. `match` is s (simple: a NULL excuses the row) or f (full: only all NULLs do). `reverse` asks
    from the referenced side of a foreign key: its collation is then that of `table`. `other_row` does not take a row as
    its own partner. `unless` is for Pairs: a matching row for which it holds excuses the row of `table`. `beyond` are the
    tables and columns that the predicates read besides their own.
    """

    table: Table
    columns: tuple[str, ...]
    referenced: Table
    referenced_columns: tuple[str, ...]
    operators: tuple[Operator, ...] = ()
    casts: tuple[tuple[str | None, str | None], ...] = ()
    period: bool = False
    match: str = "s"
    where: str | None = None
    referenced_where: str | None = None
    only: bool = True
    reverse: bool = False
    other_row: bool = False
    unless: str | None = None
    beyond: tuple[tuple[Table, tuple[str, ...]], ...] = ()

    @classmethod
    def of_key(cls, table: Table, key: ForeignKey, referenced: Table) -> Self:
        """The question that a foreign key of `table` asks."""
        return cls(
            table,
            key.columns,
            referenced,
            key.referenced_columns,
            operators=key.operators,
            casts=key.casts,
            period=key.period,
            match=key.match,
        )

    @classmethod
    def back(cls, referenced: Table, key: ForeignKey, table: Table, where: str | None = None) -> Self:
        """The question from the referenced side of a foreign key of `table`, of whose rows those count for which `where` holds."""
        return cls(
            referenced,
            key.referenced_columns,
            table,
            key.columns,
            operators=key.operators,
            casts=key.casts,
            referenced_where=where,
            reverse=True,
        )

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """The question about a relation nobody declared: inheritance children count as parents, no foreign key forbids it."""
        return cls(
            reference.table,
            reference.columns,
            reference.referenced,
            reference.referenced_columns,
            where=reference.where,
            only=False,
        )

    def reads(self) -> Reads:
        """The tables and columns whose SELECT privilege the question needs."""
        yield self.table, None if self.where else (*self.columns, *self.table.row_key)
        yield self.referenced, None if self.referenced_where or self.unless else self.referenced_columns
        yield from self.beyond

    @property
    def equality(self) -> tuple[Operator, ...]:
        """The operators that compare the columns, the referenced one first."""
        if self.operators:
            return self.operators
        plain = ("pg_catalog", "=")
        for index in self.referenced.indexes:
            if index.unique and set(index.columns or ()) == set(self.referenced_columns):
                by_column = {key.column: key.equality for key in index.keys}
                return tuple(by_column[column] or plain for column in self.referenced_columns)
        return (plain,) * len(self.columns)

    def joins(self, own: str, other: str) -> list[str]:
        """The conditions, in SQL, under which the row called `own` matches the referenced one called `other`.

        Foreign keys compare under the referenced column's collation, as the types of the operator (source: ri_triggers.c,
        ri_GenerateQual and ri_GenerateQualCollation).
        """
        casts = self.casts or ((None, None),) * len(self.columns)
        conditions = []
        for name, referenced, (schema, operator), types in zip(
            self.columns, self.referenced_columns, self.equality, casts, strict=True
        ):
            sides = [(other, self.referenced.by_name[referenced]), (own, self.table.by_name[name])]
            if self.reverse:
                sides.reverse()
            left, right = (
                f"{ident(alias)}.{ident(column.name)}" + (f"::{cast}" if cast else "")
                for (alias, column), cast in zip(sides, types, strict=True)
            )
            theirs, mine = (column for _, column in sides)
            if mine.collation != theirs.collation and mine.collatable and theirs.collatable:
                left += f" COLLATE {qualified(*theirs.collation or ('pg_catalog', 'default'))}"
            conditions.append(f"{left} {sign((schema, operator))} {right}")
        return conditions

    def covered(self, own: str, other: str) -> str:
        """The condition, in SQL, over all rows called `other` that match, under which they cover the period of the row
        called `own`. No row covers an empty range (source: ri_triggers.c, RI_FKey_check)."""
        mine, theirs = self.columns[-1], self.referenced_columns[-1]
        return f"{ident(own)}.{ident(mine)} <@ pg_catalog.range_agg({ident(other)}.{ident(theirs)})"

    def points(self, own: str) -> str:
        """The condition, in SQL, under which the row called `own` points somewhere: MATCH SIMPLE asks for all columns,
        MATCH FULL for any."""
        texts = [f"{ident(own)}.{ident(name)} IS NOT NULL" for name in self.columns]
        return f"({' OR '.join(texts)})" if self.match == "f" and len(texts) > 1 else " AND ".join(texts)


def sign(operator: Operator) -> str:
    """An operator as SQL, under an empty search_path."""
    schema, name = operator
    return name if schema == "pg_catalog" else f"OPERATOR({ident(schema)}.{name})"


def referenced_name(table: Table) -> str:
    """What the referenced table is called in a query over `table`: never the same as that."""
    return "parent" if table.name != "parent" else "referenced"


class Unmatched(Relation):
    """Rows of `table` for which `referenced` has no row: orphans, rows without companion."""

    __slots__ = ()


def stranded(membership: Unmatched, member: Unmatched) -> Unmatched:
    """Rows that `member` references all of whose rows are orphans of `membership`: at least one is, none is whole.

    Both are relations of one table. A row that points nowhere at all, or is none of `membership.where`, is neither.
    """
    link, members, target = membership.table, member.referenced, membership.referenced
    own = referenced_name(members)
    row, missing = (f"{name}s" if name in (members.name, own) else name for name in ("link", "target"))

    def whole(alias: str) -> str:
        only = "ONLY " if membership.only and target.only else ""
        joined = " AND ".join(membership.joins(alias, missing))
        return f"EXISTS (SELECT 1 FROM {only}{target.sql} AS {missing} WHERE {joined})"

    counted = f"({membership.where}) AND " if membership.where else ""
    conditions = " AND ".join((*member.joins(row, members.name), membership.points(row)))
    rows = f"{'ONLY ' if link.only else ''}{link.sql} AS {row}"
    return Unmatched(
        members,
        member.referenced_columns,
        link,
        member.columns,
        operators=member.equality,
        casts=member.casts,
        where=f"EXISTS (SELECT 1 FROM {rows} WHERE {counted}{conditions} AND NOT {whole(row)})",
        referenced_where=f"{counted}{whole(own)}",
        reverse=True,
        beyond=((target, membership.referenced_columns),),
    )


class Pairs(Relation):
    """Rows of `table` for which `referenced` has a row, both as their predicates ask: pairs that disagree."""

    __slots__ = ()


class Cycles(Relation):
    """Rows of a table that references itself from which the way up comes back to them; `groups` are the cycles.

    The referenced columns must be a key, so that a row has one parent at most. With `other_row` a row that points to
    itself is a root; without it, a cycle of one. A row that hangs below a cycle is not on it.
    """

    __slots__ = ()

    def on_cycle(self) -> str:
        """The predicate of the rows on a cycle."""
        return f"(tableoid, ctid) IN ({self._cycles()} SELECT tableoid, ctid FROM cycle)"

    def first_of_each(self) -> str:
        """The predicate of one row of each cycle: the one that lies first."""
        first = self._free("first_table"), self._free("first_row"), self._free("moved")
        names = ", ".join(("tableoid", "ctid", *self._carried))
        walk = (
            f"walk({', '.join(first)}, {names}) AS (SELECT tableoid, ctid, false, {names} FROM cycle UNION ALL SELECT"
            f" walk.{first[0]}, walk.{first[1]}, true, {self._of('parent')} FROM walk JOIN cycle AS parent"
            f" ON {self._joined('walk', 'parent')}"
            f" WHERE NOT walk.{first[2]} OR (walk.tableoid, walk.ctid) > (walk.{first[0]}, walk.{first[1]}))"
        )
        back = f"{first[2]} AND (tableoid, ctid) = ({first[0]}, {first[1]})"
        return f"(tableoid, ctid) IN ({self._cycles()}, {walk} SELECT tableoid, ctid FROM walk WHERE {back})"

    def _cycles(self) -> str:
        """WITH, up to `cycle`: the rows on cycles.

        From the roots down each row is met once, since it has one parent; who is never met is stuck: on a cycle or below
        one. Of the stuck, their parents, the parents of those and so on, each set lies in the one before; once it no
        longer shrinks it is the rows on cycles.
        """
        rows = f"{'ONLY ' if self.table.only else ''}{self.table.sql}"
        carried = ", ".join(("tableoid", "ctid", *self._carried))
        keys = ", ".join(ident(name) for name in self.referenced_columns)
        counted = f" WHERE ({self.where})" if self.where else ""
        excused = f"SELECT tableoid, ctid, {keys} FROM {rows} WHERE ({self.where}) IS NOT TRUE UNION ALL "
        size, before = self._free("size"), self._free("before")
        child_keys = ", ".join(f"child.{ident(name)}" for name in self.referenced_columns)
        return (
            f"WITH RECURSIVE node AS NOT MATERIALIZED (SELECT {carried} FROM {rows}{counted}),"
            f" rooted(tableoid, ctid, {keys}) AS ({excused if self.where else ''}"
            f"SELECT child.tableoid, child.ctid, {child_keys} FROM node AS child"
            f" WHERE NOT EXISTS (SELECT 1 FROM {rows} AS parent WHERE {self._joined('child', 'parent')})"
            f" UNION ALL SELECT child.tableoid, child.ctid, {child_keys} FROM rooted JOIN node AS child"
            f" ON {self._joined('child', 'rooted')}),"
            f" stuck AS (SELECT {carried} FROM node WHERE NOT EXISTS (SELECT 1 FROM rooted"
            " WHERE rooted.tableoid = node.tableoid AND rooted.ctid = node.ctid)),"
            f" ring({carried}, {size}, {before}) AS (SELECT {carried}, pg_catalog.count(*) OVER (), -1::bigint FROM stuck"
            f" UNION ALL SELECT {carried}, pg_catalog.count(*) OVER (), {before} FROM"
            f" (SELECT DISTINCT ON (parent.tableoid, parent.ctid) {self._of('parent')}, ring.{size} AS {before}"
            f" FROM ring JOIN stuck AS parent ON {self._joined('ring', 'parent')}"
            f" WHERE ring.{size} <> ring.{before}) AS above),"
            f" cycle AS (SELECT {carried} FROM ring WHERE {size} = {before})"
        )

    @property
    def _carried(self) -> tuple[str, ...]:
        """The columns that say where a row points and how it is pointed to, in SQL."""
        return tuple(ident(name) for name in dict.fromkeys((*self.columns, *self.referenced_columns)))

    def _of(self, alias: str) -> str:
        return ", ".join(f"{alias}.{name}" for name in ("tableoid", "ctid", *self._carried))

    def _joined(self, own: str, other: str) -> str:
        conditions = self.joins(own, other)
        if self.other_row:
            conditions.append(f"({own}.tableoid <> {other}.tableoid OR {own}.ctid <> {other}.ctid)")
        return " AND ".join(conditions)

    def _free(self, name: str) -> str:
        """A name that no column carried along has."""
        while name in self._carried:
            name += "_"
        return name


@dataclass(frozen=True, slots=True)
class Key:
    """One part of a key: a column, or an expression over the table's columns."""

    expression: str  # SQL
    column: str | None = None
    collation: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows of `table` that share their key with another row. NULLs differ unless `nulls_equal`.

    The answer's `groups` are the keys held more than once. `heap`: no index is believed, the table itself is read, in
    our transaction and wherever the condition of these rows is pasted. `touching` leaves out the keys that no row has
    for which it holds.
    """

    table: Table
    keys: tuple[Key, ...]
    where: str | None = None
    nulls_equal: bool = False
    heap: bool = False
    touching: str | None = None

    def reads(self) -> Reads:
        """The tables and columns whose SELECT privilege the question needs."""
        columns = tuple(key.column for key in self.keys if key.column is not None)
        whole = self.where or self.touching or len(columns) < len(self.keys)
        yield self.table, None if whole else (*columns, *self.table.row_key)


@dataclass(frozen=True, slots=True)
class Matching:
    """Rows of `table` for which the predicate holds; without `only`, those of its inheritance children too. `among`: of those
    alone for which that holds."""

    table: Table
    where: str
    columns: tuple[str, ...] = ()  # the predicate's own, if known: shown with samples, and what SELECT is needed on
    only: bool = True
    among: str | None = None

    def reads(self) -> Reads:
        """The tables and columns whose SELECT privilege the question needs."""
        yield self.table, (*self.columns, *self.table.row_key) if self.columns and not self.among else None


@dataclass(frozen=True, slots=True)
class Values:
    """The different values of a column and how many rows have each, the most frequent first, as the answer's `values`.

    At most `most` of them; more, and the answer has one more than that.
    """

    table: Table
    column: str
    most: int = 50

    def reads(self) -> Reads:
        """The tables and columns whose SELECT privilege the question needs."""
        yield self.table, (self.column,)


@dataclass(frozen=True, slots=True)
class Planned:
    """Whether the server plans an INSERT into `table` with ON CONFLICT (targets) WHERE (predicate): some index serves it.

    Nothing is inserted, no row is read. The answer's `count` is 1 or, where no index serves (42P10), 0. A server in
    recovery plans no INSERT. The texts must be `auditor.statements.written`.
    """

    table: Table
    targets: tuple[str, ...]
    predicate: str | None = None

    def reads(self) -> Reads:
        """The table, of which no column is read."""
        yield self.table, ()


@dataclass(frozen=True, slots=True, eq=False)  # one probe for thousands of questions is told apart by being the same
class Constants:
    """What conditions over constants come to, each with the names it has for values; nothing is run, no row is read.

    The server folds what is immutable when it plans (documentation: Function Volatility Categories). The answer's
    `values` are one pair for each condition, in order: `true`, `false`, `null`, the SQLSTATE with which the server refuses
    it, or nothing where it is not constant; and 1. The texts must be `auditor.arbiter.builtin`. `table` is the one to name
    meanwhile.
    """

    table: Table
    conditions: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]

    def reads(self) -> Reads:
        """Nothing."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Ahead:
    """Rows of `table` whose `column`, of integers, holds a value that `sequence` has yet to give out.

    A sequence belongs to no snapshot: it is read after the one in which the rows are read was taken, so that a row that
    drew its value from it is never ahead of it. The answer's `values` are `last` and `called`, as the sequence holds them
    (documentation: CREATE SEQUENCE, Notes), `next`, and, where rows are ahead, the `first` and the `furthest` of their
    values in the sequence's own order. SELECT on the sequence is for who asks to know of.
    """

    table: Table
    column: str
    sequence: Sequence

    def reads(self) -> Reads:
        """The tables and columns whose SELECT privilege the question needs."""
        yield self.table, (self.column, *self.table.row_key)

    def to_come(self, column: str, upcoming: int) -> str:
        """The condition, in SQL, under which the sequence, whose next value is given, has yet to give out that of `column`."""
        sequence = self.sequence
        least, greatest = RANGES[self.table.by_name[self.column].base_oid]
        forward = sequence.increment > 0
        conditions = [f"{column} {'>=' if forward else '<='} {upcoming}"]
        if forward and sequence.maximum < greatest:
            conditions.append(f"{column} <= {sequence.maximum}")
        if not forward and sequence.minimum > least:
            conditions.append(f"{column} >= {sequence.minimum}")
        if abs(sequence.increment) > 1:
            conditions.append(
                f"pg_catalog.mod({column}::pg_catalog.numeric - ({upcoming}), {abs(sequence.increment)}) = 0"
            )
        return " AND ".join(conditions)


Probe = Unmatched | Pairs | Cycles | Duplicates | Matching | Values | Planned | Constants | Ahead


def narrowed(probe: Probe, condition: str) -> Probe | None:
    """The question about those rows of its table alone for which the condition holds; None where it has no such form.

    A repeated key is then one that at least one of these rows has, whoever holds it besides.
    """
    if isinstance(probe, Planned | Constants):  # no row is read
        return probe
    if isinstance(probe, Unmatched | Pairs):
        return replace(probe, where=f"({condition}) AND ({probe.where})" if probe.where else condition)
    if isinstance(probe, Matching):
        return replace(probe, among=condition)
    if isinstance(probe, Duplicates):
        return replace(probe, touching=condition)
    return None


class UnansweredError(Exception):
    """The server understands the question, but has no answer to it; the message says why in our own words."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row was seen. `version` tells this version of it from every other, `row` the row whatever its version: a hash
    of its key, empty where it has none. `key` is the key as SQL, where its values may be read; it is never shown."""

    version: str
    row: str
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rows said: `count` rows of `examined`, in `groups` different keys where that has a meaning; `values`
    are for Values, Constants and Ahead. `places` are the rows that were counted, or the first of them, to be looked at again.
    """

    count: int
    examined: int
    evidence: Evidence
    groups: int = 0
    values: tuple[tuple[str, int], ...] = ()
    places: tuple[Place, ...] = field(default=(), repr=False)

    @property
    def whole(self) -> bool:
        """Whether it is known of every row that was counted where it was seen."""
        return len(self.places) == self.count


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer: one of the contract's reasons, and words for the reader."""

    reason: str
    detail: str
