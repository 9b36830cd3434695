"""How much a submission may use."""

import re
from typing import Final, Self

import msgspec

from labs.usage import BadUsage

UNITS: Final = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]iB)?")


def parse_size(text: str) -> int:
    """A number of bytes, or of anything: 500, 64MiB, 1.5GiB. Raises `BadUsage`."""
    parts = _SIZE.fullmatch(text.strip())
    size = float(parts[1]) * UNITS[parts[2] or ""] if parts else 0.5
    if size < 1 or size % 1:
        raise BadUsage(f"expected a whole number, or a size such as 512MiB or 2GiB, got {text!r}")
    return int(size)


def show_size(size: int) -> str:
    """A number of bytes as people write it: 1.5 GiB, 700 MiB, 12 KiB."""
    unit = next((unit for unit in reversed(UNITS) if unit and size >= UNITS[unit]), "")
    return f"{size / UNITS[unit]:.3g} {unit}" if unit else f"{size} bytes"


class Limits(msgspec.Struct, frozen=True):
    """What the servers of one test may use, all of them together, and how long a whole submission may take.

    The defaults are several times what the reference takes at most.
    """

    seconds: int = 3600
    """For all tests of a submission. Whoever runs `lab test` for it sees to that."""
    memory: int = 2 * 2**30
    """Bytes of memory."""
    processes: int = 512
    """Processes and threads."""
    files: int = 4096
    """Files and connections that one process may have open."""
    disk: int = 256 * 2**20
    """Bytes in files."""
    output: int = 64 * 2**20
    """Bytes that one server may write into its log. 4 MiB of it are kept (labs/process/logs.py)."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The defaults, but for what is said here: `memory=2GiB,processes=100`. Raises `BadUsage`."""
        given: dict[str, int] = {}
        for item in filter(None, (item.strip() for item in text.split(","))):
            name, equals, size = (part.strip() for part in item.partition("="))
            if not equals or name not in cls.__struct_fields__:
                raise BadUsage(
                    f"expected limits as in memory=2GiB,processes=100 (there are {', '.join(cls.__struct_fields__)}), "
                    f"got {item!r}"
                )
            given[name] = parse_size(size)
        return cls(**given)

    def given(self) -> str:
        """Those that are not the defaults, as `parse` takes them. Empty if all are."""
        changed = [name for name in self.__struct_fields__ if getattr(self, name) != getattr(Limits(), name)]
        return ",".join(f"{name}={getattr(self, name)}" for name in changed)

    def __str__(self) -> str:
        return ",".join(f"{name}={getattr(self, name)}" for name in self.__struct_fields__)
