"""Logs of servers, and how a server that cannot stop writing is kept from filling the disk."""

from pathlib import Path
from typing import Final

MOST_BYTES: Final = 4 * 1024 * 1024
"""A log longer than this loses its middle."""
KEPT_START: Final = 256 * 1024
KEPT_END: Final = 64 * 1024
"""Bytes that stay of such a log, before and after the note of what was left out."""


def shorten(log: Path) -> None:
    """Takes the middle out of a log that is too long, and says so in its place.

    Its server goes on writing to the same file: it appends, so what it writes comes after the note.
    """
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return
    if size <= MOST_BYTES:
        return
    with log.open("rb+") as file:
        file.seek(size - KEPT_END)
        end = file.read(KEPT_END).partition(b"\n")[2]
        file.truncate(KEPT_START)
        left_out = size - KEPT_START - len(end)
    note = f"\n--- {left_out} bytes were left out here: a log has at most {MOST_BYTES // 1024**2} MiB\n"
    with open(log, "ab") as file:
        file.write(note.encode() + end)
