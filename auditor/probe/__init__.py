"""The questions that rows can answer: a small closed set. What to ask stands here; how to read is the strategies' business.

Predicates are SQL text over the unqualified columns of one table, fully qualified otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from auditor.catalog.model import Reference, Table
from auditor.check import Evidence

Operator = tuple[str, str]
Reads = Iterator[tuple[Table, tuple[str, ...] | None]]  # None: a predicate is read, which may name any column


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of `table`, and the rows of `referenced` that they match.

    `operators` compare referenced with referencing columns, in that order, as pg_constraint.conpfeqop does; empty: the
    equality of a unique index over the referenced columns, or `=`. `only` leaves inheritance children of `referenced`
    out, as foreign keys do. `match` is s (simple: a NULL excuses the row) or f (full: only all NULLs do). `reverse` asks
    from the referenced side of a foreign key: its collation is then that of `table`. `other_row` does not take a row as
    its own partner. `unless` is for Pairs: a matching row for which it holds excuses the row of `table`.
    """

    table: Table
    columns: tuple[str, ...]
    referenced: Table
    referenced_columns: tuple[str, ...]
    operators: tuple[Operator, ...] = ()
    match: str = "s"
    where: str | None = None
    referenced_where: str | None = None
    only: bool = True
    reverse: bool = False
    other_row: bool = False
    unless: str | None = None

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


class Unmatched(Relation):
    """Rows of `table` for which `referenced` has no row: orphans, rows without companion."""

    __slots__ = ()


class Pairs(Relation):
    """Rows of `table` for which `referenced` has a row, both as their predicates ask: pairs that disagree."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Key:
    """One part of a key: a column, or an expression over the table's columns."""

    expression: str  # SQL
    column: str | None = None
    collation: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows of `table` that share their key with another row. NULLs differ unless `nulls_equal`.

    The answer's `groups` are the keys held more than once.
    """

    table: Table
    keys: tuple[Key, ...]
    where: str | None = None
    nulls_equal: bool = False

    def reads(self) -> Reads:
        """The tables and columns whose SELECT privilege the question needs."""
        columns = tuple(key.column for key in self.keys if key.column is not None)
        whole = self.where or len(columns) < len(self.keys)
        yield self.table, None if whole else (*columns, *self.table.row_key)


@dataclass(frozen=True, slots=True)
class Matching:
    """Rows of `table` for which the predicate holds."""

    table: Table
    where: str
    columns: tuple[str, ...] = ()  # the predicate's own, if known: shown with samples, and what SELECT is needed on

    def reads(self) -> Reads:
        """The tables and columns whose SELECT privilege the question needs."""
        yield self.table, (*self.columns, *self.table.row_key) if self.columns else None


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
        """The tables and columns whose SELECT privilege the question needs."""
        yield self.table, None


Probe = Unmatched | Pairs | Duplicates | Matching | Planned


class UnansweredError(Exception):
    """The server understands the question, but has no answer to it; the message says why in our own words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rows said: `count` rows of `examined`, in `groups` different keys where that has a meaning."""

    count: int
    examined: int
    evidence: Evidence
    groups: int = 0
