"""A table has no key: no two columns or ten that tell one row from every other.

Two rows may be equal in everything, and then no UPDATE or DELETE hits one of them alone; nothing can reference a row; a
retry inserts it twice and nobody can tell. Where the table is published, UPDATE and DELETE fail with SQLSTATE 55000, unless
it has a replica identity (documentation: Logical Replication, Publication). A unique index does for a key if it is valid, not
partial, over plain columns, and none of them may be NULL: of rows with NULL it admits any number.

Not flagged: partitions (their partitioned table is, once, unless every partition has a key of its own); tables that inherit
from another; foreign tables, views and tables of extensions; unlogged tables, whose rows are not meant to last; copies of
rows of another table, as CREATE TABLE AS makes them, that are called after it (users_duplicates); a primary key that is invalid, which
invalid-unique-index reports.

Fix: make a unique index over nullable columns a key, by NOT NULL, where there is one; or add an identity column as the primary
key.
"""

from collections.abc import Iterator

from auditor import ddl
from auditor.catalog.copies import is_copy
from auditor.catalog.model import Catalog, Index, Table
from auditor.check import Clean, Depth, Finding, Fix, Result, Severity
from auditor.key_remedies import kind_of, names_of
from auditor.text import ident, idents, listed

severity = Severity.WARNING
depths = (Depth.CATALOG,)


def check(catalog: Catalog) -> Iterator[Result]:
    for table in catalog.judged_base_tables:
        if table.parents or table.persistence == "u":
            continue
        if has_key(catalog, table) or is_copy(catalog, table):
            yield Clean(table.object())
        else:
            yield found(catalog, table)


def has_key(catalog: Catalog, table: Table) -> bool:
    """Whether a key names each row of the table; of a partitioned one, it or every partition."""
    if table.row_key or any(is_key(table, index) for index in table.indexes):
        return True
    parts = [catalog.tables[oid] for oid in table.children if oid in catalog.tables] if table.kind == "p" else []
    return bool(parts) and all(part.kind == "f" or has_key(catalog, part) for part in parts)


def is_key(table: Table, index: Index) -> bool:
    """Whether it is one but for being deferrable: rows are told apart at the end of each transaction."""
    columns = index.columns or ()
    filled = not any(table.by_name[name].may_hold_null for name in columns)
    return index.enforces and not index.exclusion and index.predicate is None and bool(columns) and filled


def found(catalog: Catalog, table: Table) -> Finding:
    nearly = promotable(table)
    almost = ""
    if nearly is not None:
        holed = [ident(name) for name in nullable(table, nearly)]
        almost = (
            f" The unique {kind_of(table, nearly)} {ident(nearly.name)} over {names_of(nearly)} is none: of rows with NULL in"
            f" {listed(holed, 'or')} it admits any number."
        )
    added = identity(table)
    fixes = (fill(table, nearly).recommend(), added) if nearly is not None else (added.recommend(),)
    return Finding(
        severity,
        table.object(),
        title=f"{table.sql} has no key: nothing tells one of its rows from another",
        message="It has no primary key, and no unique index that could be one."
        f"{almost} Equal rows cannot be updated or deleted one by one, no foreign key can reference the table, and a row"
        " inserted twice stays twice. If the table is published, UPDATE and DELETE fail with SQLSTATE 55000 unless it has a"
        " replica identity.",
        fixes=fixes,
    )


def promotable(table: Table) -> Index | None:
    """The unique index that lacks nothing but NOT NULL in the fewest columns."""
    able = [
        index
        for index in table.indexes
        if index.enforces and not index.exclusion and index.predicate is None and index.columns is not None
    ]
    return min(able, key=lambda index: len(nullable(table, index)), default=None)


def nullable(table: Table, index: Index) -> tuple[str, ...]:
    return tuple(name for name in index.columns or () if table.by_name[name].may_hold_null)


def fill(table: Table, index: Index) -> Fix:
    columns = nullable(table, index)
    alter = f"ALTER TABLE {table.sql}"
    names = idents(columns)
    check = ident(ddl.short(table.name, *columns, "filled"))
    filled = " AND ".join(f"{ident(name)} IS NOT NULL" for name in columns)
    return Fix(
        f"Make {names} NOT NULL: {names_of(index)} is a key then",
        (
            f"{alter} ADD CONSTRAINT {check} CHECK ({filled}) NOT VALID;",
            f"{alter} VALIDATE CONSTRAINT {check};",
            f"{alter} {', '.join(f'ALTER COLUMN {ident(name)} SET NOT NULL' for name in columns)};",
            f"{alter} DROP CONSTRAINT {check};",
        ),
        (f"{alter} {', '.join(f'ALTER COLUMN {ident(name)} DROP NOT NULL' for name in columns)};",),
        f"{ddl.LOCK_ALTER}; VALIDATE: {ddl.LOCK_VALIDATE}",
        (
            "VALIDATE fails with SQLSTATE 23514 while there is a row with NULL: fill it in, or delete it, and see first how many"
            " there are.",
            "SET NOT NULL reads no row, since the CHECK has proved it; from the first statement on, writing NULL fails.",
            f"For logical replication say which key it is: {alter} REPLICA IDENTITY USING INDEX {ident(index.name)};",
        ),
    )


def identity(table: Table) -> Fix:
    name = next(each for each in ("id", "row_id", *(f"row_id{n}" for n in range(2, 2000))) if each not in table.by_name)
    alter, column, key = f"ALTER TABLE {table.sql}", ident(name), ident(ddl.free_name(table, table.name, "pkey"))
    caveats = [
        "The rows are numbered in the order in which they lie. SELECT * has one more column then, and an INSERT without a list"
        " of columns is as it was, since the new one comes last.",
        "Equal rows stay: they can be told apart then, and deleted one by one.",
    ]
    idle = [ident(index.name) for index in table.indexes if index.unique and not index.enforces]
    if idle:
        caveats.append(
            f"Writing the table anew builds the invalid {listed(idle)} too, and fails with SQLSTATE 23505 over duplicates: see"
            " to that first."
        )
    if table.kind == "r" and not table.children:
        added = f"{column} bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT {key} PRIMARY KEY"
        sql = f"{alter} ADD COLUMN {added};"
    elif table.kind == "r":  # an identity column is not inherited (documentation: CREATE TABLE)
        sql = f"{alter} ADD COLUMN {column} bigserial CONSTRAINT {key} PRIMARY KEY;"
        caveats.append("The tables that inherit from it get the column and the numbers, and no key: add one to each.")
    else:
        keys = f"{column}, {ddl.fill_in('the columns of its partition key')}"
        sql = f"{alter} ADD COLUMN {column} bigserial, ADD CONSTRAINT {key} PRIMARY KEY ({keys});"
        caveats.append(
            "A primary key of a partitioned table has to contain the columns of its partition key, which then are NOT NULL; one"
            " by expressions can have none. A partition that has a primary key of its own refuses this one."
        )
    return Fix(
        f"Add the column {column} as the primary key",
        (sql,),
        (f"{alter} DROP COLUMN {column};",),
        "ACCESS EXCLUSIVE on the table while it is written anew: nobody else reads or writes it",
        tuple(caveats),
    )
