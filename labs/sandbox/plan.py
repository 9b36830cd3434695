"""What the sandbox of one run is made of: which layers are in force, and what its servers may read."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Self

import msgspec

from labs.places import packages_folder
from labs.sandbox import layers, namespaces, users
from labs.sandbox.layers import Layer, Name
from labs.sandbox.limits import Limits

FILE: Final = "sandbox.json"
"""In the run's folder: which layers were in force, and why others were not."""
VERSION: Final = 1

SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
"""Where programs and what they need are."""
SETTINGS: Final = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "hosts", "host.conf")
"""What programs read in /etc without need to know more about this machine."""
MORE_SETTINGS: Final = ("nsswitch.conf", "resolv.conf", "ssl", "passwd", "group", "alternatives", "locale.alias")


class Sandbox(msgspec.Struct, frozen=True):
    """The sandbox of a run."""

    layers: list[Layer]
    limits: Limits

    @classmethod
    def prepare(cls, limits: Limits, run: Path, folders: Iterable[Path]) -> Self:
        """Tries what this machine has. `run` is the run's folder, not yet made; `folders` hold the servers' code."""
        # Servers are not put into it yet, and the report must not say so.
        return cls([Layer(each.name, False, "not in force yet") for each in layers.probe()], limits)

    def enter(self) -> None:
        """Puts this process, and all that it starts from now on, into the part of the sandbox that all servers share.

        The harness is in there, too: it has to talk to them.
        """
        if self.has("network"):
            namespaces.enter()

    def has(self, name: Name) -> bool:
        """Whether a layer is in force."""
        return any(layer.works for layer in self.layers if layer.name == name)

    def note(self, folder: Path) -> None:
        """Writes down, in a run's folder, what was in force."""
        file = folder / FILE
        if not file.exists():
            report = {"version": VERSION, "layers": self.layers, "limits": self.limits}
            draft = folder / f".{FILE}.{os.getpid()}"
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
            draft.replace(file)


def _given(layer: Layer, run: Path, folders: Iterable[Path]) -> Layer:
    """A layer in the light of where this run's folders are."""
    if layer.name == "user" and layer.works:
        code = (users.closed_to_others(folder) for folder in (*folders, packages_folder() / "common"))
        closed = next(filter(None, (users.closed_way(run), users.closed_way(Path(sys.prefix)), *code)), None)
        if closed is not None:
            return Layer("user", False, f"{closed} is closed to other users")
    return layer


def readable(submission: Path | None, packages: Iterable[str], program: Path | None = None) -> list[Path]:
    """What a submission's servers may read: Python, `common`, their own code, and these packages of the reference."""
    code = packages_folder()
    hidden = [code / name for name in os.listdir(code) if name.startswith(("lab", "tests"))]
    hidden = [path for path in hidden if path.name not in packages]
    system = [Path(path) for path in SYSTEM] + [Path(sys.prefix), Path(sys.base_prefix)]
    system += [Path("/etc", name) for name in (*SETTINGS, *MORE_SETTINGS)]
    system += [code / "common", *(code / name for name in packages)]
    if program is not None:
        system.append(program.parents[1] if program.parent.name == "bin" else program)
    found = [part for path in dict.fromkeys(system) for part in _without(path, hidden)]
    return found if submission is None else [*found, submission]


def _without(path: Path, hidden: list[Path]) -> Iterator[Path]:
    """`path`, or where something hidden lies in it, everything else that is in it."""
    if path in hidden:
        return
    if any(each.is_relative_to(path) for each in hidden):
        for part in path.iterdir():
            yield from _without(part, hidden)
    else:
        yield path
