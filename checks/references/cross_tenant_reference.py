"""A row of one tenant points to a row of another.

Both tables say whose a row is, and for these rows they disagree: one customer sees, bills or deletes what belongs to another. The
foreign key is content, since it compares the id alone. An error where the configuration names the tenant's columns
(`[tenant]`); else a warning, for a column like `org_id` that both tables have, that three tables or more carry, and about which
nearly all rows agree.

Not flagged: rows whose tenant, or whose parent's tenant, is NULL, since they belong to nobody or to all; references whose key
contains the tenant, which cannot disagree; the reference to the tenant itself; pairs more than a twentieth of whose rows
disagree, which are shared on purpose, unless the configuration says otherwise.

Fix: a composite foreign key over tenant and id, after each row is detached or handed over.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from auditor import ddl
from auditor.catalog.discriminators import believed, tenant_columns
from auditor.catalog.infer import relations
from auditor.catalog.model import Catalog, ForeignKey, Reference
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.companion_remedies import update
from auditor.probe import Answer, Unmatched, referenced_name
from auditor.text import ident, idents, plural, qualified

severity = Severity.ERROR
depths = (Depth.DATA,)


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        for relation, key in relations(catalog, table):
            found = tenant_columns(catalog, table, relation.referenced)
            if found is None:
                continue
            own, other, configured = found
            subject = table.object("constraint" if key else "column", key.name if key else "", relation.columns)
            tenants = {end.referenced.oid for end, _ in relations(catalog, table) if end.columns == (own,)}
            if own in relation.columns or other in relation.referenced_columns or relation.referenced.oid in tenants:
                yield Clean(subject)
                continue
            probe = question(relation, key, own, other)
            verdict = partial(
                judged, catalog=catalog, subject=subject, relation=relation, key=key, probe=probe, configured=configured
            )
            if relation.configured:
                yield Ask(subject, probe, verdict)
            else:
                first = partial(borne_out, subject=subject, relation=relation, probe=probe, then=verdict)
                yield Ask(subject, Unmatched.of(relation), first)


def question(relation: Reference, key: ForeignKey | None, own: str, other: str) -> Unmatched:
    """Rows whose parent belongs to somebody, and for which no parent belongs to the row's own tenant."""
    table, parent = relation.table, relation.referenced
    asked = Unmatched.of_key(table, key, parent) if key else Unmatched.of(relation)
    alias = referenced_name(table)
    joined = " AND ".join(asked.joins(table.name, alias))
    only = "ONLY " if asked.only and parent.only else ""
    owned = (
        f"EXISTS (SELECT 1 FROM {only}{parent.sql} AS {alias} WHERE {joined} AND {alias}.{ident(other)} IS NOT NULL)"
    )
    return replace(
        asked,
        columns=(*asked.columns, own),
        referenced_columns=(*asked.referenced_columns, other),
        operators=(*asked.equality, ("pg_catalog", "=")),
        casts=(*asked.casts, (None, None)) if asked.casts else (),
        match="s",
        where=f"({asked.where}) AND {owned}" if asked.where else owned,
    )


def borne_out(
    answer: Answer, subject: Object, relation: Reference, probe: Unmatched, then: partial[Finding | None]
) -> Ask | None:
    return Ask(subject, probe, then) if believed(answer.examined, answer.count, relation) else None


def judged(
    answer: Answer,
    catalog: Catalog,
    subject: Object,
    relation: Reference,
    key: ForeignKey | None,
    probe: Unmatched,
    configured: bool,
) -> Finding | None:
    if not answer.count or not (configured or 20 * answer.count <= answer.examined):
        return None
    table, parent = relation.table, relation.referenced
    own, other = probe.columns[-1], probe.referenced_columns[-1]
    proven = configured and relation.configured
    one = answer.count == 1
    how = (
        ""
        if configured
        else f" That {ident(own)} names the tenant is told by its name and by the tables that carry it."
    )
    return Finding(
        Severity.ERROR if proven else Severity.WARNING,
        subject,
        title=f"{plural(answer.count, 'row')} of {table.sql} {'points to a row' if one else 'point to rows'} of"
        f" {parent.sql} of another {ident(own)}",
        message=f"{table.sql}.{ident(own)} differs from {parent.sql}.{ident(other)} there, for {answer.count:,} of"
        f" {plural(answer.examined, 'row')} that point to a row with an owner: one tenant sees or changes what belongs to"
        f" another. The reference ({idents(relation.columns)}) compares no {ident(own)}.{how}",
        confidence=Confidence.PROVEN if proven else Confidence.SUSPECTED,
        related=(parent.object(columns=(*relation.referenced_columns, other)),),
        fixes=fixes(answer, catalog, relation, key, probe),
    )


def fixes(
    answer: Answer, catalog: Catalog, relation: Reference, key: ForeignKey | None, probe: Unmatched
) -> tuple[Fix, ...]:
    table, parent = relation.table, relation.referenced
    own, other = probe.columns[-1], probe.referenced_columns[-1]
    where = answer.evidence.where or "false"
    after, undo, locks, caveats = composite(catalog, relation, key, own, other)
    copy = ddl.free_name(table, table.name, *relation.columns, "foreign")
    made = []
    nullable = [name for name in relation.columns if table.by_name[name].takes_null]
    if nullable and table.row_key and not set(nullable) & set(table.row_key):
        made.append(
            Fix(
                "Detach the rows, keeping a copy",
                (ddl.keep_rows(table, where, copy), ddl.set_null(table, nullable, where)),
                (ddl.restore_values(table, nullable, copy), f"DROP TABLE {qualified(table.schema, copy)};"),
                ddl.LOCK_ROWS,
                (f"What each row pointed to stands only in {qualified(table.schema, copy)} afterwards.",),
            )
        )
    alias = referenced_name(table)
    joined = " AND ".join(
        replace(
            probe,
            columns=relation.columns,
            referenced_columns=relation.referenced_columns,
            operators=probe.operators[:-1],
            casts=probe.casts[:-1],
        ).joins(table.name, alias)
    )
    theirs = f"(SELECT {alias}.{ident(other)} FROM {parent.sql} AS {alias} WHERE {joined} LIMIT 1)"
    if own not in table.row_key:
        said = ["Make sure that each row is the other tenant's: it changes hands, and with it who may read it."]
        made.append(
            update(
                f"Hand the rows over to the {ident(other)} of what they point to",
                table,
                {own: theirs},
                where,
                said,
                relation.columns,
            )
        )
    made.append(
        Fix(
            "Delete the rows, keeping a copy",
            (ddl.keep_rows(table, where, copy), ddl.delete(table, where)),
            (ddl.restore_rows(table, copy), f"DROP TABLE {qualified(table.schema, copy)};"),
            ddl.LOCK_ROWS,
            ("Rows that reference the deleted ones follow their own ON DELETE action, which may refuse.",),
        )
    )
    whole = [
        Fix(
            f"{fix.title}{', then let a composite key compare both' if after else ''}",
            (*fix.sql, *after),
            (*undo, *fix.rollback) if fix.rollback else (),
            f"{fix.locks}; {locks}" if locks else fix.locks,
            (*fix.caveats, *caveats),
        )
        for fix in made
    ]
    return (whole[0].recommend(), *whole[1:])


def composite(
    catalog: Catalog, relation: Reference, key: ForeignKey | None, own: str, other: str
) -> tuple[tuple[str, ...], tuple[str, ...], str, tuple[str, ...]]:
    """A foreign key that compares the tenant too: statements, those that take it back, locks, caveats."""
    table, parent = relation.table, relation.referenced
    columns, keys = (own, *relation.columns), (other, *relation.referenced_columns)
    if relation.where or parent.by_name[other].may_hold_null:
        return (
            (),
            (),
            "",
            ("No composite foreign key can follow: rows without a tenant, or of another kind, are parents too.",),
        )
    resting = any(
        index.enforces and index.immediate and index.predicate is None and set(index.columns or ()) == set(keys)
        for index in parent.indexes
    )
    if not resting and parent.kind == "p":
        return (), (), "", (f"A composite foreign key needs a unique key ({idents(keys)}) of {parent.sql} first.",)
    sql, undo, locks = [], [], []
    if not resting:
        index = ddl.free_name(parent, parent.name, *keys, "key")
        sql.append(ddl.unique_index(parent, index, [ident(name) for name in keys]))
        undo.append(ddl.drop_index(parent, index))
        locks.append(f"the index: {ddl.LOCK_CONCURRENTLY}")
    name = ddl.free_name(table, table.name, *columns, "fkey")
    caveats = []
    if key is not None:
        sets = key.on_delete in "nd"
        listed = sets and catalog.server.major >= 15
        both = replace(
            key,
            name=name,
            columns=columns,
            referenced_columns=keys,
            on_delete="a" if sets and not listed else key.on_delete,
            on_update="a" if key.on_update in "nd" else key.on_update,
            delete_set_columns=key.delete_set_columns or key.columns if listed else (),
            match="s",
            validated=True,
            enforced=True,
        )
        sql.append(ddl.add_foreign_key(table, both, parent))
        caveats.append(
            f"{ident(key.name)} stays: it still checks rows without a tenant, and may go where there are none."
        )
    else:
        sql.append(ddl.new_foreign_key(table, columns, parent, keys, name))
    if ddl.may_be_not_valid(table):
        sql.append(ddl.validate(table, name))
        locks.append(f"ADD: {ddl.LOCK_ADD_KEY}; VALIDATE: {ddl.LOCK_VALIDATE}")
    else:
        locks.append(f"ADD: {ddl.LOCK_ADD_WHOLE}")
    return tuple(sql), (ddl.drop_constraint(table, name), *undo), "; ".join(locks), tuple(caveats)
