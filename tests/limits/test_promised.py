from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.limits.meter import Meter
from allstop.actors.limits.promised import fresh, restored

METER = Meter(max=20, decay_per_s=0.5)


def test_a_new_meter_promises_nothing_so_its_first_charge_is_written():
    assert not fresh(METER, 3).with_meter(METER.taken(1, 0.0)).covered(0.0)


def test_after_a_write_a_block_may_be_charged_without_another():
    kept = fresh(METER, 3).with_meter(METER.taken(1, 0.0)).renewed(0.0)
    assert kept.with_meter(kept.meter.taken(3, 0.0)).covered(0.0)
    assert not kept.with_meter(kept.meter.taken(3.1, 0.0)).covered(0.0)


def test_a_restart_starts_at_the_promise_less_what_decayed_since():
    assert restored(METER, 10, 4.0, 100.0, 3).meter.level_at(100.0) == 8
    assert restored(METER, 10, 400.0, 100.0, 3).meter.level_at(100.0) == 0


def test_a_restart_with_the_clock_stepped_back_decays_nothing():
    assert restored(METER, 10, -50.0, 100.0, 3).meter.level_at(100.0) == 10


def test_below_its_floor_nothing_is_written_however_much_later():
    kept = fresh(METER, 0, floor=3).with_meter(METER.taken(1, 0.0)).renewed(0.0)
    assert kept.with_meter(kept.meter.synced(3, 1000.0)).covered(1000.0)
    assert not kept.with_meter(kept.meter.synced(3.1, 1000.0)).covered(1000.0)


def test_a_floor_counts_from_the_first_row_on():
    assert not fresh(METER, 0, floor=3).with_meter(METER.taken(1, 0.0)).covered(0.0)


def test_a_restart_starts_at_the_floor_at_least():
    assert restored(METER, 10, 400.0, 100.0, 0, floor=3, standing=3).meter.level_at(100.0) == 3
    assert restored(METER, 10, 4.0, 100.0, 0, floor=3, standing=3).meter.level_at(100.0) == 8
    assert restored(METER, 10, 400.0, 100.0, 0, floor=3, standing=0).meter.level_at(100.0) == 0


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5), st.booleans()), max_size=60))
def test_a_restarted_meter_is_never_below_the_truth_and_at_most_a_block_above(
    events: list[tuple[float, float, bool]],
):
    block, now_s = 3.0, 0.0
    truth, kept, disk = METER, fresh(METER, block), (0.0, 0.0)
    for pause_s, cost, restart in events:
        now_s += pause_s
        if restart:
            kept = restored(METER, disk[0], now_s - disk[1], now_s, block)
            continue
        truth = truth.taken(cost, now_s)
        kept = kept.with_meter(kept.meter.taken(cost, now_s))
        if not kept.covered(now_s):
            kept = kept.renewed(now_s)
            disk = (kept.promise.level_at(now_s), now_s)
        after = restored(METER, disk[0], now_s - disk[1], now_s, block).meter.level_at(now_s)
        assert truth.level_at(now_s) <= kept.meter.level_at(now_s) + 1e-6
        assert kept.meter.level_at(now_s) <= after + 1e-6
        assert after <= kept.meter.level_at(now_s) + block + 1e-6


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5), st.booleans()), max_size=60))
def test_with_a_floor_a_restarted_meter_is_never_below_the_truth_and_at_most_the_floor_above(
    events: list[tuple[float, float, bool]],
):
    floor, now_s = 3.0, 0.0
    truth, kept, disk = METER, fresh(METER, 0, floor), (0.0, 0.0, 0.0)
    for pause_s, cost, restart in events:
        now_s += pause_s
        if restart:
            kept = restored(METER, disk[0], now_s - disk[1], now_s, 0, floor, disk[2])
        else:
            truth = truth.taken(cost, now_s)
            kept = kept.with_meter(kept.meter.taken(cost, now_s))
            if not kept.covered(now_s):
                kept = kept.renewed(now_s)
                disk = (kept.promise.level_at(now_s), now_s, kept.standing)
        assert truth.level_at(now_s) <= kept.meter.level_at(now_s) + 1e-6
        assert kept.meter.level_at(now_s) <= truth.level_at(now_s) + floor + 1e-6
