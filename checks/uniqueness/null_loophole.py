"""Rows are equal in all columns of a unique key, NULL included: the key takes NULLs for different and lets them in.

To a unique index NULL differs from NULL (documentation: Unique Indexes): UNIQUE (product_id, region) admits any number of
rows with the same product and no region. Where NULL means "everywhere" or "the default", that is the duplicate the key
was made against: lookups find one row or the other, and an upsert inserts one more each time. Counted are rows that have
NULL in some column of the key and a value in another; deleted ones are not, where soft deletes are known.

Not flagged: NULLS NOT DISTINCT (15 and later); rows that other unique indexes keep apart: one per NULL case, or over
COALESCE (there are none then); a single nullable column, and rows that are NULL in all of them; columns that name the row
by themselves where they are filled in, such as an email or an external id, and keys most of whose rows with NULL repeat
(20 rows and more): there NULL means "none", unless the configuration declares the key; the column that marks deleted rows
in the key (soft-delete-in-key reports it); keys without such rows.

Fix: clear the duplicates away, then NULLS NOT DISTINCT, on 15 and later; or an index over COALESCE beside the key.
"""

from collections.abc import Iterator
from functools import partial

from auditor import ddl
from auditor.arbiter import countable, implied, normal
from auditor.catalog.infer import columns_in, words
from auditor.catalog.model import Catalog, Index, IndexKey, Table
from auditor.check import Ask, Clean, Confidence, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.key_remedies import (
    Dedupe,
    both,
    dedupe,
    key_tail,
    key_terms,
    key_text,
    key_texts,
    kind_of,
    names_of,
    nulls_not_distinct,
    probe_keys,
    referencing,
    rows_of,
)
from auditor.probe import Answer, Duplicates
from auditor.text import ident, listed, plural

severity = Severity.ERROR
depths = (Depth.DATA,)

ENOUGH = 20  # rows with NULL in the key that tell what NULL means there
_NAMING = {
    "barcode", "code", "domain", "ean", "email", "fax", "guid", "handle", "hash", "hostname", "iban", "isbn", "login", "mail",
    "mobile", "no", "nr", "number", "phone", "serial", "sku", "slug", "ssn", "token", "url", "username", "uuid", "vat",
}  # fmt: skip
_IDS = {"id", "key", "ref", "reference"}  # after another word
_TEXTS = {"lower", "upper", "btrim", "md5"}  # functions whose value is a text
# Constants of date, timestamp, timestamptz and uuid.
_FILLERS = {**dict.fromkeys((1082, 1114, 1184), "'epoch'"), 2950: "'00000000-0000-0000-0000-000000000000'"}


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        tombstone = catalog.soft_deletes.get(table.oid)
        seen = set()
        for index in table.indexes:
            every = holes(table, index)
            same = frozenset(key_terms(table, index)), index.predicate
            if not every or same in seen:
                continue
            seen.add(same)
            subject = table.object(kind_of(table, index), index.name, names(index))
            configured = declared(catalog, table, index)
            nullable = tuple(key for key in every if configured or not names_a_row(catalog, table, key))
            filled = (f"{key_text(key)} IS NOT NULL" for key in every if key not in nullable)
            where = both(rows_of(index), tombstone.live if tombstone else None, *filled)
            marked = tombstone is not None and tombstone.column in names(index)
            if not nullable or marked:
                yield Clean(subject)
                continue
            if not countable([*(key.expression for key in index.keys if key.column is None), where], catalog):
                said = "its keys or its predicate call functions that are not run"
                yield NotChecked(subject, "unsupported", said, Depth.DATA)
                continue
            rows = both(where, with_null(index, nullable))
            yield Ask(
                subject,
                Duplicates(table, probe_keys(table, index), rows, nulls_equal=True),
                partial(
                    judged,
                    catalog=catalog,
                    subject=subject,
                    table=table,
                    index=index,
                    nullable=nullable,
                    where=where,
                    configured=configured,
                ),
            )


def names(index: Index) -> tuple[str, ...]:
    return tuple(key.column or key.expression for key in index.keys)


def holes(table: Table, index: Index) -> tuple[IndexKey, ...]:
    """The keys in which the index takes rows with NULL for different; none of a key of one column."""
    if not index.enforces or index.exclusion or index.primary or index.nulls_not_distinct or len(index.keys) < 2:
        return ()
    return tuple(
        key
        for key in index.keys
        if may_be_null(table, key) and not implied(f"{key_text(key)} IS NOT NULL", index.predicate)
    )


def may_be_null(table: Table, key: IndexKey) -> bool:
    """Whether a row may have NULL there; of an expression, whether it reads a column that has."""
    return any(table.by_name[name].may_hold_null for name in columns_in(key_text(key), table))


def declared(catalog: Catalog, table: Table, index: Index) -> bool:
    """Whether the configuration declares the same key."""
    own = {normal(key_text(key)) for key in index.keys}
    return any(key.table is table and {normal(k) for k in key.keys} == own for key in catalog.business_keys)


def names_a_row(catalog: Catalog, table: Table, key: IndexKey) -> bool:
    """Whether the key, where it is filled in, names a thing by itself: then NULL means that the row has no such name."""
    referring = {c for foreign in table.foreign_keys for c in foreign.columns}
    referring |= {c for reference in catalog.references if reference.table is table for c in reference.columns}
    return any(name not in referring and naming(name) for name in columns_in(key_text(key), table))


def naming(name: str) -> bool:
    said = words(name)
    return bool(said) and (said[-1] in _NAMING or (len(said) > 1 and said[-1] in _IDS) or said[-2:] == ("user", "name"))


def with_null(index: Index, nullable: tuple[IndexKey, ...]) -> str:
    """The predicate of rows with NULL in the key, and a value too."""
    some = " OR ".join(f"{key_text(key)} IS NULL" for key in nullable)
    if len(nullable) < len(index.keys):
        return some
    return f"({some}) AND ({' OR '.join(f'{key_text(key)} IS NOT NULL' for key in nullable)})"


def judged(
    answer: Answer,
    catalog: Catalog,
    subject: Object,
    table: Table,
    index: Index,
    nullable: tuple[IndexKey, ...],
    where: str | None,
    configured: bool,
) -> Finding | None:
    usual = answer.examined >= ENOUGH and 2 * answer.count > answer.examined
    if not answer.count or (usual and not configured):
        return None
    kind, holed = (
        kind_of(table, index),
        listed([ident(key.column) if key.column else key.expression for key in nullable], "or"),
    )
    return Finding(
        severity if configured else Severity.WARNING,
        subject,
        title=f"{answer.count:,} rows of {table.sql} share {plural(answer.groups, 'value')} of {names_of(index)}"
        f" with NULL in {holed}: the unique {kind} {ident(index.name)} lets them in",
        message=f"NULL never equals NULL in a unique index: rows with NULL in {holed} are admitted without an error, however"
        f" equal they are otherwise. Whatever takes {names_of(index)} for unique finds one of several rows, and an upsert by"
        " it inserts one more each time."
        + ("" if configured else " If NULL means that a row has no such value, ignore this finding with that reason."),
        confidence=Confidence.PROVEN if configured else Confidence.SUSPECTED,
        fixes=fixes(catalog, table, index, nullable, where),
    )


def fixes(
    catalog: Catalog, table: Table, index: Index, nullable: tuple[IndexKey, ...], where: str | None
) -> tuple[Fix, ...]:
    cleared = dedupe(catalog, table, key_texts(index), both(where, with_null(index, nullable)), nulls=True)
    if len(nullable) == len(index.keys):  # rows that are NULL in all of the key are not meant
        where = both(where, " OR ".join(f"{key_text(key)} IS NOT NULL" for key in index.keys))
    made = []
    if catalog.server.major >= 15:
        beside = where != rows_of(index) or bool(referencing(catalog, index))
        made.append(nulls_not_distinct(table, index, where, cleared, beside=beside))
    made.append(coalesced(table, index, nullable, where, cleared))
    return (made[0].recommend(), *made[1:])


def coalesced(
    table: Table,
    index: Index,
    nullable: tuple[IndexKey, ...],
    where: str | None,
    cleared: Dedupe,
) -> Fix:
    """A unique index beside the key that has a value for NULL; whether it is one stands in the index too."""
    name = ddl.free_name(table, index.name, "filled")
    terms = list(key_terms(table, index))
    for number, key in enumerate(index.keys):
        if key in nullable:
            filled = filler(table, key)
            terms[number] = f"COALESCE({key_text(key)}, {filled}){key_tail(table, key)}"
    terms += [f"({key_text(key)} IS NULL)" for key in nullable]
    locks = "SHARE while it is built: reads go on, writes wait" if table.kind == "p" else ddl.LOCK_CONCURRENTLY
    return Fix(
        f"Add a unique index beside the {kind_of(table, index)} in which NULL has a value (COALESCE)",
        (*cleared.sql, ddl.unique_index(table, name, terms, where)),
        (ddl.drop_index(table, name), *cleared.rollback),
        locks,
        (
            *cleared.caveats,
            "Any value of the type will do in COALESCE: a row with that value is told from one with NULL by the last keys.",
            f"An ON CONFLICT over {names_of(index)} goes on finding the {kind_of(table, index)}, and does not catch the new index.",
        ),
    )


def filler(table: Table, key: IndexKey) -> str:
    """A constant of the key's type; an untyped string becomes one of it."""
    if key.column is None:
        return "''" if normal(key.expression)[0] in _TEXTS else ddl.fill_in("a constant of the expression's type")
    column = table.by_name[key.column]
    known = {"N": "0", "B": "false", "S": "''"}.get(column.category) or _FILLERS.get(column.base_oid)
    return known or ddl.fill_in(f"a constant of the type {column.type}")
