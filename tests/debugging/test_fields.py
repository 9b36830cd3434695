"""A server's state as lines: readable, bounded, the same every time, and no code of the server's is called."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any

import msgspec

from labs.debugging.fields import ITEMS, LINES, fields_of
from labs.debugging.messages import Field, ServerLook
from labs.debugging.session import differences


class View(msgspec.Struct):
    number: int
    primary: str


class Colour(Enum):
    RED = 1


class Core:
    """What decides."""

    def __init__(self) -> None:
        self.view = View(2, "a")
        self.values = {"k": "v"}
        self.decided: dict[int, Any] = {}

    def __repr__(self) -> str:
        raise AssertionError("a look calls no code of the server's")

    @property
    def costly(self) -> int:
        raise AssertionError("nor a property")


class World:
    """Belongs to the harness."""


class Server:
    """What waits."""

    def __init__(self) -> None:
        self.world = World()
        self.core = Core()
        self.random = Random(1)
        self._queue: list[Any] = []
        self._lock = asyncio.Lock()

    def handle(self, request: object) -> None:
        """A request."""

    def other(self, request: object) -> None:
        """Another."""


def lines_of(*handlers: Any) -> dict[str, str]:
    return dict(fields_of(dict(enumerate(handlers)), (World,)))


def test_state_is_found_from_what_handles_requests() -> None:
    server = Server()
    assert lines_of(server.handle, server.other) == {
        "core.view": 'View(number=2, primary="a")',
        "core.values": '{"k": "v"}',
        "core.decided": "{}",
        "_queue": "[]",
        "_lock": "not locked",
    }


def test_an_object_that_another_leads_to_is_shown_there() -> None:
    class Outer:
        def __init__(self) -> None:
            self.inner = Server()

        def handle(self, request: object) -> None:
            """A request."""

    outer = Outer()
    assert "inner.core.view" in lines_of(outer.inner.handle, outer.handle)
    two = lines_of(Server().handle, outer.handle)
    assert {"Server.core.view", "Outer.inner.core.view"} <= set(two)


def test_variables_that_plain_functions_share_are_state() -> None:
    texts, count = ["x"], 0

    def handle(_request: object) -> int:
        nonlocal count
        count += len(texts)
        return count

    assert lines_of(handle) == {"texts": '["x"]', "count": "0"}
    handle(None)
    assert lines_of(handle)["count"] == "1"


class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value

    def handle(self, request: object) -> None:
        """A request."""


def shown(value: Any) -> dict[str, str]:
    return lines_of(Holder(value).handle)


def test_values_are_readable() -> None:
    @dataclass
    class Point:
        x: int
        tags: list[str] = field(default_factory=list)

    cases: list[tuple[Any, str]] = [
        (None, "None"),
        (1.5, "1.5"),
        ("a\nb", '"a\\nb"'),
        (b"ab", "b'ab'"),
        (Colour.RED, "Colour.RED"),
        ({"b", "a"}, '{"a", "b"}'),
        ((1, View(1, "")), '(1, View(number=1, primary=""))'),
        (deque([1]), "[1]"),
        (OrderedDict(a=1), '{"a": 1}'),
        (Point(1, ["t"]), 'Point(x=1, tags=["t"])'),
        (asyncio.Event(), "not set"),
        (asyncio.Queue(), "a queue of 0"),
    ]
    for value, text in cases:
        assert shown(value) == {"value": text}, value


def test_what_is_long_is_cut() -> None:
    assert shown("x" * 1000)["value"] == '"' + "x" * 60 + '…" (1000 characters)'
    many = shown(dict.fromkeys(range(1000), "x" * 50))
    assert many["value[…]"] == f"{1000 - ITEMS} before these"
    assert list(many)[-1] == "value[999]"
    assert len(many) == ITEMS + 1
    wide = shown([{str(row): ["x" * 50] * ITEMS for row in range(ITEMS)} for _ in range(ITEMS)])
    assert len(wide) == LINES + 1
    assert wide["…"] == f"{ITEMS**3 - LINES} more"


def test_what_leads_to_itself_ends() -> None:
    one, other = Holder(None), Holder(None)
    one.value, other.value = other, one
    assert lines_of(one.handle) == {"value.value": "(shown above)"}
    deep: Any = None
    for _ in range(100):
        deep = Holder(deep)
    (path,) = lines_of(deep.handle)
    assert path.count(".") < 10


def test_looking_changes_nothing() -> None:
    server = Server()
    before = repr(vars(server.core))
    lines_of(server.handle)
    assert repr(vars(server.core)) == before


def test_differences_name_what_is_new_changed_and_gone() -> None:
    before = ServerLook("a", "echo", "running", [Field("x", "1"), Field("y", "2"), Field("s", "1")])
    after = ServerLook("a", "echo", "running", [Field("x", "1"), Field("s", "2"), Field("s", "1"), Field("z", "3")])
    assert differences(before, after) == [("s", "1", "2"), ("s (2)", None, "1"), ("z", None, "3"), ("y", "2", None)]
    assert differences(before, before) == []
