"""Text that came from a database is hostile until it has passed through here.

A name or a value may hold any character but NUL: quotes, newlines, escape sequences, bidirectional controls, markup.
"""

from __future__ import annotations

import re
import unicodedata

# Reserved in PostgreSQL 13 to 18 as column or relation names (SQL Key Words, Appendix C): a name among these needs quotes.
_KEYWORDS = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "between",
        "bigint",
        "binary",
        "bit",
        "boolean",
        "both",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "dec",
        "decimal",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "float",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "greatest",
        "group",
        "grouping",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "inout",
        "int",
        "integer",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "json",
        "json_array",
        "json_arrayagg",
        "json_exists",
        "json_object",
        "json_objectagg",
        "json_query",
        "json_scalar",
        "json_serialize",
        "json_table",
        "json_value",
        "lateral",
        "leading",
        "least",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "merge_action",
        "national",
        "natural",
        "nchar",
        "none",
        "normalize",
        "not",
        "notnull",
        "null",
        "nullif",
        "numeric",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "out",
        "outer",
        "overlaps",
        "overlay",
        "placing",
        "position",
        "precision",
        "primary",
        "real",
        "references",
        "returning",
        "right",
        "row",
        "select",
        "session_user",
        "setof",
        "similar",
        "smallint",
        "some",
        "substring",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "treat",
        "trim",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "values",
        "varchar",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "xmlattributes",
        "xmlconcat",
        "xmlelement",
        "xmlexists",
        "xmlforest",
        "xmlnamespaces",
        "xmlparse",
        "xmlpi",
        "xmlroot",
        "xmlserialize",
        "xmltable",
    ]
)
_UPPER = {ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
# Characters that change how their neighbours are shown, or that cannot be encoded: bidirectional controls, lone surrogates.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def _visible(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


def safe_text(text: str) -> str:
    """`text` with every control, bidirectional and unencodable character spelled out; tabs and newlines stay."""
    if text.replace("\n", "").replace("\t", "").isprintable():  # no category of _INVISIBLE is printable
        return text
    return "".join(_visible(c) if c not in "\t\n" and unicodedata.category(c) in _INVISIBLE else c for c in text)


def one_line(text: str) -> str:
    """`safe_text` in which newlines and tabs are spelled out too: a name stays on the line it was put on."""
    return safe_text(text).replace("\n", "\\n").replace("\t", "\\t")


def ident(name: str) -> str:
    """`name` as an SQL identifier, quoted where PostgreSQL asks for it.

    A name with control or bidirectional characters is written as `U&"..."`, so that it stays visible and on one line
    (documentation: Lexical Structure, Identifiers and Key Words).
    """
    if _PLAIN.match(name) and name not in _KEYWORDS:
        return name
    categories = {unicodedata.category(c) for c in name}
    if categories & _INVISIBLE and "Cs" not in categories:  # a byte of no encoding has no escape
        escaped = "".join(
            "\\\\" if c == "\\" else f"\\+{ord(c):06X}" if unicodedata.category(c) in _INVISIBLE else c for c in name
        )
        return 'U&"' + escaped.replace('"', '""') + '"'
    return '"' + name.replace('"', '""') + '"'


def idents(names: tuple[str, ...] | list[str]) -> str:
    """A comma-separated list of identifiers."""
    return ", ".join(ident(name) for name in names)


def qualified(schema: str, name: str) -> str:
    """`schema.name` as an SQL identifier."""
    return f"{ident(schema)}.{ident(name)}"


def cut(name: str, size: int) -> str:
    """As many characters from the start of `name` as fit into `size` bytes; a byte of no encoding counts as itself."""
    while len(name.encode("utf-8", "surrogateescape")) > size:
        name = name[:-1]
    return name


def fold(name: str) -> str:
    """A name without quotes as the server reads it: of all letters only A to Z change (documentation: Identifiers and Key
    Words). In single-byte encodings a server's locale may fold more."""
    return name.translate(_UPPER)


_ESCAPED = re.compile(r"\\(?:(\\)|\+(0[0-9A-Fa-f]{5}|10[0-9A-Fa-f]{4})|([0-9A-Fa-f]{4}))")


def unquoted(name: str) -> str:
    """The name that an SQL identifier stands for: what `ident` wrote, or a user; without quotes it is folded."""
    if not name.endswith('"'):
        return fold(name)
    start, _, inner = name[:-1].partition('"')
    inner = inner.replace('""', '"')
    return _ESCAPED.sub(lambda found: found[1] or chr(int(found[2] or found[3], 16)), inner) if start else inner


def literal(text: str) -> str:
    """`text` as an SQL string literal, independent of standard_conforming_strings."""
    doubled = text.replace("'", "''")
    return " E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in doubled else f"'{doubled}'"


# As PostgreSQL's scanner has it (documentation: Lexical Structure): a string goes on after a line break, `$` may stand
# within a name, a comment ends with its line at a carriage return too, and nothing but these characters is white space.
# Letters are all but the ASCII characters that are none: written so, a class is compiled in no time.
NAME_START = r"[^\x00-@\[-^`{-\x7f]"
TAG_PART = r"[^\x00-/:-@\[-^`{-\x7f]"  # and digits: what the tag of a dollar quote goes on with
NAME_PART = r"[^\x00-#%-/:-@\[-^`{-\x7f]"  # and `$`
_SPACE = r"[ \t\n\r\f\v]"
_COMMENT = r"--[^\n\r]*"
_GOES_ON = rf"(?:[ \t\f\v]|{_COMMENT})*[\n\r](?:{_SPACE}|{_COMMENT}[\n\r])*"
_QUOTED = "|".join(
    (
        rf"(?<!{NAME_PART})[eE]'(?:[^'\\]|\\.|'')*'(?:{_GOES_ON}'(?:[^'\\]|\\.|'')*')*",
        rf"'(?:[^']|'')*'(?:{_GOES_ON}'(?:[^']|'')*')*",
        r'"(?:[^"]|"")*"',
        rf"(?<!{NAME_PART})\$(?P<tag>(?:{NAME_START}{TAG_PART}*)?)\$.*?\$(?P=tag)\$",
    )
)
_QUOTED_OR_BREAK = re.compile(
    rf"(?P<quoted>{_QUOTED})|{_SPACE}*(?:{_COMMENT}|(?P<nested>/\*)|[\n\r]){_SPACE}*", re.DOTALL
)
_NESTING = re.compile(rf"/\*|\*/{_SPACE}*")


def one_line_sql(text: str) -> str:
    """SQL with its line breaks and comments taken out, but for those inside quotes."""
    parts: list[str] = []
    at = 0
    while found := _QUOTED_OR_BREAK.search(text, at):
        parts.append(text[at : found.start()])
        at = found.end()
        if found["quoted"]:
            parts.append(found["quoted"])
            continue
        depth = 1 if found["nested"] else 0
        while depth and (mark := _NESTING.search(text, at)):
            depth, at = depth + (1 if mark[0] == "/*" else -1), mark.end()
        if parts[-1] or parts[-2:-1] != [" "]:
            parts.append(" ")
    return "".join([*parts, text[at:]]).strip(" ")


# Each part of a string, which may go on after a line break.
_PARTS = re.compile(rf"'((?:[^']|'')*)'(?:{_GOES_ON}(?='))?")
_ESCAPED_PARTS = re.compile(rf"'((?:[^'\\]|\\.|'')*)'(?:{_GOES_ON}(?='))?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PAIR_OR_CONTROL = re.compile(r"\\?([\x00-\x1f\x7f])|\\.", re.DOTALL)
_LETTERS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _spelled(inner: str) -> str:
    """What stands between the quotes of an E'...', its control characters as escapes."""
    return _PAIR_OR_CONTROL.sub(
        lambda found: (_LETTERS.get(found[1]) or f"\\x{ord(found[1]):02x}") if found[1] else found[0], inner
    )


def _quoted_visibly(token: str, before: str) -> str:
    if token.isprintable() or before.upper() == "U&":
        return token
    if token[0] == '"':
        return ident(token[1:-1].replace('""', '"'))
    if not _CONTROL.search(token):
        return token
    if token[0] == "$":
        tag = token.index("$", 1) + 1
        inner = token[tag:-tag].replace("'", "''").replace("\\", "\\\\")
    elif token[0] == "'":
        inner = "".join(part[1] for part in _PARTS.finditer(token)).replace("\\", "\\\\")
    else:
        inner = "".join(part[1] for part in _ESCAPED_PARTS.finditer(token))
    return f" E'{_spelled(inner)}'"


def visible_sql(text: str) -> str:
    """The same SQL, but names and strings hold no control characters: a statement on one line stays there, and can be copied
    from where these are not shown as they are."""
    if text.isprintable():
        return text
    parts: list[str] = []
    at = 0
    while found := _QUOTED_OR_BREAK.search(text, at):
        start, end, depth = found.start(), found.end(), 1 if found["nested"] else 0
        while depth and (mark := _NESTING.search(text, end)):
            depth, end = depth + (1 if mark[0] == "/*" else -1), mark.end()
        parts += text[at:start], text[start:end]
        if found["quoted"]:
            parts[-1] = _quoted_visibly(parts[-1], text[max(start - 2, 0) : start])
        at = end
    return "".join([*parts, text[at:]])


def plural(count: int, noun: str, several: str | None = None) -> str:
    """`1 row`, `2,301 rows`."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def listed(words: list[str] | tuple[str, ...], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))
