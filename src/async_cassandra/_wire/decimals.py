"""Converts decimals of any length from and to ints, exactly and without text in between.

``int()`` and ``str()`` refuse texts over a limit of 4,300 digits by default, and making a ``Decimal`` from an int takes
time that grows with the square of its length: long numbers are split in halves here.
"""

from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal

__all__ = ["decimal_of", "digits_of", "int_of_digits"]

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
# Below these lengths halving costs more than it saves.
_SHORT_BITS = 4096
_SHORT_DIGITS = 512


def decimal_of(unscaled: int, exponent: int = 0) -> Decimal:
    """Return ``unscaled`` times ten to the power of ``exponent``, with all its digits and that exponent."""
    bits = _SHORT_BITS
    # Of each number of bits that halves are cut at, the power of two.
    powers = {bits: Decimal(1 << bits)}
    while bits < unscaled.bit_length():
        powers[bits * 2] = _EXACT.multiply(powers[bits], powers[bits])
        bits *= 2
    magnitude = _whole(abs(unscaled), bits, powers)
    return Decimal((unscaled < 0, magnitude.as_tuple().digits, exponent))


def _whole(number: int, bits: int, powers: dict[int, Decimal]) -> Decimal:
    """Convert a number of at most ``bits`` bits."""
    if number.bit_length() <= _SHORT_BITS:
        return Decimal(number)
    half = bits // 2
    high = _whole(number >> half, half, powers)
    low = _whole(number & ((1 << half) - 1), half, powers)
    return _EXACT.fma(high, powers[half], low)


def digits_of(number: int) -> str:
    """Return the decimal digits of an int, with its sign."""
    return format(decimal_of(number), "f")


def int_of_digits(digits: Sequence[int]) -> int:
    """Return the number with these decimal digits, which are 0 to 9.

    :raises ValueError: if one of them is not a digit
    """
    if any(not 0 <= digit <= 9 for digit in digits):
        raise ValueError("the digits of a decimal are 0 to 9")
    return _number(digits, {})


def _number(digits: Sequence[int], powers: dict[int, int]) -> int:
    count = len(digits)
    if count <= _SHORT_DIGITS:
        return int("".join(map(str, digits))) if count else 0
    half = count // 2
    power = powers.get(half)
    if power is None:
        power = powers[half] = 10**half
    return _number(digits[:-half], powers) * power + _number(digits[-half:], powers)
