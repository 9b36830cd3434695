"""`python -m labs.sim.worker`: runs seeds of a test in a process of its own, so that the harness imports no submission.

Each line of standard input is a `Job`. The answers are lines of JSON on standard output: one `Outcome` for each seed,
as it ends. The worker ends when its standard input does, or when its parent dies.
"""

import ast
import ctypes
import importlib
import importlib.util
import os
import signal
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import msgspec
from _pytest.assertion.rewrite import rewrite_asserts

from labs.choices import Choice
from labs.cluster import Cluster
from labs.grading import Inconclusive
from labs.sim import guard
from labs.sim.errors import own_traceback
from labs.sim.run import LIMIT, NOT_IMPORTED, NOT_REPEATABLE, Outcome, Test, run
from labs.traces.events import Header

PR_SET_PDEATHSIG: Final = 1


class Job(msgspec.Struct):
    """Which test to run, on which lab, with which seeds."""

    file: str
    """The test's module."""
    test: str
    """The test's function in it."""
    package: str
    seeds: list[int]
    path: list[str] = []
    """Folders that Python shall look in first. The same in all jobs of a worker: it imports everything once."""
    patience: float = 1.0
    limit: float = LIMIT
    folder: str | None = None
    """Where the traces of failed seeds go, as `<seed>/trace.jsonl`. None: nowhere."""
    header: Header | None = None
    """What these traces say of themselves."""
    histories: list[int] = []
    """Seeds whose history is told even if they pass."""
    first_twice: bool = False
    """Whether to run the first seed twice, to see that the same comes of it. Seeds that fail always are."""
    note_choices: bool = False
    """Whether the outcomes tell what was left to chance."""
    schedule: list[Choice] | None = None
    """What is not to be simple. None: all is left to chance."""


def main() -> None:
    """Works until standard input ends."""
    serve(_jobs)


def serve(work: Callable[[BinaryIO, BinaryIO], None]) -> NoReturn:
    """Makes this process one that simulates. `work` is given where orders come from, and where answers go."""
    if sys.flags.hash_randomization and os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the harness, which then ends this process
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a submission prints by whatever means must not get among the answers
    jobs = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with guard.installed():
        work(jobs, answers)
    os._exit(0)  # the remains of thousands of runs need no burial


def _jobs(jobs: BinaryIO, answers: BinaryIO) -> None:
    decoder = msgspec.json.Decoder(Job)
    for line in jobs:
        job = decoder.decode(line)
        try:
            test = load(job)
        except NotImported as error:
            for seed in job.seeds:
                say(answers, Outcome(seed, "error", str(error)))
        else:
            after = checks()
            for seed in job.seeds:
                say(answers, _run(job, test, seed, after))


class NotImported(Exception):
    """The test or the servers could not be imported; the text says why."""


def load(job: Job) -> Test:
    """The test that a job is about. Raises `NotImported`."""
    try:
        for folder in reversed(job.path):
            if folder not in sys.path:
                sys.path.insert(0, folder)
        test: Test = getattr(_module(job.file), job.test)
        importlib.import_module(f"{job.package}.roles")
    except BaseException as error:
        raise NotImported(NOT_IMPORTED + own_traceback(error)) from None
    return test


def say(answers: BinaryIO, answer: msgspec.Struct) -> None:
    """Sends an answer, as a line of JSON."""
    left = memoryview(msgspec.json.encode(answer) + b"\n")
    while left:
        left = left[answers.write(left) :]


def _run(job: Job, test: Test, seed: int, after: Sequence[Callable[[Cluster], None]]) -> Outcome:
    first = job.first_twice and seed == job.seeds[0]
    short = not (first or job.note_choices or job.schedule is not None)

    def once(folder: Path | None = None) -> Outcome:
        about = folder, job.patience, after, job.note_choices, job.schedule, job.header
        return run(test, job.package, seed, job.limit, *about, short_digest=short)

    if job.schedule is not None:  # whoever plays a schedule compares its digest with what it was before
        return once(None if job.folder is None else Path(job.folder) / str(seed))
    outcome = once()
    failed = outcome.status == "failed"
    if (failed or first) and not outcome.runaway:
        again = once(Path(job.folder) / str(seed) if failed and job.folder is not None else None)
        if again.digest != outcome.digest:
            outcome.status = "error"
            outcome.message = f"{NOT_REPEATABLE}\n{outcome.message}"
    if outcome.status == "passed" and seed not in job.histories:
        outcome.operations = []
    return outcome


_modules: dict[str, types.ModuleType] = {}


def _module(file: str) -> types.ModuleType:
    """The test module in that file, imported once. Its assertions say what they compared, as under pytest."""
    found = _modules.get(file)
    if found is not None:
        return found
    name = f"simulated_{len(_modules)}_{Path(file).stem}"
    module = types.ModuleType(name)
    module.__file__ = file
    source = Path(file).read_bytes()
    tree = ast.parse(source, file)
    rewrite_asserts(tree, source)
    sys.modules[name] = module
    exec(compile(tree, file, "exec"), module.__dict__)
    _modules[file] = module
    return module


def checks() -> list[Callable[[Cluster], None]]:
    """What is looked at after each run that passed."""
    try:
        linearizability: Any = importlib.import_module("labs.linearizability")
    except ModuleNotFoundError:
        return []

    def is_linearizable(cluster: Cluster) -> None:
        verdict = linearizability.check(cluster.history)
        if verdict.ok is None:
            raise Inconclusive(verdict.explanation)
        assert verdict.ok, verdict.explanation

    return [is_linearizable]


def _die_with_parent() -> None:
    """Linux can see to it; elsewhere the end of standard input does, between two jobs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
