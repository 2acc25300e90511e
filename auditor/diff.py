"""Two audits compared: what is new, worse, better, fixed, and what nobody looked at again.

Findings are the same when their fingerprints are: names, no counts and no values. A finding that was accepted (known or
suppressed) is there all the same; only a new one that nobody accepted makes things worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from auditor.audit import Audit, Coverage, moved, rows_of
from auditor.check import Depth, Finding, Object
from auditor.errors import UsageError
from auditor.patterns import Scope
from auditor.registry import load, selected
from auditor.report.layout import flow, line, wrap
from auditor.report.template import template
from auditor.report.wording import REASONS, SYMBOLS, occasion, subject_of
from auditor.text import listed, one_line

WIDTH = 80
# Options that decide what is looked for; the others (jobs, timeouts, samples) only decide how.
ASKING = ("select", "ignore", "schemas", "exclude_schemas", "tables", "exclude_tables", "where", "sql")


@dataclass(frozen=True, slots=True)
class Change:
    """A finding that is not what it was. `said` is what there is to say beside its title; empty: nothing."""

    finding: Finding
    said: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Audit `after` as seen from audit `before`, each group in order of harm.

    `new` holds what `before` looked for and did not have, `uncovered` what it did not look for, `accepted` new findings
    that are known or suppressed. `fixed` was looked for again and is gone; `unchecked` was not looked for again.
    `notes` say how far the two can be compared.
    """

    before: Audit
    after: Audit
    new: tuple[Change, ...]
    uncovered: tuple[Change, ...]
    accepted: tuple[Change, ...]
    worsened: tuple[Change, ...]
    bettered: tuple[Change, ...]
    fixed: tuple[Change, ...]
    unchecked: tuple[Change, ...]
    unchanged: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """Whether something is there that was not, or more of it; also where `before` had not looked."""
        return bool(self.new or self.uncovered or self.worsened)

    @property
    def line(self) -> str:
        """The last line: which groups there are, and their sizes."""
        groups = (
            (len(self.new) + len(self.uncovered), "new"),
            (len(self.worsened), "worse"),
            (len(self.bettered), "better"),
            (len(self.fixed), "fixed"),
            (len(self.unchecked), "no longer checked"),
            (len(self.accepted), "new but accepted"),
            (len(self.unchanged), "unchanged"),
        )
        said = ", ".join(f"{count:,} {name}" for count, name in groups if count)
        return f"B is {'worse' if self.worse else 'not worse'}: {said or 'no findings in either'}"

    @property
    def text(self) -> str:
        """The comparison for a terminal, in 80 columns; the last line is `line`."""
        filters: dict[str, Callable[..., str]] = {
            "label": lambda finding: f"{SYMBOLS[finding.severity]} {finding.severity.value.upper()}",
            "title": lambda text, label: "\n".join(wrap(line(text), WIDTH, f"{label}  ", "│ ")),
            "beside": lambda text: "\n".join(wrap(line(text), WIDTH, "│ ")),
            "note": lambda text: "\n".join(wrap(line(text), WIDTH, "· ", "│ ")),
            "audit": lambda audit, name: "\n".join(
                flow(
                    [line(part) for part in (*subject_of(audit).split(" · "), *occasion(audit).split(" · "))],
                    WIDTH,
                    f"{name}  ",
                    "│  ",
                )
            ),
        }
        return template("diff.txt", filters).render(comparison=self)


def compare(before: Audit, after: Audit) -> Comparison:
    """What became of the findings of `before` in `after`. Any two audits can be compared; `notes` say what that means."""
    old = {finding.fingerprint: finding for finding in before.findings}
    now = {finding.fingerprint: finding for finding in after.findings}
    groups: dict[str, list[Change]] = {
        name: [] for name in ("new", "uncovered", "accepted", "worsened", "bettered", "fixed", "unchecked", "unchanged")
    }
    then, today = _Looked(before, after), _Looked(after, before)
    for finding in after.findings:
        if finding.fingerprint in old:
            group, said = moved(old[finding.fingerprint], finding, counted=rows_of(before) == rows_of(after))
        elif finding.status != "new":
            group, said = "accepted", finding.status
        else:
            missed = then.missed(finding)
            group, said = ("uncovered", f"in A: {missed}") if missed else ("new", "")
        groups[group].append(Change(finding, said))
    for finding in before.findings:
        if finding.fingerprint not in now:
            missed = today.missed(finding)
            group = "unchanged" if today.told_elsewhere(finding) else "unchecked" if missed else "fixed"
            groups[group].append(Change(finding, missed))
    return Comparison(
        before, after, **{name: tuple(changes) for name, changes in groups.items()}, notes=tuple(_notes(before, after))
    )


class _Looked:
    """What an audit looked at, as its coverage and its options tell. `other` is the audit it is compared with."""

    def __init__(self, audit: Audit, other: Audit) -> None:
        self._coverage: dict[tuple[str, Object], list[Coverage]] = {}
        self._nearby: dict[tuple[str, str, str], list[Coverage]] = {}
        for entry in audit.coverage:
            self._coverage.setdefault((entry.check, entry.object), []).append(entry)
            self._nearby.setdefault((entry.check, entry.object.schema, entry.object.table), []).append(entry)
        self._found = {finding.fingerprint for finding in audit.findings}
        self._checks = {entry.check for entry in audit.coverage}
        options = audit.run.options
        self._scope = Scope(
            *(tuple(options.get(key, ())) for key in ("schemas", "exclude_schemas", "tables", "exclude_tables"))
        )
        self._ran = _ran(audit)
        self._left_out = {c.id for c in load() if not any(map(Depth(audit.run.depth).includes, c.depths))}
        self._audit = audit
        self._part = bool(rows_of(audit)) and rows_of(audit) != rows_of(other)
        self._same_tool = audit.tool.version == other.tool.version
        self._same_questions = all(options.get(key) == other.run.options.get(key) for key in ("declared", "sql"))

    def told_elsewhere(self, finding: Finding) -> bool:
        """Whether the check found it and another one, which supersedes it, reports it."""
        entries = self._coverage.get((finding.check, finding.object), [])
        return finding.fingerprint not in self._found and any(entry.outcome == "failed" for entry in entries)

    def missed(self, finding: Finding) -> str:
        """Why the audit would not have seen this finding; empty when it would have.

        An object that the coverage does not mention was looked at if its check ran over it: then it is gone, or no
        longer of the kind that the check is about.
        """
        if self.told_elsewhere(finding):
            return "another check reported it"
        entries = self._coverage.get((finding.check, finding.object), [])
        nearby = self._nearby.get((finding.check, finding.object.schema, finding.object.table), [])
        for entry in entries or nearby:  # a finding may be about a part of what was asked about
            if entry.outcome == "not_checked":
                return one_line(entry.detail) or REASONS.get(entry.reason or "", one_line(entry.reason or ""))
            if entry.outcome == "skipped" and entry.detail.startswith("--where"):
                return one_line(entry.detail)
            if entry.outcome == "skipped":
                return f"skipped at depth {one_line(self._audit.run.depth)}"
        if self._part and finding.evidence is not None and finding.evidence.violations is not None:
            return "only some of the rows were judged (--where)"
        if entries:
            return ""
        if self._ran is not None and finding.check not in self._ran:
            return "the check was not selected"
        if finding.check in self._left_out:
            return f"skipped at depth {one_line(self._audit.run.depth)}"
        if self._ran is None and finding.check not in self._checks:
            return "the check is not known to have run"
        if not self._scope.holds(finding.object):
            return "outside the schemas and tables that were audited"
        if not self._same_tool and finding.check not in self._checks:
            return f"version {one_line(self._audit.tool.version)} may not have the check"
        if not self._same_questions and finding.object.kind != "constraint":
            return "the configuration or the SQL files that were given differ"
        return ""


def _ran(audit: Audit) -> set[str] | None:
    """The checks that the audit was told to run; None when its selection names checks that are not at hand."""
    options = audit.run.options
    try:
        return selected(options.get("select", ()), options.get("ignore", ()))
    except UsageError:
        return None


def _notes(before: Audit, after: Audit) -> Iterable[str]:
    a, b = before.database, after.database
    if None not in (a.system_identifier, b.system_identifier) and a.system_identifier != b.system_identifier:
        yield "A and B are different servers: objects are matched by name"
    elif a.name != b.name:
        yield "A and B are different databases: objects are matched by name"
    elif (a.host, a.port) != (b.host, b.port) and None in (a.system_identifier, b.system_identifier):
        yield "A and B were reached at different addresses and may be different servers"
    if before.run.started_at > after.run.started_at:
        yield "A was made after B: what is called fixed has come, what is called new has gone"
    if before.run.depth != after.run.depth:
        yield f"depth {before.run.depth} is compared with depth {after.run.depth}"
    if Depth.CATALOG in (before.run.depth, after.run.depth) and before.run.depth != after.run.depth:
        yield "rows are counted on one side only: nothing can be called worse or better by its count"
    differing = [key for key in ASKING if before.run.options.get(key, []) != after.run.options.get(key, [])]
    if differing:
        yield f"the audits were asked different questions: {listed(differing)} {'differs' if len(differing) == 1 else 'differ'}"
    if before.run.options.get("declared") != after.run.options.get("declared"):
        yield "what the configuration declares (references, companions, keys, soft deletes) differs"
    for name, audit in (("A", before), ("B", after)):
        if audit.run.status == "incomplete":
            yield f"{name} is incomplete: {audit.summary.not_checked:,} not checked"
    if before.tool.version != after.tool.version:
        yield f"version {before.tool.version} of the auditor is compared with version {after.tool.version}"
