"""What servers use at this moment, and whether that is too much.

The kernel limits each process; all of them together are watched from outside, since control groups, which could do
that as well, are rarely ours to make.
"""

import contextlib
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from labs.sandbox.limits import Limits, show_size

BLOCK: Final = 512
"""Bytes in which the system counts the size of files."""
LEAST_FILE: Final = 4096
"""Bytes that a file counts for at least, however empty it is."""
MEMORY: Final = ("RssAnon", "RssShmem", "VmSwap")
"""The kinds of memory that belong to somebody. The rest is files that are read."""
LAST: Final = 19
"""The priority of whoever is to make way for all others."""
GREED: Final = 0.8
"""Share of all processors that no solution of the labs needs for long."""
GREEDY_FOR: Final = 3.0
"""Seconds of that, after which the servers have to let others go first."""
TICKS: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Usage(NamedTuple):
    """What one server uses, with all that it has started."""

    memory: int = 0
    processes: int = 0
    disk: int = 0
    output: int = 0


def excess(used: dict[str, Usage], limits: Limits) -> tuple[str, str] | None:
    """Which server has to be stopped, and why, in words. None if all is well.

    The limits are about all servers together, except for the output. Of several, it is the greediest that has to go.
    """
    for what in ("memory", "processes", "disk"):
        total, most = sum(getattr(each, what) for each in used.values()), getattr(limits, what)
        if total > most:
            name = max(used, key=lambda name: getattr(used[name], what))
            return name, _words(what, getattr(used[name], what), total, most)
    for name, each in used.items():
        if each.output > limits.output:
            return name, f"it wrote {show_size(each.output)} of output, and {show_size(limits.output)} are allowed"
    return None


def _words(what: str, own: int, total: int, most: int) -> str:
    if what == "processes":
        return f"it had {own} processes and threads, all servers together {total}, and {most} are allowed"
    held = {"memory": "held", "disk": "had files of"}[what]
    of_memory = " of memory" if what == "memory" else ""
    return (
        f"it {held} {show_size(own)}{of_memory}, all servers together {show_size(total)}, and {show_size(most)} are "
        f"allowed"
    )


def of_processes(processes: Iterable[int], folder: Path, limits: Limits) -> Usage:
    """What a server uses: its processes, and what is in its folder. Stops to count where it is too much anyway."""
    memory = tasks = 0
    disk = size_of(folder, limits.disk)
    nameless: set[tuple[int, int]] = set()
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended, or does not let us look into it
            status = _status(process)
            memory += 1024 * sum(status.get(kind, 0) for kind in MEMORY)
            tasks += status.get("Threads", 0)
            disk += _nameless_files(process, nameless)
    return Usage(memory, tasks, disk)


def _status(process: int) -> dict[str, int]:
    """What the system says of a process, as far as it matters here. Memory is in KiB."""
    pairs = (line.partition(":") for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return {name: int(text.split()[0]) for name, _, text in pairs if name in (*MEMORY, "Threads")}


def _nameless_files(process: int, known: set[tuple[int, int]]) -> int:
    """Bytes of the files that a process has open, and that nobody sees: deleted ones, and those in memory."""
    found = 0
    for descriptor in os.listdir(f"/proc/{process}/fd"):
        with contextlib.suppress(OSError):
            file = os.stat(f"/proc/{process}/fd/{descriptor}")
            if stat.S_ISREG(file.st_mode) and file.st_nlink == 0 and (file.st_dev, file.st_ino) not in known:
                known.add((file.st_dev, file.st_ino))
                found += file.st_blocks * BLOCK
    return found


def size_of(folder: Path, enough: int) -> int:
    """Bytes of all files below a folder, or of some of them as soon as they are more than `enough`.

    A folder that is nested so deeply that we cannot look into it counts for more than enough.
    """
    size, left = 0, [str(folder)]
    while left and size <= enough:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        size += max(LEAST_FILE, entry.stat(follow_symlinks=False).st_blocks * BLOCK)
                        if entry.is_dir(follow_symlinks=False):
                            left.append(entry.path)
                    if size > enough:
                        break
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except OSError:  # its path is too long
            return enough + 1
    return size


class Processors:
    """For how long servers kept processors busy."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """All of it until now, of processes that have ended as well, as far as they were seen."""
        self._seen: dict[int, int] = {}
        self._looked = self._modest = time.monotonic()

    def look(self, processes: Iterable[int]) -> bool:
        """Adds what these processes used since the last look. Says whether they have taken it all for too long."""
        now = {process: ticks for process in processes if (ticks := _ticks(process))}
        used = sum(max(0, ticks - self._seen.get(process, 0)) for process, ticks in now.items()) / TICKS
        clock = time.monotonic()
        if used < GREED * cores() * (clock - self._looked):
            self._modest = clock
        self._seen, self._looked, self.seconds = now, clock, self.seconds + used
        return clock - self._modest > GREEDY_FOR


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ticks(process: int) -> int:
    """What a process has used, with those of its children that have ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


def make_way(processes: Iterable[int]) -> None:
    """Lets everybody else on this machine go first, for as long as these processes live."""
    theirs = set(processes)
    for process in theirs:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{process}/task"):
                os.setpriority(os.PRIO_PROCESS, int(task), LAST)
            # Where the system shares processors fairly among sessions, a priority means nothing outside of one.
            if os.getsid(process) in theirs:
                Path(f"/proc/{process}/autogroup").write_text(str(LAST))
