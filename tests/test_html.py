"""The HTML report: nothing of the database becomes markup, nothing but its own style and script may run, nothing is left out."""

from __future__ import annotations

import hashlib
import re
import tomllib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from jinja2 import StrictUndefined, UndefinedError
from markupsafe import Markup

from auditor.audit import Audit, _ignored
from auditor.check import Finding, Object, Severity
from auditor.config import Settings
from auditor.content import folder
from auditor.report import Options, render
from auditor.report.html import LAZY, duration, environment, highlighted, ignore_entry, share, typeset
from auditor.report.picture import cells, cut, draw
from auditor.text import ident, literal, safe_text
from tests.conftest import Make
from tests.helpers import audit
from tests.pages import Page, audited, counted, many, of_case, together

pytestmark = [pytest.mark.once, pytest.mark.packaged]

HOSTILE = (
    'quote"quote',
    "it's %s %(x)s",
    "line\nline",
    "\x1b[31mred\x1b[0m\x9b",
    "gpj\u202etxt.exe\u2066",
    "<script>alert(1)</script>",
    "</style></script></title><img src=x onerror=alert(1)>",
    "</noscript><iframe src=//x.invalid>",
    "é" * 31,
    "{{ 7 * 7 }}{% raw %}",
    "&lt;&amp;&#60;b&#62;",
    "--><!-- ]]><![CDATA[",
    "U&x\\0041",
    "a.b$c`d`|*_",
    "שלום עולם",
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "javascript:alert(1)//",
    "\u2028\u00ad\ufeff",
    "表" * 21,
)
# The same number of characters, and as harmless as a name that needs quotes can be.
HARMLESS = tuple(re.sub(r".", "x", name, flags=re.DOTALL)[:-2] + " 0" for name in HOSTILE)


def schema(names: tuple[str, ...]) -> str:
    """Each name as schema, table, column, constraint and key, in rows whose parent is missing."""
    made = []
    for number, name in enumerate(names):
        short = name.encode()[:60].decode(errors="ignore")
        space, here, there = ident(short + str(number)), ident(name), ident(short + "-p")
        made.append(
            f"CREATE SCHEMA {space};"
            f"CREATE TABLE {space}.{there} ({here} text PRIMARY KEY);"
            f"CREATE TABLE {space}.{here} ({here} text PRIMARY KEY, other text);"
            f"INSERT INTO {space}.{here} VALUES ({literal(name)}, {literal(name)});"
            f"ALTER TABLE {space}.{here} ADD CONSTRAINT {here} FOREIGN KEY (other) REFERENCES {space}.{there}"
            " ON DELETE SET NULL NOT VALID;"
        )
    return "".join(made)


@pytest.fixture(scope="module")
def hostile(server: str) -> Iterator[Audit]:
    with audited(server, schema(HOSTILE), depth="full", select=["references/orphan-rows"]) as made:
        yield made


@pytest.fixture(scope="module")
def harmless(server: str) -> Iterator[Audit]:
    with audited(server, schema(HARMLESS), depth="full", select=["references/orphan-rows"]) as made:
        yield made


@pytest.fixture(scope="module")
def found(server: str) -> Audit:
    return together(of_case(server, "references/orphan_rows"), of_case(server, "nullability/set_null_on_not_null"))


def page(audit: Audit) -> str:
    return render(audit, "html", Options())


# --- hostile names and values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [len(HOSTILE), LAZY + 1], ids=["few", "many"])
def test_no_name_or_value_becomes_markup(hostile: Audit, harmless: Audit, number: int) -> None:
    assert len(hostile.findings) == len(HOSTILE)
    evil, good = (Page(page(many(made, number))) for made in (hostile, harmless))
    assert evil.whole
    assert good.whole
    assert evil.comments == good.comments == 0
    cut_short = ("title", ())  # in the picture: how often depends on how long a name is
    assert {**evil.count(), cut_short: 0} == {**good.count(), cut_short: 0}
    assert evil.text("style") == good.text("style")
    assert evil.text("script") == good.text("script")


def test_names_and_values_are_shown_whole_and_visibly(hostile: Audit) -> None:
    text = page(hostile)
    shown = [safe_text(each) for each in (text, "".join(Page(text).text("bdi")))]
    assert text == shown[0]
    for finding in hostile.findings:
        value = finding.evidence and finding.evidence.sample and finding.evidence.sample[0]["other"]
        assert value
        visible = safe_text(value).replace("\n", "\\n").replace("\t", "\\t")
        assert visible in shown[1]
    text.encode("utf-8")


def test_what_cannot_be_encoded_is_shown_as_escape(found: Audit) -> None:
    finding = found.findings[0].but(title="a lone \udc80 surrogate", message="\x00\ud800")
    text = page(counted(replace(found, findings=(finding,))))
    text.encode("utf-8")
    assert "a lone \\udc80 surrogate" in text


def test_statement_that_is_not_shown_as_it_is_cannot_be_copied(found: Audit) -> None:
    finding = found.findings[0]
    assert finding.evidence
    odd = finding.but(evidence=replace(finding.evidence, where="note = '\x1b[0m'"), fixes=())
    buttons = [
        re.findall(r'aria-label="Copy[^"]*"', page(counted(replace(found, findings=(one,)))))
        for one in (finding.but(fixes=()), odd)
    ]
    assert buttons == [
        [
            'aria-label="Copy the query that finds the rows"',
            'aria-label="Copy the predicate alone"',
            'aria-label="Copy the entry for auditor.toml"',
        ],
        ['aria-label="Copy the entry for auditor.toml"'],
    ]
    assert "take the statement itself from the JSON report" in page(counted(replace(found, findings=(odd,))))


def test_what_a_template_prints_is_escaped_and_visible_wherever_it_stands() -> None:
    template = environment().from_string('<p title="{{ x }}">{{ x }}{{ x|sql }}{{ y }}</p>')
    assert template.render(x="<\x1b'\">", y=Markup("<br>")) == (
        '<p title="&lt;\\x1b&#39;&#34;&gt;">&lt;\\x1b&#39;&#34;&gt;&lt;\\x1b&#39;&#34;&gt;<br></p>'
    )


def test_unknown_name_in_a_template_is_an_error() -> None:
    assert environment().undefined is StrictUndefined
    assert environment().autoescape is True
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nobody }}").render()


# --- one file, closed to the network ----------------------------------------------------------------------------------


def test_policy_allows_exactly_the_inlined_style_and_script(hostile: Audit) -> None:
    made = Page(page(hostile))
    policies = [tag["content"] for name, tag in made.tags if tag.get("http-equiv") == "Content-Security-Policy"]
    hashes = {
        name: "'sha256-" + b64encode(hashlib.sha256(made.text(name).encode()).digest()).decode() + "'"
        for name in ("style", "script")
    }
    assert policies == [
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']};"
        " base-uri 'none'; form-action 'none'"
    ]
    names = [name for name, _ in made.tags]
    assert names.count("style") == names.count("script") == 1
    # It stands before all it has to hold for, right behind the encoding.
    assert made.tags[names.index("meta")][1] == {"charset": "utf-8"}
    assert "http-equiv" in made.tags[names.index("meta") + 1][1]


def test_nothing_inline_and_nothing_from_elsewhere(found: Audit) -> None:
    made = Page(page(found))
    for name, attributes in made.tags:
        assert name not in ("link", "img", "iframe", "object", "embed", "base", "object", "image", "foreignobject")
        assert not [
            each for each in attributes if each.startswith("on") or each in ("style", "src", "srcset", "action")
        ]
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"@import|url\(", made.text("style"))
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|eval\(|new Function", made.text("script"))


def test_every_reference_within_the_page_has_its_target(found: Audit) -> None:
    suppressed = replace(found, findings=(found.findings[0].but(status="suppressed"), *found.findings[1:]))
    for one in (found, counted(suppressed), replace(found, findings=(), coverage=())):
        made = Page(page(one))
        ids = made.values("id")
        assert len(ids) == len(set(ids))
        targets = (
            {each[1:] for each in made.values("href")} | set(made.values("for")) | set(made.values("aria-labelledby"))
        )
        assert targets <= set(ids)


def test_headings_go_down_by_one(found: Audit) -> None:
    levels = [int(name[1]) for name, _ in Page(page(found)).tags if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_colours_have_enough_contrast() -> None:
    style = (folder("templates") / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]

    def luminance(colour: str) -> float:
        digits = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
        parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]+);", block))
        for ink, grounds in (
            ("text", ("page", "panel", "sunken", "code", "predicate", "warning-soft")),
            ("muted", ("page", "panel", "code")),
            ("link", ("page", "panel")),
            ("error", ("page", "panel", "code")),
            ("warning", ("page", "panel", "code")),
            ("info", ("page", "panel", "code")),
            ("ok", ("page", "panel")),
            ("keyword", ("code", "predicate")),
            ("string", ("code", "predicate")),
        ):
            for ground in grounds:
                light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


# --- what it says -----------------------------------------------------------------------------------------------------


def heading(audit: Audit) -> str:
    """The verdict, as it is read aloud."""
    found = re.search(r"<h1>(.*?)</h1>", page(audit), re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", found[1])).strip()


def test_verdict_counts_what_is_open(found: Audit) -> None:
    clean = sum(entry.outcome == "passed" for entry in found.coverage)
    first, second, *others = found.findings
    changed = (first.but(status="suppressed"), second.but(severity=Severity.WARNING), *others)
    assert heading(found) == f"Broken: {len(found.findings)} · {clean} checked and clean"
    assert heading(counted(replace(found, findings=changed))) == (
        f"Broken: {len(others)} · at risk: 1 · {clean} checked and clean"
    )
    only = counted(replace(found, findings=(second.but(severity=Severity.INFO),)))
    assert heading(only) == f"Worth knowing: 1 · {clean} checked and clean"


def test_nothing_found_says_so_of_what_was_checked(database: Make) -> None:
    dsn = database("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)")
    text = page(audit(dsn, depth="full", select=["references/orphan-rows"]))
    assert "Nothing found in what was checked" in text
    assert "came back clean" in text
    assert '<form id="filter"' not in text
    empty = audit(database(), select=["references/orphan-rows"])
    assert heading(empty) == "Nothing was checked"
    assert "this report vouches for nothing" in page(empty)


def test_incomplete_run_says_so_in_the_verdict(database: Make, server: str) -> None:
    dsn = database(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int);"
        "ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a NOT VALID;"
    )
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS nobody_reads")
        admin.execute("CREATE ROLE nobody_reads LOGIN PASSWORD 'nobody'")
        try:
            stranger = psycopg.conninfo.make_conninfo(dsn, user="nobody_reads", password="nobody")
            made = audit(stranger, select=["references/orphan-rows"])
        finally:
            admin.execute("DROP ROLE nobody_reads")
    assert heading(made) == "Nothing was checked · incomplete: 1 not checked"
    text = page(made)
    assert "no permission: no SELECT on public.b" in text
    assert '<a href="#unchecked">' in text


def test_accepted_findings_stand_apart(found: Audit) -> None:
    first, second, *others = found.findings
    made = counted(replace(found, findings=(first.but(status="known"), second.but(status="suppressed"), *others)))
    text = page(made)
    listed, accepted = text.split('<section id="accepted"')
    assert f'id="f-{first.fingerprint}"' not in listed
    assert f'id="f-{first.fingerprint}"' in accepted
    assert f'id="f-{second.fingerprint}"' in accepted
    assert f'href="#f-{second.fingerprint}"' not in listed
    assert "2 findings" in listed


def test_finding_tells_its_parts_in_order(found: Audit) -> None:
    finding = next(each for each in found.findings if each.object.table == "orders")
    text = page(counted(replace(found, findings=(finding,)))).partition("<article")[2].partition("</article>")[0]
    evidence = finding.evidence
    assert evidence
    parts = [
        "Broken",
        "3 rows of",
        "proven",
        "<b>3</b> of 6 rows of",
        "50 %",
        "never checked",
        '<svg role="img" aria-label="app.orders (user_id) to app.users (id); 3 rows without a row there"',
        "All of them, by their keys",
        "<bdi>99</bdi>",
        '<span class="predicate">',
        *(part for fix in finding.fixes for part in (fix.title, "Locks", "Mind")),
        "references/orphan-rows",
        "textbook",
        str(evidence.snapshot),
        finding.fingerprint,
        "[[ignore]]",
    ]
    positions = [0]
    for part in parts:
        positions.append(text.find(part, positions[-1]))
        assert positions[-1] >= 0, part
    assert text.count('class="tag"') == 1


def test_what_was_not_looked_at_is_said(found: Audit, database: Make) -> None:
    dsn = database("CREATE SCHEMA app; CREATE TABLE app.a (id int PRIMARY KEY)")
    for depth, words in (("catalog", "no row of any table was read"), ("data", "What it calls valid was believed")):
        text = page(audit(dsn, depth=depth, schemas=["app"], select=["references"], ignore=["references/orphan-rows"]))
        assert words in text
        assert "Only schemas that match app." in text
        assert re.search(r"Checks left out on request: [^<]*references/orphan-rows", text)
    assert "a reading of rows, not of pages" in page(found)


def test_notes_are_on_the_first_screen(found: Audit) -> None:
    text = page(replace(found, notes=("an <i>odd</i> note",)))
    assert "An &lt;i&gt;odd&lt;/i&gt; note." in text.partition("</header>")[0]


def test_everything_is_there_for_each_of_many(found: Audit) -> None:
    made = Page(page(many(found, 300)))
    assert [name for name, _ in made.tags].count("article") == 300
    assert [name for name, _ in made.tags].count("noscript") == 300
    fixes = sum(len(finding.fixes) for finding in many(found, 300).findings)
    assert made.values("class").count("fix") == fixes
    assert made.whole


# --- pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*HOSTILE, "plain", "a*b?[c]", "emoji 😀", "tab\there", "\udc80"])
def test_ignore_entry_covers_its_finding_and_no_other(name: str) -> None:
    subject = Object("constraint", "app", "orders", name, ("first", "second"))
    finding = Finding(Severity.ERROR, subject, "t", "m", check="references/orphan-rows")
    [entry] = Settings.model_validate(tomllib.loads(ignore_entry(finding))).ignore
    assert _ignored(entry, finding)
    for other in (name + "x", "x" + name, ""):
        assert not _ignored(entry, finding.but(object=replace(subject, name=other)))
    assert not _ignored(entry, finding.but(check="references/missing-fk"))


def test_ignore_entry_of_objects_without_name_or_table() -> None:
    for subject in (
        Object("column", "app", "orders", "", ("a",)),
        Object("table", "app", "orders"),
        Object("function", "app", "", "run"),
        Object("statement", "", "", "queries.sql:3"),
    ):
        finding = Finding(Severity.ERROR, subject, "t", "m", check="uniqueness/x")
        [entry] = Settings.model_validate(tomllib.loads(ignore_entry(finding))).ignore
        assert _ignored(entry, finding)
        assert not _ignored(entry, finding.but(object=Object("table", "other", "orders")))
    uncommented = ignore_entry(finding).replace("# until", "until")
    assert Settings.model_validate(tomllib.loads(uncommented)).ignore[0].until == date(2030, 12, 31)


def test_sql_is_highlighted_and_stays_what_it_is() -> None:
    for statement, expected in (
        ("SELECT 1", "<b>SELECT</b> 1"),
        ("ALTER TABLE a.b DROP CONSTRAINT c;", "<b>ALTER TABLE</b> a.b <b>DROP CONSTRAINT</b> c;"),
        ("x = 'NOT ''NULL'''", "x = <i>&#39;NOT &#39;&#39;NULL&#39;&#39;&#39;</i>"),
        ("E'a\\'b' AND 1", "<i>E&#39;a\\&#39;b&#39;</i> <b>AND</b> 1"),
        ('"FROM" IS NULL', "&#34;FROM&#34; <b>IS NULL</b>"),
        ('U&"\\+00001B" IN (1)', "U&amp;&#34;\\+00001B&#34; <b>IN</b> (1)"),
        ("-- SELECT\nFROM", "<i>-- SELECT</i>\n<b>FROM</b>"),
        ("$a$ NOT $b$ $a$ OR x", "<i>$a$ NOT $b$ $a$</i> <b>OR</b> x"),
        ("'open", "&#39;open"),
        ("col_A1 OR a", "col_A1 <b>OR</b> a"),
    ):
        assert highlighted(statement) == expected
        assert Markup(highlighted(statement)).striptags() == statement.replace("\n", " ")


def test_names_in_prose_are_set_as_code() -> None:
    assert typeset("app.orders.user_id of app.orders, not app.orders2", {"app.orders", "app.orders.user_id"}) == (
        "<code><bdi>app.orders.user_id</bdi></code> of <code><bdi>app.orders</bdi></code>, not app.orders2"
    )
    assert typeset("`SET NULL` <b>", ()) == "<code><bdi>SET NULL</bdi></code> &lt;b&gt;"
    assert typeset("nothing", {""}) == "nothing"


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(1, 2, "50 %"), (1, 3, "33.3 %"), (1, 10**6, "under 0.1 %"), (10**6 - 1, 10**6, "over 99.9 %"), (5, 5, "100 %")],
)
def test_share(part: int, whole: int, said: str) -> None:
    assert share(part, whole) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.004, "0.00 s"), (9.5, "9.50 s"), (75.2, "75 s"), (3725, "62 min 5 s"), (119.7, "2 min 0 s")],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_picture_fits_what_is_in_it() -> None:
    assert cells("表e\u0301") == 3
    assert len(cut("x" * 63)) <= 35
    assert cells(cut("表" * 21)) <= 36
    assert cut("short") == "short"
    wide = draw("a" * 80, ("b" * 80,), "c", ("d", "e"), "f" * 80, "1,000 rows", missing=True)
    assert wide.left.x + wide.left.width < wide.right.x
    assert wide.right.x + wide.right.width <= wide.width
    assert wide.left.name.full == "a" * 80
    assert len(wide.lines) == 1
    assert wide.height > wide.right.height


def test_templates_name_no_text_of_the_database_safe() -> None:
    for path in Path(folder("templates")).glob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", path.read_text(encoding="utf-8")), path.name
