"""Plays a run in a worker process, for `labs.debugging.session`."""

import selectors
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from labs.choices import Choice
from labs.debugging.messages import Answer, Failed, Look, Order, Recording
from labs.debugging.session import Refused
from labs.running import GradedItem
from labs.sim.client import REAL_LIMIT, Child
from labs.sim.worker import Job

A = TypeVar("A", Recording, Look)


class WorkerPlayer:
    """One test with one seed, as some servers run it. Use it as a context manager, or `stop` it."""

    def __init__(
        self,
        item: GradedItem,
        seed: int,
        path: Sequence[Path] = (),
        patience: float = 1.0,
        schedule: Sequence[Choice] | None = None,
    ) -> None:
        self._job = Job(
            str(item.file),
            item.name,
            item.suite.package,
            [seed],
            [str(folder) for folder in path],
            patience,
            item.grade.within * patience,
            schedule=None if schedule is None else list(schedule),
        )
        self._child = Child("labs.debugging.worker")
        self._decoder = msgspec.json.Decoder(Answer)

    def __enter__(self) -> "WorkerPlayer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def record(self, instead: Sequence[Choice]) -> Recording:
        """The whole run, with these choices. Raises `Refused`."""
        return self._ask(Order(self._job, list(instead)), Recording)

    def record_seed(self, seed: int) -> Recording:
        """The run of another seed. Raises `Refused`."""
        return self._ask(Order(replace(self._job, seeds=[seed], schedule=None)), Recording)

    def record_schedule(self, schedule: Sequence[Choice], outcome_only: bool) -> Recording:
        """The run in which all is simple that is not in the schedule. Raises `Refused`."""
        job = replace(self._job, schedule=list(schedule))
        return self._ask(Order(job, outcome_only=outcome_only), Recording)

    def look(self, instead: Sequence[Choice], time: float) -> Look:
        """The same run, as it is when this instant is over. Raises `Refused`."""
        return self._ask(Order(self._job, list(instead), time), Look)

    def stop(self) -> None:
        """Ends the process."""
        self._child.stop()

    def _ask(self, order: Order, kind: type[A]) -> A:
        self._child.tell(order)
        try:
            answer = self._decoder.decode(self._line())
        except BaseException:  # interrupted, say: what the process would say now belongs to no order any more
            self._child.stop()
            raise
        if isinstance(answer, Failed):
            raise Refused(answer.why)
        assert isinstance(answer, kind), f"expected a {kind.__name__}, got {answer}"
        return answer

    def _line(self) -> bytes:
        deadline = time.monotonic() + REAL_LIMIT
        with selectors.DefaultSelector() as selector:
            selector.register(self._child, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                lines = self._child.read()
                if lines is None:
                    raise Refused(self._child.last_words())
                if lines:
                    return lines[0]
        raise Refused(f"the run took more than {REAL_LIMIT:g} s of real time, and was stopped")
