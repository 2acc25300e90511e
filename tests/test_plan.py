"""`auditor plan`: what an audit would read, how, about how much, and what it could not; nothing is read."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from auditor.report.dry_run import size
from auditor.report.layout import width
from tests.conftest import Make
from tests.helpers import login, run_auditor
from tests.reports import hostile_script

pytestmark = pytest.mark.once

SHOP = """
CREATE TABLE users (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, user_id int);
CREATE TABLE secrets (id int PRIMARY KEY, user_id int);
INSERT INTO users SELECT generate_series(1, 20000);
INSERT INTO orders SELECT n, n % 20000 + 1 FROM generate_series(1, 100000) AS n;
CREATE INDEX ON orders (user_id);
ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
ALTER TABLE secrets ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
"""
SELECT = ("--select", "references/orphan-rows")
QUESTION = "public.orders (user_id) without a row of public.users (id)"


def test_says_what_would_be_read(database: Make, tmp_path: Path) -> None:
    dsn = database(SHOP, "ANALYZE")
    reader = login(dsn, "GRANT SELECT ON users, orders TO {role}")
    done = run_auditor("plan", reader, *SELECT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  {QUESTION}\n      about" in done.stdout
    assert re.search(r"about [\d.]+ (ms|s), [\d.]+ [kM]B, gap probes; for\s+references/orphan-rows", done.stdout)
    unreadable = done.stdout.partition("What could not be read:\n")[2]
    assert "secrets_user_id_fkey" in unreadable
    assert "no SELECT on public.secrets" in unreadable
    assert done.stdout.endswith("1 not readable\n")


def test_the_most_expensive_comes_first(database: Make, tmp_path: Path) -> None:
    dsn = database(SHOP, "INSERT INTO secrets SELECT * FROM orders WHERE id <= 500", "ANALYZE")
    text = run_auditor("plan", dsn, *SELECT, cwd=tmp_path).stdout
    assert text.index("public.orders (user_id)") < text.index("public.secrets (user_id)")


def test_reads_no_row(database: Make, tmp_path: Path) -> None:
    """A predicate that fails for every row does not fail here."""
    (tmp_path / "auditor.toml").write_text(
        '[[reference]]\nfrom = "orders(user_id)"\nto = "users(id)"\nwhere = "1 / (id - id) = 1"\n', encoding="utf-8"
    )
    dsn = database(SHOP, "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey", "ANALYZE")
    planned = run_auditor("plan", dsn, "-t", "orders", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert QUESTION in " ".join(planned.stdout.split())
    audited = run_auditor("audit", dsn, "-t", "orders", "-q", cwd=tmp_path)
    assert audited.returncode == 4, "the audit does read"


def test_catalog_depth_reads_nothing(database: Make, tmp_path: Path) -> None:
    done = run_auditor("plan", database(SHOP), *SELECT, "--depth", "catalog", cwd=tmp_path)
    assert done.stdout.startswith("No row would be read.\n")
    assert "Asked at a greater depth only: references/orphan-rows." in done.stdout


def test_names_are_shown_safely_in_80_columns(database: Make, tmp_path: Path) -> None:
    done = run_auditor("plan", database(hostile_script()), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "without a row of" in done.stdout
    assert all(width(line) <= 80 for line in done.stdout.split("\n"))
    assert all(character.isprintable() or character == "\n" for character in done.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--select", "nothing"), 2, "no check or family is called 'nothing'"),
        (("--pace", "slow"), 2, "pace"),
        (("-t", "no_such_table"), 2, "no table matches"),
        (("-p", "1"), 3, "connection"),
    ],
)
def test_wrong_use_is_told(database: Make, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    dsn = database() if "-p" not in arguments else psycopg.conninfo.make_conninfo(host="127.0.0.1")
    done = run_auditor("plan", dsn, *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr


def test_sizes_are_short() -> None:
    assert [size(n) for n in (8192, 1024**2, 5 * 1024**2, 1.25 * 1024**3)] == ["8 kB", "1.0 MB", "5.0 MB", "1.2 GB"]
