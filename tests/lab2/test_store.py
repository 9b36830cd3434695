"""The key/value store as a state machine: what comes again, what is too long, and what a snapshot holds."""

from typing import Literal

import pytest

from common.protocol import Done, Value
from lab2_kvpaxos.kvpaxos import machine
from lab2_kvpaxos.kvpaxos.machine import Store
from lab2_kvpaxos.kvpaxos.messages import Op, TooLong


def op(kind: Literal["get", "put", "append"], seq: int, value: str = "", client: int = 1) -> Op:
    """An operation on the key k."""
    return Op(kind, client, seq, "k", value)


def test_a_write_is_executed_once() -> None:
    store = Store()
    assert [store.apply(op("append", 1, "x")) for _ in range(3)] == [Done()] * 3
    assert store.apply(op("append", 2, "y")) == Done()
    assert store.apply(op("append", 1, "x")) == Done(), "a late copy"
    assert store.values == {"k": "xy"}


def test_a_get_that_comes_again_gives_what_is_current_then() -> None:
    store = Store()
    assert store.apply(op("get", 1)) == Value("")
    store.apply(op("put", 1, "x", client=2))
    assert store.apply(op("get", 1)) == Value("x")


def test_clients_do_not_share_their_numbers() -> None:
    store = Store()
    for client in (1, 2, 3):
        store.apply(op("append", 1, str(client), client))
    assert store.values == {"k": "123"}
    assert len(store.newest) == 3


def test_a_value_that_would_be_too_long_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAX_VALUE", 3)
    store = Store()
    store.apply(op("put", 1, "xy"))
    assert store.apply(op("append", 2, "zz")) == TooLong(3)
    assert store.apply(op("append", 3, "z")) == Done()
    assert store.values == {"k": "xyz"}


def test_what_was_refused_is_not_executed_when_it_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers proposed the same write. Its client was told no, and then somebody made room for it."""
    monkeypatch.setattr(machine, "MAX_VALUE", 3)
    store = Store()
    store.apply(op("put", 1, "xyz", client=2))
    assert store.apply(op("append", 1, "!")) == TooLong(3)
    store.apply(op("put", 2, "", client=2))
    assert store.apply(op("append", 1, "!")) == TooLong(3)
    assert store.values == {"k": ""}


def test_a_snapshot_holds_values_duplicates_and_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAX_VALUE", 3)
    store, other = Store(), Store()
    store.apply(op("put", 1, "äö"))
    store.apply(op("append", 2, "too long"))
    other.apply(op("put", 9, "gone", client=9))
    other.restore(store.snapshot())
    assert vars(other) == vars(store)
    assert other.apply(op("put", 1, "again")) == Done()
    assert other.apply(op("append", 2, "!")) == TooLong(3)
    assert other.values == {"k": "äö"}
