"""Where rows lie: to find the very versions of rows again that a question has counted, without reading the table again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
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


def _key(rows: Rows, denied: Callable[[str], bool]) -> str:
    """SQL for the literals by which the row is found again: of the server's own types, and of columns that may be read."""
    names = rows.table.row_key
    if not names or any(denied(name) or rows.table.by_name[name].base_oid >= 16384 for name in names):
        return "''"
    values = ", ".join(fragment(rows.column(name)) for name in names)
    return f"pg_catalog.format('({', '.join(['%L'] * len(names))})', {values})"


def placed(
    rows: Rows,
    held: Condition,
    fetch: Fetch,
    denied: Callable[[str], bool],
    order: Sequence[sa.ColumnElement[Any]] = (),
) -> tuple[Place, ...]:
    """The places of the rows for which the condition holds, of at most MOST: the first in this order, or in their own.

    Values of columns that are `denied` are not read.
    """
    texts: list[sa.ColumnElement[Any]] = [
        sa.literal_column(text) for text in (version(rows), _row(rows), _key(rows, denied))
    ]
    statement = rows.select(*texts).where(held).order_by(*order, *in_order(rows)).limit(sa.literal_column(str(MOST)))
    return tuple(Place(where or "", row or "", key or "") for where, row, key in fetch(text_of(statement)))


def now(rows: Rows, places: Collection[Place], fetch: Fetch) -> tuple[set[Place], set[Place]]:
    """The rows as they are in the snapshot of this transaction, and those of which it is not known whether they are there."""
    there = {
        where for (where,) in fetch(text_of(rows.select(sa.literal_column(version(rows))).where(among(rows, places))))
    }
    found = {place for place in places if place.version in there}
    missing = set(places) - found
    by_key = {place.row: place for place in missing if place.key}
    if by_key:
        columns = ", ".join(fragment(rows.column(name)) for name in rows.table.row_key)
        keys = ", ".join(place.key for place in by_key.values())
        wanted = sa.literal_column(f"(({columns}) IN ({keys}))", sa.Boolean())
        told = rows.select(sa.literal_column(version(rows)), sa.literal_column(_row(rows)))
        for where, row in fetch(text_of(told.where(wanted))):
            if row in by_key:
                found.add(replace(by_key[row], version=where or ""))
    return found, {place for place in missing if not place.key}


def among(rows: Rows, places: Collection[Place]) -> Condition:
    """The condition under which a row is one of these versions. They are fetched by their ctid (EXPLAIN: Tid Scan)."""
    versions = sorted(place.version for place in places)
    lying = ",".join(f'"{ctid}"' for ctid in sorted({text.split(" ")[1] for text in versions}))
    said = ",".join(f'"{text}"' for text in versions)
    where = f"{ident(rows.clause.name)}.ctid = ANY ({literal(f'{{{lying}}}')}::pg_catalog.tid[])"
    return sa.literal_column(
        f"({where} AND {version(rows)} = ANY ({literal(f'{{{said}}}')}::pg_catalog.text[]))", sa.Boolean()
    )
