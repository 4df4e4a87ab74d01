"""An actor that keeps what it is told and answers as a test says."""

from collections.abc import Callable
from typing import Any

from allstop.actors.runtime import Actor


class Recorder(Actor):
    def __init__(self, kept: list[Any], answer: Callable[[Any], Any] = lambda _: None) -> None:
        self._kept = kept
        self._answer = answer

    def on_receive(self, message: object) -> object:
        self._kept.append(message)
        return self._answer(message)
