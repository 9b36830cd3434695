"""What came of the tests: what one run of a test tells, and the object that `lab test --json` writes."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, Literal

import msgspec

Status = Literal["passed", "failed", "error", "skipped", "inconclusive"]

VERSION: Final = 1
"""Of the shape of `RunResult`. It grows when a field changes its meaning or goes away."""
WORST_FIRST: Final[tuple[Status, ...]] = ("error", "failed", "inconclusive", "skipped", "passed")


class Failure(msgspec.Struct):
    """One failed run of one test, in words."""

    message: str
    """What was expected and what came."""
    seed: int
    replay: str
    """The command that runs this again."""
    folder: str
    """Where this run's files are."""
    where: str = ""
    """The line of the test, as `file:line`, and its text."""
    logs: dict[str, str] = {}
    """The end of the log of each server worth looking at."""

    def text(self) -> str:
        """All of it, as plain text."""
        logs = [f"--- {name}\n{tail}" for name, tail in self.logs.items()]
        return "\n".join(
            part
            for part in (self.message, self.where, *logs, f"files:  {self.folder}", f"replay: {self.replay}")
            if part
        )


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


class TestResult(msgspec.Struct):
    """One test, however many seeds or repeats it ran."""

    id: str
    title: str
    suite: str
    points: int
    max_points: int
    status: Status
    runs: int
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
    points: int
    max_points: int
    tests: list[TestResult]


def worst(statuses: Iterable[Status]) -> Status:
    """The status that a set of runs amounts to: one bad run is enough."""
    return min(statuses, key=WORST_FIRST.index)


def summarise(attempts: list[Attempt]) -> TestResult:
    """One test's entry, from all its runs (at least one)."""
    first = attempts[0]
    status = worst(attempt.status for attempt in attempts)
    failure = next((attempt.failure for attempt in attempts if attempt.status == status and attempt.failure), None)
    return TestResult(
        id=first.test,
        title=first.title,
        suite=first.suite,
        points=first.points if status == "passed" else 0,
        max_points=first.points,
        status=status,
        runs=sum(attempt.runs for attempt in attempts),
        failed_seeds=sorted(seed for attempt in attempts for seed in attempt.failed_seeds),
        seconds=round(sum(attempt.seconds for attempt in attempts), 3),
        message=failure.message if failure else "",
        replay=failure.replay if failure else "",
    )


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
