"""Columns that say what or whose a row is: the type beside a polymorphic id, the tenant. Inferred, with evidence in words.

What the configuration says of them stands in the catalog; what is inferred here is a candidate, and the rows decide.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

from auditor.catalog.copies import is_copy
from auditor.catalog.infer import FEWEST_ROWS, most_orphans, relations, singular, words
from auditor.catalog.model import Catalog, Column, Polymorphic, Reference, Table
from auditor.text import ident

_IDS = {"id", "uuid", "guid"}
_TYPES = {"type", "kind", "class", "table"}
# Tables that outlive what they speak of, on purpose.
_KEEPING = {
    *("audit", "archive", "archived", "backup", "changelog", "event", "history", "journal", "log", "outbox", "queue"),
    *("revision", "snapshot", "trail", "version", "webhook"),
}
_TENANTS = {"tenant", "org", "organization", "organisation", "workspace", "account", "company", "customer"}
FEWEST_TABLES = 3  # that carry a column before it is taken for the tenant's


def keeps_history(catalog: Catalog, table: Table) -> bool:
    """Whether rows of the table outlive what they speak of: told by the configuration, or by its name."""
    return table.oid in catalog.histories or bool({singular(word) for word in words(table.name)} & _KEEPING)


def credits_somebody(columns: Iterable[str]) -> bool:
    """Whether a reference says who did something, which stays true when they are gone: `created_by`, `author_id`."""
    said = {word for name in columns for word in words(name)}
    return bool(said & {"by", "author", "creator", "editor", "actor", "approver", "reviewer", "sender"})


def believed(pointing: int, orphans: int, reference: Reference) -> bool:
    """Whether the rows bear out a reference: one of the configuration always is."""
    return reference.configured or (pointing >= FEWEST_ROWS and orphans <= pointing * most_orphans(reference))


# --- polymorphic references -----------------------------------------------------------------------------------------


def polymorphic_columns(catalog: Catalog, table: Table) -> Iterator[tuple[str, str]]:
    """Pairs of an id and the type beside it, `subject_id` and `subject_type`, that nothing declares; of a copy none."""
    if is_copy(catalog, table):
        return
    taken = {name for relation, _ in relations(catalog, table) for name in relation.columns}
    taken |= {many.column for many in catalog.polymorphic if many.table is table}
    by_words = {words(column.name): column for column in table.columns}
    for column in table.columns:
        *stem, last = words(column.name) or ("",)
        if not stem or last not in _IDS or column.name in taken or column.generated:
            continue
        for kind in sorted(_TYPES):
            beside = by_words.get((*stem, kind))
            if beside is not None and beside.category in "SE" and beside.name not in taken:
                yield column.name, beside.name
                break


def polymorphic(catalog: Catalog, table: Table, column: str, type_column: str, values: Iterable[str]) -> Polymorphic:
    """The relation that these values of the type column speak of, as far as each names one table: `Blog::Post` names `posts`."""
    tables = _by_noun(catalog)
    targets = []
    for value in values:
        noun = words(re.split(r"::|[\\/.:]", value.strip())[-1])
        named = tables.get((*noun[:-1], singular(noun[-1])), ()) if noun else ()
        fitting = [t for t in named if _fits(table.by_name[column], t.by_name[t.primary_key[0]])]
        near = [t for t in fitting if t.schema == table.schema] or fitting
        if len(near) == 1:
            targets.append((value, near[0], near[0].primary_key[0]))
    said = f"{ident(type_column)} beside it holds names of tables"
    return Polymorphic(table, column, type_column, tuple(targets), configured=False, evidence=said)


def _fits(one: Column, other: Column) -> bool:
    return one.base_oid == other.base_oid or one.category == other.category == "N"


@lru_cache(maxsize=2)
def _by_noun(catalog: Catalog) -> dict[tuple[str, ...], tuple[Table, ...]]:
    found: dict[tuple[str, ...], list[Table]] = defaultdict(list)
    for table in catalog.base_tables():
        parts = words(table.name)
        if parts and len(table.primary_key) == 1:
            found[*parts[:-1], singular(parts[-1])].append(table)
    return {noun: tuple(tables) for noun, tables in found.items()}


# --- tenants --------------------------------------------------------------------------------------------------------


def tenant_columns(catalog: Catalog, table: Table, parent: Table) -> tuple[str, str, bool] | None:
    """The columns that name the tenant in a table and in one it references, and whether the configuration says so.

    Inferred is a column that both have under one name and type, called after a tenant, which three tables or more carry
    and which, where it is a reference, is one to the same table.
    """
    if table.oid in catalog.tenants or parent.oid in catalog.tenants:
        one, other = catalog.tenants.get(table.oid), catalog.tenants.get(parent.oid)
        return (one, other, True) if one and other else None
    for column in table.columns:
        other_column = parent.by_name.get(column.name)
        *stem, last = words(column.name) or ("",)
        if (
            other_column is not None
            and last in _IDS
            and set(stem) & _TENANTS
            and len(stem) == 1
            and column.base_oid == other_column.base_oid
            and _carriers(catalog).get((column.name, column.base_oid), 0) >= FEWEST_TABLES
            and _owners(catalog, table, column.name) == _owners(catalog, parent, column.name)
        ):
            return column.name, column.name, False
    return None


def _owners(catalog: Catalog, table: Table, column: str) -> set[int]:
    return {end.referenced.oid for end, _ in relations(catalog, table) if end.columns == (column,)}


@lru_cache(maxsize=2)
def _carriers(catalog: Catalog) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = defaultdict(int)
    for table in catalog.base_tables():
        for column in table.columns:
            found[column.name, column.base_oid] += 1
    return dict(found)
