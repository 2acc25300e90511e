"""The checks of what the schema promises and forbids: the server does what they say, their fixes mend and roll back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from auditor.audit import open_catalog
from auditor.catalog.model import Catalog
from auditor.check import Finding, Severity
from auditor.connection import Session, Target
from auditor.probe import Constants
from auditor.probe.textbook import Samples, ask
from tests.conftest import Make
from tests.helpers import audit, login, titles
from tests.test_references import Case, about, run

CASES = Path(__file__).parent / "checks" / "nullability"
MINE = ("set_default_unsatisfiable", "insert_deadlock", "null_in_not_null", "default_violates_check")
FILES = sorted(path for name in MINE for path in CASES.glob(f"{name}*.sql"))
SET_DEFAULT, DEADLOCK, NULLS, DEFAULTS = (f"nullability/{name.replace('_', '-')}" for name in MINE)


def filled_in(finding: Finding) -> dict[str, str]:
    """What the human who reads the report fills in, by column: any value that its rule admits."""
    if finding.check == NULLS:
        return {"p": "ROW(1, 2)"} | {
            name: "'7'" for name in ('"the value"', '"order"', *"abcmn", "id", "value", "unit", "total")
        }
    if finding.check == SET_DEFAULT:
        towns = {"town": "'A'", "street": "'x'"}
        return {"team": "2", "parent": "1", "room": "1", "tenant": "1", **towns}
    values = {name: "'a'" for name in ("code", "a", "b", "c", "w", "pair")}
    numbers = {"first": "1", "last": "2", "cents": "1", "rate": "1", "small": "1", "whole": "1", "m": "2", "n": "1"}
    others = {
        "state": "'open'",
        "label": "'A'",
        "flags": "B'111'",
        "mask": "B'1'",
        "room": "1",
        "kind": "2",
        "lang": "'en'",
    }
    return {**values, **numbers, **others}


@pytest.mark.fixes
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fixes_mend_and_roll_back(path: Path, database: Make, version: int) -> None:
    """Each fix, on a copy of the case: its finding is gone afterwards, and back after the rollback."""
    since = int(path.stem.partition(".")[2] or 0)
    if version < since:
        pytest.skip(f"for PostgreSQL {since} and later")
    case = Case(path)
    template = psycopg.conninfo.conninfo_to_dict(database(case.text))["dbname"]
    dsn = database(TEMPLATE=str(template))
    found = case.audit(dsn).findings
    assert found
    for finding in found:
        assert [fix.recommended for fix in finding.fixes] == [True] + [False] * (len(finding.fixes) - 1)
        for fix in finding.fixes:
            assert fix.sql
            assert fix.locks
            if finding.check == NULLS:  # whose fixes leave a copy of the rows
                dsn = database(TEMPLATE=str(template))
            values = filled_in(finding)
            run(dsn, fix.sql, values)
            assert about(case.audit(dsn), finding) == [], (finding.title, fix.title)
            one_way = any(c.startswith(("Nothing brings the NULLs back", "NOT NULL cannot be")) for c in fix.caveats)
            assert not one_way or "domain" not in finding.title or fix.title.startswith("Let")
            no_key = any("has no key" in caveat for caveat in fix.caveats)
            assert bool(fix.rollback) is not (one_way or no_key), (finding.title, fix.title)
            if fix.rollback:
                run(dsn, fix.rollback, values)
                assert about(case.audit(dsn), finding), (finding.title, fix.title)
    if found[0].check != NULLS:
        assert {f.fingerprint for f in case.audit(dsn).findings} == {f.fingerprint for f in found}


def sqlstate(dsn: str, statement: str) -> str:
    """With what the server refuses the statement, or its COMMIT; empty where it does not. Nothing stays."""
    with psycopg.connect(dsn) as connection:
        try:
            connection.execute(statement.encode())
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            return error.sqlstate or ""
        finally:
            connection.rollback()
    return ""


# --- SET DEFAULT -----------------------------------------------------------------------------------------------------

FK = "REFERENCES p ON DELETE SET DEFAULT"
PARENTS = "CREATE TABLE p (id int PRIMARY KEY, g int); INSERT INTO p VALUES (1, 1), (2, 1), (3, 2), (4, NULL);"


@dataclass(frozen=True)
class Trap:
    name: str
    ddl: str
    sqlstate: str  # empty: it does as promised
    since: int = 13
    update: bool = False


TRAPS = (
    Trap("no default", f"CREATE TABLE c (p int NOT NULL {FK}); INSERT INTO c VALUES (1), (1), (3)", "23502"),
    Trap("no default, update", "CREATE TABLE c (p int NOT NULL REFERENCES p ON UPDATE SET DEFAULT); INSERT INTO c VALUES (1)", "23502", update=True),
    Trap("check", f"CREATE TABLE c (p int {FK} CHECK (p IS NOT NULL)); INSERT INTO c VALUES (1)", "23514"),
    Trap("domain", f"CREATE DOMAIN d AS int NOT NULL; CREATE TABLE c (p d {FK}); INSERT INTO c VALUES (1)", "23502"),
    Trap("missing", f"CREATE TABLE c (p int DEFAULT 9 {FK}); INSERT INTO c VALUES (1), (3)", "23503"),
    Trap("missing, update", "CREATE TABLE c (p int DEFAULT 9 REFERENCES p ON UPDATE SET DEFAULT); INSERT INTO c VALUES (1)", "23503", update=True),
    Trap("missing, deferred", f"CREATE TABLE c (p int DEFAULT 9 {FK} DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (2)", "23503"),
    Trap("of the domain", f"CREATE DOMAIN d AS int DEFAULT 9; CREATE TABLE c (p d {FK}); INSERT INTO c VALUES (1)", "23503"),
    Trap("other type", f"CREATE TABLE c (p bigint DEFAULT 5000000000 {FK}); INSERT INTO c VALUES (1)", "23503"),
    Trap("half", "ALTER TABLE p ADD UNIQUE (id, g); CREATE TABLE c (p int DEFAULT 1, g int, FOREIGN KEY (p, g) REFERENCES p (id, g)"
         " MATCH FULL ON DELETE SET DEFAULT); INSERT INTO c VALUES (2, 1)", "23503"),
    Trap("list", "ALTER TABLE p ADD UNIQUE (id, g); CREATE TABLE c (p int DEFAULT 9, g int NOT NULL, FOREIGN KEY (p, g)"
         " REFERENCES p (id, g) ON DELETE SET DEFAULT (p)); INSERT INTO c VALUES (2, 1)", "23503", 15),
    Trap("not evaluated", f"CREATE TABLE c (p int DEFAULT 8 + 1 {FK}); INSERT INTO c VALUES (1)", "23503"),
    Trap("there", f"CREATE TABLE c (p int DEFAULT 4 {FK}); INSERT INTO c VALUES (1)", ""),
    Trap("free", f"CREATE TABLE c (p int {FK}); INSERT INTO c VALUES (1)", ""),
    Trap("half, simple", "ALTER TABLE p ADD UNIQUE (id, g); CREATE TABLE c (p int DEFAULT 9, g int, FOREIGN KEY (p, g) REFERENCES p (id, g)"
         " ON DELETE SET DEFAULT); INSERT INTO c VALUES (2, 1)", ""),
    Trap("all NULL, full", "ALTER TABLE p ADD UNIQUE (id, g); CREATE TABLE c (p int, g int, FOREIGN KEY (p, g) REFERENCES p (id, g)"
         " MATCH FULL ON DELETE SET DEFAULT); INSERT INTO c VALUES (2, 1)", ""),
    Trap("not enforced", f"CREATE TABLE c (p int NOT NULL {FK} NOT ENFORCED); INSERT INTO c VALUES (1)", "", 18),
    Trap("off", f"CREATE TABLE c (p int NOT NULL {FK}); INSERT INTO c VALUES (1); ALTER TABLE p DISABLE TRIGGER ALL", ""),
)  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_set_default_that_is_refused_is_told_with_how_many_rows_it_holds_fast(
    trap: Trap, database: Make, version: int
) -> None:
    if version < trap.since:
        pytest.skip(f"for PostgreSQL {trap.since} and later")
    dsn = database(PARENTS, trap.ddl)
    act = "UPDATE p SET id = id + 100 WHERE id = {}" if trap.update else "DELETE FROM p WHERE id = {}"
    said = [sqlstate(dsn, act.format(number)) for number in (1, 2, 3, 4)]
    blocked = sum(bool(state) for state in said)
    assert set(said) <= {"", trap.sqlstate}
    result = audit(dsn, select=[SET_DEFAULT])
    if not trap.sqlstate:
        assert (blocked, titles(result)) == (0, [])
        return
    (finding,) = result.findings
    assert finding.title.startswith(f"{blocked} of 4 rows of public.p cannot be ")
    assert f"SQLSTATE {trap.sqlstate}" in finding.message
    assert ("COMMIT" in finding.message) is ("DEFERRABLE" in trap.ddl)
    assert finding.evidence is not None
    assert finding.evidence.violations == blocked


def test_the_other_action_stays(database: Make) -> None:
    dsn = database(PARENTS, f"CREATE TABLE c (p int NOT NULL {FK} ON UPDATE CASCADE)")
    (finding,) = audit(dsn, select=[SET_DEFAULT]).findings
    assert "ON UPDATE CASCADE NOT VALID" in finding.fixes[0].sql[0]


def test_a_default_without_parent_is_told_once(database: Make) -> None:
    dsn = database(
        PARENTS, f"CREATE TABLE c (p int DEFAULT 9 {FK}, q int DEFAULT 9 REFERENCES p DEFERRABLE INITIALLY DEFERRED)"
    )
    both = audit(dsn, select=["nullability"]).findings
    assert [(finding.check, finding.object.columns) for finding in both] == [(DEFAULTS, ("q",)), (SET_DEFAULT, ("p",))]
    assert sqlstate(dsn, "INSERT INTO c (q) VALUES (1)") == "23503"
    assert "An INSERT into public.c that leaves it out fails too." in both[1].message
    assert "COMMIT" in both[0].message
    assert "COMMIT" not in both[1].message


def test_what_becomes_of_a_column_without_its_default_is_said(database: Make) -> None:
    dsn = database("CREATE TABLE t (a int NOT NULL DEFAULT 0 CHECK (a > 0), b int DEFAULT 0 CHECK (b > 0))")
    first, second = (f.fixes[1].caveats for f in audit(dsn, select=[DEFAULTS]).findings)
    assert "23502" in first[0]
    assert second == ("An INSERT that leaves it out stores NULL.",)


def test_what_no_row_is_read_for_stands_on_the_catalog_alone(database: Make) -> None:
    dsn = database(
        PARENTS, f"CREATE TABLE c (p int NOT NULL {FK}, q int DEFAULT 9 {FK}, r int DEFAULT 0 CHECK (r > 0))"
    )
    result = audit(dsn, select=["nullability"], depth="catalog")
    assert titles(result) == [
        "Referenced rows of public.p cannot be deleted: public.c.p has no default and is NOT NULL, but ON DELETE SET DEFAULT",
        "The DEFAULT of public.c.r fails the CHECK c_r_check: 0",
    ]
    few = audit(login(dsn), select=["nullability"])
    assert titles(few) == titles(result)
    left = {(entry.check, entry.reason) for entry in few.coverage if entry.outcome == "not_checked"}
    assert left == {(SET_DEFAULT, "permission"), (DEFAULTS, "permission")}


# --- defaults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "state"),
    [
        ("text DEFAULT 'new' CHECK (c IN ('open', 'done'))", "23514"),
        ("varchar(3) DEFAULT 'abcd'", "22001"),
        ("varchar(3) DEFAULT 'abc  '", ""),
        ("varchar(3) DEFAULT 'äöü'", ""),
        ("varchar(3) DEFAULT 'it''s'", "22001"),
        ("varchar(4) DEFAULT 'it''s'", ""),
        ("char(2) DEFAULT 'abc'", "22001"),
        ("char(5) DEFAULT 'abc' CHECK (octet_length(c) = 5)", ""),
        ("bit(3) DEFAULT B'11'", "22026"),
        ("bit(2) DEFAULT B'11'", ""),
        ("bit varying(1) DEFAULT B'11'", "22001"),
        ("numeric(3, 1) DEFAULT 99.96", "22003"),
        ("numeric(3, 1) DEFAULT 99.94", ""),
        ("smallint DEFAULT 32768", "22003"),
        ("int DEFAULT 3000000000", "22003"),
        ("bigint DEFAULT 3000000000", ""),
        ("short DEFAULT 'abcd'", "22001"),
        ("short", "23514"),
        ("short DEFAULT NULL", ""),
        ("int DEFAULT 0 CHECK (10 / c > 1)", None),  # the CHECK itself fails: it is not FALSE
        ("date DEFAULT ('now'::text)::date CHECK (c < '2000-01-01')", None),
        ("int[] DEFAULT '{1,2}' CHECK (cardinality(c) > 2)", "23514"),
        ("jsonb DEFAULT '{}' CHECK (c ? 'a')", "23514"),
        ("text DEFAULT 'x' CHECK (c ~ '^\\d+$')", "23514"),
        ("boolean DEFAULT false CHECK (c)", "23514"),
        ("int DEFAULT 0 CHECK (CASE WHEN c > 0 THEN true ELSE c IS NULL END)", "23514"),
    ],
)  # fmt: skip
def test_a_default_that_is_refused_is_told(column: str, state: str | None, database: Make) -> None:
    dsn = database(
        "CREATE DOMAIN short AS varchar(3) DEFAULT 'no' CHECK (VALUE <> 'no')",
        f'CREATE TABLE t ("a b" int, c {column})',
    )
    result = audit(dsn, select=[DEFAULTS], depth="catalog")
    refused = sqlstate(dsn, "INSERT INTO t VALUES (1)")
    if state is None:
        assert (bool(refused), titles(result)) == (True, [])
        return
    assert refused == state
    assert len(result.findings) == bool(state)
    for finding in result.findings:
        assert f"SQLSTATE {state}" in finding.message
        assert finding.severity is Severity.ERROR


def test_conditions_are_folded_and_never_run(database: Make) -> None:
    dsn = database("CREATE TABLE t (a int)")
    with Session(Target(dsn)) as session, session.transaction() as fetch:
        table = next(iter(catalog_of(dsn).tables.values()))
        asked = (
            ("n = 1", (("n", "1"),)),
            ("n = 2", (("n", "1"),)),
            ("n > NULL", (("n", "1"),)),
            ("1 / n = 1", (("n", "0"),)),
            ("(n)::pg_catalog.int2 > 0", (("n", "70000"),)),
            ("nobody(n)", (("n", "0"),)),
            ("pg_catalog.pg_sleep(60) IS NULL", ()),
            ("pg_catalog.now() > '-infinity'", ()),
            *((f"n = {number}", (("n", str(number)),)) for number in range(100)),
        )
        assert list(Constants(table, asked).reads()) == []
        said = [value for value, _ in ask(Constants(table, asked), fetch, Samples()).values]
        assert said == ["true", "false", "null", "22012", "22003", "42883", "", "", *["true"] * 100]
        assert ask(Constants(table, asked[:1]), fetch, Samples()).values == (("true", 1),)


def catalog_of(dsn: str) -> Catalog:
    with Session(Target(dsn)) as session:
        return open_catalog(session)


# --- inserting -------------------------------------------------------------------------------------------------------

HENS = """
    CREATE TABLE hens (id int PRIMARY KEY, egg int NOT NULL);
    CREATE TABLE eggs (id int PRIMARY KEY, hen int NOT NULL REFERENCES hens);
    ALTER TABLE hens ADD CONSTRAINT hatched FOREIGN KEY (egg) REFERENCES eggs;
"""
BOTH = "WITH hen AS (INSERT INTO hens VALUES (1, 1)) INSERT INTO eggs VALUES (1, 1)"


def test_a_cycle_takes_rows_by_a_single_statement_only(database: Make) -> None:
    dsn = database(HENS)
    (empty,) = audit(dsn, select=[DEADLOCK]).findings
    assert empty.severity is Severity.ERROR
    assert sqlstate(dsn, "INSERT INTO hens VALUES (1, 1)") == sqlstate(dsn, "INSERT INTO eggs VALUES (1, 1)") == "23503"
    assert sqlstate(dsn, BOTH) == ""
    run(dsn, (f"{BOTH};",), {})
    (grown,) = audit(dsn, select=[DEADLOCK]).findings
    assert grown.severity is Severity.WARNING
    assert grown.fingerprint == empty.fingerprint
    run(dsn, ("ANALYZE;",), {})
    seen = audit(dsn, select=[DEADLOCK])
    assert ([finding.severity for finding in seen.findings], seen.summary.probes) == ([Severity.WARNING], 0)
    assert [f.severity for f in audit(database(HENS), select=[DEADLOCK], depth="catalog").findings] == [
        Severity.WARNING
    ]


@pytest.mark.parametrize(("name", "state"), [("Bring", ""), ("bring", "23503")])
def test_only_a_trigger_that_fires_before_the_key_looks_brings_the_other_row(
    name: str, state: str, database: Make
) -> None:
    dsn = database(
        HENS,
        "CREATE FUNCTION bring() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO eggs VALUES (NEW.egg, NEW.id); RETURN NULL; END'",
        f'CREATE TRIGGER "{name}" AFTER INSERT ON hens FOR EACH ROW EXECUTE FUNCTION bring()',
    )
    assert sqlstate(dsn, "INSERT INTO hens VALUES (1, 1)") == state
    assert bool(titles(audit(dsn, select=[DEADLOCK]))) is bool(state)


# --- NULL under NOT NULL ---------------------------------------------------------------------------------------------


def test_a_row_with_null_under_not_null_not_valid_cannot_be_updated(database: Make, version: int) -> None:
    if version < 18:
        pytest.skip("for PostgreSQL 18 and later")
    dsn = database(
        "CREATE TABLE t (a int, b int)", "INSERT INTO t VALUES (1)", "ALTER TABLE t ADD NOT NULL b NOT VALID"
    )
    assert sqlstate(dsn, "UPDATE t SET a = a") == "23502"
    assert len(audit(dsn, select=[NULLS]).findings) == 1


def test_null_in_a_domain_fails_only_where_it_passes_through_the_domain(database: Make) -> None:
    dsn = database(
        "CREATE DOMAIN d AS int NOT NULL",
        "CREATE TABLE t (a int, b d)",
        "INSERT INTO t VALUES (1, (SELECT b FROM t WHERE false))",
    )
    assert sqlstate(dsn, "UPDATE t SET a = 2") == ""
    assert sqlstate(dsn, "UPDATE t SET b = b::int") == "23502"


def test_a_wide_table_is_read_once(database: Make) -> None:
    columns = ", ".join(f"c{number} int NOT NULL" for number in range(230))
    dsn = database(f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES ({', '.join(['1'] * 230)})")
    clean = audit(dsn, select=[NULLS], depth="full")
    assert (titles(clean), clean.summary.probes) == ([], 1)
    nullable = "UPDATE pg_attribute SET attnotnull = {} WHERE attname = 'c217'"
    run(dsn, (nullable.format("false") + ";", "UPDATE t SET c217 = NULL;", nullable.format("true") + ";"), {})
    (finding,) = audit(dsn, select=[NULLS], depth="full").findings
    assert re.match("1 row of public.t holds NULL in c217, ", finding.title)
    assert titles(audit(dsn, select=[NULLS])) == []
