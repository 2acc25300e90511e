"""HTML: one self-contained file that reaches no network. The words and the looks live in templates/report.*.

Every string that the templates print passes `safe_text` and is escaped; what is Markup was made here or in the templates.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from auditor.audit import Audit, Coverage
from auditor.check import Finding, Object, Severity
from auditor.content import folder
from auditor.errors import UsageError
from auditor.registry import Check, load, selected
from auditor.report import Options
from auditor.report.past import Line, chart, follow
from auditor.report.picture import Picture, draw
from auditor.report.wording import estimated, since
from auditor.text import ident, idents, one_line, plural, qualified, safe_text

OUTCOMES = ("passed", "failed", "not_checked", "skipped")
UNFOLDED = 12  # up to so many findings stand there unfolded
LAZY = 100  # beyond so many, a browser with scripts reads a finding's evidence when it is unfolded
LISTED = 10  # titles on the first screen
SENTENCES = {Severity.ERROR: "broken", Severity.WARNING: "at risk", Severity.INFO: "worth knowing"}


# --- words ------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<i>--[^\n]*|/\*.*?\*/|[Ee]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?:U&)?"(?:[^"]|"")*"
    |(?P<b>\b[A-Z]{2,}\b(?:\ +[A-Z]{2,}\b(?![\w."]))*)
    |[\w$]+""",
    re.DOTALL | re.VERBOSE,
)


def highlighted(sql: str) -> Markup:
    """SQL with keywords in <b>, strings and comments in <i>.

    Keywords are the words in capitals: PostgreSQL's deparser and `auditor.text.ident` leave no other word in them.
    """
    made: list[str] = []
    end = 0
    for token in _TOKEN.finditer(sql):
        tag = "b" if token["b"] else "i" if token["i"] else None
        if tag is not None:
            made += [_escaped(sql[end : token.start()]), f"<{tag}>", _escaped(token[0]), f"</{tag}>"]
            end = token.end()
    return Markup("".join([*made, _escaped(sql[end:])]))


def _escaped(text: str) -> str:
    return str(escape(safe_text(text)))


def exact(sql: str) -> bool:
    """Whether the page shows the statement as it is, and it can be copied from there."""
    return safe_text(sql) == sql


def typeset(text: str, names: Iterable[str]) -> Markup:
    """Prose in which the given names, and what stands in backticks, are set as code and isolated from their neighbours."""
    known = sorted({name for name in names if name}, key=len, reverse=True)
    alternatives = "|".join([r"`(?P<quoted>[^`]+)`", *(re.escape(name) for name in known)])
    made: list[str] = []
    end = 0
    for found in re.finditer(rf'(?<![\w.$"])(?:{alternatives})(?![\w$"]|\.[\w"])', text):
        name = one_line(found["quoted"] or found[0])
        made += [_escaped(one_line(text[end : found.start()])), "<code><bdi>", _escaped(name), "</bdi></code>"]
        end = found.end()
    return Markup("".join([*made, _escaped(one_line(text[end:]))]))


def names_of(finding: Finding) -> set[str]:
    """The names a finding's sentences may hold: its tables, their columns, its constraint or index."""
    found = set()
    for subject in (finding.object, *finding.related):
        base = place(subject)
        found |= {base, *(f"{base}.{ident(column)}" for column in subject.columns)}
        # A bare name only where it cannot be a word of the sentence.
        found |= {ident(name) for name in (subject.name, *subject.columns) if not ident(name).isalpha()}
    return found - {""}


def place(subject: Object) -> str:
    """The table of an object as SQL; of an object without one, its own name."""
    if subject.table:
        return qualified(subject.schema, subject.table) if subject.schema else ident(subject.table)
    if subject.name:
        return qualified(subject.schema, subject.name) if subject.schema else subject.name
    return ident(subject.schema) if subject.schema else ""


def described(subject: Object) -> str:
    """An object in one line: `app.orders (user_id), constraint orders_user`."""
    columns = f" ({idents(subject.columns)})" if subject.columns else ""
    name = f", {subject.kind} {ident(subject.name)}" if subject.table and subject.name else ""
    return f"{place(subject)}{columns}{name}"


def toml_text(text: str) -> str:
    """`text` as a TOML basic string (specification: String); a lone surrogate, which TOML cannot hold, as the pattern `?`."""
    made = []
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs":
            made.append("?")
        elif category in ("Cc", "Cf", "Zl", "Zp"):
            made.append(f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}")
        else:
            made.append("\\" + character if character in '"\\' else character)
    return '"' + "".join(made) + '"'


def ignore_entry(finding: Finding) -> str:
    """The entry for auditor.toml that accepts this finding. Object patterns are those of fnmatch."""
    subject = finding.object
    parts = [part for part in (subject.schema, subject.table) if part]
    last = subject.name or (subject.columns[0] if subject.columns else "")
    name = ".".join([*parts, last]) if last else ".".join(parts)
    if not parts and last:
        name = "." + last  # as the engine names an object outside any table
    pattern = re.sub(r"([*?\[])", r"[\1]", name)
    return (
        f"[[ignore]]\ncheck = {toml_text(finding.check)}\nobject = {toml_text(pattern)}\n"
        'reason = "..."  # required: why this is accepted\n'
        "# until = 2030-12-31  # from the next day on it is reported again"
    )


def duration(seconds: float) -> str:
    """`0.42 s`, `12 s`, `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60:,} min {whole % 60} s"


def share(part: int, whole: int) -> str:
    """A percentage that never says 0 or 100 where that is not so."""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1 %"
    if 99.9 < percent < 100:
        return "over 99.9 %"
    return f"{percent:.1f} %" if percent % 1 and percent < 99.95 else f"{percent:.0f} %"


def slug(check: str) -> str:
    """A check's id as a part of an element's id."""
    return re.sub(r"[^\w-]+", "-", check)


# --- what the template shows ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding, and what the template cannot work out by itself."""

    finding: Finding
    title: Markup
    why: Markup
    table: str  # the table that offending rows are rows of; empty if unknown
    head: str  # SELECT * FROM ... WHERE, in front of the predicate
    percent: str
    part: float  # width of the bar, of 100
    picture: Picture | None
    numeric: frozenset[str]  # columns of the sample that hold numbers only
    ignore: str
    line: Line | None = None  # its past

    @property
    def family(self) -> str:
        """The family of its check."""
        return self.finding.check.partition("/")[0]


_NAME = r"""(?:(?:U&)?"(?:[^"]|"")+"|\w+)"""
_SELECT = re.compile(
    rf"SELECT \* *\nFROM (?P<relation>(?:ONLY )?(?P<table>{_NAME}\.{_NAME})(?: AS {_NAME})?) *\nWHERE "
)
_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")


def shown(finding: Finding, line: Line | None = None) -> Shown:
    """A finding made ready for the page, `line` the drawing of its past."""
    evidence, names = finding.evidence, names_of(finding)
    select = _SELECT.match(evidence.sql) if evidence and evidence.sql else None
    percent, part = "", 0.0
    if evidence and evidence.violations is not None and evidence.rows_examined:
        if evidence.violations <= evidence.rows_examined:
            percent = share(evidence.violations, evidence.rows_examined)
        part = 100 * min(evidence.violations / evidence.rows_examined, 1)
        part = max(part, 0.8) if evidence.violations else 0.0
    columns = evidence.sample[0] if evidence and evidence.sample else {}
    numeric = frozenset(
        name
        for name in columns
        if evidence and all(row[name] is None or _NUMBER.match(row[name] or "") for row in evidence.sample)
    )
    return Shown(
        finding,
        typeset(finding.title, names),
        typeset(finding.message, names),
        select["table"] if select else "",
        f"SELECT *\nFROM {select['relation']}\nWHERE " if select else "",
        percent,
        round(part, 2),
        picture(finding, select["table"] if select else ""),
        numeric,
        ignore_entry(finding),
        line,
    )


def picture(finding: Finding, rows_of: str) -> Picture | None:
    """The two tables of a finding that is about two, with the columns it is about; None for one that is not.

    `rows_of` is the table whose rows were counted.
    """
    left = finding.object
    right = next((other for other in finding.related if other.table and other.columns), None)
    if right is None or not left.table or not left.columns:
        return None
    evidence = finding.evidence
    rows = evidence.violations if evidence and evidence.violations and rows_of == place(left) else 0
    # The predicate says whether the offending rows lack their row on the other side.
    missing = bool(rows and evidence and "NOT (EXISTS" in (evidence.where or ""))
    return draw(
        one_line(place(left)),
        tuple(one_line(ident(column)) for column in left.columns),
        one_line(place(right)),
        tuple(one_line(ident(column)) for column in right.columns),
        one_line(ident(left.name)) if left.kind == "constraint" and left.name else "",
        plural(rows, "row") if rows else "",
        missing=missing,
    )


@dataclass(frozen=True, slots=True)
class Family:
    """Coverage of a family: counts per outcome, of all and of each table."""

    name: str
    counts: dict[str, int]
    rows: int
    tables: tuple[tuple[str, dict[str, int], int], ...]  # table, counts, rows read


def families(coverage: tuple[Coverage, ...]) -> tuple[Family, ...]:
    """Coverage by family and table."""
    counts: dict[str, Counter[str]] = {}
    tables: dict[str, dict[str, Counter[str]]] = {}
    rows: Counter[tuple[str, str]] = Counter()
    for entry in coverage:
        family, table = entry.check.partition("/")[0], place(entry.object) or "(the database)"
        counts.setdefault(family, Counter())[entry.outcome] += 1
        tables.setdefault(family, {}).setdefault(table, Counter())[entry.outcome] += 1
        rows[family, table] += entry.rows_examined or 0
    return tuple(
        Family(
            family,
            dict(counts[family]),
            sum(rows[family, table] for table in tables[family]),
            tuple((table, dict(held), rows[family, table]) for table, held in sorted(tables[family].items())),
        )
        for family in sorted(counts)
    )


@dataclass(frozen=True, slots=True)
class Explained:
    """A check's documentation in paragraphs; `lead` is set where one begins with `Not flagged:` or `Fix:`."""

    id: str
    title: Markup
    paragraphs: tuple[tuple[str, Markup], ...]


def explained(check: Check) -> Explained:
    """A check's docstring, made ready for the page."""
    title, _, rest = check.documentation.partition("\n")
    paragraphs = []
    for text in re.split(r"\n\s*\n", rest.strip()):
        lead, colon, body = text.partition(":")
        if not (colon and lead in ("Not flagged", "Fix")):
            lead, body = "", text
        paragraphs.append((lead, typeset(re.sub(r"\s+", " ", body).strip(), ())))
    return Explained(check.id, typeset(title.strip(), ()), tuple(paragraphs))


def verdict(audit: Audit) -> tuple[tuple[str, str], ...]:
    """The first sentence of the report, in parts: what kind of part, and its words."""
    summary = audit.summary
    passed = sum(entry.outcome == "passed" for entry in audit.coverage)
    counts = {Severity.ERROR: summary.error, Severity.WARNING: summary.warning, Severity.INFO: summary.info}
    parts = [(severity.value, f"{SENTENCES[severity]}: {count:,}") for severity, count in counts.items() if count]
    if not parts:
        looked = passed or audit.findings
        parts = [
            ("ok" if looked else "unknown", "nothing found in what was checked" if looked else "nothing was checked")
        ]
    if passed:
        some = " of the rows asked for" if audit.run.options.get("where") else ""
        parts.append(("clean", f"{passed:,} checked and clean{some}"))
    if audit.run.status != "complete":
        parts.append(("incomplete", f"incomplete: {summary.not_checked:,} not checked"))
    elif summary.not_checked:
        parts.append(("incomplete", f"{summary.not_checked:,} not checked"))
    kind, words = parts[0]
    return ((kind, words[0].upper() + words[1:]), *parts[1:])


def scope(audit: Audit) -> tuple[str, ...]:
    """What the options of the run left out, in sentences."""
    options = audit.run.options
    said = []
    for key, words in (
        ("schemas", "Only schemas that match"),
        ("exclude_schemas", "No schema that matches"),
        ("tables", "Only tables that match"),
        ("exclude_tables", "No table that matches"),
        ("where", "Only rows with"),
    ):
        if options.get(key):
            said.append(f"{words} {', '.join(options[key])}.")
    try:
        ran = selected(options.get("select", ()), options.get("ignore", ()))
    except UsageError:  # checks of the user's own, which are not at hand here
        return tuple(said)
    left = [check.id for check in load() if check.id not in ran]
    if left:
        said.append(f"Checks left out on request: {', '.join(left)}.")
    idle = sorted(ran - {entry.check for entry in audit.coverage} - {finding.check for finding in audit.findings})
    if idle:
        said.append(f"Checks that met nothing they apply to: {', '.join(idle)}.")
    return tuple(said)


# --- the page ---------------------------------------------------------------------------------------------------------


def _printed(value: Any) -> Any:
    """The last thing that happens to whatever a template prints, before it is escaped."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else safe_text(value)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The template engine: everything escaped, an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(folder("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
    )
    made.filters |= {
        "sql": highlighted,
        "line": one_line,
        "count": lambda number: f"{number:,}",
        "duration": duration,
        "estimated": estimated,
        "since": lambda finding: since(finding).removeprefix(" · "),
        "slug": slug,
        "place": place,
        "described": described,
        "ident": ident,
    }
    made.tests |= {"exact": exact}
    return made


def source(name: str) -> Markup:
    """The text of the style or the script, to be inlined as it stands."""
    return Markup((folder("templates") / name).read_text(encoding="utf-8"))


def hashed(text: str) -> str:
    """A Content-Security-Policy source that allows this inline text (W3C: CSP Level 3, 2.3.1)."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(style: str, script: str) -> str:
    """The page's own Content-Security-Policy: nothing but its one style and its one script."""
    return f"default-src 'none'; style-src {hashed(style)}; script-src {hashed(script)}; base-uri 'none'; form-action 'none'"


def render(audit: Audit, options: Options) -> str:
    """The report as one HTML document."""
    style, script = source("report.css"), source("report.js")
    drawn = follow(audit)
    findings = [shown(finding, drawn(finding)) for finding in audit.findings]
    opened = [entry for entry in findings if entry.finding.status == "new"]
    checks = load()
    used = {entry.check for entry in audit.coverage} | {finding.check for finding in audit.findings}
    started, finished = (datetime.fromisoformat(time) for time in (audit.run.started_at, audit.run.finished_at))
    return (
        environment()
        .get_template("report.html")
        .render(
            audit=audit,
            policy=policy(style, script),
            style=style,
            script=script,
            verdict=verdict(audit),
            trend=chart(audit),
            started=started,
            seconds=(finished - started).total_seconds(),
            opened=opened,
            accepted=[
                (status, [entry for entry in findings if entry.finding.status == status])
                for status in ("known", "suppressed")
                if any(entry.finding.status == status for entry in findings)
            ],
            listed=LISTED,
            unfolded=len(opened) <= UNFOLDED,
            lazy=len(findings) > LAZY,
            words={severity.value: words for severity, words in SENTENCES.items()},
            severities=Counter(entry.finding.severity.value for entry in findings),
            in_families=sorted(Counter(entry.family for entry in findings).items()),
            in_schemas=sorted(Counter(entry.finding.object.schema for entry in findings).items()),
            in_statuses=sorted(Counter(entry.finding.status for entry in findings).items()),
            families=families(audit.coverage),
            outcomes=OUTCOMES,
            unchecked=[entry for entry in audit.coverage if entry.outcome == "not_checked"],
            scope=scope(audit),
            explained=[explained(check) for check in checks if check.id in used],
            known_checks={check.id for check in checks},
        )
    )
