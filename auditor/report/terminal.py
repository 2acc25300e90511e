"""Plain text for a terminal."""

from __future__ import annotations

from auditor.audit import Audit
from auditor.report import Options


def render(audit: Audit, options: Options) -> str:
    """Placeholder until the report is written."""
    return "".join(f"{f.severity} {f.check} {f.title}\n" for f in audit.findings) + audit.summary.line + "\n"
