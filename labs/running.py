"""Runs one graded test in one world, and tells what came of it."""

import asyncio
import inspect
import re
import shlex
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from common.host import CallFailed, CallRefused
from labs import linearizability, stuck
from labs.cluster import Cluster, Mark, NotInTime, ServerStopped
from labs.confidence import MOST_RUNS, Decision, Tally, decide
from labs.grading import Grade, GradedTest, Inconclusive
from labs.history import History, Operation
from labs.places import command, short, tests_of
from labs.process.cluster import ProcessCluster
from labs.process.loop import run
from labs.process.machine import Watch
from labs.process.processes import Keepers, NotImported
from labs.results import Failure, Status, worst
from labs.runs import Turns
from labs.sandbox.plan import Sandbox
from labs.sim.client import MANY_SEEDS, SimWorker
from labs.sim.run import NOT_IMPORTED, NOT_REPEATABLE, Outcome
from labs.submission import check_offered, commands, module_path
from labs.suites import Suite
from labs.traces import events
from labs.traces.events import Event, Header, Verdict
from labs.traces.recorder import Recorder
from labs.usage import BadUsage

World = Literal["process", "sim"]
Recording = Literal["all", "failed", "never"]
"""In which runs in real processes all messages are recorded: all, a further one of what failed, or none."""

LOG_LINES: Final = 8
"""The last lines of each server's log that a failure shows."""
KEPT_HISTORIES: Final = 20
"""So many seeds of a simulated test, the first ones, leave their clients' history in the run's folder.

The history of any other seed is one replay away, and thousands of them would fill a disk.
"""
TRIES: Final = 3
"""Runs of a test, all of which failed on a machine that was too busy. Then it is inconclusive."""
PAUSE: Final = 3.0
"""Seconds before such a run is repeated."""
LARGE_TRACE: Final = 1024**2
"""Bytes above which the trace of a test that passed in real processes goes, unless all was to be recorded."""
RECORDED_AGAIN: Final = 5
"""So many tests that failed are run again by one process, to record all messages. Who fails more is helped by a few."""
PROGRESS_EVERY: Final = 0.2
"""Seconds between two notes of how far a simulated test is."""


@dataclass(frozen=True, slots=True)
class GradedItem:
    """One graded test, as a world needs to know it."""

    name: str
    """The function's name."""
    file: Path
    function: GradedTest
    grade: Grade
    suite: Suite

    def is_own(self) -> bool:
        """Whether it is none of the suite's, but in a file of somebody's own."""
        return self.file != tests_of(self.suite)


@dataclass(slots=True)
class Report:
    """What came of a test in one world."""

    status: Status
    runs: int
    failed_seeds: list[int] = field(default_factory=list)
    failure: Failure | None = None
    undecided: int = 0
    """Runs that could not tell."""
    starved: int = 0
    """Runs that failed on a machine that was too busy, and were repeated."""
    decision: Decision = ""

    def add(self, run: "Report") -> None:
        """One more run."""
        self.failure = next(each.failure for each in (self, run) if each.status == worst([self.status, run.status]))
        self.status = worst([self.status, run.status])
        self.runs += run.runs
        self.failed_seeds += run.failed_seeds
        self.undecided += run.undecided
        self.starved += run.starved


class NotLinearizable(AssertionError):
    """What clients were told is wrong, however slow the machine was."""


CONCLUSIVE: Final = (NotLinearizable, ServerStopped, NotImported)
"""No machine is so busy that a correct submission fails like this."""


class Runner:
    """What the tests of one pytest process share: the keepers, the simulation's workers, and how to run."""

    def __init__(
        self,
        run: str,
        submission: Path | None,
        patience: float,
        sim_workers: int = 1,
        turns: Turns | None = None,
        until_confident: bool = False,
        sandbox: Sandbox | None = None,
        recording: Recording = "never",
    ) -> None:
        self.submission = submission
        self.patience = patience
        self.until_confident = until_confident
        self.recording = recording
        self._recorded_again = 0
        self._turns = turns
        self._sandbox = sandbox
        self._keepers = Keepers(run, sandbox)
        self._simulation = SimWorker(sim_workers)

    def close(self) -> None:
        """Ends all that was started."""
        self._simulation.stop()
        self._keepers.close()

    def replay(self, item: GradedItem, world: World, seed: int) -> str:
        """The command that runs this again."""
        file = shlex.quote(short(item.file))
        where = f"{file}::{item.name}" if item.is_own() else f"{item.suite.name} -k {item.name}"
        sandbox = ""
        if self._sandbox is not None and world == "process":
            limits = self._sandbox.limits.given()
            sandbox = " --sandbox" + (f" --limits {limits}" if limits else "")
        return f"{command()} test {where} --world {world} --seed {seed}{self._options()}{sandbox}"

    def _options(self) -> str:
        """What has to be said again of the submission, and of the time it has."""
        submission = f" --submission {shlex.quote(short(self.submission))}" if self.submission else ""
        return submission + (f" --patience {self.patience:g}" if self.patience != 1.0 else "")

    def _more(self, name: str, item: GradedItem, seed: int) -> str:
        """The command that does something with a failure of the simulation: shrink it, or step through it."""
        return f"{command()} {name} {item.suite.name}::{item.name} --seed {seed}{self._options()}"

    def run(self, item: GradedItem, world: World, seeds: Sequence[int], folder: Path) -> Report:
        """Runs the test in a world: once with each seed in the simulation, and with the first in real processes."""
        package = item.suite.package
        if self.submission is not None:
            try:
                check_offered(self.submission, package, world)
            except BadUsage as error:
                return Report("error", 0, [], Failure(str(error), seeds[0], "", str(folder)))
        if world == "process":
            return self._in_processes(item, seeds[0], folder)
        with self._turn():
            return self._in_sim(item, seeds, folder)

    def _turn(self, alone: bool = False) -> AbstractContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.taken(alone)

    # --- the process world -------------------------------------------------------------------------------------------

    def _in_processes(self, item: GradedItem, seed: int, folder: Path) -> Report:
        """One run, or as many as it takes until one can be confident."""
        report = self._conclusively(item, seed, folder)
        if not self.until_confident:
            return report
        with _noting(folder / "progress", MOST_RUNS) as progress:
            while report.status != "error" and not report.undecided:
                progress.note(len(report.failed_seeds))
                failed = len(report.failed_seeds)
                report.decision = decide(Tally(report.runs - failed, failed, starved=report.starved))
                if report.decision or report.runs == MOST_RUNS:
                    break
                again = seed + report.runs
                report.add(self._conclusively(item, again, folder / str(again)))
        return report

    def _conclusively(self, item: GradedItem, seed: int, folder: Path) -> Report:
        """One run. If it fails on a machine that is too busy, it is repeated, after a pause and without others."""
        for tried in range(TRIES):
            if tried:
                time.sleep(PAUSE)
            with self._turn(alone=tried > 0):
                place = folder / f"again-{tried}" if tried else folder
                failure = Failure("", seed, self.replay(item, "process", seed), str(place))
                status = run(self._live(item, seed, place, failure, self.recording == "all"))
            if status != "inconclusive":
                break
        if status == "inconclusive":
            failure.message += f"\nSo it was in {TRIES} runs. Try again when the machine has less to do."
            return Report(status, 1, [], failure, undecided=1, starved=tried)
        if status == "passed":
            return Report(status, 1, starved=tried)
        if status == "failed" and self.recording == "failed" and self._recorded_again < RECORDED_AGAIN:
            self._recorded_again += 1
            failure = self._recorded(item, seed, folder, failure)
        return Report(status, 1, [seed], failure, starved=tried)

    def _recorded(self, item: GradedItem, seed: int, folder: Path, failure: Failure) -> Failure:
        """A failure with a trace of all messages: that of a further run, if it fails in the same way."""
        again = Failure("", seed, failure.replay, str(folder / events.AGAIN))
        with self._turn():
            status = run(self._live(item, seed, folder / events.AGAIN, again, tap_all=True))
        if status == "failed" and (again.where or again.kind()) == (failure.where or failure.kind()):
            again.again = f"It failed twice like this, and here is the second run. The first is in {short(folder)}"
            return again
        what = {"passed": "passed", "failed": "failed in another way"}.get(status, "could not tell")
        failure.again = (
            f"Run once more to record all its messages, it {what}; that run is in {short(folder / events.AGAIN)}"
        )
        return failure

    async def _live(self, item: GradedItem, seed: int, folder: Path, failure: Failure, tap_all: bool) -> Status:
        """The test's life in a cluster of its own, recorded. Fills in `failure` unless it passes."""
        package = item.suite.package
        program = commands(self.submission).get(package) if self.submission else None
        keeper = self._keepers.get(package, module_path(self.submission, package), program)
        header = header_of(item, "process", seed, failure.replay, complete=tap_all)
        recorder = Recorder(header, folder / events.FILE)
        cluster = ProcessCluster(package, keeper, seed, folder, self.patience, recorder, tap_all)
        try:
            status = await self._play(item, cluster, folder, failure)
            failure.tidy()
            recorder.add(verdict_of(status, cluster.recorded_until, failure, cluster.history))
        finally:
            recorder.close()
        if status == "passed" and not tap_all and (folder / events.FILE).stat().st_size > LARGE_TRACE:
            (folder / events.FILE).unlink()
        return status

    async def _play(self, item: GradedItem, cluster: ProcessCluster, folder: Path, failure: Failure) -> Status:
        """The test, from the first process to the last."""
        watch = Watch()
        complaint = ""
        try:
            async with watch, cluster:
                watch.used = lambda: cluster.processors.seconds
                try:
                    await self._bounded(item, cluster)
                    _judge(cluster)
                except asyncio.CancelledError:
                    _forget_tasks()
                    raise
                except Exception as error:
                    _forget_tasks()
                    cluster.stop_recording()
                    failure.where = _where(item, list(_frames(error)))
                    if not isinstance(error, ServerStopped):  # which shows the log of the server that it is about
                        failure.logs = _tails({name: cluster.log(name) for name in cluster.names})
                    if isinstance(error, NotInTime | CallFailed):
                        failure.stuck = await _stuck(cluster, folder)
                    raise
                finally:
                    cluster.stop_recording()
                    if cluster.history:
                        cluster.history.write(folder / "history.jsonl")
        except Inconclusive as error:
            failure.message = str(error)
            return "inconclusive"
        except AssertionError as error:
            failure.message = str(error) or "an assertion of the test does not hold"
            complaint = "" if isinstance(error, CONCLUSIVE) else watch.complaint()
        except (CallFailed, CallRefused) as error:
            failure.message = f"{type(error).__name__}: {error}"
            complaint = watch.complaint()
        except Exception as error:
            failure.message = "".join(traceback.format_exception(error))
            return "error"
        else:
            return "passed"
        if blame := watch.blame():
            failure.message += f"\n{blame}"
        if complaint:
            failure.message = f"the machine was too busy to tell: {complaint}.\nWhat came was this: {failure.message}"
        return "inconclusive" if complaint else "failed"

    async def _bounded(self, item: GradedItem, cluster: Cluster) -> None:
        """The test, within its time. Raises what the test raises."""
        limit = item.grade.within * self.patience
        try:
            async with asyncio.timeout(limit) as timeout:
                await item.function(cluster)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            cluster.check()
            raise NotInTime(f"expected the whole test to take at most {limit:g} s, and it was not over then") from error
        except (AssertionError, CallFailed, CallRefused):
            cluster.check()  # a server that ended by itself is the better explanation
            raise
        cluster.check()

    # --- the simulation ----------------------------------------------------------------------------------------------

    def _in_sim(self, item: GradedItem, seeds: Sequence[int], folder: Path) -> Report:
        failed: list[Outcome] = []
        tried = 0
        marks: dict[str, Mark] = {}
        with _noting(folder / "progress", len(seeds)) as progress:
            for outcome in self._simulate(item, seeds):
                tried += 1
                if outcome.status != "passed":
                    failed.append(outcome)
                if outcome.operations and outcome.seed in seeds[:KEPT_HISTORIES]:
                    _keep_history(outcome, folder / str(outcome.seed))
                for what, mark in outcome.marks.items():
                    mark.happened = mark.happened or (what in marks and marks[what].happened)
                    marks[what] = mark
                progress.note(len(failed))
                if outcome.runaway:  # each seed would take seconds to say the same
                    break
        if not failed:
            never = [what for what, mark in marks.items() if not mark.happened and len(seeds) >= mark.seeds]
            if not never:
                return Report("passed", len(seeds))
            replay = f"{self.replay(item, 'sim', seeds[0])} --seeds {len(seeds)}"
            message = _NEVER.format(len(seeds), "\n".join(f"- {what}" for what in never))
            return Report("failed", len(seeds), [], Failure(message, seeds[0], replay, str(folder)))
        failed.sort(key=lambda outcome: outcome.seed)
        first = min(failed, key=lambda outcome: ("failed", "error", "inconclusive").index(outcome.status))
        replay = self.replay(item, "sim", first.seed)
        if NOT_REPEATABLE in first.message:  # which shows only where a seed runs twice
            replay += f" --seeds {MANY_SEEDS}"
        failure = failure_of(item, first, replay, str(folder / str(first.seed)))
        once_more = [first] if first.runaway else self._simulate(item, [first.seed], folder)
        for again in once_more:  # and now all that it leaves is kept
            keep(again, folder / str(first.seed), failure)
        if first.status == "failed" and not item.is_own():  # lab shrink and lab debug know the suites only
            failure.shrink = f"{self._more('shrink', item, first.seed)} --out small.json"
            failure.debug = self._more("debug", item, first.seed)
        wrong = [outcome.seed for outcome in failed if outcome.status != "inconclusive"]
        return Report(first.status, tried, wrong, failure, undecided=len(failed) - len(wrong))

    def _simulate(self, item: GradedItem, seeds: Sequence[int], folder: Path | None = None) -> Iterator[Outcome]:
        limit = item.grade.within * self.patience
        header = header_of(item, "sim", seeds[0], self.replay(item, "sim", seeds[0]))
        return self._simulation.run(
            item.file,
            item.name,
            item.suite.package,
            seeds,
            module_path(self.submission, item.suite.package),
            self.patience,
            limit,
            folder,
            histories=seeds[:KEPT_HISTORIES],
            header=header,
        )


_NEVER: Final = (
    "in none of {} seeds did this happen, which the test is meant to bring about in some of them:\n{}\n"
    "No seed failed, but the test does not test what it was written for."
)


def failure_of(item: GradedItem, outcome: Outcome, replay: str, folder: str) -> Failure:
    """A failed run of the simulation, in words."""
    message, frames = parse_traceback(outcome.message)
    if outcome.message.startswith(NOT_IMPORTED):  # where that was is all there is to know
        message, frames = outcome.message.strip(), []
    stopped = "\nTraceback (most recent call last):" in message  # then the server's own words say it all
    return Failure(
        message=message,
        seed=outcome.seed,
        replay=replay,
        folder=folder,
        where=_where(item, frames),
        logs={} if stopped else _tails(outcome.logs),
        stuck=stuck.summary(outcome.stuck),
    )


def _forget_tasks() -> None:
    """The test is over: what becomes of tasks that it has begun and not awaited matters no more, and is not printed."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


async def _stuck(cluster: Cluster, folder: Path) -> str:
    """Writes down what every server is doing. Gives the most telling lines."""
    said = await stuck.describe(cluster)
    (folder / stuck.FILE).write_text(said)
    return stuck.summary(said)


def header_of(item: GradedItem, world: World, seed: int, replay: str = "", complete: bool = True) -> Header:
    """What the trace of a run says of itself."""
    return Header(
        world=world,
        package=item.suite.package,
        test=item.name,
        title=item.grade.title,
        suite=item.suite.name,
        seed=seed,
        replay=replay,
        complete=complete,
    )


def verdict_of(status: Status, time: float, failure: Failure, operations: Iterable[Operation]) -> Event:
    """The last event of a trace."""
    verdict = Verdict(status)
    if status == "passed":
        return Event(time, "verdict", body=verdict)
    verdict.where = failure.where
    if status == "failed":
        numbers = {operation.call: number for number, operation in enumerate(operations, 1)}
        found = linearizability.check(operations)
        if found.operations and found.explanation in failure.message:  # and that is why the test has failed
            verdict.proof = [numbers[operation.call] for operation in found.operations]
    return Event(time, "verdict", body=verdict, text=failure.message)


def keep(outcome: Outcome, folder: Path, failure: Failure) -> None:
    """Writes the logs of a simulated run and its clients' history beside its trace, which gets its verdict."""
    if (folder / events.FILE).exists():
        last = verdict_of(outcome.status, outcome.virtual_seconds, failure, outcome.operations)
        events.append(folder / events.FILE, last)
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for name, log in outcome.logs.items():
        (logs / f"{name}.log").write_text(log)
    if outcome.stuck:
        (folder / stuck.FILE).write_text(outcome.stuck)
    _keep_history(outcome, folder)


def _keep_history(outcome: Outcome, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    History(outcome.operations).write(folder / "history.jsonl")


class _Progress:
    """A file that tells how far a simulated test is: seeds done, of how many, how many failed."""

    def __init__(self, file: Path, total: int) -> None:
        self._file = file
        self._total = total
        self._done = 0
        self._noted = 0.0

    def note(self, failed: int) -> None:
        """One more seed is done."""
        self._done += 1
        if time.monotonic() - self._noted >= PROGRESS_EVERY:
            self._noted = time.monotonic()
            self._file.write_text(f"{self._done} {self._total} {failed}")


@contextmanager
def _noting(file: Path, total: int) -> Iterator[_Progress]:
    """A progress file that is there while the seeds run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield _Progress(file, total)
    finally:
        file.unlink(missing_ok=True)


def _judge(cluster: Cluster) -> None:
    """Raises unless what the clients saw is linearizable."""
    verdict = linearizability.check(cluster.history)
    if verdict.ok is None:
        raise Inconclusive(verdict.explanation)
    if not verdict.ok:
        raise NotLinearizable(verdict.explanation)


def _frames(error: BaseException | None) -> Iterator[traceback.FrameSummary]:
    """The lines through which an error passed, and those through which the one passed that it came of."""
    while error is not None:
        yield from traceback.extract_tb(error.__traceback__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _where(item: GradedItem, frames: Iterable[traceback.FrameSummary]) -> str:
    """The line of the test itself at which the error passed, as `file:line: text`, or nothing if it did not."""
    lines, first = inspect.getsourcelines(item.function)
    here = [frame.lineno or 0 for frame in frames if frame.filename == str(item.file)]
    own = [line - first for line in here if first <= line < first + len(lines)]
    return f"at {item.file.name}:{own[-1] + first}: {lines[own[-1]].strip()}" if own else ""


_CHAIN: Final = re.compile(r"\n\n(?:The above exception was|During handling of the above).*:\n\n")
_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\):\n((?:  .*\n)+)")
_FRAME: Final = re.compile(r'  File "(.+)", line (\d+), in (.+)')
_AS_EXPECTED: Final = re.compile(r"^(?:AssertionError|labs\.cluster\.\w+): ", re.MULTILINE)


def parse_traceback(text: str) -> tuple[str, list[traceback.FrameSummary]]:
    """The message of a printed traceback, and the frames that led there. Other text is all message."""
    last = _CHAIN.split(text)[-1]
    printed = _TRACEBACK.search(last)
    if printed is None:
        return text.strip(), []
    frames = [
        traceback.FrameSummary(file, int(line), function, lookup_line=False)
        for file, line, function in _FRAME.findall(printed[1])
    ]
    message = last[: printed.start()] + _AS_EXPECTED.sub("", last[printed.end() :], count=1)
    return message.strip(), frames


def _tail(lines: list[str]) -> str:
    left_out = len(lines) - LOG_LINES
    return "\n".join([f"… {left_out} lines before", *lines[-LOG_LINES:]] if left_out > 0 else lines)


_MARK: Final = re.compile(r"[\d. ]*---")
"""A line of a log that the harness wrote: when the server was started, paused, killed."""


def _tails(logs: Mapping[str, str]) -> dict[str, str]:
    """The last lines of each server's log, for those that wrote anything themselves."""
    return {
        name: _tail(log.splitlines())
        for name, log in logs.items()
        if any(line.strip() and not _MARK.match(line) for line in log.splitlines())
    }
