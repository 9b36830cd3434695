"""The parts of the sandbox, each by itself: what it forbids is forbidden, and what it allows is allowed."""

import contextlib
import errno
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labs import doctor
from labs.sandbox import files, kernel, landlock, layers, namespaces, seccomp, usage
from labs.sandbox.limits import Limits, parse_size, show_size
from labs.sandbox.plan import _without, harmless
from labs.sandbox.usage import Usage, excess
from labs.texts import printable
from labs.usage import BadUsage

Offered = dict[str, layers.Layer]


def in_a_child(deed: Callable[[], None]) -> str:
    """What came of a deed in a process of its own: "done", or the error's name."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            deed()
            os.write(writing, b"done")
        except OSError as error:
            os.write(writing, errno.errorcode.get(error.errno or 0, str(error)).encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def needs(offered: Offered, name: str) -> None:
    """Skips the test where the layer is missing."""
    if not offered[name].works:
        pytest.skip(f"the layer {name} is missing: {offered[name].found}")


# --- Landlock --------------------------------------------------------------------------------------------------------


def restricted(deed: Callable[[], object], readable: list[Path], writable: list[Path]) -> str:
    """What came of a deed under Landlock."""

    def confined() -> None:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict(readable, writable, [Path("/dev/null")])
        deed()

    return in_a_child(confined)


def test_landlock_allows_what_it_is_told_and_nothing_else(tmp_path: Path, offered: Offered) -> None:
    needs(offered, "landlock")
    ours, theirs, readable = (tmp_path / name for name in ("ours", "theirs", "readable"))
    for folder in (ours, theirs, readable):
        folder.mkdir()
        (folder / "file").write_text("x")

    def outcome(deed: Callable[[], object]) -> str:
        return restricted(deed, [readable], [ours])

    assert outcome(lambda: (readable / "file").read_text()) == "done"
    assert outcome(lambda: (readable / "file").write_text("y")) == "EACCES"
    assert outcome(lambda: (readable / "new").write_text("y")) == "EACCES"
    assert outcome(lambda: os.listdir(theirs)) == "EACCES"
    assert outcome(lambda: (theirs / "file").read_text()) == "EACCES"
    assert outcome(lambda: (theirs / "file").unlink()) == "EACCES"
    assert outcome(lambda: (ours / "new").write_text("y")) == "done"
    assert outcome(lambda: (ours / "new").rename(ours / "newer")) == "done"
    assert outcome(lambda: (ours / "file").rename(theirs / "moved")) in ("EACCES", "EXDEV")
    assert outcome(lambda: os.link(readable / "file", ours / "linked")) in ("EACCES", "EXDEV")
    assert outcome(lambda: Path("/dev/null").write_text("x")) == "done"
    assert (readable / "file").read_text() == (theirs / "file").read_text() == "x"


def test_landlock_keeps_signals_inside(offered: Offered) -> None:
    needs(offered, "landlock")
    if landlock.version() < landlock.SCOPED_SINCE:
        pytest.skip(f"Landlock {landlock.version()} does not hold signals back")
    assert restricted(lambda: os.kill(os.getppid(), 0), [], []) == "EPERM"

    def signal_own_child() -> None:
        child = os.fork()
        if child == 0:
            time.sleep(60)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    assert restricted(signal_own_child, [], []) == "done"


# --- system calls ----------------------------------------------------------------------------------------------------


def filtered(deed: Callable[[], object]) -> str:
    """What came of a deed under the filter."""

    def confined() -> None:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.install()
        deed()

    return in_a_child(confined)


def _start_a_thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def _send_fast() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.sendto(b"x", seccomp.MSG_FASTOPEN, server.getsockname())


def test_the_filter_forbids_ways_around_the_network(offered: Offered) -> None:
    needs(offered, "calls")
    assert filtered(lambda: socket.socket(socket.AF_UNIX)) == "EACCES"
    assert filtered(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) == "EACCES"
    assert filtered(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)) == "EACCES"
    assert filtered(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)) == "EACCES"
    assert filtered(_send_fast) == "ENOTSUP"
    assert filtered(lambda: kernel.unshare(kernel.CLONE_NEWUSER)) == "EPERM"
    assert filtered(lambda: os.close(os.pidfd_open(os.getpid()))) == "done"
    assert filtered(lambda: kernel.syscall(seccomp.PIDFD_GETFD, 0, 0, 0)) == "EPERM"
    assert filtered(lambda: kernel.syscall(425, 1, None)) == "ENOSYS"  # io_uring_setup


def test_the_filter_allows_what_servers_need(offered: Offered) -> None:
    needs(offered, "calls")

    def connect() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            pass

    assert filtered(connect) == "done"
    assert filtered(lambda: socket.socketpair()) == "done"
    assert filtered(_start_a_thread) == "done"
    assert filtered(lambda: subprocess.run(["true"], check=True)) == "done"
    assert filtered(lambda: mmap.mmap(-1, 4096).close()) == "done"


def test_a_connect_waits_for_the_answer_and_gets_it(offered: Offered) -> None:
    needs(offered, "links")
    seccomp.try_gate()


# --- namespaces, capabilities ----------------------------------------------------------------------------------------


def test_a_network_of_its_own_has_no_way_out(offered: Offered) -> None:
    needs(offered, "network")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        address = outside.getsockname()

        def call_outside() -> None:
            namespaces.enter()
            namespaces.enter()  # once is enough
            socket.create_connection(address, timeout=5).close()

        assert in_a_child(call_outside) == "ECONNREFUSED"


def test_who_has_given_up_its_capabilities_is_no_root_any_more() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has capabilities to give up")

    def outcome(deed: Callable[[], object]) -> str:
        def confined() -> None:
            kernel.bar_capabilities()
            kernel.keep_capabilities()
            deed()

        return in_a_child(confined)

    assert outcome(lambda: os.chown("/", 1, 1)) == "EPERM"
    assert outcome(lambda: os.setuid(1)) == "EPERM"
    assert outcome(lambda: os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)) == "EACCES"
    assert outcome(lambda: subprocess.run(["chown", "1", "/"], check=True, stderr=subprocess.DEVNULL)).startswith(
        "CalledProcessError"
    )


# --- limits and usage ------------------------------------------------------------------------------------------------


def test_limits_are_read_as_people_write_them() -> None:
    assert Limits.parse("") == Limits()
    assert Limits.parse("memory=1.5GiB, processes=7") == Limits(memory=3 * 2**29, processes=7)
    assert Limits.parse(str(Limits(files=5, disk=2**40))) == Limits(files=5, disk=2**40)
    assert [parse_size(text) for text in ("1", "2KiB", "0.5MiB")] == [1, 2048, 2**19]
    assert [show_size(size) for size in (1, 2048, 3 * 2**29)] == ["1 bytes", "2 KiB", "1.5 GiB"]


@pytest.mark.parametrize("text", ["memory", "memory=", "memory=much", "memory=-1", "memory=0", "colour=3", "files=1.5"])
def test_limits_that_make_no_sense_are_bad_usage(text: str) -> None:
    with pytest.raises(BadUsage, match="expected"):
        Limits.parse(text)


def test_the_greediest_has_to_go() -> None:
    limits = Limits(memory=100, processes=10, disk=100, output=50)
    assert excess({"a": Usage(60, 5, 60, 50), "b": Usage(40, 5, 40, 50)}, limits) is None
    assert excess({"a": Usage(memory=70), "b": Usage(memory=31)}, limits) == (
        "a",
        "it held 70 bytes of memory, all servers together 101 bytes, and 100 bytes are allowed",
    )
    assert (excess({"a": Usage(processes=5), "b": Usage(processes=6)}, limits) or "")[0] == "b"
    assert (excess({"a": Usage(disk=1), "b": Usage(disk=101)}, limits) or "")[0] == "b"
    assert excess({"a": Usage(output=50), "b": Usage(output=51)}, limits) == (
        "b",
        "it wrote 51 bytes of output, and 50 bytes are allowed",
    )


def test_what_a_process_uses_is_seen(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("/proc is Linux only")
    before = usage.of_processes([os.getpid()], tmp_path, Limits())
    eaten = b"x" * 50_000_000
    (tmp_path / "file").write_bytes(eaten[:1_000_000])
    with (tmp_path / "nameless").open("wb") as nameless:
        (tmp_path / "nameless").unlink()
        nameless.write(eaten[:2_000_000])
        nameless.flush()
        after = usage.of_processes([os.getpid(), os.getpid()], tmp_path, Limits())
    assert before.processes >= 1
    assert after.processes >= 2
    assert after.memory - 2 * before.memory > 80_000_000  # counted twice, as two processes would be
    assert 3_000_000 <= after.disk - before.disk < 3_200_000  # a nameless file is counted once


def test_a_folder_nested_beyond_all_paths_counts_as_too_much(tmp_path: Path) -> None:
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(30):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    assert usage.size_of(tmp_path, 10**9) == 10**9 + 1
    files.remove_tree(tmp_path)
    assert not tmp_path.exists()


def test_processors_are_counted_and_greed_is_told() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    beside = subprocess.Popen(["sleep", "60"])  # in our own session
    try:
        watched = usage.Processors()
        deadline = time.monotonic() + 30
        while watched.seconds < 0.2 and time.monotonic() < deadline:
            time.sleep(0.05)
            watched.look([busy.pid])
        assert watched.seconds >= 0.2
        ours = _autogroup(os.getpid())
        usage.make_way([busy.pid, beside.pid])
        assert os.getpriority(os.PRIO_PROCESS, busy.pid) == usage.LAST
        assert _autogroup(busy.pid).endswith(f"nice {usage.LAST}")
        assert _autogroup(os.getpid()) == ours, "a session is not theirs to slow down if it did not begin with them"
    finally:
        for process in (busy, beside):
            process.kill()
            process.wait()


def _autogroup(process: int) -> str:
    """How the processes of its session go before others. Where the system knows no such groups, what is expected."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/autogroup").read_text().strip()
    return f"nice {usage.LAST}"


# --- files -----------------------------------------------------------------------------------------------------------


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    plain, link, pipe = tmp_path / "plain", tmp_path / "link", tmp_path / "pipe"
    plain.write_text("0123456789")
    link.symlink_to(plain)
    os.mkfifo(pipe)
    assert files.read(plain, 4) == b"0123"
    for path in (link, pipe, tmp_path):
        with pytest.raises(ValueError, match="to be a plain file"):
            files.read(path, 4)
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "missing", 4)


def test_a_file_that_is_written_takes_the_place_of_whatever_was_there(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.write_text("results")
    link.symlink_to(precious)
    files.write(link, "new")
    assert (link.read_text(), link.is_symlink()) == ("new", False)
    assert precious.read_text() == "results"


def test_what_is_hidden_is_left_out_of_what_may_be_read(tmp_path: Path) -> None:
    for name in ("labs", "msgspec", "tests"):
        (tmp_path / "site" / name).mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    hidden = [tmp_path / "site" / "labs", tmp_path / "site" / "tests"]
    assert sorted(_without(tmp_path, hidden)) == [tmp_path / "bin", tmp_path / "site" / "msgspec"]
    assert list(_without(tmp_path, [])) == [tmp_path]


def test_secrets_of_the_environment_are_left_out() -> None:
    given = {"PATH": "/bin", "LC_ALL": "C", "API_TOKEN": "hunter2", "LD_PRELOAD": "x"}
    assert harmless(given) == {"PATH": "/bin", "LC_ALL": "C"}


def test_what_a_terminal_would_obey_becomes_visible() -> None:
    assert printable("a\tb\n\x1b[2Jc\r\x07\u202ed") == "a\tb\n\\x1b[2Jc\\r\\x07\\u202ed"


# --- what is said of them --------------------------------------------------------------------------------------------


def test_the_doctor_lists_every_layer_and_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [layers.Layer(name, name == "limits", "as found") for name in layers.PROBES]
    monkeypatch.setattr(layers, "probe", lambda: missing)
    findings = doctor._sandbox()
    assert [finding.what for finding in findings] == [f"Sandbox: {name}" for name in layers.PREVENTS]
    assert [finding.good for finding in findings] == [True] + [False] * (len(findings) - 1)
    assert findings[0].follows == ""
    assert "does not prevent" in findings[1].follows


def test_a_layer_that_ends_the_process_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layers.PROBES, "calls", lambda: os._exit(3))
    monkeypatch.setitem(layers.PROBES, "links", lambda: str(resource.getrlimit(-1)))
    assert layers._try("calls") == layers.Layer("calls", False, "trying it ended the process")
    assert not layers._try("links").works
