"""Two audits compared: every group on a real database, and what may not be called fixed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from auditor.audit import Audit, from_json
from auditor.catalog.model import Statement
from auditor.check import Severity
from auditor.diff import Change, Comparison, compare
from auditor.report import Options, render
from auditor.report.layout import width
from tests.conftest import Make
from tests.helpers import audit
from tests.reports import CHECKS, GOLDEN, hostile_script, matches_golden, still

pytestmark = pytest.mark.once

SHOP = (GOLDEN / "shop.sql").read_text(encoding="utf-8")
CONFIG = (GOLDEN / "shop.toml").read_text(encoding="utf-8")

LATER = """
INSERT INTO shop.visits VALUES (10, 77777, NULL);
DELETE FROM shop.orders WHERE customer_id > 900;
DELETE FROM shop.addresses WHERE id > 2;
ALTER TABLE shop.reviews DROP CONSTRAINT reviews_customer_id_fkey;
CREATE TABLE shop.wishes (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers ON DELETE SET NULL);
GRANT SELECT ON shop.wishes TO auditor_reader;
"""


def run(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())


def reader(dsn: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn, user="auditor_reader", password="reader")


def look(dsn: str, config: str = CONFIG, **options: Any) -> Audit:
    """An audit that went through a file."""
    made = audit(dsn, config, **{"select": CHECKS, **options})
    return from_json(render(made, "json", Options()), "a report")


def tables(changes: tuple[Change, ...]) -> list[str]:
    return sorted(change.finding.object.table for change in changes)


def sizes(comparison: Comparison) -> dict[str, int]:
    names = ("new", "uncovered", "accepted", "worsened", "bettered", "fixed", "unchecked", "unchanged")
    return {name: len(getattr(comparison, name)) for name in names if getattr(comparison, name)}


def test_new_worse_better_fixed_unchanged(database: Make) -> None:
    dsn = database(SHOP)
    before = look(dsn)
    run(dsn, LATER)
    after = look(dsn)
    result = compare(before, after)
    assert tables(result.new) == ["wishes"]
    assert [(change.finding.object.table, change.said) for change in result.worsened] == [
        ("visits", "2 rows, 1 before")
    ]
    assert [(change.finding.object.table, change.said) for change in result.bettered] == [
        ("addresses", "2 rows, 7 before")
    ]
    assert tables(result.fixed) == ["orders", "reviews"]  # clean again; and no longer there to be checked
    assert tables(result.unchanged) == ["drafts"]  # suppressed, and there
    assert result.notes == ()
    assert result.worse
    assert result.line == "B is worse: 1 new, 1 worse, 1 better, 2 fixed, 1 unchanged"
    back = compare(after, before)
    assert sizes(back) == {"new": 2, "worsened": 1, "bettered": 1, "fixed": 1, "unchanged": 1}
    assert any("A was made after B" in note for note in back.notes)


def test_golden(database: Make) -> None:
    dsn = database(SHOP)
    before = look(dsn)
    run(dsn, LATER + "REVOKE SELECT ON shop.visits FROM auditor_reader")
    after = look(reader(dsn))
    a, b = still(before), still(after)
    later = replace(b.run, started_at="2026-11-21T06:00:00.000+00:00", finished_at="2026-11-21T06:00:02.000+00:00")
    assert matches_golden("diff.txt", compare(a, replace(b, run=later)).text)


def test_the_same_is_not_worse(database: Make) -> None:
    dsn = database(SHOP)
    result = compare(look(dsn), look(dsn))
    assert sizes(result) == {"unchanged": 5}
    assert not result.worse
    assert result.text.endswith("\nB is not worse: 5 unchanged\n")


def test_nothing_in_either(database: Make) -> None:
    dsn = database("CREATE TABLE fine (id int PRIMARY KEY)")
    result = compare(look(dsn, ""), look(dsn, ""))
    assert not result.worse
    assert result.line == "B is not worse: no findings in either"


def test_what_was_not_read_is_not_fixed(database: Make) -> None:
    dsn = database(SHOP)
    before = look(dsn)
    run(dsn, "REVOKE SELECT ON shop.orders FROM auditor_reader")
    result = compare(before, look(reader(dsn)))
    assert [(change.finding.object.table, change.said) for change in result.unchecked] == [
        ("orders", "no SELECT on shop.orders")
    ]
    assert result.fixed == ()
    assert not result.worse
    assert any("B is incomplete: " in note for note in result.notes)
    # and what A could not read is not simply new
    back = compare(look(reader(dsn)), before)
    assert [(c.finding.object.table, c.said) for c in back.uncovered] == [("orders", "in A: no SELECT on shop.orders")]
    assert back.new == ()
    assert back.worse  # nobody knows better


@pytest.mark.parametrize(
    ("options", "why", "note"),
    [
        ({"select": ["nullability"]}, "the check was not selected", "different questions: select differs"),
        ({"ignore": ["references/orphan-rows"]}, "the check was not selected", "different questions: ignore differs"),
        ({"exclude_tables": ["orders"]}, "outside the schemas and tables that were audited", "exclude_tables differs"),
        (
            {"schemas": ["public", "s?"], "tables": ["a*"]},
            "outside the schemas and tables",
            "schemas and tables differ",
        ),
        ({"depth": "catalog"}, "skipped at depth catalog", "depth data is compared with depth catalog"),
    ],
)
def test_what_was_not_asked_is_not_fixed(database: Make, options: dict[str, Any], why: str, note: str) -> None:
    dsn = database(SHOP, "CREATE SCHEMA sx; CREATE TABLE sx.a (id int PRIMARY KEY); CREATE TABLE addresses (id int)")
    before = look(dsn)
    result = compare(before, look(dsn, **options))
    (said,) = [change.said for change in result.unchecked if change.finding.object.table == "orders"]
    assert why in said
    assert result.fixed == ()
    assert any(note in each for each in result.notes)
    assert not result.worse


def test_a_reference_that_is_no_longer_configured_is_not_fixed(database: Make) -> None:
    dsn = database(SHOP)
    result = compare(look(dsn), look(dsn, ""))
    assert [(change.finding.object.table, change.said) for change in result.unchecked] == [
        ("visits", "the configuration or the SQL files that were given differ")
    ]
    assert any("what the configuration declares" in note for note in result.notes)
    assert tables(result.unchanged) == ["addresses", "drafts", "orders", "reviews"]  # no longer suppressed, still there


def test_a_dropped_table_is_fixed(database: Make) -> None:
    dsn = database(SHOP)
    before = look(dsn)
    run(dsn, "DROP TABLE shop.addresses")
    assert tables(compare(before, look(dsn)).fixed) == ["addresses"]


def test_accepted_findings_are_there_and_not_worse(database: Make) -> None:
    dsn = database(SHOP)
    before = look(dsn)
    run(
        dsn,
        "CREATE TABLE shop.wishes (id int PRIMARY KEY, c int NOT NULL REFERENCES shop.customers ON DELETE SET NULL)",
    )
    after = look(dsn, CONFIG + '[[ignore]]\ncheck = "nullability"\nobject = "shop.wishes.*"\nreason = "a test"\n')
    result = compare(before, after)
    assert [(change.finding.object.table, change.said) for change in result.accepted] == [("wishes", "suppressed")]
    assert result.line == "B is not worse: 1 new but accepted, 5 unchanged"
    known = replace(before, findings=tuple(finding.but(status="known") for finding in before.findings))
    assert sizes(compare(known, before)) == {"unchanged": 5}


def test_rows_counted_on_one_side_only(database: Make) -> None:
    dsn = database(SHOP)
    deep, flat = look(dsn, select=["nullability"]), look(dsn, select=["nullability"], depth="catalog")
    for result in (compare(deep, flat), compare(flat, deep)):
        assert sizes(result) == {"unchanged": 3}
        assert any("rows are counted on one side only" in note for note in result.notes)


@pytest.mark.parametrize(
    ("a", "b", "group"),
    [
        ((5, True), (6, True), "worsened"),
        ((5, True), (4, True), "bettered"),
        ((5, True), (5, True), "unchanged"),
        ((5, True), (6, False), "worsened"),  # at least 6 are more than 5
        ((5, True), (4, False), "unchanged"),  # at least 4 may be anything
        ((5, False), (6, True), "unchanged"),
        ((5, False), (4, True), "bettered"),
    ],
)
def test_lower_bounds(database: Make, a: tuple[int, bool], b: tuple[int, bool], group: str) -> None:
    result = look(database(SHOP))
    first = result.findings[0]
    assert first.evidence is not None

    def counted(count: int, exact: bool) -> Audit:
        assert first.evidence is not None
        evidence = replace(first.evidence, violations=count, exact=exact)
        return replace(result, findings=(first.but(evidence=evidence),))

    assert sizes(compare(counted(*a), counted(*b))) == {group: 1}


def test_a_finding_that_became_graver_is_worse(database: Make) -> None:
    result = look(database(SHOP))
    lighter = replace(result, findings=(result.findings[0].but(severity=Severity.WARNING), *result.findings[1:]))
    comparison = compare(lighter, result)
    assert [change.said for change in comparison.worsened] == ["error, was warning"]
    assert [change.said for change in compare(result, lighter).bettered] == ["warning, was error"]


def test_a_finding_that_another_check_reports_now_is_not_fixed(database: Make) -> None:
    result = look(database(SHOP))
    merged = replace(result, findings=result.findings[1:])  # its coverage still says failed
    comparison = compare(result, merged)
    assert [change.said for change in comparison.unchanged if change.said] == ["another check reported it"]
    assert comparison.fixed == ()


def test_different_databases_are_said(database: Make) -> None:
    one, other = look(database(SHOP)), look(database(SHOP))
    result = compare(one, other)
    assert result.notes == ("A and B are different databases: objects are matched by name",)
    assert sizes(result) == {"unchanged": 5}
    moved = replace(other, database=replace(other.database, system_identifier="1", name=one.database.name))
    assert compare(one, moved).notes == ("A and B are different servers: objects are matched by name",)


def test_statements_that_were_handed_over_are_part_of_the_question(database: Make) -> None:
    dsn = database(SHOP)
    with_sql = audit(dsn, CONFIG, (Statement("queries.sql", 1, "SELECT 1"),), select=CHECKS)
    assert with_sql.run.options["sql"] == ["queries.sql"]
    assert any("sql differs" in note for note in compare(with_sql, look(dsn)).notes)


def test_reports_of_a_version_that_wrote_fewer_options(database: Make) -> None:
    result = look(database(SHOP))
    bare = replace(result, run=replace(result.run, options={}), tool=replace(result.tool, version="0.0.1"))
    comparison = compare(bare, result)
    assert any("version 0.0.1" in note for note in comparison.notes)
    assert sizes(comparison) == {"unchanged": 5}


def test_hostile_names_in_a_comparison(database: Make) -> None:
    dsn = database(hostile_script())
    found, nothing = look(dsn, ""), look(dsn, "", tables=["p*"])
    for text in (compare(found, nothing).text, compare(nothing, found).text):
        for line in text.split("\n"):
            assert line.isprintable()
            assert width(line) <= 80
            assert not line.lstrip().startswith(("::", "##"))
            assert line == "" or line[0] in "AB·✖▲●✔?│" or line[:4] in ("New:", "New,", "Fixe", "No l", "B is")
