"""A composite reference is half NULL, so nobody checks it.

Under MATCH SIMPLE, the default, one NULL among the columns of a foreign key excuses the row: `(7, NULL)` is admitted, whether
a parent 7 exists or not, no join finds it, and ON DELETE passes it by. Mostly one value was forgotten, not the reference.

Not flagged: rows whose reference is NULL as a whole; MATCH FULL, which refuses such rows; keys that are NOT ENFORCED; a column
that says something of its own, because the primary key or a reference to another table has it too, or because it names the
tenant (`tenant_id` beside `(tenant_id, project_id)`): with the rest NULL such a row points nowhere, as it should.

Fix: MATCH FULL, or a CHECK that says the same where a column has two meanings, or NOT NULL where each row needs a parent;
after the rows are decided: no reference at all, or a whole one.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from auditor import ddl
from auditor.catalog.discriminators import tenant_columns
from auditor.catalog.infer import relations
from auditor.catalog.model import Catalog, ForeignKey, Table
from auditor.check import Ask, Clean, Depth, Finding, Fix, Object, Result, Severity
from auditor.probe import Answer, Matching
from auditor.text import ident, idents, listed, plural, qualified

severity = Severity.WARNING
depths = (Depth.DATA,)


def check(catalog: Catalog) -> Iterator[Result]:
    for table, key, parent in catalog.judged_distinct_keys:
        if len(key.columns) < 2 or key.period or not key.enforced:
            continue
        subject = table.object("constraint", key.name, key.columns)
        own = meant(catalog, table, key, parent)
        open_ = [name for name in key.columns if table.by_name[name].may_hold_null]
        if key.match != "s" or not own or not open_ or (len(own) == 1 and open_ == list(own)):
            yield Clean(subject)
            continue
        absent = " OR ".join(f"{ident(name)} IS NULL" for name in open_)
        probe = Matching(table, f"({pointing(own)}) AND ({absent})", key.columns)
        yield Ask(subject, probe, partial(judged, subject=subject, table=table, key=key, parent=parent, own=own))


def meant(catalog: Catalog, table: Table, key: ForeignKey, parent: Table) -> tuple[str, ...]:
    """The columns that stand for this reference alone; none, when each has a meaning of its own."""
    elsewhere = set(table.primary_key)
    for other, _ in relations(catalog, table):
        if other.referenced is not parent:
            elsewhere.update(other.columns)
    if tenant := tenant_columns(catalog, table, parent):
        elsewhere.add(tenant[0])
    return tuple(name for name in key.columns if name not in elsewhere)


def pointing(own: tuple[str, ...]) -> str:
    return " OR ".join(f"{ident(name)} IS NOT NULL" for name in own)


def judged(
    answer: Answer, subject: Object, table: Table, key: ForeignKey, parent: Table, own: tuple[str, ...]
) -> Finding | None:
    if not answer.count:
        return None
    one = answer.count == 1
    return Finding(
        severity,
        subject,
        title=f"{plural(answer.count, 'row')} of {table.sql} {'points' if one else 'point'} to {parent.sql} with a NULL"
        f" among ({idents(key.columns)}), and {'is' if one else 'are'} not checked",
        message=f"The foreign key {ident(key.name)} is MATCH SIMPLE: a NULL in one of its columns excuses the row, whatever the"
        f" others say. No join finds a parent for such a row, and deleting rows of {parent.sql} passes it by.",
        related=(parent.object(columns=key.referenced_columns),),
        fixes=fixes(answer, table, key, parent, own),
    )


def fixes(answer: Answer, table: Table, key: ForeignKey, parent: Table, own: tuple[str, ...]) -> tuple[Fix, ...]:
    where = answer.evidence.where or "false"
    copy = ddl.free_name(table, table.name, *own, "partial")
    kept = qualified(table.schema, copy)
    emptied = table.row_key and all(table.by_name[name].takes_null for name in own)
    cleaned: tuple[str, ...]
    back: tuple[str, ...]
    if emptied:
        cleaned = (ddl.keep_rows(table, where, copy), ddl.set_null(table, own, where))
        back = (ddl.restore_values(table, own, copy), f"DROP TABLE {kept};")
        said = (f"What is left of each reference stands only in {kept} afterwards.",)
    else:
        cleaned, back = (filled(ddl.target(table), table, key, where),), ()
        said = ("Nothing takes the values back that are filled in; forgotten, a REPLACE is a syntax error.",)
    how = "no reference where it is half" if emptied else "whole references"
    made = []
    if own == key.columns:
        made.append(
            Fix(
                f"MATCH FULL: all columns or none; first {how}",
                (*cleaned, *ddl.replace_foreign_key(table, replace(key, match="f"), parent)),
                (*ddl.replace_foreign_key(table, key, parent), *back),
                f"{ddl.LOCK_ROWS}; the key: {ddl.LOCK_SWAP_KEY if table.kind != 'p' else ddl.LOCK_SWAP_WHOLE};"
                f" VALIDATE: {ddl.LOCK_VALIDATE}",
                said,
            )
        )
    name = ddl.short(table.name, *own, "whole")
    none = " AND ".join(f"{ident(column)} IS NULL" for column in own)
    alone = " NO INHERIT" if table.only and table.children else ""  # the key does not speak of their rows either
    every = " AND ".join(f"{ident(column)} IS NOT NULL" for column in key.columns)
    made.append(
        Fix(
            f"A CHECK: all columns or none; first {how}",
            (
                *cleaned,
                f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(name)} CHECK (({none}) OR ({every})){alone} NOT VALID;",
                ddl.validate(table, name),
            ),
            (ddl.drop_constraint(table, name), *back),
            f"{ddl.LOCK_ROWS}; ADD: {ddl.LOCK_ALTER} (NOT VALID: no row is read); VALIDATE: {ddl.LOCK_VALIDATE}",
            said,
        )
    )
    made.append(required(table, key))
    return (made[0].recommend(), *made[1:])


def filled(target: str, table: Table, key: ForeignKey, where: str) -> str:
    """UPDATE that completes the references of the rows that a predicate finds."""
    values = [
        f"{ident(name)} = COALESCE({ident(name)}, {ddl.fill_in(f'{name}: {table.by_name[name].type}')})"
        for name in key.columns
        if table.by_name[name].may_hold_null
    ]
    return f"UPDATE {target} SET {', '.join(values)} WHERE {where};"


def required(table: Table, key: ForeignKey) -> Fix:
    names = [name for name in key.columns if table.by_name[name].takes_null]
    absent = " OR ".join(f"{ident(name)} IS NULL" for name in names)
    alter = f"ALTER TABLE {table.sql}"
    return Fix(
        "NOT NULL: each row needs its parent",
        (
            filled(table.sql, table, key, absent),  # NOT NULL holds for inheritance children too
            f"{alter} {', '.join(f'ALTER COLUMN {ident(name)} SET NOT NULL' for name in names)};",
        ),
        (f"{alter} {', '.join(f'ALTER COLUMN {ident(name)} DROP NOT NULL' for name in names)};",),
        f"{ddl.LOCK_ROWS}; SET NOT NULL: ACCESS EXCLUSIVE on the table while all rows are read",
        (
            f"Rows without any reference need one too: every NULL in {listed([ident(n) for n in names])} has to be filled in.",
            "The rollback takes NOT NULL back, not the values that were filled in.",
        ),
    )
