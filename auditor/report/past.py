"""Past audits: the text of `auditor history`, and where the columns of the HTML report's chart stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.audit import Audit, Point
from auditor.check import Finding
from auditor.report.layout import line, wrap
from auditor.report.wording import day, moment
from auditor.text import listed, plural

if TYPE_CHECKING:
    from auditor.history import Followed, Trend

HEIGHT, BAR, GAP, MARK = 48, 10, 4, 6  # pixels; the mark stands below the column of an incomplete run
LOW, THIN = 18, 4  # the chart of one finding
SPELLED = 12  # counts of a finding in words
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
    point: Point
    said: str

    @property
    def when(self) -> str:
        """The time of the run in words."""
        return moment(self.point.at)


@dataclass(frozen=True, slots=True)
class Chart:
    """The runs as columns of stacked findings, this one last. `said` is the chart in words."""

    width: float
    height: float
    bar: float
    columns: tuple[Column, ...]
    said: str

    @property
    def incomplete(self) -> bool:
        """Whether one of the runs was."""
        return any(column.point.status != "complete" for column in self.columns)


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
        columns.append(Column(number * (BAR + GAP), tuple(parts or [Part("none", HEIGHT - 2, 2)]), point, _said(point)))
    first, last = points[0], points[-1]
    said = f"{len(points)} runs from {moment(first.at)}: {_counts(first)}, to {moment(last.at)}: {_counts(last)}"
    return Chart(len(points) * (BAR + GAP) - GAP, HEIGHT + MARK, BAR, tuple(columns), said)


@dataclass(frozen=True, slots=True)
class Line:
    """The chart of one finding: a bar for each run that counted it, the last one this run's. `said` is it in words."""

    width: int
    height: int
    then: str  # paths, as SVG has them
    now: str
    said: str


def follow(audit: Audit) -> Callable[[Finding], Line | None]:
    """What draws a finding over the runs of the audit's past; None where no earlier run reported it."""
    runs = [point.at for point in audit.past]

    def drawn(finding: Finding) -> Line | None:
        if finding.past is None or not finding.past.runs:
            return None
        now = finding.evidence.violations if finding.evidence else None
        counted = {seen.at: seen.violations for seen in finding.past.runs}
        # From the first of these runs on: before it, this finding was not yet followed.
        followed = [at for at in runs if at >= finding.past.runs[0].at]
        most = max([count for count in (*counted.values(), now) if count], default=1)

        def bar(number: int, count: int | None) -> str:
            height = round(max((1 if count is None else count / most) * LOW, 1), 1)
            return f"M{number * (THIN + 2)} {LOW}h{THIN}v-{height:g}h-{THIN}z"

        bars = [bar(number, counted[at]) for number, at in enumerate(followed) if at in counted]
        width = (len(followed) + 1) * (THIN + 2) - 2
        return Line(width, LOW, "".join(bars), bar(len(followed), now), story(finding))

    return drawn


def story(finding: Finding) -> str:
    """What became of a finding in words: `first seen 18 Nov 2026, before this run last seen 19 Nov 2026; rows: 2 on 18 Nov 2026,
    4 on 19 Nov 2026, 3 now`.

    Only runs that counted other than the one before are named. Empty for a finding without a past.
    """
    past = finding.past
    if past is None:
        return ""
    said = f"first seen {day(past.first_seen)}" + (
        f", before this run last seen {day(past.last_seen)}" if past.last_seen else ""
    )
    now = finding.evidence.violations if finding.evidence else None
    steps = [(day(seen.at), seen.violations) for seen in past.runs if seen.violations is not None]
    if now is None or not any(count for _, count in (*steps, ("", now))):
        return said
    moved = [step for number, step in enumerate(steps) if not number or step[1] != steps[number - 1][1]]
    counts = [f"{count:,} on {when}" for when, count in moved[-SPELLED:]]
    return f"{said}; rows: {', '.join([*counts, f'{now:,} now'])}"


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
    shown = len(trend.points)
    last = f", the last {shown:,} of them" if shown < trend.runs else ""
    yield from wrap(f"{line(trend.said)}: {plural(trend.runs, 'run')}{last}", width)
    for run, point in zip(trend.ids, trend.points, strict=True):
        left = "" if point.status == "complete" else " (incomplete)"
        yield from wrap(f"{line(run[:8])}  {_said(point)}{left}", width, "  ", "            ")
    for heading, there in (("There", True), ("Gone", False)):
        found = [followed for followed in trend.findings if followed.there is there]
        if found:
            yield f"  {heading}:"
        for followed in found:
            yield from wrap(_followed(followed), width, "    ", "      ")
    shown_as = {_count(count) for followed in trend.findings for count in followed.counts}
    for sign, words in _SIGNS.values():
        if sign in shown_as:
            yield from wrap(f"{sign}: {words}", width, "  ")


# What stands in the place of a count: see auditor.history.Followed.
_SIGNS = {
    "there": ("x", "there, by the catalog; no rows were counted"),
    "unchecked": ("?", "not looked at again by an incomplete run"),
    None: ("-", "not reported"),
}


def _count(count: int | str | None) -> str:
    return f"{count:,}" if isinstance(count, int) else _SIGNS[count][0]


def _followed(followed: Followed) -> str:
    told = " → ".join(map(_count, followed.counts))
    seen = f"since {day(followed.first_seen)}"
    if not followed.there:
        seen = f"seen {day(followed.first_seen)} to {day(followed.last_seen)}"
    return f"{line(followed.object)}, {line(followed.check)}: {told} ({seen})"
