"""A cascade that the schema promises is cancelled by a trigger or a rule on its way.

ON DELETE CASCADE and SET NULL are ordinary DELETE and UPDATE statements on the referencing table. A BEFORE trigger there that
returns NULL (the usual soft delete), a BEFORE DELETE trigger that returns NEW, or an INSTEAD rule cancels them without an
error (a rule may also make them fail): the parent goes, its children stay as they were, and the foreign key calls itself valid. An error when rows were left behind that way; a warning
while the trigger only may.

Not flagged: triggers that are disabled, that fire AFTER, once per statement, or on columns the action does not set; functions
that return the row; keys whose actions change nothing (NO ACTION, RESTRICT). Functions in other languages than SQL and
PL/pgSQL cannot be read: not checked.

Fix: let the trigger stand aside for cascades, or say NO ACTION so that the parent is not deleted before its children, or
cascade the soft delete; after the rows left behind are cleaned.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from auditor import ddl
from auditor.cancelling import Obstacle, obstacles
from auditor.catalog.model import Catalog, ForeignKey, Reference, Table
from auditor.check import Ask, Clean, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.companion_remedies import assignments, field
from auditor.probe import Answer, Unmatched
from auditor.text import ident, listed, literal, one_line_sql, plural, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)
supersedes = ("references/orphan-rows", "references/orphaned-memberships")

_DEFINITION = re.compile(r'((?:"(?:[^"]|"")*"|[^"])*? FOR EACH ROW )(EXECUTE FUNCTION .*)\Z')


def check(catalog: Catalog) -> Iterator[Result]:
    for table, key, parent in catalog.judged_keys:
        done = actions(key)
        if not done or not key.enforced or key.period:
            continue
        subject = table.object("constraint", key.name, key.columns)
        found: list[Obstacle] = []
        unread: list[str] = []
        for event, columns in done.items():
            some, hidden = obstacles(catalog, table, event, columns)
            found += some
            unread += hidden
        if not found:
            said = f"{listed(unread)} cannot be read"
            yield NotChecked(subject, "unsupported", said) if unread else Clean(subject)
            continue
        judge = partial(judged, catalog=catalog, subject=subject, table=table, key=key, parent=parent, found=found)
        yield Ask(subject, Unmatched.of_key(table, key, parent), judge, unread=judge(None))


def actions(key: ForeignKey) -> dict[str, tuple[str, ...]]:
    """What happens to the referencing rows: the event, and the columns that are set."""
    done: dict[str, tuple[str, ...]] = {}
    if key.on_delete == "c":
        done["delete"] = ()
    if key.on_delete in "nd":
        done["update"] = key.delete_set_columns or key.columns
    if key.on_update in "cnd":
        done["update"] = key.columns
    return done


def judged(
    answer: Answer | None,
    catalog: Catalog,
    subject: Object,
    table: Table,
    key: ForeignKey,
    parent: Table,
    found: list[Obstacle],
) -> Finding:
    said = listed(
        [
            f"ON {verb} {ddl.ACTIONS[action]}"
            for verb, action in (("DELETE", key.on_delete), ("UPDATE", key.on_update))
            if action in "cnd"
        ]
    )
    names = listed([f"{obstacle.name} {obstacle.why}" for obstacle in found])
    count = answer.count if answer is not None else 0
    title = f"{said} of {ident(key.name)} may be cancelled: {listed([obstacle.name for obstacle in found])} stands in the way"
    if count and answer is not None:
        title = (
            f"{plural(count, 'row')} of {table.sql} {'was' if count == 1 else 'were'} left without"
            f" {plural(answer.groups, 'row')} of {parent.sql}: {listed([obstacle.name for obstacle in found])}"
            f" cancels {said}"
        )
    relation = Reference(table, key.columns, parent, key.referenced_columns, configured=True)
    return Finding(
        Severity.ERROR if count else Severity.WARNING,
        subject,
        title=title,
        message=f"{names[:1].upper()}{names[1:]}. The action of the foreign key {ident(key.name)} is such a statement on"
        f" {table.sql}: it is cancelled without an error, the row of {parent.sql} goes, and the rows that point to it stay.",
        related=(
            parent.object(columns=key.referenced_columns),
            *(o.on.object("trigger", o.trigger.name) for o in found if o.trigger is not None),
        ),
        fixes=fixes(answer, catalog, table, key, parent, found),
        defect=relation.orphans if count else None,
    )


# --- fixes ----------------------------------------------------------------------------------------------------------


def fixes(
    answer: Answer | None, catalog: Catalog, table: Table, key: ForeignKey, parent: Table, found: list[Obstacle]
) -> tuple[Fix, ...]:
    cleaned, back, caveats = clean(answer, catalog, table, key, parent, found)
    made = []
    aside, restore = stood_aside(found)
    if aside:
        made.append(
            Fix(
                "Let what is in the way stand aside for cascades",
                (*cleaned, *aside),
                (*restore, *back),
                f"{ddl.LOCK_ROWS}; the triggers: ACCESS EXCLUSIVE on the table, for a moment",
                (
                    "A trigger with this WHEN fires for statements of the application only, not for those that cascades or"
                    " other triggers run.",
                    *caveats,
                ),
            )
        )
    changed = ddl.replace_foreign_key(
        table, key, parent, on_delete="a", on_update="a" if key.on_update in "cnd" else None
    )
    locks = f"{ddl.LOCK_ROWS}; the key: {ddl.LOCK_SWAP_KEY}; VALIDATE: {ddl.LOCK_VALIDATE}"
    refused = f"Deleting a row of {parent.sql} that is still referenced fails with 23503 then."
    made.append(
        Fix(
            "Say NO ACTION: a parent goes after its children, or not at all",
            (*cleaned, *changed),
            (*ddl.replace_foreign_key(table, key, parent), *back),
            locks,
            (refused, *caveats),
        )
    )
    soft = soft_cascade(catalog, table, key, parent)
    if soft is not None:
        sql, undo = soft
        made.append(
            Fix(
                "NO ACTION, and soft-delete the children with their parent",
                (*cleaned, *changed, *sql),
                (*undo, *ddl.replace_foreign_key(table, key, parent), *back),
                f"{locks}; {ddl.LOCK_TRIGGER}",
                (refused, "Rows that are marked already stay as they are.", *caveats),
            )
        )
    return (made[0].recommend(), *made[1:])


def clean(
    answer: Answer | None, catalog: Catalog, table: Table, key: ForeignKey, parent: Table, found: list[Obstacle]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What does to the rows left behind what the action should have done, past the triggers, and takes it back."""
    if answer is None or not answer.count:
        return (), (), ()
    where = answer.evidence.where or "false"
    copy = ddl.free_name(table, table.name, *key.columns, "left_behind")
    off = [ddl.set_trigger(o.on, o.trigger.name, "D") for o in found if o.trigger]
    on = [ddl.set_trigger(o.on, o.trigger.name, o.trigger.enabled) for o in found if o.trigger]
    rules = [o for o in found if o.rule]
    off += [f"ALTER TABLE {o.on.sql} DISABLE RULE {ident(o.rule.name)};" for o in rules if o.rule]
    on += [f"ALTER TABLE {o.on.sql} ENABLE RULE {ident(o.rule.name)};" for o in rules if o.rule]
    keep = ddl.keep_rows(table, where, copy)
    nullable = all(table.by_name[name].takes_null for name in key.columns)
    if key.on_delete == "c" or not (nullable and table.row_key):
        change, restored = ddl.delete(table, where), ddl.restore_rows(table, copy)
    else:
        change, restored = ddl.set_null(table, key.columns, where), ddl.restore_values(table, key.columns, copy)
    # The key refuses the rows: they can only come back while it is away.
    back = (ddl.drop_constraint(table, key.name), *off, restored, *on, f"DROP TABLE {qualified(table.schema, copy)};")
    if table.kind == "p" and catalog.server.major < 18:
        gone = "The rollback leaves the foreign key away: a partitioned table takes none that its rows break."
        return (keep, *off, change, *on), back, (gone,)
    again = ddl.add_foreign_key(table, replace(key, validated=False), parent)
    return (keep, *off, change, *on), (*back, again), ("The rollback makes the foreign key anew, NOT VALID.",)


def stood_aside(found: list[Obstacle]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The triggers made anew so that they do not fire in cascades, and rules dropped; nothing where one cannot be."""
    made, back = [], []
    for obstacle in found:
        if obstacle.rule is not None:
            made.append(f"DROP RULE {ident(obstacle.rule.name)} ON {obstacle.on.sql};")
            back.append(f"{one_line_sql(obstacle.rule.definition).strip().rstrip(';')};")
        elif obstacle.trigger is not None:
            trigger, on = obstacle.trigger, obstacle.on
            parts = _DEFINITION.match(trigger.definition)
            if trigger.condition or parts is None or not trigger.definition.isprintable():
                return (), ()
            drop = f"DROP TRIGGER {ident(trigger.name)} ON {on.sql};"
            state = () if trigger.enabled == "O" else (ddl.set_trigger(on, trigger.name, trigger.enabled),)
            made += [drop, f"{parts[1]}WHEN (pg_catalog.pg_trigger_depth() = 0) {parts[2]};", *state]
            back += [drop, f"{trigger.definition};", *state]
    return tuple(made), tuple(back)


def soft_cascade(
    catalog: Catalog, table: Table, key: ForeignKey, parent: Table
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """A trigger that marks the children when their parent is marked, and what takes it back; None without marks on both."""
    tombstone, own = catalog.soft_deletes.get(parent.oid), catalog.soft_deletes.get(table.oid)
    ended = assignments(table, own.deleted, holds=True) if own else None
    if tombstone is None or own is None or ended is None or key.on_delete != "c":
        return None
    name = ddl.short(parent.name, table.name, "soft_delete")
    function = qualified(parent.schema, name)
    changed = ", ".join(f"{ident(column)} = {value}" for column, value in ended.items())
    pairs = zip(key.columns, key.referenced_columns, strict=True)
    same = " AND ".join(f"{ident(mine)} = {field('NEW', theirs)}" for mine, theirs in pairs)
    body = f"BEGIN UPDATE {ddl.target(table)} SET {changed} WHERE {same} AND {own.live}; RETURN NULL; END"
    return (
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {literal(body).strip()};",
        f"CREATE TRIGGER {ident(name)} AFTER UPDATE ON {parent.sql} FOR EACH ROW WHEN ((NEW.{tombstone.deleted}) AND"
        f" (OLD.{tombstone.deleted}) IS NOT TRUE) EXECUTE FUNCTION {function}();",
    ), (f"DROP TRIGGER {ident(name)} ON {parent.sql};", f"DROP FUNCTION {function}();")
