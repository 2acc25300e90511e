"""The errors the auditor raises on purpose. Each carries the exit code of the contract; `cli` is the only one to use it."""

from __future__ import annotations


class AuditorError(Exception):
    """Something the user has to hear about in one line: what was wrong, where, what would be right."""

    exit_code = 3


class UsageError(AuditorError):
    """An option, a file or a name that was handed to the auditor is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """An entry of the configuration is wrong."""


class CannotConnectError(AuditorError):
    """The server could not be reached, or refused the login."""


class SilentServerError(CannotConnectError):
    """Nobody answered within connect_timeout."""


class HeldError(AuditorError):
    """Another process holds the lock file: nothing was audited."""


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean ...?` for the known word closest to `word`, or the empty string when none is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
