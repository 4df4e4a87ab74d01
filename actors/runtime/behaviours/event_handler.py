"""What runs in an event manager: the class of its handlers, how one ends, and who is told."""

from collections.abc import Hashable
from enum import StrEnum
from typing import Any

import msgspec

from allstop.actors.errors import ReplyError
from allstop.actors.exits import Exit


class Why(StrEnum):
    """Why a handler ended."""

    DELETED = "deleted"  # delete_handler; `argument` is what it said
    REMOVED = "removed"  # it asked for that itself
    SWAPPED = "swapped"  # for another; `argument` is what swap_handler or Swap said
    ERROR = "error"  # it raised, or returned what it may not: `error`
    OWNER_DOWN = "owner_down"  # the actor that it was added for ended: `exit`
    STOP = "stop"  # the manager stops: `exit`


class HandlerEnd(msgspec.Struct, frozen=True):
    """What a handler's `on_stop` and its owner are told."""

    why: Why
    argument: Any = None
    error: BaseException | None = None
    exit: Exit | None = None


class HandlerDown(msgspec.Struct, frozen=True):
    """Told to the owner of a supervised handler when that is removed: gen_event_EXIT.

    Not told when the manager fails or is killed: monitor it for that.
    """

    manager: Any  # a Ref
    handler: Hashable
    end: HandlerEnd


class Remove(msgspec.Struct, frozen=True):
    """Returned by a handler: I am done. From `on_call`, `reply` answers the caller."""

    reply: Any = None


class Swap(msgspec.Struct, frozen=True):
    """Returned by `on_event`: another handler takes my place; it starts with what my `on_stop` returns."""

    handler: Hashable
    handler_class: "type[EventHandler]"
    args: tuple[Any, ...] = ()
    argument: Any = None


class NoSuchHandler(ReplyError):
    """The manager has no handler of this id."""


class HandlerExists(ReplyError):
    """The manager has a handler of this id already."""


class HandlerRefused(ReplyError):
    """The handler was not added: it failed to start, it has coroutines, or there is no room. Nothing changed."""


class HandlerFailed(ReplyError):
    """The handler raised while it answered this call, and was removed. The cause is what it raised."""


class EventHandler:
    """What runs in an event manager. Its methods are plain: what must wait belongs into an actor that subscribes."""

    def on_start(self, previous: Any) -> None:
        """Runs when it is added. `previous` is what the `on_stop` of the handler before it returned, after a swap."""

    def on_event(self, event: Any) -> Remove | Swap | None:
        """Handles an event. Anything but None, Remove or Swap is an error."""

    def on_call(self, request: Any) -> Any:
        """Answers `EventManager.call`. A ReplyError is an answer, too."""
        raise ReplyError(f"{type(self).__name__} answers no calls")

    def on_stop(self, end: HandlerEnd) -> Any:
        """Runs when it is removed, for whatever reason. What it returns answers delete_handler, or goes to its heir."""
