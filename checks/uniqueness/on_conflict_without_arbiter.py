"""An ON CONFLICT names columns or a constraint that no unique index serves: the statement cannot run.

PostgreSQL accepts the function, and a prepared statement, and fails when it plans them: SQLSTATE 42P10, "there is no
unique or exclusion constraint matching the ON CONFLICT specification", on every call. The usual causes are a unique
constraint that is missing in this database, or one that became a partial index. ON CONSTRAINT with a name that is no
constraint fails with 42704, or with 42809 where no index stands behind it; a deferrable constraint with 55000, when the
statement is executed; a table with rules for INSERT or UPDATE with 0A000.

Read are the bodies of functions and procedures in SQL and PL/pgSQL with what they EXECUTE, as far as it is constant;
rules; what pg_stat_statements has recorded in this database, where this login may see it; files given with `--sql`.
The inference is PostgreSQL's own; where expressions or predicates are spelled differently, the server is asked to plan
the statement (EXPLAIN, nothing is inserted). The duplicates that stand in the way of the missing key are counted.

Not flagged: statements that an index serves (columns in any order, a partial index whose predicate the statement
repeats or implies, the same expression, a view over such a table); ON CONFLICT DO NOTHING without a target; temporary
tables that the function makes itself; a recorded statement that a function or a file says too. Suspected only: the table
is one of several of that name. Not checked: text put together at run time, predicates over parameters, tables that
cannot be told, other languages and dialects.

Fix: the missing unique key, built concurrently after the duplicates are cleared away; or the statement names the key
that exists.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.arbiter import Arbiter, Use, columns_of, conditions, countable, infer, plannable, spelled, uses
from auditor.catalog.model import Catalog, Index, Table
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.key_remedies import (
    attach,
    drop_key,
    key_terms,
    kind_of,
    make_unique,
    restore_key,
    shown,
)
from auditor.probe import Answer, Duplicates, Key, Planned
from auditor.text import ident, listed, plural, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)
supersedes = ("uniqueness/one-to-one-not-unique",)


def check(catalog: Catalog) -> Iterator[Result]:
    judged: dict[tuple[Object, str, str], list[Use]] = {}
    for use in uses(catalog):
        if use.problem:
            yield NotChecked(use.subject, "unsupported", use.problem)
        else:
            # One function may say the same twice; of different predicates each is judged.
            judged.setdefault((use.subject, use.clause, use.upsert.action), []).append(use)
    for (subject, *_), same in judged.items():
        use, table = same[0], same[0].table
        assert table is not None
        arbiter = infer(table, use.upsert)
        if arbiter.served:
            yield Clean(subject)
        elif not arbiter.unsure:
            yield reported(catalog, use, same, arbiter)
        elif catalog.server.is_standby:
            yield NotChecked(
                subject,
                "unsupported",
                "whether its expressions fit only the server can tell, which plans no INSERT in recovery",
            )
        elif use.parameters:
            yield NotChecked(
                subject, "unsupported", f"whether an index fits {use.clause} is a matter of its parameters"
            )
        elif not plannable(table, (*use.upsert.targets, use.upsert.predicate)):
            yield NotChecked(subject, "unsafe_code", f"planning {use.clause} would run functions that it names")
        else:
            targets = tuple(spelled(table, text) for text in use.upsert.targets)
            predicate = spelled(table, use.upsert.predicate) if use.upsert.predicate else None
            yield Ask(
                subject,
                Planned(table, targets, predicate),
                partial(unless_planned, catalog=catalog, use=use, same=same),
                depth=Depth.CATALOG,
            )


def unless_planned(answer: Answer, catalog: Catalog, use: Use, same: list[Use]) -> Finding | Ask | None:
    """Nothing to say about a statement that the server plans."""
    if answer.count:
        return None
    return reported(
        catalog, use, same, Arbiter(sqlstate="42P10", why="the server finds no unique index for it", missing=True)
    )


def reported(catalog: Catalog, use: Use, same: list[Use], arbiter: Arbiter) -> Finding | Ask:
    """The finding; with a question about duplicates where a key is missing and they may be counted."""
    table = use.table
    assert table is not None
    finding = partial(verdict, catalog=catalog, use=use, same=same, table=table, arbiter=arbiter)
    texts = (*use.upsert.targets, use.upsert.predicate)
    if not arbiter.missing or not countable(texts):
        return finding(None)
    keys = tuple(
        Key(ident(name), name) if name in table.by_name else Key(text)
        for text, name in zip(use.upsert.targets, columns_of(use.upsert.targets), strict=True)
    )
    return Ask(use.subject, Duplicates(table, keys, use.upsert.predicate), finding, unread=finding(None))


def verdict(
    answer: Answer | None, catalog: Catalog, use: Use, same: list[Use], table: Table, arbiter: Arbiter
) -> Finding:
    in_the_way = ""
    if answer is not None and answer.count:
        in_the_way = f"; {plural(answer.count, 'row')} of {table.sql} share {plural(answer.groups, 'value')}"
    said = {
        "42P10": f"no unique index of {table.sql} serves {use.clause}{in_the_way}",
        "42704": f"{table.sql} has no constraint {ident(use.upsert.constraint or '')}, which {use.clause} names",
        "42809": f"the constraint {ident(use.upsert.constraint or '')} of {table.sql} cannot serve {use.clause}",
        "42601": "ON CONFLICT DO UPDATE needs a target",
        "55000": f"{use.clause} meets a deferrable constraint of {table.sql}",
        "0A000": f"{use.clause} is not supported beside the rules of {table.sql}",
    }[arbiter.sqlstate]
    who = use.who if use.function is not None else f"{use.who[0].upper()}{use.who[1:]}"
    through = f" through the view {use.view.sql}" if use.view is not None else ""
    message = (
        f"{_place(same)} inserts into {table.sql}{through} with {use.clause}, and {arbiter.why}: the statement fails"
        f" with SQLSTATE {arbiter.sqlstate} {'when it is executed' if arbiter.sqlstate == '55000' else 'each time it is planned'},"
        " whatever the rows."
    )
    if use.guessed:
        message += f" Several tables are called {ident(use.upsert.table)}: this is the one that it is taken to mean."
    if answer is not None and answer.count:
        message += " The missing UNIQUE cannot be created until the duplicates are gone."
    elif answer is not None:
        message += " No duplicates stand in the way of the missing UNIQUE."
    columns = columns_of(use.upsert.targets)
    return Finding(
        Severity.WARNING if use.guessed else severity,
        use.subject,
        title=f"{who} fails: {said}",
        message=message,
        related=(table.object(columns=tuple(name for name in columns if name in table.by_name)),),
        fixes=fixes(catalog, use, table, arbiter, duplicates=bool(answer is not None and answer.count)),
        confidence=Confidence.SUSPECTED if use.guessed else Confidence.PROVEN,
        defect=("not unique", table.oid, frozenset(columns)) if arbiter.missing else None,
    )


def _place(same: list[Use]) -> str:
    """The subject of the sentence about these upserts of one place."""
    use = same[0]
    if use.recorded or not use.place:
        return f"{use.who[0].upper()}{use.who[1:]}"
    lines = listed([str(other.upsert.line) for other in same])
    return f"{'Lines' if len(same) > 1 else 'Line'} {lines} of {'its body' if use.function is not None else use.said}"


def fixes(catalog: Catalog, use: Use, table: Table, arbiter: Arbiter, *, duplicates: bool) -> tuple[Fix, ...]:
    where = f"in {use.said}{f' ({use.place})' if use.place else ''}"
    if arbiter.sqlstate == "55000":
        return (immediate(catalog, table, arbiter.indexes[0]), rename(table, where, recommended=False))
    if not arbiter.missing:
        return (rename(table, where, recommended=True, arbiter=arbiter),)
    columns = columns_of(use.upsert.targets)
    plain = use.upsert.predicate is None and all(name in table.by_name for name in columns)
    near = same_columns(table, use)
    made = []
    invalid = next((i for i in near if not (i.valid and i.live) and table.kind != "p"), None)
    partial_index = next((i for i in near if i.valid and i.predicate is not None), None)
    if partial_index is not None:
        clause = f"ON CONFLICT ({', '.join(use.upsert.targets)}) WHERE {partial_index.predicate}"
        made.append(
            Fix(
                f"Repeat the predicate of {ident(partial_index.name)} in the statement",
                (),
                caveats=(
                    f"Change {use.clause} {where} to {clause}: the index exists, and serves only a statement that says so.",
                    "Rows outside the predicate are then inserted beside the others, and conflict with nothing.",
                ),
                recommended=True,
            )
        )
    if invalid is not None:
        name = qualified(table.schema, invalid.name)
        made.append(
            Fix(
                f"Rebuild the invalid index {ident(invalid.name)}",
                (f"REINDEX INDEX CONCURRENTLY {name};",),
                (),
                ddl.LOCK_CONCURRENTLY,
                ("It fails with SQLSTATE 23505 while duplicates are there: clear them away first.",),
                recommended=not made and not duplicates,
            )
        )
    texts = use.upsert.targets
    tombstone = catalog.soft_deletes.get(table.oid) if plain else None
    if tombstone is not None and partial_index is None:
        clause = f"ON CONFLICT ({', '.join(texts)}) WHERE {tombstone.live}"
        made.append(
            make_unique(
                catalog,
                table,
                texts,
                tombstone.live,
                duplicates=duplicates,
                columns=columns,
                title=f"build a unique index over {shown(texts)} among live rows, and have the statement repeat its WHERE",
                caveats=(f"Change {use.clause} {where} to {clause}: else it goes on failing.",),
                recommended=not any(fix.recommended for fix in made),
            )
        )
    caveats = [f"{shown(texts)} is then unique for every writer, not for this statement only."]
    if tombstone is not None:
        caveats.append(f"Deleted rows ({tombstone.deleted}) count too: their values cannot be used again.")
    made.append(
        make_unique(
            catalog,
            table,
            texts,
            use.upsert.predicate,
            duplicates=duplicates,
            columns=columns if plain else None,
            caveats=caveats,
            recommended=not any(fix.recommended for fix in made),
        )
    )
    if partial_index is None:
        made.append(rename(table, where, recommended=False))
    return tuple(made)


def same_columns(table: Table, use: Use) -> list[Index]:
    """Unique indexes over the same columns that do not serve."""
    wanted = set(columns_of(use.upsert.targets))
    return [i for i in table.indexes if i.unique and i.columns is not None and set(i.columns) == wanted]


def rename(table: Table, where: str, *, recommended: bool, arbiter: Arbiter | None = None) -> Fix:
    """Have the statement name what exists."""
    keys = []
    for index in table.indexes:
        if index.enforces and index.immediate and not index.exclusion:
            texts = [ident(key.column) if key.column is not None else f"({key.expression})" for key in index.keys]
            suffix = f" WHERE {index.predicate}" if conditions(index.predicate) else ""
            keys.append(f"({', '.join(texts)}){suffix}")
    none = "has none: add one first" if table.holds_rows else "has none, and cannot have one"
    offer = f"{table.sql} has {listed(keys, 'or')}" if keys else f"{table.sql} {none}"
    return Fix(
        "Change the statement, so that its ON CONFLICT names a key that exists",
        (),
        caveats=(
            f"Change it {where}: {offer}.",
            *([f"{arbiter.why[0].upper()}{arbiter.why[1:]}."] if arbiter is not None and arbiter.why else []),
            "Another key is another meaning: make sure that it is the one under which a row is to be found again.",
        ),
        recommended=recommended,
    )


def immediate(catalog: Catalog, table: Table, index: Index) -> Fix:
    """The same key without DEFERRABLE."""
    if index.exclusion or table.kind == "p" or index.primary:
        constraint = next(c for c in table.constraints if c.oid == index.constraint)
        return Fix(
            f"Make {ident(constraint.name)} anew, without DEFERRABLE",
            (),
            caveats=("Transactions that break the constraint for a moment then fail at once.",),
            recommended=True,
        )
    name = ddl.free_name(table, index.name, "now")
    build = ddl.unique_index(table, name, key_terms(table, index), index.predicate)
    return Fix(
        f"Make the {kind_of(table, index)} {ident(index.name)} not deferrable",
        (build, drop_key(table, index), attach(table, name)),
        (*restore_key(table, index), ddl.drop_constraint(table, name)),
        f"{ddl.LOCK_CONCURRENTLY}; DROP and ADD CONSTRAINT: {ddl.LOCK_ALTER}",
        ("Transactions that break the constraint for a moment, to swap two values, then fail with SQLSTATE 23505.",),
        recommended=True,
    )
