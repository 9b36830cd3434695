"""What a server is doing at this moment: for people who wonder what it waits for.

SIGUSR1 makes a server put its snapshot beside its socket file, as `net/<name>/.snapshot`. A server whose loop does not
turn cannot do that; SIGUSR2 makes it write where it is into its log, whatever it is busy with.
"""

import asyncio
import faulthandler
import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import msgspec

FILE: Final = ".snapshot"
"""Beside the server's own socket file. No server has such a name."""


class Place(NamedTuple):
    """A line of code."""

    file: str
    line: int
    function: str


class Waiting(msgspec.Struct):
    """A call that has no answer yet."""

    to: str
    request: str
    seconds: float
    """Since it was made."""


class Task(msgspec.Struct):
    """A task that is not over."""

    name: str
    places: list[Place]
    """Where it waits: a line in each coroutine, the innermost last."""


class Snapshot(msgspec.Struct):
    """One server at one moment."""

    state: str = "running"
    calls: list[Waiting] = []
    tasks: list[Task] = []
    requests: int | None = None
    """Sent since it was started. None: nobody has counted."""


def await_chain(coroutine: Any) -> list[Place]:
    """Where a coroutine waits: a line in each coroutine that waits for the next one, the innermost last."""
    places = []
    while coroutine is not None:
        for kind in ("cr", "gi", "ag"):  # coroutine, generator, asynchronous generator
            frame: FrameType | None = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                places.append(Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        coroutine = (
            getattr(coroutine, "cr_await", None)
            or getattr(coroutine, "gi_yieldfrom", None)
            or getattr(coroutine, "ag_await", None)
        )
    return places


def places_of(tasks: Iterable["asyncio.Task[Any]"]) -> list[Task]:
    """These tasks, and where each of them waits."""
    return [Task(task.get_name(), await_chain(task.get_coro())) for task in tasks]


_FRAME: Final = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_LAST: Final = re.compile(r'^  (?:File ".+", line \d+ in _run_module_as_main|\.\.\.)\n', re.MULTILINE)
"""Where `python -m` begins, which is the outermost line of a server; or that there are too many lines to be told."""


def read_trace(text: str) -> list[Place]:
    """The places in what SIGUSR2 has written, the innermost last."""
    return [Place(file, int(line), function) for file, line, function in reversed(_FRAME.findall(text))]


def is_whole(text: str) -> bool:
    """Whether SIGUSR2 has written all that it writes, which it does piece by piece."""
    return _LAST.search(text) is not None


def answer_signals(folder: Path, look: Callable[[], Snapshot]) -> None:
    """From now on this process does what is said above. `folder` is where its socket file is."""
    loop = asyncio.get_running_loop()

    def write() -> None:
        snapshot = look()
        snapshot.tasks = places_of(asyncio.all_tasks(loop))
        draft = folder / f"{FILE}.draft"
        draft.write_bytes(msgspec.json.encode(snapshot))
        draft.rename(folder / FILE)

    loop.add_signal_handler(signal.SIGUSR1, write)
    faulthandler.register(signal.SIGUSR2, sys.stderr)
