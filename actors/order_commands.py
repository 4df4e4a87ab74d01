"""The three commands that a session sends: which orders they are about, what they cost, and what an answer proves."""

from allstop.actors.commands import Amend, Cancel, Submit
from allstop.actors.ledger_messages import ChargeOrder
from allstop.actors.levels import IntentKind
from allstop.actors.limits.kraken import OrderOp
from allstop.actors.limits.lanes import lane_of
from allstop.actors.protocols.kraken.events import MethodReply
from allstop.actors.reports import Accepted, Unknown, WriteOutcome

Command = Submit | Amend | Cancel


def order_ids_of(command: Command) -> tuple[str, ...]:
    """The orders that it changes, each once: none for a submit."""
    match command:
        case Submit():
            return ()
        case Amend(order_id=order_id):
            return (order_id,)
        case Cancel(order_ids=order_ids):
            return tuple(dict.fromkeys(order_ids))


def deadline_of(command: Command, cancel_s: float) -> float:
    """Seconds after which it need not be sent any more. A cancel has no deadline at the venue: late is as good."""
    return cancel_s if isinstance(command, Cancel) else command.deadline_s


def charge_of(command: Command) -> ChargeOrder:
    """What the command costs, and whether it goes out even when the counter is full."""
    match command:
        case Submit(intent=intent):
            return ChargeOrder(op=OrderOp.ADD, pair=intent.pair, lane=lane_of(intent.kind),
                               overdraft=intent.kind is IntentKind.PROTECT)  # fmt: skip
        case Amend(order_id=order_id, kind=kind):
            return ChargeOrder(op=OrderOp.AMEND, orders=(order_id,), lane=lane_of(kind),
                               overdraft=kind is IntentKind.PROTECT)  # fmt: skip
        case Cancel(order_ids=order_ids):
            op = OrderOp.CANCEL if len(order_ids) == 1 else OrderOp.BATCH_CANCEL
            return ChargeOrder(op=op, orders=order_ids, lane=lane_of(IntentKind.CANCEL), overdraft=True)


def outcome_of(command: Command, reply: MethodReply) -> WriteOutcome:
    """What the reply proves for this command. A batch of which not all were cancelled proves only that."""
    outcome = reply.outcome
    if not isinstance(outcome, Accepted) or isinstance(command, Submit):
        return outcome
    ids = order_ids_of(command)
    if reply.count is not None and reply.count != len(ids):
        return Unknown(f"{reply.count} of {len(ids)} orders were cancelled")
    return Accepted(ids)
