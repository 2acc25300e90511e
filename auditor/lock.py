"""A lock file: of two audits that name the same one, the second does not start. The kernel releases it when its holder ends."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from auditor.errors import HeldError, UsageError


def hold(path: Path) -> int:
    """Locks `path` for as long as this process lives, and writes the process id there for the reader.

    The file stays when the process ends: who removed it could remove the one that another has just locked. Returns its
    descriptor, which is not inherited. Raises HeldError when another process holds it, UsageError when it cannot be used.
    """
    try:
        # What a link names may be anybody's file; a pipe would wait for its other end.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise UsageError(f"cannot use the lock file {path}: {error.strerror}") from None
    try:
        found = os.read(handle, 32).strip() if stat.S_ISREG(os.fstat(handle).st_mode) else b"?"
        if found and not found.isdigit():
            raise UsageError(f"cannot use the lock file {path}: it is there, and holds something else")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        os.close(handle)
        holder = f" (process {found.decode()})" if found else ""
        raise HeldError(f"another audit holds the lock file {path}{holder}: this one does not start") from None
    except OSError as error:
        os.close(handle)
        raise UsageError(f"cannot use the lock file {path}: {error.strerror}") from None
    except UsageError:
        os.close(handle)
        raise
    return handle
