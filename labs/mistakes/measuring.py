"""Makes a mistake and counts how often graded tests notice it. A `Job` is done in a process of its own.

In the simulation seeds are spent where they are needed: each test begins with a few, and goes on, up to what was asked
for, only while its rate of detection is not known well enough.
"""

import logging
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from labs.collecting import find_item, graded_items
from labs.mistakes import Mistake, odds, plant
from labs.places import root
from labs.process import system
from labs.results import Status
from labs.running import GradedItem, Runner, World
from labs.sim.client import SimWorker
from labs.sim.run import Outcome
from labs.suites import SUITES

FIRST: Final = 10
"""Seeds that each test begins with."""
PIECE: Final = 50
"""Seeds that a test goes on with at once, at most."""


# --- tallies ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """How often one test noticed one mistake in one world."""

    test: str
    suite: str
    named: bool
    """Whether the mistake's table names this test. Others only get a first look."""
    runs: int = 0
    caught: int = 0
    seconds: float = 0.0
    """On the clock on the wall: until the first detection, or all that was spent if there was none."""
    first: int | None = None
    """The seed of the first detection."""
    said: str = ""
    """What the test said then."""

    @property
    def rate(self) -> float:
        """The part of the runs in which it noticed."""
        return self.caught / self.runs if self.runs else 0.0

    @property
    def probability(self) -> float:
        """With what probability it notices within the seeds that a student is asked to run."""
        return odds.probability(self.caught, self.runs)

    def note(self, seed: int, status: Status, seconds: float, said: str) -> None:
        """One more run. If it could not tell, because the machine was too busy, it only took its time."""
        if self.first is None:
            self.seconds += seconds
        if status == "inconclusive":
            return
        self.runs += 1
        if status != "passed":
            self.caught += 1
            if self.first is None:
                self.first, self.said = seed, _gist(said)

    def add(self, later: "Tally") -> None:
        """The runs that came after these."""
        if self.first is None:
            self.seconds += later.seconds
            self.first, self.said = later.first, later.said
        self.runs += later.runs
        self.caught += later.caught


@dataclass(frozen=True, slots=True)
class Job:
    """Some runs of some tests on one mistake, or on the reference as it is."""

    lab: str
    package: str
    mistake: Mistake | None
    tests: tuple[str, ...]
    world: World
    seeds: range


@dataclass(slots=True)
class Subject:
    """One mistake in one world, or one test of the reference: what came of it so far, and what is still to be run."""

    lab: str
    package: str
    mistake: Mistake | None
    """None: the reference, in which nothing may be noticed, with any seed."""
    world: World
    seeds: int
    tallies: dict[str, Tally]
    error: str = ""
    """Why the mistake could not be made."""
    waiting: int = field(default=0, init=False)
    """Jobs that are not done."""

    def begin(self) -> list[Job]:
        """The first jobs. In the simulation one, as a worker has to import the lab for it; else one a test."""
        tests = list(self.tallies)
        if not tests:
            jobs = []
        elif self.world == "sim":
            jobs = [self._job(tests, 0, FIRST if self.mistake else PIECE)]
        else:
            jobs = [self._job([test], 0, self.seeds) for test in tests]
        self.waiting = len(jobs)
        return jobs

    def take(self, job: Job, came: Sequence[Tally] | str) -> list[Job]:
        """Takes in what came of a job. Gives what is to be done next."""
        self.waiting -= 1
        if isinstance(came, str):
            self.error = came
            return []
        for tally in came:
            self.tallies[tally.test].add(tally)
        runs = job.seeds.stop - 1
        rest = [test for test in job.tests if runs < self.seeds and not self._is_settled(self.tallies[test])]
        jobs = [self._job(rest, runs, min(runs, PIECE))] if rest else []
        self.waiting += len(jobs)
        return jobs

    def _job(self, tests: list[str], before: int, count: int) -> Job:
        seeds = range(before + 1, min(before + count, self.seeds) + 1)
        return Job(self.lab, self.package, self.mistake, tuple(tests), self.world, seeds)

    def _is_settled(self, tally: Tally) -> bool:
        return self.mistake is not None and (not tally.named or odds.is_known(tally.caught, tally.runs))


# --- in a process of its own -----------------------------------------------------------------------------------------


def prepare(folder: Path, parent: int) -> None:
    """Makes this process one that does jobs, in a folder named for the run.

    What becomes of them when somebody interrupts is the parent's affair.
    """
    global _folder
    _folder = folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()  # asyncio tells of each task of a failed test that nobody asked again
    system.die_with_parent(parent)


_folder: Path | None = None
"""Where copies are made. None: somewhere."""
_reference = SimWorker()
"""Kept, since it has the reference imported."""


def do(job: Job) -> list[Tally] | str:
    """Does a job. Gives why, if its mistake cannot be made."""
    try:
        with TemporaryDirectory(dir=_folder) as folder:
            if job.mistake is not None:
                plant(job.mistake, root() / job.package, Path(folder))
            if job.world == "process":
                return [_in_processes(job, test, Path(folder)) for test in job.tests]
            if job.mistake is None:
                return [_in_sim(job, test, _reference, []) for test in job.tests]
            with SimWorker() as worker:
                return [_in_sim(job, test, worker, [Path(folder)]) for test in job.tests]
    except ValueError as error:
        return str(error)


def _blank(job: Job, item: GradedItem) -> Tally:
    return Tally(item.name, item.suite.name, job.mistake is None or item.name in job.mistake.caught_by)


def outcomes(worker: SimWorker, item: GradedItem, seeds: Sequence[int], path: list[Path]) -> Iterator[Outcome]:
    """Runs a graded test in the simulation. Raises `ValueError` if the lab in `path` cannot be imported."""
    for outcome in worker.run(item.file, item.name, item.suite.package, seeds, path, limit=item.grade.within):
        if "could not be imported" in outcome.message:
            raise ValueError(outcome.message)
        yield outcome


def _in_sim(job: Job, test: str, worker: SimWorker, path: list[Path]) -> Tally:
    item = find_item(job.lab, test)
    tally = _blank(job, item)
    began = time.monotonic()
    for outcome in outcomes(worker, item, job.seeds, path):
        now = time.monotonic()
        tally.note(outcome.seed, outcome.status, now - began, outcome.message)
        began = now
    return tally


def _in_processes(job: Job, test: str, folder: Path) -> Tally:
    item = find_item(job.lab, test)
    tally = _blank(job, item)
    runner = Runner(folder.parent.name, folder if job.mistake is not None else None, 1.0)
    try:
        for seed in job.seeds:
            began = time.monotonic()
            report = runner.run(item, "process", [seed], folder / "runs" / f"{test}.{seed}")
            said = report.failure.message if report.failure else ""
            tally.note(seed, report.status, time.monotonic() - began, said)
    finally:
        runner.close()
    return tally


def _gist(message: str) -> str:
    """Of a message what says most: the last line of a traceback, otherwise the first line."""
    lines = [line for line in message.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    raised = [line for line in lines if line.startswith(("AssertionError: ", "labs.cluster."))]
    return (raised[-1].split(": ", 1)[-1] if raised else lines[0])[:300]


# --- what to measure -------------------------------------------------------------------------------------------------


def subjects(lab: str, mistakes: Sequence[Mistake], world: World, seeds: int, all_tests: bool) -> list[Subject]:
    """What is to be measured of these mistakes of one lab, and the reference on the same tests."""
    package = next(suite.package for suite in SUITES if suite.lab == lab)
    found = [Subject(lab, package, mistake, world, seeds, {}) for mistake in mistakes]
    for subject, mistake in zip(found, mistakes, strict=True):
        try:
            subject.tallies = _tallies(lab, mistake, all_tests)
        except ValueError as error:
            subject.error = str(error)
    tests = {test: tally for subject in found for test, tally in subject.tallies.items()}
    return found + [
        Subject(lab, package, None, world, seeds, {test: replace(tally, named=True)}) for test, tally in tests.items()
    ]


def _tallies(lab: str, mistake: Mistake, all_tests: bool) -> dict[str, Tally]:
    named = [find_item(lab, test) for test in mistake.caught_by]
    suites = dict.fromkeys(item.suite for item in named) if all_tests else []
    others = [item for suite in suites for item in graded_items(suite).values() if item not in named]
    return {item.name: Tally(item.name, item.suite.name, item in named) for item in [*named, *others]}
