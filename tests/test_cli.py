"""The command as a user runs it: what it prints where, how it ends, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from auditor.check import Severity
from tests.conftest import Make
from tests.helpers import audit, login, plain_environment, run_auditor

pytestmark = pytest.mark.once

Command = Callable[..., subprocess.CompletedProcess[str]]
LAST_LINE = re.compile(
    r"\d+ findings? \(\d+ errors?, \d+ warnings?, \d+ infos?\), \d+ suppressed, \d+ probes?, \d+ not checked"
)
SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, note text);
    INSERT INTO users VALUES (1), (2);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int, note text);
    INSERT INTO orders VALUES (1, 1), (2, 7);
    ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users NOT VALID;
    CREATE TABLE visits (id int PRIMARY KEY, user_id int REFERENCES users);
"""
ORPHANS = ("--select", "references/orphan-rows")


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Iterator[Command]:
    """The same as `run_auditor`, in this process: many times faster, and what a test replaced is replaced there too."""
    from auditor.cli import main

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["auditor", *arguments])
        monkeypatch.chdir(tmp_path)
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        printed = capfdbinary.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out.decode(), printed.err.decode())

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


def one_line(result: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line that the command printed on standard error before it ended with `code`, and nothing else anywhere."""
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("auditor: ")
    return line.removeprefix("auditor: ")


# --- what is printed where -----------------------------------------------------------------------------------------


def test_a_finding_ends_with_one_and_the_last_line_is_the_contracts(database: Make, tmp_path: Path) -> None:
    result = run_auditor("audit", database(SCHEMA), *ORPHANS, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    last = result.stdout.splitlines()[-1]
    assert LAST_LINE.fullmatch(last)
    assert last == "1 finding (1 error, 0 warnings, 0 infos), 0 suppressed, 1 probe, 0 not checked"
    assert not list(tmp_path.iterdir())


def test_a_clean_database_ends_with_zero(database: Make, tmp_path: Path) -> None:
    dsn = database("CREATE TABLE t (id int PRIMARY KEY)")
    result = run_auditor("audit", dsn, *ORPHANS, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1].startswith("0 findings (0 errors,")


def test_an_empty_database_is_told_and_ends_with_zero(database: Make, tmp_path: Path) -> None:
    result = run_auditor("audit", database(), cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "the database has no tables: nothing was audited" in " ".join(result.stdout.split())
    assert LAST_LINE.fullmatch(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["", "quiet"])
def test_json_on_standard_output_is_alone_there(database: Make, tmp_path: Path, quiet: tuple[str, ...]) -> None:
    result = run_auditor("audit", database(SCHEMA), *ORPHANS, "-f", "json", *quiet, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout.isascii()
    report = json.loads(result.stdout)
    assert report["schema_version"] == 1
    assert [f["title"] for f in report["findings"]] == [
        "1 row of public.orders points to 1 row of public.users that does not exist"
    ]
    assert LAST_LINE.fullmatch(result.stderr.rstrip("\n"))


def test_several_reports_in_one_run(database: Make, tmp_path: Path) -> None:
    formats = ("-f", "json:one.json", "-f", "json:two.json", "-f", "terminal")
    result = run_auditor("audit", database(SCHEMA), *ORPHANS, *formats, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert stat.S_IMODE((tmp_path / "one.json").stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 2
    assert LAST_LINE.fullmatch(result.stdout.splitlines()[-1])


def test_quiet_prints_the_last_line_only(database: Make, tmp_path: Path) -> None:
    result = run_auditor("audit", database(SCHEMA), *ORPHANS, "--quiet", "-f", "terminal", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    assert LAST_LINE.fullmatch(result.stdout.rstrip("\n"))


def test_a_report_replaces_the_file_a_link_names_and_leaves_devices_alone(database: Make, tmp_path: Path) -> None:
    (tmp_path / "dated.json").write_text("old")
    (tmp_path / "latest.json").symlink_to("dated.json")
    device = tmp_path / "device"
    device.symlink_to("/dev/null")
    formats = ("-f", "json:latest.json", "-f", f"json:{device}")
    assert run_auditor("audit", database(SCHEMA), *ORPHANS, *formats, cwd=tmp_path).returncode == 1
    assert (tmp_path / "latest.json").is_symlink()
    assert json.loads((tmp_path / "dated.json").read_text())["schema_version"] == 1
    assert device.is_symlink()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipe_is_written_to(database: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        result = run_auditor("audit", database(SCHEMA), *ORPHANS, "-f", "json:pipe", cwd=tmp_path)
        text, _ = reader.communicate(timeout=30)
    assert (result.returncode, result.stderr) == (1, "")
    assert json.loads(text)["schema_version"] == 1


def test_a_reader_that_went_away_is_no_finding(database: Make, tmp_path: Path) -> None:
    auditor = subprocess.Popen(
        [sys.executable, "-m", "auditor", "audit", database(SCHEMA), *ORPHANS],
        cwd=tmp_path,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert auditor.stdout is not None
    auditor.stdout.close()
    assert auditor.stderr is not None
    with auditor.stderr:
        assert auditor.stderr.read() == ""
    assert auditor.wait(30) == 3


def test_the_dsn_may_come_from_everywhere_libpq_looks(database: Make, tmp_path: Path) -> None:
    dsn = database(SCHEMA)
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    variables = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    environment = {variables[name]: str(value) for name, value in parts.items() if value}
    result = run_auditor("audit", *ORPHANS, "-q", cwd=tmp_path, environment=environment)
    assert (result.returncode, result.stderr) == (1, "")

    options = {"host": "-h", "port": "-p", "user": "-U", "dbname": "-d"}
    given = [word for name, value in parts.items() if name in options and value for word in (options[name], str(value))]
    secret = {"PGPASSWORD": environment.get("PGPASSWORD", "")}
    result = run_auditor("audit", *given, *ORPHANS, "-q", cwd=tmp_path, environment=secret)
    assert (result.returncode, result.stderr) == (1, "")

    (tmp_path / "services").write_text("[prod]\n" + "".join(f"{n}={v}\n" for n, v in parts.items() if v))
    (tmp_path / "auditor.toml").write_text('[database]\nurl = "service=prod"\n')
    services = {"PGSERVICEFILE": str(tmp_path / "services")}
    result = run_auditor("audit", *ORPHANS, "-q", cwd=tmp_path, environment=services)
    assert (result.returncode, result.stderr) == (1, "")


# --- exit codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worst", "code"),
    [
        (Severity.ERROR, {"error": 1, "warning": 1, "info": 1, "never": 0}),
        (Severity.WARNING, {"error": 0, "warning": 1, "info": 1, "never": 0}),
        (Severity.INFO, {"error": 0, "warning": 0, "info": 1, "never": 0}),
        (None, {"error": 0, "warning": 0, "info": 0, "never": 0}),
    ],
)
def test_fail_on(database: Make, worst: Severity | None, code: dict[str, int]) -> None:
    result = audit(database(SCHEMA), select=["references/orphan-rows"])
    (finding,) = result.findings
    found = replace(result, findings=(finding.but(severity=worst),) if worst else ())
    incomplete = replace(found, run=replace(found.run, status="incomplete"))
    for fail_on, expected in code.items():
        assert found.exit_code(fail_on, allow_incomplete=False) == expected
        assert incomplete.exit_code(fail_on, allow_incomplete=False) == expected or 4
        assert incomplete.exit_code(fail_on, allow_incomplete=True) == expected


def test_fail_on_and_incomplete_from_the_command_line(database: Make, tmp_path: Path) -> None:
    dsn = database(SCHEMA)
    blind = login(dsn)
    assert run_auditor("audit", dsn, *ORPHANS, "--fail-on", "never", "-q", cwd=tmp_path).returncode == 0
    assert run_auditor("audit", blind, *ORPHANS, "-q", cwd=tmp_path).returncode == 4
    assert run_auditor("audit", blind, *ORPHANS, "-q", "--allow-incomplete", cwd=tmp_path).returncode == 0


def test_a_login_that_may_only_connect_checks_nothing_and_says_so(database: Make, tmp_path: Path) -> None:
    blind = login(database(SCHEMA, "REVOKE ALL ON SCHEMA public FROM PUBLIC"))
    result = run_auditor("audit", blind, *ORPHANS, "--depth", "full", "-f", "json", cwd=tmp_path)
    assert result.returncode == 4
    report = json.loads(result.stdout)
    assert report["run"]["status"] == "incomplete"
    assert {(c["outcome"], c["reason"]) for c in report["coverage"]} == {("not_checked", "permission")}
    assert len(report["coverage"]) == 2
    assert report["findings"] == []


def test_a_baseline_makes_findings_known_as_long_as_they_do_not_grow(database: Make, tmp_path: Path) -> None:
    dsn = database(SCHEMA, "ALTER TABLE orders DISABLE TRIGGER ALL; INSERT INTO orders VALUES (3, 8)")

    def audited(*arguments: str) -> tuple[int, dict[str, Any]]:
        done = run_auditor("audit", dsn, *ORPHANS, "--baseline", "before.json", "-f", "json", *arguments, cwd=tmp_path)
        return done.returncode, json.loads(done.stdout)

    def change(statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    assert run_auditor("audit", dsn, *ORPHANS, "-f", "json:before.json", "-q", cwd=tmp_path).returncode == 1
    for statement in ("SELECT 1", "DELETE FROM orders WHERE id = 3"):  # as many, and fewer
        change(statement)
        code, report = audited()
        assert (code, [finding["status"] for finding in report["findings"]]) == (0, ["known"])
        assert (report["summary"]["suppressed"], report["notes"][-1:]) == (1, report["notes"][-1:])
    change("INSERT INTO orders VALUES (3, 8), (4, 8), (5, 9)")
    code, report = audited()
    assert code == 1
    (finding,) = report["findings"]
    assert (finding["status"], report["summary"]["error"], report["summary"]["suppressed"]) == ("new", 1, 0)
    assert finding["title"].endswith("of public.users that do not exist (2 in the baseline, 4 now)")
    assert "1 known finding has grown since the baseline was made, and counts as new" in report["notes"]
    code, report = audited("--where", "id < 3")
    assert (code, report["findings"][0]["status"]) == (0, "known")
    assert any("the baseline is of other rows (--where)" in note for note in report["notes"])
    change(
        "DELETE FROM orders WHERE id > 3; CREATE TABLE more (id int); INSERT INTO more VALUES (5);"
        "ALTER TABLE more ADD CONSTRAINT more_user FOREIGN KEY (id) REFERENCES users NOT VALID"
    )
    result = run_auditor("audit", dsn, *ORPHANS, "--baseline", "before.json", "-q", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout.startswith("1 finding (1 error, 0 warnings, 0 infos), 1 suppressed")


def test_a_baseline_is_made_and_only_shrinks(database: Make, tmp_path: Path) -> None:
    dsn = database(
        SCHEMA,
        "CREATE TABLE more (id int); INSERT INTO more VALUES (5), (6);"
        "ALTER TABLE more ADD CONSTRAINT more_user FOREIGN KEY (id) REFERENCES users NOT VALID;"
        "CREATE TABLE less (id int); INSERT INTO less VALUES (5);"
        "ALTER TABLE less ADD CONSTRAINT less_user FOREIGN KEY (id) REFERENCES users NOT VALID",
    )

    def made(*arguments: str, code: int = 0) -> str:
        run_auditor("audit", dsn, *ORPHANS, "-f", "json:today.json", "-q", "--fail-on", "never", cwd=tmp_path)
        done = run_auditor("baseline", "today.json", *arguments, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    def counts() -> dict[str, int]:
        report = json.loads((tmp_path / "baseline.json").read_text())
        assert all(f["evidence"]["sample"] == [] and f["fixes"] == [] for f in report["findings"])
        assert {f["status"] for f in report["findings"]} <= {"known"}
        return {f["object"]["table"]: f["evidence"]["violations"] for f in report["findings"]}

    (tmp_path / "auditor.toml").write_text('[[ignore]]\ncheck = "*"\nobject = "public.orders*"\nreason = "a test"\n')
    assert made() == "baseline.json: 2 accepted as known\n"
    assert counts() == {"more": 2, "less": 1}  # what [[ignore]] accepts stays its business
    assert "baseline.json is there already; --update shrinks it" in made(code=2)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM more WHERE id = 5; DELETE FROM less; DROP TABLE orders")
        connection.execute(
            "CREATE TABLE later (id int); INSERT INTO later VALUES (5);"
            "ALTER TABLE later ADD CONSTRAINT later_user FOREIGN KEY (id) REFERENCES users NOT VALID"
        )
    assert made("--update") == "baseline.json: 1 taken out, 1 lowered, 1 left\n"
    assert counts() == {"more": 1}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO more SELECT 5 WHERE false")
        connection.execute("SET session_replication_role = replica; INSERT INTO more VALUES (8), (9)")
    assert made("--update") == "baseline.json: 0 taken out, 0 lowered, 1 left\n"
    assert counts() == {"more": 1}
    assert run_auditor("audit", dsn, *ORPHANS, "--baseline", "baseline.json", "-q", cwd=tmp_path).returncode == 1
    assert made("--force") == "baseline.json: 2 accepted as known\n"
    assert counts() == {"more": 3, "later": 1}
    assert run_auditor("audit", dsn, *ORPHANS, "--baseline", "baseline.json", "-q", cwd=tmp_path).returncode == 0


def test_two_databases_are_compared(database: Make, tmp_path: Path, command: Command) -> None:
    one, other = database(SCHEMA), database(SCHEMA, "DROP TABLE orders")
    parts = {name: psycopg.conninfo.conninfo_to_dict(dsn) for name, dsn in (("staging", one), ("production", other))}
    text = "".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in each.items() if value)
        for name, each in parts.items()
    )
    (tmp_path / "services").write_text(text)
    services = {"PGSERVICEFILE": str(tmp_path / "services")}
    done = run_auditor("diff", "staging", "production", *ORPHANS, cwd=tmp_path, environment=services)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.endswith("\nB is not worse: 1 fixed\n")
    assert "A and B are different databases" in " ".join(done.stdout.split())
    done = run_auditor("diff", "production", "staging", *ORPHANS, "-q", cwd=tmp_path, environment=services)
    assert (done.returncode, done.stdout) == (1, "B is worse: 1 new\n")
    run_auditor("audit", one, *ORPHANS, "-q", "-f", "json:report.json", cwd=tmp_path)
    done = run_auditor("diff", "report.json", one, *ORPHANS, "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "B is not worse: 1 unchanged\n")


def test_what_cannot_be_compared_is_told(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "services").write_text("[staging]\nhost=/nonexistent\n[production]\nhost=/nonexistent\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    (tmp_path / "production").write_text("{}")
    (tmp_path / "folder").mkdir()

    def said(*arguments: str) -> str:
        return one_line(command("diff", *arguments), 2)

    assert said("stagin", "x.json") == "A: there is neither a file nor a service called stagin; did you mean staging?"
    assert said("staging", "x.json") == "B: there is neither a file nor a service called x.json"
    assert said("staging", "production") == (
        "B: production is a file and a service; write ./production or service=production"
    )
    assert said("staging", "./production") == "production has schema_version None; this auditor reads 1"
    assert said("staging", "folder").startswith("B: folder is a directory; expected a JSON report")
    assert said("staging", "staging") == "A and B are the same database"
    assert said("staging", "").startswith("B is empty: ")
    assert "hunter2" not in said("staging", "me:hunter2@host/db")
    (tmp_path / "one.json").write_text("{}")
    assert said("./production", "one.json", "--depth", "full") == (
        "--depth is for a database that is audited now; A and B are both reports"
    )
    assert said("./production", "one.json", "-t", "x").startswith("--table is for a database")


# --- what cannot be done -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("postgresql://someone@127.0.0.1:1/db", "Connection refused"),
        ("host=/nonexistent dbname=db", "No such file or directory"),
        ("host=no-such-host.invalid user=someone", "no-such-host.invalid"),
    ],
)
def test_unreachable(dsn: str, words: str, command: Command) -> None:
    assert words in one_line(command("audit", dsn), 3)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:hunter2@host:port/db?bad",
        "postgresql://user:hunter2%zz@host/db",
        "postgresql://user:hunter2@x@host/db",
        "postgresql://user:hunter2/x@host/db",
        "postgresql://user:/hunter2@host/db",
        "host=localhost password=hunter2 user",
        "host=localhost password='hunter2",
        "mysql://user:hunter2@host/db",
        "hunter2",
    ],
)
def test_a_dsn_that_does_not_parse_is_not_repeated(dsn: str, command: Command) -> None:
    line = one_line(command("audit", dsn), 2)
    assert "the DSN does not parse" in line
    assert "hunter2" not in line


def require_password(dsn: str, role: str) -> None:
    """Puts lines for `role` before all others of the server's pg_hba.conf; goes the way any superuser can."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        (text,) = connection.execute("SELECT pg_read_file(%s)", (file,)).fetchone() or ("",)
        added = f"local all {role} scram-sha-256\nhost all {role} all scram-sha-256\n"
        connection.execute("CREATE TEMPORARY TABLE hba (number int, line text)")
        connection.execute(
            "INSERT INTO hba SELECT n, l FROM unnest(%s::text[]) WITH ORDINALITY AS t (l, n)",
            ((added + str(text)).splitlines(),),
        )
        connection.execute(
            psycopg.sql.SQL(
                r"COPY (SELECT line FROM hba WHERE line <> '' ORDER BY number) TO {} (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"
            ).format(psycopg.sql.Literal(file))
        )
        connection.execute("SELECT pg_reload_conf()")


def test_wrong_password(database: Make, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = database()
    right = login(dsn)
    parts = psycopg.conninfo.conninfo_to_dict(right)
    require_password(dsn, str(parts["user"]))
    wrong = psycopg.conninfo.make_conninfo(right, password="hunter2")
    for _ in range(50):  # the postmaster reads the file when it gets to it
        result = command("audit", wrong)
        if result.returncode == 3:
            break
        time.sleep(0.1)
    line = one_line(result, 3)
    assert f'password authentication failed for user "{parts["user"]}"' in line
    assert "hunter2" not in line
    assert command("audit", right, "-q").returncode == 0
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    without = psycopg.conninfo.make_conninfo("", **{n: v for n, v in parts.items() if n != "password"})
    assert "hunter2" not in one_line(command("audit", without), 3)


def test_a_password_in_the_configuration_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text('[database]\nurl = "postgresql://me:hunter2@host/db"\n')
    line = one_line(command("audit"), 2)
    assert "[database] url holds a password" in line
    assert "hunter2" not in line


def test_refused_roles(database: Make, command: Command) -> None:
    dsn = database()
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    unable = login(dsn, "ALTER ROLE {role} NOLOGIN")
    assert "is not permitted to log in" in one_line(command("audit", unable), 3)
    unwanted = login(dsn, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    assert f'permission denied for database "{name}"' in one_line(command("audit", unwanted), 3)
    nobody = psycopg.conninfo.make_conninfo(unwanted, user="no_such_role")
    assert "no_such_role" in one_line(command("audit", nobody), 3)


def test_unknown_database(server: str, command: Command) -> None:
    dsn = psycopg.conninfo.make_conninfo(server, dbname="no such\ndatabase")
    line = one_line(command("audit", dsn), 3)
    assert 'database "no such' in line
    assert "does not exist" in line


def test_unknown_names_offer_the_nearest(server: str, command: Command) -> None:
    def said(*arguments: str) -> str:
        return one_line(command("audit", server, *arguments), 2)

    assert said("--select", "references/orphan-row") == (
        "no check or family is called 'references/orphan-row'; did you mean references/orphan-rows?"
    )
    assert "did you mean references" in said("--ignore", "refrences")
    assert said("-f", "htlm") == "there is no report format 'htlm'; did you mean html?"
    assert said("-f", "sqlite").startswith(
        "there is no report format 'sqlite'; known are terminal, html, markdown, json"
    )
    assert said("--depth", "deep") == "options: depth: Input should be 'catalog', 'data' or 'full'"
    assert "fail_on" in said("--fail-on", "warnings")
    assert said("--color", "maybe") == "--color maybe: expected auto, always or never"
    assert said("-f", "json", "-f", "html") == (
        "two reports cannot both go to standard output; give one a file: -f FORMAT:FILE"
    )
    assert said("-f", "json:") == "-f json:: a file name is missing after the colon"
    assert said("--statement-timeout", "soon").endswith("'soon' is no duration; write 90, 90s, 5min or 500ms")
    assert said("-t", "orders[") == "the pattern 'orders[' does not parse: unterminated character set at position 6"
    assert said("--config", "missing.toml") == "cannot read missing.toml: No such file or directory"
    assert said("--baseline", "missing.json") == "cannot read missing.json: No such file or directory"


def test_options_that_do_not_exist_are_usage(command: Command) -> None:
    def said(*arguments: str) -> str:
        return one_line(command(*arguments), 2)

    assert "--deptj" in said("audit", "--deptj", "data")
    assert "--depth" in said("audit", "--deptj", "data")
    assert said("audit", "--jobs", "many").endswith("; auditor audit --help tells what it takes")
    assert said("audti") == "there is no such command audti; did you mean audit?; auditor --help tells what it takes"
    assert said("audit", "a", "b").startswith("more arguments are given than it takes; ")
    assert "Usage: auditor" in command().stderr


def test_unwritable_reports_are_told_before_anything_runs(command: Command, tmp_path: Path) -> None:
    def said(file: str) -> str:
        return one_line(command("audit", "host=/nonexistent", "-f", f"json:{file}"), 2)

    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    assert said("folder") == "cannot write the report to folder: it is a directory"
    assert said("missing/report.json").startswith(
        "cannot write the report to missing/report.json: there is no directory"
    )
    assert said("x" * 300).endswith(": File name too long")
    assert "loop" in said("loop")
    assert "cannot write the report to /proc/self/report.json: " in said("/proc/self/report.json")


def test_the_other_reports_are_written_when_one_cannot_be(database: Make, tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text(SLOW)
    (tmp_path / "gone").mkdir()
    dsn = database(SCHEMA, "CREATE TABLE big (id int PRIMARY KEY, user_id int); INSERT INTO big VALUES (1, 1), (2, 1)")
    with psycopg.connect(dsn, autocommit=True) as watching:
        auditor = started(dsn, tmp_path, *ORPHANS, "-f", "json:gone/report.json", "-f", f"json:{'x' * 250}.json")
        with auditor:
            wait_until(watching, "pg_sleep(0.3)", there=True, seconds=30)
            (tmp_path / "gone").rmdir()
            out, err = auditor.communicate(timeout=30)
    assert auditor.returncode == 2
    assert LAST_LINE.fullmatch(out.rstrip("\n"))
    assert err == "auditor: cannot write the report to gone/report.json: No such file or directory\n"
    assert json.loads((tmp_path / f"{'x' * 250}.json").read_text())["schema_version"] == 1


def test_too_old_a_server(database: Make, version: int, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setattr("auditor.connection.OLDEST", (version + 1) * 10000)
    line = one_line(command("audit", database()), 3)
    assert line == f"the server is PostgreSQL {version}; the auditor knows 13 and later"


def test_what_nobody_foresaw_is_one_line_and_no_finding(
    database: Make, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyError("a value of a row")

    monkeypatch.setattr("auditor.catalog.infer.complete", fails)
    line = one_line(command("audit", database()), 3)
    assert line.startswith("internal error: KeyError in tests/test_cli.py, line ")
    assert "a value" not in line


def test_a_traceback_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one with the variables of each call, as pytest and others print them."""
    from auditor.audit import Auditor
    from auditor.config import Settings
    from auditor.connection import Session, Target

    def fails(self: Session, target: Target) -> None:
        raise KeyError("unforeseen")

    monkeypatch.setattr(Session, "__init__", fails)
    target = Target("postgresql://me:hunter2@127.0.0.1:1/db", {"password": "hunter2"})
    try:
        Auditor(Settings(), target).run()
    except KeyError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Target(" in text
    assert "hunter2" not in text.replace(
        'Target("postgresql://me:hunter2@127.0.0.1:1/db", {"password": "hunter2"})', ""
    )


# --- interrupted ---------------------------------------------------------------------------------------------------

GONE = 2.0  # seconds: one for the auditor to end its queries, one for a busy machine
SLOW = """
[[reference]]
from = "public.big(user_id)"
to = "public.users(id)"
where = "pg_catalog.pg_sleep(0.3) IS NOT NULL"
"""
BIG = """
    CREATE TABLE big (id int PRIMARY KEY, user_id int, filler text);
    INSERT INTO big SELECT n, 1, repeat('x', 1000) FROM generate_series(1, 1000) AS n;
    ANALYZE;
"""


def started(dsn: str, cwd: Path, *arguments: str, command: str = "audit") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "auditor", command, dsn, *arguments],
        cwd=cwd,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running(connection: psycopg.Connection[tuple[object, ...]], text: str) -> int:
    """How many other sessions run a query that contains `text` in this database; that it was looked at beforehand is no matter."""
    found = connection.execute(
        "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        " AND pid <> pg_backend_pid() AND strpos(query, %s) > 0 AND NOT starts_with(query, 'EXPLAIN')",
        (text,),
    ).fetchone()
    assert found is not None
    return int(str(found[0]))


def wait_until(connection: psycopg.Connection[tuple[object, ...]], text: str, *, there: bool, seconds: float) -> None:
    end = time.monotonic() + seconds
    while bool(running(connection, text)) is not there:
        assert time.monotonic() < end, f"{text} {'did not begin' if there else 'went on'}"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_audit_writes_what_is_done(database: Make, tmp_path: Path, number: int) -> None:
    dsn = database(SCHEMA, BIG)
    (tmp_path / "auditor.toml").write_text(SLOW)
    with psycopg.connect(dsn, autocommit=True) as watching:
        auditor = started(dsn, tmp_path, *ORPHANS, "--jobs", "1", "-f", "json:report.json")
        with auditor:
            wait_until(watching, "pg_sleep(0.3)", there=True, seconds=30)
            auditor.send_signal(number)
            sent = time.monotonic()
            wait_until(watching, "pg_sleep(0.3)", there=False, seconds=GONE)
            out, err = auditor.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert auditor.returncode == 1  # the finding that was made before beats the incomplete run
    assert err == "auditor: interrupted: what had not been asked by then is listed as not checked\n"
    assert out == "1 finding (1 error, 0 warnings, 0 infos), 0 suppressed, 2 probes, 1 not checked\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["run"]["status"] == "incomplete"
    assert sorted((c["outcome"], c["reason"], c["object"]["table"]) for c in report["coverage"]) == [
        ("failed", None, "orders"),
        ("not_checked", "cancelled", "big"),
        ("skipped", None, "visits"),
    ]


def test_an_interrupted_audit_without_findings_ends_with_four(database: Make, tmp_path: Path) -> None:
    dsn = database("CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)", BIG)
    (tmp_path / "auditor.toml").write_text(SLOW)
    with psycopg.connect(dsn, autocommit=True) as watching:
        auditor = started(dsn, tmp_path, *ORPHANS, "-q")
        with auditor:
            wait_until(watching, "pg_sleep(0.3)", there=True, seconds=30)
            auditor.send_signal(signal.SIGINT)
            out, err = auditor.communicate(timeout=30)
    assert (auditor.returncode, out) == (
        4,
        "0 findings (0 errors, 0 warnings, 0 infos), 0 suppressed, 1 probe, 1 not checked\n",
    )
    assert len(err.splitlines()) == 1


def test_an_interrupted_comparison_compares_nothing(database: Make, tmp_path: Path) -> None:
    dsn, other = database(SCHEMA, BIG), database(SCHEMA, BIG)
    (tmp_path / "auditor.toml").write_text(SLOW)
    with psycopg.connect(dsn, autocommit=True) as watching, psycopg.connect(other, autocommit=True) as untouched:
        auditor = started(dsn, tmp_path, other, *ORPHANS, command="diff")
        with auditor:
            wait_until(watching, "pg_sleep(0.3)", there=True, seconds=30)
            auditor.send_signal(signal.SIGINT)
            wait_until(watching, "pg_sleep(0.3)", there=False, seconds=GONE)
            out, err = auditor.communicate(timeout=30)
        assert not running(untouched, "")
    assert (auditor.returncode, out) == (3, "")
    assert err == "auditor: interrupted before there was anything to compare\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_the_catalog_is_read(database: Make, tmp_path: Path, number: int) -> None:
    dsn = database(SCHEMA, "CREATE INDEX ON users ((id + 1))")
    with psycopg.connect(dsn) as holding, psycopg.connect(dsn, autocommit=True) as watching:
        holding.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        auditor = started(dsn, tmp_path, "--lock-timeout", "60s", "-f", "json:report.json")
        with auditor:
            wait_until(watching, "pg_get_indexdef", there=True, seconds=30)
            auditor.send_signal(number)
            wait_until(watching, "pg_get_indexdef", there=False, seconds=GONE)
            out, err = auditor.communicate(timeout=30)
        assert (auditor.returncode, out) == (3, ""), err
        assert err == "auditor: interrupted before a report could be written\n"
        assert not (tmp_path / "report.json").exists()


# --- the other commands --------------------------------------------------------------------------------------------


def test_help_and_version(command: Command) -> None:
    for words in ((), ("audit",), ("checks",), ("explain",), ("schema",), ("diff",), ("demo",)):
        result = command(*words, "--help")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("Usage: ")
    assert re.fullmatch(r"auditor \d+\.\d+\.\d+\n", command("--version").stdout)


def test_checks_explain_and_schema(command: Command) -> None:
    listed = command("checks")
    assert listed.returncode == 0
    assert "references/orphan-rows" in listed.stdout
    explained = command("explain", "references/orphan-rows")
    assert (explained.returncode, explained.stderr) == (0, "")
    assert "Rows point to a parent row that is not there" in explained.stdout
    line = one_line(command("explain", "references/orphan-row"), 2)
    assert line.endswith("did you mean references/orphan-rows?")
    for what in ("report", "config"):
        schema = command("schema", what)
        assert (schema.returncode, schema.stderr) == (0, "")
        assert json.loads(schema.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    line = one_line(command("schema", "reports"), 2)
    assert line == "there is no schema 'reports'; known are report and config"
