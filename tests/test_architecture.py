"""Imports go one way: a check knows the questions and the catalog, a report knows the audit, nobody knows the commands.

What is imported under TYPE_CHECKING does not exist at run time and is not counted.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import auditor
from auditor.content import folder

pytestmark = pytest.mark.once

PACKAGE = Path(auditor.__file__).parent
CHECKS = sorted(folder("checks").glob("*/*.py"))
# In a wheel the content lies inside the package.
SOURCES = {
    ".".join(("auditor", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in ("checks", "templates")
}

A_CHECK_MAY_IMPORT = (
    "auditor.check",
    "auditor.probe",
    "auditor.catalog.model",
    "auditor.catalog.infer",
    "auditor.catalog.discriminators",
    "auditor.catalog.copies",
    "auditor.catalog.sequences",
    "auditor.bodies",
    "auditor.text",
    "auditor.ddl",
    "auditor.*remedies",
    "auditor.refusals",
    "auditor.defaults",
    "auditor.arbiter",
    "auditor.cascade",
    "auditor.cancelling",
)
READS_THE_DATABASE = (
    "auditor.connection",
    "auditor.run",
    "auditor.plan",
    "auditor.catalog.read",
    "auditor.probe.*",
    "psycopg",
    "sqlalchemy",
)
# Modules, and what they must not import.
FORBIDDEN = {
    "auditor.*": ("auditor.cli", "checks", "auditor.checks", "auditor_checks"),
    "auditor.check": ("auditor.*",),
    "auditor.catalog.*": ("auditor.probe*", "auditor.registry", "auditor.audit", "auditor.report*", "sqlalchemy"),
    "auditor.catalog.model": READS_THE_DATABASE,
    "auditor.catalog.infer": READS_THE_DATABASE,
    "auditor.catalog.names": ("auditor.*",),
    "auditor.catalog.references": READS_THE_DATABASE,
    "auditor.catalog.discriminators": READS_THE_DATABASE,
    "auditor.catalog.copies": READS_THE_DATABASE,
    "auditor.probe": READS_THE_DATABASE,
    "auditor.probe.*": ("auditor.plan", "auditor.run", "auditor.connection", "auditor.registry", "psycopg"),
    "auditor.plan": ("auditor.run", "auditor.connection", "auditor.audit", "psycopg"),
    "auditor.run": ("auditor.audit", "auditor.report*", "auditor.registry"),
    "auditor.connection": ("auditor.run", "auditor.plan", "auditor.audit", "auditor.catalog*", "auditor.probe*"),
    "auditor.audit": ("auditor.report*", "auditor.output", "auditor.diff", "auditor.demo*"),
    "auditor.report*": READS_THE_DATABASE,
    "auditor.diff": READS_THE_DATABASE,
    "auditor.cascade": READS_THE_DATABASE,
    "auditor.cancelling": READS_THE_DATABASE,
    "auditor.deletion": ("auditor.audit", "auditor.report*", "auditor.registry"),
    "auditor.text": ("auditor.*",),
    "auditor.content": ("auditor.*",),
    "auditor.errors": ("auditor.*",),
}


def at_run_time(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements in a module and in its functions, without those for the type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in node.orelse:
                yield from at_run_time(other)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        else:
            yield from at_run_time(node)


def imports(path: Path) -> set[str]:
    """The modules that a file imports: those of the auditor in full, the top level package of others."""
    found = set()
    for node in at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert not node.level, f"{path}: relative import"
            module = node.module or ""
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if name in SOURCES} or {module}
    return {name if name.split(".")[0] == "auditor" else name.split(".")[0] for name in found}


IMPORTS = {name: imports(path) for name, path in SOURCES.items()}


def test_modules_are_found() -> None:
    assert {"auditor", "auditor.cli", "auditor.catalog.model", "auditor.probe", "auditor.report"} <= set(SOURCES)
    assert "auditor.registry" in IMPORTS["auditor.cli"], "imports inside functions count"
    assert "auditor.config" not in IMPORTS["auditor.catalog.infer"], "imports for the type checker do not"
    assert CHECKS


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_check_knows_questions_and_catalog_only(path: Path) -> None:
    known = sys.stdlib_module_names
    strange = {
        name
        for name in imports(path)
        if name not in known and not any(fnmatchcase(name, may) for may in A_CHECK_MAY_IMPORT)
    }
    assert strange == set()


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_direction(pattern: str) -> None:
    modules = [name for name in SOURCES if fnmatchcase(name, pattern) and name != "auditor.__main__"]
    assert modules, f"no module is called {pattern}"
    wrong = {
        f"{module} imports {name}"
        for module in modules
        for name in IMPORTS[module]
        for never in FORBIDDEN[pattern]
        if fnmatchcase(name, never) and name != module
    }
    assert wrong == set()


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: {other for other in found if other in SOURCES} for name, found in IMPORTS.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


@pytest.mark.parametrize(
    ("start", "unwanted"),
    [
        ("import auditor.cli", {"psycopg", "sqlalchemy", "pydantic", "jinja2"}),
        ("from auditor.registry import load; load()", {"psycopg", "sqlalchemy", "pydantic", "jinja2"}),
        ("import auditor.probe", {"psycopg", "sqlalchemy"}),
    ],
    ids=["command", "checks", "questions"],
)
def test_starts_without(start: str, unwanted: set[str]) -> None:
    """`auditor --help` and `auditor checks` answer at once, because they load nothing they do not need."""
    code = f"import sys; {start}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert unwanted & set(done.stdout.split()) == set()
