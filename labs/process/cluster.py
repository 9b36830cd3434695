"""The process world: every server is a process, every link a file, every fault something that really happens."""

import asyncio
import contextlib
import math
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
import psutil

from common import links, snapshot
from common.host import CallFailed
from common.snapshot import Snapshot
from common.tcp import Client
from common.wire import Request
from labs.cluster import POLL, Cluster, Held, NotInTime, ServerStopped
from labs.faults import NONE
from labs.process import logs, system
from labs.process.processes import Keeper, Process
from labs.process.taps import Tap
from labs.sandbox import files, usage
from labs.sandbox.gate import Gate, listens
from labs.sandbox.limits import Limits, show_size
from labs.sandbox.usage import Processors
from labs.traces.bodies import MOST, cut_text
from labs.traces.events import Event
from labs.traces.recorder import Recorder

R = TypeVar("R")

LISTEN_LIMIT: Final = 10.0
"""Seconds within which a started server must have published its socket file."""
LOG_TAIL: Final = 40
"""Lines of a server's log that are shown when it stopped."""
MAX_TAIL: Final = 65_536
"""Bytes in those lines."""
MAX_LINE: Final = 1000
"""Characters of each, from its end."""
LOOK_EVERY: Final = 0.2
"""Seconds between two looks at how long the logs are, and at what servers in the sandbox use."""
MAX_SOCKET_FILE: Final = 300
"""Bytes of a socket file that are read."""
MAX_SNAPSHOT: Final = 4 * 1024 * 1024
"""Bytes of a snapshot that are read."""
SNAPSHOT_WITHIN: Final = 1.0
"""Seconds within which a server gives a snapshot of itself, unless its loop does not turn."""
TRACE_WITHIN: Final = 0.5
"""Seconds within which it then writes where it is."""
END_WITHIN: Final = 1.0
"""Seconds within which a server has ended whose connections have, if that is why."""


class Server:
    """What the harness knows of one server."""

    def __init__(self, role: str, arguments: dict[str, Any]) -> None:
        self.role = role
        self.arguments = arguments
        self.process: Process | None = None
        """The process that was started last, or None before the first."""
        self.endpoint: links.Endpoint | None = None
        """Where it listens. None while it does not run."""
        self.client: Client | None = None
        """The harness's own connection to it."""
        self.gate: Gate | None = None
        """What it has to pass to connect to anybody, in the sandbox."""
        self.paused = False
        self.left_out = 0
        """Bytes that were taken out of its log."""


class ProcessCluster(Cluster):
    """A cluster of processes, with its own folder: `net` for the links, `logs` for what the servers print.

    Close it, or use it as an async context manager: then nothing is left of it but the logs.
    """

    world = "process"

    def __init__(
        self,
        package: str,
        keeper: Keeper,
        seed: int = 0,
        folder: Path | None = None,
        patience: float = 1.0,
        recorder: Recorder | None = None,
        tap_all: bool = False,
    ) -> None:
        """With `tap_all` there is a tap on every link between servers, so that the recorder is told of all messages."""
        super().__init__(package, seed, folder, patience, recorder)
        self._tap_all = tap_all
        self._is_temporary = folder is None
        self._root = root = Path(tempfile.mkdtemp(prefix="lab-")) if folder is None else folder.absolute()
        self.net = root / "net"
        self.logs = root / "logs"
        for place in (self.net, self.logs):
            place.mkdir(parents=True, exist_ok=True)
        self._keeper = keeper
        self._servers: dict[str, Server] = {}
        self._tapped: dict[tuple[str, str], Tap] = {}
        """Taps stay, with their counts, when their link is no longer tapped."""
        self._began, self._began_at = time.monotonic(), datetime.now()
        self._followers: dict[str, logs.Follower] = {}
        self._linked: dict[tuple[str, str], links.Endpoint] = {}
        """Where the files lead that were made for links, in the sandbox."""
        self.processors = Processors()
        """How long the servers kept processors busy, in the sandbox."""
        self._stopped = ""
        """Why a server was stopped that used too much."""
        self._caring: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._caring = asyncio.create_task(self._care())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Kills everything and deletes all socket files. A second time does no harm.

        Raises `AssertionError` if a process is still there.
        """
        caring, self._caring = self._caring, None
        if caring is not None:
            caring.cancel()
        try:
            await self._keeper.end(self.net)
        finally:
            for name in self._servers:
                logs.shorten(self._log_file(name))
            for tap in self._tapped.values():
                await tap.close()
            for server in self._servers.values():
                if server.client is not None:
                    server.client.close()
                if server.gate is not None:
                    server.gate.close()
            await asyncio.sleep(0)  # closed connections are gone one turn later
            shutil.rmtree(self.net, ignore_errors=True)
            if self._is_temporary:
                shutil.rmtree(self._root, ignore_errors=True)
        if caring is not None and caring.done() and not caring.cancelled():
            caring.result()  # it never ends by itself, except by a mistake of ours
        for name in self.names:
            assert not self.running(name), f"{name} is still there after SIGKILL"

    # --- what is recorded --------------------------------------------------------------------------------------------

    def stop_recording(self) -> None:
        for name in self._servers:
            self._follow(name)
        for tap in self._tapped.values():
            tap.recorder = None
        super().stop_recording()

    def _follow(self, name: str) -> None:
        """Records what is new in a server's log."""
        if self.recorder is None:
            return
        now = self.now()
        for line in self._followers[name].lines():
            t = (line.time - self._began_at).total_seconds()
            self.recorder.add(Event(t if 0 <= t < now else now, "log", name, text=cut_text(line.text, MOST)))

    # --- time --------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return time.monotonic() - self._began

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # --- servers -----------------------------------------------------------------------------------------------------

    async def _start(self, role: str, name: str, arguments: dict[str, Any]) -> None:
        self._servers[links.check_name(name)] = Server(role, arguments)
        self._followers[name] = logs.Follower(self._log_file(name), name)
        await self._launch(name)

    async def _restart(self, name: str) -> None:
        self.check()
        if self.running(name):
            raise ValueError(f"expected a server that was killed, but {name} runs")
        await self._launch(name)

    async def _launch(self, name: str) -> None:
        server = self._servers[name]
        self._mark(name, f"start as {server.role}")
        self.record("start", name, text=server.role)
        server.paused = False
        server.process = process = await self._keeper.start(
            server.role, name, server.arguments, self.net, self._log_file(name)
        )
        process.when_ended(lambda: self._ended(name, process))
        if process.listener is not None:
            server.gate = Gate(process.listener, partial(self._may_connect, name))
        server.endpoint = await self._listening(name, process)
        self.record("serve", name)
        self._relink(name, name)  # it may be deaf

    def _ended(self, name: str, process: Process) -> None:
        if not process.killed:
            self._follow(name)
            self.record("crash", name, text=process.how or "")

    async def _listening(self, name: str, process: Process) -> links.Endpoint:
        """Waits for the server's socket file. Raises `ServerStopped` or `NotInTime`."""
        limit = LISTEN_LIMIT * self.patience
        deadline = time.monotonic() + limit
        pause = 0.0005
        trouble = "there is none"
        while time.monotonic() < deadline:
            self.check()
            if process.how is not None:
                raise ServerStopped(f"{name} was killed while it started")
            try:
                endpoint = self._read_own(name)
            except ValueError as error:
                trouble = str(error)
            else:
                if endpoint is not None:
                    return endpoint
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, 0.02)
        raise NotInTime(
            f"waited {limit:g} s for {name} to listen and to write its socket file net/{name}/{name}: {trouble}\n"
            f"{self._tail(name)}"
        )

    def _read_own(self, name: str) -> links.Endpoint | None:
        """Where a server says that it listens. None: nowhere yet. Raises `ValueError` if it makes no sense."""
        file = self.net / name / name
        if not self._sandboxed:
            return links.read(file)
        try:
            endpoint = links.parse(files.read(file, MAX_SOCKET_FILE).decode(errors="replace"), file)
        except FileNotFoundError:
            return None
        process = self._servers[name].process
        assert process is not None
        if endpoint.host != "127.0.0.1" or not listens(process.pid, endpoint.port):
            raise ValueError(f"{name} does not listen at {endpoint.host}:{endpoint.port}, where it says that it does")
        return endpoint

    async def kill(self, name: str) -> None:
        server = self._servers[name]
        if server.process is None or server.process.how is not None:
            return
        server.endpoint = None
        await self._keeper.kill(server.process)
        self._follow(name)
        self._mark(name, "killed")
        self.record("kill", name)
        self._unlink(name)

    def bury(self) -> dict[str, str]:
        """Servers that ended by themselves are from now on like killed ones. Gives what there is to say of each."""
        found = {}
        for name, server in self._servers.items():
            process = server.process
            if process is not None and process.how is not None and not process.killed:
                found[name] = self._obituary(name, server)
                process.killed = True
                server.endpoint = None
                self._unlink(name)
        return found

    def _unlink(self, name: str) -> None:
        """A server is gone."""
        server = self._servers[name]
        if server.gate is not None:
            server.gate.close()
        if server.client is not None:
            server.client.close()
        # The port is free for anyone now: no link may lead to it.
        for src in self.names:
            self._relink(src, name)

    def pause(self, name: str) -> None:
        self._signal(name, signal.SIGSTOP)
        self._servers[name].paused = True
        self._mark(name, "paused")
        self.record("pause", name)

    def resume(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)
        self._servers[name].paused = False
        self._mark(name, "resumed")
        self.record("resume", name)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._servers[name].process
        if process is None or process.how is not None:
            self.check()
            raise ValueError(f"expected a running server, but {name} does not run")
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself, in this moment
            os.killpg(process.pid, number)

    def running(self, name: str) -> bool:
        server = self._servers.get(name)
        return server is not None and server.process is not None and server.process.how is None

    def pid(self, name: str) -> int:
        """The process id of a server that has been started."""
        process = self._servers[name].process
        assert process is not None, f"{name} was never started"
        return process.pid

    def check(self) -> None:
        if self._stopped:
            raise ServerStopped(self._stopped)
        for name, server in self._servers.items():
            process = server.process
            if process is not None and process.how is not None and not process.killed:
                raise ServerStopped(self._obituary(name, server))

    def _obituary(self, name: str, server: Server) -> str:
        how = "" if server.process is None else server.process.how
        tail = self._tail(name)
        text = f"{name} ({server.role}) ended by itself: {how}. A server runs until it is killed."
        if self._keeper.sandbox is not None and "MemoryError" in tail:
            text += (
                f" The sandbox gives all servers together {show_size(self._keeper.sandbox.limits.memory)} of memory."
            )
        return f"{text}\n{tail}"

    def memory(self, name: str) -> int:
        process = self._servers[name].process
        if process is None or process.how is not None:
            return 0
        try:
            root = psutil.Process(process.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:  # it has ended by itself, in this moment
            return 0
        return sum(map(_memory, family))

    async def snapshot(self, name: str) -> Snapshot:
        if not self.running(name):
            return Snapshot("killed")
        if self._servers[name].paused:
            return Snapshot("paused")
        if self._keeper.command is not None:
            return Snapshot("running")  # to another language our signals mean something else, such as death
        file = self.net / name / snapshot.FILE
        files.remove(file)
        self._signal(name, signal.SIGUSR1)
        if await self._soon(file.exists, SNAPSHOT_WITHIN):
            with contextlib.suppress(ValueError):  # what a submission writes there may make no sense
                return msgspec.json.decode(files.read(file, MAX_SNAPSHOT), type=Snapshot)
        log = self._log_file(name)
        before = log.stat().st_size

        def trace() -> str:
            with log.open("rb") as file_of_log:
                file_of_log.seek(before)
                return file_of_log.read(MAX_TAIL).decode(errors="replace")

        self._signal(name, signal.SIGUSR2)
        await self._soon(lambda: snapshot.is_whole(trace()), TRACE_WITHIN)
        return Snapshot("busy", tasks=[snapshot.Task("busy", snapshot.read_trace(trace()))])

    async def _soon(self, condition: Callable[[], bool], within: float) -> bool:
        deadline = self.now() + within * self.patience
        while not condition() and self.now() < deadline:
            await asyncio.sleep(POLL)
        return condition()

    def log(self, name: str) -> str:
        try:
            return self._log_file(name).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _log_file(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    async def _care(self) -> None:
        """Looks after the servers for as long as the test lasts."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            began = self.now()
            for name, server in self._servers.items():
                self._follow(name)
                left_out = logs.shorten(self._log_file(name))
                if left_out:
                    self._followers[name].skip()
                    server.left_out += left_out
            if self.recorder is not None:
                self.recorder.flush(began)
            if self._keeper.sandbox is not None:
                await self._guard(self._keeper.sandbox.limits)

    async def _guard(self, limits: Limits) -> None:
        """One look at what servers in the sandbox do and use. The one that uses too much is stopped."""
        used: dict[str, usage.Usage] = {}
        everybody: list[int] = []
        for name, server in self._servers.items():
            if server.process is None or server.process.how is not None:
                continue
            tree = system.tree(server.process.pid, limits.processes)
            everybody += tree
            if server.gate is not None and server.endpoint is not None:
                server.gate.end_outlived(tree, server.endpoint.port)
            written = server.left_out + self._log_file(name).stat().st_size
            used[name] = usage.of_processes(tree, self.net / name, limits)._replace(output=written)
        if self.processors.look(everybody):
            usage.make_way(everybody)
        too_much = usage.excess(used, limits)
        if too_much is not None:
            name, why = too_much
            self._stopped = self._stopped or f"{name} ({self._servers[name].role}) was stopped by the sandbox: {why}."
            self._mark(name, f"stopped by the sandbox: {why}")
            await self.kill(name)

    def _mark(self, name: str, event: str) -> None:
        with self._log_file(name).open("a") as log:
            log.write(f"--- {self.now():.3f} s: {event}\n")

    def _tail(self, name: str) -> str:
        with self._log_file(name).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - MAX_TAIL))
            lines = log.read().decode(errors="replace").splitlines()[-LOG_TAIL:]
        return f"The end of {self._log_file(name)}:\n" + "\n".join(f"    {line[-MAX_LINE:]}" for line in lines)

    async def peek(self, address: str, request: Request[R], timeout: float | None) -> R:
        server = self._servers[address]
        if server.endpoint is None:
            self.check()
            raise CallFailed(f"{address} does not run")
        if server.client is None or server.client.closed or server.client.endpoint != server.endpoint:
            server.client = Client(server.endpoint)
        client, process = server.client, server.process
        try:
            return await client.ask(request, math.inf if timeout is None else timeout)
        except CallFailed:
            if client.closed and process is not None and not process.killed:
                # The connection ends a moment before the process does. If that is why, say so.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.ended.wait(), END_WITHIN * self.patience)
                self.check()
            raise

    # --- network -----------------------------------------------------------------------------------------------------

    def calls(self, dst: str) -> int:
        return sum(tap.seen for (_, tapped), tap in self._tapped.items() if tapped == dst)

    def held(self, src: str, dst: str) -> list[Held]:
        tap = self._tapped.get((src, dst))
        return [] if tap is None else tap.held()

    def _deliver(self, src: str, dst: str, number: int) -> None:
        self._tapped[src, dst].deliver(number)

    def _drop(self, src: str, dst: str, number: int) -> None:
        self._tapped[src, dst].drop(number)

    def _relink(self, src: str, dst: str) -> None:
        link = self.link(src, dst)
        tap = self._tapped.get((src, dst))
        if tap is None and self._by_tap(src, dst):
            tap = self._tapped[src, dst] = self._make_tap(src, dst)
        if tap is not None:
            tap.faults, tap.counts = link.tap or NONE, link.tap is not None
            if link.held and link.tap is not None:
                tap.hold()
            else:
                tap.release()
        path = self.net / src / dst
        if self._sandboxed:
            self._write_link(path, src, dst)
            return
        endpoint = self._servers[dst].endpoint if dst in self._servers else None
        if not link.up or endpoint is None:
            path.unlink(missing_ok=True)
        elif tap is not None and self._by_tap(src, dst):
            _hard_link(tap.file, path)
        elif src != dst and (self.net / dst / dst).exists():
            _hard_link(self.net / dst / dst, path)
        elif links.look(path) is None:
            links.publish(self.net, src, dst, endpoint)

    def _by_tap(self, src: str, dst: str) -> bool:
        """Whether the link leads to a tap."""
        return src != dst and (self._tap_all or self.link(src, dst).tap is not None)

    @property
    def _sandboxed(self) -> bool:
        return self._keeper.sandbox is not None

    def _write_link(self, path: Path, src: str, dst: str) -> None:
        """Makes the link a file of its own: who shared a file with others could tell them something by it.

        What src may have done to the file does not matter: its gate goes by what we know.
        """
        target = self._target(src, dst)
        if target == self._linked.get((src, dst)):
            return
        if target is None:
            files.remove(path)
            del self._linked[src, dst]
        else:
            if src != dst or files.is_missing(path):
                files.write(path, links.text(target))
            self._linked[src, dst] = target

    def _target(self, src: str, dst: str) -> links.Endpoint | None:
        """Where the link from src to dst leads: to dst, to a tap, or nowhere."""
        link, tap = self.link(src, dst), self._tapped.get((src, dst))
        endpoint = self._servers[dst].endpoint if dst in self._servers else None
        if not link.up or endpoint is None:
            return None
        return tap.endpoint if tap is not None and self._by_tap(src, dst) else endpoint

    def _may_connect(self, src: str, endpoint: links.Endpoint) -> bool:
        """Whether some link of src leads there."""
        return any(self._target(src, dst) == endpoint for dst in self.names)

    def _make_tap(self, src: str, dst: str) -> Tap:
        tap = Tap(self.net, src, dst, lambda: self._servers[dst].endpoint, Random(f"tap {self.seed} {src} {dst}"))
        tap.recorder, tap.now = self.recorder, self.now
        return tap


def _hard_link(source: Path, target: Path) -> None:
    """Makes `target` the same file as `source`, whatever it was before, without a moment in which it is missing."""
    if links.look(source) == links.look(target):
        return
    target.parent.mkdir(exist_ok=True)
    draft = target.parent / f".{target.name}.link"
    draft.unlink(missing_ok=True)
    draft.hardlink_to(source)
    draft.rename(target)


def _memory(process: psutil.Process) -> int:
    try:
        try:
            return int(process.memory_full_info().uss)
        except psutil.AccessDenied:
            return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
