"""Rows hold NULL in a column that is declared NOT NULL.

A NOT NULL that is NOT VALID (18 and later) never looked at the rows that were there before it: every UPDATE of such a row
fails with 23502, even one that changes another column. Into a column whose domain is NOT NULL a NULL comes by an outer join
or a subquery without row, which pass by the domain: reading goes on, but a cast, an assignment or a function that takes the
value through the domain fails, and so does restoring a dump. Under a NOT NULL that is called valid no NULL can be; where one
is, because the catalog was changed by hand or pages are damaged, the planner may take it for impossible (from 17 on, IS NULL
finds no such row). At the default depth the columns under NOT NULL NOT VALID and of NOT NULL domains are read, at depth full
all others that are NOT NULL too: each table once for all of them.

Not flagged: values inside arrays and composite types, which are not looked into; a composite value of nothing but NULLs,
which NOT NULL admits; partitions on their own, but for what their partitioned table does not demand.

Fix: fill in a value, or delete the rows, keeping a copy, then VALIDATE; or let the column be NULL.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.model import Catalog, Column, Table
from auditor.check import Ask, Depth, Finding, Fix, Object, Result, Severity
from auditor.probe import Answer, Matching
from auditor.refusals import Refusal, refusing
from auditor.text import ident, idents, plural

severity = Severity.ERROR
depths = (Depth.DATA, Depth.FULL)

_MOST = 100  # arguments of a function (documentation: PostgreSQL Limits)


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_tables:
        if not table.holds_rows:
            continue
        demanding = [c for c in table.columns if not c.takes_null and not demanded_above(catalog, table, c)]
        doubtful = [c for c in demanding if c.may_hold_null or c.domain_not_null]
        vouched = [c for c in demanding if c not in doubtful]
        for depth, columns in ((Depth.DATA, doubtful), (Depth.FULL, vouched)):
            if columns:
                subject = table.object(columns=tuple(c.name for c in columns))
                yield question(catalog, subject, table, columns, depth)


def demanded_above(catalog: Catalog, table: Table, column: Column) -> bool:
    """Whether a partition's rows are read for this column with the partitioned table."""
    parents = [catalog.tables[oid] for oid in table.parents if table.is_partition and oid in catalog.tables]
    return any(not parent.by_name[column.name].takes_null for parent in parents)


def question(catalog: Catalog, subject: Object, table: Table, columns: list[Column], depth: Depth) -> Ask:
    """Where any of the columns is NULL; of several, each is asked alone only if so."""
    names = tuple(column.name for column in columns)
    # The server drops IS NULL as impossible, and takes a row of NULLs for NULL; num_nulls() does neither.
    parts = (f"pg_catalog.num_nulls({idents(names[n : n + _MOST])}) > 0" for n in range(0, len(names), _MOST))
    if len(columns) == 1:
        subject = table.object("column", columns=names)
        verdict = partial(judged, catalog=catalog, subject=subject, table=table, column=columns[0])
        return Ask(subject, Matching(table, next(parts), names), verdict, depth=depth)

    def each(answer: Answer) -> tuple[Ask, ...] | None:
        return tuple(question(catalog, subject, table, [c], depth) for c in columns) if answer.count else None

    return Ask(subject, Matching(table, " OR ".join(parts), names), each, depth=depth)


def judged(answer: Answer, catalog: Catalog, subject: Object, table: Table, column: Column) -> Finding | None:
    if not answer.count:
        return None
    refusals = list(refusing(catalog, table, column.name, {column.name}))
    name = ident(column.name)
    rows = f"{plural(answer.count, 'row')} of {table.sql} {'holds' if answer.count == 1 else 'hold'} NULL in {name}"
    if column.not_null and not column.not_null_validated:
        title = f"{rows} and cannot be updated any more: it is NOT NULL, NOT VALID"
        message = (
            "They were there before the NOT NULL, which never looked at them. Any UPDATE of such a row fails with SQLSTATE"
            f" 23502 unless it fills {name} in, even one that changes another column, and one that a cascade makes."
        )
    elif column.not_null:
        title = f"{rows}, which the server calls impossible: it is NOT NULL"
        message = (
            "The catalog was changed by hand, or pages are damaged. Any UPDATE of such a row fails with SQLSTATE 23502, and"
            " so does restoring a dump of the table; queries may not find the rows, since the planner counts on NOT NULL"
            " (from PostgreSQL 17 on it drops IS NULL)."
        )
    else:
        title = f"{rows}, {refusals[0].why}"
        message = (
            "An outer join or a subquery without row brings NULL past a domain. Reading goes on; but whatever takes the"
            " value through the domain again, a cast, an assignment or a function, fails with SQLSTATE 23502, and so does"
            " restoring a dump of the table."
        )
    fixes = ways_out(answer, table, column, refusals)
    return Finding(severity, subject, title=title, message=message, fixes=fixes)


def ways_out(answer: Answer, table: Table, column: Column, refusals: list[Refusal]) -> tuple[Fix, ...]:
    where = answer.evidence.where or "false"
    name, copy = ident(column.name), ddl.free_name(table, table.name, column.name, "without")
    keep = ddl.keep_rows(table, where, copy)
    unread = [
        c.name for c in table.constraints if c.type == "n" and c.columns == (column.name,)
    ]  # not valid, all of them
    validate = tuple(ddl.validate(table, constraint) for constraint in unread)
    # What demands a value has to be away for NULL to come back. Only what is not valid can be put back over it.
    away = tuple(statement for refusal in refusals for statement in refusal.allow)
    again = tuple(statement for refusal in refusals for statement in refusal.forbid)
    locks = f"{ddl.LOCK_ROWS}; VALIDATE: {ddl.LOCK_VALIDATE}" if validate else ddl.LOCK_ROWS
    plain_domain = not column.not_null  # a value that comes from a column of the same domain is not looked at again
    made = []

    def taken_back(restored: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if plain_domain:
            return restored, ()
        if unread and all(refusal.allow for refusal in refusals):
            return (*away, *restored, *again), ()
        return (), (f"Nothing brings the NULLs back: {name} refuses them. The rows as they were stay in the copy.",)

    if not column.generated:
        value = ddl.fill_in(f"{column.name}: a value, or an expression over the row, {column.type}")
        back, lost = taken_back((ddl.restore_values(table, (column.name,), copy),) if table.row_key else ())
        if not table.row_key:
            back, lost = (), (f"{table.sql} has no key: which row held NULL cannot be told afterwards.",)
        unset = "Forgotten, a REPLACE is a syntax error and changes nothing; what the right value is, only you know."
        if column.not_null:
            lost = (
                *lost,
                "A row that holds NULL in another such column too takes no UPDATE that does not fill both in.",
            )
        sql = (keep, f"UPDATE {ddl.target(table)} SET {name} = {value} WHERE {where};", *validate)
        made.append(Fix(f"Fill {name} in, keeping a copy of the rows", sql, back, locks, (unset, *lost)))
    back, lost = taken_back((ddl.restore_rows(table, copy),))
    cascades = "Rows that reference the deleted ones follow their own ON DELETE action."
    made.append(
        Fix(
            "Delete the rows, keeping a copy",
            (keep, ddl.delete(table, where), *validate),
            back,
            locks,
            (cascades, *lost),
        )
    )
    if all(refusal.allow for refusal in refusals):
        caveats = ["Code that reads the column must expect NULL."]
        if any(refusal.of_domain for refusal in refusals):
            caveats.append("The domain changes for every column that uses it.")
        comes_back = again if unread else ()
        if not comes_back:
            caveats.append("NOT NULL cannot be declared again while the rows hold NULL.")
        lock = "the domain alone, for a moment: no table" if plain_domain else ddl.LOCK_ALTER
        made.append(Fix("Let the column be NULL", away, comes_back, lock, tuple(caveats)))
    return (made[0].recommend(), *made[1:])
