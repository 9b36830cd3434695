"""What else a user might take, measured beside ours: etcd, three nodes on loopback with their data in memory.

Memory, because our servers have no disk either: then both wait for the network and the processor only.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from common.load import LoadDone, RunLoad
from labs.process.system import die_with_parent

NODES: Final = 3
START_LIMIT: Final = 30.0
"""Seconds within which the nodes must have a leader."""
PROGRAM: Final = Path(__file__).parent / "etcd" / "main.go"
PACKAGES: Final = "etcd-server golang-go golang-etcd-server-dev"
SOURCES: Final = Path("/usr/share/gocode")
"""Where Debian keeps the Go libraries."""


class NotInstalled(Exception):
    """The peer is not on this machine. The text says what to install."""


class Etcd:
    """Three nodes and a load program in Go, connected to the leader. An async context manager."""

    name = "etcd"

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._folder = Path(tempfile.mkdtemp(prefix="lab-etcd-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
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
        load.stdin.write(json.dumps(msgspec.structs.asdict(request)).encode() + b"\n")
        line = await load.stdout.readline()
        assert line, f"the load program ended by itself; see what it said:\n{self._log('load')}"
        return LoadDone(**json.loads(line))

    def servers(self) -> list[int]:
        """The nodes."""
        return [node.pid for node in self._nodes]

    def clients(self) -> list[int]:
        """The load program."""
        return [self._load.pid] if self._load is not None else []

    # --- start and end -----------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        etcd, go = shutil.which("etcd"), shutil.which("go")
        if etcd is None or go is None or not (SOURCES / "src/go.etcd.io/etcd/clientv3").is_dir():
            raise NotInstalled(f"etcd or what its load program is made of is missing; apt-get install {PACKAGES}")
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
        command = [go, "build", "-o", str(self._folder / "program"), str(PROGRAM)]
        surroundings = {**os.environ, "GO111MODULE": "off", "GOPATH": str(SOURCES), "GOFLAGS": ""}
        built = await asyncio.to_thread(subprocess.run, command, env=surroundings, capture_output=True, text=True)
        if built.returncode != 0:
            raise NotInstalled(f"its load program does not build: {built.stderr.strip()}")

    async def _launch(self, name: str, *command: str) -> asyncio.subprocess.Process:
        with (self._folder / f"{name}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == "load" else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )

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

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]

    async def _close(self) -> None:
        processes = [*self._nodes, *([self._load] if self._load is not None else [])]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in processes:
            await process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


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
