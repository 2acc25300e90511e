"""Copies of rows of another table, as CREATE TABLE AS makes them: by hand, or by a fix that keeps what it changes."""

from __future__ import annotations

import re

from auditor.catalog.model import Catalog, Table
from auditor.text import cut

_START = 40  # bytes of a table's name that stand in that of a copy, however long both are: see ddl.short
_SHORTENED = re.compile(r"_[0-9a-f]{6}_[a-z_]+[0-9]*\Z")


def is_copy(catalog: Catalog, table: Table) -> bool:
    """Whether it declares nothing, has columns of another table, and is called after it: `users_duplicates` of users.

    Beside those, a copy that a fix for duplicates keeps may name for each row the one that stays.
    """
    if not _bare(table):
        return False
    beside = table.name.rpartition("_")[2].rstrip("0123456789") in ("duplicates", "moved")
    own = _shape(catalog, table)
    return any(
        own <= (shape := _shape(catalog, other)) or (beside and 2 * len(own & shape) >= len(table.columns))
        for other in _named_before(catalog, table)
    )


def _bare(table: Table) -> bool:
    tree = table.kind != "r" or table.parents or table.children
    declared = tree or table.indexes or table.constraints or table.foreign_keys or table.triggers
    return not declared and all(column.default is None and not column.not_null for column in table.columns)


def _named_before(catalog: Catalog, table: Table) -> list[Table]:
    """The tables of its schema after which it is called."""
    places = (place for place, sign in enumerate(table.name) if sign == "_" and place)
    named = [catalog.by_name.get((table.schema, table.name[:place])) for place in places]
    found = [other for other in named if other is not None]
    if _SHORTENED.search(table.name):
        start = cut(table.name, _START)
        found += [
            other
            for other in catalog.tables.values()
            if other.schema == table.schema and other is not table and other.name.startswith(start)
        ]
    return found


def _shape(catalog: Catalog, table: Table) -> frozenset[tuple[str, int]]:
    """Names and types below all domains; a copy may hold an array of what a domain is over."""

    def below(oid: int) -> int:
        kind = catalog.types.get(oid)
        element = catalog.types.get(kind.element) if kind is not None else None
        return oid if element is None else -element.base

    return frozenset((column.name, below(column.base_oid)) for column in table.columns)
