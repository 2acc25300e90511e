"""A foreign key is declared, and does not hold.

A key that is NOT VALID never looked at the rows that were there before it. One that is NOT ENFORCED (18 and later) looks
at nothing. And a key whose internal triggers are disabled (ALTER TABLE ... DISABLE TRIGGER ALL, left behind by a load or
a restore) lets changes of one side through while \\d shows nothing: on the referencing side new orphans go in, on the
referenced side parents go away under their children, and ON DELETE CASCADE or SET NULL does not happen. The server calls
such a key valid, and goes on calling it so after the triggers are back. An error when rows break it today; a warning
when nothing but luck prevents it.

Not flagged: keys that are enforced, validated, and whose triggers fire; triggers set to ENABLE ALWAYS; a key that is
being validated right now (it is listed as not checked). A key of a partitioned table is one key, and the triggers of all
its partitions count. What the rows break is counted here; the rows themselves are another finding.

Fix: VALIDATE; or enable the triggers, or make the key anew, which also checks every row; or ENFORCED. Where rows break
the key, they have to be cleaned first.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.model import Catalog, ForeignKey, Reference, RiTrigger, Table
from auditor.check import Ask, Clean, Depth, Evidence, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.probe import Answer, Unmatched
from auditor.remedies import orphan_fixes
from auditor.text import ident, listed, plural

severity = Severity.ERROR
OVERLAP = (
    "Of a PERIOD key the server then takes any parent that overlaps for one that covers (18.4):"
    " only a key made anew has every row checked."
)
depths = (Depth.CATALOG, Depth.DATA)


def check(catalog: Catalog) -> Iterator[Result]:
    for table, key, parent in catalog.judged_keys:
        subject = table.object("constraint", key.name, key.columns)
        if key.vouched:
            yield Clean(subject)
        elif key.enforced and key.fires and being_validated(catalog, table, key):
            yield NotChecked(subject, "lock", f"a validation of {ident(key.name)} seems to be in progress")
        else:
            judge = partial(judged, catalog=catalog, subject=subject, table=table, key=key, parent=parent)
            yield Ask(subject, Unmatched.of_key(table, key, parent), judge, unread=judge(None))


def being_validated(catalog: Catalog, table: Table, key: ForeignKey) -> bool:
    if table.oid not in catalog.validating:
        return False
    names = catalog.validating[table.oid]
    return names is None or key.name in names


def judged(
    answer: Answer | None, catalog: Catalog, subject: Object, table: Table, key: ForeignKey, parent: Table
) -> Finding:
    states, sentences = told(catalog, table, key, parent)
    broken = answer.count if answer is not None else 0
    title = f"The foreign key {ident(key.name)} of {table.sql} is {' and '.join(states)}"
    evidence = None
    if answer is not None:
        read = answer.evidence
        evidence = Evidence(
            None,
            rows_examined=answer.examined,
            snapshot=read.snapshot,
            seconds=read.seconds,
            strategy=read.strategy,
        )
        if broken:
            title += f", and {plural(broken, 'row')} {'breaks' if broken == 1 else 'break'} it"
            if key.period:
                does = f"{'is' if broken == 1 else 'are'} not covered by rows of {parent.sql}"
            else:
                does = f"{'points' if broken == 1 else 'point'} to rows of {parent.sql} that do not exist"
            sentences.append(f"{broken:,} of {plural(answer.examined, 'row')} {does}.")
        else:
            sentences.append(f"No row breaks it today ({plural(answer.examined, 'row')} read).")
    return Finding(
        Severity.ERROR if broken else Severity.WARNING,
        subject,
        title=title,
        message=" ".join(sentences),
        related=(parent.object(columns=key.referenced_columns),),
        evidence=evidence,
        fixes=fixes(answer, catalog, table, key, parent),
    )


def told(catalog: Catalog, table: Table, key: ForeignKey, parent: Table) -> tuple[list[str], list[str]]:
    """What is wrong with the key, as parts of a title and as sentences."""
    states, sentences = [], []
    if not key.enforced:
        states.append("NOT ENFORCED")
        sentences.append("It checks nothing: neither the rows that are there nor those that come.")
    elif not key.validated:
        states.append("NOT VALID")
        sentences.append("Rows that were there before it were never checked; new ones are.")
    sides = []
    if off := off_tables(catalog, key.referencing_triggers, table):
        sides.append(f"the referencing side ({off})")
        sentences.append(f"Its triggers are off on {off}: what INSERT and UPDATE write there is not checked.")
    if off := off_tables(catalog, key.referenced_triggers, parent):
        sides.append(f"the referenced side ({off})")
        action = f", and ON DELETE {ddl.ACTIONS[key.on_delete]} does not happen" if key.on_delete in "cnd" else ""
        sentences.append(
            f"Its triggers are off on {off}: DELETE and UPDATE there leave orphans without an error{action}."
        )
    if sides:
        states.append(f"off on {' and '.join(sides)}")
        replica = [t for t in (*key.referencing_triggers, *key.referenced_triggers) if t.enabled == "R"]
        if replica:
            sentences.append(f"{plural(len(replica), 'trigger')} of it fire under the replica role only.")
        if key.validated:
            sentences.append("The server still calls the key valid, and will when they are back.")
    return states, sentences


def off_tables(catalog: Catalog, triggers: tuple[RiTrigger, ...], table: Table) -> str:
    """The tables on which triggers do not fire, by name; empty when all do."""
    tables = {trigger.table for trigger in triggers if not trigger.fires}
    names = sorted(catalog.tables[oid].sql if oid in catalog.tables else table.sql for oid in tables)
    return listed(names if len(names) < 4 else [*names[:2], f"{len(names) - 2} more"])


def fixes(answer: Answer | None, catalog: Catalog, table: Table, key: ForeignKey, parent: Table) -> tuple[Fix, ...]:
    if answer is not None and answer.count:
        relation = Reference(table, key.columns, parent, key.referenced_columns, configured=True)
        return orphan_fixes(answer, relation, key)
    unread = ("It fails with 23503 when rows break the key: nobody has read them yet.",) if answer is None else ()
    # What the server checks when a key that is there already is to hold.
    partly = (OVERLAP,) if key.period else unread
    as_it_was = ddl.replace_foreign_key(table, key, parent)
    if not key.enforced:
        alter = f"ALTER TABLE {table.sql} ALTER CONSTRAINT {ident(key.name)}"
        locks = "ACCESS EXCLUSIVE on the table while all its rows are read"
        enforce = Fix("Enforce the key", (f"{alter} ENFORCED;",), (f"{alter} NOT ENFORCED;",), locks, partly)
        return recommended(anew(table, key, parent, as_it_was, unread), enforce)
    if not key.fires:
        back = enabled(catalog, table, key, answer)
        made = anew(table, key, parent, (), unread)
        return recommended(made, back) if answer is None else recommended(back, made)
    validate = Fix("Validate the key", (ddl.validate(table, key.name),), as_it_was, ddl.LOCK_VALIDATE, partly)
    if not key.period:
        return recommended(validate)
    made = anew(table, key, parent, as_it_was, unread)
    return recommended(made, validate) if answer is None else recommended(validate, made)


def recommended(first: Fix, *others: Fix) -> tuple[Fix, ...]:
    return (first.recommend(), *others)


def anew(table: Table, key: ForeignKey, parent: Table, back: tuple[str, ...], caveats: tuple[str, ...]) -> Fix:
    whole = not ddl.checked_later(table, key)
    locks = ddl.LOCK_SWAP_WHOLE if whole else f"{ddl.LOCK_SWAP_KEY}; VALIDATE: {ddl.LOCK_VALIDATE}"
    no_way_back = (
        () if back else ("Nothing takes it back: there is no statement that makes a key with its triggers off.",)
    )
    return Fix(
        "Make the key anew: it holds again, and every row is checked",
        ddl.renew_foreign_key(table, key, parent),
        back,
        locks,
        (*caveats, *no_way_back),
    )


def enabled(catalog: Catalog, table: Table, key: ForeignKey, answer: Answer | None) -> Fix:
    off = [t for t in (*key.referencing_triggers, *key.referenced_triggers) if not t.fires]
    known = [(catalog.tables[t.table], t) for t in off if t.table in catalog.tables]
    check_after = "Enabling checks no row: audit the key at depth full afterwards."
    return Fix(
        "Enable its triggers",
        (
            *(ddl.set_trigger(on, trigger.name, "O") for on, trigger in known),
            *(() if key.validated else (ddl.validate(table, key.name),)),
        ),
        tuple(ddl.set_trigger(on, trigger.name, trigger.enabled) for on, trigger in known),
        ddl.LOCK_TRIGGER if key.validated else f"{ddl.LOCK_TRIGGER}; VALIDATE: {ddl.LOCK_VALIDATE}",
        (
            "Only a superuser may: they are triggers of the system.",
            check_after
            if answer is None
            else f"{check_after} This audit read {plural(answer.examined, 'row')}: none breaks it.",
        ),
    )
