"""What the egress guard is asked about a write, directly before its first byte: the same for the desk and the socket."""

from allstop.actors.egress import Guard, OrderFrame
from allstop.actors.intents import OrderIntent
from allstop.actors.levels import IntentKind, Origin


def submit_frame(
    guard: Guard | None, intent: OrderIntent, scope_head: tuple[str, str], attempt: int, deadline_s: float
) -> OrderFrame:
    """What the guard is asked about a submit. By whom it was committed, only the commit knows."""
    known = None if guard is None else guard.about(intent.id)
    return OrderFrame(
        kind=intent.kind,
        subject=intent.id,
        scope=(*scope_head, intent.pair),
        attempt=attempt,
        origin=Origin.STRATEGY if known is None else known[1],
        deadline_s=deadline_s,
    )


def command_frame(
    guard: Guard | None,
    subject: str,
    kind: IntentKind | None,
    scope_head: tuple[str, str],
    deadline_s: float,
    *,
    least: IntentKind = IntentKind.REDUCE,
) -> OrderFrame:
    """What the guard is asked about a cancel or an amend: what was committed under its id, or, when nothing was, the
    least that it claims. `kind` None: the committed one, else `least`."""
    known = None if guard is None else guard.about(subject)
    committed_kind, origin, scope = known or (least, Origin.STRATEGY, scope_head)
    return OrderFrame(
        kind=kind or committed_kind, subject=subject, scope=scope, origin=origin, deadline_s=deadline_s
    )
