"""Makes the pictures of docs/live.md: each is the panel in the middle of an experiment, in a real Chromium.

.venv/bin/python docs/live_pictures.py [NAME...]
"""

import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from labs.live.teaching import EXPERIMENTS

FOLDER: Final = Path(__file__).parent / "pictures"
SIZE: Final[ViewportSize] = {"width": 1280, "height": 820}
SOON: Final = 60_000
"""Milliseconds."""
MOMENT: Final = 700
"""Milliseconds in which what has been done is to be seen."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A moment of an experiment."""

    name: str
    lab: str
    experiment: str
    steps: int
    """So many of its steps have been done."""
    look: str
    """What is selected and opened then: calls of the page, as a script."""
    dark: bool = False


SCENES: Final = (
    Scene("live-lab1", "lab1", "late-message", 3, "panel._select({link: 'pb-1 pb-2'})"),
    Scene("live-lab2", "lab2", "minority", 5, "panel._tab('history'); panel._select({server: 'kv-0'})"),
    Scene("live-lab3", "lab3", "stopped-handover", 6, "panel._tab('shards')"),
    Scene("live-diagram", "lab1", "failover", 4, "panel._tab('diagram')", dark=True),
)


def main(names: list[str]) -> None:
    """Makes these pictures, or all."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "expected a Chromium (Debian: apt-get install chromium)"
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for scene in SCENES:
            if not names or scene.name in names:
                take(browser, scene)
        browser.close()


def take(browser: Browser, scene: Scene) -> None:
    """Plays a scene, and takes the picture."""
    command = [sys.executable, "-m", "labs", "up", scene.lab, "--web"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout
        url = next(found[0] for line in session.stdout if (found := re.search(r"http://127\S+", line)))
        page = browser.new_page(viewport=SIZE, color_scheme="dark" if scene.dark else "light")
        page.set_default_timeout(SOON)
        page.goto(url)
        page.wait_for_selector(".node")
        (experiment,) = (each for each in EXPERIMENTS if each.name == scene.experiment)
        for step in experiment.steps[: scene.steps]:
            page.evaluate("(line) => panel._do(line)", step.line)
        page.evaluate(scene.look)
        page.wait_for_timeout(MOMENT)
        page.screenshot(path=FOLDER / f"{scene.name}.png")
        page.close()
        session.send_signal(signal.SIGTERM)
    print(FOLDER / f"{scene.name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
