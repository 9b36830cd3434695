"""What the tests of `common` share."""

from collections.abc import Iterator

import pytest

from tests.common.real_server import RealServer, view_server

LOOPS = ["uvloop", "asyncio"]


@pytest.fixture(params=LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    """Each event loop that servers run on."""
    name: str = request.param
    if name == "uvloop":
        pytest.importorskip("uvloop")
    return name


@pytest.fixture(scope="module", params=LOOPS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A real view server, one for all the tests of a module."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    with view_server(tmp_path_factory.mktemp("run") / "links", request.param) as running:
        yield running
