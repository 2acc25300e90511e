"""Rows share a business key that the configuration declares unique.

Lookups by that key return one row or the other, updates hit both, and the unique index that should forbid it cannot be
created: CREATE UNIQUE INDEX fails with SQLSTATE 23505. That is also the answer for an index that was dropped: declared as
`[[unique]]`, with its expressions and its `where`, the check says whether it could be restored today, and which rows
stand in the way. Where there are none, and nothing prevents the first, it warns.

Not flagged: rows outside `where`, and deleted ones where soft deletes are known and `where` does not speak of them; rows
with NULL in the key, as for a unique index; keys that a valid unique index over the same columns, or some of them,
already keeps apart among these rows.

Fix: keep the row that most others reference, else the latest: end the others, where `where` says how a row ends, or move
their references to the row that stays and delete them, keeping copies; then build the unique index concurrently.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from auditor.arbiter import columns_of, implied, normal, plannable, serving
from auditor.catalog.infer import columns_in
from auditor.catalog.model import BusinessKey, Catalog, Table
from auditor.check import Ask, Clean, Depth, Finding, Object, Result, Severity
from auditor.key_remedies import both, end_others, key_texts, make_unique, outcome, shown
from auditor.probe import Answer, Duplicates, Key, Planned
from auditor.text import ident, plural

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)


def check(catalog: Catalog) -> Iterator[Result]:
    several = Counter((key.table.oid, key.keys) for key in catalog.business_keys)
    for declared in catalog.business_keys:
        table = declared.table
        # The same columns under another condition are another key.
        name = declared.where or "" if several[table.oid, declared.keys] > 1 else ""
        subject = table.object("table", name, columns_of(declared.keys))
        where = rows(catalog, declared)
        if kept(table, declared, where):
            yield Clean(subject)
            continue
        finding = partial(judged, catalog=catalog, subject=subject, declared=declared, where=where)
        question = Ask(subject, Duplicates(table, probe_keys(declared), where), finding, unread=finding(None))
        targets = tuple(text if is_column(table, text) else f"({text})" for text in declared.keys)
        if (
            serving(table, declared.keys, where).unsure
            and not catalog.server.is_standby
            and plannable(table, (*targets, where))
        ):
            yield Ask(
                subject,
                Planned(table, targets, where),
                partial(unless_served, question=question),
                unread=None,
                depth=Depth.CATALOG,
            )
        else:
            yield question


def unless_served(answer: Answer, question: Ask) -> Ask | None:
    """Nothing to say where the server itself finds a unique index for this key."""
    return None if answer.count else question


def rows(catalog: Catalog, declared: BusinessKey) -> str | None:
    """The condition under which rows count: the declared one, and not deleted where it does not say so itself."""
    tombstone = catalog.soft_deletes.get(declared.table.oid)
    if tombstone is None or tombstone.column in columns_in(declared.where or "", declared.table):
        return declared.where
    return both(declared.where, tombstone.live)


def is_column(table: Table, text: str) -> bool:
    return any(ident(name) == text for name in table.by_name)


def probe_keys(declared: BusinessKey) -> tuple[Key, ...]:
    """The declared key as a question to the rows."""
    columns = {ident(name): name for name in declared.table.by_name}
    return tuple(Key(text, columns.get(text)) for text in declared.keys)


def kept(table: Table, declared: BusinessKey, where: str | None) -> bool:
    """Whether a unique index certainly keeps these rows apart: over the key, or over a part of it."""
    if serving(table, declared.keys, where).indexes:
        return True
    return any(
        index.enforces
        and not index.exclusion
        and index.columns is not None
        and {ident(name) for name in index.columns} <= set(declared.keys)
        and implied(index.predicate, where)
        for index in table.indexes
    )


def judged(
    answer: Answer | None, catalog: Catalog, subject: Object, declared: BusinessKey, where: str | None
) -> Finding:
    table, names = declared.table, shown(declared.keys)
    among = f" WHERE {where}" if where else ""
    if answer is not None and answer.count:
        title = (
            f"UNIQUE {names} cannot be created on {table.sql} today: {plural(answer.count, 'row')} share"
            f" {plural(answer.groups, 'value')}"
        )
    else:
        possible = " (no duplicates stand in the way of one)" if answer is not None else ""
        title = f"No unique index keeps {names} of {table.sql} apart{possible}"
    broken = [
        i
        for i in table.indexes
        if i.unique
        and not i.enforces
        and set(map(normal, key_texts(i))) == set(map(normal, declared.keys))
        and implied(i.predicate, where)
    ]
    message = f"The configuration declares {names} unique among the rows of {table.sql}{among}."
    if answer is not None and answer.count:
        message += (
            " A unique index would refuse them (CREATE UNIQUE INDEX fails with SQLSTATE 23505), and until one stands more"
            " can come. Whatever looks a row up by this key finds one of several."
            f" {outcome(catalog, table, answer)}"
        )
    else:
        message += " Nothing prevents a second row with the same values."
    if broken:
        message += f" The unique index {ident(broken[0].name)} is invalid: it does not vouch for these rows."
    found = bool(answer is not None and answer.count)
    columns = columns_of(declared.keys)
    whole = columns if where is None and all(name in table.by_name for name in columns) else None
    texts = [text if is_column(table, text) else f"({text})" for text in declared.keys]
    ended = end_others(catalog, table, texts, where, columns=columns) if found and where else None
    cleared = make_unique(catalog, table, texts, where, duplicates=found, columns=whole, recommended=ended is None)
    finding = Finding(
        severity if found else Severity.WARNING,
        subject,
        title=title,
        message=message,
        fixes=(ended, cleared) if ended is not None else (cleared,),
    )
    if broken:
        return replace(finding, defect=("invalid index", broken[0].oid))
    tombstone = catalog.soft_deletes.get(table.oid)
    if found and tombstone is not None and where == tombstone.live:
        return replace(finding, defect=("duplicates", table.oid, frozenset(declared.keys)))
    return finding
