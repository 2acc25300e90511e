"""A row has more than one companion where exactly one is due.

Two vault rows for one credential: which of them is read depends on the plan, an update changes one and not the other,
a join returns the credential twice, and the unique constraint that should forbid it cannot be built (SQLSTATE 23505).
One is due where the configuration says `exactly_one`, and, as suspected, where functions upsert the companion with ON
CONFLICT on the columns of its foreign key.

Not flagged: companions that a unique index already keeps single, over all rows or over those not deleted; companion
rows that are deleted, revoked or inactive next to the one in force; rows with NULL in the key; companions nobody
calls single.

Fix: keep the row of each that others reference, else the newest, with a copy of the others; or end the others, where it is
known how a row ends; and build the unique index.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from auditor.catalog.infer import eligible, enforces_one
from auditor.catalog.model import Catalog, Companion
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.key_remedies import end_others, make_unique, outcome
from auditor.probe import Answer, Duplicates, Key
from auditor.text import ident, idents, plural

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
            partial(verdict, catalog=catalog, subject=subject, companion=companion, live=live),
        )


def verdict(
    answer: Answer, catalog: Catalog, subject: Object, companion: Companion, live: str | None
) -> Finding | None:
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
        f" resolved. {outcome(catalog, other, answer)}",
        confidence=Confidence.PROVEN if companion.configured else Confidence.SUSPECTED,
        related=(table.object(columns=companion.columns),),
        fixes=fixes(catalog, companion, live),
    )


def fixes(catalog: Catalog, companion: Companion, live: str | None) -> tuple[Fix, ...]:
    """One row of each key stays: the others are deleted, or marked as ended."""
    other, columns = companion.companion, companion.companion_columns
    keys = [ident(name) for name in columns]
    said = ["An ON CONFLICT has to repeat the index's WHERE to use it."] if live else []
    made = make_unique(catalog, other, keys, live, duplicates=True, columns=columns, caveats=said)
    ended = end_others(catalog, other, keys, live, columns=columns) if live else None
    return (made, replace(ended, recommended=False)) if ended is not None else (made,)
