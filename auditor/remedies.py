"""Fixes that several checks offer. Each takes the answer of the rows, so that its SQL finds exactly the rows counted."""

from __future__ import annotations

from auditor import ddl
from auditor.catalog.model import ForeignKey, Reference
from auditor.check import Fix
from auditor.probe import Answer
from auditor.text import qualified


def orphan_fixes(answer: Answer, relation: Reference, key: ForeignKey | None) -> tuple[Fix, ...]:
    """Delete, set to NULL, or restore the parents; then have the server vouch for the relation.

    `key` is the foreign key that declares the relation, None when none does.
    """
    table, parent, columns = relation.table, relation.referenced, relation.columns
    where = answer.evidence.where or "false"
    copy = ddl.short(table.name, "orphans")
    kept = qualified(table.schema, copy)
    if key is None:
        name = ddl.short(table.name, *columns, "fkey")
        after: tuple[str, ...] = (
            ddl.new_foreign_key(table, columns, parent, relation.referenced_columns, name),
            ddl.validate(table, name),
        )
        undo: tuple[str, ...] = (ddl.drop_constraint(table, name),)
        redo: tuple[str, ...] = ()
    else:
        after = (ddl.validate(table, key.name),) if key.enforced and not key.validated else ()
        # The orphans can only come back while the key is away.
        undo = (ddl.drop_constraint(table, key.name),)
        redo = (ddl.add_foreign_key(table, key, parent),)
    locks = f"{ddl.LOCK_ROWS}; VALIDATE: {ddl.LOCK_VALIDATE}" if after else ddl.LOCK_ROWS
    keep = ddl.keep_rows(table, where, copy)
    fixes = [
        Fix(
            "Delete the orphans, keeping a copy",
            (keep, ddl.delete(table, where), *after),
            (*undo, ddl.restore_rows(table, copy), *redo),
            locks,
            (
                f"Rows that reference the deleted ones follow their own ON DELETE action; {kept} keeps only {table.sql}.",
            ),
            recommended=True,
        )
    ]
    nullable = [name for name in columns if table.by_name[name].takes_null]
    if nullable and table.row_key:
        fixes.append(
            Fix(
                "Set the reference to NULL, keeping a copy",
                (keep, ddl.set_null(table, nullable, where), *after),
                (*undo, ddl.restore_values(table, nullable, copy), *redo),
                locks,
                (f"What each row pointed to stands only in {kept} afterwards.",),
            )
        )
    fixes.append(
        Fix(
            "Restore the missing parents from a backup, then validate",
            after,
            undo if key is None else (),
            ddl.LOCK_VALIDATE if after else "",
            ("Find the missing keys with the predicate above.",),
        )
    )
    return tuple(fixes)
