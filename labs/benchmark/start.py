"""How fast servers start: `python -m labs.benchmark.start [PACKAGE ROLE]`.

A restart is what a test sees: SIGKILL, the old process gone, a fork, the new one listening, its socket file there and
all links made anew.
"""

import asyncio
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from common.main import new_event_loop
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper

RESTARTS: Final = 100
SERVERS: Final = 12


def measure(package: str = "lab1_pbservice", role: str = "viewserver") -> dict[str, float]:
    """Milliseconds for each thing measured, by its name. The role has to need no arguments."""
    keeper = Keeper(package, f"benchmark-{uuid.uuid4().hex}")
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_measure(keeper, role))
    finally:
        keeper.close()


async def _measure(keeper: Keeper, role: str) -> dict[str, float]:
    began = time.perf_counter()
    await keeper.open()
    opened = time.perf_counter()
    async with ProcessCluster(keeper.package, keeper) as cluster:
        await cluster.start(role, "restarted")
        kills, starts = [], []
        for _ in range(RESTARTS):
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
    restarts = [kill + start for kill, start in zip(kills, starts, strict=True)]
    seconds = {
        "the keeper, with all imports, once a run": opened - began,
        "restart, median": statistics.median(restarts),
        "restart, slowest of ten": _slow(restarts),
        "  of that: SIGKILL and wait, median": statistics.median(kills),
        "  of that: fork to socket file and links, median": statistics.median(starts),
        f"start {SERVERS} servers one by one": one_by_one,
        f"start {SERVERS} servers side by side": side_by_side,
        f"end {SERVERS} servers and all their files": closed,
    }
    return {name: 1000 * value for name, value in seconds.items()}


def _slow(values: Sequence[float]) -> float:
    """The value that nine in ten do not exceed."""
    return statistics.quantiles(values, n=10)[-1]


def main() -> None:
    """The command."""
    table = Table("start of servers", title=None)
    table.add_column("ms", justify="right")
    for name, milliseconds in measure(*sys.argv[1:]).items():
        table.add_row(name, f"{milliseconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
