"""Statements for fixes: one line each, quoted, ending in a semicolon. They are printed for a human, never run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from itertools import chain, count
from unicodedata import category

from auditor.catalog.model import ForeignKey, Table
from auditor.text import cut, ident, idents, literal, one_line, qualified

ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

# What the statements take (documentation: Explicit Locking, Table-Level Locks; ALTER TABLE; CREATE INDEX).
LOCK_ADD_KEY = "SHARE ROW EXCLUSIVE on both tables, for a moment (NOT VALID: no row is read)"
LOCK_ADD_WHOLE = "SHARE ROW EXCLUSIVE on both tables while all rows are read: writes wait"
LOCK_SWAP_KEY = "ACCESS EXCLUSIVE on both tables, for a moment (NOT VALID: no row is read)"
LOCK_SWAP_WHOLE = "ACCESS EXCLUSIVE on both tables while all rows are read: nobody else reads or writes them"
LOCK_TRIGGER = "SHARE ROW EXCLUSIVE on the table, for a moment: it waits for running writes"
LOCK_VALIDATE = "SHARE UPDATE EXCLUSIVE while the rows are read: reads and writes go on"
LOCK_ALTER = "ACCESS EXCLUSIVE on the table, for a moment"
LOCK_ROWS = "row locks on the changed rows"
LOCK_CONCURRENTLY = "SHARE UPDATE EXCLUSIVE while it is built: reads and writes go on; it cannot run in a transaction"
LOCK_DROP_INDEX = "DROP INDEX CONCURRENTLY: waits for running transactions, blocks nobody"
LOCK_SEQUENCE = "SHARE ROW EXCLUSIVE on the sequence, for a moment: nextval waits"
LOCK_SETVAL = "ROW EXCLUSIVE on the sequence, for a moment: nextval does not wait for it"
LOCK_REWRITE = "ACCESS EXCLUSIVE on the table while it and its indexes are written anew: nobody else reads or writes it"


def regclass(schema: str, name: str) -> str:
    """A relation as the literal that functions of the server take for its oid: its input knows no `U&"..."`."""
    if not ident(schema).startswith("U&") and not ident(name).startswith("U&"):
        return literal(qualified(schema, name)).strip()
    plain = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))
    doubled = plain.replace("\\", "\\\\").replace("'", "''")
    shown = (c if c.isprintable() or category(c) == "Cs" else f"\\U{ord(c):08X}" for c in doubled)
    return f"E'{''.join(shown)}'"


def fill_in(what: str) -> str:
    """The place of a value that only a human knows: a comment, so that the statement is a syntax error until it is filled in."""
    said = one_line(what).replace("*/", "* /").replace("/*", "/ *")
    return f"/* REPLACE with {said} */"


def target(table: Table) -> str:
    """The table as a DELETE or UPDATE names it: ONLY keeps inheritance children out."""
    return f"ONLY {table.sql}" if table.only and table.children else table.sql


def delete(table: Table, where: str) -> str:
    """DELETE of the rows a predicate finds."""
    return f"DELETE FROM {target(table)} WHERE {where};"


def set_null(table: Table, columns: Iterable[str], where: str) -> str:
    """UPDATE that sets columns of the rows a predicate finds to NULL."""
    return f"UPDATE {target(table)} SET {', '.join(f'{ident(c)} = NULL' for c in columns)} WHERE {where};"


def keep_rows(table: Table, where: str, copy: str, types: Mapping[str, str] | None = None) -> str:
    """A copy of the rows a predicate finds, taken before they are changed; `types` are columns it keeps as another type."""
    names = (ident(c.name) for c in table.columns)
    columns = (
        ", ".join(
            f"{n}::{types[c.name]} AS {n}" if c.name in types else n for c, n in zip(table.columns, names, strict=True)
        )
        if types
        else "*"
    )
    return f"CREATE TABLE {qualified(table.schema, copy)} AS SELECT {columns} FROM {target(table)} WHERE {where};"


def restore_rows(table: Table, copy: str) -> str:
    """INSERT of the rows that `keep_rows` kept."""
    columns = idents([column.name for column in table.columns if not column.generated])
    override = " OVERRIDING SYSTEM VALUE" if any(column.identity == "a" for column in table.columns) else ""
    kept = qualified(table.schema, copy)
    return f"INSERT INTO {table.sql} ({columns}){override} SELECT {columns} FROM {kept};"


def restore_values(table: Table, columns: Iterable[str], copy: str) -> str:
    """UPDATE that takes columns back from the rows that `keep_rows` kept; the table needs a row key."""
    kept = "kept" if table.name != "kept" else "held"
    values = ", ".join(f"{ident(name)} = {kept}.{ident(name)}" for name in columns)
    same = " AND ".join(f"{kept}.{ident(name)} = {ident(table.name)}.{ident(name)}" for name in table.row_key)
    return f"UPDATE {target(table)} SET {values} FROM {qualified(table.schema, copy)} AS {kept} WHERE {same};"


def drop_constraint(table: Table, name: str) -> str:
    """ALTER TABLE ... DROP CONSTRAINT."""
    return f"ALTER TABLE {table.sql} DROP CONSTRAINT {ident(name)};"


def validate(table: Table, name: str) -> str:
    """ALTER TABLE ... VALIDATE CONSTRAINT."""
    return f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {ident(name)};"


def add_foreign_key(
    table: Table,
    key: ForeignKey,
    referenced: Table,
    *,
    on_delete: str | None = None,
    on_update: str | None = None,
    not_valid: bool = True,
    enforced: bool | None = None,
) -> str:
    """ADD CONSTRAINT of this foreign key, as it is but for what is given; its deferrability is kept."""
    delete_action, update_action = on_delete or key.on_delete, on_update or key.on_update
    parts = [
        f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(key.name)} FOREIGN KEY ({key_columns(key, key.columns)})",
        f"REFERENCES {referenced.sql} ({key_columns(key, key.referenced_columns)})",
    ]
    if key.match == "f":
        parts.append("MATCH FULL")
    if update_action != "a":
        parts.append(f"ON UPDATE {ACTIONS[update_action]}")
    if delete_action != "a":
        columns = f" ({idents(key.delete_set_columns)})" if key.delete_set_columns and delete_action in "nd" else ""
        parts.append(f"ON DELETE {ACTIONS[delete_action]}{columns}")
    if key.deferrable:
        parts.append(f"DEFERRABLE INITIALLY {'DEFERRED' if key.deferred else 'IMMEDIATE'}")
    if not (key.enforced if enforced is None else enforced):
        parts.append("NOT ENFORCED")
    elif not_valid and may_be_not_valid(table, key):
        parts.append("NOT VALID")
    return " ".join(parts) + ";"


def key_columns(key: ForeignKey, names: tuple[str, ...]) -> str:
    """The columns of one side, as the definition of the key names them."""
    return idents(names) if not key.period else f"{idents(names[:-1])}, PERIOD {ident(names[-1])}"


def may_be_not_valid(table: Table, key: ForeignKey | None = None) -> bool:
    """Whether the server takes NOT VALID for a foreign key: refused for partitioned tables before 18. A key that is so proves it."""
    return table.kind != "p" or (key is not None and not key.validated)


def replace_foreign_key(
    table: Table, key: ForeignKey, referenced: Table, *, on_delete: str | None = None, on_update: str | None = None
) -> tuple[str, ...]:
    """The same key with other actions, in one statement; then VALIDATE, if it was validated before."""
    swap = _swapped(table, key, add_foreign_key(table, key, referenced, on_delete=on_delete, on_update=on_update))
    return (swap, validate(table, key.name)) if key.validated and table.kind != "p" else (swap,)


def renew_foreign_key(table: Table, key: ForeignKey, referenced: Table) -> tuple[str, ...]:
    """The same key made anew: enforced, its triggers in their ordinary state, every row checked."""
    later = checked_later(table, key)
    swap = _swapped(table, key, add_foreign_key(table, key, referenced, not_valid=later, enforced=True))
    return (swap, validate(table, key.name)) if later else (swap,)


def checked_later(table: Table, key: ForeignKey) -> bool:
    """Whether the key may be made NOT VALID, for VALIDATE to check every row afterwards.

    Of a PERIOD key VALIDATE and ENFORCED take any parent that overlaps for coverage; ADD CONSTRAINT does not (seen on 18.4).
    """
    return may_be_not_valid(table, key) and not key.period


def _swapped(table: Table, key: ForeignKey, added: str) -> str:
    addition = added.removeprefix(f"ALTER TABLE {table.sql} ")
    return f"ALTER TABLE {table.sql} DROP CONSTRAINT {ident(key.name)}, {addition}"


def set_trigger(table: Table, name: str, state: str) -> str:
    """ALTER TABLE that puts a trigger into a state of pg_trigger.tgenabled: O, D, R or A."""
    verb = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}[state]
    return f"ALTER TABLE {table.sql} {verb} TRIGGER {ident(name)};"


def new_foreign_key(table: Table, columns: tuple[str, ...], referenced: Table, keys: tuple[str, ...], name: str) -> str:
    """ADD CONSTRAINT of a foreign key that is not there yet, NOT VALID where that may be."""
    not_valid = " NOT VALID" if may_be_not_valid(table) else ""
    return (
        f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(name)} FOREIGN KEY ({idents(columns)})"
        f" REFERENCES {referenced.sql} ({idents(keys)}){not_valid};"
    )


def unique_index(table: Table, name: str, keys: Iterable[str], where: str | None = None, *, nulls: str = "") -> str:
    """CREATE UNIQUE INDEX CONCURRENTLY over columns or expressions, given as SQL. Partitioned tables cannot build so."""
    concurrently = "" if table.kind == "p" else "CONCURRENTLY "
    condition = f" WHERE {where}" if where else ""
    return f"CREATE UNIQUE INDEX {concurrently}{ident(name)} ON {table.sql} ({', '.join(keys)}){nulls}{condition};"


def drop_index(table: Table, name: str) -> str:
    """DROP INDEX, concurrently where that is possible."""
    concurrently = "" if table.kind == "p" else "CONCURRENTLY "
    return f"DROP INDEX {concurrently}{qualified(table.schema, name)};"


def free_name(table: Table, *parts: str, taken: Collection[str] = ()) -> str:
    """A name of these parts that no relation of the table's schema and no constraint of the table has yet, nor is in `taken`:
    with a number at its end where one has."""
    used = {*taken, *(constraint.name for constraint in table.constraints)}
    *first, last = parts
    names = (short(*first, ending) for ending in chain((last,), (f"{last}{number}" for number in count(2))))
    return next(name for name in names if name not in table.beside and name not in used)


def short(*parts: str) -> str:
    """A name of at most 63 bytes, PostgreSQL's limit (documentation: Identifiers and Key Words); its last part stays whole."""
    end = f"_{parts[-1]}" if len(parts) > 1 else ""
    start = "_".join(parts[:-1] or parts)
    left = 63 - len(end.encode("utf-8", "surrogateescape"))
    if cut(start, left) == start:
        return start + end
    told = hashlib.sha256(start.encode("utf-8", "surrogateescape")).hexdigest()[:6]  # from others that begin so
    return f"{cut(start, left - 7)}_{told}{end}"
