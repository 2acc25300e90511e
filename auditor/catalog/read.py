"""Reads the catalog: every file of `queries/` once, all in the caller's one snapshot, whatever the number of tables."""

from __future__ import annotations

import gc
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from typing import Any

import psycopg

from auditor.catalog.model import (
    Catalog,
    Checksums,
    Column,
    Constraint,
    ForeignCode,
    ForeignKey,
    Function,
    Index,
    IndexKey,
    RiTrigger,
    Rule,
    Sequence,
    Server,
    Statement,
    Table,
    Trigger,
    Type,
)
from auditor.text import ident, literal, plural, qualified, unquoted

Row = dict[str, Any]
Fetch = Callable[[str], list[tuple[str | None, ...]]]
Wanted = Callable[[Table], bool]
Distribution = dict[tuple[int, str], tuple[float | None, float | None]]

# What is read of each query, in the order in which the queries are needed.
_QUERIES = {
    "server": "database user login version version_num encoding is_standby superuser bypass_rls dangerous acting snapshot",
    "connections": "free",
    "activity": "table constraints building",  # early: what goes on in the catalog's snapshot may end any moment
    "control": "system_identifier failures shared_failures last_failure last_shared_failure",
    "constraints": "oid name type table columns validated enforced deferrable deferred parent no_inherit index expression"
    " definition inherited domain",
    "types": "oid schema name kind category base under element not_null collatable default labels",
    "columns": "table number name type type_oid not_null not_null_validated default identity generated collation_schema"
    " collation deterministic readable comment",
    "opclasses": "oid schema name default operator_schema operator",
    "collations": "oid schema name recorded actual",
    "indexes": "oid name table unique primary exclusion immediate valid ready live nulls_not_distinct key_count keys"
    " expressions opclasses collations predicate constraint parent ordered method",
    "triggers": "oid name table function enabled internal constraint parent type columns condition checks definition",
    "operators": "oid schema name left right",
    "foreign_keys": "oid name table columns referenced referenced_columns on_delete on_update match delete_set_columns"
    " operators validated enforced deferrable deferred parent period index definition",
    "rules": "name table event instead enabled definition",
    "foreign_code": "table schema function owner inserting",
    "tables": "oid schema name kind persistence owner is_partition parents rows pages all_visible row_security readable"
    " schema_usable comment locked of_extension definition",
    "functions": "oid schema name arguments language kind returns body says_conflict search_path locked",
    "sequences": "oid schema name type start increment minimum maximum cycles persistence last_value readable locked owner_table"
    " owner_column link drawn",
    "extensions": "name version recorder nested relations",
    "shown": "kind shown held",
    "storage": "table main toast stamp",
    "statistics": "table column n_distinct null_frac",  # last: which tables are wanted is known once all are
}
# What only who reads rows has to know.
_OF_ROWS = ("storage", "statistics")
# What an administrator may have revoked from PUBLIC, and an audit can do without. The executor looks at privileges before
# it runs anything: no CASE keeps it from failing.
_OPTIONAL = ("connections", "control", "statistics", "shown", "activity")
_RECORDER = "pg_stat_statements"
_UNREADABLE = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState, psycopg.DataError)
_SINCE = re.compile(r"/\* (\d+)\+ \*/(.*?)/\* else \*/(.*?)/\* end \*/", re.DOTALL)
_EVENTS = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))


def query(name: str, major: int, locked: Iterable[int] = (), tables: Collection[str] | None = None) -> str:
    """The text of `queries/<name>.sql` for a server of that major version.

    `/* 18+ */ this /* else */ that /* end */` chooses by version. `locked` are oids of which nothing is deparsed, `tables` the
    names of those whose statistics are asked for; None: of all.
    """
    text = files("auditor.catalog").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    chosen = _SINCE.sub(lambda m: m[2] if major >= int(m[1]) else m[3], text)
    chosen = chosen.replace("/* locked */", ",".join(map(str, locked)))
    if tables is not None:
        named = f"s.tablename IN ({', '.join(map(literal, tables))})" if tables else "false"
        chosen = chosen.replace("/* tables */ true", named)
    return re.sub(r"^--.*\n", "", chosen, flags=re.MULTILINE)


def _ask(fetch: Fetch, name: str, text: str) -> tuple[str | None, ...]:
    # One array of JSON per column: types survive (all results are loaded as text), the parser is in C, and the server
    # looks up how to write a value once per column instead of once per value. The query itself comes first, because
    # pg_stat_activity shows the beginning.
    columns = ", ".join(f'pg_catalog.json_agg(q."{column}")::text' for column in _QUERIES[name].split())
    whole = f"WITH q AS (\n{text}) SELECT {columns} FROM q"
    if name not in _OPTIONAL:
        return fetch(whole)[0]
    fetch("SAVEPOINT optional")
    try:
        return fetch(whole)[0]
    except psycopg.errors.InsufficientPrivilege:
        fetch("ROLLBACK TO SAVEPOINT optional")
        return ()


def _recorded(
    fetch: Fetch, extensions: Future[tuple[str | None, ...]], major: int
) -> tuple[tuple[Statement, ...], str]:
    """What pg_stat_statements has recorded, and why that is not all. It may be installed without being loaded."""
    _, _, schemas, nested, _ = (json.loads(column or "[]") for column in extensions.result())
    number = next((number for number, schema in enumerate(schemas) if schema is not None), None)
    if number is None:
        return (), ""
    text = query("recorded", major).replace("/* recorder */", qualified(schemas[number], _RECORDER))
    text = text.replace("/* nested */", "NOT s.toplevel" if nested[number] else "NULL")
    fetch("SAVEPOINT optional")
    try:
        rows = fetch(text)
    except _UNREADABLE as error:
        fetch("ROLLBACK TO SAVEPOINT optional")
        return (
            (),
            f"{_RECORDER} is installed, and could not be read (SQLSTATE {error.sqlstate}): what it recorded was not judged",
        )
    inside = {"t": True, "f": False, None: None}
    found = tuple(Statement(_RECORDER, 1, text, "", True, inside[nested]) for text, nested in rows if text is not None)
    hidden = len(rows) - len(found)
    why = f"{_RECORDER} hides the texts of {plural(hidden, 'statement')} from this login: pg_read_all_stats shows them"
    return tuple(dict.fromkeys(found)), why if hidden else ""


def read_locked(fetch: Fetch, *, major: int) -> tuple[int, ...]:
    """Relations and functions that cannot be deparsed now, because another session holds a lock; by oid."""
    return tuple(int(row[0] or 0) for row in fetch(query("locked", major)))


def read_foreign_code(fetch: Fetch, *, major: int, trusted: Collection[str]) -> dict[int, tuple[ForeignCode, ...]]:
    """What planning a query of each table would run by now, as in the catalog, but for the code of `trusted` owners. A table that
    has got children since the catalog was read is planned with them, and has their code too."""
    found: dict[int, set[ForeignCode]] = defaultdict(set)
    for table, schema, function, owner, inserting in fetch(query("foreign_code", major)):
        if owner not in trusted:
            found[int(table or 0)].add(ForeignCode(str(schema), str(function), str(owner), inserting == "t"))
    if found:
        parents: dict[int, list[int]] = defaultdict(list)
        for child, parent in fetch("SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits"):
            parents[int(child or 0)].append(int(parent or 0))
        todo = list(found)
        while todo:
            child_oid = todo.pop()
            for oid in parents[child_oid]:
                if not found[child_oid] <= found[oid]:
                    found[oid] |= found[child_oid]
                    todo.append(oid)
    return {oid: tuple(sorted(code, key=lambda one: (one.schema, one.function))) for oid, code in found.items()}


def read_catalog(
    fetch: Fetch,
    *,
    major: int,
    host: str,
    port: int,
    locked: Iterable[int] = (),
    statistics: Wanted | None = lambda _: True,
    meanwhile: Callable[[], object] = lambda: None,
) -> Catalog:
    """The catalog of the database that `fetch` runs SQL in, in another thread.

    `fetch` must run every query in one REPEATABLE READ transaction with an empty search_path, or deparsed text
    is not qualified. What is `locked` comes without expressions and definitions, and marked so. `statistics` says of which
    tables the distribution of values is wanted; None: of none, nor where rows lie. `meanwhile` is run while the server works on
    the first answers.
    Raises what `fetch` and `meanwhile` raise.
    """
    locked = tuple(locked)
    names = [name for name in _QUERIES if name != "statistics" and (statistics is not None or name not in _OF_ROWS)]
    # Tens of thousands of small objects are made and none is dropped: collecting in between only costs. And the other thread
    # would wait for its turn, 5 ms at a time, with each piece that the server has sent.
    collecting, switching = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(0.001)
    try:
        # The server works on the next query while the last answer is taken apart.
        ahead = ThreadPoolExecutor(1)
        try:
            texts = {name: ahead.submit(_ask, fetch, name, query(name, major, locked)) for name in names}
            recorded = ahead.submit(_recorded, fetch, texts["extensions"], major)
            meanwhile()

            def rows(name: str) -> list[Any]:
                return list(zip(*(json.loads(text or "[]") for text in texts[name].result()), strict=True))

            def distribution(tables: dict[int, Table]) -> Distribution:
                """Asks for them."""
                if statistics is None:
                    return {}
                wanted = [table.name for table in tables.values() if statistics(table)]
                some = wanted if len(wanted) < len(tables) else None
                texts["statistics"] = ahead.submit(_ask, fetch, "statistics", query("statistics", major, tables=some))
                return {row[:2]: row[2:] for row in rows("statistics")}

            catalog = _read(rows, distribution, host, port, statistics is not None)
            statements, unrecorded = recorded.result()
            return replace(catalog, statements=statements, unrecorded=unrecorded)
        finally:
            ahead.shutdown(wait=False, cancel_futures=True)
    finally:
        sys.setswitchinterval(switching)
        if collecting:
            gc.enable()


def _read(
    rows: Callable[[str], list[Any]],
    distribution: Callable[[dict[int, Table]], Distribution],
    host: str,
    port: int,
    statistics: bool,
) -> Catalog:
    def named(name: str) -> list[Row]:
        return [dict(zip(_QUERIES[name].split(), row, strict=True)) for row in rows(name)]

    server = named("server")[0]
    connections = named("connections")
    activity = named("activity")
    control = named("control")
    constraints = named("constraints")
    types = _types(named("types"), constraints)
    names: dict[int, dict[int, str]] = defaultdict(dict)
    columns: dict[int, list[Column]] = defaultdict(list)
    for row in rows("columns"):
        table, number, name = row[:3]
        names[table][number] = name
        columns[table].append(_column(row, types))
    checks: dict[int, list[Constraint]] = defaultdict(list)
    for constraint in constraints:
        if constraint["table"]:
            checks[constraint["table"]].append(_constraint(constraint, names[constraint["table"]]))
    opclasses = {
        oid: ((schema, name), default, _pair(*equality)) for oid, schema, name, default, *equality in rows("opclasses")
    }
    collated = rows("collations")
    collations = {oid: _pair(schema, name) for oid, schema, name, _, _ in collated}
    indexes: dict[int, list[Index]] = defaultdict(list)
    for row in rows("indexes"):
        indexes[row[2]].append(_index(row, names[row[2]], opclasses, collations))
    triggers: dict[int, list[Trigger]] = defaultdict(list)
    internal: list[Row] = []
    for trigger in named("triggers"):
        if trigger["internal"]:
            internal.append(trigger)
        else:
            triggers[trigger["table"]].append(_trigger(trigger, names[trigger["table"]]))
    operators = {operator["oid"]: operator for operator in named("operators")}
    foreign_keys = _foreign_keys(rows("foreign_keys"), internal, operators, columns, types)
    rules: dict[int, list[Rule]] = defaultdict(list)
    for rule in named("rules"):
        event = {"2": "update", "3": "insert", "4": "delete"}[rule["event"]]
        rules[rule["table"]].append(
            Rule(rule["name"], rule["table"], event, rule["instead"], rule["enabled"], rule["definition"])
        )
    foreign_code: dict[int, list[ForeignCode]] = defaultdict(list)
    for table, *code in rows("foreign_code"):
        foreign_code[table].append(ForeignCode(*code))
    relations = named("tables")
    children: dict[int, list[int]] = defaultdict(list)
    for relation in relations:
        for parent in relation["parents"] or ():
            children[parent].append(relation["oid"])
    sequences = {row["oid"]: _sequence(row) for row in named("sequences")}
    schemas = {relation["oid"]: relation["schema"] for relation in relations}
    held: dict[str, set[str]] = defaultdict(set)  # relations and indexes share one space of names
    for schema, name in (
        *((relation["schema"], relation["name"]) for relation in relations),
        *((schemas[oid], index.name) for oid, some in indexes.items() if oid in schemas for index in some),
        *((sequence.schema, sequence.name) for sequence in sequences.values()),
    ):
        held[schema].add(name)
    beside = {schema: frozenset(taken) for schema, taken in held.items()}
    tables: dict[int, Table] = {}
    beyond: dict[int, Table] = {}
    for relation in relations:
        oid = relation["oid"]
        (beyond if relation["of_extension"] else tables)[oid] = Table(
            oid=oid,
            schema=relation["schema"],
            name=relation["name"],
            kind=relation["kind"],
            persistence=relation["persistence"],
            owner=relation["owner"],
            is_partition=relation["is_partition"],
            parents=tuple(relation["parents"] or ()),
            children=tuple(children[oid]),
            rows=relation["rows"],
            pages=relation["pages"],
            all_visible=relation["all_visible"],
            row_security=relation["row_security"],
            readable=relation["readable"],
            schema_usable=relation["schema_usable"],
            comment=relation["comment"],
            locked=relation["locked"],
            columns=tuple(columns[oid]),
            constraints=tuple(checks[oid]),
            foreign_keys=tuple(foreign_keys[oid]),
            indexes=tuple(indexes[oid]),
            triggers=tuple(triggers[oid]),
            rules=tuple(rules[oid]),
            definition=relation["definition"],
            beside=beside[relation["schema"]],
        )
    functions = {row["oid"]: Function(**row) for row in named("functions")}
    extensions = named("extensions")
    return Catalog(
        server=Server(
            host=host,
            port=port,
            database=server["database"],
            user=server["user"],
            login=server["login"],
            version=server["version"],
            version_num=server["version_num"],
            encoding=server["encoding"],
            system_identifier=control[0]["system_identifier"] if control else None,
            is_standby=server["is_standby"],
            superuser=server["superuser"],
            bypass_rls=server["bypass_rls"],
            dangerous=tuple(server["dangerous"]),
            acting=frozenset(server["acting"]),
            free_connections=connections[0]["free"] if connections else None,
            snapshot=server["snapshot"],
        ),
        tables=tables,
        beyond=beyond,
        types=types,
        functions=functions,
        sequences=sequences,
        extensions={row["name"]: row["version"] for row in extensions},
        of_extensions=frozenset((schema, name) for row in extensions for schema, name in row["relations"] or ()),
        changed_collations={
            (schema, name): (recorded, actual)
            for _, schema, name, recorded, actual in collated
            if recorded is not None and actual is not None and recorded != actual
        },
        checksums=_checksums(control[0]) if control else None,
        shown={row["kind"]: (row["shown"], row["held"]) for row in named("shown")},
        validating=_validating(activity),
        building=frozenset(row["table"] for row in activity if row["building"]),
        foreign_code={oid: tuple(code) for oid, code in foreign_code.items()},
        storage={row[0]: tuple(row[1:]) for row in rows("storage")} if statistics else {},
        statistics=distribution(tables),
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
            demanding=tuple(row["oid"] for row in demanding),
            collatable=chain[0]["collatable"],
            under=next((row["under"] for row in reversed(chain) if row["under"]), ""),
            labels=tuple(chain[0]["labels"] or ()),
        )

    return {oid: resolved(oid) for oid in by_oid}


_UNKNOWN = Type(0, "", "", "b", "X", 0, False, False, None)


def _pair(schema: str | None, name: str | None) -> tuple[str, str] | None:
    return None if schema is None or name is None else (schema, name)


def _column(row: Any, types: dict[int, Type]) -> Column:
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
        _pair(collation_schema, collation),
        deterministic,
        readable,
        comment,
        kind.collatable,
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


_Opclass = tuple[
    tuple[str, str], bool, tuple[str, str] | None
]  # its name, whether it is the type's default, its equality


def _index(
    row: Any,
    names: dict[int, str],
    opclasses: dict[int, _Opclass],
    collations: dict[int, tuple[str, str] | None],
) -> Index:
    oid, name, table, unique, primary, exclusion, immediate, valid, ready, live, nulls_not_distinct, *rest = row
    count, numbers, expressions, classes, collated, predicate, constraint, parent, ordered, method = rest
    keys, columns = [], []
    for position, number in enumerate(numbers[:count]):
        column = names.get(number) if number else None
        if column is not None:
            columns.append(column)
        opclass, default, equality = opclasses[classes[position]]
        keys.append(
            IndexKey(
                column,
                column if column is not None else expressions[position],
                opclass,
                default,
                collations.get(collated[position]),
                equality if unique else None,
            )
        )
    return Index(
        oid,
        name,
        table,
        unique,
        primary,
        exclusion,
        immediate,
        valid,
        ready,
        live,
        nulls_not_distinct,
        tuple(keys),
        tuple(columns) if len(columns) == len(keys) else None,
        tuple([names[n] for n in numbers[count:]]),
        predicate,
        constraint,
        parent,
        ordered,
        method,
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
    rows: list[Any],
    internal: list[Row],
    operators: dict[int, Row],
    by_table: dict[int, list[Column]],
    types: dict[int, Type],
) -> dict[int, list[ForeignKey]]:
    parents = {row[0]: row[-4] for row in rows}

    def root(oid: int) -> int:
        while parents.get(oid):
            oid = parents[oid]
        return oid

    sides: dict[int, tuple[list[RiTrigger], list[RiTrigger]]] = defaultdict(lambda: ([], []))
    for trigger in internal:
        if trigger["constraint"] not in parents:
            continue  # of a deferrable unique constraint
        side = sides[root(trigger["constraint"])][0 if trigger["checks"] else 1]
        side.append(RiTrigger(trigger["name"], trigger["table"], trigger["enabled"]))

    numbered: dict[int, dict[int, Column]] = {}
    found: dict[int, list[ForeignKey]] = defaultdict(list)
    for row in rows:
        oid, name, table, columns, referenced, referenced_columns, on_delete, on_update, match, set_columns, *rest = row
        compare, validated, enforced, deferrable, deferred, parent, period, index, definition = rest
        if parent:
            continue
        for end in (table, referenced):
            if end not in numbered:
                numbered[end] = {column.number: column for column in by_table[end]}
        own, other = numbered[table], numbered[referenced]
        compared = [operators[oid] for oid in compare or ()]
        referencing_triggers, referenced_triggers = sides.get(oid, ((), ()))
        found[table].append(
            ForeignKey(
                oid=oid,
                name=name,
                table=table,
                columns=tuple([own[n].name for n in columns]),
                referenced=referenced,
                referenced_columns=tuple([other[n].name for n in referenced_columns]),
                on_delete=on_delete,
                on_update=on_update,
                match=match,
                delete_set_columns=tuple([own[n].name for n in set_columns or ()]),
                operators=tuple([(operator["schema"], operator["name"]) for operator in compared]),
                casts=tuple(
                    (
                        compared_as(other[theirs], operator["left"], types),
                        compared_as(own[mine], operator["right"], types),
                    )
                    for theirs, mine, operator in zip(referenced_columns, columns, compared, strict=True)
                ),
                validated=validated,
                enforced=enforced,
                deferrable=deferrable,
                deferred=deferred,
                parent=parent,
                period=period,
                index=index,
                definition=definition,
                referencing_triggers=tuple(referencing_triggers),
                referenced_triggers=tuple(referenced_triggers),
            )
        )
    return found


_TEXT, _VARCHAR = 25, 1043


def compared_as(column: Column, oid: int, types: dict[int, Type]) -> str | None:
    """The type an operator takes the column as, if that is another than its own: left out, the name alone may mean another
    operator (char(n) = text is that of text, not the one of an index over char(n)).

    Pseudo-types like anyarray take a value as it is, and varchar is text to every operator.
    """
    wanted = types.get(oid)
    if wanted is None or column.base_oid == oid or (column.base_oid, oid) == (_VARCHAR, _TEXT):
        return None
    return ident(wanted.name) if wanted.schema == "pg_catalog" else qualified(wanted.schema, wanted.name)


def _validating(rows: list[Row]) -> dict[int, frozenset[str] | None]:
    found: dict[int, frozenset[str] | None] = {}
    for row in rows:
        if row["building"]:
            continue
        table, names = row["table"], row["constraints"]
        known = found.get(table, frozenset())
        if names is None or known is None:
            found[table] = None
        elif names:
            found[table] = known | {unquoted(name) for name in names}
    return found


def _sequence(row: Row) -> Sequence:
    return Sequence(
        oid=row["oid"],
        schema=row["schema"],
        name=row["name"],
        type=row["type"],
        start=int(row["start"]),
        increment=int(row["increment"]),
        minimum=int(row["minimum"]),
        maximum=int(row["maximum"]),
        cycles=row["cycles"],
        persistence=row["persistence"],
        last_value=int(row["last_value"]) if row["last_value"] is not None else None,
        owner=(row["owner_table"], row["owner_column"]) if row["owner_column"] is not None else None,
        link=row["link"],
        drawn=tuple((table, column) for table, column in row["drawn"] or ()),
        readable=row["readable"],
        locked=row["locked"],
    )


def _checksums(row: Row) -> Checksums:
    return Checksums(row["failures"], row["shared_failures"], row["last_failure"], row["last_shared_failure"])
