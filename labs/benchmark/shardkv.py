"""ShardKV under load, and while a large shard moves: `python -m labs.benchmark.shardkv [--peers] [--json FILE]`.

Throughput is measured with one and with two groups, in turns with KVPaxos: what a group costs more than a KVPaxos
that has no shards, and what a second group on the same machine brings.

The move: a shard with many keys goes from one group to the other and back while one client uses it and many others
use other shards of both groups. Told is how long the client waited for a single operation, and what the others lost.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.table import Table

from common.load import LoadDone, RunLoad
from common.main import new_event_loop
from common.protocol import DEFAULT_SHARDS, GetShards, Join, Move, Query, shard_of
from labs.benchmark import kvpaxos, loadpage
from labs.benchmark.load import (
    KEYS,
    VALUE_SIZE,
    WIDTH,
    Lab,
    Plan,
    Sample,
    Service,
    machine,
    measure,
    summarise,
    tabulate,
)
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper

PACKAGE: Final = "lab3_shardkv"
MASTERS: Final = ("sm-0", "sm-1", "sm-2")
GROUPS: Final = (100, 101)
READY: Final = 20.0
"""Seconds within which shards have to be where they belong."""
MOVE_KEYS: Final = 100_000
MOVE_CLERKS: Final = 32
"""Clients that use other shards: half of them at each group."""
SETTLING: Final = 2.0
"""Seconds in which everybody works before the shard moves."""
BEFORE: Final = 1.5
"""Seconds before the move from which the others' usual rate is taken."""
AFTER: Final = 3.0
"""Seconds that everybody goes on."""
WINDOW: Final = 0.1
"""Seconds in which operations of the others are counted together."""


def servers_of(gid: int) -> list[str]:
    """The names of a group's servers."""
    return [f"kv-{gid}-{number}" for number in range(3)]


async def start(cluster: ProcessCluster, groups: Sequence[int]) -> None:
    """Three masters and these groups, each with its shards."""
    for name in MASTERS:
        await cluster.start("shardmaster", name, servers=list(MASTERS))
    await cluster.start("masterclerk", "mck", servers=list(MASTERS))
    for gid in groups:
        for name in servers_of(gid):
            await cluster.start("shardkv", name, gid=gid, masters=list(MASTERS), servers=servers_of(gid))
        await cluster.call("mck", Join(gid, servers_of(gid)))
    await settled(cluster, groups)
    await cluster.start("load", "load", masters=list(MASTERS))


async def settled(cluster: ProcessCluster, groups: Sequence[int]) -> None:
    """Waits until every server has what it should have by the newest configuration, and nothing else."""
    config = await cluster.call("mck", Query(-1))

    async def is_so() -> bool:
        for gid in groups:
            for name in servers_of(gid):
                here = await cluster.call(name, GetShards())
                wanted = ["serving" if owner == gid else "gone" for owner in config.shards]
                if here.num != config.num or [shard.state for shard in here.shards] != wanted:
                    return False
        return True

    await cluster.until(is_so, within=READY, what="all shards where they belong", every=0.02)


def service(groups: Sequence[int]) -> Service:
    """So many groups as something that can be measured."""
    names = (*MASTERS, *(name for gid in groups for name in servers_of(gid)))
    title = f"shardkv, {len(groups)} group{'s' if len(groups) > 1 else ''}"
    return Service(title, PACKAGE, names, partial(start, groups=groups))


# --- the move --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moved:
    """One move of a large shard."""

    keys: int
    seconds: float
    """From the order to the last replica of the old group having deleted it."""
    blocked: float
    """The longest time that a client of the shard waited for an operation."""
    before: float
    """Operations a second of the clients of other shards, in the seconds before."""
    during: float
    """The same, while the shard moved."""

    @property
    def lost(self) -> float:
        """The part of their rate that the others lost."""
        return 1 - self.during / self.before


@dataclass(frozen=True, slots=True)
class Window:
    """Operations of one load between two moments."""

    began: float
    ended: float
    operations: int


def prefix_of(shard: int) -> str:
    """A character with which keys of the shard begin."""
    return next(digit for digit in "0123456789" if shard_of(digit, DEFAULT_SHARDS) == shard)


async def measure_moves(cluster: ProcessCluster, moves: int, say: Callable[[str], None]) -> list[Moved]:
    """Moves one shard to and fro."""
    config = await cluster.call("mck", Query(-1))
    first, second = GROUPS
    shard = config.shards.index(first)
    staying = [config.shards.index(first, shard + 1), config.shards.index(second)]
    for name in ("filler", "user", "other-0", "other-1"):
        await cluster.start("load", name, masters=list(MASTERS))
    say(f"move: writing {MOVE_KEYS:,} keys")
    await run(cluster, "filler", shard, 128, 0.1, MOVE_KEYS)
    return [await measure_move(cluster, shard, staying, (second, first)[number % 2], say) for number in range(moves)]


async def measure_move(
    cluster: ProcessCluster, shard: int, staying: list[int], to: int, say: Callable[[str], None]
) -> Moved:
    """Moves the shard, with everybody at work."""
    say(f"move: shard {shard} to group {to}")
    windows: list[Window] = []
    over = asyncio.Event()

    async def others(name: str, place: int) -> None:
        while not over.is_set():
            began = time.perf_counter()
            done = await run(cluster, name, place, MOVE_CLERKS // 2, WINDOW)
            windows.append(Window(began, time.perf_counter(), done.operations))

    async def user() -> float:
        done = await run(cluster, "user", shard, 1, SETTLING + AFTER)  # in one go: no operation is left out
        over.set()
        return done.slowest

    async def move() -> tuple[float, float]:
        await cluster.sleep(SETTLING)
        began = time.perf_counter()
        await cluster.call("mck", Move(shard, to))
        await settled(cluster, GROUPS)
        return began, time.perf_counter()

    *_, slowest, (began, ended) = await asyncio.gather(
        others("other-0", staying[0]), others("other-1", staying[1]), user(), move()
    )
    keys = (await cluster.call(servers_of(to)[0], GetShards())).shards[shard].keys
    return Moved(keys, ended - began, slowest, rate(windows, began - BEFORE, began), rate(windows, began, ended))


async def run(
    cluster: ProcessCluster, name: str, shard: int, clerks: int, seconds: float, keys: int | None = None
) -> LoadDone:
    """Some clerks at work in a shard, on as few keys as there are clerks, since these are written first each time."""
    load = RunLoad(clerks, seconds, "put", VALUE_SIZE, keys or clerks, prefix_of(shard))
    return await cluster.call(name, load, timeout=None)


def rate(windows: Sequence[Window], began: float, ended: float) -> float:
    """Operations a second in this time, as far as windows lie in it."""
    count = 0.0
    for window in windows:
        common = min(ended, window.ended) - max(began, window.began)
        count += window.operations * max(0.0, common) / (window.ended - window.began)
    return count / (ended - began)


def tabulate_moves(moves: Sequence[Moved]) -> Table:
    """The table for a person."""
    table = Table("keys", "moved in s", "client blocked s", "others before, ops/s", "during", "lost")
    for column in table.columns:
        column.justify = "right"
    for moved in moves:
        table.add_row(
            f"{moved.keys:,}",
            f"{moved.seconds:.2f}",
            f"{moved.blocked:.2f}",
            f"{moved.before:,.0f}",
            f"{moved.during:,.0f}",
            f"{moved.lost:.0%}",
        )
    return table


# --- the command -----------------------------------------------------------------------------------------------------


async def _throughput(plan: Plan, peers: bool, say: Callable[[str], None]) -> list[Sample]:
    """Two groups and one, and in between, if wanted, a KVPaxos."""
    services = [service(GROUPS), service(GROUPS[:1])]
    if peers:
        services.insert(1, Service("kvpaxos", "lab2_kvpaxos", kvpaxos.SERVERS, kvpaxos.start))
    async with AsyncExitStack() as stack:
        systems: list[Lab] = []
        for each in services:
            cluster = await stack.enter_async_context(_cluster(each.package))
            await each.start(cluster)
            systems.append(Lab(each, cluster))
        return await measure(systems, plan, say)


async def _moves(count: int, say: Callable[[str], None]) -> list[Moved]:
    async with _cluster(PACKAGE) as cluster:
        await start(cluster, GROUPS)
        return await measure_moves(cluster, count, say)


@asynccontextmanager
async def _cluster(package: str) -> AsyncIterator[ProcessCluster]:
    keeper = Keeper(package, f"benchmark-{uuid.uuid4().hex}")
    try:
        await keeper.open()
        async with ProcessCluster(package, keeper) as cluster:
            yield cluster
    finally:
        keeper.close()


@click.command(name="shardkv", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--peers", is_flag=True, help="In turns with KVPaxos, which has no shards.")
@click.option("--clerks", multiple=True, type=click.IntRange(1, 1000), default=(1, 8, 32, 128), show_default=True)
@click.option("--rounds", type=click.IntRange(min=0), default=5, show_default=True)
@click.option("--seconds", type=float, default=1.0, show_default=True, help="Of each measurement.")
@click.option("--moves", type=click.IntRange(min=0), default=4, show_default=True, help="Moves of a large shard.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--html", "html_file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
def main(
    peers: bool,
    clerks: tuple[int, ...],
    rounds: int,
    seconds: float,
    moves: int,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """ShardKV under load, with one and with two groups, and while a large shard moves."""
    plan = Plan(clerks, rounds, seconds)
    console = Console(width=WIDTH)
    facts = machine()
    say = partial(click.echo, err=True)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        samples = runner.run(_throughput(plan, peers, say)) if rounds else []
        moved = runner.run(_moves(moves, say)) if moves else []
    rows = summarise(samples)
    if rows:
        console.print(tabulate(rows))
    if moved:
        console.print(tabulate_moves(moved))
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()))
    report = {
        "version": 1,
        "service": "shardkv",
        "taken": time.strftime("%Y-%m-%d %H:%M"),
        "machine": facts,
        "plan": {**asdict(plan), "value_size": VALUE_SIZE, "keys": KEYS, "move_keys": MOVE_KEYS},
        "rows": [asdict(row) for row in rows],
        "samples": [asdict(sample) for sample in samples],
        "moves": [{**asdict(each), "lost": each.lost} for each in moved],
    }
    if html_file is not None:
        html_file.write_text(loadpage.page(report))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(json.dumps(report).encode(), indent=1))


if __name__ == "__main__":
    main()
