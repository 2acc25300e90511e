"""`auditor.toml` and the command line, as one frozen Settings. An unknown key is an error that names the nearest known one."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from auditor.check import Depth, Severity
from auditor.errors import ConfigError, nearest

FILE = "auditor.toml"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


def _seconds(value: object) -> object:
    """`90`, `"90s"`, `"5min"`, `"500ms"`, `"1h"` as seconds."""
    if not isinstance(value, str):
        return value
    units = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
    number = value.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = value[len(number) :].strip() or "s"
    try:
        return float(number) * units[unit]
    except (KeyError, ValueError):
        raise ValueError(f"{value!r} is no duration; write 90, 90s, 5min or 500ms") from None


_LONGEST = 2_147_483  # the server counts milliseconds in 32 bits (documentation: statement_timeout)
_DURATION = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": _LONGEST},
        {"type": "string", "pattern": r"^ *[0-9]+(\.[0-9]+)? *(ms|s|min|m|h)? *$"},
    ],
    "description": "Seconds, or a duration like 90s, 5min, 500ms.",
}


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=_LONGEST), WithJsonSchema(_DURATION)]


class Database(_Part):
    """`[database]`: where to connect when no DSN is given."""

    url: str = ""


class Audit(_Part):
    """`[audit]`: the options of `auditor audit`, under the same names."""

    depth: Depth = Depth.DATA
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    exclude_schemas: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    where: tuple[str, ...] = ()  # conditions, or table: condition; only rows for which they hold are judged
    pace: Literal["gentle", "normal", "fast"] = "normal"
    jobs: Annotated[int, Field(ge=1, le=64)] | None = None
    statement_timeout: Seconds = 600.0
    lock_timeout: Seconds = 2.0
    time_budget: Seconds | None = None
    since: str | None = None  # the run whose unchanged tables are not read again
    max_snapshot: Seconds = 60.0  # 0: any age
    consistent: bool = False  # one snapshot for the whole run, which ends when that is so old
    max_load: Annotated[int, Field(ge=0)] | None = None
    critical_load: Annotated[int, Field(ge=0)] | None = None
    max_lag: Seconds | None = None
    settle: Seconds = 0.5
    samples: Literal["none", "keys", "full"] = "keys"
    deny: tuple[str, ...] = ("*password*", "*passwd*", "*secret*", "*token*", "*api_key*", "*private_key*", "*hash*")
    trust_owner: tuple[str, ...] = ()  # whose functions may run under a login for which that is dangerous
    fail_on: Literal["error", "warning", "info", "never"] = Severity.ERROR.value
    allow_incomplete: bool = False
    lock_file: str = ""  # held while an audit runs: a second one does not start

    @field_validator("critical_load")
    @classmethod
    def _above(cls, value: int | None, known: ValidationInfo) -> int | None:
        if value is not None and value < (known.data.get("max_load") or 0):
            raise ValueError(
                f"{value} is lower than max_load, {known.data['max_load']}: the run would end before it waits"
            )
        return value

    @property
    def connections(self) -> int:
        """How many read at the same time."""
        return self.jobs or (1 if self.pace == "gentle" else 2)


class HistoryPlace(_Part):
    """`[history]`: where audits are kept, to be compared with: a file (SQLite), or postgresql://...; empty: nowhere.

    `keep` is how many runs of a database that asked for the same are kept; older ones go.
    """

    url: str = ""
    keep: Annotated[int, Field(ge=1)] = 400


class Notify(_Part):
    """`[notify]`: who is told when something has changed since the last run: addresses as apprise has them."""

    urls: tuple[SecretStr, ...] = ()


class SoftDeletes(_Part):
    """`[soft_delete]`: which columns mark a deleted row, and how; `tables` overrides it per table, `{}` for none."""

    columns: dict[str, str] = {}
    tables: dict[str, dict[str, str]] = {}
    reuse_unwanted: tuple[str, ...] = ()  # tables whose deleted rows keep their keys on purpose
    history: tuple[str, ...] = ()  # tables whose rows speak of deleted rows on purpose


class Tenants(_Part):
    """`[tenant]`: which columns say to which customer a row belongs; `tables` overrides it per table, `""` for none."""

    columns: tuple[str, ...] = ()
    tables: dict[str, str] = {}


class Reference(_Part):
    """`[[reference]]`: a relation nobody declared: to one table, or to the one that `type_column` names.

    `self_is_root` says that a row of a hierarchy that points to itself is a root; a foreign key may declare it too.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["to"]}, {"required": ["type_column"]}],
            "dependentRequired": {"type_column": ["targets"], "targets": ["type_column"]},
        }
    )

    from_: str = Field(alias="from")
    to: str | None = None
    where: str | None = None
    self_is_root: bool = False
    type_column: str | None = None
    targets: dict[str, str] = {}

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.to is None) == (self.type_column is None):
            raise ValueError("it needs either to, or type_column and targets")
        if (self.type_column is None) != (not self.targets):
            raise ValueError("type_column and targets belong together")
        return self


class Companion(_Part):
    """`[[companion]]`: each row of `of` needs its row in `in`."""

    of: str
    in_: str = Field(alias="in")
    where: str | None = None
    exactly_one: bool = False
    grace: str | None = None
    created_at: str | None = None
    same_state: tuple[str, ...] = ()
    trigger: str | None = None


class Unique(_Part):
    """`[[unique]]`: a business key."""

    table: str
    columns: tuple[str, ...] = Field(min_length=1)
    where: str | None = None


class Ignore(_Part):
    """`[[ignore]]`: findings that are accepted, for a reason and perhaps until a day."""

    check: str
    object: str = "*"
    reason: str = Field(min_length=1)
    owner: str | None = None
    until: datetime.date | None = None


class Settings(_Part):
    """Everything an audit is told. Options of the command line win over the file."""

    database: Database = Database()
    audit: Audit = Audit()
    history: HistoryPlace = HistoryPlace()
    notify: Notify = Notify()
    soft_delete: SoftDeletes = SoftDeletes()
    tenant: Tenants = Tenants()
    reference: tuple[Reference, ...] = ()
    companion: tuple[Companion, ...] = ()
    unique: tuple[Unique, ...] = ()
    ignore: tuple[Ignore, ...] = ()


def schema() -> dict[str, Any]:
    """The JSON Schema of auditor.toml, for editors and for checking it before it is used."""
    made = Settings.model_json_schema(by_alias=True)
    made.update({"title": FILE, "description": "The configuration of the PostgreSQL integrity auditor."})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _known(path: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand where an unknown one was found."""
    model: Any = Settings
    for part in path:
        if isinstance(part, str):
            kind = model.model_fields[part].annotation
            kinds = (kind, *getattr(kind, "__args__", ()))
            model = next((c for c in kinds if isinstance(c, type) and issubclass(c, BaseModel)), model)
    return [info.alias or name for name, info in model.model_fields.items()]


def _said(error: ValidationError, file: str) -> str:
    first = error.errors()[0]
    place = "".join(f"[{p + 1}]" if isinstance(p, int) else f".{p}" for p in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        known = _known(first["loc"][:-1])
        hint = nearest(str(first["loc"][-1]), known) or f"; known are {', '.join(known)}"
        return f"{file}: unknown key {place!r}{hint}"
    if first["type"] == "model_type":
        return f"{file}: {place}: Input should be a table"
    if first["type"] == "missing":
        return f"{file}: {place!r} is missing"
    return f"{file}: {place}: {first['msg'].removeprefix('Value error, ')}"


def load(path: Path | None, overrides: dict[str, Any]) -> Settings:
    """The settings of `path`, or of ./auditor.toml where there is one; `overrides` are values for `[audit]`.

    Raises ConfigError with one line that names the file, the entry and what would be right.
    """
    if path is None and Path(FILE).is_file():
        path = Path(FILE)
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return merged(data, overrides, str(path))


def merged(data: dict[str, Any], overrides: dict[str, Any], source: str = FILE) -> Settings:
    """The settings of a parsed file, named `source` in errors, with `overrides` in `[audit]`. Raises ConfigError."""
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_said(error, source)) from None
    try:
        changed = Audit.model_validate({**settings.audit.model_dump(), **overrides})
    except ValidationError as error:
        raise ConfigError(_said(error, "options")) from None
    return settings.model_copy(update={"audit": changed})
