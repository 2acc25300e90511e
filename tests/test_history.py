"""Past audits: kept whole or not at all, never in the audited database; what has changed since is told in every report."""

from __future__ import annotations

import json
import re
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
from auditor.report import Options, past, render
from auditor.report.layout import width
from auditor.report.wording import since
from tests.conftest import Make
from tests.helpers import audit, login, run_auditor
from tests.pages import Page
from tests.reports import CHECKS, hostile_script

pytestmark = [pytest.mark.once, pytest.mark.packaged]

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


def test_a_lower_bound_proves_no_growth_and_no_decline(database: Make, tmp_path: Path) -> None:
    result = audit(database(TABLES), select=CHECKS[:1])

    def counting(day: int, violations: int, *, exact: bool) -> Audit:
        (finding,) = result.findings
        assert finding.evidence is not None
        evidence = replace(finding.evidence, violations=violations, exact=exact)
        return on(replace(result, findings=(finding.but(evidence=evidence),)), day)

    history = History(str(tmp_path / "h.db"))
    said = []
    for day, (violations, exact) in enumerate(((2, False), (5, True), (3, False), (6, True), (7, False)), 1):
        told = history.told(counting(day, violations, exact=exact))
        history.record(told)
        assert told.changes is not None or day == 1
        said.append(bool(told.changes and told.changes.worse) - bool(told.changes and told.changes.better))
    assert said == [0, 0, 0, 0, 1]  # 7 at least are more than 6
    (trend,) = history.trends(10)
    assert trend.findings[0].counts == ("there", 5, "there", 6, "there")


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


def test_the_page_draws_the_runs_and_each_finding(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES)
    history = History(str(tmp_path / "h.db"))
    poor = login(dsn, "GRANT SELECT ON targets TO {role}")
    for day in (18, 19, 20, 21):
        result = history.told(on(audit(poor if day == 20 else dsn, select=CHECKS), day))
        history.record(result)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(f"INSERT INTO sources VALUES ({day}, 9)".encode())
    text = render(result, "html", Options())
    page = Page(text)
    assert page.whole
    assert not [1 for _, attributes in page.tags if "style" in attributes]
    figure = text.partition('<figure class="trend">')[2].partition("</figure>")[0]
    assert figure.count("<g><title>") == 4
    assert figure.count('<path class="left"') == 1  # the incomplete one
    assert "a dash below: incomplete" in figure
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', figure)
    assert [(when, re.findall(r">(\d+)<", cells)) for when, cells in rows] == [
        (f"{day} Nov 2026, 03:00 UTC", [errors, "0", "0", left])
        for day, errors, left in ((21, "2", "0"), (20, "1", "2"), (19, "2", "0"), (18, "2", "0"))
    ]
    told = (
        "first seen 18 Nov 2026, before this run last seen 19 Nov 2026; rows: 2 on 18 Nov 2026, 3 on 19 Nov 2026, 5 now"
    )
    (line,) = re.findall(rf'<svg class="line" role="img" aria-label="{told}".*?</svg>', text)
    bars = {
        name: re.findall(r"M(\d+) 18h4v-([\d.]+)", path) for name, path in re.findall(r'<path (.*?)d="(.*?)"', line)
    }
    # None for the night that could not look; heights are shares of the most.
    assert bars == {"": [("0", "7.2"), ("6", "10.8")], 'class="now" ': [("18", "18")]}
    assert f"<title>{told}</title>" in line
    assert f"Over time: {told}" in text
    assert f"Over time: {told}." in render(result, "markdown", Options())
    (orphans,) = [one for one in json.loads(render(result, "json", Options()))["findings"] if "orphan" in one["check"]]
    assert [(run["at"][:10], run["violations"]) for run in orphans["past"]["runs"]] == [
        ("2026-11-18", 2),
        ("2026-11-19", 3),
    ]


def test_old_runs_go_and_since_when_a_finding_is_there_stays_known(database: Make, place: str) -> None:
    history, result = History(place), audit(database(TABLES), select=CHECKS)
    assert history.prune(1) == 0  # nothing has been kept yet
    other = replace(result, run=replace(result.run, options={**result.run.options, "select": ["references"]}))

    def days() -> list[str]:
        (trend,) = history.trends(100)
        return [point.at[8:10] for point in trend.points]

    history.record(replace(on(other, 1), run=replace(on(other, 1).run, id="another question")))
    for day in range(1, 7):
        history.record(history.told(on(result, day)), keep=3)
    assert days() == ["01", "04", "05", "06"]
    told = history.told(on(result, 7))
    assert [finding.past.first_seen[:10] for finding in told.findings if finding.past] == ["2026-11-01"] * 2
    assert history.prune(2) == 1
    assert days() == ["01", "05", "06"]
    history.record(history.told(replace(on(result, 7), findings=())), keep=3)
    assert days() == ["05", "06", "07"]  # nothing is there any more that was first seen on the 1st
    assert len(history.told(other).past) == 1  # who asks something else is counted apart


def test_the_past_in_eighty_columns(database: Make, tmp_path: Path) -> None:
    dsn = database(TABLES, hostile_script())
    history = History(str(tmp_path / "h.db"))
    poor = login(dsn, "GRANT SELECT ON targets TO {role}")
    whole, partly = audit(dsn, select=CHECKS), audit(poor, select=CHECKS)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE gone; DELETE FROM sources WHERE id = 1")
    less = audit(dsn, select=CHECKS)
    for day in range(1, 13):
        history.record(history.told(on(partly if day == 3 else whole if day < 11 else less, day)))
    said = past.render(history.trends(10), 80)
    assert max(map(width, said.splitlines())) <= 80
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", said)
    words = " ".join(said.split())
    assert re.search(": 12 runs, the last 10 of them [0-9a-f]{8} 3 Nov 2026, 03:00 UTC: ", words)
    assert re.search(r" \(incomplete\) [0-9a-f]{8} 4 Nov 2026", words)
    there, gone = words.partition(" There: ")[2].split(" Gone: ")
    counts = " → ".join(["?", *["2"] * 7, "1", "1"])
    assert f"constraint sources_target on public.sources, references/orphan-rows: {counts} (since 1 Nov 2026)" in there
    counts = " → ".join(["x", *["0"] * 7, "-", "-"])
    assert f"nullability/set-null-on-not-null: {counts} (seen 1 Nov 2026 to 10 Nov 2026)" in gone
    signs = "x: there, by the catalog; no rows were counted ?: not looked at again by an incomplete run -: not reported"
    assert gone.endswith(signs)


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
