"""The last child of a trading subtree: while the breaker is half-open it probes, and always it proves the budget.

A probe is one round of the reconciler: queries only. `probes` good rounds close the breaker, a bad one opens it for
longer. The budget proof says that the key's call counter leaves room and that the breaker is closed: entries are not
admitted by a subtree that is still on trial.
"""

import msgspec

from allstop.actors.commands import Proof
from allstop.actors.ledger_messages import GetLedger, LedgerView
from allstop.actors.limits.kraken import LIMITS
from allstop.actors.order_gate import GateWord
from allstop.actors.reconciler import Reconcile, ReconcileView
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Continue, Ref
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.supervisor import breaker_state, report_probe

ROOM = 0.9  # of the call counter: above it a further call may be refused by the venue
PROBE_TIMEOUT_S = 10.0


class _Look(msgspec.Struct, frozen=True):
    """To itself: look again."""


class Prober(Actor):
    """`gate` takes Proof("budget"); `trading` is the supervisor whose breaker is on trial; `key` names the trade key in
    the ledger. A protect key of its own is the guardian's affair, and the guardian's proof."""

    def __init__(
        self, *, trading: Ref, reconciler: Ref, ledger: Ref, gate: Ref, key: str, interval_s: float = 1.0
    ) -> None:
        self._key = key
        self._trading = trading
        self._reconciler = reconciler
        self._ledger = ledger
        self._gate = GateWord(gate)
        self._interval_s = interval_s

    def on_start(self) -> Continue:
        return Continue(_Look())

    async def on_continue(self, argument: object) -> None:
        await self._look()

    async def on_receive(self, message: object) -> None:
        match message:
            case _Look():
                await self._look()
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    async def _look(self) -> None:
        # The supervisor is busy while it starts this very child, and when it stops it: no answer is no news.
        try:
            breaker = await breaker_state(self._trading, timeout_s=self._interval_s)
            view: LedgerView = await self._ledger.call(GetLedger(), timeout_s=self._interval_s)
        except (ActorDead, CallTimeout):
            self.send_after(self._interval_s, _Look())
            return
        if breaker.state is BreakerState.HALF_OPEN:
            report_probe(self._trading, await self._probe())
        self._prove(breaker.state, view)
        self.send_after(self._interval_s, _Look())

    async def _probe(self) -> bool:
        try:
            view: ReconcileView = await self._reconciler.call(Reconcile(), timeout_s=PROBE_TIMEOUT_S)
        except (ActorDead, CallTimeout):
            return False
        return view.last_held  # an earlier round's proof is no answer to this probe

    def _prove(self, state: BreakerState, view: LedgerView) -> None:
        most = LIMITS[view.tier].rest_max * ROOM
        level = view.rest.get(self._key, 0.0)
        reason = ""
        if state is not BreakerState.CLOSED:
            reason = f"the breaker is {state.value}"
        elif level > most:
            reason = f"the call counter is at {level:.1f} of {most:g}"
        if self._gate.knows(holds=not reason, reason=reason):
            return
        self._gate.tell(
            Proof(name="budget", holds=not reason, at_s=self.clock.now_s(), by=self.path, reason=reason)
        )
