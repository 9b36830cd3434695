"""The check for a key whose writes can be told apart: near-linear, with two or three operations as proof of a mistake.

*Epochs.* An epoch is a put, or the start with its empty string, and the appends that gets show after it. What a get
returned is cut into tokens: the value of a put, or nothing, and then appended values. If there is one way only to cut
it, and each token was written by one operation only, then the get tells its epoch and how many appends came before it,
whatever the order was. Where there are two ways, or two writers, or a cas, `Ambiguous` is raised and the search has to
decide (unless some result cannot be made of what was written at all). That a put of the empty string looks like the
start is such a case, except where it returned before anything else was written and so changed nothing. Only the longest
get of an epoch needs to be cut: a shorter one is its beginning and ends where a token ends (its own tokens are then as
certain, for a second way to cut it would be a second way to cut the longest), or it contradicts it, since the value of
an epoch only grows.

*Blocks.* The writes that were seen and the gets of an epoch are a block. In every order that explains the gets a block
stands together: the first is its put and the last a get, and what comes between changes nothing but by the block's own
appends. So a write that nobody saw stands outside, as a block of its own; an empty append changes nothing and is left
out, as is what has no answer and was not seen. (A pending write that was seen has taken effect, and never returned.)

*Why these checks are all.* Write a → b if a returned before b was called; equal times are no order. Within a block the
levels are given: put, its gets, first append, its gets, and so on. So there is an order within it exactly if no a → b
has a on a higher level than b. Between blocks, I → J if a → b for some a in I and b in J, that is, if the first return
f(I) is less than the last call s(J). If this has no cycle, blocks one after the other explain everything; if it has,
nothing does. And if it has a cycle, it has one of two blocks: let A have the least f of a cycle, then f(A) is less than
the s of each other one in it, so A → B → A for the B before A. Two blocks with f(I) < s(J) and f(J) < s(I) are what
Gibbons and Korach forbid ("Testing shared memories", SIAM Journal on Computing 26, 1997, section 4): call [f, s] a
forward zone where f < s and [s, f] a backward zone elsewhere; then no two forward zones overlap, and no backward zone
lies inside a forward one. The start is a put that returned before all times. Blocks in the order of the beginnings of
their zones (at the same time the backward one first) are an order that explains everything.
"""

import math
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from operator import itemgetter
from typing import Final, Literal, NamedTuple

from labs.history import Operation
from labs.linearizability.words import describe
from labs.texts import contrast, shown

Anomaly = Literal["lost write", "stale read", "applied twice", "value from nowhere", "order broken"]

START: Final = Operation("", "put", "", "", None, -math.inf, -math.inf)
"""What wrote the empty string before everything."""


class Ambiguous(Exception):
    """Which write a get saw cannot be read off its result."""


class Flaw(NamedTuple):
    """Operations that no order explains, whatever else was asked."""

    anomaly: Anomaly
    answer: Operation
    """The last of the gets among them."""
    because: str
    """What is wrong with that answer, in words."""
    others: tuple[Operation, ...] = ()


def find_flaw(history: Iterable[Operation]) -> Flaw | None:
    """What no order explains in this history of one key, or None if there is nothing. Raises `Ambiguous`."""
    operations = list(history)
    try:
        divided = _divide(operations)
    except Ambiguous:
        flaw = _impossible(operations)
        if flaw is None:
            raise
        return flaw
    if isinstance(divided, Flaw):
        return divided
    blocks: list[Block] = []
    for epoch in divided.epochs:
        zone = _zone(epoch)
        if isinstance(zone, Flaw):
            return zone
        blocks.append((*zone, epoch))
    blocks += [(end(write), write.call, write) for write in divided.unseen]
    return _between(blocks)


def legal_order(history: Iterable[Operation]) -> list[Operation]:
    """An order that explains a history without a flaw. What changes nothing, or need not have happened, is left out."""
    divided = _divide(history)
    assert isinstance(divided, Division), "expected a history without a flaw"
    order: list[tuple[float, bool, list[Operation]]] = []
    blocks: list[Epoch | Operation] = [*divided.epochs, *divided.unseen]
    for block in blocks:
        operations = _operations(block)
        first_return, last_call = min(map(end, operations)), max(map(_call, operations))
        order.append((min(first_return, last_call), first_return < last_call, operations))
    order.sort(key=lambda each: each[:2])
    return [operation for *_, operations in order for operation in operations if operation is not START]


def end(operation: Operation) -> float:
    """When it returned, or infinity."""
    return math.inf if operation.return_ is None else operation.return_


# --- epochs ----------------------------------------------------------------------------------------------------------


class Epoch:
    """A put, or the start, with the gets and appends after it, in levels: how many appends came before."""

    __slots__ = ("gets", "levels", "longest", "text", "writes")

    def __init__(self, longest: Operation, writes: list[Operation], ends: list[int]) -> None:
        self.longest = longest
        """The get that shows all of it."""
        self.text = longest.result or ""
        self.writes = writes
        """The put, or `START`, and the appends."""
        self.gets: list[list[Operation]] = [[] for _ in writes]
        """The gets of each level."""
        self.gets[-1].append(longest)
        self.levels = dict(zip(ends, self.gets, strict=True))
        """The same, by the length of the value."""

    def in_order(self) -> Iterator[Operation]:
        """All of its operations, as they took effect."""
        for write, gets in zip(self.writes, self.gets, strict=True):
            yield write
            yield from sorted(gets, key=lambda get: get.call)

    def witness(self, write: Operation) -> Operation:
        """The first get that shows this write in its place."""
        level = next(number for number, each in enumerate(self.writes) if each is write)
        return min((get for gets in self.gets[level:] for get in gets), key=end)


Block = tuple[float, float, Epoch | Operation]
"""Its first return, its last call, and what it is: an epoch, or a write that nobody saw."""


@dataclass(frozen=True, slots=True)
class Division:
    """A history of one key, divided."""

    epochs: list[Epoch]
    unseen: list[Operation]
    """The writes that were answered, and that no get shows."""


class _Tokens:
    """The values that were written by puts, or by appends, and who wrote each."""

    def __init__(self, writes: list[Operation]) -> None:
        self.writes = writes
        self.writers: dict[str, Operation] = {each.value or "": each for each in writes}
        self.lengths = sorted(set(map(len, self.writers)))
        self._repeated: set[str] = set()
        if len(self.writers) < len(writes):
            self._repeated = {each.value or "" for each in writes if self.writers[each.value or ""] is not each}

    def writer(self, value: str) -> Operation:
        """Who wrote this. Raises `Ambiguous` if there are several."""
        if value in self._repeated:
            raise Ambiguous(f"{shown(value)} was written by more than one operation")
        return self.writers[value]

    def not_in(self, values: Container[str]) -> list[Operation]:
        """The writes of other values, if they were answered."""
        return [each for each in self.writes if each.value not in values and each.return_ is not None]


def _divide(history: Iterable[Operation]) -> Division | Flaw:
    """The blocks of a history, or the get that fits into none. Raises `Ambiguous`."""
    gets, puts, appends = _sorted_out(history)
    gets.sort(key=lambda get: len(get.result or ""), reverse=True)
    epochs: dict[str, Epoch] = {}  # by the value they began with
    beginnings: list[int] = []  # all the lengths of these
    shown_in: dict[str, Epoch] = {}  # which epoch each appended value was seen in
    same: dict[str, list[Operation]] = {}  # the level of each value that was returned before
    for get in gets:
        text = get.result or ""
        level = same.get(text)
        if level is not None:
            level.append(get)
            continue
        for beginning in beginnings:
            epoch = epochs.get(text[:beginning])
            if epoch is not None:
                level = epoch.levels.get(len(text))
                if level is not None and epoch.text.startswith(text):
                    level.append(get)
                    same[text] = level
                    break
        else:
            ends = _cut(text, puts, appends)
            if ends[-1] < len(text):
                return _nowhere(get, text, ends[-1], puts, appends)
            first = text[: ends[0]]
            if first in epochs:
                return _disagreement(get, epochs[first], puts)
            tokens = [text[begin:finish] for begin, finish in pairwise(ends)]
            epoch = Epoch(get, [puts.writer(first) if first else START, *map(appends.writer, tokens)], ends)
            for token in tokens:
                if token in shown_in:
                    return _twice(get, shown_in[token], appends.writer(token))
                shown_in[token] = epoch
            epochs[first] = epoch
            same[text] = epoch.gets[-1]
            if len(first) not in beginnings:
                beginnings.append(len(first))
    return Division(list(epochs.values()), puts.not_in(epochs) + appends.not_in(shown_in))


def _sorted_out(history: Iterable[Operation]) -> tuple[list[Operation], _Tokens, _Tokens]:
    """The answered gets, the puts, and the appends of a history. Raises `Ambiguous`."""
    operations: dict[str, list[Operation]] = {"get": [], "put": [], "append": [], "cas": []}
    for each in history:
        operations[each.op].append(each)
    if operations["cas"]:
        raise Ambiguous("there is a cas")
    gets = [each for each in operations["get"] if each.return_ is not None]
    puts = [each for each in operations["put"] if each.value]
    appends = [each for each in operations["append"] if each.value]
    if len(puts) < len(operations["put"]):
        first_write = min(map(_call, puts + appends), default=math.inf)  # until then there was the empty string anyway
        puts += [each for each in operations["put"] if not each.value and end(each) >= first_write]
    return gets, _Tokens(puts), _Tokens(appends)


def _impossible(operations: list[Operation]) -> Flaw | None:
    """An answer that tells of a value that cannot be made of what was written, in whatever order.

    For that the epochs need not be known. A cas that was done tells of the value that it has found.
    """
    puts = _Tokens([each for each in operations if each.op in ("put", "cas")])
    appends = _Tokens([each for each in operations if each.op == "append" and each.value])
    told = [(each.result or "", each) for each in operations if each.op == "get" and each.return_ is not None]
    told += [(each.expected or "", each) for each in operations if each.op == "cas" and each.result == "yes"]
    told.sort(key=lambda each: len(each[0]), reverse=True)
    made: list[tuple[str, Container[int]]] = []
    for text, answer in told:
        if not any(len(text) in ends and longer.startswith(text) for longer, ends in made):
            begins, _ = _reach(text, puts, appends)
            if len(text) not in begins:
                return _nowhere(answer, text, max(begins), puts, appends)
            made.append((text, begins))
    return None


def _cut(text: str, puts: _Tokens, appends: _Tokens) -> list[int]:
    """Where the put value (or the empty string) ends, and each of the appended ones after it, that make the text.

    If nothing makes it, the last one is how far one gets. Raises `Ambiguous` if there are two ways to cut it.
    """
    position = len(text)
    if text and not appends.writers and text in puts.writers:
        return [position]  # where nothing is appended, there is nothing to cut
    begins, doubtful = _reach(text, puts, appends)
    if position not in begins:
        return [max(begins)]
    ends = []
    while position >= 0:
        if position in doubtful:
            raise Ambiguous(f"there are two ways to make {shown(text[:position])} of what was written")
        ends.append(position)
        position = begins[position]
    return ends[::-1]


def _reach(text: str, puts: _Tokens, appends: _Tokens) -> tuple[dict[int, int], set[int]]:
    """Where tokens that make the text from its beginning may end: where each began, and what has two ways to it.

    A put begins at -1.
    """
    size = len(text)
    begins = {0: -1}
    doubtful = set()
    for position in puts.lengths:
        if position <= size and text[:position] in puts.writers:
            if position in begins:
                doubtful.add(position)
            begins[position] = -1
    reached = sorted(begins)
    while reached:
        position = heappop(reached)
        for length in appends.lengths:
            following = position + length
            if following > size:
                break
            if text[position:following] in appends.writers:
                if following in begins:
                    doubtful.add(following)
                else:
                    begins[following] = position
                    heappush(reached, following)
    return begins, doubtful


# --- what is wrong ---------------------------------------------------------------------------------------------------


def _nowhere(answer: Operation, text: str, position: int, puts: _Tokens, appends: _Tokens) -> Flaw:
    """An answer whose text cannot be made of what was written: nothing leads on from this position."""
    behind = [value for value in puts.writers if value and text.startswith(value, position)] if position else []
    if behind:
        value = max(behind, key=len)
        put = puts.writers[value]
        anomaly: Anomaly = "applied twice" if text.startswith(value) else "order broken"
        because = f"because {describe(put)} replaces what was there, and here it stands behind something else"
        return Flaw(anomaly, answer, because, (put,))
    if appends.writers:
        how = "written" if puts.writers and not position else "appended"
    else:
        how = "written" if any(each.op == "cas" for each in puts.writes) else "put"
    what = shown(text, position) if position or answer.op == "cas" else "that"
    return Flaw("value from nowhere", answer, f"because nobody had {how} {what}")


def _disagreement(one: Operation, epoch: Epoch, puts: _Tokens) -> Flaw:
    """Two gets of an epoch, neither of which could have grown out of the other."""
    earlier, later = sorted((one, epoch.longest), key=end)
    put = epoch.writes[0]
    others = (earlier,) if put is START else (earlier, put)
    lost = end(earlier) < later.call and len(later.result or "") < len(earlier.result or "")
    gave = f"because {_gave(earlier, later)}"
    if not lost:
        return Flaw("order broken", later, f"{gave}, and neither can become the other", others)
    if put is not START:
        since = f"both since {describe(put)}"
    else:
        since = "neither with anything that was put" if puts.writers else "and nobody put anything"
    return Flaw("lost write", later, f"{gave}, {since}", others)


def _twice(get: Operation, epoch: Epoch, append: Operation) -> Flaw:
    """An append that was seen in two places."""
    once = f"because {describe(append)} was asked for once"
    if epoch.longest is get:
        return Flaw("applied twice", get, once, (append,))
    earlier, later = sorted((get, epoch.witness(append)), key=end)
    return Flaw("applied twice", later, f"{once} and {_gave(earlier, later)}", (append, earlier))


def _zone(epoch: Epoch) -> tuple[float, float] | Flaw:
    """Its first return and its last call, unless something returned before something on a lower level was called."""
    last = epoch.writes[0]  # of the levels so far, the last to be called
    last_call = last.call
    first_return = math.inf
    for write, gets in zip(epoch.writes, epoch.gets, strict=True):
        returned = math.inf if write.return_ is None else write.return_
        if returned < last_call:
            return _misplaced(epoch, write, last)
        if returned < first_return:
            first_return = returned
        if write.call > last_call:
            last, last_call = write, write.call
        lower, lower_call = last, last_call
        for get in gets:
            returned = get.return_  # type: ignore[assignment]  # these were answered
            if returned < lower_call:
                return _misplaced(epoch, get, lower)
            if returned < first_return:
                first_return = returned
            if get.call > last_call:
                last, last_call = get, get.call
    return first_return, last_call


def _misplaced(epoch: Epoch, higher: Operation, lower: Operation) -> Flaw:
    """The one on the higher level had returned before the other was called."""
    if higher.op == "get":
        if lower.op == "get":
            return Flaw("stale read", lower, f"because {_gave(higher, lower)} before", (higher,))
        return Flaw("value from nowhere", higher, f"because {describe(lower)} came later", (lower,))
    witness = epoch.witness(higher)
    done = f"because {describe(higher)} had been answered before"
    if lower.op != "get":
        return Flaw("order broken", witness, f"{done} {describe(lower)} was asked for", (higher, lower))
    if end(witness) < end(lower):
        return Flaw("stale read", lower, f"{done}, and {_gave(witness, lower)}", (higher, witness))
    return Flaw("order broken", witness, f"{done} {_gave(lower, witness)}", (higher, lower))


def _between(blocks: list[Block]) -> Flaw | None:
    """Two blocks each of which would have to come first."""
    forward = sorted((block for block in blocks if block[0] < block[1]), key=itemgetter(0))
    for one, other in pairwise(forward):
        if other[0] < one[1]:
            return _crossing(one, other)
    begins = [begin for begin, *_ in forward]
    for block in blocks:
        first_return, last_call, _ = block
        place = bisect_left(begins, last_call) - 1
        if place >= 0 and last_call <= first_return < forward[place][1]:
            return _crossing(forward[place], block)
    return None


def _crossing(one: Block, other: Block) -> Flaw:
    """Why two blocks cannot stand one after the other: something of one in the middle of the other, if possible."""
    for (first_return, last_call, outer), (*_, inner) in ((one, other), (other, one)):
        if isinstance(outer, Epoch):
            for each in _operations(inner):
                if first_return < each.call and end(each) < last_call:
                    return _in_the_middle(outer, each)
    these, those = _operations(one[2]), _operations(other[2])
    first, third = min(these, key=end), min(those, key=end)
    second, fourth = max(those, key=_call), max(these, key=_call)
    involved = [first, second, third, fourth]
    for (*_, block), operations in ((one, (first, fourth)), (other, (second, third))):
        if isinstance(block, Epoch):
            involved += [block.witness(each) for each in operations if each.op == "append"]
    answer = max((each for each in involved if each.op == "get"), key=end)
    because = (
        f"because {describe(first)} had been answered before {describe(second)} was asked for, and {describe(third)}"
        f" before {describe(fourth)}: the value of each would have to come first"
    )
    others = {id(each): each for each in involved if each is not answer}
    return Flaw("order broken", answer, because, tuple(others.values()))


def _in_the_middle(epoch: Epoch, alien: Operation) -> Flaw:
    """Something in this epoch was over before the alien operation began, and something began after it."""
    before = min((each for each in epoch.in_order() if end(each) < alien.call), key=lambda each: each.op != "put")
    after = [each for each in epoch.in_order() if each.call > end(alien)]
    last = min(after, key=lambda each: (each.op != "get", end(each)))
    answer = last if last.op == "get" else epoch.witness(last)
    fact = _gave(alien, answer) if alien.op == "get" else f"{describe(alien)} had been answered"
    since = "before" if before is START else f"since {describe(before)}"
    others = [alien] if before is START else [alien, before]
    if last is answer:
        anomaly: Anomaly = "lost write" if alien.op == "append" else "stale read"
        return Flaw(anomaly, answer, f"because {fact} {since}", tuple(others))
    anomaly = "order broken" if alien.op == "get" else "lost write"
    because = f"because {fact} {since}, when {describe(last)} was asked for"
    return Flaw(anomaly, answer, because, (*others, last))


def _operations(block: Epoch | Operation) -> list[Operation]:
    return list(block.in_order()) if isinstance(block, Epoch) else [block]


def _gave(get: Operation, contradicted: Operation) -> str:
    came, _ = contrast(get.result or "", contradicted.result or "")
    return f"{describe(get)} had given {came}"


def _call(operation: Operation) -> float:
    return operation.call
