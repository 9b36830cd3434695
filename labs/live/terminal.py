"""The terminal of a live cluster: a prompt with history and completion, or lines from wherever standard input comes."""

import asyncio
import contextlib
import os
import sys
import termios
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.patch_stdout import patch_stdout

from labs.live.language import carry_out, complete
from labs.live.session import Session, Trouble
from labs.live.state import Picture
from labs.usage import BAD_USAGE, PASSED

LEAVE: Final = ("quit", "exit")
COLOURS: Final = {"running": "ansigreen", "paused": "ansiyellow", "dead": "ansired"}
SIGNS: Final = {"running": "●", "paused": "‖", "dead": "✕"}
"""What a state looks like: nothing is told by colour alone."""


class Completions(Completer):
    """What may come next, as the table of commands has it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Words that fit where the cursor is."""
        words = document.text_before_cursor.split(" ")
        begun = words.pop()
        for word in complete(self._session, [each for each in words if each]):
            if word.startswith(begun):
                yield Completion(word, start_position=-len(begun))


async def prompt(session: Session, history: Path) -> int:
    """Asks for commands until the user has had enough. Gives the exit status."""
    asking: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)),
        completer=Completions(session),
        complete_while_typing=False,
        bottom_toolbar=lambda: toolbar(session.picture()),
        refresh_interval=0.5,
    )
    with patch_stdout(), keys_typed_ahead():
        session.hearers.append(show)
        while True:
            try:
                line = await asking.prompt_async(f"{session.shape.suite.name}> ", handle_sigint=False)
            except (EOFError, KeyboardInterrupt):
                return PASSED
            if line.strip() in LEAVE:
                return PASSED
            await do(session, line)


@contextlib.contextmanager
def keys_typed_ahead() -> Iterator[None]:
    """A Ctrl-D that comes while a command is carried out waits for the next prompt, as all other keys do.

    Between two prompts the terminal is not raw, and would itself take the key as an end of file that nobody reads.
    """
    before = termios.tcgetattr(sys.stdin)
    while_asking = termios.tcgetattr(sys.stdin)
    while_asking[6][termios.VEOF] = os.fpathconf(sys.stdin.fileno(), "PC_VDISABLE").to_bytes()
    termios.tcsetattr(sys.stdin, termios.TCSANOW, while_asking)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def toolbar(picture: Picture) -> FormattedText:
    """All servers in one line."""
    parts: list[tuple[str, str]] = [("", f"{picture.headline}   ")]
    for server in picture.servers:
        if not server.is_clerk:
            parts += [(f"fg:{COLOURS[server.state]}", f"{SIGNS[server.state]} "), ("", f"{server.name}  ")]
    cut = sum(not link.up for link in picture.links)
    held = sum(len(link.held) for link in picture.links)
    parts.append(("", "  ".join([f"{cut} links cut"] * (cut > 0) + [f"{held} requests held"] * (held > 0))))
    return FormattedText(parts)


async def read_lines(session: Session) -> int:
    """Carries out the lines of standard input, which is no terminal. Gives the exit status: 2 if one makes no sense."""
    session.hearers.append(show)
    async for line in lines_of_input():
        if line.strip() in LEAVE:
            break
        if line.strip():
            show(f"> {line.strip()}")
        if not await do(session, line):
            return BAD_USAGE
    return PASSED


async def do(session: Session, line: str) -> bool:
    """Carries out a line, and shows what comes of it. Gives whether it made sense, and came to something."""
    try:
        said = await carry_out(session, line)
    except Trouble as error:
        show(f"! {error}")
        return False
    if said:
        show(said)
    return True


def show(text: str) -> None:
    """Prints for the user."""
    with contextlib.suppress(OSError):  # nobody is there to read it
        print(visible(text), flush=True)


def visible(text: str) -> str:
    """A text whose control characters do nothing to a terminal, whoever wrote them."""
    return "".join(each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text)


async def lines_of_input() -> AsyncIterator[str]:
    """The lines of standard input, as they come: a file, a pipe, or nothing."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the session is over
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, "")

    # A thread, since a file cannot be waited for; a daemon, since nobody else would end its reading.
    threading.Thread(target=read, daemon=True).start()
    while line := await lines.get():
        yield line
