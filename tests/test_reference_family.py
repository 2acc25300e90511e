"""The other checks of references: fixes that mend and roll back, cycles against a plain oracle, what the configuration says."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from auditor.check import Severity
from tests.conftest import Make
from tests.helpers import audit
from tests.test_references import Case, about, run

CASES = Path(__file__).parent / "checks"
MINE = (
    "references/partial_reference",
    "references/duplicate_fk",
    "references/fk_type_mismatch",
)
FILES = sorted(path for name in MINE for path in CASES.glob(f"{name}*.sql"))
# What the human who reads the report fills in, by column.
FILLED_IN = {
    "hall": "1",
    "aisle": "5",
    "seat": "1",
    "tenant_id": "1",
    "project_id": "1",
    '"A a"': "1",
    '"b""b"': "'x'",
    '"%s"': "'2024-01-01'",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fixes_mend_and_roll_back(path: Path, database: Make, version: int) -> None:
    """Each fix, on a copy of the case: its finding is gone afterwards, and back after the rollback."""
    since = int(path.stem.partition(".")[2] or 0)
    if version < since:
        pytest.skip(f"for PostgreSQL {since} and later")
    case = Case(path)
    template = psycopg.conninfo.conninfo_to_dict(database(case.text))["dbname"]
    found = case.audit(database(TEMPLATE=str(template))).findings
    assert found
    for finding in found:
        assert [fix.recommended for fix in finding.fixes] == [True] + [False] * (len(finding.fixes) - 1)
        for fix in finding.fixes:
            assert fix.locks or not fix.sql
            if not fix.sql or fix.title.startswith("Restore the missing"):
                continue  # the application's business, or a backup's
            dsn = database(TEMPLATE=str(template))
            run(dsn, fix.sql, FILLED_IN)
            assert about(case.audit(dsn), finding) == [], (finding.title, fix.title)
            if fix.rollback:
                run(dsn, fix.rollback, FILLED_IN)
                back = bool(about(case.audit(dsn), finding))
                assert back is not any(
                    "Nothing takes the values back" in c or "not the values" in c for c in fix.caveats
                )


def test_keys_that_a_reference_can_no_longer_hold_are_an_error(database: Make) -> None:
    result = Case(CASES / "references/fk_type_mismatch.sql").audit(
        database((CASES / "references/fk_type_mismatch.sql").read_text())
    )
    wrong = {finding.object.table for finding in result.findings if finding.severity is Severity.ERROR}
    assert wrong == {"outgrown_notes", "j"}


def test_two_collations_do_not_join(database: Make) -> None:
    dsn = database("""
        CREATE TABLE p (e text COLLATE "POSIX" UNIQUE, f text UNIQUE);
        CREATE TABLE c (e text COLLATE "C" REFERENCES p (e), f text COLLATE "C" REFERENCES p (f));
        INSERT INTO p VALUES ('a', 'a');
        INSERT INTO c VALUES ('a', 'a');
    """)
    messages = [finding.message for finding in audit(dsn, select=["references/fk-type-mismatch"]).findings]
    assert ["42P22" in message for message in messages] == [True, False]
    with psycopg.connect(dsn) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute("EXPLAIN SELECT p.e FROM p WHERE f = (SELECT f FROM c)").fetchall()
        assert "Index" not in str(plan), "the index of the key has another collation"
        with pytest.raises(psycopg.errors.IndeterminateCollation):
            connection.execute("SELECT FROM c JOIN p ON c.e = p.e")


@pytest.mark.parametrize(("first", "second"), [("CASCADE", "NO ACTION"), ("NO ACTION", "CASCADE")])
def test_of_keys_that_contradict_the_older_one_decides(database: Make, first: str, second: str) -> None:
    dsn = database(f"""
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE c (p int);
        INSERT INTO p VALUES (1);
        INSERT INTO c VALUES (1);
        ALTER TABLE c ADD CONSTRAINT z FOREIGN KEY (p) REFERENCES p ON DELETE {first};
        ALTER TABLE c ADD CONSTRAINT a FOREIGN KEY (p) REFERENCES p ON DELETE {second};
    """)
    with psycopg.connect(dsn) as connection:
        if first == "CASCADE":
            connection.execute("DELETE FROM p")
        else:
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                connection.execute("DELETE FROM p")
