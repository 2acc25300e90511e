"""What a definition takes on a live server, and the statements that get the same without keeping others waiting."""

from __future__ import annotations

from dataclasses import dataclass, replace

from auditor import ddl
from auditor.catalog.model import Catalog, Column, ForeignKey, Table
from auditor.definition import Definition
from auditor.key_remedies import LOCK_ATTACH, LOCK_BUILD, attach
from auditor.text import ident, idents

LOCK_KEY = "ACCESS EXCLUSIVE on the table while the index is built: nobody else reads or writes it"
LOCK_READ = "ACCESS EXCLUSIVE on the table while all rows are read: nobody else reads or writes it"


@dataclass(frozen=True, slots=True)
class Enacting:
    """Statements that get what is declared with the least locking, how to take them back, and their locks.

    `safer`: they are not what the reader wrote.
    """

    sql: tuple[str, ...]
    rollback: tuple[str, ...]
    locks: str
    caveats: tuple[str, ...] = ()
    safer: bool = True


@dataclass(frozen=True, slots=True)
class Meant:
    """A definition with what its names mean: `columns` are those of its key, `keys` and `where` an index's as SQL, `key` its
    foreign key. `unread` says why the statement looks at no row, if it does not."""

    catalog: Catalog
    definition: Definition
    table: Table
    referenced: Table | None
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    where: str | None
    key: ForeignKey | None
    unread: str

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.catalog.server.major

    def locks(self) -> str:
        """The locks that the statement takes as it stands."""
        made = self.definition
        match made.kind:
            case "index":
                return ddl.LOCK_CONCURRENTLY if made.says("concurrently") else LOCK_BUILD
            case "unique" | "primary" if made.using is not None:
                nulls = made.kind == "primary" and any(c.may_hold_null for c in self._key_columns())
                return LOCK_READ if nulls else LOCK_ATTACH.partition(": ")[2]
            case "unique" | "primary":
                return LOCK_KEY
            case "foreign":
                return ddl.LOCK_ADD_KEY if self.unread else ddl.LOCK_ADD_WHOLE
            case "validate":
                return ddl.LOCK_VALIDATE
            case _:
                return ddl.LOCK_ALTER if self.unread else LOCK_READ

    def _key_columns(self) -> list[Column]:
        return [self.table.by_name[name] for name in self.columns if name in self.table.by_name]

    def enacting(self) -> Enacting:
        """The statements that get what is declared; where the reader's own would keep others waiting, safer ones."""
        made, table = self.definition, self.table
        plain = table.kind != "p" and not made.says("only")
        match made.kind:
            case "index" if plain and not made.says("concurrently"):
                name = made.name or ddl.free_name(table, table.name, *self._suffix("idx"))
                return Enacting(
                    (self._built(name),), (ddl.drop_index(table, name),), ddl.LOCK_CONCURRENTLY, _left(table, name)
                )
            case "unique" | "primary" if plain and made.using is None:
                return self._key_built()
            case _ if made.says("not enforced"):
                pass
            case "foreign" if self.key is not None and ddl.may_be_not_valid(table):
                added = ddl.add_foreign_key(table, self.key, self._parent())
                return self._later(added, self.key.name, ddl.LOCK_ADD_KEY)
            case "check" if not made.says("only"):
                name = made.name or ddl.short(table.name, *self.columns[:1], "check")
                rule = f"CHECK ({self.where}){' NO INHERIT' if made.says('no inherit') else ''}"
                return self._later(
                    f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(name)} {rule} NOT VALID;", name, ddl.LOCK_ALTER
                )
            case "not null" if not made.says("only"):
                return self._not_null_later(made.columns, made.name)
        return Enacting((made.text,), self._undo(), self.locks(), safer=False)

    def _parent(self) -> Table:
        assert self.referenced is not None
        return self.referenced

    def _later(self, added: str, name: str, locks: str) -> Enacting:
        validate = ddl.validate(self.table, name)
        undo = ddl.drop_constraint(self.table, name)
        return Enacting((added, validate), (undo,), f"ADD: {locks}; VALIDATE: {ddl.LOCK_VALIDATE}")

    def _suffix(self, end: str) -> tuple[str, ...]:
        return (*(name for name in self.columns if name in self.table.by_name), end)

    def _built(self, name: str) -> str:
        made = self.definition
        extra = f" INCLUDE ({idents(made.include)})" if made.include else ""
        extra += " NULLS NOT DISTINCT" if made.says("nulls not distinct") else ""
        return ddl.unique_index(self.table, name, self.keys, self.where, nulls=extra)

    def _key_built(self) -> Enacting:
        made, table = self.definition, self.table
        end = ("pkey",) if made.kind == "primary" else self._suffix("key")
        name = made.name or ddl.free_name(table, table.name, *end)
        suffix = (
            f" DEFERRABLE INITIALLY {'DEFERRED' if made.says('deferred') else 'IMMEDIATE'}"
            if made.says("deferrable")
            else ""
        )
        attached = attach(table, name, suffix)
        before: tuple[str, ...] = ()
        back: tuple[str, ...] = ()
        if made.kind == "primary":
            attached = attached.replace(" UNIQUE USING INDEX ", " PRIMARY KEY USING INDEX ")
            nullable = tuple(column.name for column in self._key_columns() if not column.not_null)
            for column in nullable:
                step = self._not_null_later((column,), None)
                before, back = (*before, *step.sql), (*step.rollback, *back)
        return Enacting(
            (*before, self._built(name), attached),
            (ddl.drop_constraint(table, name), *back),
            f"{ddl.LOCK_CONCURRENTLY}; {LOCK_ATTACH}",
            _left(table, name),
        )

    def _not_null_later(self, columns: tuple[str, ...], name: str | None) -> Enacting:
        """NOT NULL without reading the rows under a lock: a constraint that is validated proves it (ALTER TABLE, Notes)."""
        (column,) = columns
        table = self.table
        drop_null = f"ALTER TABLE {table.sql} ALTER COLUMN {ident(column)} DROP NOT NULL;"
        if self.major >= 18:
            constraint = name or ddl.short(table.name, column, "not_null")
            added = f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(constraint)} NOT NULL {ident(column)} NOT VALID;"
            return replace(self._later(added, constraint, ddl.LOCK_ALTER), rollback=(drop_null,))
        check = ddl.short(table.name, column, "present")
        added = f"ALTER TABLE {table.sql} ADD CONSTRAINT {ident(check)} CHECK ({ident(column)} IS NOT NULL) NOT VALID;"
        later = self._later(added, check, ddl.LOCK_ALTER)
        set_null = f"ALTER TABLE {table.sql} ALTER COLUMN {ident(column)} SET NOT NULL;"
        return replace(
            later,
            sql=(*later.sql, set_null, ddl.drop_constraint(table, check)),
            rollback=(drop_null,),
            locks=f"{later.locks}; SET NOT NULL: {ddl.LOCK_ALTER}",
        )

    def _undo(self) -> tuple[str, ...]:
        made, table = self.definition, self.table
        if made.kind == "validate" or made.name is None:
            return ()
        return ((ddl.drop_index if made.kind == "index" else ddl.drop_constraint)(table, made.name),)


def _left(table: Table, name: str) -> tuple[str, ...]:
    return (f"Should CREATE INDEX CONCURRENTLY fail, it leaves an invalid index behind: {ddl.drop_index(table, name)}",)
