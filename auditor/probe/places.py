"""Where rows lie: to find the very versions of rows again that a question has counted, without reading the table again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa

from auditor.probe import Place
from auditor.probe.sql import Condition, Rows, fragment, text_of
from auditor.text import ident, literal

MOST = 1_000  # rows whose places are remembered
Fetch = Callable[[str], list[tuple[str | None, ...]]]


def version(rows: Rows) -> str:
    """SQL for what tells a version of a row from every other: its table, where it lies, and the transaction that wrote it.

    Of a row that is deleted the place is taken by others (documentation: System Columns). Empty for a login that may read
    some columns only: system columns are none of them.
    """
    if not rows.table.readable:
        return "''"
    places = (fragment(rows.column(name)) for name in ("tableoid", "ctid", "xmin"))
    return f"pg_catalog.format('%s %s %s', {', '.join(places)})"


def _row(rows: Rows) -> str:
    """SQL for what tells a row from every other, whatever its version. A hash: the values of keys stay where they are."""
    table = rows.table
    if not table.row_key:
        return "''"
    # Tables that inherit have keys of their own.
    names = (*(("tableoid",) if table.kind == "r" and not rows.only else ()), *table.row_key)
    values = ", ".join(fragment(rows.column(name)) for name in names)
    text = f"pg_catalog.format('{' '.join(['%L'] * len(names))}', {values})"
    return f'pg_catalog.hashtextextended({text} COLLATE pg_catalog."C", 0)'


def in_order(rows: Rows) -> list[sa.ColumnElement[Any]]:
    """The order in which rows are shown: by their key, or as they lie."""
    return [rows.column(name) for name in rows.table.row_key or ("ctid", "tableoid")]


def placed(rows: Rows, held: Condition, fetch: Fetch, order: Sequence[sa.ColumnElement[Any]] = ()) -> tuple[Place, ...]:
    """The places of the rows for which the condition holds, of at most MOST: the first in this order, or in their own."""
    found = rows.select(sa.literal_column(version(rows)), sa.literal_column(_row(rows))).where(held)
    statement = found.order_by(*order, *in_order(rows)).limit(sa.literal_column(str(MOST)))
    return tuple(Place(where or "", row or "") for where, row in fetch(text_of(statement)))


def among(rows: Rows, places: Collection[Place]) -> Condition:
    """The condition under which a row is one of these versions. They are fetched by their ctid (EXPLAIN: Tid Scan)."""
    versions = sorted(place.version for place in places)
    lying = ",".join(f'"{ctid}"' for ctid in sorted({text.split(" ")[1] for text in versions}))
    said = ",".join(f'"{text}"' for text in versions)
    where = f"{ident(rows.clause.name)}.ctid = ANY ({literal(f'{{{lying}}}')}::pg_catalog.tid[])"
    return sa.literal_column(
        f"({where} AND {version(rows)} = ANY ({literal(f'{{{said}}}')}::pg_catalog.text[]))", sa.Boolean()
    )
