"""What came of grading: the objects that `results.json` and the journal hold."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

import msgspec

from labs.confidence import Policy
from labs.results import Attempt, Status, TestResult, by_test, summarise

VERSION: Final = 1
"""Of the shape of `ClassResult`. It grows when a field changes its meaning or goes away."""

Outcome = Literal["graded", "timed out", "refused", "missing", "broken"]
"""How grading one submission ended.

- graded: all tests have run.
- timed out: its time was over before all tests had run. Those that had count.
- refused: it cannot be graded: an archive that cannot be unpacked safely, no lab package, a `lab.toml` of no sense.
- missing: the roster names somebody who handed in nothing.
- broken: the harness itself failed, also the second time. That says nothing about the submission; grade it again.
"""
OUTCOMES: Final[Sequence[Outcome]] = get_args(Outcome)


Points = int | float
"""A whole number stays one on its way through a file, so that a file made of the same grades is the same."""


class TestGrade(TestResult, kw_only=True):
    """One test of one submission: what `lab test --json` tells of it, and what helps to understand it."""

    points: Points
    part: str
    where: str = ""
    """The line of the test at which it failed."""
    logs: dict[str, str] = msgspec.field(default_factory=dict)
    """The end of the log of each server worth looking at."""
    ran: bool = True
    before: Points | None = None
    """Its points before it was graded again. None: it was not."""


class Grade(msgspec.Struct, kw_only=True):
    """One submission."""

    id: str
    """Of the student, from the roster; otherwise the name of the folder or archive."""
    name: str
    """Of the student, from the roster; otherwise the id."""
    folder: str
    """The name under which its files lie in the output folder: the id, as far as that can be a file's name."""
    source: str
    """Where it came from."""
    digest: str = ""
    """SHA-256 over all its files. A submission that has another one is graded anew."""
    outcome: Outcome
    note: str = ""
    """What a person should know, where "graded" does not say it all."""
    points: Points
    max_points: int
    before: Points | None = None
    """The points before the latest regrading. None: there was none."""
    began: float = 0.0
    """When grading it began, in seconds since 1970."""
    seconds: float = 0.0
    """How long grading it took."""
    slot: int = 0
    """Which of the submissions graded at once it was."""
    tests: list[TestGrade]

    def count(self, *statuses: Status) -> int:
        """How many of its tests ended so."""
        return sum(test.status in statuses for test in self.tests)

    @property
    def unclear(self) -> list[TestGrade]:
        """The tests that could not tell."""
        return [test for test in self.tests if test.status == "inconclusive"]


class Effort(msgspec.Struct):
    """What grading took, in one call of the command."""

    began: float
    seconds: float
    submissions: int
    """How many were graded."""
    at_once: int
    """Submissions at once."""
    workers: int
    """Tests at once, of each."""
    where: str
    """Whose processors did it: "this machine", or the cluster's address."""
    busy: float | None
    """The share of this machine's processors' time that was used, by anybody. None: others did the work."""
    limit: str
    """What it was that made it take so long, as a sentence."""


class ClassResult(msgspec.Struct):
    """What `results.json` holds."""

    version: int
    lab: str
    """The labs that were graded."""
    tests: int
    max_points: int
    policy: Policy
    efforts: list[Effort]
    """One for each call of the command that graded anything."""
    submissions: list[Grade]
    """By their ids."""

    @property
    def seconds(self) -> float:
        """How long all of it took."""
        return sum(effort.seconds for effort in self.efforts)


def test_grades(
    catalogue: Iterable[Attempt], attempts: Iterable[Attempt], absent: Mapping[str, str], otherwise: str
) -> list[TestGrade]:
    """An entry for each test of the catalogue, whether it ran or not.

    `absent` says, for the suites that the submission cannot be tested with, why. `otherwise` says why any other test
    did not run.
    """
    done = {runs[0].test: runs for runs in by_test(attempts)}
    return [
        _ran(done[blank.test]) if blank.test in done else _did_not_run(blank, absent.get(blank.suite, otherwise))
        for blank in catalogue
    ]


def _ran(attempts: list[Attempt]) -> TestGrade:
    result = summarise(attempts)
    failure = next((each.failure for each in attempts if each.status == result.status and each.failure), None)
    return TestGrade(
        **msgspec.structs.asdict(result),
        part=attempts[0].part,
        where=failure.where if failure else "",
        logs=failure.logs if failure else {},
    )


def _did_not_run(blank: Attempt, why: str) -> TestGrade:
    attempt = msgspec.structs.replace(blank, status="skipped")
    grade = TestGrade(**msgspec.structs.asdict(summarise([attempt])), part=blank.part, ran=False)
    grade.message = why
    return grade


def points(tests: Iterable[TestGrade]) -> Points:
    """What they are worth together, as a whole number where it is one."""
    total = round(sum(test.points for test in tests), 2)
    return int(total) if total == int(total) else total


def merged(old: Grade, new: Grade, best: bool = False, note_before: bool = True) -> Grade:
    """`old`, with the tests that ran for `new` in the place of its own. With `best`, a test keeps the better result.

    With `note_before`, what was graded again has its old points beside it, and the time is the new one. Without, it is
    as if it had been one grading.
    """
    fresh = {test.id: test for test in new.tests if test.ran}
    tests = []
    for test in old.tests:
        other = fresh.get(test.id)
        before = (test.points if other else None) if note_before else test.before
        chosen = test if other is None or (best and test.points > other.points) else other
        tests.append(msgspec.structs.replace(chosen, before=before))
    told = new if new.outcome != "graded" or all(test.ran for test in tests) else old
    return msgspec.structs.replace(
        new if note_before else old,
        outcome=told.outcome,
        note=told.note,
        tests=tests,
        points=points(tests),
        max_points=sum(test.max_points for test in tests),
        before=old.points if note_before else old.before,
        seconds=new.seconds if note_before else old.seconds + new.seconds,
    )
