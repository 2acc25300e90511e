"""Object name patterns as psql understands them (documentation: psql, Patterns)."""

from __future__ import annotations

import re
from functools import lru_cache

from auditor.errors import UsageError


@lru_cache(maxsize=256)
def _parts(pattern: str) -> tuple[re.Pattern[str], ...]:
    """Each dot-separated part as a regular expression: `*` any characters, `?` one, quotes keep case and take away meaning."""
    parts, current, quoted, i = [], "", False, 0
    while i < len(pattern):
        c = pattern[i]
        if c == '"':
            if quoted and pattern[i + 1 : i + 2] == '"':
                current, i = current + re.escape('"'), i + 1
            else:
                quoted = not quoted
        elif c == "." and not quoted:
            parts.append(current)
            current = ""
        elif quoted:
            current += re.escape(c)
        elif c == "*":
            current += ".*"
        elif c == "?":
            current += "."
        elif c in "[]|()+{}^\\":
            current += c  # other regular-expression characters keep their meaning, as in psql
        else:
            current += re.escape(c.lower())
        i += 1
    parts.append(current)
    try:
        return tuple(re.compile(part, re.DOTALL) for part in parts)
    except re.error as error:
        raise UsageError(f"the pattern {pattern!r} does not parse: {error}") from None


def matches_schema(pattern: str, schema: str) -> bool:
    """Whether a pattern of `-n` names this schema."""
    return _parts(pattern)[-1].fullmatch(schema) is not None


def matches_table(pattern: str, schema: str, table: str) -> bool:
    """Whether a pattern of `-t` names this table: `name`, or `schema.name`."""
    *schemas, name = _parts(pattern)
    return name.fullmatch(table) is not None and all(s.fullmatch(schema) is not None for s in schemas[-1:])
