"""What travels to an event manager, besides events: the functions of EventManager send these."""

from collections.abc import Hashable
from typing import Any

import msgspec

from allstop.actors.runtime.behaviours.event_handler import EventHandler, Swap


class AddHandler(msgspec.Struct, frozen=True):
    handler: Hashable
    handler_class: type[EventHandler]
    args: tuple[Any, ...]
    owner: Any = None  # a Ref


class DeleteHandler(msgspec.Struct, frozen=True):
    handler: Hashable
    argument: Any


class SwapHandler(msgspec.Struct, frozen=True):
    old: Hashable
    swap: Swap
    owner: Any = None


class CallHandler(msgspec.Struct, frozen=True):
    handler: Hashable
    request: Any


class SyncNotify(msgspec.Struct, frozen=True):
    event: Any


class WhichHandlers(msgspec.Struct, frozen=True):
    pass


class Subscribe(msgspec.Struct, frozen=True):
    ref: Any
    kinds: tuple[type[Any], ...]


class Unsubscribe(msgspec.Struct, frozen=True):
    ref: Any
