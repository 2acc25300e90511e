"""Past audits: when a finding was first seen, how many rows it counted then, how the whole went on. Counts and names only.

Kept in a file of SQLite, or in PostgreSQL by URL; never in the database that is audited.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from auditor.audit import Audit, Changes, Database, Gone, Past, Point, Run, from_json, moved, to_json
from auditor.check import Evidence, Finding, Seen, Severity
from auditor.config import HistoryPlace
from auditor.diff import ASKING
from auditor.errors import UsageError
from auditor.report.wording import described, moment
from auditor.text import one_line

VERSION = 2
LONGEST = 60  # points of a trend
FOLLOWED = 30  # runs over which each finding is followed
# The status of what the run before reported and this one did not look at again: it is still there, for all that is known.
UNCHECKED = "unchecked"
THERE = "there"  # in a trend: reported without a count of rows
REPORTS = 20  # of a database, the newest ones: what --resume and --since begin with
_LOCK = zlib.crc32(b"auditor history")

_tables = sa.MetaData()
_version = sa.Table("auditor_schema", _tables, sa.Column("version", sa.Integer, nullable=False))
_runs = sa.Table(
    "auditor_runs",
    _tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("database", sa.Text, nullable=False, index=True),  # what is the same from run to run, see `_identity`
    sa.Column("said", sa.Text, nullable=False),  # the database's name and place, for the reader
    sa.Column("scope", sa.String(16), nullable=False),  # what was asked for: only equal ones can be compared
    sa.Column("depth", sa.String(10), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("started_at", sa.String(40), nullable=False),  # ISO 8601 in UTC: sorts as time does
    sa.Column("finished_at", sa.String(40), nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("error", "warning", "info", "suppressed")),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("probes", "not_checked", "rows_examined")),
)
_findings = sa.Table(
    "auditor_findings",
    _tables,
    sa.Column("run_id", sa.ForeignKey("auditor_runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("fingerprint", sa.String(16), primary_key=True),
    sa.Column("check_id", sa.Text, nullable=False),
    sa.Column("severity", sa.String(10), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("violations", sa.BigInteger),
    sa.Index("auditor_findings_fingerprint", "fingerprint"),
)
_reports = sa.Table(  # since schema 2
    "auditor_reports",
    _tables,
    sa.Column("run_id", sa.ForeignKey("auditor_runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("report", sa.LargeBinary, nullable=False),  # see `_packed`
)


@dataclass(frozen=True, slots=True)
class Followed:
    """A finding over the runs of a trend: the rows counted by each, `THERE` where none were, None where it was not reported,
    `UNCHECKED` where it was not looked at again; when it was first and last seen, of all runs."""

    check: str
    object: str
    counts: tuple[int | str | None, ...]
    first_seen: str
    last_seen: str

    @property
    def there(self) -> bool:
        """Whether the last run still has it."""
        return self.counts[-1] is not None


@dataclass(frozen=True, slots=True)
class Trend:
    """A database over its last runs that asked for the same, the oldest first, of `runs` in all, and its findings by name;
    `ids` name the runs."""

    said: str
    runs: int
    ids: tuple[str, ...]
    points: tuple[Point, ...]
    findings: tuple[Followed, ...]


class History:
    """A store of past audits."""

    def __init__(self, url: str) -> None:
        """`url` is a file, or an URL as SQLAlchemy has it. Nothing is made there before the first audit is kept: it may turn
        out to be the audited database. Raises UsageError if it cannot be used."""
        self.place = url
        try:
            made = sa.make_url(url if "://" in url else f"sqlite:///{url}")
            if made.drivername in ("postgresql", "postgres"):
                made = made.set(drivername="postgresql+psycopg")
            if made.get_backend_name() not in ("sqlite", "postgresql"):
                raise UsageError(f"--history {made.get_backend_name()}: expected a file, or postgresql://...")
            self.place = made.render_as_string(hide_password=True)
            if made.get_backend_name() == "sqlite" and made.database:
                path = Path(made.database)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)  # it names what is broken
            self._engine = sa.create_engine(made, poolclass=sa.pool.NullPool)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else "expected a file, or postgresql://..."
            raise UsageError(f"the history cannot be kept there: {why}") from None
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _begin_by_hand)
            sa.event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        with self._transaction() as connection:
            found = connection.execute(sa.select(_version.c.version)).scalar_one() if _begun(connection) else VERSION
            if found > VERSION:
                raise UsageError(
                    f"the history in {self.place} is of a newer auditor (schema {found}, this one knows {VERSION})"
                )
            if found < VERSION:
                _tables.create_all(connection)  # those that are not there yet
                connection.execute(_version.update().values(version=VERSION))

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """One at a time: who comes second waits. Raises UsageError in place of the driver's errors."""
        try:
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                yield connection
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            said = str(getattr(error, "orig", error)).strip().splitlines() or [type(error).__name__]
            raise UsageError(f"the history in {self.place} cannot be used: {one_line(said[0])}") from None

    def told(self, audit: Audit) -> Audit:
        """The audit with what is known of its findings from earlier runs of the same database that asked for the same."""
        with self._transaction() as connection:
            if not _begun(connection):
                return audit
            runs = connection.execute(_of(_identity(audit), _scope(audit))).mappings().all()[-LONGEST:]
            first, last = (_edge(connection, _identity(audit), edge) for edge in (sa.func.min, sa.func.max))
            of_runs = _findings.c.run_id.in_([run["id"] for run in runs[-FOLLOWED:]])
            rows = connection.execute(sa.select(_findings).where(of_runs)).all()
        at = {run["id"]: run["started_at"] for run in runs}
        seen: dict[str, list[Seen]] = {}
        for row in sorted(rows, key=lambda row: at[row.run_id]):
            if row.status != UNCHECKED:
                seen.setdefault(row.fingerprint, []).append(Seen(at[row.run_id], row.violations))
        findings = tuple(
            finding.but(
                past=Past(
                    first[finding.fingerprint].at,
                    first[finding.fingerprint].violations,
                    last[finding.fingerprint].violations,
                    last[finding.fingerprint].at,
                    tuple(seen.get(finding.fingerprint, ())),
                )
            )
            if finding.fingerprint in first
            else finding
            for finding in audit.findings
        )
        if not runs:
            return replace(audit, findings=findings)
        changes = _changes(runs[-1], [row for row in rows if row.run_id == runs[-1]["id"]], audit)
        notes = (_since(changes), *audit.notes)
        return replace(audit, findings=findings, past=tuple(map(_point, runs)), changes=changes, notes=notes)

    def record(self, audit: Audit, keep: int = HistoryPlace().keep) -> None:
        """Keeps the audit, as `told` returned it: all of it or nothing; older ones than the last `keep` go, see `prune`.

        Raises UsageError, too where that would write to the audited database.
        """
        summary = audit.summary
        with self._transaction() as connection:
            self._refuse_the_audited(connection, audit)
            if not _begun(connection):
                _tables.create_all(connection)
                connection.execute(_version.insert().values(version=VERSION))
            connection.execute(
                _runs.insert().values(
                    id=audit.run.id,
                    database=_identity(audit),
                    said=_said(audit),
                    scope=_scope(audit),
                    depth=audit.run.depth,
                    status=audit.run.status,
                    started_at=audit.run.started_at,
                    finished_at=audit.run.finished_at,
                    **{c.name: getattr(summary, c.name) for c in _runs.c if hasattr(summary, c.name)},
                )
            )
            gone = audit.changes.gone if audit.changes else ()
            found = [_row(audit.run.id, finding) for finding in audit.findings]
            found += [_carried(audit.run.id, finding) for finding in gone if finding.outcome == "not_checked"]
            if found:
                connection.execute(_findings.insert(), found)
            connection.execute(_reports.insert().values(run_id=audit.run.id, report=_packed(audit)))
            kept = _of(_identity(audit)).with_only_columns(_runs.c.id).order_by(None)
            newest = kept.order_by(_runs.c.started_at.desc()).limit(REPORTS)
            connection.execute(_reports.delete().where(_reports.c.run_id.in_(kept), _reports.c.run_id.not_in(newest)))
            _prune(connection, _identity(audit), _scope(audit), keep)

    def prune(self, keep: int) -> int:
        """Removes all but the last `keep` runs of each database that asked for the same; returns how many.

        A run that first saw what the newest one still has stays, so that it goes on to be known since when.
        """
        with self._transaction() as connection:
            if not _begun(connection):
                return 0
            kinds = connection.execute(sa.select(_runs.c.database, _runs.c.scope).distinct()).all()
            return sum(_prune(connection, kind.database, kind.scope, keep) for kind in kinds)

    def report(self, name: str, option: str) -> Audit:
        """The run whose id begins with `name`, without findings and samples. Raises UsageError, which names `option`, if there is not one."""
        with self._transaction() as connection:
            begun = _begun(connection)
            rows = (
                connection.execute(_kept().where(_runs.c.id.startswith(name, autoescape=True))).all() if begun else []
            )
        if len(rows) != 1:
            how = f"{len(rows)} runs' ids begin so" if rows else "no run's id begins so; auditor history lists them"
            raise UsageError(f"{option} {name}: in the history {self.place} {how}")
        if rows[0].report is None:
            raise UsageError(f"{option} {name}: of runs so old the history keeps counts only")
        return _unpacked(rows[0].report, self.place)

    def last(self, run: Run, database: Database) -> Audit | None:
        """The last run of the database that asked for the same as this one will."""
        with self._transaction() as connection:
            if not _begun(connection):
                return None
            same = _runs.c.database == database.identity, _runs.c.scope == _asked(run)
            newest = _kept().where(*same).order_by(_runs.c.started_at.desc()).limit(1)
            row = connection.execute(newest).first()
        return None if row is None or row.report is None else _unpacked(row.report, self.place)

    def _refuse_the_audited(self, connection: sa.Connection, audit: Audit) -> None:
        if connection.dialect.name != "postgresql":
            return
        name = connection.execute(sa.text("SELECT pg_catalog.current_database()")).scalar_one()
        with connection.begin_nested() as attempt:
            try:
                control = sa.text("SELECT system_identifier::text FROM pg_catalog.pg_control_system()")
                cluster = connection.execute(control).scalar_one()
            except sa.exc.DBAPIError:
                attempt.rollback()
                cluster = None
        audited = audit.database.system_identifier
        if name == audit.database.name and (cluster == audited or None in (cluster, audited)):
            raise UsageError("the history cannot be kept in the audited database: nothing is written there")

    def trends(self, last: int) -> tuple[Trend, ...]:
        """Each database with its last runs that asked for the same as the very last one did."""
        made = []
        with self._transaction() as connection:
            if not _begun(connection):
                return ()
            for database in connection.execute(sa.select(_runs.c.database).distinct()).scalars():
                newest = connection.execute(_of(database).order_by(None).order_by(_runs.c.started_at.desc())).mappings()
                latest = newest.first()
                assert latest is not None
                every = connection.execute(_of(database, latest["scope"])).mappings().all()
                runs = every[-last:]
                ids = [run["id"] for run in runs]
                rows = connection.execute(sa.select(_findings).where(_findings.c.run_id.in_(ids))).all()
                firsts, lasts = (_edge(connection, database, edge) for edge in (sa.func.min, sa.func.max))
                counts: dict[tuple[str, str, str], dict[str, int | str]] = {}
                for row in rows:
                    key = row.check_id, row.object, row.fingerprint
                    count = THERE if row.violations is None else row.violations
                    counts.setdefault(key, {})[row.run_id] = UNCHECKED if row.status == UNCHECKED else count
                followed = (
                    Followed(c, o, tuple(by_run.get(i) for i in ids), firsts[name].at, lasts[name].at)
                    for (c, o, name), by_run in sorted(counts.items())
                    if name in firsts
                )
                made.append(Trend(latest["said"], len(every), tuple(ids), tuple(map(_point, runs)), tuple(followed)))
        return tuple(sorted(made, key=lambda trend: trend.said))


def _begun(connection: sa.Connection) -> bool:
    """Whether an audit has been kept there."""
    return sa.inspect(connection).has_table(_version.name)


def _kept() -> sa.Select[Any]:
    return sa.select(_runs.c.id, _reports.c.report).join_from(_runs, _reports, isouter=True)


def _packed(audit: Audit) -> bytes:
    """What a later run may take over, as a JSON report: no finding, no answer that holds values of rows."""
    answers = tuple(
        replace(given, evidence=replace(given.evidence, sample=())) for given in audit.answers if not given.values
    )
    without = replace(audit, findings=(), answers=answers, notes=(), past=(), changes=None)
    return zlib.compress(json.dumps(to_json(without)).encode())


def _unpacked(report: bytes, place: str) -> Audit:
    return from_json(zlib.decompress(report), f"a report in {place}")


def _begin_by_hand(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver would begin no transaction before CREATE TABLE
    connection.execute("PRAGMA foreign_keys = ON")


def _of(database: str, scope: str | None = None) -> sa.Select[Any]:
    chosen = sa.select(_runs).where(_runs.c.database == database).order_by(_runs.c.started_at)
    return chosen.where(_runs.c.scope == scope) if scope is not None else chosen


def _edge(connection: sa.Connection, database: str, edge: Any) -> dict[str, Any]:
    """Of each finding of the database the first or the last time (`edge`: min or max) it was reported: `at`, `violations`."""
    reported = _findings.c.status != UNCHECKED
    joined = _findings.join(_runs, sa.and_(_runs.c.id == _findings.c.run_id, _runs.c.database == database))
    times = (
        sa.select(_findings.c.fingerprint, edge(_runs.c.started_at).label("at"))
        .select_from(joined)
        .where(reported)
        .group_by(_findings.c.fingerprint)
        .subquery()
    )
    then = sa.and_(times.c.fingerprint == _findings.c.fingerprint, times.c.at == _runs.c.started_at)
    chosen = sa.select(_findings.c.fingerprint, times.c.at, _findings.c.violations).where(reported)
    return {row.fingerprint: row for row in connection.execute(chosen.select_from(joined.join(times, then)))}


def _prune(connection: sa.Connection, database: str, scope: str, keep: int) -> int:
    runs = connection.execute(_of(database, scope).with_only_columns(_runs.c.id, _runs.c.started_at)).all()
    if len(runs) <= keep:
        return 0
    current = sa.select(_findings.c.fingerprint).where(_findings.c.run_id == runs[-1].id)
    there = set(connection.execute(current).scalars())
    first = {row.at for name, row in _edge(connection, database, sa.func.min).items() if name in there}
    old = [run.id for run in runs[:-keep] if run.started_at not in first]
    for start in range(0, len(old), 500):
        chunk = old[start : start + 500]
        for of in (_findings, _reports):
            connection.execute(of.delete().where(of.c.run_id.in_(chunk)))
        connection.execute(_runs.delete().where(_runs.c.id.in_(chunk)))
    return len(old)


def _point(run: Any) -> Point:
    names = ("started_at", "error", "warning", "info", "not_checked", "status", "finished_at")
    return Point(*(run[name] for name in names))


def _row(run: str, finding: Finding) -> dict[str, Any]:
    return {
        "run_id": run,
        "fingerprint": finding.fingerprint,
        "check_id": finding.check,
        "severity": finding.severity.value,
        "status": finding.status,
        "object": described(finding.object),
        # A lower bound is none of the counts that later ones are compared with: growth it could not prove.
        "violations": finding.evidence.violations if finding.evidence and finding.evidence.exact else None,
    }


def _carried(run: str, gone: Gone) -> dict[str, Any]:
    return {
        "run_id": run,
        "fingerprint": gone.fingerprint,
        "check_id": gone.check,
        "severity": gone.severity,
        "status": UNCHECKED,
        "object": gone.object,
        "violations": gone.violations,
    }


def _changes(run: Any, rows: Sequence[Any], audit: Audit) -> Changes:
    """What is different since that run, which left these rows. What was accepted then or is now counts neither way."""
    before = {row.fingerprint: row for row in rows if row.status in ("new", UNCHECKED)}
    opened = {finding.fingerprint: finding for finding in audit.open_findings}
    present = {finding.fingerprint for finding in audit.findings}
    moves = {name: _move(before[name], opened[name]) for name in opened if name in before}
    gone = [row for name, row in before.items() if name not in present]
    outcomes = _outcomes(audit, {row.check_id for row in gone})
    return Changes(
        run["started_at"],
        run["status"],
        tuple(name for name in opened if name not in before),
        tuple(name for name, move in moves.items() if move == "worse"),
        tuple(name for name, move in moves.items() if move == "better"),
        tuple(
            Gone(row.check_id, row.object, row.fingerprint, row.severity, row.violations, outcome)
            for row in gone
            # Where it did fail, another check reports the defect in its place.
            if (outcome := outcomes.get((row.check_id, row.object), outcomes[row.check_id, ""])) != "failed"
        ),
    )


def _move(row: Any, finding: Finding) -> str:
    before = finding.but(severity=Severity(row.severity), evidence=Evidence(row.violations))
    return {"worsened": "worse", "bettered": "better"}.get(moved(before, finding)[0], "")


def _outcomes(audit: Audit, checks: set[str]) -> dict[tuple[str, str], str]:
    """What there is to say of findings of these checks that are not reported any more, by check and object: failed, fixed,
    or not_checked. The object "" stands for all others: whatever a check could not look at leaves those open."""
    found = {(check, ""): "fixed" for check in checks}
    for entry in audit.coverage:
        if entry.check not in checks:
            continue
        if entry.outcome == "not_checked":
            found[entry.check, ""] = "not_checked"
        key = entry.check, described(entry.object)
        outcome = {"failed": "failed", "passed": "fixed"}.get(entry.outcome, "not_checked")
        found[key] = max(found.get(key, ""), outcome, key=("", "fixed", "not_checked", "failed").index)
    return found


def _since(changes: Changes) -> str:
    fixed = sum(finding.outcome == "fixed" for finding in changes.gone)
    groups = (
        (len(changes.new), "new"),
        (len(changes.worse), "worse"),
        (len(changes.better), "better"),
        (fixed, "fixed"),
        (len(changes.gone) - fixed, "not looked at again"),
    )
    said = ", ".join(f"{count:,} {word}" for count, word in groups if count) or "nothing has changed"
    return f"since the last run ({moment(changes.since)}): {said}"


def _said(audit: Audit) -> str:
    return one_line(f"{audit.database.name} on {audit.database.host or 'this machine'}:{audit.database.port}")


def _identity(audit: Audit) -> str:
    return audit.database.identity


def _scope(audit: Audit) -> str:
    return _asked(audit.run)


def _asked(run: Run) -> str:
    options = run.options
    asked = [run.depth, *(options.get(name) for name in (*ASKING, "declared"))]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
