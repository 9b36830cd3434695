"""The harness's side of the keeper: starting and killing servers, and learning that one has ended."""

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from labs.process import leftovers, system
from labs.sandbox.plan import Sandbox, harmless
from labs.submission import Command

IMPORT_LIMIT: Final = 30.0
"""Seconds that importing a lab's package may take."""
ANSWER_LIMIT: Final = 30.0
"""Seconds within which a keeper does what it is told. It takes milliseconds."""
MOST_DESCRIPTORS: Final = 16
"""Open files that may come at once. The keeper sends one with a line."""


class NotImported(AssertionError):
    """The lab's package cannot be imported. The text holds the traceback."""


class KeeperFailed(Exception):
    """The keeper ended or does not answer. What it ran is dead; the next start begins with a new keeper."""


class Process:
    """One server process."""

    def __init__(self, pid: int, net: str, listener: int | None = None) -> None:
        self.pid = pid
        self.net = net
        self.listener = listener
        """Where its wishes to connect arrive (labs/sandbox/seccomp.py), if they do. Whoever takes it closes it."""
        self.how: str | None = None
        """How it ended, in words such as "signal SIGKILL". None while it runs."""
        self.killed = False
        """Whether its end was the harness's wish."""
        self.ended = asyncio.Event()
        self._when_ended: Callable[[], None] = lambda: None

    def end(self, how: str) -> None:
        """Notes that it is gone."""
        self.how = how
        self.ended.set()
        self._when_ended()

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Calls `callback` at the end of the process, or at once if it is over."""
        self._when_ended = callback
        if self.how is not None:
            callback()


class Keeper:
    """Starts servers of one lab by way of a keeper process, which is started when first needed.

    Used by one event loop at a time, and by any number of loops one after another.
    """

    _pids: ClassVar[set[int]] = set()
    """The keeper processes of this process that should be alive."""

    def __init__(
        self,
        package: str,
        run: str,
        folders: Iterable[Path] = (),
        import_limit: float = IMPORT_LIMIT,
        command: Command | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.package = package
        self.command = command
        """What starts a server, where the lab is no Python package."""
        self.run = run
        """The run's id: all that the keeper starts carries it in its environment as LAB_RUN."""
        self.sandbox = sandbox
        """What its servers are kept in, if in anything."""
        self._folders = [folder.absolute() for folder in folders]
        self._import_limit = import_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._output = ""
        self._failure: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: asyncio.Future[None]
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._processes: dict[int, Process] = {}
        self._received = b""
        self._descriptors: list[int] = []
        """Open files that came with lines which are still to be read."""
        self._is_ready = False

    # --- what a cluster asks of it -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Starts the keeper process unless it runs. Raises `NotImported`, again each time once it has happened."""
        if self._process is None:
            if self._failure is not None:
                raise NotImported(self._failure)
            self._spawn()
        self._attach()
        try:
            async with asyncio.timeout(self._import_limit + ANSWER_LIMIT):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.close()
            raise KeeperFailed(f"the keeper of {self.package} was not ready in time: {self._output}") from None

    async def start(self, role: str, name: str, arguments: dict[str, Any], net: Path, log: Path) -> Process:
        """Starts a role as a process. Its output is appended to `log`.

        Both paths are absolute. Raises `NotImported` and `KeeperFailed`.
        """
        await self.open()
        what: dict[str, Any] = {"role": role, "arguments": arguments}
        if self.command is not None:
            what = {"argv": self.command.line(role, name, net, arguments), "folder": str(self.command.folder)}
        answer = await self._ask(do="start", name=name, net=str(net), log=str(log), **what)
        if "failed" in answer:
            raise KeeperFailed(f"{name} could not be started: {answer['failed']}")
        process: Process = answer["process"]
        return process

    async def kill(self, process: Process) -> None:
        """Kills a server with all that it started. Returns when they are gone."""
        if self._process is not None and process.how is None:
            process.killed = True
            self._attach()
            await self._ask(do="kill", pid=process.pid)

    async def end(self, net: Path) -> None:
        """Kills all servers of a network, and forgets it. Those whose start nobody waits for any more are included."""
        if self._process is not None:
            for process in self._processes.values():
                process.killed = process.killed or process.net == str(net)
            self._attach()
            await self._ask(do="end", net=str(net))

    def close(self) -> None:
        """Ends the keeper with everything that it runs, and makes sure of it. It may be opened again."""
        if self._process is not None:
            self._lost("its keeper was closed")

    # --- the conversation --------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        system.become_subreaper()  # should somebody kill the keeper, its orphans come to us
        system.raise_file_limit()
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the keeper)
        root = str(Path(__file__).parents[2])
        environment = dict(harmless(os.environ) if self.sandbox else os.environ, LAB_RUN=self.run)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        package = "" if self.command else self.package
        plan = self.sandbox.plan(self.package, self._folders, self.command) if self.sandbox else None
        said = msgspec.json.encode(plan).decode() if plan else ""
        arguments = [package, str(theirs.fileno()), str(self._import_limit), said, *map(str, self._folders)]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "labs.process.keeper", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C at the terminal is the harness's to handle
            )
        self._pids.add(self._process.pid)
        self._received = b""
        self._descriptors.clear()
        self._loop = None
        self._is_ready = False

    def _attach(self) -> None:
        """Listens to the keeper on the running loop."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._detach()
        self._loop = loop
        self._answers.clear()
        self._ready = loop.create_future()
        if self._is_ready:
            self._ready.set_result(None)
        loop.add_reader(self._socket.fileno(), self._readable)

    def _detach(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._loop = None

    def _readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 65536, MOST_DESCRIPTORS)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self._descriptors += descriptors
        if not data:
            self._lost("its keeper ended unexpectedly")
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))

    def _hear(self, message: dict[str, Any]) -> None:
        if "id" in message:
            if "pid" in message:  # noted at once: its end may be told in the same breath
                listener = self._descriptors.pop(0) if "listener" in message else None
                process = message["process"] = Process(message["pid"], message["net"], listener)
                self._processes[process.pid] = process
            answer = self._answers.pop(message["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif "ended" in message:
            self._processes.pop(message["ended"]).end(message["how"])
        elif "ready" in message:
            self._is_ready = True
            self._ready.set_result(None)
        else:
            self._failure = f"{self.package} cannot be imported:\n{message['failed']}"

    async def _ask(self, **command: Any) -> dict[str, Any]:
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            self._socket.sendall(json.dumps({"id": number, **command}).encode() + b"\n")
            async with asyncio.timeout(ANSWER_LIMIT):
                await future
        except (TimeoutError, OSError) as error:
            self._lost(f"its keeper does not answer: {error!r}")
            raise KeeperFailed(f"the keeper of {self.package} did not answer in {ANSWER_LIMIT:g} s") from None
        return future.result()

    def _lost(self, reason: str) -> None:
        """The keeper is gone or has to go: ends it, and all that it ran."""
        process, self._process = self._process, None
        if process is None:
            return
        self._detach()
        self._socket.close()
        try:
            process.wait(ANSWER_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._pids.discard(process.pid)
        leftovers.kill_orphans(self.run, self._processes, self._pids)
        self._log.seek(0)
        self._output = self._log.read().decode(errors="replace")
        self._log.close()
        self._tell(f"{reason} ({process.returncode})")

    def _tell(self, reason: str) -> None:
        """Tells all who wait that the keeper is gone."""
        for server in self._processes.values():
            server.end(reason)
        self._processes.clear()
        answers, self._answers = self._answers, {}
        waiting: list[asyncio.Future[Any]] = list(answers.values())
        if not self._is_ready:
            self._failure = self._failure or f"importing {self.package} ended the process:\n{self._output}"
            if not self._ready.done():
                self._ready.set_exception(NotImported(self._failure))
        for future in waiting:
            if not future.done():
                future.set_exception(KeeperFailed(f"the keeper of {self.package} ended: {reason}\n{self._output}"))


class Keepers:
    """The keepers of one harness process, one for each lab and submission. They serve test after test."""

    def __init__(self, run: str, sandbox: Sandbox | None = None) -> None:
        self.run = run
        self._sandbox = sandbox
        self._keepers: dict[tuple[str, tuple[Path, ...], Command | None], Keeper] = {}

    def get(self, package: str, folders: Iterable[Path] = (), command: Command | None = None) -> Keeper:
        """The keeper of a lab whose packages are looked for in `folders` first, or whose servers are commands."""
        key = (package, tuple(folder.absolute() for folder in folders), command)
        if key not in self._keepers:
            self._keepers[key] = Keeper(package, self.run, key[1], command=command, sandbox=self._sandbox)
        return self._keepers[key]

    def close(self) -> None:
        """Ends them all."""
        for keeper in self._keepers.values():
            keeper.close()
