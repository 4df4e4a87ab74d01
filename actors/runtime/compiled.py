"""Which code runs the two hot functions, `Ref.tell` and the loop of `Scheduler._turn`: the Python of this package, or
`allstop_hot`, the same steps in C (hot.c), where somebody built it with `allstop compile`.

The Python is complete, and is what runs unless a build is found that was made from the very files that are imported
now. A build from others is refused and named, never used: whoever changes one of these files builds anew, or runs pure.
`ALLSTOP_PURE=1` in the environment leaves a build alone.
"""

import importlib
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.messages import MORE, SPECIAL
from allstop.actors.runtime.ref import Ref
from allstop.actors.runtime.scheduler import Scheduler

if TYPE_CHECKING:
    from types import ModuleType

MODULE: Final = "allstop_hot"
PURE: Final = "ALLSTOP_PURE"
HERE: Final = Path(__file__).parent
SOURCE: Final = HERE / "hot.c"
FILES: Final = (
    "hot.c",
    "compiled.py",
    "cell.py",
    "lanes.py",
    "messages.py",
    "ref.py",
    "scheduler.py",
    "tasks.py",
)  # what a build is of

in_use: str | None = None  # the file of the build that runs
refused: str | None = None  # the file of one that does not, and why

_Turn: Any = None


def sources() -> str:
    """Names the files that a build must have been made from: they as they are now. Raises OSError without them."""
    import hashlib  # here, since only who has a build pays for it

    return hashlib.sha256(b"\0".join((HERE / name).read_bytes() for name in FILES)).hexdigest()[:16]


def choose() -> None:
    """Puts the build to work, if there is one and it may be used. Once, when the runtime is imported."""
    global in_use, refused, _Turn
    if os.environ.get(PURE, "0") not in ("", "0"):
        return
    try:
        module = importlib.import_module(MODULE)
    except ModuleNotFoundError:
        return
    except ImportError as error:
        refused = f"{error.path or MODULE}: {error}"
        return
    file = str(getattr(module, "__file__", MODULE))
    if why := _objection(module):
        refused = f"{file}: {why}"
        return
    try:
        tell = module.bind(Ref, Cell, Scheduler, deque, SPECIAL, MORE)
    except (AttributeError, TypeError) as error:
        refused = f"{file}: {error}"
        return
    _Turn = module.Turn
    Ref.tell = tell
    Scheduler._turn = turn
    in_use = file


def _objection(module: "ModuleType") -> str | None:
    try:
        wanted = sources()
    except OSError as error:
        return f"it cannot be compared with its sources: {error}"
    if getattr(module, "SOURCES", None) == wanted:
        return None
    return f"it was built from other sources than those of {HERE}"


def turn(self: Scheduler) -> None:
    """`Scheduler._turn`, with its inner loop compiled. What is no loop stays here, so that a crash is dealt with, and
    has a traceback, as in Python. The watchdog asks `running` whose message it is."""
    if self.urgent:
        self._serve_urgent()
    running = _Turn(self.ready, self.pace, self.batch)
    while True:
        try:
            running.run()
            return
        except BaseException as error:
            if running.cell is None:
                raise
            running.cell.crash(error, running.message)
