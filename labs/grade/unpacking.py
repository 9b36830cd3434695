"""Taking a submission along: a folder or an archive becomes a plain tree of files, whatever it was made to do.

Only regular files and folders are written, each by this module's own hand, below the target and within limits. Links
are left out, so no file can lead, or be written, anywhere else. A name that leaves the archive is no accident: then
nothing is taken.
"""

import hashlib
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, Final, NamedTuple

MOST_BYTES: Final = 100 * 2**20
"""What all files of a submission may have together, unpacked."""
TOO_LARGE: Final = f"its files have more than {MOST_BYTES // 2**20} MiB together"
MOST_FILES: Final = 5000
"""Files and folders in a submission."""
LONGEST_NAME: Final = 1000
"""Bytes in a path, and 255 in each part of it, as file systems have it."""
DEEPEST: Final = 40
"""Folders in each other."""
BLOCK: Final = 2**16

ENDINGS: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
LEFT_OUT: Final = frozenset({".git", ".hg", ".venv", "__pycache__", "__MACOSX", ".DS_Store", ".mypy_cache", ".idea"})
"""Names of files and folders that are no part of anybody's work."""


class Unsafe(ValueError):
    """The submission cannot be taken along. The text says why, to its author too."""


class Item(NamedTuple):
    """One entry of an archive or a folder."""

    name: str
    is_folder: bool
    is_file: bool
    executable: bool
    size: int
    """As it is announced."""
    open: Callable[[], IO[bytes]]


def is_archive(file: Path) -> bool:
    """Whether its name says that it is one that can be unpacked."""
    return file.name.lower().endswith(ENDINGS) and file.is_file()


def stem(file: Path) -> str:
    """An archive's name without its ending; any other name as it is."""
    ending = next((each for each in sorted(ENDINGS, key=len, reverse=True) if file.name.lower().endswith(each)), "")
    return file.name[: len(file.name) - len(ending)] if is_archive(file) else file.name


def take(source: Path, target: Path) -> int:
    """Copies or unpacks `source` into the new folder `target`. Gives how many links were left out. Raises `Unsafe`."""
    target.mkdir(parents=True)
    try:
        with nullcontext(_walk(source)) if source.is_dir() else _opened(source) as items:
            return _write(items, target)
    except OSError as error:
        raise Unsafe(f"it cannot be read: {error.strerror or error}") from None


def digest(folder: Path) -> str:
    """SHA-256 over the names, contents and executable bits of all files."""
    found = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        executable = bool(file.stat().st_mode & stat.S_IXUSR)
        name = os.fsencode(file.relative_to(folder))
        found.update(b"%d %d %d " % (len(name), len(content), executable) + name + content)
    return found.hexdigest()


def pack(folder: Path, target: IO[bytes]) -> None:
    """The folder as an archive, the same bytes for the same files."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(str(file.relative_to(folder)))
            info.external_attr = (file.stat().st_mode & 0o777 | stat.S_IFREG) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read_bytes())


# --- what there is ---------------------------------------------------------------------------------------------------


def _walk(folder: Path, above: str = "") -> Iterator[Item]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        name, path = above + entry.name, Path(entry.path)
        if entry.name in LEFT_OUT:
            continue
        is_folder, is_file = entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)
        told = entry.stat(follow_symlinks=False)
        executable = bool(told.st_mode & stat.S_IXUSR)
        yield Item(name, is_folder, is_file, executable, told.st_size, partial(_read, path))
        if is_folder:
            yield from _walk(path, f"{name}/")


def _read(file: Path) -> IO[bytes]:
    return file.open("rb")


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[Item]]:
    """The entries of an archive, in its order. Raises `Unsafe` where it is none, or is damaged."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield (_zip_item(zipped, info) for info in zipped.infolist())
        else:
            with tarfile.open(archive) as tarred:
                yield (_tar_item(tarred, member) for member in tarred)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, LZMAError, NotImplementedError) as error:
        raise Unsafe(f"the archive cannot be read: {error or 'it ends too early'}") from None
    except RuntimeError as error:  # what zipfile says where a password is needed
        raise Unsafe(f"the archive cannot be read: {error}") from None


def _zip_item(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Item:
    mode = info.external_attr >> 16
    is_file = not info.is_dir() and not stat.S_ISLNK(mode)
    executable = bool(mode & stat.S_IXUSR)
    return Item(info.filename, info.is_dir(), is_file, executable, info.file_size, partial(archive.open, info))


def _tar_item(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Item:
    def content() -> IO[bytes]:
        found = archive.extractfile(member)
        assert found, "a regular file has content"
        return found

    executable = bool(member.mode & stat.S_IXUSR)
    return Item(member.name, member.isdir(), member.isfile(), executable, member.size, content)


# --- writing it ------------------------------------------------------------------------------------------------------


def _write(items: Iterator[Item], target: Path) -> int:
    links = written = announced = 0
    for number, item in enumerate(items, 1):
        if number > MOST_FILES:
            raise Unsafe(f"it has more than {MOST_FILES:,} files and folders")
        announced += item.size  # also of what is left out: an archive is read to its end
        if announced > MOST_BYTES:
            raise Unsafe(TOO_LARGE)
        parts = _parts(item.name)
        if not parts or LEFT_OUT & set(parts):
            continue
        path = target.joinpath(*parts)
        try:
            if item.is_folder:
                path.mkdir(parents=True, exist_ok=True)
            elif item.is_file:
                written += _copy(item, path, MOST_BYTES - written)
            else:  # a link, or a device
                links += 1
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Unsafe(f"{item.name!r} is there both as a file and as a folder") from None
    return links


def _parts(name: str) -> tuple[str, ...]:
    """The parts of an entry's name. Raises `Unsafe` if it could lead anywhere but below the target."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise Unsafe(f"it has a file {name!r}, which would be written outside of its folder")
    raw = [len(os.fsencode(part)) for part in path.parts]
    if sum(raw) > LONGEST_NAME or any(each > 255 for each in raw) or len(raw) > DEEPEST:
        raise Unsafe(f"it has a file with a name that is too long: {name[:60]!r}…")
    return path.parts


def _copy(item: Item, path: Path, room: int) -> int:
    """Writes one file. Counts what comes, since an archive may announce less."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with item.open() as source, path.open("wb") as target:
        while block := source.read(BLOCK):
            size += len(block)
            if size > room:
                raise Unsafe(TOO_LARGE)
            target.write(block)
    path.chmod(0o755 if item.executable else 0o644)
    return size


def discard(folder: Path) -> None:
    """Deletes a tree that may not be there."""
    shutil.rmtree(folder, ignore_errors=True)
