"""What every format says in the same words: the verdict, how sure a finding is, names, coverage, the entry that ignores it.

What comes from here is plain text in which names are spelled safely (`one_line`); each format escapes it for its own syntax.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from auditor.audit import Audit, Coverage
from auditor.check import Evidence, Finding, Fix, Object, Severity
from auditor.text import ident, idents, listed, one_line, plural, qualified, safe_text

SYMBOLS = {Severity.ERROR: "✖", Severity.WARNING: "▲", Severity.INFO: "●"}

# The contract's reasons, in the reader's words.
REASONS = {
    "permission": "the login may not read it",
    "row_security": "row security hides rows from the login",
    "timeout": "it took too long",
    "lock": "a lock was not granted in time",
    "unsafe_code": "reading it would run other people's code",
    "standby_conflict": "the standby's recovery cancelled it",
    "lost_connection": "the connection was lost",
    "cancelled": "it was cancelled",
    "budget": "a limit on time, memory or disk was reached",
    "unsupported": "the auditor cannot judge it yet",
}

OUTCOMES = ("passed", "failed", "not_checked", "skipped")


@dataclass(frozen=True, slots=True)
class Counts:
    """Coverage entries by outcome: each is one check on one object."""

    passed: int
    failed: int
    not_checked: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Unchecked:
    """What was not checked for the same reason. `said` is the reason in words; `entries` are in the report's order."""

    reason: str
    said: str
    entries: tuple[Coverage, ...]

    @property
    def details(self) -> dict[str, int]:
        """Why exactly, or else which object, with how often that was said; the most frequent first."""
        said = Counter(one_line(entry.detail) or name(entry.object) for entry in self.entries)
        return dict(said.most_common())


def counts(audit: Audit) -> Counts:
    """How many checks of objects had which outcome."""
    return Counts(*(sum(entry.outcome == outcome for entry in audit.coverage) for outcome in OUTCOMES))


def verdict(audit: Audit) -> str:
    """The audit in one sentence: `Broken: 4 · at risk: 6 · 212 checks of objects proven clean · 3 not checked`.

    An audit that left something out begins with INCOMPLETE. Known and suppressed findings are counted apart.
    """
    summary, passed = audit.summary, counts(audit).passed
    known = sum(finding.status == "known" for finding in audit.findings)
    suppressed = sum(finding.status == "suppressed" for finding in audit.findings)
    parts = [
        "INCOMPLETE" if audit.run.status == "incomplete" else "",
        f"Broken: {summary.error:,}",
        f"at risk: {summary.warning:,}",
        f"worth knowing: {summary.info:,}" if summary.info else "",
        f"{plural(passed, 'check of an object', 'checks of objects')} proven clean"
        + (" of the rows asked for" if audit.run.options.get("where") else ""),
        f"{summary.not_checked:,} not checked" if summary.not_checked else "",
        f"{known:,} known" if known else "",
        f"{suppressed:,} suppressed" if suppressed else "",
    ]
    return " · ".join(part for part in parts if part)


def certainty(finding: Finding) -> str:
    """How sure, how many, of how many: `proven · 7 of 307 rows`, `suspected · in the catalog`."""
    evidence = finding.evidence
    if evidence is None or evidence.violations is None:
        return f"{finding.confidence.value} · in the catalog{since(finding)}"
    found = f"{'' if evidence.exact else 'at least '}{evidence.violations:,}"
    if evidence.rows_examined is None:
        rows = f"{found} {'row' if evidence.violations == 1 else 'rows'}"
    else:
        rows = f"{found} of {plural(evidence.rows_examined, 'row')}"
    return f"{finding.confidence.value} · {rows}{'' if evidence.violations else ' today'}{since(finding)}"


def since(finding: Finding) -> str:
    """Since when the finding is known, and what it counted then and last time: ` · since 18 Nov 2026 (3 then, 12 last time)`."""
    if finding.past is None:
        return ""
    now = finding.evidence.violations if finding.evidence else None
    then = [
        f"{count:,} {when}"
        for count, when in ((finding.past.first, "then"), (finding.past.last, "last time"))
        if count is not None and count != now
    ]
    if len(then) == 2 and finding.past.first == finding.past.last:
        then = [f"{finding.past.first:,} until now"]
    return f" · since {day(finding.past.first_seen)}{f' ({listed(then)})' if then else ''}"


def day(text: str) -> str:
    """`18 Nov 2026` of an ISO 8601 time."""
    found = _time(text)
    return f"{found.day} {found:%b %Y}" if found else one_line(text)


def moment(text: str) -> str:
    """`18 Nov 2026, 03:00 UTC` of an ISO 8601 time."""
    found = _time(text)
    return f"{day(text)}, {found.astimezone(UTC):%H:%M} UTC" if found else one_line(text)


def recommended(finding: Finding) -> Fix | None:
    """The fix to begin with."""
    return next((fix for fix in finding.fixes if fix.recommended), next(iter(finding.fixes), None))


def advice(finding: Finding) -> str:
    """A finding in one paragraph: what is wrong, why it hurts, what to do."""
    fix = recommended(finding)
    return one_line(f"{finding.title}. {finding.message}{f' Fix: {fix.title}.' if fix else ''}")


def fails(finding: Finding, fail_on: str) -> bool:
    """Whether the finding alone makes the audit fail: it is new, and at or above this severity (or `never`)."""
    return finding.status == "new" and fail_on != "never" and finding.severity.rank <= Severity(fail_on).rank


def name(subject: Object) -> str:
    """An object as SQL names it: `app.orders`, `app.orders.user_id`, `orders_user on app.orders`; on one line."""
    base = qualified(subject.schema, subject.table) if subject.schema and subject.table else ""
    if subject.kind == "statement":
        said = subject.name or subject.table
    elif base and subject.name:
        said = f"{ident(subject.name)} on {base}"
    elif base and subject.columns:
        single = subject.kind == "column" and len(subject.columns) == 1
        said = f"{base}.{ident(subject.columns[0])}" if single else f"{base} ({idents(subject.columns)})"
    elif base:
        said = base
    elif subject.schema and subject.name:
        said = qualified(subject.schema, subject.name)
    else:
        said = ident(subject.name or subject.table or subject.schema)
    return one_line(said)


def path(subject: Object) -> str:
    """A path that stands for an object where a format asks for a file: `postgresql/app/orders`, as part of a URI."""
    parts = [part for part in (subject.schema, subject.table or subject.name) if part]
    return "/".join(("postgresql", *(quote(one_line(part), safe="") for part in parts)))


def described(subject: Object) -> str:
    """An object with its kind: `constraint orders_user on app.orders`."""
    return f"{one_line(subject.kind)} {name(subject)}"


def unchecked(audit: Audit) -> tuple[Unchecked, ...]:
    """What was not checked, by reason, the most frequent first."""
    groups: dict[str, list[Coverage]] = {}
    for entry in audit.coverage:
        if entry.outcome == "not_checked":
            groups.setdefault(entry.reason or "unsupported", []).append(entry)
    made = [
        Unchecked(one_line(reason), REASONS.get(reason, one_line(reason)), tuple(entries))
        for reason, entries in groups.items()
    ]
    return tuple(sorted(made, key=lambda group: (-len(group.entries), group.reason)))


def seen(evidence: Evidence) -> str:
    """In which snapshot rows were counted, whether they were looked at again, and how many were in flight."""
    again = f", looked at again in {evidence.seen_again}" if evidence.seen_again else ""
    more = f"; {plural(evidence.in_flight, 'more row')} offended for a moment only" if evidence.in_flight else ""
    return f", snapshot {evidence.snapshot}{again}{more}" if evidence.snapshot else ""


def subject_of(audit: Audit) -> str:
    """What was audited, and as whom: `shop on db1:5432 · PostgreSQL 18.1 · primary · as auditor`."""
    database = audit.database
    role = "standby" if database.is_standby else "primary"
    socket = database.host.startswith("/") or not database.host
    place = f"{database.host or 'this machine'}{f', port {database.port}' if socket else f':{database.port}'}"
    return one_line(
        f"{ident(database.name)} on {place} · PostgreSQL {database.server_version} · {role} · as {ident(database.user)}"
    )


def occasion(audit: Audit) -> str:
    """When, how long, how deep: `2026-11-20 20:06 UTC · 3.2 s · depth data`."""
    started, finished = _time(audit.run.started_at), _time(audit.run.finished_at)
    if started is None or finished is None:
        return one_line(f"{audit.run.started_at} · depth {audit.run.depth}")
    when = started.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return one_line(f"{when} · {duration((finished - started).total_seconds())} · depth {audit.run.depth}")


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """`12 ms`, `1.2 s`, `42 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def estimated(evidence: Evidence) -> str:
    """What the plan had for the reading, where it was long enough to speak of: ` (estimated 1.2 s)`."""
    if evidence.estimated_seconds is None or evidence.estimated_seconds < 0.1:
        return ""
    return f" (estimated {duration(evidence.estimated_seconds)})"


def ignore_entry(finding: Finding) -> str:
    """The entry of auditor.toml that suppresses this finding: valid TOML, to paste; the reason is for a human to write."""
    return "\n".join(
        (
            "[[ignore]]",
            f"check = {toml_string(finding.check)}",
            f"object = {toml_string(_pattern(finding.object))}",
            'reason = "(say why this is accepted)"',
            "",
        )
    )


def _pattern(subject: Object) -> str:
    """The most specific of the names that `[[ignore]] object` is compared with, with its wildcards taken literally."""
    parts = [part for part in (subject.schema, subject.table, subject.name or "".join(subject.columns[:1])) if part]
    spelled = re.sub(r"[*?[]", r"[\g<0>]", ".".join(parts))
    return "".join("?" if unicodedata.category(c) == "Cs" else c for c in spelled)  # TOML cannot spell a lone surrogate


def toml_string(text: str) -> str:
    """`text` as a TOML basic string on one line; invisible characters are escaped. Lone surrogates are not TOML."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}

    def spelled(character: str) -> str:
        if character in escapes:
            return escapes[character]
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
            code = ord(character)
            return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
        return character

    return '"' + "".join(spelled(c) for c in text) + '"'


_SQL_QUOTED = re.compile(
    r"""(?P<escape>(?<![\w$])[eE]'(?:[^'\\]|''|\\.)*')"""
    r"""|(?P<unicode>(?<![\w$])[uU]&(?:'(?:[^']|'')*'|"(?:[^"]|"")*"))"""
    r"""|(?P<plain>'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"""|(?P<blank>[ \t]+(?=\n|\Z))"""
    r"""|(?P<comment>--[^\n]*|/\*.*?\*/)"""
    r"""|(?P<dollar>(?<![\w$])\$(?P<tag>[^\W\d]?\w*)\$.*?\$(?P=tag)\$)""",
    re.DOTALL,
)
_HIDDEN = ("Cc", "Cf", "Zl", "Zp")
_LOG_COMMAND = re.compile(r"#(?=#\w*\[)")  # what a CI system obeys wherever it stands in a line of a log


def sql_text(sql: str) -> str:
    """SQL that means the same and shows every character: a quoted one that is invisible, or a line break, is escaped.

    A literal becomes `U&'...'`, a name `U&"..."` (documentation: Lexical Structure, String Constants With Unicode
    Escapes); text between dollars keeps its lines, and becomes `E'...'` if it holds worse than line breaks.
    """

    def hidden(text: str) -> bool:
        return any(unicodedata.category(c) in _HIDDEN for c in text) or _LOG_COMMAND.search(text) is not None

    def spelled(text: str, escape: str) -> str:
        text = "".join(escape.format(ord(c)) if unicodedata.category(c) in _HIDDEN else c for c in text)
        return _LOG_COMMAND.sub(lambda _: escape.format(ord("#")), text)

    def shown(found: re.Match[str]) -> str:
        text = found[0]
        if found["blank"]:
            return ""
        if found["comment"] or not hidden(text):
            return text
        if found["dollar"]:
            tag = len(found["tag"]) + 2
            body = text[tag:-tag]
            if not hidden(body.replace("\n", "").replace("\t", "")):
                return text
            return "E'" + spelled(body.replace("\\", "\\\\").replace("'", "''"), "\\U{:08X}") + "'"
        if found["escape"] is not None:
            return spelled(text, "\\U{:08X}")
        if found["unicode"] is not None:
            return spelled(text, "\\+{:06X}")
        return "U&" + spelled(text.replace("\\", "\\\\"), "\\+{:06X}")

    return safe_text(_SQL_QUOTED.sub(shown, sql))
