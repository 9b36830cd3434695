"""Grading on other machines: each submission is a task of Dask, which gives it to another worker when one dies.

A submission travels as an archive, and its results come back as data. So a worker needs this project, at the same
version, and nothing else: no common disk, no rights on the grader's machine.
"""

import hashlib
import io
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

import msgspec
from distributed import Client, Future, as_completed, get_worker

from labs.grade import intake, unpacking
from labs.grade.budget import Share
from labs.grade.intake import Entry
from labs.grade.job import Came, Job, Running
from labs.grade.results import test_grades
from labs.places import graded_folder
from labs.usage import BadUsage

CONNECT_SECONDS: Final = 30.0
"""Within which the scheduler has to answer, and to have a worker."""
LOOK_EVERY: Final = 0.5
"""Seconds between two looks at whether a task is still wanted."""


class Desk(Protocol):
    """Where submissions come from and grades go to."""

    def folder(self, entry: Entry) -> Path:
        """Where its labs are."""

    def begun(self, entry: Entry, run: str) -> None:
        """It is on its way. On other machines there is no run's folder."""

    def finish(self, entry: Entry, came: Came, slot: int) -> bool:
        """It is over. Says whether it has to be done once more."""


def run(address: str, work: Sequence[tuple[Entry, Job]], desk: Desk) -> Share:
    """Does all of it, and says how many were done at once. Raises `BadUsage` if the cluster cannot."""
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BadUsage(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        places = _check(client, address)
        tasks = {}
        try:
            for entry, job in work:
                tasks[_submit(client, entry, job, desk)] = (entry, job)
                desk.begun(entry, "")
            coming = as_completed(list(tasks), loop=client.loop)
            for slot, future in enumerate(coming):
                entry, job = tasks[future]
                if desk.finish(entry, _came(future, job), slot % places):
                    again = _submit(client, entry, job, desk)
                    tasks[again] = (entry, job)
                    coming.add(again)
        finally:
            client.cancel(list(tasks))
    return Share(min(places, len(work)), max(job.workers for _, job in work))


def _submit(client: Client, entry: Entry, job: Job, desk: Desk) -> "Future[bytes]":
    archive = io.BytesIO()
    unpacking.pack(desk.folder(entry), archive)
    key = f"lab-grade-{entry.folder}-{uuid.uuid4().hex}"
    return client.submit(work_on, msgspec.json.encode(job), archive.getvalue(), key=key, pure=False)


def _came(future: "Future[bytes]", job: Job) -> Came:
    """What a task has brought. A worker that died too often, or failed, says nothing about the submission."""
    error = future.exception()
    if error is None:
        return msgspec.json.decode(future.result(), type=Came)
    note = f"the cluster failed: {type(error).__name__}: {error}"
    return Came("broken", note, test_grades(job.tests, [], {}, note), 0.0)


def _check(client: Client, address: str) -> int:
    """How many submissions the workers take at once. Raises `BadUsage` unless all of them have the same tests."""
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise BadUsage(
            f"the Dask scheduler at {address} has no workers: start some with dask worker {address}"
        ) from None
    try:
        told = client.run(fingerprint)
    except Exception as error:  # a worker that does not know this module, say
        raise BadUsage(f"a Dask worker cannot grade, since it lacks this project or a part of it: {error!r}") from None
    others = [worker for worker, found in told.items() if found != fingerprint()]
    if others:
        raise BadUsage(
            f"the Dask worker at {others[0]} has other graded tests than this machine: install the same there"
        )
    return sum(client.nthreads().values())


# --- on the worker ---------------------------------------------------------------------------------------------------


def fingerprint() -> str:
    """What the tests are that this machine grades by."""
    found = hashlib.sha256()
    for file in sorted(graded_folder().rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()


def work_on(job: bytes, archive: bytes) -> bytes:
    """A task: grades one submission. Gives a `Came`, as JSON."""
    with TemporaryDirectory(prefix="lab-grade-") as scratch:
        packed, folder = Path(scratch, "submission.zip"), Path(scratch, "submission")
        packed.write_bytes(archive)
        unpacking.take(packed, folder)
        running = Running(msgspec.json.decode(job, type=Job), intake.labs_folder(folder), Path(scratch, "run"))
        wanted = _is_wanted()
        while (came := running.poll()) is None:
            if not wanted():
                running.stop()
            time.sleep(LOOK_EVERY)
        return msgspec.json.encode(came)


def _is_wanted() -> Callable[[], bool]:
    """Whether anybody still waits for this task. Not so after a Ctrl-C, or when the grader's machine is gone."""
    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return wanted
