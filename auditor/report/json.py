"""JSON, as the contract describes it: ASCII only, so that no terminal, log or parser trips over a name."""

from __future__ import annotations

import json

from auditor.audit import Audit, to_json
from auditor.report import Options


def render(audit: Audit, options: Options) -> str:
    """The report as JSON text."""
    return json.dumps(to_json(audit), indent=2, ensure_ascii=True, allow_nan=False) + "\n"
