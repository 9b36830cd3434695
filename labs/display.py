"""What a person sees of `lab test`: what runs now, then a table of verdicts, then each failure and how to repeat it.

`Reporter` is a pytest plugin of the process that leads the run, in the place of pytest's own terminal reporter.
"""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labs.results import Attempt, Failure, Status, TestResult, by_test, folder_name, summarise

COLOURS: Final[dict[Status, str]] = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "skipped": "dim",
    "inconclusive": "yellow",
}
RUNNING_LINES: Final = 8
"""Running tests shown at once."""


class Reporter:
    """Collects what the tests tell, and shows it."""

    def __init__(self, console: Console, heading: str, folder: Path) -> None:
        self.console = console
        self.heading = heading
        self.folder = folder
        """The run's folder, where running tests of the simulation note how far they are."""
        self.attempts: list[Attempt] = []
        self.problems: list[str] = []
        """What went wrong outside of any test, as text."""
        self._started = time.monotonic()
        self._total = 0
        self._running: dict[str, float] = {}
        self._finished = 0
        self._live: Live | None = None

    @contextmanager
    def showing(self) -> Generator[None]:
        """While this lasts, a terminal shows what runs now. Elsewhere each finished test has its line."""
        if not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=self._now, console=self.console, transient=True, refresh_per_second=5) as live:
            self._live = live
            yield
        self._live = None

    # --- what pytest tells -------------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Takes the place of pytest's own reporter."""
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Says how many tests there are."""
        self._total = max(self._total, len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """As `pytest_collection_finish`, from a worker."""
        self._total = len(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file of tests that cannot be read is a problem."""
        if report.failed:
            self.problems.append(report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> None:
        """A mistake in the harness."""
        self.problems.append(str(excrepr))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._running[nodeid] = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test is over. The phase that ran the test carries what it tells."""
        told = getattr(report, "lab", None)
        if told is not None:
            self.attempts.append(msgspec.convert(told, Attempt))
        elif report.failed:  # a worker that died, or a fixture: nothing more is known than pytest's own words
            failure = Failure(report.longreprtext, seed=0, replay="", folder=str(self.folder))
            test = report.nodeid
            self.attempts.append(Attempt(test, test, "", "", "", 0, "error", 1, report.duration, failure=failure))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test is over."""
        self._running.pop(nodeid, None)
        self._finished += 1
        if self._live is None and self.attempts:
            self._line(self.attempts[-1])

    # --- while it runs -----------------------------------------------------------------------------------------------

    def _line(self, attempt: Attempt) -> None:
        seeds = f", {len(attempt.failed_seeds)} of {attempt.runs} seeds failed" if attempt.runs > 1 else ""
        self.console.print(
            Text.assemble(
                (f"{attempt.status:12}", COLOURS[attempt.status]),
                f" {attempt.suite:12} {attempt.title} ({attempt.seconds:.1f} s{seeds})",
            ),
            soft_wrap=True,
        )

    def _now(self) -> RenderableType:
        now = time.monotonic()
        counts = [
            (f"  {sum(attempt.status == status for attempt in self.attempts)} {status}", colour)
            for status, colour in COLOURS.items()
            if any(attempt.status == status for attempt in self.attempts)
        ]
        head = Text.assemble(
            (self.heading, "bold"), f"  {self._finished} of {self._total}", *counts, f"  {now - self._started:.0f} s"
        )
        bar = ProgressBar(total=max(self._total, 1), completed=self._finished, width=60)
        lines = Table.grid(padding=(0, 2))
        running = list(self._running.items())
        for nodeid, started in running[:RUNNING_LINES]:
            lines.add_row(f"{now - started:5.1f} s", nodeid.rpartition("/")[2], self._seeds(nodeid, now - started))
        if len(running) > RUNNING_LINES:
            lines.add_row("", f"and {len(running) - RUNNING_LINES} more", "")
        return Group(head, bar, lines)

    def _seeds(self, nodeid: str, elapsed: float) -> str:
        try:
            done, total, failed = (self.folder / folder_name(nodeid) / "progress").read_text().split()
        except (OSError, ValueError):
            return ""
        rate = int(done) / elapsed if elapsed > 0 else 0
        return f"{done} of {total} seeds, {rate:.0f} a second" + (f", {failed} failed" if int(failed) else "")

    # --- when it is over ---------------------------------------------------------------------------------------------

    def results(self) -> list[TestResult]:
        """One entry a test."""
        return [summarise(attempts) for attempts in by_test(self.attempts).values()]

    def show_results(self) -> None:
        """The table of each lab, and a panel for each test that did not pass."""
        tests = by_test(self.attempts)
        for lab in dict.fromkeys(attempts[0].lab for attempts in tests.values()):
            self.console.print(self._table(lab, [runs for runs in tests.values() if runs[0].lab == lab]))
        for attempts in tests.values():
            failed = [attempt for attempt in attempts if attempt.status != "passed" and attempt.failure]
            if failed:
                self._panel(failed)
        for problem in self.problems:
            self.console.print(
                Panel(Text(problem), title="outside of the tests", border_style="red", title_align="left")
            )

    def _table(self, lab: str, tests: list[list[Attempt]]) -> Table:
        table = Table(title=lab, title_justify="left", title_style="bold", show_footer=True)
        results = [summarise(attempts) for attempts in tests]
        table.add_column("Test", "total", ratio=1)
        table.add_column("Part")
        table.add_column(
            "Points", f"{sum(r.points for r in results):g}/{sum(r.max_points for r in results):g}", justify="right"
        )
        table.add_column("Seconds", f"{sum(result.seconds for result in results):.1f}", justify="right")
        table.add_column("Verdict")
        suite = ""
        for attempts, result in zip(tests, results, strict=True):
            if suite and result.suite != suite:
                table.add_section()
            suite = result.suite
            table.add_row(
                result.title,
                attempts[0].part,
                f"{result.points:g}/{result.max_points:g}",
                f"{result.seconds:.1f}",
                _verdict(result),
            )
        return table

    def _panel(self, attempts: list[Attempt]) -> None:
        first = attempts[0]
        assert first.failure, "only what failed has a panel"
        parts: list[RenderableType] = [Text(first.failure.message)]
        if first.failure.where:
            parts.append(Text(first.failure.where, "dim"))
        for name, tail in first.failure.logs.items():
            parts += [Text(f"\n{name} wrote", "bold"), Text(tail)]
        parts.append(Text(f"\nfiles   {_short(first.failure.folder)}", "dim"))
        if first.failure.replay:
            parts.append(Text(f"replay  {first.failure.replay}", "bold"))
        title = f"{first.suite}: {first.title}" if first.suite else first.title
        self.console.print(
            Panel(Group(*parts), title=Text(title), border_style=COLOURS[first.status], title_align="left")
        )


def _verdict(result: TestResult) -> Text:
    said: str = result.status
    if result.failed_seeds and result.runs > 1:
        said += f" ({len(result.failed_seeds)} of {result.runs})"
    elif result.runs > 1:
        said += f" ({result.runs} times)"
    return Text(said, COLOURS[result.status])


def _short(folder: str) -> str:
    """A path as one would type it from here."""
    shorter = os.path.relpath(folder)
    return folder if shorter.startswith("..") else shorter
