"""A foreign key promises SET NULL on a column that cannot be NULL.

PostgreSQL accepts the definition and fails when it is used: deleting (or re-keying) a referenced row raises 23502, or
23514 where a CHECK forbids NULL, and the application shows an error for an ordinary deletion. So does deleting from a table
further up, where it cascades down to such a row: the ways are named. The counts say how many rows cannot be deleted today
because rows point to them.

Not flagged: `SET NULL (columns)` lists (15 and later) that leave the column out; columns that take NULL; a CHECK that may
still hold then; keys that set nothing to NULL, or whose triggers are switched off. What refuses in a partition only is told
of the partition.

Fix: NO ACTION, which says what happens anyway; or DROP NOT NULL, so that the promise can be kept; or CASCADE.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from auditor.action_remedies import otherwise
from auditor.cancelling import obstacles
from auditor.cascade import Way, above, reached, root
from auditor.catalog.model import Catalog, ForeignKey, Table
from auditor.check import Ask, Clean, Depth, Finding, Object, Result, Severity
from auditor.probe import Answer, Pairs, Relation, referenced_name
from auditor.refusals import Refusal, refusing
from auditor.text import ident, idents, listed, plural

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)

_MOST_WAYS = 3  # that are named, and counted

Refused = dict[str, tuple[Refusal, ...]]  # by column; the first one is told


@dataclass(frozen=True)
class Conflict:
    """A key that cannot do what it promises, in the rows of `at`: its table, or a partition that alone refuses.

    `events` are those after which it would: delete, update; `sets` the columns that it sets.
    """

    at: Table
    table: Table
    key: ForeignKey
    parent: Table
    refused: Refused
    events: tuple[str, ...]
    sets: frozenset[str]

    @property
    def subject(self) -> Object:
        """The key, on the table whose rows refuse."""
        return self.at.object("constraint", self.key.name, self.key.columns)

    @property
    def once(self) -> bool:
        """Whether NULL is admitted, but once: what is deleted first may succeed."""
        return all(refusal.sqlstate == "23505" for refusals in self.refused.values() for refusal in refusals)


def check(catalog: Catalog) -> Iterator[Result]:
    for table, key, parent in catalog.judged_keys:
        if "n" not in (key.on_delete, key.on_update) or not key.enforced:
            continue
        acts = all(trigger.fires for trigger in key.referenced_triggers)
        found = list(conflicts(catalog, table, key, parent)) if acts else []
        if not found:
            yield Clean(table.object("constraint", key.name, key.columns))
        for conflict in found:
            yield asked(catalog, conflict)


def asked(catalog: Catalog, conflict: Conflict) -> Ask:
    """The parents whose deletion fails now: those another row points to."""
    at, key, parent = conflict.at, conflict.key, conflict.parent
    where = null_exists(at, conflict.sets) if conflict.once else None
    probe = replace(Pairs.back(parent, key, at, where), other_row=conflict.table is parent)
    ways = list(above(catalog, parent)) if "delete" in conflict.events else []
    finding = partial(judged, conflict=conflict, ways=ways, counts=())
    return Ask(conflict.subject, probe, partial(counted, catalog, conflict, ways), unread=finding(None))


def conflicts(catalog: Catalog, table: Table, key: ForeignKey, parent: Table) -> Iterator[Conflict]:
    """Where the key cannot set NULL: in all rows of its table; then in partitions, for what they add."""
    known: set[str] = set()
    for at in catalog.family(table):
        refused: Refused = {}
        events: list[str] = []
        sets: set[str] = set()
        for event, action, columns in (
            ("delete", key.on_delete, key.delete_set_columns or key.columns),
            ("update", key.on_update, key.columns),
        ):
            found = refusals(catalog, at, key, columns) if action == "n" else {}
            if found and not found.keys() <= known:
                refused = {**found, **refused}
                events.append(event)
                sets |= set(columns)
        if refused:
            known |= refused.keys()
            yield Conflict(at, table, key, parent, refused, tuple(events), frozenset(sets))


def refusals(catalog: Catalog, at: Table, key: ForeignKey, columns: tuple[str, ...]) -> Refused:
    """Each of the columns, all of which are set to NULL, that cannot be; and what refuses it."""
    found: Refused = {}
    for name in columns:
        halved = [
            k for k in at.foreign_keys if k.match == "f" and name in k.columns and not set(k.columns) <= set(columns)
        ]
        of_full = [
            Refusal(
                f"set to NULL alone, which MATCH FULL{f' of {ident(k.name)}' if k.oid != key.oid else ''} forbids",
                "23503",
            )
            for k in halved
            if k.enforced and (k.vouched or k.oid == key.oid)
        ]
        if all_ := (*refusing(catalog, at, name, set(columns)), *of_full):
            found[name] = all_
    return found


def null_exists(table: Table, columns: frozenset[str]) -> str:
    """The condition, in SQL, under which a row is NULL already where the key would set NULL."""
    nulls = " AND ".join(f"taken.{ident(name)} IS NULL" for name in sorted(columns))
    return f"EXISTS (SELECT 1 FROM {rows(table)} AS taken WHERE {nulls})"


def rows(table: Table) -> str:
    return f"{'ONLY ' if table.only else ''}{table.sql}"


# --- further up -----------------------------------------------------------------------------------------------------


def counted(catalog: Catalog, conflict: Conflict, ways: list[Way], answer: Answer) -> Finding | Ask:
    """The finding, or the next question: how many rows of a table further up cannot be deleted either."""
    left = [way for way in ways[:_MOST_WAYS] if answer.count and not conflict.once and only_way(catalog, conflict, way)]
    return further(conflict, ways, left, (), answer)


def further(
    conflict: Conflict, ways: list[Way], left: list[Way], counts: tuple[tuple[Way, Answer], ...], first: Answer
) -> Finding | Ask:
    finding = judged(first, conflict=conflict, ways=ways, counts=counts).but(evidence=first.evidence)
    if not left:
        return finding
    way, *others = left

    def verdict(answer: Answer) -> Finding | Ask:
        return further(conflict, ways, others, (*counts, (way, answer)), first)

    return Ask(conflict.subject, reaching(conflict, way), verdict, unread=finding)


def only_way(catalog: Catalog, conflict: Conflict, way: Way) -> bool:
    """Whether deleting from the top of the way reaches the rows that refuse on it and on no other, and no trigger may cancel
    a part of it: then the rows up there can be counted."""
    reach = reached(catalog, list(catalog.heirs(way[0][2])))
    tables = [root(catalog, table).oid for table, _, _ in way]
    last = root(catalog, conflict.table).oid
    keys = {key.oid for _, key, _ in way} | {conflict.key.oid}
    into = [step for step in reach.steps.values() if root(catalog, step.table).oid in (*tables, last)]
    acting = [step for step in into if not step.refuses]
    return (
        last not in (*tables, root(catalog, way[0][2]).oid)
        and all(step.key.oid in keys and step.event == "delete" for step in acting)
        and not any(any(obstacles(catalog, table, "delete", ())) for table, _, _ in way)
    )


def reaching(conflict: Conflict, way: Way) -> Pairs:
    """Rows of the table at the top of the way from which it leads to a row that is pointed to."""
    (table, key, top), *rest = way
    name = referenced_name(top)
    names = [name, *(f"step_{number}" for number in range(len(rest)))]
    relation = Relation.of_key(conflict.table, conflict.key, conflict.parent)
    joined = " AND ".join(relation.joins("refusing", names[-1]))
    where = f"EXISTS (SELECT 1 FROM {rows(conflict.at)} AS refusing WHERE {joined})"
    for number, (below, cascading, over) in reversed(list(enumerate(rest))):
        joined = " AND ".join(Relation.of_key(below, cascading, over).joins(names[number + 1], names[number]))
        where = f"EXISTS (SELECT 1 FROM {rows(below)} AS {names[number + 1]} WHERE {joined} AND {where})"
    beyond = [(conflict.at, conflict.key.columns)]
    for number, (below, cascading, _) in enumerate(rest):
        after = rest[number + 1][1] if number + 1 < len(rest) else conflict.key
        beyond.append((below, tuple(dict.fromkeys((*cascading.columns, *after.referenced_columns)))))
    return replace(Pairs.back(top, key, table, where), beyond=tuple(beyond))


# --- what is told ---------------------------------------------------------------------------------------------------


def judged(
    answer: Answer | None, conflict: Conflict, ways: list[Way], counts: tuple[tuple[Way, Answer], ...]
) -> Finding:
    at, key, parent, refused = conflict.at, conflict.key, conflict.parent, conflict.refused
    clause = listed([f"ON {event.upper()} SET NULL" for event in conflict.events])
    column, (refusal, *_) = next(iter(refused.items()))
    reason = f"{at.sql}.{ident(column)} is {refusal.why}, but {clause}"
    done = listed([{"delete": "deleted", "update": "re-keyed"}[event] for event in conflict.events], "or")
    if answer is None:
        title = f"Referenced rows of {parent.sql} cannot be {done}: {reason}"
    elif answer.count:
        title = f"{answer.count:,} of {plural(answer.examined, 'row')} of {parent.sql} cannot be {done}: {reason}"
    else:
        title = f"Rows of {parent.sql} cannot be {done} once referenced: {reason}"
    once = f"one row of {at.sql} is NULL there and another" if conflict.once else f"one row of {at.sql}"
    message = (
        f"The foreign key {ident(key.name)} promises to set {listed([ident(c) for c in refused])} to NULL,"
        f" and the column refuses: the statement fails with SQLSTATE {refusal.sqlstate} as soon as {once}"
        f" points to the row of {parent.sql}."
    )
    known = dict(counts)
    for way in ways[:_MOST_WAYS]:
        top = way[0][2]
        down = listed([f"{table.sql} ({idents(cascading.columns)})" for table, cascading, _ in way])
        message += (
            f" Deleting from {top.sql} fails too, where it cascades to such rows: its deletes go on to {down},"
            f" and {at.sql} ({idents(key.columns)}) refuses"
        )
        found = known.get(way)
        message += f"; that holds {found.count:,} of {plural(found.examined, 'row')} today." if found else "."
    if len(ways) > _MOST_WAYS:
        message += f" So does deleting from {listed([way[0][2].sql for way in ways[_MOST_WAYS:]], 'or')}."
    return Finding(
        severity,
        conflict.subject,
        title=title,
        message=message,
        related=(
            parent.object(columns=key.referenced_columns),
            *(way[0][2].object(columns=way[0][1].referenced_columns) for way in ways[:_MOST_WAYS]),
        ),
        fixes=otherwise(
            "n", conflict.table, key, parent, [r for refusals in refused.values() for r in refusals], conflict.events
        ),
    )
