"""`runtime.sync` is for threads beside the loop."""

import asyncio
from typing import Any, cast

import pytest

from allstop.actors.runtime import BlockingOnLoop
from allstop.supervisors.build import Runtime
from allstop.supervisors.sync_runtime import SyncRuntime


class Known:
    """Knows one order."""

    asked = 0

    async def order(self, intent_id: str, *, account: str | None = None) -> Any:
        self.asked += 1
        return (intent_id, account)


async def test_on_the_thread_of_a_loop_it_is_refused_with_the_alternative_and_asks_nothing() -> None:
    known = Known()
    sync = SyncRuntime(cast(Runtime, known), asyncio.get_running_loop())
    with pytest.raises(BlockingOnLoop, match=r"await runtime\.submit.*await asyncio\.to_thread"):
        sync.order("a")
    assert known.asked == 0
    assert await asyncio.to_thread(sync.order, "a") == ("a", None)
