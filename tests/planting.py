"""Random schemas without a defect, for planters.py to break.

A `World` is a model of tables, rows, keys and functions that is written as SQL. What an audit has to find is counted on the
model alone, row by row in Python, so that defects which meet in one table, hide one another or imply another are told as
exactly as those that stand alone. For a new check one planter is written: where it fits, what it changes, and what is to be
found.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st

from auditor.check import Object, Severity
from auditor.text import ident, idents, literal, qualified

Value = int | str | bool | None
Row = dict[str, Value]
Draw = Callable[[st.SearchStrategy[Any]], Any]
T = TypeVar("T")

NULLABLE_ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL")
ROWS = 6  # that a table has at least: four live ones of two tenants, and two that may be deleted

# --- the model -------------------------------------------------------------------------------------------------------


def shown(value: Value) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else literal(value)


KINDS: dict[str, Callable[[int], Value]] = {
    "int": lambda n: n,
    "bigint": lambda n: n,
    "smallint": lambda n: n,
    "uuid": lambda n: f"00000000-0000-4000-8000-{n:012d}",
    "text": lambda n: f"it's %s \\ {n}",
    "date": lambda n: str(date(2020, 1, 1) + timedelta(n)),
    "numeric": lambda n: n,
}


@dataclass(eq=False)
class Column:
    """A column, and its value in the nth row."""

    name: str
    type: str
    make: Callable[[int], Value]
    not_null: bool = False
    rest: str = ""  # of its definition


@dataclass(eq=False)
class Unique:
    """A unique index, or constraint, over all rows or those of `where`: the live ones."""

    name: str
    columns: tuple[str, ...]
    where: str = ""
    constraint: bool = False


def same(rows: list[Row], columns: tuple[str, ...]) -> list[Row]:
    """The rows that are equal in these columns to another one; NULL equals nothing."""
    keys = [tuple(row[name] for name in columns) for row in rows]
    counts = Counter(keys)
    return [row for row, key in zip(rows, keys, strict=True) if None not in key and counts[key] > 1]


@dataclass(eq=False)
class Check:
    """A CHECK of a table."""

    name: str
    sql: str
    passes: Callable[[Row], bool | None]
    state: str = ""  # "", NOT VALID, NOT ENFORCED


@dataclass(eq=False)
class Function:
    """A function; `upsert` is the table, columns and predicate of its ON CONFLICT; `cancels` the events it cancels."""

    schema: str
    name: str
    body: str
    returns: str = "trigger"
    upsert: tuple[Table, tuple[str, ...], str] | None = None
    cancels: tuple[str, ...] = ()


@dataclass(eq=False)
class Trigger:
    """A trigger of a table."""

    name: str
    timing: str
    events: tuple[str, ...]
    function: Function
    enabled: str = ""  # "", DISABLE, ENABLE REPLICA, ENABLE ALWAYS


@dataclass(eq=False)
class Key:
    """A relation: a foreign key, or, with `configured`, an entry of the configuration."""

    name: str
    table: Table
    columns: tuple[str, ...]
    parent: Table
    parent_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    match: str = "SIMPLE"
    deferrable: str = ""
    state: str = ""  # "", NOT VALID, NOT ENFORCED, off here, off there
    configured: bool = False
    where: str = ""
    holds: Callable[[Row], bool] = lambda row: True
    self_is_root: bool = False

    @property
    def object(self) -> Object:
        """The subject of what is found about it."""
        return self.table.object("column" if self.configured else "constraint", self.name, self.columns)

    @property
    def enforced(self) -> bool:
        return self.state != "NOT ENFORCED"

    @property
    def itself(self) -> bool:
        return self.table is self.parent

    def value(self, row: Row) -> tuple[Value, ...]:
        return tuple(row[name] for name in self.columns)

    def pointing(self) -> list[Row]:
        """The rows that point somewhere, whether something is there or not."""
        return [row for row in self.table.rows if None not in self.value(row) and self.holds(row)]

    def parents(self) -> dict[tuple[Value, ...], Row]:
        return {tuple(row[name] for name in self.parent_columns): row for row in self.parent.rows}

    def pairs(self) -> Iterator[tuple[Row, Row]]:
        """Each row with its parent."""
        parents = self.parents()
        yield from ((row, parents[self.value(row)]) for row in self.pointing() if self.value(row) in parents)

    def orphans(self) -> list[Row]:
        parents = self.parents()
        found = [row for row in self.pointing() if self.value(row) not in parents]
        if self.match == "FULL":
            found += [row for row in self.table.rows if None in self.value(row) and {*self.value(row)} != {None}]
        return found

    def point(self, row: Row, parent: Row) -> None:
        row.update(zip(self.columns, (parent[name] for name in self.parent_columns), strict=True))

    @property
    def definition(self) -> str:
        sets = self.on_delete
        return (
            f"FOREIGN KEY ({idents(self.columns)}) REFERENCES {self.parent.sql} ({idents(self.parent_columns)})"
            f" MATCH {self.match} ON DELETE {sets} ON UPDATE {self.on_update} {self.deferrable}"
            f"{f' {self.state}' if self.state.startswith('NOT') else ''}"
        )


@dataclass(eq=False)
class Polymorphic:
    """A column that points to several tables, as the one beside it says."""

    table: Table
    column: str
    type_column: str
    targets: dict[str, Table]


@dataclass(eq=False)
class Companion:
    """A configured pair: each live row of `table` has its row in `other`, to which `key` leads back."""

    table: Table
    other: Table
    key: Key
    unique: Unique | None
    same_state: bool
    trigger: Trigger | None

    @property
    def name(self) -> str:
        return f"{self.other.sql} ({idents(self.key.columns)})"

    @property
    def states(self) -> bool:
        return self.table.mark is not None and self.other.mark is not None


@dataclass(eq=False)
class Mark:
    """How a table marks deleted rows."""

    column: str
    type: str
    deleted: str
    live: str
    on: Value
    off: Value
    rest: str = ""


@dataclass(eq=False)
class Table:
    """A table with its rows."""

    schema: str
    name: str
    columns: list[Column] = field(default_factory=list)
    primary: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    layout: str = ""  # "", partitioned, heir
    keys: list[Key] = field(default_factory=list)
    uniques: list[Unique] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    mark: Mark | None = None
    tenant: str | None = None
    number: str = ""  # the column that holds a number of its own for each row
    code: str = ""  # the column of a business key
    business: bool = False  # declared by a [[unique]]
    history: bool = False
    link: bool = False
    closed: bool = False  # no row may be added: another table has a row for each, or it has one for each of another
    serial: str = ""  # the column that draws from a sequence
    sequence: str = ""
    step: int = 1
    behind: int = 0  # how far the sequence is behind its column
    demanded: list[str] = field(default_factory=list)  # columns under NOT NULL NOT VALID
    next: int = 1

    @property
    def sql(self) -> str:
        return qualified(self.schema, self.name)

    def object(self, kind: str = "table", name: str = "", columns: tuple[str, ...] = ()) -> Object:
        return Object(kind, self.schema, self.name, name, columns)

    @property
    def drawn(self) -> int:
        """The last value that its sequence gave out."""
        return max(max(int(row[self.serial] or 0) for row in self.rows) - self.behind, 1)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def deleted(self, row: Row) -> bool:
        return self.mark is not None and row[self.mark.column] == self.mark.on

    def live(self) -> list[Row]:
        return [row for row in self.rows if not self.deleted(row)]

    def add(self, *, deleted: bool = False) -> Row:
        """A new row that is as it should be: it points to live rows of its own tenant, or, deleted, to deleted ones."""
        number = self.next
        self.next += 1
        row = {column.name: column.make(number) for column in self.columns}
        if self.mark is not None:
            row[self.mark.column] = self.mark.on if deleted else self.mark.off
        for key in self.keys:
            if key.itself:
                above = self.rows[number - 3] if number > 2 else row if key.self_is_root else None
                if above is not None:
                    key.point(row, above)
                continue
            some = key.parent.rows[:4]
            if deleted or (self.history and number > 4):
                some = [p for p in key.parent.rows[(number - 1) % 2 :: 2] if key.parent.deleted(p)] or some
            if number != 4 or any(self.column(name).not_null for name in key.columns):
                key.point(row, some[(number - 1) % len(some)])
        self.rows.append(row)
        return row

    def fill(self, count: int = ROWS) -> None:
        """The rows of a table that is whole: the last two are deleted where it knows deletion."""
        for number in range(count):
            self.add(deleted=self.mark is not None and number >= count - 2 and number >= 4)


@dataclass(frozen=True)
class Expected:
    """A finding that has to be there."""

    check: str
    object: Object
    violations: int | None
    severity: Severity = Severity.ERROR


HOSTILE = (
    'T "{n}"',
    "%s {n}",
    "it's {n}",
    "é ü {n}",
    "select{n}",
    "line\nbreak {n}",
    "$1 {n}",
    "X" * 55 + "{n}",
    "a.b{n}",
    "\\ {n}",
)
SCHEMAS = ("public", "app", 'Od"d %s', "select", "it's")
NOUNS = [
    *("gadget", "parcel", "lantern", "meadow", "violin", "kettle", "harbor", "saddle", "turbine", "compass"),
    *("blanket", "orchard", "pebble", "hammer", "cabinet", "feather", "glacier", "marble", "needle", "pillow"),
]


@dataclass(eq=False)
class World:
    """A database."""

    draw: Draw
    version: int
    icu: bool = False  # whether the server knows collations of ICU
    tables: list[Table] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    polymorphic: list[Polymorphic] = field(default_factory=list)
    companions: list[Companion] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)  # statements that come last
    late: list[str] = field(default_factory=list)
    schemas: tuple[str, ...] = ("public",)
    mark_columns: list[Mark] = field(default_factory=list)
    tenant: str | None = None
    marks_configured: bool = True
    echoes: list[Key] = field(default_factory=list)  # foreign keys that the configuration names too
    reuse_unwanted: list[Table] = field(default_factory=list)
    planted: list[str] = field(default_factory=list)
    told: list[Expected] = field(default_factory=list)  # what planters know without counting
    nouns: list[str] = field(default_factory=lambda: list(NOUNS))
    numbers: int = 0

    # names and choices

    def choose(self, some: list[T] | tuple[T, ...]) -> T:
        """One of them."""
        return self.draw(st.sampled_from(some)) if len(some) > 1 else some[0]

    def chance(self, one_in: int) -> bool:
        return self.count(0, one_in - 1) == one_in - 1

    def count(self, least: int, most: int) -> int:
        return int(self.draw(st.integers(least, most)))

    def name(self, plain: str = "n") -> str:
        """A name that no other object has, plain or hostile."""
        self.numbers += 1
        if self.chance(3):
            return self.choose(HOSTILE).format(n=f"q{self.numbers}q")
        return f"{plain}{self.numbers}q"

    # what all is in it

    @property
    def relations(self) -> list[Key]:
        return [key for table in self.tables for key in table.keys]

    @property
    def distinct(self) -> list[Key]:
        """Each relation once: of foreign keys that say the same the one that says least, or the first by name."""
        found: dict[object, Key] = {}
        for key in sorted(self.relations, key=lambda key: (not key.state, key.name)):
            pairs = frozenset(zip(key.columns, key.parent_columns, strict=True))
            found.setdefault((key.table, key.parent, pairs, key.configured, key.where), key)
        return [key for key in self.relations if key in found.values()]

    @property
    def foreign_keys(self) -> list[Key]:
        return [key for key in self.relations if not key.configured]

    # as SQL

    def script(self) -> str:
        """The statements that make it."""
        said = [f"CREATE SCHEMA IF NOT EXISTS {ident(name)}" for name in self.schemas]
        said += [
            f"CREATE FUNCTION {qualified(f.schema, f.name)}() RETURNS {f.returns} LANGUAGE plpgsql AS {literal(f.body)}"
            for f in self.functions
        ]
        for table in self.tables:
            said += self._create(table)
        for key in self.foreign_keys:
            if not key.state.startswith("NOT"):
                said.append(f"ALTER TABLE {key.table.sql} ADD CONSTRAINT {ident(key.name)} {key.definition}")
        said.append("SET session_replication_role = replica")
        for table in self.tables:
            if table.rows:
                names = list(table.rows[0])
                rows = ", ".join(f"({', '.join(shown(row[name]) for name in names)})" for row in table.rows)
                over = " OVERRIDING SYSTEM VALUE" if table.serial else ""
                said.append(f"INSERT INTO {table.sql} ({idents(names)}){over} VALUES {rows}")
        said.append("RESET session_replication_role")
        for table in self.tables:
            if table.serial:
                own = f"{literal(table.schema)}, {literal(table.name)}"
                sequence = f"pg_get_serial_sequence(format('%I.%I', {own}), {literal(table.serial)})"
                said.append(f"SELECT setval({sequence}, {table.drawn})")
            said += [
                f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(c.name)} CHECK ({c.sql}) {c.state}"
                for c in table.checks
                if c.state
            ]
            said += [f"ALTER TABLE {table.sql} ADD NOT NULL {ident(name)} NOT VALID" for name in table.demanded]
            for trigger in table.triggers:
                said.append(
                    f"CREATE TRIGGER {ident(trigger.name)} {trigger.timing} {' OR '.join(trigger.events)} ON {table.sql}"
                    f" FOR EACH ROW EXECUTE FUNCTION {qualified(trigger.function.schema, trigger.function.name)}()"
                )
                if trigger.enabled:
                    said.append(f"ALTER TABLE {table.sql} {trigger.enabled} TRIGGER {ident(trigger.name)}")
        for key in self.foreign_keys:
            if key.state.startswith("NOT"):
                said.append(f"ALTER TABLE {key.table.sql} ADD CONSTRAINT {ident(key.name)} {key.definition}")
            elif key.state:
                said.append(self._off(key))
        return ";\n".join([*said, *self.raw, *self.late])

    def _create(self, table: Table) -> Iterator[str]:
        parts = [f"{ident(c.name)} {c.type} {c.rest} {'NOT NULL' if c.not_null else ''}".strip() for c in table.columns]
        if table.primary:
            parts.append(f"PRIMARY KEY ({idents(table.primary)})")
        parts += [f"CONSTRAINT {ident(c.name)} CHECK ({c.sql})" for c in table.checks if not c.state]
        by = f" PARTITION BY HASH ({ident(table.primary[0])})" if table.layout == "partitioned" else ""
        yield f"CREATE TABLE {table.sql} ({', '.join(parts)}){by}"
        if table.layout == "partitioned":
            for n in range(2):
                part = qualified(table.schema, f"{table.name[:40]} part {self.tables.index(table)} {n}")
                yield f"CREATE TABLE {part} PARTITION OF {table.sql} FOR VALUES WITH (MODULUS 2, REMAINDER {n})"
        for unique in table.uniques:
            if unique.constraint and not unique.where:
                yield f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(unique.name)} UNIQUE ({idents(unique.columns)})"
            else:
                where = f" WHERE {unique.where}" if unique.where else ""
                yield f"CREATE UNIQUE INDEX {ident(unique.name)} ON {table.sql} ({idents(unique.columns)}){where}"
        if table.layout == "heir":
            # Its rows point nowhere, and that is nobody's business: the foreign key is that of the table above.
            heir = qualified(table.schema, f"{table.name[:40]} heir {self.tables.index(table)}")
            yield f"CREATE TABLE {heir} () INHERITS ({table.sql})"
            yield f"ALTER TABLE {heir} ADD PRIMARY KEY ({idents(table.primary)})"
            row = {c.name: c.make(9000) for c in table.columns}
            row.update({table.mark.column: table.mark.off} if table.mark else {})
            for key in table.keys:
                row.update({name: KINDS[table.column(name).type.split(" ")[0]](9999) for name in key.columns})
            yield f"INSERT INTO {heir} ({idents([*row])}) VALUES ({', '.join(map(shown, row.values()))})"

    def _off(self, key: Key) -> str:
        """The statement that disables the internal triggers of one side of a foreign key, on all partitions."""
        on = "check" if key.state == "off here" else "noaction|restrict|cascade|setnull|setdefault"
        return f"""DO $do$ DECLARE t record; BEGIN
    FOR t IN WITH RECURSIVE all_of AS (
            SELECT c.oid FROM pg_constraint c JOIN pg_class r ON r.oid = conrelid
            WHERE conname = {literal(key.name)} AND relname = {literal(key.table.name)}
            AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {literal(key.table.schema)})
            UNION SELECT c.oid FROM pg_constraint c JOIN all_of ON c.conparentid = all_of.oid
        ) SELECT tgrelid::regclass AS rel, tgname FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid
        WHERE tgconstraint IN (SELECT oid FROM all_of) AND proname ~ '^RI_FKey_({on})_'
    LOOP EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.rel, t.tgname); END LOOP;
END $do$"""

    # as configuration

    def config(self) -> str:
        """The auditor.toml that goes with it."""
        marks = {mark.column: mark.deleted.removeprefix(f"{mark.column} ") for mark in self.mark_columns}
        said = ["[soft_delete]", *([f"columns = {toml(marks)}"] if self.marks_configured else [])]
        said.append(f"history = {toml([table.sql for table in self.tables if table.history])}")
        said.append(f"reuse_unwanted = {toml([table.sql for table in self.reuse_unwanted])}")
        if self.tenant and any(table.tenant for table in self.tables):
            said += ["[tenant]", f"columns = {toml([self.tenant])}"]
        for key in self.relations:
            if key.configured or key.self_is_root or key in self.echoes:
                said += ["[[reference]]", f"from = {toml(f'{key.table.sql}({idents(key.columns)})')}"]
                said.append(f"to = {toml(f'{key.parent.sql}({idents(key.parent_columns)})')}")
                said += [f"where = {toml(key.where)}"] if key.where else []
                said += ["self_is_root = true"] if key.self_is_root else []
        for many in self.polymorphic:
            targets = {value: f"{t.sql}({idents(t.primary)})" for value, t in many.targets.items()}
            said += ["[[reference]]", f"from = {toml(f'{many.table.sql}({ident(many.column)})')}"]
            said += [f"type_column = {toml(many.type_column)}", f"targets = {toml(targets)}"]
        for pair in self.companions:
            said += [
                "[[companion]]",
                f"of = {toml(pair.table.sql)}",
                f"in = {toml(f'{pair.other.sql}({idents(pair.key.columns)})')}",
            ]
            said.append("exactly_one = true")
            if pair.same_state and pair.table.mark and pair.other.mark:
                said.append(f"same_state = {toml([f'{pair.table.mark.live} = {pair.other.mark.live}'])}")
            if pair.trigger:
                said.append(f"trigger = {toml(pair.trigger.name)}")
        for table in self.tables:
            if table.business:
                said += ["[[unique]]", f"table = {toml(table.sql)}", f"columns = {toml([ident(table.code)])}"]
        return "\n".join(said)


def toml(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


# --- a schema without a defect ---------------------------------------------------------------------------------------


def base(draw: Draw, version: int, *, icu: bool) -> World:
    """A random schema in which nothing is wrong, full of what only looks so."""
    world = World(draw, version, icu)
    world.schemas = tuple(dict.fromkeys(world.choose(SCHEMAS) for _ in range(world.count(1, 3))))
    world.mark_columns = [
        Mark("deleted_at", "timestamptz", "deleted_at IS NOT NULL", "deleted_at IS NULL", "2024-01-01", None),
        Mark(
            "is_deleted",
            "boolean",
            "is_deleted IS TRUE",
            "is_deleted IS NOT TRUE",
            True,
            False,
            "NOT NULL DEFAULT false",
        ),
    ]
    world.marks_configured = not world.chance(4)
    world.tenant = world.choose(("org_id", 'The "org" %s', "mandant"))
    for _ in range(world.count(2, 6)):
        generic(world)
    for make, most in ((link, 2), (pair, 2), (loose, 2), (many_tables, 1)):
        for _ in range(world.count(0, most)):
            make(world)
    for statement in NEIGHBOURS:
        if world.chance(5):
            world.numbers += 1
            schema = ident(world.choose(world.schemas))
            world.raw.append(statement.replace("{n}", f"{schema}.n{world.numbers}q").strip())
    world.echoes = [key for key in world.foreign_keys if world.chance(10)]
    return world


# What looks like a defect and is none, each in tables of its own.
NEIGHBOURS = (
    # couples are no hierarchy
    """
CREATE TABLE {n}persons (id int PRIMARY KEY, spouse_id int REFERENCES {n}persons);
INSERT INTO {n}persons VALUES (1, NULL), (2, NULL), (3, NULL);
UPDATE {n}persons SET spouse_id = 3 - id WHERE id < 3
""",
    # triggers that let the row go, fire afterwards, or stand aside for cascades
    """
CREATE TABLE {n}above (id int PRIMARY KEY);
CREATE TABLE {n}below (id int PRIMARY KEY, above_id int REFERENCES {n}above ON DELETE CASCADE);
CREATE FUNCTION {n}old() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN /* RETURN NULL */ RETURN OLD; END';
CREATE FUNCTION {n}none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER a BEFORE DELETE ON {n}below FOR EACH ROW EXECUTE FUNCTION {n}old();
CREATE TRIGGER b AFTER DELETE ON {n}below FOR EACH ROW EXECUTE FUNCTION {n}none();
CREATE TRIGGER c BEFORE DELETE ON {n}below FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION {n}none();
CREATE RULE d AS ON DELETE TO {n}below DO ALSO NOTHING
""",
    # ids of other systems, and a log of what is gone
    """
CREATE TABLE {n}clerks (id int PRIMARY KEY, external_id int, stripe_customer_id int, session_id int);
INSERT INTO {n}clerks SELECT n, n, n, n FROM generate_series(1, 30) AS n;
CREATE TABLE {n}clerk_log (id int PRIMARY KEY, clerk_id int);
INSERT INTO {n}clerk_log SELECT n, n + 20 FROM generate_series(1, 30) AS n
""",
    # an upsert by constraint, one without target, one of a temporary table
    """
CREATE TABLE {n}keyed (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, CONSTRAINT keyed_ab UNIQUE (a, b));
INSERT INTO {n}keyed VALUES (1, 1, 1), (2, 1, 2);
CREATE FUNCTION {n}put() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {n}keyed VALUES (1, 1, 1) ON CONFLICT (b, a) DO NOTHING;
    INSERT INTO {n}keyed VALUES (1, 1, 1) ON CONFLICT ON CONSTRAINT keyed_ab DO UPDATE SET a = 1;
    INSERT INTO {n}keyed VALUES (1, 1, 1) ON CONFLICT DO NOTHING;
    CREATE TEMP TABLE elsewhere (x int UNIQUE);
    INSERT INTO elsewhere VALUES (1) ON CONFLICT (x) DO NOTHING;
    PERFORM 'INSERT INTO nowhere VALUES (1) ON CONFLICT (a) DO NOTHING';
END $$
""",
    # a unique key for each case of NULL
    """
CREATE TABLE {n}cases (id int PRIMARY KEY, a int NOT NULL, b int);
CREATE UNIQUE INDEX ON {n}cases (a, b) WHERE b IS NOT NULL;
CREATE UNIQUE INDEX ON {n}cases (a) WHERE b IS NULL;
INSERT INTO {n}cases VALUES (1, 1, NULL), (2, 2, NULL), (3, 2, 1)
""",
    # two tables that need each other, one of them late
    """
CREATE TABLE {n}hens (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE {n}eggs (id int PRIMARY KEY, hen int NOT NULL REFERENCES {n}hens);
ALTER TABLE {n}hens ADD FOREIGN KEY (egg) REFERENCES {n}eggs DEFERRABLE INITIALLY DEFERRED
""",
    # a default that is a row of the parent; domains whose values are as they say
    """
CREATE DOMAIN {n}size AS int NOT NULL CHECK (VALUE > 0);
CREATE TABLE {n}kinds (id int PRIMARY KEY, size {n}size DEFAULT 1, sizes {n}size[]);
INSERT INTO {n}kinds VALUES (1, 5, '{1,2}'), (2, 1, NULL);
CREATE TABLE {n}things (id int PRIMARY KEY, kind int NOT NULL DEFAULT 1 REFERENCES {n}kinds ON DELETE SET DEFAULT);
INSERT INTO {n}things VALUES (1, 2)
""",
    # a CHECK that is NOT VALID and that every row satisfies
    """
CREATE TABLE {n}checked (id int PRIMARY KEY, n int);
INSERT INTO {n}checked VALUES (1, 1), (2, NULL);
ALTER TABLE {n}checked ADD CONSTRAINT positive CHECK (n > 0) NOT VALID
""",
    # addresses, each once whatever their case; sequences that nobody owns, and that begin anew
    """
CREATE TABLE {n}inboxes (id int PRIMARY KEY, email text NOT NULL);
CREATE UNIQUE INDEX ON {n}inboxes (lower(email));
INSERT INTO {n}inboxes VALUES (1, 'A@example.com'), (2, 'b@example.com');
CREATE SEQUENCE {n}round MAXVALUE 10 CYCLE;
CREATE VIEW {n}seen AS SELECT * FROM {n}inboxes;
CREATE MATERIALIZED VIEW {n}kept AS SELECT * FROM {n}inboxes
""",
    # types beside ids that are too few to tell
    """
CREATE TABLE {n}marks (id int PRIMARY KEY, owner_type text, owner_id int);
INSERT INTO {n}marks VALUES (1, 'Gadget', 99), (2, 'Nothing', 1)
""",
)


def generic(world: World, noun: str = "") -> Table:
    """A table with a random key, and references to those that are there."""
    table = Table(world.choose(world.schemas), noun or world.name("t"))
    width = world.choose((1, 1, 2))
    shape = [world.choose(("int", "bigint", "uuid", "text", "date")) for _ in range(width)]
    for number, kind in enumerate(shape):
        table.columns.append(Column(world.name("k") if number or world.chance(2) else "id", kind, KINDS[kind], True))
    table.primary = tuple(column.name for column in table.columns)
    table.layout = world.choose(("", "", "partitioned", "heir"))
    # A number and a text of its own: with them it is no table that only links others.
    table.number = world.name("c")
    table.columns.append(Column(table.number, "int", lambda n: n))
    table.columns.append(Column(world.name("b"), "text", lambda n: None if n % 3 == 0 else "same"))
    if world.chance(2):
        marked(world, table)
    if world.chance(2):
        table.tenant = world.tenant
        table.columns.append(Column(world.tenant or "", "int", lambda n: n % 2 + 1))
        if world.chance(3):
            table.columns[-1].not_null = True
            table.primary = (world.tenant or "", *table.primary)
    if world.chance(3):
        check = f"{ident(table.number)} > 0 OR {ident(table.number)} = -1"
        table.checks.append(Check(world.name("y"), check, lambda row: True))
    if world.chance(3) and shape[0] in ("int", "bigint") and not table.layout:
        table.serial, table.sequence = table.columns[0].name, world.name("s")
        table.step = world.choose((1, 2))
        kind = world.choose(("ALWAYS", "BY DEFAULT"))
        options = f"SEQUENCE NAME {qualified(table.schema, table.sequence)} INCREMENT BY {table.step}"
        table.columns[0].rest = f"GENERATED {kind} AS IDENTITY ({options})"
    table.history = table.mark is None and world.chance(6)
    others = [t for t in world.tables if not t.link and not t.closed]
    for _ in range(world.count(0, 2) if others else 0):
        refer(world, table, world.choose(others))
    if world.chance(4):
        refer(world, table, table)
    if table.layout != "partitioned" and world.chance(2):
        code(world, table)
    world.tables.append(table)
    table.fill(world.count(ROWS, ROWS + 3))
    if table.code and table.mark and table.uniques and table.uniques[-1].where:
        table.rows[-1][table.code] = table.rows[0][table.code]  # of a deleted row: free to be used again
    return table


def marked(world: World, table: Table) -> None:
    table.mark = world.choose(world.mark_columns)
    table.columns.append(Column(table.mark.column, table.mark.type, lambda n: None, rest=table.mark.rest))


def refer(world: World, table: Table, parent: Table, *, configured: bool = False, names: tuple[str, ...] = ()) -> Key:
    """A relation that is as it should be. The columns have the types of the key, or wider ones."""
    required = not configured and parent is not table and world.chance(3)
    shared = parent.tenant is not None and parent.tenant in parent.primary and table.tenant is not None
    columns: list[str] = []
    for number, name in enumerate(parent.primary):
        theirs = parent.column(name)
        if shared and name == parent.tenant:
            columns.append(name)
            continue
        kind = "bigint" if theirs.type == "int" and world.chance(3) else theirs.type
        called = names[number] if names else world.name("r")
        if parent is table:  # a hierarchy is told by its name
            called = world.choose(("parent_{n}q", 'The "parent" %s {n}q')).format(n=world.numbers)
        made = Column(called, kind, lambda n: None, required)
        table.columns.append(made)
        columns.append(made.name)
    key = Key(
        "" if configured else world.name("f"), table, tuple(columns), parent, parent.primary, configured=configured
    )
    if not configured:
        actions = list(NULLABLE_ACTIONS[:3] if required or shared else NULLABLE_ACTIONS)
        if shared and not required and world.version >= 15:
            actions.append(f"SET NULL ({idents(columns[1:])})")
        key.on_delete = world.choose(actions)
        key.on_update = world.choose(("NO ACTION", "CASCADE"))
        key.match = "SIMPLE" if shared else world.choose(("SIMPLE", "SIMPLE", "FULL"))
        key.deferrable = world.choose(("", "", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"))
        key.self_is_root = parent is table and world.chance(3)
    table.keys.append(key)
    return key


def code(world: World, table: Table) -> None:
    """A business key: unique, among live rows where there are others; perhaps declared, perhaps upserted on."""
    table.code = world.name("code_")
    table.columns.append(Column(table.code, world.choose(("text", "int")), lambda n: None, True))
    made = table.columns[-1]
    made.make = KINDS[made.type]
    unique = Unique(world.name("u"), (table.code,), constraint=world.chance(2))
    reusable(world, table, unique)
    table.uniques.append(unique)
    table.business = world.chance(2)
    if world.chance(3):
        upsert(world, table)


def reusable(world: World, table: Table, unique: Unique) -> None:
    """Lets deleted rows hold no key, or has the configuration say that they may."""
    if table.mark is not None and world.chance(3):
        world.reuse_unwanted.append(table)
    elif table.mark is not None:
        unique.where = table.mark.live


def upsert(world: World, table: Table) -> None:
    """A function that inserts, or updates what is there."""
    where = f" WHERE {table.uniques[-1].where}" if table.uniques[-1].where else ""
    clause = (
        f"ON CONFLICT ({ident(table.code)}){where} DO UPDATE SET {ident(table.number)} = EXCLUDED.{ident(table.number)}"
    )
    body = f"BEGIN INSERT INTO {table.sql} ({ident(table.code)}) VALUES (DEFAULT) {clause}; END"
    name = world.name("put")
    world.functions.append(
        Function(table.schema, name, body, "void", upsert=(table, (table.code,), table.uniques[-1].where))
    )


def plain(
    world: World, kinds: tuple[str, ...] = ("int", "bigint", "uuid"), *, noun: str = "", soft: bool = False
) -> Table:
    """A table with a key of one column."""
    kind = world.choose(kinds)
    table = Table(world.choose(world.schemas), noun or world.name("t"))
    table.columns = [Column("id", kind, KINDS[kind], True)]
    table.primary = ("id",)
    table.number = world.name("c")
    table.columns.append(Column(table.number, "int", lambda n: n))
    table.columns.append(Column(world.name("b"), "text", lambda n: "same"))
    if soft:
        marked(world, table)
    world.tables.append(table)
    return table


def link(world: World) -> None:
    """Two tables, and which of their rows belong together."""
    ends = [plain(world) for _ in range(2)]
    for end in ends:
        end.fill(ROWS + 2)
    table = Table(world.choose(world.schemas), world.name("l"), link=True)
    for end in ends:
        key = refer(world, table, end)
        key.match, key.on_delete = "SIMPLE", world.choose(("CASCADE", "NO ACTION"))
        for name in key.columns:
            table.column(name).not_null = True
    table.primary = tuple(name for key in table.keys for name in key.columns)
    if world.chance(2):
        table.columns.append(Column("role", "text", lambda n: "x"))
    world.tables.append(table)
    for number in range(4):
        row = table.add()
        table.keys[0].point(row, ends[0].rows[number])
        table.keys[1].point(row, ends[1].rows[number // 2])


def pair(world: World) -> None:
    """A table and its configured companion."""
    soft = world.chance(2)
    table = plain(world, soft=soft)
    table.closed = True
    table.fill(world.choose((ROWS, 22)))
    other = plain(world, soft=soft)
    other.closed = True
    key = refer(world, other, table)
    key.on_delete, key.match = "CASCADE", "SIMPLE"
    for name in key.columns:
        other.column(name).not_null = True
    unique = Unique(world.name("u"), key.columns, constraint=world.chance(2))
    other.uniques.append(unique)
    reusable(world, other, unique)
    for row in table.rows:
        if not table.deleted(row) or world.chance(2):
            key.point(other.add(deleted=table.deleted(row)), row)
    trigger = None
    if world.chance(2):
        body = (
            f"BEGIN INSERT INTO {other.sql} ({idents(key.columns)}) VALUES (NEW.id);"
            f" UPDATE {other.sql} SET {ident(other.number)} = 1; RETURN NULL; END"
        )
        function = Function(table.schema, world.name("sync"), body)
        world.functions.append(function)
        trigger = Trigger(world.name("g"), "AFTER", ("INSERT", "UPDATE"), function)
        table.triggers.append(trigger)
    world.companions.append(Companion(table, other, key, unique, world.chance(2), trigger))


def loose(world: World) -> None:
    """A relation of the configuration, for all rows or some."""
    parent = plain(world, ("int", "bigint", "uuid", "text", "date"), soft=world.chance(2))
    parent.fill()
    table = plain(world, soft=world.chance(2))
    key = refer(world, table, parent, configured=True)
    if world.chance(2):
        key.where = f"{ident(table.number)} < 900"
        key.holds = lambda row: int(row[table.number] or 0) < 900
    table.fill()
    if key.where:
        row = table.add()
        row.update({table.number: 950, key.columns[0]: KINDS[parent.columns[0].type](777)})


def many_tables(world: World) -> None:
    """A column that points to rows of two tables."""
    kind = world.choose(("int", "bigint"))
    ends = [plain(world, (kind,)) for _ in range(2)]
    for end in ends:
        end.fill()
    table = plain(world)
    column, kind_of = world.name("on"), world.name("what")
    values = world.choose((("a", "b"), ("it's", "%s")))
    table.columns += [
        Column(column, kind, lambda n: None if n == 1 else n % 4 + 1),
        Column(kind_of, "text", lambda n: None if n == 1 else values[n % 2]),
    ]
    table.fill()
    world.polymorphic.append(Polymorphic(table, column, kind_of, dict(zip(values, ends, strict=True))))
