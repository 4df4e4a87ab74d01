"""Whether an intent, or an amend of one, may pass now: its kind, the instrument's rules, the level, whether the pair is
traded, and the gate."""

from collections.abc import Callable

import msgspec

from allstop.actors.commands import AmendIntent
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, check_intent
from allstop.actors.levels import IntentKind, Level, LevelBoard, Origin, Scope, permits
from allstop.actors.order_gate import GateBoard
from allstop.actors.protocols.order_life import Life


class Admission:
    """The rules of one account. `within_ramp` is asked only where it decides: asking takes a share of the ramp."""

    def __init__(
        self,
        scope: Scope,
        instruments: Callable[[str], Instrument | None],
        levels: LevelBoard,
        gate: GateBoard,
        *,
        fresh: Callable[[str], bool],
        within_ramp: Callable[[], bool],
    ) -> None:
        self._scope = scope
        self._instruments = instruments
        self._levels = levels
        self._gate = gate
        self._fresh = fresh
        self._within_ramp = within_ramp

    def refusal(self, intent: OrderIntent, origin: Origin) -> Refused | None:
        """Why this intent may not be placed now; None lets it pass."""
        if intent.kind not in (IntentKind.ENTRY, IntentKind.REDUCE):
            # A stop is the guardian's: on a position that it does not cover it would be an entry without one.
            return Refused(RefusalCode.BAD_KIND, f"{intent.kind} is not for placing", place="kind")
        if refused := check_intent(intent, self._instruments(intent.pair)):
            return refused
        return self._inadmissible(intent.kind, origin, intent.pair)

    def amended(self, life: Life, amend: AmendIntent) -> IntentKind:
        """As what the amend passes: one that only shrinks an order is a reduction. Raises Refused."""
        intent = life.intent
        amended = msgspec.structs.replace(
            intent,
            qty=amend.order_qty if amend.order_qty is not None else intent.qty,
            limit_price=amend.limit_price if amend.limit_price is not None else intent.limit_price,
        )
        if refused := check_intent(amended, self._instruments(intent.pair)):
            raise refused
        # Not of what was wanted at first: an order that was amended down must not come back up as a reduction.
        now_qty = life.report.order_qty if life.report is not None else None
        shrinks = amend.limit_price is None and amended.qty <= min(intent.qty, now_qty or intent.qty)
        kind = IntentKind.REDUCE if shrinks else intent.kind
        if refused := self._inadmissible(kind, life.origin, intent.pair):
            raise refused
        return kind

    def _inadmissible(self, kind: IntentKind, origin: Origin, pair: str) -> Refused | None:
        level = self._levels.effective((*self._scope, pair))
        asks_ramp = level is Level.RATE_LIMITED and kind is IntentKind.ENTRY
        within_ramp = not asks_ramp or self._within_ramp()
        if not permits(level, kind, origin=origin, fresh=self._fresh(pair), within_ramp=within_ramp):
            return Refused(RefusalCode.LEVEL, f"{kind} does not pass at {level.name}", place=pair)
        instrument = self._instruments(pair)
        if kind is IntentKind.ENTRY and instrument is not None and not instrument.tradable:
            why = f"{pair} is {instrument.status} at the venue"
            return Refused(RefusalCode.NOT_TRADABLE, why, place=pair)
        return self._gate.refusal(kind, pair)
