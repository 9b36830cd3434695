"""`lab test`: the graded suites through pytest, in this process, with a reporter of our own."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pytest
from rich.console import Console

from labs.display import Reporter
from labs.places import graded_folder, root
from labs.results import VERSION, RunResult, TestResult
from labs.submission import packages
from labs.suites import SUITES, Suite, find_suites
from labs.usage import FAILED, INCONCLUSIVE, INTERRUPTED, PASSED, BadUsage

WIDTH: Final = 100
"""Characters in a line where there is no terminal."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab test` was asked for."""

    targets: tuple[str, ...] = ()
    """Labs, suites, or files of graded tests. None: all that there are, or all labs of the submission."""
    world: str = "process"
    keyword: str | None = None
    seeds: int | None = None
    seed: int | None = None
    repeat: int = 1
    workers: int | None = None
    submission: Path | None = None
    json: Path | None = None
    junit: Path | None = None
    out: Path | None = None
    patience: float = 1.0


def run(request: Request) -> int:
    """Runs the tests and shows what came of them. Returns the exit status. Raises `BadUsage`."""
    suites, files = _find(request)
    for file in filter(None, (request.json, request.junit)):
        if not file.absolute().parent.is_dir():
            raise BadUsage(f"expected a folder to write {file} into, but there is no {file.absolute().parent}")
    if (
        request.out is not None
        and request.out.exists()
        and not (request.out.is_dir() and not any(request.out.iterdir()))
    ):
        raise BadUsage(f"expected a new or empty folder for --out, but {request.out} has something in it")
    workers = _workers(request)
    labs_asked = list(dict.fromkeys(suite.lab for suite in suites))
    heading = f"{' '.join(labs_asked)}, {request.world} world" + (f", {workers} workers" if workers else "")
    # While a test runs, pytest keeps standard output to itself. What a person sees goes past it.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as terminal:
        width = None if terminal.isatty() else WIDTH
        reporter = Reporter(Console(file=terminal, width=width), heading)
        code = pytest.main(_arguments(request, files, workers), plugins=[reporter])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise BadUsage(f"no test of {' '.join(request.targets) or 'any lab'} matches -k {request.keyword!r}")
    results = reporter.results()
    found = RunResult(
        version=VERSION,
        lab=" ".join(labs_asked),
        submission=str(request.submission) if request.submission else None,
        world=request.world,
        points=sum(result.points for result in results),
        max_points=sum(result.max_points for result in results),
        tests=results,
    )
    _write(found, reporter.folder / "result.json")
    if request.json:
        _write(found, request.json)
    if reporter.interrupted:
        return INTERRUPTED
    return FAILED if reporter.problems else _status(results, code)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _status(results: list[TestResult], code: int) -> int:
    statuses = {result.status for result in results}
    if statuses & {"failed", "error"}:
        return FAILED
    if "inconclusive" in statuses:
        return INCONCLUSIVE
    return PASSED if code == pytest.ExitCode.OK else FAILED


def _write(found: RunResult, file: Path) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")


# --- which tests, and how --------------------------------------------------------------------------------------------


def _find(request: Request) -> tuple[list[Suite], list[str]]:
    """The suites that are meant, and what pytest shall run. Raises `BadUsage`."""
    offered = _offered(request.submission)
    if not request.targets:
        return offered, [str(_file(suite)) for suite in offered]
    suites: list[Suite] = []
    files: list[str] = []
    for target in request.targets:
        if Path(target.partition("::")[0]).is_file():
            meant = [suite for suite in SUITES if _file(suite).samefile(target.partition("::")[0])]
            if not meant:
                raise BadUsage(f"expected a file of graded tests, such as {_file(SUITES[0])}, got {target}")
            files.append(target)
        else:
            try:
                meant = list(find_suites(target))
            except ValueError as error:
                raise BadUsage(str(error)) from None
            files += [str(_file(suite)) for suite in meant]
        suites += meant
    for suite in suites:
        if suite not in offered:
            raise BadUsage(f"{suite.name} needs {suite.package}, which is not in the submission {request.submission}")
    return suites, files


def _offered(submission: Path | None) -> list[Suite]:
    """The suites that can be run. Raises `BadUsage`."""
    if submission is None:
        return list(SUITES)
    there = packages(submission)
    return [suite for suite in SUITES if suite.package in there]


def _file(suite: Suite) -> Path:
    return graded_folder() / suite.lab / f"test_{suite.name}.py"


def _workers(request: Request) -> int:
    """pytest processes. Tests in real processes mostly wait, so more of them than cores can run."""
    if request.workers is not None:
        return request.workers
    if request.seed is not None and request.seeds is None:  # a replay, over before workers would have started
        return 0
    cores = os.cpu_count() or 1
    return cores if request.world == "sim" else 2 * cores


def _arguments(request: Request, files: list[str], workers: int) -> list[str]:
    """The command line of pytest. It depends on no settings file, so that it is the same everywhere."""
    arguments = ["-c", os.devnull, "--rootdir", str(root()), "--import-mode=importlib", "-p", "no:cacheprovider"]
    arguments += ["-p", "no:hypothesispytest"]  # nobody needs it here, and it takes a second to load
    arguments += ["--world", request.world, "--repeat", str(request.repeat), "--patience", str(request.patience)]
    if workers:
        arguments += ["-n", str(workers), "--dist", "worksteal"]
    for option, value in (
        ("-k", request.keyword),
        ("--seeds", request.seeds),
        ("--seed", request.seed),
        ("--submission", request.submission),
        ("--out", request.out),
        ("--junit-xml", request.junit),
    ):
        if value is not None:
            arguments += [option, str(value)]
    return [*arguments, *files]
