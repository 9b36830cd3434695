"""The roles of lab 2's processes. `python -m common.main lab2_kvpaxos ROLE NAME NET [key=json …]` runs one."""

from common.clerk import serve_clerk
from common.host import Host
from common.load import serve_load
from lab2_kvpaxos.kvpaxos.clerk import Clerk
from lab2_kvpaxos.kvpaxos.server import KVPaxos
from lab2_kvpaxos.paxos.server import serve_paxos
from lab2_kvpaxos.paxosrsm.server import serve_rsm


async def kvpaxos(host: Host, servers: list[str]) -> None:
    """One of the servers of the key/value service."""
    await KVPaxos(host, servers).run()


async def clerk(host: Host, servers: list[str]) -> None:
    """A client that knows these servers."""
    await serve_clerk(host, Clerk(host, servers))


async def load(host: Host, servers: list[str]) -> None:
    """Many clients in one process, for measurements."""
    await serve_load(host, lambda: Clerk(host, servers))


ROLES = {"paxos": serve_paxos, "rsm": serve_rsm, "kvpaxos": kvpaxos, "clerk": clerk, "load": load}
