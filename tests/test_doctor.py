"""`auditor doctor` says beforehand what an audit would meet, and its grants make a role for which nothing is in the way."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from auditor.config import Settings
from auditor.connection import Target
from auditor.doctor import Advice, examine, grants
from tests.conftest import Make
from tests.helpers import audit, login, plain_environment, run_auditor

_numbers = itertools.count(1)

TABLES = """
    CREATE SCHEMA app;
    CREATE SCHEMA "O'Hare";
    CREATE TABLE app.users (id int PRIMARY KEY);
    CREATE TABLE app.notes (id int PRIMARY KEY, user_id int);
    ALTER TABLE app.notes ADD FOREIGN KEY (user_id) REFERENCES app.users NOT VALID;
    CREATE TABLE "O'Hare"."%s" (id int PRIMARY KEY, up int REFERENCES "O'Hare"."%s");
    CREATE TABLE app.tenants (id int PRIMARY KEY, user_id int);
    ALTER TABLE app.tenants ADD FOREIGN KEY (user_id) REFERENCES app.users NOT VALID;
    ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY;
"""


def said(dsn: str, level: str) -> list[Advice]:
    return [advice for advice in examine(Settings(), Target(dsn)) if advice.level == level]


def test_what_is_in_the_way_is_told_with_its_remedy(database: Make) -> None:
    dsn = database(TABLES)
    reader = login(dsn, "GRANT USAGE ON SCHEMA app TO {role}", "GRANT SELECT ON app.users, app.tenants TO {role}")
    name = psycopg.conninfo.conninfo_to_dict(reader)["user"]
    problems = said(reader, "problem")
    assert [(advice.text, advice.remedy) for advice in problems] == [
        ("""no USAGE on schema "O'Hare\"""", f"""GRANT USAGE ON SCHEMA "O'Hare" TO {name};"""),
        ("no SELECT on 1 table (app.notes)", f"GRANT SELECT ON app.notes TO {name};"),
        ("row security hides rows of 1 table (app.tenants)", f"ALTER ROLE {name} BYPASSRLS;"),
    ]
    assert audit(reader, depth="full").run.status == "incomplete"
    with psycopg.connect(dsn, autocommit=True) as admin:
        for advice in problems:
            admin.execute(advice.remedy.encode())
        admin.execute(f"""GRANT SELECT ON "O'Hare"."%s" TO {name}""".encode())
    assert said(reader, "problem") == []
    assert audit(reader, depth="full").run.status == "complete"


def test_a_sequence_that_cannot_be_read_is_a_problem(database: Make) -> None:
    dsn = database("CREATE TABLE t (id serial PRIMARY KEY, other serial)", "CREATE SEQUENCE of_nobody")
    few = login(dsn, "GRANT SELECT ON t TO {role}", "GRANT SELECT ON SEQUENCE t_other_seq TO {role}")
    (advice,) = said(few, "problem")
    assert advice.text == "no SELECT on 1 sequence (public.t_id_seq)"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(advice.remedy.encode())
    assert said(few, "problem") == []
    assert audit(few, select=["foundations"], ignore=["foundations/sequence-exhaustion"]).run.status == "complete"


def test_the_grants_make_a_role_that_reads_all_and_writes_nothing(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    role = f"Auditor's {os.getpid()} {next(_numbers)}"
    done = run_auditor("doctor", dsn, "--grants", "--role", role, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(dsn, autocommit=True) as admin:
        for statement in done.stdout.splitlines():
            admin.execute(statement.encode())
        admin.execute(psycopg.sql.SQL("ALTER ROLE {} PASSWORD 'a secret'").format(psycopg.sql.Identifier(role)))
    made = psycopg.conninfo.make_conninfo(dsn, user=role, password="a secret")
    assert said(made, "problem") == []
    result = audit(made, depth="full")
    assert result.run.status == "complete"
    assert not [note for note in result.notes if "may read no row" in note]
    with psycopg.connect(made) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("INSERT INTO app.users VALUES (1)")
    with psycopg.connect(made) as connection:
        connection.execute("SET TRANSACTION READ WRITE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO app.users VALUES (1)")


def test_functions_that_planning_would_run(database: Make) -> None:
    dsn = database()
    owner = login(dsn, "GRANT CREATE ON SCHEMA public TO {role}")
    name = psycopg.conninfo.conninfo_to_dict(owner)["user"]
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE FUNCTION public.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'")
        connection.execute("CREATE TABLE public.t (id int PRIMARY KEY)")
        connection.execute("CREATE INDEX ON public.t (public.f(id))")
    (problem,) = said(dsn, "problem")
    assert f"public.t) would run functions of other owners under it, such as public.f of {name}" in problem.text
    assert examine(Settings.model_validate({"audit": {"trust_owner": [name]}}), Target(dsn))
    assert said(owner, "problem") == []


def test_a_partitioned_table_with_a_foreign_partition_is_a_problem(database: Make, tmp_path: Path) -> None:
    dsn = database(
        """
        CREATE FOREIGN DATA WRAPPER elsewhere;
        CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;
        CREATE TABLE targets (id int PRIMARY KEY);
        CREATE TABLE here (id int PRIMARY KEY, target_id int);
        CREATE FOREIGN TABLE beside () INHERITS (here) SERVER far;
        CREATE TABLE parts (id int, target_id int) PARTITION BY RANGE (id);
        CREATE TABLE near PARTITION OF parts FOR VALUES FROM (0) TO (10);
        CREATE TABLE further PARTITION OF parts FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
        CREATE FOREIGN TABLE furthest PARTITION OF further FOR VALUES FROM (10) TO (20) SERVER far;
        INSERT INTO near VALUES (1, 7);
        INSERT INTO here VALUES (1, 7);
        """
    )
    config = "".join(f'[[reference]]\nfrom = "{table}(target_id)"\nto = "targets(id)"\n' for table in ("here", "parts"))
    assert [advice.text for advice in said(dsn, "problem")] == [
        "not read, because partitions of them are foreign tables: 1 table (public.parts)"
    ]
    assert run_auditor("doctor", dsn, cwd=tmp_path).returncode == 4
    result = audit(dsn, config, select=["references/orphan-rows"])
    assert {(c.object.table, c.outcome, c.reason, c.detail) for c in result.coverage} == {
        ("here", "failed", None, ""),
        ("parts", "not_checked", "unsupported", "public.furthest, a partition of public.parts, is a foreign table"),
    }


def test_presets_and_limits_are_notes(database: Make, tmp_path: Path) -> None:
    dsn = database("CREATE TABLE t (id int PRIMARY KEY)")
    reader = login(
        dsn, "GRANT SELECT ON t TO {role}", "ALTER ROLE {role} SET work_mem = '1MB'", options="CONNECTION LIMIT 1"
    )
    notes = [advice.text for advice in said(reader, "note")]
    assert "preset for this database or login, and overridden by the auditor: work_mem" in notes
    assert "the login may have 1 connection, and an audit takes up to 3: it would be slower" in notes
    done = run_auditor("doctor", reader, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line[:8].strip() in ("ok", "note", "problem", "") for line in done.stdout.splitlines())
    assert "a secret" not in done.stdout


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    done = run_auditor("doctor", "postgresql://127.0.0.1:1/none", cwd=tmp_path)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.once
def test_what_a_terminal_cannot_show_ends_nothing(database: Make, tmp_path: Path) -> None:
    """Names are UTF-8, or bytes of no encoding, and a terminal may have less."""
    dsn = database('CREATE TABLE "日本" (id int PRIMARY KEY, up int REFERENCES "日本")')
    grants_of = ["doctor", dsn, "--grants", "--role", b"r\xff\xe6\x97\xa5"]
    for encoding, command in (
        ("ascii:strict", ["audit", dsn, "--history", "h.db", "-q"]),
        ("ascii:strict", ["history", "h.db"]),
        ("ascii:strict", grants_of),
        ("utf-8:strict", grants_of),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "auditor", *command],
            cwd=tmp_path,
            env=plain_environment({"PYTHONIOENCODING": encoding}),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b""), command
        assert command is not grants_of or b'CREATE ROLE "r\xff\xe6\x97\xa5" LOGIN' in done.stdout


def test_grants_are_one_statement_a_line(database: Make) -> None:
    text = grants(Settings(), Target(database(TABLES)), 'x"; DROP TABLE y; --\n')
    assert all(line.split(" --")[0].endswith(";") for line in text.splitlines() if "DROP" not in line)
    assert 'U&"x""; DROP TABLE y; --\\+00000A"' in text


def test_limits_that_the_login_cannot_see(database: Make) -> None:
    dsn = database("CREATE TABLE t (id int PRIMARY KEY)")
    limits = Settings.model_validate({"audit": {"max_load": 5}})
    reader, shown = (login(dsn, *more) for more in ((), ("GRANT pg_read_all_stats TO {role}",)))

    def hidden(name: str, settings: Settings) -> list[str]:
        found = examine(settings, Target(name))
        return [advice.remedy for advice in found if advice.text.startswith("what other logins' sessions")]

    assert hidden(reader, limits)[0].startswith("GRANT pg_read_all_stats TO ")
    assert hidden(reader, Settings()) == hidden(shown, limits) == hidden(dsn, limits) == []
