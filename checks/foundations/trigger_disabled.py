"""A trigger is switched off.

Whatever it kept true (a copy in step, an audit trail, a derived column) is no longer kept, and nothing says so: the
statements succeed. Triggers are left off by loads and migrations that ended early (ALTER TABLE ... DISABLE TRIGGER), and a
trigger set to ENABLE REPLICA fires under session_replication_role = replica only, which no ordinary session has.

Not flagged: triggers that fire, ENABLE ALWAYS included; the internal triggers of foreign keys (those are foreign keys that
are not enforced); copies of a partitioned table's trigger on its partitions, where the trigger itself is off: it is counted
once; event triggers.

Fix: ENABLE TRIGGER, after what it missed has been made up for; or DROP TRIGGER, if nobody needs it.
"""

from collections.abc import Iterator

from auditor import ddl
from auditor.catalog.model import Catalog, Table, Trigger
from auditor.check import Clean, Depth, Finding, Fix, Result, Severity
from auditor.text import ident, listed, one_line_sql, plural, qualified

severity = Severity.WARNING
depths = (Depth.CATALOG,)


def check(catalog: Catalog) -> Iterator[Result]:
    off = {t.oid for table in catalog.tables.values() for t in table.triggers if not t.fires}
    for table in catalog.judged_tables:
        for trigger in table.triggers:
            if trigger.fires:
                yield Clean(table.object("trigger", trigger.name))
            elif trigger.parent not in off:
                yield told(catalog, table, trigger)


def told(catalog: Catalog, table: Table, trigger: Trigger) -> Finding:
    state = "disabled" if trigger.enabled == "D" else "set to ENABLE REPLICA: it fires under the replica role only"
    function = catalog.functions.get(trigger.function)
    runs = f" runs {qualified(function.schema, function.name)} and" if function is not None else ""
    events = listed([event.upper() for event in trigger.events], "or")
    return Finding(
        severity,
        table.object("trigger", trigger.name),
        title=f"The trigger {ident(trigger.name)} of {table.sql} is {state}",
        message=f"It{runs} should fire {trigger.timing.upper()} {events} of {table.sql}. These succeed without it, so that what it keeps"
        f" true drifts with every one, and rows written since then stay as they are when it is enabled again.{copies(catalog, trigger)}",
        fixes=fixes(table, trigger),
        defect=("trigger-disabled", table.oid, trigger.name),
    )


def copies(catalog: Catalog, trigger: Trigger) -> str:
    """What is to be said about its copies on partitions."""
    states = [t.fires for table in catalog.tables.values() for t in table.triggers if t.parent == trigger.oid]
    firing = sum(states)
    fires = "fires its" if firing == 1 else "fire their"
    return f" {firing:,} of {plural(len(states), 'partition')} still {fires} copy of it." if firing else ""


def fixes(table: Table, trigger: Trigger) -> tuple[Fix, ...]:
    back = ddl.set_trigger(table, trigger.name, trigger.enabled)
    recursive = "The partitions' copies of it change with it." if table.kind == "p" else ""
    enable = Fix(
        "Enable it",
        (ddl.set_trigger(table, trigger.name, "O"),),
        (back,),
        ddl.LOCK_TRIGGER,
        ("It makes up for nothing that it missed.", *([recursive] if recursive else [])),
        recommended=True,
    )
    if trigger.parent:  # PostgreSQL refuses to drop a partition's copy (2BP01)
        return (enable,)
    drop = Fix(
        "Drop it, if nobody needs it",
        (f"DROP TRIGGER {ident(trigger.name)} ON {table.sql};",),
        (f"{one_line_sql(trigger.definition)};", back),
        ddl.LOCK_ALTER,
        ("Its function stays.",),
    )
    return (enable, drop)
