"""The first look: most histories that are linearizable show it at a glance.

Whoever divides a history into epochs, be it by guessing, and finds no contradiction has found an order that explains it
(`epochs` tells why). So the likeliest division is taken here and no other: a result begins with the longest put value
that it can begin with and goes on with the longest appended one, and where several wrote the same it was the first that
returned late enough. If that works out, all is well. If not, nothing is known yet, and others look closely.

The shortest results come first. So epochs only grow, and there is no more to know of each than its value so far and
three times.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from operator import le

import msgspec

from labs.history import Operation
from labs.linearizability.epochs import end


class Epoch(msgspec.Struct, eq=False, gc=False):
    """A put, or the start, and what has been seen after it so far."""

    value: str
    first_return: float
    last_call: float
    begun: float
    """When all that is below the gets of this value had been called: none of them may have returned before."""


def is_plain(history: Iterable[Operation]) -> bool:
    """Whether it shows at a glance that some order explains this history of one key."""
    epochs = {"": Epoch("", -math.inf, -math.inf, -math.inf)}
    gets: list[Operation] = []
    appends: list[Operation] = []
    for each in history:
        if each.op == "get":
            if each.return_ is not None:
                gets.append(each)
        elif each.op == "append":
            if each.value:
                appends.append(each)
        elif each.op == "cas" or not each.value or each.value in epochs:
            return False
        else:
            epochs[each.value] = Epoch(each.value, end(each), each.call, each.call)
    unseen = _Appends(appends)
    beginnings = sorted(set(map(len, epochs)), reverse=True)
    gets.sort(key=lambda get: len(get.result or ""))
    for get in gets:
        result = get.result or ""
        returned: float = get.return_  # type: ignore[assignment]  # these were answered
        for beginning in beginnings:
            epoch = epochs.get(result[:beginning])
            if epoch is not None and epoch.begun <= returned and result.startswith(epoch.value):
                break
        else:
            return False
        if result != epoch.value and not unseen.extend(epoch, result):
            return False
        if returned < epoch.begun:
            return False
        if returned < epoch.first_return:
            epoch.first_return = returned
        if get.call > epoch.last_call:
            epoch.last_call = get.call
    blocks = [(epoch.first_return, epoch.last_call) for epoch in epochs.values()]
    return _have_an_order(blocks + [(end(each), each.call) for each in unseen])


class _Appends:
    """The appends that no get has shown yet."""

    def __init__(self, appends: list[Operation]) -> None:
        self.by_value = {each.value or "": each for each in appends}
        self.lengths = sorted(set(map(len, self.by_value)), reverse=True)
        self.rivals: dict[str, list[Operation]] = {}
        """If there are any, all that wrote the same, for each value."""
        if len(self.by_value) < len(appends):
            for each in appends:
                self.rivals.setdefault(each.value or "", []).append(each)

    def __iter__(self) -> Iterator[Operation]:
        if not self.rivals:
            return iter(self.by_value.values())
        return chain.from_iterable(self.rivals.values())

    def extend(self, epoch: Epoch, value: str) -> bool:
        """Lets an epoch go on to this longer value. Returns whether that was possible."""
        first_return, last_call = epoch.first_return, epoch.last_call
        position = len(epoch.value)
        while position < len(value):
            for length in self.lengths:
                token = value[position : position + length]
                if token in self.by_value:
                    break
            else:
                return False
            append = self._choose(token, last_call) if self.rivals else self.by_value.pop(token)
            returned = math.inf if append.return_ is None else append.return_
            if returned < last_call:
                return False
            if returned < first_return:
                first_return = returned
            if append.call > last_call:
                last_call = append.call
            position += len(token)
        epoch.value, epoch.first_return, epoch.last_call, epoch.begun = value, first_return, last_call, last_call
        return True

    def _choose(self, value: str, earliest: float) -> Operation:
        """The first that wrote this and returned late enough, if there is one."""
        rivals = self.rivals[value]
        if len(rivals) == 1:
            del self.by_value[value]
        return rivals.pop(next((number for number, each in enumerate(rivals) if end(each) >= earliest), 0))


def _have_an_order(blocks: list[tuple[float, float]]) -> bool:
    """Whether these blocks can stand one after the other. Their first returns and last calls tell."""
    forward = [block for block in blocks if block[0] < block[1]]
    begins = sorted(first_return for first_return, _ in forward)
    ends = sorted(last_call for _, last_call in forward)
    if not all(map(le, ends, islice(begins, 1, None))):
        return False  # two overlap
    for first_return, last_call in blocks:
        if last_call <= first_return:
            place = bisect_left(begins, last_call) - 1
            if place >= 0 and first_return < ends[place]:
                return False  # it lies inside another one
    return True
