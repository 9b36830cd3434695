"""Landlock: which files a process and its descendants may touch, for ever. No privilege is needed for it.

See https://docs.kernel.org/userspace-api/landlock.html. Versions of its interface: 2 adds moving files between
folders, 3 truncation, 4 TCP ports, 5 ioctl on devices, 6 that signals and abstract sockets reach no process outside.
"""

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from labs.sandbox.kernel import syscall

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System calls, of the same number on every architecture that Landlock supports."""
ASK_VERSION: Final = 1
PATH_BENEATH: Final = 1
SCOPED_SINCE: Final = 6

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
RIGHTS_OF_A_FILE: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

ABSTRACT_SOCKETS, SIGNALS = 1 << 0, 1 << 1

READ: Final = EXECUTE | READ_FILE | READ_DIR


def version() -> int:
    """The kernel's version of Landlock. Raises `OSError` where there is none."""
    return syscall(CREATE_RULESET, None, 0, ASK_VERSION)


def _all_rights(version: int) -> int:
    """The rights about files that this version knows."""
    return (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1


def restrict(readable: Iterable[Path], writable: Iterable[Path], devices: Iterable[Path] = ()) -> None:
    """From now on, of all files and folders this process sees what is `readable`, and changes what is `writable`.

    `devices` can be read and written, but not made. What does not exist is passed over. The process has to have
    `PR_SET_NO_NEW_PRIVS`. Where the kernel can, neither signals nor abstract sockets leave its descendants any more.
    """
    known = version()
    rights = _all_rights(known)
    scoped = ABSTRACT_SOCKETS | SIGNALS if known >= SCOPED_SINCE else 0
    attributes = ctypes.create_string_buffer(struct.pack("=QQQ", rights, 0, scoped), 24)
    size = 24 if known >= SCOPED_SINCE else 8
    ruleset = syscall(CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        for path in readable:
            _allow(ruleset, path, READ & rights)
        for path in writable:
            _allow(ruleset, path, rights & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV))
        for path in devices:
            _allow(ruleset, path, READ_FILE | WRITE_FILE)
        syscall(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= RIGHTS_OF_A_FILE
            rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
            syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(place)
