"""One actor that does what a test tells it to: answers, waits, raises, ends, or swallows its own cancellation."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from allstop.actors.events import CrashReport, Event
from allstop.actors.exits import Exit
from allstop.actors.runtime import Actor, ThreadActor

Act = Callable[[Any], Any]


class Witness:
    """What a puppet's hooks saw, kept outside it so that it outlives incarnations."""

    def __init__(self) -> None:
        self.handled: list[Any] = []
        self.hooks: list[str] = []
        self.exits: list[Exit] = []
        self.failures: list[BaseException] = []
        self.alive_in_on_failure: list[bool] = []
        self.events: list[Event] = []

    @property
    def crashes(self) -> list[CrashReport]:
        return [event for event in self.events if isinstance(event, CrashReport)]


class Strings:
    """A message that is a function is called with the puppet, and its result is what the handler returns."""

    witness: Witness

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        del exception_type, traceback
        self.witness.hooks.append("on_failure")
        self.witness.failures.append(exception_value)
        self.witness.alive_in_on_failure.append(self.ref.is_alive())  # type: ignore[attr-defined]

    def act(self, message: Any) -> Any:
        self.witness.handled.append(message)
        return message(self) if callable(message) else message


class Puppet(Strings, Actor):
    """Plain handlers; one that returns a coroutine makes it asynchronous from there on."""

    def __init__(self, witness: Witness | None = None, on_start: Act | None = None) -> None:
        self.witness = witness or Witness()
        self._on_start = on_start

    def on_start(self) -> Any:
        self.witness.hooks.append("on_start")
        return self._on_start(self) if self._on_start is not None else None

    def on_receive(self, message: Any) -> Any:
        return self.act(message)

    def on_continue(self, argument: Any) -> Any:
        self.witness.hooks.append(f"on_continue {argument}")

    def on_stop(self, exit_: Exit) -> Any:
        self.witness.hooks.append("on_stop")
        self.witness.exits.append(exit_)


class AsyncPuppet(Puppet):
    """Asynchronous handlers: a function's coroutine is awaited."""

    async def on_receive(self, message: Any) -> Any:
        result = self.act(message)
        return await result if asyncio.iscoroutine(result) else result

    async def on_stop(self, exit_: Exit) -> None:
        Puppet.on_stop(self, exit_)


class ThreadPuppet(Strings, ThreadActor):
    def __init__(self, witness: Witness | None = None) -> None:
        self.witness = witness or Witness()

    def on_receive(self, message: Any) -> Any:
        return self.act(message)

    def on_stop(self, exit_: Exit) -> None:
        self.witness.hooks.append(f"on_stop on {threading.current_thread().name}")
        self.witness.exits.append(exit_)


def fails(error: BaseException) -> Act:
    """A message whose handler raises."""

    def act(_puppet: Any) -> Any:
        raise error

    return act


def sleeps(seconds: float, result: Any = None) -> Act:
    """A message whose handler is suspended for a while."""

    async def slow() -> Any:
        await asyncio.sleep(seconds)
        return result

    return lambda _puppet: slow()


def stubborn(for_s: float = 3600) -> Act:
    """A message whose handler swallows every cancellation for an hour."""

    async def swallow() -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + for_s
        while loop.time() < until_s:
            try:
                await asyncio.sleep(until_s - loop.time())
            except asyncio.CancelledError:
                continue

    return lambda _puppet: swallow()
