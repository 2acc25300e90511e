"""CSV for spreadsheets: a line per finding, and one for each object that was not checked."""

from __future__ import annotations

import csv
import io

from auditor.audit import Audit
from auditor.report import Options
from auditor.report.wording import described, recommended, sql_text
from auditor.text import idents, one_line

COLUMNS = (
    "status",
    "severity",
    "confidence",
    "check",
    "object",
    "schema",
    "table",
    "name",
    "columns",
    "violations",
    "rows_examined",
    "title",
    "fix",
    "where",
    "fingerprint",
)


def render(audit: Audit, options: Options) -> str:
    """The report as CSV (RFC 4180) with a header; a text that a spreadsheet would take for a formula begins with a quote."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    for finding in audit.findings:
        evidence, fix = finding.evidence, recommended(finding)
        writer.writerow(
            {
                "status": _cell(finding.status),
                "severity": finding.severity.value,
                "confidence": finding.confidence.value,
                "check": _cell(finding.check),
                "object": _cell(described(finding.object)),
                "schema": _cell(finding.object.schema),
                "table": _cell(finding.object.table),
                "name": _cell(finding.object.name),
                "columns": _cell(idents(finding.object.columns)),
                "violations": "" if evidence is None or evidence.violations is None else evidence.violations,
                "rows_examined": "" if evidence is None or evidence.rows_examined is None else evidence.rows_examined,
                "title": _cell(finding.title),
                "fix": _cell(fix.title if fix else ""),
                "where": _cell(sql_text(evidence.where) if evidence and evidence.where else ""),
                "fingerprint": finding.fingerprint,
            }
        )
    for entry in audit.coverage:
        if entry.outcome == "not_checked":
            row = {
                "status": "not_checked",
                "check": _cell(entry.check),
                "object": _cell(described(entry.object)),
                "schema": _cell(entry.object.schema),
                "table": _cell(entry.object.table),
                "name": _cell(entry.object.name),
                "columns": _cell(idents(entry.object.columns)),
                "title": _cell(f"{entry.reason}: {entry.detail}" if entry.detail else str(entry.reason)),
            }
            writer.writerow(row)
    return out.getvalue()


def _cell(text: str) -> str:
    text = one_line(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
