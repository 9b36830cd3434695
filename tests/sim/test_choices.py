"""What a run leaves to chance: noted, played again, and left out."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from echo_lab.roles import Relay
from plays import passes, play
from repeated import break_everything

from labs.choices import Choice, Choices
from labs.cluster import Cluster
from labs.faults import EVIL, NONE, UNRELIABLE, Fate, Faults
from labs.sim.cluster import SimCluster
from labs.sim.network import USUAL_DELAY
from labs.storm import Storm

HERE = Path(__file__).parent


def choices(schedule: list[Choice] | None = None) -> Choices:
    """Made at the second 1.5."""
    return Choices(schedule, lambda: 1.5)


def test_without_a_schedule_a_choice_is_what_was_drawn() -> None:
    made = choices()
    assert [made.choose("a die", lambda value=value: value, 0) for value in (3, 0, 5)] == [3, 0, 5]  # type: ignore[misc]
    assert made.choose("a coin", lambda: "tails", "heads") == "tails"
    assert made.made == [
        Choice("a die", 0, 1.5, 3, 0),
        Choice("a die", 2, 1.5, 5, 0),
        Choice("a coin", 0, 1.5, "tails", "heads"),
    ]


def test_with_a_schedule_all_else_is_simple_and_still_drawn() -> None:
    made = choices([Choice("a die", 1, 0.0, 6, 0)])
    random, same = Random(1), Random(1)
    assert [made.choose("a die", lambda: random.randrange(1, 7), 0) for _ in range(3)] == [0, 6, 0]
    assert [choice.number for choice in made.made] == [1]
    for _ in range(3):
        same.randrange(1, 7)
    assert random.getstate() == same.getstate()


def test_what_somebody_chose_instead_comes_out_whatever_is_drawn_or_planned() -> None:
    mine = [Choice("a die", 1, 0.0, 4, 0)]
    for schedule, expected in ((None, [3, 4, 3]), ([Choice("a die", 0, 0.0, 6, 0)], [6, 4, 0])):
        made = Choices(schedule, lambda: 1.5, mine)
        assert [made.choose("a die", lambda: 3, 0) for _ in range(3)] == expected
        assert made.latest == Choice("a die", 2, 1.5, expected[-1], 0)
        assert [choice.value for choice in made.made] == [value for value in expected if value]


@pytest.mark.parametrize(
    ("faults", "fate"),
    [
        (NONE, Fate((0.0,), False, 0.0)),
        (EVIL, Fate((0.0,), False, 0.0)),
        (Faults(delay=0.4, reply_lost=0.9), Fate((0.4,), False, 0.0)),
        (Faults(request_lost=1.0), Fate((), False, 0.0)),
        (Faults(reply_lost=1.0, duplicate=1.0), Fate((0.0, 0.0), True, 0.0)),
    ],
)
def test_the_simplest_fate_has_only_what_must_be(faults: Faults, fate: Fate) -> None:
    assert faults.simplest == fate


def test_noting_choices_changes_nothing_and_their_schedule_is_the_same_run() -> None:
    before = passes(break_everything)
    noted = passes(break_everything, note_choices=True)
    assert before.choices == []
    assert noted.digest == before.digest
    assert {choice.of.split()[0] for choice in noted.choices} == {"delay", "fate"}
    again = passes(break_everything, schedule=json_again(noted.choices))
    assert again.digest == before.digest
    assert again.choices == noted.choices


def json_again(made: list[Choice]) -> list[Choice]:
    """The choices after a journey through a file."""
    fields = [json.loads(json.dumps([c.of, c.number, c.time, c.value, c.simplest])) for c in made]
    return [Choice(*each) for each in fields]


async def relays(cluster: SimCluster) -> list[str]:
    """What a hears from b in forty calls, one after the other, over bad links."""
    await cluster.start("echo", "a")
    await cluster.start("echo", "b")
    cluster.tap("b", UNRELIABLE)
    return [await cluster.call("a", Relay("b", str(number))) for number in range(40)]


def test_a_run_with_an_empty_schedule_has_no_faults_and_the_shortest_delays() -> None:
    async def scenario(cluster: SimCluster) -> None:
        assert "failed" not in await relays(cluster)
        assert cluster.network.delay("a", "b") == USUAL_DELAY[0]

    assert passes(scenario, schedule=[]).choices == []
    assert "failed" in play(scenario).message


def test_one_fault_of_many_can_be_kept() -> None:
    heard: list[str] = []

    async def scenario(cluster: SimCluster) -> None:
        heard[:] = await relays(cluster)

    noted = passes(scenario, note_choices=True)
    losses = [choice for choice in noted.choices if choice.of == "fate of a > b"]
    assert heard.count("failed") == len(losses) > 1
    passes(scenario, schedule=[losses[1]])
    assert [number for number, answer in enumerate(heard) if answer == "failed"] == [losses[1].number]


def storm_of(cluster: Cluster, told: list[Any]) -> Storm:
    """A storm over five servers, two of which die, that tells what it does."""
    told.clear()
    storm = Storm(cluster, ["a", "b", "c", "d", "e"], deaths=2)
    strike: Callable[..., Any] = storm._strike

    async def tell(what: str, *whom: Any) -> None:
        told.append([round(cluster.now(), 6), what, *whom])
        await strike(what, *whom)

    storm._strike = tell  # type: ignore[method-assign]
    return storm


def test_a_storm_can_be_thinned_out() -> None:
    told: list[Any] = []

    async def scenario(cluster: SimCluster) -> None:
        for name in "abcde":
            await cluster.start("echo", name)
        storm = storm_of(cluster, told)
        await storm.rage(4.0)
        dead = [name for name in storm.servers if not cluster.running(name)]
        assert len(dead) == sum(blow[1] == "kill" for blow in told)
        assert all(cluster.link(src, dst).up for src in "abcde" for dst in "abcde")

    noted = passes(scenario, seed=3, note_choices=True)
    blows = [choice for choice in noted.choices if choice.of == "storm"]
    assert [blow.value for blow in blows] == [each[1:] for each in told]
    assert sum(blow[1] == "kill" for blow in told) == 2
    passes(scenario, seed=3, schedule=[])
    assert told == []
    for blow in blows:
        passes(scenario, seed=3, schedule=[blow])
        assert [each[1:] for each in told] == [blow.value]


def test_tests_make_choices_too() -> None:
    async def scenario(cluster: SimCluster) -> None:
        done = [cluster.choose("step", lambda: cluster.random.choice("xyz"), "") for _ in range(20)]
        await asyncio.sleep(0)
        assert "y" not in done, "".join(done)

    failed = play(scenario, note_choices=True)
    assert failed.status == "failed"
    needed = [choice for choice in failed.choices if choice.value == "y"][:1]
    assert f"AssertionError: {needed[0].value}" in play(scenario, schedule=needed).message
    passes(scenario, schedule=[choice for choice in failed.choices if choice.value != "y"])
