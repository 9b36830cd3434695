"""One test, one seed, one outcome."""

import gc
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import msgspec

from common.host import CallFailed
from labs.cluster import Cluster
from labs.history import Operation
from labs.sim import guard
from labs.sim.cluster import SimCluster
from labs.sim.errors import SimulationError
from labs.sim.loop import SimLoop
from labs.sim.network import own_traceback
from labs.sim.trace import Trace

LIMIT = 1000.0
"""Virtual seconds that a run may take unless it says otherwise."""
LINES_OF_LOG = 200
"""Lines of each server's log that an outcome keeps: the last ones."""

Test = Callable[[Any], Awaitable[None]]
"""A graded test: a coroutine function that gets a cluster."""


class Outcome(msgspec.Struct, omit_defaults=True):
    """How one seed ended."""

    seed: int
    status: Literal["passed", "failed", "error"]
    """failed: an assertion of the test. error: the run could not be brought to its end."""
    message: str = ""
    """Why, for people: the failure and the lines of the test and the servers that led there."""
    virtual_seconds: float = 0.0
    real_seconds: float = 0.0
    messages: int = 0
    """Requests and replies that were sent."""
    digest: str = ""
    """The same for the same run, on every Python and every machine."""
    operations: list[Operation] = []
    """The history of all clients."""
    logs: dict[str, str] = {}
    """The end of what each server wrote, if the run failed. The test's own output is under the name `test`."""


def run(
    test: Test,
    package: str,
    seed: int,
    limit: float = LIMIT,
    folder: Path | None = None,
    patience: float = 1.0,
    after: Sequence[Callable[[Cluster], None]] = (),
) -> Outcome:
    """Runs `test` with this seed. `after` looks at a run that passed, and raises if something is wrong with it.

    The trace goes to `folder`, if there is one.
    """
    started = perf_counter()
    loop = SimLoop(limit)
    trace = Trace(keep=folder is not None)
    outcome = Outcome(seed, "passed")
    output: list[str] = []
    collecting = gc.isenabled()
    gc.disable()  # a collection would run the `finally` blocks of killed processes, at a moment that nobody can repeat
    try:
        cluster = None
        try:
            with guard.active(loop, output.append):
                cluster = SimCluster(package, seed, loop, trace, folder, patience)
                loop.on_error = _on_error(loop, output)
                loop.run_until_complete(_checked(test, cluster))
            for look in after:
                look(cluster)
        except SimulationError as error:
            outcome.status, outcome.message = "error", f"{type(error).__name__}: {error}"
        except AssertionError as error:
            outcome.status, outcome.message = "failed", own_traceback(error)
        except Exception as error:
            outcome.status, outcome.message = (
                "failed" if isinstance(error, CallFailed) else "error",
                own_traceback(error),
            )
        if cluster is not None:
            outcome.messages = cluster.network.messages
            outcome.operations = cluster.history.operations
            if outcome.status != "passed":
                outcome.logs = {name: _end(cluster.log(name)) for name in cluster.names}
                outcome.logs["test"] = _end("".join(output))
        outcome.virtual_seconds = loop.now
        trace.add(loop.now, "end", text=outcome.status)
        outcome.digest = trace.digest()
        with guard.active(loop, lambda _: None):
            loop.close()
    finally:
        if collecting:
            gc.enable()
    outcome.real_seconds = perf_counter() - started
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        trace.write(folder / "trace.jsonl")
    return outcome


async def _checked(test: Test, cluster: SimCluster) -> None:
    await test(cluster)
    cluster.check()


def _on_error(loop: SimLoop, output: list[str]) -> Callable[[Any, dict[str, Any]], None]:
    """What happens with an exception that nobody caught."""

    def on_error(owner: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        text = context["message"] + "\n" + ("".join(traceback.format_exception(error)) if error is not None else "")
        if isinstance(error, SystemExit) and owner is not None:
            owner.crash(error)
        elif owner is not None:
            owner.write(text)  # in the real world, too, asyncio would only have logged it
        elif error is not None:
            loop.halt(error)
        else:
            output.append(text)

    return on_error


def _end(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[-LINES_OF_LOG:])
