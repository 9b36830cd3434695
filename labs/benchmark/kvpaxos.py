"""KVPaxos under load: `python -m labs.benchmark.kvpaxos [--peers] [--memory] [--json FILE] [--html FILE]`."""

from typing import Final

from labs.benchmark.load import Service, command
from labs.benchmark.peers import Etcd, PySyncObj
from labs.process.cluster import ProcessCluster

SERVERS: Final = ("kv-1", "kv-2", "kv-3")


async def start(cluster: ProcessCluster) -> None:
    """Three servers."""
    for name in SERVERS:
        await cluster.start("kvpaxos", name, servers=list(SERVERS))
    await cluster.start("load", "load", servers=list(SERVERS))


main = command(Service("kvpaxos", "lab2_kvpaxos", SERVERS, start, (Etcd, PySyncObj)))

if __name__ == "__main__":
    main()
