"""Whether a circuit may ask the conditions of WHERE in its own order.

SurrealDB asks them from the left, of every row, until one is false; an error is the error of the query. A circuit looks
rows up by what is compared with constants, and asks first what holds for all groups (`circuit/dispatch.py`). Where a
condition may be an error that is the same only if that one is the last, and is asked behind all others here as well:
because it has a constant, or because the others have none or are looked up. Alternatives that can all be looked up are,
and an error in one of them would be missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sp00ky.proto.surrealql.ast import Binary, Call, Expr, Field, Hole, Idiom, Select, Star, TableTarget
from sp00ky.proto.surrealql.shape import lift
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole.rowwise import is_perhaps_an_error
from sp00ky.ssp.plan.terms import Localizer, is_local
from sp00ky.ssp.plan.tree import conjunction, conjuncts, field_of, rewrite, walk


def why_in_order(where: Expr | None, params: Mapping[str, Value], *, restricted: bool = False) -> str:
    """Why the conditions must be asked one after the other; empty if they need not. `restricted`: rules of other tables
    are asked wherever records of these are read, and a rule may be an error."""
    if not any(_may_fail(term, restricted) for term in conjuncts(where)):
        return ""
    terms = _lifted(where, params, restricted)
    *before, last = terms
    follows = (
        not any(_may_fail(term, restricted) for term in before)
        and all(map(is_local, before))
        and not (_finds_all(last) and is_perhaps_an_error(rewrite(last, _without_prefix)))
        and (_has_constant(last) or not any(map(_has_constant, before)) or _look_up(before))
    )
    return "" if follows else "an error in one condition beside another"


def _may_fail(term: Expr, restricted: bool) -> bool:
    return is_perhaps_an_error(term) or (restricted and not is_local(term))


def _lifted(where: Expr | None, params: Mapping[str, Value], restricted: bool) -> tuple[Expr, ...]:
    """The conditions as a circuit has them: other records made columns where that can be, constants taken out."""
    localizer = Localizer(params, columns_allowed=not restricted)
    local = conjunction(tuple(localizer.local(term) for term in conjuncts(where)))
    select = Select((Field(Star()),), (TableTarget("_"),), where=local)
    return conjuncts(lift(select, {**params, **localizer.dynamics}).select.where)


def _finds_all(term: Expr) -> bool:
    """Whether a record that passes can be found by one of several lookups, so that others are not asked."""
    match term:
        case Binary(op="OR", left=left, right=right):
            return _finds_all(left) and _finds_all(right)
        case Binary(op="AND", left=left, right=right):
            return _finds_all(left) or _finds_all(right)
        case Binary(op=op, left=field, right=Hole()) | Binary(op=op, left=Hole(), right=field) if op in _MEMBERSHIPS:
            return field_of(field) is not None
        case Call(name="string::starts_with", args=(field, Hole())):
            return field_of(field) is not None
        case _:
            return False


_MEMBERSHIPS: Final = frozenset({"=", "IN", "CONTAINS"})


def _without_prefix(node: object) -> object:
    """A record whose field is no string is heard of by all who ask for a beginning of it."""
    match node:
        case Call(name="string::starts_with", args=(field, Hole() as hole)) if field_of(field) is not None:
            return hole
        case _:
            return node


def _has_constant(term: Expr) -> bool:
    return any(isinstance(node, Hole) for node in walk(term))


def _look_up(terms: list[Expr]) -> bool:
    """Whether those with a constant choose the rows: equalities, each of another field."""
    fields = [_looked_up(term) for term in terms if _has_constant(term)]
    return None not in fields and len(set(fields)) == len(fields)


def _looked_up(term: Expr) -> str | None:
    match term:
        case Binary(op="=", left=Idiom() as field, right=Hole()) | Binary(op="=", left=Hole(), right=Idiom() as field):
            return field_of(field)
        case _:
            return None
