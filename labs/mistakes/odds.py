"""How sure one may be of a rate that was measured with a number of seeds.

The bound is exact, unlike the interval of `labs/confidence.py`: a promise is made with it, and about rates that are
close to 0, where approximations are worst.
"""

import math
from typing import Final

SEEDS: Final = 200
"""What a student is asked to run: so many seeds have to show each mistake."""
SURE: Final = 0.99
"""The probability with which they have to."""
DOUBT: Final = 0.05
"""The probability that a true rate is below the bound that we claim for it."""


def least_rate(caught: int, runs: int) -> float:
    """The lower bound of a rate of which `caught` in `runs` were seen (Clopper and Pearson's, one-sided)."""
    if caught == 0:
        return 0.0
    low, high = 0.0, caught / runs
    for _ in range(50):
        middle = (low + high) / 2
        if _at_least(caught, runs, middle) < DOUBT:
            low = middle
        else:
            high = middle
    return low


def _at_least(caught: int, runs: int, rate: float) -> float:
    """The probability to see this often, or more often, what has this rate."""
    if rate <= 0.0:
        return 0.0
    less = sum(
        math.exp(_log_choose(runs, k) + k * math.log(rate) + (runs - k) * math.log1p(-rate)) for k in range(caught)
    )
    return 1.0 - less


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def probability(caught: int, runs: int, seeds: int = SEEDS) -> float:
    """The probability that so many seeds show it at least once, by the lower bound of its rate."""
    return 1.0 - (1.0 - least_rate(caught, runs)) ** seeds


def is_known(caught: int, runs: int) -> bool:
    """Whether more runs would tell little: the rate is known to within a factor of two, and is high enough."""
    return 2 * least_rate(caught, runs) >= caught / runs > 0 and probability(caught, runs) > SURE
