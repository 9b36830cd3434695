"""Submissions: Python packages, and commands in any language that `lab.toml` names."""

import asyncio
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from common.protocol import GetView, View
from labs import stuck
from labs.cluster import NotInTime, ServerStopped
from labs.process import cluster as process_cluster
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper
from labs.results import RunResult
from labs.submission import Command, commands, packages
from labs.usage import BadUsage
from tests.clocks import Hurried
from tests.commands import lab

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], None]:
    """Writes a file of a submission in the test's own folder."""

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    return write


# --- lab.toml --------------------------------------------------------------------------------------------------------


def test_a_lab_is_a_package_or_a_command(write: Callable[[str, str], None], tmp_path: Path) -> None:
    write("lab2_kvpaxos/__init__.py", "")
    write("lab2_kvpaxos/roles.py", "ROLES = {}")
    write("lab1_pbservice/main.mjs", "a folder of that name may hold anything else")
    write("lab.toml", '[lab1_pbservice]\ncommand = ["sh", "-c", "true"]\n')
    assert packages(tmp_path) == ["lab1_pbservice", "lab2_kvpaxos"]
    assert commands(tmp_path) == {"lab1_pbservice": Command(("sh", "-c", "true"), tmp_path)}


def test_a_program_of_the_submission_is_named_by_its_path(write: Callable[[str, str], None], tmp_path: Path) -> None:
    write("bin/server", "#!/bin/sh\n")
    write("lab.toml", '[lab1_pbservice]\ncommand = ["bin/server"]\n')
    with pytest.raises(BadUsage, match=f"there is no program 'bin/server' in {tmp_path} that can be run"):
        packages(tmp_path)
    (tmp_path / "bin" / "server").chmod(0o755)
    assert packages(tmp_path) == ["lab1_pbservice"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"with a roles.py in .*, or a lab.toml that names a command"),
        ("[lab1_pbservice", r"cannot read .*lab\.toml: Expected"),
        ('[lab9]\ncommand = ["sh"]', r"\[lab9\]: expected the package of a lab \(lab1_pbservice, "),
        ('command = ["sh"]', r"\[command\]: expected the package of a lab"),
        ("lab1_pbservice = 3", r"\[lab1_pbservice\]: Expected `object`, got `int`; expected a list of words"),
        ("[lab1_pbservice]", r"\[lab1_pbservice\]: Object missing required field `command`; expected a list of words"),
        ('[lab1_pbservice]\ncommand = "node main.mjs"', r"Expected `array`, got `str` - at `\$\.command`; .*as in"),
        ("[lab1_pbservice]\ncommand = []", r"length >= 1"),
        ('[lab1_pbservice]\ncommand = [""]', r"length >= 1"),
        ('[lab1_pbservice]\ncommand = ["sh", 3]', r"Expected `str`, got `int`"),
        ('[lab1_pbservice]\ncomand = ["sh"]', r"\[lab1_pbservice\]: Object contains unknown field `comand`"),
        ('[lab1_pbservice]\ncommand = ["no-such-program"]', r"no program 'no-such-program' on this machine"),
        ('[lab2_kvpaxos]\ncommand = ["sh"]', r"there is a lab2_kvpaxos/roles\.py as well as a command"),
    ],
)
def test_a_lab_toml_that_makes_no_sense_is_said_to_in_one_line(
    write: Callable[[str, str], None], tmp_path: Path, text: str, complaint: str
) -> None:
    if "lab2" in text:
        write("lab2_kvpaxos/__init__.py", "")
        write("lab2_kvpaxos/roles.py", "ROLES = {}")
    write("lab.toml", text)
    with pytest.raises(BadUsage, match=complaint) as error:
        packages(tmp_path)
    assert "\n" not in str(error.value)


# --- through the command ---------------------------------------------------------------------------------------------


FAILS: Final = """
[lab1_pbservice]
command = ["sh", "-c", "echo I am no server >&2; exit 3"]
"""


@pytest.mark.parametrize(
    "words",
    [
        ["test", "lab1", "--world", "sim"],
        ["test", "--world", "both"],
        ["shrink", "viewservice::test_first_primary", "--seed", "1", "--out", "small.json"],
    ],
    ids=" ".join,
)
def test_the_simulation_runs_no_commands(write: Callable[[str, str], None], tmp_path: Path, words: list[str]) -> None:
    write("mine/lab.toml", FAILS)
    done = lab(*words, "--submission", "mine", folder=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("lab: the simulation runs Python only, and lab1_pbservice in mine is a command (sh -c ")
    assert line.endswith("use --world process")


def test_the_simulation_runs_no_commands_for_pytest_either(write: Callable[[str, str], None], tmp_path: Path) -> None:
    """The reference would be imported in their place, and pass."""
    write("mine/lab.toml", FAILS)
    suite = ROOT / "tests/graded/lab1/test_viewservice.py"
    words = [
        suite,
        "-k",
        "first_primary",
        "--world",
        "sim",
        "--submission",
        tmp_path / "mine",
        "--out",
        tmp_path / "run",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the simulation runs Python only" in done.stdout


def test_a_command_that_ends_at_once_is_shown_with_what_it_wrote(
    write: Callable[[str, str], None], tmp_path: Path
) -> None:
    write("mine/lab.toml", FAILS)
    words = ["-k", "first_primary", "-n0", "--out", "run"]
    done = lab("test", "viewservice", "--submission", "mine", *words, folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "vs-1 (viewserver) ended by itself: exit status 3" in done.stdout
    assert "I am no server" in done.stdout
    assert "left behind: 0 processes, 0 socket files" in done.stdout


def test_common_is_always_the_official_one(write: Callable[[str, str], None], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "lab1_pbservice", tmp_path / "mine" / "lab1_pbservice")
    for name in ("__init__", "protocol", "clerk", "load", "wire"):
        write(f"mine/common/{name}.py", "raise ZeroDivisionError('not the official common')")
    words = ["-k", "single_primary", "-n0", "--world", "both", "--seeds", "2", "--out", "run"]
    done = lab("test", "pbservice", "--submission", "mine", *words, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


# --- servers that are commands ---------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Starts a server with a command, does something with its cluster, and ends both."""
    keepers = []

    def start(*words: str, then: Callable[[ProcessCluster], object] = lambda _: None) -> None:
        keeper = Keeper("some_lab", f"test-{uuid.uuid4().hex}", command=Command(words, tmp_path))
        keepers.append(keeper)

        async def main() -> None:
            async with ProcessCluster("some_lab", keeper, folder=tmp_path / "run") as cluster:
                await cluster.start("viewserver", "vs")
                outcome = then(cluster)
                if asyncio.iscoroutine(outcome):
                    await outcome

        asyncio.run(main())

    yield start
    for keeper in keepers:
        keeper.close()


def test_a_program_that_cannot_be_run_is_named(start: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "server").write_text("it has no right to be run")
    with pytest.raises(ServerStopped, match=r"(?s)exit status 1\..*cannot run './server' in .*: Permission denied"):
        start("./server")


@pytest.fixture
def hurry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """From when a file of a run has so many bytes, nothing that a server may still do is waited for."""

    def hurry(name: str, size: int) -> None:
        file = tmp_path / "run" / name
        clock = Hurried(lambda: file.exists() and file.stat().st_size >= size, process_cluster.LISTEN_LIMIT / 5)
        monkeypatch.setattr(process_cluster, "time", clock)

    return hurry


def test_a_program_that_never_listens_is_not_waited_for_for_ever(
    start: Callable[..., None], hurry: Callable[[str, int], None]
) -> None:
    hurry("logs/vs.log", len("--- 0.000 s: start as viewserver\nI think\n"))
    with pytest.raises(NotInTime, match=r"(?s)waited 10 s for vs to listen.*net/vs/vs: there is none.*I think"):
        start("sh", "-c", "echo I think; exec sleep 60")


def test_a_socket_file_that_makes_no_sense_is_shown(
    start: Callable[..., None], hurry: Callable[[str, int], None]
) -> None:
    hurry("net/vs/vs", len("localhost:80\n"))
    with pytest.raises(NotInTime, match=r"to hold 'host port', got 'localhost:80"):
        start("sh", "-c", 'mkdir -p "$2/$1"; echo localhost:80 > "$2/$1/$1"; exec sleep 60')


def test_a_program_that_cannot_stop_writing_is_shown_in_short(
    start: Callable[..., None], hurry: Callable[[str, int], None]
) -> None:
    hurry("logs/vs.log", 2 * process_cluster.MAX_LINE)
    with pytest.raises(NotInTime, match=r"(?s)waited 10 s for vs to listen.*water") as failure:
        start("sh", "-c", "while :; do printf 'water water water water'; done")
    told = str(failure.value).splitlines()
    assert max(map(len, told)) == len("    ") + process_cluster.MAX_LINE
    # One line of water without end, or two and a note between them if the log outgrew its limit meanwhile.
    assert len(told) <= 6, told


def test_a_program_is_not_sent_signals_that_ask_for_a_snapshot(start: Callable[..., None]) -> None:
    """SIGUSR1 starts the debugger of Node, SIGUSR2 ends it, and most programs die of both."""

    async def look(cluster: ProcessCluster) -> None:
        assert (await cluster.snapshot("vs")).state == "running"
        assert "no server waits" not in await stuck.describe(cluster), "of programs, nobody knows that"
        await cluster.sleep(0.2)
        cluster.check()

    # It undoes what it inherits, as Node does.
    script = (
        "import signal, sys, time; from pathlib import Path; _, name, net, _ = sys.argv[1:];"
        "signal.signal(signal.SIGUSR1, signal.SIG_DFL); signal.signal(signal.SIGUSR2, signal.SIG_DFL);"
        "own = Path(net) / name; own.mkdir(parents=True, exist_ok=True); (own / name).write_text('127.0.0.1 9\\n');"
        "time.sleep(60)"
    )
    start(sys.executable, "-c", script, then=look)


def test_a_program_in_python_finds_the_official_common(start: Callable[..., None]) -> None:
    async def ask(cluster: ProcessCluster) -> None:
        assert await cluster.call("vs", GetView()) == View(0, "", "")

    start("sh", "-c", f'exec {sys.executable} -m common.main lab1_pbservice "$0" "$1" "$2"', then=ask)


def test_python_does_not_look_past_a_package(write: Callable[[str, str], None], tmp_path: Path) -> None:
    """Without the file, the reference would be imported in its place, and get all points."""
    write("mine/lab1_pbservice/roles.py", "raise ZeroDivisionError")
    with pytest.raises(BadUsage, match=r"expected a file .*mine/lab1_pbservice/__init__\.py: without it"):
        packages(tmp_path / "mine")
    done = lab("test", "viewservice", "--submission", "mine", folder=tmp_path)
    assert done.returncode == 2
    write("mine/lab1_pbservice/__init__.py", "")
    assert packages(tmp_path / "mine") == ["lab1_pbservice"]
    write("mine/lab3_shardkv/__init__.py", "")
    write("mine/lab3_shardkv/roles.py", "ROLES = {}")
    write("mine/lab2_kvpaxos/helpers.py", "it stands on this, and this would be looked past")
    with pytest.raises(BadUsage, match=r"expected a file .*mine/lab2_kvpaxos/__init__\.py"):
        packages(tmp_path / "mine")


# --- a lab that stands on another ------------------------------------------------------------------------------------


def points(folder: Path, *words: object) -> tuple[float, str]:
    """Runs `lab test` on the submission `mine`. Gives the points and all messages."""
    file = folder / "result.json"
    lab("test", *words, "--submission", "mine", "-n0", "--json", file, folder=folder)
    found = msgspec.json.decode(file.read_bytes(), type=RunResult)
    return found.points, "\n".join(test.message for test in found.tests)


@pytest.mark.parametrize("world", ["process", "sim"])
def test_lab_3_stands_on_the_submission_s_paxos_or_on_the_reference_s(tmp_path: Path, world: str) -> None:
    seeds = ["--seeds", "1"] if world == "sim" else []
    words = ["shardmaster", "-k", "test_historical_queries", "--world", world, *seeds]
    shutil.copytree(ROOT / "lab3_shardkv", tmp_path / "mine" / "lab3_shardkv")
    assert points(tmp_path, *words) == (1, ""), "it has none, so the reference's serves it"

    shutil.copytree(ROOT / "lab2_kvpaxos", tmp_path / "mine" / "lab2_kvpaxos")
    rsm = tmp_path / "mine" / "lab2_kvpaxos" / "paxosrsm" / "rsm.py"
    rsm.write_text(rsm.read_text() + "\n\nraise ZeroDivisionError('this is my own')\n")
    worth, said = points(tmp_path, *words)
    assert worth == 0
    assert "mine/lab2_kvpaxos/paxosrsm/rsm.py" in said
    assert "ZeroDivisionError: this is my own" in said

    shutil.copytree(ROOT / "lab2_kvpaxos", tmp_path / "mine" / "lab2_kvpaxos", dirs_exist_ok=True)
    assert points(tmp_path, *words) == (1, ""), "its own is right now"
