"""The pinned transaction: everything safety.md asks for is in force in it, whatever the database or the role presets."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import psycopg
import pytest

from auditor.audit import open_catalog
from auditor.connection import _PINNED, Session, Target, reason_of
from auditor.errors import CannotConnectError, ConfigError
from auditor.probe import Matching
from auditor.probe.textbook import Samples, ask
from tests.conftest import Make
from tests.helpers import audit, content, login, titles

IN_FORCE = {
    "exit_on_error": "off",
    "search_path": '""',
    "transaction_isolation": "repeatable read",
    "transaction_read_only": "on",
    "row_security": "off",
    "constraint_exclusion": "off",
    "lock_timeout": "2000",
    "statement_timeout": "600000",
    "idle_in_transaction_session_timeout": "60000",
    "work_mem": "65536",
    "hash_mem_multiplier": "2",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "gin_fuzzy_search_limit": "0",
    "client_min_messages": "error",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "xmloption": "content",
    "default_text_search_config": "pg_catalog.simple",
    "array_nulls": "on",
    "plan_cache_mode": "auto",
    "synchronize_seqscans": "on",
    "default_transaction_deferrable": "off",
}
SINCE = {
    14: {"client_connection_check_interval": "5000"},
    16: {"debug_parallel_query": "off"},
    17: {"transaction_timeout": "0", "restrict_nonsystem_relation_kind": "view,foreign-table"},
}
HOSTILE = {
    "search_path": "evil, pg_catalog, public",
    "row_security": "on",
    "constraint_exclusion": "on",
    "DateStyle": "'German, DMY'",
    "IntervalStyle": "sql_standard",
    "TimeZone": "'Pacific/Kiritimati'",
    "transform_null_equals": "on",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "'read uncommitted'",
    "statement_timeout": "50",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1000",
    "standard_conforming_strings": "off",
    "backslash_quote": "on",
    "client_encoding": "latin1",
    "bytea_output": "escape",
    "quote_all_identifiers": "on",
    "extra_float_digits": "-15",
    "lc_messages": "'C'",
    "client_min_messages": "debug1",
    "work_mem": "'64kB'",
    "gin_fuzzy_search_limit": "1",
    "exit_on_error": "on",
    "array_nulls": "off",
    "xmlbinary": "hex",
    "enable_seqscan": "off",
    "enable_indexscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_nestloop": "off",
    "max_parallel_workers_per_gather": "8",
    "hash_mem_multiplier": "1000",
    "jit": "on",
    "lc_monetary": "'POSIX'",
    "lc_numeric": "'POSIX'",
    "lc_time": "'POSIX'",
    "xmloption": "document",
    "default_text_search_config": "'pg_catalog.german'",
    "plan_cache_mode": "force_generic_plan",
    "synchronize_seqscans": "off",
    "default_transaction_deferrable": "on",
}
# And those that not every version has.
HOSTILE_SINCE = {
    14: {"client_connection_check_interval": "0"},
    16: {"debug_parallel_query": "on"},
    17: {"transaction_timeout": "1000", "restrict_nonsystem_relation_kind": "''"},
}
OF_SUPERUSERS = ("lc_messages",)
# Operators and a type that a search_path may put before the system's: whoever runs them is told on.
EVIL = """
    CREATE SCHEMA evil;
    GRANT USAGE ON SCHEMA evil TO PUBLIC;
    CREATE FUNCTION evil.caught(pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'foreign code ran'; END $$;
    CREATE FUNCTION evil.caught(integer, integer) RETURNS boolean LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'foreign code ran'; END $$;
    CREATE OPERATOR evil.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = evil.caught);
    CREATE OPERATOR evil.~~ (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = evil.caught);
    CREATE OPERATOR evil.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = evil.caught);
    CREATE OPERATOR evil.> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = evil.caught);
    CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
    CREATE FUNCTION evil.current_setting(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'foreign code ran'; END $$;
"""
BROKEN = r"""
    CREATE TABLE parents (at timestamp, day date, amount numeric, note text, PRIMARY KEY (at, day, amount));
    INSERT INTO parents VALUES ('infinity', '4713-01-01 BC', 1e100, 'one');
    CREATE TABLE children (id bytea PRIMARY KEY, at timestamp, day date, amount numeric, wait interval, note text);
    INSERT INTO children VALUES
        ('\x00', 'infinity', '4713-01-01 BC', 1e100, '1 day', 'fine'),
        ('\x0aff', '-infinity', '2000-02-03', 'NaN', '-1 year 2 months', NULL),
        ('\x22', '2000-02-03 04:05:06.789', 'infinity', 0.1, '0', E'back\\slash''quote');
    ALTER TABLE children ADD FOREIGN KEY (at, day, amount) REFERENCES parents NOT VALID;
    CREATE TABLE plain (id int PRIMARY KEY, name text);
    INSERT INTO plain VALUES (1, NULL), (2, 'x'), (3, E'a\\b');
    CREATE TABLE words (id int PRIMARY KEY, tags int[]);
    INSERT INTO words SELECT n, ARRAY[1, 2, n] FROM generate_series(1, 5000) AS n;
    CREATE INDEX ON words USING gin (tags);
    CREATE TABLE targets (id int PRIMARY KEY);
    ANALYZE;
"""
CONFIG = r"""
[[reference]]
from = "words(id)"
to = "targets(id)"
where = "tags @> '{1}'"
[[reference]]
from = "plain(id)"
to = "targets(id)"
where = "name = NULL OR name = 'a\\b'"
"""


def in_force(session: Session) -> dict[str | None, str | None]:
    with session.transaction() as fetch:
        return dict(fetch("SELECT name, setting FROM pg_catalog.pg_settings"))  # type: ignore[arg-type]


def hostile_settings(version: int) -> dict[str, str]:
    settings = dict(HOSTILE)
    for major, more in HOSTILE_SINCE.items():
        if version >= major:
            settings |= more
    if version < 16:
        settings["force_parallel_mode"] = "on"
    return settings


def make_hostile(dsn: str, version: int, target: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, value in hostile_settings(version).items():
            connection.execute(f"ALTER {target} SET {name} = {value}".encode())


def expected(version: int) -> dict[str, str]:
    settings = {**IN_FORCE, **({"force_parallel_mode": "off"} if version < 16 else {})}
    for major, more in SINCE.items():
        if version >= major:
            settings |= more
    return settings


def test_every_setting_that_is_pinned_is_preset_here() -> None:
    """Or the tests below would not see one that is pinned no more."""
    since = {name: major for major, more in SINCE.items() for name in more}
    assert set(_PINNED) - set(OF_SUPERUSERS) - {"force_parallel_mode"} <= set(IN_FORCE) | set(since)
    assert set(IN_FORCE) | set(since) <= (
        set(HOSTILE)
        | {name for more in HOSTILE_SINCE.values() for name in more}
        | {"transaction_isolation", "transaction_read_only"}
    )
    assert all(name in HOSTILE_SINCE[major] for name, major in since.items())


@pytest.mark.parametrize("preset", [None, "DATABASE", "ROLE", "ROLE IN DATABASE"])
def test_every_setting_is_in_force(database: Make, version: int, preset: str | None) -> None:
    dsn = database(EVIL, BROKEN)
    reading = login(dsn)
    parts = psycopg.conninfo.conninfo_to_dict(reading)
    if preset:
        target = {
            "DATABASE": f"DATABASE {parts['dbname']}",
            "ROLE": f"ROLE {parts['user']}",
            "ROLE IN DATABASE": f"ROLE {parts['user']} IN DATABASE {parts['dbname']}",
        }[preset]
        make_hostile(dsn, version, target)
        with psycopg.connect(reading) as plain:
            assert plain.execute("SHOW enable_seqscan").fetchone() == ("off",)
            with pytest.raises(psycopg.errors.RaiseException, match="foreign code ran"):
                plain.execute("SELECT 'a'::pg_catalog.text LIKE 'a'::pg_catalog.text")
    with Session(Target(reading)) as session:
        found = in_force(session)
        with session.transaction() as fetch:
            switches = fetch("SELECT name, setting, boot_val FROM pg_catalog.pg_settings WHERE name LIKE 'enable%'")
            fetch("SELECT pg_catalog.pg_sleep(0.1)")
            assert fetch("SELECT current_user, session_user") == [(parts["user"], parts["user"])]
    config = "default_text_search_config"  # shown with quotes where it was set before quote_all_identifiers was
    found[config] = (found[config] or "").replace('"', "")
    assert {name: found[name] for name in expected(version)} == expected(version)
    assert len(switches) > 15
    assert [name for name, setting, boot in switches if setting != boot] == []


def test_a_superuser_is_told_in_the_servers_own_language(database: Make) -> None:
    dsn = database()
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(
            f"ALTER DATABASE {psycopg.conninfo.conninfo_to_dict(dsn)['dbname']} SET lc_messages = 'POSIX'".encode()
        )
    with Session(Target(dsn)) as session:
        assert in_force(session)["lc_messages"] == "C"


def test_nothing_of_it_outlives_the_transaction(database: Make) -> None:
    with Session(Target(database())) as session:
        before: dict[Any, Any] = dict(session._connection.execute("SELECT name, setting FROM pg_settings").fetchall())
        in_force(session)
        assert dict(session._connection.execute("SELECT name, setting FROM pg_settings").fetchall()) == before


def test_findings_are_the_same_under_hostile_settings(database: Make, version: int) -> None:
    dsn = database(EVIL, BROKEN)
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    usual = audit(dsn, CONFIG, depth="full", samples="full")
    assert "2 rows of public.children point to 2 rows of public.parents that do not exist" in titles(usual)
    assert "5,000 rows of public.words point to 5,000 rows of public.targets that do not exist" in titles(usual)
    assert "1 row of public.plain points to 1 row of public.targets that does not exist" in titles(usual)
    make_hostile(dsn, version, f"DATABASE {name}")
    assert content(audit(dsn, CONFIG, depth="full", samples="full")) == content(usual)


def test_limits_are_what_was_asked_for(database: Make) -> None:
    with Session(Target(database(), statement_timeout=0.0001, lock_timeout=0)) as session:
        assert "SET LOCAL statement_timeout = '1'; SET LOCAL lock_timeout = '0'" in session._begin
    with Session(Target(database(), statement_timeout=0, lock_timeout=1.5)) as session:
        found = in_force(session)
    assert (found["statement_timeout"], found["lock_timeout"]) == ("0", "1500")


# --- read only -----------------------------------------------------------------------------------------------------

WRITER = """
    CREATE TABLE log (n int);
    CREATE FUNCTION note(int) RETURNS boolean LANGUAGE sql AS 'INSERT INTO public.log VALUES ($1) RETURNING true';
    CREATE TABLE parents (id int PRIMARY KEY);
    CREATE TABLE children (id int PRIMARY KEY, parent int);
    INSERT INTO children VALUES (1, 1);
"""


def written(dsn: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT * FROM log").fetchall()


def test_a_function_that_writes_is_not_checked_and_writes_nothing(database: Make) -> None:
    dsn = database(WRITER)
    config = '[[reference]]\nfrom = "children(parent)"\nto = "parents(id)"\nwhere = "public.note(id)"'
    result = audit(dsn, config, select=["references/orphan-rows"])
    assert [(c.outcome, c.reason, c.detail) for c in result.coverage] == [
        ("not_checked", "unsupported", "SQLSTATE 25006")
    ]
    assert result.run.status == "incomplete"
    assert written(dsn) == []


def test_a_condition_is_one_condition(database: Make) -> None:
    dsn = database(WRITER)
    for where in (
        "true); COMMIT; INSERT INTO public.log VALUES (1); SELECT (true",
        "true); ROLLBACK; BEGIN; SET LOCAL search_path = public; SELECT (true",
        "true",
    ):
        config = f'[[reference]]\nfrom = "children(parent)"\nto = "parents(id)"\nwhere = "{where}"'
        if where == "true":
            assert len(audit(dsn, config, select=["references/orphan-rows"]).findings) == 1
        else:
            with pytest.raises(ConfigError, match="it closes a parenthesis that it did not open"):
                audit(dsn, config, select=["references/orphan-rows"])
    assert written(dsn) == []


def test_a_statement_that_writes_is_refused(database: Make) -> None:
    dsn = database(WRITER)
    with Session(Target(dsn)) as session:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), session.transaction() as fetch:
            fetch("INSERT INTO public.log VALUES (1)")
        with session.transaction() as fetch:
            assert fetch("SELECT 1") == [("1",)]
    assert written(dsn) == []


def test_a_preset_role_is_refused_unless_allowed(database: Make) -> None:
    dsn = database("CREATE TABLE t (id int)")
    owner = str(psycopg.conninfo.conninfo_to_dict(login(dsn, "GRANT SELECT ON t TO {role}"))["user"])
    member = login(dsn, f"GRANT {owner} TO {{role}}", f"ALTER ROLE {{role}} SET role = {owner}")
    with pytest.raises(CannotConnectError, match=f"acts as {owner}: a role is preset for it"):
        Session(Target(member))
    with Session(Target(member, allow_role=True)) as session:
        assert open_catalog(session).server.user == owner
        with session.transaction() as fetch:
            assert fetch("SELECT id FROM public.t") == []


def test_a_role_that_the_owner_presets_for_the_superuser_is_refused_unless_allowed(database: Make) -> None:
    """The owner of a database may preset the role of whoever comes, a superuser too."""
    dsn = database("CREATE TABLE t (id int)")
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    owner = login(dsn, f"ALTER DATABASE {parts['dbname']} OWNER TO {{role}}", "GRANT SELECT ON t TO {role}")
    name = psycopg.conninfo.conninfo_to_dict(owner)["user"]
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {parts['dbname']} SET role = {name}".encode())
    with pytest.raises(CannotConnectError, match=f"acts as {name}: a role is preset for it"):
        Session(Target(dsn))
    with Session(Target(dsn, allow_role=True)) as session:
        server = open_catalog(session).server
    assert (server.user, server.superuser) == (name, False)
    assert "superuser" in server.dangerous
    with Session(Target(owner)) as session:
        assert open_catalog(session).server.dangerous == ()


# --- interrupts -------------------------------------------------------------------------------------------------------


def test_an_interrupt_comes_out_whenever_it_comes(database: Make) -> None:
    """In the middle of sending, waiting or taking in an answer: no error of the connection takes its place."""
    target, chance = Target(database()), random.Random(1)
    came = 0

    def interrupt(*_: object) -> None:
        nonlocal came
        came += 1
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    raised = 0
    try:
        session = Session(target)
        for _ in range(150):
            if not session.alive:
                session.close()
                session = Session(target)
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.004))
                for _ in range(50):
                    with session.transaction() as fetch:
                        fetch("SELECT pg_catalog.pg_sleep(0.0002)")
            except KeyboardInterrupt:
                raised += 1
                session.close()
        session.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert came == raised > 100


# --- values are text -----------------------------------------------------------------------------------------------


def test_values_that_clients_stumble_over(database: Make) -> None:
    dsn = database(
        """
        CREATE TYPE mood AS ENUM ('it''s, fine');
        CREATE TABLE odd (id int PRIMARY KEY, at timestamptz, day date, wait interval, n numeric, f float8, doc json,
            list int[], span int4range, state mood, raw bytea, net inet);
        INSERT INTO odd VALUES
            (1, 'infinity', '4713-01-01 BC', '1 mon -1 day', '-1e500', 'NaN',
             (repeat('[', 5000) || repeat(']', 5000))::json, '{1,NULL}', '[1,5)', 'it''s, fine', '\\x00ff', '::1'),
            (2, '-infinity', 'infinity', '178000000 years', 'NaN', '-Infinity', '{"a":1,"a":2}', '[2:3]={1,2}', 'empty',
             NULL, '', NULL);
        """
    )
    with Session(Target(dsn)) as session:
        table = open_catalog(session).by_name["public", "odd"]
        with session.transaction() as fetch:
            question = Matching(table, "true", tuple(c.name for c in table.columns))
            answer = ask(question, fetch, Samples("full"))
            whole = fetch("SELECT doc, n FROM public.odd ORDER BY id")
    one, two = answer.evidence.sample
    assert one == {
        "id": "1",
        "at": "infinity",
        "day": "4713-01-01 BC",
        "wait": "1 mon -1 days",
        "n": ("-1" + "0" * 500)[:200],
        "f": "NaN",
        "doc": "[" * 200,
        "list": "{1,NULL}",
        "span": "[1,5)",
        "state": "it's, fine",
        "raw": "\\x00ff",
        "net": "::1",
    }
    assert two["wait"] == "178000000 years"
    assert (two["f"], two["list"], two["span"], two["state"], two["raw"], two["net"]) == (
        ("-Infinity", "[2:3]={1,2}", "empty", None, "\\x", None)
    )
    assert whole == [("[" * 5000 + "]" * 5000, "-1" + "0" * 500), ('{"a":1,"a":2}', "NaN")]


def test_a_database_without_encoding(database: Make) -> None:
    dsn = database(ENCODING="SQL_ASCII", TEMPLATE="template0", LC_COLLATE="C", LC_CTYPE="C")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            b'CREATE TABLE "t\xff" ("k\x80" text PRIMARY KEY, "p\xe9" text);'
            b"INSERT INTO \"t\xff\" VALUES ('\xfe\xff', 'none'), ('caf\xe9', NULL);"
            b'ALTER TABLE "t\xff" ADD CONSTRAINT "c\xfd" FOREIGN KEY ("p\xe9") REFERENCES "t\xff" NOT VALID'
        )
    result = audit(dsn, select=["references/orphan-rows"])
    (finding,) = result.findings
    assert finding.object.table == "t\udcff"
    assert finding.evidence is not None
    assert finding.evidence.sample == ({"k\udc80": "\udcfe\udcff", "p\udce9": "none"},)
    with psycopg.connect(dsn) as connection:
        query = f'SELECT count(*) FROM "t\udcff" WHERE {finding.evidence.where}'.encode("utf-8", "surrogateescape")
        assert connection.execute(query).fetchone() == (1,)


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP", "WIN1251"])
def test_other_encodings(database: Make, encoding: str) -> None:
    word = {"LATIN1": "é", "EUC_JP": "漢", "WIN1251": "ж"}[encoding]
    dsn = database(ENCODING=encoding, TEMPLATE="template0", LC_COLLATE="C", LC_CTYPE="C")
    script = f"""
        CREATE TABLE "{word}" (id int PRIMARY KEY, "{word}2" int);
        INSERT INTO "{word}" VALUES (1, 2);
        ALTER TABLE "{word}" ADD FOREIGN KEY ("{word}2") REFERENCES "{word}" NOT VALID
    """
    with psycopg.connect(dsn, autocommit=True, client_encoding="UTF8") as connection:
        connection.execute(script.encode())
    config = (
        f'[[reference]]\nfrom = "public.\\"{word}\\"(id)"\nto = "public.\\"{word}\\"(id)"\nwhere = "\'{word}\' = \'x\'"'
    )
    result = audit(dsn, config, select=["references/orphan-rows"])
    assert titles(result) == [f'1 row of public."{word}" points to 1 row of public."{word}" that does not exist']


# --- cancelled -----------------------------------------------------------------------------------------------------


def test_cancel_ends_what_runs_and_what_would_follow(database: Make) -> None:
    import threading

    with Session(Target(database())) as session:
        timer = threading.Timer(0.2, session.cancel)
        timer.start()
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled), session.transaction() as fetch:
            fetch("SELECT pg_catalog.pg_sleep(30)")
        with pytest.raises(psycopg.errors.QueryCanceled), session.transaction() as fetch:
            fetch("SELECT 1")
        assert time.monotonic() - started < 5
        timer.join()


def test_a_session_survives_a_transaction_that_could_not_begin(database: Make) -> None:
    dsn = database()
    with Session(Target(dsn)) as session:
        begin, session._begin = session._begin, session._begin + "; SET LOCAL no_such_setting = 1"
        with pytest.raises(psycopg.errors.UndefinedObject), session.transaction():
            pass
        session._begin = begin
        with session.transaction() as fetch:
            assert fetch("SELECT 1") == [("1",)]


@pytest.mark.parametrize("heard", [False, True])
def test_who_ended_a_session_is_known_whenever_it_is_heard(heard: bool, database: Make) -> None:
    """What the server says while nothing is asked is a notice to libpq, and the next query's error says nothing of it."""
    dsn = database()
    with Session(Target(dsn)) as session, psycopg.connect(dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [session.pid])
        time.sleep(0.5)
        if heard:
            session._connection.pgconn.consume_input()
            assert not session._connection.pgconn.is_busy()
        with pytest.raises(psycopg.OperationalError) as raised, session.transaction():
            pass
        assert reason_of(raised.value, session) == ("lost_connection", "SQLSTATE 57P01")
