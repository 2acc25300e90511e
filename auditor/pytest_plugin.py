"""The audit as pytest sees it: `pytest --audit-dsn DSN` has one test item per finding and per object that was looked at.

A finding at or above the configuration's `fail_on` fails; so does what was not checked, unless `allow_incomplete` is set;
known and ignored findings are skipped. The fixture `audit` is the whole result, for tests of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from auditor.errors import AuditorError

if TYPE_CHECKING:
    from auditor.audit import Audit, Coverage
    from auditor.check import Finding

_RESULT = pytest.StashKey["Audit"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the audit; everything else is in auditor.toml."""
    group = parser.getgroup("auditor", "PostgreSQL integrity audit")
    group.addoption(
        "--audit-dsn",
        metavar="DSN",
        help="Audit this database: a test item per check and object. Empty: that of [database] url, or of the PG*"
        " variables. Default: none is audited.",
    )
    group.addoption(
        "--audit-config", metavar="FILE", help="Configuration of the audit. Default: ./auditor.toml, if there is one."
    )
    group.addoption(
        "--audit-depth", metavar="DEPTH", help="catalog, data or full. Default: what the configuration says, or data."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuses pytest-xdist, of which every worker would run an audit of its own."""
    if config.getoption("--audit-dsn") is not None and config.getoption("numprocesses", None):
        raise pytest.UsageError("auditor: --audit-dsn is for one process; run it without -n")


def _audited(config: pytest.Config) -> Audit:
    """The audit of this session: run once. Raises pytest.UsageError where it cannot be run."""
    if _RESULT not in config.stash:
        from auditor.audit import Auditor
        from auditor.config import load
        from auditor.connection import configured

        file, depth = config.getoption("--audit-config"), config.getoption("--audit-depth")
        try:
            settings = load(Path(file) if file else None, {"depth": depth} if depth else {})
            target = configured(settings, config.getoption("--audit-dsn"))
            config.stash[_RESULT] = Auditor(settings, target).run()
        except AuditorError as error:
            raise pytest.UsageError(f"auditor: {error}") from None
    return config.stash[_RESULT]


@pytest.fixture(scope="session")
def audit(pytestconfig: pytest.Config) -> Audit:
    """The result of the audit of `--audit-dsn`: its findings, its coverage, its exit code."""
    if pytestconfig.getoption("--audit-dsn") is None:
        raise pytest.UsageError("the fixture `audit` needs --audit-dsn")
    return _audited(pytestconfig)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Adds the items of the audit."""
    if config.getoption("--audit-dsn") is None:
        return
    parent = AuditCollector.from_parent(session, name="audit", nodeid="audit")
    items.extend(parent.collect())


class AuditCollector(pytest.Collector):
    """What was audited."""

    def collect(self) -> Iterator[AuditItem]:
        """An item per finding, and per object of each check that is not one."""
        from auditor.report.wording import described

        result = _audited(self.config)
        for finding in result.findings:
            name = f"{finding.check}[{described(finding.object)}]"
            yield AuditItem.from_parent(self, name=name, result=result, subject=finding)
        for entry in result.coverage:
            if entry.outcome != "failed":
                name = f"{entry.check}[{described(entry.object)}]"
                yield AuditItem.from_parent(self, name=name, result=result, subject=entry)


class AuditItem(pytest.Item):
    """One finding, or one object that a check looked at."""

    def __init__(self, *, result: Audit, subject: Finding | Coverage, **arguments: Any) -> None:
        """`subject` is of `result`; the rest is pytest's."""
        super().__init__(**arguments)
        self.result = result
        self.subject = subject

    def runtest(self) -> None:
        """Fails, skips or passes as the audit did."""
        from auditor.audit import Coverage
        from auditor.report.wording import REASONS, advice, certainty, fails

        options, subject = self.result.run.options, self.subject
        if isinstance(subject, Coverage):
            if subject.outcome == "skipped":
                pytest.skip(subject.detail or "not asked at this depth")
            if subject.outcome == "not_checked":
                said = f"not checked: {REASONS.get(subject.reason or '', subject.reason)} ({subject.detail})"
                if options.get("allow_incomplete"):
                    pytest.skip(said)
                raise AuditFailure(said)
        elif subject.status != "new":
            pytest.skip(f"{subject.status}: {subject.title}")
        elif fails(subject, str(options.get("fail_on", "error"))):
            raise AuditFailure(f"{subject.severity.value}, {certainty(subject)}\n{advice(subject)}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The finding instead of a traceback."""
        return str(excinfo.value) if isinstance(excinfo.value, AuditFailure) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says that it stands."""
        return Path("audit"), None, self.name


class AuditFailure(Exception):  # noqa: N818
    """A finding, or something that was not checked, as a failed test."""
