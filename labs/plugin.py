"""The pytest plugin: graded tests in real processes, in the simulation, or both.

    pytest tests/graded --world both --seeds 50 -n 4 --submission ../mine

A test with the mark `graded` is a coroutine that takes a `cluster`; it runs here and not by pytest's own hand. Every
run has a folder, every test a folder of its own in it. Whatever happens, the run ends with a line that says how many
processes and socket files it has left behind.
"""

import math
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple, cast, get_args

import msgspec
import psutil
import pytest

from labs.confidence import POLICIES, Policy
from labs.grading import grade_of
from labs.process import leftovers, system
from labs.results import Attempt, folder_name
from labs.running import GradedItem, Recording, Runner, World
from labs.runs import Run, Turns
from labs.sandbox.limits import Limits
from labs.sandbox.plan import Sandbox
from labs.submission import packages
from labs.suites import find_suites
from labs.usage import BadUsage, discard

DEFAULT_SEEDS: Final = 20
"""Seeds that each test runs with in the simulation."""
FIRST_SEED: Final = 1


class Variant(NamedTuple):
    """Which of the runs of a test one pytest item is."""

    world: World
    repeat: int = 0


class Settings(NamedTuple):
    """What the command line asks for."""

    worlds: tuple[World, ...]
    first_seed: int
    seeds: int
    repeat: int
    policy: Policy

    def policy_in(self, world: World) -> Policy:
        """In the simulation nothing is left to chance but the seed: one that fails is a mistake."""
        return self.policy if world == "process" else "all"

    @classmethod
    def of(cls, config: pytest.Config) -> "Settings":
        """The settings of this session."""
        world = config.getoption("world")
        seed, seeds = config.getoption("lab_seed"), config.getoption("lab_seeds")
        return cls(
            worlds=("process", "sim") if world == "both" else (world,),
            first_seed=FIRST_SEED if seed is None else seed,
            seeds=seeds or (DEFAULT_SEEDS if seed is None else 1),  # one seed, asked for by number, is a replay
            repeat=config.getoption("repeat") or 1,
            policy=config.getoption("policy"),
        )


SETTINGS: Final = pytest.StashKey[Settings]()
RUN: Final = pytest.StashKey[Run]()
RUNNER: Final = pytest.StashKey[Runner]()
SANDBOX: Final = pytest.StashKey[Sandbox | None]()
ATTEMPT: Final = pytest.StashKey[Attempt]()


# --- options ---------------------------------------------------------------------------------------------------------


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the graded tests."""
    group = parser.getgroup("labs", "graded tests of the distributed-systems labs")
    group.addoption(
        "--world",
        choices=("process", "sim", "both"),
        default="process",
        help="real processes (default), the simulation, or both",
    )
    group.addoption(
        "--seeds",
        dest="lab_seeds",
        type=_at_least_one,
        metavar="N",
        help=f"simulate each test with N seeds (default {DEFAULT_SEEDS}); not for real processes",
    )
    group.addoption(
        "--seed",
        dest="lab_seed",
        type=int,
        metavar="K",
        help=f"the first seed (default {FIRST_SEED}); without --seeds, the only one",
    )
    group.addoption(
        "--repeat", type=_at_least_one, metavar="N", help="run each test N times in real processes (default 1)"
    )
    group.addoption(
        "--until-confident",
        action="store_true",
        help="run each test in real processes until it is known whether one can rely on it to pass",
    )
    group.addoption(
        "--policy",
        choices=POLICIES,
        default="all",
        help="which runs in real processes have to pass for a test's points: all (default), the best, a majority, or"
        " weighted, as many points as runs",
    )
    group.addoption("--submission", metavar="DIR", help="test the lab packages in DIR instead of the reference")
    group.addoption("--out", metavar="DIR", help="the run's folder (default runs/<time>-<id>)")
    group.addoption(
        "--sim-workers",
        type=_at_least_one,
        default=1,
        metavar="N",
        help="processes that share the seeds of a simulated test (default 1)",
    )
    group.addoption("--sandbox", action="store_true", help="keep the submission's servers from all but what they need")
    group.addoption("--limits", metavar="NAME=SIZE,…", help="what a sandboxed submission may use, where not as usual")
    group.addoption(
        "--record",
        choices=get_args(Recording),
        help="in which runs in real processes all messages are recorded, by taps on all links: in all, in a further run"
        " of what failed (default), or never",
    )
    group.addoption(
        "--patience", type=float, default=1.0, metavar="F", help="stretch the bounds of waits by F on a slow machine"
    )


def check_options(
    world: str,
    seeds: int | None,
    repeat: int | None,
    until_confident: bool,
    policy: Policy,
    sandbox: bool = False,
    record: Recording | None = None,
) -> None:
    """Raises `BadUsage` where an option would do nothing."""
    if world == "process" and seeds is not None:
        raise BadUsage("--seeds is for the simulation (--world sim or both); in real processes use --repeat N")
    if sandbox and world != "process":
        raise BadUsage("--sandbox is for real processes (--world process): those give the points")
    if world == "sim":
        if repeat is not None:
            raise BadUsage("--repeat is for real processes: the simulation gives the same each time, so use --seeds N")
        if until_confident:
            raise BadUsage("--until-confident is for real processes: in the simulation use --seeds N")
        if policy != "all":
            raise BadUsage("--policy is for real processes: in the simulation every seed that fails shows a mistake")
        if record is not None:
            raise BadUsage("--trace and --no-trace are for real processes: the simulation always sees every message")
    if repeat is not None and until_confident:
        raise BadUsage("expected --repeat N or --until-confident, got both")


def pytest_configure(config: pytest.Config) -> None:
    """Reads the options, and sees to it that SIGTERM ends a run as a Ctrl-C does."""
    config.addinivalue_line("markers", "graded(grade): a graded test, and what it is worth")
    submission = config.getoption("submission")
    if submission is not None:
        submission = Path(submission).absolute()
        try:
            packages(submission)
        except BadUsage as error:
            raise pytest.UsageError(str(error)) from None
    if not 0 < config.getoption("patience") < math.inf:
        raise pytest.UsageError(f"expected --patience to be a number above 0, got {config.getoption('patience'):g}")
    try:
        check_options(
            config.getoption("world"),
            config.getoption("lab_seeds"),
            config.getoption("repeat"),
            config.getoption("until_confident"),
            config.getoption("policy"),
            config.getoption("sandbox"),
            config.getoption("record"),
        )
        limits = limits_of(config.getoption("sandbox"), config.getoption("limits"))
    except BadUsage as error:
        raise pytest.UsageError(str(error)) from None
    handed: dict[str, Any] | None = getattr(config, "workerinput", None)
    if handed:
        run = Run(handed["lab_run"], Path(handed["lab_folder"]), handed["lab_prunable"])
        system.die_with_parent(os.getppid())  # the keepers see to the rest
    else:
        run = Run.begin(config.getoption("out"))
    config.stash[RUN] = run
    sandbox = _sandbox(config, limits, handed, [*filter(None, [submission])], run.folder)
    config.stash[SANDBOX] = sandbox
    config.stash[SETTINGS] = Settings.of(config)
    config.stash[RUNNER] = Runner(
        run.id,
        submission,
        config.getoption("patience"),
        config.getoption("sim_workers"),
        turns=Turns(run.folder),
        until_confident=config.getoption("until_confident"),
        sandbox=sandbox,
        recording=config.getoption("record") or "failed",
    )
    signal.signal(signal.SIGTERM, _interrupt)


def limits_of(sandbox: bool, text: str | None) -> Limits:
    """The limits that the command line asks for. Raises `BadUsage`."""
    if text is not None and not sandbox:
        raise BadUsage("--limits are kept by the sandbox only: add --sandbox")
    return Limits.parse(text or "")


def _sandbox(
    config: pytest.Config, limits: Limits, handed: dict[str, Any] | None, folders: list[Path], run: Path
) -> Sandbox | None:
    """The sandbox of this run. The process that begins the run prepares it, and its workers are born in it."""
    if not config.getoption("sandbox") or config.getoption("collectonly"):
        return None
    if handed:
        return msgspec.json.decode(handed["lab_sandbox"], type=Sandbox)
    sandbox = Sandbox.prepare(limits, run, folders)
    sandbox.enter()
    return sandbox


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough; what follows is the clearing up
    raise KeyboardInterrupt("SIGTERM")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker of pytest-xdist which run it belongs to."""
    run = node.config.stash[RUN]
    node.workerinput.update(lab_run=run.id, lab_folder=str(run.folder), lab_prunable=run.prunable)
    node.workerinput["lab_sandbox"] = msgspec.json.encode(node.config.stash[SANDBOX])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With the whole name of a graded test, -k means that one, and not others whose names only begin like it."""
    keyword = config.getoption("keyword")
    graded = [item for item in items if isinstance(item, pytest.Function) and grade_of(item.function) is not None]
    named = [item for item in graded if item.originalname == keyword]
    if named:
        config.hook.pytest_deselected(items=[item for item in items if item not in named])
        items[:] = named


# --- running ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> None:
    """The cluster of a graded test. `pytest_pyfunc_call` makes it, in the test's world."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives a graded test one item a world, and in the process world one item a repeat."""
    if grade_of(metafunc.function) is None:
        return
    settings = metafunc.config.stash[SETTINGS]
    variants: dict[str, Variant] = {}
    for world in settings.worlds:
        for repeat in range(settings.repeat if world == "process" else 1):
            name = [world] * (len(settings.worlds) > 1) + [str(repeat + 1)] * (
                world == "process" and settings.repeat > 1
            )
            variants["-".join(name)] = Variant(world, repeat)
    if len(variants) > 1:
        metafunc.parametrize("cluster", list(variants.values()), ids=list(variants), indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a graded test in its world. It fails with a text for people and without a traceback of the harness."""
    grade = grade_of(pyfuncitem.function)
    if grade is None:
        return None
    config = pyfuncitem.config
    settings, run, runner = config.stash[SETTINGS], config.stash[RUN], config.stash[RUNNER]
    variant = _variant(pyfuncitem)
    (suite,) = find_suites(pyfuncitem.module.SUITE)
    test = GradedItem(pyfuncitem.originalname, pyfuncitem.path, pyfuncitem.function, grade, suite)
    run.make_folder()
    if (sandbox := config.stash[SANDBOX]) is not None:
        sandbox.note(run.folder)
    folder = run.folder / folder_name(pyfuncitem.nodeid)
    first = settings.first_seed + variant.repeat
    started = time.monotonic()
    report = runner.run(test, variant.world, range(first, first + settings.seeds), folder)
    attempt = blank_attempt(pyfuncitem)
    attempt.status, attempt.runs, attempt.seconds = report.status, report.runs, time.monotonic() - started
    attempt.failed_seeds, attempt.failure = report.failed_seeds, report.failure
    attempt.undecided, attempt.starved, attempt.decision = report.undecided, report.starved, report.decision
    pyfuncitem.stash[ATTEMPT] = attempt
    if attempt.failure is not None:
        pytest.fail(f"{grade.title}: {attempt.status}\n{attempt.failure.text()}", pytrace=False)
    return True


def blank_attempt(item: pytest.Function) -> Attempt:
    """What is known of a graded test before it has run. Should it never end, this is all there is to say."""
    grade, variant = grade_of(item.function), _variant(item)
    assert grade, "only graded tests are attempted"
    (suite,) = find_suites(item.module.SUITE)
    settings = item.config.stash[SETTINGS]
    both = len(settings.worlds) > 1
    return Attempt(
        test=item.nodeid.partition("[")[0] + (f"[{variant.world}]" if both else ""),
        title=grade.title,
        part=grade.part,
        suite=suite.name,
        lab=suite.lab,
        world=variant.world,
        points=0 if both and variant.world == "sim" else grade.points,  # the process world gives the points
        policy=settings.policy_in(variant.world),
    )


def _variant(item: pytest.Function) -> Variant:
    chosen = (
        item.callspec.params["cluster"] if hasattr(item, "callspec") else Variant(item.config.stash[SETTINGS].worlds[0])
    )
    return cast(Variant, chosen)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Gives the report of a graded test what the test told: it travels with it, also from a worker."""
    report: pytest.TestReport = yield
    if call.when == "call" and ATTEMPT in item.stash:
        report.lab = msgspec.to_builtins(item.stash[ATTEMPT])  # type: ignore[attr-defined]
    return report


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Ends the keepers and the simulation, in whatever way the tests have ended."""
    if exitstatus == pytest.ExitCode.INTERRUPTED and session.config.pluginmanager.has_plugin("dsession"):
        for worker in psutil.Process().children():  # left to themselves they would first finish their tests
            worker.terminate()
    session.config.stash[RUNNER].close()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Counts, and says, what was left behind by a run of graded tests."""
    if RUN not in config.stash or hasattr(config, "workerinput") or config.getoption("collectonly"):
        return
    config.stash[RUNNER].close()
    run = config.stash[RUN]
    if run.folder.exists():
        left = leftovers.sweep(run.id, run.folder)
        try:
            print(left.sentence(), file=sys.__stdout__, flush=True)
        except BrokenPipeError:  # nobody reads it: then nobody shall hear of that either, when the buffer is emptied
            discard(1)
