"""Plain text for a terminal: findings in order of harm, then what was not checked, the verdict last, so that it is on screen.

No line begins with text from the database: a log reader that takes commands from the beginning of a line finds none there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from auditor.audit import Audit
from auditor.check import Evidence, Finding, Severity
from auditor.report import Options
from auditor.report.layout import flow, line, table, width, wrap
from auditor.report.wording import (
    SYMBOLS,
    certainty,
    counts,
    described,
    duration,
    estimated,
    occasion,
    recommended,
    seen,
    sql_text,
    subject_of,
    unchecked,
    verdict,
)
from auditor.text import listed, plural

BLOCK = 6  # lines of a finding, when not verbose
_COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_NAMED = 3  # reasons in detail, and the like, when not verbose


def render(audit: Audit, options: Options) -> str:
    """The report as text of at most `options.width` columns; SQL (verbose) and the last line are never broken."""
    page = _Page(options)
    return "\n".join(page.report(audit)) + "\n"


class _Page:
    def __init__(self, options: Options) -> None:
        self.width = max(options.width, 40)
        self.color = options.color
        self.verbose = options.verbose

    def paint(self, text: str, **style: Any) -> str:
        return typer.style(text, **style) if self.color and text and style else text

    def wrapped(self, text: str, first: str, rest: str | None = None, most: int = 0) -> list[str]:
        return wrap(line(text), self.width, first, rest, most)

    def report(self, audit: Audit) -> Iterator[str]:
        about = [f"auditor {audit.tool.version}", *subject_of(audit).split(" · "), *occasion(audit).split(" · ")]
        yield from (self.paint(text, dim=True) for text in flow([line(part) for part in about], self.width, "", "│ "))
        for finding in audit.open_findings:
            yield ""
            yield from self.whole(finding) if self.verbose else self.block(finding)
        yield from self.settled(audit)
        yield from self.notes(audit)
        yield from self.unchecked(audit)
        yield from self.conclusion(audit)

    def block(self, finding: Finding) -> list[str]:
        """At most BLOCK lines: title, how sure and how many, which check, why, and what to do.

        A long title, which tells the most, takes the place of the reasons.
        """
        gutter = self.gutter(finding)
        facts = [(text, {"dim": True}) for text in self.facts(finding)]
        best = recommended(finding)
        fix = self.wrapped(f"Fix: {best.title}", "│ ", most=1) if best else []
        room = BLOCK - len(facts) - len(fix)
        title = self.title(finding, room)
        why = self.wrapped(finding.message, "│ ", most=1) if len(title) < room else []
        below: list[tuple[str, dict[str, Any]]] = [*facts, *((text, {}) for text in (*why, *fix))]
        return [*title, *(gutter + self.paint(text.removeprefix("│"), **style) for text, style in below)]

    def title(self, finding: Finding, most: int) -> list[str]:
        label = f"{SYMBOLS[finding.severity]} {finding.severity.value.upper()}"
        lines = self.wrapped(finding.title, f"{label}  ", "│ ", most)
        color = _COLORS[finding.severity]
        return [
            self.paint(label, fg=color, bold=True) + self.paint(lines[0].removeprefix(label), bold=True),
            *(self.gutter(finding) + self.paint(text.removeprefix("│"), bold=True) for text in lines[1:]),
        ]

    def gutter(self, finding: Finding) -> str:
        return self.paint("│", fg=_COLORS[finding.severity])

    def facts(self, finding: Finding) -> list[str]:
        """How sure, how many, which check, which fingerprint: on one line if it has room for them."""
        sure, name = certainty(finding), f"{finding.check} · {finding.fingerprint}"
        both = f"│ {sure} · {name}"
        if width(both) <= self.width:
            return [line(both)]
        return [*self.wrapped(sure, "│ ", most=1), *self.wrapped(name, "│ ", most=1)]

    def whole(self, finding: Finding) -> Iterator[str]:
        """Everything about a finding. SQL stands on lines of its own, without the gutter: ready to be copied."""
        gutter = self.gutter(finding)

        def beside(text: str = "", **style: Any) -> Iterator[str]:
            for row in self.wrapped(text, "│ "):
                yield (gutter + self.paint(row.removeprefix("│").rstrip(), **style)).rstrip()

        yield from self.title(finding, 0)
        for text in self.facts(finding):
            yield from beside(text.removeprefix("│ "), dim=True)
        related = [described(other) for other in finding.related]
        yield from beside(" · ".join([described(finding.object), *related]), dim=True)
        yield from beside()
        yield from beside(finding.message)
        evidence = finding.evidence
        if evidence:
            for text in self.sample(evidence):
                yield gutter + text
            if evidence.violations and (evidence.sql or evidence.where):
                yield from beside()
                yield from beside("All of them:" if evidence.sql else "All of them, by predicate:")
                yield from self.sql((f"{evidence.sql.rstrip(';')};" if evidence.sql else evidence.where or "",))
            if evidence.strategy:
                at = seen(evidence)
                yield from beside()
                took = f"{duration(evidence.seconds)}{estimated(evidence)}"
                yield from beside(f"Read in {took}, strategy {evidence.strategy}{at}", dim=True)
        for number, fix in enumerate(finding.fixes, 1):
            yield from beside()
            advice = ", recommended" if fix.recommended else ""
            yield from beside(f"Fix {number} of {len(finding.fixes)}{advice}: {fix.title}", bold=True)
            yield from self.sql(fix.sql)
            if fix.rollback:
                yield from beside("Rollback:")
                yield from self.sql(fix.rollback)
            if fix.locks:
                yield from beside(f"Locks: {fix.locks}")
            for caveat in fix.caveats:
                yield from beside(f"Caveat: {caveat}")

    def sample(self, evidence: Evidence) -> Iterator[str]:
        """The sampled rows as a table, without the gutter."""
        if not evidence.sample:
            return
        names = list(dict.fromkeys(name for row in evidence.sample for name in row))
        rows = [[_value(row.get(name)) for name in names] for row in evidence.sample]
        shown = len(evidence.sample)
        yield ""
        if evidence.violations is None or evidence.violations <= shown:
            yield " The rows:"
        else:
            yield f" {shown} of the {plural(evidence.violations, 'row')}:"
        header, *body = table([line(name) for name in names], rows, self.width - 4)
        yield f"   {self.paint(header, underline=True)}"
        yield from (f"   {row}" for row in body)

    def sql(self, statements: tuple[str, ...]) -> Iterator[str]:
        for statement in statements:
            for text in sql_text(statement).split("\n"):
                yield f"    {text.rstrip()}"

    def settled(self, audit: Audit) -> Iterator[str]:
        """What is known or suppressed: the titles, when verbose; else the verdict's counts say enough."""
        if not self.verbose:
            return
        for status in ("known", "suppressed"):
            found = [finding for finding in audit.findings if finding.status == status]
            if found:
                yield ""
                yield self.paint(f"{status.capitalize()}: {len(found):,}", bold=True)
            for finding in found:
                yield from self.wrapped(f"{finding.title} · {finding.check} · {finding.fingerprint}", "· ", "│ ")

    def notes(self, audit: Audit) -> Iterator[str]:
        if audit.notes:
            yield ""
            yield self.paint("Notes", bold=True)
        for note in audit.notes:
            yield from self.wrapped(note, "· ", "│ ")

    def unchecked(self, audit: Audit) -> Iterator[str]:
        groups = unchecked(audit)
        if groups:
            yield ""
            yield self.paint(f"Not checked: {counts(audit).not_checked:,}", bold=True)
        for group in groups:
            yield from self.wrapped(f"{len(group.entries):,} × {group.reason}: {group.said}", "· ", "│ ")
            if self.verbose:
                for entry in group.entries:
                    why = f" ({entry.detail})" if entry.detail else ""
                    yield from self.wrapped(f"{entry.check}: {described(entry.object)}{why}", "│   ", "│     ")
                continue
            details = [f"{text} ({count:,})" if count > 1 else text for text, count in group.details.items()]
            more = [f"{len(details) - _NAMED:,} more (-v)"] if len(details) > _NAMED else []
            yield from self.wrapped(listed(details[:_NAMED] + more), "│   ")

    def conclusion(self, audit: Audit) -> Iterator[str]:
        yield ""
        summary = audit.summary
        if audit.open_findings and not self.verbose:
            for text in wrap("Rows, predicates, SQL of the fixes: -v, or -f html:report.html", self.width, "", "│ "):
                yield self.paint(text, dim=True)
        color = "red" if summary.error else "yellow" if summary.warning or summary.not_checked else "green"
        for text in flow(verdict(audit).split(" · "), self.width):
            yield self.paint(text, fg=color, bold=True)
        yield summary.line


def _value(value: str | None) -> str:
    return "(null)" if value is None else line(value)
