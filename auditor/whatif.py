"""Whether a unique index or a constraint would hold today, and which rows stand in the way: the statement is never run.

Its names are looked up in the catalog, its expressions are written anew and planned by the server, and the rows are asked
by the probes of an audit, in the same read-only transactions. What else would make it fail is said where it is certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from auditor import ddl
from auditor.arbiter import columns_of
from auditor.audit import Audit, Auditor, dangers, fingerprint, open_catalog
from auditor.catalog.infer import complete, known_column, named_table
from auditor.catalog.model import Catalog, Column, Constraint, ForeignKey, Index, Reference, Table
from auditor.catalog.read import compared_as
from auditor.check import Ask, Depth, Evidence, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.connection import Session
from auditor.definition import Definition, Name, Term, bare
from auditor.enactment import Meant
from auditor.errors import UsageError, nearest
from auditor.expression import Evaluator, keyword
from auditor.key_remedies import dedupe, end_others, shown
from auditor.probe import Answer, Duplicates, Key, Matching, Unmatched
from auditor.registry import Check
from auditor.remedies import cleaned, orphan_fixes
from auditor.statements import Scanner, Token, written
from auditor.text import ident, idents, literal, one_line_sql, plural, qualified

if TYPE_CHECKING:
    from auditor.plan import Plan

_POLYMORPHIC = {2277, 3500, 3831, 4537, 2249}  # anyarray, anyenum, anyrange, anymultirange, record


@dataclass(kw_only=True)
class Trial(Auditor):
    """An audit of one question: would this definition hold. `run` answers it."""

    definition: Definition
    _tried: _Tried | None = None

    def run(self) -> Audit:
        """The answer as an audit: an error for each reason why the statement would fail; else a finding that says it holds."""
        all_rows = self.settings.audit.model_copy(update={"where": ()})
        self.settings = self.settings.model_copy(update={"ignore": (), "audit": all_rows})
        result = super().run()
        assert self._tried is not None
        read = max((entry.rows_examined or 0 for entry in result.coverage), default=0)
        options = {**result.run.options, "select": ("whatif",), "ignore": (), "whatif": self.definition.text}
        result = replace(result, run=replace(result.run, options=options))
        asked = any(entry.outcome == "passed" for entry in result.coverage)
        if result.run.status == "incomplete":
            return result
        if result.findings:
            clean = asked and not any(f.evidence and f.evidence.violations for f in result.findings)
            note = (
                (f"the rows are not in the way: {plural(read, 'row')} of {self._tried.table.sql} read",)
                if clean
                else ()
            )
            return replace(result, notes=(*note, *result.notes))
        finding = self._tried.holds(read)
        finding = finding.but(fingerprint=fingerprint(finding))
        summary = replace(result.summary, **{finding.severity.value: 1})
        return replace(result, findings=(finding,), summary=summary)

    def _planned(self) -> tuple[Catalog, Plan, tuple[Check, ...]]:
        from auditor.plan import plan

        with Session(self.target) as session:
            catalog = complete(open_catalog(session), self.settings, suspect=False)
            tried = self._tried = _Tried(session, catalog, self.definition)
            results = list(tried.results())
        ids = dict.fromkeys(name for name, _ in results)
        checks = tuple(
            Check(name, Severity.ERROR, (Depth.CATALOG,), "", (), partial(_of, results, name)) for name in ids
        )
        # Another session may keep locked what this question has nothing to do with.
        tables = {oid: t for oid, t in catalog.tables.items() if not t.locked or t in tried.involved}
        functions = {oid: f for oid, f in catalog.functions.items() if not f.locked}
        return catalog, plan(replace(catalog, tables=tables, functions=functions), checks, Depth.DATA), checks

    def _said(self, catalog: Catalog, made: Plan) -> tuple[str, ...]:
        return tuple(dangers(catalog))


def _of(results: list[tuple[str, Result]], name: str, _: Catalog) -> Iterator[Result]:
    return (result for other, result in results if other == name)


@dataclass
class _Tried:
    """A definition in this database. `results` finds out what is in its way."""

    session: Session
    catalog: Catalog
    definition: Definition
    obstacles: list[tuple[str, str]] = field(default_factory=list)  # SQLSTATE, and why
    unjudged: list[tuple[str, str]] = field(default_factory=list)  # reason of the contract, and why
    doubts: list[str] = field(default_factory=list)  # why the server may yet refuse it
    nothing: str = ""  # why the statement would do nothing
    unread: str = ""  # why it does not look at the rows
    where: str | None = None
    keys: tuple[str, ...] = ()  # of an index, as CREATE INDEX has them
    values: tuple[str, ...] = ()  # the same without operator class and order: what two rows must not share
    key: ForeignKey | None = None
    subject: Object = field(init=False)
    table: Table = field(init=False)
    referenced: Table | None = None
    constraint: Constraint | None = None  # that VALIDATE names, as is the next
    constraint_key: ForeignKey | None = None
    evaluator: Evaluator = field(init=False)

    def __post_init__(self) -> None:
        self.table = self._named(self.definition.table)
        self.evaluator = Evaluator(self.session, self.catalog, self.table, self.obstacles, self.unjudged, self.doubts)
        kind = "index" if self.definition.kind == "index" else "constraint"
        self.subject = self.table.object(
            kind, self.definition.name or "", columns_of(map(_text, self.definition.terms))
        )

    @property
    def major(self) -> int:
        return self.catalog.server.major

    @property
    def involved(self) -> list[Table]:
        """The tables whose rows are asked."""
        return [self.table, *([self.referenced] if self.referenced else [])]

    def results(self) -> Iterator[tuple[str, Result]]:
        """What is certain, what cannot be told, and what the rows have to be asked, each under a name."""
        asks = list(self._asks())
        if self.obstacles:
            yield "whatif/statement", self._refused()
        for reason, why in (*self.unjudged, *(("unsupported", why) for why in self.doubts)):
            yield "whatif/statement", NotChecked(self.subject, reason, why)
        if not self.nothing and not (self.unread and self.obstacles):
            yield from asks

    def _asks(self) -> Iterator[tuple[str, Result]]:
        made = self.definition
        self._attributes()
        match made.kind:
            case "index" | "unique" | "primary":
                yield from self._unique()
            case "foreign":
                yield from self._foreign()
            case "check":
                yield from self._check()
            case "not null":
                yield from self._not_null()
            case _:
                yield from self._validate()

    # --- what is certain of the statement -----------------------------------------------------------------------------

    def _fails(self, state: str, why: str) -> None:
        self.obstacles.append((state, why))

    def _attributes(self) -> None:
        made, says = self.definition, self.definition.says
        constraint = {"unique": "UNIQUE", "primary": "PRIMARY KEY", "check": "CHECK", "not null": "NOT NULL"}
        constraint["foreign"] = "FOREIGN KEY"
        said = constraint.get(made.kind, "")
        if says("nulls not distinct") and self.major < 15:
            self._fails("42601", "NULLS NOT DISTINCT exists from PostgreSQL 15 on")
        if made.kind == "not null" and not says("set") and self.major < 18:
            self._fails("42601", "ADD NOT NULL exists from PostgreSQL 18 on; write ALTER COLUMN ... SET NOT NULL")
        if says("not enforced") and self.major < 18:
            self._fails("42601", "NOT ENFORCED exists from PostgreSQL 18 on")
        cannot = [("not valid", "unique", "primary"), ("not enforced", "unique", "primary", "not null")]
        cannot += [("no inherit", "unique", "primary", "foreign"), ("deferrable", "check", "not null")]
        for clause, *kinds in cannot:
            if says(clause) and made.kind in kinds:
                self._fails("0A000", f"a {said} constraint cannot be marked {clause.upper()}")

    def _taken(self, *, relation: bool) -> bool:
        """Whether its name is taken: by a constraint of the table, or also by a relation of the schema."""
        name = self.definition.name
        if name is None:
            return False
        plain = ".".join('"' + part.replace('"', '""') + '"' for part in (self.table.schema, name))
        constraint = (
            f"SELECT 1 FROM pg_catalog.pg_constraint WHERE conrelid = {self.table.oid} AND conname = {literal(name)}"
        )
        if relation and self.evaluator.fetch(f"SELECT pg_catalog.to_regclass({literal(plain)})::pg_catalog.oid")[0][0]:
            self._fails("42P07", f"there is already a relation {qualified(self.table.schema, name)}")
            return True
        if self.definition.kind != "index" and self.evaluator.fetch(constraint):
            # Of USING INDEX no more than the catalog's own unique index looks (seen on 13 to 18).
            self._fails(
                "23505" if self.definition.using else "42710",
                f"{self.table.sql} already has a constraint {ident(name)}",
            )
            return True
        return False

    def _named(self, name: Name) -> Table:
        schema, table = name
        return named_table(self.catalog, ident(schema) if schema is not None else None, ident(table), "the statement")

    def _column(self, name: str, table: Table | None = None) -> Column:
        return known_column(table or self.table, name, "the statement")

    def _refused(self) -> Finding:
        (state, why), *others = self.obstacles
        more = [f"It would fail with {other} too: {reason}." for other, reason in others]
        message = " ".join(("The server refuses the statement, whatever the rows are.", *more))
        return Finding(Severity.ERROR, self.subject, f"It would fail ({state}): {why}", message)

    # --- unique -------------------------------------------------------------------------------------------------------

    def _unique(self) -> Iterator[tuple[str, Result]]:
        made, table = self.definition, self.table
        if made.using is not None:
            yield from self._using(made.using)
            return
        if self._taken(relation=True) and made.says("if not exists"):
            self.obstacles.pop()
            self.nothing = (
                f"there is a relation {ident(made.name or '')} already, and IF NOT EXISTS takes it for this one"
            )
        if made.kind == "primary":
            self._second_key()
        if made.method != "btree":
            self._fails("0A000", f"an index by {ident(made.method)} cannot be unique")
        found = [self._key(term) for term in made.terms]
        names = [key.column for *_, key in found]
        for name in dict.fromkeys((*(n for n in names if n is not None), *made.include)):
            if self._column(name).generated == "v":
                self._fails("0A000", f"{ident(name)} is a virtual generated column, which no index can hold")
        if made.kind != "index":
            for name in dict.fromkeys(n for n in names if n is not None and names.count(n) > 1):
                self._fails("42701", f"{ident(name)} stands twice in the key")
        if len(names) + len(made.include) > 32:
            self._fails("54011", "an index has at most 32 columns")
        if made.condition:
            self.where = self.evaluator.judged(made.condition, "the condition", index=True, boolean=True)
        if table.kind == "p":
            self._of_partitions(names)
        self.keys, self.values = tuple(text for text, *_ in found), tuple(value for _, value, _ in found)
        self.subject = replace(self.subject, columns=tuple(k.column or k.expression for *_, k in found))
        if self.unjudged or "42704" in dict(self.obstacles):
            return
        nulls = self._key_nulls([n for n in names if n is not None]) if made.kind == "primary" else iter(())
        if made.says("only") and table.kind == "p":
            list(nulls)  # for what they find in the catalog
            self.unread = "ONLY makes an invalid index on the partitioned table alone, which enforces nothing"
            return
        yield from nulls
        probe = Duplicates(table, tuple(key for *_, key in found), self.where, made.says("nulls not distinct"))
        yield "whatif/unique", Ask(self.subject, probe, self._duplicates)

    def _second_key(self) -> None:
        if any(index.primary for index in self.table.indexes):
            self._fails("42P16", f"{self.table.sql} has a primary key already")

    def _key_nulls(self, names: list[str]) -> Iterator[tuple[str, Result]]:
        """A primary key asks for NOT NULL of its columns, in inheritance children too."""
        for name in dict.fromkeys(names):
            if self.definition.says("only") and self._unlike(name) and (self.table.kind == "p" or self.major >= 18):
                state = "XX000" if self.major >= 18 and self.definition.using is None else "42P16"
                self._fails(state, f"{ident(name)} is not NOT NULL in the tables below {self.table.sql}")
        holding = [name for name in names if self._column(name).may_hold_null]
        for name in holding:
            if self._column(name).not_null:
                self._fails("55000", f"the NOT NULL of {ident(name)} is NOT VALID")
        if holding:
            yield from self._nulls(holding)

    def _key(self, term: Term) -> tuple[str, str, Key]:
        """One key as CREATE INDEX has it, without operator class and order, and as a question."""
        name, table = term.name or self._told_in_full(term), self.table
        if name is not None and (name in table.by_name or not keyword(term.tokens[0])):
            column = self._column(name)
            text, key = ident(name), Key(ident(name), name)
            if column.type_oid not in self.catalog.types:
                self.unjudged.append(("unsupported", f"{ident(name)} is of a composite type"))
        else:
            expression = self.evaluator.judged(term.tokens, "a key", index=True) or "NULL"
            said = expression if _is_call(term.tokens) else f"({expression})"
            text, key = said, Key(expression)
            if not any(token.names and token.value in table.by_name for token in term.tokens):
                # A constant: GROUP BY would take it for the position of a column.
                key = Key(f"CASE WHEN ({expression}) IS NOT NULL THEN true END")
        if term.collation is not None:
            collation = self.evaluator.collation(term.collation)
            text += f" COLLATE {qualified(*collation)}"
            key = replace(key, collation=collation)
        value = text
        if term.opclass is not None:
            text += f" {self._opclass(term.opclass)}"
        if self.evaluator.readable() and not self.unjudged:
            state, said = self.evaluator.sorting(key.expression, key.collation)
            if state == "42883" and term.opclass is None:
                self._fails("42704", f"the type of {key.expression} has no B-tree operator class")
            elif not state and key.column is None and (kind := self.evaluator.kind(key.expression)) in ("p", "c"):
                if kind == "p":
                    self._fails(
                        "42P16", f"{key.expression} is a row without a type of its own, which no index can hold"
                    )
                else:
                    self.unjudged.append(("unsupported", f"{key.expression} is of a composite type"))
            elif state:
                raise UsageError(f"{text} is no key over {table.sql}: {said}")
        return text + (f" {term.order}" if term.order else ""), value, key

    def _told_in_full(self, term: Term) -> str | None:
        """The column that `table.column` means."""
        *path, name = [token.value for token in term.tokens if token.names] or [""]
        dotted = all(token.names or token.marks(".") for token in term.tokens)
        return name if dotted and path in ([self.table.name], [self.table.schema, self.table.name]) else None

    def _opclass(self, name: Name) -> str:
        """An operator class, as far as it calls the same values equal as the type's own does."""
        said = self.evaluator.only_of("operator class", "pg_opclass", "opcname", "opcnamespace", name)
        if said[0] != "pg_catalog" or said[1] == "record_image_ops":
            reason = f"{qualified(*said)} may call other values equal than the type's own operator class"
            self.unjudged.append(("unsupported", reason))
        return ident(said[1]) if said[0] == "pg_catalog" else qualified(*said)

    def _of_partitions(self, names: Sequence[str | None]) -> None:
        """What is asked of a key over partitions (documentation: Table Partitioning, Limitations)."""
        if self.definition.says("concurrently"):
            self._fails("0A000", f"{self.table.sql} is partitioned: its indexes cannot be built CONCURRENTLY")
        numbers = self.evaluator.fetch(
            f"SELECT pg_catalog.unnest(partattrs::pg_catalog.int2[]) FROM pg_catalog.pg_partitioned_table"
            f" WHERE partrelid = {self.table.oid}"
        )
        by_number = {column.number: column.name for column in self.table.columns}
        for (number,) in numbers:
            name = by_number.get(int(number or 0))
            if name is None:
                self._fails("0A000", f"{self.table.sql} is partitioned by an expression: no key of it can be unique")
            elif name not in names:
                self._fails("0A000", f"{self.table.sql} is partitioned by {ident(name)}, which the key must contain")
        self._refuse_foreign_partitions()

    def _refuse_foreign_partitions(self) -> None:
        if any(part.kind == "f" for part in self.catalog.family(self.table)):
            self._fails("42809", f"a partition of {self.table.sql} is a foreign table")

    def _using(self, name: str) -> Iterator[tuple[str, Result]]:
        """A constraint over an index that is there: it vouches for the rows, but for NULLs in a primary key."""
        made, table = self.definition, self.table
        index = next((i for i in table.indexes if i.name == name), None)
        if index is None:
            known = sorted(i.name for i in table.indexes)
            raise UsageError(f"the statement: {table.sql} has no index {name}{nearest(name, known)}")
        made.name = made.name or name
        if made.name != name:
            self._taken(relation=True)
        self.subject = table.object("constraint", made.name, index.columns or ())
        if table.kind == "p":
            self._fails("0A000", "USING INDEX is not supported on a partitioned table")
        if made.kind == "primary":
            self._second_key()
        order = f"SELECT 1 FROM pg_catalog.pg_index WHERE indexrelid = {index.oid} AND indoption::text ~ '[1-9]'"
        for wrong, state, why in (
            (index.constraint, "55000", "belongs to a constraint already"),
            (not (index.valid and index.ready), "55000", "is not valid"),
            (not index.unique, "42809", "is not unique"),
            (index.columns is None, "42809", "holds expressions"),
            (index.predicate is not None, "42809", "is partial"),
            (any(not key.default_opclass for key in index.keys), "42809", "has an operator class of its own"),
            (self.evaluator.fetch(order), "42809", "is not in the default order"),
        ):
            if wrong:
                self._fails(state, f"the index {ident(name)} {why}")
        self.unread = f"the index {ident(name)} keeps the rows apart already"
        if made.kind == "primary":
            yield from self._key_nulls(list(index.columns or ()))

    def _duplicates(self, answer: Answer) -> Finding | None:
        if not answer.count:
            return None
        made, table = self.definition, self.table
        names = shown(self.values)
        among = f" WHERE {self.where}" if self.where else ""
        message = f"A unique index takes one row of each value of {names} among the rows of {table.sql}{among}."
        if made.says("concurrently"):
            message += " Built CONCURRENTLY it fails late, and leaves an invalid index behind, which has to be dropped."
        return Finding(
            Severity.ERROR,
            self.subject,
            f"It would fail (23505): {plural(answer.count, 'row')} of {table.sql} share {plural(answer.groups, 'value')}"
            f" of {names}",
            message + self._lock_said(),
            fixes=self._dedupes(),
        )

    def _dedupes(self) -> tuple[Fix, ...]:
        made, table = self.definition, self.table
        nulls, keys = made.says("nulls not distinct"), self.values
        enacting = self._meant.enacting()
        cleared = dedupe(self.catalog, table, keys, self.where, nulls=nulls)
        fixes = [
            Fix(
                "Clear the duplicates away, keeping a copy, then have the key",
                (*cleared.sql, *enacting.sql),
                (*enacting.rollback, *cleared.rollback),
                f"{ddl.LOCK_ROWS}; {enacting.locks}",
                (*cleared.caveats, *enacting.caveats),
            )
        ]
        if self.where and not nulls:
            ended = end_others(self.catalog, table, keys, self.where, columns=columns_of(keys))
            if ended is not None:
                # The index it builds is the last statement, its removal the first of the way back.
                caveats = [caveat for caveat in ended.caveats if "an invalid index" not in caveat]
                fixes.insert(
                    0,
                    replace(
                        ended,
                        sql=(*ended.sql[:-1], *enacting.sql),
                        rollback=(*enacting.rollback, *ended.rollback[1:]),
                        caveats=(*caveats, *enacting.caveats),
                    ),
                )
        return (fixes[0].recommend(), *(replace(fix, recommended=False) for fix in fixes[1:]))

    # --- NOT NULL -----------------------------------------------------------------------------------------------------

    def _not_null(self) -> Iterator[tuple[str, Result]]:
        made, table = self.definition, self.table
        column = self._column(made.columns[0])
        self.subject = table.object("column", columns=(column.name,))
        if made.says("no inherit") and table.kind == "p":
            self._fails("0A000", f"{table.sql} is partitioned: its NOT NULLs cannot be NO INHERIT")
        if column.not_null and self._other_null(column):
            return
        if column.not_null and column.not_null_validated:
            self.nothing = f"{table.sql}.{ident(column.name)} is NOT NULL already"
            return
        if column.type_oid not in self.catalog.types:
            self.unjudged.append(("unsupported", f"{ident(column.name)} is of a composite type"))
            return
        self._taken(relation=False)
        lone = table.children and not made.says("no inherit") if self.major >= 18 else self._unlike(column.name)
        if made.says("only") and lone and (table.kind == "p" or not made.says("set")):
            self._fails("42P16", f"{table.sql} has children: NOT NULL has to be added to them too, without ONLY")
        self._skipped()
        yield from self._nulls([column.name])

    def _other_null(self, column: Column) -> bool:
        """Whether a NOT NULL that the column has already is in the way: from 18 on it has a name and clauses of its own."""
        made = self.definition
        if self.major < 18:
            return False
        rows = self.evaluator.fetch(
            f"SELECT conname, connoinherit, convalidated FROM pg_catalog.pg_constraint WHERE contype = 'n'"
            f" AND conrelid = {self.table.oid} AND conkey[1] = {column.number}"
        )
        for name, alone, valid in rows:
            said = f"the NOT NULL {ident(str(name))} of {ident(column.name)} is there already"
            if not made.says("set") and made.name not in (None, name):
                self._fails("55000", said)
            elif (alone == "t") != made.says("no inherit"):
                self._fails("55000", f"{said}, with NO INHERIT" if alone == "t" else f"{said}, without NO INHERIT")
            elif valid != "t" and not (made.says("set") or made.says("not valid")):
                self._fails("55000", f"{said}, and NOT VALID")
        return bool(self.obstacles)

    def _unlike(self, name: str) -> bool:
        """Whether some child may hold NULL in the column."""
        children = (self.catalog.tables[oid] for oid in self.table.children if oid in self.catalog.tables)
        return any(not child.by_name[name].not_null for child in children if name in child.by_name)

    def _nulls(self, names: list[str]) -> Iterator[tuple[str, Result]]:
        only = self.definition.says("only") or self.definition.says("no inherit")
        for name in names:
            probe = Matching(self.table, f"{ident(name)} IS NULL", (name,), only=self._alone(only))
            subject = self.table.object("column", columns=(name,))
            yield "whatif/not-null", Ask(subject, probe, partial(self._found_null, name=name, subject=subject))

    def _alone(self, only: bool) -> bool:
        return only or not self.table.children

    def _found_null(self, answer: Answer, name: str, subject: Object) -> Finding | None:
        if not answer.count:
            return None
        said = f"{plural(answer.count, 'row')} of {self.table.sql} {'holds' if answer.count == 1 else 'hold'} NULL"
        message = f"The rows are read for NULLs before {ident(name)} becomes NOT NULL."
        fixes = self._cleaned(answer, (name,), "a value")
        return self._finding(answer, "23502", f"{said} in {ident(name)}", message, subject, fixes)

    def _cleaned(self, answer: Answer, columns: tuple[str, ...], wanted: str) -> tuple[Fix, ...]:
        """The rows put right or deleted, then the constraint; nothing where rows lie in children, each its own table."""
        if self.table.only and self.table.children:
            return ()
        enacting = self._meant.enacting()
        locks = f"{ddl.LOCK_ROWS}; {enacting.locks}"
        undo, redo = enacting.rollback, tuple[str, ...]()
        if self.constraint is not None:  # it is there, NOT VALID, and refuses what a rollback would put back
            inherit = " NO INHERIT" if self.constraint.no_inherit else ""
            rule = (
                f"CHECK ({self.constraint.expression})"
                if self.constraint.type == "c"
                else f"NOT NULL {idents(columns)}"
            )
            added = f"ADD CONSTRAINT {ident(self.constraint.name)} {one_line_sql(rule)}{inherit} NOT VALID;"
            undo, redo = (
                (ddl.drop_constraint(self.table, self.constraint.name),),
                (f"ALTER TABLE {self.table.sql} {added}",),
            )
        return cleaned(answer, self.table, columns, wanted, enacting.sql, undo, redo, locks, enacting.caveats)

    # --- CHECK --------------------------------------------------------------------------------------------------------

    def _check(self) -> Iterator[tuple[str, Result]]:
        made, table = self.definition, self.table
        self._taken(relation=False)
        if made.says("no inherit") and table.kind == "p":
            self._fails("42P16", f"{table.sql} is partitioned: its constraints cannot be NO INHERIT")
        if made.says("only") and table.children and not made.says("no inherit"):
            self._fails("42P16", f"{table.sql} has children: a CHECK has to be added to them too, without ONLY")
        said = zip(made.condition, made.condition[1:], strict=False)
        if (
            table.children
            and not made.says("no inherit")
            and any(one.names and one.value == table.name and other.marks(".") for one, other in said)
        ):
            # It is read again for each of them, where the name is that of no table (seen on 13 to 18).
            self._fails("42P01", f"the CHECK says {ident(table.name)}., which the tables below {table.sql} do not know")
        self.where = self.evaluator.judged(made.condition, "the condition", index=False, boolean=True)
        if self.where is None:
            return
        self.subject = replace(self.subject, columns=self.evaluator.mentioned(self.where))
        self._skipped()
        yield self._breaking(self.where, made.says("no inherit"))

    def _breaking(self, condition: str, no_inherit: bool) -> tuple[str, Result]:
        columns = self.evaluator.mentioned(condition)
        probe = Matching(self.table, f"({condition}) IS FALSE", columns, only=self._alone(no_inherit))
        return "whatif/check", Ask(self.subject, probe, partial(self._broken, condition=condition, columns=columns))

    def _broken(self, answer: Answer, condition: str, columns: tuple[str, ...]) -> Finding | None:
        if not answer.count:
            return None
        rows = plural(answer.count, "row")
        message = f"The rule is {condition}, and for these rows it is false."
        fixes = self._cleaned(answer, columns, "a value that the CHECK admits")
        verb = "breaks" if answer.count == 1 else "break"
        return self._finding(
            answer, "23514", f"{rows} of {self.table.sql} {verb} the CHECK", message, self.subject, fixes
        )

    # --- FOREIGN KEY --------------------------------------------------------------------------------------------------

    def _foreign(self) -> Iterator[tuple[str, Result]]:
        made, table = self.definition, self.table
        reference = made.reference
        assert reference is not None
        parent = self.referenced = self._named(reference.table)
        for name in made.columns:
            if self._column(name).generated == "v":
                self._fails("0A000", f"{ident(name)} is a virtual generated column, which no foreign key can hold")
        for name in reference.columns:
            self._column(name, parent)
        self._taken(relation=False)
        if table.kind == "p" and made.says("only"):
            self._fails("42809", f"{table.sql} is partitioned: its foreign keys cannot be declared with ONLY")
        if table.kind == "p" and made.says("not valid") and self.major < 18:
            self._fails(
                "42809", f"{table.sql} is partitioned: its foreign keys cannot be NOT VALID before PostgreSQL 18"
            )
        self._refuse_foreign_partitions()
        if table.persistence == "p" and parent.persistence != "p":
            self._fails("42P16", f"{parent.sql} is unlogged, and {table.sql} is not")
        self._actions()
        index = self._parents_key(parent, reference.columns)
        columns = reference.columns or (index.columns if index is not None else None) or ()
        if not columns:
            return
        if len(columns) != len(made.columns):
            self._fails("42830", f"{plural(len(made.columns), 'column')} cannot reference {len(columns)}")
            return
        pairs = list(zip(made.columns, columns, strict=True))
        compared = [self._compared(index, *pair) for pair in pairs] if index is not None else [_EQUAL] * len(pairs)
        if any(pair is None for pair in compared):
            return
        self.key = ForeignKey(
            oid=0,
            name=made.name or ddl.short(table.name, *made.columns, "fkey"),
            table=table.oid,
            columns=made.columns,
            referenced=parent.oid,
            referenced_columns=columns,
            on_delete=reference.on_delete,
            on_update=reference.on_update,
            match=reference.match,
            delete_set_columns=reference.set_columns,
            operators=tuple(pair[0] for pair in compared if pair is not None),
            casts=tuple(pair[1] for pair in compared if pair is not None),
            validated=False,
            enforced=True,
            deferrable=made.says("deferrable"),
            deferred=made.says("deferred"),
            parent=0,
            period=False,
            index=index.oid if index is not None else 0,
            definition="",
        )
        if index is None and not all(map(self._comparable, pairs)):
            return
        self._skipped()
        yield "whatif/foreign-key", Ask(self.subject, Unmatched.of_key(table, self.key, parent), self._orphans)

    def _comparable(self, pair: tuple[str, str]) -> bool:
        """Without a key over the referenced columns no operator is chosen: whether `=` alone would do."""
        assert self.referenced is not None
        return self._column(pair[0]).base_oid == self._column(pair[1], self.referenced).base_oid

    def _actions(self) -> None:
        made, reference = self.definition, self.definition.reference
        assert reference is not None
        if reference.set_columns and self.major < 15:
            self._fails("42601", "ON DELETE SET takes a list of columns from PostgreSQL 15 on")
        for name in reference.set_columns:
            if self._column(name).name not in made.columns:
                self._fails("42P10", f"{ident(name)} is to be set, and is no column of the foreign key")
        changing = reference.on_delete in "nd" or reference.on_update in "cnd"
        if changing and any(self._column(name).generated for name in made.columns):
            self._fails("42601", "the actions would change a generated column")

    def _parents_key(self, parent: Table, columns: tuple[str, ...]) -> Index | None:
        """The unique index that the foreign key would rest on (documentation: CREATE TABLE, REFERENCES)."""
        if not columns:
            index = next((index for index in parent.indexes if index.primary and index.valid), None)
            if index is None:
                self._fails("42704", f"{parent.sql} has no primary key")
        else:
            if len(set(columns)) < len(columns):
                self._fails("42830", f"a column of {parent.sql} is referenced twice")
                return None
            serving = [
                index
                for index in parent.indexes
                if index.unique and index.valid and not index.exclusion and index.predicate is None
                if len(index.keys) == len(columns) and set(index.columns or ()) == set(columns)
            ]
            index = next((index for index in serving if index.immediate), next(iter(serving), None))
            if index is None:
                self._fails("42830", f"no unique key of {parent.sql} is over {idents(columns)}")
        if index is not None and not index.immediate:
            self._fails("55000", f"the key {ident(index.name)} of {parent.sql} is deferrable")
        return index

    def _compared(
        self, index: Index, name: str, referenced: str
    ) -> tuple[tuple[str, str], tuple[str | None, str | None]] | None:
        """The operator that compares the two columns, and the types it takes them as; None where the server finds none.

        Source: tablecmds.c, ATAddForeignKeyConstraint: an operator of the key's family for both types, or else the key's
        own equality, where the referencing type is implicitly taken for it.
        """
        assert self.referenced is not None
        mine, theirs = self._column(name), self._column(referenced, self.referenced)
        position = [key.column for key in index.keys].index(referenced)
        own = f"{mine.base_oid}::pg_catalog.oid"
        direct = " AND ".join(
            f"EXISTS (SELECT FROM pg_catalog.pg_amop AS a WHERE a.amopfamily = c.opcfamily AND a.amopstrategy = 3 AND"
            f" a.amoplefttype = {left} AND a.amoprighttype = {own})"
            for left in ("c.opcintype", own)
        )
        rows = self.evaluator.fetch(
            f"SELECT c.opcintype::pg_catalog.int8, n.nspname, o.oprname, o.oprleft::pg_catalog.int8,"
            f" o.oprright::pg_catalog.int8, a.amoprighttype = {own} AND {direct}, (SELECT pg_catalog.max(t.castfunc::pg_catalog.int8)"
            f" FROM pg_catalog.pg_cast AS t WHERE t.castsource IN ({mine.base_oid}, {mine.type_oid})"
            " AND t.casttarget = c.opcintype AND t.castcontext = 'i')"
            f" FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_opclass AS c ON c.oid = i.indclass[{position}]"
            f" JOIN pg_catalog.pg_amop AS a ON a.amopfamily = c.opcfamily AND a.amopstrategy = 3"
            f" AND a.amoplefttype = c.opcintype AND a.amoprighttype IN ({own}, c.opcintype)"
            " JOIN pg_catalog.pg_operator AS o ON o.oid = a.amopopr JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace"
            f" WHERE i.indexrelid = {index.oid} AND c.opcmethod = 403 ORDER BY 6 DESC"
        )
        for input_type, schema, operator, left, right, exact, implicit in rows:
            taken = int(input_type or 0)
            same = mine.base_oid == taken or (taken in _POLYMORPHIC and mine.base_oid == theirs.base_oid)
            if not same and exact != "t" and int(implicit or 0) >= 16384:
                self.unjudged.append(("unsafe_code", f"comparing {ident(name)} would run a cast of its type's owner"))
                return None
            if exact == "t" or implicit is not None or same:
                types = self.catalog.types
                casts = compared_as(theirs, int(left or 0), types), compared_as(mine, int(right or 0), types)
                if self.major >= 18 and not self._collated(mine, theirs):
                    return None
                return (str(schema), str(operator)), casts
        said = f"{ident(name)} is {mine.type} and {self.referenced.sql}.{ident(referenced)} is {theirs.type}"
        self._fails("42804", f"{said}: no operator of the key compares them")
        return None

    def _collated(self, mine: Column, theirs: Column) -> bool:
        differ = mine.collation != theirs.collation and mine.collatable and theirs.collatable
        if differ and not (mine.deterministic and theirs.deterministic):
            said = f"{ident(mine.name)} and {ident(theirs.name)} have different collations"
            self._fails("42P21", f"{said}, one of which is not deterministic")
            return False
        return True

    def _orphans(self, answer: Answer) -> Finding | None:
        parent, key = self.referenced, self.key
        assert parent is not None
        assert key is not None
        if not answer.count:
            return None
        rows, gone = plural(answer.count, "row"), plural(answer.groups, "row")
        relation = Reference(self.table, key.columns, parent, key.referenced_columns, configured=True)
        enacting = self._meant.enacting()
        declared = None if self.constraint_key else (key.name, enacting.sql, enacting.locks)
        fixes = orphan_fixes(answer, relation, self.constraint_key or key, declared)
        points = "points" if answer.count == 1 else "point"
        does = "does" if answer.groups == 1 else "do"
        title = f"{rows} of {self.table.sql} {points} to {gone} of {parent.sql} that {does} not exist"
        if key.match == "f":
            title = f"{rows} of {self.table.sql} {points} to no row of {parent.sql}, or {points} there in part"
        message = f"{idents(key.columns)} must find its row in {parent.sql} ({idents(key.referenced_columns)})."
        return self._finding(answer, "23503", title, message, self.subject, fixes)

    # --- VALIDATE -----------------------------------------------------------------------------------------------------

    def _validate(self) -> Iterator[tuple[str, Result]]:
        table, name = self.table, self.definition.name or ""
        key = next((key for key in table.foreign_keys if key.name == name), None)
        other = next((c for c in table.constraints if c.name == name), None)
        if key is None and other is None:
            yield from self._unknown(name)
            return
        found = key or other
        assert found is not None
        self.subject = table.object("constraint", name, found.columns)
        if other is not None and other.type not in ("cn" if self.major >= 18 else "c"):
            self._fails(
                "42809",
                f"{ident(name)} is no constraint that can be validated: only foreign keys, CHECKs and NOT NULLs are",
            )
            return
        if not found.enforced:
            self._fails("42809", f"{ident(name)} is NOT ENFORCED, which cannot be validated")
        elif found.validated:
            self.nothing = f"the server calls {ident(name)} valid already: VALIDATE reads no row"
            return
        inherits = other is not None and not other.no_inherit
        if self.definition.says("only") and table.children and inherits:
            self._fails(
                "42P16", f"{table.sql} has children: the constraint has to be validated on them too, without ONLY"
            )
        if key is not None:
            self.key = self.constraint_key = key
            self.referenced = {**self.catalog.beyond, **self.catalog.tables}[key.referenced]
            if key.period:
                self.unjudged.append(("unsupported", "of a PERIOD key VALIDATE checks less than the key promises"))
                return
            yield "whatif/foreign-key", Ask(self.subject, Unmatched.of_key(table, key, self.referenced), self._orphans)
        elif other is not None:
            self.constraint = other
            if other.type == "n":
                yield from self._nulls(list(other.columns))
                return
            condition = self.evaluator.judged(
                tuple(bare(Scanner(other.expression or "").tokens)), "the CHECK", index=False, boolean=True
            )
            if condition is not None:
                yield self._breaking(condition, other.no_inherit)

    def _unknown(self, name: str) -> Iterator[tuple[str, Result]]:
        """A constraint that the catalog does not hold: a NOT NULL that is valid (18), or none."""
        table = self.table
        rows = self.evaluator.fetch(
            f"SELECT conname FROM pg_catalog.pg_constraint WHERE conrelid = {table.oid} ORDER BY 1"
        )
        known = [str(row[0]) for row in rows]
        if name not in known:
            raise UsageError(f"the statement: {table.sql} has no constraint {name}{nearest(name, known)}")
        self.nothing = f"the server calls {ident(name)} valid already: VALIDATE reads no row"
        yield from ()

    # --- the answer ---------------------------------------------------------------------------------------------------

    def _skipped(self) -> None:
        if self.definition.says("not enforced"):
            self.unread = "NOT ENFORCED: no row is looked at, now or later"
        elif self.definition.says("not valid"):
            self.unread = "NOT VALID: the rows that are there are not looked at"

    def _finding(
        self, answer: Answer, state: str, what: str, message: str, subject: Object, fixes: tuple[Fix, ...]
    ) -> Finding:
        """A finding of rows in the way: of the statement, or of the VALIDATE that is to follow it."""
        made = self.definition
        if not (made.says("not valid") or made.says("not enforced")):
            return Finding(
                Severity.ERROR, subject, f"It would fail ({state}): {what}", message + self._lock_said(), fixes=fixes
            )
        if made.says("not enforced"):
            title = f"It would go through, NOT ENFORCED, and {what}"
            message += " Nothing ever refuses such rows."
        else:
            title = f"It would go through, NOT VALID; VALIDATE would fail ({state}): {what}"
            message += " New rows and changes are checked from then on; a row that breaks it already stays."
        return Finding(Severity.WARNING, subject, title, message + self._lock_said(), fixes=fixes)

    def holds(self, read: int) -> Finding:
        """What is said when nothing is in the way: `read` rows were looked at."""
        table = self.table
        title = f"It would hold today: {plural(read, 'row')} of {table.sql} read, none in the way"
        message = "Nothing that an audit can see is in the way of the statement; rows that come later may be."
        evidence: Evidence | None = Evidence(0, rows_examined=read)
        if self.nothing:
            title, message, evidence = f"It would do nothing: {self.nothing}", "No row was read.", None
        elif self.unread:
            rows = f"; {plural(read, 'row')} read, none would break it" if read else ""
            title = f"It would go through: {self.unread}{rows}"
            evidence = evidence if read else None
        fixes: tuple[Fix, ...] = ()
        if not self.nothing:
            message += self._lock_said()
            enacting = self._meant.enacting()
            if enacting.safer and not self.unread:
                what = "Have the same without keeping others waiting"
                fixes = (
                    Fix(what, enacting.sql, enacting.rollback, enacting.locks, enacting.caveats, recommended=True),
                )
        return Finding(
            Severity.INFO,
            self.subject,
            title,
            message,
            evidence=evidence,
            fixes=fixes,
            check="whatif/statement",
        )

    @property
    def _meant(self) -> Meant:
        return Meant(
            self.catalog,
            self.definition,
            self.table,
            self.referenced,
            self.subject.columns,
            self.keys,
            self.where,
            self.key,
            self.unread,
        )

    def _lock_said(self) -> str:
        return f" The statement takes {self._meant.locks()}."


_EQUAL: tuple[tuple[str, str], tuple[str | None, str | None]] = (("pg_catalog", "="), (None, None))


def _text(term: Term) -> str:
    return written(term.tokens)


def _is_call(tokens: Sequence[Token]) -> bool:
    """Whether it is one function call, which CREATE INDEX takes without parentheses."""
    if len(tokens) < 3 or not tokens[0].names or not tokens[1].marks("(") or not tokens[-1].marks(")"):
        return False
    return not keyword(tokens[0]) and len(bare(tokens[1:])) == len(tokens) - 3
