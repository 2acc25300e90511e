"""What comes out of auditor/text.py is read by a server: as the same name, the same value, the same condition."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auditor.text import (
    cut,
    fold,
    ident,
    idents,
    listed,
    literal,
    one_line,
    one_line_sql,
    plural,
    safe_text,
    unquoted,
    visible_sql,
)

pytestmark = pytest.mark.once

HOSTILE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
few = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# A server knows every character but NUL and lone surrogates.
characters = st.one_of(
    st.sampled_from("'\"\\$%{}`;-/*&uU+ \t\n\r\x01\x1b\x7f\x85\x9b\u00a0\u00ad\u200b\u202e\u2028\u2066\ufeff"),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)
texts = st.text(characters, max_size=40)
names = st.text(characters, min_size=1, max_size=40).map(lambda name: cut(name, 63)).filter(bool)

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def connection(server: str) -> Iterator[Connection]:
    with psycopg.connect(server, autocommit=True) as opened:
        opened.execute("CREATE TEMPORARY TABLE one (x int); INSERT INTO one VALUES (1)")
        yield opened


def value(connection: Connection, query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


# --- for the eye ----------------------------------------------------------------------------------------------------


def test_every_character_is_either_harmless_or_spelled_out() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        shown = safe_text(character)
        if unicodedata.category(character) in HOSTILE and character not in "\t\n":
            assert shown.isascii()
            assert shown.isprintable()
            assert shown.startswith("\\")
            assert int(shown[2:], 16) == code
        else:
            assert shown == character


@few
@given(st.text(st.characters()))
@example("a\r\n\tb\ud800\x1b]0;x\x07")
def test_safe_text_and_one_line(text: str) -> None:
    safe, line = safe_text(text), one_line(text)
    assert safe_text(safe) == safe
    assert one_line(line) == line == safe.replace("\n", "\\n").replace("\t", "\\t")
    assert not {unicodedata.category(character) for character in line} & HOSTILE
    assert len(line.splitlines()) <= 1
    line.encode()


def test_plural_and_listed() -> None:
    assert plural(1, "row") == "1 row"
    assert plural(0, "row") == "0 rows"
    assert plural(2301, "row") == "2,301 rows"
    assert plural(2, "check of an object", "checks of objects") == "2 checks of objects"
    assert plural(1, "key", "keys") == "1 key"
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(("a", "b")) == "a and b"
    assert listed(["a", "b", "c"], "or") == "a, b or c"


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conforming", ["on", "off"])
@few
@given(name=names)
@example(name="\x1b")
@example(name='U&"\\0041')
@example(name="é" * 31 + "x")
@example(name="back\\slash\n+000041")
def test_a_name_is_read_as_it_is(connection: Connection, conforming: str, name: str) -> None:
    connection.execute(f"SET standard_conforming_strings = {conforming}; SET escape_string_warning = off".encode())
    written = ident(name)
    assert unquoted(written) == name
    assert safe_text(written) == written
    assert len(written.splitlines()) == 1
    cursor = connection.execute(
        f"SELECT {written}.{written} FROM (SELECT x AS {written} FROM one) AS {written}".encode()
    )
    assert cursor.description is not None
    # As sent: psycopg's own names of columns replace what they cannot decode.
    assert [column.name for column in cursor.description] == [name]
    connection.execute(
        f"CREATE TEMPORARY TABLE {written} ({written} int CONSTRAINT {written} CHECK ({written} > 0))".encode()
    )
    try:
        assert connection.execute(
            "SELECT a.attname, c.conname, r.relname FROM pg_class r JOIN pg_attribute a ON a.attrelid = r.oid"
            " JOIN pg_constraint c ON c.conrelid = r.oid WHERE relnamespace = pg_my_temp_schema() AND relname = %s AND attnum = 1",
            (name,),
        ).fetchall() == [(name, name, name)]
    finally:
        connection.execute(f"DROP TABLE pg_temp.{written}".encode())


def test_no_keyword_of_the_server_stands_without_quotes_where_it_means_something(connection: Connection) -> None:
    """The places in which fixes and questions put names: as table, column, alias, key of an index, in a window."""
    connection.execute("SET standard_conforming_strings = on")
    words = [word for (word,) in connection.execute("SELECT word FROM pg_get_keywords()").fetchall()]
    assert len(words) > 400
    for word in words:
        name = ident(word)
        found = value(
            connection,
            f"WITH {name} AS (SELECT x AS {name} FROM one AS {name})"
            f" SELECT pg_catalog.row_number() OVER (PARTITION BY {name} ORDER BY {name} DESC, {name}.{name}) FROM {name}"
            f" WHERE {name} IS NOT NULL AND ({name}) IN (SELECT {name} FROM {name}) AND {name} = 1"
            f" GROUP BY {name}, {name}.{name}",
        )
        assert found == 1
    quoted = [word for word in words if ident(word) != word]
    changes = ", ".join(f"ADD COLUMN {ident(word)} int" for word in words)
    columns = idents(words)
    connection.execute(
        f"CREATE TEMPORARY TABLE every_word (); ALTER TABLE every_word {changes};"
        f"INSERT INTO every_word ({columns}) SELECT {columns} FROM every_word;"
        f"UPDATE every_word SET {', '.join(f'{ident(word)} = NULL' for word in words)};".encode()
    )
    for word in words:
        name = ident(word)
        connection.execute(
            f"CREATE INDEX {name} ON every_word ({name}, ({name})) WHERE {name} IS NULL; DROP INDEX {name}".encode()
        )
    assert len(quoted) > 100
    connection.execute("DROP TABLE every_word")


def test_words_that_need_no_quotes_have_none(connection: Connection, version: int) -> None:
    """What is reserved on no server stays readable: later ones reserve more than earlier ones."""
    if version < 18:
        pytest.skip("for PostgreSQL 18, which reserves all that earlier ones do")
    rows = connection.execute("SELECT word FROM pg_get_keywords() WHERE catcode = 'U'").fetchall()
    assert [word for (word,) in rows if ident(word) != word] == []


@few
@given(st.text(), st.integers(0, 70))
def test_cut(text: str, size: int) -> None:
    short = cut(text, size)
    assert text.startswith(short)
    assert len(short.encode()) <= size
    if short != text:
        assert len(text[: len(short) + 1].encode()) > size


@few
@given(
    name=st.text(
        st.characters(exclude_categories=["C", "Z"], exclude_characters="\".()[],;:$&|+-*/<>=~!@#%^`?{}\\'"), min_size=1
    )
)
@example(name="ÉCOLE")
@example(name="İstanbul")
@example(name="ẞ")
def test_fold_is_what_the_server_does_to_a_name_without_quotes(connection: Connection, name: str) -> None:
    name = cut(f"A{name}", 63)
    try:
        cursor = connection.execute(f"SELECT 1 AS {name}".encode())
    except psycopg.errors.SyntaxError:
        return
    assert cursor.description is not None
    assert cursor.description[0].name == fold(name)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Orders", "orders"),
        ('"Orders"', "Orders"),
        ('"a""b"', 'a"b'),
        ('U&"\\0061\\+00000A\\\\""x"', 'a\n\\"x'),
        ('u&"\\+10FFFF\\d"', "\U0010ffff\\d"),
        ('"U&\\0061"', "U&\\0061"),
    ],
)
def test_unquoted(written: str, name: str) -> None:
    assert unquoted(written) == name


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conforming", ["on", "off"])
@few
@given(text=texts)
@example(text="\\")
@example(text="\\'")
@example(text="it's \\' OR 1=1 --")
@example(text="'; DROP TABLE one; --")
def test_a_value_is_read_as_it_is(connection: Connection, conforming: str, text: str) -> None:
    connection.execute(f"SET standard_conforming_strings = {conforming}; SET escape_string_warning = off".encode())
    assert value(connection, f"SELECT{literal(text)}::text") == text
    assert value(connection, f"SELECT 1 WHERE 'x' <>{literal(text)} || 'y'") == 1


# --- statements on one line -----------------------------------------------------------------------------------------

_space = st.sampled_from(
    [
        " ",
        "\n",
        "\t",
        "\r",
        " \r\n ",
        "\f",
        " -- it's\n",
        "--\r",
        ' -- "\n',
        "/* ' */",
        "/* a /* -- b */ \n ' */",
        "\n/**/\n",
        " -- $$\n",
    ]
)
_gap = st.lists(_space, max_size=3).map("".join)
_content = st.text(st.sampled_from('ab -\n*/"$\\\r;é\u00a0'), max_size=6)
_string = st.one_of(
    _content.map(lambda text: "'" + text.replace("'", "''") + "'"),
    _content.map(lambda text: "E'" + text.replace("\\", "\\\\") + "\\''"),
    _content.map(lambda text: "e'" + text.replace("\\", "\\'") + "'"),
    _content.map(lambda text: "$a$" + text + "$a$"),
    _content.map(lambda text: "$$" + text.replace("$", "") + "$$"),
    st.tuples(_content, st.sampled_from(["\n", " \n ", "\r", " -- c\n"])).map(lambda pair: f"'{pair[0]}'{pair[1]}'b'"),
    st.sampled_from(['"a--b"', '"a\n""b"', "x$a$", "y$b$", "é\u00a0", "'don''t -- \n'"]),
)
_sql = st.lists(st.tuples(_gap, _string, _gap), min_size=1, max_size=5).map(
    lambda parts: "\n||".join(f"{before}{text}{after}" for before, text, after in parts)
)
_FROM = "(SELECT '1' AS \"a--b\", '2' AS \"a\n\"\"b\", '3' AS x$a$, '4' AS y$b$, '5' AS é\u00a0) AS t"


@settings(few, max_examples=150)
@given(text=_sql)
@example(text="E'a\\' -- b\nc'")
@example(text="x$a$ -- c\n|| x$a$")
@example(text="/* don't -- x */ 'a'\n|| 'b'")
@example(text="'a' -- c\r|| 'b'")
@example(text="é\u00a0\n|| 'b'")
@example(text="'a'\n'b'")
@example(text="'a' -- it's\n 'b'")
def test_a_statement_on_one_line_says_the_same(connection: Connection, text: str) -> None:
    connection.execute("SET standard_conforming_strings = on")
    assert value(connection, f"SELECT {one_line_sql(text)} FROM {_FROM}") == value(
        connection, f"SELECT {text}\n FROM {_FROM}"
    )


@settings(few, max_examples=150)
@given(text=_sql)
@example(text="E'a\\\n''\\\\\n' || $$ '\\\n $$")
@example(text="/* don't */ 'a\n' -- it's\n || 'b\x1b'")
@example(text="'a\n'\n'b\n'")
def test_names_and_strings_without_control_characters_say_the_same(connection: Connection, text: str) -> None:
    connection.execute("SET standard_conforming_strings = on")
    meant = value(connection, f"SELECT {text}\n FROM {_FROM}")
    assert value(connection, f"SELECT {visible_sql(text)}\n FROM {_FROM}") == meant
    line = visible_sql(one_line_sql(text))
    assert value(connection, f"SELECT {line} FROM {_FROM}") == meant
    assert not re.search(r"[\n\r]", line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 'x\n--y'", "a =  E'x\\n--y'"),
        ('"a\n--b" = $$\'\n$$', "U&\"a\\+00000A--b\" =  E'''\\n'"),
        ("E'\\\n\\\\\x1b'", " E'\\n\\\\\\x1b'"),
        ("a /* it's\n \"b */ = 'c\td' -- 'e\n", "a /* it's\n \"b */ =  E'c\\td' -- 'e\n"),
        ("a = '\\' AND b = '\n'", "a = '\\' AND b =  E'\\n'"),
        ("'a\n' \n -- '\n 'b'", " E'a\\nb'"),
        ("a = 'b' AND \"c\" = U&'\\0041'", "a = 'b' AND \"c\" = U&'\\0041'"),
    ],
)
def test_visible_sql(text: str, line: str) -> None:
    assert visible_sql(text) == line
    assert visible_sql(line) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\n  AND b = 2", "a = 1 AND b = 2"),
        ("a = 1 -- why\n AND b = 2", "a = 1 AND b = 2"),
        ("a\r\n\tIS NULL", "a IS NULL"),
        ("a /* why\n not */ IS NULL", "a IS NULL"),
        ("a = 'x\n--y'", "a = 'x\n--y'"),
        ('"a\n--b" = $$\n$$', '"a\n--b" = $$\n$$'),
        ("a -> 'b' - 1", "a -> 'b' - 1"),
        ("a = 1 -- at the end", "a = 1"),
    ],
)
def test_one_line_sql(text: str, line: str) -> None:
    assert one_line_sql(text) == line
