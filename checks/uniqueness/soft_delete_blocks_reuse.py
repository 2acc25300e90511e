"""A unique key counts soft-deleted rows, so that their values cannot be used again.

The application deletes a row by marking it, the unique key does not look at the mark, and whoever enters the same values
again gets SQLSTATE 23505, though no live row has them: an account cannot be reconnected, a name cannot be taken again.
An upsert on such a key is worse: it changes the deleted row, and leaves it deleted. The count is of deleted rows that
hold a key today.

A deleted row is told by a time that is NULL in live rows, a boolean, or a status that may be 'deleted': a CHECK or an enum
lists the word, or rows hold it. Where nothing says deleted, rows count that are revoked, by `is_active` and `revoked_at`
together. A status and a revocation are reported only when such rows hold a key, and never as more than a warning.

Not flagged: primary keys; keys whose index leaves deleted rows out, or that contain the column that marks them; values
that are generated once and never entered again (uuids, sequences, tokens, hashes, the row's own id; by its rows a `key` or
`code` that holds nothing but long random texts); deleted rows whose key is NULL; lists of what happened to something
('added', 'deleted'); tables listed under `reuse_unwanted` of `[soft_delete]`, or with `{}` under its `tables`.

Fix: a partial unique index over the live rows, built concurrently, then drop the constraint or index. Not possible while
a foreign key rests on it: then revive the deleted row, or move deleted rows to an archive.
"""

from collections.abc import Callable, Iterator
from functools import partial

from auditor import ddl
from auditor.catalog.infer import columns_in, singular, state_mark, words
from auditor.catalog.model import Catalog, Index, SoftDelete, Table
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, Object, Result, Severity
from auditor.key_remedies import both, key_terms, kind_of, names_of, referencing, relying, replace_by_partial
from auditor.probe import Answer, Matching, Values
from auditor.text import ident, idents, listed, literal, plural, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG, Depth.DATA)

_GENERATED = ("nextval(", "gen_random", "uuid_generate", "uuidv", "random(", "nanoid(", "ulid(", "ksuid(")
_TOKENS = {"token", "nonce", "secret", "jti", "salt", "uuid", "guid", "ulid", "ksuid", "cuid", "nanoid"}
_DIGESTS = {"hash", "digest", "fingerprint", "checksum", "md5", "sha1", "sha256", "sha512"}
# What people enter again: the digest of one comes back with it.
_ENTERED = {
    "email",
    "mail",
    "phone",
    "name",
    "username",
    "login",
    "address",
    "url",
    "uri",
    "domain",
    "host",
    "path",
    "slug",
}
_IDS = {"id", "uuid", "guid", "oid"}
# Names under which random texts are kept, and others too: the rows decide.
_PERHAPS = {"key", "code", "cookie"}
_ENOUGH = 20  # rows
WORDS = 50  # that a column may hold and still say in what state a row is
_RANDOM = "^([a-z]{1,8}_){0,3}[0-9A-Za-z_=+/-]{16,}$"
_MIXED = "[A-Za-z][0-9].*[A-Za-z][0-9]"  # of 16 random letters and digits more than half; of a word with a year none
_DIGITS = ("^.{10}[0-9]", "^.{13}[0-9]")  # a composed number has digits in the same places, a random text has not


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        marked = catalog.soft_deletes.get(table.oid)
        mark = marked or catalog.retired.get(table.oid)
        state = catalog.states.get(table.oid) if mark is None else None
        for index in table.indexes if mark is not None or state is not None else ():
            if not index.enforces or index.primary or index.exclusion:
                continue
            columns = tuple(key.column or key.expression for key in index.keys)
            subject = table.object(kind_of(table, index), index.name, columns)
            marks = mark.columns if mark is not None else (state or "",)
            if table.oid in catalog.reuse_unwanted or excused(catalog, table, index, marks):
                yield Clean(subject)
                continue
            question = partial(blocked, catalog=catalog, subject=subject, table=table, index=index)
            if mark is not None:
                yield question(mark=mark)
            else:
                yield Ask(
                    subject,
                    Values(table, state or ""),
                    partial(told, table=table, state=state or "", question=question),
                )


def told(answer: Answer, table: Table, state: str, question: partial[Ask]) -> Ask | None:
    """Whether the column's words mark deleted rows."""
    texts = [value for value, _ in answer.values]
    mark = state_mark(table, state, texts, "rows hold it") if len(texts) <= WORDS else None
    return question(mark=mark) if mark is not None else None


def blocked(
    catalog: Catalog, subject: Object, table: Table, index: Index, mark: SoftDelete, sure: frozenset[str] = frozenset()
) -> Ask:
    """The question how many deleted rows hold a key; before it, whether a column holds random texts, unless `sure`."""
    doubtful = (key.column for key in index.keys if key.column is not None and key.column not in sure)
    name = next((n for n in doubtful if perhaps_random(catalog, table, n)), None)
    if name is None:
        finding = partial(judged, catalog=catalog, subject=subject, table=table, index=index, mark=mark)
        return Ask(subject, Matching(table, held(index, mark)), finding, unread=finding(None))
    column = f'{ident(name)}::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.~)'
    random, mixed, *digits = (f"({column} {literal(pattern).strip()})" for pattern in (_RANDOM, _MIXED, *_DIGITS))
    then = partial(blocked, catalog, subject, table, index, mark, sure | {name})

    def ask(sign: str, verdict: Callable[[Answer], Ask | None]) -> Ask:
        return Ask(subject, Matching(table, f"{mixed} AND {digits[0]} {sign} {digits[1]}", (name,)), verdict)

    def shaped(answer: Answer) -> Ask:
        return then() if answer.count else ask("<>", lambda one: ask("=", lambda other: decided(one.count, other)))

    def decided(one: int, answer: Answer) -> Ask | None:
        _, nulls = catalog.statistics.get((table.oid, name), (None, None))
        filled = answer.examined * (1 - (nulls or 0))
        both_ways = one + answer.count
        scattered = min(one, answer.count) >= 0.1 * both_ways
        return None if scattered and both_ways >= max(_ENOUGH, 0.4 * filled) else then()

    return Ask(subject, Matching(table, f"NOT {random}", (name,)), shaped)


def excused(catalog: Catalog, table: Table, index: Index, marks: tuple[str, ...]) -> bool:
    """Whether the key has nothing to do with deleted rows, or its values never come back."""
    texts = [index.predicate or "", *(key.expression for key in index.keys if key.column is None)]
    columns = [key.column for key in index.keys if key.column is not None]
    if {*columns, *(name for text in texts for name in columns_in(text, table))} & set(marks):
        return True
    return any(generated_once(catalog, table, name) for name in columns)


def referring(catalog: Catalog, table: Table) -> set[str]:
    """The columns by which the table references others: their values come back with the row they name."""
    declared = {name for key in table.foreign_keys for name in key.columns}
    return declared | {name for other in catalog.references if other.table is table for name in other.columns}


def generated_once(catalog: Catalog, table: Table, name: str) -> bool:
    """Whether values of the column are made up for each row: told by its type, its default, its name."""
    column = table.by_name[name]
    if name in referring(catalog, table):
        return False
    said = words(name)
    noun = tuple(singular(word) for word in words(table.name))
    stem, last = said[:-1], said[-1:]
    own = bool(said) and said[-1] in _IDS and noun[len(noun) - len(stem) :] == stem
    kind = catalog.types.get(column.base_oid)
    return (
        column.type == "uuid"
        or (kind is not None and (kind.schema, kind.name) == ("pg_catalog", "uuid"))
        or bool(column.identity)
        or any(call in (column.default or "").lower() for call in _GENERATED)
        or bool(set(last) & _TOKENS)
        or bool(set(last) & _DIGESTS and not set(stem) & _ENTERED)
        or said[-2:] in (("api", "key"), ("key", "prefix"), ("token", "prefix"))
        or own
    )


def perhaps_random(catalog: Catalog, table: Table, name: str) -> bool:
    """Whether the column may hold random texts, by its name: its rows have to say so."""
    said = words(name)
    named = bool(set(said[-1:]) & _PERHAPS) or said[-2:] in (("public", "id"), ("short", "id"))
    return named and table.by_name[name].category == "S" and name not in referring(catalog, table)


def held(index: Index, mark: SoftDelete) -> str:
    """The predicate of deleted rows that hold a key of this index."""
    filled = []
    if not index.nulls_not_distinct:
        texts = [ident(key.column) if key.column is not None else f"({key.expression})" for key in index.keys]
        filled = [f"{text} IS NOT NULL" for text in texts]
    return " AND ".join(f"({part})" for part in (mark.deleted, index.predicate, *filled) if part)


def judged(
    answer: Answer | None, catalog: Catalog, subject: Object, table: Table, index: Index, mark: SoftDelete
) -> Finding | None:
    names, kind = names_of(index), kind_of(table, index)
    count = answer.count if answer is not None else 0
    if not count and mark.suspected:
        return None
    if count:
        title = (
            f"{plural(count, f'{mark.word} row')} of {table.sql} {'holds its' if count == 1 else 'hold their'} {names}:"
            " the same values cannot be inserted again"
        )
    else:
        title = f"Deleted rows of {table.sql} will hold their {names}: the same values could not be inserted again"
    message = (
        f"The unique {kind} {ident(index.name)} counts rows whose {mark.deleted} too. Inserting the values of such a"
        " row again fails with SQLSTATE 23505, although no live row has them."
    )
    if not mark.configured:
        message += (
            f" That this marks a row as {mark.word} is inferred: {mark.evidence}. [soft_delete.tables] in the configuration"
            " settles it."
        )
    resting = [use for use in relying(catalog, table, index, mark.live) if use.upsert.action == "update"]
    if resting:
        message += f" {listed([use.said for use in resting])} upserts on this key: it changes the deleted row, which stays deleted."
    return Finding(
        severity if count and not mark.suspected else Severity.WARNING,
        subject,
        title=title,
        message=message,
        confidence=Confidence.PROVEN if mark.configured else Confidence.SUSPECTED,
        related=tuple(child.object("constraint", key.name, key.columns) for child, key in referencing(catalog, index)),
        fixes=fixes(catalog, table, index, mark),
    )


def fixes(catalog: Catalog, table: Table, index: Index, tombstone: SoftDelete) -> tuple[Fix, ...]:
    revive = Fix(
        "Revive the deleted row instead of inserting a new one",
        (),
        caveats=(
            f"A change of the application: an upsert on {names_of(index)} whose DO UPDATE also sets {idents(tombstone.columns)},"
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
    copy = ddl.free_name(table, table.name, *(index.columns or (index.name,)), "deleted")
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
