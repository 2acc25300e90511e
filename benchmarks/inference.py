"""How well undeclared references are found: real schemas with their foreign keys hidden, and real rows without any.

    python benchmarks/inference.py [-v] [NAME ...]

Each schema of `../shared/data/schemas` is made on an embedded server and read from its catalog; its foreign keys are taken
away (the indexes stay), references are inferred and compared with what was taken away. Two halves are told apart: the rules
were written with the first before the eyes, the second says whether they hold elsewhere. Of the data sets with rows, what
`auditor init` would write is compared with `truth.json`. `-v` lists what was missed and what was wrong.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from auditor.audit import open_catalog
from auditor.catalog.infer import complete
from auditor.catalog.model import Catalog
from auditor.config import Settings
from auditor.connection import Session, Target
from auditor.text import ident, idents, qualified

DATA = Path(os.environ.get("AUDITOR_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
SEEN = ("calcom", "danbooru", "dhis2_base", "documenso", "lago")  # what the rules were written with
UNSEEN = ("adventureworks", "bytebase", "kratos", "langfuse", "musicbrainz")
FEW = ("temporal", "thingsboard")  # declare few of their references: listed, not judged

# One pair of columns per reference, so that (a, b) -> (x, y) and (b, a) -> (y, x) are the same.
Relation = tuple[str, str, frozenset[tuple[str, str]]]

_PLAIN = re.compile(
    r"(bigint|integer|smallint|numeric|real|double precision|text|uuid|date|time|timestamp|boolean|bytea|jsonb?|xml|inet|oid|"
    r'tid|"char"|character|point|tsvector|interval)\b[^"]*\Z'
)


@dataclass(frozen=True, slots=True)
class Score:
    """What was found of what there is."""

    true: frozenset[Relation]
    found: frozenset[Relation]
    evidence: dict[Relation, str]

    @property
    def right(self) -> int:
        """How many references were found."""
        return len(self.true & self.found)

    def __add__(self, other: Score) -> Score:
        """Of two databases together; names of one are not names of the other."""
        return Score(
            _marked(self.true, 1) | _marked(other.true, 2), _marked(self.found, 1) | _marked(other.found, 2), {}
        )

    @property
    def precision(self) -> float:
        """Of what was found, how much is true."""
        return self.right / len(self.found) if self.found else 1.0

    @property
    def recall(self) -> float:
        """Of what is true, how much was found."""
        return self.right / len(self.true) if self.true else 1.0


def _marked(relations: frozenset[Relation], mark: int) -> frozenset[Relation]:
    return frozenset((f"{mark}.{table}", other, columns) for table, other, columns in relations)


def names(folder: str) -> list[str]:
    """The schemas, or data sets, that are there."""
    return sorted(path.name.removesuffix(".json.gz") for path in (DATA / folder).glob("*") if path.suffix != ".json")


def script(name: str) -> Iterator[str]:
    """The DDL of one schema. Types that this server does not know, enums above all, are text."""
    tables = json.loads(gzip.decompress((DATA / "schemas" / f"{name}.json.gz").read_bytes()))
    for schema in sorted({table["schema"] for table in tables}):
        yield f"CREATE SCHEMA IF NOT EXISTS {ident(schema)};"
    for table in tables:
        parts = [
            f"{ident(c['name'])} {c['type'] if _PLAIN.match(c['type']) else 'text'}{' NOT NULL' if c['not_null'] else ''}"
            for c in table["columns"]
        ]
        if table["primary_key"]:
            parts.append(f"PRIMARY KEY ({idents(table['primary_key'])})")
        parts += [f"UNIQUE ({idents(columns)})" for columns in table["unique"]]
        yield f"CREATE TABLE {qualified(table['schema'], table['table'])} ({', '.join(parts)});"
    for table in tables:
        for key in table["foreign_keys"]:
            yield (
                f"ALTER TABLE {qualified(table['schema'], table['table'])} ADD FOREIGN KEY ({idents(key['columns'])})"
                f" REFERENCES {qualified(key['to_schema'], key['to_table'])} ({idents(key['to_columns'])});"
            )


def catalog_of(dsn: str) -> Catalog:
    """What the auditor reads of a database, before anything is inferred."""
    with Session(Target(dsn)) as session:
        return open_catalog(session)


def relations(catalog: Catalog) -> frozenset[Relation]:
    """The declared references of a catalog."""
    return frozenset(
        (table.sql, other.sql, frozenset(zip(key.columns, key.referenced_columns, strict=True)))
        for table, key, other in catalog.foreign_keys
    )


def hidden(catalog: Catalog) -> Catalog:
    """The catalog without its foreign keys."""
    return replace(catalog, tables={oid: replace(table, foreign_keys=()) for oid, table in catalog.tables.items()})


def score(catalog: Catalog) -> Score:
    """What is found of the references that a catalog declares, once they are hidden."""
    found = {
        (r.table.sql, r.referenced.sql, frozenset(zip(r.columns, r.referenced_columns, strict=True))): r.evidence
        for r in complete(hidden(catalog), Settings()).references
    }
    return Score(relations(catalog), frozenset(found), found)
