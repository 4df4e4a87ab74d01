from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.limits.connects import ConnectLimits, Connects
from allstop.actors.limits.lanes import Lane

T0 = 1_767_225_600.0


def filled(lane: Lane, now_s: float = T0) -> Connects:
    connects = Connects()
    while connects.wait_s(now_s, lane) == 0:
        connects = connects.taken(now_s)
    return connects


def test_at_most_half_of_what_the_venue_allows_is_used():
    assert len(filled(Lane.QUERY).attempts_s) == 75


def test_public_data_leaves_connects_to_the_private_side():
    full = filled(Lane.ENTRY)
    assert len(full.attempts_s) == 49
    assert full.wait_s(T0, Lane.QUERY) == 0


def test_room_comes_back_when_attempts_leave_the_window():
    full = filled(Lane.QUERY)
    assert full.wait_s(T0 + 100, Lane.QUERY) == 500
    assert full.wait_s(T0 + 600, Lane.QUERY) == 0


def test_a_wall_clock_that_stepped_back_makes_no_room():
    full = filled(Lane.QUERY)
    assert full.wait_s(T0 - 3600, Lane.QUERY) == 600


def test_a_ban_holds_until_its_end_and_is_never_shortened():
    connects = Connects().banned(T0, reason="429").banned(T0, 5.0)
    assert connects.wait_s(T0 + 1, Lane.PROTECT) == 599
    assert connects.wait_s(T0 + 600, Lane.PROTECT) == 0
    assert connects.ban_reason == "429"


@given(st.lists(st.floats(0, 30), min_size=1, max_size=300), st.sampled_from([Lane.QUERY, Lane.ENTRY]))
def test_no_window_ever_holds_more_than_the_share(pauses: list[float], lane: Lane):
    limits = ConnectLimits(limit=20, window_s=60)
    connects, now_s, made = Connects(limits=limits), T0, list[float]()
    for pause_s in pauses:
        now_s += pause_s
        if connects.wait_s(now_s, lane) == 0:
            connects = connects.taken(now_s)
            made.append(now_s)
    assert all(sum(at <= t < at + 60 for t in made) <= limits.most(lane) for at in made)
    assert len(connects.attempts_s) <= limits.most(lane)
