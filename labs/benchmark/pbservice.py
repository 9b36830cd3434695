"""The primary/backup service under load: `python -m labs.benchmark.pbservice`, with the options of `kvpaxos`."""

from typing import Final

from common.protocol import GetView
from labs.benchmark.load import Service, command
from labs.benchmark.peers import Redis
from labs.process.cluster import ProcessCluster

SERVERS: Final = ("pb-1", "pb-2")


async def start(cluster: ProcessCluster) -> None:
    """A view service, a primary and a backup."""
    await cluster.start("viewserver", "vs")
    for name in SERVERS:
        await cluster.start("pbserver", name, viewserver="vs")

    async def has_backup() -> bool:
        view = await cluster.call("vs", GetView())
        return bool(view.primary and view.backup)

    await cluster.until(has_backup, within=10.0, what="a view with a primary and a backup")
    await cluster.start("load", "load", viewserver="vs")


main = command(Service("pbservice", "lab1_pbservice", SERVERS, start, (Redis,)))

if __name__ == "__main__":
    main()
