"""Files of one JSON object a line, which grow while something goes on, and can be read however that ended.

A line counts once its end is there. So a writer that is killed in the middle of one leaves nothing that a reader could
take for true, and the next writer begins by cutting the torn line off.
"""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def append(file: Path, value: object, lasting: bool = False) -> None:
    """One more line. `lasting`: it is on the disk when this returns, whatever becomes of the machine."""
    with file.open("ab+") as stream:
        _cut_torn_line(stream.fileno())
        stream.write(msgspec.json.encode(value) + b"\n")
        stream.flush()
        if lasting:
            os.fsync(stream.fileno())


def read(file: Path, kind: type[T]) -> list[T]:
    """All whole lines. None if there is no file. Raises `msgspec.MsgspecError` where a whole line is something else."""
    try:
        lines = file.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(line) for line in lines]


def _cut_torn_line(descriptor: int) -> None:
    """What was begun and never finished goes. Reads back from the end only as far as that is long."""
    size = end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - 4096)
        block = os.pread(descriptor, end - start, start)
        at = block.rfind(b"\n")
        if at >= 0:
            if start + at + 1 < size:
                os.ftruncate(descriptor, start + at + 1)
            return
        end = start
    if size:
        os.ftruncate(descriptor, 0)
