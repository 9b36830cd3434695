"""`python -m labs.debugging.worker`: runs a test up to a moment, looks into it there, and waits for what is to be next.

The submission's code is here and never in the process that the user talks to.
"""

from collections.abc import Callable, Iterator
from contextvars import Context
from typing import BinaryIO, Final, TypeVarTuple, Unpack

import msgspec

from labs.choices import DELAY, Choice
from labs.debugging.looking import look_into
from labs.debugging.messages import Failed, Order, Recording
from labs.sim.cluster import SimCluster
from labs.sim.errors import SimulationError
from labs.sim.loop import SimHandle, SimLoop
from labs.sim.run import Outcome, Stage, run
from labs.sim.worker import NotImported, checks, load, say, serve
from labs.traces.events import Event, Header
from labs.traces.recorder import Recorder

Ts = TypeVarTuple("Ts")

ANOTHER_RUN: Final = (
    "the run did not come to this moment when it was run again. Something in the servers does not come from the seed:"
    " the order of a set, an id(), state that one run leaves to the next?"
)


class Left(SimulationError):
    """The user has gone elsewhere: this run is not needed any more."""


class DebugLoop(SimLoop):
    """A loop that knows of each message on its way by which choice it takes so long."""

    def __init__(self, limit: float) -> None:
        super().__init__(limit)
        self.cluster: SimCluster
        self.chosen: dict[int, tuple[SimHandle, float, Choice]] = {}
        """For each timer of a message (by its id): itself, when it was set, and the choice."""

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> SimHandle:
        handle = super().call_at(when, callback, *args, context=context)
        choices = self.cluster.choices
        if choices is not None and choices.latest is not None:
            if choices.latest.of.startswith(DELAY):
                self.chosen[id(handle)] = handle, self.now, choices.latest
            choices.latest = None
        return handle


class DebugStage(Stage):
    """Notes what happens, and stops where the user wants to look around."""

    loop: DebugLoop

    def __init__(self, order: Order, reached: Callable[[SimCluster], float]) -> None:
        recorder = Recorder(Header(world="sim", package=order.job.package))
        recorder.subscribe(self._happened)
        super().__init__(DebugLoop(order.job.limit), None if order.outcome_only else recorder, order.instead)
        self.events: list[Event] = []
        self._stop = order.stop
        self._reached = reached
        """Shows the run to the user, and gives the time at which it is to be stopped next."""

    def enter(self, cluster: SimCluster) -> None:
        self.loop.cluster = cluster
        if self._stop is not None and self._stop < 0:
            self._look()

    def _happened(self, event: Event) -> None:
        self.events.append(event)
        if self._stop is not None and event.t >= self._stop:
            self._stop = None
            self.loop.interrupt(self._look)

    def _look(self) -> None:
        self._stop = self._reached(self.loop.cluster)


class Desk:
    """Takes orders one by one. One that the run which stands still can serve is served by it."""

    def __init__(self, orders: BinaryIO, answers: BinaryIO) -> None:
        self._orders = self._read(orders)
        self._answers = answers
        self._waiting: Order | None = None
        """An order that the run before it could not serve."""

    @staticmethod
    def _read(orders: BinaryIO) -> Iterator[Order]:
        decoder = msgspec.json.Decoder(Order)
        for line in orders:
            yield decoder.decode(line)

    def work(self) -> None:
        """Until there are no more orders."""
        while True:
            order, self._waiting = self._waiting, None
            if order is None:
                order = next(self._orders, None)
            if order is None:
                return
            self._serve(order)

    def _serve(self, order: Order) -> None:
        try:
            load(order.job)
        except NotImported as error:
            say(self._answers, Failed(str(error)))
            return
        if order.stop is None:
            stage = DebugStage(order, lambda cluster: 0.0)
            outcome = self._run(order, stage)
            say(self._answers, Recording(outcome, stage.events))
            return
        present = order  # while the run goes on, the order that it serves

        def reached(cluster: SimCluster) -> float:
            nonlocal present
            assert present.stop is not None
            while True:
                say(self._answers, look_into(cluster, stage.loop.chosen))
                following = next(self._orders, None)
                if following is None:
                    raise Left
                if following.stop is None or not _same_run(present, following) or following.stop < present.stop:
                    self._waiting = following
                    raise Left
                if following.stop > present.stop:
                    present = following
                    return following.stop

        stage = DebugStage(order, reached)
        outcome = self._run(order, stage)
        if self._waiting is None and not outcome.message.startswith(Left.__name__):
            say(self._answers, Failed(f"{ANOTHER_RUN}\n{outcome.message}".rstrip()))

    def _run(self, order: Order, stage: DebugStage) -> Outcome:
        job = order.job
        return run(
            load(job),
            job.package,
            job.seeds[0],
            job.limit,
            None,
            job.patience,
            checks(),
            note_choices=True,
            note_origins=True,
            schedule=job.schedule,
            stage=stage,
        )


def _same_run(one: Order, other: Order) -> bool:
    return one.job == other.job and one.instead == other.instead


if __name__ == "__main__":
    serve(lambda orders, answers: Desk(orders, answers).work())
