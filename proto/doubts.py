"""What is legal in a view and likely a mistake: said beside the answer, never a refusal.

SurrealDB takes a parameter without a value as NONE, and a table may come after the view. Silence is told apart from a
doubt only where the text is certain: a rule of a user's view may read a parameter that the query does not, and what the
tree does not hold may bind one.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from sp00ky.proto.misspelt import near
from sp00ky.proto.surrealql import ast
from sp00ky.proto.surrealql.admit import REFUSED_PARAMS, Admitted
from sp00ky.proto.surrealql.lexer import scan
from sp00ky.proto.surrealql.shape import STRUCTURAL_PARAMS
from sp00ky.proto.surrealql.tokens import TokenKind
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.rules import nodes


def doubtful_tables(admitted: Admitted, known: Set[str]) -> list[str]:
    """Tables that the query names and nobody has heard of. `known`: all that there are, as far as is known."""
    named = admitted.tables
    if named is None:  # some are known by the data alone
        named = frozenset(node.name for node in nodes(admitted.select) if isinstance(node, ast.TableTarget))
    return [_doubt(f"no table {name} is known yet", near(name, known)) for name in sorted(named - known)]


def doubtful_params(admitted: Admitted, given: Mapping[str, Value], *, as_user: bool) -> list[str]:
    """Parameters that are read and not given, and that are given and not read."""
    read = {token.value for token in scan(admitted.text)[0] if token.kind is TokenKind.PARAM}
    unread = [] if as_user else sorted(given.keys() - read)
    doubts = []
    if admitted.select is not None:
        own = read - _bound(admitted.select) - STRUCTURAL_PARAMS - REFUSED_PARAMS
        doubts = [f"no value for ${name}: it is NONE" for name in sorted(own - given.keys())]
    return doubts + [_doubt(f"parameter {name} is not used", near(name, read - given.keys())) for name in unread]


def _bound(tree: object) -> set[str]:
    """Names that the query itself gives a value."""
    bound: set[str] = set()
    for node in nodes(tree):
        match node:
            case ast.Closure(params=params) | ast.TypedClosure(params=params):
                bound.update(params)
            case ast.Let(name=name) | ast.For(name=name):
                bound.add(name)
    return bound


def _doubt(told: str, meant: str) -> str:
    return f"{told} (did you mean {meant}?)" if meant else told
