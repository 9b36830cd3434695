"""A Chromium that Playwright drives, for those who test, measure and picture the pages. Nothing else needs one."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # it is among the tools of the project's checks, and not everybody has it
    from playwright.sync_api import Browser, Page

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""What Chromium is called here and there. The variable `LAB_BROWSER` names another."""
MISSING: Final = f"there is no browser: none of {', '.join(PROGRAMS)} (Debian: apt-get install chromium)"
FLAGS: Final = (
    "--no-sandbox",  # root may not have the sandbox, and the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


LOOK_EVERY: Final = 0.05
"""Seconds between two looks at what is waited for."""


def program() -> str:
    """The browser's program, or nothing."""
    return os.environ.get("LAB_BROWSER") or next(filter(None, map(shutil.which, PROGRAMS)), "")


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser without a window. No event loop can be begun in this thread until it is gone."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def until(page: "Page", condition: Callable[[], object], what: str, within: float = 30.0) -> None:
    """Waits for a condition while the page goes on. Playwright's own way is to have it evaluate text: ours forbid it.

    Raises `AssertionError`, which says `what` was expected, after so many seconds.
    """
    for _ in range(int(within / LOOK_EVERY)):
        if condition():
            return
        page.wait_for_timeout(1000 * LOOK_EVERY)
    raise AssertionError(f"expected {what}")


def settle(page: "Page") -> None:
    """Waits until what was asked for is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
