"""What deleting rows would do: the queue of foreign-key triggers as the server would work it off, played on a snapshot.

The triggers of foreign keys fire one after the other, in the order in which their rows were deleted or changed and, of one
row, by name; what they delete or change queues triggers behind them (source: trigger.c, AfterTriggerEndQuery; ri_triggers.c).
So whether NO ACTION or RESTRICT refuses depends on what came before them, and the walk here keeps that order. Rows of one
statement are taken as they lie.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

import psycopg

from auditor.arbiter import countable, schemas
from auditor.cancelling import obstacles
from auditor.cascade import NULL, Reach, Step, Values, impossible, reached, root, sets
from auditor.catalog.model import Catalog, Constraint, ForeignKey, Index, Table
from auditor.catalog.read import query
from auditor.connection import Fetch, Session, reason_of
from auditor.errors import UsageError, nearest
from auditor.plan import hindrance
from auditor.probe import Matching, Relation
from auditor.run import TRIES
from auditor.statements import Scanner
from auditor.text import ident, idents, listed, literal, plural, qualified, unquoted
from auditor.watchdog import watching

MOST = 1_000_000  # rows that are kept in mind; those at the end of a chain are only counted
_CHUNK = 10_000  # rows that one query names

Row = tuple[int, int]  # the relation it lies in, and where: block and offset

EARLY = "before PostgreSQL 15 it depends on partitions"


class _Event(NamedTuple):
    """A row that was deleted or changed: what fires triggers. `real` are the columns whose value is another than before."""

    row: Row
    event: str  # delete, update
    old: Values
    new: Values = MappingProxyType({})
    real: frozenset[str] = frozenset()
    version: int = 0


class _Trigger(NamedTuple):
    """An internal trigger of a foreign key. `action` is that of pg_constraint, or check for the referencing side."""

    key: int
    event: str
    action: str
    deferred: bool
    fires: bool


# By the oid of its function (source: pg_proc.dat).
_FUNCTIONS = {
    1645: ("update", "check"),
    1646: ("delete", "c"),
    1647: ("update", "c"),
    1648: ("delete", "r"),
    1649: ("update", "r"),
    1650: ("delete", "n"),
    1651: ("update", "n"),
    1652: ("delete", "d"),
    1653: ("update", "d"),
    1654: ("delete", "a"),
    1655: ("update", "a"),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """What makes the statement fail, or with `deferred` the COMMIT: `rows` of the step's table, for the reason `why`."""

    step: Step
    sqlstate: str
    why: str
    rows: int
    deferred: bool = False


@dataclass(slots=True)
class Tally:
    """What became of rows by one step: how many, and in which rounds of the cascade."""

    rows: int = 0
    first: int = 0
    last: int = 0

    def add(self, rows: int, level: int) -> None:
        """More rows, of a later round."""
        if rows:
            self.first = self.first or level
            self.rows, self.last = self.rows + rows, max(self.last, level)


@dataclass(slots=True)
class Deletion:
    """What deleting `rows` rows of `table` does. Without `rows` nothing was read: `reach` is what may happen.

    `deleted`, `changed` and `remaining` count rows by table: those that go, and those that stay with NULL or a default in a
    column. `unsure` says why the truth may be another; `stopped` why the walk is not complete.
    """

    table: Table
    reach: Reach
    rows: int | None = None
    said: str = ""  # the key, as the reader gave it
    tallies: dict[tuple[int, str], Tally] = field(default_factory=dict)
    deleted: dict[int, int] = field(default_factory=dict)
    changed: dict[int, dict[tuple[str, str], int]] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()
    unsure: tuple[str, ...] = ()
    stopped: str = ""
    cancelling: tuple[str, ...] = ()  # triggers and rules that may cancel a part of it without an error
    may_refuse: int = 0  # without a key: how many foreign keys may refuse it
    triggers: tuple[str, ...] = ()  # other triggers of the users that fire

    @property
    def exit_code(self) -> int:
        """0: the rows can be deleted, 1: it is refused, 4: it cannot be told. Without a key 1 says that some key may refuse."""
        if self.refused or self.may_refuse:
            return 1
        return 4 if self.stopped or self.unsure else 0


_Fired = tuple[_Event, _Trigger]
_Found = dict[tuple[int, str], dict[Row, list[Row]]]


class _TooManyError(Exception):
    """More rows than can be kept in mind."""


# --- what is to be deleted -------------------------------------------------------------------------------------------

_PART = re.compile(r'(?:"(?:[^"]|"")*"|[^."])+')
_PAIR = re.compile(r'((?:[uU]&)?"(?:[^"]|"")+"|[^"=]+)=(.*)\Z', re.DOTALL)


def find(session: Session, catalog: Catalog, name: str) -> Table:
    """The table that a name means: `schema.table`, or a table of the login's search_path, or else the only one of that name.

    Raises UsageError where there is none, or none whose rows could be deleted.
    """
    parts = [unquoted(part.strip()) for part in _PART.findall(name)]
    if len(parts) == 3 and parts[0] == catalog.server.database:
        del parts[0]
    if not 1 <= len(parts) <= 2:
        raise UsageError(f"{name}: expected a table, or schema.table")
    if len(parts) == 2:
        found = [table for place, table in catalog.by_name.items() if place == tuple(parts)]
    else:
        with session.transaction() as fetch:
            path = fetch("SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'")[0][0] or ""
        near = (catalog.by_name.get((schema, parts[0])) for schema in schemas(path, catalog.server.user))
        first = next((table for table in near if table is not None), None)
        found = [first] if first else [table for table in catalog.tables.values() if table.name == parts[0]]
    if len(found) > 1:
        raise UsageError(f"{name} is in {listed(sorted(table.schema for table in found))}: name the schema")
    if not found:
        known = {f"{table.schema}.{table.name}": table for table in catalog.tables.values() if table.holds_rows}
        asked = parts if len(parts) == 2 else ["public", *parts]
        close = get_close_matches(".".join(asked), list(known), n=1, cutoff=0.6)
        raise UsageError(f"there is no table {name}" + (f"; did you mean {known[close[0]].sql}?" if close else ""))
    if not found[0].holds_rows:
        kind = {"v": "view", "m": "materialized view", "f": "foreign table"}[found[0].kind]
        raise UsageError(f"{found[0].sql} is a {kind}: no foreign key acts when its rows are deleted")
    return found[0]


def condition(catalog: Catalog, table: Table, key: Sequence[str]) -> tuple[str, str]:
    """A key as SQL over the alias `r`, and as words: values of the primary key in its order, or `column=value` each.

    Raises UsageError where it is no key of the table.
    """
    pairs = [(unquoted(found[1].strip()), found[2]) for text in key if (found := _PAIR.match(text))]
    named = len(pairs) == len(key) and all(name in table.by_name for name, _ in pairs)
    if not named and pairs and len(table.row_key) != len(key):
        unknown = next((name for name, _ in pairs if name not in table.by_name), "")
        wrong = f"{table.sql} has no column {ident(unknown)}{nearest(unknown, sorted(table.by_name))}"
        raise UsageError(wrong if unknown else f"{listed(list(key))}: expected values of the key, or column=value each")
    if not named:
        if not table.row_key:
            raise UsageError(f"{table.sql} has no primary key: name columns, column=value")
        if len(key) != len(table.row_key):
            wanted = f"the key of {table.sql} is ({idents(table.row_key)})"
            raise UsageError(f"{wanted}: {plural(len(table.row_key), 'value')} expected, {len(key)} given")
        pairs = list(zip(table.row_key, key, strict=True))
    conditions, said = [], []
    for name, value in pairs:
        column = table.by_name[name]
        kind = catalog.types.get(column.base_oid)  # none: a composite type
        own = next((one.equality for index in table.indexes for one in index.keys if one.column == name), None)
        if own is None and (kind is None or (kind.schema != "pg_catalog" and kind.kind != "e")):
            raise UsageError(
                f"{ident(name)} of {table.sql} is of the type {column.type}: name columns of a key instead"
            )
        schema, operator = own or ("pg_catalog", "=")
        conditions.append(f"r.{ident(name)} OPERATOR({ident(schema)}.{operator}) {literal(value)}")
        said.append(f"{ident(name)} = {value}")
    return " AND ".join(conditions), listed(said)


def explain(
    session: Session, catalog: Catalog, table: Table, where: str = "", said: str = "", most: int = MOST
) -> Deletion:
    """What `DELETE FROM table WHERE ...` does, in one snapshot; without a condition what it may do, and no row is read.

    The condition is SQL over the alias `r`, `said` the same in words. Raises UsageError where it finds no row, or the server
    does not take its values; what fails later is told in the answer.
    """
    reach = reached(catalog, list(catalog.heirs(table)))
    if not where:
        changed = {(oid, "update"): tuple(columns) for oid, columns in reach.changed.items()}
        steps = reach.steps.values()
        may = sum(1 for step in steps if step.refuses or step.action == "d" or impossible(catalog, step))
        made = Deletion(table, reach, may_refuse=may)
        return beside(made, catalog, {**dict.fromkeys(_deletes(reach.deleted), ()), **changed})
    for left in reversed(range(TRIES)):
        made = Deletion(table, reach, said=said)
        walk: _Walk | None = None
        try:
            with watching(session.target, lambda: [session]), session.transaction() as fetch:
                walk = _Walk(catalog, fetch, made, most)
                walk.begin(where)
                walk.run()
        except _TooManyError:
            made.stopped = f"it reaches more than {most:,} rows: what goes beyond them was not followed"
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if made.rows is None and (state[:2] == "22" or state in ("42804", "42883")):
                types = listed([f"{ident(c.name)} {c.type}" for c in table.columns if f"r.{ident(c.name)} " in where])
                raise UsageError(f"{said} is no key of {table.sql}: {types} (SQLSTATE {state})") from None
            reason, detail = reason_of(error, session)
            if reason in ("standby_conflict", "lock") and left and session.alive:
                continue
            made.stopped = f"{reason.replace('_', ' ')}, {detail}"
        except KeyboardInterrupt:
            session.cancel()
            raise
        if walk is not None:
            walk.finish()
        break
    changed = {(oid, "update"): tuple(name for name, _ in columns) for oid, columns in made.changed.items()}
    return beside(made, catalog, {**dict.fromkeys(_deletes(made.deleted), ()), **changed})


def _deletes(tables: Iterable[int]) -> list[tuple[int, str]]:
    return [(oid, "delete") for oid in tables]


def beside(made: Deletion, catalog: Catalog, touched: Mapping[tuple[int, str], tuple[str, ...]]) -> Deletion:
    """The answer, with what fires beside the foreign keys: where a row is touched, by table and event."""
    cancelling: dict[str, None] = {}
    others: dict[str, None] = {}
    for (oid, event), columns in touched.items():
        table = catalog.tables.get(oid)
        if table is None:
            continue
        found, unread = obstacles(catalog, table, event, columns)
        cancelling.update(dict.fromkeys(f"{one.name} {one.why}" for one in found))
        cancelling.update(dict.fromkeys(f"{name}, a function that cannot be read" for name in unread))
        known = {one.trigger.oid for one in found if one.trigger is not None}
        for on in catalog.family(table):
            for trigger in on.triggers:
                fires = trigger.fires and event in trigger.events and trigger.oid not in known and not trigger.parent
                if fires and (event == "delete" or not trigger.columns or set(trigger.columns) & set(columns)):
                    others[f"{ident(trigger.name)} of {on.sql}, {trigger.timing} {event}"] = None
    made.cancelling, made.triggers = tuple(cancelling), tuple(others)
    return made


class _Walk:
    """The rows in mind: which are gone, which are changed and to what."""

    def __init__(self, catalog: Catalog, fetch: Fetch, made: Deletion, most: int) -> None:
        self.catalog, self.fetch, self.made, self.most = catalog, fetch, made, most
        self.tables = {**catalog.beyond, **catalog.tables}
        self.keys = {key.oid: (table, key, parent) for table, key, parent in catalog.foreign_keys}
        self.triggers: dict[int, list[_Trigger]] = defaultdict(list)
        for relation, key, function, deferred, fires in fetch(query("actions", catalog.server.major)):
            if int(key or 0) in self.keys:
                event, action = _FUNCTIONS[int(function or 0)]
                trigger = _Trigger(int(key or 0), event, action, deferred == "t", fires == "t")
                self.triggers[int(relation or 0)].append(trigger)
        self.partition_keys: dict[int, set[str | None]] = defaultdict(set)
        for relation, name in fetch(query("partition_keys", catalog.server.major)):
            self.partition_keys[int(relation or 0)].add(name)
        self.gone: dict[int, set[int]] = defaultdict(set)
        self.changed: dict[Row, dict[str, str]] = {}
        self.versions: dict[Row, int] = {}
        # Of changed rows, where a key points now: what they pointed to in the snapshot no longer counts.
        self.pointing: dict[int, dict[Row, set[Row]]] = defaultdict(lambda: defaultdict(set))
        self.same: dict[tuple[int, tuple[tuple[str, str], ...]], list[Row]] = {}
        self.counted: dict[int, int] = defaultdict(int)  # rows deleted that are not kept in mind, by table
        self.counted_changed: dict[int, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
        self.refusals: dict[tuple[tuple[int, str], str, str, bool], Refused] = {}
        self.unsure: dict[str, None] = {}
        self.events: list[_Event] = []
        self.carried = 0
        self.alone = {step.place for step in made.reach.steps.values() if self._is_alone(step)}

    # --- what is asked ------------------------------------------------------------------------------------------------

    def begin(self, where: str) -> None:
        """Finds the rows that are deleted first."""
        table = self.made.table
        held = hindrance(Matching(table, "true", only=False), self.catalog)
        if held is not None:
            self.made.stopped = held[1]
            return
        found = self.fetch(f"SELECT r.tableoid, r.ctid FROM {table.sql} AS r WHERE {where} LIMIT {self.most + 1}")
        if not found:
            raise UsageError(f"{table.sql} has no row with {self.made.said}: nothing would be deleted")
        if len(found) > self.most:
            raise UsageError(f"more than {self.most:,} rows of {table.sql} have {self.made.said}")
        self.events = [_Event(row, "delete", {}) for row in sorted(_row(*one) for one in found)]
        self.made.rows = len(found)
        for event in self.events:
            self.gone[event.row[0]].add(event.row[1])

    def run(self) -> None:
        """Works off the queue: each round takes what the last one left behind it."""
        deferred: list[_Fired] = []
        level = 0
        while self.events:
            level += 1
            fired: list[_Fired] = []
            for event in self.events:
                for trigger in self.triggers[event.row[0]]:
                    if trigger.event == event.event and trigger.fires:
                        (deferred if trigger.deferred else fired).append((event, trigger))
            self.events = []
            self._fire(fired, level)
        for number in range(0, len(deferred), _CHUNK):
            self._fire(deferred[number : number + _CHUNK], level)

    def _fire(self, fired: list[_Fired], level: int) -> None:
        found = self._children(fired, level)
        for event, trigger in fired:
            if trigger.action == "check":
                self._check(event, trigger)
            else:
                self._act(event, trigger, found, level)

    def finish(self) -> None:
        """Counts."""
        made = self.made
        deleted: dict[int, int] = defaultdict(int, self.counted)
        for relation, rows in self.gone.items():
            deleted[self._top(relation)] += len(rows)
        for row, values in self.changed.items():
            if row[1] not in self.gone[row[0]]:
                for column, value in values.items():
                    self.counted_changed[self._top(row[0])][column, "null" if value == NULL else "default"] += 1
        made.deleted = {oid: count for oid, count in deleted.items() if count}
        made.changed = {oid: dict(columns) for oid, columns in self.counted_changed.items()}
        made.refused = tuple(self.refusals.values())
        made.unsure = tuple(self.unsure)

    def _top(self, relation: int) -> int:
        return root(self.catalog, self.tables[relation]).oid if relation in self.tables else relation

    def _children(self, fired: Sequence[_Fired], level: int) -> _Found:
        """By step: the rows that pointed to an event's row in the snapshot. Those of steps alone are counted instead."""
        sources: dict[tuple[int, str, int, bool], list[int]] = defaultdict(list)
        for event, trigger in fired:
            if trigger.action != "check":
                columns = set(self.keys[trigger.key][1].referenced_columns)
                if not event.old.keys() & columns and (event.event == "delete" or event.real & columns):
                    sources[trigger.key, trigger.event, event.row[0], trigger.deferred].append(event.row[1])
        found: _Found = defaultdict(lambda: defaultdict(list))
        for (oid, event_, relation, deferred), places in sources.items():
            table, key, parent = self.keys[oid]
            if not self._readable(table, parent):
                continue
            step = self.made.reach.steps[oid, event_]
            for number in range(0, len(places), _CHUNK):
                rows = self._rows(
                    parent, [(relation, place) for place in places[number : number + _CHUNK]], key.referenced_columns
                )
                source = f"{rows} AS p JOIN {_from(table)} AS c ON {self._joined(table, key, parent)}"
                if key.period:
                    self._period(step, source, relation)
                elif step.place in self.alone:
                    self._count(step, source, level, deferred)
                else:
                    left = self.most - self.carried + 1
                    answer = self.fetch(f"SELECT p.ctid, c.tableoid, c.ctid FROM {source} LIMIT {left}")
                    self.carried += len(answer)
                    if self.carried > self.most:
                        raise _TooManyError
                    for mine, *child in answer:
                        found[step.place][relation, _place(mine)].append(_row(*child))
        return found

    def _count(self, step: Step, source: str, level: int, deferred: bool) -> None:
        """What happens to rows that nothing else reaches, and that nothing follows from."""
        table, values = step.table, dict(step.sets)
        bad, doubts = self._breaking(table, values)
        failing = f"count(*) FILTER (WHERE {self._fails(table, bad, values, 'c')})" if bad else "0"
        rows, broken = (
            int(text or 0) for text in self.fetch(f"SELECT pg_catalog.count(*), {failing} FROM {source}")[0]
        )
        if not rows:
            return
        if step.refuses:
            self._refuse(step, rows, deferred)
        elif step.deletes:
            self.counted[self._top(table.oid)] += rows
            self._tally(step, rows, level)
        elif not self._impossible(step, values, rows):
            self._doubt(*doubts)
            if broken:
                self._fail(step, "23514", f"a CHECK of {table.sql} forbids it", broken)
            for column in values:
                self.counted_changed[self._top(table.oid)][column, "null"] += rows
            self._tally(step, rows, level)

    def _is_alone(self, step: Step) -> bool:
        """Whether its rows need not be kept in mind: they are reached on no other way, and nothing follows from them."""
        reach, top = self.made.reach, root(self.catalog, step.table).oid
        touched = top in reach.deleted or top in reach.changed
        if step.event != "delete" or step.key.period:
            return False
        if step.refuses:
            return not touched
        ways = [other for other in reach.steps.values() if root(self.catalog, other.table).oid == top]
        if len(ways) > 1 or any(top == root(self.catalog, table).oid for table in self.catalog.heirs(self.made.table)):
            return False
        after = [other for other in reach.steps.values() if root(self.catalog, other.parent).oid == top]
        if step.deletes:
            return not after
        columns = {name for name, _ in step.sets}
        if after or any(value != NULL for _, value in step.sets) or len(columns) < len(step.key.columns):
            return False
        others = [
            key
            for key in self._keys_of(step.table)
            if key.oid != step.key.oid and (columns & set(key.columns) or _in_parts(key))
        ]
        return not others and not self._uniques(step.table, dict(step.sets)) and not self._moves(step.table, columns)

    # --- what happens -------------------------------------------------------------------------------------------------

    def _act(
        self,
        event: _Event,
        trigger: _Trigger,
        found: _Found,
        level: int,
    ) -> None:
        """Fires a trigger of the referenced side."""
        table, key, _ = self.keys[trigger.key]
        if trigger.event == "update" and not event.real & set(key.referenced_columns):
            return
        step = self.made.reach.steps.get((trigger.key, trigger.event))
        if step is None or step.place in self.alone or key.period:
            return
        pointing = self._pointing(event, key, found[step.place])
        if not pointing:
            return
        if step.refuses:
            if step.action == "a" and self._replaced(event, key, pointing):
                return
            self._refuse(step, len(pointing), trigger.deferred)
        elif step.deletes:
            for row in pointing:
                self.gone[row[0]].add(row[1])
                self.events.append(_Event(row, "delete", self.changed.get(row, {})))
            self._tally(step, len(pointing), level)
        else:
            values = dict(sets(self.catalog, table, key, step.event, event.new))
            self._update(step, pointing, values, level)
            if step.action == "d" and (left := self._pointing(event, key, {})):
                if self.catalog.server.major < 15 and step.parent.kind == "p":  # both were seen, on 13 and 14
                    self._doubt(f"whether {ident(key.name)} refuses the default that is the key which goes: {EARLY}")
                else:
                    self._refuse(step, len(left), deferred=False)

    def _pointing(self, event: _Event, key: ForeignKey, found: dict[Row, list[Row]]) -> list[Row]:
        """The rows that point to what the event's row was, as they are by now; in the order in which they lie."""
        old = {name: event.old[name] for name in key.referenced_columns if name in event.old}
        if NULL in old.values():
            return []
        mine = set(key.columns)
        if old:  # it was changed before: ask for what it was changed to
            rows = self._matching(key, None, {}, [event.row], old)
            changed: set[Row] = set()
            for state, some in self._states(self._top(key.table), mine).items():
                changed.update(child for child, _ in self._matching(key, some, dict(state), [event.row], old))
            snapshot = {child for child, _ in rows}
        else:
            snapshot, changed = set(found.get(event.row, ())), self.pointing[key.oid][event.row]
        current = {row for row in snapshot if not self.changed.get(row, {}).keys() & mine} | changed
        return sorted(row for row in current if row[1] not in self.gone[row[0]])

    def _replaced(self, event: _Event, key: ForeignKey, pointing: list[Row]) -> bool:
        """Whether another row has taken the key meanwhile, so that NO ACTION has nothing to say."""
        for state, rows in self._states(self._top(key.referenced), set(key.referenced_columns)).items():
            others = [row for row in rows if row != event.row]
            if others and self._matching(key, pointing, {}, others, dict(state)):
                return True
        return False

    def _states(self, top: int, columns: set[str]) -> dict[tuple[tuple[str, str], ...], list[Row]]:
        """Rows of a table that are changed in these columns, and stay, by what was put there; those with NULL left out."""
        found: dict[tuple[tuple[str, str], ...], list[Row]] = defaultdict(list)
        for row, values in self.changed.items():
            state = {name: value for name, value in values.items() if name in columns}
            if state and NULL not in state.values() and row[1] not in self.gone[row[0]] and self._top(row[0]) == top:
                found[tuple(sorted(state.items()))].append(row)
        return found

    def _update(self, step: Step, rows: list[Row], values: dict[str, str], level: int) -> None:
        table = step.table
        if not values or self._impossible(step, values, len(rows)):
            return
        known = self._known(table, values)
        if not known:
            return
        bad, doubts = self._breaking(table, values)
        self._doubt(*doubts)
        following: list[_Event] = []
        groups: dict[tuple[tuple[str, str], ...], list[Row]] = defaultdict(list)
        for row in rows:
            groups[tuple(sorted(self.changed.get(row, {}).items()))].append(row)
        for state, some in groups.items():
            old = dict(state)
            new = {**old, **values}
            if bad:
                failing = self._ask_failing(table, bad, some, new)
                if failing:
                    self._fail(step, "23514", f"a CHECK of {table.sql} forbids it", failing)
                    continue
            if any(self._conflicts(table, index, some, new) for index in self._uniques(table, values)):
                self._fail(step, "23505", f"a unique key of {table.sql} admits it once only", len(some))
                continue
            really = self._really(table, some, old, values)
            for row in some:
                real = really[row]
                self.changed[row] = {**old, **{name: value for name, value in values.items() if name in real}}
                self.versions[row] = self.versions.get(row, 0) + 1
                following.append(_Event(row, "update", old, self.changed[row], real, self.versions[row]))
                self.carried += 1
            self._repoint(table, some, values)
        self.events += sorted(following, key=lambda event: event.row)
        self._tally(step, len(following), level)

    def _repoint(self, table: Table, rows: list[Row], values: Values) -> None:
        """Where keys of changed rows point by now."""
        for key in self._keys_of(table):
            mine = set(key.columns)
            if not mine & values.keys():
                continue
            moved = set(rows)
            for pointed in self.pointing[key.oid].values():
                pointed -= moved
            for state, some in self._grouped(rows, mine).items():
                if NULL not in dict(state).values():
                    for child, parent in self._parents(key, some, dict(state)):
                        self.pointing[key.oid][parent].add(child)

    def _parents(self, key: ForeignKey, rows: list[Row], state: Values) -> Iterable[tuple[Row, Row]]:
        """The rows of the snapshot that changed rows point to. Where all columns were set, all rows point to the same."""
        if not state.keys() >= set(key.columns):
            return self._matching(key, rows, state, None, {})
        place = key.oid, tuple(sorted(state.items()))
        if place not in self.same:
            self.same[place] = [parent for _, parent in self._matching(key, rows[:1], state, None, {})]
        return product(rows, self.same[place])

    def _grouped(self, rows: Iterable[Row], columns: set[str]) -> dict[tuple[tuple[str, str], ...], list[Row]]:
        found: dict[tuple[tuple[str, str], ...], list[Row]] = defaultdict(list)
        for row in rows:
            state = {name: value for name, value in self.changed.get(row, {}).items() if name in columns}
            found[tuple(sorted(state.items()))].append(row)
        return found

    def _check(self, event: _Event, trigger: _Trigger) -> None:
        """Fires the trigger of the referencing side: a changed row needs its parent, unless it has changed again or is gone
        (source: ri_triggers.c, RI_FKey_fk_upd_check_required, RI_FKey_check)."""
        row = event.row
        table, key, parent = self.keys[trigger.key]
        mine = set(key.columns)
        if row[1] in self.gone[row[0]] or self.versions.get(row) != event.version:
            return
        state = {name: value for name, value in event.new.items() if name in mine}
        nulls = {name for name, value in state.items() if value == NULL}
        if nulls and (key.match == "s" or nulls == mine):
            return
        if not nulls and event.version == 1 and not mine & event.real and not _in_parts(key):
            return
        step = next((one for one in self.made.reach.steps.values() if one.key.oid == key.oid), None)
        step = step or Step(table, key, parent, "update", "a")
        if not self._readable(table, parent):
            return
        none, some = "f", "t" if nulls else "f"
        if not state.keys() >= mine:
            columns = [f"c.{ident(name)} IS NULL" for name in key.columns]
            rows = self._rows(table, [row], key.columns, state)
            none, some = self.fetch(f"SELECT {' AND '.join(columns)}, {' OR '.join(columns)} FROM {rows} AS c")[0]  # type: ignore[assignment]
        if none == "t" or (some == "t" and key.match == "s"):
            return
        if some == "t":
            self._fail(
                step, "23503", f"MATCH FULL of {ident(key.name)} forbids NULL in a part of it", 1, trigger.deferred
            )
            return
        if event.version == 1 and not mine & event.real:
            return
        theirs = set(key.referenced_columns)
        for _, other in self._parents(key, [row], state):
            if other[1] not in self.gone[other[0]] and not self.changed.get(other, {}).keys() & theirs:
                return
        for changed, others in self._states(self._top(key.referenced), theirs).items():
            if self._matching(key, [row], state, others, dict(changed)):
                return
        self._fail(
            step, "23503", f"{parent.sql} has no row for what {ident(key.name)} points to then", 1, trigger.deferred
        )

    # --- what is in the way -------------------------------------------------------------------------------------------

    def _impossible(self, step: Step, values: Values, rows: int) -> bool:
        """Whether NULL is refused whatever the row says; told as a refusal."""
        table = step.table
        for name, value in values.items():
            column = table.by_name[name]
            kind = self.catalog.types.get(column.type_oid)  # none: a composite type
            said = f"{table.sql}.{ident(name)}"
            if value == NULL and (column.not_null or column.domain_not_null):
                domain = f" of the domain {column.type}, which" if not column.not_null else ""
                self._fail(step, "23502", f"{said} is{domain} NOT NULL", rows)
                return True
            for check in kind.checks if kind is not None else ():
                if not countable([check.expression]) or not self._known(table, {name: value}):
                    self._doubt(f"the CHECK of the domain of {said} is not evaluated: {check.expression}")
                elif self._domain_refuses(table, name, check.expression or "", value):
                    self._fail(step, "23514", f"the CHECK of the domain of {said} forbids {value}", rows)
                    return True
        if self._moves(table, set(values)):
            self._doubt(f"the action of {ident(step.key.name)} moves rows of {table.sql} to another partition")
        return False

    def _domain_refuses(self, table: Table, name: str, expression: str, value: str) -> bool:
        parts, at = [], 0
        for token in Scanner(expression).tokens:
            if token.says("value"):
                parts += [expression[at : token.start], self._cast(table, name, value)]
                at = token.end
        return self.fetch(f"SELECT ({''.join(parts)}{expression[at:]}) IS FALSE")[0][0] == "t"

    def _moves(self, table: Table, columns: set[str]) -> bool:
        """Whether rows may have to move to another partition."""
        names: set[str | None] = set()
        for member in self.catalog.family(root(self.catalog, table)):
            names |= self.partition_keys.get(member.oid, set())
        return None in names or bool(names & columns)

    def _known(self, table: Table, values: Values) -> bool:
        """Whether every value can be told now: a constant, or what built-in functions make of constants."""
        for name, value in values.items():
            kind = self.catalog.types.get(table.by_name[name].base_oid)
            plain = kind is not None and (kind.schema == "pg_catalog" or kind.kind == "e")
            constant = plain and re.fullmatch(r"'(?:[^']|'')*'::[\w .\"()\[\]]+", value)
            if not (constant or countable([value])):
                self._doubt(f"the default of {table.sql}.{ident(name)} is made when it is set: {value}")
                return False
        return True

    def _breaking(self, table: Table, values: Values) -> tuple[list[Constraint], list[str]]:
        """The CHECKs that may become false: those that name a changed column, and those that rows may break already. And
        what is to be said of those that cannot be evaluated."""
        found, doubts = [], []
        for check in table.constraints if values else ():
            if check.type != "c" or not check.enforced:
                continue
            if check.validated and check.columns and not set(check.columns) & values.keys():
                continue
            if countable([check.expression]) and not any(table.by_name[name].generated for name in check.columns):
                found.append(check)
            else:
                doubts.append(f"the CHECK {ident(check.name)} of {table.sql} is not evaluated: {check.expression}")
        return found, doubts

    def _fails(self, table: Table, checks: list[Constraint], values: Values, alias: str) -> str:
        """The condition under which the row called `alias` breaks one of the CHECKs once `values` are set."""
        columns = ", ".join(
            f"{self._cast(table, column.name, values[column.name])} AS {ident(column.name)}"
            if column.name in values
            else f"{alias}.{ident(column.name)}"
            for column in table.columns
        )
        broken = " OR ".join(f"({check.expression}) IS FALSE" for check in checks)
        return f"(SELECT {broken} FROM (SELECT {columns}) AS {ident(table.name)})"

    def _ask_failing(self, table: Table, checks: list[Constraint], rows: list[Row], values: Values) -> int:
        total = 0
        names = tuple(column.name for column in table.columns)
        for some in _chunks(rows):
            source = self._rows(table, some, names)
            text = f"SELECT pg_catalog.count(*) FROM {source} AS c WHERE {self._fails(table, checks, values, 'c')}"
            total += int(self.fetch(text)[0][0] or 0)
        return total

    def _uniques(self, table: Table, values: Values) -> list[Index]:
        """The unique indexes that the change may break."""
        found = []
        for index in table.indexes:
            concerned = set(index.columns or ()) & values.keys()
            if not index.enforces:
                continue
            if _plain(index):
                if concerned and (index.nulls_not_distinct or all(values[name] != NULL for name in concerned)):
                    found.append(index)
            elif any(_names(text, name) for text in _texts(index) for name in values):
                found.append(index)
        return found

    def _conflicts(self, table: Table, index: Index, rows: list[Row], new: Values) -> bool:
        """Whether one of the rows, changed, has the key of another row as it is by now."""
        if not _plain(index):
            self._doubt(f"whether the unique index {ident(index.name)} of {table.sql} admits the change")
            return False
        columns = index.columns or ()
        state = {name: value for name, value in new.items() if name in columns}
        if NULL in state.values() and not index.nulls_not_distinct:
            return False

        def equal(name: str, operator: tuple[str, str] | None) -> str:
            sign = f"OPERATOR({ident((operator or ('pg_catalog', '='))[0])}.{(operator or ('', '='))[1]})"
            one, other = f"c.{ident(name)}", f"p.{ident(name)}"
            same = f"{one} {sign} {other}"
            return f"({same} OR ({one} IS NULL AND {other} IS NULL))" if index.nulls_not_distinct else same

        on = " AND ".join(equal(key.column or "", key.equality) for key in index.keys)
        own = set(rows)
        for some in _chunks(rows):
            mine = self._rows(table, some, columns, state)
            text = f"SELECT p.tableoid, p.ctid FROM {mine} AS c JOIN {_from(table)} AS p ON {on}"
            for found in self.fetch(text):
                row = _row(*found)
                if (
                    row not in own
                    and row[1] not in self.gone[row[0]]
                    and not self.changed.get(row, {}).keys() & set(columns)
                ):
                    return True
            changed = [row for row in self.changed if self._top(row[0]) == self._top(table.oid)]
            others = self._grouped(
                (row for row in changed if row[1] not in self.gone[row[0]] and row not in own), set(columns)
            )
            others[tuple(sorted(state.items()))] += [
                row for row in rows if row not in others[tuple(sorted(state.items()))]
            ]
            for their_state, them in others.items():
                if not their_state:
                    continue
                theirs = self._rows(table, them, columns, dict(their_state))
                text = f"SELECT 1 FROM {mine} AS c JOIN {theirs} AS p ON {on} WHERE c.tableoid <> p.tableoid OR c.ctid <> p.ctid LIMIT 1"
                if self.fetch(text):
                    return True
        return False

    def _really(self, table: Table, rows: list[Row], old: Values, values: Values) -> dict[Row, frozenset[str]]:
        """The columns of each row whose value is another one afterwards."""
        every = frozenset(values)
        found = dict.fromkeys(rows, every)
        names = [name for name, value in values.items() if value != NULL]
        if not names:
            return found
        same = ", ".join(
            f"pg_catalog.record_image_eq(ROW({self._cast(table, name, f'c.{ident(name)}')}), ROW({self._cast(table, name, values[name])}))"
            for name in names
        )
        for some in _chunks(rows):
            text = f"SELECT c.tableoid, c.ctid, {same} FROM {self._rows(table, some, names, old)} AS c"
            for relation, place, *equal in self.fetch(text):
                kept = {name for name, said in zip(names, equal, strict=True) if said == "t"}
                found[_row(relation, place)] = every - kept
        return found

    # --- SQL ----------------------------------------------------------------------------------------------------------

    def _rows(self, table: Table, rows: list[Row], columns: Iterable[str], state: Values | None = None) -> str:
        """Rows of a table, with what their columns are set to: a subquery for FROM."""
        state = state or {}
        names = ", ".join(
            f"{self._cast(table, name, state[name])} AS {ident(name)}" if name in state else f"r.{ident(name)}"
            for name in columns
        )
        by_relation: dict[int, list[int]] = defaultdict(list)
        for relation, place in rows:
            by_relation[relation].append(place)
        conditions = " OR ".join(
            f"(r.tableoid = {relation} AND r.ctid = ANY ('{{{','.join(map(_tid, places))}}}'::pg_catalog.tid[]))"
            for relation, places in by_relation.items()
        )
        return f"(SELECT r.tableoid, r.ctid, {names} FROM {_from(table)} AS r WHERE {conditions})"

    def _cast(self, table: Table, name: str, value: str) -> str:
        """A value as the column holds it, but of the type under its domain: a cast to a domain runs its CHECKs."""
        column = table.by_name[name]
        if column.base_oid == column.type_oid:
            return f"CAST({value} AS {column.type})"
        kind = self.catalog.types[column.base_oid]
        return f"CAST({value} AS {qualified(kind.schema, kind.name)})"

    def _joined(self, table: Table, key: ForeignKey, parent: Table) -> str:
        return " AND ".join(Relation.of_key(table, key, parent).joins("c", "p"))

    def _matching(
        self, key: ForeignKey, children: list[Row] | None, state: Values, parents: list[Row] | None, their: Values
    ) -> list[tuple[Row, Row]]:
        """Pairs of rows that match under the key, some of them as they are changed; None stands for all rows as they were."""
        table, _, parent = self.keys[key.oid][0], key, self.keys[key.oid][2]
        if not self._readable(table, parent):
            return []
        pairs: list[tuple[Row, Row]] = []
        for some in _chunks(children) if children is not None else [None]:
            child = self._rows(table, some, key.columns, state) if some is not None else _from(table)
            other = self._rows(parent, parents, key.referenced_columns, their) if parents is not None else _from(parent)
            text = (
                f"SELECT c.tableoid, c.ctid, p.tableoid, p.ctid FROM {child} AS c JOIN {other} AS p"
                f" ON {self._joined(table, key, parent)} LIMIT {self.most + 1}"
            )
            answer = self.fetch(text)
            if len(answer) > self.most:
                raise _TooManyError
            pairs += [(_row(*found[:2]), _row(*found[2:])) for found in answer]
        return pairs

    def _period(self, step: Step, source: str, relation: int) -> None:
        if self.fetch(f"SELECT 1 FROM {source} LIMIT 1"):
            self._doubt(f"whether other rows cover the periods of {step.table.sql} ({ident(step.key.name)})")

    # --- what is told -------------------------------------------------------------------------------------------------

    def _keys_of(self, table: Table) -> list[ForeignKey]:
        """The foreign keys that hold for rows of a table, its partitions or what it is a partition of."""
        return [key for member in self.catalog.family(root(self.catalog, table)) for key in member.foreign_keys]

    def _readable(self, *tables: Table) -> bool:
        for table in tables:
            held = hindrance(Matching(table, "true"), self.catalog)
            if held is not None:
                self._doubt(f"{held[1]}: its rows were not looked at")
                return False
        return True

    def _refuse(self, step: Step, rows: int, deferred: bool) -> None:
        """A row is still pointed to. The SQLSTATE of RESTRICT is its own from 18 on."""
        restrict = step.action == "r" and self.catalog.server.major >= 18
        self._fail(step, "23001" if restrict else "23503", "", rows, deferred)

    def _fail(self, step: Step, sqlstate: str, why: str, rows: int, deferred: bool = False) -> None:
        place = (step.place, sqlstate, why, deferred)
        before = self.refusals.get(place)
        self.refusals[place] = Refused(step, sqlstate, why, rows + (before.rows if before else 0), deferred)

    def _doubt(self, *why: str) -> None:
        self.unsure.update(dict.fromkeys(why))

    def _tally(self, step: Step, rows: int, level: int) -> None:
        self.made.tallies.setdefault(step.place, Tally()).add(rows, level)


def _from(table: Table) -> str:
    return f"{'ONLY ' if table.only else ''}{table.sql}"


def _in_parts(key: ForeignKey) -> bool:
    """Whether rows may be there that are NULL in a part of it and that it refuses whatever changes in them."""
    return key.match == "f" and len(key.columns) > 1


def _plain(index: Index) -> bool:
    """Whether it is over columns, of all rows, and looks at once."""
    return index.columns is not None and index.predicate is None and index.immediate


def _texts(index: Index) -> Iterator[str]:
    yield index.predicate or ""
    yield from (ident(key.column) if key.column is not None else key.expression for key in index.keys)


def _names(text: str, name: str) -> bool:
    return any(token.names and token.value == name for token in Scanner(text).tokens)


def _chunks(rows: list[Row]) -> Iterator[list[Row]]:
    for number in range(0, len(rows), _CHUNK):
        yield rows[number : number + _CHUNK]


def _place(text: str | None) -> int:
    """`(block,offset)` as one number that sorts as the rows lie."""
    block, _, offset = (text or "").strip("()").partition(",")
    return int(block) << 16 | int(offset)


def _row(relation: str | None, place: str | None) -> Row:
    return int(relation or 0), _place(place)


def _tid(place: int) -> str:
    return f'"({place >> 16},{place & 0xFFFF})"'
