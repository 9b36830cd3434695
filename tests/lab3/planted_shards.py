"""Mistakes, planted in a group one at a time: each breaks one rule of the protocol."""

from collections.abc import Iterator
from copy import copy
from typing import Final

from common.protocol import Config, Done, Value, shard_of
from lab3_shardkv.shardkv.core import Group, Handover, Holding, cut
from lab3_shardkv.shardkv.messages import (
    Awaited,
    Begin,
    Forget,
    NotYet,
    Op,
    Part,
    Settled,
    TooLong,
    Withdrawn,
    WrongGroup,
)


class ServesWhatIsLeaving(Group):
    """The shard is another's, but as long as the data is here, so are the answers."""

    def execute(self, op: Op) -> Value | Done | TooLong | WrongGroup:
        holding = self.holdings[shard_of(op.key, len(self.holdings))]
        if holding.state != "leaving":
            return super().execute(op)
        holding.state = "serving"
        reply = super().execute(op)
        holding.state = "leaving"
        return reply


class ServesWhatIsArriving(Group):
    """The shard is ours, so it is served, whatever has come of it."""

    def execute(self, op: Op) -> Value | Done | TooLong | WrongGroup:
        holding = self.holdings[shard_of(op.key, len(self.holdings))]
        if holding.state != "arriving":
            return super().execute(op)
        holding.state = "serving"
        reply = super().execute(op)
        holding.state = "arriving"
        return reply


class RemembersWhatItRefused(Group):
    """A write that the group was not allowed to execute is in its duplicate table."""

    def execute(self, op: Op) -> Value | Done | TooLong | WrongGroup:
        reply = super().execute(op)
        if isinstance(reply, WrongGroup) and op.kind != "get":
            self.holdings[shard_of(op.key, len(self.holdings))].newest[op.client] = op.seq
        return reply


class FollowsWhileShardsArrive(Group):
    """It goes on to the next configuration before it has what the present one gives to it."""

    def can_follow(self, config: Config) -> bool:
        return config.num == self.config.num + 1


class TakesBackWhatIsBegun(Group):
    """It does not wait for the end of a handover if the shard comes back to it anyway."""

    def can_follow(self, config: Config) -> bool:
        return config.num == self.config.num + 1 and all(holding.state != "arriving" for holding in self.holdings)


class FollowsOldConfigurations(Group):
    """A configuration that comes into the log a second time is followed a second time."""

    def can_follow(self, config: Config) -> bool:
        if config.num > self.config.num:
            return super().can_follow(config)
        return all(holding.state != "arriving" for holding in self.holdings)


class StartsEmpty(Group):
    """What is new is served at once."""

    def _gain(self, shard: int) -> None:
        self.was_owned[shard] = False
        super()._gain(shard)


class ServesAfterTheFirstPart(Group):
    """It does not count what has come."""

    def _take(self, part: Part) -> None:
        super()._take(part)
        if self._awaits(part.num, part.shard):
            self._set(part.shard, "serving")


class TakesPartsOfAnyMove(Group):
    """As long as it waits for the shard, each part is welcome."""

    def _take(self, part: Part) -> None:
        part.num = self.holdings[part.shard].since
        super()._take(part)

    def answer(self, gid: int, num: int, shard: int) -> NotYet | Awaited | Settled:
        return super().answer(gid, self.holdings[shard].since if num <= self.config.num else num, shard)


class TakesPartsThatAreLate(Group):
    """A part that comes once more is put over what was written meanwhile."""

    def _take(self, part: Part) -> None:
        holding = self.holdings[part.shard]
        if (holding.state, holding.since) == ("serving", part.num):
            holding.state = "arriving"
            super()._take(part)
            holding.state = "serving"
        else:
            super()._take(part)


class LeavesTheDuplicateTableBehind(Group):
    """Only the values move."""

    def parts(self, handover: Handover) -> Iterator[Part]:
        holding = copy(self.holdings[handover.shard])
        holding.newest = {}
        return cut(handover.num, handover.shard, holding)


class SaysTooEarlyThatItHasAll(Group):
    """The group says that it has the shard as soon as it is in the configuration."""

    def answer(self, gid: int, num: int, shard: int) -> NotYet | Awaited | Settled:
        answer = super().answer(gid, num, shard)
        return Settled() if isinstance(answer, Awaited) and self.holdings[shard].values else answer


class GivesWithoutBeginning(Group):
    """It gives a shard away, and does not write into its log that it does."""

    def handovers(self) -> list[Handover]:
        return [
            Handover(each.num, each.shard, each.to, "give" if each.kind == "offer" else each.kind)
            for each in super().handovers()
        ]

    def parts(self, handover: Handover) -> Iterator[Part]:
        return cut(handover.num, handover.shard, self.holdings[handover.shard])

    def _begin(self, entry: Begin) -> None:
        pass

    def _forget(self, entry: Forget) -> None:
        holding = self.holdings[entry.shard]
        holding.begun = holding.state == "leaving" and holding.since == entry.num
        super()._forget(entry)


class WithdrawsInSilence(Group):
    """It gives a shard to somebody else than it was for, and does not tell the first."""

    def _pass_over(self, holding: Holding) -> None:
        pass


class DoesNotPassOnWhoWaits(Group):
    """Who was passed over is forgotten with the shard."""

    def parts(self, handover: Handover) -> Iterator[Part]:
        holding = copy(self.holdings[handover.shard])
        holding.passed_over = []
        return cut(handover.num, handover.shard, holding)


class WaitsForWhatDoesNotCome(Group):
    """It takes no notice of being passed over."""

    def _wait_no_longer(self, entry: Withdrawn) -> None:
        pass


class DeletesNothing(Group):
    """What was given away is kept for ever."""

    def _forget(self, entry: Forget) -> None:
        pass


class TakesItsNumberForItself(Group):
    """A group with its number is this group, whatever servers it has."""

    def _is_ours(self, config: Config, shard: int) -> bool:
        return config.shards[shard] == self.gid


ALL: Final = (
    *(ServesWhatIsLeaving, ServesWhatIsArriving, RemembersWhatItRefused, FollowsWhileShardsArrive),
    *(TakesBackWhatIsBegun, FollowsOldConfigurations, StartsEmpty, ServesAfterTheFirstPart, TakesPartsOfAnyMove),
    *(TakesPartsThatAreLate, LeavesTheDuplicateTableBehind, SaysTooEarlyThatItHasAll, GivesWithoutBeginning),
    *(WithdrawsInSilence, DoesNotPassOnWhoWaits, WaitsForWhatDoesNotCome, DeletesNothing, TakesItsNumberForItself),
)
