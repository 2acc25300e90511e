"""The trigger that keeps a row and its companion together is absent, disabled, or fires for too few events.

From then on every write of one half leaves the other behind: new rows get no companion, revoked ones keep a live one,
deleted ones leave theirs. A trigger that a `[[companion]]` names must be there; one is inferred where the function of a
trigger on the table, or one that it calls, writes to the companion. INSERT must be covered; UPDATE where something has to
agree (`same_state`, or columns of both tables that say deleted, revoked or inactive); DELETE unless a foreign key
cascades. Several triggers may share the events.

Not flagged: UPDATE OF that names the columns which have to agree; statement-level triggers with transition tables, which
see the rows (without them a statement-level trigger sees none); triggers ENABLE ALWAYS; WHEN conditions, which are not
judged; an inferred trigger without DELETE where a foreign key refuses the deletion; pairs that no trigger was ever meant
for. Whether the function does the right thing is not judged.

Fix: enable the trigger, or create one for the events that are not covered; then look for what was missed meanwhile.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditor.catalog.infer import columns_in, handled, idle_functions, states, sync_triggers
from auditor.catalog.model import Catalog, Companion, Function, Table, Trigger
from auditor.check import Clean, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.companion_remedies import create_trigger, enable_trigger, foreign_key, make_row_level
from auditor.text import idents, listed, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG,)
supersedes = ("foundations/trigger-disabled",)

EVENTS = ("insert", "update", "delete")


def check(catalog: Catalog) -> Iterator[Result]:
    for companion in catalog.companions:
        found = list(Pair(catalog, companion).findings())
        yield from found
        if not found:
            yield Clean(companion.table.object("table", companion.name, companion.columns))


@dataclass(frozen=True)
class Pair:
    """A companion relation and the triggers that should keep it together."""

    catalog: Catalog
    companion: Companion

    @property
    def declared(self) -> bool:
        """The configuration names the trigger."""
        return self.companion.trigger is not None

    def findings(self) -> Iterator[Finding]:
        """What is wrong with its triggers; nothing when there are none and none was ever meant."""
        table, other = self.companion.table, self.companion.companion
        writing = sync_triggers(self.catalog, self.companion)
        named = [t for t in table.triggers if t.name == self.companion.trigger]
        if self.declared and not named:
            # A trigger on the other side keeps the pair together from there: only whether it fires is known.
            there = [t for t in other.triggers if t.name == self.companion.trigger]
            yield from (self.off(t, other) for t in there if not t.fires)
            if not there:
                yield self.absent(writing)
            return
        alike = [t for t in table.triggers if t.function in {other.function for other in named}]
        triggers = tuple(dict.fromkeys((*named, *alike, *writing)))
        if not triggers:
            idle = idle_functions(self.catalog, self.companion)
            if idle:
                yield self.unused(idle[0])
            return
        off = [self.off(t, place) for t in triggers for place in self.places(t)]
        yield from off
        yield from self.uncovered(triggers)

    def places(self, trigger: Trigger) -> Iterator[Table]:
        """The table, or those of its partitions, where the trigger does not fire."""
        if not trigger.fires:
            yield self.companion.table
            return
        todo = list(self.companion.table.children)
        while todo:
            partition = self.catalog.tables.get(todo.pop())
            if partition is not None and partition.is_partition:
                todo += partition.children
                if any(
                    t.name == trigger.name and t.function == trigger.function and not t.fires
                    for t in partition.triggers
                ):
                    yield partition

    def finding(
        self, subject: Object, title: str, message: str, fixes: tuple[Fix, ...], *, mild: bool = False
    ) -> Finding:
        """A finding about this pair: an error where the configuration asks for the trigger."""
        table, other = self.companion.table, self.companion.companion
        if not self.declared:
            message += f" Nobody declared the pair: {self.companion.evidence}." if not self.companion.configured else ""
        return Finding(
            severity if self.declared and not mild else Severity.WARNING,
            subject,
            title=title,
            message=message,
            confidence=Confidence.PROVEN if self.declared else Confidence.SUSPECTED,
            related=(
                *((table.object(),) if subject.table != table.name or subject.schema != table.schema else ()),
                other.object(columns=self.companion.companion_columns),
            ),
            fixes=fixes,
        )

    def off(self, trigger: Trigger, place: Table) -> Finding:
        """The trigger does not fire on this table, or this partition."""
        table, other = self.companion.table.sql, self.companion.companion.sql
        state = next(t.enabled for t in place.triggers if t.name == trigger.name)
        how = "disabled" if state == "D" else "enabled for replicas only"
        found = self.finding(
            place.object("trigger", trigger.name),
            f"The trigger {idents([trigger.name])} of {place.sql}, which keeps {other} in step, is {how}",
            f"Writes to {place.sql} no longer reach {other}: new rows get no companion, changed and deleted ones leave"
            f" theirs as it was.{' It fires in sessions with session_replication_role = replica only.' if state == 'R' else ''}"
            f" What was written meanwhile has to be found and repaired: enabling it repairs nothing in {table}.",
            (enable_trigger(trigger, place, state),),
        )
        return found.but(defect=("trigger-disabled", place.oid, trigger.name))

    def absent(self, writing: tuple[Trigger, ...]) -> Finding:
        """The table has no trigger of the name that the configuration gives."""
        table, other = self.companion.table, self.companion.companion
        name = self.companion.trigger or ""
        firing = [t for t in writing if t.fires]
        events = [e.upper() for e in EVENTS if any(e in t.events for t in firing)]
        message = f"The configuration says that {idents([name])} keeps {other.sql} in step with {table.sql}."
        if firing:
            message += (
                f" Only {listed([idents([t.name]) for t in firing])} of {table.sql} writes to it, for {listed(events)}:"
                " if that is its new name, correct the configuration."
            )
        else:
            message += f" No trigger of {table.sql} writes to {other.sql}: every write leaves the other half behind."
        idle = idle_functions(self.catalog, self.companion)
        makes = self.create(self.needed(), idle[0] if idle else None, name)
        return self.finding(
            table.object("trigger", name),
            f"{table.sql} has no trigger {idents([name])}, which should keep {other.sql} in step",
            message,
            makes,
        )

    def unused(self, function: Function) -> Finding:
        """A trigger function is there that would keep the pair together, and no trigger calls it."""
        table, other = self.companion.table, self.companion.companion
        called = qualified(function.schema, function.name)
        return self.finding(
            Object("function", function.schema, name=f"{function.name}({function.arguments})"),
            f"No trigger calls {called}(), which would keep {other.sql} in step with {table.sql}",
            f"The trigger function writes to {other.sql} from the columns of a row like those of {table.sql}, and belongs to"
            " no trigger: either its trigger was dropped, or it is left over.",
            self.create(self.needed([function.oid]), function, None),
        )

    def create(self, events: set[str], function: Function | None, name: str | None) -> tuple[Fix, ...]:
        """CREATE TRIGGER with the function there is, or with a new one."""
        made = [create_trigger(self.catalog, self.companion, events, name=name, function=function)]
        if function is not None:
            made.append(create_trigger(self.catalog, self.companion, events, name=name))
        return tuple(fix if number else fix.recommend() for number, fix in enumerate(made))

    def needed(self, functions: Iterable[int] = ()) -> set[str]:
        """The events after which the companion has to follow; without a declared trigger, those its functions handle."""
        key = foreign_key(self.companion)
        events = {"insert"}
        if states(self.catalog, self.companion):
            events.add("update")
        if key is None or key.on_delete in "nd" or (self.declared and key.on_delete != "c"):
            events.add("delete")
        return events if self.declared else events & handled(self.catalog, self.companion, functions)

    def uncovered(self, triggers: tuple[Trigger, ...]) -> Iterator[Finding]:
        """Events that no trigger covers, enabled or not (a disabled one has its own finding)."""
        table, other = self.companion.table, self.companion.companion
        needed = self.needed(t.function for t in triggers)
        seeing = [t for t in triggers if t.row or sees_rows(t)]
        covered = {event for t in seeing for event in t.events}
        blind = [t for t in triggers if t not in seeing and set(t.events) & (needed - covered)]
        for trigger in blind:
            yield self.finding(
                table.object("trigger", trigger.name),
                f"The trigger {idents([trigger.name])} of {table.sql} fires once per statement and sees no rows:"
                f" it cannot keep {other.sql} in step",
                "A statement-level trigger without transition tables (REFERENCING NEW TABLE AS ...) does not know which rows"
                f" were written. Unless its function compares both tables whole each time, {other.sql} stays behind.",
                tuple(filter(None, [make_row_level(self.catalog, table, trigger)])),
                mild=True,
            )
        missing = needed - covered - {event for t in blind for event in t.events}
        model = next((t for t in triggers if t.name == self.companion.trigger), triggers[0])
        if missing:
            yield self.few(model, missing, covered)
        elif "update" in needed:
            watched = self.watched()
            updating = [t for t in seeing if "update" in t.events]
            if updating and all(t.columns for t in updating):
                unwatched = [c for c in watched if not any(c in t.columns for t in updating)]
                if unwatched:
                    yield self.narrow(updating[0], tuple(unwatched))

    def watched(self) -> tuple[str, ...]:
        """The table's columns whose change the companion has to follow."""
        names = {n for own, _ in states(self.catalog, self.companion) for n in columns_in(own, self.companion.table)}
        return tuple(column.name for column in self.companion.table.columns if column.name in names)

    def few(self, trigger: Trigger, missing: set[str], covered: set[str]) -> Finding:
        """Some events have no trigger at all."""
        table, other = self.companion.table, self.companion.companion
        key = foreign_key(self.companion)
        lacking = [event.upper() for event in EVENTS if event in missing]
        fires = [event.upper() for event in EVENTS if event in covered]
        does = {
            "insert": "New rows get no companion.",
            "update": f"Changes of {idents(self.watched())} do not reach the companion.",
            "delete": "Deleted rows leave theirs behind."
            if key is None or key.on_delete in "nd"
            else f"Deleting a row fails with SQLSTATE 23503 while it has a row in {other.sql}.",
        }
        refused = missing == {"delete"} and key is not None and key.on_delete in "ar"
        function = self.catalog.functions.get(trigger.function)
        return self.finding(
            table.object("trigger", trigger.name),
            f"The trigger {idents([trigger.name])} of {table.sql}, which keeps {other.sql} in step, does not fire on"
            f" {listed(lacking, 'or')}",
            f"It fires on {listed(fires) if fires else 'none of the events that matter'}."
            f" {' '.join(does[event] for event in EVENTS if event in missing)}",
            (
                create_trigger(
                    self.catalog,
                    self.companion,
                    missing,
                    function=function,
                    name=trigger.name,
                    arguments=not trigger.definition.rstrip().endswith("()"),
                ).recommend(),
            ),
            mild=refused,
        )

    def narrow(self, trigger: Trigger, unwatched: tuple[str, ...]) -> Finding:
        """UPDATE OF leaves out columns that have to agree."""
        table, other = self.companion.table, self.companion.companion
        function = self.catalog.functions.get(trigger.function)
        return self.finding(
            table.object("trigger", trigger.name),
            f"The trigger {idents([trigger.name])} of {table.sql}, which keeps {other.sql} in step, does not fire on"
            f" UPDATE OF {idents(unwatched)}",
            f"It fires on UPDATE OF {idents(trigger.columns)} only: a change of {listed([idents([c]) for c in unwatched], 'or')}"
            f" alone does not reach {other.sql}. (UPDATE OF looks at the columns that the statement names, not at those"
            " whose value changes.)",
            (
                create_trigger(
                    self.catalog,
                    self.companion,
                    {"update"},
                    function=function,
                    name=trigger.name,
                    columns=unwatched,
                    arguments=not trigger.definition.rstrip().endswith("()"),
                ).recommend(),
            ),
        )


def sees_rows(trigger: Trigger) -> bool:
    """Whether a statement-level trigger has transition tables (documentation: CREATE TRIGGER, REFERENCING)."""
    return " REFERENCING " in trigger.definition
