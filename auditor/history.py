"""Past audits: when a finding was first seen, how many rows it counted then, how the whole went on. Counts and names only.

Kept in a file of SQLite, or in PostgreSQL by URL; never in the database that is audited.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from auditor.audit import Audit, Database, Past, Point, Run, from_json, to_json
from auditor.check import Finding
from auditor.diff import ASKING
from auditor.errors import UsageError
from auditor.report.wording import described, moment
from auditor.text import one_line

VERSION = 2
LONGEST = 60  # points of a trend
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
class Trend:
    """A database over its runs, the oldest first, and what became of each finding: `(check, object, counts by run)`; `ids`
    name the runs."""

    said: str
    ids: tuple[str, ...]
    points: tuple[Point, ...]
    findings: tuple[tuple[str, str, tuple[int | None, ...]], ...]


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
            seen = sa.select(_findings.c.fingerprint, _findings.c.violations, _runs.c.started_at, _runs.c.id)
            same = sa.and_(_runs.c.database == _identity(audit), _runs.c.id == _findings.c.run_id)
            rows = connection.execute(seen.join_from(_findings, _runs, same).order_by(_runs.c.started_at)).all()
        first: dict[str, Any] = {}
        last: dict[str, Any] = {}
        for row in rows:
            first.setdefault(row.fingerprint, row)
            last[row.fingerprint] = row
        findings = tuple(
            finding.but(
                past=Past(
                    first[finding.fingerprint].started_at,
                    first[finding.fingerprint].violations,
                    last[finding.fingerprint].violations,
                )
            )
            if finding.fingerprint in first
            else finding
            for finding in audit.findings
        )
        notes = audit.notes
        if runs:
            before = {row.fingerprint: row.violations for row in rows if row.id == runs[-1]["id"]}
            notes = (_since(runs[-1]["started_at"], before, findings), *notes)
        return replace(audit, findings=findings, past=tuple(map(_point, runs)), notes=notes)

    def record(self, audit: Audit) -> None:
        """Keeps the audit: all of it or nothing. Raises UsageError, too where that would write to the audited database."""
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
            if audit.findings:
                connection.execute(_findings.insert(), [_row(audit.run.id, finding) for finding in audit.findings])
            connection.execute(_reports.insert().values(run_id=audit.run.id, report=_packed(audit)))
            kept = _of(_identity(audit)).with_only_columns(_runs.c.id).order_by(None)
            newest = kept.order_by(_runs.c.started_at.desc()).limit(REPORTS)
            connection.execute(_reports.delete().where(_reports.c.run_id.in_(kept), _reports.c.run_id.not_in(newest)))

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
                runs = connection.execute(_of(database, latest["scope"])).mappings().all()[-last:]
                ids = [run["id"] for run in runs]
                rows = connection.execute(sa.select(_findings).where(_findings.c.run_id.in_(ids))).all()
                counts: dict[tuple[str, str, str], dict[str, int | None]] = {}
                for row in rows:
                    key = row.check_id, row.object, row.fingerprint
                    counts.setdefault(key, {})[row.run_id] = 1 if row.violations is None else row.violations
                made.append(
                    Trend(
                        latest["said"],
                        tuple(ids),
                        tuple(map(_point, runs)),
                        tuple(
                            (c, o, tuple(by_run.get(i) for i in ids)) for (c, o, _), by_run in sorted(counts.items())
                        ),
                    )
                )
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
    without = replace(audit, findings=(), answers=answers, notes=(), past=())
    return zlib.compress(json.dumps(to_json(without)).encode())


def _unpacked(report: bytes, place: str) -> Audit:
    return from_json(zlib.decompress(report), f"a report in {place}")


def _begin_by_hand(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver would begin no transaction before CREATE TABLE
    connection.execute("PRAGMA foreign_keys = ON")


def _of(database: str, scope: str | None = None) -> sa.Select[Any]:
    chosen = sa.select(_runs).where(_runs.c.database == database).order_by(_runs.c.started_at)
    return chosen.where(_runs.c.scope == scope) if scope is not None else chosen


def _point(run: Any) -> Point:
    names = ("started_at", "error", "warning", "info", "not_checked", "status")
    return Point(*(run[name] for name in names))


def _row(run: str, finding: Finding) -> dict[str, Any]:
    return {
        "run_id": run,
        "fingerprint": finding.fingerprint,
        "check_id": finding.check,
        "severity": finding.severity.value,
        "status": finding.status,
        "object": described(finding.object),
        "violations": finding.evidence.violations if finding.evidence else None,
    }


def _since(started_at: str, before: dict[str, int | None], now: tuple[Finding, ...]) -> str:
    counts = {finding.fingerprint: finding.evidence and finding.evidence.violations for finding in now}
    both = [(before[name] or 0, counts[name] or 0) for name in before.keys() & counts.keys()]
    groups = (
        (len(counts.keys() - before.keys()), "new"),
        (sum(then < today for then, today in both), "worse"),
        (sum(then > today for then, today in both), "better"),
        (len(before.keys() - counts.keys()), "no longer reported"),
    )
    said = ", ".join(f"{count:,} {word}" for count, word in groups if count) or "nothing has changed"
    return f"since the last run ({moment(started_at)}): {said}"


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
