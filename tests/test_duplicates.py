"""Clearing duplicates away: which row stays, what becomes of the references to the others, and that all of it can be taken back."""

from __future__ import annotations

import psycopg
import pytest

from auditor.check import Finding, Fix
from auditor.report.html import toml_text
from tests.conftest import Make
from tests.helpers import audit, titles
from tests.test_hostile import NAMES, Names
from tests.test_uniqueness import run, state

ONLY = ["uniqueness/live-duplicates"]
EMAIL = '[[unique]]\ntable = "people"\ncolumns = ["email"]\n'
PEOPLE = """
    CREATE TABLE people (id int PRIMARY KEY, email text, updated_at timestamptz);
    INSERT INTO people VALUES (1, 'a', '2024-01-01'), (2, 'a', '2024-02-01'), (3, 'b', '2024-01-01'), (4, 'b', '2024-02-01'),
        (5, 'c', NULL), (6, NULL, NULL), (7, NULL, NULL);
"""


def plan(dsn: str, config: str = EMAIL) -> tuple[Finding, Fix]:
    """The finding about the duplicates, and the fix that clears them away."""
    (finding,) = audit(dsn, config, select=ONLY).findings
    return finding, next(fix for fix in finding.fixes if fix.title.startswith("Clear the duplicates away"))


def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def attempt(dsn: str, fix: Fix, but: str) -> None:
    """The fix in one transaction, without moving the rows of one table."""
    with psycopg.connect(dsn) as connection:
        for statement in fix.sql:
            if not statement.startswith(f"UPDATE public.{but}"):
                connection.execute(statement.encode())


def applied(dsn: str, config: str = EMAIL) -> Fix:
    """The fix, applied, taken back (which leaves all as it was), and applied again: no duplicate is left."""
    whole = state(dsn)
    _, fix = plan(dsn, config)
    run(dsn, *fix.sql)
    assert titles(audit(dsn, config, select=ONLY)) == []
    run(dsn, *fix.rollback)
    assert state(dsn) == whole
    run(dsn, *fix.sql)
    return fix


def test_references_move_to_the_row_that_stays_which_is_the_most_referenced(database: Make) -> None:
    dsn = database(
        PEOPLE,
        """CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES people ON DELETE CASCADE);
        INSERT INTO posts VALUES (1, 1), (2, 1), (3, 2), (4, NULL), (5, 3), (6, 5);
        CREATE TABLE notes (id int PRIMARY KEY, person int NOT NULL REFERENCES people, UNIQUE (person, id));
        INSERT INTO notes VALUES (1, 2), (2, 4), (3, 4);""",
    )
    finding, fix = plan(dsn)
    assert (
        "Of the 4 rows 2 stay, one for each value: the one that most rows of public.notes and public.posts reference,"
        " else the latest by updated_at, else the highest id." in finding.message
    )
    assert fix.caveats[0] == (
        "Of each key the one that most rows of public.notes and public.posts reference, else the latest by updated_at, else"
        " the highest id stays. Look at the rows before the others go: beside each of the others public.people_email_duplicates"
        " names it, in kept_id."
    )
    assert not any("23505" in caveat for caveat in fix.caveats)
    applied(dsn)
    # 1 and 2 are referenced twice each: the later one stays. Of 3 and 4 it is 4, by two to one.
    assert rows(dsn, "SELECT id FROM people ORDER BY 1") == [(2,), (4,), (5,), (6,), (7,)]
    assert rows(dsn, "SELECT author FROM posts ORDER BY id") == [(2,), (2,), (2,), (None,), (4,), (5,)]
    assert rows(dsn, "SELECT person FROM notes ORDER BY id") == [(2,), (4,), (4,)]
    assert rows(dsn, "SELECT id, kept_id FROM people_email_duplicates ORDER BY 1") == [(1, 2), (3, 4)]


def test_of_links_that_become_equal_one_stays(database: Make) -> None:
    dsn = database(
        PEOPLE,
        """CREATE TABLE groups (id int PRIMARY KEY);
        INSERT INTO groups SELECT generate_series(1, 5);
        CREATE TABLE members (person int REFERENCES people, "group" int REFERENCES groups, role text, PRIMARY KEY (person, "group"));
        INSERT INTO members VALUES (1, 1, 'mine'), (2, 1, 'theirs'), (2, 2, 'only theirs'), (1, 3, 'only mine'), (1, 4, 'x'),
            (3, 1, 'a'), (4, 1, 'b'), (5, 1, 'c');""",
    )
    fix = applied(dsn)
    assert any(
        caveat.startswith("Links of public.members that would become equal under members_pkey")
        for caveat in fix.caveats
    )
    assert rows(dsn, "SELECT * FROM members ORDER BY 1, 2") == [
        (1, 1, "mine"), (1, 2, "only theirs"), (1, 3, "only mine"), (1, 4, "x"), (4, 1, "b"), (5, 1, "c"),
    ]  # fmt: skip


def test_of_links_only_those_that_the_index_holds_go(database: Make) -> None:
    dsn = database(
        PEOPLE,
        """CREATE TABLE groups (id int PRIMARY KEY); INSERT INTO groups VALUES (1);
        CREATE TABLE members (id int PRIMARY KEY, person int REFERENCES people, team int REFERENCES groups, active boolean);
        CREATE UNIQUE INDEX ON members (person, team) WHERE active;
        INSERT INTO members VALUES (1, 1, 1, true), (2, 2, 1, true), (3, 1, 1, false), (4, 2, 1, false), (5, 1, 1, false)""",
    )
    applied(dsn)  # person 1 has three links, and stays
    assert rows(dsn, "SELECT id, person FROM members ORDER BY 1") == [(1, 1), (3, 1), (4, 1), (5, 1)]


def test_links_that_others_reference_are_left_to_a_human(database: Make) -> None:
    dsn = database(
        PEOPLE,
        """CREATE TABLE groups (id int PRIMARY KEY); INSERT INTO groups VALUES (1);
        CREATE TABLE members (person int REFERENCES people, team int REFERENCES groups, PRIMARY KEY (person, team));
        CREATE TABLE grants (id int PRIMARY KEY, person int, team int, FOREIGN KEY (person, team) REFERENCES members ON DELETE CASCADE);
        INSERT INTO members VALUES (1, 1), (2, 1); INSERT INTO grants VALUES (1, 1, 1), (2, 2, 1)""",
    )
    _, fix = plan(dsn)
    assert any("public.members that members_pkey keeps apart, the UPDATE fails" in caveat for caveat in fix.caveats)
    with pytest.raises(psycopg.IntegrityError):
        run(dsn, *fix.sql)
    assert rows(dsn, "SELECT count(*) FROM members UNION ALL SELECT count(*) FROM grants") == [(2,), (2,)]


def test_a_table_that_links_rows_of_one_table_twice_moves_both_ends(database: Make) -> None:
    dsn = database(
        PEOPLE.replace("(5, 'c'", "(8, 'a', '2023-01-01'), (5, 'c'"),
        """CREATE TABLE friends (id int PRIMARY KEY, one int NOT NULL REFERENCES people, other int REFERENCES people);
        CREATE UNIQUE INDEX ON friends (other, one);
        INSERT INTO friends VALUES (1, 1, 3), (2, 2, 4), (3, 8, 3), (4, 8, NULL), (5, 2, NULL), (6, 3, 1), (7, 5, 8), (8, 1, 2);""",
    )
    applied(dsn)
    (kept,), (other,) = rows(dsn, "SELECT id FROM people WHERE email IN ('a', 'b') ORDER BY email")
    assert rows(dsn, "SELECT one, other, count(*) FROM friends GROUP BY 1, 2 ORDER BY 1, 2, 3") == sorted(
        [(kept, other, 1), (kept, None, 2), (other, kept, 1), (5, kept, 1), (kept, kept, 1)],
        key=lambda row: (row[0], row[1] is None, row[1]),
    )


def test_rows_of_content_that_would_meet_are_left_to_a_human_and_nothing_is_lost(database: Make) -> None:
    dsn = database(
        PEOPLE,
        """CREATE TABLE profiles (id int PRIMARY KEY, person int REFERENCES people ON DELETE CASCADE, bio text,
            CONSTRAINT one_each UNIQUE (person));
        INSERT INTO profiles VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z');
        CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES people ON DELETE CASCADE);
        INSERT INTO posts VALUES (1, 1), (2, 2), (3, 3)""",
    )
    whole = rows(dsn, "SELECT * FROM profiles"), rows(dsn, "SELECT * FROM posts"), rows(dsn, "SELECT * FROM people")
    _, fix = plan(dsn)
    assert any(
        "public.profiles that one_each keeps apart, the UPDATE fails with SQLSTATE 23505" in c for c in fix.caveats
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(dsn, *fix.sql)
    assert whole == (
        rows(dsn, "SELECT * FROM profiles"),
        rows(dsn, "SELECT * FROM posts"),
        rows(dsn, "SELECT * FROM people"),
    )
    run(dsn, "DROP TABLE people_email_duplicates, profiles_email_moved", "DELETE FROM profiles WHERE id = 1")
    applied(dsn)
    assert rows(dsn, "SELECT id, person FROM profiles ORDER BY 1") == [(2, 2), (3, 3)]


def test_rows_that_reference_rows_of_their_own_table(database: Make) -> None:
    dsn = database(
        PEOPLE,
        "ALTER TABLE people ADD boss int REFERENCES people; UPDATE people SET boss = 1 WHERE id IN (2, 5, 6);"
        "UPDATE people SET boss = 3 WHERE id IN (4, 7); UPDATE people SET boss = 2 WHERE id = 3",
    )
    applied(dsn)
    # 1 stays, and would point to itself by way of 2; so would 3 by way of 4, were it not for 2.
    assert rows(dsn, "SELECT id, boss FROM people ORDER BY 1") == [(1, None), (3, 1), (5, 1), (6, 1), (7, 3)]


def test_composite_keys_partitions_and_other_keys(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE p (site int, id int, email text, code text, PRIMARY KEY (site, id)) PARTITION BY LIST (site);
        CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
        INSERT INTO p VALUES (1, 1, 'a'), (2, 1, 'a'), (2, 2, 'b'), (1, 2, 'b'), (1, 3, 'c');
        CREATE TABLE q (k int PRIMARY KEY, site int, id int, FOREIGN KEY (site, id) REFERENCES p ON UPDATE CASCADE) PARTITION BY RANGE (k);
        CREATE TABLE q_1 PARTITION OF q FOR VALUES FROM (0) TO (4); CREATE TABLE q_2 PARTITION OF q FOR VALUES FROM (4) TO (9);
        INSERT INTO q VALUES (1, 1, 1), (2, 2, 2), (3, NULL, 1), (4, 1, 2), (5, 1, NULL), (6, 1, 2);
        """
    )
    config = '[[unique]]\ntable = "p"\ncolumns = ["email"]\n'
    before = rows(dsn, "SELECT * FROM p ORDER BY 1, 2"), rows(dsn, "SELECT * FROM q ORDER BY 1")
    _, fix = plan(dsn, config)
    moves, build = fix.sql[:-1], fix.sql[-1]
    with pytest.raises(psycopg.errors.FeatureNotSupported):  # as the caveat says
        run(dsn, build)
    run(dsn, *moves)
    assert rows(dsn, "SELECT site, id FROM p ORDER BY 1, 2") == [(1, 1), (1, 2), (1, 3)]
    assert rows(dsn, "SELECT * FROM q ORDER BY 1") == [
        (1, 1, 1),
        (2, 1, 2),
        (3, None, 1),
        (4, 1, 2),
        (5, 1, None),
        (6, 1, 2),
    ]
    run(dsn, *fix.rollback[1:])
    assert before == (rows(dsn, "SELECT * FROM p ORDER BY 1, 2"), rows(dsn, "SELECT * FROM q ORDER BY 1"))


def test_a_key_that_may_be_null_takes_no_references_over(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE people (email text, code text UNIQUE, updated_at timestamptz);
        INSERT INTO people VALUES ('a', 'x', NULL), ('a', NULL, now()), ('b', 'y', now()), ('b', 'z', NULL);
        CREATE TABLE badges (id int PRIMARY KEY, code text REFERENCES people (code));
        INSERT INTO badges VALUES (1, 'y'), (2, 'z'), (3, NULL);
        """
    )
    fix = applied(dsn)
    assert any("has no code, rows of public.badges cannot be moved" in caveat for caveat in fix.caveats)
    assert rows(dsn, "SELECT code FROM badges ORDER BY id") == [("y",), ("y",), (None,)]
    assert rows(dsn, "SELECT code FROM people ORDER BY email") == [(None,), ("y",)]


def test_a_reference_is_never_moved_to_null(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE people (id int PRIMARY KEY, email text, code text UNIQUE);
        INSERT INTO people VALUES (1, 'a', 'x'), (2, 'a', NULL);
        CREATE TABLE badges (id int PRIMARY KEY, code text REFERENCES people (code));
        CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES people);
        INSERT INTO badges VALUES (1, 'x'); INSERT INTO posts VALUES (1, 2), (2, 2);
        """
    )
    _, fix = plan(dsn)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):  # as the caveat says
        run(dsn, *fix.sql)
    assert rows(dsn, "SELECT code FROM badges") == [("x",)]
    assert rows(dsn, "SELECT count(*) FROM people") == [(2,)]


def test_what_is_compared_as_the_foreign_key_compares_it(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE people (login text COLLATE "C" PRIMARY KEY, email text);
        INSERT INTO people VALUES ('ada', 'a'), ('bob', 'a');
        CREATE TABLE groups (id bigint PRIMARY KEY); INSERT INTO groups VALUES (1), (2);
        CREATE TABLE members (person varchar COLLATE "POSIX" REFERENCES people, team int REFERENCES groups, PRIMARY KEY (person, team));
        INSERT INTO members VALUES ('ada', 1), ('bob', 1), ('ada', 2);
        """
    )
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.IndeterminateCollation):
        connection.execute("SELECT FROM members JOIN people ON login = person")
    applied(dsn)
    assert rows(dsn, "SELECT person, team FROM members ORDER BY 2") == [("ada", 1), ("ada", 2)]


def test_references_nobody_declared_are_moved_where_configured_and_named_otherwise(database: Make) -> None:
    dsn = database(
        PEOPLE,
        "CREATE TABLE posts (id int PRIMARY KEY, person int); INSERT INTO posts VALUES (1, 1), (2, 2), (3, 1), (4, 99);"
        "CREATE TABLE likes (id int PRIMARY KEY, what text, which int)",
    )
    said = "Not moved: public.posts (person), which no foreign key declares. See to it first that these rows do not"
    assert any(caveat.startswith(said) for caveat in plan(dsn)[1].caveats)
    declared = EMAIL + '[[reference]]\nfrom = "posts(person)"\nto = "people(id)"\n'
    many = declared + '[[reference]]\nfrom = "likes(which)"\ntype_column = "what"\ntargets = { P = "people(id)" }\n'
    fix = applied(dsn, many)
    assert rows(dsn, "SELECT person FROM posts ORDER BY id") == [(1,), (1,), (1,), (99,)]
    assert "Not moved: public.likes (which), which references several tables. See to it first" in " ".join(fix.caveats)


def test_some_references_cannot_be_moved_and_the_server_refuses_the_rest(database: Make) -> None:
    dsn = database(
        PEOPLE,
        "CREATE TABLE posts (id int GENERATED ALWAYS AS IDENTITY REFERENCES people); INSERT INTO posts DEFAULT VALUES;"
        "INSERT INTO posts DEFAULT VALUES",
    )
    _, fix = plan(dsn)
    assert any(caveat.startswith("Not moved: public.posts (id), which takes no other value.") for caveat in fix.caveats)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        run(dsn, *fix.sql)
    assert rows(dsn, "SELECT count(*) FROM people") == [(7,)]


def test_a_referencing_table_without_key_is_moved_for_good_and_triggers_are_named(database: Make) -> None:
    dsn = database(
        PEOPLE,
        """CREATE TABLE posts (author int REFERENCES people); INSERT INTO posts VALUES (1), (2), (2);
        CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER noisy BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION quiet()""",
    )
    _, fix = plan(dsn)
    said = " ".join(fix.caveats)
    assert "public.posts has no key: the rollback leaves its references on the rows that stayed." in said
    assert "Triggers of public.posts fire for each moved row: noisy." in said
    run(dsn, *fix.sql)
    assert rows(dsn, "SELECT author FROM posts") == [(2,), (2,), (2,)]
    run(dsn, *fix.rollback)
    assert rows(dsn, "SELECT count(*) FROM people") == [(7,)]


def test_what_may_refuse_the_move_comes_before_anything_is_deleted(database: Make) -> None:
    dsn = database(
        PEOPLE,
        """CREATE TABLE groups (id int PRIMARY KEY); INSERT INTO groups VALUES (1), (2);
        CREATE TABLE a_links (person int REFERENCES people, team int REFERENCES groups, PRIMARY KEY (person, team));
        INSERT INTO a_links VALUES (1, 1), (2, 1);
        CREATE TABLE pairs (id int PRIMARY KEY, one int REFERENCES people, other int REFERENCES people, CONSTRAINT differ CHECK (one <> other));
        INSERT INTO pairs VALUES (1, 1, 2);
        CREATE TABLE seats (person int PRIMARY KEY REFERENCES people, room int);
        CREATE TABLE keys (id int PRIMARY KEY, seat int REFERENCES seats);
        INSERT INTO seats VALUES (3, 1); INSERT INTO keys VALUES (1, 3);
        INSERT INTO a_links VALUES (4, 1), (4, 2)""",
    )
    whole = state(dsn)
    _, fix = plan(dsn)
    said = " ".join(fix.caveats)
    assert "differ of public.pairs may refuse what the UPDATE makes (SQLSTATE 23514)" in said
    assert "keys_seat_fkey of public.keys references the columns of public.seats that change" in said
    deleting = next(n for n, statement in enumerate(fix.sql) if statement.startswith("DELETE"))
    moving = [
        n
        for n, statement in enumerate(fix.sql)
        if statement.startswith("UPDATE public.") and "a_links" not in statement
    ]
    assert max(moving) < deleting
    with pytest.raises(psycopg.errors.CheckViolation):
        attempt(dsn, fix, "seats")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        attempt(dsn, fix, "pairs")
    assert state(dsn) == whole
    run(
        dsn,
        "TRUNCATE pairs",
        "ALTER TABLE keys DROP CONSTRAINT keys_seat_fkey, ADD FOREIGN KEY (seat) REFERENCES seats ON UPDATE CASCADE",
    )
    applied(dsn)
    assert rows(dsn, "SELECT seat FROM keys") == [(4,)]


def test_a_configured_reference_to_what_is_no_key_is_only_named(database: Make) -> None:
    dsn = database(PEOPLE, "CREATE TABLE posts (id int PRIMARY KEY, mail text); INSERT INTO posts VALUES (1, 'a')")
    fix = applied(dsn, EMAIL + '[[reference]]\nfrom = "posts(mail)"\nto = "people(email)"\n')
    assert any(caveat.startswith("Not moved: public.posts (mail)") for caveat in fix.caveats)


def test_a_partition_is_referenced_through_the_whole_and_the_whole_through_its_partitions(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE p (site int, id int, email text, PRIMARY KEY (site, id)) PARTITION BY LIST (site);
        CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
        INSERT INTO p VALUES (1, 1, 'a'), (1, 2, 'a'), (1, 3, 'a');
        CREATE TABLE q (k int PRIMARY KEY, site int, id int, FOREIGN KEY (site, id) REFERENCES p);
        CREATE TABLE r (k int PRIMARY KEY, site int, id int, FOREIGN KEY (site, id) REFERENCES p_1);
        INSERT INTO q VALUES (1, 1, 1), (2, 1, 1), (3, 1, 2); INSERT INTO r VALUES (1, 1, 1), (2, 1, 3);
        """
    )
    applied(dsn, '[[unique]]\ntable = "p_1"\ncolumns = ["email"]\n')
    assert rows(dsn, "SELECT id FROM p") == [(1,)]
    assert rows(dsn, "SELECT id FROM q UNION SELECT id FROM r") == [(1,)]
    _, fix = plan(dsn_of_whole(database), '[[unique]]\ntable = "p"\ncolumns = ["email"]\n')
    assert any("public.r (site, id), which references the partition public.p_1" in caveat for caveat in fix.caveats)


def dsn_of_whole(database: Make) -> str:
    return database(
        """
        CREATE TABLE p (site int, id int, email text, PRIMARY KEY (site, id)) PARTITION BY LIST (site);
        CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
        INSERT INTO p VALUES (1, 1, 'a'), (1, 2, 'a');
        CREATE TABLE r (k int PRIMARY KEY, site int, id int, FOREIGN KEY (site, id) REFERENCES p_1);
        """
    )


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names(database: Make, name: str) -> None:
    n = Names(name)
    c, two, people, links = n.column, n.other("2"), n.table("p"), n.table("l")
    dsn = database(
        f"""
        CREATE SCHEMA {c};
        CREATE TABLE {people} ({c} text, {two} int, held int, place int, kept_held int, PRIMARY KEY ({two}, held));
        INSERT INTO {people} VALUES ({n.value}, 1, 1), ({n.value}, 2, 1), ({n.value}, 3, 1), ({n.values("1")}, 4, 1);
        CREATE TABLE {links} ({c} int, {two} int, place int REFERENCES {n.table("t")}, PRIMARY KEY ({c}, {two}, place),
            FOREIGN KEY ({two}, {c}) REFERENCES {people} ({two}, held));
        INSERT INTO {links} VALUES (1, 1, 1), (1, 2, 1), (1, 2, 2), (1, 3, 3), (1, 4, 3);
        """.replace("CREATE TABLE " + links, f"CREATE TABLE {n.table('t')} (x int PRIMARY KEY); INSERT INTO {n.table('t')}"
                    f" SELECT generate_series(1, 3); CREATE TABLE {links}")
    )  # fmt: skip
    config = f"[[unique]]\ntable = {toml_text(people)}\ncolumns = [{toml_text(c)}]\n"
    applied(dsn, config)
    assert rows(dsn, f"SELECT {c}, {two}, place FROM {links} ORDER BY 2, 3") == [
        (1, 2, 1),
        (1, 2, 2),
        (1, 2, 3),
        (1, 4, 3),
    ]
