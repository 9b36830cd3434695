"""One role as one process: `python -m common.main PACKAGE ROLE NAME NET [key=json …]`.

PACKAGE is a lab, such as lab1_pbservice; its `roles.ROLES` has the ROLE, a coroutine function that gets a host and
the arguments. NAME is the name of the new server, and NET the folder of socket files. For example:

    .venv/bin/python -m common.main lab1_pbservice viewserver vs /tmp/net &
    .venv/bin/python -m common.main lab1_pbservice pbserver pb-1 /tmp/net viewserver='"vs"' &
    .venv/bin/python -m common.main lab1_pbservice clerk ck-1 /tmp/net viewserver='"vs"' &

Nobody reaches anybody until there are links (common/links.py); `ln -f` makes one, again after each restart of its end:

    ln -f /tmp/net/vs/vs /tmp/net/pb-1/vs       # pb-1 can call vs
    ln -f /tmp/net/vs/vs /tmp/net/ck-1/vs       # ck-1 can call vs
    ln -f /tmp/net/pb-1/pb-1 /tmp/net/ck-1/pb-1 # ck-1 can call pb-1

Then any MessagePack-RPC client can ask the clerk, at the host and port in /tmp/net/ck-1/ck-1, for `Put("k", "v")`.
"""

import asyncio
import importlib
import inspect
import json
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

from common import links, snapshot
from common.tcp import TcpHost, stop_process

Role = Callable[..., Awaitable[None]]


class BadUsage(Exception):
    """The command line makes no sense. The text says what was expected."""


def event_loop_maker() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's where it is installed, asyncio's own otherwise or where LAB_LOOP=asyncio."""
    if os.environ.get("LAB_LOOP", "uvloop") == "uvloop":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of the best kind that there is."""
    return event_loop_maker()()


def prepare(package: str) -> dict[str, Role]:
    """Imports all that a process of this lab will need, and returns its roles. Raises `BadUsage`."""
    event_loop_maker()
    try:
        module = importlib.import_module(f"{package}.roles")
    except ModuleNotFoundError as error:
        if error.name not in (package, f"{package}.roles"):
            raise
        raise BadUsage(f"expected a lab's package with a module roles, got {package!r}: {error}") from None
    roles = getattr(module, "ROLES", None)
    if not isinstance(roles, dict):
        raise BadUsage(f"expected {package}.roles to have a table ROLES, got {roles!r}")
    return roles


def find_role(package: str, role: str, arguments: dict[str, Any]) -> Role:
    """The role's coroutine function, if it takes these arguments. Raises `BadUsage`."""
    roles = prepare(package)
    if role not in roles:
        raise BadUsage(f"expected a role of {package} ({', '.join(sorted(roles))}), got {role!r}")
    try:
        inspect.signature(roles[role]).bind(None, **arguments)
    except TypeError as error:
        raise BadUsage(f"role {role} of {package}: {error}") from None
    return roles[role]


def run(package: str, role: str, name: str, net: Path, arguments: dict[str, Any]) -> NoReturn:
    """Makes this process the server `name`. It ends when somebody kills it, or by a mistake of its own."""
    start = find_role(package, role, arguments)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_live(start, name, net, arguments))
    raise AssertionError("a server lives until it is killed")


def _callback_failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception that escapes a bare callback is the server's own mistake, as in a handler or a task."""
    if "handle" in context and "exception" in context:
        stop_process(context["exception"])
    loop.default_exception_handler(context)


async def _live(start: Role, name: str, net: Path, arguments: dict[str, Any]) -> None:
    asyncio.get_running_loop().set_exception_handler(_callback_failed)
    host = TcpHost(name, net)
    snapshot.answer_signals(net / name, host.snapshot)
    try:
        await start(host, **arguments)
    except Exception as error:  # reported like a mistake anywhere else in the server
        stop_process(error)
    await asyncio.get_running_loop().create_future()


def parse(words: list[str]) -> tuple[str, str, str, Path, dict[str, Any]]:
    """The command line's words as the arguments of `run`. Raises `BadUsage`."""
    if len(words) < 4:
        raise BadUsage("expected: python -m common.main PACKAGE ROLE NAME NET [key=json …]")
    package, role, name, net, *pairs = words
    try:
        links.check_name(name)
    except ValueError as error:
        raise BadUsage(str(error)) from None
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        try:
            if not equals or not key.isidentifier():
                raise ValueError("no name before '='")
            arguments[key] = json.loads(text)
        except ValueError as error:
            hint = "text goes in quotes, as in viewserver='\"vs\"'"
            raise BadUsage(f"expected key=json ({hint}), got {pair!r}: {error}") from None
    return package, role, name, Path(net), arguments


def main() -> NoReturn:
    """The command."""
    try:
        run(*parse(sys.argv[1:]))
    except BadUsage as error:
        sys.exit(f"common.main: {error}")
    except OSError as error:
        sys.exit(f"common.main: expected to be able to write socket files: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
