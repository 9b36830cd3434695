"""./lab: finds a Python, makes .venv once, and gets out of the way. What pip would do is left out here."""

import shutil
import subprocess
import threading
import time
import venv
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from labs import bootstrap

ROOT: Final = Path(__file__).parents[2]
REQUIREMENTS: Final = ("requirements-dev.txt", "requirements.txt")


# --- the script ------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, as far as the script looks at it."""
    folder = tmp_path / "a checkout"
    (folder / "labs").mkdir(parents=True)
    for name in ("lab", *REQUIREMENTS, "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "labs" / "bootstrap.py").write_text("raise SystemExit('set up')\n")
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH that has what the script needs, and no Python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for tool in ("sh", "cat", "cksum", "dirname"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    return folder


def start(checkout: Path, tools: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Runs ./lab with nothing but these tools."""
    command = [str(checkout / "lab"), *words]
    return subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)


def add_python(tools: Path, name: str, version_is_new: bool, has_venv: bool) -> None:
    """A Python that knows just these two answers, and runs the setup."""
    script = tools / name
    script.write_text(
        "#!/bin/sh\n"
        f'case "$2" in *version_info*) exit {int(not version_is_new)};; *ensurepip*) exit {int(not has_venv)};; esac\n'
        f'echo "{name} sets up"\nexit 7\n'
    )
    script.chmod(0o755)


def test_no_python_is_one_clear_line(checkout: Path, tools: Path) -> None:
    done = start(checkout, tools)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.11 or newer" in done.stderr


def test_an_old_python_is_no_python(checkout: Path, tools: Path) -> None:
    add_python(tools, "python3", version_is_new=False, has_venv=True)
    assert "needs Python 3.11 or newer" in start(checkout, tools).stderr


def test_a_python_without_venv_is_named(checkout: Path, tools: Path) -> None:
    add_python(tools, "python3", version_is_new=True, has_venv=False)
    done = start(checkout, tools)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "python3 has no venv" in done.stderr


def test_the_first_python_that_will_do_is_taken(checkout: Path, tools: Path) -> None:
    add_python(tools, "python3", version_is_new=False, has_venv=True)
    add_python(tools, "python3.13", version_is_new=True, has_venv=False)
    add_python(tools, "python3.12", version_is_new=True, has_venv=True)
    done = start(checkout, tools)
    assert (done.returncode, done.stdout) == (7, "python3.12 sets up\n")


def test_a_venv_that_is_up_to_date_is_used_at_once(checkout: Path, tools: Path) -> None:
    checksum = "cat requirements*.txt setup.cfg pyproject.toml | cksum"
    said = subprocess.run(["sh", "-c", checksum], cwd=checkout, capture_output=True, text=True, check=True).stdout
    command = checkout / ".venv" / "bin" / "lab"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$#: $1|$2"\nexit 3\n')
    command.chmod(0o755)
    (checkout / ".venv" / "stamp").write_text(f"{checkout} {said}")
    done = start(checkout, tools, "test", "two words")
    assert (done.returncode, done.stdout, done.stderr) == (3, "2: test|two words\n", "")
    with (checkout / "requirements.txt").open("a") as requirements:
        requirements.write("something-new==1\n")
    assert "needs Python" in start(checkout, tools).stderr  # so it would be set up again


# --- the setup -------------------------------------------------------------------------------------------------------


class Setup:
    """A stand-in for `venv` and pip, which notes what it is asked to do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made = 0
        self.installed: list[str] = []
        self.trouble: BaseException | None = None
        """What the next call of pip raises."""

    def create(self, folder: Path, **_: Any) -> None:
        """In place of `venv.create`."""
        time.sleep(0.05)
        self.made += 1
        (folder / "bin").mkdir(exist_ok=True)

    def run(self, command: list[str], **_: Any) -> None:
        """In place of `subprocess.run`."""
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble
        self.installed += [word for before, word in pairwise(command) if before in ("--requirement", "--editable")]

    @property
    def stamp(self) -> str:
        """What the stamp says."""
        file = self.root / ".venv" / "stamp"
        return file.read_text().strip() if file.exists() else "none"


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """A checkout to set up, as far as that looks at it."""
    setup = Setup(tmp_path)
    for name in REQUIREMENTS:
        (tmp_path / name).touch()
    monkeypatch.setattr(venv, "create", setup.create)
    monkeypatch.setattr(subprocess, "run", setup.run)
    return setup


def test_a_setup_installs_requirements_and_checkout_and_leaves_its_stamp(setup: Setup) -> None:
    stamp = f"{setup.root} 1"
    assert bootstrap.main(setup.root, stamp) == 0
    assert setup.installed == [*(str(setup.root / name) for name in REQUIREMENTS), str(setup.root)]
    assert (setup.made, setup.stamp) == (1, stamp)


def test_new_requirements_are_installed_into_the_same_venv(setup: Setup) -> None:
    bootstrap.main(setup.root, f"{setup.root} 1")
    assert bootstrap.main(setup.root, f"{setup.root} 2") == 0
    assert setup.made == 1
    assert setup.installed[3:] == setup.installed[:3]
    assert setup.stamp == f"{setup.root} 2"


@pytest.mark.parametrize(
    ("trouble", "status"), [(KeyboardInterrupt(), 130), (subprocess.CalledProcessError(1, ["pip"]), 2)]
)
def test_a_setup_that_did_not_end_well_is_made_again_from_nothing(
    setup: Setup, trouble: BaseException, status: int
) -> None:
    setup.trouble = trouble
    assert bootstrap.main(setup.root, f"{setup.root} 1") == status
    assert setup.stamp == "none"
    half_made = setup.root / ".venv" / "lib" / "half"
    half_made.mkdir(parents=True)
    assert bootstrap.main(setup.root, f"{setup.root} 1") == 0
    assert not half_made.exists()
    assert setup.made == 2


def test_a_venv_that_was_moved_is_made_again(setup: Setup) -> None:
    bootstrap.main(setup.root, "/elsewhere 1")
    assert bootstrap.main(setup.root, f"{setup.root} 1") == 0
    assert setup.made == 2


def test_two_at_once_do_the_work_once(setup: Setup) -> None:
    statuses: list[int] = []
    both = [
        threading.Thread(target=lambda: statuses.append(bootstrap.main(setup.root, f"{setup.root} 1")))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert statuses == [0, 0]
    assert setup.made == 1
