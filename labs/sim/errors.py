"""Why a simulated run cannot go on, and the words for where somebody is in the code."""

import linecache
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from types import FrameType
from typing import Final


class SimulationError(BaseException):
    """The run cannot go on. No `except Exception` of a server may keep that from being known."""


class Deadlock(SimulationError):
    """Everybody waits for somebody, and nothing will ever happen again."""


class TimeLimit(SimulationError):
    """The run took more virtual time than it may."""


class Runaway(SimulationError):
    """Somebody runs in circles without ever waiting."""


class NotSimulated(SimulationError):
    """The code did something that no run can repeat from its seed."""


class ForgottenAwait(SimulationError):
    """A coroutine was made and nobody ran it."""


# What to do instead of what no run can repeat.
USE_NOW: Final = "use host.now() (in a test: cluster.now())"
USE_SLEEP: Final = "use await host.sleep(seconds) (in a test: cluster.sleep)"
USE_RANDOM: Final = "use host.random (in a test: cluster.random)"
USE_SPAWN: Final = "use host.spawn(coroutine) (in a test: cluster.spawn)"
USE_CALL: Final = "use host.serve and host.call"
USE_NAME: Final = "use host.name"
USE_CLUSTER: Final = "processes are started, paused and killed by the test's cluster"

_ROOT: Final = str(Path(__file__).parents[2]) + os.sep
_OWN: Final = tuple(
    _ROOT + start
    for start in ("lab1_", "lab2_", "lab3_", *(os.path.join("labs", each, "") for each in ("graded", "tutorial")))
)
"""Tests and servers that are installed beside the harness."""
_FOREIGN: Final = (
    os.path.dirname(os.__file__) + os.sep,
    sysconfig.get_path("purelib") + os.sep,
    os.path.join(_ROOT, "labs", ""),
    os.path.join(_ROOT, "common", ""),
    "<",
)


def is_own_code(file: str) -> bool:
    """Whether a file is a test's or a server's, and not Python's or the harness's."""
    return file.startswith(_OWN) or not file.startswith(_FOREIGN)


def own_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of a test or a server, from this one outward."""
    while frame is not None and not is_own_code(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def caller() -> str:
    """Where, in a test or a server, the running code was called from."""
    frame = own_frame(sys._getframe(1))
    return "unknown code" if frame is None else place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def place(file: str, line: int, function: str) -> str:
    """A line of code, for people: file, line, function, and the text of the line."""
    return f"{file}:{line} in {function}: {linecache.getline(file, line).strip()}"


def own_traceback(error: BaseException) -> str:
    """The traceback of an error and of those that led to it, without the lines that belong to Python or the harness."""
    report = traceback.TracebackException.from_exception(error)
    _keep_own(report)
    return "".join(report.format())


def _keep_own(report: traceback.TracebackException) -> None:
    own = [frame for frame in report.stack if is_own_code(frame.filename)]
    if own:
        report.stack = traceback.StackSummary.from_list(own)
    for cause in (report.__cause__, report.__context__, *(report.exceptions or ())):
        if cause is not None:
            _keep_own(cause)
