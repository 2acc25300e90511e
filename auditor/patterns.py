"""Object name patterns as psql understands them (documentation: psql, Patterns)."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache

from auditor.check import Object
from auditor.errors import UsageError
from auditor.text import fold


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
        elif c == "$" or (c == "[" and pattern[i + 1 : i + 2] == "]"):  # the brackets of an array's type
            current += "\\" + c
        else:
            current += fold(c)  # other regular-expression characters keep their meaning, as in psql
        i += 1
    parts.append(current)
    try:
        with warnings.catch_warnings(action="error"):  # [[:alpha:]] would silently be something else here
            return tuple(re.compile(part, re.DOTALL) for part in parts)
    except (re.error, FutureWarning) as error:
        raise UsageError(f"the pattern {pattern!r} does not parse: {error}") from None


def matches_schema(pattern: str, schema: str) -> bool:
    """Whether a pattern of `-n` names this schema."""
    return _parts(pattern)[-1].fullmatch(schema) is not None


def matches_table(pattern: str, schema: str, table: str) -> bool:
    """Whether a pattern of `-t` names this table: `name`, or `schema.name`."""
    *schemas, name = _parts(pattern)
    return name.fullmatch(table) is not None and all(s.fullmatch(schema) is not None for s in schemas[-1:])


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects are wanted: psql patterns of schemas and tables, wanted and unwanted."""

    schemas: tuple[str, ...] = ()
    exclude_schemas: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()

    def validate(self) -> None:
        """Raises UsageError for the first pattern that does not parse."""
        for pattern in (*self.schemas, *self.exclude_schemas, *self.tables, *self.exclude_tables):
            _parts(pattern)

    def excludes(self, subject: Object) -> bool:
        """Whether `subject` is expressly not wanted."""
        return any(matches_schema(p, subject.schema) for p in self.exclude_schemas) or any(
            matches_table(p, subject.schema, subject.table) for p in self.exclude_tables
        )

    def holds(self, subject: Object) -> bool:
        """Whether a finding about `subject` is wanted."""
        return (
            (not self.schemas or any(matches_schema(p, subject.schema) for p in self.schemas))
            and (not self.tables or any(matches_table(p, subject.schema, subject.table) for p in self.tables))
            and not self.excludes(subject)
        )
