"""A session: a live cluster, what was done to it, and what came of it. Terminal and panel drive the same one."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from common.host import CallFailed, CallRefused
from common.protocol import Config, Query, View
from common.wire import Request
from labs.cluster import Clerk, NotInTime, ServerStopped
from labs.history import Operation, OperationKind
from labs.linearizability.words import describe
from labs.live.acting import Player, Stream
from labs.live.grammar import BadCommand, joined
from labs.live.shapes import FAMILIES, FIRST_CLERKS, MASTER_CLERK, Shape, Start
from labs.live.state import QUESTIONS, Observed, Picture, Sight, leader, picture
from labs.process.cluster import ProcessCluster
from labs.process.processes import KeeperFailed, NotImported
from labs.texts import shown
from labs.traces.events import Event
from labs.traces.recorder import Recorder

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at all servers."""
LOOK_WITHIN: Final = 0.5
"""Seconds within which a server that is well says what it is (times the session's patience, as of all waits)."""
PATIENCE: Final = 1.0
"""Seconds that a command waits for an answer. Then the operation goes on by itself, and so does the user."""
MASTERS_WITHIN: Final = 10.0
"""Seconds that a command waits for the masters."""
TRAFFIC: Final = 3.0
"""Seconds of requests between peers that tell who leads."""
Trouble = (BadCommand, CallFailed, CallRefused, ServerStopped, NotInTime, KeeperFailed, NotImported)
"""What a command may end with instead of an answer. The text is for the user."""


@dataclass(slots=True)
class Entry:
    """A command that was carried out."""

    began: float
    words: list[str]
    view: tuple[str, str] | None = None
    """Lab 1: the primary and the backup when it was given."""
    ended: float | None = None
    operation: Operation | None = None
    """What a clerk was asked by it."""
    awaited: bool = False
    """Whether its answer came before the command was over."""
    said: str = ""
    """What came of it, for the user."""
    failed: bool = False
    """Whether that is why it came to nothing."""

    @property
    def line(self) -> str:
        """As it would be typed."""
        return joined(self.words)


class Session:
    """One session. Enter it to have its servers looked at again and again."""

    def __init__(self, cluster: ProcessCluster, shape: Shape, recorder: Recorder) -> None:
        """The recorder is the cluster's, and is told of all messages."""
        self.cluster = cluster
        self.shape = shape
        self.entries: list[Entry] = []
        self.hearers: list[Callable[[str], None]] = []
        """Told what happens by itself: answers that come late, servers that end."""
        self.followers: list[Callable[[Entry], None]] = []
        """Told of every command that is over, whoever gave it."""
        self.starts: dict[str, Start] = {}
        """Every server and clerk, in the order in which they were started."""
        self.clerks: dict[str, Clerk] = {}
        self.pending: dict[str, Operation] = {}
        """What each clerk is busy with that nobody waits for any more."""
        self.streams: dict[str, Stream] = {}
        self.players: dict[str, Player] = {}
        self.paused: set[str] = set()
        self.views: list[tuple[float, View]] = []
        """Lab 1: each view that was seen, and when."""
        self.config: Config | None = None
        """Lab 3: the newest configuration that was seen."""
        self.scripts = 0
        """Scripts that are being carried out, one by the other."""
        self._observed: dict[str, Observed] = {}
        self._refused: set[tuple[str, str]] = set()
        """Servers, and what they do not answer."""
        self._traffic: deque[tuple[float, dict[tuple[str, str], int]]] = deque()
        self._leaders: dict[int, str] = {}
        self._requests: Counter[tuple[str, str]] = Counter()
        """How many have passed on each link."""
        recorder.subscribe(self._count)
        self._watching: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Tells everybody who listens."""
        for hear in self.hearers:
            hear(text)

    # --- its life ----------------------------------------------------------------------------------------------------

    async def start(self, start: Start) -> None:
        """Starts a server or a clerk."""
        await self.cluster.start(start.role, start.name, **start.arguments)
        self.starts[start.name] = start
        if start.role == "clerk":
            self.clerks[start.name] = Clerk(self.cluster, start.name)
        self._observed[start.name] = Observed("running")

    def watch(self) -> None:
        """Looks at all servers from now on, until the session is closed."""
        self._watching = self.cluster.spawn(self._watch())

    async def _watch(self) -> None:
        while True:
            await self.look()
            await self.cluster.sleep(LOOK_EVERY)

    def close(self) -> None:
        """Ends what goes on by itself. Servers are the cluster's."""
        tasks = [*self.streams.values(), *self.players.values()]
        for actor in tasks:
            actor.abandon()
        if self._watching is not None:
            self._watching.cancel()

    # --- looking -----------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Asks all servers what they are."""
        for text in self.cluster.bury().values():
            self.say(text)
        await asyncio.gather(*(self._look_at(name, start.role) for name, start in self.starts.items()))
        self._look_at_traffic()
        view = self._view()
        if view is not None and (not self.views or self.views[-1][1] != view):
            self.views.append((self.cluster.now(), view))

    async def _look_at(self, name: str, role: str) -> None:
        if not self.cluster.running(name):
            self._observed[name] = Observed("dead")
            self._refused = {each for each in self._refused if each[0] != name}
            return
        seen = self._observed[name]
        seen.state = "paused" if name in self.paused else "running"
        if seen.state == "running":
            for question in QUESTIONS.get(role, ()):
                await self._ask(name, seen, question)

    async def _ask(self, name: str, seen: Observed, question: Request[Any]) -> None:
        asked = type(question).__name__
        if (name, asked) in self._refused:
            return
        try:
            seen.answers[asked] = await self.cluster.peek(name, question, LOOK_WITHIN * self.cluster.patience)
            seen.silent = False
        except CallRefused:
            self._refused.add((name, asked))
        except (CallFailed, ServerStopped):
            seen.silent = True

    def _look_at_traffic(self) -> None:
        now = self.cluster.now()
        self._traffic.append((now, dict(self._requests)))
        while len(self._traffic) > 1 and now - self._traffic[1][0] > TRAFFIC:
            self._traffic.popleft()
        for number, peers in enumerate(self.shape.peers):
            running = [name for name in peers if self.cluster.running(name)]
            found = leader(running, self._traffic[0][1], self._traffic[-1][1])
            if found:
                self._leaders[number] = found

    def _count(self, event: Event) -> None:
        """One more event of the trace."""
        if event.kind == "request":
            self._requests[event.src, event.dst] += 1

    def _view(self) -> View | None:
        seen = self._observed.get("vs")
        return None if seen is None else seen.answers.get("GetView")

    def observed(self, name: str) -> Observed:
        """What is known of a server."""
        return self._observed[name]

    def picture(self) -> Picture:
        """How the cluster looks."""
        pairs = {(src, dst): self.cluster.link(src, dst) for src in self.starts for dst in self.starts}
        return picture(
            Sight(
                self.shape,
                self.cluster.now(),
                {name: start.role for name, start in self.starts.items()},
                self._observed,
                pairs,
                {pair: held for pair in pairs if (held := self.cluster.held(*pair))},
                self._requests,
                [name for name in self._leaders.values() if self.cluster.running(name)],
                self.config,
                self.cluster.history.operations,
            )
        )

    # --- what commands need ------------------------------------------------------------------------------------------

    def entry(self, words: list[str]) -> Entry:
        """Notes that a command was given."""
        view = self._view()
        entry = Entry(self.cluster.now(), words, None if view is None else (view.primary, view.backup))
        self.entries.append(entry)
        return entry

    @property
    def servers(self) -> list[str]:
        """Every server, clerks left out."""
        return [name for name, start in self.starts.items() if start.role in FAMILIES]

    async def clerk(self, name: str) -> Clerk:
        """The clerk of this name, which is started if there is none."""
        if self.shape.clerk is None:
            raise BadCommand(f"{self.shape.suite.name} has no clerks")
        if name in self.starts and name not in self.clerks:
            raise BadCommand(f"expected the name of a clerk, such as {FIRST_CLERKS[0]}, but {name} is a server")
        if name not in self.clerks:
            await self.start(Start("clerk", name, self.shape.clerk))
        return self.clerks[name]

    async def free_clerk(self, name: str) -> Clerk:
        """The same, if it has nothing else to do."""
        ck = await self.clerk(name)
        if not self.cluster.running(name):
            raise BadCommand(f"{name} was killed: restart it, or take another clerk (by {self.new_clerk()})")
        busy = self.pending.get(name)
        if name in self.streams:
            raise BadCommand(f"{name} is busy with a stream: stop it, or take another clerk (by {self.new_clerk()})")
        if busy is not None:
            raise BadCommand(
                f"{name} still waits for {describe(busy)}, and a clerk does one thing at a time: take another "
                f"(by {self.new_clerk()})"
            )
        return ck

    def new_clerk(self) -> str:
        """A name that no clerk has yet."""
        return next(name for number in range(1, len(self.starts) + 2) if (name := f"ck-{number}") not in self.starts)

    async def operate(self, entry: Entry, clerk: str, kind: OperationKind, key: str, value: str | None) -> str:
        """Has a clerk do something. After a second without an answer it goes on by itself."""
        ck = await self.free_clerk(clerk)
        does: dict[str, Callable[[], Coroutine[Any, Any, str | None]]] = {
            "get": lambda: ck.get(key),
            "put": lambda: ck.put(key, value or ""),
            "append": lambda: ck.append(key, value or ""),
        }
        history = self.cluster.history.operations
        place = len(history)
        task = self.cluster.spawn(does[kind]())
        await asyncio.sleep(0)  # so that it has begun
        entry.operation = operation = next(each for each in history[place:] if each.client == clerk)
        self.pending[clerk] = operation
        task.add_done_callback(lambda _: self.pending.pop(clerk, None))
        await asyncio.wait([task], timeout=PATIENCE * self.cluster.patience)
        if task.done():
            task.result()
            entry.awaited = True
            return _answer(operation)
        task.add_done_callback(lambda _: self._late(task, operation))
        return f"no answer yet: {clerk} goes on trying, and you can go on, too (another clerk: by {self.new_clerk()})"

    def _late(self, task: "asyncio.Task[str | None]", operation: Operation) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self.say(f"{operation.client}: {_asked(operation)}: {_answer(operation)}")
        elif isinstance(error, Trouble):
            self.say(f"{operation.client}: {_asked(operation)} will never be answered: {error}")
        else:
            raise error

    async def ask_masters(self, request: Request[Any]) -> Any:
        """Has the masters' clerk do something. Raises `CallFailed`."""
        if not self.shape.has_masters:
            raise BadCommand(f"{self.shape.suite.name} has no masters")
        return await self.cluster.call(MASTER_CLERK, request, MASTERS_WITHIN * self.cluster.patience)

    async def newest_config(self) -> Config:
        """Asks the masters."""
        self.config = await self.ask_masters(Query(-1))
        return self.config


def _asked(operation: Operation) -> str:
    return f"{operation.op} {operation.key}" + (f" {shown(operation.value)}" if operation.value is not None else "")


def _answer(operation: Operation) -> str:
    assert operation.return_ is not None
    seconds = operation.return_ - operation.call
    took = f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
    return f"{shown(operation.result)}  ({took})" if operation.op == "get" else f"done  ({took})"
