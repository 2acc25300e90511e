"""Rows point to a parent row that is not there.

Joins drop these rows silently, pages that load the parent fail, and the constraint that should forbid them cannot be
validated. PostgreSQL lets them in under a foreign key that is NOT VALID or NOT ENFORCED, while its triggers are off
(ALTER TABLE ... DISABLE TRIGGER, session_replication_role = replica), and when a trigger cancels a cascade: a foreign
key that says "validated" may still have orphans. At the default depth the foreign keys that are not enforced and the
references of the configuration are read (a foreign key that one of them names, too); at depth full, every foreign key.
A PERIOD foreign key (18 and later) asks for more: the periods of the parents that match, taken together, must cover the
period of the row. VALIDATE CONSTRAINT and ENFORCED let such a row in as soon as one parent overlaps (seen on 18.4).

Not flagged: rows whose reference is NULL, as MATCH SIMPLE or MATCH FULL excuse it; partitions on their own (their rows
are counted with the partitioned table); a row of an inheritance child of the referenced table is no parent, as for
PostgreSQL's own check; rows outside the `where` of a configured reference.

Fix: delete the orphans, or set the reference to NULL where it may be, or restore the parents; then validate the key.
"""

from collections.abc import Iterator
from functools import partial

from auditor.catalog.model import Catalog, ForeignKey, Reference
from auditor.check import Ask, Depth, Finding, Object, Result, Severity
from auditor.probe import Answer, Unmatched
from auditor.remedies import orphan_fixes
from auditor.text import ident, idents, listed, plural

severity = Severity.ERROR
depths = (Depth.DATA, Depth.FULL)


def check(catalog: Catalog) -> Iterator[Result]:
    declared = set()
    for table, key, parent in catalog.judged_distinct_keys:
        subject = table.object("constraint", key.name, key.columns)
        relation = Reference(table, key.columns, parent, key.referenced_columns, configured=True)
        declared.add(relation.pairs)
        depth = Depth.FULL if key.vouched and relation.pairs not in catalog.configured else Depth.DATA
        judge = partial(verdict, subject=subject, relation=relation, key=key)
        yield Ask(subject, Unmatched.of_key(table, key, parent), judge, depth=depth)
    for reference in catalog.references:
        if reference.configured and (reference.where or reference.pairs not in declared):
            subject = reference.table.object("column", columns=reference.columns)
            yield Ask(subject, Unmatched.of(reference), partial(verdict, subject=subject, relation=reference, key=None))


def verdict(answer: Answer, subject: Object, relation: Reference, key: ForeignKey | None) -> Finding | None:
    if not answer.count:
        return None
    table, parent = relation.table, relation.referenced
    one = answer.count == 1
    if key is not None and key.period:
        title = (
            f"{plural(answer.count, 'row')} of {table.sql} {'is' if one else 'are'} not covered by rows of {parent.sql}"
        )
        wanted = (
            f"The rows of {parent.sql} ({idents(key.referenced_columns)}) that match should cover the whole period of"
            f" each row of {table.sql} ({idents(key.columns)}), and in part or in whole they do not."
        )
    else:
        title = (
            f"{plural(answer.count, 'row')} of {table.sql} {'points' if one else 'point'} to"
            f" {plural(answer.groups, 'row')} of {parent.sql} that {'does' if answer.groups == 1 else 'do'} not exist"
        )
        names = listed([f"{table.sql}.{ident(name)}" for name in relation.columns])
        wanted = f"{names} should name a row of {parent.sql} ({idents(relation.referenced_columns)})."
    return Finding(
        severity,
        subject,
        title=title,
        message=f"{wanted} {why(key)} Joins drop the orphans silently, and whatever loads their parent fails.",
        related=(parent.object(columns=relation.referenced_columns),),
        fixes=orphan_fixes(answer, relation, key),
        defect=relation.orphans,
    )


def why(key: ForeignKey | None) -> str:
    if key is None:
        return "No foreign key declares this relation: nothing prevents more of them."
    if not key.enforced:
        return "The foreign key is NOT ENFORCED: it checks nothing."
    if not key.fires:
        return "Triggers of the foreign key are disabled: it checks in part, or not at all."
    if not key.validated:
        return "The foreign key is NOT VALID: rows that were there before it were never checked."
    overlap = "VALIDATE or ENFORCED took a parent that overlaps for one that covers, or " if key.period else ""
    return (
        f"The server calls the foreign key valid, but {overlap}it was bypassed"
        " (disabled triggers, the replica role, or a cascade that a trigger cancelled)."
    )
