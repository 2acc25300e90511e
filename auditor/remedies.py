"""Fixes that several checks offer. Each takes the answer of the rows, so that its SQL finds exactly the rows counted."""

from __future__ import annotations

from auditor import ddl
from auditor.catalog.model import ForeignKey, Reference, Table
from auditor.check import Fix
from auditor.probe import Answer
from auditor.text import ident, listed, qualified


def enforcing(table: Table, key: ForeignKey, referenced: Table) -> tuple[str, ...]:
    """What makes a foreign key hold for every row again, once no row breaks it: nothing where the server says it does.

    Enabling triggers re-checks nothing, and VALIDATE does nothing on a key that is called valid: such a key is made anew.
    """
    if key.vouched:
        return ()
    if key.enforced and key.fires:
        return (ddl.validate(table, key.name),)
    return ddl.renew_foreign_key(table, key, referenced)


def enforcing_locks(table: Table, key: ForeignKey) -> str:
    """The locks of `enforcing`."""
    if key.vouched:
        return ""
    if key.enforced and key.fires:
        return f"VALIDATE: {ddl.LOCK_VALIDATE}"
    if not ddl.checked_later(table, key):
        return f"the new key: {ddl.LOCK_SWAP_WHOLE}"
    return f"the new key: {ddl.LOCK_SWAP_KEY}; VALIDATE: {ddl.LOCK_VALIDATE}"


def may_be_declared(relation: Reference) -> bool:
    """Whether a foreign key can say it: for all rows, and over a unique key of the referenced table."""
    wanted = set(relation.referenced_columns)
    return relation.where is None and any(
        index.enforces and index.immediate and index.predicate is None and set(index.columns or ()) == wanted
        for index in relation.referenced.indexes
    )


def declaring(relation: Reference) -> tuple[str, tuple[str, ...], str]:
    """A new foreign key for the relation: its name, the statements, and their locks."""
    table = relation.table
    name = ddl.short(table.name, *relation.columns, "fkey")
    added = ddl.new_foreign_key(table, relation.columns, relation.referenced, relation.referenced_columns, name)
    if ddl.may_be_not_valid(table):
        locks = f"ADD: {ddl.LOCK_ADD_KEY}; VALIDATE: {ddl.LOCK_VALIDATE}"
        return name, (added, ddl.validate(table, name)), locks
    return name, (added,), ddl.LOCK_ADD_WHOLE


def orphan_fixes(
    answer: Answer,
    relation: Reference,
    key: ForeignKey | None,
    declared: tuple[str, tuple[str, ...], str] | None = None,
    about: tuple[str, ...] = (),
) -> tuple[Fix, ...]:
    """Delete, set to NULL, or restore the parents; then have the server vouch for the relation.

    `key` is the foreign key that declares the relation, None when none does. `declared` says how one is to be declared,
    as `declaring` does: `key` is then not there yet. `about` tells relations of the same columns apart.
    """
    table, parent, columns = relation.table, relation.referenced, relation.columns
    where = answer.evidence.where or "false"
    copy = ddl.free_name(table, table.name, *columns, *about, "orphans")
    kept = qualified(table.schema, copy)
    after: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    redo: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    locks = ""
    if declared is not None:
        name, after, locks = declared
        undo = (ddl.drop_constraint(table, name),)
    elif key is not None:
        after, locks = enforcing(table, key, parent), enforcing_locks(table, key)
        # The orphans can only come back while the key is away.
        undo = (ddl.drop_constraint(table, key.name),)
        if ddl.may_be_not_valid(table, key):
            redo = (ddl.add_foreign_key(table, key, parent),)
        else:
            caveats = ("The rollback leaves the foreign key away: a partitioned table takes none that its rows break.",)
    elif may_be_declared(relation):
        name, after, locks = declaring(relation)
        undo = (ddl.drop_constraint(table, name),)
    locks = f"{ddl.LOCK_ROWS}; {locks}" if locks else ddl.LOCK_ROWS
    keep = ddl.keep_rows(table, where, copy)
    fixes = [
        Fix(
            "Delete the orphans, keeping a copy",
            (keep, ddl.delete(table, where), *after),
            (*undo, ddl.restore_rows(table, copy), *redo),
            locks,
            (
                f"Rows that reference the deleted ones follow their own ON DELETE action; {kept} keeps only {table.sql}.",
                *caveats,
            ),
            recommended=True,
        )
    ]
    # A NULL beside the period is enough under MATCH SIMPLE, and the row keeps its period.
    settable = columns[:-1] if key is not None and key.period and key.match == "s" else columns
    nullable = [name for name in settable if table.by_name[name].takes_null]
    partly = len(nullable) < len(columns)
    if nullable and table.row_key and not (key is not None and key.match == "f" and partly):
        fixes.append(
            Fix(
                "Set the reference to NULL, keeping a copy",
                (keep, ddl.set_null(table, nullable, where), *after),
                (*undo, ddl.restore_values(table, nullable, copy), *redo),
                locks,
                (f"What each row pointed to stands only in {kept} afterwards.", *caveats),
            )
        )
    fixes.append(
        Fix(
            "Restore the missing parents from a backup, then validate",
            after,
            undo if key is None or declared is not None else (),
            locks if after else "",
            ("Find the missing keys with the predicate above.",),
        )
    )
    return tuple(fixes)


def cleaned(
    answer: Answer,
    table: Table,
    columns: tuple[str, ...],
    wanted: str,
    after: tuple[str, ...],
    undo: tuple[str, ...],
    redo: tuple[str, ...],
    locks: str,
    caveats: tuple[str, ...],
    types: dict[str, str] | None = None,
    about: str = "",
) -> tuple[Fix, ...]:
    """Put the values of the columns right, where `wanted` says what belongs there, or delete the rows; then `after`.

    `undo` and `redo` take a constraint away and back for the rollback. `types` are columns that the copy keeps as another;
    `about` is the name of what is broken, where the columns do not tell.
    """
    where = answer.evidence.where or "false"
    copy = ddl.free_name(table, table.name, *((about,) if about else columns), "violations")
    keep = ddl.keep_rows(table, where, copy, types)
    plain = [name for name in columns if not table.by_name[name].generated]
    made = []
    if plain:
        values = ", ".join(f"{ident(name)} = {ddl.fill_in(f'{wanted}: {table.by_name[name].type}')}" for name in plain)
        back = (*undo, ddl.restore_values(table, plain, copy), *redo) if table.row_key else ()
        lost = () if back else (f"{table.sql} has no key: which row held which value cannot be told afterwards.",)
        unset = "Forgotten, a REPLACE is a syntax error and changes nothing; what the right value is, only you know."
        made.append(
            Fix(
                f"Put {listed([ident(name) for name in plain])} right, keeping a copy",
                (keep, f"UPDATE {ddl.target(table)} SET {values} WHERE {where};", *after),
                back,
                locks,
                (unset, *lost, *caveats),
            )
        )
    made.append(
        Fix(
            "Delete the rows, keeping a copy",
            (keep, ddl.delete(table, where), *after),
            (*undo, ddl.restore_rows(table, copy), *redo),
            locks,
            ("Rows that reference the deleted ones follow their own ON DELETE action.", *caveats),
        )
    )
    return (made[0].recommend(), *made[1:])
