"""`lab test`: the graded suites through pytest, in this process, with a reporter of our own."""

import os
import re
import sys
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pytest

from labs.confidence import Policy
from labs.display import Reporter, Terminal
from labs.places import root, runs_folder, tests_of
from labs.plugin import blank_attempt
from labs.results import RESULT, VERSION, Attempt, RunResult, TestResult
from labs.sandbox.usage import cores
from labs.submission import check_offered, packages
from labs.suites import SUITES, TUTORIAL, Suite, find_suites
from labs.usage import FAILED, INCONCLUSIVE, INTERRUPTED, PASSED, BadUsage

_SUITE: Final = re.compile(r"""^SUITE = ["'](\w+)["']$""", re.MULTILINE)
"""How a file of graded tests says to which suite it belongs."""
WIDTH: Final = 100
"""Characters in a line where there is no terminal."""

TESTS_PER_CORE: Final = 4
"""Tests in real processes that run side by side for each core, for they mostly wait: with one a core all suites took
more than twice as long, and with eight (four at half a core) the reference was not seen to fail."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab test` was asked for."""

    targets: tuple[str, ...] = ()
    """Labs, suites, or files of graded tests. None: all that there are, or all labs of the submission."""
    world: str = "process"
    keyword: str | None = None
    seeds: int | None = None
    seed: int | None = None
    repeat: int | None = None
    until_confident: bool = False
    policy: Policy = "all"
    workers: int | None = None
    submission: Path | None = None
    json: Path | None = None
    junit: Path | None = None
    out: Path | None = None
    trace: bool | None = None
    """Whether to record all messages between real processes. None: in a further run of what failed."""
    patience: float = 1.0
    sandbox: bool = False
    limits: str | None = None


def run(request: Request) -> int:
    """Runs the tests and shows what came of them. Returns the exit status. Raises `BadUsage`."""
    suites, files = _find(request)
    _check_outputs(request)
    expected = _list(request, files)
    workers = _workers(request, len(expected))
    lab = " ".join(dict.fromkeys(suite.lab for suite in suites))
    heading = f"{lab}, {request.world} world{'s' if request.world == 'both' else ''}" + (
        f", {workers.at_once} workers" if workers.at_once > 1 else ""
    )
    # While a test runs, pytest keeps standard output to itself. What a person sees goes past it.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as terminal:
        width = None if terminal.isatty() else WIDTH
        report = partial(_report, request, lab)
        reporter = Reporter(Terminal(file=terminal, width=width), heading, expected, report)
        code = pytest.main(_arguments(request, files, workers), plugins=[reporter])
    results = reporter.results()
    found = _summary(request, lab, reporter)
    for file in filter(None, (reporter.folder / RESULT, request.json)):
        file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    if reporter.interrupted:
        return INTERRUPTED
    return FAILED if reporter.problems else _status(results, code)


def _summary(request: Request, lab: str, reporter: Reporter) -> RunResult:
    results = reporter.results()
    return RunResult(
        version=VERSION,
        lab=lab,
        submission=str(request.submission) if request.submission else None,
        world=request.world,
        points=round(sum(result.points for result in results), 2),
        max_points=reporter.max_points(),
        tests=results,
        interrupted=reporter.interrupted,
    )


def _report(request: Request, lab: str, reporter: Reporter) -> Path | None:
    """Writes the page that shows what failed, if something did."""
    attempts = reporter.attempts()
    if not any(attempt.failure for attempt in attempts):
        return None
    from labs.report.gathering import run_of
    from labs.report.showing import FILE, write

    run = run_of(reporter.folder.resolve(), _summary(request, lab, reporter), attempts)
    try:
        return write(reporter.folder / FILE, run)
    except BadUsage as error:  # the disk is full, say: the verdicts are worth more than their picture
        reporter.problems.append(str(error))
        return None


def catalogue(targets: tuple[str, ...], keyword: str | None = None) -> list[Attempt]:
    """The graded tests that are meant, as they are before they have run. Raises `BadUsage`."""
    request = Request(targets=targets, keyword=keyword)
    _, files = _find(request)
    return list(_list(request, files).values())


def _check_outputs(request: Request) -> None:
    """Raises `BadUsage` if the results could not be written where they are wanted."""
    for file in filter(None, (request.json, request.junit)):
        if not file.absolute().parent.is_dir():
            raise BadUsage(f"expected a folder to write {file} into, but there is no {file.absolute().parent}")
    out = request.out
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadUsage(f"expected a new or empty folder for --out, but {out} has something in it")
    try:
        (out or runs_folder()).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadUsage(f"cannot make the run's folder: {error}") from None


def _status(results: list[TestResult], code: int) -> int:
    statuses = {result.status for result in results}
    if statuses & {"failed", "error"}:
        return FAILED
    if "inconclusive" in statuses:
        return INCONCLUSIVE
    # By the policy, a test may have passed though one of its runs failed.
    return PASSED if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else FAILED


# --- which tests, and how --------------------------------------------------------------------------------------------


def selected(request: Request) -> tuple[list[Suite], list[str]]:
    """The suites that are meant, and the ids of the tests, each once in whatever worlds. Raises `BadUsage`."""
    suites, files = _find(request)
    tests = _list(request, files).values()
    return suites, list(dict.fromkeys(test.test.partition("[")[0] for test in tests))


def _find(request: Request) -> tuple[list[Suite], list[str]]:
    """The suites that are meant, and what pytest shall run. Raises `BadUsage`."""
    offered = _offered(request.submission)
    if not request.targets:
        suites = offered if request.submission else list(SUITES)
        _check_world(request, suites)
        return suites, [str(tests_of(suite)) for suite in suites]
    suites = []
    files: list[str] = []
    for target in request.targets:
        if Path(target.partition("::")[0]).is_file():
            meant = [_suite_of(Path(target.partition("::")[0]))]
            files.append(target)
        else:
            try:
                meant = list(find_suites(target))
            except ValueError as error:
                raise BadUsage(str(error)) from None
            files += [str(tests_of(suite)) for suite in meant]
        suites += meant
    for suite in suites:
        if suite not in offered:
            raise BadUsage(f"{suite.name} needs {suite.package}, which is not in the submission {request.submission}")
    _check_world(request, suites)
    return suites, list(dict.fromkeys(files))


def _suite_of(file: Path) -> Suite:
    """The suite to which a file of graded tests says that it belongs. It is read, not run. Raises `BadUsage`."""
    try:
        found = _SUITE.findall(file.read_text())
        (suite,) = find_suites(found[0]) if found else ()
    except (OSError, ValueError):
        raise BadUsage(
            f'expected a file of graded tests, with a line such as SUITE = "{SUITES[0].name}", got {file}'
        ) from None
    return suite


def _offered(submission: Path | None) -> list[Suite]:
    """The suites that can be run. Raises `BadUsage`."""
    if submission is None:
        return [*SUITES, TUTORIAL]
    there = packages(submission)
    return [suite for suite in (*SUITES, TUTORIAL) if suite.package in there]


def _check_world(request: Request, suites: list[Suite]) -> None:
    """Raises `BadUsage` if these suites cannot be run in the world that is asked for."""
    if request.submission is not None:
        for suite in suites:
            check_offered(request.submission, suite.package, request.world)


class _Listing:
    """Lists the tests that pytest finds, and keeps pytest silent."""

    def __init__(self) -> None:
        self.tests: dict[str, Attempt] = {}
        self.interrupted = False

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tests = {item.nodeid: blank_attempt(item) for item in session.items if isinstance(item, pytest.Function)}

    def pytest_keyboard_interrupt(self) -> None:
        self.interrupted = True


def _list(request: Request, files: list[str]) -> dict[str, Attempt]:
    """The tests there are to run. Raises `BadUsage` if there is none, or if pytest cannot tell what is meant."""
    listing = _Listing()
    with redirect_stderr(StringIO()) as said:
        code = pytest.main([*_arguments(request, files, _Workers(0, 1)), "--collect-only"], plugins=[listing])
    if listing.interrupted:
        raise KeyboardInterrupt
    if code == pytest.ExitCode.USAGE_ERROR:
        raise BadUsage(" ".join(said.getvalue().split()).removeprefix("ERROR: "))
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise BadUsage(f"no test of {' '.join(request.targets) or 'any lab'} matches -k {request.keyword!r}")
    return listing.tests


class _Workers(NamedTuple):
    """Processes that share the work."""

    tests: int
    """pytest processes, each with a test of its own. 0: this process runs one test after the other."""
    seeds: int
    """Processes that share the seeds of a simulated test, for each of those."""

    @property
    def at_once(self) -> int:
        """All of them."""
        return max(1, self.tests) * self.seeds


def _workers(request: Request, tests: int) -> _Workers:
    """How the work is shared. Tests in real processes mostly wait, so more of them than cores can run.

    In the simulation alone, it is the seeds of a test that are shared, so that a single test, too, has all cores; or
    the tests, if there is one seed of each.
    """
    usable = cores()
    if request.world == "sim":
        processes = max(1, usable if request.workers is None else request.workers)
        has_one_seed = request.seeds == 1 or (request.seeds is None and request.seed is not None)
        return _Workers(processes, 1) if has_one_seed and tests > processes > 1 else _Workers(0, processes)
    wanted = min(tests, TESTS_PER_CORE * usable) if request.workers is None else request.workers
    workers = wanted if wanted > 1 or request.workers is not None else 0
    return _Workers(workers, max(1, usable // max(1, workers)) if request.world == "both" else 1)


def _arguments(request: Request, files: list[str], workers: _Workers) -> list[str]:
    """The command line of pytest. It depends on no settings file, so that it is the same everywhere."""
    arguments = ["-c", os.devnull, "--rootdir", str(root()), "--import-mode=importlib"]
    arguments += ["-p", "no:cacheprovider", "-p", "no:anyio", "-p", "no:hypothesispytest"]  # the latter loads for long
    options = {
        "--world": request.world,
        "--repeat": request.repeat,
        "--policy": request.policy,
        "--patience": request.patience,
        "-k": request.keyword,
        "--seeds": request.seeds,
        "--seed": request.seed,
        "--submission": request.submission,
        "--out": request.out,
        "--junit-xml": request.junit,
        "--sim-workers": workers.seeds,
        "--limits": request.limits,
    }
    for option, value in options.items():
        if value is not None:
            arguments += [option, str(value)]
    if request.until_confident:
        arguments.append("--until-confident")
    if request.sandbox:
        arguments.append("--sandbox")
    if request.trace is not None:
        arguments += ["--record", "all" if request.trace else "never"]
    if workers.tests:
        arguments += ["-n", str(workers.tests), "--dist", "worksteal"]
    return [*arguments, *files]
