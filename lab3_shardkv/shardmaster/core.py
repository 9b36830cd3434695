"""Configurations as a state machine: what Join, Leave, Move and Query do, and how shards are shared out.

Every replica must come to the same configurations, so nothing here depends on the order in which a dict or a set
happens to give its elements.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from common.protocol import NOBODY, Config, Done
from common.wire import encode
from lab3_shardkv.shardmaster.messages import Found, Op


def rebalance(shards: Sequence[int], gids: Iterable[int]) -> list[int]:
    """Shares the shards out to these groups: none has two more than another, and as few as possible change hands.

    `shards[s]` is the group of shard s before, which may be none of these groups. With n shards and k groups each gets
    n // k, and n % k of them one more. A group keeps as many as it had, up to its share, so what decides the number of
    moves is who gets one more: those that have most, since only a group that has more than n // k can keep one thereby.
    """
    had = Counter(shards)
    groups = sorted(gids, key=lambda gid: (-had[gid], gid))
    if not groups:
        return [NOBODY] * len(shards)
    share, more = divmod(len(shards), len(groups))
    room = {gid: share + (place < more) for place, gid in enumerate(groups)}
    new = []
    for gid in shards:
        keeps = room.get(gid, 0) > 0
        if keeps:
            room[gid] -= 1
        new.append(gid if keeps else NOBODY)
    takers = iter([gid for gid in groups for _ in range(room[gid])])
    return [next(takers) if gid == NOBODY else gid for gid in new]


_decoder: Final = msgspec.msgpack.Decoder(tuple[list[Config], dict[int, int]])


class Configurations:
    """All configurations so far, and the `seq` of each client's newest change: one entry a client.

    A Query changes nothing, so it is simply executed again when it comes again, and gives what is current then.
    A configuration is never changed once it is here; the lists of servers in it are shared with those before.
    """

    def __init__(self, shards: int) -> None:
        self.configs = [Config(0, [NOBODY] * shards, {})]
        self.newest: dict[int, int] = {}

    def find(self, num: int) -> Config | None:
        """The configuration `num`, or None if there is none of that number yet."""
        return self.configs[num] if 0 <= num < len(self.configs) else None

    def was_executed(self, op: Op) -> bool:
        """The change is known from before."""
        return op.kind != "query" and op.seq <= self.newest.get(op.client, 0)

    def apply(self, op: Op) -> Done | Found:
        """Executes an operation, unless it is a change that was executed before."""
        if op.kind == "query":
            return Found(self.find(op.number) or self.configs[-1])
        if not self.was_executed(op):
            self.newest[op.client] = op.seq
            self._change(op)
        return Done()

    def _change(self, op: Op) -> None:
        """Adds the next configuration, unless nothing would be different in it."""
        current = self.configs[-1]
        shards, groups = list(current.shards), dict(current.groups)
        if op.kind == "join" and op.gid not in groups:
            groups = dict(sorted({**groups, op.gid: op.servers}.items()))
            shards = rebalance(shards, groups)
        elif op.kind == "leave" and op.gid in groups:
            del groups[op.gid]
            shards = rebalance(shards, groups)
        elif op.kind == "move" and op.gid in groups and 0 <= op.number < len(shards):
            shards[op.number] = op.gid
        if (shards, groups) != (current.shards, current.groups):
            self.configs.append(Config(current.num + 1, shards, groups))

    def snapshot(self) -> bytes:
        """Configurations and duplicate table."""
        return encode((self.configs, self.newest))

    def restore(self, state: bytes) -> None:
        """Takes what `snapshot` gave."""
        self.configs, self.newest = _decoder.decode(state)
