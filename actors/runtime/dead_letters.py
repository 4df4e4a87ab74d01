"""Messages that reached nobody, with the reason: nothing queued is lost in silence."""

from collections import Counter, deque
from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allstop.actors.errors import ReplyError
from allstop.actors.exits import Exit
from allstop.actors.runtime.arguments import want, want_count, want_function, want_ref
from allstop.actors.runtime.messages import SPECIAL

if TYPE_CHECKING:
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.system import ActorSystem

DEAD_LETTERS_MAX: Final = 1_000  # enough to see what a crash took with it; older ones are only counted


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that nobody handled: for whom it was, and why nobody did."""

    message: Any
    recipient: str
    incarnation: int
    cause: Any  # an Exit, an exception or words
    kind: str = "tell"  # tell: a message | answer: an error that nobody read | observer: what one that raised was shown
    at_ns: int = 0  # wall clock


class Refusal(msgspec.Struct, frozen=True):
    """A dead letter that was not replayed, and why."""

    letter: DeadLetter
    why: str


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did, oldest first. The replayed letters are no dead letters any more; the refused ones stay."""

    replayed: tuple[DeadLetter, ...]
    refused: tuple[Refusal, ...]


class DeadLetters:
    """A ring of the latest dead letters. `count` and `counts` (by cause, in words) are of all that ever were."""

    def __init__(self, system: "ActorSystem", capacity: int = DEAD_LETTERS_MAX) -> None:
        want_count("capacity", capacity, least=1)
        self._system = system
        self._ring: deque[DeadLetter] = deque(maxlen=capacity)
        # Any thread may lose a message, and losing one may free another, whose unread answer is lost then, too.
        self._lock = RLock()
        self._subscribers: list[Callable[[DeadLetter], None]] = []
        self._never: tuple[type[Any], ...] = ()
        self._counts: Counter[str] = Counter()
        self.count = 0

    def add(self, letter: DeadLetter) -> None:
        if not letter.at_ns:
            clock = self._system._clock  # a system that has not started has none
            msgspec.structs.force_setattr(letter, "at_ns", clock.wall_ns() if clock is not None else 0)
        self._keep(letter)
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(letter)
            except Exception as error:  # noqa: BLE001 - an observer never hurts: it is dropped, and that is noted
                self._unsubscribe(subscriber)
                self._keep(
                    DeadLetter(letter, repr(subscriber), 0, error, "observer", letter.at_ns), new=False
                )

    def _keep(self, letter: DeadLetter, *, new: bool = True) -> None:
        with self._lock:
            self._ring.append(letter)
            if new:
                self.count += 1
                self._counts[in_words(letter.cause)] += 1

    @property
    def counts(self) -> dict[str, int]:
        """How many there ever were, by cause: the kind of exit, the type of error, or the words."""
        with self._lock:
            return dict(self._counts)

    def recent(self) -> list[DeadLetter]:
        """The latest, oldest first."""
        with self._lock:
            return list(self._ring)

    def subscribe(self, subscriber: Callable[[DeadLetter], None]) -> Callable[[], None]:
        """Calls `subscriber` with each letter, on the thread that lost it. Gives back what ends the subscription."""
        want_function("subscriber", subscriber)
        self._subscribers.append(subscriber)
        return lambda: self._unsubscribe(subscriber)

    def _unsubscribe(self, subscriber: Callable[[DeadLetter], None]) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)

    # -- replay ----------------------------------------------------------------------------------------------------
    def never_replay(self, *types: type[Any]) -> None:
        """No letter with a message of these types is ever replayed: for classes that one cannot mark `no_replay`."""
        for kind in types:
            want("types", kind, type, "classes of messages")
        self._never = (*self._never, *types)

    def replay(self, where: Callable[[DeadLetter], bool], to: "Ref | None" = None) -> Replayed:
        """Tells the messages of the letters that `where` selects once more: to the address they were for, or to `to`.

        Each at most once: a replayed letter leaves the ring. Refused, and so named, is what is no told message, what
        its class forbids (`no_replay = True`, as on every order command: statement 245), what nobody runs for, and
        what the actor's mailbox refuses: it is full, or in another process, and the message cannot travel.
        """
        want_function("where", where)
        if to is not None:
            want_ref("to", to)
        replayed: list[DeadLetter] = []
        refused: list[Refusal] = []
        for letter in self.recent():
            if not where(letter):
                continue
            why = self._obstacle(letter) or self._tell(letter, to)
            if why is None:
                replayed.append(letter)
            else:
                refused.append(Refusal(letter, why))
        return Replayed(tuple(replayed), tuple(refused))

    def _obstacle(self, letter: DeadLetter) -> str | None:
        message = letter.message
        if letter.kind != "tell" or message.__class__ in SPECIAL:
            return "not a told message"
        if getattr(message, "no_replay", False) is True or isinstance(message, self._never):
            return f"{type(message).__name__} is never replayed"
        return None

    def _tell(self, letter: DeadLetter, to: "Ref | None") -> str | None:
        ref = to if to is not None else self._system.address(letter.recipient)
        if not ref.is_alive():
            return f"nothing runs at {ref.path}"
        with self._lock:
            place = next((n for n, kept in enumerate(self._ring) if kept is letter), None)
            if place is None:
                return "it left the ring meanwhile"
            del self._ring[place]
        try:
            ref.tell(letter.message)
        except ReplyError as error:
            with self._lock:
                self._ring.append(letter)
            return str(error)
        return None


def in_words(cause: Any) -> str:
    """A cause as a few words of a small vocabulary."""
    if isinstance(cause, Exit):
        return cause.kind.value
    return type(cause).__name__ if isinstance(cause, BaseException) else str(cause)
