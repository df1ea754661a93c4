"""Mean and spread of numbers that come in any order and any batches, to the bit the same.

Sums of floats depend on their order; these are kept as whole numbers instead, in units of the
smallest float there is, so that they are exact and merge exactly.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

LARGEST = 1e100
"""Greatest magnitude that is taken: its square is still far from the end of the floats."""
_UNIT = 1126
"""Every double is a whole number of 2⁻¹¹²⁶: the smallest has exponent −1073 and 53 digits."""
_LOW = 27


class Moments:
    """Count, mean, standard deviation and range of the numbers added so far."""

    def __init__(self) -> None:
        self.count = 0
        self.low, self.high = math.inf, -math.inf
        self._sum = self._squares = 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Take in numbers (N,), finite and not above ``LARGEST`` in magnitude."""
        if not len(values):
            return
        self.count += len(values)
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        self._sum += _exact_sum(values)
        self._squares += _exact_sum(values * values)

    def merge(self, other: Moments) -> Moments:
        """Of both parts together; neither is changed."""
        both = Moments()
        both.count = self.count + other.count
        both.low, both.high = min(self.low, other.low), max(self.high, other.high)
        both._sum = self._sum + other._sum
        both._squares = self._squares + other._squares
        return both

    @property
    def mean(self) -> float:
        """0 of none."""
        return float(Fraction(self._sum, self.count << _UNIT)) if self.count else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation; 1 where all are alike, so that it can be divided by."""
        if self.low >= self.high:  # alike, or none at all
            return 1.0
        mean = Fraction(self._sum, self.count << _UNIT)
        variance = Fraction(self._squares, self.count << _UNIT) - mean * mean
        # squares are rounded one by one: of numbers nearly alike nothing but that may be left
        least = (self.high - self.low) / 2 / math.sqrt(self.count)
        return max(math.sqrt(max(float(variance), 0.0)), least, 1e-300)


def _exact_sum(values: NDArray[np.float64]) -> int:
    """Their sum in units of 2⁻¹¹²⁶."""
    fractions, exponents = np.frexp(values)
    digits = np.ldexp(fractions, 53).astype(np.int64)
    total = 0
    for exponent in np.unique(exponents):
        some = digits[exponents == exponent]
        # in two parts, so that int64 holds the sums of 2³⁶ of them
        high, low = int((some >> _LOW).sum()), int((some & ((1 << _LOW) - 1)).sum())
        total += ((high << _LOW) + low) << (int(exponent) - 53 + _UNIT)
    return total
