"""What the sandbox of one run is made of: which layers are in force, and what its servers may read."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from labs.places import packages_folder
from labs.sandbox import layers, namespaces, users
from labs.sandbox.confine import Plan
from labs.sandbox.layers import Layer, Name
from labs.sandbox.limits import Limits
from labs.submission import Command

FILE: Final = "sandbox.json"
"""In the run's folder: which layers were in force, and why others were not."""
VERSION: Final = 1

SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
"""Where programs and what they need are."""
SETTINGS: Final = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "hosts", "host.conf", "nsswitch.conf"),
    *("resolv.conf", "ssl", "passwd", "group", "alternatives", "locale.alias"),
)
"""What programs read in /etc, and everybody may know."""
BORROWED: Final = {"lab3_shardkv": ("lab2_kvpaxos",)}
"""A lab 3 stands on the reference's Paxos where the submission has none."""
HARMLESS: Final = ("PATH", "LANG", "LANGUAGE", "TZ", "TERM", "PYTHONHASHSEED", "PYTHONUTF8", "LAB_LOOP")


class Sandbox(msgspec.Struct, frozen=True):
    """The sandbox of a run."""

    layers: list[Layer]
    limits: Limits

    @classmethod
    def prepare(cls, limits: Limits, run: Path, folders: Iterable[Path]) -> Self:
        """Tries what this machine has. `run` is the run's folder, not yet made; `folders` hold the servers' code."""
        found = layers.probe()
        if not all(layer.works for layer in found if layer.name in ("landlock", "privileges")):
            found = [_given(layer, run, folders) for layer in found]
        return cls(found, limits)

    def enter(self) -> None:
        """Puts this process, and all that it starts from now on, into the part of the sandbox that all servers share.

        The harness is in there, too: it has to talk to them.
        """
        if self.has("network"):
            namespaces.enter()

    def plan(self, package: str, folders: Sequence[Path], command: Command | None) -> Plan:
        """What the keeper of a lab has to know, whose code is looked for in `folders` first, or is a command."""
        wanted = [package, *BORROWED.get(package, ())] if command is None else []
        packages = [each for each in wanted if not any((folder / each).is_dir() for folder in folders)]
        readable = list(_readable(packages))
        if command is None:
            readable += folders
        else:
            readable += [command.folder, *_program(command)]
        return Plan([layer.name for layer in self.layers if layer.works], self.limits, [*map(str, readable)], packages)

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
    """A layer in the light of where this run's folders are, where other users have to be able to read them."""
    if layer.name == "user" and layer.works:
        code = (users.closed_to_others(folder) for folder in (*folders, packages_folder() / "common"))
        closed = next(filter(None, (users.closed_way(run), users.closed_way(Path(os.__file__)), *code)), None)
        if closed is not None:
            return Layer("user", False, f"{closed} is closed to other users")
    return layer


def _readable(packages: list[str]) -> Iterator[Path]:
    """Where Python is, `common`, and these packages of the reference. All else that is ours is left out."""
    code = packages_folder()
    ours = [code / name for name in os.listdir(code) if name.startswith(("lab", "tests"))]
    hidden = [path for path in ours if path.name not in packages]
    system = [Path(path) for path in (*SYSTEM, sys.prefix, sys.base_prefix)]
    system += [Path("/etc", name) for name in SETTINGS]
    for path in dict.fromkeys([*system, code / "common", *(code / name for name in packages)]):
        if path.exists():
            yield from _without(path, hidden)


def _without(path: Path, hidden: list[Path]) -> Iterator[Path]:
    """`path`, or where something hidden lies in it, everything else that is in it."""
    if path in hidden:
        return
    if any(each.is_relative_to(path) for each in hidden):
        for part in path.iterdir():
            yield from _without(part, hidden)
    else:
        yield path


def _program(command: Command) -> list[Path]:
    """The program of a command, with the folder in which what belongs to it is, if it is installed as usual."""
    found = shutil.which(command.folder / command.words[0] if "/" in command.words[0] else command.words[0])
    if found is None:
        return []
    program = Path(found).resolve()
    return [program.parents[1] if program.parent.name == "bin" else program]


def harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the harness's environment a submission may know. Elsewhere in it there may be secrets."""
    return {name: value for name, value in environment.items() if name in HARMLESS or name.startswith("LC_")}
