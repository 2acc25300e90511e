"""What the tests of the HTML report share: real audits, many findings made of a few, and a page taken apart."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from auditor.audit import Audit
from auditor.check import Severity
from tests.helpers import audit

CASES = Path(__file__).parent / "checks"
_numbers = count(1)


@contextmanager
def audited(server: str, script: str, config: str = "", **options: Any) -> Iterator[Audit]:
    """An audit of a database made for it, which is gone afterwards."""
    name = f"page_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            dsn = psycopg.conninfo.make_conninfo(server, dbname=name)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(script.encode())
            yield audit(dsn, config, **options)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def of_case(server: str, case: str) -> Audit:
    """An audit of the database that a check's case file describes, by that check alone."""
    text = (CASES / f"{case}.sql").read_text(encoding="utf-8")
    config = "\n".join(re.findall(r"^-- config: ?(.*)", text, re.MULTILINE))
    with audited(server, text, config, depth="full", select=[case.replace("_", "-")]) as made:
        return made


def together(*audits: Audit) -> Audit:
    """The findings and the coverage of several audits in one."""
    findings = tuple(finding for audit in audits for finding in audit.findings)
    coverage = tuple(entry for audit in audits for entry in audit.coverage)
    return counted(replace(audits[0], findings=findings, coverage=coverage))


def many(audit: Audit, number: int) -> Audit:
    """An audit with `number` findings of all severities, each with a fingerprint of its own."""
    severities = list(Severity)
    findings = [
        audit.findings[n % len(audit.findings)].but(fingerprint=f"{n:016x}", severity=severities[n * 3 // number])
        for n in range(number)
    ]
    return counted(replace(audit, findings=tuple(findings)))


def counted(audit: Audit) -> Audit:
    """The audit with the summary that its findings and coverage ask for."""
    opened = Counter(finding.severity for finding in audit.open_findings)
    left = sum(entry.outcome == "not_checked" for entry in audit.coverage)
    summary = replace(
        audit.summary,
        error=opened[Severity.ERROR],
        warning=opened[Severity.WARNING],
        info=opened[Severity.INFO],
        suppressed=len(audit.findings) - len(audit.open_findings),
        not_checked=left,
    )
    return replace(audit, summary=summary, run=replace(audit.run, status="incomplete" if left else "complete"))


class Page(HTMLParser):
    """A document as its start tags and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}  # by the element they stand in
        self.comments = 0
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in <{tag}>"
        if tag not in ("meta", "input", "br", "use", "path", "circle", "rect"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def handle_comment(self, data: str) -> None:
        self.comments += 1

    @property
    def whole(self) -> bool:
        """Whether everything that was opened was closed."""
        return not self._open

    def count(self) -> Counter[tuple[str, tuple[str, ...]]]:
        """How often each tag occurs with each set of attributes."""
        return Counter((tag, tuple(sorted(attributes))) for tag, attributes in self.tags)

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute."""
        return [attributes[attribute] or "" for _, attributes in self.tags if attribute in attributes]

    def text(self, tag: str) -> str:
        """All text directly in elements of a tag."""
        return "".join(self.texts.get(tag, ()))
