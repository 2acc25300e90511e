"""Notifications, sent when something has changed since the last run: counts and names, never a row's value.

Addresses come from the operator only, hold secrets and are never printed; redirects are not followed.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from auditor.audit import Audit
from auditor.check import Finding, Severity
from auditor.errors import UsageError
from auditor.report.wording import certainty, described, subject_of
from auditor.text import listed, one_line

ANSWER = 5.0  # seconds for a server to accept the connection, and to answer
WAIT = 20.0  # seconds for all addresses together
LISTED = 10  # findings of a kind that are named


class Notifier:
    """Addresses that are told what has changed."""

    def __init__(self, urls: Sequence[str]) -> None:
        """Raises UsageError where apprise is not installed, or does not know an address.

        From here on this process logs nothing and follows no redirect: apprise, its plugins and what they use name addresses
        in their logs and warnings, and each opens its own sessions.
        """
        logging.disable(logging.CRITICAL)
        warnings.filterwarnings("ignore", module=r"apprise|requests|urllib3")
        try:
            import apprise
            import requests
        except ImportError:
            raise UsageError("--notify needs apprise: pip install 'pg-integrity-auditor[notify]'") from None
        requests.sessions.DEFAULT_REDIRECT_LIMIT = 0
        self._types = apprise.NotifyType
        self._services: list[Any] = []
        for number, url in enumerate(urls, 1):
            made = apprise.Apprise.instantiate(url)
            if made is None:
                raise UsageError(
                    f"--notify: address {number} of {len(urls)} is none that apprise knows (https://appriseit.com lists them);"
                    " it is not repeated here, for it may hold a secret"
                )
            made.redirects = False
            made.socket_connect_timeout = made.socket_read_timeout = ANSWER
            service = apprise.Apprise()
            service.add(made)
            self._services.append(service)

    def tell(self, audit: Audit) -> str:
        """Sends what has changed, if anything has. Returns what went wrong in one line that holds no address, or nothing."""
        message = changed(audit)
        if message is None:
            return ""
        title, body = message
        kind = getattr(self._types, _kind(audit))
        taken: set[int] = set()

        def send(number: int, service: Any) -> None:
            # A plugin's failure is one like any other; its traceback would hold the address.
            with suppress(Exception):
                if service.notify(body=body, title=title, notify_type=kind, body_format="text"):
                    taken.add(number)

        # Daemons: one that trickles its answer is not waited for, not even at the exit.
        threads = [
            threading.Thread(target=send, args=(number, service), daemon=True)
            for number, service in enumerate(self._services, 1)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + WAIT
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        failed = [str(number) for number in range(1, len(threads) + 1) if number not in taken]
        if not failed:
            return ""
        which = f"{'address' if len(failed) == 1 else 'addresses'} {listed(failed)} of {len(threads)}"
        return f"the notification was not taken by {which}; the exit code is that of the audit all the same"


def changed(audit: Audit) -> tuple[str, str] | None:
    """Title and text of the message; None where nothing has changed. All that a first run reports is new."""
    changes, complete = audit.changes, audit.run.status == "complete"
    found = {finding.fingerprint: finding for finding in audit.findings}
    opened = audit.open_findings
    new = [found[name] for name in changes.new] if changes else list(opened)
    worse = [found[name] for name in changes.worse] if changes else []
    fixed = [gone for gone in changes.gone if gone.outcome == "fixed"] if changes else []
    turned = complete != (changes.was == "complete" if changes else True)
    groups = [(len(new), "new"), (len(worse), "worse"), (len(fixed), "fixed")]
    parts = [f"{count:,} {word}" for count, word in groups if count]
    if turned:
        parts.append("complete again" if complete else "incomplete")
    if not parts:
        return None
    title = f"{subject_of(audit).partition(' · ')[0]}: {', '.join(parts)}"
    lines = [
        *_group("New", (_said(finding) for finding in new), len(new)),
        *_group("Worse", (_said(finding) for finding in worse), len(worse)),
        *_group("Fixed", (f"{gone.check}, {gone.object}" for gone in fixed), len(fixed)),
    ]
    if not complete:
        lines.append(f"Incomplete: {audit.summary.not_checked:,} not checked.")
    lines.append(audit.summary.line)
    return _plain(title), "\n".join(map(_plain, lines))


def _group(heading: str, entries: Iterable[str], count: int) -> Iterator[str]:
    if count:
        yield f"{heading}:"
    for _, entry in zip(range(LISTED), entries, strict=False):
        yield f"- {entry}"
    if count > LISTED:
        yield f"- and {count - LISTED:,} more"


def _said(finding: Finding) -> str:
    """A finding without its title: that one may name values."""
    return f"{finding.severity.value}: {finding.check}, {described(finding.object)} ({certainty(finding)})"


# A person, a channel, a link, an emphasis in one of the chats that read such things in plain text.
_SPECIAL = re.compile(r"(?<=[@#<>`*\[\]])|(?<=:)(?=//)")


def _plain(text: str) -> str:
    """`text` on one line in which a chat sees nobody mentioned and nothing linked: a zero-width space keeps it apart."""
    return _SPECIAL.sub("\u200b", one_line(text))


def _kind(audit: Audit) -> str:
    changes = audit.changes
    names = {*changes.new, *changes.worse} if changes else {finding.fingerprint for finding in audit.open_findings}
    severities = {finding.severity for finding in audit.findings if finding.fingerprint in names}
    if Severity.ERROR in severities:
        return "FAILURE"
    if severities or audit.run.status != "complete":
        return "WARNING"
    return "SUCCESS"
