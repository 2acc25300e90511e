"""A row lacks the row that every such row needs in another table.

A credential without its row in the vault, a user without a profile: the creation stopped half-way, and nothing says so
until somebody needs the other half. Joins drop the row silently, code that loads the companion fails, and a retry of
the creation meets the half that is there (SQLSTATE 23505). A `[[companion]]` of the configuration is proven. Without
one, a table counts as companion that has a unique foreign key, or one that functions upsert, or rows that a trigger
writes; its gaps are reported, as suspected, when 95 % of the eligible rows have theirs (of fewer than 20, one gap is too
many). Eligible are rows that are not deleted, not revoked and active, as far as columns tell; where that is no rule, those
in the states, or with the flags and times, that set the rows with companion apart from the others (an invoice for orders
that are paid). The finding says which rows these are, and how many of the others have one.

Not flagged: rows younger than the grace period (10 minutes for inferred companions, where a creation time is known; a
row of unknown age is judged); rows outside `where`, or, without one, rows marked as deleted; optional relations, which
many rows do without; rows of another subtype, where tables that share a primary key divide the rows among them; a row
whose companion is there but deleted (companion-state-drift). Companion rows without their row are orphans: see
references/orphan-rows.

Fix: create the missing rows; or delete the rows that were created by half, or take them out of force. A trigger keeps
more from coming.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from auditor import ddl
from auditor.catalog.infer import grace_passed, other_kinds, phases, state_columns, sync_triggers, unwrapped
from auditor.catalog.model import Catalog, Companion
from auditor.check import Ask, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.companion_remedies import assignments, backfill, create_trigger, foreign_key, update
from auditor.probe import Answer, Matching, Unmatched, Values
from auditor.text import ident, idents, listed, literal, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA,)
supersedes = ("references/orphan-rows", "references/missing-fk")

COVERED = 0.95  # of the rows: a rule and not chance; with a gap that takes at least 20 rows
FEWEST = 20  # rows, to learn from
APART = 0.5  # the share of other rows with a companion up to which a condition sets the eligible ones apart
MOST_STATES = 8


def check(catalog: Catalog) -> Iterator[Result]:
    for companion in catalog.companions:
        subject = companion.table.object("table", companion.name, companion.columns)
        eligible = companion.where or alive(catalog, companion)
        kinds = () if companion.configured else other_kinds(catalog, companion)
        pair = Pair(catalog, subject, companion, tuple(condition for _, _, condition in kinds))
        if not companion.configured:
            yield pair.ask(eligible, partial(pair.rule, eligible))
            continue
        where = pair.among(eligible)
        yield pair.ask(eligible, partial(proven, catalog=catalog, subject=subject, companion=companion))
        open_ = [name for name in companion.columns if companion.table.by_name[name].may_hold_null]
        if open_:
            unnamed = companion.table.object("column", companion.name, tuple(open_))
            empty = " OR ".join(f"{ident(name)} IS NULL" for name in open_)
            yield Ask(
                unnamed,
                Matching(companion.table, f"{where} AND ({empty})" if where else empty),
                partial(nameless, subject=unnamed, companion=companion),
            )


@dataclass(frozen=True)
class Pair:
    """A companion relation and the question which rows lack their companion; of an inferred one also which rows need it.

    `kinds` leave out rows of other subtypes.
    """

    catalog: Catalog
    subject: Object
    companion: Companion
    kinds: tuple[str, ...]

    def among(self, eligible: str | None) -> str | None:
        """The rows that are judged."""
        conditions = (eligible, grace_passed(self.companion), *self.kinds)
        return " AND ".join(f"({condition})" for condition in conditions if condition) or None

    def ask(self, eligible: str | None, verdict: Callable[[Answer], Finding | Ask | None]) -> Ask:
        """How many of the eligible rows lack their companion."""
        companion = self.companion
        kinds = other_kinds(self.catalog, companion) if self.kinds else ()
        probe = Unmatched(
            companion.table,
            companion.columns,
            companion.companion,
            companion.companion_columns,
            where=self.among(eligible),
            only=False,
            beyond=tuple((table, columns) for table, columns, _ in kinds),
        )
        return Ask(self.subject, probe, verdict)

    def rule(self, eligible: str | None, answer: Answer) -> Finding | Ask | None:
        """Whether nearly all eligible rows have theirs; if not, whether they do among rows that are further on."""
        if follows(answer.examined, answer.count):
            if not answer.count:
                return None
            if self.companion.where is None:
                return self.suspected(answer, eligible, None)
            others = partial(self.suspected, answer, eligible)
            return self.ask(f"({eligible}) IS NOT TRUE", others)
        if answer.examined - answer.count < FEWEST:
            return None
        columns = state_columns(self.companion.table)
        if columns:
            told = partial(self.by_state, eligible, answer, columns[0])
            return Ask(self.subject, Values(self.companion.table, columns[0], MOST_STATES), told)
        return self.learn(eligible, answer, [[one] for one in phases(self.companion.table)], {})

    def by_state(self, eligible: str | None, whole: Answer, column: str, answer: Answer) -> Ask | None:
        """Tries each word of a column that says in what state a row is, then what else may tell."""
        values = answer.values if len(answer.values) <= MOST_STATES else ()
        states = [f"{ident(column)} = {literal(value).strip()}" for value, rows in values if rows >= FEWEST]
        tried = [states, *([one] for one in phases(self.companion.table))]
        return self.learn(eligible, whole, [one for one in tried if one], {})

    def learn(
        self, eligible: str | None, whole: Answer, tried: list[list[str]], found: dict[str, Answer]
    ) -> Ask | None:
        """Asks for each condition how many of its rows have their companion, until alternatives set these rows apart.

        `tried` are lists of alternatives; `found` what the rows said of them.
        """
        for alternatives in tried:
            for one in alternatives:
                if one not in found:
                    condition = f"({eligible}) AND {one}" if eligible else one
                    return self.ask(condition, partial(self.heard, eligible, whole, tried, found, one))
            needing = [
                one
                for one in alternatives
                if found[one].examined >= FEWEST and follows(found[one].examined, found[one].count)
            ]
            rows = sum(found[one].examined for one in needing)
            lacking = sum(found[one].count for one in needing)
            others, held = whole.examined - rows, whole.examined - whole.count - (rows - lacking)
            if needing and others >= FEWEST and held <= APART * others:
                if not lacking:
                    return None
                learned = f"({' OR '.join(needing)})" if len(needing) > 1 else needing[0]
                learned = f"({eligible}) AND {learned}" if eligible else learned
                return self.ask(learned, partial(self.suspected, eligible=learned, learned=(others, held)))
        return None

    def heard(
        self,
        eligible: str | None,
        whole: Answer,
        tried: list[list[str]],
        found: dict[str, Answer],
        one: str,
        answer: Answer,
    ) -> Finding | Ask | None:
        """Goes on with what the rows said of one condition."""
        return self.learn(eligible, whole, tried, {**found, one: answer})

    def suspected(
        self,
        answer: Answer,
        eligible: str | None,
        others: Answer | None = None,
        *,
        learned: tuple[int, int] | None = None,
    ) -> Finding | None:
        """The finding that says how many have theirs, which rows count, and how many of the others have one."""
        if not answer.count:
            return None
        held = answer.examined - answer.count
        companion = replace(self.companion, where=eligible) if learned else self.companion
        table, other = companion.table.sql, companion.companion.sql
        these = "this one has none" if answer.count == 1 else f"these {answer.count:,} have none"
        said = f"{held:,} of {plural(answer.examined, 'eligible row' if companion.where else 'row')} of {table}"
        if companion.where:
            said += f" ({unwrapped(companion.where)})"
        if companion.grace:
            said += f" that are older than {companion.grace}"
        rest = learned or ((others.examined, others.examined - others.count) if others is not None else (0, 0))
        contrast = ""
        if rest[0]:
            have = "has" if rest[1] == 1 else "have"
            contrast = (
                f" Of {plural(rest[0], 'row')} that {'is' if rest[0] == 1 else 'are'} not {rest[1]:,} {have} one."
            )
        if learned:
            contrast += " Which rows need one was learned from that."
        return Finding(
            Severity.WARNING,
            self.subject,
            title=f"{plural(answer.count, 'row')} of {table} {'has' if answer.count == 1 else 'have'} no row in {other},"
            f" while {held:,} have theirs",
            message=f"{said} have their row in {companion.name}; {these}.{contrast} Nobody declared that each needs one:"
            f" {companion.evidence}. {harm(companion, answer.count)} A [[companion]] entry in the configuration settles it.",
            confidence=Confidence.SUSPECTED,
            related=(companion.companion.object(columns=companion.companion_columns),),
            evidence=answer.evidence,
            fixes=fixes(answer, self.catalog, companion, learned=learned is not None),
            defect=defect(self.catalog, companion),
        )


def follows(examined: int, lacking: int) -> bool:
    """Whether that few exceptions leave it a rule."""
    return examined - lacking >= COVERED * examined


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


def fixes(answer: Answer, catalog: Catalog, companion: Companion, *, learned: bool = False) -> tuple[Fix, ...]:
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
                (companion.companion.name,),
            )
        )
    if not learned and not sync_triggers(catalog, companion):  # a row is rarely inserted in the state that needs one
        events = {"insert"} if foreign_key(companion) is not None else {"insert", "delete"}
        made.append(create_trigger(catalog, companion, events))
    return tuple(made)


def discard(companion: Companion, where: str, *, recommended: bool = False) -> Fix:
    """DELETE of the rows that were created by half, keeping a copy."""
    table = companion.table
    copy = ddl.free_name(table, table.name, companion.companion.name, "incomplete")
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
