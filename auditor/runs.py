"""Names of earlier runs: the file of a JSON report, or a run that the history keeps, by its id, the beginning of it, or `last`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from auditor.audit import Audit, Database, Find, Run, from_json
from auditor.earlier import sources
from auditor.errors import UsageError
from auditor.text import listed

if TYPE_CHECKING:
    from auditor.history import History

LAST = "last"


def report(path: Path) -> Audit:
    """The JSON report in a file. Raises UsageError."""
    try:
        return from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def finder(name: str, history: History | None, option: str) -> Find:
    """Finds the run that `option` names, once the run that wants it knows its database; with `--resume`, a run that it can
    go on with. What can be wrong with the name is told at once. Raises UsageError."""
    path = Path(name)
    known: Audit | None = None
    if path.is_file():
        known = report(path)
    elif history is None:
        raise UsageError(f"{option} {name}: there is no such file, and runs have names only with --history")
    elif name != LAST:
        known = history.report(name, option)

    def find(run: Run, database: Database) -> Audit | None:
        found = known
        if found is None and history is not None:
            found = history.last(run, database)
        if option == "--resume":
            if found is None:
                raise UsageError(f"{option} {name}: the history keeps no run of this database that asked for the same")
            _resumable(found, run, database, f"{option} {name}")
        return found

    return find


def _resumable(earlier: Audit, run: Run, database: Database, option: str) -> None:
    """Raises UsageError, which says why this run cannot go on with the earlier one."""
    from auditor.diff import ASKING

    if earlier.run.status != "incomplete":
        raise UsageError(f"{option}: that run is complete; --since takes over what has not changed since")
    if earlier.database.identity != database.identity:
        raise UsageError(
            f"{option}: that run was of the database {earlier.database.identity}, this is {database.identity}"
        )
    if earlier.run.depth != run.depth:
        raise UsageError(f"{option}: that run was of depth {earlier.run.depth}, this one is of depth {run.depth}")
    deciding = (*ASKING, "samples", "deny")
    other = [name for name in deciding if earlier.run.options.get(name) != run.options.get(name)]
    if other:
        raise UsageError(f"{option}: that run had other options: {listed(other)}")
    if earlier.run.options.get("declared") != run.options.get("declared"):
        raise UsageError(
            f"{option}: that run had another configuration of references, companions, keys or soft deletes"
        )
    mark = next((mark for mark in earlier.marks if mark.run == earlier.run.id), None)
    now = sources()
    if mark is not None and mark.auditor != now:
        raise UsageError(
            f"{option}: that run was made by version {earlier.tool.version} of the auditor ({mark.auditor}), this is another one ({now})"
        )
