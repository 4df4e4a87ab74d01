from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.limits.connects import ConnectLimits, Connects
from allstop.actors.limits.lanes import Lane

T0 = 1_767_225_600.0
LIMITS = ConnectLimits()


def filled(lane: Lane, now_s: float = T0) -> Connects:
    connects = Connects()
    while connects.wait_s(now_s, lane) == 0:
        connects = connects.taken(now_s, lane)
    return connects


def storm(*lanes: Lane, seconds: float = 600.0) -> tuple[Connects, list[tuple[float, Lane]]]:
    """Connections of these lanes that end at once, each tried again as soon as it may."""
    connects, made, now_s = Connects(), list[tuple[float, Lane]](), T0
    while now_s < T0 + seconds:
        for lane in lanes:
            if connects.wait_s(now_s, lane) == 0:
                connects = connects.taken(now_s, lane)
                made.append((now_s, lane))
        now_s += 0.5
    return connects, made


def test_a_third_of_our_half_is_given_at_once():
    assert LIMITS.most == 75
    assert len(filled(Lane.QUERY).attempts_s) == 25


def test_at_most_half_of_what_the_venue_allows_is_used_in_a_storm():
    _, made = storm(Lane.ENTRY, Lane.QUERY, seconds=1800.0)
    most = max(sum(at <= other < at + 600.0 for other, _ in made) for at, _ in made)
    assert 70 <= most <= 75


def test_after_the_worst_storm_each_side_may_connect_within_half_a_minute():
    connects, made = storm(Lane.ENTRY, Lane.QUERY)
    for lane in (Lane.ENTRY, Lane.QUERY):
        assert connects.wait_s(T0 + 600.0, lane) <= LIMITS.spacing_s <= 25.0
        times_s = [at_s for at_s, of in made if of is lane]
        assert max(later - before for before, later in pairwise(times_s)) <= 25.0


def test_a_storm_of_one_side_leaves_connects_to_the_other():
    connects, _ = storm(Lane.QUERY)
    assert connects.wait_s(T0 + 600.0, Lane.ENTRY) == 0
    connects, _ = storm(Lane.ENTRY)
    assert connects.wait_s(T0 + 600.0, Lane.QUERY) == 0


def test_public_data_leaves_connects_at_once_to_the_private_side():
    full = filled(Lane.ENTRY)
    assert len(full.attempts_s) == 16
    assert full.wait_s(T0, Lane.QUERY) == 0


def test_room_comes_back_when_attempts_leave_the_window():
    full = filled(Lane.QUERY)
    assert full.wait_s(T0 + 10, Lane.QUERY) == 14
    assert full.wait_s(T0 + 24, Lane.QUERY) == 0
    spread = full.taken(T0 + 590, Lane.QUERY)
    assert spread.wait_s(T0 + 591, Lane.QUERY) == 9  # until the first of them is ten minutes ago
    assert spread.wait_s(T0 + 600, Lane.QUERY) == 0


def test_a_wall_clock_that_stepped_back_makes_no_room():
    full = filled(Lane.QUERY)
    assert full.wait_s(T0 - 3600, Lane.QUERY) == 24


def test_an_attempt_that_never_arrived_is_not_waited_for():
    full = filled(Lane.QUERY)
    assert full.taken(T0 + 24).untaken().wait_s(T0 + 24) == 0


def test_a_row_of_an_earlier_version_counts_as_private():
    row = b'{"limits":{"limit":150,"entry_share":0.33},"attempts_s":[1767225600.0,1767225601.0]}'
    connects = msgspec.json.decode(row, type=Connects).taken(T0 + 2, Lane.ENTRY)
    assert connects.attempts_s == (T0, T0 + 1, T0 + 2)
    assert connects.public == (False, False, True)


def test_a_ban_holds_until_its_end_and_is_never_shortened():
    connects = Connects().banned(T0, reason="429").banned(T0, 5.0)
    assert connects.wait_s(T0 + 1, Lane.PROTECT) == 599
    assert connects.wait_s(T0 + 600, Lane.PROTECT) == 0
    assert connects.ban_reason == "429"


@pytest.mark.parametrize("limit", [2, 4, 10, 20, 150])
@given(
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from([Lane.QUERY, Lane.ENTRY])), min_size=1, max_size=300)
)
def test_no_window_ever_holds_more_than_the_share(limit: int, asked: list[tuple[float, Lane]]):
    limits = ConnectLimits(limit=limit, window_s=60)
    connects, now_s, made = Connects(limits=limits), T0, list[float]()
    for pause_s, lane in asked:
        now_s += pause_s
        if connects.wait_s(now_s, lane) == 0:
            connects = connects.taken(now_s, lane)
            made.append(now_s)
    assert all(sum(at <= t < at + 60 for t in made) <= limits.most for at in made)
    assert len(connects.attempts_s) <= limits.most
