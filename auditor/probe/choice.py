"""Which strategy answers a question soonest: an estimate from catalog and statistics alone, in seconds of one backend.

Estimates may be wrong: every strategy is cut short where its own bound is passed, and the next one in order follows; the
textbook one ends every order and has no bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from auditor.catalog.model import Catalog, Index, Table
from auditor.probe import Ahead, Constants, Duplicates, Planned, Probe, Relation, Unmatched
from auditor.text import ident

TEXTBOOK = "textbook"
PROBES = "index probes"  # one look into the parent's index per row of the child
WALK = "distinct walk"  # from value to value down the child's index
GAPS = "gap probes"  # one look into the child's index for each gap between the parent's integers
ONE_PASS = "one pass"  # the parent's keys as constants, all relations of the child in one scan
MERGE = "merge of two indexes"  # both sides in order, neither table touched
IN_ORDER = "index order"  # neighbours in the order of an index
ONE_HASH = "one hash pass"
RANGE = "index range"  # the end of an index

# The types whose `=` calls two values the same exactly where their bytes, or their numbers, are: base type oids.
INTEGERS = {21: "pg_catalog.int2", 23: "pg_catalog.int4", 20: "pg_catalog.int8"}
UUID = {2950: "pg_catalog.uuid"}
TEXTS = {25: "pg_catalog.text", 1043: "pg_catalog.text"}

MOST_MEMBERS = 100_000  # values of a parent that become constants
_HASHED = 140000  # from here on `= ANY` over constants is a hash (release notes of 14)
_FEW = 16  # constants that are compared one by one before that

# Seconds per row, page, value: measured on cached tables of ten million rows; ratios matter, not the machine.
_ROW, _PAGE = 0.06e-6, 3e-6
_BUILD, _JOIN, _SPILT = 0.25e-6, 0.2e-6, 0.2e-6
_MERGED = 0.1e-6
_LOOK = 3e-6  # one descent of an index
_STEP = 12e-6  # of a recursive query down an index
_NEIGHBOUR = 0.2e-6
_COMPARE, _MEMBER, _FETCH = 0.04e-6, 0.1e-6, 0.6e-6
_BEGIN = 0.01  # a few more queries than the textbook's
_MEMORY = 128 * 2**20  # of a hash: work_mem times hash_mem_multiplier, as the pinned transaction has them
_ENTRIES = 250  # of an index on a page
_UNKNOWN_PAGES = 10  # what the server's planner takes for a table that was never analysed


@dataclass(frozen=True, slots=True)
class Size:
    """Rows and pages of a table, about."""

    rows: float
    pages: float
    visible: float = 0.0  # which part of the pages an index can answer for

    @property
    def scan(self) -> float:
        """Seconds to read it once."""
        return self.rows * _ROW + self.pages * _PAGE


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy, what it takes in seconds and in pages, and how many values a walk may meet before it is given up."""

    strategy: str
    seconds: float
    pages: float = 0.0
    bound: int = 0


@dataclass(frozen=True)
class Facts:
    """The catalog, and the pages that tables have now, by oid, where they were measured."""

    catalog: Catalog
    measured: Mapping[int, int] = field(default_factory=dict)

    def leaves(self, table: Table, only: bool = True) -> list[Table]:
        """The tables whose rows a query over `table` reads; `only` leaves inheritance children out, never partitions."""
        if only and table.only:
            return [table]
        found = [table] if table.kind == "r" else []
        for child in table.children:
            if child in self.catalog.tables:
                found += self.leaves(self.catalog.tables[child], only=False)
        return found

    def size(self, table: Table, only: bool = True) -> Size:
        """What a query over `table` reads: the density of the last ANALYZE times the pages of today, as the planner does."""
        rows = pages = visible = 0.0
        for leaf in self.leaves(table, only):
            known = leaf.rows > 0 and leaf.pages > 0
            now = self.measured.get(leaf.oid, leaf.pages if known else _UNKNOWN_PAGES)
            width = 28 + 8 * len(leaf.columns)
            rows += now * (leaf.rows / leaf.pages if known else 8192 / width)
            pages += now
            visible += min(leaf.all_visible, now)
        return Size(rows, pages, visible / pages if pages else 1.0)


def kind_of(question: Relation) -> dict[int, str] | None:
    """The family of types by which the strategies compare, or None where the textbook one alone is right.

    One column, the plain equality of integers, of uuid, or of text under deterministic collations, nothing read besides.
    """
    plain = isinstance(question, Unmatched) and len(question.columns) == 1
    if not plain or question.reverse or question.other_row or question.unless or question.beyond:
        return None
    if question.equality != (("pg_catalog", "="),):
        return None
    own = question.table.by_name[question.columns[0]]
    other = question.referenced.by_name[question.referenced_columns[0]]
    if not (own.deterministic and other.deterministic):
        return None
    return next((kind for kind in (INTEGERS, UUID, TEXTS) if own.base_oid in kind and other.base_oid in kind), None)


def _ordered(index: Index) -> bool:
    return index.ordered and index.keys[0].default_opclass


def ordered_index(table: Table, column: str) -> Index | None:
    """An index of a plain table that holds every value of the column but NULL, in order."""
    if table.kind != "r":
        return None
    for index in table.indexes:
        usable = _ordered(index) and index.valid and index.ready and index.live
        whole = index.predicate in (None, f"({ident(column)} IS NOT NULL)")
        if usable and whole and index.keys[0].column == column:
            return index
    return None


def distinct_parents(facts: Facts, question: Relation) -> bool:
    """Whether no value stands twice among the rows that may be referenced: one unique index is over all of them."""
    table, column = question.referenced, question.referenced_columns
    alone = table.kind == "p" or (question.only and table.only) or not table.children
    return alone and any(
        index.enforces and index.predicate is None and index.columns == column and index.keys[0].default_opclass
        for index in table.indexes
    )


@dataclass(frozen=True, slots=True)
class Together:
    """How several questions about one table are answered: an order of strategies for each, and whether its rows are
    counted once for all of them."""

    orders: tuple[tuple[Choice, ...], ...]
    counted_once: bool


def together(facts: Facts, questions: Sequence[Probe]) -> Together:
    """The strategies for questions about one table, the soonest first, with the cost of counting its rows in them."""
    orders = [order(facts, question) for question in questions]
    relations = [n for n, question in enumerate(questions) if isinstance(question, Unmatched)]
    begun = [orders[n][0] for n in relations]
    long = len(begun) > 1 and sum(choice.seconds for choice in begun) > 10 * _BEGIN
    once = long or any(choice.strategy != TEXTBOOK for choice in begun)
    for n in relations:
        size, share = facts.size(questions[n].table), len(relations) if once else 1
        orders[n] = [
            replace(choice, seconds=choice.seconds + size.scan / share, pages=choice.pages + size.pages / share)
            for choice in orders[n]
        ]
    return Together(tuple(map(tuple, orders)), once)


def order(facts: Facts, question: Probe) -> list[Choice]:
    """The strategies that answer the question, the soonest first; the last one always answers."""
    if isinstance(question, Unmatched):
        return _unmatched(facts, question)
    if isinstance(question, Duplicates):
        return _duplicates(facts, question)
    if isinstance(question, Planned | Constants):  # no row is read
        return [Choice(TEXTBOOK, _BEGIN)]
    if isinstance(question, Ahead) and ordered_index(question.table, question.column):
        return [Choice(RANGE, _LOOK, 1)]
    read = [facts.size(table) for table in {table.oid: table for table, _ in question.reads()}.values()]
    seconds, pages = (sum(size.scan for size in read), sum(size.pages for size in read))
    return [Choice(TEXTBOOK, seconds + facts.size(question.table).scan, pages + facts.size(question.table).pages)]


def _unmatched(facts: Facts, question: Unmatched) -> list[Choice]:
    """Those worth a try before the one that always answers, and that one."""
    choices = feasible(facts, question)
    last = min((c for c in choices if c.strategy in (TEXTBOOK, PROBES)), key=lambda choice: choice.seconds)
    return [*sorted((c for c in choices if c.seconds < last.seconds), key=lambda choice: choice.seconds), last]


def feasible(facts: Facts, question: Unmatched) -> list[Choice]:
    """Every strategy that can answer, with its cost beside the counting of the child's rows; the textbook one is the first."""
    child, parent = facts.size(question.table), facts.size(question.referenced, question.only)
    hashed = parent.rows * _BUILD + child.rows * _JOIN
    if parent.rows * 60 > _MEMORY:
        hashed += (parent.rows + child.rows) * _SPILT
    choices = [Choice(TEXTBOOK, _BEGIN / 4 + child.scan + parent.scan + hashed, child.pages + parent.pages)]
    kind = kind_of(question)
    if kind is None:
        return choices
    name = question.columns[0]
    many, nulls = facts.catalog.statistics.get((question.table.oid, name), (None, None))
    pointing = child.rows * (1 - (nulls or 0))
    distinct = distinct_parents(facts, question)
    if distinct:
        looks = min(parent.pages, child.rows)
        choices.append(Choice(PROBES, _BEGIN + child.scan + child.rows * _LOOK, child.pages + looks))
    sure = min(choice.seconds for choice in choices)
    proof = _BEGIN + parent.scan
    index = None if question.where else ordered_index(question.table, name)
    if index and kind is not TEXTS and distinct:
        # Without orphans there are no more values than parents, whatever ANALYZE saw.
        seen = pointing if many is None else many if many > 0 else -many * child.rows
        values = min(seen, parent.rows)
        bound = min(4 * values + 1000, sure / (_STEP + _LOOK))
        choices.append(Choice(WALK, _BEGIN + values * (_STEP + _LOOK), min(values, child.pages), int(bound)))
        if ordered_index(question.referenced, question.referenced_columns[0]):
            # Where a row is not known to be visible to all, it is looked up in the table, in no order of its own.
            looked_up = child.rows * (1 - child.visible) + parent.rows * (1 - parent.visible)
            entries = (child.rows + parent.rows) / _ENTRIES
            seconds = _BEGIN + (pointing + parent.rows) * _MERGED + looked_up * _LOOK
            choices.append(Choice(MERGE, seconds, entries + min(looked_up, child.pages + parent.pages)))
    if index and kind is INTEGERS and distinct:
        choices.append(Choice(GAPS, proof + parent.rows * _NEIGHBOUR / 2, parent.pages))
    if kind is INTEGERS and distinct:
        seconds = proof + parent.rows * _NEIGHBOUR / 2 + child.rows * _COMPARE
        choices.append(Choice(ONE_PASS, seconds, parent.pages))
    elif parent.rows <= most_members(facts):
        seconds = proof + parent.rows * _FETCH + child.rows * _MEMBER
        choices.append(Choice(ONE_PASS, seconds, parent.pages))
    return choices


def most_members(facts: Facts) -> int:
    """How many constants the server compares a row with in no time that grows."""
    return MOST_MEMBERS if facts.catalog.server.version_num >= _HASHED else _FEW


def _duplicates(facts: Facts, question: Duplicates) -> list[Choice]:
    size = facts.size(question.table)
    hashed = size.scan + size.rows * _BUILD * len(question.keys)
    if question.heap:
        return [Choice(TEXTBOOK, hashed, size.pages)]
    columns = [key.column for key in question.keys]
    choices = [Choice(ONE_HASH if hashed > _BEGIN else TEXTBOOK, hashed, size.pages)]
    if not question.where and not question.touching and _index_over(question.table, columns):
        looked_up = size.rows * (1 - size.visible)
        seconds = _BEGIN + 2 * size.rows * _ROW + looked_up * _LOOK
        choices.append(Choice(IN_ORDER, seconds, size.rows / _ENTRIES + min(looked_up, size.pages)))
    return [min(choices, key=lambda choice: choice.seconds)]


def _index_over(table: Table, columns: list[str | None]) -> Index | None:
    if table.kind != "r":
        return None
    for index in table.indexes:
        usable = index.valid and index.ready and index.live and _ordered(index) and index.predicate is None
        leading = [key.column for key in index.keys[: len(columns)]]
        if usable and None not in columns and set(leading) == set(columns) and len(leading) == len(columns):
            return index
    return None
