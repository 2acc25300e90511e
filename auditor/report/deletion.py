"""What deleting a row would do, for the one who asked: a tree of foreign keys, then what is in the way; and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from auditor.cascade import impossible
from auditor.report.layout import line, wrap
from auditor.text import ident, idents, listed, plural

if TYPE_CHECKING:
    from auditor.cascade import Step
    from auditor.catalog.model import Catalog, Table
    from auditor.deletion import Deletion, Refused

ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_DEEPEST = 12  # levels that are shown by indentation


def render(made: Deletion, catalog: Catalog, width: int = 80) -> str:
    """The answer as text of at most `width` columns; the verdict is its last line."""
    return "\n".join(_lines(made, catalog, max(width, 40))) + "\n"


def _lines(made: Deletion, catalog: Catalog, width: int) -> Iterator[str]:
    def said(text: str, depth: int = 0, mark: str = "") -> list[str]:
        first = "  " * min(depth, _DEEPEST) + mark
        return wrap(line(text), width, first, " " * (len(first) + 2))

    if made.rows is None:
        yield from said(f"Deleting any row of {made.table.sql}:")
    else:
        yield from said(f"Deleting {plural(made.rows, 'row')} of {made.table.sql} where {made.said}:")
    silent = 0
    hidden: int | None = None
    for depth, step, again in made.reach.tree:
        if hidden is not None and depth > hidden:
            continue
        hidden = None
        told = _step(made, catalog, step)
        if told is None:
            silent += 1
            hidden = depth
            continue
        below = "; what follows stands above" if again and not step.refuses else ""
        mark = "✖ " if _refused(made, step) else "- "
        yield from said(f"{step.table.sql} ({idents(step.key.columns)}): {told}{below}", depth, mark)
    if silent and made.rows is not None:
        yield from said(
            f"{plural(silent, 'more foreign key does', 'more foreign keys do')} nothing: no row points there.", 1
        )
    elif not made.reach.tree:
        yield from said("no foreign key points there", 1, "- ")
    if made.rows is not None and (made.deleted or made.changed):
        yield ""
        verb = "Rows that would go, if nothing refused" if made.refused else "Rows that go"
        gone = [f"{_table(catalog, oid).sql} {count:,}" for oid, count in made.deleted.items()]
        yield from said(f"{verb}: {', '.join(gone)}")
        kept = [
            f"{_table(catalog, oid).sql}.{ident(name)} {count:,} ({'NULL' if kind == 'null' else 'the default'})"
            for oid, columns in made.changed.items()
            for (name, kind), count in columns.items()
        ]
        if kept:
            yield from said(f"Values that change: {', '.join(kept)}")
    for heading, texts in (
        ("May cancel a part of it without an error:", made.cancelling),
        ("Fire too; what they do is not foretold:", made.triggers),
        ("Not certain:", made.unsure),
    ):
        if texts:
            yield ""
            yield heading
            for text in texts:
                yield from said(text, 1, "- ")
    if made.refused:
        yield ""
        yield "In the way:"
        for refused in made.refused:
            yield from said(_why(refused), 1, "✖ ")
    yield ""
    yield from said(verdict(made, catalog))


def _refused(made: Deletion, step: Step) -> bool:
    return any(refused.step.place == step.place for refused in made.refused)


def _step(made: Deletion, catalog: Catalog, step: Step) -> str | None:
    """What a key does, or did to how many rows; None where no row points there."""
    action = f"ON {step.event.upper()} {ACTIONS[step.action]}"
    off = ", but its triggers are switched off" if not step.key.fires else ""
    if made.rows is None:
        if step.deletes:
            return f"{action}: the rows that point there are deleted too{off}"
        if step.refuses:
            when = " at COMMIT" if step.action == "a" and step.key.deferred else ""
            return f"{action}: refused{when} while a row points there{off}"
        refusal = impossible(catalog, step)
        if refusal:
            return f"{action}: refused while a row points there, since {refusal}{off}"
        return f"{action}: {_set(step)}{off}"
    tally = made.tallies.get(step.place)
    parts = []
    if tally is not None and tally.rows:
        rounds = f", in {tally.last - tally.first + 1} rounds" if tally.last > tally.first else ""
        parts.append(
            f"{plural(tally.rows, 'row')} deleted{rounds}"
            if step.deletes
            else f"{plural(tally.rows, 'row')}: {_set(step)}{rounds}"
        )
    for refused in made.refused:
        if refused.step.place == step.place:
            when = " at COMMIT" if refused.deferred else ""
            parts.append(f"refused{when}, {plural(refused.rows, 'row')} ({refused.sqlstate})")
    return f"{action}: {'; '.join(parts)}{off}" if parts else None


def _set(step: Step) -> str:
    names = [ident(name) for name, _ in step.sets]
    if step.action == "n":
        return f"{listed(names)} set to NULL"
    if step.action == "c":
        return f"{listed(names)} changed with it"
    return f"{listed([f'{ident(name)} set to {value}' for name, value in step.sets])}"


def _why(refused: Refused) -> str:
    step = refused.step
    key = f"{ident(step.key.name)} of {step.table.sql}"
    when = "COMMIT fails" if refused.deferred else "the statement fails"
    if refused.why:
        return f"{key}, ON {step.event.upper()} {ACTIONS[step.action]}: {refused.why}; {plural(refused.rows, 'row')}; {when} (SQLSTATE {refused.sqlstate})"
    point = "row points" if refused.rows == 1 else "rows point"
    return f"{key}, {ACTIONS[step.action]}: {refused.rows:,} {point} to {step.parent.sql} still; {when} (SQLSTATE {refused.sqlstate})"


def verdict(made: Deletion, catalog: Catalog) -> str:
    """The answer in one sentence."""
    if made.rows is None:
        if made.stopped:
            return f"It cannot be told: {made.stopped}."
        if not made.may_refuse:
            return "Nothing refuses: every row can be deleted."
        return (
            f"{plural(made.may_refuse, 'foreign key')} may refuse. With a key, the rows are looked at:"
            f" auditor explain-delete {made.table.sql} KEY"
        )
    if made.refused:
        left = " More may be in the way: it was not followed to its end." if made.stopped else ""
        states = sorted({refused.sqlstate for refused in made.refused})
        return f"It would be refused (SQLSTATE {listed(states, 'or')}).{left}"
    if made.stopped:
        return f"It cannot be told whether it is refused: {made.stopped}. The counts are of what was seen by then."
    total = sum(made.deleted.values())
    more = f": {plural(total, 'row')} of {plural(len(made.deleted), 'table')} {'goes' if total == 1 else 'go'}"
    if made.unsure:
        return f"Nothing that could be looked at refuses{more}; see what is not certain."
    return f"It can be deleted{more}."


def _table(catalog: Catalog, oid: int) -> Table:
    return {**catalog.beyond, **catalog.tables}[oid]


def to_json(made: Deletion, catalog: Catalog) -> str:
    """The same for a program."""

    def step(one: Step) -> dict[str, Any]:
        return {
            "schema": one.table.schema,
            "table": one.table.name,
            "constraint": one.key.name,
            "columns": one.key.columns,
            "event": one.event,
            "action": ACTIONS[one.action],
        }

    def named(oid: int) -> dict[str, str]:
        table = _table(catalog, oid)
        return {"schema": table.schema, "table": table.name}

    tallies = {place: tally.rows for place, tally in made.tallies.items()}
    data = {
        "schema": made.table.schema,
        "table": made.table.name,
        "key": made.said,
        "rows": made.rows,
        "verdict": verdict(made, catalog),
        "exit_code": made.exit_code,
        "steps": [
            {"level": depth, **step(one), "rows": tallies.get(one.place, 0) if made.rows is not None else None}
            for depth, one, _ in made.reach.tree
        ],
        "deleted": [{**named(oid), "rows": count} for oid, count in made.deleted.items()],
        "changed": [
            {**named(oid), "column": name, "to": kind, "rows": count}
            for oid, columns in made.changed.items()
            for (name, kind), count in columns.items()
        ],
        "refused": [
            {
                **step(one.step),
                "sqlstate": one.sqlstate,
                "why": one.why,
                "rows": one.rows,
                "at": "commit" if one.deferred else "statement",
            }
            for one in made.refused
        ],
        "cancelling": made.cancelling,
        "triggers": made.triggers,
        "unsure": made.unsure,
        "stopped": made.stopped,
    }
    return json.dumps(data, indent=2) + "\n"
