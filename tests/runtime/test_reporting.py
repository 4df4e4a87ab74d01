"""What is written where nobody asked for events: it must never fail, whatever writes the log."""

import pytest

from allstop.actors.events import HandlerHung, LoopHeld
from allstop.actors.runtime.reporting import log_trouble

FRAMES = ("worker.py:10 handle", "worker.py:20 compute")


@pytest.mark.parametrize(
    "event",
    [
        LoopHeld(at_ns=0, path="/worker", held_s=1.1, why="a slow handler", stack=FRAMES),
        HandlerHung(
            at_ns=0,
            path="/worker",
            incarnation=1,
            actor_class="Worker",
            message="Job",
            held_s=1.1,
            limit_s=1.0,
            where="loop",
            stack=FRAMES,
        ),
    ],
    ids=lambda event: type(event).__name__,
)
def test_a_held_loop_is_written_with_its_frames_by_structlog_as_it_comes(
    event: LoopHeld | HandlerHung, capsys: pytest.CaptureFixture[str]
) -> None:
    log_trouble(event)
    written = capsys.readouterr().out
    assert all(frame in written for frame in FRAMES)
