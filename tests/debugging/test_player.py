"""Runs in a worker process: stopped, looked into, gone on with, begun anew."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from labs.choices import NEVER, Choice
from labs.debugging.messages import Look
from labs.debugging.player import WorkerPlayer
from labs.debugging.session import Refused, Session
from labs.grading import Grade
from labs.running import GradedItem
from labs.sim.client import SimWorker
from labs.suites import Suite

HERE: Final = Path(__file__).parent
ECHO: Final = HERE.parent / "sim"


async def nothing(_cluster: object) -> None:
    """In the place of the test, which this process does not import."""


def item(test: str) -> GradedItem:
    return GradedItem(
        test, HERE / "two_letters.py", nothing, Grade("Echo", "A", 1, 60.0), Suite("echo", "echo", "echo_lab", "Echo")
    )


def player_of(test: str, seed: int = 1) -> WorkerPlayer:
    return WorkerPlayer(item(test), seed, [ECHO])


@pytest.fixture(scope="module")
def player() -> Iterator[WorkerPlayer]:
    with player_of("test_two_letters") as player:
        yield player


def state(look: Look, name: str) -> dict[str, str]:
    (server,) = (each for each in look.servers if each.name == name)
    return dict(server.fields)


def test_a_recorded_run_is_the_run_that_its_seed_gives(player: WorkerPlayer) -> None:
    recording = player.record([])
    with SimWorker() as worker:
        (outcome,) = worker.run(
            HERE / "two_letters.py", "test_two_letters", "echo_lab", [1], path=[ECHO], limit=60.0, note_choices=True
        )
    assert recording.outcome.digest == outcome.digest
    assert recording.outcome.status == "passed"
    kinds = {event.kind for event in recording.events}
    assert {"start", "serve", "request", "arrive", "reply", "return", "log", "cut"} <= kinds
    times = [event.t for event in recording.events]
    assert times == sorted(times)


def test_the_state_at_each_moment_is_the_same_on_every_way_there(player: WorkerPlayer) -> None:
    times = list(dict.fromkeys(event.t for event in player.record([]).events))
    onward = [player.look([], time) for time in times]
    assert [look.time for look in onward] == times
    for at in reversed(range(0, len(times), 5)):
        assert player.look([], times[at]) == onward[at]
    texts = [state(look, "b").get("texts") for look in onward if len(look.servers) > 1]
    assert list(dict.fromkeys(texts)) == [None, "[]", '["from c"]', '["from c", "from a"]']


def test_a_look_has_all_that_there_is(player: WorkerPlayer) -> None:
    session = Session(player)
    assert session.look.servers == []
    session.find(lambda event: event.kind == "request" and event.method == "Echo", "request")
    look = session.look
    (flight,) = look.flights[-1:]
    assert (flight.what, flight.dst, flight.method) == ("request", "b", "Echo")
    assert flight.choice is not None
    assert flight.choice.of == f"delay of {flight.src} > b"
    assert flight.arrives == pytest.approx(flight.sent + flight.choice.value)
    (caller,) = (server for server in look.servers if server.name == flight.src)
    assert [task.name for task in caller.tasks] == ["Relay"]
    place, line = caller.tasks[0].places[-1]
    assert place.function == "on_relay"
    assert "await host.call(request.to" in line
    assert caller.calls[0].startswith("b: Echo")
    assert caller.role == "echo"
    assert any("gives up waiting for b (Echo" in timer.what for timer in look.timers)
    assert "test_two_letters" in [place.function for place, _ in look.test[0].places]
    session.find(lambda event: event.kind == "cut", "cut")
    assert session.look.cuts == ["a cannot call b: the links are cut"]
    session.go(len(session.timeline))
    assert all(server.state == "running" for server in session.look.servers)


def test_this_process_knows_nothing_of_the_servers(player: WorkerPlayer) -> None:
    player.record([])
    assert not [name for name in sys.modules if "two_letters" in name]


def test_a_chosen_delay_is_a_schedule_that_gives_the_same_run(player: WorkerPlayer) -> None:
    late = player.record([Choice("delay of a > b", 0, 0.0, 0.3, 0.0002)]).outcome
    assert late.status == "passed"
    assert late.digest != player.record([]).outcome.digest
    with SimWorker() as worker:
        (again,) = worker.run(
            HERE / "two_letters.py", "test_two_letters", "echo_lab", [1], [ECHO], 1.0, 60.0, schedule=late.choices
        )
    assert again.digest == late.digest


def test_a_user_chooses_who_comes_first(player: WorkerPlayer) -> None:
    session = Session(player)
    session.find(lambda event: event.kind == "request" and event.method == "Echo", "request")
    before = session.place, session.timeline.moments[: session.place]
    flights = {flight.src: flight for flight in session.look.flights if flight.method == "Echo"}
    assert flights["a"].arrives > flights["c"].arrives  # type: ignore[operator]
    session.deliver(f"#{flights['a'].id}")
    assert (session.place, session.timeline.moments[: session.place]) == before
    session.step(1)
    moment = session.timeline.at(session.place)
    assert moment is not None
    assert (moment.events[0].kind, moment.events[0].src, moment.events[0].dst) == ("arrive", "a", "b")
    assert state(session.look, "b")["texts"] == '["from a"]'
    session.go(0)
    session.go(len(session.timeline))
    assert state(session.look, "b")["texts"] == '["from a", "from c"]'
    session.undo()
    assert session.place == before[0]
    session.go(len(session.timeline))
    assert state(session.look, "b")["texts"] == '["from c", "from a"]'


def test_a_dropped_message_never_arrives_and_its_caller_loses_patience() -> None:
    with player_of("test_first_letter_wins") as player:
        session = Session(player)
        session.find(lambda event: event.kind == "request" and event.src == "a", "letter of a")
        (flight,) = (each for each in session.look.flights if each.src == "a")
        change = session.drop(str(flight.id))
        assert change.choice.value > NEVER
        assert session.timeline.outcome.status == "failed"
        assert "no reply came to a" in session.timeline.outcome.message
        session.find(lambda event: event.kind == "fail" and event.src == "a", "end of patience")
        (event,) = (session.timeline.at(session.place) or pytest.fail("no moment")).events[:1]
        assert "no reply within 0.5 s" in event.text


def test_what_cannot_be_imported_is_said() -> None:
    with player_of("test_nothing") as player, pytest.raises(Refused, match="has no attribute 'test_nothing'"):
        player.record([])


def test_a_process_that_ends_is_said_and_the_next_order_has_a_new_one() -> None:
    with player_of("test_ends_the_process") as player:
        for _ in range(2):
            with pytest.raises(Refused, match=r"process ended \(exit status 7\)"):
                player.record([])


def test_a_run_that_is_another_one_each_time_is_refused() -> None:
    with player_of("test_leaves_something_to_the_next_run") as player:
        last = player.record([]).events[-1].t
        with pytest.raises(Refused, match="did not come to this moment"):
            player.look([], last)
