"""The benchmarks run, at a scale that judges no time: every figure is there, every relation is answered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
COLUMNS = {
    *("user_id", "workspace_id", "plan_id", "role_id"),
    *("invited_by", "team_id", "source_id", "state_id", "100 rows"),
}


@pytest.mark.checkout
@pytest.mark.embedded
def test_references_at_a_small_scale() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "references.py")),
            *("--scale", "2000", "--runs", "1", "--shared-buffers", "128MB"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    totals = {row[0]: row[1:] for row in rows if len(row) == 8 and row[0] in ("bigint", "uuid")}
    relations = {(row[0], row[1]): row[4] for row in rows if len(row) == 9 and row[0] in ("bigint", "uuid")}
    assert set(totals) == {"bigint", "uuid"}
    assert all(float(figure) >= 0 for figures in totals.values() for figure in figures)
    assert set(relations) == {(kind, column) for kind in totals for column in COLUMNS}
    assert all(relations.values())


@pytest.mark.checkout
@pytest.mark.embedded
def test_load_at_a_small_scale() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "load.py"), "--rows", "2000", "--scale", "1"),
            *("--clients", "1", "--seconds", "1", "--turns", "1", "--paces", "gentle"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (row,) = (line.split("|") for line in done.stdout.splitlines() if line.startswith("| gentle"))
    assert int(row[2].strip(" %")) > 0
