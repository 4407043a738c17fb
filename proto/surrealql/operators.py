"""The operators of SurrealQL: each spelling, its canonical one, and how tightly it binds.

All associate to the left; `=` and its like, and `<` and its like, do not chain, as in SurrealDB, but that `==` may
follow: `a = b == c` is `(a = b) == c`. The order was read off the engine (`tests/language/test_engine.py` repeats
that): `??` binds loosest, `..` tighter than a sign before it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

# 0 means no operator; 1 lies below all
NULLISH, OR, AND, EQUALITY, RELATION, SUM, PRODUCT, POWER, PREFIX, RANGE, CALL = range(2, 13)

# spelling → (canonical spelling, binding)
INFIX: Final = MappingProxyType(
    {
        **{sign: (sign, NULLISH) for sign in ("??", "?:")},
        **dict.fromkeys(("OR", "||"), ("OR", OR)),
        **dict.fromkeys(("AND", "&&"), ("AND", AND)),
        **{sign: (sign, EQUALITY) for sign in ("=", "==", "!=", "?=", "*=")},
        **{sign: (sign, RELATION) for sign in ("<", "<=", ">", ">=")},
        **{sign: (sign, SUM) for sign in ("+", "-")},
        **{sign: (sign, PRODUCT) for sign in ("*", "/", "%")},
        "×": ("*", PRODUCT),
        "÷": ("/", PRODUCT),
        "**": ("**", POWER),
        **dict.fromkeys(("IN", "INSIDE", "∈"), ("IN", RELATION)),
        **dict.fromkeys(("NOTINSIDE", "∉"), ("NOT IN", RELATION)),
        **dict.fromkeys(("CONTAINS", "∋"), ("CONTAINS", RELATION)),
        **dict.fromkeys(("CONTAINSNOT", "∌"), ("CONTAINSNOT", RELATION)),
        **dict.fromkeys(("CONTAINSALL", "⊇"), ("CONTAINSALL", RELATION)),
        **dict.fromkeys(("CONTAINSANY", "⊃"), ("CONTAINSANY", RELATION)),
        **dict.fromkeys(("CONTAINSNONE", "⊅"), ("CONTAINSNONE", RELATION)),
        **dict.fromkeys(("ALLINSIDE", "⊆"), ("ALLINSIDE", RELATION)),
        **dict.fromkeys(("ANYINSIDE", "⊂"), ("ANYINSIDE", RELATION)),
        **dict.fromkeys(("NONEINSIDE", "⊄"), ("NONEINSIDE", RELATION)),
        **{sign: (sign, RELATION) for sign in ("OUTSIDE", "INTERSECTS")},
    }
)
BINDING: Final = MappingProxyType({**dict(INFIX.values()), "@@": EQUALITY})
# `@@` binds as `=` does, but SurrealDB forbids it beside the comparisons that bind tighter
CHAIN: Final = MappingProxyType({**BINDING, "@@": RELATION})
UNCHAINED: Final = (EQUALITY, RELATION)
DISTANCES: Final = frozenset(
    {"CHEBYSHEV", "COSINE", "EUCLIDEAN", "HAMMING", "JACCARD", "MANHATTAN", "MINKOWSKI", "PEARSON"}
)


def binding_of(operator: str) -> int:
    """How tightly a canonical operator binds; `@1@` and `<|3|>` hold arguments of their own."""
    return BINDING.get(operator) or (RELATION if operator.startswith("<|") else EQUALITY)


def chain_of(operator: str) -> int:
    return CHAIN.get(operator) or RELATION
