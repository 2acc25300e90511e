"""A first auditor.toml: what nobody declared in the database, asked of its rows, with the evidence, for a human to accept.

What the rows bear out is written as entries that hold at once; what they do not tell, or tell against, as comments.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg

from auditor import __version__
from auditor.audit import open_catalog
from auditor.catalog.infer import FEWEST_ROWS, complete, grace_passed, most_orphans
from auditor.catalog.model import Catalog, Companion, Reference, SoftDelete, Table
from auditor.catalog.references import INTEGERS, guesses
from auditor.config import Settings
from auditor.connection import Session, Target, reason_of
from auditor.errors import UsageError
from auditor.patterns import Scope
from auditor.plan import chosen, hindrance
from auditor.probe import Answer, Failure, Matching, Probe, Unmatched
from auditor.probe.textbook import WITHHELD, Samples
from auditor.run import Runner
from auditor.text import ident, idents, literal, one_line, plural

if TYPE_CHECKING:
    from auditor.connection import Fetch

# Of larger tables the first pages are asked before the whole: most of what is no reference shows there.
SAMPLED_PAGES = 1024
_LARGE_PAGES = 8 * SAMPLED_PAGES
_COVERED, _FEWEST_COMPANIONS = 0.95, 20  # of rows that have their companion: a rule and not chance


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the file: its keys and values as TOML, why it is there, and whether it is to hold."""

    keys: tuple[tuple[str, str], ...]
    why: tuple[str, ...]
    holds: bool
    hint: tuple[str, str] | None = None  # another key and value, for a human to add


@dataclass(frozen=True, slots=True)
class Draft:
    """What the file says."""

    soft_deletes: tuple[Entry, ...]
    references: tuple[Entry, ...]
    companions: tuple[Entry, ...]
    refuted: tuple[str, ...]  # columns that are called like references, and whose rows are not
    unread: tuple[str, ...]  # what could not be asked, with the reason

    def line(self, place: str) -> str:
        """What was written where, in one line."""
        entries = (*self.soft_deletes, *self.references, *self.companions)
        holds = sum(entry.holds for entry in entries)
        said = f"{holds:,} {'entry holds' if holds == 1 else 'entries hold'}, {len(entries) - holds:,} commented out"
        left = f", {len(self.unread):,} not asked" if self.unread else ""
        return f"{f'{one_line(place)}: ' if place else ''}{said}{left}"


# --- TOML ------------------------------------------------------------------------------------------------------------


def toml(text: str) -> str:
    """A TOML string: on one line, nothing in it invisible. Raises ValueError for what TOML cannot say."""

    def escaped(character: str) -> str:
        category = unicodedata.category(character)
        if category == "Cs":  # a byte of no encoding
            raise ValueError(text)
        if character in '"\\':
            return "\\" + character
        return f"\\U{ord(character):08X}" if category in ("Cc", "Cf", "Zl", "Zp") else character

    return '"' + "".join(map(escaped, text)) + '"'


def _columns(table: Table, columns: tuple[str, ...]) -> str:
    return toml(f"{table.sql}({idents(columns)})")


# --- asking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Profile:
    """How many rows point somewhere, and for integers how the values lie: of the column, and of the key."""

    pointing: int
    lowest: int | None = None
    highest: int | None = None
    different: int | None = None
    key_rows: int | None = None
    key_lowest: int | None = None
    key_highest: int | None = None

    @property
    def spread(self) -> bool:
        """Whether the values reach over the keys. A few small numbers are contained in every table of numbers."""
        if None in (self.lowest, self.highest, self.key_lowest, self.key_highest, self.different, self.key_rows):
            return False
        assert self.lowest is not None
        assert self.highest is not None
        assert self.key_lowest is not None
        assert self.key_highest is not None
        reach = min(self.highest, self.key_highest) - max(self.lowest, self.key_lowest)
        wide = reach * 2 >= self.key_highest - self.key_lowest
        return bool(self.different and self.different > 2 and self.key_rows and wide)


class _Asker:
    """Asks the rows: probes through the runner, profiles in one session."""

    def __init__(self, catalog: Catalog, settings: Settings, target: Target, report: Callable[[Any], None]) -> None:
        self.catalog = catalog
        options = settings.audit
        self.runner = Runner(target, options.connections, Samples(options.samples, options.deny), catalog, report)
        self.runner.max_snapshot = options.max_snapshot
        self.target = target

    def ask(self, probes: list[Probe]) -> list[Answer | Failure]:
        """One answer or failure per probe. Raises KeyboardInterrupt when it is interrupted: half a draft is none."""
        found: dict[Probe, Answer | Failure] = {
            probe: Failure(*why) for probe in probes if (why := hindrance(probe, self.catalog)) is not None
        }
        tasks = chosen(self.catalog, {probe: () for probe in probes if probe not in found})
        found.update(zip((task.probe for task in tasks), self.runner.run(tasks) if tasks else (), strict=True))
        if self.runner.stopped:
            raise KeyboardInterrupt
        return [found[probe] for probe in probes]

    def profiles(self, references: list[Reference]) -> list[_Profile | Failure]:
        """One profile or failure per reference."""
        found: list[_Profile | Failure] = []
        keys: dict[tuple[int, str], list[tuple[str | None, ...]]] = {}
        session = Session(self.target)
        try:
            for reference in references:
                try:
                    with session.transaction() as fetch:
                        found.append(_profile(reference, fetch, keys))
                except psycopg.Error as error:
                    found.append(Failure(*reason_of(error, session)))
                    if not session.alive:
                        session.close()
                        session = Session(self.target)
        finally:
            session.close()
        return found


def _profile(reference: Reference, fetch: Fetch, keys: dict[tuple[int, str], list[tuple[str | None, ...]]]) -> _Profile:
    """`keys` holds what is known of keys already."""
    table, parent = reference.table, reference.referenced
    only = "ONLY " if table.only else ""
    points = " AND ".join(f"{ident(name)} IS NOT NULL" for name in reference.columns)
    if table is parent:
        pairs = zip(reference.columns, reference.referenced_columns, strict=True)
        points = " AND ".join(f"{ident(mine)} <> {ident(theirs)}" for mine, theirs in pairs if mine != theirs)
    (name, *more), (key, *_) = reference.columns, reference.referenced_columns
    if more or table.by_name[name].base_oid not in INTEGERS:
        ((count,),) = fetch(f"SELECT pg_catalog.count(*) FROM {only}{table.sql} WHERE {points}")
        return _Profile(int(count or 0))
    column, other = ident(name), ident(key)
    own = f"SELECT pg_catalog.count(*), pg_catalog.min({column}), pg_catalog.max({column}) FROM {only}{table.sql} WHERE {points}"
    several = f"SELECT pg_catalog.count(*) FROM (SELECT DISTINCT {column} FROM {only}{table.sql} WHERE {points} LIMIT 3) AS few"
    if (parent.oid, key) not in keys:
        keys[parent.oid, key] = fetch(
            f"SELECT pg_catalog.count(*), pg_catalog.min({other}), pg_catalog.max({other}) FROM {parent.sql}"
        )
    ((count, lowest, highest),), ((different,),), ((rows, first, last),) = (
        fetch(own),
        fetch(several),
        keys[parent.oid, key],
    )

    def number(text: str | None) -> int | None:
        return None if text is None else int(text)

    return _Profile(
        int(count or 0),
        number(lowest),
        number(highest),
        number(different),
        number(rows),
        number(first),
        number(last),
    )


# --- references ------------------------------------------------------------------------------------------------------


def _sampled(probe: Unmatched) -> Unmatched:
    """The same question about the first pages of a table: enough to tell that something is no reference."""
    return replace(probe, where=f"ctid < '({SAMPLED_PAGES},0)'::pg_catalog.tid")


def _references(
    candidates: list[Reference], asker: _Asker, unread: list[str]
) -> tuple[list[tuple[Reference, Entry]], list[str]]:
    """The entries, and the columns that the rows refute."""
    refuted: dict[tuple[int, tuple[str, ...]], str] = {}
    large = [r for r in candidates if r.table.pages > _LARGE_PAGES and r.table.kind == "r"]
    for reference, answer in zip(large, asker.ask([_sampled(Unmatched.of(r)) for r in large]), strict=True):
        if isinstance(answer, Answer) and answer.examined >= FEWEST_ROWS and answer.count > answer.examined / 2:
            refuted[reference.table.oid, reference.columns] = _said(reference)
            candidates = [other for other in candidates if other is not reference]
    answers = asker.ask([Unmatched.of(reference) for reference in candidates])
    asked = [(r, a) for r, a in zip(candidates, answers, strict=True) if isinstance(a, Answer)]
    unread += [
        f"{_said(reference)}: {answer.detail}"
        for reference, answer in zip(candidates, answers, strict=True)
        if isinstance(answer, Failure)
    ]
    best: dict[tuple[int, tuple[str, ...]], tuple[bool, float, Reference, Entry]] = {}
    for (reference, answer), profile in zip(asked, asker.profiles([r for r, _ in asked]), strict=True):
        if isinstance(profile, Failure):
            unread.append(f"{_said(reference)}: {profile.detail}")
            continue
        entry = _judged(reference, answer, profile)
        place = reference.table.oid, reference.columns
        if entry is None:
            refuted[place] = _said(reference)
            continue
        rank = (not entry.holds, answer.count / max(profile.pointing, 1))
        if place not in best or rank < best[place][:2]:
            best[place] = (*rank, reference, entry)
    entries = [(reference, entry) for _, _, reference, entry in best.values()]
    return entries, [said for place, said in refuted.items() if place not in best]


def _said(reference: Reference) -> str:
    names = ", ".join(map(ident, reference.columns))
    return f"{reference.table.sql}.{names}" if len(reference.columns) == 1 else f"{reference.table.sql} ({names})"


def _judged(reference: Reference, answer: Answer, profile: _Profile) -> Entry | None:
    """The entry for what the rows said; None where most of them are against it."""
    pointing, orphans = profile.pointing, min(answer.count, profile.pointing)
    share = orphans / pointing if pointing else 0.0
    if share > 0.5:
        return None
    numbers = reference.table.by_name[reference.columns[0]].base_oid in INTEGERS
    what, to = plural(pointing, "row"), reference.referenced.sql
    sentences = [reference.evidence[:1].upper() + reference.evidence[1:] + "."]
    sentinel = orphans and answer.groups == 1 and pointing >= FEWEST_ROWS
    holds, hint = True, None
    if not pointing:
        sentences.append(
            f"No row points {'to another row' if reference.table is reference.referenced else 'anywhere'} yet."
        )
        holds = False
    elif orphans:
        values = "one value" if answer.groups == 1 else f"{answer.groups:,} different values"
        sentences.append(
            f"Of {what} that {'points' if pointing == 1 else 'point'} somewhere {orphans:,} find no row of {to}, with {values}."
        )
        holds = share <= most_orphans(reference) / (5 if reference.weak and not numbers else 1)
        if sentinel and not holds:
            sentences.append("If that value means none, leave it out with `where`; otherwise these rows are orphans.")
            hint, holds = ("where", toml(f"{ident(reference.columns[0])} <> {_value(answer, reference)}")), True
        elif not holds:
            sentences.append("That is many for a reference.")
    else:
        sentences.append(
            f"{'The row that points' if pointing == 1 else f'All of {what} that point'} somewhere {'finds its' if pointing == 1 else 'find their'} row of {to}."
        )
    if 0 < pointing < FEWEST_ROWS:
        sentences.append("So few are contained by chance.")
        holds = False
    elif pointing and numbers and reference.weak and not profile.spread:
        sentences.append("The values are few or small, and small numbers are contained in every table of numbers.")
        holds = False
    keys = (
        ("from", _columns(reference.table, reference.columns)),
        ("to", _columns(reference.referenced, reference.referenced_columns)),
    )
    return Entry(keys, tuple(sentences), holds, hint)


def _value(answer: Answer, reference: Reference) -> str:
    """The one value that the orphans hold, as SQL; dots where it is not to be shown."""
    sample = answer.evidence.sample
    value = sample[0].get(reference.columns[0]) if sample else None
    if value is None or value == WITHHELD or any(unicodedata.category(character) == "Cs" for character in value):
        return "..."
    return value if re.fullmatch(r"-?[0-9]+", value) else literal(value).strip()


# --- soft deletes ----------------------------------------------------------------------------------------------------


def _soft_deletes(catalog: Catalog, scope: Scope, asker: _Asker, unread: list[str]) -> tuple[Entry, ...]:
    """`[soft_delete] columns`, one entry per column name, where all tables that have it mean the same by it."""
    marked = [(catalog.tables[oid], mark) for oid, mark in catalog.soft_deletes.items()]
    marked = [(table, mark) for table, mark in marked if scope.holds(table.object()) and not table.is_partition]
    answers = asker.ask([Matching(table, mark.deleted, (mark.column,)) for table, mark in marked])
    by_column: dict[tuple[str, str], list[tuple[Table, Answer]]] = defaultdict(list)
    for (table, mark), answer in zip(marked, answers, strict=True):
        if isinstance(answer, Failure):
            unread.append(f"{table.sql}.{ident(mark.column)}: {answer.detail}")
        else:
            by_column[mark.column, _condition(mark)].append((table, answer))
    entries = []
    for (column, condition), told in sorted(by_column.items()):
        # The entry speaks of every table with such a column: not where one of them means something else by it.
        others = [
            table
            for table in catalog.tables.values()
            if table.holds_rows
            and column in table.by_name
            and not _same_mark(catalog.soft_deletes.get(table.oid), column, condition)
        ]
        deleted, rows = sum(answer.count for _, answer in told), sum(answer.examined for _, answer in told)
        where = f"{told[0][0].sql} has it" if len(told) == 1 else f"{len(told)} tables have it"
        why = [f"{where}; {deleted:,} of {plural(rows, 'row')} {'is' if deleted == 1 else 'are'} marked as deleted."]
        if others:
            why.append(
                f"Not so in {others[0].sql}, whose column of that name is of another kind; see [soft_delete.tables]."
            )
        elif not deleted:
            why.append("No row is, so none tells whether it is used.")
        elif deleted == rows:
            why.append("All rows are, so it may mean something else.")
        try:
            keys = ((toml(column), toml(condition)),)
        except ValueError:
            unread.append(f"{ident(column)}: this name cannot be written in TOML")
            continue
        entries.append(Entry(keys, tuple(why), not others and 0 < deleted < rows))
    return tuple(entries)


def _same_mark(mark: SoftDelete | None, column: str, condition: str) -> bool:
    return mark is not None and (mark.column, _condition(mark)) == (column, condition)


def _condition(mark: SoftDelete) -> str:
    return mark.deleted.removeprefix(ident(mark.column)).strip()


# --- companions ------------------------------------------------------------------------------------------------------


def _companions(catalog: Catalog, companions: list[Companion], asker: _Asker, unread: list[str]) -> tuple[Entry, ...]:
    probes: list[Probe] = []
    for companion in companions:
        tombstone = catalog.soft_deletes.get(companion.table.oid)
        conditions = [companion.where or (tombstone.live if tombstone else None), grace_passed(companion)]
        where = " AND ".join(f"({condition})" for condition in conditions if condition) or None
        ends = companion.table, companion.columns, companion.companion, companion.companion_columns
        probes.append(Unmatched(*ends, where=where, only=False))
    entries = []
    for companion, answer in zip(companions, asker.ask(probes), strict=True):
        if isinstance(answer, Failure):
            unread.append(f"{companion.table.sql} and {companion.name}: {answer.detail}")
            continue
        held = answer.examined - answer.count
        why = [companion.evidence[:1].upper() + companion.evidence[1:] + "."]
        which = " that are old enough" if companion.grace else ""
        why.append(f"{held:,} of {plural(answer.examined, 'row')} of {companion.table.sql}{which} have theirs.")
        holds = answer.examined >= _FEWEST_COMPANIONS and held >= _COVERED * answer.examined
        if answer.examined < _FEWEST_COMPANIONS:
            why.append("So few are no rule.")
        elif not holds:
            why.append("A row without one seems to be in order.")
        try:
            entries.append(Entry(_companion_keys(companion), tuple(why), holds))
        except ValueError:
            unread.append(f"{companion.table.sql} and {companion.name}: a name of these cannot be written in TOML")
    return tuple(entries)


def _companion_keys(companion: Companion) -> tuple[tuple[str, str], ...]:
    keys = [
        ("of", _columns(companion.table, companion.columns)),
        ("in", _columns(companion.companion, companion.companion_columns)),
    ]
    if companion.where:
        keys.append(("where", toml(companion.where)))
    if companion.exactly_one:
        keys.append(("exactly_one", "true"))
    if companion.grace and companion.created_at:
        keys += [("grace", toml(companion.grace)), ("created_at", toml(companion.created_at))]
    return tuple(keys)


# --- the file --------------------------------------------------------------------------------------------------------


def draft(settings: Settings, target: Target, report: Callable[[Any], None] = lambda _: None) -> tuple[Catalog, Draft]:
    """Reads the catalog and asks the rows. What the settings declare of the data is left aside: the file replaces it.

    Raises AuditorError where that cannot begin; what could not be read is in the draft.
    """
    options = settings.audit
    scope = Scope(options.schemas, options.exclude_schemas, options.tables, options.exclude_tables)
    scope.validate()
    with Session(target) as session:
        catalog = complete(open_catalog(session), Settings(audit=options))
    if scope != Scope() and not any(scope.holds(table.object()) for table in catalog.tables.values()):
        raise UsageError("no table matches the given schema and table patterns: nothing would be asked")
    asker = _Asker(catalog, settings, target, report)
    unread: list[str] = []
    wanted = []
    known = {(reference.table.oid, reference.columns) for reference in catalog.references}
    guessed = [r for r in guesses(catalog) if (r.table.oid, r.columns) not in known]
    for reference in (*catalog.references, *guessed):
        if scope.holds(reference.table.object()):
            try:
                (
                    _columns(reference.table, reference.columns),
                    _columns(reference.referenced, reference.referenced_columns),
                )
                wanted.append(reference)
            except ValueError:
                unread.append(f"{_said(reference)}: a name of these cannot be written in TOML")
    found, refuted = _references(wanted, asker, unread)
    found.sort(key=lambda pair: (not pair[1].holds, pair[0].table.schema, pair[0].table.name, pair[0].columns))
    companions = [c for c in catalog.companions if scope.holds(c.table.object())]
    pairs = _companions(catalog, companions, asker, unread)
    marks = _soft_deletes(catalog, scope, asker, unread)
    entries = tuple(entry for _, entry in found)
    return catalog, Draft(
        marks, entries, tuple(sorted(pairs, key=lambda e: not e.holds)), tuple(refuted), tuple(unread)
    )


def render(catalog: Catalog, made: Draft) -> str:
    """The text of the file."""
    from auditor.report.layout import wrap
    from auditor.report.template import template

    def comment(text: str) -> str:
        return "\n".join(wrap(one_line(text), 100, "# ", "# "))

    filters = {"comment": comment, "one": one_line}
    return template("auditor.toml", filters).render(
        draft=made,
        database=catalog.server.database,
        server=catalog.server.version,
        version=__version__,
        today=date.today().isoformat(),
    )
