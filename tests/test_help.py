"""What the command says of itself: help that tells every default, completion, and how loud it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from auditor.cli import app
from auditor.registry import identities
from auditor.report import FORMATS
from tests.conftest import Make
from tests.helpers import plain_environment, run_auditor

pytestmark = pytest.mark.once

GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands
OF_TYPER = {"--help", "--install-completion", "--show-completion", "--version"}


def options(command: Any) -> Iterator[Any]:
    return (p for p in command.params if p.param_type_name == "option" and not OF_TYPER & {*p.opts})


def test_every_option_of_every_command_says_its_default() -> None:
    assert len(COMMANDS) >= 13
    for name, command in COMMANDS.items():
        context = command.make_context(name, ["--help"], resilient_parsing=True)
        for option in options(command):
            record = option.get_help_record(context)
            assert record is not None, (name, option.name)
            assert re.search(r"\[default: [^\]]+\]", record[1]), (name, option.name, record[1])
            assert len(record[1].partition("[default")[0]) > 4, (name, option.name)


def test_every_command_has_a_help_and_those_that_audit_an_example_and_exit_codes() -> None:
    for name, command in COMMANDS.items():
        assert len(command.get_short_help_str(200)) > 20, name
    for name in ("audit", "plan", "diff", "baseline", "whatif", "explain-delete", "init", "doctor", "history"):
        for example in COMMANDS[name].epilog.splitlines()[2:]:
            assert example.startswith(f"  auditor {name} "), example
            assert len(example) < 80, example
            named = {word for word in re.findall(r"(?<=\s)--?[a-z][a-z-]*", example.partition(" | ")[0])}
            known = {opt for option in COMMANDS[name].params for opt in option.opts}
            assert named <= known, (example, named - known)
    for name in ("audit", "diff", "whatif", "explain-delete", "doctor"):
        assert "Exit codes: 0 " in " ".join(COMMANDS[name].help.split()), name


# --- completion ----------------------------------------------------------------------------------------------------


def offered(line: str, shell: str = "bash") -> list[str]:
    """What the shell is offered at the end of a line."""
    words = line.split(" ")
    ask = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("auditor"))],
        env=plain_environment({"_AUDITOR_COMPLETE": f"complete_{shell}", **ask}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return re.findall(r'"([^"]+)"', done.stdout) if shell == "zsh" else done.stdout.split()


def test_names_are_completed() -> None:
    ids = [identity for identity in identities() if identity.startswith("nullability/")]
    assert offered("auditor explain nulla") == ["nullability", *ids]
    assert offered("auditor audit --select uniqueness,nullability/nu") == ["uniqueness,nullability/null-in-not-null"]
    assert offered("auditor audit --ignore refe")[0] == "references"
    assert offered("auditor audit --format s") == ["sarif"]
    assert tuple(offered("auditor audit -f ")) == FORMATS
    assert offered("auditor plan --depth ") == ["catalog", "data", "full"]
    assert offered("auditor audit --fail-on w") == ["warning"]
    assert offered("auditor audit --color n") == ["never"]
    assert offered("auditor schema r") == ["report"]
    assert {"audit", "plan", "diff"} <= {*offered("auditor ")}
    assert "--baseline" in offered("auditor audit --base")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(shell: str) -> None:
    assert offered("auditor audit --pace ", shell) == ["gentle", "normal", "fast"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("auditor"))],
        env=plain_environment({"_AUDITOR_COMPLETE": f"source_{shell}"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"_AUDITOR_COMPLETE=complete_{shell}" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, timeout=60, check=True)
    if shell == "bash" and shutil.which("bash"):
        words = "COMP_WORDS=(auditor audit --depth ca); COMP_CWORD=3; _auditor_completion auditor; echo ${COMPREPLY[@]}"
        folder = str(Path(sys.executable).parent)
        said = subprocess.run(
            ["bash", "-c", f"{done.stdout}\nPATH={folder}:$PATH; {words}"],
            env=plain_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert said.stdout == "catalog\n"


# --- how loud ------------------------------------------------------------------------------------------------------

TABLES = """
    CREATE TABLE users (id int PRIMARY KEY);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int);
    INSERT INTO orders VALUES (4711, 7);
    ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users NOT VALID;
"""


def test_color_quiet_and_verbose(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    asked = ("audit", dsn, "--select", "references/orphan-rows")
    plain = run_auditor(*asked, cwd=tmp_path)
    assert "\x1b[" not in plain.stdout  # no terminal
    colored = run_auditor(*asked, "--color", "always", cwd=tmp_path, environment={"NO_COLOR": "1"})
    assert "\x1b[" in colored.stdout  # who says always means it
    verbose = run_auditor(*asked, "-v", cwd=tmp_path)
    assert "4711" in verbose.stdout
    assert "4711" not in plain.stdout
    assert len(verbose.stdout) > len(plain.stdout)
    quiet = run_auditor(*asked, "-q", cwd=tmp_path)
    assert quiet.stdout == plain.stdout.splitlines(keepends=True)[-1]
    assert quiet.stderr == ""


@pytest.mark.parametrize(
    ("environment", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    ids=["a terminal", "NO_COLOR", "NO_COLOR empty", "TERM=dumb"],
)
def test_a_terminal_has_color_unless_it_is_unwanted(
    environment: dict[str, str], colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR counts when it is there and not empty (no-color.org)."""
    from auditor.cli import _color

    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert _color("auto", None) is colored
    assert _color("never", None) is False
    assert _color("always", Path("report.txt")) is False
