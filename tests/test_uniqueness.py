"""The uniqueness checks: their fixes work and can be taken back, what they say at each depth, with few privileges, of hostile names."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from auditor.audit import Audit
from auditor.catalog.model import Statement
from auditor.check import Confidence, Finding, Fix, Severity
from auditor.text import qualified
from tests.conftest import Make
from tests.helpers import audit, login, titles

CASES = sorted((Path(__file__).parent / "checks" / "uniqueness").glob("*.sql"))
# No statement makes an index invalid, or a valid one wrong: test_unique_keys.py.
ONE_WAY = {"uniqueness/invalid-unique-index", "uniqueness/unique-violated"}
State = tuple[object, ...]


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def state(dsn: str) -> State:
    """Every index, constraint and row of the database."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1"
        ).fetchall()
        rows = [
            (name, connection.execute(f"SELECT t::text FROM {name} AS t ORDER BY 1".encode()).fetchall())
            for (name,) in tables
        ]
        indexes = connection.execute(
            "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indrelid > 16384 ORDER BY 1"
        ).fetchall()
        constraints = connection.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE oid > 16384 ORDER BY 1, 2"
        ).fetchall()
    return rows, indexes, constraints


class Case:
    """A case file, loaded."""

    def __init__(self, path: Path, database: Make) -> None:
        text = path.read_text(encoding="utf-8")
        self.config = "\n".join(re.findall(r"^-- config: ?(.*)", text, re.MULTILINE))
        handed = "\n".join(re.findall(r"^-- handed over: ?(.*)", text, re.MULTILINE))
        self.statements = (Statement("queries.sql", 1, handed),) if handed else ()
        self.check = f"uniqueness/{path.stem.split('.')[0].replace('_', '-')}"
        self.dsn = database(text)

    def audit(self, **options: object) -> Audit:
        return audit(self.dsn, self.config, self.statements, select=["uniqueness"], **options)

    def fingerprints(self) -> set[str]:
        return {finding.fingerprint for finding in self.audit().findings}


@pytest.mark.fixes
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_fix_ends_its_finding_and_its_rollback_brings_it_back(path: Path, database: Make, version: int) -> None:
    since = int(path.stem.partition(".")[2] or 0)
    if version < since:
        pytest.skip(f"for PostgreSQL {since} and later")
    case = Case(path, database)
    findings = case.audit().findings
    before = {finding.fingerprint for finding in findings}
    whole = state(case.dsn)
    tried = untried = 0
    for finding in findings:
        if finding.check in ONE_WAY:
            untried += 1
            continue
        assert [fix.recommended for fix in finding.fixes].count(True) == 1, finding.title
        assert finding.fixes[0].recommended
        for fix in finding.fixes:
            assert all(statement.endswith(";") and "\n" not in statement for statement in (*fix.sql, *fix.rollback))
            assert fix.sql or fix.caveats
            assert bool(fix.locks) == bool(fix.sql)
            if any("REPLACE with" in statement for statement in fix.sql):
                untried += 1
                continue
            if fix.sql:
                tried += 1
                run(case.dsn, *fix.sql)
                judge(case, finding, fix, before)
                run(case.dsn, *fix.rollback)
                assert state(case.dsn) == whole, (finding.title, fix.title)
    assert case.fingerprints() == before
    assert tried >= (len(findings) - untried) // 2


def judge(case: Case, finding: Finding, fix: Fix, before: set[str]) -> None:
    """The finding is gone, and no other came; where the fix says that a statement has to change, its new form runs."""
    clause = next((found[1] for c in fix.caveats if (found := re.search(r" to (ON CONFLICT .*): else", c))), None)
    if clause is not None:
        table = qualified(finding.related[0].schema, finding.related[0].table)
        with psycopg.connect(case.dsn) as connection:
            connection.execute(f"EXPLAIN INSERT INTO {table} DEFAULT VALUES {clause} DO NOTHING".encode())
        return
    after = {other.fingerprint: other for other in case.audit().findings}
    if fix.title.startswith("Move the deleted rows"):  # which frees their values, and changes no key
        assert after.pop(finding.fingerprint).severity is Severity.WARNING
    assert finding.fingerprint not in after, fix.title
    for new in (after[name].title for name in after.keys() - before):
        reused = any(caveat.startswith("Deleted rows") for caveat in fix.caveats) and "deleted row" in new.lower()
        relying = any(f"{word} relies on" in caveat for word in new.split() for caveat in fix.caveats)
        # A key that the rows stood in the way of is made; what NULL lets into it is the next thing to look at.
        loophole = new.endswith("lets them in") and "unique index" in fix.title
        assert reused or relying or loophole, (new, fix.title)


# --- replacing a key -------------------------------------------------------------------------------------------------

CONNECTIONS = """
CREATE SCHEMA app;
CREATE TABLE app.connections (id int PRIMARY KEY, org int, account text COLLATE "C", note text, deleted_at timestamptz);
INSERT INTO app.connections VALUES (1, 1, 'a', NULL, now()), (2, 1, 'b', NULL, NULL);
"""
BLOCKS = ["uniqueness/soft-delete-blocks-reuse"]


def recommended(result: Audit) -> Fix:
    (finding,) = result.findings
    return next(fix for fix in finding.fixes if fix.recommended)


def test_a_constraint_is_dropped_as_a_constraint_and_an_index_as_an_index(database: Make) -> None:
    dsn = database(CONNECTIONS, "ALTER TABLE app.connections ADD CONSTRAINT one UNIQUE (org, account)")
    assert recommended(audit(dsn, select=BLOCKS)).sql == (
        "CREATE UNIQUE INDEX CONCURRENTLY one_live ON app.connections (org, account) WHERE deleted_at IS NULL;",
        "ALTER TABLE app.connections DROP CONSTRAINT one;",
    )
    dsn = database(CONNECTIONS, "CREATE UNIQUE INDEX one ON app.connections (org, account)")
    assert recommended(audit(dsn, select=BLOCKS)).sql[1] == "DROP INDEX CONCURRENTLY app.one;"


def test_after_the_fix_the_values_of_a_deleted_row_can_be_inserted_again(database: Make) -> None:
    dsn = database(CONNECTIONS, "ALTER TABLE app.connections ADD CONSTRAINT one UNIQUE (org, account)")
    again = "INSERT INTO app.connections VALUES (3, 1, 'a')"
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(dsn, again)
    run(dsn, *recommended(audit(dsn, select=BLOCKS)).sql, again)
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(dsn, "INSERT INTO app.connections VALUES (4, 1, 'a')")


def test_collation_operator_class_and_included_columns_are_kept(database: Make, version: int) -> None:
    nulls = " NULLS NOT DISTINCT" if version >= 15 else ""
    index = (
        'CREATE UNIQUE INDEX one ON app.connections (account text_pattern_ops, lower(note) COLLATE "POSIX", org)'
        f" INCLUDE (id){nulls} WHERE (org > 0)"
    )
    dsn = database(CONNECTIONS, index)
    whole = state(dsn)
    fix = recommended(audit(dsn, select=BLOCKS))
    run(dsn, *fix.sql)
    with psycopg.connect(dsn) as connection:
        (made,) = connection.execute("SELECT pg_get_indexdef('app.one_live'::regclass)").fetchall()
    assert made[0] == (
        "CREATE UNIQUE INDEX one_live ON app.connections USING btree (account text_pattern_ops,"
        f' lower(note) COLLATE "POSIX", org) INCLUDE (id){nulls} WHERE ((org > 0) AND (deleted_at IS NULL))'
    )
    run(dsn, *fix.rollback)
    assert state(dsn) == whole


def test_upserts_that_rely_on_the_old_key_are_named_and_told_what_to_say(database: Make) -> None:
    dsn = database(
        CONNECTIONS,
        "ALTER TABLE app.connections ADD CONSTRAINT one UNIQUE (org, account)",
        "CREATE FUNCTION app.put() RETURNS void LANGUAGE sql AS 'INSERT INTO app.connections (org, account) VALUES (1, $$a$$)"
        " ON CONFLICT (account, org) DO UPDATE SET note = NULL'",
        "CREATE FUNCTION app.named() RETURNS void LANGUAGE sql AS 'INSERT INTO app.connections (org) VALUES (1)"
        " ON CONFLICT ON CONSTRAINT one DO NOTHING'",
        "CREATE FUNCTION app.careful() RETURNS void LANGUAGE sql AS 'INSERT INTO app.connections (org) VALUES (1)"
        " ON CONFLICT (org, account) WHERE deleted_at IS NULL DO NOTHING'",
        "CREATE FUNCTION app.whatever() RETURNS void LANGUAGE sql AS 'INSERT INTO app.connections (org) VALUES (1)"
        " ON CONFLICT DO NOTHING'",
    )
    result = audit(dsn, select=BLOCKS)
    said = " ".join(recommended(result).caveats)
    assert (
        "app.put() relies on this constraint with ON CONFLICT (account, org) (line 1 of its body): change it to" in said
    )
    assert "to ON CONFLICT (org, account) WHERE deleted_at IS NULL after" in said
    assert "app.named() relies" in said
    assert "careful" not in said
    assert "whatever" not in said
    assert "app.put() upserts on this key: it changes the deleted row" in result.findings[0].message
    run(dsn, *recommended(result).sql)
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.InvalidColumnReference):
        connection.execute("SELECT app.put()")


def test_a_foreign_key_that_rests_on_the_key_rules_the_partial_index_out(database: Make) -> None:
    dsn = database(
        CONNECTIONS,
        "ALTER TABLE app.connections ADD CONSTRAINT one UNIQUE (org, account)",
        "CREATE TABLE app.uses (org int, account text, CONSTRAINT uses_fk FOREIGN KEY (org, account)"
        " REFERENCES app.connections (org, account))",
    )
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.DependentObjectsStillExist):
        connection.execute("ALTER TABLE app.connections DROP CONSTRAINT one")
    (finding,) = audit(dsn, select=BLOCKS).findings
    assert "uses_fk of app.uses rests on this constraint" in finding.fixes[0].caveats[0]
    assert not any("DROP" in sql for fix in finding.fixes for sql in fix.sql)


def test_partitioned_tables_get_what_they_can_have(database: Make) -> None:
    dsn = database(
        "CREATE TABLE p (site int, name text, deleted_at timestamptz, CONSTRAINT one UNIQUE (site, name)) PARTITION BY LIST (name);"
        "CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a'); CREATE TABLE p_b PARTITION OF p FOR VALUES IN ('b');"
        "ALTER TABLE p ADD COLUMN ref text; INSERT INTO p VALUES (1, 'a', now())"
    )
    whole = state(dsn)
    result = audit(dsn, select=BLOCKS)
    assert titles(result) == [
        "1 deleted row of public.p holds its (site, name): the same values cannot be inserted again"
    ]
    fix = recommended(result)
    run(dsn, *fix.sql)
    assert titles(audit(dsn, select=BLOCKS)) == []
    run(dsn, *fix.rollback)
    assert state(dsn)[0] == whole[0]
    assert titles(audit(dsn, select=BLOCKS)) == titles(result)


# --- duplicates ------------------------------------------------------------------------------------------------------


def test_of_duplicates_the_referenced_row_stays_else_the_latest_else_the_highest_key(database: Make) -> None:
    dsn = database(
        """CREATE TABLE people (id int PRIMARY KEY, email text, updated_at timestamptz);
        CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES people);
        INSERT INTO people VALUES (1, 'a', '2024-01-01'), (2, 'a', '2024-02-01'), (3, 'b', '2024-02-01'), (4, 'b', '2024-01-01'),
            (5, 'c', '2024-01-01'), (6, 'c', '2024-01-01'), (7, 'd', NULL), (8, 'd', '2024-01-01'), (9, NULL, NULL), (10, NULL, NULL);
        INSERT INTO posts VALUES (1, 1)"""
    )
    run(
        dsn,
        *recommended(
            audit(dsn, '[[unique]]\ntable = "people"\ncolumns = ["email"]', select=["uniqueness/live-duplicates"])
        ).sql,
    )
    with psycopg.connect(dsn) as connection:
        left = [row[0] for row in connection.execute("SELECT id FROM people ORDER BY id").fetchall()]
    assert left == [1, 3, 6, 8, 9, 10]


def test_where_rows_can_end_they_are_ended_and_not_deleted(database: Make) -> None:
    dsn = database(
        "CREATE TABLE keys (id int PRIMARY KEY, project int, network text, is_active boolean NOT NULL DEFAULT true, revoked_at timestamptz);"
        "INSERT INTO keys VALUES (1, 1, NULL), (2, 1, 'default'), (3, 2, NULL)"
    )
    config = (
        '[[unique]]\ntable = "keys"\ncolumns = ["project", "coalesce(network, \'default\')"]\n'
        'where = "is_active AND revoked_at IS NULL"'
    )
    (finding,) = audit(dsn, config, select=["uniqueness"]).findings
    assert [fix.title for fix in finding.fixes] == [
        "End the others (is_active = FALSE), and build a unique index over (project, (coalesce(network, 'default')))",
        "Clear the duplicates away, keeping a copy, and build a unique index over (project, (coalesce(network, 'default')))",
    ]
    run(dsn, *finding.fixes[0].sql)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT id, is_active FROM keys ORDER BY id").fetchall() == [(1, False), (2, True), (3, True)]  # fmt: skip


def test_the_rows_in_the_way_are_those_the_index_build_fails_over(database: Make) -> None:
    dsn = database(
        "CREATE TABLE keys (id int PRIMARY KEY, project int, network text, revoked_at timestamptz);"
        "INSERT INTO keys SELECT n, n % 7, CASE WHEN n % 3 = 0 THEN 'default' WHEN n % 5 = 0 THEN 'x' END,"
        " CASE WHEN n % 4 > 0 THEN now() END FROM generate_series(1, 60) AS n"
    )
    config = '[[unique]]\ntable = "keys"\ncolumns = ["project", "coalesce(network, \'default\')"]\nwhere = "revoked_at IS NULL"'
    index = "CREATE UNIQUE INDEX one ON keys (project, coalesce(network, 'default')) WHERE revoked_at IS NULL"
    (finding,) = audit(dsn, config, select=["uniqueness"]).findings
    assert finding.evidence is not None
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(dsn, index)
    with psycopg.connect(dsn, autocommit=True) as connection:
        deleted = connection.execute(f"DELETE FROM keys WHERE {finding.evidence.where}".encode()).rowcount
        assert deleted == finding.evidence.violations
        connection.execute(index.encode())
    assert titles(audit(dsn, config, select=["uniqueness"])) == []


def test_what_is_said_twice_of_one_object_is_one_finding_as_grave_as_the_gravest(database: Make) -> None:
    """Two upserts of one function into the same columns: of the first it is guessed which table it means."""
    dsn = database("""
        CREATE SCHEMA s;
        CREATE TABLE s.t (id int PRIMARY KEY, a int);
        CREATE TABLE public.t (x int PRIMARY KEY);
        INSERT INTO s.t VALUES (1, 1), (2, 1);
        CREATE FUNCTION s.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO t (id, a) VALUES (3, 1) ON CONFLICT (a) WHERE a > 1 DO NOTHING;
            INSERT INTO s.t (id, a) VALUES (3, 1) ON CONFLICT (a) DO NOTHING; END $$;
    """)
    result = audit(dsn, select=["uniqueness/on-conflict-without-arbiter"])
    (finding,) = result.findings
    assert (finding.severity, finding.confidence) == (Severity.ERROR, Confidence.PROVEN)
    first = "s.f() fails: no unique index of s.t serves ON CONFLICT (a)"
    assert finding.title == f"{first}; 2 rows of s.t share 1 value"
    assert finding.message.endswith(f" And: {first} WHERE a > 1.")
    assert finding.evidence is not None
    assert finding.evidence.violations == 2
    assert [(entry.outcome, entry.object) for entry in result.coverage] == [("failed", finding.object)]


def test_one_defect_is_reported_once(database: Make) -> None:
    dsn = database(
        """CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE user_settings (id int PRIMARY KEY, user_id int REFERENCES users);
        CREATE FUNCTION put() RETURNS void LANGUAGE sql AS 'INSERT INTO user_settings VALUES (1, 1) ON CONFLICT (user_id) DO NOTHING';
        CREATE TABLE people (id int PRIMARY KEY, email text, deleted_at timestamptz, UNIQUE (email, deleted_at));
        INSERT INTO people VALUES (1, 'a'), (2, 'a')"""
    )
    result = audit(dsn, '[[unique]]\ntable = "people"\ncolumns = ["email"]', select=["uniqueness"])
    assert {finding.check for finding in result.findings} == {
        "uniqueness/on-conflict-without-arbiter",
        "uniqueness/soft-delete-in-key",
    }
    (alone,) = audit(dsn, select=["uniqueness/one-to-one-not-unique"]).findings
    assert alone.severity == "error"


# --- depths, privileges, other people's code ---------------------------------------------------------------------------


def test_what_the_catalog_tells_needs_no_rows(database: Make) -> None:
    case = Case(Path(__file__).parent / "checks" / "uniqueness" / "on_conflict_without_arbiter.sql", database)
    shallow = case.audit(depth="catalog")
    assert {f.fingerprint for f in shallow.findings if f.check == case.check} == {
        f.fingerprint for f in case.audit().findings if f.check == case.check
    }
    assert shallow.summary.rows_examined == 0
    assert all(f.evidence is None or f.evidence.violations is None for f in shallow.findings)


def test_a_role_without_select_is_told_what_the_catalog_tells(database: Make) -> None:
    dsn = database(
        CONNECTIONS,
        "ALTER TABLE app.connections ADD CONSTRAINT one UNIQUE (org, account)",
        "CREATE FUNCTION app.put() RETURNS void LANGUAGE sql AS 'INSERT INTO app.connections (org) VALUES (1) ON CONFLICT (org) DO NOTHING'",
    )
    result = audit(login(dsn, "GRANT USAGE ON SCHEMA app TO {role}"), select=["uniqueness"])
    assert titles(result) == [
        "Deleted rows of app.connections will hold their (org, account): the same values could not be inserted again",
        "app.put() fails: no unique index of app.connections serves ON CONFLICT (org)",
    ]
    assert {entry.reason for entry in result.coverage if entry.outcome == "not_checked"} == {"permission"}


@pytest.mark.parametrize(
    ("target", "predicate"),
    [
        ("(public.spy(note))", ""),
        ("org", "WHERE public.spy(note) = 'x'"),
        ("org", "WHERE pg_read_file('/etc/passwd') = note"),
        ("org", "WHERE note OPERATOR(pg_catalog.=) pg_sleep(60)::text"),
        ("org", "WHERE EXISTS (SELECT 1)"),
    ],
)
def test_code_that_a_function_names_is_not_run(target: str, predicate: str, database: Make) -> None:
    dsn = database(
        CONNECTIONS,
        "CREATE FUNCTION spy(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION USING ERRCODE = ''XX123''; END'",
        "CREATE UNIQUE INDEX one ON app.connections (lower(note))",
        f"CREATE FUNCTION app.put() RETURNS void LANGUAGE plpgsql AS $$BEGIN INSERT INTO app.connections (org) VALUES (1)"
        f" ON CONFLICT ({target}) {predicate} DO NOTHING; END$$",
    )
    result = audit(dsn, select=["uniqueness/on-conflict-without-arbiter"])
    assert all(f.evidence is None or f.evidence.violations is None for f in result.findings)
    assert len(result.findings) + result.summary.not_checked == 1
    assert result.summary.rows_examined == 0


def test_functions_of_the_tables_own_indexes_are_recognised(database: Make) -> None:
    dsn = database(
        CONNECTIONS,
        "CREATE FUNCTION app.norm(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)'",
        "CREATE UNIQUE INDEX one ON app.connections (app.norm(account))",
        "CREATE FUNCTION app.put() RETURNS void LANGUAGE sql SET search_path = app AS"
        " 'INSERT INTO connections (org) VALUES (1) ON CONFLICT (norm(account)) DO NOTHING'",
        "CREATE FUNCTION app.other() RETURNS void LANGUAGE sql SET search_path = app AS"
        " 'INSERT INTO connections (org) VALUES (1) ON CONFLICT (norm(note)) DO NOTHING'",
    )
    result = audit(dsn, select=["uniqueness/on-conflict-without-arbiter"])
    assert titles(result) == [
        "app.other() fails: no unique index of app.connections serves ON CONFLICT (norm(note))",
    ]
    assert result.summary.not_checked == 0


# --- which table is meant, what cannot be judged ------------------------------------------------------------------------


def coverage(result: Audit) -> list[tuple[str, str]]:
    return sorted(
        (entry.object.name, entry.outcome) for entry in result.coverage if entry.check.endswith("without-arbiter")
    )


def test_names_mean_what_they_mean_in_the_function(database: Make) -> None:
    dsn = database(
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (k int UNIQUE, x int); CREATE TABLE b.t (x int UNIQUE, k int);"
        "CREATE TABLE only_one (x int UNIQUE); ALTER TABLE only_one SET SCHEMA b; CREATE VIEW v AS SELECT * FROM a.t;"
        + "".join(
            f"CREATE FUNCTION {name} RETURNS void LANGUAGE plpgsql {path} AS $$BEGIN INSERT INTO {table} VALUES (1)"
            f" ON CONFLICT (x) DO NOTHING; END$$;"
            for name, path, table in [
                ("a.own_schema()", "", "t"),
                ("a.own_path()", "SET search_path = b, a", "t"),
                ("a.empty_path()", "SET search_path = ''", "t"),
                ("a.quoted_path()", 'SET search_path = "$user", "b"', "t"),
                ("a.qualified()", "", "B.T"),
                ("single()", "", "only_one"),
                ("two_of_them()", "", "t"),
                ("view()", "", "v"),
                ("nowhere()", "", "nothing"),
            ]
        )
    )
    result = audit(dsn, select=["uniqueness/on-conflict-without-arbiter"])
    assert coverage(result) == [
        ("empty_path()", "not_checked"),
        ("nowhere()", "not_checked"),
        ("own_path()", "passed"),
        ("own_schema()", "failed"),
        ("qualified()", "passed"),
        ("quoted_path()", "passed"),
        ("single()", "passed"),
        ("two_of_them()", "not_checked"),
        ("view()", "failed"),
    ]
    assert result.run.status == "incomplete"


def test_what_is_put_together_at_run_time_is_not_checked_and_said(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (x int); CREATE FUNCTION f(n text) RETURNS void LANGUAGE plpgsql AS $$BEGIN\n"
        "EXECUTE format('INSERT INTO %I VALUES (1) ON CONFLICT (x) DO NOTHING', n); END$$"
    )
    result = audit(dsn, select=["uniqueness/on-conflict-without-arbiter"])
    assert [(e.outcome, e.reason, e.detail) for e in result.coverage] == [
        ("not_checked", "unsupported", "ON CONFLICT in line 2 of its body: it is put together at run time")
    ]


def test_the_finding_of_a_file_names_the_line_and_its_fingerprint_does_not(database: Make) -> None:
    dsn = database("CREATE TABLE t (x int)")
    text = "INSERT INTO t VALUES (1) ON CONFLICT (x) DO NOTHING;"

    def finding(prefix: str) -> Finding:
        statements = (Statement("/somewhere/app/queries.sql", 1, prefix + text),)
        return audit(dsn, "", statements, select=["uniqueness/on-conflict-without-arbiter"]).findings[0]

    assert finding("").fingerprint == finding("\n\n").fingerprint
    assert "Line 3 of queries.sql" in finding("\n\n").message
    assert finding("").object.name == "queries.sql"


def test_hostile_names_pass_through(database: Make) -> None:
    name = 'a"b%s\n\x1b[31m<script>\u202e\u00e4' + "\u00fc" * 10
    quoted = '"' + name.replace('"', '""') + '"'
    key = quoted[:-1] + 'k"'
    dsn = database(
        f"CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} text, deleted_at timestamptz, CONSTRAINT {key} UNIQUE ({quoted}));"
        f"INSERT INTO {quoted}.{quoted} VALUES ('x', now()), ('y', NULL);"
        f"CREATE FUNCTION {quoted}.{quoted}() RETURNS void LANGUAGE plpgsql AS $$BEGIN INSERT INTO {quoted}.{quoted} VALUES (1)"
        f" ON CONFLICT ({quoted}) WHERE {quoted} = 'x' DO UPDATE SET {quoted} = 'x';"
        f" INSERT INTO {quoted} VALUES (1) ON CONFLICT ({quoted}, deleted_at) WHERE {quoted} <> 'x' DO NOTHING; END$$;"
    )
    result = audit(dsn, select=["uniqueness"], ignore=["uniqueness/no-unique-key"])
    assert sorted(finding.check for finding in result.findings) == [
        "uniqueness/on-conflict-without-arbiter",
        "uniqueness/soft-delete-blocks-reuse",
    ]
    assert result.summary.not_checked == 0
    whole = state(dsn)
    for finding in result.findings:
        fix = next(fix for fix in finding.fixes if fix.recommended)
        run(dsn, *fix.sql)
        run(dsn, *fix.rollback)
        assert state(dsn) == whole


# --- what marks a deleted row, what is random --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "row", "said", "severity"),
    [
        ("deleted_at timestamptz", "now()", "deleted_at is a timestamp with time zone that may be NULL", Severity.ERROR),
        ("discarded_at date", "now()", "discarded_at is a date that may be NULL", Severity.ERROR),
        ("is_deleted boolean", "true", "is_deleted is a boolean", Severity.ERROR),
        ("state text CONSTRAINT words CHECK (state IN ('a', 'deleted'))", "'deleted'", "state may be 'deleted': the CHECK words admits it", Severity.WARNING),
        ("team_status text", "'Deleted'", "team_status may be 'Deleted': rows hold it", Severity.WARNING),
        ("active boolean, revoked_at date", "true, now()", "active and revoked_at together say whether a row is in force", Severity.WARNING),
    ],
)  # fmt: skip
def test_the_finding_says_what_tells_a_deleted_row(
    columns: str, row: str, said: str, severity: Severity, database: Make
) -> None:
    dsn = database(f"CREATE TABLE teams (name text UNIQUE, {columns}); INSERT INTO teams VALUES ('a', {row})")
    (finding,) = audit(dsn, select=BLOCKS).findings
    assert f"is inferred: {said}. [soft_delete.tables] in the configuration settles it." in finding.message
    assert (finding.severity, finding.confidence) == (severity, Confidence.SUSPECTED)
    again = "INSERT INTO teams (name) VALUES ('a')"
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(dsn, again)
    run(dsn, *recommended(audit(dsn, select=BLOCKS)).sql, again)
    if "revoked_at" not in columns:  # a row without a mark is live, and only one may have the name
        with pytest.raises(psycopg.errors.UniqueViolation):
            run(dsn, again)
    for nothing in ("{}", '{ name = "IS NULL" }'):
        config = f'[soft_delete.tables]\n"public.teams" = {nothing}\n'
        assert audit(dsn, config, select=BLOCKS).findings == ()


def test_without_rows_nothing_is_said_of_words_and_of_what_rows_would_decide(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE sites (name text UNIQUE, status text CHECK (status IN ('a', 'deleted')));
        CREATE TABLE teams (name text UNIQUE, status text);
        CREATE TABLE grants (name text UNIQUE, active boolean, revoked_at date);
        CREATE TABLE links (key text UNIQUE, deleted_at date);
        CREATE TABLE boxes (name text UNIQUE, deleted_at date);
        """
    )
    result = audit(dsn, select=BLOCKS, depth="catalog")
    assert [finding.object.table for finding in result.findings] == ["boxes"]
    assert {(e.object.table, e.outcome) for e in result.coverage} == {
        ("sites", "skipped"), ("teams", "skipped"), ("grants", "skipped"), ("links", "skipped"), ("boxes", "failed"),
    }  # fmt: skip
    # Of no rows none is deleted; of no rows none is random.
    assert [f.object.table for f in audit(dsn, select=BLOCKS).findings] == ["boxes", "links"]


@pytest.mark.parametrize(
    ("values", "random"),
    [
        ("md5(n::text)", True),
        ("'inv_' || substr(md5(n::text), 1, 16)", True),
        ("CASE WHEN n % 3 = 0 THEN md5(n::text) END", False),  # nothing is known of the NULLs
        ("CASE n WHEN 7 THEN 'chosen' ELSE md5(n::text) END", False),
        ("substr(md5(n::text), 1, 15)", False),
        ("'feature-rollout-' || n", False),
        ("'tenant/' || n || '/' || md5(n::text) || '.png'", False),
        ("'CATEGORY2024NUMBER' || n", False),
        ("'github_pat_' || substr(md5(n::text), 1, 22)", True),
        ("substr(translate(encode(sha256(n::text::bytea), 'base64'), E'\\n+/=', ''), 1, 16)", True),
        ("(ARRAY['acme','globex','initech'])[1 + n % 3] || '-2024-0101-' || lpad(n::text, 6, '0')", False),
        ("lpad(n::text, 20, '0')", False),
        ("(ARRAY['q1','plan2','v3release4'])[1 + n % 3] || 'model2024rev' || n", False),
    ],
)
def test_a_key_is_random_when_all_its_rows_look_so(values: str, random: bool, database: Make) -> None:
    dsn = database(
        "CREATE TABLE links (key text UNIQUE, deleted_at date);"
        f"INSERT INTO links SELECT {values}, now() FROM generate_series(1, 90) AS n"
    )
    assert bool(audit(dsn, select=BLOCKS).findings) is not random
    if values.startswith("CASE WHEN"):
        run(dsn, "ANALYZE")
        assert audit(dsn, select=BLOCKS).findings == ()


def test_words_hold_quotes_and_a_status_says_deleted_to_other_checks_too(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE "o'teams" (id int PRIMARY KEY, name text, "status" text NOT NULL CHECK ("status" IN ('it''s', 'deleted')));
        CREATE TABLE posts (id int PRIMARY KEY, team int REFERENCES "o'teams" ON DELETE CASCADE);
        INSERT INTO "o'teams" VALUES (1, 'a', 'it''s'), (2, 'a', 'deleted'), (3, 'b', 'it''s');
        INSERT INTO posts VALUES (1, 2);
        """
    )
    config = "[[unique]]\ntable = '''\"o'teams\"'''\ncolumns = [\"name\"]\n"
    assert titles(audit(dsn, config, select=["uniqueness", "references/soft-deleted-parent"])) == [
        '1 row of public.posts belongs to 1 deleted row of public."o\'teams"',
        'No unique index keeps name of public."o\'teams" apart (no duplicates stand in the way of one)',
    ]
