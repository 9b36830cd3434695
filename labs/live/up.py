"""`lab up`: starts a live cluster, hands it to the terminal and the panel, and leaves nothing behind."""

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.main import new_event_loop
from labs.live import scripts, teaching  # noqa: F401  # teaching adds to the table of commands
from labs.live.language import open_session
from labs.live.scripts import ScriptFailed
from labs.live.session import Session, Trouble
from labs.live.shapes import Shape, shape
from labs.live.terminal import prompt, read_lines, show
from labs.places import command, runs_folder, short
from labs.process import leftovers
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keepers
from labs.runs import Run
from labs.submission import check_offered, commands
from labs.traces.events import FILE, Header
from labs.traces.recorder import Recorder
from labs.usage import FAILED, INTERRUPTED, BadUsage

if TYPE_CHECKING:
    from labs.live.web import Panel

SCRIPT: Final = "session.lab"
"""In the run's folder: what was done, as a script."""
HISTORY: Final = ".up-history"
"""In the folder of runs: the lines that were typed, for the arrow keys."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab up` was asked for."""

    lab: str
    submission: Path | None = None
    servers: int | None = None
    groups: int | None = None
    script: Path | None = None
    web: bool = False
    out: Path | None = None
    patience: float = 1.0


def run(request: Request) -> int:
    """Runs a session, and says what it has left behind. Gives the exit status. Raises `BadUsage`."""
    found = shape(request.lab, request.servers, request.groups)
    package = found.suite.package
    folders, program = [], None
    if request.submission is not None:
        check_offered(request.submission, package, "process")
        folders, program = [request.submission], commands(request.submission).get(package)
    if request.script is not None and not request.script.is_file():
        raise BadUsage(f"expected a script, but there is no file {request.script}")
    run = Run.begin(None if request.out is None else str(request.out))
    run.make_folder()
    keepers = Keepers(run.id)
    keeper = keepers.get(package, folders, program)
    folder = run.folder / found.suite.name
    recorder = Recorder(_header(request, found), folder / FILE)
    cluster = ProcessCluster(package, keeper, 0, folder, request.patience, recorder, tap_all=True)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            status = runner.run(_until_ended(request, found, cluster, recorder))
    finally:
        keepers.close()
        recorder.close()
        left = leftovers.sweep(run.id, run.folder)
        show(f"recorded in {short(folder)}: {SCRIPT}, history.jsonl, {FILE}, logs\n{left.sentence()}")
    return status


def _header(request: Request, found: Shape) -> Header:
    """What stands at the head of the session's trace."""
    suite = found.suite
    return Header(
        world="process",
        package=suite.package,
        title=f"A session of lab up {suite.name}",
        suite=suite.name,
        replay=f"{command()} up {request.lab} --script {SCRIPT}",
    )


async def _until_ended(request: Request, found: Shape, cluster: ProcessCluster, recorder: Recorder) -> int:
    """The session, until it ends or somebody ends it."""
    session = asyncio.ensure_future(_live(request, found, cluster, recorder))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, session.cancel)
    try:
        return await session
    except asyncio.CancelledError:
        return INTERRUPTED


async def _live(request: Request, found: Shape, cluster: ProcessCluster, recorder: Recorder) -> int:
    panel: Panel | None = None
    async with cluster:
        session = Session(cluster, found, recorder)
        try:
            panel = _panel(session, recorder) if request.web else None
            await open_session(session)
            show(_greeting(request, session))
            if panel is not None:
                show(f"the panel is at {await panel.start()}")
            if request.script is not None:
                session.hearers.append(show)
                await scripts.run(session, request.script)
                session.hearers.remove(show)
            status = await _ask(session)
            if panel is not None and not sys.stdin.isatty():
                await asyncio.Event().wait()  # until somebody ends it
            return status
        except ScriptFailed as error:
            show(f"! {error}")
            return FAILED
        except Trouble as error:
            show(f"the cluster could not be started: {error}")
            return FAILED
        finally:
            session.close()
            if panel is not None:
                await panel.close()
            _keep(session)


def _panel(session: Session, recorder: Recorder) -> "Panel":
    from labs.live.web import Panel  # which takes a while to load

    return Panel(session, recorder)


async def _ask(session: Session) -> int:
    if sys.stdin.isatty() and sys.stdout.isatty():
        runs_folder().mkdir(parents=True, exist_ok=True)
        return await prompt(session, runs_folder() / HISTORY)
    return await read_lines(session)


def _greeting(request: Request, session: Session) -> str:
    picture = session.picture()
    names = ", ".join(session.servers)
    whose = f"the submission {short(request.submission)}" if request.submission else "the reference"
    return (
        f"{session.shape.suite.title}, by {whose}: {names}\n{picture.headline}\n"
        f"`help` explains the commands, `experiments` what to try with them; Ctrl-D ends all."
    )


def _keep(session: Session) -> None:
    """Writes down what was done and what came of it."""
    folder = session.cluster.folder
    assert folder is not None
    with contextlib.suppress(OSError):
        (folder / SCRIPT).write_text(scripts.as_script(session))
        session.cluster.history.write(folder / "history.jsonl")
