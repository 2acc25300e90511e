"""Catalog and checks in; what is certain at once and what the rows have to be asked out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from auditor.catalog.model import Catalog, Table
from auditor.check import Ask, Clean, Depth, Finding, NotChecked, Object, Result
from auditor.patterns import Scope
from auditor.probe import Constants, Matching, Planned, Probe, Relation, Unmatched, narrowed
from auditor.probe.choice import Choice, Facts, together
from auditor.registry import Check
from auditor.text import ident, qualified

_EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Task:
    """One probe, and every check that waits for its answer. `choice` is the strategy to begin with, and its cost."""

    probe: Probe
    asks: tuple[tuple[Check, Ask], ...]
    choice: Choice

    @property
    def cost(self) -> float:
        """Seconds of one backend, about."""
        return self.choice.seconds


@dataclass(slots=True)
class Plan:
    """What is known without reading a row, and what is left to ask, cheapest first."""

    findings: list[tuple[Check, Finding]] = field(default_factory=list)
    clean: list[tuple[Check, Clean]] = field(default_factory=list)
    not_checked: list[tuple[Check, NotChecked]] = field(default_factory=list)
    skipped: list[tuple[Check, Ask | NotChecked]] = field(default_factory=list)
    beside: list[tuple[Check, Ask, str]] = field(default_factory=list)  # about other rows than asked for, and which
    tasks: list[Task] = field(default_factory=list)
    left_out: list[Check] = field(default_factory=list)  # all that they ask is asked at a greater depth

    def add(self, other: Plan) -> None:
        """Takes in what another plan came to."""
        self.findings += other.findings
        self.clean += other.clean
        self.not_checked += other.not_checked
        self.skipped += other.skipped
        self.beside += other.beside
        self.tasks += other.tasks

    def give_up(self, reason: str, detail: str) -> None:
        """Takes its questions as not answered, for this reason."""
        for check, ask in (pair for task in self.tasks for pair in task.asks):
            self.not_checked.append((check, NotChecked(ask.subject, reason, detail)))
            if ask.unread is not None:
                self.findings.append((check, ask.unread))
        self.tasks.clear()


def hindrance(probe: Probe, catalog: Catalog) -> tuple[str, str] | None:
    """Why the probe cannot be read by this login, as reason and detail, or None. Privileges are known, never tried."""
    for table, columns in probe.reads():
        if table.locked:
            return "lock", f"another session holds {table.sql} locked"
        if not table.holds_rows:
            kind = {"f": "a foreign table", "v": "a view", "m": "a materialized view"}[table.kind]
            return "unsupported", f"{table.sql} is {kind}"
        if catalog.lost(table):
            return "unsupported", f"{table.sql} is unlogged and cannot be read on a standby"
        for leaf in _below(probe, table, catalog) if columns != () else ():
            tie = f"{leaf.sql}, {'a partition' if leaf.is_partition else 'an inheritance child'} of {table.sql}, is"
            if not leaf.holds_rows:
                return "unsupported", f"{tie} a foreign table"
            if catalog.lost(leaf):
                return "unsupported", f"{tie} unlogged and cannot be read on a standby"
        if not table.schema_usable:
            return "permission", f"no USAGE on the schema of {table.sql}"
        if columns != () and not table.readable and not _columns_readable(table, columns):
            return "permission", f"no SELECT on {table.sql}"
        if (code := catalog.code_run_for(table, inserting=isinstance(probe, Planned))) is not None:
            function = f"{qualified(code.schema, code.function)} of {ident(code.owner)}"
            return (
                "unsafe_code",
                f"planning a query of {table.sql} would run {function} under {ident(catalog.server.login)}",
            )
        if table.row_security:
            return "row_security", f"row security hides rows of {table.sql} from {catalog.server.user}"
    return None


def _below(probe: Probe, table: Table, catalog: Catalog) -> Iterator[Table]:
    """The tables below one that the probe reads whose rows it reads too: partitions always, inheritance children unless
    it leaves them out."""
    of = probe.referenced if isinstance(probe, Relation) else probe.table
    whole = isinstance(probe, Matching | Relation) and not probe.only
    beside = isinstance(probe, Relation) and any(table is one for one, _ in probe.beyond)
    if table.kind == "r" and not beside and not (whole and table is of):
        return
    yield from (heir for heir in catalog.heirs(table) if heir is not table)


def _columns_readable(table: Table, columns: tuple[str, ...] | None) -> bool:
    wanted = table.columns if columns is None else tuple(table.by_name[name] for name in columns)
    return bool(wanted) and all(column.readable for column in wanted)


def _locked(catalog: Catalog) -> dict[Object, str]:
    """What no check can judge: its definition could not be read. With the name for the reader."""
    tables = {table.object(): table.sql for table in catalog.tables.values() if table.locked}
    functions = {
        Object("function", f.schema, name=f.name): qualified(f.schema, f.name)
        for f in catalog.functions.values()
        if f.locked
    }
    return {**tables, **functions}


def _without(result: Result, locked: dict[Object, str]) -> Result | None:
    """What is left of a check's result where definitions could not be read: nothing about what is locked."""
    finding = result if isinstance(result, Finding) else result.unread if isinstance(result, Ask) else None
    subject = result.object if isinstance(result, Finding) else result.subject
    tables = [Object("table", s.schema, s.table) for s in (subject, *(finding.related if finding else ()))]
    held = [locked[table] for table in tables if table in locked]
    if not held:
        return result
    return None if tables[0] in locked else NotChecked(subject, "lock", f"another session holds {held[0]} locked")


def _narrowed(catalog: Catalog, scope: Scope) -> Catalog:
    """The catalog whose checks go through what is in scope and what is tied to it: a finding names no more beside its object.

    The tables at the other end of their foreign keys, of other relations, of companions, and their partition trees.
    """
    if scope == _EVERYTHING:
        return catalog
    wanted = {table.oid for table in catalog.tables.values() if scope.holds(table.object())}
    ties = [(table.oid, parent.oid) for table, _, parent in catalog.foreign_keys]
    ties += [(r.table.oid, r.referenced.oid) for r in catalog.references]
    ties += [(many.table.oid, target.oid) for many in catalog.polymorphic for _, target, _ in many.targets]
    ties += [(c.table.oid, c.companion.oid) for c in catalog.companions]
    judged = wanted | {oid for tie in ties if wanted & {*tie} for oid in tie}
    todo = list(judged)
    while todo:
        table = catalog.tables.get(todo.pop())
        beside = {*table.parents, *table.children} - judged if table is not None else set()
        judged |= beside
        todo += beside
    return replace(catalog, judged=frozenset(judged))


def _of_rows(catalog: Catalog, ask: Ask) -> Probe | str:
    """The question about the rows that were asked for, or why there is none."""
    probe = ask.probe
    if catalog.where is None or isinstance(probe, Planned | Constants):
        return probe
    if probe.table.oid not in catalog.where:
        return f"--where asks for no row of {probe.table.sql}"
    made = None if ask.whole else narrowed(probe, catalog.where[probe.table.oid])
    return made or f"--where asks for some rows of {probe.table.sql}, and only all can answer it"


def plan(catalog: Catalog, checks: Iterable[Check], depth: Depth, scope: Scope = _EVERYTHING) -> Plan:
    """Runs every check over the catalog. Questions that are equal are asked once.

    A finding is in scope by what it is about, or by what else it names, unless what it is about is excluded.
    """
    made = Plan()
    locked = _locked(catalog)
    everything = scope == _EVERYTHING
    narrowed = _narrowed(catalog, scope)
    asked: dict[Probe, list[tuple[Check, Ask]]] = {}
    for check in checks:
        # From depth data on, what is asked deeper is listed object by object as skipped.
        if depth is Depth.CATALOG and depth not in check.depths:
            made.left_out.append(check)
            continue
        for subject, named in locked.items():
            if scope.holds(subject):
                made.not_checked.append((check, NotChecked(subject, "lock", f"another session holds {named} locked")))
        for said in check.run(narrowed):
            result = _without(said, locked) if locked else said
            if result is None:
                continue
            if isinstance(result, Finding):
                subjects = (result.object, *result.related)
                if everything or (any(map(scope.holds, subjects)) and not scope.excludes(result.object)):
                    made.findings.append((check, result))
            elif not everything and not scope.holds(result.subject):
                continue
            elif isinstance(result, Clean):
                made.clean.append((check, result))
            elif not depth.includes(result.depth):
                made.skipped.append((check, result))
            elif isinstance(result, NotChecked):
                made.not_checked.append((check, result))
            else:
                probe = _of_rows(catalog, result)
                if isinstance(probe, str):
                    made.beside.append((check, result, probe))
                else:
                    asked.setdefault(probe, []).append((check, result))
    readable: dict[Probe, tuple[tuple[Check, Ask], ...]] = {}
    for probe, asks in asked.items():
        hindered = hindrance(probe, catalog)
        if hindered is None:
            readable[probe] = tuple(asks)
            continue
        for check, ask in asks:
            made.not_checked.append((check, NotChecked(ask.subject, *hindered)))
            if ask.unread is not None:
                made.findings.append((check, ask.unread))
    made.tasks = chosen(catalog, readable)
    return made


def chosen(catalog: Catalog, asked: Mapping[Probe, tuple[tuple[Check, Ask], ...]]) -> list[Task]:
    """A task for each probe, and who waits for it, with the strategy to begin with; cheapest first."""
    facts = Facts(catalog)
    tasks: list[Task] = []
    for probes in units(asked):
        orders = together(facts, probes).orders
        tasks += [Task(probe, asked[probe], choices[0]) for probe, choices in zip(probes, orders, strict=True)]
    return sorted(tasks, key=lambda task: task.cost)


def units(probes: Iterable[Probe]) -> list[list[Probe]]:
    """What is asked in one transaction: relations of one table share a reading of it; every other probe stands alone."""
    found: dict[object, list[Probe]] = {}
    for number, probe in enumerate(probes):
        found.setdefault(probe.table.oid if type(probe) is Unmatched else (number,), []).append(probe)
    return list(found.values())
