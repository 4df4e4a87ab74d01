import math

from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.levels import IntentKind
from allstop.actors.limits.lanes import Lane, lane_of
from allstop.actors.limits.meter import Meter


def test_a_level_decays_linearly_and_stops_at_zero():
    meter = Meter(max=20, decay_per_s=0.5).taken(5, 100.0)
    assert [meter.level_at(t) for t in (100.0, 104.0, 110.0, 200.0)] == [5.0, 3.0, 0.0, 0.0]


def test_a_wait_is_the_time_until_the_cost_fits():
    meter = Meter(max=20, decay_per_s=0.5).taken(20, 0.0)
    assert meter.wait_s(3, 0.0) == 6.0
    assert meter.wait_s(3, 6.0) == 0.0


def test_a_cost_above_the_ceiling_never_fits():
    assert Meter(max=20, decay_per_s=1).wait_s(21, 0.0) == math.inf
    assert Meter(max=20, decay_per_s=1).wait_s(16, 0.0, Lane.ENTRY) == math.inf


def test_what_costs_nothing_never_waits_even_on_a_full_meter():
    assert Meter(max=20, decay_per_s=1, level=500).wait_s(0, 0.0, Lane.ENTRY) == 0.0


def test_a_clock_that_went_back_decays_nothing():
    meter = Meter(max=20, decay_per_s=1).taken(5, 100.0)
    assert meter.level_at(90.0) == 5.0
    assert meter.taken(1, 90.0).level_at(100.0) == 6.0


def test_entries_leave_the_reserve_that_protection_may_use():
    meter = Meter(max=100, decay_per_s=1)
    while meter.wait_s(1, 0.0, Lane.ENTRY) == 0:
        meter = meter.taken(1, 0.0)
    assert meter.level == 75
    assert meter.wait_s(5, 0.0, Lane.QUERY) == 0
    assert meter.wait_s(15, 0.0, Lane.CANCEL) == 0
    assert meter.wait_s(25, 0.0, Lane.PROTECT) == 0
    assert meter.wait_s(26, 0.0, Lane.PROTECT) == 1.0


def test_a_penalised_meter_counts_from_full():
    assert Meter(max=20, decay_per_s=1).penalised(0.0).wait_s(1, 0.0) == 1.0
    assert Meter(max=20, decay_per_s=1, level=30).penalised(0.0).level == 30


def test_a_synced_meter_has_the_venues_level():
    assert Meter(max=20, decay_per_s=1, level=3).synced(17.5, 9.0).level_at(9.5) == 17.0


def test_a_resized_meter_keeps_its_level():
    meter = Meter(max=60, decay_per_s=1, level=50, at_s=0.0).resized(180, 3.75, 10.0)
    assert (meter.level_at(10.0), meter.max, meter.decay_per_s) == (40.0, 180, 3.75)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 8), st.sampled_from(Lane)), min_size=1, max_size=60)
)
def test_whoever_waits_as_told_never_exceeds_the_maximum_nor_a_lane_its_ceiling(
    calls: list[tuple[float, float, Lane]],
):
    meter, now_s = Meter(max=20, decay_per_s=0.5), 0.0
    for pause_s, cost, lane in calls:
        now_s += pause_s
        wait_s = meter.wait_s(cost, now_s, lane)
        now_s += wait_s
        assert meter.wait_s(cost, now_s, lane) < 1e-6
        meter = meter.taken(cost, now_s)
        assert meter.level <= meter.ceiling(lane) + 1e-6


def test_every_kind_of_intent_has_its_lane():
    assert {kind: lane_of(kind) for kind in IntentKind} == {
        IntentKind.PROTECT: Lane.PROTECT,
        IntentKind.CANCEL: Lane.CANCEL,
        IntentKind.REDUCE: Lane.CANCEL,
        IntentKind.QUERY: Lane.QUERY,
        IntentKind.ENTRY: Lane.ENTRY,
    }
