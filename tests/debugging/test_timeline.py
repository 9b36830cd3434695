"""A recorded run, moment by moment, and where two of them part: pure, on events that are made up."""

from collections.abc import Sequence
from typing import Any

import pytest

from labs.choices import Choice
from labs.debugging.divergence import nearest, owner, partings
from labs.debugging.messages import Recording
from labs.debugging.timeline import Timeline, is_fault, is_operation, message_to
from labs.sim.run import Outcome
from labs.traces.events import HARNESS, Event, Kind


def call(t: float, kind: Kind, src: str, dst: str, number: int, **more: Any) -> Event:
    return Event(t, kind, src, dst, number, more.pop("method", "Ping"), **more)


RUN = [
    Event(0.0, "start", "vs", text="viewserver"),
    Event(0.1, "serve", "vs"),
    call(0.2, "request", "pb-1", "vs", 1, body=["pb-1", 0]),
    call(0.3, "arrive", "pb-1", "vs", 1),
    Event(0.3, "log", "vs", text="view 1"),
    call(0.3, "reply", "pb-1", "vs", 1, body=[1, "pb-1", ""]),
    Event(0.35, "cut", "pb-1", "vs"),
    call(0.4, "return", "pb-1", "vs", 1),
    Event(0.5, "call", "ck-1", id=1, method="get", body={"key": "a"}),
    Event(0.6, "answer", "ck-1", id=1, method="get", body="x"),
]


def timeline(events: Sequence[Event], status: str = "passed") -> Timeline:
    return Timeline(Recording(Outcome(1, status), list(events)))  # type: ignore[arg-type]


def test_what_happens_at_one_time_is_one_moment() -> None:
    run = timeline(RUN)
    assert [moment.time for moment in run.moments] == [0.0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6]
    assert [run.words(event) for event in run.moments[3].events] == [
        'pb-1 > vs: Ping(me="pb-1", viewnum=0) arrives  #1',
        "vs writes: view 1",
        'vs > pb-1: View(viewnum=1, primary="pb-1", backup="") sets out, the reply to Ping(me="pb-1", viewnum=0)  #1',
    ]
    assert (
        run.words(run.moments[5].events[0])
        == 'vs > pb-1: View(viewnum=1, primary="pb-1", backup="") arrives, the reply to Ping(me="pb-1", viewnum=0)  #1'
    )
    assert run.words(run.moments[7].events[0]) == 'ck-1: Get("a") is answered: "x"'
    assert (run.time(0), run.at(0)) == (-1.0, None)


def test_places_are_found_forward_and_backward() -> None:
    run = timeline(RUN)
    assert run.forward(0, message_to("vs")) == 4
    assert run.forward(4, message_to("vs")) is None
    assert run.forward(0, message_to("pb-1")) == 6
    assert run.backward(8, is_fault) == 5
    assert run.forward(0, is_operation) == 7
    assert run.backward(7, is_operation) is None
    assert [run.at_time(time) for time in (-1, 0, 0.34, 0.35, 9)] == [0, 1, 4, 5, 8]


def test_what_the_test_hears_again_and_again_is_left_out() -> None:
    def ask(t: float, number: int, answer: str) -> list[Event]:
        about = (HARNESS, "vs", number)
        return [
            call(t, "request", *about, method="GetView"),
            call(t, "arrive", *about, method="GetView"),
            call(t + 0.1, "reply", *about, method="GetView", body=answer),
            call(t + 0.1, "return", *about, method="GetView"),
        ]

    run = timeline([*ask(1, 1, "old"), *ask(2, 2, "old"), *ask(3, 3, "new"), *ask(4, 4, "new")])
    assert [(moment.time, [event.kind for event in moment.events]) for moment in run.moments] == [
        (1, ["request"]),
        (1.1, ["reply"]),
        (3, ["request"]),
        (3.1, ["reply"]),
    ]


def test_two_runs_are_the_same_up_to_a_place() -> None:
    assert timeline(RUN).same_until(timeline(RUN)) == 8
    assert timeline(RUN).same_until(timeline(RUN[:4])) == 3
    assert timeline(RUN).same_until(timeline([*RUN[:6], *RUN[7:]])) == 4


# --- where two runs part ---------------------------------------------------------------------------------------------


def test_everybody_does_what_is_theirs() -> None:
    assert [owner(event) for event in RUN] == ["vs", "vs", "pb-1", "vs", "vs", "vs", "the test", "pb-1", "ck-1", "ck-1"]


def test_the_first_thing_that_each_does_otherwise() -> None:
    later = [Event(e.t + 1, e.kind, e.src, e.dst, e.id + 7, e.method, e.body, e.text) for e in RUN]
    assert partings(timeline(RUN), timeline(later)) == []
    (vs, ck) = partings(timeline([*RUN, Event(0.9, "log", "vs", text="more")]), timeline(RUN[:-1]))
    assert (ck.who, ck.here, ck.event, ck.other) == ("vs", 9, Event(0.9, "log", "vs", text="more"), None)
    assert (vs.who, vs.here, vs.event, vs.there) == ("ck-1", 8, RUN[-1], 7)


@pytest.mark.parametrize("needed", [0, 1, 17, 99])
def test_the_nearest_passing_run_lacks_one_choice(needed: int) -> None:
    choices = [Choice("delay of a > b", number, number / 10, 0.01, 0.0002) for number in range(100)]

    def play(kept: Sequence[Choice], outcome_only: bool) -> Recording:
        failed = choices[needed] in kept
        return Recording(Outcome(1, "failed" if failed else "passed", choices=list(kept)), [] if outcome_only else RUN)

    found = nearest(choices, play)
    assert found is not None
    assert found.choice == choices[needed]
    assert found.alone
    assert len(found.timeline.outcome.choices) == 99
    assert len(found.timeline) == 8
    assert found.runs < 12


def test_a_choice_may_matter_only_without_those_after_it() -> None:
    choices = [Choice("storm", number, 1.0, ["cut", "a", "b"], []) for number in range(9)]

    def play(kept: Sequence[Choice], outcome_only: bool) -> Recording:
        return Recording(Outcome(1, "failed" if len(kept) > 4 else "passed", choices=list(kept)))

    found = nearest(choices, play)
    assert found is not None
    assert (found.choice.number, found.alone) == (4, False)
    assert found.timeline.outcome.choices == choices[:4]


def test_a_run_that_needs_no_luck_has_no_near_one() -> None:
    assert nearest([], lambda kept, outcome_only: Recording(Outcome(1, "failed"))) is None
