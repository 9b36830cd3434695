"""What a run has left behind, for its report: results, failures, and the traces that lie in the folders of its tests."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from labs.results import Attempt, Failure, RunResult, TestResult, by_test, summarise
from labs.traces import events
from labs.traces.events import Event, Header, Unreadable
from labs.usage import BadUsage

RESULT: Final = "result.json"
"""The file in a run's folder that holds what `--json` writes."""
ATTEMPTS: Final = "attempts.jsonl"
"""The file in a run's folder that holds what each run of a test told, a line each."""


@dataclass(slots=True)
class Scene:
    """One run of one test that there is something to show of: a failure, a trace, or both."""

    title: str
    suite: str
    world: str
    status: str
    failure: Failure | None = None
    trace: Path | None = None
    header: Header | None = None
    events: list[Event] = field(default_factory=list)
    unreadable: str = ""
    """Why the trace cannot be shown."""
    stuck: str = ""
    """All that is known of who waited for whom, when it ran out of time."""

    def load(self) -> None:
        """Reads the trace."""
        if self.trace is None:
            return
        try:
            self.header, self.events = events.read(self.trace)
        except (Unreadable, OSError) as error:
            self.unreadable = str(error)


@dataclass(slots=True)
class Run:
    """All that a report shows."""

    name: str
    result: RunResult | None = None
    tests: list[TestResult] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)


def gather(place: Path) -> Run:
    """A run's folder, any folder with traces below it, or one trace. Raises `BadUsage`."""
    if place.is_file():
        return Run(place.name, scenes=[_of_trace(place, place.parent, must=True)])
    folder = place.resolve()  # `latest` is a link, and the report shall say which run it is of
    result = _read_result(folder / RESULT)
    attempts = _read_attempts(folder / ATTEMPTS)
    tests = result.tests if result else [summarise(each) for each in by_test(attempts)]
    scenes = [_of_failure(each, folder) for each in attempts if each.failure] or list(_of_results(tests, folder))
    shown = {scene.trace for scene in scenes}
    files = (file for file in sorted(folder.rglob(events.FILE)) if file not in shown)
    scenes += [_of_trace(file, folder) for file in files]
    if not tests and not scenes:
        raise BadUsage(f"expected a run's folder: in {place} there is no {RESULT} and no {events.FILE}")
    return Run(folder.name, result, tests, scenes)


def _read_result(file: Path) -> RunResult | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=RunResult)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BadUsage(f"expected the results of a run in {file}: {error}") from None


def _read_attempts(file: Path) -> list[Attempt]:
    try:
        return msgspec.json.Decoder(Attempt).decode_lines(file.read_bytes())
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise BadUsage(f"expected a run of a test in each line of {file}: {error}") from None


def _of_failure(attempt: Attempt, folder: Path) -> Scene:
    failure = attempt.failure
    assert failure, "only what failed is asked for"
    there = _folder_of(failure, folder)
    trace = there / events.FILE if there else None
    scene = Scene(attempt.title, attempt.suite, attempt.world, attempt.status, failure)
    scene.trace = trace if trace and trace.is_file() else None
    scene.stuck = (_read_text(there / "stuck.txt") if there else "") or failure.stuck
    return scene


def _of_results(tests: Iterable[TestResult], folder: Path) -> Iterator[Scene]:
    """What `result.json` alone knows of failures."""
    for test in tests:
        if test.message:
            seed = test.failed_seeds[0] if test.failed_seeds else 0
            yield Scene(test.title, test.suite, "", test.status, Failure(test.message, seed, test.replay, str(folder)))


def _folder_of(failure: Failure, folder: Path) -> Path | None:
    """Where the failure's files are now: the run's folder may have been moved since."""
    parts = Path(failure.folder).parts
    places = (folder.joinpath(*parts[-length:]) for length in range(min(4, len(parts)), 0, -1))
    return next((place for place in (Path(failure.folder), *places) if place.is_dir() and folder in place.parents), None)


def _read_text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _of_trace(file: Path, folder: Path, must: bool = False) -> Scene:
    """A trace that no failure speaks of. What it is of stands in it."""
    scene = Scene(str(file.relative_to(folder)), "", "", "", trace=file)
    scene.load()
    if scene.unreadable and must:
        raise BadUsage(scene.unreadable)
    if scene.header is not None:
        scene.title, scene.suite, scene.world = scene.header.title or scene.title, scene.header.suite, scene.header.world
    last = scene.events[-1] if scene.events else None
    if last is not None and last.kind == "verdict":
        body = last.body if isinstance(last.body, dict) else {}
        scene.status = str(body.get("status", ""))
        if scene.status != "passed" and scene.header is not None:
            replay, seed = scene.header.replay, scene.header.seed
            scene.failure = Failure(last.text, seed, replay, str(file.parent), where=str(body.get("where", "")))
            scene.stuck = _read_text(file.parent / "stuck.txt")
    return scene
