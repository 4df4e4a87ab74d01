"""A recording as a slower feed tells it: the same books, seldomer."""

import pytest

from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.pairs import PAIRS
from allstop.actors.simulated.kraken.server import packaged_tape
from allstop.actors.simulated.kraken.slow_tape import slowed
from allstop.actors.simulated.kraken.tape import TapeFrame

BTC = PAIRS["BTC/USD"]


def books(tape: tuple[TapeFrame, ...]) -> list[tuple[float, int]]:
    """The book's checksum after each frame, and when."""
    market, at_s, seen = Market(BTC), 0.0, []
    for frame in tape:
        at_s += frame.wait_s
        market.play(frame, 0)
        seen.append((at_s, market.checksum()))
    return seen


@pytest.mark.parametrize("every_s", [0.25, 1.0, 3.0])
def test_at_each_of_its_moments_the_book_is_the_recorded_one(every_s: float) -> None:
    recorded = books(packaged_tape())
    slow = books(slowed(packaged_tape(), every_s))
    assert len(slow) > 5
    for at_s, checksum in slow[1:]:  # it begins with the snapshot, as the recording does
        assert checksum == [one for when_s, one in recorded if when_s <= at_s + 1e-9][-1]


def test_frames_are_at_least_so_far_apart() -> None:
    slow = slowed(packaged_tape(), 1.0)
    assert len(slow) < 31 < len(packaged_tape())
    assert all(frame.wait_s >= 1.0 - 1e-9 for frame in slow[1:])
    assert not any(frame.snapshot for frame in slow[1:])


def test_a_pace_of_zero_is_the_recording_itself() -> None:
    assert slowed(packaged_tape(), 0.0) == packaged_tape()
