"""Which event loop a test runs on: asyncio's, or with `@pytest.mark.virtual` one whose clock jumps to the next timer; and
which files of tests are begun first."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import structlog
from tests.longest import rank

from allstop.actors.runtime.virtual_time import VirtualTimeLoop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual: the test's event loop has virtual time")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    del config
    asked = item.get_closest_marker("asyncio")
    if asked is not None and "loop_factories" in asked.kwargs:  # pytest-asyncio's own spelling
        return {"asyncio": asyncio.new_event_loop, "virtual": VirtualTimeLoop}
    if item.get_closest_marker("virtual") is not None:
        return {"virtual": VirtualTimeLoop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """A command that a test ran in this process configured its logging: the next test must not write where that did."""
    yield
    structlog.reset_defaults()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Among several workers the long files go first; alone, tests run in the order in which they stand."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.path))
