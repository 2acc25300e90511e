"""Bad input, command by command: one line on standard error that names what was wrong, the contract's exit code, and nothing else.

README states how many there are.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import typer.main
from psycopg import sql

from auditor.config import Settings
from tests.helpers import login, plain_environment, run_auditor

pytestmark = pytest.mark.once

SHOP = """
    CREATE SCHEMA other;
    CREATE TABLE users (id int PRIMARY KEY, email text, born timestamptz);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users, label text, code uuid);
    CREATE TABLE places (a int, b int, PRIMARY KEY (a, b));
    CREATE TABLE loose (a int);
    CREATE TABLE other.twice (id int PRIMARY KEY); CREATE SCHEMA third; CREATE TABLE third.twice (id int PRIMARY KEY);
    CREATE VIEW seen AS SELECT * FROM users;
    CREATE UNIQUE INDEX users_email ON users (email);
    CREATE INDEX users_born ON users (born);
    INSERT INTO users VALUES (1, 'a');
    GRANT USAGE ON SCHEMA public, other, third TO PUBLIC;
    GRANT SELECT ON ALL TABLES IN SCHEMA public, other, third TO PUBLIC;
"""
SECRET = "hunter2"
NOWHERE = f"host=/nonexistent user=me password={SECRET}"  # told before anybody connects


class Bad(NamedTuple):
    """Words of the command line, `{dsn}` among them, what is said of them, and the code it ends with."""

    arguments: tuple[str, ...]
    said: str
    code: int = 2

    @property
    def name(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.arguments))[:80]


# Every file that a row names, by its content; None is a directory.
FILES: dict[str, bytes | None] = {
    "folder": None,
    "empty": b"",
    "binary": bytes(range(256)),
    "text.json": b"not a report",
    "list.json": b"[]",
    "null.json": b"null",
    "number.json": b"1e999",
    "object.json": b"{}",
    "newer.json": b'{"schema_version": 2}',
    "worded.json": b'{"schema_version": "1"}',
    "bare.json": b'{"schema_version": 1}',
    "deep.json": b"[" * 200_000,
    "huge.json": b" " * 5_000_000,
    "latin.json": b'{"schema_version": 1, "notes": ["caf\xe9"]}',
    "latin.toml": b"a = 'caf\xe9'",
    "half.toml": b"[audit",
    "twice.toml": b"[audit]\njobs = 1\njobs = 2\n",
    "control.toml": b"a = '\x1b[31m'",
    "password.toml": f'[database]\nurl = "host=/nonexistent password={SECRET}"\n'.encode(),
    "dsn.toml": f'[database]\nurl = "postgresql://me:{SECRET}@x@y/z"\n'.encode(),
    "auditor.toml.there": b"",
    "no.sql": b"\xff\xfe\x00",
    "fine.toml": b"",
}
# Made from a real report: cut off, and with another kind of value in one place.
REPORTS = ("cut.json", "cut2.json", "severity.json", "findings.json", "missing.json", "extra.json", "evidence.json")

AT = ("{dsn}",)
LOST = (NOWHERE,)
CONNECTING = ("audit", "plan", "doctor", "init")


def usage() -> Iterator[Bad]:
    """What the command line itself refuses."""
    yield Bad(("audti",), "there is no such command audti; did you mean audit?")
    yield Bad((f"postgresql://me:{SECRET}@host/db",), "there is no such command; auditor --help")
    yield Bad((f"host=a password={SECRET}",), "there is no such command; auditor --help")
    yield Bad(("--verbos",), "No such option: --verbos")
    for command in (*CONNECTING, "whatif", "diff", "explain-delete", "history", "checks", "explain", "schema", "demo"):
        yield Bad((command, "--no-such-option"), f"auditor {command} --help tells what it takes")
        yield Bad((command, *("a", "b", "c", "d")[: 4 if command in ("whatif", "diff") else 2], "--host"), "--host")
    for command in (*CONNECTING, "whatif", "explain-delete"):
        first = ("x",) if command in ("whatif", "explain-delete") else ()
        yield Bad((command, *first, "--port"), "--port")
    for command in CONNECTING:
        yield Bad((command, "a", f"postgresql://me:{SECRET}@host/db"), "more arguments are given than it takes")
    yield Bad(("explain",), "Missing argument")
    yield Bad(("schema",), "Missing argument")
    yield Bad(("whatif",), "Missing argument")
    yield Bad(("diff", "a.json"), "Missing argument")
    yield Bad(("explain-delete",), "Missing argument")
    yield Bad(("audit", "--jobs", "many"), "--jobs")
    yield Bad(("audit", "--quiet=yes"), "--quiet")
    yield Bad(("history", "--last", "0"), "--last")
    yield Bad(("history", "--last", "1001"), "--last")
    yield Bad(("history", "--last", "ten"), "--last")
    yield Bad(("explain", "a", "b"), "more arguments are given than it takes")
    yield Bad(("checks", "a"), "more arguments are given than it takes")


def options() -> Iterator[Bad]:
    """Values that no option takes, and options that contradict each other."""
    for command in ("audit", "plan"):
        yield Bad((command, *LOST, "--depth", "deep"), "options: depth: Input should be 'catalog', 'data' or 'full'")
        yield Bad((command, *LOST, "--depth", ""), "options: depth: ")
        yield Bad((command, *LOST, "--select", "orphans"), "no check or family is called 'orphans'")
        yield Bad((command, *LOST, "--select", "references/orphan-row"), "did you mean references/orphan-rows?")
        yield Bad((command, *LOST, "--ignore", "nulability"), "did you mean nullability?")
        yield Bad((command, *LOST, "--select", "references/*"), "no check or family is called")
        yield Bad((command, *LOST, "--select", "a\x1b[31mb"), r"\x1b")
        for option in ("-t", "-T", "-n", "-N"):
            yield Bad((command, *LOST, option, "orders["), "the pattern 'orders[' does not parse")
        yield Bad((command, *AT, "-t", "nothing.here"), "no table matches")
        yield Bad((command, *AT, "-n", "nowhere"), "no table matches")
        yield Bad((command, *AT, "-t", "orders", "-T", "orders"), "no table matches")
        yield Bad((command, *LOST, "--sql", "missing.sql"), "missing.sql")
    for command in (*CONNECTING, "whatif", "explain-delete"):
        first = (
            ("CREATE UNIQUE INDEX ON users (id)",)
            if command == "whatif"
            else ("users",)
            if command == "explain-delete"
            else ()
        )
        at = ("-d", NOWHERE)
        yield Bad(
            (command, *first, *at, "--pace", "slow"), "options: pace: Input should be 'gentle', 'normal' or 'fast'"
        )
        for value in ("soon", "-1s", "99999999"):
            yield Bad((command, *first, *at, f"--lock-timeout={value}"), "lock_timeout")
        if command not in ("plan", "doctor"):
            for value in ("", "5 weeks", "nan", "1e9"):
                yield Bad((command, *first, *at, f"--statement-timeout={value}"), "statement_timeout")
        if command in ("audit", "doctor", "init"):
            yield Bad((command, *at, "--jobs", "0"), "options: jobs: Input should be greater than or equal to 1")
            yield Bad((command, *at, "--jobs", "65"), "options: jobs: Input should be less than or equal to 64")
        if command in ("audit", "init", "whatif"):
            yield Bad(
                (command, *first, *at, "--samples", "all"), "options: samples: Input should be 'none', 'keys' or 'full'"
            )
    yield Bad(("audit", *LOST, "--fail-on", "fatal"), "options: fail_on: ")
    yield Bad(("audit", *LOST, "--time-budget", "some"), "time_budget")
    yield Bad(("audit", *LOST, "--time-budget=-1"), "time_budget")
    yield Bad(("audit", NOWHERE, "-d", NOWHERE), "two DSNs are given")
    yield Bad(("whatif", "x", "--color", "pink"), "--color pink: expected auto, always or never")
    yield Bad(("audit", *LOST, "--color", "pink"), "--color pink: expected auto, always or never")
    yield Bad(("audit", *LOST, "-f", "pdf"), "there is no report format 'pdf'")
    yield Bad(("audit", *LOST, "-f", ""), "there is no report format ''")
    yield Bad(("audit", *LOST, "-f", "HTML"), "there is no report format 'HTML'")
    yield Bad(("audit", *LOST, "-f", "json:"), "a file name is missing after the colon")
    yield Bad(("audit", *LOST, "-f", "json", "-f", "html"), "two reports cannot both go to standard output")
    yield Bad(("audit", *LOST, "-f", "json:folder"), "cannot write the report to folder: it is a directory")
    yield Bad(
        ("audit", *LOST, "-f", "json:no/where.json"), "cannot write the report to no/where.json: there is no directory"
    )
    yield Bad(("audit", *LOST, "-f", f"json:{'x' * 300}"), "File name too long")
    yield Bad(("whatif", "CREATE UNIQUE INDEX ON users (id)", *LOST, "-f", "pdf"), "there is no report format 'pdf'")
    yield Bad(("explain-delete", "users", "-d", NOWHERE, "-f", "html"), "-f html: expected terminal or json")
    yield Bad(("schema", "reports"), "there is no schema 'reports'; known are report and config")
    yield Bad(("explain", "references/orphan"), "no check or family is called 'references/orphan'")
    yield Bad(("explain", ""), "no check or family is called ''")
    yield Bad(("init", *LOST, "-o", "folder"), "cannot write the report to folder: it is a directory")
    yield Bad(("init", *LOST, "-o", "no/where.toml"), "there is no directory")
    yield Bad(("init", *LOST, "-o", "auditor.toml.there"), "auditor.toml.there is there already")
    yield Bad(("history",), "no history is given")


def connections() -> Iterator[Bad]:
    """DSNs that do not parse, and servers that are not there."""
    for dsn in (
        f"postgresql://me:{SECRET}@host:port/db?bad",
        f"postgresql://me:{SECRET}%zz@host/db",
        f"postgresql://me:{SECRET}@x@host/db",
        f"postgresql://me:{SECRET}/x@host/db",
        f"host=a password={SECRET} user",
        f"host=a password='{SECRET}",
        f"mysql://me:{SECRET}@host/db",
        f"jdbc:postgresql://host/db?password={SECRET}",
        SECRET,
        f"host=a no_such_option=1 password={SECRET}",
    ):
        for command in (*CONNECTING, "whatif"):
            first = ("CREATE UNIQUE INDEX ON users (id)",) if command == "whatif" else ()
            yield Bad((command, *first, dsn), "the DSN does not parse")
    for command in (*CONNECTING, "whatif", "explain-delete"):
        first = (
            ("CREATE UNIQUE INDEX ON users (id)",)
            if command == "whatif"
            else ("users",)
            if command == "explain-delete"
            else ()
        )
        yield Bad((command, *first, "-d", NOWHERE), "No such file or directory", 3)
        yield Bad((command, *first, "-d", f"postgresql://me:{SECRET}@127.0.0.1:1/db"), "Connection refused", 3)
    yield Bad(("audit", f"host=no-such-host.invalid password={SECRET}"), "no-such-host.invalid", 3)
    yield Bad(("audit", f"host=127.0.0.1 port=99999 password={SECRET}"), "port", 3)
    yield Bad(("audit", f"host=127.0.0.1 port=abc password={SECRET}"), "port", 3)
    yield Bad(("audit", f"host=127.0.0.1 sslmode=perhaps password={SECRET}"), "sslmode", 3)
    yield Bad(("audit", f"service=nobodys password={SECRET}"), "service", 3)
    yield Bad(("audit", f"host=127.0.0.1 port=1 connect_timeout=soon password={SECRET}"), "connect_timeout", 3)
    yield Bad(("audit", *AT, "-d", "no_such_database"), "no_such_database", 3)
    yield Bad(("audit", *AT, "-U", "no such\nrole"), "no such", 3)
    yield Bad(("diff", NOWHERE, NOWHERE), "A and B are the same database")
    yield Bad(
        ("audit", NOWHERE, "--resume", "report.json", "--consistent"), "--resume and --consistent exclude each other"
    )
    yield Bad(("diff", "report.json", NOWHERE), "No such file or directory", 3)
    yield Bad(("diff", f"postgresql://me:{SECRET}@x@y/z", "report.json"), "the DSN does not parse")
    yield Bad(("doctor", NOWHERE, "--grants"), "No such file or directory", 3)
    yield Bad(("history", f"postgresql://me:{SECRET}@127.0.0.1:1/db"), "postgresql+psycopg://me:***@127.0.0.1:1/db")


def files() -> Iterator[Bad]:
    """Files that are not there, or not what they should be."""
    wrong = {
        "missing.json": "cannot read missing.json: No such file or directory",
        "folder": "cannot read folder: Is a directory",
        "empty": "empty is not a JSON report",
        "binary": "binary is not a JSON report",
        "text.json": "text.json is not a JSON report",
        "list.json": "list.json is not a JSON report",
        "null.json": "null.json is not a JSON report",
        "number.json": "number.json is not a JSON report",
        "object.json": "object.json has schema_version None; this auditor reads 1",
        "newer.json": "newer.json has schema_version 2; this auditor reads 1",
        "worded.json": "worded.json has schema_version '1'; this auditor reads 1",
        "bare.json": "bare.json is not a JSON report of the auditor: ",
        "deep.json": "deep.json is not a JSON report",
        "huge.json": "huge.json is not a JSON report",
        "latin.json": "latin.json is not a JSON report",
        "cut.json": "cut.json is not a JSON report",
        "cut2.json": "cut2.json is not a JSON report",
        "severity.json": "severity.json is not a JSON report of the auditor: findings.0.severity: ",
        "findings.json": "findings.json is not a JSON report of the auditor: findings: ",
        "missing2.json": "cannot read missing2.json",
        "evidence.json": "evidence.json is not a JSON report of the auditor: findings.0.evidence",
        "a\nb\x1b.json": r"cannot read a\nb\x1b.json",
        "x" * 300: "File name too long",
    }
    for file, said in wrong.items():
        yield Bad(("audit", *LOST, "--baseline", file), said)
        there_is_none = "neither a file nor a service called"
        unread = {
            "cannot read missing": there_is_none,
            "cannot read a": there_is_none,
            "cannot read folder": "folder is a directory",
        }
        yield Bad(
            ("diff", file, "report.json"), next((new for old, new in unread.items() if said.startswith(old)), said)
        )
    yield Bad(("diff", "report.json", "empty"), "empty is not a JSON report")
    for command in ("audit", "plan", "doctor", "init", "history"):
        at = ("x.sqlite",) if command == "history" else LOST
        yield Bad((command, *at, "--config", "missing.toml"), "cannot read missing.toml: No such file or directory")
        yield Bad((command, *at, "--config", "folder"), "cannot read folder: Is a directory")
        yield Bad((command, *at, "--config", "half.toml"), "half.toml: not valid TOML: ")
    for file in ("binary", "latin.toml", "twice.toml", "control.toml", "report.json"):
        yield Bad(("audit", *LOST, "--config", file), f"{file}: not valid TOML: ")
    yield Bad(("audit", "--config", "password.toml"), "[database] url holds a password")
    yield Bad(("doctor", "--config", "password.toml"), "[database] url holds a password")
    yield Bad(("audit", "--config", "dsn.toml"), "the DSN does not parse")
    for file, said in (("no\x1b.sql", r"no\x1b.sql"), ("a\nb.sql", r"a\nb.sql")):
        yield Bad(("audit", *LOST, "--sql", file), said)
    for place, said in (
        ("folder", "folder"),
        ("binary", "binary"),
        (f"mysql://me:{SECRET}@h/d", "history"),
        (f"postgresql://me:{SECRET}@x@y/z", "the URL of the history does not parse"),
        (f"postgresql+psycopg://me:x@{SECRET}/y@127.0.0.1:1/d", "the URL of the history does not parse"),
        (
            f"postgresql:///d?host=127.0.0.1&port=1&password={SECRET}",
            "the history in postgresql+psycopg:///d cannot be used",
        ),
        (f"postgresql://me:{SECRET}@[::1/d", "the history cannot be kept there"),
        (f"postgresql+nothing://me:{SECRET}@h/d", "the history cannot be kept there"),
    ):
        yield Bad(("history", place), said)
        yield Bad(("audit", *LOST, "--history", place), said)


def entries() -> Iterator[tuple[str, str, bool]]:
    """Configurations, what is said of them, and whether the database has to be asked."""
    for name, info in Settings.model_fields.items():
        several = "tuple" in str(info.annotation)
        yield f"{name} = 1", name, False
        yield f"{f'[[{name}]]' if several else f'[{name}]'}\nno_such_key = 1", f"{name}", False
        yield (f"[{name}]\nx = 1" if several else f"[[{name}]]\nx = 1"), name, False
    yield "[adit]", "unknown key 'adit'; did you mean audit?", False
    models = {name: info.annotation for name, info in Settings.model_fields.items()}
    for name in ("database", "audit", "history", "soft_delete", "tenant"):
        fields = getattr(models[name], "model_fields", {})
        for key in fields:
            yield f"[{name}]\n{key} = 1979-05-27", f"{name}.{key}", False
            yield f"[{name}]\n{key} = {{ a = {{ b = [1] }} }}", f"{name}.{key}", False
    whole = {
        "reference": {"from": '"orders(user_id)"', "to": '"users(id)"'},
        "companion": {"of": '"users(id)"', "in": '"orders(user_id)"'},
        "unique": {"table": '"users"', "columns": '["email"]'},
        "ignore": {"check": '"references"', "reason": '"a"'},
    }
    more = {
        "reference": ("where", "self_is_root", "type_column", "targets"),
        "companion": ("where", "exactly_one", "grace", "created_at", "same_state", "trigger"),
        "unique": ("where",),
        "ignore": ("object", "owner", "until"),
    }
    for name, needed in whole.items():
        for key in (*needed, *more[name]):
            lines = "".join(f"{other} = {value}\n" for other, value in needed.items() if other != key)
            yield f"[[{name}]]\n{lines}{key} = [[1]]", f"{name}[1].{key}", False
            if key in needed and (name, key) != ("reference", "to"):
                yield f"[[{name}]]\n{lines}", f"'{name}[1].{key}' is missing", False
    for text, said in (
        ('[[reference]]\nfrom = "orders(user_id)"', "it needs either to, or type_column and targets"),
        ('[[reference]]\nfrom = "a(b)"\nto = "c(d)"\ntype_column = "e"', "it needs either to, or type_column"),
        ('[[reference]]\nfrom = "a(b)"\ntype_column = "e"', "type_column and targets belong together"),
        ('[[unique]]\ntable = "users"\ncolumns = []', "unique[1].columns: "),
        ('[[ignore]]\ncheck = "references"\nreason = ""', "ignore[1].reason: "),
        ('[[ignore]]\ncheck = "references"\nreason = "a"\nuntil = "soon"', "ignore[1].until: "),
        ('[[ignore]]\ncheck = "referenzes"\nreason = "a"', "[[ignore]] entry 1: no check or family is called"),
        ("[audit]\nselect = ['nope']", "no check or family is called 'nope'"),
        ("[audit]\ntables = ['a[']", "the pattern 'a[' does not parse"),
        ("[audit]\njobs = 0", "audit.jobs: "),
        ("[audit]\nsamples = 'some'", "audit.samples: "),
        ("[audit]\nlock_timeout = inf", "audit.lock_timeout: "),
        ("[audit]\nstatement_timeout = 'a while'", "'a while' is no duration"),
    ):
        yield text, said, False
    reference = '[[reference]]\nfrom = "{}"\nto = "{}"'
    for own, other, said in (
        ("order(user_id)", "users(id)", "there is no table order; did you mean"),
        ("orders(userid)", "users(id)", "orders has no column userid; did you mean user_id?"),
        ("orders(user_id)", "seen(id)", "is a view or a foreign table"),
        ("orders(user_id)", "twice(id)", "twice exists in other, third; name the schema"),
        ("orders", "users(id)", "expected schema.table(column, ...)"),
        ("orders()", "users(id)", "name at least one column"),
        ("orders(id, user_id)", "users(id)", "name different numbers of columns"),
        ("orders(code)", "users(id)", "values of these types are never equal"),
    ):
        yield reference.format(own, other), said, True
    for where in ("user >", "labl = 1", "user_id", "true) OR (true", "true; DROP TABLE users", "user_id = $1"):
        yield reference.format("orders(user_id)", "users(id)") + f'\nwhere = "{where}"', "is no condition over", True
    for text, said in (
        ('[[companion]]\nof = "users"\nin = "cards(user_id)"', "there is no table cards"),
        ('[[companion]]\nof = "users"\nin = "orders(user_id)"\ncreated_at = "borm"', "users has no column borm"),
        ('[[companion]]\nof = "users"\nin = "orders(user_id)"\ngrace = "a while"\ncreated_at = "born"', "a while"),
        ('[[companion]]\nof = "users"\nin = "orders(user_id)"\nsame_state = ["x"]', "same_state"),
        ('[[companion]]\nof = "places"\nin = "orders(user_id)"', "the primary key of public.places is (a, b)"),
        ('[[unique]]\ntable = "user"\ncolumns = ["email"]', "there is no table user"),
        ('[[unique]]\ntable = "users"\ncolumns = ["emial"]', "did you mean email?"),
        ('[[unique]]\ntable = "users"\ncolumns = ["lower(emial)"]', 'column "emial" does not exist'),
        ('[soft_delete]\nreuse_unwanted = ["nobody"]', "there is no table nobody"),
        ('[soft_delete]\nhistory = ["nobody"]', "there is no table nobody"),
        ('[soft_delete.tables]\nusers = { gone = "IS NOT NULL" }', "users has no column gone"),
        ('[soft_delete]\ncolumns = { email = "IS OVER" }', "is no condition over"),
        ('[tenant.tables]\nusers = "tenant"', "users has no column tenant"),
        ('[tenant.tables]\nnobody = "tenant"', "there is no table nobody"),
        ('[[reference]]\nfrom = "orders(id)"\ntype_column = "kind"\ntargets = { a = "users(id)" }', "no column kind"),
        ('[[reference]]\nfrom = "orders(id)"\ntype_column = "label"\ntargets = { a = "users" }', "users"),
    ):
        yield text, said, True


CONFIGURATIONS = tuple(entries())


def configurations() -> Iterator[Bad]:
    for number, (_, said, asked) in enumerate(CONFIGURATIONS):
        yield Bad(("audit", *(AT if asked else LOST), "--config", f"entry{number}.toml"), said)


def statements() -> Iterator[Bad]:
    """What `whatif` and `explain-delete` are asked."""
    for statement, said in (
        ("", "supported are CREATE UNIQUE INDEX"),
        (";", "supported are CREATE UNIQUE INDEX"),
        ("SELECT 1", "supported are CREATE UNIQUE INDEX"),
        ("DROP TABLE users", "supported are CREATE UNIQUE INDEX"),
        ("INSERT INTO users VALUES (1)", "supported are CREATE UNIQUE INDEX"),
        ("CREATE INDEX ON users (id)", "supported are CREATE UNIQUE INDEX"),
        ("CREATE UNIQUE INDEX ON users (id); DROP TABLE users", "supported are CREATE UNIQUE INDEX"),
        ("CREATE UNIQUE INDEX ON users (id", "supported are CREATE UNIQUE INDEX"),
        ("CREATE UNIQUE INDEX ON users ()", ""),
        ("ALTER TABLE users ADD COLUMN x int", "supported are CREATE UNIQUE INDEX"),
        ("ALTER TABLE users ADD UNIQUE (id), ADD UNIQUE (email)", "supported are CREATE UNIQUE INDEX"),
        ("ALTER TABLE users ADD CHECK ('", "supported are CREATE UNIQUE INDEX"),
        ("ALTER TABLE users ADD CHECK (/* ", "supported are CREATE UNIQUE INDEX"),
        ("日本語", "supported are CREATE UNIQUE INDEX"),
        ("(" * 5000, "supported are CREATE UNIQUE INDEX"),
    ):
        yield Bad(("whatif", statement, *LOST), said)
    for statement, said in (
        ("CREATE UNIQUE INDEX ON nobody (id)", "there is no table nobody"),
        ("CREATE UNIQUE INDEX ON twice (id)", "name the schema"),
        ("CREATE UNIQUE INDEX ON seen (id)", "seen"),
        ("CREATE UNIQUE INDEX ON users (ident)", "users has no column ident"),
        ("CREATE UNIQUE INDEX ON users (lower(emial))", "emial"),
        ("CREATE UNIQUE INDEX ON users (lowr(email))", "there is no function lowr()"),
        ("CREATE UNIQUE INDEX ON users (email COLLATE nowhere)", "there is no collation nowhere"),
        ("CREATE UNIQUE INDEX ON users (email nowhere_ops)", "there is no operator class nowhere_ops"),
        ("CREATE UNIQUE INDEX ON users (id) WHERE email", "is none over"),
        ("CREATE UNIQUE INDEX ON users (id) WHERE id = $1", "$1"),
        ("ALTER TABLE users ADD CHECK (id)", "is none over"),
        ("ALTER TABLE users ADD CHECK (id > 'a')", "is none over"),
        ("ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES nobody", "there is no table nobody"),
        ("ALTER TABLE users ADD FOREIGN KEY (nothing) REFERENCES orders", "no column nothing"),
        ("ALTER TABLE users ALTER COLUMN nothing SET NOT NULL", "no column nothing"),
        ("ALTER TABLE users ADD UNIQUE USING INDEX nothing", "no index nothing"),
    ):
        yield Bad(("whatif", statement, *AT), said)
    for table, key, said in (
        ("nobody", (), "there is no table nobody"),
        ("user", (), "did you mean public.users?"),
        ("", (), ""),
        ("a.b.c.d", (), "expected a table, or schema.table"),
        ("twice", (), "name the schema"),
        ("seen", (), "public.seen is a view"),
        ("users", ("1", "2"), "1 value expected, 2 given"),
        ("places", ("1",), "2 values expected, 1 given"),
        ("loose", ("1",), "has no primary key: name columns, column=value"),
        ("users", ("nothing=1", "id=1"), "has no column nothing"),
        ("users", ("id=abc",), "is no key of public.users"),
        ("users", ("99999999999999",), "is no key of public.users"),
        ("users", ("7",), "has no row with id = 7"),
        ("users", ("email=x' OR 'a'='a",), "has no row with"),
        ("users", ("\x1b[31m",), r"\x1b"),
    ):
        yield Bad(("explain-delete", table, *key, "-d", "{dsn}"), said)


COMMAND = lru_cache(typer.main.get_command)
ROWS = (*usage(), *options(), *connections(), *files(), *configurations(), *statements())


@pytest.fixture(scope="module")
def dsn(server: str) -> Iterator[str]:
    name = f"bad_input_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made = psycopg.conninfo.make_conninfo(server, dbname=name)
        with psycopg.connect(made, autocommit=True) as connection:
            connection.execute(SHOP.encode())
        yield login(made)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def place(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with every file that a row names."""
    folder = tmp_path_factory.mktemp("bad_input")
    for name, content in FILES.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
    for number, (text, _, _) in enumerate(CONFIGURATIONS):
        (folder / f"entry{number}.toml").write_text(text, encoding="utf-8")
    run_auditor("audit", dsn, "-f", "json:report.json", "-q", "--depth", "catalog", cwd=folder)
    text = (folder / "report.json").read_text()
    report = json.loads(text)
    assert report["findings"]
    (folder / "cut.json").write_text(text[: len(text) // 2])
    (folder / "cut2.json").write_text(text[:-2])
    first = report["findings"][0]
    for name, changed in (
        ("severity.json", {"findings": [{**first, "severity": "fatal"}]}),
        ("findings.json", {"findings": "none"}),
        ("evidence.json", {"findings": [{**first, "evidence": 3}]}),
    ):
        (folder / name).write_text(json.dumps({**report, **changed}))
    return folder


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that is in a directory: of each file its beginning and its size."""
    with os.scandir(folder) as entries:
        return {entry.name: (entry.stat().st_size, started(entry) if entry.is_file() else b"") for entry in entries}


def started(entry: os.DirEntry[str]) -> bytes:
    with open(entry.path, "rb") as file:
        return file.read(1024)


def judged(
    bad: Bad, code: int, out: str, err: str, before: dict[str, tuple[int, bytes]], folder: Path, dsn: str
) -> None:
    assert (code, out) == (bad.code, ""), err
    assert "Traceback" not in err
    assert "internal error" not in err
    (line,) = err.splitlines()
    assert line.startswith("auditor: ")
    assert line.isprintable()
    assert bad.said in line
    assert SECRET not in err
    assert "a secret" not in err
    assert dsn not in err
    assert contents(folder) == before


def given(bad: Bad, dsn: str) -> list[str]:
    return [word.replace("{dsn}", dsn) if word == "{dsn}" else word for word in bad.arguments]


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_bad_input(
    bad: Bad, dsn: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from auditor.cli import main

    before = contents(place)
    monkeypatch.setattr(
        typer.main, "get_command", COMMAND
    )  # it is made anew each time, which takes longer than the rest
    monkeypatch.setattr(sys, "argv", ["auditor", *given(bad, dsn)])
    monkeypatch.chdir(place)
    for name in set(os.environ) - set(plain_environment()):
        monkeypatch.delenv(name)
    handler = signal.getsignal(signal.SIGTERM)
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        signal.signal(signal.SIGTERM, handler)
    printed = capfdbinary.readouterr()
    judged(bad, code, printed.out.decode(), printed.err.decode(), before, place, dsn)


@pytest.mark.parametrize(
    "bad", [bad for bad in ROWS if "\0" not in bad.name][:: len(ROWS) // 6], ids=lambda bad: bad.name
)
def test_the_same_in_a_process_of_its_own(bad: Bad, dsn: str, place: Path) -> None:
    before = contents(place)
    ended = run_auditor(*given(bad, dsn), cwd=place)
    judged(bad, ended.returncode, ended.stdout, ended.stderr, before, place, dsn)


@pytest.mark.checkout
def test_readme_states_how_many() -> None:
    assert len({bad.arguments for bad in ROWS}) == len(ROWS)
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    found = re.search(r"(\d+) bad inputs", readme)
    assert found is not None
    assert int(found[1]) == len(ROWS)
