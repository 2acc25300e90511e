"""Keys that people type, such as an email or a login, are the same but for capitals or blanks around them.

`Ann@example.com` and `ann@example.com ` are two values to a unique index, and one to everybody else: whoever signs up
twice has two accounts, a login finds one of them or none, and a reset of the password goes to the wrong one. Looked at
are columns called email, login, username, slug, handle and the like that are unique: by a unique index, whose other
columns stay part of the key; by the configuration; or by the rows, none of which share a value (20 rows and more, within
the tenant where one is configured). Equal is what lower(btrim()) makes equal, under the column's own collation.

Not flagged: citext and columns under a nondeterministic collation; keys with a unique index over lower() or upper(); columns
that reference another table, whose own key is looked at; columns that are no key; deleted rows, where soft deletes are
known; rows outside the predicate of the index.

Fix: clear the duplicates away, then a unique index over lower(btrim()).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from auditor.arbiter import countable, implied, normal
from auditor.catalog.infer import columns_in, words
from auditor.catalog.model import Catalog, Column, Table
from auditor.check import Ask, Clean, Confidence, Depth, Finding, NotChecked, Object, Result, Severity
from auditor.key_remedies import both, make_unique, rows_of
from auditor.probe import Answer, Duplicates, Key
from auditor.text import ident, idents, plural

severity = Severity.WARNING
depths = (Depth.DATA,)

ENOUGH = 20  # rows that tell a key by having no value twice
_TYPES = {25, 1042, 1043}  # text, char(n), varchar
_LAST = {"email", "mail", "login", "username", "slug", "handle", "nickname"}
_PAIRS = {
    ("user", "name"),
    ("login", "name"),
    ("screen", "name"),
    ("nick", "name"),
    ("email", "address"),
    ("mail", "address"),
}


@dataclass(frozen=True, slots=True)
class Held:
    """How a column is unique: within `scope` (other columns), among the rows of `where`, by an index, or None: only the
    rows tell. `sure`: the index lets no value stand twice among these rows."""

    scope: tuple[str, ...]
    where: str | None
    index: str | None
    sure: bool = False


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        for column in table.columns:
            if not typed(column):
                continue
            subject = table.object("column", columns=(column.name,))
            if refers(catalog, table, column.name) or not column.deterministic:
                yield Clean(subject)
                continue
            held = unique_by(catalog, table, column.name)
            if folded_index(table, column.name, held):
                yield Clean(subject)
                continue
            if not countable([held.where], catalog):
                said = "the predicate of its index calls functions that are not run"
                yield NotChecked(subject, "unsupported", said, Depth.DATA)
                continue
            scope = tuple(Key(ident(name), name) for name in held.scope)
            judge = partial(judged, catalog=catalog, subject=subject, table=table, column=column.name, held=held)
            question = Ask(subject, Duplicates(table, (*scope, Key(folded(column.name))), held.where), judge)
            if held.sure:
                yield question
                continue
            configured = any(
                key.table is table and set(key.keys) == {ident(column.name)} for key in catalog.business_keys
            )
            exact = Duplicates(table, (*scope, Key(ident(column.name), column.name)), held.where)
            unique = partial(if_unique, question=question, enough=1 if configured or held.index else ENOUGH)
            yield Ask(subject, exact, unique, whole=True)


def typed(column: Column) -> bool:
    """Whether the column holds what people type to name themselves or their things, by type and name."""
    said = words(column.name)
    return column.base_oid in _TYPES and (
        (said[-1:] and said[-1] in _LAST) or said[-2:] in _PAIRS or said[-2:] == ("e", "mail")
    )


def folded(name: str) -> str:
    return f"pg_catalog.lower(pg_catalog.btrim({ident(name)}))"


def refers(catalog: Catalog, table: Table, name: str) -> bool:
    declared = any(name in key.columns for key in table.foreign_keys)
    return declared or any(name in r.columns for r in catalog.references if r.table is table)


def unique_by(catalog: Catalog, table: Table, name: str) -> Held:
    """The narrowest unique index with the column as a key; else what is the case if the rows have no value twice."""
    tombstone = catalog.soft_deletes.get(table.oid)
    live = tombstone.live if tombstone else None
    found = []
    for index in table.indexes:
        if index.enforces and not index.exclusion and index.columns is not None and name in index.columns:
            mark = {tombstone.column} if tombstone else set()
            scope = tuple(other for other in index.columns if other not in {name, *mark})
            sure = not any(table.by_name[other].may_hold_null for other in mark.intersection(index.columns))
            found.append(Held(scope, both(rows_of(index), live), index.name, sure))
    if found:
        return min(found, key=lambda held: (len(held.scope), held.where is not None))
    tenant = catalog.tenants.get(table.oid)
    return Held((tenant,) if tenant is not None else (), live, None)


def folded_index(table: Table, name: str, held: Held) -> bool:
    """Whether a unique index takes values that differ in case for the same, within the scope or a part of it."""
    allowed = {name, *held.scope}
    return any(
        index.enforces
        and implied(index.predicate, both(held.where, f"{ident(name)} IS NOT NULL"))
        and all(
            set(columns_in((key.column and ident(key.column)) or key.expression, table)) <= allowed
            for key in index.keys
        )
        and any(
            key.column is None
            and {"lower", "upper"} & set(normal(key.expression))
            and name in columns_in(key.expression, table)
            for key in index.keys
        )
        for index in table.indexes
    )


def if_unique(answer: Answer, question: Ask, enough: int) -> Ask | None:
    """Nothing to say of a column whose values stand twice anyway, or of too few rows."""
    return question if answer.examined >= enough and not answer.count else None


def judged(answer: Answer, catalog: Catalog, subject: Object, table: Table, column: str, held: Held) -> Finding | None:
    if not answer.count:
        return None
    name = ident(column)
    within = f" within {idents(held.scope)}" if held.scope else ""
    unique = (
        f"The unique index {ident(held.index)} tells them apart"
        if held.index is not None
        else "No value stands there twice as it is written"
    )
    return Finding(
        severity,
        subject,
        title=f"{answer.count:,} rows of {table.sql} share {plural(answer.groups, 'value')} of {name}{within} but for capitals and"
        " blanks around it",
        message=f"{unique}; a person does not: {folded(column).replace('pg_catalog.', '')} is the same for them. Looking a row up"
        f" by {name} finds one of them, or none, depending on how it is typed. If they are meant to differ, ignore this finding"
        " with that reason.",
        confidence=Confidence.SUSPECTED,
        fixes=(
            make_unique(
                catalog,
                table,
                [*(ident(other) for other in held.scope), folded(column)],
                held.where,
                duplicates=True,
                caveats=(
                    f"Look rows up by {folded(column).replace('pg_catalog.', '')} then, or write the column so; an ON CONFLICT"
                    f" ({name}) does not catch the new index (SQLSTATE 23505).",
                    "They may be two accounts of one person: see first what belongs to each.",
                ),
            ),
        ),
    )
