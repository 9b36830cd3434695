"""Grading on this machine: so many submissions side by side, the next as soon as one is over."""

import time
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from labs.grade.intake import Entry
from labs.grade.job import GRACE, Came, Job, Running
from labs.results import Attempt

LOOK_EVERY: Final = 0.1
"""Seconds between two looks at whether one is over."""
TELL_EVERY: Final = 0.5
"""Seconds between two looks at what a running one has told."""


class Desk(Protocol):
    """Where submissions come from and grades go to."""

    def begin(self, entry: Entry, job: Job, slot: int) -> Running:
        """Starts one."""

    def progress(self, entry: Entry, attempts: list[Attempt]) -> None:
        """So far it has come."""

    def finish(self, entry: Entry, came: Came, slot: int) -> bool:
        """It is over. Says whether it has to be done once more."""


def run(work: Iterable[tuple[Entry, Job]], at_once: int, desk: Desk) -> None:
    """Does all of it. If this ends with an exception, what was under way has been ended first."""
    waiting = deque(work)
    running: dict[int, tuple[Entry, Job, Running]] = {}
    told = time.monotonic()
    try:
        while waiting or running:
            for slot in range(at_once):
                if waiting and slot not in running:
                    entry, job = waiting.popleft()
                    running[slot] = (entry, job, desk.begin(entry, job, slot))
            tell = time.monotonic() - told >= TELL_EVERY
            told = time.monotonic() if tell else told
            for slot, (entry, job, one) in list(running.items()):
                came = one.poll()
                if came is not None:
                    del running[slot]
                    if desk.finish(entry, came, slot):
                        waiting.append((entry, job))
                elif tell:
                    desk.progress(entry, one.attempts)
            time.sleep(LOOK_EVERY)
    except BaseException:
        _end([one for _, _, one in running.values()])
        raise


def _end(running: list[Running]) -> None:
    """All of them, gently first."""
    for one in running:
        one.stop()
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and any(one.poll() is None for one in running):
        time.sleep(LOOK_EVERY)
    for one in running:
        one.kill()
