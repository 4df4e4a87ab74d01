"""The venue's time, carried by the monotonic clock: no step of the wall moves it, the venue's own words do."""

from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.venue_clock import VenueClock

ORIGIN_NS = 1_767_225_600_000_000_000


class TwoClocks:
    """A monotonic clock and a wall that steps by itself."""

    def __init__(self) -> None:
        self.mono_s = 100.0
        self.step_s = 0.0

    def now_s(self) -> float:
        return self.mono_s

    def wall_ns(self) -> int:
        return ORIGIN_NS + int((self.mono_s + self.step_s) * 1e9)


def test_a_step_of_the_wall_moves_no_deadline_and_shows_at_once() -> None:
    wall = TwoClocks()
    venue = VenueClock(wall)
    before_ns = venue.wall_ns()
    wall.step_s = 2.3
    assert venue.wall_ns() == before_ns
    assert round(venue.wall_off_s, 6) == 2.3
    wall.mono_s += 9.0
    assert venue.wall_ns() == before_ns + 9_000_000_000


def test_a_wall_that_was_wrong_from_the_start_is_corrected_by_the_venue_as_little_as_makes_it_agree() -> None:
    wall = TwoClocks()
    truth_ns = wall.wall_ns()
    wall.step_s = 5.0
    venue = VenueClock(wall)
    assert not venue.measured
    second_ns = truth_ns // 1_000_000_000 * 1_000_000_000
    venue.heard(second_ns, second_ns + 1_000_000_000, sent_s=100.0, received_s=100.0)
    assert venue.measured
    assert venue.wall_ns() == second_ns + 1_000_000_000
    venue.replied(truth_ns, truth_ns, sent_s=100.0, received_s=100.0)
    assert venue.wall_ns() == truth_ns


def test_a_word_that_agrees_changes_nothing() -> None:
    wall = TwoClocks()
    venue = VenueClock(wall)
    now_ns = venue.wall_ns()
    venue.heard(now_ns - 400_000_000, now_ns + 600_000_000, sent_s=99.9, received_s=100.0)
    assert venue.wall_ns() == now_ns


def test_one_reply_with_a_wrong_time_does_not_carry_the_clock_away() -> None:
    wall = TwoClocks()
    venue = VenueClock(wall)
    now_ns = venue.wall_ns()
    hour_ns = 3_600_000_000_000
    venue.replied(now_ns + hour_ns, now_ns + hour_ns, sent_s=99.9, received_s=100.0)
    venue.replied(now_ns, now_ns - hour_ns, sent_s=99.9, received_s=100.0)
    venue.replied(now_ns - hour_ns, now_ns, sent_s=99.9, received_s=100.0)
    assert venue.wall_ns() == now_ns
    assert not venue.measured


@given(
    off_s=st.floats(-0.9, 0.9),
    there_s=st.floats(0.0, 0.2),
    works_s=st.floats(0.0, 0.2),
    back_s=st.floats(0.0, 0.2),
)
def test_after_a_reply_the_error_is_at_most_the_way_there_and_back(
    off_s: float, there_s: float, works_s: float, back_s: float
) -> None:
    wall = TwoClocks()
    wall.step_s = off_s
    venue = VenueClock(wall)
    truth_ns = wall.wall_ns() - int(off_s * 1e9)
    in_ns = truth_ns + int(there_s * 1e9)
    out_ns = in_ns + int(works_s * 1e9)
    wall.mono_s += there_s + works_s + back_s
    venue.replied(in_ns, out_ns, sent_s=100.0, received_s=wall.mono_s)
    true_now_ns = out_ns + int(back_s * 1e9)
    assert abs(venue.wall_ns() - true_now_ns) <= (there_s + back_s) * 1e9 + 1000
