"""The runtime as other threads see it: the same calls, blocking."""

import asyncio
from typing import TYPE_CHECKING, Any

from allstop.actors.commands import UNNAMED
from allstop.actors.intents import OrderIntent
from allstop.actors.runtime import BlockingOnLoop
from allstop.actors.runtime.future import on_a_loop
from allstop.supervisors.submitted import SUBMIT_TIMEOUT_S, Order

if TYPE_CHECKING:
    from allstop.supervisors.build import Runtime


class SyncRuntime:
    """`submit` and `order` for threads beside the loop. On a thread that runs a
    loop a call raises BlockingOnLoop: await there."""

    def __init__(self, runtime: "Runtime", loop: asyncio.AbstractEventLoop) -> None:
        self._runtime = runtime
        self._loop = loop

    def submit(
        self,
        intent: OrderIntent,
        *,
        account: str | None = None,
        by: str = UNNAMED,
        timeout_s: float = SUBMIT_TIMEOUT_S,
    ) -> Order:
        submitted = self._runtime.submit(intent, account=account, by=by, timeout_s=timeout_s)
        return self._run(submitted, timeout_s + 1.0)

    def order(self, intent_id: str, *, account: str | None = None, timeout_s: float = 5.0) -> Order | None:
        return self._run(self._runtime.order(intent_id, account=account), timeout_s + 1.0)

    def _run(self, coroutine: Any, timeout_s: float) -> Any:
        if on_a_loop():
            coroutine.close()
            raise BlockingOnLoop(
                "runtime.sync blocks, and this thread runs an event loop: `await runtime.submit(...)` on the runtime's "
                "own loop; from another loop `await asyncio.to_thread(runtime.sync.submit, ...)`"
            )
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)
