"""What breaks the schemas of planting.py, check by check, and what is then to be found.

A `Planter` changes the model at a place of its own choice, and counts on the model what an audit has to find: also what
other planters did. A `Plot` brings statements of its own, where there is nothing to meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

from auditor.check import Object, Severity
from auditor.registry import identities
from auditor.text import ident
from tests.planting import (
    KINDS,
    NULLABLE_ACTIONS,
    Check,
    Column,
    Companion,
    Expected,
    Function,
    Key,
    Polymorphic,
    Row,
    Table,
    Trigger,
    Unique,
    Value,
    World,
    plain,
    refer,
    same,
    shown,
)

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


class Planter:
    """What one check finds: where it can be planted, how, and what is then to be found, counted on the model."""

    check: ClassVar[str]
    least: ClassVar[int] = 13  # the version it needs

    def places(self, world: World) -> list[Any]:
        """Where it can be planted."""
        raise NotImplementedError

    def plant(self, world: World, place: Any) -> None:
        """Does it."""
        raise NotImplementedError

    def expected(self, world: World) -> Iterator[Expected]:
        """What has to be found, however it came about."""
        return iter(())

    def found(self, subject: Object, violations: int | None = None, severity: Severity = ERROR) -> Expected:
        return Expected(self.check, subject, violations, severity)


def stray(world: World, key: Key) -> Row:
    """A new row that points nowhere."""
    world.numbers += 1
    row = key.table.add()
    for name, theirs in zip(key.columns, key.parent_columns, strict=True):
        row[name] = KINDS[key.parent.column(theirs).type](9_000 + world.numbers)
    return row


def open_keys(world: World) -> list[Key]:
    """The relations whose table takes more rows."""
    return [key for key in world.relations if not key.table.closed and not key.table.link]


def left_behind(key: Key) -> bool:
    """Whether a trigger explains the orphans of a relation: it cancels what one of its foreign keys should do."""
    same = [k for k in key.table.keys if k.parent is key.parent and {*k.columns} == {*key.columns}]
    return any(map(cancelling, same))


def cancelling(key: Key) -> list[Trigger]:
    """The triggers that cancel an action of a foreign key."""
    events = {"DELETE"} if key.on_delete == "CASCADE" else set()
    events |= {"UPDATE"} if "SET" in key.on_delete or key.on_update != "NO ACTION" else set()
    if key.configured or not key.enforced:
        return []
    return [
        t
        for t in key.table.triggers
        if t.timing == "BEFORE"
        and t.enabled in ("", "ENABLE ALWAYS")
        and events & set(t.events) & set(t.function.cancels)
    ]


class OrphanRows(Planter):
    check = "references/orphan-rows"

    def places(self, world: World) -> list[Key]:
        return open_keys(world)

    def plant(self, world: World, place: Key) -> None:
        for _ in range(world.count(1, 3)):
            stray(world, place)

    def expected(self, world: World) -> Iterator[Expected]:
        for key in world.distinct:
            if key.orphans() and not key.table.link and not left_behind(key):
                yield self.found(key.object, len(key.orphans()))


class OrphanedMemberships(Planter):
    check = "references/orphaned-memberships"

    def places(self, world: World) -> list[Key]:
        return [key for key in world.distinct if key.table.link]

    def plant(self, world: World, place: Key) -> None:
        other = next(key for key in place.table.keys if {*key.columns} != {*place.columns})
        members = other.parent.rows[world.count(0, len(other.parent.rows) - 1) :][: world.count(1, 3)]
        for member in members:
            other.point(stray(world, place), member)

    def expected(self, world: World) -> Iterator[Expected]:
        for key in self.places(world):
            orphans = key.orphans()
            if not orphans:
                continue
            if not left_behind(key):
                yield self.found(key.object, len(orphans))
            other = next(one for one in key.table.keys if {*one.columns} != {*key.columns})
            lone = {other.value(row) for row in orphans} & other.parents().keys()
            lone -= {other.value(row) for row in key.table.rows if row not in orphans}
            if lone:
                members = other.parent.object("table", key.table.name, key.columns)
                yield self.found(members, len(lone))


class NotEnforced(Planter):
    check = "references/fk-not-enforced"

    def places(self, world: World) -> list[Key]:
        return [key for key in world.foreign_keys if not key.state]

    def plant(self, world: World, place: Key) -> None:
        states = ["off here", "off there"]
        if place.table.layout != "partitioned" or world.version >= 18:
            states.append("NOT VALID")
        twins = [k for k in place.table.keys if {*k.columns} == {*place.columns} and k.parent is place.parent]
        # A partition's copies of two keys must agree in that (seen on 18.4: 42P17).
        if world.version >= 18 and (place.table.layout != "partitioned" or len(twins) == 1):
            states.append("NOT ENFORCED")
        place.state = world.choose(states)

    def expected(self, world: World) -> Iterator[Expected]:
        for key in world.foreign_keys:
            if key.state:
                yield self.found(key.object, None, ERROR if key.orphans() else WARNING)


class MissingForeignKey(Planter):
    """A table and another one that names it, which nothing declares; in half of them a row points nowhere."""

    check = "references/missing-fk"

    def places(self, world: World) -> list[str]:
        return world.nouns[:1]

    def plant(self, world: World, place: str) -> None:
        world.nouns.remove(place)
        kind = world.choose(("int", "bigint", "uuid"))
        parent = plain(world, (kind,), noun=f"{place}s")
        parent.closed = True  # it is known by its key
        parent.fill(30)
        table = plain(world)
        column = Column(f"{place}_id", kind, lambda n: KINDS[kind](n % 30 + 1), world.chance(2))
        table.columns.append(column)
        table.fill(world.count(21, 40))
        orphans = world.count(0, 1)
        for row in table.rows[:orphans]:
            row[column.name] = KINDS[kind](777)
        subject = table.object("column", columns=(column.name,))
        world.told.append(self.found(subject, orphans, WARNING if orphans else INFO))


class SoftDeletedParent(Planter):
    check = "references/soft-deleted-parent"

    def places(self, world: World) -> list[Key]:
        return [k for k in open_keys(world) if not k.itself and any(map(k.parent.deleted, k.parent.rows[:99]))]

    def plant(self, world: World, place: Key) -> None:
        for _ in range(world.count(1, 3)):
            row = place.table.add()
            tenant = place.table.rows.index(row) % 2
            gone = [p for p in place.parent.rows[tenant::2] if place.parent.deleted(p)]
            if gone:
                place.point(row, world.choose(gone))

    def expected(self, world: World) -> Iterator[Expected]:
        for key in world.distinct:
            compared = any(
                p.states and p.other is key.table and {*p.key.columns} == {*key.columns} for p in world.companions
            )
            if key.parent.mark is None or key.table.history or compared:
                continue
            rows = [row for row, up in key.pairs() if key.parent.deleted(up) and not key.table.deleted(row)]
            along = key.table.mark is not None or (not key.configured and key.on_delete == "CASCADE")
            severities = (ERROR, WARNING, INFO)[not world.marks_configured :]
            if rows:
                yield self.found(key.object, len(rows), severities[not along])


class PartialReference(Planter):
    check = "references/partial-reference"

    def own(self, key: Key) -> list[str]:
        """The columns that mean nothing but this reference."""
        others = {name for other in key.table.keys if other.parent is not key.parent for name in other.columns}
        others |= {key.table.tenant or ""} if key.parent.tenant else set()
        return [name for name in key.columns if name not in key.table.primary and name not in others]

    def places(self, world: World) -> list[Key]:
        return [
            key
            for key in world.foreign_keys
            if key.match == "SIMPLE"
            and len(self.own(key)) > 1
            and any(not key.table.column(name).not_null for name in key.columns)
        ]

    def plant(self, world: World, place: Key) -> None:
        open_ = [name for name in place.columns if not place.table.column(name).not_null]
        if len(open_) == len(place.columns) and "SET" not in place.on_delete and world.chance(2):
            name = world.choose(open_)  # this one is always there
            for row in place.table.rows:
                if row[name] is None:
                    place.point(row, place.parent.rows[0])
            place.table.column(name).not_null = True
            open_.remove(name)
        for _ in range(world.count(1, 3)):
            row = place.table.add()
            place.point(row, place.parent.rows[0])
            row[world.choose(open_)] = None

    def expected(self, world: World) -> Iterator[Expected]:
        for key in world.distinct:
            open_ = [name for name in key.columns if not key.table.column(name).not_null]
            if (
                len(key.columns) < 2
                or key.match != "SIMPLE"
                or not key.enforced
                or (open_ == self.own(key) and len(open_) == 1)
            ):
                continue
            half = [row for row in key.table.rows if None in key.value(row)]
            rows = [row for row in half if any(row[name] is not None for name in self.own(key))]
            if rows:
                yield self.found(key.object, len(rows), WARNING)


class PolymorphicOrphans(Planter):
    check = "references/polymorphic-orphans"

    def places(self, world: World) -> list[Polymorphic]:
        return world.polymorphic

    def plant(self, world: World, place: Polymorphic) -> None:
        for _ in range(world.count(1, 4)):
            row = place.table.add()
            known = world.chance(2)
            row[place.column] = 888 if known else 1
            row[place.type_column] = world.choose(tuple(place.targets) if known else ("Nothing", None))

    def expected(self, world: World) -> Iterator[Expected]:
        for many in world.polymorphic:
            rows = [row for row in many.table.rows if row[many.column] is not None]
            columns = (many.type_column, many.column)
            for value, parent in many.targets.items():
                keys = {row[parent.primary[0]] for row in parent.rows}
                gone = [r for r in rows if r[many.type_column] == value and r[many.column] not in keys]
                if gone:
                    yield self.found(many.table.object("column", value, columns), len(gone))
            unknown = [row for row in rows if row[many.type_column] not in many.targets]
            if unknown:
                yield self.found(many.table.object("column", columns=columns), len(unknown))


class CrossTenant(Planter):
    check = "references/cross-tenant-reference"

    def places(self, world: World) -> list[Key]:
        keys = [key for key in open_keys(world) if key.table.tenant and key.parent.tenant]
        return [key for key in keys if key.table.tenant not in key.columns]

    def plant(self, world: World, place: Key) -> None:
        for _ in range(world.count(1, 3)):
            row = place.table.add()
            place.point(row, place.parent.rows[world.count(0, 1)])
            column = place.table.column(place.table.tenant or "")
            row[column.name] = world.choose((1, 2, 3) if column.not_null else (1, 2, 3, None))

    def expected(self, world: World) -> Iterator[Expected]:
        for key in world.distinct:
            mine, theirs = key.table.tenant, key.parent.tenant
            if not mine or not theirs or mine in key.columns or theirs in key.parent_columns:
                continue
            rows = [r for r, up in key.pairs() if None not in (r[mine], up[theirs]) and r[mine] != up[theirs]]
            if rows:
                yield self.found(key.object, len(rows))


class ReferenceCycle(Planter):
    check = "references/reference-cycle"

    def places(self, world: World) -> list[Key]:
        return [key for key in world.relations if key.itself]

    def plant(self, world: World, place: Key) -> None:
        rows = place.table.rows
        above = world.choose((0, 2, 4) if not place.self_is_root else (2, 4))
        place.point(rows[0], rows[above])  # each row hangs under the one but one before it

    def expected(self, world: World) -> Iterator[Expected]:
        for key in set(self.places(world)) & set(world.distinct):
            parents = {id(row): up for row, up in key.pairs() if not (key.self_is_root and up is row)}
            circling = 0
            for row in key.table.rows:
                at, steps = parents.get(id(row)), 0
                while at is not None and at is not row and steps < len(key.table.rows):
                    at, steps = parents.get(id(at)), steps + 1
                circling += at is row
            if circling:
                yield self.found(key.object, circling)


class TypeMismatch(Planter):
    check = "references/fk-type-mismatch"

    def places(self, world: World) -> list[Key]:
        return [key for key in world.relations if self.narrow(key) and len(key.table.keys) < 3]

    def narrow(self, key: Key) -> list[str]:
        """The columns of a relation that may become narrower."""
        return [
            mine
            for mine, theirs in zip(key.columns, key.parent_columns, strict=True)
            if key.table.column(mine).type == "bigint" and key.parent.column(theirs).type == "bigint"
        ]

    def plant(self, world: World, place: Key) -> None:
        place.table.column(world.choose(self.narrow(place))).type = world.choose(("int", "smallint"))

    def expected(self, world: World) -> Iterator[Expected]:
        widths = {"smallint": 1, "int": 2, "bigint": 3}
        for key in world.distinct:
            types = [
                (key.table.column(mine).type, key.parent.column(theirs).type)
                for mine, theirs in zip(key.columns, key.parent_columns, strict=True)
            ]
            if any(widths.get(mine, 9) < widths.get(theirs, 0) for mine, theirs in types):
                yield self.found(key.object, None, WARNING)


class DuplicateForeignKey(Planter):
    check = "references/duplicate-fk"

    def places(self, world: World) -> list[Key]:
        apart = "NOT ENFORCED", "partitioned"
        return [key for key in world.foreign_keys if not key.itself and (key.state, key.table.layout) != apart]

    def plant(self, world: World, place: Key) -> None:
        actions = [a for a in NULLABLE_ACTIONS if a != "SET NULL" or "SET NULL" in place.on_delete]
        columns, theirs = place.columns, place.parent_columns
        if world.chance(2):
            columns, theirs = columns[::-1], theirs[::-1]
        again = Key(world.name("f"), place.table, columns, place.parent, theirs, world.choose(actions), place.on_update)
        again.match = place.match
        place.table.keys.append(again)

    def expected(self, world: World) -> Iterator[Expected]:
        groups: dict[object, list[Key]] = {}
        for key in world.foreign_keys:
            pairs = frozenset(zip(key.columns, key.parent_columns, strict=True))
            groups.setdefault((key.table, key.parent, pairs), []).append(key)
        for keys in groups.values():
            if len(keys) > 1:
                # The one that says less is the one to go: not vouched for, not enforced; else the last by name.
                keys.sort(key=lambda key: (bool(key.state), not key.enforced, key.match != "FULL", key.name))
                contrary = {key.on_delete.replace("RESTRICT", "NO ACTION") for key in keys}
                yield self.found(keys[-1].object, None, ERROR if len(contrary) > 1 else WARNING)


class CascadeCancelled(Planter):
    check = "nullability/cascade-cancelled"

    def places(self, world: World) -> list[Key]:
        return [key for key in world.foreign_keys if key.on_delete == "CASCADE" or "SET" in key.on_delete]

    def plant(self, world: World, place: Key) -> None:
        event = "DELETE" if place.on_delete == "CASCADE" else "UPDATE"
        body = world.choose(
            ("BEGIN RETURN NULL; END", "BEGIN RETURN %s; END" % ("NEW" if event == "DELETE" else "OLD"))
        )
        function = Function(place.table.schema, world.name("stay"), body, cancels=(event,))
        world.functions.append(function)
        place.table.triggers.append(Trigger(world.name("g"), "BEFORE", (event,), function))

    def expected(self, world: World) -> Iterator[Expected]:
        for key in world.foreign_keys:
            if cancelling(key):
                orphans = len(key.orphans())
                yield self.found(key.object, orphans, ERROR if orphans else WARNING)


class CheckViolated(Planter):
    check = "nullability/check-violated"

    def places(self, world: World) -> list[Table]:
        return [table for table in world.tables if table.number and table.layout != "heir"]

    def plant(self, world: World, place: Table) -> None:
        most = world.count(1, 5)
        state = "NOT ENFORCED" if world.version >= 18 and world.chance(3) else "NOT VALID"
        number = place.number

        def passes(row: Row) -> bool | None:
            value = row[number]
            return None if value is None else int(value) > most

        place.checks.append(Check(world.name("y"), f"{ident(number)} > {most}", passes, state))

    def expected(self, world: World) -> Iterator[Expected]:
        for table in world.tables:
            for check in table.checks:
                broken = [row for row in table.rows if check.passes(row) is False]
                if broken:
                    yield self.found(table.object("constraint", check.name, (table.number,)), len(broken))


class SetNull(Planter):
    check = "nullability/set-null-on-not-null"

    def places(self, world: World) -> list[Key]:
        return [
            k
            for k in world.foreign_keys
            if any(k.table.column(c).not_null for c in k.columns) and "SET" not in k.on_delete
        ]

    def plant(self, world: World, place: Key) -> None:
        place.on_delete = "SET NULL"

    def expected(self, world: World) -> Iterator[Expected]:
        for key in world.foreign_keys:
            acts = key.state not in ("NOT ENFORCED", "off there")
            if not acts or "SET NULL" not in (key.on_delete, key.on_update):
                continue
            if any(key.table.column(name).not_null for name in key.columns):
                held = {id(up) for row, up in key.pairs() if row is not up}
                yield self.found(key.object, len(held))


class TriggerDisabled(Planter):
    check = "foundations/trigger-disabled"

    def places(self, world: World) -> list[Table]:
        return world.tables

    def plant(self, world: World, place: Table) -> None:
        function = Function(place.schema, world.name("does"), "BEGIN RETURN NULL; END", cancels=("DELETE", "UPDATE"))
        world.functions.append(function)
        event = (world.choose(("INSERT", "UPDATE", "DELETE")),)
        timing = world.choose(("BEFORE", "AFTER"))
        trigger = Trigger(world.name("g"), timing, event, function, world.choose(("DISABLE", "ENABLE REPLICA")))
        place.triggers.append(trigger)

    def expected(self, world: World) -> Iterator[Expected]:
        syncing = [pair.trigger for pair in world.companions]
        for table in world.tables:
            for trigger in table.triggers:
                if trigger.enabled in ("DISABLE", "ENABLE REPLICA") and trigger not in syncing:
                    yield self.found(table.object("trigger", trigger.name), None, WARNING)


class SyncTrigger(Planter):
    check = "companions/sync-trigger-missing"

    def places(self, world: World) -> list[Companion]:
        return [pair for pair in world.companions if pair.trigger and pair.trigger in pair.table.triggers]

    def plant(self, world: World, place: Companion) -> None:
        assert place.trigger is not None
        how = world.choose(("absent", "DISABLE", "ENABLE REPLICA", "few"))
        if how == "absent":
            place.table.triggers.remove(place.trigger)
        elif how == "few":
            place.trigger.events = ("UPDATE",) if world.chance(2) or not place.states else ("INSERT",)
        else:
            place.trigger.enabled = how

    def expected(self, world: World) -> Iterator[Expected]:
        for pair in world.companions:
            trigger = pair.trigger
            if trigger is None:
                continue
            keys = [k for k in pair.other.keys if k.parent is pair.table and k.state in ("", "NOT VALID")]
            action = min((key.name, key.on_delete) for key in keys)[1] if keys else ""
            needed = {"INSERT", *(["UPDATE"] if pair.states else []), *(["DELETE"] if action != "CASCADE" else [])}
            missing = needed - {*trigger.events}
            off = trigger not in pair.table.triggers or trigger.enabled
            refused = missing == {"DELETE"} and action in ("NO ACTION", "RESTRICT")
            if off or missing:
                subject = pair.table.object("trigger", trigger.name)
                yield self.found(subject, severity=WARNING if refused and not off else ERROR)


class MissingCompanion(Planter):
    check = "companions/missing-companion"

    def places(self, world: World) -> list[Companion]:
        return world.companions

    def plant(self, world: World, place: Companion) -> None:
        for _ in range(world.count(1, 3)):
            place.table.add()

    def expected(self, world: World) -> Iterator[Expected]:
        for pair in world.companions:
            held = {pair.key.value(row) for row in pair.other.rows}
            lacking = [row for row in pair.table.live() if tuple(row[c] for c in pair.key.parent_columns) not in held]
            if lacking:
                yield self.found(pair.table.object("table", pair.name, pair.key.parent_columns), len(lacking))


class DuplicateCompanion(Planter):
    check = "companions/duplicate-companion"

    def places(self, world: World) -> list[Companion]:
        return world.companions

    def plant(self, world: World, place: Companion) -> None:
        unenforced(place)
        for _ in range(world.count(1, 3)):
            up = world.choose([row for row in place.table.live()][:4])
            place.key.point(place.other.add(), up)

    def expected(self, world: World) -> Iterator[Expected]:
        for pair in world.companions:
            doubled = same(pair.other.live(), pair.key.columns)
            if doubled:
                yield self.found(pair.other.object("table", pair.name, pair.key.columns), len(doubled))


def unenforced(place: Companion) -> None:
    """Takes the unique index of a companion away."""
    if place.unique in place.other.uniques:
        assert place.unique is not None
        place.other.uniques.remove(place.unique)


class OneToOne(Planter):
    check = "uniqueness/one-to-one-not-unique"

    def places(self, world: World) -> list[Companion]:
        return [pair for pair in world.companions if len(pair.other.rows) >= 20 and pair.unique in pair.other.uniques]

    def plant(self, world: World, place: Companion) -> None:
        unenforced(place)

    def expected(self, world: World) -> Iterator[Expected]:
        for pair in world.companions:
            loose = pair.unique not in pair.other.uniques and len(pair.other.rows) >= 20
            if loose and not same(pair.other.rows, pair.key.columns):
                yield self.found(pair.other.object("column", columns=pair.key.columns), 0, WARNING)


class StateDrift(Planter):
    check = "companions/companion-state-drift"

    def places(self, world: World) -> list[Companion]:
        return [pair for pair in world.companions if pair.states]

    def plant(self, world: World, place: Companion) -> None:
        table = world.choose((place.table, place.other))
        assert table.mark is not None
        for row in table.rows[: world.count(1, 3)]:
            row[table.mark.column] = table.mark.on

    def expected(self, world: World) -> Iterator[Expected]:
        for pair in self.places(world):
            table, other = pair.table, pair.other
            assert table.mark is not None
            assert other.mark is not None
            there: dict[tuple[Value, ...], list[Row]] = {}
            for row in other.rows:
                there.setdefault(pair.key.value(row), []).append(row)
            own, state = f"({table.mark.live})", f"({other.mark.live})"
            halves = {True: f"{own} IS TRUE, {state} IS NOT TRUE", False: f"{own} IS NOT TRUE, {state} IS TRUE"}
            for live, said in halves.items():
                count = 0
                for row in table.rows:
                    mine = there.get(tuple(row[c] for c in pair.key.parent_columns), [])
                    if table.deleted(row) == live or not mine:
                        continue
                    dead = [other.deleted(companion) for companion in mine]
                    count += all(dead) if live else not all(dead)
                if count:
                    subject = table.object("table", f"{pair.name}: {said}", (table.mark.column,))
                    yield self.found(subject, count, ERROR if pair.same_state else WARNING)


def coded(world: World) -> list[Table]:
    """The tables whose business key a unique index keeps as it should."""
    return [t for t in world.tables if t.code and any(u.columns == (t.code,) for u in t.uniques)]


def double(world: World, table: Table) -> None:
    """Live rows that share a business key."""
    for _ in range(world.count(0, 3)):
        table.add()[table.code] = table.rows[world.count(0, 1)][table.code]


class LiveDuplicates(Planter):
    check = "uniqueness/live-duplicates"

    def places(self, world: World) -> list[Table]:
        return [table for table in coded(world) if table.business]

    def plant(self, world: World, place: Table) -> None:
        place.uniques = [unique for unique in place.uniques if unique.columns != (place.code,)]
        double(world, place)

    def expected(self, world: World) -> Iterator[Expected]:
        for table in world.tables:
            if not table.business or any(unique.columns == (table.code,) for unique in table.uniques):
                continue
            doubled = same(table.live(), (table.code,))
            if not (doubled and in_key(table)):
                yield self.found(table.object("table", "", (table.code,)), len(doubled), ERROR if doubled else WARNING)


def in_key(table: Table) -> list[Unique]:
    """The unique keys that contain the mark of deleted rows."""
    mark = table.mark.column if table.mark is not None and table.mark.off is None else None
    return [unique for unique in table.uniques if mark in unique.columns]


class SoftDeleteInKey(Planter):
    check = "uniqueness/soft-delete-in-key"

    def places(self, world: World) -> list[Table]:
        return [table for table in coded(world) if table.mark is not None and table.mark.off is None]

    def plant(self, world: World, place: Table) -> None:
        assert place.mark is not None
        (unique,) = (unique for unique in place.uniques if unique.columns == (place.code,))
        unique.columns = (place.code, place.mark.column) if world.chance(2) else (place.mark.column, place.code)
        unique.where = ""
        double(world, place)

    def expected(self, world: World) -> Iterator[Expected]:
        for table in world.tables:
            for unique in in_key(table):
                doubled = same(table.live(), (table.code,))
                subject = table.object("constraint" if unique.constraint else "index", unique.name, unique.columns)
                yield self.found(subject, len(doubled), ERROR if doubled else WARNING)


class SoftDeleteBlocksReuse(Planter):
    check = "uniqueness/soft-delete-blocks-reuse"

    def places(self, world: World) -> list[Table]:
        return [table for table in world.tables if table.uniques and table.uniques[-1].where]

    def plant(self, world: World, place: Table) -> None:
        unique = place.uniques[-1]
        unique.where = ""
        for number, row in enumerate(place.rows, 5000):
            if place.code and place.deleted(row):
                row[place.code] = KINDS[place.column(place.code).type](number)

    def expected(self, world: World) -> Iterator[Expected]:
        for table in world.tables:
            for unique in table.uniques if table.mark is not None and table not in world.reuse_unwanted else ():
                if not unique.where and unique not in in_key(table):
                    held = [row for row in table.rows if table.deleted(row)]
                    subject = table.object("constraint" if unique.constraint else "index", unique.name, unique.columns)
                    yield self.found(subject, len(held), ERROR if held else WARNING)


class OnConflict(Planter):
    check = "uniqueness/on-conflict-without-arbiter"

    def places(self, world: World) -> list[Table]:
        return [table for table in world.tables if table.number and not table.code]

    def plant(self, world: World, place: Table) -> None:
        body = f"BEGIN INSERT INTO {place.sql} DEFAULT VALUES ON CONFLICT ({ident(place.number)}) DO NOTHING; END"
        upserting = (place, (place.number,), "")
        world.functions.append(Function(place.schema, world.name("put"), body, "void", upsert=upserting))

    def expected(self, world: World) -> Iterator[Expected]:
        for function in world.functions:
            if function.upsert is None:
                continue
            table, columns, where = function.upsert
            serving = [{*u.columns} for u in table.uniques if not u.where or u.where == where]
            if {*columns} in [*serving, {*table.primary}]:
                continue
            rows = table.live() if where else table.rows
            doubled = same(rows, columns)
            subject = Object("function", function.schema, table.name, f"{function.name}()", columns)
            yield self.found(subject, len(doubled))


class SetDefault(Planter):
    check = "nullability/set-default-unsatisfiable"

    def places(self, world: World) -> list[None]:
        return [None]

    def plant(self, world: World, place: None) -> None:
        parent, table = plain(world), plain(world)
        parent.fill()
        key = refer(world, table, parent)
        (column,) = (table.column(name) for name in key.columns)
        key.on_delete, key.match = "SET DEFAULT", "SIMPLE"
        if world.chance(2):
            column.rest = f"DEFAULT {shown(KINDS[column.type](8000))}"
        else:
            column.not_null = True
        table.fill()

    def expected(self, world: World) -> Iterator[Expected]:
        for key in world.foreign_keys:
            strange = key.table.column(key.columns[0]).rest.startswith("DEFAULT")  # a default that is no row there
            sets = key.on_delete == "SET DEFAULT" and key.state not in ("NOT ENFORCED", "off there")
            checks = key.state not in ("NOT ENFORCED", "off here")
            if sets and (checks or not strange):
                held = {id(up) for row, up in key.pairs() if row is not up}
                yield self.found(key.object, len(held))
            elif checks and strange:
                yield Expected(DefaultViolates.check, key.object, None)


class Plot(Planter):
    """What is planted as statements of their own, in objects that nothing else touches; `{n}` is what their names begin with."""

    scripts: ClassVar[tuple[str, ...]]

    def places(self, world: World) -> list[str]:
        return [*self.scripts]

    def plant(self, world: World, place: str) -> None:
        world.numbers += 1
        schema, name, count = world.choose(world.schemas), f"m{world.numbers}q", world.count(1, 4)
        own = f"{ident(schema)}.{name}"
        statement = place.replace("'{n}", f"'{own.replace(chr(39), chr(39) * 2)}").replace("{n}", own)
        statement = statement.replace("{count}", str(count))
        world.late.append(statement.replace("{name}", name).strip())
        world.told.append(self.tell(schema, name, count, self.scripts.index(place)))

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        """What is to be found, of the script of this number."""
        raise NotImplementedError


class InsertDeadlock(Plot):
    check = "nullability/insert-deadlock"
    scripts = (
        """
CREATE TABLE {n}hens (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE {n}eggs (id int PRIMARY KEY, hen int NOT NULL CONSTRAINT a REFERENCES {n}hens);
ALTER TABLE {n}hens ADD CONSTRAINT b FOREIGN KEY (egg) REFERENCES {n}eggs
""",
        """
CREATE TABLE {n}hens (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE {n}eggs (id int PRIMARY KEY, hen int NOT NULL);
INSERT INTO {n}hens VALUES (1, 1);
INSERT INTO {n}eggs VALUES (1, 1);
ALTER TABLE {n}eggs ADD CONSTRAINT a FOREIGN KEY (hen) REFERENCES {n}hens;
ALTER TABLE {n}hens ADD CONSTRAINT b FOREIGN KEY (egg) REFERENCES {n}eggs
""",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        subject = Object("constraint", schema, f"{name}eggs", "a", ("hen",))
        return self.found(subject, None, WARNING if number else ERROR)


class NullInNotNull(Plot):
    check = "nullability/null-in-not-null"
    scripts = (
        """
CREATE DOMAIN {n}size AS int NOT NULL;
CREATE TABLE {n} (id int PRIMARY KEY, v {n}size);
INSERT INTO {n} SELECT n, (SELECT v FROM {n} WHERE false) FROM generate_series(1, {count}) AS n
""",
    )

    def places(self, world: World) -> list[Any]:
        """A text that some rows lack, too."""
        own = [t for t in world.tables if world.version >= 18 and t.layout != "heir" and not t.link]
        return [*super().places(world), *own]

    def plant(self, world: World, place: Any) -> None:
        if isinstance(place, str):
            super().plant(world, place)
        else:
            place.demanded = [next(c.name for c in place.columns if c.type == "text" and not c.not_null)]

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        return self.found(Object("column", schema, name, "", ("v",)), count)

    def expected(self, world: World) -> Iterator[Expected]:
        for table in world.tables:
            for name in table.demanded:
                nulls = [row for row in table.rows if row[name] is None]
                if nulls:
                    yield self.found(table.object("column", columns=(name,)), len(nulls))


class DefaultViolates(Plot):
    check = "nullability/default-violates-check"
    scripts = (
        "CREATE TABLE {n} (id int PRIMARY KEY, v int DEFAULT 0 CONSTRAINT positive CHECK (v > 0))",
        "CREATE TABLE {n} (id int PRIMARY KEY, v varchar(2) DEFAULT 'abc')",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        kind, rule = ("column", "") if number else ("constraint", "positive")
        return self.found(Object(kind, schema, name, rule, ("v",)))


class NullLoophole(Plot):
    check = "uniqueness/null-loophole"
    scripts = (
        """
CREATE TABLE {n} (id int PRIMARY KEY, a int NOT NULL, b int, CONSTRAINT {name}ab UNIQUE (a, b));
INSERT INTO {n} VALUES (100, 7, 1), (101, 7, 2), (102, 8, NULL), (103, 9, NULL);
INSERT INTO {n} SELECT n, 9, NULL FROM generate_series(1, {count}) AS n
""",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        return self.found(Object("constraint", schema, name, f"{name}ab", ("a", "b")), count + 1, WARNING)


class CaseDuplicates(Plot):
    check = "uniqueness/case-duplicates"
    scripts = (
        """
CREATE TABLE {n} (id int PRIMARY KEY, email text NOT NULL UNIQUE);
INSERT INTO {n} SELECT n, 'a' || n || '@x' FROM generate_series(1, 5) AS n;
INSERT INTO {n} SELECT 10 + n, 'A' || n || '@x ' FROM generate_series(1, {count}) AS n
""",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        return self.found(Object("column", schema, name, "", ("email",)), 2 * count, WARNING)


# The server is told that the index is not yet ready: it takes no rows then.
UNREADY = "UPDATE pg_index SET {state} WHERE indexrelid = '{n}_key'::regclass"


class InvalidUniqueIndex(Plot):
    check = "uniqueness/invalid-unique-index"
    scripts = (
        f"""
CREATE TABLE {{n}} (id int PRIMARY KEY, a int);
CREATE UNIQUE INDEX {{name}}_key ON {{n}} (a);
{UNREADY.replace("{state}", "indisvalid = false, indisready = false")};
INSERT INTO {{n}} SELECT n, 1 FROM generate_series(0, {{count}}) AS n
""",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        return self.found(Object("index", schema, name, f"{name}_key", ("a",)), count + 1)


class UniqueViolated(Plot):
    check = "uniqueness/unique-violated"
    scripts = (
        f"""
CREATE TABLE {{n}} (id int PRIMARY KEY, a int);
CREATE UNIQUE INDEX {{name}}_key ON {{n}} (a);
{UNREADY.replace("{state}", "indisready = false")};
INSERT INTO {{n}} SELECT n, 1 FROM generate_series(0, {{count}}) AS n;
{UNREADY.replace("{state}", "indisready = true")}
""",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        return self.found(Object("index", schema, name, f"{name}_key", ("a",)), count + 1)


class NoUniqueKey(Planter):
    check = "uniqueness/no-unique-key"

    def places(self, world: World) -> list[Table]:
        held = {id(key.parent) for key in world.relations} | {id(table) for table in world.tables if table.link}
        held |= {id(table) for many in world.polymorphic for table in many.targets.values()}
        held |= {id(pair.table) for pair in world.companions}
        some = [table for table in world.tables if id(table) not in held and not table.closed]
        return [table for table in some if table.primary and not table.layout and not table.uniques]

    def plant(self, world: World, place: Table) -> None:
        place.primary = ()

    def expected(self, world: World) -> Iterator[Expected]:
        for table in world.tables:
            keyed = any(not u.where and all(table.column(c).not_null for c in u.columns) for u in table.uniques)
            if not table.primary and not keyed:
                yield self.found(table.object(), None, WARNING)


class SequenceBehind(Planter):
    check = "foundations/sequence-behind"

    def places(self, world: World) -> list[Table]:
        return [table for table in world.tables if table.serial]

    def plant(self, world: World, place: Table) -> None:
        place.behind = world.count(1, 4)

    def expected(self, world: World) -> Iterator[Expected]:
        for table in self.places(world):
            ahead = [int(row[table.serial] or 0) - table.drawn for row in table.rows]
            taken = [gap for gap in ahead if gap > 0 and gap % table.step == 0]
            if taken:
                subject = table.object("sequence", table.sequence, (table.serial,))
                yield self.found(subject, len(taken), ERROR if table.primary == (table.serial,) else WARNING)


class SequenceExhaustion(Plot):
    check = "foundations/sequence-exhaustion"
    scripts = (
        """
CREATE TABLE {n} (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
SELECT setval('{n}_id_seq', 2000000000)
""",
        """
CREATE TABLE {n} (id smallint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY);
SELECT setval('{n}_id_seq', 32767)
""",
        "CREATE SEQUENCE {n}_id_seq MAXVALUE 100; SELECT setval('{n}_id_seq', 99)",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        table, columns = ("", ()) if number == 2 else (name, ("id",))
        subject = Object("sequence", schema, table, f"{name}_id_seq", columns)
        return self.found(subject, None, ERROR if number else WARNING)


class CollationChanged(Plot):
    check = "foundations/collation-changed"
    scripts = (
        """
CREATE COLLATION {n} (PROVIDER = icu, LOCALE = 'und');
CREATE TABLE {n}t (id int PRIMARY KEY, v text COLLATE {n});
CREATE INDEX ON {n}t (v);
UPDATE pg_collation SET collversion = '0' WHERE oid = '{n}'::regcollation
""",
    )

    def places(self, world: World) -> list[str]:
        return super().places(world) if world.icu else []

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        return self.found(Object("collation", schema, "", name), None, WARNING)


class UnloggedTable(Plot):
    check = "foundations/unlogged-table"
    scripts = (
        """
CREATE TABLE {n}p (id int PRIMARY KEY);
CREATE UNLOGGED TABLE {n} (id int PRIMARY KEY, p int REFERENCES {n}p)
""",
        """
CREATE TABLE {n}p (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE UNLOGGED TABLE {n} PARTITION OF {n}p FOR VALUES FROM (0) TO (9);
CREATE TABLE {n}c (id int PRIMARY KEY, p int REFERENCES {n}p)
""",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        return self.found(Object("table", schema, name), None, ERROR if number else WARNING)


class FunctionBroken(Plot):
    check = "foundations/function-broken"
    scripts = (
        """
CREATE TABLE {n} (id int PRIMARY KEY);
CREATE FUNCTION {n}f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.gone := 1; RETURN NEW; END';
CREATE TRIGGER a BEFORE INSERT ON {n} FOR EACH ROW EXECUTE FUNCTION {n}f()
""",
        """
CREATE TABLE {n} (id int PRIMARY KEY);
CREATE FUNCTION {n}f() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN INSERT INTO {n}gone VALUES (NEW.id); RETURN NULL; END$$;
CREATE TRIGGER a AFTER INSERT ON {n} FOR EACH ROW EXECUTE FUNCTION {n}f()
""",
    )

    def tell(self, schema: str, name: str, count: int, number: int) -> Expected:
        return self.found(Object("function", schema, "", f"{name}f()"))


PLANTERS: tuple[Planter, ...] = (
    OrphanRows(),
    OrphanedMemberships(),
    NotEnforced(),
    MissingForeignKey(),
    SoftDeletedParent(),
    PartialReference(),
    PolymorphicOrphans(),
    CrossTenant(),
    ReferenceCycle(),
    TypeMismatch(),
    DuplicateForeignKey(),
    CascadeCancelled(),
    CheckViolated(),
    SetNull(),
    TriggerDisabled(),
    SyncTrigger(),
    MissingCompanion(),
    DuplicateCompanion(),
    OneToOne(),
    StateDrift(),
    LiveDuplicates(),
    SoftDeleteInKey(),
    SoftDeleteBlocksReuse(),
    OnConflict(),
    SetDefault(),
    InsertDeadlock(),
    NullInNotNull(),
    DefaultViolates(),
    NullLoophole(),
    CaseDuplicates(),
    InvalidUniqueIndex(),
    UniqueViolated(),
    NoUniqueKey(),
    SequenceBehind(),
    SequenceExhaustion(),
    CollationChanged(),
    UnloggedTable(),
    FunctionBroken(),
)


def expected(world: World) -> Counter[Expected]:
    """All that has to be found by the checks that there are."""
    known = {*identities()}
    found = [*world.told, *(finding for planter in PLANTERS for finding in planter.expected(world))]
    return Counter(finding for finding in found if finding.check in known)
