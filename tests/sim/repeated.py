"""Runs whose digests are known. `python tests/sim/repeated.py` prints the digests of this Python.

After a change that is meant to change runs: `python tests/sim/repeated.py > tests/sim/digests.json`.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEEDS = (1, 2, 3)


def digests() -> dict[str, str]:
    """For each scenario and seed, what its run was."""
    from labs.sim.run import run

    found = {}
    for scenario in (talk, break_everything):
        for seed in SEEDS:
            outcome = run(scenario, "echo_lab", seed)
            assert outcome.status == "passed", outcome.message
            found[f"{scenario.__name__} {seed}"] = outcome.digest
    for seed in SEEDS:
        choices = run(break_everything, "echo_lab", seed, note_choices=True).choices
        outcome = run(break_everything, "echo_lab", seed, schedule=choices[::2])
        assert outcome.status == "passed", outcome.message
        found[f"half of break_everything {seed}"] = outcome.digest
    return found


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(HERE)]

from labs.faults import EVIL  # noqa: E402
from labs.sim.cluster import SimCluster  # noqa: E402


async def talk(cluster: SimCluster) -> None:
    """Servers that use every tool of asyncio talk to each other over perfect links."""
    names = ["a", "b", "c", "d"]
    for name in names:
        await cluster.start("gossip", name, peers=[peer for peer in names if peer != name])
    await cluster.sleep(0.5)


async def break_everything(cluster: SimCluster) -> None:
    """The same, while everything happens to them."""
    names = ["a", "b", "c", "d"]
    for name in names:
        await cluster.start("gossip", name, peers=[peer for peer in names if peer != name])
        cluster.tap(name, EVIL)
    for _ in range(4):
        cluster.random.shuffle(names)
        cluster.partition(names[:2], names[2:])
        await cluster.sleep(0.05)
        await cluster.kill(names[0])
        cluster.pause(names[1])
        cluster.hold(names[2], names[3])
        await cluster.sleep(0.05)
        await cluster.restart(names[0])
        cluster.resume(names[1])
        cluster.release(names[2], names[3])
        cluster.heal()
        cluster.deafen(names[1])
        await cluster.sleep(0.05)
        cluster.undeafen(names[1])


if __name__ == "__main__":
    json.dump(digests(), sys.stdout, indent=1)
    print()
