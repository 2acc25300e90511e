"""Past audits: the text of `auditor history`, and where the columns of the HTML report's chart stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.audit import Audit, Point
from auditor.report.layout import line, wrap
from auditor.report.wording import moment
from auditor.text import listed, plural

if TYPE_CHECKING:
    from auditor.history import Trend

HEIGHT, BAR, GAP = 48, 10, 4  # pixels
_KINDS = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a column."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One run; `said` is it in words."""

    x: float
    parts: tuple[Part, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The runs as columns of stacked findings, this one last. `said` is the chart in words."""

    width: float
    height: float
    bar: float
    columns: tuple[Column, ...]
    said: str


def chart(audit: Audit) -> Chart | None:
    """The chart of the earlier runs and this one; None without an earlier one."""
    if not audit.past:
        return None
    now, summary = audit.run, audit.summary
    counted = (summary.error, summary.warning, summary.info, summary.not_checked)
    points = (*audit.past, Point(now.started_at, *counted, now.status))
    most = max(1, *(point.error + point.warning + point.info for point in points))
    columns = []
    for number, point in enumerate(points):
        parts, y = [], float(HEIGHT)
        for kind in _KINDS:
            height = round(getattr(point, kind) * (HEIGHT - 2) / most, 1)
            y -= height
            if height:
                parts.append(Part(kind, round(y, 1), height))
        columns.append(Column(number * (BAR + GAP), tuple(parts or [Part("none", HEIGHT - 2, 2)]), _said(point)))
    first, last = points[0], points[-1]
    said = f"{len(points)} runs from {moment(first.at)}: {_counts(first)}, to {moment(last.at)}: {_counts(last)}"
    return Chart(len(points) * (BAR + GAP) - GAP, HEIGHT, BAR, tuple(columns), said)


def _counts(point: Point) -> str:
    return listed([plural(getattr(point, kind), kind) for kind in _KINDS])


def _said(point: Point) -> str:
    left = f", {point.not_checked:,} not checked" if point.not_checked else ""
    return f"{moment(point.at)}: {_counts(point)}{left}"


def render(trends: tuple[Trend, ...], width: int = 80) -> str:
    """The past as text of at most `width` columns, a database after the other, the newest run last."""
    lines: list[str] = []
    for trend in trends:
        lines += [*([""] if lines else []), *_trend(trend, width)]
    return "\n".join(lines or ["No audit has been kept there yet."]) + "\n"


def _trend(trend: Trend, width: int) -> Iterator[str]:
    yield from wrap(line(trend.said), width)
    for run, point in zip(trend.ids, trend.points, strict=True):
        left = "" if point.status == "complete" else " (incomplete)"
        yield from wrap(f"{line(run[:8])}  {_said(point)}{left}", width, "  ", "            ")
    for check, subject, counts in trend.findings:
        told = " → ".join("-" if count is None else f"{count:,}" for count in counts)
        yield from wrap(f"{line(subject)}, {line(check)}: {told}", width, "    ", "      ")
