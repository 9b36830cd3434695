"""What else a user might take, measured beside ours: etcd, Redis with a replica, and PySyncObj.

All on loopback, with their data in memory, because our servers have no disk either: then both wait for the network and
the processor only. Each peer's load is the fastest form of it: a Go program for etcd, connected to the leader; for
Redis a program in C that does nothing but system calls; for PySyncObj callbacks within the leader, without a network.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from common.load import Kind, LoadDone, RunLoad
from labs.process.system import die_with_parent

NODES: Final = 3
START_LIMIT: Final = 30.0
"""Seconds within which the nodes must have a leader."""
HERE: Final = Path(__file__).parent
SOURCES: Final = Path("/usr/share/gocode")
"""Where Debian keeps the Go libraries."""
PACKAGES: Final = {
    "etcd": "apt-get install etcd-server golang-go golang-etcd-server-dev",
    "redis": "apt-get install redis-server gcc libc6-dev",
    "pysyncobj": "pip install pysyncobj",
}
"""How what a peer needs is installed."""


class NotInstalled(Exception):
    """The peer is not on this machine. The text says what to install."""


class Peer:
    """Another system: its servers, and a program that puts them under load. An async context manager.

    The load program gets a line for each `RunLoad`, and answers with a line of JSON that has the fields of `LoadDone`.
    """

    name: str
    operations: tuple[Kind, ...]
    """What it can do, as linearizable as ours."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self._folder = Path(tempfile.mkdtemp(prefix=f"lab-{self.name}-", dir=memory))
        self._nodes: list[asyncio.subprocess.Process] = []
        self._load: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def run(self, request: RunLoad) -> LoadDone:
        """One line to the load program, one line from it."""
        load = self._load
        assert load is not None, "expected the load program to run"
        assert load.stdin is not None, "expected a pipe to the load program"
        assert load.stdout is not None, "expected a pipe from the load program"
        load.stdin.write(self._line(request))
        line = await load.stdout.readline()
        assert line, f"the load program ended by itself; see what it said:\n{self._log('load')}"
        return LoadDone(**json.loads(line))

    def servers(self) -> list[int]:
        """The nodes."""
        return [node.pid for node in self._nodes]

    async def requests(self) -> int | None:
        """None: each has its own idea of a message."""
        return None

    def clients(self) -> list[int]:
        """The load program."""
        return [self._load.pid] if self._load is not None else []

    def _line(self, request: RunLoad) -> bytes:
        """What the load program is asked."""
        return json.dumps(msgspec.structs.asdict(request)).encode() + b"\n"

    # --- start and end -----------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Starts servers and load. Raises `NotInstalled`."""
        raise NotImplementedError

    async def _launch(self, name: str, *command: str) -> asyncio.subprocess.Process:
        with (self._folder / f"{name}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name.startswith("load") else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]

    async def _close(self) -> None:
        processes = list(dict.fromkeys([*self._nodes, *([self._load] if self._load is not None else [])]))
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in processes:
            await process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Etcd(Peer):
    """Three nodes and a load program in Go, connected to the leader."""

    name = "etcd"
    operations = ("put", "get")

    async def _start(self) -> None:
        etcd, go = shutil.which("etcd"), shutil.which("go")
        if etcd is None or go is None or not (SOURCES / "src/go.etcd.io/etcd/clientv3").is_dir():
            raise NotInstalled(f"etcd or what its load program is made of is missing; {PACKAGES[self.name]}")
        self._say("etcd: building its load program")
        await self._build(go)
        ports = _free_ports(2 * NODES)
        clients = [f"http://127.0.0.1:{port}" for port in ports[:NODES]]
        peers = [f"http://127.0.0.1:{port}" for port in ports[NODES:]]
        members = ",".join(f"node-{number}={peer}" for number, peer in enumerate(peers))
        for number, (client, peer) in enumerate(zip(clients, peers, strict=True)):
            name = f"node-{number}"
            words = ["--name", name, "--data-dir", str(self._folder / name), "--log-level", "error"]
            words += ["--listen-client-urls", client, "--advertise-client-urls", client]
            words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            words += ["--initial-cluster", members, "--initial-cluster-token", self._folder.name]
            self._nodes.append(await self._launch(name, etcd, *words))
        leader = await self._leader(clients)
        self._load = await self._launch("load", str(self._folder / "program"), leader.removeprefix("http://"))

    async def _build(self, go: str) -> None:
        command = [go, "build", "-o", str(self._folder / "program"), str(HERE / "etcd" / "main.go")]
        surroundings = {**os.environ, "GO111MODULE": "off", "GOPATH": str(SOURCES), "GOFLAGS": ""}
        built = await asyncio.to_thread(subprocess.run, command, env=surroundings, capture_output=True, text=True)
        if built.returncode != 0:
            raise NotInstalled(f"its load program does not build: {built.stderr.strip()}")

    async def _leader(self, clients: list[str]) -> str:
        """Where clients reach the node that leads. Raises `TimeoutError`."""
        async with asyncio.timeout(START_LIMIT):
            while True:
                for client in clients:
                    with contextlib.suppress(OSError):
                        status = await asyncio.to_thread(_status, client)
                        if status.get("leader", "0") == status["header"]["member_id"]:
                            return client
                await asyncio.sleep(0.1)


class Redis(Peer):
    """A primary with one replica. A write is answered once the replica has it (`WAIT 1`); a read is the primary's."""

    name = "redis"
    operations = ("put", "append", "get")

    async def _start(self) -> None:
        server, compiler = shutil.which("redis-server"), shutil.which("cc") or shutil.which("gcc")
        if server is None or compiler is None:
            raise NotInstalled(f"redis-server or a C compiler for its load is missing; {PACKAGES[self.name]}")
        command = [compiler, "-O2", "-o", str(self._folder / "program"), str(HERE / "redis" / "load.c")]
        built = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        if built.returncode != 0:
            raise NotInstalled(f"its load program does not build: {built.stderr.strip()}; {PACKAGES[self.name]}")
        ports = _free_ports(2)
        common = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        for number, port in enumerate(ports):
            folder = self._folder / f"node-{number}"
            folder.mkdir()
            words = ["--port", str(port), "--dir", str(folder), *common]
            words += ["--replicaof", "127.0.0.1", str(ports[0])] if number else []
            self._nodes.append(await self._launch(f"node-{number}", server, *words))
        await self._replicated(ports[0])
        self._load = await self._launch("load", str(self._folder / "program"), str(ports[0]))

    async def _replicated(self, port: int) -> None:
        """Waits until the primary has a replica that is up to date."""
        async with asyncio.timeout(START_LIMIT):
            while True:
                with contextlib.suppress(OSError):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"SET started yes\r\nWAIT 1 200\r\n")
                    await reader.readline()
                    answer = await reader.readline()
                    writer.close()
                    if answer == b":1\r\n":
                        return
                await asyncio.sleep(0.1)

    def _line(self, request: RunLoad) -> bytes:
        words = (request.clerks, request.seconds, request.operation, request.value_size, request.keys)
        return " ".join(map(str, words)).encode() + b"\n"


class PySyncObj(Peer):
    """Three nodes of the Raft library for Python, with the load in the leader. Its reads are not linearizable."""

    name = "pysyncobj"
    operations = ("put",)

    async def _start(self) -> None:
        if importlib.util.find_spec("pysyncobj") is None:
            raise NotInstalled(f"pysyncobj is missing; {PACKAGES[self.name]}")
        places = [f"127.0.0.1:{port}" for port in _free_ports(NODES)]
        for number, place in enumerate(places):
            words = ["-m", "labs.benchmark.pysyncobj", place, *(other for other in places if other != place)]
            self._nodes.append(await self._launch(f"load-{number}", sys.executable, *words))
        async with asyncio.timeout(START_LIMIT):
            said = {asyncio.create_task(_first_line(node)): node for node in self._nodes}
            done, _ = await asyncio.wait(said, return_when=asyncio.FIRST_COMPLETED)
            self._load = said[done.pop()]
            for task in said:
                task.cancel()

    def clients(self) -> list[int]:
        return []


async def _first_line(node: asyncio.subprocess.Process) -> None:
    """Returns once a node has said that it leads."""
    assert node.stdout is not None, "expected a pipe from the node"
    assert await node.stdout.readline(), "the node ended by itself"


def _status(client: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{client}/v3/maintenance/status", data=b"{}")
    with urllib.request.urlopen(request, timeout=1.0) as reply:
        status: dict[str, Any] = json.load(reply)
    return status


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago: etcd has to be told its ports, and its peers', before it starts."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
