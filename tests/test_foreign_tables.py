"""Foreign tables are not read, wherever they stand: what rests on their rows is not checked, says why, and the rest goes on."""

from __future__ import annotations

import psycopg
import pytest

from auditor.audit import Audit, open_catalog
from auditor.config import Settings
from auditor.connection import Session, Target
from auditor.deletion import Deletion, condition, explain, find
from auditor.doctor import examine
from auditor.errors import AuditorError
from tests.conftest import Make
from tests.helpers import audit, titles
from tests.test_init import flowing, written
from tests.test_whatif import code, whatif

pytestmark = pytest.mark.core

# A wrapper without a handler: whoever reads there, or plans to, is refused (55000). A table with a foreign partition can
# neither reference nor be referenced by a foreign key, and has no unique index (documentation: CREATE FOREIGN TABLE).
TABLES = """
    CREATE FOREIGN DATA WRAPPER nowhere;
    CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
    CREATE TABLE users (id int PRIMARY KEY, email text);
    INSERT INTO users SELECT n, n::text FROM generate_series(1, 30) AS n;
    CREATE FOREIGN TABLE alone (id int NOT NULL, user_id int, deleted_at timestamptz, CHECK (id > 0)) SERVER far;
    CREATE TABLE events (id int NOT NULL, day int NOT NULL, user_id int) PARTITION BY LIST (day);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2, 3) PARTITION BY LIST (day);
    CREATE FOREIGN TABLE events_3 PARTITION OF events_2 FOR VALUES IN (3) SERVER far;
    INSERT INTO events SELECT n, 1, n FROM generate_series(1, 31) AS n;
    CREATE TABLE base (id int PRIMARY KEY, user_id int CONSTRAINT base_user REFERENCES users);
    CREATE FOREIGN TABLE heir () INHERITS (base) SERVER far;
    INSERT INTO base VALUES (1, 1);
    CREATE TABLE orders (id int PRIMARY KEY, base_id int, event_id int, user_id int);
    INSERT INTO orders SELECT n, 1, n, n FROM generate_series(1, 31) AS n;
    CREATE TABLE notes (id int PRIMARY KEY, base_id int);
    INSERT INTO notes SELECT n, 1 FROM generate_series(1, 31) AS n;
    ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users NOT VALID;
    ALTER TABLE orders ADD CONSTRAINT orders_base FOREIGN KEY (base_id) REFERENCES base NOT VALID;
"""
CONFIG = "".join(
    f'[[reference]]\nfrom = "{one}"\nto = "{other}"\n'
    for one, other in (
        ("events(user_id)", "users(id)"),
        ("orders(event_id)", "events(id)"),
        ("notes(base_id)", "base(id)"),
    )
)
CONFIG += '[[unique]]\ntable = "events"\ncolumns = ["id"]\n'
OF_EVENTS = "public.events_3, a partition of public.events, is a foreign table"
OF_BASE = "public.heir, an inheritance child of public.base, is a foreign table"


@pytest.fixture
def dsn(database: Make) -> str:
    return database(TABLES)


def told(result: Audit) -> dict[tuple[str, str, tuple[str, ...]], str]:
    """What was not checked, and why."""
    left = [entry for entry in result.coverage if entry.outcome == "not_checked"]
    assert {entry.reason for entry in left} <= {"unsupported"}
    return {(entry.check, entry.object.table, entry.object.columns): entry.detail for entry in left}


def test_what_rests_on_their_rows_is_not_checked_and_the_rest_goes_on(dsn: str) -> None:
    result = audit(dsn, CONFIG, depth="full")
    assert result.run.status == "incomplete"
    left = told(result)
    assert set(left.values()) == {OF_EVENTS, OF_BASE}
    for check, table, columns, why in (
        ("references/orphan-rows", "events", ("user_id",), OF_EVENTS),
        ("references/orphan-rows", "orders", ("event_id",), OF_EVENTS),
        ("references/orphan-rows", "notes", ("base_id",), OF_BASE),
        ("uniqueness/live-duplicates", "events", ("id",), OF_EVENTS),
        ("nullability/null-in-not-null", "events", ("id", "day"), OF_EVENTS),
    ):
        assert left[check, table, columns] == why
    # Foreign keys, CHECKs and keys are about the rows of one table: what inherits from it is not asked for.
    passed = {(e.check, e.object.table, e.object.name) for e in result.coverage if e.outcome == "passed"}
    assert {
        ("references/orphan-rows", "base", "base_user"),
        ("references/orphan-rows", "orders", "orders_base"),
        ("uniqueness/unique-violated", "base", "base_pkey"),
    } <= passed
    assert "The foreign key orders_user of public.orders is NOT VALID, and 1 row breaks it" in titles(result)
    foreign = {"alone", "events_3", "heir"}
    assert not foreign & {entry.object.table for entry in result.coverage}
    assert (
        "foreign tables are not judged, and their rows not read: public.alone, public.events_3 and public.heir"
        in result.notes
    )


def test_what_is_planned_asked_and_said_beforehand(dsn: str) -> None:
    text = flowing(written(dsn))
    assert OF_EVENTS in text
    assert OF_BASE in text
    assert "55000" not in text
    assert "alone" not in text
    notes = [advice.text for advice in examine(Settings(), Target(dsn)) if advice.level == "note"]
    assert "foreign tables are not read: 3 tables (public.alone, public.events_3 and public.heir)" in notes


STATEMENTS = {
    "ALTER TABLE events ALTER user_id SET NOT NULL": OF_EVENTS,
    "ALTER TABLE events ADD CHECK (id > 5)": OF_EVENTS,
    "ALTER TABLE base ALTER user_id SET NOT NULL": OF_BASE,
    "ALTER TABLE base ADD CHECK (id > 5)": OF_BASE,
    "ALTER TABLE base ADD CHECK (id > 0) NO INHERIT": None,
    "CREATE UNIQUE INDEX ON base (user_id)": None,
    "ALTER TABLE orders ADD FOREIGN KEY (base_id) REFERENCES base": None,
    "CREATE UNIQUE INDEX ON events (id, day)": "42809",
    "ALTER TABLE events ADD FOREIGN KEY (user_id) REFERENCES users": "42809",
}


def test_what_a_statement_would_meet(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        for statement, why in STATEMENTS.items():
            result = whatif(dsn, statement)
            if why is None:
                assert (code(result), told(result)) == (0, {}), statement
                connection.execute(statement.encode())
            elif why == "42809":
                assert "(42809): a partition of public.events is a foreign table" in titles(result)[0], statement
                with pytest.raises(psycopg.errors.WrongObjectType):
                    connection.execute(statement.encode())
            else:
                assert (code(result), set(told(result).values())) == (4, {why}), statement
            connection.rollback()


def deleting(dsn: str, table: str, key: str) -> Deletion:
    with Session(Target(dsn)) as session:
        catalog = open_catalog(session)
        found = find(session, catalog, table)
        return explain(session, catalog, found, *condition(catalog, found, [key]))


def test_what_deleting_a_row_would_meet(dsn: str) -> None:
    made = deleting(dsn, "users", "1")
    assert (made.stopped, made.unsure, made.exit_code) == ("", (), 1)
    made = deleting(dsn, "base", "1")
    assert (made.stopped, made.exit_code) == (OF_BASE, 4)
    for table in ("alone", "heir", "events_3"):
        with pytest.raises(AuditorError, match="is a foreign table: no foreign key acts when its rows are deleted"):
            deleting(dsn, table, "1")
