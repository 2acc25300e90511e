"""What nobody declared in the database: from the configuration, or inferred from names, types and keys.

Whatever is inferred here is a candidate with its evidence in words; the rows decide (see the checks that ask them).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from auditor.catalog.model import (
    BusinessKey,
    Catalog,
    Column,
    Companion,
    Reference,
    SoftDelete,
    Statement,
    Table,
)
from auditor.errors import ConfigError, nearest
from auditor.text import ident, idents

if TYPE_CHECKING:
    from auditor.config import Settings

_TOMBSTONES = {"deletedat", "deletedon", "deletiontime", "deletiondate", "datedeleted", "isdeleted", "deleted"}
_NAME = r'(?:"(?:[^"]|"")+"|[^\s".(),]+)'
_TARGET = re.compile(rf"\s*(?:({_NAME})\s*\.\s*)?({_NAME})\s*\(([^()]*)\)\s*\Z")
_TABLE = re.compile(rf"\s*(?:({_NAME})\s*\.\s*)?({_NAME})\s*\Z")


def complete(catalog: Catalog, settings: Settings, statements: tuple[Statement, ...] = ()) -> Catalog:
    """The catalog with its undeclared relations. Raises ConfigError for an entry that does not fit the database."""
    tombstones = _soft_deletes(catalog, settings)
    with_tombstones = replace(
        catalog, soft_deletes=tombstones, reuse_unwanted=_reuse_unwanted(catalog, settings), statements=statements
    )
    companions = tuple(_configured_companions(catalog, settings))
    declared = tuple(_configured_references(catalog, settings))
    references = (*declared, *_companions_parents(with_tombstones, companions, declared))
    inferred = [r for r in _inferred_references(catalog) if not any(_same(r, other) for other in references)]
    pairs = {frozenset((c.table.oid, c.companion.oid)) for c in companions}
    return replace(
        with_tombstones,
        references=(*references, *inferred),
        companions=(
            *companions,
            *(c for c in _inferred_companions(with_tombstones) if (c.table.oid, c.companion.oid) not in pairs),
        ),
        business_keys=tuple(_business_keys(catalog, settings)),
    )


def configured_predicates(catalog: Catalog) -> Iterator[tuple[str, Table, str]]:
    """Every predicate that came from the configuration: where it stands, and the table it speaks of."""
    for mark in ((catalog.tables[oid], m) for oid, m in catalog.soft_deletes.items() if m.configured):
        yield f"[soft_delete] {mark[1].column}", mark[0], mark[1].deleted
    for reference in catalog.references:
        if reference.configured and reference.where:
            yield f"[[reference]] from {reference.table.sql}", reference.table, reference.where
    for companion in catalog.companions:
        if companion.configured:
            place = f"[[companion]] of {companion.table.sql}"
            if companion.where:
                yield place, companion.table, companion.where
            for own, other in companion.same_state:
                yield place, companion.table, own
                yield place, companion.companion, other
            if companion.grace and companion.created_at:
                yield place, companion.table, grace_passed(companion) or "true"
    for key in catalog.business_keys:
        if key.where:
            yield f"[[unique]] of {key.table.sql}", key.table, key.where
        for expression in key.keys:
            yield f"[[unique]] of {key.table.sql}", key.table, f"({expression}) IS NULL"


def grace_passed(companion: Companion) -> str | None:
    """The predicate of rows old enough to be judged, or None without a grace period."""
    if companion.grace is None or companion.created_at is None:
        return None
    interval = companion.grace.replace("'", "''")
    return f"{ident(companion.created_at)} < pg_catalog.now() - INTERVAL '{interval}'"


# --- the configuration ---------------------------------------------------------------------------------------------


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _table(catalog: Catalog, schema: str | None, name: str, place: str) -> Table:
    wanted = _unquoted(name)
    if schema is not None:
        found = [t for t in catalog.tables.values() if (t.schema, t.name) == (_unquoted(schema), wanted)]
    else:
        found = [t for t in catalog.tables.values() if t.name == wanted]
        found = [t for t in found if t.schema == "public"] or found
    if len(found) > 1:
        raise ConfigError(f"{place}: {name} exists in {', '.join(sorted(t.schema for t in found))}; name the schema")
    if not found:
        known = sorted(f"{t.schema}.{t.name}" for t in catalog.tables.values())
        asked = f"{_unquoted(schema)}.{wanted}" if schema else f"public.{wanted}"
        shown = f"{schema}.{name}" if schema else name
        raise ConfigError(f"{place}: there is no table {shown}{nearest(asked, known)}")
    if not found[0].holds_rows:
        raise ConfigError(f"{place}: {found[0].sql} is a view or a foreign table; name the table behind it")
    return found[0]


def _target(catalog: Catalog, text: str, place: str) -> tuple[Table, tuple[str, ...]]:
    """`schema.table(column, ...)` as a table and its columns."""
    parsed = _TARGET.match(text)
    if parsed is None:
        raise ConfigError(f"{place} = {text!r}: expected schema.table(column, ...)")
    table = _table(catalog, parsed[1], parsed[2], f"{place} = {text!r}")
    columns = tuple(_unquoted(name) for name in re.findall(_NAME, parsed[3]))
    if not columns:
        raise ConfigError(f"{place} = {text!r}: name at least one column")
    for column in columns:
        _known_column(table, column, f"{place} = {text!r}")
    return table, columns


def _known_column(table: Table, name: str, place: str) -> Column:
    if name not in table.by_name:
        raise ConfigError(f"{place}: {table.sql} has no column {name}{nearest(name, sorted(table.by_name))}")
    return table.by_name[name]


def comparable(one: Column, other: Column) -> bool:
    """Whether values of the two columns can be equal at all: the same base type, two numbers or two strings."""
    return one.base_oid == other.base_oid or (one.category == other.category and one.category in "NS")


def _pair(
    catalog: Catalog, place: str, names: tuple[str, str], ends: tuple[str, str]
) -> tuple[Table, tuple[str, ...], Table, tuple[str, ...]]:
    table, columns = _target(catalog, ends[0], f"{place} {names[0]}")
    other, other_columns = _target(catalog, ends[1], f"{place} {names[1]}")
    if len(columns) != len(other_columns):
        raise ConfigError(f"{place}: {ends[0]!r} and {ends[1]!r} name different numbers of columns")
    for mine, theirs in zip(columns, other_columns, strict=True):
        one, two = table.by_name[mine], other.by_name[theirs]
        if not comparable(one, two):
            raise ConfigError(
                f"{place}: {table.sql}.{ident(mine)} is {one.type} and {other.sql}.{ident(theirs)} is {two.type};"
                " values of these types are never equal"
            )
    return table, columns, other, other_columns


def _configured_references(catalog: Catalog, settings: Settings) -> Iterator[Reference]:
    for number, entry in enumerate(settings.reference, 1):
        ends = _pair(catalog, f"[[reference]] {number}", ("from", "to"), (entry.from_, entry.to))
        yield Reference(*ends, configured=True, where=entry.where, evidence="declared in the configuration")


def _configured_companions(catalog: Catalog, settings: Settings) -> Iterator[Companion]:
    for number, entry in enumerate(settings.companion, 1):
        place = f"[[companion]] {number}"
        other, other_columns = _target(catalog, entry.in_, f"{place} in")
        if "(" in entry.of:
            table, columns, other, other_columns = _pair(catalog, place, ("of", "in"), (entry.of, entry.in_))
        else:
            parsed = _TABLE.match(entry.of)
            if parsed is None:
                raise ConfigError(f"{place} of = {entry.of!r}: expected schema.table or schema.table(column, ...)")
            table = _table(catalog, parsed[1], parsed[2], f"{place} of = {entry.of!r}")
            columns = table.primary_key
            if len(columns) != len(other_columns):
                raise ConfigError(
                    f"{place}: the primary key of {table.sql} is ({idents(columns)}) and in names ({idents(other_columns)});"
                    f" write of = {entry.of + '(column, ...)'!r}"
                )
        if entry.created_at is not None:
            _known_column(table, entry.created_at, f"{place} created_at")
        if entry.grace and not entry.created_at:
            raise ConfigError(f"{place}: grace needs created_at, the column it is counted from")
        yield Companion(
            table,
            columns,
            other,
            other_columns,
            configured=True,
            where=entry.where,
            exactly_one=entry.exactly_one,
            grace=entry.grace,
            created_at=entry.created_at,
            same_state=tuple(_states(text, place) for text in entry.same_state),
            trigger=entry.trigger,
            evidence="declared in the configuration",
        )


def _states(text: str, place: str) -> tuple[str, str]:
    """`revoked_at IS NULL = deleted_at IS NULL` as its two predicates."""
    halves = re.split(r"(?<![<>!=])=(?!=)", text)
    if len(halves) != 2:
        raise ConfigError(f"{place} same_state = {text!r}: expected one condition of each table, joined by one =")
    return halves[0].strip(), halves[1].strip()


def _business_keys(catalog: Catalog, settings: Settings) -> Iterator[BusinessKey]:
    for number, entry in enumerate(settings.unique, 1):
        place = f"[[unique]] {number}"
        parsed = _TABLE.match(entry.table)
        if parsed is None:
            raise ConfigError(f"{place} table = {entry.table!r}: expected schema.table")
        table = _table(catalog, parsed[1], parsed[2], f"{place} table = {entry.table!r}")
        yield BusinessKey(table, tuple(_key(table, text, place) for text in entry.columns), entry.where)


def _key(table: Table, text: str, place: str) -> str:
    """A column as it is written in SQL, or an expression as it stands."""
    if re.fullmatch(_NAME, text.strip()) or text in table.by_name:
        name = text if text in table.by_name else _unquoted(text.strip())
        return ident(_known_column(table, name, place).name)
    return text


# --- soft deletes --------------------------------------------------------------------------------------------------


def _opposite(condition: str, column: str) -> str:
    known = {"IS NOT NULL": "IS NULL", "IS TRUE": "IS NOT TRUE", "IS NULL": "IS NOT NULL", "IS NOT TRUE": "IS TRUE"}
    found = known.get(" ".join(condition.upper().split()))
    return f"{ident(column)} {found}" if found else f"({ident(column)} {condition}) IS NOT TRUE"


def _soft_deletes(catalog: Catalog, settings: Settings) -> dict[int, SoftDelete]:
    overrides: dict[int, dict[str, str]] = {}
    for text, columns in settings.soft_delete.tables.items():
        place = f"[soft_delete.tables] {text!r}"
        parsed = _TABLE.match(text)
        if parsed is None:
            raise ConfigError(f"{place}: expected schema.table")
        table = _table(catalog, parsed[1], parsed[2], place)
        for column in columns:
            _known_column(table, column, place)
        overrides[table.oid] = columns
    found = {}
    for table in catalog.tables.values():
        if not table.holds_rows:
            continue
        configured = overrides.get(table.oid, settings.soft_delete.columns)
        for column, condition in configured.items():
            if column in table.by_name:
                found[table.oid] = SoftDelete(
                    column, f"{ident(column)} {condition}", _opposite(condition, column), configured=True
                )
                break
        else:
            if table.oid not in overrides:
                inferred = next(filter(None, map(_tombstone, table.columns)), None)
                if inferred is not None:
                    found[table.oid] = inferred
    return found


def _reuse_unwanted(catalog: Catalog, settings: Settings) -> frozenset[int]:
    found = set()
    for text in settings.soft_delete.reuse_unwanted:
        place = f"[soft_delete] reuse_unwanted {text!r}"
        parsed = _TABLE.match(text)
        if parsed is None:
            raise ConfigError(f"{place}: expected schema.table")
        found.add(_table(catalog, parsed[1], parsed[2], place).oid)
    return frozenset(found)


def _tombstone(column: Column) -> SoftDelete | None:
    if column.name.replace("_", "").lower() not in _TOMBSTONES:
        return None
    if column.category == "B":
        condition = "IS TRUE"
    elif column.category == "D" and column.may_hold_null:
        condition = "IS NOT NULL"
    else:
        return None
    return SoftDelete(
        column.name, f"{ident(column.name)} {condition}", _opposite(condition, column.name), configured=False
    )


# --- references ----------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")
_ID = {"id", "uuid", "guid", "oid", "fk", "ref"}
# Numbers and identifiers of other systems: a column called so refers to nothing in this database.
_EXTERNAL = {"external", "remote", "foreign", "legacy", "trace", "span", "request", "correlation", "session", "stripe"}


def words(name: str) -> list[str]:
    """`primaryWorkspaceId` and `primary_workspace_id` as primary, workspace, id."""
    return [word.lower() for part in re.split(r"[^0-9A-Za-z]+", name) for word in _WORD.findall(part)]


def singular(word: str) -> str:
    """A regular English plural without its ending; any other word as it is."""
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and re.search(r"(ss|sh|ch|x|z|us)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _noun(name: str) -> tuple[str, ...]:
    parts = words(name)
    return (*parts[:-1], singular(parts[-1])) if parts else ()


def _inferred_references(catalog: Catalog) -> Iterator[Reference]:
    """Columns called after a table, of the type of its key: `workspace_id`, `primary_workspace_id`."""
    by_noun: dict[tuple[str, ...], list[Table]] = defaultdict(list)
    for table in catalog.base_tables():
        if len(table.primary_key) == 1:
            by_noun[_noun(table.name)].append(table)
    for table in catalog.base_tables():
        declared = {column for key in table.foreign_keys for column in key.columns}
        for column in table.columns:
            if column.name in declared or column.generated or _polymorphic(table, column):
                continue
            found = _parent_of(table, column, by_noun)
            if found is not None:
                parent, why = found
                yield Reference(table, (column.name,), parent, parent.primary_key, configured=False, evidence=why)


def _polymorphic(table: Table, column: Column) -> bool:
    stem = "_".join(words(column.name)[:-1])
    names = {"_".join(words(other.name)) for other in table.columns}
    return bool(stem) and bool(names & {f"{stem}_type", f"{stem}_kind", f"{stem}_class", f"{stem}_table"})


def _parent_of(table: Table, column: Column, by_noun: dict[tuple[str, ...], list[Table]]) -> tuple[Table, str] | None:
    parts = words(column.name)
    if len(parts) < 2 or parts[-1] not in _ID or set(parts) & _EXTERNAL:
        return None
    stem = (*parts[:-2], singular(parts[-2]))
    for start in range(len(stem)):
        candidates = [
            parent
            for parent in by_noun.get(stem[start:], ())
            if _key_fits(column, parent)
            and (parent.oid != table.oid or start > 0 or (column.name,) != table.primary_key)
        ]
        near = [parent for parent in candidates if parent.schema == table.schema] or candidates
        if len(near) == 1:
            parent = near[0]
            if (column.name,) == table.primary_key and parent.oid == table.oid:
                return None
            said = f"it is called after {parent.sql} and has the type of its primary key ({column.type})"
            return parent, said
        if candidates:
            return None
    return None


def _key_fits(column: Column, parent: Table) -> bool:
    key = parent.by_name[parent.primary_key[0]]
    if column.base_oid == key.base_oid:
        return True
    return column.category == key.category == "N" and "numeric" not in column.type


def _same(one: Reference, other: Reference) -> bool:
    return one.table is other.table and set(one.columns) == set(other.columns)


# --- companions ----------------------------------------------------------------------------------------------------

_STATES: tuple[tuple[set[str], str, str], ...] = (
    ({"revokedat"}, "D", "{} IS NULL"),
    ({"isactive", "active"}, "B", "{} IS TRUE"),
    ({"isrevoked", "revoked"}, "B", "{} IS NOT TRUE"),
)


def eligible(catalog: Catalog, table: Table) -> str | None:
    """The predicate of rows that are in force: not deleted, not revoked, active. None when no column tells."""
    conditions = [catalog.soft_deletes[table.oid].live] if table.oid in catalog.soft_deletes else []
    for names, category, condition in _STATES:
        for column in table.columns:
            if column.name.replace("_", "").lower() in names and column.category == category:
                conditions.append(condition.format(ident(column.name)))
    return " AND ".join(conditions) or None


def _inferred_companions(catalog: Catalog) -> Iterator[Companion]:
    """Tables with at most one row per row of another, told by a foreign key over a unique key."""
    for table, key, parent in catalog.foreign_keys:
        if table is parent or not _is_key(table, key.columns):
            continue
        yield Companion(
            parent,
            key.referenced_columns,
            table,
            key.columns,
            configured=False,
            where=eligible(catalog, parent),
            evidence=f"its foreign key {ident(key.name)} is unique: at most one row per row of {parent.sql}",
        )


def _is_key(table: Table, columns: Iterable[str]) -> bool:
    wanted = set(columns)
    return any(
        index.enforces and index.predicate is None and set(index.columns or ()) == wanted for index in table.indexes
    )
