"""`lab trace`: a trace as text, filtered and followed; what caused what; and traces for other programs to draw."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, get_args

import msgspec
from rich.console import Console
from rich.text import Text

from labs.places import runs_folder, short
from labs.texts import visible
from labs.traces import perfetto, shiviz
from labs.traces.causality import future, past
from labs.traces.events import FILE, Event, Header, Kind, Unreadable, read, read_lines
from labs.traces.selecting import KINDS, Selection, Wish
from labs.traces.words import BACK, what
from labs.usage import PASSED, BadUsage, discard

LOOK_EVERY: Final = 0.2
"""Seconds between two looks at a trace that is followed."""
STYLES: Final = {
    **dict.fromkeys(("lose request", "lose reply", "fail", "kill", "crash", "cut", "pause", "hold"), "red"),
    **dict.fromkeys(("join", "release", "resume", "start", "serve"), "green"),
    **dict.fromkeys(("call", "answer"), "cyan"),
    **dict.fromkeys(("arrive", "return"), "dim"),
    **dict.fromkeys(("tap", "note"), "yellow"),
    "verdict": "bold",
}
LONGEST_NAME: Final = 24
"""Characters of a server's name up to which all names are padded to the longest."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab trace` was asked for."""

    place: str
    wish: Wish = field(default_factory=Wish)
    follow: bool = False
    causes: int | None = None
    effects: int | None = None
    shiviz: Path | None = None
    perfetto: Path | None = None


def run(request: Request) -> int:
    """Prints or exports. Returns the exit status. Raises `BadUsage`."""
    try:
        return _run(request)
    except BrokenPipeError:  # whoever read it has seen enough; nobody shall hear of that at the end, either
        discard(sys.stdout.fileno())
        return PASSED


def _run(request: Request) -> int:
    if request.follow and (request.causes, request.effects, request.shiviz, request.perfetto) != (None,) * 4:
        raise BadUsage("--follow prints a trace that still grows: expected no --causes, --effects or export with it")
    known = {*KINDS, *get_args(Kind)}
    for kind in request.wish.kinds:
        if kind not in known:
            raise BadUsage(f"expected a kind of event ({', '.join(sorted(known))}), got {kind!r}")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    files = _files(request.place)
    if len(files) > 1 and not request.follow:
        _list(console, files)
        return PASSED
    if request.follow:
        newest = max(files, key=lambda file: file.stat().st_mtime)
        _print(console, _followed(newest, request.wish), [])
        return PASSED
    header, events = _read(files[0])
    chosen = _related(request, events)
    selected = list(Selection(request.wish).of(chosen))
    for export, file in ((request.shiviz, "shiviz"), (request.perfetto, "perfetto")):
        if export is not None:
            _export(file, header, selected, export)
            console.print(f"{len(selected)} events in {short(export)}")
    if request.shiviz is None and request.perfetto is None:
        _print(console, selected, selected)
    return PASSED


def _files(place: str) -> list[Path]:
    """The traces that are meant: a file, or those of a folder, or of a run by its name."""
    found = next((each for each in (Path(place), runs_folder() / place) if each.exists()), None)
    if found is None:
        raise BadUsage(
            f"expected a trace, a folder, or a run's name in {short(runs_folder())}, but there is no {place}"
        )
    files = sorted(found.resolve().rglob(FILE)) if found.is_dir() else [found]
    if not files:
        raise BadUsage(f"there is no {FILE} in {short(found)}")
    return files


def _read(file: Path) -> tuple[Header, list[Event]]:
    try:
        return read(file)
    except Unreadable as error:
        raise BadUsage(str(error)) from None
    except OSError as error:
        raise BadUsage(f"cannot read {file}: {error.strerror}") from None


def _related(request: Request, events: list[Event]) -> list[Event]:
    """Of all events those that are among the causes or the effects of a message."""
    wanted = set(range(len(events)))
    for number, related, origin in ((request.causes, past, "causes"), (request.effects, future, "effects")):
        if number is not None:
            place = next((at for at, each in enumerate(events) if each.dst and each.id == number), None)
            if place is None:
                raise BadUsage(f"expected the number of a message for --{origin}, but there is no #{number}")
            wanted &= related(events, place)
    return [events[place] for place in sorted(wanted)]


def _export(format_: str, header: Header, events: list[Event], file: Path) -> None:
    try:
        if format_ == "shiviz":
            shiviz.write(events, file)
        else:
            perfetto.write(header, events, file)
    except OSError as error:
        raise BadUsage(f"cannot write {file}: {error.strerror}") from None


# --- many traces -----------------------------------------------------------------------------------------------------


def _list(console: Console, files: list[Path]) -> None:
    """One line for each: where it is, and how it ended."""
    names = [short(file) for file in files]
    for name, file in zip(names, files, strict=True):
        console.print(f"{name:{max(map(len, names))}}  {_verdict(file)}")
    console.print(f"{len(files)} traces: name one of them")


def _verdict(file: Path) -> str:
    last = file.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
    with suppress(msgspec.DecodeError):
        event = msgspec.json.decode(last, type=Event)
        if event.kind == "verdict":
            return str(event.body.get("status", ""))
    return "without a verdict"


# --- as text ---------------------------------------------------------------------------------------------------------


def _print(console: Console, events: Iterable[Event], known: list[Event]) -> None:
    """Prints events as they come. Names are as wide as the longest known one."""
    names = [len(name) for event in known for name in (event.src, event.dst)]
    width = min(LONGEST_NAME, max(names, default=len("the harness")))
    number = max((len(_number(event)) for event in known), default=5)
    for event in events:
        text = line(event, width, number)
        if console.is_terminal:
            console.print(Text(text, STYLES.get(event.kind, "")))
        else:  # fifteen times as fast
            console.file.write(f"{text}\n")
        if not known:  # somebody waits for it
            console.file.flush()


def line(event: Event, width: int, number: int) -> str:
    """One event: time, number, who and whom, what."""
    arrow = " " if not event.dst else "←" if event.kind in BACK else "→"
    who = f"{visible(event.src):{width}} {arrow} {visible(event.dst):{width}}"
    return f"{event.t:11.6f}  {_number(event):>{number}}  {who}  {event.kind:12} {what(event)}".rstrip()


def _number(event: Event) -> str:
    """A message's is #7, an operation's o7."""
    return f"{'#' if event.dst else 'o'}{event.id}" if event.id else ""


def _followed(file: Path, wish: Wish) -> Iterator[Event]:
    """The events of a trace as they are written, until its verdict."""
    selection = Selection(wish)
    with file.open("rb") as lines:
        _ = next(_grown(lines))
        for each in read_lines(file, _grown(lines)):
            selection.learn(each)
            if selection.fits(each):
                yield each
            if each.kind == "verdict":
                return


def _grown(lines: IO[bytes]) -> Iterator[bytes]:
    """Lines, and after the last one those that come later."""
    rest = b""
    while True:
        rest += lines.readline()
        if rest.endswith(b"\n"):
            yield rest
            rest = b""
        else:
            time.sleep(LOOK_EVERY)
