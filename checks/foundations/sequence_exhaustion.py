"""A sequence has few values left.

At its end nextval fails with SQLSTATE 2200H, and where the column's type ends sooner, the INSERT with 22003: nothing can be
inserted any more, and the way out, a wider type, takes a rewrite of the table, and of those that reference it, under
ACCESS EXCLUSIVE. What is left is told before the end that comes first, the sequence's own or that of its columns' types,
out of all the values from the sequence's other end on.

Not flagged: sequences with a fifth or more of their values left; those that CYCLE and whose columns take all their values.
Not judged: the precision of numeric columns, and CHECKs that end sooner.

Fix: make the column, what references it and the sequence bigint; or, where the sequence ends before its column does, raise
its MAXVALUE.
"""

from collections.abc import Iterator

from auditor import ddl
from auditor.catalog.model import Catalog, Column, Sequence, Table
from auditor.catalog.sequences import RANGES, Drawing, drawing
from auditor.check import Clean, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.text import ident, listed, plural

severity = Severity.ERROR
depths = (Depth.CATALOG,)

FEW, VERY_FEW = 0.20, 0.05
WIDEST = RANGES[20]


def check(catalog: Catalog) -> Iterator[Result]:
    for sequence in catalog.sequences.values():
        if sequence.owner is not None and sequence.owner[0] not in catalog.tables:
            continue  # of an extension
        columns = drawing(catalog, sequence)
        subject = Object("sequence", sequence.schema, name=sequence.name)
        if columns:
            subject = columns[0].table.object("sequence", sequence.name, (columns[0].column.name,))
        if sequence.locked:
            yield NotChecked(subject, "lock", f"another session holds {sequence.sql} locked")
        elif sequence.last_value is None and not sequence.readable:
            yield NotChecked(subject, "permission", f"neither SELECT nor USAGE on the sequence {sequence.sql}")
        else:
            yield judged(catalog, sequence, columns, subject) or Clean(subject)


def judged(catalog: Catalog, sequence: Sequence, columns: tuple[Drawing, ...], subject: Object) -> Finding | None:
    ends = [RANGES[one.column.base_oid] for one in columns]
    forward = sequence.increment > 0
    own = sequence.maximum if forward else sequence.minimum
    end = min([own, *(most for _, most in ends)]) if forward else max([own, *(least for least, _ in ends)])
    if sequence.cycles and end == own:
        return None
    last = sequence.start - sequence.increment if sequence.last_value is None else sequence.last_value
    begin = sequence.minimum if forward else sequence.maximum
    left = max(0, (end - last) if forward else (last - end))
    whole = max(1, abs(end - begin) + 1)
    if left >= FEW * whole:
        return None
    values = left // abs(sequence.increment)
    side = 1 if forward else 0
    bound = [one for one in columns if RANGES[one.column.base_oid][side] == end != WIDEST[side]]
    feeds = listed([f"{one.table.sql}.{ident(one.column.name)}" for one in columns]) if columns else ""
    stops = "nextval fails with SQLSTATE 2200H" if end == own else "an INSERT fails with SQLSTATE 22003"
    whose = "the sequence" if end == own else "the column's type"
    was = "No value was drawn yet" if sequence.last_value is None else f"The last value was {last}"
    message = f"{was}, and {whose} ends at {end}."
    message += f" {'From now on' if not values else 'Then'} {stops}, each time."
    followers = referencing(catalog, columns)
    if bound and followers:
        said = listed([f"{table.sql}.{ident(column.name)} ({column.type})" for table, column in followers])
        message += f" What references it ends there too: {said}."
    return Finding(
        severity if left < VERY_FEW * whole else Severity.WARNING,
        subject,
        title=f"The sequence {sequence.sql}{f', which feeds {feeds},' if feeds else ''} has"
        f" {plural(values, 'value')} left{f', {share(left, whole)} of all' if values else ''}",
        message=message,
        related=tuple(table.object("column", columns=(column.name,)) for table, column in followers if bound),
        fixes=(widened(sequence, columns, followers),) if bound else (raised(sequence, columns),),
    )


def share(left: int, whole: int) -> str:
    return f"{left / whole:.1%}".replace("%", " %")


def referencing(catalog: Catalog, columns: tuple[Drawing, ...]) -> tuple[tuple[Table, Column], ...]:
    """Columns narrower than bigint that take these values through foreign keys, from table to table."""
    found: dict[tuple[int, str], tuple[Table, Column]] = {}
    todo = [(one.table, one.column) for one in columns]
    seen = {(table.oid, column.name) for table, column in todo}
    while todo:
        table, column = todo.pop()
        for child, key in catalog.referenced_by.get(table.oid, ()):
            for mine, theirs in zip(key.columns, key.referenced_columns, strict=True):
                follower = child.by_name[mine]
                place = (child.oid, mine)
                if theirs == column.name and place not in seen and follower.base_oid in RANGES:
                    seen.add(place)
                    todo.append((child, follower))
                    if RANGES[follower.base_oid] != WIDEST:
                        found[place] = (child, follower)
    return tuple(found.values())


def widened(sequence: Sequence, columns: tuple[Drawing, ...], followers: tuple[tuple[Table, Column], ...]) -> Fix:
    """Make it bigint, with all that takes its values."""
    title = "Make the column, what references it and the sequence bigint"
    mine = {(one.table.oid, one.column.name) for one in columns}
    narrow = [(one.table, one.column) for one in columns if RANGES[one.column.base_oid] != WIDEST]
    # A child's column follows that of the table it inherits from.
    narrow = [(t, c) for t, c in (*narrow, *followers) if not any((parent, c.name) in mine for parent in t.parents)]
    if any(column.type_oid != column.base_oid for _, column in narrow):
        said = listed([f"{table.sql}.{ident(column.name)} ({column.type})" for table, column in narrow])
        return Fix(
            title, (), caveats=(f"Some are of a domain, which needs one over bigint first: {said}.",)
        ).recommend()
    back = tuple(change(table, column.name, column.type) for table, column in narrow)
    wide = (f"ALTER SEQUENCE {sequence.sql} AS bigint MINVALUE {sequence.minimum} MAXVALUE {WIDEST[1]};",)
    if sequence.increment < 0:
        wide = (f"ALTER SEQUENCE {sequence.sql} AS bigint MINVALUE {WIDEST[0]} MAXVALUE {sequence.maximum};",)
    limits = f"MINVALUE {sequence.minimum} MAXVALUE {sequence.maximum}"
    was = (f"ALTER SEQUENCE {sequence.sql} AS {sequence.type} {limits};",)
    unbound = (sequence.maximum if sequence.increment > 0 else -1 - sequence.minimum) == WIDEST[1]
    return Fix(
        title,
        (*(change(table, column.name, "bigint") for table, column in narrow), *(() if unbound else wide)),
        (*(() if unbound else was), *back),
        f"{ddl.LOCK_REWRITE}; the sequence: {ddl.LOCK_SEQUENCE}",
        (
            "Too large a table for that: a second column of type bigint, filled by a trigger and in batches, takes its place.",
            "Views, rules and generated columns over these columns stand in the way (SQLSTATE 0A000) until they are made anew.",
            "The rollback fails with SQLSTATE 22003 once values beyond the old type are there.",
            "Columns that reference it without a foreign key, and the application's own types, have to follow.",
        ),
    ).recommend()


def change(table: Table, column: str, kind: str) -> str:
    return f"ALTER TABLE {table.sql} ALTER COLUMN {ident(column)} TYPE {kind};"


def raised(sequence: Sequence, columns: tuple[Drawing, ...]) -> Fix:
    """Move the sequence's own end as far as its columns reach."""
    forward = sequence.increment > 0
    word, own = ("MAXVALUE", sequence.maximum) if forward else ("MINVALUE", sequence.minimum)
    ends = [WIDEST, *(RANGES[one.column.base_oid] for one in columns)]
    end = min(most for _, most in ends) if forward else max(least for least, _ in ends)
    if end == own:
        return Fix(
            "Take the values that are free into use",
            (),
            caveats=(
                "It ends where its column's type does, or bigint, the widest: RESTART it where no value is taken, or"
                " renumber the rows; a wider column needs a wider type first.",
            ),
        ).recommend()
    kind = "" if sequence.type == "bigint" else "AS bigint "
    before = f"AS {sequence.type} " if kind else ""
    return Fix(
        f"Let it reach as far as {'its columns do' if columns else 'bigint does'}",
        (f"ALTER SEQUENCE {sequence.sql} {kind}{word} {end};",),
        (f"ALTER SEQUENCE {sequence.sql} {before}{word} {own};",),
        ddl.LOCK_SEQUENCE,
        ("Whoever gave it that end may have meant it: values beyond it must fit where they are kept.",),
    ).recommend()
