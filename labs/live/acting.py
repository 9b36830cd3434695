"""Who goes on by itself: a clerk that appends without end, and a server of the view service that only pings.

Sessions of `lab up` have them, and so have the tests that sessions are saved as.
"""

import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from common.host import CallFailed
from common.protocol import PING_INTERVAL, GetShards, GetView, Ping, Query, View
from labs.cluster import Clerk, Cluster, NotInTime, ServerStopped
from labs.live.shapes import MASTER_CLERK

STREAM_EVERY: Final = 0.05
"""Seconds between the answer to an append and the next one."""
VIEW_WITHIN: Final = 10.0
"""Seconds that a view may take to come."""
SETTLE_WITHIN: Final = 20.0
"""Seconds that a configuration may take to be carried out."""
HELD_WITHIN: Final = 10.0
"""Seconds in which a request has to come that is to be held."""
NOBODY: Final = "nobody"
"""In commands, stands for no server where one could be named."""
LAST_ANSWER_WITHIN: Final = 20.0
"""Seconds in which the last append of a stream has to be answered after it was told to stop."""


class Actor:
    """Something that goes on until it is stopped."""

    def __init__(self, cluster: Cluster, life: Coroutine[Any, Any, None]) -> None:
        self.cluster = cluster
        self._task = cluster.spawn(life)

    @property
    def over(self) -> bool:
        """Whether it has ended, by whatever reason."""
        return self._task.done()

    def abandon(self) -> None:
        """Ends it at once."""
        self._task.cancel()


class Stream(Actor):
    """A clerk that appends its name and a number, 1, 2, 3 …, to a key, one after the other."""

    _numbers: ClassVar[WeakKeyDictionary[Clerk, int]] = WeakKeyDictionary()
    """How many appends of streams each clerk was asked for: no value comes twice."""

    def __init__(self, ck: Clerk, key: str, every: float = STREAM_EVERY) -> None:
        self.ck = ck
        self.key = key
        self.answered = 0
        self.longest = 0.0
        """Seconds that an answer took at most."""
        self._every = every
        self._stopped = False
        super().__init__(ck.cluster, self._append())

    async def _append(self) -> None:
        while not self._stopped:
            asked = self.cluster.now()
            self._numbers[self.ck] = number = self._numbers.get(self.ck, 0) + 1
            await self.ck.append(self.key, f"{self.ck.name}:{number} ")
            self.longest = max(self.longest, self.cluster.now() - asked)
            self.answered += 1
            await self.cluster.sleep(self._every)

    async def stop(self) -> int:
        """Asks for no more, and waits for the last answer. Gives how many appends were answered.

        Raises `NotInTime` if that answer does not come.
        """
        self._stopped = True
        within = LAST_ANSWER_WITHIN * self.cluster.patience
        if not await self.cluster.finishes(self._task, within):
            self._task.cancel()
            raise NotInTime(f"the last Append to {self.key!r} by {self.ck.name} was not answered in {within:g} s")
        return self.answered


class Player(Actor):
    """A server of the view service, played: it pings with the newest view that it was told of, and does no more."""

    def __init__(self, cluster: Cluster, name: str, viewserver: str = "vs") -> None:
        self.name = name
        self.view = View(0, "", "")
        """What it was told last."""
        self._viewserver = viewserver
        super().__init__(cluster, self._ping())

    async def _ping(self) -> None:
        while True:
            with contextlib.suppress(CallFailed, ServerStopped):  # the view service is dead: others see to that
                ping = Ping(self.name, self.view.viewnum)
                self.view = await self.cluster.call(self._viewserver, ping, timeout=PING_INTERVAL)
            await self.cluster.sleep(PING_INTERVAL)


async def held_request(cluster: Cluster, src: str, dst: str, number: int) -> None:
    """Waits until a request of this number is held on a link. Raises `NotInTime`."""
    await cluster.until(
        lambda: any(each.number == number for each in cluster.held(src, dst)),
        HELD_WITHIN,
        f"request {number} to be held from {src} to {dst}",
    )


async def until_view(cluster: Cluster, primary: str, backup: str, within: float = VIEW_WITHIN) -> None:
    """Waits for a view with this primary and this backup; an empty name is nobody. Raises `NotInTime`."""
    seen = "no view was seen"

    async def is_there() -> bool:
        nonlocal seen
        try:
            view = await cluster.peek("vs", GetView(), timeout=1.0)
        except CallFailed:
            return False
        seen = f"the view is {view}"
        return (view.primary, view.backup) == (primary, backup)

    what = f"a view with primary {primary or 'nobody'} and backup {backup or 'nobody'}"
    await cluster.until(is_there, within, lambda: f"{what} ({seen})")


async def until_settled(cluster: Cluster, groups: Mapping[int, list[str]], within: float = SETTLE_WITHIN) -> None:
    """Lab 3: waits until the newest configuration is carried out: each shard is at its owner, and nowhere else.

    Servers that do not run, or do not answer, are left out. Raises `NotInTime`.
    """
    config = await cluster.call(MASTER_CLERK, Query(-1), timeout=within)

    async def is_settled(gid: int, name: str) -> bool:
        try:
            said = await cluster.peek(name, GetShards(), timeout=1.0 * cluster.patience)
        except CallFailed:
            return True
        follows = said.num == config.num or gid not in config.groups
        return follows and all(
            has.state == ("serving" if config.shards[has.shard] == gid else "gone") for has in said.shards
        )

    async def are_settled() -> bool:
        servers = [(gid, name) for gid, names in groups.items() for name in names if cluster.running(name)]
        return all(await cluster.gather(*(is_settled(*server) for server in servers)))

    await cluster.until(are_settled, within, f"configuration {config.num} to be carried out", every=0.1)
