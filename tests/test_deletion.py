"""What deleting a row does, foretold and then done: on random schemas with random rows `explain` says what DELETE does.

AUDITOR_DELETION_SCHEMAS and AUDITOR_REPROOF_SEED choose how many schemas, and which; the run's are printed at its end.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import strategies as st

from auditor.audit import open_catalog
from auditor.catalog.model import Catalog
from auditor.connection import Session, Target
from auditor.deletion import EARLY, Deletion, condition, explain, find
from auditor.text import safe_text
from tests.conftest import Make
from tests.helpers import audit, drawn, login, run_auditor
from tests.test_hostile import NAMES

SCHEMAS = int(os.environ.get("AUDITOR_DELETION_SCHEMAS", "50"))
SEED = int(os.environ.get("AUDITOR_DELETION_SEED", "20261121")) or secrets.randbits(32)  # 0: another one each time
TOGETHER = 25  # schemas in one database

ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
VALUES = st.sampled_from((None, 0, 0, 1, 1, 2, 2, 3))


@dataclass(frozen=True)
class Key:
    """A foreign key, from columns of a table to columns of another, or of the same."""

    columns: tuple[str, ...]
    referenced: int
    referenced_columns: tuple[str, ...]
    clauses: str
    state: str  # of its triggers, or of the key


@dataclass(frozen=True)
class Made:
    """A table: its columns, what they may not hold, its keys and its rows. a, b, c point somewhere; u and (v, w) are keys."""

    layout: str  # plain, partitioned, nested, inherited
    types: tuple[tuple[str, str], ...]
    checks: tuple[str, ...]
    keys: tuple[Key, ...]
    rows: tuple[tuple[int | None, ...], ...]
    indexed: bool


COLUMNS = ("a", "b", "c", "u", "v", "w")
CHECKS = (
    "CHECK (a IS NOT NULL OR b IS NOT NULL)",
    "CHECK (a > 0)",
    "CHECK (coalesce(b, 0) <> 2)",
    "CHECK (NOT (b IS NULL AND u IS NULL))",
    "CHECK (c IS NOT NULL)",
)


@st.composite
def schemas(draw: st.DrawFn, version: int) -> tuple[Made, ...]:
    number = draw(st.integers(2, 6))
    return tuple(draw(tables(number, version)) for _ in range(number))


@st.composite
def tables(draw: st.DrawFn, number: int, version: int) -> Made:
    types = []
    for column in COLUMNS:
        kind = draw(st.sampled_from(("int",) * 24 + ("int NOT NULL", "filled", "small")))
        default = draw(st.sampled_from(("", "", " DEFAULT 1", " DEFAULT 2", " DEFAULT 9")))
        types.append((column, kind.replace(" NOT NULL", "") + default + (" NOT NULL" if "NOT NULL" in kind else "")))
    keys = tuple(draw(st.lists(foreign_keys(number, version), min_size=1, max_size=4)))
    checks = tuple(draw(st.lists(st.sampled_from(CHECKS), max_size=1))) if draw(st.integers(0, 3)) == 0 else ()
    if version >= 15 and draw(st.integers(0, 12)) == 0:
        checks += ("UNIQUE NULLS NOT DISTINCT (c)",)
    if draw(st.integers(0, 12)) == 0:
        checks += ("UNIQUE (a, b)",)
    layout = draw(st.sampled_from(("plain",) * 8 + ("partitioned", "nested", "inherited")))
    if layout in ("partitioned", "nested"):
        checks = tuple(check for check in checks if not check.startswith("UNIQUE"))
    rows = tuple(draw(st.lists(st.tuples(*[VALUES] * len(COLUMNS)), min_size=2, max_size=8)))
    return Made(layout, tuple(types), checks, keys, rows, draw(st.booleans()))


@st.composite
def foreign_keys(draw: st.DrawFn, number: int, version: int) -> Key:
    size = draw(st.sampled_from((1, 1, 1, 2)))
    pairs = (("a", "b"), ("b", "c"), ("v", "w"), ("b", "a"))
    columns = draw(st.sampled_from(pairs if size == 2 else (("a",), ("a",), ("b",), ("b",), ("c",), ("u",))))
    theirs = ("v", "w") if size == 2 else (draw(st.sampled_from(("id", "id", "id", "u"))),)
    on_delete = draw(st.sampled_from((*ACTIONS, "CASCADE", "CASCADE", "CASCADE", "SET NULL", "SET DEFAULT")))
    if version >= 15 and on_delete.startswith("SET") and size == 2 and draw(st.booleans()):
        on_delete += f" ({draw(st.sampled_from(columns))})"
    clauses = draw(st.sampled_from(("", "", "MATCH FULL "))) if size == 2 else ""
    clauses += f"ON DELETE {on_delete} ON UPDATE {draw(st.sampled_from(ACTIONS))}"
    clauses += draw(st.sampled_from(("", "", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED")))
    states = ["", "", "", "", "", "", "disabled", *(["not enforced"] if version >= 18 else [])]
    return Key(columns, draw(st.integers(0, number - 1)), theirs, clauses, draw(st.sampled_from(states)))


@dataclass
class Script:
    """A schema as SQL. Columns that partitions are told apart by have no nulls and no duplicates among them."""

    made: tuple[Made, ...]
    schema: str
    refused: list[str] = field(default_factory=list)

    def load(self, connection: psycopg.Connection[Any]) -> None:
        def run(text: str) -> None:
            try:
                connection.execute(text.encode())
            except psycopg.Error:
                self.refused.append(text)

        run(f"CREATE SCHEMA {self.schema}")
        connection.execute(f"SET search_path = {self.schema}, kinds".encode())
        for number, table in enumerate(self.made):
            columns = ", ".join(f"{name} {kind}" for name, kind in table.types)
            whole = f"CREATE TABLE t{number} (rid serial, id int PRIMARY KEY, {columns}"
            unique = "" if table.layout in ("partitioned", "nested") else ", UNIQUE (u), UNIQUE (v, w)"
            checks = "".join(f", {check}" for check in table.checks)
            by = {"partitioned": " PARTITION BY LIST (id)", "nested": " PARTITION BY RANGE (id)"}.get(table.layout, "")
            run(f"{whole}{unique}{checks}){by}")
            if table.layout == "partitioned":
                run(f"CREATE TABLE t{number}_1 PARTITION OF t{number} FOR VALUES IN (0, 2)")
                run(f"CREATE TABLE t{number}_2 PARTITION OF t{number} DEFAULT")
            elif table.layout == "nested":
                run(
                    f"CREATE TABLE t{number}_1 PARTITION OF t{number} FOR VALUES FROM (0) TO (2) PARTITION BY LIST (id)"
                )
                run(f"CREATE TABLE t{number}_2 PARTITION OF t{number} FOR VALUES FROM (2) TO (9)")
                run(f"CREATE TABLE t{number}_3 PARTITION OF t{number}_1 DEFAULT")
            elif table.layout == "inherited":
                run(f"CREATE TABLE t{number}_1 () INHERITS (t{number})")
        for number, table in enumerate(self.made):
            for place, key in enumerate(table.keys):
                state = " NOT ENFORCED" if key.state == "not enforced" else ""
                run(
                    f"ALTER TABLE t{number} ADD CONSTRAINT k{place} FOREIGN KEY ({', '.join(key.columns)})"
                    f" REFERENCES t{key.referenced} ({', '.join(key.referenced_columns)}) {key.clauses}{state}"
                )
            if table.indexed:
                run(f"CREATE INDEX ON t{number} (a)")
                run(f"CREATE INDEX ON t{number} (b)")
        run("SET session_replication_role = replica")
        for number, table in enumerate(self.made):
            for place, row in enumerate(table.rows):
                into = f"t{number}_1" if table.layout == "inherited" and place > 3 else f"t{number}"
                values = ", ".join("NULL" if value is None else str(value) for value in (place % 6, *row))
                run(f"INSERT INTO {into} (id, {', '.join(COLUMNS)}) VALUES ({values})")
        run("RESET session_replication_role")
        for number, table in enumerate(self.made):
            if any(key.state == "disabled" for key in table.keys):
                run(f"ALTER TABLE t{number} DISABLE TRIGGER ALL")

    def __str__(self) -> str:
        return "\n".join((f"CREATE SCHEMA {self.schema}", *map(str, self.made)))


Rows = dict[tuple[int, int], tuple[Any, ...]]


def contents(connection: psycopg.Connection[Any], script: Script) -> Rows:
    """Every row by its table and its number."""
    found: Rows = {}
    for number in range(len(script.made)):
        text = f"SELECT rid, {', '.join(COLUMNS)} FROM {script.schema}.t{number}"
        for rid, *values in connection.execute(text.encode()):
            found[number, rid] = tuple(values)
    return found


@dataclass
class Truth:
    """What DELETE did: the SQLSTATE it failed with, or how many rows went, and how many have another value in a column."""

    sqlstate: str
    deleted: Counter[int]
    changed: Counter[tuple[int, str, str]]


def done(connection: psycopg.Connection[Any], script: Script, statement: str) -> Truth:
    before = contents(connection, script)
    deleted: Counter[int] = Counter()
    changed: Counter[tuple[int, str, str]] = Counter()
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            after = contents(connection, script)
    except psycopg.Error as error:
        return Truth(error.sqlstate or "", deleted, changed)
    for place, values in before.items():
        if place not in after:
            deleted[place[0]] += 1
            continue
        for name, old, new in zip(COLUMNS, values, after[place], strict=True):
            if old != new:
                changed[place[0], name, "null" if new is None else "default"] += 1
    return Truth("", deleted, changed)


def foretold(made: Deletion, catalog: Catalog, script: Script) -> tuple[Counter[int], Counter[tuple[int, str, str]]]:
    """The same counts, as they were said before."""

    def number(oid: int) -> int:
        return int(catalog.tables[oid].name[1:].partition("_")[0])

    deleted: Counter[int] = Counter()
    changed: Counter[tuple[int, str, str]] = Counter()
    for oid, count in made.deleted.items():
        deleted[number(oid)] += count
    for oid, columns in made.changed.items():
        for (name, kind), count in columns.items():
            changed[number(oid), name, kind] += count
    return deleted, changed


PREPARED = """
CREATE SCHEMA kinds;
CREATE DOMAIN kinds.filled AS int NOT NULL;
CREATE DOMAIN kinds.small AS int CHECK (VALUE IS NOT NULL AND VALUE < 9);
"""


@pytest.mark.proof
def test_random_deletions(database: Make, version: int, record_property: Callable[[str, object], None]) -> None:
    started = time.monotonic()
    made = drawn(schemas(version), SCHEMAS, SEED)
    verdicts: Counter[str] = Counter()
    total = 0
    for first in range(0, len(made), TOGETHER):
        dsn = database(PREPARED)
        with psycopg.connect(dsn, autocommit=True) as connection:
            scripts = [Script(one, f"s{first + place}") for place, one in enumerate(made[first : first + TOGETHER])]
            for script in scripts:
                script.load(connection)
            with Session(Target(dsn)) as session:
                catalog = open_catalog(session)
                for script in scripts:
                    for table in range(len(script.made)):
                        for key in range(3):
                            relation = catalog.by_name.get((script.schema, f"t{table}"))
                            if relation is None:
                                continue
                            place = f"seed {SEED}, {script.schema}.t{table} id {key}\n{script}"
                            truth = done(connection, script, f"DELETE FROM {relation.sql} WHERE id = {key}")
                            rows = connection.execute(
                                f"SELECT 1 FROM {relation.sql} WHERE id = {key}".encode()
                            ).fetchall()
                            if not rows:
                                continue
                            said = explain(session, catalog, relation, f"r.id = {key}", "this id")
                            if version < 15 and any(EARLY in why for why in said.unsure):
                                continue
                            assert (said.unsure, said.stopped) == ((), ""), place
                            states = {refused.sqlstate for refused in said.refused}
                            assert bool(truth.sqlstate) is bool(states), (truth, said.refused, place)
                            if truth.sqlstate:
                                assert truth.sqlstate in states, (truth, said.refused, place)
                            else:
                                assert foretold(said, catalog, script) == (truth.deleted, truth.changed), (said, place)
                            verdicts[
                                "refused"
                                if truth.sqlstate
                                else "cascaded"
                                if len(truth.deleted) > 1 or truth.changed or truth.deleted.total() > 1
                                else "alone"
                            ] += 1
                            total += 1
    record_property(
        "summary",
        f"deletions foretold: {total} rows of {len(made)} random schemas: {dict(verdicts)}, seed {SEED},"
        f" {time.monotonic() - started:.1f} s",
    )


# --- what stands further up, for the check that finds the key in the way ---------------------------------------------

UPWARD = """
CREATE TABLE regions (id int PRIMARY KEY);
CREATE TABLE orgs (id int PRIMARY KEY, region_id int REFERENCES regions ON DELETE CASCADE);
CREATE TABLE workspaces (id int PRIMARY KEY, org_id int REFERENCES orgs ON DELETE CASCADE);
CREATE TABLE users (id int PRIMARY KEY, workspace_id int NOT NULL REFERENCES workspaces ON DELETE SET NULL);
INSERT INTO regions SELECT generate_series(1, 4);
INSERT INTO orgs SELECT n, (n + 1) / 2 FROM generate_series(1, 6) AS n;
INSERT INTO workspaces SELECT n, (n + 1) / 2 FROM generate_series(1, 9) AS n;
INSERT INTO users VALUES (1, 1), (2, 2), (3, 3);
"""
CHECK = "nullability/set-null-on-not-null"


def refusing(dsn: str, table: str) -> int:
    """How many rows of a table cannot be deleted, each tried."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        count = 0
        for (key,) in connection.execute(f"SELECT id FROM {table}".encode()).fetchall():
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(f"DELETE FROM {table} WHERE id = {key}".encode())
            except psycopg.errors.NotNullViolation:
                count += 1
        return count


def test_who_stands_further_up_is_named_and_counted(database: Make) -> None:
    dsn = database(UPWARD)
    (finding,) = audit(dsn, select=[CHECK]).findings
    assert finding.title.startswith("3 of 9 rows of public.workspaces cannot be deleted: ")
    assert (refusing(dsn, "workspaces"), refusing(dsn, "orgs"), refusing(dsn, "regions")) == (3, 2, 1)
    assert (
        " Deleting from public.orgs fails too, where it cascades to such rows: its deletes go on to public.workspaces"
        " (org_id), and public.users (workspace_id) refuses; that holds 2 of 6 rows today."
        " Deleting from public.regions fails too, where it cascades to such rows: its deletes go on to public.orgs"
        " (region_id) and public.workspaces (org_id), and public.users (workspace_id) refuses; that holds 1 of 4 rows today."
    ) in finding.message
    (unread,) = audit(dsn, select=[CHECK], depth="catalog").findings
    assert "Deleting from public.regions fails too" in unread.message
    assert "today" not in unread.message


@pytest.mark.parametrize(
    "more",
    [
        "ALTER TABLE users ADD org_id int REFERENCES orgs ON DELETE CASCADE; UPDATE users SET org_id = 1",
        "ALTER TABLE workspaces ADD up int REFERENCES workspaces ON DELETE CASCADE",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON workspaces FOR EACH ROW EXECUTE FUNCTION keep()",
    ],
    ids=["another way", "itself", "cancelled"],
)
def test_what_cannot_be_counted_is_only_named(database: Make, more: str) -> None:
    (finding,) = audit(database(UPWARD, more), select=[CHECK]).findings
    assert "Deleting from public.orgs fails too" in finding.message
    assert "of 6 rows today" not in finding.message


def test_the_furthest_are_named_without_their_way(database: Make) -> None:
    more = (
        "CREATE TABLE parts (id int PRIMARY KEY); CREATE TABLE worlds (id int PRIMARY KEY);"
        "ALTER TABLE regions ADD part_id int REFERENCES parts ON DELETE CASCADE;"
        "ALTER TABLE parts ADD world_id int REFERENCES worlds ON DELETE CASCADE"
    )
    (finding,) = audit(database(UPWARD, more), select=[CHECK], depth="catalog").findings
    assert finding.message.endswith(" refuses. So does deleting from public.worlds.")
    assert finding.message.count("fails too") == 3


def test_a_circle_of_cascades_ends(database: Make) -> None:
    more = "ALTER TABLE regions ADD workspace_id int REFERENCES workspaces ON DELETE CASCADE"
    dsn = database(UPWARD, more)
    (finding,) = audit(dsn, select=[CHECK]).findings
    assert finding.message.count("fails too") == 2
    said = command(dsn, "regions", "1")
    assert said.returncode == 1


# --- the command -----------------------------------------------------------------------------------------------------

NAMED = """
CREATE SCHEMA app;
CREATE TABLE app.orgs (id int PRIMARY KEY, name text);
CREATE TABLE app."Web Users" (org_id int REFERENCES app.orgs ON DELETE CASCADE, "the no" int, PRIMARY KEY (org_id, "the no"));
CREATE TABLE app.logs (org_id int, no int, FOREIGN KEY (org_id, no) REFERENCES app."Web Users" ON DELETE SET NULL);
CREATE TABLE app.bills (id int PRIMARY KEY, org_id int REFERENCES app.orgs DEFERRABLE INITIALLY DEFERRED);
CREATE VIEW app.shown AS SELECT * FROM app.orgs;
INSERT INTO app.orgs VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO app."Web Users" VALUES (1, 1), (1, 2), (2, 1);
INSERT INTO app.logs VALUES (1, 1), (1, 1), (2, 1);
INSERT INTO app.bills VALUES (1, 2);
"""


def command(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_auditor("explain-delete", "-d", dsn, *arguments, cwd=Path(tempfile.gettempdir()))


def test_the_command_tells_what_goes_what_changes_and_what_refuses(database: Make) -> None:
    dsn = database(NAMED)
    said = command(dsn, "app.orgs", "1")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == (
        "Deleting 1 row of app.orgs where id = 1:\n"
        '  - app."Web Users" (org_id): ON DELETE CASCADE: 2 rows deleted\n'
        "    - app.logs (org_id, no): ON DELETE SET NULL: 2 rows: org_id and no set to\n"
        "        NULL\n"
        "  1 more foreign key does nothing: no row points there.\n"
        "\n"
        'Rows that go: app.orgs 1, app."Web Users" 2\n'
        "Values that change: app.logs.org_id 2 (NULL), app.logs.no 2 (NULL)\n"
        "\n"
        "It can be deleted: 3 rows of 2 tables go.\n"
    )
    refused = command(dsn, "orgs", "id=2")
    assert refused.returncode == 1
    assert "✖ app.bills (org_id): ON DELETE NO ACTION: refused at COMMIT, 1 row (23503)" in refused.stdout
    assert refused.stdout.endswith("It would be refused (SQLSTATE 23503).\n")
    assert all(len(text) <= 80 for text in refused.stdout.splitlines())
    composite = command(dsn, 'app."Web Users"', "2", "1")
    assert composite.returncode == 0
    assert command(dsn, "app.Web Users", "2", "1").returncode == 2  # psql folds it
    by_name = command(dsn, 'app."Web Users"', '"the no"=1')
    assert "Deleting 2 rows" in by_name.stdout
    data = json.loads(command(dsn, "app.orgs", "2", "-f", "json").stdout)
    assert data["exit_code"] == 1
    assert [(one["table"], one["sqlstate"], one["at"]) for one in data["refused"]] == [("bills", "23503", "commit")]
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM app.orgs").fetchone() == (3,)


def test_without_a_key_no_row_is_read(database: Make) -> None:
    dsn = login(database(NAMED), "GRANT USAGE ON SCHEMA app TO {role}")
    said = command(dsn, "app.orgs")
    assert said.returncode == 1
    assert "app.bills (org_id): ON DELETE NO ACTION: refused at COMMIT while a row points there" in " ".join(
        said.stdout.split()
    )
    assert "1 foreign key may refuse." in said.stdout
    assert command(dsn, 'app."Web Users"').returncode == 0
    unread = command(dsn, "app.orgs", "1")
    assert unread.returncode == 4
    assert unread.stdout.endswith("It cannot be told: no SELECT on app.orgs.\n")


def test_what_cannot_be_read_is_said(database: Make) -> None:
    grants = ("GRANT USAGE ON SCHEMA app TO {role}", "GRANT SELECT ON app.orgs, app.bills TO {role}")
    dsn = login(database(NAMED), *grants)
    said = command(dsn, "app.orgs", "1")
    assert said.returncode == 4
    assert 'no SELECT on app."Web Users": its rows were not looked at' in said.stdout
    assert command(dsn, "app.orgs", "2").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("app.org", "1"), "there is no table app.org; did you mean app.orgs?"),
        (("app.shown", "1"), "app.shown is a view: no foreign key acts when its rows are deleted"),
        (("a.b.c", "1"), "a.b.c: expected a table, or schema.table"),
        (("app.orgs", "9"), "app.orgs has no row with id = 9: nothing would be deleted"),
        (("app.orgs", "x"), "id = x is no key of app.orgs: id integer (SQLSTATE 22P02)"),
        (("app.orgs", "1", "2"), "the key of app.orgs is (id): 1 value expected, 2 given"),
        (("app.logs", "1"), "app.logs has no primary key: name columns, column=value"),
        (('app."Web Users"', "1"), 'the key of app."Web Users" is (org_id, "the no"): 2 values expected, 1 given'),
        (("app.orgs", "ids=1", "name=one"), "app.orgs has no column ids; did you mean id?"),
        (("app.orgs", "1", "name=one"), "1 and name=one: expected values of the key, or column=value each"),
        (("app.orgs", "id=1", "-f", "html"), "-f html: expected terminal or json"),
    ],
)
def test_bad_input_is_one_line(database: Make, arguments: tuple[str, ...], error: str) -> None:
    said = command(database(NAMED), *arguments)
    assert (said.returncode, said.stdout, said.stderr) == (2, "", f"auditor: {error}\n")


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_hostile_names_are_names(database: Make, name: str) -> None:
    quoted = '"' + name[:20].replace('"', '""') + '"'
    dsn = database(
        f"CREATE SCHEMA {quoted}; CREATE DOMAIN {quoted}.kind AS int CHECK (VALUE < 5);"
        f"CREATE TABLE {quoted}.{quoted} ({quoted} {quoted}.kind DEFAULT 1 PRIMARY KEY);"
        f"CREATE TABLE {quoted}.c ({quoted} {quoted}.kind DEFAULT 2 CHECK ({quoted} > 1) CONSTRAINT {quoted}"
        f" REFERENCES {quoted}.{quoted} ON DELETE SET DEFAULT);"
        f"CREATE TABLE {quoted}.d ({quoted} int REFERENCES {quoted}.{quoted});"
        f"INSERT INTO {quoted}.{quoted} VALUES (2), (3), (4); INSERT INTO {quoted}.c VALUES (3), (2); INSERT INTO {quoted}.d VALUES (4)"
    )
    said = command(dsn, f"{quoted}.{quoted}", "3")
    assert said.returncode == 0, said
    assert "1 (the default)" in " ".join(said.stdout.split())
    assert said.stdout.isprintable() or safe_text(said.stdout) == said.stdout
    with Session(Target(dsn)) as session:
        catalog = open_catalog(session)
        table = find(session, catalog, f"{quoted}.{quoted}")
        assert explain(session, catalog, table, *condition(catalog, table, ["3"])).unsure == ()
        assert explain(session, catalog, table, *condition(catalog, table, [f"{quoted}=4"])).exit_code == 1


# --- what the random schemas do not have -----------------------------------------------------------------------------


def told(dsn: str, name: str, where: str, most: int = 1_000_000) -> Deletion:
    with Session(Target(dsn)) as session:
        catalog = open_catalog(session)
        return explain(session, catalog, find(session, catalog, name), where, where, most)


def test_the_order_of_triggers_decides(database: Make) -> None:
    """NO ACTION is looked at when its turn comes: a row that a later cascade would delete is in the way, an earlier one not."""
    before = "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);"
    rows = "INSERT INTO c VALUES (1, 1)"
    first = "CREATE TABLE c (x int REFERENCES a ON DELETE CASCADE, y int REFERENCES a);"
    last = "CREATE TABLE c (y int REFERENCES a, x int REFERENCES a ON DELETE CASCADE);"
    assert not told(database(before, first, rows), "a", "r.id = 1").refused
    assert [refused.sqlstate for refused in told(database(before, last, rows), "a", "r.id = 1").refused] == ["23503"]


def test_more_rows_than_can_be_kept_in_mind(database: Make) -> None:
    dsn = database(
        "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);"
        "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE); INSERT INTO b SELECT n, 1 FROM generate_series(1, 500) n;"
        "CREATE TABLE c (b int REFERENCES b ON DELETE CASCADE); INSERT INTO c SELECT n % 500 + 1 FROM generate_series(1, 20000) n"
    )
    whole = told(dsn, "a", "r.id = 1", 500)
    assert (sum(whole.deleted.values()), whole.stopped) == (20_501, "")  # c is counted, not kept
    part = told(dsn, "a", "r.id = 1", 400)
    assert (part.exit_code, "more than 400 rows" in part.stopped) == (4, True)


def test_what_cannot_be_known_is_said(database: Make) -> None:
    dsn = database(
        "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);"
        "CREATE TABLE b (id serial, a int DEFAULT (random() * 9)::int REFERENCES a ON DELETE SET DEFAULT); INSERT INTO b (a) VALUES (1);"
        "CREATE FUNCTION f(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        "CREATE TABLE c (a int REFERENCES a ON DELETE SET NULL, CHECK (f(a))); INSERT INTO c VALUES (1);"
        "CREATE TABLE d (a int REFERENCES a ON DELETE SET NULL) PARTITION BY LIST (a);"
        "CREATE TABLE d1 PARTITION OF d FOR VALUES IN (1); INSERT INTO d VALUES (1)"
    )
    found = told(dsn, "a", "r.id = 1")
    assert found.exit_code == 4
    said = "\n".join(found.unsure)
    assert "the default of public.b.a is made when it is set" in said
    assert "the CHECK c_a_check of public.c is not evaluated" in said
    assert "moves rows of public.d to another partition" in said


def test_triggers_that_may_cancel_are_named(database: Make) -> None:
    dsn = database(
        "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);"
        "CREATE TABLE b (a int REFERENCES a ON DELETE CASCADE); INSERT INTO b VALUES (1);"
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON b FOR EACH ROW EXECUTE FUNCTION keep();"
        "CREATE TRIGGER tell AFTER DELETE ON a FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    found = told(dsn, "a", "r.id = 1")
    assert found.cancelling == ("the trigger keep of public.b may return NULL",)
    assert found.triggers == ("tell of public.a, after delete",)
