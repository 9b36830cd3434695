"""What came of all mistakes: the object that `lab mistakes --json` writes."""

from collections.abc import Iterable, Mapping

import msgspec

from labs.mistakes import Caught, Kind, odds
from labs.mistakes.measuring import Subject, Tally
from labs.running import World


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
    """How one mistake fared. What stands beside `worlds` is that of its first world."""

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
    """Whether it was noticed in each world, and in the simulation so often that 200 seeds show it almost certainly."""
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
    version: int = 1

    @property
    def is_good(self) -> bool:
        """Every mistake was noticed, as surely as can be asked, and the reference never failed."""
        return all(each.sure for each in self.mistakes) and not any(each.failed for each in self.reference)


def matrix(subjects: Iterable[Subject], kinds: Mapping[str, Kind], interrupted: bool) -> Matrix:
    """What came of these, as far as it was measured."""
    came = Matrix([], [], [], interrupted)
    known: dict[tuple[str, str, str], MistakeResult] = {}
    for subject in subjects:
        if subject.world not in came.worlds:
            came.worlds.append(subject.world)
        tallies = [tally for tally in subject.tallies.values() if tally.runs]
        if subject.mistake is None:
            came.reference += [
                ReferenceResult(each.test, each.suite, subject.lab, subject.world, each.runs, each.caught, each.said)
                for each in tallies
            ]
            continue
        mistake = subject.mistake
        entry = known.get((subject.lab, mistake.suite, mistake.name))
        if entry is None:
            kind = kinds.get(mistake.student_bug)
            entry = known[subject.lab, mistake.suite, mistake.name] = MistakeResult(
                mistake.name,
                subject.lab,
                mistake.suite,
                mistake.student_bug,
                kind.in_2015 if kind else "",
                mistake.why,
                caught=False,
                by=[],
                rate=0.0,
                seconds=0.0,
                sure=True,
                error=subject.error,
                worlds={},
            )
            came.mistakes.append(entry)
        world = _world_result(tallies)
        if not entry.worlds:
            entry.caught, entry.by, entry.rate, entry.seconds = world.caught, world.by, world.rate, world.seconds
        entry.worlds[subject.world] = world
        entry.sure = entry.sure and not entry.error and _is_sure(subject.world, world)
    if interrupted:
        came.mistakes = [entry for entry in came.mistakes if entry.error or entry.was_measured]
    return came


def _is_sure(world: World, result: WorldResult) -> bool:
    return result.probability > odds.SURE if world == "sim" else result.caught


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
