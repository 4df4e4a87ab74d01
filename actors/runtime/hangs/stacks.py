"""Stacks in lines, as reports of hangs show them: where a thread or a suspended coroutine is."""

import traceback
from types import FrameType
from typing import Any, Final

STACK_FRAMES_MAX: Final = 40  # the innermost ones: deeper is recursion


def stack_of(frame: FrameType) -> tuple[str, ...]:
    """What runs on a thread, outermost call first."""
    frames = [(frame, line) for frame, line in traceback.walk_stack(frame)][:STACK_FRAMES_MAX]
    return tuple(_line(frame, line) for frame, line in reversed(frames))


def stack_of_coroutine(coroutine: Any) -> tuple[str, ...]:
    """What a suspended coroutine waits in, outermost call first; what it waits for last, if that is no coroutine."""
    lines: list[str] = []
    awaited: Any = coroutine
    while awaited is not None and len(lines) < STACK_FRAMES_MAX:
        frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            lines.append(f"awaits {type(awaited).__name__}")
            break
        lines.append(_line(frame, frame.f_lineno))
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return tuple(lines)


def _line(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
