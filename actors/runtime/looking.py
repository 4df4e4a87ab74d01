"""What can be seen of the actors that run, from beside them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.ref import Ref


class ActorInfo(msgspec.Struct, frozen=True):
    """One running actor, as `system.actors()` lists it."""

    path: str
    incarnation: int
    state: str
    mailbox_len: int
    actor_class: type[Any]
    parent: str | None


class Status(msgspec.Struct, frozen=True):
    """What an actor is doing, read beside its mailbox: it is there also while a handler is suspended."""

    path: str
    incarnation: int
    state: str
    mailbox_len: int
    control_len: int
    handling: bool  # a handler is suspended
    shown: Any  # what the actor's format_status shows


def actor_infos(cells: "Iterable[Cell]") -> list[ActorInfo]:
    return [
        ActorInfo(
            path=cell.path,
            incarnation=cell.incarnation,
            state=cell.state.value,
            mailbox_len=len(cell.queue),
            actor_class=cell.actor_class,
            parent=cell.parent.path if cell.parent is not None else None,
        )
        for cell in cells
    ]


def status_of(ref: "Ref") -> Status | None:
    """None if nothing runs there."""
    cell = ref.cell
    if cell.ended:
        return None
    return Status(
        path=cell.path,
        incarnation=cell.incarnation,
        state=cell.state.value,
        mailbox_len=len(cell.queue),
        control_len=len(cell.control or ()),
        handling=cell.handling,
        shown=cell.actor.shown_status() if cell.actor is not None else None,
    )
