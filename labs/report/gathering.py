"""What a run has left behind, for its report: results, failures, and the traces in the folders of its tests."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from labs import stuck
from labs.results import ATTEMPTS, RESULT, Attempt, Failure, RunResult, TestResult, by_test, read_attempts, summarise
from labs.traces import events
from labs.traces.events import Unreadable
from labs.usage import BadUsage


@dataclass(slots=True)
class Scene:
    """One run of one test that there is something to show of: a failure, a trace, or both."""

    title: str
    suite: str
    world: str
    status: str
    failure: Failure | None = None
    trace: Path | None = None
    unreadable: str = ""
    """Why the trace cannot be shown."""
    stuck: str = ""
    """All that is known of who waited for whom, when it ran out of time."""


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
        scene = _of_trace(place, place.parent)
        if scene.unreadable:
            raise BadUsage(scene.unreadable)
        return Run(place.name, scenes=[scene])
    folder = place.resolve()  # `latest` is a link, and the report shall say which run it is of
    run = run_of(folder, _read_result(folder / RESULT), _read_attempts(folder / ATTEMPTS))
    if not run.tests and not run.scenes:
        raise BadUsage(f"expected a run's folder: in {place} there is no {RESULT} and no {events.FILE}")
    return run


def run_of(folder: Path, result: RunResult | None, attempts: list[Attempt]) -> Run:
    """What there is to show of a run."""
    tests = result.tests if result else [summarise(each) for each in by_test(attempts)]
    scenes = [_of_failure(each, folder) for each in attempts if each.failure] or list(_of_results(tests, folder))
    shown = {scene.trace for scene in scenes}
    # Of a run that was repeated to record all its messages, the first one would only show less of the same.
    shown |= {trace.parent.parent / events.FILE for trace in shown if trace and trace.parent.name == events.AGAIN}
    files = (file for file in sorted(folder.rglob(events.FILE)) if file not in shown)
    return Run(folder.name, result, tests, scenes + [_of_trace(file, folder) for file in files])


def _read_result(file: Path) -> RunResult | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=RunResult)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BadUsage(f"expected the results of a run in {file}: {error}") from None


def _read_attempts(file: Path) -> list[Attempt]:
    try:
        return read_attempts(file)
    except msgspec.MsgspecError as error:
        raise BadUsage(f"expected a run of a test in each line of {file}: {error}") from None


def _of_failure(attempt: Attempt, folder: Path) -> Scene:
    failure = attempt.failure
    assert failure, "only what failed is asked for"
    there = _folder_of(failure, folder)
    trace = there / events.FILE if there else None
    scene = Scene(attempt.title, attempt.suite, attempt.world, attempt.status, failure)
    scene.trace = trace if trace and trace.is_file() else None
    scene.stuck = (_read_text(there / stuck.FILE) if there else "") or failure.stuck
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
    return next(
        (place for place in (Path(failure.folder), *places) if place.is_dir() and folder in place.parents), None
    )


def _read_text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _of_trace(file: Path, folder: Path) -> Scene:
    """A trace that no failure speaks of. What it is of stands in its first line, and how it ended in its last."""
    scene = Scene(str(file.relative_to(folder)), "", "", "", trace=file)
    try:
        header, last = events.ends(file)
    except (Unreadable, OSError) as error:
        scene.unreadable = str(error)
        return scene
    scene.title, scene.suite, scene.world = header.title or scene.title, header.suite, header.world
    if last is not None and last.kind == "verdict":
        body = last.body if isinstance(last.body, dict) else {}
        scene.status = str(body.get("status", ""))
        if scene.status != "passed":
            where = str(body.get("where", ""))
            scene.failure = Failure(last.text, header.seed, header.replay, str(file.parent), where=where)
            scene.stuck = _read_text(file.parent / stuck.FILE)
    return scene
