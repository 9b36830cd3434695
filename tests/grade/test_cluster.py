"""Grading on Dask: a real scheduler and worker processes, one of which dies in the middle."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.commands import LIMIT, lab
from tests.grade.classes import QUICK, events, results, right, runs_of, started, timeless, until, wrong

DASK: Final = Path(sys.executable).with_name("dask")


class Cluster:
    """A scheduler, and workers that are started when they are wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        try:
            until(self._addresses, "the scheduler to listen")
        except BaseException:
            self.stop()
            raise
        self.address = self._addresses()[0]

    def _addresses(self) -> list[str]:
        """Where the scheduler listens, as it says itself."""
        return re.findall(r"Scheduler at: +(tcp://127\.0\.0\.1:\d+)\n", self.said)

    @property
    def said(self) -> str:
        """The scheduler's log."""
        return (self._folder / "scheduler.txt").read_text()

    def _start(self, what: str, *words: str) -> "subprocess.Popen[bytes]":
        command = [str(DASK), what.partition("-")[0], *words, "--no-dashboard"]
        environment = {**os.environ, "TMPDIR": self.scratch}
        with (self._folder / f"{what}.txt").open("ab") as log:
            return subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, env=environment)

    @property
    def scratch(self) -> str:
        """Where the workers do their work."""
        (self._folder / "scratch").mkdir(exist_ok=True)
        return str(self._folder / "scratch")

    def add_worker(self) -> None:
        """One more, which takes one submission at a time."""
        number = len(self.workers)
        words = ("--nworkers", "1", "--nthreads", "1", "--no-nanny", "--name", f"w{number}")
        self.workers.append(self._start(f"worker-{number}", self.address, *words))

    def busy(self) -> list[int]:
        """Which workers run tests just now."""
        return [number for number, worker in enumerate(self.workers) if graders_of(worker.pid)]

    def stop(self) -> None:
        """Ends all of it."""
        for process in (*self.workers, self._scheduler):
            process.kill()
            process.wait()


def is_alive(pid: int) -> bool:
    """Whether the process is there, and not only its exit status, for which its parent has not asked."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def graders_of(pid: int) -> list[int]:
    """The processes that a worker grades with."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and f"labs.grade.child\0{pid}\0".encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler with two workers."""
    (tmp_path / "dask").mkdir()
    cluster = Cluster(tmp_path / "dask")
    try:
        cluster.add_worker()
        cluster.add_worker()
        until(lambda: cluster.said.count("Register worker") >= 2, "both workers to be there")
        yield cluster
    finally:
        cluster.stop()


def test_a_worker_dies_and_all_are_graded_as_on_one_machine(tmp_path: Path, cluster: Cluster) -> None:
    for name in ("alice", "carol"):
        right(tmp_path / "class" / name)
    wrong(tmp_path / "class" / "bob")
    (tmp_path / "class" / "dave").mkdir()
    words = ("grade", tmp_path / "class", *QUICK)
    grader = started(*words, "--out", tmp_path / "there", "--cluster", cluster.address)
    try:
        until(lambda: len(cluster.busy()) == 2, "both workers to have something to do")
        dead = cluster.workers[0]
        orphans = graders_of(dead.pid)
        dead.kill()
        dead.wait()
        said, _ = grader.communicate(timeout=LIMIT)
    finally:
        grader.kill()
    assert grader.returncode == 0, said
    until(lambda: not any(map(is_alive, orphans)), "what it ran to have died with it")

    done = lab(*words, "--out", tmp_path / "here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert timeless(results(tmp_path / "there")) == timeless(results(tmp_path / "here"))
    assert [each["points"] for each in results(tmp_path / "there").values()] == [6, 4, 6, 0]
    assert sorted(events(tmp_path / "there", "graded")) == ["alice", "bob", "carol", "dave"]


def test_who_is_interrupted_leaves_the_workers_free(tmp_path: Path, cluster: Cluster) -> None:
    right(tmp_path / "alice")
    out = tmp_path / "out"
    words = ("grade", tmp_path / "alice", "--lab", "viewservice", "--workers", "1", "--out", out)
    grader = started(*words, "--cluster", cluster.address)
    try:
        until(cluster.busy, "a worker to have something to do")
        grader.kill()
        grader.communicate(timeout=LIMIT)
    finally:
        grader.kill()
    until(lambda: not cluster.busy(), "the worker to stop what nobody waits for")
    until(lambda: not list(Path(cluster.scratch).glob("lab-grade-*")), "its scratch folder to be gone")
    assert not runs_of(out)


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    right(tmp_path / "alice")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        done = lab("grade", tmp_path / "alice", *QUICK, "--out", tmp_path / "out", "--cluster", address)
    assert done.returncode == 2
    assert f"no Dask scheduler answers at {address}" in done.stderr
