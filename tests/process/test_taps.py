"""Taps: each fault, one by one and certain, between two real servers."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest
from conftest import Play
from toy_lab.messages import Add, Echo, Numbers, Send

from common import links
from common.wire import LOST, FrameReader, ResponseFrame, decode_frame, encode_notification, encode_request
from labs.cluster import Held
from labs.faults import EVIL, NONE, UNRELIABLE, Faults
from labs.process.cluster import ProcessCluster
from labs.process.taps import FOLDER

SOON = 60.0
"""Seconds within which things happen that take milliseconds. Generous: the machine may be slow."""


async def start(cluster: ProcessCluster, faults: Faults = NONE) -> None:
    """Two servers, a and b, with a tap on the links to b."""
    await cluster.start("adder", "a")
    await cluster.start("adder", "b")
    cluster.tap("b", faults)


async def send(cluster: ProcessCluster, *numbers: int, timeout: float = 60.0) -> list[str]:
    """What comes of it when a asks b to add these numbers."""
    return await asyncio.wait_for(cluster.call("a", Send("b", list(numbers), timeout), None), SOON)


async def arrived(cluster: ProcessCluster) -> list[int]:
    """What has come to b."""
    return await cluster.call("b", Numbers())


async def _is(cluster: ProcessCluster, least: int) -> bool:
    return len(await arrived(cluster)) >= least


def failed(reason: str) -> str:
    """What `send` says of a call that failed."""
    return f"failed: {reason}"


def test_a_tap_without_faults_relays_and_counts(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        assert cluster.calls("b") == 0
        assert await send(cluster, 1, 2, 4) == ["1", "3", "7"]
        assert await arrived(cluster) == [1, 2, 4]
        assert cluster.calls("b") == 3
        assert cluster.calls("a") == 0

    play(scenario)


def test_what_was_counted_stays_when_taps_come_and_go(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        await send(cluster, 1)
        cluster.untap("b")
        await send(cluster, 2)
        assert cluster.calls("b") == 1
        cluster.tap("b")
        await send(cluster, 3)
        assert cluster.calls("b") == 2

    play(scenario)


def test_a_lost_request_never_arrives_and_the_caller_learns_it_at_once(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, Faults(request_lost=1.0))
        assert await send(cluster, 1, 2) == [failed(LOST)] * 2
        assert await arrived(cluster) == []
        assert cluster.calls("b") == 2

    play(scenario)


def test_a_lost_reply_looks_to_the_caller_like_a_lost_request(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, Faults(reply_lost=1.0))
        assert await send(cluster, 1, 2) == [failed(LOST)] * 2
        assert await arrived(cluster) == [1, 2]

    play(scenario)


@pytest.mark.parametrize(
    ("faults", "numbers"), [(Faults(request_lost=1.0, silent=True), []), (Faults(reply_lost=1.0, silent=True), [1])]
)
def test_a_silent_loss_leaves_the_caller_waiting(play: Play, faults: Faults, numbers: list[int]) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, faults)
        assert await send(cluster, 1, timeout=0.3) == [failed("no reply to Add in time")]
        await cluster.until(lambda: cluster.calls("b") == 1, SOON, "the request at the tap")
        await cluster.until(lambda: _is(cluster, len(numbers)), SOON, "the request at b")
        assert await arrived(cluster) == numbers

    play(scenario)


def test_a_delay_holds_every_request_back(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, Faults(delay=0.3))
        before = time.monotonic()
        assert await send(cluster, 1, 2, 3) == ["1", "3", "6"]
        assert time.monotonic() - before >= 0.3 - 0.001  # uvloop counts whole milliseconds

    play(scenario)


def test_a_duplicated_request_arrives_twice_and_is_answered_once(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, Faults(duplicate=1.0))
        assert await send(cluster, 1) == ["1"]
        assert await arrived(cluster) == [1, 1]
        assert await send(cluster, 10) == ["12"]
        assert cluster.calls("b") == 2

    play(scenario)


def test_reordered_requests_all_arrive_in_another_order(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, Faults(reorder=1.0))
        numbers = list(range(40))
        outcomes = await send(cluster, *numbers)
        came = await arrived(cluster)
        assert sorted(came) == numbers
        assert came != numbers
        assert [outcomes[number] for number in came] == [str(sum(came[: n + 1])) for n in range(len(came))]

    play(scenario)


def test_a_held_request_arrives_when_it_is_released(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.hold("a", "b")
        sent = cluster.spawn(send(cluster, 1, 2, 3))
        await cluster.until(lambda: cluster.calls("b") == 3, SOON, "the requests at the tap")
        assert await arrived(cluster) == []
        cluster.release("a", "b")
        assert await sent == ["1", "3", "6"]
        assert await arrived(cluster) == [1, 2, 3]

    play(scenario)


def test_held_requests_are_delivered_and_dropped_one_by_one(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.hold("a", "b")
        sent = cluster.spawn(send(cluster, 1, 2, 4))
        await cluster.until(lambda: len(cluster.held("a", "b")) == 3, SOON, "the requests at the tap")
        assert cluster.held("a", "b") == [Held(1, "Add", "1"), Held(2, "Add", "2"), Held(3, "Add", "4")]
        cluster.deliver("a", "b", 3)
        await cluster.until(lambda: arrived(cluster), SOON, "the request at b")
        cluster.drop("a", "b", 1)
        assert await arrived(cluster) == [4]
        with pytest.raises(ValueError, match=r"held from a to b \(2\), got 3"):
            cluster.deliver("a", "b", 3)
        cluster.release("a", "b")
        assert await sent == [failed(LOST), "6", "4"]
        with pytest.raises(ValueError, match=r"held from a to b \(none is\), got 2"):
            cluster.drop("a", "b", 2)

    play(scenario)


def test_a_held_request_arrives_although_its_caller_died(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.hold("a", "b")
        sent = cluster.spawn(send(cluster, 1))
        await cluster.until(lambda: cluster.calls("b") == 1, SOON, "the request at the tap")
        await cluster.kill("a")
        with pytest.raises(Exception, match="Send"):
            await sent
        cluster.release("a", "b")
        await cluster.until(lambda: arrived(cluster), SOON, "the request at b")

    play(scenario)


def test_a_held_request_reaches_the_server_that_was_restarted_meanwhile(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        assert await send(cluster, 100) == ["100"]
        cluster.hold("a", "b")
        sent = cluster.spawn(send(cluster, 1))
        await cluster.until(lambda: cluster.calls("b") == 2, SOON, "the request at the tap")
        await cluster.kill("b")
        await cluster.restart("b")
        cluster.release("a", "b")
        assert await sent == ["1"]

    play(scenario)


def test_taking_the_tap_away_releases_what_it_held(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.hold("a", "b")
        sent = cluster.spawn(send(cluster, 1))
        await cluster.until(lambda: cluster.calls("b") == 1, SOON, "the request at the tap")
        cluster.untap("b")
        assert await sent == ["1"]

    play(scenario)


def test_faults_of_a_tap_can_change_at_any_time(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        assert await send(cluster, 1) == ["1"]
        cluster.tap("b", Faults(request_lost=1.0))
        assert await send(cluster, 2) == [failed(LOST)]
        cluster.tap("b", NONE)
        assert await send(cluster, 3) == ["4"]

    play(scenario)


def test_a_tap_can_be_for_some_callers_only(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        for name in "abc":
            await cluster.start("adder", name)
        cluster.tap("b", Faults(request_lost=1.0), sources=["c"])
        assert await cluster.call("a", Send("b", [1])) == ["1"]
        assert await cluster.call("c", Send("b", [1])) == [failed(LOST)]

    play(scenario)


def test_a_server_that_dies_fails_the_calls_under_way_at_once(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        assert await send(cluster, 1) == ["1"]
        cluster.pause("b")
        sent = cluster.spawn(send(cluster, 2))
        await cluster.until(lambda: cluster.calls("b") == 2, SOON, "the request at the tap")
        await cluster.kill("b")
        assert await sent == [failed(LOST)]
        await cluster.restart("b")
        assert await send(cluster, 3) == ["3"]

    play(scenario)


def test_the_same_seed_loses_the_same_messages(play: Play) -> None:
    seen: list[list[str]] = []

    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, UNRELIABLE)
        seen.append([(await send(cluster, 1))[0] for _ in range(60)])

    play(scenario)
    play(scenario)
    assert seen[0] == seen[1]
    assert 0 < seen[0].count(failed(LOST)) < 60


def test_nothing_gets_mixed_up_under_many_calls_and_all_faults(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, EVIL)
        outcomes = await send(cluster, *[1] * 500)
        good = [int(outcome) for outcome in outcomes if outcome.isdigit()]
        assert len(good) + outcomes.count(failed(LOST)) == 500
        assert len(set(good)) == len(good)  # each sum was told once
        await cluster.until(lambda: _is(cluster, max(good)), SOON, "all copies at b")

    play(scenario)


# --- by hand: a connection of our own to the tap ---------------------------------------------------------------------


async def connect(net: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    endpoint = links.read(net / FOLDER / "a" / "b")
    assert endpoint is not None
    return await asyncio.open_connection(*endpoint)


def test_a_notification_is_relayed_and_counted(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        _, writer = await connect(cluster.net)
        cluster.tap("b", Faults(request_lost=1.0))
        writer.write(encode_notification(Add(6)))
        await cluster.until(lambda: cluster.calls("b") == 1, SOON, "the notification that gets lost")
        cluster.tap("b", NONE)
        writer.write(encode_notification(Add(7)))
        await cluster.until(lambda: arrived(cluster), SOON, "the notification at b")
        assert await arrived(cluster) == [7]
        assert cluster.calls("b") == 2
        writer.close()
        await writer.wait_closed()

    play(scenario)


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"\xc1", b"\x94\x01\x00\xc0\xc0"])
def test_nonsense_ends_the_connection_and_nothing_else(play: Play, nonsense: bytes) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        reader, writer = await connect(cluster.net)
        writer.write(nonsense)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), SOON) == b""
        writer.close()
        assert await send(cluster, 1) == ["1"]

    play(scenario)


async def answers(reader: asyncio.StreamReader, last: int) -> list[ResponseFrame]:
    """The responses that come, up to the one with the id `last`."""
    found: list[ResponseFrame] = []
    cutter = FrameReader()
    while not found or found[-1].msgid != last:
        for frame in cutter.feed(await asyncio.wait_for(reader.read(1000), SOON)):
            answer = decode_frame(frame)
            assert isinstance(answer, ResponseFrame)
            found.append(answer)
    return found


def test_only_the_first_reply_to_a_duplicated_request_is_relayed(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster, Faults(duplicate=1.0))
        reader, writer = await connect(cluster.net)
        writer.write(encode_request(1, Add(1)) + encode_request(2, Add(10)))
        assert [(answer.msgid, bytes(answer.result)) for answer in await answers(reader, 2)] == [
            (1, b"\1"),
            (2, b"\x0c"),
        ]
        writer.close()

    play(scenario)


def test_a_refusal_is_relayed_as_it_is(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        reader, writer = await connect(cluster.net)
        writer.write(encode_request(77, Add("no number")))  # type: ignore[arg-type]
        (answer,) = await answers(reader, 77)
        assert answer.error is not None
        assert answer.error.startswith("Add(number)")
        writer.close()

    play(scenario)


@pytest.mark.parametrize("relief", ["resume", "kill"])
def test_a_caller_that_is_faster_than_the_server_has_to_wait(play: Play, relief: str) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.pause("b")
        _, writer = await connect(cluster.net)
        much = encode_notification(Echo("x" * 1_000_000))
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 200:
                writer.write(much)
                await asyncio.wait_for(writer.drain(), 1.0)
                sent += 1
        assert sent < 200, "the tap took everything, for a server that takes nothing"
        if relief == "resume":
            cluster.resume("b")
        else:
            await cluster.kill("b")
        await asyncio.wait_for(writer.drain(), SOON)
        writer.transport.abort()

    play(scenario)
