"""`auditor init`: what it writes is what the rows bear out, and `auditor audit --config` takes it as it is."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from auditor.config import Settings
from auditor.connection import Target
from auditor.init import draft, render, toml
from tests.conftest import Make
from tests.helpers import audit, login, run_auditor, titles
from tests.reports import HOSTILE

pytestmark = pytest.mark.once

SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, deleted_at timestamptz);
    INSERT INTO users SELECT n, CASE WHEN n > 90 THEN now() END FROM generate_series(1, 100) AS n;
    CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL, deleted_at timestamptz);
    INSERT INTO orders SELECT n, n % 100 + 1 FROM generate_series(1, 200) AS n;
"""


def written(dsn: str, **options: Any) -> str:
    settings = Settings.model_validate({"audit": options})
    return render(*draft(settings, Target(dsn)))


def declared(text: str) -> Settings:
    return Settings.model_validate(tomllib.loads(text))


def uncommented(text: str) -> Settings:
    """The file with every entry in force, as a human would make it who takes away each # before an entry."""
    return declared(
        re.sub(r"^# (?=\[\[|from = |to = |of = |in = |exactly_one = |where = )", "", text, flags=re.MULTILINE)
    )


def flowing(text: str) -> str:
    """The file with its comments unwrapped."""
    return re.sub("\n# ", " ", text)


def pairs(settings: Settings) -> list[tuple[str, str]]:
    return sorted((entry.from_, entry.to or "") for entry in settings.reference)


def test_the_file_is_taken_as_it_is(database: Make, tmp_path: Path) -> None:
    dsn = database(SCHEMA, "UPDATE orders SET user_id = 1000 WHERE id = 7")
    made = run_auditor("init", dsn, cwd=tmp_path)
    assert (made.returncode, made.stdout, made.stderr) == (0, "auditor.toml: 2 entries hold, 0 commented out\n", "")
    text = (tmp_path / "auditor.toml").read_text()
    assert pairs(declared(text)) == [("public.orders(user_id)", "public.users(id)")]
    assert "It is called after public.users and has the type of its primary key (integer). Of 200 rows" in flowing(text)
    assert declared(text).soft_delete.columns == {"deleted_at": "IS NOT NULL"}
    rows = ("--select", "references/orphan-rows,references/missing-fk")
    before = run_auditor("audit", dsn, *rows, "--config", os.devnull, cwd=tmp_path)
    assert before.returncode == 0, "a suspicion"
    after = run_auditor("audit", dsn, *rows, "--config", "auditor.toml", "-f", "json", cwd=tmp_path)
    assert after.returncode == 1
    (finding,) = json.loads(after.stdout)["findings"]
    assert (finding["title"], finding["confidence"]) == (
        "1 row of public.orders points to 1 row of public.users that does not exist",
        "proven",
    )


def test_an_existing_file_stays_unless_forced(database: Make, tmp_path: Path) -> None:
    dsn, file = database(SCHEMA), tmp_path / "auditor.toml"
    file.write_text("[audit]\njobs = 1\n")
    refused = run_auditor("init", dsn, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "auditor: auditor.toml is there already; --force replaces it, -o - prints what would be written\n"
    )
    assert file.read_text() == "[audit]\njobs = 1\n"
    assert run_auditor("init", dsn, "--force", cwd=tmp_path).returncode == 0
    assert "[[reference]]" in file.read_text()


def test_to_standard_output_and_to_another_file(database: Make, tmp_path: Path) -> None:
    dsn = database(SCHEMA)
    printed = run_auditor("init", dsn, "-o", "-", cwd=tmp_path)
    assert printed.returncode == 0
    assert printed.stderr == "2 entries hold, 0 commented out\n"
    assert pairs(declared(printed.stdout)) == [("public.orders(user_id)", "public.users(id)")]
    assert run_auditor("init", dsn, "-o", "other.toml", cwd=tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other.toml"]
    assert (tmp_path / "other.toml").read_text() == printed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-o", "nowhere/auditor.toml"), 2, "there is no directory"),
        (("-o", "."), 2, "it is a directory"),
        (("-t", "nothing"), 2, "no table matches the given schema and table patterns"),
        (("-t", "(("), 2, "does not parse"),
        (("--jobs", "0"), 2, "options: jobs"),
        (("--config", "missing.toml"), 2, "cannot read missing.toml"),
        (("-p", "1", "-h", "127.0.0.1"), 3, "connection"),
    ],
)
def test_what_is_wrong_is_one_line(
    database: Make, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = run_auditor("init", database(SCHEMA), *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("auditor: ")
    assert said in line
    assert not list(tmp_path.iterdir())


def test_patterns(database: Make) -> None:
    dsn = database(SCHEMA, "CREATE SCHEMA app; CREATE TABLE app.notes (user_id int);")
    assert "app.notes" in written(dsn)
    assert "app.notes" not in written(dsn, schemas=["public"])
    assert "public.orders" not in written(dsn, tables=["app.*"])
    assert "public.orders" not in written(dsn, exclude_tables=["orders"])


def test_what_the_rows_do_not_tell_is_commented_out(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users SELECT generate_series(1, 100);
        CREATE TABLE categories (id int PRIMARY KEY); INSERT INTO categories SELECT generate_series(1, 50);
        CREATE TABLE empty (user_id int);
        CREATE TABLE few (user_id int); INSERT INTO few SELECT generate_series(1, 9);
        CREATE TABLE many (user_id int); INSERT INTO many SELECT generate_series(1, 110);
        CREATE TABLE wrong (user_id int); INSERT INTO wrong SELECT generate_series(50, 250);
        CREATE TABLE small (cat_id int); INSERT INTO small SELECT n % 3 + 1 FROM generate_series(1, 60) AS n;
        CREATE TABLE wide (cat_id int); INSERT INTO wide SELECT n % 50 + 1 FROM generate_series(1, 60) AS n;
        CREATE TABLE nobody (user_id int); INSERT INTO nobody SELECT CASE WHEN n % 3 = 0 THEN -1 ELSE n END FROM generate_series(1, 90) AS n;
        CREATE TABLE own (id int PRIMARY KEY, parent_id int); INSERT INTO own SELECT n, n FROM generate_series(1, 40) AS n;
        """
    )
    text = written(dsn)
    assert pairs(declared(text)) == [
        ("public.nobody(user_id)", "public.users(id)"),
        ("public.wide(cat_id)", "public.categories(id)"),
    ]
    assert '# where = "user_id <> -1"' in text
    everything = flowing(text)
    for said in (
        "No row points anywhere yet.",
        "All of 9 rows that point somewhere find their row of public.users. So few are contained by chance.",
        "Of 110 rows that point somewhere 10 find no row of public.users, with 10 different values. That is many",
        "small numbers are contained in every table of numbers.",
        "No row points to another row yet.",
        "--- Called like references, and none: most of their rows find nothing --- public.wrong.user_id",
    ):
        assert said in everything, said
    assert [place for place, _ in pairs(uncommented(text))] == [
        *("public.empty(user_id)", "public.few(user_id)", "public.many(user_id)", "public.nobody(user_id)"),
        *("public.own(parent_id)", "public.small(cat_id)", "public.wide(cat_id)"),
    ]
    assert audit(dsn, text, depth="data").run.status == "complete"


def test_values_are_withheld_as_asked(database: Make) -> None:
    dsn = database(
        "CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users SELECT generate_series(1, 100);"
        "CREATE TABLE t (user_id int); INSERT INTO t SELECT CASE WHEN n % 3 = 0 THEN -7654321 ELSE n END FROM generate_series(1, 90) AS n"
    )
    assert "user_id <> -7654321" in written(dsn)
    assert "7654321" not in written(dsn, samples="none")
    assert "7654321" not in written(dsn, deny=["user*"])


def test_soft_deletes(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE a (id int, deleted_at date, is_deleted bool); INSERT INTO a VALUES (1, now(), true), (2, NULL, false);
        CREATE TABLE b (id int, deleted_at date); INSERT INTO b VALUES (1, NULL);
        CREATE TABLE c (id int, is_deleted text);
        CREATE TABLE d (id int, deleted bool); INSERT INTO d VALUES (1, false);
        """
    )
    text = written(dsn)
    assert declared(text).soft_delete.columns == {"deleted_at": "IS NOT NULL"}
    assert "# 2 tables have it; 1 of 3 rows is marked as deleted.\ndeleted_at" in text.replace('"', "")
    assert "# No row is, so none tells whether it is used.\n# deleted" in text.replace('"', "")
    assert audit(dsn, text).run.status == "complete"


def test_companions(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE users (id int PRIMARY KEY, created_at timestamptz DEFAULT now() - interval '1 day', is_active bool DEFAULT true);
        INSERT INTO users SELECT generate_series(1, 60);
        CREATE TABLE wallets (id int PRIMARY KEY, user_id int UNIQUE REFERENCES users);
        INSERT INTO wallets SELECT n, n FROM generate_series(1, 59) AS n;
        CREATE TABLE cards (id int PRIMARY KEY, user_id int UNIQUE REFERENCES users);
        INSERT INTO cards SELECT n, n FROM generate_series(1, 5) AS n;
        """
    )
    text = written(dsn)
    (entry,) = declared(text).companion
    assert (entry.of, entry.in_) == ("public.users(id)", "public.wallets(user_id)")
    assert (entry.where, entry.exactly_one, entry.grace) == ("is_active IS TRUE", True, "10 minutes")
    assert "59 of 60 rows of public.users that are old enough have theirs." in flowing(text)
    assert '# in = "public.cards(user_id)"' in text
    assert "1 of 60 rows of public.users that need a row in public.wallets has none" in titles(audit(dsn, text))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize(
    "name", [*HOSTILE, "a(b", "c)d", "e,f", "g.h", 'i"j', "k\\l", "m\nn", "# [[reference]]", "\x7f'''"]
)
def test_hostile_names(database: Make, tmp_path: Path, name: str) -> None:
    table, key = quoted(name), quoted((name[:40] + "_id")[-60:])
    dsn = database(
        f"CREATE SCHEMA {table}; CREATE TABLE {table}.{table} ({key} int PRIMARY KEY, gone text);"
        f"INSERT INTO {table}.{table} SELECT generate_series(1, 40);"
        f"CREATE TABLE {table}.parts (id int PRIMARY KEY, link int); COMMENT ON COLUMN {table}.parts.link IS"
        f" 'references {table.replace(chr(39), chr(39) * 2)}';"
        f"INSERT INTO {table}.parts SELECT n, n FROM generate_series(1, 40) AS n;"
    )
    text = written(dsn)
    (entry,) = declared(text).reference
    assert len(text.splitlines()) == len(text.split("\n")) - 1, "no character ends a line but a newline"
    assert audit(dsn, text).run.status == "complete"
    assert "link" in entry.from_


def test_toml_strings() -> None:
    for text in ("", "plain", 'a"b', "a\\b", "a\nb", "\x00\x1f\x7f", "\u202e", "äöü漢", "'''", '"""', "#"):
        line = f"x = {toml(text)}"
        assert tomllib.loads(line) == {"x": text}
        assert len(line.splitlines()) == 1
    with pytest.raises(ValueError, match="x"):
        toml("x\udce9")


def test_what_may_not_be_read_is_said(database: Make, tmp_path: Path) -> None:
    dsn = database(SCHEMA)
    reader = login(dsn, "GRANT SELECT ON users TO {role}")
    result = run_auditor("init", reader, cwd=tmp_path)
    assert result.returncode == 4
    assert result.stdout == "auditor.toml: 1 entry holds, 0 commented out, 2 not asked\n"
    text = (tmp_path / "auditor.toml").read_text()
    assert "# public.orders.user_id: no SELECT on public.orders" in text
    assert declared(text).reference == ()


def test_of_a_large_table_the_first_pages_are_asked_first(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = database(
        """
        CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users SELECT generate_series(1, 100);
        CREATE TABLE wrong (user_id int); INSERT INTO wrong SELECT n + 500 FROM generate_series(1, 900) AS n;
        CREATE TABLE fine (user_id int); INSERT INTO fine SELECT n % 100 + 1 FROM generate_series(1, 900) AS n;
        ANALYZE;
        """
    )
    monkeypatch.setattr("auditor.init.SAMPLED_PAGES", 1)
    monkeypatch.setattr("auditor.init._LARGE_PAGES", 2)
    asked: list[str | None] = []
    from auditor import init

    def noted(probe: Any) -> Any:
        asked.append(probe.table.name)
        return sampled(probe)

    sampled = init._sampled
    monkeypatch.setattr("auditor.init._sampled", noted)
    assert pairs(declared(written(dsn))) == [("public.fine(user_id)", "public.users(id)")]
    assert sorted(filter(None, asked)) == ["fine", "wrong"]


def test_nothing_to_write(database: Make, tmp_path: Path) -> None:
    result = run_auditor("init", database("CREATE TABLE t (a int)"), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "auditor.toml: 0 entries hold, 0 commented out\n")
    text = (tmp_path / "auditor.toml").read_text()
    assert tomllib.loads(text) == {}
    assert "Nothing was found" in text
