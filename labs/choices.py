"""What a simulated run leaves to chance, as a list that can be kept, thinned out, and played again.

Whoever draws something that matters to a run calls it a choice: the fate and the delay of a message, the next blow of
a storm, the next operation of a client. Every choice has a simplest outcome: no fault, the shortest delay, nothing. A
schedule is the list of those choices that came out otherwise, so it is complete: whatever it does not name is simple.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

DELAY: Final = "delay of "
FATE: Final = "fate of "
"""How choices about a link begin: how long its next message takes, and what happens to its next request."""

NEVER: Final = 1e6
"""Seconds: a message that takes so long never arrives."""


class Choice(msgspec.Struct):
    """One choice that did not come out in the simplest way."""

    of: str
    """Who chose, or what about: `storm`, `fate of kv-1 > kv-2`, `delay of kv-2 > kv-1`, a clerk's name."""
    number: int
    """It was the how-manieth of those, counted from 0."""
    time: float
    """Virtual seconds since the run began."""
    value: Any
    """What was chosen, as JSON has it."""
    simplest: Any
    """What could have been chosen instead."""


class Choices:
    """Makes the choices of one run: each by its draw or, given a schedule, as the schedule says.

    Those that `instead` names come out as they do there, whatever the draw or the schedule says.
    """

    def __init__(
        self, schedule: Iterable[Choice] | None, now: Callable[[], float], instead: Iterable[Choice] = ()
    ) -> None:
        self.made: list[Choice] = []
        """Those that did not come out in the simplest way, in their order."""
        self.latest: Choice | None = None
        """The last one that was made, simple or not."""
        self._schedule = None if schedule is None else _values(schedule)
        self._instead = _values(instead)
        self._now = now
        self._counts: defaultdict[str, int] = defaultdict(int)

    def choose(self, of: str, draw: Callable[[], T], simplest: T) -> T:
        """The next choice of this kind."""
        number = self._counts[of]
        self._counts[of] += 1
        value = draw()  # in any case: what is drawn later from the same randomness should stay what it was
        if self._schedule is not None:
            value = self._schedule.get((of, number), simplest)
        if self._instead:
            value = self._instead.get((of, number), value)
        self.latest = Choice(of, number, self._now(), value, simplest)
        if value != simplest:
            self.made.append(self.latest)
        return value


def _values(choices: Iterable[Choice]) -> dict[tuple[str, int], Any]:
    return {(choice.of, choice.number): choice.value for choice in choices}
