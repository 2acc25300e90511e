"""References that nobody declared, from what a catalog tells: names, types, keys, comments, foreign keys of other columns.

Each is a candidate with its evidence in words; the rows decide (see the checks that ask them). Left out are columns under a
foreign key, polymorphic ones, ids of other systems, names that two tables answer to, and tables that keep what is gone.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from auditor.catalog.copies import is_copy
from auditor.catalog.model import Catalog, Column, Reference, Table
from auditor.catalog.names import singular, singulars, words
from auditor.text import ident, idents, unquoted

INTEGERS, UUID = frozenset({20, 21, 23}), 2950  # oids of int8, int2, int4 and of uuid (pg_type.dat)
_ID = {"id", "uuid", "guid", "oid", "fk", "ref"}
# What many tables call their own key: the name alone says nothing about whose key is meant.
_GENERIC = {*_ID, "uid", "name", "code", "slug", "key", "number", "no", "type", "kind", "title", "value", "version"}
# What a table may be named by besides its id, so that `country_code` says countries(code). Names and e-mails are copied.
_CODES = {"code", "slug", "uid", "key", "no", "nr", "num", "number", "sku", "iso", "symbol", "handle", "uuid", "guid"}
# A column called so refers to nothing in this database: it is a number or an identifier of another system.
_EXTERNAL = {
    *("external", "ext", "remote", "foreign", "legacy", "upstream"),
    *("trace", "span", "request", "correlation", "session", "idempotency"),
}
# Systems: `stripe_id` and `stripe_customer_id` are theirs, unless a table of that whole name exists.
_SYSTEMS = {
    *("stripe", "paypal", "braintree", "adyen", "shopify", "google", "facebook", "apple", "github", "gitlab", "slack"),
    *("twitter", "linkedin", "discord", "telegram", "aws", "azure", "okta", "auth0", "oauth", "saml", "ldap", "sso"),
    *("salesforce", "hubspot", "zendesk", "intercom", "twilio", "sendgrid", "mailchimp", "firebase", "segment"),
}
_PARTIES = {"platform", "provider", "vendor", "partner", "merchant", "client", "import", "device", "third"}
_NOT_OURS = _EXTERNAL | _SYSTEMS | _PARTIES
# Tables that outlive what they speak of on purpose, or are copies.
_CHRONICLES = {
    *("log", "logs", "audit", "audits", "history", "histories", "archive", "archives", "archived", "journal", "trail"),
    *("backup", "backups", "bak", "snapshot", "snapshots", "copy", "old", "tmp", "temp", "staging", "stg", "orphans"),
    *("dlq", "deadletter", "deadletters"),
}
# Tables of people, the first that exists is who `created_by` and `owner_id` mean.
_PEOPLE = (
    *("user", "appuser", "authuser", "siteuser", "sysuser", "systemuser", "useraccount", "userinfo", "account"),
    *("person", "employee", "staff", "member", "profile"),
)
_ROLES = {
    *("creator", "author", "owner", "updater", "modifier", "editor", "deleter", "approver", "reviewer", "requester"),
    *(
        "requestor",
        "inviter",
        "invitee",
        "assignee",
        "assigner",
        "assignor",
        "uploader",
        "sender",
        "receiver",
        "recipient",
    ),
    *(
        "submitter",
        "reporter",
        "commenter",
        "moderator",
        "manager",
        "supervisor",
        "leader",
        "buyer",
        "purchaser",
        "seller",
    ),
    *("redeemer", "subscriber", "follower", "followee", "liker", "voter", "blocker", "actor", "initiator", "operator"),
    *("responder", "closer", "resolver", "publisher", "translator", "mentor", "contributor", "maintainer", "organizer"),
    *("organiser", "host", "participant", "attendee", "referrer", "signer", "verifier", "validator", "auditor"),
    *(
        "granter",
        "grantor",
        "grantee",
        "revoker",
        "proposer",
        "inspector",
        "impersonator",
        "speaker",
        "recorder",
        "canceller",
        "holder",
        "registrant",
        "borrower",
        "lender",
    ),
}
_SUPERIORS = {"manager", "supervisor", "superior", "boss", "mentor"}
# `created_by` and `lastupdatedby`, but neither `standby` nor what things do to each other.
_BY = re.compile(r"\w{2,}(?:ed|en|wn|de|nt|ght|un|ld)by\Z")
_BY_THINGS = re.compile(
    r"(?:replaced|superseded|succeeded|preceded|caused|triggered|generated|sorted|ordered|grouped|powered|backed|divided)by\Z"
)
# Tables that repeat the columns of another: a parent is one there.
_VERSIONS = {"version", "versions", "revision", "revisions"}
# What a row says of another row of its own table.
_SELF = {
    *("parent", "previous", "prev", "next", "root", "original", "replyto", "inreplyto", "duplicateof", "mergedinto"),
    *("replacedby", "supersededby", "succeededby", "precededby", "clonedfrom", "copiedfrom", "forkedfrom"),
}
_DIRECTIONS = {"from", "to", "old", "new"}
# Last words of so many names that they single out no table.
_VAGUE = {
    *(
        "reference",
        "item",
        "entry",
        "record",
        "value",
        "object",
        "data",
        "type",
        "source",
        "target",
        "resource",
        "entity",
    ),
    *("subject", "token", "key", "group", "status", "link", "relation", "mapping"),
}
# What tables are called after the thing they hold, and say nothing by it; of these, particulars of the thing.
_PARTICULARS = {"metadata", "meta", "settings", "stats", "statistics", "details", "heartbeat", "extra", "profile"}
_ENDINGS, _DETAILS = ("info", "master", "table", "tbl"), ("info", "details", "data")
# Integers that count, measure or sort, whatever tables are called so.
_QUANTITIES = {
    *(
        "order",
        "position",
        "rank",
        "level",
        "version",
        "count",
        "number",
        "priority",
        "weight",
        "size",
        "score",
        "sort",
    ),
    *(
        "index",
        "sequence",
        "quantity",
        "amount",
        "total",
        "year",
        "month",
        "week",
        "day",
        "hour",
        "minute",
        "second",
        "age",
    ),
    *(
        "status",
        "state",
        "type",
        "kind",
        "flag",
        "length",
        "width",
        "height",
        "duration",
        "price",
        "cost",
        "points",
        "rating",
    ),
    *(
        "page",
        "line",
        "row",
        "column",
        "step",
        "round",
        "depth",
        "limit",
        "offset",
        "port",
        "time",
        "timezone",
        "balance",
    ),
}
_TITLES = {("name",), ("code",), ("title",), ("key",), ("slug",), ("symbol",), ("number",)}
_CLASSES = ("type", "kind", "class", "table")
_KINDS = {"type", "kind", "status", "state"}
_COUNTED = tuple(sorted(word for word in _QUANTITIES if len(word) > 4))
_SQL_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'
_REFERRED = re.compile(
    r"(?:\breferences|\breferences to|\breferenc(?:e|ing) to|\brefers to|\bpoints to|\bfk to|\bfk:|\bforeign key (?:to|of|into|:)|->|=>|\u2192)"
    rf"\s*(?:the\s+|table\s+)?(?:({_SQL_NAME})\s*\.\s*)?({_SQL_NAME})(?:\s*\(\s*({_SQL_NAME})\s*\)|\.({_SQL_NAME}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Name:
    """What a column's name says: the words of whom it speaks, without and with the number at their end, and whether it says
    at all that it is an id."""

    stem: tuple[str, ...]
    is_id: bool
    numbered: tuple[str, ...] = ()


@lru_cache(maxsize=65536)
def _name(name: str) -> _Name | None:
    parts = words(name)
    while len(parts) > 1 and parts[-1].isdigit():  # user_id_2
        parts = parts[:-1]
    if not parts:
        return None
    last = parts[-1]
    if len(parts) > 1 and last in _ID:
        return _Name(_unnumbered(parts[:-1]), True, parts[:-1])
    if len(parts) > 1 and last.rstrip("0123456789") in _ID:  # user_id2
        return _Name(parts[:-1], True)
    if len(parts) > 1 and parts[0] in ("id", "fk"):  # id_client
        return _Name(_unnumbered(parts[1:]), True, parts[1:])
    for ending in ("uuid", "guid", "id"):
        if last.endswith(ending) and len(last) > len(ending) + 1:  # bookingid
            whole = (*parts[:-1], last.removesuffix(ending))
            return _Name(_unnumbered(whole), True, whole)
    return _Name(_unnumbered(parts), False)


def _unnumbered(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Without a number at the end: `artist0` and `artist_1` speak of artists."""
    last = parts[-1].rstrip("0123456789")
    return (*parts[:-1], last) if last else parts[:-1] or parts


@lru_cache(maxsize=65536)
def _nouns(parts: tuple[str, ...]) -> tuple[str, ...]:
    """What a table of these words holds one of, written as one word; the likeliest first."""
    if not parts:
        return ()
    begins = dict.fromkeys(("".join(parts[:-1]), "".join(map(singular, parts[:-1]))))
    return tuple(begin + word for begin in begins for word in singulars(parts[-1]))


@lru_cache(maxsize=65536)
def _scopes(name: str) -> tuple[str, ...]:
    """What the name of a table begins with, the longest first: `forum_posts` with forumposts, forumpost, forum."""
    own = words(name)
    sizes = range(len(own), 0, -1)
    return tuple(dict.fromkeys(begin for n in sizes for begin in ("".join(own[:n]), "".join(map(singular, own[:n])))))


@lru_cache(maxsize=65536)
def _joined(name: str) -> str:
    return "".join(words(name))


def same_kind(one: Column, other: Column) -> bool:
    """Whether two columns have types that keys and references have in common: integers, uuids, text, or else the same."""
    if one.base_oid in INTEGERS:
        return other.base_oid in INTEGERS
    return one.base_oid == other.base_oid or (one.category == other.category == "S")


def _abbreviates(short: str, noun: str) -> bool:
    """`cat` of category, `acct` of account, `grp` of group."""
    if len(short) < 3 or len(noun) < len(short) + 2 or short[0] != noun[0]:
        return False
    if noun.startswith(short) or (
        noun.startswith(short[:-1]) and len(short) > 3 and short[-1] in noun[len(short) - 1 :]
    ):
        return True
    letters = iter(noun)
    return not set(short[1:]) & set("aeiou") and all(letter in letters for letter in short)


class _Tables:
    """The tables of a catalog, by everything they may be called in a column's name."""

    def __init__(self, catalog: Catalog) -> None:
        self.all = list(catalog.base_tables())
        self.names = {"".join(words(table.name)) for table in self.all}
        self.nouns: dict[str, list[Table]] = defaultdict(list)
        self.short: dict[str, list[Table]] = defaultdict(list)  # less exactly
        self.keys: dict[str, list[Table]] = defaultdict(list)
        self.nicknames: dict[int, tuple[str, ...]] = {}
        prefixes = self._prefixes()
        for table in self.all:
            parts = words(table.name)
            if not parts:
                continue
            begin = "".join(parts[:-1])
            for noun in _nouns(parts):  # students_classes answers to student_class where nothing is called just so
                (self.nouns if noun.startswith(begin) else self.short)[noun].append(table)
            plain = parts[1:] if len(parts) > 1 and (table.schema, parts[0]) in prefixes else parts
            plain = plain[:-1] if len(plain) > 1 and plain[-1] in _ENDINGS else plain
            if plain != parts:
                self.nicknames[table.oid] = _nouns(plain)
                for noun in _nouns(plain):
                    self.short[noun].append(table)
            if len(table.primary_key) == 1:
                self.keys["".join(words(table.primary_key[0]))].append(table)
        self.referencing = [t for t in self.all if not (self._keeps_what_is_gone(t) or is_copy(catalog, t))]
        self.tails: dict[str, list[Table]] = defaultdict(list)
        self._initials: dict[str, list[tuple[Table, tuple[str, ...]]]] = defaultdict(list)
        self._abbreviated: dict[tuple[str, ...], list[Table]] = {}
        self.columns = Counter(column.name for table in self.all for column in table.columns)
        for table in self.referencing:
            parts = words(table.name)
            for start in range(1, len(parts)):
                for noun in _nouns(parts[start:]):
                    self.tails[noun].append(table)
            if parts:
                self._initials[parts[0][0]].append((table, (*parts[:-1], singular(parts[-1]))))
        self._classes: dict[int, frozenset[str]] = {}
        self._people: dict[tuple[str, int], Table | None] = {}
        self._owner = {table.oid: owner for table in self.all for owner in self._details(table)}

    def _keeps_what_is_gone(self, table: Table) -> bool:
        parts = words(table.name)
        if set(parts) & _CHRONICLES:
            return True
        # template_orders beside orders
        return parts[:1] == ("template",) and any("".join(parts[n:]) in self.names for n in range(1, len(parts)))

    def _prefixes(self) -> set[tuple[str, str]]:
        """Words that most tables of a schema begin with: they say which application, not what."""
        first = Counter((table.schema, words(table.name)[0]) for table in self.all if len(words(table.name)) > 1)
        tables = Counter(table.schema for table in self.all)
        return {
            (schema, word)
            for (schema, word), count in first.items()
            if word in ("tbl", "tb", "t") or (count >= 5 and count * 2 > tables[schema])
        }

    def abbreviated(self, stem: tuple[str, ...]) -> list[Table]:
        """The tables that `stem` may abbreviate: word by word, or one word the initials of several."""
        if stem not in self._abbreviated:
            self._abbreviated[stem] = [
                table
                for table, noun in self._initials.get(stem[0][0], ())
                if (
                    all(short == word or _abbreviates(short, word) for short, word in zip(stem, noun, strict=True))
                    if len(noun) == len(stem)
                    else len(stem) == 1 and stem[0] == "".join(word[0] for word in noun)
                )
            ]
        return self._abbreviated[stem]

    def beginning(self, letter: str) -> list[Table]:
        """The tables whose names begin with a letter."""
        return [table for table, _ in self._initials.get(letter, ())]

    def _details(self, table: Table) -> Iterator[Table]:
        noun = _nouns(words(table.name))[:1]
        key = "".join(words(table.primary_key[0])) if len(table.primary_key) == 1 else ""
        if noun and key == f"{noun[0]}id":
            for ending in _DETAILS:
                for other in self.nouns.get(noun[0] + ending, ()):
                    if "".join(words("".join(other.primary_key))) == f"{key[:-2]}{ending}id" and not any(
                        "".join(words(column.name)) == key for column in other.columns
                    ):
                        yield other

    def called(self, noun: str, near: Table) -> list[Table]:
        """The tables of this name: those in the schema of `near`, less exactly called so if need be, or else all."""
        exactly, less = self.nouns.get(noun, ()), self.short.get(noun, ())
        if not exactly and not less:
            return []
        own = ([table for table in group if table.schema == near.schema] for group in (exactly, less))
        named = next(filter(None, own), None) or list(exactly or less)
        return [self._owner.get(table.oid, table) for table in named] if self._owner else named

    def classes(self, table: Table) -> frozenset[str]:
        """What a text or an enum of the table says the class of: `subject` where it has a `subject_type`."""
        if table.oid not in self._classes:
            said = (_joined(column.name) for column in table.columns if column.category in "SE")
            self._classes[table.oid] = frozenset(
                name.removesuffix(ending) for name in said for ending in _CLASSES if name.endswith(ending)
            ) - {""}
        return self._classes[table.oid]

    def people(self, column: Column, near: Table) -> Table | None:
        """Who a role means."""
        place = near.schema, column.base_oid
        if place not in self._people:
            self._people[place] = self._first_people(column, near)
        return self._people[place]

    def _first_people(self, column: Column, near: Table) -> Table | None:
        for noun in _PEOPLE:
            fitting = [table for table in self.called(noun, near) if _key_for(column, table)]
            if fitting:
                return fitting[0] if len(fitting) == 1 else None
        return None


def _nearest(tables: list[Table], near: Table) -> list[Table]:
    """Those in the schema of `near`, or else all."""
    if len(tables) == 1:
        return tables
    return [table for table in tables if table.schema == near.schema] or tables


def _key_for(column: Column, parent: Table) -> str | None:
    """The key of `parent` that a column may hold: its primary key, of one column, if the types agree."""
    if len(parent.primary_key) != 1:
        return None
    return parent.primary_key[0] if same_kind(column, parent.by_name[parent.primary_key[0]]) else None


class Found(NamedTuple):
    """Whom a column speaks of: the table, its key, why; `weak` where the name alone would not settle it."""

    table: Table
    key: str
    why: str
    weak: bool = False


def inferred_references(catalog: Catalog) -> Iterator[Reference]:
    """The references of a catalog that nothing declares, as far as names, types and keys tell."""
    tables = _Tables(catalog)
    siblings = _siblings(catalog)
    composite = list(_composites(tables))
    yield from composite
    covered = {
        (reference.table.oid, name, reference.referenced.oid) for reference in composite for name in reference.columns
    }
    by_id, by_noun = _spoken(catalog)
    bare: dict[int, list[Reference]] = defaultdict(list)
    found: Found | Unclear | None
    for table in tables.referencing:
        pairs = _numbered(table, tables)
        for column in free_columns(table):
            name = _name(column.name)
            if name is None or _polymorphic(table, column, tables):
                continue
            told = _by_comment(table, column, tables)
            if told is not None and (table.oid, column.name, told.table.oid) not in covered:
                by_id[told.table.oid] += name.is_id
                yield Reference(table, (column.name,), told.table, (told.key,), configured=False, evidence=told.why)
            found = pairs.get(column.name) or _parent_of(table, column, name, tables, siblings)
            plainly = False
            if not name.is_id and not found:
                found = _bare(table, column, name.stem, tables)
                plainly = bool(found)
                found = found if found is not None else _by_other_words(table, column, name.stem, tables)
            if not found or (found[0] is table and found[1] == column.name):
                continue
            parent, key, why, weak = found
            if (table.oid, column.name, parent.oid) in covered or (told is not None and told[:2] == (parent, key)):
                continue
            # Who writes comments can add to what the names tell, and take nothing away: between the two the rows decide.
            reference = Reference(
                table,
                (column.name,),
                parent,
                (key,),
                configured=False,
                evidence=why,
                weak=weak or plainly,
            )
            if plainly and column.base_oid != UUID:
                bare[parent.oid].append(reference)
            else:
                by_id[parent.oid] += name.is_id
                yield reference
    texts = sum(r.table.by_name[r.columns[0]].category == "S" for references in bare.values() for r in references)
    for oid, references in bare.items():
        for reference in references:
            # Where others say `company_id`, an integer called `company` is something else; a text even where they
            # say so of other things.
            text = reference.table.by_name[reference.columns[0]].category == "S"
            if texts >= by_id.total() if text else len(references) + by_noun[oid] >= by_id[oid]:
                yield reference


def _spoken(catalog: Catalog) -> tuple[Counter[int], Counter[int]]:
    """How often foreign keys speak of each table by an id, and by its bare name."""
    by_id, by_noun = Counter[int](), Counter[int]()
    for _, key, parent in catalog.foreign_keys:
        name = _name(key.columns[-1])
        if name is not None:
            (by_id if name.is_id else by_noun)[parent.oid] += 1
    return by_id, by_noun


def guesses(catalog: Catalog) -> Iterator[Reference]:
    """References to what is no key: a hint in the names, about which only rows can tell anything.

    `trips.shape_id` where shapes has a column of that name and no key of its own, `airports.country` where countries has
    no key at all and a name. Several guesses about one column exclude each other.
    """
    tables = _Tables(catalog)
    for table in tables.referencing:
        for column in free_columns(table):
            name = _name(column.name)
            if name is None or _polymorphic(table, column, tables) or set(name.stem) & _NOT_OURS:
                continue
            named = [t for noun in _nouns(name.stem) for t in tables.called(noun, table) if len(t.primary_key) != 1]
            for parent in dict.fromkeys(t for t in named if t is not table):
                for other in parent.columns:
                    if name.is_id:
                        meant = other.name == column.name or words(other.name) == ("id",)
                    else:
                        meant = column.category == "S" and not parent.primary_key and words(other.name)[-1:] in _TITLES
                    if meant and same_kind(column, other):
                        why = f"it is called after {parent.sql}, which has a column {ident(other.name)} of its type"
                        key = (other.name,)
                        yield Reference(
                            table,
                            (column.name,),
                            parent,
                            key,
                            configured=False,
                            evidence=f"{why} ({column.type})",
                            weak=True,
                        )


def free_columns(table: Table) -> Iterator[Column]:
    """The columns that may hold keys of another table, and of which no foreign key speaks."""
    declared = {column for key in table.foreign_keys for column in key.columns}
    for column in table.columns:
        holds_keys = column.base_oid in INTEGERS or column.base_oid == UUID or column.category in "SN"
        if holds_keys and column.name not in declared and not column.generated:
            yield column


def _composites(tables: _Tables) -> Iterator[Reference]:
    """References to keys of several columns: `(project_id, trace_id)` to traces (project_id, id).

    Each column is called like the key's, or after the table and the key's; one of them at least is called after the table.
    """
    keyed = [
        (parent, key)
        for parent in tables.all
        for key in parent.keys
        if len(key) > 1 and not any(len(other) == 1 and set(other) <= set(key) for other in parent.keys)
    ]
    if not keyed:
        return
    wanted = {noun for parent, _ in keyed for noun in _nouns(words(parent.name))}
    wanted |= {noun for parent, _ in keyed for noun in tables.nicknames.get(parent.oid, ())}
    speaking: dict[str, list[tuple[Table, Column, str]]] = defaultdict(list)
    for table in tables.referencing:
        scopes = _scopes(table.name)
        for column in free_columns(table):
            named = words(column.name)
            for size in range(1, len(named)):
                rest = "".join(named[size:])
                for start in range(size if named[-1] in _ID else 1):
                    for noun in _nouns(named[start:size]):
                        for said in (noun, *(scope + noun for scope in scopes)):
                            if said in wanted:
                                speaking[said].append((table, column, rest))
    for parent, key in keyed:
        if any(parent.by_name[name].category == "D" for name in key):
            continue
        nouns = dict.fromkeys((*_nouns(words(parent.name)), *tables.nicknames.get(parent.oid, ())))
        seen = set()
        for table, column, rest in (end for noun in nouns for end in speaking.get(noun, ())):
            if (table.oid, column.name) not in seen and not (table is parent and column.name in key):
                columns = _beside(table, column, parent, key, rest)
                if columns:
                    seen.add((table.oid, column.name))
                    why = (
                        f"{ident(column.name)} is called after {parent.sql} and its key ({idents(key)}),"
                        " whose other columns stand beside it with the same types"
                    )
                    yield Reference(table, columns, parent, key, configured=False, evidence=why)


def _beside(table: Table, column: Column, parent: Table, key: tuple[str, ...], rest: str) -> tuple[str, ...]:
    """The columns of `table` that go with the key of `parent`: `column` for what `rest` spells, the others by their names."""
    columns: list[Column] = []
    for name in key:
        spelled = "".join(words(name))
        own = column if spelled == rest and column not in columns else table.by_name.get(name)
        if own is None or own in columns or own.generated or not same_kind(own, parent.by_name[name]):
            return ()
        if own is not column and spelled in _GENERIC - {"version", "type", "kind", "number", "no"}:
            return ()
        columns.append(own)
    names = tuple(own.name for own in columns)
    beside = names == key and set(key) in map(set, table.keys)  # another table with the same key, not of its rows
    return names if column in columns and not beside else ()


Unclear = tuple[()]  # a table is meant, and it cannot be said which, or not this one
Siblings = dict[str, tuple[Table, str, Table]]  # by a column's name: a table with it, the key it references, whose


def _siblings(catalog: Catalog) -> Siblings:
    """What columns of one name reference wherever a foreign key declares it, if that is always the same."""
    ends: dict[str, set[tuple[int, str]]] = defaultdict(set)
    example: Siblings = {}
    for table, key, parent in catalog.foreign_keys:
        (name, *more), (referenced, *_) = key.columns, key.referenced_columns
        if not more and table is not parent and "".join(words(name)) not in _GENERIC:
            ends[name].add((parent.oid, referenced))
            example.setdefault(name, (table, referenced, parent))
    return {name: example[name] for name, several in ends.items() if len(several) == 1}


def _parent_of(table: Table, column: Column, name: _Name, tables: _Tables, siblings: Siblings) -> Found | None:
    """Whom a column speaks of, by foreign keys of the same name, or because it says that it is an id."""
    if column.name in siblings and (column.name,) != table.primary_key:
        other, key, parent = siblings[column.name]
        if same_kind(column, parent.by_name[key]):
            why = (
                f"{other.sql}.{ident(column.name)} is a foreign key to {parent.sql}, and it has the same name and type"
            )
            return Found(parent, key, f"{why} ({column.type})")
    if not name.is_id:
        return None
    if name.numbered not in ((), name.stem):  # `level2_id` of a table level2
        found = _named(table, column, name.numbered, tables, ())
        if found is not None:
            return found or None
    return _by_id(table, column, name.stem, tables)


def _by_comment(table: Table, column: Column, tables: _Tables) -> Found | None:
    """`references app.users (id)`."""
    for found in _REFERRED.finditer(column.comment or ""):
        schema, name, key, third = (unquoted(part) if part else None for part in found.groups())
        key = key or third
        named = [t for t in tables.all if t.name == name and schema in (None, t.schema)]
        if not named and schema is not None:  # users.id
            named, key = [t for t in tables.all if t.name == schema], name
        for parent in _nearest(named, table):
            wanted = key if key in parent.by_name else next(iter(parent.primary_key), None)
            own = parent is table and wanted == column.name
            if wanted is not None and not own and same_kind(column, parent.by_name[wanted]):
                return Found(parent, wanted, f"its comment says so, and it has the type of that key ({column.type})")
    return None


def _by_other_words(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | None:
    """Whom a column speaks of that does not say that it is an id, and does not just name a table."""
    return (
        _same_key(table, column, stem, tables)
        or _key_in_a_role(table, column, tables)
        or _code(table, column, tables)
        or _role(table, column, stem, tables)
        or _initial(table, column, stem, tables)
    )


def _polymorphic(table: Table, column: Column, tables: _Tables) -> bool:
    return bool(tables.classes(table)) and "".join(words(column.name)[:-1]) in tables.classes(table)


def _by_id(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | None:
    """Whom an id speaks of: a table of its whole name, its last words, or a role."""
    uuid_of_session = stem == ("session",) and column.base_oid == UUID  # numbers of sessions are many things
    if set(stem) <= _SYSTEMS or (len(stem) == 1 and stem[0] in _EXTERNAL and not uuid_of_session):
        return None
    whole = _shared_key(table, column, stem, tables)
    whole = _named(table, column, stem, tables, ()) if whole is None else whole
    scoped = _scoped(table, column, stem, tables, ())
    if whole and not (scoped and whole.table.schema != table.schema):
        return whole
    if scoped or whole is not None:
        return scoped or None
    same = _same_key(table, column, stem, tables)
    if same is not None:
        return same
    for start in range(len(stem)):
        before, rest = stem[:start], stem[start:]
        if set(before) & _NOT_OURS:
            return None
        found = _named(table, column, rest, tables, before) if before else None
        if found is None:
            found = _scoped(table, column, rest, tables, before)
        if found is not None:
            return found or None
    if len(stem) > 1 and stem[-1] in _DIRECTIONS:  # `issue_from_id`
        found = _named(table, column, stem[:-1], tables, stem[-1:])
        if found is not None:
            return found or None
    return (
        _role(table, column, stem, tables)
        or _run_together(table, column, stem, tables)
        or _tail(table, column, stem, tables)
        or _abbreviated(table, column, stem, tables)
    )


def _fit(table: Table, column: Column, named: list[Table], said: str, *, weak: bool = False) -> Found | Unclear | None:
    """The one table of these whose key the column may hold; () where tables are meant and it is not clear which."""
    fitting = [parent for parent in named if _key_for(column, parent)]
    if len(fitting) == 1:
        (parent,) = fitting
        if parent is table and (column.name,) == table.primary_key:
            return ()
        called = f"{said} {parent.sql} and has the type of its primary key ({column.type})"
        return Found(parent, parent.primary_key[0], called, weak)
    return () if named else None


def _named(
    table: Table, column: Column, stem: tuple[str, ...], tables: _Tables, role: tuple[str, ...]
) -> Found | Unclear | None:
    for noun in _nouns(stem):
        named = tables.called(noun, table)
        if table in named and not role:
            named = [other for other in named if other is not table]
            if not named:  # a row's own number, not another row's
                return ()
        found = _fit(table, column, named, "it is called after")
        if found is not None:
            return found
    return None


def _scoped(
    table: Table, column: Column, stem: tuple[str, ...], tables: _Tables, role: tuple[str, ...]
) -> Found | Unclear | None:
    """`forum_posts.topic_id` means forum_topics."""
    for begin in _scopes(table.name):
        for noun in _nouns(stem):
            named = tables.called(begin + noun, table)
            if named:
                named = [t for t in named if t.schema == table.schema and (role or t is not table)]
                found = _fit(table, column, named, "beside the name of its own table it is called after")
                if found is not None:
                    return found
    return None


def _same_key(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | None:
    """A column of the name that one table's primary key has."""
    spelled = _joined(column.name)
    holders = tables.keys.get(spelled, []) if spelled not in _GENERIC else []
    holders = [t for t in holders if t is not table and _key_for(column, t) and words(t.name)[-1] not in _PARTICULARS]
    holders = _nearest(holders, table)
    own = (column.name,) == table.primary_key
    if len(holders) > 1 or own:
        wanted = set(_nouns(stem))
        holders = [t for t in holders if wanted & set(_nouns(words(t.name)))]
        if own and wanted & set(_nouns(words(table.name))):
            return None
    if len(holders) != 1:
        return None
    (parent,) = holders
    key = parent.primary_key[0]
    further = _scoped(parent, parent.by_name[key], stem, tables, ())
    if further and further.table is not table:  # that key is itself a reference, to the same thing
        return further
    about = "".join(words(parent.name))
    if any(about.startswith(noun) and about not in _nouns(stem) for noun in _nouns(stem)) and not own:
        singular_about = _nouns(words(parent.name))
        if not set(singular_about) & set(_nouns(stem)):  # replica_heartbeat (replica_id) holds particulars of replicas
            return None
    return Found(parent, key, f"it is called like the primary key of {parent.sql} and has its type ({column.type})")


def _key_in_a_role(table: Table, column: Column, tables: _Tables) -> Found | None:
    """`from_currency_code` and `fromcurrencycode` hold the key called `currency_code` or `currencycode` of one table."""
    parts = words(column.name)
    rests = ["".join(parts[start:]) for start in range(1, len(parts) - 1)]
    rests += [parts[-1][start:] for start in range(2, len(parts[-1]) - 7)] if len(parts) == 1 else []
    for rest in rests:
        if rest not in _GENERIC and len(holders := _nearest(tables.keys.get(rest, []), table)) == 1:
            (parent,) = holders
            if parent is not table and _key_for(column, parent):
                said = f"it is called after the primary key of {parent.sql} and has its type ({column.type})"
                return Found(parent, parent.primary_key[0], said)
    return None


def _shared_key(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | Unclear | None:
    """Of a table and those that share its key, name and all, the one that the column's own table is called after.

    () where they are many, the column is no key of its own, and its table is called after none: it may mean any.
    """
    spelled = _joined(column.name)
    holders = tables.keys.get(spelled, []) if spelled not in _GENERIC else []
    holders = [other for other in holders if other is not table and _key_for(column, other)]
    if len(holders) < 2 or not any(set(_nouns(stem)) & set(_nouns(words(other.name))) for other in holders):
        return None
    own = "".join(words(table.name))
    named = [
        other
        for other in holders
        if any(own != noun and (own.startswith(noun) or own.endswith(noun)) for noun in _nouns(words(other.name)))
    ]
    if not named:
        several = len(holders) > 3 and (column.name,) != table.primary_key
        return () if several else None
    longest = max(named, key=lambda other: len(other.name))
    key = longest.primary_key[0]
    return Found(longest, key, f"it is called like the primary key of {longest.sql}, and its table after that table")


def _code(table: Table, column: Column, tables: _Tables) -> Found | None:
    """`country_code` means countries(code), where that is a key."""
    parts = words(column.name)
    if len(parts) < 2 or parts[-1] not in _CODES:
        return None
    for noun in _nouns(parts[:-1]):
        for parent in tables.called(noun, table):
            for key in parent.keys if parent is not table else ():
                if len(key) == 1 and words(key[0]) == parts[-1:] and same_kind(column, parent.by_name[key[0]]):
                    said = f"it is called after {parent.sql} and its key {ident(key[0])}"
                    return Found(parent, key[0], f"{said}, and has its type ({column.type})")
    return None


def _role(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | None:
    """Another row of the same table, or somebody."""
    joined = "".join(stem)
    if joined in _SELF or stem[-1] == "parent":
        key = _key_for(column, table)
        if key is None or key == column.name or set(words(table.name)[-1:]) & _VERSIONS:
            return None
        return Found(
            table,
            key,
            f"it is called after another row of its table and has the type of its primary key ({column.type})",
        )
    human = stem[-1] in _ROLES or joined.endswith(("assignedto", "reportsto"))
    if not human and (not _BY.match(joined) or _BY_THINGS.search(joined)):
        return None
    by = _BY.match(joined)
    if set(stem) & _NOT_OURS or (column.category == "S" and not by and words(column.name) == stem):
        return None
    own = _key_for(column, table)
    if (stem[-1] in _SUPERIORS or joined == "reportsto") and own and set(_nouns(words(table.name))) & set(_PEOPLE):
        return Found(table, own, f"it is called after a superior, and {table.sql} holds people ({column.type})")
    parent = tables.people(column, table)
    if parent is None:
        return None
    key = parent.primary_key[0]
    return Found(
        parent, key, f"it says who, {parent.sql} holds them, and it has the type of its primary key ({column.type})"
    )


def _run_together(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | None:
    """`commentoptionsetid` ends with the name of a table."""
    last = stem[-1]
    for start in range(3, len(last) - 4):
        if last[:start] in _NOT_OURS:
            continue
        found = _named(table, column, (last[start:],), tables, (last[:start],))
        if found is not None:
            return found or None
    return None


def _tail(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | None:
    """`message_id` means courier_messages, if no other table is called so."""
    if set(stem) & _NOT_OURS:
        return None
    if set(stem[-1:]) & _VAGUE:
        return None
    for start in range(max(1, len(stem) - 1)):
        for noun in _nouns(stem[start:]):
            named = _nearest([t for t in tables.tails.get(noun, []) if t is not table], table)
            if len(noun) > 3 and len(named) == 1:
                return _fit(table, column, named, "it is called after the last word of", weak=True) or None
    return None


def _abbreviated(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | None:
    """`cat_id` means categories, `po_id` means purchase_orders, if they mean nothing else."""
    if set(stem) & _NOT_OURS or (column.name,) == table.primary_key:
        return None
    named = [t for t in tables.abbreviated(stem) if t is not table and _key_for(column, t)]
    return _fit(table, column, named, "its name abbreviates", weak=True) or None


def _bare(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | Unclear | None:
    """`artist` means artists, where it can be no quantity and nothing but a key; text must be that word alone."""
    last = stem[-1]
    if singulars(last)[0] != last:  # several: it counts them
        return None
    counts = last in _QUANTITIES or last.endswith(_COUNTED)
    if not any(tables.called(noun, table) for noun in _nouns(stem)) or last in _KINDS:
        if column.category != "S" and (not counts or last in _KINDS):
            scoped = _scoped(table, column, stem, tables, ())
            if scoped:  # `orders.status` of order_status
                return scoped
        if counts or set(stem) & _QUANTITIES:
            return None
    elif counts and len(stem) < 2:
        return None
    for start in range(len(stem) if column.category != "S" else 1):
        if set(stem[:start]) & _NOT_OURS:
            return None
        found = _named(table, column, stem[start:], tables, stem[:start])
        if found is not None:
            return found
    return None


def _initial(table: Table, column: Column, stem: tuple[str, ...], tables: _Tables) -> Found | None:
    """`nid` in many tables means networks, if that is the only table with an n."""
    name = "".join(stem)
    if len(name) != 3 or not name.endswith("id") or name[0] in "uox" or (column.base_oid not in (*INTEGERS, UUID)):
        return None
    if tables.columns[column.name] < 3:
        return None
    named = [t for t in tables.beginning(name[0]) if t is not table and _key_for(column, t)]
    return _fit(table, column, named, f"many tables have it, and {name[0]} is the initial of only", weak=True) or None


def _numbered(table: Table, tables: _Tables) -> dict[str, Found]:
    """`artist_label (entity0, entity1)`, `_CategoryToPost ("A", "B")`: a table called after the two that it links.

    Numbers follow the table's name, the letters the alphabet (as Prisma makes them).
    """
    parts = [word for word in words(table.name)]
    letters = [column for column in table.columns if column.name in ("A", "B")]
    numbered: dict[str, list[Column]] = defaultdict(list)
    for column in table.columns:
        stem = column.name.rstrip("0123456789").rstrip("_")
        if column.name[-1:].isdigit() and len(column.name) - len(stem) < 3:
            numbered[stem].append(column)
    pairs = [columns for stem, columns in numbered.items() if len(columns) == 2 and not tables.called(stem, table)]
    if len(letters) == 2:
        pairs = [letters]
    if len(pairs) != 1 or len(parts) < 2:
        return {}
    for begin in range(2):
        for cut in range(begin + 1, len(parts)):
            for join in (cut, cut + 1):
                left, right = parts[begin:cut], parts[join:]
                if not right or (join > cut and parts[cut] not in ("to", "has", "x", "2", "and", "in")):
                    continue
                ends = [
                    next((t for noun in _nouns(tuple(side)) for t in tables.called(noun, table)), None)
                    for side in (left, right)
                ]
                if letters:
                    ends.sort(key=lambda end: end.name.lower() if end else "")
                columns = sorted(pairs[0], key=lambda column: column.name)
                if all(end is not None and _key_for(column, end) for column, end in zip(columns, ends, strict=True)):
                    return {
                        column.name: Found(
                            end,
                            end.primary_key[0],
                            f"its table is called after {end.sql} and what that is linked with",
                        )
                        for column, end in zip(columns, ends, strict=True)
                        if end is not None
                    }
    return {}
