"""`lab mistakes`: makes the mistakes of the tables one by one, on all cores, and shows which test notices which."""

import multiprocessing
import os
import shlex
import sys
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labs.display import Terminal
from labs.mistakes import Kind, Mistake, load_all, load_kinds, measuring, odds
from labs.mistakes.document import document
from labs.mistakes.measuring import Job, Subject, Tally
from labs.mistakes.page import page
from labs.mistakes.results import VERSION, Matrix, matrix
from labs.mistakes.table import tables
from labs.places import is_checkout, root
from labs.process import leftovers
from labs.running import World
from labs.sandbox.usage import cores
from labs.suites import SUITES
from labs.usage import FAILED, INTERRUPTED, PASSED, BadUsage, interruptible

WIDTH: Final = 120
"""Characters in a line where there is no terminal."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab mistakes` was asked for."""

    targets: tuple[str, ...] = ()
    """Labs, suites, kinds such as VS1, or parts of a mistake's name. None: all mistakes."""
    world: str = "sim"
    seeds: int | None = None
    """None: as many as a student is asked to run."""
    repeat: int | None = None
    """None: once."""
    all_tests: bool = False
    workers: int | None = None
    folder: Path | None = None
    """Where the tables are, unless they are the project's."""
    json: Path | None = None
    html: Path | None = None
    markdown: Path | None = None
    add: tuple[Path, ...] = ()
    """What earlier runs wrote as JSON: told together with what this one measures, which replaces the same."""


def run(request: Request) -> int:
    """Measures, shows, and writes what was asked for. Returns the exit status. Raises `BadUsage`."""
    if not is_checkout():
        raise BadUsage("lab mistakes needs a checkout of the project: the tables of mistakes are not installed")
    _check_options(request)
    _check_outputs(request)
    folder = request.folder or root() / "tests" / "mistakes"
    earlier = [*map(_read, request.add)]
    there, kinds = _tables_in(folder)
    chosen = choose(there, request.targets)
    worlds: tuple[World, ...] = ("sim", "process") if request.world == "both" else (_world(request.world),)
    console = Terminal(width=None if sys.stdout.isatty() else WIDTH)
    found: list[Subject] = []
    interrupted = False
    with interruptible():
        try:
            for world in worlds:
                these = [
                    subject
                    for lab, mistakes in chosen.items()
                    for subject in measuring.subjects(lab, mistakes, world, _runs(request, world), request.all_tests)
                ]
                found += these
                Measurement(console, world, these, request.workers).run()
        except KeyboardInterrupt:
            interrupted = True
    came = matrix(found, kinds, interrupted, earlier)
    for table in tables(came):
        console.print(table)
    _write(request, came, kinds, there)
    if interrupted:
        console.print(Text("interrupted: what was measured before is what you see", "red"))
        return INTERRUPTED
    return PASSED if came.is_good else FAILED


def _tables_in(folder: Path) -> tuple[dict[str, list[Mistake]], dict[str, Kind]]:
    """What stands in the tables of a folder: the mistakes by lab, and the kinds by name. Raises `BadUsage`."""
    try:
        there, kinds = load_all(folder), load_kinds(folder)
    except Exception as error:  # a table is a program
        raise BadUsage(f"a table in {folder} cannot be read: {error!r}") from error
    if not there:
        raise BadUsage(f"expected tables of mistakes (lab1.py, …) in {folder}, found none")
    return there, kinds


def choose(there: dict[str, list[Mistake]], targets: tuple[str, ...]) -> dict[str, list[Mistake]]:
    """Those of these mistakes that are meant, by lab. Raises `BadUsage` if a target means none."""
    unknown = [target for target in targets if not _meant(there, target)]
    if unknown:
        raise BadUsage(f"expected a lab, a suite, a kind such as VS1, or words of a mistake's name, got {unknown[0]!r}")
    meant = {id(mistake) for target in targets for mistake in _meant(there, target)}
    chosen = {lab: [m for m in mistakes if not targets or id(m) in meant] for lab, mistakes in there.items()}
    return {lab: mistakes for lab, mistakes in chosen.items() if mistakes}


def _meant(there: dict[str, list[Mistake]], target: str) -> list[Mistake]:
    packages = {suite.lab: suite.package for suite in SUITES}
    return [
        mistake
        for lab, mistakes in there.items()
        for mistake in mistakes
        if target in (lab, packages[lab], mistake.suite, mistake.student_bug) or target in mistake.name
    ]


def _world(name: str) -> World:
    return "process" if name == "process" else "sim"


def _runs(request: Request, world: World) -> int:
    return (request.seeds or odds.SEEDS) if world == "sim" else (request.repeat or 1)


def _check_options(request: Request) -> None:
    if request.repeat is not None and request.world == "sim":
        raise BadUsage("expected --repeat with real processes: add --world process or --world both")
    if request.seeds is not None and request.world == "process":
        raise BadUsage("expected --seeds with the simulation: leave --world process out, or say --world both")


def _check_outputs(request: Request) -> None:
    for file in filter(None, (request.json, request.html, request.markdown)):
        if not file.absolute().parent.is_dir():
            raise BadUsage(f"expected a folder to write {file} into, but there is no {file.absolute().parent}")


def _read(file: Path) -> Matrix:
    try:
        earlier = msgspec.json.decode(file.read_bytes(), type=Matrix)
    except (OSError, msgspec.DecodeError) as error:
        raise BadUsage(f"expected what `lab mistakes --json` writes in {file}: {error}") from None
    if earlier.version != VERSION:
        raise BadUsage(
            f"expected version {VERSION} of what `lab mistakes --json` writes in {file}, got {earlier.version}"
        )
    return earlier


def _write(request: Request, came: Matrix, kinds: dict[str, Kind], there: dict[str, list[Mistake]]) -> None:
    if request.json:
        request.json.write_bytes(msgspec.json.format(msgspec.json.encode(came), indent=2) + b"\n")
    if request.html:
        request.html.write_text(page(came))
    if request.markdown:
        words = [*map(shlex.quote, request.targets)]
        words += [f"--world {request.world}"] * (request.world != "sim")
        words += [f"--seeds {request.seeds}"] * bool(request.seeds) + [f"--repeat {request.repeat}"] * bool(
            request.repeat
        )
        words += ["--all-tests"] * request.all_tests + [f"--add {file.name}" for file in request.add]
        measured = {(each.suite, each.name) for each in came.mistakes}
        all_mistakes = {(each.suite, each.name) for mistakes in there.values() for each in mistakes}
        all_kinds = kinds if all_mistakes <= measured else {}  # of some mistakes it says nothing what is left out
        request.markdown.write_text(document(came, all_kinds, " ".join(["lab mistakes", *words])))


# --- measuring -------------------------------------------------------------------------------------------------------


class Measurement:
    """All jobs of one world, on a pool of processes."""

    def __init__(self, console: Terminal, world: World, subjects: list[Subject], workers: int | None) -> None:
        self._console = console
        self._world = world
        self._subjects = subjects
        self._workers = workers or cores() * (1 if world == "sim" else 2)
        self._runs = 0
        self._began = time.monotonic()

    def run(self) -> None:
        """Does them. What was done is in the subjects, also if this ends with an exception."""
        live = (
            Live(get_renderable=self._now, console=self._console, transient=True, refresh_per_second=4)
            if self._console.is_terminal
            else nullcontext()
        )
        with TemporaryDirectory(prefix="lab-mistakes-") as folder, live:
            try:
                self._do_all(Path(folder))
            finally:
                left = leftovers.sweep(Path(folder).name, Path(folder))
        if self._world == "process":
            print(left.sentence())

    def _do_all(self, folder: Path) -> None:
        pool = ProcessPoolExecutor(
            self._workers,
            multiprocessing.get_context("spawn"),
            initializer=measuring.prepare,
            initargs=(folder, os.getpid()),
        )
        try:
            self._work(pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown()

    def _work(self, pool: ProcessPoolExecutor) -> None:
        pending: dict[Future[list[Tally] | str], tuple[Subject, Job]] = {}

        def submit(subject: Subject, jobs: list[Job]) -> None:
            pending.update({pool.submit(measuring.do, job): (subject, job) for job in jobs})

        for subject in self._subjects:
            submit(subject, subject.begin())
        while pending:
            done, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                subject, job = pending.pop(future)
                try:
                    came = future.result()
                except BrokenExecutor:
                    raise RuntimeError("a process that measured has died: out of memory?") from None
                self._runs += sum(tally.runs for tally in came) if not isinstance(came, str) else 0
                submit(subject, subject.take(job, came))
                if not subject.waiting and not self._console.is_terminal:
                    self._line(subject)

    def _line(self, subject: Subject) -> None:
        tallies = subject.tallies.values()
        if subject.mistake is None:
            (tally,) = tallies
            if tally.caught:
                self._console.print(f"the reference failed {tally.test} with seed {tally.first}: {tally.said}")
            return
        caught = ", ".join(f"{tally.test} {tally.caught} of {tally.runs}" for tally in tallies if tally.caught)
        none = "not noticed" if any(tally.runs for tally in tallies) else "every run was inconclusive"
        self._console.print(
            f"{subject.lab} {subject.mistake.name}: {subject.error or caught or none}",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )

    def _now(self) -> RenderableType:
        elapsed = time.monotonic() - self._began
        mistakes = [subject for subject in self._subjects if subject.mistake]
        reference = [subject for subject in self._subjects if not subject.mistake]
        over: Callable[[list[Subject]], int] = lambda these: sum(not subject.waiting for subject in these)  # noqa: E731
        uncaught = sum(
            not subject.waiting and not any(tally.caught for tally in subject.tallies.values()) for subject in mistakes
        )
        head = Text.assemble(
            (f"mistakes, {self._world} world", "bold"),
            f"  {over(mistakes)} of {len(mistakes)}, reference {over(reference)} of {len(reference)} tests",
            f"  {self._runs} runs, {self._runs / max(elapsed, 0.1):.0f} a second  {elapsed:.0f} s",
            (f"  {uncaught} not noticed", "red") if uncaught else "",
        )
        bar = Table.grid()  # a bar alone does not end its line
        bar.add_row(ProgressBar(total=max(len(self._subjects), 1), completed=over(self._subjects), width=60))
        return Group(head, bar)
