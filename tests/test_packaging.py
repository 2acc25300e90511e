"""What is shipped is whole, and what README, the Makefile, CI and the compose file say of each other is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import auditor
from auditor.content import folder
from auditor.registry import load

pytestmark = [pytest.mark.once, pytest.mark.packaged]

ROOT = Path(__file__).parent.parent
MAJORS = ["13", "14", "15", "16", "17", "18"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel made from it."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def shipped(name: str) -> set[str]:
    """The files of a folder of the checkout that a wheel has to hold."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.checkout
def test_wheel_holds_the_package_its_checks_and_templates_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    content = {f"auditor/{path}" for name in ("checks", "templates") for path in shipped(name)}
    assert held == shipped("auditor") | content
    assert "auditor/py.typed" in held


@pytest.mark.checkout
def test_wheel_says_what_it_is(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata: Message = message_from_bytes(wheel.read(name))
    assert metadata["Name"] == "pg-integrity-auditor"
    assert metadata["Version"] == auditor.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Provides-Extra") == ["demo", "dev", "notify"]
    needed = {re.split(r"[^\w-]", line)[0] for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert needed == {"psycopg", "sqlalchemy", "typer", "jinja2", "pydantic", "prometheus-client"}


@pytest.mark.checkout
def test_source_distribution_can_be_tested(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        held = {name.partition("/")[2] for name in source.getnames()}
    assert {"Makefile", "CHANGELOG.md", "docker-compose.yml", "tests/conftest.py", "benchmarks/run.py"} <= held
    assert shipped("tests") <= held
    assert not [name for name in held if name.startswith((".venv", "dist/", "demo-report/"))]


def test_content_lies_where_the_package_looks() -> None:
    package = Path(auditor.__file__).parent
    for name in ("checks", "templates"):
        assert folder(name) in (package / name, package.parent / name)
        assert any(folder(name).iterdir())
    assert len(load()) == len(list(folder("checks").glob("*/[!_]*.py")))


def test_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="auditor")
    assert command.value == "auditor.cli:main"
    done = subprocess.run(
        [Path(sys.executable).parent / "auditor", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"auditor {auditor.__version__}\n"
    assert version("pg-integrity-auditor") == auditor.__version__


@pytest.mark.checkout
def test_changelog_tells_of_this_version() -> None:
    latest = re.search(r"^## \[?([\d.]+)\]?", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert latest is not None
    assert latest[1] == auditor.__version__


def targets() -> set[str]:
    """What `make` makes, pattern targets spelled out."""
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    return set(phony[1].replace("$(MATRIX)", "").split()) | {f"test-{major}" for major in MAJORS}


@pytest.mark.checkout
@pytest.mark.parametrize("file", ["README.md", ".ci/run", "Makefile"])
def test_targets_that_are_named_exist(file: str) -> None:
    # A command at the start of a line, after its indent, in a code span, or handed to a step.
    calls = re.findall(
        r"(?:^ *|^# +|`|\"\$\{limit\[@\]\}\" )make ((?:[a-z-]+(?: |$|`|(?=\n)))+)",
        (ROOT / file).read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    named = {word for call in calls for word in re.split(r" {2,}", call)[0].strip(" `").split()}
    assert {"demo", "test"} <= named
    assert named <= targets()


@pytest.mark.checkout
def test_matrix_covers_every_major_everywhere() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.findall(r"^  postgres-(\d+):\n(?:    .*\n)*?    image: postgres:\1\n", compose, re.MULTILINE) == MAJORS
    assert f"MAJORS = {' '.join(MAJORS)}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"majors=({' '.join(MAJORS)})\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.checkout
def test_compose_opens_ports_on_this_machine_only_and_mounts_what_is_there() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    ports = re.findall(r"^    ports: \[\"(.*)\"\]$", compose, re.MULTILINE)
    assert len(ports) == len(re.findall(r"^ +ports:", compose, re.MULTILINE)) == len(MAJORS) + 1
    assert all(re.fullmatch(r"127\.0\.0\.1:543\d\d:5432", port) for port in ports)
    assert len(set(ports)) == len(ports)
    mounted = re.findall(r"^      - \./([^:]+):", compose, re.MULTILINE)
    assert mounted
    assert [path for path in mounted if not (ROOT / path).is_file()] == []


@pytest.mark.checkout
def test_role_of_the_compose_file_is_the_one_in_readme() -> None:
    role = (ROOT / "docs/role.sql").read_text(encoding="utf-8").partition("\n")[2]
    assert role in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.checkout
def test_ci_can_be_run() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.checkout
def test_image_does_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert [line for line in stage if line.startswith("USER ")] == ["USER 10001:10001"]
