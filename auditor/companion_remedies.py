"""Fixes that the companion checks share: fill in what is missing, bring states in line, keep a pair together by a trigger."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from auditor import ddl
from auditor.catalog.infer import columns_in, enforces_one, states, unwrapped
from auditor.catalog.model import Catalog, Column, Companion, ForeignKey, Function, Table, Trigger
from auditor.check import Fix
from auditor.text import cut, ident, idents, one_line, plural, qualified, unquoted

LOCK_TRIGGER = (
    "SHARE ROW EXCLUSIVE on the table, for a moment: it waits for running writes (ALTER TABLE, CREATE TRIGGER)"
)
REPLACE = "REPLACE"  # marks what a human has to fill in
_CREATED = ("createdat", "insertedat", "createdon", "created", "updatedat")
_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*\""""
_TEST = re.compile(
    r'(?P<not>NOT\s+)?(?P<column>(?:U&)?"(?:[^"]|"")+"|[^\s"()=]+)'
    r"(?:\s+IS\s+(?P<is>(?:NOT\s+)?(?:NULL|TRUE|FALSE))|\s*=\s*(?P<literal>true|false|'(?:[^']|'')*'))?\Z",
    re.IGNORECASE,
)


def foreign_key(companion: Companion) -> ForeignKey | None:
    """The foreign key by which the companion's rows belong to the table's, if one is declared and enforced."""
    for key in companion.companion.foreign_keys:
        pairs = set(zip(key.columns, key.referenced_columns, strict=True))
        wanted = set(zip(companion.companion_columns, companion.columns, strict=True))
        if key.referenced == companion.table.oid and pairs == wanted and key.enforced and key.fires:
            return key
    return None


def latest_first(table: Table) -> str:
    """ORDER BY terms that put a table's newest row first: when it was created, then its key, then where it lies."""
    by_name = {column.name.replace("_", "").lower(): column for column in table.columns}
    dated = [by_name[name] for name in _CREATED if name in by_name and by_name[name].category == "D"][:1]
    terms = [f"{ident(column.name)} DESC NULLS LAST" for column in dated]
    terms += [f"{ident(name)} DESC" for name in table.row_key] or ["ctid DESC"]
    return ", ".join(terms)


# --- what a new companion row consists of ---------------------------------------------------------------------------


def _comment(text: str) -> str:
    return "/* " + one_line(text).replace("*/", "* /").replace("/*", "/ *") + " */"


def _needs_value(catalog: Catalog, column: Column) -> bool:
    kind = catalog.types.get(column.type_oid)
    given = column.default is not None or column.identity or column.generated or (kind is not None and kind.default)
    return not column.takes_null and not given


def new_row(catalog: Catalog, companion: Companion, source: str) -> tuple[dict[str, str], list[str], list[str]]:
    """What a companion row of a row of `source` (an alias in SQL) consists of.

    Returns SQL by column; the columns that were copied for their name; those that a human has to fill in.
    """
    pairs = zip(companion.companion_columns, companion.columns, strict=True)
    values = {mine: f"{source}.{ident(theirs)}" for mine, theirs in pairs}
    copied, open_ = [], []
    for column in companion.companion.columns:
        if column.name in values or not _needs_value(catalog, column):
            continue
        same = companion.table.by_name.get(column.name)
        if same is not None and same.base_oid == column.base_oid and column.name not in companion.table.primary_key:
            values[column.name] = f"{source}.{ident(column.name)}"
            copied.append(column.name)
        elif column.type == "uuid" and (column.name,) == companion.companion.primary_key:
            values[column.name] = "pg_catalog.gen_random_uuid()"
        else:
            # NULL is refused by the column: forgotten, the statement fails and changes nothing.
            values[column.name] = f"NULL {_comment(f'{REPLACE} with {column.name}: {column.type}, not null')}"
            open_.append(column.name)
    return values, copied, open_


def _caveats(companion: Companion, copied: list[str], open_: list[str]) -> list[str]:
    said = []
    if open_:
        said.append(
            f"{plural(len(open_), 'column')} without a default cannot be guessed: {idents(open_)}. Replace each NULL"
            f" marked {REPLACE}; as it stands the statement fails with SQLSTATE 23502 and changes nothing."
        )
    if copied:
        said.append(f"Taken from {companion.table.sql} because it has columns of the same name: {idents(copied)}.")
    return said


def backfill(catalog: Catalog, companion: Companion, where: str) -> Fix:
    """INSERT of the missing companion rows; `where` finds the rows of the table that need one."""
    table, other = companion.table, companion.companion
    values, copied, open_ = new_row(catalog, companion, ident(table.name))
    copy = qualified(other.schema, ddl.free_name(other, other.name, *companion.companion_columns, "backfilled"))
    key, theirs = idents(companion.columns), idents(companion.companion_columns)
    ends = zip(companion.columns, companion.companion_columns, strict=True)
    missing = ", ".join(f"{ident(own)} AS {ident(its)}" for own, its in ends)
    source = f"FROM {ddl.target(table)} WHERE ({key}) IN (SELECT {theirs} FROM {copy})"
    return Fix(
        f"Create the missing rows of {other.sql}",
        (
            f"CREATE TABLE {copy} AS SELECT {missing} FROM {ddl.target(table)} WHERE {where};",
            f"INSERT INTO {other.sql} ({idents(list(values))}) SELECT {', '.join(values.values())} {source};",
        ),
        (f"DELETE FROM {ddl.target(other)} WHERE ({theirs}) IN (SELECT {theirs} FROM {copy});", f"DROP TABLE {copy};"),
        f"ROW EXCLUSIVE on {other.sql}: reads and writes go on; one row lock per new row",
        (
            *_caveats(companion, copied, open_),
            f"{copy} keeps the keys that were filled in, for the rollback; drop it when the rows are accepted.",
            "A row can be created here, but not its content: what was never stored (a secret, a file) stays lost.",
        ),
        recommended=True,
    )


# --- states ---------------------------------------------------------------------------------------------------------


def _split(predicate: str) -> list[str]:
    """The conditions that a predicate joins by AND, without parentheses around them."""
    text = unwrapped(predicate)
    parts, depth, start = [], 0, 0
    for found in re.finditer(rf"{_QUOTED}|[()]|\b(?:AND|OR)\b", text, re.IGNORECASE):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0 and found[0].upper() == "AND":
            parts.append(text[start : found.start()])
            start = found.end()
        elif depth == 0 and found[0].upper() == "OR":
            return [text]
    parts.append(text[start:])
    return [text] if len(parts) == 1 else [inner for part in parts for inner in _split(part)]


def _assignment(table: Table, test: str, *, holds: bool, when: str) -> tuple[str, str] | None:
    parsed = _TEST.match(test.strip())
    if parsed is None:
        return None
    name = unquoted(parsed["column"])
    column = table.by_name.get(name)
    if column is None or column.generated or column.identity:
        return None
    wanted = holds != bool(parsed["not"])
    test_of = " ".join((parsed["is"] or "").upper().split())
    if test_of.endswith("NULL"):
        if wanted == (test_of == "NULL"):
            return (name, "NULL") if column.takes_null else None
        return (name, when) if column.type.startswith(("timestamp", "date")) else None
    if parsed["literal"] and parsed["literal"].startswith("'"):
        return (name, parsed["literal"]) if wanted else None
    if column.category != "B":
        return None
    positive = test_of in ("TRUE", "NOT FALSE") or (not test_of and (parsed["literal"] or "true").lower() == "true")
    return name, "TRUE" if wanted == positive else "FALSE"


def assignments(table: Table, predicate: str, *, holds: bool, when: str = "pg_catalog.now()") -> dict[str, str] | None:
    """What UPDATE has to SET so that a predicate holds, or holds no longer; `when` is the time something ended, as SQL.

    None when the predicate is not understood: conditions on single columns (IS NULL, IS TRUE, = 'text'), joined by AND.
    """
    found = [_assignment(table, part, holds=holds, when=when) for part in _split(predicate)]
    known = [one for one in found if one is not None]
    if not known or (holds and len(known) < len(found)):
        return None
    return dict(known if holds else known[:1])


def _ended_at(table: Table, predicate: str, key: Iterable[str], own: Table, own_key: Iterable[str]) -> str:
    """The time at which the other side ended, or now, as SQL in an UPDATE of `own`."""
    dated = [n for n in columns_in(predicate, table) if table.by_name[n].type.startswith(("timestamp", "date"))]
    if not dated:
        return "pg_catalog.now()"
    alias = "other" if own.name != "other" else "another"
    same = " AND ".join(
        f"{alias}.{ident(theirs)} = {ident(own.name)}.{ident(mine)}" for theirs, mine in zip(key, own_key, strict=True)
    )
    latest = f"(SELECT pg_catalog.max({alias}.{ident(dated[0])}) FROM {table.sql} AS {alias} WHERE {same})"
    return f"COALESCE({latest}, pg_catalog.now())"


def update(
    title: str, table: Table, values: Mapping[str, str], where: str, caveats: list[str], about: Iterable[str] = ()
) -> Fix:
    """UPDATE of the rows that `where` finds to these values, given as SQL, keeping the values of before; `about` tells
    several that set the same columns apart."""
    name = ddl.free_name(table, table.name, *about, *values, "states")
    copy = qualified(table.schema, name)
    kept = idents(list(dict.fromkeys((*table.row_key, *values))))
    change = ", ".join(f"{ident(name)} = {value}" for name, value in values.items())
    statement = f"UPDATE {ddl.target(table)} SET {change} WHERE {where};"
    firing = [ident(t.name) for t in table.triggers if t.fires and "update" in t.events]
    if firing:
        caveats = [*caveats, f"Triggers of {table.sql} fire for each changed row: {', '.join(firing)}."]
    if not table.row_key:
        return Fix(
            title, (statement,), (), ddl.LOCK_ROWS, (*caveats, f"{table.sql} has no key: nothing to roll back by.")
        )
    return Fix(
        title,
        (f"CREATE TABLE {copy} AS SELECT {kept} FROM {ddl.target(table)} WHERE {where};", statement),
        (ddl.restore_values(table, values, name), f"DROP TABLE {copy};"),
        ddl.LOCK_ROWS,
        (*caveats, f"{copy} keeps the values of before, for the rollback; run both statements in one transaction."),
    )


def in_line(catalog: Catalog, companion: Companion, own: str, other: str, where: str, *, live: bool) -> tuple[Fix, ...]:
    """UPDATEs that make a contradicting pair agree: the companion follows the table's rows, or the other way round.

    `where` finds the rows of the table. `live`: `own` holds for them and `other` for none of their companions; or else
    `own` does not hold and `other` does.
    """
    table, partner = companion.table, companion.companion
    key, theirs = idents(companion.columns), idents(companion.companion_columns)
    pairs = f"({theirs}) IN (SELECT {key} FROM {ddl.target(table)} WHERE {where})"
    since = _ended_at(table, own, companion.columns, partner, companion.companion_columns)
    fixes = []
    about = ("live" if live else "ended",)
    follow = assignments(partner, other, holds=live, when=since)
    if follow is not None:
        changed = f"{pairs} AND ({other}) IS {'NOT TRUE' if live else 'TRUE'}"
        caveats = ["Rows that were ended come back: make sure each was meant to live."] if live else []
        if live and not enforces_one(catalog, companion):
            newest = (
                f"SELECT DISTINCT ON ({theirs}) tableoid, ctid FROM {partner.sql} WHERE ({other}) IS NOT TRUE"
                f" ORDER BY {theirs}, {latest_first(partner)}"
            )
            changed += f" AND (tableoid, ctid) IN ({newest})"
            caveats.append("Of several rows only the newest comes back.")
        fixes.append(update(f"Let {partner.sql} follow {table.sql}", partner, follow, changed, caveats, about))
    since = _ended_at(partner, other, companion.companion_columns, table, companion.columns)
    lead = assignments(table, own, holds=not live, when=since)
    if lead is not None:
        caveats = [] if live else ["Rows that were ended come back: make sure each was meant to live."]
        fixes.append(update(f"Let {table.sql} follow {partner.sql}", table, lead, where, caveats, about))
    return tuple(fix if number else fix.recommend() for number, fix in enumerate(fixes))


# --- the trigger ----------------------------------------------------------------------------------------------------


def _free(name: str, taken: Iterable[str]) -> str:
    used = set(taken)
    start = cut(name, 59)  # leaves room for the number
    names = (ddl.short(start, str(n)) if n else ddl.short(name) for n in range(len(used) + 1))
    return next(candidate for candidate in names if candidate not in used)


def enable_trigger(trigger: Trigger, place: Table, state: str) -> Fix:
    """ENABLE TRIGGER on a table or a partition; `state` is its tgenabled there."""
    alter = f"ALTER TABLE {place.sql}"
    before = "ENABLE REPLICA TRIGGER" if state == "R" else "DISABLE TRIGGER"
    return Fix(
        "Enable the trigger",
        (f"{alter} ENABLE TRIGGER {ident(trigger.name)};",),
        (f"{alter} {before} {ident(trigger.name)};",),
        LOCK_TRIGGER,
        (
            "Rows written while it was off stay as they are: companions/missing-companion and"
            " companions/companion-state-drift find them.",
        ),
        recommended=True,
    )


def make_row_level(catalog: Catalog, table: Table, trigger: Trigger) -> Fix | None:
    """The same trigger FOR EACH ROW; None when its function is not known."""
    function = catalog.functions.get(trigger.function)
    if function is None:  # an extension's, whose text is not read
        return None
    called = qualified(function.schema, function.name)
    events = " OR ".join(
        event.upper() + (f" OF {idents(trigger.columns)}" if event == "update" and trigger.columns else "")
        for event in trigger.events
    )
    drop = f"DROP TRIGGER {ident(trigger.name)} ON {table.sql};"
    create = f"CREATE TRIGGER {ident(trigger.name)} {trigger.timing.upper()} {events} ON {table.sql} FOR EACH"
    call = f"EXECUTE FUNCTION {called}();"
    caveats = [
        f"{called}() is written for whole statements: rewrite it for NEW and OLD first, or give the trigger"
        " transition tables instead.",
        "Run both statements in one transaction, or writes in between go unseen.",
    ]
    if trigger.condition or not trigger.definition.rstrip().endswith("()"):
        caveats.append("Its WHEN condition and its arguments are not repeated here: add them, and keep its definition.")
    return Fix(
        "Fire it for each row",
        (drop, f"{create} ROW {call}"),
        (drop, f"{create} STATEMENT {call}"),
        LOCK_TRIGGER,
        tuple(caveats),
        recommended=True,
    )


def create_trigger(
    catalog: Catalog,
    companion: Companion,
    events: Iterable[str],
    *,
    name: str | None = None,
    function: Function | None = None,
    columns: tuple[str, ...] = (),
    arguments: bool = False,
) -> Fix:
    """CREATE TRIGGER for these events: with the function given, or with a new one that keeps the pair together.

    `columns` narrow UPDATE OF; `arguments` says that the function is called with some elsewhere.
    """
    table, other = companion.table, companion.companion
    wanted = [event for event in ("insert", "update", "delete") if event in set(events)]
    taken = {trigger.name for trigger in table.triggers}
    base = name or f"sync_{other.name}"
    sql: list[str] = []
    rollback: list[str] = []
    caveats: list[str] = []
    if function is None:
        called, text, caveats = _function(catalog, companion, wanted)
        sql.append(text)
        rollback.append(f"DROP FUNCTION {called}();")
    else:
        called = qualified(function.schema, function.name)
        caveats.append(f"Read {called}() first: it must handle {', '.join(event.upper() for event in wanted)}.")
        if arguments:
            caveats.append("The existing trigger passes arguments to the function: add them.")
    after = [event for event in wanted if event != "delete"]
    of = f" OF {idents(columns)}" if columns else ""
    made = []
    if after:
        said = " OR ".join(event.upper() + (of if event == "update" else "") for event in after)
        made.append((_free(ddl.short(base, *after) if base in taken else base, taken), f"AFTER {said}"))
    if "delete" in wanted:
        # A foreign key acts right after the row is gone: whatever removes the companion has to come before.
        timing = "BEFORE" if foreign_key(companion) is not None else "AFTER"
        made.append((_free(ddl.short(base, "delete") if made or base in taken else base, taken), f"{timing} DELETE"))
        if function is not None and timing == "BEFORE":
            caveats.append("A BEFORE DELETE trigger must RETURN OLD: NULL cancels the deletion silently.")
    for trigger, said in made:
        sql.append(f"CREATE TRIGGER {ident(trigger)} {said} ON {table.sql} FOR EACH ROW EXECUTE FUNCTION {called}();")
        rollback.insert(0, f"DROP TRIGGER {ident(trigger)} ON {table.sql};")
    caveats.append(f"Whoever writes {table.sql} then needs the privilege to write {other.sql} too.")
    return Fix(
        f"Create a trigger for {', '.join(event.upper() for event in wanted)}",
        tuple(sql),
        tuple(rollback),
        LOCK_TRIGGER,
        tuple(caveats),
    )


def _function(catalog: Catalog, companion: Companion, events: Iterable[str]) -> tuple[str, str, list[str]]:
    """The name and the CREATE FUNCTION of a trigger function that keeps the pair together, and what to know about it."""
    table, other = companion.table, companion.companion
    taken = (f.name for f in catalog.functions.values() if f.schema == table.schema)
    called = qualified(table.schema, _free(f"sync_{other.name}", taken))
    branches, caveats = [], []
    if "insert" in events:
        values, copied, open_ = new_row(catalog, companion, "fresh")
        same = _matching(companion, "fresh", "held.")
        condition = f"({companion.where}) AND " if companion.where else ""
        branches.append(
            f"IF TG_OP = 'INSERT' THEN INSERT INTO {other.sql} ({idents(list(values))}) SELECT {', '.join(values.values())}"
            f" FROM (SELECT NEW.*) AS fresh WHERE {condition}NOT EXISTS (SELECT FROM {other.sql} AS held WHERE {same});"
            " END IF;"
        )
        caveats += _caveats(companion, copied, open_)
    if "update" in events:
        changes = [change for own, state in states(catalog, companion) for change in _following(companion, own, state)]
        branches.append(f"IF TG_OP = 'UPDATE' THEN {' '.join(changes) or f'NULL; {_comment(REPLACE)}'} END IF;")
        if not changes:
            caveats.append(
                f"What an UPDATE has to change in {other.sql} is not known: write it where {REPLACE} stands."
            )
    if "delete" in events:
        branches.append(
            f"IF TG_OP = 'DELETE' THEN DELETE FROM {ddl.target(other)} WHERE {_matching(companion, 'OLD')}; END IF;"
        )
    body = f"#variable_conflict use_column BEGIN {' '.join(branches)} RETURN COALESCE(NEW, OLD); END"
    tag = next(t for t in (f"$sync{n or ''}$" for n in range(1000)) if t not in body)
    return called, f"CREATE FUNCTION {called}() RETURNS trigger LANGUAGE plpgsql AS {tag}{body}{tag};", caveats


def _matching(companion: Companion, source: str, alias: str = "") -> str:
    return " AND ".join(
        f"{alias}{ident(mine)} = {field(source, theirs)}"
        for mine, theirs in zip(companion.companion_columns, companion.columns, strict=True)
    )


def field(source: str, name: str) -> str:
    """A column of `source`. PL/pgSQL finds no field of NEW or OLD by a name in the form `U&"..."`; a subquery does."""
    if source in ("NEW", "OLD") and ident(name).startswith("U&"):
        return f"(SELECT fresh.{ident(name)} FROM (SELECT {source}.*) AS fresh)"
    return f"{source}.{ident(name)}"


def _following(companion: Companion, own: str, state: str) -> list[str]:
    """UPDATEs of the companion, in a trigger function, after which `state` holds where `own` does and not elsewhere."""
    other = companion.companion
    found = []
    for holds in (True, False):
        change = assignments(other, state, holds=holds)
        if change is not None:
            values = ", ".join(f"{ident(name)} = {value}" for name, value in change.items())
            now, then = ("TRUE", "NOT TRUE") if holds else ("NOT TRUE", "TRUE")
            found.append(
                f"UPDATE {ddl.target(other)} SET {values} WHERE {_matching(companion, 'NEW')} AND ({state}) IS {then}"
                f" AND (SELECT ({own}) IS {now} FROM (SELECT NEW.*) AS fresh);"
            )
    return found
