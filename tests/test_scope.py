"""What is asked for is judged alone, as the whole would be: the same findings, the same questions, in much less time."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from auditor.audit import open_catalog
from auditor.catalog.infer import complete
from auditor.catalog.model import Catalog, Statement
from auditor.check import Ask, Depth, Result
from auditor.config import merged
from auditor.connection import Session, Target
from auditor.demo import APPLICATION, CONFIGURATION
from auditor.patterns import Scope
from auditor.plan import Plan, plan
from auditor.probe import Constants
from auditor.registry import Check, load
from auditor.statements import read_files
from auditor.text import qualified
from tests.conftest import Make
from tests.helpers import audit, content
from tests.test_checks import FILES, since

SCHEMAS = [path for path in FILES if "." not in path.stem or since(path) <= 15]


def scopes(catalog: Catalog) -> Iterator[Scope]:
    """Each table alone, each left out, and their schemas."""
    names = [qualified(table.schema, table.name) for table in catalog.tables.values()]
    for name in names:
        yield Scope(tables=(name,))
    for name in names[::7]:
        yield Scope(exclude_tables=(name,))
    for schema in {table.schema for table in catalog.tables.values()}:
        yield Scope(schemas=(schema,), exclude_tables=(names[0],))


def said(made: Plan) -> list[str]:
    """All that a plan says and asks."""
    lines = [f"finding {check.id} {finding!r}" for check, finding in made.findings]
    lines += [f"clean {check.id} {clean!r}" for check, clean in made.clean]
    lines += [f"not checked {check.id} {left!r}" for check, left in made.not_checked]
    lines += [f"skipped {check.id} {subject_of(ask)}" for check, ask in made.skipped]
    lines += [
        f"asked {check.id} {ask.subject!r}, {ask.depth}: {type(task.probe).__name__}"
        # of constants it only names some table meanwhile
        + ("" if isinstance(task.probe, Constants) else f" of {task.probe.table.sql}")
        for task in made.tasks
        for check, ask in task.asks
    ]
    return sorted(lines)


def subject_of(left: object) -> str:
    return repr(left.subject) + repr(left.unread) if isinstance(left, Ask) else repr(left)


def _found(results: tuple[Result, ...], _: Catalog) -> Iterator[Result]:
    return iter(results)


@pytest.mark.once
@pytest.mark.parametrize("path", [*SCHEMAS, APPLICATION], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_part_is_judged_as_in_the_whole(path: Path, database: Make, version: int) -> None:
    if version < 15 and ".15." in path.name:
        pytest.skip("for PostgreSQL 15 and later")
    text = path.read_text(encoding="utf-8")
    config = "\n".join(re.findall(r"^-- config: ?(.*)", text, re.MULTILINE))
    config = CONFIGURATION.read_text(encoding="utf-8") if path == APPLICATION else config
    handed = "\n".join(re.findall(r"^-- handed over: ?(.*)", text, re.MULTILINE))
    with Session(Target(database(text))) as session:
        read = open_catalog(session)
    catalog = complete(read, merged(tomllib.loads(config), {}), (Statement("queries.sql", 1, handed),))
    results = {check.id: tuple(check.run(catalog)) for check in load()}
    whole = [replace(check, run=partial(_found, results[check.id])) for check in load()]
    for scope in scopes(catalog):
        assert said(plan(catalog, load(), Depth.FULL, scope)) == said(plan(catalog, whole, Depth.FULL, scope)), scope


def test_a_table_of_many_is_judged_without_going_through_the_others(database: Make) -> None:
    others = "".join(f"CREATE TABLE other_{n} (id int PRIMARY KEY, x int REFERENCES other_0);" for n in range(1, 40))
    dsn = database(
        "CREATE TABLE other_0 (id int PRIMARY KEY);" + others,
        "CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE members (id int PRIMARY KEY, p int REFERENCES parents)",
    )
    with Session(Target(dsn)) as session:
        catalog = complete(open_catalog(session), merged({}, {}))
    met: set[frozenset[str]] = set()

    def watched(check: Check, seen: Catalog) -> Iterator[Result]:
        met.add(frozenset(table.name for table in seen.judged_tables))
        return check.run(seen)

    checks = [replace(check, run=partial(watched, check)) for check in load()]
    plan(catalog, checks, Depth.FULL, Scope(tables=("member*",)))
    assert met == {frozenset({"members", "parents"})}


def test_an_audit_of_a_part_finds_what_the_whole_does(database: Make) -> None:
    dsn = database(APPLICATION.read_text(encoding="utf-8"))
    config = CONFIGURATION.read_text(encoding="utf-8")
    statements = read_files([APPLICATION.with_name("queries.sql")])
    whole = audit(dsn, config, statements)
    scope = Scope(tables=("public.workspace*",))
    part = audit(dsn, config, statements, tables=scope.tables)
    wanted = {f.fingerprint for f in whole.findings if any(map(scope.holds, (f.object, *f.related)))}
    assert {f.fingerprint for f in part.findings} <= wanted
    of_part = [replace(f, evidence=None) for f in whole.findings if scope.holds(f.object)]
    assert of_part
    assert [replace(f, evidence=None) for f in part.findings if scope.holds(f.object)] == of_part
    assert content(part) != content(whole)
