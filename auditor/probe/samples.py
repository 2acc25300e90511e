"""Which values of rows may be read. Apart from the questions' SQL: depth catalog needs no more of probes than this."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Samples:
    """Which values of offending rows are read: `none`, `keys` (the row's own key and the columns of the relation), `full`
    (also the other columns the question compares). Columns whose name matches `deny` are never read."""

    policy: str = "keys"
    deny: tuple[str, ...] = ()

    def denied(self, column: str) -> bool:
        """Whether values of a column of this name are withheld."""
        return any(fnmatchcase(column.lower(), pattern.lower()) for pattern in self.deny)

    def unread(self, column: str) -> bool:
        """Whether values of a key's column of this name are not to be read, or none at all."""
        return self.policy == "none" or self.denied(column)
