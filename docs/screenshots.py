"""Makes the pictures of the report in `docs/pictures`: `python docs/screenshots.py`. It needs Chromium.

What they show is real: a mistake is planted in a copy of lab 1, its test fails, and the report of that run is opened.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page

from labs import mistakes
from labs.benchmark.traces import made_up
from labs.report.browser import MISSING, chromium, program, settle, until
from labs.report.gathering import gather
from labs.report.page import page
from labs.traces import events

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "pictures"
MISTAKE: Final = "Gets do not ask the backup"
TESTS: Final = "old_primary_serves_no_gets or get_after_put or basic_fail"
LIMIT: Final = 300_000
"""Bytes of a picture, at most."""
SIZE: Final = (1280, 860)
MANY: Final = 100_000


def failing_run(folder: Path, world: str) -> Path:
    """The report of a run of lab 1 with the mistake."""
    (mistake,) = (each for each in mistakes.load(ROOT / "tests/mistakes/lab1.py") if each.name == MISTAKE)
    if not (folder / "mine").exists():
        mistakes.plant(mistake, ROOT / "lab1_pbservice", folder / "mine")
    words = [
        "test",
        "pbservice",
        "-k",
        TESTS,
        "--world",
        world,
        "--submission",
        folder / "mine",
        "--out",
        folder / world,
    ]
    command = [sys.executable, "-m", "labs", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    return folder / world / "report.html"


def made_up_run(folder: Path) -> Path:
    """The report of a long made-up trace."""
    trace = folder / "trace.jsonl"
    events.write(trace, *made_up(MANY))
    file = folder / "many.html"
    file.write_text(page(gather(trace)))
    return file


def picture(
    browser: Browser,
    name: str,
    file: Path,
    scheme: str = "light",
    size: tuple[int, int] = SIZE,
    prepare: Callable[[Page], None] = lambda _: None,
) -> None:
    """Opens the report, brings it into shape, and takes a picture of what is in sight."""
    opened = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # type: ignore[arg-type]
    opened.goto(file.as_uri())
    opened.evaluate("report.ready")
    prepare(opened)
    settle(opened)
    target = FOLDER / name
    opened.screenshot(path=target, quality=70 if target.suffix == ".jpeg" else None)
    opened.close()
    if target.stat().st_size > LIMIT:
        raise SystemExit(f"{target} has {target.stat().st_size:,} bytes, expected {LIMIT:,} at most")
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size:,} bytes")


def the_failure(opened: Page) -> None:
    """From the overview to the test that the guide is about."""
    opened.get_by_role("link", name="Old primary does not serve Gets (").click()
    until(opened, lambda: opened.evaluate("report.diagram?.trace.length > 0"), "the picture of the failure")
    opened.evaluate("report.ready")


def the_message(opened: Page) -> None:
    """The answer selected: its past and its future, in logical time."""
    the_failure(opened)
    opened.evaluate("report.diagram.select(report.diagram.state.culprit.call.replied)")


def all_of_it(opened: Page) -> None:
    """All in sight."""
    opened.evaluate("report.diagram.fit()")


def main() -> None:
    """Makes them all."""
    if not program():
        raise SystemExit(MISSING)
    FOLDER.mkdir(exist_ok=True)
    (ROOT / "runs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="for-pictures-", dir=ROOT / "runs") as place:
        folder = Path(place)
        real, simulated, many = failing_run(folder, "process"), failing_run(folder, "sim"), made_up_run(folder)
        with chromium() as browser:
            picture(browser, "report-overview.png", simulated)
            picture(browser, "report-failure.png", real, prepare=the_failure)
            picture(browser, "report-message-dark.png", simulated, "dark", prepare=the_message)
            picture(browser, "report-phone.png", simulated, "dark", (390, 1100), the_failure)
            picture(browser, "report-many.jpeg", many, prepare=all_of_it)


if __name__ == "__main__":
    main()
