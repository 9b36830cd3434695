"""Carries the messages of a Paxos core one at a time, as paxos/paxos.py does, without a host, a clock or retries.

Each function here tells one core of one event and gives the messages that it then sends. Who holds them, loses them or
delivers them twice is the affair of the tests: `explore.py` tries every order, `world.py` the one that a test asks for.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lab2_kvpaxos.paxos.core import DECIDED, EVERYTHING, NO_BALLOT, Peer, owner
from lab2_kvpaxos.paxos.messages import (
    Abstained,
    Accept,
    Accepted,
    Decide,
    Learn,
    Learned,
    News,
    Noted,
    Prepare,
    Promise,
    Rejected,
)

MAX_NEWS = 1000

Question = Prepare | Accept | Decide | Learn
Answer = Promise | Accepted | Rejected | Abstained | Noted | Learned


class Message(NamedTuple):
    """A question, or an answer with the question that it answers, and in which of its lives the asker asked."""

    src: int
    dst: int
    body: Question | Answer
    asked: Question | None = None
    life: int = 0

    def __str__(self) -> str:
        return f"p{self.src} -> p{self.dst}  {describe(self.body, self.asked)}"


# --- what a core sends -----------------------------------------------------------------------------------------------


def others(peer: Peer) -> list[int]:
    """All peers but this one."""
    return [other for other in range(peer.size) if other != peer.me]


def start(peer: Peer, seq: int, value: bytes) -> list[Message]:
    """The application wants a value."""
    accept = peer.start(seq, value)
    return [] if accept is None else proposals(peer, [accept])


def campaign(peer: Peer) -> list[Message]:
    """Phase 1 begins."""
    prepare = peer.campaign()
    accepts = proposals(peer, peer.due()) if peer.leads else []  # a single peer is a majority
    return [Message(peer.me, other, prepare, life=peer.lives) for other in others(peer)] + accepts


def proposals(peer: Peer, accepts: Iterable[Accept]) -> list[Message]:
    """Proposals for those who are asked at first, each with the news that there is."""
    return [
        Message(peer.me, other, with_news(peer, other, accept), life=peer.lives)
        for accept in accepts
        for other in peer.ask(accept.seq)
    ]


def to_the_others(peer: Peer) -> list[Message]:
    """The proposals that still want votes, for those who were not asked."""
    return [
        Message(peer.me, other, with_news(peer, other, accept), life=peer.lives)
        for accept in standing(peer)
        for other in peer.ask_the_others(accept.seq)
    ]


def with_news(peer: Peer, other: int, accept: Accept) -> Accept:
    """A proposal for one of the others."""
    return Accept(accept.ballot, accept.seq, accept.value, peer.take_news(other, MAX_NEWS), peer.done)


def standing(peer: Peer) -> list[Accept]:
    """The proposals that still want votes: paxos.py sends them until they are answered."""
    return [
        Accept(peer.ballot, seq, value, [], peer.done)
        for seq, value in peer.values.items()
        if peer.is_proposing(peer.ballot, seq)
    ]


def tell(peer: Peer) -> list[Message]:
    """The news that no proposal took along, and the values that the others miss."""
    return [
        Message(
            peer.me,
            other,
            Decide(peer.take_news(other, MAX_NEWS), peer.take_owed(other, MAX_NEWS), peer.done),
            None,
            peer.lives,
        )
        for other in others(peer)
        if peer.news[other] or peer.owed[other]
    ]


def failed(peer: Peer, question: Message) -> None:
    """A question of this peer found no answer: what it told has to be told again."""
    if isinstance(question.body, Accept | Decide):
        peer.give_back(question.dst, question.body.news)
    if isinstance(question.body, Decide):
        peer.owe(question.dst, (seq for seq, _ in question.body.values))


# --- what a core hears -----------------------------------------------------------------------------------------------


def deliver(peer: Peer, message: Message) -> list[Message]:
    """A message arrives at this peer. Gives what it sends at once: the answer, or what it may now propose."""
    peer.merge_done(message.body.done)
    if message.asked is not None:
        return _answered(peer, message)
    assert isinstance(message.body, Question)
    return [Message(peer.me, message.src, _answer(peer, message.body), message.body, message.life)]


def _answer(peer: Peer, asked: Question) -> Answer:
    match asked:
        case Prepare():
            return peer.prepare(asked.ballot, asked.first)
        case Accept():
            missing = peer.note(asked.news)
            reply = peer.accept(asked.ballot, asked.seq, asked.value)
            return Accepted(missing, peer.done) if isinstance(reply, Accepted) else reply
        case Decide():
            for seq, value in asked.values:
                peer.learn(seq, value)
            return Noted(peer.note(asked.news), peer.done)
        case Learn():
            return peer.decided_from(asked.first)


def _answered(peer: Peer, message: Message) -> list[Message]:
    reply, asked = message.body, message.asked
    if isinstance(reply, Accepted | Noted):
        peer.owe(message.src, reply.missing)
    elif isinstance(asked, Accept):
        peer.give_back(message.src, asked.news)
    if isinstance(reply, Rejected):
        peer.saw(reply.promised)
    if isinstance(reply, Learned):
        for seq, value in reply.values:
            peer.learn(seq, value)
        peer.highest = max(peer.highest, reply.highest)
    if isinstance(reply, Accepted) and isinstance(asked, Accept):
        peer.vote_from(message.src, asked.ballot, asked.seq)
    if (
        isinstance(reply, Promise)
        and isinstance(asked, Prepare)
        and peer.promise_from(message.src, asked.ballot, reply)
    ):
        return proposals(peer, peer.due())
    return []


# --- in words --------------------------------------------------------------------------------------------------------


def show_ballot(ballot: int) -> str:
    """`2.p1`: the second round, of peer 1. A dash for each life before that."""
    if ballot == NO_BALLOT:
        return "none"
    if ballot == DECIDED:
        return "decided"
    return f"{ballot >> 24}.p{owner(ballot)}{chr(39) * (ballot >> 8 & 0xFFFF)}"


def show_value(value: bytes) -> str:
    """A value as it is written in a script."""
    return f'"{value.decode()}"'


def show_accepted(accepted: Iterable[tuple[int, int, bytes]]) -> str:
    """What was accepted: instance, value and ballot."""
    return ", ".join(
        f"{seq} = {show_value(value)} {'decided' if ballot == DECIDED else f'by {show_ballot(ballot)}'}"
        for seq, ballot, value in accepted
    )


def show_news(news: News) -> str:
    """Which instances were decided, under which ballots."""
    return ", ".join(f"{seq} by {show_ballot(ballot)}" for seq, ballot in news)


def show_decided(values: Iterable[tuple[int, bytes]]) -> str:
    """Decided instances with their values."""
    return ", ".join(f"{seq} = {show_value(value)}" for seq, value in values)


def describe(body: Question | Answer, asked: Question | None = None) -> str:
    """A message in one line."""
    match body:
        case Prepare():
            return f"Prepare {show_ballot(body.ballot)} from {body.first}"
        case Promise():
            assert isinstance(asked, Prepare)
            upto = "" if body.upto == EVERYTHING else f", up to {body.upto}"
            return f"Promise {show_ballot(asked.ballot)}: {show_accepted(body.accepted) or 'nothing'}{upto}"
        case Rejected():
            return f"Rejected, promised {show_ballot(body.promised)}"
        case Abstained():
            return "Abstained"
        case Accept():
            news = f"; decided: {show_news(body.news)}" if body.news else ""
            return f"Accept {show_ballot(body.ballot)} {body.seq} = {show_value(body.value)}{news}"
        case Accepted():
            assert isinstance(asked, Accept)
            return f"Accepted {show_ballot(asked.ballot)} {asked.seq}{_show_missing(body.missing)}"
        case Decide():
            parts = [show_news(body.news), show_decided(body.values)]
            return f"Decide {', '.join(part for part in parts if part)}"
        case Noted():
            return f"Noted{_show_missing(body.missing)}"
        case Learn():
            return f"Learn from {body.first}"
        case Learned():
            return f"Learned {show_decided(body.values) or 'nothing'}, highest {body.highest}"


def _show_missing(missing: list[int]) -> str:
    return f", missing {', '.join(map(str, missing))}" if missing else ""
