"""What a run left behind. It should be nothing; that it is nothing is counted, not believed."""

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from labs.process import system


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What was found after a run's end."""

    processes: int
    sockets: int

    def sentence(self) -> str:
        """The line with which a run ends."""
        return f"left behind: {_count(self.processes, 'process', 'es')}, {_count(self.sockets, 'socket file', 's')}"


def _count(number: int, thing: str, plural: str) -> str:
    return f"{number} {thing}{'' if number == 1 else plural}"


def sweep(run: str, *folders: Path) -> Leftovers:
    """Counts the processes of a run, and the socket files in the `net` folders below `folders`; then removes both.

    Close the run's keepers first: they are processes of the run as well.
    """
    processes = list(belonging(run))
    nets = [net for folder in folders for net in folder.rglob("net")]
    sockets = [file for net in nets for file in net.rglob("*") if not file.is_dir()]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)
    for file in sockets:
        file.unlink(missing_ok=True)
    return Leftovers(len(processes), len(sockets))


def belonging(run: str) -> Iterator[psutil.Process]:
    """Every process of the system that some keeper of the run started, directly or not. Zombies do not count."""
    for pid in psutil.pids():  # not `process_iter`: it remembers who had this number before, who cannot be killed
        # No right to look into it, or nothing left to look into: none of ours.
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.environ().get("LAB_RUN") == run:
                yield process


def kill_orphans(run: str, servers: Collection[int], keepers: Collection[int]) -> None:
    """Kills and buries what this process inherited from a keeper that died, while other `keepers` live on.

    Those are the keeper's `servers`, who died with it (the dead cannot be asked for their environment), and whatever
    those had started.
    """

    def is_orphan(pid: int) -> bool:
        return pid in servers or (pid not in keepers and _belongs(pid, run))

    while orphans := [pid for pid in system.children(os.getpid()) if is_orphan(pid)]:
        for pid in orphans:
            system.kill(pid)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _belongs(pid: int, run: str) -> bool:
    try:
        return psutil.Process(pid).environ().get("LAB_RUN") == run
    except (psutil.Error, OSError):
        return False
