"""JUnit's XML, as CI systems read it: a suite per check, a test case per finding and per object that was looked at.

A finding fails its case if it is new and at or above `--fail-on`; what was not checked is an error, unless
`--allow-incomplete` says otherwise, so that no green light stands for what nobody read.
"""

from __future__ import annotations

import re
from datetime import datetime
from xml.etree import ElementTree as Xml

from auditor.audit import Audit, Coverage
from auditor.check import Finding
from auditor.report import Options
from auditor.report.wording import REASONS, advice, certainty, described, fails
from auditor.text import safe_text

_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(audit: Audit, options: Options) -> str:
    """The report as XML."""
    some = " of the rows asked for" if audit.run.options.get("where") else ""
    root = Xml.Element("testsuites", name=_text(f"{audit.tool.name}{some}: {audit.database.name}"))
    fail_on = str(audit.run.options.get("fail_on", "error"))
    allowed = bool(audit.run.options.get("allow_incomplete"))
    for check in sorted({finding.check for finding in audit.findings} | {entry.check for entry in audit.coverage}):
        suite = Xml.SubElement(root, "testsuite", name=_text(check), timestamp=_time(audit.run.started_at))
        for finding in audit.findings:
            if finding.check == check:
                _finding(suite, finding, fails=fails(finding, fail_on))
        for entry in audit.coverage:
            if entry.check == check and entry.outcome != "failed":
                _covered(suite, entry, allowed=allowed)
        for kind, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(kind, str(sum(1 for _ in suite.iter(tag))))
    for kind in ("tests", "failures", "errors", "skipped"):
        root.set(kind, str(sum(int(suite.get(kind, "0")) for suite in root)))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _text(text: str) -> str:
    """`text` without what XML 1.0 cannot hold, not even escaped (its section 2.2, Characters)."""
    return _NO_XML.sub("\ufffd", safe_text(text))


def _time(moment: str) -> str:
    return datetime.fromisoformat(moment).replace(tzinfo=None).isoformat(timespec="seconds")


def _case(suite: Xml.Element, check: str, name: str, seconds: float | None) -> Xml.Element:
    return Xml.SubElement(
        suite, "testcase", classname=_text(check.replace("/", ".")), name=_text(name), time=f"{seconds or 0:.3f}"
    )


def _finding(suite: Xml.Element, finding: Finding, *, fails: bool) -> None:
    seconds = finding.evidence.seconds if finding.evidence else None
    case = _case(suite, finding.check, f"{described(finding.object)} [{finding.fingerprint}]", seconds)
    said = _text(f"{finding.severity.value}, {certainty(finding)}\n{advice(finding)}")
    if fails:
        Xml.SubElement(case, "failure", type=finding.severity.value, message=_text(finding.title)).text = said
    else:
        Xml.SubElement(case, "system-out").text = f"{_text(finding.status)}: {said}"


def _covered(suite: Xml.Element, entry: Coverage, *, allowed: bool) -> None:
    case = _case(suite, entry.check, described(entry.object), entry.seconds)
    if entry.outcome == "not_checked":
        why = _text(f"not checked: {REASONS.get(entry.reason or '', entry.reason or '')}")
        Xml.SubElement(case, "skipped" if allowed else "error", message=why).text = _text(entry.detail)
    elif entry.outcome == "skipped":
        Xml.SubElement(case, "skipped", message=_text(entry.detail or "not asked at this depth"))
