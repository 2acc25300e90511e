"""A sequence has yet to give out values that its column holds already.

An INSERT that draws such a value fails with SQLSTATE 23505 where a unique key is over the column, and so does the next one,
until the sequence has passed them all; without a unique key two rows get the same number and nothing says so. Rows come to
be ahead of their sequence when they are inserted with values of their own: by a load or a restore that left the sequence
where it was, by replication, which moves no sequence, by hand.

Identity columns are looked at, columns whose DEFAULT is nextval of a sequence and nothing else, whoever owns it, and
columns that own a sequence without a DEFAULT; each of several columns that share one. Values count that the sequence will
come to: in its direction, in its steps, up to its end.

Not flagged: sequences that CYCLE, which come back on purpose; rows inserted while the audit runs (the sequence is read after
the rows); values beyond the sequence's end, or between its steps; columns that are no integers; sequences that nothing
draws from.

Fix: setval to the furthest value that is taken. Where that would use up the sequence, give these rows other numbers.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.model import Catalog, Sequence
from auditor.catalog.sequences import RANGES, Drawing, drawing
from auditor.check import Ask, Depth, Finding, Fix, NotChecked, Result, Severity
from auditor.probe import Ahead, Answer
from auditor.text import ident, plural

severity = Severity.ERROR
depths = (Depth.DATA,)

# Values to be drawn before the first that is taken: with more, the rows' numbers are likely to be of another kind.
FAR = 1_000_000


def check(catalog: Catalog) -> Iterator[Result]:
    for sequence in catalog.sequences.values():
        columns = () if sequence.cycles else drawing(catalog, sequence)
        for one in columns:
            subject = one.table.object("sequence", sequence.name, (one.column.name,))
            if not sequence.readable:
                yield NotChecked(subject, "permission", f"no SELECT on the sequence {sequence.sql}", Depth.DATA)
                continue
            judge = partial(behind, sequence=sequence, one=one, columns=columns)
            yield Ask(subject, Ahead(one.table, one.column.name, sequence), judge)


def behind(answer: Answer, sequence: Sequence, one: Drawing, columns: tuple[Drawing, ...]) -> Finding | None:
    if not answer.count:
        return None
    known = dict(answer.values)
    table, name = one.table, ident(one.column.name)
    unique = any(i.enforces and i.predicate is None and i.columns == (one.column.name,) for i in table.indexes)
    before = abs(known["first"] - known["next"]) // abs(sequence.increment)
    when = f"after {plural(before, 'more value')}" if before else "at once"
    message = (
        f"Its next value is {known['next']}; the first that is taken comes {when}, the last is {known['furthest']}."
    )
    if one.unsaid:
        message += f" {table.sql}.{name} owns it, and has no DEFAULT: whoever calls nextval for it draws these values."
    if unique:
        message += (
            " An INSERT that draws a value that is taken fails with SQLSTATE 23505, and uses it up: they go on failing, now"
            " and then or each time, until the sequence has passed the last."
        )
    else:
        message += (
            f" No unique key is over {name} alone: an INSERT that draws a value that is taken may succeed, and two rows"
            " have the same."
        )
    if before > FAR:
        message += " They lie so far ahead that they may be of another kind, and never met."
    sure = unique and before <= FAR and not one.unsaid
    return Finding(
        severity if sure else Severity.WARNING,
        table.object("sequence", sequence.name, (one.column.name,)),
        title=f"The sequence {sequence.sql} has yet to give out what {plural(answer.count, 'row')} of {table.sql}"
        f" {'holds' if answer.count == 1 else 'hold'} in {name} already",
        message=message,
        fixes=fixes(known, sequence, one, columns, far=before > FAR),
    )


def fixes(
    known: dict[str, int], sequence: Sequence, one: Drawing, columns: tuple[Drawing, ...], *, far: bool
) -> tuple[Fix, ...]:
    least, greatest = RANGES[one.column.base_oid]
    after = known["furthest"] + sequence.increment
    renumber = Fix(
        "Give these rows numbers that the sequence will not come to",
        (),
        caveats=("What references them by number has to follow.", "Find them with the predicate above."),
    )
    if not max(least, sequence.minimum) <= after <= min(greatest, sequence.maximum):
        return (renumber.recommend(),)
    called = "true" if known["called"] else "false"
    others = len(columns) - 1
    advance = Fix(
        "Move the sequence past the last value that is taken",
        (f"SELECT pg_catalog.setval({ddl.regclass(sequence.schema, sequence.name)}, {furthest(sequence, columns)});",),
        (f"SELECT pg_catalog.setval({ddl.regclass(sequence.schema, sequence.name)}, {known['last']}, {called});",),
        ddl.LOCK_SETVAL,
        (
            "The values before it that are free are not given out any more.",
            "setval is not taken back by ROLLBACK; sessions that hold values in reserve (CACHE) go on to give them out.",
            *(
                (
                    f"{plural(others, 'other column')} {'draws' if others == 1 else 'draw'} from it too: it passes theirs.",
                )
                if others
                else ()
            ),
        ),
    )
    return (renumber.recommend(), advance) if far else (advance.recommend(),)


def furthest(sequence: Sequence, columns: tuple[Drawing, ...]) -> str:
    """What to set it to, in SQL: the last value that any of the columns holds, as far as the sequence reaches, or its own."""
    forward = sequence.increment > 0
    pick, end = ("max", sequence.maximum) if forward else ("min", sequence.minimum)
    held = []
    for one in columns:
        name, beyond = ident(one.column.name), RANGES[one.column.base_oid][1 if forward else 0]
        within = f" WHERE {name} {'<=' if forward else '>='} {end}" if abs(beyond) > abs(end) else ""
        held.append(f"(SELECT pg_catalog.{pick}({name}) FROM {ddl.target(one.table)}{within})")
    return f"{'GREATEST' if forward else 'LEAST'}({', '.join(held)}, (SELECT last_value FROM {sequence.sql}))"
