"""The time of an operation of ShardKV, on paper and in the simulation, for more and more groups and clients.

On paper: a request and its reply are a delay each; the leader's instance takes two, and with two instances in flight it
begins a quarter of an instance's time after the operation came, on average. In the simulation processors take no time,
so nothing else can make an operation longer, however many groups and clients there are. Where it does, something grows
that should not.
"""

import statistics
import time
from typing import Final

from common.protocol import Join, Query
from labs.benchmark.figures import Figure, Options, command
from labs.cluster import Clerk, Cluster
from labs.sim import guard
from labs.sim.network import LONG_DELAY, ODDS_OF_LONG_DELAY, USUAL_DELAY
from labs.sim.run import run

POINTS: Final = ((1, 10), (4, 40), (16, 160), (100, 1000), (1, 1000))
"""Groups and clients. (With ten thousand clients the harness would have a hundred million links to make.)"""
OPERATIONS: Final = 30
"""Of each client; the first ones, that still look for leaders, are left out."""
WARM_UP: Final = 10
MASTERS: Final = ("sm-0", "sm-1", "sm-2")
SETTLED: Final = 60.0
"""Virtual seconds within which all groups have their shards."""
DELAY: Final = (1 - ODDS_OF_LONG_DELAY) * sum(USUAL_DELAY) / 2 + ODDS_OF_LONG_DELAY * sum(LONG_DELAY) / 2
"""Seconds that a message travels, on average."""
DELAYS: Final = 4.5
"""How many of these an operation takes, on paper."""
AGREES: Final = 1.3
"""Times the model's that it may be in the simulation."""


def measure(options: Options) -> list[Figure]:
    """One run of the simulation for each number of groups."""
    figures = [Figure("an operation, on paper", "ms", [1000 * DELAYS * DELAY])]
    with guard.installed():
        for groups, clients in POINTS[: 1 if options.small else None]:
            of = f"{groups} groups, {clients:,} clients"
            options.say(of)
            took: list[float] = []
            began = time.process_time()
            outcome = run(_Load(groups, clients, took), "lab3_shardkv", 1, short_digest=True)
            assert outcome.status == "passed", outcome.message
            median = statistics.median(took)
            point = ("groups, ten clients each", "groups", float(groups)) if clients == 10 * groups else None
            figures.append(Figure(f"{of}: an operation, simulated", "ms", [1000 * median], curve=point))
            figures.append(
                Figure(f"{of}: in times of the model's", "times", [median / (DELAYS * DELAY)], at_most=AGREES)
            )
            figures.append(Figure(f"{of}: operations in a virtual second", "1/s", [clients / median], curve=point))
            figures.append(Figure(f"{of}: to simulate", "CPU s", [time.process_time() - began]))
    return figures


class _Load:
    """The scenario: masters, groups, clients, and each operation's time into a list."""

    def __init__(self, groups: int, clients: int, took: list[float]) -> None:
        self._groups = groups
        self._clients = clients
        self._took = took

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
        clerks = [await cluster.clerk(f"ck-{number}", masters=masters) for number in range(self._clients)]
        await cluster.gather(*(self._work(cluster, clerk) for clerk in clerks))

    async def _work(self, cluster: Cluster, clerk: Clerk) -> None:
        for number in range(WARM_UP + OPERATIONS):
            began = cluster.now()
            await clerk.put(f"{number} of {clerk.name}", "x")
            if number >= WARM_UP:
                self._took.append(cluster.now() - began)


main = command("model", __doc__ or "", measure, rounds=1)

if __name__ == "__main__":
    main()
