"""What `auditor explain` says of a check: its docstring, which is its documentation, with what the registry knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from auditor.check import Depth
from auditor.registry import Check
from auditor.report.layout import wrap
from auditor.report.template import template
from auditor.text import safe_text

WIDTH = 80
_DEPTHS = {
    Depth.CATALOG: "catalog (no row is read)",
    Depth.DATA: "data (reads rows that the server does not vouch for)",
    Depth.FULL: "full (reads what the server vouches for, too)",
}
_HEADING = re.compile(r"(Not flagged|Fix):\s+")


@dataclass(slots=True)
class Section:
    """A heading, and the paragraphs under it as the docstring has them."""

    heading: str
    paragraphs: list[str] = field(default_factory=list)


def sections(documentation: str) -> list[Section]:
    """The docstring without its first line: why, what is not flagged, the fix. Empty sections are left out."""
    found = [Section("Why it matters")]
    _, _, rest = documentation.partition("\n")
    for paragraph in re.split(r"\n\s*\n", rest.strip("\n")):
        heading = _HEADING.match(paragraph)
        if heading:
            found.append(Section(heading[1]))
            paragraph = paragraph[heading.end() :]
            paragraph = paragraph[:1].upper() + paragraph[1:]
        if paragraph.strip():
            found[-1].paragraphs.append(paragraph)
    return [section for section in found if section.paragraphs]


def _fill(paragraph: str) -> str:
    """The paragraph in WIDTH columns; one with indented lines or a list keeps its lines."""
    lines = safe_text(paragraph).split("\n")
    if any(text.startswith((" ", "- ", "* ", "|")) for text in lines):
        return "\n".join(lines)
    return "\n".join(wrap(" ".join(lines), WIDTH))


def render(check: Check) -> str:
    """The page of one check, as Markdown that also reads well in a terminal."""
    filters = {
        "fill": _fill,
        "bullet": lambda text: "\n".join(wrap(text, WIDTH, "- ", "  ")),
        "depth": lambda depth: _DEPTHS[depth],
    }
    return template("explain.md", filters).render(check=check, sections=sections(check.documentation))
