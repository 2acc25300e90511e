"""A trigger's function names what is not there, or does not compile.

The body of a function is text: the server depends on none of the tables and columns that it names, lets them be dropped and
renamed, and restores dumps without looking at it (check_function_bodies). The statement that fires the trigger then fails,
and with it everything the application does to the table: SQLSTATE 42703 for a column, 42P01 for a table, 42601 for a body
that is no PL/pgSQL. Told is what the text proves: a field of NEW or OLD that no table has on which the function is a trigger;
an INSERT, UPDATE or DELETE of a table that does not exist, or of a column that it does not have; a body that cannot be parsed,
of any PL/pgSQL function. The function is not run, and not compiled: that would run its owner's code.

Not flagged: statements put together at run time (EXECUTE); functions that look whether something is there (to_regclass, the
catalogs) or catch the error (EXCEPTION WHEN), that tell tables apart by TG_TABLE_NAME or an argument, that give NEW or OLD
another row; tables that some function creates, tables without a schema in their name that no schema has (they may be
temporary); triggers that are off; other languages. Not judged: SELECT, expressions, what the function calls.

Fix: correct the function; or, where it names what is not there, switch its triggers off, if nobody needs them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from auditor import ddl
from auditor.bodies import careful, fields, malformed, writes
from auditor.catalog.model import Catalog, Function, Table, Trigger
from auditor.check import Clean, Depth, Finding, Fix, Object, Result, Severity
from auditor.text import ident, listed, one_line_sql, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG,)

Placed = tuple[tuple[Table, Trigger], ...]

# Fields that every row has (documentation: System Columns).
SYSTEM = frozenset(("tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"))
CREATES = re.compile(r"\bcreate\s[\w\s]*\btable\b", re.I)
# By which a function tells the tables apart that it is a trigger of.
BRANCHES = re.compile(r"\btg_(?:table_|rel|name|argv|nargs)", re.I)


@dataclass(frozen=True)
class Broken:
    """What the body names, and what comes of it; `sure`: on some path that its triggers can take."""

    said: str
    line: int
    sqlstate: str
    sure: bool = True


def check(catalog: Catalog) -> Iterator[Result]:
    placed: dict[int, list[tuple[Table, Trigger]]] = {}
    named: dict[str, list[Table]] = {}
    for table in catalog.tables.values():
        named.setdefault(table.name, []).append(table)
        for trigger in table.triggers:
            placed.setdefault(trigger.function, []).append((table, trigger))
    for function in catalog.functions.values():
        if function.language != "plpgsql" or function.locked:
            continue
        triggers = tuple(placed.get(function.oid, ()))
        firing = tuple((table, trigger) for table, trigger in triggers if trigger.fires)
        why = malformed(function.body)
        if why:
            yield uncompiled(function, firing, why)
            continue
        broken = list(missing(catalog, named, function, triggers)) if firing and not careful(function.body) else []
        if broken:
            yield failing(function, firing, broken)
        elif firing:
            yield Clean(subject(function))


def subject(function: Function) -> Object:
    return Object("function", function.schema, name=f"{function.name}({function.arguments})")


def missing(catalog: Catalog, named: dict[str, list[Table]], function: Function, triggers: Placed) -> Iterator[Broken]:
    """What the body names that is not there."""
    if all(trigger.row for _, trigger in triggers) and not BRANCHES.search(function.body):
        columns = {name for table, _ in triggers for name in table.by_name} | SYSTEM
        events = {event for _, trigger in triggers for event in trigger.events}
        every = "tg_op" not in function.body.lower() or {"insert", "update", "delete"} <= events
        tables = listed(sorted({table.sql for table, trigger in triggers if not trigger.parent}), "or")
        for field in fields(function.body, columns):
            said = f"{field.row.upper()}.{ident(field.name)}, a column that {tables} does not have"
            yield Broken(said, field.line, "42703", every)
    for write in writes(function.body):
        if write.schema in ("pg_catalog", "information_schema") or (write.schema or "").startswith("pg_temp"):
            continue
        tables_meant = [table for table in named.get(write.table, ()) if write.schema in (None, table.schema)]
        foreign = any(name == write.table and write.schema in (None, schema) for schema, name in catalog.of_extensions)
        if foreign or (not tables_meant and write.schema is None):
            continue
        gone = [name for name in write.columns if not any(name in table.by_name for table in tables_meant)]
        if not (gone or not tables_meant) or created(catalog, write.table):
            continue
        name = qualified(write.schema, write.table) if write.schema is not None else ident(write.table)
        if not tables_meant:
            yield Broken(f"{name}, a table that does not exist", write.line, "42P01")
        for column in gone if tables_meant else ():
            state = "42703" if write.schema is not None else "42703 (42P01 where the search_path does not lead to it)"
            yield Broken(f"{ident(column)}, a column that {name} does not have", write.line, state)


def created(catalog: Catalog, name: str) -> bool:
    """Whether some function may create a table of this name."""
    return any(CREATES.search(f.body) and name.lower() in f.body.lower() for f in catalog.functions.values())


def run_by(firing: Placed) -> str:
    return listed([f"{ident(trigger.name)} of {table.sql}" for table, trigger in firing if not trigger.parent])


def failing(function: Function, firing: Placed, broken: list[Broken]) -> Finding:
    first = next((one for one in broken if one.sure), broken[0])
    others = [one for one in dict.fromkeys(broken) if one.said != first.said]
    more = f" It also names {listed([f'{one.said} (line {one.line})' for one in others])}." if others else ""
    where = (
        "when it comes there"
        if first.sure
        else "if it comes there: it looks at TG_OP, and its triggers do not fire on everything"
    )
    events = listed(sorted({event.upper() for _, trigger in firing for event in trigger.events}), "or")
    return Finding(
        severity if first.sure else Severity.WARNING,
        subject(function),
        title=f"The trigger function {qualified(function.schema, function.name)}() names {first.said}",
        message=f"It is run by {run_by(firing)}: {events} of the table fails with SQLSTATE {first.sqlstate} in line {first.line} of the"
        f" function's body, {where}.{more}",
        related=tuple(table.object("trigger", trigger.name) for table, trigger in firing if not trigger.parent),
        fixes=(
            Fix(
                "Correct the function",
                (),
                caveats=(
                    f"CREATE OR REPLACE FUNCTION with what took the place of {listed(list(dict.fromkeys(one.said.partition(',')[0] for one in broken)))};"
                    " its triggers stay.",
                ),
                recommended=True,
            ),
            stopped(firing),
        ),
    )


def stopped(firing: Placed) -> Fix:
    own = [(table, trigger) for table, trigger in firing if not trigger.parent]
    off, back = [], []
    for table, trigger in own:
        if table.kind == "v":  # whose triggers cannot be disabled
            off.append(f"DROP TRIGGER {ident(trigger.name)} ON {table.sql};")
            back.append(f"{one_line_sql(trigger.definition)};")
        else:
            off.append(ddl.set_trigger(table, trigger.name, "D"))
            back.append(ddl.set_trigger(table, trigger.name, trigger.enabled))
    return Fix(
        "Switch its triggers off, if nobody needs them",
        tuple(off),
        tuple(back),
        ddl.LOCK_ALTER if any(table.kind == "v" for table, _ in own) else ddl.LOCK_TRIGGER,
        ("What they kept true is no longer kept.",),
    )


def uncompiled(function: Function, firing: Placed, why: str) -> Finding:
    does = (
        f"It is run by {run_by(firing)}: every statement that fires them fails" if firing else "Every call of it fails"
    )
    return Finding(
        severity if firing else Severity.WARNING,
        subject(function),
        title=f"The function {qualified(function.schema, function.name)}() does not compile: {why}",
        message=f"{does} with SQLSTATE 42601. It was created with check_function_bodies off, as a restore does.",
        related=tuple(table.object("trigger", trigger.name) for table, trigger in firing if not trigger.parent),
        fixes=(
            Fix(
                "Correct the function",
                (),
                caveats=(
                    "CREATE OR REPLACE FUNCTION with check_function_bodies on, the default, says what is wrong and where.",
                ),
                recommended=True,
            ),
        ),
    )
