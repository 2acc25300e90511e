"""What an audit of this server under this login would meet: privileges, row security, presets, a pooler, a standby; and the role
to use instead. No row of a table is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from auditor.audit import open_catalog
from auditor.catalog.infer import complete
from auditor.catalog.model import Catalog, Sequence, Table
from auditor.catalog.read import query
from auditor.catalog.sequences import drawing
from auditor.config import Settings
from auditor.connection import Session, Target
from auditor.text import ident, listed, plural, qualified

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that was looked at. `level`: ok; note, worth knowing; problem, something would be left unchecked."""

    level: str
    text: str
    remedy: str = ""  # SQL, for an administrator


def examine(settings: Settings, target: Target) -> tuple[Advice, ...]:
    """What an audit would meet. Raises AuditorError where it could not even begin."""
    catalog, facts, pooled = _read(settings, target)
    return tuple(_advice(catalog, facts, settings, pooled))


def _read(settings: Settings, target: Target) -> tuple[Catalog, dict[str, Any], bool]:
    with Session(target) as session:
        catalog = complete(open_catalog(session, statistics=None), Settings(audit=settings.audit), suspect=False)
        with session.transaction() as fetch:
            ((row,),) = fetch(f"SELECT pg_catalog.row_to_json(q) FROM ({query('doctor', catalog.server.major)}) AS q")
        return catalog, json.loads(row or "{}"), session.pooled


def _advice(catalog: Catalog, facts: dict[str, Any], settings: Settings, pooled: bool) -> Iterator[Advice]:
    server = catalog.server
    role = "a standby" if server.is_standby else "the primary"
    yield Advice("ok", f"PostgreSQL {server.version}, {role}, as {ident(server.user)}")
    if not facts["encrypted"] and not facts["local"]:
        yield Advice("note", "the connection is not encrypted; sslmode=verify-full asks for it")
    if pooled:
        yield Advice(
            "note",
            "a pooler lends another process to each transaction: the auditor needs no more than that and sets nothing beyond"
            " it; what it asks at the same time may have to wait for a connection of the pooler's",
        )
    yield from _login(catalog)
    yield from _privileges(catalog)
    readers = server.readers(settings.audit.connections)
    needed = readers + 1
    if 0 <= facts["limit"] < needed:
        text = f"the login may have {plural(facts['limit'], 'connection')}, and an audit takes up to {needed}: it would be slower"
        yield Advice("note", text, f"ALTER ROLE {ident(server.user)} CONNECTION LIMIT {needed};")
    free = max(server.free_connections or 0, 0)
    if server.free_connections is None:
        yield Advice("note", f"this login may not count the connections that are left; an audit takes up to {needed}")
    elif readers < settings.audit.connections:
        yield Advice(
            "note",
            f"{plural(free, 'connection')} of the server {'is' if free == 1 else 'are'} left: an audit reads on a tenth of them at"
            f" most, on {readers} instead of {settings.audit.connections}, and one more watches",
        )
    else:
        yield Advice("ok", f"{free:,} connections are left; an audit takes up to {needed}")
    if facts["presets"]:
        yield Advice(
            "note", f"preset for this database or login, and overridden by the auditor: {listed(facts['presets'])}"
        )
    if server.is_standby:
        yield from _standby(facts)
    if not facts["checksums"]:
        yield Advice("note", "the cluster has no data checksums: damage on disk goes unnoticed by the server")
    limits = settings.audit
    if (limits.max_load, limits.critical_load, limits.max_lag) != (None, None, None) and not (
        server.superuser or facts["stats"]
    ):
        yield Advice(
            "note",
            "what other logins' sessions and standbys do is hidden from this one: of --max-load and --critical-load more"
            " sessions would count than are active, and --max-lag would see no standby",
            f"GRANT pg_read_all_stats TO {ident(server.user)};",
        )
    if "pg_stat_statements" in catalog.extensions and not (server.superuser or facts["stats"]):
        yield Advice(
            "note",
            "pg_stat_statements is installed, and other logins' statements are hidden from this one",
            f"GRANT pg_read_all_stats TO {ident(server.user)};",
        )


def _login(catalog: Catalog) -> Iterator[Advice]:
    server = catalog.server
    if not server.dangerous:
        yield Advice("ok", "the login can do no harm by planning other owners' functions")
        return
    unsafe = [t for t in catalog.base_tables() if catalog.code_run_for(t) is not None]
    text = f"the login is {listed(server.dangerous)}: use one that can read and nothing else (auditor doctor --grants)"
    yield Advice("note", text)
    if unsafe:
        code = catalog.code_run_for(unsafe[0])
        assert code is not None
        yield Advice(
            "problem",
            f"planning queries of {_some(unsafe)} would run functions of other owners under it, such as"
            f" {qualified(code.schema, code.function)} of {ident(code.owner)}: these tables would not be read",
        )


def _privileges(catalog: Catalog) -> Iterator[Advice]:
    user = ident(catalog.server.user)
    tables = list(catalog.base_tables())
    closed = sorted({t.schema for t in tables if not t.schema_usable})
    if closed:
        names = listed([ident(name) for name in closed])
        yield Advice(
            "problem",
            f"no USAGE on schema {names}",
            f"GRANT USAGE ON SCHEMA {', '.join(map(ident, closed))} TO {user};",
        )
    unread = [t for t in tables if t.schema_usable and not t.readable]
    if unread:
        yield Advice(
            "problem", f"no SELECT on {_some(unread)}", f"GRANT SELECT ON {', '.join(t.sql for t in unread)} TO {user};"
        )
    hidden = [s for s in catalog.sequences.values() if not s.readable and drawing(catalog, s)]
    if hidden:
        yield Advice(
            "problem",
            f"no SELECT on {_some(hidden, 'sequence')}",
            f"GRANT SELECT ON SEQUENCE {', '.join(s.sql for s in hidden)} TO {user};",
        )
    if not closed and not unread:
        yield Advice("ok", f"SELECT on {'the only table' if len(tables) == 1 else f'all of {len(tables):,} tables'}")
    filtered = [t for t in tables if t.row_security]
    if filtered:
        yield Advice("problem", f"row security hides rows of {_some(filtered)}", f"ALTER ROLE {user} BYPASSRLS;")
    foreign = [t for t in catalog.tables.values() if t.kind == "f"]
    if foreign:
        yield Advice("note", f"foreign tables are not read: {_some(foreign)}")
    divided = [t for t in tables if any(part.kind == "f" for part in catalog.family(t))]
    if divided:
        yield Advice("problem", f"not read, because partitions of them are foreign tables: {_some(divided)}")
    unlogged = [t for t in tables if catalog.lost(t)]
    if unlogged:
        yield Advice("problem", f"unlogged tables cannot be read on a standby: {_some(unlogged)}")


def _standby(facts: dict[str, Any]) -> Iterator[Advice]:
    if facts["lag"] is not None:
        yield Advice(
            "note", f"the last transaction it replayed is {facts['lag']:,.0f} s old: findings are of that moment"
        )
    if facts["feedback"] != "on":
        yield Advice(
            "note",
            f"its recovery cancels queries that are in its way after {facts['delay']} (max_standby_streaming_delay); such"
            " questions are asked again, three times at most",
        )


def _some(tables: list[Table] | list[Sequence], noun: str = "table") -> str:
    names = listed(
        [t.sql for t in tables[:_NAMED]] + ([f"{len(tables) - _NAMED:,} more"] if len(tables) > _NAMED else [])
    )
    return f"{plural(len(tables), noun)} ({names})"


def grants(settings: Settings, target: Target, role: str) -> str:
    """SQL that makes a role which can read all that is audited here, and do nothing else; for a superuser to run."""
    catalog, facts, _ = _read(settings, target)
    name, tables = ident(role), list(catalog.base_tables())
    statements = [
        f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT {max(5, settings.audit.connections + 1)};",
        f"ALTER ROLE {name} SET default_transaction_read_only = on;",
        f"ALTER ROLE {name} SET temp_file_limit = '5GB';",
        f"GRANT CONNECT ON DATABASE {ident(catalog.server.database)} TO {name};",
    ]
    if catalog.server.major >= 14:
        statements.append(f"GRANT pg_read_all_data TO {name};")
    else:
        for schema in sorted({t.schema for t in tables}):
            statements += [
                f"GRANT USAGE ON SCHEMA {ident(schema)} TO {name};",
                f"GRANT SELECT ON ALL TABLES IN SCHEMA {ident(schema)} TO {name};",
                f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {ident(schema)} TO {name};",
            ]
        for owner, schema in sorted({(t.owner, t.schema) for t in tables}):
            default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(owner)} IN SCHEMA {ident(schema)} GRANT SELECT ON"
            statements += [f"{default} {kind} TO {name};" for kind in ("TABLES", "SEQUENCES")]
    if facts["policed"]:
        statements.append(f"ALTER ROLE {name} BYPASSRLS; -- tables with row security")
    if "pg_stat_statements" in catalog.extensions:
        statements.append(f"GRANT pg_read_all_stats TO {name}; -- upserts in pg_stat_statements")
    return "\n".join(statements) + "\n"
