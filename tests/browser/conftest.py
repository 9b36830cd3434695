"""A real Chromium for the tests of pages: of the report, and of the panel.

Where there is none, these tests are skipped, and say so. In CI that is a failure.
"""

import os
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request

from labs.report.browser import MISSING, chromium, program

LOCAL: Final = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "ws://127.0.0.1:")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file. It is gone before others want an event loop in this process."""
    if not program():
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with chromium() as started:
        yield started


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
