"""The layers of the sandbox: what each does, and whether this machine has it.

None of them is needed: each is used where it is there. Whether it is there is tried, in a child process, and not
guessed from versions.

    python -m labs.sandbox.layers        prints what was found, as JSON
"""

import contextlib
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from labs.sandbox import kernel, landlock, namespaces, seccomp, users

Name = Literal["limits", "privileges", "landlock", "calls", "links", "processes", "network", "user"]

PROBE_LIMIT: Final = 30.0
"""Seconds that all probes together may take. They take a fraction of one."""

PREVENTS: Final[dict[Name, str]] = {
    "limits": "one process eats all memory, fills the disk or opens files without end",
    "privileges": "programs give more rights than their caller has; root's own rights",
    "landlock": "reading the tests, the harness's files, the reference or another submission; writing anywhere but in "
    "a server's own folder; signals to and sockets shared with anybody else",
    "calls": "shared memory, message queues, keys, local and datagram sockets, and other ways around the network",
    "links": "connections that no link allows, and those that outlive their link",
    "processes": "seeing or signalling other processes; a daemon that outlives its server",
    "network": "connections to this machine's other programs, and outside",
    "user": "what this machine lets every process of our own user do",
}
"""Of each layer, what is not prevented without it."""


class Layer(msgspec.Struct, frozen=True):
    """One layer, and what came of trying it."""

    name: Name
    works: bool
    found: str
    """What it is here, or why it cannot be used."""


class Report(msgspec.Struct, frozen=True):
    """The file `sandbox.json` in a run's folder."""

    version: int
    layers: list[Layer]
    limits: dict[str, int]


def probe() -> list[Layer]:
    """Tries all layers in a process of their own."""
    command = [sys.executable, "-P", "-m", "labs.sandbox.layers"]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command,
        capture_output=True,
        timeout=PROBE_LIMIT,
        check=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))),
    )
    return msgspec.json.decode(done.stdout, type=list[Layer])


# --- the probes, each in a child of its own --------------------------------------------------------------------------


def _limits() -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    with contextlib.suppress(OSError):
        for _ in range(100):
            os.dup(0)
        raise OSError("a process with 64 open files could open more")
    return "of each process"


def _privileges() -> str:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.bar_capabilities()
    kernel.keep_capabilities()
    held = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)
    if int(held, 16):
        raise OSError(f"expected no capabilities, got {held}")
    return "no new privileges, no capabilities"


def _landlock() -> str:
    found = landlock.version()
    with tempfile.TemporaryDirectory() as folder:
        open_one, closed_one = Path(folder, "open"), Path(folder, "closed")
        for each in (open_one, closed_one):
            each.write_text("")
        if os.fork() == 0:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            landlock.restrict([open_one], [])
            open_one.read_text()
            with contextlib.suppress(PermissionError):
                closed_one.read_text()
                os._exit(1)
            os._exit(0)
        if os.wait()[1] != 0:
            raise OSError("it forbids too little or too much")
    return f"version {found}" + ("" if found >= landlock.SCOPED_SINCE else ": files only, signals are not held back")


def _calls() -> str:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install()
    with contextlib.suppress(PermissionError):
        socket.socket(socket.AF_UNIX).close()
        raise OSError("it forbids too little")
    socket.socket().close()
    return f"a seccomp filter for {platform.machine()}"


def _links() -> str:
    seccomp.try_gate()
    return "every connect is done by the harness, if a link allows it"


def _processes() -> str:
    namespaces.enter_if_ordinary(network=False)
    kernel.unshare(namespaces.OF_A_SERVER)
    if os.fork() == 0:
        kernel.mount_proc()
        os._exit(0 if os.getpid() == 1 and os.listdir("/proc").count("2") == 0 else 1)
    if os.wait()[1] != 0:
        raise OSError("/proc cannot be mounted there")
    return "namespaces for process ids, shared memory and mounts"


def _network() -> str:
    namespaces.enter()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    with contextlib.suppress(OSError):
        socket.create_connection(("192.0.2.1", 9), timeout=1).close()
        raise RuntimeError("there is a way out")
    return "a namespace with nothing but loopback"


def _user() -> str:
    user = users.choose(os.getpid())
    users.become(user)
    if os.getuid() != user or os.getgroups():
        raise OSError("still the same user")
    return "an own user for each submission"


PROBES: Final[dict[Name, Callable[[], str]]] = {
    "limits": _limits,
    "privileges": _privileges,
    "landlock": _landlock,
    "calls": _calls,
    "links": _links,
    "processes": _processes,
    "network": _network,
    "user": _user,
}


def _try(name: Name) -> Layer:
    """Tries one layer in a fork of this process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(PROBE_LIMIT / 3))
        try:
            os.write(writing, b"+" + PROBES[name]().encode())
        except BaseException as error:
            os.write(writing, b"-" + (str(error) or repr(error)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return Layer(name, said.startswith("+"), said[1:] or "trying it ended the process")


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode([_try(name) for name in PROBES]))
