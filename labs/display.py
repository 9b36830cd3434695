"""What a person sees of `lab test`: what runs now, then a table of verdicts, then each failure and how to repeat it.

`Reporter` is a pytest plugin of the process that leads the run, in the place of pytest's own terminal reporter.
"""

import sys
import time
from collections.abc import Callable
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

from labs import jsonlines
from labs.places import short
from labs.plugin import RUN
from labs.results import ATTEMPTS, Attempt, Failure, Status, TestResult, by_test, folder_name, summarise
from labs.usage import discard

COLOURS: Final[dict[Status, str]] = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "skipped": "dim",
    "inconclusive": "yellow",
}
RUNNING_LINES: Final = 8
"""Running tests shown at once."""


class Terminal(Console):
    """Standard output. When nobody reads it any more (`lab test | head`), the tests go on, in silence."""

    def on_broken_pipe(self) -> None:
        """What is still to be said goes nowhere."""
        self.quiet = True
        discard(self.file.fileno(), sys.__stdout__.fileno() if sys.__stdout__ else 1)


class Reporter:
    """Collects what the tests tell, and shows it."""

    def __init__(
        self,
        console: Console,
        heading: str,
        expected: dict[str, Attempt],
        report: "Callable[[Reporter], Path | None]",
    ) -> None:
        """`report` writes the report, if there is anything to report, and says where."""
        self.console = console
        self.heading = heading
        self._report = report
        self._expected = expected
        """What is known beforehand of each pytest item, by its id, in the order of their files."""
        self.folder = Path()
        """The run's folder."""
        self._attempts: dict[str, Attempt] = {}
        """What each finished pytest item told."""
        self.problems: list[str] = []
        """What went wrong outside of any test, as text."""
        self.interrupted = False
        """Whether somebody ended the run before its time."""
        self._started = time.monotonic()
        self._running: dict[str, float] = {}
        self._finished = 0
        self._live: Live | None = None

    # --- what pytest tells -------------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Takes the place of pytest's own reporter."""
        config.pluginmanager.unregister(name="terminalreporter")
        run = config.stash[RUN]
        run.make_folder()
        self.folder = run.folder

    def pytest_sessionstart(self) -> None:
        """From now on a terminal shows what runs. Elsewhere each finished test has its line."""
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._now, console=self.console, transient=True, refresh_per_second=5)
            self._live.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self) -> None:
        """Shows what came of the tests."""
        if self._live is not None:
            self._live.stop()
        self._show_results()

    def pytest_keyboard_interrupt(self) -> None:
        """Somebody had enough."""
        self.interrupted = True

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
            self._attempts[report.nodeid] = msgspec.convert(told, Attempt)
        elif report.failed and report.nodeid not in self._attempts:  # its worker died, say: pytest's words are all
            self._attempts[report.nodeid] = attempt = self._expected[report.nodeid]
            attempt.failure = Failure(report.longreprtext, seed=0, replay="", folder=str(self.folder))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test is over."""
        self._running.pop(nodeid, None)
        self._finished += 1
        if nodeid in self._attempts:
            jsonlines.append(self.folder / ATTEMPTS, self._attempts[nodeid])
            if self._live is None:
                self._line(self._attempts[nodeid])

    # --- while it runs -----------------------------------------------------------------------------------------------

    def _line(self, attempt: Attempt) -> None:
        failed = f", {len(attempt.failed_seeds)} failed" if attempt.failed_seeds else ""
        rate = f" at {attempt.runs / attempt.seconds:.1f} a second" if attempt.runs > 1 and attempt.seconds else ""
        seeds = f", {attempt.runs} seeds{rate}{failed}" if attempt.world == "sim" else ""
        self.console.print(
            Text.assemble(
                (f"{attempt.status:12}", COLOURS[attempt.status]),
                f" {attempt.world:7} {attempt.suite:11} {attempt.title} ({attempt.seconds:.1f} s{seeds})",
            ),
            soft_wrap=True,
        )

    def _now(self) -> RenderableType:
        now = time.monotonic()
        counts = [("  ", ""), *_counts([attempt.status for attempt in self._attempts.values()])]
        head = Text.assemble(
            (self.heading, "bold"),
            f"  {self._finished} of {len(self._expected)}",
            *counts,
            f"  {now - self._started:.0f} s",
        )
        bar = Table.grid()  # a bar alone does not end its line
        bar.add_row(ProgressBar(total=max(len(self._expected), 1), completed=self._finished, width=60))
        lines = Table.grid(padding=(0, 2))
        running = list(self._running.items())
        for nodeid, started in running[:RUNNING_LINES]:
            lines.add_row(f"{now - started:5.1f} s", str(folder_name(nodeid)), self._seeds(nodeid, now - started))
        if len(running) > RUNNING_LINES:
            lines.add_row("", f"and {len(running) - RUNNING_LINES} more", "")
        return Group(head, bar, lines)

    def _seeds(self, nodeid: str, elapsed: float) -> str:
        try:
            done, total, failed = (self.folder / folder_name(nodeid) / "progress").read_text().split()
        except (OSError, ValueError):
            return ""
        rate = int(done) / elapsed if elapsed > 0 else 0
        so_far = f"{done} of {total} seeds, {rate:.0f} a second"
        if self._expected[nodeid].world == "process":  # how many it takes, nobody knows beforehand
            so_far = f"{done} runs"
        return so_far + (f", {failed} failed" if int(failed) else "")

    # --- when it is over ---------------------------------------------------------------------------------------------

    def results(self) -> list[TestResult]:
        """One entry a test."""
        return [summarise(attempts) for attempts in self._tests()]

    def max_points(self, lab: str | None = None) -> int:
        """What all tests that are to run are worth, or those of one lab."""
        tests = by_test(each for each in self._expected.values() if lab in (None, each.lab))
        return sum(attempts[0].points for attempts in tests)

    def attempts(self) -> list[Attempt]:
        """What each finished pytest item told, in the order of their files."""
        return [attempt for attempts in self._tests() for attempt in attempts]

    def _tests(self) -> list[list[Attempt]]:
        """The attempts at each test, in the order of their files."""
        return by_test(self._attempts[nodeid] for nodeid in self._expected if nodeid in self._attempts)

    def _show_results(self) -> None:
        """The table of each lab, and a panel for each way in which tests failed."""
        tests = self._tests()
        for lab in dict.fromkeys(attempts[0].lab for attempts in tests):
            self.console.print(self._table(lab, [attempts for attempts in tests if attempts[0].lab == lab]))
        for alike in _alike(tests):
            self._panel(alike)
        for problem in self.problems:
            self.console.print(
                Panel(Text(problem), title="outside of the tests", border_style="red", title_align="left")
            )
        report = self._report(self)
        if report is not None:
            self.console.print(Text(f"report  {short(report)}", "bold"), soft_wrap=True)
        counts = _counts([summarise(attempts).status for attempts in tests])
        took = f"{' in' if counts else 'after'} {time.monotonic() - self._started:.1f} s; files in {short(self.folder)}"
        stopped = ("interrupted: ", "red") if self.interrupted else ""
        self.console.print(Text.assemble(stopped, *counts, took), soft_wrap=True)

    def _table(self, lab: str, tests: list[list[Attempt]]) -> Table:
        table = Table(title=lab, title_justify="left", title_style="bold", show_footer=True)
        results = [summarise(attempts) for attempts in tests]
        points = f"{sum(r.points for r in results):g}/{self.max_points(lab):g}"
        table.add_column("Test", "total", ratio=1)
        table.add_column("Part")
        table.add_column("World")
        table.add_column("Points", points, justify="right")
        table.add_column("Seconds", f"{sum(result.seconds for result in results):.1f}", justify="right")
        table.add_column("Verdict")
        suite = ""
        for attempts, result in zip(tests, results, strict=True):
            if result.suite != suite:
                suite = result.suite
                table.add_section()
                table.add_row(Text(suite, "bold"))
            worth = f"{result.points:g}/{result.max_points:g}" if result.max_points else ""
            part, world = attempts[0].part, attempts[0].world
            table.add_row(result.title, part, world, worth, f"{result.seconds:.1f}", _verdict(attempts, result))
        return table

    def _panel(self, alike: list[Attempt]) -> None:
        """What came of tests that failed in the same way, as the first of them tells it."""
        attempt = alike[0]
        assert attempt.failure, "only what failed has a panel"
        parts: list[RenderableType] = [Text(attempt.failure.message)]
        if attempt.failure.where:
            parts.append(Text(attempt.failure.where, "dim"))
        if attempt.failure.stuck:
            parts.append(Text(f"\n{attempt.failure.stuck}"))
        for name, tail in attempt.failure.logs.items():
            parts += [Text(f"\n{name} wrote", "bold"), Text(tail)]
        title = f"{attempt.suite} ({attempt.world}): {attempt.title}"
        if len(alike) > 1:
            title = f"{attempt.world} world: {len(alike)} tests fail in the same way"
            parts += [Text("\nSo it is in these tests:", "bold"), Text("\n".join(map(_name, alike)), overflow="fold")]
        colour = COLOURS[attempt.status]
        self.console.print(Panel(Group(*parts), title=Text(title), border_style=colour, title_align="left"))
        # Not in the panel: a long line of it could not be copied in one piece.
        if attempt.failure.again:
            self.console.print(Text(attempt.failure.again), soft_wrap=True)
        self.console.print(Text(f"files   {short(Path(attempt.failure.folder))}"), soft_wrap=True)
        if attempt.failure.replay:
            self.console.print(Text(f"replay  {attempt.failure.replay}", "bold"), soft_wrap=True)
            if attempt.failure.shrink:
                self.console.print(Text(f"shrink  {attempt.failure.shrink}"), soft_wrap=True)
            if attempt.failure.debug:
                self.console.print(Text(f"debug   {attempt.failure.debug}"), soft_wrap=True)
            self.console.print()


def _alike(tests: list[list[Attempt]]) -> list[list[Attempt]]:
    """The first failed attempt of each test, those together that failed in the same way."""
    groups: dict[tuple[str, str, str], list[Attempt]] = {}
    for attempts in tests:
        failed = next((attempt for attempt in attempts if attempt.failure), None)
        if failed is not None and failed.failure is not None:
            groups.setdefault((failed.world, failed.status, failed.failure.kind()), []).append(failed)
    return list(groups.values())


def _name(attempt: Attempt) -> str:
    """What a test is called, as in `pbservice::test_basic`."""
    return f"{attempt.suite}::{folder_name(attempt.test).name.removesuffix(f'.{attempt.world}')}"


def _counts(statuses: list[Status]) -> list[tuple[str, str]]:
    """How often each status occurs, as coloured text."""
    said = [(f"{statuses.count(status)} {status}", COLOURS[status]) for status in COLOURS if status in statuses]
    return [part for number, each in enumerate(said) for part in ([(", ", "")] if number else []) + [each]]


def _verdict(attempts: list[Attempt], result: TestResult) -> Text:
    said: str = result.status
    if result.runs > 1 and attempts[0].world == "sim":
        failed = len(result.failed_seeds)
        said += f" ({f'{failed} of {result.runs} seeds failed' if failed else f'{result.runs} seeds'})"
    elif result.runs > 1:
        said += f" ({result.passes} of {result.runs} passed)"
        if result.interval:
            low, high = result.interval
            said += f"\n{low:.0%} to {high:.0%}" + (f", {result.decision}" if result.decision else "")
    if result.starved:
        said += f"\n{result.starved} more failed, the machine too busy to tell"
    return Text(said, COLOURS[result.status])
