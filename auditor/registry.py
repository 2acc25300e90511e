"""Finds, loads and validates checks; selects among them. A check's id is its path, and is spelled nowhere else."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from auditor.catalog.model import Catalog
from auditor.check import Depth, Result, Severity
from auditor.content import folder
from auditor.errors import UsageError, nearest


@dataclass(frozen=True, slots=True)
class Check:
    """A loaded check. `severity` is its ceiling, `supersedes` the checks that stay silent about what it reports."""

    id: str
    severity: Severity
    depths: tuple[Depth, ...]
    documentation: str
    supersedes: tuple[str, ...]
    run: Callable[[Catalog], Iterator[Result]]

    @property
    def family(self) -> str:
        """The folder it lives in."""
        return self.id.partition("/")[0]

    @property
    def title(self) -> str:
        """The bad condition it finds: the first line of its docstring."""
        return self.documentation.partition("\n")[0].strip()


def _load(path: Path) -> Check:
    identity = _identity(path)
    spec = importlib.util.spec_from_file_location(f"auditor_checks.{path.parent.name}.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    documentation = inspect.cleandoc(module.__doc__ or "")
    run = getattr(module, "check", None)
    severity = getattr(module, "severity", None)
    depths = getattr(module, "depths", None)
    problems = [
        problem
        for wrong, problem in (
            (not documentation, "a docstring"),
            (not re.search(r"^Fix:", documentation, re.MULTILINE), "a `Fix:` section in its docstring"),
            (not re.search(r"^Not flagged:", documentation, re.MULTILINE), "a `Not flagged:` section in its docstring"),
            (not isinstance(severity, Severity), "`severity`, a Severity"),
            (
                not isinstance(depths, tuple) or not all(isinstance(d, Depth) for d in depths),
                "`depths`, a tuple of Depth",
            ),
            (not inspect.isgeneratorfunction(run), "a generator `check(catalog)`"),
        )
        if wrong
    ]
    if problems:
        raise UsageError(f"the check {identity} lacks {', '.join(problems)} ({path})")
    assert isinstance(severity, Severity)
    assert isinstance(depths, tuple)
    assert run is not None
    return Check(identity, severity, depths, documentation, tuple(getattr(module, "supersedes", ())), run)


def _files(*folders: Path) -> list[Path]:
    found: list[Path] = []
    for root in (folder("checks"), *folders):
        if not root.is_dir():
            raise UsageError(f"no folder of checks at {root}")
        found += (path for path in sorted(root.glob("*/*.py")) if not path.name.startswith("_"))
    return found


def _identity(path: Path) -> str:
    return f"{path.parent.name}/{path.stem.replace('_', '-')}"


def identities(*folders: Path) -> tuple[str, ...]:
    """The ids of all checks, without loading them."""
    return tuple(sorted(map(_identity, _files(*folders))))


@lru_cache(maxsize=8)
def load(*folders: Path) -> tuple[Check, ...]:
    """All checks of the tool's own folder and of `folders`, by id. Raises UsageError for a file that is no check."""
    found: dict[str, Check] = {}
    for path in _files(*folders):
        loaded = _load(path)
        if loaded.id in found:
            raise UsageError(f"the check {loaded.id} exists twice; rename {path}")
        found[loaded.id] = loaded
    return tuple(sorted(found.values(), key=lambda c: c.id))


def matching(words: Iterable[str]) -> set[str]:
    """The ids that `words` name: ids or families. Raises UsageError for a word that names nothing."""
    ids = identities()
    known = {*ids, *(identity.partition("/")[0] for identity in ids)}
    chosen = set()
    for word in words:
        if word not in known:
            alike = sorted(name for name in known if ("/" in name) is ("/" in word))
            raise UsageError(f"no check or family is called {word!r}{nearest(word, alike)}")
        chosen |= {identity for identity in ids if word in (identity, identity.partition("/")[0])}
    return chosen


def selected(select: Iterable[str], ignore: Iterable[str]) -> set[str]:
    """The ids of the checks to run: those selected (all, when nothing is), without those ignored."""
    return (matching(select) or set(identities())) - matching(ignore)
