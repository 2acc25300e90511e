"""Where reports go: standard output, or a file that is complete or not there."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from auditor.errors import UsageError


def check_writable(path: Path) -> None:
    """Raises UsageError, before any work is done, when a report could not be written to `path`."""
    path = path.resolve()
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"cannot write the report to {path}: it is a directory")
    if _in_place(path):
        return
    if not folder.is_dir():
        raise UsageError(f"cannot write the report to {path}: there is no directory {folder}")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write the report to {path}: no permission to write in {folder}")


def _in_place(path: Path) -> bool:
    """Whether `path` is a device or a pipe: something to write to, never to replace."""
    return path.exists() and not path.is_file()


def write(text: str, path: Path | None) -> None:
    """Writes to `path`, readable by its owner only and put in place whole; to standard output without a path.

    Raises UsageError when the file system refuses.
    """
    data = text.encode("utf-8", "backslashreplace")
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    temporary = None
    path = path.resolve()  # a link goes on to name the same file
    try:
        if _in_place(path):
            path.write_bytes(data)
            return
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise UsageError(f"cannot write the report to {path}: {error.strerror}") from None
