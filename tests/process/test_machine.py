"""The guard: what it sees of a machine, and that only waiting counts."""

import asyncio
import os
import re
import time

import pytest

from labs.process import machine
from labs.process.machine import MOST_LAG, Counters, Watch
from labs.sandbox.usage import cores


def watch(seconds: float) -> Watch:
    """A watch under which the loop's thread sleeps for so long, as if somebody else had its core."""

    async def scenario() -> Watch:
        async with Watch() as watch:
            await asyncio.sleep(0.05)
            time.sleep(seconds)  # noqa: ASYNC251 (that is the point)
            await asyncio.sleep(0.05)
        return watch

    return asyncio.run(scenario())


def test_a_loop_that_had_to_wait_complains() -> None:
    seen = watch(3 * MOST_LAG)
    assert seen.lag >= 2 * MOST_LAG
    assert re.search(r"had to wait \d+\.\d\d s", seen.complaint())


def test_the_loop_s_own_work_is_no_waiting() -> None:
    calm = Watch()
    calm._ticked(took=1.0, worked=0.98)
    assert calm.lag == pytest.approx(0.02)
    assert not calm.complaint()
    calm._ticked(took=1.0, worked=0.1)
    assert calm.lag == pytest.approx(0.9)


def test_stolen_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    seen = Watch()
    seen._counted(Counters(10.0, 5.0, 3.0), Counters(11.0, 5.3, 3.9))
    assert seen.steal == pytest.approx(0.15)
    assert seen.pressure == pytest.approx(0.9)
    assert not seen.complaint(), "pressure alone does no harm"
    seen._counted(Counters(11.0, 5.3, 3.9), Counters(12.0, 6.3, 4.0))
    assert "50% of the processors' time went to other virtual machines" in seen.complaint()
    assert "90%" in seen.complaint()


def test_counters_are_there_or_nought() -> None:
    counters = machine.read_counters()
    assert counters.stolen >= 0
    assert counters.pressed >= 0


def test_a_machine_that_the_servers_themselves_keep_busy_is_no_excuse() -> None:
    seen = Watch()
    seen.lag = 2 * MOST_LAG
    assert seen.complaint()
    assert not seen.blame()
    seconds = 0.9 * 2.0 * cores()
    seen._counted(Counters(0.0, 0.0, 0.0, own=1.0), Counters(2.0, 0.0, 0.0, own=1.0 + seconds))
    assert not seen.complaint()
    assert "these servers themselves: for a second they used 90% of its processors" in seen.blame()
    seen.lag = MOST_LAG / 2
    assert not seen.blame()
