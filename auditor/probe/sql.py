"""Builds the SQL of probes with SQLAlchemy Core: plain text without parameters, the same that the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGIdentifierPreparer

from auditor.catalog.model import Table
from auditor.probe import Constants, Key, Planned, Relation, referenced_name
from auditor.text import ident, one_line_sql, qualified
from auditor.text import ident as quoted

Condition = sa.ColumnElement[bool]


class _Preparer(PGIdentifierPreparer):
    """Quotes as `ident` does: SQLAlchemy's own list of keywords is not PostgreSQL's."""

    def quote(self, ident: str, force: Any = None) -> str:
        return quoted(ident)

    def quote_identifier(self, value: str) -> str:
        return quoted(value)


# Any paramstyle but (py)format: those double every `%`, and nothing is ever bound.
_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_DIALECT.identifier_preparer = _Preparer(_DIALECT)


def text_of(statement: sa.Select[Any]) -> str:
    """The statement as SQL text."""
    return str(statement.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def raw(text: str) -> Condition:
    """SQL text that stands for itself, in parentheses."""
    return sa.literal_column(f"({text})", sa.Boolean())


class Rows:
    """A table in a FROM clause, by its own name or another."""

    def __init__(self, table: Table, *, only: bool, alias: str | None = None) -> None:
        """`only` asks for ONLY, which plain tables alone are read with: a partitioned table is empty under it."""
        self.table = table
        self.only = only and table.only
        self.clause = sa.table(table.name, schema=table.schema).alias(alias or table.name)

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """One of its columns, qualified with the name it has in this query."""
        return sa.literal_column(f"{ident(self.clause.name)}.{ident(name)}")

    def select(self, *what: Any) -> sa.Select[Any]:
        """`SELECT what FROM [ONLY] table`."""
        statement = sa.select(*what).select_from(self.clause)
        return statement.with_hint(self.clause, "ONLY", "postgresql") if self.only else statement

    def predicate(self, condition: Condition) -> str:
        """The condition as text that stands after `WHERE` when the table is in FROM by its own name."""
        bare = self.select(sa.text("1"))
        return one_line_sql(text_of(bare.where(condition))[len(text_of(bare)) :].partition("WHERE ")[2])


def _collated(expression: sa.ColumnElement[Any], collation: tuple[str, str] | None) -> sa.ColumnElement[Any]:
    name = qualified(*collation) if collation else 'pg_catalog."default"'
    return sa.literal_column(f"{fragment(expression)} COLLATE {name}")


def fragment(expression: sa.ColumnElement[Any]) -> str:
    """An expression as SQL text."""
    return str(expression.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def joins(relation: Relation, left: Rows, right: Rows) -> list[Condition]:
    """The conditions under which a row of `left` matches one of `right`, as PostgreSQL's own check compares them."""
    texts = relation.joins(left.clause.name, right.clause.name)
    conditions: list[Condition] = [sa.literal_column(text, sa.Boolean()) for text in texts]
    if relation.other_row:
        same = " OR ".join(
            f"{fragment(left.column(place))} <> {fragment(right.column(place))}" for place in ("tableoid", "ctid")
        )
        conditions.append(raw(same))
    return conditions


def referencing(relation: Relation, left: Rows) -> Condition:
    """Which rows of `left` point somewhere."""
    return sa.literal_column(relation.points(left.clause.name), sa.Boolean())


def partner(relation: Relation, left: Rows) -> Condition:
    """EXISTS: the referenced table has a row for this one, or the rows that cover its period."""
    right = Rows(relation.referenced, only=relation.only, alias=referenced_name(relation.table))
    inner = right.select(sa.text("1")).where(*joins(relation, left, right))
    if relation.referenced_where:
        inner = inner.where(raw(relation.referenced_where))
    if relation.period:
        inner = inner.having(sa.literal_column(relation.covered(left.clause.name, right.clause.name), sa.Boolean()))
    return sa.exists(inner.correlate(left.clause))


def shown(rows: Rows, names: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    """Columns as text, through their output functions, at most 200 characters each; no row is cast to anything."""
    return [
        sa.literal_column(
            f"CASE WHEN {fragment(rows.column(name))} IS NOT NULL"
            f" THEN pg_catalog.left(pg_catalog.format('%s', {fragment(rows.column(name))}), 200) END"
        )
        for name in names
    ]


def unindexed(text: str) -> str:
    """The same value by an expression that no index has, and that the planner does not see through."""
    return f"GREATEST({text})"


def key_expression(rows: Rows, key: Key, *, heap: bool = False) -> sa.ColumnElement[Any]:
    """One part of a key, under its collation; with `heap` no index knows its order."""
    expression = rows.column(key.column) if key.column is not None else sa.literal_column(f"({key.expression})")
    if heap:
        expression = sa.literal_column(unindexed(fragment(expression)))
    return _collated(expression, key.collation) if key.collation else expression


def upsert(question: Planned) -> str:
    """The INSERT whose plan answers the question. It is never run."""
    where = f" WHERE ({question.predicate})" if question.predicate else ""
    targets = ", ".join(question.targets)
    return f"INSERT INTO {question.table.sql} DEFAULT VALUES ON CONFLICT ({targets}){where} DO NOTHING"


def folded(question: Constants, first: int, last: int) -> str:
    """A SELECT of those conditions, one a row: planning it folds them."""
    selects = []
    for condition, values in question.conditions[first:last]:
        given = ", ".join(f"{value} AS {ident(name)}" for name, value in values)
        selects.append(f"SELECT ({condition})" + (f" FROM (SELECT {given}) AS given" if given else ""))
    return " UNION ALL ".join(selects)
