"""Metrics for Prometheus, as the textfile collector of its node exporter reads them. No label holds a row's value."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from auditor.audit import Audit
from auditor.report import Options
from auditor.report.wording import counts, described
from auditor.text import one_line


def render(audit: Audit, options: Options) -> str:
    """The report as metrics. `auditor_last_complete_timestamp_seconds` is that of this run, or of the last complete one that
    the history knows; without either it is not there."""
    registry = CollectorRegistry()
    database = one_line(audit.database.name)

    def gauge(name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"auditor_{name}", documentation, ("database", *labels), registry=registry)

    started, finished = (datetime.fromisoformat(t).timestamp() for t in (audit.run.started_at, audit.run.finished_at))
    findings = gauge("findings", "Findings by check, severity and status.", "check", "severity", "status")
    for (check, severity, status), number in Counter(
        (finding.check, finding.severity.value, finding.status) for finding in audit.findings
    ).items():
        findings.labels(database, one_line(check), severity, one_line(status)).set(number)
    rows = gauge("finding_rows", "Rows that a finding counts.", "check", "object", "fingerprint")
    for finding in audit.findings:
        if finding.evidence is not None and finding.evidence.violations is not None:
            labels = one_line(finding.check), described(finding.object), finding.fingerprint
            rows.labels(database, *labels).set(finding.evidence.violations)
    outcomes, counted = gauge("checked_objects", "Checks of objects by outcome.", "outcome"), counts(audit)
    for outcome in ("passed", "failed", "not_checked", "skipped"):
        outcomes.labels(database, outcome).set(getattr(counted, outcome))
    gauge("rows_examined", "Rows that were read.").labels(database).set(audit.summary.rows_examined)
    gauge("run_seconds", "How long the audit took.").labels(database).set(finished - started)
    gauge("last_run_timestamp_seconds", "When the audit ended.").labels(database).set(finished)
    complete = audit.run.status == "complete"
    gauge("run_complete", "1 if everything asked for was checked.").labels(database).set(complete)
    ended = [point.ended for point in audit.past if point.status == "complete" and point.ended]
    if complete or ended:
        last = finished if complete else datetime.fromisoformat(ended[-1]).timestamp()
        gauge("last_complete_timestamp_seconds", "When an audit left nothing out.").labels(database).set(last)
    return generate_latest(registry).decode()
