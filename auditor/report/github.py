"""Annotations of GitHub Actions: one command per line on standard output, shown with the run.

Of a step GitHub shows ten errors, ten warnings and ten notices, the first of each; the others stand in its log. So the first
line is the verdict, with how many are not shown, what was not checked comes before the warnings, and the worst comes first.
"""

from __future__ import annotations

from collections import Counter

from auditor.audit import Audit
from auditor.check import Severity
from auditor.report import Options
from auditor.report.wording import advice, unchecked, verdict
from auditor.text import listed, plural, safe_text

MOST = 10
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render(audit: Audit, options: Options) -> str:
    """The verdict, one line per reason for which something was not checked, and a line per open finding."""
    lines = [
        ("warning", "not checked", f"{plural(len(group.entries), 'check')} of objects: {group.said}")
        for group in unchecked(audit)
    ]
    lines += [(_COMMANDS[f.severity], f"{f.check}: {f.title}", advice(f)) for f in audit.open_findings]
    count = Counter(kind for kind, *_ in (("notice",), *lines))
    more = [plural(count[kind] - MOST, kind) for kind in ("error", "warning", "notice") if count[kind] > MOST]
    hidden = f" · only in the log: {listed(more)} more than GitHub shows" if more else ""
    return "\n".join(_command(*line) for line in (("notice", "auditor", verdict(audit) + hidden), *lines)) + "\n"


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_escaped(title, ':,')}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    """`text` as data of a command; `more` are characters that end a property. A byte of no encoding is spelled out."""
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + more else c for c in safe_text(text))
