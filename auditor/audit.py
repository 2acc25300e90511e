"""The audit itself, and its result: the one thing that is written out, compared and kept."""

from __future__ import annotations

import hashlib
import json
import math
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg

from auditor import __version__
from auditor.catalog.model import Catalog, Server, Statement, Table
from auditor.catalog.read import Wanted, read_catalog, read_locked
from auditor.check import Ask, Depth, Finding, NotChecked, Object, Severity
from auditor.check import Past as Past
from auditor.connection import Session, Target, reason_of
from auditor.earlier import Earlier, Given, Known, Mark, Position, Questions, Resumed, Since, mark, position
from auditor.errors import CannotConnectError, ConfigError, UsageError
from auditor.patterns import Scope
from auditor.probe import Constants, Failure, Planned, Probe
from auditor.probe.samples import Samples
from auditor.registry import Check, load, matching, selected
from auditor.text import listed, one_line, plural, visible_sql
from auditor.watchdog import watching

if TYPE_CHECKING:
    from auditor.config import Ignore, Settings
    from auditor.gauge import Gauge
    from auditor.plan import Plan, Task
    from auditor.probe import Answer
    from auditor.probe.slices import Sliced
    from auditor.run import Runner

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Tool:
    """What made the report."""

    name: str = "pg-integrity-auditor"
    version: str = __version__


@dataclass(frozen=True, slots=True)
class Run:
    """When and how. Times are ISO 8601 in UTC."""

    id: str
    started_at: str
    finished_at: str
    depth: str
    status: str  # complete, incomplete
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Database:
    """What was audited."""

    host: str
    port: int
    name: str
    user: str
    server_version: str
    system_identifier: str | None
    is_standby: bool

    @property
    def identity(self) -> str:
        """What stays the same when a host is renamed or a standby is asked, where the login may see it."""
        return one_line(f"{self.system_identifier or f'{self.host}:{self.port}'}/{self.name}")


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts. Findings that are known or suppressed count as suppressed only."""

    error: int
    warning: int
    info: int
    suppressed: int
    probes: int
    not_checked: int
    rows_examined: int

    @property
    def line(self) -> str:
        """The last line of every run, as the contract has it."""

        def some(count: int, noun: str) -> str:
            return f"{count} {noun}{'' if count == 1 else 's'}"

        return (
            f"{some(self.error + self.warning + self.info, 'finding')} ({some(self.error, 'error')},"
            f" {some(self.warning, 'warning')}, {some(self.info, 'info')}), {self.suppressed} suppressed,"
            f" {some(self.probes, 'probe')}, {self.not_checked} not checked"
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of one check on one object."""

    check: str
    object: Object
    outcome: str  # passed, failed, not_checked, skipped
    reason: str | None = None
    rows_examined: int | None = None
    seconds: float | None = None
    strategy: str | None = None
    detail: str = ""
    estimated_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """What an earlier audit counted."""

    at: str
    error: int
    warning: int
    info: int
    not_checked: int
    status: str
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """A finding of the last audit that this one does not report. `outcome`: fixed, or not_checked again."""

    check: str
    object: str
    fingerprint: str
    severity: str
    violations: int | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since the last audit that asked for the same. The open findings are named by their fingerprints.

    `since` is when that audit began (ISO 8601), `was` whether it was complete or incomplete.
    """

    since: str
    was: str
    new: tuple[str, ...]
    worse: tuple[str, ...]
    better: tuple[str, ...]
    gone: tuple[Gone, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """A finished audit. `notes` are sentences about the run itself that the reader should know, `past` earlier audits that
    asked for the same, the oldest first, `changes` what is different since the last of them. `marks` and `answers` are for later
    runs that take over parts of this one."""

    tool: Tool
    run: Run
    database: Database
    summary: Summary
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    notes: tuple[str, ...] = ()
    past: tuple[Point, ...] = ()
    changes: Changes | None = None
    marks: tuple[Mark, ...] = ()
    answers: tuple[Given, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def open_findings(self) -> tuple[Finding, ...]:
        """Those that are neither known nor suppressed."""
        return tuple(finding for finding in self.findings if finding.status == "new")

    def exit_code(self, fail_on: str, *, allow_incomplete: bool) -> int:
        """1 with a finding at or above `fail_on`, else 4 when something was not checked, else 0."""
        if fail_on != "never":
            worst = Severity(fail_on).rank
            if any(finding.severity.rank <= worst for finding in self.open_findings):
                return 1
        return 4 if self.run.status == "incomplete" and not allow_incomplete else 0


def fingerprint(finding: Finding) -> str:
    """A name for the defect that survives dumps, restores and new rows: no oid, no count, no value goes in."""
    subject = finding.object
    parts = [finding.check, subject.kind, subject.schema, subject.table, subject.name, list(subject.columns)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def rows_of(audit: Audit) -> list[str]:
    """The conditions of the rows that were judged; none: all rows."""
    return list(audit.run.options.get("where", ()))


def moved(old: Finding, new: Finding, *, counted: bool = True) -> tuple[str, str]:
    """The group of a finding that both have, and in what it moved; with `counted` their counts are of the same rows."""
    a, b = old.evidence, new.evidence
    if old.severity is not new.severity:
        group = "worsened" if new.severity.rank < old.severity.rank else "bettered"
        return group, f"{new.severity.value}, was {old.severity.value}"
    if not counted or a is None or b is None or a.violations is None or b.violations is None:
        return "unchanged", ""
    said = f"{'' if b.exact else 'at least '}{plural(b.violations, 'row')}, {'' if a.exact else 'at least '}{a.violations:,} before"
    # A count that is only a lower bound proves growth, or a decline, only on its side.
    if b.violations > a.violations and a.exact:
        return "worsened", said
    if b.violations < a.violations and b.exact:
        return "bettered", said
    return "unchanged", ""


def _grown(known: Finding, now: Finding) -> str:
    """What there is more of than the baseline has; empty: nothing."""
    if moved(known, now)[0] != "worsened":
        return ""
    if known.severity is not now.severity:
        return f"{known.severity} in the baseline, {now.severity} now"
    assert known.evidence is not None
    assert now.evidence is not None
    least = "" if now.evidence.exact else "at least "
    return f"{known.evidence.violations:,} in the baseline, {least}{now.evidence.violations:,} now"


# The report of the earlier run that one with these options, of this database, is to take over parts of.
Find = Callable[[Run, Database], Audit | None]

_CATALOG_TRIES = 3
_UNWATCHED = 0.4  # seconds of reading the catalog before somebody looks who waits for it


def open_catalog(
    session: Session,
    *,
    statistics: Wanted | None = lambda _: True,
    meanwhile: Callable[[], object] = lambda: None,
    snapshot: str = "",
) -> Catalog:
    """The catalog of the session's database, read in one transaction.

    What another session keeps locked longer than the lock timeout comes without its definitions. `statistics` and
    `meanwhile` as for `read_catalog`, `snapshot` as for `Session.transaction`. Raises CannotConnectError where the server fails.
    """
    major = session.version_num // 10000
    reason = ""
    locked: tuple[int, ...] = ()
    for left in reversed(range(_CATALOG_TRIES)):
        try:
            if reason == "lock":
                with session.transaction(snapshot) as fetch:
                    locked = read_locked(fetch, major=major)
            # Who waits for it waits no longer than for a probe; the last try is read to its end.
            watched = watching(session.target, lambda: [session], after=_UNWATCHED) if left else nullcontext()
            with watched, session.transaction(snapshot) as fetch:
                try:
                    return read_catalog(
                        fetch,
                        major=major,
                        host=session.host,
                        port=session.port,
                        locked=locked,
                        statistics=statistics,
                        meanwhile=meanwhile,
                    )
                except KeyboardInterrupt:
                    session.cancel()
                    raise
        except psycopg.Error as error:
            reason, detail = reason_of(error, session)
            if not left or not session.alive or reason not in ("lock", "standby_conflict", "unsupported"):
                raise CannotConnectError(
                    f"the catalog could not be read: {reason.replace('_', ' ')}, {detail}"
                ) from None
    raise AssertionError


@dataclass
class Auditor:
    """One audit: `run` does it. `report` hears of progress. `resume` or `since` finds an earlier run: what that was answered
    is not asked again, or only where it is not proven to be unchanged."""

    settings: Settings
    target: Target
    statements: tuple[Statement, ...] = ()
    report: Callable[[Any], None] = lambda _: None
    baseline: Audit | None = None  # an audit whose findings are known, unless there is more of them by now
    interrupted: bool = False  # after `run`: it was stopped before its end
    resume: Find | None = None
    since: Find | None = None
    _started: float = field(default_factory=time.monotonic)
    _read_at: float = math.inf
    _ways: Counter[str] = field(default_factory=Counter)
    _unwatched: list[str] = field(default_factory=list)
    _gauge: Gauge | None = None
    _snapshot: str = ""  # of the whole run, if it has one
    _snapshot_ends: float = math.inf
    _few: bool = False  # whether fewer connections than asked for have read
    _sliced: list[Sliced] = field(default_factory=list)
    _findings: list[Finding] = field(default_factory=list)
    _coverage: list[Coverage] = field(default_factory=list)
    _position: Position | None = None
    _mark: Mark | None = None  # where rows are read
    _questions: Questions = field(init=False, repr=False)
    _earlier: Earlier | None = None
    _answers: list[Given] = field(default_factory=list)

    def run(self) -> Audit:
        """Connects, reads, checks. Raises AuditorError when it could not begin; later failures are in the coverage."""
        if not self.settings.audit.consistent:
            return self._run()
        from auditor.snapshot import exported

        with exported(self.target) as self._snapshot:
            self._snapshot_ends = time.monotonic() + (self.settings.audit.max_snapshot or math.inf)
            return self._run()

    def _run(self) -> Audit:
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        run = Run(str(uuid.uuid4()), started, started, self.settings.audit.depth.value, "incomplete", self._options())
        catalog, made, checks = self._planned()
        if self._position is not None:
            self._mark = mark(self._position, catalog, run.id, run.started_at)
        self._questions = Questions(catalog, Samples(self.settings.audit.samples, self.settings.audit.deny))
        notes: tuple[str, ...] = ()
        try:
            notes = self._look_back(catalog, made, run)
        except KeyboardInterrupt:
            self.interrupted = True
            made.give_up("cancelled", "the audit was interrupted")
        rows = self._execute(made, catalog)
        self._static(made)
        once, elsewhere = _once(self._findings, checks)
        self._coverage = list(_summed(self._coverage, once, elsewhere))
        findings, said = self._judged(_ranked(once))
        if self._earlier is not None:
            notes = self._earlier.notes(len(made.tasks))
        notes += said + self._said(catalog, made)
        if self._unwatched:
            notes += (
                "nobody watched, for a time at least, who waits for the auditor's locks, so that others may have waited as"
                f" long as a query took: {self._unwatched[-1]}",
            )
        # What --where leaves out has a note of its own.
        skipped = sum(entry.outcome == "skipped" and not entry.detail.startswith("--where") for entry in self._coverage)
        notes += (beyond(self.settings.audit.depth, skipped),)
        probes = len(made.tasks) - (self._earlier.taken if self._earlier else 0)
        return self._result(catalog.server, run, findings, probes, rows, notes)

    def _options(self) -> dict[str, Any]:
        return {
            **self.settings.audit.model_dump(mode="json"),
            "declared": _digest(self.settings),
            "sql": sorted({statement.source for statement in self.statements}),
        }

    def _look_back(self, catalog: Catalog, made: Plan, run: Run) -> tuple[str, ...]:
        """Opens the earlier run, if there is one to take over parts of; what is to be said if there is none."""
        find = self.resume or self.since
        found = find(run, _database(catalog.server)) if find else None
        if find is None or self._mark is None:
            return ()
        if found is None:
            return ("there is no earlier run of this database that asked for the same: all was read",)
        known = Known(found.run.id, found.run.started_at, found.answers, found.marks)
        if self.resume is not None:
            self._earlier = Resumed(known, self._questions)
            return ()
        options = self.settings.audit
        since = self._earlier = Since(known, self._questions, self._mark)
        left = self._started + (options.time_budget or math.inf) - time.monotonic()
        readers = catalog.server.readers(options.connections)
        costs = {task.probe: task.cost / readers for task in made.tasks}
        since.prove(self.target, costs, left, self._waiting(len(costs), sum(costs.values())))
        return ()

    def _waiting(self, tasks: int, cost: float) -> Callable[[], None]:
        """Tells that the server's summaries are waited for."""

        def told() -> None:
            from auditor.run import Progress

            seconds = time.monotonic() - self._started
            self.report(Progress(0, tasks, 0.0, cost, ("the server's summary of its log, once it is there",), seconds))

        return told

    def _said(self, catalog: Catalog, made: Plan) -> tuple[str, ...]:
        slices = [_in_slices(reading, self.settings.audit.max_snapshot) for reading in self._sliced]
        few: tuple[str, ...] = ()
        if self._snapshot:
            seconds = time.monotonic() - self._started
            few = (
                f"all was read in one snapshot (--consistent), which kept VACUUM from removing rows for {seconds:,.0f} s",
            )
        if self._few:
            wanted, left = self.settings.audit.connections, max(catalog.server.free_connections or 0, 0)
            few += (
                f"{plural(catalog.server.readers(wanted), 'connection')} read instead of {wanted}: no more than a tenth of the"
                f" {left:,} that the server had left",
            )
        return (*(self._gauge.notes() if self._gauge else ()), *few, *slices, *_notes(catalog, made, self._ways))

    def plan(self) -> Plan:
        """Connects, reads the catalog, and says what would be asked; no row of a table is read. Raises AuditorError."""
        return self._planned()[1]

    def _planned(self) -> tuple[Catalog, Plan, tuple[Check, ...]]:
        options = self.settings.audit
        wanted = selected(options.select, options.ignore)
        _validate_ignores(self.settings.ignore)
        scope = Scope(options.schemas, options.exclude_schemas, options.tables, options.exclude_tables)
        scope.validate()
        with Session(self.target) as session:
            if options.depth != Depth.CATALOG:
                self._position = position(session)
            rows = options.depth != Depth.CATALOG
            read = open_catalog(
                session,
                # The distribution of values matters to who reads them; what is asked is asked of a table in scope.
                statistics=(lambda table: scope.holds(table.object())) if rows else None,
                meanwhile=lambda: _load_judges(rows=rows and self.since is None),
                snapshot=self._snapshot,
            )
            self._read_at = time.monotonic()
            from auditor.catalog.infer import complete, configured_predicates
            from auditor.plan import plan

            # What is inferred of references is a question to the rows.
            catalog = complete(read, self.settings, self.statements, suspect=options.depth != Depth.CATALOG)
            predicates = [*configured_predicates(catalog)]
            if options.where:
                from auditor.narrowing import narrowing

                narrowed = narrowing(catalog, options.where, scope)
                catalog = replace(catalog, where=narrowed.conditions)
                predicates += narrowed.examples
            planned = (one for one in predicates if catalog.code_run_for(one[1]) is None and not catalog.lost(one[1]))
            _validate_predicates(session, planned)
        checks = tuple(check for check in load() if check.id in wanted)
        if scope != Scope() and not any(scope.holds(table.object()) for table in catalog.tables.values()):
            raise UsageError("no table matches the given schema and table patterns: nothing would be audited")
        return catalog, plan(catalog, checks, options.depth, scope), checks

    def _execute(self, made: Plan, catalog: Catalog) -> int:
        """Asks the rows; returns how many were examined."""
        if not made.tasks:
            return 0
        examined = 0
        further: list[Check] = []
        results, details, stopped = self._results(made.tasks, catalog)
        for task, result, detail in zip(made.tasks, results, details, strict=True):
            if isinstance(result, Failure):
                for check, ask in task.asks:
                    made.not_checked.append((check, NotChecked(ask.subject, result.reason, result.detail)))
                    if ask.unread is not None:
                        made.findings.append((check, ask.unread))
                continue
            examined += 0 if detail else result.examined
            evidence = result.evidence
            some = _some_rows(catalog, task.probe)
            for check, ask in task.asks:
                finding = ask.verdict(result) or None  # no question left: clean
                if isinstance(finding, Ask | tuple):
                    further += [_asking(check, one) for one in ((finding,) if isinstance(finding, Ask) else finding)]
                    continue
                if finding is not None:
                    finding = _among(finding.but(evidence=finding.evidence or evidence), some)
                    self._findings.append(_named(finding, check))
                self._coverage.append(
                    Coverage(
                        check.id,
                        ask.subject,
                        "failed" if finding else "passed",
                        rows_examined=result.examined,
                        seconds=evidence.seconds,
                        strategy=evidence.strategy,
                        detail=_told(
                            f"of the rows with {some}" if some else "",
                            detail,
                            "" if finding or not evidence.in_flight else _in_flight(evidence.in_flight),
                        ),
                        estimated_seconds=evidence.estimated_seconds,
                    )
                )
        if further:
            from auditor.plan import plan

            next_ = plan(catalog, further, self.settings.audit.depth)
            if stopped is not None:
                next_.give_up(stopped.reason, stopped.detail)
            examined += self._execute(next_, catalog)
            made.add(next_)
        return examined

    def _results(self, tasks: list[Task], catalog: Catalog) -> tuple[list[Answer | Failure], list[str], Failure | None]:
        """An answer or a failure for each task, and where an answer was taken over, how it came; and why the run has
        stopped, if it has."""
        taken = [self._earlier.answer(task.probe) if self._earlier else None for task in tasks]
        asked = [task for task, known in zip(tasks, taken, strict=True) if known is None]
        results: Iterator[Answer | Failure] = iter(())
        runner: Runner | None = None
        if asked:
            from auditor.gauge import Gauge, Limits
            from auditor.run import Runner

            options = self.settings.audit
            deadline = self._started + (options.time_budget or math.inf)
            samples = self._questions.samples
            readers = catalog.server.readers(options.connections)
            self._few = self._few or readers < min(options.connections, len(asked))
            runner = Runner(self.target, readers, samples, catalog, self.report, deadline)
            runner.trusted = options.trust_owner
            limits = Limits(options.max_load, options.critical_load, options.max_lag)
            if limits != Limits():
                runner.gauge = self._gauge = self._gauge or Gauge(limits)
            runner.max_snapshot, runner.in_slices = options.max_snapshot, self._sliced
            if self._snapshot:
                runner.snapshot, runner.max_snapshot = self._snapshot, 0
                if self._snapshot_ends < deadline:
                    runner.deadline = self._snapshot_ends
                    old = f"the snapshot of the whole audit was as old as it may be: {options.max_snapshot:g} s (--max-snapshot)"
                    runner.spent = Failure("timeout", old)
            runner.settle, runner.read_at = options.settle, self._read_at
            results = iter(runner.run(asked))
            self.interrupted = self.interrupted or (runner.stopped and runner.left.reason == "cancelled")
            self._ways.update(runner.ways)
            self._unwatched += runner.unwatched
        found: list[Answer | Failure] = []
        for task, known in zip(tasks, taken, strict=True):
            result = known.given.answer if known else next(results)
            if self._mark is not None:
                given = known.given if known else self._questions.given(task.probe, result, self._mark)
                self._answers += [given] if given is not None else []
            found.append(result)
        details = [known.detail if known else "" for known in taken]
        return found, details, runner.left if runner is not None and runner.stopped else None

    def _static(self, made: Plan) -> None:
        for check, finding in made.findings:
            self._findings.append(_named(finding, check))
            self._coverage.append(Coverage(check.id, finding.object, "failed"))
        for check, clean in made.clean:
            self._coverage.append(Coverage(check.id, clean.subject, "passed"))
        for check, ask in made.skipped:
            if isinstance(ask, Ask) and ask.unread is not None:
                self._findings.append(_named(ask.unread, check))
                self._coverage.append(Coverage(check.id, ask.subject, "failed"))
            else:
                self._coverage.append(Coverage(check.id, ask.subject, "skipped", detail=f"asked at depth {ask.depth}"))
        for check, ask, why in made.beside:
            if ask.unread is not None:
                self._findings.append(_named(ask.unread, check))
            self._coverage.append(
                Coverage(check.id, ask.subject, "skipped" if ask.unread is None else "failed", detail=why)
            )
        for check, left in made.not_checked:
            self._coverage.append(Coverage(check.id, left.subject, "not_checked", left.reason, detail=left.detail))

    def _judged(self, findings: list[Finding]) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
        """Each finding with its status, and what is to be said about entries that ignore nothing or no longer."""
        today = datetime.now(UTC).date()
        used: set[int] = set()
        judged = []
        # What an entry of the configuration accepts is accepted as long as it does.
        past = self.baseline.findings if self.baseline else ()
        known = {finding.fingerprint: finding for finding in past if finding.status != "suppressed"}
        comparable = self.baseline is None or rows_of(self.baseline) == list(self.settings.audit.where)
        grown = 0
        for finding in findings:
            before = known.get(finding.fingerprint)
            more = _grown(before, finding) if before is not None and comparable else ""
            status = "new" if before is None or more else "known"
            if more:
                grown += 1
                finding = finding.but(title=f"{finding.title} ({more})")
            for number, entry in enumerate(self.settings.ignore):
                if _ignored(entry, finding):
                    used.add(number)
                    if entry.until is None or entry.until >= today:
                        status = "suppressed"
            judged.append(finding.but(status=status))
        notes = [
            _said(entry, number in used, today)
            for number, entry in enumerate(self.settings.ignore)
            if number not in used or (entry.until is not None and entry.until < today)
        ]
        if grown:
            one = grown == 1
            notes.append(
                f"{plural(grown, 'known finding')} {'has' if one else 'have'} grown since the baseline was made, and"
                f" {'counts' if one else 'count'} as new"
            )
        if not comparable:
            notes.append(
                "the baseline is of other rows (--where): whether there is more of what is known cannot be told"
            )
        return tuple(judged), tuple(notes)

    def _result(
        self,
        server: Server,
        run: Run,
        findings: tuple[Finding, ...],
        probes: int,
        rows: int,
        notes: tuple[str, ...],
    ) -> Audit:
        marks = self._earlier.marks(self._answers) if self._earlier else ()
        marks += (self._mark,) if self._mark else ()
        left = sum(entry.outcome == "not_checked" for entry in self._coverage)
        shown = [finding for finding in findings if finding.status == "new"]
        count = {severity: sum(finding.severity is severity for finding in shown) for severity in Severity}
        return Audit(
            tool=Tool(),
            run=replace(
                run,
                finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                status="incomplete" if left else "complete",
            ),
            database=_database(server),
            summary=Summary(
                count[Severity.ERROR],
                count[Severity.WARNING],
                count[Severity.INFO],
                len(findings) - len(shown),
                probes,
                left,
                rows,
            ),
            findings=findings,
            coverage=tuple(self._coverage),
            notes=notes,
            marks=marks,
            answers=tuple(sorted(self._answers, key=lambda given: given.question)),
        )


def _database(server: Server) -> Database:
    return Database(
        server.host,
        server.port,
        server.database,
        server.user,
        server.version,
        server.system_identifier,
        server.is_standby,
    )


def _told(*details: str) -> str:
    return "; ".join(filter(None, details))


def _in_flight(rows: int) -> str:
    """What is said of rows that offended for a moment only."""
    one = rows == 1
    return (
        f"{plural(rows, 'row')} offended in one snapshot and {'was' if one else 'were'} in flight: not in a later one"
    )


def _digest(settings: Settings) -> str:
    """A name for what the configuration declares about the data: audits with different ones ask different questions."""
    parts = {"soft_delete", "tenant", "reference", "companion", "unique"}
    declared = settings.model_dump(mode="json", include=parts)
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]


def _coverage_order(entry: Coverage) -> tuple[Any, ...]:
    subject = entry.object
    return (entry.check, subject.schema, subject.table, subject.name, subject.columns, subject.kind, entry.outcome)


def _asking(check: Check, ask: Ask) -> Check:
    """The check with one question left, which an answer has raised."""
    return replace(check, run=lambda _: iter((ask,)))


def _some_rows(catalog: Catalog, probe: Probe) -> str:
    """The condition of the rows that the question was about, where not all were asked for."""
    if catalog.where is None or isinstance(probe, Planned | Constants):
        return ""
    return catalog.where[probe.table.oid]


def _among(finding: Finding, some: str) -> Finding:
    """The finding, which says so where only some of the rows were judged."""
    if not some:
        return finding
    said = f"Only rows with {one_line(some)} were judged"
    fixes = tuple(
        replace(fix, caveats=(*fix.caveats, f"{said}: others may have it too, and stand in the way."))
        for fix in finding.fixes
    )
    return finding.but(message=f"{finding.message} {said}.", fixes=fixes)


def _named(finding: Finding, check: Check) -> Finding:
    evidence = finding.evidence
    if evidence is not None:
        where, query = evidence.where, evidence.sql
        evidence = replace(evidence, where=where and visible_sql(where), sql=query and visible_sql(query))
    fixes = tuple(
        replace(fix, sql=tuple(map(visible_sql, fix.sql)), rollback=tuple(map(visible_sql, fix.rollback)))
        for fix in finding.fixes
    )
    named = finding.but(check=check.id, evidence=evidence, fixes=fixes)
    return named.but(fingerprint=fingerprint(named))


def _once(findings: list[Finding], checks: tuple[Check, ...]) -> tuple[list[Finding], dict[tuple[str, Object], str]]:
    """One finding per defect: the check that supersedes the others reports it. With what is reported so, and by which check.

    What a check has to say twice of one object is one finding, as grave as the gravest.
    """
    silenced = {check.id: set(check.supersedes) for check in checks}
    by_defect: dict[object, list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=lambda finding: finding.severity.rank):
        by_defect[finding.defect or (finding.check, finding.fingerprint)].append(finding)
    kept: dict[str, Finding] = {}
    elsewhere: dict[tuple[str, Object], str] = {}
    for same in by_defect.values():
        reporting = {finding.check for finding in same}
        for finding in same:
            by = [other for other in sorted(reporting - {finding.check}) if finding.check in silenced.get(other, ())]
            first = kept.get(finding.fingerprint)
            if by:
                elsewhere[finding.check, finding.object] = by[0]
            elif first is None:
                kept[finding.fingerprint] = finding
            elif finding.title not in f"{first.title} {first.message}":
                kept[finding.fingerprint] = first.but(message=f"{first.message} And: {finding.title}.")
    return list(kept.values()), elsewhere


def _summed(
    coverage: list[Coverage], findings: Iterable[Finding], elsewhere: dict[tuple[str, Object], str]
) -> tuple[Coverage, ...]:
    """Each object of a check once, with what became of it: passed only where all that was asked of it passed. What the catalog
    tells stands beside what the rows were not asked."""
    found = {(finding.check, finding.object) for finding in findings}
    kept: dict[tuple[Any, ...], Coverage] = {}
    worse = {(entry.check, entry.object) for entry in coverage if entry.outcome != "passed"}
    for entry in coverage:
        place = entry.check, entry.object
        if entry.outcome == "failed" and place not in found and place in elsewhere:
            entry = replace(entry, detail=f"reported by {elsewhere[place]}")
        if entry.outcome != "passed" or place not in worse:
            kept.setdefault((*place, entry.outcome, entry.reason, entry.detail), entry)
    return tuple(sorted(kept.values(), key=_coverage_order))


def _ranked(findings: list[Finding]) -> list[Finding]:
    """In order of harm: severity, then proven before suspected, then how many rows, then by name."""

    def harm(finding: Finding) -> tuple[Any, ...]:
        rows = finding.evidence.violations if finding.evidence and finding.evidence.violations else 0
        subject = finding.object
        return (
            finding.severity.rank,
            finding.confidence.value,
            -rows,
            finding.check,
            subject.schema,
            subject.table,
            subject.name,
            subject.columns,
        )

    return sorted(findings, key=harm)


def _ignored(entry: Ignore, finding: Finding) -> bool:
    subject = finding.object
    base = ".".join(part for part in (subject.schema, subject.table) if part)
    names = [base, *(f"{base}.{part}" for part in (subject.name, *subject.columns) if part)]
    named = entry.check in ("*", finding.check, finding.check.partition("/")[0])
    return named and any(fnmatchcase(name, entry.object) for name in names)


def _said(entry: Ignore, used: bool, today: date) -> str:
    what = f"[[ignore]] check = {entry.check!r}, object = {entry.object!r}"
    if entry.until is not None and entry.until < today:
        return f"{what} ended on {entry.until}: what it covered is reported again"
    return f"{what} matches nothing; remove it" if not used else what


def _validate_ignores(entries: tuple[Ignore, ...]) -> None:
    for number, entry in enumerate(entries, 1):
        if entry.check != "*":
            try:
                matching([entry.check])
            except UsageError as error:
                raise UsageError(f"[[ignore]] entry {number}: {error}") from None


_ROW = "one_row"


def _load_judges(*, rows: bool) -> None:
    """Imports what the catalog is judged with: the inference, the checks and all that they need; with `rows` what asks them."""
    import auditor.catalog.infer
    import auditor.plan

    load()
    if rows:
        import auditor.run  # noqa: F401


def _validate_predicates(session: Session, predicates: Iterable[tuple[str, Table, str]]) -> None:
    """Has the server plan every predicate of the configuration: a wrong one is told before anything runs."""
    for place, table, predicate in predicates:
        if (wrong := _beyond_one(predicate)) is not None:
            raise ConfigError(f"{place}: {predicate!r} is no condition over {table.sql}: {wrong}")
        if not (table.readable and table.holds_rows) or table.row_security or table.locked:
            continue
        try:
            with session.transaction() as fetch:
                # By another name: in a question the table may stand under one, so columns must not be qualified. ONLY: a
                # partition that cannot be read says nothing of the predicate.
                fetch(f"EXPLAIN SELECT 1 FROM ONLY {table.sql} AS {_ROW} WHERE ({predicate})")
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if state[:2] in ("42", "22", "0A") and state != "42501":
                said = one_line(error.diag.message_primary or "it does not parse")
                raise ConfigError(f"{place}: {predicate!r} is no condition over {table.sql}: {said}") from None
            if not session.alive:
                raise CannotConnectError("the connection was lost while the configuration was checked") from None
            # A lock, a missing privilege, a conflict: the question itself will meet it again, and be listed.


def _beyond_one(predicate: str) -> str | None:
    """Why it is not one condition wherever it is put in parentheses; None where that is for the server to say."""
    from auditor.statements import Scanner

    depth = 0
    for token in Scanner(predicate).tokens:
        depth += token.marks("(") - token.marks(")")
        if depth < 0:
            return "it closes a parenthesis that it did not open"
        if token.kind == "parameter":
            return f"nothing gives {token.value} a value"
    return None


def dangers(catalog: Catalog) -> list[str]:
    """What is to be said of a login under which other people's code must not run."""
    if not catalog.server.dangerous:
        return []
    return [
        f"the login {catalog.server.login} is {' and '.join(catalog.server.dangerous)}: tables whose planning would run"
        " functions of other owners under it are not read; use a login with pg_read_all_data and nothing else, or"
        " name owners with --trust-owner"
    ]


def _in_slices(reading: Sliced, limit: float) -> str:
    said = (
        f"{reading.table.sql} was read in {plural(reading.slices, 'slice')} over {reading.span:,.0f} s, so that no snapshot"
        f" is older than {limit:g} s (--max-snapshot)"
    )
    if reading.moving:
        said += ": a row that an UPDATE moved meanwhile may have been met twice, or not at all"
    if reading.rough:
        said += (
            "; too many of its rows offend to count all their different keys in that time: there are at least as many"
        )
    return said


def _notes(catalog: Catalog, made: Plan, ways: Counter[str]) -> tuple[str, ...]:
    notes = []
    if catalog.where is not None:
        judged = [catalog.tables[oid].sql for oid in catalog.where]
        beside = f"; {plural(len(made.beside), 'question')} about other rows {'was' if len(made.beside) == 1 else 'were'} skipped"
        notes.append(
            f"only the rows that --where asks for were judged, and what is clean is so of them alone:"
            f" {', '.join(dict.fromkeys(map(one_line, catalog.where.values())))}, of"
            f" {listed(judged) if len(judged) < 4 else plural(len(judged), 'table')}{beside if made.beside else ''}"
        )
    if ways:
        notes.append(
            f"queries were given up {plural(ways.total(), 'time')}, and asked again, because others waited for their locks:"
            f" {', '.join(f'{table} ({count})' for table, count in sorted(ways.items()))}"
        )
    for depth in (Depth.DATA, Depth.FULL):
        deeper = [check.id for check in made.left_out if min(check.depths, key=list(Depth).index) is depth]
        if deeper:
            ask, was, them = ("asks", "was", "it") if len(deeper) == 1 else ("ask", "were", "them")
            rows = "rows" if depth is Depth.DATA else "rows that the server vouches for"
            notes.append(
                f"{plural(len(deeper), 'check')} only {ask} {rows}, and {was} left out: {', '.join(deeper)};"
                f" --depth {depth} runs {them}"
            )
    hidden = [
        f"{shown} of {held} {kind.lower()} constraints"
        for kind, (shown, held) in sorted(catalog.shown.items())
        if shown < held
    ]
    if hidden:
        notes.append(
            f"this login is shown only {', '.join(hidden)} by information_schema;"
            " the audit judges by pg_constraint, which hides nothing"
        )
    notes += dangers(catalog)
    tables = list(catalog.base_tables())
    unread = [t for t in tables if not t.schema_usable or not (t.readable or any(c.readable for c in t.columns))]
    if unread:
        notes.append(
            f"this login may read no row of {len(unread):,} of {plural(len(tables), 'table')}: only their catalog was"
            " judged, and what needs their rows is listed as not checked"
        )
    foreign = [one_line(table.sql) for table in catalog.tables.values() if table.kind == "f"]
    if foreign:
        some = listed(sorted(foreign)) if len(foreign) < 4 else plural(len(foreign), "table")
        notes.append(f"foreign tables are not judged, and their rows not read: {some}")
    if catalog.unrecorded:
        notes.append(catalog.unrecorded)
    if not tables:
        notes.append("the database has no tables: nothing was audited")
    return tuple(notes)


_BEYOND = {
    Depth.CATALOG: "depth catalog reads no rows: orphans, duplicates, missing companions and whatever else only rows tell are not"
    " looked for{skipped}; --depth data looks for them",
    Depth.DATA: "depth data trusts what the server vouches for: rows under validated foreign keys, CHECKs and NOT NULLs and valid"
    " unique indexes are not read for these{skipped}; --depth full reads them again",
    Depth.FULL: "depth full reads again what the server vouches for; no depth looks into the pages of tables and indexes, as"
    " amcheck does, at rows of foreign tables, views and extensions, or at transactions that have not ended{skipped}",
}


def beyond(depth: Depth, skipped: int) -> str:
    """What this depth does not look at, as a sentence; `skipped` checks of objects are in the coverage as such."""
    what = f" ({plural(skipped, 'check of an object was', 'checks of objects were')} skipped)" if skipped else ""
    return _BEYOND[depth].format(skipped=what)


_EXACT = 2**53  # from here on who takes JSON's numbers for doubles loses digits (RFC 8259, 6)


@cache
def _names(kind: type) -> tuple[str, ...] | None:
    return tuple(part.name for part in fields(kind)) if is_dataclass(kind) else None


def _plain(value: Any) -> Any:
    """As asdict of dataclasses, in less time: that copies every string and number on its way."""
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    kind: type = type(value)
    names = _names(kind)
    return value if names is None else {name: _plain(getattr(value, name)) for name in names}


def to_json(audit: Audit) -> dict[str, Any]:
    """The audit as the contract's JSON report."""
    data: dict[str, Any] = _plain(audit)
    for finding in data["findings"]:
        del finding["defect"]
    for given in data["answers"]:
        given["values"] = [(name, value if abs(value) < _EXACT else str(value)) for name, value in given["values"]]
    return {"schema_version": data.pop("schema_version"), **data}


def schema() -> dict[str, Any]:
    """The JSON Schema of the report."""
    from pydantic import TypeAdapter

    made = TypeAdapter(Audit).json_schema(mode="serialization")
    del made["$defs"]["Finding"]["properties"]["defect"]
    made["$defs"]["Given"]["properties"]["values"]["items"]["prefixItems"][1] = {"type": ["integer", "string"]}
    for part in (made, *made["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
            part["required"] = sorted(part["properties"])
    made["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "auditor report", **made}


def from_json(text: str | bytes, source: str) -> Audit:
    """Reads a report back. Raises UsageError with one line that names `source`."""
    from pydantic import TypeAdapter, ValidationError

    try:
        data = json.loads(text)
        version = data.get("schema_version")
    except (ValueError, AttributeError, RecursionError):
        raise UsageError(f"{source} is not a JSON report of the auditor") from None
    if version != SCHEMA_VERSION:
        raise UsageError(f"{source} has schema_version {version!r}; this auditor reads {SCHEMA_VERSION}")
    try:
        return TypeAdapter(Audit).validate_python(data)  # not validate_json: a name may hold a lone surrogate
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{source} is not a JSON report of the auditor: {place}: {first['msg']}") from None
