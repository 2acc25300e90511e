"""`auditor whatif`: what it takes, what it says, and that its statements do what they say. See also test_whatif_proof.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest

from auditor.audit import Audit, schema, to_json
from auditor.check import Finding
from auditor.config import Settings
from auditor.connection import Target
from auditor.definition import SUPPORTED, parse
from auditor.errors import UsageError
from auditor.report.layout import width
from auditor.text import ident, qualified
from auditor.whatif import Trial
from tests.conftest import Make
from tests.helpers import login, plain_environment, run_auditor, titles
from tests.reports import HOSTILE

pytestmark = pytest.mark.once

SHOP = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN app.even AS int CHECK (VALUE % 2 = 0);
CREATE TABLE app.orgs (id int PRIMARY KEY, name text UNIQUE);
CREATE TABLE app.users (
    id int PRIMARY KEY, org_id int, email text, deleted_at timestamptz, mood app.mood, half int, spare int);
INSERT INTO app.orgs VALUES (1, 'one'), (2, 'two');
INSERT INTO app.users VALUES
    (1, 1, 'a@x', NULL, 'ok', 1, 1), (2, 1, 'A@x', NULL, 'ok', 2, 2), (3, 2, 'b@x', NULL, 'sad', NULL, 3),
    (4, 9, 'a@x', '2024-01-01', 'ok', -1, 4), (5, NULL, NULL, NULL, 'ok', 5, 5);
"""


def whatif(dsn: str, statement: str, **options: Any) -> Audit:
    settings = Settings.model_validate({"audit": {"settle": 0, **options}})
    target = Target(dsn, lock_timeout=settings.audit.lock_timeout)
    return Trial(settings, target, definition=parse(statement)).run()


def code(result: Audit) -> int:
    return result.exit_code("error", allow_incomplete=False)


# --- what it takes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("", "there is no statement"),
        (" -- nothing", "there is no statement"),
        ("SELECT 1", "expected CREATE UNIQUE INDEX or ALTER TABLE before 'select'"),
        ("DROP TABLE t; ALTER TABLE t ADD CHECK (true)", "more than one statement"),
        ("CREATE INDEX ON t (a)", "an index that is not UNIQUE asks nothing of the rows"),
        ("CREATE UNIQUE INDEX ON t", "expected the keys in parentheses before the end"),
        ("CREATE UNIQUE INDEX ON t (a", "expected a closing parenthesis before the end"),
        ("CREATE UNIQUE INDEX ON t ()", "expected the name of a column before the end"),
        ("CREATE UNIQUE INDEX ON t (a) garbage", "expected the end before 'garbage'"),
        ("CREATE UNIQUE INDEX ON t (a) WHERE", "expected a condition before the end"),
        ("CREATE UNIQUE INDEX s.i ON t (a)", "name it without a schema"),
        ("CREATE UNIQUE INDEX IF NOT EXISTS ON t (a)", "expected the name of the index before 'on'"),
        ("CREATE UNIQUE INDEX ON t (a b c d)", "expected the end of a key before 'c'"),
        (
            "ALTER TABLE t ADD COLUMN a int",
            "expected UNIQUE, PRIMARY KEY, FOREIGN KEY, CHECK or NOT NULL before 'column'",
        ),
        ("ALTER TABLE t ADD UNIQUE (a), ADD UNIQUE (b)", "more than one action"),
        ("ALTER TABLE t ADD EXCLUDE USING gist (r WITH &&)", "an exclusion constraint (EXCLUDE) is not supported"),
        ("ALTER TABLE t ADD PRIMARY KEY (a, r WITHOUT OVERLAPS)", "a key over periods"),
        ("ALTER TABLE t ADD FOREIGN KEY (a, PERIOD r) REFERENCES u", "a key over periods"),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u MATCH PARTIAL", "MATCH PARTIAL is not supported"),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u ON DELETE DROP", "expected NO ACTION, RESTRICT"),
        ("ALTER TABLE t ADD UNIQUE (lower(a))", "expected the key as a list of columns"),
        ("ALTER TABLE t ADD CHECK ()", "expected a condition"),
        ("ALTER TABLE t ALTER a DROP NOT NULL", "expected SET NOT NULL before 'drop'"),
        ("ALTER TABLE t RENAME TO u", "expected ADD before 'rename'"),
        ("CREATE UNIQUE INDEX ON t ('a", "never closed"),
        ("CREATE UNIQUE INDEX ON t (a) WHERE b = {{ x }}", "which is no SQL"),
    ],
)
def test_what_is_not_one_supported_statement_is_told(statement: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as raised:
        parse(statement)
    assert "name it without" in words or str(raised.value).endswith(SUPPORTED)


def test_every_clause_is_understood() -> None:
    made = parse(
        '/* a comment */ create UNIQUE index concurrently if not exists "I x" on only "S".T using btree'
        ' (lower(a) collate "C" text_pattern_ops desc nulls last, (b + 1), c asc, pg_catalog.upper(d)) include (e, "F")'
        " nulls not distinct with (fillfactor = 70) tablespace fast where a is null;"
    )
    assert (made.kind, made.name, made.table, made.include) == ("index", "I x", ("S", "t"), ("e", "F"))
    assert made.clauses == {"concurrently", "if not exists", "only", "nulls not distinct"}
    assert [(t.name, t.collation, t.opclass, t.order) for t in made.terms] == [
        (None, (None, "C"), (None, "text_pattern_ops"), "DESC NULLS LAST"),
        (None, None, None, ""),
        ("c", None, None, "ASC"),
        (None, None, None, ""),
    ]
    made = parse(
        "alter table if exists only s.t add constraint c foreign key (a, b) references u (x, y) match full"
        " on update cascade on delete set null (a) deferrable initially deferred not valid"
    )
    assert made.reference is not None
    assert (made.kind, made.name, made.columns) == ("foreign", "c", ("a", "b"))
    assert (made.reference.columns, made.reference.match, made.reference.set_columns) == (("x", "y"), "f", ("a",))
    assert (made.reference.on_delete, made.reference.on_update) == ("n", "c")
    assert made.clauses == {"only", "deferrable", "deferred", "not valid"}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE UNIQUE INDEX ON app.uses (id)", "there is no table app.uses; did you mean app.users?"),
        ("CREATE UNIQUE INDEX ON app.users (emial)", "app.users has no column emial; did you mean email?"),
        ("CREATE UNIQUE INDEX ON app.users (lower(emial))", 'column "emial" does not exist; did you mean email?'),
        ("CREATE UNIQUE INDEX ON app.users (lower(email, 1))", "function lower(text, integer) does not exist"),
        ("CREATE UNIQUE INDEX ON app.users (lowr(email))", "there is no function lowr()"),
        ("CREATE UNIQUE INDEX ON app.users (email) WHERE email", "must be type boolean"),
        ("CREATE UNIQUE INDEX ON app.users (email) WHERE id = $1", "holds $1, which has no value here"),
        ('CREATE UNIQUE INDEX ON app.users (id COLLATE "C")', "collations are not supported by type integer"),
        ('CREATE UNIQUE INDEX ON app.users (email COLLATE "de_nowhere")', "there is no collation de_nowhere"),
        ("CREATE UNIQUE INDEX ON app.users (email nothing_ops)", "there is no operator class nothing_ops"),
        ("ALTER TABLE app.users ADD CHECK (id > 'x')", "invalid input syntax"),
        ("ALTER TABLE app.users ADD FOREIGN KEY (org) REFERENCES app.orgs", "no column org; did you mean org_id?"),
        ("ALTER TABLE app.users ADD FOREIGN KEY (org_id) REFERENCES app.orgs (ids)", "no column ids; did you mean id?"),
        ("ALTER TABLE app.users ADD UNIQUE USING INDEX users_key", "has no index users_key; did you mean users_pkey?"),
        ("ALTER TABLE app.users VALIDATE CONSTRAINT users_pk", "no constraint users_pk; did you mean users_pkey?"),
    ],
)
def test_unknown_names_and_wrong_expressions_are_bad_input(database: Make, statement: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        whatif(database(SHOP), statement)


# --- the command -----------------------------------------------------------------------------------------------------


def test_holds(database: Make, tmp_path: Path) -> None:
    done = run_auditor("whatif", "CREATE UNIQUE INDEX ON app.users (spare)", database(SHOP), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "It would hold today: 5 rows of app.users read, none in the way" in done.stdout
    assert "    CREATE UNIQUE INDEX CONCURRENTLY users_spare_idx ON app.users (spare);" in done.stdout
    assert "1 finding (0 errors, 0 warnings, 1 info), 0 suppressed, 1 probe, 0 not checked" in done.stdout


def test_fails_and_says_which_rows(database: Make, tmp_path: Path) -> None:
    statement = "CREATE UNIQUE INDEX u ON app.users (lower(email)) WHERE deleted_at IS NULL"
    done = run_auditor("whatif", statement, database(SHOP), cwd=tmp_path)
    assert done.returncode == 1
    assert "✖ ERROR  It would fail (23505): 2 rows of app.users share 1 value of" in done.stdout
    assert "│   id\n│    1\n│    2\n" in done.stdout
    assert "The statement takes SHARE while it is" in done.stdout.replace("\n│ ", " ")
    assert "CREATE UNIQUE INDEX CONCURRENTLY u ON app.users (lower(email)) WHERE deleted_at IS NULL;" in done.stdout
    prose = [line for line in done.stdout.splitlines() if not line.startswith("    ")]
    assert max(map(width, prose)) <= 80
    assert "\x1b" not in done.stdout


def test_from_standard_input_to_several_reports(database: Make, tmp_path: Path) -> None:
    dsn = database(SHOP)
    done = subprocess.run(
        [sys.executable, "-m", "auditor", "whatif", "-", dsn, "-f", "json", "-f", "html:r.html", "-f", "markdown:r.md"],
        input="ALTER TABLE app.users\n  ADD CONSTRAINT org -- to be\n  FOREIGN KEY (org_id) REFERENCES app.orgs;\n",
        cwd=tmp_path,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    said = "ALTER TABLE app.users ADD CONSTRAINT org FOREIGN KEY (org_id) REFERENCES app.orgs;"
    assert report["run"]["options"]["whatif"] == said
    (finding,) = report["findings"]
    assert finding["evidence"]["sample"] == [{"id": "4", "org_id": "9"}]
    assert "It would fail (23503)" in (tmp_path / "r.html").read_text()
    assert "It would fail (23503)" in (tmp_path / "r.md").read_text()


def test_exit_codes(database: Make, tmp_path: Path) -> None:
    dsn = database(SHOP)
    assert run_auditor("whatif", "DROP TABLE app.users", dsn, cwd=tmp_path).returncode == 2
    unreachable = run_auditor("whatif", "ALTER TABLE t ADD CHECK (true)", "host=/nowhere", cwd=tmp_path)
    assert unreachable.returncode == 3
    reader = login(dsn)
    done = run_auditor("whatif", "ALTER TABLE app.users ADD CHECK (id > 0)", reader, cwd=tmp_path)
    assert done.returncode == 4
    assert "no USAGE on the schema of app.users" in done.stdout.replace("\n│     ", " ")


def test_samples_are_shown_as_asked(database: Make) -> None:
    dsn = database(SHOP)
    statement = "CREATE UNIQUE INDEX ON app.users (email)"
    samples = {
        policy: whatif(dsn, statement, samples=policy).findings[0].evidence for policy in ("none", "keys", "full")
    }
    assert [evidence.sample for evidence in samples.values() if evidence] == [
        (),
        ({"id": "1"}, {"id": "4"}),
        ({"id": "1", "email": "a@x"}, {"id": "4", "email": "a@x"}),
    ]


# --- what it does not look at ----------------------------------------------------------------------------------------


def test_not_valid_says_what_validate_would_find(database: Make, version: int) -> None:
    dsn = database(SHOP)
    result = whatif(dsn, "ALTER TABLE app.users ADD CONSTRAINT c CHECK (half > 0) NOT VALID")
    assert titles(result) == [
        "It would go through, NOT VALID; VALIDATE would fail (23514): 1 row of app.users breaks the CHECK"
    ]
    assert code(result) == 0
    result = whatif(dsn, "ALTER TABLE app.users ADD FOREIGN KEY (id) REFERENCES app.users NOT VALID")
    assert titles(result) == [
        "It would go through: NOT VALID: the rows that are there are not looked at; 5 rows read, none would break it"
    ]
    result = whatif(dsn, "ALTER TABLE app.users ADD CHECK (half > 0) NOT ENFORCED")
    assert titles(result) == [
        "It would go through, NOT ENFORCED, and 1 row of app.users breaks the CHECK"
        if version >= 18
        else "It would fail (42601): NOT ENFORCED exists from PostgreSQL 18 on"
    ]


def test_what_is_there_already(database: Make) -> None:
    dsn = database(SHOP)
    result = whatif(dsn, "CREATE UNIQUE INDEX IF NOT EXISTS users ON app.users (email)")
    assert titles(result) == [
        "It would do nothing: there is a relation users already, and IF NOT EXISTS takes it for this one"
    ]
    result = whatif(dsn, "ALTER TABLE app.users ALTER id SET NOT NULL")
    assert titles(result) == ["It would do nothing: app.users.id is NOT NULL already"]
    result = whatif(dsn, "CREATE UNIQUE INDEX users ON app.users (spare)")
    assert titles(result) == ["It would fail (42P07): there is already a relation app.users"]
    assert result.notes[0] == "the rows are not in the way: 5 rows of app.users read"
    assert code(result) == 1


FOREIGN = """
CREATE TABLE app.called (n int);
CREATE FUNCTION app.spy(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE FUNCTION public.lowered(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE OPERATOR app.=== (RIGHTARG = text, FUNCTION = app.spy);
"""


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE UNIQUE INDEX ON app.users (app.spy(email))", "a key calls app.spy()"),
        ("CREATE UNIQUE INDEX ON app.users (lowered(email))", "it calls lowered(), which is the code of its owner"),
        ('CREATE UNIQUE INDEX ON app.users ("lowered"(email))', "it calls lowered(), which is the code of its owner"),
        ("CREATE UNIQUE INDEX ON app.users (email) WHERE app.spy(email) = ''", "the condition calls app.spy()"),
        ("ALTER TABLE app.users ADD CHECK (OPERATOR(app.===) email = '')", "names an operator or a field"),
        ("ALTER TABLE app.users ADD CHECK (id::app.even = 2)", "the condition casts to app.even"),
        ("ALTER TABLE app.users ADD CHECK (CAST(id AS even) = 2)", "the condition casts to even"),
        ("ALTER TABLE app.users ADD CHECK (random() < 2)", "it calls a volatile function"),
        ("ALTER TABLE app.users ADD CHECK (email ~ 'x' AND pg_sleep(1) IS NULL)", "it calls a volatile function"),
        ("ALTER TABLE app.users ADD CHECK (app.orgs.id = 1)", "the condition names app.orgs.id"),
    ],
)
def test_foreign_code_is_not_run(database: Make, statement: str, words: str) -> None:
    result = whatif(database(SHOP, FOREIGN), statement)
    assert code(result) == 4
    (left,) = [entry for entry in result.coverage if entry.outcome == "not_checked"]
    assert left.reason == "unsafe_code"
    assert words in left.detail


CASTS = """
CREATE FUNCTION app.out(app.mood) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE CAST (app.mood AS text) WITH FUNCTION app.out AS IMPLICIT;
"""


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE UNIQUE INDEX ON app.users (lower(mood))",
        "ALTER TABLE app.users ADD CHECK ((email || mood) <> '')",
        "ALTER TABLE app.users ADD CHECK (id::text::app.mood = 'ok')",
        "ALTER TABLE app.users ADD FOREIGN KEY (mood) REFERENCES app.orgs (name)",
    ],
)
def test_casts_of_an_owner_are_not_run(database: Make, statement: str) -> None:
    result = whatif(database(SHOP, CASTS), statement)
    assert [entry.reason for entry in result.coverage] == ["unsafe_code"]
    assert code(result) == 4


def test_what_planning_would_run_is_not_planned(database: Make) -> None:
    """Under a superuser's login, that is: the owner of the table is nobody special."""
    calm = "CREATE FUNCTION app.spy(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END'"
    dsn = database(SHOP, calm)
    owner = login(dsn, "ALTER FUNCTION app.spy OWNER TO {role}", "GRANT ALL ON SCHEMA app TO {role}")
    name = str(psycopg.conninfo.conninfo_to_dict(owner)["user"])
    run(
        dsn,
        (
            f"ALTER TABLE app.users OWNER TO {name}",
            "CREATE INDEX ON app.users (id) WHERE app.spy('x') IS NULL AND false",
        ),
    )
    result = whatif(dsn, "ALTER TABLE app.users ADD CHECK (id > 0)")
    assert [entry.reason for entry in result.coverage] == ["unsafe_code"]


def test_a_subquery_is_refused(database: Make) -> None:
    result = whatif(database(SHOP), "ALTER TABLE app.users ADD CHECK (id IN (SELECT id FROM app.orgs))")
    assert titles(result) == ["It would fail (0A000): the condition holds a subquery"]
    assert code(result) == 1


def test_what_may_not_be_read_is_not_judged(database: Make) -> None:
    dsn = database(SHOP, "ALTER TABLE app.users ENABLE ROW LEVEL SECURITY")
    unprivileged = login(dsn, "GRANT USAGE ON SCHEMA app TO {role}", "GRANT SELECT ON app.users TO {role}")
    result = whatif(unprivileged, "ALTER TABLE app.users ADD CHECK (id > 0)")
    assert (code(result), result.coverage[0].reason) == (4, "row_security")
    result = whatif(unprivileged, "ALTER TABLE app.orgs ADD CHECK (id > 0)")
    assert (code(result), result.coverage[0].reason) == (4, "permission")
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE app.orgs")
        result = whatif(dsn, "ALTER TABLE app.orgs ADD CHECK (id > 0)", lock_timeout=0.2)
        assert (code(result), result.coverage[0].reason) == (4, "lock")
        # what is locked elsewhere does not matter
        assert code(whatif(dsn, "ALTER TABLE app.users ADD CHECK (id > 0)", lock_timeout=0.2)) == 0


def test_ignored_checks_and_missing_configuration_do_not_matter(database: Make, tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text('[[ignore]]\ncheck = "*"\nreason = "all of it"\n')
    done = run_auditor("whatif", "CREATE UNIQUE INDEX ON app.users (email)", database(SHOP), cwd=tmp_path)
    assert done.returncode == 1
    assert "0 suppressed" in done.stdout


# --- the statements it offers ----------------------------------------------------------------------------------------


def run(dsn: str, statements: tuple[str, ...], value: str = "1000 + id") -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(re.sub(r"/\* REPLACE.*?\*/", value, statement).encode())


def contents(dsn: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT u::text FROM app.users AS u ORDER BY 1").fetchall()


def keys(dsn: str) -> list[tuple[Any, ...]]:
    """Indexes and constraints of the table, with their names and definitions; NOT NULL by column."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'app' AND tablename = 'users' UNION ALL"
            " SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'app.users'::regclass"
            " AND contype <> 'n' UNION ALL SELECT attname, attnotnull::text FROM pg_attribute"
            " WHERE attrelid = 'app.users'::regclass AND attnum > 0 ORDER BY 1, 2"
        ).fetchall()


OLD = {
    "old_check": "ALTER TABLE app.users ADD CONSTRAINT old_check CHECK (half > 0) NOT VALID",
    "old_key": "ALTER TABLE app.users ADD CONSTRAINT old_key FOREIGN KEY (org_id) REFERENCES app.orgs NOT VALID",
}
BROKEN = [
    "CREATE UNIQUE INDEX made ON app.users (email)",
    "CREATE UNIQUE INDEX made ON app.users (lower(email) COLLATE \"C\" text_pattern_ops DESC, (mood = 'ok'::app.mood))",
    "CREATE UNIQUE INDEX CONCURRENTLY made ON app.users (lower(email)) INCLUDE (spare) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX made ON app.users ((true)) WHERE mood = 'sad' OR id = 1",
    "CREATE UNIQUE INDEX ON app.users (org_id)",
    "ALTER TABLE app.users ADD CONSTRAINT made UNIQUE (email)",
    "ALTER TABLE app.users ADD UNIQUE (org_id) INCLUDE (spare) DEFERRABLE INITIALLY DEFERRED",
    "ALTER TABLE app.users ADD CONSTRAINT made FOREIGN KEY (org_id) REFERENCES app.orgs ON DELETE SET NULL",
    "ALTER TABLE app.users ADD FOREIGN KEY (org_id) REFERENCES app.orgs MATCH FULL DEFERRABLE",
    "ALTER TABLE app.users ADD CONSTRAINT made CHECK (half > 0)",
    "ALTER TABLE app.users ADD CHECK (half > 0) NOT VALID",
    "ALTER TABLE app.users ALTER half SET NOT NULL",
    "ALTER TABLE app.users VALIDATE CONSTRAINT old_check",
    "ALTER TABLE app.users VALIDATE CONSTRAINT old_key",
]


@pytest.mark.parametrize("statement", BROKEN)
def test_fixes_make_it_hold_and_rollbacks_bring_the_rows_back(database: Make, statement: str) -> None:
    for number in range(3):
        dsn = database(SHOP, OLD.get(statement.split()[-1], ""))
        before = contents(dsn), keys(dsn)
        (finding,) = whatif(dsn, statement).findings
        assert finding.fixes[0].recommended
        if number >= len(finding.fixes):
            return
        fix = finding.fixes[number]
        if fix.title.startswith("Restore"):
            continue
        run(dsn, fix.sql)
        assert keys(dsn) != before[1]
        run(dsn, fix.rollback)
        assert contents(dsn) == before[0], fix.title
        if not re.search("ADD (UNIQUE|CHECK|FOREIGN)", statement) or fix.rollback:
            assert keys(dsn) == before[1], fix.title


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE UNIQUE INDEX made ON app.users (email, id) INCLUDE (spare) WHERE half IS NULL OR id > 1",
        "ALTER TABLE app.users ADD CONSTRAINT made UNIQUE (spare) INITIALLY DEFERRED",
        "ALTER TABLE app.bare ADD CONSTRAINT made PRIMARY KEY (a, b)",
        "ALTER TABLE app.bare ADD PRIMARY KEY (a, b) INCLUDE (c)",
        "ALTER TABLE app.users ADD CONSTRAINT made FOREIGN KEY (spare) REFERENCES app.users ON DELETE CASCADE",
        "ALTER TABLE app.users ADD CHECK (id > 0)",
        "ALTER TABLE app.users ALTER COLUMN spare SET NOT NULL",
    ],
)
def test_the_safer_statements_come_to_the_same(database: Make, statement: str) -> None:
    table = "CREATE TABLE app.bare (a int, b int, c int); INSERT INTO app.bare VALUES (1, 1, 1)"
    dsn, other = database(SHOP, table), database(SHOP, table)
    (finding,) = whatif(dsn, statement).findings
    assert finding.title.startswith("It would hold today")
    before = keys(dsn)
    run(dsn, finding.fixes[0].sql)
    run(other, (statement,))
    assert keys(dsn) == keys(other)
    run(dsn, finding.fixes[0].rollback)
    assert keys(dsn) == before


def test_of_a_primary_key_nulls_and_duplicates_are_two_findings(database: Make) -> None:
    dsn = database(SHOP, "ALTER TABLE app.users DROP CONSTRAINT users_pkey")
    result = whatif(dsn, "ALTER TABLE app.users ADD PRIMARY KEY (org_id, mood)")
    assert titles(result) == [
        "It would fail (23502): 1 row of app.users holds NULL in org_id",
        "It would fail (23505): 2 rows of app.users share 1 value of (org_id, mood)",
    ]


def test_the_rows_of_children_count_where_the_server_reads_them(database: Make) -> None:
    dsn = database(
        "CREATE TABLE parent (a int); CREATE TABLE child () INHERITS (parent);"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1), (NULL), (-1);"
    )
    assert code(whatif(dsn, "ALTER TABLE parent ADD UNIQUE (a)")) == 0
    assert titles(whatif(dsn, "ALTER TABLE parent ADD CHECK (a > 0)")) == [
        "It would fail (23514): 1 row of public.parent breaks the CHECK"
    ]
    assert code(whatif(dsn, "ALTER TABLE parent ADD CHECK (a > 0) NO INHERIT")) == 0
    (finding,) = whatif(dsn, "ALTER TABLE parent ALTER a SET NOT NULL").findings
    assert finding.title == "It would fail (23502): 1 row of public.parent holds NULL in a"
    assert finding.fixes == ()  # each table is another's to clean


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(database: Make, name: str) -> None:
    plain = ident(name)
    table, parent = qualified(name, name), qualified(name, "p" + name[:60])
    dsn = database(
        f"CREATE SCHEMA {plain}; CREATE TABLE {parent} ({plain} text PRIMARY KEY);"
        f"CREATE TABLE {table} ({plain} text, id int PRIMARY KEY); INSERT INTO {table} VALUES ('x', 1), ('x', 2), (NULL, 3);"
    )
    fresh = ident(("n" + name)[:20])
    found: list[Finding] = []
    for statement in (
        f"CREATE UNIQUE INDEX {fresh} ON {table} ({plain})",
        f"CREATE UNIQUE INDEX {fresh} ON {table} (lower({plain})) WHERE {table}.{plain} = 'x'",
        f"ALTER TABLE {table} ADD CONSTRAINT {fresh} FOREIGN KEY ({plain}) REFERENCES {parent}",
        f"ALTER TABLE {table} ADD CONSTRAINT {fresh} CHECK ({plain} <> 'x')",
        f"ALTER TABLE {table} ALTER {plain} SET NOT NULL",
    ):
        result = whatif(dsn, statement)
        assert code(result) == 1, statement
        found += result.findings
        jsonschema.validate(json.loads(json.dumps(to_json(result))), schema())
    assert [finding.evidence.violations for finding in found if finding.evidence] == [2, 2, 2, 2, 1]
    for finding in found:
        assert finding.title.replace("\n", "") == finding.title
        assert finding.evidence is not None
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert (
                len(connection.execute((finding.evidence.sql or "").encode()).fetchall()) == finding.evidence.violations
            )
            connection.execute("BEGIN")
            for text in (*finding.fixes[-2 if "23503" in finding.title else -1].sql,):
                if "CONCURRENTLY" not in text:
                    connection.execute(text.encode())
            connection.execute("ROLLBACK")
