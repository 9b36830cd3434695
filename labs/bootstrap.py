"""Makes a checkout's .venv. Run by ./lab with whatever Python it found, so only the standard library is used here.

The stamp is written last: a .venv without one was interrupted half way and is made again from nothing. A lock lets
two that start at once do the work once.
"""

import fcntl
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import TextIO


def main(root: Path, stamp: str) -> int:
    """Leaves `root`/.venv in the state that `stamp` names. Returns an exit status."""
    folder = root / ".venv"
    try:
        folder.mkdir(exist_ok=True)
        with open(folder / "lock", "a") as lock:
            _take(lock)
            if _read(folder / "stamp") != stamp:
                _make(root, folder)
                (folder / "stamp").write_text(stamp + "\n")
    except OSError as error:
        return _fail(f"cannot make {folder}: {error}")
    except subprocess.CalledProcessError as error:
        return _fail(f"setting up {folder} failed (see above): {' '.join(error.cmd)}")
    except KeyboardInterrupt:
        return _fail("interrupted while setting up; the next ./lab begins again", status=130)
    return 0


def _take(lock: TextIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("another ./lab is setting up .venv; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _make(root: Path, folder: Path) -> None:
    started = time.monotonic()
    python = folder / "bin" / "python"
    usable = (folder / "stamp").exists() and _read(folder / "stamp").startswith(f"{root} ")
    (folder / "stamp").unlink(missing_ok=True)
    if usable:
        _say("requirements have changed; bringing .venv up to date")
    else:
        _say(f"making .venv with Python {sys.version.split()[0]} (once; about half a minute)")
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()
        venv.create(folder, with_pip=True)
    files = sorted(root.glob("requirements*.txt"))
    _say(f"installing the packages that {' and '.join(file.name for file in files)} name")
    pip = [str(python), "-m", "pip", "-qq", "--disable-pip-version-check", "install"]
    named = [word for file in files for word in ("--requirement", str(file))]
    subprocess.run([*pip, *named], check=True)
    _say("installing this checkout")
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(root)], check=True)
    _say(f"ready after {time.monotonic() - started:.0f} s")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def _fail(text: str, status: int = 2) -> int:
    _say(text)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
