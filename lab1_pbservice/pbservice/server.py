"""One server of the primary/backup service.

Operations queue up, and one task, the primary's hand, takes them in batches: forwards a batch to the backup, executes
it, answers its clerks. Whatever comes meanwhile is the next batch. So the backup sees one order, one call at a time,
and each call carries all that was waiting.

What may go wrong with a forwarded batch, and what is done: no reply came (it may have been executed: the same batch
under the same number is sent again, for as long as the view stands); the backup does not have what we build on (it
restarted: it gets everything, then the same batch); the backup is in another view (we ask the view service, and wait
until it tells us the same). When the view has changed, the batch goes back into the queue and meets the new view.
"""

import asyncio
from collections.abc import Coroutine
from itertools import accumulate
from typing import Any, Final

from common.host import CallFailed, Host, every
from common.protocol import DEAD_PINGS, PING_INTERVAL, Done, Ping, Value, View
from lab1_pbservice.pbservice.core import Replica
from lab1_pbservice.pbservice.messages import (
    Accepted,
    Forward,
    NotBackup,
    NotPrimary,
    NotSynced,
    Read,
    TooLong,
    Transfer,
    Write,
)

PING_TIMEOUT: Final = 2 * PING_INTERVAL
PEER_TIMEOUT: Final = 1.0
"""Seconds that the primary waits for its backup before it asks the same again."""
RETRY_PAUSE: Final = 0.02
"""Seconds between two tries to reach the backup."""
MAX_BATCH: Final = 4_000_000
"""Characters of values in one batch, unless a single write is longer."""

Outcome = Value | Done | TooLong | NotPrimary
Forwarded = Accepted | NotSynced | NotBackup


class PBServer:
    """Primary, backup or idle, as the view service says."""

    def __init__(self, host: Host, viewserver: str) -> None:
        self.host = host
        self.viewserver = viewserver
        self.replica = Replica(host.name)
        self._queue: list[tuple[Read | Write, asyncio.Future[Outcome]]] = []
        self._work = asyncio.Event()
        self._pinging = asyncio.Lock()

    async def run(self) -> None:
        """Serves for ever."""
        await self.host.serve(
            {Read: self.operation, Write: self.operation, Forward: self.forwarded, Transfer: self.transferred}
        )
        self.host.spawn(self.lead(), name="lead")
        await every(self.host, PING_INTERVAL, self.ping)

    # --- the view service --------------------------------------------------------------------------------------------

    async def ping(self) -> None:
        """Tells the view service how far we are, until what it replies changes nothing any more."""
        async with self._pinging:  # one at a time, so that an old one never comes after a newer one
            told = -1
            while told != self.replica.ping_viewnum:
                told = self.replica.ping_viewnum
                try:
                    view = await self.host.call(self.viewserver, Ping(self.host.name, told), timeout=PING_TIMEOUT)
                except CallFailed:
                    return
                if self.replica.learn(view):
                    self.host.log(f"view {view.viewnum}: primary {view.primary}, backup {view.backup or 'none'}")
                    self._work.set()

    # --- clerks ------------------------------------------------------------------------------------------------------

    def operation(self, request: Read | Write) -> "NotPrimary | asyncio.Future[Outcome]":
        """A clerk wants something. The answer comes when the primary's hand gets to it."""
        if not self.replica.is_primary:
            return NotPrimary()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append((request, outcome))
        self._work.set()
        return outcome

    # --- the backup's side -------------------------------------------------------------------------------------------

    def forwarded(self, request: Forward) -> "Forwarded | Coroutine[Any, Any, Forwarded]":
        """The primary's next batch. The answer comes at once, unless there is something to find out before."""
        if request.viewnum > self.replica.view.viewnum:
            return self.forwarded_in_newer_view(request)
        return self.replica.forwarded(request)

    async def forwarded_in_newer_view(self, request: Forward) -> Forwarded:
        """The primary has heard of a view before us. Whether it stands we ask ourselves."""
        await self.ping()
        return self.replica.forwarded(request)

    async def transferred(self, request: Transfer) -> Accepted | NotBackup:
        """The primary's data."""
        if request.viewnum > self.replica.view.viewnum:
            await self.ping()
        was_valid = self.replica.is_valid
        reply = self.replica.transferred(request)
        if self.replica.is_valid and not was_valid:
            self.host.log(f"has all the data of view {request.viewnum}")
            self.host.spawn(self.ping())
        return reply

    # --- the primary's side ------------------------------------------------------------------------------------------

    async def lead(self) -> None:
        """The primary's hand: whatever a primary does, it does here, one thing after the other."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self.replica.is_primary and not (self.replica.backup_is_synced and not self._queue):
                if not self.replica.backup_is_synced:
                    await self.synchronise()
                else:
                    await self.do_batch()
            if not self.replica.is_primary:
                self.refuse_all()

    async def synchronise(self) -> None:
        """Sends the backup all there is, and tells the view service when it has arrived."""
        view = self.replica.view
        started = self.host.now()
        parts = self.replica.transfer()
        while parts and self.replica.view == view:
            try:
                reply = await self.host.call(view.backup, parts[0], timeout=PEER_TIMEOUT)
            except CallFailed:
                if self.host.now() - started > DEAD_PINGS * PING_INTERVAL and self.replica.view == view:
                    # It may be gone, and the view service may only replace it once this view is acknowledged. It
                    # will not be promoted: its own Pings say that it has no data.
                    self.replica.backup_seems_dead = True
                await self.host.sleep(RETRY_PAUSE)
                continue
            if isinstance(reply, Accepted):
                parts.pop(0)
            else:
                await self.disagree(view)
        if self.replica.view == view:
            self.replica.backup_is_synced = True
            await self.ping()

    async def do_batch(self) -> None:
        """Takes what waits, has the backup do it, does it, answers."""
        view = self.replica.view
        taken = self._take()
        batch = [request for request, _ in taken]
        if view.backup and not await self.forward(batch):
            self._queue[:0] = taken
            return
        for (_, outcome), reply in zip(taken, self.replica.execute(batch), strict=True):
            if not outcome.done():
                outcome.set_result(reply)

    def _take(self) -> list[tuple[Read | Write, asyncio.Future[Outcome]]]:
        sizes = accumulate(len(request.value) if isinstance(request, Write) else 0 for request, _ in self._queue)
        count = sum(size <= MAX_BATCH for size in sizes) or 1
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def forward(self, batch: list[Read | Write]) -> bool:
        """Has the backup execute a batch. Gives False when the view has changed and the batch must meet the new one."""
        view = self.replica.view
        request = self.replica.forward(batch)
        while self.replica.view == view:
            try:
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                await self.host.sleep(RETRY_PAUSE)
                continue
            if isinstance(reply, Accepted):
                return self.replica.view == view  # it may have changed while we waited
            if not isinstance(reply, NotSynced):
                await self.disagree(view)
            elif self.replica.view == view:  # otherwise what we have is not that view's, or not ours to give
                await self.synchronise()
        return False

    async def disagree(self, view: View) -> None:
        """The backup is not in our view. The view service tells one of us something new sooner or later."""
        await self.ping()
        if self.replica.view == view:
            await self.host.sleep(RETRY_PAUSE)

    def refuse_all(self) -> None:
        """Sends the waiting clerks away: they find the primary through the view service."""
        queue, self._queue = self._queue, []
        for _, outcome in queue:
            if not outcome.done():
                outcome.set_result(NotPrimary())
