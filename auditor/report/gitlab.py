"""GitLab's code quality report: a JSON list of the open findings, which a merge request compares by fingerprint."""

from __future__ import annotations

import json

from auditor.audit import Audit
from auditor.check import Severity
from auditor.report import Options
from auditor.report.wording import advice, path
from auditor.text import one_line

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor", Severity.INFO: "info"}


def render(audit: Audit, options: Options) -> str:
    """The report as JSON. A database has no files: the path is made of schema and table."""
    made = [
        {
            "description": advice(finding),
            "check_name": one_line(finding.check),
            "fingerprint": finding.fingerprint,
            "severity": _SEVERITIES[finding.severity],
            "location": {"path": path(finding.object), "lines": {"begin": 1}},
        }
        for finding in audit.open_findings
    ]
    return json.dumps(made, indent=2, ensure_ascii=True) + "\n"
