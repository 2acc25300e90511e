"""Clearing duplicates away: which row of each key stays, what becomes of the references to the others, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from auditor import ddl
from auditor.catalog.infer import columns_in, is_link_table
from auditor.catalog.model import Catalog, Index, Table
from auditor.probe import Relation
from auditor.text import cut, ident, idents, listed, qualified

_CHANGED = ("updatedat", "modifiedat", "lastmodified", "updatedon", "createdat", "createdon", "insertedat", "created")


@dataclass(frozen=True, slots=True)
class Dedupe:
    """Statements that leave one row of each key, those that bring the others back, and what to know about it."""

    sql: tuple[str, ...]
    rollback: tuple[str, ...]
    caveats: tuple[str, ...]


def dedupe(catalog: Catalog, table: Table, keys: Iterable[str], where: str | None, *, nulls: bool = False) -> Dedupe:
    """Keeps, of rows that share their keys (SQL), the most referenced one, else the latest, else the highest key.

    `where` says which rows count. NULLs differ, unless `nulls`. What references the others is moved to the row that stays;
    the others, and all else that is changed, are kept in copies.
    """
    keys = tuple(keys)
    plan = _Plan(catalog, table, tuple(name for name in table.by_name if ident(name) in keys))
    relations, left = _referencing(catalog, table)
    named = dict.fromkeys((*table.row_key, *(name for relation in relations for name in relation.referenced_columns)))
    stays = plan.kept_names(table, named)
    name = plan.copy_of(table, "duplicates")
    copy = qualified(table.schema, name)
    ranked = _ranked(
        catalog,
        table,
        keys,
        where,
        [
            *map(ident, table.by_name),
            *(f"pg_catalog.first_value({ident(n)}) OVER same AS {ident(k)}" for n, k in stays.items()),
        ],
        nulls=nulls,
    )
    columns = idents([*table.by_name, *stays.values()])
    place = ident(_place(table))
    plan.sql.append(f"CREATE TABLE {copy} AS SELECT {columns} FROM ({ranked}) AS ranked WHERE {place} > 1;")
    told = f": beside each of the others {copy} names it, in {idents([*stays.values()])}" if stays else ""
    plan.caveats.append(f"Of each key {stays_in(catalog, table)} stays. Look at the rows before the others go{told}.")
    for relation in sorted(relations, key=lambda r: not plan.risks(r)):  # what may fail comes first
        plan.move(relation, copy, stays)
    if table.row_key:
        key = idents(table.row_key)
        row = key if len(table.row_key) == 1 else f"({key})"
        plan.sql.append(ddl.delete(table, f"{row} IN (SELECT {key} FROM {copy})"))
    else:
        plan.sql.append(ddl.delete(table, extra_rows(catalog, table, keys, where, nulls=nulls)))
        plan.caveats.append(
            "The table has no key: run the copy and the DELETE in one transaction, so that no row comes between."
        )
    if left:
        plan.caveats.append(
            f"Not moved: {listed(left)}. See to it first that these rows do not reference one that goes."
        )
    plan.caveats.append(f"{copy} keeps the deleted rows of {table.sql} only; drop it when all is well.")
    back = [statement for undo in reversed(plan.undo) for statement in undo]
    return Dedupe(
        tuple(plan.sql),
        (ddl.restore_rows(table, name), *back, f"DROP TABLE {copy};"),
        tuple(plan.caveats),
    )


# --- which row stays ------------------------------------------------------------------------------------------------


def stays_in(catalog: Catalog, table: Table) -> str:
    """Which of several rows of one key deserves to stay, in words."""
    return _order(catalog, table)[1]


def extra_rows(catalog: Catalog, table: Table, keys: Iterable[str], where: str | None, *, nulls: bool = False) -> str:
    """The predicate of all rows of a key but the one that deserves to stay."""
    ranked = _ranked(catalog, table, tuple(keys), where, ["tableoid", "ctid"], nulls=nulls)
    place = ident(_place(table))
    return f"(tableoid, ctid) IN (SELECT tableoid, ctid FROM ({ranked}) AS ranked WHERE {place} > 1)"


def _ranked(
    catalog: Catalog, table: Table, keys: Sequence[str], where: str | None, outputs: Sequence[str], *, nulls: bool
) -> str:
    """SELECT of the rows that share their keys, each with its place among those of its key.

    References are counted for these only, not for every row of the table.
    """
    conditions = [f"({where})"] if where else []
    if not nulls:
        conditions += [f"{key if _plain(key) else f'({key})'} IS NOT NULL" for key in keys]
    only = "ONLY " if table.only else ""
    held, key = ident(_free("held", table)), ", ".join(keys)
    rows = (
        f"SELECT tableoid, ctid, {idents([*table.by_name])}, pg_catalog.count(*) OVER (PARTITION BY {key}) AS {held}"
        f" FROM {only}{table.sql}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
    )
    return (
        f"SELECT {', '.join(outputs)}, pg_catalog.row_number() OVER same AS {ident(_place(table))} FROM ({rows}) AS candidate"
        f" WHERE {held} > 1 WINDOW same AS (PARTITION BY {key} ORDER BY {_order(catalog, table)[0]})"
    )


def _plain(key: str) -> bool:
    return "(" not in key and " " not in key


def _place(table: Table) -> str:
    return _free("place", table)


def _free(name: str, table: Table) -> str:
    """A name that no column of the table has."""
    while name in table.by_name:
        name += "_"
    return name


def _order(catalog: Catalog, table: Table) -> tuple[str, str]:
    """The order in which rows of one key deserve to stay, as SQL over `candidate`, and in words."""
    terms, words = [], []
    relations, _ = _referencing(catalog, table)
    if relations:
        counts = [
            f"(SELECT pg_catalog.count(*) FROM {_rows(r)} WHERE {' AND '.join(r.joins('referencing', 'candidate'))})"
            for r in relations
        ]
        terms.append(f"{' + '.join(counts)} DESC")
        words.append(f"the one that most rows of {listed(sorted({r.table.sql for r in relations}))} reference")
    by_name = {column.name.replace("_", "").lower(): column for column in table.columns}
    dated = [by_name[name].name for name in _CHANGED if name in by_name and by_name[name].category == "D"]
    if dated:
        terms += [f"{ident(name)} DESC NULLS LAST" for name in dated]
        words.append(f"the latest by {listed([ident(name) for name in dated], 'then')}")
    terms += [f"{ident(name)} DESC" for name in table.row_key] or ["ctid DESC"]
    words.append(f"the highest {idents(table.row_key)}" if table.row_key else "the one stored last")
    return ", ".join(terms), ", else ".join(words)


# --- what references the rows ---------------------------------------------------------------------------------------


def _rows(relation: Relation) -> str:
    return f"{'ONLY ' if relation.table.only else ''}{relation.table.sql} AS referencing"


def _referencing(catalog: Catalog, table: Table) -> tuple[list[Relation], list[str]]:
    """The relations by which rows reference those of the table, each columns once; and those that can only be named.

    A foreign key may also reference a partitioned table of which this one is a part, or parts of this one.
    """
    found: dict[tuple[int, frozenset[tuple[str, str]]], Relation] = {}
    left = []

    def add(relation: Relation) -> None:
        pairs = frozenset(zip(relation.columns, relation.referenced_columns, strict=True))
        found.setdefault((relation.table.oid, pairs), relation)

    for whole in (table, *_above(catalog, table)):
        for child, key in catalog.referenced_by.get(whole.oid, ()):
            columns = [child.by_name[name] for name in key.columns]
            if key.period or any(column.generated or column.identity == "a" for column in columns):
                left.append(f"{child.sql} ({idents(key.columns)}), which takes no other value")
            elif child is table and not table.row_key:
                left.append(f"{child.sql} ({idents(key.columns)}), whose rows have no key")
            else:
                add(Relation.of_key(child, key, whole))
    for part in catalog.family(table):
        left += [
            f"{child.sql} ({idents(key.columns)}), which references the partition {part.sql}"
            for child, key in (catalog.referenced_by.get(part.oid, ()) if part is not table else ())
        ]
    for reference in catalog.references:
        if reference.referenced is table:
            relation = Relation.of(reference)
            columns = [reference.table.by_name[name] for name in reference.columns]
            fixed = any(column.generated or column.identity == "a" for column in columns)
            unique = set(reference.referenced_columns) in map(set, table.keys)
            if reference.configured and unique and not reference.where and not fixed and reference.table is not table:
                add(relation)
            else:
                left.append(f"{reference.table.sql} ({idents(reference.columns)}), which no foreign key declares")
    for many in catalog.polymorphic:
        if any(target is table for _, target, _ in many.targets):
            left.append(f"{many.table.sql} ({ident(many.column)}), which references several tables")
    return list(found.values()), list(dict.fromkeys(left))


def _above(catalog: Catalog, table: Table) -> Iterator[Table]:
    while table.is_partition and table.parents and table.parents[0] in catalog.tables:
        table = catalog.tables[table.parents[0]]
        yield table


# --- moving it ------------------------------------------------------------------------------------------------------


@dataclass
class _Plan:
    """Statements as they come together; `undo` are theirs, in the same order."""

    catalog: Catalog
    table: Table
    about: tuple[str, ...]  # the columns of the key
    sql: list[str] = field(default_factory=list)
    undo: list[tuple[str, ...]] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def copy_of(self, table: Table, what: str) -> str:
        """The name of a new copy."""
        name = ddl.free_name(table, table.name, *self.about, what, taken=self.taken)
        self.taken.add(name)
        return name

    @staticmethod
    def kept_names(table: Table, columns: Iterable[str]) -> dict[str, str]:
        """For each column the one in the copy that holds its value in the row that stays."""
        found: dict[str, str] = {}
        for name in columns:
            kept = cut(f"kept_{name}", 63)
            numbers = count(2)
            while kept in table.by_name or kept in found.values():
                kept = cut(f"kept{next(numbers)}_{name}", 63)
            found[name] = kept
        return found

    def clashes(self, relation: Relation) -> list[tuple[Index, bool]]:
        """Unique indexes by which moved references may meet, and whether one of the rows that meet can simply go: those
        of a table that only links, and that nothing references."""
        table, moved = relation.table, set(relation.columns)
        referenced = bool(self.catalog.referenced_by.get(table.oid)) or any(
            reference.referenced is table for reference in self.catalog.references
        )
        link = bool(table.row_key) and not referenced and is_link_table(self.catalog, table)
        found: list[Index] = []
        for index in table.indexes:
            named = {key.column for key in index.keys if key.column is not None}
            named |= {n for key in index.keys if key.column is None for n in columns_in(key.expression, table)}
            apart = any(
                other.enforces
                and other.predicate is None
                and not other.exclusion
                and other.columns is not None
                and set(other.columns) <= named - moved
                for other in table.indexes
            )
            if (index.enforces or index.exclusion) and named & moved and not apart:
                found.append(index)
        may_go = link and all(index.columns is not None and not index.exclusion for index in found)
        return [(index, may_go) for index in found]

    def risks(self, relation: Relation) -> list[str]:
        """Why the server may refuse to move the references: nothing may be deleted before that is known."""
        child, moved = relation.table, set(relation.columns)
        said = []
        apart = [ident(index.name) for index, may_go in self.clashes(relation) if not may_go]
        if apart:
            said.append(
                f"Where several rows of one key have rows in {child.sql} that {listed(apart)} keeps apart, the UPDATE fails with"
                " SQLSTATE 23505 (23P01 for an exclusion constraint) and nothing is deleted yet: merge those rows by hand first."
            )
        held = {
            f"{ident(key.name)} of {below.sql}"
            for below, key in self.catalog.referenced_by.get(child.oid, ())
            if moved & set(key.referenced_columns) and key.on_update != "c" and below is not child
        }
        if held:
            said.append(
                f"{listed(sorted(held))} references the columns of {child.sql} that change: the UPDATE fails with SQLSTATE 23503"
                " where such a row is there, and nothing is deleted yet."
            )
        checks = [c for c in child.constraints if c.type == "c" and moved & set(c.columns) and len(c.columns) > 1]
        if checks:
            said.append(
                f"{listed([ident(c.name) for c in checks])} of {child.sql} may refuse what the UPDATE makes (SQLSTATE 23514):"
                " nothing is deleted yet then."
            )
        return said

    def move(self, relation: Relation, copy: str, stays: dict[str, str]) -> None:
        """UPDATE of what references a duplicate, so that it references the row that stays."""
        child, own = relation.table, relation.table is self.table
        to = {mine: stays[theirs] for mine, theirs in zip(relation.columns, relation.referenced_columns, strict=True)}
        conditions = relation.joins("referencing", "duplicate")
        open_ = [name for name in relation.referenced_columns if self.table.by_name[name].may_hold_null]
        conditions += [f"duplicate.{ident(stays[name])} IS NOT NULL" for name in open_]
        joined = " AND ".join(conditions)
        for index, may_go in self.clashes(relation):
            if may_go:
                self.thin_out(relation, index, to, joined, copy)
        self.caveats += self.risks(relation)
        if open_:
            self.caveats.append(
                f"Where the row that stays has no {idents(open_)}, rows of {child.sql} cannot be moved to it: they follow"
                " their own ON DELETE action, which may delete them, or refuse (SQLSTATE 23503)."
            )
        values = {mine: f"duplicate.{ident(kept)}" for mine, kept in to.items()}
        if own and len(values) == 1 and child.by_name[relation.columns[0]].takes_null:
            # Whoever pointed to a duplicate of itself would point to itself.
            mine, theirs = relation.columns[0], relation.referenced_columns[0]
            values[mine] = f"NULLIF({values[mine]}, referencing.{ident(theirs)})"
            self.caveats.append(f"A row that references a duplicate of its own then has {ident(mine)} NULL.")
        back: tuple[str, ...] = ()
        if child.row_key:
            moved = qualified(child.schema, self.copy_of(child, "moved"))
            names = self.kept_names(child, to)
            held = [f"referencing.{ident(name)}" for name in dict.fromkeys((*child.row_key, *relation.columns))]
            held += [f"duplicate.{ident(to[mine])} AS {ident(names[mine])}" for mine in to]
            self.sql.append(
                f"CREATE TABLE {moved} AS SELECT {', '.join(held)} FROM {_rows(relation)} JOIN {copy} AS duplicate ON {joined};"
            )
            same = " AND ".join(f"moved.{ident(names.get(n, n))} = referencing.{ident(n)}" for n in child.row_key)
            before = ", ".join(f"{ident(mine)} = moved.{ident(mine)}" for mine in to)
            back = (
                f"UPDATE {_target(relation)} SET {before} FROM {moved} AS moved WHERE {same};",
                f"DROP TABLE {moved};",
            )
        else:
            self.caveats.append(f"{child.sql} has no key: the rollback leaves its references on the rows that stayed.")
        change = ", ".join(f"{ident(mine)} = {value}" for mine, value in values.items())
        self.sql.append(f"UPDATE {_target(relation)} SET {change} FROM {copy} AS duplicate WHERE {joined};")
        self.undo.append(back)
        firing = [ident(t.name) for t in child.triggers if t.fires and "update" in t.events]
        if firing:
            self.caveats.append(f"Triggers of {child.sql} fire for each moved row: {', '.join(firing)}.")

    def thin_out(self, relation: Relation, index: Index, to: dict[str, str], joined: str, copy: str) -> None:
        """Of the links that would become one and the same by the move, all but one go; first stays that of the row that does."""
        child = relation.table
        source = f"{'ONLY ' if child.only else ''}{child.sql}"
        if index.predicate is not None:
            source = f"(SELECT * FROM {source} WHERE {index.predicate})"
        pairs = dict(zip(relation.columns, relation.referenced_columns, strict=True))
        values = []
        for name in index.columns or ():
            value, column = f"referencing.{ident(name)}", child.by_name[name]
            if name in to:
                theirs = self.table.by_name[pairs[name]]
                if column.collatable and column.collation != theirs.collation:
                    value += f" COLLATE {qualified(*column.collation or ('pg_catalog', 'default'))}"
                value = f"COALESCE(duplicate.{ident(to[name])}, {value})"
            values.append(value)
        open_ = [n for n in index.columns or () if child.by_name[n].may_hold_null and not index.nulls_not_distinct]
        filled = " AND ".join(f"referencing.{ident(name)} IS NOT NULL" for name in open_)
        columns = ", ".join(f"referencing.{ident(name)}" for name in child.by_name)
        first = f"duplicate.{ident(next(iter(to.values())))} IS NOT NULL"
        order = ", ".join([first, *(f"referencing.{ident(name)} DESC" for name in child.row_key)])
        place, name = ident(_place(child)), self.copy_of(child, "doubled")
        doubled = qualified(child.schema, name)
        self.sql.append(
            f"CREATE TABLE {doubled} AS SELECT {idents([*child.by_name])} FROM (SELECT {columns}, pg_catalog.row_number() OVER"
            f" (PARTITION BY {', '.join(values)} ORDER BY {order}) AS {place} FROM {source} AS referencing"
            f" LEFT JOIN {copy} AS duplicate ON {joined}{f' WHERE {filled}' if filled else ''}) AS ranked WHERE {place} > 1;"
        )
        key = idents(child.row_key)
        row = key if len(child.row_key) == 1 else f"({key})"
        self.sql.append(ddl.delete(child, f"{row} IN (SELECT {key} FROM {doubled})"))
        self.undo.append((ddl.restore_rows(child, name), f"DROP TABLE {doubled};"))
        self.caveats.append(
            f"Links of {child.sql} that would become equal under {ident(index.name)} are deleted but for one, which is that of"
            f" the row that stays where it has one; {doubled} keeps the others."
        )


def _target(relation: Relation) -> str:
    return f"{ddl.target(relation.table)} AS referencing"
