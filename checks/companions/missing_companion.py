"""A row lacks the row that every such row needs in another table.

A credential without its row in the vault, a user without a profile: the creation stopped half-way, and nothing says so
until somebody needs the other half. Joins drop the row silently, code that loads the companion fails, and a retry of
the creation meets the half that is there (SQLSTATE 23505). A `[[companion]]` of the configuration is proven. Without
one, a table counts as companion that has a unique foreign key, or one that functions upsert, or rows that a trigger
writes; its gaps are reported, as suspected, when 95 % of the rows have theirs (of fewer than 20, one gap is too many).

Not flagged: rows younger than the grace period (10 minutes for inferred companions, where a creation time is known; a
row of unknown age is judged); rows outside `where`, or, without one, rows marked as deleted; optional relations, which
many rows do without; rows of another subtype, where tables that share a primary key divide the rows among them; a row
whose companion is there but deleted (companion-state-drift). Companion rows without their row are orphans: see
references/orphan-rows.

Fix: create the missing rows; or delete the rows that were created by half, or take them out of force. A trigger keeps
more from coming.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.infer import grace_passed, other_kinds, sync_triggers
from auditor.catalog.model import Catalog, Companion
from auditor.check import Ask, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.companion_remedies import assignments, backfill, create_trigger, foreign_key, update
from auditor.probe import Answer, Matching, Unmatched
from auditor.text import ident, idents, listed, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA,)
supersedes = ("references/orphan-rows", "references/missing-fk")

COVERED = 0.95  # of the rows: a rule and not chance; with a gap that takes at least 20 rows


def check(catalog: Catalog) -> Iterator[Result]:
    for companion in catalog.companions:
        subject = companion.table.object("table", companion.name, companion.columns)
        conditions = [companion.where or alive(catalog, companion), grace_passed(companion)]
        kinds = () if companion.configured else other_kinds(catalog, companion)
        conditions += [condition for _, _, condition in kinds]
        where = " AND ".join(f"({condition})" for condition in conditions if condition) or None
        probe = Unmatched(
            companion.table,
            companion.columns,
            companion.companion,
            companion.companion_columns,
            where=where,
            only=False,
            beyond=tuple((table, columns) for table, columns, _ in kinds),
        )
        judge = proven if companion.configured else suspected
        yield Ask(subject, probe, partial(judge, catalog=catalog, subject=subject, companion=companion))
        open_ = [name for name in companion.columns if companion.table.by_name[name].may_hold_null]
        if companion.configured and open_:
            unnamed = companion.table.object("column", companion.name, tuple(open_))
            empty = " OR ".join(f"{ident(name)} IS NULL" for name in open_)
            yield Ask(
                unnamed,
                Matching(companion.table, f"{where} AND ({empty})" if where else empty),
                partial(nameless, subject=unnamed, companion=companion),
            )


def alive(catalog: Catalog, companion: Companion) -> str | None:
    """Rows marked as deleted need no companion, unless the configuration's `where` says so."""
    tombstone = catalog.soft_deletes.get(companion.table.oid)
    return tombstone.live if tombstone is not None else None


def proven(answer: Answer, catalog: Catalog, subject: Object, companion: Companion) -> Finding | None:
    if not answer.count:
        return None
    table, other = companion.table.sql, companion.companion.sql
    condition = f" where {companion.where}" if companion.where else ""
    return Finding(
        severity,
        subject,
        title=f"{answer.count:,} of {plural(answer.examined, 'row')} of {table} that need a row in {other}"
        f" {'has' if answer.count == 1 else 'have'} none",
        message=f"The configuration says that each row of {table}{condition} has its row in {companion.name}."
        f" {harm(companion, answer.count)}",
        related=(companion.companion.object(columns=companion.companion_columns),),
        fixes=fixes(answer, catalog, companion),
        defect=defect(catalog, companion),
    )


def suspected(answer: Answer, catalog: Catalog, subject: Object, companion: Companion) -> Finding | None:
    held = answer.examined - answer.count
    if not answer.count or held < COVERED * answer.examined:
        return None
    table, other = companion.table.sql, companion.companion.sql
    these = "this one has none" if answer.count == 1 else f"these {answer.count:,} have none"
    said = f"{held:,} of {plural(answer.examined, 'row')} of {table}"
    if companion.where:
        said += f" where {companion.where}"
    if companion.grace:
        said += f" that are older than {companion.grace}"
    return Finding(
        Severity.WARNING,
        subject,
        title=f"{plural(answer.count, 'row')} of {table} {'has' if answer.count == 1 else 'have'} no row in {other},"
        f" while {held:,} have theirs",
        message=f"{said} have their row in {companion.name}; {these}. Nobody declared that each needs one:"
        f" {companion.evidence}. {harm(companion, answer.count)} A [[companion]] entry in the configuration settles it.",
        confidence=Confidence.SUSPECTED,
        related=(companion.companion.object(columns=companion.companion_columns),),
        fixes=fixes(answer, catalog, companion),
        defect=defect(catalog, companion),
    )


def nameless(answer: Answer, subject: Object, companion: Companion) -> Finding | None:
    if not answer.count:
        return None
    table, other = companion.table, companion.companion
    columns = listed([f"{table.sql}.{ident(name)}" for name in subject.columns], "or")
    return Finding(
        severity,
        subject,
        title=f"{plural(answer.count, 'row')} of {table.sql} that {'needs' if answer.count == 1 else 'need'} a row in"
        f" {other.sql} {'names' if answer.count == 1 else 'name'} none: {columns} is NULL",
        message=f"The configuration says that each of these rows has its row in {companion.name}, and it is found by"
        f" ({idents(companion.columns)}): where that is NULL there is no way to it. {harm(companion, answer.count)}",
        related=(other.object(columns=companion.companion_columns),),
        fixes=(
            discard(companion, answer.evidence.where or "false", recommended=True),
            Fix(
                "Name the companion's row, then forbid NULL",
                tuple(f"ALTER TABLE {table.sql} ALTER COLUMN {ident(name)} SET NOT NULL;" for name in subject.columns),
                tuple(f"ALTER TABLE {table.sql} ALTER COLUMN {ident(name)} DROP NOT NULL;" for name in subject.columns),
                "ACCESS EXCLUSIVE on the table while its rows are read",
                ("Fill the column in first: as long as a NULL is left the statement fails with SQLSTATE 23502.",),
            ),
        ),
    )


def harm(companion: Companion, count: int) -> str:
    it = "it" if count == 1 else "them"
    return (
        f"Joins of the two tables drop {it} silently, and whatever loads the row of {companion.companion.sql} fails;"
        f" creating {it} again may fail with SQLSTATE 23505, because one half is there."
    )


def defect(catalog: Catalog, companion: Companion) -> tuple[object, ...] | None:
    """Where the table's own columns refer to the companion's, its rows without companion are orphans of that relation."""
    if companion.where or companion.grace or alive(catalog, companion):
        return None
    return ("orphans", companion.table.oid, frozenset(companion.columns), companion.companion.oid)


def fixes(answer: Answer, catalog: Catalog, companion: Companion) -> tuple[Fix, ...]:
    table = companion.table
    where = answer.evidence.where or "false"
    made = [backfill(catalog, companion, where), discard(companion, where)]
    ended = assignments(table, companion.where, holds=False) if companion.where else None
    if ended is not None:
        made.append(
            update(
                f"Take the rows of {table.sql} out of force",
                table,
                ended,
                where,
                ["What they stand for (a credential, an account) stops working for its users."],
            )
        )
    if not sync_triggers(catalog, companion):
        events = {"insert"} if foreign_key(companion) is not None else {"insert", "delete"}
        made.append(create_trigger(catalog, companion, events))
    return tuple(made)


def discard(companion: Companion, where: str, *, recommended: bool = False) -> Fix:
    """DELETE of the rows that were created by half, keeping a copy."""
    table = companion.table
    copy = ddl.short(table.name, "incomplete")
    firing = listed([ident(t.name) for t in table.triggers if t.fires and "insert" in t.events] or [""])
    return Fix(
        f"Delete the incomplete rows of {table.sql}, keeping a copy",
        (ddl.keep_rows(table, where, copy), ddl.delete(table, where)),
        (ddl.restore_rows(table, copy), f"DROP TABLE {qualified(table.schema, copy)};"),
        ddl.LOCK_ROWS,
        (
            f"Rows that reference them follow their own ON DELETE action; {qualified(table.schema, copy)} keeps only"
            f" rows of {table.sql}.",
            *((f"The rollback's INSERT fires {firing}.",) if firing else ()),
        ),
        recommended=recommended,
    )
