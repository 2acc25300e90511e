"""Slice by slice the answers are the textbook's, on random schemas and rows; no snapshot becomes older than it may; what
gives way, is cut off or loses its session goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from unittest import mock

import psycopg
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import auditor.run
from auditor.audit import Audit, open_catalog
from auditor.connection import Fetch, Session, Target
from auditor.plan import Task
from auditor.probe import Answer, Matching, Pairs, Unmatched, slices
from auditor.probe.choice import Choice, Facts
from auditor.probe.slices import Sliced, sliced
from auditor.probe.textbook import Samples, ask
from tests.conftest import Make
from tests.helpers import audit, titles
from tests.test_run import ORPHANS, WAITS, consistent, held, reference
from tests.test_strategies import RANDOM, Bench, Schema, bench, same, schemas

__all__ = ["bench"]  # a fixture

# Four rows a page: volatile, so that it is written into each row, and too short to be compressed.
WIDE = "filler text DEFAULT repeat(md5(random()::text), 58)"


def in_slices(reading: Sliced, session: Session) -> list[Answer]:
    """The answers, each slice in a transaction of its own and as long as the one before."""
    while not reading.done:
        with session.transaction() as fetch:
            reading.begin(fetch)
            said = {question: reading.read(question, fetch) for question in reading.questions}
        reading.add(said.items(), 1.0, 1.0)
    with session.transaction() as fetch:
        return [reading.finish(question, fetch, Samples()) for question in reading.questions]


@settings(RANDOM, max_examples=max(RANDOM.max_examples // 3, 1))
@given(schema=schemas(), indexed=st.booleans(), step=st.sampled_from([1, 2, 5]))
def test_slices_add_up_to_the_textbooks_answer(bench: Bench, schema: Schema, indexed: bool, step: int) -> None:
    with (
        bench.schema(schema) as name,
        mock.patch.multiple(slices, _PAGES=step, _ROWS=step),
    ):
        bench.execute(f"ALTER TABLE {name}.child ADD COLUMN {WIDE}")
        if indexed:
            bench.execute(f"CREATE INDEX ON {name}.child (n)")
        catalog = bench.catalog()
        child = catalog.by_name[name, "child"]
        questions: list[Unmatched | Pairs | Matching] = [Matching(child, "n % 3 = 0", ("n",), only=step > 1)]
        for number, said in enumerate(schema.references):
            arguments: Any = (child, (said.name,), catalog.by_name[name, f"p{number}"], ("id",))
            more: Any = {"where": said.where, "referenced_where": said.referenced_where, "only": said.only}
            questions += [Unmatched(*arguments, **more), Pairs(*arguments, **more)]
        with bench.session.transaction() as fetch:
            expected = [same(ask(question, fetch, Samples())) for question in questions]
        facts = Facts(catalog)
        key = None if child.children else slices._key(child, questions)
        ways = [sliced(facts, questions), Sliced(facts, tuple(questions), key) if key else None]
        for reading in filter(None, ways):
            assert list(map(same, in_slices(reading, bench.session))) == expected
            event(f"{'pages' if reading.key is None else 'keys'}, {min(reading.slices, 3)} slices or more")


BIG = f"""
    CREATE TABLE targets (id int PRIMARY KEY);
    INSERT INTO targets SELECT generate_series(1, 50);
    CREATE TABLE big (id int PRIMARY KEY, target int, {WIDE});
    INSERT INTO big SELECT n, n FROM generate_series(1, 60) AS n;
    ANALYZE;
"""
FOUND = "10 rows of public.big point to 10 rows of public.targets that do not exist"


@contextmanager
def small_slices(pages: int = 4, between: Callable[[Sliced], object] = lambda _: None) -> Iterator[None]:
    """Whatever is long is read so many pages, or keys, at once; `between` runs after each slice."""
    add = Sliced.add

    def told(self: Sliced, answers: Any, seconds: float, aim: float) -> None:
        add(self, answers, 1.0, 1.0)
        between(self)

    with (
        mock.patch.multiple(slices, _PAGES=pages, _ROWS=4 * pages),
        mock.patch.multiple(auditor.run, _LONG=0.0),
        mock.patch.object(Sliced, "add", told),
    ):
        yield


def test_a_long_reading_says_so(database: Make) -> None:
    dsn = database(BIG)
    with psycopg.connect(dsn, autocommit=True) as writer, small_slices(between=lambda _: writer.execute(WRITE)):
        result = consistent(audit(dsn, reference("big"), select=ORPHANS))
    assert titles(result) == [FOUND]
    (finding,) = result.findings
    assert finding.evidence is not None
    first, _, last = (finding.evidence.snapshot or "").partition("..")
    assert int(first.split(":")[0]) < int(last.split(":")[0])
    assert finding.evidence.strategy is not None
    assert finding.evidence.strategy.startswith("textbook in ")
    (note,) = (note for note in result.notes if "slices" in note)
    assert note.startswith("public.big was read in ")
    assert note.endswith(": a row that an UPDATE moved meanwhile may have been met twice, or not at all")
    plain = audit(dsn, reference("big"), select=ORPHANS)
    assert not [note for note in plain.notes if "slices" in note]
    assert plain.findings[0].evidence is not None
    assert finding.evidence.sample == plain.findings[0].evidence.sample


WRITE = b"CREATE TABLE IF NOT EXISTS other (n int); INSERT INTO other VALUES (1)"


def test_rows_that_are_added_meanwhile_are_read_too(database: Make) -> None:
    """The number of pages is measured once; the last slice has no end."""
    dsn = database(BIG)
    with psycopg.connect(dsn, autocommit=True) as writer:

        def more(reading: Sliced) -> None:
            if reading.slices == 1:
                writer.execute("INSERT INTO big SELECT n, -n FROM generate_series(101, 200) AS n")

        with small_slices(between=more):
            result = consistent(audit(dsn, reference("big"), select=ORPHANS))
    assert titles(result) == ["110 rows of public.big point to 110 rows of public.targets that do not exist"]
    assert {entry.rows_examined for entry in result.coverage} == {160}


def test_rows_that_are_fine_before_the_last_slice_was_read_are_in_flight(database: Make) -> None:
    dsn = database(BIG)
    with psycopg.connect(dsn, autocommit=True) as writer:

        def late(reading: Sliced) -> None:
            if reading.done:
                writer.execute("INSERT INTO targets SELECT target FROM big ON CONFLICT DO NOTHING")

        with small_slices(between=late):
            result = consistent(audit(dsn, reference("big"), select=ORPHANS))
    assert titles(result) == []
    (passed,) = (entry for entry in result.coverage if entry.outcome == "passed")
    assert "10 rows offended in one snapshot and were in flight" in passed.detail


def lasting(dsn: str, config: str, **options: Any) -> tuple[Audit, list[float]]:
    """An audit, and how long its transactions lasted."""
    lasted: list[float] = []
    whole = Session.transaction

    @contextmanager
    def timed(self: Session, *snapshot: str) -> Iterator[Fetch]:
        with whole(self, *snapshot) as fetch:
            began = time.monotonic()
            try:
                yield fetch
            finally:
                lasted.append(time.monotonic() - began)

    with mock.patch.object(Session, "transaction", timed):
        return consistent(audit(dsn, config, jobs=1, **options)), lasted


SLOW = "(SELECT pg_catalog.pg_sleep(id * 0 + 0.01) IS NOT NULL)"  # for each row


def test_what_lasts_longer_than_estimated_is_read_in_slices(database: Make) -> None:
    """Sixty rows, each looked at twice and taking 10 ms: more than a second; a page takes less than a tenth of one."""
    with mock.patch.multiple(slices, _PAGES=4, _ROWS=16):
        result, lasted = lasting(database(BIG), reference("big", SLOW), select=ORPHANS, max_snapshot=0.6)
    assert titles(result) == [FOUND]
    assert result.run.status == "complete"
    assert [note for note in result.notes if "slices" in note]
    assert len(lasted) > 6
    assert max(lasted) < 0.6 + 1  # cut off by the server in time, on a slow machine too


def test_what_cannot_be_cut_is_cut_off(database: Make) -> None:
    """Keys held twice are a matter of all rows."""
    config = f'[[unique]]\ntable = "big"\ncolumns = ["target"]\nwhere = "{SLOW}"\n' + reference("big")
    select = [*ORPHANS, "uniqueness/live-duplicates"]
    result, lasted = lasting(database(BIG), config, select=select, max_snapshot=0.3)
    assert FOUND in titles(result)
    (left,) = (entry for entry in result.coverage if entry.outcome == "not_checked")
    assert (left.check, left.reason) == ("uniqueness/live-duplicates", "timeout")
    assert left.detail == "it was not read before its snapshot was as old as --max-snapshot lets it be, 0.3 s"
    assert max(lasted) < 0.3 + 1


def test_several_queries_share_what_is_left(database: Make) -> None:
    """Each would end in time, all together would not."""
    target = Target(database(BIG))
    with Session(target) as session:
        catalog = open_catalog(session)
        runner = auditor.run.Runner(target, 1, Samples(), catalog, max_snapshot=0.5)
        began = time.monotonic()

        def read(fetch: Fetch, left: list[int]) -> Iterator[tuple[int, Answer]]:
            for _ in range(20):
                fetch("SELECT pg_catalog.pg_sleep(0.2)")
            yield from ()

        failure, own = runner._asked([], [0], None, {}, read)
        assert failure == runner._old
        assert own is not None
        assert time.monotonic() - began < 2
        own.close()


def test_a_slice_that_loses_its_session_is_read_on_another(database: Make) -> None:
    read = []
    config = reference("big", WAITS)
    with (
        small_slices(between=lambda reading: read.append(reading.slices)),
        held(database(BIG), config, samples="none") as (gate, running),
    ):
        first = gate.waiting()
        gate.do(f"SELECT pg_terminate_backend({first})")
        again = gate.waiting(after=first)
        gate.do(f"SELECT pg_terminate_backend({again})")
        gate.waiting(after=again)
        gate.open()
        result = consistent(running.result(30))
    assert titles(result) == [FOUND]
    assert read == list(range(1, len(read) + 1))
    assert {entry.rows_examined for entry in result.coverage} == {60}


def test_a_slice_that_gives_way_is_read_again_and_the_others_are_not(
    database: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often in all than a question may that gets no further."""
    monkeypatch.setattr(auditor.run, "_WAYS", (0.05, 0.05))
    monkeypatch.setattr(auditor.run, "_FRESH", 600.0)  # every second transaction is a slice's, on a slow machine too
    target = Target(database(BIG))
    with Session(target) as session:
        catalog = open_catalog(session)
    runner = auditor.run.Runner(target, 1, Samples(), catalog, max_snapshot=60.0)
    child, parent = catalog.by_name["public", "big"], catalog.by_name["public", "targets"]
    turns, read = count(), list[int]()
    whole = Session.transaction

    @contextmanager
    def interrupted(self: Session, *snapshot: str) -> Iterator[Fetch]:
        with whole(self, *snapshot) as fetch:
            yield fetch
            if self in runner._open() and next(turns) % 2:
                self.give_way()
                fetch("SELECT")

    monkeypatch.setattr(Session, "transaction", interrupted)
    with small_slices(between=lambda reading: read.append(reading.slices)):
        (answer,) = runner.run([Task(Unmatched(child, ("target",), parent, ("id",)), (), Choice("textbook", 1.0))])
    assert isinstance(answer, Answer)
    assert (answer.count, answer.examined) == (10, 60)
    assert read == list(range(1, len(read) + 1))
    assert runner.ways["public.big"] >= 4


def test_a_parent_that_went_away_takes_only_its_own_relation(database: Make) -> None:
    dsn = database(BIG, "CREATE TABLE gone (id int PRIMARY KEY); CREATE TABLE kept AS SELECT id FROM targets")
    target = Target(dsn)
    with Session(target) as session:
        catalog = open_catalog(session)
    child = catalog.by_name["public", "big"]
    parents = [catalog.by_name["public", name] for name in ("targets", "gone", "kept")]
    tasks = [Task(Unmatched(child, ("target",), parent, ("id",)), (), Choice("textbook", 1.0)) for parent in parents]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE gone")
    with small_slices():
        results = auditor.run.Runner(target, 1, Samples(), catalog, max_snapshot=60.0).run(tasks)
        alone = auditor.run.Runner(target, 1, Samples(), catalog, max_snapshot=60.0).run(tasks[1:2])
    assert [result.count if isinstance(result, Answer) else result.reason for result in (*results, *alone)] == [
        10,
        "unsupported",
        10,
        "unsupported",
    ]


def test_more_offending_rows_than_are_kept(database: Make) -> None:
    """The keys of all of them are counted in one reading, or where that takes too long of those that are kept."""
    dsn = database(BIG, "UPDATE big SET target = -id % 7 - 1")
    target = Target(dsn)
    with Session(target) as session, mock.patch.object(slices, "_MOST_KEPT", 3):
        catalog = open_catalog(session)
        child, parent = catalog.by_name["public", "big"], catalog.by_name["public", "targets"]
        question = Unmatched(child, ("target",), parent, ("id",))
        reading = sliced(Facts(catalog), [question])
        assert reading is not None
        (whole,) = in_slices(reading, session)
        with session.transaction() as fetch:
            some = reading.finish(question, fetch, Samples(), whole=False)
    assert (whole.count, whole.groups) == (some.count, 7)
    assert some.groups == 3
    assert reading.rough


def test_what_was_added_is_cut_too_where_it_is_much(database: Make, version: int) -> None:
    if version < 14:
        pytest.skip("a key tells where each slice ends on PostgreSQL 13")
    dsn = database(BIG)
    with Session(Target(dsn)) as session, psycopg.connect(dsn, autocommit=True) as writer:
        catalog = open_catalog(session)
        question = Matching(catalog.by_name["public", "big"], "id > 0", ("id",))
        reading = sliced(Facts(catalog), [question])
        assert reading is not None
        ends = []
        for number in range(3):
            with session.transaction() as fetch:
                reading.begin(fetch)
                ends.append(reading._until)
                if number == 1:
                    assert reading.shorten()  # it took too long: the others are asked again
                else:
                    reading.add([(question, reading.read(question, fetch))], 1.0, 1.0)
            if not number:
                writer.execute("INSERT INTO big SELECT n, n FROM generate_series(101, 400) AS n")
    assert (ends[0], ends[1]) == ("15", None)
    assert int(ends[2] or 0) > 80
