"""What a column is given where nobody gives it a value: its DEFAULT, or that of its domain.

Of defaults only those are judged that are constants to the server: `Constants` has it fold them, which runs nothing that
could be another's code. What is computed anew for each row (now(), nextval) is not folded, and not judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from auditor import ddl
from auditor.arbiter import builtin
from auditor.catalog.model import Catalog, Column, ForeignKey, Table
from auditor.check import Ask, Finding, Fix, Object
from auditor.probe import Answer, Constants, Matching, sign
from auditor.text import ident, listed, one_line_sql

# How an assignment shortens, or refuses to: a cast that is written cuts the value off without a word (documentation:
# Character Types, Bit String Types). The function's second argument is the type modifier: four bytes more for text.
_LENGTH = re.compile(r"(character varying|character|bit varying|bit)\((\d+)\)")
_COERCIONS = {
    "character varying": ("varchar", "pg_catalog.varchar", 4),
    "character": ("bpchar", "pg_catalog.bpchar", 4),
    "bit varying": ("varbit", "pg_catalog.varbit", 0),
    "bit": ('"bit"', 'pg_catalog."bit"', 0),
}
_SIMPLE = re.compile(r"'([^'\\]*)'::(?:character varying|bpchar|text)")
_SMALL = re.compile(r"'?-?\d{1,4}'?(?:::\w+)?")
_NUMBERS = re.compile(r"smallint|integer|bigint|numeric\(.*\)")


@dataclass(frozen=True, slots=True)
class Default:
    """The default of a column, as SQL, and the type that it takes on, under all domains and with its length."""

    column: Column
    text: str
    type: str
    of_domain: bool

    @property
    def assigned(self) -> str:
        """The value, as SQL, as it comes into the column; where it does not fit, evaluating it raises 22001, 22003 or 22026."""
        cut = _LENGTH.fullmatch(self.type)
        if cut is None:
            return f"({self.text})::{self.type}"
        bare, function, more = _COERCIONS[cut[1]]
        return f"{function}(({self.text})::{bare}, {int(cut[2]) + more}, false)"

    @property
    def fits(self) -> bool | None:
        """Whether it certainly is of the type's length and range; None where only the server can tell."""
        cut = _LENGTH.fullmatch(self.type)
        if cut is None and not _NUMBERS.fullmatch(self.type):
            return True
        simple = _SIMPLE.fullmatch(self.text)
        small = not self.type.startswith("numeric") and _SMALL.fullmatch(self.text)
        short = cut is not None and simple is not None and len(simple[1]) <= int(cut[2]) and "char" in cut[1]
        return True if small or short else None


def default_of(catalog: Catalog, column: Column) -> Default | None:
    """The column's own default, or its domain's; None where it is NULL, or computed by the server (identity, generated)."""
    if column.default is None and column.type_oid == column.base_oid:  # no domain
        return None
    kind = catalog.types.get(column.type_oid)
    of_domain = kind if kind is not None and kind.kind == "d" else None
    text = column.default if column.default is not None or of_domain is None else of_domain.default
    if text is None or column.generated or re.match(r"NULL\b", text):
        return None
    written = of_domain.under if of_domain is not None else column.type
    return Default(column, one_line_sql(text), written, column.default is None)


def judgeable(defaults: Iterable[Default], *texts: str) -> bool:
    """Whether the server may be asked what these defaults, and expressions over them, come to."""
    return builtin([*(part for each in defaults for part in (each.text, each.type)), *texts])


def missing(
    subject: Object,
    table: Table,
    key: ForeignKey,
    parent: Table,
    values: Mapping[str, Default],
    found: Ask | Callable[[Answer], Finding],
) -> Ask:
    """Asks whether these values of some of the key's columns are in no row of the parent, which has rows; `found` says what
    that means, or is the next question. Nothing is found where they are not constant."""

    def rows(answer: Answer) -> Finding | Ask | None:
        if answer.count or not answer.examined:
            return None
        return found if isinstance(found, Ask) else found(answer)

    def constant(answer: Answer) -> Ask | None:
        if any(said != "true" for said, _ in answer.values):
            return None
        columns = tuple(t for m, t in zip(key.columns, key.referenced_columns, strict=True) if m in values)
        return Ask(subject, Matching(parent, pointed_to(key, values), columns), rows, whole=True)

    conditions = tuple((f"{default.assigned} IS NOT NULL", ()) for default in values.values())
    return Ask(subject, Constants(table, conditions), constant)


def pointed_to(key: ForeignKey, values: Mapping[str, Default]) -> str:
    """The condition, in SQL over the parent, under which a row has these values where columns of the key point to."""
    casts = key.casts or ((None, None),) * len(key.columns)
    return " AND ".join(
        f"{ident(theirs)}{f'::{left}' if left else ''} {sign(operator)} ({values[mine].assigned}){f'::{right}' if right else ''}"
        for mine, theirs, operator, (left, right) in zip(
            key.columns, key.referenced_columns, key.operators, casts, strict=True
        )
        if mine in values
    )


def change(table: Table, defaults: Iterable[Default], to: str) -> Fix:
    """Another default, which only a human knows: `to` says what it must be."""
    alter = f"ALTER TABLE {table.sql}"
    columns = [(ident(default.column.name), default) for default in defaults]
    return Fix(
        f"Change the default of {listed([name for name, _ in columns])}",
        tuple(
            f"{alter} ALTER COLUMN {name} SET DEFAULT {ddl.fill_in(f'{default.column.name}: {to}, {default.column.type}')};"
            for name, default in columns
        ),
        tuple(
            f"{alter} ALTER COLUMN {name} {'DROP DEFAULT' if default.of_domain else f'SET DEFAULT {default.text}'};"
            for name, default in columns
        ),
        ddl.LOCK_ALTER,
        ("Forgotten, a REPLACE is a syntax error and changes nothing; what the right value is, only you know.",),
    )
