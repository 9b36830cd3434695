"""The gate of one server: through it goes each connection that the server wants to make.

The harness connects the server's socket if a link leads there, and otherwise the server learns that nobody listens.
A connection that lasts although its link is gone is ended after a moment.
"""

import asyncio
import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import psutil

from common.links import Endpoint
from labs.process import system
from labs.sandbox import seccomp

MOST_WAITING: Final = 64
"""Connections of a server that may be in the making while it waits for them (on a blocking socket)."""
GRACE: Final = 0.5
"""Seconds for which a connection may outlive its link: a call that was under way may still be answered."""

Allowed = Callable[[Endpoint], bool]


class Gate:
    """The gate of a server. Closes by itself when the last process behind it has ended."""

    def __init__(self, listener: int, allowed: Allowed) -> None:
        self.refused = 0
        """Connections that no link allowed."""
        self._listener = listener
        self._allowed = allowed
        self._waiting = threading.Semaphore(MOST_WAITING)
        self._outlived: dict[tuple[int, str], float] = {}
        """Connections that no link allows any more, and since when."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._readable)

    def close(self) -> None:
        """Nobody answers any more: whoever wants to connect fails."""
        if self._listener >= 0:
            self._loop.remove_reader(self._listener)
            os.close(self._listener)
            self._listener = -1

    def _readable(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        events = dict(poll.poll(0)).get(self._listener, 0)
        if events & select.POLLIN:
            attempt = seccomp.receive(self._listener)
            if attempt is not None:
                self._decide(attempt)
        elif events:
            self.close()

    def _decide(self, attempt: seccomp.Attempt) -> None:
        if not self._allowed(Endpoint(attempt.host, attempt.port)):
            self.refused += 1
            self._answer(attempt, errno.ECONNREFUSED)
        elif not os.get_blocking(attempt.socket.fileno()):
            self._answer(attempt, attempt.socket.connect_ex((attempt.host, attempt.port)))
        elif self._waiting.acquire(blocking=False):
            threading.Thread(target=self._wait, args=(attempt,), daemon=True).start()
        else:
            self._answer(attempt, errno.EAGAIN)

    def _wait(self, attempt: seccomp.Attempt) -> None:
        """The server waits, so somebody has to wait with it. Runs in a thread."""
        error = attempt.socket.connect_ex((attempt.host, attempt.port))
        self._waiting.release()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._answer, attempt, error)

    def _answer(self, attempt: seccomp.Attempt, error: int) -> None:
        attempt.socket.close()
        if self._listener >= 0:
            seccomp.answer(self._listener, attempt.number, error)

    def end_outlived(self, processes: Iterable[int], own_port: int) -> int:
        """Ends the server's connections to where no link leads any more. Returns how many were ended.

        `processes` are those of the server, and `own_port` is where it listens: connections to there are others' own.
        """
        found = {(process, name): peer for process in processes for name, peer in _connections(process, own_port)}
        now = time.monotonic()
        gone = {key for key, peer in found.items() if not self._allowed(peer)}
        self._outlived = {key: self._outlived.get(key, now) for key in gone}
        ended = 0
        for (process, name), since in self._outlived.items():
            if now - since >= GRACE:
                with contextlib.suppress(OSError), _open(process, name) as connection:
                    connection.shutdown(socket.SHUT_RDWR)
                    ended += 1
        return ended


def _connections(process: int, own_port: int) -> list[tuple[str, Endpoint]]:
    """The connections that a process has made: a name for each (its descriptor and its inode), and where it leads."""
    found = []
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(OSError):
                kind = os.readlink(f"/proc/{process}/fd/{descriptor}")
                if kind.startswith("socket:"):
                    name = f"{descriptor} {kind}"
                    with _open(process, name) as connection:
                        if connection.family == socket.AF_INET and connection.getsockname()[1] != own_port:
                            found.append((name, Endpoint(*connection.getpeername())))
    return found


def _open(process: int, name: str) -> socket.socket:
    """The connection of this name. Raises `OSError` if it is gone."""
    descriptor, _, kind = name.partition(" ")
    connection = seccomp.duplicate(process, int(descriptor))
    if os.readlink(f"/proc/self/fd/{connection.fileno()}") != kind:
        connection.close()
        raise OSError("another one by now")
    return connection


def listens(process: int, port: int) -> bool:
    """Whether the process, or one that it started, listens at this port of 127.0.0.1 or of all addresses."""
    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        for each in system.tree(process)
        for connection in _sockets(each)
    )


def _sockets(process: int) -> "list[Any]":
    try:
        return list(psutil.Process(process).net_connections("tcp"))
    except psutil.Error:
        return []
