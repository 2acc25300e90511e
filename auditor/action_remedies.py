"""Ways out of a referential action that cannot be done: an action that can, or a column that admits it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from auditor import ddl
from auditor.catalog.model import ForeignKey, Table
from auditor.check import Fix
from auditor.refusals import Refusal


def otherwise(
    kept: str,
    table: Table,
    key: ForeignKey,
    parent: Table,
    refusals: Sequence[Refusal],
    events: Collection[str] = ("delete", "update"),
) -> tuple[Fix, ...]:
    """Another action, or a column that is as the action needs it. `kept` is the action that cannot be kept, as
    pg_constraint writes it; `refusals` are what refuses the NULL it sets, none where it sets no NULL. Of `events` the action is
    another afterwards. The first fix is the recommended one."""
    back = ddl.replace_foreign_key(table, key, parent)
    later = ddl.may_be_not_valid(table, key)
    locks = f"{ddl.LOCK_SWAP_KEY}; VALIDATE: {ddl.LOCK_VALIDATE}" if later else ddl.LOCK_SWAP_WHOLE

    def with_action(action: str) -> tuple[str, ...]:
        changed = {
            "on_delete": action if key.on_delete == kept and "delete" in events else None,
            "on_update": action if key.on_update == kept and "update" in events else None,
        }
        return ddl.replace_foreign_key(table, key, parent, **changed)

    made = [
        Fix(
            "Say NO ACTION: the deletion is refused as it is now, and the schema says so",
            with_action("a"),
            back,
            locks,
            ("Whoever deletes a row has to move or delete the rows that point to it first.",),
            recommended=True,
        )
    ]
    allow = tuple(dict.fromkeys(statement for refusal in refusals for statement in refusal.allow))
    forbid = tuple(dict.fromkeys(statement for refusal in refusals for statement in refusal.forbid))
    caveats = ["Code that reads the column must expect NULL."]
    if any(refusal.of_domain for refusal in refusals):
        caveats.append("The domain changes for every column that uses it.")
    if refusals and all(refusal.allow for refusal in refusals):
        made.append(
            Fix(
                "Let the column be NULL: the promise is kept",
                allow,
                tuple(reversed(forbid)),
                ddl.LOCK_ALTER,
                (*caveats, "The rollback fails once rows hold NULL."),
            )
        )
    made.append(
        Fix(
            f"CASCADE: rows of {table.sql} go with the row they point to",
            with_action("c"),
            back,
            locks,
            (f"Deleting a row of {parent.sql} then deletes rows of {table.sql}, and what cascades from there.",),
        )
    )
    return tuple(made)
