"""`lab test --watch`: runs the tests again whenever the code has changed, those first that failed last.

Each run is a process of its own, the same `lab test` that a person would call, so nothing of one run can linger in the
next. A change ends the run that goes on: its verdict would be about code that is gone.
"""

import ast
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import watchfiles
from rich.console import Console
from rich.text import Text

from labs import testing
from labs.places import packages_folder, root, runs_folder, short
from labs.process import system
from labs.results import RunResult
from labs.submission import FILE, commands, module_path
from labs.suites import BORROWS
from labs.usage import INTERRUPTED, BadUsage, handled

LOOK_EVERY: Final = 100
"""Milliseconds between two looks at whether the run is over."""
STOP_WITHIN: Final = 20.0
"""Seconds that an interrupted run may take to clear up. After that it is killed, and its keepers clear up."""
SUFFIX: Final = ".py"


class Plan:
    """Which tests have to run: after a change those that failed last, and once these pass, the rest."""

    def __init__(self, tests: Iterable[str]) -> None:
        self.tests = list(tests)
        self.failed: set[str] = set()
        """What did not pass when it ran last."""
        self._due = set(self.tests)
        """What has not run since the last change."""

    def change(self) -> None:
        """The code is another: nothing that is known of it holds any longer."""
        self._due = set(self.tests)

    def next(self) -> list[str]:
        """The tests of the next run. None: there is nothing to run until something changes."""
        again = [test for test in self.tests if test in self._due & self.failed]
        return again or ([] if self.failed else [test for test in self.tests if test in self._due])

    def note(self, results: Mapping[str, bool]) -> None:
        """What came of tests: whether each of them passed."""
        self._due -= set(results)
        self.failed -= {test for test, passed in results.items() if passed}
        self.failed |= {test for test, passed in results.items() if not passed}

    def give_up(self) -> None:
        """The run could not tell: what was due waits for the next change."""
        self._due.clear()

    def verdict(self) -> str:
        """What is known, in one line."""
        if self._due:
            return f"{len(self.tests) - len(self._due)} of {len(self.tests)} have run"
        if self.failed:
            return f"{len(self.failed)} of {len(self.tests)} did not pass"
        return f"all {len(self.tests)} passed"


def watch(request: testing.Request) -> int:
    """Runs the tests, and again after each change, until somebody interrupts it. Returns the exit status.

    Raises `BadUsage`.
    """
    for option in ("json", "junit", "out"):
        if getattr(request, option) is not None:
            raise BadUsage(f"expected --watch without --{option}: there are many runs, and it is for one")
    suites, tests = testing.selected(request)
    own = [suite.package for suite in suites]
    borrowed = [package for each in own for package in BORROWS.get(each, ())]
    folders = watched(request.submission, dict.fromkeys([*own, *borrowed]))
    console = Console(highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="lab-watch-") as place:
        watcher = _Watcher(request, Plan(tests), folders, console, Path(place) / "result.json")
        try:
            watcher.go_on()
            for changes in watchfiles.watch(
                *folders,
                watch_filter=watchfiles.DefaultFilter(ignore_paths=[runs_folder()]),
                rust_timeout=LOOK_EVERY,
                yield_on_timeout=True,
            ):
                if changes:
                    watcher.changed(sorted({Path(file) for _, file in changes}))
                watcher.look()
        except KeyboardInterrupt:
            with handled(signal.SIGINT, signal.SIG_IGN):  # what has to be cleared up will be, whoever is impatient
                watcher.stop()
        console.print("\nno longer watching")
    return INTERRUPTED


def watched(submission: Path | None, packages: Iterable[str]) -> list[Path]:
    """Where a change means another run: the packages that are tested, or all of a submission that is a command."""
    programs = commands(submission) if submission else {}
    folders: list[Path] = []
    for package in packages:
        if submission and package in programs:
            return [submission]
        places = [*module_path(submission, package), packages_folder()]
        folders += [place / package for place in places if (place / package).is_dir()][:1]
    return folders + [file for file in [submission and submission / FILE] if file and file.is_file()]


def syntax_errors(folders: Iterable[Path]) -> Iterator[str]:
    """What Python cannot read in these folders, in words. Nothing is executed."""
    for folder in folders:
        for file in sorted(folder.rglob(f"*{SUFFIX}")):
            try:
                ast.parse(file.read_bytes(), str(file))
            except SyntaxError as error:
                column = max(0, min(error.offset or 1, len(error.text or "") + 1) - 1)
                line = (error.text or "").rstrip("\n").expandtabs()
                yield f"{short(file)}, line {error.lineno}: {error.msg}\n    {line}\n    {' ' * column}^"
            except (ValueError, RecursionError, MemoryError) as error:
                yield f"{short(file)}: {error or type(error).__name__}"
            except OSError:
                continue  # it was there a moment ago: the next change will tell


class _Watcher:
    """At most one run at a time, and what a person is told between two of them."""

    def __init__(
        self, request: testing.Request, plan: Plan, folders: list[Path], console: Console, results: Path
    ) -> None:
        self._request = request
        self._plan = plan
        self._folders = folders
        self._console = console
        self._results = results
        self._run: subprocess.Popen[bytes] | None = None

    def changed(self, files: list[Path]) -> None:
        """Ends what runs, and begins anew."""
        self.stop()
        self._note()
        self._plan.change()
        self.go_on(f"{short(files[0])} has changed" + (f", and {len(files) - 1} more" if len(files) > 1 else ""))

    def look(self) -> None:
        """Goes on if a run is over."""
        if self._run is not None and self._run.poll() is not None:
            self._run = None
            if not self._note():
                self._plan.give_up()
            self.go_on()

    def go_on(self, why: str = "") -> None:
        """Starts the next run, or says what is known and that it waits."""
        tests = self._plan.next()
        if not tests:
            self._say(f"{self._plan.verdict()}; {self._waits()}")
            return
        if why and self._console.is_terminal:
            self._console.clear()
        wrong = list(syntax_errors(self._folders))
        if wrong:
            self._plan.give_up()
            self._say("\n\n".join(wrong), "red")
            self._say(f"Python cannot read this, so nothing was run; {self._waits()}")
            return
        which = "" if len(tests) == len(self._plan.tests) else "the rest: "
        if self._plan.failed:
            which = "first what failed last: "
        self._say(f"{why and why + '; '}{which}{len(tests)} of {len(self._plan.tests)} tests")
        self._results.unlink(missing_ok=True)
        self._run = subprocess.Popen(
            [sys.executable, "-m", "labs", "test", *words(self._request, tests), "--json", str(self._results)],
            stdin=subprocess.DEVNULL,
            process_group=0,  # a Ctrl-C comes to us, and we pass it on once
            preexec_fn=partial(system.die_with_parent, os.getpid()),
        )

    def stop(self) -> None:
        """Ends the run, if one goes on, as a Ctrl-C would. Returns when it has cleared up."""
        if self._run is None:
            return
        self._run.send_signal(signal.SIGINT)
        try:
            self._run.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._run.kill()
            self._run.wait()
        self._run = None

    def _note(self) -> bool:
        """Remembers what the last run has found. Whether it has found anything."""
        try:
            found = msgspec.json.decode(self._results.read_bytes(), type=RunResult)
        except (OSError, msgspec.MsgspecError):
            return False
        passed: dict[str, bool] = {}
        for test in found.tests:  # in both worlds, it has to pass in both
            name = test.id.partition("[")[0]
            passed[name] = passed.get(name, True) and test.status == "passed"
        self._plan.note(passed)
        return True

    def _waits(self) -> str:
        return f"watching {', '.join(map(short, self._folders))}, Ctrl-C ends it"

    def _say(self, text: str, colour: str = "bold") -> None:
        self._console.print(Text(text, colour))


def words(request: testing.Request, tests: Iterable[str]) -> list[str]:
    """The words after `lab test` that run these tests as the request wants it."""
    words = [str(root() / test) for test in tests]
    for name, value in asdict(replace(request, targets=(), keyword=None)).items():
        option = "-n" if name == "workers" else f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False and value != ():
            words += [option, str(value)]
    return words
