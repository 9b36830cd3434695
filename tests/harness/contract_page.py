"""Reads the examples of docs/process-contract.md.

A block of frames has a line that says what a frame is, as in `request 1: GetView()`, and then its bytes, in hex.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from common import protocol, wire

PAGE: Final = Path(__file__).parents[2] / "docs" / "process-contract.md"

_BLOCK: Final = re.compile(r"^```(\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FRAME: Final = re.compile(
    r"^(request|response|error|notification)(?: (\d+))?: (.+)\n((?:[0-9a-f]{2}[ \n])+)", re.MULTILINE
)


class Frame(NamedTuple):
    """One frame, in words and in bytes."""

    kind: str
    msgid: int | None
    words: str
    data: bytes

    @property
    def value(self) -> Any:
        """What the words mean: a message, an error's text, or the method and params of a request that is refused."""
        if self.words[0] in "[\"'":
            return ast.literal_eval(self.words)
        return eval(self.words, {"__builtins__": {}}, vars(protocol))

    @property
    def encoded(self) -> bytes:
        """The bytes that the words should have."""
        match self.kind, self.msgid, self.value:
            case "request", int(msgid), [method, params]:
                return wire.encode((wire.REQUEST, msgid, method, params))
            case "request", int(msgid), request:
                return wire.encode_request(msgid, request)
            case "response", int(msgid), reply:
                return wire.encode_result(msgid, reply)
            case "error", int(msgid), text:
                return wire.encode_error(msgid, text)
            case "notification", None, request:
                return wire.encode_notification(request)
        raise AssertionError(f"expected a frame's kind, msgid and words, got {self}")


class Block(NamedTuple):
    """A block of the page: ```language role."""

    language: str
    role: str
    text: str

    @property
    def frames(self) -> list[Frame]:
        """The frames in it. Raises `AssertionError` if there is anything else."""
        frames = [
            Frame(kind, int(msgid) if msgid else None, words, bytes.fromhex(text))
            for kind, msgid, words, text in _FRAME.findall(self.text)
        ]
        rest = _FRAME.sub("", self.text)
        assert not rest.strip(), f"expected frames and nothing else, got {rest!r}"
        return frames


def blocks(*languages: str) -> list[Block]:
    """The blocks of these languages."""
    return [Block(*found) for found in _BLOCK.findall(PAGE.read_text()) if found[0] in languages]


def exchanges(block: Block) -> Iterator[tuple[Frame, Frame | None]]:
    """Each request or notification of a block, and what should come back."""
    answers = {frame.msgid: frame for frame in block.frames if frame.kind in ("response", "error")}
    for frame in block.frames:
        if frame.kind in ("request", "notification"):
            yield frame, answers.get(frame.msgid) if frame.msgid is not None else None
