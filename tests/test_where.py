"""`--where`: only the rows that were asked for are judged, and nobody can take them for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from auditor.audit import Audit
from auditor.check import Fix
from auditor.diff import compare
from auditor.errors import ConfigError
from auditor.history import History
from auditor.report import Options, render
from tests.conftest import Make
from tests.helpers import audit, run_auditor, titles

TABLES = """
    CREATE SCHEMA app;
    CREATE TABLE app.users (id int PRIMARY KEY);
    CREATE TABLE app.members (id int PRIMARY KEY, workspace_id int NOT NULL, user_id int, email text, deleted_at timestamptz);
    CREATE TABLE app.settings (id int PRIMARY KEY, user_id int);
    INSERT INTO app.users SELECT generate_series(1, 50);
    INSERT INTO app.members SELECT n, n % 5, n, 'm' || n FROM generate_series(1, 50) AS n;
    INSERT INTO app.settings VALUES (1, 999);
    UPDATE app.members SET user_id = 1000 + id WHERE id IN (2, 7, 3);  -- two of workspace 2, one of workspace 3
    UPDATE app.members SET email = 'twice' WHERE id IN (12, 13);       -- of workspaces 2 and 3
    UPDATE app.members SET email = 'again' WHERE id IN (14, 15);       -- of workspaces 4 and 0
    ALTER TABLE app.members ADD CONSTRAINT members_user FOREIGN KEY (user_id) REFERENCES app.users NOT VALID;
    ALTER TABLE app.settings ADD CONSTRAINT settings_user FOREIGN KEY (user_id) REFERENCES app.users NOT VALID;
"""
KEY = '[[unique]]\ntable = "app.members"\ncolumns = ["email"]\n'
ORPHANS = ["references/orphan-rows"]


def outcomes(result: Audit) -> dict[str, str]:
    return {entry.object.table: entry.outcome for entry in result.coverage}


def test_relations_count_these_rows_alone(database: Make) -> None:
    dsn = database(TABLES)
    whole = audit(dsn, select=ORPHANS)
    part = audit(dsn, select=ORPHANS, where=["workspace_id = 2"])
    (finding,) = part.findings
    assert finding.evidence is not None
    assert (finding.evidence.violations, finding.evidence.rows_examined) == (2, 10)
    assert finding.title == "2 rows of app.members point to 2 rows of app.users that do not exist"
    assert finding.fingerprint in {each.fingerprint for each in whole.findings}
    with psycopg.connect(dsn) as connection:
        found = connection.execute(f"SELECT id FROM app.members WHERE {finding.evidence.where} ORDER BY id".encode())
        assert [row[0] for row in found] == [2, 7]
    clean = audit(dsn, select=ORPHANS, where=["workspace_id = 1"])
    assert clean.findings == ()
    assert clean.exit_code("error", allow_incomplete=False) == 0


def test_what_is_clean_is_so_of_these_rows(database: Make) -> None:
    part = audit(database(TABLES), select=ORPHANS, where=["workspace_id = 1"])
    assert outcomes(part) == {"members": "passed", "settings": "skipped"}
    details = {entry.object.table: entry.detail for entry in part.coverage}
    assert details == {
        "members": "of the rows with workspace_id = 1",
        "settings": "--where asks for no row of app.settings",
    }
    assert part.notes[0].startswith(
        "only the rows that --where asks for were judged, and what is clean is so of them alone"
    )
    for name in ("terminal", "markdown", "html", "github", "junit"):
        assert "of the rows asked for" in " ".join(render(part, name, Options()).split()), name


def test_the_finding_and_its_fixes_say_so(database: Make) -> None:
    (finding,) = audit(database(TABLES), select=ORPHANS, where=["workspace_id = 2"]).findings
    assert finding.message.endswith("Only rows with workspace_id = 2 were judged.")
    said = "Only rows with workspace_id = 2 were judged: others may have it too, and stand in the way."
    assert finding.fixes
    assert all(isinstance(fix, Fix) and said in fix.caveats for fix in finding.fixes)


def test_a_repeated_key_is_one_that_these_rows_have_whoever_has_it_too(database: Make) -> None:
    dsn = database(TABLES)
    select = ["uniqueness/live-duplicates"]
    (whole,) = audit(dsn, KEY, select=select).findings
    (part,) = audit(dsn, KEY, select=select, where=["workspace_id = 2"]).findings
    assert whole.evidence is not None
    assert part.evidence is not None
    assert (whole.evidence.violations, part.evidence.violations) == (4, 2)
    with psycopg.connect(dsn) as connection:
        found = connection.execute(f"SELECT id FROM app.members WHERE {part.evidence.where} ORDER BY id".encode())
        assert [row[0] for row in found] == [12, 13]
    none = audit(dsn, KEY, select=select, where=["workspace_id = 1"]).findings
    assert [finding.evidence and finding.evidence.violations for finding in none] in ([], [0])


def test_a_predicate_is_judged_among_these_rows(database: Make) -> None:
    dsn = database(TABLES, "ALTER TABLE app.members ADD CONSTRAINT small CHECK (id < 10) NOT VALID")
    (finding,) = audit(dsn, select=["nullability/check-violated"], where=["workspace_id = 2"]).findings
    assert finding.evidence is not None
    assert (finding.evidence.violations, finding.evidence.rows_examined) == (8, 10)


def test_a_question_that_only_all_rows_can_answer_is_skipped(database: Make) -> None:
    """One that would find something where there is no row; a cycle; the sequence's next value."""
    dsn = database("""
        CREATE TABLE parents (id int PRIMARY KEY, tenant int);
        CREATE TABLE children (id serial PRIMARY KEY, tenant int, p int DEFAULT 1 REFERENCES parents ON DELETE SET DEFAULT);
        CREATE TABLE nodes (id int PRIMARY KEY, tenant int, parent int REFERENCES nodes);
        INSERT INTO parents VALUES (1, 1), (2, 2);
        INSERT INTO nodes VALUES (1, 1, 1);
        INSERT INTO children VALUES (7, 2, 2);
    """)
    checks = ["nullability/set-default-unsatisfiable", "references/reference-cycle", "foundations/sequence-behind"]
    part = audit(dsn, select=checks, where=["tenant = 2"])
    assert part.findings == ()
    assert {(entry.check, entry.outcome) for entry in part.coverage} == {(check, "skipped") for check in checks}
    assert all(entry.detail.endswith("only all can answer it") for entry in part.coverage)
    assert len(audit(dsn, select=checks).findings) == 2  # none of which is about the default: the row is there


def test_a_table_may_be_named(database: Make) -> None:
    dsn = database(TABLES)
    where = ["app.mem*: workspace_id::text = '2'", "app.settings: user_id > 0", "id <> 7"]
    part = audit(dsn, select=ORPHANS, where=where)
    assert titles(part) == [
        "1 row of app.members points to 1 row of app.users that does not exist",
        "1 row of app.settings points to 1 row of app.users that does not exist",
    ]
    assert "(workspace_id::text = '2') AND (id <> 7)" in part.notes[0]
    quoted = database('CREATE TABLE "a:b" ("c:d" int PRIMARY KEY)')
    assert audit(quoted, where=['"a:b": "c:d" = 1']).notes
    assert audit(quoted, where=['"c:d" = 1']).notes


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("workspce_id = 1", "no table in scope has all the columns that it names; did you mean workspace_id?"),
        ("1 = 1", "no table in scope has all the columns that it names"),
        ("app.memberz: workspace_id = 1", "no table in scope is called app.memberz; did you mean app.members?"),
        ("app.members: workspace_id = 'x'", "is no condition over app.members: invalid input syntax for type integer"),
        ("app.members: workspace_id", "is no condition over app.members: argument of WHERE must be type boolean"),
        ("app.members: workspace_id = 1 AND nothing = 2", 'column "nothing" does not exist'),
        ("workspace_id = 1) OR (true", "expected one condition"),
        ("workspace_id = 1; DROP TABLE app.users", "expected one condition"),
        ("workspace_id = 1 -- or not", "is no condition over"),
        ("workspace_id = app.mine()", "functions that only compute"),
        ("workspace_id = mine()", "functions that only compute"),
        ("workspace_id IN (SELECT 1)", "functions that only compute"),
        ("workspace_id OPERATOR(app.=) 1", "functions that only compute"),
        ("", "expected one condition"),
        ("app.members:", "expected one condition"),
    ],
)
def test_what_is_no_condition_is_told(database: Make, where: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        audit(database(TABLES), where=[where])
    assert str(caught.value).startswith(f"--where {where!r}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.once
def test_it_is_part_of_what_was_asked(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    whole, part = audit(dsn, select=ORPHANS), audit(dsn, select=ORPHANS, where=["workspace_id = 2"])
    assert part.run.options["where"] == ["workspace_id = 2"]
    result = compare(whole, part)
    assert [change.said for change in result.unchecked] == ["--where asks for no row of app.settings"]
    assert (result.fixed, result.bettered, result.worsened) == ((), (), ())
    assert any("different questions: where differs" in note for note in result.notes)
    none = compare(whole, audit(dsn, select=ORPHANS, where=["workspace_id = 1"]))
    assert "only some of the rows were judged (--where)" in [change.said for change in none.unchecked]
    assert none.fixed == ()
    past = History(str(tmp_path / "history.db"))
    past.record(whole)
    assert past.told(part).past == ()
    past.record(part)
    assert len(past.told(part).past) == 1
    known = replace(whole, findings=tuple(finding.but(status="known") for finding in whole.findings))
    assert compare(known, part).worse is False


@pytest.mark.once
def test_from_the_command_line(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    some = ("--select", ORPHANS[0], "--where", "workspace_id = 1")
    done = run_auditor("audit", dsn, *some, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "only the rows that --where asks for were judged" in " ".join(done.stdout.replace("│", " ").split())
    planned = run_auditor("plan", dsn, *some, cwd=tmp_path)
    assert "1 question about other rows than --where asks for would be skipped." in planned.stdout
    (tmp_path / "auditor.toml").write_text('[audit]\nwhere = ["workspace_id = 2"]\n')
    assert run_auditor("audit", dsn, "--select", ORPHANS[0], "-q", cwd=tmp_path).stdout.startswith("1 finding ")
    judged = run_auditor("whatif", "ALTER TABLE app.members ADD UNIQUE (email)", dsn, cwd=tmp_path)
    assert "4 rows" in judged.stdout  # all of them
