"""The samples in docs/release parse, and their commands are ones that the auditor takes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer.main
import yaml

from auditor.cli import _outputs, app
from tests.conftest import Make
from tests.helpers import run_auditor

pytestmark = [pytest.mark.once, pytest.mark.checkout]

ROOT = Path(__file__).parent.parent
RELEASE = ROOT / "docs/release"
SAMPLES = sorted(path.name for path in RELEASE.glob("*"))
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def sample(name: str) -> Any:
    return yaml.safe_load((RELEASE / name).read_text(encoding="utf-8"))


def texts(value: Any) -> list[str]:
    """Every text in a document, without what ends an inner command."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def commands(text: str) -> list[list[str]]:
    """The auditor's commands in a shell script."""
    found = re.findall(r"(?:^|')auditor ([^<>|&']*)", text, re.MULTILINE)
    return [shlex.split(each) for each in found]


def test_there_is_one_for_each_place() -> None:
    assert SAMPLES == ["github-action.yml", "gitlab-ci.yml", "pre-commit-config.yaml"]


@pytest.mark.parametrize("name", SAMPLES)
def test_commands_of_a_sample_are_known(name: str) -> None:
    found = [command for text in texts(sample(name)) for command in commands(text)]
    assert found
    for command, *arguments in found:
        context = COMMANDS[command].make_context(command, arguments)  # refuses what it does not know
        assert context.args == []
        for text in context.params.get("format") or ():
            assert _outputs([text])


def test_readme_commands_are_known() -> None:
    """In code blocks too, and with every option spelled as the command has it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = [
        shlex.split(each.partition(" #")[0]) for each in re.findall(r"^    auditor ([^<>|\n]*)", readme, re.MULTILINE)
    ]
    assert len(found) > 15
    for command, *arguments in found:
        COMMANDS[command].make_context(command, arguments)


def test_the_workflow_uploads_what_it_writes() -> None:
    steps = sample("github-action.yml")["jobs"]["audit"]["steps"]
    (audit,) = [step["run"] for step in steps if step.get("name") == "Audit"]
    (upload,) = [step for step in steps if "upload-sarif" in step.get("uses", "")]
    assert f"sarif:{upload['with']['sarif_file']}" in audit
    assert upload["if"] == "always()"
    reports = sample("gitlab-ci.yml")["audit"]["artifacts"]["reports"]
    (written,) = (text for text in sample("gitlab-ci.yml")["audit"]["script"] if text.startswith("auditor audit "))
    assert f"gitlab:{reports['codequality']}" in written
    assert f"junit:{reports['junit']}" in written


def test_the_workflow_fails_for_what_is_new(database: Make, tmp_path: Path) -> None:
    dsn = database("CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE a (id int PRIMARY KEY)")
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    environment = {names[key]: str(value) for key, value in parts.items() if key in names and value}
    steps = sample("github-action.yml")["jobs"]["audit"]["steps"]
    ((_, *arguments),) = [commands(step["run"])[0] for step in steps if step.get("name") == "Audit"]

    def run(command: str, *words: str) -> tuple[int, str]:
        done = run_auditor(command, *words, cwd=tmp_path, environment=environment)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, done.stdout

    run("audit", "-q", "-f", "json:report.json", "--fail-on", "never")
    assert run("baseline", "report.json")[0] == 0
    assert run("audit", *arguments)[0] == 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE a ADD p int NOT NULL REFERENCES parents ON DELETE SET NULL")
    code, said = run("audit", *arguments)
    assert code == 1
    assert "::error title=nullability/set-null-on-not-null" in said
    assert json.loads((tmp_path / "audit.sarif").read_text())["runs"][0]["results"]
    assert "set-null-on-not-null" in (tmp_path / "audit.md").read_text()
