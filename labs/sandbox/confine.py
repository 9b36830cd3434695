"""How a fresh process is confined, before the first line of a submission runs in it.

The keeper, which does this, imports nothing of a submission: whoever is imported there could take the sandbox apart
for all that come after. So each server imports its own code, after it was confined.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import msgspec

from labs.process import system
from labs.sandbox import kernel, landlock, namespaces, seccomp, users
from labs.sandbox.layers import Name
from labs.sandbox.limits import Limits

DEVICES: Final = tuple(Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom"))
ANSWER_LIMIT: Final = 10.0
"""Seconds within which a process is confined. It takes milliseconds."""
MOST_DESCRIPTORS: Final = 2**20
"""A keeper never has so many open."""
OVERSHOOT: Final = 1.5
"""By so much more processes the kernel allows than the limit says, so that the harness sees them and can tell."""
MOST_WORDS: Final = 60_000
"""Bytes of what went wrong."""


class Plan(msgspec.Struct, frozen=True):
    """What a keeper has to know."""

    layers: list[Name]
    limits: Limits
    readable: list[str]
    """What servers may read besides their own folder."""
    packages: list[str]
    """Packages of the reference that they may import."""


class Unconfined(OSError):
    """A layer that was there when it was tried could not be put in force. Nothing of the submission has run."""

    def __init__(self, why: str) -> None:
        super().__init__(f"a new process could not be confined: {why}")


class Started(NamedTuple):
    """A confined process."""

    pid: int
    listener: int | None
    """At which its wishes to connect arrive, with the layer "links"."""


class Place(NamedTuple):
    """Where a process lives."""

    folder: Path
    """Its current folder, which it may write to."""
    log: Path
    """Where its output goes. It cannot open that file itself."""
    user: int | None
    """Whose process it is, where there is the layer "user"."""


def start(plan: Plan, place: Place, body: Callable[[], NoReturn]) -> Started:
    """Forks, confines the child, and lets it go on with `body`.

    The child has a session of its own and dies with this process. Raises `Unconfined` and `BlockingIOError`.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = os.getpid()
    first = os.fork()
    if first == 0:
        ours.close()
        _live(plan, place, body, theirs, keeper)
    theirs.close()
    with ours:
        ours.settimeout(ANSWER_LIMIT)
        try:
            return _accompany(plan, first, ours)
        except OSError as error:
            system.kill(first)
            raise Unconfined(f"the new process does not answer: {error}") from None


def _accompany(plan: Plan, first: int, ours: socket.socket) -> Started:
    """The keeper's part in it."""
    pid = first
    if "processes" in plan.layers:
        said = ours.recv(MOST_WORDS).decode()
        os.waitpid(first, 0)  # the process that it made is ours now
        if not said.isdigit():
            raise Unconfined(said)
        pid = int(said)
        ours.send(b"go")
    words, descriptors, _, _ = socket.recv_fds(ours, MOST_WORDS, 1)
    if words != b"confined":
        os.waitpid(pid, 0)
        raise Unconfined(words.decode() or "the new process ended")
    return Started(pid, descriptors[0] if descriptors else None)


def _live(plan: Plan, place: Place, body: Callable[[], NoReturn], keeper: socket.socket, parent: int) -> NoReturn:
    """The child's part. Never returns into the keeper's own code."""
    try:
        if "processes" in plan.layers:
            namespaces.unshare_for_server()
            second = os.fork()  # the first process of the new namespace
            if second:
                keeper.send(str(second).encode())
                os._exit(0)
            keeper.recv(2)  # by now the keeper is our parent
            kernel.mount_proc()
        signal.set_wakeup_fd(-1)
        os.setsid()
        system.redirect(place.log)
        os.chdir(place.folder)
        if sys.platform == "linux":
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        if "landlock" in plan.layers:
            own_proc = [Path("/proc")] if "processes" in plan.layers else []
            landlock.restrict([*map(Path, plan.readable), *own_proc], [place.folder], DEVICES)
        _limit(plan.limits, place.user)
        _become_nobody(plan, place.user)
        os.environ.update(HOME=str(place.folder), TMPDIR=str(place.folder))
        if "processes" not in plan.layers:
            system.become_subreaper()  # nothing that it starts is lost
        system.die_with_parent(0 if "processes" in plan.layers else parent)  # seen from there, it has no parent
        listener = seccomp.install(ask="links" in plan.layers) if "calls" in plan.layers else None
        # If the keeper has died in the meantime, this is our end as well.
        socket.send_fds(keeper, [b"confined"], [] if listener is None else [listener])
    except BaseException:
        with contextlib.suppress(OSError):
            keeper.send(traceback.format_exc()[-MOST_WORDS:].encode())
        os._exit(1)
    try:
        keeper.detach()
        os.closerange(3, MOST_DESCRIPTORS)
        body()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def _become_nobody(plan: Plan, user: int | None) -> None:
    """Changes the user, and gives up what root may do.

    What the other user may read is not a matter of who may read which file on this machine, but of Landlock alone:
    Python may be in a folder of root's, and a submission in one that is closed to others.
    """
    kept = [kernel.CAP_DAC_READ_SEARCH] if user is not None and "landlock" in plan.layers else []
    if "privileges" in plan.layers:
        kernel.bar_capabilities(*kept)
    if user is not None:
        users.become(user)
    if "privileges" in plan.layers:
        kernel.keep_capabilities(*kept)


def _limit(limits: Limits, user: int | None) -> None:
    """What the kernel limits for each process, and for a user of its own, for all its processes together."""
    wanted = {
        resource.RLIMIT_DATA: limits.memory,
        resource.RLIMIT_FSIZE: max(limits.disk, limits.output),
        resource.RLIMIT_NOFILE: limits.files,
        resource.RLIMIT_CORE: 0,
    }
    if user is not None:
        wanted[resource.RLIMIT_NPROC] = int(limits.processes * OVERSHOOT)
    for what, most in wanted.items():
        _, hard = resource.getrlimit(what)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))
