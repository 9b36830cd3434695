"""Looks into a simulated run that stands still: its servers, what is on its way, and what will happen by itself."""

import asyncio
import linecache
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from types import MethodType
from typing import Any, Final

from common.snapshot import await_chain
from labs.choices import Choice
from labs.debugging.fields import fields_of
from labs.debugging.messages import Flight, Look, ServerLook, TaskLook, Timer
from labs.linearizability.words import describe
from labs.sim.cluster import SimCluster
from labs.sim.errors import is_own_code
from labs.sim.loop import OWNER, SimHandle, all_tasks
from labs.sim.network import Call, Network, Process, SimHost
from labs.stuck import cuts
from labs.texts import visible

LOG_LINES: Final = 30
"""Of each server: the last ones."""

Chosen = Mapping[int, tuple[SimHandle, float, Choice]]
"""For the timer of a message (by its id): itself, when it was set, and the choice of how long it takes."""


def look_into(cluster: SimCluster, chosen: Chosen) -> Look:
    """All that there is to see at this moment."""
    loop = cluster.network.loop
    handles = list(_scheduled(cluster))
    return Look(
        loop.now,
        [_server(cluster, name) for name in cluster.names],
        sorted([*_flights(handles, chosen), *_held(cluster)], key=lambda flight: flight.arrives or inf),
        sorted(_timers(cluster, handles)),
        cuts(cluster),
        [look for look in map(_task, _tasks(cluster, None)) if look.places],
        [describe(operation) for operation in cluster.history.in_flight()],
    )


# --- servers ---------------------------------------------------------------------------------------------------------


def _server(cluster: SimCluster, name: str) -> ServerLook:
    process = cluster.network.processes.get(name)
    snapshot = cluster.look_into(name)
    lines = cluster.log(name).splitlines()[-LOG_LINES:]
    look = ServerLook(name, cluster._started[name][0], snapshot.state, log=[visible(line) for line in lines])
    if process is not None and process.alive:
        if process.handlers is not None:
            look.fields = fields_of(process.handlers, (SimHost, Process, Network))
        look.tasks = [each for each in map(_task, _tasks(cluster, process)) if each.places]
        look.calls = [f"{call.to}: {call.request}, for {1000 * call.seconds:.1f} ms" for call in snapshot.calls]
    return look


def _tasks(cluster: SimCluster, owner: Process | None) -> "list[asyncio.Task[Any]]":
    return [task for task in all_tasks(cluster.network.loop) if getattr(task, "owner", None) is owner]


def _task(task: "asyncio.Task[Any]") -> TaskLook:
    own = [place for place in await_chain(task.get_coro()) if is_own_code(place.file)]
    return TaskLook(task.get_name(), [(place, linecache.getline(place.file, place.line).strip()) for place in own])


# --- what will happen ------------------------------------------------------------------------------------------------


def _scheduled(cluster: SimCluster) -> Iterator[tuple[float, SimHandle, bool]]:
    """What waits for its time, of all that lives: when, what, and whether its process is paused."""
    loop = cluster.network.loop
    for when, _, handle in loop.timers():
        yield when, handle, False
    for owner, stopped in loop._stopped.items():
        if owner.alive:
            for when, _, handle in stopped.timers:
                yield when, handle, True


def _call_of(handle: SimHandle, *methods: Callable[..., Any]) -> Call[Any] | None:
    """The call that this timer is about, if it runs one of these methods of it or of the network."""
    callback = handle.callback
    if not isinstance(callback, MethodType) or callback.__func__ not in methods:
        return None
    call: Call[Any] = callback.__self__ if isinstance(callback.__self__, Call) else handle.args[0]
    return call


def _message(handle: SimHandle) -> Call[Any] | None:
    """The call that this is a message of."""
    return _call_of(handle, Network._arrive, Network._return, Call.fail)


def _flights(handles: Iterable[tuple[float, SimHandle, bool]], chosen: Chosen) -> Iterator[Flight]:
    for when, handle, paused in handles:
        call = _message(handle)
        if call is None:
            continue
        assert isinstance(handle.callback, MethodType)
        kind = handle.callback.__func__
        src, dst = call.src.name, call.dst_name
        if kind is not Network._arrive:
            src, dst = dst, src
        flight = Flight(
            call.id,
            "request" if kind is Network._arrive else "reply" if kind is Network._return else "notice",
            src,
            dst,
            call.request.__name__,
            arrives=when,
        )
        if id(handle) in chosen:
            _, flight.sent, flight.choice = chosen[id(handle)]
            flight.why = f"{dst} is paused" if paused else ""
        else:
            flight.why = "the harness's own path"
        yield flight


def _held(cluster: SimCluster) -> Iterator[Flight]:
    for (src, dst), calls in cluster.network._held.items():
        for call in calls.values():
            yield Flight(
                call.id,
                "request",
                src,
                dst,
                call.request.__name__,
                0.0,
                float("inf"),
                None,
                "held back by the test",
            )


def _timers(cluster: SimCluster, handles: Iterable[tuple[float, SimHandle, bool]]) -> Iterator[Timer]:
    sleepers = {id(task._fut_waiter): task for task in all_tasks(cluster.network.loop)}  # type: ignore[attr-defined]
    for when, handle, _paused in handles:
        if handle.callback is None or _message(handle) is not None:
            continue
        owner = handle.context.get(OWNER)
        who = "the test" if owner is None else owner.name
        call = _call_of(handle, Call.time_out)
        if call is not None:
            yield Timer(when, who, f"gives up waiting for {call.dst_name} ({call.request.__name__} #{call.id})")
            continue
        task = next((sleepers[id(part)] for part in handle.args if id(part) in sleepers), None)
        look = _task(task) if task is not None else None
        if look is not None and look.places:
            place, line = look.places[-1]
            yield Timer(when, who, f"{look.name} wakes in {place.function}: {line}")
        else:
            yield Timer(when, who, getattr(handle.callback, "__qualname__", "something"))
