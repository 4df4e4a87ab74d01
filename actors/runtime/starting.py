"""How an incarnation begins: its cell at an address, its constructor, its `on_start`.

All of that is done at once where nothing suspends, so that a supervisor can restart a child within the message that
tells of its end; only an `on_start` that is a coroutine has to be waited for.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.exits import SHUTDOWN
from allstop.actors.runtime.arguments import want_ref
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.errors import AlreadyStarted, StartError, StartTimeout
from allstop.actors.runtime.isolation import IsolationRefused, isolated
from allstop.actors.runtime.messages import Ignore, Stop
from allstop.actors.runtime.ref import PinnedRef, Ref
from allstop.actors.runtime.states import ENDED, RUNNING, STARTING
from allstop.actors.runtime.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from allstop.actors.runtime.actor import Actor
    from allstop.actors.runtime.system import ActorSystem
    from allstop.actors.spec import Isolation, Stash

# Calling a class costs half as much again as this and its `__init__`, which the interpreter then calls without leaving
# its loop; three objects are made per start.
new: Final = object.__new__


def nameless(system: "ActorSystem") -> Ref:
    """A new address with no path of its own."""
    ref = new(Ref)
    ref.__init__(system, system.next_anonymous())
    return ref


def vacant(system: "ActorSystem", path: str) -> Ref:
    """The address at this path, for a new incarnation. Raises AlreadyStarted if one runs there."""
    ref = system.addresses.at(path)
    if not ref._cell.ended:
        raise AlreadyStarted(path, ref)
    return ref


def stand_in(
    system: "ActorSystem",
    actor_class: "type[Actor]",
    isolation: "Isolation | str",
    path: str | None,
    simulated_cost_s: float | None = None,
) -> "type[Actor]":
    """The class that stands for `actor_class` where it is to run: on a thread or in a process. Raises StartError."""
    try:
        simulated = isinstance(system.scheduler.loop, VirtualTimeLoop)
        return isolated(actor_class, isolation, simulated=simulated, simulated_cost_s=simulated_cost_s)
    except IsolationRefused as error:
        raise StartError(path or actor_class.__name__, error) from error


def adopt(ref: Ref, parent: Ref) -> None:
    """From here on `ref` is retired when `parent` is."""
    path = ref.path  # by asking, it has one
    place = ref._place
    assert place is not None
    if place.parent is not None and place.parent._children is not None:
        place.parent._children.pop(path, None)
    place.parent = parent
    if parent._children is None:
        parent._children = {}
        parent._kept = True
    parent._children[path] = place


def _no_class(given: object) -> TypeError:
    return TypeError(
        f"spawn takes a class of actors and its arguments, as in spawn(Counter, 7), not {given!r}"
    )


def launch(
    system: "ActorSystem",
    ref: Ref,
    actor_class: "type[Actor]",
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    parent: Ref | None,
    while_down: "Stash | None",
) -> Cell:
    """Makes the next incarnation at a vacant address, and runs its constructor and what of its `on_start` is plain.

    Its life has begun when `cell.started` is None and it has not ended; otherwise `begun` is to be awaited. Raises
    StartError when the constructor raised.
    """
    if parent is not None and parent.__class__ is not Ref:
        want_ref("parent", parent)
        if isinstance(parent, PinnedRef):
            parent = (
                parent.as_parent()
            )  # a killed actor's child would hang on the incarnation that replaced it
    incarnation = ref._incarnation = ref._incarnation + 1
    ref.actor_class = actor_class
    try:
        cell = new(actor_class.cell_class)
        cell.__init__(system, system._scheduler or system.scheduler, ref, incarnation, actor_class)
    except AttributeError as error:
        raise _no_class(actor_class) from error
    ref._cell = cell
    if while_down is not None:
        ref.keep_while_down(while_down.capacity)
    place = ref._place
    if place is not None:
        place.number = incarnation
        ref._retired = False
        ref._parent = None
        ref._told = None
        if ref._awaited:
            cell.own().monitored_by.update(ref._awaited)
            ref._awaited = None
    system.live[cell] = None
    if parent is not None:
        ref._parent = parent
        if place is None or place.parent is not parent:
            adopt(ref, parent)
        above = parent._cell
        if above is not system.vacancy:
            has = above.belongings
            clock = system._clock or system.clock
            (has if has is not None else above.own()).children[cell] = clock.now_s()
    try:
        make = actor_class.__new__
        actor = new(actor_class) if make is new else make(actor_class)
        actor._cell = cell
        cell.actor = actor
        if args or kwargs:
            actor.__init__(*args, **kwargs)
        else:
            actor.__init__()
    except BaseException as error:
        if not isinstance(actor_class, type):
            wrong = _no_class(actor_class)
            ref.actor_class = cell.actor_class = type(actor_class)
            cell.abort(wrong)
            raise StartError(ref.path, wrong) from error
        cell.abort(error)
        raise StartError(ref.path, error) from error
    if (
        cell.__class__ is Cell
        and cell.state is STARTING
        and cell.queue.__class__ is tuple
        and cell.detour is None
        and not actor_class.has_on_start
        and (place is None or not ref._kept)
        and while_down is None
    ):
        cell.state = RUNNING  # what `start_up` comes to, where there is nothing to run and nothing waits
        cell.idle = True
        if cell.queue and cell.idle:  # a thread slipped one in after the test
            cell.wake()
    else:
        cell.start_up()
    return cell


def launch_again(
    ref: Ref,
    actor_class: "type[Actor]",
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    above: Cell,
    now_s: float,
) -> Cell | None:
    """`launch` where little is to be looked at: nothing runs at this address, the latest incarnation was of the same
    class and under the same parent, which is `above`, and nothing waits there or was ever to be kept. That is how most
    restarts are. None, and nothing done, where it is otherwise. Raises StartError as `launch` does."""
    system = ref._system
    place, has = ref._place, above.belongings
    if (
        ref._cell is not system.vacancy
        or ref._parent is not above.ref
        or ref.actor_class is not actor_class
        or ref._kept
        or actor_class.cell_class is not Cell
        or place is None
        or has is None
    ):
        return None
    incarnation = ref._incarnation = ref._incarnation + 1
    cell = new(Cell)
    cell.__init__(system, above.scheduler, ref, incarnation, actor_class)
    ref._cell = cell
    place.number = incarnation
    ref._retired = False
    ref._told = None
    system.live[cell] = None
    has.children[cell] = now_s
    try:
        make = actor_class.__new__
        actor = new(actor_class) if make is new else make(actor_class)
        actor._cell = cell
        cell.actor = actor
        actor.__init__(*args, **kwargs)
    except BaseException as error:
        cell.abort(error)
        raise StartError(ref.path, error) from error
    cell.start_up()
    return cell


def started(cell: Cell, began: bool) -> Ref:
    """The address of what was launched. Raises StartError if it did not begin, unless it chose not to."""
    if not began:
        exit_ = cell.exit
        if exit_ is None or exit_.detail.__class__ is not Ignore:
            raise StartError(cell.path, exit_.error if exit_ is not None else None, exit_)
    return cell.ref


async def begun(cell: Cell, start_timeout_s: float) -> bool:
    """Whether its life began: what happens to it later, were it at once, is told as the end of a running actor."""
    started = cell.started
    if started is None:
        return cell.state is not ENDED
    try:
        async with asyncio.timeout(start_timeout_s):
            return await asyncio.shield(started)
    except TimeoutError:
        if not started.done():
            cell.kill()
            raise StartTimeout(cell.path, start_timeout_s) from None
        return started.result()
    except BaseException:  # whoever wanted this actor is gone
        if cell.parent is None or cell.parent.cell.ended:
            cell.kill()
        else:  # its parent, which ends, too, stops what it started in its own order and time
            cell.post(Stop(SHUTDOWN))
        raise
