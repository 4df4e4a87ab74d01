"""The last child of a trading subtree: while the breaker is half-open it probes, and always it proves the budget.

A probe is one round of the reconciler: queries only. `probes` good rounds close the breaker, a bad one opens it for
longer. The budget proof says that the key's call counter leaves room and that the breaker is closed: entries are not
admitted by a subtree that is still on trial. The breaker is asked for until it was seen closed: one that opens after that
ends its children. The counter is read off the account's board, each second, without a message.
"""

from collections.abc import Coroutine
from typing import Any, ClassVar

import msgspec

from allstop.actors.commands import Proof
from allstop.actors.order_gate import GateWord
from allstop.actors.reconciler import Reconcile, ReconcileView
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Continue, Ref
from allstop.actors.store_board import StoreBoard
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.supervisor import breaker_state, report_probe

ROOM = 0.9  # of the call counter: above it a further call may be refused by the venue
PROBE_TIMEOUT_S = 10.0


class _Look(msgspec.Struct, frozen=True):
    """To itself: look again."""


class Prober(Actor):
    """`gate` takes Proof("budget"); `trading` is the supervisor whose breaker is on trial; `key` names the trade key on
    `store`, where its call counter is read. A protect key of its own is the guardian's affair, and the guardian's proof."""

    keeps_task: ClassVar[bool] = False

    def __init__(
        self,
        *,
        trading: Ref,
        reconciler: Ref,
        store: StoreBoard,
        gate: Ref,
        key: str,
        interval_s: float = 1.0,
    ) -> None:
        self._key = key
        self._trading = trading
        self._reconciler = reconciler
        self._store = store
        self._gate = GateWord(gate)
        self._interval_s = interval_s
        self._closed = (
            False  # the breaker: one that was seen closed opens by ending its children, us with them
        )

    def on_start(self) -> Continue:
        return Continue(_Look())

    def on_continue(self, argument: object) -> object:
        return self._look()

    def on_receive(self, message: object) -> object:
        match message:
            case _Look():
                return self._look()
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    def _look(self) -> Coroutine[Any, Any, None] | None:
        """Gives a coroutine while the breaker may be on trial."""
        if not self._closed:
            return self._on_trial()
        self._prove(BreakerState.CLOSED)
        self.send_after(self._interval_s, _Look())
        return None

    async def _on_trial(self) -> None:
        # The supervisor is busy while it starts this very child, and when it stops it: no answer is no news.
        try:
            breaker = await breaker_state(self._trading, timeout_s=self._interval_s)
        except (ActorDead, CallTimeout):
            self.send_after(self._interval_s, _Look())
            return
        self._closed = breaker.state is BreakerState.CLOSED
        if breaker.state is BreakerState.HALF_OPEN:
            report_probe(self._trading, await self._probe())
        self._prove(breaker.state)
        self.send_after(self._interval_s, _Look())

    async def _probe(self) -> bool:
        try:
            view: ReconcileView = await self._reconciler.call(Reconcile(), timeout_s=PROBE_TIMEOUT_S)
        except (ActorDead, CallTimeout):
            return False
        return view.last_held  # an earlier round's proof is no answer to this probe

    def _prove(self, state: BreakerState) -> None:
        now_s, reason = self.clock.now_s(), ""
        key = self._store.keys.get(self._key)
        level, most = (
            (0.0, 0.0) if key is None else (key.rest.meter.level_at(now_s), key.rest.meter.max * ROOM)
        )
        if state is not BreakerState.CLOSED:
            reason = f"the breaker is {state.value}"
        elif level > most:
            reason = f"the call counter is at {level:.1f} of {most:g}"
        if not self._gate.knows(holds=not reason, reason=reason):
            self._gate.tell(Proof(name="budget", holds=not reason, at_s=now_s, by=self.path, reason=reason))
