"""Grading one submission: a `lab test` of its own, in a process of its own, which is watched and may be stopped.

The submission's code runs two processes further down. What counts is what the tests tell in `attempts.jsonl`, a line a
test, so whatever had run when the time was over has its points.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from labs.confidence import Policy
from labs.grade.results import Outcome, Points, TestGrade, points, test_grades
from labs.places import root
from labs.results import ATTEMPTS, Attempt, by_test, read_attempts
from labs.sandbox.limits import Limits
from labs.submission import packages
from labs.suites import SUITES
from labs.usage import BAD_USAGE, BadUsage

GRACE: Final = 10.0
"""Seconds that a `lab test` has to clear up when it is told to end."""
WORDS: Final = 2000
"""Characters of what a `lab test` said that are shown if it failed itself."""


class Job(msgspec.Struct):
    """What is to be done for one submission. It travels to the machine that does it."""

    id: str
    tests: list[Attempt]
    """The tests that are meant, as they are before they have run."""
    done: list[Attempt]
    """What an earlier, interrupted run has told of them."""
    workers: int
    limits: Limits | None
    """What its servers may use in their sandbox. None: it is trusted, and has none."""
    seconds: float
    """How long it may take."""
    repeat: int | None
    until_confident: bool
    policy: Policy
    patience: float


class Came(msgspec.Struct):
    """What came of it."""

    outcome: Outcome
    note: str
    tests: list[TestGrade]
    seconds: float

    @property
    def points(self) -> Points:
        """What its tests are worth together."""
        return points(self.tests)


class Running:
    """A job that goes on, or one of which it is known already that there is nothing to run."""

    def __init__(self, job: Job, folder: Path, out: Path) -> None:
        """`folder` has the submission's labs; `out` is new, and keeps what the run leaves."""
        self.job = job
        self._folder = folder
        self._out = out
        self._words = out.with_suffix(".txt")
        """What the `lab test` says."""
        self._began = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._told: float | None = None
        """When it was told to end."""
        self._refused = ""
        self._absent: dict[str, str] = {}
        self._earlier = self._whole(job.done)
        try:
            offered = packages(folder)
        except BadUsage as error:
            self._refused = self._tidy(str(error))
            return
        missing = [suite for suite in SUITES if suite.package not in offered]
        self._absent = {suite.name: f"{suite.package} is not in the submission" for suite in missing}
        finished = {attempt.test for attempt in self._earlier}
        ids = [test.test for test in job.tests if test.suite not in self._absent and test.test not in finished]
        if ids:
            self._start(ids)

    @property
    def attempts(self) -> list[Attempt]:
        """What its tests have told until now."""
        return [*self._earlier, *read_attempts(self._out / ATTEMPTS)]

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._began

    def poll(self) -> Came | None:
        """What came of it, if it is over. Sees to it that it does not go on for too long."""
        if self._process is None:
            return self._came()
        if self._process.poll() is not None:
            return self._came()
        if self._told is None and self.seconds > self.job.seconds:
            self.stop()
        elif self._told is not None and time.monotonic() - self._told > GRACE:
            self._process.kill()
        return None

    def wait(self) -> Came:
        """Waits until it is over."""
        while (came := self.poll()) is None:
            time.sleep(0.1)
        return came

    def stop(self) -> None:
        """Tells it to end. It clears up first."""
        if self._told is None and self._process is not None:
            self._told = time.monotonic()
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    # --- how it is run -----------------------------------------------------------------------------------------------

    def _start(self, ids: list[str]) -> None:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "labs.grade.child", str(os.getpid()), *self._words_of(ids)]
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                cwd=self._out.parent,
                start_new_session=True,  # a Ctrl-C is for the grader, who knows what to do about it
            )

    def _words_of(self, ids: list[str]) -> list[str]:
        """The command line of the submission's `lab test`."""
        job = self.job
        options = {"--repeat": job.repeat, "--policy": job.policy, "--patience": job.patience}
        words = ["test", *(str(root() / each) for each in ids), "--submission", str(self._folder)]
        words += ["--out", str(self._out), "-n", str(job.workers if job.workers > 1 else 0)]
        for option, value in options.items():
            if value is not None:
                words += [option, str(value)]
        words += ["--until-confident"] * job.until_confident
        return words if job.limits is None else [*words, "--sandbox", "--limits", str(job.limits)]

    def _whole(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """The attempts of tests that had all their runs."""
        return [each for runs in by_test(attempts) if len(runs) == (self.job.repeat or 1) for each in runs]

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _came(self) -> Came:
        attempts = self.attempts
        outcome, note = self._ending(attempts)
        tests = test_grades(self.job.tests, attempts, self._absent, note or "it did not run")
        for test in tests:
            test.message = self._tidy(test.message)
            test.where = self._tidy(test.where)
            test.logs = {name: self._tidy(log) for name, log in test.logs.items()}
            test.replay = _replay(test)
        if outcome == "graded":
            note = "; ".join(dict.fromkeys(self._absent[test.suite] for test in tests if test.suite in self._absent))
        return Came(outcome, note, tests, round(self.seconds, 3))

    def _ending(self, attempts: list[Attempt]) -> tuple[Outcome, str]:
        if self._refused:
            return "refused", self._refused
        ran = len({attempt.test for attempt in self._whole(attempts)})
        wanted = sum(test.suite not in self._absent for test in self.job.tests)
        if ran == wanted:
            return "graded", ""
        if self._told is not None:
            return "timed out", f"timed out after {self.job.seconds:g} s; {ran} of {wanted} tests had run"
        assert self._process, "with tests to run there is a process"
        said = self._tidy(self._words.read_text(errors="replace")).strip()
        if self._process.returncode == BAD_USAGE:
            return "refused", said.rpartition("lab: ")[2]
        status = self._process.returncode
        return "broken", f"lab test ended with status {status} after {ran} of {wanted} tests: …{said[-WORDS:]}"

    def _tidy(self, words: str) -> str:
        """Without the folders of this machine: paths are seen from the submission, or from its run."""
        for folder in map(str, (self._folder, self._out)):
            words = words.replace(f"{folder}{os.sep}", "").replace(folder, "the submission")
        return words


def _replay(test: TestGrade) -> str:
    """The command that runs it again, in the student's own repository."""
    found = re.search(r" (test \S+ -k .+?)(?: --submission .*)?$", test.replay)
    return f"./lab {found[1]}" if found else ""
