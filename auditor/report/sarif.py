"""SARIF 2.1.0, the OASIS standard for results of static analysis, within the limits that GitHub puts on uploads.

A database has no files: each result names its object as a logical location, and, because GitHub shows no result without a
file, a path made of its schema and table that leads nowhere.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from auditor.audit import Audit
from auditor.check import Finding, Object, Severity
from auditor.registry import Check, load
from auditor.report import Options
from auditor.report.explain import sections
from auditor.report.wording import REASONS, advice, described, name, path, sql_text
from auditor.text import one_line, plural

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# GitHub's limits (documentation: SARIF results exceed one or more limits; Uploading a SARIF file): results of one run that it
# shows, of more it refuses the whole file from 25,000 on; places of a result, of 1,000; bytes of the file, compressed.
MOST = 5000
MOST_PLACES = 100
MOST_BYTES = 10_000_000
_LONGEST = 1000  # characters of a rule's description that GitHub takes: 1,024
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def render(audit: Audit, options: Options) -> str:
    """The report as SARIF; known and suppressed findings carry a suppression, what was not checked is a notification."""
    most = MOST
    while len(text := _render(audit, most)) > MOST_BYTES and most > 1:
        if len(gzip.compress(text.encode(), 6)) <= MOST_BYTES:
            break
        most //= 2
    return text


def _render(audit: Audit, most: int) -> str:
    found = sorted(audit.findings, key=lambda finding: finding.status != "new")
    checks = {check.id: check for check in load()}
    identities = sorted({finding.check for finding in found})
    notifications = [_unchecked(entry.check, entry.object, entry.reason, entry.detail) for entry in _left(audit)[:most]]
    if len(found) > most:
        notifications.append(_note(f"{plural(len(found) - most, 'finding is', 'findings are')} left out of this file"))
    notifications += [_note(note) for note in audit.notes]
    run = {
        "tool": {
            "driver": {
                "name": audit.tool.name,
                "semanticVersion": audit.tool.version,
                "rules": [_rule(identity, checks.get(identity)) for identity in identities],
            }
        },
        "automationDetails": {"id": f"{audit.tool.name}/{one_line(audit.database.name)}/", "guid": audit.run.id},
        "invocations": [
            {
                "executionSuccessful": audit.run.status == "complete",
                "startTimeUtc": _utc(audit.run.started_at),
                "endTimeUtc": _utc(audit.run.finished_at),
                "toolExecutionNotifications": notifications,
            }
        ],
        "results": [_result(finding, identities.index(finding.check)) for finding in found[:most]],
        "columnKind": "unicodeCodePoints",
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=True) + "\n"


def _left(audit: Audit) -> list[Any]:
    return [entry for entry in audit.coverage if entry.outcome == "not_checked"]


def _utc(moment: str) -> str:
    return moment.replace("+00:00", "Z")


def _rule(identity: str, check: Check | None) -> dict[str, Any]:
    if check is None:  # of another version of the auditor
        return {"id": one_line(identity)}
    said = {
        section.heading: " ".join(" ".join(section.paragraphs).split()) for section in sections(check.documentation)
    }
    return {
        "id": identity,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": said.get("Why it matters", check.title)[:_LONGEST]},
        "help": {"text": check.documentation},
        "defaultConfiguration": {"level": _LEVELS[check.severity]},
        "properties": {"tags": [check.family, "postgresql", "data-integrity"]},
    }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ruleId": one_line(finding.check),
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": advice(finding)},
        "locations": [_location(finding.object)],
        "partialFingerprints": {"primaryLocationLineHash": f"{finding.fingerprint}:1"},
        "baselineState": "new" if finding.status == "new" else "unchanged",
        "properties": {"confidence": finding.confidence.value, "status": one_line(finding.status)},
    }
    if finding.related:
        made["relatedLocations"] = [_location(other) for other in finding.related[: MOST_PLACES - 1]]
    if finding.status != "new":
        made["suppressions"] = [{"kind": "external", "status": "accepted"}]
    if finding.evidence is not None:
        made["properties"]["violations"] = finding.evidence.violations
        if finding.evidence.sql:
            made["properties"]["sql"] = sql_text(finding.evidence.sql)
    return made


def _location(subject: Object) -> dict[str, Any]:
    logical = {"fullyQualifiedName": name(subject), "kind": one_line(subject.kind)}
    return {
        "physicalLocation": {"artifactLocation": {"uri": path(subject)}, "region": {"startLine": 1}},
        "logicalLocations": [logical],
    }


def _unchecked(check: str, subject: Object, reason: str | None, detail: str) -> dict[str, Any]:
    why = REASONS.get(reason or "", one_line(reason or ""))
    said = f"{one_line(check)}: {described(subject)} was not checked: {why}{f' ({one_line(detail)})' if detail else ''}"
    return {**_note(said), "associatedRule": {"id": one_line(check)}}


def _note(text: str) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": one_line(text)}}
