"""Where reports go: standard output, or a file that is complete or not there."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from auditor.errors import UsageError


def check_writable(path: Path) -> None:
    """Raises UsageError, before any work is done, when a report could not be written to `path`."""
    try:
        target = path.resolve()
        if target.is_dir():
            raise UsageError(f"cannot write the report to {path}: it is a directory")
        if _in_place(target):
            return
        if not target.parent.is_dir():
            raise UsageError(f"cannot write the report to {path}: there is no directory {target.parent}")
        if not os.access(target.parent, os.W_OK):
            raise UsageError(f"cannot write the report to {path}: no permission to write in {target.parent}")
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise UsageError(f"cannot write the report to {path}: {getattr(error, 'strerror', error)}") from None


def _in_place(path: Path) -> bool:
    """Whether `path` is a device or a pipe: something to write to, never to replace."""
    return path.exists() and not path.is_file()


def write(text: str, path: Path | None, *, shared: bool = False) -> None:
    """Writes to `path`, readable by its owner only (`shared`: by its group too) and put in place whole; to standard output
    without a path.

    Raises UsageError when the file system refuses.
    """
    data = text.encode("utf-8", "backslashreplace")
    if path is None:
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # nobody is there to read: no fault
            raise
        except OSError as error:
            # What could not be written must not be tried again when the interpreter exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise UsageError(f"cannot write the report to standard output: {error.strerror}") from None
        return
    temporary = None
    try:
        target = path.resolve()  # a link goes on to name the same file
        if _in_place(target):
            target.write_bytes(data)
            return
        handle, temporary = tempfile.mkstemp(prefix=".auditor-", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o640 if shared else 0o600)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise UsageError(f"cannot write the report to {path}: {error.strerror}") from None
