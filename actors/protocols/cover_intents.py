"""The orders that a guardian's steps are: the intent of a step, the step of an intent, and what the journal is told when
one of them is over.

A stop or a flatten is an intent with an id that follows from the journal, so that it is the same after a restart. An
exit has the id that its strategy gave it, and its end is written down as a tracker would: somebody asks for it.
"""

from collections.abc import Callable

from allstop.actors.errors import Remedy
from allstop.actors.intents import OrderIntent, OrderType, StopLoss, TimeInForce
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.cover_memory import Parentage, cover_id
from allstop.actors.protocols.exiting import SendExit
from allstop.actors.protocols.positions import ZERO
from allstop.actors.protocols.records import Record, Terminal, Withheld
from allstop.actors.protocols.remedies import Flatten, PlaceStop
from allstop.actors.reports import NotSent, Rejected, WriteOutcome


def intent_of(
    account: str, step: PlaceStop | Flatten, count: Callable[[str], int]
) -> tuple[OrderIntent, Parentage]:
    """What is to be committed for a step. `count`: how many orders the journal has for a subject."""
    if isinstance(step, Flatten):
        subject = f"flatten {step.pair}"
        intent = OrderIntent(
            id=cover_id(account, subject, count(subject)),
            pair=step.pair,
            side=step.side,
            qty=step.qty,
            order_type=OrderType.MARKET,
            kind=IntentKind.PROTECT,
        )
        return intent, Parentage(intent.id, subject)
    subject = step.parent or f"stop {step.pair}"
    intent = OrderIntent(
        id=cover_id(account, subject, count(subject)),
        pair=step.pair,
        side=step.side,
        qty=step.qty,
        order_type=OrderType.STOP_LOSS if step.stop.limit_price is None else OrderType.STOP_LOSS_LIMIT,
        trigger_price=step.stop.trigger_price,
        limit_price=step.stop.limit_price,
        kind=IntentKind.PROTECT,
    )
    return intent, Parentage(intent.id, subject, step.parent)


def step_of(intent: OrderIntent) -> PlaceStop | Flatten | SendExit:
    """The step that an intent of an earlier incarnation was; its stop's parent no longer matters."""
    if is_exit_intent(intent):
        return SendExit(intent)
    if intent.order_type is OrderType.MARKET:
        return Flatten(intent.pair, intent.side, intent.qty)
    trigger = intent.trigger_price or ZERO
    return PlaceStop(
        intent.pair,
        intent.side,
        intent.qty,
        StopLoss(trigger_price=trigger, limit_price=intent.limit_price),
        None,
    )


def is_exit_intent(intent: OrderIntent) -> bool:
    """An exit that somebody wanted, and no order that the guardian thought of itself."""
    ioc = intent.order_type is OrderType.LIMIT and intent.time_in_force is TimeInForce.IOC
    return intent.kind is IntentKind.REDUCE and (ioc or intent.order_type is OrderType.MARKET)


def ended_by(intent: OrderIntent, outcome: WriteOutcome) -> tuple[Record, ...]:
    """What follows from an answer for the intent. The next try is a new intent: one that was not sent is over."""
    match outcome:
        case NotSent(reason=reason):
            return (Withheld(intent_id=intent.id, reason=reason), *not_placed(intent, reason))
        case Rejected(fault=fault) if fault.remedy is not Remedy.RENONCE and is_exit_intent(intent):
            return (
                Terminal(intent_id=intent.id, state="REJECTED", evidence=f"answer to attempt 1: {fault}"),
            )
        case _:
            return ()


def not_placed(intent: OrderIntent | None, why: str) -> tuple[Record, ...]:
    """For an exit the end is written."""
    if intent is None or not is_exit_intent(intent):
        return ()
    evidence = f"nothing of it is at the venue: {why}"
    return (Terminal(intent_id=intent.id, state="NOT_PLACED", evidence=evidence),)
