"""Which unique index serves an ON CONFLICT: PostgreSQL's own inference, made on the catalog.

Documentation: INSERT, ON CONFLICT Clause; source: plancat.c, infer_arbiter_indexes. Columns are judged exactly. Expressions
and predicates are compared as text, which can prove that they are the same, not that they differ: then the answer is
`unsure`, and the server has to be asked (`auditor.probe.Planned`). It is asked about the target only, never to plan the
statement itself (EXPLAIN (GENERIC_PLAN) would, from 16 on): that is foreign text, whose functions planning may run, and a
parameter in its predicate proves nothing to a generic plan, though its value may when the statement is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest

from auditor.catalog.model import Catalog, Function, Index, IndexKey, Rule, Statement, Table
from auditor.check import Object
from auditor.statements import Reading, Scanner, Token, Upsert, read, split, writes, written
from auditor.text import ident, literal, qualified

# --- where the upserts are -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Use:
    """An upsert where it stands: in a function, in a file or a recorded statement (`statement`), or in a rule (neither).

    `said` is that place for the reader: `app.put()`, `queries.sql`, `the rule r of app.t`. `problem` says why the upsert
    cannot be judged. `view` is what it names when the INSERT goes through a view to `table`; its columns are then those
    of `table`. `guessed`: there are several tables of that name, and the search_path is not known.
    """

    upsert: Upsert
    table: Table | None
    said: str
    function: Function | None = None
    statement: Statement | None = None
    problem: str = ""
    view: Table | None = None
    guessed: bool = False

    @property
    def recorded(self) -> bool:
        """Whether the server has recorded it."""
        return self.statement is not None and self.statement.recorded

    @property
    def who(self) -> str:
        """What fails when it fails: `app.put()`, or `an upsert of queries.sql`."""
        if self.recorded:
            return f"an upsert that {self.said} has recorded"
        return self.said if self.function is not None else f"an upsert of {self.said}"

    @property
    def place(self) -> str:
        """The line, for the reader; empty where the reader sees no lines."""
        if self.function is not None:
            return f"line {self.upsert.line} of its body"
        return f"line {self.upsert.line}" if self.statement is not None and not self.recorded else ""

    @property
    def cited(self) -> str:
        """Where it stands, in a few characters."""
        return f"{self.said}:{self.upsert.line}" if self.place and self.function is None else self.said

    @property
    def subject(self) -> Object:
        """The function, or where else it stands as a statement; the columns are the targets, or the constraint named."""
        targets = self.upsert.targets or ((self.upsert.constraint,) if self.upsert.constraint is not None else ())
        table = self.table.name if self.table else self.upsert.table
        if self.function is not None:
            name = f"{self.function.name}({self.function.arguments})"
            return Object("function", self.function.schema, table, name, columns_of(targets))
        schema = self.table.schema if self.table else self.upsert.schema or ""
        return Object("statement", schema, table, self.said, columns_of(targets))

    @property
    def clause(self) -> str:
        """`ON CONFLICT (a, b) WHERE c IS NULL`."""
        if self.upsert.constraint is not None:
            return f"ON CONFLICT ON CONSTRAINT {ident(self.upsert.constraint)}"
        if not self.upsert.targets:
            return f"ON CONFLICT DO {self.upsert.action.upper()}"
        where = f" WHERE {self.upsert.predicate}" if self.upsert.predicate else ""
        return f"ON CONFLICT ({', '.join(self.upsert.targets)}){where}"

    @property
    def parameters(self) -> bool:
        """Whether the clause speaks of values that its text does not hold."""
        return any(token.kind == "parameter" for token in Scanner(self.clause).tokens)

    def refused(self, why: str) -> Use:
        """The same, not to be judged."""
        place = f" in {self.place}" if self.place else ""
        return replace(self, problem=f"ON CONFLICT{place}: {why}")


def columns_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Each text that is one identifier, perhaps in parentheses, as the name it means; each other text as it is."""
    found = []
    for text in texts:
        tokens = _bare(Scanner(text).tokens)
        found.append(tokens[0].value if len(tokens) == 1 and tokens[0].names else text)
    return tuple(found)


@lru_cache(maxsize=1)
def uses(catalog: Catalog) -> tuple[Use, ...]:
    """Every upsert of functions, rules, the SQL handed over, and what the server has recorded, with the table it means.

    A recorded one that also stands elsewhere is left out, unless it is a client's and stands in a function.
    """
    found: list[Use] = []
    for origin, reading in _readings(catalog):
        if origin.problem:
            found.append(origin)
        if reading.unclosed is not None:
            found.append(
                replace(origin, problem=f"a quote or comment of line {reading.unclosed} is never closed{_REST}")
            )
        for upsert in reading.upserts:
            if upsert.table not in reading.temporary or upsert.schema not in (None, "pg_temp"):
                found.append(_placed(catalog, replace(origin, upsert=upsert)))
    inside = {_shape(use) for use in found if use.function is not None}
    written_down = {_shape(use) for use in found if use.function is None and not use.recorded}
    return tuple(
        use
        for use in found
        if use.statement is None
        or not use.recorded
        or not (
            _gone(catalog, use)
            or _shape(use) in written_down
            or (use.statement.nested is not False and _shape(use) in inside)
        )
    )


_REST = ": what follows it was not read"
_NOWHERE = Upsert(None, "")


def _readings(catalog: Catalog) -> Iterator[tuple[Use, Reading]]:
    """Every text that may hold upserts, read, with the place that its upserts are of."""
    for function in catalog.functions.values():
        origin = Use(_NOWHERE, None, f"{qualified(function.schema, function.name)}()", function)
        if function.says_conflict:
            yield (
                replace(origin, problem=f"its text says ON CONFLICT, and its language is {function.language}"),
                Reading(),
            )
        elif "conflict" in function.body.lower():
            yield origin, read(function.body)
    for table in catalog.tables.values():
        for rule in table.rules:
            if "conflict" in rule.definition.lower():
                yield Use(_NOWHERE, None, f"the rule {ident(rule.name)} of {table.sql}"), read(rule.definition)
    for statement in catalog.statements:
        name = statement.source.replace("\\", "/").rpartition("/")[2]
        origin = Use(_NOWHERE, None, name, statement=statement, problem=statement.problem)
        says = re.search("conflict|duplicate", statement.text, re.IGNORECASE)
        if statement.problem or (says and (writes(statement.text) or not statement.recorded)):
            yield origin, read(statement.text, line=statement.line, script=True)


def _shape(use: Use) -> tuple[object, ...]:
    """What is the same of two upserts that differ in their constants only."""
    constants = ("string", "number", "parameter")
    clause = tuple("?" if t.kind in constants else t.value for t in Scanner(use.clause).tokens)
    return use.table, use.upsert.schema or use.upsert.table, clause, use.upsert.action


def _gone(catalog: Catalog, use: Use) -> bool:
    """Whether there is no table of the name that a recorded statement inserts into: it was temporary, or dropped."""
    return use.table is None and not use.upsert.obscure and use.upsert.table not in catalog.namesakes


def _placed(catalog: Catalog, use: Use) -> Use:
    upsert = use.upsert
    if upsert.obscure:
        return use.refused(upsert.obscure)
    table = find_table(catalog, upsert.schema, upsert.table, use.function)
    if table is None:
        name = qualified(upsert.schema, upsert.table) if upsert.schema else ident(upsert.table)
        return use.refused(f"there is no table {name}, or more than one")
    path_known = use.function is not None and use.function.search_path is not None
    guessed = upsert.schema is None and not path_known and len(catalog.namesakes[upsert.table]) > 1
    view = table
    while table.kind == "v" and upsert.constraint is None and not _stands_in(table):
        beneath = _beneath(catalog, table, upsert)
        if beneath is None:
            return use.refused(f"what it means in the view {view.sql} cannot be told")
        table, upsert = beneath
    if table.kind == "m":
        return use.refused(f"{table.sql} is a materialized view")
    return replace(use, upsert=upsert, table=table, view=None if view is table else view, guessed=guessed)


def _stands_in(view: Table) -> bool:
    """Whether an INSERT into the view is not passed on to the table below it."""
    return any(t.timing == "instead" and "insert" in t.events for t in view.triggers) or any(
        rule.event == "insert" for rule in view.rules
    )


def _beneath(catalog: Catalog, view: Table, upsert: Upsert) -> tuple[Table, Upsert] | None:
    """The table or view that an INSERT into this view goes to, and the upsert in its columns; None where it is not plain.

    Documentation: CREATE VIEW, Updatable Views: one table in FROM, and each column one of its columns or an expression.
    """
    selected, *rest = split(Scanner(view.definition or "").tokens[1:], lambda token: token.says("from"))
    columns: dict[str, str] = {}
    for item in split(selected, lambda token: token.marks(",")):
        source = item[:-2] if len(item) > 2 and item[-2].says("as") else item
        if source and all(token.names or token.marks(".") for token in source):
            columns[item[-1].value] = source[-1].value
    schema, name = ([token.value for token in rest[0] if token.names] if rest else [])[:2] or ("", "")
    table = catalog.by_name.get((schema, name))
    if table is None:
        return None

    def translated(text: str) -> str:
        parts = []
        found = Scanner(text).tokens
        for before, token, after in zip([None, *found], found, [*found[1:], None], strict=False):
            apart = (before is not None and before.marks(".", "::")) or (after is not None and after.marks(".", "("))
            named = token.names and not apart and token.value in view.by_name.keys() | table.by_name.keys()
            if named and token.value not in columns:
                raise LookupError(token.value)
            parts.append(replace(token, kind="name", value=columns[token.value]) if named else token)
        return written(parts)

    try:
        targets = tuple(map(translated, upsert.targets))
        predicate = translated(upsert.predicate) if upsert.predicate else None
    except LookupError:
        return None
    return table, replace(upsert, schema=schema, table=name, targets=targets, predicate=predicate)


def find_table(catalog: Catalog, schema: str | None, name: str, function: Function | None) -> Table | None:
    """The table that a name means in a function, or in a session (None), as far as it can be told; else None.

    A schema decides; then the function's own SET search_path; then its schema, public, or the only table of that name.
    """
    if schema is not None:
        return catalog.by_name.get((schema, name))
    if function is not None and function.search_path is not None:
        named = (catalog.by_name.get((s, name)) for s in schemas(function.search_path, catalog.server.user))
        return next((table for table in named if table is not None), None)
    for near in (function.schema if function is not None else "public", "public"):
        if (near, name) in catalog.by_name:
            return catalog.by_name[near, name]
    same = catalog.namesakes.get(name, ())
    return same[0] if len(same) == 1 else None


def schemas(search_path: str, user: str) -> Iterator[str]:
    """The schemas that a search_path names, in order."""
    for token in Scanner(search_path).tokens:
        if token.names or token.kind == "string":
            yield user if token.value == "$user" else token.value


def inserted_by(catalog: Catalog, function: Function) -> set[int]:
    """The tables a function inserts into, by oid, as far as its text tells."""
    found = (find_table(catalog, schema, name, function) for schema, name in read(function.body).inserts)
    return {table.oid for table in found if table is not None}


# --- what serves them ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arbiter:
    """What became of the inference: served by `indexes`; or refused, with the SQLSTATE and why; or unsure.

    `missing`: refused because there is no unique key over the targets; with one it would run.
    """

    indexes: tuple[Index, ...] = ()
    sqlstate: str = ""
    why: str = ""
    unsure: bool = False
    missing: bool = False

    @property
    def served(self) -> bool:
        """Whether the statement certainly runs, as far as its ON CONFLICT goes."""
        return not (self.sqlstate or self.unsure)


def infer(table: Table, upsert: Upsert) -> Arbiter:
    """What PostgreSQL says to this upsert into `table`: the parser first, then the rewriter, then the planner."""
    arbiter = _inferred(table, upsert)
    if arbiter.sqlstate in ("42601", "42704"):
        return arbiter
    # The rewriter does not ask whether a rule for UPDATE is enabled, and asks nothing of those of a view (rewriteHandler.c).
    inserting = [rule for rule in table.rules if rule.event == "insert" and rule.enabled in "OA"]
    hindering = [rule for rule in inserting if not _does_nothing(rule)]
    hindering += [rule for rule in table.rules if rule.event == "update" and table.kind != "v"]
    if hindering:
        why = f"{table.sql} has the rule {ident(hindering[0].name)} for {hindering[0].event.upper()}"
        return Arbiter(sqlstate="0A000", why=f"{why}, beside which ON CONFLICT is not supported")
    unconditional = any(rule.instead and " WHERE " not in rule.definition for rule in inserting)
    return Arbiter() if unconditional else arbiter


def _does_nothing(rule: Rule) -> bool:
    tokens = list(_outside(Scanner(rule.definition).tokens))
    do = next((number for number, token in enumerate(tokens) if token.says("do")), len(tokens))
    return any(token.says("nothing") for token in tokens[do + 1 : do + 2 + rule.instead])


def _inferred(table: Table, upsert: Upsert) -> Arbiter:
    if upsert.constraint is not None:
        return _named(table, upsert.constraint, upsert.action)
    if not upsert.targets:
        if upsert.action == "update":
            return Arbiter(sqlstate="42601", why="DO UPDATE needs a target, and the statement names none")
        # Without a target every unique index is looked at, and a deferrable one is refused (execIndexing.c).
        late = next(
            (i for i in table.indexes if (i.unique or i.exclusion) and i.ready and i.live and not i.immediate), None
        )
        return _deferrable(late) if late else Arbiter()
    targets = [_target(text) for text in upsert.targets]
    if any(target.ordered for target in targets):
        return Arbiter(sqlstate="42P10", why="ASC, DESC and NULLS FIRST or LAST are not allowed in ON CONFLICT")
    serving, unsure = [], any(t.column is not None and t.column not in table.by_name for t in targets)
    for index in table.indexes:
        if index.unique and index.valid and index.live and not index.exclusion:
            serves = _serves(table, index, targets, upsert.predicate)
            if serves:
                serving.append(index)
            unsure = unsure or serves is None
    if serving:
        late = next((index for index in serving if not index.immediate), None)
        return _deferrable(late) if late else Arbiter(tuple(serving))
    if unsure:
        return Arbiter(unsure=True, why="whether an expression or predicate fits, only the server can tell")
    return Arbiter(sqlstate="42P10", why=_why_not(table, targets), missing=table.holds_rows)


def serving(table: Table, keys: Iterable[str], predicate: str | None) -> Arbiter:
    """Whether a unique index keeps these keys (SQL) apart among the rows of the predicate: ON CONFLICT would find it."""
    return infer(table, Upsert(table.schema, table.name, tuple(f"({key})" for key in keys), predicate))


def _deferrable(index: Index) -> Arbiter:
    return Arbiter(
        (index,), "55000", f"the constraint {ident(index.name)} is deferrable, which ON CONFLICT does not support"
    )


def _named(table: Table, name: str, action: str) -> Arbiter:
    constraint = next((c for c in table.constraints if c.name == name), None)
    index = next((i for i in table.indexes if constraint is not None and i.oid == constraint.index), None)
    if constraint is None and not any(key.name == name for key in table.foreign_keys):
        plain = " (there is an index of this name, which is no constraint)" if _index(table, name) else ""
        return Arbiter(sqlstate="42704", why=f"{table.sql} has no constraint {ident(name)}{plain}")
    if constraint is None or constraint.type not in "pux" or index is None:
        return Arbiter(sqlstate="42809", why=f"the constraint {ident(name)} is not unique: no index stands behind it")
    if not index.valid:
        return Arbiter(sqlstate="42P10", why=f"the index of the constraint {ident(name)} is invalid")
    if index.exclusion and action == "update":
        return Arbiter(sqlstate="42809", why=f"{ident(name)} is an exclusion constraint, which serves DO NOTHING only")
    return Arbiter((index,)) if index.immediate else _deferrable(index)


def _index(table: Table, name: str) -> Index | None:
    return next((index for index in table.indexes if index.name == name), None)


def _why_not(table: Table, targets: Sequence[_Target]) -> str:
    """The nearest index that does not serve, and what is the matter with it."""
    if not table.holds_rows:
        return f"{'a view' if table.kind == 'v' else 'a foreign table'} has no unique index"
    columns = {target.column for target in targets}
    for index in table.indexes:
        same = {key.column for key in index.keys} == columns and None not in columns
        if same and index.unique and not (index.valid and index.live):
            return f"the unique index {ident(index.name)} is invalid"
        if same and index.unique and index.predicate is not None:
            return f"the unique index {ident(index.name)} holds only WHERE {index.predicate}, which the statement does not say"
        if same and index.exclusion:
            return f"{ident(index.name)} is an exclusion constraint, which is no arbiter for a list of columns"
    for index in table.indexes:
        if {key.column for key in index.keys} == columns and None not in columns:
            return f"the index {ident(index.name)} is not unique"
    return "no unique index has these columns"


# --- comparing texts -----------------------------------------------------------------------------------------------

Normal = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """One inference element: a column or an expression, with what else it asks for."""

    normal: Normal
    column: str | None
    collation: tuple[str, ...] = ()
    opclass: tuple[str, ...] = ()
    ordered: bool = False
    strange: bool = False  # more follows that was not understood


def _target(text: str) -> _Target:
    tokens = Scanner(text).tokens
    end = 1
    if tokens[0].marks("("):
        end = _closed(tokens, 0) + 1
    else:
        while end + 1 < len(tokens) and tokens[end].marks("."):
            end += 2
        if end < len(tokens) and tokens[end].marks("("):
            end = _closed(tokens, end) + 1
    element, rest = _bare(tokens[:end]), tokens[end:]
    collation: tuple[str, ...] = ()
    opclass: tuple[str, ...] = ()
    if rest and rest[0].says("collate"):
        collation, rest = _dotted(rest[1:])
    if rest and not rest[0].says("asc", "desc", "nulls"):
        opclass, rest = _dotted(rest)
    ordered = bool(rest) and rest[0].says("asc", "desc", "nulls")
    column = element[0].value if len(element) == 1 and element[0].names else None
    return _Target(_normal(element), column, collation, opclass, ordered, bool(rest) and not ordered)


def _dotted(tokens: list[Token]) -> tuple[tuple[str, ...], list[Token]]:
    names: list[str] = []
    while tokens and tokens[0].names:
        names.append(tokens[0].value)
        tokens = tokens[1:]
        if not (tokens and tokens[0].marks(".")):
            break
        tokens = tokens[1:]
    return tuple(names), tokens


def _closed(tokens: Sequence[Token], place: int) -> int:
    """The parenthesis that closes the one at `place`."""
    depth = 0
    for number in range(place, len(tokens)):
        depth += tokens[number].marks("(") - tokens[number].marks(")")
        if depth == 0:
            return number
    return len(tokens) - 1


def _bare(tokens: list[Token]) -> list[Token]:
    """Without parentheses around the whole."""
    while len(tokens) > 2 and tokens[0].marks("(") and _closed(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def _normal(tokens: Sequence[Token]) -> Normal:
    """The tokens in a form that differs no more by case, blanks, `pg_catalog.`, `!=` and the deparser's `'x'::text`."""
    parts: list[str] = []
    tokens = _bare(list(tokens))
    number = 0
    while number < len(tokens):
        token = tokens[number]
        following = tokens[number + 1 : number + 3]
        if token.says("pg_catalog") and following and following[0].marks("."):
            number += 2
            continue
        if token.kind == "string":
            parts.append(token.prefix.strip("$") + literal(token.value).strip())
            if len(following) == 2 and following[0].marks("::") and following[1].says("text"):
                after = tokens[number + 3] if number + 3 < len(tokens) else None
                number += 0 if after is not None and after.marks("[", "(") else 2
        elif token.kind == "name":
            parts.append(ident(token.value))
        else:
            parts.append("<>" if token.value == "!=" else token.value)
        number += 1
    return tuple(parts)


def normal(text: str) -> Normal:
    """SQL text in a form that differs no more by blanks, case, outer parentheses and the like."""
    return _normal(Scanner(text).tokens)


def conditions(predicate: str | None) -> frozenset[Normal]:
    """The conditions that a predicate joins by AND, each in its normal form; none for no predicate, or `true`."""
    found: set[Normal] = set()
    todo = [_bare(Scanner(predicate or "").tokens)]
    while todo:
        tokens = todo.pop()
        words = {t.value for t in _outside(tokens) if t.kind == "word"}
        if "and" not in words or words & {"or", "between", "case"}:
            found.add(_normal(tokens))
        else:
            todo += [_bare(part) for part in split(tokens, lambda t: t.says("and"))]
    return frozenset(found - {(), ("true",)})


def _outside(tokens: Iterable[Token]) -> Iterator[Token]:
    """The tokens outside any parentheses."""
    depth = 0
    for token in tokens:
        depth += token.marks("(", "[") - token.marks(")", "]")
        if depth == 0:
            yield token


def implied(predicate: str | None, by: str | None) -> bool:
    """Whether every row for which `by` holds certainly has `predicate` hold: all its conditions stand there."""
    return conditions(predicate) <= conditions(by)


def _serves(table: Table, index: Index, targets: Sequence[_Target], predicate: str | None) -> bool | None:
    """True and False are certain; None is not."""
    plain = {target.column for target in targets if target.column is not None}
    expressions = [target for target in targets if target.column is None]
    columns = {key.column for key in index.keys if key.column is not None}
    held = {normal(key.expression) for key in index.keys if key.column is None}
    verdicts: list[bool | None] = []
    if not expressions:
        verdicts.append(plain == columns and not held)
    elif {target.normal for target in expressions} == held and plain == columns:
        verdicts.append(True)
    else:
        # An expression may come down to a column (a cast to its own type), or to another spelling of the same.
        said = {word for target in expressions for word in target.normal}
        possible = (
            plain <= columns and {ident(c) for c in columns - plain if c} <= said and len(held) <= len(expressions)
        )
        verdicts.append(None if possible else False)
    verdicts += [_suits(index, target) for target in targets]
    verdicts.append(_implied(table, index.predicate, predicate))
    return False if False in verdicts else None if None in verdicts else True


def _suits(index: Index, target: _Target) -> bool | None:
    """Whether the collation and operator class that the target asks for are the index's."""
    if target.strange:
        return None
    if not (target.collation or target.opclass):
        return True
    return True if any(_same(key, target) for key in index.keys) else None


def _same(key: IndexKey, target: _Target) -> bool:
    if target.column != key.column or (key.column is None and normal(key.expression) != target.normal):
        return False
    return all(
        not asked or (has is not None and (asked == has or (len(asked) == 1 and ("pg_catalog", asked[0]) == has)))
        for asked, has in ((target.collation, key.collation), (target.opclass, key.opclass))
    )


def _implied(table: Table, predicate: str | None, by: str | None) -> bool | None:
    if predicate is None:
        return True
    wanted, given = conditions(predicate), conditions(by)
    if wanted <= given:
        return True
    names = {ident(column.name) for column in table.columns}
    folding = {"or", "case", "coalesce", "true", "false"}  # what the planner may turn into a constant
    if not given and any(names & set(w) and not folding & set(w) for w in wanted):
        return False
    return None


# --- what may be asked of the server -------------------------------------------------------------------------------

# Functions and keywords before a parenthesis that do nothing but compute.
HARMLESS = frozenset(
    (
        *("abs", "and", "any", "array", "btrim", "cast", "char", "character", "coalesce", "concat", "date"),
        *("date_trunc", "decimal", "extract", "greatest", "in", "is", "least", "left", "length", "like", "lower"),
        *("ltrim", "md5", "not", "nullif", "numeric", "or", "replace", "right", "rtrim", "some", "substr"),
        *("substring", "timestamp", "timestamptz", "timezone", "trim", "upper", "varchar", "varying"),
    )
)


def plannable(table: Table, texts: Iterable[str | None]) -> bool:
    """Whether planning these expressions over `table` runs no code that planning any query over it would not run.

    Names without a schema mean pg_catalog's in the auditor's transaction; names with one must stand in the table's own
    indexes.
    """
    own = {name for text in _own(table) for name in _qualified_names(Scanner(text).tokens)}
    return all(
        named in own
        or named[0] == "pg_catalog"
        or (named[0] == table.name and named[1] in table.by_name and not called)
        for text in texts
        if text
        for named, called in _qualified(Scanner(text).tokens)
    )


def countable(texts: Iterable[str | None], catalog: Catalog | None = None) -> bool:
    """Whether these expressions may be run over a table's rows: they only compute and compare.

    With the catalog, constants of its enums are known to be harmless too.
    """
    for text in texts:
        tokens = without_enums(Scanner(text or "").tokens, catalog)
        for token, following in zip_longest(tokens, tokens[1:]):
            called = following is not None and following.marks("(")
            if token.marks(".") or token.says("select", "operator") or token.kind in ("parameter", "other"):
                return False
            if called and token.names and (token.kind == "name" or token.value not in HARMLESS):
                return False
    return True


def acting(text: str, catalog: Catalog) -> str | None:
    """The function or operator of the server or an extension in an expression of the database, by which running it would do
    more than compute, under a login for which that is dangerous; None for any other login."""
    if not catalog.server.dangerous:
        return None
    tokens = Scanner(text).tokens
    for token, following in zip_longest(tokens, tokens[1:]):
        called = token.kind == "operator" or (token.names and following is not None and following.marks("("))
        if called and token.value in catalog.server.acting:
            return token.value
    return None


def builtin(texts: Iterable[str]) -> bool:
    """Whether these expressions, as the server deparsed them with an empty search_path, name nothing outside pg_catalog.

    Planning them runs immutable functions of pg_catalog only, which compute.
    """
    return all(map(_builtin, texts))


@lru_cache(maxsize=4096)
def _builtin(text: str) -> bool:
    strange = ("parameter", "other")
    tokens = Scanner(text).tokens
    return not any(t.marks(".") or t.says("select", "operator") or t.kind in strange for t in tokens)


# Of these, functions that a schema before pg_catalog in the search_path may have one of; the others are part of the grammar.
_FUNCTIONS = frozenset(
    [
        "abs",
        "btrim",
        "concat",
        "date",
        "date_trunc",
        "left",
        "length",
        "lower",
        "ltrim",
        "md5",
        "replace",
        "right",
        "rtrim",
        "substr",
        "timezone",
        "upper",
    ]
)


def grounded(text: str) -> str:
    """Deparsed text with pg_catalog before its functions that are called by name alone: it means the same under any search_path."""
    tokens = Scanner(text).tokens
    for before, token, following in reversed(list(zip([None, *tokens], tokens, tokens[1:], strict=False))):
        called = token.kind == "word" and token.value in _FUNCTIONS and following.marks("(")
        if called and not (before is not None and before.marks(".")):
            text = f"{text[: token.start]}pg_catalog.{text[token.start :]}"
    return text


def without_enums(tokens: list[Token], catalog: Catalog | None) -> list[Token]:
    """Without the casts `::schema.type` of the deparser to enums: reading a label runs nobody's code."""
    kept: list[Token] = []
    number = 0
    while number < len(tokens):
        cast = tokens[number : number + 4]
        named = len(cast) == 4 and cast[0].marks("::") and cast[2].marks(".")
        if catalog is not None and named and (cast[1].value, cast[3].value) in catalog.enums:
            number += 4
        else:
            kept.append(tokens[number])
            number += 1
    return kept


def _own(table: Table) -> Iterator[str]:
    for index in table.indexes:
        yield from (key.expression for key in index.keys if key.column is None)
        if index.predicate is not None:
            yield index.predicate


def _qualified(tokens: Sequence[Token]) -> Iterator[tuple[tuple[str, str], bool]]:
    """Each name with a schema or a table before it, and whether it is called."""
    for first, dot, last, after in zip_longest(tokens, tokens[1:], tokens[2:], tokens[3:]):
        if last is not None and first.names and dot.marks("."):
            yield (first.value, last.value), after is not None and after.marks("(")


def _qualified_names(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    return (named for named, _ in _qualified(tokens))


def spelled(table: Table, text: str) -> str:
    """The text with the schema put before each function and type that the table's own indexes name with one.

    The auditor's transaction has an empty search_path; the statement's own has not.
    """
    own = {name: schema for other in _own(table) for schema, name in _qualified_names(Scanner(other).tokens)}
    tokens = Scanner(text).tokens
    spelled_out: list[Token] = []
    for before, token, following in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
        called = following is not None and following.marks("(")
        cast = before is not None and before.marks("::")
        qualified_already = before is not None and before.marks(".")
        if token.names and token.value in own and (called or cast) and not qualified_already:
            place = token.start
            spelled_out += [Token("name", own[token.value], place, place), Token("mark", ".", place, place)]
        spelled_out.append(token)
    return written(spelled_out)
