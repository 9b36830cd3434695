"""The keeper: a process that has a lab imported, forks one server of it per command, and lets none of them escape.

The harness talks to it over one socket, a line of JSON per message. To start a server the keeper forks, which takes
a millisecond where a fresh interpreter takes a hundred; so it stays single-threaded and out of asyncio. It inherits
whatever its servers leave behind: a child that is no server is a stray, and dies. When the socket ends, because the
harness closed it or died in any way, the keeper kills all that is left, deletes the socket files, and goes.

    python -m labs.process.keeper PACKAGE SOCKET SECONDS PLAN [FOLDER …]

SOCKET is an inherited file descriptor, SECONDS the time that importing PACKAGE may take; FOLDERs go to the front of
the module path, so that a submission's packages are found before the reference's. Where servers are command lines
("argv", started in "folder"), PACKAGE is empty, and nothing is imported.

PLAN is empty, or says how servers are confined (labs/sandbox). Then each server imports PACKAGE for itself, and the
keeper does not: it only has a confined process try, so that what fails is known before the first start.

    harness says    {"id": 1, "do": "start", "role", "name", "net", "log", "arguments"}
                    {"id": 1, "do": "start", "argv", "folder", "name", "net", "log"}
                    {"id": 2, "do": "kill", "pid": 2345}
                    {"id": 3, "do": "end", "net"}
    keeper says     {"ready": true} or {"failed": "why, with traceback"}
                    {"id": 1, "pid": 2345, "net"} or {"id": 1, "failed": "why"}
                    ("listener": true, if the line brings an open file: labs/sandbox/seccomp.py)
                    {"id": 2}
                    {"ended": 2345, "how": "exit status 1"}
"""

import contextlib
import faulthandler
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from common import main as common_main
from labs.process import system
from labs.sandbox.files import remove_tree
from labs.sim.errors import own_traceback

if TYPE_CHECKING:
    from labs.sandbox.cell import Cell


class Keeper:
    """Forks servers on command and kills them with everything that they started."""

    def __init__(self, package: str, control: socket.socket, cell: "Cell | None" = None) -> None:
        self._package = package
        self._cell = cell
        self._control = control
        self._pid = os.getpid()
        self._servers: dict[int, str] = {}
        """The network of each server, by the server's process id."""
        self._nets: set[str] = set()
        self._received = b""
        self._signals, self._wakeup = os.pipe()
        for end in (self._signals, self._wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)  # servers inherit it: nobody dies of being asked for a snapshot
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # its number arrives in the pipe

    def run(self) -> None:
        """Does as it is told until the socket ends or SIGTERM comes, then clears up."""
        try:
            while self._turn():
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # the harness is gone
        finally:
            self.clear_up()

    def clear_up(self) -> None:
        """Leaves nothing behind: no process, no socket file."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._kill(list(self._servers))
        for net in self._nets:
            remove_tree(Path(net))
        if self._cell is not None:
            self._cell.remove()

    def _turn(self) -> bool:
        ready, _, _ = select.select([self._control.fileno(), self._signals], [], [])
        if self._signals in ready:
            if signal.SIGTERM in os.read(self._signals, 4096):
                return False
            self._reap()
        if self._control.fileno() in ready:
            data = self._control.recv(65536)
            if not data:
                return False
            *lines, self._received = (self._received + data).split(b"\n")
            for line in lines:
                self._obey(json.loads(line))
        return True

    def say(self, descriptor: int | None = None, **message: Any) -> None:
        """Tells the harness. An open file that goes with it is closed here."""
        line = json.dumps(message | ({} if descriptor is None else {"listener": True})).encode() + b"\n"
        if descriptor is not None:
            socket.send_fds(self._control, [line[:1]], [descriptor])
            os.close(descriptor)
            line = line[1:]
        self._control.sendall(line)

    def _obey(self, command: dict[str, Any]) -> None:
        if command["do"] == "start":
            try:
                pid, listener = self._start(command)
            except OSError as error:
                self.say(id=command["id"], failed=str(error))
            else:
                self.say(listener, id=command["id"], pid=pid, net=command["net"])
            return
        if command["do"] == "kill":
            self._kill([command["pid"]])
        else:
            self._kill([pid for pid, net in self._servers.items() if net == command["net"]])
            remove_tree(Path(command["net"]))  # not the harness, which may be interrupted in between
            self._nets.discard(command["net"])
        self.say(id=command["id"])

    def _start(self, command: dict[str, Any]) -> tuple[int, int | None]:
        """The new server, and where its wishes to connect arrive, if they do (labs/sandbox/seccomp.py)."""
        self._nets.add(command["net"])
        if self._cell is not None:
            folder = self._cell.make_folder(Path(command["net"], command["name"]))
            pid, listener = self._cell.start(folder, Path(command["log"]), partial(self._serve, command))
        else:
            pid, listener = os.fork(), None
            if pid == 0:
                self._become(command)
        self._servers[pid] = command["net"]
        return pid, listener

    def _become(self, command: dict[str, Any]) -> NoReturn:
        """Makes this fresh child the server. Never returns into the keeper's own code."""
        try:
            signal.set_wakeup_fd(-1)
            os.setsid()
            system.die_with_parent(self._pid)
            # The server inherits what it starts, so that nothing is lost of it before the keeper inherits it all.
            system.become_subreaper()
            self._control.close()
            os.close(self._signals)
            os.close(self._wakeup)
            system.redirect(Path(command["log"]))
            os.chdir(Path(command["net"]).parent)
            self._serve(command)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(1)

    def _serve(self, command: dict[str, Any]) -> NoReturn:
        """Is the server."""
        status = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            if "argv" in command:
                _execute(command["argv"], command["folder"])
            common_main.run(self._package, command["role"], command["name"], Path(command["net"]), command["arguments"])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if not isinstance(end.code, int | None):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status & 0xFF)

    def _reap(self) -> None:
        """Notes who ended by itself, and kills what it left behind."""
        ended = False
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                ended = self._note(pid, status) or ended
        if ended:
            self._kill_strays()

    def _note(self, pid: int, status: int) -> bool:
        if pid not in self._servers:
            return False
        del self._servers[pid]
        code = os.waitstatus_to_exitcode(status)
        self.say(ended=pid, how=f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}")
        return True

    def _kill(self, pids: list[int]) -> None:
        """Kills servers and all their descendants. Returns when they are gone."""
        there = [pid for pid in pids if pid in self._servers]
        for pid in there:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            system.kill(pid)  # it may not have its own group yet
        ended = [os.waitpid(pid, 0) for pid in there]
        self._kill_strays()
        for pid, status in ended:
            self._note(pid, status)

    def _kill_strays(self) -> None:
        """Kills every child that is no server: what a dead server had started. Its own children come to us next."""
        while strays := [pid for pid in system.children(self._pid) if pid not in self._servers]:
            for pid in strays:
                system.kill(pid)
            for pid in strays:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _execute(argv: list[str], folder: str) -> NoReturn:
    """Makes this process a program of any kind. Raises `SystemExit`, in words, if there is no such program."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and a program would inherit that
    try:
        os.chdir(folder)
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"cannot run {argv[0]!r} in {folder}: {error.strerror}")


def load(package: str, seconds: float) -> str | None:
    """Imports all that servers of the package need. Returns what went wrong, or None.

    If it takes longer than `seconds`, this process ends with a traceback of where it hangs on standard error.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        common_main.prepare(package)
    except common_main.BadUsage as error:
        return str(error)
    except BaseException as error:  # an import may even call sys.exit
        return own_traceback(error)
    finally:
        faulthandler.cancel_dump_traceback_later()
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
        return f"importing {package} starts a thread ({names}), which no server would have: start it in the role"
    return None


def main() -> None:
    """The command."""
    package, descriptor, seconds, plan, *folders = sys.argv[1:]
    system.become_subreaper()
    cell = None
    if plan:
        from labs.sandbox.cell import Cell

        cell = Cell(plan)
    # Ours is imported already: a submission's modules can stand in for nothing that the keeper itself uses.
    sys.path[:0] = folders
    control = socket.socket(fileno=int(descriptor))
    system.die_with_parent(os.getppid())  # while it imports, the keeper does not see the socket end
    failure = None
    if package:
        attempt = partial(load, package, float(seconds))
        failure = cell.try_out(attempt, float(seconds)) if cell is not None else attempt()
    system.outlive_parent()  # from here on it clears up first
    with control:
        keeper = Keeper(package, control, cell)
        if failure is None:
            gc.collect()
            gc.freeze()  # the collector of a server then leaves these pages shared
            keeper.say(ready=True)
            keeper.run()
        else:
            keeper.say(failed=failure)
            keeper.clear_up()  # an import can start processes, too


if __name__ == "__main__":
    main()
