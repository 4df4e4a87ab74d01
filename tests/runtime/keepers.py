"""Actors of each kind that count what they get, and keep a key that nobody may see."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from allstop.actors.runtime import Actor, ThreadActor


class Keeper(Actor):
    """Counts what it gets, and keeps a key."""

    def __init__(self, key: str = "hunter2") -> None:
        self.key = key
        self.count = 0

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self.count += 1
        return self.count

    def format_status(self) -> Any:
        return {"count": self.count}


class AsyncKeeper(Keeper):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        result = super().on_receive(message)
        return await result if asyncio.iscoroutine(result) else result


class ThreadKeeper(ThreadActor):
    __init__ = Keeper.__init__
    on_receive = Keeper.on_receive
    format_status = Keeper.format_status


KINDS = [Keeper, AsyncKeeper, ThreadKeeper]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def doing(act: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A message that is a function of the actor; its answer is None unless it gives a coroutine or something else."""
    return act
