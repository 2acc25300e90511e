"""Writers who keep the rules, in more transactions than one, never cause a finding; rows that offend for good always do.

AUDITOR_HAMMER_SECONDS sets for how long they write while audits run again and again: minutes tell more than the default.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from auditor.audit import Audit
from tests.conftest import Make
from tests.helpers import audit

Do = Callable[..., list[tuple[Any, ...]]]
SECONDS = float(os.environ.get("AUDITOR_HAMMER_SECONDS", "3"))

TABLES = """
    CREATE TABLE parents (id bigserial PRIMARY KEY, deleted_at timestamptz);
    CREATE TABLE children (id bigserial PRIMARY KEY, parent bigint, seen int NOT NULL DEFAULT 0, deleted_at timestamptz);
    CREATE TABLE notes (parent bigint, body text);
    CREATE TABLE comments (id bigserial PRIMARY KEY, subject_type text, subject_id bigint);
    CREATE TABLE credentials (id bigserial PRIMARY KEY, name text);
    CREATE TABLE vault (id bigserial PRIMARY KEY, credential_id bigint NOT NULL);
    CREATE TABLE accounts (id bigserial PRIMARY KEY, email text NOT NULL, deleted_at timestamptz);
    CREATE TABLE parts (id bigint PRIMARY KEY, parent_id bigint REFERENCES parts);
    CREATE TABLE orders (id serial PRIMARY KEY);
    INSERT INTO parents SELECT nextval('parents_id_seq') FROM generate_series(1, 100);
    INSERT INTO children (parent) SELECT n FROM generate_series(1, 100) AS n;
    INSERT INTO notes SELECT n, 'x' FROM generate_series(1, 100) AS n;
    INSERT INTO comments (subject_type, subject_id) SELECT 'Parent', n FROM generate_series(1, 100) AS n;
    INSERT INTO credentials (name) SELECT n::text FROM generate_series(1, 100) AS n;
    INSERT INTO vault (credential_id) SELECT n FROM generate_series(1, 100) AS n;
    INSERT INTO accounts (email) SELECT n::text FROM generate_series(1, 100) AS n;
    INSERT INTO parts SELECT n, nullif(n / 2, 0) FROM generate_series(1, 100) AS n;
    INSERT INTO orders SELECT nextval('orders_id_seq') FROM generate_series(1, 100);
    CREATE INDEX ON children (parent);
    ANALYZE;
"""
CONFIG = """
[soft_delete]
columns = { deleted_at = "IS NOT NULL" }
[[reference]]
from = "children(parent)"
to = "parents(id)"
[[reference]]
from = "notes(parent)"
to = "parents(id)"
[[reference]]
from = "comments(subject_id)"
type_column = "subject_type"
targets = { Parent = "parents(id)" }
[[companion]]
of = "credentials"
in = "vault(credential_id)"
exactly_one = true
[[unique]]
table = "accounts"
columns = ["email"]
where = "deleted_at IS NULL"
"""
CHECKS = [
    "references/orphan-rows",
    "references/polymorphic-orphans",
    "references/soft-deleted-parent",
    "references/reference-cycle",
    "companions/missing-companion",
    "companions/duplicate-companion",
    "uniqueness/live-duplicates",
    "foundations/sequence-behind",
]
GAP = 0.004  # seconds between the two transactions


def child_first(do: Do, number: int) -> None:
    """The row before what it points to; taken away the other way round, or the parent first."""
    for table in ("children (parent)", "notes (parent)", "comments (subject_type, subject_id)"):
        name, own = table.split()[0], f"{os.getpid()}{number:04}{time.monotonic_ns() % 10**10}"
        values = f"'Parent', {own}" if name == "comments" else own
        do(f"INSERT INTO {table} VALUES ({values})")
        time.sleep(GAP)
        do(f"INSERT INTO parents (id) VALUES ({own})")
        column = "subject_id" if name == "comments" else "parent"
        if number % 2:
            do(f"DELETE FROM {name} WHERE {column} = {own}")
            do(f"DELETE FROM parents WHERE id = {own}")
        else:
            do(f"DELETE FROM parents WHERE id = {own}")
            time.sleep(GAP)
            do(f"DELETE FROM {name} WHERE {column} = {own}")


def parent_again(do: Do, number: int) -> None:
    """A parent is deleted and inserted again under the rows that point to it; the rows are old."""
    own = 90 + number % 10
    do(f"DELETE FROM parents WHERE id = {own}")
    time.sleep(GAP)
    do(f"INSERT INTO parents (id) VALUES ({own})")
    time.sleep(8 * GAP)


def other_parent(do: Do, number: int) -> None:
    """Rows change their parents in one transaction, with those that come and go."""
    do(
        f"WITH new AS (INSERT INTO parents DEFAULT VALUES RETURNING id)"
        f" UPDATE children SET parent = new.id, seen = seen + 1 FROM new WHERE children.id = {1 + number % 50}"
    )
    do(
        "DELETE FROM parents WHERE id BETWEEN 1000 AND 1000000 AND NOT EXISTS (SELECT FROM children WHERE parent = parents.id)"
    )


def companion_late(do: Do, number: int) -> None:
    """What every row needs comes in a second transaction; another takes the place of the first."""
    ((own,),) = do("INSERT INTO credentials (name) VALUES ('late') RETURNING id")
    time.sleep(GAP)
    do(f"INSERT INTO vault (credential_id) VALUES ({own})")
    do(f"INSERT INTO vault (credential_id) VALUES ({own})")
    time.sleep(GAP)
    do(f"DELETE FROM vault WHERE id = (SELECT min(id) FROM vault WHERE credential_id = {own})")
    do(f"DELETE FROM credentials WHERE id = {own}")
    do(f"DELETE FROM vault WHERE credential_id = {own}")


def account_again(do: Do, number: int) -> None:
    """A key is taken again before the row that held it is marked as deleted."""
    email = f"'{1 + number % 100}'"
    do(f"INSERT INTO accounts (email) VALUES ({email})")
    time.sleep(GAP)
    do(f"UPDATE accounts SET deleted_at = now() WHERE email = {email} AND deleted_at IS NULL AND id <"
       f" (SELECT max(id) FROM accounts WHERE email = {email})")  # fmt: skip
    do(f"DELETE FROM accounts WHERE email = {email} AND deleted_at IS NOT NULL")


def turned_round(do: Do, number: int) -> None:
    """Parent and part change places, one after the other; then back. A deleted parent's parts follow it."""
    own = 2 + number % 40
    (((above),),) = do(f"SELECT parent_id FROM parts WHERE id = {own}")
    do(f"UPDATE parts SET parent_id = {own} WHERE id = {above}")
    time.sleep(GAP)
    do(f"UPDATE parts SET parent_id = NULL WHERE id = {own}")
    do(f"UPDATE parts SET parent_id = {above // 2 or 'NULL'} WHERE id = {above}")
    do(f"UPDATE parts SET parent_id = {above} WHERE id = {own}")


def deleted_from_above(do: Do, number: int) -> None:
    """The parent is marked as deleted, then its rows; and the other way round back."""
    own = 80 + number % 5
    do(f"UPDATE parents SET deleted_at = now() WHERE id = {own}")
    time.sleep(GAP)
    do(f"UPDATE children SET deleted_at = now() WHERE parent = {own}")
    time.sleep(GAP)
    do(f"UPDATE parents SET deleted_at = NULL WHERE id = {own}")
    do(f"UPDATE children SET deleted_at = NULL WHERE parent = {own}")


def number_first(do: Do, number: int) -> None:
    """A row with a number of its own choice, and the sequence set to it afterwards."""
    ((last,),) = do("SELECT last_value FROM orders_id_seq")
    do(f"INSERT INTO orders VALUES ({last + 5})")
    time.sleep(GAP)
    do(f"SELECT setval('orders_id_seq', {last + 5})")
    do(f"DELETE FROM orders WHERE id = {last + 5}")
    do(f"SELECT setval('orders_id_seq', {last})")


WRITERS = (
    child_first, child_first, parent_again, other_parent, companion_late, account_again, turned_round,
    deleted_from_above, number_first,
)  # fmt: skip


@contextmanager
def hammering(dsn: str) -> Iterator[Counter[str]]:
    """Writers at work, each on a connection of its own; how often each has been round."""
    ended = threading.Event()
    rounds: Counter[str] = Counter()
    failed: list[BaseException] = []

    def work(write: Callable[[Do, int], None], first: int) -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:

                def do(statement: str) -> list[tuple[Any, ...]]:
                    cursor = connection.execute(statement.encode())
                    return cursor.fetchall() if cursor.description else []

                number = first
                while not ended.is_set():
                    write(do, number)
                    rounds[write.__name__] += 1
                    number += 1
        except BaseException as error:  # raised again below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(write, n), daemon=True) for n, write in enumerate(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield rounds
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
    if failed:
        raise failed[0]


def audits(dsn: str, seconds: float) -> Iterator[Audit]:
    """One after the other, and two at least."""
    end = time.monotonic() + seconds
    number = 0
    while number < 2 or time.monotonic() < end:
        yield audit(dsn, CONFIG, select=CHECKS, settle=0.5)
        number += 1


def in_flight(result: Audit) -> Counter[str]:
    """By check, how many questions met rows in flight."""
    clean = [entry.check for entry in result.coverage if "in flight" in entry.detail]
    return Counter(clean + [f.check for f in result.findings if f.evidence is not None and f.evidence.in_flight])


def test_writers_who_keep_the_rules_cause_no_finding(database: Make, record_property: Any) -> None:
    dsn = database(TABLES)
    met: Counter[str] = Counter()
    left: Counter[str] = Counter()
    number = 0
    with hammering(dsn) as rounds:
        for result in audits(dsn, SECONDS):
            assert [f.title for f in result.findings if f.severity.value == "error"] == []
            met += in_flight(result)
            left += Counter(f"{e.object.table} {e.detail}" for e in result.coverage if e.outcome == "not_checked")
            number += 1
    said = f"{number} audits beside {rounds.total():,} rounds of writers, no finding; rows in flight: {dict(met)}; {dict(left)}"
    record_property("summary", said)
    assert met, "no audit met a row in flight"
    assert [entry for entry in left if not entry.startswith("notes ")] == []  # which has no key
    assert len(rounds) == len(set(WRITERS))


DEFECTS = """
    INSERT INTO children (id, parent) VALUES (-1, -1);
    INSERT INTO notes VALUES (-1, 'kept');
    INSERT INTO comments (id, subject_type, subject_id) VALUES (-1, 'Parent', -1);
    INSERT INTO credentials VALUES (-1, 'never');
    INSERT INTO credentials VALUES (-2, 'twice');
    INSERT INTO vault VALUES (-2, -2), (-3, -2);
    INSERT INTO accounts VALUES (-1, 'twice'), (-2, 'twice');
    INSERT INTO parts VALUES (-1, NULL), (-2, -1);
    UPDATE parts SET parent_id = -2 WHERE id = -1;
    INSERT INTO orders VALUES (120);
    INSERT INTO parents VALUES (-5, now());
    INSERT INTO children (id, parent) VALUES (-5, -5);
"""
FOUND = {
    ("references/orphan-rows", "children"): (1, {"-1"}),
    ("references/polymorphic-orphans", "comments"): (1, {"-1"}),
    ("references/soft-deleted-parent", "children"): (1, {"-5"}),
    ("references/reference-cycle", "parts"): (2, {"-1", "-2"}),
    ("companions/missing-companion", "credentials"): (1, {"-1"}),
    ("companions/duplicate-companion", "vault"): (2, {"-2", "-3"}),
    ("uniqueness/live-duplicates", "accounts"): (2, {"-1", "-2"}),
    ("foundations/sequence-behind", "orders"): (1, {"120"}),
}


def test_rows_that_offend_for_good_are_found_beside_writers(database: Make, record_property: Any) -> None:
    dsn = database(TABLES, DEFECTS)
    number, met = 0, Counter[str]()
    with hammering(dsn):
        for result in audits(dsn, SECONDS):
            errors = {(f.check, f.object.table): f.evidence for f in result.findings if f.severity.value == "error"}
            found = {
                place: (evidence.violations, {row["id"] for row in evidence.sample})
                for place, evidence in errors.items()
                if evidence is not None and place[1] != "notes"
            }
            assert found == FOUND
            assert errors["references/orphan-rows", "notes"] is not None  # it has no key, but stays where it is
            assert all(evidence is not None and evidence.seen_again for evidence in errors.values())
            number, met = number + 1, met + in_flight(result)
    record_property("summary", f"{number} audits beside writers found all; rows in flight: {dict(met)}")
    assert met
