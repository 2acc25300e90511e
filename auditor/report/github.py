"""Annotations of GitHub Actions: one command per line on standard output, shown with the run.

GitHub shows ten errors and ten warnings of a step; the worst come first, and the last line says what the audit says.
"""

from __future__ import annotations

from auditor.audit import Audit
from auditor.check import Severity
from auditor.report import Options
from auditor.report.wording import advice, unchecked, verdict
from auditor.text import plural, safe_text

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render(audit: Audit, options: Options) -> str:
    """A line per open finding, one per reason for which something was not checked, and the verdict."""
    lines = [_command(_COMMANDS[f.severity], f"{f.check}: {f.title}", advice(f)) for f in audit.open_findings]
    lines += [
        _command("warning", "not checked", f"{plural(len(group.entries), 'check')} of objects: {group.said}")
        for group in unchecked(audit)
    ]
    return "\n".join([*lines, _command("notice", "auditor", verdict(audit))]) + "\n"


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_escaped(title, ':,')}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    """`text` as data of a command; `more` are characters that end a property. A byte of no encoding is spelled out."""
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + more else c for c in safe_text(text))
