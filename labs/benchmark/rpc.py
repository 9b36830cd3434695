"""Remote calls: ours beside a bare echo on the same event loop, and beside the RPC libraries that are installed.

A server in a process of its own answers a short string with itself. The client calls it one call after the other, and
then with 64 calls under way on one connection. All are done in turns, round after round.
"""

import argparse
import asyncio
import importlib
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from common import links
from common.main import new_event_loop
from common.tcp import TcpHost
from common.wire import Reply, Request
from labs.benchmark.figures import Figure, Options, command
from labs.process.system import die_with_parent

OUTSTANDING: Final = 64
SECONDS: Final = 0.5
"""Of each measurement."""
TEXT: Final = "sixteen letters."
READY: Final = 60.0
"""Seconds within which a server has to listen."""
NOT_ABOVE_BARE: Final = 1.6
"""Times the bare echo that one of our calls may take."""
TOGETHER: Final = 4.0
"""Times the sequential rate that 64 calls under way should bring."""


class Echoed(Reply):
    """What came."""

    text: str


class Echo(Request[Echoed]):
    """Say it again."""

    text: str


class Rates(NamedTuple):
    """Calls a second."""

    sequential: float
    together: float


# --- servers: each runs in a process of its own, `python -m labs.benchmark.rpc --serve NAME PLACE` -------------------


async def _serve_ours(place: str) -> None:
    host = TcpHost("server", Path(place))
    await host.serve({Echo: lambda request: Echoed(request.text)})
    await asyncio.Event().wait()


class _Bare(asyncio.Protocol):
    """Sends back whatever comes."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def _serve_bare(place: str) -> None:
    server = await asyncio.get_running_loop().create_server(_Bare, "127.0.0.1", int(place))
    await server.serve_forever()


async def _serve_grpc(place: str) -> None:
    grpc = importlib.import_module("grpc")

    async def echo(request: bytes, _context: object) -> bytes:
        return request

    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("lab.Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{place}")
    await server.start()
    await server.wait_for_termination()


def _serve_rpyc(place: str) -> None:
    rpyc = importlib.import_module("rpyc")
    server = importlib.import_module("rpyc.utils.server").ThreadedServer

    class Service(rpyc.Service):  # type: ignore[name-defined,misc]
        def exposed_echo(self, text: str) -> str:
            return text

    server(Service, hostname="127.0.0.1", port=int(place)).start()


def _serve_pyro(place: str) -> None:
    pyro = importlib.import_module("Pyro5.api")

    @pyro.expose  # type: ignore[untyped-decorator,unused-ignore]
    class Service:
        def echo(self, text: str) -> str:
            return text

    daemon = pyro.Daemon(host="127.0.0.1", port=int(place))
    daemon.register(Service(), "echo")
    daemon.requestLoop()


def _serve_zerorpc(place: str) -> None:
    zerorpc = importlib.import_module("zerorpc")

    class Service:
        def echo(self, text: str) -> str:
            return text

    server = zerorpc.Server(Service())
    server.bind(f"tcp://127.0.0.1:{place}")
    server.run()


# --- clients ---------------------------------------------------------------------------------------------------------


async def _rate(call: Callable[[], Awaitable[object]], seconds: float, outstanding: int) -> float:
    """Calls a second while so many are under way."""
    await call()
    done = 0
    began = time.perf_counter()
    end = began + seconds

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    await asyncio.gather(*(work() for _ in range(outstanding)))
    return done / (time.perf_counter() - began)


async def _rates(call: Callable[[], Awaitable[object]], seconds: float) -> Rates:
    return Rates(await _rate(call, seconds, 1), await _rate(call, seconds, OUTSTANDING))


async def _call_ours(place: str, seconds: float) -> Rates:
    net = Path(place)
    host = TcpHost("client", net)
    endpoint = links.read(net / "server" / "server")
    assert endpoint is not None, f"expected the socket file of a server in {net}"
    links.publish(net, "client", "server", endpoint)
    return await _rates(lambda: host.call("server", Echo(TEXT)), seconds)


class _Asker(asyncio.Protocol):
    """The client of the bare echo: one future for each piece that was sent."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.came = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.came += len(data)
        while self.came >= len(TEXT) and self.waiting:
            self.came -= len(TEXT)
            self.waiting.pop(0).set_result(None)

    def ask(self) -> "asyncio.Future[None]":
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        self.transport.write(TEXT.encode())
        return future


async def _call_bare(place: str, seconds: float) -> Rates:
    transport, asker = await asyncio.get_running_loop().create_connection(_Asker, "127.0.0.1", int(place))
    rates = await _rates(asker.ask, seconds)
    transport.close()
    return rates


async def _call_grpc(place: str, seconds: float) -> Rates:
    grpc = importlib.import_module("grpc")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{place}") as channel:
        call = channel.unary_unary("/lab.Echo/Echo")
        return await _rates(lambda: call(TEXT.encode()), seconds)


def _threaded(connect: Callable[[], Callable[[], object]], seconds: float) -> Rates:
    """A library that blocks, and has nothing better for calls side by side than threads with a connection each."""
    call = connect()
    call()
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        call()
        done += 1
    sequential = done / (time.perf_counter() - began)

    def work(end: float) -> int:
        own = connect()
        count = 0
        while time.perf_counter() < end:
            own()
            count += 1
        return count

    began = time.perf_counter()
    with ThreadPoolExecutor(OUTSTANDING) as threads:
        together = sum(threads.map(work, [began + seconds] * OUTSTANDING))
    return Rates(sequential, together / (time.perf_counter() - began))


async def _call_rpyc(place: str, seconds: float) -> Rates:
    rpyc = importlib.import_module("rpyc")
    connection = rpyc.connect("127.0.0.1", int(place))
    echo = connection.root.echo
    began, done = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        echo(TEXT)
        done += 1
    sequential = done / (time.perf_counter() - began)
    later = rpyc.async_(echo)
    began, done = time.perf_counter(), 0
    under_way = [later(TEXT) for _ in range(OUTSTANDING)]
    while time.perf_counter() < began + seconds:
        under_way.pop(0).wait()
        under_way.append(later(TEXT))
        done += 1
    together = done / (time.perf_counter() - began)
    connection.close()
    return Rates(sequential, together)


async def _call_pyro(place: str, seconds: float) -> Rates:
    pyro = importlib.import_module("Pyro5.api")

    def connect() -> Callable[[], object]:
        proxy = pyro.Proxy(f"PYRO:echo@127.0.0.1:{place}")
        return lambda: proxy.echo(TEXT)

    return _threaded(connect, seconds)


async def _call_zerorpc(place: str, seconds: float) -> Rates:
    zerorpc = importlib.import_module("zerorpc")
    gevent = importlib.import_module("gevent")
    client = zerorpc.Client(f"tcp://127.0.0.1:{place}")
    client.echo(TEXT)
    rates = []
    for outstanding in (1, OUTSTANDING):
        began, done = time.perf_counter(), [0]

        def work(end: float, done: list[int] = done) -> None:
            while time.perf_counter() < end:
                client.echo(TEXT)
                done[0] += 1

        gevent.joinall([gevent.spawn(work, began + seconds) for _ in range(outstanding)])
        rates.append(done[0] / (time.perf_counter() - began))
    client.close()
    return Rates(*rates)


# --- all of them -----------------------------------------------------------------------------------------------------

SERVERS: Final[dict[str, Callable[[str], Any]]] = {
    "ours": _serve_ours,
    "bare echo": _serve_bare,
    "grpcio (aio)": _serve_grpc,
    "rpyc": _serve_rpyc,
    "Pyro5": _serve_pyro,
    "zerorpc": _serve_zerorpc,
}
CLIENTS: Final[dict[str, Callable[[str, float], Awaitable[Rates]]]] = {
    "ours": _call_ours,
    "bare echo": _call_bare,
    "grpcio (aio)": _call_grpc,
    "rpyc": _call_rpyc,
    "Pyro5": _call_pyro,
    "zerorpc": _call_zerorpc,
}
MODULES: Final = {"grpcio (aio)": "grpc", "rpyc": "rpyc", "Pyro5": "Pyro5", "zerorpc": "zerorpc"}
"""What has to be installed for a library."""


def measure(options: Options) -> list[Figure]:
    """All that are installed, in turns."""
    names = ["ours", "bare echo"]
    if options.peers:
        for name, module in MODULES.items():
            if importlib.util.find_spec(module) is None:
                options.say(f"no {name}: pip install {name.partition(' ')[0]}, or all peers: pip install '.[peers]'")
            else:
                names.append(name)
    found: dict[str, list[Rates]] = {name: [] for name in names}
    with ExitStack() as stack:
        places = {name: stack.enter_context(_server(name)) for name in names}
        for number in range(options.rounds):
            for name in names if number % 2 == 0 else names[::-1]:
                options.say(f"round {number + 1} of {options.rounds}: {name}")
                found[name].append(_ask(name, places[name], 0.1 if options.small else SECONDS))
    figures = []
    for name in names:
        figures.append(Figure(f"{name}: one after the other", "calls/s", [each.sequential for each in found[name]]))
        figures.append(Figure(f"{name}: {OUTSTANDING} under way", "calls/s", [each.together for each in found[name]]))
    pairs = list(zip(found["ours"], found["bare echo"], strict=True))
    above = [bare.sequential / ours.sequential for ours, bare in pairs]
    figures.append(Figure("a call of ours, in bare echoes", "times", above, at_most=NOT_ABOVE_BARE))
    gained = [ours.together / ours.sequential for ours in found["ours"]]
    figures.append(Figure(f"{OUTSTANDING} under way, in sequential rates", "times", gained, at_least=TOGETHER))
    for name in names[2:]:
        for what in ("sequential", "together"):
            ahead = [
                getattr(ours, what) / getattr(theirs, what)
                for ours, theirs in zip(found["ours"], found[name], strict=True)
            ]
            figures.append(Figure(f"ours in {name}s, {what}", "times", ahead, at_least=1))
    return figures


def _ask(name: str, place: str, seconds: float) -> Rates:
    """One measurement, in a process of its own: some libraries change the interpreter for everybody."""
    words = [sys.executable, "-m", "labs.benchmark.rpc", "--call", name, place, str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the client of {name} failed:\n{done.stderr}"
    sequential, together = map(float, done.stdout.split())
    return Rates(sequential, together)


@contextmanager
def _server(name: str) -> Iterator[str]:
    """A server while this lasts. Gives the place where clients find it."""
    with tempfile.TemporaryDirectory(prefix="lab-rpc-") as folder:
        place = folder if name == "ours" else str(_free_port())
        words = [sys.executable, "-m", "labs.benchmark.rpc", "--serve", name, place]
        process = subprocess.Popen(words, preexec_fn=partial(die_with_parent, os.getpid()))
        try:
            _wait_for(name, place, process)
            yield place
        finally:
            process.kill()
            process.wait()


def _wait_for(name: str, place: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        if name == "ours":
            if (Path(place) / "server" / "server").exists():
                return
        else:
            with suppress(OSError), socket.create_connection(("127.0.0.1", int(place)), 0.1):
                return
        time.sleep(0.02)
    raise RuntimeError(f"expected the server of {name} to listen within {READY:g} s; see what it said above")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


main = command("rpc", __doc__ or "", measure, rounds=5)


def _part(words: list[str]) -> None:
    """What this process does for a measurement: it serves, or it calls."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", nargs=2)
    parser.add_argument("--call", nargs=3)
    asked = parser.parse_args(words)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        if asked.serve:
            serving = SERVERS[asked.serve[0]](asked.serve[1])
            if serving is not None:
                runner.run(serving)
        else:
            name, place, seconds = asked.call
            print(*runner.run(CLIENTS[name](place, float(seconds))))  # type: ignore[arg-type]


if __name__ == "__main__":
    if sys.argv[1:2] in (["--serve"], ["--call"]):
        _part(sys.argv[1:])
    else:
        main()
