"""The trace of a run: one file format for both worlds.

A trace is a file of JSON lines. The first line is a `Header`; each line after it is an `Event`, in the order of time.
All that is in it was seen from outside the servers: at the links and taps, at the clerks' control path, in the logs.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

T = TypeVar("T")

VERSION: Final = 1
"""Of the format. It grows when a field changes its meaning or goes away."""
FILE: Final = "trace.jsonl"
"""Its name in the folder of a test."""
AGAIN: Final = "recorded"
"""The folder, in that of a test, of a further run that records all messages."""

HARNESS: Final = "the harness"
"""Who calls, where it is the test that asks a server, on a path that no fault touches. No server has such a name."""

Kind = Literal[
    # A process: `src` is its name.
    "start",  # a process begins; `text` is its role
    "serve",  # it listens from now on: its socket file is there
    "kill",  # SIGKILL by the harness
    "crash",  # it ended by itself; `text` says how
    "pause",
    "resume",
    # The network: the link from `src` to `dst`.
    "cut",  # its socket file is gone: no new calls
    "join",  # and there again
    "tap",  # a tap with the odds in `text` sits on it ("" takes it away)
    "hold",  # requests are kept back
    "release",
    # A message. All events of one call have the same `id`; `src` calls `dst`, whichever way the message goes.
    "request",  # src sends it: `method`, `body` (the parameters)
    "arrive",  # it reaches dst; a second time if it was duplicated
    "reply",  # dst answers: `body` is the result, or `text` the error
    "return",  # the reply reaches src
    "lose request",  # it is lost on its way
    "lose reply",
    "fail",  # src learns that no reply will come; `text` says why
    # What a client asks for: `src` is the client; `id` is the operation's, counted for themselves.
    "call",  # `method` is get, put, append or cas; `body` has key and value
    "answer",  # `body` is the result
    # Words.
    "log",  # a line that `src` wrote
    "note",  # a word of the harness
    "verdict",  # how the run ended: `text` is the failure's message, `body` a `Verdict`
]


class Verdict(msgspec.Struct, omit_defaults=True):
    """How a run ended: the body of the last event."""

    status: str
    """As in `labs.results.Status`."""
    where: str = ""
    """The line of the test that failed, as `at file:line: text`."""
    proof: list[int] = []
    """The operations (their ids) that show that the history is not linearizable."""


class Event(msgspec.Struct, omit_defaults=True):
    """One thing that happened. Which fields mean something depends on the kind."""

    t: float
    """Seconds since the run began: of virtual time in the simulation."""
    kind: Kind
    src: str = ""
    dst: str = ""
    id: int = 0
    method: str = ""
    body: Any = None
    """As JSON has it: binary data stands as text where it is UTF-8, otherwise as {"hex": "…"}."""
    text: str = ""


class Header(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What the trace is of."""

    trace: int = msgspec.field(default_factory=lambda: VERSION)
    """The format's version. Always written."""
    world: Literal["process", "sim"]
    package: str
    """The lab's package, such as `lab1_pbservice`."""
    test: str = ""
    """The function's name."""
    title: str = ""
    suite: str = ""
    seed: int = 0
    replay: str = ""
    """The command that runs this again."""
    complete: bool = True
    """Whether every message between servers is in it. In real processes only links with a tap are seen."""


class Unreadable(ValueError):
    """The file is no trace of this version; the text says what was expected, what came, and at which line."""


def write(path: Path, header: Header, events: Iterable[Event]) -> None:
    """Saves a trace."""
    encoder = msgspec.json.Encoder()
    path.write_bytes(encoder.encode(header) + b"\n" + encoder.encode_lines(list(events)))


def append(path: Path, event: Event) -> None:
    """Adds the last event to a saved trace."""
    event.t = round(event.t, 6)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(event) + b"\n")


def read(path: Path) -> tuple[Header, list[Event]]:
    """A saved trace. Raises `Unreadable` and `OSError`."""
    lines = path.read_bytes().splitlines()
    if not lines:
        raise Unreadable(f"{path}: expected a trace, but the file is empty")
    return _header(path, lines[0]), list(read_lines(path, lines[1:]))


def ends(path: Path) -> tuple[Header, Event | None]:
    """The header of a saved trace and its last event. Raises `Unreadable` and `OSError`."""
    first, _, others = path.read_bytes().partition(b"\n")
    last = others.rstrip().rpartition(b"\n")[2]
    number = others.count(b"\n") + 1
    return _header(path, first), _decode(path, number, last, msgspec.json.Decoder(Event)) if last else None


def _header(path: Path, line: bytes) -> Header:
    header = _decode(path, 1, line, msgspec.json.Decoder(Header))
    if header.trace != VERSION:
        raise Unreadable(f"{path}: expected a trace of version {VERSION}, got version {header.trace}")
    return header


def read_lines(path: Path, lines: Iterable[bytes]) -> Iterator[Event]:
    """The events in the lines after the first. Raises `Unreadable`."""
    decoder = msgspec.json.Decoder(Event)
    for number, line in enumerate(lines, 2):
        yield _decode(path, number, line, decoder)


def _decode(path: Path, number: int, line: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise Unreadable(f"{path}, line {number}: expected a {decoder.type.__name__} of a trace: {error}") from None
