from collections.abc import AsyncIterator

import pytest
from tests.runtime.puppet import Witness

from allstop.actors.runtime import ActorSystem


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
async def system(witness: Witness) -> AsyncIterator[ActorSystem]:
    async with ActorSystem(on_event=witness.events.append) as system:
        yield system
