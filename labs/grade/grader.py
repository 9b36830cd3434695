"""One call of `lab grade` or `lab regrade`: hands out what is to be done, and puts down what came of it."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self

import psutil
from rich.console import Console
from rich.text import Text

from labs.display import Terminal
from labs.grade import budget, here, intake, report
from labs.grade.board import Board
from labs.grade.intake import Entry
from labs.grade.job import Came, Job, Running
from labs.grade.journal import Began, Graded, Journal, Opened, Worked, now
from labs.grade.results import VERSION, ClassResult, Effort, Grade, Outcome, merged, test_grades
from labs.places import command, short
from labs.results import ATTEMPTS, Attempt, read_attempts
from labs.sandbox.limits import Limits
from labs.usage import INCONCLUSIVE, INTERRUPTED, PASSED, BadUsage, interruptible

WIDTH: Final = 120
"""Characters in a line where there is no terminal."""
REPORT_EVERY: Final = 10.0
"""Seconds, at least, between two times that the files of the class are written while grading goes on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """By what means submissions are graded. None of it changes what comes of a correct or a wrong one."""

    at_once: int | None = None
    workers: int | None = None
    """Submissions at once, and tests of each. None: as many as this machine bears."""
    limits: Limits | None = None
    """What a submission may use in its sandbox. None: it is trusted, and has none."""
    seconds: float = 3600.0
    """How long a submission may take."""
    cluster: str | None = None
    """The address of a Dask scheduler. None: this machine does the work."""

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> Self:
        """Takes what it is about out of the options of a command line. Raises `BadUsage`."""
        limits, seconds, sandbox = options.pop("limits"), options.pop("seconds"), options.pop("sandbox")
        if limits is not None and not sandbox:
            raise BadUsage("--limits are kept by the sandbox: leave out --no-sandbox")
        given = Limits.parse(limits or "")
        rest = {name: options.pop(name) for name in ("at_once", "workers", "cluster")}
        return cls(limits=given if sandbox else None, seconds=seconds or given.seconds, **rest)


@dataclass(slots=True)
class Submission:
    """A submission that was taken in."""

    entry: Entry
    digest: str = ""
    """Of its files. Empty if there are none."""
    refused: str = ""
    """Why it cannot be graded."""
    links: int = 0
    """Links that were left out of it."""


class Grader:
    """One call of the command: hands out what is to be done, and puts down what came of it."""

    def __init__(
        self,
        out: Path,
        journal: Journal,
        opened: Opened,
        plan: Plan,
        gradescope: Path | None = None,
        wanted: dict[str, set[str]] | None = None,
        best: bool = False,
    ) -> None:
        self._out = out.absolute()
        self._journal = journal
        self._opened = opened
        self._plan = plan
        self._gradescope = gradescope
        self._wanted = wanted
        """For regrading: the tests of each submission that are meant."""
        self._best = best
        self._clearing_up = False
        """Whether what could not tell is run again, with nothing beside it."""
        self._submissions: dict[str, Submission] = {}
        self._began: dict[str, float] = {}
        self._failed_once: set[str] = set()
        self._done: list[Grade] = []
        self._reported = 0.0
        self._board: Board

    def wants(self, submission: Submission) -> bool:
        """Whether it has to be graded: it has no grade yet, has changed, or the harness failed with it."""
        grade = self._journal.grades.get(submission.entry.id)
        if grade is None or grade.digest != submission.digest or grade.outcome == "broken":
            return True
        return not submission.digest and (grade.outcome, grade.note) != _without_files(submission)

    def run(self, todo: list[Submission], kept: int) -> int:
        """Grades them, and writes all files. `kept` others have their grade already. Returns the exit status."""
        self._submissions = {each.entry.id: each for each in todo}
        for each in todo:
            if not each.digest:
                outcome, note = _without_files(each)
                self._put_down(each, Came(outcome, note, test_grades(self._opened.catalogue, [], {}, note), 0.0), 0)
        runnable = [each for each in todo if each.digest]
        shared = budget.share(len(runnable), self._plan.at_once, self._plan.workers)
        console = Terminal(width=None if sys.stdout.isatty() else WIDTH)
        labs = " ".join(dict.fromkeys(test.lab for test in self._opened.catalogue))
        heading = f"{labs}, {shared.at_once} at once" + (f" with {shared.workers} workers" * (shared.workers > 1))
        if kept:
            console.print(f"{kept} of {kept + len(todo)} submissions have their grade already", highlight=False)
        self._board = Board(console, heading, len(runnable), len(self._opened.catalogue))
        interrupted = False
        with interruptible():
            try:
                if runnable:
                    self._measure(runnable, shared)
            except KeyboardInterrupt:
                interrupted = True
            result = self.result()
            for grade in result.submissions:
                report.write_student(self._out, grade, self._gradescope)
            report.write_class(self._out, result)
        _show(console, result, self._out)
        if interrupted:
            again = "interrupted: the same command goes on from here" if self._wanted is None else "interrupted"
            console.print(Text(again, "red"))
            return INTERRUPTED
        unclear = any(grade.unclear or grade.outcome == "broken" for grade in result.submissions)
        return INCONCLUSIVE if unclear else PASSED

    def _measure(self, runnable: list[Submission], shared: budget.Share) -> None:
        """Does the work, and notes what it took, however it ends."""
        cluster = self._plan.cluster
        began, clock, used = now(), time.monotonic(), _busy_seconds()
        try:
            with self._board.shown():
                jobs = [(each.entry, self._job(each, shared.workers)) for each in runnable]
                if cluster is None:
                    here.run(jobs, shared.at_once, self)
                    self._clear_up()
                else:
                    shared = _machines().run(cluster, jobs, self)
        finally:
            seconds = time.monotonic() - clock
            busy = None if cluster else min(1.0, (_busy_seconds() - used) / (seconds * (psutil.cpu_count() or 1)))
            effort = Effort(
                began=began,
                seconds=round(seconds, 3),
                submissions=len(self._done),
                at_once=shared.at_once,
                workers=shared.workers,
                where=cluster or "this machine",
                busy=busy,
                limit=budget.limit(seconds, shared, busy, self._done),
            )
            self._journal.add(Worked(effort, now()))

    def _clear_up(self) -> None:
        """Tests that could not tell are run again, one after the other and with nothing beside them."""
        unclear = [each for each in self._done if each.unclear]
        if not unclear:
            return
        self._clearing_up = True
        self._wanted = {grade.id: {test.id for test in grade.unclear} for grade in unclear}
        jobs = [(self._submissions[each.id].entry, self._job(self._submissions[each.id], 1)) for each in unclear]
        here.run(jobs, 1, self)

    def _meant(self, name: str) -> list[Attempt]:
        """The tests that are to be run for one."""
        tests = self._opened.catalogue
        return tests if self._wanted is None else [test for test in tests if test.test in self._wanted[name]]

    def _job(self, submission: Submission, workers: int) -> Job:
        settings = self._opened.settings
        name = submission.entry.id
        return Job(
            id=name,
            tests=self._meant(name),
            done=self._told_before(submission) if self._wanted is None else [],
            workers=workers,
            limits=self._plan.limits,
            seconds=self._plan.seconds,
            repeat=settings.repeat,
            until_confident=settings.until_confident,
            policy=settings.policy,
            patience=settings.patience,
        )

    def _told_before(self, submission: Submission) -> list[Attempt]:
        """What runs that were interrupted have told of the same files."""
        runs = [run for run in self._journal.begun.get(submission.entry.id, []) if run.digest == submission.digest]
        return [attempt for run in runs if run.run for attempt in read_attempts(self._out / run.run / ATTEMPTS)]

    # --- what here.run and cluster.run ask for -----------------------------------------------------------------------

    def folder(self, entry: Entry) -> Path:
        """Where its labs are."""
        return labs_folder(self._out, entry)

    def begin(self, entry: Entry, job: Job, slot: int) -> Running:
        """Starts one on this machine."""
        run = f"{report.RUNS}/{entry.folder}/{self._journal.runs.get(entry.id, 0) + 1}"
        self.begun(entry, run)
        return Running(job, self.folder(entry), self._out / run)

    def begun(self, entry: Entry, run: str) -> None:
        """Puts down that one has begun."""
        self._journal.add(Began(entry.id, self._submissions[entry.id].digest, run, now()))
        self._began[entry.id] = now()
        self._board.begin(entry, len(self._meant(entry.id)))

    def progress(self, entry: Entry, attempts: list[Attempt]) -> None:
        """So far it has come. Gradescope's file is there as soon as the first test is over."""
        self._board.progress(entry, attempts)
        if self._wanted is None and attempts:
            tests = test_grades(self._opened.catalogue, attempts, {}, "not run yet")
            so_far = self._grade(self._submissions[entry.id], Came("graded", "", tests, 0.0), 0)
            so_far.note = f"{sum(test.ran for test in tests)} of {len(tests)} tests have run until now"
            report.write_gradescope(self._out, so_far, self._gradescope)

    def finish(self, entry: Entry, came: Came, slot: int) -> bool:
        """Puts down what came of one, unless the harness failed for the first time: then it is done once more."""
        if came.outcome == "broken" and entry.id not in self._failed_once:
            self._failed_once.add(entry.id)
            return True
        grade = self._put_down(self._submissions[entry.id], came, slot)
        report.write_student(self._out, grade, self._gradescope)
        self._board.finish(grade)
        if time.monotonic() - self._reported > REPORT_EVERY:
            self._reported = time.monotonic()
            report.write_class(self._out, self.result())
        return False

    def _put_down(self, submission: Submission, came: Came, slot: int) -> Grade:
        grade = self._grade(submission, came, slot)
        old = self._journal.grades.get(grade.id)
        if self._wanted is not None and old is not None:
            grade = merged(old, grade, self._best, note_before=not self._clearing_up)
        self._journal.add(Graded(grade, now()))
        self._done = [each for each in self._done if each.id != grade.id] + [grade]
        return grade

    def _grade(self, submission: Submission, came: Came, slot: int) -> Grade:
        entry = submission.entry
        left_out = f"links were left out ({submission.links})" if submission.links else ""
        return Grade(
            id=entry.id,
            name=entry.name,
            folder=entry.folder,
            source=str(entry.source or ""),
            digest=submission.digest,
            outcome=came.outcome,
            note="; ".join(filter(None, (came.note, left_out))),
            points=came.points,
            max_points=sum(test.max_points for test in came.tests),
            began=self._began.get(entry.id, now()),
            seconds=came.seconds,
            slot=slot,
            tests=came.tests,
        )

    def result(self) -> ClassResult:
        """All grades that there are."""
        tests = self._opened.catalogue
        return ClassResult(
            version=VERSION,
            lab=" ".join(dict.fromkeys(test.lab for test in tests)),
            tests=len(tests),
            max_points=sum(test.points for test in tests),
            policy=self._opened.settings.policy,
            efforts=self._journal.efforts,
            submissions=[self._journal.grades[name] for name in sorted(self._journal.grades)],
        )


def _machines() -> ModuleType:
    """What grades on a cluster. Raises `BadUsage` where Dask is not installed."""
    try:
        from labs.grade import cluster
    except ImportError as error:
        raise BadUsage(f"--cluster needs Dask: pip install 'distributed-systems-labs[cluster]' ({error})") from None
    return cluster


def _without_files(submission: Submission) -> tuple[Outcome, str]:
    return ("refused", submission.refused) if submission.refused else ("missing", "nothing was handed in")


def _busy_seconds() -> float:
    """For how long the processors have been busy, together, since the machine was started."""
    times = psutil.cpu_times()
    return float(sum(times[:3]) + sum(getattr(times, name, 0.0) for name in ("irq", "softirq", "steal")))


def labs_folder(out: Path, entry: Entry) -> Path:
    return intake.labs_folder(out.absolute() / report.SUBMISSIONS / entry.folder)


def _show(console: Console, result: ClassResult, out: Path) -> None:
    """What it amounts to, in a few lines."""
    all_points = sorted(grade.points for grade in result.submissions)
    if all_points:
        middle = all_points[len(all_points) // 2]
        told = f"{len(all_points)} submissions, {result.tests} tests: {all_points[0]:g} to {all_points[-1]:g} of"
        console.print(f"{told} {result.max_points} points, the middle one {middle:g}", highlight=False, soft_wrap=True)
    if result.efforts:
        last = result.efforts[-1]
        console.print(f"took {last.seconds:.0f} s. {last.limit}", highlight=False, soft_wrap=True)
    unclear = sum(bool(grade.unclear) for grade in result.submissions)
    if unclear:
        again = f"{command()} regrade {short(out)} --only inconclusive"
        console.print(f"in {unclear} submissions a test could not tell; again: {again}", style="yellow", soft_wrap=True)
    console.print(f"grades  {short(out / report.GRADES)}\npage    {short(out / report.CLASS_PAGE)}", soft_wrap=True)
