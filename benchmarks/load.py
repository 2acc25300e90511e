"""What an audit leaves to others: pgbench's throughput on the same server, with and without an audit beside it.

pgbench's own transactions (built in: TPC-B like) by `--clients` clients, each turn `--seconds` long; the turns alternate
between none, and an audit at each pace, which reads a table of `--rows` rows with 8 references all the while: one that
ends begins again. Each turn with an audit is compared with the mean of the turns without one before and after it: a slow
spell hits both. Server, clients and audit share the machine, so that what the auditor's own process takes counts too. The
server has its default settings.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from references import build
from run import server

PACES = ("gentle", "normal", "fast")


def throughput(command: list[str]) -> float:
    """Transactions per second of one turn."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{' '.join(command)} said no throughput: {done.stdout}{done.stderr}")
    return float(found[1])


def reading(dsn: str) -> None:
    """Waits until an audit reads the table: what it takes to start is not the server's load."""
    begun = "application_name = 'auditor' AND state <> 'idle' AND query LIKE '%memberships%' AND query LIKE '%count%'"
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not connection.execute(f"SELECT FROM pg_stat_activity WHERE {begun}".encode()).rowcount:
            time.sleep(0.1)


@contextmanager
def auditing(command: list[str], dsn: str) -> Iterator[None]:
    """Audits one after the other, until the context ends."""
    ended = threading.Event()
    running: list[subprocess.Popen[bytes]] = []
    codes: list[int] = []

    def work() -> None:
        while not ended.is_set():
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running[:] = [process]
            code = process.wait()
            if not ended.is_set():
                codes.append(code)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        reading(dsn)
        yield
    finally:
        ended.set()
        for process in running:
            process.send_signal(signal.SIGTERM)
        thread.join()
    if any(codes):
        raise SystemExit(f"{' '.join(command)} ended with {codes}")


def main() -> None:
    """Runs everything and prints a table."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server ends with it
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the table that is audited")
    parser.add_argument("--scale", type=int, default=20, help="of pgbench; 1 is 100,000 accounts")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=10, help="of one turn")
    parser.add_argument("--paces", nargs="+", choices=PACES, default=PACES)
    parser.add_argument("--turns", type=int, default=5, help="for each pace")
    options = parser.parse_args()
    auditor = str(Path(sys.executable).parent / "auditor")
    kept: dict[str, list[float]] = {pace: [] for pace in options.paces}
    alone: list[float] = []
    with server() as (dsn, programs):
        pgbench = str(programs / "pgbench")
        subprocess.run([pgbench, "-i", "-q", "-s", str(options.scale), dsn], check=True, capture_output=True)
        build(dsn, "uuid", options.rows, vacuum=False)
        turn = [pgbench, "-n", "-c", str(options.clients), "-T", str(options.seconds), dsn]
        throughput(turn)  # warm
        before = throughput(turn)
        alone.append(before)
        for _ in range(options.turns):
            for pace in options.paces:
                command = [auditor, "audit", dsn, "--pace", pace, "-q", "-t", "memberships"]
                with auditing([*command, "--select", "references/orphan-rows"], dsn):
                    beside = throughput(turn)
                after = throughput(turn)
                alone.append(after)
                kept[pace].append(beside / ((before + after) / 2))
                before = after
                print(f"{pace}: {kept[pace][-1]:.0%} of {after:.0f} tps", file=sys.stderr, flush=True)
    print("<!-- load -->")
    print(f"{platform.python_implementation()} {platform.python_version()}, PostgreSQL 18, {os.cpu_count()} cores;")
    print(
        f"pgbench -c {options.clients}, scale {options.scale}: {statistics.median(alone):,.0f} transactions a second without an"
        f" audit ({min(alone):,.0f} to {max(alone):,.0f}); median of {options.turns} turns of {options.seconds} s\n"
    )
    print("| pace | throughput kept | lowest to highest | to reach |\n|---|---|---|---|")
    for pace, shares in kept.items():
        aim = "90 % or more" if pace == "gentle" else ""
        spread = f"{min(shares) * 100:.0f} to {max(shares) * 100:.0f} %"
        print(f"| {pace} | {statistics.median(shares) * 100:.0f} % | {spread} | {aim} |")
    print("<!-- /load -->")


if __name__ == "__main__":
    main()
