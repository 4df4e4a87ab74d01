"""The gap detector."""

from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.protocols.sequence import Arrival, Sequence, Verdict


def test_the_first_number_starts_the_count_wherever_it_is():
    assert Sequence().seen(17) == (Sequence(17), Arrival(Verdict.FIRST))


def test_the_next_number_is_no_gap():
    assert Sequence(17).seen(18) == (Sequence(18), Arrival(Verdict.NEXT))


def test_a_gap_says_how_many_are_missing_and_is_told_once():
    after, arrival = Sequence(17).seen(21)

    assert arrival == Arrival(Verdict.GAP, 3)
    assert after.seen(22) == (Sequence(22), Arrival(Verdict.NEXT))


def test_a_repeat_changes_nothing():
    assert Sequence(17).seen(17) == (Sequence(17), Arrival(Verdict.REPEAT))
    assert Sequence(17).seen(3) == (Sequence(17), Arrival(Verdict.REPEAT))


@given(st.integers(0, 2**63), st.lists(st.integers(1, 5), max_size=50))
def test_the_missing_and_the_seen_add_up_to_the_distance_travelled(start: int, steps: list[int]):
    sequence, missing, number = Sequence(start), 0, start
    for step in steps:
        number += step
        sequence, arrival = sequence.seen(number)
        missing += arrival.missing

    assert missing + len(steps) == number - start
