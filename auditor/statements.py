"""SQL text in, its upserts out: the files handed over with `--sql`, the bodies of functions, recorded statements.

The text is cut into tokens as PostgreSQL's own scanner does (documentation: Lexical Structure), so that comments,
strings and quoted names cannot be mistaken for statements. What is taken out of it is written anew from its tokens,
never copied: it is safe to stand in another statement. Text that is no PostgreSQL (psql's commands, templates, other
dialects) is passed over where it says nothing about ON CONFLICT, and named as obscure where it does.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from pathlib import Path

from auditor.catalog.model import Statement
from auditor.errors import UsageError
from auditor.text import NAME_PART, NAME_START, TAG_PART, fold, ident, literal


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `value` is folded (word), unescaped (name, string) or as written; `prefix` is b, x, or $ of a string."""

    kind: str  # word, name (quoted), string, number, parameter, operator, mark, other (no SQL)
    value: str
    start: int
    end: int
    prefix: str = ""

    def says(self, *words: str) -> bool:
        """Whether it is one of these words, unquoted."""
        return self.kind == "word" and self.value in words

    def marks(self, *marks: str) -> bool:
        """Whether it is one of these punctuation marks."""
        return self.kind == "mark" and self.value in marks

    @property
    def names(self) -> bool:
        """Whether it can be an identifier."""
        return self.kind in ("word", "name")


@dataclass(frozen=True, slots=True)
class Upsert:
    """An INSERT with ON CONFLICT. Names are as the catalog has them; `targets` and `predicate` are SQL text on one line.

    `action` is nothing or update; `line` counts from the first line of the text. `obscure` says why the clause cannot be
    judged: it is put together at run time, or is no plain SQL; the other fields are then not to be relied on.
    """

    schema: str | None
    table: str
    targets: tuple[str, ...] = ()
    predicate: str | None = None
    constraint: str | None = None
    action: str = "nothing"
    line: int = 1
    obscure: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says: its upserts, the tables it inserts into, those it creates for the session, and the line of a
    quote or comment that is never closed (what follows it was not read)."""

    upserts: tuple[Upsert, ...] = ()
    inserts: tuple[tuple[str | None, str], ...] = ()
    temporary: frozenset[str] = frozenset()
    unclosed: int | None = None


LARGEST = 16 << 20  # bytes of a file that is read; what is larger is a dump of rows


def read_files(paths: Sequence[Path]) -> tuple[Statement, ...]:
    """The texts of files, and of every `*.sql` below directories, links to directories left out.

    What cannot be read below a directory, is no text, or is larger than LARGEST comes without its text, with the problem.
    Raises UsageError for a path that is not there or not readable.
    """
    found: list[Statement] = []
    for path in paths:
        inside = path.is_dir()
        files = sorted(f for f in path.rglob("*") if f.suffix.lower() == ".sql") if inside else [path]
        if not files:
            raise UsageError(f"--sql {path}: the directory holds no *.sql file")
        for file in files:
            text, problem = "", ""
            try:
                if inside and file.exists() and not file.is_file():
                    continue  # a directory of that name, a pipe
                with file.open("rb") as opened:
                    text, problem = _decoded(opened.read(LARGEST + 1))
            except OSError as error:
                if not inside:
                    raise UsageError(f"--sql {file}: {error.strerror}") from None
                problem = f"the file cannot be read: {error.strerror}"
            found.append(Statement(str(file), 1, text, problem))
    return tuple(found)


def _decoded(data: bytes) -> tuple[str, str]:
    """The text, or why there is none."""
    if len(data) > LARGEST:
        return "", f"the file is larger than {LARGEST >> 20} MiB"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace"), ""
    if b"\0" in data:
        return "", "the file is no text"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:  # one byte, one character, as most older encodings have it
        return data.decode("latin-1"), ""


# --- tokens --------------------------------------------------------------------------------------------------------

_SPACE = " \t\n\r\f\v"
_TOKEN = re.compile(
    rf"""(?P<space>[{_SPACE}]+|--[^\n\r]*)
    |(?P<comment>/\*)
    |(?P<template>\{{\{{|\{{%|\{{\#|\$\{{)
    |(?P<dollar>\$(?:{NAME_START}{TAG_PART}*)?\$)
    |(?P<unicode>[uU]&(?=['"]))
    |(?P<string>[eEbBxXnN]?')
    |(?P<name>")
    |(?P<word>{NAME_START}{NAME_PART}*)
    |(?P<number>0[xX][0-9A-Fa-f_]+|0[oO][0-7_]+|0[bB][01_]+
        |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)
    |(?P<parameter>\$[0-9]+)
    |(?P<mark>::|:=|\.\.|[()\[\],;.:])
    |(?P<operator>[-+*/<>=~!@\#%^&|`?]+)
    |(?P<backslash>\\)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_PLAIN_STRING = re.compile(r"((?:[^']|'')*)'")
_ESCAPE_STRING = re.compile(r"((?:[^'\\]|\\.|'')*)'", re.DOTALL)
_QUOTED_NAME = re.compile(r'((?:[^"]|"")*)"')
_CONTINUED = re.compile(r"[ \t\f\v]*[\n\r][ \t\n\r\f\v]*'")
_UESCAPE = re.compile(r"[ \t\n\r\f\v]*uescape[ \t\n\r\f\v]*'(.)'", re.IGNORECASE)
_ESCAPES = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))|''", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_TEMPLATE_ENDS = {"{{": "}}", "{%": "%}", "{#": "#}", "${": "}"}
_END_OF_DATA = re.compile(r"^\\\.[ \t]*\r?$", re.MULTILINE)


class Scanner:
    """Cuts a text into tokens. `script`: it is a file for psql, whose commands and COPY data are passed over."""

    def __init__(self, text: str, *, script: bool = False) -> None:
        """Scans all of `text`; nothing raises. `unclosed` is the offset of a quote or comment without end, or None."""
        self.text = text
        self.tokens: list[Token] = []
        self.unclosed: int | None = None
        self._script = script
        self._begun = 0  # the first token of the statement at hand
        place = 0
        while place < len(text):
            place = self._next(place)

    def line(self, offset: int) -> int:
        """The line of an offset, from 1."""
        return self.text.count("\n", 0, offset) + 1

    def _add(self, kind: str, value: str, start: int, end: int, prefix: str = "") -> int:
        self.tokens.append(Token(kind, value, start, end, prefix))
        return end

    def _rest(self, start: int) -> int:
        """The end of the text, which what begins at `start` reaches without being closed."""
        self.unclosed = start
        return len(self.text)

    def _next(self, start: int) -> int:
        found = _TOKEN.match(self.text, start)
        assert found is not None  # `other` takes any character
        kind, value, end = str(found.lastgroup), found[0], found.end()
        match kind:
            case "space":
                return end
            case "comment":
                return self._comment(start)
            case "template":
                closing = self.text.find(_TEMPLATE_ENDS[value], end)
                return self._add("other", value, start, closing + len(_TEMPLATE_ENDS[value]) if closing >= 0 else end)
            case "dollar":
                closing = self.text.find(value, end)
                if closing < 0:
                    return self._rest(start)
                return self._add("string", self.text[end:closing], start, closing + len(value), "$")
            case "unicode":
                return self._unicode(start)
            case "string":
                return self._string(start, value[:-1].lower(), end)
            case "name":
                closed = _QUOTED_NAME.match(self.text, end)
                if closed is None:
                    return self._rest(start)
                return self._add("name", _cut(closed[1].replace('""', '"')), start, closed.end())
            case "word":
                return self._add("word", _cut(fold(value)), start, end)
            case "operator":
                value = _operator(value)
                return self._add(kind, value, start, start + len(value))
            case "backslash" if self._script:
                return self._command(start)
            case "backslash":
                return self._add("other", value, start, end)
            case "mark" if value == ";":
                self._add(kind, value, start, end)
                return self._after_copy(end)
        return self._add(kind, value, start, end)

    def _comment(self, start: int) -> int:
        depth, place = 0, start
        while found := _COMMENT.search(self.text, place):
            depth += 1 if found[0] == "/*" else -1
            place = found.end()
            if depth == 0:
                return place
        return self._rest(start)

    def _string(self, start: int, prefix: str, place: int) -> int:
        parts = []
        pattern = _ESCAPE_STRING if prefix == "e" else _PLAIN_STRING
        while True:
            closed = pattern.match(self.text, place)
            if closed is None:
                return self._rest(start)
            parts.append(_unescaped(closed[1]) if prefix == "e" else closed[1].replace("''", "'"))
            continued = _CONTINUED.match(self.text, closed.end())
            if continued is None:
                return self._add("string", "".join(parts), start, closed.end(), prefix if prefix in "bx" else "")
            place = continued.end()

    def _unicode(self, start: int) -> int:
        quote = self.text[start + 2]
        closed = (_QUOTED_NAME if quote == '"' else _PLAIN_STRING).match(self.text, start + 3)
        if closed is None:
            return self._rest(start)
        chosen = _UESCAPE.match(self.text, closed.end())
        escape = re.escape(chosen[1] if chosen else "\\")
        value = re.sub(
            rf"{escape}(?:([0-9A-Fa-f]{{4}})|\+([0-9A-Fa-f]{{6}})|({escape}))",
            lambda m: m[3] or _character(int(m[1] or m[2], 16)),
            closed[1].replace(quote * 2, quote),
        )
        end = (chosen or closed).end()
        return self._add("name" if quote == '"' else "string", _cut(value) if quote == '"' else value, start, end)

    def _command(self, start: int) -> int:
        """psql's own command, up to the end of its line; `\\g` and its kin send the statement before them."""
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        if self.text.startswith(("\\g", "\\crosstabview", "\\watch"), start):
            self._add("mark", ";", start, end)
            self._begun = len(self.tokens)
        return end

    def _after_copy(self, end: int) -> int:
        """Where to go on after a semicolon: behind the rows, when it ended a COPY FROM STDIN."""
        statement = self.tokens[self._begun : self._begun + 400]
        self._begun = len(self.tokens)
        if not (self._script and statement[0].says("copy")):
            return end
        pairs = pairwise(statement)
        if not any(one.says("from") and other.says("stdin") for one, other in pairs):
            return end
        data = _END_OF_DATA.search(self.text, end)
        return data.end() if data else end


def _cut(name: str) -> str:
    """An identifier as the server keeps it: at most 63 bytes (documentation: Identifiers and Key Words)."""
    data = name.encode("utf-8", "surrogateescape") if len(name) > 15 else b""
    return data[:63].decode("utf-8", "ignore") if len(data) > 63 else name


def _operator(run: str) -> str:
    """The first operator of a run of operator characters (documentation: Lexical Structure, Operators)."""
    for opening in ("--", "/*"):
        place = run.find(opening)
        run = run[:place] if place > 0 else run
    while len(run) > 1 and run[-1] in "+-" and not set(run[:-1]) & set("~!@#%^&|`?"):
        run = run[:-1]
    return run


def _character(code: int) -> str:
    return chr(code) if 0 < code <= 0x10FFFF else "\ufffd"


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[0] == "''":
            return "'"
        octal, *codes, letter = found.groups()
        code = int(octal, 8) & 255 if octal else next((int(c, 16) for c in codes if c), None)
        return _character(code) if code is not None else _LETTERS.get(letter, letter)

    return _ESCAPES.sub(one, text)


# Spelled as the server's deparser spells them.
_SHOUTED: tuple[str, ...] = (
    "and",
    "or",
    "not",
    "is",
    "null",
    "in",
    "between",
    "like",
    "any",
    "case",
    "when",
    "then",
    "else",
    "end",
)
_SHOUTED += ("coalesce", "collate", "desc", "asc")


def written(tokens: Sequence[Token]) -> str:
    """The tokens as SQL on one line, each in its canonical form, so that they are read as these tokens and no others.

    Raises ValueError for a token that is no SQL, and for a semicolon.
    """
    parts: list[str] = []
    before: Token | None = None
    for token in tokens:
        if token.kind == "other" or token.marks(";"):
            raise ValueError(token.value)
        text = token.value.upper() if token.says(*_SHOUTED) else token.value
        if token.kind == "name":
            text = ident(text)
        elif token.kind == "string":
            text = (token.prefix if token.prefix in ("b", "x") else "") + literal(text).strip()
        if before is not None:
            solid = {"word", "name", "number", "parameter", "string"}
            touching = (before.kind in solid and token.kind in solid) or before.kind == token.kind == "operator"
            parts.append(" " if touching or before.end < token.start else "")
        parts.append(text)
        before = token
    return "".join(parts)


# --- upserts -------------------------------------------------------------------------------------------------------

_UPSERT = re.compile(r"\bon\s+conflict\b", re.IGNORECASE)
_DYNAMIC = "it is put together at run time"
_NO_SQL = "it holds a placeholder, or is no plain SQL"
_NO_ACTION = "neither DO NOTHING nor DO UPDATE follows"
_MYSQL = "ON DUPLICATE KEY is no SQL of PostgreSQL"
_BEGINNING = 4000  # characters in which a statement's first word stands
_NESTED = "it is a string in a string in a string, and so on"
_DEEPEST = 8  # strings of SQL in strings of SQL
_SOME = "{{}}"  # one literal or identifier that is known at run time: no token of SQL
_SPECIFIER = re.compile(r"%(?:([1-9][0-9]{0,4})\$)?(.)", re.DOTALL)  # documentation: format(); widths are not told


def read(text: str, *, line: int = 1, script: bool = False, depth: int = 0) -> Reading:
    """What a text says. `script`: it is a file for psql; else the body of a function. `line` is that of its beginning,
    `depth` in how many strings of SQL it stands."""
    if "insert" not in text.lower():
        return Reading()
    if depth > _DEEPEST:
        return Reading((Upsert(None, "", line=line, obscure=_NESTED),) if _UPSERT.search(text) else ())
    scanner = Scanner(text, script=script)
    reader = _Reader(scanner, line, depth)
    upserts = tuple(reader.upserts(script=script))
    unclosed = scanner.line(scanner.unclosed) + line - 1 if scanner.unclosed is not None else None
    return Reading(upserts, tuple(reader.inserts), frozenset(reader.temporary), unclosed)


def writes(text: str) -> bool:
    """Whether a text of one statement begins as one that inserts: it is no utility statement that only names another."""
    tokens = Scanner(text[:_BEGINNING]).tokens
    return bool(tokens) and tokens[0].says("insert", "with")


class _Reader:
    def __init__(self, scanner: Scanner, line: int, depth: int) -> None:
        self.tokens = scanner.tokens
        self.inserts: list[tuple[str | None, str]] = []
        self.temporary: set[str] = set()
        self._breaks = [m.start() for m in re.finditer("\n", scanner.text)]
        self._first = line
        self._depth = depth
        self._read: set[int] = set()  # strings that were read as SQL
        self._computed = False  # some EXECUTE runs a variable

    def _line(self, token: Token) -> int:
        return bisect_right(self._breaks, token.start) + self._first

    def _at(self, number: int) -> Token:
        return self.tokens[number] if 0 <= number < len(self.tokens) else Token("mark", ";", -1, -1)

    def upserts(self, *, script: bool) -> Iterator[Upsert]:
        for number, token in enumerate(self.tokens):
            after = self._at(number + 1)
            if token.says("insert") and after.says("into"):
                yield from self._insert(number)
            elif token.says("execute") and not script:
                yield from self._execute(number)
            elif token.says("temp", "temporary") and (after.says("table") or self._at(number - 1).says("into")):
                self._create(number + 1 + after.says("table"))
            elif token.says("table") and self._at(number - 1).says("create"):
                self._create(number + 1, schema="pg_temp")
            elif script and token.kind == "string" and self._is_code(number):
                yield from self._code(number)
        if self._computed:
            for number, token in enumerate(self.tokens):
                if token.kind == "string" and number not in self._read and _UPSERT.search(token.value):
                    yield Upsert(None, "", line=self._line(token), obscure=_DYNAMIC)

    def _is_code(self, number: int) -> bool:
        """Whether a string of a script is the body of a function or of DO."""
        return self._at(number - 1).says("as", "do") or (
            self._at(number - 2).says("language") and self._at(number - 3).says("do")
        )

    def _code(self, number: int) -> Iterator[Upsert]:
        token = self.tokens[number]
        around = (
            place
            for way in (range(number - 1, 0, -1), range(number + 1, len(self.tokens) - 1))
            for place in takewhile(lambda place: not self.tokens[place].marks(";"), way)
        )
        language = next((self.tokens[p + 1].value for p in around if self.tokens[p].says("language")), "sql")
        if language.lower() in ("sql", "plpgsql"):
            yield from self._within(token.value, token)
        elif _UPSERT.search(token.value):
            yield Upsert(None, "", line=self._line(token), obscure=f"its language is {language}")

    def _within(self, text: str, place: Token) -> Iterator[Upsert]:
        inner = read(text, line=self._line(place), depth=self._depth + 1)
        self.inserts.extend(inner.inserts)
        self.temporary |= inner.temporary
        yield from inner.upserts
        if inner.unclosed is not None and _UPSERT.search(text):
            yield Upsert(None, "", line=inner.unclosed, obscure="a quote or comment is never closed")

    def _create(self, number: int, schema: str | None = None) -> None:
        if self._at(number).says("if"):
            number += 3
        named, name, _ = self._name(number)
        if schema in (None, named):
            self.temporary.add(name)

    def _execute(self, number: int) -> Iterator[Upsert]:
        """EXECUTE: what is known before it runs is read as SQL; whatever is computed and holds ON CONFLICT is obscure."""
        if self._at(number + 1).says("function", "procedure", "on"):  # of CREATE TRIGGER and GRANT
            return
        end = self._ending(number + 1)
        strings = [other for other in range(number + 1, end) if self.tokens[other].kind == "string"]
        self._computed = self._computed or not strings  # a variable: its text is elsewhere in the body, if anywhere
        self._read.update(strings)
        text = _known(self.tokens[number + 1 : end])
        if text is not None:
            for upsert in self._within(text, self.tokens[strings[0]]):
                yield replace(upsert, obscure=upsert.obscure and _DYNAMIC)
            return
        said = next((self.tokens[other] for other in strings if _UPSERT.search(self.tokens[other].value)), None)
        if said is not None:
            yield Upsert(None, "", line=self._line(said), obscure=_DYNAMIC)

    def _ending(self, place: int) -> int:
        """Where the expression of an EXECUTE ends."""
        depth = 0
        while place < len(self.tokens):
            token = self.tokens[place]
            depth += token.marks("(") - token.marks(")")
            if token.marks(";") or depth < 0 or (depth == 0 and token.says("using", "into", "loop")):
                break
            place += 1
        return place

    def _insert(self, number: int) -> Iterator[Upsert]:
        line = self._line(self.tokens[number])
        schema, table, place = self._name(number + 2)
        known = bool(table) and self._at(place).kind not in ("other", "operator")
        if known:
            self.inserts.append((schema, table))
        depth = 0
        while place < len(self.tokens):
            token = self.tokens[place]
            if token.marks("(", "["):
                depth += 1
            elif token.marks(")", "]"):
                depth -= 1
            ends = token.marks(";") or depth < 0
            if ends or (depth == 0 and (token.says("returning") or self._begins(place, number))):
                return
            if depth == 0 and token.says("on") and self._says(place + 1, "duplicate", "key", "update"):
                yield Upsert(schema, table, line=line, obscure=_MYSQL)
                return
            if depth == 0 and token.says("on") and self._at(place + 1).says("conflict"):
                found = self._conflict(place + 2)
                if found is not None:
                    targets, predicate, constraint, action, obscure = found
                    obscure = obscure or ("" if known else _NO_SQL)
                    yield Upsert(schema, table, targets, predicate, constraint, action, line, obscure)
                    return
                if not any(other.says("join") for other in self.tokens[number:place]):  # JOIN ... ON conflict.a = b.a
                    yield Upsert(schema, table, line=line, obscure=_NO_ACTION)
                    return
            place += 1

    def _says(self, place: int, *words: str) -> bool:
        return all(self._at(place + number).says(word) for number, word in enumerate(words))

    def _begins(self, place: int, number: int) -> bool:
        return place > number and self.tokens[place].says("insert") and self._at(place + 1).says("into")

    def _name(self, place: int) -> tuple[str | None, str, int]:
        """`[[database.]schema.]table` as schema and table, and where it ends."""
        parts: list[str] = []
        while self._at(place).names:
            parts.append(self._at(place).value)
            place += 1
            if not self._at(place).marks("."):
                break
            place += 1
        if not parts or self._at(place - 1).marks("."):
            return None, "", place
        return (parts[-2] if len(parts) > 1 else None), parts[-1], place

    def _conflict(self, place: int) -> tuple[tuple[str, ...], str | None, str | None, str, str] | None:
        """What follows ON CONFLICT: targets, predicate, constraint, action, and why it is obscure; None: no such clause."""
        token = self._at(place)
        if token.says("do"):
            action = self._action(place)
            return ((), None, None, action, "") if action else None
        if token.says("on") and self._at(place + 1).says("constraint"):
            name, action = self._at(place + 2), self._action(place + 3)
            if name.names and action:
                return (), None, name.value, action, ""
            return ((), None, None, "nothing", _NO_SQL) if not name.names else None
        if not token.marks("("):
            return ((), None, None, "nothing", _NO_SQL) if token.kind in ("other", "operator", "parameter") else None
        closing = self._closing(place)
        predicate: list[Token] = []
        do = closing + 1
        if self._at(do).says("where"):
            do = self._do(do + 1)
            predicate = self.tokens[closing + 2 : do]
        action = self._action(do)
        if not action:
            return None
        targets = list(split(self.tokens[place + 1 : closing], lambda t: t.marks(",")))
        try:
            if not all(part and (part[0].names or part[0].marks("(")) for part in targets):
                raise ValueError
            texts = tuple(written(part) for part in targets)
            return texts, written(predicate) or None, None, action, ""
        except ValueError:
            return (), None, None, action, _NO_SQL

    def _action(self, place: int) -> str:
        return (
            self._at(place + 1).value
            if self._at(place).says("do") and self._at(place + 1).says("nothing", "update")
            else ""
        )

    def _closing(self, place: int) -> int:
        """The parenthesis that closes the one at `place`; the end of the tokens without one."""
        depth = 0
        while place < len(self.tokens):
            depth += self.tokens[place].marks("(") - self.tokens[place].marks(")")
            if depth == 0 or self.tokens[place].marks(";"):
                break
            place += 1
        return place

    def _do(self, place: int) -> int:
        """Where the predicate that begins at `place` ends."""
        depth = 0
        while place < len(self.tokens):
            token = self.tokens[place]
            depth += token.marks("(") - token.marks(")")
            if token.marks(";") or depth < 0 or (depth == 0 and self._action(place)):
                break
            place += 1
        return place


def split(tokens: Sequence[Token], at: Callable[[Token], bool]) -> Iterator[list[Token]]:
    """The tokens between those for which `at` holds outside any parentheses."""
    part: list[Token] = []
    depth = 0
    for token in tokens:
        depth += token.marks("(", "[") - token.marks(")", "]")
        if depth == 0 and at(token):
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _known(tokens: Sequence[Token]) -> str | None:
    """The text that an expression makes of constants with || and format(), as far as it is known before it runs.

    What quote_literal() and its like make of a value is one token, and stands as _SOME. None for every other expression.
    """
    texts = [_known_part(part) for part in split(tokens, _concatenates)]
    return None if None in texts else "".join(text or "" for text in texts)


def _concatenates(token: Token) -> bool:
    return token.kind == "operator" and token.value == "||"


def _constant(tokens: Sequence[Token]) -> str | None:
    parts = list(split(tokens, _concatenates))
    return "".join(part[0].value for part in parts) if all(_is_string(part) for part in parts) else None


def _is_string(tokens: Sequence[Token]) -> bool:
    return len(tokens) == 1 and tokens[0].kind == "string"


def _known_part(tokens: Sequence[Token]) -> str | None:
    if _is_string(tokens):
        return tokens[0].value
    if len(tokens) < 4 or not tokens[1].marks("(") or len(list(split(tokens[1:], lambda t: t.marks(")")))) != 2:
        return None  # no call, or more than one
    if tokens[0].says("quote_literal", "quote_nullable", "quote_ident"):
        return _SOME
    values = [_constant(value) for value in split(tokens[2:-1], lambda t: t.marks(","))]
    return _formatted(values) if tokens[0].says("format") else None


def _formatted(values: Sequence[str | None]) -> str | None:
    """What format() makes of its arguments, of which some are not known (None)."""
    template = values[0]
    if template is None:
        return None
    parts, place, following = [], 0, 1
    for found in _SPECIFIER.finditer(template):
        parts.append(template[place : found.start()])
        place = found.end()
        if found[0] == "%%":
            parts.append("%")
            continue
        number = int(found[1] or following)
        following = number + 1
        value = values[number] if number < len(values) else None
        if found[2] in ("I", "L") and value is None:
            parts.append(_SOME)
        elif found[2] in ("I", "L", "s") and value is not None:
            parts.append(value if found[2] == "s" else ident(value) if found[2] == "I" else literal(value))
        else:
            return None
    return "".join(parts) + template[place:]
