"""In the process of a hosted actor: what the parent asks `inspection` for, answered."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allstop.actors.runtime import inspection
from allstop.actors.runtime.inspection.observer import Observer
from allstop.actors.runtime.inspection.onlookers import Step
from allstop.actors.runtime.process import frames as f
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.process.errors import parcelled
from allstop.actors.runtime.process.looking import shown, shown_step

if TYPE_CHECKING:
    from allstop.actors.runtime.process.pipe import Pipe
    from allstop.actors.runtime.ref import Ref

STEPS_BYTES_MAX: Final = (
    1024 * 1024
)  # that wait for the parent: steps that come then are counted, and not told
STEPS: Final = "steps for the parent"


class LookedAt:
    """Answers for one actor. `unwrapped`: the message as its handler knows it."""

    def __init__(self, ref: "Ref", codec: Codec, pipe: "Pipe", unwrapped: Callable[[Any], Any]) -> None:
        self._ref = ref
        self._codec = codec
        self._pipe = pipe
        self._left_out = 0
        self._unwrapped = unwrapped
        self._looks: dict[int, asyncio.Task[None]] = {}
        self._suspending: set[int] = set()

    def look(self, frame: f.Look) -> None:
        if frame.what == "suspend" and self._ref.cell.suspension is None:
            self._suspending.add(frame.number)
        loop = self._ref.system.scheduler.loop
        self._looks[frame.number] = loop.create_task(self._answer(frame), name=frame.what)

    def look_away(self, number: int) -> None:
        """Whoever asked has gone: nothing of it stays."""
        task = self._looks.pop(number, None)
        if task is not None:
            task.cancel()
        if number in self._suspending and self._ref.is_alive():  # it may be done, and nobody heard of it
            self.look(f.Look(-number, "resume", 5.0))
        self._suspending.discard(number)

    def tell_steps(self, wanted: bool) -> None:
        if not self._ref.is_alive():
            return
        observer = self._observer()
        if wanted:
            observer.hooks[STEPS] = self._tell
        else:
            observer.hooks.pop(STEPS, None)
            observer.leave_if_unwanted()

    def _observer(self) -> Observer:
        observer = Observer.of(self._ref.cell)
        observer.unwrapped = self._unwrapped
        return observer

    def _tell(self, step: Step) -> None:
        if self._pipe.waiting_bytes > STEPS_BYTES_MAX:
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        frame = shown_step(step, self._codec, left_out)
        self._ref.system.scheduler.hop(self._pipe.send, frame)

    async def _answer(self, frame: f.Look) -> None:
        try:
            answer = await self._looked(frame)
        except Exception as error:  # noqa: BLE001 - the parent is told, and raises it
            answer = f.Looked(frame.number, error=parcelled(error, self._codec.encode))
        self._looks.pop(frame.number, None)
        self._pipe.send(answer)

    async def _looked(self, frame: f.Look) -> f.Looked:
        ref, number = self._ref, frame.number
        match frame.what:
            case "state":
                state = await inspection.get_state(ref, frame.timeout_s)
                if isinstance(state, dict) and all(isinstance(name, str) for name in state):
                    return f.Looked(number, attributes={k: shown(v, self._codec) for k, v in state.items()})
                return f.Looked(number, state=shown(state, self._codec))
            case "suspend":
                await inspection.suspend(ref, frame.timeout_s)
            case "resume":
                await inspection.resume(ref, frame.timeout_s)
            case "count" | "count no more" | "statistics":
                if frame.what == "count":
                    self._observer()
                on = {"count": True, "count no more": False}.get(frame.what)
                found = await inspection.statistics(ref, on)
                if found is not None:
                    return f.Looked(number, statistics=msgspec.msgpack.encode(found))
            case _:
                raise ValueError(f"nothing to look for: {frame.what!r}")
        return f.Looked(number)
