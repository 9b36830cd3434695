"""The recorder: what it keeps, in which order, and how little of a flood; and what becomes of messages' bodies."""

import math
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labs.traces.bodies import LARGE, MOST, body_of, plain
from labs.traces.events import Event, Header, Unreadable, append, read
from labs.traces.recorder import Limit, Recorder

HEADER = Header(world="process", package="lab1_pbservice", test="test_x", seed=7)


def notes(*times: float) -> list[Event]:
    return [Event(time, "note", text=str(time)) for time in times]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test_x" / "trace.jsonl"


def test_what_is_added_is_read(file: Path) -> None:
    events = [Event(0.5, "request", "a", "b", 1, "Echo", ["x", {"hex": "ff"}]), Event(1.0, "verdict")]
    with closing(Recorder(HEADER, file)) as recorder:
        for event in events:
            recorder.add(event)
    assert read(file) == (HEADER, events)


def test_subscribers_are_told_at_once_and_without_a_file() -> None:
    recorder = Recorder(HEADER)
    told: list[Event] = []
    recorder.add(Event(0.0, "note"))
    recorder.subscribe(told.append)
    recorder.add(Event(1.0, "note"))
    assert told == [Event(1.0, "note")]


def test_a_late_event_stands_where_it_belongs(file: Path) -> None:
    with closing(Recorder(HEADER, file)) as recorder:
        for event in notes(1.0, 3.0, 2.0, 5.0):
            recorder.add(event)
        recorder.flush(until=4.0)
        assert [event.text for event in read(file)[1]] == ["1.0", "2.0", "3.0"]
        for event in notes(4.0, 2.5):
            recorder.add(event)
    assert [(event.t, event.text) for event in read(file)[1]] == [
        *((1.0, "1.0"), (2.0, "2.0"), (3.0, "3.0")),
        *((3.0, "2.5"), (4.0, "4.0"), (5.0, "5.0")),  # too late for its place: next to what was written last
    ]


@pytest.mark.parametrize("flush_every", [1, 7, 1000])
def test_of_a_flood_beginning_and_end_are_kept(file: Path, flush_every: int) -> None:
    with closing(Recorder(HEADER, file, start=Limit(10, 10_000), end=Limit(5, 10_000))) as recorder:
        for time, event in enumerate(notes(*map(float, range(100)))):
            recorder.add(event)
            if time % flush_every == 0:
                recorder.flush()
    events = read(file)[1]
    assert [event.t for event in events] == [*range(10), 95, *range(95, 100)]
    assert events[10].text == "85 events were left out here: of a long run, beginning and end are kept"


def test_a_trace_has_a_greatest_size(file: Path) -> None:
    with closing(Recorder(HEADER, file, start=Limit(1000, 5000), end=Limit(1000, 3000))) as recorder:
        for time in range(10_000):
            recorder.add(Event(float(time), "log", "a", text="x" * (time % 100)))
    assert 7000 < file.stat().st_size < 8500
    assert read(file)[1][-1].t == 9999


def test_the_verdict_can_be_added_later(file: Path) -> None:
    with closing(Recorder(HEADER, file)) as recorder:
        recorder.add(Event(0.5, "note"))
    append(file, Event(1.0, "verdict", text="expected 1, got 2"))
    assert [event.kind for event in read(file)[1]] == ["note", "verdict"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the file is empty"),
        (b"{}\n", "line 1: expected a Header"),
        (b'{"trace":2,"world":"sim","package":"x"}\n', "expected a trace of version 1, got version 2"),
        (b'{"trace":1,"world":"sim","package":"x"}\n{"t":1,"kind":"no such"}\n', "line 2: expected a Event"),
    ],
)
def test_what_is_no_trace_is_refused(file: Path, content: bytes, complaint: str) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(Unreadable, match=complaint):
        read(file)


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["k", 1, -2.5, True, None], ["k", 1, -2.5, True, None]),
        (b"text", "text"),
        (b"\xff\x00", {"hex": "ff00"}),
        ({1: "a", b"k": "b", (1, 2): "c"}, {"1": "a", "k": "b", "[1, 2]": "c"}),
        ([math.nan, math.inf], ["nan", "inf"]),
        (msgspec.msgpack.Ext(5, b"\x01"), {"ext": 5, "hex": "01"}),
        ("half of a pair: \ud800", "half of a pair: ?"),
    ],
)
def test_a_body_is_what_json_has(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert msgspec.json.decode(msgspec.json.encode(plain(value))) == expected


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1_000_000,
        b"\xff" * 1_000_000,
        ["x" * 200] * 1000,
        list(range(100_000)),
        {str(number): number for number in range(10_000)},
        [[["x" * 1000] * 10] * 10] * 10,
    ],
)
def test_a_long_body_is_cut_and_says_so(value: Any) -> None:
    for cut in (plain(value), body_of(msgspec.msgpack.encode(value))):
        text = msgspec.json.encode(cut).decode()
        assert len(text) < 4 * MOST
        assert "…" in text


def test_a_deep_body_is_cut() -> None:
    deep = b"\x91" * 900 + b"\xc0"  # a list in a list in a list
    assert len(msgspec.json.encode(body_of(deep))) < 2 * MOST


def test_of_a_large_body_the_small_parts_are_kept() -> None:
    encoded = msgspec.msgpack.encode(["key", "x" * LARGE * 2, 7])
    assert body_of(encoded) == ["key", f"… ({LARGE * 2 + 3} bytes)", 7]


def test_what_is_no_messagepack_is_shown_as_bytes() -> None:
    assert body_of(b"\xa3a\xff\xff") == {"hex": "a361ffff"}
