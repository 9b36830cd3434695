"""What a simulated server must not do. Each line that a report has to name is marked."""

import asyncio
import datetime
import itertools
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime as renamed_datetime
from random import randint
from time import monotonic

from common.host import Host

MISDEEDS: dict[str, Callable[[Host], Awaitable[None] | None]] = {}

Misdeed = Callable[[Host], Awaitable[None] | None]


def misdeed(function: Misdeed) -> Misdeed:
    """Puts a function into the table."""
    MISDEEDS[function.__name__] = function
    return function


@misdeed
def real_time(host: Host) -> None:
    time.time()  # marked


@misdeed
def real_time_ns(host: Host) -> None:
    time.time_ns()  # marked


@misdeed
def imported_clock(host: Host) -> None:
    monotonic()  # marked


@misdeed
def performance_counter(host: Host) -> None:
    time.perf_counter()  # marked


@misdeed
def date_and_time(host: Host) -> None:
    datetime.datetime.now()  # marked


@misdeed
def imported_date_and_time(host: Host) -> None:
    renamed_datetime.now(datetime.UTC)  # marked


@misdeed
def today(host: Host) -> None:
    datetime.date.today()  # marked


@misdeed
def real_sleep(host: Host) -> None:
    time.sleep(0.001)  # marked


@misdeed
def thread(host: Host) -> None:
    threading.Thread(target=print).start()  # marked


@misdeed
async def thread_of_asyncio(host: Host) -> None:
    await asyncio.to_thread(print)  # marked


@misdeed
def real_socket(host: Host) -> None:
    socket.socket()  # marked


@misdeed
async def socket_of_asyncio(host: Host) -> None:
    await asyncio.open_connection("127.0.0.1", 9)  # marked


@misdeed
def real_process(host: Host) -> None:
    subprocess.run([sys.executable, "-V"], check=True)  # marked


@misdeed
def fork(host: Host) -> None:
    os.fork()  # marked


@misdeed
def global_randomness(host: Host) -> None:
    random.random()  # marked


@misdeed
def imported_randomness(host: Host) -> None:
    randint(1, 6)  # marked


@misdeed
def unseeded_randomness(host: Host) -> None:
    random.Random()  # marked


@misdeed
def randomness_of_the_system(host: Host) -> None:
    os.urandom(8)  # marked


@misdeed
def secret(host: Host) -> None:
    secrets.token_hex()  # marked


@misdeed
def universal_identifier(host: Host) -> None:
    uuid.uuid4()  # marked


@misdeed
def process_number(host: Host) -> None:
    os.getpid()  # marked


@misdeed
def forgotten_await(host: Host) -> None:
    host.sleep(1)  # type: ignore[unused-coroutine]  # marked


@misdeed
def hidden_mistake(host: Host) -> None:
    try:
        time.sleep(0.001)  # marked
    except Exception:
        host.log("it does not hear of it")


@misdeed
def endless_loop(host: Host) -> None:
    while True:  # marked
        pass  # marked


@misdeed
async def busy_waiting(host: Host) -> None:
    while True:
        await asyncio.sleep(0)  # marked


@misdeed
def exits(host: Host) -> None:
    sys.exit(0)


# The following are no misdeeds, though they look like some.


@misdeed
def logging_is_allowed(host: Host) -> None:
    logging.getLogger("server").warning("into the log")


@misdeed
def seeded_randomness(host: Host) -> None:
    host.log(f"{random.Random(7).random():.3f}")


@misdeed
def dates_that_are_known(host: Host) -> None:
    day = datetime.datetime(2015, 1, 1, tzinfo=datetime.UTC)
    assert isinstance(day, datetime.datetime)
    assert isinstance(day + datetime.timedelta(days=1), datetime.datetime)


# These change what all servers of a simulation share.

_numbers = itertools.count()
_seen: dict[str, int] = {}
_counter = 0


class Registry:
    """A class with state of its own."""

    known: list[str] = []  # noqa: RUF012


@misdeed
def shared_counter(host: Host) -> None:
    next(_numbers)


@misdeed
def shared_dictionary(host: Host) -> None:
    _seen[host.name] = len(_seen)
    _seen[host.name] += 1000


@misdeed
def shared_number(host: Host) -> None:
    global _counter
    _counter += 1000


@misdeed
def shared_class(host: Host) -> None:
    Registry.known.append(host.name)
