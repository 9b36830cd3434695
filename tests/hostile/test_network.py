"""The network is what the harness says it is: nobody goes around a cut link, and nobody lies about where they are."""

import asyncio
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from common.main import new_event_loop
from labs.cluster import NotInTime
from labs.process.cluster import ProcessCluster
from labs.process.leftovers import Leftovers, sweep
from labs.process.processes import Keeper
from labs.sandbox import layers
from labs.sandbox.files import TamperedWith, remove_tree
from labs.sandbox.gate import GRACE
from labs.sandbox.limits import Limits
from labs.sandbox.plan import Sandbox

HERE: Final = Path(__file__).parent / "rogues"
sys.path.insert(0, str(HERE))

from rogue_lab.messages import Call, Dial, Hello, Redial, Tamper  # noqa: E402

IMPATIENT: Final = 0.5
"""For those who wait in vain for a server to listen: half of the usual time, in which it has long said its lie."""

Play = Callable[[Callable[[ProcessCluster], Awaitable[None]]], None]


@pytest.fixture(scope="session")
def keeper(offered: dict[str, layers.Layer]) -> Iterator[Keeper]:
    """The keeper of rogue servers, in a sandbox of all layers that hold without a network of its own."""
    if not offered["links"].works:
        pytest.skip(f"the layer links is missing: {offered['links'].found}")
    sandbox = Sandbox([layer for layer in offered.values() if layer.name != "network"], Limits())
    keeper = Keeper("rogue_lab", f"test-{uuid.uuid4().hex}", [HERE], sandbox=sandbox)
    yield keeper
    keeper.close()
    assert sweep(keeper.run) == Leftovers(0, 0)


@pytest.fixture
def play(keeper: Keeper) -> Iterator[Play]:
    """Runs a scenario with rogue servers, in a folder that other users may enter."""
    folder = Path(tempfile.mkdtemp(prefix="lab-rogues-"))
    folder.chmod(0o755)

    def play(scenario: Callable[[ProcessCluster], Awaitable[None]]) -> None:
        async def main() -> None:
            async with ProcessCluster("rogue_lab", keeper, folder=folder) as cluster:
                await scenario(cluster)

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())

    yield play
    remove_tree(folder)


def port(cluster: ProcessCluster, name: str) -> int:
    """Where a server listens, as only the harness knows it."""
    endpoint = cluster._servers[name].endpoint
    assert endpoint is not None
    return endpoint.port


@pytest.mark.parametrize("blocking", [False, True])
def test_nobody_dials_around_a_cut_link(play: Play, blocking: bool) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("rogue", "a")
        await cluster.start("rogue", "b")
        dial = Dial(port(cluster, "b"), blocking)
        assert await cluster.call("a", dial) == "answered"  # the link is up, so it may
        cluster.cut("a", "b")
        assert "refused" in await cluster.call("a", dial)
        assert "has no link" in await cluster.call("a", Call("b"))
        cluster.join("a", "b")
        assert await cluster.call("a", dial) == "answered"
        assert await cluster.call("a", Call("b")) == "b"

    play(scenario)


def test_a_connection_does_not_outlive_its_link_for_long(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("rogue", "a")
        await cluster.start("rogue", "b")
        assert await cluster.call("a", Dial(port(cluster, "b"))) == "answered"
        assert await cluster.call("a", Redial()) == "answered"
        cluster.cut("a", "b")
        cut = time.monotonic()
        while await cluster.call("a", Redial()) == "answered":
            assert time.monotonic() - cut < 20 * GRACE, "the connection works although the link has long been cut"
            await asyncio.sleep(0.05)
        cluster.join("a", "b")
        assert await cluster.call("a", Redial()) != "answered"  # gone is gone
        assert await cluster.call("a", Call("b")) == "b"

    play(scenario)


def test_nobody_dials_around_a_tap(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("rogue", "a")
        await cluster.start("rogue", "b")
        cluster.tap("b")
        assert "refused" in await cluster.call("a", Dial(port(cluster, "b")))
        assert cluster.calls("b") == 0
        assert await cluster.call("a", Call("b")) == "b"
        assert cluster.calls("b") == 1

    play(scenario)


def test_links_are_no_files_in_common(play: Play) -> None:
    """What a server writes into its own socket file is seen by nobody else."""

    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("rogue", "a")
        await cluster.start("rogue", "b")
        ours, theirs = cluster.net / "a" / "a", cluster.net / "b" / "a"
        assert ours.read_text() == theirs.read_text()
        assert ours.stat().st_ino != theirs.stat().st_ino
        assert theirs.stat().st_nlink == 1

    play(scenario)


def test_a_link_that_a_server_makes_itself_leads_nowhere(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("rogue", "a")
        await cluster.start("rogue", "b")
        await cluster.call("a", Call("b"))
        cluster.cut("a", "b")
        await cluster.call("a", Tamper("b", "lie", f"127.0.0.1 {port(cluster, 'b')}\n"))
        assert (await cluster.call("a", Call("b"))).startswith("failed")

    play(scenario)


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_what_lies_in_the_way_of_a_link_harms_nobody_else(play: Play, what: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("results")

    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("rogue", "a")
        await cluster.start("rogue", "b")
        cluster.cut("a", "b")
        await cluster.call("a", Tamper("b", what, str(precious)))
        if what == "folder":
            with pytest.raises(TamperedWith, match="where a server can write as well"):
                cluster.join("a", "b")
        else:
            cluster.join("a", "b")
            assert await cluster.call("a", Call("b")) == "b"
        assert await cluster.call("b", Hello()) == "b"

    play(scenario)
    assert precious.read_text() == "results"


@pytest.mark.parametrize(
    ("what", "text", "why"),
    [
        ("pipe", "", "expected .* to be a plain file"),
        ("link", "/etc/passwd", "expected .* to be a plain file"),
        ("lie", "127.0.0.1 22\n", "does not listen at 127.0.0.1:22"),
        ("flood", "", "to hold 'host port'"),
    ],
)
def test_lies_about_where_it_listens_are_found_out(play: Play, what: str, text: str, why: str) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        cluster.patience = IMPATIENT
        with pytest.raises(NotInTime, match=why):
            await cluster.start("liar", "a", what=what, text=text)

    play(scenario)


def test_nobody_passes_for_somebody_else(play: Play) -> None:
    """Who gives another one's port for their own would open a way there."""

    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("rogue", "b")
        cluster.patience = IMPATIENT
        with pytest.raises(NotInTime, match="does not listen at"):
            await cluster.start("liar", "a", what="lie", text=f"127.0.0.1 {port(cluster, 'b')}\n")

    play(scenario)


def test_a_restart_takes_milliseconds_and_forgets_everything(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("rogue", "a")
        await cluster.start("rogue", "b")
        took = []
        for _ in range(5):
            await cluster.kill("b")
            began = time.monotonic()
            await cluster.restart("b")
            took.append(time.monotonic() - began)
            assert await cluster.call("a", Call("b")) == "b"
        print("restarts in milliseconds:", *(round(1000 * each, 1) for each in took))

    play(scenario)
