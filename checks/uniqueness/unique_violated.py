"""Rows break a unique index that the server calls valid: the index is corrupt.

A unique index is believed, not checked. After the collation of the operating system changed under it, a fault of the
disk, or a bug of an old release, it does not find rows that are there, and lets their values in again. Queries
see one row or the other, depending on whether they read the index or the table; a foreign key may rest on either; a dump
of the database does not restore, and REINDEX fails (SQLSTATE 23505). Every unique index is read at depth full only, and from
the table itself: the planner may use no index, since the corrupt one would hide its own rows.

Not flagged: rows outside the predicate of a partial index; rows with NULL in the key, unless NULLS NOT DISTINCT; values
that differ in the index's own collation and equality; an index whose columns contain those of another unique index, which
is looked at. Exclusion constraints and keys that call functions of others are named as not checked.

Fix: clear the duplicates away, with the planner's indexes off, then REINDEX.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from auditor import ddl
from auditor.arbiter import countable
from auditor.catalog.model import Catalog, Index, Table
from auditor.check import Ask, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.key_remedies import dedupe, key_texts, kind_of, names_of, probe_keys, rows_of
from auditor.probe import Answer, Duplicates
from auditor.text import ident, plural, qualified

severity = Severity.ERROR
depths = (Depth.FULL,)

_WAYS = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_tables:
        for index in table.indexes if table.kind == "r" else ():
            if not index.enforces or covered(table, index):
                continue
            subject = table.object(
                kind_of(table, index), index.name, tuple(k.column or k.expression for k in index.keys)
            )
            why = unsupported(catalog, index)
            if why:
                yield NotChecked(subject, "unsupported", why, Depth.FULL)
                continue
            question = Duplicates(table, probe_keys(table, index), rows_of(index), index.nulls_not_distinct, heap=True)
            judge = partial(judged, catalog=catalog, subject=subject, table=table, index=index)
            yield Ask(subject, question, judge, depth=Depth.FULL)


def covered(table: Table, index: Index) -> bool:
    """Whether another unique index forbids all that this one does: over some of its columns, or the same ones, earlier."""
    columns = set(index.columns or ())
    return any(
        other.enforces
        and not other.exclusion
        and other.predicate is None
        and other.columns is not None
        and (set(other.columns) < columns or (set(other.columns) == columns and other.oid < index.oid))
        and not any(table.by_name[name].may_hold_null for name in other.columns)
        and same_equality(other, index)
        for other in table.indexes
    )


def same_equality(one: Index, other: Index) -> bool:
    """Whether both compare the columns they share in the same way."""
    compared = {key.column: (key.equality, key.collation) for key in other.keys}
    return all(compared.get(key.column) == (key.equality, key.collation) for key in one.keys)


def unsupported(catalog: Catalog, index: Index) -> str:
    """Why the rows cannot be asked whether the index holds; empty when they can."""
    if index.exclusion:
        return "it is an exclusion constraint: whether values overlap is not counted"
    if any(not key.default_opclass and key.equality != ("pg_catalog", "=") for key in index.keys):
        return "it compares by an operator class with an equality of its own"
    if not countable([*(key.expression for key in index.keys if key.column is None), index.predicate], catalog):
        return "its keys or its predicate call functions that are not run"
    return ""


def judged(answer: Answer, catalog: Catalog, subject: Object, table: Table, index: Index) -> Finding | None:
    if not answer.count:
        return None
    kind = kind_of(table, index)
    return Finding(
        severity,
        subject,
        title=f"{answer.count:,} rows of {table.sql} share {plural(answer.groups, 'value')} of {names_of(index)}, which the valid"
        f" unique {kind} {ident(index.name)} forbids",
        message="The index is corrupt: it does not find rows that are there. The usual cause is a collation of the operating"
        " system that changed under it; others are a faulty disk and bugs of old releases. Queries see one of the rows or the"
        " other; REINDEX fails with SQLSTATE 23505 while they are there, and so does restoring a dump.",
        fixes=(repair(catalog, table, index),),
    )


def repair(catalog: Catalog, table: Table, index: Index) -> Fix:
    # A key that names several rows would delete the one that stays too: rows are then named by where they lie.
    sound = table if set(table.row_key) != set(index.columns or ()) else replace(table, indexes=())
    cleared = dedupe(catalog, sound, key_texts(index), rows_of(index), nulls=index.nulls_not_distinct)
    return Fix(
        "Clear the duplicates away, keeping a copy, and build the index again: REINDEX",
        (
            *(f"SET {way} = off;" for way in _WAYS),
            *cleared.sql,
            *(f"RESET {way};" for way in _WAYS),
            f"REINDEX INDEX CONCURRENTLY {qualified(table.schema, index.name)};",
        ),
        (),
        f"{ddl.LOCK_ROWS}; REINDEX: {ddl.LOCK_CONCURRENTLY}",
        (
            *cleared.caveats,
            "Run all statements in one session: without its indexes the planner reads every row as it is.",
            "It cannot be taken back: the index refuses the deleted rows then. They stay in the copy.",
            "What broke this index may have broken others: REINDEX those of the same collation too, and look for the cause first.",
        ),
        recommended=True,
    )
