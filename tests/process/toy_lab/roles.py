"""The toy servers: one that adds numbers and does all sorts of harm when asked, and two that fail to start."""

import asyncio
import os
import signal
import time

from common.host import CallFailed, Host
from toy_lab.messages import Add, Crash, Echo, Flood, Leave, Lend, Numbers, Send, Spin

DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def adder(host: Host, greeting: str = "", stubborn: bool = False) -> None:
    """Adds numbers. A stubborn one ignores the polite signals."""
    if stubborn:
        _ignore_signals()
    numbers: list[int] = []
    lock = asyncio.Lock()

    async def handle_echo(request: Echo) -> str:
        await host.sleep(request.seconds)
        return greeting + request.text

    def handle_add(request: Add) -> int:
        numbers.append(request.number)
        return sum(numbers)

    async def handle_send(request: Send) -> list[str]:
        async def send(number: int) -> str:
            try:
                total = await host.call(request.to, Add(number), request.timeout)
            except CallFailed as error:
                return f"failed: {error}"
            return str(total)

        return await asyncio.gather(*(send(number) for number in request.numbers))

    async def handle_lend(request: Lend) -> str:
        async with lock:
            return await host.call(request.to, Lend(), timeout=60.0) if request.to else "lent"

    def handle_spin(_: Spin) -> None:
        print("spinning")
        while True:
            pass

    def handle_flood(request: Flood) -> None:
        for number in range(request.lines):
            print(f"line {number} {'x' * 1000}")

    def handle_crash(_: Crash) -> None:
        raise ZeroDivisionError("a mistake in the handler")

    await host.serve(
        {
            Echo: handle_echo,
            Add: handle_add,
            Numbers: lambda _: numbers,
            Send: handle_send,
            Lend: handle_lend,
            Spin: handle_spin,
            Flood: handle_flood,
            Crash: handle_crash,
            Leave: lambda _: _leave_a_daemon(),
        }
    )


async def silent(host: Host) -> None:
    """Never listens."""
    print("I do not feel like listening")


async def broken(host: Host) -> None:
    """Ends as soon as it has started."""
    raise ZeroDivisionError("a mistake at the start")


def _ignore_signals() -> None:
    for number in DEAF_TO:
        signal.signal(number, signal.SIG_IGN)


def _leave_a_daemon() -> int:
    """Forks twice, as daemons do. The grandchild has no parent, session or group in common with us."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            _ignore_signals()
            os.write(writing, str(os.getpid()).encode())
            while True:
                time.sleep(60)
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(reading, 20))


ROLES = {"adder": adder, "silent": silent, "broken": broken}
