"""What the runtime sets in the interpreter, why, and that it puts it back.

*Switch interval.* A thread that computes keeps the interpreter's lock for one switch interval each time the loop wants
it. At Python's 5 ms a message from a thread takes 10 ms in the middle and 120 ms at the 99th percentile beside one such
thread; at 0.1 ms it takes 10 us and under 2 ms. The price is 5 % of the rate at which another thread can tell; 0.02 ms
would cost 25 %. Without threads that compute it costs nothing: nobody asks for the lock.

*Garbage collection.* A full collection looks at every object: 3 ms at 10,000 actors, 30 ms at 100,000. `freeze` moves
what exists after the start out of its sight, so that later collections look at what came since. The thresholds stay
Python's: messages without cycles (msgspec structs with gc=False) never count, and higher ones gained nothing for them.

Both are settings of the process, and systems may overlap: the first sets, the last puts back.
"""

import gc
import sys
import threading
from typing import Final

from allstop.actors.runtime.errors import FreeThreaded

SWITCH_INTERVAL_S: Final = 0.0001

_lock: Final = threading.Lock()
_tuned = 0  # systems that run
_before_s: float | None = None
_frozen = 0  # systems that froze


def check_interpreter() -> None:
    """Raises FreeThreaded on an interpreter that runs without its lock: mailboxes rely on it (scheduler.py)."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    if enabled is not None and not enabled():
        raise FreeThreaded(
            "this interpreter runs without its global lock, and the mailboxes of allstop rely on it: two threads that "
            "tell one idle actor at once could both find it idle. Start Python with -X gil=1 or PYTHON_GIL=1, or use "
            "a build that has the lock"
        )


def tune() -> None:
    """Shortens the switch interval, unless somebody set a shorter one. Once per `untune`."""
    global _tuned, _before_s
    with _lock:
        _tuned += 1
        if _tuned == 1 and (now_s := sys.getswitchinterval()) > SWITCH_INTERVAL_S:
            _before_s = now_s
            sys.setswitchinterval(SWITCH_INTERVAL_S)


def untune() -> None:
    """Puts the switch interval back, if it still is what `tune` set."""
    global _tuned, _before_s
    with _lock:
        _tuned -= 1
        if _tuned == 0 and _before_s is not None:
            if round(sys.getswitchinterval(), 6) == SWITCH_INTERVAL_S:
                sys.setswitchinterval(_before_s)
            _before_s = None


def freeze() -> None:
    """Collects once more, and has later collections pass over all that is left. Once per `unfreeze`."""
    global _frozen
    with _lock:
        _frozen += 1
        gc.collect()
        gc.freeze()


def unfreeze() -> None:
    global _frozen
    with _lock:
        _frozen -= 1
        if _frozen == 0:
            gc.unfreeze()
