"""Work that an actor does one piece after the other beside its mailbox, so that it goes on answering meanwhile.

A supervisor waits while a child starts or stops. The halt root must not: a halt cannot wait for a minute behind the
start of a subtree. So it hands what may wait to its Aside, and is back at its mailbox at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from allstop.actors.errors import ReplyError
from allstop.actors.runtime import Actor, Reply


class Aside:
    """`handle`, plain or async, is called for each message in turn, in a task of `owner`: what it raises crashes the owner, except a
    ReplyError, which goes to whoever asked. As bounded as what fills it: the owner's requests and its children's ends.
    """

    def __init__(self, owner: Actor, handle: Callable[[Any], Any]) -> None:
        self._owner = owner
        self._handle = handle
        self._waiting: deque[tuple[Any, Reply | None]] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, message: Any, reply: Reply | None) -> None:
        """Has the message handled after those before it; then `reply`, if anybody waits, is given the result."""
        self._waiting.append((message, reply))
        if self._task is None or self._task.done():
            self._task = self._owner.start_task(self._work(), "aside")

    async def end(self) -> None:
        """Breaks off. Those who wait for a reply get ActorDead when the owner ends, which this is for."""
        self._waiting.clear()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _work(self) -> None:
        while self._waiting:
            message, reply = self._waiting.popleft()
            try:
                result = self._handle(message)
                if result.__class__ is CoroutineType:
                    result = await result
            except ReplyError as error:
                if reply is None:
                    raise
                reply.fail(error)
            else:
                if reply is not None:
                    reply.set(result)
