"""Servers that look for ways around the network, when asked to."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Final

from common.host import CallFailed, CallRefused, Host
from common.wire import encode_request
from rogue_lab.messages import Call, Dial, Hello, Redial, Tamper

PATIENCE: Final = 8.0
"""Seconds for an answer that is allowed: less than the harness waits for ours. What is forbidden fails at once."""


async def rogue(host: Host) -> None:
    """Does as it is asked."""
    kept: list[socket.socket] = []

    async def handle_call(request: Call) -> str:
        try:
            return await host.call(request.to, Hello(), timeout=PATIENCE)
        except (CallFailed, CallRefused) as error:
            return f"failed: {error}"

    def connect(request: Dial) -> socket.socket:
        return socket.create_connection(("127.0.0.1", request.port), timeout=None if request.blocking else PATIENCE)

    def say_hello(connection: socket.socket) -> str:
        connection.settimeout(PATIENCE)
        connection.sendall(encode_request(7, Hello()))
        return "answered" if connection.recv(1000) else "closed"

    async def handle_dial(request: Dial) -> str:
        try:
            kept.append(await asyncio.to_thread(connect, request))
            return await asyncio.to_thread(say_hello, kept[-1])
        except OSError as error:
            return f"failed: {error}"

    async def handle_redial(_: Redial) -> str:
        try:
            return await asyncio.to_thread(say_hello, kept[-1])
        except OSError as error:
            return f"failed: {error}"

    def handle_tamper(request: Tamper) -> None:
        tamper(request)

    await host.serve(
        {
            Hello: lambda _: host.name,
            Call: handle_call,
            Dial: handle_dial,
            Redial: handle_redial,
            Tamper: handle_tamper,
        }
    )


def tamper(request: Tamper) -> None:
    """In the current folder, which is the server's own."""
    place = Path(request.name)
    if place.is_symlink() or place.is_file():
        place.unlink()
    match request.what:
        case "folder":
            place.mkdir()
        case "link":
            place.symlink_to(request.text)
        case "pipe":
            os.mkfifo(place)
        case "lie":
            place.write_text(request.text)
        case "flood":
            place.write_text("x" * 100_000_000)


async def liar(host: Host, what: str = "", text: str = "") -> None:
    """Tells the harness something else than where it listens."""
    tamper(Tamper(host.name, what, text))


ROLES = {"rogue": rogue, "liar": liar}
