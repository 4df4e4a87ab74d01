"""What the runtime raises. `ActorDead` and `CallTimeout` are pykka's errors too, so pykka's `except` clauses hold."""

import pykka

from allstop.actors.errors import AllstopError, ReplyError
from allstop.actors.exits import Exit


class ActorDead(AllstopError, pykka.ActorDeadError):
    """The actor ended, or none runs at this address, so nobody will answer. `exit` says why, where it is known."""

    def __init__(self, path: str, incarnation: int = 0, exit_: Exit | None = None) -> None:
        why = f" ({exit_})" if exit_ is not None else ""
        which = f"incarnation {incarnation} of {path}" if incarnation else path
        super().__init__(f"{which} is not running{why}")
        self.path = path
        self.incarnation = incarnation
        self.exit = exit_


class CallTimeout(AllstopError, TimeoutError, pykka.Timeout):
    """No answer came in time. The actor goes on; an answer that comes later is dropped."""


class MailboxFull(ReplyError):
    """The mailbox is at its bound and its policy refuses this message. Nothing was queued."""

    def __init__(self, path: str, capacity: int, advice: str = "") -> None:
        super().__init__(f"the mailbox of {path} is full ({capacity} messages){advice}")
        self.path = path
        self.capacity = capacity


class StashFull(ReplyError):
    """The actor has put aside as many messages as its `stash_capacity` allows: this one was not."""

    def __init__(self, path: str, capacity: int) -> None:
        super().__init__(f"the stash of {path} is full ({capacity} messages)")
        self.path = path
        self.capacity = capacity


class UnknownMessage(AllstopError):
    """An actor was called with a message that it does not know. Its caller gets this, and it crashes."""

    def __init__(self, path: str, message: object) -> None:
        super().__init__(f"{path} does not know {message!r:.200}")
        self.path = path


class BadReturnValue(AllstopError, TypeError):
    """A callback returned what it may not return: its actor crashes."""


class UndefinedState(AllstopError):
    """A state machine came into a state for which it has no method."""


class TooManyEvents(ReplyError):
    """A state machine holds as many postponed or inserted events as it may: this result was not carried out."""

    def __init__(self, where: str, state: object, what: str, capacity: int) -> None:
        super().__init__(f"{where} in state {state!r} holds {capacity} {what} events already")
        self.capacity = capacity


class StartError(AllstopError):
    """The actor did not start: its constructor or `on_start` raised (see `cause`), or it ended while starting."""

    def __init__(self, path: str, cause: BaseException | None = None, exit_: Exit | None = None) -> None:
        why = (
            f"{type(cause).__name__}: {cause}"
            if cause is not None
            else str(exit_ or "it ended while starting")
        )
        super().__init__(f"{path} did not start: {why}")
        self.path = path
        self.cause = cause
        self.exit = exit_
        self.__cause__ = cause


class StartTimeout(StartError):
    """`on_start` took longer than the start may take; the actor was killed."""

    def __init__(self, path: str, start_timeout_s: float) -> None:
        super().__init__(path, TimeoutError(f"on_start took longer than {start_timeout_s} s"))


class AlreadyStarted(StartError, ReplyError):
    """An actor runs at this address already, or under this child's id: `ref`."""

    def __init__(self, path: str, ref: object) -> None:
        super().__init__(path, RuntimeError("an actor runs at this address already"))
        self.ref = ref


class Fenced(AllstopError):
    """This incarnation was killed or replaced: nothing it still does may count."""

    def __init__(self, path: str, incarnation: int) -> None:
        super().__init__(f"incarnation {incarnation} of {path} is fenced")
        self.path = path
        self.incarnation = incarnation


class HandlerTimeout(AllstopError, TimeoutError):
    """A message took the actor longer than its class allows (`max_handler_s`): the incarnation was ended."""

    def __init__(self, path: str, incarnation: int, message: str, limit_s: float) -> None:
        super().__init__(
            f"incarnation {incarnation} of {path} worked on a {message} for more than {limit_s} s"
        )
        self.path = path
        self.incarnation = incarnation
        self.message = message
        self.limit_s = limit_s


class BlockingOnLoop(AllstopError, RuntimeError):
    """A blocking wait was tried on a thread that runs an event loop: it would stop every actor. Await instead."""


class CallingSelf(AllstopError, RuntimeError):
    """An actor called itself and would wait for itself: tell yourself, or call the method."""


class ControlLaneFull(AllstopError):
    """So many runtime messages wait that the actor cannot be serving them: it is crashed."""


class NameTaken(ReplyError):
    """Another address has this name: `ref`."""

    def __init__(self, name: object, ref: object) -> None:
        super().__init__(f"{name!r} is {getattr(ref, 'path', ref)}")
        self.name = name
        self.ref = ref


class NotOnLoop(AllstopError, RuntimeError):
    """This may be called only on the thread of the system's event loop."""


class FreeThreaded(RuntimeError):
    """This interpreter runs without its global lock, which mailboxes rely on. Start it with the lock."""
