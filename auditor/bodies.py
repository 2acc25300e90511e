"""What the text of a PL/pgSQL function proves to fail, whatever it is run with: read from its tokens, nothing is run.

Only what is certain is told; where the text allows for another reading, nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from auditor.statements import Scanner, Token
from auditor.text import fold

# What a body may look at to find out, before it gets there, whether a table or column is there; or do, when it is not. And
# a quote that ends a string or not, as standard_conforming_strings has it.
_CAREFUL = re.compile(
    r"\bexception\s+when\b|\bto_reg|\bpg_(?:class|attribute|tables)\b|\binformation_schema\b|\\'", re.I
)
# What is sound at a glance, without its tokens.
_SOUND = re.compile(r"\s*(?:--[^\n]*\n\s*)*(?:declare|begin)\b.*\bend\s*;?\s*", re.I | re.S)
_FIELD = re.compile(r'\b(?:new|old)\s*\.\s*(?:"((?:[^"]|"")*)"|(\w+))', re.I)
_WRITES = re.compile(r"\b(?:insert\s+into|update|delete\s+from)\b", re.I)

_scanned = lru_cache(maxsize=8)(Scanner)  # of one body several things are asked


def careful(body: str) -> bool:
    """Whether the function may be prepared for what is missing, or be read in two ways."""
    return _CAREFUL.search(body) is not None


def malformed(body: str) -> str:
    """Why the body is no PL/pgSQL, or nothing (documentation: PL/pgSQL, Structure of PL/pgSQL).

    A backslash in it means one thing or another with standard_conforming_strings: then nothing is said.
    """
    pairs = body.count("(") == body.count(")") and body.count("/*") == body.count("*/")
    if "\\" in body or (pairs and not body.count("'") % 2 and not body.count('"') % 2 and _SOUND.fullmatch(body)):
        return ""
    scanner = _scanned(body)
    tokens = scanner.tokens
    if scanner.unclosed is not None:
        return f"a quote or comment that begins in line {scanner.line(scanner.unclosed)} never ends"
    if not tokens:
        return "its body is empty"
    if tokens[0].value == "#":  # an option of the compiler
        return ""
    if not (tokens[0].says("begin", "declare") or tokens[0].value.startswith("<<")):
        return "its body begins with neither DECLARE nor BEGIN"
    depth = 0
    for token in tokens:
        depth += token.marks("(") - token.marks(")")
        if depth and token.marks(";"):
            return f"the parentheses do not match in line {scanner.line(token.start)}"
    last = [token for token in tokens[-3:] if not token.marks(";")][-2:]
    if not any(token.says("end") for token in last) or last[-1].says("if", "loop", "case"):
        return "its last block has no END"
    return ""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the row that a trigger is fired for: `row` is new or old."""

    row: str
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Write:
    """An INSERT, UPDATE or DELETE that is no text put together at run time, with the columns it sets."""

    schema: str | None
    table: str
    columns: tuple[str, ...]
    line: int


def fields(body: str, known: Container[str] = ()) -> tuple[Field, ...]:
    """The fields of NEW and OLD that the body names, but the known ones; none of one that may be something else than the
    trigger's row."""
    if all((quoted.replace('""', '"') or fold(plain)) in known for quoted, plain in _FIELD.findall(body)):
        return ()
    scanner = _scanned(body)
    tokens = scanner.tokens
    found: list[Field] = []
    other: set[str] = set()
    returning = False  # of an INSERT, UPDATE or DELETE, NEW and OLD may be its own rows (18+)
    for number, token in enumerate(tokens):
        returning = token.says("returning") or (returning and not token.marks(";"))
        if returning or not token.names or token.value not in ("new", "old"):
            continue
        before = _at(tokens, number - 1)
        if before.marks("."):
            continue
        if not _at(tokens, number + 1).marks("."):
            if not _read(tokens, number):
                other.add(token.value)
            continue
        name, after = _at(tokens, number + 2), _at(tokens, number + 3)
        relation = before.says("from", "join", "into", "update", "only") and not _at(tokens, number - 2).says(
            "distinct"
        )
        if name.names and not after.marks("(") and not relation:
            found.append(Field(token.value, name.value, scanner.line(token.start)))
    return tuple(field for field in found if field.row not in other and field.name not in known)


def _read(tokens: Sequence[Token], number: int) -> bool:
    """Whether NEW or OLD as a whole is only read here: returned, an argument, compared by IS DISTINCT FROM."""
    before, after = _at(tokens, number - 1), _at(tokens, number + 1)
    if before.says("return") and after.marks(";"):
        return True
    if before.marks("(", ",") and after.marks(")", ","):
        return _depth(tokens, number) > 0
    return after.says("is") or (before.says("from") and _at(tokens, number - 2).says("distinct"))


def _depth(tokens: Sequence[Token], number: int) -> int:
    """How many parentheses are open there, since the statement began."""
    depth = 0
    while number and not tokens[number - 1].marks(";"):
        number -= 1
        depth += tokens[number].marks("(") - tokens[number].marks(")")
    return depth


def writes(body: str) -> Iterator[Write]:
    """The statements of the body that write to a table that they name."""
    if not _WRITES.search(body):
        return
    scanner = _scanned(body)
    tokens = scanner.tokens
    for number, token in enumerate(tokens):
        after = _at(tokens, number + 1)
        inserts, deletes = token.says("insert") and after.says("into"), token.says("delete") and after.says("from")
        if not (inserts or deletes or token.says("update")):
            continue
        place = number + (1 if token.says("update") else 2)
        if _at(tokens, place).says("only") and not inserts:
            place += 1
        names, place = _name(tokens, place)
        if not 1 <= len(names) <= 2:
            continue
        if token.says("update") or inserts:
            if _at(tokens, place).says("as"):
                place += 2
            elif token.says("update") and not _at(tokens, place).says("set"):
                place += 1
        if token.says("update") and not _at(tokens, place).says("set"):
            continue
        columns = tuple(_inserted(tokens, place) if inserts else [] if deletes else _set(tokens, place + 1))
        yield Write(names[0] if len(names) == 2 else None, names[-1], columns, scanner.line(token.start))


def _at(tokens: Sequence[Token], number: int) -> Token:
    return tokens[number] if 0 <= number < len(tokens) else Token("mark", ";", -1, -1)


def _name(tokens: Sequence[Token], place: int) -> tuple[list[str], int]:
    """The parts of a name, and where it ends."""
    names = []
    while _at(tokens, place).names:
        names.append(_at(tokens, place).value)
        place += 1
        if not _at(tokens, place).marks("."):
            return names, place
        place += 1
    return [], place


def _inserted(tokens: Sequence[Token], place: int) -> Iterator[str]:
    """The columns of an INSERT, whose list begins there, if it has one."""
    if not _at(tokens, place).marks("(") or _at(tokens, place + 1).says("select", "with", "values", "table"):
        return
    depth = 0
    for number in range(place, len(tokens)):
        token = tokens[number]
        depth += token.marks("(", "[") - token.marks(")", "]")
        if not depth or token.marks(";"):
            return
        if depth == 1 and token.names and tokens[number - 1].marks("(", ","):
            yield token.value


def _set(tokens: Sequence[Token], place: int) -> Iterator[str]:
    """The columns of an UPDATE, whose assignments begin there."""
    depth, target = 0, True
    for number in range(place, len(tokens)):
        token = tokens[number]
        depth += token.marks("(", "[") - token.marks(")", "]")
        if token.marks(";") or depth < 0 or (not depth and token.says("from", "where", "returning")):
            return
        if token.kind == "operator" and token.value == "=" and not depth:
            target = False
        elif token.marks(",") and not depth:
            target = True
        elif target and token.names and tokens[number - 1].marks("(", ",") | tokens[number - 1].says("set"):
            yield token.value
