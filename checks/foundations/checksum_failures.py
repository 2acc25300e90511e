"""The server has read pages whose checksum is wrong.

A page on disk is not what was written there: the storage, a file system or memory has changed it. The statement that read it
failed with SQLSTATE XX001, and so does every one that comes by, dumps and this audit's own among them. What the page held is
lost as far as this server goes. The server counts them (pg_stat_database.checksum_failures), for each database and for the
catalogs that all databases share.

Not flagged: clusters without checksums, which count nothing and notice nothing; pages that nobody has read since; failures
that were counted before the statistics were last reset; other databases, which have their own audit.

Fix: find the file in the server's log, and restore what it held; no statement repairs a page.
"""

from collections.abc import Iterator

from auditor.catalog.model import Catalog
from auditor.check import Clean, Depth, Finding, Fix, NotChecked, Object, Result, Severity
from auditor.text import ident, plural

severity = Severity.ERROR
depths = (Depth.CATALOG,)


def check(catalog: Catalog) -> Iterator[Result]:
    database, kept = catalog.server.database, catalog.checksums
    here, shared = Object("database", "", name=database), Object("database", "pg_catalog", name="shared catalogs")
    if kept is None:
        yield NotChecked(
            here, "permission", "the login may not call pg_control_system or what counts checksum failures"
        )
        return
    for subject, count, last, whose in (
        (here, kept.failures, kept.last_failure, f"the database {ident(database)}"),
        (shared, kept.shared_failures, kept.last_shared_failure, "the catalogs that all databases share"),
    ):
        if count:
            yield failed(subject, count, last, whose)
        elif count is not None:
            yield Clean(subject)


def failed(subject: Object, count: int, last: str | None, whose: str) -> Finding:
    when = f", the last time at {last}" if last else ""
    return Finding(
        severity,
        subject,
        title=f"{plural(count, 'time')} a page of {whose} failed its checksum",
        message=f"The server counted {plural(count, 'read')} of pages that are not what was written{when}. Each of these"
        " statements failed with SQLSTATE XX001, and every statement that comes by such a page fails again. The count is of"
        " reads: one page may be in it many times.",
        fixes=(
            Fix(
                "Find what is damaged, and restore it",
                (),
                caveats=(
                    'The server\'s log names each file and block ("invalid page in block ... of relation base/...");'
                    " pg_filenode_relation tells which relation a file is.",
                    "pg_checksums --check reads every file of a server that is stopped cleanly; pg_amcheck what rows and"
                    " indexes say.",
                    "An index can be built anew with REINDEX; a table comes back from a backup, or from a standby that does"
                    " not have the damage. First keep a copy of the files as they are.",
                    "Storage that did it once does it again: replace it before anything else.",
                    "zero_damaged_pages and ignore_checksum_failure lose rows without a trace.",
                ),
                recommended=True,
            ),
            Fix(
                "Begin to count anew, when it has been repaired",
                ("SELECT pg_catalog.pg_stat_reset();",) if subject.schema == "" else (),
                (),
                "none" if subject.schema == "" else "",
                (
                    "It repairs nothing, and sets all statistics of the database to zero: ANALYZE afterwards."
                    if subject.schema == ""
                    else "pg_stat_reset does not reach the counter of the shared catalogs.",
                ),
            ),
        ),
    )
