"""A schedule in a file: one run of one graded test in the simulation, told by all that is not simple in it.

The file is JSON: an object with the fields of `Schedule`, each choice an object with those of `labs.choices.Choice`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from labs.choices import DELAY, FATE, NEVER, Choice
from labs.collecting import graded_items
from labs.running import GradedItem, header_of
from labs.sim.client import SimWorker
from labs.sim.run import Outcome
from labs.submission import check_offered, module_path
from labs.suites import SUITES, find_suites
from labs.usage import BadUsage

VERSION: Final = 1
"""Of the shape of `Schedule`. It grows when a field changes its meaning or goes away."""


class Schedule(msgspec.Struct):
    """What is in the file."""

    version: int
    suite: str
    test: str
    """The graded test's function."""
    seed: int
    """Of all that is no choice, such as the servers' own randomness."""
    patience: float
    failure: str
    """How the run failed when it was saved, for people."""
    digest: str
    """Of the run as it was then. It is another one once the servers, the test or the harness have changed."""
    choices: list[Choice]

    def write(self, file: Path) -> None:
        """Saves it. Raises `BadUsage`."""
        try:
            file.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")
        except OSError as error:
            raise BadUsage(f"cannot write {file}: {error.strerror}") from None

    @classmethod
    def read(cls, file: Path) -> "Schedule":
        """A saved schedule. Raises `BadUsage`."""
        try:
            content = file.read_bytes()
            version = msgspec.json.decode(content, type=_Versioned).version
            if version != VERSION:
                raise BadUsage(f"expected a schedule of version {VERSION}, but {file} has version {version}")
            return msgspec.json.decode(content, type=cls)
        except OSError as error:
            raise BadUsage(f"cannot read the schedule {file}: {error.strerror}") from None
        except msgspec.MsgspecError as error:
            raise BadUsage(f"expected a file that `lab shrink` has written, but {file} is none: {error}") from None

    @property
    def item(self) -> GradedItem:
        """The graded test. Raises `BadUsage` if there is no such test any more."""
        return find_test(f"{self.suite}::{self.test}")

    def play(self, worker: SimWorker, path: Sequence[Path] = (), folder: Path | None = None) -> Outcome:
        """Runs it. The trace goes to `folder`, if there is one, in a folder that is named by the seed."""
        return run(worker, self.item, self.seed, path, self.patience, self.choices, folder)


class _Versioned(msgspec.Struct):
    version: int


def find_test(name: str) -> GradedItem:
    """The graded test of that name, as in `kvpaxos::test_basic`. Raises `BadUsage`."""
    suite, _, test = name.rpartition("::")
    try:
        suites = find_suites(Path(suite).stem.removeprefix("test_")) if suite else SUITES
    except ValueError as error:
        raise BadUsage(str(error)) from None
    found = [items[test] for each in suites if test in (items := graded_items(each))]
    if not found:
        where = f"the suite {suite}" if suite else "any suite"
        raise BadUsage(f"expected a graded test, as in kvpaxos::test_basic, but there is no {test!r} in {where}")
    if len(found) > 1:
        raise BadUsage(f"expected one graded test, got {', '.join(f'{each.suite.name}::{test}' for each in found)}")
    return found[0]


def path_of(submission: Path | None, item: GradedItem) -> list[Path]:
    """Where servers look for their code before the reference's. Raises `BadUsage`."""
    if submission is not None:
        check_offered(submission, item.suite.package, "sim")
    return module_path(submission, item.suite.package)


def run(
    worker: SimWorker,
    item: GradedItem,
    seed: int,
    path: Sequence[Path] = (),
    patience: float = 1.0,
    choices: Sequence[Choice] | None = None,
    folder: Path | None = None,
) -> Outcome:
    """Runs a graded test once, with these choices or, if None, with what the seed gives. All choices are noted."""
    limit = item.grade.within * patience
    header = header_of(item, "sim", seed)
    (outcome,) = worker.run(
        item.file, item.name, item.suite.package, [seed], path, patience, limit, folder, True, choices, header=header
    )
    return outcome


# --- in words --------------------------------------------------------------------------------------------------------


KINDS: Final = ("message times", "faults", "blows", "steps")
"""Of choices: delays of messages; what links did to them; what a storm did; what the test did by choice."""


def kind_of(choice: Choice) -> str:
    """One of `KINDS`."""
    if choice.of.startswith(DELAY):
        return "message times"
    if choice.of.startswith(FATE):
        return "faults"
    return "blows" if choice.of == "storm" else "steps"


def count(choices: Sequence[Choice]) -> str:
    """How many of each kind."""
    kinds = [kind_of(choice) for choice in choices]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds) or "nothing"


def describe(choice: Choice) -> str:
    """One line for people."""
    what = " ".join(_words(part) for part in choice.value) if isinstance(choice.value, list) else str(choice.value)
    if choice.of.startswith(DELAY):
        takes = "never arrives" if choice.value >= NEVER else f"takes {1000 * choice.value:.1f} ms"
        what = f"message {choice.number} {takes}"
    elif choice.of.startswith(FATE):
        what = f"request {choice.number} {_fate(choice)}"
    if choice.value in ([], ""):
        what = "nothing"
    of = re.sub(f"^({DELAY}|{FATE})", "", choice.of)
    return f"{choice.time:9.4f} s  {of}: {what}"


def _words(part: object) -> str:
    if isinstance(part, dict):
        return ", ".join(f"{key} {_words(value)}" for key, value in part.items() if value)
    if isinstance(part, list):
        return f"[{' '.join(map(str, part))}]"
    return f"{part:.2f}" if isinstance(part, float) else str(part)


def _fate(choice: Choice) -> str:
    copies, reply_lost, reply_delay = choice.value
    if choice.value == choice.simplest:
        return "arrives, and so does its reply"
    if not copies:
        return "is lost"
    said = []
    if len(copies) > 1:
        said.append("arrives twice")
    if any(copy not in choice.simplest[0] for copy in copies):
        said.append(f"is held back {' and '.join(f'{1000 * copy:.1f}' for copy in copies)} ms")
    if reply_lost:
        said.append("loses its reply")
    elif reply_delay:
        said.append(f"has its reply held back {1000 * reply_delay:.1f} ms")
    return ", ".join(said)
