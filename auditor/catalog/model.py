"""The catalog as frozen dataclasses: every fact a check may need, by name, with nothing left to look up on the server.

Expressions and definitions are the server's own deparsed text, made with an empty search_path: fully qualified.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from auditor.check import Object
from auditor.text import ident, idents, literal, qualified


@dataclass(frozen=True, slots=True)
class Server:
    """The server and the login as seen by the connection that read the catalog."""

    host: str
    port: int
    database: str
    user: str  # whose privileges count
    login: str  # the same, unless a role is preset
    version: str
    version_num: int
    encoding: str
    system_identifier: str | None
    is_standby: bool
    superuser: bool
    bypass_rls: bool
    dangerous: tuple[str, ...]  # why running another owner's code under this login would be dangerous
    acting: frozenset[
        str
    ]  # names of functions and operators of the server and its extensions that may do more than compute
    free_connections: int | None  # None: this login may not count them
    snapshot: str

    def readers(self, wanted: int) -> int:
        """How many connections may read at the same time: a tenth of those that are left at most, and one at least."""
        return wanted if self.free_connections is None else max(1, min(wanted, self.free_connections // 10))

    @property
    def major(self) -> int:
        """13 for every 13.x."""
        return self.version_num // 10000


@dataclass(frozen=True, slots=True)
class Type:
    """A data type. For a domain: its chain down to the base type, and what the chain promises."""

    oid: int
    schema: str
    name: str
    kind: str  # b base, d domain, e enum, r range, c composite, m multirange, p pseudo
    category: str  # pg_type.typcategory: N number, S string, U user-defined (uuid), ...
    base: int  # oid of the type under all domains; its own for others
    not_null: bool  # some domain of the chain is NOT NULL
    not_null_validated: bool
    default: str | None
    checks: tuple[Constraint, ...] = ()
    element: int = 0  # of an array, or a domain over one: the oid of its elements' type
    demanding: tuple[int, ...] = ()  # the domains of the chain that are NOT NULL, by oid
    collatable: bool = False
    under: str = ""  # of a domain: the type under it with its length, as format_type writes it
    labels: tuple[str, ...] = ()  # of an enum, in their order


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `not_null` is pg_attribute.attnotnull: on 18 it may be set while NULLs exist, see `can_hold_null`."""

    number: int
    name: str
    type: str  # as format_type writes it
    type_oid: int
    base_oid: int
    category: str
    not_null: bool
    not_null_validated: bool
    domain_not_null: bool
    default: str | None
    identity: str  # '' no, a always, d by default
    generated: str  # '' no, s stored, v virtual
    collation: tuple[str, str] | None
    deterministic: bool
    readable: bool
    comment: str | None
    collatable: bool = False

    @property
    def takes_null(self) -> bool:
        """Whether an UPDATE may set it to NULL, as far as NOT NULL and domains go (a NOT VALID NOT NULL refuses too)."""
        return not (self.not_null or self.domain_not_null)

    @property
    def may_hold_null(self) -> bool:
        """Whether rows may hold NULL in it today."""
        return not ((self.not_null and self.not_null_validated) or self.domain_not_null)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A row of pg_constraint that is not a foreign key: p, u, c, x, n (and c, n of domains, whose table is 0)."""

    oid: int
    name: str
    type: str
    table: int
    columns: tuple[str, ...]
    validated: bool
    enforced: bool
    deferrable: bool
    deferred: bool
    parent: int
    no_inherit: bool
    index: int
    expression: str | None
    definition: str
    inherited: int = 0  # from how many parent tables (coninhcount)
    domain: int = 0


@dataclass(frozen=True, slots=True)
class RiTrigger:
    """One of the internal triggers that make a foreign key hold, in a state that is not the ordinary one."""

    name: str
    table: int
    enabled: str  # D disabled, R replica only, A always

    @property
    def fires(self) -> bool:
        """Whether it fires in an ordinary session."""
        return self.enabled in "OA"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A declared foreign key. Clones on partitions (conparentid <> 0) are left out; their triggers are kept with it.

    Of its internal triggers, those on the referencing and on the referenced side that are not in the ordinary state O.
    """

    oid: int
    name: str
    table: int
    columns: tuple[str, ...]
    referenced: int
    referenced_columns: tuple[str, ...]
    on_delete: str  # a no action, r restrict, c cascade, n set null, d set default
    on_update: str
    match: str  # s simple, f full
    delete_set_columns: tuple[str, ...]  # pg_constraint.confdelsetcols; empty: all
    operators: tuple[tuple[str, str], ...]  # conpfeqop, as schema and name
    casts: tuple[tuple[str | None, str | None], ...]  # as what they compare the referenced and the referencing column
    validated: bool
    enforced: bool
    deferrable: bool
    deferred: bool
    parent: int
    period: bool
    index: int
    definition: str
    referencing_triggers: tuple[RiTrigger, ...] = ()
    referenced_triggers: tuple[RiTrigger, ...] = ()

    @property
    def fires(self) -> bool:
        """Whether all its triggers fire in an ordinary session, on both sides and on every partition."""
        return all(trigger.fires for trigger in (*self.referencing_triggers, *self.referenced_triggers))

    @property
    def vouched(self) -> bool:
        """Whether the server says that every row was checked and every change is."""
        return self.validated and self.enforced and self.fires


@dataclass(frozen=True, slots=True)
class IndexKey:
    """One key of an index: a column, or an expression."""

    column: str | None
    expression: str
    opclass: tuple[str, str]
    default_opclass: bool
    collation: tuple[str, str] | None
    equality: tuple[str, str] | None = None  # the operator by which a unique index calls two values the same


@dataclass(frozen=True, slots=True)
class Index:
    """An index; `keys` are the first indnkeyatts columns only, `include` the others."""

    oid: int
    name: str
    table: int
    unique: bool
    primary: bool
    exclusion: bool
    immediate: bool
    valid: bool
    ready: bool
    live: bool
    nulls_not_distinct: bool
    keys: tuple[IndexKey, ...]
    columns: tuple[str, ...] | None  # of its keys; None when one of them is an expression
    include: tuple[str, ...]
    predicate: str | None
    constraint: int
    parent: int
    ordered: bool = False  # a btree whose first key stands as ORDER BY has it: NULLs last ascending, first descending
    method: str = "btree"

    @property
    def enforces(self) -> bool:
        """It is unique and complete: no row is admitted against it."""
        return self.unique and self.valid and self.ready and self.live


@dataclass(frozen=True, slots=True)
class Trigger:
    """A user's trigger (internal ones are part of their constraint)."""

    oid: int
    name: str
    table: int
    function: int
    enabled: str
    timing: str  # before, after, instead
    events: tuple[str, ...]  # insert, update, delete, truncate
    row: bool
    columns: tuple[str, ...]  # of UPDATE OF
    condition: bool
    definition: str
    parent: int = 0  # the trigger of the partitioned table that this one on a partition is a copy of

    @property
    def fires(self) -> bool:
        """Whether it fires in an ordinary session."""
        return self.enabled in "OA"


@dataclass(frozen=True, slots=True)
class Function:
    """A function or procedure whose text the catalog holds; of languages other than SQL and PL/pgSQL `body` is empty."""

    oid: int
    schema: str
    name: str
    arguments: str
    language: str
    kind: str
    returns: str
    body: str
    search_path: str | None = None  # of its own SET clause
    locked: bool = False  # by another session: the body could not be read
    says_conflict: bool = False  # its text is in another language, and says ON CONFLICT


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence; `owner` is the column it belongs to and `link` how (i identity, a serial); `drawn` are the columns whose
    DEFAULT speaks of it. `readable`: SELECT on it, and USAGE on its schema."""

    oid: int
    schema: str
    name: str
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cycles: bool
    persistence: str  # p permanent, u unlogged (15+)
    last_value: int | None  # None: unused, or not permitted
    owner: tuple[int, str] | None
    link: str
    drawn: tuple[tuple[int, str], ...] = ()
    readable: bool = True
    locked: bool = False  # by another session: its last value could not be read

    @property
    def sql(self) -> str:
        """Its name as SQL."""
        return qualified(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Checksums:
    """How many pages failed their checksum, and when last: in this database, and in what all databases share.

    None where the cluster has no checksums, or none failed.
    """

    failures: int | None
    shared_failures: int | None
    last_failure: str | None
    last_shared_failure: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rewrite rule on a table or a view, but for the one that makes it a view."""

    name: str
    table: int
    event: str  # update, insert, delete
    instead: bool
    enabled: str
    definition: str


@dataclass(frozen=True, slots=True)
class ForeignCode:
    """A function of another owner that planning a query of a table runs; with `inserting`, that of an INSERT only."""

    schema: str
    function: str
    owner: str
    inserting: bool


@dataclass(frozen=True, eq=False)
class Table:
    """A user's relation: r table, p partitioned table, f foreign table, v view, m materialized view."""

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str  # p permanent, u unlogged
    owner: str
    is_partition: bool
    parents: tuple[int, ...]  # pg_inherits, partitions included
    children: tuple[int, ...]
    rows: float  # pg_class.reltuples; -1: never analysed
    pages: int
    row_security: bool  # policies apply to this login
    readable: bool  # SELECT on the whole table, and USAGE on its schema
    schema_usable: bool
    comment: str | None
    locked: bool = False  # by another session: expressions and definitions could not be read
    all_visible: int = 0  # pages whose rows an index answers for (pg_class.relallvisible)
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()  # on this table, clones left out
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    rules: tuple[Rule, ...] = ()
    definition: str | None = None  # the query of a view that an INSERT goes through to the table below it
    beside: frozenset[str] = frozenset()  # what relations of its schema are called: tables, indexes, sequences

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Its columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def sql(self) -> str:
        """Its name as SQL."""
        return qualified(self.schema, self.name)

    @property
    def holds_rows(self) -> bool:
        """A plain or partitioned table: what the auditor reads."""
        return self.kind in "rp"

    @property
    def only(self) -> bool:
        """Whether PostgreSQL's own checks read it with ONLY: plain tables yes, partitioned ones no."""
        return self.kind == "r"

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        """Columns of its primary key; empty without one."""
        return next((index.columns or () for index in self.indexes if index.primary), ())

    @cached_property
    def row_key(self) -> tuple[str, ...]:
        """Columns that name one row: the primary key, or else the smallest plain unique key without NULLs."""
        return self.primary_key or min(self.keys, key=len, default=())

    @cached_property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Column tuples of which no two rows share a value: plain, enforced, immediate unique indexes without NULLs."""
        return tuple(
            index.columns
            for index in self.indexes
            if index.enforces
            and index.immediate
            and index.predicate is None
            and index.columns is not None
            and (index.nulls_not_distinct or not any(self.by_name[c].may_hold_null for c in index.columns))
        )

    @cached_property
    def distinct_keys(self) -> tuple[ForeignKey, ...]:
        """Its foreign keys, but of several that say the same of its rows one: the one vouched for least, or the first by name."""
        found: dict[object, ForeignKey] = {}
        for key in sorted(self.foreign_keys, key=lambda key: (key.vouched, key.name)):
            pairs = frozenset(zip(key.columns, key.referenced_columns, strict=True))
            found.setdefault((key.referenced, pairs, key.match, key.period), key)
        return tuple(key for key in self.foreign_keys if key in found.values())

    def object(self, kind: str = "table", name: str = "", columns: tuple[str, ...] = ()) -> Object:
        """This table, or a part of it, as the subject of a finding."""
        return Object(kind, self.schema, self.name, name, columns)


@dataclass(frozen=True, slots=True)
class SoftDelete:
    """How a table marks a row as deleted without deleting it. Predicates are SQL over its columns.

    `evidence` says in words what tells so; `also` are further columns that the mark consists of, `word` is what such rows are.
    What is `suspected` takes a word among others, or a revocation, for a deletion.
    """

    column: str
    deleted: str
    live: str
    configured: bool
    evidence: str = field(default="", compare=False)
    also: tuple[str, ...] = ()
    word: str = "deleted"
    suspected: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the mark consists of."""
        return (self.column, *self.also)


@dataclass(frozen=True, slots=True)
class Reference:
    """A relation that no foreign key declares: from the configuration, or inferred with its evidence in words.

    `weak`: that evidence would not do without rows that bear it out.
    """

    table: Table
    columns: tuple[str, ...]
    referenced: Table
    referenced_columns: tuple[str, ...]
    configured: bool
    where: str | None = None
    evidence: str = ""
    weak: bool = False

    @property
    def pairs(self) -> tuple[object, ...]:
        """What two declarations of one relation have in common."""
        columns = zip(self.columns, self.referenced_columns, strict=True)
        return self.table.oid, self.referenced.oid, frozenset(columns)

    @property
    def orphans(self) -> tuple[object, ...]:
        """The name of the defect "this relation has orphans", whichever check finds it."""
        return ("orphans", self.table.oid, frozenset(self.columns), self.referenced.oid)


@dataclass(frozen=True, slots=True)
class Polymorphic:
    """A column that points to rows of several tables, as `type_column` beside it says: `targets` pairs each of its values
    with a table and the table's column."""

    table: Table
    column: str
    type_column: str
    targets: tuple[tuple[str, Table, str], ...]
    configured: bool
    where: str | None = None
    evidence: str = ""

    def relation(self, value: str, referenced: Table, key: str) -> Reference:
        """The part of it that rows of this type are."""
        of_type = f"{ident(self.type_column)} = {literal(value).strip()}"
        where = f"({self.where}) AND {of_type}" if self.where else of_type
        return Reference(self.table, (self.column,), referenced, (key,), self.configured, where, self.evidence)


@dataclass(frozen=True, slots=True)
class Companion:
    """Rows of `table` for which `where` holds need a row in `companion`; columns pair up in order.

    `grace` is an SQL interval, counted from the column `created_at`. `same_state` pairs two predicates, one over each
    table, that must agree. `trigger` names the trigger that keeps the pair together.
    """

    table: Table
    columns: tuple[str, ...]
    companion: Table
    companion_columns: tuple[str, ...]
    configured: bool
    where: str | None = None
    exactly_one: bool = False
    grace: str | None = None
    created_at: str | None = None
    same_state: tuple[tuple[str, str], ...] = ()
    trigger: str | None = None
    evidence: str = ""

    @property
    def name(self) -> str:
        """What tells it from other companions of the same table: the other table and its columns, as `in` has them."""
        return f"{self.companion.sql} ({idents(self.companion_columns)})"


@dataclass(frozen=True, slots=True)
class BusinessKey:
    """A key that the configuration declares: columns or expressions that no two rows of `table` may share."""

    table: Table
    keys: tuple[str, ...]
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL handed over by the user: one text, and the file and line it starts at; or one that the server has recorded.

    `problem` says why a file comes without its text. `nested`: a recorded statement ran inside a function; None: that is
    not recorded.
    """

    source: str
    line: int
    text: str
    problem: str = ""
    recorded: bool = False
    nested: bool | None = None


@dataclass(frozen=True, eq=False)
class Catalog:
    """Everything the checks look at. `shown` compares what information_schema shows this login with pg_constraint.

    `beyond` are tables of extensions that foreign keys reference: they are read as parents, and not judged themselves.
    `validating` holds the tables on which a VALIDATE CONSTRAINT may be running, with the constraints it names; None when
    the query's text is hidden from this login. `building` holds the tables on which an index is being built, and the indexes
    that are being dropped, without a lock that blocks writes. `of_extensions` are relations of extensions, by schema and name.
    `changed_collations` are those of indexes whose recorded version is not the one the library has now, with both.
    `checksums` is None where this login may not ask.
    `storage` says of each table where its rows lie (its file, that of its TOAST table) and what wrote its columns'
    definitions; it is empty where no row is read. `statistics` has what ANALYZE found of a table's column: n_distinct and the
    fraction of NULLs, of the tables whose rows are asked.
    `foreign_code` is what would run under a login for which that is dangerous, by table; for other logins it is empty.
    `judged` are the tables that were asked for, and those that a finding may name beside them, by oid; None: all. Checks go
    through those, and may look up any other. `where` are conditions of the rows that were asked for, by table; None: all rows
    of all tables.
    The fields from `soft_deletes` on are what nobody declared in the database: see `infer.complete`.
    """

    server: Server
    tables: dict[int, Table]
    types: dict[int, Type]
    functions: dict[int, Function]
    sequences: dict[int, Sequence]
    beyond: dict[int, Table] = field(default_factory=dict)
    extensions: dict[str, str] = field(default_factory=dict)
    shown: dict[str, tuple[int, int]] = field(default_factory=dict)
    validating: dict[int, frozenset[str] | None] = field(default_factory=dict)
    building: frozenset[int] = frozenset()
    of_extensions: frozenset[tuple[str, str]] = frozenset()
    changed_collations: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    checksums: Checksums | None = None
    foreign_code: dict[int, tuple[ForeignCode, ...]] = field(default_factory=dict)
    storage: dict[int, tuple[int, ...]] = field(default_factory=dict)
    statistics: dict[tuple[int, str], tuple[float | None, float | None]] = field(default_factory=dict)
    soft_deletes: dict[int, SoftDelete] = field(default_factory=dict)
    retired: dict[int, SoftDelete] = field(
        default_factory=dict
    )  # revoked rather than deleted, where nothing says deleted
    states: dict[int, str] = field(default_factory=dict)  # columns that may say deleted, if rows hold the word
    reuse_unwanted: frozenset[int] = frozenset()  # tables whose deleted rows keep their keys on purpose
    references: tuple[Reference, ...] = ()
    polymorphic: tuple[Polymorphic, ...] = ()  # of the configuration
    self_roots: frozenset[tuple[int, tuple[str, ...]]] = frozenset()  # references whose rows may point to themselves
    tenants: dict[int, str | None] = field(
        default_factory=dict
    )  # of the configuration: the column that names the tenant
    histories: frozenset[int] = frozenset()  # of the configuration: tables whose rows speak of deleted rows on purpose
    companions: tuple[Companion, ...] = ()
    business_keys: tuple[BusinessKey, ...] = ()
    statements: tuple[Statement, ...] = ()
    unrecorded: str = ""  # why statements that the server has recorded were not read, or not all
    judged: frozenset[int] | None = None
    where: dict[int, str] | None = None

    @cached_property
    def by_name(self) -> dict[tuple[str, str], Table]:
        """Tables by schema and name."""
        return {(table.schema, table.name): table for table in self.tables.values()}

    @cached_property
    def namesakes(self) -> dict[str, tuple[Table, ...]]:
        """Tables by name, whatever their schema."""
        found: dict[str, list[Table]] = {}
        for table in self.tables.values():
            found.setdefault(table.name, []).append(table)
        return {name: tuple(tables) for name, tables in found.items()}

    @cached_property
    def foreign_keys(self) -> tuple[tuple[Table, ForeignKey, Table], ...]:
        """Every declared foreign key once, between its two tables; clones on partitions are left out."""
        referenced = {**self.beyond, **self.tables}
        return tuple(
            (table, key, referenced[key.referenced])
            for table in self.tables.values()
            for key in table.foreign_keys
            if key.referenced in referenced
        )

    @cached_property
    def judged_tables(self) -> tuple[Table, ...]:
        """The tables that checks go through."""
        return tuple(t for t in self.tables.values() if self.judged is None or t.oid in self.judged)

    @cached_property
    def judged_base_tables(self) -> tuple[Table, ...]:
        """Those of them that hold rows, each partition tree by its root only."""
        return tuple(t for t in self.base_tables() if self.judged is None or t.oid in self.judged)

    @cached_property
    def judged_keys(self) -> tuple[tuple[Table, ForeignKey, Table], ...]:
        """The foreign keys that checks go through."""
        return tuple(found for found in self.foreign_keys if self.judged is None or found[0].oid in self.judged)

    @cached_property
    def judged_distinct_keys(self) -> tuple[tuple[Table, ForeignKey, Table], ...]:
        """Those of them whose rows are to be judged: each relation once, however often it is declared."""
        return tuple(found for found in self.judged_keys if found[1] in found[0].distinct_keys)

    @cached_property
    def configured(self) -> frozenset[tuple[object, ...]]:
        """The relations that the configuration names for all rows of their table, foreign keys or not."""
        return frozenset(r.pairs for r in self.references if r.configured and not r.where)

    @cached_property
    def referenced_by(self) -> dict[int, tuple[tuple[Table, ForeignKey], ...]]:
        """For each referenced table the foreign keys that point to it."""
        found: dict[int, list[tuple[Table, ForeignKey]]] = {}
        for table, key, parent in self.foreign_keys:
            found.setdefault(parent.oid, []).append((table, key))
        return {oid: tuple(keys) for oid, keys in found.items()}

    @cached_property
    def enums(self) -> frozenset[tuple[str, str]]:
        """The enums, by schema and name."""
        return frozenset((kind.schema, kind.name) for kind in self.types.values() if kind.kind == "e")

    def base_tables(self) -> Iterator[Table]:
        """Tables that hold rows, each partition tree by its root only."""
        return (t for t in self.tables.values() if t.holds_rows and not t.is_partition)

    def family(self, table: Table) -> Iterator[Table]:
        """The table and its partitions, theirs too."""
        yield table
        for oid in table.children if table.kind == "p" else ():
            if oid in self.tables:
                yield from self.family(self.tables[oid])

    def heirs(self, table: Table) -> Iterator[Table]:
        """The table and all whose rows a query of it reads without ONLY: partitions, and tables that inherit from it."""
        seen: set[int] = set()
        todo = [table]
        while todo:
            current = todo.pop()
            if current.oid not in seen:
                seen.add(current.oid)
                yield current
                todo += [self.tables[oid] for oid in current.children if oid in self.tables]

    def lost(self, table: Table) -> bool:
        """Whether its rows are on another server only: an unlogged table's do not reach a standby."""
        return self.server.is_standby and table.persistence == "u"

    def code_run_for(self, table: Table, *, inserting: bool = False) -> ForeignCode | None:
        """A function of somebody else that planning a query of the table, or an INSERT into it, would run under this
        login, for which that is dangerous; its partitions and inheritance children are planned with it."""
        todo, seen = [table.oid] if self.foreign_code else [], set()
        while todo:
            oid = todo.pop()
            if oid not in seen:
                seen.add(oid)
                for code in self.foreign_code.get(oid, ()):
                    if inserting or not code.inserting:
                        return code
                todo += self.tables[oid].children if oid in self.tables else ()
        return None
