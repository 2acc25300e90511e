"""A chain of parents comes back to where it began.

A row whose parent's parent is the row itself has no root: a recursive query over the hierarchy never ends, a tree view leaves
the whole branch out, and totals count it twice or not at all. No constraint forbids it; a CHECK stops only rows that are
their own parent. Counted are rows on a cycle, and the cycles; rows below one are not on it. An error for hierarchies, by a
foreign key or the configuration; a warning where the relation is only inferred.

Not flagged: rows that point to themselves, where the configuration says that marks a root (`self_is_root = true` in a
`[[reference]]`); relations that are no hierarchy: not called after a parent, manager or the like, and most of whose rows
point at each other (`spouse_id`, `counterpart_id`); references to columns that are no key are not checked.

Fix: break each cycle where it is wrong; the SQL proposes one row of each.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from auditor import ddl
from auditor.catalog.discriminators import believed
from auditor.catalog.infer import relations, words
from auditor.catalog.model import Catalog, ForeignKey, Reference
from auditor.check import Ask, Confidence, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.probe import Answer, Cycles, Matching, Unmatched
from auditor.text import ident, idents, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA,)

_UPWARDS = {
    *("parent", "manager", "boss", "supervisor", "superior", "reports", "ancestor", "above", "upper", "head", "root"),
    *("predecessor", "previous", "replaces", "supersedes"),
}


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        for relation, key in relations(catalog, table):
            if relation.referenced is not table:
                continue
            subject = table.object("constraint" if key else "column", key.name if key else "", relation.columns)
            if key is None and set(relation.referenced_columns) not in map(set, table.keys):
                said = f"({idents(relation.referenced_columns)}) is no key: a row might have several parents"
                yield NotChecked(subject, "unsupported", said, Depth.DATA)
                continue
            marked = (table.oid, tuple(sorted(relation.columns))) in catalog.self_roots
            asked = Cycles.of_key(table, key, table) if key else Cycles.of(relation)
            probe = replace(asked, only=True, other_row=marked)
            verdict = partial(judged, subject=subject, relation=relation, key=key, probe=probe)
            if relation.configured:
                yield Ask(subject, probe, verdict)
            else:
                yield Ask(
                    subject, Unmatched.of(relation), partial(borne_out, subject=subject, probe=probe, then=verdict)
                )


def borne_out(answer: Answer, subject: Object, probe: Cycles, then: partial[Finding | Ask | None]) -> Ask | None:
    """Looks for cycles where the rows bear out that an inferred reference is one."""
    reference = Reference(probe.table, probe.columns, probe.referenced, probe.referenced_columns, configured=False)
    return Ask(subject, probe, then) if believed(answer.examined, answer.count, reference) else None


def judged(
    answer: Answer, subject: Object, relation: Reference, key: ForeignKey | None, probe: Cycles
) -> Finding | Ask | None:
    """The verdict on the cycles; where the name says of no hierarchy, it needs to know how many rows point at all."""
    if not answer.count:
        return None
    finding = told(answer, subject, relation, key, probe)
    if {word for name in relation.columns for word in words(name)} & _UPWARDS or (key is None and relation.configured):
        return finding
    pointing = Matching(relation.table, probe.points(relation.table.name), relation.columns)
    return Ask(subject, pointing, lambda counted: None if 2 * answer.count > counted.count else finding)


def told(answer: Answer, subject: Object, relation: Reference, key: ForeignKey | None, probe: Cycles) -> Finding:
    table = relation.table
    one = answer.count == 1
    itself = " Rows that point to themselves count as cycles of one." if not probe.other_row else ""
    return Finding(
        Severity.ERROR if relation.configured else Severity.WARNING,
        subject,
        title=f"{plural(answer.count, 'row')} of {table.sql} {'is its' if one else 'are their'} own"
        f" {'ancestor' if one else 'ancestors'}: ({idents(relation.columns)}) runs in {plural(answer.groups, 'circle')}",
        message=f"Following ({idents(relation.columns)}) from such a row comes back to it: a recursive query over {table.sql}"
        f" never ends, and no way leads there from a root.{itself}",
        confidence=Confidence.PROVEN if relation.configured else Confidence.SUSPECTED,
        evidence=answer.evidence,
        fixes=fixes(answer, relation, key, probe),
    )


def fixes(answer: Answer, relation: Reference, key: ForeignKey | None, probe: Cycles) -> tuple[Fix, ...]:
    table = relation.table
    copy = ddl.free_name(table, table.name, *relation.columns, "cycles")
    keep = ddl.keep_rows(table, answer.evidence.where or "false", copy)
    restored = ddl.restore_values(table, relation.columns, copy)
    back = (restored, f"DROP TABLE {qualified(table.schema, copy)};") if table.row_key else ()
    caveats = [
        "Look at each cycle first: the row that lies first in the table is not always the one that is wrong.",
        "Nothing prevents the next cycle: no constraint can, a trigger or the application has to.",
    ]
    if not table.row_key:
        caveats.append(f"{table.sql} has no key: nothing to roll back by.")
    first = probe.first_of_each()
    taken = [name for name in relation.columns if table.by_name[name].takes_null and name not in table.primary_key]
    made = []
    if taken and not (key is not None and key.match == "f" and len(taken) < len(relation.columns)):
        statement = ddl.set_null(table, taken, first)
        made.append(Fix("Make one row of each cycle a root", (keep, statement), back, ddl.LOCK_ROWS, tuple(caveats)))
    if probe.other_row:
        pairs = zip(relation.columns, relation.referenced_columns, strict=True)
        itself = ", ".join(f"{ident(mine)} = {ident(theirs)}" for mine, theirs in pairs if mine != theirs)
        statement = f"UPDATE {ddl.target(table)} SET {itself} WHERE {first};"
        title = "Let one row of each cycle point to itself, which marks a root"
        made.insert(0, Fix(title, (keep, statement), back, ddl.LOCK_ROWS, tuple(caveats)))
    named = ", ".join(
        f"{ident(name)} = {ddl.fill_in(f'{name}: {table.by_name[name].type}')}"
        for name in taken or relation.columns
        if name not in table.primary_key
    )
    statement = f"UPDATE {ddl.target(table)} SET {named} WHERE {first};"
    made.append(Fix("Give one row of each cycle its parent", (keep, statement), back, ddl.LOCK_ROWS, tuple(caveats)))
    return (made[0].recommend(), *made[1:])
