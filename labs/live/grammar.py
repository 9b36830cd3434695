"""How a command is written: its usage in one line, and what follows from it: how words are read, and completed.

put KEY VALUE [by CLERK]        capitals stand for something, what is in brackets may be left out
partition NAME...               one or more
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


class BadCommand(ValueError):
    """A command that makes no sense. The text says what was expected, and what came."""


@dataclass(frozen=True, slots=True)
class Part:
    """One word of a usage."""

    word: str
    """A word that stands for itself, or in capitals the name of an argument."""
    many: bool = False
    """One or more of them. Nothing can follow."""

    @property
    def is_literal(self) -> bool:
        """Whether the word stands for itself."""
        return not self.word.isupper()

    def takes(self, word: str) -> bool:
        """Whether this word can be it."""
        return not self.is_literal or word == self.word


Form = tuple[Part, ...]
"""A usage in which each bracket has been taken or left out."""
Arguments = dict[str, list[str]]
"""The words of each argument, by its name in capitals."""

_BRACKET: Final = re.compile(r"\[([^\]]*)\]")


def forms(usage: str) -> list[Form]:
    """All forms of a usage, without the command's name; those with more words first."""
    bracket = _BRACKET.search(usage)
    if bracket is None:
        return [tuple(Part(word.removesuffix("..."), word.endswith("...")) for word in usage.split()[1:])]
    before, after = usage[: bracket.start()], usage[bracket.end() :]
    return forms(before + bracket[1] + after) + forms(before + after)


def split(line: str) -> list[str]:
    """The words of a line, as in a shell; none if it is empty or a remark. Raises `BadCommand`."""
    if line.lstrip().startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError as error:
        raise BadCommand(f"expected quotes in pairs ({str(error).lower()}): {line}") from None


def joined(words: Sequence[str]) -> str:
    """A line with these words."""
    return " ".join(word if word == "|" else shlex.quote(word) for word in words)


def read(form: Form, words: Sequence[str]) -> Arguments | None:
    """What the words after a command's name give. None: they are no such form."""
    endless = bool(form) and form[-1].many
    if len(words) < len(form) or (len(words) > len(form) and not endless):
        return None
    arguments: Arguments = {}
    for place, part in enumerate(form):
        if not part.takes(words[place]):
            return None
        if not part.is_literal:
            arguments[part.word] = list(words[place:]) if part.many else [words[place]]
    return arguments


def completions(form: Form, words: Sequence[str], choices: Mapping[str, Sequence[str]]) -> list[str]:
    """What may come after these words. `choices` has what each word in capitals may stand for."""
    place = len(words)
    if not form or not all(part.takes(word) for part, word in zip(form, words, strict=False)):
        return []
    if place >= len(form):
        return list(choices.get(form[-1].word, ())) if form[-1].many else []
    part = form[place]
    return [part.word] if part.is_literal else list(choices.get(part.word, ()))
