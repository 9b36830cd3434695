"""The time of an operation of ShardKV, on paper and in the simulation, for more and more groups and clients.

On paper: a request and its reply are a delay each; the leader's instance takes two, and with two instances in flight it
begins a quarter of an instance's time after the operation came, on average. In the simulation processors take no time,
so nothing else can make an operation longer, however many groups and clients there are. Where it does, something grows
that should not.
"""

import statistics
import time
from typing import Final

from common.load import LoadDone, RunLoad
from common.protocol import Join, Query
from labs.benchmark.figures import Figure, Options, command
from labs.cluster import Cluster
from labs.sim import guard
from labs.sim.network import LONG_DELAY, ODDS_OF_LONG_DELAY, USUAL_DELAY
from labs.sim.run import run

POINTS: Final = ((1, 10), (4, 40), (16, 160), (100, 1_000), (1, 1_000), (100, 10_000))
"""Groups and clients."""
TOGETHER: Final = 100
"""Clients in one process, at most, where there are more of them than groups."""
WARM_UP: Final = 0.1
"""Virtual seconds in which clients look for the groups' leaders, and which do not count."""
LASTS: Final = 0.2
"""Virtual seconds that do."""
KEYS_EACH: Final = 10
"""Keys for each client of a process."""
MASTERS: Final = ("sm-0", "sm-1", "sm-2")
SETTLED: Final = 60.0
"""Virtual seconds within which all groups have their shards."""
DELAY: Final = (1 - ODDS_OF_LONG_DELAY) * sum(USUAL_DELAY) / 2 + ODDS_OF_LONG_DELAY * sum(LONG_DELAY) / 2
"""Seconds that a message travels, on average."""
DELAYS: Final = 4.5
"""How many of these an operation takes, on paper."""
AGREES: Final = 1.3
"""Times the model's that an operation may take in the simulation."""
KEEPS: Final = 0.7
"""Times the model's rate that there should be at least: less than 1, since whoever waits for a late message is not
the only one; the instances behind it wait, too."""


def measure(options: Options) -> list[Figure]:
    """One run of the simulation for each number of groups."""
    figures = [Figure("an operation, on paper", "ms", [1000 * DELAYS * DELAY])]
    with guard.installed():
        for groups, clients in POINTS[: 1 if options.small else None]:
            of = f"{groups} {'group' if groups == 1 else 'groups'}, {clients:,} clients"
            options.say(of)
            done: list[LoadDone] = []
            began = time.process_time()
            outcome = run(_Load(groups, clients, done), "lab3_shardkv", 1, short_digest=True)
            assert outcome.status == "passed", outcome.message
            median = statistics.median(each.median for each in done)
            rate = sum(each.operations / each.seconds for each in done)
            point = ("groups, ten clients each", "groups", float(groups)) if clients == 10 * groups else None
            figures.append(Figure(f"{of}: an operation, simulated", "ms", [1000 * median], curve=point))
            figures.append(
                Figure(f"{of}: in times of the model's", "times", [median / (DELAYS * DELAY)], at_most=AGREES)
            )
            figures.append(Figure(f"{of}: operations in a virtual second", "1/s", [rate], curve=point))
            on_paper = clients / (DELAYS * DELAY)
            figures.append(Figure(f"{of}: these in times of the model's", "times", [rate / on_paper], at_least=KEEPS))
            figures.append(Figure(f"{of}: to simulate", "CPU s", [time.process_time() - began]))
    return figures


class _Load:
    """The scenario: masters, groups, and processes of clients. What they have done goes into a list."""

    def __init__(self, groups: int, clients: int, done: list[LoadDone]) -> None:
        self._groups = groups
        self._clients = clients
        self._done = done

    async def __call__(self, cluster: Cluster) -> None:
        masters = list(MASTERS)
        for name in masters:
            await cluster.start("shardmaster", name, servers=masters, shards=self._groups)
        await cluster.start("masterclerk", "mck", servers=masters)
        for gid in range(1, self._groups + 1):
            servers = [f"kv-{gid}-{number}" for number in range(3)]
            for name in servers:
                await cluster.start("shardkv", name, gid=gid, masters=masters, servers=servers)
            await cluster.call("mck", Join(gid, servers), timeout=SETTLED)
        config = await cluster.call("mck", Query(-1), timeout=SETTLED)
        assert len(set(config.shards)) == self._groups, f"expected a shard for each group, got {config.shards}"
        loads = [f"load-{number}" for number in range(max(self._groups, self._clients // TOGETHER))]
        for name in loads:
            await cluster.start("load", name, masters=masters)
        await self._work(cluster, loads, WARM_UP)
        self._done += await self._work(cluster, loads, LASTS)

    async def _work(self, cluster: Cluster, loads: list[str], seconds: float) -> list[LoadDone]:
        """Each process of clients uses one shard, and so one group."""
        clients = self._clients // len(loads)
        requests = [
            RunLoad(clients, seconds, "put", 1, KEYS_EACH * clients, prefix=f"{chr(number % self._groups)}{name} ")
            for number, name in enumerate(loads)
        ]
        return await cluster.gather(
            *(cluster.call(name, request, timeout=SETTLED) for name, request in zip(loads, requests, strict=True))
        )


main = command("model", __doc__ or "", measure, rounds=1)

if __name__ == "__main__":
    main()
