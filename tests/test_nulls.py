"""What is said to be false once columns are NULL is false on a server, whatever the other columns hold."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import psycopg
import pytest
from hypothesis import strategies as st

from auditor.nulls import always_false
from tests.conftest import Make
from tests.helpers import drawn

SIZE = 400
ROWS = "(VALUES (NULL::int), (0), (1)) AS q(a), (VALUES (NULL::int), (0), (1)) AS r(b), (VALUES (0), (1)) AS s(c), (VALUES (NULL::bool), (false), (true)) AS t(d)"

numbers = st.recursive(
    st.sampled_from(("a", "a", "b", "c", "0", "1", "NULL::int")),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"coalesce({two[0]}, {two[1]})"),
        st.tuples(st.sampled_from(("num_nulls", "num_nonnulls")), inner, inner).map(
            lambda x: f"{x[0]}({x[1]}, {x[2]})"
        ),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} + {two[1]})"),
        inner.map(lambda one: f"length({one}::text)"),
        inner.map(lambda one: f"abs({one}::bigint::int)"),
    ),
    max_leaves=3,
)
conditions = st.recursive(
    st.one_of(
        st.just("d"),
        st.tuples(numbers, st.sampled_from(("IS NULL", "IS NOT NULL"))).map(" ".join),
        st.tuples(numbers, st.sampled_from(("=", "<>", "<", ">=", "IS DISTINCT FROM")), numbers).map(" ".join),
        numbers.map(lambda one: f"{one} IN (0, 1)"),
        numbers.map(lambda one: f"{one} BETWEEN 0 AND 1"),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(("AND", "OR", "=", "<>")), inner).map(lambda x: f"(({x[0]}) {x[1]} ({x[2]}))"),
        inner.map(lambda one: f"NOT ({one})"),
        st.tuples(inner, st.sampled_from(("IS TRUE", "IS NOT FALSE", "IS UNKNOWN"))).map(lambda x: f"({x[0]}) {x[1]}"),
        st.tuples(inner, inner).map(lambda x: f"CASE WHEN {x[0]} THEN {x[1]} ELSE a IS NULL END"),
    ),
    max_leaves=4,
)


def test_what_is_proven_false_is_false(database: Make, record_property: Callable[[str, object], None]) -> None:
    seed = secrets.randbits(32)
    texts = drawn(conditions, SIZE, seed)
    with psycopg.connect(database(), autocommit=True) as connection:
        checks = ", ".join(f"CONSTRAINT c{n} CHECK ({text})" for n, text in enumerate(texts))
        connection.execute(f"CREATE TABLE t (a int, b int, c int NOT NULL, d bool, {checks})".encode())
        found = connection.execute(
            "SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE contype = 'c' AND conrelid = 't'::regclass"
        ).fetchall()
        proven = missed = 0
        for name, expression in found:
            said = always_false(expression, ("a",), ("c",))
            truth = connection.execute(
                f"SELECT bool_and(({expression}) IS FALSE) FROM {ROWS} WHERE a IS NULL".encode()
            ).fetchone()
            assert truth is not None
            assert not said or truth[0], (seed, name, expression)
            proven, missed = proven + said, missed + (bool(truth[0]) and not said)
    assert len(found) == len(texts)
    assert proven > SIZE / 50
    record_property(
        "summary", f"conditions false under NULL: {proven} proven of {len(texts)}, {missed} missed, seed {seed}"
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(a IS NOT NULL)", True),
        ("((a IS NOT NULL) AND (b > 0))", True),
        ("((a IS NOT NULL) OR (b > 0))", False),
        ("((a IS NOT NULL) OR (c IS NULL))", True),
        ("(NOT ((a IS NULL) OR (b > 0)))", True),
        ("(a > 0)", False),
        ("((a > 0) IS TRUE)", True),
        ("(num_nonnulls(a, b) = 2)", True),
        ("(num_nonnulls(a, c) = 1)", False),
        ("(num_nonnulls(a, c) > 1)", True),
        ("((a IS NULL) = (c IS NULL))", True),
        ("((a IS NULL) = (b IS NULL))", False),
        ("(COALESCE(a, 0) > 0)", False),
        ("(COALESCE(a, NULL::integer) IS NOT NULL)", True),
        ("((a)::text IS DISTINCT FROM NULL::text)", True),
        ("(public.f(a) AND (a IS NOT NULL))", False),
        ("(a = ANY (ARRAY[1, 2]))", False),
        ("CASE WHEN (b > 0) THEN false ELSE false END", False),
        ('("A" IS NOT NULL)', False),
        ("(", False),
        ("", False),
        (None, False),
    ],
)
def test_forms(expression: str | None, expected: bool) -> None:
    assert always_false(expression, ("a",), ("c",)) is expected


def test_columns_that_are_null_together() -> None:
    assert always_false("((a IS NOT NULL) OR (b IS NOT NULL))", ("a", "b"))
    assert not always_false("((a IS NOT NULL) OR (b IS NOT NULL))", ("a",))
    assert always_false("((VALUE IS NOT NULL) AND (VALUE > 0))", ("VALUE",))
    assert not always_false('("value" IS NOT NULL)', ("VALUE",))
