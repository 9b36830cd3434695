"""The search for an order in which one server could have done it all.

It is the search of Wing and Gong ("Testing and verifying concurrent objects", 1993): place any operation that may come
first, that is, before whose call no other one had returned; go on with the rest; when nothing fits, go back. Lowe
("Testing for linearizability", 2017) added the memory: the same operations placed, with the same value reached, need
not be tried again. Four more facts make it fast for a store of strings:

* An operation that may come first, changes nothing and has the right answer may be placed at once, with no way back:
  in any order that works for the rest it could be moved to the front, and that order would still work.
* While only appends can come before the next get, the value so far has to be the beginning of what that get returned.
* Where there are only gets and puts, a put whose value no get returned is overwritten before anybody looks. It may as
  well be overwritten at once: such puts wait in a row of their own, and as many as may come first are placed right
  before the next put that somebody saw.
* Of two writes that are the same, the one that was called and returned no later than the other comes first: if an order
  has them the other way round, they can change places.

Once no get (and no cas) is left, any order will do for the rest. The value's place in the memory is taken by its length
and a polynomial hash, which an append extends in constant time. Its modulus is a prime that nobody knows beforehand, so
that no history can be made in which two values are taken for one.
"""

import functools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from labs.history import Operation

PRIME_BYTES: Final = 15
WITNESSES: Final = (2, 3, 5, 7)
"""Bases of the test by which a prime is recognised: few other numbers, and none that matters here, pass it."""


class LimitExceeded(Exception):
    """The search took more steps than it may."""


class Budget:
    """How many operations searches may yet try to place, all together."""

    def __init__(self, steps: float) -> None:
        self.left = steps


class Value(NamedTuple):
    """What the key holds, and the hash of it."""

    text: str
    hash: int


EMPTY: Final = Value("", 0)


class Choice(NamedTuple):
    """An operation was placed; this is how things were before."""

    placed: int
    before: Value | None
    """None: it was an append, whose argument has to be cut off again. (To keep all values would take much memory.)"""
    hash_before: int
    end_before: int
    unseen_before: int
    others: list[int]
    """What could have been placed instead."""


def search(history: Iterable[Operation], budget: Budget) -> list[Operation] | None:
    """Some order that explains these operations on one key. None if there is no such order. Raises `LimitExceeded`.

    Operations that need not have happened may be left out.
    """
    return Search(history).run(budget)


class Search:
    """One search, over the operations of one key. They are numbered in the order of their calls."""

    def __init__(self, history: Iterable[Operation]) -> None:
        everything = sorted(history, key=lambda each: each.call)
        results = {each.result or "" for each in everything if each.op == "get" and each.return_ is not None}
        self.operations = _that_matter(everything, results)
        self.calls = [each.call for each in self.operations]
        self.returns = [math.inf if each.return_ is None else each.return_ for each in self.operations]
        self.arguments = [each.value or "" for each in self.operations]
        encoded = [argument.encode("utf-8", "surrogatepass") for argument in self.arguments]
        self.prime = _secret_prime()
        self.hashes = [int.from_bytes(argument, "big") % self.prime for argument in encoded]
        self.shifts = [pow(256, len(argument), self.prime) for argument in encoded]

        kinds = [each.op for each in self.operations]
        is_plain = set(kinds) <= {"get", "put"}
        is_unseen = [
            is_plain and kind == "put" and argument not in results
            for kind, argument in zip(kinds, self.arguments, strict=True)
        ]
        numbers = range(len(self.operations))
        self.unseen = [number for number in numbers if is_unseen[number]]
        """The puts whose value nobody saw."""
        unseen_returns = accumulate((self.returns[number] for number in reversed(self.unseen)), min, initial=math.inf)
        self.unseen_return = list(unseen_returns)[::-1]
        """When the first of these returned, from the one at each place on."""
        self.unseen_placed = 0
        """So many of them, the first ones, are placed."""
        self.left = Remaining([number for number in numbers if not is_unseen[number]])
        """All others that are not placed yet."""
        self.gets_left = Remaining([number for number in numbers if kinds[number] == "get"])
        self.resets_left = Remaining([n for n in numbers if kinds[n] in ("put", "cas") and not is_unseen[n]])
        self.answers_left = sum(each.op in ("get", "cas") and each.return_ is not None for each in self.operations)
        self.twins = _twins(self.operations, self.returns)
        """An operation just like each one, called no later and returned no later, or -1."""
        self.is_left = [True] * len(self.operations)
        self.end = 0
        """Above all numbers that were taken from `left`."""

    def run(self, budget: Budget) -> list[Operation] | None:
        """Some order, or None."""
        value = EMPTY
        choices: list[Choice] = []
        seen: set[tuple[int, int, int, int, tuple[int, ...]]] = set()
        candidates = self._candidates(value)
        while self.answers_left:
            while candidates:
                if budget.left <= 0:
                    raise LimitExceeded
                budget.left -= 1
                number = candidates.pop()
                choice, after = self._place(number, value, candidates)
                state = (len(after.text), after.hash, self.unseen_placed, self.end, self._holes())
                if state not in seen and not self._is_hopeless(after):
                    seen.add(state)
                    choices.append(choice)
                    value = after
                    candidates = self._candidates(value)
                    break
                self._take_back(choice)
            else:
                if not choices:
                    return None
                choice = choices.pop()
                self._take_back(choice)
                cut = len(value.text) - len(self.arguments[choice.placed])
                value = choice.before or Value(value.text[:cut], choice.hash_before)
                candidates = choice.others
        rest = [*self.left, *self.unseen[self.unseen_placed :]]
        answered = [number for number in rest if self.returns[number] < math.inf]
        order = [*self._placed(choices), *sorted(answered, key=self.returns.__getitem__)]
        return [self.operations[number] for number in order]

    def _placed(self, choices: list[Choice]) -> Iterator[int]:
        """What was placed, in its order. The unseen puts that a choice placed stand right before it."""
        unseen_after = [*(choice.unseen_before for choice in choices[1:]), self.unseen_placed]
        for choice, after in zip(choices, unseen_after, strict=False):
            yield from self.unseen[choice.unseen_before : after]
            yield choice.placed

    def _candidates(self, value: Value) -> list[int]:
        """What may be placed next, the likeliest last: no other operation that is left had returned before its call."""
        found: list[int] = []
        first_return = math.inf
        unseen_return = self.unseen_return[self.unseen_placed]
        for number in self.left:
            operation = self.operations[number]
            if operation.call > first_return:
                break
            first_return = min(first_return, self.returns[number])
            twin = self.twins[number]
            if twin >= 0 and self.is_left[twin]:
                continue
            if operation.op == "put":
                found.append(number)  # and right before it, all the unseen puts that have to come before it
            elif operation.op == "append":
                found.append(number)
            elif operation.op == "get":
                if operation.result == value.text and operation.call <= unseen_return:
                    return [number]
            elif operation.result == "no":
                if operation.expected != value.text:
                    return [number]
            elif operation.expected == value.text:
                found.append(number)
        found.sort(key=self.returns.__getitem__, reverse=True)  # most operations take effect shortly before they return
        return found

    def _apply(self, number: int, value: Value) -> Value:
        argument = self.arguments[number]
        operation = self.operations[number]
        if operation.op == "append":
            return Value(value.text + argument, (value.hash * self.shifts[number] + self.hashes[number]) % self.prime)
        if operation.op == "get" or operation.result == "no":
            return value
        return Value(argument, self.hashes[number])

    def _is_hopeless(self, value: Value) -> bool:
        """Only appends can come before the next get, and none of them leads from this value to what it returned."""
        get, reset = self.gets_left.first, self.resets_left.first
        if get < 0 or (reset >= 0 and self.calls[reset] <= self.returns[get]):
            return False
        is_blocked = self.unseen_return[self.unseen_placed] < self.calls[get]
        return is_blocked or not (self.operations[get].result or "").startswith(value.text)

    def _holes(self) -> tuple[int, ...]:
        """The numbers below `end` that are left. Together the two tell what was taken from `left`."""
        holes = []
        for number in self.left:
            if number >= self.end:
                break
            holes.append(number)
        return tuple(holes)

    def _place(self, number: int, value: Value, others: list[int]) -> tuple[Choice, Value]:
        """Places an operation. Gives the way back, and the value after it."""
        operation = self.operations[number]
        before = None if operation.op == "append" else value
        choice = Choice(number, before, value.hash, self.end, self.unseen_placed, others)
        self.is_left[number] = False
        for numbers in self._lists(number):
            numbers.remove(number)
        self.answers_left -= operation.op in ("get", "cas") and operation.return_ is not None
        self.end = max(self.end, number + 1)
        if operation.op == "put":
            self._place_unseen(until=self.returns[number])
        return choice, self._apply(number, value)

    def _place_unseen(self, until: float) -> None:
        """As many of the unseen puts as may come before an operation that returned then, and before all in `left`."""
        for number in self.left:
            if self.calls[number] > until:
                break
            until = min(until, self.returns[number])
        while self.unseen_placed < len(self.unseen) and self.calls[self.unseen[self.unseen_placed]] <= until:
            self.unseen_placed += 1

    def _take_back(self, choice: Choice) -> None:
        operation = self.operations[choice.placed]
        self.is_left[choice.placed] = True
        for numbers in self._lists(choice.placed):
            numbers.restore(choice.placed)
        self.answers_left += operation.op in ("get", "cas") and operation.return_ is not None
        self.end = choice.end_before
        self.unseen_placed = choice.unseen_before

    def _lists(self, number: int) -> tuple["Remaining", ...]:
        operation = self.operations[number].op
        if operation == "append":
            return (self.left,)
        return (self.left, self.gets_left if operation == "get" else self.resets_left)


class Remaining:
    """Which of some increasing numbers are left. They are taken out, and put back in the reverse order."""

    def __init__(self, numbers: Sequence[int]) -> None:
        size = numbers[-1] + 2 if numbers else 1
        self._next = [-1] * size  # a ring; -1, the last item of either list, is both its ends
        self._previous = [-1] * size
        for left, right in pairwise([-1, *numbers, -1]):
            self._next[left] = right
            self._previous[right] = left

    @property
    def first(self) -> int:
        """The smallest that is left, or -1."""
        return self._next[-1]

    def __iter__(self) -> Iterator[int]:
        number = self._next[-1]
        while number >= 0:
            yield number
            number = self._next[number]

    def remove(self, number: int) -> None:
        """Takes one out."""
        self._next[self._previous[number]] = self._next[number]
        self._previous[self._next[number]] = self._previous[number]

    def restore(self, number: int) -> None:
        """Puts the one back that was taken out last."""
        self._next[self._previous[number]] = number
        self._previous[self._next[number]] = number


@functools.cache
def _secret_prime() -> int:
    """One for this process."""
    while True:
        number = int.from_bytes(os.urandom(PRIME_BYTES), "big") | 1 << 8 * PRIME_BYTES - 1 | 1  # large, and odd
        if all(pow(base, number - 1, number) == 1 for base in WITNESSES):
            return number


def _that_matter(operations: list[Operation], results: set[str]) -> list[Operation]:
    """The operations that have an answer, or could be the cause of one.

    What was written without an answer can be so only where it is part of a value that somebody was told of: in what a
    get returned, in what a cas has found, or in what a cas without an answer would have to find to matter itself.
    Elsewhere it is overwritten before anybody looks. But any other value makes a cas fail.
    """
    told = results | {each.expected or "" for each in operations if each.op == "cas" and each.result == "yes"}
    anything = any(each.op == "cas" and each.result == "no" for each in operations)
    pending = [each for each in operations if each.return_ is None and each.op != "get"]
    chosen = {id(each) for each in operations if each.return_ is not None}
    while pending:
        more = [each for each in pending if anything or any((each.value or "") in text for text in told)]
        if not more:
            break
        chosen.update(map(id, more))
        told |= {each.expected or "" for each in more if each.op == "cas"}
        pending = [each for each in pending if id(each) not in chosen]
    return [each for each in operations if id(each) in chosen]


def _twins(operations: list[Operation], returns: list[float]) -> list[int]:
    """For each write, the last one before it that is the same and returned no later, or -1."""
    found: list[int] = []
    classes: dict[tuple[str | None, ...], list[int]] = {}
    for number, each in enumerate(operations):
        twin = -1
        if each.op != "get":
            same = classes.setdefault((each.op, each.value, each.expected, each.result), [])
            twin = next((other for other in reversed(same) if returns[other] <= returns[number]), -1)
            same.append(number)
        found.append(twin)
    return found
