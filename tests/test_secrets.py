"""No value of a row leaves the server but what may be shown: canaries in every column are looked for in everything written."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.helpers import audit, content, run_auditor

pytestmark = pytest.mark.once

CANARY = "c4n4ry"  # in every column that is no key
DENIED = "d3n1ed"  # in columns that the deny list covers: shown to nobody
KEY = "k3ymark"  # in columns that are keys, and may be shown as such
# As they are, and as the server's other spellings of the same bytes.
FORMS = {word: (word, word.encode().hex(), base64.b64encode(word.encode()).decode()[:6]) for word in (CANARY, DENIED)}
WAYS = ("terminal", "html", "markdown", "json", "sarif", "junit", "github", "gitlab", "csv", "prometheus")

SCRIPT = f"""
    CREATE TYPE pair AS (a text, b text);
    CREATE TYPE mood AS ENUM ('fine', 'so-so');
    CREATE DOMAIN words AS text;
    CREATE FUNCTION noise() RETURNS text LANGUAGE sql AS $$ SELECT '{CANARY}-' || random() $$;
    CREATE FUNCTION denied() RETURNS text LANGUAGE sql AS $$ SELECT '{DENIED}-' || random() $$;
    CREATE TABLE users (
        id int PRIMARY KEY, name text, email text, doc json, docb jsonb, raw bytea, list text[], pair pair, words words,
        at timestamptz, deleted_at timestamptz, secret_id text, span tstzrange, n numeric, x xml, bits varbit);
    INSERT INTO users (id, name, email, doc, docb, raw, list, pair, words, secret_id, x)
        SELECT n, noise(), '{CANARY}' || n % 9 || '@x', to_json(noise()), jsonb_build_object(noise(), noise()), noise()::bytea,
            ARRAY[noise()], ROW(noise(), noise())::pair, noise(), denied(), NULL
        FROM generate_series(1, 40) AS n;
    UPDATE users SET email = upper(email) WHERE id > 30;
    UPDATE users SET deleted_at = now() WHERE id % 5 = 0;
    CREATE UNIQUE INDEX ON users (lower(name));
    CREATE UNIQUE INDEX users_email ON users (email, name);
    -- orphans by a key that may be shown, with everything else beside it
    CREATE TABLE orders (id int PRIMARY KEY, user_id int, note text DEFAULT 'x', password text, status text, kind text,
        amount numeric, doc json);
    INSERT INTO orders SELECT n, n + 30, noise(), denied(), '{CANARY}' || n % 2, '{CANARY}' || n % 3, n, to_json(noise())
        FROM generate_series(1, 60) AS n;
    ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL NOT VALID;
    ALTER TABLE orders ADD CONSTRAINT short CHECK (length(note) < 3) NOT VALID;
    -- keys that the deny list covers
    CREATE TABLE sessions (token text PRIMARY KEY, user_id int);
    INSERT INTO sessions SELECT denied(), n + 30 FROM generate_series(1, 30) AS n;
    ALTER TABLE sessions ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
    CREATE TABLE uses (id int PRIMARY KEY, token_hash text);
    INSERT INTO uses SELECT n, denied() FROM generate_series(1, 30) AS n;
    ALTER TABLE uses ADD FOREIGN KEY (token_hash) REFERENCES sessions NOT VALID;
    CREATE TABLE secrets (id int PRIMARY KEY, api_key text NOT NULL UNIQUE, parent_secret text REFERENCES secrets (api_key));
    INSERT INTO secrets VALUES (1, denied(), NULL);
    INSERT INTO secrets SELECT 2, denied(), api_key FROM secrets;
    CREATE TABLE given (id int PRIMARY KEY, token_type text, token_id int, secret_code text, Password_Hint text);
    INSERT INTO given SELECT n, CASE n % 3 WHEN 0 THEN 'user' ELSE '{DENIED}' END, n * 5, '{DENIED}' || n % 4, denied()
        FROM generate_series(1, 30) AS n;
    ALTER TABLE given ADD CONSTRAINT hinted CHECK (length(Password_Hint) < 3) NOT VALID;
    -- a key that may be shown
    CREATE TABLE named (name text PRIMARY KEY, note text);
    CREATE TABLE naming (id int PRIMARY KEY, name text, note text);
    INSERT INTO naming SELECT n, '{KEY}' || n, noise() FROM generate_series(1, 5) AS n;
    ALTER TABLE naming ADD FOREIGN KEY (name) REFERENCES named NOT VALID;
    -- duplicates, NULLs, drift, companions, references by type, cycles, tenants
    CREATE TABLE doubles (id int PRIMARY KEY, email text, note text);
    INSERT INTO doubles SELECT n, '{CANARY}' || n % 3, noise() FROM generate_series(1, 30) AS n;
    CREATE TABLE accounts (id int PRIMARY KEY, name text, status text, deleted_at timestamptz, UNIQUE (name));
    INSERT INTO accounts SELECT n, noise(), '{CANARY}' || n % 2, CASE WHEN n % 7 = 0 THEN now() END FROM generate_series(1, 60) AS n;
    CREATE TABLE vaults (account_id int, note text, deleted_at timestamptz);
    INSERT INTO vaults SELECT n, noise(), CASE WHEN n % 4 = 0 THEN now() END FROM generate_series(1, 60, 2) AS n;
    INSERT INTO vaults VALUES (1, noise(), NULL);
    CREATE TABLE comments (id int PRIMARY KEY, subject_type text, subject_id int, note text);
    INSERT INTO comments SELECT n, CASE n % 3 WHEN 0 THEN 'user' ELSE '{CANARY}' END, n * 5, noise() FROM generate_series(1, 30) AS n;
    CREATE TABLE tree (id int PRIMARY KEY, parent_id int REFERENCES tree, note text);
    INSERT INTO tree VALUES (1, NULL, noise()), (2, 1, noise()), (3, 2, noise());
    UPDATE tree SET parent_id = 3 WHERE id = 1;
    CREATE TABLE owned (id int PRIMARY KEY, user_id int REFERENCES users, tenant text, note text);
    CREATE TABLE owners (id int PRIMARY KEY, tenant text);
    INSERT INTO owners SELECT n, '{KEY}' || n FROM generate_series(1, 9) AS n;
    CREATE TABLE things (id int PRIMARY KEY, owner_id int REFERENCES owners, tenant text);
    INSERT INTO things SELECT n, n, '{KEY}' || n + 1 FROM generate_series(1, 9) AS n;
    CREATE TABLE heap (note text, other text);
    INSERT INTO heap SELECT noise(), noise() FROM generate_series(1, 20);
    -- what makes the server say a value: casts, functions, expressions of an index
    CREATE FUNCTION shout(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the value is %', $1 USING DETAIL = $1; END $$;
    CREATE TABLE loud (id int PRIMARY KEY, note text, user_id int);
    INSERT INTO loud SELECT n, noise(), n + 100 FROM generate_series(1, 5) AS n;
    ALTER TABLE loud ADD CONSTRAINT shouted CHECK (shout(note)) NOT VALID;
    CREATE TABLE divided (id int PRIMARY KEY, n int, note text);
    CREATE UNIQUE INDEX ON divided ((1 / n), note);
    INSERT INTO divided VALUES (1, 1, noise());
    CREATE TABLE wide (id int PRIMARY KEY, long text);
    INSERT INTO wide SELECT n, repeat(noise(), 2000) FROM generate_series(1, 3) AS n;
    ANALYZE;
"""
CONFIG = """
[tenant.tables]
owners = "tenant"
things = "tenant"
[[reference]]
from = "loud(user_id)"
to = "users(id)"
where = "note::int > 0"
[[reference]]
from = "comments(subject_id)"
type_column = "subject_type"
targets = { user = "users(id)" }
[[reference]]
from = "given(token_id)"
type_column = "token_type"
targets = { user = "users(id)" }
[[unique]]
table = "given"
columns = ["secret_code"]
[[companion]]
of = "accounts(id)"
in = "vaults(account_id)"
exactly_one = true
same_state = ["(deleted_at IS NULL) = deleted_at IS NULL"]
[[unique]]
table = "doubles"
columns = ["email"]
[[unique]]
table = "users"
columns = ["lower(email)"]
[[unique]]
table = "loud"
columns = ["(1 / (note::int))"]
"""


@pytest.fixture(scope="module")
def dsn(server: str) -> Iterator[str]:
    name = f"secrets_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made = psycopg.conninfo.make_conninfo(server, dbname=name)
        with psycopg.connect(made, autocommit=True) as connection:
            connection.execute(SCRIPT.encode())
        yield made
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def written(folder: Path, *streams: str) -> dict[str, str]:
    """All that was written, by where."""
    files = {
        path.name: path.read_bytes().decode("utf-8", "replace")
        for path in folder.iterdir()
        if path.name != "auditor.toml"
    }
    return {**files, **{f"stream {number}": text for number, text in enumerate(streams)}}


def told(text: str, *words: str) -> list[str]:
    forms = [form.lower() for word in words or FORMS for form in FORMS[word]]
    return [text[max(at - 60, 0) : at + 60] for form in forms if (at := text.lower().find(form)) >= 0]


@pytest.mark.parametrize("samples", ["keys", "none", "full"])
def test_no_value_is_anywhere_in_what_is_written(dsn: str, tmp_path: Path, samples: str) -> None:
    (tmp_path / "auditor.toml").write_text(CONFIG)
    formats = [word for way in WAYS for word in ("-f", f"{way}:report.{way}")]
    options = ("--depth", "full", "--samples", samples, "--history", "past.sqlite")
    audited = run_auditor("audit", dsn, *options, "-v", *formats, cwd=tmp_path)
    assert audited.returncode == 1, audited.stderr
    commands = [
        ("init", dsn, "-o", "-", "--samples", samples),
        ("plan", dsn, "--depth", "full"),
        ("whatif", "CREATE UNIQUE INDEX ON doubles (email)", dsn, "--samples", samples),
        ("whatif", "ALTER TABLE uses ADD UNIQUE (token_hash)", dsn, "--samples", samples),
        ("whatif", "ALTER TABLE orders ADD CHECK (note::int > 3)", dsn, "--samples", samples),
        ("whatif", "CREATE UNIQUE INDEX ON given (secret_code)", dsn, "--samples", samples),
        ("explain-delete", "users", "31", "-d", dsn, "-f", "json"),
        ("history", "past.sqlite"),
    ]
    chosen = {"keys": commands, "none": commands[:1], "full": [commands[3], commands[5]]}
    rest = [run_auditor(*command, cwd=tmp_path) for command in chosen[samples]]
    streams = [text for ended in (audited, *rest) for text in (ended.stdout, ended.stderr)]
    everything = written(tmp_path, *streams)
    assert len(everything) >= len(WAYS) + 1 + 2 * len(rest)
    withheld = (DENIED,) if samples == "full" else ()  # the deny list wins over everything
    assert {where: found for where, text in everything.items() if (found := told(text, *withheld))} == {}
    keys = [where for where, text in everything.items() if KEY in text]
    assert bool(keys) is (samples != "none")
    report = everything["report.json"]
    assert ("(withheld)" in report) is (samples != "none")
    assert bool(told(report, CANARY)) is (samples == "full")
    for check in (
        "check-violated",
        "orphan-rows",
        "live-duplicates",
        "missing-companion",
        "cross-tenant",
        "polymorphic",
    ):
        assert check in report
    assert "22P02" in report  # a server's error was met, and its words were not repeated
    assert "P0001" in report


def test_the_canaries_are_there_to_be_found(dsn: str) -> None:
    assert told(content(audit(dsn, samples="full", select=["nullability/check-violated"])), CANARY)
    assert told(content(audit(dsn, samples="full", deny=[], select=["nullability/check-violated"])), DENIED)
