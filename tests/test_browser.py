"""The HTML report in headless Chromium: filters, keyboard, copying, paper, few and many findings, with and without scripts.

Left out unless asked for (`-m browser`); then a Chromium that is not there is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

from auditor.audit import Audit
from auditor.check import Finding, Severity
from auditor.report import Options, render
from auditor.report.html import LAZY
from tests.pages import Node, Trees, audited, counted, many, of_case, together, trees
from tests.test_hostile import HARMLESS, NAMES, about, alike, found_in, named
from tests.test_html import HOSTILE, schema

pytestmark = pytest.mark.browser

SEVERITIES = [*Severity]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("AUDITOR_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    assert Path(path).is_file(), f"no Chromium at {path}: install it, or name it in AUDITOR_CHROMIUM"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def found(server: str) -> Audit:
    """Findings of two families and two schemas, of all severities; one known, one suppressed."""
    made = together(of_case(server, "references/orphan_rows"), of_case(server, "nullability/set_null_on_not_null"))
    findings = [
        finding.but(severity=severity) for finding, severity in zip(made.findings, SEVERITIES * 9, strict=False)
    ]
    findings[3] = findings[3].but(status="known")
    findings[4] = findings[4].but(status="suppressed")
    return counted(replace(made, findings=tuple(sorted(findings, key=lambda finding: finding.severity.rank))))


@dataclass
class Opened:
    """A report in the browser, and everything that went wrong there."""

    page: Page
    url: str
    troubles: list[str] = field(default_factory=list)

    def ids(self) -> list[str]:
        """The fingerprints of the findings that are shown."""
        shown: list[str] = self.page.evaluate(
            "[...document.querySelectorAll('article')].filter(a => !a.parentElement.hidden).map(a => a.id.slice(2))"
        )
        return shown

    def requested(self, request: Request) -> None:
        """Notes what was asked of the network: the file itself is all there is."""
        if not request.url.startswith(self.url):
            self.troubles.append(request.url)


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Writes a report and opens it; afterwards nothing may stand on the console, and nothing may have been requested."""
    made: list[Opened] = []

    def report(audit: Audit, fragment: str = "", *, permissions: tuple[str, ...] = (), **options: Any) -> Opened:
        file = tmp_path / f"report{len(made)}.html"
        file.write_text(render(audit, "html", Options()), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        context.grant_permissions(list(permissions))
        one = Opened(context.new_page(), file.as_uri())
        one.page.on("console", lambda message: one.troubles.append(message.text))
        one.page.on("pageerror", lambda error: one.troubles.append(str(error)))
        one.page.on("dialog", lambda dialog: one.troubles.append(dialog.message))
        one.page.on("request", one.requested)
        if options.get("java_script_enabled", True):
            one.page.add_init_script(
                "document.addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective, e.blockedURI))"
            )
        one.page.goto(one.url + fragment)
        made.append(one)
        return one

    yield report
    for one in made:
        one.page.context.close()
    assert [one.troubles for one in made if one.troubles] == []


def shown(report: Opened, audit: Audit, **wanted: object) -> bool:
    """Whether exactly the findings with these properties are shown, as soon as the page has caught up."""
    expected = {
        finding.fingerprint
        for finding in audit.findings
        if all(
            {
                "severity": finding.severity,
                "family": finding.check.partition("/")[0],
                "schema": finding.object.schema,
                "status": finding.status,
            }[key]
            == value
            for key, value in wanted.items()
        )
    }
    patience = time.monotonic() + 5
    while set(report.ids()) != expected and time.monotonic() < patience:
        report.page.wait_for_timeout(50)
    return bool(expected) and set(report.ids()) == expected


def test_filters_narrow_and_the_fragment_keeps_them(opened: Open, found: Audit) -> None:
    report = opened(found)
    page = report.page
    result = page.get_by_role("status")
    expect(result).to_have_text(f"{len(found.findings)} findings")
    page.get_by_label("Broken").check()
    assert shown(report, found, severity="error")
    page.get_by_label("Family").select_option("references")
    assert shown(report, found, severity="error", family="references")
    expect(result).to_have_text(f"{len(report.ids())} of {len(found.findings)} findings")
    assert "severity=error" in page.url
    again = opened(found, page.url.partition(".html")[2])
    assert again.ids() == report.ids()
    expect(again.page.get_by_label("Broken")).to_be_checked()
    expect(again.page.get_by_label("Family")).to_have_value("references")
    page.get_by_role("button", name="Clear").click()
    assert len(report.ids()) == len(found.findings)
    assert "#" not in page.url
    page.get_by_label("Schema").select_option("public")
    assert shown(report, found, schema="public")
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Status").select_option("suppressed")
    assert shown(report, found, status="suppressed")
    expect(page.locator("article:visible")).to_have_count(1)


def test_text_filter_finds_titles_keys_sql_and_fingerprints(opened: Open, found: Audit) -> None:
    report = opened(found)
    box = report.page.get_by_role("searchbox")
    status = report.page.get_by_role("status")
    orders = next(finding for finding in found.findings if finding.object.table == "orders")
    total = len(found.findings)
    for words, count in (
        ("app.orders users", 1),
        ("ORDERS_USER", 1),
        (orders.fingerprint, 1),
        ("no such thing anywhere", 0),
        ("", None),
    ):
        box.fill(words)
        expect(status).to_have_text(f"{total} findings" if count is None else f"{count} of {total} findings")
    box.fill("a&b=c#%é")
    expect(status).to_have_text(f"0 of {total} findings")
    fragment = report.page.url.partition(".html")[2]
    expect(opened(found, fragment).page.get_by_role("searchbox")).to_have_value("a&b=c#%é")


def test_fragment_with_nonsense_is_ignored(opened: Open, found: Audit) -> None:
    for fragment in ("#?severity=worst&family=<b>&sort=q&x=%E0%A4%A", "#nothing", "#%E0%A4%A", "#?"):
        report = opened(found, fragment)
        assert len(report.ids()) == len(found.findings)


def test_order_is_changed_and_restored(opened: Open, found: Audit) -> None:
    report = opened(found)
    order = report.page.get_by_label("Order", exact=True)
    before = report.ids()
    order.select_option("rows")
    rows = report.page.evaluate("[...document.querySelectorAll('#findings article')].map(a => +a.dataset.rows)")
    assert rows == sorted(rows, reverse=True)
    assert rows[0] > rows[-1]
    order.select_option("table")
    tables = report.page.evaluate("[...document.querySelectorAll('#findings article')].map(a => a.dataset.table)")
    assert tables == sorted(tables)
    order.select_option("")
    assert report.ids() == before


def test_keyboard_walks_the_findings_that_are_shown(opened: Open, found: Audit) -> None:
    report = opened(found)
    page = report.page

    def focused() -> Any:
        return page.evaluate("document.activeElement.id")

    page.keyboard.press("/")
    assert focused() == "q"
    page.keyboard.type("jk/")  # letters, while one types
    expect(page.get_by_role("searchbox")).to_have_value("jk/")
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.keyboard.press("Escape")
    page.get_by_label("At risk").check()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    ids = [f"f-{name}" for name in report.ids() if page.locator(f"#f-{name}").is_visible()]
    assert len(ids) > 2
    walked = []
    for key in ("j", "j", "k", "k", "k", *"j" * 20):
        page.keyboard.press(key)
        walked.append(focused())
    assert walked[:5] == [ids[0], ids[1], ids[0], ids[0], ids[0]]
    assert walked[-1] == ids[-1]
    expect(page.locator(f"#{ids[-1]}")).to_be_in_viewport()
    opened_before = page.locator(f"#{ids[-1]} .more").evaluate("d => d.open")
    page.keyboard.press("o")
    assert page.locator(f"#{ids[-1]} .more").evaluate("d => d.open") is not opened_before


def test_focus_is_visible_and_every_control_has_a_name(opened: Open, found: Audit) -> None:
    page = opened(found).page
    unnamed = page.evaluate(
        """[...document.querySelectorAll("input, select, button, a[href]")].filter(e =>
            !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())).map(e => e.outerHTML)"""
    )
    assert unnamed == []
    outlines = set()
    for _ in range(15):
        page.keyboard.press("Tab")
        outlines.add(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    assert outlines == {"solid"}
    for landmark in ("banner", "main", "contentinfo", "search", "complementary"):
        expect(page.get_by_role(landmark)).to_have_count(1)


def unfolded(page: Page, finding: Finding) -> Locator:
    """A finding on the page, its evidence and fixes in sight."""
    article = page.locator(f"#f-{finding.fingerprint}")
    article.locator(".more").evaluate("details => { details.open = true; }")
    return article


def test_copies_exactly_what_is_to_be_run(opened: Open, found: Audit) -> None:
    page = opened(found, permissions=("clipboard-read", "clipboard-write")).page
    finding = next(each for each in found.open_findings if each.evidence and each.fixes and each.fixes[0].rollback)
    assert finding.evidence
    assert finding.evidence.where
    article = unfolded(page, finding)
    fix = finding.fixes[0]
    for name, text in (
        ("Copy the predicate alone", finding.evidence.where),
        ("Copy the SQL of this fix", "\n".join(fix.sql)),
        ("Copy the rollback of this fix", "\n".join(fix.rollback)),
    ):
        button = article.get_by_role("button", name=name).first
        button.click()
        expect(button).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == text
    article.get_by_role("button", name="Copy the query that finds the rows").click()
    expect(article.get_by_role("button", name="Copy the query that finds the rows")).to_have_text("Copied")
    query = page.evaluate("navigator.clipboard.readText()")
    assert query.split("\nWHERE ")[1] == finding.evidence.where + ";"


def test_without_a_clipboard_copying_falls_back(opened: Open, found: Audit) -> None:
    page = opened(found).page
    finding = found.open_findings[0]
    button = unfolded(page, finding).get_by_role("button", name="Copy the SQL of this fix").first
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.evaluate("document.execCommand = () => false")
    button.click()
    expect(button).to_have_text("Press Ctrl+C")
    assert page.evaluate("getSelection().toString().trim()") == "\n".join(finding.fixes[0].sql)
    page.evaluate("delete document.execCommand")
    page.wait_for_timeout(1700)
    button.click()
    expect(button).to_have_text("Copied")


def test_link_to_a_finding_shows_it_whatever_the_filter(opened: Open, found: Audit) -> None:
    known = next(finding for finding in found.findings if finding.status == "known")
    report = opened(found, f"#f-{known.fingerprint}")
    expect(report.page.locator(f"#f-{known.fingerprint}")).to_be_in_viewport()
    report.page.get_by_role("searchbox").fill("zzz zzz")
    expect(report.page.get_by_role("status")).to_contain_text("0 of")
    first = found.open_findings[0]
    report.page.locator(".harm a").first.click()
    expect(report.page.locator(f"#f-{first.fingerprint}")).to_be_in_viewport()
    expect(report.page.locator(f"#f-{first.fingerprint}")).to_be_focused()
    link = report.page.locator(f"#f-{first.fingerprint}").get_by_role("link", name=first.check)
    link.click()
    expect(report.page.locator("details.check[open]")).to_have_count(1)


def test_without_scripts_everything_is_there_but_the_filter(opened: Open, found: Audit) -> None:
    for audit in (found, many(found, 150)):
        page = opened(audit, java_script_enabled=False).page
        expect(page.locator("form")).to_be_hidden()
        expect(page.locator("article")).to_have_count(len(audit.findings))
        expect(page.locator("article details.fix")).to_have_count(sum(len(finding.fixes) for finding in audit.findings))
        expect(page.locator("button:visible")).to_have_count(0)
        last = audit.open_findings[-1]
        article = page.locator(f"#f-{last.fingerprint}")
        if not article.locator(".fix").first.is_visible():
            article.get_by_text("Evidence and fixes").click()
        expect(article.locator(".fix").first).to_be_visible()
        expect(article.locator("dl")).to_contain_text(last.fingerprint)


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds, what


def test_five_thousand_findings_stay_usable(opened: Open, found: Audit) -> None:
    # Bounds for a slow, busy machine; what is measured is that nothing grows with the square of the findings.
    audit = many(found, 5000)
    with within(60, "rendering and loading"):
        report = opened(audit)
    page = report.page
    status = page.get_by_role("status")
    expect(status).to_have_text("5,000 findings")
    with within(15, "filtering by text"):
        page.get_by_role("searchbox").fill("orders_user")
        expect(status).not_to_have_text("5,000 findings", timeout=15000)
    assert 0 < len(report.ids()) < 5000
    with within(15, "ordering"):
        page.get_by_role("button", name="Clear").click()
        page.get_by_label("Order", exact=True).select_option("table")
    with within(10, "filtering by severity"):
        page.get_by_label("Worth knowing").check()
        expect(status).to_contain_text(" of 5,000 findings")
    with within(20, "walking"):
        for _ in range(20):
            page.keyboard.press("Escape")
            page.evaluate("document.activeElement.tagName === 'INPUT' && document.activeElement.blur()")
            page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.id")
    page.keyboard.press("o")
    expect(page.locator(f"#{focused} details.more[open]")).to_be_visible()
    expect(page.locator(f"#{focused} noscript")).to_have_count(0)  # what was held back is there
    assert Path(report.url.removeprefix("file://")).stat().st_size < 60_000_000


def test_hostile_names_among_many_stay_text(opened: Open, server: str) -> None:
    with audited(server, schema(HOSTILE), depth="full", select=["references/orphan-rows"]) as made:
        audit = many(made, 120)
    harmless = opened(audit, java_script_enabled=False).page.locator("article *:not(noscript)").count()
    page = opened(audit).page
    page.get_by_role("button", name="Unfold all").click()
    for article in page.locator("article").all():
        article.scroll_into_view_if_needed()
        expect(article.locator("dl")).to_be_attached()
    expect(page.locator("noscript")).to_have_count(0)
    assert page.locator("article *:not(noscript)").count() == harmless
    for name in ("img", "iframe", "script"):
        assert page.locator(f"body {name}").count() == (1 if name == "script" else 0)
    page.get_by_role("searchbox").fill("<iframe src=//x.invalid>")
    expect(page.get_by_role("status")).to_contain_text(" of 120 findings")
    assert page.locator("article:visible").count() == 120 // len(HOSTILE)


def test_hostile_text_is_searched_before_it_is_unfolded(opened: Open, server: str) -> None:
    with audited(server, schema(HOSTILE), depth="full", select=["references/orphan-rows"]) as made:
        audit = many(made, 120)
    page = opened(audit).page
    page.get_by_role("searchbox").fill("DELETE FROM <img src=x onerror=alert(1)>")
    expect(page.get_by_role("status")).to_have_text(f"{120 // len(HOSTILE)} of 120 findings")


def test_nothing_found(opened: Open, server: str) -> None:
    with audited(
        server, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a)", depth="full"
    ) as made:
        report = opened(counted(replace(made, findings=())))
    expect(report.page.get_by_role("heading", level=1)).to_contain_text("Nothing found in what was checked")
    expect(report.page.get_by_role("search")).to_have_count(0)
    report.page.get_by_role("link", name="Coverage").click()
    expect(report.page.get_by_role("heading", name="Coverage")).to_be_in_viewport()


@pytest.mark.parametrize("width", [360, 390, 800, 1400])
def test_no_width_scrolls_sideways(opened: Open, server: str, found: Audit, width: int) -> None:
    with audited(server, schema(HOSTILE), depth="full", select=["references/orphan-rows"]) as made:
        audit = together(found, made)
    page = opened(audit, viewport={"width": width, "height": 800}).page
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('table').length") > 10


def test_dark_and_light_follow_the_reader(opened: Open, found: Audit) -> None:
    def brightness(scheme: str) -> Any:
        return opened(found, color_scheme=scheme).page.evaluate(
            "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => +a + +b)"
        )

    assert brightness("dark") < 200 < 600 < brightness("light")


@pytest.mark.parametrize("number", [9, 130], ids=["unfolded", "folded"])
def test_paper_shows_everything(opened: Open, found: Audit, number: int) -> None:
    page = opened(many(found, number)).page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(page.locator("noscript")).to_have_count(0)
    hidden = page.evaluate(
        "[...document.querySelectorAll('article .fix pre')].filter(pre => !pre.getClientRects().length).length"
    )
    assert hidden == 0
    expect(page.locator("button:visible")).to_have_count(0)
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("article .fix[open]").count() < page.locator("article .fix").count()


def test_paper_without_scripts_shows_everything(opened: Open, found: Audit) -> None:
    page = opened(many(found, 20), java_script_enabled=False).page
    page.emulate_media(media="print")
    for pre in page.locator("article .fix pre").all():
        expect(pre).to_be_visible()


# --- hostile names, as a browser parses them -----------------------------------------------------------------------------

NODES = """root => {
    const found = [];
    const walk = (element, depth) => {
        const names = element.getAttributeNames().map(name => name.toLowerCase()).sort();
        found.push([depth, element.localName, names, element.id, element.getAttribute("class") || ""]);
        for (const child of element.children) walk(child, depth + 1);
    };
    walk(root.documentElement, 0);
    return found;
}"""
# Those that mean most to a browser.
MARKUP = tuple(name for name in NAMES if re.search(r"<|\"\"|\x1b|onfocus", name))


def nodes(found: list[list[Any]]) -> list[Node]:
    return [Node(depth, tag, tuple(names), id_, kind) for depth, tag, names, id_, kind in found]


def test_hostile_names_make_the_elements_that_harmless_ones_make(server: str, opened: Open) -> None:
    """Of every check: parsed as a document each, and unfolded in one page so long that most of it is put in by the script."""
    with named(server, MARKUP) as dsn:
        hostile = found_in(dsn, MARKUP)
    with named(server, HARMLESS) as dsn:
        harmless = found_in(dsn, HARMLESS)
    assert len(MARKUP) == 5
    assert len(hostile.findings) > LAZY > len(harmless.findings)
    page = opened(harmless).page
    parse = f"text => ({NODES})(new DOMParser().parseFromString(text, 'text/html'))"

    def parsed(audit: Audit) -> Trees:
        return trees(audit, nodes(page.evaluate(parse, render(audit, "html", Options()))))

    plain = parsed(about(harmless, HARMLESS[0]))
    assert sum(plain[0].values()) == len(harmless.findings)
    expected = Counter[Any]()
    for name in MARKUP:
        mine = about(hostile, name)
        one = parsed(mine)
        assert alike(mine, one, plain), name
        expected += one[0]
    whole = opened(hostile).page
    whole.evaluate("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    assert whole.evaluate("document.querySelectorAll('article noscript').length") == 0
    assert trees(hostile, nodes(whole.evaluate(f"() => ({NODES})(document)")))[0] == expected
