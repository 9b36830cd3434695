"""What many runs of one test say: how often it passes, how sure that is, and what it is worth.

An interval is Wilson's (1927), at 95 %: of twenty passes out of twenty it says "between 84 % and 100 %", where the
plain rate would say 100 %. Brown, Cai and DasGupta ("Interval Estimation for a Binomial Proportion", 2001) recommend it
for few runs.

When to stop running is Wald's sequential test (1945). Two statements compete: "this test passes 99 times in a hundred"
and "it passes 90 times in a hundred". Each run makes one of them likelier: a pass speaks for the first, 1.1 to 1; a
failure speaks for the second, 10 to 1. As soon as the odds are 19 to 1 for one of them, it is believed. So at most one
test in twenty is judged wrongly, and nothing is run in vain: 31 passes without a failure are enough, 57 runs with one,
and two failures within the first 19 runs speak for the second.
"""

from collections.abc import Sequence
from math import log, sqrt
from typing import Final, Literal, NamedTuple, get_args

Policy = Literal["all", "best", "majority", "weighted"]
"""What gives a test its points: that all runs pass, one, more than half; or as many points as runs that pass."""
POLICIES: Final[Sequence[Policy]] = get_args(Policy)
Decision = Literal["", "reliable", "unreliable"]

RELIABLE: Final = 0.99
"""How often a test passes that one can rely on."""
UNRELIABLE: Final = 0.90
"""How often one passes that one cannot rely on."""
ERROR: Final = 0.05
"""How often either of them may be taken for the other."""
MOST_RUNS: Final = 150
"""A test that is between the two may keep the odds even. Then this is enough."""
DEVIATIONS: Final = 1.959964
"""Standard deviations from the middle that leave 5 % outside of an interval."""


class Tally(NamedTuple):
    """What came of the runs of a test."""

    passed: int
    failed: int
    undecided: int = 0
    """Those that could not tell, and so say nothing of how often it passes."""
    starved: int = 0
    """Runs that failed while the machine was too busy, and were done again: nobody knows whose fault it was."""

    @property
    def rate(self) -> float | None:
        """The share that passed, of those that could tell. None if none could."""
        return self.passed / (self.passed + self.failed) if self.passed + self.failed else None


def interval(tally: Tally) -> tuple[float, float] | None:
    """Between what and what the true rate lies, in 95 of a hundred cases. None if no run could tell.

    That has to hold whoever was at fault where a run failed on a machine that was too busy: the lower end takes it for
    the submission's, the upper one for the machine's.
    """
    if tally.rate is None:
        return None
    return _wilson(tally.passed, tally.failed + tally.starved)[0], _wilson(tally.passed, tally.failed)[1]


def _wilson(passed: int, failed: int) -> tuple[float, float]:
    runs, square = passed + failed, DEVIATIONS**2
    middle = (passed + square / 2) / (runs + square)
    half = DEVIATIONS / (runs + square) * sqrt(passed * failed / runs + square / 4)
    low, high = middle - half, middle + half
    return (0.0 if passed == 0 else low), (1.0 if failed == 0 else high)


def decide(tally: Tally) -> Decision:
    """Wald's test: which of the two statements is to be believed. Neither yet: the next run will tell more.

    It is believed only if that does not depend on who was at fault where a run failed on a machine that was too busy.
    """
    enough = log((1 - ERROR) / ERROR)
    if _evidence(tally.passed, tally.failed + tally.starved) >= enough:
        return "reliable"
    return "unreliable" if _evidence(tally.passed, tally.failed) <= -enough else ""


def _evidence(passed: int, failed: int) -> float:
    return passed * log(RELIABLE / UNRELIABLE) + failed * log((1 - RELIABLE) / (1 - UNRELIABLE))


def judge(policy: Policy, tally: Tally) -> tuple[Literal["passed", "failed", "inconclusive"], float]:
    """What the runs amount to, and the share of the points that they give.

    Where the runs that could not tell might have changed the verdict, it is inconclusive, and gives nothing.
    """
    if policy == "weighted":
        if tally.undecided:
            return "inconclusive", 0.0
        return ("failed" if tally.failed else "passed"), tally.rate or 0.0
    passes = _passes(policy, tally)
    if passes != _passes(policy, Tally(tally.passed + tally.undecided, tally.failed)):
        return "inconclusive", 0.0
    return ("passed", 1.0) if passes else ("failed", 0.0)


def _passes(policy: Policy, tally: Tally) -> bool:
    """Whether they pass if all that could not tell have failed."""
    failed = tally.failed + tally.undecided
    if policy == "best":
        return tally.passed > 0
    return tally.passed > failed if policy == "majority" else not failed
