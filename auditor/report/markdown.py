"""Markdown as GitHub renders it, for a pull request or a chat. The words live in templates/report.md and _finding.md.

Names are set as code, where GitHub looks for no mention, no issue and no link; the rest is escaped as HTML entities, which
hold in Markdown, in its tables and in raw HTML alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import accumulate
from typing import Any

from jinja2 import Template

from auditor.audit import Audit
from auditor.check import Evidence, Finding, Severity
from auditor.report import Options
from auditor.report.layout import elide
from auditor.report.past import story
from auditor.report.template import template
from auditor.report.wording import (
    SYMBOLS,
    certainty,
    counts,
    described,
    duration,
    estimated,
    ignore_entry,
    occasion,
    seen,
    sql_text,
    subject_of,
    unchecked,
    verdict,
)
from auditor.text import listed, one_line, plural

# GitHub refuses a comment of more than 65,536 characters; bytes are counted here, which are never fewer.
LIMIT = 65_000
_FEW = (20, 5, 1)  # notes, settled findings, reasons in detail: fewer, when names are long enough to fill half a report
_LONG = 300  # columns of one of these
_SPECIAL = re.compile(r"[&<>\\`*_\[\]|~$#@]|(?<=http):|(?<=https):|(?<=ftp):|(?<=[wW]{3})\.")
_QUOTED = r'(?:U&)?"(?:[^"]|"")*"'
# An identifier that is quoted, qualified or has an underscore; other words may be anything.
_NAME = re.compile(
    rf"(?:{_QUOTED}|\b[a-z_][a-z0-9_]*)(?:\.(?:{_QUOTED}|[a-z_][a-z0-9_]*))+|{_QUOTED}|\b[a-z0-9]+_[a-z0-9_]+\b"
)


def entities(text: str) -> str:
    """`text` on one line with whatever HTML or Markdown would read as its own spelled as an entity."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", one_line(text))


def html_code(text: str) -> str:
    """`text` as code where a backtick would not do."""
    return f"<code>{entities(text)}</code>"


def code(text: str) -> str:
    """`text` as a code span whose fence is longer than any run of backticks in it; on one line."""
    text = one_line(text)
    # A code span has no escape: `|` would end a table's cell in it, and blanks at both ends would be lost.
    if "|" in text or text != text.strip() or not text:
        return html_code(text)
    fence = "`" * (1 + _longest_run(text))
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def prose(text: str, name: Callable[[str], str] = code) -> str:
    """A sentence: names are set as code, and what is left mentions nobody."""
    text, parts, end = one_line(text), [], 0
    for found in _NAME.finditer(text):
        parts += [_plain(text[end : found.start()]), name(found[0])]
        end = found.end()
    return "".join([*parts, _plain(text[end:])])


def html_prose(text: str) -> str:
    """A sentence within a block of raw HTML, where Markdown is not read at all."""
    return prose(text, lambda name: f"<code>{escape(name, quote=False)}</code>")


def _plain(text: str) -> str:
    # A zero-width space keeps GitHub from seeing a person in @name, or an issue in #1.
    return entities(text).replace("&#64;", "&#64;&#8203;").replace("&#35;", "&#35;&#8203;")


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}{language}\n{text}\n{fence}\n"


def _sql(statements: tuple[str, ...] | list[str]) -> str:
    return fenced("\n".join(sql_text(statement) for statement in statements), "sql") if statements else ""


def _value(value: str | None) -> str:
    return "<i>null</i>" if value is None else code(value) if value else "<i>empty</i>"


def _first(items: list[str], few: int) -> list[str]:
    """At most `few` of them, none too long, and how many are not there."""
    more = [f"… and {len(items) - few:,} more"] if len(items) > few else []
    return [*(elide(item, _LONG) for item in items[:few]), *more]


_FILTERS: dict[str, Any] = {
    "prose": prose,
    "html_prose": html_prose,
    "code": code,
    "value": _value,
    "sql": _sql,
    "toml": lambda text: fenced(text.rstrip("\n"), "toml"),
    "certainty": certainty,
    "described": described,
    "symbol": lambda severity: SYMBOLS[severity],
}


@dataclass(frozen=True, slots=True)
class _Sample:
    columns: list[str]
    rows: list[list[str | None]]


def render(audit: Audit, options: Options) -> str:
    """The report, shorter than GitHub's limit: whole findings are left out, the least harmful first, and it is said."""
    shown = audit.open_findings
    frames = ((few, len(_frame(audit, few, [], [], "x" * 400).encode())) for few in _FEW)
    few, taken = next(((few, size) for few, size in frames if size <= LIMIT // 2 or few == _FEW[-1]))
    rows = _fitting([_row(finding) for finding in shown], (LIMIT - taken) // 2)
    taken += sum(len(row.encode()) for row in rows)
    details: list[str] = []
    cut: list[Finding] = []
    for number, finding in enumerate(shown):
        detail = _finding(finding)
        size = len(detail.encode())
        if size > LIMIT // 3:  # long samples: this one alone would drive out the others
            cut.append(finding)
            continue
        if taken + size > LIMIT:
            cut += shown[number:]
            break
        taken += size
        details.append(detail)
    return _frame(audit, few, rows, details, _cut(shown[len(rows) :], tuple(cut)))


def _fitting(texts: list[str], limit: int) -> list[str]:
    """The first ones, as many as fit into `limit` bytes."""
    ends = accumulate(len(text.encode()) for text in texts)
    return [text for text, end in zip(texts, ends, strict=True) if end <= limit]


def _cut(rows: tuple[Finding, ...], details: tuple[Finding, ...]) -> str:
    """What was left out, in a sentence; empty when nothing was."""
    said = []
    if details:
        said.append(f"The details of {_some(details)} are left out")
    if rows:
        said.append(f"the table lacks {_some(rows)}")
    return f"{'; '.join(said)}." if said else ""


def _some(findings: tuple[Finding, ...]) -> str:
    number = Counter(finding.severity for finding in findings)
    parts = [plural(number[severity], severity.value) for severity in Severity if number[severity]]
    return f"{plural(len(findings), 'finding')} ({listed(parts)})"


@lru_cache(maxsize=8)
def _template(name: str) -> Template:
    return template(name, _FILTERS)


def _row(finding: Finding) -> str:
    return _template("_row.md").render(finding=finding)


def _frame(audit: Audit, few: int, rows: list[str], details: list[str], cut: str) -> str:
    number = counts(audit)
    text = _template("report.md").render(
        verdict=verdict(audit),
        subject=subject_of(audit),
        occasion=occasion(audit),
        tool=f"auditor {audit.tool.version}",
        rows=rows,
        details=details,
        cut=cut,
        unchecked=[
            {
                "reason": group.reason,
                "said": group.said,
                "count": len(group.entries),
                "details": _first(
                    [f"{said} ({count:,} checks)" if count > 1 else said for said, count in group.details.items()], few
                ),
            }
            for group in unchecked(audit)
        ],
        settled=[_settled(audit, status, few) for status in ("known", "suppressed")],
        notes=_first(list(audit.notes), few),
        coverage={
            "total": f"{len(audit.coverage):,}",
            "passed": f"{number.passed:,}",
            "failed": f"{number.failed:,}",
            "not_checked": f"{number.not_checked:,}",
            "skipped": f"{number.skipped:,}",
        },
        summary=audit.summary.line,
    )
    return _tidy(text)


def _settled(audit: Audit, status: str, few: int) -> tuple[str, int, list[str]]:
    found = [finding for finding in audit.findings if finding.status == status]
    return status.capitalize(), len(found), _first([f"{finding.title} ({finding.check})" for finding in found], few)


def _finding(finding: Finding) -> str:
    evidence = finding.evidence
    sample = _sampled(evidence)
    text = _template("_finding.md").render(
        finding=finding,
        story=story(finding),
        sample=sample,
        sampled=_how_many(evidence) if evidence else "",
        predicate=_predicate(evidence),
        read=_read(evidence),
        ignore=ignore_entry(finding),
    )
    return _tidy(text)


def _sampled(evidence: Evidence | None) -> _Sample | None:
    if evidence is None or not evidence.sample:
        return None
    columns = list(dict.fromkeys(name for row in evidence.sample for name in row))
    return _Sample(columns, [[row.get(name) for name in columns] for row in evidence.sample])


def _how_many(evidence: Evidence) -> str:
    shown = len(evidence.sample)
    if evidence.violations is None or evidence.violations <= shown:
        return "The rows"
    return f"{shown} of the {plural(evidence.violations, 'row')}"


def _predicate(evidence: Evidence | None) -> str:
    if evidence is None or not evidence.violations:
        return ""
    return f"{evidence.sql.rstrip(';')};" if evidence.sql else evidence.where or ""


def _read(evidence: Evidence | None) -> str:
    if evidence is None or not evidence.strategy:
        return ""
    at = seen(evidence)
    return f"read in {duration(evidence.seconds)}{estimated(evidence)} ({evidence.strategy}{at})"


_BLANKS = re.compile(r"\n{3,}")
_FENCED = re.compile(r"^(`{3,})\w*\n.*?\n\1$", re.MULTILINE | re.DOTALL)


def _tidy(text: str) -> str:
    """One blank line where the template left several, but for code."""
    kept: list[str] = []
    end = 0
    for block in _FENCED.finditer(text):
        kept += [_BLANKS.sub("\n\n", text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*kept, _BLANKS.sub("\n\n", text[end:])]).strip("\n") + "\n"
