"""What the tests of the report formats share: audits of a small shop and of a database full of hostile names, golden files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from auditor.audit import Audit
from auditor.text import ident, literal, qualified
from tests.helpers import audit

GOLDEN = Path(__file__).parent / "golden"
CHECKS = ["references/orphan-rows", "nullability/set-null-on-not-null"]

_NAMES = (
    'quo"te',
    "o'clock",
    "%s %(x)s %%",
    "line\n::error title=owned::now",
    "\r##[group]carriage",
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b31mC1",
    "\u202eevil\u2066\u200f",
    "<script>alert(1)</script>",
    "</details></summary><img src=x onerror=alert(1)>",
    "`one``two```three",
    "a|b\\|c",
    "@torvalds #1 GH-1 https://example.com www.example.com",
    "**b** _i_ [x](javascript:alert(1)) $x$ ~~no~~ &lt;",
    "![i](//example.com/x) :tada:",
    "- [ ] # --- ===",
    "日本語" * 7,
    "é" * 31,
    "back\\slash \\u0041 \\+000041",
    "  blanks  ",
    "dot.ted*?[a]",
    "$$ $tag$ -- /* ;",
)
HOSTILE = tuple(name.encode()[:63].decode(errors="ignore") for name in _NAMES)


def shop(database: Callable[..., str], config: str | None = None, **options: Any) -> Audit:
    """An audit of tests/golden/shop.sql by a login that may not read everything."""
    dsn = database((GOLDEN / "shop.sql").read_text(encoding="utf-8"))
    reader = psycopg.conninfo.make_conninfo(dsn, user="auditor_reader", password="reader")
    text = (GOLDEN / "shop.toml").read_text(encoding="utf-8") if config is None else config
    return audit(reader, text, select=CHECKS, **options)


def still(result: Audit) -> Audit:
    """The audit with everything masked that differs from run to run, or from server to server."""
    findings = tuple(
        finding.but(
            evidence=finding.evidence
            and replace(
                finding.evidence,
                seconds=0.012,
                snapshot="700:700:",
                seen_again=finding.evidence.seen_again and "700:700:",
            )
        )
        for finding in result.findings
    )
    return replace(
        result,
        run=replace(
            result.run,
            id="00000000-0000-0000-0000-000000000000",
            started_at="2026-11-20T06:00:00.000+00:00",
            finished_at="2026-11-20T06:00:03.200+00:00",
        ),
        tool=replace(result.tool, version="1.0.0"),
        database=replace(
            result.database,
            host="db1",
            port=5432,
            name="shop",
            server_version="18.0",
            system_identifier="7000000000000000000",
        ),
        findings=findings,
        coverage=tuple(replace(entry, seconds=entry.seconds and 0.012) for entry in result.coverage),
    )


def matches_golden(name: str, text: str) -> bool:
    """Whether `text` is what tests/golden holds; with AUDITOR_WRITE_GOLDEN it is written there first, to be reviewed."""
    path = GOLDEN / name
    if os.environ.get("AUDITOR_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8") == text


def hostile_script() -> str:
    """A schema, a table, a column, a constraint and a value of every hostile name; each table holds one orphan."""
    lines = []
    for number, name in enumerate(HOSTILE):
        key, parent_key, column = qualified(name, name), qualified(name, f"p{number}"), ident(name)
        lines += [
            f"CREATE SCHEMA {ident(name)};",
            f"CREATE TABLE {parent_key} ({column} text PRIMARY KEY);",
            f"CREATE TABLE {key} ({column} text);",
            f"INSERT INTO {key} VALUES ({literal(name)}), (NULL);",
            f"ALTER TABLE {key} ADD CONSTRAINT {column} FOREIGN KEY ({column}) REFERENCES {parent_key} NOT VALID;",
            f"CREATE TABLE {qualified(name, f'n{number}')} ({column} text NOT NULL REFERENCES {parent_key} ON DELETE SET NULL);",
        ]
    return "\n".join(lines)
