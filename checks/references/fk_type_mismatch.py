"""A reference and the key it points to are of different types, lengths or collations.

An `integer` that references a `bigint` works until the parent's keys outgrow it: then new parents cannot be referenced and
INSERT fails with 22003. A shorter `varchar` cuts the same way, `timestamptz` beside `timestamp` matches under one TimeZone and
not under another, bit strings of different length never match. With two collations the index of the key does not serve a
join, or the join fails with 42P22. An error where values cannot match: never, or no longer, because the parent's sequence has passed the
reference's type; else a warning.

Not flagged: a reference that is wider within the same family (`bigint` to `integer`, `text` to `varchar`); domains over the
same type; `varchar` without a length beside `text`. Read are foreign keys and references of the configuration.

Fix: ALTER TYPE of the referencing column to the type of the key.
"""

import re
from collections.abc import Iterator

from auditor.catalog.model import Catalog, Column, Reference, Table
from auditor.check import Clean, Depth, Finding, Fix, Object, Result, Severity
from auditor.text import ident, listed, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG,)

# Oids of built-in types (pg_type.dat), by what they can hold: within a family a later one holds more.
_INTEGERS = {21: 2**15 - 1, 23: 2**31 - 1, 20: 2**63 - 1}
_NUMBERS = (21, 23, 20, 1700)
_FLOATS = (700, 701)
_TEXT, _CHAR, _VARCHAR, _NAME = 25, 1042, 1043, 19
_BIT, _VARBIT, _NUMERIC = 1560, 1562, 1700
_DATE, _TIMESTAMP, _TIMESTAMPTZ = 1082, 1114, 1184
_TIMES = {_TIMESTAMP, _TIMESTAMPTZ, 1083, 1266, 1186}
_UNLIMITED = 2**31


def check(catalog: Catalog) -> Iterator[Result]:
    declared = set()
    for table, key, parent in catalog.judged_distinct_keys:
        relation = Reference(table, key.columns, parent, key.referenced_columns, configured=True)
        declared.add(relation.pairs)
        yield judged(catalog, relation, table.object("constraint", key.name, key.columns))
    for reference in catalog.references:
        if reference.configured and reference.pairs not in declared:
            yield judged(catalog, reference, reference.table.object("column", columns=reference.columns))


def judged(catalog: Catalog, relation: Reference, subject: Object) -> Finding | Clean:
    table, parent = relation.table, relation.referenced
    different, sentences, hopeless = [], [], False
    for name, referenced in zip(relation.columns, relation.referenced_columns, strict=True):
        one, other = table.by_name[name], parent.by_name[referenced]
        if (one.type_oid, one.type, one.collation) == (other.type_oid, other.type, other.collation):
            continue
        why, never = mismatch(one, other)
        past = outgrown(catalog, one, parent, other)
        if why:
            different.append((one, other))
            sentences.append(
                f"{table.sql}.{ident(name)} is {said(one)}, {parent.sql}.{ident(referenced)} {said(other)}: {why}."
            )
        if past:
            sentences.append(
                f"Its sequence has come to {past:,}: no row with such a key can be referenced (SQLSTATE 22003)."
            )
        hopeless = hopeless or never or bool(past)
    if not different:
        return Clean(subject)
    pairs = listed([f"{ident(one.name)} {said(one)} for {ident(other.name)} {said(other)}" for one, other in different])
    return Finding(
        Severity.ERROR if hopeless else Severity.WARNING,
        subject,
        title=f"{table.sql} references {parent.sql} by columns of another type: {pairs}",
        message=" ".join(sentences),
        related=(parent.object(columns=relation.referenced_columns),),
        fixes=(alter(catalog, table, parent, different),),
    )


def said(column: Column) -> str:
    """A column's type for the reader, with the collation where it is not the database's."""
    return column.type + (f" COLLATE {qualified(*column.collation)}" if column.collation else "")


def modifiers(column: Column) -> tuple[int, ...]:
    """The numbers behind the name of a type; a domain's are its own business."""
    found = re.search(r"\(([\d, -]+)\)", column.type) if column.type_oid == column.base_oid else None
    return tuple(int(number) for number in found[1].split(",")) if found else ()


def mismatch(one: Column, other: Column) -> tuple[str, bool]:
    """What the referencing column `one` cannot do, for the reader; and whether no values match at all."""
    pair = one.base_oid, other.base_oid
    mine, theirs = modifiers(one), modifiers(other)
    if pair == (_BIT, _BIT) and mine and theirs and mine != theirs:
        return "bit strings of different length are never equal", True
    if one.base_oid != other.base_oid:
        why = across(*pair, bool(mine))
    elif one.type_oid != one.base_oid or other.type_oid != other.base_oid:
        why = ""
    else:
        why = shorter(one.base_oid, mine, theirs)
    if not why and one.category == other.category == "S" and one.collation != other.collation:
        why = (
            "a join that names no collation fails with SQLSTATE 42P22"
            if one.collation and other.collation
            else "the index of the key does not serve a join, which compares under the collation that is named"
        )
    return why, False


def across(one: int, other: int, limited: bool) -> str:
    """What a reference of one base type to another one cannot do."""
    for family in (_NUMBERS, _FLOATS):
        if one in family and other in family:
            return "it cannot hold every key" if family.index(one) < family.index(other) else ""
    pair = {one, other}
    if pair <= {_TEXT, _VARCHAR}:
        return "it cannot hold every key" if one == _VARCHAR and limited else ""
    if _CHAR in pair and pair <= {_TEXT, _VARCHAR, _CHAR}:
        return "character(n) ignores trailing blanks, which the other counts"
    if one in (_TEXT, _VARCHAR) and other == _NAME:
        return ""
    if _TIMESTAMPTZ in pair and pair <= {_DATE, _TIMESTAMP, _TIMESTAMPTZ}:
        return "which rows match depends on the TimeZone of the session"
    if pair == {_DATE, _TIMESTAMP}:
        return "it cannot hold every key" if one == _DATE else ""
    return "the two are compared by way of a conversion"


def shorter(kind: int, mine: tuple[int, ...], theirs: tuple[int, ...]) -> str:
    """What a reference of the same base type cannot do because of its length, precision or scale."""
    if kind in (_VARCHAR, _VARBIT):
        less = (mine or (_UNLIMITED,)) < (theirs or (_UNLIMITED,))
    elif kind in (_CHAR, _BIT):
        less = (mine or (1,)) < (theirs or (1,))
    elif kind in _TIMES:
        less = (mine or (6,)) < (theirs or (6,))
    elif kind == _NUMERIC and mine:
        precision, scale = (*mine, 0)[:2]
        wanted, digits = (*theirs, 0)[:2] if theirs else (_UNLIMITED, 0)
        less = precision - scale < wanted - digits or scale < digits
    else:
        less = False
    return "it cannot hold every key" if less else ""


def outgrown(catalog: Catalog, one: Column, parent: Table, other: Column) -> int:
    """The last value of the parent's sequence, when the referencing column cannot hold it; else 0."""
    most = _INTEGERS.get(one.base_oid)
    if most is None or one.base_oid == other.base_oid:
        return 0
    owned = (s for s in catalog.sequences.values() if s.owner == (parent.oid, other.name) and s.increment > 0)
    last = max((s.last_value or 0 for s in owned), default=0)
    return last if last > most else 0


def alter(catalog: Catalog, table: Table, parent: Table, different: list[tuple[Column, Column]]) -> Fix:
    owner = table
    while owner.parents and owner.parents[0] in catalog.tables:
        above = catalog.tables[owner.parents[0]]
        if any(one.name not in above.by_name for one, _ in different):
            break
        owner = above

    def change(column: Column, wanted: Column) -> str:
        default = ' COLLATE pg_catalog."default"' if column.category == "S" and column.collation else ""
        collation = f" COLLATE {qualified(*wanted.collation)}" if wanted.collation else default
        return f"ALTER COLUMN {ident(column.name)} TYPE {wanted.type}{collation}"

    there = ", ".join(change(one, other) for one, other in different)
    back = ", ".join(change(other, one).replace(ident(other.name), ident(one.name), 1) for one, other in different)
    caveats = [
        "It fails where a view, a rule, a trigger's column list or the partition key uses the column: drop and make those anew.",
        "The rollback fails once there are values that the old type cannot hold.",
    ]
    names = {one.name for one, _ in different}
    children = sorted(
        {child.sql for child, key in catalog.referenced_by.get(table.oid, ()) if names & set(key.referenced_columns)}
    )
    if children:
        caveats.append(
            f"{listed(children)} {'references' if len(children) == 1 else 'reference'} the column: alter that too."
        )
    if owner is not table:
        caveats.append(f"The column comes from {owner.sql}, and changes in all that inherit it.")
    return Fix(
        f"Give the {'column' if len(different) == 1 else 'columns'} the type of the key",
        (f"ALTER TABLE {owner.sql} {there};",),
        (f"ALTER TABLE {owner.sql} {back};",),
        f"ACCESS EXCLUSIVE on {owner.sql} while its rows are written anew (for a moment where only a length grows), and"
        f" SHARE ROW EXCLUSIVE on {parent.sql} while the foreign key is checked again",
        tuple(caveats),
        recommended=True,
    )
