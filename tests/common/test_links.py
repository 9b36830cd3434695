"""Socket files."""

import os
import subprocess
from pathlib import Path

import pytest

from common import links
from common.links import Endpoint


def test_what_is_published_is_read(tmp_path: Path) -> None:
    links.publish(tmp_path, "pb-1", "pb-1", Endpoint("127.0.0.1", 4711))
    assert links.read(tmp_path / "pb-1" / "pb-1") == Endpoint("127.0.0.1", 4711)
    assert (tmp_path / "pb-1" / "pb-1").read_text() == "127.0.0.1 4711\n"
    assert os.listdir(tmp_path / "pb-1") == ["pb-1"], "no draft is left"


def test_no_link_is_none(tmp_path: Path) -> None:
    assert links.look(tmp_path / "a") is None
    assert links.read(tmp_path / "a") is None


def test_a_hard_link_is_the_same_file_and_a_new_publication_another(tmp_path: Path) -> None:
    own, link = tmp_path / "b" / "b", tmp_path / "a"
    links.publish(tmp_path, "b", "b", Endpoint("127.0.0.1", 1))
    os.link(own, link)
    assert links.look(link) == links.look(own)
    links.publish(tmp_path, "b", "b", Endpoint("127.0.0.1", 2))
    assert links.look(link) != links.look(own)
    assert links.read(link) == Endpoint("127.0.0.1", 1), "a hard link keeps the old file"


@pytest.mark.parametrize("text", ["", "127.0.0.1", "127.0.0.1 port", "127.0.0.1 0", "127.0.0.1 65536", "\x00" * 50])
def test_another_content_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(ValueError, match="expected the socket file"):
        links.read(tmp_path / "a")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-x", "a b", "x" * 101, "a\n"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name"):
        links.check_name(name)


def test_every_change_in_a_folder_is_told_at_once(tmp_path: Path) -> None:
    links.live(tmp_path, "a")
    watch, folder = links.Watch(tmp_path / "a"), tmp_path / "a"
    assert watch.works
    for change in ("touch b", "ln b c", "rm b", "mv c b", "touch -d yesterday b", "sh -c 'echo >b'", "mv b .."):
        before = watch.changes
        subprocess.run(change, shell=True, cwd=folder, check=True)
        assert watch.changes > before, change
    watch.close()
    before = watch.changes
    links.publish(tmp_path, "a", "b", links.Endpoint("127.0.0.1", 1))
    assert watch.changes == before
    assert not watch.works
