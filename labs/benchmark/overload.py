"""What happens when it is too much, or when somebody does not keep up.

Ten times the clerks that saturate KVPaxos: it should do as much as before, and the servers' memory should not grow with
the queue. A follower that is paused, and one to which every request takes long: the majority should not notice.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import psutil

from common.load import RunLoad
from common.main import new_event_loop
from labs.benchmark.curves import kvpaxos
from labs.benchmark.figures import Figure, Options, command
from labs.benchmark.load import VALUE_SIZE, Lab, Sample, sample
from labs.faults import Faults
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper

CLERKS: Final = 128
"""They saturate two cores."""
TIMES: Final = 10
KEYS: Final = 2560
SECONDS: Final = 1.0
"""Of each measurement."""
AS_GOOD: Final = 0.9
"""Part of the usual throughput that should stay."""
MORE_MEMORY: Final = 64.0
"""Megabytes by which a server may grow: 10 KB for each clerk that waits, and the allocator's share."""
SLOW: Final = 0.05
"""Seconds that every message to the slow follower takes."""


def measure(options: Options) -> list[Figure]:
    """Each trouble right after a usual time, round after round."""
    keeper = Keeper("lab2_kvpaxos", f"benchmark-{uuid.uuid4().hex}")
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_measure(keeper, options))
    finally:
        keeper.close()


async def _measure(keeper: Keeper, options: Options) -> list[Figure]:
    seconds = 0.1 if options.small else SECONDS
    service = kvpaxos(3)
    kept: dict[str, list[float]] = {}
    grown: list[float] = []
    await keeper.open()
    async with ProcessCluster(service.package, keeper) as cluster:
        await service.start(cluster)
        lab = Lab(service, cluster)

        async def run(clerks: int) -> Sample:
            return await sample(lab, RunLoad(clerks, seconds, "put", VALUE_SIZE, KEYS), 0)

        async def compare(what: str, trouble: Callable[[], Awaitable[Sample]]) -> Sample:
            before = await run(CLERKS)
            during = await trouble()
            after = await run(CLERKS)
            usual = (before.operations_per_second + after.operations_per_second) / 2
            kept.setdefault(what, []).append(during.operations_per_second / usual)
            return during

        async def paused() -> Sample:
            cluster.pause(follower)
            try:
                return await run(CLERKS)
            finally:
                cluster.resume(follower)

        async def slow() -> Sample:
            cluster.tap(follower, Faults(delay=SLOW))
            try:
                return await run(CLERKS)
            finally:
                cluster.untap(follower)

        await run(CLERKS)
        follower = min(service.servers, key=lambda name: _processor_seconds(cluster.pid(name)))
        for number in range(options.rounds):
            options.say(f"round {number + 1} of {options.rounds}")
            usual_memory = (await run(CLERKS)).server_megabytes
            much = await compare(f"with {TIMES * CLERKS:,} clerks", lambda: run(TIMES * CLERKS))
            grown.append(much.server_megabytes - usual_memory)
            await compare("with a paused follower", paused)
            await compare(f"with a follower to which messages take {1000 * SLOW:g} ms", slow)
    return [
        *(
            Figure(f"{what}, of the throughput of {CLERKS} clerks", "times", values, at_least=AS_GOOD)
            for what, values in kept.items()
        ),
        Figure(f"memory of a server with {TIMES * CLERKS:,} clerks, more than usual", "MB", grown, at_most=MORE_MEMORY),
    ]


def _processor_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


main = command("overload", __doc__ or "", measure)

if __name__ == "__main__":
    main()
