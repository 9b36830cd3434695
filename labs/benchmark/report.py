"""How fast a report opens and moves: `python -m labs.benchmark.report`, in Chromium without a window or a GPU.

Opening is from the address to the first picture. Then the picture is moved, zoomed and filtered, one step a frame: a
frame's time is that from one picture of the screen to the next, which is 16.7 ms at best. Processor time is that of the
page's main thread, and says something on a busy machine, too.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, CDPSession
from rich.console import Console
from rich.table import Table

from labs.benchmark.traces import made_up
from labs.report.browser import MISSING, chromium, program
from labs.report.gathering import gather
from labs.report.showing import write
from labs.traces import events

SIZES: Final = (1_000, 10_000, 100_000)
ROUNDS: Final = 3
"""Times that each report is opened."""
STEPS: Final = 60
"""Frames of each movement."""
MOVES: Final = {
    "moving, all in sight": ("diagram.fit(); diagram.zoom(1.3)", "diagram._pan(diagram.plan.length / 900)"),
    "moving, a hundredth in sight": ("diagram.fit(); diagram.zoom(100)", "diagram._pan(diagram.plan.length / 90000)"),
    "zooming in": ("diagram.fit()", "diagram.zoom(1.06)"),
}
"""What comes first, and what is done before each frame."""
MOVE: Final = """async ([first, step, steps]) => {
  const {diagram} = report, begin = new Function("diagram", first), next = new Function("diagram", step), times = [];
  begin(diagram);
  await new Promise(requestAnimationFrame);
  let before = await new Promise(requestAnimationFrame);
  for (let i = 0; i < steps; i++) {
    next(diagram);
    const now = await new Promise(requestAnimationFrame);
    times.push(now - before);
    before = now;
  }
  return times;
}"""


class Measured:
    """What came of opening one report and moving in it, a value each time: milliseconds."""

    def __init__(self) -> None:
        self.opened: list[float] = []
        self.opened_work: list[float] = []
        self.frames: dict[str, list[float]] = {name: [] for name in MOVES}
        self.work: dict[str, list[float]] = {name: [] for name in MOVES}
        """What one frame took of the page's processor time, the mean of each movement."""

    def measure(self, browser: Browser, file: Path) -> None:
        """One round."""
        # What is measured makes functions of text, which the page's policy forbids to the page itself.
        context = browser.new_context(viewport={"width": 1400, "height": 900}, bypass_csp=True)
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(file.as_uri())
        page.evaluate("report.ready")
        self.opened.append(page.evaluate("report.opened"))
        before = _work(session)
        self.opened_work.append(before)
        for name, (first, step) in MOVES.items():
            self.frames[name] += page.evaluate(MOVE, [first, step, STEPS])
            after = _work(session)
            self.work[name].append((after - before) / STEPS)
            before = after
        context.close()


def _work(session: CDPSession) -> float:
    """Milliseconds of processor time that the page has taken until now, whatever else the machine did."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


def main() -> int:
    """Prints the table. Returns the exit status."""
    if not program():
        print(f"lab: {MISSING}", file=sys.stderr)
        return 2
    table = Table("milliseconds", *(f"{size:,} events" for size in SIZES))
    for column in table.columns[1:]:
        column.justify = "right"
    columns: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for size in SIZES:
            trace = Path(folder) / f"{size}.jsonl"
            events.write(trace, *made_up(size))
            file = write(trace.with_suffix(".html"), gather(trace))
            found = Measured()
            for _ in range(ROUNDS):
                found.measure(browser, file)
            columns.append([f"{file.stat().st_size / 1e6:.2f} MB", _between(found.opened), _between(found.opened_work)])
            columns[-1] += [_frames(found.frames[name]) for name in MOVES]
            columns[-1] += [_between(found.work[name]) for name in MOVES]
    names = ["size", "opening: median (range)", "opening: processor time"]
    names += [f"{name}, a frame: median, p99" for name in MOVES]
    names += [f"{name}, a frame: processor time" for name in MOVES]
    for row in zip(names, *columns, strict=True):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 0


def _between(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def _frames(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}, {sorted(values)[int(len(values) * 0.99)]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
