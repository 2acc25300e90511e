"""The terminal report: its width, its blocks, its last line, colour that says nothing alone, names that obey nobody."""

from __future__ import annotations

import re
import unicodedata

import psycopg
import pytest

from auditor.audit import Audit
from auditor.check import Confidence, Finding, Severity
from auditor.report import Options, render
from auditor.report.layout import elide, flow, line, table, width, wrap
from auditor.report.wording import verdict
from auditor.text import ident
from tests.conftest import Make
from tests.helpers import audit
from tests.reports import CHECKS, HOSTILE, hostile_script, matches_golden, shop, still

pytestmark = [pytest.mark.once, pytest.mark.packaged]

SQL = "    "  # begins the lines of SQL, and no others
# What a line may begin with: labels, gutters, bullets and our own words.
BEGINNING = re.compile(
    r"auditor |✖ ERROR|▲ WARNING|● INFO|│|· |Notes$|Not checked: |Rows, |INCOMPLETE|Broken: |\d|(Known|Suppressed): \d"
)


def lines_of(result: Audit, **options: object) -> list[str]:
    text = render(result, "terminal", Options(**options))  # type: ignore[arg-type]
    assert text.endswith("\n")
    return text[:-1].split("\n")


@pytest.fixture
def hostile(database: Make) -> Audit:
    return audit(database(hostile_script()), select=CHECKS)


def test_golden(database: Make) -> None:
    result = still(shop(database))
    assert matches_golden("shop.txt", render(result, "terminal", Options()))
    assert matches_golden("shop-verbose.txt", render(result, "terminal", Options(verbose=True)))


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_no_line_is_too_long(database: Make, columns: int) -> None:
    result = shop(database)
    for verbose in (False, True):
        *lines, last = lines_of(result, width=columns, verbose=verbose)
        assert last == result.summary.line
        long = [text for text in lines if width(text) > columns]
        assert all(verbose and text.startswith(SQL) for text in long)


def test_a_block_has_six_lines_at_most(hostile: Audit) -> None:
    blocks = "\n".join(lines_of(hostile, width=80)).split("\n\n")
    findings = [block.split("\n") for block in blocks if block.startswith("✖")]
    assert len(findings) == len(hostile.findings) == 2 * len(HOSTILE)
    for finding, block in zip(hostile.findings, findings, strict=True):
        assert len(block) <= 6
        assert block[-1].startswith("│ Fix: ")
        assert finding.fingerprint in "\n".join(block)


def test_the_verdict_stands_last(database: Make) -> None:
    result = shop(database)
    lines = lines_of(result, width=200)
    assert lines[-2] == verdict(result)
    assert lines[-2].startswith("INCOMPLETE · Broken: 4 · at risk: 0 · ")
    assert "2 × permission: the login may not read it" in "\n".join(lines)
    assert "│   no SELECT on shop.payments (2)" in lines


def test_worst_first_and_in_words(database: Make) -> None:
    result = shop(database)
    first, second, *rest = result.findings
    mixed = still(result)
    changed: tuple[Finding, ...] = (
        first,
        second.but(severity=Severity.WARNING, confidence=Confidence.SUSPECTED),
        rest[0].but(severity=Severity.INFO, evidence=None),
    )
    lines = lines_of(Audit(**{**{f: getattr(mixed, f) for f in mixed.__slots__}, "findings": changed}))
    assert [text.split()[:2] for text in lines if text[:1] in "✖▲●" and text] == [
        ["✖", "ERROR"],
        ["▲", "WARNING"],
        ["●", "INFO"],
    ]
    assert any(text.startswith("│ suspected · ") for text in lines)
    assert any(text.startswith("│ proven · in the catalog") for text in lines)


def test_colour_adds_nothing_but_colour(database: Make) -> None:
    result = shop(database)
    for verbose in (False, True):
        plain = render(result, "terminal", Options(verbose=verbose))
        painted = render(result, "terminal", Options(verbose=verbose, color=True))
        assert "\x1b" not in plain
        assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain
        assert painted.count("\x1b[31m") > len(result.open_findings)


def test_hostile_names_obey_nobody(hostile: Audit) -> None:
    for columns in (40, 80, 100_000):
        for verbose in (False, True):
            for text in lines_of(hostile, width=columns, verbose=verbose):
                assert all(unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for c in text)
                assert text == "" or text.startswith(SQL) or BEGINNING.match(text), text
                assert not re.search(r"##\w*\[", text)
                assert not text.lstrip().startswith("::")


def test_hostile_names_are_all_there(hostile: Audit) -> None:
    text = "\n".join(lines_of(hostile, width=100_000, verbose=True))
    for name in HOSTILE:
        assert line(ident(name)) in text
        assert line(name) in text  # the sampled value


def test_sql_of_the_report_runs(database: Make) -> None:
    dsn = database(hostile_script())
    result = audit(dsn, select=["references/orphan-rows"])
    text = "\n".join(lines_of(result, verbose=True))
    queries = re.findall(r"│ All of them:\n((?:    .*\n)+)", text)
    assert len(queries) == len(HOSTILE)
    fixes = re.findall(r"│ Fix 1 of .*\n(?:│.*\n)*((?:    .*\n)+)(?:│ Rollback:\n((?:    .*\n)+))?", text)
    assert len(fixes) == len(HOSTILE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for query in queries:
            assert len(connection.execute(query.encode()).fetchall()) == 1
        for fix, rollback in fixes:
            connection.execute(fix.encode())
            connection.execute(rollback.encode())
            connection.execute(fix.replace("_orphans", "_again").encode())
    assert audit(dsn, select=["references/orphan-rows"]).findings == ()


def test_nothing_found(database: Make) -> None:
    result = audit(database("CREATE TABLE fine (id int PRIMARY KEY)"), select=CHECKS)
    lines = lines_of(result)
    assert lines[-2].startswith("Broken: 0 · at risk: 0 · 0 checks of objects proven clean")
    assert not any(text.startswith(("✖", "Not checked", "Rows, ")) for text in lines)


def test_known_and_suppressed_are_counted_and_told_when_verbose(database: Make) -> None:
    result = shop(database)
    assert "1 suppressed" in verdict(result)
    assert "Suppressed: 1" in lines_of(result, verbose=True)
    assert not any("shop.drafts" in text for text in lines_of(result))


# --- layout -----------------------------------------------------------------------------------------------------------


def test_widths() -> None:
    assert width("abc") == 3
    assert width("日本") == 4
    assert width("e\u0301") == 1


@pytest.mark.parametrize("limit", range(8, 40))
def test_wrap_keeps_every_character_and_the_limit(limit: int) -> None:
    text = 'rows of app."my table"."Odd ""Name""" point to a_very_long_identifier_of_some_table.column 日本語日本語 now'
    lines = wrap(text, limit, "> ", "| ")
    assert all(width(each) <= limit for each in lines)
    assert "".join(each[2:].replace(" ", "") for each in lines) == text.replace(" ", "")


def test_wrap_breaks_between_identifiers_first() -> None:
    assert wrap("see a_schema.a_table.a_column", 20) == ["see a_schema.", "a_table.a_column"]
    assert wrap('says "one two three four" now', 12) == ['says "one', "two three", 'four" now']
    assert wrap('of "two words" here', 13) == ["of", '"two words"', "here"]


def test_wrap_cuts_with_an_ellipsis() -> None:
    assert wrap("one two three four", 9, most=1) == ["one two…"]
    assert wrap("one two three four five", 10, "> ", "| ", most=2) == ["> one two", "| three…"]


def test_elide() -> None:
    assert elide("abcdef", 6) == "abcdef"
    assert elide("abcdefg", 6) == "abcde…"
    assert width(elide("日本語日本語", 6)) <= 6


def test_flow_breaks_between_its_parts() -> None:
    assert flow(["aa bb", "cc dd", "ee"], 14, "", "| ") == ["aa bb ·", "| cc dd · ee"]


def test_table_shortens_the_widest_column() -> None:
    lines = table(["id", "text"], [["1", "x" * 50], ["10", "(null)"]], 20)
    assert all(width(each) <= 20 for each in lines)
    assert lines[0].startswith("id  text")
    assert lines[1].startswith(" 1  xxx")
