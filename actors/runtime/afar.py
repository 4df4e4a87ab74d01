"""What a ref is to those who are not on the loop of its actor: calls between two loops, and pykka's `ask`, `stop` and
`proxy`, which may block a thread."""

import asyncio
from threading import get_ident
from typing import TYPE_CHECKING, Any

import pykka

from allstop.actors.exits import NORMAL, Exit
from allstop.actors.runtime.arguments import want_seconds
from allstop.actors.runtime.errors import ActorDead, BlockingOnLoop, CallingSelf, CallTimeout
from allstop.actors.runtime.future import Asking, Future, on_a_loop
from allstop.actors.runtime.messages import Call

if TYPE_CHECKING:
    from allstop.actors.runtime.system import ActorSystem


class FarRef(pykka.ActorRef[Any]):
    """That side of a Ref (ref.py), which alone is made."""

    _cell: Any
    _system: "ActorSystem"

    if TYPE_CHECKING:

        @property
        def path(self) -> str: ...

        def _lost_answer(self, error: BaseException) -> None: ...

    async def _call_from_afar(self, message: Any, timeout_s: float) -> Any:
        """A call between two loops, or to an actor on a thread."""
        want_seconds("timeout_s", timeout_s)
        future: Future[Any] = Future()
        self.tell(Call(message, future))
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            if future.done():
                raise
            raise CallTimeout(f"{self.path} did not answer within {timeout_s} s") from None

    def proxy(self) -> pykka.ActorProxy[Any]:
        """pykka's proxy: methods and attributes of the actor that runs now, as futures."""
        return pykka.ActorProxy(actor_ref=self)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """pykka's ask: blocks a thread until the answer is there, or gives a Future with `block=False`.

        Raises BlockingOnLoop on a thread that runs a loop, before anything is sent: `await ref.call(message)` there;
        CallingSelf on the actor's own thread.
        """
        if timeout is not None:
            want_seconds("timeout", timeout)
        if block and on_a_loop():
            raise BlockingOnLoop(
                f"a blocking ask of {self.path} would stop the event loop: use `await ref.call(message)`"
            )
        if block and self._cell.threaded:
            self._not_myself("asks")
        if block:
            asking: Asking[Any] = Asking(self._lost_answer)
            self.tell(Call(message, asking))
            return asking.get(timeout)
        future: Future[Any] = Future()
        future.on_lost = self._lost_answer
        try:
            self.tell(Call(message, future))
        except ActorDead as error:
            future.set_exception(error)
        return future

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """pykka's stop: True once the actor ended, after its on_stop; False if none ran. A permanent child comes back.

        Served before waiting messages. Raises BlockingOnLoop on the loop: `await system.stop(ref)` there; CallingSelf on
        the actor's own thread: `self.exit()` there.
        """
        if timeout is not None:
            want_seconds("timeout", timeout)
        if block and on_a_loop():
            raise BlockingOnLoop(
                f"a blocking stop of {self.path} would stop the event loop: use `await system.stop(ref)`"
            )
        if block and self._cell.threaded:
            self._not_myself("stops")
        future: Future[bool] = Future()
        self._system.scheduler.hop(self._begin_stop, future)
        return future.get(timeout=timeout) if block else future

    def _not_myself(self, does: str) -> None:
        thread = self._cell.thread
        if thread is not None and thread.ident == get_ident():
            raise CallingSelf(f"{self.path} {does} itself, and would wait for itself for ever")

    def _begin_stop(self, future: Future[bool]) -> None:
        cell = self._cell
        if cell.ended:
            future.set(False)
            return

        def ended(_exit: Exit) -> None:
            future.set(True)

        cell.own().end_waiters.append(ended)
        self._system.ask_to_stop(cell, NORMAL)
