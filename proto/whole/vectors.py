"""`vector::*`: arrays of numbers as vectors.

What stays in numbers (sums, products, the dot product) is computed as the numbers are, integers wrapping on overflow;
lengths, means and distances are floats, added up from the left beginning with -0.0, as Rust's `sum` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

from sp00ky.proto.values import order
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.whole import maths, numbers
from sp00ky.proto.whole.functions import ARRAY, NUMBER, function
from sp00ky.proto.whole.numbers import FATAL, NAN, arithmetic, float_divide, float_power, signed_nan, to_float, wrapped
from sp00ky.proto.whole.scope import EvaluationError

_LOWEST = -1.7976931348623157e308


def _pair(a: list[Value], b: list[Value]) -> list[tuple[Value, Value]]:
    """The components side by side."""
    maths.numbers(a)
    maths.numbers(b)
    if len(a) != len(b):
        raise EvaluationError("vectors of different dimensions")
    return list(zip(a, b, strict=True))


def _float_sum(values: Iterable[float]) -> float:
    total = -0.0
    for value in values:
        total = signed_nan(total + value, total, value)
    return total


def _plus(a: Value, b: Value) -> Value:
    return arithmetic("+", a, b, wrapped)


def _minus(a: Value, b: Value) -> Value:
    return arithmetic("-", a, b, wrapped)


def _times(a: Value, b: Value) -> Value:
    return arithmetic("*", a, b, wrapped)


def _over(a: Value, b: Value) -> Value:
    """NaN for a division by zero, and of NaN."""
    if b == 0 or math.isnan(a) or math.isnan(b):
        return NAN
    return _quotient(a, b)


def _absolute(value: Value) -> Value:
    if type(value) is int:
        return wrapped(abs(value))
    return value.copy_abs() if type(value) is Decimal else abs(value)


def _quotient(a: Value, b: Value) -> Value:
    if type(a) is int and type(b) is int and (b == 0 or (b == -1 and a == numbers.I64_MIN)):
        raise EvaluationError(f"an integer vector divided by this, which {FATAL}")
    result = numbers.divide(a, b)
    if Decimal in (type(a), type(b)) and type(result) is not Decimal:
        raise EvaluationError(f"a decimal vector divided by this, which {FATAL}")
    return result


# --- vectors of vectors ----------------------------------------------------------------------------------------------


@function("vector::add", kinds=(ARRAY, ARRAY))
def add(a: list[Value], b: list[Value]) -> list[Value]:
    return [_plus(x, y) for x, y in _pair(a, b)]


@function("vector::subtract", kinds=(ARRAY, ARRAY))
def subtract(a: list[Value], b: list[Value]) -> list[Value]:
    return [_minus(x, y) for x, y in _pair(a, b)]


@function("vector::multiply", kinds=(ARRAY, ARRAY))
def multiply(a: list[Value], b: list[Value]) -> list[Value]:
    return [_times(x, y) for x, y in _pair(a, b)]


@function("vector::divide", kinds=(ARRAY, ARRAY))
def divide(a: list[Value], b: list[Value]) -> list[Value]:
    return [_over(x, y) for x, y in _pair(a, b)]


@function("vector::scale", kinds=(ARRAY, NUMBER))
def scale(a: list[Value], factor: Value) -> list[Value]:
    return [_times(x, factor) for x in maths.numbers(a)]


@function("vector::cross", kinds=(ARRAY, ARRAY))
def cross(a: list[Value], b: list[Value]) -> list[Value]:
    if len(_pair(a, b)) != 3:
        raise EvaluationError("vectors of other than three dimensions")
    return [_minus(_times(a[i], b[j]), _times(a[j], b[i])) for i, j in ((1, 2), (2, 0), (0, 1))]


@function("vector::normalize", kinds=(ARRAY,))
def normalize(a: list[Value]) -> list[Value]:
    length = magnitude(a)
    return [_over(x, length) for x in a]


@function("vector::project", kinds=(ARRAY, ARRAY))
def project(a: list[Value], b: list[Value]) -> list[Value]:
    share = _over(dot(a, b), _square(b))
    return [_times(share, y) for y in b]


# --- numbers of vectors ----------------------------------------------------------------------------------------------


@function("vector::dot", kinds=(ARRAY, ARRAY))
def dot(a: list[Value], b: list[Value]) -> Value:
    total: Value = 0
    for x, y in _pair(a, b):
        total = _plus(total, _times(x, y))
    return total


@function("vector::magnitude", kinds=(ARRAY,))
def magnitude(a: list[Value]) -> float:
    return math.sqrt(_square(a))


@function("vector::angle", kinds=(ARRAY, ARRAY))
def angle(a: list[Value], b: list[Value]) -> float:
    cosine = to_float(_over(dot(a, b), magnitude(a) * magnitude(b)))
    if math.isnan(cosine):
        return cosine
    return math.acos(cosine) if -1.0 <= cosine <= 1.0 else NAN


@function("vector::distance::chebyshev", kinds=(ARRAY, ARRAY))
def chebyshev(a: list[Value], b: list[Value]) -> float:
    """NaN is passed over."""
    gaps = [abs(to_float(x) - to_float(y)) for x, y in _pair(a, b)]
    return max([gap for gap in gaps if not math.isnan(gap)], default=_LOWEST)


@function("vector::distance::euclidean", kinds=(ARRAY, ARRAY))
def euclidean(a: list[Value], b: list[Value]) -> float:
    return math.sqrt(_float_sum(_squared(to_float(_minus(x, y))) for x, y in _pair(a, b)))


@function("vector::distance::hamming", kinds=(ARRAY, ARRAY))
def hamming(a: list[Value], b: list[Value]) -> int:
    return sum(1 for x, y in _pair(a, b) if not order.equal(x, y))


@function("vector::distance::manhattan", kinds=(ARRAY, ARRAY))
def manhattan(a: list[Value], b: list[Value]) -> Value:
    total: Value = 0
    for x, y in _pair(a, b):
        total = _plus(total, _absolute(_minus(x, y)))
    return total


@function("vector::distance::minkowski", kinds=(ARRAY, ARRAY, NUMBER))
def minkowski(a: list[Value], b: list[Value], power: Value) -> float:
    exponent = to_float(power)
    gaps = [abs(signed_nan(to_float(x) - to_float(y))) for x, y in _pair(a, b)]
    return float_power(_float_sum(float_power(gap, exponent) for gap in gaps), float_divide(1.0, exponent))


@function("vector::similarity::cosine", kinds=(ARRAY, ARRAY))
def cosine_similarity(a: list[Value], b: list[Value]) -> Value:
    return _quotient(dot(a, b), magnitude(a) * magnitude(b))


@function("vector::similarity::jaccard", kinds=(ARRAY, ARRAY))
def jaccard(a: list[Value], b: list[Value]) -> float:
    """Every component of the second counts that is in the first or came before."""
    union = {order.hash_key(x) for x in maths.numbers(a)}
    common = 0
    for y in maths.numbers(b):
        key = order.hash_key(y)
        common += key in union
        union.add(key)
    return float_divide(float(common), float(len(union)))


@function("vector::similarity::pearson", kinds=(ARRAY, ARRAY))
def pearson(a: list[Value], b: list[Value]) -> float:
    pairs = _pair(a, b)
    a_mean, b_mean = to_float(maths.mean(a)), to_float(maths.mean(b))
    shared = _float_sum((to_float(x) - a_mean) * (to_float(y) - b_mean) for x, y in pairs)
    spread = _deviation(a, a_mean) * _deviation(b, b_mean)
    return float_divide(float_divide(shared, float(len(pairs))), spread)


def _not_there(a: list[Value], b: list[Value]) -> Value:
    raise EvaluationError("a function that SurrealDB only names")


for _name in ("vector::distance::mahalanobis", "vector::similarity::spearman"):
    function(_name, kinds=(ARRAY, ARRAY))(_not_there)


def _deviation(a: list[Value], mean: float) -> float:
    if len(a) < 2:
        return 0.0 if a else NAN
    return math.sqrt(_float_sum(_squared(to_float(x) - mean) for x in a) / len(a))


def _square(a: list[Value]) -> float:
    return _float_sum(_squared(to_float(x)) for x in maths.numbers(a))


def _squared(value: float) -> float:
    return value * value
