"""The keeper's part of the sandbox: what all servers of a submission have in common."""

import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from common import main as common_main
from labs.process import system
from labs.sandbox import confine, users
from labs.sandbox.confine import Place, Plan, Started
from labs.sandbox.files import read, remove_tree

PRELOADED: Final = (
    *("asyncio", "bisect", "collections", "contextlib", "copy", "dataclasses", "enum", "functools", "hashlib", "heapq"),
    *("itertools", "json", "logging", "operator", "random", "typing", "common.clerk", "common.protocol", "common.load"),
)
"""What most servers import. None of it comes from a submission."""
POLL: Final = 0.02
"""Seconds between two looks at the trial."""
GRACE: Final = 5.0
"""Seconds in which the trial may end by itself when its time is over."""
MOST_SAID: Final = 65_536
"""Bytes of what the trial said that are told."""


class Cell:
    """Where the servers of one submission live. Made before any folder of theirs is on the module path."""

    def __init__(self, encoded: str) -> None:
        plan = msgspec.json.decode(encoded, type=Plan)
        self._user = users.choose(os.getpid()) if "user" in plan.layers else None
        self._home = Path(tempfile.mkdtemp(prefix="lab-cell-"))
        self._home.chmod(0o755)
        self._cache = self.make_folder(self._home / "cache")
        """Where the trial leaves its compiled modules, which servers then read: they cannot write anywhere else."""
        self._plan = Plan(plan.layers, plan.limits, [*plan.readable, str(self._cache)], plan.packages)
        common_main.event_loop_maker()
        # A server finds the modules of these packages without looking through the folder in which they are.
        for name in (*PRELOADED, *plan.packages):
            importlib.import_module(name)
        sys.pycache_prefix = str(self._cache)

    def make_folder(self, folder: Path) -> Path:
        """A folder that servers may write to, if it is the one in which they live."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(folder, self._user, self._user, follow_symlinks=False)
        return folder

    def start(self, folder: Path, log: Path, body: Callable[[], NoReturn]) -> Started:
        """Starts a process that lives in this folder. Raises `confine.Unconfined`."""
        return confine.start(self._plan, Place(folder, log, self._user), body)

    def try_out(self, load: Callable[[], str | None], seconds: float) -> str | None:
        """Has a process that is confined like a server try to `load` its code. Returns what went wrong, or None."""
        log = self._home / "trial.log"

        def body() -> NoReturn:
            failure = load()
            if failure is not None:
                print(failure, file=sys.stderr)
            sys.stderr.flush()
            os._exit(0 if failure is None else 1)

        try:
            trial = self.start(self._cache, log, body)
        except confine.Unconfined as error:
            return str(error)
        if trial.listener is not None:
            os.close(trial.listener)
        status = _end_of(trial.pid, seconds + GRACE)
        if status == 0:
            return None
        said = read(log, MOST_SAID).decode(errors="replace").strip()
        return said or f"importing it ended the process: {_how(status)}"

    def remove(self) -> None:
        """Leaves nothing of it."""
        remove_tree(self._home)


def _end_of(pid: int, seconds: float) -> int:
    """The exit status of the trial. It is killed if it takes longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL)
    system.kill(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _how(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
