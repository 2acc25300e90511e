"""Which columns draw their values from a sequence, and how far these reach."""

from __future__ import annotations

import re
from dataclasses import dataclass

from auditor.catalog.model import Catalog, Column, Sequence, Table

# Base types by oid, with the least and the greatest value they hold (documentation: Numeric Types).
RANGES = {21: (-(2**15), 2**15 - 1), 23: (-(2**31), 2**31 - 1), 20: (-(2**63), 2**63 - 1)}
# A DEFAULT, as the server deparses it, that is the sequence's next value and nothing else.
_NEXT_VALUE = re.compile(r"nextval\( ?E?'(?:[^']|'')*'::regclass\)")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A column of integers that takes the values of a sequence; `unsaid`: it owns the sequence, and no DEFAULT says so."""

    table: Table
    column: Column
    unsaid: bool = False


def drawing(catalog: Catalog, sequence: Sequence) -> tuple[Drawing, ...]:
    """The columns that take the values of a sequence as they are: identity, DEFAULT nextval, or merely its owner.

    Of tables that hold rows, in the order of their names, a partition with its root. An owner with another DEFAULT takes none.
    """
    places = dict.fromkeys((*((sequence.owner,) if sequence.owner else ()), *sequence.drawn))
    found = []
    for oid, name in places:
        table = catalog.tables.get(oid)
        column = table.by_name.get(name) if table is not None else None
        if table is None or column is None or not table.holds_rows or column.base_oid not in RANGES:
            continue
        if table.is_partition and any((parent, name) in places for parent in table.parents):
            continue
        default = column.default or ""
        drawn = (oid, name) in sequence.drawn and _NEXT_VALUE.fullmatch(default) is not None
        identity = (oid, name) == sequence.owner and sequence.link == "i"
        unsaid = (oid, name) == sequence.owner and not default
        if drawn or identity or unsaid:
            found.append(Drawing(table, column, unsaid=unsaid and not identity))
    return tuple(sorted(found, key=lambda one: (one.table.schema, one.table.name, one.column.number)))
