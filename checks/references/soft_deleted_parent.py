"""Live rows belong to a parent that is soft-deleted.

Marking a row as deleted is an UPDATE: no foreign key looks, no cascade runs, and what hangs on the row stays. Queries that leave
deleted parents out lose these rows, queries that forget to still show them, and restoring the parent is the only thing that
makes sense of both. An error where the configuration names the columns that mark deletion and the rows should go with their
parent: they are soft-deleted themselves, or their foreign key says ON DELETE CASCADE. Otherwise a warning; only worth
knowing where the rows know no deletion at all.

Not flagged: rows that are deleted themselves; tables that keep history, by their name (`audit_log`, `order_history`) or under
`history` of `[soft_delete]`; references that say who did something (`created_by`, `author_id`); pairs that are companions, whose
states another check compares; rows that also have a live parent; inferred relations that most rows refute.

Fix: restore the parents, or delete the children the way their parents are deleted.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from auditor import ddl
from auditor.catalog.discriminators import believed, credits_somebody, keeps_history
from auditor.catalog.infer import relations, states
from auditor.catalog.model import Catalog, ForeignKey, Reference, SoftDelete
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.companion_remedies import assignments, update
from auditor.probe import Answer, Pairs, Unmatched, referenced_name
from auditor.text import idents, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA,)


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        for relation, key in relations(catalog, table):
            parent = relation.referenced
            tombstone = catalog.soft_deletes.get(parent.oid)
            if tombstone is None:
                continue
            subject = table.object("constraint" if key else "column", key.name if key else "", relation.columns)
            if keeps_history(catalog, table) or credits_somebody(relation.columns) or compared(catalog, relation):
                yield Clean(subject)
                continue
            own = catalog.soft_deletes.get(table.oid)
            live = " AND ".join(f"({part})" for part in (relation.where, own.live if own else None) if part)
            unique = key is not None or set(relation.referenced_columns) in map(set, parent.keys)
            probe = replace(
                Pairs.of_key(table, key, parent) if key else Pairs.of(relation),
                where=live or None,
                referenced_where=tombstone.deleted,
                unless=None if unique else tombstone.live,
            )
            verdict = partial(judged, catalog=catalog, subject=subject, relation=relation, key=key, probe=probe)
            if relation.configured:
                yield Ask(subject, probe, verdict)
            else:
                first = partial(borne_out, subject=subject, relation=relation, probe=probe, then=verdict)
                yield Ask(subject, Unmatched.of(relation), first)


def compared(catalog: Catalog, relation: Reference) -> bool:
    """Whether the two are companions whose states companion-state-drift compares."""
    return any(
        companion.companion is relation.table
        and companion.table is relation.referenced
        and set(companion.companion_columns) == set(relation.columns)
        and (companion.configured or companion.exactly_one)
        and states(catalog, companion)
        for companion in catalog.companions
    )


def borne_out(
    answer: Answer, subject: Object, relation: Reference, probe: Pairs, then: partial[Finding | None]
) -> Ask | None:
    return Ask(subject, probe, then) if believed(answer.examined, answer.count, relation) else None


def judged(
    answer: Answer, catalog: Catalog, subject: Object, relation: Reference, key: ForeignKey | None, probe: Pairs
) -> Finding | None:
    if not answer.count:
        return None
    table, parent = relation.table, relation.referenced
    tombstone, own = catalog.soft_deletes[parent.oid], catalog.soft_deletes.get(table.oid)
    goes_along = own is not None or (key is not None and key.on_delete == "c")
    proven = relation.configured and tombstone.configured and (own is None or own.configured)
    one = answer.count == 1
    rows = plural(answer.count, "live row" if own else "row")
    if own:
        said = f"{table.sql} marks its own deleted rows, and these are not marked."
    elif goes_along:
        said = "The foreign key says ON DELETE CASCADE: the rows should go with their parent, and marking it deletes nothing."
    else:
        said = f"Rows of {table.sql} know no deletion: they may be meant to stay."
    return Finding(
        (Severity.ERROR if proven else Severity.WARNING)
        if goes_along
        else (Severity.WARNING if proven else Severity.INFO),
        subject,
        title=f"{rows} of {table.sql} {'belongs' if one else 'belong'} to"
        f" {plural(answer.groups, 'deleted row')} of {parent.sql}",
        message=f"({idents(relation.columns)}) points to rows of {parent.sql} whose {tombstone.deleted}. {said} Queries that"
        " leave deleted parents out lose these rows; others still show them.",
        confidence=Confidence.PROVEN if proven else Confidence.SUSPECTED,
        related=(parent.object(columns=relation.referenced_columns),),
        fixes=fixes(answer, relation, tombstone, own, probe),
    )


def fixes(
    answer: Answer, relation: Reference, tombstone: SoftDelete, own: SoftDelete | None, probe: Pairs
) -> tuple[Fix, ...]:
    table, parent = relation.table, relation.referenced
    where = answer.evidence.where or "false"
    made = []
    revived = assignments(parent, tombstone.live, holds=True)
    if revived is not None:
        child = referenced_name(parent)
        joined = " AND ".join(probe.joins(child, parent.name))
        live = f"{probe.where} AND " if probe.where else ""
        only = "ONLY " if table.only and table.children else ""
        owners = f"({tombstone.deleted}) AND EXISTS (SELECT 1 FROM {only}{table.sql} AS {child} WHERE {live}{joined})"
        caveats = ["Make sure that each of them was not meant to go.", "A unique key may refuse what was taken since."]
        made.append(
            update(f"Restore the rows of {parent.sql}", parent, revived, owners, caveats, (table.name, *probe.columns))
        )
    ended = assignments(table, own.deleted, holds=True) if own else None
    if ended is not None:
        made.append(update(f"Soft-delete the rows of {table.sql} too", table, ended, where, [], probe.columns))
    copy = ddl.free_name(table, table.name, *probe.columns, "of_deleted")
    deleted = Fix(
        f"Delete the rows of {table.sql}, keeping a copy",
        (ddl.keep_rows(table, where, copy), ddl.delete(table, where)),
        (ddl.restore_rows(table, copy), f"DROP TABLE {qualified(table.schema, copy)};"),
        ddl.LOCK_ROWS,
        (f"Rows that reference the deleted ones follow their own ON DELETE action; the copy keeps only {table.sql}.",),
    )
    if ended is None:
        made.append(deleted)
    return (made[0].recommend(), *made[1:])
