"""What came of all mistakes: the object that `lab mistakes --json` writes, and `--add` reads."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from labs.mistakes import Caught, Kind, Mistake, odds
from labs.mistakes.measuring import Subject, Tally
from labs.running import World

VERSION: Final = 1
"""Of the shape of this object."""
WORLDS: Final[tuple[World, ...]] = ("sim", "process")
"""In the order in which they are told."""


class TestResult(msgspec.Struct):
    """How one test fared with one mistake."""

    test: str
    suite: str
    named: bool
    """Whether the mistake's table names it."""
    runs: int
    caught: int
    rate: float
    seconds: float
    """On the clock on the wall, until the first detection."""
    said: str
    """What it said then."""


class WorldResult(msgspec.Struct):
    """How one world's tests fared with one mistake."""

    caught: bool
    by: list[str]
    """The tests that noticed it, the most reliable first."""
    rate: float
    """Of its most reliable test: the part of the seeds with which it notices."""
    seconds: float
    """Until the quickest test noticed it."""
    probability: float
    """That 200 seeds show it, by the lower bound of the rate."""
    tests: list[TestResult]


class MistakeResult(msgspec.Struct):
    """How one mistake fared. What stands beside `worlds` is that of the simulation, if it was asked."""

    name: str
    lab: str
    suite: str
    kind: str
    in_2015: Caught
    why: str
    caught: bool
    by: list[str]
    rate: float
    seconds: float
    sure: bool
    """Whether 200 seeds of the simulation show it almost certainly. If only real processes ran: whether they did."""
    error: str
    """Why it could not be made, if so."""
    worlds: dict[World, WorldResult]

    @property
    def was_measured(self) -> bool:
        """Whether any run could tell anything: none can on a machine that is too busy."""
        return any(world.tests for world in self.worlds.values())


class ReferenceResult(msgspec.Struct):
    """How the reference fared with one of the tests. It must never fail."""

    test: str
    suite: str
    lab: str
    world: World
    runs: int
    failed: int
    said: str


class Matrix(msgspec.Struct):
    """All of it."""

    mistakes: list[MistakeResult]
    reference: list[ReferenceResult]
    worlds: list[World]
    interrupted: bool
    version: int = VERSION

    @property
    def is_good(self) -> bool:
        """Every mistake is noticed, as surely as can be asked, and the reference never failed."""
        return all(each.sure for each in self.mistakes) and not any(each.failed for each in self.reference)


def matrix(
    subjects: Iterable[Subject], kinds: Mapping[str, Kind], interrupted: bool, earlier: Iterable[Matrix] = ()
) -> Matrix:
    """What came of these, as far as it was measured, and of what was measured earlier: the latest of each counts."""
    came = Matrix([], [], [], interrupted)
    known: dict[tuple[str, str, str], MistakeResult] = {}
    reference: dict[tuple[str, str, str, World], ReferenceResult] = {}
    for other in earlier:
        came.interrupted = came.interrupted or other.interrupted
        reference |= {(each.lab, each.suite, each.test, each.world): each for each in other.reference}
        for found in other.mistakes:
            same = known.setdefault((found.lab, found.suite, found.name), found)
            same.worlds |= found.worlds
    for subject in subjects:
        tallies = [tally for tally in subject.tallies.values() if tally.runs]
        if subject.mistake is None:
            for each in tallies:
                reference[subject.lab, each.suite, each.test, subject.world] = ReferenceResult(
                    each.test, each.suite, subject.lab, subject.world, each.runs, each.caught, each.said
                )
        elif tallies or subject.error or not interrupted:  # else it was not its turn yet
            mistake = subject.mistake
            entry = known.setdefault(
                (subject.lab, mistake.suite, mistake.name), _unmeasured(subject.lab, mistake, kinds)
            )
            entry.error = subject.error
            entry.worlds[subject.world] = _world_result(tallies)
    came.mistakes = list(known.values())
    came.reference = list(reference.values())
    came.worlds = [world for world in WORLDS if any(world in entry.worlds for entry in came.mistakes)]
    for entry in came.mistakes:
        _sum_up(entry)
    return came


def _unmeasured(lab: str, mistake: Mistake, kinds: Mapping[str, Kind]) -> MistakeResult:
    kind = kinds.get(mistake.student_bug)
    return MistakeResult(
        mistake.name,
        lab,
        mistake.suite,
        mistake.student_bug,
        kind.in_2015 if kind else "",
        mistake.why,
        caught=False,
        by=[],
        rate=0.0,
        seconds=0.0,
        sure=False,
        error="",
        worlds={},
    )


def _sum_up(entry: MistakeResult) -> None:
    """Fills in what follows from its worlds."""
    entry.worlds = {world: entry.worlds[world] for world in WORLDS if world in entry.worlds}
    first, result = next(iter(entry.worlds.items()))
    entry.caught, entry.by, entry.rate, entry.seconds = result.caught, result.by, result.rate, result.seconds
    enough = result.probability > odds.SURE if first == "sim" else result.caught
    entry.sure = enough and not entry.error


def _world_result(tallies: list[Tally]) -> WorldResult:
    noticed = sorted((tally for tally in tallies if tally.caught), key=lambda tally: -tally.rate)
    return WorldResult(
        caught=bool(noticed),
        by=[tally.test for tally in noticed],
        rate=round(max((tally.rate for tally in noticed), default=0.0), 4),
        seconds=round(min((tally.seconds for tally in noticed), default=0.0), 2),
        probability=round(max((tally.probability for tally in noticed), default=0.0), 6),
        tests=[
            TestResult(
                tally.test,
                tally.suite,
                tally.named,
                tally.runs,
                tally.caught,
                round(tally.rate, 4),
                round(tally.seconds, 2),
                tally.said,
            )
            for tally in tallies
        ],
    )
