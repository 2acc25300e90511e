"""A unique index is invalid: it may enforce nothing, and vouches for nothing.

CREATE UNIQUE INDEX CONCURRENTLY that fails leaves the index behind, invalid (documentation: CREATE INDEX, Building Indexes
Concurrently). If it failed early, rows are not even looked up in it, and duplicates get in without an error; if it failed
late, new rows are compared with what it holds. An index made ON ONLY a partitioned table, as a restore does, enforces
nothing itself: a partition without its own is unguarded. \\d shows the index all the same, no query reads it, and ON CONFLICT
does not find it (SQLSTATE 42P10).

Not flagged: an index that is being built now, or dropped (CREATE, REINDEX, DROP INDEX CONCURRENTLY); one whose rows a valid
unique index keeps apart all the same, such as what a failed REINDEX CONCURRENTLY leaves; exclusion constraints; the
invalid index of a partition beside the one of its partitioned table.

Fix: clear the duplicates away, keeping a copy, then REINDEX CONCURRENTLY (of a partitioned table: make the index anew); or
drop the index, if nobody means it.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.arbiter import countable, implied, normal
from auditor.catalog.model import Catalog, Index, Table
from auditor.check import Ask, Clean, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.key_remedies import (
    Dedupe,
    constraint_of,
    dedupe,
    drop_key,
    key_texts,
    kind_of,
    names_of,
    probe_keys,
    restore_key,
    rows_of,
)
from auditor.probe import Answer, Duplicates
from auditor.text import ident, plural, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)
supersedes = ("uniqueness/live-duplicates",)


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_tables:
        for index in table.indexes if table.holds_rows else ():
            if not index.unique or index.exclusion or index.enforces:
                continue
            subject = table.object(
                kind_of(table, index), index.name, tuple(k.column or k.expression for k in index.keys)
            )
            underway = table.oid in catalog.building or index.oid in catalog.building
            if underway or index.parent in broken(catalog) or kept_apart(table, index):
                yield Clean(subject)
                continue
            judge = partial(judged, catalog=catalog, subject=subject, table=table, index=index)
            if not countable([*(key.expression for key in index.keys if key.column is None), index.predicate], catalog):
                yield judge(None)
                said = "its keys or its predicate call functions that are not run: duplicates were not counted"
                yield NotChecked(subject, "unsupported", said, Depth.DATA)
                continue
            question = Duplicates(table, probe_keys(table, index), rows_of(index), index.nulls_not_distinct)
            yield Ask(subject, question, judge, unread=judge(None))


def broken(catalog: Catalog) -> set[int]:
    """The indexes that enforce nothing, by oid."""
    return {i.oid for table in catalog.tables.values() for i in table.indexes if i.unique and not i.enforces}


def kept_apart(table: Table, index: Index) -> bool:
    """Whether a valid unique index forbids all that this one would."""
    own = set(map(normal, key_texts(index)))
    return any(
        other.enforces
        and not other.exclusion
        and set(map(normal, key_texts(other))) <= own
        and implied(other.predicate, index.predicate)
        and (other.nulls_not_distinct or not index.nulls_not_distinct)
        for other in table.indexes
    )


def judged(answer: Answer | None, catalog: Catalog, subject: Object, table: Table, index: Index) -> Finding:
    count = answer.count if answer is not None else 0
    kind, name = kind_of(table, index), ident(index.name)
    if answer is not None and count:
        title = (
            f"The unique {kind} {name} of {table.sql} is invalid, and {count:,} rows share {plural(answer.groups, 'value')}"
            f" of {names_of(index)}"
        )
    else:
        possible = " (no duplicates stand in its way)" if answer is not None else ""
        title = f"The unique {kind} {name} of {table.sql} is invalid: nothing vouches that {names_of(index)} is unique{possible}"
    return Finding(
        severity if count else Severity.WARNING,
        subject,
        title=title,
        message=f"{state(table, index)} No query reads it, and no ON CONFLICT finds it (SQLSTATE 42P10)."
        + (" While the duplicates are there it cannot be built: that fails with SQLSTATE 23505." if count else ""),
        fixes=fixes(catalog, table, index, duplicates=bool(count)),
        defect=("invalid index", index.oid),
    )


def state(table: Table, index: Index) -> str:
    """What the index does in its state."""
    if table.kind == "p":
        return (
            "It was made ON ONLY the partitioned table, and not every partition has its part: those without one admit"
            " duplicates without an error."
        )
    if not index.live:
        return "DROP INDEX CONCURRENTLY did not come to its end: the index enforces nothing any more."
    if not index.ready:
        return "Building it failed early: rows are not looked up in it, and duplicates are admitted without an error."
    return (
        "Building it failed late: new rows are compared with those it holds, but no one has made sure that it holds all"
        " rows, and that those are unique."
    )


def fixes(catalog: Catalog, table: Table, index: Index, *, duplicates: bool) -> tuple[Fix, ...]:
    texts = key_texts(index)
    cleared = (
        dedupe(catalog, table, texts, rows_of(index), nulls=index.nulls_not_distinct)
        if duplicates
        else Dedupe((), (), ())
    )
    first = "Clear the duplicates away, keeping a copy, and " if duplicates else ""
    drop = drop_key(table, index)
    anew: tuple[str, ...]
    said: tuple[str, ...]
    if table.kind == "p":
        anew = (drop, made_anew(table, index))
        what = f"make the {kind_of(table, index)} anew, on all partitions"
        locks = (
            "ACCESS EXCLUSIVE on the table and its partitions while it is built"
            if constraint_of(table, index)
            else "SHARE on the table and its partitions while it is built: reads go on, writes wait"
        )
        said = (
            "Partitions that have such an index already keep it. To block writes for a moment only, build it on each other"
            " partition first, with CREATE UNIQUE INDEX CONCURRENTLY.",
        )
    else:
        anew = (f"REINDEX INDEX CONCURRENTLY {qualified(table.schema, index.name)};",)
        what, locks = "build the index again: REINDEX CONCURRENTLY", ddl.LOCK_CONCURRENTLY
        said = ("Should it fail, it leaves a second invalid index behind, whose name ends in _ccnew: drop that.",)
    if not index.live:
        anew = (drop, made_anew(table, index))
        what, said = "drop what is left, and build the index again", ()
    repaired = Fix(
        f"{first}{what}" if first else what[:1].upper() + what[1:],
        (*cleared.sql, *anew),
        (drop, *cleared.rollback),
        f"{ddl.LOCK_ROWS}; {locks}" if duplicates else locks,
        (*cleared.caveats, *said, "The rollback leaves no index at all, which forbids as little as the invalid one."),
        recommended=True,
    )
    return repaired, Fix(
        f"Drop the {kind_of(table, index)}, if nobody means it",
        (drop,),
        (left_invalid(table, index),) if table.kind == "p" else restore_key(table, index),
        ddl.LOCK_ALTER if constraint_of(table, index) or table.kind == "p" else ddl.LOCK_DROP_INDEX,
        (
            "Its partitions lose their parts of it too."
            if table.kind == "p"
            else "The rollback builds the index again: while there are duplicates it fails with SQLSTATE 23505, and leaves it as invalid as it was.",
        ),
    )


def made_anew(table: Table, index: Index) -> str:
    """The statement that makes the index whole, on all partitions of a partitioned table."""
    made = restore_key(table, index)[0]
    return made.replace(" UNIQUE (", " PRIMARY KEY (", 1) if index.primary else made


def left_invalid(table: Table, index: Index) -> str:
    """The index on the partitioned table alone, as it was."""
    made = made_anew(table, index)
    on = f"ALTER TABLE {table.sql}" if constraint_of(table, index) else f" ON {table.sql}"
    return made.replace(on, on.replace(table.sql, f"ONLY {table.sql}"), 1)
