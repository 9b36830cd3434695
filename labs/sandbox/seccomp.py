"""System calls that a server has no use for, and `connect`, which the harness does for it.

A filter (man 2 seccomp) is a small program that the kernel runs at every system call of a process and all its
descendants. Ours forbids the ways around the network: local and datagram sockets, shared memory and message queues,
keyrings, io_uring (which could do all of it unseen), other processes' memory, new namespaces.

With `ask`, it also makes each `connect` wait for the harness. The harness reads the address, and if a link leads
there, connects the server's socket itself. It never lets the server's own call go on: the server could change the
address in its memory after the look at it.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct
from pathlib import Path
from typing import Final, NamedTuple

from labs.sandbox import kernel

SET_MODE_FILTER: Final = 1
NEW_LISTENER: Final = 1 << 3
WAIT_KILLABLE: Final = 1 << 5
"""A signal does not interrupt who waits for the harness, unless it kills."""

RECEIVE, ANSWER, IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
"""ioctl requests on the listener."""
NOTICE: Final = struct.Struct("=QIIiIQ6Q")
"""id, pid, flags; number of the call, architecture, instruction pointer, arguments."""

PIDFD_OPEN, PIDFD_GETFD = 434, 438

ALLOW, KILL, REFUSE, ASK = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
"""What a filter may answer. To `REFUSE` the error's number is added."""
LOAD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, JUMP_IF_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16

MSG_FASTOPEN: Final = 0x20000000
"""Connects by sending."""
NEW_NAMESPACES: Final = 0x7E020000
"""All flags of `clone` that make one."""
TYPE_OF_SOCKET: Final = 0xF


class Calls(NamedTuple):
    """Numbers of system calls on one architecture."""

    architecture: int
    socket: int
    connect: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    clone: int
    forbidden: tuple[int, ...]
    unknown: tuple[int, ...] = (435, 425, 426, 427)
    """Answered as by an older kernel: clone3 (whose flags a filter cannot see; clone is then used) and io_uring."""
    other_abi: int = 0
    """Numbers from here on belong to a second set of calls."""


_SAME: Final = (428, 429, 430, 431, 432, 433, 438, 440, 442, 447)
"""Since Linux 5.2 the numbers are the same everywhere: the new mount calls, pidfd_getfd, process_madvise,
mount_setattr, memfd_secret."""

CALLS: Final = {
    "x86_64": Calls(
        0xC000003E,
        socket=41,
        connect=42,
        sendto=44,
        sendmsg=46,
        sendmmsg=307,
        clone=56,
        forbidden=(
            *(29, 30, 31, 67, 64, 65, 66, 220, 68, 69, 70, 71),  # shared memory, semaphores, message queues
            *(240, 241, 242, 243, 244, 245),  # POSIX message queues
            *(248, 249, 250),  # keyrings
            *(101, 310, 311),  # ptrace, other processes' memory
            *(272, 308, 165, 166, 155, 161),  # unshare, setns, mount, umount, pivot_root, chroot
            *(298, 321, 323, 303, 304, 312),  # perf_event_open, bpf, userfaultfd, file handles, kcmp
            *_SAME,
        ),
        other_abi=0x40000000,
    ),
    "aarch64": Calls(
        0xC00000B7,
        socket=198,
        connect=203,
        sendto=206,
        sendmsg=211,
        sendmmsg=269,
        clone=220,
        forbidden=(
            *(194, 195, 196, 197, 190, 191, 192, 193, 186, 187, 188, 189),
            *(180, 181, 182, 183, 184, 185),
            *(217, 218, 219),
            *(117, 270, 271),
            *(97, 268, 40, 39, 41, 51),
            *(241, 280, 282, 264, 265, 272),
            *_SAME,
        ),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _on(number: int, *steps: bytes) -> bytes:
    """These steps, at the call of this number. They end the program, or jump behind themselves."""
    return _step(JUMP_IF_EQUAL, number, 0, len(steps)) + b"".join(steps)


def _argument(index: int) -> bytes:
    return _step(LOAD, ARGUMENTS_AT + 8 * index)


def _refuse(error: int) -> bytes:
    return _step(RETURN, REFUSE | error)


def program(calls: Calls, ask: bool) -> bytes:
    """The filter, in the kernel's instructions."""
    allow = _step(RETURN, ALLOW)
    steps = [
        _step(LOAD, ARCHITECTURE_AT),
        _step(JUMP_IF_EQUAL, calls.architecture, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER_AT),
    ]
    if calls.other_abi:
        steps += [_step(JUMP_IF_AT_LEAST, calls.other_abi, 0, 1), _refuse(errno.ENOSYS)]
    steps += [_on(number, _refuse(errno.EPERM)) for number in calls.forbidden]
    steps += [_on(number, _refuse(errno.ENOSYS)) for number in calls.unknown]
    steps += [
        _on(
            calls.clone,
            _argument(0),
            _step(JUMP_IF_ANY_BIT, NEW_NAMESPACES, 0, 1),
            _refuse(errno.EPERM),
            allow,
        ),
        _on(
            calls.socket,
            _argument(0),
            _step(JUMP_IF_EQUAL, socket.AF_INET, 1, 0),
            _step(JUMP_IF_EQUAL, socket.AF_INET6, 0, 3),
            _argument(1),
            _step(AND, TYPE_OF_SOCKET),
            _step(JUMP_IF_EQUAL, socket.SOCK_STREAM, 1, 0),
            _refuse(errno.EACCES),
            allow,
        ),
    ]
    for number, flags in ((calls.sendto, 3), (calls.sendmsg, 2), (calls.sendmmsg, 3)):
        steps.append(
            _on(
                number,
                _argument(flags),
                _step(JUMP_IF_ANY_BIT, MSG_FASTOPEN, 0, 1),
                _refuse(errno.EOPNOTSUPP),
                allow,
            )
        )
    if ask:
        steps.append(_on(calls.connect, _step(RETURN, ASK)))
    return b"".join([*steps, allow])


def install(ask: bool = False) -> int | None:
    """Puts this process and its descendants under the filter, for ever. It has to have `PR_SET_NO_NEW_PRIVS`.

    With `ask`, returns the listener, at which somebody outside has to answer. Raises `OSError`.
    """
    if platform.machine() not in CALLS:
        raise OSError(f"expected one of {', '.join(CALLS)}, got {platform.machine()}")
    code = program(CALLS[platform.machine()], ask)
    filter_ = ctypes.byref(_Program(len(code) // 8, code))
    flags = NEW_LISTENER | WAIT_KILLABLE if ask else 0
    listener = kernel.syscall(kernel.numbers().seccomp, SET_MODE_FILTER, flags, filter_)
    return listener if ask else None


class Attempt(NamedTuple):
    """A server's wish to connect. It waits until it is answered."""

    number: int
    socket: socket.socket
    """The server's own, open here as well until it is closed."""
    host: str
    port: int


def receive(listener: int) -> Attempt | None:
    """The next attempt. None if there was none after all, or if it was none that could be allowed."""
    buffer = bytearray(NOTICE.size)
    try:
        fcntl.ioctl(listener, RECEIVE, buffer)
    except OSError:
        return None  # the process is gone
    number, task, _, _, _, _, descriptor, address, length, *_ = NOTICE.unpack(buffer)
    try:
        host, port = _read_address(task, address, min(length, 128))
        mine = duplicate(_process_of(task), descriptor)
        fcntl.ioctl(listener, IS_VALID, struct.pack("=Q", number))  # or the task may be another by now
    except (OSError, ValueError, struct.error) as error:
        answer(listener, number, getattr(error, "errno", None) or errno.EACCES)
        return None
    return Attempt(number, mine, host, port)


def answer(listener: int, number: int, error: int) -> None:
    """Lets the call return, with this error or with 0."""
    with contextlib.suppress(OSError):  # the process may be gone
        fcntl.ioctl(listener, ANSWER, struct.pack("=QqiI", number, 0, -error, 0))


def _process_of(task: int) -> int:
    """The process to which a thread belongs."""
    status = Path(f"/proc/{task}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Tgid:"))


def _read_address(task: int, address: int, length: int) -> tuple[str, int]:
    """What the memory of the task says there. Raises `ValueError` if it is no address of IPv4."""
    with open(f"/proc/{task}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        data = memory.read(length)
    family, port, host = struct.unpack_from("=H2s4s", data)
    if family != socket.AF_INET:
        raise ValueError("expected an address of IPv4")
    return socket.inet_ntoa(host), int.from_bytes(port, "big")


def duplicate(process: int, descriptor: int) -> socket.socket:
    """Another process's socket, open here as well. Raises `OSError`, also if it is something else."""
    handle = os.pidfd_open(process)
    try:
        return socket.socket(fileno=kernel.syscall(PIDFD_GETFD, handle, descriptor, 0))
    finally:
        os.close(handle)


def try_gate() -> None:
    """Plays both parts once, in two processes. Raises `OSError` if this machine cannot do it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            listener = install(ask=True)
            assert listener is not None
            socket.send_fds(theirs, [b"."], [listener])
            with socket.socket() as client:
                client.connect(server.getsockname())
            os._exit(0)
        theirs.close()
        with ours:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        if not descriptors:
            raise OSError("the filter cannot be installed")
        attempt = receive(descriptors[0])
        if attempt is None:
            raise OSError("sockets of other processes cannot be used (pidfd_getfd)")
        with attempt.socket:
            attempt.socket.connect((attempt.host, attempt.port))
        answer(descriptors[0], attempt.number, 0)
        os.close(descriptors[0])
        if os.waitpid(child, 0)[1] != 0:
            raise OSError("a connection that was allowed did not come about")
