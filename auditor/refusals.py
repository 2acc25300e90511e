"""What refuses NULL in a column, and how to admit it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditor import ddl
from auditor.catalog.model import Catalog, Table
from auditor.nulls import always_false
from auditor.text import ident, idents, qualified


@dataclass(frozen=True)
class Refusal:
    """What refuses NULL in a column: in words, with the SQLSTATE, and as statements that admit NULL and forbid it again.

    Nothing `allow`s it where the refusal cannot be taken away on its own.
    """

    why: str
    sqlstate: str
    allow: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    of_domain: bool = False


def refusing(catalog: Catalog, table: Table, name: str, columns: set[str]) -> Iterator[Refusal]:
    """All that refuses NULL in the column, where all `columns` are set together."""
    column, kind = table.by_name[name], catalog.types.get(table.by_name[name].type_oid)  # none: a composite type
    alter = f"ALTER TABLE {table.sql}"
    if name in table.primary_key:
        yield Refusal("part of the primary key", "23502")
    if column.not_null:
        unread = [c.name for c in table.constraints if c.type == "n" and c.columns == (name,) and not c.validated]
        forbid = f"{alter} ALTER COLUMN {ident(name)} SET NOT NULL;"
        if unread:  # SET NOT NULL would read the rows, which may hold NULL already
            forbid = f"{alter} ADD CONSTRAINT {ident(unread[0])} NOT NULL {ident(name)} NOT VALID;"
        yield Refusal("NOT NULL", "23502", (f"{alter} ALTER COLUMN {ident(name)} DROP NOT NULL;",), (forbid,))
    if kind is not None and kind.demanding:
        over = [f"ALTER DOMAIN {qualified(d.schema, d.name)}" for d in map(catalog.types.__getitem__, kind.demanding)]
        yield Refusal(
            f"of the domain {qualified(kind.schema, kind.name)}, which is NOT NULL",
            "23502",
            tuple(f"{domain} DROP NOT NULL;" for domain in over),
            tuple(f"{domain} SET NOT NULL;" for domain in over),
            of_domain=True,
        )
    if kind is not None and any(always_false(check.expression, ("VALUE",)) for check in kind.checks):
        yield Refusal(f"of the domain {column.type}, whose CHECK forbids NULL", "23514")
    checks = [c for c in table.constraints if c.type == "c" and c.enforced and name in c.columns]
    # A composite value that is not NULL may be IS NULL all the same (documentation: Comparison Functions and Operators).
    filled = {
        c.name
        for c in (table.columns if checks else ())
        if c.type_oid in catalog.types and c.name not in columns and not c.may_hold_null
    }
    for constraint in checks:
        alone = always_false(constraint.expression, (name,), filled)
        if alone or (len(columns) > 1 and always_false(constraint.expression, columns, filled)):
            forbidden = "NULL" if alone else f"NULL in all of ({idents(sorted(columns & set(constraint.columns)))})"
            add = f"{alter} ADD CONSTRAINT {ident(constraint.name)} {constraint.definition};"
            drop = () if constraint.inherited else (ddl.drop_constraint(table, constraint.name),)
            yield Refusal(f"under the CHECK {ident(constraint.name)}, which forbids {forbidden}", "23514", drop, (add,))
    if any(
        i.enforces and i.nulls_not_distinct and i.predicate is None and set(i.columns or ()) == columns
        for i in table.indexes
    ):
        yield Refusal("unique with NULLS NOT DISTINCT, so that one row at most can be NULL", "23505")
