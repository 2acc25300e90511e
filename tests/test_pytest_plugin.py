"""`pytest --audit-dsn`: a test item per finding and per object, as a user's own pytest runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Make
from tests.helpers import audit, login, plain_environment

pytestmark = [pytest.mark.once, pytest.mark.packaged]

TABLES = """
    CREATE TABLE targets (id int PRIMARY KEY);
    CREATE TABLE sources (id int PRIMARY KEY, target int, other int REFERENCES targets);
    INSERT INTO sources VALUES (1, 7, NULL);
    ALTER TABLE sources ADD CONSTRAINT sources_target FOREIGN KEY (target) REFERENCES targets NOT VALID;
"""
CONFIG = '[audit]\nselect = ["references/orphan-rows"]\ndepth = "full"\n'


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *arguments],
        cwd=folder,
        env=plain_environment({"PYTEST_ADDOPTS": "", "PYTHONWARNINGS": "", **environment}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "auditor.toml").write_text(CONFIG)
    return tmp_path


def test_findings_fail_and_clean_objects_pass(database: Make, folder: Path) -> None:
    code, said = run(folder, "--audit-dsn", database(TABLES))
    assert code == 1
    assert re.search(r"1 failed, 1 passed", said), said
    assert "FAILED audit::references/orphan-rows[constraint sources_target on public.sources]" in said
    assert "1 row of public.sources points to 1 row of public.targets that does not exist" in said
    assert "Traceback" not in said


def test_only_what_is_new_and_bad_enough_fails(database: Make, folder: Path) -> None:
    dsn = database(TABLES)
    (folder / "auditor.toml").write_text(CONFIG + 'fail_on = "never"\n')
    assert run(folder, "--audit-dsn", dsn)[0] == 0
    ignore = '[[ignore]]\ncheck = "references/orphan-rows"\nobject = "*"\nreason = "known"\n'
    (folder / "auditor.toml").write_text(CONFIG + ignore)
    code, said = run(folder, "--audit-dsn", dsn)
    assert code == 0
    assert re.search(r"1 passed, 1 skipped", said), said


def test_what_was_not_checked_fails(database: Make, folder: Path) -> None:
    reader = login(database(TABLES))
    code, said = run(folder, "--audit-dsn", reader)
    assert code == 1
    assert said.count("not checked: the login may not read it") >= 2
    (folder / "auditor.toml").write_text(CONFIG + "allow_incomplete = true\n")
    assert run(folder, "--audit-dsn", reader)[0] == 0


def test_the_fixture_is_the_audit(database: Make, folder: Path) -> None:
    dsn = database(TABLES)
    (folder / "test_mine.py").write_text(
        "def test_mine(audit):\n    assert [f.evidence.violations for f in audit.findings] == [1]\n"
    )
    assert run(folder, "--audit-dsn", dsn, "-k", "mine")[0] == 0
    code, said = run(folder)
    assert code == 1
    assert "the fixture `audit` needs --audit-dsn" in said
    assert len(audit(dsn, select=["references/orphan-rows"]).findings) == 1


def test_what_cannot_be_audited_is_one_line(folder: Path) -> None:
    code, said = run(folder, "--audit-dsn", "postgresql://127.0.0.1:1/none")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: auditor: " in said
    code, said = run(folder, "--audit-dsn", "postgresql://127.0.0.1:1/none", "--audit-depth", "deep")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "depth" in said
    code, said = run(folder, "--audit-dsn", "postgresql://127.0.0.1:1/none", "-n", "2")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "run it without -n" in said
    (folder / "auditor.toml").write_text('[database]\nurl = "postgresql://me:hunter2@host/db"\n')
    code, said = run(folder, "--audit-dsn", "")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "[database] url holds a password" in said
    assert "hunter2" not in said


def test_an_empty_dsn_is_that_of_the_configuration(database: Make, folder: Path) -> None:
    parts = {k: v for k, v in psycopg.conninfo.conninfo_to_dict(database(TABLES)).items() if v}
    (folder / "services").write_text("[staging]\n" + "".join(f"{name}={value}\n" for name, value in parts.items()))
    (folder / "auditor.toml").write_text('[database]\nurl = "service=staging"\n' + CONFIG)
    code, said = run(folder, "--audit-dsn=", PGSERVICEFILE=str(folder / "services"))
    assert code == 1, said
    assert re.search(r"1 failed, 1 passed", said), said


def test_without_the_option_nothing_is_audited(folder: Path) -> None:
    (folder / "test_mine.py").write_text("def test_mine():\n    pass\n")
    assert run(folder)[0] == 0
