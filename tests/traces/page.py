"""The run of which docs/traces.md shows the trace. `python -m tests.traces.page` prints it, to be copied from."""

import tempfile
from pathlib import Path
from typing import Any, Final

from common.host import CallFailed
from labs.faults import Faults
from labs.sim.cluster import SimCluster
from labs.sim.run import run
from labs.traces.events import FILE, Event, Header, Verdict, append

PAGE: Final = Path(__file__).parents[2] / "docs" / "traces.md"
HEADER: Final = Header(
    world="sim",
    package="lab1_pbservice",
    test="test_for_the_page",
    title="A backup comes",
    suite="pbservice",
    seed=1,
    replay="./lab test pbservice -k test_for_the_page --world sim --seed 1",
)


async def scenario(cluster: SimCluster) -> None:
    """Something of everything."""
    await cluster.start("viewserver", "vs")
    await cluster.start("pbserver", "pb-1", viewserver="vs")
    clerk = await cluster.clerk("ck-1", viewserver="vs")
    await clerk.put("k", "1")
    cluster.record("note", "", text="the links to the view service become unreliable")
    cluster.tap("vs", Faults(request_lost=0.4, reply_lost=0.4), ["pb-1"])
    await cluster.sleep(1.0)
    cluster.hold("pb-1", "vs")
    await cluster.sleep(0.15)
    cluster.release("pb-1", "vs")
    cluster.untap("vs")
    cluster.cut("ck-1", "pb-1")
    cluster.join("ck-1", "pb-1")
    await clerk.get("k")
    cluster.pause("pb-1")
    cluster.resume("pb-1")
    await cluster.kill("pb-1")
    with_nobody: Any = cluster.spawn(clerk.append("k", "y"))
    await cluster.sleep(0.05)
    with_nobody.cancel()
    await cluster.restart("pb-1")
    try:
        raise ZeroDivisionError("one of its own")
    except ZeroDivisionError as error:
        cluster.network.processes["pb-1"].crash(error)
    raise CallFailed("never seen")


def record(folder: Path) -> Path:
    """Runs it, and gives its trace."""
    outcome = run(scenario, HEADER.package, HEADER.seed, folder=folder, header=HEADER)
    assert outcome.status == "failed", outcome
    verdict = Verdict("failed", "at test_pbservice.py:12: assert view.backup", [2])
    append(folder / FILE, Event(outcome.virtual_seconds, "verdict", text="expected a backup", body=verdict))
    return folder / FILE


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(record(Path(folder)).read_text())
