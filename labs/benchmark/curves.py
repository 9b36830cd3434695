"""What work costs as it grows: larger values, more keys, more replicas, more groups, and a longer run.

KVPaxos (for groups ShardKV) under puts. Besides operations a second there is the processor time of an operation, in
all processes: that is what tells a cost from a queue.
"""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Final

from common.load import RunLoad
from common.main import new_event_loop
from labs.benchmark import shardkv
from labs.benchmark.figures import Figure, Options, command
from labs.benchmark.load import KEYS, VALUE_SIZE, Lab, Sample, Service, sample
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper

SECONDS: Final = 1.0
"""Of each measurement."""
VALUES: Final = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
KEY_COUNTS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
REPLICAS: Final = (3, 5, 7)
GROUP_COUNTS: Final = (1, 2, 3)
LENGTH: Final = 10
"""Measurements of one run, one after the other."""

Point = tuple[float, RunLoad]
"""Where it lies on the curve, and what is asked for."""


def measure(options: Options) -> list[Figure]:
    """All curves, one after the other."""
    seconds = 0.1 if options.small else SECONDS
    some = 2 if options.small else None

    def load(clerks: int = 32, size: int = VALUE_SIZE, keys: int = KEYS) -> RunLoad:
        return RunLoad(clerks, seconds, "put", size, keys)

    def curve(of: str, over: str, service: Service, points: Sequence[Point], rounds: int = options.rounds) -> None:
        options.say(f"{of}: {', '.join(f'{x:,g}' for x, _ in points)}")
        for (x, _), samples in zip(points, _samples(service, [request for _, request in points], rounds), strict=True):
            for unit, values in (
                ("operations/s", [each.operations_per_second for each in samples]),
                ("CPU µs an operation", [each.cpu_us for each in samples]),
                ("MB a server", [each.server_megabytes for each in samples]),
            ):
                figures.append(Figure(f"{of}: {x:,g}", unit, values, curve=(of, over, x)))

    figures: list[Figure] = []
    curve("value size", "bytes", kvpaxos(3), [(size, load(8, size, 100)) for size in VALUES[:some]])
    curve("keys", "keys", kvpaxos(3), [(keys, load(keys=keys)) for keys in KEY_COUNTS[:some]])
    moments = range(1, (some or LENGTH) + 1)
    curve("length of the run", "seconds", kvpaxos(3), [(each * seconds, load()) for each in moments], rounds=1)
    for replicas in REPLICAS[:some]:
        curve("replicas", "servers", kvpaxos(replicas), [(replicas, load())])
    for groups in GROUP_COUNTS[:some]:
        curve("groups", "groups", shardkv.service([100 + each for each in range(groups)]), [(groups, load())])
    return figures


def kvpaxos(replicas: int) -> Service:
    """A KVPaxos with so many servers."""
    names = tuple(f"kv-{number + 1}" for number in range(replicas))

    async def start(cluster: ProcessCluster) -> None:
        for name in names:
            await cluster.start("kvpaxos", name, servers=list(names))
        await cluster.start("load", "load", servers=list(names))

    return Service(f"kvpaxos, {replicas}", "lab2_kvpaxos", names, start)


def _samples(service: Service, requests: Sequence[RunLoad], rounds: int) -> list[list[Sample]]:
    """What a service does when it is asked for each of these, so many times in a row."""

    async def run() -> list[list[Sample]]:
        await keeper.open()
        async with ProcessCluster(service.package, keeper) as cluster:
            await service.start(cluster)
            lab = Lab(service, cluster)
            return [[await sample(lab, request, number) for number in range(rounds)] for request in requests]

    keeper = Keeper(service.package, f"benchmark-{uuid.uuid4().hex}")
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(run())
    finally:
        keeper.close()


main = command("curves", __doc__ or "", measure)

if __name__ == "__main__":
    main()
