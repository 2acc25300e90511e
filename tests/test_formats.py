"""The formats that other tools read: each is read back by that tool's own rules, and says neither more nor less than the audit."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha512
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft7Validator, FormatChecker
from prometheus_client.parser import text_string_to_metric_families

from auditor.audit import Audit
from auditor.check import Finding, Severity
from auditor.report import Options, render
from auditor.report.sarif import MOST, MOST_PLACES
from auditor.report.wording import advice, verdict
from tests.conftest import Make
from tests.helpers import audit, run_auditor
from tests.reports import CHECKS, HOSTILE, hostile_script, shop, still

pytestmark = pytest.mark.once

# Of the OASIS committee, unchanged: sarif-spec, sarif-2.1/schema.
SARIF = Draft7Validator(
    json.loads((Path(__file__).parent / "schemas" / "sarif-schema-2.1.0.json").read_text(encoding="utf-8")),
    format_checker=FormatChecker(),
)
MACHINES = ("sarif", "junit", "github", "gitlab", "csv", "prometheus")


def written(result: Audit, name: str) -> str:
    return render(result, name, Options())


def left(result: Audit) -> int:
    return sum(entry.outcome == "not_checked" for entry in result.coverage)


@pytest.fixture
def audits(database: Make) -> list[Audit]:
    """A shop with everything in it, hostile names, a baseline of all, and nothing at all."""
    found = shop(database)
    hostile = audit(database(hostile_script()), select=CHECKS)
    known = replace(hostile, findings=tuple(finding.but(status="known") for finding in hostile.findings))
    return [found, hostile, known, audit(database("CREATE TABLE fine (id int PRIMARY KEY)"))]


def test_every_format_is_what_its_readers_expect(audits: list[Audit]) -> None:
    for result in audits:
        for name in MACHINES:
            READERS[name](result)


def read_sarif(result: Audit) -> None:
    """What the standard says, and GitHub asks for."""
    data = json.loads(written(result, "sarif"))
    SARIF.validate(data)
    (run,) = data["runs"]
    results = run["results"]
    prints = [entry["partialFingerprints"]["primaryLocationLineHash"] for entry in results]
    assert sorted(prints) == sorted(f"{finding.fingerprint}:1" for finding in result.findings)
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[entry["ruleIndex"]]["id"] == entry["ruleId"] for entry in results)
    assert len({rule["id"] for rule in rules}) == len(rules)
    suppressed = sum("suppressions" in entry for entry in results)
    assert suppressed == sum(finding.status != "new" for finding in result.findings)
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is (result.run.status == "complete")
    unchecked = [n for n in invocation["toolExecutionNotifications"] if "associatedRule" in n]
    assert len(unchecked) == left(result)
    for entry in results:  # what GitHub asks for
        assert len(entry["locations"]) + len(entry.get("relatedLocations", ())) <= MOST_PLACES
        uri = entry["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"postgresql(/[A-Za-z0-9_.~%-]+)+", uri)
        assert len(entry["message"]["text"]) > 20


def test_sarif_keeps_the_limits_of_an_upload(audits: list[Audit]) -> None:
    result = audits[0]
    (first, *_) = result.findings
    many = tuple(first.but(fingerprint=f"{n:016x}", status="known") for n in range(MOST)) + result.findings
    data = json.loads(written(replace(result, findings=many), "sarif"))
    (run,) = data["runs"]
    assert len(run["results"]) == MOST
    kept = {entry["partialFingerprints"]["primaryLocationLineHash"] for entry in run["results"]}
    assert kept >= {f"{finding.fingerprint}:1" for finding in result.open_findings}  # the new ones first
    said = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert f"{len(result.findings)} findings are left out of this file" in said
    assert all(len(rule.get("properties", {}).get("tags", ())) <= 10 for rule in run["tool"]["driver"]["rules"])


def test_sarif_is_no_larger_than_an_upload_may_be(audits: list[Audit], monkeypatch: pytest.MonkeyPatch) -> None:
    result = audits[0]
    (first, *_) = result.findings
    wide = first.but(status="new", related=tuple(replace(first.object, name=f"i{n}") for n in range(2000)))
    (entry,) = json.loads(written(replace(result, findings=(wide,)), "sarif"))["runs"][0]["results"]
    assert len(entry["locations"]) + len(entry["relatedLocations"]) == MOST_PLACES
    monkeypatch.setattr("auditor.report.sarif.MOST_BYTES", 40_000)
    # Titles of which none compresses another.
    many = tuple(
        first.but(status="new", fingerprint=f"{n:016x}", title=sha512(str(n).encode()).hexdigest()) for n in range(1000)
    )
    text = written(replace(result, findings=many), "sarif")
    assert len(gzip.compress(text.encode())) <= 40_000
    (run,) = json.loads(text)["runs"]
    kept = len(run["results"])
    assert 0 < kept < 1000
    said = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert f"{1000 - kept} findings are left out of this file" in said


def fails(finding: Finding, fail_on: str) -> bool:
    return (
        finding.status == "new"
        and fail_on != "never"
        and list(Severity).index(finding.severity) <= list(Severity).index(Severity(fail_on))
    )


@pytest.mark.parametrize("fail_on", ["info", "never"])
def test_junit_fails_where_the_command_does(audits: list[Audit], fail_on: str) -> None:
    for result in audits:
        read_junit(result, fail_on)


def read_junit(result: Audit, fail_on: str = "error") -> None:
    """It fails where the command does, and counts what is in it."""
    for allowed in (False, True):
        options = {**result.run.options, "fail_on": fail_on, "allow_incomplete": allowed}
        root = ElementTree.fromstring(written(replace(result, run=replace(result.run, options=options)), "junit"))
        failures, errors = list(root.iter("failure")), list(root.iter("error"))
        assert len(failures) == sum(fails(finding, fail_on) for finding in result.findings)
        assert len(errors) == (0 if allowed else left(result))
        assert bool(failures or errors) is bool(result.exit_code(fail_on, allow_incomplete=allowed))
        cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
        assert len(cases) == len(result.findings) + sum(entry.outcome != "failed" for entry in result.coverage)
        assert len(set(cases)) == len(cases)
        for element in (root, *root):
            for count, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
                assert int(element.get(count, "-1")) == len(list(element.iter(tag)))


def unescaped(text: str) -> str:
    return re.sub("%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), text)


def read_github(result: Audit) -> None:
    """Each line is a command, and nothing else."""
    lines = written(result, "github").split("\n")[:-1]
    parsed = [re.fullmatch(r"::(error|warning|notice) title=([^:,\n\r]*)::(.*)", line) for line in lines]
    assert all(parsed), lines
    told = [unescaped(found[3]) for found in parsed if found]
    reasons = {entry.reason for entry in result.coverage if entry.outcome == "not_checked"}
    assert told[0].startswith(verdict(result))
    assert all(line.startswith("::warning title=not checked::") for line in lines[1 : len(reasons) + 1])
    assert told[len(reasons) + 1 :] == [advice(finding) for finding in result.open_findings]


def test_annotations_that_are_not_shown_are_counted(audits: list[Audit]) -> None:
    """GitHub shows the first ten of each kind; the verdict is always one of them."""
    (first, *_) = audits[0].findings
    many = tuple(
        first.but(fingerprint=f"{n:016x}", status="new", severity=severity)
        for severity, count in ((Severity.ERROR, 12), (Severity.WARNING, 9), (Severity.INFO, 30))
        for n in range(count)
    )
    (clean,) = (result for result in audits if not result.findings and not left(result))
    verdict_line, *lines = written(replace(clean, findings=many), "github").splitlines()
    assert verdict_line.startswith("::notice title=auditor::")
    assert verdict_line.endswith(" · only in the log: 2 errors and 21 notices more than GitHub shows")
    assert len(lines) == len(many)


def read_gitlab(result: Audit) -> None:
    """It has the open findings, with the keys that GitLab asks for."""
    data = json.loads(written(result, "gitlab"))
    assert [entry["fingerprint"] for entry in data] == [finding.fingerprint for finding in result.open_findings]
    assert {entry["severity"] for entry in data} <= {"critical", "minor", "info"}
    assert all(set(entry) == {"description", "check_name", "fingerprint", "severity", "location"} for entry in data)
    assert len({entry["fingerprint"] for entry in data}) == len(data)
    assert all(entry["description"] and entry["location"]["lines"] == {"begin": 1} for entry in data)
    assert all(re.fullmatch(r"postgresql(/[A-Za-z0-9_.~%-]+)+", entry["location"]["path"]) for entry in data)


def read_csv(result: Audit) -> None:
    """A table without formulas, a line for each finding and for each object that was not checked."""
    text = written(result, "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["fingerprint"] for row in rows if row["severity"]] == [f.fingerprint for f in result.findings]
    assert sum(row["status"] == "not_checked" for row in rows) == left(result)
    assert len(rows) == len(result.findings) + left(result)
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert len(text.splitlines()) == len(rows) + 1  # no cell breaks a line
    assert text.count("\r\n") == len(rows) + 1


def test_csv_is_a_table_without_formulas(audits: list[Audit]) -> None:
    named = audits[0].findings[0].but(title="=cmd|'/c calc'!A0")
    assert "'=cmd|" in written(replace(audits[0], findings=(named,)), "csv")


def metrics(text: str) -> dict[str, list[Any]]:
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


def read_prometheus(result: Audit) -> None:
    """The metrics count what the summary counts."""
    read = metrics(written(result, "prometheus"))
    told = {tuple(s.labels[k] for k in ("check", "severity", "status")): s.value for s in read["auditor_findings"]}
    assert told == Counter((f.check, f.severity.value, f.status) for f in result.findings)
    outcomes = {s.labels["outcome"]: s.value for s in read["auditor_checked_objects"]}
    assert sum(outcomes.values()) == len(result.coverage)
    assert outcomes["not_checked"] == left(result)
    assert ("auditor_last_complete_timestamp_seconds" in read) is (result.run.status == "complete")
    rows = {s.labels["fingerprint"]: s.value for s in read["auditor_finding_rows"]}
    assert rows == {
        f.fingerprint: f.evidence.violations
        for f in result.findings
        if f.evidence and f.evidence.violations is not None
    }


# How each format is read back; see also tests/test_hostile.py.
READERS: dict[str, Callable[[Audit], None]] = {
    "sarif": read_sarif,
    "junit": read_junit,
    "github": read_github,
    "gitlab": read_gitlab,
    "csv": read_csv,
    "prometheus": read_prometheus,
}


def test_no_row_is_in_a_metric(database: Make) -> None:
    secret = "5ecret-value"
    dsn = database(f"""
        CREATE TABLE parents (id text PRIMARY KEY);
        CREATE TABLE children (id text PRIMARY KEY, parent text);
        INSERT INTO children VALUES ('{secret}', '{secret}');
        ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents NOT VALID;
    """)
    result = audit(dsn, select=CHECKS, samples="full")
    assert secret in written(result, "json")
    assert all(
        secret not in written(result, name) for name in ("prometheus", "csv", "github", "gitlab", "junit", "sarif")
    )


@pytest.mark.parametrize("name", MACHINES)
def test_every_format_is_text_of_any_name(audits: list[Audit], name: str) -> None:
    for result in audits:
        text = written(result, name)
        text.encode("utf-8")
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert written(still(audits[1]), name) == written(still(audits[1]), name)
    assert len(HOSTILE) == 22


def test_all_formats_of_one_run(database: Make, tmp_path: Path) -> None:
    dsn = database("CREATE TABLE a (id int PRIMARY KEY, a int NOT NULL REFERENCES a ON DELETE SET NULL)")
    files = [f"{name}:report.{name}" for name in MACHINES]
    done = run_auditor("audit", dsn, "-f", "terminal", *(part for file in files for part in ("-f", file)), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert all((tmp_path / f"report.{name}").stat().st_size for name in MACHINES)
    assert run_auditor("audit", dsn, "-f", "sariff", cwd=tmp_path).stderr == (
        "auditor: there is no report format 'sariff'; did you mean sarif?\n"
    )
