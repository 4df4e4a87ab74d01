"""Where an actor runs: the class that stands for a user's class on a thread or in a process of its own.

Being isolated is the choice of whoever starts the actor, not of its class: `isolation=` of a child spec or of `spawn`.
So the class that runs is derived when the actor starts.
"""

import asyncio
import inspect
import math
from typing import Any

from allstop.actors.errors import AllstopError
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.ref import Ref
from allstop.actors.runtime.thread_cell import ThreadCell
from allstop.actors.spec import Isolation

HANDLERS = ("on_start", "on_receive", "on_continue", "on_stop")


class IsolationRefused(AllstopError):
    """This class cannot be isolated like that. The message says why, and what to do; nothing was started."""


def isolated(
    actor_class: type[Actor],
    isolation: Isolation | str,
    *,
    simulated: bool = False,
    simulated_cost_s: float | None = None,
) -> type[Actor]:
    """The class to run instead of `actor_class`. Raises IsolationRefused.

    `simulated`: on a loop with virtual time everything runs on that loop. Messages to processes are encoded there all
    the same, and each message costs `simulated_cost_s`, by default the class's. Somebody has to state it: what is
    isolated blocks or computes for long, and a simulation in which that takes no time proves nothing of the real thing.
    """
    if problem := isolation_problem(actor_class, isolation):
        raise IsolationRefused(problem)
    match Isolation(isolation):
        case Isolation.LOOP:
            return actor_class
        case Isolation.THREAD:
            if simulated:
                return _costing(actor_class, _cost_s(actor_class, isolation, simulated_cost_s))
            return _on_a_thread(actor_class)
        case Isolation.PROCESS:
            real = _in_a_process(actor_class)
            if simulated:
                return _coding(_costing(actor_class, _cost_s(actor_class, isolation, simulated_cost_s)))
            return real


def isolation_problem(actor_class: type[Any], isolation: Isolation | str) -> str:
    """Why this class cannot be isolated like that, in words; "" if it can."""
    if isolation not in tuple(Isolation):
        choices = ", ".join(repr(word.value) for word in Isolation)
        return f"isolation is one of {choices}, not {isolation!r}"
    if isolation == Isolation.LOOP:
        return ""
    machine = isolation == Isolation.PROCESS and _is_machine(actor_class)
    if actor_class.cell_class not in (Cell, ThreadCell) and not machine:
        return (
            f"{actor_class.__qualname__} brings a mailbox and life of its own, which isolation would replace"
        )
    if isolation == Isolation.THREAD:
        return _asynchronous(actor_class)
    try:
        _in_a_process(actor_class)
    except IsolationRefused as error:
        return str(error)
    return ""


def unsendable(actor_class: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Why these arguments of its constructor cannot go to a process of its own, in words; "" if they can."""
    from allstop.actors.runtime.process.codec import Codec
    from allstop.actors.runtime.process.errors import Unencodable

    try:
        Codec(actor_class.wire, ref_class=Ref).encode([list(args), kwargs])
    except Unencodable as error:
        return f"{actor_class.__qualname__}(...): {error}"
    return ""


def _asynchronous(actor_class: type[Any]) -> str:
    for name in HANDLERS:
        if inspect.iscoroutinefunction(getattr(actor_class, name)):
            return (
                f"{actor_class.__qualname__}.{name} is async, and a thread of its own runs no event loop: "
                "make it a plain function, or use isolation='process'"
            )
    return ""


def derived(actor_class: type[Actor], **attributes: Any) -> type[Actor]:
    """A subclass that goes by the same name."""
    names = {name: getattr(actor_class, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(actor_class.__name__, (actor_class,), names | attributes)


def _on_a_thread(actor_class: type[Actor]) -> type[Actor]:
    if issubclass(actor_class.cell_class, ThreadCell):
        return actor_class
    return derived(actor_class, cell_class=ThreadCell)


def _in_a_process(actor_class: type[Actor]) -> type[Actor]:
    """Imported here: only few need processes, and everybody imports the runtime."""
    from allstop.actors.runtime.process.location import NotImportable
    from allstop.actors.runtime.process.stand_in import stand_in_for

    try:
        return stand_in_for(actor_class)
    except (NotImportable, TypeError) as error:
        raise IsolationRefused(f"{actor_class.__qualname__}: {error}") from error


def _coding(actor_class: type[Actor]) -> type[Actor]:
    from allstop.actors.runtime.process.simulated import simulation_of  # as above

    return simulation_of(actor_class)


def _is_machine(actor_class: type[Any]) -> bool:
    """Whether its life is that of a state machine, which a process of its own gives it as well."""
    if actor_class.cell_class is Cell:
        return False
    from allstop.actors.runtime.behaviours.state_machine import MachineCell  # not everybody has machines

    return actor_class.cell_class is MachineCell


def cost_problem(actor_class: type[Any], isolation: Isolation, stated_s: float | None) -> str:
    """Why no simulation would start this class isolated like that, in words; "" if one would."""
    if isolation is not Isolation.LOOP:
        try:
            _cost_s(actor_class, isolation, stated_s)
        except IsolationRefused as error:
            return str(error)
    return ""


def _cost_s(actor_class: type[Actor], isolation: Isolation | str, stated_s: float | None) -> float:
    """What a message costs in a simulation. Raises IsolationRefused where nobody says it."""
    name, where = actor_class.__qualname__, f"isolation={Isolation(isolation).value!r}"
    cost_s = actor_class.simulated_cost_s if stated_s is None else stated_s
    if cost_s is None:
        raise IsolationRefused(
            f"{name} with {where} blocks or computes for long, and in a simulation it runs on the loop: state in its "
            "child spec or on its class how much virtual time each message takes, as in simulated_cost_s=0.25 (0.0: none)"
        )
    if not 0 <= cost_s < math.inf:
        raise IsolationRefused(f"{name} with {where}: simulated_cost_s is seconds from 0 on, not {cost_s!r}")
    return cost_s


def _costing(actor_class: type[Actor], cost_s: float) -> type[Actor]:
    """On the loop: each message, and what goes on with a start, takes virtual time before it is handled."""

    async def on_receive(self: Actor, message: Any) -> Any:
        await asyncio.sleep(cost_s)
        result = actor_class.on_receive(self, message)
        return await result if inspect.iscoroutine(result) else result

    async def on_continue(self: Actor, argument: Any) -> Any:
        await asyncio.sleep(cost_s)
        result = actor_class.on_continue(self, argument)
        return await result if inspect.iscoroutine(result) else result

    cell_class = actor_class.cell_class if _is_machine(actor_class) else Cell
    return derived(actor_class, cell_class=cell_class, on_receive=on_receive, on_continue=on_continue)
