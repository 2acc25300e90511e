"""Memberships point to something that is not there, and may be all that a member has.

A link table says who belongs where: two references or more, and little else. An orphan in it is an entry to a place that is
gone: the user still "has" a workspace, every page that opens it fails, and a login that begins with the first membership
fails before anything else can be done. So the members are counted too: those all of whose memberships are orphans, and who
have nothing else. Read are foreign keys that are not enforced, references of the configuration and inferred ones; at depth
full, every foreign key. What is only inferred is at most a warning.

Not flagged: memberships with NULL for a reference, which point nowhere; members who have another membership that is whole;
tables with columns of their own beyond an id, times, flags, role and the like (their orphans are other findings); inferred
relations that most rows refute.

Fix: delete the orphaned memberships, keeping a copy, or restore what they point to, or let the members in elsewhere; then
declare or validate the foreign key.
"""

import re
from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.infer import FEWEST_ROWS, is_link_table, relations, singular
from auditor.catalog.model import Catalog, ForeignKey, Reference, Table
from auditor.check import Ask, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.probe import Answer, Unmatched, stranded
from auditor.remedies import orphan_fixes
from auditor.text import ident, idents, one_line, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA, Depth.FULL)
supersedes = ("references/orphan-rows", "references/missing-fk")


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        if not is_link_table(catalog, table):
            continue
        ends = relations(catalog, table)
        for end, key in ends:
            subject = table.object("constraint" if key else "column", key.name if key else "", end.columns)
            depth = Depth.DATA if key is None or not key.vouched or end.pairs in catalog.configured else Depth.FULL
            probe = question(end, key)
            yield Ask(subject, probe, partial(orphans, subject=subject, end=end, key=key), depth=depth)
            for other, other_key in ends:
                if pairs(table, end, other, len(ends)):
                    members = Object("table", other.referenced.schema, other.referenced.name, table.name, end.columns)
                    ask = partial(whose, subject=members, end=end, key=key, other=other, other_key=other_key)
                    yield Ask(members, probe, ask, depth=depth)


def question(end: Reference, key: ForeignKey | None) -> Unmatched:
    return Unmatched.of_key(end.table, key, end.referenced) if key is not None else Unmatched.of(end)


def pairs(table: Table, end: Reference, other: Reference, count: int) -> bool:
    """Whether `other` says whose membership a row is: with `end` it makes a key, or there is nothing else."""
    both = {*end.columns, *other.columns}
    distinct = not set(end.columns) & set(other.columns) and other.referenced is not end.referenced
    return distinct and (count == 2 or any(both <= set(key) for key in table.keys))


def believed(answer: Answer, end: Reference) -> bool:
    """Whether there are orphans. Two references beside each other are evidence: half of the rows may be orphans of an inferred one."""
    few = answer.examined < FEWEST_ROWS or answer.count * 2 > answer.examined
    return bool(answer.count) and (end.configured or not few)


def orphans(answer: Answer, subject: Object, end: Reference, key: ForeignKey | None) -> Finding | None:
    if not believed(answer, end):
        return None
    table = end.table
    named = f"{table.sql} ({idents(end.columns)})"
    how = "No foreign key declares it." if key is None else f"Its foreign key {ident(key.name)} did not prevent that."
    if not end.configured:
        how = f"No foreign key declares it; {end.evidence}."
    return Finding(
        Severity.ERROR if end.configured else Severity.WARNING,
        subject,
        title=f"{plural(answer.count, 'membership')} in {table.sql} {'points' if answer.count == 1 else 'point'} to"
        f" {things(answer.groups, end.referenced)} that {'does' if answer.groups == 1 else 'do'} not exist",
        message=f"{named} should name a row of {end.referenced.sql} ({idents(end.referenced_columns)}). {how} Lists that"
        " join the two lose the entry silently, and whatever opens it fails.",
        confidence=Confidence.PROVEN if end.configured else Confidence.SUSPECTED,
        related=(end.referenced.object(columns=end.referenced_columns),),
        fixes=orphan_fixes(answer, end, key),
        defect=end.orphans,
    )


def whose(
    answer: Answer,
    subject: Object,
    end: Reference,
    key: ForeignKey | None,
    other: Reference,
    other_key: ForeignKey | None,
) -> Ask | None:
    """The next question, where there are orphans: who has nothing else."""
    if not believed(answer, end):
        return None
    verdict = partial(left, orphaned=answer, subject=subject, end=end, key=key, other=other)
    return Ask(subject, stranded(question(end, key), question(other, other_key)), verdict)


def left(
    answer: Answer, orphaned: Answer, subject: Object, end: Reference, key: ForeignKey | None, other: Reference
) -> Finding | None:
    if not answer.count:
        return None
    table, members, one = end.table, other.referenced, answer.count == 1
    proven = end.configured and other.configured
    gone = things(2, end.referenced).removeprefix("2 ")
    return Finding(
        Severity.ERROR if proven else Severity.WARNING,
        subject,
        title=f"{things(answer.count, members)} {'is' if one else 'are'} left with no {noun(end.referenced)}:"
        f" all {'its' if one else 'their'} memberships in {table.sql} point to {gone} that do not exist",
        message=f"{plural(answer.examined, 'row')} of {members.sql} {'has' if answer.examined == 1 else 'have'} orphaned"
        f" memberships; {answer.count:,} of them {'has' if one else 'have'} no other. A test for membership passes, and what"
        " begins with the first membership, like a login, fails.",
        confidence=Confidence.PROVEN if proven else Confidence.SUSPECTED,
        related=(table.object(columns=end.columns), end.referenced.object(columns=end.referenced_columns)),
        fixes=fixes(answer, orphaned, end, key, other),
    )


def noun(table: Table) -> str:
    """What one row is called: `workspace` for `workspaces`; `row of app.team` where the name is no plain plural."""
    *first, last = table.name.split("_")
    if re.fullmatch(r"[a-z]+(_[a-z]+)*", table.name) and singular(last) != last:
        return " ".join((*first, singular(last)))
    return f"row of {one_line(table.sql)}"


def things(count: int, table: Table) -> str:
    """`3 workspaces`, `3 rows of app.team`."""
    one = noun(table)
    several = f"rows of {one_line(table.sql)}" if one.startswith("row of ") else table.name.replace("_", " ")
    return plural(count, one, several)


def fixes(
    answer: Answer, orphaned: Answer, end: Reference, key: ForeignKey | None, other: Reference
) -> tuple[Fix, ...]:
    table, members = end.table, other.referenced
    copy = ddl.free_name(members, members.name, table.name, *end.columns, "stranded")
    kept = qualified(members.schema, copy)
    given = dict(zip(other.columns, other.referenced_columns, strict=True))
    needed = [
        column
        for column in table.columns
        if column.name in end.columns
        or (
            (column.name not in given and not column.takes_null and column.default is None)
            and not column.identity
            and not column.generated
        )
    ]
    names = (*given, *(column.name for column in needed))
    values = (
        *(f"kept.{ident(name)}" for name in given.values()),
        *(ddl.fill_in(f"{column.name}: {column.type}") for column in needed),
    )
    same = " AND ".join(f"{ident(table.name)}.{ident(mine)} = kept.{ident(theirs)}" for mine, theirs in given.items())
    chosen = " AND ".join(
        f"{ident(table.name)}.{ident(c)} = {ddl.fill_in(f'{c}: the one given above')}" for c in end.columns
    )
    admit = Fix(
        f"Let each of them into another {noun(end.referenced)}",
        (
            ddl.keep_rows(members, answer.evidence.where or "false", copy),
            f"INSERT INTO {table.sql} ({idents(names)}) SELECT {', '.join(values)} FROM {kept} AS kept;",
        ),
        (f"DELETE FROM {ddl.target(table)} USING {kept} AS kept WHERE {same} AND {chosen};",),
        ddl.LOCK_ROWS,
        (
            "Forgotten, a REPLACE is a syntax error and changes nothing.",
            "The orphaned memberships are still there afterwards.",
        ),
        recommended=True,
    )
    cleaned = orphan_fixes(orphaned, end, key)
    alone = f"They have no {noun(end.referenced)} at all then, and no row that says so."
    delete, *_, restore = cleaned
    return (
        admit,
        Fix(restore.title, restore.sql, restore.rollback, restore.locks, restore.caveats),
        Fix(delete.title, delete.sql, delete.rollback, delete.locks, (*delete.caveats, alone)),
    )
