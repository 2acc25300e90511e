"""The other checks of references: fixes that mend and roll back, cycles against a plain oracle, what the configuration says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auditor.check import Confidence, Severity
from auditor.config import load
from auditor.errors import ConfigError
from auditor.probe import Cycles
from auditor.probe.textbook import Samples, ask
from tests.conftest import Make
from tests.helpers import audit, titles
from tests.test_references import Bench, Case, about, run

CASES = Path(__file__).parent / "checks"
MINE = (
    "references/partial_reference",
    "references/duplicate_fk",
    "references/fk_type_mismatch",
    "references/reference_cycle",
    "references/soft_deleted_parent",
    "references/polymorphic_orphans",
    "references/cross_tenant_reference",
    "nullability/cascade_cancelled",
)
FILES = sorted(path for name in MINE for path in CASES.glob(f"{name}*.sql"))
QUICK = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# What the human who reads the report fills in, by column.
FILLED_IN = {
    "hall": "1",
    "subject_type": "'Post'",
    "taggable_type": "'users'",
    "parent_id": "10",
    "manager": "2",
    '"parent of"': "NULL",
    "broader": "6",
    "parent_category_id": "NULL",
    "blocked_by": "6",
    "aisle": "5",
    "seat": "1",
    "tenant_id": "1",
    "project_id": "1",
    '"A a"': "1",
    '"b""b"': "'x'",
    '"%s"': "'2024-01-01'",
}


@pytest.fixture
def bench(database: Make) -> Iterator[Bench]:
    made = Bench(database())
    yield made
    made.close()


@pytest.mark.fixes
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fixes_mend_and_roll_back(path: Path, database: Make, version: int) -> None:
    """Each fix, on a copy of the case: its finding is gone afterwards, and back after the rollback."""
    since = int(path.stem.partition(".")[2] or 0)
    if version < since:
        pytest.skip(f"for PostgreSQL {since} and later")
    case = Case(path)
    template = psycopg.conninfo.conninfo_to_dict(database(case.text))["dbname"]
    found = case.audit(database(TEMPLATE=str(template))).findings
    assert found
    for finding in found:
        assert [fix.recommended for fix in finding.fixes] == [True] + [False] * (len(finding.fixes) - 1)
        for fix in finding.fixes:
            assert fix.locks or not fix.sql
            if not fix.sql or fix.title.startswith("Restore the missing"):
                continue  # the application's business, or a backup's
            dsn = database(TEMPLATE=str(template))
            run(dsn, fix.sql, FILLED_IN)
            assert about(case.audit(dsn), finding) == [], (finding.title, fix.title)
            if fix.rollback:
                run(dsn, fix.rollback, FILLED_IN)
                back = bool(about(case.audit(dsn), finding))
                assert back is not any(
                    "Nothing takes the values back" in c or "not the values" in c for c in fix.caveats
                )


def test_keys_that_a_reference_can_no_longer_hold_are_an_error(database: Make) -> None:
    result = Case(CASES / "references/fk_type_mismatch.sql").audit(
        database((CASES / "references/fk_type_mismatch.sql").read_text())
    )
    wrong = {finding.object.table for finding in result.findings if finding.severity is Severity.ERROR}
    assert wrong == {"outgrown_notes", "j"}


def test_two_collations_do_not_join(database: Make) -> None:
    dsn = database("""
        CREATE TABLE p (e text COLLATE "POSIX" UNIQUE, f text UNIQUE);
        CREATE TABLE c (e text COLLATE "C" REFERENCES p (e), f text COLLATE "C" REFERENCES p (f));
        INSERT INTO p VALUES ('a', 'a');
        INSERT INTO c VALUES ('a', 'a');
    """)
    messages = [finding.message for finding in audit(dsn, select=["references/fk-type-mismatch"]).findings]
    assert ["42P22" in message for message in messages] == [True, False]
    with psycopg.connect(dsn) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute("EXPLAIN SELECT p.e FROM p WHERE f = (SELECT f FROM c)").fetchall()
        assert "Index" not in str(plan), "the index of the key has another collation"
        with pytest.raises(psycopg.errors.IndeterminateCollation):
            connection.execute("SELECT FROM c JOIN p ON c.e = p.e")


@pytest.mark.parametrize(("first", "second"), [("CASCADE", "NO ACTION"), ("NO ACTION", "CASCADE")])
def test_of_keys_that_contradict_the_older_one_decides(database: Make, first: str, second: str) -> None:
    dsn = database(f"""
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE c (p int);
        INSERT INTO p VALUES (1);
        INSERT INTO c VALUES (1);
        ALTER TABLE c ADD CONSTRAINT z FOREIGN KEY (p) REFERENCES p ON DELETE {first};
        ALTER TABLE c ADD CONSTRAINT a FOREIGN KEY (p) REFERENCES p ON DELETE {second};
    """)
    with psycopg.connect(dsn) as connection:
        if first == "CASCADE":
            connection.execute("DELETE FROM p")
        else:
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                connection.execute("DELETE FROM p")


# --- cycles ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hierarchy:
    """Rows of a table that references itself: each with its parent's number, or none. Rows from `held` on lie elsewhere."""

    parents: tuple[int | None, ...]
    composite: bool
    kind: str
    excused: frozenset[int]  # rows that `where` leaves out

    def parent(self, row: int) -> int | None:
        above = self.parents[row]
        return above if above is not None and above < len(self.parents) and row not in self.excused else None

    def cycles(self, *, self_is_root: bool) -> set[frozenset[int]]:
        """By walking up from each row until it ends or comes back: the plain way."""
        found = set()
        for start in range(len(self.parents)):
            way = [start]
            while (above := self.parent(way[-1])) is not None and above not in way:
                way.append(above)
            if above is not None:
                ring = frozenset(way[way.index(above) :])
                if not (self_is_root and len(ring) == 1):
                    found.add(ring)
        return found


@st.composite
def hierarchies(draw: st.DrawFn) -> Hierarchy:
    size = draw(st.integers(0, 12))
    return Hierarchy(
        tuple(draw(st.lists(st.none() | st.integers(0, size + 1), min_size=size, max_size=size))),
        draw(st.booleans()),
        draw(st.sampled_from(["plain", "partitioned", "inherited"])),
        frozenset(draw(st.sets(st.integers(0, max(size, 1)), max_size=2))),
    )


@QUICK
@given(drawn=hierarchies(), self_is_root=st.booleans())
@example(Hierarchy((1, 0, 0, 2, 4, None), True, "plain", frozenset()), True)
def test_cycles_are_what_walking_up_finds(bench: Bench, drawn: Hierarchy, self_is_root: bool) -> None:
    own, above = ('"T t", "size"', '"T t", moved') if drawn.composite else ('"size"', "moved")
    with bench.schema() as schema:
        table = f'{schema}."No""de %s"'
        by = f" PARTITION BY HASH ({own})" if drawn.kind == "partitioned" else ""
        bench.execute(
            f"CREATE SCHEMA {schema}",
            f'CREATE TABLE {table} ("T t" text COLLATE "C", "size" int, moved bigint, excused boolean, UNIQUE ({own})){by}',
            *(
                f"CREATE TABLE {schema}.part{n} PARTITION OF {table} FOR VALUES WITH (MODULUS 2, REMAINDER {n})"
                for n in range(2 if by else 0)
            ),
            f"ALTER TABLE {table} ADD CONSTRAINT up FOREIGN KEY ({above}) REFERENCES {table} ({own})",
            "SET session_replication_role = replica",
            *(
                f"INSERT INTO {table} VALUES ('t', {n}, {'NULL' if parent is None else parent}, {n in drawn.excused})"
                for n, parent in enumerate(drawn.parents)
            ),
        )
        if drawn.kind == "inherited":  # its rows are no parents and no children of the key
            bench.execute(
                f"CREATE TABLE {schema}.heir () INHERITS ({table})",
                f"INSERT INTO {schema}.heir VALUES ('t', {len(drawn.parents)}, {len(drawn.parents)}, false)",
            )
        node = bench.catalog().by_name[schema, 'No"de %s']
        (key,) = node.foreign_keys
        question = replace(Cycles.of_key(node, key, node), where="NOT excused", other_row=self_is_root)
        expected = drawn.cycles(self_is_root=self_is_root)
        with bench.session.transaction() as fetch:
            answer = ask(question, fetch, Samples())
        assert (answer.count, answer.groups) == (sum(map(len, expected)), len(expected))
        assert answer.examined == len(drawn.parents)
        sampled = {int(row["size"] or -1) for row in answer.evidence.sample}
        assert sampled <= {row for ring in expected for row in ring}
        assert len(sampled) == min(answer.count, 10)
        if expected:
            assert bench.count(node, answer.evidence.where or "") == answer.count
            assert bench.count(node, question.first_of_each()) == len(expected)


# --- what the configuration says ------------------------------------------------------------------------------------

SHOP = """
    CREATE TABLE posts (id int PRIMARY KEY);
    CREATE TABLE users (id uuid PRIMARY KEY);
    CREATE TABLE notes (id int PRIMARY KEY, subject_type text, subject_id int, other int, up int);
    CREATE VIEW recent AS SELECT * FROM posts;
"""


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            'type_column = "subject_typ"\ntargets = { Post = "posts(id)" }',
            "[[reference]] 1 type_column: public.notes has no column subject_typ; did you mean subject_type?",
        ),
        (
            'type_column = "subject_type"\ntargets = { Post = "post(id)" }',
            "[[reference]] 1 targets.Post = 'post(id)': there is no table post; did you mean public.posts?",
        ),
        (
            'type_column = "subject_type"\ntargets = { Post = "recent(id)" }',
            "[[reference]] 1 targets.Post = 'recent(id)': public.recent is a view",
        ),
        (
            'type_column = "subject_type"\ntargets = { User = "users(id)" }',
            "[[reference]] 1: public.notes.subject_id is integer and public.users.id is uuid",
        ),
        ('to = "posts(nr)"', "[[reference]] 1 to = 'posts(nr)': public.posts has no column nr"),
        ('to = "recent(id)"', "[[reference]] 1 to = 'recent(id)': public.recent is a view"),
        (
            'to = "posts(id)"\nself_is_root = true',
            "[[reference]] 1: self_is_root is for a table that references itself",
        ),
        (
            'to = "posts(id)"\nwhere = "subject_typ = 1"',
            "[[reference]] from public.notes: 'subject_typ = 1' is no condition",
        ),
        ('to = "posts(id)"\n[tenant]\ncolumns = ["org"]', "[tenant] columns: no table has a column org"),
        ('to = "posts(id)"\n[tenant.tables]\nnotes = "org"', "[tenant.tables] 'notes': public.notes has no column org"),
        ('to = "posts(id)"\n[soft_delete]\nhistory = ["note"]', "[soft_delete] history 'note': there is no table note"),
    ],
)
def test_a_wrong_entry_is_named_before_anything_runs(entry: str, said: str, database: Make) -> None:
    with pytest.raises(ConfigError) as wrong:
        audit(database(SHOP), f'[[reference]]\nfrom = "notes(subject_id)"\n{entry}')
    assert str(wrong.value).startswith(said)


def test_a_type_that_is_no_value_of_the_column_is_named(database: Make) -> None:
    dsn = database(
        "CREATE TYPE kind AS ENUM ('a'); CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (k kind, p int);"
    )
    with pytest.raises(
        ConfigError, match=r"from public.c: .* is no condition over public.c: invalid input value for enum"
    ):
        audit(dsn, '[[reference]]\nfrom = "c(p)"\ntype_column = "k"\ntargets = { b = "p(id)" }')


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("", "reference[1]: it needs either to, or type_column and targets"),
        ('to = "b(id)"\ntype_column = "t"', "reference[1]: it needs either to, or type_column and targets"),
        ('type_column = "t"', "reference[1]: type_column and targets belong together"),
        ('to = "b(id)"\ntargts = {}', "unknown key 'reference[1].targts'; did you mean targets"),
        ('to = "b(id)"\n[tenant]\ncolumn = []', "unknown key 'tenant.column'; did you mean columns"),
    ],
)
def test_an_entry_that_contradicts_itself_is_named(entry: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "auditor.toml"
    file.write_text(f'[[reference]]\nfrom = "a(x)"\n{entry}')
    with pytest.raises(ConfigError) as wrong:
        load(file, {})
    assert str(wrong.value).startswith(f"{file}: {said}")


# --- one defect, one finding ----------------------------------------------------------------------------------------


def test_rows_left_behind_by_a_cancelled_cascade_are_told_once(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE teams (id int PRIMARY KEY);
        CREATE TABLE members (user_id int REFERENCES users, team_id int REFERENCES teams ON DELETE CASCADE);
        INSERT INTO users VALUES (1);
        INSERT INTO teams VALUES (1);
        INSERT INTO members VALUES (1, 1);
        CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER stay BEFORE DELETE ON members FOR EACH ROW EXECUTE FUNCTION stay();
        DELETE FROM teams;
        """
    )
    wanted = ("references", "nullability/cascade-cancelled")
    left = "1 user is left with no team: all its memberships in public.members point to teams that do not exist"
    found = "1 row of public.members was left without 1 row of public.teams: the trigger stay of public.members"
    assert titles(audit(dsn, select=wanted)) == [f"{found} cancels ON DELETE CASCADE"]
    assert titles(audit(dsn, select=wanted, depth="full")) == [f"{found} cancels ON DELETE CASCADE", left]
    unread = audit(dsn, select=wanted, depth="catalog")
    assert [f.severity for f in unread.findings] == [Severity.WARNING]


def test_who_is_locked_out_is_told_by_key(database: Make) -> None:
    dsn = database("""
        CREATE TABLE users (id int PRIMARY KEY, email text);
        CREATE TABLE workspaces (id int PRIMARY KEY);
        CREATE TABLE members (user_id int REFERENCES users, workspace_id int, PRIMARY KEY (user_id, workspace_id));
        INSERT INTO users SELECT n, n || '@example.com' FROM generate_series(1, 30) AS n;
        INSERT INTO workspaces VALUES (1);
        INSERT INTO members SELECT n, CASE WHEN n > 15 THEN 9 ELSE 1 END FROM generate_series(1, 30) AS n;
    """)
    config = '[[reference]]\nfrom = "members(workspace_id)"\nto = "workspaces(id)"'
    (whose,) = (f for f in audit(dsn, config).findings if f.object.table == "users")
    assert whose.evidence is not None
    assert whose.evidence.violations == 15
    assert whose.evidence.sample == tuple({"id": str(n)} for n in range(16, 26))


def test_inferred_relations_are_never_more_than_a_warning(database: Make) -> None:
    for path in (CASES / "references").glob("*.sql"):
        if path.stem in ("polymorphic_orphans", "reference_cycle", "soft_deleted_parent", "cross_tenant_reference"):
            findings = Case(path).audit(database(path.read_text(encoding="utf-8"))).findings
            suspected = [f.severity for f in findings if f.confidence is Confidence.SUSPECTED]
            assert suspected
            assert Severity.ERROR not in suspected
            assert Severity.ERROR in {f.severity for f in findings}


def test_functions_of_languages_that_are_not_read_are_not_checked(database: Make) -> None:
    dsn = database("""
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE c (p int CONSTRAINT c_p REFERENCES p ON DELETE CASCADE);
        CREATE FUNCTION same() RETURNS trigger LANGUAGE internal AS 'suppress_redundant_updates_trigger';
        CREATE TRIGGER t BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION same();
    """)
    result = audit(dsn, select=["nullability/cascade-cancelled"])
    assert [(e.object.name, e.reason, e.detail) for e in result.coverage if e.outcome == "not_checked"] == [
        ("c_p", "unsupported", "public.same (internal) cannot be read")
    ]
