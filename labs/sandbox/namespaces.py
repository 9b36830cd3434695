"""Namespaces: a part of the system that a process sees instead of the whole."""

import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final

from labs.sandbox.kernel import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    unshare,
)

OF_A_SERVER: Final = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS
"""What each server has for itself. When its first process ends, the kernel kills all the others."""

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

_entered: bool = False


def enter() -> None:
    """Puts this process, and all that it starts from now on, into a network of its own: loopback and nothing else.

    An ordinary user needs a user namespace for that. In it, the process keeps its user and gets the right to make
    further namespaces. Once is enough. Raises `OSError`.
    """
    global _entered
    if not _entered:
        enter_if_ordinary(network=True)
        _entered = True


def enter_if_ordinary(network: bool) -> None:
    """A user namespace where one is needed to make others, and, if wished, the network namespace."""
    flags = CLONE_NEWNET if network else 0
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        flags |= CLONE_NEWUSER
    if flags:
        unshare(flags)
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if network:
        _raise_loopback()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def unshare_for_server() -> None:
    """The next child of this process is the first one in namespaces of its own. Raises `OSError`."""
    try:
        unshare(OF_A_SERVER)
    except PermissionError:
        enter_if_ordinary(network=False)
        unshare(OF_A_SERVER)
