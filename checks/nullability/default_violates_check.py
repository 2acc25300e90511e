"""A column's DEFAULT is refused by the column's own rules.

PostgreSQL takes any default that has the right type and looks at it only when it is used: every INSERT that leaves the
column out then fails, with 23514 for a CHECK of the table or of the column's domain, with 22001, 22003 or 22026 for a
length or a range, with 23503 for a foreign key whose parent has no such row. A CHECK that is NOT VALID refuses too. Where
several columns are part of one rule, it is their defaults together that are refused.

Not flagged: defaults that are computed anew for each row (now(), nextval), and defaults or CHECKs with functions, operators
or types that are not PostgreSQL's own, which are not evaluated; CHECKs that are NULL for the default; rules that are NOT
ENFORCED or switched off; CHECKs of the table and foreign keys where a BEFORE INSERT trigger or an INSTEAD rule may put the
value right; foreign keys to a table without any row; columns without default; the length of an array's elements.

Fix: change the default; or drop it, so that whoever inserts has to give the value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from auditor import ddl
from auditor.catalog.model import Catalog, Constraint, ForeignKey, Table
from auditor.check import Ask, Clean, Depth, Evidence, Finding, Fix, Object, Result, Severity
from auditor.defaults import Default, change, default_of, judgeable, missing
from auditor.probe import Answer, Constants
from auditor.text import ident, listed, one_line_sql, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that defaults must keep: a condition over constants. With a constraint it is broken where the condition is
    true; without, where the value cannot be assigned."""

    subject: Object
    table: Table
    defaults: tuple[Default, ...]
    condition: str
    constraint: Constraint | None = None

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """What the condition's names stand for; the CHECK of a domain knows VALUE only."""
        if self.constraint is None:
            return ()
        of_domain = self.constraint.domain != 0
        return tuple(("value" if of_domain else each.column.name, each.assigned) for each in self.defaults)


def check(catalog: Catalog) -> Iterator[Result]:
    rules: list[Rule] = []
    for table in catalog.judged_base_tables:
        defaults = {c.name: default for c in table.columns if (default := default_of(catalog, c)) is not None}
        own = {name: each for name, each in defaults.items() if not (table.parents and as_above(catalog, table, each))}
        yield from (Clean(table.object("column", columns=(name,))) for name in own if own[name].fits)
        rules += of_types(catalog, table, own)
        if may_change(catalog, table):
            continue
        rules += of_table(table, defaults, own)
        for key in table.foreign_keys:
            parent = catalog.tables.get(key.referenced) or catalog.beyond.get(key.referenced)
            values = {name: defaults[name] for name in key.columns if name in defaults}
            refuses = key.enforced and not key.period and all(trigger.fires for trigger in key.referencing_triggers)
            if parent and refuses and len(values) == len(key.columns) and judgeable(values.values()):
                subject = table.object("constraint", key.name, key.columns)
                found = partial(no_row, subject=subject, table=table, key=key, parent=parent, values=values)
                yield missing(subject, table, key, parent, values, found)
    # One question for the whole database, each condition once: to the server it is a few statements to plan.
    conditions = tuple(dict.fromkeys((rule.condition, rule.values) for rule in rules))
    number = {condition: place for place, condition in enumerate(conditions)}
    probe = Constants(rules[0].table, conditions) if rules else None
    for rule in rules:
        assert probe is not None
        judge = partial(judged, catalog=catalog, rule=rule, number=number[rule.condition, rule.values])
        yield Ask(rule.subject, probe, judge, depth=Depth.CATALOG)


def as_above(catalog: Catalog, table: Table, default: Default) -> bool:
    """Whether an inheritance parent has the column with the same default: then it is told of the parent."""
    for parent in map(catalog.tables.get, table.parents):
        column = parent.by_name.get(default.column.name) if parent else None
        if column and (column.type, column.default) == (default.column.type, default.column.default):
            return True
    return False


def of_types(catalog: Catalog, table: Table, defaults: dict[str, Default]) -> Iterator[Rule]:
    """What the column's type refuses, before any trigger sees the row."""
    for name, default in defaults.items():
        if default.fits is None and judgeable([default]):
            subject = table.object("column", columns=(name,))
            yield Rule(subject, table, (default,), f"{default.assigned} IS NULL")
        kind = catalog.types.get(default.column.type_oid)
        for constraint in kind.checks if kind is not None else ():
            if constraint.expression and judgeable([default], constraint.expression):
                subject = table.object("column", constraint.name, (name,))
                yield Rule(subject, table, (default,), f"({constraint.expression}) IS FALSE", constraint)


def of_table(table: Table, defaults: dict[str, Default], own: dict[str, Default]) -> Iterator[Rule]:
    """The CHECKs all of whose columns have a default."""
    for constraint in table.constraints:
        if constraint.enforced and constraint.columns and constraint.expression:
            used = tuple(defaults[name] for name in constraint.columns if name in defaults)
            told = constraint.inherited and not any(name in own for name in constraint.columns)
            if len(used) == len(constraint.columns) and not told and judgeable(used, constraint.expression):
                subject = table.object("constraint", constraint.name, constraint.columns)
                yield Rule(subject, table, used, f"({constraint.expression}) IS FALSE", constraint)


def may_change(catalog: Catalog, table: Table) -> bool:
    """Whether a new row may be another one by the time its CHECKs and foreign keys look at it."""
    triggers = any(t.fires and t.row and t.timing == "before" and "insert" in t.events for t in table.triggers)
    rules = any(rule.event == "insert" and rule.instead and rule.enabled in "OA" for rule in table.rules)
    partitions = (catalog.tables[oid] for oid in table.children if oid in catalog.tables and table.kind == "p")
    return triggers or rules or any(may_change(catalog, partition) for partition in partitions)


def judged(answer: Answer, catalog: Catalog, rule: Rule, number: int) -> Finding | None:
    said, constraint = answer.values[number][0], rule.constraint
    if constraint is None:
        default = rule.defaults[0]
        why, sqlstate = f"does not fit into {default.type}", said if said.startswith("22") else ""
    else:
        domain = catalog.types[constraint.domain] if constraint.domain else None
        of = f" of the domain {qualified(domain.schema, domain.name)}" if domain else ""
        fail = "fails" if len(rule.defaults) == 1 else "fail"
        why, sqlstate = f"{fail} the CHECK {ident(constraint.name)}{of}", "23514" if said == "true" else ""
    if not sqlstate:
        return None
    detail = f" The rule is {one_line_sql(constraint.expression or '')}." if constraint else ""
    return told(rule.subject, rule.table, rule.defaults, why, sqlstate, detail).but(evidence=Evidence(None))


def no_row(
    answer: Answer, subject: Object, table: Table, key: ForeignKey, parent: Table, values: dict[str, Default]
) -> Finding:
    late = " It is refused at COMMIT, if the row has not come by then." if key.deferrable and key.deferred else ""
    detail = f" The foreign key {ident(key.name)} wants a row that is not there.{late}"
    why = f"{'is' if len(values) == 1 else 'are'} no row of {parent.sql}"
    made = told(subject, table, tuple(values.values()), why, "23503", detail)
    return made.but(
        related=(parent.object(columns=key.referenced_columns),),
        evidence=Evidence(None, sql=answer.evidence.sql),
        defect=("default without parent", table.oid, key.oid),
    )


def told(subject: Object, table: Table, defaults: tuple[Default, ...], why: str, sqlstate: str, detail: str) -> Finding:
    one = len(defaults) == 1
    names = listed([f"{table.sql}.{ident(default.column.name)}" for default in defaults])
    texts = listed([default.text for default in defaults])
    whose = f"The DEFAULT of {names}" if one else f"The DEFAULTs of {names} together"
    return Finding(
        severity,
        subject,
        title=f"{whose} {why}: {texts}",
        message=f"Every INSERT into {table.sql} that leaves {'the column' if one else 'these columns'} out fails with"
        f" SQLSTATE {sqlstate}.{detail}",
        fixes=(change(table, defaults, "a value that the rule admits").recommend(), without(table, defaults)),
    )


def without(table: Table, defaults: tuple[Default, ...]) -> Fix:
    alter = f"ALTER TABLE {table.sql}"
    drop, back, caveats = [], [], []
    for default in defaults:
        column, name = default.column, ident(default.column.name)
        if default.of_domain:
            drop.append(f"ALTER DOMAIN {column.type} DROP DEFAULT;")
            back.append(f"ALTER DOMAIN {column.type} SET DEFAULT {default.text};")
            caveats.append(f"The domain {column.type} changes for every column that uses it.")
        else:
            drop.append(f"{alter} ALTER COLUMN {name} DROP DEFAULT;")
            back.append(f"{alter} ALTER COLUMN {name} SET DEFAULT {default.text};")
        if not column.takes_null:
            caveats.append(
                f"An INSERT that leaves {name} out fails all the same, with SQLSTATE 23502 and in plain words."
            )
    return Fix(
        "Drop the default: whoever inserts has to give the value",
        tuple(drop),
        tuple(back),
        ddl.LOCK_ALTER,
        tuple(dict.fromkeys(caveats or ["An INSERT that leaves it out stores NULL."])),
    )
