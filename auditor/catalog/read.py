"""Reads the catalog: every file of `queries/` once, all in the caller's one snapshot, whatever the number of tables."""

from __future__ import annotations

import gc
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import psycopg

from auditor.catalog.model import (
    Catalog,
    Column,
    Constraint,
    ForeignKey,
    Function,
    Index,
    IndexKey,
    RiTrigger,
    Rule,
    Sequence,
    Server,
    Table,
    Trigger,
    Type,
)

Row = dict[str, Any]
Fetch = Callable[[str], list[tuple[str | None, ...]]]

# In the order in which they are needed.
_QUERIES = (
    *("server", "control", "constraints", "types", "statistics", "columns", "indexes", "triggers", "operators"),
    *("foreign_keys", "rules", "tables", "functions", "sequences", "extensions", "shown", "activity"),
)
# What an administrator may have revoked from PUBLIC, and an audit can do without. The executor looks at privileges before
# it runs anything: no CASE keeps it from failing.
_OPTIONAL = ("control", "statistics", "shown", "activity")
_SINCE = re.compile(r"/\* (\d+)\+ \*/(.*?)/\* else \*/(.*?)/\* end \*/", re.DOTALL)
_EVENTS = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))


def query(name: str, major: int, locked: Iterable[int] = ()) -> str:
    """The text of `queries/<name>.sql` for a server of that major version.

    `/* 18+ */ this /* else */ that /* end */` chooses by version. `locked` are oids of which nothing is deparsed.
    """
    text = files("auditor.catalog").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    chosen = _SINCE.sub(lambda m: m[2] if major >= int(m[1]) else m[3], text)
    chosen = chosen.replace("/* locked */", ",".join(map(str, locked)))
    return re.sub(r"^--.*\n", "", chosen, flags=re.MULTILINE)


def _ask(fetch: Fetch, name: str, text: str) -> str:
    # One row of JSON per query: types survive (all results are loaded as text), and the parser is in C.
    each = "q.json_build_array" if name == "columns" else "pg_catalog.row_to_json(q)"
    whole = f"SELECT pg_catalog.json_agg({each})::text FROM (\n{text}) AS q"
    if name not in _OPTIONAL:
        return fetch(whole)[0][0] or "[]"
    fetch("SAVEPOINT optional")
    try:
        return fetch(whole)[0][0] or "[]"
    except psycopg.errors.InsufficientPrivilege:
        fetch("ROLLBACK TO SAVEPOINT optional")
        return "[]"


def read_locked(fetch: Fetch, *, major: int) -> tuple[int, ...]:
    """Relations and functions that cannot be deparsed now, because another session holds a lock; by oid."""
    return tuple(int(row[0] or 0) for row in fetch(query("locked", major)))


def read_catalog(fetch: Fetch, *, major: int, host: str, port: int, locked: Iterable[int] = ()) -> Catalog:
    """The catalog of the database that `fetch` runs SQL in.

    `fetch` must run every query in one REPEATABLE READ transaction with an empty search_path, or deparsed text
    is not qualified. What is `locked` comes without expressions and definitions, and marked so. Raises what `fetch` raises.
    """
    locked = tuple(locked)
    # Tens of thousands of small objects are made and none is dropped: collecting in between only costs.
    collecting = gc.isenabled()
    gc.disable()
    try:
        # The server works on the next query while the last answer is taken apart.
        ahead = ThreadPoolExecutor(1)
        try:
            texts = {name: ahead.submit(_ask, fetch, name, query(name, major, locked)) for name in _QUERIES}
            return _read(lambda name: json.loads(texts[name].result()), host, port)
        finally:
            ahead.shutdown(wait=False, cancel_futures=True)
    finally:
        if collecting:
            gc.enable()


def _read(rows: Callable[[str], list[Any]], host: str, port: int) -> Catalog:
    server = rows("server")[0]
    control = rows("control")
    constraints = rows("constraints")
    types = _types(rows("types"), constraints)
    names: dict[int, dict[int, str]] = defaultdict(dict)
    statistics = {(r["table"], r["column"]): r for r in rows("statistics")}
    columns: dict[int, list[Column]] = defaultdict(list)
    for row in rows("columns"):
        table, number, name = row[:3]
        names[table][number] = name
        columns[table].append(_column(row, types, statistics.get((table, name), _NO_STATISTICS)))
    checks: dict[int, list[Constraint]] = defaultdict(list)
    for row in constraints:
        if row["table"]:
            checks[row["table"]].append(_constraint(row, names[row["table"]]))
    indexes: dict[int, list[Index]] = defaultdict(list)
    for row in rows("indexes"):
        indexes[row["table"]].append(_index(row, names[row["table"]]))
    triggers: dict[int, list[Trigger]] = defaultdict(list)
    internal: list[Row] = []
    for row in rows("triggers"):
        if row["internal"]:
            internal.append(row)
        else:
            triggers[row["table"]].append(_trigger(row, names[row["table"]]))
    operators = {row["oid"]: (row["schema"], row["name"]) for row in rows("operators")}
    foreign_keys = _foreign_keys(rows("foreign_keys"), internal, operators, names)
    rules: dict[int, list[Rule]] = defaultdict(list)
    for row in rows("rules"):
        event = {"2": "update", "3": "insert", "4": "delete"}[row["event"]]
        rules[row["table"]].append(
            Rule(row["name"], row["table"], event, row["instead"], row["enabled"], row["definition"])
        )
    relations = rows("tables")
    children: dict[int, list[int]] = defaultdict(list)
    for row in relations:
        for parent in row["parents"] or ():
            children[parent].append(row["oid"])
    tables = {}
    for row in relations:
        oid = row["oid"]
        tables[oid] = Table(
            oid=oid,
            schema=row["schema"],
            name=row["name"],
            kind=row["kind"],
            persistence=row["persistence"],
            owner=row["owner"],
            is_partition=row["is_partition"],
            parents=tuple(row["parents"] or ()),
            children=tuple(children[oid]),
            rows=row["rows"],
            pages=row["pages"],
            all_visible=row["all_visible"],
            row_security=row["row_security"],
            readable=row["readable"],
            schema_usable=row["schema_usable"],
            comment=row["comment"],
            locked=row["locked"],
            columns=tuple(columns[oid]),
            constraints=tuple(checks[oid]),
            foreign_keys=tuple(foreign_keys[oid]),
            indexes=tuple(indexes[oid]),
            triggers=tuple(triggers[oid]),
            rules=tuple(rules[oid]),
        )
    return Catalog(
        server=Server(
            host=host,
            port=port,
            database=server["database"],
            user=server["user"],
            version=server["version"],
            version_num=server["version_num"],
            encoding=server["encoding"],
            system_identifier=control[0]["system_identifier"] if control else None,
            is_standby=server["is_standby"],
            superuser=server["superuser"],
            bypass_rls=server["bypass_rls"],
            dangerous=tuple(server["dangerous"]),
            snapshot=server["snapshot"],
        ),
        tables=tables,
        types=types,
        functions={row["oid"]: Function(**row) for row in rows("functions")},
        sequences={row["oid"]: _sequence(row) for row in rows("sequences")},
        extensions={row["name"]: row["version"] for row in rows("extensions")},
        shown={row["kind"]: (row["shown"], row["held"]) for row in rows("shown")},
        validating=_validating(rows("activity")),
    )


def _types(rows: list[Row], constraints: list[Row]) -> dict[int, Type]:
    by_oid = {row["oid"]: row for row in rows}
    checks: dict[int, list[Row]] = defaultdict(list)
    for row in constraints:
        if row["domain"]:
            checks[row["domain"]].append(row)
    unvalidated = {row["domain"] for row in constraints if row["type"] == "n" and not row["validated"]}

    def resolved(oid: int) -> Type:
        chain = [by_oid[oid]]
        while chain[-1]["base"] in by_oid:
            chain.append(by_oid[chain[-1]["base"]])
        demanding = [row for row in chain if row["not_null"]]
        return Type(
            oid=oid,
            schema=chain[0]["schema"],
            name=chain[0]["name"],
            kind=chain[0]["kind"],
            category=chain[-1]["category"],
            base=chain[-1]["oid"],
            not_null=bool(demanding),
            not_null_validated=any(row["oid"] not in unvalidated for row in demanding),
            default=next((row["default"] for row in chain if row["default"] is not None), None),
            checks=tuple(
                _constraint(check, {}) for row in chain for check in checks[row["oid"]] if check["type"] == "c"
            ),
            element=chain[-1]["element"],
        )

    return {oid: resolved(oid) for oid in by_oid}


_UNKNOWN = Type(0, "", "", "b", "X", 0, False, False, None)


_NO_STATISTICS: Row = {}


def _column(row: list[Any], types: dict[int, Type], statistics: Row) -> Column:
    _, number, name, type_name, oid, not_null, validated, default, identity, generated, *rest = row
    collation_schema, collation, deterministic, readable, comment = rest
    kind = types.get(oid, _UNKNOWN)
    return Column(
        number,
        name,
        type_name,
        oid,
        kind.base or oid,
        kind.category,
        not_null,
        validated,
        kind.not_null,
        default,
        identity,
        generated,
        (collation_schema, collation) if collation else None,
        deterministic,
        statistics.get("n_distinct"),
        statistics.get("null_frac"),
        readable,
        comment,
    )


def _constraint(row: Row, names: dict[int, str]) -> Constraint:
    return Constraint(
        oid=row["oid"],
        name=row["name"],
        type=row["type"],
        table=row["table"],
        columns=tuple(names[n] for n in row["columns"] if n in names),
        validated=row["validated"],
        enforced=row["enforced"],
        deferrable=row["deferrable"],
        deferred=row["deferred"],
        parent=row["parent"],
        no_inherit=row["no_inherit"],
        index=row["index"],
        expression=row["expression"],
        definition=row["definition"],
        inherited=row["inherited"],
        domain=row["domain"],
    )


def _index(row: Row, names: dict[int, str]) -> Index:
    keys = []
    classes = row["classes"] or [[None, None, True, None, None, None, None]] * row["key_count"]
    for position, number in enumerate(row["keys"][: row["key_count"]]):
        column = names.get(number) if number else None
        schema, opclass, default, collation_schema, collation, operator_schema, operator = classes[position]
        keys.append(
            IndexKey(
                column=column,
                expression=column if column is not None else row["expressions"][position],
                opclass=(schema, opclass),
                default_opclass=default,
                collation=(collation_schema, collation) if collation else None,
                equality=(operator_schema, operator) if operator else None,
            )
        )
    return Index(
        oid=row["oid"],
        name=row["name"],
        table=row["table"],
        unique=row["unique"],
        primary=row["primary"],
        exclusion=row["exclusion"],
        immediate=row["immediate"],
        valid=row["valid"],
        ready=row["ready"],
        live=row["live"],
        nulls_not_distinct=row["nulls_not_distinct"],
        keys=tuple(keys),
        include=tuple(names[n] for n in row["keys"][row["key_count"] :]),
        predicate=row["predicate"],
        constraint=row["constraint"],
        parent=row["parent"],
        definition=row["definition"],
        ordered=row["ordered"],
    )


def _trigger(row: Row, names: dict[int, str]) -> Trigger:
    bits = row["type"]
    return Trigger(
        oid=row["oid"],
        name=row["name"],
        table=row["table"],
        function=row["function"],
        enabled=row["enabled"],
        timing="before" if bits & 2 else "instead" if bits & 64 else "after",
        events=tuple(event for bit, event in _EVENTS if bits & bit),
        row=bool(bits & 1),
        columns=tuple(names[n] for n in row["columns"]),
        condition=row["condition"],
        definition=row["definition"],
        parent=row["parent"],
    )


def _foreign_keys(
    rows: list[Row],
    internal: list[Row],
    operators: dict[int, tuple[str, str]],
    names: dict[int, dict[int, str]],
) -> dict[int, list[ForeignKey]]:
    parent = {row["oid"]: row["parent"] for row in rows}

    def root(oid: int) -> int:
        while parent.get(oid):
            oid = parent[oid]
        return oid

    sides: dict[int, tuple[list[RiTrigger], list[RiTrigger]]] = defaultdict(lambda: ([], []))
    for row in internal:
        if row["constraint"] not in parent:
            continue  # of a deferrable unique constraint
        side = sides[root(row["constraint"])][0 if row["checks"] else 1]
        side.append(RiTrigger(row["name"], row["table"], row["enabled"]))

    found: dict[int, list[ForeignKey]] = defaultdict(list)
    for row in rows:
        if row["parent"]:
            continue
        own, other = names[row["table"]], names[row["referenced"]]
        found[row["table"]].append(
            ForeignKey(
                oid=row["oid"],
                name=row["name"],
                table=row["table"],
                columns=tuple(own[n] for n in row["columns"]),
                referenced=row["referenced"],
                referenced_columns=tuple(other[n] for n in row["referenced_columns"]),
                on_delete=row["on_delete"],
                on_update=row["on_update"],
                match=row["match"],
                delete_set_columns=tuple(own[n] for n in row["delete_set_columns"] or ()),
                operators=tuple(operators[oid] for oid in row["operators"] or ()),
                validated=row["validated"],
                enforced=row["enforced"],
                deferrable=row["deferrable"],
                deferred=row["deferred"],
                parent=row["parent"],
                period=row["period"],
                index=row["index"],
                definition=row["definition"],
                referencing_triggers=tuple(sides[row["oid"]][0]),
                referenced_triggers=tuple(sides[row["oid"]][1]),
            )
        )
    return found


def _validating(rows: list[Row]) -> dict[int, frozenset[str] | None]:
    found: dict[int, frozenset[str] | None] = {}
    for row in rows:
        table, names = row["table"], row["constraints"]
        known = found.get(table, frozenset())
        if names is None or known is None:
            found[table] = None
        elif names:
            found[table] = known | {n[1:-1].replace('""', '"') if n.startswith('"') else n.lower() for n in names}
    return found


def _sequence(row: Row) -> Sequence:
    return Sequence(
        oid=row["oid"],
        schema=row["schema"],
        name=row["name"],
        type=row["type"],
        increment=int(row["increment"]),
        minimum=int(row["minimum"]),
        maximum=int(row["maximum"]),
        cycles=row["cycles"],
        last_value=int(row["last_value"]) if row["last_value"] is not None else None,
        owner=(row["owner_table"], row["owner_column"]) if row["owner_column"] is not None else None,
        link=row["link"],
    )
