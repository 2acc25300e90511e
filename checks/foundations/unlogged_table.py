"""A crash empties an unlogged table that is tied to logged ones.

What is unlogged is written without a journal: after a crash the server truncates it, a standby has none of it, and no point
in time brings it back. By itself that is a choice. Tied to tables that survive, it leaves them referencing rows that are
gone, or rows without the companion they need; and where it only references others, its rows are the ones that go missing
beside theirs. PostgreSQL refuses a foreign key of a logged table to an unlogged one, but not one to a partitioned table of
which a partition is unlogged, and it knows nothing of references that nobody declared. From 15 on a sequence may be unlogged
by itself: after a crash it begins anew, below what its logged column holds.

Not flagged: unlogged tables without such ties, or tied to unlogged tables only (staging, caches); companions that nobody
configured; unlogged sequences that no logged table draws from; temporary tables.

Fix: SET LOGGED.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from auditor import ddl
from auditor.catalog.model import Catalog, Sequence, Table
from auditor.catalog.sequences import drawing
from auditor.check import Clean, Confidence, Depth, Finding, Fix, Result, Severity
from auditor.text import ident, listed

severity = Severity.ERROR
depths = (Depth.CATALOG,)


@dataclass
class Ties:
    """Logged tables, by oid: those that need rows of an unlogged one, as was declared or configured, or guessed; and those
    that it references."""

    needing: dict[int, Table] = field(default_factory=dict)
    suspected: dict[int, Table] = field(default_factory=dict)
    referenced: dict[int, Table] = field(default_factory=dict)
    declared: bool = False  # by a foreign key: only of a partition

    def need(self, table: Table, *, sure: bool) -> None:
        """Takes in a table that needs its rows."""
        (self.needing if sure else self.suspected)[table.oid] = table


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.tables.values():
        if table.persistence == "u" and table.kind == "r":
            yield judged(catalog, table) or Clean(table.object())
    for sequence in catalog.sequences.values():
        if sequence.persistence == "u":
            yield from begun_anew(catalog, sequence)


def wholes(catalog: Catalog, table: Table) -> list[Table]:
    """The table, and the partitioned ones that it is a part of."""
    found = [table]
    while found[-1].is_partition and found[-1].parents[0] in catalog.tables:
        found.append(catalog.tables[found[-1].parents[0]])
    return found


def ties(catalog: Catalog, table: Table) -> Ties:
    found, parts = Ties(), {whole.oid: whole for whole in wholes(catalog, table)}
    for oid, whole in parts.items():
        for child, _ in catalog.referenced_by.get(oid, ()):
            if child.persistence == "p":
                found.need(child, sure=True)
                found.declared = True
        for key in whole.foreign_keys:
            parent = catalog.tables.get(key.referenced)
            if parent is not None and parent.persistence == "p":
                found.referenced[parent.oid] = parent
    pairs = [(r.table, r.referenced, r.configured) for r in catalog.references if not r.weak]
    pairs += [(p.table, target, p.configured) for p in catalog.polymorphic for _, target, _ in p.targets]
    for mine, theirs, sure in pairs:
        if theirs.oid in parts and mine.persistence == "p":
            found.need(mine, sure=sure)
        if mine.oid in parts and theirs.persistence == "p" and sure:
            found.referenced[theirs.oid] = theirs
    for companion in catalog.companions:
        if companion.configured and companion.companion.oid in parts and companion.table.persistence == "p":
            found.need(companion.table, sure=True)
    return found


def judged(catalog: Catalog, table: Table) -> Finding | None:
    found = ties(catalog, table)
    root = wholes(catalog, table)[-1]
    mixed = root if root is not table and root.persistence == "p" else None
    needing = list((found.needing or found.suspected).values())
    if not (needing or found.referenced or mixed):
        return None
    what = f"{table.sql}, an unlogged partition of the logged {mixed.sql}" if mixed else f"the unlogged {table.sql}"
    if needing:
        names = listed(sorted(other.sql for other in needing))
        title = f"A crash empties {what}, whose rows {names} {'needs' if len(needing) == 1 else 'need'}"
        message = (
            f"After a crash, or on a standby that takes over, their rows are there, and those of {table.sql} are not."
        )
        if not found.needing:
            message += " Nobody declared it: that they reference it is inferred from names, types and keys."
    elif found.referenced:
        names = listed(sorted(other.sql for other in found.referenced.values()))
        title = f"A crash empties {what}, whose rows belong to those of {names}"
        message = f"After a crash, or on a standby that takes over, {names} {'is' if len(found.referenced) == 1 else 'are'} whole, and nothing of {table.sql} is left."
    else:
        title = f"A crash empties {what}"
        message = (
            "After a crash, or on a standby that takes over, a part of the rows is missing, as if it had been deleted."
        )
    related = {**found.needing, **(found.suspected if not found.needing else {}), **found.referenced}
    return Finding(
        severity if found.needing else Severity.WARNING,
        table.object(),
        title=title,
        message=f"{message} No statement fails, and no log tells what was lost.",
        confidence=Confidence.SUSPECTED if found.suspected and not found.needing else Confidence.PROVEN,
        related=tuple(other.object() for other in related.values()),
        fixes=(logged(catalog, table, found),),
    )


def logged(catalog: Catalog, table: Table, found: Ties) -> Fix:
    """SET LOGGED, of the unlogged tables that it references first: a logged table may not reference them."""
    order: list[Table] = []

    def take(one: Table) -> None:
        if one in order:
            return
        order.append(one)
        for key in one.foreign_keys:
            parent = catalog.tables.get(key.referenced)
            if parent is not None and parent.persistence == "u" and parent.kind == "r":
                take(parent)

    take(table)
    others = listed([other.sql for other in order[1:]]) if order[1:] else ""
    return Fix(
        "Make it logged",
        tuple(f"ALTER TABLE {one.sql} SET LOGGED;" for one in reversed(order)),
        () if found.declared else tuple(f"ALTER TABLE {one.sql} SET UNLOGGED;" for one in order),
        ddl.LOCK_REWRITE,
        (
            "The whole table goes through the journal once, and every write from then on, to the standbys too.",
            *((f"It references {others}, which must be logged before it.",) if others else ()),
            *(
                ("Nothing takes it back: the server refuses SET UNLOGGED while logged tables reference it.",)
                if found.declared
                else ()
            ),
        ),
        recommended=True,
    )


def begun_anew(catalog: Catalog, sequence: Sequence) -> Iterator[Finding]:
    """An unlogged sequence under a logged column."""
    columns = [one for one in drawing(catalog, sequence) if one.table.persistence == "p"]
    if not columns:
        return
    feeds = listed([f"{one.table.sql}.{ident(one.column.name)}" for one in columns])
    first = columns[0]
    yield Finding(
        severity,
        first.table.object("sequence", sequence.name, (first.column.name,)),
        title=f"A crash sets the unlogged sequence {sequence.sql}, which feeds {feeds}, back to its start",
        message="The rows survive, and the sequence begins anew below them: INSERTs then fail with SQLSTATE 23505 where a"
        " unique key is over the column, and give numbers twice where none is.",
        fixes=(
            Fix(
                "Make it logged",
                (f"ALTER SEQUENCE {sequence.sql} SET LOGGED;",),
                (f"ALTER SEQUENCE {sequence.sql} SET UNLOGGED;",),
                "ACCESS EXCLUSIVE on the sequence, for a moment: nextval waits",
                recommended=True,
            ),
        ),
    )
