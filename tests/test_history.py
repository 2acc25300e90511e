"""Past audits: kept whole or not at all, never in the audited database; what has changed since is told in every report."""

from __future__ import annotations

import json
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from auditor.audit import Audit, from_json
from auditor.check import Past, Seen
from auditor.errors import UsageError
from auditor.history import VERSION, History
from auditor.report import Options, render
from auditor.report.wording import since
from tests.conftest import Make
from tests.helpers import audit, run_auditor
from tests.reports import CHECKS, hostile_script

pytestmark = pytest.mark.once

TABLES = """
    CREATE TABLE targets (id int PRIMARY KEY);
    CREATE TABLE sources (id int PRIMARY KEY, target int);
    INSERT INTO sources VALUES (1, 7), (2, 8), (3, NULL);
    ALTER TABLE sources ADD CONSTRAINT sources_target FOREIGN KEY (target) REFERENCES targets NOT VALID;
    CREATE TABLE gone (id int PRIMARY KEY, target int NOT NULL REFERENCES targets ON DELETE SET NULL);
"""


def on(result: Audit, day: int) -> Audit:
    """The audit as if it had been made on that day of November."""
    run = replace(
        result.run,
        id=f"{result.run.id[:-2]}{day:02}",
        started_at=f"2026-11-{day:02}T03:00:00.000+00:00",
        finished_at=f"2026-11-{day:02}T03:01:00.000+00:00",
    )
    return replace(result, run=run)


def url(dsn: str) -> str:
    parts = conninfo_to_dict(dsn)
    where = f"?host={parts['host']}" if str(parts.get("host", "")).startswith("/") else ""
    server = "" if where else f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"
    password = f":{parts['password']}" if parts.get("password") else ""
    return f"postgresql://{parts['user']}{password}@{server}/{parts['dbname']}{where}"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, database: Make, tmp_path: Path) -> str:
    return str(tmp_path / "deep" / "history.db") if request.param == "sqlite" else url(database())


def test_a_finding_is_followed_from_run_to_run(database: Make, place: str) -> None:
    dsn = database(TABLES)
    first = on(audit(dsn, select=CHECKS), 18)
    assert History(place).told(first) == first  # nothing to tell
    History(place).record(first)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO sources SELECT n, 9 FROM generate_series(10, 11) AS n")
    second = on(audit(dsn, select=CHECKS), 19)
    told = History(place).told(second)
    (orphans,) = [finding for finding in told.findings if finding.check == "references/orphan-rows"]
    began = "2026-11-18T03:00:00.000+00:00"
    assert orphans.past == Past(began, 2, 2, began, (Seen(began, 2),))
    assert since(orphans) == " · since 18 Nov 2026 (2 until now)"
    assert told.notes[0] == "since the last run (18 Nov 2026, 03:00 UTC): 1 worse"
    History(place).record(told)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE gone")
        connection.execute("DELETE FROM sources WHERE id = 10")
        connection.execute(
            "CREATE TABLE fresh (id int PRIMARY KEY, target int NOT NULL REFERENCES targets ON DELETE SET NULL)"
        )
    third = History(place).told(on(audit(dsn, select=CHECKS), 20))
    (orphans,) = [finding for finding in third.findings if finding.check == "references/orphan-rows"]
    assert since(orphans) == " · since 18 Nov 2026 (2 then and 4 last time)"
    assert third.notes[0] == "since the last run (19 Nov 2026, 03:00 UTC): 1 new, 1 better, 1 fixed"
    assert [point.at[:10] for point in third.past] == ["2026-11-18", "2026-11-19"]
    History(place).record(third)
    (trend,) = History(place).trends(10)
    counts = {(one.check, one.object): one.counts for one in trend.findings}
    assert counts["references/orphan-rows", "constraint sources_target on public.sources"] == (2, 4, 3)
    assert [len([c for c in counts.values() if c[run] is not None]) for run in range(3)] == [2, 2, 2]


def test_only_runs_that_asked_for_the_same_are_compared(database: Make, tmp_path: Path) -> None:
    dsn, other = database(TABLES), database(TABLES)
    history = History(str(tmp_path / "h.db"))
    history.record(on(audit(dsn, select=CHECKS), 18))
    assert history.told(audit(dsn, select=CHECKS[:1])).past == ()
    assert history.told(audit(dsn, select=CHECKS, depth="full")).past == ()
    assert history.told(audit(other, select=CHECKS)).past == ()
    assert len(history.told(audit(dsn, select=CHECKS, jobs=1)).past) == 1


def test_every_report_tells_the_past(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    history = History(str(tmp_path / "h.db"))
    history.record(on(audit(dsn, select=CHECKS), 18))
    told = history.told(on(audit(dsn, select=CHECKS), 20))
    for name in ("terminal", "markdown", "html"):
        text = render(told, name, Options(verbose=True))
        assert "since 18 Nov 2026" in text, name
        assert "ince the last run (18 Nov 2026, 03:00 UTC): nothing has changed" in text.replace("\n│ ", " "), name
    assert '<figure class="trend">' in render(told, "html", Options())
    assert '<figure class="trend">' not in render(audit(dsn, select=CHECKS), "html", Options())
    again = from_json(render(told, "json", Options()), "report")
    assert (again.past, again.findings[0].past) == (told.past, told.findings[0].past)


def test_hostile_names_pass_through(database: Make, place: str) -> None:
    history = History(place)
    first = audit(database(hostile_script()), select=CHECKS)
    history.record(first)
    told = history.told(first)
    assert all(finding.past for finding in told.findings)
    (trend,) = history.trends(5)
    assert len(trend.findings) == len(first.findings)


def test_counts_and_names_only(database: Make, tmp_path: Path) -> None:
    dsn = database("""
        CREATE TABLE parents (id text PRIMARY KEY);
        CREATE TABLE children (id text PRIMARY KEY, parent text);
        INSERT INTO children VALUES ('5ecret', '5ecret');
        ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents NOT VALID;
    """)
    path = tmp_path / "h.db"
    History(str(path)).record(audit(dsn, select=CHECKS, samples="full"))
    assert b"5ecret" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_runs_at_the_same_time_are_all_kept(database: Make, place: str) -> None:
    result = audit(database(TABLES), select=CHECKS)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda day: History(place).record(on(result, day)), range(1, 9)))
    (trend,) = History(place).trends(100)
    assert [point.at[8:10] for point in trend.points] == [f"{day:02}" for day in range(1, 9)]


def test_all_of_a_run_or_nothing(database: Make, place: str) -> None:
    result = audit(database(TABLES), select=CHECKS)
    twice = replace(result, findings=(*result.findings, result.findings[0]))
    with pytest.raises(UsageError, match="cannot be used"):
        History(place).record(twice)
    assert History(place).trends(10) == ()
    History(place).record(result)
    assert len(History(place).trends(10)) == 1


def test_the_audited_database_is_not_written_to(database: Make) -> None:
    dsn = database(TABLES)
    result = audit(dsn, select=CHECKS)
    history = History(url(database()))
    history.record(result)  # another database of the same server
    with pytest.raises(UsageError, match="nothing is written there"):
        History(url(dsn)).record(result)
    unknown = replace(result, database=replace(result.database, system_identifier=None))
    with pytest.raises(UsageError, match="nothing is written there"):
        History(url(dsn)).record(unknown)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'auditor%'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("mysql://localhost/x", "mysql: expected a file, or postgresql://..."),
        ("postgresql://nobody:5ecret@127.0.0.1:1/none", "cannot be used: connection"),
        ("/proc/none/history.db", "the history cannot be kept there"),
        ("nonsense://", "expected a file, or postgresql://..."),
    ],
)
def test_a_place_that_is_none_is_one_line_before_anything_runs(place: str, said: str, tmp_path: Path) -> None:
    done = run_auditor("audit", "postgresql://127.0.0.1:1/none", "--history", place, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "5ecret" not in done.stderr


def test_a_file_that_is_no_history_is_left_alone(database: Make, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is a letter, and no database at all" * 100)
    with pytest.raises(UsageError, match="cannot be used: file is not a database"):
        History(str(tmp_path / "text.db"))
    newer = tmp_path / "newer.db"
    History(str(newer)).record(audit(database("CREATE TABLE t (id int PRIMARY KEY)")))
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE auditor_schema SET version = version + 1")
    with pytest.raises(UsageError, match=f"is of a newer auditor \\(schema {VERSION + 1}, this one knows {VERSION}\\)"):
        History(str(newer))


def test_the_command(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    assert "No audit has been kept" in run_auditor("history", "h.db", cwd=tmp_path).stdout
    for _ in range(2):
        done = run_auditor("audit", dsn, "--history", "h.db", "-f", "json:r.json", cwd=tmp_path)
        assert done.returncode == 1, done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["past"]
    (tmp_path / "auditor.toml").write_text('[history]\nurl = "h.db"\n')
    said = run_auditor("history", cwd=tmp_path).stdout
    assert "constraint sources_target on public.sources, references/orphan-rows: 2 → 2 (since " in " ".join(
        said.split()
    )
    assert max(map(len, said.splitlines())) <= 80
    assert run_auditor("history", cwd=tmp_path / "..").returncode == 2
