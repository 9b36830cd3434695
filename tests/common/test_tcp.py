"""TcpHost over real sockets, on both event loops."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from common import links, tcp
from common.host import BadRequest, CallFailed, CallRefused
from common.main import new_event_loop
from common.tcp import Client, TcpHost
from common.wire import Record, Request

pytestmark = pytest.mark.usefixtures("loop_name")


class Numbers(Record):
    """A reply."""

    values: list[int]


class Double(Request[Numbers]):
    """Answered at once."""

    values: list[int]


class Wait(Request[Numbers]):
    """Answered when the test says so."""

    number: int


class Break(Request[Numbers]):
    """The handler has a mistake."""


class Unknown(Request[Numbers]):
    """No server handles this."""


class Crashed(Exception):
    """Stands for the end of a process."""


class World:
    """Hosts that share a folder of socket files."""

    def __init__(self, net: Path) -> None:
        self.net = net
        self.hosts: list[TcpHost] = []
        self.crashes: list[BaseException] = []
        self.gates: dict[int, asyncio.Future[None]] = {}

    def host(self, name: str) -> TcpHost:
        host = TcpHost(name, self.net, on_crash=self.crashes.append)
        self.hosts.append(host)
        (self.net / name).mkdir(parents=True, exist_ok=True)
        return host

    async def server(self, name: str) -> TcpHost:
        host = self.host(name)
        await host.serve({Double: self.double, Wait: self.wait, Break: self.break_down})
        return host

    def link(self, src: str, dst: str) -> None:
        path = self.net / src / dst
        path.unlink(missing_ok=True)
        os.link(self.net / dst / dst, path)

    def double(self, request: Double) -> Numbers:
        if not request.values:
            raise BadRequest("expected some values, got none")
        return Numbers([2 * value for value in request.values])

    async def wait(self, request: Wait) -> Numbers:
        gate = self.gates.setdefault(request.number, asyncio.get_running_loop().create_future())
        await gate
        return Numbers([request.number])

    def break_down(self, request: Break) -> Numbers:
        raise Crashed

    async def reached(self, number: int) -> None:
        """Waits until `Wait(number)` is being handled."""
        while number not in self.gates:
            await asyncio.sleep(0.001)

    async def crashed(self) -> None:
        """Waits until a host has crashed."""
        while not self.crashes:
            await asyncio.sleep(0.001)


Scenario = Callable[[World], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path, loop_name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    """Plays a scenario in a world of its own."""
    monkeypatch.setenv("LAB_LOOP", loop_name)

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            world = World(tmp_path / "links")
            try:
                async with asyncio.timeout(60):
                    await scenario(world)
            finally:
                for host in world.hosts:
                    await host.close()

        loop = new_event_loop()
        try:
            assert type(loop).__module__.startswith("uvloop") == (loop_name == "uvloop")
            loop.run_until_complete(main())
        finally:
            loop.close()

    return run


@pytest.fixture(params=["told of changes", "looks for them"])
def notices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which a host notices that a link has changed."""
    if request.param == "looks for them":
        monkeypatch.setattr(links.Watch, "_told", staticmethod(lambda *_: None))


async def fails(call: Awaitable[Any], words: str | None = None) -> None:
    with pytest.raises(CallFailed, match=words):
        await call


def test_a_call_is_answered(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        await world.server("b")
        a = world.host("a")
        world.link("a", "b")
        assert await a.call("b", Double([1, 2])) == Numbers([2, 4])

    play(scenario)


def test_calls_share_a_connection_and_are_answered_in_any_order(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        b, a = await world.server("b"), world.host("a")
        world.link("a", "b")
        first = asyncio.ensure_future(a.call("b", Wait(1), timeout=50))
        second = asyncio.ensure_future(a.call("b", Wait(2), timeout=50))
        await world.reached(1)
        await world.reached(2)
        world.gates[2].set_result(None)
        assert await second == Numbers([2])
        assert not first.done()
        world.gates[1].set_result(None)
        assert await first == Numbers([1])
        assert len(b.connections) == 1

    play(scenario)


@pytest.mark.usefixtures("notices")
def test_no_link_no_call_and_a_link_is_enough(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        await world.server("b")
        a = world.host("a")
        await fails(a.call("b", Double([1])), "a has no link to b")
        world.link("a", "b")
        await a.call("b", Double([1]))
        (world.net / "a" / "b").unlink()
        await fails(a.call("b", Double([1])), "a has no link to b")
        world.link("a", "b")
        await a.call("b", Double([1]))

    play(scenario)


@pytest.mark.usefixtures("notices")
def test_a_call_under_way_when_the_link_is_cut_may_still_be_answered(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        await world.server("b")
        a = world.host("a")
        world.link("a", "b")
        call = asyncio.ensure_future(a.call("b", Wait(1), timeout=50))
        await world.reached(1)
        (world.net / "a" / "b").unlink()
        await fails(a.call("b", Double([1])))
        world.gates[1].set_result(None)
        assert await call == Numbers([1])

    play(scenario)


@pytest.mark.usefixtures("notices")
def test_another_file_is_another_connection_and_the_old_call_goes_on(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        await world.server("b")
        await world.server("c")
        a = world.host("a")
        world.link("a", "b")
        call = asyncio.ensure_future(a.call("b", Wait(1), timeout=50))
        await world.reached(1)
        (world.net / "a" / "b").unlink()
        os.link(world.net / "c" / "c", world.net / "a" / "b")
        assert await a.call("b", Double([1])) == Numbers([2])
        assert [len(host.connections) for host in world.hosts] == [1, 1, 0]
        world.gates[1].set_result(None)
        assert await call == Numbers([1])
        while world.hosts[0].connections:
            await asyncio.sleep(0.001)  # the connection that nobody needs any more is closed

    play(scenario)


def test_calls_fail_when_the_server_ends(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        b, a = await world.server("b"), world.host("a")
        world.link("a", "b")
        call = asyncio.ensure_future(a.call("b", Wait(1), timeout=50))
        await world.reached(1)
        await b.close()
        await fails(call, "the connection ended")
        await fails(a.call("b", Double([1])))

    play(scenario)


def test_a_call_fails_when_its_time_has_run_out(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        await world.server("b")
        a = world.host("a")
        world.link("a", "b")
        await fails(a.call("b", Wait(1), timeout=0.1), "no reply to Wait in time")
        await world.reached(1)
        world.gates[1].set_result(None)
        assert await a.call("b", Double([1])) == Numbers([2]), "the late reply disturbs nobody"

    play(scenario)


def test_what_the_server_does_not_know_or_want_is_refused_in_words(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        await world.server("b")
        a = world.host("a")
        world.link("a", "b")
        with pytest.raises(
            CallRefused, match=r"a called b: Unknown was refused: expected a method that this server has"
        ):
            await a.call("b", Unknown())
        with pytest.raises(CallRefused, match="expected some values, got none"):
            await a.call("b", Double([]))
        with pytest.raises(CallRefused, match=r"Expected `int`, got `str`"):
            await a.call("b", Double(["x"]))  # type: ignore[list-item]  # that is the mistake
        assert not world.crashes

    play(scenario)


def test_a_handlers_mistake_stops_the_server(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        await world.server("b")
        a = world.host("a")
        world.link("a", "b")
        await fails(a.call("b", Break(), timeout=0.2))
        await world.crashed()
        assert [type(crash) for crash in world.crashes] == [Crashed]

    play(scenario)


def test_a_reply_that_cannot_be_sent_is_the_handlers_mistake(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        b, a = world.host("b"), world.host("a")
        await b.serve({Double: lambda request: object()})
        world.link("a", "b")
        await fails(a.call("b", Double([1]), timeout=0.2))
        await world.crashed()
        assert [type(crash) for crash in world.crashes] == [TypeError]

    play(scenario)


def test_a_spawned_coroutines_mistake_stops_the_server(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        async def break_down() -> None:
            raise Crashed

        await world.host("a").spawn(break_down())
        assert [type(crash) for crash in world.crashes] == [Crashed]

    play(scenario)


def test_requests_of_one_connection_wait_when_too_many_are_in_work(
    play: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_RUNNING", 10)

    async def scenario(world: World) -> None:
        b, a = await world.server("b"), world.host("a")
        world.link("a", "b")
        calls = []
        for number in range(100):
            calls.append(asyncio.ensure_future(a.call("b", Wait(number), timeout=50)))
            await asyncio.sleep(0.002)  # a frame of its own each, as from a peer who does not wait
        assert 10 < len(world.gates) < 100
        answered = 0
        while answered < 100:
            for number in sorted(world.gates):
                if not world.gates[number].done():
                    world.gates[number].set_result(None)
            await asyncio.sleep(0.001)
            answered = sum(call.done() for call in calls)
        assert [(await call).values for call in calls] == [[number] for number in range(100)]
        assert len(b.connections) == 1

    play(scenario)


def test_a_connection_over_the_most_is_closed(
    play: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 3)

    async def scenario(world: World) -> None:
        b = await world.server("b")
        endpoint = links.read(world.net / "b" / "b")
        assert endpoint is not None
        clients = [Client(endpoint) for _ in range(3)]
        assert [await client.ask(Double([1])) for client in clients] == [Numbers([2])] * 3
        with pytest.raises(CallFailed):
            await Client(endpoint).ask(Double([1]))
        clients[0].close()
        while len(b.connections) > 2:
            await asyncio.sleep(0.001)
        late = Client(endpoint)
        assert await late.ask(Double([1])) == Numbers([2])
        for client in (*clients[1:], late):
            client.close()

    play(scenario)


def test_a_peer_who_does_not_read_is_given_up(
    play: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_UNSENT", 1_000_000)

    async def scenario(world: World) -> None:
        peers: list[asyncio.StreamWriter] = []

        def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a WriteTransport by type only
            peers.append(writer)

        silent = await asyncio.start_server(never_read, "127.0.0.1", 0)
        links.publish(world.net, "b", "b", links.Endpoint("127.0.0.1", silent.sockets[0].getsockname()[1]))
        a = world.host("a")
        world.link("a", "b")
        said = "no reply to Double in time"
        while "in time" in said:
            with pytest.raises(CallFailed) as failure:
                await a.call("b", Double([7] * 500_000), timeout=0.05)
            said = str(failure.value)
        assert "who does not read" in said
        silent.close()
        for writer in peers:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    play(scenario)


def test_a_socket_file_with_nonsense_is_no_link(play: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        a = world.host("a")
        (world.net / "a" / "b").write_text("nowhere")
        await fails(a.call("b", Double([1])), "to hold 'host port'")

    play(scenario)
