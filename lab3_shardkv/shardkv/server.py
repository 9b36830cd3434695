"""A server of a replica group: carries clerks' operations into the group's log, and looks after configurations and
handovers. What is to be done next stands in the group's state; see core.py for why it is right to do it.

One replica, the one that leads, does the work. The others ask now and then whether it lives, and if it does not, they
do it. Twice does no harm.
"""

import asyncio
from collections import defaultdict
from typing import Any, Final, TypeVar

from common.host import CallFailed, Host, every
from common.protocol import GetShards, Shards
from common.wire import Request
from lab2_kvpaxos.paxosrsm.clients import ClientOps
from lab2_kvpaxos.paxosrsm.rsm import PaxosRSM
from lab3_shardkv.shardkv.core import Group, Handover
from lab3_shardkv.shardkv.messages import (
    ELSEWHERE,
    HERE,
    Awaited,
    Begin,
    Entry,
    Execute,
    Forget,
    Give,
    Leader,
    NextConfig,
    NotYet,
    Offer,
    Op,
    Part,
    Settled,
    Withdrawn,
    WrongGroup,
)
from lab3_shardkv.shardmaster.clerk import News

LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks of the one that leads for a new configuration and for what is to be handed over."""
LOOKS_PER_QUESTION: Final = 5
"""The others ask in every so manieth look whether the leader lives."""
ALIVE_TIMEOUT: Final = 0.3
OVERDUE: Final = 3.0
"""Seconds after which the others do what the leader, though alive, has not done."""
PIECE_TIMEOUT: Final = 2.0
"""Seconds that another group has to put a piece into its log."""
PARTS_AT_ONCE: Final = 2
"""Parts of one shard that are under way."""
MOVE_RATE: Final = 9_500_000
"""Bytes a second that a group gives away at most: all others share the processors with both groups' replicas."""
FIRST_PAUSE: Final = 0.005
LAST_PAUSE: Final = 0.1
"""Seconds between two tries, at first and after many."""


R = TypeVar("R")
Answer = NotYet | Awaited | Settled


class ShardKV:
    """One server."""

    def __init__(self, host: Host, gid: int, masters: list[str], servers: list[str]) -> None:
        self.host = host
        self.group = Group(gid, servers)
        self.rsm: PaxosRSM[Entry] = PaxosRSM(host, servers, self, Entry)  # type: ignore[arg-type]  # a union is no class
        self._masters = News(host, masters)
        self.ops: ClientOps[Op] = ClientOps(host, self.rsm)
        self._pieces: set[tuple[int, int, bytes]] = set()
        """Pieces of shards that are in the log's hands."""
        self._following = False
        self._handing_over: set[tuple[int, int]] = set()
        """Configuration and shard of each handover that is being worked on."""
        self._first_seen: dict[object, float] = {}
        """When this replica first saw something that is to be done."""
        self._helpful: dict[int, int] = {}
        """Which server of each other group was of help last."""
        self._asked: dict[tuple[int, int], int] = {}
        """Which one is asked next in each handover: each goes its own way round, otherwise one meets only the dead."""
        self._giving: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Each group gets one shard after the other: then the first is served as soon as can be."""
        self._rest_until = 0.0
        """Before this moment nothing more is given away."""
        self._silent: str | None = None
        """The leader that did not answer."""

    async def run(self) -> None:
        """Serves."""
        await self.host.serve(
            {
                **self.rsm.handlers,
                Execute: self.execute,
                Offer: self.offer,
                Give: self.give,
                GetShards: self.get_shards,
            }
        )
        self.host.spawn(every(self.host, LOOK_INTERVAL, self._look_after), name="look after")
        self.host.spawn(every(self.host, LOOK_INTERVAL * LOOKS_PER_QUESTION, self._ask_leader), name="ask leader")

    # --- the machine of the log --------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> Any:
        """Executes an entry. If it changes who has what, there may be work."""
        if isinstance(entry, Op):
            self.ops.applied(entry)
            return self.group.execute(entry)
        if isinstance(entry, Part | Withdrawn):
            self._pieces.discard(_name(entry))
        self.group.apply(entry)
        if self.group.news:
            self._tell()
        return None

    def snapshot(self) -> bytes:
        """The group's state."""
        return self.group.snapshot()

    def restore(self, state: bytes) -> None:
        """Takes the group's state."""
        self.group.restore(state)
        self._tell()

    def _tell(self) -> None:
        for line in self.group.news:
            self.host.log(line)
        self.group.news.clear()
        self._look_after()

    # --- clerks ------------------------------------------------------------------------------------------------------

    def execute(self, request: Execute) -> Any:
        """A clerk, or another server for a clerk, wants an operation executed. The reply may be one to come."""
        op = request.op
        holding = self.group.holding(op.key)
        if op.kind != "get" and (known := holding.known(op)) is not None:
            return known
        leader = self.rsm.leader
        if request.route == HERE or leader is None or leader == self.host.name:
            # Where it stands in the log decides. This only spares the log what can be seen to be in vain.
            return self.ops.submit(op) if holding.state == "serving" else WrongGroup(self.group.config.num)
        if request.route == ELSEWHERE:
            return Leader(leader)
        return self.ops.pass_on(op, leader, Execute(op, HERE))

    def get_shards(self, request: GetShards) -> Shards:
        """Somebody wants to see what is here."""
        return Shards(self.group.config.num, self.group.shards())

    # --- who does what there is to do --------------------------------------------------------------------------------

    def _leads(self) -> bool:
        """This replica does what has to be done once for the whole group."""
        return self.rsm.leader in (None, self.host.name, self._silent)

    def _is_overdue(self, thing: object) -> bool:
        """The leader lives, but has not done it for long: perhaps it is cut off from where it would have to be done."""
        return self.host.now() - self._first_seen.setdefault(thing, self.host.now()) > OVERDUE

    async def _ask_leader(self) -> None:
        leader = self.rsm.leader
        if leader is None or leader == self.host.name:
            return
        try:
            await self.host.call(leader, GetShards(), timeout=ALIVE_TIMEOUT)
            self._silent = None
        except CallFailed:
            self._silent = leader

    def _look_after(self) -> None:
        """Begins whatever is to be done and is not being done."""
        handovers = {(each.num, each.shard) for each in self.group.handovers()}
        upcoming = self.group.config.num + 1
        for thing in [each for each in self._first_seen if each not in handovers and each != upcoming]:
            del self._first_seen[thing]
        for handover in sorted(handovers - self._handing_over):
            if self._leads() or self._is_overdue(handover):
                self._handing_over.add(handover)
                self.host.spawn(self._hand_over(*handover), name=f"hand over {handover}")
        if not self._following:
            self._following = True
            self.host.spawn(self._follow(), name="follow")

    # --- configurations ----------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Follows the configurations that there are, as far as the group can."""
        while (config := await self._masters.get(self.group.config.num + 1)) is not None:
            if not self.group.can_follow(config) or not (self._leads() or self._is_overdue(config.num)):
                break
            await self.rsm.submit(NextConfig(config))
        self._following = False

    # --- giving ------------------------------------------------------------------------------------------------------

    async def _hand_over(self, num: int, shard: int) -> None:
        """Brings a handover to its end."""
        pause = FIRST_PAUSE
        while (handover := self.group.handover(num, shard)) is not None:
            match handover.kind:
                case "offer":
                    reply = await self._ask(handover, Offer(handover.to.gid, num, shard))
                case "give":
                    reply = await self._give_parts(handover)
                case "withdraw":
                    reply = await self._give(handover, Withdrawn(num, shard))
            if isinstance(reply, Awaited) and handover.kind == "offer":
                await self.rsm.submit(Begin(num, shard))
            elif isinstance(reply, Settled) and handover.kind != "offer":
                await self.rsm.submit(Forget(num, shard))
            elif self._leads() or self._is_overdue((num, shard)):
                await self.host.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)
            else:
                break  # another leads now
        self._handing_over.discard((num, shard))
        self._asked.pop((num, shard), None)

    async def _give_parts(self, handover: Handover) -> Answer | None:
        """Gives a whole shard. Ends when the other group has it, or the handover is over."""

        async def give_some() -> None:
            for part in parts:
                await self._keep_pace(len(part.data))
                pause = FIRST_PAUSE
                while not isinstance(await self._give(handover, part), Awaited | Settled):
                    if self.group.handover(handover.num, handover.shard) is None:
                        return
                    await self.host.sleep(pause)
                    pause = min(2 * pause, LAST_PAUSE)

        async with self._giving[handover.to.gid]:
            if self.group.handover(handover.num, handover.shard) is None:
                return None
            parts = self.group.parts(handover)
            await asyncio.gather(*(give_some() for _ in range(PARTS_AT_ONCE)))
        return await self._ask(handover, Offer(handover.to.gid, handover.num, handover.shard))

    async def _keep_pace(self, size: int) -> None:
        now = self.host.now()
        begin = max(now, self._rest_until)
        self._rest_until = begin + size / MOVE_RATE
        if begin > now:
            await self.host.sleep(begin - now)

    async def _give(self, handover: Handover, piece: Part | Withdrawn) -> Answer | None:
        """Has a piece put into another group's log, by the replica that leads there, or by another if it is silent."""
        to, key = handover.to, (handover.num, handover.shard)
        reply = await self._ask(handover, Give(to.gid, piece, here=False))
        if isinstance(reply, Leader) and reply.server in to.servers:
            told_by = self._place(handover)
            self._asked[key] = to.servers.index(reply.server)
            reply = await self._ask(handover, Give(to.gid, piece, here=True))
            if reply is None:
                self._asked[key] = told_by
                reply = await self._ask(handover, Give(to.gid, piece, here=True))
        return None if isinstance(reply, Leader) else reply

    async def _ask(self, handover: Handover, request: Request[R]) -> R | None:
        """The answer of a server of the other group, None if there is none. Who was no help is not asked next."""
        to, place = handover.to, self._place(handover)
        reply: R | None
        try:
            reply = await self.host.call(to.servers[place], request, timeout=PIECE_TIMEOUT)
        except CallFailed:
            reply = None
        if reply is None or isinstance(reply, NotYet):
            self._asked[handover.num, handover.shard] = (place + 1) % len(to.servers)
        else:
            self._asked[handover.num, handover.shard] = self._helpful[to.gid] = place
        return reply

    def _place(self, handover: Handover) -> int:
        place = self._asked.get((handover.num, handover.shard), self._helpful.get(handover.to.gid, 0))
        return place % len(handover.to.servers)

    # --- getting -----------------------------------------------------------------------------------------------------

    def offer(self, request: Offer) -> Answer:
        """Another group has a shard for this one."""
        answer = self.group.answer(request.gid, request.num, request.shard)
        if isinstance(answer, NotYet):
            self._look_after()  # there is a configuration that this replica does not know
        return answer

    async def give(self, request: Give) -> Answer | Leader:
        """Another group gives a piece of a shard, or says that it does not come."""
        piece = request.piece
        answer = self.group.answer(request.gid, piece.num, piece.shard)
        if not isinstance(answer, Awaited):
            return answer
        leader = self.rsm.leader
        if leader is not None and leader != self.host.name and not request.here:
            return Leader(leader)
        if _name(piece) in self._pieces:
            return NotYet()  # without a majority, the same would be in the queue again and again
        self._pieces.add(_name(piece))
        await self.rsm.submit(piece)
        return self.group.answer(request.gid, piece.num, piece.shard)


def _name(piece: Part | Withdrawn) -> tuple[int, int, bytes]:
    return piece.num, piece.shard, piece.data if isinstance(piece, Part) else b""
