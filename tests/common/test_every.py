"""What is done again and again, on machines that wake one up late."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from common.host import every


class Stopped(Exception):
    """The test has seen enough."""


class LateHost:
    """A host whose waits all take too long: by how much, `late` says."""

    def __init__(self, late: Callable[[float], float]) -> None:
        self.clock = 0.0
        self._late = late

    def now(self) -> float:
        return self.clock

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.clock += seconds + self._late(self.clock)


def times(late: Callable[[float], float], until: float, takes: float = 0.0) -> list[float]:
    """When something is done every second on such a host, each time taking so long."""
    host: Any = LateHost(late)
    done: list[float] = []

    async def action() -> None:
        if host.clock > until:
            raise Stopped
        done.append(host.clock)
        host.clock += takes

    with pytest.raises(Stopped):
        asyncio.run(every(host, 1.0, action))
    return done


def test_on_time_it_waits_so_long() -> None:
    assert times(lambda _: 0.0, 3.5) == [0.0, 1.0, 2.0, 3.0]


def test_it_waits_after_what_it_does() -> None:
    assert times(lambda _: 0.0, 3.5, takes=0.5) == [0.0, 1.5, 3.0]


def test_lateness_does_not_add_up() -> None:
    done = times(lambda _: 0.4, 1000.0)
    assert len(done) == pytest.approx(1000, abs=2)
    assert len(times(lambda _: -0.01, 1000.0)) == pytest.approx(1000, abs=2)


def test_waits_that_take_twice_as_long_are_made_up_for_too() -> None:
    """If not even waiting for nothing takes time, which is so where a process has its turn."""
    host_is_late = iter([1.0, 0.0] * 1000)
    assert len(times(lambda _: next(host_is_late), 1000.0)) == pytest.approx(1000, abs=2)


def test_after_a_long_stop_it_is_done_once_more_at_once_and_no_oftener() -> None:
    done = times(lambda clock: 50.0 if clock == 2.0 else 0.0, 56.5)
    assert done == [0.0, 1.0, 2.0, 53.0, 53.0, 54.0, 55.0, 56.0]
