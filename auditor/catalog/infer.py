"""What nobody declared in the database: from the configuration, or inferred from names, types and keys.

Whatever is inferred here is a candidate with its evidence in words; the rows decide (see the checks that ask them).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from auditor.arbiter import columns_of, find_table, implied, uses
from auditor.catalog.model import (
    BusinessKey,
    Catalog,
    Column,
    Companion,
    ForeignKey,
    Function,
    Polymorphic,
    Reference,
    SoftDelete,
    Statement,
    Table,
    Trigger,
)
from auditor.catalog.names import singular as singular
from auditor.catalog.names import words as words
from auditor.catalog.references import INTEGERS, UUID, inferred_references
from auditor.errors import ConfigError, nearest
from auditor.text import ident, idents, literal, qualified, unquoted

if TYPE_CHECKING:
    from auditor.config import Settings

_TOMBSTONES = {
    *("deletedat", "deletedon", "deletedtime", "deletetime", "deletiontime", "deletiondate", "datedeleted"),
    *("isdeleted", "deleted", "softdeletedat", "issoftdeleted", "softdeleted", "discardedat"),
}
_QUOTED = r'(?:[uU]&)?"(?:[^"]|"")+"'
_NAME = rf'(?:{_QUOTED}|[^\s".(),]+)'
_TARGET = re.compile(rf"\s*(?:({_NAME})\s*\.\s*)?({_NAME})\s*\(((?:\s*{_NAME}\s*,)*\s*{_NAME}\s*|\s*)\)\s*\Z")
_TABLE = re.compile(rf"\s*(?:({_NAME})\s*\.\s*)?({_NAME})\s*\Z")


def complete(
    catalog: Catalog, settings: Settings, statements: tuple[Statement, ...] = (), *, suspect: bool = True
) -> Catalog:
    """The catalog with its undeclared relations; without `suspect`, no reference is inferred.

    Raises ConfigError for an entry that does not fit the database.
    """
    tombstones, settled = _soft_deletes(catalog, settings)
    open_ = [table for table in catalog.base_tables() if table.oid not in {*tombstones, *settled}]
    trusted = settings.audit.trust_owner
    with_tombstones = replace(
        catalog,
        foreign_code={
            oid: left
            for oid, code in catalog.foreign_code.items()
            if (left := tuple(one for one in code if one.owner not in trusted))
        },
        soft_deletes=tombstones,
        retired={table.oid: mark for table in open_ if (mark := _retired(table)) is not None},
        states={table.oid: name for table in open_ if (name := _unlisted_state(catalog, table)) is not None},
        reuse_unwanted=_tables_named(catalog, settings.soft_delete.reuse_unwanted, "[soft_delete] reuse_unwanted"),
        statements=(*catalog.statements, *statements),
    )
    companions = tuple(_configured_companions(catalog, settings))
    self_roots = frozenset(_self_roots(catalog, settings))
    declared = tuple(_configured_references(catalog, settings))
    references = (*declared, *_companions_parents(with_tombstones, companions, declared))
    suspected = inferred_references(catalog) if suspect else ()
    inferred = [r for r in suspected if not any(_same(r, other) for other in references)]
    pairs = {frozenset((c.table.oid, c.companion.oid)) for c in companions}
    return replace(
        with_tombstones,
        references=(*references, *inferred),
        polymorphic=tuple(_polymorphic_references(catalog, settings)),
        self_roots=self_roots,
        tenants=_tenants(catalog, settings),
        histories=_tables_named(catalog, settings.soft_delete.history, "[soft_delete] history"),
        companions=(
            *companions,
            *(
                c
                for c in _inferred_companions(with_tombstones)
                if frozenset((c.table.oid, c.companion.oid)) not in pairs
            ),
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
    for many in catalog.polymorphic:
        for target in many.targets:
            yield f"[[reference]] from {many.table.sql}", many.table, many.relation(*target).where or "true"
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
    """The predicate of rows old enough to be judged, or None without a grace period. Rows of unknown age are judged."""
    if companion.grace is None or companion.created_at is None:
        return None
    since = f"pg_catalog.now() - INTERVAL {literal(companion.grace)}"
    if companion.table.by_name[companion.created_at].may_hold_null:
        return f"({ident(companion.created_at)} >= {since}) IS NOT TRUE"
    return f"{ident(companion.created_at)} < {since}"


# --- the configuration ---------------------------------------------------------------------------------------------


def named_table(catalog: Catalog, schema: str | None, name: str, place: str) -> Table:
    """The table of this name; names are SQL. Without a schema public's, or the only one. Raises ConfigError, which begins with `place`."""
    wanted = unquoted(name)
    if schema is not None:
        found = [t for t in catalog.tables.values() if (t.schema, t.name) == (unquoted(schema), wanted)]
    else:
        found = [t for t in catalog.tables.values() if t.name == wanted]
        found = [t for t in found if t.schema == "public"] or found
    if len(found) > 1:
        raise ConfigError(f"{place}: {name} exists in {', '.join(sorted(t.schema for t in found))}; name the schema")
    if not found:
        known = sorted(f"{t.schema}.{t.name}" for t in catalog.tables.values() if t.holds_rows)
        asked = f"{unquoted(schema)}.{wanted}" if schema else f"public.{wanted}"
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
    table = named_table(catalog, parsed[1], parsed[2], f"{place} = {text!r}")
    columns = tuple(unquoted(name) for name in re.findall(_NAME, parsed[3]))
    if not columns:
        raise ConfigError(f"{place} = {text!r}: name at least one column")
    for column in columns:
        known_column(table, column, f"{place} = {text!r}")
    return table, columns


def known_column(table: Table, name: str, place: str) -> Column:
    """The column of this name. Raises ConfigError, which begins with `place` and offers the nearest."""
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
        if entry.to is not None:
            place = f"[[reference]] {number}"
            table, columns, parent, keys = _pair(catalog, place, ("from", "to"), (entry.from_, entry.to))
            if not (entry.self_is_root and _key_declares(table, columns, parent, keys)):
                said = "declared in the configuration"
                yield Reference(table, columns, parent, keys, configured=True, where=entry.where, evidence=said)


def _key_declares(table: Table, columns: tuple[str, ...], parent: Table, keys: tuple[str, ...]) -> bool:
    pairs = set(zip(columns, keys, strict=True))
    return any(
        key.referenced == parent.oid and set(zip(key.columns, key.referenced_columns, strict=True)) == pairs
        for key in table.foreign_keys
    )


def _self_roots(catalog: Catalog, settings: Settings) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, entry in enumerate(settings.reference, 1):
        if entry.self_is_root:
            place = f"[[reference]] {number}"
            table, columns, parent, _ = _pair(catalog, place, ("from", "to"), (entry.from_, entry.to or ""))
            if table is not parent:
                raise ConfigError(f"{place}: self_is_root is for a table that references itself")
            yield table.oid, tuple(sorted(columns))


def _polymorphic_references(catalog: Catalog, settings: Settings) -> Iterator[Polymorphic]:
    for number, entry in enumerate(settings.reference, 1):
        if entry.type_column is None:
            continue
        place = f"[[reference]] {number}"
        table, columns = _target(catalog, entry.from_, f"{place} from")
        if len(columns) != 1:
            raise ConfigError(f"{place}: with type_column, from names one column")
        column = entry.type_column if entry.type_column in table.by_name else unquoted(entry.type_column.strip())
        known_column(table, column, f"{place} type_column")
        targets = []
        for value, text in entry.targets.items():
            _, _, parent, keys = _pair(catalog, place, ("from", f"targets.{value}"), (entry.from_, text))
            targets.append((value, parent, keys[0]))
        said = "declared in the configuration"
        yield Polymorphic(table, columns[0], column, tuple(targets), configured=True, where=entry.where, evidence=said)


def _tenants(catalog: Catalog, settings: Settings) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    for table in catalog.tables.values():
        named = [name for name in settings.tenant.columns if name in table.by_name]
        if named and table.holds_rows:
            found[table.oid] = named[0]
    for name in settings.tenant.columns:
        known = sorted({column for table in catalog.tables.values() for column in table.by_name})
        if name not in known:
            raise ConfigError(f"[tenant] columns: no table has a column {name}{nearest(name, known)}")
    for text, column in settings.tenant.tables.items():
        (oid,) = _tables_named(catalog, (text,), "[tenant.tables]")
        found[oid] = known_column(catalog.tables[oid], column, f"[tenant.tables] {text!r}").name if column else None
    return found


def _configured_companions(catalog: Catalog, settings: Settings) -> Iterator[Companion]:
    for number, entry in enumerate(settings.companion, 1):
        place = f"[[companion]] {number}"
        of, other = entry.of, _target(catalog, entry.in_, f"{place} in")
        if "(" not in of:
            parsed = _TABLE.match(of)
            if parsed is None:
                raise ConfigError(f"{place} of = {of!r}: expected schema.table or schema.table(column, ...)")
            table = named_table(catalog, parsed[1], parsed[2], f"{place} of = {of!r}")
            columns = _companions_key(table, *other)
            if len(columns) != len(other[1]):
                key = f"the primary key of {table.sql} is ({idents(columns)})" if columns else f"{table.sql} has no key"
                raise ConfigError(
                    f"{place}: {key} and in names ({idents(other[1])}); write of = {of + '(column, ...)'!r}"
                )
            of = f"{table.sql} ({idents(columns)})"
        table, columns, companion, companion_columns = _pair(catalog, place, ("of", "in"), (of, entry.in_))
        if entry.created_at is not None:
            known_column(table, entry.created_at, f"{place} created_at")
        if entry.grace and not entry.created_at:
            raise ConfigError(f"{place}: grace needs created_at, the column it is counted from")
        yield Companion(
            table,
            columns,
            companion,
            companion_columns,
            configured=True,
            where=entry.where,
            exactly_one=entry.exactly_one,
            grace=entry.grace,
            created_at=entry.created_at,
            same_state=tuple(_states(text, place) for text in entry.same_state),
            trigger=entry.trigger,
            evidence="declared in the configuration",
        )


def _companions_key(table: Table, companion: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of `table` that the companion's name: those its foreign key references, or else the primary key."""
    for key in companion.foreign_keys:
        if key.referenced == table.oid and set(key.columns) == set(columns):
            pairs = dict(zip(key.columns, key.referenced_columns, strict=True))
            return tuple(pairs[name] for name in columns)
    return table.primary_key


def _companions_parents(
    catalog: Catalog, companions: tuple[Companion, ...], declared: tuple[Reference, ...]
) -> Iterator[Reference]:
    """The way back of configured companions, where nothing declares it: their rows without the row they belong to."""
    for companion in companions:
        tombstone = catalog.soft_deletes.get(companion.companion.oid)
        reference = Reference(
            companion.companion,
            companion.companion_columns,
            companion.table,
            companion.columns,
            configured=True,
            where=tombstone.live if tombstone is not None and tombstone.configured else None,
            evidence=f"the configuration calls it the companion of {companion.table.sql}",
        )
        keys = (set(k.columns) for k in companion.companion.foreign_keys if k.referenced == companion.table.oid)
        if set(reference.columns) not in keys and not any(
            _same(reference, other) and other.referenced is reference.referenced for other in declared
        ):
            yield reference


def _states(text: str, place: str) -> tuple[str, str]:
    """`revoked_at IS NULL = deleted_at IS NULL` as its two predicates; an `=` of their own stands in parentheses."""
    depth, halves, start = 0, [], 0
    for found in re.finditer(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]|(?<![<>!=])=(?!=)""", text):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if found[0] == "=" and depth == 0:
            halves.append(text[start : found.start()].strip())
            start = found.end()
    halves.append(text[start:].strip())
    if len(halves) != 2 or not all(halves):
        raise ConfigError(
            f"{place} same_state = {text!r}: expected one condition of each table, joined by one =;"
            " put a condition that has its own = in parentheses"
        )
    return unwrapped(halves[0]), unwrapped(halves[1])


def unwrapped(predicate: str) -> str:
    """A predicate without the parentheses around all of it."""
    text = predicate.strip()
    depth = 0
    for found in re.finditer(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]""", text):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0:
            whole = text.startswith("(") and found.end() == len(text)
            return unwrapped(text[1:-1]) if whole else text
    return text


def _business_keys(catalog: Catalog, settings: Settings) -> Iterator[BusinessKey]:
    for number, entry in enumerate(settings.unique, 1):
        place = f"[[unique]] {number}"
        parsed = _TABLE.match(entry.table)
        if parsed is None:
            raise ConfigError(f"{place} table = {entry.table!r}: expected schema.table")
        table = named_table(catalog, parsed[1], parsed[2], f"{place} table = {entry.table!r}")
        yield BusinessKey(table, tuple(_key(table, text, place) for text in entry.columns), entry.where)


def _key(table: Table, text: str, place: str) -> str:
    """A column as it is written in SQL, or an expression as it stands."""
    if re.fullmatch(_NAME, text.strip()) or text in table.by_name:
        name = text if text in table.by_name else unquoted(text.strip())
        return ident(known_column(table, name, place).name)
    return text


# --- soft deletes --------------------------------------------------------------------------------------------------


def _opposite(condition: str, column: str) -> str:
    known = {"IS NOT NULL": "IS NULL", "IS TRUE": "IS NOT TRUE", "IS NULL": "IS NOT NULL", "IS NOT TRUE": "IS TRUE"}
    found = known.get(" ".join(condition.upper().split()))
    return f"{ident(column)} {found}" if found else f"({ident(column)} {condition}) IS NOT TRUE"


def _soft_deletes(catalog: Catalog, settings: Settings) -> tuple[dict[int, SoftDelete], set[int]]:
    """The marks by table, and the tables whose configuration is all there is."""
    overrides: dict[int, dict[str, str]] = {}
    for text, columns in settings.soft_delete.tables.items():
        place = f"[soft_delete.tables] {text!r}"
        parsed = _TABLE.match(text)
        if parsed is None:
            raise ConfigError(f"{place}: expected schema.table")
        table = named_table(catalog, parsed[1], parsed[2], place)
        for column in columns:
            known_column(table, column, place)
        overrides[table.oid] = columns
    found = {}
    for table in catalog.tables.values():
        if not table.holds_rows:
            continue
        configured = overrides.get(table.oid, settings.soft_delete.columns)
        for column, condition in configured.items():
            if column in table.by_name:
                found[table.oid] = SoftDelete(
                    column,
                    f"{ident(column)} {condition}",
                    _opposite(condition, column),
                    configured=True,
                    evidence="declared in the configuration",
                )
                break
        else:
            if table.oid not in overrides:
                inferred = next(filter(None, map(_tombstone, table.columns)), None) or _listed_state(catalog, table)
                if inferred is not None:
                    found[table.oid] = inferred
    return found, set(overrides)


def _tables_named(catalog: Catalog, texts: Iterable[str], entry: str) -> frozenset[int]:
    found = set()
    for text in texts:
        place = f"{entry} {text!r}"
        parsed = _TABLE.match(text)
        if parsed is None:
            raise ConfigError(f"{place}: expected schema.table")
        found.add(named_table(catalog, parsed[1], parsed[2], place).oid)
    return frozenset(found)


def _tombstone(column: Column) -> SoftDelete | None:
    if column.name.replace("_", "").lower() not in _TOMBSTONES:
        return None
    if column.category == "B":
        condition, said = "IS TRUE", "is a boolean"
    elif column.category == "D" and column.may_hold_null:
        condition, said = "IS NOT NULL", f"is a {column.type} that may be NULL"
    else:
        return None
    return SoftDelete(
        column.name,
        f"{ident(column.name)} {condition}",
        _opposite(condition, column.name),
        configured=False,
        evidence=f"{ident(column.name)} {said}",
    )


_DELETED = {"deleted", "softdeleted"}
# A list that has one of these beside "deleted" tells what happened to something, as that of changed files: no row is gone.
_HAPPENED = {"added", "inserted", "modified", "updated", "changed", "edited", "renamed", "moved", "copied", "restored"}


def state_mark(table: Table, column: str, values: Iterable[str], said: str) -> SoftDelete | None:
    """What marks a deleted row in a column that holds these words; None where none of them says deleted.

    `said` is where the words are from.
    """
    by_word = {"".join(words(value)): value for value in values}
    found = sorted(_DELETED & by_word.keys())
    if len(found) != 1 or _HAPPENED & by_word.keys():
        return None
    name, word = ident(column), literal(by_word[found[0]]).strip()
    nullable = table.by_name[column].may_hold_null
    live = f"({name} = {word}) IS NOT TRUE" if nullable else f"{name} <> {word}"
    return SoftDelete(
        column, f"{name} = {word}", live, configured=False, evidence=f"{name} may be {word}: {said}", suspected=True
    )


def _state_columns(table: Table) -> Iterator[Column]:
    """Columns that say in one word what a row of the table is: `status`, `user_state`; not those of something of it."""
    if {singular(word) for word in words(table.name)} & _KEEPING:
        return
    noun = tuple(singular(word) for word in words(table.name))
    for column in table.columns:
        *stem, last = words(column.name) or ("",)
        if last in ("status", "state") and tuple(stem) in ((), noun, noun[-1:], ("record",), ("row",), ("lifecycle",)):
            yield column


def _listed(catalog: Catalog, table: Table, column: Column) -> tuple[tuple[str, ...], str]:
    """The words that an enum or a CHECK admits in a column, and where that stands; none where nothing lists them."""
    kind = catalog.types.get(column.type_oid)
    if kind is not None and kind.labels:
        return kind.labels, f"the type {qualified(kind.schema, kind.name)}"
    checks = [c for c in table.constraints if c.type == "c" and c.columns == (column.name,) and c.enforced]
    for check in (*checks, *(kind.checks if kind is not None else ())):
        text = check.expression or ""
        if re.search(r"<|>|~|\b(?:NOT|AND|ALL)\b", _bare(text)) is None:
            literals = re.findall(r"""(?:"(?:[^"]|"")*")|'((?:[^']|'')*)'""", text)
            found = tuple(word.replace("''", "'") for word in literals if word)
            if found:
                return found, f"the CHECK {ident(check.name)}"
    return (), ""


def _listed_state(catalog: Catalog, table: Table) -> SoftDelete | None:
    for column in _state_columns(table):
        values, place = _listed(catalog, table, column)
        mark = state_mark(table, column.name, values, f"{place} admits it")
        if mark is not None:
            return mark
    return None


def _unlisted_state(catalog: Catalog, table: Table) -> str | None:
    """The column whose rows may hold the word, where no list says which words there are."""
    found = [c for c in _state_columns(table) if c.category == "S" and not _listed(catalog, table, c)[0]]
    return found[0].name if len(found) == 1 else None


def _retired(table: Table) -> SoftDelete | None:
    """Rows that are active until they are revoked: of a boolean and a time that both say so, neither alone would do."""
    by_name = {column.name.replace("_", "").lower(): column for column in table.columns}
    flag = next((by_name[name] for name in ("isactive", "active") if name in by_name), None)
    since = by_name.get("revokedat")
    if flag is None or since is None or flag.category != "B" or since.category != "D" or not since.may_hold_null:
        return None
    one, other = ident(flag.name), ident(since.name)
    return SoftDelete(
        since.name,
        f"{one} IS NOT TRUE OR {other} IS NOT NULL",
        f"{one} IS TRUE AND {other} IS NULL",
        configured=False,
        evidence=f"{one} and {other} together say whether a row is in force",
        also=(flag.name,),
        word="revoked",
        suspected=True,
    )


# --- references ----------------------------------------------------------------------------------------------------

# What rows must say before an inferred reference is believed. Fewer rows than that are contained by chance.
FEWEST_ROWS = 10
# A share of orphans above which the column is no reference. Identifiers of another system hit a dense integer key as often
# as its range is filled, so of integers nearly all must be there; uuids and texts hit by no chance, so half of them is enough.
_MOST_ORPHANS = {True: 0.5, False: 0.05}

_ATTRIBUTES = {
    *("role", "status", "state", "kind", "type", "level", "access", "permission", "permissions", "scope", "position"),
    *("sort", "order", "ordinal", "rank", "weight", "note", "notes", "comment", "source"),
}


def relations(catalog: Catalog, table: Table) -> tuple[tuple[Reference, ForeignKey | None], ...]:
    """Every relation from `table` to another row, once: declared, with its foreign key; configured; inferred.

    Of the inferred ones those that numbers or uuids bear out, once per referenced table: who did something to the row
    (`created_by`) is none of what it links.
    """
    declared = [
        (Reference(table, key.columns, catalog.tables[key.referenced], key.referenced_columns, configured=True), key)
        for key in table.distinct_keys
        if key.referenced in catalog.tables and not key.period
    ]
    known = {end.referenced.oid for end, _ in declared}
    told = {end.pairs for end, _ in declared}
    found = []
    for reference in catalog.references:
        if reference.table is not table or (not reference.where and reference.pairs in told):
            continue
        if not reference.configured:
            by = "by" in words(reference.columns[0])[-2:]
            if by or reference.referenced.oid in known or not tellable(reference):
                continue
        known.add(reference.referenced.oid)
        found.append((reference, None))
    return (*declared, *found)


def tellable(reference: Reference) -> bool:
    """Whether rows can tell: its keys are uuids, or integers under a name that is evidence by itself.

    What people type themselves is too often a copy, or another's code; small integers are contained in any dense key.
    """
    types = {reference.table.by_name[name].base_oid for name in reference.columns}
    return types == {UUID} or (types <= {*INTEGERS, UUID} and not reference.weak)


def is_link_table(catalog: Catalog, table: Table) -> bool:
    """Whether a table says which rows belong together, and little else: memberships.

    It has two references or more, and besides them at most an id of its own, times, flags, and columns like role or
    status. A table with such an id that others reference is a thing of its own.
    """
    ends = relations(catalog, table)
    referencing = {name for end, _ in ends for name in end.columns}
    if len({end.columns for end, _ in ends}) < 2 or not table.holds_rows:
        return False
    own = [column for column in table.columns if column.name not in referencing]
    if any(column.name in table.primary_key for column in own) and (
        table.oid in catalog.referenced_by or any(other.referenced is table for other in catalog.references)
    ):
        return False
    return all(
        (column.name,) == table.primary_key
        or column.category in "DBE"  # dates and times, booleans, enums
        or bool(set(words(column.name)[-1:]) & {*_ATTRIBUTES, "by", "at"})
        or words(column.name) in (("id",), ("uuid",))
        for column in own
    )


def most_orphans(reference: Reference) -> float:
    """The share of orphans up to which the rows bear out an inferred reference."""
    columns = [reference.table.by_name[name] for name in reference.columns]
    return _MOST_ORPHANS[any(column.base_oid == UUID or column.category == "S" for column in columns)]


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


_PHASES: tuple[tuple[set[str], str, str], ...] = (
    ({"isenabled", "enabled", "isverified", "verified", "isconfirmed", "confirmed"}, "B", "{} IS TRUE"),
    ({"isapproved", "approved", "ispublished", "published", "iscompleted", "completed"}, "B", "{} IS TRUE"),
    ({"isdisabled", "disabled", "issuspended", "suspended", "isarchived", "archived"}, "B", "{} IS NOT TRUE"),
    ({"disabledat", "deactivatedat", "suspendedat", "archivedat", "closedat", "expiredat"}, "D", "{} IS NULL"),
    ({"cancelledat", "canceledat"}, "D", "{} IS NULL"),
    ({"activatedat", "verifiedat", "confirmedat", "approvedat", "publishedat"}, "D", "{} IS NOT NULL"),
    ({"completedat", "paidat", "enabledat", "onboardedat"}, "D", "{} IS NOT NULL"),
)


def phases(table: Table) -> tuple[str, ...]:
    """Predicates of rows that may be further on than others, so that only they need what comes with it: the rows decide."""
    return tuple(
        condition.format(ident(column.name))
        for column in table.columns
        for names, category, condition in _PHASES
        if column.name.replace("_", "").lower() in names
        and column.category == category
        and (category == "B" or column.may_hold_null)
    )


def state_columns(table: Table) -> tuple[str, ...]:
    """Columns that say in one word what a row of the table is."""
    return tuple(column.name for column in _state_columns(table) if column.category in "SE")


def states(catalog: Catalog, companion: Companion) -> tuple[tuple[str, str], ...]:
    """What must agree between a row and its companion: the configured pairs, or else whether both are in force.

    The latter needs columns that tell on both sides; without them there is nothing to agree on.
    """
    own, other = eligible(catalog, companion.table), eligible(catalog, companion.companion)
    return companion.same_state or (((own, other),) if own and other else ())


def enforces_one(catalog: Catalog, companion: Companion) -> bool:
    """Whether a unique index keeps the companion from being there twice: over all rows, or over those not deleted."""
    return _at_most_one(catalog, companion.companion, companion.companion_columns) is not None


def other_kinds(catalog: Catalog, companion: Companion) -> tuple[tuple[Table, tuple[str, ...], str], ...]:
    """Other subtypes of the table: each with its key, and the predicate of the table's rows that are not of it.

    Tables that share the primary key of one table may divide its rows among them: a row of `cats` needs none in
    `dogs`. A table about as large as the shared one is no subtype, but another companion.
    """
    if set(companion.companion_columns) != set(companion.companion.primary_key):
        return ()
    found = []
    for table, key in catalog.referenced_by.get(companion.table.oid, ()):
        if (
            table is companion.companion
            or table.is_partition
            or set(key.columns) != set(table.primary_key)
            or set(key.referenced_columns) != set(companion.columns)
            or table.rows > companion.table.rows / 2
        ):
            continue
        alias = "kind" if companion.table.name != "kind" else "other_kind"
        same = " AND ".join(
            f"{alias}.{ident(mine)} = {ident(companion.table.name)}.{ident(theirs)}"
            for mine, theirs in zip(key.columns, key.referenced_columns, strict=True)
        )
        found.append((table, key.columns, f"NOT EXISTS (SELECT FROM {table.sql} AS {alias} WHERE {same})"))
    return tuple(found)


def columns_in(predicate: str, table: Table) -> tuple[str, ...]:
    """The columns of `table` that a predicate names, in the table's order."""
    names = {unquoted(found) for found in re.findall(_WORD_OR_QUOTED, _bare(predicate))}
    return tuple(column.name for column in table.columns if column.name in names)


def sync_triggers(catalog: Catalog, companion: Companion) -> tuple[Trigger, ...]:
    """The triggers of the table whose function writes to the companion, itself or through one that it calls."""
    return tuple(t for t in companion.table.triggers if _written(catalog, t.function, companion.companion))


def handled(catalog: Catalog, companion: Companion, functions: Iterable[int]) -> set[str]:
    """The events (insert, update, delete) of the table that these trigger functions are evidently written for."""
    found = set()
    for oid in functions:
        verbs = _written(catalog, oid, companion.companion)
        function = catalog.functions.get(oid)
        text = _bare(function.body).lower() if function is not None else ""
        if "insert" in verbs:
            found.add("insert")
        for event in ("update", "delete"):
            if event in verbs or re.search(rf"\b(?:{event}|tg_op)\b", text):
                found.add(event)
    return found


def idle_functions(catalog: Catalog, companion: Companion) -> tuple[Function, ...]:
    """Trigger functions that insert into the companion, read rows of the table by their key, and belong to no trigger."""
    used = {trigger.function for table in catalog.tables.values() for trigger in table.triggers}
    return tuple(
        function
        for function in catalog.functions.values()
        if function.returns == "trigger"
        and function.oid not in used
        and "insert" in _written(catalog, function.oid, companion.companion)
        and any(
            re.search(rf"\b(?:new|old)\s*\.\s*{re.escape(ident(name))}(?!\w)", function.body, re.IGNORECASE)
            for name in companion.columns
        )
    )


_SQL_NAME = rf"(?:{_QUOTED}|[^\W\d][\w$]*)"
_WORD_OR_QUOTED = re.compile(_SQL_NAME)
_LITERAL = re.compile(r"""("(?:[^"]|"")*")|--[^\n\r]*|/\*.*?\*/|'(?:[^']|'')*'""", re.DOTALL)
_WRITTEN = re.compile(
    rf"\b(insert\s+into|update(?:\s+only)?|delete\s+from(?:\s+only)?|merge\s+into(?:\s+only)?)\s+"
    rf"(?:({_SQL_NAME})\s*\.\s*)?({_SQL_NAME})",
    re.IGNORECASE,
)
_CALLED = re.compile(rf"(?:({_SQL_NAME})\s*\.\s*)?({_SQL_NAME})\s*\(")
# Tables that keep what happened have many rows per row of another, and need none.
_KEEPING = {"audit", "archive", "event", "history", "journal", "log", "outbox", "queue", "revision", "version"}
_GRACE = "10 minutes"
_CREATED = {"createdat", "createdon", "created", "creationtime", "creationdate", "insertedat", "datecreated"}
Upserts = dict[int, dict[frozenset[str], str]]  # by table: the columns, and who relies on them


def _bare(text: str) -> str:
    """SQL without its comments and what its strings hold."""
    return _LITERAL.sub(lambda found: found[1] or "''", text)


def _inferred_companions(catalog: Catalog) -> Iterator[Companion]:
    """Tables with at most one row per row of another, as far as keys, upserts and triggers tell."""
    upserts = _upserts(catalog)
    for table, key, parent in catalog.foreign_keys:
        if table is parent or table.is_partition or parent.is_partition or _of_one_kind(table, key):
            continue
        unique = _at_most_one(catalog, table, key.columns)
        upsert = upserts.get(table.oid, {}).get(frozenset(key.columns))
        if unique is not None:
            said = f"its foreign key {ident(key.name)} is unique{unique}: at most one row per row of {parent.sql}"
            yield _paired(catalog, table, key, parent, said)
        elif upsert is not None:
            said = f"{upsert} writes it with ON CONFLICT ({idents(key.columns)}): one row per row"
            yield _paired(catalog, table, key, parent, said)
        elif parent.triggers and not {singular(word) for word in words(table.name)} & _KEEPING:
            trigger = _writing_trigger(catalog, parent, table)
            if trigger is not None:
                said = f"the trigger {ident(trigger.name)} of {parent.sql} writes it for every new row"
                yield replace(_paired(catalog, table, key, parent, said), exactly_one=False)


def _paired(catalog: Catalog, table: Table, key: ForeignKey, parent: Table, evidence: str) -> Companion:
    created = next(filter(None, map(_creation, parent.columns)), None)
    return Companion(
        parent,
        key.referenced_columns,
        table,
        key.columns,
        configured=False,
        where=eligible(catalog, parent),
        exactly_one=True,
        grace=_GRACE if created else None,
        created_at=created,
        evidence=evidence,
    )


def _writing_trigger(catalog: Catalog, table: Table, companion: Table) -> Trigger | None:
    """The trigger of `table` that writes a row to `companion` for every new row, if there is one."""
    for trigger in table.triggers:
        if "insert" in trigger.events and "insert" in _written(catalog, trigger.function, companion):
            return trigger
    return None


def _at_most_one(catalog: Catalog, table: Table, columns: Iterable[str]) -> str | None:
    """Among which rows a unique index allows these columns once only: the empty string for all; None for none."""
    wanted = set(columns)
    found = None
    for index in table.indexes:
        if index.enforces and index.columns is not None and set(index.columns) <= wanted:
            if index.predicate is None:
                return ""
            tombstone = catalog.soft_deletes.get(table.oid)
            if tombstone is not None and implied(index.predicate, tombstone.live):
                found = " among rows that are not deleted"
    return found


def _of_one_kind(table: Table, key: ForeignKey) -> bool:
    """Whether the foreign key itself says that only rows of one kind have a row here: `(id, kind)`, `kind` fixed."""
    if len(key.columns) == 1:
        return False
    fixed = {c.columns[0] for c in table.constraints if c.type == "c" and len(c.columns) == 1 and c.enforced}
    fixed |= {column.name for column in table.columns if column.generated}
    return bool(fixed & set(key.columns))


def _creation(column: Column) -> str | None:
    named = column.name.replace("_", "").lower() in _CREATED
    return column.name if named and column.type.startswith("timestamp") else None


@lru_cache(maxsize=2)
def _functions_called(catalog: Catalog) -> dict[str, list[Function]]:
    called: dict[str, list[Function]] = defaultdict(list)
    for function in catalog.functions.values():
        called[function.name].append(function)
    return called


@lru_cache(maxsize=4096)
def _targets(catalog: Catalog, oid: int) -> frozenset[tuple[str, int]]:
    """How a function writes (insert, update, delete, merge) to which tables, itself or through functions that it calls."""
    seen, todo = {oid}, [oid]
    written: set[tuple[str, int]] = set()
    while todo:
        function = catalog.functions.get(todo.pop())
        if function is None:
            continue
        body = _bare(function.body)
        for verb, schema, name in _WRITTEN.findall(body):
            table = find_table(catalog, unquoted(schema) if schema else None, unquoted(name), function)
            if table is not None:
                written.add((verb.split()[0].lower(), table.oid))
        for schema, name in _CALLED.findall(body):
            for called in _functions_called(catalog).get(unquoted(name), ()):
                if called.oid not in seen and (not schema or called.schema == unquoted(schema)):
                    seen.add(called.oid)
                    todo.append(called.oid)
    return frozenset(written)


def _written(catalog: Catalog, function: int, table: Table) -> set[str]:
    """How a function writes to this table; a MERGE may insert."""
    verbs = {verb for verb, oid in _targets(catalog, function) if oid == table.oid}
    return verbs | {"insert"} if "merge" in verbs else verbs


def _upserts(catalog: Catalog) -> Upserts:
    """Which columns of which table INSERT ... ON CONFLICT names: in functions, procedures and SQL handed over."""
    found: Upserts = defaultdict(dict)
    for use in uses(catalog):
        columns = frozenset(columns_of(use.upsert.targets))
        if use.table is not None and columns and columns <= use.table.by_name.keys():
            found[use.table.oid].setdefault(columns, use.cited)
    return found
