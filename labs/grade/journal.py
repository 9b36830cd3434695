"""The journal of an output folder: what was begun, what came of it. All results are made from it, and from it alone.

It only grows, a line a fact, and a line is on the disk before anybody acts on it. So whoever is killed in the middle
goes on where the last whole line ends: what is finished is not graded twice, and what is not is graded.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from labs import jsonlines
from labs.confidence import Policy
from labs.grade.results import Effort, Grade
from labs.results import Attempt
from labs.usage import BadUsage

FILE: Final = "journal.jsonl"


class Settings(msgspec.Struct, frozen=True):
    """What makes grades comparable: the same for all in one output folder."""

    tests: tuple[str, ...]
    """The ids of the graded tests."""
    repeat: int | None
    until_confident: bool
    policy: Policy
    patience: float


class Opened(msgspec.Struct, tag="opened", tag_field="event"):
    """The folder is new, and this is what its submissions are graded by."""

    settings: Settings
    catalogue: list[Attempt]
    """The tests, as they are before they have run."""
    time: float


class Began(msgspec.Struct, tag="began", tag_field="event"):
    """A submission's tests are started."""

    id: str
    digest: str
    run: str
    """The folder of their run, seen from the output folder."""
    time: float


class Graded(msgspec.Struct, tag="graded", tag_field="event"):
    """A submission has its grade. The newest one counts."""

    grade: Grade
    time: float


class Worked(msgspec.Struct, tag="worked", tag_field="event"):
    """A call of the command is over, and this is what it took."""

    effort: Effort
    time: float


Event = Opened | Began | Graded | Worked


class Journal:
    """What has happened in an output folder, now and earlier."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self.opened: Opened | None = None
        self.grades: dict[str, Grade] = {}
        """The newest grade of each submission."""
        self.begun: dict[str, list[Began]] = {}
        """The runs of each submission since its newest grade: of what was interrupted."""
        self.runs: dict[str, int] = {}
        """How many runs each submission has had."""
        self.efforts: list[Effort] = []
        try:
            for line in jsonlines.read(self._file, msgspec.Raw):
                self._note(msgspec.json.decode(line, type=Event))
        except msgspec.MsgspecError as error:
            raise BadUsage(f"{self._file} is no journal that this version can read: {error}") from None

    def add(self, event: Event) -> None:
        """One more fact. It is on the disk when this returns."""
        jsonlines.append(self._file, event, lasting=True)
        self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case Opened():
                self.opened = event
            case Began():
                self.begun.setdefault(event.id, []).append(event)
                self.runs[event.id] = self.runs.get(event.id, 0) + 1
            case Graded():
                self.grades[event.grade.id] = event.grade
                self.begun.pop(event.grade.id, None)
            case Worked():
                self.efforts.append(event.effort)


def now() -> float:
    """Seconds since 1970."""
    return round(time.time(), 3)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While it is entered, nobody else writes in the output folder. Raises `BadUsage` if somebody does."""
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadUsage(f"another lab grade works in {folder}: wait for it, or use another folder") from None
        yield
