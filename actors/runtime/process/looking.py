"""Looking at an actor in another process and holding it, from here: `inspection` asks through this.

The questions are answered there by `inspection` itself. What is found travels as the codec lets it; a value that cannot
travel is shown by its repr, as `Elsewhere`. Hooks stay here: the other process tells each step, and they are called.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allstop.actors.errors import AllstopError
from allstop.actors.exits import Exit
from allstop.actors.runtime.errors import ActorDead
from allstop.actors.runtime.inspection.observer import Statistics
from allstop.actors.runtime.inspection.onlookers import Onlookers, Step, StepKind
from allstop.actors.runtime.process import frames as f
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.process.errors import Unencodable, unparcelled

if TYPE_CHECKING:
    from allstop.actors.runtime.process.process_cell import ProcessCell

REPR_MAX: Final = 1_000


class Elsewhere(msgspec.Struct, frozen=True):
    """Stands for a value in another process that cannot travel: its repr."""

    text: str

    def __repr__(self) -> str:
        return f"<in its process: {self.text}>"


def shown(value: Any, codec: Codec) -> f.Part:
    """In the other process: the value, encoded, or its repr."""
    try:
        return f.Part(codec.encode(value))
    except Unencodable:
        return f.Part(None, _in_words(value))


def _in_words(value: Any) -> str:
    try:
        return repr(value)[:REPR_MAX]
    except Exception as error:  # noqa: BLE001 - the user's __repr__: looking must not fail
        return f"{type(value).__name__}, whose __repr__ raised {type(error).__name__}"


def seen(part: f.Part, codec: Codec) -> Any:
    """In this process: what `shown` made of it."""
    return Elsewhere(part.text) if part.body is None else codec.decode(part.body)


def shown_step(step: Step, codec: Codec, left_out: int) -> f.ShownStep:
    result = None if step.result is None else shown(step.result, codec)
    return f.ShownStep(
        step.at_ns, step.kind.value, shown(step.message, codec), step.called, result, step.took_s, left_out
    )


class Looking(Onlookers):
    """Of one process cell. On the loop."""

    _cell: "ProcessCell"

    def __init__(self, cell: "ProcessCell") -> None:
        super().__init__(cell)
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self.suspended = False
        self._counted: Statistics | None = None

    def statistics(self) -> Statistics | None:
        """As they came last: while there is work they are at most 50 ms old."""
        return self._counted

    def counted(self, statistics: bytes) -> None:
        self._counted = msgspec.msgpack.decode(statistics, type=Statistics)

    # -- asking ----------------------------------------------------------------------------------------------------
    async def ask(self, what: str, timeout_s: float) -> Any:
        """Raises TimeoutError after `timeout_s`: the question is taken back then, and so is what it did."""
        self._numbers += 1
        number = self._numbers
        future = self._asked[number] = self._cell.scheduler.loop.create_future()
        self._cell.say(f.Look(number, what, timeout_s))
        try:
            async with asyncio.timeout(timeout_s):
                found = await future
        except (TimeoutError, asyncio.CancelledError):
            self._cell.say(f.LookAway(number))
            raise
        finally:
            self._asked.pop(number, None)
        if what in ("count", "statistics", "count no more"):
            self._counted = None if what == "count no more" else found
        return found

    def answered(self, frame: f.Looked) -> None:
        future = self._asked.get(frame.number)
        if future is None or future.done():
            return
        codec = self._cell.codec
        if frame.error is not None:
            future.set_exception(unparcelled(frame.error, codec.decode))
        elif frame.statistics is not None:
            future.set_result(msgspec.msgpack.decode(frame.statistics, type=Statistics))
        elif frame.attributes is not None:
            future.set_result({name: seen(part, codec) for name, part in frame.attributes.items()})
        elif frame.state is not None:
            future.set_result(seen(frame.state, codec))
        else:
            future.set_result(None)

    def ended(self, exit_: Exit) -> None:
        """Nobody answers any more."""
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(ActorDead(self._cell.path, self._cell.incarnation, exit_))

    # -- steps -----------------------------------------------------------------------------------------------------
    def want_steps(self) -> None:
        """Tells the other process whether anybody wants to know of them. A log goes into crash reports."""
        watched: Any = None if self.log is None else self
        self._cell.observer = watched
        self._cell.say(f.TellSteps(self.wanted))

    def one_left(self) -> None:
        self.want_steps()

    def step(self, frame: f.ShownStep) -> None:
        cell, codec = self._cell, self._cell.codec
        result: Any = None if frame.result is None else seen(frame.result, codec)
        if frame.kind == StepKind.RAISED and isinstance(result, Elsewhere):
            result = StepRaised(result.text)
        step = Step(
            at_ns=frame.at_ns,
            path=cell.path,
            incarnation=cell.incarnation,
            kind=StepKind(frame.kind),
            message=seen(frame.message, codec),
            called=frame.called,
            result=result,
            took_s=frame.took_s,
            left_out=frame.left_out,
        )
        self.show(step)


class StepRaised(AllstopError):
    """What a handler in another process raised, in words: as a step shows it."""
