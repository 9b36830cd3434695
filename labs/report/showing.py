"""`lab show`: makes the report of a run where there is none yet, says where it is, and opens it."""

import os
import sys
import webbrowser
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from labs.places import short
from labs.report.gathering import Run, gather
from labs.report.page import page
from labs.results import ATTEMPTS, RESULT
from labs.runs import find_run
from labs.usage import PASSED, BadUsage

FILE: Final = "report.html"
"""The report's name in the folder of its run."""


def show(run: str, opens: bool) -> int:
    """Makes the report if need be, and shows it. Returns the exit status. Raises `BadUsage`."""
    place = Path(run) if Path(run).is_file() else find_run(run)
    file = place.with_suffix(".html") if place.is_file() else place.resolve() / FILE
    if file == place:
        raise BadUsage(f"expected a trace or the folder of a run, got the page {place}: open it in a browser")
    if not _is_new(file, place):
        file = write(file, gather(place))
    print(f"report  {short(file)}")
    if opens and not _open(file):
        print("no screen to show it on here: open it in a browser")
    return PASSED


def write(file: Path, run: Run) -> Path:
    """Writes the page there, or in a new folder where that is not allowed. Returns where it is. Raises `BadUsage`."""
    if not os.access(file.parent, os.W_OK):
        file = Path(mkdtemp(prefix="lab-report-")) / file.name
    try:
        file.write_text(page(run))
    except OSError as error:
        raise BadUsage(f"cannot write the report: {error}") from None
    return file


def _is_new(file: Path, place: Path) -> bool:
    """Whether the page is there, and nothing that it tells has been written since."""
    if not file.is_file():
        return False
    told = [place] if place.is_file() else [place / RESULT, place / ATTEMPTS]
    return all(not each.exists() or each.stat().st_mtime <= file.stat().st_mtime for each in told)


def _open(file: Path) -> bool:
    """Shows the page in a browser, if there is a screen. A browser in the terminal would be no help."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        return webbrowser.open(file.absolute().as_uri())
    except (webbrowser.Error, OSError):
        return False
