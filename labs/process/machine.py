"""Whether the machine gave a test the time that it needed, so that a busy machine is not taken for a wrong solution.

What counts is how late a process runs that wants to run, and the harness's own loop is such a process. Measured on
two cores, its longest wait was 36 ms with four busy loops beside a test, 60 ms with 16, 190 ms with 32 and 520 ms with
64; 72 ms at half a core shared with one busy loop, 83 ms at a fifth of a core; and 600 ms where everything stood still
for so long in each second. Correct solutions passed in all of these, except for one test at 600 ms that could not tell.
Silence of half a second means death in these labs. So the limit is above what is usual (wrong solutions have to fail
there: planted mistakes did, with waits of up to 67 ms, while ten other processes wanted the two cores), and well below
what does harm.

Linux also tells how much of the processor's time the hypervisor gave to somebody else ("steal"), and for how long any
task waited for a core ("pressure"). The latter is shown and not judged by: two busy loops on two cores bring it to
100 %, and do no harm.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Self

from labs.sandbox.usage import cores

TICK: Final = 0.02
"""Seconds between two looks at the clock."""
WINDOW: Final = 1.0
"""Seconds over which shares are taken."""
MOST_LAG: Final = 0.15
"""Seconds by which the loop may be late, its own work not counted."""
MOST_STEAL: Final = 0.2
"""Share of the processors' time that somebody else may have had in any one second."""
MOST_OWN: Final = 0.7
"""Share that the test's own servers may have had in a second, if the machine is to be called busy with other things."""


class Counters(NamedTuple):
    """What the system has counted until now, in seconds. Where it does not count, 0."""

    clock: float
    stolen: float
    pressed: float
    own: float = 0.0


class Watch:
    """Watches the machine for as long as it is entered."""

    def __init__(self) -> None:
        self.lag = self.steal = self.pressure = self.own = 0.0
        """The worst that was seen: seconds by which the loop was late, and three shares of a second."""
        self.used: Callable[[], float] = lambda: 0.0
        """How many seconds of the processors' time the test's own servers have used until now, where that is known."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _watch(self) -> None:
        before = read_counters()._replace(own=self.used())
        try:
            while True:
                clock, worked = time.monotonic(), time.thread_time()
                await asyncio.sleep(TICK)
                self._ticked(time.monotonic() - clock, time.thread_time() - worked)
                if time.monotonic() - before.clock >= WINDOW:
                    before = self._counted(before, read_counters()._replace(own=self.used()))
        finally:
            if time.monotonic() - before.clock >= WINDOW / 2:
                self._counted(before, read_counters()._replace(own=self.used()))

    def _ticked(self, took: float, worked: float) -> None:
        """A tick is over. While the loop itself worked, nobody kept it waiting."""
        self.lag = max(self.lag, took - max(TICK, worked))

    def _counted(self, before: Counters, now: Counters) -> Counters:
        seconds = now.clock - before.clock
        self.steal = max(self.steal, (now.stolen - before.stolen) / seconds / (os.cpu_count() or 1))
        self.own = max(self.own, (now.own - before.own) / seconds / cores())
        self.pressure = max(self.pressure, min(1.0, (now.pressed - before.pressed) / seconds))
        return now

    def complaint(self) -> str:
        """Why a failure under this watch says nothing about the servers, in words. Empty if it does."""
        said = []
        if self.lag > MOST_LAG and self.own <= MOST_OWN:
            said.append(f"the harness itself had to wait {self.lag:.2f} s for its turn (up to {MOST_LAG:g} s is usual)")
        if self.steal > MOST_STEAL:
            said.append(f"for a second, {self.steal:.0%} of the processors' time went to other virtual machines")
        if said and self.pressure:
            said.append(f"tasks waited for a core {self.pressure:.0%} of the time")
        return "; ".join(said)

    def blame(self) -> str:
        """That the machine was busy with the test's own servers, if it was. Empty otherwise."""
        if self.lag <= MOST_LAG or self.own <= MOST_OWN:
            return ""
        return (
            f"The machine was busy, but with these servers themselves: for a second they used {self.own:.0%} of its "
            f"processors."
        )


def read_counters() -> Counters:
    """What the system counts. It does so on Linux only, and pressure only where its kernel was built for it."""
    stolen = pressed = 0.0
    with contextlib.suppress(OSError, IndexError, ValueError):
        stolen = int(Path("/proc/stat").read_text().partition("\n")[0].split()[8]) / os.sysconf("SC_CLK_TCK")
    with contextlib.suppress(OSError, ValueError):
        some = Path("/proc/pressure/cpu").read_text().partition("\n")[0]
        pressed = int(some.rpartition("total=")[2]) / 1_000_000
    return Counters(time.monotonic(), stolen, pressed)
