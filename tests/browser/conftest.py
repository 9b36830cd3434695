"""A real Chromium for the tests of pages: of the report, and of the panel.

Where there is none, these tests are skipped, and say so. In CI that is a failure.
"""

import os
import shutil
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""What Chromium is called here and there. The variable `LAB_BROWSER` names another."""
FLAGS: Final = (
    "--no-sandbox",  # root may not have the sandbox, and the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOCAL: Final = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "ws://127.0.0.1:")


def _chromium() -> str:
    """The program, or nothing."""
    named = os.environ.get("LAB_BROWSER")
    return named or next(filter(None, map(shutil.which, PROGRAMS)), "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file. It is gone before others want an event loop in this process."""
    program = _chromium()
    if not program:
        reason = f"there is no browser: none of {', '.join(PROGRAMS)} (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own. The test fails if it had an error, or asked for anything that is not on this machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    opened = context.new_page()
    problems: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note_request(asked: Request) -> None:
        if not asked.url.startswith(LOCAL):
            problems.append(f"asked for {asked.url}")

    def note_console(said: ConsoleMessage) -> None:
        if said.type == "error":
            problems.append(said.text)

    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", note_console)
    opened.on("request", note_request)
    opened.on("dialog", dismiss)
    yield opened
    context.close()
    assert not problems
