"""A session that was saved: as a script it runs again, and as a test it passes in both worlds."""

import subprocess
import sys
from pathlib import Path

from tests.live.sessions import answers, script, up

SESSION = (
    "put a old",
    "stream log by ck-2",
    "wait 0.3",
    "kill pb-1",
    "until view pb-2 pb-3",
    "stop ck-2",
    "add",
    "hold pb-4 vs",  # the Pings of a spare
    "deliver pb-4 vs 1",
    "drop pb-4 vs 2",
    "release pb-4 vs",
    "append a x",
    "hold pb-2 pb-3",
    "append a y",
    "release pb-2 pb-3",
    "until answered",
    "tap pb-3 delay=0.01",
    "cut pb-3 pb-2",
    "heal",
    'put "it\'s \\"odd\\"" "a\\\\b"',
    "get a",
)


def test_a_saved_session_is_a_script_and_a_test_for_both_worlds(tmp_path: Path) -> None:
    done = up(tmp_path, "lab1", *SESSION, "save again.lab", "save saved.py")
    assert done.returncode == 0, done.stdout
    assert answers(done)["get a"].startswith('"oldxy"')

    again = up(tmp_path, "lab1", options=("--script", "again.lab"))
    assert again.returncode == 0, again.stdout
    assert answers(again)["get a"].startswith('"oldxy"')

    saved = (tmp_path / "saved.py").read_text()
    for line in (
        'await asking.check(ck_1, "a", "oldxy")',
        'late_1 = cluster.spawn(ck_1.append("a", "y"))',
        'await asking.put(ck_1, "it\'s \\"odd\\"", "a\\\\b")',
        'await held_request(cluster, "pb-4", "vs", 1)',
    ):
        assert f"    {line}\n" in saved
    test = [sys.executable, "-m", "labs", "test", str(tmp_path / "saved.py"), "-n0"]
    tested = subprocess.run(
        [*test, f"--out={tmp_path / 'out'}", "--world=both", "--seeds=2"], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout

    (tmp_path / "saved.py").write_text(saved.replace('"oldxy"', '"oldxz"'))
    failed = subprocess.run(
        [*test, f"--out={tmp_path / 'out-2'}", "--world=sim", "--seed=1"], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert 'Get("a") gave "oldxy", expected "oldxz"' in " ".join(failed.stdout.split()).replace("by ck-1 ", "")


def test_a_script_ends_where_something_else_comes(tmp_path: Path) -> None:
    file = script(tmp_path, "# a remark", "put a 1", "expect a 2", "kill pb-1")
    done = up(tmp_path, "lab1", options=("--script", str(file)))
    assert done.returncode == 1
    assert f'! {file}, line 3: expect a 2: expected "2", got "1"' in done.stdout
    assert "kill" not in done.stdout.partition("line 3")[2]


def test_a_script_that_runs_itself_comes_to_an_end(tmp_path: Path) -> None:
    file = script(tmp_path, "run commands.lab")
    done = up(tmp_path, "shardmaster", options=("--script", str(file)))
    assert done.returncode == 1
    assert "does commands.lab run itself?" in done.stdout


def test_lab_test_says_what_a_file_of_tests_has_to_say(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("SUITE = 'something'\n")
    done = subprocess.run(
        [sys.executable, "-m", "labs", "test", str(tmp_path / "test_x.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'expected a file of graded tests, with a line such as SUITE = "viewservice", got' in done.stderr
