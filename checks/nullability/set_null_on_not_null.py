"""A foreign key promises SET NULL on a column that cannot be NULL.

PostgreSQL accepts the definition and fails when it is used: deleting (or re-keying) a referenced row raises 23502, or
23514 where a CHECK forbids NULL, and the application shows an error for an ordinary deletion. The counts say how many
referenced rows cannot be deleted today because rows point to them.

Not flagged: `SET NULL (columns)` lists (15 and later) that leave the column out; columns that take NULL; keys that set
nothing to NULL.

Fix: NO ACTION, which says what happens anyway; or DROP NOT NULL, so that the promise can be kept; or CASCADE.
"""

import re
from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.model import Catalog, ForeignKey, Table
from auditor.check import Ask, Clean, Depth, Finding, Fix, Object, Result, Severity
from auditor.probe import Answer, Pairs
from auditor.text import ident, listed, plural, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)


def check(catalog: Catalog) -> Iterator[Result]:
    for table, key, parent in catalog.foreign_keys:
        if "n" not in (key.on_delete, key.on_update) or not key.enforced:
            continue
        subject = table.object("constraint", key.name, key.columns)
        refused = conflicts(catalog, table, key)
        if not refused:
            yield Clean(subject)
            continue
        finding = partial(
            judged, catalog=catalog, subject=subject, table=table, key=key, parent=parent, refused=refused
        )
        # The parents whose deletion fails now: those another row points to.
        probe = Pairs(
            parent,
            key.referenced_columns,
            table,
            key.columns,
            operators=key.operators,
            casts=key.casts,
            reverse=True,
            other_row=table is parent,
        )
        yield Ask(subject, probe, finding, unread=finding(None))


def conflicts(catalog: Catalog, table: Table, key: ForeignKey) -> dict[str, str]:
    """Each column that SET NULL would set, and what refuses NULL there."""
    columns = set(key.columns) if key.on_update == "n" else set(key.delete_set_columns or key.columns)
    found: dict[str, str] = {}
    for name in [c for c in key.columns if c in columns]:
        column = table.by_name[name]
        required = [c.name for c in table.constraints if c.type == "c" and c.enforced and demands(c.expression, name)]
        if name in table.primary_key:
            found[name] = "part of the primary key"
        elif column.not_null:
            found[name] = "NOT NULL"
        elif column.domain_not_null:
            kind = catalog.types[column.type_oid]
            found[name] = f"of the domain {qualified(kind.schema, kind.name)}, which is NOT NULL"
        elif any(demands(c.expression, "VALUE") for c in catalog.types[column.type_oid].checks):
            found[name] = f"of the domain {column.type}, whose CHECK forbids NULL"
        elif required:
            found[name] = f"under the CHECK {ident(required[0])}, which forbids NULL"
        elif any(i.enforces and i.nulls_not_distinct and set(i.columns or ()) == columns for i in table.indexes):
            found[name] = "unique with NULLS NOT DISTINCT, so that one row at most can be NULL"
    if key.match == "f" and key.delete_set_columns and set(key.delete_set_columns) != set(key.columns) and not found:
        found = {name: "set to NULL alone, which MATCH FULL forbids" for name in key.delete_set_columns}
    return found


def demands(expression: str | None, column: str) -> bool:
    """Whether a CHECK consists of `column IS NOT NULL`, alone or joined to other conditions by AND."""
    name = column if column == "VALUE" else ident(column)
    return any(part.strip("() ") == f"{name} IS NOT NULL" for part in re.split(r"\bAND\b", expression or "")) and not (
        re.search(r"\b(OR|NOT \(|CASE)\b", expression or "")
    )


def judged(
    answer: Answer | None,
    catalog: Catalog,
    subject: Object,
    table: Table,
    key: ForeignKey,
    parent: Table,
    refused: dict[str, str],
) -> Finding:
    verbs = [verb for action, verb in ((key.on_delete, "deleted"), (key.on_update, "re-keyed")) if action == "n"]
    clause = listed([f"ON {'DELETE' if verb == 'deleted' else 'UPDATE'} SET NULL" for verb in verbs])
    column, why = next(iter(refused.items()))
    reason = f"{table.sql}.{ident(column)} is {why}, but {clause}"
    done = listed(verbs, "or")
    if answer is None:
        title = f"Referenced rows of {parent.sql} cannot be {done}: {reason}"
    elif answer.count:
        title = f"{answer.count:,} of {plural(answer.examined, 'row')} of {parent.sql} cannot be {done}: {reason}"
    else:
        title = f"Rows of {parent.sql} cannot be {done} once referenced: {reason}"
    above = cascading(catalog, parent)
    sqlstate = (
        "23514" if "CHECK" in why else "23505" if "NULLS NOT DISTINCT" in why else "23503" if "FULL" in why else "23502"
    )
    message = (
        f"The foreign key {ident(key.name)} promises to set {listed([ident(c) for c in refused])} to NULL,"
        f" and the column refuses: the statement fails with SQLSTATE {sqlstate} as soon as one row of {table.sql}"
        f" points to the row of {parent.sql}."
    )
    if above:
        message += f" Deleting from {listed(above, 'or')} fails too, where it cascades to such rows."
    return Finding(
        severity,
        subject,
        title=title,
        message=message,
        related=(parent.object(columns=key.referenced_columns),),
        fixes=fixes(catalog, table, key, parent, refused),
    )


def cascading(catalog: Catalog, table: Table) -> list[str]:
    """Tables whose deletes cascade down to `table`."""
    reached = {table.oid}
    todo, found = [table], []
    while todo:
        current = todo.pop()
        for key in current.foreign_keys:
            if key.on_delete == "c" and key.referenced not in reached and key.referenced in catalog.tables:
                reached.add(key.referenced)
                todo.append(catalog.tables[key.referenced])
                found.append(catalog.tables[key.referenced].sql)
    return sorted(found)


def fixes(catalog: Catalog, table: Table, key: ForeignKey, parent: Table, refused: dict[str, str]) -> tuple[Fix, ...]:
    back = ddl.replace_foreign_key(table, key, parent)
    locks = f"{ddl.LOCK_ADD_KEY}; VALIDATE: {ddl.LOCK_VALIDATE}"

    def with_action(action: str) -> tuple[str, ...]:
        changed = {
            "on_delete": action if key.on_delete == "n" else None,
            "on_update": action if key.on_update == "n" else None,
        }
        return ddl.replace_foreign_key(table, key, parent, **changed)

    made = [
        Fix(
            "Say NO ACTION: the deletion is refused as it is now, and the schema says so",
            with_action("a"),
            back,
            locks,
            ("Whoever deletes a row has to move or delete the rows that point to it first.",),
            recommended=True,
        )
    ]
    allow, forbid, caveats = [], [], ["Code that reads the column must expect NULL."]
    for name, why in refused.items():
        alter = f"ALTER TABLE {table.sql} ALTER COLUMN {ident(name)}"
        if why == "NOT NULL":
            allow.append(f"{alter} DROP NOT NULL;")
            forbid.append(f"{alter} SET NOT NULL;")
        elif "CHECK" in why and "domain" not in why:
            for constraint in table.constraints:
                if constraint.type == "c" and demands(constraint.expression, name):
                    allow.append(ddl.drop_constraint(table, constraint.name))
                    forbid.append(
                        f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(constraint.name)} {constraint.definition};"
                    )
        elif "domain" in why and "CHECK" not in why:
            column = table.by_name[name]
            kind = catalog.types[column.type_oid]
            allow.append(f"ALTER DOMAIN {qualified(kind.schema, kind.name)} DROP NOT NULL;")
            forbid.append(f"ALTER DOMAIN {qualified(kind.schema, kind.name)} SET NOT NULL;")
            caveats.append("The domain changes for every column that uses it.")
    if len(allow) >= len(refused):
        made.append(
            Fix(
                "Let the column be NULL: the promise is kept",
                tuple(allow),
                tuple(reversed(forbid)),
                ddl.LOCK_ALTER,
                (*caveats, "The rollback fails once rows hold NULL."),
            )
        )
    made.append(
        Fix(
            f"CASCADE: rows of {table.sql} go with the row they point to",
            with_action("c"),
            back,
            locks,
            (f"Deleting a row of {parent.sql} then deletes rows of {table.sql}, and what cascades from there.",),
        )
    )
    return tuple(made)
