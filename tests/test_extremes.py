"""Values and shapes at the ends of what PostgreSQL admits are audited like any others, in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import psycopg
import pytest

from auditor.audit import from_json, schema
from auditor.report import Options, render
from auditor.text import safe_text
from tests.conftest import Make
from tests.helpers import audit, plain_environment, run_auditor, titles
from tests.test_formats import MACHINES

# How large a cell is, in MB, and how many partitions a table has: more takes minutes.
CELL = int(os.environ.get("AUDITOR_TEST_CELL", "16"))
PARTS = int(os.environ.get("AUDITOR_TEST_PARTITIONS", "100"))


def test_a_large_cell_stays_on_the_server(database: Make, tmp_path: Path) -> None:
    """Of a value no more than its beginning is sent, even where all values of offending rows are shown."""
    dsn = database(f"""
        CREATE TABLE parents (id int PRIMARY KEY);
        CREATE TABLE keys (body text PRIMARY KEY);
        CREATE TABLE big (id int PRIMARY KEY, parent_id int, body text, raw bytea);
        ALTER TABLE big ALTER body SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL;
        INSERT INTO big SELECT n, 7, repeat('x', {CELL} * 1048576), '' FROM generate_series(1, 2) AS n;
        UPDATE big SET raw = repeat('y', {CELL} * 1048576 / 2)::bytea WHERE id = 1;
        ALTER TABLE big ADD FOREIGN KEY (parent_id) REFERENCES parents NOT VALID;
        ALTER TABLE big ADD CHECK (length(body) < 5) NOT VALID;
        ALTER TABLE big ADD CHECK (length(raw) < 5) NOT VALID;
    """)
    (tmp_path / "auditor.toml").write_text(
        '[[reference]]\nfrom = "big(body)"\nto = "keys(body)"\n[[unique]]\ntable = "big"\ncolumns = ["body"]\n'
    )
    # A child's peak is never below what its parent holds: in between stands a small one.
    peak_of = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode;"
        " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    command = [
        sys.executable,
        "-c",
        peak_of,
        sys.executable,
        "-m",
        "auditor",
        "audit",
        dsn,
        "--depth",
        "full",
        "--samples",
        "full",
        "-v",
    ]
    ended = subprocess.run(
        [*command, "-f", "html:a.html", "-f", "json:a.json", "-f", "terminal"],
        cwd=tmp_path,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    told = [finding["title"] for finding in json.loads((tmp_path / "a.json").read_text())["findings"]]
    assert "2 rows of public.big point to 1 row of public.parents that does not exist" in told
    assert "2 rows of public.big point to 1 row of public.keys that does not exist" in told
    assert any("2 rows share 1 value" in title for title in told)
    assert (tmp_path / "a.json").stat().st_size < 1_000_000
    assert int(ended.stdout.splitlines()[-1]) < 150_000  # kB


def test_as_many_columns_as_a_table_holds(database: Make) -> None:
    columns = ", ".join(f"c{number} int NOT NULL" for number in range(1598))
    values = ", ".join(["1"] * 1598)
    dsn = database(
        "CREATE TABLE parents (id int PRIMARY KEY)",
        f"CREATE TABLE wide (id int PRIMARY KEY, parent_id int, {columns})",
        f"INSERT INTO wide VALUES (1, 7, {values}), (2, 7, {values})",
        "ALTER TABLE wide ADD FOREIGN KEY (parent_id) REFERENCES parents NOT VALID",
    )
    result = audit(dsn, depth="full", samples="full")
    assert [entry for entry in result.coverage if entry.outcome == "not_checked"] == []
    assert "2 rows of public.wide point to 1 row of public.parents that does not exist" in titles(result)


VALUES = r"""
    CREATE TYPE odd AS ENUM (E'a\x1b[31mb', E'new\nline', ' ');
    CREATE TABLE keys (at timestamptz, day date, amount numeric, f float8, doc text, o odd, wait interval, net inet,
        PRIMARY KEY (at, day, amount, f, doc, o, wait, net));
    CREATE TABLE rows (id int PRIMARY KEY, at timestamptz, day date, amount numeric, f float8, doc text, o odd, wait interval,
        net inet, j jsonb, k json, t text, status odd);
    INSERT INTO rows SELECT n, at::timestamptz, day::date, amount::numeric, f::float8, doc, o::odd, wait::interval, '::1'
        FROM (VALUES (1, 'infinity', '4713-01-01 BC', 'NaN', 'NaN', '', ' ', '178000000 years'),
                     (2, '-infinity', 'infinity', repeat('9', 131072), '-Infinity', 'x', E'a\x1b[31mb', '-178000000 years'),
                     (3, '4714-11-24 00:00:00+00 BC', '-infinity', '0.' || repeat('1', 16383), '1e-307', repeat('[', 5000),
                      E'new\nline', '0'),
                     (4, '294276-12-31 23:59:59.999999+00', '5874897-12-31', '-1e131071', '-0', E'\x01\x7f', ' ', '1 us')
             ) AS v (n, at, day, amount, f, doc, o, wait);
    UPDATE rows SET k = (repeat('[', 5000) || repeat(']', 5000))::json, j = (repeat('[', 3000) || repeat(']', 3000))::jsonb,
        t = repeat('日本', 300000);
    ALTER TABLE rows ADD CONSTRAINT odd_key FOREIGN KEY (at, day, amount, f, doc, o, wait, net) REFERENCES keys NOT VALID;
    ALTER TABLE rows ADD CONSTRAINT short CHECK (length(t) < 5) NOT VALID;
    ALTER TABLE rows ADD CONSTRAINT flat CHECK (k IS NULL AND j IS NULL) NOT VALID;
    CREATE TABLE nothing (); CREATE TABLE heirs () INHERITS (nothing);
    CREATE TABLE " " (" " int PRIMARY KEY, "  " int REFERENCES " ");
    INSERT INTO " " VALUES (1, 1);
    CREATE TABLE chained (id int PRIMARY KEY, parent int REFERENCES chained);
"""


def test_values_and_shapes_at_the_ends(database: Make, version: int) -> None:
    dsn = database(VALUES, "INSERT INTO nothing DEFAULT VALUES; INSERT INTO heirs DEFAULT VALUES")
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number in range(300):  # constraints of every kind on one table
            kind = ("UNIQUE (id)", f"CHECK (id > -{number})", "FOREIGN KEY (parent) REFERENCES chained")[number % 3]
            connection.execute(f"ALTER TABLE chained ADD CONSTRAINT c{number} {kind}".encode())
    result = audit(dsn, depth="full", samples="full")
    assert [(entry.check, entry.detail) for entry in result.coverage if entry.outcome == "not_checked"] == []
    orphans = next(f for f in result.findings if f.check == "references/orphan-rows")
    assert orphans.evidence is not None
    assert orphans.evidence.violations == 4
    shown = {row["id"]: row for row in orphans.evidence.sample}
    assert (shown["1"]["at"], shown["1"]["day"], shown["1"]["amount"], shown["1"]["f"]) == (
        *("infinity", "4713-01-01 BC", "NaN", "NaN"),
    )
    assert shown["2"]["amount"] == "9" * 200
    assert shown["3"]["doc"] == "[" * 200
    for name in ("terminal", "html", "markdown", "json", *MACHINES):
        text = render(result, name, Options(verbose=True))
        assert safe_text(text.replace("\r\n", "\n")) == text.replace("\r\n", "\n")
    assert sum(f.check == "references/duplicate-fk" for f in result.findings) >= 1


def test_many_partitions(database: Make) -> None:
    parts = "; ".join(f"CREATE TABLE p{n} PARTITION OF whole FOR VALUES FROM ({n}) TO ({n + 1})" for n in range(PARTS))
    dsn = database(
        "CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE whole (id int, parent_id int) PARTITION BY RANGE (id)",
        *parts.split("; "),
        f"INSERT INTO whole SELECT n, 7 FROM generate_series(0, {PARTS - 1}) AS n",
    )
    config = '[[reference]]\nfrom = "whole(parent_id)"\nto = "parents(id)"\n'
    result = audit(dsn, config, depth="full")
    assert [entry for entry in result.coverage if entry.outcome == "not_checked"] == []
    assert f"{PARTS:,} rows of public.whole point to 1 row of public.parents that does not exist" in titles(result)


@pytest.mark.once
def test_numbers_keep_their_digits_and_names_are_no_paths(database: Make, tmp_path: Path) -> None:
    """Who reads JSON may take numbers for doubles, which hold whole numbers to 2^53; a name may be one of a file elsewhere."""
    name = f"../../../{tmp_path.name}/out"
    dsn = database(
        f"""
        CREATE TABLE "{name}" (id bigint PRIMARY KEY, up bigint, n numeric);
        INSERT INTO "{name}" VALUES (9007199254740993, 9223372036854775807, 1e30), (-9007199254740993, 9007199254740995, 0.1);
        ALTER TABLE "{name}" ADD CONSTRAINT "/etc/passwd" FOREIGN KEY (up) REFERENCES "{name}" NOT VALID;
        CREATE SEQUENCE s MAXVALUE 9223372036854775807; SELECT setval('s', 9223372036854775806);
        CREATE TABLE t (id bigint PRIMARY KEY DEFAULT nextval('s'));
        ALTER SEQUENCE s OWNED BY t.id;
        """
    )
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    there = psycopg.conninfo.make_conninfo(dsn, dbname=name)
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with psycopg.connect(psycopg.conninfo.make_conninfo(dsn, dbname="postgres"), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE {parts["dbname"]} RENAME TO "{name}"'.encode())
        try:
            kinds = ("json", "sarif", "gitlab", "csv", "html", "junit", "prometheus")
            formats = [word for kind in kinds for word in ("-f", f"{kind}:r.{kind}")]
            done = run_auditor("audit", there, *formats, "--samples", "full", "--history", "h.db", cwd=folder)
        finally:
            admin.execute(f'ALTER DATABASE "{name}" RENAME TO {parts["dbname"]}'.encode())
    assert (done.returncode, done.stderr) == (1, "")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert found == {"a", "a/b", "a/b/h.db", *(f"a/b/r.{kind}" for kind in kinds)}
    digits: list[str] = []
    for kind in ("json", "sarif", "gitlab"):
        json.loads((folder / f"r.{kind}").read_text(), parse_int=digits.append, parse_constant=digits.append)
    assert digits
    assert [one for one in digits if abs(int(one)) >= 2**53] == []
    report = json.loads((folder / "r.json").read_text())
    jsonschema.validate(report, schema())
    answers = from_json((folder / "r.json").read_text(), "a report").answers
    assert ("next", 9223372036854775807) in {value for given in answers for value in given.values}
    orphans = next(f for f in report["findings"] if f["check"] == "references/orphan-rows")
    sample = sorted(orphans["evidence"]["sample"], key=lambda row: str(row["id"]))
    assert [row["id"] for row in sample] == ["-9007199254740993", "9007199254740993"]
    assert [row["up"] for row in sample] == ["9007199254740995", "9223372036854775807"]
    assert "9223372036854775807" in next(f for f in report["findings"] if "sequence" in f["check"])["message"].replace(
        ",", ""
    )


@pytest.mark.core
def test_bytes_of_no_encoding_in_every_report(database: Make, tmp_path: Path) -> None:
    dsn = database(ENCODING="SQL_ASCII", TEMPLATE="template0", LC_COLLATE="C", LC_CTYPE="C")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            b'CREATE TABLE "t\xff" ("k\x80" text PRIMARY KEY, "p\xe9_id" text, deleted_at timestamptz, UNIQUE ("p\xe9_id"));'
            b"INSERT INTO \"t\xff\" VALUES ('\xfe\xff', 'none'), ('caf\xe9', NULL);"
            b'ALTER TABLE "t\xff" ADD CONSTRAINT "c\xfd" FOREIGN KEY ("p\xe9_id") REFERENCES "t\xff" NOT VALID;'
            b'ALTER TABLE "t\xff" ADD CONSTRAINT "d\xfd" CHECK ("k\x80" <> \'\xfe\xff\') NOT VALID'
        )
    result = audit(dsn, depth="full", samples="full")
    assert {"references/orphan-rows", "nullability/check-violated"} <= {finding.check for finding in result.findings}
    for name in ("terminal", "html", "markdown", "json", *MACHINES):
        text = render(result, name, Options(verbose=True))
        text.encode("utf-8")
        assert safe_text(text.replace("\r\n", "\n")) == text.replace("\r\n", "\n")
