"""Fixes that the uniqueness checks share: clear duplicates away, make a key unique, replace a key by a partial one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from auditor import ddl
from auditor.arbiter import Use, grounded, implied, infer, uses
from auditor.catalog.model import Catalog, ForeignKey, Index, IndexKey, Table
from auditor.check import Fix
from auditor.companion_remedies import assignments, update
from auditor.duplicate_remedies import Dedupe as Dedupe
from auditor.duplicate_remedies import dedupe as dedupe
from auditor.duplicate_remedies import extra_rows, stays_in
from auditor.probe import Answer, Key
from auditor.text import ident, idents, listed, plural, qualified

LOCK_ATTACH = "ADD CONSTRAINT: ACCESS EXCLUSIVE on the table, for a moment (the index is built already)"
LOCK_BUILD = "SHARE while it is built: reads go on, writes wait"


# --- the keys -------------------------------------------------------------------------------------------------------


def key_terms(table: Table, index: Index) -> tuple[str, ...]:
    """The keys of a unique index as CREATE INDEX takes them, with each collation and operator class that is no default."""
    return tuple(key_text(key) + key_tail(table, key) for key in index.keys)


def key_tail(table: Table, key: IndexKey) -> str:
    """What follows a column or expression in CREATE INDEX: the collation and the operator class that are no default."""
    return (f" COLLATE {qualified(*key.collation)}" if key.collation and collated(table, key) else "") + (
        "" if key.default_opclass else f" {qualified(*key.opclass)}"
    )


def key_text(key: IndexKey) -> str:
    """One key of an index as SQL that means the same under any search_path; an expression in parentheses."""
    return ident(key.column) if key.column is not None else f"({grounded(key.expression)})"


def key_texts(index: Index) -> tuple[str, ...]:
    """All keys of an index so."""
    return tuple(map(key_text, index.keys))


def rows_of(index: Index) -> str | None:
    """The predicate of an index so; None when it holds all rows."""
    return grounded(index.predicate) if index.predicate is not None else None


def probe_keys(table: Table, index: Index) -> tuple[Key, ...]:
    """The keys of an index as a question to the rows, under the index's own collations."""
    return tuple(
        Key(
            grounded(key.expression) if key.column is None else ident(key.column),
            key.column,
            key.collation if key.column is None or collated(table, key) else None,
        )
        for key in index.keys
    )


def collated(table: Table, key: IndexKey) -> bool:
    """Whether a key of an index has another collation than its column; of an expression, whether it is not the default."""
    own = table.by_name[key.column].collation if key.column is not None else None
    return key.collation not in (None, own or ("pg_catalog", "default"))


def names_of(index: Index) -> str:
    """The keys for the reader: `a`, or `(a, lower(b))`."""
    return shown([ident(key.column) if key.column is not None else key.expression for key in index.keys])


def shown(texts: Sequence[str]) -> str:
    """Key texts for the reader: one as it is, several in parentheses."""
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def outcome(catalog: Catalog, table: Table, answer: Answer) -> str:
    """What clearing these duplicates away comes to, in a sentence: how many rows stay, which ones, and why."""
    stay = f"{answer.groups:,} {'stays' if answer.groups == 1 else 'stay'}, one for each value"
    return f"Of the {plural(answer.count, 'row')} {stay}: {stays_in(catalog, table)}."


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
    name = ddl.free_name(table, table.name, *named, "key" if constraint else "idx")
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
    said = [f"Of each key {stays_in(catalog, table)} stays in force. Look at the rows before the others end."]
    if catalog.referenced_by.get(table.oid):
        said.append("What references the others goes on doing so: nothing is moved.")
    marked = update("", table, values, extra_rows(catalog, table, keys, where), said, columns)
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
    name = ddl.free_name(table, index.name, "live")
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
        else ddl.LOCK_DROP_INDEX
    )
    return Fix(
        f"Let the key hold among live rows only: a partial unique index, then drop the {kind_of(table, index)}",
        (*cleared.sql, ddl.unique_index(table, name, terms, where, nulls=_extra(index)), drop_key(table, index)),
        (*restore_key(table, index), ddl.drop_index(table, name), *cleared.rollback),
        f"the new index: {built}; {dropped}",
        tuple(caveats),
        recommended=True,
    )


def nulls_not_distinct(
    table: Table,
    index: Index,
    where: str | None,
    cleared: Dedupe | None = None,
    *,
    beside: bool = False,
) -> Fix:
    """The same key with NULLS NOT DISTINCT (15 and later) where `where` holds, in place of the index, or `beside` it."""
    cleared = cleared or Dedupe((), (), ())
    name = ddl.free_name(table, index.name, "nulls")
    include = f" INCLUDE ({idents(index.include)})" if index.include else ""
    build = ddl.unique_index(table, name, key_terms(table, index), where, nulls=f"{include} NULLS NOT DISTINCT")
    attached = not beside and table.kind != "p" and constraint_of(table, index)
    after = (attach(table, name),) if attached else ()
    undo = ddl.drop_constraint(table, name) if attached else ddl.drop_index(table, name)
    built = LOCK_BUILD if table.kind == "p" else ddl.LOCK_CONCURRENTLY
    kind = kind_of(table, index)
    if beside:
        title = "Add a unique index with NULLS NOT DISTINCT: the same columns, and NULL equals NULL"
        said = (
            f"The {kind} {ident(index.name)} stays as it is; an ON CONFLICT that finds it does not catch the new index."
        )
    else:
        title = f"Rebuild the {kind} with NULLS NOT DISTINCT: the same columns, and NULL equals NULL"
        said = "An ON CONFLICT over the same columns goes on working; ON CONFLICT ON CONSTRAINT needs the new name."
    return Fix(
        title,
        (*cleared.sql, build, *(() if beside else (drop_key(table, index),)), *after),
        (*(() if beside else restore_key(table, index)), undo, *cleared.rollback),
        f"the new index: {built}" + (f"; {ddl.LOCK_ALTER}" if not beside and constraint_of(table, index) else ""),
        (*cleared.caveats, said, *_left_behind(table, name)),
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
