"""A CREATE UNIQUE INDEX, or an ALTER TABLE that adds or validates one constraint, as its parts.

It is cut into tokens as PostgreSQL's own scanner does; expressions stay tokens, from which they are written anew. Nothing
here knows a database: names are as they stand, and need not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from auditor.errors import UsageError
from auditor.statements import Scanner, Token, split, written
from auditor.text import one_line_sql

SUPPORTED = (
    "supported are CREATE UNIQUE INDEX, and ALTER TABLE with one of ADD [CONSTRAINT name] UNIQUE, PRIMARY KEY,"
    " FOREIGN KEY, CHECK or NOT NULL, ALTER COLUMN ... SET NOT NULL, and VALIDATE CONSTRAINT"
)
Name = tuple[str | None, str]  # schema, if it is said, and name
ACTIONS = {"no action": "a", "restrict": "r", "cascade": "c", "set null": "n", "set default": "d"}


@dataclass(frozen=True, slots=True)
class Term:
    """One key of an index: `tokens` are a name or an expression; the others what else is said of it."""

    tokens: tuple[Token, ...]
    collation: Name | None = None
    opclass: Name | None = None
    order: str = ""  # DESC NULLS LAST

    @property
    def name(self) -> str | None:
        """The column it may be; None for what can only be an expression."""
        return self.tokens[0].value if len(self.tokens) == 1 and self.tokens[0].names else None


@dataclass(frozen=True, slots=True)
class Reference:
    """REFERENCES and what follows it. `columns` are empty where the primary key is meant."""

    table: Name
    columns: tuple[str, ...] = ()
    match: str = "s"
    on_delete: str = "a"
    on_update: str = "a"
    set_columns: tuple[str, ...] = ()


@dataclass(slots=True)
class Definition:
    """The parts of the statement. `kind` is index, unique, primary, foreign, check, not null, or validate.

    `text` is the statement on one line. `name` is that of the index or constraint, None where the server chooses it;
    `terms` are the keys, or the columns of a constraint; `condition` is the WHERE of an index, or what a CHECK asks;
    `using` is the index that USING INDEX names. `clauses` are the words said beside that matter: concurrently, if not
    exists, only, nulls not distinct, deferrable, deferred, not valid, not enforced, no inherit, set.
    """

    text: str
    kind: str = ""
    table: Name = (None, "")
    name: str | None = None
    terms: tuple[Term, ...] = ()
    include: tuple[str, ...] = ()
    condition: tuple[Token, ...] = ()
    method: str = "btree"
    using: str | None = None
    reference: Reference | None = None
    clauses: set[str] = field(default_factory=set)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a constraint."""
        return tuple(term.name or "" for term in self.terms)

    def says(self, clause: str) -> bool:
        """Whether one of `clauses` is said."""
        return clause in self.clauses


def parse(text: str) -> Definition:
    """The statement. Raises UsageError, which says what is supported, for anything else."""
    scanner = Scanner(text)
    if scanner.unclosed is not None:
        raise UsageError(f"the statement has a quote or comment that is never closed; {SUPPORTED}")
    tokens = scanner.tokens
    while tokens and tokens[-1].marks(";"):
        tokens = tokens[:-1]
    if not tokens:
        raise UsageError(f"there is no statement; {SUPPORTED}")
    if any(token.marks(";") for token in tokens):
        raise UsageError(f"there is more than one statement; give one at a time: {SUPPORTED}")
    try:
        written(tokens)
    except ValueError as error:
        raise UsageError(f"the statement holds {str(error)!r}, which is no SQL; {SUPPORTED}") from None
    made = Definition(f"{one_line_sql(text[tokens[0].start : tokens[-1].end])};")
    _Parser(tokens, made).statement()
    return made


class _Parser:
    def __init__(self, tokens: Sequence[Token], made: Definition) -> None:
        self.tokens = tokens
        self.made = made
        self.place = 0

    # --- tokens ---

    @property
    def token(self) -> Token:
        return self.at(0)

    def at(self, distance: int) -> Token:
        number = self.place + distance
        return self.tokens[number] if number < len(self.tokens) else Token("mark", ";", -1, -1)

    def ahead(self, *words: str) -> bool:
        """Whether these words follow."""
        return all(self.at(number).says(word) for number, word in enumerate(words))

    def take(self, words: str) -> bool:
        """Passes over these words, if they follow."""
        several = words.split()
        found = self.ahead(*several)
        self.place += len(several) if found else 0
        return found

    def need(self, words: str) -> None:
        if not self.take(words):
            raise self.wrong(words.upper())

    def mark(self, mark: str) -> bool:
        found = self.token.marks(mark)
        self.place += found
        return found

    def wrong(self, expected: str) -> UsageError:
        found = self.token
        where = f"{found.value!r}" if found.start >= 0 else "the end"
        return UsageError(f"expected {expected} before {where} of the statement; {SUPPORTED}")

    def unsupported(self, what: str) -> UsageError:
        return UsageError(f"{what} is not supported; {SUPPORTED}")

    def name(self, of: str) -> str:
        if not self.token.names:
            raise self.wrong(f"the name of {of}")
        self.place += 1
        return self.tokens[self.place - 1].value

    def qualified(self, of: str) -> Name:
        first = self.name(of)
        if not self.mark("."):
            return None, first
        second = self.name(of)
        return (second, self.name(of)) if self.mark(".") else (first, second)

    def within(self, of: str) -> tuple[Token, ...]:
        """The tokens in the parentheses that follow."""
        start = self.place + 1
        if not self.token.marks("("):
            raise self.wrong(f"{of} in parentheses")
        self.close()
        return tuple(self.tokens[start : self.place - 1])

    def close(self) -> None:
        """Passes over parentheses and what they hold."""
        depth = 0
        while self.place < len(self.tokens):
            depth += self.token.marks("(") - self.token.marks(")")
            self.place += 1
            if not depth:
                return
        raise self.wrong("a closing parenthesis")

    def names(self, of: str) -> tuple[str, ...]:
        """A list of names in parentheses."""
        return tuple(self.columns(self.within(of), of))

    def columns(self, tokens: Sequence[Token], of: str) -> list[str]:
        found = []
        for part in split(tokens, lambda token: token.marks(",")):
            if any(token.says("without", "period") for token in part[:2]) and len(part) > 1:
                raise self.unsupported("a key over periods (WITHOUT OVERLAPS, PERIOD)")
            if len(part) != 1 or not part[0].names:
                raise UsageError(f"expected {of} as a list of columns; {SUPPORTED}")
            found.append(part[0].value)
        return found

    # --- statements ---

    def statement(self) -> None:
        if self.take("create unique index"):
            self.index()
        elif self.take("create index"):
            raise UsageError(f"an index that is not UNIQUE asks nothing of the rows; {SUPPORTED}")
        elif self.take("alter table"):
            self.alter()
        else:
            raise self.wrong("CREATE UNIQUE INDEX or ALTER TABLE")
        if self.token.marks(","):
            raise self.unsupported("more than one action in one ALTER TABLE")
        if self.place < len(self.tokens):
            raise self.wrong("the end")

    def clause(self, words: str, name: str = "") -> bool:
        found = self.take(words)
        if found:
            self.made.clauses.add(name or words)
        return found

    def index(self) -> None:
        made = self.made
        made.kind = "index"
        self.clause("concurrently")
        self.clause("if not exists")
        if not self.ahead("on"):
            schema, made.name = self.qualified("the index")
            if schema is not None:
                raise UsageError("an index is made in the schema of its table: name it without a schema")
        elif made.says("if not exists"):
            raise self.wrong("the name of the index")
        self.need("on")
        self.clause("only")
        made.table = self.qualified("the table")
        if self.take("using"):
            made.method = self.name("the access method")
        keys = self.within("the keys")
        made.terms = tuple(self.term(part) for part in split(keys, lambda token: token.marks(",")))
        if self.take("include"):
            made.include = self.names("INCLUDE")
        self.nulls()
        self.storage()
        if self.take("where"):
            made.condition = tuple(self.tokens[self.place :])
            self.place = len(self.tokens)
            if not made.condition:
                raise self.wrong("a condition")

    def nulls(self) -> None:
        if not self.clause("nulls not distinct"):
            self.take("nulls distinct")

    def storage(self) -> None:
        """What says where and how an index is stored, which no row minds."""
        if self.take("with"):
            self.within("storage parameters")
        if self.take("using index tablespace") or self.take("tablespace"):
            self.name("the tablespace")

    def term(self, tokens: Sequence[Token]) -> Term:
        parser = _Parser(tokens, self.made)
        if parser.token.marks("("):
            parser.close()
        else:
            parser.name("a column")
            while parser.mark("."):
                parser.name("a function")
            if parser.token.marks("(") or parser.place > 1:
                parser.within("arguments")
        element = bare(tokens[: parser.place])
        collation = parser.qualified("the collation") if parser.take("collate") else None
        opclass = None
        if parser.token.names and not parser.token.says("asc", "desc", "nulls"):
            opclass = parser.qualified("the operator class")
            if parser.token.marks("("):
                parser.close()
        start = parser.place
        if not parser.take("asc"):
            parser.take("desc")
        if not parser.take("nulls first"):
            parser.take("nulls last")
        if parser.place < len(tokens):
            raise parser.wrong("the end of a key")
        order = " ".join(token.value.upper() for token in tokens[start : parser.place])
        return Term(tuple(element), collation, opclass, order)

    def alter(self) -> None:
        made = self.made
        self.take("if exists")
        self.clause("only")
        made.table = self.qualified("the table")
        if self.token.kind == "operator" and self.token.value == "*":
            self.place += 1
        if self.take("validate constraint"):
            made.kind, made.name = "validate", self.name("the constraint")
        elif self.take("alter"):
            self.take("column")
            made.kind, made.terms = "not null", (Term((self.token,)),)
            self.name("the column")
            self.need("set not null")
            made.clauses.add("set")
        else:
            self.need("add")
            if self.take("constraint"):
                made.name = self.name("the constraint")
            self.constraint()
            self.attributes()

    def constraint(self) -> None:
        made = self.made
        if self.ahead("unique") or self.ahead("primary", "key"):
            made.kind = "unique" if self.take("unique") else "primary"
            if made.kind == "primary":
                self.need("primary key")
            if self.ahead("using", "index") and not self.ahead("using", "index", "tablespace"):
                self.need("using index")
                made.using = self.name("the index")
                return
            if made.kind == "unique":
                self.nulls()
            made.terms = self.key("the key")
            if self.take("include"):
                made.include = self.names("INCLUDE")
            self.storage()
            if self.ahead("using", "index", "tablespace"):
                self.storage()
        elif self.take("foreign key"):
            made.kind, made.terms = "foreign", self.key("the foreign key")
            self.need("references")
            self.references()
        elif self.take("check"):
            made.kind, made.condition = "check", self.within("the condition")
            if not made.condition:
                raise self.wrong("a condition")
        elif self.take("not null"):
            made.kind, made.terms = "not null", (Term((self.token,)),)
            self.name("the column")
        elif self.ahead("exclude"):
            raise self.unsupported("an exclusion constraint (EXCLUDE)")
        else:
            raise self.wrong("UNIQUE, PRIMARY KEY, FOREIGN KEY, CHECK or NOT NULL")

    def key(self, of: str) -> tuple[Term, ...]:
        tokens = self.within(of)
        self.columns(tokens, of)
        return tuple(Term((token,)) for token in tokens if not token.marks(","))

    def references(self) -> None:
        table = self.qualified("the referenced table")
        columns = self.names("the referenced key") if self.token.marks("(") else ()
        found = {"match": "s", "delete": "a", "update": "a"}
        set_columns: tuple[str, ...] = ()
        while True:
            if self.take("match"):
                kind = self.name("MATCH")
                if kind not in ("full", "simple"):
                    raise self.unsupported(f"MATCH {kind.upper()}")
                found["match"] = kind[0]
            elif self.ahead("on", "delete") or self.ahead("on", "update"):
                event = self.at(1).value
                self.place += 2
                action = next((words for words in ACTIONS if self.take(words)), None)
                if action is None:
                    raise self.wrong("NO ACTION, RESTRICT, CASCADE, SET NULL or SET DEFAULT")
                found[event] = ACTIONS[action]
                if self.token.marks("("):
                    if event == "update" or not action.startswith("set"):
                        raise self.wrong("no list of columns")
                    set_columns = self.names("the columns to set")
            else:
                break
        self.made.reference = Reference(table, columns, found["match"], found["delete"], found["update"], set_columns)

    def attributes(self) -> None:
        made = self.made
        while self.place < len(self.tokens) and not self.token.marks(","):
            if self.take("not deferrable") or self.take("initially immediate") or self.take("enforced"):
                continue
            if self.clause("initially deferred", "deferred"):
                made.clauses.add("deferrable")
            elif not any(map(self.clause, ("deferrable", "not valid", "not enforced", "no inherit"))):
                raise self.wrong("the end")


def bare(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens without parentheses around all of them."""
    while len(tokens) > 2 and tokens[0].marks("("):
        depth = number = 0
        for number, token in enumerate(tokens):  # noqa: B007 - where the first one closes
            depth += token.marks("(") - token.marks(")")
            if not depth:
                break
        if number < len(tokens) - 1:
            break
        tokens = tokens[1:-1]
    return tokens
