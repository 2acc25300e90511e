"""Names of tables and columns, taken apart into words: what is compared when a name may speak of another table."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")
_BETWEEN = re.compile(r"[^0-9A-Za-z]+")
_IRREGULAR = {
    **{"people": "person", "persons": "person", "children": "child", "men": "man", "women": "woman"},
    **{"mice": "mouse", "feet": "foot", "teeth": "tooth", "geese": "goose", "oxen": "ox"},
    **{"indices": "index", "vertices": "vertex", "matrices": "matrix", "appendices": "appendix"},
    **{"criteria": "criterion", "phenomena": "phenomenon", "schemata": "schema", "formulae": "formula"},
    **{"analyses": "analysis", "bases": "basis", "crises": "crisis", "theses": "thesis", "diagnoses": "diagnosis"},
    **{"series": "series", "species": "species", "news": "news", "leaves": "leaf", "shelves": "shelf", "lives": "life"},
}


@lru_cache(maxsize=65536)
def words(name: str) -> tuple[str, ...]:
    """`primaryWorkspaceId` and `primary_workspace_id` as primary, workspace, id."""
    return tuple(word.lower() for part in _BETWEEN.split(name) for word in _WORD.findall(part))


@lru_cache(maxsize=4096)
def singular(word: str) -> str:
    """A regular English plural without its ending; any other word as it is."""
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and re.search(r"(ss|sh|ch|x|z|us)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@lru_cache(maxsize=4096)
def singulars(word: str) -> tuple[str, ...]:
    """Everything the word may be the plural of, and itself: `caches` is of cache as `boxes` is of box."""
    found = [_IRREGULAR.get(word, singular(word)), singular(word), word]
    if word.endswith("s") and len(word) > 2:
        found.append(word[:-1])
    if word.endswith("es") and len(word) > 3:
        found.append(word[:-2])
    if word.endswith("ves"):
        found += [word[:-3] + "f", word[:-3] + "fe"]
    return tuple(dict.fromkeys(found))
