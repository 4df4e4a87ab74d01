"""A moment, as a shell tells it to the model."""

from typing import NamedTuple


class At(NamedTuple):
    """Seconds on a clock that never steps, and the wall's nanoseconds."""

    now_s: float
    wall_ns: int
