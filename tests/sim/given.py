"""Tests that `test_worker.py` gives to a worker: what a module of graded tests looks like from there."""

import os
import time

from echo_lab.roles import Count, Echo, Relay

from labs.cluster import Cluster
from labs.grading import Inconclusive

runs = 0


async def test_passes(cluster: Cluster) -> None:
    """It prints, but not among the worker's answers."""
    print("on standard output")
    os.write(1, b"past Python\n")
    await cluster.start("echo", "a")
    assert await cluster.call("a", Relay("a", "x")) == "x"


async def test_fails_for_odd_seeds(cluster: Cluster) -> None:
    """An assertion fails."""
    await cluster.start("echo", "a")
    counted = await cluster.call("a", Count())
    assert counted == cluster.seed % 2


async def test_cannot_tell(cluster: Cluster) -> None:
    """Neither passed nor failed."""
    raise Inconclusive("too slow")


async def test_is_another_one_each_time(cluster: Cluster) -> None:
    """State that one run leaves to the next."""
    global runs
    runs += 1
    await cluster.start("echo", "a")
    await cluster.call("a", Echo("x" * runs))
    assert cluster.seed != 3


async def test_ends_the_worker(cluster: Cluster) -> None:
    """For even seeds."""
    if cluster.seed % 2 == 0:
        os._exit(7)
    await cluster.sleep(1)


async def test_looks_at_the_clock(cluster: Cluster) -> None:
    """Which it must not."""
    time.monotonic()


async def test_hangs(cluster: Cluster) -> None:
    """Where no Python code runs that could be interrupted."""
    if cluster.seed == 1:
        os.read(os.pipe()[0], 1)
    await cluster.sleep(1)


async def test_meant_to_reach_eleven(cluster: Cluster) -> None:
    """Which one seed does."""
    cluster.sometimes("the seed is 11", cluster.seed == 11)
    cluster.sometimes("the seed is less than 1000", cluster.seed < 1000)
    assert cluster.seed < 1000
