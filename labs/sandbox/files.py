"""Files in a folder that a submission can write to: there, nothing need be what it seems.

A link may lead to the harness's own files, a pipe blocks whoever opens it, a file may be endless.
"""

import contextlib
import os
import secrets
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TamperedWith(AssertionError):
    """A server has put something in the way of the harness."""


def read(path: Path, most: int) -> bytes:
    """The first bytes of a plain file. Raises `FileNotFoundError`, and `ValueError` if it is anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _OPEN)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"expected {path} to be a plain file: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"expected {path} to be a plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def is_missing(path: Path) -> bool:
    """Whether there is nothing at all, not even a link that leads nowhere."""
    return not os.path.lexists(path)


def write(path: Path, text: str) -> None:
    """Makes a new file with this text take the place of what is at `path`. Raises `TamperedWith`."""
    draft = f".{secrets.token_hex(8)}"
    folder = os.open(path.parent, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o644, dir_fd=folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.rename(draft, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        raise TamperedWith(f"cannot write {path}, where a server can write as well: {error}") from None
    finally:
        os.close(folder)


def remove(path: Path) -> None:
    """Takes away what is at `path`, if there is anything. Raises `TamperedWith` if it is a folder."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise TamperedWith(f"cannot remove {path}, where a server can write as well: {error}") from None


def remove_tree(folder: Path) -> None:
    """Takes a folder away with all that is in it, however deep that is."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        subprocess.run(["rm", "-rf", "--", str(folder)], stderr=subprocess.DEVNULL, check=False)
