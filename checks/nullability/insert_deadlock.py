"""Tables reference each other in a cycle that no first row can enter.

Every reference of the cycle must be there (its columns cannot be NULL) and is looked at when the statement ends: a row of
any of the tables needs a row of the next one first, all the way round. An INSERT into one of them fails with 23503. Only a
single statement that inserts into all of them passes (WITH ... INSERT, since its foreign keys are looked at when all of it is
done), which hardly any ORM, import or restore with triggers does. An error where the tables are empty: nothing can begin. A
warning where they hold rows, which came in such a way or before the keys: a new row must do with the rows that are there.

Not flagged: references that are DEFERRABLE, NOT ENFORCED or switched off, or whose columns may be NULL; a table that
references itself, whose row may point to itself; tables with an AFTER INSERT trigger that fires before the foreign key looks
(by name), which may bring the other row.

Fix: DEFERRABLE INITIALLY DEFERRED on one of the keys; or let one of the columns be NULL, filled in afterwards.
"""

from collections import deque
from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.model import Catalog, ForeignKey, Table
from auditor.check import Ask, Clean, Depth, Evidence, Finding, Fix, Result, Severity
from auditor.probe import Answer, Matching
from auditor.refusals import Refusal, refusing
from auditor.text import ident, listed

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)

Hops = dict[int, dict[int, list[ForeignKey]]]  # the keys from one table to another, by oid


def check(catalog: Catalog) -> Iterator[Result]:
    hops: Hops = {}
    for table, key, parent in catalog.foreign_keys:
        if table is not parent and demands_a_row(catalog, table, key):
            hops.setdefault(table.oid, {}).setdefault(parent.oid, []).append(key)
    hops = round_about(hops)
    found = set()
    for start in sorted(hops, key=lambda oid: (catalog.tables[oid].schema, catalog.tables[oid].name)):
        # A cycle is told once; its keys are then out of the way of the next one.
        while cycle := shortest(catalog, hops, start):
            pairs = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
            steps = [(catalog.tables[own], hops[own].pop(other)) for own, other in pairs]
            found |= {(table.oid, key.name) for table, keys in steps for key in keys}
            if catalog.judged is None or not catalog.judged.isdisjoint(cycle):
                yield asked(catalog, steps)
    for table, key, parent in catalog.judged_keys:
        if table is not parent and (table.oid, key.name) not in found:
            yield Clean(table.object("constraint", key.name, key.columns))


def demands_a_row(catalog: Catalog, table: Table, key: ForeignKey) -> bool:
    """Whether no row comes in without a row to point to, in the same statement at the latest."""
    if key.deferrable or not key.enforced or not all(trigger.fires for trigger in key.referencing_triggers):
        return False
    # Triggers fire by name (documentation: Overview of Trigger Behavior), those of keys are called RI_ConstraintTrigger.
    for trigger in table.triggers:
        early = trigger.timing == "after" and trigger.row and trigger.name < "RI_ConstraintTrigger"
        if early and trigger.fires and "insert" in trigger.events:
            return False
    told = (any(always(refusal) for refusal in refusing(catalog, table, name, {name})) for name in key.columns)
    return any(told) if key.match == "f" else all(told)


def refusals(catalog: Catalog, table: Table, name: str) -> list[Refusal]:
    """What refuses every NULL in the column."""
    return [refusal for refusal in refusing(catalog, table, name, {name}) if always(refusal)]


def always(refusal: Refusal) -> bool:
    """Whether it refuses the first NULL, and not only a second one."""
    return refusal.sqlstate != "23505"


def round_about(hops: Hops) -> Hops:
    """Without the tables that nothing leads to, or that lead nowhere."""
    while True:
        reached = {other for each in hops.values() for other in each}
        left = {own: {o: keys for o, keys in each.items() if o in hops} for own, each in hops.items() if own in reached}
        left = {own: each for own, each in left.items() if each}
        if left == hops:
            return hops
        hops = left


def shortest(catalog: Catalog, hops: Hops, start: int) -> list[int] | None:
    """The tables of the shortest way from `start` back to it; of two, the first by name."""
    came_from: dict[int, int] = {}
    todo = deque([start])
    while todo:
        current = todo.popleft()
        reached = hops.get(current, {})
        if start in reached:
            way = [current]
            while way[0] != start:
                way.insert(0, came_from[way[0]])
            return way
        for other in sorted(reached.keys() - came_from.keys(), key=lambda oid: catalog.tables[oid].sql):
            came_from[other] = current
            todo.append(other)
    return None


def asked(catalog: Catalog, steps: list[tuple[Table, list[ForeignKey]]]) -> Result:
    table, key = min(
        ((table, key) for table, keys in steps for key in keys), key=lambda pair: (pair[1].name, pair[0].sql)
    )
    subject = table.object("constraint", key.name, key.columns)
    judge = partial(judged, catalog=catalog, table=table, key=key, steps=steps)
    if any(each.rows > 0 for each, _ in steps):  # ANALYZE saw some
        return judge(None)
    return Ask(subject, Matching(table, "true", key.columns), judge, unread=judge(None), whole=True)


def judged(
    answer: Answer | None,
    catalog: Catalog,
    table: Table,
    key: ForeignKey,
    steps: list[tuple[Table, list[ForeignKey]]],
) -> Finding:
    empty = answer is not None and not answer.count
    names = [each.sql for each, _ in steps]
    keys = listed([f"{ident(k.name)} of {each.sql}" for each, each_keys in steps for k in each_keys])
    way = f"each needs a row of the next first ({' -> '.join([*names, names[0]])})"
    if empty:
        title = f"No first row can be inserted into {listed(names, 'or')}: {way}"
        now = "They are empty, and nothing can begin."
    else:
        title = f"New rows of {listed(names)} cannot be inserted one after the other: {way}"
        now = "A new row on its own can only point to a row that is there already, if there is one."
    return Finding(
        Severity.ERROR if empty else Severity.WARNING,
        table.object("constraint", key.name, key.columns),
        title=title,
        message=f"The foreign keys {keys} want a row that is not there yet: none of them is deferrable, and their columns"
        " cannot be NULL. An INSERT that brings new rows into one table fails with SQLSTATE 23503; only one statement that"
        f" inserts into all of them passes (WITH ... INSERT). {now}",
        related=tuple(each.object(columns=each_keys[0].columns) for each, each_keys in steps if each is not table),
        evidence=Evidence(None),
        fixes=fixes(catalog, steps),
    )


def fixes(catalog: Catalog, steps: list[tuple[Table, list[ForeignKey]]]) -> tuple[Fix, ...]:
    """One step of the cycle is enough; it is the one with the fewest keys."""
    table, keys = min(steps, key=lambda step: (len(step[1]), step[1][0].name))
    alter = [f"ALTER TABLE {table.sql} ALTER CONSTRAINT {ident(key.name)}" for key in keys]
    made = [
        Fix(
            f"Look at {listed([ident(key.name) for key in keys])} at COMMIT: the rows may come in any order within a transaction",
            tuple(f"{each} DEFERRABLE INITIALLY DEFERRED;" for each in alter),
            tuple(f"{each} NOT DEFERRABLE;" for each in alter),
            ddl.LOCK_ALTER,
            (
                "A row that points nowhere is then refused at COMMIT, not by its own statement.",
                f"The rows of {listed([each.sql for each, _ in steps])} have to be inserted in one transaction.",
            ),
            recommended=True,
        )
    ]
    for other, others in steps:
        allowed = [freed(catalog, other, key) for key in others]
        if all(allowed):
            each = list(dict.fromkeys(refusal for found in allowed for refusal in found))
            made.append(
                Fix(
                    f"Let {other.sql} point nowhere at first, and fill it in afterwards",
                    tuple(dict.fromkeys(statement for refusal in each for statement in refusal.allow)),
                    tuple(dict.fromkeys(statement for refusal in reversed(each) for statement in refusal.forbid)),
                    ddl.LOCK_ALTER,
                    (
                        "Code that reads the column must expect NULL.",
                        *(
                            ("The domain changes for every column that uses it.",)
                            if any(r.of_domain for r in each)
                            else ()
                        ),
                        "The rollback fails once rows hold NULL.",
                    ),
                )
            )
            break
    return tuple(made)


def freed(catalog: Catalog, table: Table, key: ForeignKey) -> list[Refusal]:
    """What to take away for the key to be left out: of one column, or of all where MATCH FULL wants all; empty: it cannot be."""
    found = [refusals(catalog, table, name) for name in key.columns]
    if key.match == "f":
        found = [[refusal for each in found for refusal in each]]
    return next((each for each in found if all(refusal.allow for refusal in each)), [])
