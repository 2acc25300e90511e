"""A foreign key promises SET NULL on a column that cannot be NULL.

PostgreSQL accepts the definition and fails when it is used: deleting (or re-keying) a referenced row raises 23502, or
23514 where a CHECK forbids NULL, and the application shows an error for an ordinary deletion. The counts say how many
referenced rows cannot be deleted today because rows point to them.

Not flagged: `SET NULL (columns)` lists (15 and later) that leave the column out; columns that take NULL; keys that set
nothing to NULL.

Fix: NO ACTION, which says what happens anyway; or DROP NOT NULL, so that the promise can be kept; or CASCADE.
"""

from collections.abc import Iterator
from functools import partial

from auditor.action_remedies import otherwise
from auditor.catalog.model import Catalog, ForeignKey, Table
from auditor.check import Ask, Clean, Depth, Finding, Object, Result, Severity
from auditor.probe import Answer, Pairs
from auditor.refusals import Refusal, refusing
from auditor.text import ident, listed, plural

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)


Refused = dict[str, tuple[Refusal, ...]]  # by column; the first one is told


def check(catalog: Catalog) -> Iterator[Result]:
    for table, key, parent in catalog.foreign_keys:
        if "n" not in (key.on_delete, key.on_update) or not key.enforced:
            continue
        subject = table.object("constraint", key.name, key.columns)
        refused = conflicts(catalog, table, key)
        if not refused:
            yield Clean(subject)
            continue
        finding = partial(
            judged, catalog=catalog, subject=subject, table=table, key=key, parent=parent, refused=refused
        )
        # The parents whose deletion fails now: those another row points to.
        probe = Pairs(
            parent,
            key.referenced_columns,
            table,
            key.columns,
            operators=key.operators,
            casts=key.casts,
            reverse=True,
            other_row=table is parent,
            referenced_where=null_exists(table, key) if only_one_null(refused) else None,
        )
        yield Ask(subject, probe, finding, unread=finding(None))


def conflicts(catalog: Catalog, table: Table, key: ForeignKey) -> Refused:
    """Each column that SET NULL would set and that cannot be NULL, and what refuses it."""
    columns = [c for c in key.columns if c in set_to_null(key)]
    found = {name: refusals for name in columns if (refusals := tuple(refusing(catalog, table, name, set(columns))))}
    if key.match == "f" and key.delete_set_columns and set(key.delete_set_columns) != set(key.columns) and not found:
        alone = Refusal("set to NULL alone, which MATCH FULL forbids", "23503")
        found = {name: (alone,) for name in key.delete_set_columns}
    return found


def set_to_null(key: ForeignKey) -> set[str]:
    return set(key.columns) if key.on_update == "n" else set(key.delete_set_columns or key.columns)


def only_one_null(refused: Refused) -> bool:
    """Whether NULL is admitted, but once: what is deleted first may succeed."""
    return all(refusal.sqlstate == "23505" for refusals in refused.values() for refusal in refusals)


def null_exists(table: Table, key: ForeignKey) -> str:
    """The condition, in SQL, under which a row is NULL already where the key would set NULL."""
    nulls = " AND ".join(f"taken.{ident(name)} IS NULL" for name in sorted(set_to_null(key)))
    return f"EXISTS (SELECT 1 FROM {'ONLY ' if table.only else ''}{table.sql} AS taken WHERE {nulls})"


def judged(
    answer: Answer | None,
    catalog: Catalog,
    subject: Object,
    table: Table,
    key: ForeignKey,
    parent: Table,
    refused: Refused,
) -> Finding:
    verbs = [verb for action, verb in ((key.on_delete, "deleted"), (key.on_update, "re-keyed")) if action == "n"]
    clause = listed([f"ON {'DELETE' if verb == 'deleted' else 'UPDATE'} SET NULL" for verb in verbs])
    column, (refusal, *_) = next(iter(refused.items()))
    reason = f"{table.sql}.{ident(column)} is {refusal.why}, but {clause}"
    done = listed(verbs, "or")
    if answer is None:
        title = f"Referenced rows of {parent.sql} cannot be {done}: {reason}"
    elif answer.count:
        title = f"{answer.count:,} of {plural(answer.examined, 'row')} of {parent.sql} cannot be {done}: {reason}"
    else:
        title = f"Rows of {parent.sql} cannot be {done} once referenced: {reason}"
    above = cascading(catalog, parent)
    once = f"one row of {table.sql} is NULL there and another" if only_one_null(refused) else f"one row of {table.sql}"
    message = (
        f"The foreign key {ident(key.name)} promises to set {listed([ident(c) for c in refused])} to NULL,"
        f" and the column refuses: the statement fails with SQLSTATE {refusal.sqlstate} as soon as {once}"
        f" points to the row of {parent.sql}."
    )
    if above:
        message += f" Deleting from {listed(above, 'or')} fails too, where it cascades to such rows."
    return Finding(
        severity,
        subject,
        title=title,
        message=message,
        related=(parent.object(columns=key.referenced_columns),),
        fixes=otherwise("n", table, key, parent, [r for refusals in refused.values() for r in refusals]),
    )


def cascading(catalog: Catalog, table: Table) -> list[str]:
    """Tables whose deletes cascade down to `table`."""
    reached = {table.oid}
    todo, found = [table], []
    while todo:
        current = todo.pop()
        for key in current.foreign_keys:
            if key.on_delete == "c" and key.referenced not in reached and key.referenced in catalog.tables:
                reached.add(key.referenced)
                todo.append(catalog.tables[key.referenced])
                found.append(catalog.tables[key.referenced].sql)
    return sorted(found)
