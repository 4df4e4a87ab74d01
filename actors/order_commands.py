"""The three commands that a session sends: what they are made of, which orders they are about, what they cost, and
what an answer proves."""

from allstop.actors.commands import Amend, Cancel, Submit
from allstop.actors.errors import Outcome, Remedy
from allstop.actors.ledger_messages import ChargeOrder
from allstop.actors.levels import IntentKind
from allstop.actors.limits.kraken import OrderOp
from allstop.actors.limits.lanes import lane_of
from allstop.actors.order_talk import AmendOrder
from allstop.actors.protocols.kraken.events import MethodReply
from allstop.actors.protocols.order_life import Life
from allstop.actors.protocols.records import CommandIntended
from allstop.actors.reports import Accepted, Rejected, Unknown, WriteOutcome

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
            # Over the limit Kraken takes cancels in batches and refuses a single one.
            single = len(order_ids) == 1
            return ChargeOrder(op=OrderOp.CANCEL if single else OrderOp.BATCH_CANCEL, orders=order_ids,
                               lane=lane_of(IntentKind.CANCEL), overdraft=not single)  # fmt: skip


def outcome_of(command: Command, reply: MethodReply) -> WriteOutcome:
    """What the reply proves for this command. A batch of which not all were cancelled proves only that."""
    outcome = reply.outcome
    if not isinstance(outcome, Accepted) or isinstance(command, Submit):
        return outcome
    ids = order_ids_of(command)
    if reply.count is not None and reply.count != len(ids):
        return Unknown(f"{reply.count} of {len(ids)} orders were cancelled")
    return Accepted(ids)


def intended_of(
    life: Life, command_id: str, order_id: str, amend: AmendOrder | None, at_ns: int
) -> CommandIntended:
    """What is journalled before a cancel, or this amend, of an order is sent."""
    return CommandIntended(
        command_id=command_id,
        intent_id=life.intent.id,
        verb="cancel" if amend is None else "amend",
        kind=IntentKind.CANCEL if amend is None else amend.kind,
        origin=life.origin,
        scope=life.scope,
        order_ids=(order_id,),
        at_ns=at_ns,
        order_qty=amend and amend.order_qty,
        limit_price=amend and amend.limit_price,
    )


def message_of(intended: CommandIntended, deadline_s: float) -> Amend | Cancel:
    """The command to the session, or to the desk, that was intended."""
    if intended.verb == "cancel":
        return Cancel(command_id=intended.command_id, order_ids=intended.order_ids)
    return Amend(
        command_id=intended.command_id,
        intent_id=intended.intent_id,
        order_id=intended.order_ids[0],
        kind=intended.kind,
        order_qty=intended.order_qty,
        limit_price=intended.limit_price,
        deadline_s=deadline_s,
    )


def in_doubt(outcome: WriteOutcome) -> bool:
    """Whether the answer to a cancel or an amend leaves open what the order is now."""
    match outcome:
        case Unknown():
            return True
        case Rejected(fault=fault):
            return fault.outcome is not Outcome.NO or fault.remedy in (Remedy.LOOK, Remedy.RESYNC)
        case _:
            return False
