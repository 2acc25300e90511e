"""A column is a reference in all but name: no foreign key declares it.

Nothing prevents orphans, a deleted parent leaves its children behind without an error, and the planner and every tool that
reads the schema know nothing of the relation. It is inferred: the column is called after exactly one table, or after a role
(`created_by`, `parent_id`), its comment says so, or columns of its name are foreign keys elsewhere; it has the type of that
table's key; and the rows bear it out. Since small integers are contained in any dense key, the name is the evidence there and
the rows can only refute it: with more than 5 % orphans (half, for uuids) it is no reference. So this is never more than
suspected; the configuration (`[[reference]]`, which `auditor init` proposes) makes it proven.

Not flagged: columns under a foreign key or in the configuration; polymorphic columns (`x_type` beside `x_id`); ids of other
systems (`external_id`, `trace_id`, `stripe_customer_id`); keys that are neither integers nor uuids, or of another type than
the parent's; integers whose name only hints, like an abbreviation (`auditor init` asks more of their rows and proposes them);
names that two tables answer to; logs, archives and copies, which keep what is gone; fewer than 10 rows that
point somewhere, or to another row than themselves; views, and partitions on their own.

Fix: a foreign key, added NOT VALID and validated afterwards; where rows are orphans, they are cleaned in between.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.infer import FEWEST_ROWS, most_orphans, tellable
from auditor.catalog.model import Catalog, Reference, Table
from auditor.check import Ask, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.probe import Answer, Matching, Unmatched
from auditor.remedies import declaring, orphan_fixes
from auditor.text import ident, idents, plural

severity = Severity.WARNING
depths = (Depth.DATA,)


def check(catalog: Catalog) -> Iterator[Result]:
    for reference in catalog.references:
        if not reference.configured and tellable(reference):
            subject = reference.table.object("column", columns=reference.columns)
            yield Ask(subject, Unmatched.of(reference), partial(read, subject=subject, reference=reference))


def read(answer: Answer, subject: Object, reference: Reference) -> Finding | Ask | None:
    """The verdict on the orphans; where NULLs may hide how few rows point anywhere, they are counted first.

    So are rows that point to themselves: a second copy of a row's own key is contained in the keys whatever it means.
    """
    if answer.examined < FEWEST_ROWS or answer.count > answer.examined * most_orphans(reference):
        return None
    columns = reference.columns
    if reference.table is reference.referenced:
        columns = tuple(dict.fromkeys((*columns, *reference.referenced_columns)))
        pairs = zip(reference.columns, reference.referenced_columns, strict=True)
        condition = " AND ".join(f"{ident(mine)} <> {ident(theirs)}" for mine, theirs in pairs if mine != theirs)
    elif any(reference.table.by_name[name].may_hold_null for name in reference.columns):
        condition = " AND ".join(f"{ident(name)} IS NOT NULL" for name in reference.columns)
    else:
        return judged(answer.examined, answer, subject, reference)
    pointing = Matching(reference.table, condition, columns)
    return Ask(subject, pointing, lambda counted: judged(counted.count, answer, subject, reference))


def judged(pointing: int, answer: Answer, subject: Object, reference: Reference) -> Finding | None:
    table, parent = reference.table, reference.referenced
    if pointing < FEWEST_ROWS or answer.count > pointing * most_orphans(reference):
        return None
    names = idents(reference.columns)
    column = f"{table.sql}.{names}" if len(reference.columns) == 1 else f"{table.sql} ({names})"
    if answer.count:
        title = (
            f"{answer.count:,} of {plural(pointing, 'row')} of {table.sql} {'points' if answer.count == 1 else 'point'} to"
            f" {plural(answer.groups, 'row')} of {parent.sql} that {'does' if answer.groups == 1 else 'do'} not exist,"
            f" and no foreign key declares {names}"
        )
        fixes = orphan_fixes(answer, reference, None)
    else:
        title = f"No foreign key declares {column}, and all of {plural(pointing, 'row')} point to rows of {parent.sql}"
        fixes = (declare(reference),)
    return Finding(
        Severity.WARNING if answer.count else Severity.INFO,
        subject,
        title=title,
        message=f"{column} looks like a reference: {reference.evidence}, and {pointing - answer.count:,} of"
        f" {plural(pointing, 'row')} find their row there. Nothing prevents orphans: INSERT takes any value, and deleting a"
        f" row of {parent.sql} asks nobody. If it is no reference, ignore this finding with that reason.",
        confidence=Confidence.SUSPECTED,
        related=(parent.object(columns=reference.referenced_columns),),
        evidence=answer.evidence,
        fixes=fixes,
        defect=reference.orphans,
    )


def declare(reference: Reference) -> Fix:
    table, parent = reference.table, reference.referenced
    name, statements, locks = declaring(reference)
    caveats = [
        f"Deleting a row of {parent.sql} that is still referenced fails with 23503 then; choose ON DELETE CASCADE or SET NULL"
        " where that is meant.",
    ]
    if not indexed(table, reference.columns):
        caveats.append(
            f"No index begins with {idents(reference.columns)}: every DELETE from {parent.sql} reads all of {table.sql}."
        )
    if parent.kind == "r" and parent.children:
        caveats.append(f"Rows of tables that inherit from {parent.sql} are no parents to a foreign key.")
    return Fix(
        "Declare the foreign key",
        statements,
        (ddl.drop_constraint(table, name),),
        locks,
        tuple(caveats),
        recommended=True,
    )


def indexed(table: Table, columns: tuple[str, ...]) -> bool:
    return any(
        index.live and index.valid and index.predicate is None and index.keys and index.keys[0].column == columns[0]
        for index in table.indexes
    )
