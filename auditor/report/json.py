"""JSON, as the contract describes it: ASCII only, so that no terminal, log or parser trips over a name. An entry of a list is
a line: the encoder is in C where nothing is indented, and a report has tens of thousands of entries."""

from __future__ import annotations

import json
from typing import Any

from auditor.audit import Audit, to_json
from auditor.report import Options


def render(audit: Audit, options: Options) -> str:
    """The report as JSON text."""
    parts = [f"  {_encoded(name)}: {_lines(part)}" for name, part in to_json(audit).items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _encoded(value)
    return "[\n" + ",\n".join(f"    {_encoded(entry)}" for entry in value) + "\n  ]"


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)
