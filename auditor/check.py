"""The vocabulary of a check: what it may yield, and what a finding consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditor.probe import Answer, Probe


class Severity(StrEnum):
    """How bad it is. `error`: the data is broken, or an ordinary operation is certain to fail."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


class Confidence(StrEnum):
    """`proven`: read from rows, or certain from the catalog. `suspected`: rests on something inferred."""

    PROVEN = "proven"
    SUSPECTED = "suspected"


class Depth(StrEnum):
    """How deep an audit reads: the catalog only, the rows nobody vouches for, or also what the server vouches for."""

    CATALOG = "catalog"
    DATA = "data"
    FULL = "full"

    def includes(self, other: Depth) -> bool:
        """Whether an audit of this depth does what `other` asks for."""
        return self is other or self is Depth.FULL or other is Depth.CATALOG


@dataclass(frozen=True, slots=True)
class Object:
    """What a finding is about, by name: never by oid, so that it means the same in staging and in production."""

    kind: str  # constraint, table, column, index, trigger, sequence, function, statement, collation, database, collation, database
    schema: str
    table: str = ""
    name: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fix:
    """One way out: SQL and the SQL that takes it back, one statement each, for a human to review.

    `locks` says which lock is taken and for how long; `caveats` what else changes.
    """

    title: str
    sql: tuple[str, ...]
    rollback: tuple[str, ...] = ()
    locks: str = ""
    caveats: tuple[str, ...] = ()
    recommended: bool = False

    def recommend(self) -> Fix:
        """The same fix as the recommended one."""
        return replace(self, recommended=True)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rows said. `where` finds the rows again in the finding's table; `seconds` are wall time, and
    `estimated_seconds` what the plan had for the strategy it would have begun with. `seen_again` is a later snapshot in which
    the rows were looked at again, and still offended; `in_flight` are rows that no longer did, and are not counted."""

    violations: int | None
    exact: bool = True
    rows_examined: int | None = None
    where: str | None = None
    sql: str | None = None
    sample: tuple[dict[str, str | None], ...] = ()
    snapshot: str | None = None
    seconds: float = 0.0
    strategy: str | None = None
    estimated_seconds: float | None = None
    seen_again: str | None = None
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """An earlier audit that reported a finding: when it began (ISO 8601), and how many rows it counted."""

    at: str
    violations: int | None


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier audits said of a finding: when it was first and last seen (ISO 8601), how many rows it counted then.

    `runs` are the last ones that asked for the same and reported it, the oldest first.
    """

    first_seen: str
    first: int | None
    last: int | None
    last_seen: str = ""
    runs: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect. A check fills in what it knows; the engine adds check, fingerprint, evidence and status.

    `defect` names the defect itself, whoever finds it: of two findings with the same one, the check that supersedes
    the other reports it.
    """

    severity: Severity
    object: Object
    title: str
    message: str
    confidence: Confidence = Confidence.PROVEN
    related: tuple[Object, ...] = ()
    evidence: Evidence | None = None
    fixes: tuple[Fix, ...] = ()
    defect: tuple[Any, ...] | None = None
    check: str = ""
    fingerprint: str = ""
    status: str = "new"  # new, known, suppressed
    past: Past | None = None

    def but(self, **changes: Any) -> Finding:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Clean:
    """The check looked at `subject` and found nothing to say."""

    subject: Object


@dataclass(frozen=True, slots=True)
class NotChecked:
    """The check could not judge `subject`; `reason` is one of the contract's, `detail` is for the reader.

    `depth` is the depth from which on it would have been judged.
    """

    subject: Object
    reason: str
    detail: str = ""
    depth: Depth = Depth.CATALOG


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to the rows, and what its answer means.

    `verdict` turns the answer into a finding, into None (the subject is clean), or into the next questions. `unread` is
    the finding that stands on the catalog alone, for when the rows are not read. `depth` is the depth from which on the
    question is asked. `whole`: that no row answers tells something too, so that some of the rows cannot.
    """

    subject: Object
    probe: Probe
    verdict: Callable[[Answer], Finding | Ask | tuple[Ask, ...] | None]
    unread: Finding | None = None
    depth: Depth = Depth.DATA
    whole: bool = False


Result = Finding | Clean | NotChecked | Ask
