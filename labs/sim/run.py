"""One test, one seed, one outcome."""

import gc
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal

import msgspec

from common.host import CallFailed
from labs import stuck
from labs.choices import Choice, Choices
from labs.cluster import Cluster, Mark, NotInTime
from labs.grading import Inconclusive
from labs.history import Operation
from labs.sim import guard, state
from labs.sim.cluster import SimCluster
from labs.sim.errors import Deadlock, ForgottenAwait, NotSimulated, Runaway, SimulationError, TimeLimit, own_traceback
from labs.sim.loop import SimLoop
from labs.sim.trace import Trace
from labs.traces.events import FILE, Header
from labs.traces.recorder import Recorder

LIMIT: Final = 1000.0
"""Virtual seconds that a run may take unless it says otherwise."""
LINES_OF_LOG: Final = 200
"""Lines of each server's log that an outcome keeps: the last ones."""

Test = Callable[[Any], Awaitable[None]]
"""A graded test: a coroutine function that gets a cluster."""


NOT_IMPORTED: Final = "could not be imported:\n"
"""How the message begins of a submission, or a test, that Python could not load."""


NOT_REPEATABLE: Final = (
    "the same seed gave another run the second time, so nothing here can be replayed. Something in the servers does not"
    " come from the seed: the order of a set, an id(), state that one run leaves to the next?"
)
"""What is said of a seed that was run twice."""


class Outcome(msgspec.Struct, omit_defaults=True):
    """How one seed ended."""

    seed: int
    status: Literal["passed", "failed", "error", "inconclusive"]
    """failed: the servers did not do what they should. error: they cannot be simulated."""
    message: str = ""
    """Why, for people: the failure and the lines of the test and the servers that led there."""
    virtual_seconds: float = 0.0
    """Until the test ended."""
    real_seconds: float = 0.0
    messages: int = 0
    """Requests and replies that were sent."""
    digest: str = ""
    """The same for the same run, on every Python and every machine."""
    marks: dict[str, Mark] = {}
    """What the test said to happen sometimes, and whether it did."""
    choices: list[Choice] = []
    """What was left to chance and did not come out in the simplest way, where that was asked for."""
    operations: list[Operation] = []
    """The history of all clients."""
    stuck: str = ""
    """What all servers were doing when the time had run out (labs/stuck.py)."""
    runaway: bool = False
    """Whether code went on and on without waiting, until it was interrupted."""
    logs: dict[str, str] = {}
    """The end of what each server wrote, if the run failed. The test's own output is under the name `test`."""


class Stage:
    """What a run is played on. Who wants to watch it, or to stop it on its way, brings a stage of their own."""

    def __init__(self, loop: SimLoop, recorder: Recorder | None, instead: Sequence[Choice] = ()) -> None:
        self.loop = loop
        self.recorder = recorder
        self.instead = instead
        """Choices that come out so, whatever is drawn."""

    def enter(self, cluster: SimCluster) -> None:
        """The run is about to begin."""


def run(
    test: Test,
    package: str,
    seed: int,
    limit: float = LIMIT,
    folder: Path | None = None,
    patience: float = 1.0,
    after: Sequence[Callable[[Cluster], None]] = (),
    note_choices: bool = False,
    schedule: Sequence[Choice] | None = None,
    header: Header | None = None,
    note_origins: bool = False,
    short_digest: bool = False,
    stage: Stage | None = None,
) -> Outcome:
    """Runs `test` with this seed. `after` looks at a run that passed, and raises if something is wrong with it.

    The trace goes to `folder`, if there is one, under this `header`; what came of the run is not in it yet. With a
    `schedule`, what it does not name comes out in the simplest way. A run that ends by a forgotten await is done again
    with `note_origins`, to say which.
    """
    started = perf_counter()
    trace = Trace(short=short_digest)
    recorder = None
    if folder is not None:
        recorder = Recorder(header or Header(world="sim", package=package, seed=seed), folder / FILE)
    if stage is None:
        stage = Stage(SimLoop(limit), recorder)
    loop = stage.loop
    outcome = Outcome(seed, "passed")
    forgotten = False
    output: list[str] = []
    loop.on_error = _Errors(loop, output)
    with _no_collection(), guard.active(loop, output.append, note_origins):
        cluster = SimCluster(package, seed, loop, trace, folder, patience, stage.recorder)
        if note_choices or schedule is not None:
            cluster.choices = cluster.network.choices = choices = Choices(schedule, loop.time, stage.instead)
            outcome.choices = choices.made
        stage.enter(cluster)
        before = state.snapshot(package)
        try:
            loop.run_until_complete(_checked(test, cluster, outcome))
        except (Exception, SimulationError) as error:
            _judge(outcome, error)
            forgotten = isinstance(error, ForgottenAwait)
            outcome.runaway = isinstance(error, Runaway)
            if isinstance(error, Deadlock | TimeLimit | Runaway):
                outcome.virtual_seconds = loop.now
                outcome.choices = list(outcome.choices)  # those that are made from now on are not the run's
                cluster.stop_recording()
                outcome.stuck = _stuck(cluster, can_go_on=not outcome.runaway)
        changes = state.changes(before, state.snapshot(package))
        outcome.virtual_seconds = outcome.virtual_seconds or loop.now
        outcome.messages = cluster.network.messages
        outcome.operations = cluster.history.operations
        outcome.marks = cluster.marks
        trace.add(loop.now, "end", text=outcome.status)
        outcome.digest = trace.digest()
        logs = {name: _last_lines(cluster.log(name)) for name in cluster.names}
        loop.close()
    if recorder is not None:
        recorder.close()
    if forgotten and not note_origins:
        return run(
            test, package, seed, limit, folder, patience, after, note_choices, schedule, header, True, short_digest
        )
    if outcome.status == "passed":
        try:
            for look in after:
                look(cluster)
        except Exception as error:
            _judge(outcome, error)
    if changes and outcome.status != "error":
        outcome.status = "error"
        outcome.message = f"{_SHARED.format(', '.join(changes))}\n{outcome.message}"
    if outcome.status != "passed":
        outcome.logs = logs | {"test": _last_lines("".join(output))}
    outcome.real_seconds = perf_counter() - started
    return outcome


_SHARED: Final = (
    "changed during the run: {}\nIn a simulation all servers share the variables of modules and classes, whereas real"
    " processes each have their own. Keep such things in an object that the role makes."
)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection: it would run `finally` blocks of killed processes, at a moment that nobody can repeat."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


async def _checked(test: Test, cluster: SimCluster, outcome: Outcome) -> None:
    try:
        await test(cluster)
    except (NotInTime, CallFailed):
        outcome.virtual_seconds = cluster.now()
        cluster.stop_recording()
        outcome.stuck = await stuck.describe(cluster)
        raise
    cluster.check()


def _stuck(cluster: SimCluster, can_go_on: bool) -> str:
    """What all servers were doing when the run was given up, and if they can answer, what they say of their state."""
    now = cluster.now()
    found = {name: cluster.look_into(name) for name in cluster.names}
    told: dict[str, list[str]] = {}
    if can_go_on:
        with suppress(Exception, SimulationError):  # what comes of it now is not what the test failed for
            told = cluster.afterwards(stuck.ask(cluster, found))
    return stuck.report(cluster, found, told, now, long=0.0)  # nothing was about to happen


def _judge(outcome: Outcome, error: BaseException) -> None:
    """What an exception that ended the test says of it."""
    if isinstance(error, SimulationError):
        outcome.status = "error" if isinstance(error, NotSimulated) else "failed"
        outcome.message = f"{type(error).__name__}: {error}"
    else:
        outcome.status = "inconclusive" if isinstance(error, Inconclusive) else "failed"
        outcome.message = own_traceback(error)


class _Errors:
    """What happens with an exception that nobody caught."""

    def __init__(self, loop: SimLoop, output: list[str]) -> None:
        self._loop = loop
        self._output = output

    def __call__(self, owner: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        text = context["message"] + "\n" + ("".join(traceback.format_exception(error)) if error is not None else "")
        if owner is None:
            self._output.append(text)
            if error is not None:
                self._loop.halt(error)
        elif isinstance(error, SystemExit):
            owner.crash(error)
        else:
            owner.write(text)  # asyncio, too, would only have written it


def _last_lines(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[-LINES_OF_LOG:])
