"""The folders of runs: how they are named, which of them stay, and how the tests of one run take turns."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Final, NamedTuple

from labs.places import runs_folder, short
from labs.usage import BadUsage

KEPT: Final = 20
"""Runs whose folders stay, the newest ones."""
MARKER: Final = ".made-by-lab"
"""In a run's folder that nobody chose: it may be pruned. Locked for as long as the run lasts."""

_locked: list[IO[bytes]] = []
"""Markers of this process's runs. The system unlocks them when the process ends, however it ends."""


class Run(NamedTuple):
    """One run: its name, which all its processes carry, and its folder."""

    id: str
    folder: Path
    prunable: bool = False
    """Whether nobody chose the folder, so that it goes when enough newer ones are there."""

    @classmethod
    def begin(cls, out: str | None) -> "Run":
        """A new run. Its folder is made by the first test that needs it."""
        name = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        return cls(name, Path(out).absolute()) if out else cls(name, runs_folder() / name, prunable=True)

    def make_folder(self) -> None:
        """Makes the folder. Where `runs` keeps it, `runs/latest` leads to it from now on, and old runs go."""
        try:
            self.folder.mkdir(parents=True)
        except FileExistsError:
            return
        if self.prunable:
            marker = (self.folder / MARKER).open("wb")
            fcntl.flock(marker, fcntl.LOCK_SH)
            _locked.append(marker)
            draft = self.folder.parent / f".latest-{os.getpid()}"
            draft.symlink_to(self.folder.name)
            draft.replace(self.folder.parent / "latest")
            prune(self.folder.parent)


def find_run(name: str) -> Path:
    """The folder of a run, by its path or by its name in `runs`. Raises `BadUsage`."""
    for folder in (Path(name), runs_folder() / name):
        if folder.is_dir():
            return folder
    raise BadUsage(f"expected the folder of a run, or its name in {short(runs_folder())}, got {name}")


def prune(folder: Path) -> None:
    """Deletes the runs that are older than the newest ones, but none that goes on, and none whose folder was chosen."""
    markers = sorted((marker for marker in folder.glob(f"*/{MARKER}") if not marker.parent.is_symlink()), reverse=True)
    for marker in markers[KEPT:]:
        try:
            with marker.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(marker.parent, ignore_errors=True)
        except OSError:  # it goes on, or somebody else deletes it
            continue


class Turns:
    """The tests of a run, in all its processes: they go on side by side, unless one has to be alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def taken(self, alone: bool = False) -> Iterator[None]:
        """A test's turn. Waits until the others let it in; `alone` waits until they are over, and keeps them out."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".gate").open("wb") as gate, (self._folder / ".room").open("wb") as room:
            fcntl.flock(gate, fcntl.LOCK_EX)  # whoever waits to be alone waits here, and nobody gets past
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield
