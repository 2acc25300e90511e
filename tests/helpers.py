"""What several tests do: audit a database with a piece of configuration."""

from __future__ import annotations

import tomllib
from typing import Any

from auditor.audit import Audit, Auditor
from auditor.catalog.model import Statement
from auditor.config import Settings
from auditor.connection import Target


def audit(dsn: str, config: str = "", statements: tuple[Statement, ...] = (), **options: Any) -> Audit:
    """An audit of `dsn`; `options` are those of `[audit]`."""
    settings = Settings.model_validate(tomllib.loads(config))
    chosen = type(settings.audit).model_validate({**settings.audit.model_dump(), **options})
    target = Target(dsn, statement_timeout=chosen.statement_timeout, lock_timeout=chosen.lock_timeout)
    return Auditor(settings.model_copy(update={"audit": chosen}), target, statements).run()


def titles(result: Audit) -> list[str]:
    """The titles of all findings, sorted."""
    return sorted(finding.title for finding in result.findings)
