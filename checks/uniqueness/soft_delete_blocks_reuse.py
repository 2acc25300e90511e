"""A unique key counts soft-deleted rows, so that their values cannot be used again.

The application deletes a row by marking it, the unique key does not look at the mark, and whoever enters the same values
again gets SQLSTATE 23505, though no live row has them: an account cannot be reconnected, a name cannot be taken again.
An upsert on such a key is worse: it changes the deleted row, and leaves it deleted. The count is of deleted rows that
hold a key today.

Not flagged: primary keys; keys whose index leaves deleted rows out, or that contain the column that marks them; values
that are generated once and never entered again (uuids, sequences, tokens, hashes, the row's own id); deleted rows whose
key is NULL; tables listed under `reuse_unwanted` of `[soft_delete]`.

Fix: a partial unique index over the live rows, built concurrently, then drop the constraint or index. Not possible while
a foreign key rests on it: then revive the deleted row, or move deleted rows to an archive.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.infer import columns_in, singular, words
from auditor.catalog.model import Catalog, Index, SoftDelete, Table
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.key_remedies import both, key_terms, kind_of, names_of, referencing, relying, replace_by_partial
from auditor.probe import Answer, Matching
from auditor.text import ident, listed, plural, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)

_GENERATED = ("nextval(", "gen_random", "uuid_generate", "uuidv", "random(")
_TOKENS = {"token", "hash", "digest", "nonce", "secret", "uuid", "guid", "ulid"}
_IDS = {"id", "uuid", "guid", "oid"}


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.base_tables():
        tombstone = catalog.soft_deletes.get(table.oid)
        for index in table.indexes if tombstone is not None else ():
            if tombstone is None or not index.enforces or index.primary or index.exclusion:
                continue
            columns = tuple(key.column or key.expression for key in index.keys)
            subject = table.object(kind_of(table, index), index.name, columns)
            if table.oid in catalog.reuse_unwanted or excused(catalog, table, index, tombstone):
                yield Clean(subject)
                continue
            finding = partial(judged, catalog=catalog, subject=subject, table=table, index=index, tombstone=tombstone)
            yield Ask(subject, Matching(table, held(index, tombstone)), finding, unread=finding(None))


def excused(catalog: Catalog, table: Table, index: Index, tombstone: SoftDelete) -> bool:
    """Whether the key has nothing to do with deleted rows, or its values never come back."""
    texts = [index.predicate or "", *(key.expression for key in index.keys if key.column is None)]
    if any(tombstone.column in columns_in(text, table) for text in texts):
        return True
    columns = [key.column for key in index.keys if key.column is not None]
    return tombstone.column in columns or any(generated_once(catalog, table, name) for name in columns)


def generated_once(catalog: Catalog, table: Table, name: str) -> bool:
    """Whether values of the column are made up for each row: told by its type, its default, its name."""
    column = table.by_name[name]
    referring = {c for key in table.foreign_keys for c in key.columns}
    referring |= {c for reference in catalog.references if reference.table is table for c in reference.columns}
    if name in referring:
        return False
    said = words(name)
    noun = tuple(singular(word) for word in words(table.name))
    stem = said[:-1]
    own = bool(said) and said[-1] in _IDS and noun[len(noun) - len(stem) :] == stem
    return (
        column.type == "uuid"
        or bool(column.identity)
        or any(call in (column.default or "") for call in _GENERATED)
        or bool(set(said[-1:]) & _TOKENS)
        or said[-2:] == ("api", "key")
        or own
    )


def held(index: Index, tombstone: SoftDelete) -> str:
    """The predicate of deleted rows that hold a key of this index."""
    filled = []
    if not index.nulls_not_distinct:
        texts = [ident(key.column) if key.column is not None else f"({key.expression})" for key in index.keys]
        filled = [f"{text} IS NOT NULL" for text in texts]
    return " AND ".join(f"({part})" for part in (tombstone.deleted, index.predicate, *filled) if part)


def judged(
    answer: Answer | None, catalog: Catalog, subject: Object, table: Table, index: Index, tombstone: SoftDelete
) -> Finding:
    names, kind = names_of(index), kind_of(table, index)
    count = answer.count if answer is not None else 0
    if count:
        title = (
            f"{plural(count, 'deleted row')} of {table.sql} {'holds its' if count == 1 else 'hold their'} {names}:"
            " the same values cannot be inserted again"
        )
    else:
        title = f"Deleted rows of {table.sql} will hold their {names}: the same values could not be inserted again"
    message = (
        f"The unique {kind} {ident(index.name)} counts rows whose {tombstone.deleted} too. Inserting the values of such a"
        " row again fails with SQLSTATE 23505, although no live row has them."
    )
    resting = [use for use in relying(catalog, table, index, tombstone.live) if use.upsert.action == "update"]
    if resting:
        message += f" {listed([use.said for use in resting])} upserts on this key: it changes the deleted row, which stays deleted."
    return Finding(
        severity if count else Severity.WARNING,
        subject,
        title=title,
        message=message,
        confidence=Confidence.PROVEN if tombstone.configured else Confidence.SUSPECTED,
        related=tuple(child.object("constraint", key.name, key.columns) for child, key in referencing(catalog, index)),
        fixes=fixes(catalog, table, index, tombstone),
    )


def fixes(catalog: Catalog, table: Table, index: Index, tombstone: SoftDelete) -> tuple[Fix, ...]:
    revive = Fix(
        "Revive the deleted row instead of inserting a new one",
        (),
        caveats=(
            f"A change of the application: an upsert on {names_of(index)} whose DO UPDATE also sets {ident(tombstone.column)},"
            f" so that the row is live again ({tombstone.live}).",
            "The row keeps its key and all that references it, its history included.",
        ),
    )
    resting = referencing(catalog, index)
    if not resting:
        return replace_by_partial(catalog, table, index, key_terms(table, index), tombstone.live), revive
    keys = listed([f"{ident(key.name)} of {child.sql}" for child, key in resting])
    why = (
        f"A partial unique index is not possible here: the foreign key {keys} rests on this"
        f" {kind_of(table, index)}, and a foreign key cannot rest on a partial index."
    )
    return (
        Fix(revive.title, (), caveats=(why, *revive.caveats), recommended=True),
        archive(table, index, tombstone, why),
    )


def archive(table: Table, index: Index, tombstone: SoftDelete, why: str) -> Fix:
    """Moves the deleted rows that hold a key into a table of their own."""
    copy = ddl.short(table.name, "deleted")
    where = both(held(index, tombstone)) or "false"
    return Fix(
        "Move the deleted rows to an archive, so that their values are free",
        (ddl.keep_rows(table, where, copy), ddl.delete(table, where)),
        (ddl.restore_rows(table, copy), f"DROP TABLE {qualified(table.schema, copy)};"),
        ddl.LOCK_ROWS,
        (
            why,
            "Rows that reference the moved ones follow their own ON DELETE action, which may delete them, or refuse.",
            "It has to be done again for rows that are deleted later; the rollback fails for values in use again.",
        ),
    )
