"""A reference is one to one, in its rows and in intent, and nothing keeps it so.

The code takes it for granted that a row has one partner: it upserts by the reference, reads a single row, joins without
expecting two. Without a unique key a retry or two requests at once insert a second row, and from then on each of them
sees a different one. An upsert with ON CONFLICT on these columns does not run at all (SQLSTATE 42P10).

The intent shows in an upsert that names these columns, a companion configured with `exactly_one`, a trigger of the
parent that inserts the row, or a name such as settings, profile or details of a table with no other reference; the rows
agree when at least 20 of them have no value twice (any number where an upsert says it).

Not flagged: references under a unique index, over all rows or some (a partial index counts); few rows; rows that do
share a value; references nobody means to be single.

Fix: UNIQUE over the reference, built concurrently; among live rows only, where the table has soft deletes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from auditor.arbiter import Use, columns_of, inserted_by, uses
from auditor.catalog.infer import singular, words
from auditor.catalog.model import Catalog, Table
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Object, Result, Severity
from auditor.key_remedies import make_unique, shown
from auditor.probe import Answer, Duplicates, Key
from auditor.text import ident, idents, listed, plural

severity = Severity.ERROR
depths = (Depth.DATA,)

ENOUGH = 20  # rows
_SINGLE = {"detail", "profile", "setting", "preference", "config", "configuration", "info", "summary", "balance", "bio"}


@dataclass(frozen=True)
class Intent:
    """Why a reference is meant to be one to one. `upserts` stand when ON CONFLICT names its columns."""

    words: str
    upserts: tuple[Use, ...] = ()
    configured: bool = False


def check(catalog: Catalog) -> Iterator[Result]:
    for table, columns, parent in references(catalog):
        subject = table.object("column", columns=columns)
        intent = None if is_key(table, columns) else intended(catalog, table, columns, parent)
        if intent is None:
            yield Clean(subject)
            continue
        keys = tuple(Key(ident(name), name) for name in columns)
        yield Ask(
            subject,
            Duplicates(table, keys),
            partial(
                verdict, catalog=catalog, subject=subject, table=table, columns=columns, parent=parent, intent=intent
            ),
            whole=True,
        )


def references(catalog: Catalog) -> Iterator[tuple[Table, tuple[str, ...], Table]]:
    """Declared and configured references, each set of columns once."""
    seen = set()
    declared = [(table, key.columns, parent) for table, key, parent in catalog.judged_keys]
    configured = [(r.table, r.columns, r.referenced) for r in catalog.references if r.configured]
    for table, columns, parent in (*declared, *configured):
        if table.is_partition or (table.oid, frozenset(columns)) in seen:
            continue
        seen.add((table.oid, frozenset(columns)))
        yield table, columns, parent


def is_key(table: Table, columns: tuple[str, ...]) -> bool:
    """Whether a unique index forbids a second row, among all rows or among some."""
    wanted = set(columns)
    return any(
        index.enforces and index.columns is not None and wanted.issuperset(index.columns) for index in table.indexes
    )


def intended(catalog: Catalog, table: Table, columns: tuple[str, ...], parent: Table) -> Intent | None:
    """What says that the reference is meant to be one to one; None when nothing does."""
    upserts = tuple(
        use for use in uses(catalog) if use.table is table and set(columns_of(use.upsert.targets)) == set(columns)
    )
    if upserts:
        said = listed(sorted({use.said for use in upserts}))
        return Intent(f"{said} upserts with ON CONFLICT ({idents(columns)})", upserts)
    for companion in catalog.companions:
        single = companion.configured and companion.exactly_one and companion.companion is table
        if single and set(companion.companion_columns) == set(columns):
            return Intent("the configuration calls it a companion, exactly one per row", configured=True)
    for trigger in parent.triggers if parent is not table else ():
        function = catalog.functions.get(trigger.function)
        fills = trigger.row and "insert" in trigger.events and function is not None and not keeps_history(table)
        if fills and function is not None and table.oid in inserted_by(catalog, function):
            return Intent(f"the trigger {ident(trigger.name)} of {parent.sql} inserts its row")
    if len(table.distinct_keys) != 1 or parent is table:
        return None
    noun = [singular(word) for word in words(table.name)]
    above = [singular(word) for word in words(parent.name)]
    if noun and noun[-1] in _SINGLE and (not noun[:-1] or above[-len(noun[:-1]) :] == noun[:-1]):
        return Intent(f"its name says so ({table.name}), and it is the only reference of {table.sql}")
    return None


def keeps_history(table: Table) -> bool:
    """Whether the table collects what happened, by its name: many rows for one of another."""
    logs = {
        "audit",
        "archive",
        "event",
        "history",
        "journal",
        "log",
        "outbox",
        "queue",
        "revision",
        "version",
        "change",
    }
    return bool({singular(word) for word in words(table.name)} & logs)


def verdict(
    answer: Answer,
    catalog: Catalog,
    subject: Object,
    table: Table,
    columns: tuple[str, ...],
    parent: Table,
    intent: Intent,
) -> Finding | None:
    if answer.count or (answer.examined < ENOUGH and not intent.upserts):
        return None
    names = shown([ident(name) for name in columns])
    rows = (
        f"all {plural(answer.examined, 'row')} differ"
        if answer.examined > 1
        else f"it holds {plural(answer.examined, 'row')}"
    )
    fails = (
        " The statement fails with SQLSTATE 42P10 each time it runs: no unique index serves its ON CONFLICT."
        if intent.upserts
        else " A retry, or two requests at the same time, can insert a second row."
    )
    tombstone = catalog.soft_deletes.get(table.oid) if not intent.upserts else None
    return Finding(
        severity if intent.upserts else Severity.WARNING,
        subject,
        title=f"Nothing keeps {table.sql} at one row per row of {parent.sql}: {names} is not unique, though {rows}",
        message=f"A row of {parent.sql} should have one row of {table.sql}: {intent.words}. No unique index says so.{fails}",
        confidence=Confidence.PROVEN if intent.upserts or intent.configured else Confidence.SUSPECTED,
        related=(parent.object(),),
        fixes=(
            make_unique(
                catalog,
                table,
                [ident(name) for name in columns],
                tombstone.live if tombstone else None,
                duplicates=False,
                columns=None if tombstone else columns,
                caveats=(
                    ["Deleted rows may share a value with a live one; an ON CONFLICT has to repeat the WHERE."]
                    if tombstone
                    else []
                ),
            ),
        ),
        defect=("not unique", table.oid, frozenset(columns)),
    )
