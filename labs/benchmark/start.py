"""How fast servers start.

A restart is what a test sees: SIGKILL, the old process gone, a fork, the new one listening, its socket file there and
all links made anew.
"""

import asyncio
import statistics
import time
import uuid
from collections.abc import Sequence
from typing import Final

from common.main import new_event_loop
from labs.benchmark.figures import Figure, Options, command
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper

RESTARTS: Final = 100
SERVERS: Final = 12
RESTART: Final = "restart, median"
LAB3: Final = "a cluster of lab 3 with 12 servers, side by side"
TARGETS: Final = {RESTART: 10.0, LAB3: 150.0}
"""Milliseconds that are enough."""


def measure(options: Options) -> list[Figure]:
    """Milliseconds for each thing measured."""
    found: dict[str, list[float]] = {}
    for number in range(options.rounds):
        options.say(f"round {number + 1} of {options.rounds}")
        for package, scenario in (("lab1_pbservice", _measure), ("lab3_shardkv", _whole_cluster)):
            keeper = Keeper(package, f"benchmark-{uuid.uuid4().hex}")
            try:
                with asyncio.Runner(loop_factory=new_event_loop) as runner:
                    for what, seconds in runner.run(scenario(keeper, 5 if options.small else RESTARTS)).items():
                        found.setdefault(what, []).append(1000 * seconds)
            finally:
                keeper.close()
    return [Figure(what, "ms", values, at_most=TARGETS.get(what)) for what, values in found.items()]


async def _whole_cluster(keeper: Keeper, _restarts: int) -> dict[str, float]:
    """A cluster of lab 3, side by side: three masters, and three groups of three."""
    await keeper.open()
    masters = [f"sm-{number}" for number in range(3)]
    async with ProcessCluster(keeper.package, keeper) as cluster:
        before = time.perf_counter()
        starting = [cluster.start("shardmaster", name, servers=masters) for name in masters]
        for gid in (100, 101, 102):
            servers = [f"kv-{gid}-{number}" for number in range(3)]
            starting += [cluster.start("shardkv", name, gid=gid, masters=masters, servers=servers) for name in servers]
        await cluster.gather(*starting)
        return {LAB3: time.perf_counter() - before}


async def _measure(keeper: Keeper, restarts: int) -> dict[str, float]:
    role = "viewserver"
    began = time.perf_counter()
    await keeper.open()
    opened = time.perf_counter()
    async with ProcessCluster(keeper.package, keeper) as cluster:
        await cluster.start(role, "restarted")
        kills, starts = [], []
        for _ in range(restarts):
            before = time.perf_counter()
            await cluster.kill("restarted")
            killed = time.perf_counter()
            await cluster.restart("restarted")
            kills.append(killed - before)
            starts.append(time.perf_counter() - killed)
    async with ProcessCluster(keeper.package, keeper) as cluster:
        before = time.perf_counter()
        for number in range(SERVERS):
            await cluster.start(role, f"s{number}")
        one_by_one = time.perf_counter() - before
    async with ProcessCluster(keeper.package, keeper) as cluster:
        before = time.perf_counter()
        await cluster.gather(*(cluster.start(role, f"s{number}") for number in range(SERVERS)))
        side_by_side = time.perf_counter() - before
        before = time.perf_counter()
    closed = time.perf_counter() - before
    both = [kill + start for kill, start in zip(kills, starts, strict=True)]
    return {
        "the keeper, with all imports, once a run": opened - began,
        RESTART: statistics.median(both),
        "restart, slowest of ten": _slow(both),
        "  of that: SIGKILL and wait, median": statistics.median(kills),
        "  of that: fork to socket file and links, median": statistics.median(starts),
        f"start {SERVERS} servers one by one": one_by_one,
        f"start {SERVERS} servers side by side": side_by_side,
        f"end {SERVERS} servers and all their files": closed,
    }


def _slow(values: Sequence[float]) -> float:
    """The value that nine in ten do not exceed."""
    return statistics.quantiles(values, n=10)[-1]


main = command("start", __doc__ or "", measure)

if __name__ == "__main__":
    main()
