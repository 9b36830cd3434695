"""What this machine offers: each probe tries the thing itself, in a moment, and says what follows from the answer."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from labs.process import machine
from labs.sandbox import layers
from labs.sandbox.usage import cores

PRESSURE_SECONDS: Final = 0.2
"""How long the load is looked at."""
RUNTIMES: Final = {"node": "--version", "go": "version"}
"""Programs that servers in other languages may need, and how each is asked for its version."""
PEER_PROGRAMS: Final = ("etcd", "go", "redis-server", "cc")
"""What `lab bench --peers` needs of programs."""
PEER_PACKAGES: Final = "etcd-server golang-go golang-etcd-server-dev redis-server gcc libc6-dev"
PEER_MODULES: Final = {
    "pysyncobj": "pysyncobj",
    "grpcio": "grpc",
    "rpyc": "rpyc",
    "Pyro5": "Pyro5",
    "zerorpc": "zerorpc",
}
"""And of Python's packages: what each is called, and its module."""
ENOUGH_FILES: Final = 4096
"""Open files that a run with several workers may want at once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    what: str
    found: str
    good: bool
    """Whether the harness can do all it knows to do, as far as this goes."""
    follows: str = ""
    """What this means for a run, where it is not plain."""


def examine() -> list[Finding]:
    """All probes, one after the other: about half a second."""
    return [
        _python(),
        _system(),
        _cores(),
        _memory(),
        _files(),
        _uvloop(),
        _runtimes(),
        _peers(),
        *_sandbox(),
        _timers(),
        _pressure(),
    ]


def _python() -> Finding:
    name = f"{platform.python_implementation()} {platform.python_version()}"
    return Finding("Python", f"{name} ({sys.executable})", sys.version_info >= (3, 11))


def _system() -> Finding:
    linux = sys.platform == "linux"
    missing = "no subreaper or parent-death signal here: after a SIGKILL of the harness look for servers left behind"
    return Finding(
        "System", f"{platform.system()} {platform.release()}, {platform.machine()}", linux, "" if linux else missing
    )


def _cores() -> Finding:
    usable = cores()
    return Finding(
        "Cores", str(usable), usable > 1, "" if usable > 1 else "use -n 2 and --patience 2 in the process world"
    )


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    found = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    return Finding(
        "Memory", found, memory.available > 2**30, "" if memory.available > 2**30 else "use fewer workers (-n)"
    )


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    best = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    found = f"{soft} ({'no limit' if best == sys.maxsize else best} at most)"
    return Finding("Open files", found, best >= ENOUGH_FILES, "" if best >= ENOUGH_FILES else "use fewer workers (-n)")


def _uvloop() -> Finding:
    try:
        return Finding("uvloop", importlib.metadata.version("uvloop"), True)
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            "uvloop", "not installed", False, "servers run on asyncio's own loop: slower, otherwise the same"
        )


def _runtimes() -> Finding:
    found = [said for program, question in RUNTIMES.items() if (said := _version(program, question))]
    missing = [program for program in RUNTIMES if shutil.which(program) is None]
    follows = f"no {' and no '.join(missing)}: a submission whose lab.toml names it cannot be run" if missing else ""
    return Finding("Other languages", ", ".join(found) or "none", not missing, follows)


def _peers() -> Finding:
    programs = [name for name in PEER_PROGRAMS if shutil.which(name)]
    modules = [name for name, module in PEER_MODULES.items() if importlib.util.find_spec(module)]
    missing = [name for name in (*PEER_PROGRAMS, *PEER_MODULES) if name not in (*programs, *modules)]
    lines = [f"apt-get install {PEER_PACKAGES}"] if len(programs) < len(PEER_PROGRAMS) else []
    lines += ["pip install '.[peers]'"] if len(modules) < len(PEER_MODULES) else []
    follows = f"lab bench --peers goes without {', '.join(missing)}: {'; '.join(lines)}" if missing else ""
    return Finding("Peers", ", ".join(programs + modules) or "none", not missing, follows)


def _version(program: str, question: str) -> str:
    """The program and its version, or nothing where there is no such program."""
    if shutil.which(program) is None:
        return ""
    try:
        done = subprocess.run([program, question], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return f"{program}, which does not run"
    number = re.search(r"\d+(\.\d+)+", done.stdout)
    return f"{program} {number[0]}" if number else program


def _sandbox() -> list[Finding]:
    """The layers of the sandbox, each tried in a process of its own."""
    return [
        Finding(f"Sandbox: {layer.name}", layer.found, layer.works, "" if layer.works else _without(layer))
        for layer in layers.probe()
    ]


def _without(layer: layers.Layer) -> str:
    return f"--sandbox does not prevent: {layers.PREVENTS[layer.name]}"


def _timers() -> Finding:
    late = []
    for _ in range(100):
        asked = time.perf_counter()
        time.sleep(0.001)
        late.append(time.perf_counter() - asked - 0.001)
    typical, worst = statistics.median(late), max(late)
    good = worst < 0.02
    found = f"a sleep of 1 ms ends {typical * 1000:.2f} ms late, {worst * 1000:.2f} ms at worst"
    return Finding("Timers", found, good, "" if good else "this machine is busy or slow: use --patience 2")


def _pressure() -> Finding:
    before = machine.read_counters()
    time.sleep(PRESSURE_SECONDS)
    after = machine.read_counters()
    if not Path("/proc/stat").exists():
        return Finding("Load", "not told", False, "a busy machine is known by the harness's own lateness only")
    seconds = after.clock - before.clock
    stolen = (after.stolen - before.stolen) / seconds / (os.cpu_count() or 1)
    pressed = min(1.0, (after.pressed - before.pressed) / seconds)
    waiting = f"tasks wait {pressed:.0%} of the time" if Path("/proc/pressure/cpu").exists() else "waiting is not told"
    good = stolen <= machine.MOST_STEAL
    return Finding(
        "Load",
        f"{stolen:.0%} stolen by other virtual machines, {waiting}",
        good,
        "" if good else "tests that fail here will be run again, and may be inconclusive",
    )
