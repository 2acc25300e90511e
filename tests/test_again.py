"""A look at rows that offended: what is known of them in a later snapshot, kind of question by kind of question."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from auditor.audit import Audit, open_catalog
from auditor.catalog.model import Catalog
from auditor.check import Finding
from auditor.connection import Session, Target
from auditor.probe import Ahead, Answer, Cycles, Duplicates, Key, Matching, Pairs, Place, Probe, Unmatched
from auditor.probe.again import LOOKS, READINGS, Doubt, look
from auditor.probe.places import MOST
from auditor.probe.textbook import Samples, ask
from auditor.run import Runner
from tests.conftest import Make
from tests.helpers import audit, login, titles

TABLES = """
    CREATE TABLE parents (id int PRIMARY KEY, gone boolean NOT NULL DEFAULT false);
    INSERT INTO parents VALUES (1, false), (2, false), (3, true);
    CREATE TABLE children (id int PRIMARY KEY, parent int, name text, up int);
    INSERT INTO children VALUES (1, 1, 'a', NULL), (2, 7, 'b', 3), (3, 8, 'b', 2), (4, 3, 'c', 5), (5, 9, 'c', 4), (6, 3, 'c', 6);
    CREATE SEQUENCE numbers OWNED BY children.id;
    ALTER TABLE children ALTER COLUMN id SET DEFAULT nextval('numbers');
    SELECT setval('numbers', 3);
    ANALYZE;
"""


def unmatched(catalog: Catalog) -> Probe:
    return Unmatched(table(catalog), ("parent",), table(catalog, "parents"), ("id",))


def pairs(catalog: Catalog) -> Probe:
    return Pairs(table(catalog), ("parent",), table(catalog, "parents"), ("id",), referenced_where="gone")


def matching(catalog: Catalog) -> Probe:
    return Matching(table(catalog), "name = 'b'", ("name",))


def duplicates(catalog: Catalog) -> Probe:
    return Duplicates(table(catalog), (Key("name", "name"),))


def cycles(catalog: Catalog) -> Probe:
    return Cycles(table(catalog), ("up",), table(catalog), ("id",))


def ahead(catalog: Catalog) -> Probe:
    sequence = next(each for each in catalog.sequences.values() if each.name == "numbers")
    return Ahead(table(catalog), "id", sequence)


def table(catalog: Catalog, name: str = "children") -> Any:
    return catalog.by_name["public", name]


@pytest.mark.parametrize(
    ("kind", "offending", "change", "there"),
    [
        (unmatched, {2, 3, 5}, "INSERT INTO parents VALUES (7)", {3, 5}),
        (unmatched, {2, 3, 5}, "DELETE FROM children WHERE id = 3; UPDATE children SET name = 'x' WHERE id = 5", {2, 5}),
        (pairs, {4, 6}, "UPDATE parents SET gone = false; UPDATE children SET name = 'x' WHERE id = 6", set()),
        (pairs, {4, 6}, "UPDATE children SET name = 'x' WHERE id = 6; DELETE FROM children WHERE id = 4", {6}),
        (matching, {2, 3}, "UPDATE children SET up = up WHERE id = 2; UPDATE children SET name = 'x' WHERE id = 3", {2}),
        (duplicates, {2, 3, 4, 5, 6}, "DELETE FROM children WHERE id IN (3, 4); UPDATE children SET up = 1 WHERE id = 5", {5, 6}),
        (cycles, {2, 3, 4, 5, 6}, "UPDATE children SET up = NULL WHERE id = 4; UPDATE children SET up = 3 WHERE id = 2", {2, 3, 6}),
        (ahead, {4, 5, 6}, "SELECT setval('numbers', 4)", {5, 6}),
    ],
)  # fmt: skip
def test_what_is_known_of_rows_later(
    kind: Callable[[Catalog], Probe], offending: set[int], change: str, there: set[int], database: Make
) -> None:
    dsn = database(TABLES)
    with Session(Target(dsn)) as session, psycopg.connect(dsn, autocommit=True) as other:
        question = kind(open_catalog(session))
        with session.transaction() as fetch:
            answer = ask(question, fetch, Samples())
            versions = fetch("SELECT pg_catalog.format('%s %s %s', tableoid, ctid, xmin), id FROM public.children")
        known = {version: int(number or 0) for version, number in versions}
        assert {known[place.version] for place in answer.places} == offending
        assert answer.whole

        def seen() -> list[set[int]]:
            with session.transaction() as fetch:
                return [{keys[place.row] for place in some} for some in look(question, answer.places, fetch)]

        keys = {place.row: known[place.version] for place in answer.places}
        assert seen() == [offending, set(), set()]
        other.execute(change.encode())
        assert seen() == [there, set(), offending - there]
        doubt = Doubt(question, answer, 0.0)
        with session.transaction() as fetch:
            doubt.look(1.0, fetch)
            left = doubt.told("later", fetch, Samples()) if there else doubt.cleared()
        assert (left.count, len(left.evidence.sample)) == (len(there), len(there))
        assert left.evidence.in_flight == len(offending) - len(there)
        assert {int(row["id"] or 0) for row in left.evidence.sample} == there
        assert left.groups == {"duplicates": 1, "cycles": 2, "unmatched": len(there)}.get(kind.__name__, left.groups)
        assert kind is not ahead or dict(left.values)["first"] == 5


def test_a_row_is_not_taken_for_one_that_lay_in_its_place(database: Make) -> None:
    dsn = database(TABLES)
    with Session(Target(dsn)) as session, psycopg.connect(dsn, autocommit=True) as other:
        question = unmatched(open_catalog(session))
        with session.transaction() as fetch:
            answer = ask(question, fetch, Samples())
        other.execute("DELETE FROM children WHERE id = 5")
        other.execute("VACUUM children")
        for number in range(10, 20):
            other.execute(f"INSERT INTO children (id, parent) VALUES ({number}, -1)".encode())
        places = {str(place) for (place,) in other.execute("SELECT ctid FROM children WHERE id >= 10")}
        assert places & {place.version.split(" ")[1] for place in answer.places}
        with session.transaction() as fetch:
            there, unknown, fine = look(question, answer.places, fetch)
        assert (len(there), len(unknown), len(fine)) == (2, 0, 1)


def test_rows_in_partitions_and_inheritance_children_are_found_again(database: Make) -> None:
    dsn = database("""
        CREATE TABLE whole (id int PRIMARY KEY, size int) PARTITION BY RANGE (id);
        CREATE TABLE low (size int, id int NOT NULL); ALTER TABLE whole ATTACH PARTITION low FOR VALUES FROM (0) TO (10);
        CREATE TABLE high PARTITION OF whole FOR VALUES FROM (10) TO (20);
        INSERT INTO whole VALUES (1, -1), (11, -1), (12, 5);
        CREATE TABLE base (id int PRIMARY KEY, size int); CREATE TABLE more () INHERITS (base);
        INSERT INTO base VALUES (1, -1); INSERT INTO more VALUES (1, -1), (2, 5);
    """)
    with Session(Target(dsn)) as session:
        catalog = open_catalog(session)
        for name in ("whole", "base"):
            question = Matching(table(catalog, name), "size < 0", ("size",), only=False)
            with session.transaction() as fetch:
                answer = ask(question, fetch, Samples())
                there, *_ = look(question, answer.places, fetch)
            assert there == set(answer.places)
            assert len({place.version for place in there}) == len({place.row for place in there}) == 2


# --- the whole audit -------------------------------------------------------------------------------------------------

CONFIG = '[[reference]]\nfrom = "children(parent)"\nto = "parents(id)"\n'


def orphans(dsn: str, **options: Any) -> Audit:
    return audit(dsn, CONFIG, select=["references/orphan-rows"], **options)


def the(result: Audit) -> Finding:
    (finding,) = result.findings
    return finding


def busy(dsn: str, *statements: str) -> Any:
    """Other sessions' transactions, one after the other, while the context lasts."""

    class Busy:
        def __enter__(self) -> None:
            self.ended = threading.Event()
            self.begun = threading.Event()
            self.thread = threading.Thread(target=self.work, daemon=True)
            self.thread.start()
            assert self.begun.wait(20)

        def work(self) -> None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                while not self.ended.is_set():
                    for statement in statements:
                        connection.execute(statement.encode())
                    self.begun.set()

        def __exit__(self, *_: object) -> None:
            self.ended.set()
            self.thread.join(20)

    return Busy()


def test_on_a_quiet_server_nothing_is_read_again_and_the_time_is_waited_for(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = database(TABLES)
    monkeypatch.setattr("auditor.probe.again.look", lambda *_: pytest.fail("rows were looked at"))
    started = time.monotonic()
    finding = the(orphans(dsn, settle=1.0))
    assert time.monotonic() - started >= 1
    assert finding.evidence is not None
    assert finding.evidence.seen_again == finding.evidence.snapshot
    assert (finding.evidence.violations, finding.evidence.in_flight) == (3, 0)


def test_a_row_that_is_changed_all_the_time_is_found_by_its_key(database: Make) -> None:
    dsn = database(TABLES, "DELETE FROM children WHERE id IN (3, 5)")
    with busy(
        dsn, "UPDATE children SET name = name || 'x' WHERE id = 2", "UPDATE children SET name = 'b' WHERE id = 2"
    ):
        finding = the(orphans(dsn, settle=0.1))
    assert finding.evidence is not None
    assert finding.evidence.violations == 1
    assert finding.evidence.sample[0]["id"] == "2"


def test_without_a_key_it_is_not_checked(database: Make) -> None:
    dsn = database(
        TABLES, "DELETE FROM children WHERE id IN (3, 5); ALTER TABLE children DROP CONSTRAINT children_pkey"
    )
    with busy(
        dsn, "UPDATE children SET name = name || 'x' WHERE id = 2", "UPDATE children SET name = 'b' WHERE id = 2"
    ):
        result = orphans(dsn, settle=0.1)
    (left,) = result.coverage
    assert (left.outcome, left.reason, result.run.status) == ("not_checked", "unsupported", "incomplete")
    assert left.detail == (
        "1 row offended, which could not be confirmed: its rows were in flight each of 4 times, and have no key to tell"
        " whether one was there each time"
    )


def test_more_rows_than_are_looked_at_are_counted_as_they_were(database: Make) -> None:
    many = MOST + 500
    dsn = database(
        TABLES, f"INSERT INTO children SELECT n, -n, n::text FROM generate_series(10, {9 + many}) AS n; ANALYZE"
    )
    with busy(dsn, "UPDATE parents SET gone = gone WHERE id = 1"):
        finding = the(orphans(dsn, settle=0.1))
    assert finding.evidence is not None
    assert finding.evidence.violations == many + 3
    assert finding.evidence.seen_again not in (None, finding.evidence.snapshot)


def test_a_login_that_may_read_some_columns_only_reads_the_question_again(database: Make) -> None:
    dsn = database(TABLES)
    few = login(dsn, "GRANT SELECT (id, parent) ON children TO {role}", "GRANT SELECT (id) ON parents TO {role}")
    with busy(dsn, "UPDATE parents SET gone = gone WHERE id = 1"):
        finding = the(orphans(few, settle=0.1))
    assert finding.evidence is not None
    assert (finding.evidence.violations, bool(finding.evidence.seen_again)) == (3, True)


def test_a_table_that_is_locked_meanwhile_is_not_checked(database: Make) -> None:
    dsn = database(TABLES)
    with psycopg.connect(dsn) as other:
        locked = threading.Timer(0.7, other.execute, [b"LOCK TABLE children IN ACCESS EXCLUSIVE MODE"])
        locked.start()
        with busy(dsn, "UPDATE parents SET gone = gone WHERE id = 1"):
            result = orphans(dsn, settle=20.0, lock_timeout=0.1)
    (left,) = result.coverage
    assert (left.outcome, left.reason) == ("not_checked", "lock")
    assert left.detail.startswith("3 rows offended, which could not be confirmed: ")


def test_what_is_not_there_is_looked_for_again(database: Make) -> None:
    """Tables that no first row can enter, since they are empty: between two transactions of a load they are for a moment."""
    dsn = database("""
        CREATE TABLE ones (id int PRIMARY KEY, two int NOT NULL);
        CREATE TABLE twos (id int PRIMARY KEY, one int NOT NULL REFERENCES ones);
        ALTER TABLE ones ADD FOREIGN KEY (two) REFERENCES twos;
    """)
    empty = audit(dsn, select=["nullability/insert-deadlock"], settle=0.1)
    assert [f.severity.value for f in empty.findings] == ["error"]
    load = "WITH a AS (INSERT INTO ones VALUES (1, 1)) INSERT INTO twos VALUES (1, 1)"
    with psycopg.connect(dsn, autocommit=True) as other:
        loaded = threading.Timer(0.7, other.execute, [load.encode()])
        loaded.start()
        full = audit(dsn, select=["nullability/insert-deadlock"], settle=3.0)
        loaded.join()
    assert [f.severity.value for f in full.findings] == ["warning"]
    assert titles(full)[0].startswith("New rows of")


DEFAULTS = """
    CREATE TABLE owners (id int PRIMARY KEY);
    INSERT INTO owners VALUES (0), (1), (2);
    CREATE TABLE things (id int PRIMARY KEY, owner int DEFAULT 0 REFERENCES owners ON DELETE SET DEFAULT);
    INSERT INTO things VALUES (1, 1), (2, 1);
"""
NO_DEFAULT = (
    "1 of 2 rows of public.owners cannot be deleted: the default of public.things.owner, 0, is no row of public.owners"
)


def test_a_row_whose_lack_leads_to_another_question_is_looked_for_again(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default row of a foreign key, which a writer puts in a moment later, and takes away and puts back from then on."""
    dsn = database(DEFAULTS, "DELETE FROM owners WHERE id = 0")

    def judged(**options: Any) -> list[str]:
        return titles(audit(dsn, select=["nullability/set-default-unsatisfiable"], settle=0.5, **options))

    with busy(dsn, "UPDATE things SET owner = owner WHERE id = 2"):
        (told,) = judged()
    assert told.startswith(NO_DEFAULT)
    doubt = Runner._doubt
    with psycopg.connect(dsn, autocommit=True) as other:

        def put_in(self: Runner, *about: Any) -> Doubt:
            other.execute("INSERT INTO owners VALUES (0) ON CONFLICT DO NOTHING")
            return doubt(self, *about)

        monkeypatch.setattr(Runner, "_doubt", put_in)
        for consistent in (False, True):  # in later snapshots, whatever all was read in
            other.execute("DELETE FROM owners WHERE id = 0")
            assert judged(consistent=consistent) == []
        monkeypatch.undo()
        pause = "SELECT pg_sleep(0.02)"
        with busy(dsn, "DELETE FROM owners WHERE id = 0", pause, "INSERT INTO owners VALUES (0)", pause, pause):
            assert [judged() for _ in range(4)] == [[]] * 4


def doubt_of(count: int, *places: str) -> Answer:
    from auditor.check import Evidence

    return Answer(count, 10, Evidence(count), places=tuple(Place(f"v{name}", name.rstrip("'")) for name in places))


def lose(doubt: Doubt) -> None:
    doubt.gone, doubt.places = doubt.places, ()


def test_what_is_not_there_counts_after_as_many_readings_as_looks_or_a_long_time() -> None:
    probe: Any = None
    absent, slow = (Doubt(probe, doubt_of(0), 0.0) for _ in range(2))
    for _ in range(LOOKS):
        assert not absent.certain(5.0, 0.5)
        absent.read(doubt_of(0), 5.0)
    assert absent.certain(5.0, 0.5)
    slow.read(doubt_of(0), 5.0)
    assert not slow.certain(6.0, 0.5)
    slow.read(doubt_of(0), 6.0)
    assert slow.certain(6.0, 0.5)
    assert not slow.certain(5.9, 0.5)


def test_readings_are_compared_by_the_keys_of_their_rows() -> None:
    probe: Any = None
    doubt = Doubt(probe, doubt_of(2, "a", "b"), 0.0)
    lose(doubt)
    doubt.read(doubt_of(3, "b'", "c", "d"), 1.0)
    assert [place.version for place in doubt.places] == ["vb'"]
    assert doubt.moved
    assert not doubt.certain(1.0, 0.5)
    lose(doubt)
    doubt.read(doubt_of(1, "c"), 2.0)
    assert doubt.nothing
    assert doubt.cleared().evidence.in_flight == 3  # as many as there were at once
    part = Doubt(probe, replace(doubt_of(2, "a", "b"), count=5), 0.0)
    lose(part)
    part.read(replace(doubt_of(1, "c"), count=4), 1.0)
    assert [place.row for place in part.places] == ["c"]  # of the others it is not known where they lie
    assert not part.nothing
    assert LOOKS > 1
    assert READINGS > 2
