"""What README says is true of the code: its table, its configuration, its role."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from auditor.cli import app
from auditor.config import Settings
from tests.conftest import Make
from tests.helpers import audit, titles

README = Path(__file__).parent.parent / "README.md"
pytestmark = [pytest.mark.checkout, pytest.mark.once]


def section(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return re.sub(r"^```\w*\n|^```$", "", found[1], flags=re.MULTILINE).strip()


def test_table_of_checks_is_the_generated_one() -> None:
    assert section("checks") == CliRunner().invoke(app, ["checks", "--markdown"]).output.strip()


def test_configuration_shown_is_valid() -> None:
    assert Settings.model_validate(tomllib.loads(section("config"))).companion


def test_role_shown_reads_everything_and_writes_nothing(server: str, database: Make, version: int) -> None:
    if version < 14:
        pytest.skip("pg_read_all_data exists from 14 on")
    dsn = database(
        "CREATE SCHEMA app; CREATE TABLE app.users (id int PRIMARY KEY);"
        "CREATE TABLE app.orders (id int PRIMARY KEY, user_id int); INSERT INTO app.orders VALUES (1, 1);"
        "ALTER TABLE app.orders ADD CONSTRAINT known FOREIGN KEY (user_id) REFERENCES app.users NOT VALID;"
    )
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(section("role").encode())
        admin.execute(sql.SQL("ALTER ROLE auditor PASSWORD {}").format(sql.Literal("read only")))
        try:
            reader = psycopg.conninfo.make_conninfo(dsn, user="auditor", password="read only")
            result = audit(reader)
            assert "1 row of app.orders points to 1 row of app.users that does not exist" in titles(result)
            assert result.run.status == "complete"
            assert any(note.startswith("this login is shown only 0 of 1") for note in result.notes)
            with (
                psycopg.connect(reader) as connection,
                pytest.raises((psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)),
            ):
                connection.execute("DELETE FROM app.orders")
        finally:
            admin.execute("DROP OWNED BY auditor; DROP ROLE auditor")
