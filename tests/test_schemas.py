"""The JSON report and auditor.toml, against the schemas that the auditor publishes."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from auditor.audit import Audit, from_json, schema, to_json
from auditor.config import Settings
from auditor.config import schema as config_schema
from auditor.errors import UsageError
from auditor.report import Options, render
from tests.conftest import Make
from tests.helpers import audit
from tests.reports import HOSTILE, hostile_script, shop

pytestmark = pytest.mark.once

REPORT = Draft202012Validator(schema(), format_checker=FormatChecker())
CONFIG = Draft202012Validator(config_schema(), format_checker=FormatChecker())


def written(result: Audit) -> str:
    return render(result, "json", Options())


def test_schemas_are_schemas() -> None:
    Draft202012Validator.check_schema(schema())
    Draft202012Validator.check_schema(config_schema())


@pytest.mark.parametrize("depth", ["catalog", "data", "full"])
@pytest.mark.parametrize("samples", ["none", "keys", "full"])
def test_reports_are_valid_and_read_back(database: Make, depth: str, samples: str) -> None:
    for result in (
        shop(database, depth=depth, samples=samples),
        audit(database(), depth=depth, samples=samples),
        audit(database("CREATE TABLE fine (id int PRIMARY KEY)"), depth=depth, samples=samples),
    ):
        text = written(result)
        data = json.loads(text)
        REPORT.validate(data)
        again = from_json(text, "a report")
        assert to_json(again) == to_json(result)
        assert written(again) == text
        # All else survives; what a defect is called is for one run only.
        assert [f.but(defect=None) for f in result.findings] == list(again.findings)
        assert (again.run, again.summary, again.coverage, again.notes) == (
            result.run,
            result.summary,
            result.coverage,
            result.notes,
        )


def test_the_schema_knows_every_key(database: Make) -> None:
    data = json.loads(written(shop(database)))
    for path in (("run",), ("findings", 0), ("findings", 0, "evidence"), ("findings", 0, "fixes", 0), ("coverage", 0)):
        changed = json.loads(json.dumps(data))
        part = changed
        for key in path:
            part = part[key]
        part["surprise"] = 1
        assert not REPORT.is_valid(changed), path
        del part["surprise"]
        for key in list(part):
            value = part.pop(key)
            assert not REPORT.is_valid(changed), (*path, key)
            part[key] = value
    assert REPORT.is_valid(data)
    assert not REPORT.is_valid({**data, "schema_version": 2})


def test_hostile_names_survive(database: Make) -> None:
    result = audit(database(hostile_script()))
    text = written(result)
    assert text.isascii()
    REPORT.validate(json.loads(text))
    again = from_json(text, "a report")
    assert {finding.object.table for finding in again.findings} >= set(HOSTILE)


def test_a_byte_of_no_encoding_survives(database: Make) -> None:
    text = written(shop(database)).replace("shop.", "sh\\udce9p.").replace('"orders"', '"ord\\udcffers"')
    REPORT.validate(json.loads(text))
    again = from_json(text, "a report")
    assert written(again) == text
    assert "ord\udcffers" in {finding.object.table for finding in again.findings}
    for name in ("terminal", "markdown"):
        shown = render(again, name, Options(verbose=True))
        assert r"sh\udce9p." in shown
        shown.encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a JSON report"),
        ("[]", "is not a JSON report"),
        ("null", "is not a JSON report"),
        ("{", "is not a JSON report"),
        ("{}", "has schema_version None; this auditor reads 1"),
        ('{"schema_version": 2}', "has schema_version 2"),
        ('{"schema_version": 1}', "is not a JSON report of the auditor: tool: "),
    ],
)
def test_what_is_no_report_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_json(text, "file.json")


# --- auditor.toml ----------------------------------------------------------------------------------------------------

FULL = """
[database]
url = "service=prod"
[audit]
depth = "full"
select = ["references"]
jobs = 4
statement_timeout = "5min"
lock_timeout = 2.5
samples = "none"
fail_on = "never"
[soft_delete]
columns = { deleted_at = "IS NOT NULL" }
reuse_unwanted = ["app.users"]
[soft_delete.tables]
"app.notes" = {}
[tenant]
columns = ["org_id"]
tables = { "app.notes" = "" }
[[reference]]
from = "a.b(c)"
to = "d.e(f)"
where = "x"
self_is_root = true
[[reference]]
from = "a.b(c)"
type_column = "d"
targets = { F = "f(g)" }
[[companion]]
of = "a"
in = "b(c)"
where = "x"
exactly_one = true
grace = "10 minutes"
created_at = "created_at"
same_state = ["a = b"]
trigger = "t"
[[unique]]
table = "a"
columns = ["b", "coalesce(c, 'd')"]
[[ignore]]
check = "references"
object = "a.*"
reason = "because"
owner = "me"
until = 2027-01-31
"""


def as_json(text: str) -> Any:
    return json.loads(json.dumps(tomllib.loads(text), default=str))


def test_every_key_of_the_configuration_is_in_its_schema() -> None:
    CONFIG.validate(as_json(FULL))
    Settings.model_validate(tomllib.loads(FULL))
    CONFIG.validate({})


@pytest.mark.parametrize(
    "text",
    [
        "[audits]",
        "[audit]\ndepht = 'data'",
        "[audit]\ndepth = 'deep'",
        "[audit]\njobs = 0",
        "[audit]\nstatement_timeout = 'soon'",
        "[audit]\nlock_timeout = -1",
        "[audit]\nsamples = 'all'",
        "[audit]\nfail_on = 'fatal'",
        "[[reference]]\nfrom = 'a(b)'",
        "[[reference]]\nfrom = 'a(b)'\nto = 'c(d)'\ntype_column = 'e'\ntargets = { F = 'f(g)' }",
        "[[reference]]\nfrom = 'a(b)'\ntype_column = 'e'",
        "[[reference]]\nfrom = 'a(b)'\nto = 'c(d)'\ntargets = { F = 'f(g)' }",
        "[[companion]]\nof = 'a'",
        "[[unique]]\ntable = 'a'\ncolumns = []",
        "[[ignore]]\ncheck = 'a'",
        "[[ignore]]\ncheck = 'a'\nreason = ''",
        "[[ignore]]\ncheck = 'a'\nreason = 'b'\nuntil = 'tomorrow'",
        "[database]\npassword = 'x'",
    ],
)
def test_what_the_schema_refuses_the_auditor_refuses(text: str) -> None:
    assert not CONFIG.is_valid(as_json(text))
    with pytest.raises(ValidationError):
        Settings.model_validate(tomllib.loads(text))
