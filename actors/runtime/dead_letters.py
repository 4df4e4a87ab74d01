"""Messages that reached nobody, with the reason: nothing queued is lost in silence."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

DEAD_LETTERS_MAX: Final = 1_000  # enough to see what a crash took with it; older ones are only counted


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that nobody handled: for whom it was, and why nobody did."""

    message: Any
    recipient: str
    incarnation: int
    cause: Any  # an Exit or words


class DeadLetters:
    """A ring of the latest dead letters."""

    def __init__(self, capacity: int = DEAD_LETTERS_MAX) -> None:
        self._ring: deque[DeadLetter] = deque(maxlen=capacity)
        self._subscribers: list[Callable[[DeadLetter], None]] = []
        self.count = 0

    def add(self, letter: DeadLetter) -> None:
        self.count += 1
        self._ring.append(letter)
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(letter)
            except Exception as error:  # noqa: BLE001 - an observer never hurts: it is dropped, and that is noted
                self._subscribers.remove(subscriber)
                self._ring.append(DeadLetter(letter, repr(subscriber), 0, error))

    def recent(self) -> list[DeadLetter]:
        """The latest, oldest first."""
        return list(self._ring)

    def subscribe(self, subscriber: Callable[[DeadLetter], None]) -> Callable[[], None]:
        """Calls `subscriber` with each letter, on the thread that lost it. Gives back what ends the subscription."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)
