"""What both worlds tell the recorder: the same script leaves the same events, and nothing of it changes the run."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from echo_lab.roles import Count, Echo, Keep, Misbehave, Relay
from plays import passes, play

from common.host import CallFailed, CallRefused
from common.main import new_event_loop
from labs.cluster import Cluster, ServerStopped
from labs.faults import Faults
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keepers
from labs.sim.cluster import SimCluster
from labs.traces.events import FILE, HARNESS, Event, Header, read
from labs.traces.recorder import Recorder

ECHO_LAB: Final = Path(__file__).parents[1] / "sim"


LINKS: Final = (
    (Faults(request_lost=1), 0),
    (Faults(reply_lost=1), 1),
    (Faults(duplicate=1), 2),
    (Faults(), 1),
)
"""What a tap does, and how often the server then gets a request."""


def kinds_of(events: list[Event], text: str) -> list[str]:
    """What happened to the call from a to b that carries this text."""
    numbers = [event.id for event in events if event.kind == "request" and event.src == "a" and event.body[0] == text]
    return [event.kind for event in events if event.dst == "b" and event.id in numbers]


async def script(cluster: Cluster) -> None:
    """Everything that a trace has to tell of, and whose order is no matter of chance nor of speed."""
    events: list[Event] = []
    assert cluster.recorder is not None
    cluster.recorder.subscribe(events.append)

    async def relay(text: str) -> str:
        return await cluster.call("a", Relay("b", text, timeout=60.0), timeout=None)

    async def until_told(kind: str, text: str, times: int = 1) -> None:
        await cluster.until(lambda: kinds_of(events, text).count(kind) == times, 60, f"{text}: {kind}")

    await cluster.start("echo", "a")
    await cluster.start("echo", "b", greeting="good morning")
    await relay("plain")
    with pytest.raises(CallRefused):
        await cluster.call("a", Keep(-1))
    cluster.cut("a", "b")
    assert await relay("cut") == "failed"
    cluster.join("a", "b")
    for faults, copies in LINKS:
        cluster.tap("b", faults)
        await relay(str(faults))
        await until_told("arrive", str(faults), copies)
    cluster.untap("b")
    cluster.hold("a", "b")
    held = cluster.spawn(relay("held"))
    await until_told("request", "held")
    cluster.release("a", "b")
    await held
    cluster.deafen("a")
    cluster.undeafen("a")
    cluster.pause("b")
    cluster.resume("b")
    operation = cluster.history.begin("ck-1", "append", "k", "v" * 1000, cluster.now())
    cluster.history.end(operation, None, cluster.now())
    await cluster.kill("b")
    with pytest.raises(CallFailed):
        await cluster.call("b", Count())
    await cluster.restart("b")
    await relay("again")
    with pytest.raises((ServerStopped, CallFailed)):
        await cluster.call("b", Misbehave("exits"))
    with pytest.raises(ServerStopped):  # its connections may end long before it does
        await cluster.until(lambda: False, 60, "the end of b")
    assert cluster.calls("b") == 6, "only those are counted that came while the test had tapped the link"
    cluster.stop_recording()


def in_simulation(folder: Path) -> list[Event]:
    """What the script leaves in the simulation."""

    async def scenario(cluster: SimCluster) -> None:
        await script(cluster)

    outcome = play(scenario, folder=folder)
    assert "ended by itself" in outcome.message
    assert outcome.digest == play(_unrecorded).digest, "who records a run does not change it"
    return read(folder / FILE)[1]


async def _unrecorded(cluster: SimCluster) -> None:
    """The same script, of which nothing is written."""
    cluster.recorder = Recorder(Header(world="sim", package="echo_lab"))
    cluster.network.recorder = cluster.recorder
    await script(cluster)


def in_processes(folder: Path) -> list[Event]:
    """What it leaves in real processes."""

    async def main(keepers: Keepers) -> None:
        header = Header(world="process", package="echo_lab")
        keeper = keepers.get("echo_lab", [ECHO_LAB])
        with closing(Recorder(header, folder / FILE)) as recorder:
            async with ProcessCluster("echo_lab", keeper, recorder=recorder, tap_all=True) as cluster:
                await script(cluster)

    keepers = Keepers(f"test-{uuid.uuid4().hex}")
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main(keepers))
    finally:
        keepers.close()
    return read(folder / FILE)[1]


def without_what_one_world_sees(events: Iterable[Event]) -> list[Event]:
    """Calls that never set out are seen in the simulation only. Lines of logs come when they come."""
    events = list(events)
    never = {event.id for event in events if event.kind == "fail" and "no link" in event.text}
    return [event for event in events if not (event.method and event.id in never) and event.kind != "log"]


def test_both_worlds_tell_the_same(tmp_path: Path) -> None:
    simulated = without_what_one_world_sees(in_simulation(tmp_path / "sim"))
    real = without_what_one_world_sees(in_processes(tmp_path / "process"))

    def is_message(event: Event) -> bool:
        return bool(event.dst and event.id)

    def told(event: Event) -> tuple[object, ...]:
        text = "" if event.kind in ("fail", "crash") else event.text.rpartition(" was refused: ")[2]
        return event.kind, event.src, event.dst, event.method, repr(event.body), text

    def calls(events: list[Event]) -> list[Counter[tuple[object, ...]]]:
        ids = dict.fromkeys(event.id for event in events if is_message(event))
        return [Counter(told(event) for event in events if is_message(event) and event.id == each) for each in ids]

    assert [told(event) for event in simulated if not is_message(event)] == [
        told(event) for event in real if not is_message(event)
    ]
    assert calls(simulated) == calls(real)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """The script's trace, from real processes."""
    return in_processes(tmp_path_factory.mktemp("trace"))


def test_events_are_in_the_order_of_time(events: list[Event]) -> None:
    times = [event.t for event in events]
    assert times == sorted(times)


def test_what_happened_to_the_script(events: list[Event]) -> None:
    def all_of(kind: str, src: str = "") -> list[Event]:
        return [event for event in events if event.kind == kind and src in ("", event.src)]

    assert kinds_of(events, "plain") == ["request", "arrive", "reply", "return"]
    assert kinds_of(events, str(Faults(request_lost=1))) == ["request", "lose request", "fail"]
    assert kinds_of(events, str(Faults(reply_lost=1))) == ["request", "arrive", "reply", "lose reply", "fail"]
    assert sorted(kinds_of(events, str(Faults(duplicate=1)))) == ["arrive", "arrive", "reply", "request", "return"]
    assert [(event.src, event.text) for event in all_of("start")] == [("a", "echo"), ("b", "echo"), ("b", "echo")]
    assert [event.src for event in all_of("kill")] == ["b"]
    assert [(event.src, event.text) for event in all_of("crash")] == [("b", "exit status 0")]
    assert [(event.src, event.dst) for event in all_of("cut")] == [("a", "b"), ("a", "a"), ("b", "a")]
    odds = ["request lost", "reply lost", "duplicate", "no faults", "", "no faults"]  # the last one holds
    assert [event.text for event in all_of("tap")] == odds
    (call,), (answer,) = all_of("call"), all_of("answer")
    assert (call.src, call.id, call.method, answer.id) == ("ck-1", 1, "append", 1)
    assert call.body == {"key": "k", "value": "v" * 500 + "… (1000 characters)"}
    assert "hello from a" in [event.text for event in all_of("log", "a")]
    assert "done with plain" in [event.text for event in all_of("log", "b")]
    (refused,) = [event for event in all_of("reply", HARNESS) if event.text]
    assert refused.text.endswith("expected a size of at least 0")


def test_a_line_of_a_log_stands_where_it_was_written(tmp_path: Path) -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.call("a", Echo("x", seconds=1.0))

    passes(scenario, folder=tmp_path)
    log = [event for event in read(tmp_path / FILE)[1] if event.text == "done with x"]
    assert [(event.kind, event.src) for event in log] == [("log", "a")]
    assert log[0].t == pytest.approx(1.0, abs=0.1)
