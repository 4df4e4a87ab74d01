"""What the runtime sets in the interpreter, why, and that it puts it back.

*Switch interval.* A thread that computes keeps the interpreter's lock for one switch interval each time the loop wants
it. Medians of four interleaved runs on two virtual cores that others used, too:

    interval                                       5 ms   1 ms   0.5 ms   0.2 ms   0.1 ms   0.05 ms
    thread to actor beside one that computes, p99  10 ms  2 ms   0.6 ms   0.1 ms   0.1 ms   0.1 ms
    a blocking ask, us                             20     26     26       25       32       33

So 0.2 ms: shorter gains nothing. The price is paid by whoever waits for the lock, if only for a moment: a wait with a
timeout before the kernel's next tick sets a timer of its own, which is dear in a virtual machine.

A loop that is saturated lets go of the lock between its turns, a tenth of a millisecond apart, and so briefly that a
thread that waits is woken and finds it taken; its interval then begins anew, and 0.2 ms are never over. How long a
thread took to come in beside eight actors that never run dry, on two virtual cores:

    interval                     0.2 ms   0.1 ms   0.05 ms   0.05 ms and every eighth turn lasts 0.2 ms
    p50                          10 ms    3 ms     0.3 ms    0.3 ms
    p90                          260 ms   12 ms    0.7 ms    0.5 ms
    p99                          900 ms   60 ms    8 ms      1.8 ms

So while a loop is saturated it is 0.05 ms, and the scheduler makes its turns so (`Scheduler._be_fair`).

*Garbage collection.* A full collection looks at every object: 9 ms at 10,000 actors, 60 ms at 100,000. `freeze` moves
what exists after the start out of its sight, so that later collections look at what came since: 0.03 ms at 10,000 actors
that got a message each. The thresholds stay Python's.

Both are settings of the process, and systems may overlap: the first sets, the last puts back. One that is never closed
has asked until it is collected, which it is not any more once it froze.
"""

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Final

from allstop.actors.runtime.errors import FreeThreaded

SWITCH_INTERVAL_S: Final = 0.0002
SATURATED_INTERVAL_S: Final = 0.00005

PutBack = Callable[[], object]  # by the system that asked; once is enough, and more does no harm

_lock: Final = threading.RLock()  # a collection within it may put back for a system that nobody closed
_tuned = 0  # systems that run
_before_s: float | None = None
_frozen = 0  # systems that froze
_saturated: "weakref.WeakSet[object]" = weakref.WeakSet()  # schedulers that have more to do than a turn takes


def check_interpreter() -> None:
    """Raises FreeThreaded on an interpreter that runs without its lock: mailboxes rely on it (scheduler.py)."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    if enabled is not None and not enabled():
        raise FreeThreaded(
            "this interpreter runs without its global lock, and the mailboxes of allstop rely on it: two threads that "
            "tell one idle actor at once could both find it idle. Start Python with -X gil=1 or PYTHON_GIL=1, or use "
            "a build that has the lock"
        )


def tune(system: object) -> PutBack:
    """Shortens the switch interval for a system, unless somebody set a shorter one."""
    global _tuned, _before_s
    with _lock:
        _tuned += 1
        if _tuned == 1 and (now_s := sys.getswitchinterval()) > SWITCH_INTERVAL_S:
            _before_s = now_s
            sys.setswitchinterval(SWITCH_INTERVAL_S)
    return _when_closed_or_collected(system, _untune)


def hasten(scheduler: object) -> None:
    """A loop is saturated: the switch interval is as short as its turns need, if it is what `tune` set."""
    with _lock:
        _saturated.add(scheduler)
        if _is(SWITCH_INTERVAL_S) and _before_s is not None:
            sys.setswitchinterval(SATURATED_INTERVAL_S)


def relax(scheduler: object) -> None:
    """It is saturated no more; the last one puts back what `hasten` set."""
    with _lock:
        _saturated.discard(scheduler)
        if not _saturated and _is(SATURATED_INTERVAL_S) and _before_s is not None:
            sys.setswitchinterval(SWITCH_INTERVAL_S)


def freeze(system: object) -> PutBack:
    """Collects once more, and has later collections pass over all that is left."""
    global _frozen
    with _lock:
        _frozen += 1
        gc.collect()
        gc.freeze()
    return _when_closed_or_collected(system, _unfreeze)


def _when_closed_or_collected(system: object, put_back: PutBack) -> PutBack:
    final = weakref.finalize(system, put_back)
    final.atexit = False
    return final


def _untune() -> None:
    """The last one puts the switch interval back, if it still is what `tune` set."""
    global _tuned, _before_s
    with _lock:
        _tuned -= 1
        if (
            _tuned and not tuple(_saturated) and _is(SATURATED_INTERVAL_S)
        ):  # it was collected while it was saturated
            sys.setswitchinterval(SWITCH_INTERVAL_S)
        if _tuned == 0 and _before_s is not None:
            if _is(SWITCH_INTERVAL_S) or _is(SATURATED_INTERVAL_S):
                sys.setswitchinterval(_before_s)
            _before_s = None


def _unfreeze() -> None:
    global _frozen
    with _lock:
        _frozen -= 1
        if _frozen == 0:
            gc.unfreeze()


def _is(interval_s: float) -> bool:
    return round(sys.getswitchinterval(), 6) == interval_s
