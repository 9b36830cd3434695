"""What happened in a run, event by event. Two runs are the same run exactly if their digests agree."""

import hashlib
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec


class Event(msgspec.Struct, omit_defaults=True):
    """One thing that happened. `frame` is the message that was sent or arrived."""

    time: float
    kind: str
    src: str = ""
    dst: str = ""
    text: str = ""
    frame: bytes = b""


class Trace:
    """The events of one run: always their digest; the events themselves only if somebody wants to read them.

    The digest is of everything, or a `short` one: of the messages that were sent, and of the time when it all ended.
    That is to be had for less than a twentieth of a run's time, where the other takes a seventh.
    """

    def __init__(self, keep: bool = False, short: bool = False) -> None:
        self.events: list[Event] | None = [] if keep else None
        self._hash = None if short else hashlib.sha256()
        self._sum = 0
        self._end = 0.0

    def add(self, time: float, kind: str, src: str = "", dst: str = "", text: str = "", frame: bytes = b"") -> None:
        """Notes an event."""
        if self._hash is None:
            self._sum = crc32(frame, self._sum)
            self._end = time
        else:
            self._hash.update(f"{time:.6f} {kind} {src} {dst} {text} {len(frame)}\n".encode())
            self._hash.update(frame)
        if self.events is not None:
            self.events.append(Event(time, kind, src, dst, text, frame))

    def digest(self) -> str:
        """A digest of all events so far."""
        return f"{self._sum:08x} {self._end!r}" if self._hash is None else self._hash.hexdigest()

    def write(self, path: Path) -> None:
        """Saves the events as JSON lines, each message as the MessagePack values that it holds."""
        path.write_bytes(b"".join(_line(event) for event in self.events or ()))


def _line(event: Event) -> bytes:
    fields: dict[str, Any] = msgspec.to_builtins(event, builtin_types=(bytes,))
    if event.frame:
        fields["frame"] = msgspec.msgpack.decode(event.frame)
    try:
        return msgspec.json.encode(fields) + b"\n"
    except (TypeError, ValueError):  # JSON cannot say everything: keys that are no text, say
        return msgspec.json.encode(fields | {"frame": event.frame.hex()}) + b"\n"
