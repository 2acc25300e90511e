"""No owner's function runs under a superuser's login: what would run one is not planned, and is listed as not checked.

Whether a function ran shows in a directory of the server's own files: it writes there, which even READ ONLY allows.
"""

from __future__ import annotations

import itertools
import os
import tomllib
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from auditor.audit import Auditor
from auditor.catalog.model import Statement
from auditor.cli import app
from auditor.config import merged
from auditor.connection import Target
from tests.conftest import Make
from tests.helpers import audit, login, titles
from tests.test_run import WAITS, held, reference

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

# Further ways, each with a column `target`: what reads them, and not only what plans, must not run the functions.
FURTHER = """
    GRANT USAGE ON SCHEMA mallory TO PUBLIC;
    CREATE DOMAIN mallory.late AS int;
    CREATE DOMAIN mallory.later AS mallory.late;
    CREATE TYPE mallory.pair AS (a int, b mallory.later);
    CREATE TABLE domains (id int PRIMARY KEY, target mallory.late);
    CREATE TABLE arrays (id int PRIMARY KEY, target int, many mallory.later[] DEFAULT '{1,2}');
    CREATE TABLE composites (id int PRIMARY KEY, target int, pair mallory.pair DEFAULT '(1,2)');
    INSERT INTO domains VALUES (1, 1), (2, 9);
    INSERT INTO arrays VALUES (1, 1), (2, 9);
    INSERT INTO composites VALUES (1, 1), (2, 9);
    ALTER DOMAIN mallory.late ADD CHECK (mallory.run(30 + VALUE) = 0) NOT VALID;

    CREATE TABLE casting (id int PRIMARY KEY, target int);
    ALTER TABLE casting ADD CHECK (target::text::mallory.late <> 3) NOT VALID;
    CREATE TABLE rewritten (id int PRIMARY KEY, target int);
    INSERT INTO rewritten VALUES (1, 1), (2, 9);
    ALTER TABLE rewritten ADD CONSTRAINT rule CHECK (ts_rewrite('a', {query}) IS NOT NULL) NOT VALID;
    CREATE OPERATOR mallory.@@@ (LEFTARG = tsquery, RIGHTARG = text, FUNCTION = ts_rewrite);
    CREATE TABLE operated (id int PRIMARY KEY, target int);
    INSERT INTO operated VALUES (1, 1), (2, 9);
    ALTER TABLE operated ADD CONSTRAINT rule CHECK (('a' OPERATOR(mallory.@@@) {query}) IS NOT NULL) NOT VALID;
    CREATE DOMAIN mallory.rewriting AS int;
    CREATE TABLE valued (id int PRIMARY KEY, target int, value mallory.rewriting DEFAULT 1);
    INSERT INTO valued VALUES (1, 1), (2, 9);
    ALTER DOMAIN mallory.rewriting ADD CONSTRAINT rule CHECK (ts_rewrite('a', {query}) IS NOT NULL) NOT VALID;

    CREATE TYPE mallory.mood AS ENUM ('active', 'deleted');
    CREATE FUNCTION mallory.said(mallory.mood) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN PERFORM mallory.run(40); RETURN ''deleted''; END';
    CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.said(mallory.mood) AS IMPLICIT;
    CREATE FUNCTION mallory.equal(mallory.mood, mallory.mood) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RETURN mallory.run(41) = 0; END';
    CREATE OPERATOR mallory.= (LEFTARG = mallory.mood, RIGHTARG = mallory.mood, FUNCTION = mallory.equal);
    CREATE TABLE moods (id mallory.mood PRIMARY KEY, target int, email mallory.mood UNIQUE, status mallory.mood);
    INSERT INTO moods VALUES ('active', 1, 'active', 'deleted'), ('deleted', 9, 'deleted', 'active');
    CREATE TABLE subjects (id int PRIMARY KEY, target int, subject_type mallory.mood, mood mallory.mood, mood_id mallory.mood);
    INSERT INTO subjects SELECT n, n, 'active', 'active', 'active' FROM generate_series(1, 30) AS n;
    ALTER TABLE subjects ADD FOREIGN KEY (mood) REFERENCES moods NOT VALID;

    CREATE TYPE mallory.bag AS (x int);
    CREATE FUNCTION mallory.said(mallory.bag) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN PERFORM mallory.run(50); RETURN ''a''; END';
    CREATE CAST (mallory.bag AS text) WITH FUNCTION mallory.said(mallory.bag) AS IMPLICIT;
    CREATE TABLE bags (id mallory.bag PRIMARY KEY, target int, email mallory.bag UNIQUE);
    INSERT INTO bags VALUES ('(1)', 1, '(1)'), ('(2)', 9, '(2)');
    CREATE TYPE mallory.span AS RANGE (subtype = int);
    CREATE FUNCTION mallory.said(mallory.span) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN PERFORM mallory.run(51); RETURN ''a''; END';
    CREATE CAST (mallory.span AS text) WITH FUNCTION mallory.said(mallory.span) AS IMPLICIT;
    CREATE TABLE spans (id mallory.span PRIMARY KEY, target int);
    INSERT INTO spans VALUES ('[1,2)', 1), ('[3,4)', 9);

    CREATE TABLE listed (id int, target int) PARTITION BY LIST (mallory.f(id));
    CREATE TABLE listed_1 PARTITION OF listed DEFAULT;
    CREATE TABLE excluding (id int PRIMARY KEY, target int, EXCLUDE USING btree (mallory.f(id) WITH =) WHERE (target < 5));
    CREATE TABLE bases (id int PRIMARY KEY, target int);
    CREATE TABLE kids (CHECK (mallory.f(id) = 0)) INHERITS (bases);
"""
# These call functions where reading and planning do not: they are read.
HARMLESS = """
    CREATE TABLE policed (id int PRIMARY KEY, target int);
    CREATE POLICY p ON policed USING (mallory.run(60) = 0);
    ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
    CREATE VIEW seen WITH (security_barrier) AS SELECT *, mallory.run(61) AS r FROM policed;
    CREATE MATERIALIZED VIEW kept AS SELECT id, target, mallory.run(62) AS r FROM policed;
    CREATE UNIQUE INDEX ON kept (id);
    CREATE TABLE ruled (id int PRIMARY KEY, target int);
    CREATE RULE r AS ON INSERT TO ruled WHERE mallory.run(63) = 0 DO ALSO SELECT mallory.run(64);
    CREATE FUNCTION mallory.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM mallory.run(65); RETURN NEW; END';
    CREATE TRIGGER t BEFORE INSERT OR UPDATE ON ruled FOR EACH ROW WHEN (mallory.f(NEW.id) = 0) EXECUTE FUNCTION mallory.fire();
    CREATE TRIGGER d BEFORE DELETE ON ruled FOR EACH ROW EXECUTE FUNCTION mallory.fire();
    CREATE TABLE given (id int PRIMARY KEY, target int DEFAULT mallory.run(66));
    INSERT INTO policed VALUES (1, 9);
    INSERT INTO given VALUES (1, 9);
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


def test_a_preset_role_is_no_sandbox(database: Make, version: int) -> None:
    """The owner has superusers act as himself; his function resets that, and is one of them."""
    dsn = database()
    owner, name, mark = hostile(dsn, version)
    place = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(owner, autocommit=True) as connection:
        (text,) = connection.execute("SELECT pg_get_functiondef('mallory.run(int)'::regprocedure)").fetchone() or ("",)
        connection.execute(text.replace("BEGIN", "BEGIN SET LOCAL role = none;", 1).encode())
    with psycopg.connect(dsn, autocommit=True) as admin:
        before = ran(admin, mark)
        admin.execute(f"ALTER DATABASE {place} OWNER TO {name}".encode())
        admin.execute(f"ALTER DATABASE {place} SET role = {name}".encode())
        result = Auditor(
            merged(tomllib.loads(config(version)), {"settle": 0, "depth": "full"}), Target(dsn, allow_role=True)
        ).run()
        assert ran(admin, mark) == before
        assert result.database.user == name
        assert {e.object.table for e in result.coverage if e.reason == "unsafe_code"} >= set(tables(version))
        with psycopg.connect(dsn, autocommit=True) as acting:  # a real way in
            acting.execute("EXPLAIN SELECT FROM public.predicate WHERE target = 1")
        assert ran(admin, mark) > before


@pytest.mark.parametrize("way", ["index", "child"])
def test_an_owner_who_is_at_it_meanwhile(
    database: Make, version: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is planned later is judged by what stands in the catalog by then."""
    monkeypatch.setattr("auditor.run._FRESH", 0.0)
    dsn = database()
    owner, name, mark = hostile(dsn, version)
    with psycopg.connect(owner, autocommit=True) as theirs, psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE gate (id int PRIMARY KEY, target int); INSERT INTO gate VALUES (1, 1)")
        theirs.execute("CREATE TABLE later (id int PRIMARY KEY, target int)")
        theirs.execute("INSERT INTO later SELECT n, n FROM generate_series(1, 20000) AS n")
        theirs.execute("CREATE TABLE kid (id int PRIMARY KEY, target int)")
        theirs.execute("CREATE INDEX ON kid (target) WHERE mallory.f(98) > 0")
        admin.execute("ANALYZE")
        before = ran(admin, mark)
        references = reference("gate", WAITS) + reference("later")
        with held(dsn, references) as (gate, running):
            gate.waiting()
            made = {
                "index": "CREATE INDEX ON later (target) WHERE mallory.f(99) > 0",
                "child": "ALTER TABLE kid INHERIT later",
            }
            theirs.execute(made[way].encode())
            gate.open()
            result = running.result(30)
        assert ran(admin, mark) == before
    left = {entry.object.table: entry for entry in result.coverage if entry.outcome == "not_checked"}
    assert left.keys() == {"later"}
    assert (left["later"].reason, f"mallory.f of {name}" in left["later"].detail) == ("unsafe_code", True)


def reaching(owner: str) -> tuple[list[str], list[str]]:
    """Makes the tables of FURTHER and of HARMLESS; returns their names."""
    query = "('SELECT ''a''::tsquery, ''b''::tsquery WHERE mallory.run(20) = ' || target)"
    valued = query.replace("target", "VALUE")
    made = []
    with psycopg.connect(owner, autocommit=True) as connection:
        for script in (FURTHER, HARMLESS):
            for statement in script.split(";\n"):
                connection.execute(statement.replace("{query}", valued if "DOMAIN" in statement else query).encode())
            found = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
                " AND NOT relispartition AND pg_get_userbyid(relowner) = current_user ORDER BY 1"
            )
            made.append([str(name) for (name,) in found])
    return made[0], [name for name in made[1] if name not in made[0]]


# What each of these is asked must not be evaluated; the table itself may be read.
RULES = {"rewritten", "operated", "valued"}


@pytest.mark.parametrize("who", ["superuser", "member of one"])
def test_no_command_runs_a_function_of_an_owner(database: Make, version: int, who: str, tmp_path: Path) -> None:
    dsn = database()
    owner, _, mark = hostile(dsn, version)
    unsafe, harmless = reaching(owner)
    unsafe = [name for name in unsafe if name not in ("plain", "heirs", "parts", "wholes", *WAYS)]
    assert {"domains", "moods", "subjects", "bags", "spans", "listed"} <= set(unsafe)
    assert set(harmless) == {"given", "policed", "ruled"}
    reading = dsn
    if who != "superuser":  # SET ROLE makes it one
        superuser = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
        reading = login(
            dsn, f'GRANT "{superuser}" TO {{role}}', "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        )
    references = "".join(
        f'[[reference]]\nfrom = "{name}(target)"\nto = "targets(id)"\nwhere = "id IS NOT NULL"\n'
        for name in [*unsafe, *harmless]
        if name not in ("domains", "targets")
    )
    more = """
        [[reference]]
        from = "moods(status)"
        to = "moods(email)"
        [[reference]]
        from = "bags(email)"
        to = "bags(id)"
        [[reference]]
        from = "subjects(id)"
        type_column = "subject_type"
        targets = { active = "targets(id)", deleted = "given(id)" }
        [[companion]]
        of = "moods(id)"
        in = "subjects(mood)"
        where = "status = 'active'"
        exactly_one = true
        [[unique]]
        table = "moods"
        columns = ["status"]
        [soft_delete]
        columns = { status = "= 'deleted'" }
    """
    (tmp_path / "none.toml").write_text("")
    runner = CliRunner()
    with psycopg.connect(dsn, autocommit=True) as admin:
        before = ran(admin, mark)

        def run(*arguments: str) -> int:
            result = runner.invoke(app, [*arguments, "--config", str(tmp_path / "none.toml")])
            assert ran(admin, mark) == before, arguments
            assert isinstance(result.exception, None | SystemExit) or "AuditorError" in str(
                type(result.exception).mro()
            )
            return result.exit_code

        declared = references + more
        for depth in ("catalog", "data", "full") if who == "superuser" else ("full",):
            result = audit(reading, declared, depth=depth, samples="full")
            assert ran(admin, mark) == before, depth
            left = {entry.object.table for entry in result.coverage if entry.reason == "unsafe_code"}
            if depth != "catalog":
                assert left >= {name for name in unsafe if name not in ("targets", "bases")} - {"kids"}
                assert not [
                    e for e in result.coverage if e.reason == "unsafe_code" and e.object.table in ("given", "ruled")
                ]
            rules = {
                entry.object.table
                for entry in result.coverage
                if entry.reason == "unsafe_code" and entry.object.name == "rule"
            }
            assert depth == "catalog" or rules >= RULES
        if who != "superuser":
            return
        assert run("plan", reading, "--depth", "full") == 0
        assert run("init", reading, "-o", "-", "--samples", "full") == 4
        assert run("doctor", reading) == 4
        assert run("doctor", reading, "--grants") == 0
        assert run("diff", reading, f"{reading} application_name=other") == 0
        changes = itertools.cycle(
            ("ADD UNIQUE (target)", "ADD CHECK (target > 5)", "ADD FOREIGN KEY (target) REFERENCES targets")
        )
        for name in [*unsafe, *harmless]:
            key = {"moods": "active", "bags": "(1)", "spans": "[1,2)"}.get(name, "1")
            run("explain-delete", name, f"id={key}", "-d", reading)
            run("whatif", f"ALTER TABLE {name} {next(changes)}", reading, "--samples", "full")
        for statement in (
            "CREATE UNIQUE INDEX ON moods (status, (email::text))",
            "ALTER TABLE moods ADD CHECK (status = 'active')",
            "ALTER TABLE subjects ADD CHECK (mood = mood_id)",
            "CREATE UNIQUE INDEX ON bags (email)",
            "ALTER TABLE subjects ADD FOREIGN KEY (mood_id) REFERENCES moods (email)",
            "ALTER TABLE subjects ADD CHECK (ts_rewrite('a', 'SELECT ''a''::tsquery, ''b''::tsquery') IS NULL)",
        ):
            assert run("whatif", statement, reading, "--samples", "full") == 4
        # Each of these is a real way in.
        admin.execute("SET search_path = ''")
        for count, query in enumerate(
            (
                "SELECT FROM public.moods WHERE id = 'active'",
                "SELECT FROM public.bags WHERE id = '(1)'",
                "SELECT FROM public.rewritten WHERE ts_rewrite('a', 'SELECT ''a''::tsquery, ''b''::tsquery WHERE mallory.run(20) = 0') IS NULL",
                "SELECT 1::mallory.late",
            ),
            before + 1,
        ):
            admin.execute(query.encode())
            assert ran(admin, mark) == count, query


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
