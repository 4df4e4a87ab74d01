"""What can be seen of the actors that run, from beside them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from allstop.actors.runtime.inspection.observer import Statistics
from allstop.actors.runtime.inspection.onlookers import Step
from allstop.actors.runtime.mailbox import MailboxMetrics, Tally
from allstop.actors.runtime.reporting import waiting_types

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.process.looking import Looking
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
    suspended: bool = False  # by inspection.suspend
    actor_class: str = ""
    parent: str | None = None
    children: tuple[str, ...] = ()  # the paths of those that run
    links: tuple[str, ...] = ()
    monitored_by: tuple[str, ...] = ()  # besides its supervisor
    waiting: tuple[str, ...] = ()  # the types of the first messages in the mailbox
    statistics: Statistics | None = None  # if inspection counts
    log: tuple[Step, ...] = ()  # if inspection keeps one


def actor_infos(cells: "Iterable[Cell]") -> list[ActorInfo]:
    return [
        ActorInfo(
            path=cell.path,
            incarnation=cell.incarnation,
            state=cell.state.value,
            mailbox_len=cell.mailbox_len,
            actor_class=cell.actor_class,
            parent=cell.parent.path if cell.parent is not None else None,
        )
        for cell in cells
    ]


def metrics_of(ref: "Ref") -> MailboxMetrics | None:
    """None if nothing runs there."""
    cell = ref.cell
    if cell.ended:
        return None
    tally = cell.tally or Tally()
    length = cell.mailbox_len
    return MailboxMetrics(
        length=length,
        capacity=cell.capacity,
        overflow=cell.mailbox.overflow,
        high_water=max(length, tally.high_water),
        refused=tally.refused,
        dropped=tally.dropped,
        conflated=tally.conflated,
        parked=tally.parked,
    )


def status_of(ref: "Ref") -> Status | None:
    """None if nothing runs there."""
    cell = ref.cell
    if cell.ended:
        return None
    has = cell.belongings
    far: Looking | None = getattr(cell, "looking", None)  # in a process of its own
    observer = cell.observer if far is None else far
    suspended = cell.suspension is not None if far is None else far.suspended
    return Status(
        path=cell.path,
        incarnation=cell.incarnation,
        state=cell.state.value,
        mailbox_len=cell.mailbox_len,
        control_len=len(cell.control or ()),
        handling=cell.handling and not suspended,
        shown=cell.actor.shown_status() if cell.actor is not None else None,
        suspended=suspended,
        actor_class=cell.actor_class.__qualname__,
        parent=cell.parent.path if cell.parent is not None else None,
        children=tuple(child.path for child in has.children) if has is not None else (),
        links=tuple(peer.path for peer in has.links or ()) if has is not None else (),
        monitored_by=tuple(monitor.watcher.path for monitor in has.monitored_by) if has is not None else (),
        waiting=waiting_types(cell),
        statistics=observer.statistics() if observer is not None else None,
        log=tuple(observer.log or ()) if observer is not None else (),
    )
