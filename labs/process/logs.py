"""Logs of servers, and how a server that cannot stop writing is kept from filling the disk."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

MOST_BYTES: Final = 4 * 1024 * 1024
"""A log longer than this loses its middle."""
KEPT_START: Final = 256 * 1024
KEPT_END: Final = 64 * 1024
"""Bytes that stay of such a log, before and after the note of what was left out."""


MOST_AT_ONCE: Final = 64 * 1024
"""Bytes of what is new in a log that are looked at for the trace. Of more than that, the last ones."""
HALF_A_DAY: Final = timedelta(hours=12)

_MARK: Final = re.compile(r"--- \d+\.\d{3} s: (start as|killed|paused|resumed)")
"""A line of the harness."""
_STAMPED: Final = re.compile(r"(\d\d:\d\d:\d\d\.\d{6}) (\S+) (.*)")
"""A line that `Host.log` has written."""


class Line(NamedTuple):
    """A line of a log. Its time is the one that it carries, or else when it was seen."""

    time: datetime
    text: str


class Follower:
    """Reads the lines of one server's log as they come."""

    def __init__(self, log: Path, name: str) -> None:
        self._log = log
        self._name = name
        self._place = 0
        self._rest = ""

    def lines(self) -> list[Line]:
        """The whole lines that have come since the last look, without those of the harness."""
        try:
            size = self._log.stat().st_size
        except FileNotFoundError:
            return []
        if size == self._place:
            return []
        start = max(self._place, size - MOST_AT_ONCE)
        with self._log.open("rb") as file:
            file.seek(start)
            new = file.read(size - start).decode(errors="replace")
        seen = datetime.now()
        if start > self._place:
            self._rest, new = f"… ({start - self._place} bytes)\n", new.partition("\n")[2]
        self._place = size
        *lines, self._rest = (self._rest + new).split("\n")
        return [self._line(line, seen) for line in lines if line.strip() and not _MARK.match(line)]

    def _line(self, line: str, seen: datetime) -> Line:
        stamped = _STAMPED.fullmatch(line.rstrip())
        if stamped is None or stamped[2] != self._name:
            return Line(seen, line.rstrip())
        try:
            written = datetime.combine(seen.date(), datetime.strptime(stamped[1], "%H:%M:%S.%f").time())
        except ValueError:
            return Line(seen, line.rstrip())
        return Line(written - timedelta(days=1) if written - seen > HALF_A_DAY else written, stamped[3])

    def skip(self) -> None:
        """What is in the log now has been read."""
        self._place, self._rest = self._log.stat().st_size, ""


def shorten(log: Path) -> int:
    """Takes the middle out of a log that is too long, and says so in its place. Returns how many bytes it took out.

    Its server goes on writing to the same file: it appends, so what it writes comes after the note. What it writes in
    this very moment may be lost, or come before the note.
    """
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= MOST_BYTES:
        return 0
    with log.open("rb+") as file:
        file.seek(size - KEPT_END)
        end = file.read(KEPT_END).partition(b"\n")[2]
        file.truncate(KEPT_START)
        left_out = size - KEPT_START - len(end)
    note = f"\n--- {left_out} bytes were left out here: a log has at most {MOST_BYTES // 1024**2} MiB\n"
    with open(log, "ab") as file:
        file.write(note.encode() + end)
    return left_out
