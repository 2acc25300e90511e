"""The Markdown report: rendered, it holds every name as text and nothing that a name asked for; it fits into a comment."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import psycopg
import pytest
from markdown_it import MarkdownIt

from auditor.audit import Audit
from auditor.check import Evidence, Finding, Fix, Severity
from auditor.report import Options, render
from auditor.report.markdown import code, fenced, prose
from auditor.report.wording import verdict
from auditor.text import ident, one_line
from tests.conftest import Make
from tests.helpers import audit
from tests.reports import CHECKS, HOSTILE, hostile_script, matches_golden, shop, still

pytestmark = [pytest.mark.once, pytest.mark.packaged]

GITHUB = 65_536
# What the report is made of: whatever else is in the rendered page, a name has put there.
ELEMENTS = {
    "h2",
    "h3",
    "p",
    "br",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "code",
    "pre",
    "details",
    "summary",
    "b",
    "i",
    "strong",
    "blockquote",
    "ul",
    "li",
}
ATTRIBUTES = {("class", "language-sql"), ("class", "language-toml")}


class Page(HTMLParser):
    """The rendered report: its elements, attributes and text."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: set[tuple[str, str | None]] = set()
        self.open: list[str] = []
        self.text = ""
        self.plain = ""  # outside code
        self.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes.update(attrs)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "code" not in self.open:
            self.plain += data


def markdown(result: Audit) -> str:
    return render(result, "markdown", Options())


@pytest.fixture
def hostile(database: Make) -> Audit:
    return audit(database(hostile_script()), select=CHECKS)


def test_golden(database: Make) -> None:
    assert matches_golden("shop.md", markdown(still(shop(database))))


def test_it_renders(database: Make) -> None:
    result = shop(database)
    text = markdown(result)
    page = Page(text)
    assert text.startswith(f"## {verdict(result)}\n")
    assert set(page.elements) <= ELEMENTS
    found = len(result.open_findings)
    assert page.elements["table"] == 1 + sum(bool(f.evidence and f.evidence.sample) for f in result.open_findings)
    assert page.elements["details"] == page.elements["summary"] == sum(1 + len(f.fixes) for f in result.open_findings)
    assert found == 4
    for finding in result.open_findings:
        assert page.text.count(finding.title) == 2  # in the table, and above its details
        assert finding.message in page.text
        assert finding.fingerprint in page.text
        assert all(sql in page.text for fix in finding.fixes for sql in (*fix.sql, *fix.rollback, fix.title))
    assert "2 not checked" in page.text
    assert "no SELECT on shop.payments (2 checks)" in page.text


def test_hostile_names_stay_text(hostile: Audit) -> None:
    assert len(hostile.findings) == 2 * len(HOSTILE)
    # A few at a time: all of them do not fit.
    for start in range(0, len(hostile.findings), 6):
        some = replace(hostile, findings=hostile.findings[start : start + 6])
        text = markdown(some)
        assert text.isprintable() or all(c == "\n" or c.isprintable() for c in text)
        assert "left out" not in text
        page = Page(text)
        assert set(page.elements) <= ELEMENTS
        assert page.attributes <= ATTRIBUTES
        assert page.elements["tr"] == 1 + len(some.findings) + sum(
            1 + len(finding.evidence.sample)
            for finding in some.findings
            if finding.evidence and finding.evidence.sample
        )
        plain = page.plain.replace("\u200b", "")
        assert not re.search(r"[@#](?!\u200b)", page.plain), page.plain
        assert "torvalds" not in plain
        for finding in some.findings:
            assert one_line(finding.title) in page.text.replace("\u200b", "")
            if finding.evidence:
                for row in finding.evidence.sample:
                    assert all(one_line(str(value)) in page.text for value in row.values())


def test_all_names_are_there(hostile: Audit) -> None:
    text = "".join(Page(markdown(replace(hostile, findings=(finding,)))).text for finding in hostile.findings)
    for name in HOSTILE:
        assert one_line(ident(name)) in text


def test_sql_of_the_report_runs(database: Make) -> None:
    dsn = database(hostile_script())
    result = audit(dsn, select=["references/orphan-rows"])
    with psycopg.connect(dsn, autocommit=True) as connection:
        for finding in result.findings:
            text = markdown(replace(result, findings=(finding,)))
            (query,) = re.findall(r"^All of them:\n\n(`{3,})sql\n(.*?)\n\1$", text, re.MULTILINE | re.DOTALL)
            assert len(connection.execute(query[1].encode()).fetchall()) == 1
            (fix,) = re.findall(r"^\*\*Fix 1 of [^\n]*\n\n(`{3,})sql\n(.*?)\n\1$", text, re.MULTILINE | re.DOTALL)
            connection.execute(fix[1].encode())
    assert audit(dsn, select=["references/orphan-rows"]).findings == ()


@pytest.mark.parametrize("count", [1, 20, 200, 5000])
def test_it_fits_into_a_comment(database: Make, count: int) -> None:
    result = shop(database)
    severities = sorted(Severity, key=lambda severity: severity.rank)
    many = tuple(
        result.findings[number % 4].but(
            fingerprint=f"{number:016x}",
            title=f"Finding {number}.",
            severity=severities[number * 3 // count],
            status="new",
        )
        for number in range(count)
    )
    text = markdown(replace(result, findings=many))
    assert len(text) < GITHUB
    assert len(text.encode()) < GITHUB
    page = Page(text)
    shown = [int(number) for number in re.findall(r"<summary>. <b>\w+</b> · Finding (\d+)\.", text)]
    listed = [int(number) for number in re.findall(r"^\| .*\| Finding (\d+)\. ", text, re.MULTILINE)]
    assert shown == list(range(len(shown)))  # whole ones, the worst
    assert listed == list(range(len(listed)))
    assert page.elements["tr"] >= len(listed)
    if count <= 1:
        assert "Cut to" not in text
        assert len(shown) == len(listed) == count
    else:
        assert ("Cut to" in text) == (len(shown) < count)
        if len(shown) < count:
            assert len(text.encode()) > GITHUB * 0.7
            (said,) = re.findall(r"The details of ([\d,]+) findings? \(.*?\) are left out", text)
            assert int(said.replace(",", "")) == count - len(shown)
        if len(listed) < count:
            assert f"the table lacks {count - len(listed):,} findings" in text


def test_one_that_is_too_long_does_not_drive_out_the_others(database: Make) -> None:
    result = shop(database)
    wide = Evidence(1, sample=tuple({f"c{n}": "x" * 200 for n in range(20)} for _ in range(10)))
    first, *others = result.open_findings
    text = markdown(replace(result, findings=(first.but(evidence=wide), *others)))
    assert len(text.encode()) < GITHUB
    assert "The details of 1 finding (1 error) are left out" in text
    assert len(re.findall("<summary>. <b>", text)) == len(others)


def test_long_notes_and_reasons_are_cut(database: Make) -> None:
    result = shop(database)
    notes = tuple(f"note {number} " + "@[]" * 300 for number in range(500))
    text = markdown(replace(result, notes=notes, coverage=result.coverage * 300))
    assert len(text.encode()) < GITHUB
    assert "note 0 " in text
    assert re.search(r"… and 4\d\d more", text)


def test_nothing_found(database: Make) -> None:
    result = audit(database("CREATE TABLE fine (id int PRIMARY KEY)"), select=CHECKS)
    page = Page(markdown(result))
    assert page.elements["table"] == page.elements["details"] == 0
    assert page.text.startswith("Broken: 0")


@pytest.mark.parametrize("text", [*HOSTILE, "a``b", "`", "``", "ends`", "", " ", "|"])
def test_code_is_literal(text: str) -> None:
    page = Page(f"| a |\n|---|\n| {code(text)} |\n")
    assert page.text.split("\n", 8)[-1].strip("\n") == one_line(text)
    assert page.elements["code"] == 1


@pytest.mark.parametrize("text", ["plain", "```\n`````", "~~~"])
def test_a_fence_is_longer_than_what_it_holds(text: str) -> None:
    page = Page(fenced(text, "sql"))
    assert page.text.removesuffix("\n") == text + "\n"
    assert page.elements == {"pre": 1, "code": 1}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("3 rows of app.orders now", "3 rows of `app.orders` now"),
        ('of app."Odd ""Name"""."a b" is', 'of `app."Odd ""Name"""."a b"` is'),
        ("primary_workspace_id is NOT NULL", "`primary_workspace_id` is NOT NULL"),
        ("ask @torvalds about #1", "ask &#64;&#8203;torvalds about &#35;&#8203;1"),
        ("see https://example.com", "see https&#58;//`example.com`"),
        ("1 < 2 & a | b", "1 &#60; 2 &#38; a &#124; b"),
    ],
)
def test_prose(text: str, rendered: str) -> None:
    assert prose(text) == rendered


def test_the_recommended_fix_is_open_and_the_others_are_folded(database: Make) -> None:
    result = shop(database)
    finding: Finding = result.open_findings[0]
    fixes = (Fix("Other", ("SELECT 1;",)), Fix("Best", ("SELECT 2;",), recommended=True), Fix("Third", ()))
    text = markdown(replace(result, findings=(finding.but(fixes=fixes),)))
    assert "**Fix 2 of 3, recommended: Best**" in text
    assert "<summary>Fix 3 of 3: Third</summary>" in text
