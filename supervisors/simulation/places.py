"""What strategies were told when they placed an order, seen from outside: at the call itself, by neither side.

An orders actor's address answers as always; it also writes down each answer. What the actor under test writes about
itself proves nothing about what it told others.
"""

from collections.abc import Callable
from typing import Any

from allstop.actors.commands import Place
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.runtime.ref import CALL_TIMEOUT_S


def _nobody_listens(_intent_id: str, _taken: bool) -> None:
    return


def _nobody_asks(_path: str, _intent_id: str) -> None:
    return


class Told:
    """`submitted`: ids whose order was returned; `refused`: ids that were refused for sure. In the order of the
    answers, over all lives."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.refused: list[str] = []
        self.accepted_at_s: list[float] = []
        self.on_told: Callable[[str, bool], None] = _nobody_listens
        self.on_asked: Callable[[str, str], None] = _nobody_asks
        self._watched: list[Ref] = []  # an address lives as long as somebody holds it

    def watch(self, system: ActorSystem, path: str) -> None:
        """From now on what is answered to a Place at this address is written down."""
        ref = system.address(path)
        ref.__class__ = _WatchedRef
        vars(ref)["told"] = self
        self._watched.append(ref)

    def forget(self) -> None:
        """The system of these addresses is over."""
        self._watched.clear()


class _WatchedRef(Ref):
    """An address whose answers to Place are written down."""

    told: Told

    async def call(self, message: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        if message.__class__ is not Place:
            return await super().call(message, timeout_s)
        intent_id = message.intent.id
        self.told.on_asked(self.path, intent_id)
        try:
            view = await super().call(message, timeout_s)
        except Refused as refused:
            if refused.code is not RefusalCode.NOT_COMMITTED:  # that one says that nobody knows
                self.told.refused.append(intent_id)
                self.told.on_told(intent_id, False)
            raise
        self.told.submitted.append(intent_id)
        self.told.on_told(intent_id, True)
        self.told.accepted_at_s.append(self.system.clock.now_s())
        return view
