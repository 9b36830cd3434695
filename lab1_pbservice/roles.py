"""The roles of lab 1's processes. `python -m common.main lab1_pbservice ROLE NAME NET [key=json …]` runs one."""

from common.clerk import serve_clerk
from common.host import Host
from common.load import serve_load
from lab1_pbservice.pbservice.clerk import Clerk
from lab1_pbservice.pbservice.server import PBServer
from lab1_pbservice.viewservice.server import ViewServer


async def viewserver(host: Host) -> None:
    """The view service."""
    await ViewServer(host).run()


async def pbserver(host: Host, viewserver: str) -> None:
    """A server of the primary/backup service, watched over by `viewserver`."""
    await PBServer(host, viewserver).run()


async def clerk(host: Host, viewserver: str) -> None:
    """A client: does the Gets, Puts and Appends that it is asked to do, one at a time."""
    await serve_clerk(host, Clerk(host, viewserver))


async def load(host: Host, viewserver: str) -> None:
    """Many clients in one process, for measurements."""
    await serve_load(host, lambda: Clerk(host, viewserver))


ROLES = {"viewserver": viewserver, "pbserver": pbserver, "clerk": clerk, "load": load}
