# Tries everything that a server has no business with, and says what came of it.

import contextlib as _contextlib
import ctypes as _ctypes
import os as _os
import signal as _signal
import socket as _socket
from pathlib import Path as _Path

_libc = _ctypes.CDLL(None, use_errno=True)


def _call(name, *arguments):
    result = getattr(_libc, name)(*arguments)
    if result < 0:
        error = _ctypes.get_errno()
        raise OSError(error, _os.strerror(error))
    return result


def _own_folder():
    return _Path.cwd() / "net/vs" if _Path("net").is_dir() else _Path.cwd()


def _run_folder():
    return _own_folder().parents[3]


def _write(path):
    with open(path, "a") as file:
        file.write("points: 100\n")


def _leave_a_file(folder):
    path = _Path(folder, f"lab-hostile-{_os.getpid()}")
    _write(path)
    path.unlink()


def _listen(family, kind, address):
    with _socket.socket(family, kind) as listener:
        listener.bind(address)


def _connect(address):
    _socket.create_connection(address, timeout=2).close()


def _link_into_own_folder():
    _os.link(CHECKOUT / "setup.cfg", "mine")
    print(_Path("mine").read_text()[:1])


def _read_through_own_link():
    _Path("door").symlink_to(CHECKOUT)
    _Path("door", "setup.cfg").read_text()


def _read_the_secret():
    found = _os.environ.get("LAB_TEST_SECRET", "")
    with _contextlib.suppress(OSError):
        found += _Path("/proc/self/environ").read_text()
    if "hunter2" not in found:
        raise OSError("there is none")


def _see_others():
    others = {int(name) for name in _os.listdir("/proc") if name.isdigit()} - {_os.getpid()}
    if not others:
        raise OSError("there are none")


def _signal_others():
    for pid in (_os.getppid(), -1, *range(2, 70_000)):
        if pid not in (0, _os.getpid()):
            with _contextlib.suppress(ProcessLookupError, PermissionError):
                _os.kill(pid, 0)
                return
    raise OSError("there is nobody whom it could signal")


def _kill_parent():
    if _os.getppid() == 0:
        raise OSError("it has none")
    _os.kill(_os.getppid(), _signal.SIGKILL)


def _is_open(number):
    try:
        _os.fstat(number)
    except OSError:
        return False
    return True


_FOUND = [number for number in range(3, 1000) if _is_open(number)]


def _find_descriptors():
    if not _FOUND:
        raise OSError("nothing was open")


def _share_memory():
    _call("shmctl", _call("shmget", 0, 4096, 0o1600), 0, None)


def _queue_messages():
    _call("msgctl", _call("msgget", 0, 0o1600), 0, None)


def _keep_a_key():
    number = {"x86_64": 248, "aarch64": 217}[_os.uname().machine]
    _call("syscall", number, b"user", b"lab", b"secret", _ctypes.c_size_t(6), -2)  # add_key, for this process


HARMLESS = {
    "read the tests": lambda: (CHECKOUT / "tests/graded/lab1/test_viewservice.py").read_text(),
    "read the reference": lambda: (CHECKOUT / "lab1_pbservice/viewservice/core.py").read_text(),
    "read another submission": lambda: (OTHER / "lab1_pbservice/roles.py").read_text(),
    "look into the run's folder": lambda: _os.listdir(_run_folder()),
    "look who else is there": lambda: _os.listdir(_own_folder().parent),
    "read a log": lambda: next((_own_folder().parents[1] / "logs").iterdir()).read_text(),
    "write the results": lambda: _write(_run_folder() / "result.json"),
    "write where --json will": lambda: _write(RESULTS),
    "change its own code": lambda: _write(__file__),
    "write to /tmp": lambda: _leave_a_file("/tmp"),
    "write to /dev/shm": lambda: _leave_a_file("/dev/shm"),
    "link a file into its own folder": _link_into_own_folder,
    "read through a link of its own": _read_through_own_link,
    "read the harness's environment": _read_the_secret,
    "see other processes": _see_others,
    "signal other processes": _signal_others,
    "find an open descriptor": _find_descriptors,
    "share memory (System V)": _share_memory,
    "queue messages (System V)": _queue_messages,
    "leave a key with the kernel": _keep_a_key,
    "listen on an abstract socket": lambda: _listen(_socket.AF_UNIX, _socket.SOCK_STREAM, f"\0lab-hostile-{_os.getpid()}"),
    "listen on a local socket": lambda: _listen(_socket.AF_UNIX, _socket.SOCK_STREAM, "local"),
    "receive datagrams": lambda: _listen(_socket.AF_INET, _socket.SOCK_DGRAM, ("127.0.0.1", 0)),
    "connect to another program": lambda: _connect(("127.0.0.1", OUTSIDE)),
}
FIERCE = {
    "kill its parent": _kill_parent,
    "connect to the outside": lambda: _connect(("192.0.2.1", 80)),
    "connect over IPv6": lambda: _connect(("::1", OUTSIDE)),
    "make namespaces": lambda: _call("unshare", 0x10000000 | 0x20000),
    "mount": lambda: _call("mount", b"none", b"/", b"none", _ctypes.c_ulong(0x44000), None),
    "change its root": lambda: _os.chroot("."),
    "become root": lambda: (_os.setresuid(0, 0, 0), _os.chown("/etc/hostname", 0, 0)),
    "use io_uring": lambda: _call("syscall", 425, 8, _ctypes.create_string_buffer(120)),
    "go before others": lambda: _os.nice(-1),
    "set the clock": lambda: __import__("time").clock_settime(0, __import__("time").time()),
}

_serve = ROLES["viewserver"]


async def _pry(host):
    for name, deed in (HARMLESS if TAME else HARMLESS | FIERCE).items():
        try:
            deed()
        except OSError as error:
            print(f"deed {name}: no, {error!r}", flush=True)
        else:
            print(f"deed {name}: done", flush=True)
    await _serve(host)


ROLES["viewserver"] = _pry
