"""A foreign key promises SET DEFAULT, and there is no default that can be set.

PostgreSQL accepts the definition and fails when it is used. A column without default is set to NULL: where it cannot be
NULL, deleting (or re-keying) a referenced row raises 23502, or 23514 where a CHECK forbids NULL. A default that is no row
of the referenced table raises 23503. The counts say how many referenced rows cannot be deleted today because rows point to
them. A default is looked for only where it is a constant, and only in a table that has rows.

Not flagged: a default that is a row of the referenced table (though that row itself cannot be deleted while rows point to
it); no default on a column that takes NULL; `SET DEFAULT (columns)` lists (15 and later) that leave the column out;
defaults that are computed anew for each row or by functions that are not PostgreSQL's own, which are not evaluated; keys
that are NOT ENFORCED or switched off.

Fix: NO ACTION, which says what happens anyway; or DROP NOT NULL, or SET NULL; or CASCADE; or a default that is there.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from auditor import ddl
from auditor.action_remedies import otherwise
from auditor.catalog.model import Catalog, ForeignKey, Table
from auditor.check import Ask, Clean, Depth, Finding, Fix, Object, Result, Severity
from auditor.defaults import Default, change, default_of, judgeable, missing
from auditor.probe import Answer, Pairs
from auditor.refusals import Refusal, refusing
from auditor.text import ident, listed, plural

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)
supersedes = ("nullability/default-violates-check",)


def check(catalog: Catalog) -> Iterator[Result]:
    for table, key, parent in catalog.judged_keys:
        acts = key.enforced and all(trigger.fires for trigger in key.referenced_triggers)
        if "d" not in (key.on_delete, key.on_update) or not acts:
            continue
        subject = table.object("constraint", key.name, key.columns)
        columns = key.columns if key.on_update == "d" else key.delete_set_columns or key.columns
        defaults = {name: default_of(catalog, table.by_name[name]) for name in columns}
        values = {name: default for name, default in defaults.items() if default is not None}
        nulls = set(columns) - set(values)
        refusals = [
            (name, refusal) for name in columns if name in nulls for refusal in refused(catalog, table, name, nulls)
        ]
        if key.match == "f" and nulls != set(key.columns):
            half = Refusal("set to NULL beside columns that are not, which MATCH FULL forbids", "23503")
            refusals += [(name, half) for name in columns if name in nulls]
        judge = partial(judged, subject=subject, table=table, key=key, parent=parent)
        if refusals:
            finding = partial(judge, refusals=refusals, values={})
            yield counted(subject, table, key, parent, finding, finding(None))
        elif nulls or not judgeable(values.values()):
            yield Clean(subject)
        elif all(trigger.fires for trigger in key.referencing_triggers):
            finding = partial(judge, refusals=[], values=values)
            yield missing(subject, table, key, parent, values, counted(subject, table, key, parent, finding))


def refused(catalog: Catalog, table: Table, name: str, nulls: set[str]) -> Iterator[Refusal]:
    """What refuses every NULL: a key that admits one of them is another's business."""
    return (refusal for refusal in refusing(catalog, table, name, nulls) if refusal.sqlstate != "23505")


def counted(
    subject: Object,
    table: Table,
    key: ForeignKey,
    parent: Table,
    finding: Callable[[Answer | None], Finding],
    unread: Finding | None = None,
) -> Ask:
    """Counts the parents whose deletion fails now: those another row points to."""
    probe = replace(Pairs.back(parent, key, table), other_row=table is parent)
    return Ask(subject, probe, finding, unread=unread)


def judged(
    answer: Answer | None,
    subject: Object,
    table: Table,
    key: ForeignKey,
    parent: Table,
    refusals: list[tuple[str, Refusal]],
    values: dict[str, Default],
) -> Finding:
    verbs = [verb for action, verb in ((key.on_delete, "deleted"), (key.on_update, "re-keyed")) if action == "d"]
    clause = listed([f"ON {'DELETE' if verb == 'deleted' else 'UPDATE'} SET DEFAULT" for verb in verbs])
    done = listed(verbs, "or")
    if refusals:
        column, refusal = refusals[0]
        why = f"{table.sql}.{ident(column)} has no default and is {refusal.why}"
        sqlstate = refusal.sqlstate
        detail = "SET DEFAULT without a default is SET NULL, and the column refuses it"
    else:
        many = len(values) > 1
        names = listed([f"{table.sql}.{ident(name)}" for name in values])
        why = f"the default{'s' if many else ''} of {names}, {listed([d.text for d in values.values()])}, {'are' if many else 'is'} no row of {parent.sql}"
        sqlstate = "23503"
        detail = (
            f"The foreign key {ident(key.name)} is looked at again after SET DEFAULT, and finds no row of {parent.sql}"
        )
    if answer is None:
        title = f"Referenced rows of {parent.sql} cannot be {done}: {why}, but {clause}"
    elif answer.count:
        title = f"{answer.count:,} of {plural(answer.examined, 'row')} of {parent.sql} cannot be {done}: {why}, but {clause}"
    else:
        title = f"Rows of {parent.sql} cannot be {done} once referenced: {why}, but {clause}"
    late = ", at COMMIT at the latest" if key.deferrable and sqlstate == "23503" else ""
    message = (
        f"{detail}: the statement fails with SQLSTATE {sqlstate} as soon as one row of {table.sql} points to the row of"
        f" {parent.sql}{late}."
    )
    if values and len(values) == len(key.columns):
        message += f" An INSERT into {table.sql} that leaves {'them' if len(values) > 1 else 'it'} out fails too."
    return Finding(
        severity,
        subject,
        title=title,
        message=message,
        related=(parent.object(columns=key.referenced_columns),),
        fixes=fixes(table, key, parent, [refusal for _, refusal in refusals], values),
        defect=("default without parent", table.oid, key.oid) if values else None,
    )


def fixes(
    table: Table, key: ForeignKey, parent: Table, refusals: list[Refusal], values: dict[str, Default]
) -> tuple[Fix, ...]:
    first, *others = otherwise("d", table, key, parent, refusals)
    if values and all(table.by_name[name].takes_null for name in values):
        action = {f"on_{event}": "n" for event in ("delete", "update") if getattr(key, f"on_{event}") == "d"}
        others.insert(
            0,
            Fix(
                f"SET NULL: rows of {table.sql} stay and point nowhere",
                ddl.replace_foreign_key(table, key, parent, **action),
                ddl.replace_foreign_key(table, key, parent),
                first.locks,
                ("Code that reads the column must expect NULL.",),
            ),
        )
    if values:
        others.append(change(table, list(values.values()), f"the key of a row of {parent.sql} that stays"))
    return (first, *others)
