"""Shard masters, and what their graded suite cannot see: local reads, refusals, what goes into the log."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any

import pytest

from common.host import CallFailed, CallRefused, Handlers
from common.protocol import NOBODY, Config, Join, Leave, Move, Query
from common.wire import Request
from lab3_shardkv.shardmaster.clerk import Clerk, News
from lab3_shardkv.shardmaster.messages import Execute, Found, GetConfig, Op, Unknown
from lab3_shardkv.shardmaster.server import ShardMaster
from labs.cluster import Cluster
from labs.sim.run import run

MASTERS = ["sm-0", "sm-1", "sm-2"]
NOTHING = Config(0, [NOBODY] * 10, {})


def passes(scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    """Runs a scenario with three masters and a clerk `mck` that knows all of them."""

    async def started(cluster: Cluster) -> None:
        for name in MASTERS:
            await cluster.start("shardmaster", name, servers=MASTERS)
        await cluster.start("masterclerk", "mck", servers=MASTERS)
        await scenario(cluster)

    outcome = run(started, "lab3_shardkv", seed=1)
    assert outcome.status == "passed", outcome.message


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Join(0, ["a"]), "expected a group's number from 1 on, got 0"),
        (Join(-5, ["a"]), "expected a group's number from 1 on, got -5"),
        (Join(1, []), "expected one or more different servers for group 1"),
        (Join(1, ["a", "b", "a"]), "expected one or more different servers for group 1"),
        (Query(-2), "expected the number of a configuration, or -1 for the newest, got -2"),
    ],
)
def test_what_makes_no_sense_is_refused_by_the_clerk(request_: Request[Any], why: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        with pytest.raises(CallRefused, match=why):
            await cluster.call("mck", request_)
        assert await cluster.call("mck", Query(-1)) == NOTHING

    passes(scenario)


def test_a_master_says_what_it_has_without_asking_anybody() -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.call("mck", Join(1, ["a"]))
        for name in MASTERS:
            await until_newest(cluster, name, 1)
        cluster.partition(["sm-0"], ["sm-1", "sm-2"])
        cluster.partition(["sm-0"], ["mck"])
        await cluster.call("mck", Join(2, ["b"]))
        first = Found(Config(1, [1] * 10, {1: ["a"]}))
        assert await cluster.call("sm-0", GetConfig(0)) == Found(NOTHING)
        assert await cluster.call("sm-0", GetConfig(1)) == await cluster.call("sm-0", GetConfig(-1)) == first
        for num in (2, 1000, -2):
            assert await cluster.call("sm-0", GetConfig(num)) == Unknown(newest=1)
        known = Execute(Op("query", client=1, seq=1, number=1))
        assert await cluster.call("sm-0", known) == first, "a configuration that it has never changes"
        cluster.heal()
        await until_newest(cluster, "sm-0", 2)

    passes(scenario)


async def until_newest(cluster: Cluster, name: str, num: int) -> None:
    """Waits until a master has this configuration as its newest."""

    async def has_it() -> bool:
        reply = await cluster.call(name, GetConfig(-1))
        return isinstance(reply, Found) and reply.config.num == num

    await cluster.until(has_it, 5.0, f"{name} to have configuration {num}")


def test_a_clerk_does_one_thing_at_a_time() -> None:
    async def scenario(cluster: Cluster) -> None:
        requests = [Join(1, ["a"]), Join(2, ["b"]), Move(0, 2), Leave(1), Query(-1)]
        replies = await cluster.gather(*(cluster.call("mck", request) for request in requests))
        assert replies[-1] == Config(4, [2] * 10, {2: ["b"]})

    passes(scenario)


# --- without a world -------------------------------------------------------------------------------------------------


class ScriptedHost:
    """A host whose calls a test answers, and whose tasks never run."""

    name = "sm-0"
    lives = 0

    def __init__(self, answer: Callable[[str, Request[Any]], Any]) -> None:
        self.answer = answer
        self.random = Random(1)

    def now(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        pass

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str = "") -> "asyncio.Task[None]":
        coroutine.close()
        return asyncio.get_running_loop().create_task(asyncio.sleep(0))

    async def serve(self, handlers: Handlers) -> None:
        pass

    async def call(self, address: str, request: Request[Any], timeout: float = 1.0) -> Any:
        return self.answer(address, request)

    def log(self, text: str) -> None:
        pass


def nobody(address: str, request: Request[Any]) -> Any:
    """Nobody answers."""
    raise CallFailed("nobody answers")


def test_what_is_asked_again_while_it_is_under_way_is_submitted_once() -> None:
    async def ask() -> None:
        master = ShardMaster(ScriptedHost(nobody), MASTERS)
        op = Op("join", client=7, seq=1, gid=1, servers=["a"])
        first = master.execute(Execute(op))
        assert [master.execute(Execute(op)) for _ in range(5)] == [first] * 5
        assert len(master.rsm._queue) == 1
        other = master.execute(Execute(Op("join", client=8, seq=1, gid=1, servers=["a"])))
        assert other is not first, "another client wants to know it for itself"

    asyncio.run(ask())


def test_a_clerk_keeps_a_request_s_number_however_often_it_asks() -> None:
    asked: list[tuple[str, int]] = []

    def answer(address: str, request: Request[Any]) -> Any:
        assert isinstance(request, Execute)
        asked.append((address, request.op.seq))
        if len(asked) in (1, 2, 3, 4, 6):
            raise CallFailed("lost")
        return Found(NOTHING)

    async def ask() -> None:
        clerk = Clerk(ScriptedHost(answer), MASTERS)
        await clerk.leave(1)
        await clerk.query()

    asyncio.run(ask())
    first, second = [("sm-0", 1), ("sm-1", 1), ("sm-2", 1), ("sm-0", 1), ("sm-1", 1)], [("sm-1", 2), ("sm-2", 2)]
    assert asked == first + second


def test_news_come_from_another_master_every_time() -> None:
    asked: list[str] = []

    def answer(address: str, request: Request[Any]) -> Any:
        asked.append(address)
        if address == "sm-1":
            raise CallFailed("cut off")
        return Found(NOTHING) if address == "sm-2" else Unknown(newest=0)

    async def ask() -> list[Config | None]:
        news = News(ScriptedHost(answer), MASTERS)
        return [await news.get(5) for _ in range(6)]

    configs = asyncio.run(ask())
    assert sorted(asked[:3]) == sorted(asked[3:]) == MASTERS
    assert [config is not None for config in configs] == [address == "sm-2" for address in asked]
