"""Whatever an archive was made to do: nothing is written outside of its folder, and nothing without limit."""

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from labs.grade import unpacking
from labs.grade.unpacking import Unsafe


def zipped(file: Path, *entries: tuple[str, bytes], mode: int = stat.S_IFREG | 0o644) -> Path:
    """A zip file with these entries."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return file


def tarred(file: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    """A tar file with these members."""
    with tarfile.open(file, "w:gz") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return file


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A link in a tar file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def everything(folder: Path) -> set[str]:
    """All that is in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_was_packed_is_there(tmp_path: Path, pack: Callable[..., Path]) -> None:
    source = pack(tmp_path / "a.archive", ("lab/a.py", b"1"), ("lab/deep/b.py", b"2"), ("lab/__pycache__/c.pyc", b"3"))
    assert unpacking.take(source, tmp_path / "out") == 0
    assert everything(tmp_path / "out") == {"lab", "lab/a.py", "lab/deep", "lab/deep/b.py"}
    assert (tmp_path / "out/lab/deep/b.py").read_bytes() == b"2"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path: Path, pack: Callable[..., Path], name: str) -> None:
    source = pack(tmp_path / "a.archive", ("good.py", b""), (name, b"evil"))
    with pytest.raises(Unsafe, match="outside of its folder"):
        unpacking.take(source, tmp_path / "deep" / "out")
    assert everything(tmp_path) == {"a.archive", "deep", "deep/out", "deep/out/good.py"}


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    source = tarred(
        tmp_path / "a.tgz",
        link("way", str(outside)),
        ("way/evil", b"evil"),
        link("hard", "/etc/passwd", tarfile.LNKTYPE),
    )
    assert unpacking.take(source, tmp_path / "out") == 2
    assert everything(outside) == set()
    assert everything(tmp_path / "out") == {"way", "way/evil"}
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_a_link_in_a_zip_file_is_left_out(tmp_path: Path) -> None:
    source = zipped(tmp_path / "a.zip", ("passwd", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777)
    assert unpacking.take(source, tmp_path / "out") == 1
    assert everything(tmp_path / "out") == set()


def test_links_and_pipes_in_a_folder_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "alice"
    folder.mkdir()
    (folder / "own.py").write_text("1")
    (folder / "secret").symlink_to("/etc/passwd")
    (folder / "all").symlink_to("/etc")
    os.mkfifo(folder / "pipe")  # which nobody may open: it would wait for ever
    assert unpacking.take(folder, tmp_path / "out") == 3
    assert everything(tmp_path / "out") == {"own.py"}


def test_what_is_left_out_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1000)
    with pytest.raises(Unsafe, match="MiB together"):
        unpacking.take(tarred(tmp_path / "a.tgz", (".git/pack", bytes(2000))), tmp_path / "out")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_bomb_is_refused(tmp_path: Path, pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1000)
    source = pack(tmp_path / "a.archive", ("a", bytes(600)), ("b", bytes(600)))
    with pytest.raises(Unsafe, match="MiB together"):
        unpacking.take(source, tmp_path / "out")


def test_a_zip_file_that_announces_less_than_it_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = zipped(tmp_path / "a.zip", ("a", bytes(100_000)))
    with zipfile.ZipFile(source) as archive:
        archive.infolist()[0].file_size = 10
    lying = source.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    source.write_bytes(lying)
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1000)
    with pytest.raises(Unsafe):
        unpacking.take(source, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 1000


def test_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_FILES", 10)
    with pytest.raises(Unsafe, match="more than 10 files"):
        unpacking.take(zipped(tmp_path / "a.zip", *((f"{n}.py", b"") for n in range(11))), tmp_path / "out")


def test_long_and_deep_names_are_refused(tmp_path: Path) -> None:
    for number, name in enumerate(["x" * 300, "/".join("d" * 50)]):
        with pytest.raises(Unsafe, match="too long"):
            unpacking.take(zipped(tmp_path / f"{number}.zip", (name, b"")), tmp_path / str(number))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"\x1f\x8b\x08 neither", b"hello"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(Unsafe, match="cannot be read"):
        unpacking.take(tmp_path / "a.zip", tmp_path / "out")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    source = tarred(tmp_path / "a.tgz", ("a", os.urandom(10_000)))
    source.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(Unsafe, match="cannot be read"):
        unpacking.take(source, tmp_path / "out")


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsafe, match="both as a file and as a folder"):
        unpacking.take(zipped(tmp_path / "a.zip", ("a", b""), ("a/b", b"")), tmp_path / "out")


def test_the_digest_knows_names_contents_and_what_is_executable(tmp_path: Path) -> None:
    seen = set()
    for name, content, mode in [("a", "1", 0o644), ("b", "1", 0o644), ("a", "2", 0o644), ("a", "1", 0o755)]:
        folder = tmp_path / f"{name}{content}{mode}"
        folder.mkdir()
        (folder / name).write_text(content)
        (folder / name).chmod(mode)
        seen.add(unpacking.digest(folder))
    assert len(seen) == 4


def test_a_packed_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "run").write_text("#!/bin/sh")
    (tmp_path / "in" / "deep" / "run").chmod(0o755)
    with (tmp_path / "a.zip").open("wb") as file:
        unpacking.pack(tmp_path / "in", file)
    unpacking.take(tmp_path / "a.zip", tmp_path / "out")
    assert unpacking.digest(tmp_path / "in") == unpacking.digest(tmp_path / "out")
