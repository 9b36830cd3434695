"""Where a failing run first parts from one that passes.

The nearest passing run is looked for by halving: of all that was left to chance in the failing run, the first part
stays as it was, and the rest comes out in the simplest way. Somewhere a run with one choice more fails and with one
less passes: that choice matters. If the run passes with it alone made simple, and all else as it was, all the better.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from labs.choices import Choice
from labs.debugging.messages import Recording
from labs.debugging.timeline import FAULTS, OPERATIONS, Timeline
from labs.traces.events import HARNESS, Event

Play = Callable[[Sequence[Choice], bool], Recording]
"""Plays the run in which all is simple but these choices; the second tells whether only its outcome matters."""

AT_SERVER: Final = frozenset(("arrive", "reply"))
"""Events of a message that are the called server's. The others are the caller's."""
OF_NOBODY: Final = frozenset(("lose request", "lose reply", "note", "verdict"))
TEST: Final = "the test"
COARSE: Final = OPERATIONS | FAULTS | {"log", "start", "serve"}
"""What can be compared in runs whose messages take different times."""


class Nearest(NamedTuple):
    """A passing run, and what makes it another one."""

    timeline: Timeline
    choice: Choice
    """It came out so in the failing run."""
    alone: bool
    """Whether nothing else was changed. Otherwise all later choices are simple, too."""
    runs: int
    """How many were played to find it."""


class Parting(NamedTuple):
    """The first thing that somebody does otherwise in two runs."""

    who: str
    here: int
    """In the failing run: the place after it. If it does nothing more there, the place of its end."""
    event: Event | None
    there: int
    other: Event | None


def nearest(choices: Sequence[Choice], play: Play, told: Callable[[str], object] = lambda text: None) -> Nearest | None:
    """A passing run near the failing one that made these choices. None if it fails even when all of them are simple."""
    runs = 0

    def passes(kept: Sequence[Choice]) -> bool:
        nonlocal runs
        runs += 1
        told(f"run {runs}, with {len(kept)} of {len(choices)} choices")
        return play(kept, True).outcome.status == "passed"

    if not passes([]):
        return None
    low, high = 0, len(choices)  # with so many of them it passes, and fails
    while high - low > 1:
        middle = (low + high) // 2
        if passes(choices[:middle]):
            low = middle
        else:
            high = middle
    others = [*choices[:low], *choices[high:]]
    alone = passes(others)
    return Nearest(Timeline(play(others if alone else choices[:low], False)), choices[low], alone, runs)


def simple(choice: Choice) -> Choice:
    """The same choice, as simple as it can be."""
    return Choice(choice.of, choice.number, choice.time, choice.simplest, choice.simplest)


def partings(here: Timeline, there: Timeline, compared: Callable[[Event], bool] = lambda event: True) -> list[Parting]:
    """For each server and clerk, and the test, the first thing that it does otherwise; the earliest one first.

    Times do not count, nor does what others do meanwhile.
    """
    ours, theirs = _by_owner(here, compared), _by_owner(there, compared)
    found = []
    for who in dict.fromkeys([*ours, *theirs]):
        mine, other = ours[who], theirs[who]
        at = next(
            (at for at, (one, two) in enumerate(zip(mine, other, strict=False)) if _said(one[1]) != _said(two[1])),
            min(len(mine), len(other)),
        )
        if at < max(len(mine), len(other)):
            place, event = mine[at] if at < len(mine) else (len(here), None)
            its_place, its_event = other[at] if at < len(other) else (len(there), None)
            found.append(Parting(who, place, event, its_place, its_event))
    return sorted(found, key=lambda parting: parting.here)


def _by_owner(timeline: Timeline, compared: Callable[[Event], bool]) -> defaultdict[str, list[tuple[int, Event]]]:
    """What everybody does, each event with the place after it."""
    found: defaultdict[str, list[tuple[int, Event]]] = defaultdict(list)
    for place, moment in enumerate(timeline.moments, 1):
        for event in moment.events:
            if event.kind not in OF_NOBODY and compared(event):
                found[owner(event)].append((place, event))
    return found


def owner(event: Event) -> str:
    """Whose doing it is."""
    if event.kind in AT_SERVER:
        return event.dst
    if event.src == HARNESS or event.kind in FAULTS - {"crash"}:
        return TEST
    return event.src


def _said(event: Event) -> tuple[object, ...]:
    return event.kind, event.src, event.dst, event.method, event.body, event.text
