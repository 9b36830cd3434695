"""A replicated state machine: `await rsm.submit(op)` gives the result of `op`, applied in one order by all replicas.

Each Paxos instance decides a batch of operations. What is submitted while instances are in flight waits and goes
together into the next. A batch whose instance was decided otherwise is proposed again, in a later one: since its
instance is taken, it cannot come true twice. Every replica applies every decided batch once, in the instances' order;
an operation takes effect (its linearization point) when its instance is decided.

A replica that knows of a later instance but not of the next one is stuck. It asks the others, in turn, and if they do
not know either, it proposes an empty batch, so that the hole is filled, by this or by what was accepted there before.
Now and then it asks even if it knows of nothing: so one that was cut off catches up without anybody's request.

What is applied everywhere is forgotten by Paxos. Only a replica that lost its memory can need it later, since Paxos
forgets nothing that a replica has not said to be done with. It gets the state from another replica, and until it
knows all that a majority knew when it asked, it proposes nothing. It never votes again: see paxos/core.py.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from common.host import CallFailed, Handlers, Host
from common.wire import encode
from lab2_kvpaxos.paxos.paxos import Paxos
from lab2_kvpaxos.paxosrsm.messages import FetchState, StatePart

Op = TypeVar("Op")
AnyOp = TypeVar("AnyOp", contravariant=True)

WINDOW: Final = 2
"""Instances that one replica has in flight."""
MAX_BATCH: Final = 4_000_000
"""Bytes of operations in one batch, unless a single one is longer."""
CARE_INTERVAL: Final = 0.1
"""Seconds between two looks at whether this replica is stuck."""
LOOKS_PER_QUESTION: Final = 10
"""A replica that is not stuck asks the others for news in every so manieth look."""
MAX_HOLES: Final = 100
"""Holes that are filled at once."""
MAX_PART: Final = 1_000_000
"""Bytes of state in one message."""
STATE_TIMEOUT: Final = 1.0


class Machine(Protocol[AnyOp]):
    """A deterministic state machine: the same operations in the same order give the same state and results."""

    def apply(self, op: AnyOp) -> Any:
        """Executes an operation and gives its result."""

    def snapshot(self) -> bytes:
        """The whole state."""

    def restore(self, state: bytes) -> None:
        """Replaces the state by one that `snapshot` gave."""


Submission = tuple[Op, "asyncio.Future[Any]"]
"""An operation, and the result that somebody waits for."""


class Flight(NamedTuple, Generic[Op]):
    """A batch that is proposed in an instance. Its encoding has a number in it that no other batch of anybody has."""

    value: bytes
    batch: list[Submission[Op]]


class PaxosRSM(Generic[Op]):
    """One replica. Its host has to serve `handlers`."""

    def __init__(self, host: Host, peers: Sequence[str], machine: Machine[Op], op_type: type[Op]) -> None:
        self.host = host
        self.machine = machine
        self.paxos = Paxos(host, peers, on_decided=self._advance)
        self.handlers: Handlers = {**self.paxos.handlers, FetchState: self._give_state}
        self.applied = 0
        """Instances applied: the number of the next one."""
        self._others = [peer for peer in peers if peer != host.name]
        self._decoder = msgspec.msgpack.Decoder(tuple[int, int, list[op_type]])  # type: ignore[valid-type]  # by design
        self._me = self.paxos.core.me
        self._number = host.lives << 40
        self._queue: list[Submission[Op]] = []
        self._flying: dict[int, Flight[Op]] = {}
        self._proposing_soon = False
        self._state: tuple[int, bytes] | None = None
        self._known_by_others: dict[str, int] = {}
        """The highest instance that each other replica knew of when it was asked first."""
        host.spawn(self._care(), name="care")

    @property
    def leader(self) -> str | None:
        """The replica that proposes at present, as far as this one knows. Others can pass operations to it."""
        return self.paxos.leader

    # --- operations --------------------------------------------------------------------------------------------------

    def submit(self, op: Op) -> "asyncio.Future[Any]":
        """Has `op` applied, once, and gives its result. That takes as long as no majority can be reached."""
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((op, result))
        if not self._proposing_soon:
            self._proposing_soon = True
            asyncio.get_running_loop().call_soon(self._propose)  # with all that this turn of the loop brings
        return result

    def _propose(self) -> None:
        self._proposing_soon = False
        while self._queue and len(self._flying) < WINDOW and self._is_up_to_date():
            self._number += 1
            count = len(self._queue)
            while len(value := self._encode([op for op, _ in self._queue[:count]])) > MAX_BATCH and count > 1:
                count //= 2
            seq = max(self.paxos.max() + 1, self.applied)
            self._flying[seq] = Flight(value, self._queue[:count])
            del self._queue[:count]
            self.paxos.start(seq, value)

    def _encode(self, ops: list[Op]) -> bytes:
        return encode((self._me, self._number, ops))

    def _advance(self) -> None:
        """Applies what is decided next."""
        before = self.applied
        while (value := self.paxos.core.decided.get(self.applied)) is not None:
            flight = self._flying.pop(self.applied, None)
            if flight is not None and flight.value == value:
                for op, result in flight.batch:
                    outcome = self.machine.apply(op)
                    if not result.done():
                        result.set_result(outcome)
            else:
                for op in self._decoder.decode(value)[2]:
                    self.machine.apply(op)
                if flight is not None:
                    self._queue[:0] = flight.batch
            self.applied += 1
        if self.applied > before:
            self.paxos.done(self.applied - 1)
            self._propose()

    # --- keeping up --------------------------------------------------------------------------------------------------

    async def _care(self) -> None:
        """Looks after a replica that is behind."""
        look = 0
        while True:
            before = self.applied
            await self.host.sleep(CARE_INTERVAL * (0.5 + self.host.random.random()))
            look += 1
            stuck = self.applied == before and self.paxos.max() >= self.applied
            if not stuck and self._is_up_to_date() and look % LOOKS_PER_QUESTION:
                continue
            if self._others:
                await self._ask(self._others[look % len(self._others)])
            if stuck and self.applied == before and self._is_up_to_date():
                self._fill_holes()

    async def _ask(self, peer: str) -> None:
        learned = await self.paxos.learn_from(peer, self.applied)
        if learned is None:
            return
        self._known_by_others.setdefault(peer, learned.highest)
        if self.paxos.min() > self.applied:
            await self._fetch_state(peer)
        self._propose()

    def _fill_holes(self) -> None:
        nothing = encode((self._me, 0, []))
        for seq in range(self.applied, min(self.paxos.max() + 1, self.applied + MAX_HOLES)):
            self.paxos.start(seq, nothing)

    # --- lost memory -------------------------------------------------------------------------------------------------

    def _is_up_to_date(self) -> bool:
        """It never lost its memory, or has it back: all that a majority knew."""
        if self.host.lives == 0:
            return True
        known = self._known_by_others.values()
        return len(known) >= self.paxos.core.quorum and self.applied > max(known)

    async def _fetch_state(self, peer: str) -> None:
        """Gets the state from a replica that has it. If that fails, `_care` tries another."""
        state = bytearray()
        applied, total = -1, 1
        while len(state) < total:
            try:
                part = await self.host.call(peer, FetchState(applied, len(state)), timeout=STATE_TIMEOUT)
            except CallFailed:
                return
            if part.offset != len(state):
                return  # it has begun anew with a newer state
            state += part.data
            applied, total = part.applied, part.total
        if applied > self.applied:
            self.machine.restore(bytes(state))
            self.applied = applied
            self.paxos.done(applied - 1)
            self.host.log(f"got the state after {applied} instances from {peer}")
            self._advance()

    def _give_state(self, request: FetchState) -> StatePart:
        offset = request.offset
        if self._state is None or self._state[0] != request.applied:
            self._state = (self.applied, self.machine.snapshot())
            offset = 0
        applied, state = self._state
        part = StatePart(applied, offset, len(state), state[offset : offset + MAX_PART])
        if offset + MAX_PART >= len(state):
            self._state = None  # that was the last part
        return part
