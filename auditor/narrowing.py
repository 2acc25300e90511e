"""`--where`: which rows of which tables are judged. A condition is the operator's own SQL over one table's columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from auditor.arbiter import countable
from auditor.catalog.model import Catalog, Table
from auditor.errors import ConfigError, nearest
from auditor.patterns import Scope, matches_table
from auditor.statements import Scanner

# `app.members: workspace_id = 7`; a cast is written with two colons.
_OF_TABLE = re.compile(r"""\s*((?:"(?:[^"]|"")*"|[^\s":()=<>'])+)\s*:(?!:)(.*)""", re.DOTALL)


@dataclass(frozen=True)
class Narrowing:
    """The conditions by table, and one example of each kind for the server to judge: where it stands, table, condition."""

    conditions: dict[int, str]
    examples: tuple[tuple[str, Table, str], ...]


def narrowing(catalog: Catalog, texts: Iterable[str], scope: Scope) -> Narrowing:
    """What these texts say: `condition`, of each table that has all columns it names, or `table: condition`.

    Several that speak of a table all have to hold. Raises ConfigError for one that is no condition, may run other people's
    code, or speaks of no table in scope.
    """
    found: dict[int, list[str]] = {}
    examples: dict[tuple[object, ...], tuple[str, Table, str]] = {}
    tables = [table for table in catalog.tables.values() if table.holds_rows]
    for text in texts:
        place = f"--where {text!r}"
        parsed = _OF_TABLE.match(text)
        pattern, condition = (parsed[1], parsed[2].strip()) if parsed else ("*", text.strip())
        _check(condition, place, catalog)
        named = [table for table in tables if matches_table(pattern, table.schema, table.name)]
        columns = _columns(condition, named)
        if not any(scope.holds(table.object()) for table in named):
            known = sorted(f"{table.schema}.{table.name}" for table in tables)
            raise ConfigError(f"{place}: no table in scope is called {pattern}{nearest(pattern, known)}")
        fitting = [table for table in named if columns and columns <= table.by_name.keys()]
        if not any(scope.holds(table.object()) for table in fitting):
            words = [token.value for token in Scanner(condition).tokens if token.names]
            known = sorted({name for table in named for name in table.by_name})
            near = next((hint for word in words if word not in known and (hint := nearest(word, known))), "")
            raise ConfigError(f"{place}: no table in scope has all the columns that it names{near}")
        for table in fitting:
            found.setdefault(table.oid, []).append(condition)
            kind = (text, *(table.by_name[name].type for name in sorted(columns)))
            examples.setdefault(kind, (place, table, condition))
    joined = {oid: " AND ".join(f"({one})" for one in each) if each[1:] else each[0] for oid, each in found.items()}
    return Narrowing(joined, tuple(examples.values()))


def _check(condition: str, place: str, catalog: Catalog) -> None:
    depth = 0
    tokens = Scanner(condition).tokens
    for token in tokens:
        depth += token.marks("(") - token.marks(")")
        if depth < 0 or token.marks(";"):
            break
    if depth or not tokens or any(token.marks(";") for token in tokens):
        raise ConfigError(f"{place}: expected one condition over the columns of a table")
    if not countable([condition], catalog):
        raise ConfigError(
            f"{place}: expected columns without their table's name, constants, operators, and functions that only compute"
        )


def _columns(condition: str, tables: list[Table]) -> set[str]:
    """What the condition names that some of the tables have as a column."""
    known = {name for table in tables for name in table.by_name}
    words = {token.value for token in Scanner(condition).tokens if token.names}
    return words & known


def said(where: Iterable[str]) -> str:
    """The conditions for the reader, as they were given."""
    return " and ".join(f"({one})" for one in where)
