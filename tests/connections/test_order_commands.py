from decimal import Decimal

import pytest
from tests.connections.rig import entry

from allstop.actors.commands import Amend, Cancel, Submit
from allstop.actors.levels import IntentKind
from allstop.actors.limits.kraken import OrderOp
from allstop.actors.limits.lanes import Lane
from allstop.actors.order_commands import Command, charge_of, deadline_of, order_ids_of, outcome_of
from allstop.actors.protocols.kraken.events import MethodReply
from allstop.actors.protocols.kraken.faults import classify
from allstop.actors.reports import Accepted, Rejected, Unknown

SUBMIT = Submit(intent=entry(), deadline_s=3.0)
AMEND = Amend(command_id="c1", intent_id="i1", order_id="O1", limit_price=Decimal(1))
PROTECT = Amend(command_id="c2", intent_id="i1", order_id="O1", kind=IntentKind.PROTECT)
CANCEL = Cancel(command_id="c3", order_ids=("O1",))
BATCH = Cancel(command_id="c4", order_ids=("O1", "O2", "O1"))


def ok(**result: object) -> MethodReply:
    return MethodReply(method="m", req_id=1, ok=True, result=result)


@pytest.mark.parametrize(
    ("command", "order_ids"),
    [(SUBMIT, ()), (AMEND, ("O1",)), (CANCEL, ("O1",)), (BATCH, ("O1", "O2"))],
)
def test_a_command_is_about_these_orders(command: Command, order_ids: tuple[str, ...]):
    assert order_ids_of(command) == order_ids


@pytest.mark.parametrize(
    ("command", "op", "lane", "overdraft"),
    [
        (SUBMIT, OrderOp.ADD, Lane.ENTRY, False),
        (AMEND, OrderOp.AMEND, Lane.CANCEL, False),
        (PROTECT, OrderOp.AMEND, Lane.PROTECT, True),
        (CANCEL, OrderOp.CANCEL, Lane.CANCEL, False),
        (BATCH, OrderOp.BATCH_CANCEL, Lane.CANCEL, True),
    ],
)
def test_what_a_command_costs_and_whether_it_goes_out_regardless(
    command: Command, op: OrderOp, lane: Lane, overdraft: bool
):
    charge = charge_of(command)
    assert (charge.op, charge.lane, charge.overdraft) == (op, lane, overdraft)


def test_only_a_cancel_has_no_deadline_of_its_own():
    assert [deadline_of(command, 9.0) for command in (SUBMIT, AMEND, CANCEL)] == [3.0, 5.0, 9.0]


def test_what_an_answer_proves():
    no = classify("EOrder:Unknown order", write=True)
    refused = MethodReply(method="m", req_id=1, ok=False, fault=no)
    assert outcome_of(SUBMIT, ok(order_id="O9")) == Accepted(("O9",))
    assert outcome_of(AMEND, ok(amend_id="A1")) == Accepted(("O1",))
    assert outcome_of(CANCEL, ok(order_id="O1")) == Accepted(("O1",))
    assert outcome_of(CANCEL, refused) == Rejected(no)


def test_a_batch_of_which_not_all_were_cancelled_proves_only_that():
    partly = MethodReply(method="batch_cancel", req_id=1, ok=True, result={"count": 1})
    wholly = MethodReply(method="batch_cancel", req_id=1, ok=True, result={"count": 2})
    assert isinstance(outcome_of(BATCH, partly), Unknown)
    assert outcome_of(BATCH, wholly) == Accepted(("O1", "O2"))
