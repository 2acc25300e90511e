"""A row has more than one companion where exactly one is due.

Two vault rows for one credential: which of them is read depends on the plan, an update changes one and not the other,
a join returns the credential twice, and the unique constraint that should forbid it cannot be built (SQLSTATE 23505).
One is due where the configuration says `exactly_one`, and, as suspected, where functions upsert the companion with ON
CONFLICT on the columns of its foreign key.

Not flagged: companions that a unique index already keeps single, over all rows or over those not deleted; companion
rows that are deleted, revoked or inactive next to the one in force; rows with NULL in the key; companions nobody
calls single.

Fix: keep the newest row of each, with a copy of the others, and build the unique index.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.infer import eligible, enforces_one
from auditor.catalog.model import Catalog, Companion
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.companion_remedies import assignments, latest_first, update
from auditor.probe import Answer, Duplicates, Key
from auditor.text import ident, idents, listed, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA,)


def check(catalog: Catalog) -> Iterator[Result]:
    for companion in catalog.companions:
        subject = companion.companion.object("table", companion.name, companion.companion_columns)
        if not companion.exactly_one or enforces_one(catalog, companion):
            yield Clean(subject)
            continue
        live = eligible(catalog, companion.companion)
        keys = tuple(Key(ident(name), name) for name in companion.companion_columns)
        yield Ask(
            subject,
            Duplicates(companion.companion, keys, live),
            partial(verdict, subject=subject, companion=companion, live=live),
        )


def verdict(answer: Answer, subject: Object, companion: Companion, live: str | None) -> Finding | None:
    if not answer.count:
        return None
    table, other = companion.table, companion.companion
    columns = idents(companion.companion_columns)
    named = columns if len(companion.companion_columns) == 1 else f"({columns})"
    rows = "live rows" if live else "rows"
    said = "The configuration says that there is" if companion.configured else "There should be"
    because = (
        "" if companion.configured else f" {companion.evidence[0].upper()}{companion.evidence[1:]} of {table.sql}."
    )
    return Finding(
        severity if companion.configured else Severity.WARNING,
        subject,
        title=f"{other.sql} holds {answer.count:,} {rows} for {plural(answer.groups, 'value')} of {named},"
        " where one each is due",
        message=f"{said} exactly one row of {other.sql} per row of {table.sql}, and no unique index enforces it.{because}"
        " Which of several is read depends on the query plan, an update may change one and not the other, and joins"
        f" return the row of {table.sql} more than once; a UNIQUE over {named} fails with SQLSTATE 23505 until they are"
        " resolved.",
        confidence=Confidence.PROVEN if companion.configured else Confidence.SUSPECTED,
        related=(table.object(columns=companion.columns),),
        fixes=fixes(companion, live),
    )


def fixes(companion: Companion, live: str | None) -> tuple[Fix, ...]:
    """Keep the newest of each key: delete the others, or mark them as ended."""
    other, columns = companion.companion, companion.companion_columns
    copy = ddl.short(other.name, "duplicates")
    kept = qualified(other.schema, copy)
    filled = " AND ".join(f"{ident(name)} IS NOT NULL" for name in columns)
    condition = f"({live}) AND {filled}" if live else filled
    order = latest_first(other)
    older = (
        f"(tableoid, ctid) IN (SELECT tableoid, ctid FROM (SELECT tableoid, ctid, pg_catalog.row_number() OVER"
        f" (PARTITION BY {idents(columns)} ORDER BY {order}) AS place FROM {other.sql} WHERE {condition}) AS ranked"
        " WHERE place > 1)"
    )
    index = ddl.short(other.name, *columns, "key")
    enforce = ddl.unique_index(other, index, [ident(name) for name in columns], live)
    keep = ddl.keep_rows(other, older, copy)
    caveats = [f"Newest means first in ORDER BY {order}: compare the rows before the others go."]
    if other.row_key:
        key = idents(other.row_key)
        delete = ddl.delete(other, f"({key}) IN (SELECT {key} FROM {kept})")
    else:
        delete = ddl.delete(other, older)
        caveats.append("The table has no key: run both statements in one transaction, so that no row comes in between.")
    locks = f"{ddl.LOCK_ROWS}; the index: {ddl.LOCK_CONCURRENTLY}"
    made = [
        Fix(
            "Keep the newest row of each, with a copy of the others, and build the unique index",
            (keep, delete, enforce),
            (ddl.drop_index(other, index), ddl.restore_rows(other, copy), f"DROP TABLE {kept};"),
            locks,
            (
                *caveats,
                f"Rows that reference the deleted ones follow their own ON DELETE action; {kept} keeps only {other.sql}.",
                *(["An ON CONFLICT has to repeat the index's WHERE to use it."] if live else []),
            ),
            recommended=True,
        )
    ]
    ended = assignments(other, live, holds=False) if live else None
    if ended is not None:
        marked = listed([ident(name) for name in ended])
        made.append(
            update(
                f"Keep the newest row of each and end the others ({marked})",
                other,
                ended,
                older,
                [*caveats, "No index is built: more can come."],
            )
        )
    return tuple(made)
