"""auditor.toml: each key does what it says, each mistake is one line that names the entry, before anything runs."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from psycopg import sql

from auditor.audit import Audit
from auditor.check import Depth
from auditor.config import Audit as Options
from auditor.config import (
    Companion,
    Database,
    HistoryPlace,
    Ignore,
    Notify,
    Reference,
    Settings,
    SoftDeletes,
    Tenants,
    Unique,
    load,
    schema,
)
from auditor.errors import ConfigError, UsageError
from tests.conftest import Make
from tests.helpers import audit, run_auditor, titles

pytestmark = pytest.mark.once

CONFIG = Draft202012Validator(schema(), format_checker=FormatChecker())
SHOP = """
    CREATE SCHEMA app; CREATE SCHEMA other;
    CREATE TABLE app.users (id int PRIMARY KEY, email text, born timestamptz, gone boolean, deleted_at timestamptz);
    CREATE TABLE app.orders (id int PRIMARY KEY, user_id int, label text, code uuid, "Odd" int, removed date);
    CREATE TABLE other.users (id int PRIMARY KEY);
    CREATE TABLE "Users" (id int PRIMARY KEY, "Id" int);
    CREATE TABLE app.places (a int, b int, PRIMARY KEY (a, b));
    CREATE VIEW app.seen AS SELECT * FROM app.users;
    CREATE MATERIALIZED VIEW app.kept AS SELECT * FROM app.users;
    INSERT INTO app.users (id, email) VALUES (1, 'a'), (2, 'a'), (3, 'b');
    INSERT INTO app.orders (id, user_id, "Odd") VALUES (1, 1, 1), (2, 7, 8), (3, 8, 9);
"""


@pytest.fixture(scope="module")
def dsn(server: str) -> Iterator[str]:
    name = f"config_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made = psycopg.conninfo.make_conninfo(server, dbname=name)
        with psycopg.connect(made, autocommit=True) as connection:
            connection.execute(SHOP.encode())
        yield made
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


# --- the file -------------------------------------------------------------------------------------------------------


def refused(tmp_path: Path, text: str) -> str:
    """What is said of a file, without its name; the file's JSON Schema refuses it too."""
    path = tmp_path / "auditor.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        load(path, {})
    said = str(told.value)
    assert "\n" not in said
    assert told.value.exit_code == 2
    assert not CONFIG.is_valid(json.loads(json.dumps(tomllib.loads(text), default=str)))
    assert said.startswith(f"{path}: ")
    return said.removeprefix(f"{path}: ")


REFERENCE = '[[reference]]\nfrom = "a(b)"\nto = "c(d)"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[adit]", "unknown key 'adit'; did you mean audit?"),
        (
            "jobs = 2",
            "unknown key 'jobs'; known are database, audit, history, notify, soft_delete, tenant, reference, companion, unique, ignore",
        ),
        ("[[references]]", "unknown key 'references'; did you mean reference?"),
        ("[audit]\ndeph = 'data'", "unknown key 'audit.deph'; did you mean depth?"),
        ("[audit]\nschema = ['a']", "unknown key 'audit.schema'; did you mean schemas?"),
        ("[database]\nurls = 'x'", "unknown key 'database.urls'; did you mean url?"),
        ("[database]\nhost = 'x'", "unknown key 'database.host'; known are url"),
        ("[soft_delete]\ncolums = {}", "unknown key 'soft_delete.colums'; did you mean columns?"),
        (REFERENCE + REFERENCE + "wher = 'x'", "unknown key 'reference[2].wher'; did you mean where?"),
        (
            "[[reference]]\nfrm = 'a(b)'\nto = 'c(d)'\nfrom = 'x(y)'",
            "unknown key 'reference[1].frm'; did you mean from?",
        ),
        (
            "[[companion]]\nof = 'a'\nin = 'b(c)'\nexactly = true",
            "unknown key 'companion[1].exactly'; did you mean exactly_one?",
        ),
        (
            "[[companion]]\nof = 'a'\nin = 'b(c)'\nsame_stat = []",
            "unknown key 'companion[1].same_stat'; did you mean same_state?",
        ),
        (
            "[[unique]]\ntable = 'a'\ncolumns = ['b']\ncolumn = 'b'",
            "unknown key 'unique[1].column'; did you mean columns?",
        ),
        (
            "[[ignore]]\ncheck = 'a'\nreason = 'b'\nuntill = 2030-01-01",
            "unknown key 'ignore[1].untill'; did you mean until?",
        ),
        ("[[ignore]]\ncheck = 'a'", "'ignore[1].reason' is missing"),
        ("[[ignore]]\ncheck = 'a'\nreason = ''", "ignore[1].reason: String should have at least 1 character"),
        ("[[ignore]]\nreason = 'a'", "'ignore[1].check' is missing"),
        (REFERENCE + "[[reference]]\nto = 'c(d)'", "'reference[2].from' is missing"),
        ("[[companion]]\nof = 'a'", "'companion[1].in' is missing"),
        ("[[unique]]\ncolumns = ['a']", "'unique[1].table' is missing"),
        ("[[unique]]\ntable = 'a'\ncolumns = []", "unique[1].columns: Tuple should have at least 1 item"),
        ("[[unique]]\ntable = 'a'\ncolumns = 'b'", "unique[1].columns: Input should be a valid tuple"),
        ("reference = 'a(b)'", "reference: Input should be a valid tuple"),
        ("[reference]\nfrom = 'a(b)'", "reference: Input should be a valid tuple"),
        ("audit = 'data'", "audit: Input should be a table"),
        ("[audit]\nselect = 'references'", "audit.select: Input should be a valid tuple"),
        ("[audit]\nselect = [1]", "audit.select[1]: Input should be a valid string"),
        ("[audit]\njobs = 'many'", "audit.jobs: Input should be a valid integer"),
        ("[audit]\njobs = 65", "audit.jobs: Input should be less than or equal to 64"),
        ("[audit]\nallow_incomplete = 'maybe'", "audit.allow_incomplete: Input should be a valid boolean"),
        ("[audit]\ndepth = 'deep'", "audit.depth: Input should be 'catalog', 'data' or 'full'"),
        ("[audit]\nsamples = 'all'", "audit.samples: Input should be 'none', 'keys' or 'full'"),
        ("[audit]\nfail_on = 'fatal'", "audit.fail_on: Input should be 'error', 'warning', 'info' or 'never'"),
        ("[soft_delete]\ncolumns = { a = 1 }", "soft_delete.columns.a: Input should be a valid string"),
        ("[soft_delete]\ncolumns = ['a']", "soft_delete.columns: Input should be a valid dictionary"),
        ("[soft_delete.tables]\na = 'b'", "soft_delete.tables.a: Input should be a valid dictionary"),
        (
            "[[companion]]\nof = 'a'\nin = 'b(c)'\nsame_state = 'a = b'",
            "companion[1].same_state: Input should be a valid tuple",
        ),
        ("[[ignore]]\ncheck = 'a'\nreason = 'b'\nuntil = 2030", "ignore[1].until: Datetimes provided to dates"),
        ("[[ignore]]\ncheck = 'a'\nreason = 'b'\nuntil = 'soon'", "ignore[1].until: Input should be a valid date"),
    ],
)
def test_a_mistake_in_the_file_names_the_entry(tmp_path: Path, text: str, said: str) -> None:
    assert refused(tmp_path, text).startswith(said)


@pytest.mark.parametrize("key", ["statement_timeout", "lock_timeout"])
@pytest.mark.parametrize(
    "written",
    [
        "'soon'",
        "''",
        "'s'",
        "'5 weeks'",
        "'5minutes'",
        "'5 Min'",
        "'1:30'",
        "-1",
        "'-5s'",
        "inf",
        "nan",
        "'infs'",
        "2147484",
    ],
)
def test_bad_durations(tmp_path: Path, key: str, written: str) -> None:
    if written in ("inf", "nan"):  # no JSON
        (tmp_path / "auditor.toml").write_text(f"[audit]\n{key} = {written}")
        with pytest.raises(ConfigError, match=rf"audit\.{key}: Input should be a finite number"):
            load(tmp_path / "auditor.toml", {})
        return
    assert refused(tmp_path, f"[audit]\n{key} = {written}").startswith(f"audit.{key}: ")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90),
        ("2.5", 2.5),
        ("0", 0),
        ("'90'", 90),
        ("'90s'", 90),
        ("'5min'", 300),
        ("'5 m'", 300),
        ("'500ms'", 0.5),
        ("'1.5h'", 5400),
    ],
)
def test_durations(tmp_path: Path, written: str, seconds: float) -> None:
    text = f"[audit]\nlock_timeout = {written}"
    (tmp_path / "auditor.toml").write_text(text)
    assert load(tmp_path / "auditor.toml", {}).audit.lock_timeout == seconds
    CONFIG.validate(tomllib.loads(text))


def test_what_is_no_toml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "auditor.toml"
    for data, said in (
        (b"[audit", "not valid TOML: "),
        (b"[audit]\njobs = 2\njobs = 3", "not valid TOML: "),
        (b"a = '\xff'", "not valid TOML: "),
        (b"a = '\x1b'", "not valid TOML: "),
    ):
        path.write_bytes(data)
        with pytest.raises(ConfigError) as told:
            load(path, {})
        assert str(told.value).startswith(f"{path}: {said}")
        assert str(told.value).isprintable()
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path, {})


def test_every_key_has_a_place_in_the_schema_and_nothing_else_has() -> None:
    made = schema()
    parts: dict[str, type[Any]] = {
        "": Settings,
        "Database": Database,
        "Audit": Options,
        "HistoryPlace": HistoryPlace,
        "Notify": Notify,
        "SoftDeletes": SoftDeletes,
        "Tenants": Tenants,
        "Reference": Reference,
        "Companion": Companion,
        "Unique": Unique,
        "Ignore": Ignore,
    }
    assert set(parts) == {"", *(name for name in made["$defs"] if "properties" in made["$defs"][name])}
    for name, model in parts.items():
        described = made["$defs"][name] if name else made
        assert set(described["properties"]) == {info.alias or key for key, info in model.model_fields.items()}
        assert described["additionalProperties"] is False


@pytest.mark.checkout
def test_the_published_schema_accepts_what_readme_shows(tmp_path: Path) -> None:
    ended = run_auditor("schema", "config", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    published = Draft202012Validator(json.loads(ended.stdout), format_checker=FormatChecker())
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- config -->\n```toml\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    published.validate(json.loads(json.dumps(tomllib.loads(shown[1]), default=str)))
    assert not published.is_valid({"adit": {}})


# --- the command line over the file ---------------------------------------------------------------------------------


def test_options_win_over_the_file_and_leave_the_rest_alone(tmp_path: Path) -> None:
    path = tmp_path / "auditor.toml"
    path.write_text(
        "[audit]\ndepth = 'catalog'\njobs = 7\nselect = ['references']\nsamples = 'none'\nfail_on = 'info'\n"
        "statement_timeout = '1min'\ndeny = ['x*']\n[[ignore]]\ncheck = '*'\nreason = 'a'\n"
    )
    plain = load(path, {})
    assert plain.audit == Options(
        depth=Depth.CATALOG,
        jobs=7,
        select=("references",),
        samples="none",
        fail_on="info",
        statement_timeout=60,
        deny=("x*",),
    )
    given: dict[str, Any] = {
        "depth": "full",
        "select": ["companions"],
        "statement_timeout": "90s",
        "lock_timeout": "1s",
    }
    changed = load(path, given)
    assert changed.audit == plain.audit.model_copy(
        update={"depth": Depth.FULL, "select": ("companions",), "statement_timeout": 90.0, "lock_timeout": 1.0}
    )
    assert changed.ignore == plain.ignore
    with pytest.raises(ConfigError, match=r"^options: jobs: Input should be less than or equal to 64$"):
        load(path, {"jobs": 100})


def test_the_command_over_the_file(dsn: str, tmp_path: Path) -> None:
    """The file in the working directory, another one by --config, and options over both, as the report tells them."""
    here = "[audit]\nselect = ['references/orphan-rows']\ndepth = 'catalog'\nfail_on = 'never'\n"
    entry = '[[reference]]\nfrom = "app.orders(user_id)"\nto = "app.users(id)"\n'
    (tmp_path / "auditor.toml").write_text(f"[database]\nurl = {json.dumps(without_password(dsn))}\n{here}{entry}")
    (tmp_path / "other.toml").write_text("[audit]\njobs = 3\nselect = ['nullability']\n")
    secret = {"PGPASSWORD": str(psycopg.conninfo.conninfo_to_dict(dsn).get("password", ""))}

    def ran(*arguments: str) -> tuple[int, dict[str, Any]]:
        ended = run_auditor("audit", "-f", "json", "-q", *arguments, cwd=tmp_path, environment=secret)
        return ended.returncode, json.loads(ended.stdout)

    code, report = ran()
    assert (code, report["findings"]) == (0, [])
    assert report["coverage"] == []
    assert report["notes"][0].endswith("left out: references/orphan-rows; --depth data runs it")
    code, report = ran("--depth", "data")
    assert (code, len(report["findings"])) == (0, 1)
    code, report = ran("--depth", "data", "--fail-on", "error")
    assert (code, len(report["findings"])) == (1, 1)
    code, report = ran("--config", "other.toml", dsn)
    assert (code, report["run"]["options"]["jobs"], report["run"]["options"]["select"]) == (0, 3, ["nullability"])


def without_password(dsn: str) -> str:
    parts = {key: value for key, value in psycopg.conninfo.conninfo_to_dict(dsn).items() if key != "password"}
    return psycopg.conninfo.make_conninfo("", **parts)


# --- entries and the database ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        # references
        ('from = "app.order(user_id)"\nto = "app.users(id)"', "[[reference]] 1 from = 'app.order(user_id)': there is no table app.order; did you mean app.orders"),
        ('from = "app.orders(userid)"\nto = "app.users(id)"', "[[reference]] 1 from = 'app.orders(userid)': app.orders has no column userid; did you mean user_id?"),
        ('from = "app.orders(user_id)"\nto = "app.users(ident)"', "[[reference]] 1 to = 'app.users(ident)': app.users has no column ident"),
        ('from = "app.orders(user_id)"\nto = "users(id)"', "[[reference]] 1 to = 'users(id)': users exists in app, other; name the schema"),
        ('from = "app.orders(user_id)"\nto = "app.seen(id)"', "[[reference]] 1 to = 'app.seen(id)': app.seen is a view or a foreign table; name the table behind it"),
        ('from = "app.kept(id)"\nto = "app.users(id)"', "[[reference]] 1 from = 'app.kept(id)': app.kept is a view or a foreign table; name the table behind it"),
        ('from = "app.orders"\nto = "app.users(id)"', "[[reference]] 1 from = 'app.orders': expected schema.table(column, ...)"),
        ('from = "app.orders()"\nto = "app.users(id)"', "[[reference]] 1 from = 'app.orders()': name at least one column"),
        ('from = "db.app.orders(id)"\nto = "app.users(id)"', "[[reference]] 1 from = 'db.app.orders(id)': expected schema.table(column, ...)"),
        ('from = "app.orders(user_id"\nto = "app.users(id)"', "[[reference]] 1 from = 'app.orders(user_id': expected schema.table(column, ...)"),
        ('from = "app.orders(user_id id)"\nto = "app.users(id)"', "[[reference]] 1 from = 'app.orders(user_id id)': expected schema.table(column, ...)"),
        ('from = "app.orders(id, user_id)"\nto = "app.users(id)"', "[[reference]] 1: 'app.orders(id, user_id)' and 'app.users(id)' name different numbers of columns"),
        ('from = "app.orders(code)"\nto = "app.users(id)"', "[[reference]] 1: app.orders.code is uuid and app.users.id is integer; values of these types are never equal"),
        ('from = "app.orders(label)"\nto = "app.users(id)"', "[[reference]] 1: app.orders.label is text and app.users.id is integer; values of these types are never equal"),
        ('from = "app.orders(Odd)"\nto = "app.users(id)"', "[[reference]] 1 from = 'app.orders(Odd)': app.orders has no column odd; did you mean Odd"),
        ('from = "app.orders(user_id)"\nto = "app.users(id)"\nwhere = "user > "', "[[reference]] from app.orders: 'user > ' is no condition over app.orders: syntax error at"),
        ('from = "app.orders(user_id)"\nto = "app.users(id)"\nwhere = "labl = 1"', "[[reference]] from app.orders: 'labl = 1' is no condition over app.orders: column \"labl\" does not exist"),
        ('from = "app.orders(user_id)"\nto = "app.users(id)"\nwhere = "user_id"', "[[reference]] from app.orders: 'user_id' is no condition over app.orders: argument of WHERE must be type boolean"),
        # companions
        ('of = "app.users"\nin = "app.cards(user_id)"', "[[companion]] 1 in = 'app.cards(user_id)': there is no table app.cards"),
        ('of = "app.seen"\nin = "app.orders(user_id)"', "[[companion]] 1 of = 'app.seen': app.seen is a view or a foreign table; name the table behind it"),
        ('of = "app.users."\nin = "app.orders(user_id)"', "[[companion]] 1 of = 'app.users.': expected schema.table or schema.table(column, ...)"),
        ('of = "app.users"\nin = "app.orders(user_id)"\ncreated_at = "borm"', "[[companion]] 1 created_at: app.users has no column borm; did you mean born?"),
        ('of = "app.places"\nin = "app.orders(user_id)"', "[[companion]] 1: the primary key of app.places is (a, b) and in names (user_id); write of = 'app.places(column, ...)'"),
        ('of = "app.users"\nin = "app.orders(user_id)"\nwhere = "nothing"', "[[companion]] of app.users: 'nothing' is no condition over app.users: column \"nothing\" does not exist"),
        # business keys
        ('table = "app.user"\ncolumns = ["email"]', "[[unique]] 1 table = 'app.user': there is no table app.user; did you mean app.users"),
        ('table = "app.users"\ncolumns = ["emial"]', "[[unique]] 1: app.users has no column emial; did you mean email?"),
        ('table = "app.seen"\ncolumns = ["email"]', "[[unique]] 1 table = 'app.seen': app.seen is a view or a foreign table; name the table behind it"),
        ('table = "app.users(email)"\ncolumns = ["email"]', "[[unique]] 1 table = 'app.users(email)': expected schema.table"),
        ('table = "app.users"\ncolumns = ["lower(emial)"]', "[[unique]] of app.users: '(lower(emial)) IS NULL' is no condition over app.users: column \"emial\" does not exist"),
        ('table = "app.users"\ncolumns = ["email"]\nwhere = "1"', "[[unique]] of app.users: '1' is no condition over app.users: argument of WHERE must be type boolean"),
    ],
)  # fmt: skip
def test_an_entry_that_does_not_fit_the_database_is_one_line(dsn: str, entry: str, said: str) -> None:
    section = "reference" if entry.startswith("from") else "companion" if entry.startswith("of") else "unique"
    with pytest.raises(ConfigError) as told:
        audit(dsn, f"[[{section}]]\n{entry}\n")
    assert str(told.value).startswith(said)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[soft_delete.tables]\n"app.usres" = {}', "[soft_delete.tables] 'app.usres': there is no table app.usres; did you mean app.users"),
        ('[soft_delete.tables]\n"app.users" = { gon = "IS TRUE" }', "[soft_delete.tables] 'app.users': app.users has no column gon; did you mean gone?"),
        ('[soft_delete.tables]\n"app.users" = { gone = "IS OVER" }', "[soft_delete] gone: 'gone IS OVER' is no condition over app.users: syntax error at"),
        ('[soft_delete]\nreuse_unwanted = ["app.user"]', "[soft_delete] reuse_unwanted 'app.user': there is no table app.user; did you mean app.users"),
        ('[soft_delete]\nreuse_unwanted = ["app.users(id)"]', "[soft_delete] reuse_unwanted 'app.users(id)': expected schema.table"),
        ('[soft_delete]\ncolumns = { removed = "> 3" }', "[soft_delete] removed: 'removed > 3' is no condition over app.orders: operator does not exist"),
    ],
)  # fmt: skip
def test_soft_deletes_that_do_not_fit_the_database(dsn: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        audit(dsn, text)
    assert str(told.value).startswith(said)
    assert "\n" not in str(told.value)


def test_the_number_of_an_entry_is_its_own(dsn: str) -> None:
    good = '[[reference]]\nfrom = "app.orders(user_id)"\nto = "app.users(id)"\n'
    with pytest.raises(
        ConfigError, match=r"^\[\[reference\]\] 3 to = 'app.nobody\(id\)': there is no table app.nobody"
    ):
        audit(dsn, good + good + good.replace("app.users", "app.nobody"))


def test_a_wrong_entry_ends_the_command_with_two_and_nothing_is_written(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text('[[reference]]\nfrom = "app.orders(user_id)"\nto = "lost.cause(id)"\n')
    ended = run_auditor("audit", dsn, "-f", "json:report.json", "-f", "terminal", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "auditor: [[reference]] 1 to = 'lost.cause(id)': there is no table lost.cause\n"
    assert not (tmp_path / "report.json").exists()
    (tmp_path / "auditor.toml").write_text("[audit]\njobz = 1\n")
    ended = run_auditor("audit", "host=/nonexistent", cwd=tmp_path)  # told before anybody connects
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "auditor: auditor.toml: unknown key 'audit.jobz'; did you mean jobs?\n"


@pytest.mark.parametrize(
    "names",
    [
        'from = "app.orders(user_id)"\nto = "app.users(id)"',
        'from = "APP.Orders ( USER_ID )"\nto = "  app . users(id) "',
        'from = \'"app"."orders"("user_id")\'\nto = \'U&"\\0061pp".users(U&"i\\+000064")\'',
        'from = "orders(user_id)"\nto = "app.users(id)"',
    ],
)
def test_names_are_written_as_in_sql(dsn: str, names: str) -> None:
    result = audit(dsn, f"[[reference]]\n{names}", select=["references/orphan-rows"])
    assert titles(result) == ["2 rows of app.orders point to 2 rows of app.users that do not exist"]


def test_the_table_of_schema_public_comes_first_and_quotes_keep_case(database: Make) -> None:
    dsn = database(SHOP, "CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (7), (9)")
    config = '[[reference]]\nfrom = "app.orders(user_id)"\nto = "users(id)"\n'
    config += "[[reference]]\nfrom = 'orders(\"Odd\")'\nto = '\"Users\"(id)'\nwhere = '\"Odd\" > 1'\n"
    assert titles(audit(dsn, config, select=["references/orphan-rows"])) == [
        '2 rows of app.orders point to 2 rows of "Users" that do not exist'.replace('"Users"', 'public."Users"'),
        "2 rows of app.orders point to 2 rows of public.users that do not exist",
    ]


# --- soft deletes ---------------------------------------------------------------------------------------------------

KEYS = """
    CREATE TABLE by_name (name text UNIQUE, deleted_at timestamptz); INSERT INTO by_name VALUES ('a', now());
    CREATE TABLE by_config (name text UNIQUE, shut boolean); INSERT INTO by_config VALUES ('a', true);
    CREATE TABLE by_override (name text UNIQUE, state text, deleted_at timestamptz); INSERT INTO by_override VALUES ('a', 'x');
    CREATE TABLE none_here (name text UNIQUE, deleted_at timestamptz); INSERT INTO none_here VALUES ('a', now());
    CREATE TABLE wanted (name text UNIQUE, deleted_at timestamptz); INSERT INTO wanted VALUES ('a', now());
"""


def blocked(result: Audit) -> set[str]:
    """Tables whose deleted rows are seen to block the key."""
    return {finding.object.table for finding in result.findings if finding.evidence and finding.evidence.violations}


def test_soft_deletes_and_their_overrides(database: Make) -> None:
    dsn = database(KEYS)
    only = ["uniqueness/soft-delete-blocks-reuse"]
    assert blocked(audit(dsn, select=only)) == {"by_name", "none_here", "wanted"}
    config = """
        [soft_delete]
        columns = { shut = "IS TRUE" }
        reuse_unwanted = ["public.wanted"]
        [soft_delete.tables]
        "by_override" = { state = "= 'x'" }
        "none_here" = {}
    """
    assert blocked(audit(dsn, config, select=only)) == {"by_name", "by_config", "by_override"}
    # An override is all there is for its table, whatever its other columns are called.
    other = '[soft_delete]\ncolumns = { deleted_at = "IS NOT NULL" }\n[soft_delete.tables]\nby_override = { state = "= \'y\'" }'
    assert blocked(audit(dsn, other, select=only)) == {"by_name", "none_here", "wanted"}


# --- what is ignored ------------------------------------------------------------------------------------------------

BROKEN = '[[reference]]\nfrom = "app.orders(user_id)"\nto = "app.users(id)"\n[[reference]]\nfrom = \'app.orders("Odd")\'\nto = "app.users(id)"\n'


def ignoring(dsn: str, *entries: str) -> Audit:
    text = BROKEN + "".join(f"[[ignore]]\n{entry}\n" for entry in entries)
    return audit(dsn, text, select=["references/orphan-rows"])


def test_what_is_ignored_is_suppressed_and_says_nothing(dsn: str) -> None:
    for check in ("references/orphan-rows", "references", "*"):
        for name in ("app.orders", "app.*", "*.orders", "*", "app.orders.user_id"):
            result = ignoring(dsn, f'check = "{check}"\nobject = "{name}"\nreason = "known"')
            suppressed = [f.object.columns for f in result.findings if f.status == "suppressed"]
            assert sorted(suppressed) == ([("user_id",)] if name.endswith("user_id") else [("Odd",), ("user_id",)])
            assert result.summary.suppressed == len(suppressed)
            assert not [note for note in result.notes if "ignore" in note]


def test_an_entry_that_ignores_nothing_is_reported(dsn: str) -> None:
    result = ignoring(
        dsn,
        'check = "references"\nobject = "app.users"\nreason = "wrong table"',
        'check = "nullability"\nreason = "wrong check"',
        'check = "references"\nobject = "App.Orders"\nreason = "wrong case"',
        'check = "references"\nobject = "app.order?"\nreason = "used"',
    )
    assert [finding.status for finding in result.findings] == ["suppressed", "suppressed"]
    assert [note for note in result.notes if "ignore" in note] == [
        "[[ignore]] check = 'references', object = 'app.users' matches nothing; remove it",
        "[[ignore]] check = 'nullability', object = '*' matches nothing; remove it",
        "[[ignore]] check = 'references', object = 'App.Orders' matches nothing; remove it",
    ]


def test_an_entry_ends_after_its_last_day(dsn: str) -> None:
    today = datetime.now(UTC).date()
    entry = 'check = "references"\nreason = "until then"\nuntil = {}'
    for until in (today, today + timedelta(days=1)):
        result = ignoring(dsn, entry.format(until))
        assert {finding.status for finding in result.findings} == {"suppressed"}
    yesterday = today - timedelta(days=1)
    result = ignoring(dsn, entry.format(yesterday))
    assert {finding.status for finding in result.findings} == {"new"}
    said = f"[[ignore]] check = 'references', object = '*' ended on {yesterday}: what it covered is reported again"
    assert said in result.notes
    result = ignoring(dsn, entry.format(yesterday), entry.format(today))
    assert {finding.status for finding in result.findings} == {"suppressed"}
    assert said in result.notes


def test_an_entry_that_names_no_check_is_refused(dsn: str) -> None:
    with pytest.raises(UsageError) as told:
        ignoring(dsn, 'check = "*"\nreason = "a"', 'check = "references/orphan-row"\nreason = "b"')
    said = (
        "[[ignore]] entry 2: no check or family is called 'references/orphan-row'; did you mean references/orphan-rows?"
    )
    assert str(told.value) == said
