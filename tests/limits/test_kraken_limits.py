import pytest

from allstop.actors.limits.kraken import (
    LIMITS,
    OrderOp,
    Tier,
    order_cost,
    order_meter,
    rest_cost,
    rest_meter,
    tier_of,
)
from allstop.actors.limits.lanes import Lane


def test_add_amend_at_7_s_and_cancel_36_s_later_cost_8_as_the_page_says():
    costs = [order_cost(OrderOp.ADD), order_cost(OrderOp.AMEND, 7.0), order_cost(OrderOp.CANCEL, 36.0)]
    assert costs == [1, 3, 4]
    assert sum(costs) == 8


def test_fifty_adds_then_ten_seconds_leave_26_6_on_intermediate_as_the_page_says():
    meter = order_meter(Tier.INTERMEDIATE, now_s=0.0)
    for _ in range(50):
        meter = meter.taken(order_cost(OrderOp.ADD), 0.0)
    assert meter.level_at(10.0) == pytest.approx(26.6)


# The page's table, cell by cell: (age, amend's, edit's and cancel's addition).
AGES = [
    (0.0, 3, 6, 8),
    (4.999, 3, 6, 8),
    (5.0, 2, 5, 6),
    (10.0, 1, 4, 5),
    (15.0, 0, 2, 4),
    (44.9, 0, 2, 4),
    (45.0, 0, 1, 2),
    (90.0, 0, 0, 1),
    (299.9, 0, 0, 1),
    (300.0, 0, 0, 0),
    (1e6, 0, 0, 0),
]


@pytest.mark.parametrize(("age_s", "amend", "edit", "cancel"), AGES)
def test_the_age_table_is_the_published_one(age_s: float, amend: int, edit: int, cancel: int):
    assert order_cost(OrderOp.AMEND, age_s) == 1 + amend
    assert order_cost(OrderOp.EDIT, age_s) == 1 + edit
    assert order_cost(OrderOp.CANCEL, age_s) == cancel
    assert order_cost(OrderOp.BATCH_CANCEL, age_s) == cancel
    assert order_cost(OrderOp.ADD, age_s) == 1


def test_an_order_of_unknown_age_costs_as_much_as_a_new_one():
    assert order_cost(OrderOp.CANCEL) == 8
    assert order_cost(OrderOp.AMEND) == 4


def test_the_tiers_are_the_published_ones():
    assert [
        (t, x.rest_max, x.rest_decay_per_s, x.order_max, x.order_decay_per_s, x.open_orders_per_pair)
        for t, x in LIMITS.items()
    ] == [
        (Tier.STARTER, 15, 0.33, 60, 1.0, 60),
        (Tier.INTERMEDIATE, 20, 0.5, 125, 2.34, 80),
        (Tier.PRO, 20, 1.0, 180, 3.75, 225),
    ]


def test_twenty_entries_a_second_over_six_pairs_are_sustained_on_pro():
    # The promise: 20 orders per second over at least 6 pairs on Pro, adds only.
    meters = [order_meter(Tier.PRO, now_s=0.0) for _ in range(6)]
    refused = 0
    for n in range(20 * 120):
        now_s, i = n / 20, n % 6
        cost = order_cost(OrderOp.ADD)
        if meters[i].wait_s(cost, now_s, Lane.ENTRY) > 0:
            refused += 1
        else:
            meters[i] = meters[i].taken(cost, now_s)
    assert refused == 0


def test_orders_cost_the_rest_counter_nothing_and_history_costs_it_most():
    assert rest_cost("/0/private/AddOrder") == rest_cost("/0/private/CancelOrderBatch") == 0
    assert rest_cost("/0/private/OpenOrders") == rest_cost("/0/private/GetWebSocketsToken") == 1
    assert rest_cost("/0/private/TradesHistory") == 4
    assert rest_cost("/0/public/AssetPairs") == 0


def test_a_full_rest_counter_still_has_room_for_a_protective_round():
    meter = rest_meter(Tier.STARTER, now_s=0.0)
    while meter.wait_s(1, 0.0, Lane.QUERY) == 0:
        meter = meter.taken(1, 0.0)
    assert all(meter.taken(n, 0.0).wait_s(1, 0.0, Lane.PROTECT) == 0 for n in range(3))


def test_not_even_the_guardian_fills_the_rest_counter_to_its_edge():
    # The venue counts when a call arrives: at its maximum in our model, it may be over at the venue.
    for tier, limits in LIMITS.items():
        meter, delay_s = rest_meter(tier, now_s=0.0), 0.5
        while meter.wait_s(1, 0.0, Lane.PROTECT) == 0:
            meter = meter.taken(1, 0.0)
        assert meter.level + delay_s * limits.rest_decay_per_s <= limits.rest_max


def test_the_tier_is_known_from_the_venues_own_maximum():
    assert [tier_of(60), tier_of(125), tier_of(180), tier_of(7)] == [
        Tier.STARTER,
        Tier.INTERMEDIATE,
        Tier.PRO,
        None,
    ]
