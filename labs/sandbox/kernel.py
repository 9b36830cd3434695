"""System calls for which Python has no function. All of them raise `OSError`."""

import ctypes
import os
import platform
import sys
from typing import Any, Final, NamedTuple

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_READ_SEARCH: Final = 2
"""To read, and to pass through, whatever the permissions of files and folders say."""

NO_ROOT_BITS: Final = 0b1111
"""Securebits, locked: being root gives no capability, neither at exec nor by a change of the user."""
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
CAPABILITY_VERSION: Final = 0x20080522
LAST_CAPABILITY: Final = 63


class Numbers(NamedTuple):
    """The numbers of system calls that differ between architectures."""

    capset: int
    seccomp: int


NUMBERS: Final = {"x86_64": Numbers(capset=126, seccomp=317), "aarch64": Numbers(capset=91, seccomp=277)}
"""Other architectures do without these."""

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _call(name: str, *arguments: Any) -> int:
    if _libc is None:
        raise OSError(f"{name}: Linux only")
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def syscall(number: int, *arguments: Any) -> int:
    """Any system call. Whole numbers are passed as longs."""
    return _call("syscall", number, *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments))


def numbers() -> Numbers:
    """Those of this machine."""
    if platform.machine() not in NUMBERS:
        raise OSError(f"expected one of {', '.join(NUMBERS)}, got {platform.machine()}")
    return NUMBERS[platform.machine()]


def prctl(option: int, *arguments: int) -> None:
    """Changes something about this process."""
    _call("prctl", option, *(ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]))


def unshare(flags: int) -> None:
    """Puts this process, or with CLONE_NEWPID its children, into namespaces of their own."""
    _call("unshare", flags)


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """Mounts a file system, or changes how it is mounted."""
    _call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None)


def mount_proc() -> None:
    """In new PID and mount namespaces: /proc shows the processes of this namespace only."""
    mount("none", "/", "none", MS_REC | MS_PRIVATE)  # so that nobody outside sees it
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def bar_capabilities(*kept: int) -> None:
    """From now on nothing gives this process a capability, except these: not being root, and no program.

    Nor does a change of the user take one away.
    """
    try:
        prctl(PR_SET_SECUREBITS, NO_ROOT_BITS)
        for capability in (each for each in range(LAST_CAPABILITY + 1) if each not in kept):
            prctl(PR_CAPBSET_DROP, capability)
    except OSError:
        pass  # there are not so many, or it is no root


def keep_capabilities(*kept: int) -> None:
    """Gives up all capabilities but these, which the programs that it starts have as well."""
    mask = sum(1 << capability for capability in kept)
    held = (_Capabilities * 2)(_Capabilities(mask, mask, mask))
    syscall(numbers().capset, ctypes.byref(_Header(CAPABILITY_VERSION, 0)), held)
    for capability in kept:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)
