"""References, CHECKs and triggers: the answers of the rows against a plain oracle, fixes that mend and roll back, states in motion."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.audit import Audit, open_catalog
from auditor.catalog.model import Catalog, Table
from auditor.check import Finding, Severity
from auditor.connection import Session, Target
from auditor.probe import Answer, Unmatched, stranded
from auditor.probe.textbook import Samples, ask
from auditor.text import ident, literal
from tests.conftest import Make
from tests.helpers import audit, login, titles

CASES = Path(__file__).parent / "checks"
MINE = (
    "references/orphan_rows",
    "references/fk_not_enforced",
    "references/orphaned_memberships",
    "references/missing_fk",
    "nullability/check_violated",
    "foundations/trigger_disabled",
)
FILES = sorted(path for name in MINE for path in CASES.glob(f"{name}*.sql"))


# --- fixes ----------------------------------------------------------------------------------------------------------

# What the human who reads the report fills in, by column.
FILLED_IN = {
    "workspace_id": "1",
    '"%s"': "1",
    "group_id": "md5('1')::uuid",
    "joined_at": "now()",
    "access_level": "'read'",
    '"The From"': "'2024-01-01'",
    "size": "10",
    "id": "7",
    "legs": "4",
    "n": "1",
}


def filled_in(statement: str, columns: dict[str, str]) -> str:
    """A statement whose REPLACE marks are filled in: after `column =`, or named by the mark itself."""

    def value(found: re.Match[str]) -> str:
        column = found["column"] or ident(found["named"])
        return f"{found['before'] or ''}{columns[column]}"

    mark = r'(?P<before>(?P<column>"(?:[^"]|"")+"|[a-z_]+) = )?/\* REPLACE with (?P<named>[^:]*): [^*]* \*/'
    return re.sub(mark, value, statement)


@dataclass(frozen=True)
class Case:
    """A case file and how to audit it."""

    path: Path

    @property
    def check(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem.split('.')[0].replace('_', '-')}"

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def audit(self, dsn: str) -> Audit:
        config = "\n".join(re.findall(r"^-- config: ?(.*)", self.text, re.MULTILINE))
        depth = (re.findall(r"^-- depth: (\w+)", self.text, re.MULTILINE) or ["data"])[0]
        return audit(dsn, config, depth=depth, select=[self.check])


def run(dsn: str, statements: tuple[str, ...], columns: dict[str, str]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            assert statement.endswith(";")
            connection.execute(filled_in(statement, columns).encode())


def about(result: Audit, finding: Finding) -> list[Finding]:
    return [other for other in result.findings if other.fingerprint == finding.fingerprint]


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
        of_domain = finding.object.kind == "column" and case.check == "nullability/check-violated"
        for fix in finding.fixes:
            assert fix.locks or not fix.sql
            if fix.title.startswith("Restore") or (of_domain and "VALIDATE" in " ".join(fix.sql)):
                continue  # what a backup holds; other columns of the domain are in the way, as its caveat says
            dsn = database(TEMPLATE=str(template))
            columns = {**FILLED_IN, '"%s"': "'2024-06-01'"} if finding.object.table == "Terms" else FILLED_IN
            caveats = " ".join(fix.caveats)
            if "fails while their rows break it" in caveats and "VALIDATE" in " ".join(fix.sql):
                with pytest.raises(psycopg.errors.CheckViolation):
                    run(dsn, fix.sql, columns)
                continue
            run(dsn, fix.sql, columns)
            assert about(case.audit(dsn), finding) == [], (finding.title, fix.title)
            if fix.rollback:
                run(dsn, fix.rollback, columns)
                back = bool(about(case.audit(dsn), finding))
                assert back is ("leaves the foreign key away" not in caveats), (finding.title, fix.title)


def test_a_forgotten_replace_changes_nothing(database: Make) -> None:
    case = Case(CASES / "nullability/check_violated.sql")
    dsn = database(case.text)
    before = titles(case.audit(dsn))
    for finding in case.audit(dsn).findings:
        for fix in finding.fixes:
            for statement in fix.sql:
                if "REPLACE" in statement:
                    with (
                        psycopg.connect(dsn, autocommit=True) as connection,
                        pytest.raises(psycopg.errors.SyntaxError),
                    ):
                        connection.execute(statement.encode())
    assert titles(case.audit(dsn)) == before


def test_fixes_of_a_domain(database: Make) -> None:
    script = """
        CREATE DOMAIN qty AS int;
        CREATE DOMAIN small_qty AS qty;
        CREATE TABLE lines (id int PRIMARY KEY, n qty, small small_qty);
        INSERT INTO lines VALUES (1, -1, 1), (2, 5, NULL);
        ALTER DOMAIN qty ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID;
    """
    (finding,) = audit(database(script), select=["nullability/check-violated"]).findings
    assert len(finding.fixes) == 3
    for fix in finding.fixes:
        dsn = database(script)
        run(dsn, fix.sql, FILLED_IN)
        assert audit(dsn, depth="full", select=["nullability/check-violated"]).findings == ()
        run(dsn, fix.rollback, FILLED_IN)
        assert titles(audit(dsn, select=["nullability/check-violated"])) == [finding.title]


# --- what the messages say is so ------------------------------------------------------------------------------------


def test_a_row_that_breaks_a_not_valid_check_cannot_be_updated(database: Make) -> None:
    dsn = database("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, -1);")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE t ADD CONSTRAINT c CHECK (b > 0) NOT VALID")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE t SET a = a")
        connection.execute("UPDATE t SET b = 1")


def test_a_value_that_breaks_a_not_valid_domain_fails_only_where_it_passes_through_the_domain(database: Make) -> None:
    dsn = database("CREATE DOMAIN d AS int; CREATE TABLE t (a int, b d); INSERT INTO t VALUES (1, -1);")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID")
        connection.execute("UPDATE t SET a = 2")
        connection.execute("UPDATE t SET b = b")
        for statement in ("UPDATE t SET b = b + 0", "SELECT a::d FROM t WHERE (-a)::d IS NULL"):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(statement.encode())


def test_enabled_triggers_check_nothing_and_validate_does_nothing(database: Make) -> None:
    dsn = database("""
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE c (id int PRIMARY KEY, p int CONSTRAINT c_p REFERENCES p);
        ALTER TABLE c DISABLE TRIGGER ALL;
        INSERT INTO c VALUES (1, 9);
        ALTER TABLE c ENABLE TRIGGER ALL;
        ALTER TABLE c VALIDATE CONSTRAINT c_p;
    """)
    assert audit(dsn, select=["references"]).findings == ()
    assert titles(audit(dsn, depth="full", select=["references"])) == [
        "1 row of public.c points to 1 row of public.p that does not exist"
    ]


def test_a_key_that_the_configuration_names_is_read_at_the_default_depth_and_once(database: Make) -> None:
    dsn = database("""
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE c (id int PRIMARY KEY, p int CONSTRAINT c_p REFERENCES p);
        SET session_replication_role = replica;
        INSERT INTO c VALUES (1, 9);
    """)
    assert audit(dsn, select=["references/orphan-rows"]).findings == ()
    for depth in ("data", "full"):
        result = audit(
            dsn, '[[reference]]\nfrom = "c(p)"\nto = "p(id)"', depth=depth, select=["references/orphan-rows"]
        )
        assert [finding.object.name for finding in result.findings] == ["c_p"]
        assert result.summary.probes == 1


def test_a_condition_asks_about_its_rows_only(database: Make) -> None:
    dsn = database("""
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE c (id int PRIMARY KEY, p int CONSTRAINT c_p REFERENCES p, kind text);
        SET session_replication_role = replica;
        INSERT INTO c VALUES (1, 9, 'a'), (2, 9, 'b');
    """)
    reference = """[[reference]]\nfrom = "c(p)"\nto = "p(id)"\nwhere = "kind = 'a'\""""
    (finding,) = audit(dsn, reference, select=["references/orphan-rows"]).findings
    assert (finding.object.kind, finding.evidence and finding.evidence.violations) == ("column", 1)


def test_a_disabled_trigger_of_partitions_says_which_copies_fire(database: Make) -> None:
    dsn = database("""
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TABLE t (id int) PARTITION BY RANGE (id);
        CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (1);
        CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (1) TO (2);
        CREATE TRIGGER whole AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
        CREATE TRIGGER part AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
        ALTER TABLE t DISABLE TRIGGER whole;
        ALTER TABLE t_1 ENABLE TRIGGER whole;
        ALTER TABLE t_1 DISABLE TRIGGER part;
    """)
    part, whole = sorted(audit(dsn, select=["foundations/trigger-disabled"]).findings, key=lambda f: f.object.name)
    assert "1 of 2 partitions still fires its copy of it." in whole.message
    assert "still fire" not in part.message
    assert [fix.title.split(",")[0] for fix in whole.fixes] == ["Enable it", "Drop it"]
    assert [fix.title for fix in part.fixes] == ["Enable it"]  # a copy cannot be dropped


# --- states in motion -----------------------------------------------------------------------------------------------

VALIDATING = """
    CREATE TABLE p (id int PRIMARY KEY);
    CREATE TABLE c (id int PRIMARY KEY, p int, q int);
    ALTER TABLE c ADD CONSTRAINT "The p" FOREIGN KEY (p) REFERENCES p NOT VALID;
    ALTER TABLE c ADD CONSTRAINT c_q FOREIGN KEY (q) REFERENCES p NOT VALID;
"""


@contextmanager
def in_progress(dsn: str, *statements: str) -> Iterator[None]:
    """Statements of a transaction that is still open."""
    with psycopg.connect(dsn) as other:
        for statement in statements:
            other.execute(statement.encode())
        yield
        other.rollback()


def unchecked(result: Audit) -> list[tuple[str, str | None]]:
    return [(entry.object.name, entry.reason) for entry in result.coverage if entry.outcome == "not_checked"]


def test_a_validation_in_progress_is_not_checked(database: Make) -> None:
    dsn = database(VALIDATING)
    other = "The foreign key c_q of public.c is NOT VALID"
    with in_progress(dsn, 'ALTER TABLE c VALIDATE CONSTRAINT "The p"'):
        result = audit(dsn, select=["references/fk-not-enforced"])
    assert unchecked(result) == [("The p", "lock")]
    assert titles(result) == [other]
    assert titles(audit(dsn, select=["references/fk-not-enforced"])) == [
        'The foreign key "The p" of public.c is NOT VALID',
        other,
    ]


def test_a_query_that_is_hidden_may_be_a_validation(database: Make) -> None:
    dsn = database(VALIDATING)
    stranger = login(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    with in_progress(dsn, "ALTER TABLE c VALIDATE CONSTRAINT c_q"):
        result = audit(stranger, select=["references/fk-not-enforced"])
        assert sorted(unchecked(result)) == [("The p", "lock"), ("c_q", "lock")]
        assert result.findings == ()
    monitor = login(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", "GRANT pg_read_all_stats TO {role}")
    with in_progress(dsn, "ALTER TABLE c VALIDATE CONSTRAINT c_q"):
        assert unchecked(audit(monitor, select=["references/fk-not-enforced"])) == [("c_q", "lock")]


def test_other_work_under_the_same_lock_is_no_validation(database: Make) -> None:
    dsn = database(VALIDATING)
    with in_progress(dsn, "ALTER TABLE c ALTER COLUMN p SET STATISTICS 10"):
        result = audit(dsn, select=["references/fk-not-enforced"])
    assert unchecked(result) == []
    assert len(result.findings) == 2


def test_an_analyze_is_told_by_its_progress(database: Make) -> None:
    dsn = database(
        VALIDATING, "INSERT INTO p VALUES (1); INSERT INTO c SELECT n, 1, 1 FROM generate_series(1, 200000) n;"
    )
    stranger = login(dsn, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    done = threading.Event()

    def analyze() -> None:
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("SET vacuum_cost_delay = 20; SET vacuum_cost_limit = 20")
            other.execute("ANALYZE c")
        done.set()

    thread = threading.Thread(target=analyze)
    thread.start()
    try:
        result = audit(stranger, select=["references/fk-not-enforced"])
        assert not done.is_set(), "the audit was to run while ANALYZE does"
    finally:
        thread.join()
    assert unchecked(result) == []
    assert len(result.findings) == 2


# --- one defect, one finding ----------------------------------------------------------------------------------------

MEMBERS = """
    CREATE TABLE users (id int PRIMARY KEY);
    CREATE TABLE workspaces (id int PRIMARY KEY);
    INSERT INTO users SELECT generate_series(1, 50);
    INSERT INTO workspaces SELECT generate_series(1, 10);
    CREATE TABLE members (user_id int REFERENCES users, workspace_id int, PRIMARY KEY (user_id, workspace_id));
    INSERT INTO members SELECT n, CASE n WHEN 50 THEN 99 ELSE 1 + n % 10 END FROM generate_series(1, 50) AS n;
"""
LEFT = "1 user is left with no workspace: all its memberships in public.members point to workspaces that do not exist"


def test_an_inferred_membership_is_told_by_the_more_specific_check(database: Make) -> None:
    dsn = database(MEMBERS)
    result = audit(dsn, select=["references"])
    assert titles(result) == [LEFT, "1 membership in public.members points to 1 workspace that does not exist"][::-1]
    assert {finding.severity for finding in result.findings} == {Severity.WARNING}
    alone = audit(dsn, select=["references/missing-fk"])
    assert titles(alone) == [
        "1 of 50 rows of public.members points to 1 row of public.workspaces that does not exist,"
        " and no foreign key declares workspace_id"
    ]


def test_a_configured_membership_is_an_error_once(database: Make) -> None:
    config = '[[reference]]\nfrom = "members(workspace_id)"\nto = "workspaces(id)"'
    result = audit(database(MEMBERS), config, select=["references"])
    assert titles(result) == [LEFT, "1 membership in public.members points to 1 workspace that does not exist"][::-1]
    assert {finding.severity for finding in result.findings} == {Severity.ERROR}


def test_state_and_rows_are_two_findings(database: Make) -> None:
    dsn = database("""
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE c (id int PRIMARY KEY, p int, label text);
        INSERT INTO c VALUES (1, 9);
        ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p NOT VALID;
    """)
    state, rows = sorted(audit(dsn, select=["references"]).findings, key=lambda finding: finding.check)
    assert (state.check, rows.check) == ("references/fk-not-enforced", "references/orphan-rows")
    assert state.evidence is not None
    assert (state.evidence.violations, state.evidence.where, state.evidence.sample) == (None, None, ())
    assert rows.evidence is not None
    assert rows.evidence.violations == 1
    unread = audit(dsn, depth="catalog", select=["references"])
    assert [(f.title, f.severity) for f in unread.findings] == [
        ("The foreign key c_p of public.c is NOT VALID", Severity.WARNING)
    ]


def test_rows_that_may_not_be_read_leave_the_state(database: Make) -> None:
    dsn = database(VALIDATING)
    stranger = login(dsn, "GRANT SELECT ON p TO {role}")
    result = audit(stranger, select=["references/fk-not-enforced"])
    assert sorted(unchecked(result)) == [("The p", "permission"), ("c_q", "permission")]
    assert {finding.severity for finding in result.findings} == {Severity.WARNING}


def test_what_a_membership_leads_to_must_be_readable_too(database: Make) -> None:
    """Who is left with nothing is a question to three tables; a privilege on the third is asked for first."""
    dsn = database(MEMBERS, "ALTER TABLE workspaces ADD COLUMN secret text;")
    reader = login(dsn, "GRANT SELECT ON users, members TO {role}", "GRANT SELECT (id) ON workspaces TO {role}")
    assert len(audit(reader, select=["references/orphaned-memberships"]).findings) == 2
    stranger = login(dsn, "GRANT SELECT ON users, members TO {role}")
    result = audit(stranger, select=["references/orphaned-memberships"])
    assert {reason for _, reason in unchecked(result)} == {"permission"}
    assert result.findings == ()


# --- the rows' answer against a plain oracle ------------------------------------------------------------------------

NAMES = ("a", "b", "The Id", "%s", 'é"ü', "select", "line\nbreak")
# Types of a referenced and of the referencing column that a foreign key may compare, and values of both.
NUMBERS = st.integers(0, 2)
TEXTS = st.sampled_from(["", "a", "A", "it's %s", "é"])
TYPES: tuple[tuple[str, str, st.SearchStrategy[Any]], ...] = (
    ("int", "int", NUMBERS),
    ("int", "bigint", NUMBERS),
    ("bigint", "smallint", NUMBERS),
    ("numeric", "int", NUMBERS),
    ("text", "text", TEXTS),
    ("text", "varchar(10)", TEXTS),
    ('text COLLATE "C"', 'text COLLATE "POSIX"', TEXTS),
)
KINDS = ("plain", "partitioned", "inherited")
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Relation:
    """A random relation: its columns, both tables' kinds, and their rows; `strays` live in inheritance children."""

    names: tuple[str, ...]
    types: tuple[tuple[str, str], ...]
    match: str
    kind: str
    referenced_kind: str
    rows: tuple[Key, ...]
    parents: tuple[Key, ...]
    strays: tuple[Key, ...]

    @property
    def orphans(self) -> list[Key]:
        """What PostgreSQL's documentation calls a violation (CREATE TABLE, MATCH), row by row."""
        whole = {key for key in self.parents if None not in key}
        found = []
        for key in self.rows:
            nulls = sum(value is None for value in key)
            excused = nulls > 0 if self.match == "SIMPLE" else nulls == len(key)
            if not excused and key not in whole:
                found.append(key)
        return found


@st.composite
def relations(draw: st.DrawFn) -> Relation:
    width = draw(st.integers(1, 3))
    names = tuple(draw(st.permutations(NAMES))[:width])
    kinds = [draw(st.sampled_from(TYPES)) for _ in names]
    key = st.tuples(*(values for *_, values in kinds))
    nullable = st.tuples(*(st.none() | values for *_, values in kinds))
    return Relation(
        names,
        tuple((one, other) for one, other, _ in kinds),
        draw(st.sampled_from(["SIMPLE", "FULL"])),
        draw(st.sampled_from(KINDS)),
        draw(st.sampled_from(KINDS)),
        tuple(draw(st.lists(nullable, max_size=8))),
        tuple(draw(st.lists(nullable, max_size=6, unique=True))),
        tuple(draw(st.lists(key, max_size=4))),
    )


def values(rows: tuple[Key, ...], *, numbered: bool) -> str:
    def shown(value: Any) -> str:
        return "NULL" if value is None else literal(value) if isinstance(value, str) else str(value)

    return ", ".join(
        "(" + ", ".join(([str(number)] if numbered else []) + [shown(value) for value in row]) + ")"
        for number, row in enumerate(rows, 1)
    )


def created(relation: Relation, schema: str) -> list[str]:
    """The statements that make the relation, whatever its rows are: they are loaded under the replica role."""
    columns = ", ".join(ident(name) for name in relation.names)
    sides = []
    for table, kind, side, extra in (
        ("referenced", relation.referenced_kind, 0, [f"UNIQUE ({columns})"]),
        ("referencing", relation.kind, 1, []),
    ):
        parts = [f"{ident(name)} {types[side]}" for name, types in zip(relation.names, relation.types, strict=True)]
        own = ["id int"] if table == "referencing" else []
        by = f" PARTITION BY HASH ({ident(relation.names[0])})" if kind == "partitioned" else ""
        name = f"{schema}.{table}"
        sides.append(f"CREATE TABLE {name} ({', '.join([*own, *parts, *extra])}){by}")
        if kind == "partitioned":
            for remainder in range(2):
                sides.append(
                    f"CREATE TABLE {name}_{remainder} PARTITION OF {name}"
                    f" FOR VALUES WITH (MODULUS 2, REMAINDER {remainder})"
                )
        elif kind == "inherited":
            sides.append(f"CREATE TABLE {name}_child () INHERITS ({name})")
    key = (
        f"ALTER TABLE {schema}.referencing ADD CONSTRAINT points FOREIGN KEY ({columns})"
        f" REFERENCES {schema}.referenced ({columns}) MATCH {relation.match}"
    )
    loads = ["SET session_replication_role = replica"]
    if relation.parents:
        loads.append(f"INSERT INTO {schema}.referenced VALUES {values(relation.parents, numbered=False)}")
    if relation.rows:
        loads.append(f"INSERT INTO {schema}.referencing VALUES {values(relation.rows, numbered=True)}")
    if relation.strays and relation.referenced_kind == "inherited":
        loads.append(f"INSERT INTO {schema}.referenced_child VALUES {values(relation.strays, numbered=False)}")
    if relation.strays and relation.kind == "inherited":
        loads.append(f"INSERT INTO {schema}.referencing_child VALUES {values(relation.strays, numbered=True)}")
    return [f"CREATE SCHEMA {schema}", *sides, key, *loads, "RESET session_replication_role"]


class Bench:
    """One database for many small relations: each in a schema of its own, dropped afterwards."""

    def __init__(self, dsn: str) -> None:
        self.writer = psycopg.connect(dsn, autocommit=True)
        self.session = Session(Target(dsn))
        self.numbers = count(1)

    @contextmanager
    def schema(self) -> Iterator[str]:
        name = f"s{next(self.numbers)}"
        try:
            yield name
        finally:
            self.execute("RESET session_replication_role", f"DROP SCHEMA IF EXISTS {name} CASCADE")

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.writer.execute(statement.encode())

    def succeeds(self, *statements: str) -> bool:
        try:
            with self.writer.transaction():
                self.execute(*statements)
        except psycopg.errors.ForeignKeyViolation:
            return False
        return True

    def catalog(self) -> Catalog:
        return open_catalog(self.session)

    def ask(self, question: Unmatched) -> Answer:
        with self.session.transaction() as fetch:
            return ask(question, fetch, Samples())

    def count(self, table: Table, where: str) -> int:
        only = "ONLY " if table.only else ""
        found = self.writer.execute(f"SELECT count(*) FROM {only}{table.sql} WHERE {where}".encode()).fetchone()
        assert found is not None
        return int(found[0])

    def close(self) -> None:
        self.session.close()
        self.writer.close()


@pytest.fixture
def bench(database: Make) -> Iterator[Bench]:
    made = Bench(database())
    yield made
    made.close()


QUICK = settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUICK
@given(relation=relations())
def test_unmatched_is_what_the_documentation_says(bench: Bench, version: int, relation: Relation) -> None:
    """The textbook strategy, a plain oracle, and PostgreSQL's own check of the same rows say the same."""
    with bench.schema() as schema:
        bench.execute(*created(relation, schema))
        catalog = bench.catalog()
        table = catalog.by_name[schema, "referencing"]
        (key,) = table.foreign_keys
        answer = bench.ask(Unmatched.of_key(table, key, catalog.by_name[schema, "referenced"]))
        orphans = relation.orphans
        assert (answer.count, answer.examined, answer.groups) == (len(orphans), len(relation.rows), len(set(orphans)))
        assert len(answer.evidence.sample) == min(len(orphans), 10)
        if orphans:
            assert bench.count(table, answer.evidence.where or "") == len(orphans)
        again = f"ALTER TABLE {table.sql} DROP CONSTRAINT points, ADD CONSTRAINT points {key.definition}"
        if table.kind == "p" and version < 18:
            vouched = bench.succeeds(again)
        else:
            vouched = bench.succeeds(f"{again} NOT VALID", f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT points")
        assert vouched is (not orphans)


@st.composite
def memberships(draw: st.DrawFn) -> tuple[int, int, list[tuple[int | None, int | None]], str]:
    """How many users and workspaces, who is in which, and how the link table is made."""
    users, workspaces = draw(st.integers(0, 4)), draw(st.integers(0, 2))
    some = st.tuples(st.none() | st.integers(1, 5), st.none() | st.integers(1, 4))
    return users, workspaces, draw(st.lists(some, max_size=10)), draw(st.sampled_from(KINDS))


@QUICK
@given(drawn=memberships(), names=st.permutations(["link", "target", "parent", "Us%er"]))
def test_stranded_are_those_with_orphans_only(
    bench: Bench, drawn: tuple[int, int, list[tuple[int | None, int | None]], str], names: list[str]
) -> None:
    users, workspaces, rows, kind = drawn
    orphaned = {user for user, workspace in rows if workspace is not None and workspace > workspaces}
    whole = {user for user, workspace in rows if workspace is not None and workspace <= workspaces}
    expected = {user for user in orphaned - whole if user is not None and user <= users}
    with bench.schema() as schema:
        one, two, three, _ = (f"{schema}.{ident(name)}" for name in names)
        bench.execute(
            f"CREATE SCHEMA {schema}",
            f"CREATE TABLE {one} (id int PRIMARY KEY, workspace int, u int)",
            f"CREATE TABLE {two} (id bigint PRIMARY KEY, u int)",
            f"INSERT INTO {one} SELECT generate_series(1, {users})",
            f"INSERT INTO {two} SELECT generate_series(1, {workspaces})",
            f"CREATE TABLE {three} (u int REFERENCES {one}, workspace int REFERENCES {two})"
            + (" PARTITION BY RANGE (u)" if kind == "partitioned" else ""),
        )
        if kind == "partitioned":
            bench.execute(f"CREATE TABLE {schema}.rest PARTITION OF {three} DEFAULT")
        elif kind == "inherited":
            bench.execute(
                f"CREATE TABLE {schema}.heir () INHERITS ({three})", f"INSERT INTO {schema}.heir VALUES (1, 1)"
            )
        bench.execute("SET session_replication_role = replica")
        for row in rows:
            bench.execute(f"INSERT INTO {three} VALUES {values((row,), numbered=False)}")
        catalog = bench.catalog()
        members, target, link = (catalog.by_name[schema, name] for name in names[:3])
        by_table = {key.referenced: key for key in link.foreign_keys}
        question = stranded(
            Unmatched.of_key(link, by_table[target.oid], target),
            Unmatched.of_key(link, by_table[members.oid], members),
        )
        answer = bench.ask(question)
        assert answer.count == len(expected)
        assert {row["id"] for row in answer.evidence.sample} == {str(user) for user in expected}
        if expected:
            assert bench.count(members, answer.evidence.where or "") == len(expected)
