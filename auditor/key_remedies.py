"""Fixes that the uniqueness checks share: clear duplicates away, make a key unique, replace a key by a partial one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auditor import ddl
from auditor.arbiter import Use, implied, infer, uses
from auditor.catalog.model import Catalog, ForeignKey, Index, Table
from auditor.check import Fix
from auditor.companion_remedies import assignments, update
from auditor.probe import Key
from auditor.text import ident, idents, listed, qualified

LOCK_ATTACH = "ADD CONSTRAINT: ACCESS EXCLUSIVE on the table, for a moment (the index is built already)"
LOCK_BUILD = "SHARE while it is built: reads go on, writes wait"
_CHANGED = ("updatedat", "modifiedat", "lastmodified", "updatedon", "createdat", "createdon", "insertedat", "created")


# --- the keys -------------------------------------------------------------------------------------------------------


def key_terms(table: Table, index: Index) -> tuple[str, ...]:
    """The keys of a unique index as CREATE INDEX takes them, with each collation and operator class that is no default."""
    default = ("pg_catalog", "default")
    terms = []
    for key in index.keys:
        own = table.by_name[key.column].collation if key.column is not None else None
        collated = key.collation not in (None, own or default)
        terms.append(
            (ident(key.column) if key.column is not None else f"({key.expression})")
            + (f" COLLATE {qualified(*key.collation)}" if key.collation and collated else "")
            + ("" if key.default_opclass else f" {qualified(*key.opclass)}")
        )
    return tuple(terms)


def probe_keys(index: Index) -> tuple[Key, ...]:
    """The keys of an index as a question to the rows."""
    return tuple(Key(key.expression if key.column is None else ident(key.column), key.column) for key in index.keys)


def names_of(index: Index) -> str:
    """The keys for the reader: `a`, or `(a, lower(b))`."""
    return shown([ident(key.column) if key.column is not None else key.expression for key in index.keys])


def shown(texts: Sequence[str]) -> str:
    """Key texts for the reader: one as it is, several in parentheses."""
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def free_name(catalog: Catalog, table: Table, *parts: str) -> str:
    """A name that no relation of the table's schema has yet: relations and indexes share one space of names."""
    taken = {t.name for t in catalog.tables.values() if t.schema == table.schema}
    taken |= {i.name for t in catalog.tables.values() if t.schema == table.schema for i in t.indexes}
    taken |= {s.name for s in catalog.sequences.values() if s.schema == table.schema}
    taken |= {c.name for c in table.constraints}
    *first, last = parts
    endings = (last, *(f"{last}{number}" for number in range(2, len(taken) + 3)))
    return next(name for ending in endings if (name := ddl.short(*first, ending)) not in taken)


# --- duplicates -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dedupe:
    """Statements that leave one row of each key, those that bring the others back, and what to know about it."""

    sql: tuple[str, ...]
    rollback: tuple[str, ...]
    caveats: tuple[str, ...]


def dedupe(catalog: Catalog, table: Table, keys: Iterable[str], where: str | None, *, nulls: bool = False) -> Dedupe:
    """Keeps, of rows that share their keys (SQL), the one that others reference, else the latest, else the highest key.

    `where` says which rows count. NULLs differ, unless `nulls`. The others are kept in a copy.
    """
    keys = tuple(keys)
    copy = free_name(catalog, table, table.name, "duplicates")
    kept = qualified(table.schema, copy)
    extra = _extra_rows(catalog, table, keys, where, nulls=nulls)
    said = _order(catalog, table)[1]
    caveats = [f"Of each key {said} stays. Look at the rows before the others go."]
    if table.row_key:
        key = idents(table.row_key)
        row = key if len(table.row_key) == 1 else f"({key})"
        delete = ddl.delete(table, f"{row} IN (SELECT {key} FROM {kept})")
    else:
        delete = ddl.delete(table, extra)
        caveats.append(
            "The table has no key: run the copy and the DELETE in one transaction, so that no row comes between."
        )
    referencing = sorted({child.sql for child, _ in catalog.referenced_by.get(table.oid, ())})
    if referencing:
        caveats.append(
            f"Where rows of {listed(referencing)} reference several rows of one key, move them to the one that stays"
            " first: they follow their own ON DELETE action, which may delete them, or refuse (SQLSTATE 23503)."
        )
    caveats.append(f"{kept} keeps the deleted rows of {table.sql} only; drop it when all is well.")
    return Dedupe(
        (ddl.keep_rows(table, extra, copy), delete),
        (ddl.restore_rows(table, copy), f"DROP TABLE {kept};"),
        tuple(caveats),
    )


def _extra_rows(catalog: Catalog, table: Table, keys: Iterable[str], where: str | None, *, nulls: bool) -> str:
    """The predicate of all rows of a key but the one that deserves to stay."""
    keys = tuple(keys)
    conditions = [f"({where})"] if where else []
    if not nulls:
        conditions += [f"{key if _plain(key) else f'({key})'} IS NOT NULL" for key in keys]
    only = "ONLY " if table.only else ""
    rows = f"{only}{table.sql} AS candidate" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
    return (
        "(tableoid, ctid) IN (SELECT tableoid, ctid FROM (SELECT tableoid, ctid, pg_catalog.row_number() OVER"
        f" (PARTITION BY {', '.join(keys)} ORDER BY {_order(catalog, table)[0]}) AS place FROM {rows}) AS ranked"
        " WHERE place > 1)"
    )


def _plain(key: str) -> bool:
    return "(" not in key and " " not in key


def _order(catalog: Catalog, table: Table) -> tuple[str, str]:
    """The order in which rows of one key deserve to stay, as SQL over `candidate`, and in words."""
    terms, words = [], []
    references = [
        _references(child, key) for child, key in catalog.referenced_by.get(table.oid, ()) if not child.is_partition
    ]
    if references:
        terms.append(f"({' OR '.join(references)}) DESC")
        words.append("a row that others reference")
    by_name = {column.name.replace("_", "").lower(): column for column in table.columns}
    dated = [by_name[name].name for name in _CHANGED if name in by_name and by_name[name].category == "D"]
    if dated:
        terms += [f"{ident(name)} DESC NULLS LAST" for name in dated]
        words.append(f"the latest by {listed([ident(name) for name in dated], 'then')}")
    terms += [f"{ident(name)} DESC" for name in table.row_key] or ["ctid DESC"]
    words.append(f"the highest {idents(table.row_key)}" if table.row_key else "the one stored last")
    return ", ".join(terms), ", else ".join(words)


def _references(child: Table, key: ForeignKey) -> str:
    """EXISTS: a row of the child points to the candidate."""
    same = " AND ".join(
        f"referencing.{ident(mine)} = candidate.{ident(theirs)}"
        for mine, theirs in zip(key.columns, key.referenced_columns, strict=True)
    )
    return f"EXISTS (SELECT 1 FROM {child.sql} AS referencing WHERE {same})"


# --- making a key unique --------------------------------------------------------------------------------------------


def make_unique(
    catalog: Catalog,
    table: Table,
    keys: Sequence[str],
    where: str | None = None,
    *,
    duplicates: bool,
    columns: tuple[str, ...] | None = None,
    title: str = "",
    caveats: Iterable[str] = (),
    recommended: bool = True,
) -> Fix:
    """A unique constraint over `columns`, or a unique index over `keys` (SQL) where `where` holds, built concurrently.

    With `duplicates` the rows that stand in the way are cleared away first.
    """
    constraint = columns is not None and where is None
    named = columns if columns is not None else ("unique",)
    name = free_name(catalog, table, table.name, *named, "key" if constraint else "idx")
    cleared = dedupe(catalog, table, keys, where) if duplicates else Dedupe((), (), ())
    said = list(caveats)
    if constraint and table.kind == "p":
        build: tuple[str, ...] = (f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(name)} UNIQUE ({', '.join(keys)});",)
        undo = ddl.drop_constraint(table, name)
        locks = "ACCESS EXCLUSIVE on the table and its partitions while the index is built"
    elif constraint:
        build = (ddl.unique_index(table, name, keys), attach(table, name))
        undo = ddl.drop_constraint(table, name)
        locks = f"{ddl.LOCK_CONCURRENTLY}; {LOCK_ATTACH}"
    else:
        build = (ddl.unique_index(table, name, keys, where),)
        undo = ddl.drop_index(table, name)
        locks = LOCK_BUILD if table.kind == "p" else ddl.LOCK_CONCURRENTLY
    if table.kind == "p":
        said.append("A unique key of a partitioned table must contain its partition key, or the server refuses it.")
    said += _left_behind(table, name)
    first = "Clear the duplicates away, keeping a copy, and " if duplicates else ""
    what = title or (f"add UNIQUE over {shown(keys)}" if constraint else f"build a unique index over {shown(keys)}")
    return Fix(
        f"{first}{what}" if first else what[:1].upper() + what[1:],
        (*cleared.sql, *build),
        (undo, *cleared.rollback),
        f"{ddl.LOCK_ROWS}; {locks}" if duplicates else locks,
        (*cleared.caveats, *said),
        recommended=recommended,
    )


def _left_behind(table: Table, index: str) -> list[str]:
    if table.kind == "p":
        return []
    return [f"Should CREATE INDEX CONCURRENTLY fail, it leaves an invalid index behind: {ddl.drop_index(table, index)}"]


def end_others(
    catalog: Catalog, table: Table, keys: Sequence[str], where: str, *, columns: tuple[str, ...]
) -> Fix | None:
    """UPDATE after which `where` holds for one row of each key only, and the unique index among these rows.

    None where it is not evident how a row ends: `where` has to speak of a time or a boolean.
    """
    values = assignments(table, where, holds=False)
    if values is None or any(table.by_name[name].category not in ("B", "D") for name in values):
        return None
    built = make_unique(catalog, table, keys, where, duplicates=False, columns=columns)
    said = f"Of each key {_order(catalog, table)[1]} stays in force. Look at the rows before the others end."
    marked = update("", table, values, _extra_rows(catalog, table, keys, where, nulls=False), [said])
    return Fix(
        f"End the others ({listed([f'{ident(name)} = {value}' for name, value in values.items()])}), and"
        f" {built.title[:1].lower()}{built.title[1:]}",
        (*marked.sql, *built.sql),
        (*built.rollback, *marked.rollback),
        f"{marked.locks}; {built.locks}",
        (*marked.caveats, *built.caveats),
        recommended=True,
    )


def attach(table: Table, index: str, suffix: str = "") -> str:
    """ALTER TABLE ... ADD CONSTRAINT that takes over a unique index of the same name."""
    return f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(index)} UNIQUE USING INDEX {ident(index)}{suffix};"


# --- replacing a key ------------------------------------------------------------------------------------------------


def constraint_of(table: Table, index: Index) -> bool:
    """Whether a unique constraint stands before the index: then it has to be dropped as one."""
    return any(constraint.oid == index.constraint for constraint in table.constraints)


def drop_key(table: Table, index: Index) -> str:
    """The right DROP: of the constraint, or of the index."""
    return ddl.drop_constraint(table, index.name) if constraint_of(table, index) else ddl.drop_index(table, index.name)


def restore_key(table: Table, index: Index) -> tuple[str, ...]:
    """The key as it was: its index, and the constraint before it."""
    constraint = constraint_of(table, index)
    terms = key_terms(table, index)
    extra = _extra(index)
    deferrable = next((c for c in table.constraints if c.oid == index.constraint and c.deferrable), None)
    suffix = f" DEFERRABLE INITIALLY {'DEFERRED' if deferrable.deferred else 'IMMEDIATE'}" if deferrable else ""
    if constraint and table.kind == "p":
        nulls = " NULLS NOT DISTINCT" if index.nulls_not_distinct else ""
        include = f" INCLUDE ({idents(index.include)})" if index.include else ""
        keys = f"UNIQUE{nulls} ({', '.join(terms)}){include}{suffix}"
        return (f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(index.name)} {keys};",)
    made = ddl.unique_index(table, index.name, terms, index.predicate, nulls=extra)
    return (made, attach(table, index.name, suffix)) if constraint else (made,)


def _extra(index: Index) -> str:
    include = f" INCLUDE ({idents(index.include)})" if index.include else ""
    return include + (" NULLS NOT DISTINCT" if index.nulls_not_distinct else "")


def both(*predicates: str | None) -> str | None:
    """Predicates joined by AND."""
    given = [predicate for predicate in predicates if predicate]
    return " AND ".join(f"({predicate})" for predicate in given) if len(given) > 1 else given[0] if given else None


def replace_by_partial(
    catalog: Catalog, table: Table, index: Index, terms: Sequence[str], live: str, cleared: Dedupe | None = None
) -> Fix:
    """The key over `terms`, among live rows only, in place of the index: the new one is built before the old one goes."""
    name = free_name(catalog, table, index.name, "live")
    where = both(index.predicate, live)
    cleared = cleared or Dedupe((), (), ())
    caveats = [
        *cleared.caveats,
        *upsert_caveats(catalog, table, index, where),
        "The rollback fails with SQLSTATE 23505 once a value is in use again.",
        *_left_behind(table, name),
    ]
    if constraint_of(table, index) and any(c.deferrable for c in table.constraints if c.oid == index.constraint):
        caveats.append("The constraint is deferrable; a partial index never is: each statement is checked at once.")
    built = LOCK_BUILD if table.kind == "p" else ddl.LOCK_CONCURRENTLY
    dropped = (
        "DROP CONSTRAINT: ACCESS EXCLUSIVE on the table, for a moment"
        if constraint_of(table, index) or table.kind == "p"
        else "DROP INDEX CONCURRENTLY: waits for running transactions, blocks nobody"
    )
    return Fix(
        f"Let the key hold among live rows only: a partial unique index, then drop the {kind_of(table, index)}",
        (*cleared.sql, ddl.unique_index(table, name, terms, where, nulls=_extra(index)), drop_key(table, index)),
        (*restore_key(table, index), ddl.drop_index(table, name), *cleared.rollback),
        f"the new index: {built}; {dropped}",
        tuple(caveats),
        recommended=True,
    )


def kind_of(table: Table, index: Index) -> str:
    """What the reader has to drop: the constraint, or the index."""
    return "constraint" if constraint_of(table, index) else "index"


def referencing(catalog: Catalog, index: Index) -> tuple[tuple[Table, ForeignKey], ...]:
    """The foreign keys that rest on the index: while they are there it cannot be dropped."""
    return tuple((child, key) for child, key, _ in catalog.foreign_keys if key.index == index.oid)


def relying(catalog: Catalog, table: Table, index: Index, where: str | None) -> tuple[Use, ...]:
    """The upserts that work because of the index, and would not with one that holds only where `where` does."""
    found = []
    for use in uses(catalog):
        if use.table is not table:
            continue
        arbiter = infer(table, use.upsert)
        others = [other for other in arbiter.indexes if other.oid != index.oid]
        if (
            index in arbiter.indexes
            and not others
            and (use.upsert.constraint or not implied(where, use.upsert.predicate))
        ):
            found.append(use)
    return tuple(found)


def upsert_caveats(catalog: Catalog, table: Table, index: Index, where: str | None) -> list[str]:
    """What becomes of the upserts that rely on the index when one WHERE `where` takes its place."""
    said = []
    for use in relying(catalog, table, index, where):
        targets = [ident(key.column) if key.column is not None else f"({key.expression})" for key in index.keys]
        clause = f"ON CONFLICT ({', '.join(targets)}) WHERE {where}"
        place = f" ({use.place})" if use.place else ""
        said.append(
            f"{use.said} relies on this {kind_of(table, index)} with {use.clause}{place}: change it to {clause}"
            " after the new index is built and before the old one is dropped, or it fails with SQLSTATE 42P10."
        )
    return said
