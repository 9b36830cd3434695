"""A few groups, each with its log and some replicas that lag behind it, and the messages under way between them.

Nothing moves unless somebody says so. All that is served anywhere is held against one model of all keys.
"""

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from common.protocol import NOBODY, Config, Done, Value, shard_of
from lab3_shardkv.shardkv.core import Group, Handover
from lab3_shardkv.shardkv.messages import (
    Awaited,
    Begin,
    Entry,
    Forget,
    NextConfig,
    Op,
    Owner,
    Part,
    Settled,
    Withdrawn,
    WrongGroup,
)

SHARDS: Final = 3
KEYS: Final = ("a", "b", "c", "d", "e", "f")
"""Keys: two in each shard."""

MakeGroup = Callable[[int, list[str]], Group]


class Replicas:
    """A group: its log, and replicas that have applied more or less of it. The first has applied all."""

    def __init__(self, gid: int, servers: list[str], make: MakeGroup = Group) -> None:
        self.gid = gid
        self.servers = servers
        self.make = make
        self.log: list[Entry] = []
        self.replicas = [make(gid, servers) for _ in servers]
        self.applied = [0 for _ in servers]

    @property
    def front(self) -> Group:
        """The replica that has applied all."""
        return self.replicas[0]

    def decide(self, entry: Entry) -> Value | object:
        """Puts an entry into the log. Gives the result."""
        self.log.append(entry)
        self.applied[0] = len(self.log)
        return self.front.apply(entry)

    def catch_up(self, number: int, entries: int) -> None:
        """A replica applies some more of the log."""
        for entry in self.log[self.applied[number] : self.applied[number] + entries]:
            self.replicas[number].apply(entry)
            self.applied[number] += 1

    def lose_memory(self, number: int) -> None:
        """A replica begins anew, and gets the state of the first."""
        self.replicas[number] = self.make(self.gid, self.servers)
        self.replicas[number].restore(self.front.snapshot())
        self.applied[number] = len(self.log)


class Message(NamedTuple):
    """A question of one group to another, and the answer if it has been answered."""

    sender: Owner
    handover: Handover
    piece: Part | Withdrawn | None
    answer: object = None


class World:
    """Groups, and what is under way between them."""

    def __init__(self, seed: int, make: MakeGroup = Group) -> None:
        self.random = Random(seed)
        self.make = make
        self.groups: list[Replicas] = []
        self.configs = [Config(0, [NOBODY] * SHARDS, {})]
        self.under_way: list[Message] = []
        self.model: dict[str, str] = {}
        self.executed: set[tuple[int, int]] = set()
        self.asked: list[Op] = []
        """Every write that was ever asked for: any of them may come again."""
        self.seqs: dict[int, int] = {}
        self.waiting: dict[int, Op] = {}
        """The write of each client that has no answer yet."""
        self.trace: list[str] = []
        self.moves = 0
        """Shards that arrived somewhere."""

    def add(self, gid: int, servers: list[str]) -> Replicas:
        """A group begins to live."""
        group = Replicas(gid, servers, self.make)
        self.groups.append(group)
        return group

    def configure(self, shards: list[int], groups: dict[int, list[str]]) -> None:
        """The masters have a next configuration."""
        self.configs.append(Config(len(self.configs), shards, groups))
        self.trace.append(f"masters: config {len(self.configs) - 1} is {shards}")

    def find(self, to: Owner) -> Replicas | None:
        """The group, if it lives."""
        return next((each for each in self.groups if (each.gid, each.servers) == (to.gid, to.servers)), None)

    # --- what groups do ----------------------------------------------------------------------------------------------

    def follow(self, group: Replicas) -> None:
        """A group has the configuration after one that some replica is in put into its log, be it in vain."""
        replica = self.random.choice(group.replicas)
        if replica.config.num + 1 < len(self.configs):
            self.decide(group, NextConfig(self.configs[replica.config.num + 1]))

    def send(self, group: Replicas) -> None:
        """Some replica says what it has to say to somebody."""
        replica = self.random.choice(group.replicas)
        handovers = replica.handovers()
        if not handovers:
            return
        handover = self.random.choice(handovers)
        piece: Part | Withdrawn | None = None
        if handover.kind == "withdraw":
            piece = Withdrawn(handover.num, handover.shard)
        elif handover.kind == "give" and self.random.random() < 0.9:
            piece = self.random.choice(list(replica.parts(handover)))
        self.under_way.append(Message(Owner(group.gid, group.servers), handover, piece))

    def deliver(self, message: Message) -> None:
        """A question or an answer arrives, whether it is still under way or a copy of one that was."""
        num, shard, kind = message.handover.num, message.handover.shard, message.handover.kind
        if message.answer is not None:
            sender = self.find(message.sender)
            if sender is None:
                return
            if isinstance(message.answer, Awaited) and kind == "offer":
                self.decide(sender, Begin(num, shard))
            elif isinstance(message.answer, Settled) and kind != "offer":
                self.decide(sender, Forget(num, shard))
            return
        receiver = self.find(message.handover.to)
        if receiver is None:
            return
        replica = self.random.choice(receiver.replicas)
        answer = replica.answer(receiver.gid, num, shard)
        if isinstance(answer, Awaited) and message.piece is not None:
            self.decide(receiver, message.piece)
            answer = receiver.front.answer(receiver.gid, num, shard)
        self.under_way.append(message._replace(answer=answer))

    # --- what clerks do ----------------------------------------------------------------------------------------------

    def ask(self, client: int) -> None:
        """A client asks some group for what it wants: its present write, or one that it wants now."""
        if client not in self.waiting:
            self.seqs[client] = seq = self.seqs.get(client, 0) + 1
            op = Op("append", client, seq, self.random.choice(KEYS), f"{client}.{seq} ")
            self.waiting[client] = op
            self.asked.append(op)
        self.decide(self.random.choice(self.groups), self.waiting[client])

    def ask_again(self) -> None:
        """A copy of an old write arrives late, or somebody reads."""
        if self.random.random() < 0.5 and self.asked:
            op = self.random.choice(self.asked)
        else:
            op = Op("get", 99, 1, self.random.choice(KEYS), "")
        self.decide(self.random.choice(self.groups), op)

    def decide(self, group: Replicas, entry: Entry) -> None:
        """An entry gets into a group's log, and what comes of it is checked."""
        group.front.news.clear()
        result = group.decide(entry)
        self.trace += [f"{group.gid} {group.servers[0]}: {line}" for line in group.front.news]
        self.moves += isinstance(entry, Part) and bool(group.front.news)
        if isinstance(entry, Op):
            self._check_result(group, entry, result)
        self._check_rights()

    # --- what must hold ----------------------------------------------------------------------------------------------

    def _check_result(self, group: Replicas, op: Op, result: object) -> None:
        if isinstance(result, WrongGroup):
            return
        if op.kind == "get":
            expected = self.model.get(op.key, "")
            assert result == Value(expected), f"group {group.gid} read {op.key} as {result}, expected {expected!r}"
            return
        assert result == Done()
        if self.waiting.get(op.client) == op:
            del self.waiting[op.client]
        if (op.client, op.seq) not in self.executed:
            self.executed.add((op.client, op.seq))
            self.model[op.key] = self.model.get(op.key, "") + op.value
        holding = group.front.holdings[shard_of(op.key, SHARDS)]
        value = holding.values.get(op.key, "")
        assert (holding.state, value) == ("serving", self.model[op.key]), (
            f"group {group.gid} executed {op}: its shard is {holding.state}, and holds {value!r} instead of"
            f" {self.model[op.key]!r}"
        )

    def _check_rights(self) -> None:
        """At most one group serves a shard, and while one does or may again, nobody else has anything of it."""
        for shard in range(SHARDS):
            holdings = [
                (group, group.front.holdings[shard])
                for group in self.groups
                if group.front.config.num > 0 and group.front.holdings[shard].state != "gone"
            ]
            having = [
                group.gid
                for group, holding in holdings
                if holding.state == "serving" or (holding.state == "leaving" and not holding.begun)
            ]
            assert len(having) <= 1, f"shard {shard}: groups {having} all have a right to it"
            if having:
                also = [
                    group.gid
                    for group, holding in holdings
                    if holding.values and group.gid not in having and not (holding.begun and holding.state == "leaving")
                ]
                assert not also, f"shard {shard} is at {having}, and something of it at {also}"

    def peace(self) -> None:
        """Nothing is lost any more, and everybody does what there is to do, until there is nothing."""
        for _ in range(200 * len(self.configs)):
            before = [len(group.log) for group in self.groups]
            for group in self.groups:
                for number in range(len(group.replicas)):
                    group.catch_up(number, len(group.log))
                if group.front.config.num + 1 < len(self.configs):
                    config = self.configs[group.front.config.num + 1]
                    if group.front.can_follow(config):
                        self.decide(group, NextConfig(config))
                sender = Owner(group.gid, group.servers)
                for handover in group.front.handovers():
                    pieces: list[Part | Withdrawn | None] = [None]
                    if handover.kind == "withdraw":
                        pieces = [Withdrawn(handover.num, handover.shard)]
                    elif handover.kind == "give":
                        pieces = list(group.front.parts(handover))
                    self.under_way += [Message(sender, handover, piece) for piece in pieces]
            while self.under_way:
                self.deliver(self.under_way.pop(0))
            if before == [len(group.log) for group in self.groups]:
                return
        raise AssertionError("expected that everything is done some time")

    def check_end(self) -> None:
        """After peace: all are in the newest configuration, and each shard is where it belongs and nowhere else."""
        newest = self.configs[-1]
        for group in self.groups:
            state = group.front
            assert state.config == newest, f"group {group.gid} {group.servers} got stuck in {state.config.num}"
            untold = [each for each in state.handovers() if self.find(each.to) is not None]
            assert not untold, f"group {group.gid} still has to do {untold}"
        for shard, gid in enumerate(newest.shards):
            having = [group for group in self.groups if group.front.holdings[shard].state != "gone"]
            if gid != NOBODY:
                there = self.find(Owner(gid, newest.groups[gid]))
                assert [there] == having, f"shard {shard}: {[each.front.holdings[shard] for each in having]}"
                assert having[0].front.holdings[shard].state == "serving"
            values = {key: value for each in having for key, value in each.front.holdings[shard].values.items()}
            expected = {key: value for key, value in self.model.items() if shard_of(key, SHARDS) == shard}
            assert values == expected, f"shard {shard}: expected {expected}, got {values}"
        for group in self.groups:
            for replica in group.replicas:
                assert replica.snapshot() == group.front.snapshot(), "replicas of a group do not agree"
