"""A row and its companion contradict each other: one is in force, the other is deleted or revoked.

A revoked credential whose secret is still live in the vault can be used on; a live credential whose vault row is
deleted fails at its next use. Either way two parts of an application see two truths. `same_state` of a `[[companion]]`
says which conditions agree; without it, a row is taken to be in force unless its columns say deleted, revoked or
inactive, and what contradicts that is suspected.

Not flagged: pairs without such columns on both sides; rows without companion (missing-companion); deleted or replaced
companion rows next to one in force. A condition that is NULL counts as one that does not hold.

Fix: let the companion follow its row, or the row its companion: one UPDATE each.
"""

from collections.abc import Iterator
from functools import partial

from auditor.catalog.infer import columns_in, enforces_one, states
from auditor.catalog.model import Catalog, Companion
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Object, Result, Severity
from auditor.companion_remedies import in_line
from auditor.probe import Answer, Pairs
from auditor.text import idents, plural

severity = Severity.ERROR
depths = (Depth.DATA,)


def check(catalog: Catalog) -> Iterator[Result]:
    for companion in catalog.companions:
        pairs = states(catalog, companion)
        # Rows that a trigger merely adds for each row are no second half of it.
        if not pairs or not (companion.configured or companion.exactly_one):
            yield Clean(companion.table.object("table", companion.name, companion.columns))
            continue
        for own, state in pairs:
            yield from both_ways(catalog, companion, own, state)


def both_ways(catalog: Catalog, companion: Companion, own: str, state: str) -> Iterator[Result]:
    """Rows for which `own` holds and `state` for none of their companions, and the other way round."""
    judged = among(catalog, companion, state)
    halves = ((f"({own}) IS TRUE", f"({state}) IS NOT TRUE"), (f"({own}) IS NOT TRUE", f"({state}) IS TRUE"))
    for live, (mine, theirs) in zip((True, False), halves, strict=True):
        subject = companion.table.object(
            "table", f"{companion.name}: {mine}, {theirs}", columns_in(own, companion.table)
        )
        probe = Pairs(
            companion.table,
            companion.columns,
            companion.companion,
            companion.companion_columns,
            where=mine,
            referenced_where=theirs + judged,
            only=False,
            unless=f"({state}) IS TRUE" if live else None,
        )
        yield Ask(
            subject,
            probe,
            partial(verdict, catalog=catalog, subject=subject, companion=companion, own=own, state=state, live=live),
        )


def among(catalog: Catalog, companion: Companion, state: str) -> str:
    """Of several companion rows only those not deleted are judged, unless the condition itself speaks of deletion."""
    tombstone = catalog.soft_deletes.get(companion.companion.oid)
    if (
        tombstone is None
        or tombstone.column in columns_in(state, companion.companion)
        or enforces_one(catalog, companion)
    ):
        return ""
    return f" AND ({tombstone.live})"


def verdict(
    answer: Answer, catalog: Catalog, subject: Object, companion: Companion, own: str, state: str, live: bool
) -> Finding | None:
    if not answer.count:
        return None
    declared = bool(companion.same_state)
    table, other = companion.table, companion.companion
    one = answer.count == 1
    rows, rows_there = plural(answer.count, "row"), "row" if one else "rows"
    if declared:
        mine, theirs = ("", "not ") if live else ("not ", "")
        title = (
            f"{rows} of {table.sql} {'contradicts its' if one else 'contradict their'} {rows_there} in {other.sql}:"
            f" {mine}({own}) here, {theirs}({state}) there"
        )
    else:
        are, whose = ("is", "its") if one else ("are", "their")
        here, there = idents(columns_in(own, table)), idents(columns_in(state, other))
        title = (
            f"{rows} of {table.sql} {are} {'live' if live else 'not live'} ({here}), but {whose} {rows_there} in"
            f" {other.sql} {are}{' not' if live else ''} ({there})"
        )
    said = (
        f"The configuration says that ({own}) in {table.sql} and ({state}) in {other.sql} agree."
        if declared
        else f"Nobody declared that the two agree, but both tables say whether a row is in force: {table.sql} by ({own}),"
        f" {other.sql} by ({state}). {companion.evidence[:1].upper()}{companion.evidence[1:]}."
    )
    if live:
        harm = f"What is in force in {table.sql} has lost its {rows_there} in {other.sql}: the next use fails."
    else:
        harm = f"What ended in {table.sql} goes on in {other.sql}: whoever reads only that still finds it in force."
    return Finding(
        severity if declared else Severity.WARNING,
        subject,
        title=title,
        message=f"{said} {harm}",
        confidence=Confidence.PROVEN if declared else Confidence.SUSPECTED,
        related=(other.object(columns=companion.companion_columns),),
        fixes=in_line(catalog, companion, own, state, answer.evidence.where or "false", live=live),
    )
