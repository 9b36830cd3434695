"""Which submissions somebody means."""

from pathlib import Path

import pytest

from labs.grade import intake
from labs.usage import BadUsage


def submission(folder: Path) -> Path:
    """A folder with a lab in it."""
    (folder / "lab1_pbservice").mkdir(parents=True)
    (folder / "lab1_pbservice" / "roles.py").touch()
    return folder


def ids(*sources: Path) -> list[str]:
    """The ids of what is found there."""
    return [entry.id for entry in intake.find(sources, None)]


def test_a_folder_with_a_lab_is_a_submission(tmp_path: Path) -> None:
    assert ids(submission(tmp_path / "alice")) == ["alice"]


def test_a_folder_of_submissions_is_all_of_them(tmp_path: Path) -> None:
    submission(tmp_path / "bob")
    submission(tmp_path / "alice")
    (tmp_path / "empty").mkdir()
    (tmp_path / "carol.tar.gz").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".hidden").mkdir()
    assert ids(tmp_path) == ["alice", "bob", "carol", "empty"]


def test_an_empty_folder_is_a_submission_that_has_nothing(tmp_path: Path) -> None:
    assert ids(tmp_path) == [tmp_path.name]


def test_one_submission_is_one_whatever_it_looks_like(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    submission(tmp_path / "repository")
    assert [entry.source for entry in intake.find([tmp_path], None, single=True)] == [tmp_path]
    assert intake.labs_folder(tmp_path) == tmp_path / "repository"


def test_labs_are_found_further_down_unless_two_folders_have_some(tmp_path: Path) -> None:
    submission(tmp_path / "a" / "b")
    assert intake.labs_folder(tmp_path) == tmp_path / "a" / "b"
    submission(tmp_path / "a" / "c")
    assert intake.labs_folder(tmp_path) == tmp_path


def test_two_of_the_same_name_are_an_error(tmp_path: Path) -> None:
    one, other = submission(tmp_path / "1" / "alice"), submission(tmp_path / "2" / "alice")
    with pytest.raises(BadUsage, match="two submissions would be called 'alice'"):
        ids(one, other)


@pytest.mark.parametrize(
    ("name", "complaint"), [("nobody", "there is no"), ("thesis.pdf", "expected a folder or an archive")]
)
def test_what_is_no_submission_is_an_error(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "thesis.pdf").touch()
    with pytest.raises(BadUsage, match=complaint):
        ids(tmp_path / name)


def test_every_id_has_a_folder_of_its_own_with_a_harmless_name() -> None:
    names = ["alice", "Alice B.", "../x", "..", "-rf", "a/b", "a_b", "ä", "", "x" * 300, "x" * 301, "con\n"]
    folders = [intake.Entry(name, name, None).folder for name in names]
    assert len(set(folders)) == len(names)
    assert folders[0] == "alice"
    for folder in folders:
        assert folder == Path(folder).name
        assert folder.isascii()
        assert folder[0] not in ".-"
        assert len(folder) < 100


# --- the roster ------------------------------------------------------------------------------------------------------


def roster(tmp_path: Path, *lines: str) -> Path:
    """A roster beside the submissions of alice and bob."""
    for name in ("alice", "bob"):
        if not (tmp_path / name).exists():
            submission(tmp_path / name)
    file = tmp_path / "class.csv"
    file.write_text("\n".join(lines))
    return file


def test_a_roster_names_who_is_graded(tmp_path: Path) -> None:
    file = roster(tmp_path, "\ufeffID,Name,Section,Path", "s1,Alice,2,alice", "", 's2,"Bob, Jr.",1,bob', "s3,Carol,1,")
    assert [(entry.id, entry.name, entry.source) for entry in intake.find([], file)] == [
        ("s1", "Alice", tmp_path / "alice"),
        ("s2", "Bob, Jr.", tmp_path / "bob"),
        ("s3", "Carol", None),
    ]


def test_a_roster_without_paths_belongs_to_submissions_by_their_ids(tmp_path: Path) -> None:
    file = roster(tmp_path, "id,name", "alice,Alice", "zoe,Zoe", "bob,Bob")
    found = {entry.id: entry.source for entry in intake.find([tmp_path / "alice", tmp_path / "bob"], file)}
    assert found == {"alice": tmp_path / "alice", "bob": tmp_path / "bob", "zoe": None}


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "line 1: expected the columns"),
        (["name,path", "Alice,alice"], "line 1: expected the columns"),
        (["id,path", "s1,alice", "s2"], "line 3: expected 2 cells"),
        (["id,path", "s1,alice", "s2,bob,too much"], "line 3: expected 2 cells"),
        (["id,path", "s1,alice", "", "s1,bob"], "line 4: the id 's1' is there already, in line 2"),
        (["id,path", " ,alice"], "line 2: expected an id"),
        (["id,path", "s1,nowhere"], "line 2: expected a folder or an archive, but .*nowhere is not there"),
        (["id,path", "s1,class.csv"], "line 2: .* is no archive that can be unpacked"),
        (["id,path", 's1,"alice'], "cannot read the roster"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, lines: list[str], complaint: str) -> None:
    with pytest.raises(BadUsage, match=complaint):
        intake.find([], roster(tmp_path, *lines))


def test_a_submission_of_somebody_who_is_not_on_the_roster_is_an_error(tmp_path: Path) -> None:
    file = roster(tmp_path, "id", "alice")
    with pytest.raises(BadUsage, match="no row for these submissions: bob"):
        intake.find([tmp_path / "alice", tmp_path / "bob"], file)
