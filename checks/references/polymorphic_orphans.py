"""A polymorphic reference points to a row that is not there, or to a type that is not there.

`subject_type` beside `subject_id` says in which table the row lies, so no foreign key can hold it: deleting a post leaves its
comments behind without an error, and a renamed class leaves all its rows pointing at a name that nothing answers to. Each type
is a finding of its own; so are rows whose type is none of those known. An error where the configuration names the targets
(`type_column` and `targets` of a `[[reference]]`); else a warning, for pairs of columns whose types name tables.

Not flagged: rows without an id; types the rows refute, as for any inferred reference; tables that keep what is gone (logs,
audits, history), unless the configuration names them; pairs most of whose rows have a type that names no table.

Fix: delete the orphans, set their id to NULL, or restore the parents; give rows of an unknown type the right one.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.discriminators import believed, keeps_history, polymorphic, polymorphic_columns
from auditor.catalog.infer import FEWEST_ROWS
from auditor.catalog.model import Catalog, Polymorphic, Reference, Table
from auditor.check import Ask, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.probe import Answer, Matching, Unmatched, Values
from auditor.remedies import orphan_fixes
from auditor.text import ident, listed, literal, one_line, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA,)


def check(catalog: Catalog) -> Iterator[Result]:
    for many in catalog.polymorphic:
        yield from questions(many)
    for table in catalog.judged_base_tables:
        if keeps_history(catalog, table):
            continue
        for column, type_column in polymorphic_columns(catalog, table):
            subject = table.object("column", columns=(type_column, column))
            verdict = partial(typed, catalog=catalog, table=table, column=column, type_column=type_column)
            yield Ask(subject, Values(table, type_column), verdict)


def questions(many: Polymorphic) -> Iterator[Ask]:
    for target in many.targets:
        relation = many.relation(*target)
        # The type is part of what the finding is about: the same column points to several tables.
        subject = many.table.object("column", one_line(target[0]), (many.type_column, many.column))
        yield Ask(
            subject,
            Unmatched.of(relation),
            partial(judged, subject=subject, relation=relation, many=many, value=target[0]),
        )
    subject = many.table.object("column", columns=(many.type_column, many.column))
    probe = Matching(many.table, unknown(many))
    yield Ask(subject, probe, partial(untold, subject=subject, many=many))


def unknown(many: Polymorphic) -> str:
    """The predicate of rows that have an id and none of the known types."""
    known = ", ".join(literal(value).strip() for value, _, _ in many.targets)
    said = f"{ident(many.column)} IS NOT NULL AND ({ident(many.type_column)} IN ({known})) IS NOT TRUE"
    return f"({many.where}) AND {said}" if many.where else said


def typed(answer: Answer, catalog: Catalog, table: Table, column: str, type_column: str) -> tuple[Ask, ...] | None:
    """What to ask next: nothing, unless most rows have a type that names a table."""
    if answer.groups > Values(table, type_column).most:
        return None
    many = polymorphic(catalog, table, column, type_column, (value for value, _ in answer.values))
    known = {value for value, _, _ in many.targets}
    rows = sum(count for value, count in answer.values if value in known)
    return tuple(questions(many)) if rows >= FEWEST_ROWS and 2 * rows > answer.count else None


def judged(answer: Answer, subject: Object, relation: Reference, many: Polymorphic, value: str) -> Finding | None:
    if not answer.count or not believed(answer.examined, answer.count, relation):
        return None
    table, parent = relation.table, relation.referenced
    one = answer.count == 1
    return Finding(
        Severity.ERROR if many.configured else Severity.WARNING,
        subject,
        title=f"{plural(answer.count, 'row')} of {table.sql} {'points' if one else 'point'} to"
        f" {plural(answer.groups, 'row')} of {parent.sql} that {'does' if answer.groups == 1 else 'do'} not exist"
        f" ({ident(many.type_column)} {literal(one_line(value)).strip()})",
        message=f"{ident(many.column)} should name a row of {parent.sql} where {ident(many.type_column)} says so:"
        f" {many.evidence}. No foreign key can declare it, so nothing prevents more of them.",
        confidence=Confidence.PROVEN if many.configured else Confidence.SUSPECTED,
        related=(parent.object(columns=relation.referenced_columns),),
        fixes=orphan_fixes(answer, relation, None, about=(parent.name,)),
        defect=(*relation.orphans, value),
    )


def untold(answer: Answer, subject: Object, many: Polymorphic) -> Finding | None:
    if not answer.count:
        return None
    table, one = many.table, answer.count == 1
    known = listed([f"{literal(one_line(value)).strip()} ({to.sql})" for value, to, _ in many.targets])
    copy = ddl.free_name(table, table.name, many.column, "types")
    kept = qualified(table.schema, copy)
    where = answer.evidence.where or "false"
    correct = ddl.fill_in(f"{many.type_column}: the right type")
    keep = ddl.keep_rows(table, where, copy)
    by_key = (ddl.restore_values(table, (many.type_column,), copy), f"DROP TABLE {kept};") if table.row_key else ()
    return Finding(
        Severity.ERROR if many.configured else Severity.WARNING,
        subject,
        title=f"{plural(answer.count, 'row')} of {table.sql} {'has' if one else 'have'} no known type beside"
        f" {'its' if one else 'their'} {ident(many.column)}",
        message=f"{ident(many.type_column)} is NULL there, or names no table: known are {known}. Nothing can be found by such a"
        " reference. If the type is right, name its table among the targets of a [[reference]].",
        confidence=Confidence.PROVEN if many.configured else Confidence.SUSPECTED,
        related=tuple(to.object(columns=(key,)) for _, to, key in many.targets),
        fixes=(
            Fix(
                "Give the rows their right type",
                (keep, f"UPDATE {ddl.target(table)} SET {ident(many.type_column)} = {correct} WHERE {where};"),
                by_key,
                ddl.LOCK_ROWS,
                ("Forgotten, a REPLACE is a syntax error and changes nothing. Several types need several statements.",),
                recommended=True,
            ),
            Fix(
                "Delete the rows, keeping a copy",
                (keep, ddl.delete(table, where)),
                (ddl.restore_rows(table, copy), f"DROP TABLE {kept};"),
                ddl.LOCK_ROWS,
                ("Rows that reference the deleted ones follow their own ON DELETE action, which may refuse.",),
            ),
        ),
    )
