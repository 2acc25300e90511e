"""What all formats share: the verdict, names, how sure, the entry that ignores a finding, SQL that shows every character."""

from __future__ import annotations

import tomllib

import psycopg
import pytest

from auditor.audit import beyond
from auditor.check import Confidence, Depth, Evidence, Finding, Object, Severity
from auditor.report import Options, render
from auditor.report.wording import (
    Counts,
    certainty,
    counts,
    described,
    duration,
    ignore_entry,
    name,
    sql_text,
    toml_string,
    unchecked,
    verdict,
)
from auditor.text import ident, literal
from tests.conftest import Make
from tests.helpers import audit
from tests.reports import CHECKS, HOSTILE, hostile_script, shop

pytestmark = pytest.mark.once


def test_verdict(database: Make) -> None:
    result = shop(database)
    assert verdict(result) == (
        "INCOMPLETE · Broken: 4 · at risk: 0 · 0 checks of objects proven clean · 2 not checked · 1 suppressed"
    )
    assert counts(result) == Counts(passed=0, failed=5, not_checked=2, skipped=4)
    (group,) = unchecked(result)
    assert (group.reason, group.details) == ("permission", {"no SELECT on shop.payments": 2})
    assert beyond(Depth.DATA, 4) in result.notes


def test_verdict_at_depth_catalog(database: Make) -> None:
    result = shop(database, depth="catalog")
    assert result.run.status == "complete"
    assert not verdict(result).startswith("INCOMPLETE")


@pytest.mark.parametrize("depth", list(Depth))
def test_every_format_says_what_the_depth_does_not_look_at(depth: Depth, database: Make) -> None:
    result = shop(database, depth=depth.value)
    said = {"catalog": "reads no rows", "data": "trusts what the server vouches for", "full": "amcheck"}[depth.value]
    (note,) = [note for note in result.notes if note.startswith(f"depth {depth} ") and said in note]
    left = sum(entry.outcome == "skipped" for entry in result.coverage)
    assert ("skipped)" in note) is bool(left)
    assert not left or f"({left} check" in note
    for form in ("terminal", "markdown", "html", "json", "sarif"):
        text = " ".join(render(result, form, Options(width=1000)).split())
        assert said in text, form


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (None, "proven · in the catalog"),
        (Evidence(None), "proven · in the catalog"),
        (Evidence(7, rows_examined=3070), "proven · 7 of 3,070 rows"),
        (Evidence(1, rows_examined=1), "proven · 1 of 1 row"),
        (Evidence(0, rows_examined=9), "proven · 0 of 9 rows today"),
        (Evidence(1000, exact=False, rows_examined=5000), "proven · at least 1,000 of 5,000 rows"),
        (Evidence(1), "proven · 1 row"),
    ],
)
def test_certainty(evidence: Evidence | None, said: str) -> None:
    finding = Finding(Severity.ERROR, Object("table", "a", "b"), "t", "m", evidence=evidence)
    assert certainty(finding) == said
    assert certainty(finding.but(confidence=Confidence.SUSPECTED)) == said.replace("proven", "suspected")


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (Object("table", "app", "orders"), "table app.orders"),
        (Object("table", "app", "orders", columns=("id",)), "table app.orders (id)"),
        (Object("column", "app", "orders", columns=("user_id",)), "column app.orders.user_id"),
        (Object("column", "app", "orders", columns=("a", "B")), 'column app.orders (a, "B")'),
        (Object("constraint", "app", "orders", "fk", ("a",)), "constraint fk on app.orders"),
        (Object("function", "app", name="put"), "function app.put"),
        (Object("statement", "", name="queries.sql:12"), "statement queries.sql:12"),
        (Object("table", "a\nb", "c\x1b"), 'table U&"a\\+00000Ab".U&"c\\+00001B"'),
    ],
)
def test_names(subject: Object, said: str) -> None:
    assert described(subject) == said
    assert said.endswith(name(subject))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0121, "12 ms"), (1.25, "1.2 s"), (42.4, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (9.99, "10.0 s")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# --- the entry to paste into auditor.toml ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*HOSTILE, "\U000e0001 tag", "𝒳", 'tab\tquote"back\\'])
def test_toml_strings(text: str) -> None:
    written = f"key = {toml_string(text)}"
    assert tomllib.loads(written) == {"key": text}
    assert written.isprintable()


def test_an_ignore_entry_suppresses_its_finding_and_no_other(database: Make) -> None:
    dsn = database(hostile_script())
    everything = audit(dsn, select=CHECKS)
    for finding in everything.findings[::5]:
        result = audit(dsn, ignore_entry(finding), select=CHECKS)
        assert [f.fingerprint for f in result.findings if f.status == "suppressed"] == [finding.fingerprint]
        assert result.notes == everything.notes  # the entry matches something


# --- SQL ---------------------------------------------------------------------------------------------------------------


def test_sql_means_the_same_and_is_all_visible(database: Make) -> None:
    with psycopg.connect(database(), autocommit=True) as connection:
        connection.execute("SET standard_conforming_strings = on")
        for text in HOSTILE:
            escaped = "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
            for value in (literal(text), escaped, f"$q${text}$q$"):
                sql = f"SELECT {value} AS {ident(text)}, '' /* it's */ -- \"\n, 'it''s', \"b\"\nFROM (SELECT 2 AS \"b\") AS t"
                made = sql_text(sql)
                if not value.startswith("$"):
                    assert made.replace("\n", "").isprintable()
                cursor = connection.execute(made.encode())
                assert cursor.description is not None
                assert (cursor.description[0].name, cursor.fetchone()) == (text, (text, "", "it's", 2))


def test_sql_that_hides_nothing_is_left_alone() -> None:
    sql = "SELECT 'a\\b', U&'\\0041', E'\\n', \"x\" FROM t WHERE a = 1"
    assert sql_text(sql) == sql
    assert sql_text("SELECT 1  \nFROM t ") == "SELECT 1\nFROM t"
    assert sql_text("SELECT U&'\\0041\u202e'") == "SELECT U&'\\0041\\+00202E'"
