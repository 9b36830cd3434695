"""Each hostile submission gets what it deserves, leaves nothing behind, and the next one in line does not notice."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from labs.sandbox.layers import Layer
from tests.hostile.conftest import ROOT, Grade, Graded, make_submission

Offered = dict[str, Layer]

FIRST: Final = ("viewservice", "test_first_primary")
"""A test that the reference passes in half a second."""
UNACKNOWLEDGED: Final = ("viewservice", "test_waits_for_acknowledgement")

PREVENTED_BY: Final = {
    "read the tests": ["landlock"],
    "read the reference": ["landlock"],
    "read another submission": ["landlock"],
    "look into the run's folder": ["landlock"],
    "look who else is there": ["landlock"],
    "read a log": ["landlock"],
    "write the results": ["landlock", "user"],
    "write where --json will": ["landlock", "user"],
    "change its own code": ["landlock", "user"],
    "write to /tmp": ["landlock"],
    "write to /dev/shm": ["landlock"],
    "link a file into its own folder": ["landlock"],
    "read through a link of its own": ["landlock"],
    "read the harness's environment": [],
    "see other processes": ["processes", "landlock"],
    "signal other processes": ["processes"],
    "find an open descriptor": [],
    "share memory (System V)": ["calls"],
    "queue messages (System V)": ["calls"],
    "leave a key with the kernel": ["calls"],
    "listen on an abstract socket": ["calls"],
    "listen on a local socket": ["calls"],
    "receive datagrams": ["calls"],
    "connect to another program": ["links", "network"],
    "kill its parent": ["processes"],
    "connect to the outside": ["links", "network"],
    "connect over IPv6": ["links", "network"],
    "make namespaces": ["calls", "privileges"],
    "mount": ["calls", "privileges", "landlock"],
    "change its root": ["calls", "privileges"],
    "become root": ["privileges", "user"],
    "use io_uring": ["calls"],
    "go before others": ["privileges", "user"],
    "set the clock": ["privileges", "user"],
}
"""What a server must not do, and the layers of which any one prevents it. None is needed for what is always so."""
TAME: Final = list(PREVENTED_BY)[: list(PREVENTED_BY).index("kill its parent")]
"""Those that do no harm to a machine without a sandbox."""


@pytest.fixture(scope="session")
def outside() -> Iterator[int]:
    """The port of a program that has nothing to do with the labs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="session")
def pry(workshop: Path, grade: Grade, outside: int) -> Callable[[bool], Graded]:
    """Grades the submission that tries everything, with the sandbox or without it."""

    def pry(sandbox: bool) -> Graded:
        constants = {
            "CHECKOUT": f"__import__('pathlib').Path({str(ROOT)!r})",
            "OTHER": f"__import__('pathlib').Path({str(make_submission(workshop))!r})",
            "RESULTS": repr(str(workshop / "results-of-all.json")),
            "OUTSIDE": str(outside),
            "TAME": str(not sandbox),
        }
        submission = make_submission(workshop, "prying", constants=constants)
        return grade(submission, *FIRST, sandbox=sandbox, LAB_TEST_SECRET="hunter2")

    return pry


def deeds(graded: Graded) -> dict[str, str]:
    """What came of each deed, as the view service's log tells."""
    return dict(re.findall(r"^deed (.+?): (.+)$", graded.log(), re.MULTILINE))


@pytest.fixture(scope="session")
def confined(pry: Callable[[bool], Graded]) -> Graded:
    """The prying submission in the sandbox."""
    return pry(True)


@pytest.mark.parametrize("deed", PREVENTED_BY)
def test_a_server_does_nothing_but_serve(deed: str, confined: Graded, offered: Offered) -> None:
    layers = PREVENTED_BY[deed]
    if layers and not any(offered[layer].works for layer in layers):
        pytest.skip(f"prevented by {' or '.join(layers)} only, and here: {offered[layers[0]].found}")
    assert deeds(confined)[deed].startswith("no, "), deeds(confined)[deed]


def test_who_pries_in_vain_is_graded_for_its_solution(confined: Graded) -> None:
    assert confined.statuses() == ["passed"]


def test_without_the_sandbox_it_can_be_done(pry: Callable[[bool], Graded]) -> None:
    """Or the tests above would prove nothing."""
    free = pry(False)
    assert deeds(free) == dict.fromkeys(TAME, "done")


@pytest.mark.parametrize(
    ("name", "limits", "why"),
    [
        ("eats_memory", "memory=300MiB", "was stopped by the sandbox: it held .* of memory"),
        ("gorges", "memory=300MiB", "MemoryError"),
        ("fills_disk", "disk=100MiB", "was stopped by the sandbox: it had files of"),
        ("floods", "output=8MiB", "was stopped by the sandbox: it wrote .* of output"),
        ("fork_bomb", "processes=100", "was stopped by the sandbox: it had .* processes"),
    ],
)
def test_greed_ends_at_the_limits(
    name: str, limits: str, why: str, workshop: Path, grade: Grade, good: Callable[[], None]
) -> None:
    graded = grade(make_submission(workshop, name), *FIRST, "--limits", limits)
    assert graded.earned_nothing(), graded.said
    assert re.search(why, graded.message()), graded.message()
    good()


def test_daemons_are_gone_and_cost_nothing(workshop: Path, grade: Grade, good: Callable[[], None]) -> None:
    graded = grade(make_submission(workshop, "leaves_daemons"), *FIRST)
    assert graded.statuses() == ["passed"], graded.said
    good()


def test_forged_output_deceives_nobody(workshop: Path, grade: Grade) -> None:
    graded = grade(make_submission(workshop, "forges", broken=True), *UNACKNOWLEDGED)
    assert graded.earned_nothing(), graded.said
    assert "\x1b" not in graded.said
    assert "\x07" not in graded.said


def test_patching_the_runtime_changes_no_score(workshop: Path, grade: Grade) -> None:
    wrong = grade(make_submission(workshop, "patches", broken=True), *UNACKNOWLEDGED)
    assert wrong.earned_nothing(), wrong.said
    right = grade(make_submission(workshop, "patches"), *UNACKNOWLEDGED)
    assert right.statuses() != ["failed"], right.said


def test_memory_is_shared_with_nobody(workshop: Path, grade: Grade) -> None:
    graded = grade(make_submission(workshop, "answers_from_memory"), "pbservice", "test_concurrent_appends")
    assert graded.earned_nothing(), graded.said
    assert "an Append that was answered has been lost" in graded.message()


def test_without_the_sandbox_memory_would_be_shared(workshop: Path, grade: Grade) -> None:
    """Or the test above would prove nothing."""
    submission = make_submission(workshop, "answers_from_memory")
    graded = grade(submission, "pbservice", "test_put_after_primary_failure", sandbox=False)
    assert graded.statuses() == ["passed"], graded.said


def test_lies_are_found_out(workshop: Path, grade: Grade) -> None:
    graded = grade(make_submission(workshop, "lies"), "pbservice", "test_single_primary")
    assert graded.earned_nothing(), graded.said
    assert 'gave "", expected' in graded.message()


def test_who_keeps_the_machine_busy_gains_nothing_by_it(workshop: Path, grade: Grade, good: Callable[[], None]) -> None:
    graded = grade(make_submission(workshop, "spins", broken=True), *UNACKNOWLEDGED)
    assert graded.earned_nothing(), graded.said
    good()
