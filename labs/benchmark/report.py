"""How fast a report opens and moves: `python -m labs.benchmark.report`, in Chromium without a window or a GPU.

Opening is from the address to the first picture. Then the picture is moved, zoomed and filtered, one step a frame: a
frame's time is that from one picture of the screen to the next, which is 16.7 ms at best.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser
from rich.console import Console
from rich.table import Table

from labs.benchmark.traces import made_up
from labs.report.browser import MISSING, chromium, program
from labs.report.gathering import gather
from labs.report.showing import write
from labs.traces import events

SIZES: Final = (1_000, 10_000, 100_000)
ROUNDS: Final = 5
"""Times that each report is opened."""
STEPS: Final = 120
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


def measure(browser: Browser, file: Path) -> tuple[list[float], dict[str, list[float]]]:
    """Milliseconds until it was open, in each round, and between frames, for each movement."""
    opened: list[float] = []
    frames: dict[str, list[float]] = {name: [] for name in MOVES}
    for _ in range(ROUNDS):
        # What is measured makes functions of text, which the page's policy forbids to the page itself.
        context = browser.new_context(viewport={"width": 1400, "height": 900}, bypass_csp=True)
        page = context.new_page()
        page.goto(file.as_uri())
        page.evaluate("report.ready")
        opened.append(page.evaluate("report.opened"))
        for name, (first, step) in MOVES.items():
            frames[name] += page.evaluate(MOVE, [first, step, STEPS])
        context.close()
    return opened, frames


def main() -> int:
    """Prints the table. Returns the exit status."""
    if not program():
        print(f"lab: {MISSING}", file=sys.stderr)
        return 2
    table = Table("", *(f"{size:,} events" for size in SIZES))
    for column in table.columns[1:]:
        column.justify = "right"
    columns: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for size in SIZES:
            trace = Path(folder) / f"{size}.jsonl"
            events.write(trace, *made_up(size))
            file = write(trace.with_suffix(".html"), gather(trace))
            opened, frames = measure(browser, file)
            columns.append([f"{file.stat().st_size / 1e6:.2f} MB", _between(opened), *map(_frames, frames.values())])
    names = "size", "opening, ms: median (range)", *(f"{name}, ms a frame: median, p99" for name in MOVES)
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
