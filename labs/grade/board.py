"""What a person sees while submissions are graded: on a terminal a table that moves, elsewhere a line for each."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labs.grade.intake import Entry
from labs.grade.results import Grade
from labs.results import Attempt

LATEST: Final = 6
"""Submissions that are done and still shown, the newest."""
ENOUGH: Final = 0.05
"""The share of all tests that has to be over before anybody guesses how long the rest will take."""
COLOURS: Final = {"graded": "", "timed out": "yellow", "refused": "red", "missing": "dim", "broken": "red"}


@dataclass(slots=True)
class _Row:
    """One that is being graded."""

    tests: int
    since: float
    attempts: list[Attempt] = field(default_factory=list)


class Board:
    """Says how far grading has come."""

    def __init__(self, console: Console, heading: str, todo: int, tests: int) -> None:
        self._console = console
        self._heading = heading
        self._todo = todo
        self._tests = tests
        self._running: dict[str, _Row] = {}
        self._done: list[Grade] = []
        self._began = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While it is entered, a terminal shows it."""
        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=self._now, console=self._console, transient=True, refresh_per_second=4):
            yield

    def begin(self, entry: Entry, tests: int) -> None:
        """One is started."""
        self._running[entry.id] = _Row(tests, time.monotonic())

    def progress(self, entry: Entry, attempts: list[Attempt]) -> None:
        """So far it has come."""
        if entry.id in self._running:
            self._running[entry.id].attempts = attempts

    def finish(self, grade: Grade) -> None:
        """One is over."""
        self._running.pop(grade.id, None)
        self._done.append(grade)
        if not self._console.is_terminal:
            self._console.print(_line(grade), soft_wrap=True)

    def _now(self) -> RenderableType:
        elapsed = time.monotonic() - self._began
        done = len(self._done)
        share = self._finished() / max(self._todo * self._tests, 1)
        left = elapsed / share - elapsed if share > ENOUGH else 0.0
        head = Text.assemble(
            (self._heading, "bold"),
            f"  {done} of {self._todo} submissions  {_clock(elapsed)}",
            f", about {_clock(left)} to go" if left else "",
        )
        bar = Table.grid()  # a bar alone does not end its line
        bar.add_row(ProgressBar(total=max(self._todo * self._tests, 1), completed=self._finished(), width=60))
        table = Table("Submission", "Tests", "", "Points so far", "Seconds", box=None, padding=(0, 2, 0, 0))
        for name, row in self._running.items():
            table.add_row(*_running(name, row))
        lines = [_line(grade) for grade in self._done[-LATEST:]]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(head, bar, table, *lines)

    def _finished(self) -> float:
        return len(self._done) * self._tests + sum(len(row.attempts) for row in self._running.values())


def _running(name: str, row: _Row) -> Iterator[RenderableType]:
    ran = len({attempt.test for attempt in row.attempts})
    failed = len({attempt.test for attempt in row.attempts if attempt.status in ("failed", "error")})
    yield Text(name)
    yield f"{ran} of {row.tests}"
    yield Text(f"{failed} failed" if failed else "", "red")
    yield f"{sum(attempt.points for attempt in row.attempts if attempt.status == 'passed')}"
    yield f"{time.monotonic() - row.since:.0f}"


def _line(grade: Grade) -> Text:
    """What came of one."""
    failed = grade.count("failed", "error")
    return Text.assemble(
        (f"{grade.points:>6g}", "bold"),
        f" of {grade.max_points}  {_plain(grade.id)}",
        f" ({_plain(grade.name)})" if grade.name != grade.id else "",
        (f"  {failed} of {len(grade.tests)} tests failed" if failed else "", "red"),
        (f"  {len(grade.unclear)} inconclusive" if grade.unclear else "", "yellow"),
        (f"  {_plain(grade.note)}" if grade.note else "", COLOURS[grade.outcome]),
        f"  {grade.seconds:.0f} s" if grade.seconds >= 0.5 else "",
    )


def _plain(words: str) -> str:
    """In one line, and without what would steer a terminal: it comes from a submission."""
    return "".join(each if each.isprintable() else " " for each in words)


def _clock(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
