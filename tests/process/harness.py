"""A harness to be killed: `python harness.py RUN FOLDER DEED`. It starts servers, says so, and then does the deed."""

import asyncio
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from toy_lab.messages import Leave  # noqa: E402

from labs.process.cluster import ProcessCluster  # noqa: E402
from labs.process.processes import Keepers  # noqa: E402


async def scenario(cluster: ProcessCluster, deed: str) -> None:
    """Servers of every unpleasant sort, and then the end that was asked for."""
    await cluster.start("adder", "a", stubborn=True)
    await cluster.start("adder", "b")
    await cluster.start("adder", "paused")
    cluster.tap("b")
    cluster.hold("a", "b")
    cluster.cut("b", "a")
    await cluster.call("a", Leave())
    await cluster.call("b", Leave())
    cluster.pause("paused")
    print("ready", flush=True)
    if deed == "raise":
        raise ZeroDivisionError("a test that fails")
    if deed == "wait":
        await asyncio.sleep(3600)


async def main(keepers: Keepers, folder: Path, deed: str) -> None:
    """One test, as a harness runs it."""
    async with ProcessCluster("toy_lab", keepers.get("toy_lab", [HERE]), folder=folder) as cluster:
        await scenario(cluster, deed)


if __name__ == "__main__":
    keepers = Keepers(sys.argv[1])
    try:
        asyncio.run(main(keepers, Path(sys.argv[2]), sys.argv[3]))
    finally:
        keepers.close()
