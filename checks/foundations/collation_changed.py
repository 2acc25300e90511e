"""The order that indexes were built in is not the order the server compares by now.

An upgrade of the operating system or of ICU may change how a collation sorts. An index built before it is then searched in
an order it is not in: lookups miss rows that are there, unique indexes admit duplicates, range scans return too little. The
server records the version of each collation that its library tells (ICU, glibc, Windows; builtin ones from 17 on), and warns when
it differs from the library's now; the database's own collation has a recorded version from 15 on only.

Whether the new version sorts these values otherwise is not known: indexes are listed because nobody vouches for them.

Not flagged: collations that no index uses; C and POSIX, which have no version, and others of libraries that tell none (before
15 also the database's own: nothing is recorded); indexes that compare bytes (text_pattern_ops and its kin, hash indexes under
deterministic collations). Not judged: partition bounds, CHECKs and materialized rows that depend on an order.

Fix: REINDEX what uses the collation, then REFRESH VERSION, which only writes the version down.
"""

from collections.abc import Iterator

from auditor import ddl
from auditor.catalog.model import Catalog, Index, Table
from auditor.check import Clean, Depth, Finding, Fix, Object, Result, Severity
from auditor.text import ident, one_line, plural, qualified

severity = Severity.ERROR
depths = (Depth.CATALOG,)

DEFAULT = ("pg_catalog", "default")  # what stands for the database's own collation


def check(catalog: Catalog) -> Iterator[Result]:
    for collation in catalog.changed_collations:
        affected = [
            (table, index)
            for table in catalog.tables.values()
            if table.kind != "p"  # whose indexes hold nothing themselves
            for index in table.indexes
            if sorts_by(table, index, collation)
        ]
        subject = Object("collation", collation[0], name=collation[1])
        yield changed(catalog, collation, subject, affected) if affected else Clean(subject)


def sorts_by(table: Table, index: Index, collation: tuple[str, str]) -> bool:
    """Whether the place of an entry in the index depends on the collation."""
    for key in index.keys:
        bytewise = key.opclass[1].endswith("_pattern_ops")
        if index.method == "hash":
            bytewise = key.column is not None and table.by_name[key.column].deterministic
        if key.collation == collation and not bytewise:
            return True
    return False


def changed(
    catalog: Catalog, collation: tuple[str, str], subject: Object, affected: list[tuple[Table, Index]]
) -> Finding:
    recorded, actual = (one_line(version) for version in catalog.changed_collations[collation])
    own = collation == DEFAULT
    said = "the database's own collation" if own else f"the collation {qualified(*collation)}"
    unique = sum(index.unique for _, index in affected)
    message = (
        f"The server recorded version {recorded} and the library is at {actual}. Where the two sort these values otherwise,"
        " lookups through the indexes miss rows that are there, and no statement fails."
    )
    if unique:
        message += (
            f" {plural(unique, 'unique index', 'unique indexes')} among them {'is' if unique == 1 else 'are'} then no"
            " guard: an INSERT of a key that is there finds none in its place, and succeeds."
        )
    return Finding(
        severity if unique else Severity.WARNING,
        subject,
        title=f"{plural(len(affected), 'index', 'indexes')} {'is' if len(affected) == 1 else 'are'} in the order of another version of {said}",
        message=message,
        related=tuple(table.object("index", index.name) for table, index in affected),
        fixes=(rebuilt(catalog, collation, affected, unique=bool(unique)),),
    )


def rebuilt(catalog: Catalog, collation: tuple[str, str], affected: list[tuple[Table, Index]], *, unique: bool) -> Fix:
    """REINDEX of each, and the version written down."""
    if collation == DEFAULT:
        refresh = f"ALTER DATABASE {ident(catalog.server.database)} REFRESH COLLATION VERSION;"
    else:
        refresh = f"ALTER COLLATION {qualified(*collation)} REFRESH VERSION;"
    # An exclusion constraint's index cannot be rebuilt concurrently (documentation: REINDEX).
    excluding = any(index.exclusion for _, index in affected)
    return Fix(
        "Build the indexes anew, then record the new version",
        (
            *(
                f"REINDEX INDEX {'' if index.exclusion else 'CONCURRENTLY '}{qualified(table.schema, index.name)};"
                for table, index in affected
            ),
            refresh,
        ),
        (),
        ddl.LOCK_CONCURRENTLY
        + ("; of exclusion constraints: SHARE on the table while it is built, writes wait" if excluding else ""),
        (
            *(
                (
                    "REINDEX fails with SQLSTATE 23505 where duplicates came in: clear them away, and drop what it left (..._ccnew).",
                )
                if unique
                else ()
            ),
            "REFRESH rebuilds nothing: before every index is built anew, it only silences the warning.",
            "Look at what else depends on the order: partition bounds over text, CHECKs that compare with < or >.",
            "Nothing has to be taken back.",
        ),
        recommended=True,
    )
