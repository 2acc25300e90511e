"""Lines for a terminal: how wide text is, where it may be broken, what is left out of it. Tables of a few columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from auditor.text import one_line

# What a CI system obeys wherever it stands in a line of a log: ##[group], ##vso[...], ##teamcity[...].
_LOG_COMMAND = re.compile(r"##(?=\w*\[)")
# A quoted identifier is one word, whatever stands in it.
_WORD = re.compile(r"""(?:"(?:[^"]|"")*"|[^\s"]|")+""")
_PART = re.compile(r"""(?:"(?:[^"]|"")*"|[^."]|")+\.?|\.""")


def line(text: str) -> str:
    """`one_line` text that no log reader takes for a command either."""
    return _LOG_COMMAND.sub(r"#\\x23", one_line(text))


def width(text: str) -> int:
    """The columns `text` takes: two for a wide character, none for a combining one (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


@lru_cache(maxsize=4096)
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def elide(text: str, limit: int) -> str:
    """`text` in at most `limit` columns: what is left out at its end is an ellipsis, after a whole word if one is near."""
    if width(text) <= limit:
        return text
    kept, rest = _split(text, limit - 1)
    word = kept.rpartition(" ")[0]
    if not rest.startswith(" ") and width(word) * 2 >= limit:
        kept = word
    return kept.rstrip(" ,.;:") + "…"


def _split(text: str, limit: int) -> tuple[str, str]:
    """The longest beginning of `text` that takes at most `limit` columns, and what follows it."""
    taken = 0
    for place, character in enumerate(text):
        taken += _columns(character)
        if taken > limit:
            return text[:place], text[place:]
    return text, ""


def wrap(text: str, limit: int, first: str = "", rest: str | None = None, most: int = 0) -> list[str]:
    """`text` as lines of at most `limit` columns that begin with `first`, then `rest` (the same, if None).

    Breaks are at spaces outside double quotes; a word too long for a line is broken at the dots between its identifiers,
    then at spaces in quotes, and only then anywhere. `most` lines are kept if it is not 0; the last of them then ends in
    an ellipsis.
    """
    follow = first if rest is None else rest
    lines: list[str] = []
    current, used = first, width(first)
    empty, room = True, limit - max(used, width(follow))
    for word in _WORD.findall(text):
        for gap, piece in _pieces(word, room):
            gap = "" if empty else gap
            if not empty and used + len(gap) + width(piece) > limit:
                lines.append(current)
                current, used, gap = follow, width(follow), ""
            current += gap + piece
            used += len(gap) + width(piece)
            empty = False
    lines.append(current)
    if most and len(lines) > most:
        left = " ".join(part.removeprefix(follow) for part in lines[most:])
        prefix = follow if most > 1 else first
        last = lines[most - 1].removeprefix(prefix)
        lines[most - 1 :] = [prefix + elide(f"{last} {left}", limit - width(prefix))]
    return lines


def flow(parts: Sequence[str], limit: int, first: str = "", rest: str = "") -> list[str]:
    """Parts joined by ` · `, broken between them where that is possible."""
    room = limit - max(width(first), width(rest)) - 2
    bound = [part.replace(" ", "\0") if width(part) <= room else part for part in parts]
    return [text.replace("\0", " ") for text in wrap("\0· ".join(bound), limit, first, rest)]


def _pieces(word: str, limit: int) -> Iterator[tuple[str, str]]:
    """The parts between which a word may be broken, each with what stands before it where it is not."""
    if width(word) <= limit:
        yield " ", word
        return
    gap = " "
    for part in _PART.findall(word):
        for number, rest in enumerate([part] if width(part) <= limit else part.split(" ")):
            gap = " " if number else gap
            while width(rest) > limit:
                piece, rest = _split(rest, limit)
                if not piece:  # a wide character in one column: rather too wide than never
                    piece, rest = rest[0], rest[1:]
                yield gap, piece
                gap = ""
            yield gap, rest
            gap = ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], limit: int) -> list[str]:
    """A header and its rows in columns, numbers to the right; the widest columns are shortened until `limit` is kept."""
    columns = list(zip(header, *rows, strict=True))
    right = [all(re.fullmatch(r"-?[\d.,]+", cell) for cell in cells[1:]) for cells in columns]
    widths = [max(width(cell) for cell in cells) for cells in columns]
    while sum(widths) + 2 * (len(widths) - 1) > limit and max(widths) > 4:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for row in (header, *rows):
        cells = []
        for cell, size, to_right in zip(row, widths, right, strict=True):
            text = elide(cell, size)
            padding = " " * (size - width(text))
            cells.append(padding + text if to_right else text + padding)
        lines.append("  ".join(cells).rstrip())
    # More columns than a line can hold: what does not fit is left out, visibly.
    return [elide(text, limit) for text in lines]
