"""Socket files: the network is a folder that a person can read with `ls` and cut with `rm`.

`net/<src>/<dst>` exists exactly when src can reach dst, and holds `host port`. The diagonal `net/<x>/<x>` is x's own
socket file: x writes it once it listens. The others are hard links to it (or to a tap that relays to it), made by
whoever plays the network. A host knows before each call what the link is now (it looks, or it is told of changes),
so a cut acts at once on every new call.
"""

import contextlib
import fcntl
import os
import re
import signal
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
LIVES: Final = ".lives"


class Endpoint(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


Identity = tuple[int, int, int]
"""Which file a link is: device, inode, nanoseconds of its modification. A server that restarted, or a tap put in
between, makes another file."""


class Watch:
    """What is told of changes in a server's folder of links, so that it need not look before each call.

    Linux says by a signal that something happened in a folder (fcntl(2), F_NOTIFY). The signal is there before whoever
    changed the folder goes on, and before this process does anything else: what was seen is true while `changes` is
    the same. It only counts if it works: touching a file of ours must be noticed.
    """

    changes: ClassVar[int] = 0
    """Increased whenever something happens in a folder that this process watches."""

    def __init__(self, folder: Path) -> None:
        """Watches `folder`, in which `live` has noted a life."""
        self._descriptor: int | None = os.open(folder, os.O_RDONLY)
        before = Watch.changes
        with contextlib.suppress(AttributeError, OSError, ValueError):  # another system, or not the main thread
            signal.signal(signal.SIGURG, self._told)  # one that does no harm to a process that does not expect it
            fcntl.fcntl(self._descriptor, fcntl.F_SETSIG, signal.SIGURG)
            happens = fcntl.DN_CREATE | fcntl.DN_DELETE | fcntl.DN_RENAME | fcntl.DN_MODIFY | fcntl.DN_ATTRIB
            fcntl.fcntl(self._descriptor, fcntl.F_NOTIFY, happens | fcntl.DN_MULTISHOT)
            os.utime(folder / LIVES)
        self.works = Watch.changes != before
        """Whether changes are told. Otherwise one has to look."""

    @staticmethod
    def _told(*_: object) -> None:
        Watch.changes += 1

    def close(self) -> None:
        """Nothing is told any more."""
        self.works = False
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def check_name(name: str) -> str:
    """`name`, if it can name a server. Raises `ValueError`."""
    if not NAME.fullmatch(name):
        raise ValueError(f"expected a name of letters, digits, '_', '.' and '-', got {name!r}")
    return name


def publish(net: Path, src: str, dst: str, endpoint: Endpoint) -> None:
    """Writes the socket file `net/src/dst`, whole or not at all: never is half a file to be seen."""
    column = net / check_name(src)
    column.mkdir(parents=True, exist_ok=True)
    draft = column / f".{check_name(dst)}.{os.getpid()}"
    draft.write_text(text(endpoint))
    draft.rename(column / dst)


def live(net: Path, name: str) -> int:
    """Notes that a server of this name begins to live, in `net/name/.lives`. Gives how many did so before."""
    path = net / check_name(name) / LIVES
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with path.open("r+") as file:  # not truncated before it is written: ext4 then takes milliseconds to close it
        lives = int(file.read() or 0)
        file.seek(0)
        file.write(f"{lives + 1}\n")
    return lives


def look(path: str | Path) -> Identity | None:
    """Which file is at `path`, or None if there is no link."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def read(path: str | Path) -> Endpoint | None:
    """Where the link at `path` leads, or None if there is no link. Raises `ValueError` if it is no socket file."""
    try:
        return parse(Path(path).read_text(), path)
    except FileNotFoundError:
        return None


def text(endpoint: Endpoint) -> str:
    """What a socket file holds."""
    return f"{endpoint.host} {endpoint.port}\n"


def parse(text: str, path: str | Path) -> Endpoint:
    """Where a socket file with this text leads. Raises `ValueError` if it is none; `path` says which it is."""
    host, _, port = text.strip().partition(" ")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"expected the socket file {path} to hold 'host port', got {text[:100]!r}")
    return Endpoint(host, int(port))
