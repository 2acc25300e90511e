"""The sum of an audit: whatever a check yields stands in the coverage once, and what failed there is what is reported."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor import demo
from auditor.audit import Audit, Auditor
from auditor.catalog.model import Catalog
from auditor.check import Ask, Depth, Finding, NotChecked, Object, Result
from auditor.config import merged
from auditor.connection import Target
from auditor.patterns import Scope
from auditor.registry import Check, load
from tests.conftest import Make
from tests.helpers import login
from tests.test_foreign_tables import TABLES as FOREIGN

pytestmark = pytest.mark.once
CASES = Path(__file__).parent / "checks"
Yielded = list[tuple[Check, Result]]


@pytest.fixture
def yielded(monkeypatch: pytest.MonkeyPatch) -> Yielded:
    """What the checks of the audits that follow have yielded, in order."""
    said: Yielded = []

    def listened(check: Check) -> Check:
        def run(catalog: Catalog) -> Iterator[Result]:
            for result in check.run(catalog):
                said.append((check, result))
                yield result

        return replace(check, run=run)

    monkeypatch.setattr("auditor.audit.load", lambda: tuple(map(listened, load())))
    return said


def subject_of(result: Result) -> Object:
    return result.object if isinstance(result, Finding) else result.subject


def summed(result: Audit, said: Yielded) -> Counter[str]:
    """Asserts that the coverage is the sum of what was yielded; how often each outcome is in it."""
    options = result.run.options
    scope = Scope(*(tuple(options[key]) for key in ("schemas", "exclude_schemas", "tables", "exclude_tables")))
    entries = defaultdict(list)
    for entry in result.coverage:
        entries[entry.check, entry.object].append(entry)
    depth = Depth(result.run.depth)
    meant = set()
    for check, one in said:
        subject = subject_of(one)
        related = one.related if isinstance(one, Finding) else ()
        if any(map(scope.holds, (subject, *related))) and not scope.excludes(subject):
            meant.add((check.id, subject))
            if isinstance(one, Ask | NotChecked) and not depth.includes(one.depth):
                assert {entry.outcome for entry in entries[check.id, subject]} & {"skipped", "failed"}
    # A question about a table may be answered column by column.
    divided = {(check, place.schema, place.table) for check, place in entries if place.columns}
    missing = {(check, place) for check, place in meant - entries.keys() if place.kind != "table"}
    assert missing == set(), "not in the coverage"
    assert {(check, place.schema, place.table) for check, place in meant - entries.keys()} <= divided
    asked_on = {(finding.check, finding.object) for finding in result.findings} | meant
    strangers = entries.keys() - asked_on
    assert all(
        any(check == own and place.table == subject.table for own, place in meant) for check, subject in strangers
    )
    for same in entries.values():
        both = sorted(entry.outcome for entry in same)
        # What the catalog tells is a finding, although the rows were not asked.
        assert len(same) == 1 or both in (["failed", "not_checked"], ["not_checked", "not_checked"]), same
    failed = {
        place: entry for place, (entry, *_) in entries.items() if any(e.outcome == "failed" for e in entries[place])
    }
    found = Counter((finding.check, finding.object) for finding in result.findings)
    assert set(found.values()) <= {1}
    assert found.keys() <= failed.keys()
    reporting = {finding.check for finding in result.findings}
    for place in failed.keys() - found.keys():
        (told,) = [entry.detail for entry in entries[place] if entry.outcome == "failed"]
        assert told.removeprefix("reported by ") in reporting
    outcomes = Counter(entry.outcome for entry in result.coverage)
    assert result.summary.not_checked == outcomes["not_checked"]
    severities = Counter(finding.severity.value for finding in result.open_findings)
    counted = result.summary
    assert {"error": counted.error, "warning": counted.warning, "info": counted.info} == {
        severity: severities[severity] for severity in ("error", "warning", "info")
    }
    assert counted.suppressed == len(result.findings) - len(result.open_findings)
    assert (result.run.status == "incomplete") is bool(outcomes["not_checked"])
    assert all(bool(entry.reason) is (entry.outcome == "not_checked") for entry in result.coverage)
    assert all(entry.detail for entry in result.coverage if entry.outcome in ("not_checked", "skipped"))
    said.clear()
    return outcomes


def audited(dsn: str, *, ended: Callable[[Any], None] = lambda _: None, **options: Any) -> Audit:
    settings = merged({}, {"settle": 0, **options})
    return Auditor(settings, Target(dsn), report=ended).run()


def interrupt(progress: Any) -> None:
    if progress.done > 5:
        raise KeyboardInterrupt


def test_the_coverage_is_the_sum(yielded: Yielded, database: Make) -> None:
    dsn = database(demo.APPLICATION.read_text(encoding="utf-8"))
    whole = summed(audited(dsn, depth="full"), yielded)
    assert not whole["skipped"]
    assert whole["passed"] > whole["failed"] > 10
    data = summed(audited(dsn), yielded)
    assert (data["skipped"] > 10, data.total()) == (True, whole.total())
    catalog = summed(audited(dsn, depth="catalog"), yielded)
    assert 0 < catalog.total() < data.total()
    blind = summed(audited(login(dsn), depth="full"), yielded)
    assert blind["not_checked"] > 10
    assert blind["failed"] > 1
    stopped = summed(audited(dsn, depth="full", jobs=1, ended=interrupt), yielded)
    assert stopped["not_checked"] > 10
    assert summed(audited(dsn, depth="full", time_budget=0.001), yielded)["not_checked"] > 10
    part = summed(audited(dsn, tables=("connect.*",)), yielded)
    assert 0 < part.total() < data.total() / 2
    assert 0 < summed(audited(dsn, exclude_schemas=("connect",)), yielded).total() < data.total()
    family = summed(audited(dsn, select=("references",), ignore=("references/orphan-rows",)), yielded)
    assert 0 < family.total() < data.total()


def test_the_coverage_beside_foreign_tables_is_the_sum(yielded: Yielded, database: Make) -> None:
    outcomes = summed(audited(database(FOREIGN), depth="full"), yielded)
    assert outcomes["not_checked"] > 2
    assert outcomes["passed"] > 10


@pytest.mark.parametrize("family", sorted(path.name for path in CASES.iterdir()))
def test_the_coverage_of_what_every_check_finds_is_the_sum(
    family: str, yielded: Yielded, database: Make, version: int
) -> None:
    """Each check's own case, at the greatest depth, with its configuration."""
    import tomllib

    for path in sorted((CASES / family).glob("*.sql")):
        if version < int(path.stem.partition(".")[2] or 0):
            continue
        text = path.read_text(encoding="utf-8")
        config = tomllib.loads("\n".join(re.findall(r"^-- config: ?(.*)", text, re.MULTILINE)))
        dsn = database(text)
        settings = merged(config, {"settle": 0, "depth": "full"})
        summed(Auditor(settings, Target(dsn)).run(), yielded)
