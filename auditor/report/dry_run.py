"""What an audit would read, before it reads anything: the text of `auditor plan`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from auditor.probe import Constants, Duplicates, Matching, Relation, Unmatched
from auditor.report.layout import wrap
from auditor.report.wording import REASONS, described, duration
from auditor.text import idents, one_line, plural

if TYPE_CHECKING:
    from auditor.check import Object
    from auditor.plan import Plan, Task
    from auditor.registry import Check

_UNITS = ("kB", "MB", "GB", "TB")


def render(made: Plan, width: int = 80) -> str:
    """The plan as text of at most `width` columns, the most expensive question first."""
    lines = list(_tasks(made, width))
    if made.not_checked:
        lines += ["", "What could not be read:"]
        groups: dict[tuple[Object, str, str], list[Check]] = {}
        for check, left in made.not_checked:
            groups.setdefault((left.subject, left.reason, left.detail), []).append(check)
        for (subject, reason, detail), checks in groups.items():
            why = one_line(detail) or REASONS.get(reason, reason)
            lines += wrap(f"{described(subject)}: {why} ({_named(checks)})", width, "  ", "    ")
    if made.skipped:
        depths = sorted({ask.depth.value for _, ask in made.skipped})
        text = f"{plural(len(made.skipped), 'question')} more would be asked at --depth {' or '.join(depths)}."
        lines += ["", *wrap(text, width)]
    if made.beside:
        text = f"{plural(len(made.beside), 'question')} about other rows than --where asks for would be skipped."
        lines += ["", *wrap(text, width)]
    if made.left_out:
        lines += ["", *wrap(f"Asked at a greater depth only: {', '.join(check.id for check in made.left_out)}.", width)]
    seconds = sum(task.cost for task in made.tasks)
    total = (
        f"{plural(len(made.tasks), 'probe')}, about {size(_bytes(made.tasks))} and {duration(seconds)} of one backend"
    )
    lines += ["", *wrap(f"{total}; {len(made.not_checked):,} not readable", width)]
    return "\n".join(lines) + "\n"


def _tasks(made: Plan, width: int) -> Iterator[str]:
    if not made.tasks:
        yield "No row would be read."
        return
    yield "What would be read, the most expensive first:"
    for task in sorted(made.tasks, key=lambda task: -task.cost):
        cost = f"{duration(task.cost)}, {size(_bytes([task]))}, {task.choice.strategy}"
        yield ""
        yield from wrap(one_line(asked(task)), width, "  ", "    ")
        yield from wrap(f"about {cost}; {_named(check for check, _ in task.asks)}", width, "      ")


def asked(task: Task) -> str:
    """The question in short: which rows of which tables it is about."""
    probe = task.probe
    if isinstance(probe, Relation):
        verb = "without a row of" if isinstance(probe, Unmatched) else "and"
        referenced = f"{probe.referenced.sql} ({idents(probe.referenced_columns)})"
        return f"{probe.table.sql} ({idents(probe.columns)}) {verb} {referenced}"
    if isinstance(probe, Duplicates):
        return f"{probe.table.sql}: ({', '.join(key.expression for key in probe.keys)}) held twice"
    if isinstance(probe, Constants):
        return f"constants in {plural(len(probe.conditions), 'condition')}: planned only"
    return (
        f"{probe.table.sql} where {probe.where}" if isinstance(probe, Matching) else f"{probe.table.sql}: planned only"
    )


def size(bytes_: float) -> str:
    """`8 kB`, `1.2 GB`: as the server's pg_size_pretty has it, roughly."""
    value, unit = bytes_ / 1024, 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if value >= 10 or unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _bytes(tasks: Iterable[Task]) -> float:
    return sum(max(task.choice.pages, 1) for task in tasks) * 8192


def _named(checks: Iterable[Check]) -> str:
    return "for " + ", ".join(sorted({check.id for check in checks}))
