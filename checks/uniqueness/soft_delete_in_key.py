"""The column that marks deleted rows is part of a unique key, and NULL in every live row: live duplicates get in.

NULL differs from NULL in a unique index (documentation: Unique Indexes), and live rows are those whose mark is NULL. Such
a key forbids that two rows are deleted at the same instant, and nothing else; the application meets duplicates that the
schema seems to exclude.

Not flagged: NULLS NOT DISTINCT (15 and later); marks that cannot be NULL, such as a boolean NOT NULL or a date in the
far future; keys whose other columns a second unique index keeps apart among live rows; keys of nothing but the mark;
primary keys.

Fix: a partial unique index over the other columns among live rows, built concurrently after the duplicates are cleared
away, then drop the old key; or NULLS NOT DISTINCT, on 15 and later, where no other column can be NULL.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.arbiter import implied
from auditor.catalog.model import Catalog, Index, SoftDelete, Table
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.key_remedies import (
    both,
    dedupe,
    key_terms,
    kind_of,
    nulls_not_distinct,
    outcome,
    referencing,
    replace_by_partial,
    shown,
)
from auditor.probe import Answer, Duplicates, Key
from auditor.text import ident, listed, plural

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)
supersedes = ("uniqueness/live-duplicates",)


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        tombstone = catalog.soft_deletes.get(table.oid)
        if tombstone is None:
            continue
        for index in table.indexes:
            if not index.enforces or index.exclusion or tombstone.column not in {key.column for key in index.keys}:
                continue
            subject = table.object(
                kind_of(table, index), index.name, tuple(key.column or key.expression for key in index.keys)
            )
            others = tuple(key for key in index.keys if key.column != tombstone.column)
            where = both(index.predicate, tombstone.live)
            if not others or not loose(table, index, tombstone) or kept_apart(table, index, tombstone):
                yield Clean(subject)
                continue
            finding = partial(judged, catalog=catalog, subject=subject, table=table, index=index, tombstone=tombstone)
            keys = tuple(Key(ident(k.column) if k.column is not None else k.expression, k.column) for k in others)
            yield Ask(subject, Duplicates(table, keys, where), finding, unread=finding(None))


def loose(table: Table, index: Index, tombstone: SoftDelete) -> bool:
    """Whether the mark is NULL in live rows, and the index takes NULLs for different."""
    return (
        not index.primary
        and not index.nulls_not_distinct
        and table.by_name[tombstone.column].may_hold_null
        and implied(f"{ident(tombstone.column)} IS NULL", tombstone.live)
    )


def kept_apart(table: Table, index: Index, tombstone: SoftDelete) -> bool:
    """Whether another unique index forbids live duplicates of the other columns."""
    wanted = {key.expression for key in index.keys if key.column != tombstone.column}
    return any(
        other.enforces
        and {key.expression for key in other.keys} <= wanted
        and implied(other.predicate, both(index.predicate, tombstone.live))
        for other in table.indexes
    )


def judged(
    answer: Answer | None, catalog: Catalog, subject: Object, table: Table, index: Index, tombstone: SoftDelete
) -> Finding:
    others = [
        ident(k.column) if k.column is not None else k.expression for k in index.keys if k.column != tombstone.column
    ]
    names, mark = shown(others), ident(tombstone.column)
    count = answer.count if answer is not None else 0
    if answer is not None and count:
        title = f"{count:,} live rows of {table.sql} share {plural(answer.groups, 'value')} of {names}: {mark} is part of the unique key, and NULL"
    else:
        title = f"Live rows of {table.sql} may share their {names}: {mark} is part of the unique key, and NULL"
    resting = referencing(catalog, index)
    return Finding(
        severity if count else Severity.WARNING,
        subject,
        title=title,
        message=f"The unique {kind_of(table, index)} {ident(index.name)} contains {mark}, which is NULL in every live row,"
        " and NULL never equals NULL there: rows that are equal in all other columns are admitted without an error."
        " Whatever takes the key for unique reads, updates or joins one row too many."
        + (f" {outcome(catalog, table, answer)}" if answer is not None and count else ""),
        confidence=Confidence.PROVEN if tombstone.configured else Confidence.SUSPECTED,
        related=tuple(child.object("constraint", key.name, key.columns) for child, key in resting),
        fixes=fixes(catalog, table, index, tombstone, duplicates=bool(count)),
        defect=("duplicates", table.oid, frozenset(others)) if count else None,
    )


def fixes(catalog: Catalog, table: Table, index: Index, tombstone: SoftDelete, *, duplicates: bool) -> tuple[Fix, ...]:
    others = [
        term for key, term in zip(index.keys, key_terms(table, index), strict=True) if key.column != tombstone.column
    ]
    texts = other_keys(index, tombstone)
    cleared = dedupe(catalog, table, texts, both(index.predicate, tombstone.live)) if duplicates else None
    made = []
    resting = referencing(catalog, index)
    if not resting:
        made.append(replace_by_partial(catalog, table, index, others, tombstone.live, cleared))
    columns = [key.column for key in index.keys if key.column != tombstone.column]
    filled = all(name is not None and not table.by_name[name].may_hold_null for name in columns)
    if catalog.server.major >= 15 and table.kind != "p" and filled and not resting:
        made.append(nulls_not_distinct(table, index, index.predicate, cleared))
    if resting:
        keys = listed([f"{ident(key.name)} of {child.sql}" for child, key in resting])
        made.append(add_beside(catalog, table, index, others, tombstone, cleared_keys=keys, duplicates=duplicates))
    return tuple(made)


def other_keys(index: Index, tombstone: SoftDelete) -> list[str]:
    """The keys but the mark, as SQL."""
    return [
        ident(key.column) if key.column is not None else f"({key.expression})"
        for key in index.keys
        if key.column != tombstone.column
    ]


def add_beside(
    catalog: Catalog,
    table: Table,
    index: Index,
    others: list[str],
    tombstone: SoftDelete,
    *,
    cleared_keys: str,
    duplicates: bool,
) -> Fix:
    """A partial unique index beside the old key, which a foreign key needs."""
    name = ddl.free_name(table, index.name, "live")
    where = both(index.predicate, tombstone.live)
    texts = other_keys(index, tombstone)
    cleared = dedupe(catalog, table, texts, where) if duplicates else None
    return Fix(
        f"Add a partial unique index over {shown(others)} among live rows",
        (*(cleared.sql if cleared else ()), ddl.unique_index(table, name, others, where)),
        (ddl.drop_index(table, name), *(cleared.rollback if cleared else ())),
        ddl.LOCK_CONCURRENTLY,
        (
            *(cleared.caveats if cleared else ()),
            f"The old {kind_of(table, index)} has to stay: the foreign key {cleared_keys} rests on it.",
        ),
        recommended=True,
    )
