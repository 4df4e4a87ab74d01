"""What a supervisor does: it carries out what its core decides, and tells the core how that went.

Most restarts go the straight road (straight.py): while what is asked for happens at once, the core is told by plain
calls. Where something takes time, fails or ends otherwise, the general road goes on from there.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from types import CoroutineType
from typing import Any, cast

from allstop.actors.clock import Clock, Dice
from allstop.actors.events import ShutdownOverrun
from allstop.actors.exits import SHUTDOWN, Exit
from allstop.actors.runtime import (
    Actor,
    ActorSystem,
    AlreadyStarted,
    Down,
    Ignore,
    Ref,
    StartError,
    Timer,
)
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.starting import launch, launch_again, stand_in, started, vacant
from allstop.actors.runtime.states import ENDED, RUNNING
from allstop.actors.runtime.stopping import ended_idle, stopped_at_once
from allstop.actors.spec import BRUTAL_KILL, ChildSpec, Isolation
from allstop.supervisors import decisions as d
from allstop.supervisors.childspecs import child_segment
from allstop.supervisors.core import SupervisorCore
from allstop.supervisors.lasting import tell_moved
from allstop.supervisors.votes import Votes
from allstop.supervisors.waiting import AT_ONCE_MAX, Minding, Starting, Stopping, Turn, Wait

# Looked up at each restart.
Report, StartChild, StopChildren, LOOP = d.Report, d.StartChild, d.StopChildren, Isolation.LOOP

LEEWAY_S = 0.005  # of a supervisor that has much to do, before others have their turn


class CarryingOut(Actor):
    """A supervisor without what it is asked: what it does to its children."""

    _core: SupervisorCore
    _votes: Votes | None
    _system: ActorSystem
    _clock: Clock
    _dice: Dice
    _ends: bool  # it stops, and its children with it
    _timers: dict[int, Timer]
    _reply: object
    _refusal: Exception | None

    # -- the straight road -----------------------------------------------------------------------------------------
    def _child_ended(self, down: Down, child_id: Hashable) -> Any:
        """A child ended by itself: gives a coroutine where something has to be waited for or there is much to do."""
        clock = self._clock
        now_s = clock.now_s()
        plain = self._core.failed_plainly(child_id, down.incarnation, down.exit, now_s, clock.wall_ns())
        if plain is None:
            return self._carry_out(d.Ended(child_id, down.incarnation, down.exit))
        ended, scheduled, asked = plain
        emit = self._system.emit
        emit(ended)
        emit(scheduled)
        return self._go_straight(asked, now_s)

    def _go_straight(self, asked: Any, began_s: float) -> Any:
        self._reply = self._refusal = None
        core, clock, emit = self._core, self._clock, self._system.emit
        now_s = began_s
        while asked is not None:
            if asked.__class__ is StartChild:
                spec = asked.spec
                begun: Any = self._begun(spec, now_s)
                if begun.__class__ is not Cell or begun.state is not RUNNING:
                    answer = begun if not isinstance(begun, Cell) else self._taken(spec, begun)
                    return self._follow(answer, began_s)
                cell = begun
                cell.minder = Minding(self._cell, spec.id)
                now_s = clock.now_s()
                if now_s - began_s > LEEWAY_S:
                    return self._carry_on(d.Started(spec.id, cell.ref, cell.incarnation))
                event, asked = core.started_plainly(cell.ref, cell.incarnation, now_s, clock.wall_ns())
                emit(event)
            else:
                stop = asked.stops[0]
                cell = stop.ref._cell
                if cell.__class__ is Cell and cell.minder is not None:  # as `_released` has it
                    cell.minder.active = False
                    cell.minder = None
                if stop.shutdown is BRUTAL_KILL or not ended_idle(cell, SHUTDOWN):
                    return self._follow(self._stop_children((stop,)), began_s)
                if (now_s := clock.now_s()) - began_s > LEEWAY_S:
                    return self._carry_on(d.Stopped(((stop.child_id, SHUTDOWN),)))
                asked = core.stopped_plainly()
        return None

    # -- the general road ------------------------------------------------------------------------------------------
    def _carry_out(
        self, given: d.Given, go_on: Callable[[d.Given | Wait | None], Coroutine[Any, Any, Any]] | None = None
    ) -> Any:
        """Tells the core and does what it answers, until nothing is left. Gives back its reply or raises its refusal:
        a coroutine of that (what `go_on` gives), where something has to be waited for or there is much to do."""
        self._reply = self._refusal = None
        clock = self._clock
        began_s = clock.now_s()
        commands = self._core.handle(given, began_s, self._dice.draw(), clock.wall_ns())
        return self._follow(self._do(commands), began_s, go_on)

    def _follow(
        self,
        answer: d.Given | Wait | None,
        began_s: float,
        go_on: Callable[[d.Given | Wait | None], Coroutine[Any, Any, Any]] | None = None,
    ) -> Any:
        clock, decide = self._clock, self._core.handle
        while answer is not None:
            if isinstance(answer, Wait) or (now_s := clock.now_s()) - began_s > LEEWAY_S:
                return (go_on or self._carry_on)(answer)
            # A start that succeeded decides nothing by chance.
            draw = 0.0 if isinstance(answer, d.Started) else self._dice.draw()
            answer = self._do(decide(answer, now_s, draw, clock.wall_ns()))
        if self._refusal is not None:
            raise self._refusal
        return self._reply

    async def _carry_on(self, answer: d.Given | Wait | None) -> Any:
        began_s = 0.0  # long ago
        while answer is not None:
            if isinstance(answer, Wait):
                answer = await answer.over()
            elif self._clock.now_s() - began_s > LEEWAY_S:
                await asyncio.sleep(0)  # the others have their turn
                began_s = self._clock.now_s()
            clock = self._clock
            draw = 0.0 if isinstance(answer, d.Started) else self._dice.draw()
            answer = self._do(self._core.handle(answer, clock.now_s(), draw, clock.wall_ns()))
        if self._refusal is not None:
            raise self._refusal
        return self._reply

    def _do(self, commands: tuple[d.Command, ...]) -> d.Given | Wait | None:
        """Carries the commands out, in order. What answers the last one of them, if that is one to be answered."""
        answer: d.Given | Wait | None = None
        for command in commands:  # a restart is three reports and a start: these are looked for first
            if isinstance(command, Report):
                self._system.emit(command.event)
            elif isinstance(command, StartChild):
                answer = self._start_child(command.spec)
            elif isinstance(command, d.StopChildren):
                answer = self._stop_children(command.stops)
            elif isinstance(command, d.AwaitTurn):
                answer = Turn(self._core.lasting.turns, self.path, command.delay_s)
            else:
                self._perform(command)
        return answer

    def _perform(self, command: d.Command) -> None:
        match command:
            case d.Reply(value):
                self._reply = value
            case d.Refuse(error):
                self._refusal = error
            case d.FailStart(error):
                raise error
            case d.ScheduleRestart(child_id, delay_s, ticket):
                self._timers[ticket] = self.send_after(delay_s, d.RestartDue(child_id, ticket))
            case d.ScheduleCooldown(delay_s, ticket):
                self._timers[ticket] = self.send_after(delay_s, d.CooldownDue(ticket))
            case d.ScheduleGateLook(gate, delay_s):
                self.send_after(delay_s, d.GateLook(gate))
            case d.TellMoved(gate, paths):
                self._tell_moved(gate, paths)
            case d.CancelTimer(ticket):
                timer = self._timers.pop(ticket, None)
                if timer is not None:
                    timer.cancel()
            case d.GiveUp(exit_) if self._ends and exit_.error is not None:
                raise exit_.error  # a fatal end, found while we stop: it becomes ours
            case d.GiveUp(exit_):
                self.exit(exit_)
            case d.Retire(ref):
                self.system.retire(cast(Ref, ref))
            case d.Latch(offender, error):
                self.latch(offender, error)
            case d.LowerLevel(reason, latched):
                if self._votes is not None:
                    self._votes.cast(self.path, reason, latched=latched)
            case d.RaiseLevel(by_person):
                if self._votes is not None:
                    self._votes.withdraw(self.path, by_person=by_person)
            case _:
                raise TypeError(f"not a command of the core: {command!r}")

    def _tell_moved(self, gate: str, paths: tuple[str, ...]) -> None:
        tell_moved(self.system, self._core.lasting, gate, paths)

    def latch(self, offender: Hashable, error: BaseException) -> None:
        """A child gave up and `on_exceeded` is LATCH: votes for it, latched. The root halts instead."""
        del offender  # the error names it
        if self._votes is not None:
            self._votes.cast(self.path, str(error), latched=True)

    # -- children --------------------------------------------------------------------------------------------------
    def child_path(self, child_id: Hashable) -> str:
        """A child's address."""
        return f"{self.path.rstrip('/')}/{child_segment(child_id)}"

    def _start_child(self, spec: ChildSpec) -> d.Given | Wait:
        begun = self._begun(spec, self._clock.now_s())
        return self._taken(spec, begun) if isinstance(begun, Cell) else begun

    def _begun(self, spec: ChildSpec, now_s: float) -> Cell | d.Given | Wait:
        """Its new incarnation, if its start is over; it may have ended already."""
        start = spec.start
        system = self._system
        try:
            ref: Ref | None = self._core.children[spec.id].ref  # pyright: ignore[reportAssignmentType]
            own, actor_class, cell = self._cell, start.actor_class, None
            if (
                ref is not None
                and spec.isolation is LOOP
                and spec.while_down is None
                and own.state is not ENDED
            ):
                cell = launch_again(ref, actor_class, start.args, start.kwargs, own, now_s)
            if cell is None:
                if ref is None or ref._cell is not system.vacancy:
                    ref = vacant(system, self.child_path(spec.id))
                if spec.isolation is not LOOP:
                    actor_class = stand_in(
                        system, actor_class, spec.isolation, ref.path, spec.simulated_cost_s
                    )
                # A supervisor that ended has no address to father from: its `ref` says so.
                parent = own.ref if own.state is not ENDED else self.ref
                cell = launch(system, ref, actor_class, start.args, start.kwargs, parent, spec.while_down)
            if cell.started is not None:
                return Starting(spec, cell, self._taken)
            if cell.state is ENDED:
                started(cell, began=False)
        except AlreadyStarted as error:  # by an outsider
            return d.NotStarted(spec.id, error)
        except StartError as error:
            return d.NotStarted(spec.id, error.cause or error)
        return cell

    def _taken(self, spec: ChildSpec, cell: Cell) -> d.Given:
        """The child runs, or chose not to. One that has ended meanwhile is told of at once, with its true exit: no end
        is lost between a start and the monitor."""
        child_id = spec.id
        if cell.exit is not None and cell.exit.detail.__class__ is Ignore:
            return d.Ignored(child_id)
        cell.mind(Minding(self._cell, child_id))
        return d.Started(child_id, cell.ref, cell.incarnation)

    def _stop_children(self, stops: tuple[d.StopChild, ...]) -> d.Given | Wait:
        """All of these at the same time: a static supervisor is given one at a time."""
        stops = tuple(map(self._released, stops))
        if len(stops) > AT_ONCE_MAX:
            return Stopping(self.system, stops, self._overran)
        exits: list[tuple[Hashable, Exit]] = []
        for stop in stops:
            exit_ = stopped_at_once(cast(Ref, stop.ref), SHUTDOWN, stop.shutdown)
            if exit_ is None:
                return Stopping(self.system, stops, self._overran, dict(exits))
            exits.append((stop.child_id, exit_))
        return d.Stopped(tuple(exits))

    def _released(self, stop: d.StopChild) -> d.StopChild:
        """From here on the end of this child is answered by its stop. One that is starting still gets its address."""
        ref = stop.ref
        if ref is None:
            ref = self.system.address(self.child_path(stop.child_id))
            stop = d.StopChild(stop.child_id, ref, stop.shutdown)
        cast(Ref, ref).cell.mind(None)
        return stop

    def _overran(self, stop: d.StopChild, unstopped: bool) -> None:
        self.system.emit(
            ShutdownOverrun(
                at_ns=self._clock.wall_ns(), path=self.path, child=str(stop.child_id), unstopped=unstopped
            )
        )


async def finished(result: Any) -> Any:
    """What a handler of a supervisor gives, waited for where it takes time."""
    return await result if result.__class__ is CoroutineType else result
