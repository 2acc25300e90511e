"""The inference of ON CONFLICT against the server's own: random tables, views and rules, and random upserts into them.

AUDITOR_ARBITER_TABLES and AUDITOR_ARBITER_SEED choose how many tables, and which; the run's are printed at its end.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from auditor.arbiter import infer, plannable, spelled, uses
from auditor.audit import open_catalog
from auditor.catalog.model import Statement
from auditor.connection import Session, Target
from auditor.probe import Planned
from auditor.probe.textbook import Samples, ask
from tests.conftest import Make

TABLES = int(os.environ.get("AUDITOR_ARBITER_TABLES", "100"))
UPSERTS = 30  # of each table
SEED = int(os.environ.get("AUDITOR_ARBITER_SEED", "0")) or secrets.randbits(32)

COLUMNS = (
    "a int DEFAULT 1, b text DEFAULT 'b', c varchar(20) DEFAULT 'c', d boolean DEFAULT true,"
    " q int4range DEFAULT '[1,2)', r int4range DEFAULT '[1,2)'"
)
PLAIN = ("a", "b", "c", "d")
COLLATED = ('b COLLATE "C"', "b text_pattern_ops", 'c COLLATE "C"', "b varchar_ops", 'b COLLATE "C" text_pattern_ops')
EXPRESSIONS = ("lower(b)", "lower(c)", "COALESCE(b, 'x')", "coalesce(c, 'x')", "(a + 1)", "(b || c)", "(a::bigint)")
SPELLINGS = {
    "a": ["a", "(a)", '"a"', "A", "(a::int)", "(t.a)"],
    "b": ["b", "((b))", "(b::text)", 'b COLLATE "C"', "b text_ops", 'b COLLATE "default"', "b varchar_ops"],
    "c": ["c", "(c::varchar)", "c text_ops", 'c COLLATE "C"'],
    "d": ["d", "(d = true)"],
    "lower(b)": ["lower(b)", "LOWER( b )", "(lower(b))", "pg_catalog.lower(b)", "lower(b::text)", "lower(c)"],
    "lower(c)": ["lower(c)", "lower((c)::text)", "upper(c)"],
    "COALESCE(b, 'x')": ["coalesce(b,'x')", "COALESCE(b, 'x'::text)", "COALESCE(b, 'y')", "COALESCE(b, E'\\x78')"],
    "coalesce(c, 'x')": ["COALESCE(c, 'x')", "COALESCE(c, 'x'::text)", "COALESCE(c, 'x'::varchar)"],
    "(a + 1)": ["(a+1)", "((a + 1))", "(1 + a)", "(a + (2 - 1))", "(a +1)"],
    "(b || c)": ["(b || c)", "(b||c::text)", "(c || b)"],
    "(a::bigint)": ["(a::bigint)", "(a::int8)", "(CAST(a AS bigint))", "int8(a)"],
    **{key: ["b", "(b)", 'b COLLATE "C"', "b text_pattern_ops", key] for key in COLLATED if key.startswith("b")},
    'c COLLATE "C"': ["c", 'c COLLATE "C"', 'c COLLATE pg_catalog."C"', 'c COLLATE "POSIX"'],
}
CONDITIONS = st.sampled_from(
    [
        *("a IS NULL", "b IS NULL", "d", "NOT d", "d IS TRUE", "b = 'x'", "c = 'x'", "b <> 'y'", "a > 1", "a > 0"),
        *("a IS NULL OR b IS NULL", "a IN (1, 2)", "a = 1", "d = true", "a BETWEEN 1 AND 5", "true", "1 = 1"),
        *("(a IS NULL OR true)", "COALESCE(d, true)", "lower(b) = 'x'", "b IS NOT NULL", "a > 0 AND d", "false"),
    ]
)
SAID = {
    "b = 'x'": ["b='x'", "b = 'x'::text", "'x' = b"],
    "b <> 'y'": ["b != 'y'"],
    "d": ["d = true", "(d)", "d IS TRUE", "t.d"],
}
PREDICATES = st.none() | st.lists(CONDITIONS, min_size=1, max_size=3).map(" AND ".join)
RULES = (
    "CREATE RULE r AS ON UPDATE TO t DO ALSO SELECT 1",
    "CREATE RULE r AS ON UPDATE TO t DO ALSO SELECT 1; ALTER TABLE t DISABLE RULE r",
    "CREATE RULE r AS ON INSERT TO t DO ALSO SELECT 1",
    "CREATE RULE r AS ON INSERT TO t DO ALSO SELECT 1; ALTER TABLE t DISABLE RULE r",
    "CREATE RULE r AS ON INSERT TO t WHERE new.a > 1 DO INSTEAD NOTHING",
    "CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING",
    "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING",
)
# Columns called otherwise, expressions, a condition, one view over another; and one that a trigger stands in for.
VIEWS = (
    "CREATE VIEW v AS SELECT a AS b, b AS a, d FROM t",
    "CREATE VIEW v AS SELECT a, lower(b) AS b, c AS d, d AS c FROM t WHERE a > 0",
    "CREATE VIEW w AS SELECT a AS x, b, c, d FROM t; CREATE VIEW v AS SELECT b AS a, x AS b, c, d FROM w WITH CHECK OPTION",
    "CREATE VIEW v AS SELECT a, b, c, d FROM t; CREATE TRIGGER i INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION nothing()",
)

Case = tuple[tuple[str, ...], tuple[str, ...]]


@st.composite
def cases(draw: st.DrawFn, version: int) -> Case:
    """A script that makes a table `t`, perhaps a view `v` of it; and upserts into them, `{s}` for the schema."""
    kind = draw(st.sampled_from(["plain", "plain", "plain", "partitioned", "child"]))
    script = [
        {
            "plain": f"CREATE TABLE t ({COLUMNS})",
            "partitioned": f"CREATE TABLE t ({COLUMNS}) PARTITION BY LIST (a);"
            "CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t_2 PARTITION OF t DEFAULT",
            "child": f"CREATE TABLE parent ({COLUMNS}, UNIQUE (a)); CREATE TABLE t () INHERITS (parent)",
        }[kind]
    ]
    script.append("ALTER TABLE t ADD CONSTRAINT chk CHECK (a > 0)")
    keys: list[list[str]] = [["a"]]
    predicates: list[str | None] = [None]
    for number in range(draw(st.integers(1, 5))):
        shape = draw(st.sampled_from(["index", "index", "index", "constraint", "exclusion", "period"]))
        plain = shape != "index"
        held = draw(
            st.lists(
                st.sampled_from(PLAIN if plain else (*PLAIN, *COLLATED, *EXPRESSIONS)),
                min_size=1,
                max_size=3,
                unique=True,
            )
        )
        if kind == "partitioned" and "a" not in held:
            held.append("a")
        late = draw(st.sampled_from(["", "", " DEFERRABLE"]))
        include = draw(st.sampled_from(["", "", " INCLUDE (d)"]))
        nulls = draw(st.sampled_from(["", "", " NULLS NOT DISTINCT"])) if version >= 15 else ""
        predicate = draw(PREDICATES) if shape == "index" else None
        where = f" WHERE {predicate}" if predicate else ""
        unique = draw(st.sampled_from(["UNIQUE ", "UNIQUE ", "UNIQUE ", ""]))
        only = draw(st.sampled_from(["", "", "ONLY "])) if kind == "partitioned" else ""
        if shape == "index":
            script.append(
                f"CREATE {unique}INDEX i{number} ON {only}t ({', '.join(held)}){include}{nulls if unique else ''}{where}"
            )
        elif shape == "constraint":
            script.append(f"ALTER TABLE t ADD CONSTRAINT i{number} UNIQUE{nulls} ({', '.join(held)}){include}{late}")
        elif shape == "period" and version >= 18 and kind != "partitioned":
            script.append(f"ALTER TABLE t ADD CONSTRAINT i{number} UNIQUE (q, r WITHOUT OVERLAPS){late}")
            held = ["q", "r"]
        elif kind != "partitioned":
            method = draw(st.sampled_from(["btree (a WITH =)", "gist (r WITH &&)"]))
            script.append(f"ALTER TABLE t ADD CONSTRAINT i{number} EXCLUDE USING {method}{late}")
            held = ["r"] if "gist" in method else ["a"]
        else:
            continue
        if not only and not draw(st.integers(0, 9)):
            script.append(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i{number}'::regclass")
        keys.append(held)
        predicates.append(predicate)
    if not draw(st.integers(0, 9)):
        script.append(draw(st.sampled_from(RULES)))
    viewed = draw(st.booleans())
    if viewed:
        script.append(draw(st.sampled_from(VIEWS)))
    upserts = [draw(upsert(keys, predicates, viewed=viewed)) for _ in range(UPSERTS)]
    return tuple(script), tuple(upserts)


@st.composite
def upsert(draw: st.DrawFn, keys: list[list[str]], predicates: list[str | None], *, viewed: bool) -> str:
    """An INSERT with an ON CONFLICT that may or may not fit one of the keys."""
    into = draw(st.sampled_from(["t", "t", "v"])) if viewed else "t"
    action = draw(st.sampled_from(["NOTHING", "NOTHING", "UPDATE SET a = excluded.a"]))
    if not draw(st.integers(0, 6)):
        return f"INSERT INTO {{s}}.{into} DEFAULT VALUES ON CONFLICT DO {action}"
    if not draw(st.integers(0, 4)):
        name = draw(st.sampled_from([*(f"i{number}" for number in range(len(keys) - 1)), "chk", "none"]))
        return f"INSERT INTO {{s}}.{into} DEFAULT VALUES ON CONFLICT ON CONSTRAINT {name} DO {action}"
    chosen = draw(st.integers(0, len(keys) - 1))
    some = st.lists(st.sampled_from((*PLAIN, *EXPRESSIONS)), min_size=1, max_size=3)
    wanted = list(keys[chosen]) if draw(st.integers(0, 4)) else draw(some)
    if into == "v":
        wanted = [key for key in wanted if key in ("a", "b", "d")] or ["a"]
    said = [SPELLINGS.get(key, [key]) if into == "t" else [key, f"({key})"] for key in draw(st.permutations(wanted))]
    targets = [draw(st.sampled_from(spellings)) for spellings in said]
    predicate = predicates[chosen] if draw(st.integers(0, 4)) else draw(PREDICATES)
    if into == "v":
        predicate = draw(st.sampled_from([None, "a IS NULL", "b IS NULL AND a IS NOT NULL"]))
    where = ""
    if predicate is not None:
        parts = [draw(st.sampled_from([part, part, *SAID.get(part, [])])) for part in predicate.split(" AND ")]
        if into == "v":
            parts = [part.replace("t.", "") for part in parts]
        if "BETWEEN" not in predicate:
            parts = list(draw(st.permutations(parts)))
        parts += draw(st.sampled_from([[], [], ["a > 7"]])) if into == "t" else []
        where = f" WHERE {' AND '.join(parts)}"
    return f"INSERT INTO {{s}}.{into} DEFAULT VALUES ON CONFLICT ({', '.join(targets)}){where} DO {action}"


def drawn(version: int) -> list[Case]:
    """TABLES different cases of SEED."""
    found: dict[Case, None] = {}
    for number in count():
        if len(found) >= TABLES:
            break

        @seed(SEED + number)
        @settings(
            max_examples=max(TABLES - len(found), 20),
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(cases(version))
        def collect(made: Case) -> None:
            found[made] = None

        collect()
    return list(found)[:TABLES]


# What the server says to statements that are run and taken back, each.
TOLD = """
CREATE FUNCTION told(texts text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE said text[] = '{}'; statement text;
BEGIN
    FOREACH statement IN ARRAY texts LOOP
        BEGIN
            EXECUTE statement;
            RAISE EXCEPTION USING ERRCODE = 'XX999';
        EXCEPTION WHEN OTHERS THEN
            said = said || nullif(SQLSTATE, 'XX999');
        END;
    END LOOP;
    RETURN said;
END $$
"""


@pytest.mark.proof
def test_the_inference_is_the_servers(
    database: Make, version: int, record_property: Callable[[str, object], None]
) -> None:
    started = time.monotonic()
    dsn = database(TOLD)
    said: dict[str, tuple[str, str]] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number, (script, upserts) in enumerate(drawn(version)):
            schema = f"s{number}"
            try:
                with connection.transaction():
                    connection.execute(
                        f"CREATE SCHEMA {schema}; SET LOCAL search_path = {schema};"
                        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'".encode()
                    )
                    connection.execute(";".join(script).encode())
            except psycopg.Error as error:
                error.add_note(f"seed {SEED}\n{script}")
                raise
            run = [each.replace("{s}", schema) for each in dict.fromkeys(upserts)]
            states = connection.execute("SELECT told(%s)", [run]).fetchone()
            assert states is not None
            for text, state in zip(run, states[0], strict=True):
                if state != "42P01":  # 13 knows no name of the table there
                    said[text] = state or "", "\n".join((*script, text))
    seen: Counter[str] = Counter()
    with Session(Target(dsn)) as session:
        catalog = open_catalog(session)
        handed = tuple(Statement(text, 1, text) for text in said)
        found = uses(replace(catalog, statements=handed))
        assert len(found) == len(said)
        with session.transaction() as fetch:
            for use in found:
                assert use.statement is not None
                state, shown = said[use.statement.text]
                where = f"seed {SEED}: the server says {state!r}\n{shown}"
                assert use.table is not None or ".v " in use.statement.text, (use.problem, where)
                if use.table is None:
                    seen["not judged"] += 1
                    continue
                arbiter = infer(use.table, use.upsert)
                if not arbiter.unsure:
                    assert arbiter.sqlstate == state, where
                    seen["refused" if state else "served"] += 1
                    seen[state] += 1
                asked = use.upsert.targets and use.table.holds_rows and not use.table.rules
                if asked and plannable(use.table, (*use.upsert.targets, use.upsert.predicate)):
                    texts = tuple(spelled(use.table, target) for target in use.upsert.targets)
                    question = Planned(use.table, texts, use.upsert.predicate)
                    # That a constraint is deferrable is seen when the statement is executed.
                    assert ask(question, fetch, Samples()).count == (state != "42P10"), where
                    seen["asked"] += arbiter.unsure
                elif arbiter.unsure:
                    seen["unsure"] += 1
    record_property(
        "summary",
        f"arbiters inferred: {len(said)} random upserts into {TABLES} random tables, {seen['served']} served,"
        f" {seen['refused']} refused, {seen['asked']} told by the server only, seed {SEED}, {time.monotonic() - started:.1f} s",
    )
    assert TABLES < 100 or min(seen[part] for part in ("served", "refused", "asked")) > 50, seen
    assert TABLES < 100 or min(seen[part] for part in ("42P10", "42704", "42809", "55000", "42601", "0A000")) > 3, seen
