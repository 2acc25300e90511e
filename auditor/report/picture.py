"""The picture of a finding about two tables: where every part of it stands. templates/_picture.html draws it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

CELL = 7.25  # width of a character of the 12 px monospace the picture is set in
LINE = 24
MARGIN = 12
LONGEST = 34  # characters of a name


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a point; `full` is the text where `text` is cut."""

    x: float
    y: float
    text: str
    full: str


@dataclass(frozen=True, slots=True)
class Box:
    """A table, and the columns the finding is about."""

    x: float
    width: float
    height: float
    name: Label
    columns: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Two tables and what connects them. `missing`: rows on the left have no row on the right. Units are pixels."""

    width: float
    height: float
    left: Box
    right: Box
    lines: tuple[float, ...]  # heights at which the columns are connected
    over: Label | None
    under: Label | None
    missing: bool
    description: str


def cells(text: str) -> int:
    """Columns a text takes in a monospace font (Unicode Standard Annex 11)."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, longest: int = LONGEST) -> str:
    """`text` with its middle left out where it is too long for the picture."""
    if cells(text) <= longest:
        return text
    head = tail = ""
    while cells(head) < longest // 2:
        head += text[len(head)]
    while cells(tail) < longest // 2 - 1:
        tail = text[-len(tail) - 1] + tail
    return f"{head}…{tail}"


def _box(name: str, columns: tuple[str, ...], x: float) -> Box:
    width = max(cells(cut(name)), *(cells(cut(c)) + 2 for c in columns)) * CELL + 2 * MARGIN
    return Box(
        x,
        width,
        LINE * (1 + len(columns)) + 6,
        Label(x + MARGIN, 17, cut(name), name),
        tuple(Label(x + MARGIN + 2 * CELL, LINE * n + 19, cut(c), c) for n, c in enumerate(columns, 1)),
    )


def draw(
    table: str,
    columns: tuple[str, ...],
    other: str,
    other_columns: tuple[str, ...],
    constraint: str,
    rows: str,
    *,
    missing: bool,
) -> Picture:
    """The picture of `table` (columns) -> `other` (other columns). Names are text that is safe to show."""
    gap = max(cells(cut(constraint)), cells(rows), 14) * CELL * 0.92 + 4 * MARGIN
    left = _box(table, columns, 1)
    right = _box(other, other_columns, left.x + left.width + gap)
    paired = len(columns) == len(other_columns)
    heights = [LINE * n + 15.0 for n in range(1, len(columns) + 1)]
    lines = tuple(heights) if paired else (heights[len(heights) // 2],)
    middle = left.x + left.width + gap / 2
    to = f"{other} ({', '.join(other_columns)})"
    tail = f"; {rows} without a row there" if missing else f"; {rows}" if rows else ""
    return Picture(
        right.x + right.width + 1,
        max(left.height, right.height, lines[-1] + 24) + 2,
        left,
        right,
        lines,
        Label(middle, lines[0] - 9, rows, rows) if rows else None,
        Label(middle, lines[-1] + 18, cut(constraint), constraint) if constraint else None,
        missing,
        f"{table} ({', '.join(columns)}) to {to}{tail}",
    )
