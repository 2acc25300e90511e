"""Where a deletion goes: what foreign keys do to the rows that point to a row that is deleted or changed.

All of it is read from the catalog. Documentation: Constraints, Foreign Keys; CREATE TABLE, REFERENCES.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from auditor.catalog.model import Catalog, ForeignKey, Table
from auditor.refusals import refusing
from auditor.text import ident

NULL = "NULL"
Values = Mapping[str, str]  # columns and what they are set to, as SQL
Effect = tuple[int, str, tuple[tuple[str, str], ...]]  # a table, delete or update, and what is set

Way = tuple[
    tuple[Table, ForeignKey, Table], ...
]  # keys that cascade, from the top down: table, its key, what it references


@dataclass(frozen=True, slots=True)
class Step:
    """What one foreign key does when a row it references is deleted, or updated in a column that it references.

    `action` is that of pg_constraint: a, r, c, n or d. `sets` are the columns that change with it, if rows stay.
    """

    table: Table
    key: ForeignKey
    parent: Table
    event: str  # delete, update
    action: str
    sets: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> tuple[int, str]:
        """What tells it from every other step."""
        return self.key.oid, self.event

    @property
    def deletes(self) -> bool:
        """Whether the rows that point there are deleted."""
        return self.action == "c" and self.event == "delete"

    @property
    def refuses(self) -> bool:
        """Whether it refuses while rows point there."""
        return self.action in "ar"


@dataclass(slots=True)
class Reach:
    """All that deleting rows of a table may do. `tree` is in the order of a tree: steps with their depth, and whether what
    follows from them stands in the tree already; `deleted` and `changed` are partition trees by the oid of their root."""

    tree: list[tuple[int, Step, bool]] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    changed: dict[int, set[str]] = field(default_factory=dict)

    @property
    def steps(self) -> dict[tuple[int, str], Step]:
        """Each step once."""
        return {step.place: step for _, step, _ in self.tree}


def root(catalog: Catalog, table: Table) -> Table:
    """The partitioned table that a partition belongs to in the end; any other table is its own."""
    known = {**catalog.beyond, **catalog.tables}
    while table.is_partition and table.parents and table.parents[0] in known:
        table = known[table.parents[0]]
    return table


def steps(catalog: Catalog, table: Table, event: str, values: Values) -> Iterator[Step]:
    """What the keys do that reference this table, a partition of it, or the partitioned table it belongs to."""
    for member in catalog.family(root(catalog, table)):
        for child, key in catalog.referenced_by.get(member.oid, ()):
            if not key.enforced:
                continue
            if event == "delete":
                yield Step(child, key, member, event, key.on_delete, sets(catalog, child, key, event, values))
            elif set(key.referenced_columns) & set(values):
                yield Step(child, key, member, event, key.on_update, sets(catalog, child, key, event, values))


def sets(catalog: Catalog, table: Table, key: ForeignKey, event: str, values: Values) -> tuple[tuple[str, str], ...]:
    """The columns that an action sets in the referencing row, and to what; `values` are what the referenced row is set to."""
    action = key.on_delete if event == "delete" else key.on_update
    chosen = (key.delete_set_columns if event == "delete" else ()) or key.columns
    if action == "n":
        return tuple((name, NULL) for name in chosen)
    if action == "d":
        return tuple((name, default(catalog, table, name)) for name in chosen)
    if action == "c" and event == "update":
        pairs = zip(key.columns, key.referenced_columns, strict=True)
        return tuple((mine, values[theirs]) for mine, theirs in pairs if theirs in values)
    return ()


def default(catalog: Catalog, table: Table, name: str) -> str:
    """What SET DEFAULT puts into a column, as SQL: its own default, that of its domain, or else NULL."""
    column = table.by_name[name]
    kind = catalog.types.get(column.type_oid)  # none: a composite type
    return column.default or (kind.default if kind is not None else None) or NULL


def above(catalog: Catalog, table: Table) -> Iterator[Way]:
    """The tables whose deletes cascade to this one, the nearest first: the keys on the shortest way down, from there on."""
    known = {**catalog.beyond, **catalog.tables}
    seen = {root(catalog, table).oid}
    todo: deque[tuple[Table, Way]] = deque([(table, ())])
    while todo:
        current, way = todo.popleft()
        for member in catalog.family(root(catalog, current)):
            for key in member.foreign_keys:
                parent = known.get(key.referenced)
                if key.on_delete != "c" or not key.enforced or not key.fires or parent is None:
                    continue
                if root(catalog, parent).oid not in seen:
                    seen.add(root(catalog, parent).oid)
                    todo.append((parent, ((member, key, parent), *way)))
                    yield todo[-1][1]


def impossible(catalog: Catalog, step: Step) -> str:
    """What refuses NULL in a column that the step sets to it, whatever the rows say; empty where nothing does."""
    columns = {name for name, value in step.sets if value == NULL}
    for name in columns:
        for refusal in refusing(catalog, step.table, name, columns):
            if refusal.sqlstate != "23505":  # then one row may be NULL
                return f"{ident(name)} is {refusal.why}"
    return ""


def reached(catalog: Catalog, tables: list[Table]) -> Reach:
    """All that deleting rows of these tables may do."""
    reach = Reach()
    seen: set[Effect | None] = set()

    def follow(table: Table, event: str, values: Values, depth: int) -> Iterator[tuple[int, Step]]:
        return iter([(depth, step) for step in steps(catalog, table, event, values)])

    # Depth first, with a stack of its own: a chain of keys may be longer than Python's.
    todo: list[Iterator[tuple[int, Step]]] = []
    for table in tables:
        place: Effect = (root(catalog, table).oid, "delete", ())
        if place not in seen:
            seen.add(place)
            reach.deleted.add(place[0])
            todo.append(follow(table, "delete", {}, 1))
    while todo:
        found = next(todo[-1], None)
        if found is None:
            todo.pop()
            continue
        depth, step = found
        effect = _effect(catalog, reach, step)
        reach.tree.append((depth, step, effect in seen))
        if effect is not None and effect not in seen:
            seen.add(effect)
            todo.append(follow(step.table, effect[1], dict(step.sets), depth + 1))
    return reach


def _effect(catalog: Catalog, reach: Reach, step: Step) -> Effect | None:
    """What happens to the referencing rows, by table; None where nothing does."""
    oid = root(catalog, step.table).oid
    if step.deletes:
        reach.deleted.add(oid)
        return oid, "delete", ()
    if step.action in "cnd":
        reach.changed.setdefault(oid, set()).update(name for name, _ in step.sets)
        return oid, "update", tuple(sorted(step.sets))
    return None
