"""Expressions of a statement that is not run: written anew, planned by the server, and evaluated only where no code but
the server's own would run.

Names without a schema are pg_catalog's in the auditor's transactions; with one, an enum, a collation or a function of
pg_catalog may be meant, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import psycopg

from auditor.catalog.model import Catalog, Column, Table, Type
from auditor.connection import Session
from auditor.definition import SUPPORTED, Name, bare
from auditor.errors import CannotConnectError, UsageError, nearest
from auditor.statements import Scanner, Token, written
from auditor.text import ident, literal, one_line, qualified

_ONE = "one_row"
_WORD = re.compile(r"[a-z_][a-z0-9_]*")
# Keywords that stand for a function whose answer depends on when or by whom it is asked.
_STABLE = frozenset(
    (
        *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_catalog"),
        *("current_role", "current_schema", "current_user", "session_user", "system_user", "user"),
    )
)
# What the planner prints for a value.
_CONSTANT = re.compile(r"""\(?(-?[0-9][0-9.eE+-]*|'(?:[^']|'')*'|true|false|NULL)\)?(::["\w .\[\](),]*)?""")


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Judges expressions over one table. What it finds in the way goes to `obstacles`, as SQLSTATE and why; what it does not
    evaluate to `unjudged`, as a reason of the contract and why; what it evaluates, and the server may yet refuse, to `doubts`."""

    session: Session
    catalog: Catalog
    table: Table
    obstacles: list[tuple[str, str]]
    unjudged: list[tuple[str, str]]
    doubts: list[str]

    def _fails(self, state: str, why: str) -> None:
        self.obstacles.append((state, why))

    def mentioned(self, text: str) -> tuple[str, ...]:
        """The columns that an expression names."""
        said = (token.value for token in Scanner(text).tokens if token.names)
        return tuple(dict.fromkeys(name for name in said if name in self.table.by_name))

    def fetch(self, text: str) -> list[tuple[str | None, ...]]:
        """One query over the system catalogs."""
        try:
            with self.session.transaction() as fetch:
                return fetch(text)
        except psycopg.Error as error:
            raise CannotConnectError(f"the catalog could not be read: SQLSTATE {error.sqlstate}") from None

    def sorting(self, expression: str, collation: tuple[str, str] | None) -> tuple[str, str]:
        """The SQLSTATE with which the server refuses to sort by an expression, and its words; empty when it does not.

        It sorts by the B-tree operator class of the type, as a unique index without another does.
        """
        collated = f" COLLATE {qualified(*collation)}" if collation else ""
        return self.planning(f"EXPLAIN SELECT ({expression}){collated} FROM {self.table.sql} AS {_ONE} ORDER BY 1")

    def kind(self, expression: str) -> str | None:
        """The kind of an expression's type, as pg_type.typtype has it. No row is read for it."""
        value = f"(SELECT ({expression}) FROM {self.table.sql} AS {_ONE} LIMIT 0)"
        found = self.fetch(f"SELECT typtype FROM pg_catalog.pg_type WHERE oid = pg_catalog.pg_typeof({value})")
        return found[0][0] if found else None

    def collation(self, name: Name) -> tuple[str, str]:
        """A collation, as schema and name. Raises UsageError when there is none."""
        said = self.only_of("collation", "pg_collation", "collname", "collnamespace", name)
        return said[0], said[1]

    def only_of(self, what: str, catalog: str, column: str, namespace: str, name: Name) -> tuple[str, str]:
        """An object of the server by name: pg_catalog's, or the only one."""
        schema, plain = name
        found = self.fetch(
            f"SELECT DISTINCT n.nspname, n.nspname = 'pg_catalog' FROM pg_catalog.{catalog} AS o JOIN"
            f" pg_catalog.pg_namespace AS n ON n.oid = o.{namespace} WHERE o.{column} = {literal(plain)}"
            + (f" AND n.nspname = {literal(schema)}" if schema is not None else "")
            + " ORDER BY 2 DESC, 1"
        )
        if not found:
            raise UsageError(f"the statement: there is no {what} {ident(plain)}")
        if len(found) > 1 and found[0][0] != "pg_catalog":
            raise UsageError(f"the statement: there are several {what}s {ident(plain)}; name the schema")
        return str(found[0][0]), plain

    def readable(self) -> bool:
        """Whether the server would plan a query over the table; else the question itself is listed as not checked."""
        table = self.table
        free = table.readable and not table.row_security and not table.locked
        return free and self.catalog.code_run_for(table) is None

    def judged(self, tokens: Sequence[Token], what: str, *, index: bool, boolean: bool = False) -> str | None:
        """The expression written anew; None where it is not evaluated. Raises UsageError for what the server cannot plan."""
        found, functions = self._rewritten(tokens, what)
        if found is None:
            return None
        text = written(found)
        fixed = self._functions(functions, index=index)
        if fixed is None:
            return None
        asked = f"WHERE ({text})" if boolean else ""
        statement = f"EXPLAIN SELECT {'1' if boolean else f'({text})'} FROM {self.table.sql} AS {_ONE} {asked}"
        state, said = self.planning(statement) if self.readable() else ("", "")
        if state == "42703":
            raise UsageError(f"the statement: {self.table.sql}: {said}{self._meant(tokens, said)}")
        if state:
            raise UsageError(f"{what} {text!r} is none over {self.table.sql}: {said}")
        if index:
            parts = [True] if fixed else [self._mutable(part) for part in _parts(found)]
            if True in parts:
                self._fails("42P17", f"{text} is not immutable: its value may change while the row does not")
            elif None in parts:
                self.doubts.append(f"whether {text} is immutable, as an index asks (42P17), is not known")
        return text

    def _meant(self, tokens: Sequence[Token], said: str) -> str:
        for token in tokens:
            if token.names and token.value not in self.table.by_name and f'"{token.value}"' in said:
                return nearest(token.value, sorted(self.table.by_name))
        return ""

    def planning(self, statement: str) -> tuple[str, str]:
        """The SQLSTATE with which the server refuses a statement for what it says, and its words; empty when it does not."""
        try:
            with self.session.transaction() as fetch:
                fetch(statement)
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if state[:2] in ("42", "22", "0A") and state != "42501":
                return state, one_line(error.diag.message_primary or "it does not parse")
            if not self.session.alive:
                raise CannotConnectError("the connection was lost while the statement was checked") from None
        return "", ""

    def _foreign_code(self, what: str) -> tuple[None, set[str]]:
        self.unjudged.append(("unsafe_code", f"{what}: only built-in functions and operators are evaluated"))
        return None, set()

    def _rewritten(self, tokens: Sequence[Token], what: str) -> tuple[list[Token] | None, set[str]]:
        """The tokens as they are safe to be planned with an empty search_path, and the functions they call."""
        table, found, functions = self.table, list[Token](), set[str]()
        number = 0
        while number < len(tokens):
            token = tokens[number]
            before = found[-1] if found else Token("mark", "(", 0, 0)
            path = [token]
            while number + 2 < len(tokens) and token.names and tokens[number + 1].marks("."):
                path.append(tokens[number + 2])
                number += 2
            number += 1
            after = tokens[number] if number < len(tokens) else Token("mark", ";", -1, -1)
            names = [part.value for part in path]
            place = replace(path[-1], start=token.start)
            if token.says("select", "exists"):
                self._fails("0A000", f"{what} holds a subquery")
                self.unjudged.append(("unsupported", f"{what} holds a subquery"))
                return None, set()
            if token.kind == "parameter":
                raise UsageError(f"{what} holds {token.value}, which has no value here; {SUPPORTED}")
            if token.marks(".") or (token.says("operator") and after.marks("(")):
                return self._foreign_code(f"{what} names an operator or a field")
            if before.says("collate"):
                collation = self.collation((names[-2] if len(names) > 1 else None, names[-1]))
                found += _path(collation, place)
                continue
            if token.names and (before.marks("::") or before.says("as")) and not keyword(path[-1]):
                kind = self._type(names)
                if kind is None:
                    return self._foreign_code(f"{what} casts to {'.'.join(map(ident, names))}")
                found += _path(kind, place)
                continue
            if after.marks("(") and token.names and (len(path) > 1 or not keyword(token)):
                if len(path) > 1 and names[0] != "pg_catalog":
                    return self._foreign_code(f"{what} calls {'.'.join(map(ident, names))}()")
                functions.add(names[-1])
            elif len(path) > 1 and names[:-1] not in ([table.name], [table.schema, table.name]):
                return self._foreign_code(f"{what} names {'.'.join(map(ident, names))}")
            if token.names and not after.marks("(") and self._foreign_type(names[-1]) and not after.says("is"):
                return self._foreign_code(f"{what} computes with {ident(names[-1])}, whose type is no built-in one")
            found.append(place)
        return found, functions

    def _foreign_type(self, name: str) -> bool:
        """Whether the operators of a column's type may be anyone's."""
        column = self.table.by_name.get(name)
        if column is None:
            return False
        kind = self.catalog.types.get(column.base_oid)
        return column.base_oid >= 16384 and not (kind is not None and self._is_enum(kind))

    def _is_enum(self, kind: Type) -> bool:
        """Whether the type is an enum that no cast of its owner turns into something else, or something else into it."""
        return kind.kind == "e" and not self.fetch(
            "SELECT 1 FROM pg_catalog.pg_cast WHERE castfunc >= 16384"
            f" AND (castsource = {kind.oid} OR casttarget = {kind.oid})"
        )

    def _type(self, names: list[str]) -> tuple[str, str] | None:
        """A type to cast to, as schema and name: a built-in one, or an enum; None for others."""
        kinds = [
            kind
            for kind in self.catalog.types.values()
            if kind.name == names[-1] and (len(names) < 2 or kind.schema == names[0])
        ]
        built_in = [kind for kind in kinds if kind.schema == "pg_catalog"]
        if built_in or not kinds:  # the server knows what it is, or refuses it
            return ("pg_catalog", names[-1]) if len(names) > 1 or built_in else ("", names[-1])
        return (kinds[0].schema, kinds[0].name) if len(kinds) == 1 and self._is_enum(kinds[0]) else None

    def _functions(self, names: set[str], *, index: bool) -> bool | None:
        """Whether one of the functions is never immutable; None where one is not evaluated. Raises UsageError for none."""
        if not names:
            return False
        listed_names = ", ".join(map(literal, sorted(names)))
        rows = self.fetch(
            "SELECT p.proname, p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace, pg_catalog.bool_or(p.provolatile = 'v'),"
            f" pg_catalog.bool_or(p.provolatile = 'i') FROM pg_catalog.pg_proc AS p WHERE p.proname IN ({listed_names})"
            " GROUP BY 1, 2 ORDER BY 2 DESC"
        )
        built_in = {
            str(name): (volatile == "t", immutable == "t") for name, own, volatile, immutable in rows if own == "t"
        }
        others = {str(name) for name, own, *_ in rows if own != "t"}
        types = {kind.name for kind in self.catalog.types.values() if kind.schema == "pg_catalog"}
        for name in sorted(names - set(built_in) - types):
            if name not in others:
                raise UsageError(f"the statement: there is no function {ident(name)}()")
            self._foreign_code(f"it calls {ident(name)}(), which is the code of its owner")
            return None
        if index:
            return any(not immutable for _, immutable in built_in.values())
        if any(volatile for volatile, _ in built_in.values()):
            self._foreign_code("it calls a volatile function")
            return None
        return False

    def _mutable(self, tokens: Sequence[Token]) -> bool | None:
        """Whether a part of an expression depends on more than the row; None where it cannot be told.

        The planner computes what is immutable and constant, and leaves the rest: with a value in place of each column
        nothing may be left.
        """
        words = {token.value for token in tokens if token.kind == "word"}
        if words & _STABLE:
            return True
        # It takes the same types, and leaves none of its arguments out.
        text = written([replace(token, value="greatest") if token.says("coalesce") else token for token in tokens])
        samples = []
        for name in self.mentioned(text):
            column = self.table.by_name[name]
            kind = self.catalog.types.get(column.base_oid)
            sample = _sample(column, kind.name if kind else "")
            if kind is not None and kind.kind == "e":
                labels = f"SELECT enumlabel FROM pg_catalog.pg_enum WHERE enumtypid = {kind.oid} ORDER BY enumsortorder LIMIT 1"
                sample = next((row[0] for row in self.fetch(labels)), None)
            if sample is None or kind is None:
                return None
            collated = f" COLLATE {qualified(*column.collation)}" if column.collation else ""
            samples.append(f"{literal(sample)}::{qualified(kind.schema, kind.name)}{collated} AS {ident(name)}")
        source = f" FROM (SELECT {', '.join(samples)}) AS {_ONE}" if samples else ""
        try:
            with self.session.transaction() as fetch:
                plan = fetch(f"EXPLAIN (VERBOSE, COSTS OFF) SELECT ({text}){source}")
        except psycopg.Error:
            return None
        output = next((row[0] or "" for row in plan if (row[0] or "").strip().startswith("Output:")), "")
        if not _CONSTANT.fullmatch(output.strip().removeprefix("Output:").strip()):
            return True
        # What is not reached with these values is not seen.
        return None if words & {"case", "and", "or"} - ({"and"} if "between" in words else set()) else False


def _parts(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The parts of an expression between AND, OR, NOT and the words of a CASE, each of which the server may skip."""
    tokens = bare(tokens)
    while tokens and tokens[0].says("not"):
        tokens = bare(tokens[1:])
    inner = len(tokens) > 3 and tokens[0].says("case") and tokens[1].says("when") and tokens[-1].says("end")
    depth = between = start = 0
    found = []
    for number, token in enumerate(tokens):
        depth += token.marks("(", "[") + token.says("case") - token.marks(")", "]") - token.says("end")
        between += not depth and token.says("between")
        if depth == 1 and inner and token.says("when", "then", "else"):
            found.append(tokens[start:number])
            start = number + 1
        elif not depth and token.says("and", "or"):
            if token.says("and") and between:
                between -= 1
                continue
            found.append(tokens[start:number])
            start = number + 1
    if not found:
        yield tokens
        return
    found.append(tokens[start:-1] if inner else tokens[start:])
    for part in found[1:] if inner else found:
        yield from _parts(part)


def keyword(token: Token) -> bool:
    """Whether it is a word that the grammar knows: before a parenthesis it calls nobody's function but the server's own."""
    return token.kind == "word" and bool(_WORD.fullmatch(token.value)) and ident(token.value) != token.value


def _path(name: tuple[str, str], at: Token) -> list[Token]:
    """A name with its schema as tokens that stand where `at` stands."""
    schema, plain = name
    last = Token("name" if at.kind == "name" or schema not in ("", "pg_catalog") else at.kind, plain, at.start, at.end)
    if schema in ("", "pg_catalog"):
        return [last]
    return [
        Token("name", schema, at.start, at.start),
        Token("mark", ".", at.start, at.start),
        replace(last, start=at.start),
    ]


def _sample(column: Column, kind: str) -> str | None:
    """Some value of a type, as a literal."""
    by_name = {
        "uuid": "00000000-0000-0000-0000-000000000000",
        "jsonb": "{}",
        "json": "{}",
        "bytea": "",
        "time": "00:00",
    }
    by_name |= {"timetz": "00:00+00"}
    by_category = {
        "N": "1",
        "S": "a",
        "B": "true",
        "D": "2000-01-01",
        "T": "1 day",
        "A": "{}",
        "I": "127.0.0.1",
        "V": "1",
    }
    if column.category == "R":
        return "{}" if kind.endswith("multirange") else "empty"
    return by_name.get(kind, by_category.get(column.category))
