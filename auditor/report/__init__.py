"""One module per format, each with `render(audit, options) -> str`; the words live in templates/."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from auditor.audit import Audit
from auditor.errors import UsageError, nearest

FORMATS = ("terminal", "html", "markdown", "json", "sarif", "junit", "github", "gitlab", "csv", "prometheus")


@dataclass(frozen=True, slots=True)
class Options:
    """How to render: `width` in columns, `color` for terminals, `verbose` for samples and fixes there."""

    width: int = 80
    color: bool = False
    verbose: bool = False


def known_format(name: str) -> str:
    """`name`, if it is a format. Raises UsageError that names the nearest."""
    if name not in FORMATS:
        hint = nearest(name, list(FORMATS)) or f"; known are {', '.join(FORMATS)}"
        raise UsageError(f"there is no report format {name!r}{hint}")
    return name


def render(audit: Audit, name: str, options: Options) -> str:
    """The audit in the format `name`."""
    module = import_module(f"auditor.report.{known_format(name)}")
    text: str = module.render(audit, options)
    return text
