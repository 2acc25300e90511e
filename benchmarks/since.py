"""An audit again, with nothing changed: what `--since` leaves of the time of the first one, on one embedded server.

`--tables` tables of `--rows` rows each, with an identity key, a reference to the table before with its index, a text that is
unique and a CHECK; all of it is proven anew (depth full). Then the same command with `--since`: (a) with nothing written in
between, which the snapshot shows; (b) with rows written to another table, which the summaries of the write-ahead log show,
after the checkpoint at which these end. Best of `--runs` for the two, the first audit once; everything included, as the
command runs. The server has its default settings but for summarize_wal, max_wal_size, and autovacuum, which would end transactions of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from run import LAST_LINE, server, timed


def build(dsn: str, tables: int, rows: int) -> None:
    """Makes the database, vacuumed: reading it writes nothing."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting in ("summarize_wal = on", "max_wal_size = '8GB'", "autovacuum = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("CREATE TABLE elsewhere (id bigint PRIMARY KEY)")
        for number in range(tables):
            key = f", ADD FOREIGN KEY (before) REFERENCES t{number - 1}" if number else ""
            connection.execute(
                f"""CREATE TABLE t{number} (id bigint PRIMARY KEY, before bigint, code text, amount int);
                INSERT INTO t{number} SELECT n, n % {rows} + 1, md5(n::text), n FROM generate_series(1, {rows}) AS n;
                CREATE INDEX ON t{number} (before);
                ALTER TABLE t{number} ADD UNIQUE (code), ADD CHECK (amount > 0){key}""".encode()
            )
        connection.execute("VACUUM ANALYZE")
        summarised(connection)


def summarised(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """A checkpoint, and the summary that ends at it."""
    connection.execute("CHECKPOINT")
    told = "SELECT summarized_lsn >= redo_lsn FROM pg_get_wal_summarizer_state(), pg_control_checkpoint()"
    while connection.execute(told).fetchone() != (True,):
        time.sleep(0.1)


def again(command: list[str], report: Path) -> float:
    """The seconds of an audit that has to read nothing of the tables."""
    seconds = timed(command, LAST_LINE).wall
    made = json.loads(report.read_bytes())
    taken = sum(entry["detail"].startswith("unchanged since run ") for entry in made["coverage"])
    if made["summary"]["rows_examined"] or not taken:
        raise SystemExit(f"something was read: {made['notes']}")
    return seconds


def main() -> None:
    """Runs everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--rows", type=int, default=240_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    auditor = str(Path(sys.executable).parent / "auditor")
    with server() as (dsn, _), tempfile.TemporaryDirectory() as folder:
        build(dsn, options.tables, options.rows)
        first, second = Path(folder) / "first.json", Path(folder) / "second.json"
        audit = [auditor, "audit", dsn, "--depth", "full", "-T", "elsewhere", "-f"]
        timed([auditor, "--help"])
        whole = timed([*audit, f"json:{first}"], LAST_LINE).wall
        rows = json.loads(first.read_bytes())["summary"]["rows_examined"]
        since = [*audit, f"json:{second}", "--since", str(first)]
        same = min(again(since, second) for _ in range(options.runs))
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO elsewhere SELECT generate_series(1, 1000)")
            summarised(connection)
        logged = min(again(since, second) for _ in range(options.runs))
    print(f"{platform.python_implementation()} {platform.python_version()}, PostgreSQL 18, {os.cpu_count()} cores,")
    print(
        f"{options.tables:,} tables of {options.rows:,} rows, depth full; best of {options.runs}, the first audit once.\n"
    )
    print("| audit | measured | of the first | to reach |\n|---|---|---|---|")
    print(f"| the first: {rows:,} rows examined | {whole:.1f} s | | |")
    print(f"| again, the same snapshot | {same:.2f} s | {same / whole:.1%} | 2 % or less |")
    print(f"| again, by summaries of the write-ahead log | {logged:.2f} s | {logged / whole:.1%} | 2 % or less |")


if __name__ == "__main__":
    main()
