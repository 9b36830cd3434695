"""What came of the tests: what one run of a test tells, and the object that `lab test --json` writes."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import msgspec

from labs import jsonlines
from labs.confidence import Decision, Policy, Tally, interval, judge
from labs.texts import printable

Status = Literal["passed", "failed", "error", "skipped", "inconclusive"]

RESULT: Final = "result.json"
"""The file in a run's folder that holds what `--json` writes."""
ATTEMPTS: Final = "attempts.jsonl"
"""The file in a run's folder that tells what each finished pytest item told, a line each, while the run goes on."""
VERSION: Final = 1
"""Of the shape of `RunResult`. It grows when a field changes its meaning or goes away."""
WORST_FIRST: Final[tuple[Status, ...]] = ("error", "failed", "inconclusive", "skipped", "passed")


_TRACEBACK: Final = "Traceback (most recent call last):"


class Failure(msgspec.Struct):
    """One failed run of one test, in words."""

    message: str
    """What was expected and what came."""
    seed: int
    replay: str
    """The command that runs this again."""
    folder: str
    """Where this run's files are."""
    shrink: str = ""
    """The command that makes it small, in the simulation."""
    debug: str = ""
    """The command that steps through it, in the simulation."""
    where: str = ""
    """The line of the test, as `file:line`, and its text."""
    logs: dict[str, str] = {}
    """The end of the log of each server worth looking at."""
    stuck: str = ""
    """If it ran out of time: who waited for whom then, and what was cut."""
    again: str = ""
    """What came of the test when it was run once more to record all messages, in real processes."""

    def tidy(self) -> None:
        """Makes what servers said visible that a terminal would obey."""
        self.message, self.stuck = printable(self.message), printable(self.stuck)
        self.logs = {name: printable(log) for name, log in self.logs.items()}

    def text(self) -> str:
        """All of it, as plain text."""
        logs = [f"--- {name}\n{tail}" for name, tail in self.logs.items()]
        parts = [self.message, self.where, self.stuck, *logs]
        parts += [self.again, f"files:  {self.folder}", f"replay: {self.replay}"]
        return "\n".join(part for part in parts if part)

    def kind(self) -> str:
        """What failures have in common that are one and the same: where a server stopped by itself, or the message."""
        return self.message.rpartition(_TRACEBACK)[2]


class Attempt(msgspec.Struct):
    """What one pytest item tells: one run in the process world, or one run a seed in the simulation."""

    test: str
    """The pytest node id, without the number of the repeat."""
    title: str
    part: str
    suite: str
    lab: str
    world: str
    points: int
    """What the test is worth."""
    status: Status = "error"
    runs: int = 0
    seconds: float = 0.0
    failed_seeds: list[int] = []
    failure: Failure | None = None
    """The first failure."""
    undecided: int = 0
    """How many of the runs could not tell."""
    starved: int = 0
    """Runs that failed while the machine was too busy. They were done again, and are not among `runs`."""
    decision: Decision = ""
    """What running until one can be confident has shown."""
    policy: Policy = "all"
    """By which its runs give points."""


class TestResult(msgspec.Struct):
    """One test, however many seeds or repeats it ran."""

    id: str
    title: str
    suite: str
    points: float
    max_points: int
    status: Status
    runs: int
    passes: int
    pass_rate: float | None
    """Of the runs that could tell. None if none could."""
    interval: tuple[float, float] | None
    """Between what and what the true rate lies, at 95 %."""
    decision: Decision
    """With --until-confident: whether one can rely on this test to pass."""
    starved: int
    """Runs that failed on a machine that was too busy, and were done again."""
    failed_seeds: list[int]
    seconds: float
    message: str
    replay: str


class RunResult(msgspec.Struct):
    """What `lab test --json` writes."""

    version: int
    lab: str
    submission: str | None
    world: str
    points: float
    max_points: int
    """Of all tests that were asked for."""
    tests: list[TestResult]
    """Those that have run."""
    interrupted: bool = False
    """Whether somebody ended the run before all tests had run."""


def worst(statuses: Iterable[Status]) -> Status:
    """The status that a set of runs amounts to: one bad run is enough."""
    return min(statuses, key=WORST_FIRST.index)


def summarise(attempts: list[Attempt]) -> TestResult:
    """One test's entry, from all its runs (at least one)."""
    first = attempts[0]
    tally = tally_of(attempts)
    between = interval(tally)
    status, share = _verdict(attempts, tally)
    failure = next((attempt.failure for attempt in attempts if attempt.status == status and attempt.failure), None)
    return TestResult(
        id=first.test,
        title=first.title,
        suite=first.suite,
        points=_worth(first.points, share),
        max_points=first.points,
        status=status,
        runs=sum(attempt.runs for attempt in attempts),
        passes=tally.passed,
        pass_rate=None if tally.rate is None else round(tally.rate, 4),
        interval=between and (round(between[0], 4), round(between[1], 4)),
        decision=next((attempt.decision for attempt in attempts if attempt.decision), ""),
        starved=sum(attempt.starved for attempt in attempts),
        failed_seeds=sorted(seed for attempt in attempts for seed in attempt.failed_seeds),
        seconds=round(sum(attempt.seconds for attempt in attempts), 3),
        message="\n".join(filter(None, (failure.message, failure.stuck))) if failure else "",
        replay=failure.replay if failure else "",
    )


def tally_of(attempts: Iterable[Attempt]) -> Tally:
    """What came of all their runs."""
    passed = failed = undecided = starved = 0
    for attempt in attempts:
        passed += attempt.runs - len(attempt.failed_seeds) - attempt.undecided
        never_begun = not attempt.runs and attempt.status in ("failed", "error")
        failed += len(attempt.failed_seeds) + never_begun
        undecided += attempt.undecided
        starved += attempt.starved
    return Tally(passed, failed, undecided, starved)


def _worth(points: int, share: float) -> float:
    """A share of the points, as a whole number where it is one."""
    worth = round(points * share, 2)
    return int(worth) if worth == int(worth) else worth


def _verdict(attempts: list[Attempt], tally: Tally) -> tuple[Status, float]:
    """The status of a test, and the share of its points that it gets."""
    status = worst(attempt.status for attempt in attempts)
    if attempts[0].policy == "all":
        return status, float(status == "passed")
    judged, share = judge(attempts[0].policy, tally)
    return (status if judged == "failed" else judged), share


def read_attempts(file: Path) -> list[Attempt]:
    """What a run has told until now. None of it is lost, however the run ended."""
    return jsonlines.read(file, Attempt)


def by_test(attempts: Iterable[Attempt]) -> list[list[Attempt]]:
    """The runs of each test."""
    found: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        found.setdefault(attempt.test, []).append(attempt)
    return list(found.values())


def folder_name(nodeid: str) -> PurePosixPath:
    """Where a test's files lie in a run's folder: `…/test_paxos.py::test_basic[sim]` gives `paxos/test_basic.sim`."""
    file, _, name = nodeid.rpartition("::")
    suite = PurePosixPath(file).stem.removeprefix("test_")
    return PurePosixPath(suite, name.replace("[", ".").replace("]", "").replace("/", "_"))
