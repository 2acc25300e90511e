"""Rows break a CHECK that is declared.

A CHECK that is NOT VALID never looked at the rows that were there before it, and it is not harmless to them: every UPDATE
of such a row fails with 23514 unless it puts the value right, even `SET a = a`, so that nothing else about the row can be
changed either. A CHECK of a domain fails where the value passes through the domain again: a cast, an assignment, a function.
A CHECK that is NOT ENFORCED (18 and later) refuses nothing at all. A CHECK that calls a function may become false later,
while it is called valid; and then a dump of the table does not restore. At the default depth the CHECKs that are not valid
are read, of tables and of the domains their columns have; at depth full, every CHECK.

Not flagged: rows for which the CHECK is NULL, which satisfy it; partitions on their own (their rows are counted with the
partitioned table whose CHECK they inherit); rows of inheritance children with their parent's (each table is read on its
own, as NO INHERIT asks); domains inside composite types, which are not looked into.

Fix: put the values right, or delete the rows, keeping a copy, then VALIDATE; or drop the CHECK, if nobody means it.
"""

import re
from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.arbiter import acting
from auditor.catalog.model import Catalog, Column, Constraint, Table
from auditor.check import Ask, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.probe import Answer, Matching
from auditor.remedies import cleaned
from auditor.text import ident, one_line_sql, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA, Depth.FULL)

ADMITTED = "a value that the CHECK admits"
# Deparsed text: a string or a quoted name, which is left alone, or the word VALUE.
_VALUE = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|\bVALUE\b""")


def check(catalog: Catalog) -> Iterator[Result]:
    checked = {kind.oid for kind in catalog.types.values() if kind.checks or kind.element}
    for table in catalog.judged_tables:
        if not table.holds_rows:
            continue
        for constraint in table.constraints:
            if constraint.type == "c" and constraint.expression and not (table.is_partition and constraint.inherited):
                subject = table.object("constraint", constraint.name, constraint.columns)
                probe = Matching(table, f"({one_line_sql(constraint.expression)}) IS FALSE", constraint.columns)
                judge = partial(of_table, catalog=catalog, subject=subject, table=table, constraint=constraint)
                mine = table.owner == catalog.server.user
                yield left(catalog, subject, constraint, mine) or Ask(subject, probe, judge, depth=depth_of(constraint))
        for column in () if table.is_partition else table.columns:
            if column.type_oid not in checked:
                continue
            for constraint, condition in through(catalog, column.type_oid, ident(column.name)):
                subject = table.object("column", constraint.name, (column.name,))
                probe = Matching(table, condition, (column.name,))
                judge = partial(
                    of_domain, catalog=catalog, subject=subject, table=table, column=column, constraint=constraint
                )
                yield left(catalog, subject, constraint) or Ask(subject, probe, judge, depth=depth_of(constraint))


def left(catalog: Catalog, subject: Object, constraint: Constraint, mine: bool = False) -> NotChecked | None:
    """Why it is not evaluated: a CHECK of another owner that does more than compute, under a login that may do much."""
    name = None if mine else acting(constraint.expression or "", catalog)
    if name is None:
        return None
    me, what = ident(catalog.server.user), ident(constraint.name)
    said = f"evaluating the CHECK {what} would run {ident(name)}, which may do more than compute, under {me}"
    return NotChecked(subject, "unsafe_code", said, depth_of(constraint))


def depth_of(constraint: Constraint) -> Depth:
    return Depth.FULL if constraint.validated else Depth.DATA


def through(catalog: Catalog, kind: int, value: str, level: int = 0) -> Iterator[tuple[Constraint, str]]:
    """Every CHECK of the domains a value passes through, with the condition under which it is broken: arrays by element."""
    found = catalog.types.get(kind)
    if found is None:
        return
    for constraint in found.checks:
        if constraint.expression:
            said = _VALUE.sub(lambda m: m[1] or value, one_line_sql(constraint.expression))
            yield constraint, f"({said}) IS FALSE"
    if found.element:
        element = f"element{level or ''}"
        for constraint, condition in through(catalog, found.element, element, level + 1):
            elements = f"pg_catalog.unnest({value}) AS {element}"
            yield constraint, f"EXISTS (SELECT 1 FROM {elements} WHERE {condition})"


def of_table(answer: Answer, catalog: Catalog, subject: Object, table: Table, constraint: Constraint) -> Finding | None:
    if not answer.count:
        return None
    rows = plural(answer.count, "row")
    broken = f"{rows} of {table.sql} {'breaks' if answer.count == 1 else 'break'} the CHECK {ident(constraint.name)}"
    if not constraint.enforced:
        title = f"{broken}, which is NOT ENFORCED"
        why = "It refuses nothing: more such rows come in, and it cannot be switched on but by making it anew."
    elif not constraint.validated:
        title = f"{broken} and cannot be updated any more"
        why = (
            "Any UPDATE of such a row fails with SQLSTATE 23514 unless it puts the value right, even one that changes"
            " nothing (SET a = a), and one that a cascade makes."
        )
    else:
        title = f"{broken}, which the server calls valid"
        why = (
            "It was true when they were written: it calls a function whose answer has changed, or was bypassed."
            " Any UPDATE of such a row fails with SQLSTATE 23514, and so does restoring a dump of the table."
        )
    return Finding(
        severity,
        subject,
        title=title,
        message=f"The rule is {one_line_sql(constraint.expression or '')}, and for these rows it is false. {why}",
        fixes=table_fixes(answer, catalog, table, constraint),
    )


def of_domain(
    answer: Answer, catalog: Catalog, subject: Object, table: Table, column: Column, constraint: Constraint
) -> Finding | None:
    if not answer.count:
        return None
    domain = name_of(catalog, constraint)
    state = (
        "" if constraint.validated else "The CHECK is NOT VALID: values that were there before it were never checked. "
    )
    return Finding(
        severity,
        subject,
        title=f"{plural(answer.count, 'row')} of {table.sql} {'holds' if answer.count == 1 else 'hold'} a value in"
        f" {ident(column.name)} that the CHECK {ident(constraint.name)} of the domain {domain} forbids",
        message=f"The rule is {one_line_sql(constraint.expression or '')}, and for these values it is false. {state}Reading"
        " goes on; but whatever takes such a value through the domain again, a cast, an assignment or a function, fails"
        " with SQLSTATE 23514.",
        fixes=domain_fixes(answer, catalog, table, column, constraint),
    )


def name_of(catalog: Catalog, constraint: Constraint) -> str:
    kind = catalog.types[constraint.domain]
    return qualified(kind.schema, kind.name)


def origin(catalog: Catalog, table: Table, name: str) -> Table:
    """The table that declares an inherited CHECK: only there can it be dropped."""
    for oid in table.parents:
        parent = catalog.tables.get(oid)
        if parent is not None and any(c.type == "c" and c.name == name for c in parent.constraints):
            return origin(catalog, parent, name)
    return table


def table_fixes(answer: Answer, catalog: Catalog, table: Table, constraint: Constraint) -> tuple[Fix, ...]:
    declared = origin(catalog, table, constraint.name) if constraint.inherited else table
    rule = f"CHECK ({one_line_sql(constraint.expression or '')}){' NO INHERIT' if constraint.no_inherit else ''}"
    add = f"ADD CONSTRAINT {ident(constraint.name)} {rule}"
    drop = ddl.drop_constraint(declared, constraint.name)
    as_it_was = f"ALTER TABLE {declared.sql} {add} {'NOT VALID' if constraint.enforced else 'NOT ENFORCED'};"
    validate = ddl.validate(table, constraint.name)
    locks = f"{ddl.LOCK_ROWS}; VALIDATE: {ddl.LOCK_VALIDATE}"
    if constraint.enforced and not constraint.validated:
        after: tuple[str, ...] = (validate,)
    else:  # VALIDATE refuses the one that is not enforced, and does nothing about the one that is called valid
        swap = f"ALTER TABLE {declared.sql} DROP CONSTRAINT {ident(constraint.name)}, {add} NOT VALID;"
        after = (swap, ddl.validate(declared, constraint.name))
        locks = f"{ddl.LOCK_ROWS}; the new CHECK: {ddl.LOCK_ALTER}; VALIDATE: {ddl.LOCK_VALIDATE}"
    caveats: tuple[str, ...] = ()
    if declared is not table:
        caveats = (f"The CHECK is declared by {declared.sql}, and the rollback changes it for all that inherits it.",)
    elif table.only and table.children and not constraint.no_inherit:
        caveats = (
            f"VALIDATE reads the tables that inherit from {table.sql} too, and fails while their rows break it.",
        )
    return (
        *cleaned(
            answer,
            table,
            constraint.columns,
            ADMITTED,
            after,
            (drop,),
            (as_it_was,),
            locks,
            caveats,
            about=constraint.name,
        ),
        Fix(
            "Drop the CHECK, if nobody means it any more",
            (drop,),
            (as_it_was,),
            ddl.LOCK_ALTER,
            ("Nothing refuses such rows then.", *caveats),
        ),
    )


def domain_fixes(
    answer: Answer, catalog: Catalog, table: Table, column: Column, constraint: Constraint
) -> tuple[Fix, ...]:
    domain = name_of(catalog, constraint)
    alter = f"ALTER DOMAIN {domain}"
    name = ident(constraint.name)
    drop = f"{alter} DROP CONSTRAINT {name};"
    as_it_was = f"{alter} ADD CONSTRAINT {name} CHECK ({one_line_sql(constraint.expression or '')}) NOT VALID;"
    validate = f"{alter} VALIDATE CONSTRAINT {name};"
    locks = f"{ddl.LOCK_ROWS}; VALIDATE: SHARE on every table with a column of the domain while its rows are read: writes wait"
    caveats = (
        f"VALIDATE reads every column of {domain}: it fails while another one holds such a value, and where a column is an"
        " array or a row of it.",
    )
    types = base_types(catalog, table)  # VALIDATE would read a copy that has columns of the domain too
    about = f"{column.name}_{constraint.name}"
    return (
        *cleaned(
            answer, table, (column.name,), ADMITTED, (validate,), (drop,), (as_it_was,), locks, caveats, types, about
        ),
        Fix(
            "Drop the CHECK from the domain, if nobody means it any more",
            (drop,),
            (as_it_was,),
            "the domain alone, for a moment: no table",
            ("It goes for every column of the domain.",),
        ),
    )


def base_types(catalog: Catalog, table: Table) -> dict[str, str]:
    """For each column of a domain, or of an array of one, by name, the type below it, as SQL: what the domain demands, a
    copy need not hold."""
    found = {}
    for column in table.columns:
        base = catalog.types[column.base_oid]
        element = catalog.types.get(base.element)
        if element is not None and element.base != element.oid:
            below = catalog.types[element.base]
            found[column.name] = f"{qualified(below.schema, below.name)}[]"
        elif column.type_oid != column.base_oid:
            found[column.name] = qualified(base.schema, base.name)
    return found
