"""Doubles as Nix writes them in JSON.

Nix's JSON library finds the digits by Grisu2: they always read back as the same number, but are not always the fewest
such digits (2.5e22 becomes 2.4999999999999998e+22). Source: ``dtoa_impl`` in nlohmann's JSON for C++; Florian Loitsch,
"Printing Floating-Point Numbers Quickly and Accurately with Integers", 2010.
"""

from __future__ import annotations

import math
from functools import cache

_FIRST_POWER, _LAST_POWER, _POWER_STEP = -300, 324, 8
_HIDDEN_BIT = 1 << 52
_LONGEST_FIXED = 15
_SMALLEST_FIXED = -4


def format_double(number: float) -> str:
    """Return a finite double as Nix writes it in JSON; at most 15 digits before the point, else with an exponent."""
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    if number == 0:
        return f"{sign}0.0"
    digits, exponent = _digits(abs(number))
    return sign + _lay_out(digits, len(digits) + exponent)


def _lay_out(digits: str, point: int) -> str:
    # `point` is the position of the decimal point, counted from the first digit.
    if len(digits) <= point <= _LONGEST_FIXED:
        return digits.ljust(point, "0") + ".0"
    if 0 < point <= _LONGEST_FIXED:
        return f"{digits[:point]}.{digits[point:]}"
    if _SMALLEST_FIXED < point <= 0:
        return f"0.{'0' * -point}{digits}"
    exponent = point - 1
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def _digits(number: float) -> tuple[str, int]:
    """Return the digits, and the power of ten of the last digit."""
    fraction, exponent = math.frexp(number)
    significand, exponent = int(math.ldexp(fraction, 53)), exponent - 53
    if exponent < -1074:  # denormal
        significand >>= -1074 - exponent
        exponent = -1074
    closer_below = significand == _HIDDEN_BIT and exponent > -1074
    # The numbers between `low` and `high` read back as this one. All have 64 bits, with the exponent of `high`.
    high = significand * 2 + 1
    shift = 64 - high.bit_length()
    high <<= shift
    low = (significand * 4 - 1 << shift - 1) if closer_below else (significand * 2 - 1 << shift)
    middle = significand << shift + 1
    exponent -= shift + 1
    power, power_exponent, decimal = _scale(exponent)
    high, low, middle = (_multiply(value, power) for value in (high, low, middle))
    return _generate(low + 1, middle, high - 1, -(exponent + power_exponent + 64), -decimal)


def _multiply(left: int, right: int) -> int:
    return left * right + (1 << 63) >> 64


def _scale(exponent: int) -> tuple[int, int, int]:
    """Return the power of ten that brings a number with this exponent between 2^-60 and 2^-32."""
    wanted = -60 - exponent - 1
    quotient = abs(wanted) * 78913 >> 18  # times log10(2)
    decimal = quotient + 1 if wanted > 0 else -quotient
    return _power((-_FIRST_POWER + decimal + _POWER_STEP - 1) // _POWER_STEP)


@cache
def _power(index: int) -> tuple[int, int, int]:
    decimal = _FIRST_POWER + index * _POWER_STEP
    assert decimal <= _LAST_POWER
    if decimal >= 0:
        exact = 10**decimal
        exponent = exact.bit_length() - 64
        if exponent <= 0:
            return exact << -exponent, exponent, decimal
        return exact + (1 << exponent - 1) >> exponent, exponent, decimal
    divisor = 10**-decimal
    shift = divisor.bit_length() + 63
    value = ((1 << shift + 1) // divisor + 1) >> 1
    return value, -shift, decimal


def _generate(low: int, middle: int, high: int, point: int, exponent: int) -> tuple[str, int]:
    # `point` bits are behind the binary point.
    one = 1 << point
    delta, distance = high - low, high - middle
    whole, rest = high >> point, high & one - 1
    digits = str(whole)
    for count in range(1, len(digits) + 1):
        power = 10 ** (len(digits) - count)
        left = (whole % power << point) + rest
        if left <= delta:
            return _round(digits[:count], distance, delta, left, power << point), exponent + len(digits) - count
    while True:
        rest *= 10
        digits += str(rest >> point)
        rest &= one - 1
        exponent -= 1
        delta *= 10
        distance *= 10
        if rest <= delta:
            return _round(digits, distance, delta, rest, one), exponent


def _round(digits: str, distance: int, delta: int, rest: int, unit: int) -> str:
    last = int(digits[-1])
    while (
        rest < distance
        and delta - rest >= unit
        and (rest + unit < distance or distance - rest > rest + unit - distance)
    ):
        last -= 1
        rest += unit
    return digits[:-1] + str(last)
