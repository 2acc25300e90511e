"""The other checks of references: fixes that mend and roll back, cycles against a plain oracle, what the configuration says."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.conftest import Make
from tests.test_references import Case, about, run

CASES = Path(__file__).parent / "checks"
MINE = (
    "references/partial_reference",
    "references/duplicate_fk",
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
