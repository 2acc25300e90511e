"""A baseline: findings that were accepted as known. It may shrink, and never grows by itself."""

from __future__ import annotations

from dataclasses import replace

from auditor.audit import Audit
from auditor.check import Finding
from auditor.diff import compare


def accepted(audit: Audit) -> Audit:
    """The findings of an audit as known ones: names and counts, without values of rows and without what was looked at.

    What an `[[ignore]]` entry suppresses stays that entry's business.
    """
    findings = tuple(_known(finding) for finding in audit.findings if finding.status != "suppressed")
    summary = replace(audit.summary, error=0, warning=0, info=0, suppressed=len(findings))
    return replace(audit, findings=findings, summary=summary, coverage=(), notes=(), past=())


def _known(finding: Finding) -> Finding:
    evidence = finding.evidence and replace(finding.evidence, sample=())
    return finding.but(status="known", evidence=evidence, fixes=(), past=None)


def shrunk(known: Audit, today: Audit) -> Audit:
    """The baseline without what today's audit looked for and no longer found, and with its lower counts; nothing is added."""
    comparison = compare(known, today)
    gone = {change.finding.fingerprint for change in comparison.fixed}
    better = {change.finding.fingerprint: change.finding for change in comparison.bettered}
    kept = tuple(_least(f, better.get(f.fingerprint)) for f in known.findings if f.fingerprint not in gone)
    return accepted(replace(known, findings=kept))


def _least(known: Finding, now: Finding | None) -> Finding:
    """A known finding that became better, with the lower of its counts."""
    if now is None:
        return known
    counts = [f.evidence.violations for f in (known, now) if f.evidence and f.evidence.violations is not None]
    least = now.evidence and replace(now.evidence, violations=min(counts) if counts else None)
    return now.but(evidence=least)
