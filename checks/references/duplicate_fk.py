"""Two foreign keys say the same, or contradict each other.

The same columns reference the same columns of the same table twice: each INSERT and each DELETE is checked twice. Worse when
their actions differ: with CASCADE beside NO ACTION or RESTRICT, whether a parent can be deleted depends on which of the
internal triggers fires first, that is, on the order in which the keys were made; a dump and restore may turn it around.

Not flagged: keys to other columns or another table; keys over more columns that contain those of another; NO ACTION beside
RESTRICT, which both refuse; the copies of one key on partitions.

Fix: drop one: of keys that say the same, the one that holds less; of keys that contradict, the one that is not meant.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.model import Catalog, ForeignKey, Table
from auditor.check import Clean, Depth, Finding, Fix, Result, Severity
from auditor.text import ident, idents, listed, plural

severity = Severity.ERROR
depths = (Depth.CATALOG,)

Owned = tuple[Table, ForeignKey]


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_tables:
        same: dict[object, list[Owned]] = defaultdict(list)
        for owner in (table, *ancestors(catalog, table)):
            for key in owner.foreign_keys:
                pairs = frozenset(zip(key.columns, key.referenced_columns, strict=True))
                same[key.referenced, pairs, key.period].append((owner, key))
        for keys in same.values():
            if all(owner is not table for owner, _ in keys):
                continue  # told of the partitioned table
            keys.sort(key=partial(worth, table))
            if len(keys) == 1:
                yield Clean(table.object("constraint", keys[0][1].name, keys[0][1].columns))
            elif keys[0][1].referenced in catalog.tables:
                yield judged(table, keys, catalog.tables[keys[0][1].referenced])


def ancestors(catalog: Catalog, table: Table) -> Iterator[Table]:
    """The partitioned tables above a partition: their keys hold for it too."""
    while table.is_partition and table.parents and table.parents[0] in catalog.tables:
        table = catalog.tables[table.parents[0]]
        yield table


def worth(table: Table, owned: Owned) -> tuple[object, ...]:
    """The key that stays comes first: that of the whole, that holds for every row, that refuses more."""
    owner, key = owned
    return (owner is table, not key.vouched, not key.enforced, key.match != "f", key.name)


def contradictions(keys: list[Owned]) -> list[str]:
    """What the keys say differently, for the reader."""
    found = []
    for clause, actions in (
        ("ON DELETE", [key.on_delete for _, key in keys]),
        ("ON UPDATE", [key.on_update for _, key in keys]),
    ):
        if len({"a" if action == "r" else action for action in actions}) > 1:
            said = [
                f"{ddl.ACTIONS[action]} ({ident(key.name)})" for action, (_, key) in zip(actions, keys, strict=True)
            ]
            found.append(f"{clause} {listed(said)}")
    lists = {key.delete_set_columns for _, key in keys if key.on_delete in "nd"}
    if len(lists) > 1 and not found:
        found.append("ON DELETE sets different columns")
    return found


def judged(table: Table, keys: list[Owned], parent: Table) -> Finding:
    names = listed([ident(key.name) for _, key in keys])
    columns = keys[0][1].columns
    against = contradictions(keys)
    doubled = (
        f"The foreign keys {names} of {table.sql} both check ({idents(columns)})"
        if len(keys) == 2
        else f"The foreign keys {names} of {table.sql} all check ({idents(columns)})"
    )
    message = f"Each INSERT into {table.sql} and each DELETE from {parent.sql} is checked {plural(len(keys), 'time')}, for nothing."
    if against:
        doubled = f"The foreign keys {names} of {table.sql} contradict each other: {listed(against)}"
        message = (
            f"All say that ({idents(columns)}) is a row of {parent.sql}, and disagree about what happens when it goes. The"
            " internal triggers fire in the order in which the keys were made: what comes first decides, or an error does;"
            " a dump and restore may turn it around."
        )
    own = next(key for owner, key in reversed(keys) if owner is table)
    return Finding(
        Severity.ERROR if against else Severity.WARNING,
        table.object("constraint", own.name, own.columns),
        title=doubled,
        message=message,
        related=(
            *(owner.object("constraint", key.name, key.columns) for owner, key in keys if key is not own),
            parent.object(columns=keys[0][1].referenced_columns),
        ),
        fixes=fixes(table, keys, parent, contradicting=bool(against)),
    )


def fixes(table: Table, keys: list[Owned], parent: Table, *, contradicting: bool) -> tuple[Fix, ...]:
    own = [key for owner, key in keys if owner is table]
    staying = [key for _, key in keys if len(own) < len(keys)][:1] or (own if contradicting else own[:1])
    made = [dropped(table, key, [other for other in own if other is not key], parent) for key in staying]
    return (made[0].recommend(), *made[1:])


def dropped(table: Table, stays: ForeignKey, others: list[ForeignKey], parent: Table) -> Fix:
    back: list[str] = []
    for key in others:
        back.append(ddl.add_foreign_key(table, key, parent))
        if key.validated and key.enforced and ddl.may_be_not_valid(table, key):
            back.append(ddl.validate(table, key.name))
    actions = f"ON DELETE {ddl.ACTIONS[stays.on_delete]}, ON UPDATE {ddl.ACTIONS[stays.on_update]}"
    caveats = [] if stays.vouched else [f"{ident(stays.name)} does not hold for every row yet: see fk-not-enforced."]
    return Fix(
        f"Keep {ident(stays.name)} ({actions}), drop {listed([ident(key.name) for key in others])}",
        tuple(ddl.drop_constraint(table, key.name) for key in others),
        tuple(back),
        "ACCESS EXCLUSIVE on both tables, for a moment",
        tuple(caveats),
    )
