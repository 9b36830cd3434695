"""`lab trace`: what it prints and leaves out, how it follows, and what other programs get to read."""

import re
import threading
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner

from labs import cli
from labs.traces import perfetto, shiviz
from labs.traces.causality import clocks, lane
from labs.traces.events import FILE, HARNESS, Event, Header, Verdict, write
from labs.traces.recorder import Recorder
from labs.usage import BadUsage

HEADER: Final = Header(world="process", package="lab1_pbservice", test="test_x", suite="pbservice", seed=7)
ROOT: Final = Path(__file__).parents[2]


def call(start: float, number: int, src: str, dst: str, method: str, params: object, reply: object) -> list[Event]:
    """A call that is answered."""
    who = (src, dst, number, method)
    return [
        Event(start, "request", *who, params),
        Event(start + 0.01, "arrive", *who),
        Event(start + 0.02, "reply", *who, reply),
        Event(start + 0.03, "return", *who),
    ]


EVENTS: Final = [
    Event(0.0, "start", "vs", text="viewserver"),
    Event(0.1, "serve", "vs"),
    Event(0.2, "start", "pb-1", text="pbserver"),
    *call(0.3, 1, "pb-1", "vs", "Ping", ["pb-1", 0], [1, "pb-1", ""]),
    Event(0.4, "log", "pb-1", text="view 1 \x1b[31mred"),
    *call(0.5, 2, HARNESS, "vs", "GetView", [], [1, "pb-1", ""]),
    Event(0.6, "call", "ck-1", id=1, method="put", body={"key": "k", "value": "v"}),
    *call(0.7, 3, "ck-1", "pb-1", "Write", [17, 1, "k", "v", False], ["Done"]),
    Event(0.8, "answer", "ck-1", id=1, method="put"),
    Event(0.9, "tap", "pb-1", "vs", text="request lost"),
    Event(1.0, "request", "pb-1", "vs", 4, "Ping", ["pb-1", 5]),
    Event(1.0, "lose request", "pb-1", "vs", 4, "Ping"),
    Event(1.1, "fail", "pb-1", "vs", 4, "Ping", text="lost"),
    Event(1.2, "request", HARNESS, "p0", 5, "Status", [7]),
    Event(1.2, "arrive", HARNESS, "p0", 5, "Status"),
    Event(1.3, "reply", HARNESS, "p0", 5, "Status", text="no such thing"),
    Event(1.3, "return", HARNESS, "p0", 5, "Status"),
    Event(1.4, "request", "ck-1", "vs", 6, "Query", [3]),
    Event(1.5, "pause", "vs"),
    Event(1.6, "resume", "vs"),
    Event(1.7, "kill", "pb-1"),
    Event(1.8, "verdict", text="expected 1", body=Verdict("failed", "at test_x.py:1: x", [1])),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "pbservice" / "test_x"
    folder.mkdir(parents=True)
    write(folder / FILE, HEADER, EVENTS)
    return folder


def lab(*words: object) -> str:
    """What `lab trace …` prints where there is no terminal. What `main` would say in one line is raised."""
    result = CliRunner().invoke(cli.lab, ["trace", *map(str, words)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert (result.return_value, result.stderr) == (0, "")
    return result.stdout


def test_all_of_it_as_aligned_text(folder: Path) -> None:
    lines = lab(folder).splitlines()
    assert len(lines) == len(EVENTS)
    assert lines[3] == ('   0.300000  #1  pb-1        → vs           request      Ping(me="pb-1", viewnum=0)')
    assert lines[5] == (
        '   0.320000  #1  pb-1        ← vs           reply        Ping: View(viewnum=1, primary="pb-1", backup="")'
    )
    assert lines[7] == r"   0.400000      pb-1                       log          view 1 \x1b[31mred"
    assert lines[12] == '   0.600000  o1  ck-1                       call         put("k", "v")'
    assert lines[13].endswith('Write(17, 1, "k", "v", false)')
    assert lines[15].endswith("Write: Done()")
    assert lines[-1].endswith("verdict      failed; expected 1; at test_x.py:1: x; shown by o1")
    assert {line.index("→") for line in lines if "→" in line} == {29}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--server", "ck-1"], [12, 13, 14, 15, 16, 17, 26]),
        (["--server", "ck-1", "--server", "p0"], [12, 13, 14, 15, 16, 17, 22, 23, 24, 25, 26]),
        (["--method", "write"], [13, 14, 15, 16]),
        (["--kind", "operation"], [12, 17]),
        (["--kind", "fault"], [18, 27, 28, 29]),
        (["--kind", "fail", "--kind", "log"], [7, 21]),
        (["--key", "k"], [12, 13, 14, 15, 16, 17]),
        (["--key", "K"], []),
        (["--view", "0"], [3, 4, 5, 6]),
        (["--view", "1"], [3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16]),  # a Write may be about view 1, for all we know
        (["--seq", "7"], [22, 23, 24, 25]),
        (["--config", "3"], [26]),
        (["--value", "17"], [13, 14, 15, 16]),
        (["--value", "red"], [7]),
        (["--after", "0.6", "--before", "0.71"], [12, 13, 14]),
        (["--brief", "--before", "0.8"], [0, 1, 2, 3, 5, 7, 12, 13, 15, 17]),
        (["--causes", "3"], [12, 13]),
        (["--effects", "3", "--kind", "message"], [13, 14, 15, 16, 19, 20, 21, 26]),
        (["--key", "k", "--causes", "6"], [12, 13, 14, 15, 16, 17]),
    ],
)
def test_filters(folder: Path, words: list[str], expected: list[int]) -> None:
    everything = lab(folder).split("\n")
    wanted = [" ".join(everything[place].split()) for place in expected]
    assert [" ".join(line.split()) for line in lab(folder, *words).splitlines()] == wanted


def test_of_many_traces_there_is_a_list(folder: Path, tmp_path: Path) -> None:
    for name in ("test_a", "test_b"):
        (tmp_path / name).mkdir()
    write(tmp_path / "test_a" / FILE, HEADER, EVENTS)
    write(tmp_path / "test_b" / FILE, HEADER, EVENTS[:3])
    first, second, last = lab(tmp_path).splitlines()
    assert re.search(r"test_a/trace.jsonl +failed$", first)
    assert re.search(r"test_b/trace.jsonl +without a verdict$", second)
    assert last == "2 traces: name one of them"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["no-such-place"], "expected a trace, a folder, or a run's name in runs, but there is no no-such-place"),
        ([ROOT / "docs"], "there is no trace.jsonl in"),
        ([ROOT / "setup.cfg"], "line 1: expected a Header of a trace"),
        (["FOLDER", "--causes", "99"], "expected the number of a message for --causes, but there is no #99"),
        (["FOLDER", "--follow", "--causes", "1"], "--follow prints a trace that still grows"),
        (["FOLDER", "--perfetto", "/nowhere/x"], "cannot write /nowhere/x: No such file or directory"),
        (["FOLDER", "--kind", "mesage"], "expected a kind of event"),
    ],
)
def test_bad_usage_is_one_line(folder: Path, words: list[object], complaint: str) -> None:
    with pytest.raises(BadUsage, match=re.escape(complaint)) as raised:
        lab(*(folder if word == "FOLDER" else word for word in words))
    assert "\n" not in str(raised.value)


def test_a_trace_that_grows_is_followed_until_its_verdict(tmp_path: Path) -> None:
    with closing(Recorder(HEADER, tmp_path / FILE)) as recorder:

        def grow() -> None:
            for event in EVENTS[1:]:
                recorder.add(event)
                recorder.flush()
                time.sleep(0.01)

        recorder.add(EVENTS[0])
        recorder.flush()
        growing = threading.Thread(target=grow)
        growing.start()
        printed = lab(tmp_path, "--follow", "--brief")
        growing.join()
    assert len(printed.splitlines()) == len(lab(tmp_path, "--brief").splitlines()) > 15


# --- ShiViz ----------------------------------------------------------------------------------------------------------


def test_shiviz_reads_the_log_by_its_own_first_line(folder: Path, tmp_path: Path) -> None:
    assert lab(folder, "--shiviz", tmp_path / "log").startswith(f"{len(EVENTS)} events in ")
    pattern, delimiter, rest = (tmp_path / "log").read_text().split("\n", 2)
    assert delimiter == ""
    found = list(re.finditer(pattern.replace("(?<", "(?P<"), rest))  # as JavaScript writes it, and as Python does
    assert "".join(each[0] + "\n" for each in found) == rest, "nothing of the log is left over"
    assert len(found) == len(EVENTS)
    expected = [{name.replace(" ", "-"): count for name, count in clock.items()} for clock in clocks(EVENTS)]
    assert [msgspec.json.decode(each["clock"]) for each in found] == expected
    counts: dict[str, int] = {}
    for each in found:
        counts[each["host"]] = counts.get(each["host"], 0) + 1
        assert msgspec.json.decode(each["clock"])[each["host"]] == counts[each["host"]]
    assert set(counts) == {lane(event).replace(" ", "-") for event in EVENTS}


def test_a_line_of_a_log_cannot_break_the_log() -> None:
    nasty = Event(0.0, "log", "a", text='x {"b":1}\nb {"b":7}\u2028y')
    assert list(shiviz.lines([nasty]))[2:] == ['a {"a":1}', '0.000000 log x {"b":1}\\nb {"b":7}\\u2028y']


# --- Perfetto --------------------------------------------------------------------------------------------------------

NUMBERS: Final = {"ts", "dur", "pid", "tid"}
FIELDS: Final[dict[str, set[str]]] = {
    "X": {"name", "cat", "ts", "dur", "pid", "tid", "args"},
    "i": {"name", "s", "ts", "pid", "tid", "args"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
    "b": {"name", "cat", "id", "ts", "pid", "tid", "args"},
    "e": {"name", "cat", "id", "ts", "pid", "tid", "args"},
    "M": {"name", "pid", "tid", "args"},
}
"""The fields that the description of Chrome's trace events asks for, by phase."""


def check_perfetto(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of a trace, after a look at all that makes it one."""
    items: list[dict[str, Any]] = document["traceEvents"]
    slices = [item for item in items if item["ph"] == "X"]
    for item in items:
        assert set(item) == {"ph", *FIELDS[item["ph"]]}, item
        assert all(isinstance(item[each], int) and item[each] >= 0 for each in NUMBERS & set(item)), item
        assert item["ph"] != "i" or item["s"] in ("g", "p", "t")
    for thread in {(each["pid"], each["tid"]) for each in slices}:
        spans = sorted(
            (each["ts"], -each["dur"])
            for each in slices
            if (each["pid"], each["tid"]) == thread and each["cat"] != "process"
        )
        assert all(start - length <= later for (start, length), (later, _) in pairwise(spans)), "slices overlap"
    for phases, key in ((("s", "f"), "id"), (("b", "e"), "id")):
        begun = {item[key]: item for item in items if item["ph"] == phases[0]}
        for item in items:
            if item["ph"] == phases[1]:
                begin = begun[item[key]]
                assert (begin["name"], begin["cat"]) == (item["name"], item["cat"])
                assert begin["ts"] <= item["ts"]
    for item in items:
        if item["ph"] in ("s", "f"):
            assert any(
                (each["pid"], each["tid"]) == (item["pid"], item["tid"])
                and each["ts"] <= item["ts"] <= each["ts"] + each["dur"]
                for each in slices
            ), "an arrow ends where no slice is"
    return items


def test_perfetto(folder: Path, tmp_path: Path) -> None:
    lab(folder, "--perfetto", tmp_path / "out.json")
    document = msgspec.json.decode((tmp_path / "out.json").read_bytes())
    items = check_perfetto(document)
    assert document["displayTimeUnit"] == "ms"

    def named(name: str, ph: str) -> list[dict[str, Any]]:
        return [item for item in items if item["name"] == name and item["ph"] == ph]

    processes = {item["pid"]: item["args"]["name"] for item in named("process_name", "M")}
    assert sorted(processes.values()) == sorted(["vs", "pb-1", "ck-1", "p0", HARNESS, "the network"])
    asked, answered = named("Write", "X")
    assert (processes[asked["pid"]], asked["ts"], asked["dur"]) == ("ck-1", 700_000, 30_000)
    assert (processes[answered["pid"]], answered["ts"], answered["dur"]) == ("pb-1", 710_000, 10_000)
    assert asked["args"] == {
        "id": 3,
        "to": "pb-1",
        "request": 'Write(17, 1, "k", "v", false)',
        "reply": "Write: Done()",
    }
    assert len(named("request", "s")) == len(named("request", "f")) == 4
    assert len(named("reply", "s")) == len(named("reply", "f")) == 4
    assert [processes[item["pid"]] for item in named("tap pb-1 > vs", "i")] == ["the network"]
    assert [item["ts"] for item in named("put", "b") + named("put", "e")] == [600_000, 800_000]
    (paused,) = named("paused", "X")
    assert (paused["ts"], paused["dur"]) == (1_500_000, 100_000)
    assert len(named("lose request Ping", "i")) == 1
    assert [item["s"] for item in items if item["name"].startswith("verdict failed")] == ["g"]


def test_perfetto_of_overlapping_and_broken_calls() -> None:
    def many(number: int) -> list[Event]:
        return call(number * 0.005, number, "a", "b", "M", [], [])

    events = sorted((event for number in range(1, 20) for event in many(number)), key=lambda event: event.t)
    events += [Event(9.0, "arrive", "a", "b", 77, "M"), Event(9.0, "return", "a", "b", 77, "M")]  # of a cut beginning
    doubled = [Event(9.5 + each, "arrive", "a", "b", 78, "M") for each in (0.1, 0.4)]
    events += [Event(9.5, "request", "a", "b", 78, "M"), doubled[0], Event(9.7, "reply", "a", "b", 78, "M")]
    events += [Event(9.8, "return", "a", "b", 78, "M"), doubled[1]]
    items = check_perfetto(perfetto.document(HEADER, events))
    assert sum(item["ph"] == "X" for item in items) == 2 * 19 + 3
