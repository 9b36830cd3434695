"""The view service's decisions, without clock or network."""

from hypothesis import given
from hypothesis import strategies as st

from common.protocol import View
from lab1_pbservice.viewservice.core import DEAD_TICKS, ViewService


def service_in(*pings: tuple[str, int]) -> ViewService:
    """A service after these Pings."""
    service = ViewService()
    for me, viewnum in pings:
        service.ping(me, viewnum)
    return service


def tick(service: ViewService, ticks: int, *alive: tuple[str, int]) -> None:
    """So many ticks go by, in each of which those alive Ping."""
    for _ in range(ticks):
        for me, viewnum in alive:
            service.ping(me, viewnum)
        service.tick()


PAIR = (("a", 0), ("a", 1), ("b", 0), ("a", 2), ("b", 2))
"""a is primary and b backup of view 2, and both have said so."""


def test_nobody_is_anything_before_the_first_ping() -> None:
    assert ViewService().view == View(0, "", "")


def test_the_first_server_is_primary_and_the_second_backup_once_view_1_is_acknowledged() -> None:
    assert service_in(("a", 0)).view == View(1, "a", "")
    assert service_in(("a", 0), ("b", 0)).view == View(1, "a", "")
    assert service_in(("a", 0), ("b", 0), ("a", 1)).view == View(2, "a", "b")


def test_a_silent_server_is_dead_after_five_intervals_and_not_before() -> None:
    service = service_in(*PAIR)
    tick(service, DEAD_TICKS - 1, ("b", 2))
    assert service.view == View(2, "a", "b")
    tick(service, 1, ("b", 2))
    assert service.view == View(3, "b", "")


def test_promotion_and_recruiting_are_one_step() -> None:
    service = service_in(*PAIR, ("c", 0))
    tick(service, DEAD_TICKS, ("b", 2), ("c", 2))
    assert service.view == View(3, "b", "c")


def test_a_restarted_primary_becomes_backup_in_the_same_step() -> None:
    assert service_in(*PAIR, ("a", 0)).view == View(3, "b", "a")


def test_a_restarted_backup_is_announced_under_a_new_number() -> None:
    assert service_in(*PAIR, ("b", 0)).view == View(3, "a", "b")


def test_who_waits_longest_is_recruited() -> None:
    service = service_in(*PAIR, ("d", 0), ("c", 0))
    tick(service, DEAD_TICKS, ("a", 2), ("c", 2), ("d", 2))
    assert service.view == View(3, "a", "d")


def test_a_backup_that_never_said_it_has_the_data_is_not_promoted() -> None:
    service = service_in(*PAIR[:-1])
    tick(service, 2 * DEAD_TICKS, ("b", 1))
    assert service.view == View(2, "a", "b")
    service.ping("b", 2)
    assert service.view == View(3, "b", "")


def test_when_both_are_silent_the_service_waits_for_one_of_them() -> None:
    service = service_in(*PAIR, ("c", 0))
    tick(service, 3 * DEAD_TICKS, ("c", 2))
    assert service.view == View(2, "a", "b")
    service.ping("b", 2)
    assert service.view == View(3, "b", "c")


def test_a_lone_primary_that_restarts_is_told_by_a_new_number_that_its_data_is_gone() -> None:
    service = service_in(("a", 0), ("a", 1), ("a", 0))
    assert service.view == View(2, "a", "")
    for viewnum in (0, 1, 2):
        service.ping("a", viewnum)
        service.ping("b", 0)
    tick(service, 3 * DEAD_TICKS, ("b", 2))
    assert service.view.primary == "a", "nobody without the data may ever be primary"


def test_the_first_ping_may_be_said_twice() -> None:
    assert service_in(("a", 0), ("a", 0), ("a", 1), ("b", 0)).view == View(2, "a", "b")
    assert service_in(("a", 0), ("a", 1), ("b", 0), ("b", 0), ("a", 2), ("b", 2)).view == View(2, "a", "b")


def test_a_service_that_was_held_up_takes_nobody_for_dead() -> None:
    """Time is counted in its own ticks: where it made none, no silence was noticed."""
    service = service_in(*PAIR)
    tick(service, DEAD_TICKS - 1)
    tick(service, 3, ("a", 2), ("b", 2))
    assert service.view == View(2, "a", "b")


events = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "tick", "many ticks"]), st.sampled_from(["new", "current", "old"])),
    max_size=80,
)


@given(events)
def test_whatever_happens_the_rules_hold(life: list[tuple[str, str]]) -> None:
    """Views follow one another by one, only after an acknowledgement, and the primary comes from the view before."""
    service = ViewService()
    acknowledged = True
    for who, what in life:
        before = service.view
        if "tick" in who:
            for _ in range(1 if who == "tick" else DEAD_TICKS):
                service.tick()
        else:
            viewnum = {"new": 0, "current": before.viewnum, "old": max(0, before.viewnum - 1)}[what]
            service.ping(who, viewnum)
            acknowledged |= who == before.primary and viewnum == before.viewnum
        after = service.view
        if after != before:
            assert acknowledged, f"{before} was never acknowledged, and yet {after} came"
            assert after.viewnum - before.viewnum in range(1, 2 if who != "many ticks" else 3)
            assert before.viewnum == 0 or after.primary in (before.primary, before.backup)
            assert after.primary != after.backup
            acknowledged = False
