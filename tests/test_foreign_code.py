"""No owner's function runs under a superuser's login: what would run one is not planned, and is listed as not checked.

Whether a function ran shows in a directory of the server's own files: it writes there, which even READ ONLY allows.
"""

from __future__ import annotations

import itertools
import os

import psycopg
import pytest

from auditor.catalog.model import Statement
from tests.conftest import Make
from tests.helpers import audit, login, titles

_numbers = itertools.count(1)

# A table per way in which planning runs code: what makes it so, and from which major on.
WAYS = {
    "expression": "CREATE INDEX ON {t} (({f}(0) + target))",
    "predicate": "CREATE INDEX ON {t} (target) WHERE {f}(1) > 0",
    "statistics": "CREATE STATISTICS {t}_s ON ({f}(2) + target), id FROM {t}",
    "checked": "ALTER TABLE {t} ADD CHECK (target <> {f}(3)) NOT VALID",
    "generated": "ALTER TABLE {t} ADD COLUMN g int GENERATED ALWAYS AS (id + {f}(4)) STORED",
    "operator": "CREATE INDEX ON {t} (target) WHERE id OPERATOR(mallory.===) 5",
    "domain": "CREATE INDEX ON {t} (target) WHERE (6::mallory.odd)::int > 0",
}
SINCE = {"statistics": 14}

SETUP = """
    CREATE SCHEMA mallory AUTHORIZATION {role};
    CREATE TABLE targets (id int PRIMARY KEY);
    GRANT ALL ON targets TO {role};
    INSERT INTO targets VALUES (1);
    GRANT CREATE, USAGE ON SCHEMA public TO {role};
"""
MALLORY = """
    CREATE FUNCTION mallory.run(n int) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
            EXECUTE format('COPY (SELECT 1) TO %L', current_setting('data_directory') || '/{mark}_' || n);
        END IF;
        RETURN 0;
    END $$;
    CREATE FUNCTION mallory.f(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN mallory.run(n); END';
    CREATE FUNCTION mallory.same(a int, b int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RETURN a = b AND mallory.f(5) = 0; END';
    CREATE OPERATOR mallory.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = mallory.same);
    CREATE DOMAIN mallory.odd AS int CHECK (mallory.f(VALUE) = 0);
"""


def ran(connection: psycopg.Connection[tuple[object, ...]], mark: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_ls_dir(current_setting('data_directory')) AS f WHERE starts_with(f, %s)", (mark,)
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def hostile(dsn: str, version: int) -> tuple[str, str, str]:
    """A database whose owner waits for a superuser: the owner's DSN and name, and what his functions leave behind."""
    mark = f"ran_{os.getpid()}_{next(_numbers)}"
    owner = login(dsn, *SETUP.split(";")[:-1])
    name = str(psycopg.conninfo.conninfo_to_dict(owner)["user"])
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(MALLORY.replace("{mark}", mark).encode())
        for way, statement in WAYS.items():
            if version >= SINCE.get(way, 0):
                connection.execute(f"CREATE TABLE {way} (id int PRIMARY KEY, target int)".encode())
                connection.execute(f"INSERT INTO {way} VALUES (1, 1), (2, 9)".encode())
                connection.execute(statement.format(t=way, f="mallory.f").encode())
        connection.execute("CREATE TABLE plain (id int PRIMARY KEY DEFAULT mallory.f(7), target int)")
        connection.execute("INSERT INTO plain VALUES (1, 9)")
        connection.execute("CREATE TABLE heirs () INHERITS (plain)")
        connection.execute("CREATE TABLE parts (id int, target int) PARTITION BY RANGE ((id + mallory.f(8)))")
        connection.execute("CREATE TABLE wholes (id int, target int) PARTITION BY RANGE (id)")
        connection.execute("CREATE TABLE wholes_1 PARTITION OF wholes FOR VALUES FROM (0) TO (9)")
        connection.execute("CREATE INDEX ON wholes_1 (target) WHERE mallory.f(9) > 0")
        connection.execute("INSERT INTO wholes VALUES (1, 9)")
    return owner, name, mark


def tables(version: int) -> list[str]:
    return [*(way for way in WAYS if version >= SINCE.get(way, 0)), "parts", "wholes"]


def config(version: int) -> str:
    names = [*tables(version), "plain"]
    references = (f'[[reference]]\nfrom = "{t}(target)"\nto = "targets(id)"\nwhere = "id > 0"\n' for t in names)
    return "".join(references) + "".join(f'[[unique]]\ntable = "{t}"\ncolumns = ["target"]\n' for t in names)


def test_a_superuser_runs_no_function_of_an_owner(database: Make, version: int) -> None:
    dsn = database()
    _, owner, mark = hostile(dsn, version)
    with psycopg.connect(dsn, autocommit=True) as admin:
        before = ran(admin, mark)
        upsert = [
            f"INSERT INTO {t} (target) VALUES (1) ON CONFLICT (target) WHERE id > 0 DO NOTHING" for t in tables(version)
        ]
        handed = tuple(Statement(f"{n}.sql", 1, text) for n, text in enumerate(upsert))
        result = audit(dsn, config(version), handed, depth="full")
        assert ran(admin, mark) == before
        left = {entry.object.table for entry in result.coverage if entry.reason == "unsafe_code"}
        assert left >= set(tables(version))
        assert not left & {"targets", "plain"}
        assert "1 row of public.plain points to 1 row of public.targets that does not exist" in titles(result)
        details = {e.detail for e in result.coverage if e.reason == "unsafe_code" and e.object.table == "predicate"}
        me = result.database.user
        assert details == {f"planning a query of public.predicate would run mallory.f of {owner} under {me}"}
        assert result.run.status == "incomplete"
        # Each of these is a real way in: planned all the same, the function runs.
        admin.execute("SET search_path = ''")
        for way in ("predicate", "operator", "domain"):
            admin.execute(f"EXPLAIN SELECT FROM public.{way} WHERE target = 1".encode())
        assert ran(admin, mark) > before


def test_an_owner_who_is_trusted_is_read(database: Make, version: int) -> None:
    dsn = database()
    _, owner, _ = hostile(dsn, version)
    result = audit(dsn, config(version), select=["references/orphan-rows"], trust_owner=[owner])
    assert not [entry for entry in result.coverage if entry.reason == "unsafe_code"]
    assert len(result.findings) == len(tables(version))  # but the empty one; and the plain one


@pytest.mark.parametrize("options", ["", "CREATEROLE"])
def test_only_a_dangerous_login_has_to_be_protected(database: Make, version: int, options: str) -> None:
    dsn = database()
    owner, _, _ = hostile(dsn, version)
    grants = ["GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", "GRANT USAGE ON SCHEMA mallory TO {role}"]
    reader = login(dsn, *grants, options=options)
    result = audit(reader, config(version), select=["references/orphan-rows"])
    unsafe = {entry.object.table for entry in result.coverage if entry.reason == "unsafe_code"}
    assert unsafe == (set(tables(version)) if options else set())
    mine = audit(owner, config(version), select=["references/orphan-rows"])
    assert not [entry for entry in mine.coverage if entry.reason == "unsafe_code"]


def test_an_insert_has_defaults_too(database: Make, version: int) -> None:
    """Whether an upsert has an arbiter is asked of the planner where expressions leave it open."""
    dsn = database()
    _, _, mark = hostile(dsn, version)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("CREATE UNIQUE INDEX ON plain ((abs(target) + 0)) WHERE target IS NOT NULL")
        before = ran(admin, mark)
        text = "INSERT INTO plain (target) VALUES (1) ON CONFLICT ((0 + abs(target))) WHERE target > 3 DO NOTHING"
        result = audit(dsn, "", (Statement("q.sql", 1, text),), select=["uniqueness/on-conflict-without-arbiter"])
        assert ran(admin, mark) == before
    assert [entry.reason for entry in result.coverage if entry.object.table == "plain"] in (["unsafe_code"], [None])
