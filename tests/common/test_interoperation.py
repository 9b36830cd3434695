"""MessagePack-RPC clients that we did not write talk to a real server."""

import asyncio
import subprocess
import sys
from typing import Any

import aio_msgpack_rpc
import pytest

from tests.common.real_server import RealServer

NEOVIM = """
import sys
from pynvim.msgpack_rpc import tcp_session
session = tcp_session(sys.argv[1], int(sys.argv[2]))
print(session.request("GetView"))
try:
    session.request("NoSuchMethod", 1)
except Exception as error:
    print("refused")
print(session.request("GetView"))
session.close()
"""


def test_the_client_of_neovim(server: RealServer) -> None:
    """pynvim's session, which writes method names as binary and opens with a notification of its own.

    In a process of its own, for it leaves its socket to the garbage collector.
    """
    words = [sys.executable, "-c", NEOVIM, server.endpoint.host, str(server.endpoint.port)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["[0, '', '']", "refused", "[0, '', '']"], done.stderr


def test_aio_msgpack_rpc(server: RealServer) -> None:
    async def talk() -> None:
        reader, writer = await asyncio.open_connection(*server.endpoint)
        client: Any = aio_msgpack_rpc.Client(reader, writer)
        assert await client.call("GetView") == [0, "", ""]
        with pytest.raises(aio_msgpack_rpc.error.RPCResponseError, match=r"Ping\(me, viewnum\): Expected `int`"):
            await client.call("Ping", "pb-1", "three")
        views = await asyncio.gather(*(client.call("GetView") for _ in range(50)))
        assert views == [[0, "", ""]] * 50
        client.close()
        writer.close()
        await writer.wait_closed()

    asyncio.run(talk())
