"""Where the content lies: checks and templates, in a checkout beside this package, in a wheel inside it."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    """The folder `checks` or `templates`."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
