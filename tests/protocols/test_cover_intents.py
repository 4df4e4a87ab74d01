"""The orders that a guardian's steps are: their ids, and what the journal is told when one is over."""

import pytest
from tests.cover.toy_venue import PAIR, D, fault

from allstop.actors.errors import Category, Remedy
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss, TimeInForce
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.cover_intents import ended_by, intent_of, is_exit_intent, not_placed, step_of
from allstop.actors.protocols.cover_memory import cover_id
from allstop.actors.protocols.exiting import SendExit
from allstop.actors.protocols.records import Terminal, Withheld
from allstop.actors.protocols.remedies import Flatten, PlaceStop
from allstop.actors.reports import Accepted, NotSent, Rejected, Unknown

ACCOUNT = "kraken.main"
FLATTEN = Flatten(PAIR, Side.SELL, D("0.4"))
STOP = PlaceStop(PAIR, Side.SELL, D("0.4"), StopLoss(trigger_price=D(90)), "E")
LIMIT_STOP = PlaceStop(PAIR, Side.SELL, D("0.4"), StopLoss(trigger_price=D(90), limit_price=D(89)), "E")


def exit_intent(order_type: OrderType = OrderType.MARKET, **fields: object) -> OrderIntent:
    told: dict[str, object] = {"kind": IntentKind.REDUCE, "side": Side.SELL, "qty": D("0.3")}
    return OrderIntent(id="exit-1", pair=PAIR, order_type=order_type, **(told | fields))  # type: ignore[arg-type]


EXIT = exit_intent()
OWN = intent_of(ACCOUNT, FLATTEN, lambda _: 0)[0]


def test_the_id_of_an_order_follows_from_what_it_answers_and_how_many_the_journal_has() -> None:
    counts = {"E": 2, f"flatten {PAIR}": 1}
    stop, of_stop = intent_of(ACCOUNT, STOP, lambda subject: counts.get(subject, 0))
    flatten, of_flatten = intent_of(ACCOUNT, FLATTEN, lambda subject: counts.get(subject, 0))
    assert stop.id == of_stop.intent_id == cover_id(ACCOUNT, "E", 2)
    assert flatten.id == of_flatten.intent_id == cover_id(ACCOUNT, f"flatten {PAIR}", 1)
    assert (of_stop.parent, of_flatten.parent) == ("E", None)


def test_a_stop_of_no_known_entry_is_counted_by_its_pair() -> None:
    astray = PlaceStop(PAIR, Side.SELL, D("0.4"), StopLoss(trigger_price=D(90)), None)
    _, parentage = intent_of(ACCOUNT, astray, lambda _: 0)
    assert (parentage.subject, parentage.parent) == (f"stop {PAIR}", None)


def test_what_the_guardian_thinks_of_itself_passes_every_level() -> None:
    kinds = {intent_of(ACCOUNT, step, lambda _: 0)[0].kind for step in (STOP, LIMIT_STOP, FLATTEN)}
    assert kinds == {IntentKind.PROTECT}


@pytest.mark.parametrize("step", [STOP, LIMIT_STOP, FLATTEN])
def test_the_next_incarnation_reads_the_same_step_out_of_the_intent_but_for_its_parent(
    step: PlaceStop | Flatten,
) -> None:
    intent, _ = intent_of(ACCOUNT, step, lambda _: 0)
    if isinstance(step, PlaceStop):
        step = PlaceStop(step.pair, step.side, step.qty, step.stop, None)
    assert step_of(intent) == step


def test_an_exit_is_an_exit_in_the_next_incarnation_too() -> None:
    assert step_of(EXIT) == SendExit(EXIT)


def test_an_exit_is_what_somebody_wanted_to_sell_at_once() -> None:
    ioc = exit_intent(OrderType.LIMIT, limit_price=D(99), time_in_force=TimeInForce.IOC)
    resting = exit_intent(OrderType.LIMIT, limit_price=D(99))
    assert [is_exit_intent(intent) for intent in (EXIT, ioc, resting, OWN)] == [True, True, False, False]


def test_what_was_not_sent_is_withheld_and_an_exit_of_it_is_told_its_end() -> None:
    cut = NotSent(reason="cut")
    assert ended_by(OWN, cut) == (Withheld(intent_id=OWN.id, reason="cut"),)
    withheld, end = ended_by(EXIT, cut)
    assert withheld == Withheld(intent_id=EXIT.id, reason="cut")
    assert isinstance(end, Terminal)
    assert (end.intent_id, end.state) == (EXIT.id, "NOT_PLACED")


def test_a_refused_exit_is_told_its_end_but_not_while_a_search_has_to_agree() -> None:
    (end,) = ended_by(EXIT, Rejected(fault("no")))
    assert isinstance(end, Terminal)
    assert end.state == "REJECTED"
    assert ended_by(EXIT, Rejected(fault("nonce", Category.AUTH, Remedy.RENONCE))) == ()


def test_an_answer_that_is_no_end_writes_none() -> None:
    for intent in (EXIT, OWN):
        assert ended_by(intent, Accepted(order_ids=("O",))) == ()
        assert ended_by(intent, Unknown(reason="late")) == ()
    assert ended_by(OWN, Rejected(fault("no"))) == ()


def test_nobody_asks_for_an_order_of_the_guardians_by_its_id_so_its_absence_is_no_end() -> None:
    assert not_placed(OWN, "why") == not_placed(None, "why") == ()
    (end,) = not_placed(EXIT, "the venue never took it")
    assert isinstance(end, Terminal)
    assert "the venue never took it" in end.evidence
