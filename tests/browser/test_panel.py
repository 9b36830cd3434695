"""The panel of a live cluster in a real browser: what is clicked really happens, and nobody else may click."""

import http.client
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from labs.report.browser import until
from tests.live.sessions import NOTHING_LEFT, PATIENT, SOON, UP

WITHIN: Final = 1000 * SOON
"""Milliseconds within which anything is to be seen, on any machine."""


class Live:
    """A session with a panel."""

    def __init__(self, lab: str, folder: Path, *options: str) -> None:
        self.run = folder / "run"
        self.process = subprocess.Popen(
            [*UP, lab, "--web", "--out", str(self.run), *PATIENT, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout
        self.url = next(found[0] for line in self.process.stdout if (found := re.search(r"http://127\S+", line)))
        self.address = urlsplit(self.url).netloc

    def end(self) -> str:
        """Ends it, and gives what it said last."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=SOON)
        return said

    def link(self, src: str, dst: str) -> Path:
        """The socket file of a link."""
        (net,) = self.run.glob("*/net")
        return net / src / dst

    def ask(self, path: str, **headers: str) -> tuple[int, "http.client.HTTPMessage"]:
        """What the panel answers to a request that is not the browser's."""
        connection = http.client.HTTPConnection(self.address, timeout=SOON)
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        connection.close()
        return answer.status, answer.headers


@contextmanager
def live(lab: str, folder: Path, *options: str) -> Iterator[Live]:
    """A session for as long as it is needed. Nothing is left of it."""
    session = Live(lab, folder, *options)
    try:
        yield session
    except BaseException:
        session.process.kill()
        raise
    assert session.end().splitlines()[-1] == NOTHING_LEFT


@pytest.fixture(scope="module")
def lab1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Lab 1, shared by the tests that leave it as it was, as far as it matters to others."""
    with live("lab1", tmp_path_factory.mktemp("panel"), "--servers", "4") as session:
        yield session


@pytest.fixture
def panel(page: Page, lab1: Live) -> Page:
    """Its panel."""
    return show(page, lab1)


def show(page: Page, session: Live) -> Page:
    """Opens a panel."""
    page.set_default_timeout(WITHIN)
    expect.set_options(timeout=WITHIN)
    page.goto(session.url)
    page.wait_for_selector(".node")
    return page


def node(page: Page, name: str) -> str:
    """What a server is shown as."""
    return page.locator(f'.node[aria-label^="{name}:"]').get_attribute("aria-label") or ""


def select_link(page: Page, src: str, dst: str) -> None:
    """Clicks a link in the picture, where it is drawn."""
    page.locator(f'[data-link="{src} {dst}"] .reach').dispatch_event("click")
    expect(page.locator("#about h2")).to_have_text(f"{src} → {dst}")


# --- what is clicked happens -----------------------------------------------------------------------------------------


def test_a_click_on_a_link_cuts_it_in_the_real_cluster(panel: Page, lab1: Live) -> None:
    assert lab1.link("pb-4", "vs").exists()
    select_link(panel, "pb-4", "vs")
    panel.get_by_role("button", name="Cut", exact=True).click()
    until(panel, lambda: not lab1.link("pb-4", "vs").exists(), "the socket file to be gone")
    expect(panel.locator('[data-link="pb-4 vs"]')).to_have_class(re.compile(r"\bcut\b"))
    panel.get_by_role("button", name="Join", exact=True).click()
    until(panel, lab1.link("pb-4", "vs").exists, "the socket file to be there again")
    expect(panel.locator('[data-link="pb-4 vs"]')).not_to_have_class(re.compile(r"\bcut\b"))


def test_held_requests_are_delivered_and_dropped_one_by_one(panel: Page) -> None:
    select_link(panel, "pb-4", "vs")
    panel.get_by_role("button", name="Hold", exact=True).click()
    held = panel.locator(".held li")
    expect(held.first).to_contain_text("Ping(")
    number = held.first.locator("code").inner_text().split(":")[0]
    held.first.get_by_role("button", name="Deliver").click()
    expect(panel.locator(".transcript")).to_contain_text(f"> deliver pb-4 vs {number}")
    expect(panel.locator(".held code", has_text=re.compile(f"^{number}: "))).to_have_count(0)
    held.first.get_by_role("button", name="Drop").click()
    expect(panel.locator(".transcript")).to_contain_text("is lost")
    panel.get_by_role("button", name="Release all").click()
    expect(panel.locator(".held")).to_have_count(0)


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_button_that_is_being_pressed_stays_though_the_picture_changes(panel: Page, by: str) -> None:
    select_link(panel, "pb-4", "vs")
    panel.get_by_role("button", name="Hold", exact=True).click()
    held = panel.locator(".held li")
    badge = panel.locator('[data-link="pb-4 vs"] .mark')
    expect(held.first).to_contain_text("Ping(")
    button = held.first.get_by_role("button", name="Drop")
    button.hover()
    button.focus()
    if by == "mouse":
        panel.mouse.down()
    else:
        panel.keyboard.down("Space")
    before = badge.text_content()
    until(panel, lambda: badge.text_content() != before, "another Ping to be held")
    number = held.first.locator("code").inner_text().split(":")[0]
    if by == "mouse":
        panel.mouse.up()
    else:
        panel.keyboard.up("Space")
    expect(panel.locator(".transcript li").last).to_contain_text(f"> drop pb-4 vs {number}")
    expect(panel.locator(".held code", has_text=re.compile(f"^{number}: "))).to_have_count(0)
    panel.get_by_role("button", name="Release all").click()
    expect(panel.locator(".held")).to_have_count(0)


def test_an_operation_is_answered(panel: Page) -> None:
    panel.get_by_label("command", exact=True).first.select_option(label="put")
    panel.get_by_label("key", exact=True).fill("a b")
    panel.get_by_label("value", exact=True).fill('1 "two"')
    panel.get_by_role("button", name="Do it").click()
    expect(panel.locator(".answer")).to_contain_text("done")
    panel.get_by_role("tab", name="History").click()
    first = panel.locator(".history tbody tr").first
    expect(first).to_contain_text(r'put a b "1 \"two\""')
    expect(first.locator("td").last).to_have_text(re.compile(r"^[\d.]+ m?s$"))


def test_faults_are_set_by_a_form_and_taken_away(panel: Page) -> None:
    select_link(panel, "pb-4", "vs")
    panel.get_by_label("delay in s").fill("0.01")
    panel.get_by_label("twice %").fill("20")
    panel.get_by_role("button", name="Set").click()
    expect(panel.locator("#about .head p")).to_contain_text("duplicate 0.2, delay 0.01")
    panel.get_by_role("button", name="No faults").click()
    expect(panel.locator("#about .head p")).to_have_text("up")


def test_kill_makes_the_server_dead_and_another_primary(page: Page, tmp_path: Path) -> None:
    with live("lab1", tmp_path) as session:
        show(page, session)
        page.locator('.node[aria-label^="pb-1:"]').click()
        page.get_by_role("button", name="Kill", exact=True).click()
        expect(page.locator('.node[aria-label^="pb-1:"]')).to_have_class(re.compile(r"\bdead\b"))
        # On a machine that is too busy, the spare may have become backup before, and be primary now.
        expect(page.locator("#headline")).to_contain_text(re.compile("primary pb-[23]"))
        primary = page.locator(".node.is-primary")
        expect(primary).to_have_attribute("aria-label", re.compile("^pb-[23]: primary"))
        assert not session.link("pb-2", "pb-1").exists()
        page.get_by_role("button", name="Restart", exact=True).click()
        expect(page.locator('.node[aria-label^="pb-1:"]')).to_have_class(re.compile(r"\brunning\b"))
        assert session.end().splitlines()[-1] == NOTHING_LEFT
        expect(page.locator("#lost")).to_be_visible()
        session.end = lambda: NOTHING_LEFT  # type: ignore[method-assign]


def test_the_diagram_grows(panel: Page) -> None:
    panel.get_by_role("tab", name="Space-time diagram").click()
    expect(panel.locator(".diagram canvas").first).to_be_visible()
    count = panel.evaluate("panel.diagram.trace.length")
    assert count > 0
    until(panel, lambda: panel.evaluate("panel.diagram.trace.length") > count, "more events")


def test_the_keyboard_is_enough(panel: Page) -> None:
    panel.locator('.node[aria-label^="pb-3:"]').focus()
    panel.keyboard.press("Enter")
    expect(panel.locator("#about h2")).to_contain_text("pb-3")
    panel.keyboard.press("Escape")
    expect(panel.locator("#about h2")).to_have_count(0)
    panel.keyboard.press("/")
    panel.keyboard.type("log pb-")
    panel.keyboard.press("Tab")
    expect(panel.locator(".offers")).to_contain_text("pb-2   pb-3")
    panel.keyboard.type("2 1")
    panel.keyboard.press("Enter")
    expect(panel.locator(".transcript")).to_contain_text("> log pb-2 1")
    expect(panel.get_by_label("command", exact=True).last).to_have_value("")
    panel.keyboard.press("ArrowUp")
    expect(panel.get_by_label("command", exact=True).last).to_have_value("log pb-2 1")


def test_the_session_is_saved_as_a_script_and_as_a_test(panel: Page) -> None:
    panel.get_by_role("textbox", name="command").fill("put saved 1")
    panel.keyboard.press("Enter")
    expect(panel.locator(".transcript")).to_contain_text("> put saved 1")
    for button, line in (("Save script", "put saved 1"), ("Save test", '    await asking.put(ck_1, "saved", "1")')):
        with panel.expect_download() as download:
            panel.get_by_role("button", name=button).click()
        assert line in Path(download.value.path()).read_text().splitlines()


def test_light_dark_and_small_windows(panel: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    button = panel.get_by_role("button", name="Theme")
    button.click()
    light = panel.evaluate(paper)
    button.click()
    assert panel.evaluate(paper) != light
    panel.set_viewport_size({"width": 420, "height": 800})
    assert panel.evaluate("document.documentElement.scrollWidth") <= 420


def test_shards_are_shown_with_their_owners(page: Page, tmp_path: Path) -> None:
    with live("lab3", tmp_path) as session:
        show(page, session)
        expect(page.locator(".heading").first).to_contain_text("group 100 · owner of 0 1 2 3 4 5 6 7 8 9")
        page.keyboard.press("/")
        page.keyboard.type("join 101\n")
        expect(page.locator(".heading").last).to_contain_text("group 101 · owner of 5 6 7 8 9")
        page.get_by_role("tab", name="Shards").click()
        expect(page.locator(".shards tbody tr").nth(7)).to_contain_text("group 101gone")
        expect(page.locator(".shards .shard-serving")).to_have_count(10)


# --- and nobody else may click ---------------------------------------------------------------------------------------

UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_a_page_without_the_token_is_refused(lab1: Live) -> None:
    query = urlsplit(lab1.url).query
    own = f"http://{lab1.address}"
    assert lab1.ask("/")[0] == 403
    assert lab1.ask("/?token=wrong")[0] == 403
    assert lab1.ask(f"/?{query}")[0] == 200
    assert lab1.ask("/ws?token=wrong", Origin=own, **UPGRADE)[0] == 403
    assert lab1.ask(f"/ws?{query}", Origin=own, **UPGRADE)[0] == 101


@pytest.mark.parametrize("path", ["/", "/ws", "/static/panel.js"])
def test_another_host_or_origin_is_refused(lab1: Live, path: str) -> None:
    asked = f"{path}?{urlsplit(lab1.url).query}"
    upgrade = UPGRADE if path == "/ws" else {}
    assert lab1.ask(asked, Host="evil.example", **upgrade)[0] == 403
    assert lab1.ask(asked, Host="127.0.0.1", **upgrade)[0] == 403
    for origin in ("http://evil.example", "null", f"https://{lab1.address}", "http://127.0.0.1:1"):
        assert lab1.ask(asked, Origin=origin, **upgrade)[0] == 403
    if path == "/ws":
        assert lab1.ask(asked, **upgrade)[0] == 403


def test_pages_may_run_their_own_script_only(lab1: Live) -> None:
    _, headers = lab1.ask(f"/?{urlsplit(lab1.url).query}")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert lab1.ask("/static/../web.py")[0] == 404
    assert lab1.ask("/static/%2e%2e%2fweb.py")[0] == 404


HOSTILE: Final = "<img src=x onerror='stolen=1'><script>stolen=2</script>"


def test_what_a_submission_says_is_text(page: Page, tmp_path: Path) -> None:
    package = tmp_path / "mine/lab1_pbservice"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "roles.py").write_text(
        "from common.protocol import GetView, Ping, View\n"
        f"HOSTILE = {HOSTILE!r}\n"
        "async def viewserver(host):\n"
        "    print(HOSTILE, flush=True)\n"
        "    def ping(request):\n"
        "        raise RuntimeError(HOSTILE)\n"
        "    await host.serve({GetView: lambda _: View(1, HOSTILE, 'b'), Ping: ping})\n"
        "ROLES = {'viewserver': viewserver}\n"
    )
    with live("viewservice", tmp_path, "--submission", str(tmp_path / "mine")) as session:
        show(page, session)
        expect(page.locator("#headline")).to_contain_text(HOSTILE)
        page.keyboard.press("/")
        page.keyboard.type(f'ping "{HOSTILE}"\n')
        expect(page.locator(".transcript")).to_contain_text(f"RuntimeError: {HOSTILE}")
        page.locator(".node").first.click()
        page.get_by_role("button", name="Log", exact=True).click()
        expect(page.locator(".logs pre")).to_contain_text(HOSTILE)
        page.get_by_role("tab", name="Space-time diagram").click()
        assert page.evaluate("'stolen' in globalThis") is False
        assert page.locator("img, script:not([src])").count() == 0
