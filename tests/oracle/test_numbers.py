"""Random numbers under every operator and function of numbers: the engine's own answer to the last bit, NaN's sign
and a decimal's places included."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal

import pytest
from sp00ky.proto.values.kinds import Duration, Value
from sp00ky.proto.whole import decimals, functions, operators
from sp00ky.proto.whole.numbers import FATAL
from sp00ky.proto.whole.scope import EvaluationError, NotPlain

from tests.harness.oracle import Oracle, Refused, exact

PAIRS = 1_500
CALLS = 120  # of each function

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308]
ONE = """abs ceil floor round sqrt sign acos asin atan acot cos sin tan cot deg2rad rad2deg ln log2 log10"""
ARRAY = """sum product mean variance stddev max min spread mode median interquartile midhinge trimean"""
TWO_VECTORS = """add subtract multiply divide dot angle project distance::chebyshev distance::euclidean
distance::hamming distance::manhattan similarity::cosine similarity::jaccard similarity::pearson"""


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def _number(draw: random.Random) -> Value:
    match draw.randrange(8):
        case 0:
            return draw.choice(SPECIAL)
        case 1 | 2:
            return draw.uniform(-1, 1) * 10.0 ** draw.randint(-30, 30)
        case 3:
            return round(draw.uniform(-1_000, 1_000), draw.randint(0, 6))
        case 4 | 5:
            return draw.choice([draw.randint(-9, 9), draw.getrandbits(62), -(2**63), 2**63 - 1, draw.getrandbits(32)])
        case _:
            mantissa = draw.getrandbits(draw.choice([1, 8, 32, 64, 96]))
            return decimals.normalized(decimals.made(draw.random() < 0.3, mantissa, draw.choice([0, 1, 2, 9, 19, 28])))


def _numbers(draw: random.Random) -> list[Value]:
    return [_number(draw) for _ in range(draw.choice([0, 1, 2, 3, 5, 8]))]


def _bits(value: Value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_bits, value))}]"
    if isinstance(value, float) and math.isnan(value):
        return f"nan {math.copysign(1.0, value)}"
    return exact(value)


def _difference(oracle: Oracle, surql: str, args: list[Value], run: Callable[[], Value]) -> str | None:
    """None if the two agree, or if we leave the answer to the engine."""
    try:
        ours: Value | Refused = run()
    except EvaluationError as error:
        if FATAL in error.name:
            return None
        ours = Refused(error.name)
    except NotPlain:
        return None
    theirs = oracle.ask(f"RETURN {surql}", **{f"v{at}": arg for at, arg in enumerate(args)})
    if isinstance(ours, Refused) or isinstance(theirs, Refused):
        return None if type(ours) is type(theirs) else f"{surql} of {args}: {ours} instead of {theirs}"
    return None if _bits(ours) == _bits(theirs) else f"{surql} of {args}: {_bits(ours)} instead of {_bits(theirs)}"


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "%", "**"])
def test_operators(oracle: Oracle, sign: str) -> None:
    draw = random.Random(sign)
    found = []
    for _ in range(PAIRS):
        a, b = _number(draw), _number(draw)
        if sign in "*/" and draw.random() < 0.1:
            a = Duration(draw.getrandbits(draw.choice([5, 30, 60])))
        if sign == "**" and type(a) is Decimal and math.isfinite(b):
            b = draw.randint(-9, 9)  # the engine takes its time with more
        found.append(_difference(oracle, f"$v0 {sign} $v1", [a, b], lambda a=a, b=b: operators.binary(sign, a, b)))
    assert not [difference for difference in found if difference]


def _calls(draw: random.Random) -> list[tuple[str, list[Value]]]:
    calls: list[tuple[str, list[Value]]] = []
    for _ in range(CALLS):
        calls += [(f"math::{name}", [_number(draw)]) for name in ONE.split()]
        calls += [(f"math::{name}", [_numbers(draw)]) for name in ARRAY.split()]
        calls += [(f"math::{name}", [_numbers(draw), draw.uniform(-5, 110)]) for name in ("percentile", "nearestrank")]
        calls += [(f"math::{name}", [_numbers(draw), draw.randint(0, 6)]) for name in ("top", "bottom")]
        calls += [(f"math::{name}", [_number(draw), _number(draw)]) for name in ("log", "pow")]
        calls += [(f"math::{name}", [_number(draw) for _ in range(3)]) for name in ("clamp", "lerp", "lerpangle")]
        calls.append(("math::fixed", [_number(draw), draw.randint(0, 30)]))
        size = draw.randint(1, 5)
        first, second = ([_number(draw) for _ in range(size)] for _ in range(2))
        calls += [(f"vector::{name}", [first, second]) for name in TWO_VECTORS.split()]
        calls += [(f"vector::{name}", [first]) for name in ("magnitude", "normalize")]
        calls.append(("vector::distance::minkowski", [first, second, _number(draw)]))
        calls.append(("vector::cross", [[_number(draw) for _ in range(3)] for _ in range(2)]))
    return calls


def test_functions(oracle: Oracle) -> None:
    found = []
    for name, args in _calls(random.Random(7)):
        if name == "math::pow" and type(args[0]) is Decimal:
            continue  # as `**`
        surql = f"{name}({', '.join(f'$v{at}' for at in range(len(args)))})"
        found.append(_difference(oracle, surql, args, lambda name=name, args=args: functions.call(name, args)))
    assert not [difference for difference in found if difference]
