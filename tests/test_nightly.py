"""What runs every night: notifications of what has changed, a lock file, metrics that outlive an incomplete run."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from auditor import notify
from auditor.audit import Audit
from auditor.check import Severity
from auditor.errors import UsageError
from auditor.history import History
from auditor.lock import hold
from auditor.notify import Notifier, changed
from auditor.report import Options, render
from tests.conftest import Make
from tests.helpers import audit, login, run_auditor
from tests.reports import CHECKS, HOSTILE, hostile_script
from tests.test_cli import Command, command
from tests.test_history import TABLES, on

__all__ = ["command"]  # a fixture

pytestmark = pytest.mark.once

SECRET = "5ecret-in-the-address"


# --- notifications -----------------------------------------------------------------------------------------------------


class Web:
    """A server on this machine that keeps what is posted to it; `answers` says how, and what a silent one hangs on."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, str]]] = []
        self.status, self.location = 200, ""
        self.ended = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.taken.append((self.path, json.loads(body)))
                if web.status == 0:
                    web.ended.wait(60)
                    return
                self.send_response(web.status)
                if web.location:
                    self.send_header("Location", web.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                web.taken.append((self.path, {}))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://operator:{SECRET}@127.0.0.1:{self.port}/hook"

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


def test_told_only_when_something_has_changed(database: Make, tmp_path: Path, web: Web) -> None:
    dsn, days = database(TABLES), itertools.count(1)
    history, notifier = History(str(tmp_path / "h.db")), Notifier([web.url])

    def night() -> list[dict[str, str]]:
        web.taken.clear()
        result = history.told(on(audit(dsn, select=CHECKS), next(days)))
        history.record(result)
        assert notifier.tell(result) == ""
        return [message for _, message in web.taken]

    def change(*statements: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                connection.execute(statement.encode())

    orphans = "references/orphan-rows, constraint sources_target on public.sources"
    (first,) = night()
    assert first["title"].endswith(": 2 new")
    assert first["type"] == "failure"
    assert f"- error: {orphans} (proven · 2 of 3 rows)" in first["message"]
    assert "set-null-on-not-null, constraint gone_target_fkey on public.gone" in first["message"]
    assert night() == []
    change("INSERT INTO sources SELECT n, 9 FROM generate_series(10, 11) AS n")
    (worse,) = night()
    assert worse["title"].endswith(": 1 worse")
    assert re.search(
        rf"Worse:\n- error: {orphans} \(proven · 4 of 5 rows · since 1 Nov 2026 \(2 until now\)\)", worse["message"]
    )
    assert night() == []
    change("DELETE FROM sources WHERE id = 10")
    assert night() == []  # better, and yet not gone
    change("TRUNCATE sources", "DROP TABLE gone")
    (fixed,) = night()
    assert fixed["title"].endswith(": 2 fixed")
    assert fixed["type"] == "success"
    named = {line.removeprefix("- ") for line in fixed["message"].splitlines() if line.startswith("- ")}
    assert named == {orphans, "nullability/set-null-on-not-null, constraint gone_target_fkey on public.gone"}
    assert night() == []


def test_incomplete_and_complete_again_are_changes_and_what_was_not_looked_at_is_not_fixed(
    database: Make, tmp_path: Path
) -> None:
    dsn = database(TABLES)
    poor = login(dsn, "GRANT SELECT ON targets TO {role}")
    history = History(str(tmp_path / "h.db"))

    def night(day: int, as_: str) -> tuple[Audit, tuple[str, str] | None]:
        result = history.told(on(audit(as_, select=CHECKS), day))
        history.record(result)
        return result, changed(result)

    night(1, dsn)
    result, said = night(2, poor)
    assert said
    assert said[0].endswith(": incomplete")
    assert "Incomplete: 2 not checked." in said[1]
    assert "Fixed" not in said[1]
    assert "since the last run (1 Nov 2026, 03:00 UTC): 1 not looked at again" in result.notes
    assert result.changes
    assert [(gone.check, gone.violations, gone.outcome) for gone in result.changes.gone] == [
        ("references/orphan-rows", 2, "not_checked")
    ]
    # What a check could not look at leaves open what it says of parts of it, too.
    parts = tuple(replace(entry, object=replace(entry.object, name="whole")) for entry in result.coverage)
    again = history.told(replace(on(result, 3), coverage=parts)).changes
    assert again
    assert [gone.outcome for gone in again.gone] == ["not_checked"]
    assert night(3, poor)[1] is None
    result, said = night(4, dsn)
    assert said
    assert said[0].endswith(": complete again")  # and nothing is new: it was there all the time
    (orphans,) = [finding for finding in result.findings if finding.check == "references/orphan-rows"]
    assert orphans.past
    assert [seen.at[8:10] for seen in orphans.past.runs] == ["01"]
    (trend,) = history.trends(10)
    assert [one.counts for one in trend.findings if one.check == orphans.check] == [(2, "unchecked", "unchecked", 2)]


def test_accepted_findings_are_no_news(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    history = History(str(tmp_path / "h.db"))
    accepted = '[[ignore]]\ncheck = "references/orphan-rows"\nreason = "known"'
    for day, config, said in ((1, accepted, ": 1 new"), (2, accepted, None), (3, "", ": 1 new"), (4, accepted, None)):
        result = history.told(on(audit(dsn, config, select=CHECKS), day))
        message = changed(result)
        assert (message and message[0][-len(said or "") :]) == said, day
        history.record(result)


def test_counts_and_names_only_and_no_name_does_anything(database: Make) -> None:
    dsn = database(
        hostile_script(),
        "CREATE TABLE parents (id text PRIMARY KEY); CREATE TABLE children (id text PRIMARY KEY, parent text);"
        "INSERT INTO children VALUES ('5ecret-value', '5ecret-value');"
        "ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents NOT VALID;",
    )
    result = audit(dsn, select=CHECKS, samples="full")
    made = changed(result)
    assert made
    everything = "\n".join(made)
    assert "5ecret-value" not in everything
    assert f"and {len(result.findings) - notify.LISTED} more" in everything
    many = replace(result, findings=result.findings[::-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notify, "LISTED", 1000)
        for text in (*(changed(result) or ()), *(changed(many) or ())):
            assert "5ecret-value" not in text
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
            assert not re.search(r"@\w|#\d|<[!@a-z/]|://|\]\(|\*\*", text)
    assert len(HOSTILE) == 22


def found(database: Make, tmp_path: Path) -> Audit:
    return History(str(tmp_path / "h.db")).told(audit(database(TABLES), select=CHECKS))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(database: Make, tmp_path: Path, web: Web, status: int) -> None:
    other = Web()
    try:
        web.status, web.location = status, f"http://127.0.0.1:{other.port}/elsewhere"
        # Not even where the address asks for it.
        said = Notifier([web.url + "?redirect=yes"]).tell(found(database, tmp_path))
        assert said.startswith("the notification was not taken by address 1 of 1;")
        assert len(web.taken) == 1
        assert other.taken == []
    finally:
        other.close()


def test_one_that_does_not_answer_is_told_and_keeps_nobody(
    database: Make, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Web()
    silent.status = 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"json://127.0.0.1:{free.getsockname()[1]}"  # bound, and nobody listens
        try:
            monkeypatch.setattr(notify, "ANSWER", 0.5)
            monkeypatch.setattr(notify, "WAIT", 60.0)
            result, began = found(database, tmp_path), time.monotonic()
            said = Notifier([silent.url + "?rto=600", web.url, nobody]).tell(result)
            assert time.monotonic() - began < 30
            assert said.startswith("the notification was not taken by addresses 1 and 3 of 3;")
            assert len(web.taken) == len(silent.taken) == 1  # none was kept from its message by another
            # One that would answer for ever: the whole has an end too.
            monkeypatch.setattr(notify, "ANSWER", 600.0)
            monkeypatch.setattr(notify, "WAIT", 0.5)
            assert "address 1 of 1" in Notifier([silent.url]).tell(result)
        finally:
            silent.close()


def test_a_report_that_cannot_be_written_keeps_nobody_from_hearing_of_it(
    database: Make, tmp_path: Path, web: Web
) -> None:
    (tmp_path / "auditor.toml").write_text(f'[history]\nurl = "h.db"\n[notify]\nurls = ["{web.url}"]\n')
    refused = "auditor: cannot write the report to /dev/full: No space left on device\n"
    done = run_auditor("audit", database(TABLES), "-f", "json:/dev/full", cwd=tmp_path)
    assert (done.returncode, done.stderr, len(web.taken)) == (2, refused, 1)
    assert len(History(str(tmp_path / "h.db")).trends(10)) == 1


def test_nobody_hears_of_findings_that_may_be_known(
    database: Make, tmp_path: Path, web: Web, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(self: History, audit: Audit) -> Audit:
        raise UsageError("spoilt")

    monkeypatch.setattr(History, "told", unreadable)
    done = command("audit", database(TABLES), "-q", "--history", "h.db", "--notify", web.url)
    assert (done.returncode, done.stderr, web.taken) == (2, "auditor: spoilt\n", [])


def test_a_notification_that_fails_changes_no_exit_code_and_prints_no_address(
    database: Make, tmp_path: Path, web: Web
) -> None:
    web.status = 500
    (tmp_path / "auditor.toml").write_text(f'[history]\nurl = "h.db"\n[notify]\nurls = ["{web.url}"]\n')
    done = run_auditor(
        "audit", database(TABLES), "-f", "json:r.json", cwd=tmp_path, environment={"AUDITOR_TRACEBACK": "1"}
    )
    assert done.returncode == 1
    assert done.stderr == (
        "auditor: the notification was not taken by address 1 of 1; the exit code is that of the audit all the same\n"
    )
    assert SECRET not in done.stdout + (tmp_path / "r.json").read_text()
    assert len(web.taken) == 1
    assert len(History(str(tmp_path / "h.db")).trends(10)[0].points) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--notify", f"json://{SECRET}@127.0.0.1"), "and needs --history, or [history] url"),
        (("--history", "h.db", "--notify", f"nonsense-{SECRET}"), "address 1 of 1 is none that apprise knows"),
        (("--history", "h.db", "--notify", f"nothing://{SECRET}"), "address 1 of 1 is none that apprise knows"),
        (("--history", "h.db", "--notify", "json://a", "--notify", f"json://:{SECRET}@"), "address 2 of 2 is none"),
    ],
)
def test_what_cannot_be_told_is_known_before_anything_runs(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = run_auditor("audit", "postgresql://127.0.0.1:1/none", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert SECRET not in done.stderr


def test_without_apprise_one_line_says_how_to_install_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['apprise'] = None; from auditor.cli import main; main()"
    arguments = ("audit", "postgresql://127.0.0.1:1/none", "--history", "h.db", "--notify", "json://127.0.0.1")
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "auditor: --notify needs apprise: pip install 'pg-integrity-auditor[notify]'\n"


def test_the_kind_of_message_follows_the_worst(database: Make, tmp_path: Path) -> None:
    result = found(database, tmp_path)
    mild = replace(result, findings=tuple(f.but(severity=Severity.WARNING) for f in result.findings))
    assert [notify._kind(one) for one in (result, mild, replace(result, findings=()))] == [
        "FAILURE",
        "WARNING",
        "SUCCESS",
    ]


# --- the lock file -----------------------------------------------------------------------------------------------------


def test_a_second_audit_does_not_start(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    lock = tmp_path / "lock"
    with psycopg.connect(dsn) as blocker:
        blocker.execute("LOCK TABLE sources IN ACCESS EXCLUSIVE MODE")
        command = [sys.executable, "-m", "auditor", "audit", dsn, "--lock-file", "lock", "--lock-timeout", "60s"]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
            wait_for(lambda: lock.exists() and lock.read_text().strip() == str(first.pid))
            done = run_auditor("audit", dsn, "--lock-file", "lock", "-f", "json:r.json", cwd=tmp_path)
            assert (done.returncode, done.stdout) == (3, "")
            assert done.stderr == (
                f"auditor: another audit holds the lock file lock (process {first.pid}): this one does not start\n"
            )
            assert not (tmp_path / "r.json").exists()
            first.send_signal(signal.SIGKILL)  # it can release nothing any more: the kernel does
            first.communicate()
    assert lock.exists()
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    (tmp_path / "auditor.toml").write_text('[audit]\nlock_file = "lock"\n')
    assert run_auditor("audit", dsn, cwd=tmp_path).returncode == 1
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run_auditor("audit", dsn, cwd=tmp_path).returncode == 3


def wait_for(there: Callable[[], bool]) -> None:
    ended = threading.Event()
    for _ in range(600):
        if there():
            return
        ended.wait(0.05)
    raise AssertionError("it did not come to that within 30 s")


def test_what_is_no_lock_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("empty")
    os.mkfifo(tmp_path / "pipe")
    for name, said in (
        ("report.json", "holds something else"),
        ("pipe", "holds something else"),
        ("link", "symbolic links"),
        (".", "Is a directory"),
        ("none/lock", "No such file"),
    ):
        with pytest.raises(UsageError, match=said):
            hold(tmp_path / name)
    assert (tmp_path / "report.json").read_text() == "{}"
    assert (tmp_path / "empty").read_text() == ""
    # An old process id, longer than the new one, is overwritten.
    (tmp_path / "lock").write_text("99999999999999\n")
    os.close(hold(tmp_path / "lock"))
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


# --- metrics -----------------------------------------------------------------------------------------------------------


def test_metrics_of_an_incomplete_run_keep_the_last_complete_one(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    history = History(str(tmp_path / "h.db"))

    def metric(result: Audit, name: str) -> list[float]:
        text = render(result, "prometheus", Options())
        return [s.value for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]

    complete, last = "auditor_run_complete", "auditor_last_complete_timestamp_seconds"
    whole = on(audit(dsn, select=CHECKS), 18)
    history.record(history.told(whole))
    ended = datetime.fromisoformat("2026-11-18T03:01:00+00:00").timestamp()
    assert metric(whole, last) == [ended]
    partly = on(audit(login(dsn, "GRANT SELECT ON targets TO {role}"), select=CHECKS), 19)
    assert partly.run.status == "incomplete"
    assert (metric(partly, complete), metric(partly, last)) == ([0], [])
    told = history.told(partly)
    assert (metric(told, complete), metric(told, last)) == ([0], [ended])
    history.record(told)
    again = history.told(on(audit(dsn, select=CHECKS), 20))
    assert metric(again, last) == [ended + 2 * 86_400]


def test_metrics_are_for_the_group_and_replaced_whole(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    path = tmp_path / "auditor.prom"
    path.write_text("old")
    before = path.open()
    assert run_auditor("audit", dsn, "-f", "prometheus:auditor.prom", "-f", "json:r.json", cwd=tmp_path).returncode == 1
    assert before.read() == "old"  # who reads it at that moment reads one or the other
    before.close()
    assert path.read_text().startswith("# HELP auditor_")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "r.json").stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["auditor.prom", "r.json"]
