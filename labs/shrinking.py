"""`lab shrink`: makes a failing run of the simulation small, so that a person can follow it.

A run is the list of its choices that did not come out in the simplest way (`labs.choices`). Those are left out piece
by piece, large pieces first (Zeller and Hildebrandt's delta debugging), as long as the run still fails in the same way:
all the times that messages take, all of a storm's blows, all of the test's own steps, all faults; then halves of each,
quarters, and so on. Whatever a shorter run no longer comes to is gone with them. In the end nothing can be left out
alone.
"""

import math
import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from labs.choices import Choice
from labs.places import command, short
from labs.running import parse_traceback
from labs.schedules import VERSION, Schedule, count, describe, find_test, kind_of, path_of, run
from labs.sim.client import SimWorker
from labs.sim.run import Outcome
from labs.usage import FAILED, INTERRUPTED, PASSED, BadUsage

ORDER: Final = ("message times", "blows", "steps", "faults")
"""In which kinds of choices are left out: those first that most others hang on."""
SHOWN: Final = 40
"""Choices of a shrunk run that are shown."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab shrink` was asked for."""

    test: str
    seed: int
    out: Path
    submission: Path | None = None
    runs: int = 2000
    """Runs that may be spent."""
    seconds: float = 300.0
    """Seconds that may be spent, on the clock on the wall."""
    patience: float = 1.0


def shrink(request: Request) -> int:
    """Shrinks a failing seed and saves what is left. Returns the exit status: 0 if it was saved. Raises `BadUsage`.

    A Ctrl-C ends the shrinking, and what it has come to is saved.
    """
    item = find_test(request.test)
    path = path_of(request.submission, item)
    if not request.out.absolute().parent.is_dir():
        raise BadUsage(f"expected a folder to write {request.out} into, there is no {request.out.absolute().parent}")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with SimWorker() as worker, console.status("the failing run itself") as status:

        def trial(choices: Sequence[Choice] | None) -> Outcome:
            return run(worker, item, request.seed, path, request.patience, choices)

        first = trial(None)
        if first.status != "failed":
            raise BadUsage(_NOT_FAILED.format(item.name, request.seed, first.status, f"\n{first.message}".rstrip()))
        if trial(first.choices).digest != first.digest:
            console.print(
                "The run is another one when its choices are played: is something in it not chosen by chance?"
            )
            return FAILED
        shrinker = Shrinker(trial, first, request.runs, request.seconds, status.update)
        interrupted = False
        try:
            shrinker.shrink()
        except KeyboardInterrupt:  # what was found until then is worth having
            interrupted = True
        best = shrinker.best
        again = trial(best.choices)
    if again.digest != best.digest:
        console.print("The shrunk run did not come out the same twice, so nothing was saved.")
        return FAILED
    message, _ = parse_traceback(best.message)
    schedule = Schedule(
        VERSION, item.suite.name, item.name, request.seed, request.patience, message, best.digest, best.choices
    )
    schedule.write(request.out)
    console.print(f"before  {count(first.choices)}; {first.messages} messages in {first.virtual_seconds:.1f} s")
    console.print(f"after   {count(best.choices)}; {best.messages} messages in {best.virtual_seconds:.1f} s")
    how_far = "" if shrinker.done else " (interrupted)" if interrupted else " (all it might)"
    console.print(f"took    {shrinker.runs} runs, {shrinker.elapsed:.0f} s{how_far}")
    for choice in best.choices[:SHOWN]:
        console.print(describe(choice))
    if len(best.choices) > SHOWN:
        console.print(f"… and {len(best.choices) - SHOWN} more")
    console.print(f"\n{message}\n")
    submission = f" --submission {shlex.quote(short(request.submission))}" if request.submission else ""
    console.print(f"replay  {command()} replay {shlex.quote(short(request.out))}{submission}")
    return INTERRUPTED if interrupted else PASSED


_NOT_FAILED: Final = "expected a seed with which the test fails, but {} with seed {} has {}{}"


class Shrinker:
    """The smallest failing run that was found so far, and the way to a smaller one."""

    def __init__(
        self,
        trial: Callable[[Sequence[Choice]], Outcome],
        failure: Outcome,
        runs: int,
        seconds: float,
        told: Callable[[str], Any] = lambda text: None,
    ) -> None:
        self.best = failure
        self.runs = 0
        self.done = False
        """Whether nothing more can be left out. Otherwise it ended because its runs or its time were spent."""
        self._trial = trial
        self._way = way_of(failure.message)
        self._most_runs = runs
        self._most_seconds = seconds
        self._began = time.monotonic()
        self._told = told
        self._tried: set[str] = set()

    @property
    def elapsed(self) -> float:
        """Seconds spent so far."""
        return time.monotonic() - self._began

    @property
    def spent(self) -> bool:
        """Whether no more runs are allowed."""
        return self.runs >= self._most_runs or self.elapsed >= self._most_seconds

    def shrink(self) -> Outcome:
        """The smallest run that still fails in the same way. Its choices are all that is not simple in it."""
        self._fails([])
        pieces = 1
        while not self.spent and not self.done:
            before = self.best.choices
            sizes = [self._thin_out(kind, pieces) for kind in ORDER]
            pieces *= 2
            if max(sizes) <= 1:
                self._simplify()
                self.done = self.best.choices == before and not self.spent
        return self.best

    def _fails(self, choices: list[Choice]) -> bool:
        """Whether a run with these choices fails as the first one did. Then it is the best."""
        key = repr([(choice.of, choice.number, choice.value) for choice in choices])
        if self.spent or key in self._tried:
            return False
        self._tried.add(key)
        self.runs += 1
        outcome = self._trial(choices)
        if outcome.status != "failed" or way_of(outcome.message) != self._way:
            return False
        self.best = outcome
        self._told(f"run {self.runs}, {self.elapsed:.0f} s: {count(outcome.choices)} left")
        return True

    def _thin_out(self, kind: str, pieces: int) -> int:
        """Cuts what there is of this kind into so many pieces, and leaves each of them out. Gives a piece's size."""
        size = math.ceil(len(self._those(kind)) / pieces)
        start = 0
        while start < len(those := self._those(kind)) and not self.spent:
            gone = {(choice.of, choice.number) for choice in those[start : start + size]}
            if not self._fails([c for c in self.best.choices if (c.of, c.number) not in gone]):
                start += size
        return size

    def _those(self, kind: str) -> list[Choice]:
        return [choice for choice in self.best.choices if kind_of(choice) == kind]

    def _simplify(self) -> None:
        """Of what happens to a message, leaves out each part that need not be."""
        for choice in self._those("faults"):
            for place, part in enumerate(choice.simplest):
                value = [*choice.value[:place], part, *choice.value[place + 1 :]]
                if value not in (choice.value, choice.simplest):
                    simpler = Choice(choice.of, choice.number, choice.time, value, choice.simplest)
                    self._fails([simpler if c == choice else c for c in self.best.choices])


_CLASS: Final = re.compile(r"^(?:\w+\.)*(\w+)(?::|$)", re.MULTILINE)
_PLACE: Final = re.compile(r'^ *File "(.+)", line (\d+), in ', re.MULTILINE)


def way_of(message: str) -> tuple[str, str]:
    """In which way a run failed: the kind of error, and the last line of code that is named.

    A run that fails in another way may have another cause, so it does not count as the same failure made smaller.
    """
    kinds = _CLASS.findall(message.rpartition("Traceback (most recent call last):")[2])
    places = _PLACE.findall(message)
    return kinds[0] if kinds else "", ":".join(places[-1]) if places else ""
