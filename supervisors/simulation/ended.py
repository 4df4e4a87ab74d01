"""What is left of a life of the engine once it is over: ports that let nothing through.

A process that dies does nothing more: nothing is sent, written or read, no time is told. Its code, which in a simulation
still lies there half executed, must not do so either when its coroutines are closed and their `finally` blocks run.
"""

from typing import Any, NoReturn


class WorldEnded(BaseException):
    """The life of the engine that this port belonged to is over. No `except Exception` may take it for trouble."""


class Ended:
    """What a port turns into. Whatever is wanted of it, by whichever way it was remembered, raises WorldEnded."""

    def __getattr__(self, name: str) -> NoReturn:
        raise WorldEnded(f"{name}: the life of this engine is over")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise WorldEnded(f"{name}: the life of this engine is over")

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise WorldEnded("the life of this engine is over")


def make_inert(port: Any) -> None:
    """From now on everything that `port` is asked raises WorldEnded; so do its methods that somebody remembered, as
    soon as they touch it. As long as a port lives it pays nothing for that: there is no flag to look at.

    `port` must be of a plain Python class without `__slots__`."""
    vars(port).clear()
    object.__setattr__(port, "__class__", Ended)
