"""What the operating system offers for keeping hold of processes: who dies with whom, and who inherits orphans."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import psutil

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36

_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def _set(option: int, value: int) -> None:
    if _prctl is not None and _prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) failed")


def become_subreaper() -> None:
    """From now on this process inherits its descendants' orphans, instead of init. Without effect outside Linux."""
    _set(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """The kernel kills this process when `parent` dies. Ends it at once if it has died already."""
    _set(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Takes `die_with_parent` back."""
    _set(PR_SET_PDEATHSIG, 0)


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`, zombies included. Empty if there is no such process."""
    found: list[int] = []
    try:
        # The kernel keeps this list: a fraction of a millisecond, where a walk over all processes takes many.
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    except OSError:  # another system, a kernel built without the list, or a thread that just ended
        return [process.pid for process in psutil.process_iter() if _parent(process) == pid]
    return found


def tree(pid: int, enough: int = sys.maxsize) -> list[int]:
    """A process and all its descendants, or some of them as soon as these are more than `enough`."""
    found = [pid]
    for each in found:
        found += children(each)
        if len(found) > enough:
            break
    return found


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def raise_file_limit() -> None:
    """Lets this process open as many files as the system permits. A tap takes three."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def redirect(log: Path) -> None:
    """What this process prints is appended to `log` from now on, and it has no input."""
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(null)
    os.close(out)
    # What was printed must be in the log when SIGKILL comes.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def kill(pid: int) -> None:
    """SIGKILL, to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
