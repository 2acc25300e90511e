"""Planted defects: on random schemas an audit of everything finds exactly what was planted, each once, with its count;
and nothing on the same schemas before.

AUDITOR_PLANTED_SCHEMAS and AUDITOR_PLANTED_SEED choose how many schemas, and which; the run's are printed at its end.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from auditor.registry import identities
from tests.helpers import audit
from tests.planters import PLANTERS, expected
from tests.planting import Expected, World, base

SCHEMAS = int(os.environ.get("AUDITOR_PLANTED_SCHEMAS", "25"))
SEED = int(os.environ.get("AUDITOR_PLANTED_SEED", "20261121")) or secrets.randbits(32)  # 0: another one each time
SIZES = (40, 80, 20, 10, 5, 2, 1)  # how many defects one schema has

# Checks whose defect cannot be made by statements.
NOT_PLANTED = {"foundations/checksum-failures": "a page has to be damaged on disk, and then be read"}


@dataclass
class Example:
    """A schema, as it is and with defects: scripts, configurations, what is to be found."""

    clean: tuple[str, str]
    broken: tuple[str, str]
    expected: Counter[Expected]
    planted: list[str]


def examples(version: int, icu: bool) -> st.SearchStrategy[Example]:
    known = set(identities())
    planters = [planter for planter in PLANTERS if planter.check in known and planter.least <= version]

    @st.composite
    def made(draw: st.DrawFn) -> Example:
        world: World = base(draw, version, icu=icu)
        clean = (world.script(), world.config())
        assert not expected(world), f"the schema is not whole: {expected(world)}"
        for _ in range(draw(st.sampled_from(SIZES))):
            able = [(planter, places) for planter in planters if (places := planter.places(world))]
            planter, places = draw(st.sampled_from(able))
            planter.plant(world, world.choose(places))
            world.planted.append(planter.check)
        return Example(clean, (world.script(), world.config()), expected(world), world.planted)

    return made()


def drawn(version: int, icu: bool) -> list[Example]:
    """SCHEMAS random examples of SEED."""
    found: list[Example] = []

    @seed(SEED)
    @settings(
        max_examples=SCHEMAS,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(examples(version, icu))
    def collect(example: Example) -> None:
        found.append(example)

    collect()
    return found


def told(dsn: str, config: str) -> Counter[Expected]:
    """What an audit of everything finds."""
    result = audit(dsn, config, depth="full")
    assert [entry for entry in result.coverage if entry.outcome == "not_checked"] == []
    return Counter(
        Expected(
            finding.check,
            finding.object,
            finding.evidence.violations if finding.evidence else None,
            finding.severity,
        )
        for finding in result.findings
    )


def made(server: str, name: str, script: str) -> str:
    dsn = psycopg.conninfo.make_conninfo(server, dbname=name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())
    return dsn


@pytest.mark.proof
def test_planted_defects(server: str, version: int, record_property: Callable[[str, object], None]) -> None:
    started = time.monotonic()
    planted: Counter[str] = Counter()
    hits = wanted = reported = 0
    with psycopg.connect(server, autocommit=True) as admin:
        icu = bool(admin.execute("SELECT FROM pg_collation WHERE collprovider = 'i' LIMIT 1").fetchone())
        for number, example in enumerate(drawn(version, icu)):
            for (script, config), truth in ((example.clean, Counter[Expected]()), (example.broken, example.expected)):
                name = f"planted_{os.getpid()}"
                admin.execute(f"CREATE DATABASE {name}".encode())
                try:
                    try:
                        found = told(made(server, name, script), config)
                    except Exception as error:
                        error.add_note(f"seed {SEED}, schema {number}\n{script}\n{config}")
                        raise
                finally:
                    admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
                if found != truth:
                    pytest.fail(difference(number, example, script, config, found, truth))
                hits += (found & truth).total()
                wanted += truth.total()
                reported += found.total()
            planted.update(example.planted)
    record_property(
        "summary",
        f"planted defects: {planted.total():,} of {len(planted)} kinds in {SCHEMAS} random schemas, {wanted:,} findings due,"
        f" recall {hits / wanted:.3f}, precision {hits / reported:.3f}, seed {SEED}, {time.monotonic() - started:.1f} s",
    )


def difference(
    number: int, example: Example, script: str, config: str, found: Counter[Expected], truth: Counter[Expected]
) -> str:
    lines = [f"seed {SEED}, schema {number}, planted {example.planted}"]
    lines += [f"missing: {one}" for one in truth - found]
    lines += [f"too much: {one}" for one in found - truth]
    return "\n".join([*lines, script, config])


def test_every_check_has_a_planter() -> None:
    assert {*identities()} - {planter.check for planter in PLANTERS} == NOT_PLANTED.keys() & {*identities()}
