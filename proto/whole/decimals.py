"""SurrealDB's decimals: a sign, a mantissa of 96 bits and a scale of 0 to 28 places, in Python's `Decimal`.

A result that needs more is cut down to what fits, halves to even; one whose whole part does not fit is None. Scales are
part of the value here (`2.50` and `2.5` print differently), and division drops trailing zeros by a rule of its own, so
each operation follows the steps of the `rust_decimal` crate rather than Python's `decimal`.
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal

SCALE_MAX = 28
_LIMIT = 2**96
_SMALL_SCALE_MAX = 47  # two mantissas of 32 bits with more places than this are a plain zero
_STEP = 9  # digits that are scaled at once
_ZERO, _ONE, _TWO = Decimal(0), Decimal(1), Decimal(2)
_SQRT_STEPS_MAX = 1000


def parts(value: Decimal) -> tuple[bool, int, int]:
    """Sign (true if negative), mantissa and scale."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "SurrealDB's decimals are finite"
    mantissa = int("".join(map(str, digits)) or "0")
    return bool(sign), mantissa * 10 ** max(exponent, 0), max(-exponent, 0)


def made(negative: bool, mantissa: int, scale: int) -> Decimal:
    """The decimal of these parts; zero without a sign."""
    return Decimal((int(negative and mantissa != 0), tuple(map(int, str(mantissa))), -scale))


def normalized(value: Decimal) -> Decimal:
    """Without trailing zeros after the point."""
    negative, mantissa, scale = parts(value)
    while scale and mantissa % 10 == 0:
        mantissa, scale = mantissa // 10, scale - 1
    return made(negative, mantissa, scale if mantissa else 0)


# --- + - * / % -------------------------------------------------------------------------------------------------------


def add(a: Decimal, b: Decimal) -> Decimal | None:
    if not a:
        return b
    if not b:
        return a
    (a_negative, a_mantissa, a_scale), (b_negative, b_mantissa, b_scale) = parts(a), parts(b)
    scale = max(a_scale, b_scale)
    total = (-1 if a_negative else 1) * a_mantissa * 10 ** (scale - a_scale)
    total += (-1 if b_negative else 1) * b_mantissa * 10 ** (scale - b_scale)
    return _fitted(total < 0, abs(total), scale)


def subtract(a: Decimal, b: Decimal) -> Decimal | None:
    return add(a, b.copy_negate() if b else b)


def multiply(a: Decimal, b: Decimal) -> Decimal | None:
    if not a or not b:
        return _ZERO
    (a_negative, a_mantissa, a_scale), (b_negative, b_mantissa, b_scale) = parts(a), parts(b)
    scale = a_scale + b_scale
    small = max(a_mantissa, b_mantissa) < 2**32
    if small and scale > _SMALL_SCALE_MAX:
        return _ZERO
    negative = a_negative != b_negative
    result = _fitted(negative, a_mantissa * b_mantissa, scale)
    return result if small or result is None else result.copy_sign(Decimal(-1 if negative else 1))


def divide(a: Decimal, b: Decimal) -> Decimal | None:
    """None also for a division by zero."""
    if not b:
        return None
    if not a:
        return _ZERO
    (a_negative, a_mantissa, a_scale), (b_negative, divisor, b_scale) = parts(a), parts(b)
    quotient, rest = divmod(a_mantissa, divisor)
    scale = a_scale - b_scale
    fractional = bool(rest)
    while rest or scale < 0:
        digits = _room(quotient, scale) if rest else min(_STEP, -scale)
        if digits is None:
            return None
        if digits == 0:
            if 2 * rest > divisor or (2 * rest == divisor and quotient & 1):
                quotient += 1
            break
        scale += digits
        carried, rest = divmod(rest * 10**digits, divisor)
        quotient *= 10**digits
        if quotient >= _LIMIT:
            return None
        quotient += carried
        if quotient >= _LIMIT:
            break
    if quotient >= _LIMIT:
        if scale < 1:
            return None
        quotient, scale = _tenth(quotient, bool(rest)), scale - 1
    return made(a_negative != b_negative, *(_trimmed(quotient, scale) if fractional else (quotient, scale)))


def remainder(a: Decimal, b: Decimal) -> Decimal | None:
    """With the sign of `a`; None for a remainder by zero."""
    if not b:
        return None
    (negative, a_mantissa, a_scale), (_, b_mantissa, b_scale) = parts(a), parts(b)
    scale = max(a_scale, b_scale)
    dividend, divisor = a_mantissa * 10 ** (scale - a_scale), b_mantissa * 10 ** (scale - b_scale)
    if not dividend or dividend == divisor:
        return _ZERO
    if dividend < divisor:
        return a
    return made(negative, dividend % divisor, scale)


def _fitted(negative: bool, value: int, scale: int) -> Decimal | None:
    """`value / 10**scale` in 96 bits and 28 places, halves to even."""
    excess = value.bit_length() - 97
    drop = (excess * 77 >> 8) + 1 if excess >= 0 else 0
    if drop > scale:
        return None
    drop = max(drop, scale - SCALE_MAX)
    scale -= drop
    sticky = rest = 0
    while drop:
        sticky |= rest
        power = 10 ** min(drop, _STEP)
        value, rest = divmod(value, power)
        drop -= min(drop, _STEP)
        if drop:
            continue
        if value < _LIMIT and (2 * rest > power or (2 * rest == power and (value & 1 or sticky))):
            value += 1
            if value == _LIMIT:
                sticky = rest = 0
        if value >= _LIMIT:
            if scale == 0:
                return None
            drop, scale = 1, scale - 1
    return made(negative, value, scale)


def _room(quotient: int, scale: int) -> int | None:
    """How many digits the quotient can still take, at most `_STEP`; None if it is full and the scale below zero."""
    digits = min(_STEP, SCALE_MAX - scale)
    while digits and quotient * 10**digits >= _LIMIT:
        digits -= 1
    return None if digits < _STEP and digits + scale < 0 else digits


def _tenth(value: int, sticky: bool) -> int:
    value, rest = divmod(value, 10)
    return value + (rest > 5 or (rest == 5 and (sticky or bool(value & 1))))


def _trimmed(quotient: int, scale: int) -> tuple[int, int]:
    """Some of the trailing zeros that dividing has made go again: not all, and which is visible."""
    while quotient & 0xFFFFFFFF == 0 and scale >= 8 and quotient % 10**8 == 0:
        quotient, scale = quotient // 10**8, scale - 8
    for mask, places in ((0xF, 4), (0x3, 2), (0x1, 1)):
        if quotient & mask == 0 and scale >= places and quotient % 10**places == 0:
            quotient, scale = quotient // 10**places, scale - places
    return quotient, scale


# --- rounding --------------------------------------------------------------------------------------------------------


def rounded(value: Decimal, places: int = 0) -> Decimal:
    """Halves to even; what has no more places stays as it is."""
    negative, mantissa, scale = parts(value)
    if scale <= places:
        return value
    power = 10 ** (scale - places)
    whole, rest = divmod(mantissa, power)
    if 2 * rest > power or (2 * rest == power and whole & 1):
        whole += 1
    return made(negative, whole, places) if value else Decimal(0).copy_sign(value)


def floor(value: Decimal) -> Decimal:
    negative, mantissa, scale = parts(value)
    whole, rest = divmod(mantissa, 10**scale)
    return value if scale == 0 else made(negative, whole + (negative and rest > 0), 0).copy_sign(value)


def ceil(value: Decimal) -> Decimal:
    return floor(value.copy_negate()).copy_negate()


# --- floats ----------------------------------------------------------------------------------------------------------


def from_float(value: float) -> Decimal | None:
    """About 16 digits of the float; None if it is not finite or does not fit, which arithmetic takes as zero."""
    if not math.isfinite(value):
        return None
    bits = struct.unpack(">Q", struct.pack(">d", value))[0]
    biased, mantissa = bits >> 52 & 0x7FF, bits & (1 << 52) - 1
    negative = bool(bits >> 63)
    if not biased and not mantissa:
        return Decimal("-0") if negative else _ZERO
    exponent = max(biased, 1) - 1023 - 52
    found = _decimal_digits(mantissa | (1 << 52 if biased else 0), exponent)
    if found is None:
        return None
    digits, scale = _without_excess(*found)
    result = made(negative, digits, scale)
    return result.copy_negate() if negative and not result else result


def _decimal_digits(mantissa: int, exponent: int) -> tuple[int, int] | None:
    """`mantissa * 2**exponent` as a mantissa of 96 bits and a scale, with the crate's losses on the way."""
    fives, tens = -exponent, exponent
    while fives > 0:
        fives -= 1
        if mantissa & 1 == 0 or mantissa * 5 >= _LIMIT:
            mantissa, tens = mantissa >> 1, tens + 1
        else:
            mantissa *= 5
    while fives < 0:
        if mantissa < _LIMIT >> 1:
            mantissa, tens = mantissa << 1, tens - 1
        elif tens * 2 > -fives:
            return None
        else:
            mantissa //= 5
        fives += 1
    while tens > 0:
        mantissa, tens = mantissa * 10, tens - 1
        if mantissa >= _LIMIT:
            return None
    while tens < -SCALE_MAX:
        mantissa, rest = divmod(mantissa, 10)
        tens += 1
        if not mantissa:
            tens = 0
        elif rest >= 5:
            mantissa += 1
    return mantissa, -tens


def _without_excess(mantissa: int, scale: int) -> tuple[int, int]:
    while scale and mantissa >> 52:
        mantissa, rest = divmod(mantissa, 10)
        mantissa, scale = mantissa + (rest >= 5), scale - 1
    while scale and mantissa % 10 == 0:
        mantissa, scale = mantissa // 10, scale - 1
    return mantissa, scale


def to_float(value: Decimal) -> float:
    """Not always the nearest float: whole and fraction are converted on their own, and rounded once more."""
    negative, mantissa, scale = parts(value)
    whole, fraction = divmod(mantissa, 10**scale)
    result = float(whole)
    if scale and fraction:
        result += float(fraction) / float(10**scale)
        unit = float_power(10.0, scale)
        result = round_half_away(result * unit) / unit
    return -result if negative and (scale or mantissa) else result


def float_power(base: float, exponent: int) -> float:
    """`base ** exponent` by squaring, as Rust's `f64::powi`; the exponent is not negative."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        exponent >>= 1
        if exponent:
            base *= base
    return result


def round_half_away(value: float) -> float:
    if not math.isfinite(value) or abs(value) >= 2.0**52:
        return value
    whole = math.trunc(value)
    if abs(value - whole) >= 0.5:
        whole += 1 if value > 0 else -1
    return math.copysign(float(whole), value)


# --- powers and roots ------------------------------------------------------------------------------------------------


def square_root(value: Decimal) -> Decimal | None:
    """By Heron's rule until it stands still; None of what is negative, or where the crate gives up."""
    if value.is_signed():
        return None
    if not value:
        return _ZERO
    result = divide(value, _TWO) or value
    last: Decimal | None = None
    for _ in range(_SQRT_STEPS_MAX):
        if last == result:
            return result
        last = result
        quotient = divide(value, result)
        total = None if quotient is None else add(result, quotient)
        half = None if total is None else divide(total, _TWO)
        if half is None:
            return None
        result = half
    return None


def integer_power(base: Decimal, exponent: int) -> Decimal | None:
    if exponent < 0:
        whole = integer_power(base, -exponent)
        return None if whole is None else divide(_ONE, whole)
    if exponent <= 2:
        return (_ONE, base, multiply(base, base))[exponent]
    product: Decimal | None = _ONE
    power: Decimal | None = base
    while exponent and product is not None:
        if exponent & 1:
            product = None if power is None else multiply(product, power)
        exponent >>= 1
        if exponent and power is not None:
            power = multiply(power, power)
    return None if product is None else normalized(product)
