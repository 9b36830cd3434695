"""The report in a real browser: it draws, finds, zooms and explains, and runs nothing that a submission wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from playwright.sync_api import Browser, Page

from labs.benchmark.traces import made_up
from labs.report.browser import settle, until
from labs.report.gathering import Run, Scene, gather
from labs.report.page import page as page_of
from labs.report.showing import write
from labs.results import Failure
from labs.traces import events
from labs.traces.events import Event, Header

COUNT: Final = 900
"""Events in the made-up trace of most tests."""
MANY: Final = 100_000
SLOW: Final = 5.0
"""Seconds of processor time in which a hundred thousand events open anywhere. It is half a second in most places."""
HOSTILE: Final = (
    "</script><script>stolen = 1</script>",
    "<img src=x onerror='stolen = 2'>",
    "--><svg/onload=stolen=3>",
    "javascript:stolen=4",
    "]]>&lt;b&gt;'\"`${stolen=5}`\u2028\u2029\x00\x1b[31m",
    "__proto__",
    "constructor",
    "\U0001f600 עברית",
)

Open = Callable[[Header, list[Event]], Page]


@pytest.fixture
def opened(page: Page, tmp_path: Path) -> Open:
    """Makes the report of a trace, and opens it."""

    def open_(header: Header, found: list[Event]) -> Page:
        trace = tmp_path / "trace.jsonl"
        events.write(trace, header, found)
        show(page, write(tmp_path / "trace.html", gather(trace)))
        return page

    return open_


def show(page: Page, file: Path) -> None:
    """Opens a report, and waits until it has been drawn."""
    page.goto(file.as_uri())
    page.evaluate("report.ready")
    settle(page)


def old_primary() -> tuple[Header, list[Event]]:
    """pb-1 cannot reach the view service, so pb-2 is primary; pb-1 answers a Get all the same."""
    header = Header(world="sim", package="lab1_pbservice", test="test_old", title="Old primary does not serve Gets")
    read: dict[str, Any] = {"src": "ck-1", "dst": "pb-1", "id": 3, "method": "Read"}
    ping: dict[str, Any] = {"src": "pb-1", "dst": "vs", "id": 1, "method": "Ping"}
    said = 'Get("a") by ck-1 gave "1", expected "2"'
    return header, [
        Event(0.0, "start", "vs", text="viewserver"),
        Event(0.0, "start", "pb-1", text="pbserver"),
        Event(0.0, "start", "pb-2", text="pbserver"),
        Event(0.0, "start", "ck-1", text="clerk"),
        Event(0.1, "request", **ping, body=["pb-1", 1]),
        Event(0.102, "arrive", **ping),
        Event(0.102, "log", "vs", text="view 2: primary pb-1, backup pb-2"),
        Event(0.102, "reply", **ping, body=[2, "pb-1", "pb-2"]),
        Event(0.104, "return", **ping),
        Event(0.2, "cut", "pb-1", "vs"),
        Event(0.3, "request", "pb-1", "vs", 2, "Ping", ["pb-1", 2]),
        Event(0.3, "fail", "pb-1", "vs", 2, "Ping", text="there is no link"),
        Event(0.8, "log", "vs", text="view 3: primary pb-2, backup none"),
        Event(0.9, "call", "ck-1", id=1, method="get", body={"key": "a"}),
        Event(0.9, "request", **read, body=["a"]),
        Event(0.902, "arrive", **read),
        Event(0.903, "reply", **read, body=["Value", "1"]),
        Event(0.905, "return", **read),
        Event(0.905, "answer", "ck-1", id=1, method="get", body="1"),
        Event(0.91, "verdict", text=said, body={"status": "failed", "where": "at test_x.py:1: check()", "proof": []}),
    ]


# --- it draws --------------------------------------------------------------------------------------------------------


def test_a_trace_is_drawn(opened: Open) -> None:
    header, found = made_up(COUNT)
    page = opened(header, found)
    assert page.evaluate("report.diagram.trace.length") == len(found)
    page.evaluate("report.diagram.fit()")
    settle(page)
    drawn = page.evaluate("report.diagram.painter.drawn")
    assert drawn["arrows"] > 300
    assert drawn["operations"] > 10
    assert len(colours(page)) > 12, "expected lanes, arrows and bars in their colours"
    assert "A made-up run" in page.inner_text(".scene h2")


def colours(page: Page) -> list[int]:
    """The colours on the canvas, each once, where anything of it is drawn."""
    found: list[int] = page.evaluate(
        """() => {
          const {canvas} = report.diagram, context = canvas.getContext("2d");
          return [...new Set(new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer))];
        }"""
    )
    return found


def test_the_picture_says_who_answered_while_cut_off(opened: Open) -> None:
    page = opened(*old_primary())
    told = page.evaluate(
        """() => {
          const {trace, state} = report.diagram, {operation, call} = state.culprit;
          return {server: trace.lanes[call.to].name, key: operation.key, result: operation.result,
            bands: state.culprit.states.map((band) => band.text), newer: state.culprit.newer.all};
        }"""
    )
    assert told == {
        "server": "pb-1",
        "key": "a",
        "result": "1",
        "bands": ["primary of view 2", "cannot call vs"],
        "newer": "view 3: primary pb-2, backup none",
    }
    ((x, y),) = page.evaluate(
        """() => {
          const {painter, trace, plan, state} = report.diagram, event = state.culprit.call.replied;
          return [[painter.x(trace.t[event]), painter.line(trace.laneOf.get("pb-1"))]];
        }"""
    )
    assert 128 < x < page.evaluate("report.diagram.painter.width"), "expected the answer in sight"
    mark = page.evaluate("report.diagram.painter.colours.mark")
    at = page.evaluate(
        "([x, y]) => [...report.diagram.canvas.getContext('2d').getImageData(x + 7, y, 1, 1).data]", [x, y]
    )
    assert f"rgb({at[0]}, {at[1]}, {at[2]})" == mark, "expected a ring around it"


def test_bands_say_what_was_broken_from_when_to_when(opened: Open) -> None:
    found = [
        *(Event(0.0, "start", name) for name in ("a", "b", "c")),
        Event(1.0, "cut", "a", "b"),
        Event(1.0, "cut", "b", "a"),
        Event(2.0, "cut", "a", "c"),
        Event(3.0, "join", "a", "b"),
        Event(3.0, "join", "b", "a"),
        Event(3.0, "join", "a", "c"),
        Event(4.0, "cut", "a", "c"),
        Event(4.001, "cut", "c", "c"),
        Event(4.001, "cut", "b", "c"),
        Event(5.0, "kill", "c"),
        Event(6.0, "start", "c"),
        Event(6.0, "pause", "b"),
        Event(7.0, "resume", "b"),
        Event(8.0, "hold", "a", "b"),
        Event(9.0, "note", text="the end"),
    ]
    page = opened(Header(world="sim", package="lab1_pbservice"), found)
    bands = page.evaluate(
        """() => report.diagram.trace.bands.map(({lane, kind, from, until, text}) =>
          [report.diagram.trace.lanes[lane].name, kind, from, until === Infinity ? null : until, text])"""
    )
    assert sorted(bands, key=lambda band: (band[2], band[0])) == [
        ["a", "cut", 1, 2, "is cut off from b"],
        ["b", "cut", 1, 3, "is cut off from a"],
        ["a", "cut", 2, 3, "is cut off from b, cannot call c"],
        ["c", "cut", 2, 3, "cannot be called by a"],
        ["c", "deaf", 4.001, None, "is deaf: its socket file is gone"],
        ["c", "dead", 5, 6, "was killed"],
        ["b", "paused", 6, 7, "is paused"],
        ["a", "held", 8, None, "has its calls to b held back"],
    ]


def test_a_server_that_ended_by_itself_is_marked_and_an_answer_only_if_it_is_spoken_of(opened: Open) -> None:
    header, found = old_primary()
    crash, verdict = Event(0.906, "crash", "pb-2", text="exit status 1"), found[-1]
    for text, events_, marked in (
        ("pb-2 ended by itself", [*found[:-1], crash], 19),
        ("too many calls", [*found[:-1], crash], None),
        ("ck-1 should have had another answer", found[:-1], 16),
    ):
        page = opened(header, [*events_, Event(0.91, "verdict", text=text, body=verdict.body)])
        assert page.evaluate("report.diagram.state.culprit?.event ?? null") == marked, text


def test_events_that_come_in_small_numbers_make_the_same_picture(opened: Open) -> None:
    header, found = made_up(COUNT)
    page = opened(header, found)
    one, other = page.evaluate(
        """(events) => {
          const {diagram} = report;
          const told = () => {
            const {logical, bands, roles, arrows, operations, culprit} = diagram.trace;
            const ends = arrows.map(({first, last, state, from, to}) => [first, last, state, from, to]);
            return JSON.stringify([logical, bands, roles, ends, operations, culprit?.event]);
          };
          const whole = told();
          diagram.load(diagram.trace.header, []);
          for (let i = 0; i < events.length; i += 7) diagram.append(events.slice(i, i + 7));
          return [whole, told()];
        }""",
        msgspec.to_builtins(found),
    )
    assert len(one) > 10_000
    assert one == other


def test_a_hundred_thousand_events_open_and_are_drawn_in_part(opened: Open, page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # which other programs do not make longer
    header, found = made_up(MANY)
    opened(header, found)
    metrics = session.send("Performance.getMetrics")["metrics"]
    assert 0.05 < next(each["value"] for each in metrics if each["name"] == "TaskDuration") < SLOW
    page.evaluate("report.diagram.fit()")
    settle(page)
    drawn = page.evaluate("report.diagram.painter.drawn")
    assert drawn["arrows"] < 6000
    assert drawn["standing"] > 5
    assert "each arrow stands for" in page.inner_text(".says")
    page.evaluate("for (let i = 0; i < 24; i++) report.diagram.zoom(1.5)")
    settle(page)
    assert page.evaluate("report.diagram.painter.drawn.standing") == 1


# --- it finds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "value", "fits"),
    [
        ("only this server", "pb-3", lambda event: "pb-3" in (event.src, event.dst)),
        ("only this method", "Ping", lambda event: event.method == "Ping"),
        ("only this kind", "fault", lambda event: event.kind in events_of_faults()),
        ("only this kind", "operation", lambda event: event.kind in ("call", "answer")),
    ],
)
def test_filters_leave_what_fits(opened: Open, choice: str, value: str, fits: Callable[[Event], bool]) -> None:
    header, found = made_up(COUNT * 3)
    page = opened(header, found)
    page.get_by_label(choice).select_option(value)
    expected = sum(map(fits, found))
    assert expected
    assert page.inner_text(".found") == f"{expected:,} match{'' if expected == 1 else 'es'}"


def events_of_faults() -> set[str]:
    """The kinds that the page calls faults."""
    return {"kill", "crash", "pause", "resume", "cut", "join", "tap", "hold", "release"}


def test_search_finds_text_in_logs_and_bodies_and_goes_from_match_to_match(opened: Open) -> None:
    header, found = old_primary()
    page = opened(header, found)
    page.keyboard.press("Tab")
    page.get_by_label("search messages and logs").fill("primary pb-2")
    assert page.inner_text(".found") == "1 match"
    page.keyboard.press("Enter")
    (place,) = (number for number, event in enumerate(found) if event.text == "view 3: primary pb-2, backup none")
    assert page.evaluate("report.diagram.state.selected") == place
    page.get_by_label("search messages and logs").fill('"VALUE"')
    assert page.inner_text(".found") == "1 match", "bodies are searched, in any case"


def test_a_key_brings_all_of_the_messages_that_speak_of_it(opened: Open) -> None:
    page = opened(*old_primary())
    page.get_by_label("only this key").fill("a")
    assert page.inner_text(".found") == "7 matches", "two of the operation, four of the message, the verdict"


# --- one looks around ------------------------------------------------------------------------------------------------


def view(page: Page) -> tuple[float, float]:
    """What is in sight."""
    settle(page)
    found = page.evaluate("report.diagram.view")
    return found["from"], found["until"]


def test_the_wheel_zooms_where_the_pointer_is_and_dragging_moves(opened: Open) -> None:
    page = opened(*made_up(COUNT))
    page.evaluate("report.diagram.fit()")
    before = view(page)
    box = page.locator(".stage canvas").bounding_box()
    assert box
    x, y = box["x"] + box["width"] * 0.7, box["y"] + 100
    at = "(x) => { const {view, painter} = report.diagram; return view.from + (x - painter.labels) / painter.scale; }"
    place = page.evaluate(at, box["width"] * 0.7)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    until(page, lambda: view(page) != before, "the picture to be zoomed")
    zoomed = view(page)
    assert zoomed[1] - zoomed[0] < (before[1] - before[0]) * 0.5
    assert page.evaluate(at, box["width"] * 0.7) == pytest.approx(place, rel=0.02)
    page.mouse.down()
    page.mouse.move(x - 200, y, steps=4)
    page.mouse.up()
    moved = view(page)
    assert moved[0] > zoomed[0]
    assert moved[1] - moved[0] == pytest.approx(zoomed[1] - zoomed[0])
    assert page.evaluate("report.diagram.state.selected") == -1, "a drag is no click"


def test_the_keyboard_does_all_of_it(opened: Open) -> None:
    page = opened(*made_up(COUNT))
    page.locator(".stage canvas").focus()
    page.keyboard.press("0")
    whole = view(page)
    page.keyboard.press("+")
    closer = view(page)
    assert closer[1] - closer[0] < whole[1] - whole[0]
    page.keyboard.press("ArrowRight")
    assert view(page)[0] > closer[0]
    page.keyboard.press(".")
    first = page.evaluate("report.diagram.state.selected")
    page.keyboard.press(".")
    assert page.evaluate("report.diagram.state.selected") == first + 1
    page.keyboard.press("Escape")
    assert page.evaluate("report.diagram.state.selected") == -1
    page.keyboard.press("t")
    assert page.evaluate("report.diagram.logical")
    page.keyboard.press("g")
    begin, end = view(page)
    assert begin < page.evaluate("report.diagram.trace.logical.at(-1)") < end
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    assert "to the failure" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"


def test_a_click_on_a_message_shows_it_with_its_past_and_future(opened: Open) -> None:
    header, found = old_primary()
    page = opened(header, found)
    page.evaluate("report.diagram.fit()")
    settle(page)
    # The request to vs is close to its reply, so from afar a click could mean either: closer.
    page.evaluate("report.diagram._look(0.095, 0.11)")
    settle(page)
    x, y = page.evaluate(
        """() => { const {x0, y0, x1, y1} = report.diagram.painter.arrows.find(({arrow}) => arrow.first === 4);
          return [x0 + (x1 - x0) * 0.3, y0 + (y1 - y0) * 0.3]; }"""
    )
    page.locator(".stage canvas").click(position={"x": x, "y": y})
    assert page.evaluate("report.diagram.state.selected") == 4
    told = page.inner_text(".details")
    assert "pb-1 asks vs: Ping" in told
    assert '["pb-1",1]' in told
    marks = page.evaluate("[...report.diagram.state.cone]")
    assert [number for number, mark in enumerate(marks) if mark == 1] == [1], "before it pb-1 has only begun"
    later = [number for number, mark in enumerate(marks) if mark == 2]
    assert later == [5, 6, 7, 8, 10, 11, 12, 15, 16, 17, 18], "what pb-1 does, what vs does, and who hears of it"
    page.get_by_role("button", name="answered (vs)").click()
    assert page.evaluate("report.diagram.state.selected") == 7
    page.get_by_label("close the details").click()
    assert page.evaluate("report.diagram.state.cone") is None


def test_logical_time_goes_forward_along_lanes_and_messages(opened: Open) -> None:
    page = opened(*made_up(COUNT * 3))
    wrong = page.evaluate(
        """() => {
          const {trace} = report.diagram, latest = new Map(), wrong = [];
          trace.logical.forEach((now, event) => {
            const lane = trace.lane[event];
            if (lane < 0) return;
            if (now <= (latest.get(lane) ?? 0)) wrong.push(event);
            latest.set(lane, now);
          });
          const back = ({first, last}) => last >= 0 && trace.logical[first] >= trace.logical[last];
          return [...wrong, ...trace.arrows.filter(back).map(({last}) => last)];
        }"""
    )
    assert wrong == []


def test_a_process_passes_nothing_on_to_its_next_life(opened: Open) -> None:
    message: dict[str, Any] = {"src": "a", "dst": "b", "id": 1, "method": "M"}
    found = [
        Event(0.0, "start", "a"),
        Event(0.0, "start", "b"),
        Event(0.1, "request", **message),
        Event(0.2, "arrive", **message),
        Event(0.3, "kill", "b"),
        Event(0.4, "start", "b"),
        Event(0.5, "log", "b", text="new"),
    ]
    page = opened(Header(world="sim", package="lab1_pbservice"), found)
    page.evaluate("report.diagram.select(2)")
    assert page.evaluate("[...report.diagram.state.cone]") == [1, 0, 3, 2, 2, 0, 0]
    page.evaluate("report.diagram.select(6)")
    assert page.evaluate("[...report.diagram.state.cone]") == [0, 0, 0, 0, 0, 1, 3]


def test_the_list_and_the_picture_go_together(opened: Open) -> None:
    page = opened(*made_up(COUNT * 3))
    page.evaluate("report.diagram.toFailure()")
    before = view(page)
    until(page, lambda: not page.evaluate("report.diagram._syncing"), "the list to have followed the picture")
    page.locator(".events").evaluate("(list) => { list.scrollTop = 0; }")
    until(page, lambda: view(page)[0] < before[0] - 1e-9, "the picture to follow the list")
    row = page.locator(".events .row").nth(6)
    event = int(row.get_attribute("data-event") or "")
    row.click()
    assert page.evaluate("report.diagram.state.selected") == event
    page.evaluate("report.diagram.select(-1); report.diagram.toFailure()")
    settle(page)
    until(page, lambda: page.evaluate("document.querySelector('.events').scrollTop > 1000"), "the list to follow")


def test_colours_are_the_readers_choice(opened: Open) -> None:
    page = opened(*made_up(COUNT))
    light = page.evaluate("report.diagram.painter.colours.paper")
    page.get_by_label("colours").select_option("dark")
    settle(page)
    dark = page.evaluate("report.diagram.painter.colours.paper")
    assert light != dark
    page.get_by_label("colours").select_option("")
    page.emulate_media(color_scheme="dark")
    until(page, lambda: page.evaluate("report.diagram.painter.colours.paper") == dark, "the system's choice")


def test_it_fits_on_a_phone(opened: Open, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 780})
    opened(*old_primary())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("report.diagram.painter.room") > 250
    assert page.evaluate("report.diagram.painter.drawn.arrows") > 0


# --- what a submission wrote is text ---------------------------------------------------------------------------------


def hostile() -> tuple[Header, list[Event]]:
    """Markup and code in every field that a submission can fill."""
    found: list[Event] = []
    for number, text in enumerate(HOSTILE, 1):
        t = float(number)
        call: dict[str, Any] = {"src": text, "dst": f"pb {text}", "id": number, "method": text}
        found += [
            Event(t, "start", text, text=text),
            Event(t, "log", text, text=text),
            Event(t, "call", text, id=number, method="put", body={"key": text, "value": text}),
            Event(t + 0.1, "request", **call, body=[text, {text: text}]),
            Event(t + 0.2, "arrive", **call),
            Event(t + 0.3, "reply", **call, body=text, text=text),
            Event(t + 0.4, "return", **call),
            Event(t + 0.5, "answer", text, id=number, body=text),
            Event(t + 0.6, "crash", text, text=text),
        ]
    whole = " ".join(HOSTILE)
    found.append(Event(99.0, "verdict", text=whole, body={"status": "failed", "where": whole}))
    return Header(world="sim", package="lab1_pbservice", title=whole, suite=whole, replay=whole), found


def test_nothing_that_a_submission_wrote_is_run(page: Page, tmp_path: Path) -> None:
    header, found = hostile()
    whole = " ".join(HOSTILE)
    trace = tmp_path / "trace.jsonl"
    events.write(trace, header, found)
    failure = Failure(whole, 1, whole, str(tmp_path), shrink=whole, where=whole, logs={whole: whole}, stuck=whole)
    scenes = [Scene(whole, whole, "sim", "failed", failure, trace, stuck=whole), *gather(trace).scenes]
    (tmp_path / "report.html").write_text(page_of(Run(whole, scenes=scenes)))
    for name in ("#scene-0", "#scene-1", "#overview"):
        page.goto((tmp_path / "report.html").as_uri() + name)
        page.reload()
        page.evaluate("report.ready")
        settle(page)
        if name != "#overview":
            page.evaluate(
                """async () => {
                  const {diagram} = report;
                  for (const box of document.querySelectorAll(".listhead input")) if (!box.checked) box.click();
                  for (let event = 0; event < diagram.trace.length; event++) {
                    diagram.select(event);
                    if (event % 9 === 0) await new Promise(requestAnimationFrame);
                  }
                }"""
            )
            for choice in ("only this server", "only this method"):
                page.get_by_label(choice).locator("visible=true").select_option(index=1)
        assert page.evaluate("typeof stolen") == "undefined"
        assert page.locator("img, main script, iframe, object, embed").count() == 0
        text = page.evaluate("document.querySelector('.view:not([hidden])').innerText")
        assert "<img src=x onerror='stolen = 2'>" in text, "expected to read what it is"


def test_the_page_may_not_ask_the_network_nor_run_what_is_added_to_it(browser: Browser, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    events.write(trace, *old_primary())
    file = write(tmp_path / "trace.html", gather(trace))
    page = browser.new_page()
    show(page, file)
    came = page.evaluate(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "globalThis.added = 1";
          document.body.append(script);
          const image = new Image(), loaded = new Promise((done) => {
            image.onload = () => done("yes");
            image.onerror = () => done("no");
          });
          image.src = "http://127.0.0.1:9/x.png";
          const asked = await fetch("http://127.0.0.1:9/").then(() => "yes", (error) => String(error));
          return [typeof added, await loaded, asked];
        }"""
    )
    page.close()
    assert came[0] == "undefined"
    assert came[1] == "no"
    assert "Failed to fetch" in came[2]
    assert "default-src 'none'" in file.read_text()


# --- several tests ---------------------------------------------------------------------------------------------------


def test_the_overview_leads_to_each_failure(page: Page, tmp_path: Path) -> None:
    scenes = []
    for number, (header, found) in enumerate((old_primary(), made_up(COUNT))):
        trace = tmp_path / f"{number}.jsonl"
        events.write(trace, header, found)
        scenes += gather(trace).scenes
    show(page, write(tmp_path / "report.html", Run("a run", scenes=scenes)))
    assert page.evaluate("report.diagrams.size") == 0, "a picture is made when it is looked at"
    page.get_by_role("link", name="Old primary does not serve Gets").click()
    until(page, lambda: page.evaluate("report.diagram?.trace.length") == 20, "the small trace")
    page.get_by_role("link", name="overview").click()
    page.get_by_role("link", name="A made-up run").click()
    until(page, lambda: page.evaluate("report.diagram?.trace.length > 800"), "the large trace")
    page.go_back()
    page.go_back()
    until(page, lambda: page.evaluate("report.diagram?.trace.length") == 20, "the small trace")


def test_a_command_can_be_copied(browser: Browser, tmp_path: Path) -> None:
    header, found = old_primary()
    header.replay = "./lab test pbservice --seed 1"
    trace = tmp_path / "trace.jsonl"
    events.write(trace, header, found)
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    show(page, write(tmp_path / "trace.html", gather(trace)))
    page.get_by_role("button", name="copy the command: replay").click()
    page.wait_for_selector("text=copied")
    assert page.evaluate("navigator.clipboard.readText()") == header.replay
    context.close()
