"""`auditor explain`: every check's docstring is a page that reads well in a terminal."""

from __future__ import annotations

import pytest

from auditor.check import Depth, Severity
from auditor.registry import Check, load
from auditor.report.explain import WIDTH, render, sections
from auditor.report.layout import width

pytestmark = [pytest.mark.once, pytest.mark.packaged]


@pytest.mark.parametrize("check", load(), ids=lambda check: check.id)
def test_every_check_is_explained(check: Check) -> None:
    text = render(check)
    lines = text.split("\n")
    assert lines[0] == f"# {check.id}"
    assert check.title in " ".join(lines[2:5])
    assert [heading for heading in lines if heading.startswith("## ")] == [
        "## Why it matters",
        "## Not flagged",
        "## Fix",
        "## Commands",
    ]
    assert all(width(line) <= WIDTH for line in lines)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    said = " ".join(text.split())
    for section in sections(check.documentation):
        for paragraph in section.paragraphs:
            assert " ".join(paragraph.split()) in said  # nothing of the docstring is lost


def test_a_list_keeps_its_lines_and_controls_are_shown() -> None:
    documentation = "Bad.\n\nWhy.\n\n- one\n- two\n\nNot flagged: none\x1b.\n\nMore of it.\n\nFix: do it."
    check = Check("a/b", Severity.INFO, (Depth.CATALOG,), documentation, ("a/c",), lambda _: iter(()))
    text = render(check)
    assert "- one\n- two\n" in text
    assert "None\\x1b.\n\nMore of it.\n" in text
    assert "- Severity: info\n" in text
    assert "- Reports the defect when these find it too: a/c\n" in text
