"""One replica group as a state machine: which shards it has, what is in them, and how they change hands.

**The log.** All of a group's state changes in the order of its log and by its log alone: operations, configurations,
and the steps of each handover. So every replica has the same state at the same place, a replica that lags has an older
one, and whatever it says of the past stays true.

**Configurations** are followed one at a time, 1, 2, 3 and so on. With `NextConfig` a shard that the group loses is
*leaving*: from this entry on no operation on it is executed. A shard that it gets is *arriving*, or is served at once
where nobody had it before. All other shards are served as before, and a shard that has arrived is served while others
still arrive. The next configuration has to wait until nothing is arriving.

**A handover** of the shard s by the configuration n, from the group A to the group B:

    A's log                                B's log
    NextConfig(n): s is leaving
      Offer(n, s)?        ------------>    NextConfig(n): s is arriving
                          <------------      Awaited
    Begin(n, s): there is no way back
      Give(Part)          ------------>    Part(n, s), ...: kept
                          <------------      Awaited
      Give(the last Part) ------------>    Part(n, s), the last: s is served
                          <------------      Settled
    Forget(n, s): s is gone

While s is leaving, nothing in it changes. So all parts that any replica of A ever cuts are pieces of one and the same
content, and B has the whole when it has as many keys and clients as the whole has, however often a part comes, in
whatever order, and however differently two replicas cut. The duplicate table is the shard's own: which write of each
client was its newest *in this shard*. It moves with the values, and nothing has to be merged with what B knows of
other shards.

**An operation takes effect** where it stands in a group's log, if the group serves its shard at that place. Otherwise
it leaves no trace, and the clerk tries again, with the same `seq`. Over all groups, the places at which a shard is
served have one order, since at any time at most one group has the right to it:

* The right to s passes from A with Begin(n, s), which stands after A's last operation on s, to B at the last Part,
  after which B's first operation stands. Parts exist only because Begin is in A's log, and B takes parts of
  configuration n only while s is arriving for n. After the last it never is again, so a part that is late, even by
  several moves to and fro, does nothing.
* Who serves has all that was written before: the content of s at Begin, and with it the newest writes. So a write that
  is tried again after a move is found in the table of whoever serves s then, and is executed once.
* Nobody had s, and it is served at once by the group that the first configuration with an owner names. All groups
  read the same configurations from the first on, so they agree which one that is.

**When messages are lost, delayed or repeated, and servers die**: each step is an entry in a log, and each entry does
nothing unless it fits the state (same configuration, right state). What A does next follows from A's state alone,
and any replica of A can do it, again or at the same time as another. A majority of each group is enough. B answers
from what it has applied: `Awaited` may be out of date, which costs a repetition; `Settled` is true for ever, in the
log of B's majority, so A may delete the shard and its servers may be shut down.

**Plans that change.** A group that is named in a configuration need not live. Until Begin is in the log nothing has
been sent, so A has not given anything away: if a later configuration gives s to somebody else, A offers s to the new
owner, or serves it again if that is A itself. The one who was passed over is told `Withdrawn(n, s)`, when it can be
reached, so that it waits no longer. Whoever has the shard tells it: who is still to be told goes with the shard, and A
may be shut down when its shards are gone. A's log has Begin(n, s) or a later owner first, never both, so B gets either
parts or the withdrawal. Thus a group that was joined by mistake and never lived harms nobody once it has left, unless
it was the first to have the shard: such a one serves it without asking anybody. A shard whose new owner is nobody stays
with A in the same way.

**Nothing waits for ever**, as long as a majority lives in each group that has a shard or has been promised one by
Begin. Let m be the least configuration that any living group is in, and G a group that is in m. G is kept from m + 1 by
a shard that is arriving for m, or by one whose handover to some B is begun and that m + 1 gives back. In the first case
the one who has the shard is in m or later, so it is offering it, or has other plans, and says so. In the second B is in
m or later, so it takes the parts. Neither waits for any configuration.

**Who is the group?** Its number and its servers. A group that leaves and comes back with other servers is another: the
old servers hand their shards over to the new, like to anybody else.
"""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from common.protocol import DEFAULT_SHARDS, NOBODY, Config, Done, Shard, Value, shard_of
from common.wire import Record, encode
from lab3_shardkv.shardkv.messages import (
    Awaited,
    Begin,
    Entry,
    Forget,
    NextConfig,
    NotYet,
    Op,
    Owner,
    Part,
    PassedOver,
    Settled,
    TooLong,
    Withdrawn,
    WrongGroup,
)

MAX_VALUE: Final = 4_000_000
"""Characters in one value. A write that would make a longer one does nothing and is answered `TooLong`."""
MAX_PART: Final = 128_000
"""Characters of keys and values in one part of a shard, unless a single value is longer."""
MAX_CLIENTS: Final = 10_000
"""Clients in one part of a shard."""

Values = dict[str, str]
Newest = dict[int, int]


class Handover(Record):
    """A shard that is leaving for somebody, or somebody who is still to be told that it does not come."""

    num: int
    shard: int
    to: Owner
    kind: Literal["offer", "give", "withdraw"]


class Holding(Record):
    """What the group has of one shard."""

    state: Literal["serving", "arriving", "leaving", "gone"]
    since: int
    """The configuration that brought the state about, or that a shard is arriving or leaving for."""
    values: Values
    newest: Newest
    """The duplicate table: the `seq` of each client's newest write here, negative if it was too long."""
    to: Owner
    """Where it is leaving to."""
    begun: bool
    """Parts of it may have left, so it cannot be taken back."""
    passed_over: list[PassedOver]
    """Who was to get it, did not, and does not know it yet."""

    def known(self, op: Op) -> Done | TooLong | None:
        """The answer to a write that was executed here before. None if it was not, as far as is known here."""
        newest = self.newest.get(op.client, 0)
        if op.seq > abs(newest):
            return None
        return TooLong(MAX_VALUE) if op.seq == -newest else Done()


_parts = msgspec.msgpack.Decoder(tuple[Values, Newest])
_nobody: Final = Owner(NOBODY, [])


def owner(config: Config, shard: int) -> Owner:
    """Whose the shard is."""
    gid = config.shards[shard]
    return Owner(gid, config.groups[gid]) if gid != NOBODY else _nobody


def cut(num: int, shard: int, holding: Holding) -> Iterator[Part]:
    """A whole shard as parts, each made when it is asked for: a large shard must not hold up everything else."""
    keys, clients = len(holding.values), len(holding.newest)
    values: Values = {}
    newest: Newest = {}
    size = 0

    def part() -> Part:
        return Part(num, shard, encode((values, newest)), keys, clients, holding.passed_over)

    for client, seq in holding.newest.items():
        newest[client] = seq
        if len(newest) == MAX_CLIENTS:
            yield part()
            newest = {}
    for key, value in holding.values.items():
        values[key] = value
        size += len(key) + len(value)
        if size >= MAX_PART:
            yield part()
            values, newest, size = {}, {}, 0
    if values or newest or not (keys or clients):
        yield part()


class Group:
    """The state of one group, the same at each replica at the same place of the log. A machine for `PaxosRSM`."""

    def __init__(self, gid: int, servers: list[str]) -> None:
        self.gid = gid
        self.servers = servers
        self.config = Config(0, [NOBODY] * DEFAULT_SHARDS, {})
        """The configuration that the group is in. Before the first, how many shards there are is anybody's guess."""
        self.holdings = [_nothing(0) for _ in self.config.shards]
        self.was_owned = [False for _ in self.config.shards]
        """Some group has had the shard, in this configuration or before."""
        self.news: list[str] = []
        """What has changed, in words, for whoever takes it away from here."""

    def apply(self, entry: Entry) -> Value | Done | TooLong | WrongGroup | None:
        """Executes the next entry of the log. Only an operation has a result."""
        match entry:
            case Op():
                return self.execute(entry)
            case Part():
                self._take(entry)
            case NextConfig():
                self._follow(entry.config)
            case Begin():
                self._begin(entry)
            case Withdrawn():
                self._wait_no_longer(entry)
            case Forget():
                self._forget(entry)
        return None

    # --- operations --------------------------------------------------------------------------------------------------

    def holding(self, key: str) -> Holding:
        """What the group has of a key's shard."""
        return self.holdings[shard_of(key, len(self.holdings))]

    def execute(self, op: Op) -> Value | Done | TooLong | WrongGroup:
        """Executes an operation, if its shard is served here, unless it is a write that was executed before."""
        holding = self.holdings[shard_of(op.key, len(self.holdings))]
        if holding.state != "serving":
            return WrongGroup(self.config.num)
        old = holding.values.get(op.key, "")
        if op.kind == "get":
            return Value(old)
        known = holding.known(op)
        if known is not None:
            return known
        new = old + op.value if op.kind == "append" else op.value
        if len(new) > MAX_VALUE:
            holding.newest[op.client] = -op.seq
            return TooLong(MAX_VALUE)
        holding.newest[op.client] = op.seq
        holding.values[op.key] = new
        return Done()

    # --- configurations ----------------------------------------------------------------------------------------------

    def can_follow(self, config: Config) -> bool:
        """It is the next one, nothing is arriving for the present one, and nothing is to come back that has to go."""
        return (
            config.num == self.config.num + 1
            and all(holding.state != "arriving" for holding in self.holdings)
            and not any(holding.begun and self._is_ours(config, shard) for shard, holding in enumerate(self.holdings))
        )

    def _is_ours(self, config: Config, shard: int) -> bool:
        gid = config.shards[shard]
        return gid == self.gid and any(server in self.servers for server in config.groups[gid])

    def _follow(self, config: Config) -> None:
        if not self.can_follow(config):
            return
        if self.config.num == 0:
            self.config = Config(0, [NOBODY] * len(config.shards), {})
            self.holdings = [_nothing(0) for _ in config.shards]
            self.was_owned = [False for _ in config.shards]
        old, self.config = self.config, config
        self.news.append(f"config {config.num}: shards of groups {config.shards}")
        for shard in range(len(config.shards)):
            had, has = self._is_ours(old, shard), self._is_ours(config, shard)
            if has and not had:
                self._gain(shard)
            elif not has and owner(config, shard) != owner(old, shard):
                self._lose(shard)
            self.was_owned[shard] |= config.shards[shard] != NOBODY

    def _gain(self, shard: int) -> None:
        holding = self.holdings[shard]
        if holding.state == "leaving":  # and nothing of it has left, otherwise this configuration would have to wait
            self._pass_over(holding)
            holding.to = _nobody
            self._set(shard, "serving")
        else:
            self.holdings[shard] = _nothing(self.config.num)
            self._set(shard, "arriving" if self.was_owned[shard] else "serving")

    def _lose(self, shard: int) -> None:
        """The shard is another's than before, and not ours: we may have it."""
        holding = self.holdings[shard]
        if holding.state == "leaving" and not holding.begun:
            self._pass_over(holding)
        elif holding.state != "serving":
            return
        holding.to = owner(self.config, shard)
        self._set(shard, "leaving")

    def _pass_over(self, holding: Holding) -> None:
        if holding.to != _nobody:
            holding.passed_over = [*holding.passed_over, PassedOver(holding.since, holding.to)]

    def _set(self, shard: int, state: Literal["serving", "arriving", "leaving", "gone"]) -> None:
        holding = self.holdings[shard]
        holding.state = state
        holding.since = self.config.num
        where = f" to {holding.to}" if state == "leaving" else ""
        self.news.append(f"config {self.config.num}: shard {shard} is {state}{where}, {len(holding.values)} keys")

    # --- giving ------------------------------------------------------------------------------------------------------

    def handovers(self) -> list[Handover]:
        """What this group has to do for others now."""
        to_do: list[Handover] = []
        for shard, holding in enumerate(self.holdings):
            if holding.state == "leaving" and holding.to != _nobody:
                to_do.append(Handover(holding.since, shard, holding.to, "give" if holding.begun else "offer"))
            to_do += [Handover(each.num, shard, each.to, "withdraw") for each in holding.passed_over]
        return to_do

    def handover(self, num: int, shard: int) -> Handover | None:
        """What is to be done for who was to get the shard in the configuration `num`. None: nothing any more."""
        return next((each for each in self.handovers() if (each.num, each.shard) == (num, shard)), None)

    def parts(self, handover: Handover) -> Iterator[Part]:
        """A shard whose handover is begun, in parts."""
        holding = self.holdings[handover.shard]
        assert (holding.begun, holding.since) == (True, handover.num), f"{handover} is not begun, but {holding.state}"
        return cut(handover.num, handover.shard, holding)

    def _begin(self, entry: Begin) -> None:
        holding = self.holdings[entry.shard]
        if holding.state == "leaving" and holding.since == entry.num and holding.to != _nobody:
            holding.begun = True

    def _forget(self, entry: Forget) -> None:
        holding = self.holdings[entry.shard]
        holding.passed_over = [each for each in holding.passed_over if each.num != entry.num]
        if holding.begun and holding.since == entry.num:
            self.holdings[entry.shard] = _nothing(entry.num)
            self.news.append(f"config {entry.num}: shard {entry.shard} is gone, {holding.to} has it")

    # --- getting -----------------------------------------------------------------------------------------------------

    def answer(self, gid: int, num: int, shard: int) -> NotYet | Awaited | Settled:
        """What this replica says, from what it has applied, to somebody who has a shard for the group `gid`."""
        if gid != self.gid or self.config.num < num:
            return NotYet()
        return Awaited() if self._awaits(num, shard) else Settled()

    def _awaits(self, num: int, shard: int) -> bool:
        holding = self.holdings[shard]
        return holding.state == "arriving" and holding.since == num

    def _take(self, part: Part) -> None:
        if not self._awaits(part.num, part.shard):
            return
        holding = self.holdings[part.shard]
        values, newest = _parts.decode(part.data)
        holding.values.update(values)
        holding.newest.update(newest)
        if len(holding.values) == part.keys and len(holding.newest) == part.clients:
            holding.passed_over = part.passed_over
            self._set(part.shard, "serving")

    def _wait_no_longer(self, entry: Withdrawn) -> None:
        if self._awaits(entry.num, entry.shard):
            assert not self.holdings[entry.shard].values, f"shard {entry.shard} was begun and does not come: {entry}"
            self._set(entry.shard, "gone")

    # --- the whole ---------------------------------------------------------------------------------------------------

    def shards(self) -> list[Shard]:
        """The state of every shard."""
        return [
            Shard(shard, holding.state, holding.since, len(holding.values))
            for shard, holding in enumerate(self.holdings)
        ]

    def snapshot(self) -> bytes:
        """Everything."""
        return encode((self.config, self.holdings, self.was_owned))

    def restore(self, state: bytes) -> None:
        """Takes what `snapshot` gave."""
        self.config, self.holdings, self.was_owned = _states.decode(state)
        self.news.append(f"config {self.config.num}: restored")


_states = msgspec.msgpack.Decoder(tuple[Config, list[Holding], list[bool]])


def _nothing(since: int) -> Holding:
    return Holding("gone", since, {}, {}, _nobody, False, [])
