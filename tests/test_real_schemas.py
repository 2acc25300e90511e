"""What an audit of everything says about twelve real schemas that are created empty: looked at, entry by entry.

tests/golden/schemas.txt holds the findings, and after `=` a word on each: its own, or that of its check (an error needs its
own). With AUDITOR_WRITE_GOLDEN the file is written anew; words stay with their entries, and `= ?` marks what has none yet.
The schemas lie beside the checkout, or where AUDITOR_SHARED_DATA says; conftest.py leaves this file out where they do not.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest

from tests.conftest import Make
from tests.helpers import audit
from tests.reports import GOLDEN

pytestmark = [pytest.mark.checkout, pytest.mark.embedded, pytest.mark.once]

FILE = GOLDEN / "schemas.txt"
UNKNOWN = "?"


@dataclass
class Words:
    """The golden file: entries by schema, and what is said of each, or of all entries of one check and severity."""

    entries: dict[str, list[str]] = field(default_factory=dict)
    own: dict[tuple[str, str], str] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Words:
        """The file's text, taken apart."""
        words, schema, entry = cls(), "", ""
        for line in text.splitlines():
            if line.startswith("## "):
                schema = line.removeprefix("## ")
                words.entries[schema] = []
            elif line.startswith("    = "):
                said = line.removeprefix("    = ")
                if schema:
                    words.own[schema, entry] = said
                else:
                    words.shared[entry] = said
            elif line and not line.startswith("#"):
                entry = line
                if schema:
                    words.entries[schema].append(entry)
        return words

    def text(self, found: dict[str, list[str]]) -> str:
        """The file for these findings."""
        lines = ["# Findings in real schemas created empty, and a word on each; see test_real_schemas.py.", ""]
        kinds = {kind(entry) for entries in found.values() for entry in entries}
        for name in sorted(kinds):
            if name in self.shared or not name.startswith("error"):
                lines += [name, f"    = {self.shared.get(name, UNKNOWN)}"]
        for schema, entries in found.items():
            lines += ["", f"## {schema}"]
            for entry in entries:
                lines.append(entry)
                own = self.own.get((schema, entry), UNKNOWN if entry.startswith("error") else "")
                lines += [f"    = {own}"] if own else []
        return "\n".join(lines) + "\n"


def kind(entry: str) -> str:
    """`warning references/fk-type-mismatch` of an entry."""
    return entry.partition(": ")[0]


def findings(database: Make) -> dict[str, list[str]]:
    """What is found in each schema."""
    from benchmarks.inference import names, script

    found = {}
    for name in names("schemas"):
        result = audit(database("".join(script(name))), depth="full")
        assert [entry for entry in result.coverage if entry.outcome == "not_checked"] == []
        found[name] = sorted(f"{one.severity.value} {one.check}: {one.title}" for one in result.findings)
    return found


def test_every_finding_in_real_schemas_was_looked_at(database: Make) -> None:
    found = findings(database)
    words = Words.read(FILE.read_text(encoding="utf-8") if FILE.is_file() else "")
    if os.environ.get("AUDITOR_WRITE_GOLDEN"):
        FILE.write_text(words.text(found), encoding="utf-8")
        words = Words.read(FILE.read_text(encoding="utf-8"))
    assert found == words.entries
    assert UNKNOWN not in (*words.own.values(), *words.shared.values())
    for schema, entries in found.items():
        for entry in entries:
            said = words.own.get((schema, entry)) or (not entry.startswith("error") and words.shared.get(kind(entry)))
            assert said, f"{schema}: nothing is said of {entry}"
