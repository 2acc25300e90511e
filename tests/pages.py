"""What the tests of the HTML report share: real audits, many findings made of a few, and a page taken apart."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
Tree = tuple[tuple[int, str, tuple[str, ...]], ...]  # elements in order: depth, tag, names of attributes
Trees = tuple[Counter[tuple[str, Tree]], Counter[Tree]]


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


@dataclass(frozen=True, slots=True)
class Node:
    """An element of a document in its order: how deep it lies, and the names of its attributes."""

    depth: int
    tag: str
    attributes: tuple[str, ...]
    id: str
    kind: str  # its class


# What sets off words of a text, and where the element that holds a text is not there without scripts.
_WORDS = ("b", "i", "code", "bdi", "noscript")


def _counts(node: Node) -> bool:
    """Whether it stands there whatever a name is: a statement that is not shown as it is cannot be copied, a long name is cut."""
    return node.tag not in ("button", "title") and (node.tag, node.kind) not in (("span", "copies"), ("p", "aside"))


def trees(audit: Audit, nodes: Iterable[Node]) -> Trees:
    """Of the page of an audit the tree of elements of each finding, with its check, and of the rest its elements."""
    kept, words, left_out = list[Node](), list[int](), -1
    for node in nodes:
        words = [depth for depth in words if depth < node.depth]
        if left_out >= 0 and node.depth > left_out:
            continue
        left_out = -1
        if not _counts(node):
            left_out = node.depth
        elif node.tag in _WORDS:
            assert not {*node.attributes} - {"dir"}, node
            words.append(node.depth)
        else:
            kept.append(replace(node, depth=node.depth - len(words)))
    checks = {f"f-{finding.fingerprint}": finding.check for finding in audit.findings}
    found, rest = Counter[tuple[str, Tree]](), Counter[Tree]()
    within, above, check = list[tuple[int, str, tuple[str, ...]]](), -1, ""
    for node in (*kept, Node(0, "end", (), "", "")):
        if above >= 0 and node.depth <= above:
            found[check, tuple(within)] += 1
            above = -1
        if node.tag == "article":
            above, check, within = node.depth, checks.pop(node.id), []
        if above >= 0:
            within.append((node.depth - above, node.tag, node.attributes))
        else:
            rest[((node.depth, node.tag, node.attributes),)] += 1
    assert not checks, "findings that are not on the page"
    return found, rest


class Page(HTMLParser):
    """A document as its start tags and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.nodes: list[Node] = []
        self.texts: dict[str, list[str]] = {}  # by the element they stand in
        self.comments = 0
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._place(tag, dict(attrs))
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in <{tag}>"
        if tag not in ("meta", "input", "br", "use", "path", "circle", "rect"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._place(tag, dict(attrs))

    def _place(self, tag: str, attributes: dict[str, str | None]) -> None:
        named = (attributes.get("id") or "", attributes.get("class") or "")
        self.nodes.append(Node(len(self._open), tag, tuple(sorted(attributes)), *named))

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
