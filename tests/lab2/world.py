"""A few Paxos cores and the messages that are under way between them: nothing moves unless somebody says so.

What a test does returns what came of it, as lines of text: they are the trace of a situation, and of a random walk.
"""

from collections.abc import Callable

from lab2_kvpaxos.paxos.core import Peer
from lab2_kvpaxos.paxos.messages import Learn
from tests.lab2 import carrier
from tests.lab2.carrier import Message, show_decided, show_value

Lines = list[str]


class World:
    """Peers 0 to `size - 1`. A link that is cut loses a question when it sets out, and no answer, as the labs' do."""

    def __init__(self, size: int, peer_type: Callable[[int, int, int], Peer] = Peer) -> None:
        self.peer_type = peer_type
        self.peers = [peer_type(me, size, 0) for me in range(size)]
        self.under_way: list[Message] = []
        self.cuts: set[tuple[int, int]] = set()
        self.decided: dict[int, bytes] = {}
        """What was ever decided, by anyone."""
        self.wanted: dict[int, set[bytes]] = {}

    # --- what peers do -----------------------------------------------------------------------------------------------

    def start(self, me: int, seq: int, value: bytes) -> Lines:
        """The application of a peer proposes."""
        self.wanted.setdefault(seq, set()).add(value)
        return self._after(me, carrier.start(self.peers[me], seq, value))

    def campaign(self, me: int) -> Lines:
        """A peer begins phase 1."""
        return self._after(me, carrier.campaign(self.peers[me]))

    def resend(self, me: int) -> Lines:
        """A peer sends again the proposals that still stand, with what news there are."""
        peer = self.peers[me]
        return self._after(me, carrier.proposals(peer, carrier.standing(peer)))

    def widen(self, me: int) -> Lines:
        """A peer asks everybody where it has asked some only."""
        return self._after(me, carrier.to_the_others(self.peers[me]))

    def tell(self, me: int) -> Lines:
        """A peer tells what the others have not heard or miss."""
        return self._after(me, carrier.tell(self.peers[me]))

    def ask(self, me: int, other: int, first: int) -> Lines:
        """A peer asks another for its decisions."""
        peer = self.peers[me]
        return self._after(me, [Message(me, other, Learn(first, peer.done), None, peer.lives)])

    def done(self, me: int, seq: int) -> Lines:
        """The application of a peer needs nothing up to this instance."""
        self.peers[me].done_up_to(seq)
        return self._after(me, [])

    def restart(self, me: int) -> Lines:
        """A peer dies, and begins anew without memory."""
        self.peers[me] = self.peer_type(me, len(self.peers), self.peers[me].lives + 1)
        return [f"p{me} begins its life number {self.peers[me].lives + 1}"]

    # --- what the network does ---------------------------------------------------------------------------------------

    def deliver(self, message: Message) -> Lines:
        """A message arrives, whether it is still under way or a copy of one that was."""
        peer = self.peers[message.dst]
        if message.asked is not None and message.life != peer.lives:
            return [f"{message}  (to nobody: p{message.dst} has died since)"]
        before = peer.minimum
        sent = carrier.deliver(peer, message)
        forgets = [f"p{peer.me} forgets all before {peer.minimum}"] if peer.minimum > before else []
        return [str(message), *(f"    {line}" for line in (*forgets, *self._after(message.dst, sent)))]

    def lose(self, message: Message) -> Lines:
        """A message is lost, and the peer that asked notices."""
        asker = self.peers[message.src if message.asked is None else message.dst]
        if message.asked is not None and message.life == asker.lives:
            carrier.failed(asker, Message(message.dst, message.src, message.asked))
        elif message.asked is None and message.life == asker.lives:
            carrier.failed(asker, message)
        return [f"{message}  (lost)"]

    def _after(self, me: int, sent: list[Message]) -> Lines:
        """Notes what a peer has decided, and puts what it sends under way."""
        peer = self.peers[me]
        lines = []
        for seq in peer.fresh:
            value = peer.decided.get(seq, self.decided.get(seq, b""))  # it may be forgotten at once
            assert value in self.wanted.get(seq, ()), f"p{me} decided {seq} = {value!r}, which nobody proposed"
            known = self.decided.setdefault(seq, value)
            assert value == known, f"p{me} decided {seq} = {value!r}, and somebody else {known!r}"
            lines.append(f"p{me} decides {seq} = {show_value(value)}")
        peer.fresh.clear()
        for message in sent:
            if message.asked is None and (message.src, message.dst) in self.cuts:
                lines += self.lose(message)
            else:
                self.under_way.append(message)
        return lines

    # --- in words ----------------------------------------------------------------------------------------------------

    def status(self, seq: int) -> Lines:
        """What each peer knows of an instance."""
        return [f"p{peer.me}: {self._fate(peer, seq)}" for peer in self.peers]

    def _fate(self, peer: Peer, seq: int) -> str:
        if seq < peer.minimum:
            return "forgotten"
        return f"decided {show_value(peer.decided[seq])}" if seq in peer.decided else "pending"

    def show(self, me: int) -> Lines:
        """What a peer knows."""
        peer = self.peers[me]
        accepted = carrier.show_accepted((seq, *peer.accepted[seq]) for seq in sorted(peer.accepted))
        return [
            f"promised {carrier.show_ballot(peer.promised)}{', leads' if peer.leads else ''}"
            f"{', abstains' if peer.lives else ''}",
            f"accepted {accepted or 'nothing'}",
            f"decided {show_decided(sorted(peer.decided.items())) or 'nothing'}",
            f"min {peer.minimum}, max {peer.highest}",
        ]
