"""What may cancel a DELETE or UPDATE without an error: triggers and rules of the table, and those of its partitions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from auditor.catalog.model import Catalog, Rule, Table, Trigger
from auditor.text import ident, qualified

_QUOTED_OR_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.DOTALL)
_STANDS_ASIDE = re.compile(r"pg_trigger_depth", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What cancels an action of a key: a trigger or a rule, and on which table."""

    on: Table
    event: str  # delete, update
    trigger: Trigger | None
    rule: Rule | None
    why: str

    @property
    def name(self) -> str:
        """For the reader."""
        found = self.trigger or self.rule
        assert found is not None
        return f"the {'trigger' if self.trigger else 'rule'} {ident(found.name)} of {self.on.sql}"


def obstacles(catalog: Catalog, table: Table, event: str, columns: Sequence[str]) -> tuple[list[Obstacle], list[str]]:
    """What may cancel a DELETE of the table's rows or an UPDATE of these columns; and the functions that cannot be read."""
    found: list[Obstacle] = []
    unread: list[str] = []
    why = (
        "puts something else in its place; if that is no statement of the same kind, the action fails (SQLSTATE XX000)"
    )
    for on in catalog.family(table):
        _triggers(catalog, on, event, columns, found, unread)
        found += [
            Obstacle(on, event, None, rule, why)
            for rule in on.rules
            if rule.instead and rule.event == event and rule.enabled in "OA"
        ]
    return found, unread


def _triggers(
    catalog: Catalog, on: Table, event: str, columns: Sequence[str], found: list[Obstacle], unread: list[str]
) -> None:
    """Adds the triggers that cancel a statement; and the names of functions that cannot be read."""
    for trigger in on.triggers:
        concerned = event in trigger.events and (
            event == "delete" or not trigger.columns or set(trigger.columns) & set(columns)
        )
        if trigger.timing != "before" or not trigger.row or not trigger.fires or not concerned or trigger.parent:
            continue
        function = catalog.functions.get(trigger.function)
        if function is None or _STANDS_ASIDE.search(trigger.definition):
            continue  # of an extension or of the system; or it fires for the application's statements only
        if function.language not in ("sql", "plpgsql"):
            unread.append(f"{qualified(function.schema, function.name)} ({function.language})")
            continue
        why = cancels(function.body, event)
        if why:
            found.append(Obstacle(on, event, trigger, None, why))


def cancels(body: str, event: str) -> str:
    """How a trigger function cancels the statement; empty when it returns the row."""
    text = _QUOTED_OR_COMMENT.sub("''", body).lower()
    if _STANDS_ASIDE.search(text):
        return ""
    returned = set(re.findall(r"\breturn[\s(]+(null|old|new)\b", text))
    if "null" in returned:
        return "may return NULL"
    if event == "delete" and "new" in returned and "old" not in returned:
        return "returns NEW, which is NULL in a DELETE"
    return "returns OLD, which undoes the change" if event == "update" and returned == {"old"} else ""
