"""What PostgreSQL does where tools like this one go wrong: each fact shown on the server, and what the auditor says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from auditor.audit import open_catalog
from auditor.connection import Session, Target
from auditor.probe import Unmatched
from auditor.probe.textbook import Samples, ask
from tests.conftest import Make
from tests.helpers import audit, login, titles

Connection = psycopg.Connection[tuple[Any, ...]]

SET_NULL = "nullability/set-null-on-not-null"
PARENTS = "CREATE TABLE p (id int PRIMARY KEY, g int); INSERT INTO p SELECT n, n FROM generate_series(1, 4) AS n;"
ORPHAN = "1 row of public.c points to 1 row of public.p that does not exist"


@contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def sqlstate(connection: Connection, *statements: str) -> str:
    """What the server says to statements that are taken back, with what was deferred; empty when they succeed."""
    try:
        with connection.transaction(force_rollback=True):
            for statement in (*statements, "SET CONSTRAINTS ALL IMMEDIATE"):
                connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return ""


def one(connection: Connection, query: str) -> Any:
    (row,) = connection.execute(query.encode()).fetchall()
    return row[0]


def orphans(dsn: str, **options: Any) -> list[str]:
    return titles(audit(dsn, select=["references/orphan-rows"], **options))


# --- SET NULL where NULL is refused ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trap:
    """A table `c` that references `p (id)`, ON DELETE or ON UPDATE SET NULL, and what the server says to that."""

    name: str
    ddl: str
    sqlstate: str  # empty: it does as promised
    since: int = 13
    update: bool = False

    def blocked(self, connection: Connection) -> int:
        """How many rows of `p` cannot be deleted, or re-keyed; each is tried."""
        said = []
        for (number,) in connection.execute("SELECT id FROM p ORDER BY id").fetchall():
            act = f"UPDATE p SET id = id + 100 WHERE id = {number}" if self.update else f"DELETE FROM p WHERE id = {number}"  # fmt: skip
            said.append(sqlstate(connection, act))
        assert set(said) <= {"", self.sqlstate}
        return sum(state != "" for state in said)


FK = "REFERENCES p ON DELETE SET NULL"
PAIR = "CREATE TABLE q (x int, y int, UNIQUE (x, y)); INSERT INTO q VALUES (1, 1), (2, 2);"
TRAPS = (
    Trap("plain", f"CREATE TABLE c (id int, p int NOT NULL {FK}); INSERT INTO c VALUES (1, 1), (2, 1), (3, 2)", "23502"),
    Trap("deferred", f"CREATE TABLE c (p int NOT NULL {FK} DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (1)", "23502"),
    Trap("update", "CREATE TABLE c (p int NOT NULL REFERENCES p ON UPDATE SET NULL); INSERT INTO c VALUES (1), (4)", "23502", update=True),
    Trap("primary key", f"CREATE TABLE c (p int {FK}, n int, PRIMARY KEY (n, p)); INSERT INTO c VALUES (3, 1)", "23502"),
    Trap("domain", f"CREATE DOMAIN d AS int NOT NULL; CREATE TABLE c (p d {FK}); INSERT INTO c VALUES (1)", "23502"),
    Trap("named", f'CREATE DOMAIN "CHECK FULL" AS int NOT NULL; CREATE TABLE c (p "CHECK FULL" {FK}); INSERT INTO c VALUES (1)', "23502"),
    Trap("over", f"CREATE DOMAIN d AS int NOT NULL; CREATE DOMAIN e AS d; CREATE TABLE c (p e {FK}); INSERT INTO c VALUES (1)", "23502"),
    Trap("both", f"CREATE DOMAIN d AS int NOT NULL; CREATE DOMAIN e AS d NOT NULL; CREATE TABLE c (p e NOT NULL {FK}); INSERT INTO c VALUES (1)", "23502"),
    Trap("domain check", f"CREATE DOMAIN d AS int CHECK (VALUE IS NOT NULL AND VALUE > 0); CREATE TABLE c (p d {FK}); INSERT INTO c VALUES (2)", "23514"),
    Trap("check", f"CREATE TABLE c (p int {FK} CHECK (p IS NOT NULL)); INSERT INTO c VALUES (1)", "23514"),
    Trap("not valid check", f"CREATE TABLE c (p int {FK}); INSERT INTO c VALUES (1), (NULL); ALTER TABLE c ADD CHECK (p IS NOT NULL) NOT VALID", "23514"),
    Trap("check and not null", f"CREATE TABLE c (p int NOT NULL {FK} CONSTRAINT told CHECK (p IS NOT NULL)); INSERT INTO c VALUES (1)", "23502"),
    Trap("referenced by none", f"CREATE TABLE c (p int NOT NULL {FK})", "23502"),
    Trap("self", f"DROP TABLE p; CREATE TABLE p (id int PRIMARY KEY, p int NOT NULL {FK}); INSERT INTO p VALUES (1, 1), (2, 1), (3, 3), (4, 4)", "23502"),
    Trap("not valid key", "CREATE TABLE c (p int NOT NULL); INSERT INTO c VALUES (1), (9);"
         f" ALTER TABLE c ADD FOREIGN KEY (p) {FK} NOT VALID", "23502"),
    Trap("not valid not null", f"CREATE TABLE c (p int {FK}); INSERT INTO c VALUES (1), (NULL); ALTER TABLE c ADD CONSTRAINT n NOT NULL p NOT VALID", "23502", 18),
    Trap("not enforced check", f"CREATE TABLE c (p int {FK} CHECK (p IS NOT NULL) NOT ENFORCED); INSERT INTO c VALUES (1)", "", 18),
    Trap("not enforced key", f"CREATE TABLE c (p int NOT NULL {FK} NOT ENFORCED); INSERT INTO c VALUES (1)", "", 18),
    Trap("nulls equal", f"CREATE TABLE c (p int {FK}, UNIQUE NULLS NOT DISTINCT (p)); INSERT INTO c VALUES (1), (2), (NULL)", "23505", 15),
    Trap("nulls equal and none yet", f"CREATE TABLE c (p int {FK}, UNIQUE NULLS NOT DISTINCT (p)); INSERT INTO c VALUES (1), (2)", "23505", 15),
    Trap("nulls equal in part", f"CREATE TABLE c (p int {FK}); CREATE UNIQUE INDEX ON c (p) NULLS NOT DISTINCT WHERE p > 0; INSERT INTO c VALUES (1), (2), (NULL)", "", 15),
    Trap("nulls differ", f"CREATE TABLE c (p int {FK} UNIQUE); INSERT INTO c VALUES (1), (2), (NULL)", ""),
    Trap("free", f"CREATE TABLE c (p int {FK}); INSERT INTO c VALUES (1), (NULL)", ""),
    Trap("either", f"CREATE TABLE c (p int {FK}, n int CHECK (p IS NOT NULL OR n IS NOT NULL)); INSERT INTO c VALUES (1, 1)", ""),
    Trap("other column", f"CREATE TABLE c (p int {FK}, n int NOT NULL); INSERT INTO c VALUES (1, 1)", ""),
    Trap("list that leaves it out", "ALTER TABLE p ADD UNIQUE (id, g); CREATE TABLE c (p int, n int NOT NULL,"
         " FOREIGN KEY (p, n) REFERENCES p (id, g) ON DELETE SET NULL (p)); INSERT INTO c VALUES (1, 1)", "", 15),
    Trap("list that names it", "ALTER TABLE p ADD UNIQUE (id, g); CREATE TABLE c (p int NOT NULL, n int,"
         " FOREIGN KEY (p, n) REFERENCES p (id, g) ON DELETE SET NULL (p)); INSERT INTO c VALUES (1, 1), (2, NULL)", "23502", 15),
    Trap("list of a whole match", "ALTER TABLE p ADD UNIQUE (id, g); CREATE TABLE c (p int, n int,"
         " FOREIGN KEY (p, n) REFERENCES p (id, g) MATCH FULL ON DELETE SET NULL (p)); INSERT INTO c VALUES (1, 1), (NULL, NULL)", "23503", 15),
    Trap("list and update", "ALTER TABLE p ADD UNIQUE (id, g); CREATE TABLE c (p int, n int NOT NULL,"
         " FOREIGN KEY (p, n) REFERENCES p (id, g) ON UPDATE SET NULL ON DELETE SET NULL (p)); INSERT INTO c VALUES (1, 1)", "23502", 15, update=True),
    Trap("partitioned", f"CREATE TABLE c (p int NOT NULL {FK}, n int) PARTITION BY LIST (n); CREATE TABLE c1 PARTITION OF c FOR VALUES IN (1);"
         " INSERT INTO c VALUES (1, 1)", "23502"),
)  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_set_null_that_is_refused_is_told_with_how_many_rows_it_holds_fast(
    trap: Trap, database: Make, version: int
) -> None:
    if version < trap.since:
        pytest.skip(f"for PostgreSQL {trap.since} and later")
    dsn = database(PARENTS, trap.ddl)
    result = audit(dsn, select=[SET_NULL])
    with connected(dsn) as connection:
        blocked = trap.blocked(connection)
    if not trap.sqlstate:
        assert (blocked, titles(result)) == (0, [])
        return
    (finding,) = result.findings
    done = "re-keyed" if trap.update else "deleted"
    start = f"{blocked} of 4 rows of public.p cannot be " if blocked else "Rows of public.p cannot be "
    assert finding.title.startswith(start)
    assert done in finding.title
    assert f"SQLSTATE {trap.sqlstate}" in finding.message
    assert finding.evidence is not None
    assert finding.evidence.violations == blocked


@pytest.mark.parametrize("trap", [trap for trap in TRAPS if trap.sqlstate], ids=lambda trap: trap.name)
def test_its_fixes_keep_what_they_say(trap: Trap, database: Make, version: int) -> None:
    """After a fix the finding is gone, a promise that is kept is kept, and the rollback brings everything back."""
    if version < trap.since:
        pytest.skip(f"for PostgreSQL {trap.since} and later")
    dsn = database(PARENTS, trap.ddl)
    (finding,) = audit(dsn, select=[SET_NULL]).findings
    with connected(dsn) as connection:
        before = schema_of(connection)
        for fix in finding.fixes:
            if trap.name == "not valid key" and any("VALIDATE" in statement for statement in fix.sql):
                continue  # its orphans are in the way
            for statement in fix.sql:
                connection.execute(statement.encode())
            assert titles(audit(dsn, select=[SET_NULL])) == []
            if "NO ACTION" not in fix.title:
                assert trap.blocked(connection) == 0, fix.title
            for statement in fix.rollback:
                connection.execute(statement.encode())
            assert schema_of(connection) == before, fix.title


def schema_of(connection: Connection) -> list[Any]:
    """The constraints and NOT NULLs there are."""
    constraints = "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE oid >= 16384 AND conparentid = 0 ORDER BY 1, 2, 3"  # fmt: skip
    columns = "SELECT attrelid::regclass::text, attname, attnotnull FROM pg_attribute JOIN pg_class AS r ON r.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND relkind IN ('r', 'p') ORDER BY 1, 2"  # fmt: skip
    domains = "SELECT typname, typnotnull FROM pg_type WHERE typtype = 'd' AND oid >= 16384 ORDER BY 1"
    return [connection.execute(text.encode()).fetchall() for text in (constraints, columns, domains)]


def test_a_cascade_that_reaches_such_a_table_fails_as_a_whole(database: Make) -> None:
    dsn = database("""
        CREATE TABLE grand (id int PRIMARY KEY);
        CREATE TABLE p (id int PRIMARY KEY, grand int REFERENCES grand ON DELETE CASCADE);
        CREATE TABLE c (p int NOT NULL REFERENCES p ON DELETE SET NULL);
        INSERT INTO grand VALUES (1), (2); INSERT INTO p VALUES (1, 1), (2, 2); INSERT INTO c VALUES (1);
    """)
    with connected(dsn) as connection:
        assert sqlstate(connection, "DELETE FROM grand WHERE id = 1") == "23502"
        assert sqlstate(connection, "DELETE FROM grand WHERE id = 2") == ""
    (finding,) = audit(dsn, select=[SET_NULL]).findings
    assert "Deleting from public.grand fails too" in finding.message


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT"])
def test_a_row_that_points_to_itself_can_be_deleted(action: str, database: Make) -> None:
    dsn = database(f"CREATE TABLE p (id int PRIMARY KEY, p int NOT NULL REFERENCES p ON DELETE {action}); INSERT INTO p VALUES (1, 1)")  # fmt: skip
    with connected(dsn) as connection:
        assert sqlstate(connection, "DELETE FROM p") == ""
    assert titles(audit(dsn, select=[SET_NULL])) == []


def test_what_ddl_refuses_needs_no_check(database: Make, version: int) -> None:
    with connected(database(PARENTS)) as connection:
        generated = "CREATE TABLE c (a int, p int GENERATED ALWAYS AS (a) STORED REFERENCES p ON DELETE SET NULL)"
        assert sqlstate(connection, generated) == "42601"
        if version >= 18:
            period = "CREATE TABLE q (i int4range, d daterange, PRIMARY KEY (i, d WITHOUT OVERLAPS))"
            pointing = "CREATE TABLE r (i int4range, d daterange, FOREIGN KEY (i, PERIOD d) REFERENCES q (i, PERIOD d) ON DELETE SET NULL)"  # fmt: skip
            assert sqlstate(connection, period, pointing) == "0A000"


# --- valid is not true -----------------------------------------------------------------------------------------------

CHILDREN = "CREATE TABLE c (id int PRIMARY KEY, p int CONSTRAINT c_p REFERENCES p ON DELETE CASCADE);"


def test_a_trigger_that_cancels_a_cascade_leaves_orphans_under_a_valid_key(database: Make) -> None:
    dsn = database(
        PARENTS + CHILDREN,
        """
        INSERT INTO c VALUES (1, 1), (2, 2);
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keep BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION keep();
        """,
    )
    assert orphans(dsn, depth="full") == []
    with connected(dsn) as connection:
        connection.execute("DELETE FROM p WHERE id = 1")
        connection.execute("ALTER TABLE c VALIDATE CONSTRAINT c_p")  # does nothing
        assert one(connection, "SELECT convalidated FROM pg_constraint WHERE conname = 'c_p'") is True
        assert one(connection, "SELECT count(*) FROM c WHERE p = 1") == 1
    assert orphans(dsn) == []  # the server vouches for it
    assert titles(audit(dsn, select=["references/fk-not-enforced"])) == []
    assert orphans(dsn, depth="full") == [ORPHAN]


def test_triggers_of_a_key_are_two_on_each_side_and_each_side_is_told(database: Make) -> None:
    user = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER own BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION f();"  # fmt: skip
    both = ["references/fk-not-enforced", "foundations/trigger-disabled"]
    for off, side in (("c", "referencing"), ("p", "referenced")):
        dsn = database(PARENTS + CHILDREN, "INSERT INTO c VALUES (2, 2)", user.format(off))
        with connected(dsn) as connection:
            count = (
                "SELECT count(*) FROM pg_trigger WHERE tgisinternal AND tgconstraint <> 0 AND tgrelid = '{}'::regclass"
            )
            assert [one(connection, count.format(table)) for table in "cp"] == [2, 2]
            connection.execute(f"ALTER TABLE {off} DISABLE TRIGGER ALL".encode())
            state = "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D' AND tgisinternal"
            assert one(connection, state) == 2
            assert sqlstate(connection, "INSERT INTO c VALUES (9, 9)") == ("" if off == "c" else "23503")
            with connection.transaction(force_rollback=True):
                connection.execute("DELETE FROM p WHERE id = 2")
                assert one(connection, "SELECT count(*) FROM c") == (0 if off == "c" else 1)
            assert one(connection, "SELECT convalidated FROM pg_constraint WHERE conname = 'c_p'") is True
        assert titles(audit(dsn, select=both)) == [
            f"The foreign key c_p of public.c is off on the {side} side (public.{off})",
            f"The trigger own of public.{off} is disabled",
        ]


def test_rows_loaded_under_the_replica_role_are_not_checked_afterwards(database: Make) -> None:
    dsn = database(PARENTS + CHILDREN)
    with connected(dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO c VALUES (1, 9)")
        connection.execute("RESET session_replication_role")
        connection.execute("ALTER TABLE c VALIDATE CONSTRAINT c_p")
        assert sqlstate(connection, "UPDATE c SET id = 5") == ""  # only a change of p would be checked
    assert (orphans(dsn), orphans(dsn, depth="full")) == ([], [ORPHAN])


def test_what_is_not_enforced_is_not_validated(database: Make, version: int) -> None:
    if version < 18:
        pytest.skip("for PostgreSQL 18 and later")
    dsn = database(
        PARENTS,
        "CREATE TABLE c (id int, p int CONSTRAINT c_p REFERENCES p NOT ENFORCED, n int CONSTRAINT c_n CHECK (n > 0) NOT ENFORCED);"
        "INSERT INTO c VALUES (1, 9, -1)",
    )
    with connected(dsn) as connection:
        states = "SELECT array_agg(DISTINCT ARRAY[convalidated, conenforced]) FROM pg_constraint WHERE conname IN ('c_p', 'c_n')"
        assert one(connection, states) == [[False, False]]
        assert one(connection, "SELECT count(*) FROM pg_trigger") == 0
        assert sqlstate(connection, "ALTER TABLE c VALIDATE CONSTRAINT c_p") == "55000"
        assert sqlstate(connection, "ALTER TABLE c VALIDATE CONSTRAINT c_n") == "55000"
        assert sqlstate(connection, "ALTER TABLE c ALTER CONSTRAINT c_n ENFORCED") == "42809"
        assert sqlstate(connection, "ALTER TABLE c ALTER CONSTRAINT c_p ENFORCED") == "23503"
        assert sqlstate(connection, "DELETE FROM c", "ALTER TABLE c ALTER CONSTRAINT c_p ENFORCED") == ""
    assert titles(audit(dsn, select=["references", "nullability/check-violated"])) == [
        "1 row of public.c breaks the CHECK c_n, which is NOT ENFORCED",
        ORPHAN,
        "The foreign key c_p of public.c is NOT ENFORCED, and 1 row breaks it",
    ]


def test_a_not_valid_key_looks_only_at_changes_of_its_column(database: Make) -> None:
    dsn = database(
        PARENTS,
        "CREATE TABLE c (id int, p int); INSERT INTO c VALUES (1, 9), (2, 1);"
        "ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p NOT VALID",
    )
    with connected(dsn) as connection:
        assert sqlstate(connection, "UPDATE c SET id = 7 WHERE p = 9") == ""
        assert sqlstate(connection, "UPDATE c SET p = 8 WHERE p = 9") == "23503"
        assert sqlstate(connection, "ALTER TABLE c VALIDATE CONSTRAINT c_p") == "23503"
    assert orphans(dsn) == [ORPHAN]


def test_keys_of_partitioned_tables_are_not_valid_from_18_on(database: Make, version: int) -> None:
    dsn = database(PARENTS, "CREATE TABLE c (p int) PARTITION BY LIST (p); CREATE TABLE c9 PARTITION OF c FOR VALUES IN (9); INSERT INTO c VALUES (9)")  # fmt: skip
    add = "ALTER TABLE {} ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p NOT VALID"
    with connected(dsn) as connection:
        assert sqlstate(connection, add.format("c")) == ("" if version >= 18 else "42809")
        connection.execute(add.format("c" if version >= 18 else "c9").encode())
    where = "c" if version >= 18 else "c9"
    assert orphans(dsn) == [ORPHAN.replace("public.c ", f"public.{where} ")]


def test_a_not_null_that_is_not_valid_says_not_null_while_nulls_exist(database: Make, version: int) -> None:
    if version < 18:
        pytest.skip("for PostgreSQL 18 and later")
    dsn = database("CREATE TABLE t (a int UNIQUE); INSERT INTO t VALUES (NULL), (NULL); ALTER TABLE t ADD CONSTRAINT n NOT NULL a NOT VALID")  # fmt: skip
    with connected(dsn) as connection:
        said = "SELECT attnotnull || ' ' || is_nullable FROM pg_attribute, information_schema.columns WHERE attrelid = 't'::regclass AND attname = 'a' AND table_name = 't'"  # fmt: skip
        assert one(connection, said) == "true NO"
    with Session(Target(dsn)) as session:
        table = open_catalog(session).by_name["public", "t"]
    assert (table.keys, table.row_key) == ((), ())  # two rows share it: it names no row


# --- what a login is shown ----------------------------------------------------------------------------------------------


def test_row_security_makes_orphans_up_and_hides_them(database: Make) -> None:
    dsn = database(
        PARENTS,
        """
        CREATE TABLE c (id int PRIMARY KEY, p int);
        INSERT INTO c VALUES (1, 1), (2, 2), (3, 9);
        ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p NOT VALID;
        GRANT SELECT ON p, c TO PUBLIC;
        CREATE POLICY half ON p USING (id = 1);
        CREATE POLICY half ON c USING (id < 3);
        """,
    )
    missing = "SELECT array_agg(id ORDER BY id) FROM c WHERE NOT EXISTS (SELECT FROM p WHERE p.id = c.p)"
    reader = login(dsn)
    for table, said in (("p", [2, 3]), ("c", None)):
        with connected(dsn) as connection, connected(reader) as lesser:
            connection.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY".encode())
            assert one(connection, missing) == [3]
            assert one(lesser, missing) == said
            assert sqlstate(lesser, "SET LOCAL row_security = off", missing) == "42501"
            result = audit(reader, select=["references/orphan-rows"])
            assert [(c.outcome, c.reason) for c in result.coverage] == [("not_checked", "row_security")]
            connection.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY".encode())
    assert orphans(reader) == [ORPHAN]


def test_a_key_to_a_plain_index_has_no_constraint_to_name(database: Make) -> None:
    dsn = database(
        "CREATE TABLE p (id int); CREATE UNIQUE INDEX p_id ON p (id); CREATE TABLE c (p int);"
        "INSERT INTO c VALUES (9); ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p (id) NOT VALID"
    )
    with connected(dsn) as connection:
        assert one(connection, "SELECT unique_constraint_name FROM information_schema.referential_constraints") is None
    assert orphans(dsn) == [ORPHAN]


def test_constraint_names_are_unique_per_table_only(database: Make) -> None:
    script = (
        PARENTS + "CREATE TABLE c (p int); CREATE TABLE d (p int); INSERT INTO c VALUES (9); INSERT INTO d VALUES (9);"
    )
    same = "".join(f"ALTER TABLE {t} ADD CONSTRAINT same FOREIGN KEY (p) REFERENCES p NOT VALID;" for t in "cd")
    result = audit(database(script, same), select=["references/orphan-rows"])
    assert titles(result) == [ORPHAN, ORPHAN.replace("public.c", "public.d")]
    assert len({finding.fingerprint for finding in result.findings}) == 2


def test_names_do_not_depend_on_the_search_path(database: Make) -> None:
    dsn = database(
        "CREATE SCHEMA app; SET search_path = app;" + PARENTS,
        "CREATE TABLE app.c (p int); INSERT INTO app.c VALUES (9);"
        "ALTER TABLE app.c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES app.p NOT VALID",
    )
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with connected(dsn) as connection:
        assert one(connection, "SELECT 'app.c'::regclass::text") == "app.c"
        connection.execute(f"ALTER DATABASE {name} SET search_path = app".encode())
    with connected(dsn) as connection:
        assert one(connection, "SELECT 'app.c'::regclass::text") == "c"
    assert orphans(dsn) == [ORPHAN.replace("public.", "app.")]


def test_errors_of_the_server_carry_values_and_the_report_does_not(database: Make) -> None:
    dsn = database(PARENTS, "CREATE TABLE c (p int, word text); INSERT INTO c VALUES (1, 'hunter2')")
    with connected(dsn) as connection, pytest.raises(psycopg.errors.InvalidTextRepresentation, match="hunter2"):
        connection.execute("SELECT word::int FROM c")
    config = '[[reference]]\nfrom = "c(p)"\nto = "p(id)"\nwhere = "word::int > 0"'
    result = audit(dsn, config, select=["references/orphan-rows"])
    assert [(c.outcome, c.reason, c.detail) for c in result.coverage] == [
        ("not_checked", "unsupported", "SQLSTATE 22P02")
    ]
    assert "hunter2" not in repr(result)


# --- matching rows ---------------------------------------------------------------------------------------------------


def test_not_in_finds_nothing_beside_one_null_and_the_auditor_does(database: Make) -> None:
    dsn = database(
        "CREATE TABLE p (id int UNIQUE); INSERT INTO p VALUES (1), (NULL);"
        "CREATE TABLE c (p int); INSERT INTO c VALUES (1), (9), (NULL);"
        "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p (id) NOT VALID"
    )
    with connected(dsn) as connection:
        assert one(connection, "SELECT count(*) FROM c WHERE p NOT IN (SELECT id FROM p)") == 0
    assert orphans(dsn) == [ORPHAN]


@pytest.mark.parametrize(("match", "said"), [("SIMPLE", []), ("FULL", ["2 rows of public.c point to 2 rows of public.q that do not exist"])])  # fmt: skip
def test_rows_of_which_a_part_is_null(match: str, said: list[str], database: Make) -> None:
    dsn = database(
        PAIR, "CREATE TABLE c (a int, b int); INSERT INTO c VALUES (1, 1), (8, NULL), (NULL, 8), (NULL, NULL)"
    )
    with connected(dsn) as connection:
        assert one(connection, "SELECT count(*) FROM c WHERE (a, b) IS NOT NULL") == 1
        assert one(connection, "SELECT count(*) FROM c WHERE (a, b) IS NULL") == 1
        key = f"ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (a, b) REFERENCES q (x, y) MATCH {match}"
        assert sqlstate(connection, key) == ("23503" if said else "")
        connection.execute(f"{key} NOT VALID".encode())
    assert orphans(dsn) == said


OWN_TYPE = """
    CREATE SCHEMA types;
    CREATE TYPE types.word;
    CREATE FUNCTION types.word_in(cstring) RETURNS types.word LANGUAGE internal IMMUTABLE STRICT AS 'textin';
    CREATE FUNCTION types.word_out(types.word) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
    CREATE TYPE types.word (INPUT = types.word_in, OUTPUT = types.word_out, LIKE = text);
    CREATE CAST (types.word AS text) WITHOUT FUNCTION AS IMPLICIT;
    CREATE FUNCTION types.cmp(types.word, types.word) RETURNS int LANGUAGE sql IMMUTABLE STRICT
        AS 'SELECT pg_catalog.bttextcmp(pg_catalog.lower($1::text), pg_catalog.lower($2::text))';
""" + "".join(
    f"CREATE FUNCTION types.{name}(types.word, types.word) RETURNS bool LANGUAGE sql IMMUTABLE STRICT"
    f" AS 'SELECT types.cmp($1, $2) {sign} 0';"
    f"CREATE OPERATOR types.{sign} (LEFTARG = types.word, RIGHTARG = types.word, FUNCTION = types.{name});"
    for name, sign in (("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">"))
) + """
    CREATE OPERATOR CLASS types.word_ops DEFAULT FOR TYPE types.word USING btree AS OPERATOR 1 types.<,
        OPERATOR 2 types.<=, OPERATOR 3 types.=, OPERATOR 4 types.>=, OPERATOR 5 types.>, FUNCTION 1 types.cmp(types.word, types.word);
    CREATE TABLE p (id types.word PRIMARY KEY);
    INSERT INTO p VALUES ('one');
    CREATE TABLE c (p types.word CONSTRAINT c_p REFERENCES p);
"""  # fmt: skip


def test_equal_is_what_the_constraint_calls_equal(database: Make) -> None:
    """A type whose own = ignores case: what the search path finds instead compares it as text, and invents an orphan."""
    dsn = database(OWN_TYPE, "INSERT INTO c VALUES ('ONE')")
    with connected(dsn) as connection:
        assert sqlstate(connection, "INSERT INTO c VALUES ('two')") == "23503"
        missing = "SELECT count(*) FROM c WHERE NOT EXISTS (SELECT FROM p WHERE p.id = c.p)"
        assert one(connection, missing) == 1  # text = text
        connection.execute("SET search_path = public, types")
        assert one(connection, missing) == 0
    assert orphans(dsn, depth="full") == []
    with connected(dsn) as connection:
        connection.execute("SET session_replication_role = replica; INSERT INTO c VALUES ('two')")
    assert orphans(dsn, depth="full") == [ORPHAN]
    config = '[[reference]]\nfrom = "c(p)"\nto = "p(id)"'
    assert titles(audit(dsn, config, select=["references/orphan-rows"])) == [ORPHAN]
    keys = '[[unique]]\ntable = "c"\ncolumns = ["p"]'
    with connected(dsn) as connection:
        connection.execute("INSERT INTO c VALUES ('one')")
        assert sqlstate(connection, "CREATE UNIQUE INDEX ON c (p)") == "23505"
    (finding,) = audit(dsn, keys, select=["uniqueness/live-duplicates"]).findings
    assert "2 rows share 1 value" in finding.title


def test_a_collation_of_another_kind_invents_orphans(database: Make) -> None:
    dsn = database()
    with connected(dsn) as connection:
        try:
            connection.execute(
                "CREATE COLLATION ci (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false)"
            )
        except psycopg.errors.FeatureNotSupported:
            return  # a server without ICU has deterministic collations only: equal is equal in all of them
        connection.execute(
            "CREATE TABLE p (id text COLLATE ci PRIMARY KEY); INSERT INTO p VALUES ('one');"
            "CREATE TABLE c (p text COLLATE ci REFERENCES p); INSERT INTO c VALUES ('ONE')"
        )
        missing = 'SELECT count(*) FROM c WHERE NOT EXISTS (SELECT FROM p WHERE p.id COLLATE "{}" = c.p)'
        assert [one(connection, missing.format(name)) for name in ("ci", "C")] == [0, 1]
    assert orphans(dsn, depth="full") == []
    with connected(dsn) as connection:
        connection.execute("SET session_replication_role = replica; INSERT INTO c VALUES ('two')")
    assert orphans(dsn, depth="full") == [ORPHAN]


def test_inheritance_children_are_neither_parents_nor_watched(database: Make) -> None:
    dsn = database(
        PARENTS,
        """
        CREATE TABLE p_more () INHERITS (p);
        INSERT INTO p_more VALUES (9), (1);
        CREATE TABLE c (p int CONSTRAINT c_p REFERENCES p);
        CREATE TABLE c_more () INHERITS (c);
        INSERT INTO c_more VALUES (77);
        CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY LIST (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
        INSERT INTO parts VALUES (1);
        CREATE TABLE d (p int REFERENCES parts);
        INSERT INTO d VALUES (1);
        """,
    )
    with connected(dsn) as connection:
        assert one(connection, "SELECT count(*) FROM p WHERE id = 1") == 2  # a primary key is not inherited
        assert one(connection, "SELECT count(*) FROM p WHERE id = 9") == 1
        assert sqlstate(connection, "INSERT INTO c VALUES (9)") == "23503"
        assert one(connection, "SELECT count(*) FROM ONLY parts") == 0
        connection.execute("SET session_replication_role = replica; INSERT INTO c VALUES (9)")
    assert orphans(dsn, depth="full") == [ORPHAN]


def test_a_check_is_broken_only_where_it_is_false(database: Make) -> None:
    dsn = database("CREATE TABLE t (n int CONSTRAINT positive CHECK (n > 0)); INSERT INTO t VALUES (1), (NULL)")
    with connected(dsn) as connection:
        assert one(connection, "SELECT count(*) FROM t WHERE (n > 0) IS NOT TRUE") == 1
        assert one(connection, "SELECT count(*) FROM t WHERE (n > 0) IS FALSE") == 0
    assert titles(audit(dsn, depth="full", select=["nullability/check-violated"])) == []


# --- uniqueness --------------------------------------------------------------------------------------------------------


def test_what_may_be_referenced_is_a_key(database: Make, version: int) -> None:
    """The server's own judgement of each index, beside the auditor's; a key names one row, so its columns are filled, too."""
    dsn = database("""
        CREATE TABLE t (whole int NOT NULL, partly int NOT NULL, late int NOT NULL UNIQUE DEFERRABLE, nulls int,
            computed int NOT NULL, wide int NOT NULL, more int NOT NULL);
        CREATE UNIQUE INDEX ON t (whole);
        CREATE UNIQUE INDEX ON t (partly) WHERE partly > 0;
        CREATE UNIQUE INDEX ON t (nulls);
        CREATE UNIQUE INDEX ON t ((computed + 0));
        CREATE UNIQUE INDEX ON t (wide) INCLUDE (more);
    """)
    with connected(dsn) as connection:
        said = {
            name: sqlstate(connection, f"CREATE TABLE c (x int REFERENCES t ({name}))")
            for name in ("whole", "partly", "late", "nulls", "computed", "wide", "more")
        }
        assert (
            sqlstate(connection, "CREATE TABLE c (x int, y int, FOREIGN KEY (x, y) REFERENCES t (wide, more))")
            == "42830"
        )
    assert said == {
        "whole": "", "partly": "42830", "late": "55000", "nulls": "", "computed": "42830", "wide": "", "more": "42830",
    }  # fmt: skip
    with Session(Target(dsn)) as session:
        table = open_catalog(session).by_name["public", "t"]
    assert set(table.keys) == {(name,) for name in ("whole", "wide")}


def test_nulls_are_no_duplicates_to_an_index_and_are_to_group_by(database: Make, version: int) -> None:
    dsn = database("CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 1, NULL), (2, 1, NULL), (3, NULL, NULL), (4, NULL, NULL)")  # fmt: skip
    key = '[[unique]]\ntable = "t"\ncolumns = ["a", "b"]'
    with connected(dsn) as connection:
        assert one(connection, "SELECT count(*) FROM (SELECT FROM t GROUP BY a, b HAVING count(*) > 1) AS g") == 2
        assert sqlstate(connection, "CREATE UNIQUE INDEX ON t (a, b)") == ""
        if version >= 15:
            assert sqlstate(connection, "CREATE UNIQUE INDEX ON t (a, b) NULLS NOT DISTINCT") == "23505"
    (finding,) = audit(dsn, key, select=["uniqueness/live-duplicates"]).findings
    assert "(no duplicates stand in the way of one)" in finding.title
    with connected(dsn) as connection:
        connection.execute("INSERT INTO t VALUES (5, 2, 2), (6, 2, 2)")
        assert sqlstate(connection, "CREATE UNIQUE INDEX ON t (a, b)") == "23505"
    (finding,) = audit(dsn, key, select=["uniqueness/live-duplicates"]).findings
    assert "2 rows share 1 value" in finding.title


def test_an_index_that_failed_to_build_lets_duplicates_in(database: Make) -> None:
    dsn = database("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1), (2, 1)")
    key = '[[unique]]\ntable = "t"\ncolumns = ["a"]'
    with connected(dsn) as connection:
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)")
        connection.execute("DELETE FROM t WHERE id = 2")
        connection.execute("INSERT INTO t VALUES (3, 1)")
        assert connection.execute("SELECT indisvalid, indisready FROM pg_index WHERE indexrelid = 't_a'::regclass").fetchone() == (False, False)  # fmt: skip
    (finding,) = audit(dsn, key, select=["uniqueness/live-duplicates"]).findings
    assert "2 rows share 1 value" in finding.title
    assert "The unique index t_a is invalid" in finding.message
    with connected(dsn) as connection:
        connection.execute("DELETE FROM t WHERE id = 3")
    (finding,) = audit(dsn, key, select=["uniqueness/live-duplicates"]).findings
    assert finding.title.startswith("No unique index keeps a of public.t apart")
    with connected(dsn) as connection:
        connection.execute("REINDEX INDEX t_a")
    assert audit(dsn, key, select=["uniqueness/live-duplicates"]).findings == ()


def test_an_index_on_only_the_partitioned_table_keeps_nothing_apart(database: Make) -> None:
    dsn = database("""
        CREATE TABLE t (a int, b int) PARTITION BY LIST (a);
        CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
        CREATE UNIQUE INDEX t_ab ON ONLY t (a, b);
        INSERT INTO t VALUES (1, 1), (1, 1);
    """)
    with connected(dsn) as connection:
        assert one(connection, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_ab'::regclass") is False
        assert one(connection, "SELECT count(*) FROM pg_stat_all_indexes WHERE indexrelname = 't_ab'") == 0
    key = '[[unique]]\ntable = "t"\ncolumns = ["a", "b"]'
    (finding,) = audit(dsn, key, select=["uniqueness/live-duplicates"]).findings
    assert "2 rows share 1 value" in finding.title


def test_a_mark_that_is_null_inside_a_key_keeps_live_rows_from_nothing(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id int PRIMARY KEY, name text, deleted_at timestamptz, CONSTRAINT k UNIQUE (name, deleted_at))"
    )
    with connected(dsn) as connection:
        assert sqlstate(connection, "INSERT INTO t VALUES (1, 'a', now()), (2, 'a', now())") == "23505"
        connection.execute("INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    (finding,) = audit(dsn, select=["uniqueness/soft-delete-in-key"]).findings
    assert finding.title.startswith("2 live rows of public.t share 1 value of name")


def test_a_key_that_counts_deleted_rows_refuses_their_values(database: Make) -> None:
    dsn = database(
        "CREATE TABLE t (id int PRIMARY KEY, name text UNIQUE, deleted_at timestamptz); INSERT INTO t VALUES (1, 'a', now()), (2, 'b', NULL)"
    )
    with connected(dsn) as connection:
        assert sqlstate(connection, "INSERT INTO t VALUES (3, 'a')") == "23505"
    (finding,) = audit(dsn, select=["uniqueness/soft-delete-blocks-reuse"]).findings
    assert finding.evidence is not None
    assert finding.evidence.violations == 1


# --- one moment --------------------------------------------------------------------------------------------------------


def test_count_and_sample_are_of_one_moment(database: Make) -> None:
    dsn = database(
        PARENTS,
        "CREATE TABLE c (id int PRIMARY KEY, p int); INSERT INTO c VALUES (1, 9), (2, 9), (3, 8);"
        "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p NOT VALID",
    )
    with connected(dsn) as other, Session(Target(dsn)) as session:
        ((table, key, parent),) = open_catalog(session).foreign_keys
        with session.transaction() as fetch:

            def changing(text: str) -> list[tuple[str | None, ...]]:
                answer = fetch(text)
                other.execute("DELETE FROM c")
                return answer

            answer = ask(Unmatched.of_key(table, key, parent), changing, Samples())
        assert one(other, "SELECT count(*) FROM c") == 0
    assert (answer.count, answer.groups, len(answer.evidence.sample)) == (3, 2, 3)
