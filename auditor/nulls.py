"""What a condition comes to once columns are NULL, as far as its text says: three-valued logic over what is not known.

Every part of an expression is the set of what it may be: true, false, NULL, or some other value. What is not understood may
be anything, so that `always_false` never says too much (documentation: Logical Operators; Comparison Functions and Operators).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import product

from auditor.statements import Scanner, Token

_T, _F, _N, _V = "true", "false", "null", "value"
_ANY = frozenset((_T, _F, _N, _V))
_STRICT = frozenset(
    ("=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*", "+", "-", "*", "/", "%")
)
_STRICT_FUNCTIONS = frozenset(("abs", "btrim", "char_length", "length", "lower", "ltrim", "rtrim", "upper"))


@dataclass(frozen=True)
class _Number:
    """A number between two bounds: what num_nulls and num_nonnulls count, or a constant."""

    least: int
    most: int


_Part = frozenset[str] | _Number


def always_false(expression: str | None, null: Collection[str], filled: Collection[str] = ()) -> bool:
    """Whether a condition is false, not NULL, whatever the other columns hold; `filled` are columns that are never NULL.

    VALUE, of a domain's CHECK, counts as a column of this name.
    """
    tokens = Scanner(expression or "").tokens
    if not tokens:
        return False
    reader = _Reader(tokens, null, filled)
    try:
        found = reader.disjunction()
    except _StrangeError:
        return False
    return reader.at == len(tokens) and _set(found) == {_F}


class _StrangeError(Exception):
    """Something that is not understood, and whose end is not found."""


def _set(part: _Part) -> frozenset[str]:
    return frozenset((_V,)) if isinstance(part, _Number) else part


def _not(part: _Part) -> frozenset[str]:
    return frozenset({_T: _F, _F: _T}.get(one, one) for one in _set(part))


def _and(one: _Part, other: _Part) -> frozenset[str]:
    return frozenset(
        _F if _F in pair else _T if pair == (_T, _T) else _N
        for pair in product((_set(one) & {_T, _F, _N}) or _ANY - {_V}, (_set(other) & {_T, _F, _N}) or _ANY - {_V})
    )


class _Reader:
    """A recursive descent over the text that the server deparses, in which nearly everything stands in parentheses."""

    def __init__(self, tokens: list[Token], null: Collection[str], filled: Collection[str]) -> None:
        self.tokens, self.null, self.filled = tokens, null, filled
        self.at = 0

    def peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def says(self, *words: str) -> bool:
        """Whether the next tokens are these words, which are then taken."""
        ahead = self.tokens[self.at : self.at + len(words)]
        if len(ahead) == len(words) and all(token.says(word) for token, word in zip(ahead, words, strict=True)):
            self.at += len(words)
            return True
        return False

    def marks(self, mark: str) -> bool:
        token = self.peek()
        if token is not None and token.marks(mark):
            self.at += 1
            return True
        return False

    def disjunction(self) -> _Part:
        found = self.conjunction()
        while self.says("or"):
            found = _not(_and(_not(found), _not(self.conjunction())))
        return found

    def conjunction(self) -> _Part:
        found = self.negation()
        while self.says("and"):
            found = _and(found, self.negation())
        return found

    def negation(self) -> _Part:
        return _not(self.negation()) if self.says("not") else self.comparison()

    def comparison(self) -> _Part:
        found = self.sum()
        while True:
            token = self.peek()
            if self.says("is"):
                found = self.test(found)
            elif token is not None and token.kind == "operator":
                self.at += 1
                found = self.compared(found, token.value, self.sum())
            else:
                return found

    def sum(self) -> _Part:
        """An operand with its casts."""
        found = self.operand()
        while self.marks("::"):
            found = self.cast(found)
        return found

    def test(self, found: _Part) -> frozenset[str]:
        part = _set(found)
        turned = self.says("not")
        if self.says("null"):
            answer = {_T if one == _N else _F for one in part}
        elif self.says("distinct", "from"):
            other = _set(self.sum())
            answer = {_T, _F}
            if part == {_N} or other == {_N}:
                answer = {_F if one == _N else _T for one in (other if part == {_N} else part)}
        else:
            token = self.peek()
            if token is None or not token.says("true", "false", "unknown"):
                raise _StrangeError
            self.at += 1
            wanted = {"true": _T, "false": _F, "unknown": _N}[token.value]
            answer = {_T if one == wanted else _F for one in (part & {_T, _F, _N}) or {_T, _F, _N}}
        return _not(frozenset(answer)) if turned else frozenset(answer)

    def compared(self, one: _Part, sign: str, other: _Part) -> _Part:
        if isinstance(one, _Number) and isinstance(other, _Number):
            decide: dict[str, Callable[[int, int], bool]] = {
                "=": int.__eq__,
                "<>": int.__ne__,
                "<": int.__lt__,
                ">": int.__gt__,
                "<=": int.__le__,
                ">=": int.__ge__,
            }
            if sign not in decide or max(one.most - one.least, other.most - other.least) > 100:
                return _ANY
            pairs = product(range(one.least, one.most + 1), range(other.least, other.most + 1))
            return frozenset(_T if decide[sign](*pair) else _F for pair in pairs)
        mine, theirs = _set(one), _set(other)
        if sign not in _STRICT:
            return _ANY
        if mine == {_N} or theirs == {_N}:
            return frozenset((_N,))
        if sign in ("=", "<>") and mine <= {_T, _F} and theirs <= {_T, _F}:
            equal = frozenset(_T if a == b else _F for a, b in product(mine, theirs))
            return equal if sign == "=" else _not(equal)
        return _ANY

    def cast(self, found: _Part) -> _Part:
        token = self.peek()
        if token is None or not token.names:
            raise _StrangeError
        self.at += 1
        while (token := self.peek()) is not None and (
            token.marks(".", "[", "]")
            or token.says("varying", "precision", "with", "without", "time", "zone")
            or (token.names and self.tokens[self.at - 1].marks("."))
        ):
            self.at += 1
        if self.marks("("):
            self.skip()
        part = _set(found)
        if isinstance(found, _Number):
            return found
        return part if part == {_N} or part <= {_T, _F, _N} else _ANY if _N in part else _ANY - {_N}

    def operand(self) -> _Part:
        token = self.peek()
        if token is None:
            raise _StrangeError
        self.at += 1
        if token.marks("("):
            found = self.disjunction()
            if not self.marks(")"):
                raise _StrangeError
            return found
        if token.kind == "operator" and token.value in ("-", "+"):
            inner = self.operand()
            return _set(inner) if _set(inner) == {_N} else _ANY
        if token.kind == "number":
            return _Number(int(token.value), int(token.value)) if token.value.isdigit() else frozenset((_V,))
        if token.kind == "string":
            return frozenset((_T, _F, _V))
        if token.says("null"):
            return frozenset((_N,))
        if token.says("true", "false"):
            return frozenset((_T if token.value == "true" else _F,))
        if not token.names or token.says("case", "any", "all", "array", "row", "select", "exists"):
            raise _StrangeError
        if self.marks("("):
            return self.call(token)
        if (after := self.peek()) is not None and after.marks("."):
            raise _StrangeError
        if token.value in self.null or (token.says("value") and "VALUE" in self.null):
            return frozenset((_N,))
        return _ANY - {_N} if token.value in self.filled else _ANY

    def call(self, name: Token) -> _Part:
        if self.marks(")"):
            return _ANY
        arguments = [self.disjunction()]
        while self.marks(","):
            arguments.append(self.disjunction())
        if not self.marks(")"):
            raise _StrangeError
        parts = [_set(argument) for argument in arguments]
        if name.says("coalesce"):
            found: set[str] = set()
            for part in parts:
                found |= part - {_N}
                if _N not in part:
                    return frozenset(found)
            return frozenset(found | {_N})
        if name.says("num_nulls", "num_nonnulls"):
            sure = sum(part == {_N} for part in parts)
            maybe = sum(_N in part for part in parts)
            if name.says("num_nulls"):
                return _Number(sure, maybe)
            return _Number(len(parts) - maybe, len(parts) - sure)
        if name.says(*_STRICT_FUNCTIONS) and any(part == {_N} for part in parts):
            return frozenset((_N,))
        return _ANY

    def skip(self) -> None:
        """Goes past the parenthesis that closes the one taken last."""
        depth = 1
        while depth:
            token = self.peek()
            if token is None:
                raise _StrangeError
            self.at += 1
            depth += 1 if token.marks("(") else -1 if token.marks(")") else 0
