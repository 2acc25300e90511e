"""How busy the server is with others, and how far its standbys are behind: while it is too much, the audit rests.

The watchdog's connection looks. Nothing new begins above a limit; what has begun ends, within --max-snapshot.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from auditor.connection import Fetch
from auditor.text import plural

_QUIET = 2.0  # seconds without an active backend of others after which the server counts as idle
_EVERY = 0.1  # seconds between two questions whether it may go on
_FIRST = 15.0  # seconds that the first look is waited for, at most
_BLIND = 30.0  # seconds without a look after which what the last one saw is not waited for: the server may be gone


@dataclass(frozen=True, slots=True)
class Limits:
    """Active backends of others above which nothing new begins (`load`) or the run ends (`critical`), and the longest
    replication lag, in seconds."""

    load: int | None = None
    critical: int | None = None
    lag: float | None = None


@dataclass
class Gauge:
    """What the limits allow now. `look` is for the thread that watches, `wait` for those that read; `busy` says whether
    others were at work a moment ago, as long as nobody has looked they are."""

    limits: Limits
    over: str = ""  # why nothing new may begin now, for the reader
    ended: str = ""  # why the run is to end, once it is

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._known = threading.Event()
        self._looked = self._critical = False
        self._busy = time.monotonic()
        self._seen = math.inf  # when the last look was
        self._even: float | None = None  # when this standby was last seen to have replayed all that it had received
        self._waiting = 0
        self._since = 0.0
        self._times, self._seconds = 0, 0.0
        self._most: dict[str, float] = {}  # what was over its limit, and how far at most
        self._hidden: dict[str, int] = {}  # what this login is not shown, and of how many

    def look(self, fetch: Fetch, ours: Collection[int]) -> None:
        """Measures, in a transaction of its own; `ours` are the processes of the server that work for the audit.

        Raises what `fetch` raises.
        """
        said = []
        limits = self.limits
        active = self._active(fetch, ours)
        if active:
            self._busy = time.monotonic()
        if limits.load is not None or limits.critical is not None:
            critical = limits.critical is not None and active > limits.critical
            if critical and self._critical:  # twice in a row: a moment is no reason to end a run
                self.ended = self.ended or f"{_backends(active)}, --critical-load {limits.critical}"
            self._critical = critical
            if limits.load is not None and active > limits.load:
                said.append(f"{_backends(active)}, --max-load {limits.load}")
                self._most["load"] = max(active, self._most.get("load", 0))
        if limits.lag is not None:
            lag = self._lag(fetch)
            if lag > limits.lag:
                said.append(f"replication {lag:.1f} s behind, --max-lag {limits.lag:g} s")
                self._most["lag"] = max(lag, self._most.get("lag", 0))
        self.over = "; ".join(said)
        self._seen = time.monotonic()
        self._looked = True
        self._known.set()

    def _active(self, fetch: Fetch, ours: Collection[int]) -> int:
        """Client backends of others that run a statement.

        Of another role's session a login without pg_read_all_stats is shown neither state nor kind (documentation: The
        Cumulative Statistics System, Viewing Statistics). Such a session counts when it holds the lock of a virtual
        transaction, which pg_locks shows to all: more than are active, never fewer.
        """
        others = f"a.pid <> pg_catalog.pg_backend_pid() AND a.pid NOT IN ({', '.join(map(str, ours)) or '0'})"
        active, hidden = fetch(
            "SELECT pg_catalog.count(*) FILTER (WHERE a.backend_type = 'client backend' AND a.state = 'active'),"
            " pg_catalog.count(*) FILTER (WHERE a.backend_type IS NULL AND a.datid IS NOT NULL AND a.usesysid IS NOT NULL)"
            f" FROM pg_catalog.pg_stat_activity AS a WHERE {others}"
        )[0]
        if not int(hidden or 0):
            return int(active or 0)
        self._hidden["sessions"] = max(int(hidden or 0), self._hidden.get("sessions", 0))
        busy = fetch(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_type IS NULL"
            f" AND a.datid IS NOT NULL AND a.usesysid IS NOT NULL AND {others} AND a.pid IN (SELECT l.pid"
            " FROM pg_catalog.pg_locks AS l WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted)"
        )[0][0]
        return int(active or 0) + int(busy or 0)

    def _lag(self, fetch: Fetch) -> float:
        """Seconds: of the standby that is furthest behind this server, and of this one, while it has received WAL that it
        has not replayed. Without such WAL the age of its last transaction says only that nothing was written; and what it
        has received since it was last seen without is no older than that."""
        behind, own, hidden = fetch(
            "SELECT (SELECT pg_catalog.date_part('epoch', pg_catalog.max(r.replay_lag)) FROM pg_catalog.pg_stat_replication AS r),"
            " CASE WHEN pg_catalog.pg_is_in_recovery()"
            " AND pg_catalog.pg_last_wal_receive_lsn() > pg_catalog.pg_last_wal_replay_lsn() THEN"
            " pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) END,"
            " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication AS r WHERE r.state IS NULL)"
        )[0]
        if int(hidden or 0):
            self._hidden["standbys"] = max(int(hidden or 0), self._hidden.get("standbys", 0))
        lag, now = float(own or 0), time.monotonic()
        if own is None:
            self._even = now
        elif self._even is not None:
            lag = min(lag, now - self._even)
        return max(float(behind or 0), lag)

    def blind(self) -> None:
        """No connection is to be had for looking: who waits for the first look waits no longer, and others not for ever."""
        self._known.set()
        if time.monotonic() - self._seen >= _BLIND:
            self.over = ""

    def wait(self, stopped: threading.Event) -> None:
        """Returns once something new may begin, or the run is stopped."""
        end = time.monotonic() + (_FIRST if self.limits != Limits() else 0)
        while not self._known.is_set() and time.monotonic() < end and not stopped.is_set():
            self._known.wait(_EVERY)
        if not self.over or stopped.is_set():
            return
        with self._lock:
            if not self._waiting:
                self._times, self._since = self._times + 1, time.monotonic()
            self._waiting += 1
        while self.over and not self.ended and not stopped.wait(_EVERY):
            pass
        with self._lock:
            self._waiting -= 1
            if not self._waiting:
                self._seconds += time.monotonic() - self._since

    @property
    def busy(self) -> bool:
        """Whether others were active at the last looks."""
        return time.monotonic() - self._busy < _QUIET

    @property
    def waiting(self) -> str:
        """What is waited for now, for the reader; empty when nobody waits."""
        return self.over if self._waiting else ""

    def notes(self) -> list[str]:
        """What it waited for and how long, and what it was not shown."""
        said: list[str] = []
        if self.limits == Limits():
            return said
        if self._times:
            most = []
            if "load" in self._most:
                most.append(f"up to {_backends(int(self._most['load']))} of others (--max-load {self.limits.load})")
            if "lag" in self._most:
                most.append(f"replication up to {self._most['lag']:.1f} s behind (--max-lag {self.limits.lag:g} s)")
            said.append(
                f"the audit waited {plural(self._times, 'time')}, {self._seconds:.1f} s in all: {'; '.join(most)}"
            )
        if not self._looked:
            said.append("no connection was left to look at the server's load with: its limits were not kept to")
        if "sessions" in self._hidden and (self.limits.load, self.limits.critical) != (None, None):
            said.append(
                f"this login is not shown what {plural(self._hidden['sessions'], 'session')} of others do: those in a"
                " transaction were taken for active; pg_read_all_stats shows it"
            )
        if "standbys" in self._hidden:
            said.append(
                f"this login is not shown the lag of {plural(self._hidden['standbys'], 'standby')}: --max-lag was not"
                " kept to; pg_read_all_stats shows it"
            )
        return said


def _backends(count: int) -> str:
    return plural(count, "active backend")
