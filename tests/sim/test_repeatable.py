"""One seed, one run: the second time, in another process, on another Python."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from echo_lab.roles import Echo
from plays import passes, play
from repeated import HERE, break_everything, digests

from labs.sim.cluster import SimCluster
from labs.traces.events import FILE, HARNESS, read

EXPECTED: Final = HERE / "digests.json"
VERSIONS: Final = ("3.11", "3.12", "3.13")


def pythons() -> list[str]:
    """The interpreters of `LAB_PYTHONS` (separated as PATH is), or else those on PATH."""
    named = os.environ.get("LAB_PYTHONS")
    if named is not None:
        return named.split(os.pathsep)
    return [found for version in VERSIONS if (found := shutil.which(f"python{version}"))]


def digests_of(python: str, **environment: str) -> dict[str, str]:
    """What the runs of `repeated.py` are on another Python."""
    output = subprocess.run(
        [python, str(HERE / "repeated.py")], env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, str] = json.loads(output)
    return found


def test_runs_are_what_they_have_always_been() -> None:
    """`repeated.py` says how to write the file anew after a change that is meant to change runs."""
    assert digests() == json.loads(EXPECTED.read_text())


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_the_hash_of_strings_changes_nothing(hash_seed: str) -> None:
    assert digests_of(sys.executable, PYTHONHASHSEED=hash_seed) == json.loads(EXPECTED.read_text())


@pytest.mark.parametrize("python", pythons())
def test_runs_are_the_same_on_every_python(python: str) -> None:
    can = subprocess.run([python, "-c", "import msgspec, msgpack, pytest"], capture_output=True, check=False)
    if can.returncode != 0:
        pytest.skip(f"{python} has not all of msgspec, msgpack and pytest")
    assert digests_of(python) == json.loads(EXPECTED.read_text())


def test_another_seed_is_another_run() -> None:
    assert len({passes(break_everything, seed).digest for seed in range(5)}) == 5


def test_a_run_is_the_same_after_other_runs() -> None:
    first = passes(break_everything, 7)
    passes(break_everything, 8)
    again = passes(break_everything, 7)
    assert again.digest == first.digest
    assert again.virtual_seconds == first.virtual_seconds
    assert again.messages == first.messages


def test_what_failed_fails_again() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await break_everything(cluster)
        raise AssertionError("at the end")

    first, again = play(scenario), play(scenario)
    assert first.status == "failed"
    assert first.digest == again.digest
    assert first.digest != passes(break_everything).digest


def test_a_trace_can_be_kept_and_read(tmp_path: Path) -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.call("a", Echo("x"))
        await cluster.kill("a")

    outcome = passes(scenario, folder=tmp_path)
    assert outcome.digest == passes(scenario).digest
    header, events = read(tmp_path / FILE)
    assert (header.world, header.package, header.seed) == ("sim", "echo_lab", 1)
    assert [event.kind for event in events if event.kind != "log"] == [
        *("start", "serve", "request", "arrive", "reply", "return", "kill")
    ]
    request = next(event for event in events if event.kind == "request")
    assert (request.src, request.dst, request.method, request.body) == (HARNESS, "a", "Echo", ["x", 0.0])
