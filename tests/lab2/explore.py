"""Every order of messages: an exhaustive exploration of the Paxos core, breadth first.

The network is the set of all that was ever sent. Nothing leaves it, so in each state any message may arrive next, for
the first time or again, or never: that is every order, loss and duplication. A call counts as failed as soon as it is
made, although its request and its answer may still arrive: so whatever a peer would tell again stays to be told.

A step touches one peer, and what it does depends on that peer and its mail alone. So it is computed once for each
(peer's state, mail) and remembered; the exploration itself only adds and masks integers. A state is one integer: in its
lowest bits the numbers of the peers' states, above them one bit for each message that was sent. Among the messages
are facts that nobody receives: who accepted and who decided what. The invariants are about these, so about all that
ever happened and not only about what peers remember.

    python -m tests.lab2.explore --seconds 120
"""

import argparse
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from common.wire import encode
from lab2_kvpaxos.paxos.core import Peer
from lab2_kvpaxos.paxos.messages import Abstained, Accept, Accepted, Decide, Noted, Prepare, Promise, Rejected
from tests.lab2 import carrier
from tests.lab2.carrier import Message, show_ballot, show_value

PEERS: Final = 3
QUORUM: Final = 2
PEER_BITS: Final = 20
NUMBER: Final = (1 << PEER_BITS) - 1
NET: Final = PEERS * PEER_BITS
"""The first bit of the network."""


# --- what can happen -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """The application of a peer wants a value."""

    dst: int
    seq: int
    value: bytes

    def __str__(self) -> str:
        return f"p{self.dst} wants {self.seq} = {show_value(self.value)}"


@dataclass(frozen=True)
class Campaign:
    """A peer begins phase 1."""

    dst: int

    def __str__(self) -> str:
        return f"p{self.dst} campaigns"


@dataclass(frozen=True)
class Restart:
    """A peer dies, and begins anew without memory."""

    dst: int

    def __str__(self) -> str:
        return f"p{self.dst} restarts without memory"


@dataclass(frozen=True)
class Forget:
    """The application of a peer is done with an instance, which was decided there."""

    dst: int
    seq: int

    def __str__(self) -> str:
        return f"p{self.dst} is done up to {self.seq}"


@dataclass(frozen=True)
class Widen:
    """A peer asks everybody where it has asked some only."""

    dst: int

    def __str__(self) -> str:
        return f"p{self.dst} asks the others, too"


Event = Start | Campaign | Restart | Forget | Widen | Message


@dataclass(frozen=True)
class Vote:
    """The fact that a peer accepted a value."""

    peer: int
    seq: int
    ballot: int
    value: bytes

    def __str__(self) -> str:
        return f"p{self.peer} accepts {self.seq} = {show_value(self.value)} by {show_ballot(self.ballot)}"


@dataclass(frozen=True)
class Decision:
    """The fact that a peer knew an instance to be decided."""

    peer: int
    seq: int
    value: bytes

    def __str__(self) -> str:
        return f"p{self.peer} decides {self.seq} = {show_value(self.value)}"


class Scenario(NamedTuple):
    """Who may do what, and how often."""

    name: str
    starts: tuple[Start, ...]
    """Wanted from the beginning."""
    campaigns: tuple[int, ...]
    """How often each peer may campaign."""
    later: tuple[Start | Restart | Forget | Widen, ...] = ()
    """What may happen at any time: wishes and forgetting as often as it makes a difference, restarts once."""


A, B, C, D = b"a", b"b", b"c", b"d"

SCENARIOS: Final = (
    Scenario("two proposers", (Start(0, 0, A), Start(1, 0, B)), (1, 1, 0)),
    Scenario("two proposers, one tries again", (Start(0, 0, A), Start(1, 0, B)), (2, 1, 0)),
    Scenario("three proposers", (Start(0, 0, A), Start(1, 0, B), Start(2, 0, C)), (1, 1, 1)),
    Scenario("two instances", (Start(0, 0, A), Start(1, 0, B)), (1, 1, 0), (Start(0, 1, C), Start(1, 1, D))),
    Scenario("a bare majority", (Start(0, 0, A), Start(1, 1, D)), (1, 1, 0), (Start(0, 1, C), Widen(0), Widen(1))),
    Scenario("a voter loses its memory", (Start(0, 0, A), Start(2, 0, C)), (1, 0, 1), (Restart(1),)),
    Scenario("a proposer loses its memory", (Start(0, 0, A), Start(1, 0, B)), (2, 1, 0), (Restart(0), Start(0, 0, D))),
    Scenario(
        "forgetting",
        (Start(0, 0, A), Start(1, 0, B)),
        (1, 1, 0),
        (Forget(0, 0), Forget(1, 0), Forget(2, 0)),
    ),
)


# --- one peer --------------------------------------------------------------------------------------------------------


class Violation(Exception):
    """An invariant does not hold. `last` is the step that broke it."""

    def __init__(self, text: str, last: str = "") -> None:
        super().__init__(text)
        self.last = last


class Node(NamedTuple):
    """A peer, and how often it may still campaign and restart. Nodes are never changed: a step makes a new one."""

    peer: Peer
    campaigns: int
    restarts: int
    forgets: bool
    """It may be done with something."""


def copy_of(peer: Peer) -> Peer:
    """Another peer that knows the same."""
    twin = object.__new__(type(peer))
    for name, value in vars(peer).items():
        setattr(twin, name, _copied(value))
    return twin


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return set(value) if isinstance(value, set) else value


def frozen(value: Any) -> Any:
    """The same for equal values, and hashable. Of a peer, all that its decisions depend on."""
    if isinstance(value, Peer):
        return tuple(frozen(item) for name, item in vars(value).items() if name != "highest")
    if isinstance(value, dict):
        return tuple(sorted((key, frozen(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    return tuple(sorted(value)) if isinstance(value, set) else value


def step(node: Node, event: Event) -> tuple[Node, list[Message]]:
    """What an event makes of a peer, and what it sends."""
    peer = copy_of(node.peer)
    node = node._replace(peer=peer)
    sent: list[Message] = []
    match event:
        case Message():
            if event.asked is None or event.life == peer.lives:
                sent = carrier.deliver(peer, event)
        case Start():
            sent = carrier.start(peer, event.seq, event.value)
        case Campaign():
            if node.campaigns and peer.needs_campaign:
                node = node._replace(campaigns=node.campaigns - 1)
                sent = carrier.campaign(peer)
        case Restart():
            if node.restarts:
                peer = type(peer)(peer.me, peer.size, peer.lives + 1)
                node = node._replace(peer=peer, restarts=node.restarts - 1)
        case Widen():
            sent = carrier.to_the_others(peer)
        case Forget():
            if event.seq in peer.decided:
                peer.done_up_to(event.seq)
    for message in sent:
        carrier.failed(peer, message)
    told = carrier.tell(peer)
    for message in told:
        carrier.failed(peer, message)
    peer.fresh.clear()
    peer.undecided()  # moves on what only saves it the search
    return node, sent + told


def is_spent(node: Node, message: Message) -> bool:
    """Nothing can come of this message any more, whatever happens: it need not be kept.

    That rests on what only grows: a peer's lives, its ballot in one life, what it promised, what it knows to be
    decided. What a message says of who is done is not looked at: where that matters, messages are kept for ever.
    """
    peer, body, asked = node.peer, message.body, message.asked
    if node.forgets:
        return False
    if asked is not None and message.life != peer.lives:
        return True
    match body:
        case Rejected():
            return body.promised <= peer.promised
        case Abstained():
            return True
        case Promise():
            assert isinstance(asked, Prepare)
            return asked.ballot != peer.ballot or len(peer.promises) >= peer.quorum
        case Accepted():
            assert isinstance(asked, Accept)
            counted = asked.ballot != peer.ballot or asked.seq not in peer.votes
            return counted and peer.owed[message.src].keys() >= {*body.missing}
        case Noted():
            return peer.owed[message.src].keys() >= {*body.missing}
        case Decide():
            return not node.restarts and all(seq in peer.decided for seq, _ in (*body.news, *body.values))
    return False


def facts(before: Peer, after: Peer, sent: list[Message]) -> list[Vote | Decision]:
    """What a step made true for ever: what it answered to have accepted, accepted of its own, or knows as decided."""
    answered = [
        Vote(after.me, message.asked.seq, message.asked.ballot, message.asked.value)
        for message in sent
        if isinstance(message.body, Accepted) and isinstance(message.asked, Accept)
    ]
    return (
        answered
        + [
            Vote(after.me, seq, ballot, value)
            for seq, (ballot, value) in after.accepted.items()
            if before.accepted.get(seq) != (ballot, value)
        ]
        + [Decision(after.me, seq, value) for seq, value in after.decided.items() if seq not in before.decided]
    )


def check_step(before: Peer, after: Peer, wanted: set[tuple[int, bytes]]) -> None:
    """What has to hold for each step of one peer. Raises `Violation`."""
    for name, table in (
        ("accepted", {seq: value for seq, (_, value) in after.accepted.items()}),
        ("decided", after.decided),
    ):
        for seq, value in table.items():
            if (seq, value) not in wanted:
                raise Violation(f"validity: p{after.me} has {name} {seq} = {show_value(value)}, which nobody proposed")
    if after.lives > before.lives:
        return
    if after.promised < before.promised:
        raise Violation(
            f"p{after.me} promised {show_ballot(before.promised)}, and then only {show_ballot(after.promised)}"
        )
    for seq, value in before.decided.items():
        if seq >= after.minimum and after.decided.get(seq) != value:
            raise Violation(f"p{after.me} had decided {seq} = {show_value(value)}, and has it no more")


def check_facts(all_facts: list[Vote | Decision]) -> None:
    """Agreement: in each instance, one value is chosen by a majority, and decided. Raises `Violation`."""
    votes: defaultdict[tuple[int, int, bytes], set[int]] = defaultdict(set)
    claims: defaultdict[int, dict[bytes, str]] = defaultdict(dict)
    for fact in all_facts:
        if isinstance(fact, Vote):
            votes[fact.seq, fact.ballot, fact.value].add(fact.peer)
        else:
            claims[fact.seq].setdefault(fact.value, f"decided by p{fact.peer} as {show_value(fact.value)}")
    for (seq, ballot, value), voters in sorted(votes.items()):
        if len(voters) >= QUORUM:
            who = " and ".join(f"p{voter}" for voter in sorted(voters))
            claims[seq].setdefault(value, f"chosen by {who} under {show_ballot(ballot)} as {show_value(value)}")
    for seq, values in claims.items():
        if len(values) > 1:
            raise Violation(f"agreement: instance {seq} was {', and '.join(sorted(values.values()))}")


# --- all peers, all orders -------------------------------------------------------------------------------------------


class Move(NamedTuple):
    """A step of one peer, as arithmetic on a state: add `change`, then set the bits of `sent`."""

    change: int
    sent: int
    to: tuple[int, ...]
    """Where the numbers of the peers stand that get mail."""
    event: int


class Result(NamedTuple):
    """How far an exploration came."""

    scenario: str
    states: int
    depth: int
    seconds: float
    exhausted: bool
    """There is no other state."""
    violation: str = ""
    trace: tuple[str, ...] = ()
    """One of the shortest ways to the violation, a line a step."""

    def __str__(self) -> str:
        rate = self.states / self.seconds if self.seconds else 0.0
        end = "violated" if self.violation else "exhausted" if self.exhausted else "not exhausted"
        return (
            f"{self.scenario}: {self.states:,} states, depth {self.depth}, {self.seconds:.1f} s,"
            f" {rate:,.0f} states/s, {end}"
        )


def ones(bits: int) -> Iterator[int]:
    """The positions of the bits that are set."""
    while bits:
        yield (bits & -bits).bit_length() - 1
        bits &= bits - 1


class Exploration:
    """All states of one scenario, with peers of one kind."""

    def __init__(self, scenario: Scenario, peer_type: Callable[[int, int], Peer] = Peer) -> None:
        self.scenario = scenario
        self._wanted = {(act.seq, act.value) for act in (*scenario.starts, *scenario.later) if isinstance(act, Start)}
        self._events: list[Event | Vote | Decision] = []
        """What each bit of the network means."""
        self._bits: dict[Any, int] = {}
        self._facts = 0
        """The bits that are facts."""
        self._own = [NUMBER << PEER_BITS * peer for peer in range(PEERS)]
        """For each peer the bits of a state that it depends on: its own number, and its mail."""
        self._nodes: list[Node] = []
        self._numbers: dict[Any, int] = {}
        self._moves: list[dict[int, list[Move]]] = [{} for _ in range(PEERS)]
        self._messages_to: list[list[tuple[int, Message]]] = [[] for _ in range(PEERS)]
        self._spent: list[int] = []
        """For each node the messages of which nothing can come there."""
        self._sure: list[int] = []
        """Those of which that has been tried."""
        self._effects: dict[tuple[int, int], tuple[int, int, tuple[int, ...]]] = {}
        self._first = self._initial(peer_type)
        self._states = [self._first]
        self._parents = array("q", [0])

    def _initial(self, peer_type: Callable[[int, int], Peer]) -> int:
        state = 0
        for me, campaigns in enumerate(self.scenario.campaigns):
            restarts = sum(act == Restart(me) for act in self.scenario.later)
            forgets = any(isinstance(act, Forget) for act in self.scenario.later)
            node = Node(peer_type(me, PEERS), campaigns, restarts, forgets)
            for wish in self.scenario.starts:
                if wish.dst == me:
                    node, _ = step(node, wish)
            state |= self._number(node) << PEER_BITS * me
        acts = (*(Campaign(me) for me in range(PEERS)), *self.scenario.later)
        return state | sum(self._bit(act, act) for act in acts)

    def _number(self, node: Node) -> int:
        number = self._numbers.setdefault(frozen(node), len(self._nodes))
        if number == len(self._nodes):
            assert number <= NUMBER, "too many states of a peer: give them more bits"
            self._nodes.append(node)
            self._spent.append(0)
            self._sure.append(0)
            for bit, event in self._messages_to[node.peer.me]:
                self._spent[number] |= bit * is_spent(node, event)
        return number

    def _after(self, state: int, move: Move) -> int:
        """The state after a move."""
        change, sent, to, event = move
        state += change
        if sent & ~state:
            state |= sent
            for shift in to:
                number = state >> shift & NUMBER
                state -= self._verified(number, state & self._spent[number], event)
        return state

    def _verified(self, number: int, spent: int, last: int) -> int:
        """The same messages, of which really nothing comes. Raises `Violation`, with the event that came last."""
        unsure = spent & ~self._sure[number]
        if unsure:
            node = self._nodes[number]
            for message in self._in(unsure):
                assert isinstance(message, Message)
                after, sent = step(node, message)
                if frozen(after) != frozen(node) or any(isinstance(more.body, Prepare | Accept) for more in sent):
                    raise Violation(f"p{message.dst} should be past this: {message}", str(self._events[last]))
            self._sure[number] |= unsure
        return spent

    def _bit(self, key: Any, event: Event | Vote | Decision) -> int:
        """The bit that stands for a message, an act or a fact."""
        bit = self._bits.get(key)
        if bit is None:
            bit = self._bits[key] = 1 << NET + len(self._events)
            self._events.append(event)
            if isinstance(event, Vote | Decision):
                self._facts |= bit
            else:
                self._own[event.dst] |= bit
            if isinstance(event, Message):
                self._messages_to[event.dst].append((bit, event))
                for number, node in enumerate(self._nodes):
                    self._spent[number] |= bit * (node.peer.me == event.dst and is_spent(node, event))
        return bit

    def _bit_of(self, message: Message) -> int:
        kinds = (type(message.body).__name__, type(message.asked).__name__)
        return self._bit((*kinds, message.src, message.dst, message.life, encode(message[2:4])), message)

    def _moves_of(self, me: int, own: int) -> list[Move]:
        """All that one peer can do, given its own part of a state."""
        number = own >> PEER_BITS * me & NUMBER
        moves: dict[tuple[int, int], Move] = {}
        for event in ones(own >> NET):
            effect = self._effects.get((number, event))
            if effect is None:
                effect = self._effects[number, event] = self._effect(number, event)
            after, sent, to = effect
            change = (after - number << PEER_BITS * me) - self._verified(after, own & self._spent[after], event)
            if change or sent:
                moves.setdefault((change, sent), Move(change, sent, to, event))
        return list(moves.values())

    def _effect(self, number: int, index: int) -> tuple[int, int, tuple[int, ...]]:
        """The node after an event, what it sends, and to whom (see `Move`)."""
        event = self._events[index]
        assert not isinstance(event, Vote | Decision)
        node = self._nodes[number]
        try:
            after, messages = step(node, event)
            check_step(node.peer, after.peer, self._wanted)
        except (AssertionError, Violation) as error:
            raise Violation(str(error), last=str(event)) from error
        sent = 0
        for message in messages:
            sent |= self._bit_of(message)
        for fact in facts(node.peer, after.peer, messages):
            sent |= self._bit(fact, fact)
        return self._number(after), sent, tuple(PEER_BITS * peer for peer in range(PEERS) if sent & self._own[peer])

    def run(self, max_states: int, seconds: float) -> Result:
        """Explores until there is nothing new, something is wrong, or a bound is reached."""
        states, parents, own, after = self._states, self._parents, self._own, self._after
        seen = {self._first}
        sound = {0}
        """The sets of facts that agree with each other."""
        began = time.monotonic()
        depth, level_end, at = 0, 1, 0

        def result(**more: Any) -> Result:
            return Result(self.scenario.name, len(states), depth, time.monotonic() - began, at == len(states), **more)

        try:
            while at < len(states) < max_states:
                if at == level_end:
                    depth, level_end = depth + 1, len(states)
                if not at % 1024 and time.monotonic() - began > seconds:
                    break
                state = states[at]
                for me, known in enumerate(self._moves):
                    part = state & own[me]
                    moves = known.get(part)
                    if moves is None:
                        moves = known[part] = self._moves_of(me, part)
                    for move in moves:
                        new = after(state, move)
                        if new in seen:
                            continue
                        seen.add(new)
                        states.append(new)
                        parents.append(at)
                        claimed = new & self._facts
                        if claimed not in sound:
                            self._check(state, new)
                            sound.add(claimed)
                at += 1
        except Violation as violation:
            last = (violation.last,) if violation.last else ()
            return result(violation=str(violation), trace=(*self._trace(at), *last, f"!! {violation}"))
        return result()

    def outcomes(self) -> set[frozenset[str]]:
        """What was true in the states that were found: who had accepted and decided what."""
        return {frozenset(map(str, self._in(claimed))) for claimed in {state & self._facts for state in self._states}}

    def _check(self, before: int, after: int) -> None:
        """Checks the facts of a new state."""
        try:
            check_facts([fact for fact in self._in(after & self._facts) if isinstance(fact, Vote | Decision)])
        except Violation as violation:
            raise Violation(str(violation), last=self._line(before, after)) from None

    def _in(self, bits: int) -> Iterator[Event | Vote | Decision]:
        """What the bits of a network stand for."""
        return (self._events[index] for index in ones(bits >> NET))

    def _trace(self, at: int) -> list[str]:
        """How the state of this index came about, a line a step."""
        path = [self._states[at]]
        while at:
            at = self._parents[at]
            path.append(self._states[at])
        return [self._line(before, after) for before, after in pairwise(reversed(path))]

    def _line(self, before: int, after: int) -> str:
        """The step between two states."""
        for me in range(PEERS):
            for move in self._moves_of(me, before & self._own[me]):
                if self._after(before, move) == after:
                    news = list(self._in(after & ~before >> NET << NET))
                    made = [str(fact) for fact in news if isinstance(fact, Vote | Decision)]
                    sent = [str(message) for message in news if isinstance(message, Message)]
                    then = "; ".join(made + sent)
                    return f"{self._events[move.event]}{'  =>  ' if then else ''}{then}"
        raise AssertionError("expected a step from a state to its child, found none")


def explore_all(
    max_states: int,
    seconds: float,
    scenarios: tuple[Scenario, ...] = SCENARIOS,
    peer_type: Callable[[int, int], Peer] = Peer,
) -> Iterator[Result]:
    """Explores each scenario. Time that one does not need is for those after it."""
    end = time.monotonic() + seconds
    for position, scenario in enumerate(scenarios):
        share = (end - time.monotonic()) / (len(scenarios) - position)
        yield Exploration(scenario, peer_type).run(max_states, share)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Explores the Paxos core over all orders of messages.")
    parser.add_argument("--seconds", type=float, default=15.0, help="for all scenarios together")
    parser.add_argument("--states", type=int, default=20_000_000, help="at most, in one scenario")
    parser.add_argument("-k", dest="name", default="", help="only scenarios whose names contain this")
    options = parser.parse_args()
    chosen = tuple(scenario for scenario in SCENARIOS if options.name in scenario.name)
    violated = False
    for result in explore_all(options.states, options.seconds, chosen):
        print(result, *result.trace, sep="\n  ", flush=True)
        violated |= bool(result.violation)
    return int(violated)


if __name__ == "__main__":
    sys.exit(main())
