"""Clusters of toy servers: real processes, which every test leaves behind none of."""

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.main import new_event_loop
from labs.process.cluster import ProcessCluster
from labs.process.leftovers import Leftovers, sweep
from labs.process.processes import Keeper, Keepers

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the tests speak the toy lab's messages

Play = Callable[[Callable[[ProcessCluster], Awaitable[None]]], None]
"""Runs a scenario with a cluster of its own, and closes it."""


@pytest.fixture(scope="session")
def run() -> str:
    """This session's run id."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def keepers(run: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keepers]:
    """The keepers of the session. When all is over, nothing is left of them."""
    keepers = Keepers(run)
    yield keepers
    keepers.close()
    assert sweep(run, tmp_path_factory.getbasetemp()) == Leftovers(0, 0)


@pytest.fixture(scope="session")
def keeper(keepers: Keepers) -> Keeper:
    """The keeper of the toy lab."""
    return keepers.get("toy_lab", [HERE])


@pytest.fixture
def play(keeper: Keeper, tmp_path: Path) -> Play:
    """Runs scenarios of the toy lab in the test's own folder."""

    def play(scenario: Callable[[ProcessCluster], Awaitable[None]]) -> None:
        mishaps: list[dict[str, Any]] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
            async with ProcessCluster("toy_lab", keeper, folder=tmp_path) as cluster:
                await scenario(cluster)

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())
        assert mishaps == [], "an exception went unnoticed in the harness's loop"

    return play
