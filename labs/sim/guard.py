"""What simulated code must not do, since it would make a run depend on more than its seed; and what to do instead.

Real time, real sleep, threads, processes, sockets, and randomness without a seed. While a run is active each of these
ends it with `NotSimulated`, which names the line. Where Python announces such a thing (an audit event), that is used;
the rest is found by putting other functions in the place of Python's. Outside of a run all of them do as ever.

The functions have to be in place before a lab's code is imported (`from time import monotonic` takes what is there).
"""

import _thread
import asyncio
import datetime
import os
import random
import signal
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOBase
from typing import Any, Final

from labs.sim import uniform
from labs.sim.errors import (
    USE_CALL,
    USE_CLUSTER,
    USE_NAME,
    USE_NOW,
    USE_RANDOM,
    USE_SLEEP,
    USE_SPAWN,
    ForgottenAwait,
    Runaway,
    own_frame,
    place,
)
from labs.sim.loop import OWNER, SimLoop

SECONDS_IN_ONE_STEP = 5.0
"""Seconds of the processor's time that code may go on without waiting."""


class _Active:
    """The run that is going on in this thread."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.thread = threading.get_ident()


_active: _Active | None = None
_installed = 0


def _in_run() -> bool:
    return _active is not None and _active.thread == threading.get_ident()


def _who() -> str:
    owner = OWNER.get()
    return "the test" if owner is None else str(owner.name)


def forbid(what: str, instead: str) -> None:
    """Ends the run, if one is going on, since somebody did what no run can repeat."""
    if _active is not None and _in_run():
        _active.loop.forbid(what, instead)


# --- audit events ----------------------------------------------------------------------------------------------------

_EVENTS: Final = {
    "subprocess.Popen": USE_CLUSTER,
    "os.fork": USE_CLUSTER,
    "os.forkpty": USE_CLUSTER,
    "os.posix_spawn": USE_CLUSTER,
    "os.exec": USE_CLUSTER,
    "os.system": USE_CLUSTER,
    "os.kill": USE_CLUSTER,
}


def _audit(event: str, _arguments: tuple[Any, ...]) -> None:
    if _active is not None:
        instead = _EVENTS.get(event)
        if instead is not None:
            forbid(event, instead)
        elif event.startswith("socket."):
            forbid(event, USE_CALL)


_audit_hook_added = False


# --- functions in the place of Python's ------------------------------------------------------------------------------


def _clock(original: Callable[..., Any], name: str, scale: int) -> Callable[..., Any]:
    """A clock of Python's. What logging or asyncio ask it gets virtual time."""

    def clock(*arguments: Any) -> Any:
        if _active is not None and _in_run():
            module = sys._getframe(1).f_globals.get("__name__", "")
            if not module.startswith(("logging", "asyncio.")):
                forbid(f"time.{name}()", USE_NOW)
            return int(_active.loop.now * scale) if scale > 1 else _active.loop.now
        return original(*arguments)

    return clock


def _forbidden(original: Callable[..., Any], what: str, instead: str) -> Callable[..., Any]:
    def function(*arguments: Any, **options: Any) -> Any:
        if _active is not None and not sys._getframe(1).f_globals.get("__name__", "").startswith("logging"):
            forbid(what, instead)
        return original(*arguments, **options)

    return function


class _DatetimeType(type):
    """Makes the guarded `datetime` and Python's the same type to `isinstance`."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _datetime)


_datetime = datetime.datetime


class _GuardedDatetime(datetime.datetime, metaclass=_DatetimeType):
    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        return _datetime(*arguments, **options)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        forbid("datetime.now()", USE_NOW)
        return _datetime.now(tz)

    @classmethod
    def utcnow(cls) -> Any:
        forbid("datetime.utcnow()", USE_NOW)
        return _datetime.utcnow()


_GuardedDatetime.__name__ = _GuardedDatetime.__qualname__ = "datetime"


def _seed(original: Callable[..., None]) -> Callable[..., None]:
    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        if a is None and _active is not None:
            forbid("random.Random() without a seed", USE_RANDOM)
        original(self, a, version)

    return seed


def _replacements() -> Iterator[tuple[Any, str, Any]]:
    """Where, which name, and what takes its place."""
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        yield time, name, _clock(getattr(time, name), name, 1)
        yield time, name + "_ns", _clock(getattr(time, name + "_ns"), name + "_ns", 1_000_000_000)
    yield time, "sleep", _forbidden(time.sleep, "time.sleep()", USE_SLEEP)
    yield threading.Thread, "start", _forbidden(threading.Thread.start, "a thread", USE_SPAWN)
    yield _thread, "start_new_thread", _forbidden(_thread.start_new_thread, "a thread", USE_SPAWN)
    yield datetime, "datetime", _GuardedDatetime
    for name in random.__all__:
        function = getattr(random, name)
        if getattr(function, "__self__", None) is random._inst:
            yield random, name, _forbidden(function, f"random.{name}()", USE_RANDOM)
    yield random.Random, "seed", _seed(random.Random.seed)
    yield os, "urandom", _forbidden(os.urandom, "the system's randomness", USE_RANDOM)
    yield random, "_urandom", _forbidden(os.urandom, "the system's randomness", USE_RANDOM)
    if hasattr(os, "getrandom"):
        yield os, "getrandom", _forbidden(os.getrandom, "the system's randomness", USE_RANDOM)
    yield os, "getpid", _forbidden(os.getpid, "os.getpid()", USE_NAME)
    for module in (asyncio, asyncio.tasks):
        yield module, "wait_for", uniform.wait_for
        yield module, "as_completed", uniform.as_completed
    yield asyncio.Condition, "wait", uniform.wait
    yield warnings, "_warn_unawaited_coroutine", _unawaited(warnings._warn_unawaited_coroutine)  # type: ignore[attr-defined]


def _unawaited(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Python calls this when a coroutine that never ran is thrown away."""

    def unawaited(coroutine: Any) -> None:
        if _active is None:
            original(coroutine)
            return
        origin = getattr(coroutine, "cr_origin", None)
        where = ""
        for file, line, function in origin or ():
            where = f" It was made at {place(file, line, function)}"
        _active.loop.halt(
            ForgottenAwait(
                f"{_who()} never awaited the coroutine {coroutine.__qualname__}: is an await missing?{where}"
            )
        )

    return unawaited


@contextmanager
def installed() -> Iterator[None]:
    """Puts the guarded functions in the place of Python's, for as long as this lasts."""
    global _installed, _audit_hook_added
    if not _audit_hook_added:
        sys.addaudithook(_audit)
        _audit_hook_added = True
    _installed += 1
    undo: list[tuple[Any, str, Any]] = []
    if _installed == 1:
        for owner, name, function in list(_replacements()):
            undo.append((owner, name, getattr(owner, name)))
            setattr(owner, name, function)
    try:
        yield
    finally:
        _installed -= 1
        for owner, name, function in undo:
            setattr(owner, name, function)


class _Output(TextIOBase):
    """Standard output and error of a run: what a process prints goes to that process's log."""

    def __init__(self, test_output: Callable[[str], object]) -> None:
        self._test_output = test_output

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        owner = OWNER.get()
        if owner is None:
            self._test_output(text)
        else:
            owner.write(text)
        return len(text)


@contextmanager
def active(loop: SimLoop, test_output: Callable[[str], object], note_origins: bool = False) -> Iterator[None]:
    """A run on this loop: what is forbidden ends it, prints go to logs, endless loops are found.

    `note_origins`: a forgotten await is told with the line where the coroutine was made. To note it for each coroutine
    makes a run longer by an eighth.
    """
    global _active
    assert _active is None, "one run at a time"
    old_output, old_errors = sys.stdout, sys.stderr
    old_depth = sys.get_coroutine_origin_tracking_depth()
    with installed():
        sys.stdout = sys.stderr = _Output(test_output)
        sys.set_coroutine_origin_tracking_depth(1 if note_origins else 0)
        _active = _Active(loop)
        try:
            with _alarm(loop):
                yield
        finally:
            _active = None
            sys.set_coroutine_origin_tracking_depth(old_depth)
            sys.stdout, sys.stderr = old_output, old_errors


@contextmanager
def _alarm(loop: SimLoop) -> Iterator[None]:
    """Interrupts code that goes on and on without waiting. Only the processor's time counts: machines may be busy."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    steps = -1

    def ring(_signal: int, frame: types.FrameType | None) -> None:
        nonlocal steps
        if loop.steps != steps:
            steps = loop.steps
            return
        frame = own_frame(frame)
        where = "" if frame is None else " at " + place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        error = Runaway(f"{_who()} ran for {SECONDS_IN_ONE_STEP:g} s without waiting{where}")
        loop.halt(error)
        raise error

    old = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_IN_ONE_STEP, SECONDS_IN_ONE_STEP)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)
