"""The trouble that can be ordered: each kind does what its name says, as often as it was asked to."""

import json
from typing import Any

import pytest
from tests.simulated.client import BTC, Client

from allstop.actors.simulated.kraken.faults import KINDS, BadFault, CallPlan, Faults, checked
from allstop.actors.simulated.kraken.rest import Request


def armed(request: dict[str, Any]) -> Faults:
    faults = Faults()
    faults.arm(*checked(request))
    return faults


@pytest.mark.parametrize(
    ("fault", "plan"),
    [
        ({"kind": "drop_reply"}, CallPlan(drop=True)),
        ({"kind": "drop_reply", "executed": False}, CallPlan(execute=False, drop=True)),
        ({"kind": "delay", "s": 2}, CallPlan(delay_before_s=2.0)),
        ({"kind": "delay", "s": 2, "executed": True}, CallPlan(delay_after_s=2.0)),
        ({"kind": "http_520"}, CallPlan(execute=False, http_520=True)),
        ({"kind": "http_520", "executed": True}, CallPlan(http_520=True)),
        ({"kind": "invalid_nonce"}, CallPlan(execute=False, error="EAPI:Invalid nonce")),
        ({"kind": "error", "text": "EService:Busy"}, CallPlan(execute=False, error="EService:Busy")),
        (
            {"kind": "error", "text": "EGeneral:Internal error", "executed": True},
            CallPlan(error="EGeneral:Internal error"),
        ),
    ],
)
def test_a_call_fault_makes_its_plan_once(fault: dict[str, Any], plan: CallPlan) -> None:
    faults = armed(fault)
    assert (faults.plan("AddOrder"), faults.plan("AddOrder")) == (plan, CallPlan())


@pytest.mark.parametrize("method", ["AddOrder", "add_order"])
def test_a_method_is_named_as_either_face_names_it(method: str) -> None:
    faults = armed({"kind": "drop_reply", "method": "add_order", "n": 2})
    assert not faults.plan("cancel_order").drop
    assert faults.plan(method).drop


def test_a_fault_for_any_method_spares_pings_and_what_is_no_request() -> None:
    faults = armed({"kind": "drop_reply"})
    assert not faults.plan("ping").drop
    assert not faults.plan("").drop
    assert faults.plan("subscribe").drop


def test_faults_are_spent_in_the_order_in_which_they_were_set() -> None:
    faults = armed({"kind": "delay", "s": 1, "n": 2})
    faults.arm(*checked({"kind": "drop_reply"}))
    assert [faults.plan("AddOrder").drop for _ in range(4)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        (5, "object"),
        ({}, "no fault None"),
        ({"kind": "meteor"}, "no fault 'meteor'"),
        ({"kind": "delay"}, "needs s"),
        ({"kind": "drop_reply", "colour": 1}, "has no colour"),
        ({"kind": "status", "status": "asleep"}, "no status 'asleep'"),
        ({"kind": "pair_status", "symbol": BTC, "status": "odd"}, "no 'BTC/USD' that is 'odd'"),
        ({"kind": "revoke_key", "role": "nobody"}, "no key 'nobody'"),
        ({"kind": "print", "symbol": BTC, "price": "1.23"}, "no print"),
        ({"kind": "print", "symbol": "NO/PE", "price": "1"}, "no print"),
        ({"kind": "plunge", "symbol": "NO/PE"}, "no market of 'NO/PE'"),
        ({"kind": "plunge", "symbol": BTC, "by": 2}, "could fall by 2"),
    ],
)
def test_a_fault_that_makes_no_sense_says_why(request_: object, wrong: str) -> None:
    client = Client()
    with pytest.raises(BadFault, match=wrong):
        client.venue.fault(request_, client.at)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_set(kind: str) -> None:
    needed = {
        "s": 1,
        "text": "EService:Busy",
        "status": "online",
        "role": "trade",
        "permission": "x",
        "private": True,
    }
    needed |= {"symbol": BTC, "price": "29000.0"}
    client = Client()
    request = {
        "kind": kind,
        **{name: needed[name] for name, default in KINDS[kind].items() if default is None},
    }
    assert client.venue.fault(request, client.at)["kind"] == kind


def test_a_sequence_gap_swallows_one_message_and_its_number() -> None:
    client = Client()
    socket = client.stream()
    client.venue.fault({"kind": "sequence_gap"}, client.at)
    client.order("buy", "0.5", "20000.0")
    client.ok("CancelAll")
    assert [frame["sequence"] for frame in socket.frames()] == [3, 4]


def test_an_execution_is_told_twice_with_the_same_id() -> None:
    client = Client()
    socket = client.stream()
    client.venue.fault({"kind": "duplicate_execution"}, client.at)
    client.order("buy", "0.5")
    trades = [row for row in socket.rows() if row["exec_type"] == "trade"]
    assert len(trades) == 2
    assert trades[0]["exec_id"] == trades[1]["exec_id"]
    assert len(client.truth()["executions"]) == 1


def test_a_wrong_checksum_is_the_only_thing_wrong_with_its_frame() -> None:
    client = Client()
    socket = client.connect(private=False)
    socket.call("subscribe", channel="book", symbol=[BTC])
    client.venue.fault({"kind": "corrupt_checksum"}, client.at)
    client.book([("100.0", "1")], [("101.0", "1")])
    client.book([("100.0", "1")], [("101.0", "1")])
    bad, good = socket.frames()
    assert bad["data"][0]["checksum"] == good["data"][0]["checksum"] + 1


def test_half_a_frame_is_no_json() -> None:
    client = Client()
    socket = client.connect(private=False)
    socket.call("subscribe", channel="book", symbol=[BTC])
    client.venue.fault({"kind": "corrupt_frame"}, client.at)
    client.book([("100.0", "1")], [("101.0", "1")])
    (text,) = socket.texts()
    with pytest.raises(ValueError):
        json.loads(text)


def test_half_a_frame_keeps_no_checksum_and_the_wrong_one_comes_with_the_next_whole_frame() -> None:
    client = Client()
    socket = client.connect(private=False)
    socket.call("subscribe", channel="book", symbol=[BTC])
    client.venue.fault({"kind": "corrupt_frame"}, client.at)
    client.venue.fault({"kind": "corrupt_checksum"}, client.at)
    for _ in range(3):
        client.book([("100.0", "1")], [("101.0", "1")])
    half, bad, good = socket.texts()
    with pytest.raises(ValueError):
        json.loads(half)
    assert json.loads(bad)["data"][0]["checksum"] == json.loads(good)["data"][0]["checksum"] + 1


def test_a_silent_channel_says_nothing_for_its_time_and_the_others_go_on() -> None:
    client = Client()
    socket = client.stream()
    client.venue.fault({"kind": "silence", "channel": "executions", "s": 5}, client.at)
    client.order("buy", "0.5", "20000.0")
    client.wait(2)
    assert [frame["channel"] for frame in socket.frames()] == ["heartbeat"]
    client.wait(3)
    socket.frames()
    client.ok("CancelAll")
    assert [frame["channel"] for frame in socket.frames()] == ["executions"]


def test_a_wholly_silent_venue_sends_no_heartbeat() -> None:
    client = Client()
    socket = client.stream()
    client.venue.fault({"kind": "silence", "s": 5}, client.at)
    client.wait(4)
    assert socket.frames() == []


def test_connects_are_refused_for_a_while_and_the_truth_counts_them() -> None:
    client = Client()
    client.venue.fault({"kind": "refuse_connects", "s": 5}, client.at)
    assert client.venue.ws_open(private=False, ip="a", at=client.at) is None
    client.wait(5)
    assert client.connect(private=False)
    assert [row["refused"] for row in client.truth()["connections"]] == [True, False]


def test_a_slammed_door_lets_in_and_drops_at_once() -> None:
    client = Client()
    client.venue.fault({"kind": "slam", "s": 5}, client.at)
    assert client.connect(private=False).connection.cut


def test_a_cut_drops_the_connections_of_one_face() -> None:
    client = Client()
    public, private = client.connect(private=False), client.stream()
    client.venue.fault({"kind": "cut", "private": True}, client.at)
    assert (public.connection.cut, private.connection.cut) == (False, True)


def test_too_many_connects_are_a_limit_broken() -> None:
    client = Client(connects_max=3)
    for _ in range(3):
        client.connect(private=False)
    assert client.venue.ws_open(private=False, ip=client.ip, at=client.at) is None
    assert client.truth()["limits_broken"][0]["kind"] == "connects"


def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allstop.actors.simulated.kraken.stream.OUT_MAX", 5)
    client = Client()
    socket = client.connect(private=False)
    socket.call("subscribe", channel="book", symbol=[BTC])
    for _ in range(10):
        client.book([("100.0", "1")], [("101.0", "1")])
    assert len(socket.connection.out) == 5
    assert socket.connection.cut


def test_a_reset_begins_again_but_no_nonce_is_forgotten() -> None:
    client = Client()
    client.order("buy", "0.5")
    client.venue.reset(client.at)
    assert client.orders() == {}
    assert client.signed("Balance", 1)["error"] == ["EAPI:Invalid nonce"]
    client.nonce = 1
    assert client.ok("Balance") == {"ZUSD": "1000000.0000"}


@pytest.mark.parametrize(
    ("status", "order", "error"),
    [
        ("cancel_only", {"ordertype": "market"}, "EService:Market in cancel_only mode"),
        ("limit_only", {"ordertype": "market"}, "EService:Market in limit_only mode"),
        ("limit_only", {"ordertype": "limit", "price": "20000.0"}, None),
        ("reduce_only", {"ordertype": "market"}, "EService:Market in reduce_only mode"),
        ("delisted", {"ordertype": "market"}, "EQuery:Unknown asset pair"),
        ("work_in_progress", {"ordertype": "market"}, "EService:Unavailable"),
        ("online", {"ordertype": "market"}, None),
    ],
)
def test_one_pair_has_a_status_of_its_own(status: str, order: dict[str, str], error: str | None) -> None:
    client = Client()
    socket = client.connect(private=False)
    socket.call("subscribe", channel="instrument")
    client.venue.fault({"kind": "pair_status", "symbol": BTC, "status": status}, client.at)
    (told,) = socket.frames()
    assert [(pair["symbol"], pair["status"]) for pair in told["data"]["pairs"]] == [(BTC, status)]
    answer = client.post("AddOrder", pair="XBTUSD", type="buy", volume="0.1", **order)
    assert answer["error"] == ([] if error is None else [error])
    assert client.order("buy", "1", pair="ETHUSD")
    assert client.get("/0/public/AssetPairs?pair=XBTUSD")["result"]["XXBTZUSD"]["status"] == status


# -- what real venues do beside that


def test_a_frame_that_is_out_of_order_comes_after_the_one_that_followed_it() -> None:
    client = Client()
    socket = client.stream()
    client.venue.fault({"kind": "out_of_order"}, client.at)
    client.order("buy", "0.5", "20000.0")
    client.ok("CancelAll")
    numbers = [frame["sequence"] for frame in socket.frames()]
    assert sorted(numbers) == [2, 3, 4]
    assert numbers[0] == 3


def test_an_execution_can_be_told_before_the_reply_to_its_order() -> None:
    client = Client()
    socket = client.stream()
    client.venue.fault({"kind": "out_of_order", "channel": "reply"}, client.at)
    params = {"symbol": BTC, "side": "buy", "order_type": "market", "order_qty": 0.5, "token": socket.token}
    client.venue.ws_reply(
        socket.connection,
        client.venue.ws_frame(
            socket.connection, json.dumps({"method": "add_order", "params": params, "req_id": 7}), client.at
        ),
        client.at,
        client.at,
    )
    client.venue.settle(client.at)
    frames = socket.frames()
    assert frames[0]["channel"] == "executions"
    assert [frame["req_id"] for frame in frames if frame.get("method") == "add_order"] == [7]


def test_a_frame_that_is_held_back_goes_out_with_the_next_heartbeat_at_the_latest() -> None:
    client = Client()
    socket = client.stream()
    client.venue.fault({"kind": "out_of_order", "n": 9}, client.at)
    client.order("buy", "0.5", "20000.0")
    assert socket.frames() == []
    client.wait(2)
    assert [frame["channel"] for frame in socket.frames()][:3] == ["heartbeat", "executions", "executions"]


@pytest.mark.parametrize("channel", ["executions", "book"])
def test_a_silent_subscription_is_acknowledged_and_says_nothing(channel: str) -> None:
    client = Client()
    client.venue.fault({"kind": "silent_subscription", "channel": channel}, client.at)
    if channel == "book":
        socket = client.connect(private=False)
        socket.frames()
        socket.call("subscribe", channel="book", symbol=[BTC])
        client.book([("100.0", "1")], [("101.0", "1")])
    else:
        socket = client.stream()
        client.order("buy", "0.5")
    assert [frame for frame in socket.frames() if frame.get("channel") == channel] == []
    other = client.connect(private=False)
    other.frames()
    other.call("subscribe", channel="book", symbol=[BTC])
    client.book([("100.0", "1")], [("101.0", "1")])
    assert [frame["channel"] for frame in other.frames()].count("book") == 1


def test_a_cancel_can_be_carried_out_and_answered_as_if_there_were_nothing() -> None:
    faults = armed({"kind": "unknown_order"})
    assert faults.plan("AddOrder") == CallPlan()
    assert faults.plan("cancel_order") == CallPlan(error="EOrder:Unknown order")
    assert faults.plan("CancelOrder") == CallPlan()


def test_the_limit_of_calls_is_said_to_be_reached_for_a_while_and_the_truth_blames_nobody() -> None:
    client = Client()
    client.venue.fault({"kind": "rate_limited", "face": "rest", "s": 5}, client.at)
    assert client.refused("OpenOrders") == "EAPI:Rate limit exceeded"
    client.order("buy", "0.5", "20000.0")  # orders have a counter of their own
    client.wait(5)
    client.ok("OpenOrders")
    assert client.truth()["limits_broken"] == []


def test_the_limit_of_orders_keeps_entries_out_and_lets_cancels_through() -> None:
    client = Client()
    order_id = client.order("buy", "0.5", "20000.0")
    client.venue.fault({"kind": "rate_limited", "face": "orders", "s": 5}, client.at)
    asked = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "20000.0", "volume": "0.5"}
    assert client.refused("AddOrder", **asked) == "EOrder:Rate limit exceeded"
    client.ok("CancelOrder", txid=order_id)
    client.wait(5)
    client.ok("AddOrder", **asked)


def test_a_face_that_has_no_limit_is_refused_by_name() -> None:
    client = Client()
    with pytest.raises(BadFault, match="no face 'moon'; there are rest, orders"):
        client.venue.fault({"kind": "rate_limited", "face": "moon", "s": 5}, client.at)


def test_a_ban_cuts_everything_and_answers_with_the_edges_page_until_it_ends() -> None:
    client = Client()
    socket = client.stream()
    client.venue.fault({"kind": "ban", "s": 600}, client.at)
    answer = client.venue.http(Request(method="GET", path="/0/public/Time", headers={}), client.at)
    assert (answer.status, answer.body) == (429, b"error code: 1015\n")
    assert socket.connection.cut
    assert client.venue.ws_open(private=False, ip=client.ip, at=client.at) is None
    assert client.venue.refusal(client.ip, client.at) == 429
    client.wait(600)
    client.ok("OpenOrders")
    assert [row["end_ns"] is None for row in client.truth()["unreachable"]] == [False]


def test_a_pair_is_traded_again_when_its_time_is_over() -> None:
    client = Client()
    client.venue.fault({"kind": "pair_status", "symbol": BTC, "status": "cancel_only", "s": 5}, client.at)
    asked = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "20000.0", "volume": "0.5"}
    client.refused("AddOrder", **asked)
    client.wait(5)
    client.ok("AddOrder", **asked)


def test_after_a_maintenance_come_its_phases_in_order() -> None:
    client = Client()
    client.venue.fault({"kind": "phases", "s": 10}, client.at)
    client.wait(4)
    client.wait(4)
    client.wait(4)
    statuses = [row["status"] for row in client.truth()["statuses"]]
    assert statuses == ["online", "cancel_only", "post_only", "online"]
