"""SimLoop is an asyncio loop: the tools of asyncio work on it, in virtual time and in one order."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from labs.sim import guard
from labs.sim.errors import Deadlock, TimeLimit
from labs.sim.loop import FEW_TIMERS, OWNER, SimLoop

T = TypeVar("T")


def run(main: Callable[[SimLoop], Coroutine[Any, Any, T]], limit: float = 1e6) -> T:
    """Runs a coroutine on a loop of its own."""
    loop = SimLoop(limit)
    try:
        with guard.active(loop, print):
            return loop.run_until_complete(main(loop))
    finally:
        loop.close()


def test_the_clock_jumps_to_the_next_timer() -> None:
    async def main(loop: SimLoop) -> None:
        assert loop.time() == 0
        await asyncio.sleep(3600)
        assert loop.time() == 3600
        await asyncio.gather(asyncio.sleep(5), asyncio.sleep(10), asyncio.sleep(7))
        assert loop.time() == 3610

    run(main)


def test_timers_of_one_instant_fire_in_the_order_in_which_they_were_set() -> None:
    async def main(loop: SimLoop) -> list[int]:
        fired: list[int] = []
        for number in range(20):
            loop.call_at(1.0, fired.append, number)
        loop.call_at(0.5, fired.append, -1)
        await asyncio.sleep(2)
        return fired

    assert run(main) == [-1, *range(20)]


def test_what_is_ready_runs_in_the_order_in_which_it_became_so() -> None:
    async def main(loop: SimLoop) -> list[int]:
        ran: list[int] = []
        for number in range(5):
            loop.call_soon(ran.append, number)
        await asyncio.sleep(0)
        return ran

    assert run(main) == [0, 1, 2, 3, 4]


def test_what_was_cancelled_does_not_run() -> None:
    async def main(loop: SimLoop) -> list[str]:
        ran: list[str] = []
        loop.call_later(1.0, ran.append, "a timer").cancel()
        handle = loop.call_soon(ran.append, "a callback")
        handle.cancel()
        handle.cancel()
        assert handle.cancelled()
        await asyncio.sleep(2)
        return ran

    assert run(main) == []


def test_timeouts_and_wait_for() -> None:
    async def main(loop: SimLoop) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await asyncio.sleep(10)
        assert loop.time() == 1.5
        async with asyncio.timeout(1.5):
            await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 2)
        assert loop.time() == 4.5
        assert await asyncio.wait_for(asyncio.sleep(1, "done"), 2) == "done"
        assert await asyncio.wait_for(asyncio.sleep(1, "done"), None) == "done"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(1), 0)
        assert await asyncio.wait_for(ready(loop), 0) == "ready"
        assert loop.time() == 6.5

    def ready(loop: SimLoop) -> "asyncio.Future[str]":
        future = loop.create_future()
        future.set_result("ready")
        return future

    run(main)


def test_locks_queues_conditions_and_the_like() -> None:
    async def main(loop: SimLoop) -> list[str]:
        heard: list[str] = []
        queue = asyncio.Queue[str]()
        lock, turn, gate, barrier = asyncio.Lock(), asyncio.Condition(), asyncio.Event(), asyncio.Barrier(2)
        few = asyncio.Semaphore(2)

        async def worker(name: str) -> None:
            await gate.wait()
            async with few, lock:
                await asyncio.sleep(1)
                await queue.put(name)
            async with turn:
                turn.notify_all()

        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(worker(name))
            await asyncio.sleep(1)
            gate.set()
            async with turn:
                await turn.wait_for(lambda: queue.qsize() == 3)
            while not queue.empty():
                heard.append(queue.get_nowait())
        assert loop.time() == 4
        group_of_two = asyncio.gather(barrier.wait(), barrier.wait())
        assert sorted(await group_of_two) == [0, 1]
        return heard

    assert run(main) == ["a", "b", "c"]


def test_a_failing_task_cancels_its_group() -> None:
    async def main(_loop: SimLoop) -> list[str]:
        cancelled: list[str] = []

        async def wait(name: str) -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                cancelled.append(name)
                raise

        async def all_together() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(wait(str(number)))
                await asyncio.sleep(1)
                raise ValueError

        with pytest.raises(ExceptionGroup):
            await all_together()
        return cancelled

    first = run(main)
    assert sorted(first, key=int) == [str(number) for number in range(50)]
    assert run(main) == first


def test_sets_of_tasks_have_one_order() -> None:
    async def main(_loop: SimLoop) -> list[list[int]]:
        async def number(value: int) -> int:
            await asyncio.sleep(1)
            return value

        done, _ = await asyncio.wait([asyncio.create_task(number(value)) for value in range(100)])
        completed = [await first for first in asyncio.as_completed([number(value) for value in range(100)])]
        futures = {asyncio.get_running_loop().create_future() for _ in range(100)}
        for value, future in enumerate(futures):
            future.set_result(value)
        return [[task.result() for task in done], completed, [future.result() for future in futures]]

    first = run(main)
    assert first[1] == list(range(100))
    keep = [object() for _ in range(1000)]  # other addresses
    assert run(main) == first
    assert keep


def test_the_timeouts_of_what_was_answered_long_ago_are_swept() -> None:
    async def main(loop: SimLoop) -> int:
        for _ in range(20 * FEW_TIMERS):
            loop.call_later(1000, print).cancel()
            await asyncio.sleep(0.001)
        return len(loop._timers)

    assert run(main) < 2 * FEW_TIMERS


def test_an_abandoned_generator_is_closed() -> None:
    async def main(_loop: SimLoop) -> list[str]:
        closed: list[str] = []

        async def numbers() -> Any:
            try:
                for number in range(10):
                    yield number
            finally:
                await asyncio.sleep(1)
                closed.append("closed")

        async for number in numbers():
            if number == 3:
                break
        await asyncio.sleep(2)
        return closed

    assert run(main) == ["closed"]


def test_an_owner_that_is_stopped_does_nothing_until_it_goes_on() -> None:
    async def main(loop: SimLoop) -> list[str]:
        did: list[str] = []

        async def work(name: str) -> None:
            OWNER.set(name)
            await asyncio.sleep(0)  # from here on, what is scheduled is its own
            while True:
                did.append(f"{name} {loop.time():.1f}")
                await asyncio.sleep(1)

        loop.create_task(work("a"))
        loop.create_task(work("b"))
        await asyncio.sleep(0.5)
        loop.stop_owner("a")
        assert loop.is_stopped("a")
        await asyncio.sleep(3)
        loop.resume_owner("a")
        await asyncio.sleep(1.1)
        return did

    assert run(main) == ["a 0.0", "b 0.0", "b 1.0", "b 2.0", "b 3.0", "a 3.5", "b 4.0", "a 4.5"]


def test_nothing_to_do_is_a_deadlock() -> None:
    async def main(_loop: SimLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"at 0\.000 s everybody waits"):
        run(main)


def test_there_is_a_limit() -> None:
    async def main(_loop: SimLoop) -> None:
        await asyncio.sleep(11)

    with pytest.raises(TimeLimit, match="not done after 10 s of virtual time"):
        run(main, limit=10)


def test_a_failing_callback_ends_the_run() -> None:
    async def main(loop: SimLoop) -> None:
        loop.call_later(1, int, "no number")
        await asyncio.sleep(2)

    with pytest.raises(ValueError, match="no number"):
        run(main)


def test_a_look_is_taken_when_an_instant_is_over_and_changes_nothing() -> None:
    async def main(loop: SimLoop, looks: bool) -> tuple[list[str], int]:
        done: list[str] = []

        def look() -> None:
            seen.append((loop.time(), list(done)))

        async def work(name: str) -> None:
            for number in range(2):
                await asyncio.sleep(1)
                done.append(f"{name}{number}")
                if looks and name == "a":
                    loop.interrupt(look)
                await asyncio.sleep(0)
                done.append(f"{name}{number} again")

        await asyncio.gather(work("a"), work("b"))
        return done, loop.steps

    seen: list[tuple[float, list[str]]] = []
    without = run(lambda loop: main(loop, False))
    assert seen == []
    assert run(lambda loop: main(loop, True)) == without
    assert seen == [(1.0, ["a0", "a0 again", "b0", "b0 again"]), (2.0, without[0])]


def test_a_look_is_taken_even_if_nothing_is_to_come() -> None:
    seen: list[float] = []

    async def main(loop: SimLoop) -> None:
        await asyncio.sleep(1)
        loop.interrupt(lambda: seen.append(loop.time()))
        await loop.create_future()

    with pytest.raises(Deadlock):
        run(main)
    assert seen == [1.0]
